//! Some of a chunk's rows as a chunk.

use std::ops::Range;

use tidewire_storage::scan::{Run, ScanChunk};

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
    }
}
