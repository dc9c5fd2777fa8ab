//! Log records: one row a record.
//!
//! Tags are `service.name` and `scope.name`; fields are `body`, `severity_text`, `severity_number`, `trace_id`,
//! `span_id`, `event_name`, `resource.<key>` and `attributes.<key>`. A record with the time of the record before it in
//! its scope comes a nanosecond later: rows of one series and one time would be one row.

use super::fill::{Fill, SERVICE};
use super::node::{Key, Node, export_of};
use crate::json::JsonDocument;
use crate::row::{FieldKind, Next, Position, RawValue, RowError, RowTaker};

const RESOURCE_LOGS: Key = (1, "resourceLogs");
const RESOURCE: Key = (1, "resource");
const SCOPE_LOGS: Key = (2, "scopeLogs");
const SCOPE: Key = (1, "scope");
const NAME: Key = (1, "name");
const RECORDS: Key = (2, "logRecords");
const ATTRIBUTES_OF_RESOURCE: Key = (1, "attributes");
const TIME: Key = (1, "timeUnixNano");
const SEVERITY_NUMBER: Key = (2, "severityNumber");
const SEVERITY_TEXT: Key = (3, "severityText");
const BODY: Key = (5, "body");
const ATTRIBUTES: Key = (6, "attributes");
const TRACE_ID: Key = (9, "traceId");
const SPAN_ID: Key = (10, "spanId");
const OBSERVED_TIME: Key = (11, "observedTimeUnixNano");
const EVENT_NAME: Key = (12, "eventName");

/// How far an export has been read.
#[derive(Debug)]
pub struct LogReader {
    table: String,
    row: Fill,
    /// The time of records that have none.
    now_ns: i64,
    records: u64,
    /// The time of the record before: as it said, and as it was taken.
    before: Option<(i64, i64)>,
}

impl LogReader {
    /// Of an export whose records are rows of `table`.
    pub fn new(table: String, now_ns: i64) -> Self {
        Self { table, row: Fill::default(), now_ns, records: 0, before: None }
    }

    /// Reads fields of an export as protobuf. The error is one of the whole body.
    pub async fn read_message(&mut self, fields: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        self.export(fields, rows).await
    }

    /// Reads an export as JSON. The error is one of the whole body.
    pub async fn read_json(&mut self, body: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut document = JsonDocument::of(body);
        let tape = document.tape()?;
        self.export(export_of(&tape)?, rows).await
    }

    async fn export<'t, N: Node<'t>>(&mut self, export: N, rows: &mut impl RowTaker) -> Result<Next, RowError> {
        for logs in export.list(RESOURCE_LOGS) {
            let logs = logs?;
            self.row.begin(&self.table);
            if let Some(resource) = logs.node(RESOURCE)? {
                self.row.attributes(resource, ATTRIBUTES_OF_RESOURCE, |row, name, value| match name {
                    SERVICE => row.tag([SERVICE], value),
                    _ => row.string(["resource.", name], value),
                })?;
            }
            let mark = self.row.mark();
            for logs in logs.list(SCOPE_LOGS) {
                let logs = logs?;
                self.row.back_to(mark);
                if let Some(scope) = logs.node(SCOPE)? {
                    self.row.tag(["scope.name"], scope.text(NAME)?);
                }
                let mark = self.row.mark();
                self.before = None;
                for record in logs.list(RECORDS) {
                    self.row.back_to(mark);
                    self.records += 1;
                    let position = Position::Item(self.records);
                    let next = match self.record(record?) {
                        Ok(()) => rows.take(position, self.row.draft()).err().unwrap_or(Next::Continue),
                        Err(error) => rows.fault(position, error),
                    };
                    if next == Next::Stop || rows.turn().await == Next::Stop {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
        Ok(Next::Continue)
    }

    fn record<'t, N: Node<'t>>(&mut self, record: N) -> Result<(), RowError> {
        let row = &mut self.row;
        row.attributes(record, ATTRIBUTES, |row, name, value| row.string(["attributes.", name], value))?;
        if let Some(body) = record.node(BODY)? {
            row.value(body, |row, value| row.string(["body"], value))?;
        }
        for (name, key) in [("severity_text", SEVERITY_TEXT), ("event_name", EVENT_NAME)] {
            let text = record.text(key)?;
            if !text.is_empty() {
                row.string([name], text);
            }
        }
        if let Some(number) = record.integer(SEVERITY_NUMBER)?.filter(|number| *number != 0) {
            row.field(["severity_number"], FieldKind::Int, RawValue::from_int(number.cast_signed()));
        }
        for (name, key, bytes, part) in
            [("trace_id", TRACE_ID, 16, "the trace id"), ("span_id", SPAN_ID, 8, "the span id")]
        {
            let id = record.id(key)?;
            if !id.is_empty() {
                row.id(id, bytes, part, |row, id| row.string([name], id))?;
            }
        }
        let time = match record.integer(TIME)?.filter(|time| *time != 0) {
            Some(time) => Some(time),
            None => record.integer(OBSERVED_TIME)?.filter(|time| *time != 0),
        };
        let time = time.map_or(Ok(self.now_ns), |time| i64::try_from(time).map_err(|_| RowError::TimeOutOfRange))?;
        row.draft().check()?;
        let taken = match self.before {
            Some((said, taken)) if said == time => taken.saturating_add(1),
            _ => time,
        };
        self.before = Some((time, taken));
        row.draft().time = taken;
        Ok(())
    }
}
