//! `SELECT … INTO`: the rows of a query, written as lines.
//!
//! Rows are written as they come, a megabyte or so at a time, by the way that all lines take: their table and columns
//! are made where they lack, and each part is durable before the next is written. Tags of GROUP BY stay tags; other
//! tags become fields.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use tidewire_protocol::encode::influx::Value;
use tidewire_protocol::line::Dialect;
use tidewire_protocol::row::BadRows;
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::BoundSelect;

use crate::api::cells::Cells;
use crate::api::fault::Fault;
use crate::core::state::CoreState;
use crate::ingest::session::Target;
use crate::ingest::sink::{RowRules, SharedNames, TimeField};
use crate::ingest::write::{Precision, WriteRequest, write_text};
use crate::metrics::registry::Counter;
use crate::query::run::RowsOut;
use crate::ring::yield_if_needed;

/// Bytes of lines that are written at one time.
const PART_BYTES: usize = 1 << 20;

/// Rows that become lines before others get the core.
const ROWS_STEP: usize = 512;

/// Where rows go.
#[derive(Debug)]
pub(super) struct Measurement<'a> {
    pub(super) database: &'a str,
    pub(super) policy: Option<&'a str>,
    pub(super) name: &'a str,
}

/// Who writes rows.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) core: &'a CoreState,
    /// Where they are counted.
    pub(super) written: &'a Counter,
    /// The present.
    pub(super) now_ns: i64,
}

/// Takes rows and writes them.
pub(super) struct LinesOut<'a> {
    writing: Writing<'a>,
    into: Measurement<'a>,
    bound: &'a BoundSelect,
    lines: String,
    /// Rows that are written, or about to be.
    pub(super) rows: u64,
    /// Why rows could not be written, which ended the query.
    pub(super) unwritten: Option<Fault>,
}

impl<'a> LinesOut<'a> {
    /// Writes rows of `bound` to `into`.
    pub(super) fn new(writing: Writing<'a>, into: Measurement<'a>, bound: &'a BoundSelect) -> Self {
        Self { writing, into, bound, lines: String::new(), rows: 0, unwritten: None }
    }

    /// Writes the lines that wait.
    pub(super) async fn flush(&mut self) -> Result<(), Fault> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let target = Target {
            database: self.into.database,
            policy: self.into.policy,
            dialect: Dialect::Influx,
            rules: RowRules {
                bad_rows: BadRows::KeepOthers,
                time_field: TimeField::LeftOut,
                shared_names: SharedNames::Taken,
            },
            now_ns: self.writing.now_ns,
        };
        let request = WriteRequest { target, precision: Precision::Nanosecond };
        let written = write_text(self.writing.core, request, self.lines.as_bytes()).await?;
        self.lines.clear();
        self.writing.written.add(written.rows);
        if written.bad_rows.is_empty() { Ok(()) } else { Err(Fault::Partial(Box::new(written))) }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let columns: Vec<Cells<'_>> = batch.columns().iter().map(Cells::of).collect();
        for row in 0..batch.num_rows() {
            self.rows += u64::from(self.line(&columns, row));
            if row % ROWS_STEP == ROWS_STEP - 1 {
                yield_if_needed().await;
            }
            if self.lines.len() > PART_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// A row as a line; false where it has no field.
    fn line(&mut self, columns: &[Cells<'_>], row: usize) -> bool {
        let (begin, tags) = (self.lines.len(), &self.bound.tags);
        escape(&mut self.lines, self.into.name, &[',', ' ']);
        for (name, column) in tags.iter().zip(columns) {
            if let Value::Text(value) = column.value(row, None)
                && !value.is_empty()
            {
                pair(&mut self.lines, ',', name, value);
            }
        }
        let is_tag = |at: usize| self.bound.written_as_tags.contains(&at);
        let selected = || self.bound.headings.iter().enumerate().skip(1).zip(&columns[tags.len() + 1..]);
        for ((at, name), column) in selected() {
            if let (true, Value::Text(value)) = (is_tag(at - 1), column.value(row, None))
                && !value.is_empty()
            {
                pair(&mut self.lines, ',', name, value);
            }
        }
        let mut separator = ' ';
        for ((at, name), column) in selected() {
            let value = column.value(row, None);
            if is_tag(at - 1) || matches!(value, Value::Null) {
                continue;
            }
            let is_number = matches!(value, Value::Float(value) if value.is_finite());
            if matches!(value, Value::Float(_)) && !is_number {
                continue;
            }
            self.lines.push(separator);
            separator = ',';
            escape(&mut self.lines, name, &[',', ' ', '=']);
            self.lines.push('=');
            field(&mut self.lines, value);
        }
        if separator == ' ' {
            self.lines.truncate(begin);
            return false;
        }
        if let Some(Value::Time(time)) = columns.get(tags.len()).map(|column| column.value(row, None)) {
            let _ = write!(self.lines, " {time}");
        }
        self.lines.push('\n');
        true
    }
}

fn pair(lines: &mut String, separator: char, name: &str, value: &str) {
    lines.push(separator);
    escape(lines, name, &[',', ' ', '=']);
    lines.push('=');
    escape(lines, value, &[',', ' ', '=']);
}

fn escape(lines: &mut String, text: &str, special: &[char]) {
    for c in text.chars() {
        if special.contains(&c) {
            lines.push('\\');
        }
        lines.push(c);
    }
}

fn field(lines: &mut String, value: Value<'_>) {
    let _ = match value {
        Value::Bool(value) => write!(lines, "{value}"),
        Value::Int(value) => write!(lines, "{value}i"),
        Value::UInt(value) => write!(lines, "{value}u"),
        Value::Float(value) => write!(lines, "{value}"),
        Value::Text(text) => {
            lines.push('"');
            escape(lines, text, &['"', '\\']);
            lines.push('"');
            Ok(())
        }
        _ => Ok(()),
    };
}

impl RowsOut for LinesOut<'_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        if let Err(fault) = self.write(batch).await {
            self.unwritten = Some(fault);
            return Err(ExecError::Cancelled);
        }
        Ok(())
    }
}
