//! What a query is begun with, in whatever language it is written: its place among those that run, and its bounds.

use std::time::Duration;

use tidewire_sql::exec::QueryContext;

use super::fault::Fault;
use crate::admission::QueryPlace;
use crate::core::state::CoreState;
use crate::memory::Level;
use crate::memory::pressure::RefusedWork;

/// A place among the queries that run; too many, or too little memory, are a fault.
pub(super) fn query_place(core: &CoreState) -> Result<QueryPlace, Fault> {
    if let Some(shortage) = core.memory.shared().shortage(Level::Sparing) {
        core.count_refused(RefusedWork::Queries);
        return Err(Fault::QueryShortOfMemory(shortage));
    }
    let queries_max = core.config.query.concurrent_max;
    core.admission.query(queries_max).ok_or(Fault::TooManyQueries { queries_max })
}

/// The bounds of a query.
pub(super) fn bounds(core: &CoreState) -> QueryContext {
    let (query, memory) = (&core.config.query, core.memory.shared());
    let timeout = (query.timeout_s > 0).then(|| Duration::from_secs(query.timeout_s));
    QueryContext::of_server(query.memory_bytes_max, timeout, memory.queries().clone())
}
