//! What clients know of a life, and which catalogs a start may find after it.

use std::sync::Arc;

use tidewire_sql::{Definition, TableChange};
use tidewire_storage::schema::{Catalog, ColumnId, TableId, is_reserved, tenant_and_database};

use crate::catalog::change::{SchemaChange, TenantChange};
use crate::catalog::decide::decide;
use crate::catalog::edit::{Effects, replay};
use crate::catalog::error::CatalogError;

/// What became of a change, as far as its client heard.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    Nothing,
    Done,
    Refused(CatalogError),
    /// It could not be saved, and nothing changed.
    Failed,
    /// It could not be saved, and may be on disk until the owner knows better.
    Doubtful,
}

/// A change that a client asked for, in the order in which the owner got them.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) change: SchemaChange,
    pub(super) heard: Heard,
    /// When it was heard.
    pub(super) at: u64,
}

/// A value that a writer was told is written.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) database: Arc<str>,
    pub(super) policy: Arc<str>,
    pub(super) table: Arc<str>,
    pub(super) column: Arc<str>,
    pub(super) table_id: TableId,
    pub(super) column_id: ColumnId,
    /// When.
    pub(super) at: u64,
}

/// A life as it is remembered outside.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) asked: Vec<Asked>,
    pub(super) rows: Vec<Row>,
    /// The owner was in doubt when it died.
    pub(super) in_doubt: bool,
}

/// A catalog without what a change counts.
fn same(one: &Catalog, other: &Catalog) -> bool {
    let named = one.databases == other.databases && one.users == other.users && one.tenants == other.tenants;
    named && one.next_table == other.next_table
}

fn add(states: &mut Vec<Catalog>, state: Catalog) {
    if !states.iter().any(|known| same(known, &state)) {
        states.push(state);
    }
}

/// The catalog after a change; the same where it is refused.
fn after(catalog: &Catalog, change: &SchemaChange) -> Result<Catalog, CatalogError> {
    let mut next = catalog.clone();
    for edit in decide(catalog, change)? {
        replay(&mut next, &edit, &mut Effects::default()).unwrap();
    }
    Ok(next)
}

/// Whether a change takes away the table or the column of a row.
fn takes_away(change: &SchemaChange, row: &Row) -> bool {
    let definition = match change {
        SchemaChange::Define(definition) => definition,
        SchemaChange::Tenant(TenantChange::Drop { name, .. }) => return *name == tenant_and_database(&row.database).0,
        // Of whose time is over.
        SchemaChange::Tenant(TenantChange::Purge { .. }) => return is_reserved(&row.database),
        SchemaChange::Tenant(_) | SchemaChange::Ensure { .. } | SchemaChange::User(_) => return false,
    };
    match definition {
        Definition::DropDatabase { name, .. } => *name == *row.database,
        Definition::DropPolicy { database, name } => *database == *row.database && *name == *row.policy,
        Definition::DropMeasurement { database, name } | Definition::DropTable { database, name, .. } => {
            *database == *row.database && *name == *row.table
        }
        Definition::AlterTable {
            database,
            name,
            change: TableChange::DropColumn { name: column } | TableChange::RenameColumn { name: column, .. },
        } => *database == *row.database && *name == *row.table && *column == *row.column,
        _ => false,
    }
}

/// Catalogs with a change and without it.
fn perhaps(states: Vec<Catalog>, change: &SchemaChange) -> Vec<Catalog> {
    let mut both = Vec::new();
    for state in states {
        if let Ok(changed) = after(&state, change) {
            add(&mut both, changed);
        }
        add(&mut both, state);
    }
    both
}

impl Memory {
    /// Panics where `found` is not what a start may find after this life, which began with `start`.
    pub(super) fn check(&self, start: &Catalog, found: &Catalog, seed: u64) {
        let mut states = vec![start.clone()];
        // With some of what has been in doubt since the last change that was done.
        let mut doubted: Option<Vec<Catalog>> = None;
        for asked in &self.asked {
            let mut next = Vec::new();
            for state in &states {
                let outcome = after(state, &asked.change);
                match (&asked.heard, outcome) {
                    (Heard::Done, Ok(changed)) => add(&mut next, changed),
                    (Heard::Refused(heard), Err(refusal)) if *heard == refusal => add(&mut next, state.clone()),
                    (Heard::Done, Err(_)) | (Heard::Refused(_), _) => {}
                    (Heard::Failed | Heard::Doubtful, _) => add(&mut next, state.clone()),
                    (Heard::Nothing, Ok(changed)) => {
                        add(&mut next, state.clone());
                        add(&mut next, changed);
                    }
                    (Heard::Nothing, Err(_)) => add(&mut next, state.clone()),
                }
            }
            doubted = match (&asked.heard, doubted.take()) {
                (Heard::Doubtful, before) => Some(perhaps(before.unwrap_or_else(|| states.clone()), &asked.change)),
                (Heard::Nothing, Some(before)) => Some(perhaps(before, &asked.change)),
                // What was refused while it was open.
                (Heard::Failed | Heard::Nothing | Heard::Refused(_), before) => before,
                (Heard::Done, _) => None,
            };
            assert!(!next.is_empty(), "seed {seed}: {:?} of {:?} has no explanation", asked.heard, asked.change);
            states = next;
        }
        if self.in_doubt {
            doubted.into_iter().flatten().for_each(|state| add(&mut states, state));
        }
        let is_explained = states.iter().any(|state| same(state, found));
        assert!(is_explained, "seed {seed}: found {found:#?}\nnone of {states:#?}\nafter {:#?}", self.asked);
    }

    /// Panics where a row that was acknowledged is gone, though nobody asked for that. Gives how many were.
    pub(super) fn check_rows(&self, found: &Catalog, seed: u64) -> u64 {
        let mut gone = 0;
        for row in &self.rows {
            let table = found.table_of(&row.database, &row.policy, &row.table);
            let table = table.filter(|table| table.id == row.table_id);
            if table.is_some_and(|table| table.column_by_id(row.column_id).is_some()) {
                continue;
            }
            gone += 1;
            // Done before the row it would not have been shown; what failed before it must not be in force.
            let may_have = |asked: &&Asked| match asked.heard {
                Heard::Done | Heard::Nothing => true,
                Heard::Doubtful | Heard::Failed => asked.at > row.at,
                Heard::Refused(_) => false,
            };
            let explained = self.asked.iter().filter(may_have).any(|asked| takes_away(&asked.change, row));
            assert!(explained, "seed {seed}: {row:?} is gone after {:#?}", self.asked);
        }
        gone
    }
}
