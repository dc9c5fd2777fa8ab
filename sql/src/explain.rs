//! The answer to EXPLAIN: rows of `plan_type` and `plan`.
//!
//! | plan_type | when | plan |
//! |---|---|---|
//! | `initial_logical_plan`, `logical_plan after RULE` | VERBOSE | the plan at that step |
//! | `logical_plan` | always | the optimized plan |
//! | `physical_plan` | the caller has one | what the shards run, and the core that asks |
//! | `Plan with Metrics` | ANALYZE | what the run did, shard by shard |

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::statement::{PlanStep, Query};

/// What one shard did for a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardMetrics {
    /// The shard.
    pub shard: u32,
    /// Rows that its scan yielded.
    pub rows_scanned: u64,
    /// Chunks that its scan yielded.
    pub chunks: u64,
    /// Rows or groups that it sent to the core that asks.
    pub rows_sent: u64,
    /// Time on its core, waiting included.
    pub elapsed: Duration,
}

/// What a run of a query did; filled in by its caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunMetrics {
    /// From the start of the fragments to the last row.
    pub elapsed: Duration,
    /// Rows of the answer.
    pub rows: u64,
    /// Most memory that was accounted to the query at once.
    pub memory_bytes_max: u64,
    /// By shard.
    pub shards: Vec<ShardMetrics>,
}

/// Names and types of EXPLAIN's answer.
pub fn schema() -> SchemaRef {
    let column = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![column("plan_type"), column("plan")]))
}

/// The answer: `steps` for VERBOSE, `physical` where the query was cut, `metrics` for ANALYZE.
pub fn explain(
    query: &Query,
    steps: &[PlanStep],
    physical: Option<&str>,
    metrics: Option<&RunMetrics>,
) -> Result<RecordBatch, ArrowError> {
    let logical = query.plan.to_string();
    let metrics = metrics.map(|metrics| metrics_text(&logical, metrics));
    let mut rows: Vec<(&str, &str)> = steps.iter().map(|step| (step.name.as_str(), step.plan.as_str())).collect();
    rows.push(("logical_plan", &logical));
    rows.extend(physical.map(|physical| ("physical_plan", physical)));
    rows.extend(metrics.as_deref().map(|text| ("Plan with Metrics", text)));
    let (types, plans): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(types)), Arc::new(StringArray::from(plans))];
    RecordBatch::try_new(schema(), columns)
}

/// The plan, and below it what its run did.
pub fn analyzed(query: &Query, metrics: &RunMetrics) -> String {
    metrics_text(&query.plan.to_string(), metrics)
}

fn metrics_text(logical: &str, metrics: &RunMetrics) -> String {
    let RunMetrics { elapsed, rows, memory_bytes_max, shards } = metrics;
    let mut text = format!("{logical}\nrows={rows}, elapsed={elapsed:?}, memory_bytes_max={memory_bytes_max}");
    for ShardMetrics { shard, rows_scanned, chunks, rows_sent, elapsed } in shards {
        let _ = write!(
            text,
            "\nshard {shard}: rows_scanned={rows_scanned}, chunks={chunks}, rows_sent={rows_sent}, elapsed={elapsed:?}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn metrics_stand_below_the_plan() {
        let plan = Plan::Values { rows: Vec::new(), schema: Arc::new(Schema::empty()) };
        let query = Query { schema: plan.schema().clone(), plan };
        let metrics = RunMetrics {
            elapsed: Duration::from_micros(1_500),
            rows: 7,
            memory_bytes_max: 4_096,
            shards: vec![ShardMetrics { shard: 1, rows_scanned: 70, chunks: 2, rows_sent: 7, ..Default::default() }],
        };
        let step = PlanStep { name: "initial_logical_plan".to_owned(), plan: "x".to_owned() };
        let batch = explain(&query, &[step], Some("fragment"), Some(&metrics)).expect("two columns of one length");
        let types: Vec<_> = batch.column(0).as_string::<i32>().iter().flatten().collect();
        assert_eq!(types, ["initial_logical_plan", "logical_plan", "physical_plan", "Plan with Metrics"]);
        assert_eq!(
            batch.column(1).as_string::<i32>().value(3),
            "Values: 0 rows of []\nrows=7, elapsed=1.5ms, memory_bytes_max=4096\n\
             shard 1: rows_scanned=70, chunks=2, rows_sent=7, elapsed=0ns"
        );
    }
}
