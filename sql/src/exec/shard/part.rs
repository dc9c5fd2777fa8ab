//! Some of a chunk's rows as a chunk, and some chunks as one.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::DataType;
use arrow_select::concat::concat;
use tidewire_storage::scan::{Run, ScanChunk};

use crate::error::execution::Result;

/// The two halves of `rows` rows.
pub(super) fn halves(rows: usize) -> [Range<usize>; 2] {
    [0..rows / 2, rows / 2..rows]
}

/// The rows `rows` of `chunk`.
pub(super) fn part_of(chunk: &ScanChunk, rows: Range<usize>) -> ScanChunk {
    let runs = chunk.runs.iter().filter_map(|run| {
        let start = (run.start as usize).max(rows.start);
        let end = ((run.start + run.len) as usize).min(rows.end);
        (start < end).then(|| Run { series: run.series, start: (start - rows.start) as u32, len: (end - start) as u32 })
    });
    let columns = chunk.columns.iter().map(|column| match column.len() == chunk.rows() {
        true => column.slice(rows.start, rows.len()),
        false => column.clone(),
    });
    ScanChunk { runs: runs.collect(), time: chunk.time.slice(rows.start, rows.len()), columns: columns.collect() }
}

/// The rows of `chunks`, of one scan and at least one, one after the other. Series may come again in the runs.
pub(super) fn joined(chunks: &[ScanChunk]) -> Result<ScanChunk> {
    let (mut runs, mut time) = (Vec::new(), Vec::with_capacity(chunks.iter().map(ScanChunk::rows).sum()));
    for chunk in chunks {
        let before = time.len() as u32;
        runs.extend(chunk.runs.iter().map(|run| Run { start: before + run.start, ..*run }));
        time.extend_from_slice(&chunk.time);
    }
    let columns = (0..chunks[0].columns.len()).map(|at| joined_column(chunks, at)).collect::<Result<_>>()?;
    Ok(ScanChunk { runs, time: time.into(), columns })
}

/// A column of chunks. Of those that no row of theirs has, it is typeless nulls.
fn joined_column(chunks: &[ScanChunk], at: usize) -> Result<ArrayRef> {
    let columns = || chunks.iter().map(|chunk| (&chunk.columns[at], chunk.rows()));
    let typed = columns().map(|(column, _)| column.data_type()).find(|data_type| **data_type != DataType::Null);
    let data_type = typed.unwrap_or(&DataType::Null);
    let parts: Vec<ArrayRef> = columns()
        .map(|(column, rows)| match column.data_type() {
            DataType::Null => new_null_array(data_type, rows),
            _ => column.clone(),
        })
        .collect();
    Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use tidewire_storage::schema::SeriesId;

    use super::*;

    #[test]
    fn parts_of_a_chunk_have_its_rows_under_their_series() {
        let lengths = [3_u32, 1, 4];
        let mut start = 0;
        let runs = lengths.iter().zip(0..).map(|(len, id)| {
            start += len;
            Run { series: SeriesId(id), start: start - len, len: *len }
        });
        let values: Vec<i64> = (0..8).collect();
        let column: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let chunk = ScanChunk { runs: runs.collect(), time: values.into(), columns: vec![column] };
        let of = |chunk: &ScanChunk| -> Vec<(u32, i64, i64)> {
            let values = chunk.columns[0].as_primitive::<Int64Type>();
            let rows = chunk
                .runs
                .iter()
                .flat_map(|run| (run.start..run.start + run.len).map(|row| (run.series.0, row as usize)));
            rows.map(|(series, row)| (series, chunk.time[row], values.value(row))).collect()
        };
        let all = of(&chunk);
        for middle in 0..=8 {
            let mut parts = of(&part_of(&chunk, 0..middle));
            parts.extend(of(&part_of(&chunk, middle..8)));
            assert_eq!(parts, all, "{middle}");
        }
        assert_eq!(halves(7), [0..3, 3..7]);
        let parts = [part_of(&chunk, 0..2), part_of(&chunk, 2..7), part_of(&chunk, 7..8)];
        assert_eq!(of(&joined(&parts).unwrap()), all);
        // A chunk whose rows lack a field has it without a type.
        let lacking = ScanChunk { columns: vec![new_null_array(&DataType::Null, 8)], ..chunk.clone() };
        let both = joined(&[lacking.clone(), chunk]).unwrap();
        assert_eq!((both.columns[0].data_type(), both.columns[0].null_count()), (&DataType::Int64, 8));
        assert_eq!(both.columns[0].as_primitive::<Int64Type>().values()[8..], [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(joined(&[lacking.clone(), lacking]).unwrap().columns[0].data_type(), &DataType::Null);
    }
}
