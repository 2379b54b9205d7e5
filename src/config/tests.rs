//! What holds when nobody says anything, and how ports and levels are written.

use super::*;

#[test]
fn the_defaults_are_the_designs() {
    let config = Config::default();
    assert_eq!(config.listen, []);
    assert_eq!(config.protocol, Protocol::Reply);
    let rule = Rule::new(SUFFIX.as_bytes(), EXIT_WORD.as_bytes(), MESSAGE_MAX.get());
    assert_eq!(config.rule, rule.unwrap());
    assert_eq!(config.limits.connections.get(), 15_000);
    assert_eq!(config.limits.connections_per_source, None);
    assert_eq!(i32::from(config.limits.backlog), 4_096);
    assert_eq!(config.limits.datagram_rate, Some(Rate::literal(1_000, 1_000)));
    assert_eq!(config.limits.refused_source_ports.get(), [2049]);
    assert_eq!(config.patience.idle(), None);
    assert_eq!(config.patience.stall.get(), Duration::from_secs(60));
    assert_eq!(config.patience.lifetime(), None);
    assert_eq!(config.patience.drain.get(), Duration::from_secs(1));
    assert_eq!(config.records, Records { level: Level::Info, rate: Rate::literal(20, 1_000) });
    assert!(!config.mptcp);
}

#[test]
fn without_a_word_echod_listens_on_loopback() {
    let [v4, v6] = default_listen();
    assert_eq!((v4.kind, v4.to_string()), (Kind::Stream, "127.0.0.1:8080".into()));
    assert_eq!((v6.kind, v6.to_string()), (Kind::Stream, "[::1]:8080".into()));
}

#[test]
fn levels_have_their_names() {
    for level in Level::ALL {
        assert_eq!(level.to_string().parse(), Ok(level));
    }
    assert_eq!(
        "notice".parse::<Level>().unwrap_err().to_string(),
        "is no level: error, warning, info and debug are allowed"
    );
}

#[test]
fn ports_are_listed_with_commas_or_blanks() {
    for (text, ports) in [
        ("", &[][..]),
        (" , ", &[]),
        ("2049", &[2049]),
        ("1900,53", &[53, 1900]),
        ("1900 53\t53", &[53, 1900]),
        ("1, 65535", &[1, 65_535]),
    ] {
        assert_eq!(text.parse::<Ports>().unwrap().get(), ports, "{text}");
    }
    for text in ["0", "65536", "x", "1-2", "1;2", "-1"] {
        assert_eq!(
            text.parse::<Ports>().unwrap_err().to_string(),
            "is no list of ports: numbers from 1 to 65535, with commas or blanks, are allowed",
            "{text}"
        );
    }
    let ports: Ports = "1900,53".parse().unwrap();
    assert_eq!(ports.to_string(), "53,1900");
    assert!(ports.contains(53) && !ports.contains(54));
}
