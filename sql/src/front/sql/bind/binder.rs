//! What names of tables are looked up in, and the rows of a table.

use std::sync::Arc;

use arrow_schema::DataType;
use sqlparser::ast::{self, ObjectName};
use tidewire_storage::schema::{Access, Catalog, ColumnKind, DEFAULT_TENANT, Need, TableSchema, database_name};

use super::literal;
use super::named::NamedQueries;
use super::relation::{Relation, schema_of};
use super::scope::{Qualifier, Scope, ScopeColumn};
use super::subqueries::Outer;
use crate::budget::Budget;
use crate::error::{SqlError, SqlErrorKind};
use crate::exec::eval::{Input, Room, evaluate_array, scalar_array, scalar_at};
use crate::expr::cast::cast;
use crate::expr::coerce::casts;
use crate::expr::fold::fold_constants;
use crate::expr::{Expr, Scalar};
use crate::front::sql::parse::{fold, position_of};
use crate::plan::{Plan, ScanColumn, ScanNode};
use crate::session::Session;
use crate::types::array::cast_to;
use crate::types::unit::arrow_unit;

/// Schemas of the reference that hold tables about the server itself.
const SYSTEM_SCHEMAS: [&str; 3] = ["information_schema", "usage_schema", CLUSTER_SCHEMA];

/// The one of them that is about all tenants.
const CLUSTER_SCHEMA: &str = "cluster_schema";

/// What names are looked up in.
#[derive(Clone)]
pub(super) struct Binder<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) session: &'a Session,
    /// What binding may take.
    pub(super) budget: &'a Budget,
    /// Names that WITH has given.
    pub(super) named: NamedQueries,
    /// The query around the one that is bound, if it is one inside of an expression.
    pub(super) outer: Option<Outer<'a>>,
}

impl Binder<'_> {
    /// The name under which the catalog keeps a database that a statement names.
    pub(super) fn key(&self, database: &str) -> String {
        self.session.key(database).into_owned()
    }

    /// Whether the schema of that key holds tables about the server itself. One tenant has those about all of them; in
    /// others its name is free.
    pub(super) fn is_system_schema(&self, key: &str) -> bool {
        match database_name(key) {
            CLUSTER_SCHEMA => self.session.tenant == DEFAULT_TENANT,
            name => SYSTEM_SCHEMAS.contains(&name),
        }
    }

    /// Database and name that a table's name means, and how it was qualified.
    pub(super) fn table_name(&self, name: &ObjectName) -> Result<(String, String, Qualifier), SqlError> {
        let parts: Vec<String> = name.0.iter().filter_map(ast::ObjectNamePart::as_ident).map(fold).collect();
        match parts.as_slice() {
            [table] if name.0.len() == 1 => {
                let qualifier = Qualifier { database: None, table: table.clone() };
                Ok((self.key(&self.session.database), table.clone(), qualifier))
            }
            [database, table] if name.0.len() == 2 => {
                let qualifier = Qualifier { database: Some(database.clone()), table: table.clone() };
                Ok((self.key(database), table.clone(), qualifier))
            }
            _ => Err(SqlErrorKind::TableNameTooLong(name.to_string()).into()),
        }
    }

    /// Refuses what the session may not do.
    pub(super) fn require(&self, need: Need) -> Result<(), SqlError> {
        if self.session.rights.allow(&need) { Ok(()) } else { Err(SqlErrorKind::Forbidden(need).into()) }
    }

    /// The table of that name for one who may do `access` in its database, or the error that SELECT, INSERT and
    /// DESCRIBE give.
    pub(super) fn table(
        &self,
        name: &ObjectName,
        access: Access,
    ) -> Result<(Arc<str>, Arc<TableSchema>, Qualifier), SqlError> {
        let (database, table, qualifier) = self.table_name(name)?;
        self.require(Need::of(database.as_str(), access))?;
        let stored = self.catalog.databases.get(database.as_str());
        if let Some(stored) = stored
            && let Some(schema) = stored.table(&table)
        {
            return Ok((stored.name.clone(), schema.clone(), qualifier));
        }
        if stored.is_none() && self.is_system_schema(&database) {
            let database = database_name(&database);
            return Err(SqlError::unsupported(format!("the system table {database}.{table}")));
        }
        if self.external(&database, &table).is_some() {
            return Err(SqlErrorKind::ExternalTable(table).into());
        }
        let (tenant, database) = (self.session.tenant.clone(), database_name(&database).to_owned());
        let error = SqlError::new(SqlErrorKind::TableNotFound { tenant, database, table });
        let position = name.0.first().and_then(ast::ObjectNamePart::as_ident).and_then(position_of);
        Err(error.at(position))
    }

    /// All rows and columns of a table: time, then its columns in display order. What is done with them takes `access`.
    pub(super) fn scan(&self, name: &ObjectName, access: Access) -> Result<Relation, SqlError> {
        let (database, table, qualifier) = self.table_name(name)?;
        if access == Access::READ
            && let Some(table) = self.external(&database, &table)
        {
            self.require(Need::of(database, access))?;
            return self.scan_external(table, &qualifier);
        }
        if access == Access::READ
            && !self.catalog.databases.contains_key(&database)
            && let Some(system) = self.system_table(database_name(&database), &table, &qualifier)?
        {
            return Ok(system);
        }
        let (database, table, qualifier) = self.table(name, access)?;
        self.budget.take_columns(table.columns.iter().map(|column| &*column.name))?;
        let mut columns =
            vec![(ScanColumn::Time, "time".to_owned(), DataType::Timestamp(arrow_unit(table.time_unit), None))];
        for column in &table.columns {
            let (scanned, data_type) = match column.kind {
                ColumnKind::Tag => (ScanColumn::Tag(column.id), DataType::Utf8),
                ColumnKind::Field(field) => (ScanColumn::Field(column.id, field), field.data_type()),
            };
            columns.push((scanned, table.label(column).into_owned(), data_type));
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
                is_merged: false,
            })
            .collect();
        // What is older than its database keeps it is not seen, also while it is still there.
        let time_min = self.time_min(&database, &table);
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

    /// The least time that rows of a table may have now.
    pub(super) fn time_min(&self, database: &str, table: &TableSchema) -> i64 {
        let policy = self.catalog.databases.get(database).and_then(|database| database.main_policy());
        policy.map_or(i64::MIN, |policy| policy.time_min(self.session.now_ns, table.time_unit))
    }

    /// A constant that an expression without columns comes to.
    pub(super) fn constant(&self, expr: &ast::Expr, clause: &'static str) -> Result<Scalar, SqlError> {
        if let Some(value) = literal::constant(expr) {
            return value;
        }
        let scope = Scope::default();
        let bound = self.binder(&scope, clause).bind(expr)?;
        match bound.constant() {
            Some(value) => Ok(value),
            None => self.computed(&fold_constants(bound.expr), expr, clause),
        }
    }

    /// What an expression without columns comes to, where only kernels can say.
    fn computed(&self, bound: &Expr, written: &ast::Expr, clause: &'static str) -> Result<Scalar, SqlError> {
        let unsupported = || SqlError::unsupported(format!("the expression {written} in {clause}"));
        let room = Room::new(self.budget.context());
        let input = Input { columns: &[], rows: 1, names: &(), room: &room };
        let value = evaluate_array(bound, input).map_err(|error| self.budget.stop(error))?;
        let scalar = scalar_at(&value, 0).ok_or_else(unsupported)?;
        self.budget.take(if let Scalar::Str(text) = &scalar { text.len() } else { 0 })?;
        Ok(scalar)
    }

    /// A constant as `to`, as CAST converts it.
    pub(super) fn converted(&self, value: &Scalar, to: &DataType) -> Result<Option<Scalar>, SqlError> {
        match cast(value, to) {
            Ok(None) if casts(&value.data_type(), to) => {
                let array = cast_to(&scalar_array(value), to).map_err(|error| self.budget.stop(error))?;
                Ok(scalar_at(&array, 0))
            }
            Ok(converted) => Ok(converted),
            Err(error) => Err(SqlErrorKind::InsertValue(error).into()),
        }
    }
}
