//! COPY INTO: rows of a query into a file, and rows of files into a table.
//!
//! What a file has is only known when it is opened, which the server does: it names the columns that it finds, and
//! [`CopyIn::source`] and [`CopyIn::plan`] say what is made of them.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use tidewire_storage::schema::{
    ColumnKind, ExternalColumn, ExternalTable, ExternalType, FieldType, FileFormat, TableSchema,
};

use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::explicit_cast;
use crate::expr::{Expr, Typed};
use crate::insertion::{InsertColumn, InsertTarget, Nulls};
use crate::plan::{ExternalScan, Plan};
use crate::types::unit::arrow_unit;

/// Name of the column that every table has.
const TIME: &str = "time";

/// COPY INTO a table.
#[derive(Debug, Clone)]
pub struct CopyIn {
    /// Where the rows go.
    pub into: CopyInto,
    /// What the columns of the files are, in their order; empty where they go by their names.
    pub columns: Vec<String>,
    /// A file, or a folder all of whose files of the format are meant; as written.
    pub location: Arc<str>,
    /// How they are read.
    pub format: FileFormat,
}

/// Where copied rows go.
#[derive(Debug, Clone)]
pub enum CopyInto {
    /// A table of ours.
    Table {
        /// Its database.
        database: String,
        /// The table as it was when the statement was bound.
        table: Arc<TableSchema>,
        /// Rows that are older are refused.
        time_min: i64,
    },
    /// A table over files, which gets one more.
    External(Arc<ExternalTable>),
}

/// A column that rows are copied to.
struct Target {
    name: String,
    kind: ExternalType,
    /// In a table of ours.
    column: Option<InsertColumn>,
}

impl CopyIn {
    /// The files as a table. `found` are the names that the first of them has for its columns, with what the file says
    /// they are; `None` where it says nothing of them.
    pub fn source(&self, found: Option<&[ExternalColumn]>) -> Result<ExternalTable, SqlError> {
        let targets = self.into.targets();
        let of_target = |name: &str, kind: ExternalType| ExternalColumn { name: name.into(), kind, not_null: false };
        let mut columns = Vec::new();
        match found {
            _ if !self.columns.is_empty() => {
                if found.is_some_and(|found| found.len() != self.columns.len()) {
                    return Err(SqlErrorKind::InsertWidth.into());
                }
                for (at, name) in self.columns.iter().enumerate() {
                    let target = named(&targets, name)?;
                    let as_found = found.filter(|_| self.has_types()).and_then(|found| found.get(at));
                    columns.push(as_found.cloned().unwrap_or_else(|| of_target(&target.name, target.kind)));
                }
            }
            None => columns.extend(targets.iter().map(|target| of_target(&target.name, target.kind))),
            Some(found) => {
                for column in found {
                    let target = named(&targets, &column.name)?;
                    let kind = if self.has_types() { column.kind } else { target.kind };
                    columns.push(of_target(&column.name, kind));
                }
            }
        }
        Ok(ExternalTable {
            name: Arc::clone(&self.location),
            columns,
            format: self.format,
            location: Arc::clone(&self.location),
        })
    }

    /// Whether the files themselves say what the values of their columns are.
    pub fn has_types(&self) -> bool {
        self.format == FileFormat::Parquet
    }

    /// The rows of `source` as those of the table they go to, and where their columns go; `None` for a table over
    /// files, which takes them as they are.
    pub fn plan(&self, source: ExternalTable) -> Result<(Plan, Option<InsertTarget>), SqlError> {
        let targets = self.into.targets();
        let scan = ExternalScan::all(Arc::new(source));
        let name_of = |at: usize| match self.columns.get(at) {
            Some(name) => name.as_str(),
            None => scan.table.columns.get(at).map_or("", |column| &column.name),
        };
        let mut of_targets: Vec<(usize, &Target)> = Vec::new();
        for at in 0..scan.columns.len() {
            let target = named(&targets, name_of(at))?;
            if of_targets.iter().any(|(_, known)| known.name == target.name) {
                return Err(SqlErrorKind::InsertColumnTwice(target.name.clone()).into());
            }
            of_targets.push((at, target));
        }
        if let CopyInto::External(_) = &self.into {
            // In the order of the table, for files whose columns have no names.
            of_targets.sort_by_key(|(_, target)| targets.iter().position(|known| known.name == target.name));
            if of_targets.len() < targets.len() {
                return Err(SqlErrorKind::InsertWidth.into());
            }
        } else if !of_targets.iter().any(|(_, target)| target.column == Some(InsertColumn::Time)) {
            let (column, table) = (TIME.to_owned(), self.location.to_string());
            return Err(SqlErrorKind::ColumnMissing { column, table }.into());
        }
        let (mut exprs, mut fields) = (Vec::new(), Vec::new());
        for (at, target) in &of_targets {
            let from = scan.schema.field(*at).data_type().clone();
            let to = target.kind.data_type();
            exprs.push(explicit_cast(Typed::new(Expr::Column(*at), from), to.clone())?.expr);
            fields.push(Field::new(&target.name, to, true));
        }
        let schema = Arc::new(Schema::new(fields));
        let columns: Option<Vec<InsertColumn>> = of_targets.iter().map(|(_, target)| target.column).collect();
        let plan = Plan::Project { input: Box::new(Plan::External(scan)), exprs, schema };
        let target = match (&self.into, columns) {
            (CopyInto::Table { database, table, time_min }, Some(columns)) => Some(InsertTarget {
                database: database.clone(),
                table: Arc::clone(table),
                columns,
                time_min: *time_min,
                nulls: Nulls::NeedField,
            }),
            _ => None,
        };
        Ok((plan, target))
    }
}

impl CopyInto {
    /// The columns that rows can be copied to.
    fn targets(&self) -> Vec<Target> {
        match self {
            Self::Table { table, .. } => {
                let time = Target {
                    name: TIME.to_owned(),
                    kind: ExternalType::Time(table.time_unit),
                    column: Some(InsertColumn::Time),
                };
                let columns = table.columns.iter().map(|column| {
                    let (kind, target) = match column.kind {
                        ColumnKind::Tag => (ExternalType::String, InsertColumn::Tag(column.id)),
                        ColumnKind::Field(field) => (type_of(field), InsertColumn::Field(column.id, field)),
                    };
                    Target { name: table.label(column).into_owned(), kind, column: Some(target) }
                });
                std::iter::once(time).chain(columns).collect()
            }
            Self::External(table) => {
                let target =
                    |column: &ExternalColumn| Target { name: column.name.to_string(), kind: column.kind, column: None };
                table.columns.iter().map(target).collect()
            }
        }
    }
}

fn type_of(field: FieldType) -> ExternalType {
    match field {
        FieldType::Int => ExternalType::Int,
        FieldType::UInt => ExternalType::UInt,
        FieldType::Float => ExternalType::Float,
        FieldType::Bool => ExternalType::Bool,
        FieldType::String => ExternalType::String,
    }
}

/// The column of that name, exactly or, failing that, without regard to case: `TIME` is time.
fn named<'t>(targets: &'t [Target], name: &str) -> Result<&'t Target, SqlError> {
    let exact = targets.iter().find(|target| target.name == name);
    exact.or_else(|| targets.iter().find(|target| target.name.eq_ignore_ascii_case(name))).ok_or_else(|| {
        let known = targets.iter().map(|target| target.name.clone()).collect();
        SqlErrorKind::InsertColumn { column: name.to_owned(), known }.into()
    })
}

/// The type of a column of a result in a file that is read back.
pub fn external_type(data_type: &DataType) -> Option<ExternalType> {
    use tidewire_storage::schema::TimeUnit;
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ExternalType::Int,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => ExternalType::UInt,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ExternalType::Float,
        DataType::Boolean => ExternalType::Bool,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ExternalType::String,
        DataType::Dictionary(_, values) => external_type(values).filter(|kind| *kind == ExternalType::String)?,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            ExternalType::Decimal(*precision, *scale)
        }
        DataType::Date32 | DataType::Date64 => ExternalType::Date,
        DataType::Timestamp(unit, _) => {
            let known = [TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
            // Seconds are read as milliseconds.
            let of_unit = known.into_iter().find(|known| arrow_unit(*known) == *unit);
            ExternalType::Time(of_unit.unwrap_or(TimeUnit::Millisecond))
        }
        _ => return None,
    })
}
