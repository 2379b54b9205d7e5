//! A journal for one child: a socket that the child finds where journald's is,
//! because it has a mount table of its own.

use super::child::forget_surroundings;
use super::isolated::{can_isolate, isolated};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

/// Covers `/run`, so that nothing is made on the machine itself, and shows our
/// folder where the journal's is.
const INSIDE: &str = r#"
    mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
    mount --bind "$0" /run/systemd/journal && exec "$@"
"#;

/// One record as the journal received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry(Vec<(String, Vec<u8>)>);

/// The fake journal. Nobody reads it but [`Journal::next`].
pub struct Journal {
    folder: tempfile::TempDir,
    socket: Option<UnixDatagram>,
    /// What a child has as standard error; the other end of it.
    stream: (OwnedFd, UnixStream),
}

impl Journal {
    /// None where mount tables of one's own are not allowed: the test is skipped.
    pub fn new() -> Option<Self> {
        if !can_isolate("--mount", "mount -t tmpfs tmpfs /run") {
            return None;
        }
        let (theirs, ours) = UnixStream::pair().expect("a socket pair");
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Self { folder, socket: None, stream: (theirs.into(), ours) };
        journal.come_back();
        Some(journal)
    }

    /// A command that runs with this journal, and with a standard error that
    /// `JOURNAL_STREAM` says to be the journal's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let stderr = self.stream.0.try_clone().expect("a descriptor");
        let itself = std::fs::File::from(stderr.try_clone().expect("a descriptor"));
        let itself = itself.metadata().expect("its inode");
        let mut command = isolated("--mount");
        forget_surroundings(&mut command);
        command.args(["sh", "-c", INSIDE]).arg(self.folder.path()).arg(program);
        command.env("JOURNAL_STREAM", format!("{}:{}", itself.dev(), itself.ino()));
        command.stderr(stderr);
        command
    }

    /// Nobody listens any more.
    pub fn go_away(&mut self) {
        self.socket = None;
        std::fs::remove_file(self.path()).expect("the journal's socket was there");
    }

    /// Somebody listens again.
    pub fn come_back(&mut self) {
        let socket = UnixDatagram::bind(self.path()).expect("a socket in our folder");
        // Who waits for a record that never comes fails rather than hangs. Some come
        // once a minute.
        socket.set_read_timeout(Some(Duration::from_secs(120))).expect("it is a socket");
        self.socket = Some(socket);
    }

    /// Waits for the next record; none once [`Journal::rest`] knows that the child has ended.
    pub fn next(&self) -> Option<Entry> {
        let mut datagram = vec![0; 1 << 20];
        let socket = self.socket.as_ref().expect("the journal is there");
        loop {
            match socket.recv(&mut datagram).expect("a datagram") {
                // This is how clients ask whether we are there.
                0 => {}
                length if &datagram[..length] == b"END" => return None,
                length => return Some(Entry::parse(&datagram[..length])),
            }
        }
    }

    /// All records that a child has sent by the time it ends, which it does well.
    pub fn rest(&self, mut child: Child) -> Vec<Entry> {
        let path = self.path();
        let ended = std::thread::spawn(move || {
            let status = child.wait().expect("a child");
            let socket = UnixDatagram::unbound().expect("a socket");
            socket.send_to(b"END", path).expect("the journal is there");
            status
        });
        let entries = std::iter::from_fn(|| self.next()).collect();
        let status = ended.join().expect("the child was waited for");
        assert!(status.success(), "the child ended with {status}");
        entries
    }

    /// What the child wrote to standard error so far.
    pub fn stderr(&mut self) -> String {
        self.stream.1.set_nonblocking(true).expect("a socket");
        let mut text = Vec::new();
        match self.stream.1.read_to_end(&mut text) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => String::from_utf8(text).expect("text"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Entry {
    /// Strict about the native protocol: whatever is not a field is a panic.
    fn parse(mut datagram: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !datagram.is_empty() {
            let line =
                datagram.iter().position(|b| *b == b'\n').expect("fields end with a newline");
            let (head, rest) = (&datagram[..line], &datagram[line + 1..]);
            let equals = head.iter().position(|b| *b == b'=');
            let (name, value, rest) = if let Some(at) = equals {
                (&head[..at], &head[at + 1..], rest)
            } else {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
                assert_eq!(rest[length], b'\n', "a value ends with a newline");
                (head, &rest[..length], &rest[length + 1..])
            };
            let name = std::str::from_utf8(name).expect("names are ASCII").to_owned();
            assert!(
                name.bytes().all(|b| b == b'_' || b.is_ascii_uppercase() || b.is_ascii_digit())
            );
            fields.push((name, value.to_vec()));
            datagram = rest;
        }
        Self(fields)
    }

    /// A field that is there at most once.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| std::str::from_utf8(value).expect("UTF-8"));
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// All fields but the source's place, which `tracing-journald` adds.
    pub fn fields(&self) -> BTreeMap<&str, &str> {
        let names = self.0.iter().map(|(name, _)| name.as_str());
        let ours = names.filter(|name| !matches!(*name, "CODE_FILE" | "CODE_LINE" | "TARGET"));
        ours.map(|name| (name, self.get(name).expect("a name that is there"))).collect()
    }
}
