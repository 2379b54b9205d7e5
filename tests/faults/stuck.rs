//! A peer of `rfc862` that is owed an answer through whatever happens.

use crate::support::peer::{End, connect_narrow, half_close, rest, stuff};
use std::net::{SocketAddr, TcpStream};

pub(crate) struct Stuck {
    stream: TcpStream,
    /// All that it has said, of which it has heard nothing.
    said: Vec<u8>,
}

impl Stuck {
    /// Says as much as goes.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let mut stream = connect_narrow(address);
        let mut said: Vec<_> = (0..=250_u8).cycle().take(32 << 20).collect();
        let length = stuff(&mut stream, &said);
        assert!(length < said.len(), "it waits for its answer");
        said.truncate(length);
        Self { stream, said }
    }

    /// Hears all that it is owed; how many bytes that was.
    pub(crate) fn hear(mut self) -> usize {
        half_close(&self.stream);
        let (heard, end) = rest(&mut self.stream);
        let said = self.said.len();
        assert!(heard == self.said && end == End::Eof, "{} of {said}, {end:?}", heard.len());
        said
    }
}
