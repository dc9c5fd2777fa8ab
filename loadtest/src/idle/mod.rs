//! `loadtest idle`: what do connections cost that do nothing, and do slow ones keep others from being served?
//!
//! 1. Starts the server itself and loads a table.
//! 2. Opens `--connections` connections (`open`), over HTTPS with `--tls`; each asks `/ping` and then stays as it is.
//!    What the process has in RAM more than before is what they cost.
//! 3. With them open, `--slow` clients (`slow`) send or read a byte a second for `--seconds`, while normal clients
//!    ping, write a row and read it.
//!
//! Promised: the connections cost at most `--mb-max`; the slow clients take none of them away; no normal request takes
//! longer than `--late-ms` or is refused.

mod open;
mod slow;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::open::Opener;
use self::slow::Counts;
use crate::error::{Context, Error, Result};
use crate::hostile::normal::{self, Normal, Served};
use crate::http::{self, Target};
use crate::output;
use crate::own::ServerArgs;
use crate::promise::Promises;
use crate::workload::START_NS;
use crate::write::Api;

/// The table that slow readers ask.
const TABLE: &str = "idle";
const ROWS: u64 = 100_000;
/// Connections beside those that idle and those that are slow.
const OTHERS: u64 = 64;
/// Descriptors beside those of connections.
const DESCRIPTORS: u64 = 1_000;
/// What connections have only while they are new is given back by then.
const REST: Duration = Duration::from_secs(15);
/// Megabytes that are promised.
const MB_MAX: f64 = 200.0;
const MB_MAX_TLS: f64 = 600.0;

/// `loadtest idle`
#[derive(Debug, Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Connections that idle.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=28_000))]
    connections: u64,
    /// They are of HTTPS.
    #[arg(long)]
    tls: bool,
    /// Where ca.pem, one.pem and one.key are, for --tls.
    #[arg(long, default_value = "server/tests/process/tls")]
    certificates: PathBuf,
    /// What they may cost, in megabytes [default: 200, with --tls 600].
    #[arg(long)]
    mb_max: Option<f64>,
    /// Clients that send or read a byte a second.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(0..=20_000))]
    slow: u64,
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A normal request that takes longer is late.
    #[arg(long, default_value_t = 100.0)]
    late_ms: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    connections: u64,
    tls: bool,
    before_mb: f64,
    idle_mb: f64,
    slow_mb: f64,
    slow: Counts,
    normal: Vec<Served>,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &IdleArgs) -> Result<()> {
    let all = args.connections + args.slow + OTHERS;
    raise_descriptors(all + DESCRIPTORS)?;
    let mut keys = vec![
        ("http.connections_max", all.to_string()),
        ("http.idle_timeout_ms", Duration::from_secs(3_600).as_millis().to_string()),
    ];
    let opener = match args.tls {
        false => Opener::plain(),
        true => {
            let opener = Opener::tls(&args.certificates)?;
            let file = |name: &str| args.certificates.join(name).display().to_string();
            keys.push(("tls.listen", opener.listen()));
            keys.push(("tls.certificate_file", file("one.pem")));
            keys.push(("tls.key_file", file("one.key")));
            opener
        }
    };
    let mut server = args.server.prepare(&keys)?;
    server.start()?;
    let target = server.target();
    load(&target)?;
    normal::prepare(&target)?;
    let process = server.process()?;
    thread::sleep(REST);
    let megabytes = || Ok::<_, Error>(process.memory()?.resident_bytes as f64 / 1e6);
    let before_mb = megabytes()?;
    let address = opener.address(&target);
    let mut idle = Vec::new();
    for number in 1..=args.connections {
        idle.push(opener.open(address)?);
        if number.is_multiple_of(1_000) {
            output::print(&format!("{number} connections, {:.1} MB\n", megabytes()?))?;
        }
    }
    thread::sleep(REST);
    let idle_mb = megabytes()?;

    let stop = Arc::new(AtomicBool::new(false));
    let has_begun = Arc::new(AtomicBool::new(false));
    let (slow, hello, signals) = (args.slow, opener.hello()?, (Arc::clone(&has_begun), Arc::clone(&stop)));
    let work = move || slow::run(address, slow, hello.as_deref(), (&signals.0, &signals.1));
    let slow = thread::Builder::new().name("slow clients".to_owned()).spawn(work).context(|| "start a thread")?;
    // That they come all at once, and some with a large query, is another matter than that they are slow.
    while !slow.is_finished() && !has_begun.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(REST);
    let normal = Normal::start(&target, args.late_ms)?;
    thread::sleep(Duration::from_secs(args.seconds));
    let slow_mb = megabytes()?;
    let normal = normal.end();
    stop.store(true, Ordering::Relaxed);
    let slow = slow.join().map_err(|_| Error::Failed("a thread panicked".to_owned()))??;

    let mut promises = Promises::default();
    let mb_max = args.mb_max.unwrap_or(if args.tls { MB_MAX_TLS } else { MB_MAX });
    let (cost, bound) = (idle_mb - before_mb, format!("at most {mb_max} MB"));
    promises.check("memory of idle connections", &format!("{cost:.1} MB"), &bound, cost <= mb_max);
    let closed = idle.iter().filter(|stream| open::is_closed(stream)).count();
    promises.none("idle connections that were closed", closed as u64);
    if args.slow > 0 {
        promises.some("bytes of slow clients", slow.sent + slow.read);
        promises.none("slow clients that were not let in", slow.refused);
    }
    let normal = normal::promised(normal, args.late_ms, &mut promises);
    let (connections, tls) = (args.connections, args.tls);
    let report = Report { connections, tls, before_mb, idle_mb, slow_mb, slow, normal, promises };
    output::print(&report.text())?;
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    drop(idle);
    server.terminate()?;
    report.promises.verdict().map_err(|error| Error::Failed(format!("{error}\n{}", server.log_tail())))
}

impl Report {
    fn text(&self) -> String {
        let Self { connections, before_mb, idle_mb, slow_mb, slow, .. } = self;
        let each = (idle_mb - before_mb) * 1e3 / *connections as f64;
        let mut text = format!(
            "in RAM: {before_mb:.1} MB before, {idle_mb:.1} MB with {connections} idle connections ({each:.1} kB each), \
             {slow_mb:.1} MB with slow clients beside them\nslow clients sent {} bytes and read {}, were cut {} times\n",
            slow.sent, slow.read, slow.cut
        );
        for served in &self.normal {
            let (kind, answered, late) = (served.kind, served.answered, served.late);
            text += &format!("{kind}: {answered} answered, {late} late\n");
            if let Some(first) = &served.first_refusal {
                text += &format!("{kind}: {first}\n");
            }
        }
        format!("{text}{}", self.promises.table())
    }
}

/// Lets this process, and the servers that it starts, have this many descriptors.
fn raise_descriptors(wanted: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = maximum.map(|maximum| maximum.max(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    raised.context(|| format!("have {wanted} descriptors, see `ulimit -Hn`"))
}

/// Writes the table that slow readers ask.
fn load(target: &Target) -> Result<()> {
    let line =
        |row: u64| format!("{TABLE},h=h{} v={row},s=\"row {row} of the table\" {}\n", row % 100, START_NS + row as i64);
    let body: String = (0..ROWS).map(line).collect();
    let reply = http::call(target, &Api::Cnos.write_path("public"), None, Some(body.as_bytes()))?;
    if reply.is_success() { Ok(()) } else { Err(Error::Failed(format!("rows to ask for: {}", reply.excerpt()))) }
}
