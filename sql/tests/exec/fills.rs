//! InfluxQL's `fill`: every window of the range has a row in each series, whichever of them the rows of the table leave
//! empty. The answers are held against those of `fill(none)`, filled in here one window at a time, over series that
//! lack many windows, some, and none.

use crate::data::{Cell, MINUTE, Rows};
use crate::engine;
use crate::series_limits::{bound, expect, settings};

/// The range of the SELECTs: from the tenth minute to the 110th.
const RANGE: &str = "time >= '1970-01-01T00:10:00Z' AND time < '1970-01-01T01:50:00Z'";
const RANGE_MINUTES: (i64, i64) = (10, 110);

/// First times of the windows of the range, in order.
fn windows(minutes: i64) -> Vec<i64> {
    let (first, end) = RANGE_MINUTES;
    (first / minutes..=(end - 1) / minutes).map(|window| window * minutes * MINUTE).collect()
}

fn time(row: &[Cell], keys: usize) -> i64 {
    let Cell::Time(time, _) = row[keys] else { panic!("no time: {row:?}") };
    time
}

/// A number on the line between the values around an empty window.
fn on_line(times: &[i64], values: &[Cell], at: usize) -> Cell {
    let known = |at: &usize| !values[*at].is_null();
    let (Some(before), Some(after)) = ((0..at).rev().find(known), (at + 1..values.len()).find(known)) else {
        return Cell::Null;
    };
    let number = |at: usize| match values[at] {
        Cell::Int(value) => value as f64,
        Cell::Float(value) => value,
        _ => panic!("no number: {:?}", values[at]),
    };
    let slope = (number(after) - number(before)) / (times[after] - times[before]) as f64;
    let value = slope * (times[at] - times[before]) as f64 + number(before);
    if matches!(values[before], Cell::Int(_)) { Cell::Int(value as i64) } else { Cell::Float(value) }
}

/// The rows of one series, which are those of `fill(none)`, with all windows.
fn filled(rows: &[Vec<Cell>], keys: usize, windows: &[i64], fill: &str) -> Vec<Vec<Cell>> {
    let at_window = |window: &i64| rows.iter().find(|row| time(row, keys) == *window);
    let columns = rows[0].len() - keys - 1;
    let mut found: Vec<Vec<Cell>> = windows
        .iter()
        .map(|window| {
            let own = at_window(window).cloned();
            own.unwrap_or_else(|| {
                let Cell::Time(_, unit) = rows[0][keys] else { panic!("no time") };
                let time = Cell::Time(*window, unit);
                rows[0][..keys].iter().cloned().chain([time]).chain(vec![Cell::Null; columns]).collect()
            })
        })
        .collect();
    for column in keys + 1..keys + 1 + columns {
        let values: Vec<Cell> = found.iter().map(|row| row[column].clone()).collect();
        for at in 0..found.len() {
            if values[at].is_null() {
                found[at][column] = match fill {
                    "previous" if at > 0 => found[at - 1][column].clone(),
                    "linear" => on_line(windows, &values, at),
                    _ => Cell::Null,
                };
            }
        }
    }
    found
}

#[test]
fn every_window_of_every_series_has_a_row() {
    for seed in crate::seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        // With few rows most windows of a series are empty, with many none is.
        for count in [60, 700, 2_000] {
            let rows = Rows::random(seed, count);
            let shards = settings(&rows, seed);
            let (mut full, mut series) = (0, 0);
            for keys in ["", ", host", ", region, rack"] {
                for fill in ["null", "previous", "linear"] {
                    let minutes = [5, 20, 30, 60][random.usize(..4)];
                    let order = if random.bool() { "" } else { " ORDER BY time DESC" };
                    let of = |fill: &str| {
                        format!(
                            "SELECT max(f), max(i) FROM m WHERE {RANGE} GROUP BY time({minutes}m){keys} \
                                 fill({fill}){order}"
                        )
                    };
                    let (plan, keys) = bound(&of("none"));
                    let without = engine::run(&plan, &rows, 1, seed).unwrap();
                    let mut windows = windows(minutes);
                    if !order.is_empty() {
                        windows.reverse();
                    }
                    let mut expected = Vec::new();
                    for rows in without.chunk_by(|a, b| a[..keys] == b[..keys]) {
                        series += 1;
                        full += usize::from(rows.len() == windows.len());
                        expected.extend(filled(rows, keys, &windows, fill));
                    }
                    expect(&of(fill), &rows, &shards, &expected, seed);
                }
            }
            assert!(series > 0 && (count > 60 || full < series) && (count < 700 || full > 0), "{full} of {series}");
        }
    }
}
