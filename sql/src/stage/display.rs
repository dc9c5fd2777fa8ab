//! A cut plan as text, for EXPLAIN: from what leaves last down to what every shard runs.

use std::fmt;

use arrow_schema::{Field, Schema};
use tidewire_storage::scan::ScanMode;

use super::{
    CoreStage, Fragment, Leaders, OperatorSpec, Shape, SinkSpec, Source, Stage, StageGraph, StageId, TimeOrder,
    TopBuckets,
};
use crate::expr::{AggregateCall, Expr};
use crate::plan::{ScanColumn, SeriesStep, show};
use crate::types::unit::arrow_unit;

impl fmt::Display for StageGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stages().len().checked_sub(1) {
            Some(last) => Tree { graph: self, lines: 0 }.stage(StageId::at(last), 0, f),
            None => Ok(()),
        }
    }
}

/// A graph while it is written, each stage below the one that reads it.
struct Tree<'a> {
    graph: &'a StageGraph,
    lines: usize,
}

impl Tree<'_> {
    fn line(&mut self, depth: usize, text: impl fmt::Display, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines > 0 {
            write!(f, "\n{:width$}", "", width = depth * 2)?;
        }
        self.lines += 1;
        write!(f, "{text}")
    }

    fn stage(&mut self, stage: StageId, mut depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graph = self.graph;
        let CoreStage { sources, operators, sink } = match &graph.stages()[stage.index()] {
            Stage::Shards(fragment) => return self.line(depth, format_args!("EveryShard: {fragment}"), f),
            Stage::Files(scan) => return self.line(depth, format_args!("Files: {}", scan.table.location), f),
            Stage::Core(stage) => stage,
        };
        if !matches!(sink, SinkSpec::Gather) {
            self.line(depth, sink, f)?;
            depth += 1;
        }
        for operator in operators.iter().rev() {
            self.line(depth, operator, f)?;
            depth += 1;
        }
        // What a join has kept stands below what meets it.
        let kept = usize::from(matches!(sink, SinkSpec::Join { .. }));
        if sources.len() != 1 + kept {
            self.line(depth, "Union", f)?;
            depth += 1;
        }
        let inputs = sources.len().saturating_sub(kept);
        for (at, source) in sources.iter().enumerate() {
            let depth = depth - usize::from(at >= inputs && inputs != 1);
            match source {
                Source::Stage(stage) => self.stage(*stage, depth, f)?,
                Source::Values { .. } => self.line(depth, "ConstantRows", f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for OperatorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(_) => write!(f, "Filter"),
            Self::Project { schema, .. } => write!(f, "Project: {} columns", schema.fields().len()),
            Self::Limit { skip, fetch: Some(fetch) } => write!(f, "Limit: skip={skip}, fetch={fetch}"),
            Self::SeriesLimit(limit) => SeriesStep::Limit(*limit).fmt(f),
            Self::Leaders(leaders) => leaders.fmt(f),
            Self::Transform { calls, .. } => SeriesStep::Transform(calls.clone()).fmt(f),
            Self::Limit { skip, fetch: None } => write!(f, "Limit: skip={skip}"),
        }
    }
}

impl fmt::Display for Leaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaders: group={}, fetch={}", self.group.len(), self.fetch)
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gather => write!(f, "Gather"),
            Self::Merge { keys, calls, .. } => write!(f, "MergeAggregate: keys={keys}, calls={}", calls.len()),
            Self::Aggregate { keys, calls, .. } => write!(f, "Aggregate: keys={}, calls={}", keys.len(), calls.len()),
            Self::Sort { fetch: Some(fetch), .. } => write!(f, "Sort: fetch={fetch}"),
            Self::Sort { .. } => write!(f, "Sort"),
            Self::Distinct { .. } => write!(f, "Distinct"),
            Self::Integral { integral, .. } => SeriesStep::Integral(integral.clone()).fmt(f),
            Self::Repair { repair, .. } => SeriesStep::Repair(*repair).fmt(f),
            Self::Forecast { forecast, .. } => SeriesStep::Forecast(forecast.clone()).fmt(f),
            Self::Build { keys, .. } => write!(f, "Build: keys={}", keys.exprs.len()),
            Self::Join { kind, keys, filter, .. } => {
                write!(f, "HashJoin: {kind}, keys={}", keys.exprs.len())?;
                if filter.is_some() { write!(f, ", filter") } else { Ok(()) }
            }
            Self::Repeat { .. } => write!(f, "Repeat"),
            Self::Window { partition, order, calls, .. } => {
                let (partition, order) = (partition.len(), order.len());
                write!(f, "Window: partition={partition}, order={order}, calls={}", calls.len())
            }
            Self::Fill(fill) => SeriesStep::Fill(fill.clone()).fmt(f),
        }
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.scan_schema();
        let list =
            |exprs: &[Expr]| exprs.iter().map(|expr| show(expr, &schema).to_string()).collect::<Vec<_>>().join(", ");
        match &self.shape {
            Shape::Rows { limit, leaders, .. } => {
                write!(f, "Rows")?;
                if let Some(limit) = limit {
                    write!(f, ": limit={limit}")?;
                }
                if let Some(leaders) = leaders {
                    write!(f, ": {leaders}")?;
                }
            }
            Shape::TopRows { fetch, by_time, .. } => {
                write!(f, "TopRows: fetch={fetch}")?;
                if let Some(order) = by_time {
                    write!(f, ", {order}")?;
                }
            }
            Shape::Aggregate { keys, calls, fused, top } => {
                let calls: Vec<String> = calls.iter().map(|call| call_text(call, &list(&call.args))).collect();
                let name = if fused.is_some() { "AggregateBySeriesAndTime" } else { "AggregateByHash" };
                write!(f, "{name}: keys=[{}], calls=[{}]", list(keys), calls.join(", "))?;
                if let Some(TopBuckets { order, groups, .. }) = top {
                    write!(f, ", top={groups}, {order}")?;
                }
            }
        }
        let mode = match self.mode {
            ScanMode::Rows => "rows",
            ScanMode::Summaries(_) => "statistics where they are enough",
            ScanMode::FirstRow => "first rows of series",
            ScanMode::LastRow => "last rows of series",
        };
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", scan={}, columns=[{}], reads={mode}", self.table.name, names.join(", "))?;
        if !self.prune.is_empty() {
            write!(f, ", pruned by {} value ranges", self.prune.len())?;
        }
        if let Some(filter) = &self.filter {
            write!(f, ", filter={}", show(filter, &schema))?;
        }
        Ok(())
    }
}

impl fmt::Display for TimeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewestFirst => "newest first",
            Self::OldestFirst => "oldest first",
        })
    }
}

fn call_text(call: &AggregateCall, args: &str) -> String {
    format!("{}({})", call.function.name, if call.args.is_empty() { "*" } else { args })
}

impl Fragment {
    /// Names and types of the scan's columns.
    fn scan_schema(&self) -> Schema {
        let name = |id| self.table.column_by_id(id).map_or_else(String::new, |column| column.name.to_string());
        let fields = self.columns.iter().map(|column| match column {
            ScanColumn::Time => {
                Field::new("time", arrow_schema::DataType::Timestamp(arrow_unit(self.table.time_unit), None), false)
            }
            ScanColumn::Tag(id) => Field::new(name(*id), arrow_schema::DataType::Utf8, true),
            ScanColumn::Field(id, kind) => Field::new(name(*id), kind.data_type(), true),
        });
        Schema::new(fields.collect::<Vec<_>>())
    }
}
