//! InfluxQL's statements, carried out: what changes the catalog, what deletes, what is shown from the catalog.

use std::fmt::Display;

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::Definition;
use tidewire_sql::influxql::{BindError, Delete, Statement, format_duration};
use tidewire_storage::schema::{Access, DEFAULT_TENANT, Database, RetentionPolicy};

use super::answer::Answer;
use super::scope::Scope;
use super::select;
use super::{cardinality, diagnostics, running, schema, shards, statistics, subscriptions, users};
use crate::api::audit::is_influx_administration;
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
    let outcome = carry_out(context, statement, scope, answer).await;
    if is_influx_administration(statement) {
        context.audit(&statement.to_string(), outcome.as_ref().err().map(|fault| fault as &dyn Display));
    }
    outcome
}

async fn carry_out(
    context: &RequestContext<'_>,
    statement: &Statement,
    scope: &Scope,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let database = &scope.database;
    let definition = match statement {
        Statement::Select(select) => return select::run(context, select, scope, answer).await,
        Statement::ShowDatabases => return show_databases(context, answer),
        Statement::ShowPolicies { database: named } => {
            let name = named.as_deref().unwrap_or(database);
            return show_policies(context, name, answer);
        }
        Statement::ShowSchema(show) => return schema::show(context, show, scope, answer).await,
        Statement::ShowCardinality(wanted) => return cardinality::count(context, wanted, scope, answer).await,
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
        Statement::CreateContinuousQuery(query) => {
            let completed = query.completed(&context.core.catalog())?;
            let (database, name) = (query.database.clone(), query.name.clone());
            Definition::CreateContinuousQuery { database, name, text: completed.to_string() }
        }
        Statement::DropContinuousQuery { name, database } => {
            Definition::DropContinuousQuery { database: database.clone(), name: name.clone() }
        }
        Statement::ShowUsers => return users::show(context, answer),
        Statement::ShowGrants { user } => return users::show_grants(context, user, answer),
        Statement::ShowContinuousQueries => return show_continuous_queries(context, answer),
        Statement::CreateUser { .. }
        | Statement::DropUser { .. }
        | Statement::SetPassword { .. }
        | Statement::Grant { .. }
        | Statement::Revoke { .. } => return users::change(context, statement).await,
        Statement::CreateSubscription { name, database, policy, any, destinations } => {
            subscriptions::check(destinations)?;
            let (database, policy, name) = (database.clone(), policy.clone(), name.clone());
            Definition::CreateSubscription { database, policy, name, any: *any, destinations: destinations.clone() }
        }
        Statement::DropSubscription { name, database, policy } => {
            let (database, policy, name) = (database.clone(), policy.clone(), name.clone());
            Definition::DropSubscription { database, policy, name }
        }
        Statement::ShowSubscriptions => return subscriptions::show(context, answer),
        Statement::ShowStats { module } => return statistics::show(context, module.as_deref(), answer).await,
        Statement::ShowDiagnostics { module } => return diagnostics::show(context, module.as_deref(), answer).await,
        Statement::ShowShards => return shards::show(context, answer).await,
        Statement::ShowShardGroups => return shards::show_groups(context, answer).await,
        Statement::DropShard { id } => return shards::drop_shard(context, *id).await,
        Statement::ShowQueries => return running::show(context, answer),
        Statement::KillQuery { id, .. } => {
            return match context.core.running.kill(*id) {
                true => Ok(()),
                false => Err(BindError::QueryUnknown(*id).into()),
            };
        }
        Statement::Explain { select, analyze } => {
            return select::explain(context, select, *analyze, scope, answer).await;
        }
    };
    context.core.peers.change(SchemaChange::Define(definition)).await?;
    Ok(())
}

/// What is said of a statement that changes things when it comes in a request that should change none.
pub(super) fn deprecation(context: &RequestContext<'_>, statement: &Statement, scope: &Scope) -> Option<String> {
    let changes = match statement {
        Statement::Select(select) => select.into.is_some(),
        Statement::Delete(delete) => delete.series,
        Statement::KillQuery { .. } => false,
        other => is_influx_administration(other),
    };
    let text = match statement {
        _ if !changes => return None,
        Statement::Select(select) => match select.completed(&scope.database, &context.core.catalog()) {
            Ok(completed) => completed.to_string(),
            Err(_) => statement.to_string(),
        },
        statement => statement.to_string(),
    };
    Some(format!("deprecated use of '{text}' in a read only context, please use a POST request instead"))
}

fn show_continuous_queries(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    let rights = &context.rights;
    let may_read = |name: &str| rights.access(name).has(Access::READ);
    for database in context.core.catalog().databases_of(DEFAULT_TENANT).filter(|database| may_read(&database.name)) {
        let queries = database.continuous_queries.iter();
        let rows = queries.map(|query| vec![Value::Text(&query.name), Value::Text(&query.text)]);
        answer.whole_series(&database.name, &["name", "query"], rows)?;
    }
    Ok(())
}

fn show_databases(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    let rights = &context.rights;
    let names = catalog.databases_of(DEFAULT_TENANT).map(|database| &database.name).filter(|name| rights.may_see(name));
    answer.whole_series("databases", &["name"], names.map(|name| vec![Value::Text(name)]))
}

fn show_policies(context: &RequestContext<'_>, name: &str, answer: &mut Answer<'_>) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::DatabaseUnnamed);
    }
    let catalog = context.core.catalog();
    let database: &Database = catalog.databases.get(name).ok_or_else(|| Fault::DatabaseUnknown(name.to_owned()))?;
    let durations = |policy: &RetentionPolicy| [policy.ttl_ns.unwrap_or(0), policy.partition_ns].map(format_duration);
    let texts: Vec<[String; 2]> = database.policies.iter().map(durations).collect();
    let rows = database.policies.iter().zip(&texts).map(|(policy, [duration, partition])| {
        vec![
            Value::Text(&policy.name),
            Value::Text(duration),
            Value::Text(partition),
            Value::Int(i64::from(policy.replication)),
            Value::Bool(policy.name == database.default_policy),
        ]
    });
    answer.whole_series("", &["name", "duration", "shardGroupDuration", "replicaN", "default"], rows)
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
