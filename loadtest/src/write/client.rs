//! The client threads of a load.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Job;
use crate::deck::{Deck, Request, Taken};
use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Reply};
use crate::pace::Pacer;
use crate::process::{Memory, Process};
use crate::tally::{Sample, Tally};

/// A run in which this many requests failed has shown what it can: it stops.
const ERRORS_MAX: u64 = 20;
/// How long to wait after a 429 that does not say.
const RETRY_AFTER_S: u64 = 1;
/// How often progress is drawn and the server's memory is read.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Everything measured about one load.
pub(super) struct Load {
    pub(super) tally: Tally,
    /// Rows and values sent before the clock started.
    pub(super) warmup_values: u64,
    pub(super) laps: u64,
    /// CPU seconds of the server at the start and the end of the clock.
    pub(super) server_cpu_s: Option<(f64, f64)>,
    pub(super) client_cpu_s: f64,
    pub(super) memory: Memory,
}

/// What the threads share.
struct Shared {
    deck: Deck,
    address: SocketAddr,
    /// Open loop: time between the starts of two requests.
    interval: Option<Duration>,
    warmup_requests: u64,
    /// Set when the clock starts.
    started: OnceLock<Instant>,
    stop: AtomicBool,
    rows_done: AtomicU64,
    errors: AtomicU64,
}

/// Sends the deck and returns what was measured.
pub(super) fn run(job: &Job, deck: Deck, warmup_requests: u64) -> Result<Load> {
    let threads = job.rows.threads.min(job.rows.connections);
    let laps = deck.laps();
    let shared = Arc::new(Shared {
        deck,
        address: job.target.address,
        interval: job.rate.map(|rate| Duration::from_secs_f64(job.rows.batch as f64 / rate)),
        warmup_requests,
        started: OnceLock::new(),
        stop: AtomicBool::new(false),
        rows_done: AtomicU64::new(0),
        errors: AtomicU64::new(0),
    });
    let barrier = Arc::new(Barrier::new(threads as usize + 1));
    let tallies = Arc::new(Mutex::new((Tally::default(), Tally::default())));
    let mut handles = Vec::new();
    for thread in 0..threads {
        let connections = job.rows.connections / threads + u32::from(thread < job.rows.connections % threads);
        let core = job.rows.pin.get(thread as usize % job.rows.pin.len().max(1)).copied();
        let (shared, barrier, tallies) = (Arc::clone(&shared), Arc::clone(&barrier), Arc::clone(&tallies));
        let handle = thread::Builder::new()
            .name(format!("client-{thread}"))
            .spawn(move || {
                let result = client(&shared, &barrier, connections, core);
                if let Ok(mut all) = tallies.lock() {
                    match result {
                        Ok((warmup, measured)) => {
                            all.0.merge(warmup);
                            all.1.merge(measured);
                        }
                        Err(error) => all.1.error(error.to_string()),
                    }
                }
            })
            .context(|| "start a client thread")?;
        handles.push(handle);
    }

    barrier.wait();
    let own = Process::own();
    let server_before = job.process.map(|process| process.cpu_seconds()).transpose();
    let client_before = own.cpu_seconds();
    shared.rows_done.store(0, Ordering::Relaxed);
    let _ = shared.started.set(Instant::now());
    barrier.wait();

    let memory = watch(job, &shared, &handles);
    for handle in handles {
        if handle.join().is_err() {
            return Err(Error::Failed("a client thread panicked".to_owned()));
        }
    }
    let server_after = job.process.map(|process| process.cpu_seconds()).transpose()?;
    let client_cpu_s = own.cpu_seconds()? - client_before?;
    let (warmup, tally) = match tallies.lock() {
        Ok(mut all) => std::mem::take(&mut *all),
        Err(_) => return Err(Error::Failed("a client thread panicked".to_owned())),
    };
    let mut tally = tally;
    tally.errors += warmup.errors;
    tally.error_texts.extend(warmup.error_texts.iter().cloned());
    Ok(Load {
        warmup_values: warmup.values(),
        tally,
        laps,
        server_cpu_s: server_before?.zip(server_after),
        client_cpu_s,
        memory,
    })
}

/// Draws progress and samples the server's memory until the threads are done.
fn watch(job: &Job, shared: &Shared, handles: &[thread::JoinHandle<()>]) -> Memory {
    let bar = ProgressBar::new(job.rows.rows);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3} % {human_pos} rows, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let mut memory = Memory::default();
    while !handles.iter().all(thread::JoinHandle::is_finished) {
        if let Some(now) = job.process.and_then(|process| process.memory().ok()) {
            memory.resident_bytes = memory.resident_bytes.max(now.resident_bytes);
            memory.resident_bytes_max = now.resident_bytes_max;
        }
        bar.set_position(shared.rows_done.load(Ordering::Relaxed));
        thread::sleep(WATCH_INTERVAL);
    }
    bar.finish_and_clear();
    memory
}

/// One client thread: its connections run as tasks of one ring. Both barriers are passed whatever happens, or the
/// other threads would wait forever.
fn client(shared: &Arc<Shared>, barrier: &Barrier, connections: u32, core: Option<usize>) -> Result<(Tally, Tally)> {
    let ready = prepare(shared.address, connections, core);
    let Ok((mut runtime, open)) = ready else {
        barrier.wait();
        barrier.wait();
        return ready.map(|_| (Tally::default(), Tally::default()));
    };
    let (warmup, open) = runtime.block_on(phase(shared, open, Phase { limit: shared.warmup_requests, paced: false }));
    barrier.wait();
    barrier.wait();
    let (measured, _) = runtime.block_on(phase(shared, open, Phase { limit: u64::MAX, paced: true }));
    Ok((warmup, measured))
}

type Runtime = monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>;

fn prepare(address: SocketAddr, connections: u32, core: Option<usize>) -> Result<(Runtime, Vec<Connection>)> {
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        return Err(Error::Usage(format!("--pin {id}: the thread cannot run on this core")));
    }
    let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
    let open = runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(address).await?);
        }
        io::Result::Ok(open)
    });
    Ok((runtime, open.context(|| format!("connect to {address}"))?))
}

#[derive(Clone, Copy)]
struct Phase {
    /// Requests with lower numbers belong to this phase.
    limit: u64,
    /// Keep to the rate, if one is asked for.
    paced: bool,
}

async fn phase(shared: &Arc<Shared>, open: Vec<Connection>, phase: Phase) -> (Tally, Vec<Connection>) {
    let tasks: Vec<_> =
        open.into_iter().map(|connection| monoio::spawn(drive(Arc::clone(shared), connection, phase))).collect();
    let mut all = Tally::default();
    let mut still_open = Vec::new();
    for task in tasks {
        let (tally, connection) = task.await;
        all.merge(tally);
        still_open.extend(connection);
    }
    (all, still_open)
}

/// One connection through one phase. Returns the connection if it is still good.
async fn drive(shared: Arc<Shared>, mut connection: Connection, phase: Phase) -> (Tally, Option<Connection>) {
    let mut tally = Tally::default();
    let pace = match shared.interval.filter(|_| phase.paced).map(|interval| (interval, Pacer::new())) {
        None => None,
        Some((interval, Ok(pacer))) => Some((interval, pacer)),
        Some((_, Err(error))) => {
            tally.error(format!("cannot make a timer: {error}"));
            return (tally, Some(connection));
        }
    };
    let started = shared.started.get().copied().unwrap_or_else(Instant::now);
    while !shared.stop.load(Ordering::Relaxed) {
        let Some((request, number)) = take(&shared.deck, phase.limit).await else { break };
        let begun = match &pace {
            None => Instant::now(),
            Some((interval, pacer)) => {
                // Latency counts from here even if every connection is late: no coordinated omission.
                let moment = started + interval.mul_f64((number - shared.warmup_requests) as f64);
                if let Err(error) = pacer.wait_until(moment).await {
                    tally.error(format!("cannot wait: {error}"));
                    break;
                }
                moment
            }
        };
        let (rows, values, bytes) = (request.rows, request.values, request.bytes.len() as u32);
        let (reply, request) = deliver(&mut connection, request, &mut tally).await;
        shared.deck.put(number, request);
        let now = Instant::now();
        let failure = match reply {
            Ok(reply) if reply.is_success() => {
                let latency_ns = now.saturating_duration_since(begun).as_nanos() as u64;
                let done_ns = now.saturating_duration_since(started).as_nanos() as u64;
                tally.samples.push(Sample { done_ns, latency_ns, rows, values, bytes });
                shared.rows_done.fetch_add(u64::from(rows), Ordering::Relaxed);
                if !reply.close {
                    continue;
                }
                None
            }
            Ok(reply) => {
                let text = format!("request {number} was answered {}", reply.excerpt());
                Some((text, reply.close))
            }
            Err(error) => Some((format!("request {number}: {error}"), true)),
        };
        let mut reopen = failure.is_none();
        if let Some((text, closed)) = failure {
            reopen = closed;
            tally.error(text);
            if shared.errors.fetch_add(1, Ordering::Relaxed) + 1 >= ERRORS_MAX {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        if reopen {
            match Connection::open(shared.address).await {
                Ok(fresh) => connection = fresh,
                Err(error) => {
                    tally.error(format!("cannot connect again: {error}"));
                    return (tally, None);
                }
            }
        }
    }
    (tally, Some(connection))
}

async fn take(deck: &Deck, limit: u64) -> Option<(Request, u64)> {
    let mut taken = deck.take(limit);
    loop {
        match taken {
            Taken::Request(request, number) => return Some((request, number)),
            Taken::Done => return None,
            Taken::Busy(number) => {
                monoio::time::sleep(Duration::from_millis(1)).await;
                taken = deck.retake(number);
            }
        }
    }
}

/// Sends one request until it is answered by something else than 429.
async fn deliver(connection: &mut Connection, request: Request, tally: &mut Tally) -> (io::Result<Reply>, Request) {
    let mut request = request;
    loop {
        let bytes = std::mem::take(&mut request.bytes);
        let (reply, bytes) = connection.exchange(bytes).await;
        request.bytes = bytes;
        match reply {
            Ok(reply) if reply.status == 429 && !reply.close => {
                tally.throttled += 1;
                monoio::time::sleep(Duration::from_secs(reply.retry_after_s.unwrap_or(RETRY_AFTER_S))).await;
            }
            other => return (other, request),
        }
    }
}
