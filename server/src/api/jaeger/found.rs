//! Rows of spans as traces. A span becomes its JSON as its row comes; that is held, as memory of the query.

use std::collections::{BTreeMap, HashMap};

use arrow_array::RecordBatch;
use tidewire_sql::exec::{ExecError, Reservation};

use super::envelope::Envelope;
use super::span::Columns;
use crate::api::cells::Cells;
use crate::api::fault::Fault;
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
    /// Its spans as JSON.
    spans: Vec<String>,
    /// Whose they are, as JSON, and their numbers; the first is `p1`.
    processes: HashMap<String, usize>,
}

impl Found {
    /// Nothing yet; what is found is of the query that `held` is of.
    pub(super) fn new(held: Reservation) -> Self {
        Self { columns: None, traces: BTreeMap::new(), bytes: 0, held, spans: 0 }
    }

    /// Sends a trace, if there is one of the id.
    pub(super) async fn send(&self, id: &str, envelope: &mut Envelope<'_>) -> Result<(), Fault> {
        let Some(trace) = self.traces.get(id) else { return Ok(()) };
        envelope.begin_item();
        envelope.text(&format!("{{\"traceID\":\"{id}\",\"spans\":[")).await?;
        for (at, span) in trace.spans.iter().enumerate() {
            if at > 0 {
                envelope.text(",").await?;
            }
            envelope.text(span).await?;
        }
        envelope.text("],\"processes\":{").await?;
        for (at, (process, number)) in trace.processes.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            envelope.text(&format!("{comma}\"p{number}\":{process}")).await?;
        }
        envelope.text("},\"warnings\":null}").await
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
            self.bytes += if is_new { 128 + size_of::<Trace>() } else { 0 };
            let next = trace.processes.len() + 1;
            let number = match trace.processes.get(&process) {
                Some(number) => *number,
                None => {
                    self.bytes += process.len() + 2 * size_of::<(String, usize)>();
                    trace.processes.insert(process, next);
                    next
                }
            };
            span.json["processID"] = format!("p{number}").into();
            let json = span.json.to_string();
            self.bytes += json.capacity() + 2 * size_of::<String>();
            trace.spans.push(json);
            self.spans += 1;
        }
        self.held.resize(self.bytes)
    }
}
