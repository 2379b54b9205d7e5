//! How an address is written: systemd.socket(5).

use super::{Endpoint, UNIX_NAME_MAX, VSOCK_CID_ANY};
use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// Why a text is no address. It reads on after the text: "… is no address".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// None of the forms.
    Form,
    /// A port that is no number or beyond 65,535.
    Port,
    /// Not an IPv4 address before the colon.
    Ipv4,
    /// Not an IPv6 address in the brackets.
    Ipv6,
    /// No name or number of an interface after the `%`.
    Interface,
    /// A path or abstract name of nothing.
    UnixEmpty,
    /// A path or abstract name beyond [`UNIX_NAME_MAX`].
    UnixTooLong,
    /// A path with a NUL in it.
    UnixNul,
    /// A vsock address with a bad CID or port.
    Vsock,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str(
                "is no address: PORT, IPV4:PORT, [IPV6]:PORT, /PATH, @NAME and \
                 vsock:[CID]:PORT are allowed",
            ),
            Self::Port => f.write_str("has no port: 0 to 65535 are allowed"),
            Self::Ipv4 => f.write_str(
                "has no IPv4 address: IPV4:PORT with numbers only is allowed, \
                 such as 127.0.0.1:8080",
            ),
            Self::Ipv6 => f.write_str(
                "has no IPv6 address: [IPV6]:PORT and [IPV6]:PORT%INTERFACE are allowed, \
                 such as [::1]:8080",
            ),
            Self::Interface => {
                f.write_str("has no interface: a name of 1 to 15 bytes or a number is allowed")
            }
            Self::UnixEmpty => f.write_str("names no socket: something must follow the / or @"),
            Self::UnixTooLong => {
                write!(f, "is too long for a Unix socket: {UNIX_NAME_MAX} bytes are allowed")
            }
            Self::UnixNul => f.write_str("has a NUL in its path"),
            Self::Vsock => f.write_str(
                "is no vsock address: vsock:CID:PORT with numbers up to 4294967294 is allowed, \
                 or vsock::PORT for any CID",
            ),
        }
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl Endpoint {
    /// Reads an address whose path or abstract name need not be UTF-8.
    pub fn from_bytes(text: &[u8]) -> Result<Self, AddressError> {
        match text {
            [b'/', ..] => path(text),
            [b'@', name @ ..] => abstract_name(name),
            _ => numeric(std::str::from_utf8(text).map_err(|_| AddressError::Form)?),
        }
    }
}

fn path(text: &[u8]) -> Result<Endpoint, AddressError> {
    match text {
        b"/" => Err(AddressError::UnixEmpty),
        _ if text.len() > UNIX_NAME_MAX => Err(AddressError::UnixTooLong),
        _ if text.contains(&0) => Err(AddressError::UnixNul),
        _ => Ok(Endpoint::Path(PathBuf::from(OsStr::from_bytes(text)))),
    }
}

fn abstract_name(name: &[u8]) -> Result<Endpoint, AddressError> {
    match name.len() {
        0 => Err(AddressError::UnixEmpty),
        1..=UNIX_NAME_MAX => Ok(Endpoint::Abstract(name.to_vec())),
        _ => Err(AddressError::UnixTooLong),
    }
}

fn numeric(text: &str) -> Result<Endpoint, AddressError> {
    if let Some(rest) = text.strip_prefix("vsock:") {
        let (cid, port) = rest.split_once(':').ok_or(AddressError::Vsock)?;
        let cid = if cid.is_empty() { VSOCK_CID_ANY } else { vsock_number(cid)? };
        return Ok(Endpoint::Vsock { cid, port: vsock_number(port)? });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once("]:").ok_or(AddressError::Ipv6)?;
        return ipv6(address.parse().map_err(|_| AddressError::Ipv6)?, rest);
    }
    match text.rsplit_once(':') {
        // Without brackets nobody can tell where an IPv6 address ends.
        Some((address, _)) if address.contains(':') => Err(AddressError::Form),
        Some((address, port_text)) => {
            let address: Ipv4Addr = address.parse().map_err(|_| AddressError::Ipv4)?;
            Ok(Endpoint::Ip(SocketAddr::from((address, port(port_text)?))))
        }
        None if digits(text) => Ok(Endpoint::Port(port(text)?)),
        None => Err(AddressError::Form),
    }
}

fn ipv6(address: Ipv6Addr, rest: &str) -> Result<Endpoint, AddressError> {
    let Some((port_text, interface)) = rest.split_once('%') else {
        return Ok(Endpoint::Ip(SocketAddr::from((address, port(rest)?))));
    };
    let port = port(port_text)?;
    if digits(interface) {
        return match interface.parse() {
            Ok(scope) if scope > 0 => {
                Ok(Endpoint::Ip(SocketAddrV6::new(address, port, 0, scope).into()))
            }
            _ => Err(AddressError::Interface),
        };
    }
    // The kernel's own rule for names, whose buffer has 16 bytes with the NUL.
    let strange = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    if !(1..16).contains(&interface.len()) || interface.contains(strange) {
        return Err(AddressError::Interface);
    }
    Ok(Endpoint::Link { address, port, interface: interface.to_owned() })
}

fn port(text: &str) -> Result<u16, AddressError> {
    text.parse().ok().filter(|_| digits(text)).ok_or(AddressError::Port)
}

/// The largest number means any, to the kernel.
fn vsock_number(text: &str) -> Result<u32, AddressError> {
    let number = text.parse().ok().filter(|_| digits(text)).ok_or(AddressError::Vsock)?;
    if number == u32::MAX { Err(AddressError::Vsock) } else { Ok(number) }
}

/// The standard library's numbers may begin with a `+`.
fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Endpoint {
    /// The text that was read. Paths and names are as the operator wrote them:
    /// escape them where control characters would do harm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{port}"),
            Self::Ip(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
                write!(f, "[{}]:{}%{}", v6.ip(), v6.port(), v6.scope_id())
            }
            Self::Ip(address) => address.fmt(f),
            Self::Link { address, port, interface } => write!(f, "[{address}]:{port}%{interface}"),
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Self::Vsock { cid: VSOCK_CID_ANY, port } => write!(f, "vsock::{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> Endpoint {
        Endpoint::Ip(text.parse().unwrap())
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        let link = Endpoint::Link {
            address: "fe80::1".parse().unwrap(),
            port: 7,
            interface: "eth0.7".into(),
        };
        for (text, endpoint) in [
            ("7", Endpoint::Port(7)),
            ("0", Endpoint::Port(0)),
            ("65535", Endpoint::Port(65_535)),
            ("127.0.0.1:8080", ip("127.0.0.1:8080")),
            ("[::1]:8080", ip("[::1]:8080")),
            ("[::]:7", ip("[::]:7")),
            ("[fe80::1]:7%2", ip("[fe80::1%2]:7")),
            ("[fe80::1]:7%eth0.7", link),
            ("/run/x.sock", Endpoint::Path("/run/x.sock".into())),
            ("/run/a=b c", Endpoint::Path("/run/a=b c".into())),
            ("@abstract", Endpoint::Abstract(b"abstract".into())),
            ("@@", Endpoint::Abstract(b"@".into())),
            ("vsock:2:1234", Endpoint::Vsock { cid: 2, port: 1234 }),
            ("vsock::0", Endpoint::Vsock { cid: VSOCK_CID_ANY, port: 0 }),
            ("vsock:4294967294:4294967294", Endpoint::Vsock { cid: !1, port: !1 }),
        ] {
            assert_eq!(text.parse(), Ok(endpoint.clone()), "{text}");
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for (text, error) in [
            ("", AddressError::Form),
            ("x", AddressError::Form),
            ("-1", AddressError::Form),
            ("+7", AddressError::Form),
            (" 7", AddressError::Form),
            ("7 ", AddressError::Form),
            ("run/x.sock", AddressError::Form),
            ("::1:8080", AddressError::Form),
            ("::1", AddressError::Form),
            ("65536", AddressError::Port),
            ("127.0.0.1:65536", AddressError::Port),
            ("127.0.0.1:", AddressError::Port),
            ("127.0.0.1:+7", AddressError::Port),
            ("127.0.0.1:http", AddressError::Port),
            ("[::1]:", AddressError::Port),
            ("[::1]:65536%1", AddressError::Port),
            ("localhost:8080", AddressError::Ipv4),
            (":8080", AddressError::Ipv4),
            ("127.1:8080", AddressError::Ipv4),
            ("[::1]", AddressError::Ipv6),
            ("[::1", AddressError::Ipv6),
            ("[127.0.0.1]:8080", AddressError::Ipv6),
            ("[fe80::1%eth0]:8080", AddressError::Ipv6),
            ("[fe80::1]:8080%", AddressError::Interface),
            ("[fe80::1]:8080%0", AddressError::Interface),
            ("[fe80::1]:8080%4294967296", AddressError::Interface),
            ("[fe80::1]:8080%a b", AddressError::Interface),
            ("[fe80::1]:8080%a/b", AddressError::Interface),
            ("[fe80::1]:8080%sixteen-bytes-xx", AddressError::Interface),
            ("/", AddressError::UnixEmpty),
            ("@", AddressError::UnixEmpty),
            ("/a\0b", AddressError::UnixNul),
            ("vsock:", AddressError::Vsock),
            ("vsock:1", AddressError::Vsock),
            ("vsock:1:", AddressError::Vsock),
            ("vsock:1:2:3", AddressError::Vsock),
            ("vsock:x:1", AddressError::Vsock),
            ("vsock:4294967295:1", AddressError::Vsock),
            ("vsock:1:4294967295", AddressError::Vsock),
            ("vsock:1:4294967296", AddressError::Vsock),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_unix_name_has_107_bytes_at_most() {
        for first in ["/", "@"] {
            let fits = first.to_owned() + &"x".repeat(if first == "/" { 106 } else { 107 });
            assert!(fits.parse::<Endpoint>().is_ok(), "{first}");
            assert_eq!((fits + "x").parse::<Endpoint>(), Err(AddressError::UnixTooLong), "{first}");
        }
    }

    #[test]
    fn a_unix_name_need_not_be_text() {
        let path = Endpoint::from_bytes(b"/run/\xff").unwrap();
        assert_eq!(path, Endpoint::Path(PathBuf::from(OsStr::from_bytes(b"/run/\xff"))));
        assert_eq!(Endpoint::from_bytes(b"@\0\xff"), Ok(Endpoint::Abstract(b"\0\xff".into())));
        assert_eq!(Endpoint::from_bytes(b"7\xff"), Err(AddressError::Form));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = Endpoint::from_bytes(&bytes);
        }

        #[test]
        fn what_was_read_is_written_so_that_it_reads_the_same(
            text in r"(|vsock:|\[|@|/)[0-9a-f:.]{0,12}(|\]):[0-9]{0,6}(|%[a-z0-9]{0,4})"
        ) {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
            }
        }
    }
}
