//! InfluxQL: what is read is printed so that it is read again as the same, and a SELECT is bound within the memory that
//! a query has.

#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use tidewire_sql::exec::QueryContext;
use tidewire_sql::influxql::{Scope, Statement, bind_select, parse};
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
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(statements) = parse(text) else { return };
    for statement in statements {
        let printed = statement.to_string();
        match parse(&printed) {
            Ok(again) => {
                let again: Vec<String> = again.iter().map(ToString::to_string).collect();
                assert_eq!(again, [printed], "printed otherwise than it was read");
            }
            // Passwords are not printed.
            Err(error) => assert!(printed.contains("[REDACTED]"), "{printed:?} cannot be read: {error}"),
        }
        let _ = statement.needs("public");
        if let Statement::Select(select) = &statement {
            let now_ns = 1_667_456_411_000_000_000;
            let scope = Scope { catalog: &CATALOG, database: "public", policy: "", now_ns, windows_max: None };
            let _ = bind_select(select, scope, &QueryContext::new(MEMORY_BYTES_MAX, None));
        }
    }
});
