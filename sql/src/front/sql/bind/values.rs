//! VALUES as a query: rows of constants, each column of the one type that stands for all of its values.

use sqlparser::ast;

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::unify;
use crate::expr::constant::as_constant;
use crate::expr::fold::fold_constants;
use crate::expr::{Scalar, Typed};
use crate::plan::Plan;

impl Binder<'_> {
    /// Binds rows of constant expressions; their columns are called `column1` and so on.
    pub(super) fn values(&self, values: &ast::Values) -> Result<Relation, SqlError> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let scope = Scope::default();
        let mut columns: Vec<Vec<Typed>> = vec![Vec::new(); width];
        for (number, row) in (1..).zip(&values.rows) {
            if row.content.len() != width {
                return Err(SqlErrorKind::ValuesWidth { first: width, number, found: row.content.len() }.into());
            }
            for (cell, column) in row.content.iter().zip(&mut columns) {
                let mut bound = self.binder(&scope, "VALUES").bind(cell)?;
                bound.expr = fold_constants(bound.expr);
                column.push(bound);
            }
        }
        let mut rows: Vec<Vec<Scalar>> = values.rows.iter().map(|_| Vec::with_capacity(width)).collect();
        let mut outputs = Vec::with_capacity(width);
        for (at, column) in columns.into_iter().enumerate() {
            let (exprs, data_type) = unify(column, "VALUES")?;
            for ((expr, row), written) in exprs.into_iter().zip(&mut rows).zip(&values.rows) {
                match as_constant(&fold_constants(expr)) {
                    Some(value) => row.push(value.clone()),
                    None => return Err(SqlError::unsupported(format!("{} in VALUES", written.content[at]))),
                }
            }
            outputs.push(ScopeColumn::new(format!("column{}", at + 1), data_type));
        }
        self.budget.take_columns(outputs.iter().map(|column| column.name.as_str()))?;
        let schema = schema_of(outputs.iter().map(|column| (column.name.as_str(), &column.data_type)));
        Ok(Relation { plan: Plan::Values { rows, schema }, columns: outputs })
    }
}
