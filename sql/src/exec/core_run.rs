//! The stages of the core that asks, at work: takes in what shards send, in any order, and gives the answer.
//!
//! ```text
//! push ─► input ─► operators ─► sink ─┬─► input of the stage that reads this one
//!                                     └─► the answer
//! ```
//!
//! One [`CoreRun::step`] is a batch through the operators of one stage, or a step of one sink: 100 µs to 1 ms, so that
//! the caller can let others have the core in between. Later stages go first: rows leave as early as they can,
//! and little waits between stages. A stage that has enough (LIMIT) ends at once, and so do all that only it reads.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::aggregate::Aggregate;
use super::batch::{OneForm, rows_at_once, slices};
use super::constants::constant_batch;
use super::context::QueryContext;
use super::join::{Build, BuildSide, HashJoin, JoinPlan};
use super::operator::{Filter, Leaders, Limit, Operator, Project, SeriesRows, Transform};
use super::sink::{FillWindows, Forecasts, Integrals, Left, Repairs, Repeat, Sink, Sort};
use super::window::Windows;
use crate::error::execution::{ExecError, Result};
use crate::expr::Expr;
use crate::expr::extent::Work;
use crate::stage::{CoreStage, OperatorSpec, SinkSpec, Source, Stage, StageGraph, StageId};

/// What one [`CoreRun::step`] came to.
#[derive(Debug)]
pub enum Progress {
    /// Rows of the answer, at least one. All of them have columns of the same types.
    Rows(RecordBatch),
    /// There is more to do: call again, and let others run before.
    Working,
    /// All that was pushed is worked off.
    Waiting,
    /// The answer is complete: shards that still run may stop.
    Done,
}

/// Runs the stages of the core that asks.
pub struct CoreRun {
    stages: Vec<CoreState>,
    /// Rows of the answer that have not been taken.
    answer: VecDeque<RecordBatch>,
    form: OneForm,
    context: QueryContext,
}

/// One stage. Of a stage that runs on the shards only the end shows here.
struct CoreState {
    /// Constant rows among the sources.
    constants: Vec<Source>,
    /// The stages it reads.
    reads: Vec<StageId>,
    /// The stage that reads this one; `None` for the answer.
    reader: Option<StageId>,
    /// Runs on the shards.
    is_of_shards: bool,
    /// Sources that may yield more.
    open_sources: usize,
    input: VecDeque<RecordBatch>,
    /// Rows of a batch that operators see, by the size of what they evaluate.
    rows_at_once: usize,
    /// Parts of a batch that some operators have seen, with the number of those; the next last.
    parts: Vec<(usize, RecordBatch)>,
    operators: Vec<Box<dyn Operator>>,
    /// `None` where rows only pass.
    sink: Option<Box<dyn Sink>>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Takes rows.
    Taking,
    /// The sink has work to do, and takes rows again after it.
    Busy,
    /// The sink works at its last rows.
    Ending,
    /// Nothing more comes out.
    Over,
}

impl CoreRun {
    /// Makes the operators and sinks of the stages.
    pub fn new(graph: &StageGraph, context: QueryContext) -> Result<Self> {
        let mut stages = Vec::with_capacity(graph.stages().len());
        // The sides of joins that are kept, by the stage that keeps them.
        let mut kept = HashMap::new();
        for stage in graph.stages() {
            stages.push(match stage {
                // Of all shards together: they end with `end`.
                Stage::Shards(_) => CoreState { is_of_shards: true, ..CoreState::new(Vec::new(), None, 1) },
                // What is read of files is pushed too.
                Stage::Files(_) => CoreState::new(Vec::new(), None, 1),
                Stage::Core(CoreStage { sources, operators, sink }) => {
                    let work = operators.iter().map(work).fold(work_of_sink(sink), Work::and);
                    let operators = operators.iter().map(|spec| operator(spec, &context)).collect();
                    let mut state =
                        CoreState::new(operators, sink_of(sink, stages.len(), &mut kept, &context)?, sources.len());
                    state.rows_at_once = rows_at_once(work);
                    for source in sources {
                        match source {
                            Source::Stage(stage) => state.reads.push(*stage),
                            Source::Values { .. } => state.constants.push(source.clone()),
                        }
                    }
                    state
                }
            });
        }
        for at in 0..stages.len() {
            for read in stages[at].reads.clone() {
                stages[read.index()].reader = Some(StageId::at(at));
            }
        }
        Ok(Self { stages, answer: VecDeque::new(), form: OneForm::default(), context })
    }

    /// Takes in a batch that a shard sent from one of its stages, or that was read of files. To be followed by steps.
    pub fn push(&mut self, stage: StageId, batch: RecordBatch) {
        let Self { stages, answer, .. } = self;
        if let Some(from) = stages.get(stage.index())
            && from.phase != Phase::Over
        {
            let to = from.reader.map(|reader| &mut stages[reader.index()].input);
            to.unwrap_or(answer).extend(slices(batch));
        }
    }

    /// Says that the shards send no more.
    pub fn end(&mut self) {
        for state in &mut self.stages {
            if state.is_of_shards {
                state.open_sources = 0;
            }
        }
    }

    /// Says that nothing more comes of a stage that reads files.
    pub fn end_of(&mut self, stage: StageId) {
        if let Some(state) = self.stages.get_mut(stage.index()) {
            state.open_sources = 0;
        }
    }

    /// Whether rows of a stage are still wanted.
    pub fn wants(&self, stage: StageId) -> bool {
        self.stages.get(stage.index()).is_some_and(|state| state.phase != Phase::Over)
    }

    /// Works a while.
    pub fn step(&mut self) -> Result<Progress> {
        if let Some(rows) = self.answer.pop_front() {
            return self.form.of(rows).map(Progress::Rows);
        }
        let Some(last) = self.stages.len().checked_sub(1) else { return Ok(Progress::Done) };
        if self.stages[last].phase == Phase::Over {
            return Ok(Progress::Done);
        }
        self.context.check()?;
        for at in (0..self.stages.len()).rev() {
            let mut out = Vec::new();
            if !self.stages[at].work(&mut out)? {
                continue;
            }
            let reader = self.stages[at].reader;
            let to = reader.map(|reader| &mut self.stages[reader.index()].input);
            to.unwrap_or(&mut self.answer).extend(out.into_iter().filter(|batch| batch.num_rows() > 0));
            match self.stages[at].phase {
                Phase::Over => self.closed(at),
                // A stage that has enough reads no more.
                Phase::Ending => self.stages[at].reads.clone().into_iter().for_each(|read| self.stop(read)),
                Phase::Taking | Phase::Busy => {}
            }
            return Ok(Progress::Working);
        }
        Ok(Progress::Waiting)
    }

    /// A stage is over: its reader has one source less.
    fn closed(&mut self, at: usize) {
        for read in self.stages[at].reads.clone() {
            self.stop(read);
        }
        if let Some(reader) = self.stages[at].reader {
            let reader = &mut self.stages[reader.index()];
            reader.open_sources = reader.open_sources.saturating_sub(1);
        }
    }

    /// Ends a stage whose rows nobody wants any more, and those that it reads.
    fn stop(&mut self, stage: StageId) {
        let state = &mut self.stages[stage.index()];
        if state.phase == Phase::Over {
            return;
        }
        let reads = std::mem::take(&mut state.reads);
        *state = CoreState { reader: state.reader, phase: Phase::Over, ..CoreState::new(Vec::new(), None, 0) };
        for read in reads {
            self.stop(read);
        }
    }
}

impl CoreState {
    fn new(operators: Vec<Box<dyn Operator>>, sink: Option<Box<dyn Sink>>, open_sources: usize) -> Self {
        Self {
            constants: Vec::new(),
            reads: Vec::new(),
            reader: None,
            is_of_shards: false,
            open_sources,
            input: VecDeque::new(),
            rows_at_once: usize::MAX,
            parts: Vec::new(),
            operators,
            sink,
            phase: Phase::Taking,
        }
    }

    /// Does one thing, if there is one to do.
    fn work(&mut self, out: &mut Vec<RecordBatch>) -> Result<bool> {
        match (self.phase, &mut self.sink) {
            (Phase::Over, _) => return Ok(false),
            (Phase::Busy | Phase::Ending, Some(sink)) => {
                if sink.step(out)? == Left::Nothing {
                    self.phase = if self.phase == Phase::Busy { Phase::Taking } else { Phase::Over };
                }
                return Ok(true);
            }
            _ => {}
        }
        let next = self.parts.pop().or_else(|| Some((0, self.next_input()?)));
        if let Some((seen, batch)) = next {
            self.take(seen, batch, out)?;
            return Ok(true);
        }
        if let Some(Source::Values { rows, schema }) = self.constants.pop() {
            self.open_sources -= 1;
            self.input.extend(slices(constant_batch(&rows, schema)?));
            return Ok(true);
        }
        if self.open_sources > 0 {
            return Ok(false);
        }
        self.end()?;
        Ok(true)
    }

    /// The next batch, or as much of it as operators see at once.
    fn next_input(&mut self) -> Option<RecordBatch> {
        let batch = self.input.pop_front()?;
        let of_sink = self.sink.as_ref().map_or(usize::MAX, |sink| sink.rows_at_once());
        let (rows, most) = (batch.num_rows(), self.rows_at_once.min(of_sink));
        if rows <= most {
            return Some(batch);
        }
        self.input.push_front(batch.slice(most, rows - most));
        Some(batch.slice(0, most))
    }

    /// A batch through the operators that have not `seen` it into the sink. Where one of them would make too much of it
    /// at once, its halves follow.
    fn take(&mut self, seen: usize, batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut rows = Some(batch);
        let mut has_enough = false;
        for (at, operator) in self.operators.iter_mut().enumerate().skip(seen) {
            let Some(batch) = rows else { break };
            let count = batch.num_rows();
            rows = match operator.push(batch.clone()) {
                Err(ExecError::TextTooLong { .. }) if count > 1 => {
                    self.parts.push((at, batch.slice(count / 2, count - count / 2)));
                    self.parts.push((at, batch.slice(0, count / 2)));
                    None
                }
                pushed => pushed?,
            };
            has_enough |= operator.has_enough();
        }
        match (rows, &mut self.sink) {
            (Some(batch), Some(sink)) => {
                sink.push(batch)?;
                self.phase = Phase::Busy;
            }
            (Some(batch), None) => out.push(batch),
            (None, _) => {}
        }
        if has_enough {
            self.input.clear();
            self.parts.clear();
            self.constants.clear();
            self.open_sources = 0;
            self.end()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.phase = match &mut self.sink {
            Some(sink) => {
                sink.end()?;
                Phase::Ending
            }
            None => Phase::Over,
        };
        Ok(())
    }
}

/// Nodes of what an operator evaluates.
fn work(spec: &OperatorSpec) -> Work {
    match spec {
        OperatorSpec::Filter(predicate) => Work::of_all([predicate]),
        OperatorSpec::Project { exprs, .. } => Work::of_all(exprs),
        _ => Work::default(),
    }
}

/// What the rows that come in cost a sink; the filter of a join sees others, and bounds them itself.
fn work_of_sink(sink: &SinkSpec) -> Work {
    match sink {
        SinkSpec::Aggregate { keys, calls, .. } => {
            Work::of_all(keys.iter().chain(calls.iter().flat_map(|call| &call.args)))
        }
        SinkSpec::Build { keys, .. } | SinkSpec::Join { keys, .. } => Work::of_all(&keys.exprs),
        SinkSpec::Sort { keys, .. } => Work::of_all(keys.iter().map(|key| &key.expr)),
        SinkSpec::Window { partition, order, .. } => {
            Work::of_all(partition.iter().chain(order.iter().map(|key| &key.expr)))
        }
        _ => Work::default(),
    }
}

fn operator(spec: &OperatorSpec, context: &QueryContext) -> Box<dyn Operator> {
    match spec {
        OperatorSpec::Filter(predicate) => Box::new(Filter::new(predicate.clone(), context)),
        OperatorSpec::Project { exprs, schema } => Box::new(Project::new(exprs.clone(), Arc::clone(schema), context)),
        OperatorSpec::Limit { skip, fetch } => Box::new(Limit::new(*skip, *fetch)),
        OperatorSpec::SeriesLimit(limit) => Box::new(SeriesRows::new(*limit)),
        OperatorSpec::Leaders(leaders) => Box::new(Leaders::new(leaders.clone(), context)),
        OperatorSpec::Transform { calls, schema } => Box::new(Transform::new(calls, Arc::clone(schema))),
    }
}

/// The sink of the stage at place `at`.
fn sink_of(
    spec: &SinkSpec,
    at: usize,
    kept: &mut HashMap<usize, Rc<RefCell<BuildSide>>>,
    context: &QueryContext,
) -> Result<Option<Box<dyn Sink>>> {
    Ok(Some(match spec {
        SinkSpec::Gather => return Ok(None),
        SinkSpec::Merge { keys, calls, distinct_columns, states, schema } => {
            Box::new(Aggregate::merge(*keys, calls, distinct_columns, *states, Arc::clone(schema), context)?)
        }
        SinkSpec::Aggregate { keys, calls, schema } => {
            Box::new(Aggregate::whole(keys.clone(), calls, Arc::clone(schema), context)?)
        }
        SinkSpec::Distinct { schema } => {
            let keys = (0..schema.fields().len()).map(Expr::Column).collect();
            Box::new(Aggregate::whole(keys, &[], Arc::clone(schema), context)?)
        }
        SinkSpec::Integral { integral, schema } => Box::new(Integrals::new(integral.clone(), Arc::clone(schema))),
        SinkSpec::Repair { repair, schema } => Box::new(Repairs::new(*repair, Arc::clone(schema), context)),
        SinkSpec::Forecast { forecast, schema } => {
            Box::new(Forecasts::new(forecast.clone(), Arc::clone(schema), context))
        }
        SinkSpec::Build { keys, read } => {
            let side = BuildSide::new(keys, context)?;
            kept.insert(at, Rc::clone(&side));
            Box::new(Build::new(keys, read, side, context))
        }
        SinkSpec::Join { kind, build, keys, filter, pairs, read, left_columns, schema } => {
            let side = kept.remove(&build.index());
            let side = side.ok_or_else(|| ExecError::Internal("a join of rows that no stage keeps".to_owned()))?;
            let (kind, filter, left_columns) = (*kind, filter.as_ref(), *left_columns);
            Box::new(HashJoin::new(&JoinPlan { kind, keys, filter, pairs, read, left_columns, schema }, side, context))
        }
        SinkSpec::Window { partition, order, calls, schema } => {
            let (partition, order, calls) = (partition.clone(), order.clone(), calls.clone());
            Box::new(Windows::new(partition, order, calls, Arc::clone(schema), context))
        }
        SinkSpec::Repeat { schema } => Box::new(Repeat::new(Arc::clone(schema), context)),
        SinkSpec::Fill(fill) => Box::new(FillWindows::new(fill.clone(), context)),
        SinkSpec::Sort { keys, fetch, read } => {
            Box::new(Sort::new(keys.clone(), *fetch, context).with_columns(read.clone()))
        }
    }))
}
