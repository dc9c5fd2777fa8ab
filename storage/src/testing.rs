//! What tests of this crate share: seeds, folders, and tables of rows as a plain map.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::batch::{Strings, Values};
use crate::run::Run;
use crate::schema::{ColumnId, FieldType, SeriesId};
use crate::segment::{Gathered, SortedTable};

/// Seeds of random tests: `TIDEWIRE_SEED` alone, if set, else a fixed few.
pub(crate) fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1, 2, 3],
    }
}

/// A folder of its own, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tidewire-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One field of one row, comparable bit by bit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    UInt(u64),
    Float(u64),
    Bool(bool),
    Text(String),
}

/// Rows by (series, time), one cell for each column.
pub(crate) type Rows = BTreeMap<(u32, i64), Vec<Cell>>;

/// Rows laid out as a segment is written from.
pub(crate) struct TestTable {
    columns: Vec<(ColumnId, FieldType)>,
    cells: Vec<Vec<Cell>>,
    time: Vec<i64>,
    runs: Vec<Run>,
}

impl TestTable {
    pub(crate) fn new(columns: &[(ColumnId, FieldType)], rows: &Rows) -> Self {
        let mut table = Self { columns: columns.to_vec(), cells: Vec::new(), time: Vec::new(), runs: Vec::new() };
        for ((series, time), cells) in rows {
            match table.runs.last_mut() {
                Some(run) if run.series.0 == *series => run.len += 1,
                _ => table.runs.push(Run { series: SeriesId(*series), start: table.time.len() as u32, len: 1 }),
            }
            table.time.push(*time);
            table.cells.push(cells.clone());
        }
        table
    }
}

impl SortedTable for TestTable {
    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn time(&self) -> &[i64] {
        &self.time
    }

    fn columns(&self) -> &[(ColumnId, FieldType)] {
        &self.columns
    }

    fn gather(&self, column: usize, rows: Range<usize>, out: &mut Gathered) {
        let mut values = Values::new(self.columns[column].1);
        let mut bits = vec![0u64; rows.len().div_ceil(64)];
        for (i, cells) in self.cells[rows.clone()].iter().enumerate() {
            let cell = &cells[column];
            bits[i / 64] |= u64::from(*cell != Cell::Null) << (i % 64);
            match (&mut values, cell) {
                (Values::Int(v), Cell::Int(n)) => v.push(*n),
                (Values::UInt(v), Cell::UInt(n)) => v.push(*n),
                (Values::Float(v), Cell::Float(n)) => v.push(f64::from_bits(*n)),
                (Values::Bool(v), Cell::Bool(b)) => v.push(u8::from(*b)),
                (Values::String(Strings { ends, bytes }), Cell::Text(text)) => {
                    bytes.extend_from_slice(text.as_bytes());
                    ends.push(bytes.len() as u32);
                }
                (Values::Int(v), Cell::Null) => v.push(-77),
                (Values::UInt(v), Cell::Null) => v.push(77),
                (Values::Float(v), Cell::Null) => v.push(0.77),
                (Values::Bool(v), Cell::Null) => v.push(1),
                (Values::String(Strings { ends, bytes }), Cell::Null) => {
                    bytes.extend_from_slice(b"junk");
                    ends.push(bytes.len() as u32);
                }
                (values, cell) => panic!("{cell:?} in a column of {:?}", values.kind()),
            }
        }
        let all = (0..rows.len()).all(|i| bits[i / 64] >> (i % 64) & 1 == 1);
        *out = Gathered { values, validity: (!all).then_some(bits) };
    }
}
