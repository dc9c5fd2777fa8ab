//! Changes of a client's part of the catalog: the statement, and what must be there when it was carried out.

use super::world::{DEFAULT_TENANT, World};

/// Names that a client has of each kind.
pub(super) const USERS: usize = 3;
pub(super) const TENANTS: usize = 2;
const ROLES: usize = 3;
pub(super) const DATABASES: usize = 2;
const TABLES: usize = 2;
/// Fields of a table, of which the first is always there.
const COLUMNS: usize = 4;

/// Where a statement is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    /// SQL in a tenant.
    Sql { tenant: String },
    /// InfluxQL.
    Influx,
}

/// A statement that changes something.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) text: String,
    pub(super) door: Door,
    /// What is there behind it; `None` where it must be refused.
    pub(super) after: Option<World>,
}

/// The name of a client's user.
pub(super) fn user(client: usize, number: usize) -> String {
    format!("u{client}_{number}")
}

/// The name of a client's tenant.
pub(super) fn tenant(client: usize, number: usize) -> String {
    format!("t{client}_{number}")
}

/// The name of a client's database in the default tenant.
pub(super) fn database(client: usize, number: usize) -> String {
    format!("p{client}_{number}")
}

/// A statement that may come next; most can be carried out.
pub(super) fn draw(world: &World, client: usize, rng: &mut fastrand::Rng) -> Change {
    /// So often one is drawn anew that would be refused.
    const TRIES: usize = 3;
    let mut change = any(world, client, rng);
    for _ in 0..TRIES {
        if change.after.is_some() {
            break;
        }
        change = any(world, client, rng);
    }
    change
}

fn any(world: &World, client: usize, rng: &mut fastrand::Rng) -> Change {
    match rng.u32(..100) {
        0..=24 => of_user(world, client, rng),
        25..=64 => of_tenant(world, client, rng),
        65..=91 => of_database(world, client, rng),
        _ => of_influx(world, client, rng),
    }
}

/// A change that is carried out if `is_legal`, and then does this.
fn change(world: &World, text: String, tenant: &str, is_legal: bool, apply: impl FnOnce(&mut World)) -> Change {
    let after = is_legal.then(|| {
        let mut after = world.clone();
        apply(&mut after);
        after
    });
    Change { text, door: Door::Sql { tenant: tenant.to_owned() }, after }
}

fn of_user(world: &World, client: usize, rng: &mut fastrand::Rng) -> Change {
    let (name, other) = (user(client, rng.usize(..USERS)), user(client, rng.usize(..USERS)));
    let (path, to) = (format!("user/{name}"), format!("user/{other}"));
    let is_there = world.has(&path);
    let comment = rng.u32(..1_000).to_string();
    let make = |text: String, is_legal, apply: &dyn Fn(&mut World)| {
        change(world, text, DEFAULT_TENANT, is_legal, |world| apply(world))
    };
    match rng.u32(..10) {
        0..=3 => make(format!("CREATE USER {name} WITH comment = '{comment}'"), !is_there, &|world| {
            world.set(path.clone(), comment.clone());
        }),
        4..=6 => make(format!("ALTER USER {name} SET comment = '{comment}'"), is_there, &|world| {
            world.set(path.clone(), comment.clone());
        }),
        7..=8 => make(format!("ALTER USER {name} RENAME TO {other}"), is_there && !world.has(&to), &|world| {
            world.rename(&path, &to);
            world.rename_member(&name, Some(&other));
        }),
        _ => make(format!("DROP USER {name}"), is_there, &|world| {
            world.remove(&path);
            world.rename_member(&name, None);
        }),
    }
}

fn of_tenant(world: &World, client: usize, rng: &mut fastrand::Rng) -> Change {
    let name = tenant(client, rng.usize(..TENANTS));
    let (path, dropped) = (format!("tenant/{name}"), format!("dropped/{name}"));
    let (is_there, can_come_back) = (world.has(&path), world.has(&dropped));
    let comment = rng.u32(..1_000).to_string();
    let make = |text: String, is_legal, apply: &dyn Fn(&mut World)| {
        change(world, text, DEFAULT_TENANT, is_legal, |world| apply(world))
    };
    match rng.u32(..30) {
        0..=3 => {
            make(format!("CREATE TENANT {name} WITH comment = '{comment}'"), !is_there && !can_come_back, &|world| {
                world.set(path.clone(), comment.clone());
            })
        }
        4..=5 => make(format!("ALTER TENANT {name} SET comment = '{comment}'"), is_there, &|world| {
            world.set(path.clone(), comment.clone());
        }),
        6 => make(format!("DROP TENANT {name}"), is_there, &|world| world.remove(&path)),
        7 => make(format!("DROP TENANT {name} AFTER '30d'"), is_there, &|world| world.rename(&path, &dropped)),
        // One that is there need not be recovered.
        8..=10 => make(format!("RECOVER TENANT {name}"), is_there || can_come_back, &|world| {
            world.rename(&dropped, &path);
        }),
        11..=20 => of_role(world, &name, rng),
        _ => of_member(world, client, &name, rng),
    }
}

fn of_role(world: &World, tenant: &str, rng: &mut fastrand::Rng) -> Change {
    const LEVELS: [(&str, &str); 3] = [("READ", "Read"), ("WRITE", "Write"), ("ALL", "All")];
    let (role, database) = (format!("r{}", rng.usize(..ROLES)), format!("d{}", rng.usize(..DATABASES)));
    let path = format!("tenant/{tenant}/role/{role}");
    let (is_there, on) = (world.has(&path), format!("{path}/on/{database}"));
    let has_both = is_there && world.has(&format!("tenant/{tenant}/database/{database}"));
    // 0 is nothing.
    let held =
        world.get(&on).and_then(|held| LEVELS.iter().position(|(_, shown)| *shown == held)).map_or(0, |at| at + 1);
    let asked = rng.usize(..LEVELS.len()) + 1;
    let word = LEVELS[asked - 1].0;
    let make = |text: String, is_legal, apply: &dyn Fn(&mut World)| {
        change(world, text, tenant, is_legal, |world| apply(world))
    };
    match rng.u32(..10) {
        0..=2 => {
            let inherits = ["", "member", "owner"][rng.usize(..3)];
            let clause = if inherits.is_empty() { String::new() } else { format!(" INHERIT {inherits}") };
            let is_legal = !is_there && world.has(&format!("tenant/{tenant}"));
            make(format!("CREATE ROLE {role}{clause}"), is_legal, &|world| world.set(path.clone(), inherits))
        }
        3 => make(format!("DROP ROLE {role}"), is_there, &|world| {
            world.remove(&path);
            world.remove_members_with(tenant, &role);
        }),
        4..=7 => make(format!("GRANT {word} ON DATABASE {database} TO ROLE {role}"), has_both, &|world| {
            world.set(on.clone(), LEVELS[held.max(asked) - 1].1);
        }),
        _ => {
            let is_legal = has_both && held > 0 && (asked == LEVELS.len() || held >= asked);
            make(format!("REVOKE {word} ON DATABASE {database} FROM ROLE {role}"), is_legal, &|world| match word {
                "WRITE" => world.set(on.clone(), "Read"),
                _ => world.remove(&on),
            })
        }
    }
}

fn of_member(world: &World, client: usize, tenant: &str, rng: &mut fastrand::Rng) -> Change {
    let user = user(client, rng.usize(..USERS));
    let role = match rng.usize(..ROLES + 2) {
        0 => "owner".to_owned(),
        1 => "member".to_owned(),
        number => format!("r{}", number - 2),
    };
    let path = format!("tenant/{tenant}/member/{user}");
    let has_role = matches!(role.as_str(), "owner" | "member") || world.has(&format!("tenant/{tenant}/role/{role}"));
    let is_there = world.has(&path);
    let is_known = world.has(&format!("tenant/{tenant}")) && world.has(&format!("user/{user}"));
    let make = |text: String, is_legal, apply: &dyn Fn(&mut World)| {
        change(world, text, DEFAULT_TENANT, is_legal, |world| apply(world))
    };
    let set = |world: &mut World| world.set(path.clone(), role.clone());
    match rng.u32(..5) {
        0..=1 => {
            make(format!("ALTER TENANT {tenant} ADD USER {user} AS {role}"), is_known && has_role && !is_there, &set)
        }
        2..=3 => make(format!("ALTER TENANT {tenant} SET USER {user} AS {role}"), has_role && is_there, &set),
        _ => make(format!("ALTER TENANT {tenant} REMOVE USER {user}"), is_there, &|world| world.remove(&path)),
    }
}

fn of_database(world: &World, client: usize, rng: &mut fastrand::Rng) -> Change {
    let number = rng.usize(..DATABASES);
    let (tenant, name) = match rng.usize(..TENANTS + 1) {
        0 => (DEFAULT_TENANT.to_owned(), database(client, number)),
        own => (tenant(client, own - 1), format!("d{number}")),
    };
    let path = format!("tenant/{tenant}/database/{name}");
    let (is_there, has_tenant) = (world.has(&path), tenant == DEFAULT_TENANT || world.has(&format!("tenant/{tenant}")));
    let days = rng.u32(2..25).to_string();
    let (table, column) = (format!("x{}", rng.usize(..TABLES)), format!("c{}", rng.usize(1..COLUMNS)));
    let table_path = format!("{path}/table/{table}");
    let (has_table, column_path) = (world.has(&table_path), format!("{table_path}/column/{column}"));
    let has_column = world.has(&column_path);
    let make = |text: String, is_legal, apply: &dyn Fn(&mut World)| {
        change(world, text, &tenant, is_legal, |world| apply(world))
    };
    match rng.u32(..20) {
        0..=3 => make(format!("CREATE DATABASE {name} WITH TTL '{days}d'"), has_tenant && !is_there, &|world| {
            world.set(path.clone(), days.clone());
        }),
        4..=5 => make(format!("ALTER DATABASE {name} SET TTL '{days}d'"), is_there, &|world| {
            world.set(path.clone(), days.clone());
        }),
        6 => make(format!("DROP DATABASE {name}"), is_there, &|world| {
            world.remove(&path);
            world.remove_grants_on(&tenant, &name);
        }),
        7..=10 => make(format!("CREATE TABLE {name}.{table} (c0 BIGINT, TAGS(h))"), is_there && !has_table, &|world| {
            world.set(table_path.clone(), "");
            world.set(format!("{table_path}/column/c0"), "");
        }),
        11..=14 => {
            let is_legal = has_table && !has_column;
            make(format!("ALTER TABLE {name}.{table} ADD FIELD {column} BIGINT"), is_legal, &|world| {
                world.set(column_path.clone(), "");
            })
        }
        15..=17 => make(format!("ALTER TABLE {name}.{table} DROP {column}"), has_column, &|world| {
            world.remove(&column_path);
        }),
        _ => make(format!("DROP TABLE {name}.{table}"), has_table, &|world| world.remove(&table_path)),
    }
}

/// What InfluxQL grants on databases of the default tenant.
fn of_influx(world: &World, client: usize, rng: &mut fastrand::Rng) -> Change {
    const SHOWN: [&str; 4] = ["NO PRIVILEGES", "READ", "WRITE", "ALL PRIVILEGES"];
    let (user, database) = (user(client, rng.usize(..USERS)), database(client, rng.usize(..DATABASES)));
    let on = format!("user/{user}/on/{database}");
    let is_known =
        world.has(&format!("user/{user}")) && world.has(&format!("tenant/{DEFAULT_TENANT}/database/{database}"));
    let held = world.get(&on).and_then(|held| SHOWN.iter().position(|shown| *shown == held)).unwrap_or(0);
    let asked = rng.usize(1..SHOWN.len());
    let word = ["", "READ", "WRITE", "ALL"][asked];
    let (text, then) = match rng.u32(..5) {
        0..=2 => (format!("GRANT {word} ON \"{database}\" TO \"{user}\""), asked),
        _ => (format!("REVOKE {word} ON \"{database}\" FROM \"{user}\""), held & !asked),
    };
    let change = change(world, text, DEFAULT_TENANT, is_known, |world| world.set(on, SHOWN[then]));
    Change { door: Door::Influx, ..change }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_most_can_be_carried_out() {
        let run = || {
            let (mut world, mut rng) = (World::default(), fastrand::Rng::with_seed(5));
            let mut drawn = Vec::new();
            let mut done = 0;
            for _ in 0..2_000 {
                let change = draw(&world, 0, &mut rng);
                drawn.push(change.text);
                if let Some(after) = change.after {
                    world = after;
                    done += 1;
                }
            }
            (drawn, done, world)
        };
        let (one, other) = (run(), run());
        assert_eq!(one, other);
        assert!((1_000..2_000).contains(&one.1), "{}", one.1);
        let kinds = ["CREATE ROLE", "GRANT ALL ON DATABASE", "REVOKE READ ON \"", "RECOVER", "RENAME TO", "DROP c"];
        for kind in kinds {
            assert!(one.0.iter().any(|text| text.contains(kind)), "{kind}");
        }
    }
}
