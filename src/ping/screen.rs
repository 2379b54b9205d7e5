//! The terminal, or whoever reads us: lines or objects on stdout, and on a
//! terminal one line on stderr that tells how far it is.

use super::event::{Event, Line, Many, Milliseconds, Object};
use super::plan::Show;
use super::summary::Summary;
use super::tally::Tally;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

/// How often the progress is drawn, in times a second.
pub(super) const PICTURES: u8 = 10;

/// Where everything is shown.
#[derive(Debug)]
pub(super) struct Screen {
    show: Show,
    many: Many,
    out: BufWriter<Stdout>,
    /// Drawn on a terminal only.
    bar: ProgressBar,
    /// Under load, lines are written together.
    is_hurried: bool,
    is_gone: bool,
}

impl Screen {
    /// A screen for what shall be shown.
    pub(super) fn new(show: Show, many: Many, is_hurried: bool) -> Self {
        let target = if show.events && io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(PICTURES)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        Self { show, many, out, bar, is_hurried, is_gone: false }
    }

    /// Whether nobody reads any more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Says what happened, if anybody wants to know.
    pub(super) fn say(&mut self, event: &Event<'_>) {
        if !(if event.what.is_well() { self.show.answers } else { self.show.events }) {
            return;
        }
        if self.show.json {
            self.write(format_args!("{}\n", Object(event)));
        } else {
            let line = Line(event, self.many).to_string();
            if !line.is_empty() {
                self.write(format_args!("{line}\n"));
            }
        }
        if !self.is_hurried {
            self.flush();
        }
    }

    /// Shows how far it is.
    pub(super) fn progress(&mut self, tally: &Tally) {
        self.flush();
        if self.bar.is_hidden() {
            return;
        }
        let counts = &tally.counts;
        let mut text = format!("{} sent, {} back", counts.sent, counts.received);
        for (count, word) in [
            (counts.corrupted, "corrupted"),
            (counts.duplicated, "duplicated"),
            (counts.reordered, "reordered"),
        ] {
            if count > 0 {
                text += &format!(", {count} {word}");
            }
        }
        if let Some(times) = tally.times() {
            text += &format!(", median {}", Milliseconds(times.median));
        }
        self.bar.set_message(text);
        self.bar.tick();
    }

    /// Says what it was.
    pub(super) fn finish(&mut self, summary: &Summary, is_load: bool) {
        self.bar.finish_and_clear();
        if self.show.json {
            if self.show.events {
                self.write(format_args!("{}\n", summary.run_object()));
            }
            self.write(format_args!("{summary}\n"));
        } else {
            self.write(format_args!("{}\n", summary.line()));
            if self.show.events {
                if let Some(times) = summary.times() {
                    self.write(format_args!("{times}\n"));
                }
                if is_load {
                    self.write(format_args!("{}\n", summary.load()));
                }
            }
        }
        if self.show.histogram && !self.show.json {
            self.write(format_args!("{}", summary.histogram()));
        }
        self.flush();
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        let out = &mut self.out;
        let result = if self.bar.is_hidden() {
            out.write_fmt(text)
        } else {
            // Both may be the same terminal.
            self.bar.suspend(|| out.write_fmt(text).and_then(|()| out.flush()))
        };
        self.is_gone |= result.is_err();
    }

    fn flush(&mut self) {
        self.is_gone |= self.out.flush().is_err();
    }
}

/// Writes one line to stderr, without anything that moves the cursor.
pub(super) fn complain(what: &str) {
    let harmless: String = what
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] })
        .collect();
    // Who closed stderr does not want to know.
    let _ = writeln!(io::stderr(), "echo-ping: {harmless}");
}
