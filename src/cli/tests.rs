//! Every option, from both sides, and every way to be wrong.
//!
//! It is long because the tables of options, right and wrong, share one way to ask.

use super::*;
use crate::config::{Connections, Level};
use crate::echo::{Protocol, Rule};
use proptest::prelude::*;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

fn read(words: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, Stop> {
    parse_with(
        std::iter::once("echod").chain(words.iter().copied()).map(OsString::from),
        environment.iter().map(|(name, value)| (name.into(), value.into())),
    )
}

fn config(words: &[&str], environment: &[(&str, &str)]) -> Config {
    let invocation = read(words, environment).unwrap();
    assert_eq!(invocation.unknown_variables, [""; 0]);
    invocation.config
}

fn complaint(words: &[&str], environment: &[(&str, &str)]) -> String {
    match read(words, environment) {
        Err(Stop::Usage(line)) => line,
        other => panic!("{words:?} {environment:?}: {other:?}"),
    }
}

/// An option, two values for it, and where in a configuration they show.
type Row = (&'static str, [&'static str; 2], fn(&Config) -> String, [&'static str; 2]);

const OPTIONS: &[Row] = &[
    ("listen-stream", ["7", "line=[::1]:8"], listened, ["stream 7", "stream line=[::1]:8"]),
    ("listen-datagram", ["7", "/run/x"], listened, ["datagram 7", "datagram /run/x"]),
    (
        "listen-sequential-packet",
        ["/run/x", "rfc862=@x"],
        listened,
        ["sequential packet /run/x", "sequential packet rfc862=@x"],
    ),
    ("backlog", ["1", "65535"], |config| config.limits.backlog.to_string(), ["1", "65535"]),
    ("mptcp", ["yes", "no"], |config| config.mptcp.to_string(), ["true", "false"]),
    ("protocol", ["line", "rfc862"], |config| config.protocol.to_string(), ["line", "rfc862"]),
    ("suffix", ["-x", ""], |config| format!("{:?}", config.rule.suffix()), ["[45, 120]", "[]"]),
    (
        "exit-word",
        ["-x", ""],
        |config| format!("{:?}", config.rule.exit_word()),
        ["[45, 120]", "[]"],
    ),
    (
        "message-max",
        ["128", "64K"],
        |config| config.rule.message_max().to_string(),
        ["128", "65536"],
    ),
    (
        "connections-max",
        ["1", "65536"],
        |config| config.limits.connections.to_string(),
        ["1", "65536"],
    ),
    (
        "connections-per-source-max",
        ["10", "off"],
        |config| format!("{:?}", config.limits.connections_per_source.map(Connections::get)),
        ["Some(10)", "None"],
    ),
    (
        "datagram-rate",
        ["5/s:6", "off"],
        |config| format!("{:?}", config.limits.datagram_rate.map(|rate| rate.to_string())),
        ["Some(\"5/s:6\")", "None"],
    ),
    (
        "refuse-source-ports",
        ["1900 53", ""],
        |config| config.limits.refused_source_ports.to_string(),
        ["53,1900", ""],
    ),
    (
        "idle-timeout",
        ["1min 30s", "off"],
        |config| format!("{:?}", config.patience.idle()),
        ["Some(90s)", "None"],
    ),
    (
        "lifetime-max",
        ["1.5h", "infinity"],
        |config| format!("{:?}", config.patience.lifetime()),
        ["Some(5400s)", "None"],
    ),
    ("stall-timeout", ["1", "1d"], |config| config.patience.stall.to_string(), ["1s", "1d"]),
    ("drain-timeout", ["0", "500ms"], |config| config.patience.drain.to_string(), ["0", "500ms"]),
    (
        "log-level",
        ["error", "debug"],
        |config| config.records.level.to_string(),
        ["error", "debug"],
    ),
    ("record-rate", ["0", "5"], |config| config.records.rate.to_string(), ["0", "5/s:1000"]),
];

fn listened(config: &Config) -> String {
    let one = |listen: &crate::config::Listen| format!("{} {listen}", listen.kind);
    config.listen.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn variable_of(option: &str) -> String {
    format!("ECHOD_{}", option.to_uppercase().replace('-', "_"))
}

#[test]
fn every_option_is_in_the_table() {
    let command = command();
    let ours = command.get_arguments().filter(|option| variable(option).is_some());
    let ours = ours.map(|option| option.get_long().unwrap()).collect::<Vec<_>>();
    let table = OPTIONS.iter().map(|(option, ..)| *option).collect::<Vec<_>>();
    assert_eq!(ours, table);
}

#[test]
fn every_option_works_from_the_command_line_and_from_the_environment() {
    for (option, values, shown, expected) in OPTIONS {
        for (value, expected) in values.iter().zip(expected) {
            let word = format!("--{option}={value}");
            assert_eq!(shown(&config(&[&word], &[])), *expected, "{word}");
            let name = variable_of(option);
            assert_eq!(shown(&config(&[], &[(&name, value)])), *expected, "{name}={value}");
            if *option != "mptcp" {
                let words = [&*format!("--{option}"), value];
                assert_eq!(shown(&config(&words, &[])), *expected, "{words:?}");
            }
        }
    }
}

#[test]
fn the_command_line_takes_the_place_of_the_environment() {
    for (option, [first, second], shown, [_, expected]) in OPTIONS {
        let word = format!("--{option}={second}");
        let name = variable_of(option);
        assert_eq!(shown(&config(&[&word], &[(&name, first)])), *expected, "{word}");
        // What has lost its place is not even looked at.
        assert_eq!(shown(&config(&[&word], &[(&name, "\x1b")])), *expected, "{word}");
    }
}

#[test]
fn each_option_takes_only_its_own_variables_place() {
    let config = config(&["--backlog=7"], &[("ECHOD_BACKLOG", "8"), ("ECHOD_LOG_LEVEL", "error")]);
    assert_eq!(config.limits.backlog.get(), 7);
    assert_eq!(config.records.level, Level::Error);
}

#[test]
fn with_nothing_said_the_defaults_hold() {
    assert_eq!(config(&[], &[]), Config::default());
    assert_eq!(parse_with([], []).unwrap().config, Config::default());
}

#[test]
fn of_two_values_the_last_counts() {
    let config = config(&["--stall-timeout=2", "--stall-timeout=3"], &[]);
    assert_eq!(config.patience.stall.get(), Duration::from_secs(3));
}

#[test]
fn sockets_add_up() {
    let words = ["--listen-datagram=7", "--listen-stream=reply=8080", "--listen-stream=rfc862=7"];
    let expected = "stream reply=8080, stream rfc862=7, datagram 7";
    assert_eq!(listened(&config(&words, &[])), expected);
    let environment =
        [("ECHOD_LISTEN_STREAM", " reply=8080\trfc862=7\n"), ("ECHOD_LISTEN_DATAGRAM", "7")];
    assert_eq!(listened(&config(&[], &environment)), expected);
    assert_eq!(listened(&config(&[], &[("ECHOD_LISTEN_STREAM", "")])), "");
}

#[test]
fn a_switch_needs_no_value() {
    assert!(config(&["--mptcp"], &[]).mptcp);
    for word in ["1", "yes", "y", "true", "t", "on", "YES"] {
        assert!(config(&[], &[("ECHOD_MPTCP", word)]).mptcp, "{word}");
    }
    for word in ["0", "no", "n", "false", "f", "off", "Off"] {
        assert!(!config(&[], &[("ECHOD_MPTCP", word)]).mptcp, "{word}");
    }
}

#[test]
fn values_need_not_be_text() {
    let suffix = OsString::from_vec(b"--suffix=\xff\n".to_vec());
    let path = (OsString::from("ECHOD_LISTEN_STREAM"), OsString::from_vec(b"/run/\xff".to_vec()));
    let config = parse_with(["echod".into(), suffix], [path]).unwrap().config;
    assert_eq!(config.rule.suffix(), b"\xff\n");
    let path = crate::endpoint::Endpoint::Path(OsStr::from_bytes(b"/run/\xff").into());
    assert_eq!(config.listen[0].endpoint, path);
}

#[test]
fn a_rule_is_made_of_its_three_parts() {
    let config = config(&["--suffix=!", "--exit-word=bye", "--message-max=128"], &[]);
    assert_eq!(config.rule, Rule::new(b"!", b"bye", 128).unwrap());
    assert_eq!(config.protocol, Protocol::Reply);
}

#[test]
fn one_below_at_and_one_above_each_bound() {
    let longest = |bytes: usize| "x".repeat(bytes);
    let bounds: &[(&str, &[&str], &[&str])] = &[
        ("backlog", &["1", "65535"], &["0", "65536"]),
        ("connections-max", &["1", "65536"], &["0", "65537"]),
        ("connections-per-source-max", &["1", "65536"], &["0", "65537"]),
        ("message-max", &["1", "64K", "65536"], &["0", "65537", "64.001K"]),
        (
            "datagram-rate",
            &["1/s:1", "1000000/s:1000000"],
            &["0", "1/s:0", "1000001/s", "1:1000001"],
        ),
        (
            "record-rate",
            &["0", "1/s:2", "1000000/s:1000000"],
            &["1/s:0", "1/s:1", "1000001/s", "1:1000001"],
        ),
        ("refuse-source-ports", &["1", "65535"], &["0", "65536"]),
        ("idle-timeout", &["1ms", "365d"], &["999us", "0", "31536000s 1us"]),
        ("lifetime-max", &["1ms", "365d"], &["999us", "0", "31536000s 1us"]),
        ("stall-timeout", &["1s", "1d"], &["999999us", "0", "86400s 1us", "off"]),
        ("drain-timeout", &["0", "1h"], &["-1us", "3600s 1us", "off"]),
        ("suffix", &["", &longest(256)], &[&longest(257)]),
        ("exit-word", &["", &longest(255)], &[&longest(256)]),
    ];
    for (option, good, bad) in bounds {
        for value in *good {
            config(&[&format!("--{option}={value}")], &[]);
        }
        for value in *bad {
            complaint(&[&format!("--{option}={value}")], &[]);
        }
    }
}

/// What stands behind the name of the option or variable.
const COMPLAINTS: &[(&str, &str, &str)] = &[
    ("stall-timeout", "0", "'0' is too short: 1s to 1d are allowed"),
    ("stall-timeout", "2d", "'2d' is too long: 1s to 1d are allowed"),
    ("stall-timeout", "off", "'off' is too long: 1s to 1d are allowed"),
    (
        "stall-timeout",
        "soon",
        "'soon' is no time span: numbers with us, ms, s, min, h, d or w, such as 500ms or \
         1min 30s, are allowed",
    ),
    ("drain-timeout", "2h", "'2h' is too long: 0 to 1h are allowed"),
    ("idle-timeout", "0", "'0' is too short: 1ms to 365d or off are allowed"),
    ("lifetime-max", "2y", "'2y' is too long: 1ms to 365d or off are allowed"),
    ("message-max", "65K", "'65K' is too large: 1 to 64K are allowed"),
    (
        "message-max",
        "big",
        "'big' is no size: bytes or numbers with K, M or G, such as 64K, are allowed",
    ),
    ("backlog", "0", "'0' is too small: 1 to 65535 are allowed"),
    ("connections-max", "65537", "'65537' is too large: 1 to 65536 are allowed"),
    ("connections-max", "off", "'off' is no number: 1 to 65536 are allowed"),
    ("connections-per-source-max", "0", "'0' is too small: 1 to 65536 or off are allowed"),
    ("datagram-rate", "0/s", "'0/s' would answer nobody: 1/s to 1000000/s or off are allowed"),
    (
        "datagram-rate",
        "1/min",
        "'1/min' is no rate: NUMBER/s and NUMBER/s:BURST or off are allowed",
    ),
    (
        "record-rate",
        "1/s:1",
        "'1/s:1' has too small a burst for a begin and its end: 2 to 1000000 are allowed",
    ),
    ("record-rate", "off", "'off' is no rate: NUMBER/s and NUMBER/s:BURST are allowed"),
    ("log-level", "loud", "'loud' is no level: error, warning, info and debug are allowed"),
    ("protocol", "http", "'http' is no protocol: reply, line and rfc862 are allowed"),
    ("mptcp", "maybe", "'maybe' is neither: yes and no are allowed"),
    (
        "refuse-source-ports",
        "http",
        "'http' is no list of ports: numbers from 1 to 65535, with commas or blanks, are allowed",
    ),
    ("exit-word", "a\nb", "an exit word has no line end in it"),
    (
        "listen-stream",
        "localhost",
        "'localhost' is no address: PORT, IPV4:PORT, [IPV6]:PORT, /PATH, @NAME and \
         vsock:[CID]:PORT are allowed",
    ),
    ("listen-stream", "65536", "'65536' has no port: 0 to 65535 are allowed"),
    (
        "listen-stream",
        "http=80",
        "'http=80' has no known protocol: reply=, line= and rfc862= are allowed before an address",
    ),
    (
        "listen-datagram",
        "vsock::7",
        "'vsock::7' has no datagrams: PORT, IPV4:PORT, [IPV6]:PORT, /PATH and @NAME are allowed",
    ),
    ("listen-sequential-packet", "7", "'7' has no sequential packets: /PATH and @NAME are allowed"),
    ("backlog", "\x1b[2J", "'\\u{1b}[2J' is no number: 1 to 65535 are allowed"),
];

#[test]
fn a_bad_value_is_told_in_one_line_that_names_its_place() {
    for (option, value, reason) in COMPLAINTS {
        let word = format!("--{option}={value}");
        assert_eq!(complaint(&[&word], &[]), format!("--{option}: {reason}"));
        let name = variable_of(option);
        assert_eq!(complaint(&[], &[(&name, value)]), format!("{name}: {reason}"));
    }
}

#[test]
fn bytes_where_text_is_needed_are_told() {
    let word = OsString::from_vec(b"--backlog=\xff7".to_vec());
    let stop = parse_with(["echod".into(), word], []).unwrap_err();
    assert_eq!(stop, Stop::Usage("--backlog: '\\xff7' is no text in UTF-8".into()));
}

#[test]
fn a_bad_command_line_is_told_in_one_line() {
    for (words, line) in [
        (&["--foo"][..], "unknown option --foo (see echod --help)"),
        (&["--foo=3"], "unknown option --foo (see echod --help)"),
        (&["--stall"], "unknown option --stall (see echod --help)"),
        (&["-x"], "unknown option -x (see echod --help)"),
        (&["--f\x1boo"], "unknown option --f\\u{1b}oo (see echod --help)"),
        (&["foo"], "unexpected argument 'foo' (see echod --help)"),
        (&["--", "foo"], "unexpected argument 'foo' (see echod --help)"),
        (&[""], "unexpected argument '' (see echod --help)"),
        (&["--mptcp", "no"], "unexpected argument 'no' (see echod --help)"),
        (&["--backlog"], "--backlog: a value is needed (see echod --help)"),
        (&["--backlog", "--mptcp"], "--backlog: a value is needed (see echod --help)"),
        (&["--help=3"], "--help: no value is allowed (see echod --help)"),
    ] {
        assert_eq!(complaint(words, &[]), line, "{words:?}");
    }
}

#[test]
fn a_variable_that_stands_for_no_option_is_named() {
    let environment = [
        ("ECHOD_ZEAL\n", "1"),
        ("ECHOD_HELP", "1"),
        ("ECHOD_BACKLOG", "7"),
        ("echod_backlog", "8"),
        ("PATH", "/bin"),
    ];
    let invocation = read(&[], &environment).unwrap();
    assert_eq!(invocation.unknown_variables, ["ECHOD_HELP", "ECHOD_ZEAL\n"]);
    assert_eq!(invocation.config.limits.backlog.get(), 7);
}

fn said(words: &[&str]) -> String {
    // Whatever else is wrong.
    match read(words, &[("ECHOD_BACKLOG", "x")]) {
        Err(Stop::Say(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = concat!("echod ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(said(&["--version"]), version);
    assert_eq!(said(&["-V"]), version);
}

#[test]
fn help_is_grouped_and_fits_a_terminal() {
    let help = said(&["--help"]);
    assert_eq!(said(&["-h"]), help);
    let mut rest = help.as_str();
    let headings = [
        "Sockets",
        "Protocol",
        "Limits",
        "Times",
        "Records",
        "Information",
        "Notation",
        "Environment",
    ];
    for heading in headings {
        (_, rest) = rest.split_once(&format!("\n{heading}:\n")).expect(heading);
    }
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.chars().any(char::is_control), "{line}");
    }
    for (option, ..) in OPTIONS {
        assert!(help.contains(&format!("      --{option}")), "{option}");
    }
}

#[test]
fn the_table_of_clap_is_sound() {
    command().debug_assert();
}

#[test]
fn stopping_has_its_status() {
    assert_eq!(Stop::Say(String::new()).end(), ExitStatus::Ok);
    assert_eq!(Stop::Usage("a test says this".into()).end(), ExitStatus::Usage);
}

fn bytes() -> impl Strategy<Value = OsString> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(OsString::from_vec)
}

fn word() -> impl Strategy<Value = OsString> {
    let option = proptest::sample::select(OPTIONS).prop_map(|(option, ..)| option);
    prop_oneof![
        bytes(),
        option.clone().prop_map(|option| format!("--{option}").into()),
        (option, bytes()).prop_map(|(option, value)| {
            let mut word = OsString::from(format!("--{option}="));
            word.push(value);
            word
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_said_it_is_read_or_refused_in_one_harmless_line(
        words in proptest::collection::vec(word(), 0..4),
        variables in proptest::collection::vec(
            (proptest::sample::select(OPTIONS), bytes()), 0..3),
    ) {
        let environment = variables.into_iter()
            .map(|((option, ..), value)| (variable_of(option).into(), value));
        let words = std::iter::once(OsString::from("echod")).chain(words);
        if let Err(Stop::Usage(line)) = parse_with(words, environment) {
            prop_assert!(!line.is_empty() && !line.chars().any(char::is_control), "{:?}", line);
        }
    }
}
