//! What the log says of administration: statements that change or drop databases, tables, users, tenants and rights,
//! delete rows, read or write files of the server, or end others' statements. They are logged always, those that are
//! refused too, each when its outcome is known: with the request's id, who asked, from where, and the statement without
//! its password.

use std::fmt::Display;

use log::Level;
use tidewire_sql::influxql;
use tidewire_sql::statement::Statement;

use super::context::RequestContext;
use super::request_log::{plain, shown_statement};

/// Characters of a user's name or of a reason that a line has.
const TEXT_CHARS_MAX: usize = 300;

/// Whether a statement of SQL is of administration.
pub(super) fn is_administration(statement: &Statement) -> bool {
    match statement {
        Statement::User(_)
        | Statement::Tenant(_)
        | Statement::Define(_)
        | Statement::CreateExternal { .. }
        | Statement::CopyOut(_)
        | Statement::CopyIn(_)
        | Statement::Compact { .. }
        | Statement::Delete(_) => true,
        Statement::Empty
        | Statement::Query(_)
        | Statement::Explain { .. }
        | Statement::Insert(_)
        | Statement::InsertQuery { .. }
        | Statement::UpdateTags(_) => false,
    }
}

/// The same of InfluxQL.
pub(super) fn is_influx_administration(statement: &influxql::Statement) -> bool {
    use influxql::Statement as Influx;
    match statement {
        Influx::CreateDatabase { .. }
        | Influx::DropDatabase { .. }
        | Influx::CreatePolicy { .. }
        | Influx::AlterPolicy { .. }
        | Influx::DropPolicy { .. }
        | Influx::DropMeasurement { .. }
        | Influx::DropShard { .. }
        | Influx::Delete(_)
        | Influx::CreateUser { .. }
        | Influx::DropUser { .. }
        | Influx::SetPassword { .. }
        | Influx::Grant { .. }
        | Influx::Revoke { .. }
        | Influx::CreateContinuousQuery(_)
        | Influx::DropContinuousQuery { .. }
        | Influx::CreateSubscription { .. }
        | Influx::DropSubscription { .. }
        | Influx::KillQuery { .. } => true,
        Influx::Select(_)
        | Influx::Explain { .. }
        | Influx::ShowDatabases
        | Influx::ShowPolicies { .. }
        | Influx::ShowSchema(_)
        | Influx::ShowCardinality(_)
        | Influx::ShowUsers
        | Influx::ShowGrants { .. }
        | Influx::ShowContinuousQueries
        | Influx::ShowSubscriptions
        | Influx::ShowStats { .. }
        | Influx::ShowDiagnostics { .. }
        | Influx::ShowShards
        | Influx::ShowShardGroups
        | Influx::ShowQueries => false,
    }
}

impl RequestContext<'_> {
    /// Logs a statement of administration, with why it was not carried out if it was not. A log that has less than
    /// information says it at the level that it has.
    pub(super) fn audit(&self, statement: &str, fault: Option<&dyn Display>) {
        let Some(level) = log::max_level().to_level() else { return };
        let who = plain(&self.user_name(), TEXT_CHARS_MAX);
        let peer = self.peer.map_or_else(|| "a client that has left".to_owned(), |peer| peer.to_string());
        let outcome = fault.map_or_else(
            || "done".to_owned(),
            |fault| format!("refused: {}", plain(&fault.to_string(), TEXT_CHARS_MAX)),
        );
        let (id, path) = (plain(&self.id.to_string(), TEXT_CHARS_MAX), self.endpoint.pattern);
        let statement = shown_statement(statement);
        log::log!(level.min(Level::Info), "audit: {id} {who} {peer} {path}: {statement}: {outcome}");
    }
}
