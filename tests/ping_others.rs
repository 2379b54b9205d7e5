//! The client against what else is packaged that echoes, in a network of its own.
#![allow(clippy::unwrap_used, reason = "what is not #[test] here serves tests only")]

mod support;

use std::fmt::Write as _;
use std::path::Path;
use support::isolated::{can_isolate, isolated};
use support::pinging::{Pinged, ping_as};
use support::skip::skip;

const ECHO_PING: &str = env!("CARGO_BIN_EXE_echo-ping");

/// A network where nobody else is, so that a port can be had by its number:
/// none of these servers tells which one it was given.
const PRIVATE: &str = r#"
ip link set lo up
server=$1; shift
sh -c "exec $server" >/dev/null 2>&1 &
trap 'kill $!' EXIT
"$@"
"#;

/// What came of it; none where this machine cannot run it: the test is skipped.
fn beside(program: &str, server: &str, words: &[&str]) -> Option<Pinged> {
    let can = |program: &str| {
        let places = ["/usr/bin", "/usr/sbin", "/sbin", "/bin"];
        places.iter().any(|place| Path::new(place).join(program).exists())
    };
    if let Some(missing) = [program, "ip"].into_iter().find(|program| !can(program)) {
        skip(format_args!("{missing} is not installed"));
        return None;
    }
    if !can_isolate("--net", "true") {
        return None;
    }
    let mut command = isolated("--net");
    command.args(["sh", "-c", PRIVATE, "sh", server]);
    // It is asked again and again until it is there.
    let until = r#"until "$0" 127.0.0.1:7 -q -c1 >/dev/null; do :; done; exec "$0" "$@""#;
    command.args(["timeout", "60", "sh", "-c", until, ECHO_PING]).args(words).arg("--json");
    Some(ping_as(&mut command))
}

fn all_back(pinged: &Pinged, count: u64) {
    assert_eq!(pinged.counts(), (0, [count, count, 0, 0, 0, 0]), "{:?}", pinged.objects);
}

const SOCAT: &str = "socat TCP-LISTEN:7,fork EXEC:cat";
const NCAT: &str = "ncat -l -k -e /bin/cat 127.0.0.1 7";
const TARGET: &str = "127.0.0.1:7";

#[test]
fn socat_with_cat_is_right_also_after_a_half_close() {
    for words in [&["-c20", "-i1ms"][..], &["-c20", "-f", "--half-close", "-s100000"]] {
        let pinged = beside("socat", SOCAT, &[&[TARGET], words].concat());
        let Some(pinged) = pinged else { return };
        all_back(&pinged, 20);
    }
}

#[test]
fn ncat_with_cat_is_right_until_a_half_close() {
    let pinged = beside("ncat", NCAT, &[TARGET, "-c20", "-i1ms"]);
    let Some(pinged) = pinged else { return };
    all_back(&pinged, 20);
    let words = [TARGET, "-c20", "-f", "--connections=20", "--half-close", "-W5"];
    let Some(pinged) = beside("ncat", NCAT, &words) else { return };
    // It ends when it has read an end of file, whatever cat has still to say.
    let (status, [sent, received, lost, _, _, corrupted]) = pinged.counts();
    assert_eq!((status, sent, corrupted), (1, 20, 0), "{:?}", pinged.objects);
    assert!(lost > 0 && received + lost == sent, "{}", pinged.summary);
    let ended = pinged.of_type("ended");
    assert_eq!(ended.len() as u64, lost);
}

/// xinetd's own echo, as a configuration file that nobody has to install.
fn xinetd(place: &Path) -> String {
    let mut text = "defaults\n{\n}\n".to_owned();
    for (kind, protocol, wait) in [("stream", "tcp", "no"), ("dgram", "udp", "yes")] {
        write!(
            text,
            "service echo\n{{\ntype = INTERNAL UNLISTED\nid = echo-{kind}\nsocket_type = {kind}\n\
             protocol = {protocol}\nport = 7\nuser = root\nwait = {wait}\ndisable = no\n}}\n"
        )
        .unwrap();
    }
    let file = place.join("xinetd.conf");
    std::fs::write(&file, text).unwrap();
    let pid = place.join("pid");
    format!("xinetd -dontfork -f {} -pidfile {}", file.display(), pid.display())
}

#[test]
fn xinetds_echo_is_right() {
    let place = tempfile::tempdir().unwrap();
    let server = xinetd(place.path());
    for words in [&["-c20", "-i1ms"][..], &["-c20", "-f", "--half-close"]] {
        let pinged = beside("xinetd", &server, &[&[TARGET], words].concat());
        let Some(pinged) = pinged else { return };
        all_back(&pinged, 20);
    }
}

#[test]
fn xinetds_echo_of_datagrams_gives_back_what_it_has_read() {
    let place = tempfile::tempdir().unwrap();
    let server = xinetd(place.path());
    let words = ["udp:127.0.0.1:7", "-c10", "-i50ms", "-W1"];
    let Some(pinged) = beside("xinetd", &server, &words) else { return };
    // It throws away what arrives between its answer and its next look at the
    // socket, one by one or not; that is its loss, and must be said.
    let (status, [sent, received, lost, duplicated, reordered, corrupted]) = pinged.counts();
    assert_eq!((sent, received + lost, status), (10, 10, i32::from(lost > 0)));
    assert_eq!((duplicated, reordered, corrupted), (0, 0, 0), "{:?}", pinged.objects);
    assert!(received > 0, "{:?}", pinged.objects);
    assert_eq!(pinged.sequences("lost").len() as u64, lost);
}
