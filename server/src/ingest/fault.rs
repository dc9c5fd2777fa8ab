//! What is wrong with the rows of a request: what went wrong, and with which row. How a client is answered is for the
//! door's part of `api/` to say.

use tidewire_protocol::line::{LineError, LineReason};
use tidewire_protocol::row::{Position, RowError};
use tidewire_storage::schema::ColumnKind;

use tidewire_base::catalog::CatalogError;

/// Bad rows of a request that are kept to tell of; the rest are counted. Rows that are no rows and rows that do not fit
/// are two kinds, and of each kind at most this many are kept.
pub const FAULTS_KEPT_MAX: usize = 100;

/// Bytes of their text, for lines may be as long as a body.
pub const FAULT_BYTES_KEPT_MAX: usize = 256 << 10;

/// Names of the kinds of faults, for metrics.
pub const FAULT_KINDS: [&str; 6] =
    ["unreadable", "type_conflict", "reserved_name", "catalog", "expired", "time_outside"];

/// Why a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// The line is no row.
    #[error("column {}: {:?}", .0.column, .0.reason)]
    Line(LineFault),
    /// There is no row, for a door that has its rows by name.
    #[error(transparent)]
    Unread(RowError),
    /// The column is there with another type.
    #[error("column {column:?} of table {table:?} is {found:?}, not {wanted:?}")]
    ColumnConflict {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// What the row brings.
        wanted: ColumnKind,
        /// What the table has, or what the same row brings under this name.
        found: ColumnKind,
    },
    /// A tag or field has the name that the timestamp has.
    #[error("a column of table {table:?} is called time")]
    ReservedTime {
        /// Table.
        table: String,
        /// What is called so.
        kind: ColumnKind,
    },
    /// The catalog refused the table or a column.
    #[error(transparent)]
    Catalog(CatalogError),
    /// Older than rows are kept.
    #[error("the row is older than rows are kept")]
    Expired,
    /// Its time is none that the database's unit has.
    #[error("the row's time lies outside {first} to {last}")]
    TimeOutside {
        /// The first time of the unit.
        first: i64,
        /// The last.
        last: i64,
    },
}

impl RowFault {
    /// What kind of fault it is, of [`FAULT_KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Line(_) | Self::Unread(_) => 0,
            Self::ColumnConflict { .. } => 1,
            Self::ReservedTime { .. } => 2,
            Self::Catalog(_) => 3,
            Self::Expired => 4,
            Self::TimeOutside { .. } => 5,
        }
    }
}

/// A row with what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {fault}")]
pub struct BadRow {
    /// Which row.
    pub position: Position,
    /// What is wrong.
    pub fault: RowFault,
}

/// What is kept of a line that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFault {
    /// Where the line begins in the whole body.
    pub offset: u64,
    /// The first [`FAULT_BYTES_KEPT_MAX`] bytes of it, without leading blanks.
    pub text: Vec<u8>,
    /// Byte of the line, from 1, where the fault shows.
    pub column: usize,
    /// What is wrong. What it quotes of the line is cut as the text is.
    pub reason: LineReason,
}

impl LineFault {
    /// What is kept of an error.
    pub fn of(error: &LineError<'_>) -> Self {
        let text = error.text[..error.text.len().min(FAULT_BYTES_KEPT_MAX)].to_vec();
        let mut reason = error.reason.clone();
        if let Some(quoted) = reason.quoted_mut() {
            quoted.truncate(quoted.floor_char_boundary(FAULT_BYTES_KEPT_MAX));
            quoted.shrink_to_fit();
        }
        Self { offset: error.offset, text, column: error.column, reason }
    }

    fn bytes(&mut self) -> usize {
        self.text.len() + self.reason.quoted_mut().map_or(0, |quoted| quoted.len())
    }
}

/// The bad rows of a request that keeps the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadRowLog {
    /// Rows that the door could not read.
    pub unparsed: u64,
    /// Rows that were read and do not fit.
    pub dropped: u64,
    /// The same by kind, see [`FAULT_KINDS`].
    pub by_kind: [u64; FAULT_KINDS.len()],
    /// The first of both, in the order of the request.
    pub kept: Vec<BadRow>,
    /// Bytes of lines among them, and of those before the last one.
    line_bytes: usize,
    line_bytes_but_last: usize,
}

impl BadRowLog {
    /// Whether all rows were good.
    pub fn is_empty(&self) -> bool {
        self.unparsed == 0 && self.dropped == 0
    }

    /// Notes a line that is no row.
    pub fn unparsed(&mut self, error: &LineError<'_>) {
        self.unparsed += 1;
        self.by_kind[0] += 1;
        // One more than the bytes allow: where words are cut between characters, a few bytes of the next may fit.
        if self.unparsed <= FAULTS_KEPT_MAX as u64 && self.line_bytes_but_last < FAULT_BYTES_KEPT_MAX {
            let mut fault = LineFault::of(error);
            self.line_bytes_but_last = self.line_bytes;
            self.line_bytes += fault.bytes();
            self.kept.push(BadRow { position: Position::Line(error.line), fault: RowFault::Line(fault) });
        }
    }

    /// Notes what is no row, of a door that has its rows by name.
    pub fn unread(&mut self, row: BadRow) {
        self.unparsed += 1;
        self.by_kind[row.fault.kind()] += 1;
        if self.unparsed <= FAULTS_KEPT_MAX as u64 {
            self.kept.push(row);
        }
    }

    /// Notes a row that does not fit.
    pub fn dropped(&mut self, row: BadRow) {
        self.dropped += 1;
        self.by_kind[row.fault.kind()] += 1;
        if self.dropped <= FAULTS_KEPT_MAX as u64 {
            self.kept.push(row);
        }
    }

    /// Lines among those kept.
    pub fn lines(&self) -> impl Iterator<Item = &LineFault> {
        self.kept.iter().filter_map(|row| match &row.fault {
            RowFault::Line(fault) => Some(fault),
            _ => None,
        })
    }

    /// The first row that was read and does not fit.
    pub fn first_dropped(&self) -> Option<&BadRow> {
        self.kept.iter().find(|row| !matches!(row.fault, RowFault::Line(_) | RowFault::Unread(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(log: &mut BadRowLog, line: u64, text: &[u8], reason: LineReason) {
        log.unparsed(&LineError { line, offset: 0, text, column: 1, reason });
    }

    #[test]
    fn so_many_of_each_kind_are_kept_and_the_rest_are_counted() {
        let mut log = BadRowLog::default();
        let rows = FAULTS_KEPT_MAX as u64 + 50;
        for line in 1..=rows {
            note(&mut log, 2 * line, b"x", LineReason::MissingFields);
            log.dropped(BadRow { position: Position::Line(2 * line + 1), fault: RowFault::Expired });
        }
        assert_eq!((log.unparsed, log.dropped), (rows, rows));
        assert_eq!(log.by_kind, [rows, 0, 0, 0, rows, 0]);
        assert_eq!((log.kept.len(), log.lines().count()), (2 * FAULTS_KEPT_MAX, FAULTS_KEPT_MAX));
        assert!(log.kept.is_sorted_by_key(|row| row.position));
        assert_eq!(log.first_dropped().map(|row| row.position), Some(Position::Line(3)));
    }

    #[test]
    fn long_lines_are_cut_and_few_of_them_are_kept() {
        let text = "é".repeat(FAULT_BYTES_KEPT_MAX);
        let mut log = BadRowLog::default();
        for line in 1..=10 {
            note(&mut log, line, text.as_bytes(), LineReason::InvalidValue(text.clone()));
        }
        assert_eq!((log.unparsed, log.kept.len()), (10, 2));
        for row in &mut log.kept {
            let RowFault::Line(fault) = &mut row.fault else { panic!("{row:?}") };
            assert_eq!((fault.text.len(), fault.bytes()), (FAULT_BYTES_KEPT_MAX, 2 * FAULT_BYTES_KEPT_MAX));
        }
    }
}
