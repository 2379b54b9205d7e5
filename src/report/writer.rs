//! The thread that writes. It may wait for a slow journal as long as it likes:
//! nobody waits for it, but for a moment at the end.

use super::budget::MINUTE;
use super::escape::Line;
use super::journal::Journal;
use super::record::Record;
use crate::config::Level;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

/// Where records go.
pub(super) enum Sink {
    /// The journal, with fields.
    Journal(Journal),
    /// Standard error, read by people.
    Lines(File),
    /// Standard error, read by the journal, which takes a priority from `<4>`.
    Marked(File),
}

impl Sink {
    /// The journal if standard error is one, as `JOURNAL_STREAM` says; if it is
    /// but cannot be reached natively, a record says why.
    pub(super) fn open(journal_stream: Option<&str>) -> io::Result<(Self, Option<Record>)> {
        // A descriptor of our own: std's handle has a lock, and while we waited
        // for a slow reader with it, nobody else could say a last word.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let itself = stderr.metadata()?;
        if journal_stream != Some(&format!("{}:{}", itself.dev(), itself.ino())) {
            return Ok((Self::Lines(stderr), None));
        }
        Ok(match Journal::open() {
            Ok(journal) => (Self::Journal(journal), None),
            Err(error) => (Self::Marked(stderr), Some(Record::NoJournal(error.to_string()))),
        })
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        match self {
            Self::Journal(journal) => journal.write(record),
            Self::Lines(file) => {
                file.write_all(format!("echod: {}\n", Line(&record.to_string())).as_bytes())
            }
            Self::Marked(file) => {
                let priority = match record.level() {
                    Level::Error => 3,
                    Level::Warning => 4,
                    Level::Info => 6,
                    Level::Debug => 7,
                };
                let line = format!("<{priority}>{}\n", Line(&record.to_string()));
                file.write_all(line.as_bytes())
            }
        }
    }
}

/// What the writer has besides the queue.
pub(super) struct Writer<'a> {
    /// Where records go.
    pub(super) sink: Sink,
    /// Records that nobody will read: those that found the queue full, and
    /// those that the sink refused.
    pub(super) lost: &'a AtomicU64,
    /// Whether losses are told: not if only errors are.
    pub(super) level: Level,
}

impl Writer<'_> {
    /// Writes until nobody can send any more, and then what was lost.
    pub(super) fn run(mut self, queue: &Receiver<Record>) {
        let mut told: Option<Instant> = None;
        // Only with a loss to tell is there anything to wake up for.
        let mut wake: Option<Instant> = None;
        loop {
            let record = match wake {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let over = record == Err(RecvTimeoutError::Disconnected);
            let waited = record == Err(RecvTimeoutError::Timeout);
            let written = record.is_ok_and(|record| self.write(&record).is_ok());
            let now = Instant::now();
            let due = told.is_none_or(|told| now - told >= MINUTE);
            if (over || waited || (due && written)) && self.tell_losses() {
                told = Some(now);
            }
            if over {
                return;
            }
            wake = match wake {
                _ if self.losses() == 0 => None,
                Some(at) if at > now => Some(at),
                _ => Some(now + MINUTE),
            };
        }
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.sink.write(record).inspect_err(|_| {
            self.lost.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Losses that are to be told.
    fn losses(&self) -> u64 {
        if self.level < Level::Warning { 0 } else { self.lost.load(Ordering::Relaxed) }
    }

    /// Whether there was something to tell, and somebody to tell it to.
    fn tell_losses(&mut self) -> bool {
        let count = self.losses();
        if count == 0 || self.sink.write(&Record::Lost(count)).is_err() {
            return false;
        }
        self.lost.fetch_sub(count, Ordering::Relaxed);
        true
    }
}
