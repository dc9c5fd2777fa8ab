//! What has happened in one run or more, as numbers that add up.

use tidewire_storage::disk::sim::SimCounts;

/// What has happened in one run or more.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) batches: u64,
    pub(crate) large_batches: u64,
    pub(crate) too_large: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) flushes: u64,
    pub(crate) scans: u64,
    pub(crate) span_scans: u64,
    pub(crate) deletes: u64,
    pub(crate) expiries: u64,
    pub(crate) merges: u64,
    pub(crate) tables_dropped: u64,
    pub(crate) kills: u64,
    pub(crate) crashes: u64,
    pub(crate) closed: u64,
    pub(crate) failed_starts: u64,
    pub(crate) recoveries: u64,
    pub(crate) torn_writes: u64,
    pub(crate) lost_writes: u64,
    pub(crate) lost_names: u64,
    pub(crate) io_errors: u64,
    pub(crate) too_many_files: u64,
    pub(crate) flipped_bits: u64,
    pub(crate) no_space: u64,
    pub(crate) healed: u64,
    pub(crate) short_reads: u64,
    pub(crate) quarantined: u64,
    pub(crate) damage_met: u64,
    pub(crate) latent_damage: u64,
    pub(crate) long_texts: u64,
    pub(crate) short_writes: u64,
    pub(crate) read_only: u64,
    pub(crate) unsupported: u64,
}

impl Tally {
    fn numbers(&mut self) -> [&mut u64; 33] {
        [
            &mut self.batches,
            &mut self.large_batches,
            &mut self.too_large,
            &mut self.acknowledged,
            &mut self.refused,
            &mut self.flushes,
            &mut self.scans,
            &mut self.span_scans,
            &mut self.deletes,
            &mut self.expiries,
            &mut self.merges,
            &mut self.tables_dropped,
            &mut self.kills,
            &mut self.crashes,
            &mut self.closed,
            &mut self.failed_starts,
            &mut self.recoveries,
            &mut self.torn_writes,
            &mut self.lost_writes,
            &mut self.lost_names,
            &mut self.io_errors,
            &mut self.too_many_files,
            &mut self.flipped_bits,
            &mut self.no_space,
            &mut self.healed,
            &mut self.short_reads,
            &mut self.quarantined,
            &mut self.damage_met,
            &mut self.latent_damage,
            &mut self.long_texts,
            &mut self.short_writes,
            &mut self.read_only,
            &mut self.unsupported,
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, number) in self.numbers().into_iter().zip(other.numbers()) {
            *sum += *number;
        }
    }

    pub(crate) fn add_disk(&mut self, counts: &SimCounts) {
        self.torn_writes += counts.torn_writes;
        self.lost_writes += counts.lost_writes;
        self.lost_names += counts.lost_names;
        self.io_errors += counts.io_errors;
        self.too_many_files += counts.too_many_files;
        self.flipped_bits += counts.flipped_bits;
        self.no_space += counts.no_space;
        self.short_reads += counts.short_reads;
        self.short_writes += counts.short_writes;
        self.read_only += counts.read_only;
        self.unsupported += counts.unsupported;
    }

    /// A simulation in which something never happens does not test it.
    pub(crate) fn check_variety(mut self) {
        let text = format!("{self:?}");
        assert!(self.numbers().into_iter().all(|number| *number > 0), "{text}");
    }
}
