//! InfluxDB's `SHOW SERIES | MEASUREMENT [EXACT] CARDINALITY`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewire_protocol::encode::influx::{QueryWriter, Value};
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{Cardinality, Counted};
use tidewire_storage::schema::{TableId, TableSchema};

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::query::cardinality::cardinality;

/// Answers with the reply's series. `database` is the request's, for statements without ON.
pub(super) async fn show(
    context: &RequestContext<'_>,
    wanted: &Cardinality,
    database: &str,
    writer: &mut QueryWriter,
    body: &mut Vec<u8>,
) -> Result<(), Fault> {
    let database = wanted.database.as_deref().unwrap_or(database);
    if database.is_empty() {
        return Err(Fault::DatabaseUnnamed);
    }
    let catalog = context.core.catalog();
    let known = catalog.databases.get(database);
    let estimated = !wanted.exact && wanted.from.is_empty();
    // Estimates of a database that is not there are 0; the exact forms need one.
    if known.is_none() && !estimated {
        return Err(Fault::DatabaseUnknown(database.to_owned()));
    }
    // Estimates are of all retention policies, as InfluxDB's are; what is counted is of the default one.
    let tables: Vec<&Arc<TableSchema>> = match known {
        None => Vec::new(),
        Some(known) if estimated => known.all_tables().collect(),
        Some(known) => known.tables().collect(),
    };
    let is_wanted =
        |table: &&&Arc<TableSchema>| wanted.from.is_empty() || wanted.from.iter().any(|n| **n == *table.name);
    let (names, ids): (Vec<_>, Vec<TableId>) =
        tables.iter().filter(is_wanted).map(|table| (table.name.clone(), table.id)).unzip();
    let mut table = |name: &str, column: &str, count: u64| {
        writer.series(body, name, &[], &[column]);
        let written = writer.row(body, [Value::UInt(count)]).map_err(Fault::from);
        writer.end_series(body, false);
        written
    };
    let heading = if estimated { "cardinality estimation" } else { "count" };
    if wanted.of == Counted::Measurements {
        return table("", heading, names.iter().collect::<BTreeSet<_>>().len() as u64);
    }
    let counts = cardinality(context.core, ids.into()).await.map_err(ExecError::from)?;
    if estimated {
        return table("", heading, counts.sketch.estimate());
    }
    for (name, count) in names.iter().zip(counts.by_table).filter(|(_, count)| *count > 0) {
        table(name, heading, count)?;
    }
    Ok(())
}
