//! What two catalogs have in common: what may be shown while it is open which of them is on disk.
//!
//! A change whose save failed may be in force after the next start, or not. Until that is known, nothing may be
//! acknowledged that would be gone with either of the two: no table, column, continuous query or subscription is shown
//! that one of them lacks, or has under another name, and rows are kept for the shorter time of both. Nobody may do
//! what one of them does not let him.

use std::sync::Arc;

use tidewire_storage::names::NameMap;
use tidewire_storage::schema::{
    Access, Catalog, ContinuousQuery, CustomRole, Database, ExternalTable, RetentionPolicy, TableSchema, Tenant, User,
};

use super::edit::has_named;

/// What `known` and `other` have in common, in `known`'s words.
pub(super) fn common(known: &Catalog, other: &Catalog) -> Catalog {
    let mut catalog = known.clone();
    for (name, database) in known.databases.iter() {
        match other.databases.get(name) {
            Some(other) if Arc::ptr_eq(database, other) => {}
            Some(other) => {
                catalog.databases.insert(name.clone(), Arc::new(common_database(database, other)));
            }
            None => {
                catalog.databases.remove(name);
            }
        }
    }
    for (name, user) in known.users.iter() {
        match other.users.get(name) {
            Some(other) if Arc::ptr_eq(user, other) => {}
            Some(other) => {
                catalog.users.insert(name.clone(), Arc::new(common_user(user, other)));
            }
            None => {
                catalog.users.remove(name);
            }
        }
    }
    for (name, tenant) in known.tenants.iter() {
        match other.tenants.get(name) {
            Some(other) if Arc::ptr_eq(tenant, other) => {}
            Some(other) => {
                catalog.tenants.insert(name.clone(), Arc::new(common_tenant(tenant, other)));
            }
            None => {
                catalog.tenants.remove(name);
            }
        }
    }
    catalog.next_table = known.next_table.max(other.next_table);
    catalog
}

fn common_user(known: &User, other: &User) -> User {
    let access = |(name, access): (&Arc<str>, &Access)| (name.clone(), access.common(other.access(name)));
    User {
        is_admin: known.is_admin && other.is_admin,
        grants: known.grants.iter().map(access).collect(),
        ..known.clone()
    }
}

/// A member keeps a role that both give it, and a role what both let it do.
fn common_tenant(known: &Tenant, other: &Tenant) -> Tenant {
    let is_member = |(user, role): &(&Arc<str>, &Arc<str>)| other.members.get(*user) == Some(*role);
    let role = |(name, known): (&Arc<str>, &CustomRole)| {
        let other = other.roles.get(name)?;
        let access = |(database, access): (&Arc<str>, &Access)| {
            let other = other.privileges.get(database).copied().unwrap_or_default();
            (database.clone(), access.common(other))
        };
        let inherits = known.inherits.filter(|inherits| other.inherits == Some(*inherits));
        Some((name.clone(), CustomRole { inherits, privileges: known.privileges.iter().map(access).collect() }))
    };
    Tenant {
        members: known.members.iter().filter(is_member).map(|(user, role)| (user.clone(), role.clone())).collect(),
        roles: known.roles.iter().filter_map(role).collect(),
        gone_at_ns: known.gone_at_ns.or(other.gone_at_ns),
        ..known.clone()
    }
}

fn common_database(known: &Database, other: &Database) -> Database {
    let policy = |known: &RetentionPolicy| Some(common_policy(known, other.policy(&known.name)?));
    let is_common = |query: &&ContinuousQuery| other.continuous_queries.contains(query);
    let is_there_too = |(name, table): &(&Arc<str>, &Arc<ExternalTable>)| other.external.get(name) == Some(*table);
    Database {
        policies: known.policies.iter().filter_map(policy).collect(),
        continuous_queries: known.continuous_queries.iter().filter(is_common).cloned().collect(),
        subscriptions: known.subscriptions.iter().filter(|one| other.subscriptions.contains(one)).cloned().collect(),
        external: known
            .external
            .iter()
            .filter(is_there_too)
            .map(|(name, table)| (name.clone(), table.clone()))
            .collect(),
        ..known.clone()
    }
}

fn common_policy(known: &RetentionPolicy, other: &RetentionPolicy) -> RetentionPolicy {
    let ttl_ns = match (known.ttl_ns, other.ttl_ns) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let table = |(name, known): (&Arc<str>, &Arc<TableSchema>)| {
        let other = other.tables.get(name).filter(|other| other.id == known.id)?;
        Some((name.clone(), common_table(known, other)))
    };
    let tables: NameMap<_> = known.tables.iter().filter_map(table).collect();
    RetentionPolicy { ttl_ns, tables, ..known.clone() }
}

fn common_table(known: &Arc<TableSchema>, other: &Arc<TableSchema>) -> Arc<TableSchema> {
    if known.columns.iter().all(|column| has_named(other, column)) {
        return known.clone();
    }
    let mut table = TableSchema::clone(known);
    table.columns.retain(|column| has_named(other, column));
    Arc::new(table)
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{PasswordHash, SystemRole};

    use super::*;
    use crate::catalog::initial::initial;

    #[test]
    fn a_user_may_do_what_both_catalogs_let_it() {
        let user = |name: &str, hash: &str, is_admin, grants: &[(&str, Access)]| User {
            name: name.into(),
            password: PasswordHash::new(hash),
            is_admin,
            grants: grants.iter().map(|(database, access)| ((*database).into(), *access)).collect(),
            options: Default::default(),
        };
        let with = |users: &[User]| {
            let users = users.iter().map(|user| (user.name.clone(), Arc::new(user.clone()))).collect();
            Catalog { users, ..initial() }
        };
        let both = Access::READ | Access::WRITE;
        let known = with(&[
            user("changed", "$old", false, &[("d", both), ("e", Access::READ)]),
            user("dropped", "$h", true, &[]),
            user("raised", "$h", false, &[("d", Access::READ)]),
            user("lowered", "$h", true, &[]),
        ]);
        let other = with(&[
            user("changed", "$new", false, &[("d", Access::READ)]),
            user("made", "$h", true, &[]),
            user("raised", "$h", true, &[("d", Access::READ)]),
            user("lowered", "$h", false, &[]),
        ]);
        let expected = with(&[
            user("changed", "$old", false, &[("d", Access::READ), ("e", Access::NONE)]),
            user("raised", "$h", false, &[("d", Access::READ)]),
            user("lowered", "$h", false, &[]),
        ]);
        assert_eq!(common(&known, &other), expected);
    }

    #[test]
    fn a_member_has_the_role_and_the_rights_that_both_catalogs_give_it() {
        let both = Access::READ | Access::WRITE;
        let tenant = |name: &str, members: &[(&str, &str)], inherits, access, gone_at_ns| Tenant {
            members: members.iter().map(|(user, role)| ((*user).into(), (*role).into())).collect(),
            roles: [("r".into(), CustomRole { inherits, privileges: [("d".into(), access)].into() })].into(),
            gone_at_ns,
            ..Tenant::new(name)
        };
        let with = |tenants: &[Tenant]| {
            let tenants = tenants.iter().map(|tenant| (tenant.name.clone(), Arc::new(tenant.clone()))).collect();
            Catalog { tenants, ..initial() }
        };
        let member = Some(SystemRole::Member);
        let known = with(&[
            tenant("t", &[("stays", "r"), ("raised", "member"), ("removed", "owner")], member, both, None),
            tenant("made", &[], None, both, None),
            tenant("recovered", &[], None, both, None),
        ]);
        let other = with(&[
            tenant("t", &[("stays", "r"), ("raised", "owner"), ("added", "owner")], None, Access::READ, None),
            tenant("recovered", &[], None, both, Some(7)),
        ]);
        let expected = with(&[
            tenant("t", &[("stays", "r")], None, Access::READ, None),
            tenant("recovered", &[], None, both, Some(7)),
        ]);
        assert_eq!(common(&known, &other), expected);
        assert!(common(&known, &other).tenant("recovered").is_none());
    }
}
