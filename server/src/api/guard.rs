//! The one place where requests are let in.
//!
//! 1. [`admit`]: whose request it is, by its credentials; and whether its endpoint may be used: what the table's
//!    columns for the privilege and the database say.
//! 2. [`admit_statements`]: what each statement of InfluxQL needs, before the first of a request is run. Of a statement
//!    of SQL the binder asks the same with the rights that its session has, name by name (`sql::session`).
//!
//! With `auth.enabled = false` nobody is asked anything, and none of this costs a write more than one comparison.

use std::net::IpAddr;

use tidewire_protocol::http::{Head, Query};
use tidewire_sql::influxql::Statement;
use tidewire_storage::schema::{Access, Need};

use super::context::RequestContext;
use super::endpoint::{Endpoint, Family, Privilege};
use super::fault::{Fault, Forbidden};
use crate::auth::credentials::credentials;
use crate::auth::denial::Denial;
use crate::auth::logins::Logins;
use crate::auth::principal::Principal;
use crate::core::state::CoreState;
use tidewire_base::config::MonitorAccess;

/// Whose request it is.
pub(super) async fn principal(
    core: &CoreState,
    logins: &Logins,
    endpoint: &Endpoint,
    head: &Head<'_>,
    address: Option<IpAddr>,
) -> Result<Principal, Fault> {
    let auth = &core.config.auth;
    if !auth.enabled {
        return Ok(Principal::Anybody);
    }
    match endpoint.privilege {
        Privilege::Ping => return Ok(Principal::Guest),
        Privilege::Monitor if auth.monitor == MonitorAccess::Anyone => return Ok(Principal::Guest),
        Privilege::Monitor | Privilege::Write | Privilege::Statements => {}
    }
    let catalog = core.catalog();
    if catalog.users.is_empty() {
        return match endpoint.privilege {
            // The statements say whether they make the first user.
            Privilege::Statements if endpoint.family == Family::Influx => Ok(Principal::First),
            _ => Err(Denial::NoUsers.into()),
        };
    }
    let query = Query::new(head.query);
    let given = credentials(head, &query, endpoint.family == Family::Influx)?;
    Ok(Principal::User(logins.user(given, &catalog, address).await?))
}

/// Whether the principal may use the endpoint; what its statements need is seen when they are known.
pub(super) fn admit(context: &RequestContext<'_>) -> Result<(), Fault> {
    if matches!(context.principal, Principal::Anybody) {
        return Ok(());
    }
    match context.endpoint.privilege {
        Privilege::Ping | Privilege::Statements => Ok(()),
        Privilege::Write => context.require(Need::of(context.database()?, Access::WRITE), None),
        Privilege::Monitor => match context.core.config.auth.monitor {
            MonitorAccess::Admins => context.require(Need::Admin, None),
            MonitorAccess::Users | MonitorAccess::Anyone => Ok(()),
        },
    }
}

/// Whether the principal may run all of `statements`, in a request for `database`.
pub(super) fn admit_statements(
    context: &RequestContext<'_>,
    statements: &[Statement],
    database: &str,
) -> Result<(), Fault> {
    match context.principal {
        Principal::Anybody => Ok(()),
        // What comes with it is let in too, as InfluxDB has it: the client that makes the administrator is one.
        Principal::First => match statements.first() {
            Some(Statement::CreateUser { admin: true, .. }) => Ok(()),
            _ => Err(Fault::AdminMissing),
        },
        Principal::User(_) | Principal::Guest => {
            for statement in statements {
                for need in statement.needs(database) {
                    context.require(need, Some(statement))?;
                }
            }
            Ok(())
        }
    }
}

impl RequestContext<'_> {
    /// Refuses what the principal may not do.
    fn require(&self, need: Need, statement: Option<&Statement>) -> Result<(), Fault> {
        if self.principal.rights().allow(&need) {
            return Ok(());
        }
        let user = self.principal.user().unwrap_or_default().to_owned();
        let statement = statement.map(ToString::to_string);
        Err(Fault::Forbidden(Box::new(Forbidden { user, need, statement })))
    }
}
