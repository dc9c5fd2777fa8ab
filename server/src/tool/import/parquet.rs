//! Parquet, row by row as line protocol.
//!
//! Which columns are tags, the file's metadata says if Tidewire wrote it, or the command line; the table is the one
//! that the metadata names, or the file's name. Database and retention policy are made as the metadata says, if
//! missing. `time` (or `--time NAME`) is a timestamp or a whole number of the precision.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use tidewire_protocol::line::Dialect;
use tidewire_sql::PolicyOptions;

use super::Target;
use super::send::{Batch, Sender};
use crate::cli::{ImportArguments, ImportPrecision};
use crate::tool::lines::{self, Readers};
use crate::tool::progress::Progress;
use crate::tool::terms::Declared;
use crate::tool::{DATABASE_KEY, DDL_KEY, POLICY_KEY, TABLE_KEY, TAGS_KEY, TIME};

/// Rows decoded at once.
const ROWS: usize = 4096;

/// What every Parquet file begins with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Looks at the beginning of a file, and goes back there.
pub(super) fn is_parquet(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::with_capacity(MAGIC.len());
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == MAGIC)
}

pub(super) fn import(
    file: File,
    name: &Arc<str>,
    arguments: &ImportArguments,
    progress: &Progress,
    sender: &Sender<'_>,
) -> Result<(), String> {
    let wrong = |reason: String| format!("{name}: {reason}");
    let bytes = file.metadata().map_err(|error| wrong(error.to_string()))?.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| wrong(error.to_string()))?;
    let metadata = builder.metadata().file_metadata().clone();
    let said = metadata.key_value_metadata().map_or(&[][..], |pairs| pairs.as_slice());
    let total = u64::try_from(metadata.num_rows()).unwrap_or(0).max(1);
    let layout = Layout::new(builder.schema(), said, name, arguments).map_err(wrong)?;
    let reader = builder.with_batch_size(ROWS).build().map_err(|error| wrong(error.to_string()))?;

    let mut target: Option<Arc<Target>> = None;
    let (mut row, mut moved, mut empty_rows) = (0_u64, 0_u64, 0_u64);
    let mut filling: Option<Batch> = None;
    for rows in reader {
        let rows = rows.map_err(|error| wrong(error.to_string()))?;
        let rows = layout.rows(&rows).map_err(wrong)?;
        for at in 0..rows.time.len() {
            row += 1;
            let dialect = rows.dialect(at, &layout).map_err(|reason| format!("{name}, row {row}: {reason}"))?;
            if target.as_ref().is_none_or(|target| target.dialect != dialect) {
                if let Some(full) = filling.take() {
                    sender.send(full)?;
                }
                let (database, policy) = (layout.database.clone(), layout.policy.clone());
                let next = Target { database, precision: layout.precision, dialect, policy };
                if target.is_none() {
                    sender.prepare(&next, &layout.declared).map_err(wrong)?;
                }
                target = Some(Arc::new(next));
            }
            let Some(target) = &target else { continue };
            let batch = filling.get_or_insert_with(|| Batch::new(target, name, "row"));
            match rows.push(at, &layout, &mut batch.text).map_err(|reason| format!("{name}, row {row}: {reason}"))? {
                true => batch.end_row(row),
                false => empty_rows += 1,
            }
            if let Some(full) = filling.take_if(|batch| batch.text.len() >= arguments.batch_bytes) {
                sender.send(full)?;
            }
        }
        let now = (u128::from(bytes) * u128::from(row) / u128::from(total)) as u64;
        progress.add(now.saturating_sub(moved));
        moved = now;
    }
    if empty_rows > 0 {
        progress.say(&format!("{name}: left out: {empty_rows} rows without values"));
    }
    match filling {
        Some(rest) => sender.send(rest),
        None => Ok(()),
    }
}

/// What the columns are.
struct Layout {
    database: String,
    /// The retention policy; `None` for the default one.
    policy: Option<String>,
    /// What the metadata says of the database's policies.
    declared: Vec<(String, PolicyOptions)>,
    precision: ImportPrecision,
    table: String,
    time: usize,
    /// Sorted by name.
    tags: Vec<(usize, String)>,
    fields: Vec<(usize, String)>,
    /// Who reads the names of all fields.
    field_readers: Readers,
}

impl Layout {
    fn new(schema: &Schema, said: &[KeyValue], file: &str, arguments: &ImportArguments) -> Result<Self, String> {
        let value = |key: &str| said.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
        let time_name = arguments.time.as_deref().unwrap_or(TIME);
        let time = schema.index_of(time_name).map_err(|_| format!("there is no column {time_name:?}; see --time"))?;
        let of_type = match schema.field(time).data_type() {
            DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Second, _) => Some(ImportPrecision::Ms),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(ImportPrecision::Us),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(ImportPrecision::Ns),
            DataType::Int64 => None,
            other => return Err(format!("column {time_name:?} is {other}, which is no time")),
        };
        let names: Vec<String> = match (&arguments.tags, value(TAGS_KEY)) {
            (Some(given), _) => given.clone(),
            (None, Some(text)) => serde_json::from_str(&text).map_err(|error| format!("{TAGS_KEY}: {error}"))?,
            (None, None) => Vec::new(),
        };
        let mut tags = Vec::new();
        for name in names {
            let column = schema.index_of(&name).map_err(|_| format!("there is no column {name:?} to be a tag"))?;
            tags.push((column, name));
        }
        tags.sort_by(|one, two| one.1.cmp(&two.1));
        let is_field = |column: &usize| *column != time && tags.iter().all(|(tag, _)| tag != column);
        let fields = (0..schema.fields().len()).filter(is_field);
        let fields: Vec<_> = fields.map(|column| (column, schema.field(column).name().clone())).collect();
        let of_names = fields.iter().map(|(_, name)| Readers::of("m", &[], Some(name)));
        let field_readers = of_names.fold(Readers::ALL, Readers::and);
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let table = arguments.table.clone().or_else(|| value(TABLE_KEY)).or(stem);
        let mut declared = Declared::default();
        if let Some(statements) = value(DDL_KEY) {
            declared.read(&statements).map_err(|error| format!("{DDL_KEY}: {error}"))?;
        }
        let origin = value(DATABASE_KEY);
        let declared = origin.as_deref().map_or(&[][..], |name| declared.policies(name)).to_vec();
        let database = arguments.database.clone().or(origin);
        Ok(Self {
            database: database.ok_or("no --database is given, and the file does not name one")?,
            policy: value(POLICY_KEY),
            declared,
            precision: of_type.or(arguments.precision).unwrap_or(ImportPrecision::Ns),
            table: table.unwrap_or_default(),
            time,
            tags,
            fields,
            field_readers,
        })
    }

    /// The columns of a batch, in types that lines have.
    fn rows(&self, batch: &RecordBatch) -> Result<Rows, String> {
        let text = |column: usize| cast(batch.column(column), &DataType::Utf8).map_err(|error| error.to_string());
        let unit = match self.precision {
            ImportPrecision::Ms => TimeUnit::Millisecond,
            ImportPrecision::Us => TimeUnit::Microsecond,
            ImportPrecision::Ns => TimeUnit::Nanosecond,
        };
        let time = batch.column(self.time);
        if time.null_count() > 0 {
            return Err("there are rows without a time".to_owned());
        }
        let time = match time.data_type() {
            DataType::Timestamp(_, zone) => cast(time, &DataType::Timestamp(unit, zone.clone())),
            _ => Ok(time.clone()),
        };
        let time = time.and_then(|time| cast(&time, &DataType::Int64)).map_err(|error| error.to_string())?;
        let tags = self.tags.iter().map(|(column, _)| text(*column)).collect::<Result<_, _>>()?;
        let fields = self.fields.iter().map(|(column, name)| {
            let array = batch.column(*column);
            match array.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => text(*column),
                _ if is_plain(array.data_type()) => Ok(array.clone()),
                other => Err(format!("column {name:?} is {other}, which no field can be")),
            }
        });
        Ok(Rows { time, tags, fields: fields.collect::<Result<_, _>>()? })
    }
}

fn is_plain(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Float32 | DataType::Float64 | DataType::Boolean)
}

struct Rows {
    time: ArrayRef,
    tags: Vec<ArrayRef>,
    fields: Vec<ArrayRef>,
}

impl Rows {
    fn tags<'a>(&'a self, row: usize, layout: &'a Layout) -> Vec<(&'a str, &'a str)> {
        let values = self.tags.iter().zip(&layout.tags).filter(|(array, _)| array.is_valid(row));
        // A tag with an empty value is no tag.
        let tags = values.map(|(array, (_, name))| (name.as_str(), array.as_string::<i32>().value(row)));
        tags.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The dialect that reads a row's names.
    fn dialect(&self, row: usize, layout: &Layout) -> Result<Dialect, String> {
        let tags = self.tags(row, layout);
        match Readers::of(&layout.table, &tags, None).and(layout.field_readers) {
            // Only InfluxDB's can name a policy.
            Readers { cnos: true, .. } if layout.policy.is_none() => Ok(Dialect::Cnos),
            Readers { influx: true, .. } => Ok(Dialect::Influx),
            _ => Err(format!("table {:?} with the tags {tags:?} cannot be said in line protocol", layout.table)),
        }
    }

    /// Appends a row as a line; false, and nothing, if it has no value.
    fn push(&self, row: usize, layout: &Layout, out: &mut Vec<u8>) -> Result<bool, String> {
        let start = out.len();
        lines::push_series(out, &layout.table, self.tags(row, layout));
        let mut separator = b' ';
        for (array, (_, name)) in self.fields.iter().zip(&layout.fields) {
            if array.is_null(row) {
                continue;
            }
            out.push(separator);
            lines::push_name(out, name);
            out.push(b'=');
            if !push_value(out, array, row) {
                return Err(format!("column {name:?} holds what is no finite number"));
            }
            separator = b',';
        }
        if separator == b' ' {
            out.truncate(start);
            return Ok(false);
        }
        out.push(b' ');
        lines::push_digits(out, self.time.as_primitive::<Int64Type>().value(row));
        out.push(b'\n');
        Ok(true)
    }
}

/// Appends a value; false if it is no finite number.
fn push_value(out: &mut Vec<u8>, array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        DataType::Int8 => lines::push_int(out, array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => lines::push_int(out, array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => lines::push_int(out, array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => lines::push_int(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => lines::push_uint(out, array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => lines::push_uint(out, array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => lines::push_uint(out, array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => lines::push_uint(out, array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => return lines::push_float(out, array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => return lines::push_float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => lines::push_bool(out, array.as_boolean().value(row)),
        _ => lines::push_string(out, array.as_string::<i32>().value(row)),
    }
    true
}
