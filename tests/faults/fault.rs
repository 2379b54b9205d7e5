//! Faults, and how one is put in the way of a daemon on the stage.

use crate::ordeal::stored;
use crate::stage::{Stage, Talker};
use crate::support::peer::descriptors;
use crate::tracer::{EPOLL_WAIT, Pace, Stop};
use echod::echo::Protocol;
use echod::keep::Header;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

/// A call that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) call: i64,
    pub(crate) errno: i32,
}

impl Fault {
    /// Each of these calls with each of these errors.
    pub(crate) fn all(calls: &[i64], errnos: &[i32]) -> Vec<Self> {
        let each = |&call| errnos.iter().map(move |&errno| Self { call, errno });
        calls.iter().flat_map(each).collect()
    }

    /// Whether it is one of its calls that begins; of those that change what is
    /// watched only one that adds, for the others cannot fail.
    fn is_at(&self, stop: Stop) -> bool {
        matches!(stop, Stop::Entry { call, arguments: [_, operation, ..] } if call == self.call
            && (call != libc::SYS_epoll_ctl || operation == 1))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = CALLS.iter().find(|(call, _)| *call == self.call);
        let errno = ERRNOS.iter().find(|(errno, _)| *errno == self.errno);
        let (call, errno) = call.zip(errno).expect("each that is used has a name");
        write!(f, "{} {}", call.1, errno.1)
    }
}

/// What calls are called.
const CALLS: [(i64, &str); 26] = [
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (EPOLL_WAIT, "epoll_wait"),
    (libc::SYS_eventfd2, "eventfd2"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_getpeername, "getpeername"),
    (libc::SYS_getsockname, "getsockname"),
    (libc::SYS_getsockopt, "getsockopt"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_memfd_create, "memfd_create"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_prlimit64, "prlimit64"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendmmsg, "sendmmsg"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_setsockopt, "setsockopt"),
    (libc::SYS_socket, "socket"),
    (libc::SYS_socketpair, "socketpair"),
];

/// What errors are called.
const ERRNOS: [(i32, &str); 20] = [
    (libc::EAGAIN, "EAGAIN"),
    (libc::ECONNABORTED, "ECONNABORTED"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::ECONNRESET, "ECONNRESET"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    (libc::EINTR, "EINTR"),
    (libc::EINVAL, "EINVAL"),
    (libc::EIO, "EIO"),
    (libc::EMFILE, "EMFILE"),
    (libc::EMSGSIZE, "EMSGSIZE"),
    (libc::ENETDOWN, "ENETDOWN"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::ENFILE, "ENFILE"),
    (libc::ENOBUFS, "ENOBUFS"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EPERM, "EPERM"),
    (libc::EPIPE, "EPIPE"),
    (libc::EPROTO, "EPROTO"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
];

/// How often each fault was put in the way.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn count(&mut self, fault: Fault) {
        *self.0.entry(fault.to_string()).or_default() += 1;
    }

    pub(crate) fn get(&self, fault: Fault) -> u64 {
        self.0.get(&fault.to_string()).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(fault, count)| writeln!(f, "{count:6} {fault}"))?;
        write!(f, "{:6} faults", self.total())
    }
}

/// Lets the daemon run to the occurrence of that call with that number, from 0,
/// and has it fail. False if everything was done before and the daemon waits.
pub(crate) fn fail(
    stage: &mut Stage,
    fault: Fault,
    number: u64,
    mut is_done: impl FnMut() -> bool,
) -> bool {
    let (seen, waits) = (Cell::new(0), Cell::new(false));
    let tracee = stage.tracee();
    let is_here = tracee.walk(
        Pace::ToNextCall,
        || waits.get() && is_done(),
        |stop| {
            waits.set(stop.is_wait());
            let is_such = fault.is_at(stop);
            seen.set(seen.get() + u64::from(is_such));
            is_such && seen.get() > number
        },
    );
    if is_here {
        tracee.fail(fault.errno);
    }
    is_here
}

/// One of each protocol, who must not notice anything.
pub(crate) fn bystanders(stage: &mut Stage) -> Vec<Talker> {
    let mut bystanders: Vec<_> =
        Protocol::ALL.map(|protocol| stage.talker(protocol, false)).into_iter().collect();
    ask(stage, &mut bystanders);
    bystanders
}

/// They say something and hear the answer.
pub(crate) fn ask(stage: &mut Stage, talkers: &mut [Talker]) {
    for talker in &mut *talkers {
        talker.say_message("do you hear me?");
    }
    stage.run("answers", || talkers.iter_mut().all(Talker::is_content));
    for talker in talkers {
        assert!(talker.broken.is_none(), "{}: {:?}", talker.account(), talker.broken);
    }
}

/// Waits until there are so many conversations.
pub(crate) fn wait_living(stage: &mut Stage, count: usize) {
    let stored = stored(&mut stage.manager);
    let memory = stage.successor.memory(&stored).expect("it is in the store");
    let records: Vec<_> = (0..64).map(|number| memory.record(number)).collect();
    let living = || records.iter().filter(|record| record.id().is_some()).count();
    stage.run("records to be free", || living() == count);
}

/// How much the daemon has open, but for the bags: one for 250 connections.
pub(crate) fn open_but_bags(stage: &mut Stage) -> usize {
    descriptors(stage.manager.pid()).len() - stage.manager.stored().len()
}

/// Waits until the daemon has as much open as before.
pub(crate) fn wait_open(stage: &mut Stage, before: usize) {
    let pid = stage.manager.pid();
    let bags = stage.manager.stored().len();
    stage.run("its descriptors to be as before", || descriptors(pid).len() == before + bags);
}

/// The totals that the daemon keeps.
pub(crate) fn header(stage: &mut Stage) -> &'static Header {
    let stored = stored(&mut stage.manager);
    stage.successor.memory(&stored).expect("it is in the store").header()
}
