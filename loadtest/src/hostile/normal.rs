//! A client that does what all do: it asks whether the server is there, writes a row, and reads one back, each on a
//! connection of its own, with a pause between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Target};
use crate::promise::Promises;

/// Between two requests of a kind.
const PAUSE: Duration = Duration::from_millis(10);

/// What a client of one kind has seen.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Served {
    pub(crate) kind: &'static str,
    pub(crate) answered: u64,
    pub(crate) longest_ms: f64,
    /// Answers within the bound, of all.
    pub(crate) late: u64,
    /// Answers other than 2xx, and the first of them.
    pub(crate) refused: u64,
    pub(crate) first_refusal: Option<String>,
}

/// Clients at work.
pub(crate) struct Normal {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Result<Served>>>,
}

const KINDS: [&str; 3] = ["ping", "a row written", "a row read"];

impl Normal {
    /// Starts them; answers after more than `late_ms` are late.
    pub(crate) fn start(target: &Target, late_ms: f64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |kind: &'static str| {
            let (target, stop) = (target.clone(), Arc::clone(&stop));
            let work = move || work(&target, kind, late_ms, &stop);
            thread::Builder::new().name(kind.to_owned()).spawn(work).context(|| "start a thread")
        };
        let threads = KINDS.into_iter().map(start).collect::<Result<_>>()?;
        Ok(Self { stop, threads })
    }

    /// Ends them.
    pub(crate) fn end(self) -> Result<Vec<Served>> {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.threads.into_iter().map(thread::JoinHandle::join);
        joined.map(|served| served.map_err(|_| Error::Failed("a thread panicked".to_owned()))?).collect()
    }
}

/// Promises that normal clients were served, none of them later than `late_ms` and none refused.
pub(crate) fn promised(normal: Result<Vec<Served>>, late_ms: f64, promises: &mut Promises) -> Vec<Served> {
    let normal = match normal {
        Ok(normal) => normal,
        Err(error) => {
            promises.check("normal clients", &error, &"served", false);
            Vec::new()
        }
    };
    for served in &normal {
        let (found, wanted) = (format!("{:.1} ms", served.longest_ms), format!("at most {late_ms} ms"));
        promises.check(&format!("longest: {}", served.kind), &found, &wanted, served.longest_ms <= late_ms);
        promises.none(&format!("refused: {}", served.kind), served.refused);
    }
    normal
}

/// Writes a row, so that there is one to read from the start.
pub(crate) fn prepare(target: &Target) -> Result<()> {
    let row = Some(b"normal,client=c v=0i 0".as_slice());
    let reply = http::call(target, "/api/v1/write?db=public", None, row)?;
    if reply.is_success() { Ok(()) } else { Err(Error::Failed(format!("a row to read: {}", reply.excerpt()))) }
}

fn request(target: &Target, kind: &str, at: u64) -> Vec<u8> {
    match kind {
        "ping" => target.request("/ping", None, None),
        "a row written" => {
            let line = format!("normal,client=c v={at}i {at}");
            target.request("/api/v1/write?db=public", None, Some(line.as_bytes()))
        }
        _ => {
            let statement = "SELECT max(v) FROM normal WHERE client = 'c'";
            target.request("/api/v1/sql?db=public", Some("application/csv"), Some(statement.as_bytes()))
        }
    }
}

fn work(target: &Target, kind: &'static str, late_ms: f64, stop: &AtomicBool) -> Result<Served> {
    let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
    runtime.block_on(async {
        let mut served = Served { kind, ..Served::default() };
        let mut connection = None;
        for at in 1.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let begun = Instant::now();
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(target.address).await.context(|| "connect as a normal client")?,
            };
            let reply = open.exchange(request(target, kind, at)).await.0.context(|| format!("ask for {kind}"))?;
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            served.answered += 1;
            served.longest_ms = served.longest_ms.max(ms);
            served.late += u64::from(ms > late_ms);
            if !reply.is_success() {
                served.refused += 1;
                served.first_refusal.get_or_insert_with(|| reply.excerpt());
            }
            connection = (!reply.close).then_some(open);
            monoio::time::sleep(PAUSE).await;
        }
        Ok(served)
    })
}
