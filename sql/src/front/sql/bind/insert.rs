//! INSERT … VALUES: every cell becomes a constant of its column's type; what is no literal is computed.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_schema::DataType;
use sqlparser::ast::{self, Ident, ObjectName, SetExpr};
use tidewire_storage::schema::{Access, ColumnId, ColumnKind, FieldType, TableSchema};

use super::binder::Binder;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::Scalar;
use crate::front::sql::parse::fold;
use crate::statement::{FieldValues, Insert, Statement};
use crate::types::error::ConversionError;
use crate::types::geometry::kind_of;
use crate::types::unit::arrow_unit;

/// Where the cells of one column of VALUES go.
enum Target {
    Time(Vec<i64>),
    Tag(ColumnId, Vec<Option<Arc<str>>>),
    Field(ColumnId, FieldType, FieldValues),
}

impl Binder<'_> {
    pub(super) fn insert(
        &self,
        table: &ObjectName,
        columns: &[Ident],
        source: &ast::Query,
    ) -> Result<Statement, SqlError> {
        let (database, table, _) = self.table(table, Access::WRITE)?;
        let SetExpr::Values(values) = source.body.as_ref() else {
            return Err(SqlError::unsupported("INSERT of a query"));
        };
        if source.order_by.is_some() || source.limit_clause.is_some() || source.with.is_some() {
            return Err(SqlError::unsupported("INSERT of a query"));
        }
        let count = values.rows.len();
        let mut targets = targets(&table, columns, count)?;
        for row in &values.rows {
            let cells = &row.content;
            if cells.len() != targets.len() {
                return Err(SqlErrorKind::InsertWidth.into());
            }
            let mut has_field = false;
            for (cell, target) in cells.iter().zip(&mut targets) {
                self.budget.take_nodes(1)?;
                let value = self.constant(cell, "VALUES")?;
                let is_null = value == Scalar::Null;
                self.put(&table, target, &value)?;
                has_field |= !is_null && matches!(target, Target::Field(..));
            }
            if !has_field {
                return Err(SqlErrorKind::InsertNoField.into());
            }
        }
        let mut insert =
            Insert { database: database.to_string(), table, time: Vec::new(), tags: Vec::new(), fields: Vec::new() };
        for target in targets {
            match target {
                Target::Time(times) => insert.time = times,
                Target::Tag(id, values) => insert.tags.push((id, values)),
                Target::Field(id, _, values) => insert.fields.push((id, values)),
            }
        }
        // Without time, every row is at the epoch, as the reference has it.
        insert.time.resize(count, 0);
        let policy = self.catalog.databases.get(&database).and_then(|database| database.main_policy());
        let time_min = policy.map_or(i64::MIN, |policy| policy.time_min(self.session.now_ns, insert.table.time_unit));
        let (first, last) = insert.table.time_unit.times();
        if insert.time.iter().any(|time| !(first..=last).contains(time)) {
            return Err(SqlErrorKind::InsertTimeOutside.into());
        }
        if insert.time.iter().any(|time| *time < time_min) {
            // As the reference refuses them: older than the database keeps.
            return Err(SqlErrorKind::InsertExpired.into());
        }
        Ok(Statement::Insert(insert))
    }

    /// Appends one cell.
    fn put(&self, table: &TableSchema, target: &mut Target, value: &Scalar) -> Result<(), SqlError> {
        let unsupported = |to: DataType| {
            SqlError::new(SqlErrorKind::InsertValue(ConversionError::Unsupported { from: value.data_type(), to }))
        };
        let convert =
            |to: DataType| -> Result<Scalar, SqlError> { self.converted(value, &to)?.ok_or_else(|| unsupported(to)) };
        match target {
            Target::Time(times) => match convert(DataType::Timestamp(arrow_unit(table.time_unit), None))? {
                Scalar::Time(time, _) => times.push(time),
                Scalar::Null => times.push(0),
                _ => return Err(unsupported(DataType::Timestamp(arrow_unit(table.time_unit), None))),
            },
            Target::Tag(_, values) => match convert(DataType::Utf8)? {
                Scalar::Str(text) => values.push(Some(text)),
                Scalar::Null => values.push(None),
                _ => return Err(unsupported(DataType::Utf8)),
            },
            Target::Field(id, field, values) => match (values, convert(field.data_type())?) {
                (FieldValues::Int(values), Scalar::Int(value)) => values.push(Some(value)),
                (FieldValues::Int(values), Scalar::Null) => values.push(None),
                (FieldValues::UInt(values), Scalar::UInt(value)) => values.push(Some(value)),
                (FieldValues::UInt(values), Scalar::Null) => values.push(None),
                (FieldValues::Float(values), Scalar::Float(value)) => values.push(Some(value)),
                (FieldValues::Float(values), Scalar::Null) => values.push(None),
                (FieldValues::Bool(values), Scalar::Bool(value)) => values.push(Some(value)),
                (FieldValues::Bool(values), Scalar::Null) => values.push(None),
                (FieldValues::String(values), Scalar::Str(text)) => {
                    check_shape(table, *id, &text)?;
                    values.push(Some(text));
                }
                (FieldValues::String(values), Scalar::Null) => values.push(None),
                _ => return Err(unsupported(field.data_type())),
            },
        }
        Ok(())
    }
}

/// The columns that VALUES fills: those named, or all in display order.
fn targets(table: &TableSchema, columns: &[Ident], count: usize) -> Result<Vec<Target>, SqlError> {
    let of_column = |name: &str| -> Option<Target> {
        // Names are matched exactly, then without case: `TIME` is time.
        let column =
            table.labelled(name).or_else(|| table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)));
        match column {
            Some(column) => Some(match column.kind {
                ColumnKind::Tag => Target::Tag(column.id, Vec::with_capacity(count)),
                ColumnKind::Field(field) => Target::Field(column.id, field, empty(field, count)),
            }),
            None if name.eq_ignore_ascii_case("time") => Some(Target::Time(Vec::with_capacity(count))),
            None => None,
        }
    };
    let all = || std::iter::once("time".into()).chain(table.columns.iter().map(|column| table.label(column)));
    if columns.is_empty() {
        return Ok(all().filter_map(|name: Cow<'_, str>| of_column(&name)).collect());
    }
    let mut seen = std::collections::HashSet::new();
    let named = columns.iter().map(|ident| {
        let name = fold(ident);
        if !seen.insert(name.clone()) {
            return Err(SqlErrorKind::InsertColumnTwice(name).into());
        }
        of_column(&name).ok_or_else(|| {
            let known = all().map(Cow::into_owned).collect();
            SqlErrorKind::InsertColumn { column: name, known }.into()
        })
    });
    named.collect()
}

/// Refuses text that is no shape of the kind that its column holds.
fn check_shape(table: &TableSchema, id: ColumnId, text: &str) -> Result<(), SqlError> {
    let Some(column) = table.column_by_id(id) else { return Ok(()) };
    match column.geometry.filter(|kind| kind_of(text) != Some(*kind)) {
        Some(kind) => {
            let (column, text) = (column.name.to_string(), text.to_owned());
            Err(SqlErrorKind::InsertGeometry { column, kind, text }.into())
        }
        None => Ok(()),
    }
}

fn empty(field: FieldType, count: usize) -> FieldValues {
    match field {
        FieldType::Int => FieldValues::Int(Vec::with_capacity(count)),
        FieldType::UInt => FieldValues::UInt(Vec::with_capacity(count)),
        FieldType::Float => FieldValues::Float(Vec::with_capacity(count)),
        FieldType::Bool => FieldValues::Bool(Vec::with_capacity(count)),
        FieldType::String => FieldValues::String(Vec::with_capacity(count)),
    }
}
