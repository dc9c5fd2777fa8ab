//! INSERT. Of VALUES, every cell becomes a constant of its column's type; what is no literal is computed. The rows of
//! any other query are converted as it runs.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_schema::DataType;
use sqlparser::ast::{self, Ident, ObjectName, SetExpr};
use tidewire_storage::schema::{Access, ColumnId, ColumnKind, FieldType, TableSchema};

use super::binder::Binder;
use super::literal;
use super::relation::{Relation, schema_of};
use super::statement::BoundStatement;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::explicit_cast;
use crate::expr::{Expr, Scalar, Typed};
use crate::front::sql::parse::fold;
use crate::insertion::{InsertColumn, InsertTarget, Nulls, check_shape};
use crate::plan::Plan;
use crate::statement::{FieldValues, Insert, Statement};
use crate::types::error::ConversionError;
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
    ) -> Result<BoundStatement, SqlError> {
        let (database, table, _) = self.table(table, Access::WRITE)?;
        let values = match source.body.as_ref() {
            SetExpr::Values(values)
                if source.order_by.is_none() && source.limit_clause.is_none() && source.with.is_none() =>
            {
                values
            }
            _ => return self.insert_query(&database, table, columns, source),
        };
        let count = values.rows.len();
        self.check_values(values)?;
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
        let time_min = self.time_min(&database, &insert.table);
        let (first, last) = insert.table.time_unit.times();
        if insert.time.iter().any(|time| !(first..=last).contains(time)) {
            return Err(SqlErrorKind::InsertTimeOutside.into());
        }
        if insert.time.iter().any(|time| *time < time_min) {
            // As the reference refuses them: older than the database keeps.
            return Err(SqlErrorKind::InsertExpired.into());
        }
        Ok(BoundStatement::Ready(Statement::Insert(insert)))
    }

    /// INSERT of the rows of a query, by position.
    fn insert_query(
        &self,
        database: &str,
        table: Arc<TableSchema>,
        columns: &[Ident],
        source: &ast::Query,
    ) -> Result<BoundStatement, SqlError> {
        let targets: Vec<InsertColumn> = targets(&table, columns, 0)?
            .iter()
            .map(|target| match target {
                Target::Time(_) => InsertColumn::Time,
                Target::Tag(id, _) => InsertColumn::Tag(*id),
                Target::Field(id, field, _) => InsertColumn::Field(*id, *field),
            })
            .collect();
        let Relation { plan, columns } = self.query(source)?;
        if columns.len() != targets.len() {
            return Err(SqlErrorKind::InsertWidth.into());
        }
        self.budget.take_nodes(2 * columns.len())?;
        let mut exprs = Vec::with_capacity(columns.len());
        let mut types = Vec::with_capacity(columns.len());
        for (at, (column, target)) in columns.iter().zip(&targets).enumerate() {
            let to = match target {
                InsertColumn::Time => DataType::Timestamp(arrow_unit(table.time_unit), None),
                InsertColumn::Tag(_) => DataType::Utf8,
                InsertColumn::Field(_, field) => field.data_type(),
            };
            let value = Typed { window_ns: column.window_ns, ..Typed::new(Expr::Column(at), column.data_type.clone()) };
            exprs.push(explicit_cast(value, to.clone())?.expr);
            types.push(to);
        }
        let schema = schema_of(columns.iter().map(|column| column.name.as_str()).zip(&types));
        let plan = Plan::Project { input: Box::new(plan), exprs, schema };
        let time_min = self.time_min(database, &table);
        let (database, nulls) = (database.to_owned(), Nulls::NeedField);
        let target = InsertTarget { database, table, columns: targets, time_min, nulls };
        Ok(BoundStatement::InsertQuery { plan, target })
    }

    /// Refuses a list whose rows have constants of different types in one column, as the reference refuses it: what
    /// a column is would depend on which row is looked at.
    fn check_values(&self, values: &ast::Values) -> Result<(), SqlError> {
        let mut types: Vec<Option<DataType>> = Vec::new();
        for (number, row) in values.rows.iter().enumerate() {
            for (at, cell) in row.content.iter().enumerate() {
                if at == types.len() {
                    types.push(None);
                }
                let Some(Ok(value)) = literal::constant(cell) else { continue };
                // An integer too large for BIGINT is an integer all the same.
                let data_type = match value.data_type() {
                    DataType::UInt64 => DataType::Int64,
                    other => other,
                };
                match &types[at] {
                    _ if data_type == DataType::Null => {}
                    Some(known) if *known != data_type => {
                        return Err(SqlErrorKind::ValuesTypes { row: number, column: at }.into());
                    }
                    _ => types[at] = Some(data_type),
                }
            }
        }
        Ok(())
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

fn empty(field: FieldType, count: usize) -> FieldValues {
    match field {
        FieldType::Int => FieldValues::Int(Vec::with_capacity(count)),
        FieldType::UInt => FieldValues::UInt(Vec::with_capacity(count)),
        FieldType::Float => FieldValues::Float(Vec::with_capacity(count)),
        FieldType::Bool => FieldValues::Bool(Vec::with_capacity(count)),
        FieldType::String => FieldValues::String(Vec::with_capacity(count)),
    }
}
