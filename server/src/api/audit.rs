//! What the log says of administration: statements that change or drop databases, tables, users, tenants and rights,
//! delete rows, read or write files of the server, or end others' statements. They are logged always, those that are
//! refused too, each when its outcome is known: with the request's id, who asked, from where, and the statement without
//! its password.

use std::fmt::Display;

use tidewire_sql::influxql;
use tidewire_sql::statement::Statement;

use super::context::RequestContext;
use super::redact::shown_statement;
use super::statement_kind::statement_kind;
use crate::journal::files::note;
use crate::journal::record::{Kind, Record, Value};
use crate::journal::text::{TEXT_CHARS_MAX, plain};

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
    /// The fields of a line that say who asks for whom.
    pub(super) fn who(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::Text(plain(text, TEXT_CHARS_MAX));
        let tenant = self.tenant().unwrap_or_default();
        vec![("id", text(&self.id.to_string())), ("user", text(&self.user_name())), ("tenant", text(&tenant))]
    }

    /// Logs a statement of administration, with why it was not carried out if it was not.
    pub(super) fn audit(&self, statement: &str, fault: Option<&dyn Display>) {
        let mut fields = self.who();
        let peer = self.peer.map_or_else(String::new, |peer| peer.to_string());
        let path = self.endpoint.pattern.to_owned();
        fields.extend([("address", Value::Text(peer)), ("path", Value::Text(path))]);
        fields.push(("kind", Value::Text(statement_kind(statement.as_bytes()))));
        fields.push(("statement", Value::Text(shown_statement(statement))));
        let outcome = if fault.is_some() { "refused" } else { "done" };
        fields.push(("outcome", Value::Text(outcome.to_owned())));
        if let Some(fault) = fault {
            fields.push(("reason", Value::Text(plain(&fault.to_string(), TEXT_CHARS_MAX))));
        }
        // Lines of administration are never dropped.
        note(&Record { kind: Kind::Audit, fields });
    }
}
