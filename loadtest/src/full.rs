//! `loadtest full`: what does a server do when its disk is full?
//!
//! 1. A filler file takes `--filler-mib` of the small file system that `--data-dir` lies on (`enospc.sh` makes one);
//!    the server is started and written to until it refuses.
//! 2. While the disk is full: `/api/v1/write` and `/write` must answer 507, the former with its code; all rows that
//!    were acknowledged must be read; the server must be up.
//! 3. The filler is removed: writes must be taken again, without a restart, within `--resume-s-max`.
//! 4. Everything acknowledged is counted once more, and again after SIGTERM and a restart.
//!
//! A refused batch may be there in part; more than that would be invented.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::csv;
use crate::error::{Context, Error, Result};
use crate::http::{self, Reply, Target};
use crate::output;
use crate::own::ServerArgs;
use crate::promise::Promises;
use crate::workload::START_NS;
use crate::write::Api;

const DATABASE: &str = "full";
/// Rows of a batch: about 2 MB of lines, 0.6 MB of log.
const ROWS: u64 = 20_000;
/// On a larger file system the run would fill somebody's disk.
const FREE_BYTES_MAX: u64 = 4 << 30;
/// Refusals in a row that say that the disk is full and stays full.
const REFUSALS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// A server that is only busy must be done with it in this time.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// CnosDB's code of a full disk.
const CODE: &str = "050033";

/// `loadtest full`
#[derive(Debug, Args)]
pub(crate) struct FullArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Size of the file that is removed to make space again.
    #[arg(long, default_value_t = 96)]
    filler_mib: u64,
    /// Longest time until writes are taken again.
    #[arg(long, default_value_t = 60)]
    resume_s_max: u64,
    /// Also write the promises as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What became of each batch.
#[derive(Debug, Default)]
struct Ledger(BTreeMap<u64, bool>);

/// Rows and sum of the numbers of a batch.
type Found = BTreeMap<u64, (u64, u64)>;

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Verdict {
    acknowledged_rows: u64,
    lost_rows: u64,
    invented_rows: u64,
    wrong_batches: u64,
}

impl Ledger {
    fn judge(&self, found: &Found) -> Verdict {
        let mut verdict = Verdict::default();
        for (batch, is_acknowledged) in &self.0 {
            let (rows, sum) = found.get(batch).copied().unwrap_or_default();
            verdict.invented_rows += rows.saturating_sub(ROWS);
            if *is_acknowledged {
                verdict.acknowledged_rows += ROWS;
                verdict.lost_rows += ROWS.saturating_sub(rows);
                verdict.wrong_batches += u64::from(rows == ROWS && sum != ROWS * (ROWS - 1) / 2);
            }
        }
        let unknown = found.iter().filter(|(batch, _)| !self.0.contains_key(batch));
        verdict.invented_rows += unknown.map(|(_, (rows, _))| rows).sum::<u64>();
        verdict
    }

    fn check(&self, target: &Target, when: &str, promises: &mut Promises) -> Result<()> {
        let mut found = Found::new();
        for row in csv::ask(target, DATABASE, "SELECT batch, count(*), sum(number) FROM full_disk GROUP BY batch")? {
            found.insert(row.number(0)?, (row.number(1)?, row.number(2)?));
        }
        let verdict = self.judge(&found);
        promises.some(&format!("acknowledged rows, read {when}"), verdict.acknowledged_rows);
        let bad = verdict.lost_rows + verdict.invented_rows + verdict.wrong_batches;
        promises.none(&format!("rows lost, invented or wrong, {when}"), bad);
        Ok(())
    }
}

/// Lines of a batch; floats of 17 digits, so that they take space.
fn lines(batch: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(batch);
    let mut lines = String::new();
    for number in 0..ROWS {
        let time_ns = START_NS + (batch * ROWS + number) as i64 * 1_000_000;
        // Writing into a String cannot fail.
        let _ = writeln!(
            lines,
            "full_disk,series=s{} batch={batch}i,number={number}i,a={},b={} {time_ns}",
            number % 100,
            rng.f64(),
            rng.f64()
        );
    }
    lines
}

/// Sends a batch until the answer is something else than 429.
fn send(target: &Target, api: Api, batch: u64) -> Result<Reply> {
    let (begun, lines) = (Instant::now(), lines(batch));
    loop {
        let reply = http::call(target, &api.write_path(DATABASE), None, Some(lines.as_bytes()))?;
        if reply.status != 429 {
            return Ok(reply);
        }
        if begun.elapsed() > BUSY_MAX {
            return Err(Error::Failed(format!("still 429 after {} s: {}", BUSY_MAX.as_secs(), reply.excerpt())));
        }
        thread::sleep(PAUSE);
    }
}

/// Runs the command.
pub(crate) fn command(args: &FullArgs) -> Result<()> {
    let mut server = args.server.prepare(&[])?;
    let folder = &args.server.data_dir;
    let space = rustix::fs::statvfs(folder).context(|| format!("look at the file system of {}", folder.display()))?;
    let free_bytes = space.f_bavail * space.f_frsize;
    if free_bytes > FREE_BYTES_MAX {
        let why = format!("--data-dir {}: more than 4 GiB are free; use a small file system", folder.display());
        return Err(Error::Usage(why));
    }
    let filler = folder.with_extension("filler");
    fs::write(&filler, vec![1; (args.filler_mib << 20) as usize])
        .context(|| format!("fill the disk with {}", filler.display()))?;
    server.start()?;
    let (target, mut ledger, mut promises) = (server.target(), Ledger::default(), Promises::default());
    Api::Cnos.create_database(&target, DATABASE)?;

    let (mut batch, mut refusals) = (0, 0);
    let refused = loop {
        let reply = send(&target, Api::Cnos, batch)?;
        ledger.0.insert(batch, reply.is_success());
        batch += 1;
        refusals = if reply.is_success() { 0 } else { refusals + 1 };
        if refusals == REFUSALS {
            break reply;
        }
        if refusals > 0 {
            thread::sleep(PAUSE);
        }
    };
    eprintln!("full after {batch} batches: {}", refused.excerpt());
    let code = if String::from_utf8_lossy(&refused.body).contains(CODE) { CODE } else { "another code" };
    let measured = format!("{}, {code}", refused.status);
    promises.check("answer of /api/v1/write", &measured, &format!("507, {CODE}"), measured == format!("507, {CODE}"));
    let reply = send(&target, Api::Influx, batch)?;
    ledger.0.insert(batch, reply.is_success());
    batch += 1;
    promises.check("answer of /write", &reply.status, &507, reply.status == 507);
    ledger.check(&target, "while the disk is full", &mut promises)?;

    fs::remove_file(&filler).context(|| format!("remove {}", filler.display()))?;
    let freed = Instant::now();
    let resumed = loop {
        let reply = send(&target, Api::Cnos, batch)?;
        ledger.0.insert(batch, reply.is_success());
        batch += 1;
        if reply.is_success() || freed.elapsed() > Duration::from_secs(args.resume_s_max) {
            break reply.is_success().then(|| freed.elapsed());
        }
        thread::sleep(PAUSE);
    };
    let measured = resumed.map_or("never".to_owned(), |time| format!("after {:.1} s", time.as_secs_f64()));
    let bound = format!("within {} s", args.resume_s_max);
    promises.check("writes are taken again", &measured, &bound, resumed.is_some());
    ledger.check(&target, "after space was freed", &mut promises)?;
    server.terminate()?;
    server.start()?;
    ledger.check(&server.target(), "after SIGTERM and a restart", &mut promises)?;
    server.terminate()?;
    output::print(&promises.table())?;
    if let Some(path) = &args.json {
        output::write_json(path, &promises)?;
    }
    promises.verdict()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: u64 = ROWS * (ROWS - 1) / 2;

    #[test]
    fn refused_batches_may_be_there_in_part_and_no_others_may() {
        let ledger = Ledger([(0, true), (1, false), (2, true)].into());
        let judge = |found: &[(u64, (u64, u64))]| ledger.judge(&found.iter().copied().collect());
        let whole = [(0, (ROWS, SUM)), (2, (ROWS, SUM))];
        let good = Verdict { acknowledged_rows: 2 * ROWS, ..Verdict::default() };
        assert_eq!(judge(&whole), good);
        assert_eq!(judge(&[whole[0], (1, (5, 9)), whole[1]]), good);
        assert_eq!(judge(&[whole[0], (2, (ROWS - 3, SUM))]).lost_rows, 3);
        assert_eq!(judge(&whole[..1]).lost_rows, ROWS);
        assert_eq!(judge(&[whole[0], (2, (ROWS, SUM + 1))]).wrong_batches, 1);
        assert_eq!(judge(&[whole[0], (1, (ROWS + 2, SUM)), whole[1]]).invented_rows, 2);
        assert_eq!(judge(&[whole[0], whole[1], (9, (4, 0))]).invented_rows, 4);
    }

    #[test]
    fn lines_carry_their_numbers() {
        let lines = lines(3);
        assert_eq!(lines.lines().count() as u64, ROWS);
        let numbers =
            lines.lines().filter_map(|line| line.split("number=").nth(1)?.split('i').next()?.parse::<u64>().ok());
        assert_eq!(numbers.sum::<u64>(), SUM);
    }
}
