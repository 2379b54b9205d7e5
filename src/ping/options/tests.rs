use super::*;
use std::time::Duration;

fn read(words: &[&str]) -> Result<Plan, Stop> {
    parse(["echo-ping"].iter().chain(words).map(OsString::from))
}

fn complaint(words: &[&str]) -> String {
    match read(words) {
        Err(Stop::Usage(line)) => line,
        other => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn without_options_it_is_a_ping() {
    let plan = read(&["localhost:7"]).unwrap();
    assert_eq!(plan.target.to_string(), "tcp:localhost:7");
    assert_eq!(plan.protocol, Protocol::Rfc862);
    assert_eq!(plan.sizes, Sizes { min: 56, max: 56 });
    assert_eq!((plan.count, plan.connections), (None, 1));
    assert_eq!(plan.pace, Pace::Every { gap: Duration::from_secs(1) });
    assert_eq!(plan.timeout, Duration::from_secs(5));
    assert_eq!((plan.duration, plan.half_close), (None, false));
    assert_eq!(plan.show, Show { answers: true, events: true, json: false, histogram: false });
    assert!(plan.loss_max == 0.0);
    assert_eq!(plan.rule, Rule::default());
}

#[test]
fn under_load_answers_are_shown_as_objects_only() {
    for (words, answers, events) in [
        (&["--flood"][..], false, true),
        (&["--rate=10"], false, true),
        (&["--flood", "--json"], true, true),
        (&["--flood", "--json", "-q"], false, false),
        (&["--connections=2"], true, true),
        (&["-q"], false, false),
    ] {
        let plan = read(&[words, &["localhost:7"]].concat()).unwrap();
        assert_eq!((plan.show.answers, plan.show.events), (answers, events), "{words:?}");
    }
}

#[test]
fn loops_are_open_or_closed() {
    let pace = |words: &[&str]| read(&[words, &["localhost:7"]].concat()).unwrap().pace;
    let every = |gap| Pace::Every { gap: Duration::from_micros(gap) };
    assert_eq!(pace(&["-f"]), Pace::Flood);
    assert_eq!(pace(&["--rate=2000/s", "--connections=7"]), every(500));
    assert_eq!(pace(&["--interval=500ms", "--connections=10"]), every(50_000));
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    for (words, line) in [
        (&[][..], "a target is needed (see echo-ping --help)"),
        (&["--foo", "x:7"], "unknown option --foo (see echo-ping --help)"),
        (&["x:7", "y:7"], "unexpected argument 'y:7' (see echo-ping --help)"),
        (
            &["nowhere"],
            "'nowhere' is no target: HOST:PORT, tcp:HOST:PORT, udp:HOST:PORT and \
                        unix:/PATH or unix:@NAME are allowed",
        ),
        (&["-c0", "x:7"], "--count: '0' is too small: 1 to 4000000000 are allowed"),
        (&["-i0", "x:7"], "--interval: '0' is too short: 1ms to 1d are allowed"),
        (&["--rate=0", "x:7"], "--rate: '0' is too small: 1 to 1000000 are allowed"),
        (&["--loss-max=x", "x:7"], "--loss-max: 'x' is no percentage: 0 to 100 are allowed"),
        (&["-f", "--rate=5", "x:7"], "--flood and --rate exclude each other"),
        (&["-i1", "--rate=5", "x:7"], "--rate and --interval exclude each other"),
        (&["-4", "-6", "x:7"], "--ipv4 and --ipv6 exclude each other"),
        (&["-s5", "--size-sweep=1:2", "x:7"], "--size and --size-sweep exclude each other"),
        (&["-s0", "x:7"], "--size: only a datagram can be empty"),
        (&["-s65508", "udp:x:7"], "--size: a datagram and its answer have at most 65507 bytes"),
        (
            &["-s65501", "--protocol=reply", "udp:x:7"],
            "--size: a datagram and its answer have at most 65507 bytes",
        ),
        (&["--half-close", "udp:x:7"], "--half-close is for streams"),
        (&["-4", "unix:/x"], "-4 and -6 are for IP addresses"),
        (&["--source=::1", "unix:/x"], "--source is for IP addresses"),
        (
            &["--source=[::1]:5", "--connections=2", "x:7"],
            "--source: one port has one connection only",
        ),
    ] {
        assert_eq!(complaint(words), line, "{words:?}");
    }
}

#[test]
fn the_largest_datagrams_are_allowed() {
    assert!(read(&["-s65507", "udp:x:7"]).is_ok());
    assert!(read(&["-s65500", "--protocol=reply", "udp:x:7"]).is_ok());
    assert!(read(&["-s0", "udp:x:7"]).is_ok());
}

#[test]
fn help_fits_a_terminal_and_names_every_option() {
    let Err(Stop::Say(help)) = read(&["--help"]) else { panic!() };
    for line in help.lines() {
        assert!(line.chars().count() <= 80 || line.contains("echo-ping sends"), "{line}");
    }
    for option in command().get_arguments().filter_map(clap::Arg::get_long) {
        assert!(help.contains(&format!("--{option}")), "{option}");
    }
    let version = concat!("echo-ping ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(read(&["-V"]), Err(Stop::Say(version.into())));
}

#[test]
fn the_table_of_clap_is_sound() {
    command().debug_assert();
}
