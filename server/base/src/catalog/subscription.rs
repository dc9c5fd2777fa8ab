//! What statements about subscriptions come to.

use std::sync::Arc;

use tidewire_storage::schema::{Catalog, Database, Subscription};

use super::decided::Decided;
use super::edit::Edit;
use super::error::CatalogError;
use super::name::check_name;

/// Destinations of all subscriptions together: each has a thread and a connection.
const DESTINATIONS_MAX: usize = 64;

/// CREATE SUBSCRIPTION.
pub(super) fn create(catalog: &Catalog, database: &Database, made: Subscription) -> Decided {
    let is_same = |known: &Arc<Subscription>| known.policy == made.policy && known.name == made.name;
    if database.subscriptions.iter().any(is_same) {
        return Err(CatalogError::SubscriptionExists);
    }
    check_name(&made.name)?;
    let known = catalog.databases.values().flat_map(|database| &database.subscriptions);
    let destinations = known.map(|known| known.destinations.len()).sum::<usize>() + made.destinations.len();
    if destinations > DESTINATIONS_MAX {
        return Err(CatalogError::TooManyDestinations { destinations, max: DESTINATIONS_MAX });
    }
    let mut subscriptions = database.subscriptions.clone();
    subscriptions.push(Arc::new(made));
    Ok(vec![Edit::Subscriptions { database: database.name.clone(), subscriptions }])
}

/// DROP SUBSCRIPTION.
pub(super) fn drop(database: &Database, policy: &str, name: &str) -> Decided {
    let mut subscriptions = database.subscriptions.clone();
    subscriptions.retain(|known| *known.policy != *policy || *known.name != *name);
    if subscriptions.len() == database.subscriptions.len() {
        return Err(CatalogError::SubscriptionNotFound(name.to_owned()));
    }
    Ok(vec![Edit::Subscriptions { database: database.name.clone(), subscriptions }])
}
