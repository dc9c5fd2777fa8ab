//! Seeded, endless streams of rows in line protocol.
//!
//! A workload writes lines; it knows nothing of requests or clocks. The same name, seed, host count and start time give
//! the same bytes on every machine, so every server is loaded with the same data.
//!
//! | name | shape |
//! |---|---|
//! | `devops` | TSBS cpu-only: 10 tags, 10 integers that walk in 0..=100, a tick of 10 s, ordered by time then host |
//! | `decimal` | the same with two decimals |
//! | `float` | the same with 17 significant digits |
//! | `iot` | trucks: two tables, floats, integers and strings, rows swapped and up to minutes late |
//! | `wide` | hundreds of fields a row |
//! | `highcard` | one tag value per series, any number of series, two fields |

mod devops;
mod highcard;
mod iot;
mod walk;
mod wide;

use clap::ValueEnum;

pub(crate) use devops::{CPU_FIELDS, CPU_TAGS, TICK_NS};
pub(crate) use highcard::PASS_NS as HIGHCARD_PASS_NS;

/// Time of the first row unless told otherwise: 2016-01-01T00:00:00Z, as TSBS has it.
pub(crate) const START_NS: i64 = 1_451_606_400_000_000_000;

/// The rows to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// TSBS cpu-only, integers.
    Devops,
    /// TSBS cpu-only with two decimals.
    Decimal,
    /// TSBS cpu-only with 17 significant digits.
    Float,
    /// Two tables with strings, out of order and late.
    Iot,
    /// Hundreds of fields.
    Wide,
    /// Up to millions of series.
    Highcard,
}

/// What a row adds to the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Nanoseconds since 1970; always 19 digits, so that a later lap can patch it in place.
    pub(crate) time_ns: i64,
    /// Field values in the row.
    pub(crate) values: u32,
}

/// An endless stream of rows.
pub(crate) trait Rows: Send {
    /// Appends the next line without its timestamp: everything up to and including the space before it.
    fn next_row(&mut self, line: &mut Vec<u8>) -> Row;
}

/// Everything that shapes a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) workload: Workload,
    /// Series count of every workload: hosts, trucks, sensors.
    pub(crate) hosts: u64,
    /// Fields of a `wide` row.
    pub(crate) fields: usize,
    pub(crate) seed: u64,
    pub(crate) start_ns: i64,
}

impl Shape {
    /// The stream from its first row.
    pub(crate) fn rows(&self) -> Box<dyn Rows> {
        match self.workload {
            Workload::Devops => Box::new(devops::Devops::new(self, devops::Digits::Integer)),
            Workload::Decimal => Box::new(devops::Devops::new(self, devops::Digits::Decimal)),
            Workload::Float => Box::new(devops::Devops::new(self, devops::Digits::Full)),
            Workload::Iot => Box::new(iot::Iot::new(self)),
            Workload::Wide => Box::new(wide::Wide::new(self)),
            Workload::Highcard => Box::new(highcard::Highcard::new(self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn text(workload: Workload, rows: usize) -> Vec<(String, Row)> {
        let shape = Shape { workload, hosts: 20, fields: 200, seed: 7, start_ns: START_NS };
        let mut source = shape.rows();
        let mut line = Vec::new();
        (0..rows)
            .map(|_| {
                line.clear();
                let row = source.next_row(&mut line);
                (String::from_utf8(line.clone()).unwrap(), row)
            })
            .collect()
    }

    fn fields(line: &str) -> Vec<(&str, &str)> {
        let (_, fields) = line.split_once(' ').unwrap();
        fields.trim_end().split(',').map(|field| field.split_once('=').unwrap()).collect()
    }

    #[test]
    fn streams_are_deterministic_and_count_their_values() {
        for &workload in Workload::value_variants() {
            let first = text(workload, 500);
            assert_eq!(first, text(workload, 500), "{workload:?}");
            for (line, row) in &first {
                assert!(line.ends_with(' ') && !line.contains('\n'), "{line}");
                assert_eq!(row.time_ns.to_string().len(), 19);
                if workload != Workload::Iot {
                    assert_eq!(fields(line).len(), row.values as usize, "{line}");
                }
            }
        }
    }

    #[test]
    fn no_two_rows_share_series_and_time() {
        for &workload in Workload::value_variants() {
            let mut seen = BTreeSet::new();
            for (line, row) in text(workload, 2_000) {
                let key = line.split_once(' ').unwrap().0.to_owned();
                assert!(seen.insert((key, row.time_ns)), "{workload:?}: {line} {}", row.time_ns);
            }
        }
    }

    #[test]
    fn devops_is_tsbs_cpu_only() {
        let rows = text(Workload::Devops, 4_000);
        let bytes: usize = rows.iter().map(|(line, _)| line.len() + 20).sum();
        let average = bytes / rows.len();
        assert!((335..=355).contains(&average), "TSBS lines have about 347 bytes, these {average}");
        for (index, (line, row)) in rows.iter().enumerate() {
            assert!(line.starts_with(&format!("cpu,hostname=host_{},region=", index % 20)), "{line}");
            assert_eq!(row.time_ns, START_NS + (index / 20) as i64 * TICK_NS);
            let names: Vec<&str> = fields(line).iter().map(|field| field.0).collect();
            assert_eq!(names, CPU_FIELDS);
            let tags = line.split(' ').next().unwrap().split(',').skip(1);
            assert_eq!(tags.map(|tag| tag.split('=').next().unwrap()).collect::<Vec<_>>(), CPU_TAGS);
            for (_, value) in fields(line) {
                let value: i64 = value.strip_suffix('i').unwrap().parse().unwrap();
                assert!((0..=100).contains(&value));
            }
        }
    }

    #[test]
    fn decimals_have_two_and_floats_seventeen_digits() {
        for (line, _) in text(Workload::Decimal, 100) {
            for (_, value) in fields(&line) {
                assert_eq!(value.split_once('.').unwrap().1.len(), 2, "{line}");
            }
        }
        for (line, _) in text(Workload::Float, 100) {
            for (_, value) in fields(&line) {
                let parsed: f64 = value.parse().unwrap();
                assert!((0.0..=100.0).contains(&parsed));
                if (1.0..100.0).contains(&parsed) {
                    assert_eq!(value.len(), 18, "{value}");
                }
            }
        }
    }

    #[test]
    fn iot_is_late_and_out_of_order_and_has_strings() {
        let rows = text(Workload::Iot, 5_000);
        let backwards = rows.windows(2).filter(|pair| pair[1].1.time_ns < pair[0].1.time_ns).count();
        assert!(backwards > 100, "{backwards} of 5000 rows go back in time");
        let mut latest = 0;
        let worst = rows.iter().map(|(_, row)| {
            latest = latest.max(row.time_ns);
            latest - row.time_ns
        });
        assert!(worst.max().unwrap() >= 60_000_000_000, "some row is minutes late");
        let mut tables = BTreeMap::new();
        for (line, _) in &rows {
            *tables.entry(line.split(',').next().unwrap()).or_insert(0) += 1;
        }
        assert_eq!(tables.keys().copied().collect::<Vec<_>>(), ["diagnostics", "readings"]);
        assert!(rows.iter().any(|(line, _)| line.contains("message=\"")));
    }

    #[test]
    fn highcard_visits_every_series_once_a_pass() {
        let rows = text(Workload::Highcard, 40);
        let keys: BTreeSet<&str> = rows[..20].iter().map(|(line, _)| line.split_once(' ').unwrap().0).collect();
        assert_eq!(keys.len(), 20);
        let again: BTreeSet<&str> = rows[20..].iter().map(|(line, _)| line.split_once(' ').unwrap().0).collect();
        assert_eq!(keys, again);
    }
}
