//! Statements about users: what they change, and what they show.

use std::io;

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{self, BindError, Statement};
use tidewire_storage::schema::{Access, UserOptions};

use super::answer::Answer;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::auth::password;
use tidewire_base::catalog::{CatalogError, SchemaChange, UserChange};

/// Carries out CREATE USER, DROP USER, SET PASSWORD, GRANT or REVOKE; other statements are none of this.
pub(super) async fn change(context: &RequestContext<'_>, statement: &Statement) -> Result<(), Fault> {
    let change = match statement {
        Statement::CreateUser { name, password, admin } => {
            if is_there(context, name, password, *admin).await? {
                return Ok(());
            }
            let password = password::hash(password.clone()).await.map_err(|error| failed(&error))?;
            let (name, options) = (name.clone(), UserOptions::default());
            UserChange::Create { name, password, is_admin: *admin, options, if_not_exists: false }
        }
        Statement::DropUser { name } => UserChange::Drop { name: name.clone(), if_exists: false },
        Statement::SetPassword { name, password } => {
            // Before the work of a hash.
            if !context.core.catalog().users.contains_key(name) {
                return Err(BindError::UserUnknown.into());
            }
            let password = password::hash(password.clone()).await.map_err(|error| failed(&error))?;
            UserChange::SetPassword { name: name.clone(), password }
        }
        Statement::Grant { database: None, user, .. } => UserChange::SetAdmin { name: user.clone(), is_admin: true },
        Statement::Revoke { database: None, user, .. } => UserChange::SetAdmin { name: user.clone(), is_admin: false },
        Statement::Grant { access, database: Some(database), user } => {
            UserChange::Grant { name: user.clone(), database: database.clone(), access: rights(*access) }
        }
        Statement::Revoke { access, database: Some(database), user } => {
            UserChange::Revoke { name: user.clone(), database: database.clone(), access: rights(*access) }
        }
        _ => return Ok(()),
    };
    context.core.peers.change(SchemaChange::User(change)).await?;
    Ok(())
}

/// Whether CREATE USER asks for a user that is there just so. One that is there otherwise is a refusal.
async fn is_there(context: &RequestContext<'_>, name: &str, password: &str, is_admin: bool) -> Result<bool, Fault> {
    let Some(user) = context.core.catalog().users.get(name).cloned() else { return Ok(false) };
    let is_same = user.is_admin == is_admin
        && password::is_of(password.to_owned(), user.password.clone()).await.map_err(|error| failed(&error))?;
    if is_same { Ok(true) } else { Err(CatalogError::UserExists(name.to_owned()).into()) }
}

/// SHOW USERS.
pub(super) fn show(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    let rows = catalog.users.values().map(|user| vec![Value::Text(&user.name), Value::Bool(user.is_admin)]);
    answer.whole_series("", &["user", "admin"], rows)
}

/// SHOW GRANTS.
pub(super) fn show_grants(context: &RequestContext<'_>, name: &str, answer: &mut Answer<'_>) -> Result<(), Fault> {
    let catalog = context.core.catalog();
    let user = catalog.users.get(name).ok_or(BindError::UserUnknown)?;
    let rows = user.grants.iter().map(|(database, access)| vec![Value::Text(database), Value::Text(shown(*access))]);
    answer.whole_series("", &["database", "privilege"], rows)
}

/// The rights that a statement names.
fn rights(access: influxql::Access) -> Access {
    match access {
        influxql::Access::Read => Access::READ,
        influxql::Access::Write => Access::WRITE,
        influxql::Access::All => Access::ALL,
    }
}

/// How rights are shown. InfluxDB knows of no right to tables.
fn shown(access: Access) -> &'static str {
    match (access.has(Access::READ), access.has(Access::WRITE)) {
        (true, true) => "ALL PRIVILEGES",
        (true, false) => "READ",
        (false, true) => "WRITE",
        (false, false) => "NO PRIVILEGES",
    }
}

fn failed(error: &io::Error) -> Fault {
    ExecError::Internal(format!("a password could not be worked on: {error}")).into()
}
