//! Metrics: a metric is a table, a data point a row.
//!
//! Tags are the attributes of the resource and of the point (which count where both have a name) and `scope.name`. All
//! fields are floats: `value` of a gauge or a sum; `count`, `sum`, `min`, `max` and `le_<bound>` of a histogram, the
//! buckets added up as Prometheus does; `count`, `sum`, `min`, `max` and `zero_count` of an exponential histogram;
//! `count`, `sum` and `quantile_<q>` of a summary. An attribute with the name of a field, or of the timestamp, is the
//! tag `attribute.<name>`. A point that says it has no value makes no row.

use super::fill::Fill;
use super::node::{Key, Node, export_of};
use crate::json::JsonDocument;
use crate::row::{Next, Position, RowError, RowTaker};

const RESOURCE_METRICS: Key = (1, "resourceMetrics");
const RESOURCE: Key = (1, "resource");
const SCOPE_METRICS: Key = (2, "scopeMetrics");
const SCOPE: Key = (1, "scope");
const NAME: Key = (1, "name");
const METRICS: Key = (2, "metrics");
const ATTRIBUTES_OF_RESOURCE: Key = (1, "attributes");
const POINTS: Key = (1, "dataPoints");
const TIME: Key = (3, "timeUnixNano");
const COUNT: Key = (4, "count");
const SUM: Key = (5, "sum");

/// The flag of a point without a value.
const NO_VALUE: u64 = 1;

/// How far an export has been read.
#[derive(Debug, Default)]
pub struct MetricReader {
    row: Fill,
    points: u64,
}

/// The kinds of data: where they stand in a metric, and where their points have attributes and flags.
#[derive(Debug, Clone, Copy)]
struct Kind {
    data: Key,
    attributes: Key,
    flags: Key,
}

/// Adds the fields of a point of one kind.
type Filler<N> = fn(&mut Fill, N) -> Result<(), RowError>;

const NUMBERS: [Kind; 2] = [
    Kind { data: (5, "gauge"), attributes: (7, "attributes"), flags: (8, "flags") },
    Kind { data: (7, "sum"), attributes: (7, "attributes"), flags: (8, "flags") },
];
const HISTOGRAM: Kind = Kind { data: (9, "histogram"), attributes: (9, "attributes"), flags: (10, "flags") };
const EXPONENTIAL: Kind =
    Kind { data: (10, "exponentialHistogram"), attributes: (1, "attributes"), flags: (10, "flags") };
const SUMMARY: Kind = Kind { data: (11, "summary"), attributes: (7, "attributes"), flags: (8, "flags") };

impl MetricReader {
    /// Reads fields of an export as protobuf. The error is one of the whole body.
    pub async fn read_message(&mut self, fields: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        self.export(fields, rows).await
    }

    /// Reads an export as JSON. The error is one of the whole body.
    pub async fn read_json(&mut self, body: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut document = JsonDocument::of(body);
        let tape = document.tape()?;
        self.export(export_of(&tape)?, rows).await
    }

    async fn export<'t, N: Node<'t>>(&mut self, export: N, rows: &mut impl RowTaker) -> Result<Next, RowError> {
        for of_resource in export.list(RESOURCE_METRICS) {
            let of_resource = of_resource?;
            let resource = of_resource.node(RESOURCE)?;
            for of_scope in of_resource.list(SCOPE_METRICS) {
                let of_scope = of_scope?;
                let scope = of_scope.node(SCOPE)?.map_or(Ok(""), |scope| scope.text(NAME))?;
                for metric in of_scope.list(METRICS) {
                    let metric = metric?;
                    self.row.begin(metric.text(NAME)?);
                    if let Some(resource) = resource {
                        self.row.attributes(resource, ATTRIBUTES_OF_RESOURCE, tag)?;
                    }
                    self.row.tag(["scope.name"], scope);
                    if self.metric(metric, rows).await? == Next::Stop {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
        Ok(Next::Continue)
    }

    async fn metric<'t, N: Node<'t>>(&mut self, metric: N, rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let kinds: [(Kind, Filler<N>); 5] = [
            (NUMBERS[0], number),
            (NUMBERS[1], number),
            (HISTOGRAM, histogram),
            (EXPONENTIAL, exponential),
            (SUMMARY, summary),
        ];
        let mark = self.row.mark();
        for (kind, fill) in kinds {
            let Some(data) = metric.node(kind.data)? else { continue };
            for point in data.list(POINTS) {
                let point = point?;
                self.row.back_to(mark);
                self.points += 1;
                let position = Position::Item(self.points);
                let next = match self.point(point, kind, fill) {
                    Ok(true) => rows.take(position, self.row.draft()).err().unwrap_or(Next::Continue),
                    Ok(false) => Next::Continue,
                    Err(error) => rows.fault(position, error),
                };
                if next == Next::Stop || rows.turn().await == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        Ok(Next::Continue)
    }

    /// Fills in a point; `false` where it has no value.
    fn point<'t, N: Node<'t>>(&mut self, point: N, kind: Kind, fill: Filler<N>) -> Result<bool, RowError> {
        if point.integer(kind.flags)?.is_some_and(|flags| flags & NO_VALUE != 0) {
            return Ok(false);
        }
        let row = &mut self.row;
        row.attributes(point, kind.attributes, tag)?;
        fill(row, point)?;
        let time = point.integer(TIME)?.ok_or(RowError::Missing("the time of a point"))?;
        row.draft().time = i64::try_from(time).map_err(|_| RowError::TimeOutOfRange)?;
        row.draft().check().map(|()| true)
    }
}

/// Adds an attribute.
fn tag(row: &mut Fill, name: &str, value: &str) {
    let is_taken = matches!(name, "time" | "value" | "count" | "sum" | "min" | "max" | "zero_count")
        || name.starts_with("le_")
        || name.starts_with("quantile_");
    match is_taken {
        true => row.tag(["attribute.", name], value),
        false => row.tag([name], value),
    }
}

/// A point of a gauge or a sum.
fn number<'t, N: Node<'t>>(row: &mut Fill, point: N) -> Result<(), RowError> {
    let value = match point.float((4, "asDouble"))? {
        Some(value) => value,
        None => point.integer((6, "asInt"))?.ok_or(RowError::Missing("the value of a point"))?.cast_signed() as f64,
    };
    row.number(["value"], value);
    Ok(())
}

fn histogram<'t, N: Node<'t>>(row: &mut Fill, point: N) -> Result<(), RowError> {
    count_and_sum(row, point)?;
    ends(row, point, (11, "min"), (12, "max"))?;
    let counts = point.integers((6, "bucketCounts"))?;
    let bounds = point.floats((7, "explicitBounds"))?;
    if !counts.is_empty() && counts.len() != bounds.len() + 1 {
        return Err(RowError::invalid("the buckets", format_args!("{} for {} bounds", counts.len(), bounds.len())));
    }
    let mut total = 0_u64;
    for (count, bound) in counts.iter().zip(&bounds) {
        total = total.saturating_add(*count);
        row.number(["le_", &bound.to_string()], total as f64);
    }
    Ok(())
}

fn exponential<'t, N: Node<'t>>(row: &mut Fill, point: N) -> Result<(), RowError> {
    count_and_sum(row, point)?;
    ends(row, point, (12, "min"), (13, "max"))?;
    row.number(["zero_count"], point.integer((7, "zeroCount"))?.unwrap_or_default() as f64);
    Ok(())
}

fn summary<'t, N: Node<'t>>(row: &mut Fill, point: N) -> Result<(), RowError> {
    count_and_sum(row, point)?;
    for value in point.list((6, "quantileValues")) {
        let value = value?;
        let quantile = value.float((1, "quantile"))?.unwrap_or_default();
        row.number(["quantile_", &quantile.to_string()], value.float((2, "value"))?.unwrap_or_default());
    }
    Ok(())
}

fn count_and_sum<'t, N: Node<'t>>(row: &mut Fill, point: N) -> Result<(), RowError> {
    row.number(["count"], point.integer(COUNT)?.unwrap_or_default() as f64);
    if let Some(sum) = point.float(SUM)? {
        row.number(["sum"], sum);
    }
    Ok(())
}

fn ends<'t, N: Node<'t>>(row: &mut Fill, point: N, min: Key, max: Key) -> Result<(), RowError> {
    for (name, key) in [("min", min), ("max", max)] {
        if let Some(value) = point.float(key)? {
            row.number([name], value);
        }
    }
    Ok(())
}
