//! CASE and COALESCE: each branch is evaluated only for the rows that no earlier branch took, so that an expression
//! guarded by a condition (`CASE WHEN x <> 0 THEN 1 / x END`) never sees the rows that the guard keeps away.

use std::sync::Arc;

use arrow_arith::boolean::{is_null, not};
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow_schema::DataType;
use arrow_select::filter::filter;
use arrow_select::interleave::interleave;

use super::binary::mask;
use super::room::text_bytes;
use super::value::{Evaluate, Input, Value};
use crate::error::execution::Result;
use crate::expr::Expr;
use crate::types::array::cast_to;

/// Some of the rows of an input.
struct Rows {
    /// Which, ascending; `None` for all.
    ids: Option<UInt32Array>,
    /// Columns of these rows.
    columns: Vec<ArrayRef>,
    count: usize,
}

impl Rows {
    fn view<'a>(&'a self, of: Input<'a>) -> Input<'a> {
        Input { columns: &self.columns, rows: self.count, ..of }
    }

    fn ids(&self) -> UInt32Array {
        self.ids.clone().unwrap_or_else(|| (0..self.count as u32).collect())
    }

    /// Those for which `mask` (without nulls) is true.
    fn select(&self, mask: &BooleanArray) -> Result<Self> {
        let ids = UInt32Array::from(filter(&self.ids(), mask)?.to_data());
        let columns = self
            .columns
            .iter()
            // Columns of another length are those that no expression reads.
            .map(|c| if c.len() == self.count { Ok(filter(c, mask)?) } else { Ok(Arc::clone(c)) })
            .collect::<Result<_>>()?;
        Ok(Self { count: ids.len(), ids: Some(ids), columns })
    }
}

/// Rows not yet answered, and the answers so far.
struct Sieve {
    left: Rows,
    /// Answers, each over the rows that it took.
    parts: Vec<ArrayRef>,
    /// For each row of the input, which part answers it (from 1; 0 is null) and where in the part.
    places: Vec<(usize, usize)>,
}

impl Sieve {
    fn new(input: Input<'_>) -> Self {
        Self {
            left: Rows { ids: None, columns: input.columns.to_vec(), count: input.rows },
            parts: Vec::new(),
            places: vec![(0, 0); input.rows],
        }
    }

    /// Whether later branches can be skipped: no row is left, and the type of the answer is known.
    fn is_done(&self) -> bool {
        self.left.count == 0 && !self.parts.is_empty()
    }

    /// Records the answer of the rows `taken`.
    fn answer(&mut self, taken: &UInt32Array, part: ArrayRef) {
        self.parts.push(part);
        for (at, &row) in taken.values().iter().enumerate() {
            self.places[row as usize] = (self.parts.len(), at);
        }
    }

    fn finish(self, input: Input<'_>) -> Result<Value> {
        let rows = self.places.len();
        let bytes = self.parts.iter().map(text_bytes).fold(0, usize::saturating_add);
        input.room.take(bytes, rows)?;
        let to = match self.parts.iter().map(Array::data_type).find(|t| **t != DataType::Null) {
            Some(DataType::Dictionary(_, value)) => value.as_ref().clone(),
            Some(other) => other.clone(),
            None => return Ok(Value::Array(new_null_array(&DataType::Null, rows))),
        };
        let mut parts = vec![new_null_array(&to, 1)];
        for part in &self.parts {
            parts.push(cast_to(part, &to)?);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(|p| p as &dyn Array).collect();
        Ok(Value::Array(interleave(&parts, &self.places)?))
    }
}

/// `CASE WHEN … THEN … ELSE … END`.
pub(super) fn case(
    evaluate: Evaluate,
    branches: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
    input: Input<'_>,
) -> Result<Value> {
    let column = |expr: &Expr, rows: Input<'_>| evaluate(expr, rows)?.into_array(rows.rows, rows.room);
    let mut sieve = Sieve::new(input);
    for (condition, value) in branches {
        if sieve.is_done() {
            break;
        }
        let condition = mask(&column(condition, sieve.left.view(input))?)?;
        let chosen = sieve.left.select(&condition)?;
        let answer = column(value, chosen.view(input))?;
        sieve.answer(&chosen.ids(), answer);
        sieve.left = sieve.left.select(&not(&condition)?)?;
    }
    if let (Some(value), false) = (otherwise, sieve.is_done()) {
        let answer = column(value, sieve.left.view(input))?;
        let ids = sieve.left.ids();
        sieve.answer(&ids, answer);
    }
    sieve.finish(input)
}

/// `coalesce(…)`: the first argument that is not null.
pub(super) fn coalesce(evaluate: Evaluate, args: &[Expr], input: Input<'_>) -> Result<Value> {
    let mut sieve = Sieve::new(input);
    for arg in args {
        if sieve.is_done() {
            break;
        }
        let answer = evaluate(arg, sieve.left.view(input))?.into_array(sieve.left.count, input.room)?;
        let missing = is_null(&answer)?;
        let ids = sieve.left.ids();
        sieve.answer(&ids, answer);
        sieve.left = sieve.left.select(&missing)?;
    }
    sieve.finish(input)
}
