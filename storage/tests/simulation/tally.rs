//! What has happened in one run or more.

use tidewire_storage::disk::sim::SimCounts;
use tidewire_storage::sim_tally;

sim_tally! {
    /// What has happened in one run or more.
    pub(crate) struct Tally {
        batches,
        large_batches,
        too_large,
        acknowledged,
        refused,
        flushes,
        scans,
        span_scans,
        deletes,
        expiries,
        merges,
        tables_dropped,
        kills,
        crashes,
        closed,
        failed_starts,
        recoveries,
        torn_writes,
        lost_writes,
        lost_names,
        io_errors,
        too_many_files,
        flipped_bits,
        no_space,
        healed,
        short_reads,
        quarantined,
        damage_met,
        latent_damage,
        long_texts,
        short_writes,
        read_only,
        unsupported,
    }
}

impl Tally {
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
}
