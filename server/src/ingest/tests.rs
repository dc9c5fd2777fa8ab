//! The sink by its neutral interface, as a door gives it rows that never were lines.

use std::sync::Arc;

use tidewire_protocol::row::{
    BadRows, FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, RowValues, SeriesRef, SeriesSlot,
};
use tidewire_storage::batch::{NEW_SERIES_BIT, Values, WriteBatch, push_tag};
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, RetentionPolicy, SeriesId,
    TableId, TableSchema, TimeUnit,
};

use super::cache::Slots;
use super::fault::{BadRow, RowFault};
use super::sink::{Collected, Refused, RequestSink, RowRules, SharedNames, TimeField};
use tidewire_base::catalog::SchemaChange;
use tidewire_base::series_owner::owner;

const DATABASE: &str = "public";

/// `spans`: the columns are not in the order of their names.
const SPANS: [(&str, ColumnKind); 5] = [
    ("service", ColumnKind::Tag),
    ("name", ColumnKind::Field(FieldType::String)),
    ("host", ColumnKind::Tag),
    ("duration", ColumnKind::Field(FieldType::UInt)),
    ("load", ColumnKind::Field(FieldType::Float)),
];
const SERVICE: ColumnId = ColumnId(0);
const HOST: ColumnId = ColumnId(2);

const FIELDS: [(&str, FieldKind); 2] = [("name", FieldKind::String), ("duration", FieldKind::UInt)];

fn catalog(tables: &[(&str, &[(&str, ColumnKind)])]) -> Catalog {
    let tables = tables.iter().zip(1..).map(|((name, columns), id)| {
        let columns = columns.iter().zip(0..).map(|((name, kind), id)| ColumnSchema {
            id: ColumnId(id),
            name: (*name).into(),
            kind: *kind,
            codec: None,
            geometry: None,
        });
        Arc::new(TableSchema {
            id: TableId(id),
            name: (*name).into(),
            columns: columns.collect(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 86_400 * 1_000_000_000,
            next_column: 100,
        })
    });
    let database = Arc::new(Database::new(DATABASE, &DatabaseOptions::default(), tables));
    Catalog {
        version: 1,
        databases: [(Arc::clone(&database.name), database)].into_iter().collect(),
        next_table: 9,
        ..Catalog::default()
    }
}

fn sink<'a>(
    slots: &'a mut Slots,
    collected: &'a mut Collected,
    catalog: &'a Catalog,
    bad_rows: BadRows,
    shards: u32,
) -> RequestSink<'a> {
    RequestSink {
        slots,
        collected,
        catalog,
        database: DATABASE,
        policy: RetentionPolicy::FIRST,
        time_min: 0,
        rules: RowRules { bad_rows, time_field: TimeField::Refused, shared_names: SharedNames::Refused },
        shards,
        recycled: Box::leak(Box::default()),
    }
}

/// The key of a series of `spans` in a batch.
fn span_key(service: &str, host: &str) -> Vec<u8> {
    let mut key = Vec::new();
    push_tag(&mut key, SERVICE, service.as_bytes());
    push_tag(&mut key, HOST, host.as_bytes());
    key
}

#[test]
fn rows_that_never_were_lines_become_batches_of_their_owners() {
    const SHARDS: u32 = 3;
    let catalog = catalog(&[("spans", &SPANS)]);
    let (mut slots, mut collected) = (Slots::default(), Collected::default());
    let mut sink = sink(&mut slots, &mut collected, &catalog, BadRows::RefuseAll, SHARDS);
    let hosts: Vec<String> = (0..20).map(|number| format!("h{number}")).collect();
    let tags: Vec<_> = hosts.iter().map(|host| [("host", host.as_str()), ("service", "api")]).collect();
    let series: Vec<SeriesSlot> =
        tags.iter().map(|tags| sink.series(SeriesRef { table: "spans", tags }).unwrap()).collect();
    let spans = sink.layout(series[0], &FIELDS).unwrap();
    let loads = sink.layout(series[0], &[("load", FieldKind::Float)]).unwrap();
    let mut values = RowValues::default();
    for round in 0..2_i64 {
        for (number, slot) in series.iter().enumerate() {
            values.clear();
            values.push_string(&format!("call \"{number}\"")).unwrap();
            values.push(RawValue::from_uint(number as u64));
            sink.row(*slot, spans, round, values.values(), values.text()).unwrap();
        }
    }
    sink.row(series[7], loads, 2, &[RawValue::from_float(0.5)], b"").unwrap();

    assert_eq!(collected.rows(), 41);
    let batches = collected.finish(SHARDS);
    assert_eq!(batches.len(), SHARDS as usize);
    for (shard, finished) in batches {
        let of_shard: Vec<usize> = (0..20).filter(|number| owner("spans", tags[*number], SHARDS) == shard).collect();
        let has_load = of_shard.contains(&7);
        let batch = finished.batch;
        assert_eq!(batch.table, Some(TableId(1)));
        assert_eq!(batch.rows(), 2 * of_shard.len() + usize::from(has_load));
        assert_eq!(batch.new_series.len(), of_shard.len());
        for (ordinal, number) in of_shard.iter().enumerate() {
            assert_eq!(batch.new_series.key(ordinal), span_key("api", &hosts[*number]));
            assert_eq!(finished.slots[ordinal], series[*number].0);
            for row in [ordinal, of_shard.len() + ordinal] {
                assert_eq!(batch.series[row], NEW_SERIES_BIT | ordinal as u32);
            }
        }
        let numbers = of_shard.iter().chain(&of_shard);
        let column = |id| batch.columns.iter().find(|column| column.id == ColumnId(id)).expect("a column");
        let Values::String(names) = &column(1).values else { panic!("{batch:?}") };
        let expected: String = numbers.clone().map(|number| format!("call \"{number}\"")).collect();
        assert_eq!(String::from_utf8(names.bytes.clone()).unwrap(), expected);
        let mut durations: Vec<u64> = numbers.map(|number| *number as u64).collect();
        if has_load {
            durations.push(0);
            let before = 2 * of_shard.len();
            assert_eq!(column(3).validity, Some(vec![(1 << before) - 1]));
            assert_eq!(column(4).validity, Some(vec![1 << before]));
            let Values::Float(loads) = &column(4).values else { panic!("{batch:?}") };
            assert_eq!((loads.len(), loads[before]), (before + 1, 0.5));
        }
        assert_eq!(column(3).values, Values::UInt(durations));
    }
}

#[test]
fn a_table_that_lacks_is_waited_for_and_its_first_series_keeps_its_key() {
    let (mut slots, mut collected) = (Slots::default(), Collected::default());
    let before = catalog(&[]);
    let tags = [("host", "a"), ("service", "api")];
    let mut early = sink(&mut slots, &mut collected, &before, BadRows::RefuseAll, 1);
    let series = early.series(SeriesRef { table: "spans", tags: &tags }).unwrap();
    assert_eq!(early.layout(series, &FIELDS), Err(Halt::Pause));
    let Some(SchemaChange::Ensure { tables, .. }) = collected.wanted.take() else { panic!() };
    let names: Vec<&str> = tables["spans"].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((tables.len(), names.as_slice()), (1, &["duration", "host", "name", "service"][..]));

    let after = catalog(&[("spans", &SPANS)]);
    let mut late = sink(&mut slots, &mut collected, &after, BadRows::RefuseAll, 1);
    let layout = late.layout(series, &FIELDS).unwrap();
    late.row(series, layout, 1, &[RawValue::from_string_at(0, 1), RawValue::from_uint(5)], b"n").unwrap();
    let batches = collected.finish(1);
    assert_eq!(batches[0].1.batch.new_series.key(0), span_key("api", "a"));
}

/// One row of the series in a request of its own.
fn one_row(slots: &mut Slots, catalog: &Catalog, series: SeriesSlot, layout: LayoutSlot) -> WriteBatch {
    let mut collected = Collected::default();
    let mut sink = sink(slots, &mut collected, catalog, BadRows::RefuseAll, 1);
    sink.row(series, layout, 1, &[RawValue::from_float(1.0)], b"").unwrap();
    assert_eq!(collected.refusal, None);
    collected.finish(1).remove(0).1.batch
}

#[test]
fn the_key_of_a_series_is_in_every_batch_until_its_id_is_known() {
    let catalog = catalog(&[("spans", &SPANS)]);
    let (mut slots, mut collected) = (Slots::default(), Collected::default());
    let mut first = sink(&mut slots, &mut collected, &catalog, BadRows::RefuseAll, 1);
    let tags = [[("host", "a"), ("service", "api")], [("host", "b"), ("service", "api")]];
    let series = tags.map(|tags| first.series(SeriesRef { table: "spans", tags: &tags }).unwrap());
    let layout = first.layout(series[0], &[("load", FieldKind::Float)]).unwrap();
    // Two requests before either is acknowledged, as when the first was refused for want of credit.
    for _ in 0..2 {
        for (slot, host) in series.iter().zip(["a", "b"]) {
            let batch = one_row(&mut slots, &catalog, *slot, layout);
            assert_eq!((batch.series.as_slice(), batch.new_series.len()), (&[NEW_SERIES_BIT][..], 1));
            assert_eq!(batch.new_series.key(0), span_key("api", host));
        }
    }
    slots.learn([(series[1].0, SeriesId(70))].into_iter());
    let known = one_row(&mut slots, &catalog, series[1], layout);
    assert_eq!((known.series.as_slice(), known.new_series.len()), (&[70][..], 0));
    assert_eq!(one_row(&mut slots, &catalog, series[0], layout).new_series.key(0), span_key("api", "a"));
    // Learned twice, by both requests.
    slots.learn([(series[1].0, SeriesId(70)), (series[0].0, SeriesId(71))].into_iter());
    assert_eq!(one_row(&mut slots, &catalog, series[0], layout).series, [71]);
}

/// Gives the sink one row of `spans` a time; where in the request it is bad is reported as a door does.
fn write_spans(sink: &mut RequestSink<'_>, fields: &[(&str, FieldKind)], times: &[i64]) -> Option<Next> {
    let tags = [("host", "a"), ("service", "api")];
    let mut last = None;
    for (number, time) in (1..).zip(times) {
        let series = sink.series(SeriesRef { table: "spans", tags: &tags }).unwrap();
        let outcome = match sink.layout(series, fields) {
            Ok(layout) => sink.row(series, layout, *time, &[RawValue::from_int(1)], b""),
            Err(Halt::Refuse(fault)) => Err(fault),
            Err(Halt::Pause) => panic!("nothing to wait for"),
        };
        if let Err(fault) = outcome {
            last = Some(sink.refuse(Position::Item(number), fault));
            if last == Some(Next::Stop) {
                break;
            }
        }
    }
    last
}

#[test]
fn a_bad_row_is_named_and_what_it_means_is_the_doors_choice() {
    let catalog = catalog(&[("spans", &SPANS)]);
    let float = ColumnKind::Field(FieldType::Float);
    let conflict = |position| BadRow {
        position: Position::Item(position),
        fault: RowFault::ColumnConflict {
            table: "spans".to_owned(),
            column: "load".to_owned(),
            wanted: ColumnKind::Field(FieldType::Int),
            found: float,
        },
    };
    let wrong = [("load", FieldKind::Int)];
    let (mut slots, mut collected) = (Slots::default(), Collected::default());
    let mut keeping = sink(&mut slots, &mut collected, &catalog, BadRows::KeepOthers, 1);
    assert_eq!(write_spans(&mut keeping, &wrong, &[1, 2]), Some(Next::Continue));
    assert_eq!((collected.bad_rows.dropped, &collected.refusal), (2, &None));
    assert_eq!(collected.bad_rows.kept, [conflict(1), conflict(2)]);

    let mut collected = Collected::default();
    let mut refusing = sink(&mut slots, &mut collected, &catalog, BadRows::RefuseAll, 1);
    assert_eq!(write_spans(&mut refusing, &wrong, &[1, 2]), Some(Next::Stop));
    assert_eq!(collected.refusal, Some(Refused::BadRow(conflict(1))));
    assert_eq!(collected.bad_rows.kept, []);
}

#[test]
fn a_row_that_is_too_old_is_named_too_and_outweighed_by_any_other_fault() {
    let catalog = catalog(&[("spans", &SPANS)]);
    let old = |position| BadRow { position: Position::Item(position), fault: RowFault::Expired };
    let right = [("duration", FieldKind::UInt)];
    let (mut slots, mut collected) = (Slots::default(), Collected::default());
    let mut keeping = sink(&mut slots, &mut collected, &catalog, BadRows::KeepOthers, 1);
    assert_eq!(write_spans(&mut keeping, &right, &[5, -1, 6]), Some(Next::Continue));
    assert_eq!((collected.rows(), collected.bad_rows.kept.as_slice()), (2, &[old(2)][..]));

    let mut collected = Collected::default();
    let mut refusing = sink(&mut slots, &mut collected, &catalog, BadRows::RefuseAll, 1);
    assert_eq!(write_spans(&mut refusing, &right, &[5, -1, -2]), Some(Next::Continue));
    assert_eq!(refusing.collected.refusal, Some(Refused::BadRow(old(2))));
    assert_eq!(write_spans(&mut refusing, &[("time", FieldKind::Int)], &[5]), Some(Next::Stop));
    let Some(Refused::BadRow(row)) = collected.refusal else { panic!() };
    let kind = ColumnKind::Field(FieldType::Int);
    assert_eq!(row.fault, RowFault::ReservedTime { table: "spans".to_owned(), kind });
}
