//! Aggregates and selectors: what a call of one becomes in the engine.

use arrow_schema::DataType;

use super::error::BindError;
use super::relation::{Relation, TIME};
use super::types::{is_number, type_name};
use crate::expr::constant::null;
use crate::expr::{AggregateCall, AggregateFunction, BinaryOp, Expr as Native, Scalar, Typed};
use crate::function::aggregate as agg;
use crate::function::arithmetic::SUBTRACT;
use crate::function::influxql::Fold;

/// What a call becomes: aggregates, and the value that is made of them.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) calls: Vec<AggregateCall>,
    /// Over the answers of `calls`, in their order.
    pub(super) value: Native,
    pub(super) data_type: DataType,
    /// A count, which is 0 where there is nothing.
    pub(super) is_count: bool,
    /// Whether there is something, over the same.
    pub(super) present: Native,
}

fn call(function: &'static AggregateFunction, args: Vec<Native>, data_type: DataType) -> AggregateCall {
    AggregateCall { function, args, distinct: false, data_type }
}

/// `fold` of an argument; the time is column 0. `percent` is that of a percentile.
pub(super) fn leaf(name: &str, fold: Fold, arg: Typed, percent: f64, distinct: bool) -> Result<Leaf, BindError> {
    let Typed { expr: arg, data_type, .. } = arg;
    let time = Native::Column(0);
    if data_type == DataType::Null {
        let data_type = if fold == Fold::Count { DataType::Int64 } else { DataType::Float64 };
        let value = null(data_type.clone());
        let present = Native::Literal(Scalar::Bool(false));
        return Ok(Leaf { calls: Vec::new(), value, data_type, is_count: false, present });
    }
    let taken = match fold {
        Fold::Count | Fold::First | Fold::Last | Fold::Mode => true,
        Fold::Min | Fold::Max => is_number(&data_type) || data_type == DataType::Boolean,
        _ => is_number(&data_type),
    };
    if !taken {
        let kind = type_name(&data_type);
        return Err(BindError::select(format!("unsupported {name} iterator type: *query.{kind}InterruptIterator")));
    }
    let one = |function, args, data_type: DataType| Leaf {
        calls: vec![call(function, args, data_type.clone())],
        value: Native::Column(0),
        data_type,
        is_count: false,
        present: Native::IsNotNull(Box::new(Native::Column(0))),
    };
    let is_counted = |at: usize| Native::binary(Native::Column(at), BinaryOp::Gt, Native::Literal(Scalar::Int(0)));
    let same = data_type.clone();
    Ok(match fold {
        Fold::Count => {
            let mut leaf = one(&agg::COUNT, vec![arg], DataType::Int64);
            leaf.calls[0].distinct = distinct;
            Leaf { is_count: true, present: is_counted(0), ..leaf }
        }
        Fold::Stddev => {
            // Of one value there is none, but a row.
            let mut leaf = one(&agg::STDDEV, vec![arg.clone()], DataType::Float64);
            leaf.calls.push(call(&agg::COUNT, vec![arg], DataType::Int64));
            Leaf { present: is_counted(1), ..leaf }
        }
        Fold::Sum | Fold::Min | Fold::Max | Fold::Mean | Fold::Median => {
            let gives = if matches!(fold, Fold::Sum | Fold::Min | Fold::Max) { same } else { DataType::Float64 };
            match fold.of_one_value() {
                Some(function) => one(function, vec![arg], gives),
                None => return Err(BindError::Unsupported("this function")),
            }
        }
        Fold::Spread => {
            let extreme = |fold: Fold| fold.of_one_value().map(|f| call(f, vec![arg.clone()], same.clone()));
            let value = Native::Call { function: &SUBTRACT, args: vec![Native::Column(0), Native::Column(1)] };
            let calls = [Fold::Max, Fold::Min].into_iter().filter_map(extreme).collect();
            let present = Native::IsNotNull(Box::new(Native::Column(0)));
            Leaf { calls, value, data_type, is_count: false, present }
        }
        Fold::First => one(&agg::FIRST, vec![time, arg], same),
        Fold::Last => one(&agg::LAST, vec![time, arg], same),
        Fold::Mode => one(&agg::MODE, vec![arg, time], same),
        Fold::Percentile => one(&agg::PERCENTILE, vec![arg, Native::Literal(Scalar::Float(percent))], same),
    })
}

/// Of the row that a selector chooses, the value of `answer`. `tie` orders rows of one value and time.
pub(super) fn of_row(fold: Fold, arg: &Typed, percent: f64, answer: Typed, tie: Native) -> AggregateCall {
    let (time, value) = (Native::Column(0), arg.expr.clone());
    let function = match fold {
        Fold::Min => &agg::PICK_MIN,
        Fold::First => &agg::PICK_FIRST,
        Fold::Last => &agg::PICK_LAST,
        Fold::Percentile => {
            let percent = Native::Literal(Scalar::Float(percent));
            return call(&agg::PICK_PERCENTILE, vec![value, percent, time, answer.expr, tie], answer.data_type);
        }
        _ => &agg::PICK_MAX,
    };
    call(function, vec![value, time, answer.expr, tie], answer.data_type)
}

/// The time of the row that a selector chooses.
pub(super) fn time_of_row(fold: Fold, arg: &Typed, percent: f64, tie: Native) -> AggregateCall {
    let of_end = |function| call(function, vec![Native::Column(0), arg.expr.clone()], TIME);
    match fold {
        Fold::First => of_end(&agg::FIRST_TIME),
        Fold::Last => of_end(&agg::LAST_TIME),
        fold => of_row(fold, arg, percent, Typed::new(Native::Column(0), TIME), tie),
    }
}

/// The key of a row's series as text, by which rows of one time are distinguished.
pub(super) fn tie_of(relation: &Relation) -> Native {
    let text = |text: &str| Native::Literal(Scalar::Str(text.into()));
    let named = |at: usize| {
        let name = text(&format!(",{}=", relation.columns[at - 1].name));
        let is_there = Native::IsNotNull(Box::new(Native::Column(at)));
        let pair = Native::binary(name, BinaryOp::Concat, Native::Column(at));
        Native::Case { branches: vec![(is_there, pair)], otherwise: Some(Box::new(text(""))) }
    };
    let pairs = relation.tags().into_iter().map(named);
    pairs.reduce(|key, pair| Native::binary(key, BinaryOp::Concat, pair)).unwrap_or_else(|| text(""))
}
