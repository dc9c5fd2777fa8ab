//! The server's clock, moved while it is written to: `retention.clock_offset_file` is a file with nanoseconds that the
//! server adds to the host's clock.
//!
//! During the load the clock is wrong for moments, ahead or behind by more than most TTLs, and now and then it is when
//! the server is killed: then the next start begins with a wrong clock. It is put right as soon as that start answers.
//! No moment is as long as the server wants a clock to be consistent, so that nothing may expire by a wrong one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result};
use crate::http::Target;
use crate::metrics::Metrics;

/// For how long the server wants its clock to be consistent before anything expires.
pub(super) const SETTLE_S: u64 = 5;
/// The longest that the clock was wrong must be below this: else a machine was too slow to say anything.
const WRONG_MAX: Duration = Duration::from_secs(SETTLE_S / 2);
/// What the clock is set ahead by, or back.
const JUMPS_S: [i64; 6] = [-90 * 86_400, -86_400, -30, 30, 2 * 86_400, 90 * 86_400];
/// The clock is right, or wrong, for up to so long.
const MOMENT_MS_MAX: u64 = 150;

/// The file, and what it has done.
#[derive(Debug)]
pub(super) struct Clock {
    path: PathBuf,
    jumps: u64,
}

/// A clock that is being moved.
pub(super) struct Moving {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Clock {
    /// A clock that is right, beside the data folder.
    pub(super) fn new(data_dir: &Path) -> Result<Self> {
        let clock = Self { path: data_dir.with_extension("clock"), jumps: 0 };
        clock.put_right()?;
        Ok(clock)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How often it has been wrong.
    pub(super) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Adds nothing any more.
    pub(super) fn put_right(&self) -> Result<()> {
        set(&self.path, 0)
    }

    /// Moves the clock until it is stopped; it may stay wrong.
    pub(super) fn begin(&self, mut rng: fastrand::Rng) -> Result<Moving> {
        let (path, stop) = (self.path.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("clock".to_owned()).spawn(move || {
            let mut jumps = 0;
            let sleep = |rng: &mut fastrand::Rng| thread::sleep(Duration::from_millis(rng.u64(5..MOMENT_MS_MAX)));
            while !stopped.load(Ordering::Relaxed) {
                sleep(&mut rng);
                let begun = Instant::now();
                set(&path, JUMPS_S[rng.usize(..JUMPS_S.len())] * 1_000_000_000)?;
                jumps += 1;
                sleep(&mut rng);
                if stopped.load(Ordering::Relaxed) && rng.bool() {
                    break;
                }
                set(&path, 0)?;
                if begun.elapsed() > WRONG_MAX {
                    let seconds = begun.elapsed().as_secs_f64();
                    let reason = format!("the clock was wrong for {seconds:.1} s: this machine is too slow to tell");
                    return Err(Error::Failed(reason));
                }
            }
            Ok(jumps)
        });
        Ok(Moving { stop, thread: thread.context(|| "start a thread that moves the clock")? })
    }

    /// Stops what [`Clock::begin`] began.
    pub(super) fn end(&mut self, moving: Moving) -> Result<()> {
        moving.stop.store(true, Ordering::Relaxed);
        self.jumps += moving.thread.join().map_err(|_| Error::Failed("the clock's thread panicked".to_owned()))??;
        Ok(())
    }
}

/// Waits until the server lets rows expire by its clock, and has done so once.
pub(super) fn wait_until_settled(target: &Target) -> Result<()> {
    let begun = Instant::now();
    while Metrics::read(target)?.sum("tidewire_clock_settled")? == 0 {
        if begun.elapsed() > Duration::from_secs(12 * SETTLE_S) {
            return Err(Error::Failed("the server never takes its clock for settled".to_owned()));
        }
        thread::sleep(Duration::from_millis(100));
    }
    // It looks several times while the clock settles.
    thread::sleep(Duration::from_secs(SETTLE_S));
    Ok(())
}

/// The file is never seen in part.
fn set(path: &Path, offset_ns: i64) -> Result<()> {
    let whole = path.with_extension("clock.new");
    fs::write(&whole, offset_ns.to_string()).context(|| format!("write {}", whole.display()))?;
    fs::rename(&whole, path).context(|| format!("rename {}", whole.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_moved_and_put_right() {
        let folder = std::env::temp_dir().join(format!("tidewire-verify-clock-{}", std::process::id()));
        let mut clock = Clock::new(&folder).unwrap();
        let read = |clock: &Clock| fs::read_to_string(clock.path()).unwrap().parse::<i64>().unwrap();
        assert_eq!(read(&clock), 0);
        let moving = clock.begin(fastrand::Rng::with_seed(1)).unwrap();
        while read(&clock) == 0 {
            thread::yield_now();
        }
        clock.end(moving).unwrap();
        assert!(clock.jumps() > 0);
        clock.put_right().unwrap();
        assert_eq!(read(&clock), 0);
        fs::remove_file(clock.path()).unwrap();
    }
}
