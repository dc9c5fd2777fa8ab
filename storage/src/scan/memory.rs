//! Sorted rows of a memtable as a source: of an order the runs that are asked for, whose columns are gathered a group
//! at a time when the walk comes to them.
//!
//! So a scan holds no copy of what it has not come to. It needs the memtable as long as that is so; where that has to
//! go before, the shard gathers all that is left ([`Waiting::step`]), in the scan's stead and on its account.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use super::ScanRequest;
use super::ends::Ends;
use crate::chunk::ScanChunk;
use crate::error::Result;
use crate::memtable::{Copier, Order, TableRows};
use crate::run::Run;
use crate::schema::{ColumnId, FieldType, TableId};
use crate::segment::layout::GROUP_ROWS_MAX;
use crate::work;

/// From this size on a group is closed rather than have the next series cut in two.
const GROUP_ROWS_FULL: usize = GROUP_ROWS_MAX / 2;

/// Runs whose ends are looked at in one step.
const STEP_RUNS: usize = 1 << 12;

/// What a source reads its rows by. They are lent for the length of a closure: appends may go on after it.
pub(crate) trait ReadRows {
    /// Lends the rows; an error where they are not kept any more.
    fn read(&self, look: &mut dyn FnMut(&TableRows) -> Result<()>) -> Result<()>;
}

/// Rows of an order that a scan wants, in one partition.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) order: Rc<Order>,
    /// Parts of the order's runs.
    pub(crate) runs: Vec<Run>,
    /// Times that all of them lie between.
    pub(crate) times: (i64, i64),
    /// Bytes that they take when all their columns are copied, and the order where the scan alone has it.
    pub(crate) bytes: u64,
}

/// See the module.
pub struct MemoryRows {
    waiting: Rc<RefCell<Waiting>>,
    reader: Rc<dyn ReadRows>,
    times: (i64, i64),
    bytes: u64,
}

/// What a source has not given out yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    table: TableId,
    columns: Vec<(ColumnId, FieldType)>,
    order: Rc<Order>,
    /// Of the order, those that are asked for; of length 0 where they turned out to be of no use.
    runs: Vec<Run>,
    /// The run in hand, and rows of it that are in groups.
    at: (usize, u32),
    /// The group in work.
    copier: Option<Copier>,
    /// Groups that are gathered.
    copied: VecDeque<ScanChunk>,
}

/// Lends nothing: all is gathered.
pub(crate) struct NoReader;

impl ReadRows for NoReader {
    fn read(&self, _: &mut dyn FnMut(&TableRows) -> Result<()>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl From<ScanChunk> for MemoryRows {
    fn from(chunk: ScanChunk) -> Self {
        let columns: usize = chunk.columns.iter().map(|column| column.get_buffer_memory_size()).sum();
        let bytes = (columns + chunk.time.len() * 8 + chunk.runs.len() * size_of::<Run>()) as u64;
        let times = chunk.time.iter().fold((i64::MAX, i64::MIN), |all, time| (all.0.min(*time), all.1.max(*time)));
        let waiting = Waiting {
            table: TableId(0),
            columns: Vec::new(),
            order: Rc::default(),
            runs: Vec::new(),
            at: (0, 0),
            copier: None,
            copied: VecDeque::from([chunk]),
        };
        Self { waiting: Rc::new(RefCell::new(waiting)), reader: Rc::new(NoReader), times, bytes }
    }
}

impl MemoryRows {
    /// What `request` wants, whose rows `reader` lends.
    pub(crate) fn new(request: &ScanRequest, selected: Selected, reader: Rc<dyn ReadRows>) -> Self {
        let Selected { order, runs, times, bytes } = selected;
        let waiting = Waiting {
            table: request.table,
            columns: request.columns.clone(),
            order,
            runs,
            at: (0, 0),
            copier: None,
            copied: VecDeque::new(),
        };
        Self { waiting: Rc::new(RefCell::new(waiting)), reader, times, bytes }
    }

    /// What is to be gathered before the rows may go.
    pub(crate) fn waiting(&self) -> &Rc<RefCell<Waiting>> {
        &self.waiting
    }

    /// Bytes that all of it may take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.is_gathered() && waiting.copied.is_empty()
    }

    /// Works a while on the next group. `Some` where there is one, or no more.
    pub(super) fn next(&self) -> Result<Option<Option<ScanChunk>>> {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(chunk) = waiting.copied.pop_front() {
            return Ok(Some(Some(chunk)));
        }
        if waiting.is_gathered() {
            return Ok(Some(None));
        }
        self.reader.read(&mut |rows| waiting.step(rows))?;
        Ok(None)
    }

    /// Times that all rows lie between.
    pub(super) fn time_bounds(&self) -> (i64, i64) {
        self.times
    }

    /// Leaves of runs from number `from` on the row at the wanted end, where it has a value in every column, and
    /// nothing of those that `ends` shows to be of no use. With `learn` it learns those ends. Gives the run to go on
    /// from; `None` when all were looked at. To be called before the first group is taken.
    pub(super) fn keep_ends(&self, ends: &mut Ends, from: usize, learn: bool) -> Result<Option<usize>> {
        let mut waiting = self.waiting.borrow_mut();
        // Once groups are gathered, by the shard too, runs stay as they are.
        let is_begun = waiting.at != (0, 0) || waiting.copier.is_some() || !waiting.copied.is_empty();
        if is_begun || from >= waiting.runs.len() {
            return Ok(None);
        }
        let to = waiting.runs.len().min(from + STEP_RUNS);
        self.reader.read(&mut |rows| {
            waiting.keep_ends(rows, ends, from..to, learn);
            Ok(())
        })?;
        Ok(Some(to))
    }

    /// Looks at groups that are gathered.
    pub(super) fn for_each_gathered(&self, look: &mut dyn FnMut(&ScanChunk)) {
        self.waiting.borrow().copied.iter().for_each(look);
    }
}

impl Waiting {
    pub(crate) fn table(&self) -> TableId {
        self.table
    }

    /// Whether the rows of the memtable are needed no more.
    pub(crate) fn is_gathered(&self) -> bool {
        self.copier.is_none() && self.at.0 == self.runs.len()
    }

    /// Gathers some more of the next group.
    pub(crate) fn step(&mut self, rows: &TableRows) -> Result<()> {
        let Some(mut copier) = self.copier.take().or_else(|| self.next_group().map(Copier::new)) else { return Ok(()) };
        match copier.step(rows, &self.columns) {
            Ok(true) => self.copied.push_back(copier.finish()),
            // After an error it is still to be done, and the next step meets the same.
            Ok(false) => self.copier = Some(copier),
            Err(error) => {
                self.copier = Some(copier);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The order of the next group's rows.
    fn next_group(&mut self) -> Option<Order> {
        let mut group = Order::default();
        let rows = |group: &Order| group.rows.len();
        while let Some(run) = self.runs.get(self.at.0) {
            let (left, room) = ((run.len - self.at.1) as usize, GROUP_ROWS_MAX - rows(&group));
            if left == 0 {
                self.at.0 += 1;
                continue;
            }
            if left > room && rows(&group) >= GROUP_ROWS_FULL || room == 0 {
                break;
            }
            let start = (run.start + self.at.1) as usize;
            let taken = left.min(room);
            group.push_range(&self.order, run.series, start..start + taken);
            self.at = if taken == left { (self.at.0 + 1, 0) } else { (self.at.0, self.at.1 + taken as u32) };
        }
        work::charge_each(rows(&group), work::LOOK);
        (rows(&group) > 0).then_some(group)
    }

    fn keep_ends(&mut self, rows: &TableRows, ends: &mut Ends, runs: Range<usize>, learn: bool) {
        let Self { order, columns, runs: all, .. } = self;
        work::charge_each(runs.len(), work::LOOK);
        for run in &mut all[runs] {
            let (first, last) = order.ends_of(*run);
            if ends.are_past(run.series.0..=run.series.0, first, last) {
                run.len = 0;
                continue;
            }
            let at = if ends.towards_first() { run.start } else { run.start + run.len - 1 };
            if rows.has_all(columns, order.rows[at as usize], order.older_at(at as usize)) {
                *run = Run { start: at, len: 1, ..*run };
                if learn {
                    ends.learn(run.series.0, order.time[at as usize]);
                }
            }
        }
    }
}
