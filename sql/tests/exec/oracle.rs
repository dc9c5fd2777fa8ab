//! The oracle: interprets a plan row at a time, by the words of the SQL standard and of `expr.rs`, with none of the
//! engine's code.

use std::cmp::Ordering;

use arrow_schema::{DataType, TimeUnit};
use tidewire_sql::expr::{AggregateCall, BinaryOp, Expr, Scalar, ScalarFunction};
use tidewire_sql::plan::window::{Frame, FrameBound, FrameUnits, WindowFunction};
use tidewire_sql::plan::{JoinKind, JoinOn, Plan, ScanColumn, ScanNode, SortKey, WindowCall};

use crate::data::{Cell, FIELDS, NONE, Row, Rows, order};
use crate::memory::tag_position;

type Answer = Vec<Vec<Cell>>;

/// The rows of a plan.
pub(crate) fn run(plan: &Plan, rows: &Rows) -> Answer {
    match plan {
        Plan::Scan(scan) => scan_rows(scan, rows),
        Plan::Filter { input, predicate } => {
            run(input, rows).into_iter().filter(|row| eval(predicate, row) == Cell::Bool(true)).collect()
        }
        Plan::Project { input, exprs, .. } => {
            run(input, rows).iter().map(|row| exprs.iter().map(|e| eval(e, row)).collect()).collect()
        }
        Plan::Aggregate { input, group, calls, .. } => aggregate(&run(input, rows), group, calls),
        Plan::Sort { input, keys, fetch } => {
            let mut answer = run(input, rows);
            answer.sort_by(|a, b| by_keys(keys, a, b));
            answer.truncate(fetch.unwrap_or(usize::MAX));
            answer
        }
        Plan::Limit { input, skip, fetch } => {
            run(input, rows).into_iter().skip(*skip).take(fetch.unwrap_or(usize::MAX)).collect()
        }
        Plan::Distinct { input } => {
            let mut distinct: Answer = Vec::new();
            for row in run(input, rows) {
                if !distinct.contains(&row) {
                    distinct.push(row);
                }
            }
            distinct
        }
        Plan::Union { inputs, .. } => inputs.iter().flat_map(|input| run(input, rows)).collect(),
        Plan::Repeat { input, .. } => run(input, rows)
            .into_iter()
            .flat_map(|mut row| {
                let Some(Cell::Int(count)) = row.pop() else { panic!("a row that does not say how often") };
                std::iter::repeat_n(row, usize::try_from(count).unwrap_or(0))
            })
            .collect(),
        Plan::Join { inputs, kind, on, .. } => {
            let [left, right] = &**inputs;
            let widths = [left.schema().fields().len(), right.schema().fields().len()];
            join(&run(left, rows), &run(right, rows), widths, *kind, on)
        }
        Plan::Window { input, partition, order, calls, .. } => {
            let input = run(input, rows);
            let partition_of = |row: &[Cell]| partition.iter().map(|key| eval(key, row)).collect::<Vec<_>>();
            let mut answer = input.clone();
            for (at, row) in answer.iter_mut().enumerate() {
                let own = partition_of(&input[at]);
                let of: Vec<usize> = (0..input.len()).filter(|other| partition_of(&input[*other]) == own).collect();
                row.extend(calls.iter().map(|call| window(call, &input, &of, at, order)));
            }
            answer
        }
        Plan::Series { step, .. } => panic!("SQL has no step by series: {step}"),
        Plan::Values { rows, .. } => rows.iter().map(|row| row.iter().map(literal).collect()).collect(),
        Plan::External(scan) => panic!("{} is read by the server", scan.table.location),
    }
}

/// By the keys of ORDER BY.
fn by_keys(keys: &[SortKey], a: &[Cell], b: &[Cell]) -> Ordering {
    let by_key = |key: &SortKey| {
        let (a, b) = (eval(&key.expr, a), eval(&key.expr, b));
        match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if key.descending => order(&b, &a),
            (false, false) => order(&a, &b),
        }
    };
    keys.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// What a window function says of row `at`, whose partition is rows `of`.
fn window(call: &WindowCall, rows: &Answer, of: &[usize], at: usize, keys: &[SortKey]) -> Cell {
    let compare = |other: usize| by_keys(keys, &rows[other], &rows[at]);
    let position = of.iter().position(|row| *row == at).unwrap() as i64;
    let before = of.iter().filter(|row| compare(**row).is_lt()).count() as u64;
    let framed: Vec<usize> = (0_i64..)
        .zip(of)
        .filter(|(p, row)| in_frame(&call.frame, rows, (of, keys), (position, at), (*p, **row)))
        .map(|(_, row)| *row)
        .collect();
    let default = |args: &[Expr]| args.get(1).map_or(Cell::Null, |default| eval(default, &rows[at]));
    let value = |row: Option<&usize>, value: &Expr| row.map_or(Cell::Null, |row| eval(value, &rows[*row]));
    match &call.function {
        WindowFunction::RowNumber => Cell::UInt(position as u64 + 1),
        WindowFunction::Rank => Cell::UInt(before + 1),
        WindowFunction::DenseRank => {
            let mut distinct: Vec<usize> = Vec::new();
            for row in of.iter().filter(|row| compare(**row).is_lt()) {
                if distinct.iter().all(|known| by_keys(keys, &rows[*known], &rows[*row]).is_ne()) {
                    distinct.push(*row);
                }
            }
            Cell::UInt(distinct.len() as u64 + 1)
        }
        WindowFunction::PercentRank if of.len() == 1 => Cell::Float(0.0),
        WindowFunction::PercentRank => Cell::Float(before as f64 / (of.len() - 1) as f64),
        WindowFunction::CumeDist => {
            Cell::Float(of.iter().filter(|row| compare(**row).is_le()).count() as f64 / of.len() as f64)
        }
        WindowFunction::Ntile(buckets) => {
            // Deals the rows out and counts how many each bucket has.
            let mut sizes = vec![0_i64; *buckets as usize];
            (0..of.len()).for_each(|row| sizes[row % *buckets as usize] += 1);
            let mut left = position;
            Cell::UInt(
                1 + sizes
                    .iter()
                    .take_while(|size| {
                        left -= **size;
                        left >= 0
                    })
                    .count() as u64,
            )
        }
        WindowFunction::Shift { args, by } if call.ignore_nulls && *by != 0 => {
            let shown = &args[0];
            // Goes from row to row and counts those with a value.
            let mut left = *by;
            let mut at = position;
            while left != 0 {
                at += by.signum();
                match usize::try_from(at).ok().and_then(|at| of.get(at)) {
                    Some(row) if eval(shown, &rows[*row]) == Cell::Null => {}
                    Some(_) => left -= by.signum(),
                    None => return default(args),
                }
            }
            eval(shown, &rows[of[at as usize]])
        }
        WindowFunction::First(shown) | WindowFunction::Last(shown) | WindowFunction::Nth(shown, _)
            if call.ignore_nulls =>
        {
            let values = framed.iter().map(|row| eval(shown, &rows[*row]));
            let mut values: Vec<Cell> = values.filter(|value| *value != Cell::Null).collect();
            let at = match &call.function {
                WindowFunction::Nth(_, number) => *number as usize - 1,
                WindowFunction::Last(_) => values.len().wrapping_sub(1),
                _ => 0,
            };
            if at < values.len() { values.swap_remove(at) } else { Cell::Null }
        }
        WindowFunction::Shift { args, by } => match usize::try_from(position + by).ok().and_then(|at| of.get(at)) {
            Some(row) => eval(&args[0], &rows[*row]),
            None => default(args),
        },
        WindowFunction::First(shown) => value(framed.first(), shown),
        WindowFunction::Last(shown) => value(framed.last(), shown),
        WindowFunction::Nth(shown, number) => value(framed.get(*number as usize - 1), shown),
        WindowFunction::Aggregate(call) => {
            one_call(call, &framed.iter().map(|row| rows[*row].clone()).collect::<Answer>())
        }
    }
}

/// Whether row `other`, at position `p` of the partition, is in the frame of row `at`.
fn in_frame(
    frame: &Frame,
    rows: &Answer,
    (of, keys): (&[usize], &[SortKey]),
    (position, at): (i64, usize),
    (p, other): (i64, usize),
) -> bool {
    let equals = |a: usize, b: usize| by_keys(keys, &rows[a], &rows[b]).is_eq();
    // The number of a row's equals in the partition.
    let group = |row: usize| {
        let mut distinct: Vec<usize> = Vec::new();
        for before in of.iter().take_while(|before| !equals(**before, row)) {
            if distinct.last().is_none_or(|last| !equals(*last, *before)) {
                distinct.push(*before);
            }
        }
        distinct.len() as i64
    };
    // How far the other row is behind this one: below zero before it.
    let distance = |by: &Scalar| match (frame.units, by) {
        (FrameUnits::Rows, Scalar::Int(by)) => (p - position, *by),
        (FrameUnits::Groups, Scalar::Int(by)) => (group(other) - group(at), *by),
        (FrameUnits::Range, by) => {
            let sign = if keys[0].descending { -1 } else { 1 };
            match (eval(&keys[0].expr, &rows[at]), eval(&keys[0].expr, &rows[other]), by) {
                (Cell::Int(a), Cell::Int(b), Scalar::Int(by)) => (sign * (b - a), *by),
                (Cell::Time(a, unit), Cell::Time(b, _), Scalar::Interval { months: 0, days, nanoseconds }) => {
                    (sign * (b - a), length(*days, *nanoseconds, unit))
                }
                // Nulls are far from all else.
                (Cell::Null, Cell::Null, _) => (0, 0),
                (a, b, _) if a.is_null() || b.is_null() => {
                    (by_keys(keys, &rows[other], &rows[at]) as i64 * i64::MAX, 0)
                }
                (a, b, by) => panic!("from {a:?} to {b:?} by {by:?}"),
            }
        }
        (units, by) => panic!("{by:?} of {units:?}"),
    };
    let side = match frame.units {
        FrameUnits::Rows => p.cmp(&position),
        _ => by_keys(keys, &rows[other], &rows[at]),
    };
    let starts = match &frame.start {
        FrameBound::UnboundedPreceding => true,
        FrameBound::CurrentRow => side.is_ge(),
        FrameBound::Preceding(by) => {
            let (far, by) = distance(by);
            far >= -by
        }
        FrameBound::Following(by) => {
            let (far, by) = distance(by);
            far >= by
        }
        FrameBound::UnboundedFollowing => false,
    };
    let ends = match &frame.end {
        FrameBound::UnboundedFollowing => true,
        FrameBound::CurrentRow => side.is_le(),
        FrameBound::Preceding(by) => {
            let (far, by) = distance(by);
            far <= -by
        }
        FrameBound::Following(by) => {
            let (far, by) = distance(by);
            far <= by
        }
        FrameBound::UnboundedPreceding => false,
    };
    starts && ends
}

/// Every left row against every right one.
fn join(left: &Answer, right: &Answer, [left_width, right_width]: [usize; 2], kind: JoinKind, on: &JoinOn) -> Answer {
    let side_by_side = |a: &[Cell], b: &[Cell]| a.iter().chain(b).cloned().collect::<Vec<Cell>>();
    let equal = |a: &[Cell], b: &[Cell]| {
        let keys = on.keys.iter().map(|(l, r)| binary(BinaryOp::Eq, eval(l, a), eval(r, b)));
        keys.fold(Cell::Bool(true), |all, key| binary(BinaryOp::And, all, key))
    };
    let meets = |a: &[Cell], b: &[Cell]| {
        equal(a, b) == Cell::Bool(true)
            && on.filter.as_ref().is_none_or(|filter| eval(filter, &side_by_side(a, b)) == Cell::Bool(true))
    };
    let mut answer = Vec::new();
    for a in left {
        let met: Vec<&Vec<Cell>> = right.iter().filter(|b| meets(a, b)).collect();
        if let JoinKind::Mark { with_nulls } = kind {
            let is_null = met.is_empty() && with_nulls && right.iter().any(|b| equal(a, b).is_null());
            let mark = if is_null { Cell::Null } else { Cell::Bool(!met.is_empty()) };
            answer.push(side_by_side(a, &[mark]));
            continue;
        }
        assert!(kind != JoinKind::Single || met.len() < 2, "a subquery of more than one row");
        if met.is_empty() && kind.keeps_left() {
            answer.push(side_by_side(a, &vec![Cell::Null; right_width]));
        }
        answer.extend(met.into_iter().map(|b| side_by_side(a, b)));
    }
    if kind.keeps_right() {
        let alone = right.iter().filter(|b| !left.iter().any(|a| meets(a, b)));
        answer.extend(alone.map(|b| side_by_side(&vec![Cell::Null; left_width], b)));
    }
    answer
}

fn scan_rows(scan: &ScanNode, rows: &Rows) -> Answer {
    if scan.table.id == NONE {
        return Vec::new();
    }
    let unit = match scan.table.time_unit {
        tidewire_storage::schema::TimeUnit::Millisecond => TimeUnit::Millisecond,
        tidewire_storage::schema::TimeUnit::Microsecond => TimeUnit::Microsecond,
        tidewire_storage::schema::TimeUnit::Nanosecond => TimeUnit::Nanosecond,
    };
    let tag = |row: &Row, at: usize| row.tags[at].clone().map_or(Cell::Null, Cell::Str);
    rows.rows
        .iter()
        .filter(|row| (scan.time_min..=scan.time_max).contains(&row.time))
        .filter(|row| {
            let tags: Vec<Cell> = scan.tag_columns.iter().map(|id| tag(row, tag_position(*id))).collect();
            scan.tag_filter.as_ref().is_none_or(|filter| eval(filter, &tags) == Cell::Bool(true))
        })
        .map(|row| {
            scan.columns
                .iter()
                .map(|column| match column {
                    ScanColumn::Time => Cell::Time(row.time, unit),
                    ScanColumn::Tag(id) => tag(row, tag_position(*id)),
                    ScanColumn::Field(id, _) => {
                        row.fields[FIELDS.iter().position(|(_, field, _)| *field == id.0).unwrap()].clone()
                    }
                })
                .collect::<Vec<Cell>>()
        })
        .filter(|row| scan.filter.as_ref().is_none_or(|filter| eval(filter, row) == Cell::Bool(true)))
        .collect()
}

fn aggregate(input: &Answer, group: &[Expr], calls: &[AggregateCall]) -> Answer {
    let mut groups: Vec<(Vec<Cell>, Answer)> = Vec::new();
    if group.is_empty() {
        groups.push((Vec::new(), Vec::new()));
    }
    for row in input {
        let key: Vec<Cell> = group.iter().map(|e| eval(e, row)).collect();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, rows)) => rows.push(row.clone()),
            None => groups.push((key, vec![row.clone()])),
        }
    }
    groups
        .into_iter()
        .map(|(mut key, rows)| {
            key.extend(calls.iter().map(|call| one_call(call, &rows)));
            key
        })
        .collect()
}

/// Whether the oracle has an aggregate of this name.
pub(crate) fn knows(aggregate: &str) -> bool {
    ["count", "sum", "min", "max", "avg", "first", "last"].contains(&aggregate)
}

fn one_call(call: &AggregateCall, rows: &Answer) -> Cell {
    let function = call.function.name;
    let args = |row: &Vec<Cell>| call.args.iter().map(|arg| eval(arg, row)).collect::<Vec<_>>();
    let mut values: Vec<Vec<Cell>> = rows.iter().map(args).collect();
    if function == "count" && call.args.is_empty() {
        return Cell::Int(rows.len() as i64);
    }
    values.retain(|args| args.iter().all(|arg| !arg.is_null()));
    if call.distinct {
        let mut distinct: Vec<Vec<Cell>> = Vec::new();
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        values = distinct;
    }
    if function == "count" {
        return Cell::Int(values.len() as i64);
    }
    if values.is_empty() {
        return Cell::Null;
    }
    let firsts = || values.iter().map(|args| args[0].clone());
    match function {
        "min" => firsts().min_by(order).unwrap(),
        "max" => firsts().max_by(order).unwrap(),
        "sum" => firsts()
            .reduce(|a, b| match (a, b) {
                (Cell::Int(a), Cell::Int(b)) => Cell::Int(a + b),
                (Cell::UInt(a), Cell::UInt(b)) => Cell::UInt(a + b),
                (Cell::Float(a), Cell::Float(b)) => Cell::Float(a + b),
                (a, b) => panic!("sum of {a:?} and {b:?}"),
            })
            .unwrap(),
        "avg" => Cell::Float(firsts().map(|cell| float(&cell)).sum::<f64>() / values.len() as f64),
        // At equal times the greater value.
        "first" => values.iter().min_by(|a, b| order(&a[0], &b[0]).then(order(&b[1], &a[1]))).unwrap()[1].clone(),
        "last" => values.iter().max_by(|a, b| order(&a[0], &b[0]).then(order(&a[1], &b[1]))).unwrap()[1].clone(),
        other => panic!("no aggregate {other}"),
    }
}

fn float(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(v) => *v as f64,
        Cell::UInt(v) => *v as f64,
        Cell::Float(v) => *v,
        other => panic!("no number: {other:?}"),
    }
}

fn literal(scalar: &Scalar) -> Cell {
    match scalar {
        Scalar::Null => Cell::Null,
        Scalar::Bool(v) => Cell::Bool(*v),
        Scalar::Int(v) => Cell::Int(*v),
        Scalar::UInt(v) => Cell::UInt(*v),
        Scalar::Float(v) => Cell::Float(*v),
        Scalar::Str(v) => Cell::Str(v.to_string()),
        Scalar::Time(v, unit) => Cell::Time(*v, *unit),
        Scalar::Interval { months, days, nanoseconds } => Cell::Interval(*months, *days, *nanoseconds),
    }
}

/// The value of an expression over one row.
fn eval(expr: &Expr, row: &[Cell]) -> Cell {
    match expr {
        Expr::Column(at) => row[*at].clone(),
        Expr::Literal(scalar) => literal(scalar),
        Expr::Binary { op, left, right } => binary(*op, eval(left, row), eval(right, row)),
        Expr::Not(operand) => match eval(operand, row) {
            Cell::Bool(v) => Cell::Bool(!v),
            _ => Cell::Null,
        },
        Expr::Negative(operand) => match eval(operand, row) {
            Cell::Int(v) => Cell::Int(-v),
            Cell::Float(v) => Cell::Float(-v),
            other => other,
        },
        Expr::IsNull(operand) => Cell::Bool(eval(operand, row).is_null()),
        Expr::IsNotNull(operand) => Cell::Bool(!eval(operand, row).is_null()),
        Expr::Like { expr, pattern, negated, case_insensitive } => match (eval(expr, row), eval(pattern, row)) {
            (Cell::Str(text), Cell::Str(pattern)) => {
                let fold = |s: String| if *case_insensitive { s.to_lowercase() } else { s };
                let (text, pattern): (Vec<char>, Vec<char>) =
                    (fold(text).chars().collect(), fold(pattern).chars().collect());
                Cell::Bool(like(&text, &pattern) != *negated)
            }
            _ => Cell::Null,
        },
        Expr::Matches { expr, pattern, negated } => match eval(expr, row) {
            Cell::Str(text) => Cell::Bool(pattern.is_match(&text) != *negated),
            _ => Cell::Null,
        },
        Expr::InList { expr, list, negated } => {
            let value = eval(expr, row);
            let found = list
                .iter()
                .map(|element| binary(BinaryOp::Eq, value.clone(), eval(element, row)))
                .fold(Cell::Bool(false), |found, equal| binary(BinaryOp::Or, found, equal));
            match found {
                Cell::Bool(v) => Cell::Bool(v != *negated),
                other => other,
            }
        }
        // By comparison, as the list that it was.
        Expr::InSet { expr, set, negated } => {
            let list = set.constants().map(Expr::Literal).collect();
            eval(&Expr::InList { expr: expr.clone(), list, negated: *negated }, row)
        }
        Expr::Case { branches, otherwise } => {
            for (condition, value) in branches {
                if eval(condition, row) == Cell::Bool(true) {
                    return eval(value, row);
                }
            }
            otherwise.as_ref().map_or(Cell::Null, |value| eval(value, row))
        }
        Expr::Cast { expr, to } => convert(eval(expr, row), to),
        Expr::Coalesce(operands) => {
            operands.iter().map(|operand| eval(operand, row)).find(|cell| !cell.is_null()).unwrap_or(Cell::Null)
        }
        Expr::Call { function, args } => call(function, args, row),
    }
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skip| like(&text[skip..], rest)),
        Some(('_', rest)) => !text.is_empty() && like(&text[1..], rest),
        Some((c, rest)) => text.first() == Some(c) && like(&text[1..], rest),
    }
}

fn binary(op: BinaryOp, left: Cell, right: Cell) -> Cell {
    match op {
        BinaryOp::And => {
            return match (left, right) {
                (Cell::Bool(false), _) | (_, Cell::Bool(false)) => Cell::Bool(false),
                (Cell::Bool(true), Cell::Bool(true)) => Cell::Bool(true),
                _ => Cell::Null,
            };
        }
        BinaryOp::Or => {
            return match (left, right) {
                (Cell::Bool(true), _) | (_, Cell::Bool(true)) => Cell::Bool(true),
                (Cell::Bool(false), Cell::Bool(false)) => Cell::Bool(false),
                _ => Cell::Null,
            };
        }
        _ if left.is_null() || right.is_null() => return Cell::Null,
        _ => {}
    }
    let compared = |wanted: &[Ordering]| Cell::Bool(wanted.contains(&order(&left, &right)));
    use Ordering::{Equal, Greater, Less};
    match op {
        BinaryOp::Eq => compared(&[Equal]),
        BinaryOp::NotEq => compared(&[Less, Greater]),
        BinaryOp::Lt => compared(&[Less]),
        BinaryOp::LtEq => compared(&[Less, Equal]),
        BinaryOp::Gt => compared(&[Greater]),
        BinaryOp::GtEq => compared(&[Greater, Equal]),
        _ => arithmetic(op, left, right),
    }
}

fn arithmetic(op: BinaryOp, left: Cell, right: Cell) -> Cell {
    use BinaryOp::{Concat, Divide, Minus, Modulo, Multiply, Plus};
    match (op, left, right) {
        (Concat, Cell::Str(a), Cell::Str(b)) => Cell::Str(a + &b),
        (Plus, Cell::Int(a), Cell::Int(b)) => Cell::Int(a + b),
        (Minus, Cell::Int(a), Cell::Int(b)) => Cell::Int(a - b),
        (Multiply, Cell::Int(a), Cell::Int(b)) => Cell::Int(a * b),
        (Divide, Cell::Int(a), Cell::Int(b)) => Cell::Int(a / b),
        (Modulo, Cell::Int(a), Cell::Int(b)) => Cell::Int(a % b),
        (Plus, Cell::UInt(a), Cell::UInt(b)) => Cell::UInt(a + b),
        (Minus, Cell::UInt(a), Cell::UInt(b)) => Cell::UInt(a - b),
        (Multiply, Cell::UInt(a), Cell::UInt(b)) => Cell::UInt(a * b),
        (Divide, Cell::UInt(a), Cell::UInt(b)) => Cell::UInt(a / b),
        (Modulo, Cell::UInt(a), Cell::UInt(b)) => Cell::UInt(a % b),
        (Plus, Cell::Float(a), Cell::Float(b)) => Cell::Float(a + b),
        (Minus, Cell::Float(a), Cell::Float(b)) => Cell::Float(a - b),
        (Multiply, Cell::Float(a), Cell::Float(b)) => Cell::Float(a * b),
        (Divide, Cell::Float(a), Cell::Float(b)) => Cell::Float(a / b),
        (Modulo, Cell::Float(a), Cell::Float(b)) => Cell::Float(a % b),
        (Plus, Cell::Time(t, unit), Cell::Interval(0, days, ns)) => Cell::Time(t + length(days, ns, unit), unit),
        (Minus, Cell::Time(t, unit), Cell::Interval(0, days, ns)) => Cell::Time(t - length(days, ns, unit), unit),
        (op, left, right) => panic!("{left:?} {op:?} {right:?}"),
    }
}

const DAY_NS: i64 = 86_400_000_000_000;

fn unit_ns(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn length(days: i32, ns: i64, unit: TimeUnit) -> i64 {
    (i64::from(days) * DAY_NS + ns) / unit_ns(unit)
}

fn convert(cell: Cell, to: &DataType) -> Cell {
    match (cell, to) {
        (Cell::Null, _) => Cell::Null,
        (Cell::Int(v), DataType::Int64) => Cell::Int(v),
        (Cell::Int(v), DataType::UInt64) => Cell::UInt(v as u64),
        (Cell::UInt(v), DataType::UInt64) => Cell::UInt(v),
        (Cell::UInt(v), DataType::Int64) => Cell::Int(v as i64),
        // Decimals stand for integers of either sign here.
        (Cell::Int(v), DataType::Decimal128(..)) => Cell::Int(v),
        (Cell::UInt(v), DataType::Decimal128(..)) => Cell::Int(v as i64),
        (cell @ (Cell::Int(_) | Cell::UInt(_) | Cell::Float(_)), DataType::Float64) => Cell::Float(float(&cell)),
        (Cell::Float(v), DataType::Int64) => Cell::Int(v as i64),
        (Cell::Bool(v), DataType::Int64) => Cell::Int(i64::from(v)),
        (Cell::Int(v), DataType::Utf8) => Cell::Str(v.to_string()),
        (Cell::UInt(v), DataType::Utf8) => Cell::Str(v.to_string()),
        (cell @ Cell::Str(_), DataType::Utf8) => cell,
        (Cell::Time(v, from), DataType::Timestamp(unit, None)) => {
            Cell::Time((i128::from(v) * i128::from(unit_ns(from)) / i128::from(unit_ns(*unit))) as i64, *unit)
        }
        (cell, to) => panic!("{cell:?} to {to}"),
    }
}

fn call(function: &ScalarFunction, args: &[Expr], row: &[Cell]) -> Cell {
    let values: Vec<Cell> = args.iter().map(|arg| eval(arg, row)).collect();
    if values.iter().any(Cell::is_null) {
        return Cell::Null;
    }
    match (function.name, values.as_slice()) {
        ("date_bin", [Cell::Interval(0, 0, width), Cell::Time(t, unit), Cell::Time(origin, _)]) => {
            let width = width / unit_ns(*unit);
            Cell::Time(origin + (t - origin).div_euclid(width) * width, *unit)
        }
        ("date_trunc", [Cell::Str(part), Cell::Time(t, unit)]) => {
            let date = civil(*t, *unit);
            let month = match part.as_str() {
                "month" => date.month(),
                "quarter" => (date.month() - 1) / 3 * 3 + 1,
                _ => 1,
            };
            let first = jiff::civil::date(date.year(), month, 1);
            Cell::Time(days_since_epoch(first) * (DAY_NS / unit_ns(*unit)), *unit)
        }
        ("date_part", [Cell::Str(part), Cell::Time(t, unit)]) => {
            let date = civil(*t, *unit);
            let second = t.rem_euclid(DAY_NS / unit_ns(*unit)) / (1_000_000_000 / unit_ns(*unit));
            Cell::Float(match part.as_str() {
                "hour" => (second / 3_600) as f64,
                "dow" => f64::from(date.weekday().to_sunday_zero_offset()),
                "year" => f64::from(date.year()),
                other => panic!("part {other}"),
            })
        }
        ("abs", [Cell::Float(v)]) => Cell::Float(v.abs()),
        ("ceil", [Cell::Float(v)]) => Cell::Float(v.ceil()),
        ("floor", [Cell::Float(v)]) => Cell::Float(v.floor()),
        ("sqrt", [Cell::Float(v)]) => Cell::Float(v.sqrt()),
        ("round", [Cell::Float(v), Cell::Int(digits)]) => {
            let scale = 10f64.powi(*digits as i32);
            Cell::Float((v * scale).round() / scale)
        }
        ("power", [Cell::Float(a), Cell::Float(b)]) => Cell::Float(a.powf(*b)),
        ("power", [Cell::Int(a), Cell::Int(b)]) => Cell::Int(a.pow(*b as u32)),
        ("lower", [Cell::Str(s)]) => Cell::Str(s.to_lowercase()),
        ("upper", [Cell::Str(s)]) => Cell::Str(s.to_uppercase()),
        ("length", [Cell::Str(s)]) => Cell::Int(s.chars().count() as i64),
        (function, values) => panic!("{function} of {values:?}"),
    }
}

fn civil(time: i64, unit: TimeUnit) -> jiff::civil::Date {
    let days = time.div_euclid(DAY_NS / unit_ns(unit));
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap()
}

fn days_since_epoch(date: jiff::civil::Date) -> i64 {
    i64::from(jiff::civil::date(1970, 1, 1).until(date).unwrap().get_days())
}
