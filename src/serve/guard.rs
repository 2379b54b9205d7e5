//! Who gets no answer to a datagram, so that nobody can be attacked through us
//! (CERT VU#417980). Pure.

use crate::config::Ports;
use crate::conversation::Refusal;
use std::net::{IpAddr, SocketAddr};

/// Ports below this are where services answer: an answer to one of them could
/// begin a loop without end.
const SERVICES: u16 = 1_024;

/// Judges datagrams of one socket.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    own: SocketAddr,
    refused: Ports,
}

impl Guard {
    /// A guard for the socket with this address.
    pub(super) fn new(own: SocketAddr, refused: Ports) -> Self {
        Self { own: SocketAddr::new(own.ip().to_canonical(), own.port()), refused }
    }

    /// Whether this is the only address that the socket can be asked by.
    pub(super) fn is_for(&self, asked: Option<IpAddr>) -> bool {
        asked == Some(self.own.ip())
    }

    /// Whether the sender of a datagram gets an answer. `asked` is the address
    /// that it was sent to, if that is known, and `is_broadcast` says that the
    /// kernel calls it one of many machines.
    pub(super) fn check(
        &self,
        source: SocketAddr,
        asked: Option<IpAddr>,
        is_broadcast: bool,
    ) -> Result<(), Refusal> {
        let (address, port) = (source.ip().to_canonical(), source.port());
        let is_ours = self.own.ip().is_unspecified() || self.own.ip() == address;
        if port < SERVICES || self.refused.contains(port) {
            Err(Refusal::SourcePort)
        } else if port == self.own.port() && is_ours {
            Err(Refusal::OwnAddress)
        } else if is_many(address) || address.is_unspecified() {
            Err(Refusal::SourceBroadcast)
        } else if is_broadcast || asked.is_some_and(is_many) {
            Err(Refusal::SentToBroadcast)
        } else {
            Ok(())
        }
    }
}

/// Whether this is no single machine's address.
fn is_many(address: IpAddr) -> bool {
    match address.to_canonical() {
        // 240.0.0.0/4 is nobody's, and its last is everybody's.
        IpAddr::V4(v4) => v4.is_multicast() || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &str, source: &str, asked: &str) -> Result<(), Refusal> {
        let guard = Guard::new(own.parse().unwrap(), Ports::new(vec![2049, 5353]));
        guard.check(source.parse().unwrap(), Some(asked.parse().unwrap()), false)
    }

    #[test]
    fn ports_of_services_get_no_answer() {
        for port in [0, 1, 7, 19, 53, 1023, 2049, 5353] {
            let refused = check("0.0.0.0:7", &format!("192.0.2.1:{port}"), "192.0.2.9");
            assert_eq!(refused, Err(Refusal::SourcePort), "{port}");
            let refused = check("[::]:7", &format!("[2001:db8::1]:{port}"), "2001:db8::9");
            assert_eq!(refused, Err(Refusal::SourcePort), "{port}");
        }
        for port in [1024, 2048, 2050, 40_000, 65_535] {
            assert_eq!(check("0.0.0.0:7", &format!("192.0.2.1:{port}"), "192.0.2.9"), Ok(()));
        }
    }

    #[test]
    fn our_own_address_gets_no_answer() {
        let own = Err(Refusal::OwnAddress);
        assert_eq!(check("192.0.2.9:4000", "192.0.2.9:4000", "192.0.2.9"), own);
        assert_eq!(check("192.0.2.9:4000", "192.0.2.9:4001", "192.0.2.9"), Ok(()));
        assert_eq!(check("192.0.2.9:4000", "192.0.2.8:4000", "192.0.2.9"), Ok(()));
        // The addresses of a wildcard socket come and go.
        assert_eq!(check("0.0.0.0:4000", "192.0.2.8:4000", "192.0.2.9"), own);
        assert_eq!(check("[::]:4000", "192.0.2.8:4000", "192.0.2.9"), own);
        assert_eq!(check("[::]:4000", "[::ffff:192.0.2.8]:4000", "192.0.2.9"), own);
        assert_eq!(check("[::1]:4000", "[::1]:4000", "::1"), own);
    }

    #[test]
    fn sources_that_are_many_get_no_answer() {
        for source in ["224.0.0.1", "239.9.9.9", "240.0.0.1", "255.255.255.255", "0.0.0.0"] {
            let refused = check("[::]:7", &format!("{source}:4000"), "192.0.2.9");
            assert_eq!(refused, Err(Refusal::SourceBroadcast), "{source}");
        }
        for source in ["ff02::1", "::", "::ffff:224.0.0.1"] {
            let refused = check("[::]:7", &format!("[{source}]:4000"), "2001:db8::9");
            assert_eq!(refused, Err(Refusal::SourceBroadcast), "{source}");
        }
    }

    #[test]
    fn what_was_sent_to_many_gets_no_answer() {
        for asked in ["255.255.255.255", "224.0.0.251", "ff02::1"] {
            let refused = check("[::]:7", "192.0.2.1:4000", asked);
            assert_eq!(refused, Err(Refusal::SentToBroadcast), "{asked}");
        }
        let guard = Guard::new("0.0.0.0:7".parse().unwrap(), Ports::default());
        let (source, asked) = ("192.0.2.1:4000".parse().unwrap(), "192.0.2.255".parse().unwrap());
        assert_eq!(guard.check(source, Some(asked), true), Err(Refusal::SentToBroadcast));
        assert_eq!(guard.check(source, None, false), Ok(()));
    }
}
