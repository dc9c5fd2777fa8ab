//! SHOW SERIES and SHOW TAG VALUES, as queries over the tags of a table's rows.

use std::sync::Arc;

use arrow_schema::DataType;
use sqlparser::ast::{self, Ident};

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::boolean;
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::front::sql::parse::{ShowOfTable, TagNames, fold};
use crate::plan::{Plan, ScanColumn, ScanNode};
use tidewire_storage::schema::{Access, Need, database_name};

impl Binder<'_> {
    /// The name of a database that there is, for one who may define it.
    pub(super) fn database_named(&self, name: &Ident) -> Result<String, SqlError> {
        let name = self.key(&fold(name));
        self.require(Need::of(name.as_str(), Access::DEFINE))?;
        match self.catalog.databases.contains_key(name.as_str()) {
            true => Ok(name),
            false => Err(SqlErrorKind::DatabaseNotFound(database_name(&name).to_owned()).into()),
        }
    }

    /// `key`: the table's name and the tags that a series has.
    pub(super) fn show_series(&self, show: &ShowOfTable) -> Result<Plan, SqlError> {
        let (scan, predicate) = self.rows_shown(show, "SHOW SERIES")?;
        let tags = tags_of(&scan);
        let name = Arc::clone(&scan.table.name);
        let schema = schema_of(tags.iter().map(|(_, name)| (name.as_str(), &DataType::Utf8)));
        let plan = with_predicate(scan, predicate);
        let text = |text: String| Expr::Literal(Scalar::Str(text.into()));
        let key = tags.iter().enumerate().map(|(at, (_, name))| {
            let named = Expr::binary(text(format!(",{name}=")), BinaryOp::Concat, Expr::Column(at));
            Expr::Coalesce(vec![named, text(String::new())])
        });
        let mut parts = vec![text(name.to_string())];
        parts.extend(key);
        self.budget.take_nodes(4 * parts.len())?;
        let rows = Plan::Project {
            input: Box::new(plan),
            exprs: tags.iter().map(|(at, _)| Expr::Column(*at)).collect(),
            schema: schema.clone(),
        };
        let distinct = match tags.len() {
            // Rows without tags are all of one series.
            0 => Plan::Limit { input: Box::new(rows), skip: 0, fetch: Some(1) },
            _ => Plan::Distinct { input: Box::new(rows) },
        };
        let key = crate::expr::conjunction::balanced(BinaryOp::Concat, parts).unwrap_or_else(|| text(String::new()));
        let schema = schema_of([("key", &DataType::Utf8)].into_iter());
        let plan = Plan::Project { input: Box::new(distinct), exprs: vec![key], schema };
        let columns = vec![ScopeColumn::new("key".to_owned(), DataType::Utf8)];
        Ok(self.ordered(Relation { plan, columns }, show.order_by.as_ref(), show.limit.as_ref())?.plan)
    }

    /// `key` and `value`: the values that each of some tags has.
    pub(super) fn show_tag_values(&self, show: &ShowOfTable, tags: &TagNames) -> Result<Plan, SqlError> {
        let (scan, predicate) = self.rows_shown(show, "SHOW TAG VALUES")?;
        let names: Vec<String> = tags.names.iter().map(fold).collect();
        let wanted: Vec<(usize, String)> =
            tags_of(&scan).into_iter().filter(|(_, name)| names.contains(name) != tags.negated).collect();
        if !tags.negated
            && let Some(missing) = names.iter().find(|name| wanted.iter().all(|(_, known)| known != *name))
        {
            let (column, table) = (missing.clone(), scan.table.name.to_string());
            return Err(SqlErrorKind::ColumnMissing { column, table }.into());
        }
        let schema = schema_of([("key", &DataType::Utf8), ("value", &DataType::Utf8)].into_iter());
        self.budget.take_nodes(wanted.len().saturating_mul(scan.columns.len() + 8))?;
        let values = wanted.into_iter().map(|(at, name)| {
            let rows = with_predicate(scan.clone(), predicate.clone());
            let has_tag = Expr::IsNotNull(Box::new(Expr::Column(at)));
            let rows = Plan::Filter { input: Box::new(rows), predicate: has_tag };
            let value = schema_of([("value", &DataType::Utf8)].into_iter());
            let rows = Plan::Project { input: Box::new(rows), exprs: vec![Expr::Column(at)], schema: value };
            let exprs = vec![Expr::Literal(Scalar::Str(name.into())), Expr::Column(0)];
            let input = Box::new(Plan::Distinct { input: Box::new(rows) });
            Plan::Project { input, exprs, schema: schema.clone() }
        });
        let inputs: Vec<Plan> = values.collect();
        let plan = match inputs.is_empty() {
            true => Plan::Values { rows: Vec::new(), schema: schema.clone() },
            false => Plan::Union { inputs, schema },
        };
        let column = |name: &str| ScopeColumn::new(name.to_owned(), DataType::Utf8);
        let columns = vec![column("key"), column("value")];
        Ok(self.ordered(Relation { plan, columns }, show.order_by.as_ref(), show.limit.as_ref())?.plan)
    }

    /// The rows of the table that are asked about, and what they must fulfil.
    fn rows_shown(&self, show: &ShowOfTable, statement: &'static str) -> Result<(ScanNode, Option<Expr>), SqlError> {
        let table = match &show.database {
            Some(database) => {
                let part = ast::ObjectNamePart::Identifier(database.clone());
                ast::ObjectName(std::iter::once(part).chain(show.table.0.iter().cloned()).collect())
            }
            None => show.table.clone(),
        };
        let Relation { plan, columns } = self.scan(&table, Access::READ)?;
        let Plan::Scan(scan) = plan else {
            return Err(SqlError::unsupported(format!("{statement} of what is no table")));
        };
        let scope = Scope::new(columns);
        let Some(predicate) = &show.predicate else { return Ok((scan, None)) };
        let predicate = boolean(self.binder(&scope, "WHERE").bind(predicate)?, "WHERE")?;
        let mut field = None;
        predicate.for_each_column(&mut |at| {
            if let Some(column @ ScanColumn::Field(..)) = scan.columns.get(at) {
                field = Some(scan.column_name(*column).to_owned());
            }
        });
        match field {
            Some(column) => Err(SqlErrorKind::ShowByField { statement, column }.into()),
            None => Ok((scan, Some(predicate))),
        }
    }
}

/// The tags among a scan's columns, with their names.
fn tags_of(scan: &ScanNode) -> Vec<(usize, String)> {
    let tags = scan.columns.iter().enumerate().filter(|(_, column)| matches!(column, ScanColumn::Tag(_)));
    tags.map(|(at, column)| (at, scan.column_name(*column).to_owned())).collect()
}

fn with_predicate(scan: ScanNode, predicate: Option<Expr>) -> Plan {
    match predicate {
        Some(predicate) => Plan::Filter { input: Box::new(Plan::Scan(scan)), predicate },
        None => Plan::Scan(scan),
    }
}
