//! InfluxQL's statements, carried out: what changes the catalog, what deletes, what is shown from the catalog.

use tidewire_protocol::encode::influx::{QueryWriter, Value};
use tidewire_sql::Definition;
use tidewire_sql::influxql::{BindError, Delete, Statement, format_duration};
use tidewire_storage::schema::Database;

use super::answer::Answer;
use super::schema::{self, Out};
use super::scope::Scope;
use super::select;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::query::delete::delete;
use tidewire_base::catalog::SchemaChange;

/// Runs a statement and writes its series.
pub(super) async fn run(
    context: &RequestContext<'_>,
    statement: &Statement,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let database = &scope.database;
    if let Statement::Select(select) = statement {
        return select::run(context, select, scope, answer).await;
    }
    let (writer, body) = answer.parts();
    let definition = match statement {
        Statement::ShowDatabases => return show_databases(context, writer, body),
        Statement::ShowPolicies { database: named } => {
            let name = named.as_deref().unwrap_or(database);
            return show_policies(context, name, writer, body);
        }
        Statement::ShowSchema(show) => return schema::show(context, show, scope, Out { writer, body }).await,
        Statement::ShowCardinality(wanted) => return schema::count(context, wanted, scope, Out { writer, body }).await,
        Statement::Delete(statement) => return delete_rows(context, database, statement).await,
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
        // Nobody is known yet, so that there are none to show.
        Statement::ShowUsers => return Out { writer, body }.series("", &["user", "admin"], []),
        Statement::ShowContinuousQueries => return show_continuous_queries(context, Out { writer, body }),
        Statement::ShowSubscriptions => return Ok(()),
        Statement::Explain { select, analyze: false } => {
            return select::explain(context, select, scope, Out { writer, body }).await;
        }
        other => return Err(BindError::Unsupported(kind(other)).into()),
    };
    context.core.peers.change(SchemaChange::Define(definition)).await?;
    Ok(())
}

/// How a statement that is read and not carried out begins.
fn kind(statement: &Statement) -> &'static str {
    match statement {
        Statement::Select(_) => "SELECT",
        Statement::Explain { .. } => "EXPLAIN",
        Statement::DropShard { .. } => "DROP SHARD",
        Statement::CreateUser { .. } | Statement::DropUser { .. } | Statement::SetPassword { .. } => "users",
        Statement::Grant { .. } | Statement::Revoke { .. } | Statement::ShowGrants { .. } => "grants",
        Statement::CreateContinuousQuery(_) | Statement::DropContinuousQuery { .. } => "continuous queries",
        Statement::CreateSubscription { .. } | Statement::DropSubscription { .. } => "subscriptions",
        Statement::ShowQueries | Statement::KillQuery { .. } => "SHOW QUERIES and KILL QUERY",
        Statement::ShowShards | Statement::ShowShardGroups => "SHOW SHARDS",
        _ => "SHOW STATS and SHOW DIAGNOSTICS",
    }
}

fn show_continuous_queries(context: &RequestContext<'_>, mut out: Out<'_>) -> Result<(), Fault> {
    for name in context.core.catalog().databases.keys() {
        out.series(name, &["name", "query"], [])?;
    }
    Ok(())
}

fn show_databases(context: &RequestContext<'_>, writer: &mut QueryWriter, body: &mut Vec<u8>) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    writer.series(body, "databases", &[], &["name"]);
    for name in catalog.databases.keys() {
        writer.row(body, [Value::Text(name)])?;
    }
    writer.end_series(body, false);
    Ok(())
}

fn show_policies(
    context: &RequestContext<'_>,
    name: &str,
    writer: &mut QueryWriter,
    body: &mut Vec<u8>,
) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::DatabaseUnnamed);
    }
    let catalog = context.core.catalog();
    let database: &Database = catalog.databases.get(name).ok_or_else(|| Fault::DatabaseUnknown(name.to_owned()))?;
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
        writer.row(body, row)?;
    }
    writer.end_series(body, false);
    Ok(())
}

/// Deletes from the measurements that are meant, in all retention policies. They are all bound before the first is
/// touched, so that a condition that one of them refuses deletes nothing.
async fn delete_rows(context: &RequestContext<'_>, database: &str, statement: &Delete) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    let found = catalog.databases.get(database).ok_or_else(|| Fault::DatabaseUnknown(database.to_owned()))?;
    statement.check()?;
    let mut deletions = Vec::new();
    for table in found.all_tables() {
        if statement.names(&table.name) {
            deletions.push(statement.bind(table, context.now_ns)?);
        }
    }
    let mut done: Vec<String> = Vec::new();
    for deletion in deletions {
        let name = deletion.table.name.to_string();
        if let Err(error) = delete(context.core, deletion).await {
            // A measurement of several policies is done when all of its tables are.
            done.retain(|other| *other != name);
            return Err(error.after(done).into());
        }
        if !done.contains(&name) {
            done.push(name);
        }
    }
    Ok(())
}
