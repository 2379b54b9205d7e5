//! A socket that echod binds itself, as the operator writes it.

use crate::echo::Protocol;
use crate::endpoint::{AddressError, Endpoint, Kind};
use std::fmt;

/// A socket that echod binds itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Stream, datagram or sequential packet.
    pub kind: Kind,
    /// Where.
    pub endpoint: Endpoint,
    /// What it speaks; [`Config::protocol`](super::Config::protocol) if nothing was said.
    pub protocol: Option<Protocol>,
}

/// Why there is no such socket. It reads on after the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// What stands before the `=` is no protocol.
    Protocol,
    /// What follows is no address.
    Address(AddressError),
    /// Only Unix sockets have sequential packets.
    SequentialPacket,
    /// Machines talk to each other in streams only.
    VsockDatagram,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol => f.write_str(
                "has no known protocol: reply=, line= and rfc862= are allowed before an address",
            ),
            Self::Address(error) => error.fmt(f),
            Self::SequentialPacket => {
                f.write_str("has no sequential packets: /PATH and @NAME are allowed")
            }
            Self::VsockDatagram => f.write_str(
                "has no datagrams: PORT, IPV4:PORT, [IPV6]:PORT, /PATH and @NAME are allowed",
            ),
        }
    }
}

impl std::error::Error for ListenError {}

impl Listen {
    /// Reads `[PROTOCOL=]ADDRESS`.
    pub fn from_bytes(kind: Kind, text: &[u8]) -> Result<Self, ListenError> {
        let (protocol, address) = split_protocol(text)?;
        let endpoint = Endpoint::from_bytes(address).map_err(ListenError::Address)?;
        match (kind, &endpoint) {
            (Kind::Datagram, Endpoint::Vsock { .. }) => Err(ListenError::VsockDatagram),
            (Kind::Stream | Kind::Datagram, _)
            | (Kind::SequentialPacket, Endpoint::Path(_) | Endpoint::Abstract(_)) => {
                Ok(Self { kind, endpoint, protocol })
            }
            (Kind::SequentialPacket, _) => Err(ListenError::SequentialPacket),
        }
    }
}

/// A path may contain an `=` of its own.
fn split_protocol(text: &[u8]) -> Result<(Option<Protocol>, &[u8]), ListenError> {
    let equals = text.iter().position(|&byte| byte == b'=');
    match (text.first(), equals) {
        (Some(b'/' | b'@'), _) | (_, None) => Ok((None, text)),
        (_, Some(end)) => std::str::from_utf8(&text[..end])
            .ok()
            .and_then(|word| word.parse().ok())
            .map(|protocol| (Some(protocol), &text[end + 1..]))
            .ok_or(ListenError::Protocol),
    }
}

impl fmt::Display for Listen {
    /// The text that was read; escape it as the address's own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{protocol}=")?;
        }
        self.endpoint.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Listen, ListenError> {
        Listen::from_bytes(kind, text.as_bytes())
    }

    #[test]
    fn a_protocol_may_stand_before_the_address() {
        for (text, protocol, address) in [
            ("7", None, "7"),
            ("reply=8080", Some(Protocol::Reply), "8080"),
            ("line=[::1]:7", Some(Protocol::Line), "[::1]:7"),
            ("rfc862=/run/a=b", Some(Protocol::Rfc862), "/run/a=b"),
            ("/run/line=7", None, "/run/line=7"),
            ("@line=7", None, "@line=7"),
        ] {
            let listen = read(Kind::Stream, text).unwrap();
            assert_eq!(listen.protocol, protocol, "{text}");
            assert_eq!(listen.endpoint.to_string(), address, "{text}");
            assert_eq!(listen.to_string(), text);
        }
    }

    #[test]
    fn an_unknown_protocol_or_a_bad_address_is_told_apart() {
        assert_eq!(read(Kind::Stream, "http=80"), Err(ListenError::Protocol));
        assert_eq!(read(Kind::Stream, "=80"), Err(ListenError::Protocol));
        assert_eq!(read(Kind::Stream, "Reply=80"), Err(ListenError::Protocol));
        let form = Err(ListenError::Address(AddressError::Form));
        assert_eq!(read(Kind::Stream, "reply="), form);
        assert_eq!(read(Kind::Stream, "reply=line=7"), form);
    }

    #[test]
    fn each_kind_of_socket_has_its_addresses() {
        for (kind, text, error) in [
            (Kind::Stream, "vsock::7", None),
            (Kind::Datagram, "vsock::7", Some(ListenError::VsockDatagram)),
            (Kind::Datagram, "7", None),
            (Kind::Datagram, "/run/x", None),
            (Kind::SequentialPacket, "/run/x", None),
            (Kind::SequentialPacket, "@x", None),
            (Kind::SequentialPacket, "7", Some(ListenError::SequentialPacket)),
            (Kind::SequentialPacket, "[::1]:7", Some(ListenError::SequentialPacket)),
            (Kind::SequentialPacket, "[::1]:7%lo", Some(ListenError::SequentialPacket)),
            (Kind::SequentialPacket, "vsock::7", Some(ListenError::SequentialPacket)),
        ] {
            assert_eq!(read(kind, text).err(), error, "{kind} {text}");
        }
    }
}
