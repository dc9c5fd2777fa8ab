//! Writers beside everything that takes away what they write to: drops and re-creations of tables, columns, policies
//! and databases, deletes, flushes, merges, queries and deaths, interleaved wherever anybody waits.
//!
//! It is the code of the server from a body's first piece to the shards' logs, over several cores with catalogs of
//! their own that come to know of a change one after the other, on one simulated disk. Each value says in itself which
//! request wrote it, and the model knows the place that was named beside it: database, policy, table, tags, column and
//! time. So a value under another name, in a life of a table that began after its request had ended, of a request that
//! was refused, or beside others of its request that are missing, is seen wherever somebody reads; and so is one that
//! was acknowledged and that nobody can have dropped. `TIDEWIRE_SEED` runs one seed.
//!
//! ```text
//!   life      starts, deaths, drains, and what must be there afterwards
//!   world     the cores, as requests and the catalog's owner see them
//!   model     what was sent, and what became of it
//!   mesh      rows on their way to their shards
//!   write     requests of all doors; some are given up
//!   change    drops, re-creations, deletes, flushes, merges
//!   read      somebody who reads all the while
//!   clock     a clock that is set, and expiry by it
//!   trouble   a disk that fails for a while
//! ```

mod change;
mod clock;
mod life;
mod mesh;
mod model;
mod names;
mod read;
mod trouble;
mod world;
mod write;

use tidewire_storage::disk::sim::{self, few};
use tidewire_storage::sim_tally;

sim_tally! {
    /// What has happened.
    struct Tally {
        lives,
        ended,
        acknowledged,
        rows_refused,
        table_changed,
        refused_otherwise,
        unheard,
        inserts,
        drops,
        created,
        changes_refused,
        deletes,
        reads,
        whole_reads,
        reads_of_dropped,
        values_seen,
        values_dropped,
        overtaken,
        flushes,
        given_up,
        too_long,
        failed,
        doubts,
        expiries,
        jumps,
        troubles,
        drained,
        log_failures,
        io_errors,
        no_space,
        too_many_files,
        short_writes,
        read_only,
        unsupported,
    }
}

#[test]
fn a_value_is_found_where_it_was_sent_or_nowhere() {
    few(0..40, life::run);
}

#[test]
#[ignore = "runs for minutes: see docs/internals/simulation.md"]
fn soak() {
    sim::soak("ingest", life::run);
}
