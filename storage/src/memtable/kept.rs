//! Orders of a table's rows that are kept beside them, so that no query has to put in order what another has.
//!
//! ```text
//!   rows     0 ─────────────────────── 200,000 ───────── 250,000 ── 262,000 ─── 265,000
//!   orders   [         first          ][     second      ][  third  ]   the tail, of which none is kept
//! ```
//!
//! An order covers all rows between two numbers, deleted ones too, and does not change: a snapshot holds those that
//! were there when it was taken, which cover none of the rows that came after it. What came since is the tail. A scan
//! that puts a long tail in order leaves that order here; one that is not much shorter than the one before is united
//! with it, so that there are few, and a row is moved a few times at most. A tail is worth an order when a query wants
//! most of it, or when queries have passed over it so often, in search of a few rows, that the order would have cost no
//! more.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use super::Order;

/// An order is united with the one before, unless that is more than this many times as long.
const TIMES_LONGER: usize = 4;

/// Passes over a tail that cost as much as its order.
const PASSES: u64 = 8;

/// Rows in order.
#[derive(Debug, Clone)]
pub(crate) struct KeptOrder {
    /// All of `rows` by (series, time).
    pub(crate) order: Rc<Order>,
    /// Which rows these are.
    pub(crate) rows: Range<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The first begins at row 0, and each other one where the one before ends.
    orders: Vec<KeptOrder>,
    bytes: u64,
    /// Rows passed over since an order was kept last.
    passed: u64,
    /// Of all tables of the memtable.
    total: Rc<Cell<u64>>,
}

impl Kept {
    /// None yet; what is kept is counted in `total` too.
    pub(super) fn new(total: Rc<Cell<u64>>) -> Self {
        Self { orders: Vec::new(), bytes: 0, passed: 0, total }
    }

    /// The orders, of the oldest rows first.
    pub(super) fn orders(&self) -> &[KeptOrder] {
        &self.orders
    }

    /// Rows that are covered.
    pub(super) fn end(&self) -> u32 {
        self.orders.last().map_or(0, |last| last.rows.end)
    }

    /// Whether a tail of `tail` rows is to be put in order for a query, which `wants_all` of it or passes over it.
    pub(super) fn is_worth_it(&mut self, tail: u32, wants_all: bool) -> bool {
        if wants_all || self.passed >= u64::from(tail) * PASSES {
            return true;
        }
        self.passed += u64::from(tail);
        false
    }

    /// Keeps an order of the tail; false where that is not the tail any more.
    pub(super) fn keep(&mut self, kept: &KeptOrder) -> bool {
        let fits = self.end() == kept.rows.start;
        if fits {
            self.orders.push(kept.clone());
            self.passed = 0;
            self.count();
        }
        fits
    }

    /// The last two orders, where they are to be united.
    pub(super) fn to_unite(&self) -> Option<(&KeptOrder, &KeptOrder)> {
        let [.., older, newer] = self.orders.as_slice() else { return None };
        (older.rows.len() <= newer.rows.len() * TIMES_LONGER).then_some((older, newer))
    }

    /// Keeps `united` instead of the orders that it covers, unless those are others by now.
    pub(super) fn unite(&mut self, united: KeptOrder) {
        let first = self.orders.iter().position(|kept| kept.rows.start == united.rows.start);
        let last = self.orders.iter().position(|kept| kept.rows.end == united.rows.end);
        if let (Some(first), Some(last)) = (first, last) {
            self.orders.splice(first..=last, [united]);
            self.count();
        }
    }

    /// Keeps none.
    pub(super) fn clear(&mut self) {
        self.orders = Vec::new();
        self.passed = 0;
        self.count();
    }

    fn count(&mut self) {
        let bytes: u64 = self.orders.iter().map(|kept| kept.order.memory_bytes() as u64).sum();
        self.total.set((self.total.get() + bytes).saturating_sub(self.bytes));
        self.bytes = bytes;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.total.set(self.total.get().saturating_sub(self.bytes));
    }
}
