//! Whom to talk to, as the operator writes it.

use crate::endpoint::{AddressError, Endpoint};
use std::fmt;
use std::path::PathBuf;

/// Whom to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A stream over TCP.
    Tcp(Host),
    /// Datagrams over UDP.
    Udp(Host),
    /// A stream over a Unix socket.
    Unix(UnixName),
}

/// A machine and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// A name or an address, as the system's resolver takes it.
    pub(super) name: String,
    /// The port.
    pub(super) port: u16,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UnixName {
    /// In the file system.
    Path(PathBuf),
    /// Not there: an abstract name, without the `@`.
    Abstract(Vec<u8>),
}

/// Why a text is no target. It reads on after the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetError {
    /// None of the forms.
    Form,
    /// No number behind the last colon, or none that is a port.
    Port,
    /// Nothing before it.
    Name,
    /// Not an address.
    Address(AddressError),
    /// `unix:` with something else behind it.
    NoUnix,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str(
                "is no target: HOST:PORT, tcp:HOST:PORT, udp:HOST:PORT and unix:/PATH or \
                 unix:@NAME are allowed",
            ),
            Self::Port => f.write_str("has no port: 1 to 65535 are allowed"),
            Self::Name => f.write_str("has no host before its port"),
            Self::Address(error) => error.fmt(f),
            Self::NoUnix => f.write_str("has no Unix socket: /PATH and @NAME are allowed"),
        }
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// Reads `[tcp:|udp:]HOST:PORT` or `unix:/PATH`; addresses are written as
    /// those that echod listens on.
    pub(super) fn from_bytes(text: &[u8]) -> Result<Self, TargetError> {
        if let Some(rest) = text.strip_prefix(b"unix:") {
            return unix(rest);
        }
        if let [b'/' | b'@', ..] = text {
            return unix(text);
        }
        let text = std::str::from_utf8(text).map_err(|_| TargetError::Form)?;
        match text.strip_prefix("udp:") {
            Some(rest) => host(rest).map(Self::Udp),
            None => host(text.strip_prefix("tcp:").unwrap_or(text)).map(Self::Tcp),
        }
    }
}

fn unix(text: &[u8]) -> Result<Target, TargetError> {
    match Endpoint::from_bytes(text) {
        Ok(Endpoint::Path(path)) => Ok(Target::Unix(UnixName::Path(path))),
        Ok(Endpoint::Abstract(name)) => Ok(Target::Unix(UnixName::Abstract(name))),
        Err(error) if matches!(text, [b'/' | b'@', ..]) => Err(TargetError::Address(error)),
        _ => Err(TargetError::NoUnix),
    }
}

fn host(text: &str) -> Result<Host, TargetError> {
    let of = |name: String, port: u16| match port {
        0 => Err(TargetError::Port),
        _ => Ok(Host { name, port }),
    };
    if text.starts_with('[') {
        return match text.parse().map_err(TargetError::Address)? {
            Endpoint::Ip(address) => {
                let text = address.to_string();
                let (name, _) = text.rsplit_once("]:").ok_or(TargetError::Form)?;
                of(name.trim_start_matches('[').to_owned(), address.port())
            }
            Endpoint::Link { address, port, interface } => {
                of(format!("{address}%{interface}"), port)
            }
            _ => Err(TargetError::Form),
        };
    }
    // A port alone is one of this machine's.
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
            ("localhost", text)
        }
        None => return Err(TargetError::Form),
    };
    if name.contains(':') {
        return Err(TargetError::Form);
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::Port);
    }
    if name.is_empty() {
        return Err(TargetError::Name);
    }
    of(name.to_owned(), port.parse().map_err(|_| TargetError::Port)?)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "tcp:{host}"),
            Self::Udp(host) => write!(f, "udp:{host}"),
            Self::Unix(UnixName::Path(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(UnixName::Abstract(name)) => {
                write!(f, "unix:@{}", String::from_utf8_lossy(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, TargetError> {
        Target::from_bytes(text.as_bytes()).map(|target| target.to_string())
    }

    #[test]
    fn targets_are_written_like_the_daemons_addresses() {
        for (text, target) in [
            ("localhost:7", "tcp:localhost:7"),
            ("127.0.0.1:8080", "tcp:127.0.0.1:8080"),
            ("tcp:example.org:7", "tcp:example.org:7"),
            ("udp:[::1]:7", "udp:[::1]:7"),
            ("[fe80::1]:7%eth0", "tcp:[fe80::1%eth0]:7"),
            ("[fe80::1]:7%2", "tcp:[fe80::1%2]:7"),
            ("7", "tcp:localhost:7"),
            ("udp:7", "udp:localhost:7"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("/run/x.sock", "unix:/run/x.sock"),
            ("unix:@name", "unix:@name"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(target), "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_its_reason() {
        for (text, error) in [
            ("", TargetError::Form),
            ("localhost", TargetError::Form),
            ("::1:7", TargetError::Form),
            ("localhost:", TargetError::Port),
            ("localhost:x", TargetError::Port),
            ("localhost:0", TargetError::Port),
            ("localhost:65536", TargetError::Port),
            (":7", TargetError::Name),
            ("[::1]", TargetError::Address(AddressError::Ipv6)),
            ("[::1]:0", TargetError::Port),
            ("unix:relative", TargetError::NoUnix),
            ("unix:7", TargetError::NoUnix),
            ("unix:/", TargetError::Address(AddressError::UnixEmpty)),
            ("localhost:+7", TargetError::Port),
        ] {
            assert_eq!(shown(text), Err(error), "{text}");
        }
    }
}
