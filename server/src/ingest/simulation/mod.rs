//! Writers beside everything that takes away what they write to: drops and re-creations of tables, columns, policies
//! and databases, deletes, flushes, merges, queries and deaths, interleaved wherever anybody waits.
//!
//! It is the code of the server from a body's first piece to the shards' logs, over several cores with catalogs of
//! their own that come to know of a change one after the other, on one simulated disk. Each value says in itself which
//! request wrote it, and the model knows the place that was named beside it: database, policy, table, tags, column and
//! time. So a value under another name, in a life of a table that began after its request had ended, of a request that
//! was refused, or beside others of its request that are missing, is seen wherever somebody reads; and so is one that
//! was acknowledged and that nobody can have dropped. `TIDEWIRE_SEED` runs one seed, `TIDEWIRE_SEEDS` that many from 0
//! on.

mod change;
mod life;
mod model;
mod names;
mod read;
mod world;
mod write;

use std::cell::RefCell;

/// What has happened.
#[derive(Debug, Default)]
struct Tally {
    lives: u64,
    ended: u64,
    acknowledged: u64,
    rows_refused: u64,
    table_changed: u64,
    refused_otherwise: u64,
    unheard: u64,
    inserts: u64,
    drops: u64,
    created: u64,
    changes_refused: u64,
    deletes: u64,
    reads: u64,
    whole_reads: u64,
    reads_of_dropped: u64,
    values_seen: u64,
    values_dropped: u64,
    overtaken: u64,
    flushes: u64,
}

#[test]
fn a_value_is_found_where_it_was_sent_or_nowhere() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let tally = RefCell::new(Tally::default());
    if let Some(seed) = number("TIDEWIRE_SEED") {
        return life::run(seed, &tally);
    }
    let seeds = number("TIDEWIRE_SEEDS").unwrap_or(40);
    let started = std::time::Instant::now();
    for seed in 0..seeds {
        life::run(seed, &tally);
    }
    let text = format!("{:?}", tally.into_inner());
    eprintln!("{seeds} seeds in {:?}: {text}", started.elapsed());
    // A simulation in which something never happens does not test it.
    assert!(!text.contains(": 0,") && !text.contains(": 0 "), "{text}");
}
