//! What the manager says about descriptors: how many there are, whose they are,
//! what they are called, and which names are those of bags.

use super::input::Input;
use echod::systemd::{BagNumber, InheritError, names};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

const PID: u32 = 4711;
const FIRST: &str = "LISTEN_FDS_FIRST_FD";

pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let said = input.byte();
    let mut value = |bit: u8, own: &[u8]| {
        let value = input.field();
        // The variable is there, with these bytes or with what fits.
        (said & bit != 0).then(|| if said & bit << 4 == 0 { value } else { own }.to_vec())
    };
    let pid = value(1, b"4711");
    let count = value(2, b"3");
    let first = value(4, b"7");
    let list = value(8, b"reply:line:echod-bag-1");
    let find = |variable: &str| {
        let value = match variable {
            "LISTEN_PID" => &pid,
            "LISTEN_FDS" => &count,
            FIRST => &first,
            "LISTEN_FDNAMES" => &list,
            other => panic!("{other} means nothing"),
        };
        value.clone().map(OsString::from_vec)
    };
    let text = |value: &Option<Vec<u8>>| {
        value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let wanted = model(text(&pid), text(&count), text(&first), text(&list));
    match (names(find, PID), wanted) {
        (Ok(names), Ok(wanted)) => assert_eq!(names, wanted),
        (Err(error), Err(wanted)) => {
            let variable = match &error {
                InheritError::Number { variable, .. } => *variable,
                InheritError::Names { .. } => "LISTEN_FDNAMES",
                other => panic!("{other:?} without a descriptor"),
            };
            assert_eq!(variable, wanted);
            let line = error.to_string();
            assert!(line.starts_with(wanted) && !line.contains(char::is_control), "{line:?}");
        }
        (said, wanted) => panic!("{said:?}, not {wanted:?}"),
    }
    for name in list.iter().flat_map(|list| list.split(|&byte| byte == b':')) {
        bag_name(&String::from_utf8_lossy(name));
    }
}

/// The names, or the variable that is wrong.
fn model(
    pid: Option<String>,
    count: Option<String>,
    first: Option<String>,
    list: Option<String>,
) -> Result<Option<Vec<String>>, &'static str> {
    let is_ours = pid.is_none_or(|pid| pid.is_empty() || number(&pid) == Some(PID.into()));
    let Some(count) = count.filter(|_| is_ours) else { return Ok(None) };
    let count = number(&count).filter(|count| *count <= 65_536).ok_or("LISTEN_FDS")?;
    if let Some(first) = first {
        number(&first).filter(|first| (3..=65_536).contains(first)).ok_or(FIRST)?;
    }
    let nameless = || vec!["unknown"; usize::try_from(count).expect("it is small")].join(":");
    match list.unwrap_or_else(nameless) {
        _ if count == 0 => Ok(None),
        list if list.matches(':').count() as u64 + 1 == count => {
            Ok(Some(list.split(':').map(str::to_owned).collect()))
        }
        _ => Err("LISTEN_FDNAMES"),
    }
}

/// As systemd's own library reads one, but without blanks and other bases.
fn number(text: &str) -> Option<u64> {
    let (minus, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    if digits.is_empty() || digits.contains(|c: char| !c.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(number).filter(|number| !minus || *number == 0)
}

fn bag_name(name: &str) {
    let digits = name.strip_prefix("echod-bag-").unwrap_or_default();
    let is_number = digits == "0"
        || !digits.is_empty()
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u64>().is_ok_and(|number| number <= u32::MAX.into());
    let bag = BagNumber::from_name(name);
    assert_eq!(bag.is_some(), is_number, "{name:?}");
    assert!(bag.is_none_or(|bag| bag.to_string() == name));
}
