//! Sorted runs to one order, an entry at a time: a tournament whose inner nodes remember the losers, so that the next
//! winner costs one comparison a level.
//!
//! ```text
//! tree[1]: loser of the final      the winner is kept aside
//! tree[2], tree[3]: losers of the semifinals …
//! run r enters at leaf r + runs
//! ```

use std::cmp::Ordering;

use super::entry::Entry;

/// A merge under way.
pub(super) struct Merge {
    runs: Vec<Run>,
    /// The run that lost at each inner node; node 0 is not used.
    losers: Vec<u32>,
    winner: u32,
}

struct Run {
    entries: Vec<Entry>,
    next: usize,
    /// The first entry that is left.
    head: Entry,
}

impl Run {
    fn advance(&mut self) {
        self.next += 1;
        self.head = self.entries.get(self.next).copied().unwrap_or(Entry::END);
    }
}

impl Merge {
    /// A merge of runs, each in the order `order`.
    pub(super) fn new(runs: Vec<Vec<Entry>>, order: impl Fn(&Entry, &Entry) -> Ordering) -> Self {
        let head = |entries: &Vec<Entry>| entries.first().copied().unwrap_or(Entry::END);
        let runs: Vec<Run> = runs.into_iter().map(|entries| Run { head: head(&entries), entries, next: 0 }).collect();
        let count = runs.len();
        let mut losers = vec![0; count];
        // Winners of all nodes, from the leaves upwards; of node 1 in the end.
        let mut winners: Vec<u32> = vec![0; 2 * count];
        for (leaf, winner) in winners[count..].iter_mut().enumerate() {
            *winner = leaf as u32;
        }
        for node in (1..count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let right_wins = order(&runs[right as usize].head, &runs[left as usize].head) == Ordering::Less;
            (winners[node], losers[node]) = if right_wins { (right, left) } else { (left, right) };
        }
        let winner = if count > 1 { winners[1] } else { 0 };
        Self { runs, losers, winner }
    }

    /// The next entry; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self, order: impl Fn(&Entry, &Entry) -> Ordering) -> Option<Entry> {
        let run = self.runs.get_mut(self.winner as usize)?;
        let entry = run.head;
        if entry.is_end() {
            return None;
        }
        run.advance();
        let mut head = run.head;
        let mut node = (self.winner as usize + self.runs.len()) / 2;
        while node > 0 {
            let other = self.losers[node] as usize;
            if order(&self.runs[other].head, &head) == Ordering::Less {
                self.losers[node] = self.winner;
                self.winner = other as u32;
                head = self.runs[other].head;
            }
            node /= 2;
        }
        Some(entry)
    }
}

/// Two sorted runs as one.
pub(super) fn merge_two(left: &[Entry], right: &[Entry], order: impl Fn(&Entry, &Entry) -> Ordering) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut a, mut b) = (0, 0);
    while a < left.len() && b < right.len() {
        let right_first = order(&right[b], &left[a]) == Ordering::Less;
        merged.push(if right_first { right[b] } else { left[a] });
        a += usize::from(!right_first);
        b += usize::from(right_first);
    }
    merged.extend_from_slice(&left[a..]);
    merged.extend_from_slice(&right[b..]);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_place(a: &Entry, b: &Entry) -> Ordering {
        a.order(b, |a, b| (a.batch(), a.row()).cmp(&(b.batch(), b.row())))
    }

    #[test]
    fn a_merge_is_the_sort_of_all_runs() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for count in [0, 1, 2, 3, 5, 8, 13, 64, 100] {
            let mut all = Vec::new();
            let mut runs = Vec::new();
            for batch in 0..count {
                // Few prefixes, the greatest among them, so that runs tie with each other and look like the end.
                let prefix = |random: &mut fastrand::Rng| if random.bool() { u64::MAX } else { random.u64(0..4) };
                let mut run: Vec<Entry> = (0..random.u32(0..30))
                    .map(|row| Entry::new((random.bool(), prefix(&mut random)), batch, row))
                    .collect();
                run.sort_unstable_by(by_place);
                all.extend_from_slice(&run);
                runs.push(run);
            }
            all.sort_unstable_by(by_place);
            let pairs = runs.chunks(2).map(|pair| merge_two(&pair[0], pair.get(1).map_or(&[], |r| r), by_place));
            for runs in [pairs.collect(), runs.clone()] {
                let mut merge = Merge::new(runs, by_place);
                let merged: Vec<Entry> = std::iter::from_fn(|| merge.next(by_place)).collect();
                assert_eq!(merged, all, "{count} runs, TIDEWIRE_SEED={seed}");
                assert_eq!(merge.next(by_place), None);
            }
        }
    }
}
