//! What a run was, in the end.

use super::event::{Micros, Milliseconds, Text};
use super::tally::{Counts, Tally, Times, real};
use super::verdict::Verdict;
use std::fmt::{self, Write};
use std::time::Duration;

/// How wide the longest bar of a histogram is, in columns.
const BAR: u64 = 40;
/// How many steps a histogram has.
const ROWS: u32 = 16;

/// What a run was.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// The figures.
    pub(super) tally: Tally,
    /// What they amount to.
    pub(super) verdict: Verdict,
    /// Why there was no connection.
    pub(super) unreached: Option<String>,
    /// How much loss was allowed, in per cent.
    pub(super) loss_max: f64,
    /// How it went as load.
    pub(super) load: Load,
}

/// How it went as load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// How many connections were made.
    pub(super) connections: usize,
    /// From the first message to the end.
    pub(super) length: Duration,
    /// How long a processor worked for it.
    pub(super) processor: Duration,
}

impl Load {
    /// Messages a second.
    fn rate(&self, counts: &Counts) -> f64 {
        real(counts.received) / self.length.as_secs_f64().max(1e-9)
    }

    /// Bytes a second, each way.
    fn bytes(&self, counts: &Counts) -> f64 {
        real(counts.bytes) / self.length.as_secs_f64().max(1e-9)
    }

    /// The part of one processor that we used, 0 to 1 and a little.
    fn share(&self) -> f64 {
        self.processor.as_secs_f64() / self.length.as_secs_f64().max(1e-9)
    }
}

impl Summary {
    /// The line for monitoring: a status, what it means, and the figures as
    /// performance data.
    pub(super) fn line(&self) -> String {
        let counts = &self.tally.counts;
        let mut line = format!("ECHO {}: ", self.verdict.word());
        if let Some(why) = &self.unreached {
            line += &format!("{}; ", why.replace(['|', '\n'], " "));
        }
        let lost = counts.lost();
        line += &format!("{} sent, {} received, {lost} lost", counts.sent, counts.received);
        if counts.late > 0 {
            line += &format!(" ({} came too late)", counts.late);
        }
        if counts.missing > 0 {
            line += &format!(", {} could not be sent", counts.missing);
        }
        let Counts { duplicated, reordered, corrupted, .. } = counts;
        line += &format!(
            ", {duplicated} duplicated, {reordered} reordered, {corrupted} corrupted |{}",
            self.performance()
        );
        line
    }

    /// ` 'label'=value[unit];[warning];[critical];[minimum];[maximum]`
    fn performance(&self) -> String {
        let counts = &self.tally.counts;
        let mut data = format!(" loss={:.3}%;{};;0;100", counts.loss(), self.loss_max);
        let corrupted = format!("{};;0;0", counts.corrupted);
        for (label, value) in [
            ("sent", counts.sent.to_string()),
            ("received", counts.received.to_string()),
            ("lost", counts.lost().to_string()),
            ("duplicated", counts.duplicated.to_string()),
            ("reordered", counts.reordered.to_string()),
            ("corrupted", corrupted),
        ] {
            data += &format!(" {label}={value}");
        }
        let seconds =
            |label: &str, time: Duration| format!(" {label}={:.6}s;;;0", time.as_secs_f64());
        data.extend(self.tally.connect().map(|time| seconds("connect", time)));
        if let Some(times) = self.tally.times() {
            let Times { min, median, p90, p99, max, jitter } = times;
            data += &seconds("rtt_min", min);
            data += &seconds("rtt_median", median);
            data += &seconds("rtt_p90", p90);
            data += &seconds("rtt_p99", p99);
            data += &seconds("rtt_max", max);
            data += &seconds("jitter", jitter);
        }
        data
    }

    /// The times, for people; none if there are none.
    pub(super) fn times(&self) -> Option<String> {
        let mut text = match self.tally.connect() {
            Some(time) => format!("connect {}, ", Milliseconds(time)),
            None => String::new(),
        };
        let Times { min, median, p90, p99, max, jitter } = self.tally.times()?;
        text += "round trip min/median/p90/p99/max ";
        let all = [min, median, p90, p99, max].map(|time| {
            let text = Milliseconds(time).to_string();
            text.trim_end_matches(" ms").to_owned()
        });
        text += &format!("{} ms, jitter {}", all.join("/"), Milliseconds(jitter));
        Some(text)
    }

    /// How it went as load, for people.
    pub(super) fn load(&self) -> String {
        let (load, counts) = (&self.load, &self.tally.counts);
        format!(
            "{} connection{}, {:.1} s, {:.0} answers/s, {:.1} MB/s each way; \
             echo-ping itself used {:.0} % of a processor",
            load.connections,
            if load.connections == 1 { "" } else { "s" },
            load.length.as_secs_f64(),
            load.rate(counts),
            load.bytes(counts) / 1e6,
            load.share() * 100.0
        )
    }

    /// The round trips, drawn.
    pub(super) fn histogram(&self) -> String {
        let steps = self.tally.steps(ROWS);
        let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let mut text = String::new();
        for (end, count) in steps {
            let bar = eighths(count, most);
            let _ = writeln!(text, "{:>12} {count:>10} {bar}", Milliseconds(end).to_string());
        }
        text
    }

    /// The last object but one: what has no place in the last.
    pub(super) fn run_object(&self) -> String {
        let (load, counts) = (&self.load, &self.tally.counts);
        let reason = self.unreached.as_deref().map(|why| Text(why).to_string());
        format!(
            r#"{{"type":"run","verdict":"{}","reason":{},"connections":{},"seconds":{:.3},"answers_per_second":{:.1},"bytes_per_second":{:.0},"cpu_share":{:.3},"late":{},"missing":{},"jitter_us":{}}}"#,
            self.verdict.word(),
            reason.as_deref().unwrap_or("null"),
            load.connections,
            load.length.as_secs_f64(),
            load.rate(counts),
            load.bytes(counts),
            load.share(),
            counts.late,
            counts.missing,
            Micros(self.tally.times().map(|times| times.jitter)),
        )
    }
}

/// The last object.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { sent, received, duplicated, reordered, corrupted, .. } = self.tally.counts;
        let lost = self.tally.counts.lost();
        write!(f, r#"{{"type":"summary","sent":{sent},"received":{received},"lost":{lost}"#)?;
        write!(f, r#","duplicated":{duplicated},"reordered":{reordered}"#)?;
        write!(f, r#","corrupted":{corrupted},"connect_us":{}"#, Micros(self.tally.connect()))?;
        match self.tally.times() {
            None => f.write_str(r#","rtt_us":null}"#),
            Some(Times { min, median, p90, p99, max, jitter: _ }) => {
                let [min, median, p90, p99, max] =
                    [min, median, p90, p99, max].map(|time| Micros(Some(time)));
                write!(f, r#","rtt_us":{{"min":{min},"median":{median},"p90":{p90}"#)?;
                write!(f, r#","p99":{p99},"max":{max}}}}}"#)
            }
        }
    }
}

/// A bar, to the eighth of a column.
fn eighths(count: u64, most: u64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count * BAR * 8).checked_div(most).unwrap_or(0);
    // Something is never nothing.
    let eighths = eighths.max(u64::from(count > 0));
    let eighths = usize::try_from(eighths).expect("a bar is short");
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(times: &[u64]) -> Summary {
        let mut tally = Tally::default();
        for time in times {
            tally.counts.sent += 1;
            tally.answered(Duration::from_micros(*time), None);
        }
        tally.connected(Duration::from_micros(120));
        Summary {
            tally,
            verdict: Verdict::Ok,
            unreached: None,
            loss_max: 0.5,
            load: Load {
                connections: 1,
                length: Duration::from_secs(2),
                processor: Duration::from_millis(100),
            },
        }
    }

    #[test]
    fn the_last_object_is_as_documented() {
        let object = summary(&[100]).to_string();
        let wanted = concat!(
            r#"{"type":"summary","sent":1,"received":1,"lost":0,"duplicated":0,"reordered":0,"#,
            r#""corrupted":0,"connect_us":120.0,"rtt_us":{"min":100.0,"median":100.0,"p90":100.0,"#,
            r#""p99":100.0,"max":100.0}}"#
        );
        assert_eq!(object, wanted);
        assert!(summary(&[]).to_string().ends_with(r#""rtt_us":null}"#));
        for times in [&[][..], &[1, 2, 3]] {
            let run = summary(times).run_object();
            serde_json::from_str::<serde_json::Value>(&run).expect("it is JSON");
        }
    }

    #[test]
    fn the_line_is_that_of_a_monitoring_plugin() {
        let line = summary(&[100]).line();
        let (text, data) = line.split_once(" | ").unwrap();
        assert_eq!(
            text,
            "ECHO OK: 1 sent, 1 received, 0 lost, 0 duplicated, 0 reordered, 0 corrupted"
        );
        for word in data.split(' ') {
            let (label, value) = word.split_once('=').unwrap();
            assert!(
                label
                    .bytes()
                    .all(|c| c.is_ascii_lowercase() || c == b'_' || c == b'9' || c == b'0')
            );
            let number = value.split(';').next().unwrap().trim_end_matches(['s', '%']);
            number.parse::<f64>().unwrap();
            assert!(value.split(';').count() <= 5, "{word}");
        }
        assert!(data.starts_with("loss=0.000%;0.5;;0;100 sent=1 "));
        assert!(data.contains(" rtt_median=0.000100s;;;0 "), "{data}");
    }

    #[test]
    fn a_reason_cannot_forge_performance_data() {
        let mut summary = summary(&[]);
        summary.unreached = Some("cannot resolve a|b\nc".into());
        assert!(summary.line().starts_with("ECHO OK: cannot resolve a b c; 0 sent"));
        assert_eq!(summary.line().matches('|').count(), 1);
    }

    #[test]
    fn a_histogram_has_a_bar_for_each_step() {
        let text = summary(&(1..=1000).collect::<Vec<_>>()).histogram();
        assert!(text.lines().count() <= ROWS as usize && text.lines().count() > 4);
        assert!(text.contains(&"█".repeat(40)));
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        assert_eq!(summary(&[]).histogram(), "");
        assert_eq!(eighths(1, 1_000_000), "▏");
        assert_eq!(eighths(0, 10), "");
    }
}
