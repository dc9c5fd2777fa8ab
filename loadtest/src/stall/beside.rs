//! A statement that is asked again and again on a connection of its own, by a thread of its own, while something else
//! is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Target};

/// Pause after a 429.
const PAUSE: Duration = Duration::from_millis(200);

/// What became of a statement.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Runs {
    /// How often it was answered 2xx before the end.
    pub(super) answered: u64,
    /// Refused with 429.
    pub(super) throttled: u64,
    /// Of the runs that were answered.
    pub(super) longest_us: f64,
    pub(super) reply_bytes: u64,
    /// The first other answer; nothing is asked after it.
    pub(super) failure: Option<String>,
}

/// A statement that is being asked.
pub(super) struct Beside {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Result<Runs>>>,
}

impl Beside {
    /// Starts to ask, for `time` at most; `None` asks nothing.
    pub(super) fn start(target: &Target, request: Option<Vec<u8>>, time: Duration) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let end = End { moment: Instant::now() + time, stop: Arc::clone(&stop) };
        let target = target.clone();
        let start = |request| {
            let work = move || ask(&target, request, &end);
            thread::Builder::new().name("beside".to_owned()).spawn(work).context(|| "start a thread")
        };
        let thread = request.map(start).transpose()?;
        Ok(Self { stop, thread })
    }

    /// Lets the run under way end, which counts no more.
    pub(super) fn end(self) -> Result<Runs> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.map(thread::JoinHandle::join) {
            None => Ok(Runs::default()),
            Some(runs) => runs.map_err(|_| Error::Failed("a thread panicked".to_owned()))?,
        }
    }
}

/// When to stop asking.
struct End {
    moment: Instant,
    stop: Arc<AtomicBool>,
}

impl End {
    fn has_come(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.moment
    }
}

fn ask(target: &Target, request: Vec<u8>, end: &End) -> Result<Runs> {
    let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
    runtime.block_on(async {
        let (mut runs, mut request) = (Runs::default(), request);
        let mut connection = Connection::open(target.address).await.context(|| "connect for a statement")?;
        while !end.has_come() {
            let begun = Instant::now();
            let (reply, sent) = connection.exchange(request).await;
            request = sent;
            match reply {
                Ok(reply) if reply.is_success() => {
                    if !end.has_come() {
                        runs.answered += 1;
                        runs.longest_us = runs.longest_us.max(begun.elapsed().as_secs_f64() * 1e6);
                        runs.reply_bytes += reply.body.len() as u64;
                    }
                    if reply.close {
                        connection = Connection::open(target.address).await.context(|| "connect for a statement")?;
                    }
                }
                Ok(reply) if reply.status == 429 && !reply.close => {
                    runs.throttled += 1;
                    monoio::time::sleep(PAUSE).await;
                }
                Ok(reply) => {
                    runs.failure = Some(reply.excerpt());
                    break;
                }
                Err(error) => {
                    runs.failure = Some(error.to_string());
                    break;
                }
            }
        }
        Ok(runs)
    })
}
