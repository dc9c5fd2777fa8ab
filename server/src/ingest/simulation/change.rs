//! Who takes away, makes again, deletes, flushes and merges.

use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use tidewire_sql::{Definition, PolicyOptions, TableChange};
use tidewire_storage::engine::SeriesSelection;
use tidewire_storage::schema::{ColumnKind, DatabaseOptions, FieldType, TimeUnit};

use super::clock::{HOUR_NS, SECOND_NS, another_ttl};
use super::model::{Place, Scope};
use super::names::{DATABASES, KINDS, TABLES};
use super::world::World;
use tidewire_base::catalog::{CatalogError, SchemaChange};

/// Changes the catalog, `count` times.
pub(super) async fn define(world: Rc<World<'_>>, count: usize) {
    let mut again = None;
    for _ in 0..count {
        world.pause(if again.is_some() { 4 } else { 40 }).await;
        if world.is_draining.get() {
            return;
        }
        let (definition, scope) = again.take().map_or_else(|| definition(&world), |definition| (definition, None));
        if world.chance(2) {
            again = made_again(&mut world.random.borrow_mut(), &definition);
        }
        let taking = scope.map(|scope| world.model.borrow_mut().begin_taking(scope));
        let outcome = world.change(SchemaChange::Define(definition)).await;
        let mut tally = world.tally.borrow_mut();
        *match (&outcome, taking) {
            (Err(_), _) => &mut tally.changes_refused,
            (Ok(_), Some(_)) => &mut tally.drops,
            (Ok(_), None) => &mut tally.created,
        } += 1;
        let is_open = |error: &CatalogError| error.to_string().contains("whether the change is on disk");
        match (taking, &outcome) {
            // The next start may find it done.
            (_, Err(error)) if is_open(error) => tally.doubts += 1,
            (Some(taking), _) => world.model.borrow_mut().end_taking(taking, outcome.is_ok()),
            (None, _) => {}
        }
    }
}

/// What makes again what is dropped: with other columns, or the same in another order; with times in another unit.
fn made_again(random: &mut Rng, dropped: &Definition) -> Option<Definition> {
    match dropped {
        Definition::DropTable { database, name, .. } => Some(table(random, database.clone(), name.clone())),
        Definition::DropDatabase { name, .. } => Some(database(random, name.clone())),
        _ => None,
    }
}

fn database(random: &mut Rng, name: String) -> Definition {
    let precision = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond][random.usize(0..3)];
    let options = DatabaseOptions { precision, partition_ns: 1000 * SECOND_NS, ..DatabaseOptions::default() };
    Definition::CreateDatabase { name, if_not_exists: true, options }
}

/// A table that is to be made.
fn table(random: &mut Rng, database: String, name: String) -> Definition {
    let mut columns = vec![("h".to_owned(), ColumnKind::Tag)];
    for number in 0..4 {
        if random.bool() {
            columns.push((format!("c{number}"), ColumnKind::Field(KINDS[random.usize(0..4)])));
        }
    }
    random.shuffle(&mut columns);
    if columns.len() == 1 {
        columns.push(("c0".to_owned(), ColumnKind::Field(FieldType::Int)));
    }
    Definition::CreateTable { database, name, if_not_exists: true, columns, codecs: Vec::new(), geometries: Vec::new() }
}

fn definition(world: &World<'_>) -> (Definition, Option<Scope>) {
    if world.chance(6) {
        return (another_ttl(world), None);
    }
    let mut random = world.random.borrow_mut();
    let database = DATABASES[random.usize(0..2)].to_owned();
    let name = TABLES[random.usize(0..2)].to_owned();
    let column = format!("c{}", random.u8(0..4));
    let kind = ColumnKind::Field(KINDS[random.usize(0..4)]);
    match random.u8(0..20) {
        0..=4 => {
            let scope = Scope::Table(database.clone(), name.clone());
            (Definition::DropTable { database, name, if_exists: false }, Some(scope))
        }
        5..=7 => (table(&mut random, database, name), None),
        8..=10 => {
            let scope = Scope::Column(database.clone(), name.clone(), column.clone());
            let change = TableChange::DropColumn { name: column };
            (Definition::AlterTable { database, name, change }, Some(scope))
        }
        11 | 12 => {
            let change = TableChange::AddColumn { name: column, kind, codec: None, geometry: None };
            (Definition::AlterTable { database, name, change }, None)
        }
        13 => {
            let scope = Scope::Measurement(database.clone(), name.clone());
            (Definition::DropMeasurement { database, name }, Some(scope))
        }
        14 => {
            let scope = Scope::Policy(database.clone(), "p0".to_owned());
            (Definition::DropPolicy { database, name: "p0".to_owned() }, Some(scope))
        }
        15 | 16 => {
            let duration_ns = random.bool().then_some(2 * HOUR_NS);
            let options = PolicyOptions { replication: Some(1), duration_ns, ..PolicyOptions::default() };
            (Definition::CreatePolicy { database, name: "p0".to_owned(), options }, None)
        }
        17 | 18 => {
            let name = "d0".to_owned();
            (Definition::DropDatabase { name: name.clone(), if_exists: false }, Some(Scope::Database(name)))
        }
        _ => (self::database(&mut random, "d0".to_owned()), None),
    }
}

/// Deletes all rows of tables, `count` times.
pub(super) async fn delete(world: Rc<World<'_>>, count: usize) {
    for _ in 0..count {
        world.pause(60).await;
        let catalog = world.cores[0].catalog();
        let database = DATABASES[world.random.borrow_mut().usize(0..2)];
        let name = TABLES[world.random.borrow_mut().usize(0..2)];
        let Some(table) = catalog.table_of(database, "autogen", name) else { continue };
        let of = Place {
            database: database.to_owned(),
            policy: "autogen".to_owned(),
            table: name.to_owned(),
            tags: String::new(),
            column: String::new(),
            time_ns: 0,
        };
        if world.is_draining.get() {
            return;
        }
        let taking = world.model.borrow_mut().begin_taking(Scope::Rows(table.id, of));
        for shard in &world.shards {
            world.pause(4).await;
            let deleted = async {
                let lsn = shard.delete(table.id, &SeriesSelection::All, i64::MIN, i64::MAX)?;
                shard.durable(lsn).await
            };
            if let Err(error) = deleted.await {
                world.excuse(&error);
            }
        }
        world.model.borrow_mut().end_taking(taking, true);
        world.tally.borrow_mut().deletes += 1;
    }
}

/// Flushes, merges and drops data.
pub(super) async fn upkeep(world: Rc<World<'_>>) {
    let mut time = Duration::ZERO;
    loop {
        world.pause(30).await;
        let waiting = world.drops.borrow_mut().pop();
        if let Some((shard, tables)) = waiting {
            world.shards[shard].drop_tables(&tables).await.unwrap_or_else(|error| world.excuse(&error));
        }
        let number = world.random.borrow_mut().usize(0..world.shards.len());
        let shard = &world.shards[number];
        if world.chance(3) {
            shard.flush().await.unwrap_or_else(|error| world.excuse(&error));
            world.tally.borrow_mut().flushes += 1;
        }
        if world.chance(6) {
            time += Duration::from_secs(5_000);
            shard.tick(time);
            shard.compact().await.unwrap_or_else(|error| world.excuse(&error));
        }
    }
}
