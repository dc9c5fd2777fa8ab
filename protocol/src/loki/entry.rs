//! Entries as rows.

use super::labels::Labels;
use crate::row::{Apart, Next, Position, RowDraft, RowError, RowTaker};

/// The field with the line, and the tag of a label of this name.
const LINE: &str = "msg";
const LINE_LABEL: &str = "label.msg";

/// The name of the timestamp, and the tag of a label of this name.
const TIME: &str = "time";
const TIME_LABEL: &str = "label.time";

/// Before the names of structured metadata.
const METADATA: &str = "metadata.";

/// Structured metadata of an entry.
pub(super) const METADATA_MAX: usize = 1024;

/// How far a push has been read.
#[derive(Debug)]
pub struct LokiPush {
    table: String,
    draft: RowDraft,
    /// Entries met.
    entries: u64,
    name: String,
    apart: Apart,
}

impl LokiPush {
    /// Of a push whose entries are rows of `table`.
    pub fn new(table: String) -> Self {
        let (draft, name, apart) = Default::default();
        Self { table, draft, entries: 0, name, apart }
    }

    /// An entry of a stream with these labels: its time and its line, and its metadata.
    pub(super) async fn entry(
        &mut self,
        labels: &Labels,
        entry: Result<(i64, &str), RowError>,
        metadata: &[(&str, &str)],
        rows: &mut impl RowTaker,
    ) -> Next {
        self.entries += 1;
        let position = Position::Item(self.entries);
        let (time, line) = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let next = rows.fault(position, error);
                return if next == Next::Stop { next } else { rows.turn().await };
            }
        };
        self.draft.begin(&self.table);
        for (name, value) in labels.iter() {
            let name = match name {
                LINE => LINE_LABEL,
                TIME => TIME_LABEL,
                name => name,
            };
            self.draft.tag(name, value);
        }
        self.draft.string(LINE, line);
        for (name, value) in metadata {
            self.name.clear();
            self.name.push_str(METADATA);
            self.name.push_str(name);
            self.draft.string(&self.name, value);
        }
        self.draft.time = self.apart.time(time, self.draft.series(), Some(line));
        let next = match self.draft.check() {
            Ok(()) => rows.take(position, &mut self.draft).err().unwrap_or(Next::Continue),
            Err(error) => rows.fault(position, error),
        };
        if next == Next::Stop { next } else { rows.turn().await }
    }
}
