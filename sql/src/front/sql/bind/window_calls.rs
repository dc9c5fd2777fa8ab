//! Calls over windows that have been met while a SELECT is bound, and the operators that they become.
//!
//! Call `i` is column [`WINDOWS_AT`]` + i`. Windows of one partition and order are one operator over one sort; what
//! they read that is no column is computed before the sort.

use arrow_schema::DataType;

use super::relation::schema_of;
use crate::expr::Expr;
use crate::plan::window::WindowFunction;
use crate::plan::{Plan, SortKey, WindowCall};

/// Where calls over windows stand for columns while a statement is bound: behind all else.
pub(super) const WINDOWS_AT: usize = 1 << 48;

/// The partition and the order of a window.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    pub(super) partition: Vec<Expr>,
    pub(super) keys: Vec<SortKey>,
}

/// Calls over windows met so far.
#[derive(Debug, Default)]
pub(super) struct Windows {
    orders: Vec<Order>,
    /// Each with the place of its order.
    calls: Vec<(usize, WindowCall)>,
    headings: Vec<String>,
}

impl Windows {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The place of a call, which is new or was met before.
    pub(super) fn add(&mut self, order: Order, call: WindowCall, heading: impl FnOnce() -> String) -> usize {
        let at = self.orders.iter().position(|known| *known == order).unwrap_or_else(|| {
            self.orders.push(order);
            self.orders.len() - 1
        });
        let call = (at, call);
        self.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.headings.push(heading());
            self.calls.push(call);
            self.calls.len() - 1
        })
    }

    /// Makes `change` to every expression.
    pub(super) fn try_map<E>(&mut self, mut change: impl FnMut(&Expr) -> Result<Expr, E>) -> Result<(), E> {
        for order in &mut self.orders {
            for expr in order.partition.iter_mut().chain(order.keys.iter_mut().map(|key| &mut key.expr)) {
                *expr = change(expr)?;
            }
        }
        for (_, call) in &mut self.calls {
            let mut failed = None;
            let function = std::mem::replace(&mut call.function, WindowFunction::RowNumber);
            call.function = function.map_exprs(&mut |expr| match change(&expr) {
                Ok(changed) => changed,
                Err(error) => {
                    failed.get_or_insert(error);
                    expr
                }
            });
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    /// `input` with the answers of all calls behind its columns, and where the answer of each call is.
    pub(super) fn over(mut self, input: Plan) -> (Plan, Vec<usize>) {
        let input_schema = input.schema().clone();
        let width = input_schema.fields().len();
        let mut computed: Vec<Expr> = Vec::new();
        let placed = self.try_map(|expr| -> Result<Expr, std::convert::Infallible> {
            if matches!(expr, Expr::Column(_)) {
                return Ok(expr.clone());
            }
            let at = computed.iter().position(|known| known == expr).unwrap_or_else(|| {
                computed.push(expr.clone());
                computed.len() - 1
            });
            Ok(Expr::Column(width + at))
        });
        let Ok(()) = placed;
        let mut plan = input;
        if !computed.is_empty() {
            let types: Vec<DataType> = computed.iter().map(|expr| expr.data_type(&input_schema)).collect();
            let names: Vec<String> = (1..=computed.len()).map(|at| format!("of window {at}")).collect();
            let own = input_schema.fields().iter().map(|field| (field.name().as_str(), field.data_type()));
            let schema = schema_of(own.chain(names.iter().map(String::as_str).zip(&types)));
            let exprs = (0..width).map(Expr::Column).chain(computed).collect();
            plan = Plan::Project { input: Box::new(plan), exprs, schema };
        }
        let mut places = vec![0; self.calls.len()];
        for (number, Order { partition, keys }) in self.orders.into_iter().enumerate() {
            let of_partition =
                partition.iter().map(|expr| SortKey { expr: expr.clone(), descending: false, nulls_first: false });
            let sort: Vec<SortKey> = of_partition.chain(keys.iter().cloned()).collect();
            if !sort.is_empty() {
                plan = Plan::Sort { input: Box::new(plan), keys: sort, fetch: None };
            }
            let before = plan.schema().fields().len();
            let (mut calls, mut headings) = (Vec::new(), Vec::new());
            for (at, (of_order, call)) in self.calls.iter().enumerate() {
                if *of_order == number {
                    places[at] = before + calls.len();
                    calls.push(call.clone());
                    headings.push(self.headings[at].as_str());
                }
            }
            let before = plan.schema().fields().iter().map(|field| (field.name().as_str(), field.data_type()));
            let schema = schema_of(before.chain(headings.into_iter().zip(calls.iter().map(|call| &call.data_type))));
            plan = Plan::Window { input: Box::new(plan), partition, order: keys, calls, schema };
        }
        (plan, places)
    }
}

/// `expr` with the answers of calls over windows where they are.
pub(super) fn with_answers(expr: Expr, places: &[usize]) -> Expr {
    expr.map_columns(&mut |at| {
        let answer = at.checked_sub(WINDOWS_AT).and_then(|call| places.get(call));
        Expr::Column(answer.copied().unwrap_or(at))
    })
}
