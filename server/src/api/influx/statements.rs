//! InfluxQL's statements, carried out: what changes the catalog, what deletes, what is shown from the catalog.

use tidewire_protocol::encode::influx::{QueryWriter, Value};
use tidewire_sql::Definition;
use tidewire_sql::influxql::{Delete, Statement, format_duration};
use tidewire_storage::schema::Database;

use super::cardinality;
use crate::api::Router;
use crate::catalog::{SchemaChange, SchemaError};
use crate::query::delete::delete;
use crate::runtime::clock::now_ns;

/// Runs a statement and writes its series. The error is the text that InfluxDB gives.
pub(super) async fn run(
    router: &Router,
    statement: &Statement,
    database: &str,
    writer: &mut QueryWriter,
    body: &mut Vec<u8>,
) -> Result<(), String> {
    let definition = match statement {
        Statement::ShowDatabases => return show_databases(router, writer, body),
        Statement::ShowPolicies { database: named } => {
            let name = named.as_deref().unwrap_or(database);
            return show_policies(router, name, writer, body);
        }
        Statement::ShowCardinality(wanted) => return cardinality::show(router, wanted, database, writer, body).await,
        Statement::Delete(statement) => return delete_rows(router, database, statement).await,
        Statement::CreateDatabase { name, policy } => {
            Definition::EnsureDatabase { name: name.clone(), policy: policy.clone() }
        }
        Statement::DropDatabase { name } => Definition::DropDatabase { name: name.clone(), if_exists: true },
        Statement::CreatePolicy { name, database, options } => {
            Definition::CreatePolicy { database: database.clone(), name: name.clone(), options: options.clone() }
        }
        Statement::AlterPolicy { name, database, options } => {
            Definition::AlterPolicy { database: database.clone(), name: name.clone(), options: options.clone() }
        }
        Statement::DropPolicy { name, database } => {
            Definition::DropPolicy { database: database.clone(), name: name.clone() }
        }
        Statement::DropMeasurement { name } => {
            Definition::DropMeasurement { database: database.to_owned(), name: name.clone() }
        }
    };
    let changed = router.core.peers.change(SchemaChange::Define(definition)).await;
    changed.map(drop).map_err(|refusal| match refusal {
        SchemaError::DatabaseNotFound(name) => no_database(&name),
        other => other.to_string(),
    })
}

fn no_database(name: &str) -> String {
    format!("database not found: {name}")
}

fn show_databases(router: &Router, writer: &mut QueryWriter, body: &mut Vec<u8>) -> Result<(), String> {
    let catalog = router.core.catalog();
    writer.series(body, "databases", &[], &["name"]);
    for name in catalog.databases.keys() {
        writer.row(body, [Value::Text(name)]).map_err(|error| error.to_string())?;
    }
    writer.end_series(body, false);
    Ok(())
}

fn show_policies(router: &Router, name: &str, writer: &mut QueryWriter, body: &mut Vec<u8>) -> Result<(), String> {
    if name.is_empty() {
        return Err("database name required".to_owned());
    }
    let catalog = router.core.catalog();
    let database: &Database = catalog.databases.get(name).ok_or_else(|| no_database(name))?;
    writer.series(body, "", &[], &["name", "duration", "shardGroupDuration", "replicaN", "default"]);
    for policy in &database.policies {
        let (duration, partition) = (format_duration(policy.ttl_ns.unwrap_or(0)), format_duration(policy.partition_ns));
        let row = [
            Value::Text(&policy.name),
            Value::Text(&duration),
            Value::Text(&partition),
            Value::Int(i64::from(policy.replication)),
            Value::Bool(policy.name == database.default_policy),
        ];
        writer.row(body, row).map_err(|error| error.to_string())?;
    }
    writer.end_series(body, false);
    Ok(())
}

/// Deletes from the measurements that are meant, in all retention policies. They are all bound before the first is
/// touched, so that a condition that one of them refuses deletes nothing.
async fn delete_rows(router: &Router, database: &str, statement: &Delete) -> Result<(), String> {
    let catalog = router.core.catalog();
    let found = catalog.databases.get(database).ok_or_else(|| no_database(database))?;
    statement.check()?;
    let now_ns = now_ns();
    let mut deletions = Vec::new();
    for table in found.all_tables() {
        if statement.names(&table.name) {
            deletions.push(statement.bind(table, now_ns)?);
        }
    }
    for deletion in deletions {
        delete(&router.core, deletion).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
