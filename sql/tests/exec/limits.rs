//! LIMIT, OFFSET and top-N with every aggregate of the registry: what a bound leaves is a part of the answer without
//! it, in the order asked for, however rows are spread and wherever they are held.

use tidewire_sql::{Session, prepare};

use crate::data::{self, Cell, Rows};
use crate::{engine, oracle, seeds, shard};

/// Arguments that some aggregate takes.
const ARGUMENTS: [&str; 19] = [
    "*",
    "i",
    "n",
    "f",
    "s",
    "b",
    "host",
    "time",
    "DISTINCT i",
    "DISTINCT f",
    "DISTINCT s",
    "DISTINCT host",
    "DISTINCT rack",
    "time, i",
    "time, f",
    "time, s",
    "f, 0.5",
    "i, 2",
    "f, n, 0.5",
];

/// Aggregates whose answer is another each time, or depends a little on how rows are spread: digests of parts become
/// one in another order. They have tests of their own.
const ABOUT: [&str; 4] = ["approx_median", "approx_percentile_cont", "approx_percentile_cont_with_weight", "sample"];

/// The calls of an aggregate that the binder takes.
fn calls(name: &str) -> Vec<String> {
    let session = Session {
        tenant: "cnosdb".into(),
        database: "public".into(),
        user: "root".into(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 0,
    };
    let all = ARGUMENTS.iter().map(|arguments| format!("{name}({arguments})"));
    let taken = all.filter(|call| prepare(&format!("SELECT {call} FROM m"), &data::catalog(), &session).is_ok());
    // A struct is seen through what is made of it.
    let state = |call: &str| if call.contains(", s") { "'a'" } else { "1" };
    taken
        .map(|call| match name {
            "gauge_agg" => format!("delta({call})"),
            "state_agg" | "compact_state_agg" => format!("duration_in({call}, {})", state(&call)),
            _ => call,
        })
        .collect()
}

/// A query without its bound, and how it is ordered.
struct Asked {
    /// Without ORDER BY.
    text: String,
    /// ORDER BY items by column, and whether descending.
    order: Vec<(usize, bool)>,
}

/// Groups of `call`, ordered by some of their keys or by the call.
fn grouped(call: &str, random: &mut fastrand::Rng) -> Asked {
    let buckets = [
        "date_bin(INTERVAL '1 minute', time)",
        "date_bin(INTERVAL '7 minutes', time)",
        "date_bin(INTERVAL '1 hour', time)",
        "date_trunc('minute', time)",
        "date_trunc('day', time)",
        "time",
    ];
    let others = ["host", "region", "rack", "b", "s", "i % 3"];
    let mut keys = Vec::new();
    if random.u8(0..5) > 0 {
        keys.push(buckets[random.usize(0..buckets.len())]);
    }
    for other in others {
        if random.u8(0..if other.len() > 1 { 4 } else { 8 }) == 0 {
            keys.push(other);
        }
    }
    random.shuffle(&mut keys);
    let filter =
        ["", "", " WHERE i > 5", " WHERE host <> 'h1'", " WHERE time >= '1970-01-01T00:20:00Z'", " WHERE f < 0 OR b"]
            [random.usize(0..6)];
    let from = match random.u8(0..6) {
        0 => "(SELECT * FROM m WHERE n < 70 UNION ALL SELECT * FROM m WHERE i > 30) u",
        _ => "m",
    };
    let having = if keys.is_empty() { "" } else { ["", "", "", " HAVING count(*) > 1"][random.usize(0..4)] };
    let extra = ["", ", count(*) AS x", ", sum(i) AS x", ", count(DISTINCT region) AS x"][random.usize(0..4)];
    let columns: String = keys.iter().enumerate().map(|(at, key)| format!("{key} AS k{at}, ")).collect();
    let group = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    let mut text = format!("SELECT {columns}{call} AS v{extra} FROM {from}{filter}{group}{having}");
    if random.u8(0..8) == 0 {
        // Whatever is bounded above, the grouping below is whole.
        text = format!("SELECT * FROM ({text}) q");
    }
    let mut order: Vec<(usize, bool)> = (0..keys.len()).map(|at| (at, random.bool())).collect();
    match random.u8(0..6) {
        // No order at all.
        0 => order.clear(),
        1 => order.insert(0, (keys.len(), random.bool())),
        2 => random.shuffle(&mut order),
        // By the bucket, or whatever comes first, alone.
        3 => order.truncate(1),
        _ => {
            // The bucket first, as dashboards ask.
            let time = keys.iter().position(|key| buckets.contains(key));
            order.sort_by_key(|(at, _)| Some(*at) != time);
        }
    }
    Asked { text, order }
}

/// Rows, ordered by time or a field.
fn plain(random: &mut fastrand::Rng) -> Asked {
    let filter = ["", " WHERE i > 5", " WHERE host = 'h3' AND f < 5", " WHERE b"][random.usize(0..4)];
    let (columns, width) =
        [("time, host, rack, region, i", 5), ("i, s, time, host", 4), ("DISTINCT host, i % 4", 2)][random.usize(0..3)];
    let from = ["m", "m", "(SELECT * FROM m UNION ALL SELECT * FROM m WHERE i > 40) u"][random.usize(0..3)];
    let mut order: Vec<(usize, bool)> = (0..width).map(|at| (at, random.bool())).collect();
    match random.u8(0..4) {
        0 => order.clear(),
        1 => order.truncate(1),
        2 => random.shuffle(&mut order),
        _ => {}
    }
    Asked { text: format!("SELECT {columns} FROM {from}{filter}"), order }
}

impl Asked {
    fn ordered(&self) -> String {
        let items: Vec<String> =
            self.order.iter().map(|(at, down)| format!("{}{}", at + 1, if *down { " DESC" } else { "" })).collect();
        if items.is_empty() { self.text.clone() } else { format!("{} ORDER BY {}", self.text, items.join(", ")) }
    }

    /// What is wrong with `found`, the rows from `skip` on and at most `fetch` of `all`.
    fn wrong(&self, found: &[Vec<Cell>], all: &[Vec<Cell>], skip: usize, fetch: usize) -> Option<String> {
        let wanted = &all[skip.min(all.len())..skip.saturating_add(fetch).min(all.len())];
        if found.len() != wanted.len() {
            return Some(format!("{} rows of {}", found.len(), wanted.len()));
        }
        let is_row = |a: &[Cell], b: &[Cell]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| data::is_same(a, b));
        let mut left: Vec<&Vec<Cell>> = all.iter().collect();
        for (row, wanted) in found.iter().zip(wanted) {
            let differs = self.order.iter().find(|(at, _)| !data::is_same(&row[*at], &wanted[*at]));
            if let Some((at, _)) = differs {
                return Some(format!("column {at} of {row:?} where {wanted:?} comes"));
            }
            match left.iter().position(|known| is_row(known, row)) {
                Some(at) => drop(left.swap_remove(at)),
                None => return Some(format!("{row:?} is not in the whole answer")),
            }
        }
        None
    }
}

#[test]
fn a_bound_takes_its_part_of_the_whole_answer() {
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let rows = Rows::random(seed, 500);
        let real = [(1, 1), (1, 3), (2, 3)].map(|(count, parts)| shard::Shards::new(&rows, count, parts, seed));
        let mut asked = Vec::new();
        for aggregate in tidewire_sql::function::aggregates() {
            let name = aggregate.documentation.name;
            let calls = calls(name);
            assert!(!calls.is_empty(), "no call of {name} is tried: add its arguments to the list");
            if ABOUT.contains(&name) {
                continue;
            }
            for call in calls {
                asked.extend((0..2).map(|_| (oracle::knows(name), grouped(&call, &mut random))));
            }
        }
        asked.extend((0..40).map(|_| (true, plain(&mut random))));
        for (is_known, asked) in asked {
            let whole = asked.ordered();
            let plan = engine::bound(&whole).plan;
            let all = match is_known {
                true => oracle::run(&plan, &rows),
                false => engine::run(&plan, &rows, 1, seed).unwrap(),
            };
            let (skip, fetch) = ([0, 0, 1, 5, 100][random.usize(0..5)], [1, 2, 3, 10, 50, 10_000][random.usize(0..6)]);
            let text = format!("{whole} LIMIT {fetch} OFFSET {skip}");
            let bounded = engine::bound(&text).plan;
            let check = |found: Result<Vec<Vec<Cell>>, _>, fetch, skip, place: &str| {
                if let Some(wrong) = asked.wrong(&found.unwrap(), &all, skip, fetch) {
                    panic!("{text}\n{bounded}\n{place}: {wrong}\nTIDEWIRE_SEED={seed}");
                }
            };
            for shards in [1, 3] {
                check(
                    engine::run(&plan, &rows, shards, seed),
                    usize::MAX,
                    0,
                    &format!("whole, {shards} shards in memory"),
                );
                check(engine::run(&bounded, &rows, shards, seed), fetch, skip, &format!("{shards} shards in memory"));
            }
            for shards in &real {
                check(shards.run(&whole), usize::MAX, 0, &format!("whole, {shards}"));
                check(shards.run(&text), fetch, skip, &shards.to_string());
            }
        }
    }
}

/// A group of the answer is many groups of a shard where distinct values are keys there.
#[test]
fn the_newest_groups_of_distinct_values_are_all_found() {
    let mut rows = Rows::default();
    let template = Rows::random(1, 1).rows.remove(0);
    for bucket in 0..40i64 {
        for host in 0..50 {
            let mut row = template.clone();
            row.tags[0] = Some(format!("h{host}"));
            row.time = bucket * 1_800_000_000_000;
            rows.rows.push(row);
        }
    }
    for shards in [1, 2, 5] {
        for (order, limit) in [("t DESC", 10), ("t", 10), ("t DESC", 39), ("n, t DESC", 3)] {
            let text = format!(
                "SELECT date_bin(INTERVAL '1 minute', time) AS t, count(DISTINCT host) AS n FROM m GROUP BY t \
                 ORDER BY {order} LIMIT {limit}"
            );
            let found = engine::run(&engine::bound(&text).plan, &rows, shards, 1).unwrap();
            assert_eq!(found.len(), limit, "{text} on {shards}");
            assert!(found.iter().all(|row| row[1] == Cell::Int(50)), "{text} on {shards}: {found:?}");
        }
    }
}
