//! Every option, with the words that the manual repeats.
//!
//! It is long because the comments of the options are the text of `--help`.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the options' comments are printed as they stand, brackets and all"
)]

use super::pace::Pace;
use super::payload::Sizes;
use super::plan::{
    Connections, Family, Interval, Length, MessageSize, Messages, Origin, PerSecond, Percent, Plan,
    Show, Sweep, Timeout,
};
use super::target::Target;
use crate::cli::{
    Stop,
    information::InformationArguments,
    usage,
    values::{self, Bytes},
};
use crate::config::{EXIT_WORD, MESSAGE_MAX, MessageMax, SUFFIX};
use crate::echo::{DATAGRAM_MAX, Protocol, Rule};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

const PROGRAM: &str = "echo-ping";
const SIZE: MessageSize = MessageSize::literal(56);
const INTERVAL: Interval = Interval::literal(1_000);
const TIMEOUT: Timeout = Timeout::literal(5_000);
const ONE: Connections = Connections::literal(1);

#[derive(Clone, Debug, Parser)]
#[command(
    name = PROGRAM,
    version,
    about = "echo-ping sends messages to an echo server and proves that they come back as they \
             were sent.",
    after_help = NOTATION,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    next_line_help = true
)]
struct Arguments {
    /// Whom to ask: HOST:PORT or tcp:HOST:PORT, udp:HOST:PORT, unix:/PATH or
    /// unix:@NAME.
    #[arg(value_name = "TARGET", verbatim_doc_comment)]
    target: Option<OsString>,
    #[command(flatten)]
    messages: MessageArguments,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    protocol: ProtocolArguments,
    #[command(flatten)]
    path: PathArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    information: InformationArguments,
}

const NOTATION: &str = "\
Notation:
  HOST is a name or an address, IPv6 in brackets: localhost:7, 127.0.0.1:8080,
  [::1]:8080, [fe80::1]:8080%eth0; a port alone is one of this machine.
  unix:@NAME is an abstract Unix socket.

  TIME is written as in systemd.time(7): 500ms, 30s, '1min 30s'; a bare number
  is seconds. SIZE is in bytes, or has K or M, powers of 1024.

Exit status:
  0 all came back, 1 more was lost than allowed, 2 something came back wrong,
  3 there was no connection, 64 wrong usage, 71 the system has no more of
  something.
";

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Messages")]
struct MessageArguments {
    /// Send this many messages in all, 1 to 4000000000. Without it, it goes
    /// on until it is interrupted, or has sent so many.
    #[arg(long, short, value_name = "NUMBER", value_parser = values::text::<Messages>(), verbatim_doc_comment)]
    count: Option<Messages>,

    /// Send on each connection once in this time, whether or not the answers
    /// come back, 1ms to 1d.
    #[arg(long, short, value_name = "TIME", default_value_t = INTERVAL, value_parser = values::text::<Interval>(), verbatim_doc_comment)]
    interval: Interval,

    /// Send messages of this size, 0 (in datagrams only) to 16M. From 28
    /// bytes on they have room for a sequence number and
    /// a checksum.
    #[arg(long, short, value_name = "SIZE", default_value_t = SIZE, value_parser = values::text::<MessageSize>(), verbatim_doc_comment)]
    size: MessageSize,

    /// Send messages of every size from MIN to MAX, one after the other, and
    /// begin again.
    #[arg(long, value_name = "MIN:MAX", value_parser = values::text::<Sweep>(), verbatim_doc_comment)]
    size_sweep: Option<Sweep>,

    /// Give an answer up that has not come after this time, 1ms to 1d. As
    /// long as parts of it come, it is waited for. A connection must be made
    /// within it, too.
    #[arg(long, short = 'W', value_name = "TIME", default_value_t = TIMEOUT, value_parser = values::text::<Timeout>(), verbatim_doc_comment)]
    timeout: Timeout,

    /// Send no more after this time, 1ms to 365d.
    #[arg(long, short = 'w', value_name = "TIME", value_parser = values::text::<Length>(), verbatim_doc_comment)]
    duration: Option<Length>,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Load")]
struct LoadArguments {
    /// Send the next message as soon as the answer is there (a closed loop).
    #[arg(long, short, verbatim_doc_comment)]
    flood: bool,

    /// Send this many messages a second over all connections in turn, 1 to
    /// 1000000, whatever comes back (an open loop). What waits for a slow
    /// server counts from when it was due.
    #[arg(long, value_name = "RATE", value_parser = values::text::<PerSecond>(), verbatim_doc_comment)]
    rate: Option<PerSecond>,

    /// Use this many connections at once, 1 to 65536.
    #[arg(long, value_name = "NUMBER", default_value_t = ONE, value_parser = values::text::<Connections>(), verbatim_doc_comment)]
    connections: Connections,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Protocol")]
struct ProtocolArguments {
    /// What the server speaks: rfc862 (all comes back as it is), reply (with
    /// a suffix) or line (with a suffix before each
    /// line end).
    #[arg(long, value_name = "PROTOCOL", default_value_t = Protocol::Rfc862, hide_possible_values = true, value_parser = values::protocol(), verbatim_doc_comment)]
    protocol: Protocol,

    /// The server's suffix in reply and line.
    #[arg(long, value_name = "TEXT", default_value = SUFFIX, allow_hyphen_values = true, value_parser = values::suffix(), verbatim_doc_comment)]
    suffix: Bytes,

    /// The server's exit word in reply and line: no message begins
    /// with it.
    #[arg(long, value_name = "TEXT", default_value = EXIT_WORD, allow_hyphen_values = true, value_parser = values::exit_word(), verbatim_doc_comment)]
    exit_word: Bytes,

    /// What the server reads at most at once in reply. Longer messages, and
    /// those longer than a segment, may come back with a suffix at
    /// any cut.
    #[arg(long, value_name = "SIZE", default_value_t = MESSAGE_MAX, value_parser = values::text::<MessageMax>(), verbatim_doc_comment)]
    message_max: MessageMax,

    /// Let an end of file follow the last message at once. A server must
    /// answer all the same.
    #[arg(long, verbatim_doc_comment)]
    half_close: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Path")]
struct PathArguments {
    /// Talk from this address, with or without a port.
    #[arg(long, value_name = "ADDRESS", value_parser = values::text::<Origin>(), verbatim_doc_comment)]
    source: Option<Origin>,

    /// Use IPv4 only.
    #[arg(short = '4', long, verbatim_doc_comment)]
    ipv4: bool,

    /// Use IPv6 only.
    #[arg(short = '6', long, verbatim_doc_comment)]
    ipv6: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
struct OutputArguments {
    /// Write one JSON object a line; the last one is the summary.
    #[arg(long, verbatim_doc_comment)]
    json: bool,

    /// Write the summary only.
    #[arg(long, short, verbatim_doc_comment)]
    quiet: bool,

    /// Draw how the round trips are spread.
    #[arg(long, verbatim_doc_comment)]
    histogram: bool,

    /// Take so much loss for none, 0 to 100 per cent.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = values::text::<Percent>(), verbatim_doc_comment)]
    loss_max: Percent,
}

/// The whole command line, for the manual and the shell completions.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Reads the command line, its first word the program's name.
///
/// # Errors
/// Not to go on: because help or the version was asked for, or because
/// something is wrong.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Plan, Stop> {
    let matches =
        command().try_get_matches_from(args).map_err(|error| usage::stop(PROGRAM, &error, None))?;
    let said = |id: &str| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    for (one, other) in EXCLUSIVE {
        if said(one) && said(other) {
            let [one, other] = [one, other].map(|id| id.replace('_', "-"));
            return Err(Stop::Usage(format!("--{one} and --{other} exclude each other")));
        }
    }
    Arguments::from_arg_matches(&matches)
        .map_err(|error| usage::stop(PROGRAM, &error, None))?
        .plan()
        .map_err(Stop::Usage)
}

const EXCLUSIVE: [(&str, &str); 5] = [
    ("size", "size_sweep"),
    ("flood", "rate"),
    ("flood", "interval"),
    ("rate", "interval"),
    ("ipv4", "ipv6"),
];

impl Arguments {
    fn plan(self) -> Result<Plan, String> {
        let Self { target, messages, load, protocol, path, output, information: _ } = self;
        let Some(target) = target else {
            return Err(format!("a target is needed (see {PROGRAM} --help)"));
        };
        let target = Target::from_bytes(target.as_bytes())
            .map_err(|error| format!("{} {error}", usage::quoted(&target)))?;
        let connections = load.connections.get();
        let (flood, rate) = (load.flood, load.rate);
        let plan = Plan {
            target,
            family: match (path.ipv4, path.ipv6) {
                (true, _) => Family::V4,
                (_, true) => Family::V6,
                _ => Family::Any,
            },
            source: path.source,
            protocol: protocol.protocol,
            rule: Rule::new(&protocol.suffix.0, &protocol.exit_word.0, protocol.message_max.get())
                .map_err(|error| error.to_string())?,
            sizes: match messages.size_sweep {
                Some(Sweep(sizes)) => sizes,
                None => Sizes { min: messages.size.get(), max: messages.size.get() },
            },
            count: messages.count.map(|count| count.get().into()),
            pace: match rate {
                _ if flood => Pace::Flood,
                Some(PerSecond(rate)) => Pace::rate(rate),
                None => Pace::interval(messages.interval.get(), connections),
            },
            connections,
            timeout: messages.timeout.get(),
            duration: messages.duration.map(Length::get),
            half_close: protocol.half_close,
            show: Show {
                // Under load a line for each would be most of the load.
                answers: !output.quiet && (output.json || (!flood && rate.is_none())),
                events: !output.quiet,
                json: output.json,
                histogram: output.histogram,
            },
            loss_max: output.loss_max.0,
        };
        check(&plan).map_or(Ok(plan), |reason| Err(reason.to_owned()))
    }
}

/// What cannot be had together.
fn check(plan: &Plan) -> Option<&'static str> {
    let is_udp = matches!(plan.target, Target::Udp(_));
    let suffix = if plan.protocol == Protocol::Rfc862 { 0 } else { plan.rule.suffix().len() };
    match plan.target {
        Target::Unix(_) if plan.source.is_some() => Some("--source is for IP addresses"),
        Target::Unix(_) if plan.family != Family::Any => Some("-4 and -6 are for IP addresses"),
        Target::Udp(_) if plan.half_close => Some("--half-close is for streams"),
        Target::Udp(_) if plan.sizes.max + suffix > DATAGRAM_MAX => {
            Some("--size: a datagram and its answer have at most 65507 bytes")
        }
        _ if plan.sizes.min == 0 && !is_udp => Some("--size: only a datagram can be empty"),
        _ if plan.sizes.min == 0 && plan.protocol == Protocol::Line => {
            Some("--size: a line has at least 1 byte")
        }
        _ if plan.source.is_some_and(|origin| origin.0.port() != 0) && plan.connections > 1 => {
            Some("--source: one port has one connection only")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
