//! Reading back through SQL and comparing with the ledger.

use std::collections::HashMap;

use super::DATABASE;
use super::ledger::{self, Batch, Found, Ledger, SERIES, Sums, Verdict};
use crate::csv::{self, Cells};
use crate::error::{Error, Result};
use crate::http::Target;

pub(super) struct Checker<'a> {
    pub(super) target: &'a Target,
    pub(super) seed: u64,
    pub(super) connections: u32,
}

impl Checker<'_> {
    /// All batches by their sums, all series by their rows, the batches of `sample` by every value.
    pub(super) fn check(&self, ledger: &mut Ledger, sample: &[(u32, u64)]) -> Result<Verdict> {
        let sums = self.query(
            "SELECT connection, batch, count(*) AS row_count, count(text) AS texts, sum(number) AS numbers, \
             sum(v) AS v_sum, sum(f) AS f_sum FROM verify GROUP BY connection, batch",
        )?;
        let mut found = Found::new();
        for row in &sums {
            let sums = Sums {
                rows: row.number(2)?,
                texts: row.number(3)?,
                numbers: row.number(4)?,
                v: row.number(5)?,
                f: row.number(6)?,
            };
            if found.insert((connection_of(row)?, row.number(1)?), sums).is_some() {
                return Err(Error::Reply(format!("GROUP BY returned a group twice: {row:?}")));
            }
        }
        let mut verdict = ledger.check(&found);
        self.check_series(ledger, &mut verdict)?;
        for key in sample {
            if let Some(batch) = ledger.batches.get(key) {
                self.check_values(batch, found.get(key).map_or(0, |sums| sums.rows), &mut verdict)?;
            }
        }
        Ok(verdict)
    }

    fn check_series(&self, ledger: &Ledger, verdict: &mut Verdict) -> Result<()> {
        let rows =
            self.query("SELECT connection, series, count(*) AS row_count FROM verify GROUP BY connection, series")?;
        let mut found = HashMap::new();
        for row in &rows {
            let series = row.text(1)?.strip_prefix('s').and_then(|number| number.parse::<u64>().ok());
            let series = series.ok_or_else(|| Error::Reply(format!("unknown series in {row:?}")))?;
            found.insert((connection_of(row)?, series), row.number::<u64>(2)?);
        }
        for connection in 0..self.connections {
            for series in 0..SERIES {
                let (least, most) = ledger.series_rows(connection, series);
                let rows = found.remove(&(connection, series)).unwrap_or(0);
                if rows < least || rows > most {
                    verdict.find(format!(
                        "series {series} of connection {connection}: {rows} rows, not {least} to {most}"
                    ));
                }
            }
        }
        if let Some((key, rows)) = found.iter().next() {
            verdict.find(format!("series {key:?} was never written: {rows} rows"));
        }
        Ok(())
    }

    /// Every value of the rows of a batch that are there; `rows` is how many must be.
    fn check_values(&self, batch: &Batch, rows: u64, verdict: &mut Verdict) -> Result<()> {
        let connection = batch.connection;
        let found = self.query(&format!(
            "SELECT time, series, batch, number, v, f, ok, text FROM verify WHERE {} ORDER BY time",
            batch.condition()?
        ))?;
        if found.len() as u64 != rows {
            verdict.find(format!(
                "batch {} of connection {connection}: {} rows by time, {rows} by batch",
                batch.id,
                found.len()
            ));
        }
        for row in &found {
            let number: u64 = row.number(3)?;
            let expected = ledger::row(self.seed, connection, number);
            let wanted_time = ledger::instant(expected.time_ns)?;
            let is_right = same_instant(row.text(0)?, &wanted_time)
                && row.text(1)? == format!("s{}", expected.series)
                && row.number::<u64>(2)? == batch.id
                && (batch.first..batch.first + batch.rows).contains(&number)
                && row.number::<i64>(4)? == expected.v
                && row.number::<f64>(5)? == expected.f
                && row.text(6)? == expected.ok.to_string()
                && row.text(7)? == ledger::text(batch.id, number);
            if !is_right {
                verdict.wrong_batches += 1;
                verdict.find(format!("row {number} of connection {connection}: {row:?} instead of {expected:?}"));
                break;
            }
        }
        Ok(())
    }
    fn query(&self, text: &str) -> Result<Vec<Cells>> {
        csv::ask(self.target, DATABASE, text)
    }
}

/// A connection's number out of its tag.
fn connection_of(row: &Cells) -> Result<u32> {
    let number = row.text(0)?.strip_prefix('c').and_then(|number| number.parse().ok());
    number.ok_or_else(|| Error::Reply(format!("not a connection: {row:?}")))
}

/// `2016-01-01T00:00:00.100000000` and `2016-01-01T00:00:00.1Z` are the same time.
fn same_instant(left: &str, right: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim_end_matches('Z');
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    bare(left) == bare(right)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::State;
    use super::*;
    use crate::testing::{Mock, reply};
    use std::fmt::Write;

    #[test]
    fn instants() {
        assert!(same_instant("2016-01-01T00:00:00.100000000", "2016-01-01T00:00:00.1Z"));
        assert!(same_instant("2016-01-01T00:00:00.000000000", "2016-01-01T00:00:00Z"));
        assert!(!same_instant("2016-01-01T00:00:10", "2016-01-01T00:00:1"));
    }

    /// A server that holds two batches of connection 0 and answers the three queries of a check; `spoil` changes it.
    fn check(spoil: impl Fn(String) -> String + Send + Sync + 'static) -> Verdict {
        const SEED: u64 = 4;
        let mut ledger = Ledger::default();
        for (id, first, rows) in [(0, 0, 3), (1, 3, 10)] {
            let mut batch = Batch::make(SEED, 0, id, first, rows, &mut Vec::new());
            batch.state = State::Acknowledged;
            ledger.batches.insert((0, id), batch);
        }
        let batches: Vec<Batch> = ledger.batches.values().cloned().collect();
        let mock = Mock::start(move |_, asked| {
            let mut body = String::from("a header\n");
            if asked.body.contains("GROUP BY connection, batch") {
                for Batch { id, sums: s, .. } in &batches {
                    writeln!(body, "c0,{id},{},{},{},{},{:?}", s.rows, s.texts, s.numbers, s.v, s.f).unwrap();
                }
            } else if asked.body.contains("GROUP BY connection, series") {
                for series in 0..SERIES {
                    let rows = (0..13).filter(|number| number % SERIES == series).count();
                    writeln!(body, "c0,s{series},{rows}").unwrap();
                }
            } else {
                for number in 3..13 {
                    let row = ledger::row(SEED, 0, number);
                    let seconds = number as f64 / 10.0;
                    let text = ledger::text(1, number);
                    writeln!(
                        body,
                        "2016-01-01T00:00:0{seconds:.9},s{},1,{number},{},{:?},{},\"{text}\"",
                        row.series, row.v, row.f, row.ok
                    )
                    .unwrap();
                }
            }
            reply("200 OK", "", &spoil(body))
        });
        let checker = Checker { target: &mock.target, seed: SEED, connections: 2 };
        checker.check(&mut ledger, &[(0, 1)]).unwrap()
    }

    #[test]
    fn a_faithful_server_passes() {
        let verdict = check(|body| body);
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!(verdict.acknowledged_rows, 13);
    }

    #[test]
    fn a_forgetful_one_does_not() {
        assert_eq!(check(|body| body.replace("c0,0,3", "c0,0,2")).lost_rows, 1);
        assert!(!check(|body| body.replace("c0,s6,1", "c0,s6,2")).is_good());
        let changed = check(|body| body.replace("batch 1, row 7", "batch 1, row 8"));
        assert_eq!((changed.wrong_batches, changed.is_good()), (1, false));
        let late = check(|body| body.replace("00:00:00.5", "00:00:00.6"));
        assert!(!late.is_good());
    }
}
