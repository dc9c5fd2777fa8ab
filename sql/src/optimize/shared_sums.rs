//! Rule: sums of `x + 1`, `x + 2` and so on are made of one sum and one count of `x`.
//!
//! `sum(x + c)` is `sum(x) + c * count(x)`. Of integers that is exact: the sum is held in 128 bits until the last step
//! (`function::aggregate::WHOLE_SUM`), so that the answer is the same, and too large only where it is that itself.
//! Where there are several such sums over one `x`, rows are added up once, or not at all where statistics have their
//! sum.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::expr::{AggregateCall, BinaryOp, Expr, Scalar};
use crate::function::aggregate::{COUNT, SHIFTED_SUM, SUM, WHOLE_SUM, WHOLE_SUM_TYPE};
use crate::plan::{Plan, show};

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Aggregate { input, group, calls, schema } => shared(input, group, calls, schema),
        other => other,
    }
}

/// A call as the sum of an expression with a constant added to each of its values.
fn shifted(call: &AggregateCall, input: &Schema) -> Option<(Expr, i64)> {
    let is_sum = SUM.of_one_value() == Some(call.function) && !call.distinct && call.data_type == DataType::Int64;
    let [arg] = call.args.as_slice() else { return None };
    let literal = |expr: &Expr| if let Expr::Literal(Scalar::Int(by)) = expr { Some(*by) } else { None };
    let (of, by) = match arg {
        Expr::Binary { op: BinaryOp::Plus, left, right } => match (literal(left), literal(right)) {
            (None, Some(by)) => (&**left, by),
            (Some(by), None) => (&**right, by),
            _ => (arg, 0),
        },
        Expr::Binary { op: BinaryOp::Minus, left, right } => match literal(right).and_then(i64::checked_neg) {
            Some(by) => (&**left, by),
            None => (arg, 0),
        },
        other => (other, 0),
    };
    let is_integer = is_sum && of.data_type(input) == DataType::Int64 && !of.is_constant() && !of.is_volatile();
    is_integer.then(|| (of.clone(), by))
}

/// Calls over one expression that are made of its sum and its count.
struct Shared {
    of: Expr,
    calls: usize,
    is_shifted: bool,
}

fn shared(input: Box<Plan>, group: Vec<Expr>, calls: Vec<AggregateCall>, schema: SchemaRef) -> Plan {
    let sums: Vec<Option<(Expr, i64)>> = calls.iter().map(|call| shifted(call, input.schema())).collect();
    let mut found: Vec<Shared> = Vec::new();
    for (of, by) in sums.iter().flatten() {
        match found.iter_mut().find(|known| known.of == *of) {
            Some(known) => (known.calls, known.is_shifted) = (known.calls + 1, known.is_shifted || *by != 0),
            None => found.push(Shared { of: of.clone(), calls: 1, is_shifted: *by != 0 }),
        }
    }
    found.retain(|shared| shared.is_shifted && shared.calls > 1);
    if found.is_empty() {
        return Plan::Aggregate { input, group, calls, schema };
    }
    let keys = group.len();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().take(keys).cloned().collect();
    let mut made: Vec<AggregateCall> = Vec::new();
    let mut place = |call: AggregateCall, field: Arc<Field>| {
        let known = made.iter().position(|known| *known == call);
        keys + known.unwrap_or_else(|| {
            fields.push(field);
            made.push(call);
            made.len() - 1
        })
    };
    let mut exprs: Vec<Expr> = (0..keys).map(Expr::Column).collect();
    for (at, (call, sum)) in calls.into_iter().zip(sums).enumerate() {
        let Some((of, by)) = sum.filter(|(of, _)| found.iter().any(|shared| shared.of == *of)) else {
            exprs.push(Expr::Column(place(call, Arc::clone(&schema.fields()[keys + at]))));
            continue;
        };
        let (of_values, text) = (
            |function, data_type| AggregateCall { function, args: vec![of.clone()], distinct: false, data_type },
            show(&of, input.schema()).to_string(),
        );
        let field = |name: &str, data_type| Arc::new(Field::new(format!("{name}({text})"), data_type, true));
        let sum = place(of_values(&WHOLE_SUM, WHOLE_SUM_TYPE), field("sum", WHOLE_SUM_TYPE));
        let count = place(of_values(&COUNT, DataType::Int64), field("count", DataType::Int64));
        let args = vec![Expr::Column(sum), Expr::Column(count), Expr::Literal(Scalar::Int(by))];
        exprs.push(Expr::Call { function: &SHIFTED_SUM, args });
    }
    let aggregate = Plan::Aggregate { input, group, calls: made, schema: Arc::new(Schema::new(fields)) };
    Plan::Project { input: Box::new(aggregate), exprs, schema }
}
