//! SQL, from text to an optimized plan, within the memory that a query has.

#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use tidewire_sql::exec::QueryContext;
use tidewire_sql::{bytes_to_prepare, prepare_within};
use tidewire_storage::schema::Catalog;

#[path = "../../../protocol/fuzz/targets/shared/entry.rs"]
mod entry;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/front/catalog.rs"]
mod catalog;

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog::catalog);

/// What a query may take here.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

entry::target!(|data| {
    let _ = bytes_to_prepare(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let context = QueryContext::new(MEMORY_BYTES_MAX, None);
    if let Ok((statement, _held)) = prepare_within(text, &CATALOG, &catalog::session(), &context) {
        // What can be prepared can be shown.
        let _ = format!("{statement:?}");
    }
});
