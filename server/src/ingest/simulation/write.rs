//! Who writes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::{or, yield_now};
use tidewire_protocol::line::{BodyState, Dialect};
use tidewire_protocol::row::{BadRows, FieldKind, Position, RawValue, RowDraft, RowTaker};
use tidewire_sql::statement::{FieldValues, Insert};
use tidewire_storage::Error;
use tidewire_storage::schema::{ColumnKind, FieldType};

use super::clock::HOUR_NS;
use super::model::{Heard, Place};
use super::names::{DATABASES, KINDS, TABLES, text, written};
use super::world::{CoreHost, World};
use crate::ingest::error::WriteError;
use crate::ingest::insert::insert_to;
use crate::ingest::rows::{RowTarget, RowWriter, write_rows};
use crate::ingest::session::{Session, Target, Written};
use crate::ingest::sink::{RowRules, SharedNames, TimeField};
use crate::ingest::write::{Precision, WriteRequest, parse, write_whole};
use tidewire_base::series_owner::owner;

const MILLISECOND_NS: i64 = 1_000_000;

/// Sends `count` requests to cores as they come.
pub(super) async fn write(world: Rc<World<'_>>, count: usize) {
    for _ in 0..count {
        world.pause(20).await;
        if world.is_draining.get() {
            return;
        }
        let core = world.random.borrow_mut().usize(0..world.cores.len());
        let request = world.model.borrow_mut().begin_request();
        let host = CoreHost { world: world.clone(), core: world.cores[core].clone(), request };
        // Some clients do not wait, and a process that is to end gives up what takes too long.
        let given_up = async {
            match world.chance(10) {
                true => world.pause(150).await,
                false => {
                    while !world.is_cut.get() {
                        yield_now().await;
                    }
                }
            }
            None
        };
        let Some(outcome) = or(async { Some(one(&host).await) }, given_up).await else {
            world.model.borrow_mut().end_request(request, Heard::Nothing);
            world.tally.borrow_mut().given_up += 1;
            continue;
        };
        let mut tally = world.tally.borrow_mut();
        let heard = match outcome {
            Ok(written) if !written.bad_rows.is_empty() => {
                tally.rows_refused += 1;
                Heard::Partly
            }
            Ok(_) => {
                tally.acknowledged += 1;
                Heard::Done
            }
            Err(WriteError::Storage(Error::RecordTooLarge { .. })) => {
                tally.too_long += 1;
                Heard::Refused
            }
            // Some of the shards may have taken their rows.
            Err(WriteError::Storage(error)) => {
                world.excuse(&error);
                tally.failed += 1;
                Heard::Partly
            }
            Err(WriteError::TableChanged) => {
                tally.table_changed += 1;
                Heard::Refused
            }
            Err(_) => {
                tally.refused_otherwise += 1;
                Heard::Refused
            }
        };
        drop(tally);
        world.model.borrow_mut().end_request(request, heard);
    }
}

async fn one(host: &CoreHost<'_>) -> Result<Written, WriteError> {
    let door = host.world.random.borrow_mut().u8(0..10);
    match door {
        0 | 1 => {
            insert(host).await.map_or_else(|| Ok(Written::default()), |outcome| outcome.map(|_| Written::default()))
        }
        2..=4 => named(host).await,
        _ => lines(host).await,
    }
}

/// A row that is to be sent.
struct Row {
    table: &'static str,
    tags: Vec<(&'static str, &'static str)>,
    time_ns: i64,
    fields: Vec<(String, FieldType)>,
}

/// A row of a table, mostly as the core's catalog has it.
fn row(host: &CoreHost<'_>, database: &str, policy: &str) -> Row {
    let catalog = host.core.catalog();
    let mut random = host.world.random.borrow_mut();
    let table = TABLES[random.usize(0..2)];
    let mut tags = vec![("h", ["a", "b", "c", "d", "e", "f"][random.usize(0..6)])];
    if random.u8(0..4) == 0 {
        tags.push(("k", ["x", "y"][random.usize(0..2)]));
    }
    let known = catalog.table_of(database, policy, table);
    let mut fields = BTreeMap::new();
    for _ in 0..random.usize(1..4) {
        let name = format!("c{}", random.u8(0..4));
        let kind = match known.and_then(|table| table.column(&name)).map(|column| column.kind) {
            Some(ColumnKind::Field(kind)) if random.u8(0..40) > 0 => kind,
            _ => KINDS[random.usize(0..4)],
        };
        fields.insert(name, kind);
    }
    let age_ns = random.i64(0..2 * HOUR_NS) / [1, 10, 1000][random.usize(0..3)];
    let time_ns = host.world.model.borrow_mut().time_ns(host.world.clocks.world_ns.get() - age_ns);
    Row { table, tags, time_ns, fields: fields.into_iter().collect() }
}

/// Notes the values of a row; gives their numbers.
fn send(host: &CoreHost<'_>, (database, policy): (&str, &str), row: &Row) -> Vec<usize> {
    let shard = owner(row.table, row.tags.iter().copied(), host.world.shards.len() as u32);
    let tags: Vec<String> = row.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let place = |column: &str| Place {
        database: database.to_owned(),
        policy: policy.to_owned(),
        table: row.table.to_owned(),
        tags: tags.join(","),
        column: column.to_owned(),
        time_ns: row.time_ns,
    };
    let mut model = host.world.model.borrow_mut();
    row.fields.iter().map(|(column, _)| model.send(host.request, place(column), shard)).collect()
}

/// A body of lines, whole or in pieces.
async fn lines(host: &CoreHost<'_>) -> Result<Written, WriteError> {
    let world = &host.world;
    let first = world.model.borrow().values();
    let (mut database, mut policy) =
        (DATABASES[usize::from(world.chance(2))], ["autogen", "p0"][usize::from(world.chance(3))]);
    let known = host.core.catalog().databases.get(database).is_some_and(|known| known.policy(policy).is_some());
    if !known && !world.chance(10) {
        (database, policy) = ("public", "autogen");
    }
    let (precision, unit_ns) = match world.chance(2) {
        true => (Precision::Millisecond, MILLISECOND_NS),
        false => (Precision::Nanosecond, 1),
    };
    let mut text = String::new();
    // Where lines end, and the values before.
    let mut ends = Vec::new();
    let rows = world.random.borrow_mut().usize(1..8);
    // Some are longer than a log file's quarter, or than a log file.
    let length = if world.chance(40) { world.random.borrow_mut().usize(0..80 << 10) } else { 0 };
    for _ in 0..rows {
        let row = row(host, database, policy);
        let numbers = send(host, (database, policy), &row);
        let text_of = |kind, number| written(kind, number, length);
        let fields = row.fields.iter().zip(numbers).map(|((name, kind), n)| format!("{name}={}", text_of(*kind, n)));
        let fields: Vec<String> = fields.collect();
        let tags: String = row.tags.iter().map(|(name, value)| format!(",{name}={value}")).collect();
        text += &format!("{}{tags} {} {}\n", row.table, fields.join(","), row.time_ns / unit_ns);
        ends.push((text.len(), world.model.borrow().values()));
    }
    let is_strict = world.chance(2);
    let rules = RowRules {
        bad_rows: if is_strict { BadRows::RefuseAll } else { BadRows::KeepOthers },
        time_field: TimeField::Refused,
        shared_names: SharedNames::Refused,
    };
    if !is_strict {
        world.model.borrow_mut().keep_others(host.request);
    }
    let dialect = if is_strict { Dialect::Cnos } else { Dialect::Influx };
    let named = (policy != "autogen" || world.chance(2)).then_some(policy);
    let target = Target { database, policy: named, dialect, rules, now_ns: world.clocks.world_ns.get() };
    let lines = WriteRequest { target, precision };
    if world.chance(2) {
        // All is there when it begins; it may be read anew.
        world.model.borrow_mut().read(first..ends.last().map_or(first, |end| end.1));
        let session = Session::begin(host, target)?;
        return write_whole(host, session, &lines, text.as_bytes()).await;
    }
    let mut session = Session::begin(host, target)?;
    let mut state = BodyState::default();
    let (mut from, mut read) = (0, first);
    let patience = if world.chance(3) { 200 } else { 40 };
    while from < text.len() {
        world.pause(patience).await;
        // A piece that ends within a long line is of no use.
        let to = if world.chance(6) { text.len() } else { world.random.borrow_mut().usize(from + 1..=text.len()) };
        let complete = ends.iter().rev().find(|end| end.0 <= to).map_or(first, |end| end.1).max(read);
        world.model.borrow_mut().read(read..complete);
        read = complete;
        let is_last = to == text.len();
        let consumed = parse(&mut session, &mut state, &lines, &text.as_bytes()[from..to], is_last).await?;
        session.account(to - from - consumed)?;
        from += consumed;
        if is_last {
            break;
        }
    }
    session.commit().await
}

/// Rows by name, as doors other than that of lines have them; a body that is there.
async fn named(host: &CoreHost<'_>) -> Result<Written, WriteError> {
    let world = &host.world;
    let database = DATABASES[usize::from(world.chance(2))];
    let first = world.model.borrow().values();
    let count = world.random.borrow_mut().usize(1..8);
    let rows: Vec<(Row, Vec<usize>)> = (0..count)
        .map(|_| {
            let row = row(host, database, "autogen");
            let numbers = send(host, (database, "autogen"), &row);
            (row, numbers)
        })
        .collect();
    let last = world.model.borrow().values();
    let is_strict = world.chance(2);
    if !is_strict {
        world.model.borrow_mut().keep_others(host.request);
    }
    let bad_rows = if is_strict { BadRows::RefuseAll } else { BadRows::KeepOthers };
    let target = RowTarget { database, bad_rows, now_ns: world.clocks.world_ns.get() };
    let patience = if world.chance(3) { 200 } else { 20 };
    let fill = async |writer: &mut RowWriter<'_, CoreHost<'_>>| {
        world.model.borrow_mut().read(first..last);
        let mut draft = RowDraft::default();
        for (number, (row, values)) in rows.iter().enumerate() {
            let put = |_: &[u8], _: bool, writer: &mut RowWriter<'_, CoreHost<'_>>| {
                fill_draft(&mut draft, row, values);
                // What stops the door is found by the writer.
                let _ = writer.take(Position::Item(number as u64), &mut draft);
                Ok::<_, WriteError>(1)
            };
            writer.read_piece(b"r", number + 1 == rows.len(), put).await?;
            world.pause(patience).await;
        }
        Ok::<_, WriteError>(())
    };
    Ok(write_rows(host, target, fill).await?.0)
}

fn fill_draft(draft: &mut RowDraft, row: &Row, values: &[usize]) {
    draft.begin(row.table);
    row.tags.iter().for_each(|(name, value)| draft.tag(name, value));
    for ((name, kind), value) in row.fields.iter().zip(values) {
        let (value, kind) = match kind {
            FieldType::Int | FieldType::Bool => (RawValue::from_int(*value as i64), FieldKind::Int),
            FieldType::UInt => (RawValue::from_uint(*value as u64), FieldKind::UInt),
            FieldType::Float => (RawValue::from_float(*value as f64), FieldKind::Float),
            FieldType::String => {
                draft.string(name, &text(*value, 0));
                continue;
            }
        };
        draft.field(name, kind, value);
    }
    draft.time = row.time_ns;
}

/// An INSERT that was bound to the table as the core had it; `None` where there was none.
async fn insert(host: &CoreHost<'_>) -> Option<Result<u64, WriteError>> {
    let world = &host.world;
    let database = DATABASES[usize::from(world.chance(3))];
    let row = row(host, database, "autogen");
    let catalog = host.core.catalog();
    let table = catalog.table_of(database, "autogen", row.table)?.clone();
    let column = |name: &str, kind: ColumnKind| Some(table.column(name).filter(|found| found.kind == kind)?.id);
    let tags: Option<Vec<_>> = row
        .tags
        .iter()
        .map(|(name, value)| Some((column(name, ColumnKind::Tag)?, vec![Some(Arc::from(*value))])))
        .collect();
    let ids: Option<Vec<_>> =
        row.fields.iter().map(|(name, kind)| Some((column(name, ColumnKind::Field(*kind))?, *kind))).collect();
    let (tags, ids) = (tags?, ids?);
    world.tally.borrow_mut().inserts += 1;
    let first = world.model.borrow().values();
    let numbers = send(host, (database, "autogen"), &row);
    world.model.borrow_mut().read(first..first + numbers.len());
    let values = |kind: FieldType, number: usize| match kind {
        FieldType::Int | FieldType::Bool => FieldValues::Int(vec![Some(number as i64)]),
        FieldType::UInt => FieldValues::UInt(vec![Some(number as u64)]),
        FieldType::Float => FieldValues::Float(vec![Some(number as f64)]),
        FieldType::String => FieldValues::String(vec![Some(number.to_string().into())]),
    };
    let fields = ids.into_iter().zip(numbers).map(|((id, kind), number)| (id, values(kind, number))).collect();
    let time = vec![row.time_ns / table.time_unit.nanoseconds()];
    let bound = Insert { database: database.to_owned(), table, time, tags, fields };
    world.pause(40).await;
    Some(insert_to(host, &bound, None, async || world.pause(4).await).await)
}
