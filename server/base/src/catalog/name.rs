//! Which names databases, policies, tables and columns may have.

use super::bounds::NAME_BYTES_MAX;
use super::error::{CatalogError, NameFault};

/// Refuses a name that nothing can have.
pub(super) fn check_name(name: &str) -> Result<(), CatalogError> {
    let fault = if name.is_empty() {
        NameFault::Empty
    } else if name.len() > NAME_BYTES_MAX {
        NameFault::TooLong
    } else {
        return Ok(());
    };
    Err(CatalogError::BadName { name: name.chars().take(64).collect(), fault })
}
