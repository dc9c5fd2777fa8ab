//! What a table holds, as a few numbers that do not depend on the order of its rows: two copies are the same when these
//! are.
//!
//! A value counts with its series, its time and its column: the sum, modulo 2^64, of a hash of all four. So a value
//! that is lost, doubled, changed or moved to another row changes the sum of its column, and a lost row without values
//! changes the sum of the rows.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use tidewire_storage::scan::ScanChunk;
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId};
use tidewire_storage::series::SeriesIndex;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// Sum over the rows' series and times.
    pub sum: u64,
    /// Of each field that has values.
    pub columns: BTreeMap<ColumnId, ColumnTally>,
}

/// Of one field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColumnTally {
    /// Values.
    pub values: u64,
    /// Sum over values with their series and times.
    pub sum: u64,
}

impl Tally {
    /// Counts the rows of a chunk of a scan of `fields`.
    pub fn add(&mut self, chunk: &ScanChunk, fields: &[(ColumnId, FieldType)], series: &SeriesIndex) {
        let mut rows = Vec::with_capacity(chunk.rows());
        for run in &chunk.runs {
            let key = hash_key(series, run.series);
            let times = &chunk.time[run.start as usize..(run.start + run.len) as usize];
            rows.extend(times.iter().map(|time| mix(key ^ mix(time.cast_unsigned()))));
        }
        self.rows += rows.len() as u64;
        self.sum = rows.iter().fold(self.sum, |sum, row| sum.wrapping_add(*row));
        for ((id, kind), array) in fields.iter().zip(&chunk.columns) {
            if array.null_count() < array.len() {
                self.columns.entry(*id).or_default().add(*kind, array, &rows);
            }
        }
    }

    /// What differs, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.rows != other.rows {
            return Some(format!("{} rows became {}", self.rows, other.rows));
        }
        if self.sum != other.sum {
            return Some("the series or times of its rows are not the same".to_owned());
        }
        let ids = self.columns.keys().chain(other.columns.keys());
        ids.copied().find_map(|id| {
            let of = |tally: &Self| tally.columns.get(&id).copied().unwrap_or_default();
            let (one, two) = (of(self), of(other));
            (one != two).then(|| match one.values == two.values {
                true => format!("values of column {} are not the same", id.0),
                false => format!("{} values of column {} became {}", one.values, id.0, two.values),
            })
        })
    }
}

impl ColumnTally {
    fn add(&mut self, kind: FieldType, array: &ArrayRef, rows: &[u64]) {
        let mut count = |row: usize, bits: u64| {
            if array.is_valid(row) {
                self.values += 1;
                self.sum = self.sum.wrapping_add(mix(rows[row] ^ mix(bits.wrapping_add(1))));
            }
        };
        match kind {
            FieldType::Int => {
                let values = array.as_primitive::<Int64Type>();
                (0..rows.len()).for_each(|row| count(row, values.value(row).cast_unsigned()));
            }
            FieldType::UInt => {
                let values = array.as_primitive::<UInt64Type>();
                (0..rows.len()).for_each(|row| count(row, values.value(row)));
            }
            FieldType::Float => {
                let values = array.as_primitive::<Float64Type>();
                (0..rows.len()).for_each(|row| count(row, values.value(row).to_bits()));
            }
            FieldType::Bool => {
                let values = array.as_boolean();
                (0..rows.len()).for_each(|row| count(row, u64::from(values.value(row))));
            }
            FieldType::String => {
                let values = array.as_string::<i32>();
                (0..rows.len()).for_each(|row| count(row, xxh3_64(values.value(row).as_bytes())));
            }
        }
    }
}

fn hash_key(index: &SeriesIndex, series: SeriesId) -> u64 {
    let mut hash = Xxh3Default::new();
    for (column, value) in index.key(series) {
        hash.update(&column.0.to_le_bytes());
        hash.update(&(value.len() as u64).to_le_bytes());
        hash.update(value.as_bytes());
    }
    hash.digest()
}

/// A bijection in which every bit of the input reaches every bit of the output: the finalizer of MurmurHash3.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}
