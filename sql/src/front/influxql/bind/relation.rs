//! Where rows come from: measurements and subqueries, those of one name together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tidewire_storage::schema::{Catalog, ColumnKind, Database, RetentionPolicy, TableSchema};

use super::condition::TimeRange;
use super::error::BindError;
use super::series::in_unit;
use super::types::{converted, higher};
use crate::budget::Budget;
use crate::expr::Expr;
use crate::front::influxql::ast::{Measurement, MeasurementName};
use crate::plan::{Plan, ScanColumn, ScanNode};
use crate::types::unit::arrow_unit;

/// What names of a request's statements that say less are completed with, and what they are looked up in.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Databases.
    pub catalog: &'a Catalog,
    /// Database; empty where the request names none.
    pub database: &'a str,
    /// Retention policy; empty for the default one.
    pub policy: &'a str,
    /// `now()`.
    pub now_ns: i64,
    /// Windows that a SELECT may span.
    pub windows_max: Option<u64>,
}

/// Rows under one name. Column 0 is the time in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) plan: Plan,
    /// The columns after the time, in their order.
    pub(super) columns: Vec<Column>,
    /// Columns by whose order rows come before that of the time: those of a subquery's series.
    pub(super) series: Vec<usize>,
    /// By name, positions of the field and the tag.
    places: HashMap<String, [Option<usize>; 2]>,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_tag: bool,
    pub(super) data_type: DataType,
}

/// The type of times.
pub(super) const TIME: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

/// Names and types as a plan's schema; every column may be null.
pub(super) fn schema_of<'a>(columns: impl Iterator<Item = (&'a str, &'a DataType)>) -> SchemaRef {
    Arc::new(Schema::new(columns.map(|(name, t)| Field::new(name, t.clone(), true)).collect::<Vec<_>>()))
}

impl Relation {
    pub(super) fn new(plan: Plan, columns: Vec<Column>, series: Vec<usize>) -> Self {
        let mut places = HashMap::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let [field, tag] = places.entry(column.name.clone()).or_insert([None; 2]);
            let place = if column.is_tag { tag } else { field };
            place.get_or_insert(at + 1);
        }
        Self { plan, columns, series, places }
    }

    /// Position of the field called `name`.
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        self.places.get(name).and_then(|[field, _]| *field)
    }

    /// Position of the tag called `name`.
    pub(super) fn tag(&self, name: &str) -> Option<usize> {
        self.places.get(name).and_then(|[_, tag]| *tag)
    }

    /// Type of the column at a position.
    pub(super) fn data_type(&self, at: usize) -> &DataType {
        &self.columns[at - 1].data_type
    }

    /// Positions of all tags, by name.
    pub(super) fn tags(&self) -> Vec<usize> {
        let mut tags: Vec<usize> = (1..=self.columns.len()).filter(|at| self.columns[at - 1].is_tag).collect();
        tags.sort_by(|one, other| self.columns[one - 1].name.cmp(&self.columns[other - 1].name));
        tags
    }

    fn schema(&self) -> SchemaRef {
        let columns = self.columns.iter().map(|column| (column.name.as_str(), &column.data_type));
        schema_of(std::iter::once(("time", &TIME)).chain(columns))
    }
}

/// Things that have names of their own and are no measurements, and the statement that shows them.
const SYSTEM_SOURCES: [(&str, &str); 5] = [
    ("_fieldKeys", "SHOW FIELD KEYS"),
    ("_measurements", "SHOW MEASUREMENTS"),
    ("_series", "SHOW SERIES"),
    ("_tagKeys", "SHOW TAG KEYS"),
    ("_tags", "SHOW TAG VALUES"),
];

impl<'a> Scope<'a> {
    /// The database that is meant.
    pub(super) fn database(&self, named: Option<&str>) -> Result<&'a Arc<Database>, BindError> {
        let name = named.unwrap_or(self.database);
        if name.is_empty() {
            return Err(BindError::DatabaseUnnamed);
        }
        self.catalog.databases.get(name).ok_or_else(|| BindError::DatabaseUnknown(name.to_owned()))
    }

    /// The retention policy that is meant.
    pub(super) fn policy(&self, database: &'a Database, named: Option<&str>) -> Result<&'a RetentionPolicy, BindError> {
        let given = named.or(Some(self.policy).filter(|policy| !policy.is_empty()));
        let name = given.unwrap_or(&database.default_policy);
        database.policy(name).ok_or_else(|| BindError::PolicyUnknown(name.to_owned()))
    }

    /// The tables that a source means, each as a relation of its rows within `range`.
    pub(super) fn tables(
        &self,
        measurement: &Measurement,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<(String, Relation)>, BindError> {
        if let MeasurementName::Name(name) = &measurement.name
            && let Some((_, instead)) = SYSTEM_SOURCES.iter().find(|(system, _)| system == name)
        {
            return Err(BindError::SystemSource { name: name.clone(), instead });
        }
        let database = self.database(measurement.database.as_deref())?;
        let policy = self.policy(database, measurement.policy.as_deref())?;
        let mut relations = Vec::new();
        for table in policy.tables.values().filter(|table| measurement.names(&table.name)) {
            budget.take_columns(table.columns.iter().map(|column| &*column.name))?;
            relations.push((table.name.to_string(), self.table(database, policy, table, range)));
        }
        Ok(relations)
    }

    fn table(
        &self,
        database: &Database,
        policy: &RetentionPolicy,
        table: &Arc<TableSchema>,
        range: TimeRange,
    ) -> Relation {
        let unit = arrow_unit(table.time_unit);
        let mut scanned = vec![ScanColumn::Time];
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let (scan, data_type, is_tag) = match column.kind {
                ColumnKind::Tag => (ScanColumn::Tag(column.id), DataType::Utf8, true),
                ColumnKind::Field(field) => (ScanColumn::Field(column.id, field), field.data_type(), false),
            };
            scanned.push(scan);
            columns.push(Column { name: column.name.to_string(), is_tag, data_type });
        }
        let stored = DataType::Timestamp(unit, None);
        let named = columns.iter().map(|column| (column.name.as_str(), &column.data_type));
        let schema = schema_of(std::iter::once(("time", &stored)).chain(named));
        let (first, last) = in_unit(range, table).unwrap_or((i64::MAX, i64::MIN));
        // What is older than its policy keeps it is not seen, also while it is still there.
        let first = first.max(policy.time_min(self.now_ns, table.time_unit));
        let (time_min, time_max) = if first <= last { (first, last) } else { (i64::MAX, i64::MIN) };
        let plan = Plan::Scan(ScanNode {
            database: database.name.clone(),
            table: table.clone(),
            columns: scanned,
            time_min,
            time_max,
            tag_filter: None,
            tag_columns: Vec::new(),
            filter: None,
            schema,
        });
        let mut relation = Relation::new(plan, columns, Vec::new());
        if stored != TIME {
            let time = Expr::Cast { expr: Box::new(Expr::Column(0)), to: TIME };
            let exprs = std::iter::once(time).chain((1..=relation.columns.len()).map(Expr::Column)).collect();
            let schema = relation.schema();
            relation.plan = Plan::Project { input: Box::new(relation.plan), exprs, schema };
        }
        relation
    }
}

/// Relations of one name as one: the columns of all, each of the highest of its types.
pub(super) fn united(mut relations: Vec<Relation>, budget: &Budget) -> Result<Relation, BindError> {
    if relations.len() == 1 {
        return Ok(relations.swap_remove(0));
    }
    let mut types: BTreeMap<(String, bool), DataType> = BTreeMap::new();
    for column in relations.iter().flat_map(|relation| &relation.columns) {
        let known = types.entry((column.name.clone(), column.is_tag)).or_insert_with(|| column.data_type.clone());
        *known = higher(known, &column.data_type);
    }
    budget.take_nodes(types.len().saturating_mul(relations.len()))?;
    budget.take_columns(types.keys().map(|(name, _)| name.as_str()))?;
    let columns: Vec<Column> =
        types.into_iter().map(|((name, is_tag), data_type)| Column { name, is_tag, data_type }).collect();
    let nothing = Plan::Values { rows: Vec::new(), schema: schema_of([].into_iter()) };
    let mut whole = Relation::new(nothing, columns, Vec::new());
    let schema = whole.schema();
    let inputs = relations.into_iter().map(|relation| {
        let column = |column: &Column| {
            let at = if column.is_tag { relation.tag(&column.name) } else { relation.field(&column.name) };
            converted(at.map(|at| (Expr::Column(at), relation.data_type(at))), &column.data_type)
        };
        let exprs = std::iter::once(Expr::Column(0)).chain(whole.columns.iter().map(column)).collect();
        Plan::Project { input: Box::new(relation.plan), exprs, schema: schema.clone() }
    });
    whole.plan = Plan::Union { inputs: inputs.collect(), schema: schema.clone() };
    Ok(whole)
}
