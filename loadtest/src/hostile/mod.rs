//! `loadtest hostile`: does the server live, and serve others, whatever is sent to it?
//!
//! Starts the server itself, with `memory.bytes_max` = `--bound-mib`, and loads a table. Then, for `--minutes`,
//! `--attackers` threads pick attacks from the corpus (`corpus`) and carry them out (`client`), one after the other, at
//! the lowest priority; beside them normal clients (`normal`) ping, write a row and read it, and the process's memory
//! is looked at ten times a second.
//!
//! Promised: the process lives; its memory in RAM stays below `--rss-mib-max`; every whole request has a whole answer,
//! whatever its status; no normal request takes longer than `--late-ms` or is refused.

mod client;
mod corpus;
pub(crate) mod normal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use self::client::Outcome;
use self::corpus::{CASES, TABLE};
use self::normal::{Normal, Served};
use crate::error::{Context, Error, Result};
use crate::http::{self, Target};
use crate::metrics::Metrics;
use crate::output;
use crate::own::ServerArgs;
use crate::promise::Promises;
use crate::workload::START_NS;
use crate::write::Api;

const LOAD_ROWS: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// How far attackers stand back where they share processors with the server: all the way.
const ATTACKER_NICE: i32 = 19;
/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long it takes until the disk has a part of the log: no write is answered earlier, whatever the cores do.
const LOG_SYNC: &str = "tidewire_wal_sync_duration_seconds";
/// Once that often says how it goes.
const LOOKS_PER_WORD: u64 = 300;

/// `loadtest hostile`
#[derive(Debug, Args)]
pub(crate) struct HostileArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How long the server is attacked.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Attacks at a time.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    attackers: u64,
    /// Only attacks whose names have this in them.
    #[arg(long)]
    only: Option<String>,
    /// Rows of the table that is asked.
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// The server's `memory.bytes_max`.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    bound_mib: u64,
    /// What the process may have in RAM.
    #[arg(long, default_value_t = 700, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    rss_mib_max: u64,
    /// A normal request that takes longer is late.
    #[arg(long, default_value_t = 100.0)]
    late_ms: f64,
    /// Seed of the attacks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What became of the attacks of one kind.
#[derive(Debug, Clone, Default, Serialize)]
struct Count {
    runs: u64,
    /// Answers by their first digit, 2 to 5.
    answers: BTreeMap<u16, u64>,
    unanswered: u64,
    first_unanswered: Option<String>,
    longest_s: f64,
}

type Counts = BTreeMap<&'static str, Count>;

#[derive(Debug, Serialize)]
struct Report {
    attacks: Counts,
    normal: Vec<Served>,
    resident_mib_max: f64,
    /// No sync of the log took longer.
    log_sync_s_max: Option<f64>,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &HostileArgs) -> Result<()> {
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let cases: Vec<usize> = (0..CASES.len()).filter(|at| wanted(CASES[*at].name)).collect();
    if cases.is_empty() {
        return Err(Error::Usage("--only: no attack has such a name".to_owned()));
    }
    let mut server = args.server.prepare(&[("memory.bytes_max", format!("{}MiB", args.bound_mib))])?;
    server.start()?;
    let target = server.target();
    load(&target, args.rows)?;
    normal::prepare(&target)?;
    let process = server.process()?;

    let stop = Arc::new(AtomicBool::new(false));
    let normal = Normal::start(&target, args.late_ms)?;
    let attackers = (0..args.attackers).map(|number| {
        let (target, stop, cases) = (target.clone(), Arc::clone(&stop), cases.clone());
        let rng = fastrand::Rng::with_seed(args.seed.wrapping_mul(1_000_003).wrapping_add(number));
        let work = move || {
            // On machines of their own they would leave the processors to the server and to who is watched. It is no
            // fault to stay where it cannot be had.
            let _ = rustix::process::nice(ATTACKER_NICE);
            attack(&target, &cases, rng, &stop)
        };
        thread::Builder::new().name(format!("attacker {number}")).spawn(work).context(|| "start a thread")
    });
    let attackers = attackers.collect::<Result<Vec<_>>>()?;

    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    let (mut resident, mut looks, mut lives) = (0, 0_u64, true);
    while Instant::now() < end && lives {
        thread::sleep(LOOK);
        match process.memory() {
            Ok(memory) if memory.resident_bytes > 0 => resident = resident.max(memory.resident_bytes),
            _ => lives = false,
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS_PER_WORD) {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            output::print(&format!("{left} s left, at most {} MiB in RAM\n", resident / MIB))?;
        }
    }
    // Normal clients first: what attackers have under way is part of the attack.
    let normal = normal.end();
    stop.store(true, Ordering::Relaxed);
    let mut attacks = Counts::new();
    for attacker in attackers {
        let counts = attacker.join().map_err(|_| Error::Failed("a thread panicked".to_owned()))?;
        counts.into_iter().for_each(|(name, count)| attacks.entry(name).or_default().add(count));
    }

    let log_sync_s_max = Metrics::read(&target).and_then(|metrics| metrics.bound(LOG_SYNC)).ok();
    let mut promises = Promises::default();
    promises.check("the process lives", &lives, &true, lives);
    let (mib, mib_max) = (resident as f64 / MIB as f64, args.rss_mib_max as f64);
    promises.check("memory in RAM", &format!("{mib:.0} MiB"), &format!("below {mib_max} MiB"), mib < mib_max);
    promises.some("attacks", attacks.values().map(|count| count.runs).sum());
    promises.none("requests without an answer", attacks.values().map(|count| count.unanswered).sum());
    let normal = normal::promised(normal, args.late_ms, &mut promises);
    let report = Report { attacks, normal, resident_mib_max: mib, log_sync_s_max, promises };
    output::print(&format!("{}\n{}", report.table(), report.promises.table()))?;
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    if lives {
        server.terminate()?;
    }
    report.promises.verdict().map_err(|error| Error::Failed(format!("{error}\n{}", server.log_tail())))
}

/// Writes the table that statements ask.
fn load(target: &Target, rows: u64) -> Result<()> {
    let mut first = 0;
    while first < rows {
        let end = (first + LOAD_ROWS).min(rows);
        let line = |row: u64| {
            format!(
                "{TABLE},h=h{} v={},s=\"row {row} of the table\" {}\n",
                row % 100,
                row * 7919 % rows,
                START_NS + row as i64
            )
        };
        let body: String = (first..end).map(line).collect();
        let reply = http::call(target, &Api::Cnos.write_path("public"), None, Some(body.as_bytes()))?;
        match reply.status {
            429 => thread::sleep(Duration::from_millis(300)),
            _ if reply.is_success() => first = end,
            _ => return Err(Error::Failed(format!("rows to ask for: {}", reply.excerpt()))),
        }
    }
    Ok(())
}

/// Attacks until it is time to stop.
fn attack(target: &Target, cases: &[usize], mut rng: fastrand::Rng, stop: &AtomicBool) -> Counts {
    let mut counts = Counts::new();
    while !stop.load(Ordering::Relaxed) {
        let case = &CASES[cases[rng.usize(..cases.len())]];
        let attack = (case.make)(&mut rng);
        let begun = Instant::now();
        let outcome = client::attack(target, attack);
        counts.entry(case.name).or_default().add(Count::of(outcome, begun.elapsed()));
    }
    counts
}

impl Count {
    fn of(outcome: Outcome, time: Duration) -> Self {
        let mut count = Self { runs: 1, longest_s: time.as_secs_f64(), ..Self::default() };
        for status in outcome.statuses {
            *count.answers.entry(status / 100).or_default() += 1;
        }
        count.unanswered = u64::from(outcome.missing.is_some());
        count.first_unanswered = outcome.missing;
        count
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.unanswered += other.unanswered;
        self.longest_s = self.longest_s.max(other.longest_s);
        other.answers.into_iter().for_each(|(digit, more)| *self.answers.entry(digit).or_default() += more);
        if self.first_unanswered.is_none() {
            self.first_unanswered = other.first_unanswered;
        }
    }
}

impl Report {
    fn table(&self) -> String {
        let head = ["attack", "runs", "2xx", "4xx", "5xx", "unanswered", "longest"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (name, count) in &self.attacks {
            let answers = |digit: u16| count.answers.get(&digit).copied().unwrap_or_default().to_string();
            let longest = format!("{:.2} s", count.longest_s);
            let (runs, unanswered) = (count.runs.to_string(), count.unanswered.to_string());
            rows.push(vec![(*name).to_owned(), runs, answers(2), answers(4), answers(5), unanswered, longest]);
        }
        let mut text = output::table(&rows);
        for (name, count) in &self.attacks {
            if let Some(first) = &count.first_unanswered {
                text += &format!("{name}: {first}\n");
            }
        }
        if let Some(longest_s) = self.log_sync_s_max {
            text += &format!("the longest sync of the log: at most {:.0} ms\n", longest_s * 1e3);
        }
        for served in &self.normal {
            if let Some(first) = &served.first_refusal {
                text += &format!("{}: {first}\n", served.kind);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_add_up_and_the_first_without_an_answer_is_told() {
        let of = |statuses: &[u16], missing: Option<&str>| {
            let outcome = Outcome { statuses: statuses.to_vec(), missing: missing.map(str::to_owned) };
            Count::of(outcome, Duration::from_millis(300))
        };
        let mut sum = Count::default();
        sum.add(of(&[200, 429], None));
        sum.add(of(&[], Some("closed")));
        sum.add(of(&[503], Some("later")));
        assert_eq!((sum.runs, sum.unanswered, sum.first_unanswered.as_deref()), (3, 2, Some("closed")));
        assert_eq!(sum.answers, [(2, 1), (4, 1), (5, 1)].into());
        let attacks = [("a kind", sum)].into();
        let promises = Promises::default();
        let report =
            Report { attacks, normal: Vec::new(), resident_mib_max: 1.0, log_sync_s_max: Some(0.004), promises };
        let shown = report.table();
        assert!(shown.contains("a kind: closed") && shown.contains("0.30 s"), "{shown}");
    }
}
