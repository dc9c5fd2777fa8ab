//! Rows as Parquet: a file a table, `OUT/DATABASE/TABLE.parquet`, in a folder `POLICY` in there for a retention policy
//! that is not the default one.
//!
//! Columns are `time` (a timestamp of the database's unit, UTC), the tags as dictionaries of strings, the fields in
//! their types. What Parquet has no place for stands in the file's metadata: `tidewire.database`, `tidewire.policy` (if
//! it is not the default one), `tidewire.ddl` ([`terms`]), `tidewire.table`, `tidewire.tags`, a JSON array of the
//! columns that are tags, and `tidewire.columns` ([`TableTerms`]). Rows come by shard and partition; within those they
//! are sorted by series and time wherever the engine has merged them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit as ArrowUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tidewire_storage::scan::ScanChunk;
use tidewire_storage::schema::{ColumnKind, ColumnSchema, TableSchema, TimeUnit};
use tidewire_storage::series::{NO_TAG, SeriesIndex};
use xxhash_rust::xxh3::xxh3_64;

use super::text::{ZSTD_LEVEL, part_of};
use super::{Chosen, LeftOut, Times, regions};
use crate::progress::Progress;
use crate::source::{self, Source};
use crate::tables::TableTerms;
use crate::{COLUMNS_KEY, DATABASE_KEY, DDL_KEY, POLICY_KEY, TABLE_KEY, TAGS_KEY, TIME, terms};
use tidewire_base::cli::{Compression, ExportArguments};

/// Bytes of a row group, packed: what a writer holds in memory, and a reader at least.
const GROUP_BYTES_MAX: usize = 64 << 20;

/// What a file name does not hold as it is: the separator, the escape itself, the mark of a name that is cut, and what
/// shells and other systems mind.
const NAME: &AsciiSet = &CONTROLS.add(b'/').add(b'\\').add(b'%').add(b'~').add(b':').add(b'*').add(b'?').add(b'"');

/// Longest name before `.parquet.part`: file systems take 255 bytes in all.
const NAME_BYTES_MAX: usize = 240;

pub(super) async fn export(
    source: &Source,
    chosen: &[Chosen],
    times: &Times,
    arguments: &ExportArguments,
    progress: &Progress,
    left_out: &mut LeftOut,
) -> Result<(), String> {
    let compression = match arguments.compress.unwrap_or(Compression::Zstd) {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(|error| error.to_string())?),
        Compression::Gzip => return Err("Parquet is written with --compress zstd or none".to_owned()),
    };
    if arguments.out == Path::new("-") {
        return Err("Parquet is written into a folder, not to standard output".to_owned());
    }
    for one in chosen {
        let Chosen { database, policy, table } = one;
        let Some((min, max)) = times.within(table.time_unit) else { continue };
        progress.at(&*table.name);
        let mut folder = arguments.out.join(file_name(&database.name));
        if !one.is_in_default_policy() {
            folder.push(file_name(policy));
        }
        let path = folder.join(file_name(&table.name) + ".parquet");
        let failed = |reason: String| format!("cannot write {}: {reason}", path.display());
        if path.symlink_metadata().is_ok() {
            return Err(format!("{} is there already", path.display()));
        }
        std::fs::create_dir_all(&folder).map_err(|error| failed(error.to_string()))?;
        let schema = schema(table);
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(format!("tidewire {}", env!("CARGO_PKG_VERSION")))
            .set_max_row_group_bytes(Some(GROUP_BYTES_MAX))
            .set_key_value_metadata(Some(metadata(one)))
            .build();
        let file = File::create(part_of(&path)).map_err(|error| failed(error.to_string()))?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
        let mut writer = writer.map_err(|error| failed(error.to_string()))?;
        for shard in &source.shards {
            let wrong = |error: tidewire_storage::Error| format!("table {}: {error}", table.name);
            for region in regions(shard, table, (min, max), arguments, left_out).await? {
                let mut scan = source::scan_region(shard, table, &region).map_err(wrong)?;
                while let Some(chunk) = scan.next().await.map_err(wrong)? {
                    let Some(index) = shard.series(table.id) else { continue };
                    let batch = batch(&schema, table, &index, &chunk).map_err(failed)?;
                    drop(index);
                    writer.write(&batch).map_err(|error| failed(error.to_string()))?;
                    progress.add(chunk.rows() as u64);
                }
            }
        }
        finish(writer, &path).map_err(failed)?;
    }
    Ok(())
}

fn finish(writer: ArrowWriter<File>, path: &Path) -> Result<(), String> {
    let file = writer.into_inner().map_err(|error| error.to_string())?;
    file.sync_all().map_err(|error| error.to_string())?;
    std::fs::rename(part_of(path), path).map_err(|error| error.to_string())
}

/// A name as a file name, which no two names share: one that is too long is cut, with `~` and a hash of all of it. The
/// name itself stands in the file's metadata.
fn file_name(name: &str) -> String {
    let hash = xxh3_64(name.as_bytes());
    let name = utf8_percent_encode(name, NAME).to_string();
    let name = match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name,
    };
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let end = NAME_BYTES_MAX - "~0123456789abcdef".len();
    // Not within an escape.
    let end = name[..end].rfind('%').filter(|at| end - at < 3).unwrap_or(end);
    format!("{}~{hash:016x}", &name[..end])
}

fn is_tag(column: &ColumnSchema) -> bool {
    column.kind == ColumnKind::Tag
}

/// `time`, then tags, then fields, under their labels: readers find columns by name.
fn schema(table: &TableSchema) -> SchemaRef {
    let unit = match table.time_unit {
        TimeUnit::Millisecond => ArrowUnit::Millisecond,
        TimeUnit::Microsecond => ArrowUnit::Microsecond,
        TimeUnit::Nanosecond => ArrowUnit::Nanosecond,
    };
    let time = Field::new(TIME, DataType::Timestamp(unit, Some("UTC".into())), false);
    let tag = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let tags = table.columns.iter().filter(|column| is_tag(column));
    let tags = tags.map(|column| Field::new(table.label(column), tag.clone(), true));
    let fields = table.columns.iter().filter_map(|column| match column.kind {
        ColumnKind::Tag => None,
        ColumnKind::Field(kind) => Some(Field::new(&*column.name, kind.data_type(), true)),
    });
    Arc::new(Schema::new([time].into_iter().chain(tags).chain(fields).collect::<Vec<_>>()))
}

fn metadata(chosen: &Chosen) -> Vec<KeyValue> {
    let Chosen { database, policy, table } = chosen;
    let tags = table.columns.iter().filter(|column| is_tag(column));
    let tags: Vec<_> = tags.map(|column| table.label(column)).collect();
    let value = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let mut pairs = vec![
        value(DATABASE_KEY, database.name.to_string()),
        value(DDL_KEY, terms::statements(database).join(";\n")),
        value(TABLE_KEY, table.name.to_string()),
        value(TAGS_KEY, serde_json::json!(tags).to_string()),
        value(COLUMNS_KEY, TableTerms::of(table).encode()),
    ];
    if !chosen.is_in_default_policy() {
        pairs.push(value(POLICY_KEY, policy.to_string()));
    }
    pairs
}

fn batch(
    schema: &SchemaRef,
    table: &TableSchema,
    index: &SeriesIndex,
    chunk: &ScanChunk,
) -> Result<RecordBatch, String> {
    let times = chunk.time.clone();
    let time: ArrayRef = match table.time_unit {
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::new(times, None).with_timezone("UTC")),
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::new(times, None).with_timezone("UTC")),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::new(times, None).with_timezone("UTC")),
    };
    let mut columns = vec![time];
    for column in table.columns.iter().filter(|column| is_tag(column)) {
        columns.push(tag(index, column, chunk)?);
    }
    columns.extend(chunk.columns.iter().cloned());
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| error.to_string())
}

/// A tag of all rows: the values that the chunk has, and which of them each row has.
fn tag(index: &SeriesIndex, column: &ColumnSchema, chunk: &ScanChunk) -> Result<ArrayRef, String> {
    let codes = index.codes(column.id);
    let mut values: Vec<&str> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut keys: Vec<Option<i32>> = Vec::with_capacity(chunk.rows());
    for run in &chunk.runs {
        let code = codes.get(run.series.0 as usize).copied().filter(|code| *code != NO_TAG);
        let place = code.map(|code| {
            *places.entry(code).or_insert_with(|| {
                values.push(index.value(column.id, code));
                values.len() as i32 - 1
            })
        });
        keys.extend(std::iter::repeat_n(place, run.len as usize));
    }
    let array = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), Arc::new(StringArray::from(values)));
    Ok(Arc::new(array.map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_file_names_that_no_two_share() {
        assert_eq!(file_name("a b"), "a b");
        assert_eq!(file_name(".a/~b"), "%2Ea%2F%7Eb");
        let long = "温度".repeat(60);
        let (one, other) = (file_name(&long), file_name(&format!("{long}x")));
        assert!(one != other && one.len() <= NAME_BYTES_MAX && one.is_ascii(), "{one}");
        let (cut, hash) = one.split_once('~').unwrap();
        assert!(hash.len() == 16 && cut.len() % 3 == 0, "{one}");
        assert_eq!(file_name(&"x".repeat(NAME_BYTES_MAX)).len(), NAME_BYTES_MAX);
    }
}
