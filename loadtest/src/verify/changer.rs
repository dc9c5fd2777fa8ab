//! The connections of a round that write to tables while these are dropped and made again.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use super::lives::{COLUMNS, HOSTS, Lives, Place, Scope, TABLES, Taken, number, text};
use crate::csv::{self, Cells};
use crate::error::{Error, Result};
use crate::http::{Connection, Reply, Target};
use crate::write::Api;

/// The database of these tables.
pub(super) const LIVES_DATABASE: &str = "verify_lives";

/// No row is older, and no TTL that is set is shorter: the rows of a run never expire by right.
const AGE_NS_MAX: i64 = 6 * 3600 * 1_000_000_000;

/// What TTLs are set to, all of them longer than the age of any row.
const TTLS: [&str; 3] = ["1d", "30d", "3650d"];

/// What the connections of a round share.
pub(super) struct Shared {
    pub(super) lives: Lives,
    /// Which columns hold text, as far as somebody has heard: of a table that is made again, others may.
    is_text: [[bool; COLUMNS]; TABLES],
    /// Rows have this time or a later one.
    oldest_ns: i64,
}

impl Shared {
    /// With what is known of rounds before.
    pub(super) fn new(lives: Lives) -> Rc<RefCell<Self>> {
        let now_ns = jiff::Timestamp::now().as_nanosecond();
        let oldest_ns = i64::try_from(now_ns).unwrap_or(i64::MAX) - AGE_NS_MAX;
        Rc::new(RefCell::new(Self { lives, is_text: [[true; COLUMNS]; TABLES], oldest_ns }))
    }
}

/// Creates the database if it is not there.
pub(super) fn create(target: &Target) -> Result<()> {
    csv::ask(target, "public", &format!("CREATE DATABASE IF NOT EXISTS {LIVES_DATABASE}")).map(drop)
}

/// Writes until the server is gone.
pub(super) async fn write(target: Target, shared: Rc<RefCell<Shared>>, mut rng: fastrand::Rng) -> Result<()> {
    let path = Api::Cnos.write_path(LIVES_DATABASE);
    let Ok(mut connection) = Connection::open(target.address).await else { return Ok(()) };
    loop {
        let request = shared.borrow_mut().lives.begin();
        let mut lines = String::new();
        for _ in 0..[1, 2, 5, 40][rng.usize(..4)] {
            line(&mut shared.borrow_mut(), request, &mut rng, &mut lines);
        }
        let (reply, _) = connection.exchange(target.request(&path, None, Some(lines.as_bytes()))).await;
        let Ok(reply) = reply else { return Ok(()) };
        // Types change, tables and the database are gone, or are dropped just now.
        if !reply.is_success() && !matches!(reply.status, 404 | 422 | 429 | 503) {
            return Err(Error::Reply(format!("a write beside drops was answered {}", reply.excerpt())));
        }
        shared.borrow_mut().lives.end(request, reply.is_success());
        if reply.status == 429 {
            monoio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Adds a row.
fn line(shared: &mut Shared, request: usize, rng: &mut fastrand::Rng, lines: &mut String) {
    let (table, host) = (rng.usize(..TABLES), rng.usize(..HOSTS));
    let time_ns = shared.lives.time_ns(shared.oldest_ns);
    let first = rng.usize(..COLUMNS);
    let columns: Vec<usize> = (first..COLUMNS.min(first + 1 + rng.usize(..COLUMNS))).collect();
    // Writing into a String cannot fail.
    let _ = write!(lines, "t{table},h=h{host} ");
    for (position, column) in columns.into_iter().enumerate() {
        let place = Place { table, host, column, time_ns };
        let number = shared.lives.send(request, place);
        let comma = if position == 0 { "" } else { "," };
        let _ = match shared.is_text[table][column] {
            true => write!(lines, "{comma}c{column}=\"{}\"", text(&place, number)),
            false => write!(lines, "{comma}c{column}={number}i"),
        };
    }
    let _ = writeln!(lines, " {time_ns}");
}

/// Drops, makes again and changes until the server is gone.
pub(super) async fn change(target: Target, shared: Rc<RefCell<Shared>>, mut rng: fastrand::Rng) -> Result<()> {
    let Ok(mut connection) = Connection::open(target.address).await else { return Ok(()) };
    loop {
        monoio::time::sleep(Duration::from_millis(rng.u64(..15))).await;
        let (table, column) = (rng.usize(..TABLES), rng.usize(..COLUMNS));
        let is_text = rng.bool();
        let kind = if is_text { "STRING" } else { "BIGINT" };
        let (text, scope) = match rng.u32(..20) {
            0..=3 => (format!("DROP TABLE t{table}"), Some(Scope::Table(table))),
            4..=7 => (format!("CREATE TABLE t{table} (c{column} {kind}, TAGS(h))"), None),
            8..=10 => (format!("ALTER TABLE t{table} DROP c{column}"), Some(Scope::Column(table, column))),
            11..=14 => (format!("ALTER TABLE t{table} ADD FIELD c{column} {kind}"), None),
            15 => (format!("DELETE FROM t{table} WHERE time > 0"), Some(Scope::Table(table))),
            16 if rng.u32(..4) == 0 => (format!("DROP DATABASE {LIVES_DATABASE}"), Some(Scope::All)),
            17 => (format!("CREATE DATABASE IF NOT EXISTS {LIVES_DATABASE}"), None),
            _ => (format!("ALTER DATABASE {LIVES_DATABASE} SET TTL '{}'", TTLS[rng.usize(..TTLS.len())]), None),
        };
        let taking = scope.map(|scope| shared.borrow_mut().lives.begin_taking(scope));
        let Some(reply) = say(&mut connection, &target, &text).await else { return Ok(()) };
        if !reply.is_success() && !matches!(reply.status, 404 | 422 | 429 | 503) {
            return Err(Error::Reply(format!("{text}\n  was answered {}", reply.excerpt())));
        }
        let mut shared = shared.borrow_mut();
        if let Some(taking) = taking {
            let taken = match reply.is_success() {
                true => Taken::All,
                // Some shards may have deleted their part.
                false if text.starts_with("DELETE") && reply.status != 422 => Taken::Perhaps,
                false => Taken::Nothing,
            };
            shared.lives.end_taking(taking, taken);
        }
        if reply.is_success() && scope.is_none() && text.contains(kind) {
            shared.is_text[table][column] = is_text;
        }
    }
}

async fn say(connection: &mut Connection, target: &Target, text: &str) -> Option<Reply> {
    let request = target.request(&csv::path(LIVES_DATABASE), Some(csv::ACCEPT), Some(text.as_bytes()));
    connection.exchange(request).await.0.ok()
}

/// Every value of every table, by number. What cannot be a value of its table, host and column is an error.
pub(super) fn found(target: &Target) -> Result<Vec<(usize, Place)>> {
    let ask = |text: &str| csv::ask(target, LIVES_DATABASE, text);
    let mut found = Vec::new();
    for row in ask("SHOW TABLES")? {
        let name = row.text(0)?;
        let columns: Vec<String> = ask(&format!("DESCRIBE TABLE {name}"))?
            .iter()
            .filter(|column| column.text(2).is_ok_and(|kind| kind == "FIELD"))
            .map(|column| column.text(0).map(str::to_owned))
            .collect::<Result<_>>()?;
        let fields = columns.join(", ");
        for row in ask(&format!("SELECT time, h, {fields} FROM {name}"))? {
            values(name, &columns, &row, &mut found)?;
        }
    }
    Ok(found)
}

fn values(table: &str, columns: &[String], row: &Cells, found: &mut Vec<(usize, Place)>) -> Result<()> {
    let strange = || Error::Reply(format!("table {table} has a row that nobody wrote: {row:?}"));
    let tail = |name: &str, prefix: char| name.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
    let time = format!("{}Z", row.text(0)?.trim_end_matches('Z')).parse::<jiff::Timestamp>();
    let time_ns = time.ok().and_then(|time| i64::try_from(time.as_nanosecond()).ok()).ok_or_else(strange)?;
    let host = tail(row.text(1)?, 'h').ok_or_else(strange)?;
    let table = tail(table, 't').ok_or_else(strange)?;
    for (position, column) in columns.iter().enumerate() {
        let cell = row.text(position + 2)?;
        if cell.is_empty() {
            continue;
        }
        let place = Place { table, host, column: tail(column, 'c').ok_or_else(strange)?, time_ns };
        found.push((number(cell, &place).ok_or_else(strange)?, place));
    }
    Ok(())
}
