//! A tracer: stops the daemon at each of its system calls, or after each single
//! instruction, so that it can be killed at exactly that instant.
//!
//! The serving thread is the one that is stopped; any other runs freely.
//!
//! It is long because everything that `ptrace` is told is in one place.
#![allow(unsafe_code, reason = "rustix has no ptrace(2)")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use crate::support::manager::Manager;
use libc::{c_int, c_void, pid_t};
use std::collections::BTreeSet;
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls in which a daemon waits for others; none of the others takes any time.
const WAITS: [i64; 6] = [
    EPOLL_WAIT,
    libc::SYS_epoll_pwait,
    libc::SYS_futex,
    POLL,
    libc::SYS_ppoll,
    // From this one it does not come back.
    libc::SYS_exit_group,
];

/// What libc calls for `epoll_wait()` and for `poll()`: the kernel has older calls
/// of these names on this architecture only.
#[cfg(target_arch = "x86_64")]
pub const EPOLL_WAIT: i64 = libc::SYS_epoll_wait;
#[cfg(target_arch = "x86_64")]
const POLL: i64 = libc::SYS_poll;
#[cfg(not(target_arch = "x86_64"))]
pub const EPOLL_WAIT: i64 = libc::SYS_epoll_pwait;
#[cfg(not(target_arch = "x86_64"))]
const POLL: i64 = libc::SYS_ppoll;

/// Where the serving thread has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Before the kernel does what it is asked.
    Entry { call: i64, arguments: [u64; 6] },
    /// After it has done it.
    Exit { call: i64, result: i64 },
    /// After one instruction.
    Instruction,
}

impl Stop {
    /// Whether it is about to wait for events.
    pub fn is_wait(self) -> bool {
        matches!(self, Self::Entry { call, .. } if [EPOLL_WAIT, libc::SYS_epoll_pwait].contains(&call))
    }
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Freely,
    ToNextCall,
    OneInstruction,
}

/// A daemon that is traced. It dies with the tracer.
#[derive(Debug)]
pub struct Tracee {
    leader: pid_t,
    others: BTreeSet<pid_t>,
    /// How the leader goes on; none while it is stopped.
    pace: Option<Pace>,
    /// The last call that it began.
    call: i64,
    /// Whether it may take a while until it stops.
    may_wait: bool,
    /// Whether it stopped in a call that waits for others.
    is_waiting: bool,
}

impl Tracee {
    /// Traces a process that will execute a program, which it has not done yet;
    /// `go` makes it do so. It is stopped then, before its first instruction.
    pub fn seize(leader: u32, go: impl FnOnce()) -> Self {
        let leader = pid_t::try_from(leader).expect("it is a process id");
        let options = libc::PTRACE_O_EXITKILL
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_TRACESYSGOOD;
        request(libc::PTRACE_SEIZE, leader, usize::try_from(options).expect("they are bits"))
            .expect("it is our child");
        let mut tracee = Self {
            leader,
            others: BTreeSet::new(),
            pace: Some(Pace::Freely),
            call: -1,
            may_wait: true,
            is_waiting: true,
        };
        go();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "it executes nothing");
            let Some(status) = wait(leader) else { continue };
            assert!(libc::WIFSTOPPED(status), "it ended: {status:x}");
            if status >> 16 == libc::PTRACE_EVENT_EXEC {
                tracee.pace = None;
                return tracee;
            }
            resume(leader, Pace::Freely, signal_of(status));
        }
    }

    /// Lets it run until something has come about.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        self.go_on(Pace::Freely);
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "in vain it ran for: {what}");
            assert!(!self.has_ended(), "it ended before: {what}");
            if let Some(stop) = self.look() {
                panic!("it runs freely, and stopped at {stop:?}");
            }
            std::thread::yield_now();
        }
    }

    /// Lets it run at this pace, and asks at each stop whether that is the one:
    /// then it stays stopped there. False if something else came about first.
    pub fn walk(
        &mut self,
        pace: Pace,
        mut done: impl FnMut() -> bool,
        mut is_here: impl FnMut(Stop) -> bool,
    ) -> bool {
        self.interrupt();
        let mut stop = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if stop.is_none() {
                self.go_on(pace);
                stop = self.look();
                // Nothing but a call takes any time.
                while stop.is_none() && !self.may_wait {
                    stop = self.look();
                }
            }
            match stop.take() {
                Some(stop) if is_here(stop) => return true,
                Some(_) => {}
                None if done() || self.has_ended() => return false,
                None => {
                    assert!(Instant::now() < deadline, "it does not come to its end");
                    std::thread::yield_now();
                }
            }
        }
    }

    /// Lets the call at whose entry it stopped fail like this: the kernel never
    /// hears of it.
    pub fn fail(&mut self, errno: i32) {
        let mut registers = [0_u64; 64];
        let length =
            registers_of(self.leader, libc::PTRACE_GETREGSET, PRSTATUS, &mut registers, 512);
        let refusal = u64::from_ne_bytes((-i64::from(errno)).to_ne_bytes());
        if cfg!(target_arch = "x86_64") {
            const RAX: usize = 10;
            const ORIG_RAX: usize = 15;
            (registers[ORIG_RAX], registers[RAX]) = (u64::MAX, refusal);
        } else if cfg!(target_arch = "aarch64") {
            registers[0] = refusal;
            let mut none = [u64::from(u32::MAX); 64];
            registers_of(self.leader, libc::PTRACE_SETREGSET, SYSTEM_CALL, &mut none, 4);
        } else {
            panic!("it is not known how here");
        }
        registers_of(self.leader, libc::PTRACE_SETREGSET, PRSTATUS, &mut registers, length);
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        is_zombie(self.leader)
    }

    /// Kills it, and waits until it is gone; how it ended, which may be by itself.
    pub fn kill(self, manager: &mut Manager) -> ExitStatus {
        drop(self);
        manager.wait_exit()
    }

    /// Stops the leader wherever it is.
    pub fn interrupt(&mut self) {
        if self.pace.is_none() {
            return;
        }
        request(libc::PTRACE_INTERRUPT, self.leader, 0).expect("it is traced");
        let deadline = Instant::now() + PATIENCE;
        while self.pace.is_some() {
            assert!(Instant::now() < deadline, "it does not stop");
            self.look_at_others();
            let Some(status) = wait(self.leader) else { continue };
            assert!(libc::WIFSTOPPED(status), "it ended: {status:x}");
            // Where it is in a call that it is stopped at, that is its stop.
            match (status >> 16, libc::WSTOPSIG(status)) {
                (libc::PTRACE_EVENT_STOP, _) | (0, libc::SIGTRAP) => {
                    self.pace = None;
                    self.is_waiting = true;
                }
                (0, signal) if signal == libc::SIGTRAP | 0x80 => {
                    self.pace = None;
                    self.stop();
                }
                _ => self.pass(status),
            }
        }
    }

    /// To ask whether the leader sleeps in the kernel.
    pub fn sleep(&self) -> Sleep {
        Sleep(format!("/proc/{}/stat", self.leader))
    }

    /// Whether there are threads besides the leader; those that have ended go now.
    fn has_others(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.leader));
        let names = threads.into_iter().flatten().flatten().map(|thread| thread.file_name());
        let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
        let others: Vec<_> = numbers.filter(|&thread| thread != self.leader).collect();
        for &thread in &others {
            wait(thread);
        }
        !others.is_empty()
    }

    fn go_on(&mut self, pace: Pace) {
        if self.pace.is_none() {
            self.may_wait = match pace {
                Pace::Freely => true,
                Pace::ToNextCall => self.is_waiting,
                Pace::OneInstruction => self.is_at_call(),
            };
            resume(self.leader, pace, 0);
            self.pace = Some(pace);
        } else if self.pace != Some(pace) {
            self.interrupt();
            self.go_on(pace);
        }
    }

    /// Whether the leader has stopped where its pace says.
    fn look(&mut self) -> Option<Stop> {
        self.look_at_others();
        let status = if self.may_wait { stop_of(self.leader)? } else { await_stop(self.leader) };
        assert!(libc::WIFSTOPPED(status), "it ended: {status:x}");
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | 0x80 {
            self.pace = None;
            return Some(self.stop());
        }
        if signal == libc::SIGTRAP && status >> 16 == 0 && self.pace == Some(Pace::OneInstruction) {
            self.pace = None;
            return Some(Stop::Instruction);
        }
        self.pass(status);
        None
    }

    /// An event or a signal that does not concern us.
    fn pass(&mut self, status: c_int) {
        if status >> 16 == libc::PTRACE_EVENT_CLONE {
            let mut thread: libc::c_ulong = 0;
            request(libc::PTRACE_GETEVENTMSG, self.leader, (&raw mut thread) as usize)
                .expect("it has just stopped");
            self.others.insert(pid_t::try_from(thread).expect("it is a thread's id"));
        }
        let pace = self.pace.expect("it ran");
        resume(self.leader, pace, signal_of(status));
    }

    /// Whether its next instruction is a call: only those take any time.
    fn is_at_call(&self) -> bool {
        let [_, at, ..] = info(self.leader);
        let at = std::ptr::without_provenance_mut::<c_void>(usize::try_from(at).expect("64 bits"));
        // SAFETY: nothing of ours is touched.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.leader, at, 0) };
        let [a, b, c, d, ..] = word.to_le_bytes();
        let (bytes, call): (&[u8], &[u8]) = match () {
            () if cfg!(target_arch = "x86_64") => (&[a, b], &[0x0f, 0x05]),
            () if cfg!(target_arch = "aarch64") => (&[a, b, c, d], &[0x01, 0x00, 0x00, 0xd4]),
            // It is not known, so each may be one.
            () => (&[], &[]),
        };
        bytes == call
    }

    /// The call that the leader has stopped at.
    fn stop(&mut self) -> Stop {
        let [head, _, _, first, arguments @ .., _] = info(self.leader);
        // A number of the kernel's is signed.
        let signed = i64::from_ne_bytes(first.to_ne_bytes());
        if head & 0xff == 1 {
            self.call = signed;
            self.is_waiting = WAITS.contains(&self.call);
            return Stop::Entry { call: self.call, arguments };
        }
        self.is_waiting = false;
        Stop::Exit { call: self.call, result: signed }
    }

    fn look_at_others(&mut self) {
        self.others.retain(|&thread| {
            while let Some(status) = wait(thread) {
                if !libc::WIFSTOPPED(status) {
                    return false;
                }
                resume(thread, Pace::Freely, signal_of(status));
            }
            true
        });
    }
}

/// Whether a thread sleeps.
#[derive(Debug)]
pub struct Sleep(String);

impl Sleep {
    pub fn is_there(&self) -> bool {
        let stat = std::fs::read_to_string(&self.0).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S"))
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // SAFETY: plain numbers.
        unsafe { libc::kill(self.leader, libc::SIGKILL) };
        // Who is traced is not gone before the tracer has seen it, and there may be
        // threads that it has not heard of yet.
        while self.has_others() {
            std::thread::yield_now();
        }
    }
}

/// `struct ptrace_syscall_info`: the operation, where it is, and what belongs to it.
fn info(thread: pid_t) -> [u64; 11] {
    let mut info = [0_u64; 11];
    let length = size_of_val(&info);
    // SAFETY: the kernel writes no more than `length` bytes.
    let got =
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, length, info.as_mut_ptr()) };
    assert!(got > 0, "{}", io::Error::last_os_error());
    info
}

/// Sets of registers, as ptrace(2) names them.
const PRSTATUS: usize = 1;
const SYSTEM_CALL: usize = 0x404;

/// Reads or writes a set of registers; how many bytes that were.
fn registers_of(
    thread: pid_t,
    what: libc::c_uint,
    set: usize,
    registers: &mut [u64; 64],
    length: usize,
) -> usize {
    let mut place = libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: length };
    let set = std::ptr::without_provenance_mut::<c_void>(set);
    // SAFETY: the kernel touches no more than the length, which lies in the array.
    let done = unsafe { libc::ptrace(what, thread, set, &raw mut place) };
    assert!(done == 0, "{}", io::Error::last_os_error());
    place.iov_len
}

/// Whether a child has ended; its end is left for whoever waits for it.
fn is_zombie(thread: pid_t) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let which = libc::id_t::try_from(thread).expect("it is a process id");
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: plain numbers, and a place that is valid when it is all zeros.
    let (pid, code) = unsafe {
        libc::waitid(libc::P_PID, which, info.as_mut_ptr(), flags);
        let info = info.assume_init();
        (info.si_pid(), info.si_code)
    };
    // A stop of one that is traced is told unasked.
    pid == thread && [libc::CLD_EXITED, libc::CLD_KILLED, libc::CLD_DUMPED].contains(&code)
}

/// The signal that a stop is about, if it is about one.
fn signal_of(status: c_int) -> c_int {
    match libc::WSTOPSIG(status) {
        // Of ours: a call, or an instruction when it was to run already.
        signal if signal & 0x7f == libc::SIGTRAP => 0,
        signal if status >> 16 == 0 => signal,
        _ => 0,
    }
}

fn resume(thread: pid_t, pace: Pace, signal: c_int) {
    let how = match pace {
        Pace::Freely => libc::PTRACE_CONT,
        Pace::ToNextCall => libc::PTRACE_SYSCALL,
        Pace::OneInstruction => libc::PTRACE_SINGLESTEP,
    };
    let signal = usize::try_from(signal).expect("signals are small");
    match request(how, thread, signal) {
        // It was killed meanwhile, which its end will tell.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
        result => result.expect("it is stopped"),
    }
}

/// What has become of a thread, without waiting. The leader's end is left for
/// whoever waits for it.
fn wait(thread: pid_t) -> Option<c_int> {
    let mut status = 0;
    // SAFETY: plain numbers, and a place for one.
    let got = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL | libc::WNOHANG) };
    (got > 0).then_some(status)
}

/// At what a thread has stopped, if it has. Its end is left for whoever waits for
/// it.
fn stop_of(thread: pid_t) -> Option<c_int> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let which = libc::id_t::try_from(thread).expect("it is a process id");
    let flags = libc::WSTOPPED | libc::WNOHANG | libc::__WALL;
    // SAFETY: plain numbers, and a place that is valid when it is all zeros.
    let (pid, stop) = unsafe {
        libc::waitid(libc::P_PID, which, info.as_mut_ptr(), flags);
        let info = info.assume_init();
        (info.si_pid(), info.si_status())
    };
    // As waitpid(2) would say it.
    (pid == thread).then_some(stop << 8 | 0x7f)
}

/// What has become of a thread; it waits.
fn await_stop(thread: pid_t) -> c_int {
    let mut status = 0;
    // SAFETY: plain numbers, and a place for one.
    let got = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    assert!(got > 0, "{}", io::Error::last_os_error());
    status
}

fn request(what: libc::c_uint, thread: pid_t, data: usize) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<c_void>();
    // SAFETY: `data` is a number, or the address of a place that the request fills.
    match unsafe { libc::ptrace(what, thread, nothing, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
