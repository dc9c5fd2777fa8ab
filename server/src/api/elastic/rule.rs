//! How documents become rows, as the parameters of a request say.

use tidewire_protocol::document::{DocumentRule, Numbers};
use tidewire_protocol::row::{Apart, TimeScale};

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::precision::time_scale;

/// Parameters that say how documents become rows, and where they go.
pub(super) const PARAMETERS: [&str; 6] = ["db", "tenant", "table", "time_column", "tag_columns", "precision"];

/// The rule of a request.
pub(super) fn document_rule(context: &RequestContext<'_>, numbers: Numbers) -> Result<DocumentRule, Fault> {
    let time_column = context.parameter("time_column")?.filter(|name| !name.is_empty());
    let tag_columns = context.parameter("tag_columns")?.unwrap_or_default();
    Ok(DocumentRule {
        time_column: time_column.map(Into::into),
        tag_columns: tag_columns.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        numbers,
        scale: time_scale(context, TimeScale::Digits)?,
        now_ns: context.now_ns,
        apart: Apart::default(),
    })
}

/// The table that the parameter `table` names.
pub(super) fn table(context: &RequestContext<'_>) -> Result<Option<String>, Fault> {
    Ok(context.parameter("table")?.filter(|name| !name.is_empty()).map(Into::into))
}
