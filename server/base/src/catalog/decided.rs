//! What deciding on a change ends with, and what all decisions look up.

use std::sync::Arc;

use tidewire_storage::schema::{Catalog, Database};

use super::edit::Edit;
use super::error::CatalogError;

/// Edits, or why there are none.
pub(super) type Decided = Result<Vec<Edit>, CatalogError>;

/// No edit where that `is_fine`, else a refusal.
pub(super) fn nothing_if(is_fine: bool, refusal: impl FnOnce() -> CatalogError) -> Decided {
    if is_fine { Ok(Vec::new()) } else { Err(refusal()) }
}

/// The database called `name`.
pub(super) fn find_database<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Database>, CatalogError> {
    catalog.databases.get(name).ok_or_else(|| CatalogError::DatabaseNotFound(name.to_owned()))
}
