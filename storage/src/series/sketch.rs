//! How many series there are, from a few kilobytes that can be merged: HyperLogLog over the hashes of the keys.
//!
//! A sketch is made when it is asked for, from the 32 bits of hash that the index keeps of every key, so that it costs
//! a write nothing. Sketches of any tables and shards merge; a series that is in several counts once. The standard
//! error is 1.6 %. Above some 10^8 series of one table two of them often share their 32 bits, and the estimate falls
//! behind.

use crate::schema::TableId;

/// Bits of a hash that choose the register. The standard error is 1.04 / sqrt(2^bits).
const INDEX_BITS: u32 = 12;
const REGISTERS: usize = 1 << INDEX_BITS;

/// A mergeable estimate of a number of series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesSketch {
    /// For each register, the most zeros that a hash had in front, plus one; 0 where there was none.
    registers: Box<[u8]>,
}

impl Default for SeriesSketch {
    fn default() -> Self {
        Self { registers: vec![0; REGISTERS].into() }
    }
}

impl SeriesSketch {
    /// Counts a series of `table` whose key has this hash.
    pub(crate) fn add(&mut self, table: TableId, hash: u32) {
        let mixed = mix(u64::from(table.0) << 32 | u64::from(hash));
        let register = &mut self.registers[(mixed >> (64 - INDEX_BITS)) as usize];
        // The bit behind the last one bounds the rank.
        let rank = (mixed << INDEX_BITS | 1 << (INDEX_BITS - 1)).leading_zeros() + 1;
        *register = (*register).max(rank as u8);
    }

    /// Counts what `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.registers.iter_mut().zip(&other.registers) {
            *own = (*own).max(*other);
        }
    }

    /// About how many series were counted.
    pub fn estimate(&self) -> u64 {
        let m = REGISTERS as f64;
        let sum: f64 = self.registers.iter().map(|&rank| (-f64::from(rank)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = self.registers.iter().filter(|&&rank| rank == 0).count();
        // Few series leave registers empty, and the number of these says more.
        let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
        estimate.round() as u64
    }
}

/// Spreads 64 bits (the finalizer of SplitMix64).
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_near_and_merging_counts_once() {
        for (count, seed) in [(0_u64, 1), (1, 2), (100, 3), (5_000, 4), (200_000, 5)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut all, mut left, mut right) =
                (SeriesSketch::default(), SeriesSketch::default(), SeriesSketch::default());
            for _ in 0..count {
                let (table, hash) = (TableId(random.u32(0..3)), random.u32(..));
                all.add(table, hash);
                // Some go to both.
                let to = random.u32(0..3);
                if to != 0 {
                    left.add(table, hash);
                }
                if to != 1 {
                    right.add(table, hash);
                }
            }
            left.merge(&right);
            assert_eq!(left, all, "seed {seed}");
            let error = all.estimate().abs_diff(count) as f64;
            assert!(error <= count as f64 * 0.05 + 0.5, "seed {seed}: {} of {count}", all.estimate());
        }
    }
}
