//! Tenants: what a change of them comes to, as pure functions over one catalog.
//!
//! A member or a role is part of its tenant, which is recorded as it is after the change. What goes takes along what
//! was said of it: a user its memberships, a database what roles may do in it, a tenant its databases.

use std::sync::Arc;

use tidewire_sql::tenancy::TenantAlteration;
use tidewire_storage::schema::{
    Access, Catalog, CustomRole, DEFAULT_TENANT, DROP_NEVER, Database, DatabaseOptions, Limiter, SystemRole, Tenant,
    User, database_key, is_reserved, tenant_and_database,
};

use super::change::TenantChange;
use super::decided::{Decided, nothing_if};
use super::edit::Edit;
use super::error::{CatalogError, NameFault, TenantLimit};
use super::name::check_name;

/// What `change` does to `catalog`.
pub(super) fn decide(catalog: &Catalog, change: &TenantChange) -> Decided {
    match change {
        TenantChange::Create { name, if_not_exists, options } => {
            if *name == *DEFAULT_TENANT || catalog.tenants.contains_key(name) {
                return nothing_if(*if_not_exists, || CatalogError::TenantExists(name.clone()));
            }
            check_tenant_name(name)?;
            Ok(vec![Edit::Tenant(Tenant { options: options.clone(), ..Tenant::new(name) })])
        }
        TenantChange::Drop { name, .. } if *name == *DEFAULT_TENANT => Err(CatalogError::TenantProtected(name.clone())),
        TenantChange::Drop { name, if_exists, after_ns, now_ns } => {
            let Some(tenant) = catalog.tenant(name) else {
                return nothing_if(*if_exists, || CatalogError::TenantNotFound(name.clone()));
            };
            match after_ns.or(tenant.options.drop_after_ns) {
                None | Some(..=0) => Ok(gone(catalog, &tenant)),
                Some(after_ns) => {
                    let gone_at_ns = Some(now_ns.saturating_add(after_ns));
                    Ok(vec![Edit::Tenant(Tenant { gone_at_ns, ..Tenant::clone(&tenant) })])
                }
            }
        }
        TenantChange::Recover { name, if_exists, now_ns } => {
            let dropped = catalog.tenants.get(name).filter(|tenant| is_there_until(tenant) > *now_ns);
            match dropped {
                Some(tenant) if tenant.gone_at_ns.is_some() => {
                    Ok(vec![Edit::Tenant(Tenant { gone_at_ns: None, ..Tenant::clone(tenant) })])
                }
                // One that is there need not be recovered.
                Some(_) => Ok(Vec::new()),
                None => nothing_if(*if_exists, || CatalogError::TenantNotFound(name.clone())),
            }
        }
        TenantChange::Purge { now_ns } => {
            let over = catalog.tenants.values().filter(|tenant| is_there_until(tenant) <= *now_ns);
            Ok(over.flat_map(|tenant| gone(catalog, tenant)).collect())
        }
        TenantChange::Alter { name, alteration } => alter(catalog, name, alteration),
    }
}

/// When a tenant goes, which is never where it was not dropped.
fn is_there_until(tenant: &Tenant) -> i64 {
    tenant.gone_at_ns.unwrap_or(DROP_NEVER)
}

fn alter(catalog: &Catalog, name: &str, alteration: &TenantAlteration) -> Decided {
    let tenant = catalog.tenant(name).ok_or_else(|| CatalogError::TenantNotFound(name.to_owned()))?;
    let mut changed = Tenant::clone(&tenant);
    match alteration {
        TenantAlteration::AddMember { user, role } => {
            let user = find_user(catalog, user)?;
            check_role(&tenant, role)?;
            if tenant.members.contains_key(&user.name) {
                return Err(CatalogError::MemberExists(user.name.to_string()));
            }
            let limit = tenant.options.object_limits().and_then(|limits| limits.users_max);
            check_limit(limit, tenant.members.len() as u64 + 1, TenantLimit::Users)?;
            changed.members.insert(user.name.clone(), role.as_str().into());
        }
        TenantAlteration::SetMember { user, role } => {
            let user = find_user(catalog, user)?;
            check_role(&tenant, role)?;
            let member = changed.members.get_mut(&user.name);
            *member.ok_or_else(|| CatalogError::MemberNotFound(user.name.to_string()))? = role.as_str().into();
        }
        TenantAlteration::RemoveMember { user } => {
            let removed = changed.members.remove(user.as_str());
            removed.ok_or_else(|| CatalogError::MemberNotFound(user.clone()))?;
        }
        TenantAlteration::Comment(comment) => changed.options.comment.clone_from(comment),
        TenantAlteration::DropAfter(after_ns) => changed.options.drop_after_ns = *after_ns,
        TenantAlteration::Limiter(None) => changed.options.limiter = None,
        TenantAlteration::Limiter(Some(_)) if *name == *DEFAULT_TENANT => {
            return Err(CatalogError::TenantUnlimited(name.to_owned()));
        }
        TenantAlteration::Limiter(Some(limiter)) => {
            changed.options.limiter = Some(merged(tenant.options.limiter.clone().unwrap_or_default(), limiter));
        }
        TenantAlteration::CreateRole { role, if_not_exists, inherits } => {
            if tenant.has_role(role) {
                return nothing_if(*if_not_exists, || CatalogError::RoleExists(role.clone()));
            }
            check_name(role)?;
            let made = CustomRole { inherits: *inherits, ..CustomRole::default() };
            changed.roles.insert(role.as_str().into(), made);
        }
        TenantAlteration::DropRole { role, .. } if SystemRole::of_name(role).is_some() => {
            return Err(CatalogError::RoleProtected(role.clone()));
        }
        TenantAlteration::DropRole { role, if_exists } => {
            if changed.roles.remove(role.as_str()).is_none() {
                return nothing_if(*if_exists, || CatalogError::RoleNotFound(role.clone()));
            }
            // Who had it is a member no more: another role of its name must not fall to him.
            changed.members.retain(|_, had| **had != **role);
        }
        TenantAlteration::Grant { role, database, access } => {
            let held = privilege(catalog, &mut changed, role, database)?;
            *held = *held | *access;
        }
        TenantAlteration::Revoke { role, database, access } => {
            let held = privilege(catalog, &mut changed, role, database)?;
            // Everything is taken away, whatever there is of it; less only if it is there.
            if held.is_none() || (*access != Access::ALL && !held.has(*access)) {
                return Err(CatalogError::NotGranted { role: role.clone(), database: database.clone() });
            }
            *held = match *access {
                access if access.has(Access::DEFINE) || access == Access::READ => Access::NONE,
                _ => Access::READ,
            };
            for role in changed.roles.values_mut() {
                role.privileges.retain(|_, access| !access.is_none());
            }
        }
    }
    if changed == *tenant { Ok(Vec::new()) } else { Ok(vec![Edit::Tenant(changed)]) }
}

/// What a role may do in a database, which must be there, to be changed.
fn privilege<'t>(
    catalog: &Catalog,
    tenant: &'t mut Tenant,
    role: &str,
    database: &str,
) -> Result<&'t mut Access, CatalogError> {
    if SystemRole::of_name(role).is_some() {
        return Err(CatalogError::RoleProtected(role.to_owned()));
    }
    let key = database_key(&tenant.name, database);
    let role = tenant.roles.get_mut(role).ok_or_else(|| CatalogError::RoleNotFound(role.to_owned()))?;
    if !catalog.databases.contains_key(&key) {
        return Err(CatalogError::DatabaseNotFound(key.into_owned()));
    }
    Ok(role.privileges.entry(database.into()).or_default())
}

/// What a limiter comes to where some limits are set.
fn merged(mut limiter: Limiter, told: &Limiter) -> Limiter {
    if let Some(told) = &told.objects {
        let mut objects = limiter.objects.unwrap_or_default();
        objects.users_max = told.users_max.or(objects.users_max);
        objects.databases_max = told.databases_max.or(objects.databases_max);
        objects.shards_max = told.shards_max.or(objects.shards_max);
        objects.replicas_max = told.replicas_max.or(objects.replicas_max);
        objects.retention_days_max = told.retention_days_max.or(objects.retention_days_max);
        limiter.objects = Some(objects);
    }
    limiter.requests.extend(told.requests.iter().map(|(kind, bucket)| (*kind, *bucket)));
    limiter
}

fn find_user<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Arc<User>, CatalogError> {
    catalog.users.get(name).ok_or_else(|| CatalogError::UserNotFound(name.to_owned()))
}

fn check_role(tenant: &Tenant, role: &str) -> Result<(), CatalogError> {
    if tenant.has_role(role) { Ok(()) } else { Err(CatalogError::RoleNotFound(role.to_owned())) }
}

fn check_limit(limit: Option<u64>, wanted: u64, what: TenantLimit) -> Result<(), CatalogError> {
    match limit {
        Some(max) if wanted > max => Err(CatalogError::TenantLimit { what, max }),
        _ => Ok(()),
    }
}

/// A tenant has a name of which paths, keys and metrics can be made.
fn check_tenant_name(name: &str) -> Result<(), CatalogError> {
    let bad = |fault| Err(CatalogError::BadName { name: name.chars().take(64).collect(), fault });
    if name.trim().is_empty() {
        return bad(NameFault::Empty);
    }
    if name.contains('/') || is_reserved(name) {
        return bad(NameFault::Reserved);
    }
    check_name(name)
}

/// Refuses a name for a database that leads to none, or into a tenant that is not there.
pub(super) fn check_database_key(catalog: &Catalog, key: &str) -> Result<(), CatalogError> {
    let (tenant, database) = tenant_and_database(key);
    if catalog.tenant(tenant).is_none() {
        return Err(CatalogError::TenantNotFound(tenant.to_owned()));
    }
    if is_reserved(database) {
        return Err(CatalogError::BadName { name: database.chars().take(64).collect(), fault: NameFault::Reserved });
    }
    check_name(database)
}

/// Refuses a new database that its tenant may not have.
pub(super) fn check_new_database(catalog: &Catalog, key: &str, options: &DatabaseOptions) -> Result<(), CatalogError> {
    let (tenant, _) = tenant_and_database(key);
    let Some(tenant) = catalog.tenant(tenant) else { return Err(CatalogError::TenantNotFound(tenant.to_owned())) };
    let Some(limits) = tenant.options.object_limits() else { return Ok(()) };
    check_limit(limits.databases_max, catalog.databases_of(&tenant.name).count() as u64 + 1, TenantLimit::Databases)?;
    check_terms(&tenant, options.ttl_ns, options.stored.shard, options.stored.replica)
}

/// Refuses terms of a database that its tenant may not have.
pub(super) fn check_changed_database(catalog: &Catalog, changed: &Database) -> Result<(), CatalogError> {
    let Some(tenant) = catalog.tenant(tenant_and_database(&changed.name).0) else { return Ok(()) };
    let ttl_ns = changed.main_policy().and_then(|policy| policy.ttl_ns);
    check_terms(&tenant, ttl_ns, changed.stored.shard, changed.stored.replica)
}

fn check_terms(tenant: &Tenant, ttl_ns: Option<i64>, shard: u64, replica: u64) -> Result<(), CatalogError> {
    const DAY_NS: u64 = 86_400_000_000_000;
    let Some(limits) = tenant.options.object_limits() else { return Ok(()) };
    check_limit(limits.shards_max, shard, TenantLimit::Shards)?;
    check_limit(limits.replicas_max, replica, TenantLimit::Replicas)?;
    let days = ttl_ns.map_or(u64::MAX, |ns| ns.unsigned_abs().div_ceil(DAY_NS));
    check_limit(limits.retention_days_max, days, TenantLimit::RetentionDays)
}

/// All that goes with a tenant.
fn gone(catalog: &Catalog, tenant: &Tenant) -> Vec<Edit> {
    let granted = catalog.users.values().filter_map(|user| {
        let mut changed = User::clone(user);
        changed.grants.retain(|key, _| tenant_and_database(key).0 != &*tenant.name);
        (changed.grants.len() < user.grants.len()).then_some(Edit::User(changed))
    });
    let databases =
        catalog.databases_of(&tenant.name).map(|database| Edit::DropDatabase { name: database.name.clone() });
    granted.chain(databases).chain([Edit::DropTenant { name: tenant.name.clone() }]).collect()
}

/// What tenants become when a database goes.
pub(super) fn without_database<'c>(catalog: &'c Catalog, key: &'c str) -> Option<Edit> {
    let (tenant, database) = tenant_and_database(key);
    let tenant = catalog.tenants.get(tenant)?;
    if !tenant.roles.values().any(|role| role.privileges.contains_key(database)) {
        return None;
    }
    let mut changed = Tenant::clone(tenant);
    for role in changed.roles.values_mut() {
        role.privileges.remove(database);
    }
    Some(Edit::Tenant(changed))
}

/// What tenants become when a user has another name, or none.
pub(super) fn with_member<'c>(catalog: &'c Catalog, user: &'c str, to: Option<&'c str>) -> impl Iterator<Item = Edit> {
    let tenants = catalog.tenants.values().filter(move |tenant| tenant.members.contains_key(user));
    tenants.map(move |tenant| {
        let mut changed = Tenant::clone(tenant);
        let role = changed.members.remove(user);
        changed.members.extend(to.map(Arc::from).zip(role));
        Edit::Tenant(changed)
    })
}

#[cfg(test)]
mod tests {
    use tidewire_sql::Definition;
    use tidewire_storage::schema::{ObjectLimits, PasswordHash, TenantOptions, UserOptions};

    use super::*;
    use crate::catalog::change::{SchemaChange, UserChange};
    use crate::catalog::initial::initial;
    use crate::catalog::preview::preview;

    fn make(catalog: &Catalog, change: impl Into<SchemaChange>) -> Result<Catalog, CatalogError> {
        preview(catalog, &change.into())
    }

    fn create(catalog: &Catalog, name: &str) -> Result<Catalog, CatalogError> {
        let options = TenantOptions::default();
        make(catalog, SchemaChange::Tenant(TenantChange::Create { name: name.into(), if_not_exists: false, options }))
    }

    fn alter(catalog: &Catalog, name: &str, alteration: TenantAlteration) -> Result<Catalog, CatalogError> {
        make(catalog, SchemaChange::Tenant(TenantChange::Alter { name: name.into(), alteration }))
    }

    fn drop(catalog: &Catalog, name: &str, after_ns: Option<i64>) -> Result<Catalog, CatalogError> {
        let (name, if_exists, now_ns) = (name.to_owned(), false, 100);
        make(catalog, SchemaChange::Tenant(TenantChange::Drop { name, if_exists, after_ns, now_ns }))
    }

    fn database(catalog: &Catalog, key: &str) -> Result<Catalog, CatalogError> {
        let (name, options) = (key.to_owned(), DatabaseOptions::default());
        make(catalog, SchemaChange::Define(Definition::CreateDatabase { name, if_not_exists: false, options }))
    }

    fn user(catalog: &Catalog, name: &str) -> Catalog {
        let (password, options) = (PasswordHash::new("$h"), UserOptions::default());
        let change = UserChange::Create { name: name.into(), password, is_admin: false, options, if_not_exists: false };
        make(catalog, SchemaChange::User(change)).unwrap()
    }

    #[test]
    fn tenants_come_with_no_database_and_go_with_all_of_them() {
        let key = database_key("t", "d").into_owned();
        assert_eq!(database(&initial(), &key).unwrap_err(), CatalogError::TenantNotFound("t".into()));
        let catalog = create(&initial(), "t").unwrap();
        assert_eq!(create(&catalog, "t").unwrap_err(), CatalogError::TenantExists("t".into()));
        assert_eq!(create(&catalog, "cnosdb").unwrap_err(), CatalogError::TenantExists("cnosdb".into()));
        for name in ["", "  ", "a/b", "a\u{1f}b"] {
            assert!(matches!(create(&catalog, name), Err(CatalogError::BadName { .. })), "{name:?}");
        }
        let catalog = database(&database(&catalog, &key).unwrap(), "d").unwrap();
        assert_eq!(catalog.databases_of("t").count(), 1);
        // Another tenant's database is not to be made in InfluxQL's words.
        let ensure = Definition::EnsureDatabase { name: database_key("t", "e").into_owned(), policy: None };
        assert!(matches!(make(&catalog, SchemaChange::Define(ensure)), Err(CatalogError::BadName { .. })));
        let granted = UserChange::Grant { name: "u".into(), database: key.clone(), access: Access::READ };
        let granted = make(&user(&catalog, "u"), SchemaChange::User(granted)).unwrap();
        let gone = drop(&granted, "t", None).unwrap();
        assert!(gone.databases_of("t").next().is_none() && gone.tenant("t").is_none());
        assert!(gone.databases.contains_key("d") && gone.users["u"].grants.is_empty());
        assert_eq!(drop(&gone, "t", None).unwrap_err(), CatalogError::TenantNotFound("t".into()));
        assert_eq!(drop(&gone, "cnosdb", None).unwrap_err(), CatalogError::TenantProtected("cnosdb".into()));
    }

    #[test]
    fn a_tenant_that_is_dropped_for_later_can_be_recovered_until_then() {
        let key = database_key("t", "d").into_owned();
        let catalog = database(&create(&initial(), "t").unwrap(), &key).unwrap();
        let hidden = drop(&catalog, "t", Some(50)).unwrap();
        assert!(hidden.tenant("t").is_none() && hidden.databases.contains_key(&key));
        assert_eq!(create(&hidden, "t").unwrap_err(), CatalogError::TenantExists("t".into()));
        let recover = |catalog: &Catalog, now_ns| {
            let (name, if_exists) = ("t".to_owned(), false);
            make(catalog, SchemaChange::Tenant(TenantChange::Recover { name, if_exists, now_ns }))
        };
        assert_eq!(recover(&hidden, 149).unwrap(), catalog);
        assert_eq!(recover(&hidden, 150).unwrap_err(), CatalogError::TenantNotFound("t".into()));
        let purge = |now_ns| make(&hidden, SchemaChange::Tenant(TenantChange::Purge { now_ns })).unwrap();
        assert_eq!(purge(149), hidden);
        assert!(!purge(150).databases.contains_key(&key) && purge(150).tenants.is_empty());
        // What its options say counts where the statement says nothing.
        let kept = alter(&catalog, "t", TenantAlteration::DropAfter(Some(50))).unwrap();
        assert!(drop(&kept, "t", None).unwrap().databases.contains_key(&key));
        assert!(!drop(&kept, "t", Some(0)).unwrap().databases.contains_key(&key));
    }

    #[test]
    fn members_and_roles_come_and_go() {
        let key = database_key("t", "d").into_owned();
        let catalog = user(&database(&create(&initial(), "t").unwrap(), &key).unwrap(), "u");
        let add = |role: &str| TenantAlteration::AddMember { user: "u".into(), role: role.into() };
        assert_eq!(alter(&catalog, "t", add("r")).unwrap_err(), CatalogError::RoleNotFound("r".into()));
        let role = |if_not_exists| {
            let inherits = Some(SystemRole::Member);
            TenantAlteration::CreateRole { role: "r".into(), if_not_exists, inherits }
        };
        let catalog = alter(&alter(&catalog, "t", role(false)).unwrap(), "t", add("r")).unwrap();
        assert_eq!(alter(&catalog, "t", role(false)).unwrap_err(), CatalogError::RoleExists("r".into()));
        assert_eq!(alter(&catalog, "t", role(true)).unwrap(), catalog);
        assert_eq!(alter(&catalog, "t", add("owner")).unwrap_err(), CatalogError::MemberExists("u".into()));
        let access = |catalog: &Catalog| catalog.tenant("t").unwrap().access("u", &key);
        assert_eq!(access(&catalog), Access::READ);
        let grant =
            |database: &str, access| TenantAlteration::Grant { role: "r".into(), database: database.into(), access };
        let revoke = |access| TenantAlteration::Revoke { role: "r".into(), database: "d".into(), access };
        let both = Access::READ | Access::WRITE;
        let nowhere = CatalogError::DatabaseNotFound(database_key("t", "public").into_owned());
        assert_eq!(alter(&catalog, "t", grant("public", both)).unwrap_err(), nowhere);
        let writes = alter(&catalog, "t", grant("d", both)).unwrap();
        assert_eq!(
            (access(&writes), access(&alter(&writes, "t", grant("d", Access::ALL)).unwrap())),
            (both, Access::ALL)
        );
        let not_granted = CatalogError::NotGranted { role: "r".into(), database: "d".into() };
        assert_eq!(alter(&catalog, "t", revoke(both)).unwrap_err(), not_granted);
        assert_eq!(alter(&writes, "t", revoke(Access::ALL)).unwrap(), catalog);
        let privileges = |catalog: &Catalog| catalog.tenants["t"].roles["r"].privileges.get("d").copied();
        assert_eq!(privileges(&alter(&writes, "t", revoke(both)).unwrap()), Some(Access::READ));
        assert_eq!(privileges(&alter(&writes, "t", revoke(Access::READ)).unwrap()), None);
        // What was granted on a database goes with it.
        let dropped = Definition::DropDatabase { name: key.clone(), if_exists: false };
        let again = database(&make(&writes, SchemaChange::Define(dropped)).unwrap(), &key).unwrap();
        assert_eq!(privileges(&again), None);
        // Members go with their role, and with their user; a user's new name is a member.
        let unroled = TenantAlteration::DropRole { role: "r".into(), if_exists: false };
        assert!(alter(&writes, "t", unroled).unwrap().tenants["t"].members.is_empty());
        let owner = TenantAlteration::DropRole { role: "owner".into(), if_exists: true };
        assert_eq!(alter(&writes, "t", owner).unwrap_err(), CatalogError::RoleProtected("owner".into()));
        let rename = UserChange::Rename { name: "u".into(), to: "w".into() };
        let renamed = make(&writes, SchemaChange::User(rename)).unwrap();
        assert_eq!(renamed.tenants["t"].role_of("w"), Some("r"));
        let nobody = UserChange::Drop { name: "w".into(), if_exists: false };
        assert!(make(&renamed, SchemaChange::User(nobody)).unwrap().tenants["t"].members.is_empty());
    }

    #[test]
    fn limits_hold_and_are_changed_one_by_one() {
        let limits = |users_max, databases_max| {
            let objects = Some(ObjectLimits { users_max, databases_max, ..ObjectLimits::default() });
            TenantAlteration::Limiter(Some(Limiter { objects, ..Limiter::default() }))
        };
        let catalog = create(&initial(), "t").unwrap();
        let catalog = alter(&catalog, "t", limits(Some(1), Some(1))).unwrap();
        let (d, e) = (database_key("t", "d").into_owned(), database_key("t", "e").into_owned());
        let catalog = user(&user(&database(&catalog, &d).unwrap(), "u"), "w");
        let full = CatalogError::TenantLimit { what: TenantLimit::Databases, max: 1 };
        assert_eq!(database(&catalog, &e).unwrap_err(), full);
        let add = |user: &str| TenantAlteration::AddMember { user: user.into(), role: "owner".into() };
        let catalog = alter(&catalog, "t", add("u")).unwrap();
        let full = CatalogError::TenantLimit { what: TenantLimit::Users, max: 1 };
        assert_eq!(alter(&catalog, "t", add("w")).unwrap_err(), full);
        let more = alter(&catalog, "t", limits(None, Some(2))).unwrap();
        assert!(database(&more, &e).is_ok() && alter(&more, "t", add("w")).is_err());
        let none = alter(&more, "t", TenantAlteration::Limiter(None)).unwrap();
        assert!(alter(&none, "t", add("w")).is_ok());
        let refused = CatalogError::TenantUnlimited("cnosdb".into());
        assert_eq!(alter(&more, "cnosdb", limits(Some(1), None)).unwrap_err(), refused);
    }
}
