//! Waiting until a moment with the precision of the kernel's timers.
//!
//! The runtime's own timer wheel turns in milliseconds, which would show up as latency in an open-loop run, so each
//! connection owns a timerfd and reads it through the ring.

use std::fs::File as StdFile;
use std::io;
use std::time::{Duration, Instant};

use monoio::fs::File;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

/// A timer of one connection.
pub(crate) struct Pacer {
    timer: rustix::fd::OwnedFd,
    file: File,
}

impl Pacer {
    pub(crate) fn new() -> io::Result<Self> {
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let file = File::from_std(StdFile::from(timer.try_clone()?))?;
        Ok(Self { timer, file })
    }

    /// Returns at `moment`, or at once if it has passed.
    pub(crate) async fn wait_until(&self, moment: Instant) -> io::Result<()> {
        let wait = moment.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        self.arm(wait)?;
        // A timerfd yields eight bytes, the count of expirations.
        self.file.read_at(vec![0; 8], 0).await.0?;
        Ok(())
    }

    fn arm(&self, wait: Duration) -> io::Result<()> {
        let it_value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_returns_early() {
        let mut runtime = crate::http::runtime().unwrap();
        runtime.block_on(async {
            let pacer = Pacer::new().unwrap();
            for wait in [0, 300, 2_500] {
                let moment = Instant::now() + Duration::from_micros(wait);
                pacer.wait_until(moment).await.unwrap();
                assert!(Instant::now() >= moment);
            }
        });
    }
}
