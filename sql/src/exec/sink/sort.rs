//! ORDER BY, whole or only the first rows of it, in steps.
//!
//! 1. A batch that comes in is held as it is; of each row an [`Entry`] with the head of its keys is put in order with
//!    the others of the batch. Neighbouring runs of about one length are merged until a run has [`RUN_ROWS_MAX`] rows.
//! 2. At the end the runs are merged, [`STEP_ENTRIES`] rows a step, and the rows leave in that order, the columns of a
//!    batch gathered [`STEP_CELLS`] values a step.
//!
//! With a bound on the rows wanted, a run keeps no more entries than that, and rows that come after the last of these
//! are dropped when they come in. Whenever four times as many rows (and at least a batch) are held, step 2 puts the
//! best aside and the rest is forgotten: a top-N holds O(N) rows.

use std::cmp::Ordering;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::DataType;
use arrow_select::take::take_record_batch;

use super::entry::{BATCHES_MAX, Entry};
use super::finishing::{Left, Sink};
use super::held::HeldRows;
use super::key::{KeyEncoder, Ties};
use super::merge::{Merge, merge_two};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{OUTPUT_ROWS, batch_bytes};
use crate::exec::context::{QueryContext, Reservation};
use crate::plan::SortKey;

/// Longest run that a push makes by merging, one comparison an entry.
const RUN_ROWS_MAX: usize = 32_768;

/// Entries that a step takes from the merge: with a hundred runs seven comparisons each, meant to take less than 1 ms.
const STEP_ENTRIES: usize = 8_192;

/// Values that a step gathers: meant to take less than 1 ms even when none of them is in the cache.
const STEP_CELLS: usize = 16_384;

/// Rows of a batch that leaves are fewer where they are wide, so that gathering a column stays a short step.
const OUTPUT_BYTES: usize = 8 << 20;

/// Sorts its input.
pub(crate) struct Sort {
    keys: KeyEncoder,
    fetch: Option<usize>,
    /// Columns that are read of the rows in order; all, where none is named.
    read: Vec<bool>,
    held: Held,
    /// The last of `fetch` rows in order that are known: what does not come before it is not wanted.
    worst: Option<Entry>,
    leaving: Option<Leave>,
    has_ended: bool,
    memory: Reservation,
}

/// Rows, and their order as far as it is known.
#[derive(Default)]
struct Held {
    rows: HeldRows,
    /// By batch: what decides between rows of one head.
    ties: Vec<Option<Ties>>,
    /// Each in order.
    runs: Vec<Vec<Entry>>,
    bytes: usize,
}

/// Rows on their way out.
struct Leave {
    merge: Merge,
    /// Rows still to come out of the merge.
    left: usize,
    /// Rows of the batch in work.
    chunk: Vec<Entry>,
    chunk_rows: usize,
    /// Columns of it that are gathered.
    columns: Vec<ArrayRef>,
    /// Where the rows go, if they stay in the sort.
    aside: Option<Held>,
}

impl Held {
    fn order(&self, keys: &KeyEncoder, a: &Entry, b: &Entry) -> Ordering {
        a.order(b, |a, b| match (&self.ties[a.batch()], &self.ties[b.batch()]) {
            (Some(ties), Some(other)) => keys.tie_order(ties, a.row(), other, b.row()),
            _ => Ordering::Equal,
        })
    }

    /// What each row takes, in the mean.
    fn row_bytes(&self) -> usize {
        self.bytes.div_ceil(self.rows.rows().max(1)).max(1)
    }
}

/// An entry with the beginning of what decides where heads tie.
type Tied = (Entry, u128);

/// Puts the entries of one batch in order. The first key may have few values (a bucket of time, before a host), so that
/// most comparisons end at ties, whose beginning lies beside the entry.
fn sort_tied(run: &mut [Entry], keys: &KeyEncoder, ties: &Ties) {
    let mut tied: Vec<Tied> = run.iter().map(|entry| (*entry, keys.tie_prefix(ties, entry.row()))).collect();
    tied.sort_unstable_by(|(a, a_prefix), (b, b_prefix)| {
        a.order(b, |a, b| a_prefix.cmp(b_prefix).then_with(|| keys.tie_order(ties, a.row(), ties, b.row())))
    });
    for (entry, (sorted, _)) in run.iter_mut().zip(tied) {
        *entry = sorted;
    }
}

impl Sort {
    /// Sorts by `keys` over the input's columns; with `fetch`, only that many first rows are wanted.
    pub(crate) fn new(keys: Vec<SortKey>, fetch: Option<usize>, context: &QueryContext) -> Self {
        Self {
            keys: KeyEncoder::new(keys),
            fetch,
            read: Vec::new(),
            held: Held::default(),
            worst: None,
            leaving: None,
            has_ended: false,
            memory: context.reservation(),
        }
    }

    /// The same, with nulls in the columns that are not `read`.
    pub(crate) fn with_columns(self, read: Vec<bool>) -> Self {
        Self { read, ..self }
    }

    /// The rows of a batch that may be wanted, by their heads.
    fn wanted(&self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let Some(worst) = self.worst else { return Ok(Some(batch)) };
        let heads = self.keys.heads(&batch)?;
        let kept: Vec<u32> = (0..).zip(&heads).filter(|(_, head)| **head <= worst.head()).map(|(row, _)| row).collect();
        Ok(match kept.len() {
            0 => None,
            count if count == batch.num_rows() => Some(batch),
            _ => Some(take_record_batch(&batch, &UInt32Array::from(kept))?),
        })
    }

    /// Takes a batch in, and its rows in order as a run.
    fn hold(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        let number = self.held.rows.batches();
        if number >= BATCHES_MAX {
            return Err(ExecError::Execution(format!("a sort of more than {BATCHES_MAX} batches")));
        }
        let plain = batch_bytes(batch) + rows * size_of::<Entry>();
        let known = self.held.bytes + self.keys.size();
        self.memory.resize(known + plain + rows * size_of::<Tied>() + self.keys.bytes_max(batch)?)?;
        let ties = self.keys.ties(batch)?;
        self.held.bytes += plain + ties.as_ref().map_or(0, Ties::size);
        self.memory.resize(self.held.bytes + self.keys.size())?;
        let heads = self.keys.heads(batch)?;
        let mut run: Vec<Entry> = (0..).zip(heads).map(|(row, head)| Entry::new(head, number as u32, row)).collect();
        self.held.ties.push(ties);
        self.held.rows.push(batch)?;
        let (held, keys) = (&self.held, &self.keys);
        if let Some(fetch) = self.fetch.filter(|fetch| (1..run.len()).contains(fetch)) {
            run.select_nth_unstable_by(fetch - 1, |a, b| held.order(keys, a, b));
            run.truncate(fetch);
        }
        match &held.ties[number] {
            Some(ties) => sort_tied(&mut run, keys, ties),
            None => run.sort_unstable_by(|a, b| held.order(keys, a, b)),
        }
        self.add_run(run);
        Ok(())
    }

    /// Adds a run, merged with those before it that are about as long.
    fn add_run(&mut self, mut run: Vec<Entry>) {
        let mut runs = std::mem::take(&mut self.held.runs);
        let (held, keys) = (&self.held, &self.keys);
        let is_near =
            |last: &Vec<Entry>, run: &Vec<Entry>| last.len() <= 2 * run.len() && last.len() + run.len() <= RUN_ROWS_MAX;
        while let Some(last) = runs.pop_if(|last| is_near(last, &run)) {
            run = merge_two(&last, &run, |a, b| held.order(keys, a, b));
            run.truncate(self.fetch.unwrap_or(usize::MAX));
        }
        if let (Some(fetch), Some(last)) = (self.fetch, run.last())
            && run.len() >= fetch
            && self.worst.is_none_or(|worst| held.order(keys, last, &worst) == Ordering::Less)
        {
            self.worst = Some(*last);
        }
        if !run.is_empty() {
            runs.push(run);
        }
        self.held.runs = runs;
    }

    /// Begins to let the rows out in order: for good, or to keep the best of them.
    fn leave(&mut self, aside: Option<Held>) {
        let runs = std::mem::take(&mut self.held.runs);
        let entries: usize = runs.iter().map(Vec::len).sum();
        let (held, keys) = (&self.held, &self.keys);
        let merge = Merge::new(runs, |a, b| held.order(keys, a, b));
        self.leaving = Some(Leave {
            merge,
            left: self.fetch.map_or(entries, |fetch| fetch.min(entries)),
            chunk: Vec::new(),
            chunk_rows: (OUTPUT_BYTES / self.held.row_bytes()).clamp(1, OUTPUT_ROWS),
            columns: Vec::new(),
            aside,
        });
    }

    /// Whether more is held than the rows wanted are worth.
    fn is_full(&self) -> bool {
        self.fetch.is_some_and(|fetch| self.held.rows.rows() > fetch.saturating_mul(4).max(OUTPUT_ROWS))
    }

    /// One step of letting rows out; `false` when they are all out.
    fn step_out(&mut self, leave: &mut Leave, out: &mut Vec<RecordBatch>) -> Result<bool> {
        let wanted = leave.chunk_rows.min(leave.chunk.len() + leave.left) - leave.chunk.len();
        if leave.columns.is_empty() && wanted > 0 {
            let (held, keys) = (&self.held, &self.keys);
            for _ in 0..wanted.min(STEP_ENTRIES) {
                let Some(entry) = leave.merge.next(|a, b| held.order(keys, a, b)) else {
                    leave.left = 0;
                    break;
                };
                leave.chunk.push(entry);
                leave.left = leave.left.saturating_sub(1);
            }
            return Ok(true);
        }
        if leave.chunk.is_empty() {
            return Ok(false);
        }
        let width = self.held.rows.width();
        let at_once = (STEP_CELLS / leave.chunk.len()).max(1);
        for column in leave.columns.len()..width.min(leave.columns.len() + at_once) {
            // What stays is sorted again, by any column.
            let is_read = leave.aside.is_some() || self.read.get(column).is_none_or(|is_read| *is_read);
            leave.columns.push(match is_read {
                true => self.held.rows.gather(column, &leave.chunk)?,
                false => new_null_array(&DataType::Null, leave.chunk.len()),
            });
        }
        if leave.columns.len() == width {
            let rows = std::mem::take(&mut leave.chunk).len();
            let batch = self.held.rows.batch(std::mem::take(&mut leave.columns), rows)?;
            match leave.aside.take() {
                None => out.push(batch),
                Some(aside) => leave.aside = Some(self.put_aside(aside, &batch)?),
            }
        }
        Ok(true)
    }

    /// Adds a batch that is in order, and after all before it, to `aside`.
    fn put_aside(&mut self, mut aside: Held, batch: &RecordBatch) -> Result<Held> {
        let bytes = batch_bytes(batch) + batch.num_rows() * size_of::<Entry>();
        let known = self.held.bytes + aside.bytes + self.keys.size();
        self.memory.resize(known + bytes + self.keys.bytes_max(batch)?)?;
        let ties = self.keys.ties(batch)?;
        aside.bytes += bytes + ties.as_ref().map_or(0, Ties::size);
        let number = aside.rows.batches() as u32;
        let entries = (0..).zip(self.keys.heads(batch)?).map(|(row, head)| Entry::new(head, number, row));
        match aside.runs.last_mut() {
            Some(run) => run.extend(entries),
            None => aside.runs.push(entries.collect()),
        }
        aside.rows.push(batch)?;
        aside.ties.push(ties);
        Ok(aside)
    }
}

impl Sink for Sort {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 || self.fetch == Some(0) {
            return Ok(());
        }
        self.keys.prepare(&batch)?;
        let Some(batch) = self.wanted(batch)? else { return Ok(()) };
        self.hold(&batch)
    }

    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let Some(mut leave) = self.leaving.take() else {
            // At the end nothing need be put aside: what leaves is what is wanted.
            if self.has_ended && self.held.rows.rows() > 0 {
                self.leave(None);
            } else if !self.has_ended && self.is_full() {
                self.leave(Some(Held::default()));
            }
            return Ok(if self.leaving.is_some() { Left::Work } else { Left::Nothing });
        };
        if self.step_out(&mut leave, out)? {
            self.leaving = Some(leave);
            return Ok(Left::Work);
        }
        self.held = leave.aside.unwrap_or_default();
        self.worst = match (self.fetch, self.held.runs.last()) {
            (Some(fetch), Some(run)) if run.len() >= fetch => run.last().copied(),
            _ => None,
        };
        self.memory.resize(self.held.bytes + self.keys.size())?;
        // The end may have come while rows were put aside.
        Ok(if self.has_ended && self.held.rows.rows() > 0 { Left::Work } else { Left::Nothing })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt32Type};
    use arrow_array::{Array, BooleanArray, DictionaryArray, Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::expr::Expr;
    use crate::types::array::cast_to;

    /// A row as it went in: key, its text, and a number of its own.
    type Row = (Option<i64>, Option<String>, i64);

    fn key(column: usize, descending: bool) -> SortKey {
        SortKey { expr: Expr::Column(column), descending, nulls_first: descending }
    }

    /// A batch of rows; the texts as a dictionary now and then, of their own or a shared one.
    fn batch(rows: &[Row], shared: &ArrayRef, form: usize) -> RecordBatch {
        let texts: StringArray = rows.iter().map(|(_, text, _)| text.as_deref()).collect();
        let texts: ArrayRef = match form {
            0 => Arc::new(texts),
            1 => Arc::new(texts.iter().collect::<DictionaryArray<UInt32Type>>()),
            _ => {
                let known = shared.as_string::<i32>();
                let at = |text: &str| (0..known.len() as u32).find(|at| known.value(*at as usize) == text);
                let keys = texts.iter().map(|text| text.and_then(at)).collect();
                Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, Arc::clone(shared)).unwrap())
            }
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|(key, ..)| *key).collect::<Int64Array>()),
            texts,
            Arc::new(rows.iter().map(|(.., own)| Some(*own)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|(.., own)| (own % 3 > 0).then_some(own % 3 == 1)).collect::<BooleanArray>()),
        ];
        let names = ["key", "text", "own", "flag"];
        let fields = names.iter().zip(&columns).map(|(name, c)| Field::new(*name, c.data_type().clone(), true));
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
    }

    fn rows_of(batches: &[RecordBatch]) -> Vec<Row> {
        let mut rows = Vec::new();
        for batch in batches {
            assert!((1..=OUTPUT_ROWS).contains(&batch.num_rows()));
            let texts = cast_to(batch.column(1), &DataType::Utf8).unwrap();
            let (keys, own) =
                (batch.column(0).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                let text = texts.as_string::<i32>();
                let flag = batch.column(3).as_boolean();
                let own = own.value(row);
                assert_eq!(flag.is_valid(row).then(|| flag.value(row)), (own % 3 > 0).then_some(own % 3 == 1));
                let key = keys.is_valid(row).then(|| keys.value(row));
                rows.push((key, text.is_valid(row).then(|| text.value(row).to_owned()), own));
            }
        }
        rows
    }

    /// Pushes batches and gives what leaves, and how many steps that took.
    fn sorted(mut sort: Sort, batches: Vec<RecordBatch>) -> Result<(Vec<RecordBatch>, usize)> {
        let mut out = Vec::new();
        let mut steps = 0;
        let last = batches.len();
        for (at, batch) in batches.into_iter().enumerate() {
            sort.push(batch)?;
            // The end may come while there is work left.
            while at + 1 < last && sort.step(&mut out)? == Left::Work {}
            assert!(out.is_empty(), "rows left before the last came");
        }
        sort.end()?;
        while sort.step(&mut out)? == Left::Work {
            steps += 1;
        }
        assert_eq!(sort.step(&mut out)?, Left::Nothing);
        assert_eq!(sort.memory.bytes(), 0, "what is out is not held");
        Ok((out, steps))
    }

    #[test]
    fn rows_leave_in_order_whatever_their_batches() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let texts = ["", "a", "host_1", "host_10", "host_2", "zz", "longer than a head", "longer than a head is"];
        let shared: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        for round in 0..12 {
            let count = [0, 1, 300, 9_000, 20_000][random.usize(0..5)];
            let rows: Vec<Row> = (0..count)
                .map(|own| {
                    let key = (random.u8(0..9) > 0).then(|| random.i64(-40..40));
                    (key, (random.u8(0..9) > 0).then(|| texts[random.usize(0..texts.len())].to_owned()), own)
                })
                .collect();
            // One form in all batches, or another in each.
            let form = |random: &mut fastrand::Rng| if round % 3 == 0 { 2 } else { random.usize(0..3) };
            let mut batches = Vec::new();
            let mut rest = rows.as_slice();
            while !rest.is_empty() {
                let (next, later) = rest.split_at(random.usize(1..=rest.len().min(5_000)));
                batches.push(batch(next, &shared, form(&mut random)));
                rest = later;
            }
            let descending = [random.bool(), random.bool()];
            let by_text = random.bool();
            // The row's own number last, so that no order is left open.
            let first = if by_text { [1, 0] } else { [0, 1] };
            let keys = vec![key(first[0], descending[0]), key(first[1], descending[1]), key(2, false)];
            let fetch = random.bool().then(|| [0, 1, 10, 2_500, 50_000][random.usize(0..5)]);
            let context = QueryContext::new(1 << 30, None);
            let (found, _) = sorted(Sort::new(keys, fetch, &context), batches).unwrap();
            let mut expected = rows;
            let by = |a: &Option<i64>, b: &Option<i64>, descending: bool| match (a, b) {
                (Some(a), Some(b)) => {
                    if descending {
                        b.cmp(a)
                    } else {
                        a.cmp(b)
                    }
                }
                (None, None) => Ordering::Equal,
                (None, Some(_)) => {
                    if descending {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (Some(_), None) => {
                    if descending {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
            };
            let number = |text: &Option<String>| {
                let mut sorted = texts;
                sorted.sort_unstable();
                text.as_ref().map(|text| sorted.iter().position(|known| known == text).unwrap() as i64)
            };
            expected.sort_by(|a, b| {
                let (a_keys, b_keys) = ([a.0, number(&a.1)], [b.0, number(&b.1)]);
                let at = usize::from(by_text);
                by(&a_keys[at], &b_keys[at], descending[0])
                    .then_with(|| by(&a_keys[1 - at], &b_keys[1 - at], descending[1]))
                    .then_with(|| a.2.cmp(&b.2))
            });
            expected.truncate(fetch.unwrap_or(usize::MAX));
            assert!(rows_of(&found) == expected, "{count} rows, fetch {fetch:?}, TIDEWIRE_SEED={seed}");
            assert_eq!(context.memory_used(), 0);
        }
    }

    #[test]
    fn work_is_done_in_steps_and_memory_is_reserved_before_it_is_taken() {
        let shared: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let rows = 200_000;
        let batches = |count: i64| -> Vec<RecordBatch> {
            let row = |own: i64| (Some(own.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)), None, own);
            (0..count)
                .step_by(8_192)
                .map(|from| (from..count.min(from + 8_192)).map(row).collect::<Vec<Row>>())
                .map(|rows| batch(&rows, &shared, 2))
                .collect()
        };
        let context = QueryContext::new(1 << 30, None);
        let (found, steps) = sorted(Sort::new(vec![key(0, false)], None, &context), batches(rows)).unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), rows as usize);
        // Of each batch at least one step of merging and two of gathering its four columns.
        assert!(steps >= found.len() * 3, "{steps} steps for {} batches", found.len());
        let needed = context.memory_peak();
        assert!(needed >= (rows as u64) * (8 + 4 + 8 + 16), "{needed} bytes for {rows} rows");
        let small = QueryContext::new(needed / 2, None);
        let error = sorted(Sort::new(vec![key(0, false)], None, &small), batches(rows)).unwrap_err();
        assert!(matches!(error, ExecError::Memory { limit_bytes } if limit_bytes == needed / 2), "{error}");
        // The best few of them need little.
        let few = QueryContext::new(2 << 20, None);
        let (found, _) = sorted(Sort::new(vec![key(0, true)], Some(5), &few), batches(rows)).unwrap();
        assert_eq!(rows_of(&found).len(), 5);
    }
}
