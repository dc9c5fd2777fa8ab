//! A query: what it is made of, and the rows of FROM.

use std::sync::Arc;

use arrow_schema::Schema;
use sqlparser::ast::{self, SetExpr, TableFactor, TableWithJoins};
use tidewire_storage::schema::Access;

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::Qualifier;
use super::with::renamed;
use crate::error::SqlError;
use crate::expr::{Expr, Typed};
use crate::front::sql::parse::fold;
use crate::function::bucket::window;
use crate::plan::Plan;

impl Binder<'_> {
    /// A query whose rows go to the client: windows become structs.
    pub(super) fn top_query(&self, query: &ast::Query) -> Result<Plan, SqlError> {
        let Relation { plan, columns } = self.query(query)?;
        if columns.iter().all(|column| column.window_ns.is_none()) {
            return Ok(plan);
        }
        let mut exprs = Vec::with_capacity(columns.len());
        let mut types = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let start = Expr::Column(at);
            let Some(width) = column.window_ns else {
                exprs.push(start);
                types.push(column.data_type.clone());
                continue;
            };
            let Typed { expr, data_type, .. } = window(Typed::new(start, column.data_type.clone()), width)?;
            exprs.push(expr);
            types.push(data_type);
        }
        let schema = schema_of(columns.iter().map(|column| column.name.as_str()).zip(&types));
        Ok(Plan::Project { input: Box::new(plan), exprs, schema })
    }

    pub(super) fn query(&self, query: &ast::Query) -> Result<Relation, SqlError> {
        let unusual = [
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty(), "locks"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "pipe operators"),
        ];
        if let Some((_, what)) = unusual.iter().find(|(present, _)| *present) {
            return Err(SqlError::unsupported(what));
        }
        if let Some(with) = &query.with {
            return self.with(with)?.body(query);
        }
        self.body(query)
    }

    /// A query, the names of its WITH being known.
    fn body(&self, query: &ast::Query) -> Result<Relation, SqlError> {
        match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref(), query.limit_clause.as_ref()),
            SetExpr::SetOperation { .. } | SetExpr::Values(_) if self.outer.is_some() => {
                Binder { outer: None, ..self.clone() }.body(query)
            }
            SetExpr::Query(inner) if query.order_by.is_none() && query.limit_clause.is_none() => self.query(inner),
            SetExpr::Query(inner) => {
                let alone = Binder { outer: None, ..self.clone() };
                alone.ordered(alone.query(inner)?, query.order_by.as_ref(), query.limit_clause.as_ref())
            }
            SetExpr::SetOperation { .. } => self.set_operation(query),
            SetExpr::Values(values) => {
                self.ordered(self.values(values)?, query.order_by.as_ref(), query.limit_clause.as_ref())
            }
            _ => Err(SqlError::unsupported("TABLE as a query")),
        }
    }

    /// The rows of FROM; without FROM, one row of no columns.
    pub(super) fn from(&self, from: &[TableWithJoins]) -> Result<Relation, SqlError> {
        match from {
            [] => {
                let plan = Plan::Values { rows: vec![Vec::new()], schema: Arc::new(Schema::empty()) };
                Ok(Relation { plan, columns: Vec::new() })
            }
            [TableWithJoins { relation, joins }] if joins.is_empty() => self.table_factor(relation),
            _ => self.tables(from),
        }
    }

    pub(super) fn table_factor(&self, factor: &TableFactor) -> Result<Relation, SqlError> {
        let mut relation = match factor {
            TableFactor::Table {
                name,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
                ..
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                match self.named_query(name) {
                    Some(named) => named?,
                    None => self.scan(name, Access::READ)?,
                }
            }
            TableFactor::Derived { lateral: false, subquery, sample: None, .. } => self.query(subquery)?,
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined_table(table_with_joins)?,
            _ => return Err(SqlError::unsupported("this kind of table in FROM")),
        };
        if let TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } = factor
        {
            renamed(&mut relation, alias)?;
            let qualifier = Qualifier { database: None, table: fold(&alias.name) };
            for column in &mut relation.columns {
                column.qualifier = Some(qualifier.clone());
            }
        }
        Ok(relation)
    }
}
