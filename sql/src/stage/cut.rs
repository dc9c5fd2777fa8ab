//! Cuts a plan into stages.
//!
//! From the leaves upwards a stage is open: its sources are known, what is done to their rows is not yet settled.
//!
//! 1. A scan, a read of files, constant rows, or a union of open inputs opens one. An input of a union that limits its
//!    rows, or ends in an operator that cannot move into its scans, becomes a stage of its own first.
//! 2. Filters and projections are folded into one condition and one list of expressions over each scan's columns, as
//!    long as the expressions stay small; where they cannot be, they become operators of the stage.
//! 3. An operator that needs all rows closes the stage with a sink, and opens the next. Over scans alone, an aggregate
//!    leaves states on the shards and its sink merges them; DISTINCT is an aggregate without calls; a sort with a bound
//!    leaves the shard's best rows; a limit that many rows; a sort under a limit in each group the rows that may be
//!    among the first of theirs; a full sort all of them.
//!
//! A join closes two: its right input's, which keeps the rows by their keys, and its left input's, whose rows meet
//! them.
//!
//! A scan's own part goes into its [`Fragment`](super::Fragment), which becomes a stage when the stage that reads it
//! closes.

use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::fold;
use super::fragment::{Shape, TimeOrder, refine};
use super::graph::{CoreStage, JoinKeys, OperatorSpec, SinkSpec, Source, Stage, StageGraph, StageId};
use super::leaders::Leaders;
use super::partial::Split;
use crate::expr::Expr;
use crate::plan::join::pairs;
use crate::plan::{JoinKind, JoinOn, Plan, ScanColumn, ScanNode, SeriesStep, SortKey};

/// Cuts a plan.
pub fn cut(plan: &Plan) -> StageGraph {
    let mut cutter = Cutter { stages: Vec::new() };
    let open = cutter.open(plan, &mut Vec::new());
    cutter.close(open, SinkSpec::Gather);
    StageGraph { stages: cutter.stages }
}

struct Cutter {
    /// Those closed so far.
    stages: Vec<Stage>,
}

/// A stage without a sink.
struct Open<'p> {
    sources: Vec<OpenSource<'p>>,
    operators: Vec<OperatorSpec>,
}

enum OpenSource<'p> {
    Scan(OpenScan<'p>),
    Closed(Source),
}

/// A scan and what its shards do to each row.
struct OpenScan<'p> {
    scan: &'p ScanNode,
    filter: Option<Expr>,
    exprs: Vec<Expr>,
    /// Names and types of `exprs`.
    schema: SchemaRef,
}

impl<'p> Open<'p> {
    fn of(source: OpenSource<'p>) -> Self {
        Self { sources: vec![source], operators: Vec::new() }
    }

    /// The scans, if there is nothing else, so that work can move into them.
    fn scans_alone(&self) -> Option<Vec<&OpenScan<'p>>> {
        if !self.operators.is_empty() {
            return None;
        }
        (self.sources.iter().map(|source| if let OpenSource::Scan(scan) = source { Some(scan) } else { None }))
            .collect()
    }

    /// Puts `change` of every scan in its place, if there is nothing but scans and it can be made to all of them.
    fn fold(&mut self, change: impl Fn(&OpenScan<'p>) -> Option<OpenScan<'p>>) -> bool {
        let Some(changed) =
            self.scans_alone().and_then(|scans| scans.into_iter().map(change).collect::<Option<Vec<_>>>())
        else {
            return false;
        };
        self.sources = changed.into_iter().map(OpenSource::Scan).collect();
        true
    }
}

impl<'p> OpenScan<'p> {
    fn new(scan: &'p ScanNode) -> Self {
        Self {
            scan,
            filter: scan.filter.clone(),
            exprs: (0..scan.columns.len()).map(Expr::Column).collect(),
            schema: Arc::clone(&scan.schema),
        }
    }

    fn filtered(&self, predicate: &Expr) -> Option<Self> {
        let folded = fold::substitute(predicate, &self.exprs)?;
        Some(Self {
            scan: self.scan,
            filter: Some(fold::and(self.filter.clone(), folded)),
            exprs: self.exprs.clone(),
            schema: Arc::clone(&self.schema),
        })
    }

    fn projected(&self, exprs: &[Expr], schema: &SchemaRef) -> Option<Self> {
        let exprs = exprs.iter().map(|expr| fold::substitute(expr, &self.exprs)).collect::<Option<_>>()?;
        Some(Self { scan: self.scan, filter: self.filter.clone(), exprs, schema: Arc::clone(schema) })
    }

    /// All rows, or as many as suffice.
    fn rows(&self, limit: Option<usize>) -> Shape {
        Shape::Rows { exprs: self.exprs.clone(), schema: Arc::clone(&self.schema), limit, leaders: None }
    }

    /// The rows that may be among the first of their groups.
    fn leaders(&self, leaders: &Leaders) -> Shape {
        let (exprs, schema) = (self.exprs.clone(), Arc::clone(&self.schema));
        Shape::Rows { exprs, schema, limit: None, leaders: Some(leaders.clone()) }
    }

    /// The best rows.
    fn top(&self, keys: &[SortKey], fetch: usize) -> Shape {
        let by_time = keys.first().and_then(|first| match fold::substitute(&first.expr, &self.exprs) {
            Some(Expr::Column(at)) if self.scan.columns.get(at) == Some(&ScanColumn::Time) => {
                Some(TimeOrder::of(first))
            }
            _ => None,
        });
        let (exprs, schema) = (self.exprs.clone(), Arc::clone(&self.schema));
        Shape::TopRows { exprs, schema, keys: keys.to_vec(), fetch, by_time }
    }
}

impl Cutter {
    /// The open stage that yields the rows of `plan`, above which stand `above`, the nearest last.
    fn open<'p>(&mut self, plan: &'p Plan, above: &mut Vec<&'p Plan>) -> Open<'p> {
        above.push(plan);
        let open = self.opened(plan, above);
        above.pop();
        open
    }

    /// The same; `plan` itself is the last of `path`.
    fn opened<'p>(&mut self, plan: &'p Plan, path: &mut Vec<&'p Plan>) -> Open<'p> {
        match plan {
            Plan::Scan(scan) => Open::of(OpenSource::Scan(OpenScan::new(scan))),
            Plan::External(scan) => {
                let stage = self.add(Stage::Files(Arc::new(scan.clone())));
                Open::of(OpenSource::Closed(Source::Stage(stage)))
            }
            Plan::Values { rows, schema } => {
                let (rows, schema) = (rows.clone(), Arc::clone(schema));
                Open::of(OpenSource::Closed(Source::Values { rows, schema }))
            }
            Plan::Union { inputs, .. } => {
                let mut sources = Vec::with_capacity(inputs.len());
                for input in inputs {
                    let open = self.open(input, path);
                    match open.operators.is_empty() {
                        true => sources.extend(open.sources),
                        false => sources.push(self.closed(open, SinkSpec::Gather)),
                    }
                }
                Open { sources, operators: Vec::new() }
            }
            Plan::Filter { input, predicate } => {
                let mut open = self.open(input, path);
                if !open.fold(|scan| scan.filtered(predicate)) {
                    open.operators.push(OperatorSpec::Filter(predicate.clone()));
                }
                open
            }
            Plan::Project { input, exprs, schema } => {
                let mut open = self.open(input, path);
                if !open.fold(|scan| scan.projected(exprs, schema)) {
                    let (exprs, schema) = (exprs.clone(), Arc::clone(schema));
                    open.operators.push(OperatorSpec::Project { exprs, schema });
                }
                open
            }
            Plan::Limit { input, skip, fetch } => {
                let mut open = self.open(input, path);
                if let Some(fetch) = fetch {
                    let wanted = skip.saturating_add(*fetch);
                    self.close_scans(&mut open, |scan| scan.rows(Some(wanted)));
                }
                open.operators.push(OperatorSpec::Limit { skip: *skip, fetch: *fetch });
                open
            }
            Plan::Sort { input, keys, fetch } => {
                let mut open = self.open(input, path);
                let above = &path[..path.len().saturating_sub(1)];
                if let Some(fetch) = fetch {
                    self.close_scans(&mut open, |scan| scan.top(keys, *fetch));
                } else if let Some(leaders) = Leaders::wanted(keys, input.schema(), above) {
                    self.close_scans(&mut open, |scan| scan.leaders(&leaders));
                    open.operators.push(OperatorSpec::Leaders(leaders));
                }
                let read = read_above(plan, above);
                Open::of(self.closed(open, SinkSpec::Sort { keys: keys.clone(), fetch: *fetch, read }))
            }
            Plan::Join { inputs, kind, on, schema } => self.joined(inputs, *kind, on, schema, path),
            Plan::Repeat { input, schema } => {
                let open = self.open(input, path);
                Open::of(self.closed(open, SinkSpec::Repeat { schema: Arc::clone(schema) }))
            }
            Plan::Window { input, partition, order, calls, schema } => {
                let open = self.open(input, path);
                let (partition, order, calls) = (partition.clone(), order.clone(), calls.clone());
                let schema = Arc::clone(schema);
                Open::of(self.closed(open, SinkSpec::Window { partition, order, calls, schema }))
            }
            Plan::Series { input, step, schema } => {
                let mut open = self.open(input, path);
                match step {
                    SeriesStep::Fill(fill) => return Open::of(self.closed(open, SinkSpec::Fill(fill.clone()))),
                    SeriesStep::Integral(integral) => {
                        let (integral, schema) = (integral.clone(), Arc::clone(schema));
                        return Open::of(self.closed(open, SinkSpec::Integral { integral, schema }));
                    }
                    SeriesStep::Repair(repair) => {
                        let (repair, schema) = (*repair, Arc::clone(schema));
                        return Open::of(self.closed(open, SinkSpec::Repair { repair, schema }));
                    }
                    SeriesStep::Forecast(forecast) => {
                        let (forecast, schema) = (forecast.clone(), Arc::clone(schema));
                        return Open::of(self.closed(open, SinkSpec::Forecast { forecast, schema }));
                    }
                    SeriesStep::Limit(limit) => open.operators.push(OperatorSpec::SeriesLimit(*limit)),
                    SeriesStep::Transform(calls) => {
                        let (calls, schema) = (calls.clone(), Arc::clone(schema));
                        open.operators.push(OperatorSpec::Transform { calls, schema });
                    }
                }
                open
            }
            Plan::Distinct { input } => {
                let schema = input.schema();
                let group: Vec<Expr> = (0..schema.fields().len()).map(Expr::Column).collect();
                let whole = SinkSpec::Distinct { schema: Arc::clone(schema) };
                let open = self.open(input, path);
                self.grouped(open, Split::new(&group, &[], schema), path, whole)
            }
            Plan::Aggregate { input, group, calls, schema } => {
                let whole =
                    SinkSpec::Aggregate { keys: group.clone(), calls: calls.clone(), schema: Arc::clone(schema) };
                let open = self.open(input, path);
                self.grouped(open, Split::new(group, calls, schema), path, whole)
            }
        }
    }

    /// A stage that keeps the right input's rows by their keys, and one that the left input's rows pass to meet them.
    /// The kept side comes behind the other, since stages behind others are worked first: nothing passes, to wait in
    /// the stage above, before all sides are kept.
    fn joined<'p>(
        &mut self,
        [left, right]: &'p [Plan; 2],
        kind: JoinKind,
        on: &JoinOn,
        schema: &SchemaRef,
        path: &mut Vec<&'p Plan>,
    ) -> Open<'p> {
        let side = |plan: &Plan, expr: fn(&(Expr, Expr)) -> &Expr| JoinKeys {
            exprs: on.keys.iter().map(|key| expr(key).clone()).collect(),
            types: on.keys.iter().map(|key| expr(key).data_type(plan.schema())).collect(),
        };
        let (above, own) = path.split_at(path.len().saturating_sub(1));
        let left_columns = left.schema().fields().len();
        let pairs = pairs(left.schema(), right.schema());
        let mut read = own.first().map_or_else(Vec::new, |plan| read_above(plan, above));
        // A mark stands behind the columns of its rows.
        match kind {
            JoinKind::Mark { .. } => read.truncate(left_columns),
            JoinKind::MarkKept => {
                read.pop();
                read.splice(0..0, vec![false; left_columns]);
            }
            _ => {}
        }
        read.resize(pairs.fields().len(), false);
        let mut of_build = read[left_columns..].to_vec();
        let mut of_filter = |at: usize| {
            if let Some(of_right) = at.checked_sub(left_columns) {
                of_build[of_right] = true;
            }
        };
        on.filter.iter().for_each(|filter| filter.for_each_column(&mut of_filter));
        let mut open = self.open(left, path);
        if !open.operators.is_empty() {
            // An operator that has enough would end the other side too.
            open = Open::of(self.closed(open, SinkSpec::Gather));
        }
        let kept = self.open(right, path);
        let build = self.close(kept, SinkSpec::Build { keys: side(right, |key| &key.1), read: of_build });
        open.sources.push(OpenSource::Closed(Source::Stage(build)));
        let join = SinkSpec::Join {
            kind,
            build,
            keys: side(left, |key| &key.0),
            filter: on.filter.clone(),
            pairs,
            read,
            left_columns,
            schema: Arc::clone(schema),
        };
        Open::of(self.closed(open, join))
    }

    /// Groups the rows of `open`: over scans alone as `split` says, else all at once by `whole`. The operator that does
    /// so is the last of `path`.
    fn grouped<'p>(&mut self, mut open: Open<'p>, split: Split, path: &[&Plan], whole: SinkSpec) -> Open<'p> {
        let above = &path[..path.len().saturating_sub(1)];
        let shapes: Option<Vec<Shape>> = open
            .scans_alone()
            .and_then(|scans| scans.into_iter().map(|scan| split.shape(scan.scan, &scan.exprs, above)).collect());
        let Some(shapes) = shapes else { return Open::of(self.closed(open, whole)) };
        let mut shapes = shapes.into_iter();
        // There is one for each scan.
        self.close_scans(&mut open, |scan| shapes.next().unwrap_or_else(|| scan.rows(None)));
        Open::of(self.closed(open, split.merge()))
    }

    /// Makes a stage of each scan that nothing else stands above.
    fn close_scans(&mut self, open: &mut Open<'_>, mut shape: impl FnMut(&OpenScan<'_>) -> Shape) {
        if !open.operators.is_empty() {
            return;
        }
        for source in &mut open.sources {
            if let OpenSource::Scan(scan) = source {
                let fragment = refine(scan.scan, scan.filter.take(), shape(scan));
                *source = OpenSource::Closed(Source::Stage(self.add(Stage::Shards(Arc::new(fragment)))));
            }
        }
    }

    /// Closes a stage; its rows as a source of the next.
    fn closed<'p>(&mut self, open: Open<'p>, sink: SinkSpec) -> OpenSource<'p> {
        OpenSource::Closed(Source::Stage(self.close(open, sink)))
    }

    fn close(&mut self, open: Open<'_>, sink: SinkSpec) -> StageId {
        let Open { sources, operators } = open;
        let sources: Vec<Source> = sources
            .into_iter()
            .map(|source| match source {
                OpenSource::Closed(source) => source,
                OpenSource::Scan(mut scan) => {
                    let fragment = refine(scan.scan, scan.filter.take(), scan.rows(None));
                    Source::Stage(self.add(Stage::Shards(Arc::new(fragment))))
                }
            })
            .collect();
        // Rows of one stage that only pass through need no further one.
        if let ([Source::Stage(only)], [], SinkSpec::Gather) = (sources.as_slice(), operators.as_slice(), &sink) {
            return *only;
        }
        self.add(Stage::Core(CoreStage { sources, operators, sink }))
    }

    fn add(&mut self, stage: Stage) -> StageId {
        self.stages.push(stage);
        StageId::at(self.stages.len() - 1)
    }
}

/// Which of the columns of `plan` are read by what stands `above` it, the nearest last.
fn read_above(plan: &Plan, above: &[&Plan]) -> Vec<bool> {
    let columns = plan.schema().fields().len();
    let mut read = vec![false; columns];
    // Where its columns begin among those of the plan that is looked at.
    let (mut below, mut first) = (plan, 0);
    for plan in above.iter().rev() {
        let mut mark = |expr: &Expr, first: usize| {
            expr.for_each_column(&mut |at| {
                if let Some(column) = at.checked_sub(first).and_then(|at| read.get_mut(at)) {
                    *column = true;
                }
            });
        };
        match plan {
            Plan::Project { exprs, .. } => {
                exprs.iter().for_each(|expr| mark(expr, first));
                return read;
            }
            Plan::Aggregate { group, calls, .. } => {
                let args = calls.iter().flat_map(|call| &call.args);
                group.iter().chain(args).for_each(|expr| mark(expr, first));
                return read;
            }
            Plan::Filter { predicate, .. } => mark(predicate, first),
            Plan::Sort { keys, .. } => keys.iter().for_each(|key| mark(&key.expr, first)),
            Plan::Limit { .. } => {}
            Plan::Series { step: SeriesStep::Limit(limit), .. } => {
                (0..limit.keys).for_each(|key| mark(&Expr::Column(key), first));
            }
            Plan::Join { inputs, kind, on, .. } => {
                let is_right = std::ptr::eq(&inputs[1], below);
                on.keys.iter().for_each(|key| mark(if is_right { &key.1 } else { &key.0 }, first));
                let before = if is_right { inputs[0].schema().fields().len() } else { 0 };
                on.filter.iter().for_each(|filter| mark(filter, first + before));
                match (kind, is_right) {
                    (JoinKind::Mark { .. }, true) | (JoinKind::MarkKept, false) => return read,
                    (JoinKind::MarkKept, true) => {}
                    _ => first += before,
                }
            }
            _ => break,
        }
        below = plan;
    }
    vec![true; columns]
}
