//! What a change would come to, for those who work on what is not durable yet.

use tidewire_storage::schema::Catalog;

use super::change::SchemaChange;
use super::decide::decide;
use super::edit::{Effects, replay};
use super::error::CatalogError;

/// The catalog as it would be after a change, which is not published; it shares with `catalog` what the change leaves
/// as it is. Ids that the change gives may be others when it is made.
pub fn preview(catalog: &Catalog, change: &SchemaChange) -> Result<Catalog, CatalogError> {
    let mut next = catalog.clone();
    for edit in decide(catalog, change)? {
        if let Err(reason) = replay(&mut next, &edit, &mut Effects::default()) {
            unreachable!("BUG: an edit does not fit the catalog that it was made for: {reason}");
        }
    }
    Ok(next)
}
