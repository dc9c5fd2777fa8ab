//! Rows of a query as rows to insert: INSERT of a query, and UPDATE, which inserts rows that take the place of others.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use tidewire_storage::schema::{ColumnId, FieldType, TableSchema};

use crate::error::{SqlError, SqlErrorKind};
use crate::types::array::{cast_to, time_parts};
use crate::types::geometry::kind_of;

/// Rows to write, by column. All vectors have one entry a row; every row has at least one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    /// Database.
    pub database: String,
    /// The table as it was when the statement was bound.
    pub table: Arc<TableSchema>,
    /// Timestamps in the table's unit.
    pub time: Vec<i64>,
    /// The tags that the statement names.
    pub tags: Vec<(ColumnId, Vec<Option<Arc<str>>>)>,
    /// The fields that the statement names.
    pub fields: Vec<(ColumnId, FieldValues)>,
}

/// Values of one field, `None` where a row lacks it.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValues {
    /// BIGINT.
    Int(Vec<Option<i64>>),
    /// BIGINT UNSIGNED.
    UInt(Vec<Option<u64>>),
    /// DOUBLE.
    Float(Vec<Option<f64>>),
    /// BOOLEAN.
    Bool(Vec<Option<bool>>),
    /// STRING.
    String(Vec<Option<Arc<str>>>),
}

/// Where the columns of a query go.
#[derive(Debug, Clone)]
pub struct InsertTarget {
    /// Database.
    pub database: String,
    /// The table as it was when the statement was bound.
    pub table: Arc<TableSchema>,
    /// For each column of the query.
    pub columns: Vec<InsertColumn>,
    /// Rows that are older are refused: the database does not keep them.
    pub time_min: i64,
    /// What a row is that has no field, or lacks one that is set.
    pub nulls: Nulls,
}

/// Where a column of a query goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertColumn {
    /// The time, as times of the table's unit.
    Time,
    /// A tag, as text.
    Tag(ColumnId),
    /// A field, in its type.
    Field(ColumnId, FieldType),
}

/// What becomes of nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// A row may lack fields, but not all: INSERT.
    NeedField,
    /// A row without a field is none: rows that are copied.
    LeaveOut,
    /// No field may be null: UPDATE, for what is written over a value is a value.
    Refuse,
}

impl InsertTarget {
    /// The rows of a batch, whose columns are those of the query.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Insert, SqlError> {
        let kept = self.kept(batch)?;
        let mut insert = Insert {
            database: self.database.clone(),
            table: Arc::clone(&self.table),
            time: Vec::new(),
            tags: Vec::new(),
            fields: Vec::new(),
        };
        for (column, target) in batch.columns().iter().zip(&self.columns) {
            match target {
                InsertColumn::Time => {
                    let (times, nulls, _) = time_parts(column).map_err(internal)?;
                    // Without time, a row is at the epoch, as with VALUES.
                    let time = |row: usize| if nulls.as_ref().is_some_and(|n| n.is_null(row)) { 0 } else { times[row] };
                    insert.time = kept.iter().map(|row| time(*row)).collect();
                }
                InsertColumn::Tag(id) => insert.tags.push((*id, texts(column, &kept)?)),
                InsertColumn::Field(id, field) => insert.fields.push((*id, self.field(*id, *field, column, &kept)?)),
            }
        }
        insert.time.resize(kept.len(), 0);
        let (first, last) = self.table.time_unit.times();
        if insert.time.iter().any(|time| !(first..=last).contains(time)) {
            return Err(SqlErrorKind::InsertTimeOutside.into());
        }
        if insert.time.iter().any(|time| *time < self.time_min) {
            return Err(SqlErrorKind::InsertExpired.into());
        }
        Ok(insert)
    }

    /// The rows that are inserted.
    fn kept(&self, batch: &RecordBatch) -> Result<Vec<usize>, SqlError> {
        let fields: Vec<&ArrayRef> = (batch.columns().iter().zip(&self.columns))
            .filter(|(_, target)| matches!(target, InsertColumn::Field(..)))
            .map(|(column, _)| column)
            .collect();
        let nulls: Vec<_> = fields.iter().map(Array::logical_nulls).collect();
        let is_null = |at: usize, row: usize| nulls[at].as_ref().is_some_and(|nulls| nulls.is_null(row));
        let mut kept = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let missing = (0..fields.len()).filter(|at| is_null(*at, row)).count();
            match self.nulls {
                Nulls::NeedField if missing == fields.len() => return Err(SqlErrorKind::InsertNoField.into()),
                Nulls::Refuse if missing > 0 => return Err(SqlErrorKind::UpdateNull.into()),
                Nulls::LeaveOut if missing == fields.len() => {}
                _ => kept.push(row),
            }
        }
        Ok(kept)
    }

    fn field(
        &self,
        id: ColumnId,
        field: FieldType,
        column: &ArrayRef,
        kept: &[usize],
    ) -> Result<FieldValues, SqlError> {
        let some = |row: usize| (!column.is_null(row)).then_some(row);
        let rows = || kept.iter().map(|row| some(*row));
        Ok(match field {
            FieldType::Int => {
                let values = column.as_primitive::<Int64Type>();
                FieldValues::Int(rows().map(|row| Some(values.value(row?))).collect())
            }
            FieldType::UInt => {
                let values = column.as_primitive::<UInt64Type>();
                FieldValues::UInt(rows().map(|row| Some(values.value(row?))).collect())
            }
            FieldType::Float => {
                let values = column.as_primitive::<Float64Type>();
                FieldValues::Float(rows().map(|row| Some(values.value(row?))).collect())
            }
            FieldType::Bool => {
                let values = column.as_boolean();
                FieldValues::Bool(rows().map(|row| Some(values.value(row?))).collect())
            }
            FieldType::String => {
                let values = texts(column, kept)?;
                values.iter().flatten().try_for_each(|text| check_shape(&self.table, id, text))?;
                FieldValues::String(values)
            }
        })
    }
}

/// Text of some rows. One text of a dictionary, or a run of equal ones, is made once.
fn texts(column: &ArrayRef, rows: &[usize]) -> Result<Vec<Option<Arc<str>>>, SqlError> {
    let column = cast_to(column, &DataType::Utf8).map_err(internal)?;
    let texts = column.as_string::<i32>();
    let mut last: Option<Arc<str>> = None;
    let text = |row: &usize| {
        if texts.is_null(*row) {
            return None;
        }
        let text = texts.value(*row);
        match &last {
            Some(known) if **known == *text => {}
            _ => last = Some(Arc::from(text)),
        }
        last.clone()
    };
    Ok(rows.iter().map(text).collect())
}

/// Refuses text that is no shape of the kind that its column holds.
pub(crate) fn check_shape(table: &TableSchema, id: ColumnId, text: &str) -> Result<(), SqlError> {
    let Some(column) = table.column_by_id(id) else { return Ok(()) };
    match column.geometry.filter(|kind| kind_of(text) != Some(*kind)) {
        Some(kind) => {
            let (column, text) = (column.name.to_string(), text.to_owned());
            Err(SqlErrorKind::InsertGeometry { column, kind, text }.into())
        }
        None => Ok(()),
    }
}

/// The query's columns have the types that they are inserted in: that they have not is a fault of ours.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn internal(error: crate::error::ExecError) -> SqlError {
    SqlError::unsupported(format!("a column that is of another type than it was bound with: {error}"))
}
