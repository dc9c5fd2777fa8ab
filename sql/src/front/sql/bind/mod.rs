//! Syntax to plan: names become tables and columns, types are settled, clauses become operators.
//!
//! [`bind`] turns one parsed statement into a [`Bound`] one. What this floor does not run is refused with 010005 at the
//! place where it is met, never passed over.

mod aggregate;
mod codec;
mod coerce;
mod ddl;
mod delete;
mod expr;
mod function;
mod heading;
mod insert;
mod literal;
mod scope;
mod select;
mod show;
mod union;

pub use show::sql_name;

use std::sync::Arc;

use arrow_schema::{DataType, Schema, TimeUnit};
use sqlparser::ast::{self, ObjectName, SetExpr, TableFactor, TableWithJoins};
use tidewire_storage::schema::{Catalog, ColumnKind, TableSchema};

use crate::error::SqlError;
use crate::expr::constant::from_interval;
use crate::expr::{BinaryOp, Expr, Scalar, ScalarFunction, window_type};
use crate::front::sql::parse::{Parsed, fold, position_of};
use crate::plan::{Plan, ScanColumn, ScanNode};
use crate::statement::{Session, Statement};
use crate::types::time::{Interval, arrow_unit};
use scope::{Qualifier, Scope, ScopeColumn};
use select::{Relation, schema_of};

/// Schemas of the reference that hold tables about the server itself.
const SYSTEM_SCHEMAS: [&str; 3] = ["information_schema", "usage_schema", "cluster_schema"];

/// A bound statement: final, or a query yet to be optimized.
pub(crate) enum Bound {
    Statement(Statement),
    Query(Plan),
    Explain { plan: Plan, analyze: bool, verbose: bool },
}

/// Binds `parsed` against the catalog.
pub(crate) fn bind(parsed: Parsed, catalog: &Catalog, session: &Session) -> Result<Bound, SqlError> {
    let binder = Binder { catalog, session };
    let statement = match parsed {
        Parsed::Empty => Statement::Empty,
        Parsed::Query(query) => return Ok(Bound::Query(binder.top_query(&query)?)),
        Parsed::Explain { query, analyze, verbose } => {
            return Ok(Bound::Explain { plan: binder.top_query(&query)?, analyze, verbose });
        }
        Parsed::ShowDatabases => return Ok(Bound::Query(binder.show_databases())),
        Parsed::ShowTables { database } => return binder.show_tables(database.as_ref()).map(Bound::Query),
        Parsed::DescribeDatabase(name) => return binder.describe_database(&name).map(Bound::Query),
        Parsed::DescribeTable(name) => return binder.describe_table(&name).map(Bound::Query),
        Parsed::CreateDatabase { name, if_not_exists, options } => {
            Statement::Define(ddl::create_database(&name, if_not_exists, options)?)
        }
        Parsed::DropDatabase { name, if_exists } => Statement::Define(ddl::drop_database(&name, if_exists)?),
        Parsed::CreateTable { name, if_not_exists, columns, tags } => {
            Statement::Define(binder.create_table(&name, if_not_exists, &columns, &tags)?)
        }
        Parsed::SetCodec { table, column, codec } => Statement::Define(binder.set_codec(&table, &column, &codec)?),
        Parsed::DropTable { name, if_exists } => Statement::Define(binder.drop_table(&name, if_exists)?),
        Parsed::AlterDatabase { name, change } => Statement::Define(ddl::alter_database(&name, change)),
        Parsed::AlterTable { name, alteration } => Statement::Define(binder.alter_table(&name, &alteration)?),
        Parsed::Insert { table, columns, source } => binder.insert(&table, &columns, &source)?,
        Parsed::Delete { table, alias, predicate } => {
            Statement::Delete(binder.delete(&table, alias.as_ref(), predicate.as_deref())?)
        }
    };
    Ok(Bound::Statement(statement))
}

/// What names are looked up in.
struct Binder<'a> {
    catalog: &'a Catalog,
    session: &'a Session,
}

impl Binder<'_> {
    /// A query whose rows go to the client: windows become structs.
    fn top_query(&self, query: &ast::Query) -> Result<Plan, SqlError> {
        let Relation { plan, columns } = self.query(query)?;
        if columns.iter().all(|column| column.window_ns.is_none()) {
            return Ok(plan);
        }
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let mut exprs = Vec::with_capacity(columns.len());
        let mut types = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let start = Expr::Column(at);
            let Some(width) = column.window_ns else {
                exprs.push(start);
                types.push(column.data_type.clone());
                continue;
            };
            let start = coerce::convert(coerce::Bound::new(start, column.data_type.clone()), &nanoseconds)?;
            let width = from_interval(Interval { nanoseconds: width, ..Interval::default() });
            let end = Expr::binary(start.clone(), BinaryOp::Plus, Expr::Literal(width));
            exprs.push(Expr::Call { function: ScalarFunction::Window, args: vec![start, end] });
            types.push(window_type(&nanoseconds));
        }
        let schema = schema_of(columns.iter().map(|column| column.name.as_str()).zip(&types));
        Ok(Plan::Project { input: Box::new(plan), exprs, schema })
    }

    fn query(&self, query: &ast::Query) -> Result<Relation, SqlError> {
        let unusual = [
            (query.with.is_some(), "WITH"),
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty(), "locks"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "pipe operators"),
        ];
        if let Some((_, what)) = unusual.iter().find(|(present, _)| *present) {
            return Err(SqlError::not_implemented(what));
        }
        match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref(), query.limit_clause.as_ref()),
            SetExpr::Query(inner) if query.order_by.is_none() && query.limit_clause.is_none() => self.query(inner),
            SetExpr::Query(_) => Err(SqlError::not_implemented("ORDER BY and LIMIT after a query in brackets")),
            SetExpr::SetOperation { .. } => self.union(query),
            SetExpr::Values(_) => Err(SqlError::not_implemented("VALUES outside INSERT")),
            _ => Err(SqlError::not_implemented("TABLE as a query")),
        }
    }

    /// The rows of FROM; without FROM, one row of no columns.
    fn from(&self, from: &[TableWithJoins]) -> Result<Relation, SqlError> {
        match from {
            [] => {
                let plan = Plan::Values { rows: vec![Vec::new()], schema: Arc::new(Schema::empty()) };
                Ok(Relation { plan, columns: Vec::new() })
            }
            [TableWithJoins { relation, joins }] if joins.is_empty() => self.table_factor(relation),
            _ => Err(SqlError::not_implemented("joins")),
        }
    }

    fn table_factor(&self, factor: &TableFactor) -> Result<Relation, SqlError> {
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
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => self.scan(name)?,
            TableFactor::Derived { lateral: false, subquery, sample: None, .. } => self.query(subquery)?,
            _ => return Err(SqlError::not_implemented("this kind of table in FROM")),
        };
        if let TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } = factor
        {
            if !alias.columns.is_empty() {
                return Err(SqlError::not_implemented("aliases of columns in FROM"));
            }
            let qualifier = Qualifier { database: None, table: fold(&alias.name) };
            for column in &mut relation.columns {
                column.qualifier = Some(qualifier.clone());
            }
        }
        Ok(relation)
    }

    /// Database and name that a table's name means, and how it was qualified.
    fn table_name(&self, name: &ObjectName) -> Result<(String, String, Qualifier), SqlError> {
        let parts: Vec<String> = name.0.iter().filter_map(ast::ObjectNamePart::as_ident).map(fold).collect();
        match parts.as_slice() {
            [table] if name.0.len() == 1 => {
                let qualifier = Qualifier { database: None, table: table.clone() };
                Ok((self.session.database.clone(), table.clone(), qualifier))
            }
            [database, table] if name.0.len() == 2 => {
                let qualifier = Qualifier { database: Some(database.clone()), table: table.clone() };
                Ok((database.clone(), table.clone(), qualifier))
            }
            _ => Err(SqlError::planning(format!(
                "Database object names must have at most two parts, but found: '{name}'"
            ))),
        }
    }

    /// The table of that name, or the error that SELECT, INSERT and DESCRIBE give.
    fn table(&self, name: &ObjectName) -> Result<(Arc<str>, Arc<TableSchema>, Qualifier), SqlError> {
        let (database, table, qualifier) = self.table_name(name)?;
        let stored = self.catalog.databases.get(database.as_str());
        if let Some(stored) = stored
            && let Some(schema) = stored.table(&table)
        {
            return Ok((stored.name.clone(), schema.clone(), qualifier));
        }
        if stored.is_none() && SYSTEM_SCHEMAS.contains(&database.as_str()) {
            return Err(SqlError::not_implemented(format!("the system table {database}.{table}")));
        }
        let error = SqlError::table_not_found(&format!("{}.{database}.{table}", self.session.tenant));
        let position = name.0.first().and_then(ast::ObjectNamePart::as_ident).and_then(position_of);
        Err(match position {
            Some(position) => error.at(position),
            None => error,
        })
    }

    /// All rows and columns of a table: time, then its columns in display order.
    fn scan(&self, name: &ObjectName) -> Result<Relation, SqlError> {
        let (database, table, qualifier) = self.table(name)?;
        let mut columns =
            vec![(ScanColumn::Time, "time".to_owned(), DataType::Timestamp(arrow_unit(table.time_unit), None))];
        for column in &table.columns {
            let (scanned, data_type) = match column.kind {
                ColumnKind::Tag => (ScanColumn::Tag(column.id), DataType::Utf8),
                ColumnKind::Field(field) => (ScanColumn::Field(column.id, field), field.data_type()),
            };
            columns.push((scanned, column.name.to_string(), data_type));
        }
        let schema = schema_of(columns.iter().map(|(_, name, data_type)| (name.as_str(), data_type)));
        let scanned = columns.iter().map(|(column, ..)| *column).collect();
        let columns = columns
            .into_iter()
            .map(|(_, name, data_type)| ScopeColumn {
                qualifier: Some(qualifier.clone()),
                name,
                data_type,
                window_ns: None,
            })
            .collect();
        // What is older than its database keeps it is not seen, also while it is still there.
        let policy = self.catalog.databases.get(&database).and_then(|database| database.main_policy());
        let time_min = policy.map_or(i64::MIN, |policy| policy.time_min(self.session.now_ns, table.time_unit));
        let plan = Plan::Scan(ScanNode {
            database,
            table,
            columns: scanned,
            time_min,
            time_max: i64::MAX,
            tag_filter: None,
            tag_columns: Vec::new(),
            filter: None,
            schema,
        });
        Ok(Relation { plan, columns })
    }

    /// A constant that an expression without columns comes to.
    fn constant(&self, expr: &ast::Expr, clause: &'static str) -> Result<Scalar, SqlError> {
        if let Some(value) = literal::constant(expr) {
            return value;
        }
        let scope = Scope::default();
        let mut binder = expr::ExprBinder {
            session: self.session,
            scope: &scope,
            aliases: &[],
            aliases_first: false,
            calls: None,
            clause,
            depth: 0,
        };
        let folded = crate::optimize::fold_constants(binder.bind(expr)?.expr);
        match crate::expr::constant::as_constant(&folded) {
            Some(value) => Ok(value.clone()),
            None => Err(SqlError::not_implemented(format!("the expression {expr} in {clause}"))),
        }
    }
}
