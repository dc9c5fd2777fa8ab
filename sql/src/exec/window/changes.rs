//! Where rows begin to differ from the one before.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_ord::cmp::distinct;
use arrow_schema::DataType;

use crate::error::execution::Result;
use crate::types::float;

/// Remembers the last row.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Each of one row; none before the first batch.
    last: Option<Vec<ArrayRef>>,
}

impl Changes {
    /// The rows, of at least one, that differ from the row before in one of the columns; the very first is one.
    pub(super) fn among(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let columns: Vec<ArrayRef> = columns.iter().filter_map(comparable).collect();
        let mut differs = vec![false; rows];
        differs[0] = self.last.is_none();
        for (at, column) in columns.iter().enumerate() {
            if let Some(before) = self.last.as_ref().and_then(|last| last.get(at)) {
                differs[0] |= distinct(before, &column.slice(0, 1))?.value(0);
            }
            if rows > 1 {
                let changed = distinct(&column.slice(0, rows - 1), &column.slice(1, rows - 1))?;
                changed.values().set_indices().for_each(|row| differs[row + 1] = true);
            }
        }
        self.last = Some(columns.iter().map(|column| column.slice(rows - 1, 1)).collect());
        Ok(differs.iter().enumerate().filter(|(_, differs)| **differs).map(|(row, _)| row).collect())
    }
}

/// A column whose values differ where SQL says so; `None` of nothing but typeless nulls, which are all the same.
fn comparable(column: &ArrayRef) -> Option<ArrayRef> {
    match column.data_type() {
        DataType::Null => None,
        DataType::Float64 => {
            let floats: Float64Array = column.as_primitive::<Float64Type>().unary(float::canonical);
            Some(Arc::new(floats))
        }
        _ => Some(Arc::clone(column)),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, NullArray, StringArray};

    use super::*;

    #[test]
    fn equal_rows_are_one_run_across_batches() {
        let mut changes = Changes::default();
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.0), None, None, Some(f64::NAN)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "a", "b", "b"]));
        let nulls: ArrayRef = Arc::new(NullArray::new(5));
        assert_eq!(changes.among(&[floats.clone(), texts, nulls.clone()], 5).unwrap(), [0, 2, 3, 4]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["b", "c"]));
        let (floats, nulls) = (Arc::new(Float64Array::from(vec![-f64::NAN, f64::NAN])) as ArrayRef, nulls.slice(0, 2));
        assert_eq!(changes.among(&[floats, texts, nulls], 2).unwrap(), [1]);
        let mut none = Changes::default();
        assert_eq!(none.among(&[], 3).unwrap(), [0]);
        assert_eq!(none.among(&[], 3).unwrap(), [0_usize; 0]);
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert_eq!(Changes::default().among(&[ints], 1).unwrap(), [0]);
    }
}
