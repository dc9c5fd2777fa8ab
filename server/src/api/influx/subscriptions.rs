//! CREATE, DROP and SHOW SUBSCRIPTIONS.

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::influxql::BindError;

use super::answer::Answer;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::forward::destination::Destination;

/// Refuses destinations that rows cannot be sent to.
pub(super) fn check(destinations: &[String]) -> Result<(), Fault> {
    match destinations.iter().find(|url| Destination::parse(url).is_none()) {
        Some(url) => Err(BindError::SubscriptionUrl(url.clone()).into()),
        None => Ok(()),
    }
}

/// Lists the subscriptions of each database that has some.
pub(super) fn show(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    const COLUMNS: [&str; 4] = ["retention_policy", "name", "mode", "destinations"];
    for database in context.core.catalog().databases.values() {
        let rows = database.subscriptions.iter().map(|known| {
            let mode = Value::Text(if known.any { "ANY" } else { "ALL" });
            vec![Value::Text(&known.policy), Value::Text(&known.name), mode, Value::Texts(&known.destinations)]
        });
        if rows.len() > 0 {
            answer.whole_series(&database.name, &COLUMNS, rows)?;
        }
    }
    Ok(())
}
