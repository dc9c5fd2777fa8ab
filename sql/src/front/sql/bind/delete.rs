//! DELETE: a predicate over tags and time becomes series and ranges of time, or is refused.
//!
//! The predicate is bound and rewritten as that of a SELECT: comparisons of time become the scan's range, conjuncts
//! over tags alone its tag filter. What is left must be about time alone and then becomes ranges. A condition on a
//! field, or one that mixes tags and time other than by AND, has no exact form here, and the reference refuses it too.

use sqlparser::ast::{self, Ident, ObjectName};
use tidewire_storage::schema::Access;

use super::binder::Binder;
use super::relation::Relation;
use super::scope::{Qualifier, Scope};
use super::statement::BoundStatement;
use crate::deletion::{Deletion, SeriesFilter};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::boolean;
use crate::expr::conjunction::split;
use crate::expr::constant::as_constant;
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::expr::{fold::fold_constants, time_set};
use crate::front::sql::parse::fold;
use crate::plan::{Plan, ScanColumn, ScanNode};
use crate::statement::Statement;

impl Binder<'_> {
    pub(super) fn delete(
        &self,
        table: &ObjectName,
        alias: Option<&Ident>,
        predicate: Option<&ast::Expr>,
    ) -> Result<BoundStatement, SqlError> {
        let ready = |deletion| Ok(BoundStatement::Ready(Statement::Delete(deletion)));
        let Relation { plan, mut columns } = self.scan(table, Access::WRITE)?;
        let Plan::Scan(mut scan) = plan else {
            return Err(SqlError::unsupported("DELETE from what is no table"));
        };
        // Rows that are too old to be seen may still be there; what is deleted is not to come back with a longer TTL.
        scan.time_min = i64::MIN;
        let table = scan.table.clone();
        let Some(predicate) = predicate else {
            return ready(Deletion { table, series: SeriesFilter::All, times: vec![(i64::MIN, i64::MAX)] });
        };
        if let Some(alias) = alias {
            let qualifier = Qualifier { database: None, table: fold(alias) };
            columns.iter_mut().for_each(|column| column.qualifier = Some(qualifier.clone()));
        }
        let scope = Scope::new(columns);
        let predicate = boolean(self.binder(&scope, "WHERE").bind(predicate)?, "WHERE")?;
        check_columns(&predicate, &scan)?;
        check_operators(&predicate)?;
        let predicate = fold_constants(predicate);
        if predicate.is_constant() {
            let times = match as_constant(&predicate) {
                Some(Scalar::Bool(true)) => vec![(i64::MIN, i64::MAX)],
                Some(_) => Vec::new(),
                None => return Err(not_exact(words_of(&predicate))),
            };
            return ready(Deletion { table, series: SeriesFilter::All, times });
        }
        Ok(BoundStatement::Delete { rows: Plan::Filter { input: Box::new(Plan::Scan(scan)), predicate } })
    }
}

/// The series of the optimized plan of rows that tags alone select.
pub(crate) fn series_of(rows: &Plan) -> Result<SeriesFilter, SqlError> {
    match rows {
        Plan::Scan(scan) if scan.filter.is_none() => Ok(match &scan.tag_filter {
            None => SeriesFilter::All,
            Some(filter) => SeriesFilter::Predicate { filter: filter.clone(), columns: scan.tag_columns.clone() },
        }),
        _ => Err(not_exact("this predicate")),
    }
}

/// What the optimized plan of the rows to delete selects.
pub(crate) fn deletion(rows: Plan) -> Result<Deletion, SqlError> {
    let Plan::Scan(scan) = rows else {
        return Err(not_exact("this predicate"));
    };
    let range = (scan.time_min, scan.time_max);
    let mut times = if range.0 <= range.1 { vec![range] } else { Vec::new() };
    let time = scan.columns.iter().position(|column| *column == ScanColumn::Time);
    for conjunct in scan.filter.map(split).unwrap_or_default() {
        let mut of_time_alone = true;
        conjunct.for_each_column(&mut |at| of_time_alone &= Some(at) == time);
        if !of_time_alone {
            return Err(not_exact(words_of(&conjunct)));
        }
        let wanted = time_set::ranges(&conjunct, time.unwrap_or_default());
        let wanted = wanted.ok_or_else(|| not_exact(words_of(&conjunct)))?;
        times = time_set::intersect(&times, &wanted);
    }
    let series = match scan.tag_filter {
        None => SeriesFilter::All,
        Some(filter) => SeriesFilter::Predicate { filter, columns: scan.tag_columns },
    };
    Ok(Deletion { table: scan.table, series, times })
}

fn check_columns(predicate: &Expr, scan: &ScanNode) -> Result<(), SqlError> {
    let mut reads_field = false;
    predicate.for_each_column(&mut |at| reads_field |= matches!(scan.columns.get(at), Some(ScanColumn::Field(..))));
    if reads_field {
        return Err(SqlErrorKind::DeleteByField.into());
    }
    Ok(())
}

/// Arithmetic over columns is refused, as the reference refuses it.
fn check_operators(predicate: &Expr) -> Result<(), SqlError> {
    if predicate.is_constant() {
        return Ok(());
    }
    if let Expr::Binary { op, .. } = predicate
        && !matches!(
            op,
            BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::Lt
                | BinaryOp::LtEq
                | BinaryOp::Gt
                | BinaryOp::GtEq
                | BinaryOp::And
                | BinaryOp::Or
        )
    {
        return Err(not_exact(format!("operator {op}")));
    }
    predicate.children().into_iter().try_for_each(check_operators)
}

/// What a conjunct is called when it is refused.
fn words_of(conjunct: &Expr) -> String {
    match conjunct {
        Expr::Binary { op, .. } => format!("operator {op}"),
        Expr::Not(_) => "operator NOT".to_owned(),
        Expr::InList { .. } => "operator IN".to_owned(),
        Expr::Like { .. } => "operator LIKE".to_owned(),
        _ => "this predicate".to_owned(),
    }
}

fn not_exact(what: impl Into<String>) -> SqlError {
    SqlErrorKind::DeleteNotExact(what.into()).into()
}
