//! Which series a query wants: the tag filter decided on the index, before any row is read.
//!
//! AND and OR combine sets of series. A term over one tag is decided once for each distinct value, and for "tag
//! absent"; comparing a tag with constants (`=`, IN) asks the index for just those values. A term over several tags is
//! decided for each series that is still possible.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, PrimitiveArray, StringArray};
use roaring::RoaringBitmap;
use tidewire_storage::schema::ColumnId;

use super::reader::{NO_TAG, TagIndex};
use crate::error::execution::{ExecError, Result};
use crate::exec::eval::{Input, Room, evaluate_condition};
use crate::expr::{BinaryOp, Expr, Scalar};

/// Series decided at a time by a term over several tags.
const SERIES_CHUNK: usize = 8_192;

/// The series for which `filter`, over the tags `columns`, is true.
pub(crate) fn wanted_series<I: TagIndex>(
    index: &I,
    filter: &Expr,
    columns: &[ColumnId],
    room: &Room,
) -> Result<RoaringBitmap> {
    Decider { index, columns, room }.decide(filter, None)
}

struct Decider<'a, I> {
    index: &'a I,
    columns: &'a [ColumnId],
    room: &'a Room,
}

impl<I: TagIndex> Decider<'_, I> {
    /// The series for which `expr` is true; where `among` is given, at least those of them.
    fn decide(&self, expr: &Expr, among: Option<&RoaringBitmap>) -> Result<RoaringBitmap> {
        match expr {
            Expr::Binary { op: BinaryOp::And, left, right } => {
                let left = self.decide(left, among)?;
                if left.is_empty() {
                    return Ok(left);
                }
                let right = self.decide(right, Some(&left))?;
                Ok(left & right)
            }
            Expr::Binary { op: BinaryOp::Or, left, right } => {
                Ok(self.decide(left, among)? | self.decide(right, among)?)
            }
            _ => self.term(expr, among),
        }
    }

    fn term(&self, expr: &Expr, among: Option<&RoaringBitmap>) -> Result<RoaringBitmap> {
        if let Some((column, values)) = looked_up(expr) {
            let column = self.column(column)?;
            let mut series = RoaringBitmap::new();
            for value in values {
                if let Some(code) = self.index.code(column, value) {
                    self.index.add_postings(column, code, &mut series);
                }
            }
            return Ok(series);
        }
        let mut read = Vec::new();
        expr.for_each_column(&mut |at| {
            if !read.contains(&at) {
                read.push(at);
            }
        });
        match read.as_slice() {
            [] => {
                let holds = self.holds(expr, &[], 1)?.true_count() == 1;
                Ok(if holds { self.all() } else { RoaringBitmap::new() })
            }
            [column] => self.term_of_one(expr, *column, among),
            _ => self.term_of_many(expr, &read, among),
        }
    }

    /// Of each row whether `expr` is true.
    fn holds(&self, expr: &Expr, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        let holds = evaluate_condition(expr, Input { columns, rows, names: &(), room: self.room });
        self.room.clear()?;
        holds
    }

    /// Decides each distinct value of the one tag that `expr` reads.
    fn term_of_one(&self, expr: &Expr, at: usize, among: Option<&RoaringBitmap>) -> Result<RoaringBitmap> {
        let column = self.column(at)?;
        let count = self.index.value_count(column);
        if among.is_some_and(|among| among.len() < u64::from(count)) {
            return self.term_of_many(expr, &[at], among);
        }
        let mut decided = Vec::with_capacity(count as usize + 1);
        // The tag's values, then none.
        let mut rows = (0..count).map(Some).chain([None]);
        loop {
            let chunk: Vec<Option<u32>> = rows.by_ref().take(SERIES_CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            let values = chunk.iter().map(|code| code.map(|code| self.index.value(column, code)));
            let values: ArrayRef = Arc::new(values.collect::<StringArray>());
            let none: ArrayRef = Arc::new(StringArray::new_null(0));
            let mut inputs = vec![none; at];
            inputs.push(values);
            decided.extend(self.holds(expr, &inputs, chunk.len())?.iter().map(|holds| holds == Some(true)));
        }
        let is_true = |row: usize| decided[row];
        let mut series = RoaringBitmap::new();
        if is_true(count as usize) {
            // The series without the tag hold as well: all, less those whose value does not.
            series = self.all();
            let mut failing = RoaringBitmap::new();
            for code in (0..count).filter(|&code| !is_true(code as usize)) {
                self.index.add_postings(column, code, &mut failing);
            }
            series -= failing;
        } else {
            for code in (0..count).filter(|&code| is_true(code as usize)) {
                self.index.add_postings(column, code, &mut series);
            }
        }
        Ok(series)
    }

    /// Decides each series that is still possible.
    fn term_of_many(&self, expr: &Expr, read: &[usize], among: Option<&RoaringBitmap>) -> Result<RoaringBitmap> {
        let all;
        let among = match among {
            Some(among) => among,
            None => {
                all = self.all();
                &all
            }
        };
        let width = read.iter().max().map_or(0, |at| at + 1);
        let mut found = RoaringBitmap::new();
        let mut ids = among.iter();
        loop {
            let chunk: Vec<u32> = ids.by_ref().take(SERIES_CHUNK).collect();
            if chunk.is_empty() {
                return Ok(found);
            }
            let none: ArrayRef = Arc::new(StringArray::new_null(0));
            let mut inputs = vec![none; width];
            for &at in read {
                inputs[at] = self.tags_of(self.column(at)?, &chunk)?;
            }
            let holds = self.holds(expr, &inputs, chunk.len())?;
            found.extend(chunk.iter().zip(holds.iter()).filter(|(_, holds)| *holds == Some(true)).map(|(id, _)| *id));
        }
    }

    /// The tag's value of each series, as a dictionary of the values that occur.
    fn tags_of(&self, column: ColumnId, series: &[u32]) -> Result<ArrayRef> {
        let codes = self.index.codes(column);
        let mut positions = std::collections::HashMap::new();
        let mut values = Vec::new();
        let keys: PrimitiveArray<UInt32Type> = series
            .iter()
            .map(|&id| {
                let code = codes.get(id as usize).copied().filter(|&code| code != NO_TAG)?;
                Some(*positions.entry(code).or_insert_with(|| {
                    values.push(self.index.value(column, code));
                    values.len() as u32 - 1
                }))
            })
            .collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(values)))?))
    }

    fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.index.series_count());
        all
    }

    fn column(&self, at: usize) -> Result<ColumnId> {
        self.columns.get(at).copied().ok_or_else(|| ExecError::Internal(format!("tag {at} of the tag filter")))
    }
}

/// The tag and the constants of `tag = 'a'` and `tag IN ('a', 'b')`, long or not.
fn looked_up(expr: &Expr) -> Option<(usize, Vec<&str>)> {
    fn text(expr: &Expr) -> Option<&str> {
        if let Expr::Literal(Scalar::Str(text)) = expr { Some(text) } else { None }
    }
    match expr {
        Expr::Binary { op: BinaryOp::Eq, left, right } => match (&**left, &**right) {
            (Expr::Column(at), other) | (other, Expr::Column(at)) => Some((*at, vec![text(other)?])),
            _ => None,
        },
        Expr::InList { expr, list, negated: false } => {
            let Expr::Column(at) = &**expr else { return None };
            Some((*at, list.iter().map(text).collect::<Option<_>>()?))
        }
        Expr::InSet { expr, set, negated: false } => {
            let Expr::Column(at) = &**expr else { return None };
            Some((*at, set.texts()?.collect()))
        }
        _ => None,
    }
}
