//! Pieces of plans that SELECTs of every shape are made of.

use arrow_schema::{DataType, SchemaRef};

use super::compile::Shape;
use super::expr::joined;
use super::relation::{Relation, TIME, schema_of};
use super::select::Setting;
use crate::expr::constant::null;
use crate::expr::{BinaryOp, Expr as Native, Typed};
use crate::front::influxql::ast::{CastType, Expr};
use crate::function::series::SERIES_ORDER;
use crate::plan::series::SeriesLimit;
use crate::plan::{Plan, SeriesStep, SortKey};

/// A projection to columns of these types, which need no names.
pub(super) fn project(input: Plan, columns: Vec<Typed>) -> Plan {
    let schema = schema_of(columns.iter().map(|typed| ("", &typed.data_type)));
    let exprs = columns.into_iter().map(|typed| typed.expr).collect();
    Plan::Project { input: Box::new(input), exprs, schema }
}

/// Rows for which one of `columns` has a value.
pub(super) fn where_any(input: Plan, columns: impl IntoIterator<Item = usize>) -> Plan {
    let present = columns.into_iter().map(|at| Native::IsNotNull(Box::new(Native::Column(at)))).collect();
    match joined(BinaryOp::Or, present) {
        Some(predicate) => Plan::Filter { input: Box::new(input), predicate },
        None => input,
    }
}

/// Rows in the order of these columns. A tag that a series lacks comes first, as the empty text does.
pub(super) fn sorted(input: Plan, columns: impl IntoIterator<Item = usize>, descending: bool) -> Plan {
    let key = |at| SortKey { expr: Native::Column(at), descending, nulls_first: !descending };
    Plan::Sort { input: Box::new(input), keys: columns.into_iter().map(key).collect(), fetch: None }
}

/// A step by series whose output has columns of these types.
pub(super) fn series_step(input: Plan, step: SeriesStep, schema: SchemaRef) -> Plan {
    Plan::Series { input: Box::new(input), step, schema }
}

/// A null of a tag that the relation does not have.
fn no_tag() -> Typed {
    Typed::new(null(DataType::Utf8), DataType::Utf8)
}

impl Setting<'_> {
    /// The tags of GROUP BY as columns of a relation.
    pub(super) fn tag_columns(&self, relation: &Relation) -> Vec<Typed> {
        let column =
            |tag: &String| relation.tag(tag).map_or_else(no_tag, |at| Typed::new(Native::Column(at), DataType::Utf8));
        self.tags.iter().map(column).collect()
    }

    /// Columns by whose order rows of one time and series come: that of the series' keys.
    pub(super) fn ties(&self, relation: &Relation) -> Vec<Typed> {
        let is_grouped = |at: &usize| self.tags.contains(&relation.columns[at - 1].name);
        let tags = relation.tags().into_iter().filter(|at| !is_grouped(at)).map(Native::Column);
        let mut tags: Vec<Native> = tags.collect();
        if tags.len() > 1 {
            tags = vec![Native::Call { function: &SERIES_ORDER, args: tags }];
        }
        tags.into_iter().map(|expr| Typed::new(expr, DataType::Utf8)).collect()
    }

    /// Positions of the fields that the outputs name.
    pub(super) fn fields_named(&self, relation: &Relation) -> Vec<usize> {
        let mut found = Vec::new();
        for output in self.outputs {
            output.expr.walk(&mut |expr| {
                if let Expr::Name { name, cast } = expr
                    && *cast != Some(CastType::Tag)
                    && let Some(at) = relation.field(name)
                    && !found.contains(&at)
                {
                    found.push(at);
                }
            });
        }
        found
    }

    /// LIMIT, OFFSET, SLIMIT and SOFFSET.
    pub(super) fn limited(&self, plan: Plan) -> Plan {
        let select = self.select;
        let as_size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let some = |count: u64| Some(as_size(count)).filter(|count| *count > 0);
        // OFFSET alone gives one row of those that are as they are: so InfluxDB has it.
        let alone = select.offset > 0 && self.compiled.shape == Shape::Raw;
        let (skip, fetch) = (as_size(select.offset), some(select.limit).or(alone.then_some(1)));
        let (series_skip, series_fetch) = (as_size(select.series_offset), some(select.series_limit));
        // SOFFSET is of no use without SLIMIT: InfluxDB answers nothing then.
        let series_fetch = if series_skip > 0 { series_fetch.or(Some(0)) } else { series_fetch };
        if skip == 0 && fetch.is_none() && series_skip == 0 && series_fetch.is_none() {
            return plan;
        }
        if self.tags.is_empty() && series_skip == 0 && series_fetch.is_none() {
            return Plan::Limit { input: Box::new(plan), skip, fetch };
        }
        let schema = plan.schema().clone();
        let limit = SeriesLimit { keys: self.tags.len(), outer_keys: 0, skip, fetch, series_skip, series_fetch };
        series_step(plan, SeriesStep::Limit(limit), schema)
    }

    /// The answer: tags, time, and `values`, over the columns of `input`.
    pub(super) fn answer(&self, input: Plan, tags: Vec<Typed>, time: Typed, values: Vec<Typed>) -> Plan {
        let types: Vec<DataType> = values.iter().map(|typed| typed.data_type.clone()).collect();
        let exprs = tags.into_iter().chain([time]).chain(values).map(|typed| typed.expr).collect();
        Plan::Project { input: Box::new(input), exprs, schema: self.schema(&types) }
    }

    /// The first columns of a plan that has tags and time there.
    pub(super) fn leading(&self) -> (Vec<Typed>, Typed) {
        let tags = (0..self.tags.len()).map(|at| Typed::new(Native::Column(at), DataType::Utf8)).collect();
        (tags, Typed::new(Native::Column(self.tags.len()), TIME))
    }
}
