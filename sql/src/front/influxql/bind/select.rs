//! SELECT bound: one plan for each name of a measurement, all of one form.
//!
//! A plan's columns are the tags of GROUP BY, the time, and what is selected; its rows come series by series, in the
//! order of the statement. Subqueries are bound the same way, and are relations to the SELECT around them.

use std::collections::{BTreeMap, HashSet};

use arrow_schema::{DataType, SchemaRef};

use super::compile::{Compiled, DimensionName, Shape, compile};
use super::condition::{Clock, TimeRange, split};
use super::error::{BindError, SelectError};
use super::expr::{Columns, condition};
use super::outputs::{Names, Output, outputs};
use super::relation::{Column, Relation, Scope, TIME, schema_of, united};
use super::types::higher;
use crate::budget::Budget;
use crate::exec::{QueryContext, Reservation};
use crate::expr::Expr as Native;
use crate::front::influxql::ast::{CastType, Expr, Fill, Select, Source};
use crate::optimize::constant_sets::with_sets;
use crate::optimize::optimize_within;
use crate::plan::Plan;
use crate::plan::extent::PlanExtent;
use crate::statement::Query;
use crate::types::windows::Windows;
use crate::types::zone::Zone;

/// A SELECT that can be run.
#[derive(Debug)]
pub struct BoundSelect {
    /// For each measurement its name and rows, in the order of the answer.
    pub parts: Vec<(String, Query)>,
    /// Tags of GROUP BY, the first columns of the rows.
    pub tags: Vec<String>,
    /// Names of the columns after them, the time first.
    pub headings: Vec<String>,
    /// tz(…)
    pub zone: Option<Zone>,
    /// Columns after the time that INTO writes as tags: those that top and bottom tell apart.
    pub written_as_tags: Vec<usize>,
    /// Memory of all that.
    pub held: Reservation,
}

/// Binds a SELECT to the databases at hand, within the memory and the time of `context`.
pub fn bind_select(select: &Select, scope: Scope<'_>, context: &QueryContext) -> Result<BoundSelect, SelectError> {
    let budget = Budget::new(context);
    match bound_select(select, scope, &budget) {
        Ok(bound) => {
            let extents = bound.parts.iter().map(|(_, query)| PlanExtent::of(&query.plan));
            let (nodes, columns) =
                extents.fold((0, 0), |(nodes, columns), extent| (nodes + extent.exprs.nodes, columns + extent.columns));
            Ok(BoundSelect { held: budget.end(nodes, columns)?, ..bound })
        }
        Err(error) => Err(match budget.stopped() {
            Some(stopped) => stopped.into(),
            None => error.into(),
        }),
    }
}

fn bound_select(select: &Select, scope: Scope<'_>, budget: &Budget) -> Result<BoundSelect, BindError> {
    let bound = bind(select, scope, &Outer::NONE, budget)?;
    let mut parts: Vec<(String, Query)> = Vec::with_capacity(bound.plans.len());
    for (name, plan) in bound.plans {
        let plan = with_sets(optimize_within(plan, None, budget)?);
        let schema = plan.schema().clone();
        parts.push((name, Query { plan, schema }));
    }
    if bound.descending {
        parts.reverse();
    }
    let headings = std::iter::once(bound.time_name).chain(bound.columns.into_iter().map(|column| column.name));
    Ok(BoundSelect {
        parts,
        tags: bound.tags,
        headings: headings.collect(),
        zone: bound.zone,
        written_as_tags: bound.row_tags,
        held: budget.context().reservation(),
    })
}

/// What the SELECT around a subquery makes of it.
struct Outer<'a> {
    range: TimeRange,
    interval: Option<(i64, i64)>,
    tags: Vec<String>,
    descending: bool,
    zone: Option<&'a Zone>,
    is_subquery: bool,
}

impl Outer<'_> {
    const NONE: Self = Self {
        range: TimeRange::ALL,
        interval: None,
        tags: Vec::new(),
        descending: false,
        zone: None,
        is_subquery: false,
    };
}

/// A bound SELECT, as a relation or an answer.
struct Bound {
    /// By name.
    plans: Vec<(String, Plan)>,
    tags: Vec<String>,
    time_name: String,
    /// What is selected.
    columns: Vec<Column>,
    descending: bool,
    zone: Option<Zone>,
    /// Rows stand series by series, not by time.
    by_series: bool,
    /// Places of the columns that top and bottom tell apart.
    row_tags: Vec<usize>,
}

/// All that the plan of one name is made of.
pub(super) struct Setting<'a> {
    pub(super) select: &'a Select,
    pub(super) compiled: &'a Compiled,
    pub(super) names: &'a Names,
    pub(super) outputs: &'a [Output],
    /// Tags of GROUP BY, by name.
    pub(super) tags: &'a [String],
    /// Times that the statement is about.
    pub(super) range: TimeRange,
    pub(super) windows: Option<Windows>,
    pub(super) fill: Fill,
    pub(super) descending: bool,
    pub(super) budget: &'a Budget,
}

fn bind(select: &Select, scope: Scope<'_>, outer: &Outer<'_>, budget: &Budget) -> Result<Bound, BindError> {
    let own_zone = select.zone.as_deref().and_then(Zone::named);
    let zone = own_zone.as_ref().or(outer.zone);
    let clock = Clock { now_ns: scope.now_ns, zone };
    let inherited = outer.interval;
    let (mut range, rest) = match &select.condition {
        Some(condition) => split(condition, clock)?,
        None => (TimeRange::ALL, None),
    };
    let compiled = compile(select, clock, inherited)?;
    range = range.and(outer.range);
    let windows = compiled.interval.map(|(width_ns, offset_ns)| Windows { width_ns, offset_ns, zone: zone.cloned() });
    if windows.is_some() && range.max == i64::MAX {
        range.max = scope.now_ns;
    }
    if let (Some(windows), Some(windows_max)) = (&windows, scope.windows_max) {
        let (first, last) = (i128::from(windows.start(range.min)), i128::from(windows.start(range.max)));
        let count = (last - first) / i128::from(windows.width_ns) + 1;
        if count > i128::from(windows_max) {
            return Err(BindError::TooManyWindows { windows: count, windows_max });
        }
    }
    let descending = match select.descending {
        Some(own) if outer.is_subquery && own != outer.descending => {
            return Err(BindError::select("subqueries must be ordered in the same direction as the query itself"));
        }
        Some(own) => own,
        None => outer.descending,
    };
    let read = read_range(range, windows.as_ref(), compiled.windows_before);
    let relations = relations(select, scope, outer, (&compiled, read, descending, zone), budget)?;
    let names = names_of(&relations);
    let tags = grouped_tags(&compiled.dimensions, &outer.tags, &names);
    let outputs = outputs(&compiled.fields, &names, &tags, budget)?;
    let fill = match select.fill {
        None | Some(Fill::Null) if outer.is_subquery => Fill::None,
        fill => fill.unwrap_or(Fill::Null),
    };
    let setting = Setting {
        select,
        compiled: &compiled,
        names: &names,
        outputs: &outputs,
        tags: &tags,
        range,
        windows,
        fill,
        descending,
        budget,
    };
    let mut columns = Vec::new();
    let mut plans = Vec::new();
    for (name, relation) in relations {
        budget.take_columns(outputs.iter().map(|output| output.heading.as_str()))?;
        let relation = filtered(relation, rest.as_ref(), &setting)?;
        let plan = match compiled.shape {
            Shape::Raw => setting.raw(&relation)?,
            Shape::Transformed => setting.transformed(&relation)?,
            Shape::Rows => setting.rows(&relation)?,
            Shape::Integral => setting.integral(&relation)?,
            Shape::Distinct => setting.distinct(&relation)?,
            Shape::Aggregate | Shape::Selector => setting.aggregate(&relation)?,
        };
        let Some(plan) = plan else { continue };
        let fields = &plan.schema().fields()[tags.len() + 1..];
        columns = outputs
            .iter()
            .zip(fields)
            .map(|(output, field)| Column {
                name: output.heading.clone(),
                is_tag: is_tag(&output.expr, &names),
                data_type: field.data_type().clone(),
            })
            .collect();
        plans.push((name, setting.limited(plan)));
    }
    if plans.is_empty() {
        columns = outputs
            .iter()
            .map(|output| Column { name: output.heading.clone(), is_tag: false, data_type: DataType::Null })
            .collect();
    }
    let by_series = !matches!(compiled.shape, Shape::Raw | Shape::Transformed) && !tags.is_empty();
    let time_name = compiled.time_name.clone();
    let row_tags = (0..outputs.len()).filter(|at| compiled.row_tags.contains(&outputs[*at].expr)).collect();
    Ok(Bound { plans, tags, time_name, columns, descending, zone: zone.cloned(), by_series, row_tags })
}

/// Times to read: some windows more where transformations look back.
fn read_range(range: TimeRange, windows: Option<&Windows>, before: i64) -> TimeRange {
    match windows {
        Some(windows) if before > 0 && range.min != i64::MIN => {
            let start = windows.start(range.min);
            TimeRange { min: start.saturating_sub(windows.width_ns.saturating_mul(before)), max: range.max }
        }
        _ => range,
    }
}

fn relations(
    select: &Select,
    scope: Scope<'_>,
    outer: &Outer<'_>,
    (compiled, read, descending, zone): (&Compiled, TimeRange, bool, Option<&Zone>),
    budget: &Budget,
) -> Result<BTreeMap<String, Relation>, BindError> {
    let mut by_name: BTreeMap<String, Vec<Relation>> = BTreeMap::new();
    for source in &select.sources {
        match source {
            Source::Measurement(measurement) => {
                for (name, relation) in scope.tables(measurement, read, budget)? {
                    by_name.entry(name).or_default().push(relation);
                }
            }
            Source::Subquery(inner) => {
                let mut tags = outer.tags.clone();
                tags.extend(compiled.dimensions.iter().filter_map(|dimension| match dimension {
                    DimensionName::Name(name) => Some(name.clone()),
                    _ => None,
                }));
                let interval = compiled.interval.or(outer.interval);
                let around = Outer { range: read, interval, tags, descending, zone, is_subquery: true };
                let bound = bind(inner, scope, &around, budget)?;
                for (name, plan) in bound.plans {
                    let relation = relation_of(plan, &bound.tags, &bound.columns, bound.by_series);
                    by_name.entry(name).or_default().push(relation);
                }
            }
        }
    }
    by_name.into_iter().map(|(name, relations)| Ok((name, united(relations, budget)?))).collect()
}

/// The rows of a subquery with their time first.
fn relation_of(plan: Plan, tags: &[String], columns: &[Column], by_series: bool) -> Relation {
    let tag = |name: &String| Column { name: name.clone(), is_tag: true, data_type: DataType::Utf8 };
    let mut all: Vec<(Column, usize)> = tags.iter().map(tag).zip(0..).collect();
    let mut known: HashSet<(&str, bool)> = tags.iter().map(|name| (name.as_str(), true)).collect();
    for (at, column) in columns.iter().enumerate() {
        // A tag that is both grouped by and selected is one.
        if known.insert((&column.name, column.is_tag)) {
            all.push((column.clone(), tags.len() + 1 + at));
        }
    }
    let named = all.iter().map(|(column, _)| (column.name.as_str(), &column.data_type));
    let schema = schema_of(std::iter::once(("time", &TIME)).chain(named));
    let exprs = std::iter::once(tags.len()).chain(all.iter().map(|(_, at)| *at)).map(Native::Column).collect();
    let series = if by_series { (1..=tags.len()).collect() } else { Vec::new() };
    let columns = all.into_iter().map(|(column, _)| column).collect();
    Relation::new(Plan::Project { input: Box::new(plan), exprs, schema }, columns, series)
}

fn names_of(relations: &BTreeMap<String, Relation>) -> Names {
    let mut names = Names::default();
    for column in relations.values().flat_map(|relation| &relation.columns) {
        if column.is_tag {
            names.tags.insert(column.name.clone());
        } else {
            let known = names.fields.entry(column.name.clone()).or_insert_with(|| column.data_type.clone());
            *known = higher(known, &column.data_type);
        }
    }
    names
}

fn grouped_tags(dimensions: &[DimensionName], outer: &[String], names: &Names) -> Vec<String> {
    let mut tags = outer.to_vec();
    for dimension in dimensions {
        match dimension {
            DimensionName::Name(name) => tags.push(name.clone()),
            DimensionName::All => tags.extend(names.tags.iter().cloned()),
            DimensionName::Regex(regex) => {
                tags.extend(names.tags.iter().filter(|tag| regex.matches.is_match(tag)).cloned());
            }
        }
    }
    tags.sort();
    tags.dedup();
    tags
}

/// Whether an expression is a tag, or a name of nothing, which acts as a tag that no series has.
fn is_tag(expr: &Expr, names: &Names) -> bool {
    match expr.bare() {
        Expr::Name { cast: Some(CastType::Tag), .. } => true,
        Expr::Name { name, cast: None } => !names.fields.contains_key(name),
        _ => false,
    }
}

fn filtered(mut relation: Relation, rest: Option<&Expr>, setting: &Setting<'_>) -> Result<Relation, BindError> {
    let Some(rest) = rest else { return Ok(relation) };
    let field_type = |name: &str| setting.names.fields.get(name).cloned();
    let columns = Columns { relation: &relation, field_type: &field_type };
    let predicate = condition(rest, &columns, &|expr| is_tag(expr, setting.names))?;
    relation.plan = Plan::Filter { input: Box::new(relation.plan), predicate };
    Ok(relation)
}

impl Setting<'_> {
    /// The columns of a relation, under their types in the statement.
    pub(super) fn field_type(&self, name: &str) -> Option<DataType> {
        self.names.fields.get(name).cloned()
    }

    /// The same for other outputs.
    pub(super) fn of_outputs<'o>(&'o self, outputs: &'o [Output]) -> Setting<'o> {
        Setting { outputs, windows: self.windows.clone(), ..*self }
    }

    /// Names and types of the answer.
    pub(super) fn schema(&self, types: &[DataType]) -> SchemaRef {
        let tags = self.tags.iter().map(|tag| (tag.as_str(), &DataType::Utf8));
        let headings = self.outputs.iter().map(|output| output.heading.as_str());
        schema_of(tags.chain([("time", &TIME)]).chain(headings.zip(types)))
    }
}
