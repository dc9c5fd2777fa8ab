//! Random changes.

use std::sync::Arc;

use fastrand::Rng;
use tidewire_sql::tenancy::TenantAlteration;
use tidewire_sql::{DatabaseChange, Definition, PolicyOptions, TableChange};
use tidewire_storage::schema::{
    Access, ColumnKind, DEFAULT_TENANT, DatabaseOptions, ExternalTable, FieldType, FileFormat, Limiter, ObjectLimits,
    PasswordHash, SystemRole, TenantOptions, UserOptions, database_key,
};

use crate::catalog::change::{SchemaChange, TenantChange, UserChange};

const HOUR_NS: i64 = 3_600_000_000_000;

fn database(random: &mut Rng) -> String {
    match random.u8(0..5) {
        0 => database_key(&tenant(random), "d0").into_owned(),
        _ => ["public", "d0", "d1"][random.usize(0..3)].to_owned(),
    }
}

/// A tenant that is not always there.
fn tenant(random: &mut Rng) -> String {
    format!("x{}", random.u8(0..2))
}

fn policy(random: &mut Rng) -> String {
    ["autogen", "autogen", "p0", "p1"][random.usize(0..4)].to_owned()
}

fn table(random: &mut Rng) -> String {
    format!("t{}", random.u8(0..5))
}

fn column(random: &mut Rng) -> (String, ColumnKind) {
    let number = random.u8(0..8);
    let kind = match number {
        0 | 1 => ColumnKind::Tag,
        _ if random.u8(0..30) == 0 => ColumnKind::Field(FieldType::Bool),
        _ => ColumnKind::Field(FieldType::Int),
    };
    (format!("c{number}"), kind)
}

fn columns(random: &mut Rng) -> Vec<(String, ColumnKind)> {
    let mut columns: Vec<_> = (0..random.usize(1..5)).map(|_| column(random)).collect();
    columns.push(("c7".to_owned(), ColumnKind::Field(FieldType::Int)));
    columns.sort_by(|(one, _), (other, _)| one.cmp(other));
    columns.dedup_by(|(one, _), (other, _)| one == other);
    columns
}

/// A change that somebody wants.
pub(super) fn change(random: &mut Rng) -> SchemaChange {
    match random.u8(0..20) {
        0..=3 => return SchemaChange::User(user_change(random)),
        4..=7 => return SchemaChange::Tenant(tenant_change(random)),
        _ => {}
    }
    let (database, name) = (database(random), table(random));
    let options = PolicyOptions {
        duration_ns: random.bool().then(|| random.i64(1..50) * HOUR_NS),
        replication: Some(1),
        make_default: random.u8(0..4) == 0,
        ..PolicyOptions::default()
    };
    SchemaChange::Define(match random.u8(0..32) {
        0 => Definition::CreateDatabase { name: database, if_not_exists: random.bool(), options: options_of(random) },
        1 => Definition::EnsureDatabase { name: database, policy: None },
        2 => Definition::DropDatabase { name: database, if_exists: random.bool() },
        3 | 4 => Definition::CreatePolicy { database, name: policy(random), options },
        5 => Definition::AlterPolicy { database, name: policy(random), options },
        6 => Definition::DropPolicy { database, name: policy(random) },
        7 => Definition::DropMeasurement { database, name },
        8..=10 => Definition::DropTable { database, name, if_exists: random.bool() },
        11 => {
            let (if_not_exists, columns) = (random.bool(), columns(random));
            Definition::CreateTable {
                database,
                name,
                if_not_exists,
                columns,
                codecs: Vec::new(),
                geometries: Vec::new(),
            }
        }
        12 => {
            let ttl_ns = random.bool().then(|| random.i64(1..50) * HOUR_NS);
            let change =
                if random.bool() { DatabaseChange::Ttl(ttl_ns) } else { DatabaseChange::Shard(random.u64(1..4)) };
            Definition::AlterDatabase { name: database, change }
        }
        13 => {
            let (name_of, kind) = column(random);
            let change = TableChange::AddColumn { name: name_of, kind, codec: None, geometry: None };
            Definition::AlterTable { database, name, change }
        }
        14 if random.bool() => {
            let change = TableChange::RenameColumn { name: column(random).0, to: column(random).0 };
            Definition::AlterTable { database, name, change }
        }
        14..=16 => {
            let change = TableChange::DropColumn { name: column(random).0 };
            Definition::AlterTable { database, name, change }
        }
        17 | 18 => {
            let table = ExternalTable {
                name: name.into(),
                columns: Vec::new(),
                format: FileFormat::Json,
                location: format!("/f{}", random.u8(0..2)).into(),
            };
            Definition::CreateExternal { database, if_not_exists: random.bool(), table: Arc::new(table) }
        }
        _ => {
            let most = if random.u8(0..12) == 0 { 60 } else { 4 };
            let tables = (0..random.usize(1..most)).map(|number| match most {
                60 => (format!("many{number}"), columns(random)),
                _ => (table(random), columns(random)),
            });
            let tables = tables.collect();
            return SchemaChange::Ensure { database, policy: policy(random), tables };
        }
    })
}

/// A change of a user that somebody wants.
fn user_change(random: &mut Rng) -> UserChange {
    let (name, database) = (user(random), database(random));
    let password = PasswordHash::new(format!("$hash${}", random.u32(..)));
    let access = random.choice([Access::NONE, Access::READ, Access::WRITE, Access::ALL]).unwrap_or_default();
    match random.u8(0..9) {
        0 | 1 => {
            let (is_admin, if_not_exists, options) = (random.bool(), random.bool(), UserOptions::default());
            UserChange::Create { name, password, is_admin, options, if_not_exists }
        }
        7 => {
            let options = UserOptions { must_change_password: Some(random.bool()), comment: None };
            UserChange::SetOptions { name, options }
        }
        2 => UserChange::Drop { name, if_exists: random.bool() },
        3 => UserChange::Rename { name, to: user(random) },
        4 => UserChange::SetPassword { name, password },
        5 => UserChange::SetAdmin { name, is_admin: random.bool() },
        6 => UserChange::Grant { name, database, access },
        _ => UserChange::Revoke { name, database, access },
    }
}

fn user(random: &mut Rng) -> String {
    format!("u{}", random.u8(0..4))
}

/// A change of a tenant that somebody wants.
fn tenant_change(random: &mut Rng) -> TenantChange {
    let (name, now_ns) = (tenant(random), random.i64(0..100));
    match random.u8(0..16) {
        0..=2 => {
            let comment = random.bool().then(|| format!("c{}", random.u8(..)).into());
            let limiter = random.bool().then(|| Limiter {
                objects: Some(ObjectLimits { databases_max: Some(random.u64(0..3)), ..ObjectLimits::default() }),
                ..Limiter::default()
            });
            let options = TenantOptions { comment, limiter, drop_after_ns: None };
            TenantChange::Create { name, if_not_exists: random.bool(), options }
        }
        3 => {
            let after_ns = random.bool().then(|| random.i64(0..50));
            TenantChange::Drop { name, if_exists: random.bool(), after_ns, now_ns }
        }
        4 => TenantChange::Recover { name, if_exists: random.bool(), now_ns },
        5 => TenantChange::Purge { now_ns },
        _ => {
            // The default one is there also while nothing was said of it.
            let name = if random.bool() { DEFAULT_TENANT.to_owned() } else { name };
            TenantChange::Alter { name, alteration: tenant_alteration(random) }
        }
    }
}

fn tenant_alteration(random: &mut Rng) -> TenantAlteration {
    let user = user(random);
    let role = ["owner", "member", "r0", "r1"][random.usize(0..4)].to_owned();
    let (made, database) = (format!("r{}", random.u8(0..2)), ["public", "d0", "d1"][random.usize(0..3)].to_owned());
    let access = random.choice([Access::READ, Access::READ | Access::WRITE, Access::ALL]).unwrap_or_default();
    match random.u8(0..10) {
        0 | 1 => TenantAlteration::AddMember { user, role },
        2 => TenantAlteration::SetMember { user, role },
        3 => TenantAlteration::RemoveMember { user },
        4 => TenantAlteration::DropAfter(random.bool().then(|| random.i64(0..50))),
        5 | 6 => {
            let inherits = random.bool().then_some(SystemRole::Member);
            TenantAlteration::CreateRole { role: made, if_not_exists: random.bool(), inherits }
        }
        7 => TenantAlteration::DropRole { role: made, if_exists: random.bool() },
        8 => TenantAlteration::Grant { role: made, database, access },
        _ => TenantAlteration::Revoke { role: made, database, access },
    }
}

fn options_of(random: &mut Rng) -> DatabaseOptions {
    DatabaseOptions { ttl_ns: random.bool().then_some(90 * HOUR_NS), ..DatabaseOptions::default() }
}
