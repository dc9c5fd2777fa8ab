//! What the formats that are text have in common: how much is read at a time, and rows as they are collected.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use tidewire_sql::plan::ExternalScan;
use tidewire_storage::schema::ExternalColumn;

use crate::values::Values;

/// Cells of a batch at most: some milliseconds of work, a few megabytes.
const CELLS_MAX: usize = 64 << 10;

/// Rows of a batch at most.
const ROWS_MAX: usize = 4_096;

/// Text in the rows of a batch, after which it is closed.
const BATCH_BYTES: usize = 512 << 10;

/// What a reading of text holds beside a long row: its buffers, and a batch while it grows.
pub(crate) const BASE_BYTES: usize = 4 << 20;

/// What one row may take of a file.
pub(crate) const ROW_BYTES_MAX: usize = 16 << 20;

/// Bytes of memory that are wanted for each byte of a row: its text, what it is parsed into, and its values.
pub(crate) const BYTES_A_BYTE: usize = 16;

/// A row of a file as long as this needs no more than [`BASE_BYTES`].
pub(crate) const ROW_BYTES_FREE: usize = 64 << 10;

/// Rows that become a batch.
pub(crate) struct Rows {
    scan: Arc<ExternalScan>,
    values: Vec<Values>,
    rows: usize,
    bytes: usize,
}

impl Rows {
    /// None of those of `scan` yet.
    pub(crate) fn new(scan: &Arc<ExternalScan>) -> Self {
        Self { scan: Arc::clone(scan), values: values_of(scan), rows: 0, bytes: 0 }
    }

    /// The wanted columns: each with its place in the table.
    pub(crate) fn columns(&mut self) -> impl Iterator<Item = (usize, &ExternalColumn, &mut Values)> {
        let columns = &self.scan.table.columns;
        self.scan.columns.iter().zip(&mut self.values).filter_map(|(at, values)| Some((*at, columns.get(*at)?, values)))
    }

    /// A row of `bytes` of text is complete.
    pub(crate) fn end_row(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    /// Whether the rows are enough for a batch.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX
            || self.bytes >= BATCH_BYTES
            || self.rows.saturating_mul(self.scan.columns.len()) >= CELLS_MAX
    }

    /// The rows since the last time; `None` where there are none.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>, String> {
        if self.rows == 0 {
            return Ok(None);
        }
        let fresh = values_of(&self.scan);
        let columns = std::mem::replace(&mut self.values, fresh).into_iter().map(Values::finish).collect();
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        batch(&self.scan, columns, rows).map(Some)
    }
}

fn values_of(scan: &ExternalScan) -> Vec<Values> {
    let column = |at: &usize| scan.table.columns.get(*at);
    scan.columns.iter().filter_map(column).map(|column| Values::new(column.kind)).collect()
}

/// Columns as a batch of the scan.
pub(crate) fn batch(scan: &ExternalScan, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, String> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&scan.schema), columns, &options).map_err(|error| error.to_string())
}

/// What is said of a value that is none of its column's type.
pub(crate) fn misfit(column: &ExternalColumn, value: &str) -> String {
    /// Characters of a value that are shown.
    const SHOWN: usize = 64;
    let shown: String = value.chars().take(SHOWN).collect();
    format!("column {}: {shown:?} is no {}", column.name, column.kind)
}

/// What is said of a row without a value that must have one.
pub(crate) fn missing(column: &ExternalColumn) -> String {
    format!("column {} has no value and is NOT NULL", column.name)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of a test.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("tidewire-files-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
