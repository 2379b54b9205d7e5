//! Addresses to listen on: what was read is written so that it reads the same,
//! and the standard library reads what is its own in the same way.

use echod::config::Listen;
use echod::endpoint::{Endpoint, Kind, UNIX_NAME_MAX};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

pub fn run(input: &[u8]) {
    let read = Endpoint::from_bytes(input);
    match &read {
        Ok(Endpoint::Path(path)) => assert_eq!(path.as_os_str().as_bytes(), input),
        Ok(Endpoint::Abstract(name)) => assert_eq!(name, &input[1..]),
        Ok(Endpoint::Vsock { cid: _, port }) => assert_ne!(*port, u32::MAX),
        _ => {}
    }
    if let Ok(Endpoint::Path(_) | Endpoint::Abstract(_)) = read {
        assert!(input.len() - usize::from(input[0] == b'@') <= UNIX_NAME_MAX);
        assert!(input[0] == b'@' || !input.contains(&0));
    }
    if let Err(error) = &read {
        one_line(&error.to_string());
    }
    if let Ok(text) = std::str::from_utf8(input) {
        assert_eq!(text.parse(), read);
        standard(text, &read);
        if let Ok(endpoint) = &read {
            let written = endpoint.to_string();
            assert_eq!(written.parse().as_ref(), Ok(endpoint));
        }
    }
    for kind in [Kind::Stream, Kind::Datagram, Kind::SequentialPacket] {
        match Listen::from_bytes(kind, input) {
            Ok(listen) => {
                assert_eq!(listen.kind, kind);
                let prefix = listen.protocol.map_or(0, |protocol| protocol.name().len() + 1);
                assert_eq!(Endpoint::from_bytes(&input[prefix..]).as_ref(), Ok(&listen.endpoint));
                if std::str::from_utf8(input).is_ok() {
                    let written = listen.to_string();
                    assert_eq!(Listen::from_bytes(kind, written.as_bytes()), Ok(listen));
                }
            }
            Err(error) => one_line(&error.to_string()),
        }
        let unix = matches!(read, Ok(Endpoint::Path(_) | Endpoint::Abstract(_)));
        assert!(!unix || Listen::from_bytes(kind, input).is_ok());
    }
}

/// Its scopes are written otherwise.
fn standard(text: &str, read: &Result<Endpoint, echod::endpoint::AddressError>) {
    let theirs = text.parse::<SocketAddr>().ok();
    let plain = theirs.filter(|_| !text.contains('%'));
    if let Some(address) = plain {
        assert_eq!(read, &Ok(Endpoint::Ip(address)));
    }
    match read {
        Ok(Endpoint::Ip(address)) if !text.contains('%') => assert_eq!(plain, Some(*address)),
        Ok(Endpoint::Port(port)) => assert_eq!(text.parse(), Ok(*port)),
        _ => {}
    }
}

/// What a refusal says goes behind the text, on one line.
fn one_line(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}
