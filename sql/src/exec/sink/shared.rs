//! Bytes of keys that many rows have, each once.
//!
//! Rows of a series have the tags of the series, so that what decides between rows of one time is one of a few thousand
//! strings of bytes. Each has a number, in order of first appearance, and a place in the order of all. Places move when
//! a new one comes between, the order of those that were there does not: what was sorted by places stays sorted.

use arrow_array::ArrayRef;
use arrow_row::Rows;

use crate::error::execution::Result;
use crate::exec::aggregate::GroupTable;

/// Bytes that rows share.
#[derive(Default)]
pub(super) struct SharedTies {
    table: GroupTable,
    /// In batches as they came.
    rows: Vec<Rows>,
    /// Where the bytes of a number are: which of `rows`, and the row there.
    at: Vec<(u32, u32)>,
    /// Numbers in the order of their bytes.
    in_order: Vec<u32>,
    /// By number: where it is in `in_order`.
    places: Vec<u32>,
}

/// The first bytes as a number that orders as they do.
pub(super) fn beginning(bytes: &[u8]) -> u128 {
    match bytes.first_chunk() {
        Some(first) => u128::from_be_bytes(*first),
        None => {
            let mut padded = [0; size_of::<u128>()];
            padded[..bytes.len()].copy_from_slice(bytes);
            u128::from_be_bytes(padded)
        }
    }
}

impl SharedTies {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Puts the number of each of `rows` rows into `numbers`: the rows that are the first with a new one, whose bytes
    /// are to be added, in this order, before anything is compared.
    pub(super) fn numbers(&mut self, keys: &[ArrayRef], rows: usize, numbers: &mut Vec<u32>) -> Result<Vec<u32>> {
        self.table.groups(keys, rows, numbers)?;
        let mut fresh = Vec::new();
        for (row, number) in (0u32..).zip(&*numbers) {
            if *number as usize == self.places.len() + fresh.len() {
                fresh.push(row);
            }
        }
        Ok(fresh)
    }

    /// Adds the bytes of the numbers that are new.
    pub(super) fn add(&mut self, rows: Rows) {
        let (known, count) = (self.len(), rows.num_rows());
        let part = self.rows.len() as u32;
        self.at.extend((0..count as u32).map(|row| (part, row)));
        self.rows.push(rows);
        let begun = |number| (beginning(self.bytes_of(number)), number);
        let mut fresh: Vec<(u128, u32)> = (known as u32..(known + count) as u32).map(begun).collect();
        fresh.sort_unstable_by(|(a_begins, a), (b_begins, b)| {
            a_begins.cmp(b_begins).then_with(|| self.bytes_of(*a).cmp(self.bytes_of(*b)))
        });
        let mut in_order = Vec::with_capacity(known + count);
        let mut old = self.in_order.as_slice();
        for (_, number) in fresh {
            let before = old.partition_point(|other| self.bytes_of(*other) < self.bytes_of(number));
            in_order.extend_from_slice(&old[..before]);
            in_order.push(number);
            old = &old[before..];
        }
        in_order.extend_from_slice(old);
        self.in_order = in_order;
        self.places.resize(known + count, 0);
        for (place, number) in (0u32..).zip(&self.in_order) {
            self.places[*number as usize] = place;
        }
    }

    /// The place of a number.
    #[inline]
    pub(super) fn place(&self, number: u32) -> u32 {
        self.places[number as usize]
    }

    /// The bytes of a number.
    pub(super) fn bytes_of(&self, number: u32) -> &[u8] {
        let (part, row) = self.at[number as usize];
        self.rows[part as usize].row(row as usize).data()
    }

    /// Memory held.
    pub(super) fn size(&self) -> usize {
        let rows: usize = self.rows.iter().map(|rows| rows.size() + size_of::<Rows>()).sum();
        let numbers = self.at.capacity() * size_of::<(u32, u32)>()
            + (self.in_order.capacity() + self.places.capacity()) * size_of::<u32>();
        rows + numbers + self.table.bytes()
    }
}
