//! Rows of spans as traces. A span becomes its JSON as its row comes; that is held, as memory of the query.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use tidewire_sql::exec::{ExecError, Reservation};

use super::span::Columns;
use crate::api::cells::Cells;
use crate::query::run::RowsOut;
use crate::ring::yield_if_needed;

/// Spans between two looks at the time: each is some µs.
const SPANS_STEP: usize = 16;

/// Traces by their ids.
pub(super) struct Found {
    columns: Option<Columns>,
    traces: BTreeMap<String, Trace>,
    bytes: usize,
    held: Reservation,
    /// Spans found.
    pub(super) spans: u64,
}

/// A trace.
#[derive(Debug, Default)]
struct Trace {
    /// Its spans as JSON, separated by commas.
    spans: String,
    /// Whose they are, as JSON; the first is `p1`.
    processes: Vec<String>,
}

impl Found {
    /// Nothing yet; what is found is of the query that `held` is of.
    pub(super) fn new(held: Reservation) -> Self {
        Self { columns: None, traces: BTreeMap::new(), bytes: 0, held, spans: 0 }
    }

    /// Appends a trace as JSON; whether there is one of the id.
    pub(super) fn write(&self, id: &str, out: &mut Vec<u8>) -> bool {
        let Some(trace) = self.traces.get(id) else { return false };
        out.extend_from_slice(format!("{{\"traceID\":\"{id}\",\"spans\":[").as_bytes());
        out.extend_from_slice(trace.spans.as_bytes());
        out.extend_from_slice(b"],\"processes\":{");
        for (place, process) in trace.processes.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}\"p{}\":{process}", place + 1).as_bytes());
        }
        out.extend_from_slice(b"},\"warnings\":null}");
        true
    }
}

impl RowsOut for Found {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        let schema = batch.schema();
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns = self.columns.get_or_insert_with(|| Columns::of(names));
        let cells: Vec<Cells<'_>> = batch.columns().iter().map(Cells::of).collect();
        for row in 0..batch.num_rows() {
            if row % SPANS_STEP == SPANS_STEP - 1 {
                self.held.resize(self.bytes)?;
                yield_if_needed().await;
            }
            let Some(mut span) = columns.span(&cells, row) else { continue };
            let is_new = !self.traces.contains_key(&span.trace_id);
            let trace = self.traces.entry(span.trace_id).or_default();
            let process = span.process.to_string();
            let place = match trace.processes.iter().position(|known| *known == process) {
                Some(place) => place,
                None => {
                    self.bytes += process.len() + size_of::<String>();
                    trace.processes.push(process);
                    trace.processes.len() - 1
                }
            };
            span.json["processID"] = format!("p{}", place + 1).into();
            let json = span.json.to_string();
            if !trace.spans.is_empty() {
                trace.spans.push(',');
            }
            trace.spans.push_str(&json);
            // A text that grows has room for as much again.
            self.bytes += 2 * json.len() + if is_new { 128 + size_of::<Trace>() } else { 0 };
            self.spans += 1;
        }
        self.held.resize(self.bytes)
    }
}
