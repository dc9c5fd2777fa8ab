//! Services, and operations of a service.

use arrow_array::RecordBatch;
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};
use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::{ExecError, Reservation};

use super::question::{Kinds, operations_sql, services_sql, table};
use super::traces::{answered, schema};
use crate::api::cells::Cells;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::queries::run_text;
use crate::net::{Reply, Request};
use crate::query::run::RowsOut;
use crate::ring::yield_if_needed;

/// Rows between two looks at the time.
const ROWS_STEP: usize = 256;

/// Rows of texts.
struct Texts {
    rows: Vec<Vec<String>>,
    bytes: usize,
    held: Reservation,
}

impl RowsOut for Texts {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        let cells: Vec<Cells<'_>> = batch.columns().iter().map(Cells::of).collect();
        for row in 0..batch.num_rows() {
            let text = |cells: &Cells<'_>| match cells.value(row, None) {
                Value::Text(text) => text.to_owned(),
                _ => String::new(),
            };
            let texts: Vec<String> = cells.iter().map(text).collect();
            self.bytes += texts.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>() + 32;
            self.rows.push(texts);
            if row % ROWS_STEP == ROWS_STEP - 1 {
                self.held.resize(self.bytes)?;
                yield_if_needed().await;
            }
        }
        self.held.resize(self.bytes)
    }
}

/// Sends the rows of a statement, each as `item` shows it.
async fn send(
    context: &RequestContext<'_>,
    request: Request<'_>,
    reply: &mut Reply,
    sql: Option<String>,
    item: impl Fn(&[String]) -> Json,
) -> Result<(), Fault> {
    let shown = sql.clone().unwrap_or_default();
    answered(context, request, reply, &shown, async |bounds, mut envelope| {
        let mut texts = Texts { rows: Vec::new(), bytes: 0, held: bounds.reservation() };
        if let Some(sql) = sql {
            run_text(context, sql, bounds, &mut texts).await?;
        }
        context.rows.read.add(texts.rows.len() as u64);
        for row in &texts.rows {
            envelope.begin_item();
            envelope.text(&item(row).to_string()).await?;
        }
        let total = envelope.items();
        envelope.end(total).await
    })
    .await
}

fn first(row: &[String]) -> Json {
    row.first().cloned().unwrap_or_default().into()
}

/// `/api/services`
pub async fn services(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "table"])?;
    let sql = schema(context, &table(context)?)?.and_then(|table| services_sql(&table));
    send(context, request, reply, sql, first).await
}

/// `/api/services/{service}/operations`
pub async fn operations_of(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "table"])?;
    let service = context.segments.get("service");
    let service = percent_decode_str(service).decode_utf8();
    let service = service.map_err(|_| Fault::ParameterValue { name: "service", value: "no UTF-8".to_owned() })?;
    let sql = schema(context, &table(context)?)?.and_then(|table| operations_sql(&table, &service, Kinds::Unasked));
    send(context, request, reply, sql, first).await
}

/// `/api/operations`
pub async fn operations(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.check_parameters(&["db", "tenant", "table", "service", "spanKind"])?;
    let service = context.parameter("service")?.filter(|service| !service.is_empty());
    let service = service.ok_or(Fault::ParameterMissing("service"))?;
    let kind = context.parameter("spanKind")?.filter(|kind| !kind.is_empty());
    let kinds = kind.as_deref().map_or(Kinds::All, Kinds::One);
    let sql = schema(context, &table(context)?)?.and_then(|table| operations_sql(&table, &service, kinds));
    let item = |row: &[String]| {
        let kind = row.get(1).map_or("", |kind| kind.strip_prefix("SPAN_KIND_").unwrap_or(kind));
        let kind = if kind == "UNSPECIFIED" { String::new() } else { kind.to_ascii_lowercase() };
        json!({ "name": first(row), "spanKind": kind })
    };
    send(context, request, reply, sql, item).await
}
