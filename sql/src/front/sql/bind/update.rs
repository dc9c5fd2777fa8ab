//! UPDATE. What is set are fields or tags, not both, as the reference has it.
//!
//! Fields: the rows of the predicate are inserted again, with their times and tags and the new values alone, which take
//! the place of the old ones. Tags make a row's series, so its rows move: they are copied into series of the new tags,
//! then the old series go. The predicate of such an UPDATE is over tags alone, so that series move whole.

use arrow_schema::DataType;
use sqlparser::ast::{self, Ident, ObjectName};
use tidewire_storage::schema::{Access, ColumnKind, TableSchema};

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::Scope;
use super::statement::{BoundStatement, NewTag};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::{boolean, explicit_cast};
use crate::expr::conjunction;
use crate::expr::constant::null;
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::front::sql::parse::{fold, position_of};
use crate::insertion::{InsertColumn, InsertTarget, Nulls};
use crate::plan::{Plan, ScanColumn, ScanNode};

impl Binder<'_> {
    pub(super) fn update(
        &self,
        table: &ObjectName,
        assignments: &[(Ident, ast::Expr)],
        predicate: Option<&ast::Expr>,
    ) -> Result<BoundStatement, SqlError> {
        let Some(predicate) = predicate else { return Err(SqlErrorKind::UpdateWithoutWhere.into()) };
        let (database, schema, _) = self.table(table, Access::WRITE)?;
        let Relation { plan, columns } = self.scan(table, Access::READ)?;
        let Plan::Scan(mut scan) = plan else { return Err(SqlError::unsupported("UPDATE of what is no table")) };
        let scope = Scope::new(columns);
        let mut set: Vec<(usize, &ast::Expr)> = Vec::with_capacity(assignments.len());
        for (name, value) in assignments {
            let parts = [fold(name)];
            let at = scope.find(&parts)?.ok_or_else(|| scope.no_field(&parts).at(position_of(name)))?;
            if set.iter().any(|(known, _)| *known == at) {
                return Err(SqlErrorKind::InsertColumnTwice(parts[0].clone()).into());
            }
            set.push((at, value));
        }
        let is_tag = |at: usize| matches!(scan.columns[at], ScanColumn::Tag(_));
        let is_field = |at: usize| matches!(scan.columns[at], ScanColumn::Field(..));
        let of_tags = set.iter().all(|(at, _)| is_tag(*at));
        if !of_tags && !set.iter().all(|(at, _)| is_field(*at)) {
            return Err(SqlErrorKind::UpdateMixed.into());
        }
        let condition = boolean(self.binder(&scope, "WHERE").bind(predicate)?, "WHERE")?;
        let policy = self.catalog.databases.get(&database).and_then(|database| database.main_policy());
        let time_min = policy.map_or(i64::MIN, |policy| policy.time_min(self.session.now_ns, schema.time_unit));
        let target = |columns, nulls| InsertTarget {
            database: database.to_string(),
            table: schema.clone(),
            columns,
            time_min,
            nulls,
        };
        if of_tags {
            if let Some(name) = name_beside_tags(&condition, &scan) {
                return Err(SqlErrorKind::UpdateWhere(name).into());
            }
            // Rows that are too old to be seen move too, for they may be seen again with a longer TTL.
            scan.time_min = i64::MIN;
            let tags = self.new_tags(&scan, &set)?;
            let rows = moved_rows(scan, condition, &tags);
            let mut target = target(every_column(&schema), Nulls::LeaveOut);
            target.time_min = i64::MIN;
            return Ok(BoundStatement::UpdateTags { rows, target, tags });
        }
        let mut exprs = Vec::new();
        let mut types = Vec::new();
        let mut targets = Vec::new();
        for (at, column) in scan.columns.iter().enumerate() {
            let to = match column {
                ScanColumn::Time => InsertColumn::Time,
                ScanColumn::Tag(id) => InsertColumn::Tag(*id),
                ScanColumn::Field(..) => continue,
            };
            targets.push(to);
            exprs.push(Expr::Column(at));
            types.push(scope.columns[at].data_type.clone());
        }
        for (at, value) in set {
            let ScanColumn::Field(id, field) = scan.columns[at] else { continue };
            let bound = self.binder(&scope, "SET").bind(value)?;
            let bound = explicit_cast(bound, field.data_type())?;
            targets.push(InsertColumn::Field(id, field));
            exprs.push(bound.expr);
            types.push(bound.data_type);
        }
        let names: Vec<String> = (1..=exprs.len()).map(|at| format!("column {at}")).collect();
        let schema = schema_of(names.iter().map(String::as_str).zip(&types));
        let input = Box::new(Plan::Filter { input: Box::new(Plan::Scan(scan)), predicate: condition });
        let plan = Plan::Project { input, exprs, schema };
        Ok(BoundStatement::InsertQuery { plan, target: target(targets, Nulls::Refuse) })
    }

    /// The constants that tags are set to.
    fn new_tags(&self, scan: &ScanNode, set: &[(usize, &ast::Expr)]) -> Result<Vec<NewTag>, SqlError> {
        let mut tags = Vec::with_capacity(set.len());
        for (at, value) in set {
            let ScanColumn::Tag(id) = scan.columns[*at] else { continue };
            let value = self.constant(value, "SET")?;
            match self.converted(&value, &DataType::Utf8)? {
                Some(Scalar::Str(text)) => tags.push((id, Some(text))),
                Some(Scalar::Null) => tags.push((id, None)),
                _ => return Err(SqlErrorKind::Cast { from: value.data_type(), to: DataType::Utf8 }.into()),
            }
        }
        Ok(tags)
    }
}

/// Time and every column of a table, in the order in which a scan of it has them.
fn every_column(table: &TableSchema) -> Vec<InsertColumn> {
    let of_column = table.columns.iter().map(|column| match column.kind {
        ColumnKind::Tag => InsertColumn::Tag(column.id),
        ColumnKind::Field(field) => InsertColumn::Field(column.id, field),
    });
    std::iter::once(InsertColumn::Time).chain(of_column).collect()
}

/// The name of a column in `condition` that is no tag.
fn name_beside_tags(condition: &Expr, scan: &ScanNode) -> Option<String> {
    let mut found = None;
    condition.for_each_column(&mut |at| match scan.columns.get(at) {
        Some(ScanColumn::Tag(_)) | None => {}
        Some(column) => found = found.take().or_else(|| Some(scan.column_name(*column).to_owned())),
    });
    found
}

/// The rows whose tags change, all columns of them, still with their old tags. Series that have the new values already
/// stay where they are.
fn moved_rows(scan: ScanNode, condition: Expr, tags: &[NewTag]) -> Plan {
    let differs = tags.iter().filter_map(|(id, value)| {
        let at = scan.columns.iter().position(|column| *column == ScanColumn::Tag(*id))?;
        let column = Expr::Column(at);
        Some(match value {
            None => Expr::IsNotNull(Box::new(column)),
            Some(text) => {
                let differs = Expr::binary(column, BinaryOp::NotEq, Expr::Literal(Scalar::Str(text.clone())));
                Expr::Coalesce(vec![differs, Expr::Literal(Scalar::Bool(true))])
            }
        })
    });
    let differs = conjunction::balanced(BinaryOp::Or, differs.collect()).unwrap_or_else(|| null(DataType::Boolean));
    let predicate = Expr::binary(condition, BinaryOp::And, differs);
    Plan::Filter { input: Box::new(Plan::Scan(scan)), predicate }
}
