//! Tables over files, and COPY INTO from and to files.
//!
//! A file that is written is that of one statement, and has no name that others read before it is whole. Rows that are
//! copied into a table are inserted as those of INSERT are: a failure leaves what was written until then.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use tidewire_files::{FileError, Folders, Writing};
use tidewire_sql::exec::{ExecError, QueryContext, Reservation};
use tidewire_sql::statement::{CopyIn, CopyInto, CopyOut, Definition, Query};
use tidewire_storage::schema::{ExternalColumn, ExternalTable, FileFormat};

use super::insert_rows::insert_query;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::queries::{bounds, query_place};
use crate::query::files::beside;
use crate::query::run::{RowsOut, run};
use tidewire_base::catalog::SchemaChange;

/// Makes a table over files. Without columns it gets those that its first file has.
pub(super) async fn create_external(
    context: &RequestContext<'_>,
    database: String,
    if_not_exists: bool,
    table: ExternalTable,
) -> Result<(), Fault> {
    let core = context.core;
    let columns = match table.columns.is_empty() {
        // A table that is there is not to be looked at.
        true if if_not_exists && is_there(context, &database, &table.name) => Vec::new(),
        true => columns(context, &table.location, table.format).await?,
        false => {
            let (folders, location) = (Arc::clone(core.peers.folders()), Arc::clone(&table.location));
            beside(move || folders.check(&location)).await?;
            table.columns
        }
    };
    let table = Arc::new(ExternalTable { columns, ..table });
    let definition = Definition::CreateExternal { database, if_not_exists, table };
    core.peers.change(SchemaChange::Define(definition)).await.map_err(Fault::Catalog)?;
    Ok(())
}

fn is_there(context: &RequestContext<'_>, database: &str, table: &str) -> bool {
    let catalog = context.core.catalog();
    let found = catalog.databases.get(database);
    found.is_some_and(|found| found.external.contains_key(table) || found.table(table).is_some())
}

/// The columns of files.
async fn columns(
    context: &RequestContext<'_>,
    location: &Arc<str>,
    format: FileFormat,
) -> Result<Vec<ExternalColumn>, Fault> {
    let core = context.core;
    let mut memory = bounds(core).reservation();
    memory.resize(tidewire_files::Reading::BYTES).map_err(Fault::from)?;
    loop {
        let (folders, location) = (Arc::clone(core.peers.folders()), Arc::clone(location));
        let room = usize::try_from(memory.bytes()).unwrap_or(usize::MAX);
        match beside(move || tidewire_files::columns(&folders, &location, format, room)).await? {
            Ok(columns) => return Ok(columns),
            Err(wanted) => memory.resize(wanted)?,
        }
    }
}

/// Copies rows of files into a table; returns their number.
pub(super) async fn copy_in(context: &RequestContext<'_>, copy: &CopyIn) -> Result<u64, Fault> {
    let found = match copy.format {
        FileFormat::Csv { header: true, .. } | FileFormat::Parquet => {
            Some(columns(context, &copy.location, copy.format).await?)
        }
        FileFormat::Csv { header: false, .. } | FileFormat::Json => None,
    };
    let (plan, target) = copy.plan(copy.source(found.as_deref())?)?;
    let query = Query::of(plan);
    match (&copy.into, target) {
        (_, Some(target)) => insert_query(context, &query, &target).await,
        (CopyInto::External(table), None) => write(context, &query, &table.location, table.format, true).await,
        (CopyInto::Table { .. }, None) => Err(ExecError::Internal("rows that are copied nowhere".to_owned()).into()),
    }
}

/// Copies the rows of a query into a file; returns their number.
pub(super) async fn copy_out(context: &RequestContext<'_>, copy: &CopyOut) -> Result<u64, Fault> {
    write(context, &copy.query, &copy.location, copy.format, false).await
}

/// Writes the rows of a query as a file, of a folder if that `is_part`.
async fn write(
    context: &RequestContext<'_>,
    query: &Query,
    location: &Arc<str>,
    format: FileFormat,
    is_part: bool,
) -> Result<u64, Fault> {
    let core = context.core;
    let run = async {
        let _place = query_place(core)?;
        let bounds = bounds(core);
        let schema = Arc::new(Schema::new(query.schema.fields().clone()));
        let folders: Arc<Folders> = Arc::clone(core.peers.folders());
        let (location, stamp) = (Arc::clone(location), context.now_ns as u64);
        let writing = beside(move || match is_part && !location.ends_with('/') {
            true => Writing::new(&folders, &format!("{location}/"), format, &schema, stamp),
            false => Writing::new(&folders, &location, format, &schema, stamp),
        })
        .await?;
        let memory = bounds.reservation();
        let mut rows = RowsToFile { writing: Some(writing), rows: 0, context: bounds.clone(), memory };
        run(&core.peers, query, bounds, &mut rows).await?;
        let RowsToFile { writing, rows, .. } = rows;
        if let Some(writing) = writing {
            beside(move || writing.finish()).await?;
        }
        Ok(rows)
    };
    let outcome: Result<u64, Fault> = context.queries.count(run).await;
    if let Ok(rows) = &outcome {
        context.count_read(*rows);
    }
    outcome
}

/// Takes rows and writes them into a file.
struct RowsToFile {
    /// `None` while a batch is written.
    writing: Option<Writing>,
    rows: u64,
    context: QueryContext,
    memory: Reservation,
}

impl RowsOut for RowsToFile {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        let Some(mut writing) = self.writing.take() else { return Err(ExecError::Cancelled) };
        self.context.check()?;
        self.memory.resize(writing.bytes_for(batch))?;
        let rows = batch.clone();
        let written = beside(move || -> Result<Writing, FileError> {
            writing.write(&rows)?;
            Ok(writing)
        });
        self.writing = Some(written.await?);
        self.rows += batch.num_rows() as u64;
        Ok(())
    }
}
