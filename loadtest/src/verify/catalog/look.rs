//! Reads what the server has of the clients' parts of the catalog.

use std::collections::BTreeMap;

use super::change::{DATABASES, TENANTS, USERS, database, tenant, user};
use super::world::{DEFAULT_TENANT, World};
use crate::csv::{self, Cells};
use crate::error::{Error, Result};
use crate::http::{self, Target};
use crate::write::encode;

/// The path of statements in a tenant.
pub(super) fn path(tenant: &str) -> String {
    format!("/api/v1/sql?db=public&tenant={}", encode(tenant))
}

/// The path of a statement of InfluxQL.
pub(super) fn influx_path(text: &str) -> String {
    format!("/query?q={}", encode(text))
}

fn ask(target: &Target, tenant: &str, text: &str) -> Result<Vec<Cells>> {
    csv::rows(text, http::call(target, &path(tenant), Some(csv::ACCEPT), Some(text.as_bytes()))?)
}

/// What each of the clients has. What belongs to none of them, and is not the server's own, is an error.
pub(super) fn look(target: &Target, clients: usize) -> Result<Vec<World>> {
    let mut worlds = vec![World::default(); clients];
    let mut users = BTreeMap::new();
    for row in ask(target, DEFAULT_TENANT, "SELECT user_name, user_options FROM cluster_schema.users")? {
        users.insert(row.text(0)?.to_owned(), comment(row.text(1)?)?);
    }
    let mut tenants = BTreeMap::new();
    for row in ask(target, DEFAULT_TENANT, "SELECT tenant_name, tenant_options FROM cluster_schema.tenants")? {
        tenants.insert(row.text(0)?.to_owned(), comment(row.text(1)?)?);
    }
    let of_default = databases(target, DEFAULT_TENANT)?;
    for (client, world) in worlds.iter_mut().enumerate() {
        for name in (0..USERS).map(|number| user(client, number)) {
            let Some(comment) = users.remove(&name) else { continue };
            world.set(format!("user/{name}"), comment);
            grants(target, &name, world)?;
        }
        for name in (0..TENANTS).map(|number| tenant(client, number)) {
            let Some(comment) = tenants.remove(&name) else { continue };
            let path = format!("tenant/{name}");
            world.set(path.clone(), comment);
            of_tenant(target, &name, &path, world)?;
        }
        for name in (0..DATABASES).map(|number| database(client, number)) {
            let own = format!("tenant/{DEFAULT_TENANT}/database/{name}");
            let is_own =
                |path: &str| path.strip_prefix(&*own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            for (path, value) in of_default.seen().filter(|(path, _)| is_own(path)) {
                world.set(path.to_owned(), value);
            }
        }
    }
    users.remove("root");
    tenants.remove(DEFAULT_TENANT);
    match users.keys().chain(tenants.keys()).next() {
        Some(name) => Err(Error::Reply(format!("{name} is there, which nobody made"))),
        None => Ok(worlds),
    }
}

/// The comment among options, which are JSON.
fn comment(options: &str) -> Result<String> {
    let bad = |error: serde_json::Error| Error::Reply(format!("options that are no JSON: {options}: {error}"));
    let options: serde_json::Value = serde_json::from_str(options).map_err(bad)?;
    Ok(options["comment"].as_str().unwrap_or_default().to_owned())
}

/// What InfluxQL says was granted to a user.
fn grants(target: &Target, user: &str, world: &mut World) -> Result<()> {
    let text = format!("SHOW GRANTS FOR \"{user}\"");
    let reply = http::call(target, &influx_path(&text), Some(csv::ACCEPT), Some(b""))?;
    for row in csv::rows(&text, reply)? {
        // Name and tags of the series come first.
        world.set(format!("user/{user}/on/{}", row.text(2)?), row.text(3)?);
    }
    Ok(())
}

fn of_tenant(target: &Target, tenant: &str, path: &str, world: &mut World) -> Result<()> {
    for row in ask(target, tenant, "SELECT user_name, role_name FROM information_schema.members")? {
        world.set(format!("{path}/member/{}", row.text(0)?), row.text(1)?);
    }
    let roles = "SELECT role_name, inherit_role FROM information_schema.roles WHERE role_type = 'custom'";
    for row in ask(target, tenant, roles)? {
        world.set(format!("{path}/role/{}", row.text(0)?), row.text(1)?);
    }
    let privileges = "SELECT role_name, database_name, privilege_type FROM information_schema.database_privileges";
    for row in ask(target, tenant, privileges)? {
        world.set(format!("{path}/role/{}/on/{}", row.text(0)?, row.text(1)?), row.text(2)?);
    }
    for (path, value) in databases(target, tenant)?.seen() {
        world.set(path.to_owned(), value);
    }
    Ok(())
}

/// The databases of a tenant with their tables and columns.
fn databases(target: &Target, tenant: &str) -> Result<World> {
    let mut world = World::default();
    let path = |row: &Cells| Ok::<_, Error>(format!("tenant/{tenant}/database/{}", row.text(0)?));
    for row in ask(target, tenant, "SELECT database_name, ttl FROM information_schema.databases")? {
        let days: String = row.text(1)?.chars().take_while(char::is_ascii_digit).collect();
        world.set(path(&row)?, days);
    }
    for row in ask(target, tenant, "SELECT table_database, table_name FROM information_schema.tables")? {
        world.set(format!("{}/table/{}", path(&row)?, row.text(1)?), "");
    }
    let columns = "SELECT database_name, table_name, column_name FROM information_schema.columns \
                   WHERE column_type = 'FIELD'";
    for row in ask(target, tenant, columns)? {
        world.set(format!("{}/table/{}/column/{}", path(&row)?, row.text(1)?, row.text(2)?), "");
    }
    Ok(world)
}
