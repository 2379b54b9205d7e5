use super::*;
#[test]
fn show() {
    let run = |words: &[&str]| {
        let words = std::iter::once("echod").chain(words.iter().copied()).map(OsString::from);
        match parse_with(words, []) {
            Err(stop) => match stop {
                Stop::Say(t) => println!("SAY {t}"),
                Stop::Usage(t) => println!("USAGE {t}"),
            },
            Ok(i) => println!("{:?}", i),
        }
    };
    for w in [
        &["--help"][..],
        &["-V"],
        &["--foo"],
        &["--foo=3"],
        &["-x"],
        &["foo"],
        &["--", "foo"],
        &["--stall-timeout"],
        &["--stall-timeout", "-5"],
        &["--stall-timeout=0"],
        &["--stall-timeout="],
        &["--stall-timeout", "--mptcp"],
        &["--mptcp=maybe"],
        &["--mptcp"],
        &["--mptcp", "no"],
        &["--suffix", "-x"],
        &["--suffix="],
        &["--suffix"],
        &["--help=3"],
        &["--listen-stream", "7", "--listen-stream", "line=8"],
        &["--stall-timeout=2", "--stall-timeout=3"],
        &["--suffix", "--mptcp"],
        &["-Vh"],
        &["-hx"],
        &["--mptcp="],
        &["--record-rate", "0"],
        &["--datagram-rate", "0"],
        &["--protocol", "http"],
        &["--backlog", "0"],
        &["-"],
        &["--stall"],
        &["--version=1"],
        &["--sufix=", "a"],
    ] {
        print!("{w:?}: ");
        run(w);
    }
}
