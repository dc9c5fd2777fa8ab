//! Rows as line protocol, in one file.
//!
//! The file says itself where its lines belong, in comments that `influx -import` and `tidewire import` read: `# DDL`
//! with the databases and retention policies to make ([`terms`]), `# DML`, then `# CONTEXT-DATABASE` and `#
//! CONTEXT-RETENTION-POLICY` before the lines of each. Three comments are ours: `# CONTEXT-PRECISION`, the unit of the
//! timestamps, `# CONTEXT-TABLE`, a table with its columns, and `# CONTEXT-DIALECT`, whose rules read every name:
//! CnosDB's where it can be, else InfluxDB's ([`Readers`]), which alone can be sent to a retention policy that is not
//! the default one.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use tidewire_protocol::line::Dialect;
use tidewire_storage::scan::{Run, ScanChunk};
use tidewire_storage::schema::{ColumnKind, FieldType, SeriesId, TableSchema, TimeUnit};
use tidewire_storage::series::SeriesIndex;

use super::text::TextFile;
use super::{Chosen, LeftOut, Times, regions};
use crate::lines::{self, Readers};
use crate::progress::Progress;
use crate::source::{self, Source};
use crate::tables::TableTerms;
use crate::terms;
use tidewire_base::cli::{Compression, ExportArguments};

pub(super) async fn export(
    source: &Source,
    chosen: &[Chosen],
    times: &Times,
    arguments: &ExportArguments,
    progress: &Progress,
    left_out: &mut LeftOut,
) -> Result<(), String> {
    // All is looked at before anything is written.
    let places = chosen.chunk_by(|one, other| one.place() == other.place());
    let places: Vec<_> =
        places.map(|place| dialect(source, place).map(|dialect| (place, dialect))).collect::<Result<_, _>>()?;
    let mut file = TextFile::new(&arguments.out, arguments.compress.unwrap_or(Compression::None))?;
    file.write(heading(chosen).as_bytes())?;
    let mut text = Vec::new();
    for (place, dialect) in places {
        file.write(context(place, dialect).as_bytes())?;
        // SQL makes tables in the default policy alone.
        for Chosen { table, .. } in place.iter().filter(|one| one.is_in_default_policy()) {
            file.write(format!("# CONTEXT-TABLE:{}\n", TableTerms::of(table).encode()).as_bytes())?;
        }
        for Chosen { table, .. } in place {
            let Some((min, max)) = times.within(table.time_unit) else { continue };
            progress.at(&*table.name);
            let names = FieldNames::new(table);
            for shard in &source.shards {
                let wrong = |error: tidewire_storage::Error| format!("table {}: {error}", table.name);
                for region in regions(shard, table, (min, max), arguments, left_out).await? {
                    let mut scan = source::scan_region(shard, table, &region).map_err(wrong)?;
                    while let Some(chunk) = scan.next().await.map_err(wrong)? {
                        let Some(index) = shard.series(table.id) else { continue };
                        text.clear();
                        for run in &chunk.runs {
                            push_run(&mut text, table, &index, &names, &chunk, *run, left_out);
                        }
                        drop(index);
                        file.write(&text)?;
                        progress.add(chunk.rows() as u64);
                    }
                }
            }
        }
    }
    file.finish()
}

fn heading(chosen: &[Chosen]) -> String {
    let mut text = format!("# TIDEWIRE EXPORT: {}\n# DDL\n", env!("CARGO_PKG_VERSION"));
    for tables in chosen.chunk_by(|one, other| one.database.name == other.database.name) {
        for statement in tables.first().into_iter().flat_map(|first| terms::statements(&first.database)) {
            text.push_str(&statement);
            text.push('\n');
        }
    }
    text.push_str("# DML\n");
    text
}

/// Where the lines of the tables of one policy belong.
fn context(place: &[Chosen], dialect: Dialect) -> String {
    let Some(Chosen { database, policy, .. }) = place.first() else { return String::new() };
    let unit = match database.precision {
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    let rules = match dialect {
        Dialect::Cnos => "cnosdb",
        Dialect::Influx => "influxdb",
    };
    format!(
        "# CONTEXT-DATABASE:{}\n# CONTEXT-RETENTION-POLICY:{policy}\n# CONTEXT-PRECISION:{unit}\n# CONTEXT-DIALECT:{rules}\n",
        database.name
    )
}

/// The dialect that reads everything in one policy and can be sent there.
fn dialect(source: &Source, place: &[Chosen]) -> Result<Dialect, String> {
    let mut readers = Readers { cnos: place.iter().all(Chosen::is_in_default_policy), influx: true };
    for Chosen { table, database, policy } in place {
        for name in [&*database.name, &**policy] {
            if name.trim() != name || name.contains('\n') {
                return Err(format!("the name {name:?} cannot be said in a comment; export as Parquet"));
            }
        }
        if table.shares_names() {
            let influx = Readers { cnos: false, influx: true };
            readers =
                narrowed(readers, influx, || format!("table {:?}, with a tag and a field of one name", table.name))?;
        }
        for column in &table.columns {
            if matches!(column.kind, ColumnKind::Field(_)) {
                let of = Readers::of("m", &[], Some(&column.name));
                readers = narrowed(readers, of, || format!("field {:?} of table {:?}", column.name, table.name))?;
            }
        }
        for shard in &source.shards {
            let Some(index) = shard.series(table.id) else { continue };
            for series in index.live() {
                let tags = tags(table, &index, series);
                let of = Readers::of(&table.name, &tags, None);
                readers = narrowed(readers, of, || format!("series {tags:?} of table {:?}", table.name))?;
            }
        }
    }
    Ok(if readers.has(Dialect::Cnos) { Dialect::Cnos } else { Dialect::Influx })
}

/// Those of `readers` who read one more text.
fn narrowed(readers: Readers, of: Readers, what: impl FnOnce() -> String) -> Result<Readers, String> {
    let both = readers.and(of);
    if both.cnos || both.influx {
        return Ok(both);
    }
    Err(format!("{} cannot be written as line protocol so that it is read back; export as Parquet", what()))
}

/// Tags sorted by name.
fn tags<'a>(table: &'a TableSchema, index: &'a SeriesIndex, series: SeriesId) -> Vec<(&'a str, &'a str)> {
    let named = index.key(series).filter_map(|(id, value)| Some((&*table.column_by_id(id)?.name, value)));
    let mut tags: Vec<_> = named.collect();
    tags.sort_unstable();
    tags
}

/// The names of the fields with their `=`, escaped.
struct FieldNames(Vec<(FieldType, Vec<u8>)>);

impl FieldNames {
    fn new(table: &TableSchema) -> Self {
        let named = source::fields(table).into_iter().filter_map(|(id, kind)| {
            let mut name = Vec::new();
            lines::push_name(&mut name, &table.column_by_id(id)?.name);
            name.push(b'=');
            Some((kind, name))
        });
        Self(named.collect())
    }
}

/// Appends the rows of one series.
fn push_run(
    out: &mut Vec<u8>,
    table: &TableSchema,
    index: &SeriesIndex,
    names: &FieldNames,
    chunk: &ScanChunk,
    run: Run,
    left_out: &mut LeftOut,
) {
    let mut key = Vec::new();
    lines::push_series(&mut key, &table.name, tags(table, index, run.series));
    key.push(b' ');
    for row in run.start as usize..(run.start + run.len) as usize {
        let start = out.len();
        out.extend_from_slice(&key);
        let mut any = false;
        for ((kind, name), array) in names.0.iter().zip(&chunk.columns) {
            if array.is_null(row) {
                continue;
            }
            let before = out.len();
            if any {
                out.push(b',');
            }
            out.extend_from_slice(name);
            if push_value(out, *kind, array, row) {
                any = true;
            } else {
                out.truncate(before);
                left_out.not_finite += 1;
            }
        }
        if any {
            out.push(b' ');
            lines::push_digits(out, chunk.time[row]);
            out.push(b'\n');
        } else {
            out.truncate(start);
            left_out.empty_rows += 1;
        }
    }
}

/// Appends a value; false if there is no text for it.
fn push_value(out: &mut Vec<u8>, kind: FieldType, array: &ArrayRef, row: usize) -> bool {
    match kind {
        FieldType::Int => lines::push_int(out, array.as_primitive::<Int64Type>().value(row)),
        FieldType::UInt => lines::push_uint(out, array.as_primitive::<UInt64Type>().value(row)),
        FieldType::Float => return lines::push_float(out, array.as_primitive::<Float64Type>().value(row)),
        FieldType::Bool => lines::push_bool(out, array.as_boolean().value(row)),
        FieldType::String => lines::push_string(out, array.as_string::<i32>().value(row)),
    }
    true
}
