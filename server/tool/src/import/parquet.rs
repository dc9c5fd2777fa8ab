//! Parquet, row by row as line protocol, or as values of SQL where a name or a number has no line.
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
use tidewire_storage::schema::TAG_SUFFIX;

use super::Target;
use super::send::{Batch, Sender};
use crate::lines::{self, Readers};
use crate::progress::Progress;
use crate::tables::{TableTerms, identifier};
use crate::terms::Declared;
use crate::{COLUMNS_KEY, DATABASE_KEY, DDL_KEY, POLICY_KEY, TABLE_KEY, TAGS_KEY, TIME};
use tidewire_base::cli::{ImportArguments, ImportPrecision};

/// Rows decoded at once.
const ROWS: usize = 4096;

/// Bytes of values in one statement: its text takes the server many times as much memory as lines do.
const VALUES_BYTES: usize = 64 << 10;

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

    let lines = Target {
        database: layout.database.clone(),
        precision: layout.precision,
        dialect: Dialect::Cnos,
        policy: layout.policy.clone(),
        insert: None,
    };
    sender.prepare(&lines, &layout.declared).map_err(wrong)?;
    if let Some(terms) = layout.columns.as_ref().filter(|_| layout.policy.is_none()) {
        sender.create_table(&lines, terms).map_err(wrong)?;
    }
    let target = |form: Form| match form {
        Form::Line(dialect) => Target { dialect, ..lines.clone() },
        Form::Values => Target { insert: Some(layout.insert().into()), ..lines.clone() },
    };
    let (mut row, mut moved, mut empty_rows, mut not_finite) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut filling: Vec<(Form, Batch)> = Vec::new();
    for rows in reader {
        let rows = rows.map_err(|error| wrong(error.to_string()))?;
        let rows = layout.rows(&rows).map_err(wrong)?;
        for at in 0..rows.time.len() {
            row += 1;
            let form = rows.form(at, &layout).map_err(|reason| format!("{name}, row {row}: {reason}"))?;
            let place = match filling.iter().position(|(known, _)| *known == form) {
                Some(place) => place,
                None => {
                    filling.push((form, Batch::new(&Arc::new(target(form)), name, "row")));
                    filling.len() - 1
                }
            };
            let Some((_, batch)) = filling.get_mut(place) else { continue };
            match rows.push(at, form, &layout, &mut batch.text, &mut not_finite) {
                true => batch.end_row(row),
                false => empty_rows += 1,
            }
            let bytes_max = match form {
                Form::Line(_) => arguments.batch_bytes,
                Form::Values => arguments.batch_bytes.min(VALUES_BYTES),
            };
            if batch.text.len() >= bytes_max {
                let next = Batch::new(&batch.target, name, "row");
                sender.send(std::mem::replace(batch, next))?;
            }
        }
        let now = (u128::from(bytes) * u128::from(row) / u128::from(total)) as u64;
        progress.add(now.saturating_sub(moved));
        moved = now;
    }
    if empty_rows > 0 {
        progress.say(&format!("{name}: left out: {empty_rows} rows without values"));
    }
    if not_finite > 0 {
        progress.say(&format!("{name}: left out: {not_finite} values that are no finite numbers"));
    }
    filling.into_iter().try_for_each(|(_, rest)| sender.send(rest))
}

/// How a row is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As a line.
    Line(Dialect),
    /// As values of an INSERT, which can say every name and number, but no retention policy.
    Values,
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
    /// What the metadata says of the table's columns.
    columns: Option<TableTerms>,
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
        let columns = value(COLUMNS_KEY).map(|text| TableTerms::decode(&text)).transpose()?;
        let mut shares_names = false;
        for (_, name) in &mut tags {
            let shared = name.strip_suffix(TAG_SUFFIX).filter(|tag| {
                columns
                    .as_ref()
                    .is_some_and(|terms| terms.is_shared(tag) && terms.tags.iter().any(|known| known == tag))
            });
            if let Some(shared) = shared {
                *name = shared.to_owned();
                shares_names = true;
            }
        }
        tags.sort_by(|one, two| one.1.cmp(&two.1));
        let is_field = |column: &usize| *column != time && tags.iter().all(|(tag, _)| tag != column);
        let fields = (0..schema.fields().len()).filter(is_field);
        let fields: Vec<_> = fields.map(|column| (column, schema.field(column).name().clone())).collect();
        let of_names = fields.iter().map(|(_, name)| Readers::of("m", &[], Some(name)));
        // CnosDB's door has no tag and field of one name.
        let all = Readers { cnos: !shares_names, ..Readers::ALL };
        let field_readers = of_names.fold(all, Readers::and);
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let table = arguments.table.clone().or_else(|| value(TABLE_KEY)).or(stem);
        let name = table.clone().unwrap_or_default();
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
            columns: columns.map(|columns| TableTerms { name, ..columns }),
        })
    }

    /// The statement that values stand behind.
    fn insert(&self) -> String {
        let names = self.tags.iter().chain(&self.fields).map(|(_, name)| identifier(name));
        let names: Vec<String> = std::iter::once(TIME.to_owned()).chain(names).collect();
        format!("INSERT INTO {} ({}) VALUES ", identifier(&self.table), names.join(", "))
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

    /// How a row is said.
    fn form(&self, row: usize, layout: &Layout) -> Result<Form, String> {
        let tags = self.tags(row, layout);
        let is_finite = || self.fields.iter().all(|array| array.is_null(row) || is_finite(array, row));
        match Readers::of(&layout.table, &tags, None).and(layout.field_readers) {
            // Only InfluxDB's can name a policy.
            Readers { cnos: true, .. } if layout.policy.is_none() && is_finite() => Ok(Form::Line(Dialect::Cnos)),
            Readers { influx: true, .. } if layout.policy.is_some() || is_finite() => Ok(Form::Line(Dialect::Influx)),
            _ if layout.policy.is_none() => Ok(Form::Values),
            _ => Err(format!(
                "table {:?} with the tags {tags:?} cannot be said in line protocol, and nothing else can name the \
                 retention policy {:?}",
                layout.table,
                layout.policy.as_deref().unwrap_or_default()
            )),
        }
    }

    /// Appends a row; false, and nothing, if it has no value. Values that a line cannot say are left out and counted.
    fn push(&self, row: usize, form: Form, layout: &Layout, out: &mut Vec<u8>, not_finite: &mut u64) -> bool {
        match form {
            Form::Line(_) => self.push_line(row, layout, out, not_finite),
            Form::Values => self.push_values(row, layout, out),
        }
    }

    fn push_line(&self, row: usize, layout: &Layout, out: &mut Vec<u8>, not_finite: &mut u64) -> bool {
        let start = out.len();
        lines::push_series(out, &layout.table, self.tags(row, layout));
        let mut separator = b' ';
        for (array, (_, name)) in self.fields.iter().zip(&layout.fields) {
            if array.is_null(row) {
                continue;
            }
            let before = out.len();
            out.push(separator);
            lines::push_name(out, name);
            out.push(b'=');
            if push_value(out, array, row) {
                separator = b',';
            } else {
                out.truncate(before);
                *not_finite += 1;
            }
        }
        if separator == b' ' {
            out.truncate(start);
            return false;
        }
        out.push(b' ');
        lines::push_digits(out, self.time.as_primitive::<Int64Type>().value(row));
        out.push(b'\n');
        true
    }

    fn push_values(&self, row: usize, layout: &Layout, out: &mut Vec<u8>) -> bool {
        if self.fields.iter().all(|array| array.is_null(row)) {
            return false;
        }
        out.push(b'(');
        push_time(out, self.time.as_primitive::<Int64Type>().value(row), layout.precision);
        for array in &self.tags {
            out.push(b',');
            match array.is_valid(row).then(|| array.as_string::<i32>().value(row)).filter(|text| !text.is_empty()) {
                Some(text) => push_text(out, text),
                None => out.extend_from_slice(b"NULL"),
            }
        }
        for array in &self.fields {
            out.push(b',');
            push_sql(out, array, row);
        }
        out.extend_from_slice(b"),\n");
        true
    }
}

/// Appends a time in SQL: as a number, which is one of the table's unit, only where no text can say it.
fn push_time(out: &mut Vec<u8>, time: i64, precision: ImportPrecision) {
    let unit = match precision {
        ImportPrecision::Ms => TimeUnit::Millisecond,
        ImportPrecision::Us => TimeUnit::Microsecond,
        ImportPrecision::Ns => TimeUnit::Nanosecond,
    };
    let nanoseconds = match precision {
        ImportPrecision::Ms => 1_000_000,
        ImportPrecision::Us => 1_000,
        ImportPrecision::Ns => 1,
    };
    match time.checked_mul(nanoseconds) {
        Some(_) => push_text(out, &tidewire_sql::types::timestamp::format_timestamp(time, unit)),
        None => lines::push_digits(out, time),
    }
}

/// Appends a text in SQL.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'\'');
    out.extend_from_slice(text.replace('\'', "''").as_bytes());
    out.push(b'\'');
}

/// Appends a value in SQL.
fn push_sql(out: &mut Vec<u8>, array: &ArrayRef, row: usize) {
    if array.is_null(row) {
        out.extend_from_slice(b"NULL");
        return;
    }
    match array.data_type() {
        kind if kind.is_integer() => {
            let before = out.len();
            push_value(out, array, row);
            // Without the letter of line protocol.
            out.truncate(out.len().saturating_sub(1).max(before));
        }
        DataType::Float32 | DataType::Float64 if !is_finite(array, row) => {
            let number = float(array, row).unwrap_or(f64::NAN);
            let text = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "inf"
            } else {
                "-inf"
            };
            out.extend_from_slice(format!("CAST('{text}' AS DOUBLE)").as_bytes());
        }
        DataType::Float32 | DataType::Float64 | DataType::Boolean => {
            push_value(out, array, row);
        }
        _ => push_text(out, array.as_string::<i32>().value(row)),
    }
}

fn float(array: &ArrayRef, row: usize) -> Option<f64> {
    match array.data_type() {
        DataType::Float32 => Some(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(row)),
        _ => None,
    }
}

/// Whether a value is none of the numbers that are not finite.
fn is_finite(array: &ArrayRef, row: usize) -> bool {
    float(array, row).is_none_or(f64::is_finite)
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
