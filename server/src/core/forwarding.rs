//! One core's part in subscriptions: copies of rows that are durable become lines.
//!
//! One task makes lines of one copy after the other, in the queue of maintenance, and ends when there is none left; so
//! rows keep their order, and a write waits for no more than the copy.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_storage::batch::WriteBatch;
use tidewire_storage::schema::{SeriesId, TableSchema};

use super::message::TableBatch;
use super::shards::CoreShard;
use crate::forward::lines::{Heads, push_row};
use crate::forward::{Forwarder, Held, Part, Subscribed};
use crate::ring::{Queue, Queues, yield_if_needed};

/// Rows that become lines before others get the core: some 100 µs.
const ROWS_STEP: usize = 128;

/// Bytes of lines that are handed over at one time.
const PART_BYTES: usize = 1 << 20;

/// Rows of a core on their way to those who have subscribed.
pub(super) struct Forwarding {
    forwarder: Arc<Forwarder>,
    queues: Queues,
    copies: RefCell<VecDeque<Copied>>,
    is_running: Cell<bool>,
}

/// Rows of a table that are durable in a shard.
struct Copied {
    to: Arc<Subscribed>,
    shard: Rc<CoreShard>,
    batch: WriteBatch,
    table: Arc<TableSchema>,
    new_ids: Vec<SeriesId>,
    /// The room of the batch.
    held: Held,
}

impl Forwarding {
    pub(super) fn new(forwarder: Arc<Forwarder>, queues: Queues) -> Rc<Self> {
        Rc::new(Self { forwarder, queues, copies: RefCell::default(), is_running: Cell::new(false) })
    }

    /// Copies rows that are durable in `shard`, as far as there is room.
    pub(super) fn take(
        self: &Rc<Self>,
        to: &Arc<Subscribed>,
        shard: &Rc<CoreShard>,
        rows: &[TableBatch],
        new_ids: &[Vec<SeriesId>],
    ) {
        for (TableBatch { batch, table }, new_ids) in rows.iter().zip(new_ids) {
            let Some(held) = self.forwarder.hold(batch.bytes() as u64) else {
                self.forwarder.drop_rows(batch.rows() as u64);
                continue;
            };
            let copied = Copied {
                to: to.clone(),
                shard: shard.clone(),
                batch: batch.clone(),
                table: table.clone(),
                new_ids: new_ids.clone(),
                held,
            };
            self.copies.borrow_mut().push_back(copied);
        }
        if !self.copies.borrow().is_empty() && !self.is_running.replace(true) {
            self.queues.spawn(Queue::Maintenance, "rows for subscriptions", self.clone().run()).detach();
        }
    }

    async fn run(self: Rc<Self>) {
        // Also where a panic ends it: the next rows begin anew.
        let _running = Running(self.clone());
        loop {
            let next = self.copies.borrow_mut().pop_front();
            let Some(copied) = next else { return };
            self.send(copied).await;
        }
    }

    async fn send(&self, copied: Copied) {
        let Copied { to, shard, batch, table, new_ids, held } = copied;
        let mut heads = Heads::new(&batch, &table);
        let (mut text, mut rows) = (Vec::new(), 0);
        for start in (0..batch.rows()).step_by(ROWS_STEP) {
            let end = batch.rows().min(start + ROWS_STEP);
            {
                // Gone with its table: then so are the rows.
                let Some(index) = shard.series(table.id) else { return };
                for row in start..end {
                    rows += u64::from(push_row(&mut text, &mut heads, (&batch, &table), (&index, &new_ids), row));
                }
            }
            if text.len() >= PART_BYTES || (end == batch.rows() && rows > 0) {
                self.hand_over(&to, std::mem::take(&mut text), std::mem::take(&mut rows));
            }
            yield_if_needed().await;
        }
        drop(held);
    }

    fn hand_over(&self, to: &Subscribed, text: Vec<u8>, rows: u64) {
        match self.forwarder.hold(text.len() as u64) {
            Some(held) => self.forwarder.send(to, Part { text, rows, held }),
            None => self.forwarder.drop_rows(rows),
        }
    }
}

/// The task runs.
struct Running(Rc<Forwarding>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.is_running.set(false);
    }
}
