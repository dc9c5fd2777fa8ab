//! Tests: a plan answers the same before and after the rules, and a constant is folded to what the executor computes.
//!
//! Random queries over one table run through the executor on rows made up here. A scan becomes the rows as constants
//! under what the scan is to do (time range, tag filter, filter, columns), so no storage is needed.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, Schema, TimeUnit};
use arrow_select::concat::concat_batches;
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableId, TableSchema,
};

use super::join_order::{self, TableRows};
use super::optimize;
use crate::Session;
use crate::budget::Budget;
use crate::exec::batch::BatchMaker;
use crate::exec::{CoreRun, ExecError, Progress, QueryContext};
use crate::expr::fold::fold_constants;
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::front::sql::bind::{BoundStatement, bind};
use crate::plan::{Plan, ScanColumn, ScanNode};
use crate::types::array::cast_to;

/// Names, kinds and the texts that random expressions read columns by.
const COLUMNS: [(&str, ColumnKind); 7] = [
    ("t", ColumnKind::Tag),
    ("u", ColumnKind::Tag),
    ("i", ColumnKind::Field(FieldType::Int)),
    ("n", ColumnKind::Field(FieldType::UInt)),
    ("f", ColumnKind::Field(FieldType::Float)),
    ("b", ColumnKind::Field(FieldType::Bool)),
    ("s", ColumnKind::Field(FieldType::String)),
];

fn catalog() -> Catalog {
    let columns = COLUMNS
        .iter()
        .zip(0..)
        .map(|((name, kind), id)| ColumnSchema {
            id: ColumnId(id),
            name: (*name).into(),
            kind: *kind,
            codec: None,
            geometry: None,
        })
        .collect();
    let table = Arc::new(TableSchema {
        id: TableId(1),
        name: "m".into(),
        columns,
        time_unit: tidewire_storage::schema::TimeUnit::Nanosecond,
        partition_length: 1 << 40,
        next_column: 7,
    });
    let database = Database::new("public", &DatabaseOptions::default(), [table]);
    let databases = [(database.name.clone(), Arc::new(database))].into_iter().collect();
    Catalog { version: 1, databases, next_table: 2, ..Catalog::default() }
}

/// Rows of the table: time, then [`COLUMNS`]. Few different values, so that comparisons hold and groups meet; a fifth
/// of them null.
fn table_rows(rng: &mut fastrand::Rng) -> Vec<Vec<Scalar>> {
    let text = |rng: &mut fastrand::Rng| Scalar::Str(["a", "b", "ab", ""][rng.usize(..4)].into());
    (0..rng.usize(0..60))
        .map(|_| {
            let mut row = vec![Scalar::Time(rng.i64(-3..12), TimeUnit::Nanosecond)];
            for (_, kind) in COLUMNS {
                row.push(match kind {
                    _ if rng.usize(..5) == 0 => Scalar::Null,
                    ColumnKind::Tag | ColumnKind::Field(FieldType::String) => text(rng),
                    ColumnKind::Field(FieldType::Int) => Scalar::Int(rng.i64(-4..5)),
                    ColumnKind::Field(FieldType::UInt) => Scalar::UInt(rng.u64(0..5)),
                    ColumnKind::Field(FieldType::Float) => Scalar::Float([0.5, 1.0, 2.5, -1.5][rng.usize(..4)]),
                    ColumnKind::Field(FieldType::Bool) => Scalar::Bool(rng.bool()),
                });
            }
            row
        })
        .collect()
}

/// The plan with its scan replaced by `rows` and by operators that do what the scan would.
fn without_storage(plan: Plan, rows: &[Vec<Scalar>]) -> Plan {
    match plan {
        Plan::Scan(scan) => scanned(scan, rows),
        other => other.map_inputs(&mut |input| without_storage(input, rows)),
    }
}

fn scanned(scan: ScanNode, rows: &[Vec<Scalar>]) -> Plan {
    let at = |column: ScanColumn| match column {
        ScanColumn::Time => 0,
        ScanColumn::Tag(id) | ScanColumn::Field(id, _) => usize::from(id.0) + 1,
    };
    let rows = rows
        .iter()
        .filter(|row| matches!(row[0], Scalar::Time(time, _) if scan.time_min <= time && time <= scan.time_max))
        .cloned()
        .collect();
    let types = std::iter::once(DataType::Timestamp(TimeUnit::Nanosecond, None)).chain(COLUMNS.iter().map(
        |(_, kind)| match kind {
            ColumnKind::Tag => DataType::Utf8,
            ColumnKind::Field(field) => field.data_type(),
        },
    ));
    let fields: Vec<_> =
        types.map(|data_type| arrow_schema::Field::new(data_type.to_string(), data_type, true)).collect();
    let mut plan = Plan::Values { rows, schema: Arc::new(Schema::new(fields)) };
    let of_tags = scan.tag_filter.map(|filter| {
        filter.map_columns(&mut |position| Expr::Column(at(ScanColumn::Tag(scan.tag_columns[position]))))
    });
    let of_rows = scan.filter.map(|filter| filter.map_columns(&mut |column| Expr::Column(at(scan.columns[column]))));
    for predicate in of_tags.into_iter().chain(of_rows) {
        plan = Plan::Filter { input: Box::new(plan), predicate };
    }
    let exprs = scan.columns.iter().map(|column| Expr::Column(at(*column))).collect();
    Plan::Project { input: Box::new(plan), exprs, schema: scan.schema }
}

/// Runs a plan without a scan. The rows come sorted, except under ORDER BY, whose ties the caller must not leave open.
fn run(plan: &Plan) -> Result<Vec<Vec<u8>>, ExecError> {
    let graph = crate::cut(plan);
    assert!(graph.on_shards().is_empty(), "{plan}");
    let mut run = CoreRun::new(&graph, QueryContext::new(1 << 30, None))?;
    let mut batches = Vec::new();
    loop {
        match run.step()? {
            Progress::Rows(batch) => batches.push(batch),
            Progress::Working => {}
            Progress::Waiting => panic!("nothing is sent, and {plan} waits for it"),
            Progress::Done => break,
        }
    }
    // Text may have any form.
    let mut plain = BatchMaker::new(Arc::clone(plan.schema()));
    let plain = batches.iter().map(|batch| {
        let types = plan.schema().fields().iter().map(|field| field.data_type());
        let columns = batch.columns().iter().zip(types).map(|(column, to)| cast_to(column, to));
        plain.make(columns.collect::<Result<_, _>>()?, batch.num_rows())
    });
    let batches = plain.collect::<Result<Vec<RecordBatch>, ExecError>>()?;
    let batch: RecordBatch = concat_batches(plan.schema(), &batches)?;
    let fields = plan.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(batch.columns())?;
    let mut rows: Vec<Vec<u8>> = rows.iter().map(|row| row.as_ref().to_vec()).collect();
    rows.sort_unstable();
    Ok(rows)
}

/// Predicates over the table.
const OVER_TABLE: &[&str] = &[
    "b",
    "true",
    "false",
    "null",
    "t = 'a'",
    "t = u",
    "s is null",
    "t in ('a', 'b')",
    "u not in ('a', null)",
    "time > 3",
    "time <= 5",
    "time in (1, 2, 7)",
    "time between 2 and 8",
    "time <> 4",
    "i > 1.5",
    "i = n",
    "n > -1",
    "n <= 2.5",
    "i in (1, 2.5)",
    "f > i",
    "t like 'a%'",
    "u = s",
    "i is distinct from n",
    "i = '1'",
    "date_bin(interval '4 nanoseconds', time) >= 4",
    "time + interval '2 nanoseconds' > 4",
    "i + n = 3",
    "t || u = 'ab'",
    "coalesce(i, 7) = 7",
];

/// Predicates over a query's columns `x` and `y`, whatever their types.
const OVER_QUERY: &[&str] = &[
    "x is not null",
    "y is null",
    "x = x",
    "x in (y, null)",
    "x is distinct from y",
    "true",
    "x = 'a'",
    "y > 1",
    "x < 3",
];

fn truth(rng: &mut fastrand::Rng, leaves: &[&str], depth: usize) -> String {
    if depth == 0 {
        return leaves[rng.usize(..leaves.len())].to_owned();
    }
    let (a, b) = (truth(rng, leaves, depth - 1), truth(rng, leaves, depth - 1));
    match rng.usize(..6) {
        0 => format!("not ({a})"),
        1 => format!("({a}) is not true"),
        2 => format!("case when {a} then {b} else false end"),
        3 => format!("({a}) or ({b})"),
        _ => format!("({a}) and ({b})"),
    }
}

fn query(rng: &mut fastrand::Rng) -> String {
    const VALUES: &[&str] = &[
        "i",
        "n",
        "f",
        "t",
        "u",
        "s",
        "time",
        "i + 1",
        "i * n",
        "f / 2",
        "7",
        "'a'",
        "coalesce(i, 0)",
        "upper(t)",
        "date_bin(interval '4 nanoseconds', time)",
        "case when b then i end",
        "1 + 2",
    ];
    const CALLS: &[&str] =
        &["count(*)", "sum(i)", "max(f)", "min(t)", "avg(i)", "count(distinct u)", "sum(n) filter (where b)"];
    let one = |rng: &mut fastrand::Rng, from: &[&str]| from[rng.usize(..from.len())].to_owned();
    let (x, y) = (one(rng, VALUES), one(rng, VALUES));
    let (call, filter) = (one(rng, CALLS), truth(rng, OVER_TABLE, 2));
    let inner = match rng.usize(..4) {
        0 => format!("select {x} as x, {call} as y from m where {filter} group by {x}"),
        1 => format!("select distinct {x} as x, {y} as y from m where {filter}"),
        2 => format!("select {x} as x, {y} as y from m where {filter} order by time limit {}", rng.usize(0..3) * 1_000),
        _ => format!("select {x} as x, {y} as y, time, t, u, i, n, f, b, s from m where {filter}"),
    };
    let inner = match rng.usize(..4) {
        // The queries of a union have two columns each.
        0 => {
            let (a, b) = (one(rng, VALUES), one(rng, VALUES));
            let filter = truth(rng, OVER_TABLE, 1);
            let union = format!("select x, y from ({inner}) union all select {a}, {b} from m where {filter}");
            if rng.bool() { union } else { format!("{union} union all select x, y from ({inner}) where false") }
        }
        _ => inner,
    };
    let other = format!(
        "select {} as x, {} as z from m where {}",
        one(rng, VALUES),
        one(rng, VALUES),
        truth(rng, OVER_TABLE, 1)
    );
    let way = one(rng, &["join", "left join", "right join", "full join"]);
    let on = one(rng, &["q.x = r.x", "q.x = r.x and r.z is not null", "q.x is not null and r.x = q.x", "q.x < r.x"]);
    let filter = one(rng, &["r.z is null", "q.y is not null", "q.x = r.x", "q.y = r.z", "true", "q.x > 1 and r.x = 2"]);
    match rng.usize(..6) {
        0 => inner,
        4 => format!("select q.x, y, z from ({inner}) as q {way} ({other}) as r on {on} where {filter}"),
        5 => {
            let operation = one(rng, &["union", "intersect", "intersect all", "except", "except all"]);
            format!(
                "select * from (select x, y from ({inner}) {operation} {other}) u where {}",
                truth(rng, OVER_QUERY, 1)
            )
        }
        1 => format!("select * from ({inner}) where {}", truth(rng, OVER_QUERY, 1)),
        2 => format!(
            "select x, count(*) as c, max(y) as z from ({inner}) where {} group by x",
            truth(rng, OVER_QUERY, 1)
        ),
        _ => format!("select y, x from ({inner}) as q where {} order by x, y desc", truth(rng, OVER_QUERY, 1)),
    }
}

fn bound(text: &str) -> Option<Plan> {
    let session = Session {
        tenant: "cnosdb".into(),
        database: "public".into(),
        user: "root".into(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 5,
    };
    let budget = Budget::new(&QueryContext::new(u64::MAX, None));
    match bind(crate::front::sql::parse::parse(text).ok()?, &catalog(), &session, &budget) {
        Ok(BoundStatement::Query(plan)) => Some(plan),
        _ => None,
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..4).collect(),
    }
}

#[test]
fn rules_do_not_change_answers() {
    const QUERIES: usize = 250;
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut compared = 0;
        for _ in 0..QUERIES {
            let text = query(&mut rng);
            let rows = table_rows(&mut rng);
            let Some(plan) = bound(&text) else {
                continue;
            };
            let optimized = optimize(plan.clone(), None);
            let before = without_storage(plan, &rows);
            let after = without_storage(optimized, &rows);
            let (expected, found) = (run(&before), run(&after));
            // A rule may spare a row that cannot be computed; it may not make one.
            let Ok(expected) = expected else {
                continue;
            };
            let mut report = format!("TIDEWIRE_SEED={seed}: {text}\n{before}\n{after}");
            match found {
                Ok(found) => assert!(expected == found, "{report}\n{} rows, {} after", expected.len(), found.len()),
                Err(error) => {
                    let _ = write!(report, "\n{error}");
                    panic!("{report}");
                }
            }
            compared += 1;
        }
        assert!(compared > QUERIES / 3, "seed {seed}: only {compared} queries ran");
    }
}

#[test]
fn joins_answer_the_same_in_any_order() {
    let mut rng = fastrand::Rng::with_seed(14);
    let sources = ["m", "(select i, n, s, b, f from m where b)", "(values (1, 2, 'a', true, 0.5)) as v(i, n, s, b, f)"];
    let mut moved = 0;
    for _ in 0..400 {
        let count = rng.usize(2..6);
        let tables = (0..count).map(|at| match sources[rng.usize(..sources.len())] {
            values if values.starts_with("(values") => values.replace("as v(", &format!("as r{at}(")),
            source => format!("{source} as r{at}"),
        });
        let from = tables.collect::<Vec<_>>().join(", ");
        let column = |rng: &mut fastrand::Rng, names: &[&str]| {
            format!("r{}.{}", rng.usize(..count), names[rng.usize(..names.len())])
        };
        let conditions = (0..rng.usize(count - 1..count + 3)).map(|_| match rng.usize(..8) {
            0 => format!("{} > {}", column(&mut rng, &["f"]), column(&mut rng, &["f"])),
            1 => format!("{} or {} is null", column(&mut rng, &["b"]), column(&mut rng, &["s"])),
            2 | 3 => format!("{} = {}", column(&mut rng, &["s"]), column(&mut rng, &["s"])),
            4 => format!("{} * 2.0 = {}", column(&mut rng, &["f"]), column(&mut rng, &["f"])),
            _ => format!("{} = {}", column(&mut rng, &["i"]), column(&mut rng, &["i"])),
        });
        let conditions = conditions.collect::<Vec<_>>().join(" and ");
        let shown = (0..count).map(|at| format!("r{at}.i, r{at}.s")).collect::<Vec<_>>().join(", ");
        let text = format!("select {shown} from {from} where {conditions}");
        let rows: Vec<_> = table_rows(&mut rng).into_iter().take(12).collect();
        let plan = without_storage(optimize(bound(&text).unwrap(), None), &rows);
        let ordered = join_order::ordered(plan.clone(), &TableRows::new());
        moved += usize::from(plan.to_string() != ordered.to_string());
        assert_eq!(plan.schema(), ordered.schema(), "{text}");
        assert_eq!(run(&ordered).unwrap(), run(&plan).unwrap(), "{text}\n{plan}\n{ordered}");
    }
    assert!(moved > 100, "only {moved} plans changed");
}

#[test]
fn marks_answer_the_same_wherever_they_are_given() {
    let mut rng = fastrand::Rng::with_seed(21);
    let one = |rng: &mut fastrand::Rng, from: &[&str]| from[rng.usize(..from.len())].to_owned();
    let sources = ["m", "(select i, n, s, b, f from m where b and i > 0)", "(select i, n, s, b, f from m where i = 1)"];
    let (mut moved, mut kept) = (0, 0);
    for _ in 0..500 {
        let count = rng.usize(1..4);
        let from = (0..count).map(|at| format!("{} as r{at}", one(&mut rng, &sources))).collect::<Vec<_>>().join(", ");
        let outer = |rng: &mut fastrand::Rng, name: &str| format!("r{}.{name}", rng.usize(..count));
        let mark = |rng: &mut fastrand::Rng| {
            let inner = one(rng, &["m", "(select i, s, f from m where f > 0)", "(select 1 as i, 'a' as s, 0.5 as f)"]);
            let (i, s, f) = (outer(rng, "i"), outer(rng, "s"), outer(rng, "f"));
            match rng.usize(..5) {
                0 => format!("{i} in (select i from {inner} as q)"),
                1 => format!("{s} not in (select s from {inner} as q where s is not null)"),
                2 => format!("exists (select 1 from {inner} as q where q.i = {i} and q.f <> {f})"),
                3 => format!("not exists (select 1 from {inner} as q where q.s = {s})"),
                _ => format!("exists (select 1 from {inner} as q where q.i = {i} and q.s = {s})"),
            }
        };
        let conditions = (0..rng.usize(1..4)).map(|_| match rng.usize(..6) {
            0 => format!("({} or {})", mark(&mut rng), outer(&mut rng, "b")),
            1 => format!("{} is not null", mark(&mut rng)),
            _ => mark(&mut rng),
        });
        let mut conditions = conditions.collect::<Vec<_>>();
        conditions.extend((1..count).map(|at| format!("r{}.i = r{at}.i", rng.usize(..at))));
        rng.shuffle(&mut conditions);
        let shown = (0..count).map(|at| format!("r{at}.i, r{at}.s")).collect::<Vec<_>>().join(", ");
        let text = format!("select {shown} from {from} where {}", conditions.join(" and "));
        let rows: Vec<_> = table_rows(&mut rng).into_iter().take(12).collect();
        let plain = bound(&text).unwrap();
        let mut steps = Vec::new();
        let optimized = optimize(plain.clone(), Some(&mut steps));
        moved += usize::from(
            steps.windows(2).any(|pair| pair[1].name.ends_with("push_marks") && pair[0].plan != pair[1].plan),
        );
        let ordered = join_order::ordered(optimized.clone(), &TableRows::new());
        kept += usize::from(ordered.to_string().contains("mark kept rows"));
        let [plain, optimized, ordered] = [plain, optimized, ordered].map(|plan| without_storage(plan, &rows));
        let expected = run(&plain).unwrap();
        assert_eq!(run(&optimized).unwrap(), expected, "{text}\n{plain}\n{optimized}");
        assert_eq!(run(&ordered).unwrap(), expected, "{text}\n{plain}\n{ordered}");
    }
    assert!(moved > 100 && kept > 50, "only {moved} marks moved, {kept} were given to rows that are kept");
}

#[test]
fn shared_sums_are_those_of_each_call() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut shared = 0;
    for _ in 0..200 {
        let calls = (0..rng.usize(2..6)).map(|_| match rng.usize(..7) {
            0 => "sum(i)".to_owned(),
            1 => format!("sum(i - {})", rng.i64(-3..4)),
            2 => format!("sum({} + i)", rng.i64(-3..4)),
            3 => "count(i)".to_owned(),
            4 => "sum(f + 1)".to_owned(),
            5 => "sum(distinct i + 1)".to_owned(),
            _ => format!("sum(i + {})", rng.i64(0..9)),
        });
        let calls = calls.enumerate().map(|(at, call)| format!("{call} as c{at}")).collect::<Vec<_>>().join(", ");
        let groups = ["", " group by t", " group by t having sum(i + 1) > 2"][rng.usize(..3)];
        let text = format!("select {calls} from m where i is null or i < 4{groups}");
        let rows = table_rows(&mut rng);
        let plain = bound(&text).unwrap();
        let optimized = optimize(plain.clone(), None);
        shared += usize::from(optimized.to_string().contains("shifted_sum"));
        assert_eq!(plain.schema(), optimized.schema(), "{text}");
        let [plain, optimized] = [plain, optimized].map(|plan| without_storage(plan, &rows));
        assert_eq!(run(&optimized).unwrap(), run(&plain).unwrap(), "{text}\n{plain}\n{optimized}");
    }
    assert!(shared > 80, "only {shared} plans shared a sum");
}

#[test]
fn constants_are_folded_to_what_the_executor_computes() {
    const LITERALS: &[&str] = &[
        "1",
        "-7",
        "0",
        "2.5",
        "-0.5",
        "null",
        "true",
        "false",
        "'a'",
        "'1'",
        "''",
        "18446744073709551615",
        "9223372036854775807",
        "cast(3 as bigint unsigned)",
        "timestamp '2022-01-31T10:20:30.5'",
        "timestamp '1960-01-01'",
        "interval '1 month'",
        "interval '90 minutes'",
        "interval '3 days'",
        "cast(null as double)",
    ];
    const FORMS: &[&str] = &[
        "A + B",
        "A - B",
        "A * B",
        "A / B",
        "A % B",
        "A = B",
        "A <> B",
        "A < B",
        "A >= B",
        "A and B",
        "A or B",
        "not A",
        "-(A)",
        "A is null",
        "A in (B, C)",
        "A not in (B, C, null)",
        "A between B and C",
        "A || B",
        "coalesce(A, B)",
        "nullif(A, B)",
        "case when A then B else C end",
        "case A when B then C end",
        "cast(A as bigint)",
        "cast(A as bigint unsigned)",
        "cast(A as double)",
        "cast(A as string)",
        "cast(A as boolean)",
        "cast(A as timestamp)",
        "date_bin(interval '7 hours', A)",
        "date_trunc('week', A)",
        "A is not distinct from B",
    ];
    let value = |expr: Expr, schema: &arrow_schema::SchemaRef| {
        let one_row = Plan::Values { rows: vec![Vec::new()], schema: Arc::new(Schema::empty()) };
        run(&Plan::Project { input: Box::new(one_row), exprs: vec![expr], schema: schema.clone() })
    };
    let mut compared = 0;
    for form in FORMS {
        for a in LITERALS {
            for b in LITERALS {
                let expr = form.replace('A', a).replace('B', b).replace('C', "2");
                let Some(Plan::Project { exprs, schema, .. }) = bound(&format!("select {expr} as x")) else {
                    continue;
                };
                let [expr_bound] = exprs.as_slice() else {
                    panic!("one column of {expr}");
                };
                let folded = fold_constants(expr_bound.clone());
                assert_eq!(folded.data_type(&Schema::empty()), *schema.field(0).data_type(), "{expr}");
                // False AND (an error) is false for us; everything else must agree, errors too.
                let spared = matches!(expr_bound, Expr::Binary { op: BinaryOp::And | BinaryOp::Or, .. });
                match (value(expr_bound.clone(), &schema), value(folded.clone(), &schema)) {
                    (Ok(expected), found) => assert_eq!(found.ok(), Some(expected), "{expr} folded to {folded:?}"),
                    (Err(_), found) => assert!(found.is_err() || spared, "{expr} folded to {folded:?}"),
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 2_000, "only {compared} expressions bind");
}
