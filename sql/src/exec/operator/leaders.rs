//! Drops rows that cannot be among the first of their group. Of each group the best heads of keys so far are held, as
//! many as rows are wanted; a row whose heads come after all of them has that many rows before it, whatever follows.

use std::collections::BinaryHeap;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::take::take_record_batch;

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::aggregate::GroupTable;
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::sink::{Head, KeyEncoder};
use crate::stage::Leaders as Spec;

/// Heads of both keys.
type Heads = (Head, Head);

/// Passes rows that may be wanted.
pub(crate) struct Leaders {
    spec: Spec,
    groups: GroupTable,
    first: KeyEncoder,
    second: KeyEncoder,
    /// Of each group the best heads, the last of them on top.
    best: Vec<BinaryHeap<Heads>>,
    /// Heads held in all groups.
    heads: usize,
    /// Group of each row at hand, kept for its memory.
    of_row: Vec<u32>,
    memory: Reservation,
}

impl Leaders {
    /// Passes what `spec` wants.
    pub(crate) fn new(spec: Spec, context: &QueryContext) -> Self {
        Self {
            first: KeyEncoder::new(vec![spec.order.key()]),
            second: KeyEncoder::new(spec.then.iter().map(|then| then.key()).collect()),
            spec,
            groups: GroupTable::default(),
            best: Vec::new(),
            heads: 0,
            of_row: Vec::new(),
            memory: context.reservation(),
        }
    }

    fn bytes(&self) -> usize {
        // A heap doubles when it is full.
        let heads = self.heads * 2 * size_of::<Heads>() + self.best.capacity() * size_of::<BinaryHeap<Heads>>();
        self.groups.bytes() + heads + self.of_row.capacity() * size_of::<u32>()
    }

    /// The rows of a batch that may be wanted. Each row is to be asked about once.
    pub(crate) fn wanted(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        self.first.prepare(batch)?;
        self.second.prepare(batch)?;
        let keys: Vec<_> = self.spec.group.iter().map(|at| batch.column(*at).clone()).collect();
        self.groups.groups(&keys, batch.num_rows(), &mut self.of_row)?;
        self.best.resize_with(self.groups.len(), BinaryHeap::new);
        let mut kept = Vec::new();
        // A key of whose head more rows may be equal than are equal in it decides nothing more.
        let seconds = match self.first.is_whole() {
            true => self.second.heads(batch)?,
            false => vec![Head::default(); batch.num_rows()],
        };
        for ((row, heads), group) in (0..).zip(self.first.heads(batch)?.into_iter().zip(seconds)).zip(&self.of_row) {
            let best = &mut self.best[*group as usize];
            if best.len() < self.spec.fetch {
                best.push(heads);
                self.heads += 1;
            } else if best.peek().is_some_and(|last| heads > *last) {
                continue;
            } else if let Some(mut last) = best.peek_mut()
                && heads < *last
            {
                *last = heads;
            }
            kept.push(row);
        }
        self.memory.resize(self.bytes())?;
        Ok(kept)
    }
}

impl Operator for Leaders {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let kept = self.wanted(&batch)?;
        Ok(match kept.len() {
            0 => None,
            count if count == batch.num_rows() => Some(batch),
            _ => Some(take_record_batch(&batch, &UInt32Array::from(kept))?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::stage::OrderColumn;

    #[test]
    fn the_first_rows_of_each_group_pass_and_most_others_do_not() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for (fetch, descending) in [(1, false), (1, true), (3, false), (3, true), (50, true)] {
            let order = OrderColumn { column: 1, descending, nulls_first: !descending };
            let then = random.bool().then_some(OrderColumn { column: 2, descending: false, nulls_first: true });
            let context = QueryContext::new(1 << 30, None);
            let mut leaders = Leaders::new(Spec { group: vec![0], order, then, fetch }, &context);
            let mut rows: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
            let mut passed = rows.clone();
            let mut number = 0;
            for _ in 0..40 {
                let groups: Vec<String> = (0..500).map(|_| format!("g{}", random.u8(0..9))).collect();
                let values: Vec<i64> = (0..500).map(|_| random.i64(-500..500)).collect();
                let numbers: Vec<i64> = (number..number + 500).collect();
                number += 500;
                for ((group, value), number) in groups.iter().zip(&values).zip(&numbers) {
                    rows.entry(group.clone()).or_default().push((*value, *number));
                }
                let batch = RecordBatch::try_from_iter([
                    ("g", Arc::new(StringArray::from(groups)) as ArrayRef),
                    ("v", Arc::new(Int64Array::from(values))),
                    ("n", Arc::new(Int64Array::from(numbers))),
                ]);
                if let Some(batch) = leaders.push(batch.unwrap()).unwrap() {
                    let of = |at: usize, row: usize| batch.column(at).as_primitive::<Int64Type>().value(row);
                    for row in 0..batch.num_rows() {
                        let group = batch.column(0).as_string::<i32>().value(row).to_owned();
                        passed.entry(group).or_default().push((of(1, row), of(2, row)));
                    }
                }
            }
            let first = |mut rows: Vec<(i64, i64)>| {
                rows.sort_by_key(|(value, number)| (if descending { -value } else { *value }, *number));
                rows.truncate(fetch);
                rows
            };
            let count: usize = passed.values().map(Vec::len).sum();
            assert!(count < 9 * fetch * 20, "{count} rows passed of {number}, TIDEWIRE_SEED={seed}");
            assert!(context.memory_used() > 0);
            for (group, rows) in rows {
                assert_eq!(first(passed[&group].clone()), first(rows), "{group}, TIDEWIRE_SEED={seed}");
            }
            drop(leaders);
            assert_eq!(context.memory_used(), 0);
        }
    }
}
