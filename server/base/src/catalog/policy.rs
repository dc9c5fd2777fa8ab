//! Retention policies: InfluxDB's rules for making and changing them, as pure functions over one database.

use tidewire_sql::PolicyOptions;
use tidewire_storage::names::NameMap;
use tidewire_storage::schema::{Database, DatabaseOptions, RetentionPolicy};

use super::error::CatalogError;
use super::name::check_name;

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;

/// The shortest time that rows may be kept, and the shortest partition: InfluxDB's bound for both.
const DURATION_NS_MIN: i64 = HOUR_NS;

/// A database as InfluxQL's CREATE DATABASE makes it: with one policy.
pub(super) fn new_database(name: &str, policy: Option<&(String, PolicyOptions)>) -> Result<Database, CatalogError> {
    check_name(name)?;
    let mut database = Database::new(name, &DatabaseOptions::default(), []);
    database.policies = vec![first_policy(policy)?];
    database.default_policy = database.policies[0].name.clone();
    Ok(database)
}

/// What CREATE DATABASE of a database that exists comes to: nothing, unless it asks for another default policy.
pub(super) fn check_existing(
    database: &Database,
    policy: Option<&(String, PolicyOptions)>,
) -> Result<(), CatalogError> {
    if policy.is_none() {
        return Ok(());
    }
    let wanted = first_policy(policy)?;
    match database.main_policy() {
        Some(found) if found.name == wanted.name && is_same(found, &wanted) => Ok(()),
        _ => Err(CatalogError::PolicyConflict),
    }
}

fn first_policy(policy: Option<&(String, PolicyOptions)>) -> Result<RetentionPolicy, CatalogError> {
    let forever = (RetentionPolicy::FIRST.to_owned(), PolicyOptions::default());
    let (name, options) = policy.unwrap_or(&forever);
    new_policy(name, options)
}

/// CREATE RETENTION POLICY; `None` when the policy is there already.
pub(super) fn create(
    database: &Database,
    name: &str,
    options: &PolicyOptions,
) -> Result<Option<Database>, CatalogError> {
    let policy = new_policy(name, options)?;
    if let Some(found) = database.policy(name) {
        if !is_same(found, &policy) {
            return Err(CatalogError::PolicyExists);
        }
        if options.make_default && database.default_policy != policy.name {
            return Err(CatalogError::PolicyConflict);
        }
        return Ok(None);
    }
    let mut changed = database.clone();
    if options.make_default {
        changed.default_policy = policy.name.clone();
    }
    changed.policies.push(policy);
    Ok(Some(changed))
}

/// ALTER RETENTION POLICY. Tables that exist keep the partitions they were made with.
pub(super) fn alter(database: &Database, name: &str, options: &PolicyOptions) -> Result<Database, CatalogError> {
    let mut changed = database.clone();
    let Some(policy) = changed.policies.iter_mut().find(|policy| &*policy.name == name) else {
        return Err(CatalogError::PolicyNotFound(name.to_owned()));
    };
    if let Some(duration_ns) = options.duration_ns {
        policy.ttl_ns = Some(duration_ns).filter(|ns| *ns > 0);
    }
    if let Some(partition_ns) = options.shard_duration_ns {
        policy.partition_ns = partition_length(policy.ttl_ns, partition_ns);
    }
    policy.replication = options.replication.unwrap_or(policy.replication);
    check(policy)?;
    if options.make_default {
        changed.default_policy = name.into();
    }
    Ok(changed)
}

/// DROP RETENTION POLICY, and its tables go with it; `None` where there is none of that name.
pub(super) fn drop(database: &Database, name: &str) -> Option<Database> {
    database.policy(name)?;
    let mut changed = database.clone();
    changed.policies.retain(|policy| &*policy.name != name);
    Some(changed)
}

fn new_policy(name: &str, options: &PolicyOptions) -> Result<RetentionPolicy, CatalogError> {
    check_name(name)?;
    let ttl_ns = options.duration_ns.filter(|ns| *ns > 0);
    let policy = RetentionPolicy {
        name: name.into(),
        ttl_ns,
        partition_ns: partition_length(ttl_ns, options.shard_duration_ns.unwrap_or(0)),
        replication: options.replication.unwrap_or(1),
        tables: NameMap::new(),
    };
    check(&policy)?;
    Ok(policy)
}

fn check(policy: &RetentionPolicy) -> Result<(), CatalogError> {
    match policy.ttl_ns {
        Some(ns) if ns < DURATION_NS_MIN => Err(CatalogError::PolicyTooShort),
        Some(ns) if ns < policy.partition_ns => Err(CatalogError::PolicyShorterThanPartition),
        _ => Ok(()),
    }
}

/// The length of a partition: as asked for, or InfluxDB's for rows that are kept so long.
fn partition_length(ttl_ns: Option<i64>, wanted_ns: i64) -> i64 {
    match (wanted_ns, ttl_ns) {
        (1.., _) => wanted_ns.max(DURATION_NS_MIN),
        (_, Some(ns)) if ns < 2 * DAY_NS => HOUR_NS,
        (_, Some(ns)) if ns < 180 * DAY_NS => DAY_NS,
        _ => 7 * DAY_NS,
    }
}

fn is_same(one: &RetentionPolicy, other: &RetentionPolicy) -> bool {
    let terms = |policy: &RetentionPolicy| (policy.ttl_ns, policy.partition_ns, policy.replication);
    terms(one) == terms(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(duration_h: i64, shard_h: Option<i64>) -> PolicyOptions {
        PolicyOptions {
            duration_ns: Some(duration_h * HOUR_NS),
            replication: Some(1),
            shard_duration_ns: shard_h.map(|hours| hours * HOUR_NS),
            make_default: false,
        }
    }

    #[test]
    fn the_length_of_partitions_follows_the_duration() {
        for (hours, shard, expected) in [
            (0, None, 168),
            (1, None, 1),
            (47, None, 1),
            (48, None, 24),
            (180 * 24, None, 168),
            (0, Some(0), 168),
            (3, Some(2), 2),
        ] {
            let policy = new_policy("p", &options(hours, shard)).unwrap();
            assert_eq!(policy.partition_ns, expected * HOUR_NS, "{hours} {shard:?}");
            assert_eq!(policy.ttl_ns, Some(hours * HOUR_NS).filter(|ns| *ns > 0));
        }
        let short = PolicyOptions { shard_duration_ns: Some(1), ..options(2, None) };
        assert_eq!(new_policy("p", &short).unwrap().partition_ns, HOUR_NS);
        let seconds = PolicyOptions { duration_ns: Some(59 * 60_000_000_000), ..PolicyOptions::default() };
        assert_eq!(new_policy("p", &seconds).unwrap_err(), CatalogError::PolicyTooShort);
        assert_eq!(new_policy("p", &options(2, Some(3))).unwrap_err(), CatalogError::PolicyShorterThanPartition);
    }

    #[test]
    fn a_policy_made_again_must_be_the_same() {
        let first = new_database("d", None).unwrap();
        let database = create(&first, "p", &options(2, None)).unwrap().unwrap();
        assert_eq!(create(&database, "p", &options(2, None)), Ok(None));
        assert_eq!(create(&database, "p", &options(3, None)), Err(CatalogError::PolicyExists));
        let default = PolicyOptions { make_default: true, ..options(2, None) };
        assert_eq!(create(&database, "p", &default), Err(CatalogError::PolicyConflict));
        assert_eq!(&*database.default_policy, "autogen");
        let altered = alter(&database, "p", &PolicyOptions { make_default: true, ..PolicyOptions::default() }).unwrap();
        assert_eq!((&*altered.default_policy, altered.policy("p")), ("p", database.policy("p")));
        assert_eq!(alter(&database, "q", &default), Err(CatalogError::PolicyNotFound("q".into())));
        assert!(drop(&database, "q").is_none());
        let dropped = drop(&altered, "p").unwrap();
        assert!(dropped.main_policy().is_none(), "the name dangles");
        let wanted = ("autogen".to_owned(), PolicyOptions::default());
        assert_eq!(check_existing(&first, Some(&wanted)), Ok(()));
        assert_eq!(check_existing(&altered, Some(&wanted)), Err(CatalogError::PolicyConflict));
    }
}
