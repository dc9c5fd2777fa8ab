//! What each database holds on a core, as metrics. Databases come and go, so their samples are not in the registry.

use std::collections::BTreeMap;

use tidewire_storage::engine::TableTotals;
use tidewire_storage::schema::{Catalog, TableId, tenant_and_database};

use super::registry::Snapshot;

/// Databases with samples of their own, in the order of their names; the others are one sample together, so that
/// clients who make databases cannot make a scrape as large as they like.
const DATABASES_MAX: usize = 1_000;

/// The name under which the rest is shown; no database can have it, since names of databases are not empty.
const OTHERS: &str = "";

/// Adds samples of what the tables of each database hold.
pub(crate) fn show_databases(catalog: &Catalog, tables: &BTreeMap<TableId, TableTotals>, snapshot: &mut Snapshot) {
    let mut shown: Vec<(&str, TableTotals)> = Vec::new();
    for (at, (name, database)) in catalog.databases.iter().enumerate() {
        let mut total = TableTotals::default();
        for held in database.all_tables().filter_map(|table| tables.get(&table.id)) {
            total.rows += held.rows;
            total.bytes += held.bytes;
            total.series += held.series;
        }
        match shown.last_mut() {
            Some((OTHERS, others)) if at >= DATABASES_MAX => {
                others.rows += total.rows;
                others.bytes += total.bytes;
                others.series += total.series;
            }
            _ => shown.push((if at >= DATABASES_MAX { OTHERS } else { name }, total)),
        }
    }
    for (name, total) in shown {
        let (tenant, name) = tenant_and_database(name);
        // The sample of the rest is of no tenant.
        let tenant = if name.is_empty() { OTHERS } else { tenant };
        let labels = [("database", name), ("tenant", tenant)];
        let help =
            "Rows of the database on this core, in memory and in segments; one that was written again may count twice.";
        snapshot.gauge("tidewire_database_rows", help, &labels, total.rows);
        let help = "Bytes of the database's segments on this core.";
        snapshot.gauge("tidewire_database_segment_bytes", help, &labels, total.bytes);
        snapshot.gauge("tidewire_database_series", "Series of the database on this core.", &labels, total.series);
    }
}
