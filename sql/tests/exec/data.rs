//! Rows of the test table, cells, comparison of answers, random queries.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_schema::TimeUnit;
use tidewire_sql::plan::Plan;
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableId, TableSchema,
};

/// One value.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(String),
    Time(i64, TimeUnit),
    Interval(i32, i32, i64),
}

impl Cell {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Null equals null, NaN equals NaN, and both zeros are one number.
impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && order(self, other).is_eq()
    }
}

/// Order of two cells of one type; nulls last.
pub(crate) fn order(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Greater,
        (_, Cell::Null) => Ordering::Less,
        (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
        (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
        (Cell::UInt(a), Cell::UInt(b)) => a.cmp(b),
        // Both zeros are one number, and NaN is greater than every other.
        (Cell::Float(a), Cell::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        (Cell::Str(a), Cell::Str(b)) => a.cmp(b),
        (Cell::Time(a, _), Cell::Time(b, _)) => a.cmp(b),
        (Cell::Interval(a, b, c), Cell::Interval(d, e, f)) => (a, b, c).cmp(&(d, e, f)),
        (a, b) => panic!("cells of two types: {a:?} and {b:?}"),
    }
}

pub(crate) fn order_rows(a: &[Cell], b: &[Cell]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| order(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// A row of table `m`.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// host, region, rack; `None` where the series lacks the tag.
    pub(crate) tags: [Option<String>; 3],
    pub(crate) time: i64,
    /// i, n, f, b, s.
    pub(crate) fields: [Cell; 5],
}

/// The rows of table `m`; a series and time appears once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
}

pub(crate) const MINUTE: i64 = 60_000_000_000;

impl Rows {
    /// About `count` rows of 12 series, four hours around the epoch, with nulls. Floats are multiples of 1/4, so that
    /// sums are exact in any order.
    pub(crate) fn random(seed: u64, count: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rows = Vec::with_capacity(count);
        let mut used = std::collections::HashSet::new();
        for _ in 0..count {
            let host = random.u32(0..9);
            let region = ["east", "west", "north"][host as usize % 3];
            let rack = (!host.is_multiple_of(4)).then(|| format!("r{}", random.u32(0..2)));
            let tags = [(host != 8).then(|| format!("h{host}")), Some(region.to_owned()), rack];
            // Some times off the minute, most on it, so that series share times.
            let time = random.i64(-120..120) * MINUTE
                + if random.u32(0..4) == 0 { random.i64(0..MINUTE) / 1_000_000 * 1_000_000 } else { 0 };
            if !used.insert((tags.clone(), time)) {
                continue;
            }
            let mut cell = |kind: u32| {
                if random.u32(0..6) == 0 {
                    return Cell::Null;
                }
                match kind {
                    0 => Cell::Int(random.i64(-20..60)),
                    1 => Cell::UInt(random.u64(0..90)),
                    2 => Cell::Float(random.i64(-200..200) as f64 / 4.0),
                    3 => Cell::Bool(random.bool()),
                    _ => Cell::Str(["", "a", "bb", "Bcc", "ccc", "d d", "ü%"][random.usize(0..7)].to_owned()),
                }
            };
            let fields = [cell(0), cell(1), cell(2), cell(3), cell(4)];
            rows.push(Row { tags, time, fields });
        }
        Self { rows }
    }

    /// The same rows with times in milliseconds.
    pub(crate) fn in_milliseconds(mut self) -> Self {
        for row in &mut self.rows {
            row.time = row.time.div_euclid(1_000_000);
        }
        self
    }
}

/// Compares answers: in order as far as the plan orders them, else as sets.
pub(crate) fn compare(found: &[Vec<Cell>], expected: &[Vec<Cell>], plan: &Plan) -> Result<(), String> {
    let (mut found, mut expected) = (found.to_vec(), expected.to_vec());
    if !is_ordered(plan) {
        found.sort_by(|a, b| order_rows(a, b));
        expected.sort_by(|a, b| order_rows(a, b));
    }
    if found.len() != expected.len() {
        return Err(format!(
            "{} rows instead of {}\nfound {found:?}\nexpected {expected:?}",
            found.len(),
            expected.len()
        ));
    }
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let same = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| is_same(a, b));
        if !same {
            return Err(format!("row {at}: found {found:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

pub(crate) fn is_same(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) => a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= b.abs() * 1e-12,
        _ => a == b,
    }
}

fn is_ordered(plan: &Plan) -> bool {
    match plan {
        Plan::Sort { .. } => true,
        Plan::Limit { input, .. } | Plan::Project { input, .. } | Plan::Filter { input, .. } => is_ordered(input),
        _ => false,
    }
}

/// Names, kinds and ids of table `m`'s columns.
pub(crate) const TAGS: [(&str, u16); 3] = [("host", 0), ("region", 1), ("rack", 2)];
pub(crate) const FIELDS: [(&str, u16, FieldType); 5] = [
    ("i", 3, FieldType::Int),
    ("n", 4, FieldType::UInt),
    ("f", 5, FieldType::Float),
    ("b", 6, FieldType::Bool),
    ("s", 7, FieldType::String),
];

/// The id of the table without rows.
pub(crate) const NONE: TableId = TableId(9);

/// Tables `public.m`, `public.none` (never written) and `ms.m`.
pub(crate) fn catalog() -> Catalog {
    use tidewire_storage::schema::TimeUnit as Unit;
    let table = |id: TableId, name: &str, unit: Unit| {
        let tags = TAGS.map(|(name, id)| ColumnSchema {
            id: ColumnId(id),
            name: name.into(),
            kind: ColumnKind::Tag,
            codec: None,
            geometry: None,
        });
        let fields = FIELDS.map(|(name, id, kind)| ColumnSchema {
            id: ColumnId(id),
            name: name.into(),
            kind: ColumnKind::Field(kind),
            codec: None,
            geometry: None,
        });
        let columns = tags.into_iter().chain(fields).collect();
        Arc::new(TableSchema {
            id,
            name: name.into(),
            columns,
            time_unit: unit,
            partition_length: 60 * MINUTE / unit.nanoseconds(),
            next_column: 8,
        })
    };
    let database = |name: &str, precision, tables: Vec<Arc<TableSchema>>| {
        let options = DatabaseOptions { precision, ..DatabaseOptions::default() };
        Arc::new(Database::new(name, &options, tables))
    };
    let nanos = vec![table(TableId(1), "m", Unit::Nanosecond), table(NONE, "none", Unit::Nanosecond)];
    let public = database("public", Unit::Nanosecond, nanos);
    let ms = database("ms", Unit::Millisecond, vec![table(TableId(2), "m", Unit::Millisecond)]);
    Catalog {
        version: 1,
        databases: [public, ms].into_iter().map(|database| (Arc::clone(&database.name), database)).collect(),
        next_table: 10,
        ..Catalog::default()
    }
}

/// A query made of random parts; a union of two of them now and then.
pub(crate) fn random_query(random: &mut fastrand::Rng) -> String {
    if random.u8(0..6) > 0 {
        return random_select(random);
    }
    let mut select = || {
        let kind = random.usize(0..3);
        let key = ["host", "rack", "s"][random.usize(0..3)];
        let filter = ["", " WHERE i > 2", " WHERE host <> 'h1' AND f < 5", " WHERE time >= '1970-01-01T00:30:00Z'"]
            [random.usize(0..4)];
        match kind {
            0 => format!("SELECT {key} AS a, sum(i) AS c FROM m{filter} GROUP BY {key}"),
            1 => format!("SELECT {key} AS a, i AS c FROM m{filter}"),
            _ => format!("SELECT DISTINCT {key} AS a, i % 3 AS c FROM m{filter}"),
        }
    };
    let union = format!("{} UNION ALL {}", select(), select());
    match random.u8(0..3) {
        0 => union,
        1 => format!("{union} ORDER BY c DESC, a LIMIT {}", random.u32(1..9)),
        _ => format!("SELECT a, count(*) AS n, max(c) AS x FROM ({union}) u WHERE c <> 4 GROUP BY a"),
    }
}

/// One SELECT.
fn random_select(random: &mut fastrand::Rng) -> String {
    let pick = |random: &mut fastrand::Rng, from: &[&str]| from[random.usize(0..from.len())].to_owned();
    let conditions = [
        "i > 5",
        "f <= 3.5",
        "n = 7",
        "b",
        "NOT b",
        "s LIKE '%c%'",
        "host = 'h1'",
        "host <> 'h2'",
        "rack IS NULL",
        "region IN ('east', 'west')",
        "time >= '1969-12-31T23:00:00Z'",
        "time < '1970-01-01T01:07:00Z'",
        "i + 1 > n",
        "coalesce(i, 3) % 2 = 1",
        "(host = 'h3' OR i < 0)",
        "s IS NOT NULL",
    ];
    let mut filter = String::new();
    for _ in 0..random.usize(0..4) {
        let joint = if filter.is_empty() { " WHERE " } else { ["", " AND ", " OR "][random.usize(1..3)] };
        filter = format!("{filter}{joint}{}", pick(random, &conditions));
    }
    let keys = [
        "host",
        "rack",
        "region",
        "b",
        "s",
        "i % 3",
        "date_bin(INTERVAL '10 minutes', time)",
        "date_bin(INTERVAL '1 hour', time)",
        "date_trunc('day', time)",
    ];
    let calls = [
        "count(*)",
        "count(i)",
        "sum(i)",
        "sum(n)",
        "sum(f)",
        "avg(i)",
        "avg(f)",
        "min(i)",
        "max(f)",
        "min(s)",
        "first(time, i)",
        "last(time, i)",
        "last(time, s)",
        "first(time, f)",
        "count(DISTINCT s)",
        "max(time)",
        "sum(i * 2)",
    ];
    let mut group: Vec<String> = (0..random.usize(0..3)).map(|_| pick(random, &keys)).collect();
    group.dedup();
    let calls: Vec<String> = (0..random.usize(1..4)).map(|_| pick(random, &calls)).collect();
    // A call or key may come twice; its second column needs a name of its own.
    let outputs: Vec<String> =
        group.iter().chain(&calls).enumerate().map(|(at, output)| format!("{output} AS c{at}")).collect();
    let mut text = format!("SELECT {} FROM m{filter}", outputs.join(", "));
    if !group.is_empty() {
        text = format!("{text} GROUP BY {}", group.join(", "));
        if random.bool() {
            let order: Vec<String> = (0..group.len())
                .map(|at| format!("c{at}{}", pick(random, &["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])))
                .collect();
            text = format!("{text} ORDER BY {}", order.join(", "));
            if random.bool() {
                text = format!("{text} LIMIT {}", random.u32(1..9));
            }
        }
    }
    text
}
