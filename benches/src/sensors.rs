//! Many series with little in each, from line protocol through the server's sink into batches.

use std::fmt::Write;
use std::sync::Arc;

use tidewire_protocol::line::{Dialect, State, TimeRule};
use tidewire_protocol::row::BadRows;
use tidewire_server::core::recycled::RecycledBatches;
use tidewire_server::ingest::cache::DatabaseCache;
use tidewire_server::ingest::sink::{Collected, RequestSink, RowRules, SharedNames, TimeField};
use tidewire_server::memory::budget::{Keys, divide};
use tidewire_server::memory::{CoreMemory, Memory};
use tidewire_storage::batch::WriteBatch;
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, RetentionPolicy, TableId,
    TableSchema, TimeUnit,
};

/// Rows of a request.
pub const REQUEST_ROWS: usize = 10_000;

const DATABASE: &str = "public";

/// Table `sensor` with two tags and two fields.
pub fn table() -> Arc<TableSchema> {
    let columns = [
        ("id", ColumnKind::Tag),
        ("site", ColumnKind::Tag),
        ("count", ColumnKind::Field(FieldType::Int)),
        ("level", ColumnKind::Field(FieldType::Float)),
    ];
    let columns = columns.into_iter().zip(0..).map(|((name, kind), id)| ColumnSchema {
        id: ColumnId(id),
        name: name.into(),
        kind,
        codec: None,
        geometry: None,
    });
    Arc::new(TableSchema {
        id: TableId(1),
        name: "sensor".into(),
        columns: columns.collect(),
        time_unit: TimeUnit::Nanosecond,
        partition_length: 86_400 * 1_000_000_000,
        next_column: 4,
    })
}

/// A catalog with that table alone.
pub fn catalog() -> Catalog {
    let database = Arc::new(Database::new(DATABASE, &DatabaseOptions::default(), [table()]));
    Catalog {
        version: 1,
        databases: [(Arc::clone(&database.name), database)].into_iter().collect(),
        next_table: 2,
        ..Catalog::default()
    }
}

/// Empty caches of a core.
///
/// # Panics
///
/// Never: the memory is enough.
#[expect(clippy::expect_used, reason = "so much memory can be divided")]
pub fn cache() -> DatabaseCache {
    let budget = divide(8 << 30, 1, 1, Keys::default()).expect("enough memory");
    DatabaseCache::new(
        Dialect::Influx,
        384 << 20,
        CoreMemory::new(0, Memory::new(budget, None, 1)),
        std::rc::Rc::default(),
    )
}

/// Requests with one row of each of `series` series.
pub fn requests(series: usize) -> Vec<String> {
    let ids: Vec<usize> = (0..series).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let request = |ids: &[usize]| {
        let mut text = String::new();
        for id in ids {
            let (count, level) = (random.u32(..1_000), random.f64() * 40.0);
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "sensor,id=sensor_{id:08x},site=site_{} count={count}i,level={level:.3} 1600000000000000000",
                id % 1_000
            );
        }
        text
    };
    ids.chunks(REQUEST_ROWS).map(request).collect()
}

/// Parses a request for one shard, in the memory of `recycled`.
///
/// # Panics
///
/// If a line is refused.
pub fn parse(cache: &mut DatabaseCache, catalog: &Catalog, text: &str, recycled: WriteBatch) -> WriteBatch {
    let mut collected = Collected::default();
    let batches = RecycledBatches::default();
    batches.put([recycled]);
    let DatabaseCache { parser, slots, .. } = cache;
    let mut sink = RequestSink {
        slots,
        collected: &mut collected,
        catalog,
        database: DATABASE,
        policy: RetentionPolicy::FIRST,
        time_min: i64::MIN,
        rules: RowRules {
            bad_rows: BadRows::KeepOthers,
            time_field: TimeField::LeftOut,
            shared_names: SharedNames::Refused,
        },
        shards: 1,
        recycled: &batches,
    };
    parser.begin();
    let state = crate::lines::parse_whole(parser, text.as_bytes(), &TimeRule::identity(0), &mut sink);
    assert_eq!(state, State::Done);
    assert_eq!((collected.bad_rows.unparsed, collected.bad_rows.dropped), (0, 0));
    let batches = collected.finish(1);
    batches.into_iter().next().map(|(_, finished)| finished.batch).unwrap_or_default()
}
