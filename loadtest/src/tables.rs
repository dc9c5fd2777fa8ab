//! `loadtest tables`: what does it cost to make, drop and open many tables?
//!
//! Starts the server itself:
//!
//! 1. New measurements, all in one body, on an empty catalog; then tables until there are `--tables`, and as many new
//!    measurements again in one body.
//! 2. A database of `--drop-tables` tables is made and dropped while its rows are in memory, and once more when they
//!    are in segments.
//! 3. SIGKILL, and the time to the first answer with all rows in the log; then the rows go into segments, SIGTERM, and
//!    the same again.
//!
//! Every table has one row. After each restart all tables are counted.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::csv;
use crate::error::{Error, Result};
use crate::http;
use crate::output;
use crate::own::{Own, ServerArgs};
use crate::promise::Promises;
use crate::workload::START_NS;
use crate::write::{Api, duration};

/// Tables of one body while there are to be many: what a body is allowed to have of distinct lines.
const BODY_TABLES: u64 = 2_000;
const FLUSH_MAX: Duration = Duration::from_secs(600);

/// `loadtest tables`
#[derive(Debug, Args)]
pub(crate) struct TablesArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// New measurements in one body.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    new_tables: u64,
    /// Tables of the large catalog.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    tables: u64,
    /// Tables of the database that is dropped.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    drop_tables: u64,
    /// Longest time for a body of new measurements.
    #[arg(long, default_value_t = 0.5)]
    new_s_max: f64,
    /// Longest time for DROP DATABASE.
    #[arg(long, default_value_t = 1.0)]
    drop_s_max: f64,
    /// Longest time from the start of the process to its first answer.
    #[arg(long, default_value_t = 2.0)]
    start_s_max_promised: f64,
    /// Also write all figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One thing that was done, and how long it took.
#[derive(Debug, Serialize)]
struct Step {
    name: String,
    seconds: f64,
    seconds_max: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    steps: Vec<Step>,
    promises: Promises,
}

/// Runs the command.
pub(crate) fn command(args: &TablesArgs) -> Result<()> {
    let mut report = Report { steps: Vec::new(), promises: Promises::default() };
    // Rows stay in memory until they are to be in segments.
    let unflushed = [("memtable.flush_idle_s", "86400".to_owned()), ("memtable.flush_log_bytes", "64GiB".to_owned())];
    let mut server = args.server.prepare(&unflushed)?;
    server.start()?;
    create(&server, "first")?;
    create(&server, "second")?;
    report.step("new measurements in one body, catalog empty", args.new_s_max, || {
        write(&server, "first", 0..args.new_tables)
    })?;
    fill(&server, "many", args.tables)?;
    let name = format!("new measurements in one body, catalog of {}", args.tables);
    report.step(&name, args.new_s_max, || write(&server, "second", 0..args.new_tables))?;
    fill(&server, "dropped", args.drop_tables)?;
    let name = format!("DROP DATABASE of {} tables in memory", args.drop_tables);
    report.step(&name, args.drop_s_max, || statement(&server, "DROP DATABASE dropped"))?;
    fill(&server, "dropped", args.drop_tables)?;

    let kept = args.tables + 2 * args.new_tables;
    server.kill()?;
    report.restart(&mut server, "start after SIGKILL, rows in the log", args.start_s_max_promised)?;
    report.count(&server, kept + args.drop_tables)?;
    server.terminate()?;

    let mut server = server.with(&[("memtable.flush_idle_s", "1".to_owned())]);
    server.start()?;
    server.wait(FLUSH_MAX, "nothing in memory", |work| work.memtable_rows == 0)?;
    let name = format!("DROP DATABASE of {} tables in segments", args.drop_tables);
    report.step(&name, args.drop_s_max, || statement(&server, "DROP DATABASE dropped"))?;
    server.terminate()?;
    report.restart(&mut server, "start after SIGTERM, rows in segments", args.start_s_max_promised)?;
    report.count(&server, kept)?;
    server.terminate()?;

    output::print(&format!("{}\n{}", table(&report.steps), report.promises.table()))?;
    if let Some(path) = &args.json {
        output::write_json(path, &report)?;
    }
    report.promises.verdict()
}

impl Report {
    fn step(&mut self, name: &str, seconds_max: f64, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let begun = Instant::now();
        act()?;
        self.took(name, begun.elapsed(), seconds_max);
        Ok(())
    }

    fn restart(&mut self, server: &mut Own, name: &str, seconds_max: f64) -> Result<()> {
        let ready = server.start()?;
        self.took(name, ready, seconds_max);
        Ok(())
    }

    fn took(&mut self, name: &str, time: Duration, seconds_max: f64) {
        let seconds = time.as_secs_f64();
        let (found, wanted) = (format!("{seconds:.3} s"), format!("at most {seconds_max} s"));
        self.promises.check(name, &found, &wanted, seconds <= seconds_max);
        self.steps.push(Step { name: name.to_owned(), seconds, seconds_max });
    }

    /// Asks for the tables of all databases.
    fn count(&mut self, server: &Own, wanted: u64) -> Result<()> {
        let mut found = 0;
        for database in csv::ask(&server.target(), "public", "SHOW DATABASES")? {
            found += csv::ask(&server.target(), database.text(0)?, "SHOW TABLES")?.len() as u64;
        }
        self.promises.check("tables after a restart", &found, &wanted, found == wanted);
        Ok(())
    }
}

/// Makes a database of this many tables.
fn fill(server: &Own, database: &str, tables: u64) -> Result<()> {
    create(server, database)?;
    let mut first = 0;
    while first < tables {
        let end = (first + BODY_TABLES).min(tables);
        write(server, database, first..end)?;
        first = end;
    }
    Ok(())
}

fn create(server: &Own, database: &str) -> Result<()> {
    Api::Cnos.create_database(&server.target(), database)
}

/// Writes a row into each of these tables with one body.
fn write(server: &Own, database: &str, tables: std::ops::Range<u64>) -> Result<()> {
    let body = lines(tables);
    let reply = http::call(&server.target(), &Api::Cnos.write_path(database), None, Some(body.as_bytes()))?;
    match reply.is_success() {
        true => Ok(()),
        false => Err(Error::Failed(format!("a body of new tables: {}", reply.excerpt()))),
    }
}

fn lines(tables: std::ops::Range<u64>) -> String {
    tables.fold(String::new(), |mut body, table| {
        // Writing to a string does not fail.
        let _ = writeln!(body, "metric.{table},host=h{} value={table}i {START_NS}", table % 7);
        body
    })
}

fn statement(server: &Own, sql: &str) -> Result<()> {
    csv::ask(&server.target(), "public", sql).map(drop)
}

fn table(steps: &[Step]) -> String {
    let mut rows = vec![["step", "time", "at most"].map(str::to_owned).to_vec()];
    rows.extend(
        steps
            .iter()
            .map(|step| vec![step.name.clone(), duration(step.seconds * 1e6), duration(step.seconds_max * 1e6)]),
    );
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_line() {
        assert_eq!(
            lines(7..9),
            format!("metric.7,host=h0 value=7i {START_NS}\nmetric.8,host=h1 value=8i {START_NS}\n")
        );
    }

    #[test]
    fn steps_are_judged_and_shown() {
        let mut report = Report { steps: Vec::new(), promises: Promises::default() };
        report.took("quick", Duration::from_millis(400), 0.5);
        assert!(report.promises.verdict().is_ok());
        report.took("slow", Duration::from_millis(600), 0.5);
        assert!(report.promises.verdict().is_err());
        let shown = table(&report.steps);
        assert!(shown.contains("quick") && shown.contains("slow") && shown.lines().count() >= 3, "{shown}");
    }
}
