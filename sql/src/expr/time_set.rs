//! Which times a predicate over time alone is true for, as an exact set of ranges.
//!
//! Where the time-range rule takes the hull of what may hold, this gives exactly what holds, or nothing at all: for
//! statements that must not touch a row too many. A set is a list of disjoint ranges, ascending, both ends included.

use crate::expr::{BinaryOp, Expr, Scalar};

/// A set of times.
pub(crate) type Times = Vec<(i64, i64)>;

/// The times for which `predicate` is true; `None` where it has a part that this does not understand. `time` is the
/// column that holds the time, which is never null.
pub(crate) fn ranges(predicate: &Expr, time: usize) -> Option<Times> {
    match predicate {
        Expr::Literal(Scalar::Bool(true)) => Some(vec![(i64::MIN, i64::MAX)]),
        Expr::Literal(Scalar::Bool(false) | Scalar::Null) => Some(Vec::new()),
        Expr::Binary { op: BinaryOp::And, left, right } => Some(intersect(&ranges(left, time)?, &ranges(right, time)?)),
        Expr::Binary { op: BinaryOp::Or, left, right } => Some(unite(ranges(left, time)?, ranges(right, time)?)),
        Expr::Not(inner) => Some(without(&ranges(inner, time)?)),
        Expr::IsNull(inner) if **inner == Expr::Column(time) => Some(Vec::new()),
        Expr::IsNotNull(inner) if **inner == Expr::Column(time) => Some(vec![(i64::MIN, i64::MAX)]),
        Expr::InList { expr, list, negated } if **expr == Expr::Column(time) => {
            let mut points = Vec::with_capacity(list.len());
            for value in list {
                let value = constant(value)?;
                points.push((value, value));
            }
            let points = unite(points, Vec::new());
            Some(if *negated { without(&points) } else { points })
        }
        Expr::Binary { op, left, right } if **left == Expr::Column(time) => compared(*op, constant(right)?),
        _ => None,
    }
}

fn constant(expr: &Expr) -> Option<i64> {
    if let Expr::Literal(Scalar::Time(value, _)) = expr { Some(*value) } else { None }
}

fn compared(op: BinaryOp, value: i64) -> Option<Times> {
    let below = value.checked_sub(1).map(|end| (i64::MIN, end));
    let above = value.checked_add(1).map(|start| (start, i64::MAX));
    Some(match op {
        BinaryOp::Eq => vec![(value, value)],
        BinaryOp::NotEq => below.into_iter().chain(above).collect(),
        BinaryOp::Lt => below.into_iter().collect(),
        BinaryOp::LtEq => vec![(i64::MIN, value)],
        BinaryOp::Gt => above.into_iter().collect(),
        BinaryOp::GtEq => vec![(value, i64::MAX)],
        _ => return None,
    })
}

/// Times in both sets.
pub(crate) fn intersect(a: &[(i64, i64)], b: &[(i64, i64)]) -> Times {
    let mut both = Vec::new();
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(&&one), Some(&&other)) = (a.peek(), b.peek()) {
        let (from, to) = (one.0.max(other.0), one.1.min(other.1));
        if from <= to {
            both.push((from, to));
        }
        // Whichever ends first can meet nothing more.
        if one.1 <= other.1 {
            a.next();
        } else {
            b.next();
        }
    }
    both
}

/// Times in either set; the ranges may come in any order.
fn unite(mut a: Times, b: Times) -> Times {
    a.extend(b);
    a.sort_unstable();
    let mut all: Times = Vec::with_capacity(a.len());
    for (from, to) in a {
        match all.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => all.push((from, to)),
        }
    }
    all
}

/// All other times.
fn without(set: &[(i64, i64)]) -> Times {
    let mut rest = Vec::with_capacity(set.len() + 1);
    let mut from = Some(i64::MIN);
    for (start, end) in set {
        if let (Some(from), Some(before)) = (from, start.checked_sub(1))
            && from <= before
        {
            rest.push((from, before));
        }
        from = end.checked_add(1);
    }
    rest.extend(from.map(|from| (from, i64::MAX)));
    rest
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    fn literal(value: i64) -> Expr {
        Expr::Literal(Scalar::Time(value, TimeUnit::Nanosecond))
    }

    fn random_predicate(random: &mut fastrand::Rng, depth: u32) -> Expr {
        const OPS: [BinaryOp; 6] =
            [BinaryOp::Eq, BinaryOp::NotEq, BinaryOp::Lt, BinaryOp::LtEq, BinaryOp::Gt, BinaryOp::GtEq];
        match random.u32(0..if depth == 0 { 2 } else { 5 }) {
            0 => Expr::binary(Expr::Column(0), OPS[random.usize(..6)], literal(random.i64(-6..6))),
            1 => Expr::InList {
                expr: Box::new(Expr::Column(0)),
                list: (0..random.usize(1..4)).map(|_| literal(random.i64(-6..6))).collect(),
                negated: random.bool(),
            },
            2 => Expr::Not(Box::new(random_predicate(random, depth - 1))),
            op => {
                let op = if op == 3 { BinaryOp::And } else { BinaryOp::Or };
                Expr::binary(random_predicate(random, depth - 1), op, random_predicate(random, depth - 1))
            }
        }
    }

    fn holds(predicate: &Expr, time: i64) -> bool {
        let value = |expr: &Expr| constant(expr).unwrap_or_default();
        match predicate {
            Expr::Binary { op: BinaryOp::And, left, right } => holds(left, time) && holds(right, time),
            Expr::Binary { op: BinaryOp::Or, left, right } => holds(left, time) || holds(right, time),
            Expr::Binary { op, right, .. } => match op {
                BinaryOp::Eq => time == value(right),
                BinaryOp::NotEq => time != value(right),
                BinaryOp::Lt => time < value(right),
                BinaryOp::LtEq => time <= value(right),
                BinaryOp::Gt => time > value(right),
                _ => time >= value(right),
            },
            Expr::Not(inner) => !holds(inner, time),
            Expr::InList { list, negated, .. } => list.iter().any(|one| value(one) == time) != *negated,
            _ => false,
        }
    }

    #[test]
    fn a_set_holds_exactly_the_times_of_its_predicate() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let predicate = random_predicate(&mut random, 4);
            let set = ranges(&predicate, 0).unwrap_or_else(|| panic!("seed {seed}: {predicate:?}"));
            assert!(set.iter().all(|(from, to)| from <= to), "seed {seed}: {set:?}");
            assert!(set.windows(2).all(|pair| pair[0].1 < pair[1].0), "seed {seed}: {set:?}");
            for time in (-8..8).chain([i64::MIN, i64::MAX]) {
                let found = set.iter().any(|(from, to)| (*from..=*to).contains(&time));
                assert_eq!(found, holds(&predicate, time), "seed {seed}: {time} in {set:?} of {predicate:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_time_and_what_is_not_understood() {
        let is = |op, value| ranges(&Expr::binary(Expr::Column(0), op, literal(value)), 0);
        assert_eq!(is(BinaryOp::Lt, i64::MIN), Some(Vec::new()));
        assert_eq!(is(BinaryOp::NotEq, i64::MAX), Some(vec![(i64::MIN, i64::MAX - 1)]));
        assert_eq!(ranges(&Expr::binary(Expr::Column(1), BinaryOp::Eq, literal(1)), 0), None);
        assert_eq!(ranges(&Expr::binary(Expr::Column(0), BinaryOp::Plus, literal(1)), 0), None);
    }
}
