//! What a soak does beside rows and queries to find out who keeps a core: one burden after the other, over and over, on
//! a connection of its own.
//!
//! | burden | |
//! |---|---|
//! | long strings | rows with a string of up to a mebibyte; what is older than some rounds is deleted |
//! | new tables | some hundred in one body, of a database that is dropped every few rounds |
//! | wide lines | rows with a thousand fields |
//! | bombs | a body of some 200 kilobytes that decompresses to 32 MiB of empty lines |
//! | sorts | `ORDER BY` of all long rows there are by their text, and of the wide ones |
//! | large statements | a `SELECT` with a list of a megabyte |
//! | single deletes | some hundred rows, one statement each |

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::door::{Door, Shared};
use crate::error::{Error, Result};
use crate::http::Target;
use crate::write::Api;

/// The databases.
pub(super) const DATABASE: &str = "soak_burdens";
const TABLES_DATABASE: &str = "soak_tables";

/// Between two burdens.
const EVERY: Duration = Duration::from_millis(500);
/// Rounds that long strings are kept.
const KEPT_ROUNDS: u64 = 20;
/// Rounds after which the database of new tables is dropped.
const DROP_ROUNDS: u64 = 10;
const LONG_ROWS: u64 = 4;
const WIDE_FIELDS: u64 = 1_000;
const WIDE_ROWS: u64 = 20;
const NEW_TABLES: u64 = 300;
const DELETES: u64 = 200;
const BOMB_BYTES: usize = 32 << 20;
const STATEMENT_BYTES: usize = 1 << 20;

/// One connection that does all of it.
pub(super) struct Burdens {
    door: Door,
    target: Target,
    shared: Arc<Shared>,
    rng: fastrand::Rng,
    deletes: bool,
    bomb: Vec<u8>,
}

impl Burdens {
    pub(super) fn new(target: &Target, shared: &Arc<Shared>, seed: u64, deletes: bool) -> Self {
        let door = Door::new(target, shared);
        let rng = fastrand::Rng::with_seed(seed);
        Self { door, target: target.clone(), shared: Arc::clone(shared), rng, deletes, bomb: bomb(BOMB_BYTES) }
    }

    /// Until the end of the run; how many rounds there were.
    pub(super) async fn run(mut self) -> u64 {
        let mut round = 0;
        if let Err(error) = self.create().await {
            self.shared.error(&error);
            return 0;
        }
        while !self.shared.is_stopped() {
            match self.one_round(round).await {
                Ok(()) => round += 1,
                Err(error) => self.shared.error(&error),
            }
        }
        round
    }

    async fn create(&mut self) -> Result<()> {
        self.door.sql("public", &format!("CREATE DATABASE {DATABASE}")).await?;
        self.door.sql("public", &format!("CREATE DATABASE {TABLES_DATABASE}")).await.map(drop)
    }

    async fn one_round(&mut self, round: u64) -> Result<()> {
        let rows = self.long_rows(round);
        self.write(DATABASE, &rows, LONG_ROWS).await?;
        let rows = wide_rows(round);
        self.write(DATABASE, &rows, WIDE_ROWS).await?;
        let rows = new_tables(round);
        self.write(TABLES_DATABASE, &rows, NEW_TABLES).await?;
        self.explode().await?;
        self.ask("SELECT text FROM long ORDER BY text DESC LIMIT 3").await?;
        self.ask("SELECT * FROM wide ORDER BY f0, time LIMIT 100").await?;
        self.ask(&large_statement()).await?;
        if self.deletes {
            self.delete(round).await?;
        }
        Ok(())
    }

    async fn write(&mut self, database: &str, lines: &str, rows: u64) -> Result<()> {
        self.door.write(database, lines.as_bytes()).await?;
        self.shared.rows.fetch_add(rows, Ordering::Relaxed);
        self.shared.pause(EVERY).await;
        Ok(())
    }

    async fn ask(&mut self, text: &str) -> Result<()> {
        self.door.sql(DATABASE, text).await?;
        self.shared.pause(EVERY).await;
        Ok(())
    }

    async fn explode(&mut self) -> Result<()> {
        let path = Api::Cnos.write_path(DATABASE);
        let request = self.target.encoded(&path, "deflate", &self.bomb);
        let reply = self.door.send(request).await.0?;
        self.shared.pause(EVERY).await;
        match reply.is_success() {
            true => Ok(()),
            false => Err(Error::Reply(format!("a body of empty lines was answered {}", reply.excerpt()))),
        }
    }

    async fn delete(&mut self, round: u64) -> Result<()> {
        for _ in 0..DELETES {
            let time = time(self.rng.u64(0..round + 1), self.rng.u64(0..WIDE_ROWS));
            self.door.sql(DATABASE, &format!("DELETE FROM wide WHERE time = {time}")).await?;
        }
        if let Some(before) = round.checked_sub(KEPT_ROUNDS) {
            self.door.sql(DATABASE, &format!("DELETE FROM long WHERE time < {}", time(before, 0))).await?;
        }
        if round % DROP_ROUNDS == DROP_ROUNDS - 1 {
            self.door.sql("public", &format!("DROP DATABASE {TABLES_DATABASE}")).await?;
            self.door.sql("public", &format!("CREATE DATABASE {TABLES_DATABASE}")).await?;
        }
        Ok(())
    }

    fn long_rows(&mut self, round: u64) -> String {
        let mut lines = String::new();
        for row in 0..LONG_ROWS {
            let length = [100, 100 << 10, 300 << 10, 1 << 20][self.rng.usize(0..4)];
            let mut text = String::with_capacity(length + 8);
            while text.len() < length {
                // Writing into a String cannot fail.
                let _ = write!(text, "{:x} ", self.rng.u16(..));
            }
            let _ = writeln!(lines, "long,host=h{} text=\"{text}\" {}", row % 2, time(round, row));
        }
        lines
    }
}

/// Time of a row of a round: half an hour ago at most, so that partitions turn cold in a run.
fn time(round: u64, row: u64) -> i64 {
    crate::workload::START_NS + (round * 1_000 + row) as i64 * 1_000_000
}

fn wide_rows(round: u64) -> String {
    let mut lines = String::new();
    for row in 0..WIDE_ROWS {
        // Writing into a String cannot fail.
        let _ = write!(lines, "wide,host=h{} f0={round}i", row % 3);
        for field in 1..WIDE_FIELDS {
            let _ = write!(lines, ",f{field}={}i", field * row);
        }
        let _ = writeln!(lines, " {}", time(round, row));
    }
    lines
}

fn new_tables(round: u64) -> String {
    let mut lines = String::new();
    for table in 0..NEW_TABLES {
        let _ = writeln!(lines, "t{round}_{table},host=a v={table}i {}", time(round, table));
    }
    lines
}

fn large_statement() -> String {
    let mut text = "SELECT count(*) FROM wide WHERE f0 IN (0".to_owned();
    let mut number: u64 = 1_000_000;
    while text.len() < STATEMENT_BYTES {
        let _ = write!(text, ",{number}");
        number += 1;
    }
    text.push(')');
    text
}

/// A body of `bytes` newlines, as zlib has it: one literal, and matches of the longest length at distance one.
fn bomb(bytes: usize) -> Vec<u8> {
    const MATCH_BYTES: usize = 258;
    let mut bits = Bits { out: vec![0x78, 0x9c], held: 0, count: 0 };
    let matches = bytes.saturating_sub(1) / MATCH_BYTES;
    // The last block, with fixed codes.
    bits.push(0b011, 3);
    let literals = bytes - matches * MATCH_BYTES;
    for _ in 0..literals {
        bits.push_code(0x30 + u32::from(b'\n'), 8);
    }
    for _ in 0..matches {
        // Length 258 is code 285, the last of eight bits; distance 1 is code 0, of five.
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    // The end of the block.
    bits.push_code(0, 7);
    let mut out = bits.finish();
    let (mut low, mut high) = (1_u32, 0_u32);
    for _ in 0..bytes {
        low = (low + u32::from(b'\n')) % 65_521;
        high = (high + low) % 65_521;
    }
    out.extend_from_slice(&(high << 16 | low).to_be_bytes());
    out
}

/// Bits of a deflate stream: the lowest of a byte first, codes from their highest bit on.
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn push_code(&mut self, code: u32, count: u32) {
        (0..count).rev().for_each(|bit| self.push(code >> bit & 1, 1));
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.out.push(self.held as u8);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::fleet::{Fleet, Size};
    use crate::testing::{Mock, reply};

    #[test]
    fn a_bomb_is_far_smaller_than_what_it_becomes() {
        // Head and checksum; zlib reads it.
        let ten = bomb(10);
        assert_eq!((&ten[..2], &ten[ten.len() - 4..]), (&[0x78, 0x9c][..], &[0x02, 0x30, 0x00, 0x65][..]));
        let large = bomb(32 << 20);
        assert!((100_000..300_000).contains(&large.len()), "{}", large.len());
    }

    #[test]
    fn a_round_asks_for_every_burden() {
        let mock = Mock::start(|_, _| reply("200 OK", "", "x\n"));
        let shared = Arc::new(Shared::new(Fleet::new(Size { hosts: 1, ticks: 1, seed: 1 })));
        // No pauses.
        shared.stop.store(true, Ordering::Relaxed);
        let mut burdens = Burdens::new(&mock.target, &shared, 1, true);
        crate::http::runtime().unwrap().block_on(async {
            burdens.create().await.unwrap();
            burdens.one_round(0).await.unwrap();
            burdens.one_round(KEPT_ROUNDS + DROP_ROUNDS - 1).await.unwrap();
        });
        assert_eq!(mock.asked().len() as u64, 2 + 2 * (7 + DELETES) + 3);
        assert_eq!(shared.rows.load(Ordering::Relaxed), 2 * (LONG_ROWS + WIDE_ROWS + NEW_TABLES));
    }
}
