//! The open loop: each message leaves when it is due, to the microsecond, and
//! whatever came back.

use super::pace;
use super::plan::MESSAGES_MAX;
use super::run::{Run, Stage};
use super::talk::Talk;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// How many messages may leave before answers are read.
const TURN: u32 = 64;

/// Lets the connections send, one after the other.
pub(super) async fn pace(run: Rc<Run>, talks: Vec<Rc<Talk>>, gap: Duration) {
    let begin = run.now();
    // Without a timer of its own it would be one of milliseconds.
    let timer = Timer::new();
    for (number, talk) in (0..run.plan.count.unwrap_or(MESSAGES_MAX)).zip(talks.iter().cycle()) {
        let due = begin + pace::due(gap, number);
        let now = run.now();
        match &timer {
            _ if due <= now => {}
            Ok(timer) if timer.wait(due.saturating_sub(now)).await.is_ok() => {}
            _ => tokio::time::sleep(due.saturating_sub(now)).await,
        }
        if run.stage.get() != Stage::Sending {
            return;
        }
        talk.grant(&run, due);
        if number % u64::from(TURN) == 0 {
            tokio::task::yield_now().await;
        }
    }
    for talk in talks {
        talk.grant_no_more();
    }
}

/// A timer that the kernel rings by making it readable. To the runtime it is a
/// pipe, the one kind of descriptor that it takes without being asked to trust us.
struct Timer(Receiver);

impl Timer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Receiver::from_owned_fd_unchecked(timer).map(Self)
    }

    async fn wait(&self, time: Duration) -> io::Result<()> {
        const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec {
            it_interval: NEVER,
            it_value: Timespec {
                tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: time.subsec_nanos().into(),
            },
        };
        timerfd_settime(self, TimerfdTimerFlags::empty(), &once)?;
        loop {
            self.0.readable().await?;
            match self.0.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map(|_| ()),
            }
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
