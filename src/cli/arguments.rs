//! Every option, with the words that the manual repeats.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the options' comments are printed as they stand, brackets and all"
)]

use super::information::InformationArguments;
use super::values::{self, Bytes, OrOff};
use crate::config::{
    self, Backlog, Config, Connections, Drain, Idle, Level, Lifetime, Limits, Listen, MessageMax,
    Patience, Ports, Rate, Records, Stall,
};
use crate::echo::{Protocol, Rule, RuleError};
use clap::{ArgAction, Parser};

/// The command line as clap sees it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "echod",
    version,
    about = "echod says back what it hears, over TCP, UDP and Unix sockets.",
    after_help = NOTATION,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    next_line_help = true
)]
pub(super) struct Arguments {
    #[command(flatten)]
    sockets: SocketArguments,
    #[command(flatten)]
    protocol: ProtocolArguments,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    times: TimeArguments,
    #[command(flatten)]
    records: RecordArguments,
    #[command(flatten)]
    information: InformationArguments,
}

const NOTATION: &str = "\
Notation:
  ADDRESS is written as in systemd.socket(5): 7 (a port on every address),
  127.0.0.1:8080, [::1]:8080, [fe80::1]:8080%eth0, /run/x.sock, @name (an
  abstract Unix socket), vsock:CID:PORT, or vsock::PORT for any CID. Port 0
  lets the kernel choose. reply=, line= or rfc862= before it sets what that
  socket speaks.

  TIME is written as in systemd.time(7): 500ms, 30s, 5min, '1min 30s'; a bare
  number is seconds. SIZE is in bytes, or has K, M or G (also KiB, MiB, GiB),
  powers of 1024. RATE is NUMBER/s or NUMBER/s:BURST: so many a second after
  BURST at once, which is 1000 if not said.

Environment:
  Each option can be set as ECHOD_ and its name in capitals, with _ for -:
  ECHOD_STALL_TIMEOUT=30s, ECHOD_MPTCP=yes. Addresses in ECHOD_LISTEN_STREAM and
  its like are separated by blanks. An option on the command line takes the
  place of its variable.
";

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sockets")]
struct SocketArguments {
    /// Listen on a stream socket, besides those that the service manager
    /// passes in; can be repeated. With no socket at all, echod listens on
    /// 127.0.0.1:8080 and [::1]:8080.
    #[arg(long, value_name = "[PROTOCOL=]ADDRESS", value_parser = values::stream(), verbatim_doc_comment)]
    listen_stream: Vec<Listen>,

    /// Listen on a datagram socket; can be repeated.
    #[arg(long, value_name = "[PROTOCOL=]ADDRESS", value_parser = values::datagram(), verbatim_doc_comment)]
    listen_datagram: Vec<Listen>,

    /// Listen on a Unix socket for sequential packets; can be repeated.
    #[arg(long, value_name = "[PROTOCOL=]ADDRESS", value_parser = values::sequential_packet(), verbatim_doc_comment)]
    listen_sequential_packet: Vec<Listen>,

    /// Let this many connections wait to be accepted on sockets that echod
    /// binds, 1 to 65535. The kernel cuts it down to
    /// net.core.somaxconn.
    #[arg(long, value_name = "NUMBER", default_value_t = config::BACKLOG, value_parser = values::text::<Backlog>(), verbatim_doc_comment)]
    backlog: Backlog,

    /// Offer Multipath TCP on stream sockets that echod binds, where the
    /// kernel has it.
    #[arg(
        long, value_name = "BOOLEAN", num_args = 0..=1, require_equals = true,
        action = ArgAction::Set, default_value = "no", default_missing_value = "yes",
        hide_possible_values = true, value_parser = values::boolean(), verbatim_doc_comment
    )]
    mptcp: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Protocol")]
struct ProtocolArguments {
    /// What a socket speaks whose name or address does not say: reply, line
    /// or rfc862.
    #[arg(long, value_name = "PROTOCOL", default_value_t = config::PROTOCOL, hide_possible_values = true, value_parser = values::protocol(), verbatim_doc_comment)]
    protocol: Protocol,

    /// What reply and line put behind each message, at most 256
    /// bytes.
    #[arg(long, value_name = "TEXT", default_value = config::SUFFIX, allow_hyphen_values = true, value_parser = values::suffix(), verbatim_doc_comment)]
    suffix: Bytes,

    /// What ends a conversation in reply and line, at most 255 bytes without
    /// line ends. If it is empty, nothing does.
    #[arg(long, value_name = "TEXT", default_value = config::EXIT_WORD, allow_hyphen_values = true, value_parser = values::exit_word(), verbatim_doc_comment)]
    exit_word: Bytes,

    /// Read at most this much as one message in reply, 1 to
    /// 64K.
    #[arg(long, value_name = "SIZE", default_value_t = config::MESSAGE_MAX, value_parser = values::text::<MessageMax>(), verbatim_doc_comment)]
    message_max: MessageMax,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// Hold at most this many conversations at once, 1 to 65536; others wait
    /// to be accepted. It is lowered at start to what the limit of open files
    /// allows.
    #[arg(long, value_name = "NUMBER", default_value_t = config::CONNECTIONS_MAX, value_parser = values::text::<Connections>(), verbatim_doc_comment)]
    connections_max: Connections,

    /// Hold at most this many conversations at once with one source, 1 to
    /// 65536 or off; others are refused. A source is an IPv4 address or an
    /// IPv6 /64. Set it when open to strangers.
    #[arg(long, value_name = "NUMBER", default_value = "off", value_parser = values::text::<OrOff<Connections>>(), verbatim_doc_comment)]
    connections_per_source_max: OrOff<Connections>,

    /// Answer at most this many UDP datagrams of one source, 1/s to 1000000/s
    /// or off.
    #[arg(long, value_name = "RATE", default_value_t = OrOff::At(config::DATAGRAM_RATE), value_parser = values::datagram_rate(), verbatim_doc_comment)]
    datagram_rate: OrOff<Rate>,

    /// Do not answer UDP datagrams from these ports either: numbers from 1 to
    /// 65535 with commas or blanks, or nothing. Those below 1024 never get an
    /// answer.
    #[arg(long, value_name = "PORTS", default_value = "2049", value_parser = values::text::<Ports>(), verbatim_doc_comment)]
    refuse_source_ports: Ports,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Times")]
struct TimeArguments {
    /// End a conversation when nothing was heard for this long, 1ms to 365d
    /// or off.
    #[arg(long, value_name = "TIME", default_value = "off", value_parser = values::text::<OrOff<Idle>>(), verbatim_doc_comment)]
    idle_timeout: OrOff<Idle>,

    /// End a conversation this long after it began, 1ms to 365d or
    /// off.
    #[arg(long, value_name = "TIME", default_value = "off", value_parser = values::text::<OrOff<Lifetime>>(), verbatim_doc_comment)]
    lifetime_max: OrOff<Lifetime>,

    /// Reset a conversation whose peer has not taken a whole answer within
    /// this time, 1s to 1d.
    #[arg(long, value_name = "TIME", default_value_t = config::STALL_TIMEOUT, value_parser = values::text::<Stall>(), verbatim_doc_comment)]
    stall_timeout: Stall,

    /// Give conversations this long to end when echod leaves and the service
    /// manager does not keep them, 0 to 1h.
    #[arg(long, value_name = "TIME", default_value_t = config::DRAIN_TIMEOUT, value_parser = values::text::<Drain>(), verbatim_doc_comment)]
    drain_timeout: Drain,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Records")]
struct RecordArguments {
    /// Record nothing less important than this: error, warning, info (also
    /// conversations) or debug (also each message).
    #[arg(long, value_name = "LEVEL", default_value_t = config::LOG_LEVEL, hide_possible_values = true, value_parser = values::text::<Level>().of(LEVELS), verbatim_doc_comment)]
    log_level: Level,

    /// Record the begin and end of conversations at most this often, up to
    /// 1000000/s; 0 is never. Those left out are summed up once a
    /// minute.
    #[arg(long, value_name = "RATE", default_value_t = config::RECORD_RATE, value_parser = values::record_rate(), verbatim_doc_comment)]
    record_rate: Rate,
}

const LEVELS: &[&str] =
    &[Level::Error.name(), Level::Warning.name(), Level::Info.name(), Level::Debug.name()];

impl Arguments {
    /// The numbers they stand for. Suffix and exit word were checked one by one
    /// when they were read.
    pub(super) fn config(self) -> Result<Config, RuleError> {
        let Self { sockets, protocol, limits, times, records, information: _ } = self;
        let rule =
            Rule::new(&protocol.suffix.0, &protocol.exit_word.0, protocol.message_max.get())?;
        let listen =
            [sockets.listen_stream, sockets.listen_datagram, sockets.listen_sequential_packet];
        Ok(Config {
            listen: listen.concat(),
            protocol: protocol.protocol,
            rule,
            limits: Limits {
                connections: limits.connections_max,
                connections_per_source: limits.connections_per_source_max.get(),
                backlog: sockets.backlog,
                datagram_rate: limits.datagram_rate.get(),
                refused_source_ports: limits.refuse_source_ports,
            },
            patience: Patience {
                idle: times.idle_timeout.get(),
                stall: times.stall_timeout,
                lifetime: times.lifetime_max.get(),
                drain: times.drain_timeout,
            },
            records: Records { level: records.log_level, rate: records.record_rate },
            mptcp: sockets.mptcp,
        })
    }
}
