//! The credits of the shards: never more than the bound, all or nothing, and nothing is forgotten.

use std::sync::Arc;

use loom::model;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::spawn;

use crate::admission::{Admission, Bounds};

fn admission(shards: usize) -> Arc<Admission> {
    Arc::new(Admission::new(shards, Bounds { granted_bytes_max: 100, held_bytes_max: 100 }))
}

/// Two requests of which only one fits, each of both shards and in opposite order. (Both may be refused: each may see
/// what the other is about to give back.)
#[test]
fn requests_together_stay_within_the_bound() {
    model(|| {
        let admission = admission(2);
        let inside = loom::sync::Arc::new(AtomicUsize::new(0));
        let request = |wanted: [(u32, u64); 2]| {
            let (admission, inside) = (Arc::clone(&admission), loom::sync::Arc::clone(&inside));
            move || {
                if let Ok(grant) = admission.take(wanted.to_vec()) {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "both were granted");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(grant);
                }
            }
        };
        let other = spawn(request([(0, 60), (1, 60)]));
        request([(1, 60), (0, 60)])();
        other.join().unwrap();
        for shard in [0, 1] {
            assert_eq!(admission.counters(shard).0, 0, "credits of shard {shard} did not come back");
        }
        assert!(admission.take(vec![(0, 100), (1, 100)]).is_ok());
    });
}

/// Rows that pass from a grant into the memtable are counted there before the grant ends, so that nobody sees room
/// that is not there.
#[test]
fn rows_are_counted_while_they_pass_into_the_memtable() {
    model(|| {
        let admission = admission(1);
        let grant = admission.take(vec![(0, 60)]).unwrap();
        let owner = {
            let admission = Arc::clone(&admission);
            spawn(move || {
                admission.set_memtable(0, 60);
                drop(grant);
            })
        };
        assert!(admission.take(vec![(0, 60)]).is_err(), "60 of 100 are held, in flight or in the memtable");
        owner.join().unwrap();
    });
}

/// Places for queries: two ask for the one that there is.
#[test]
fn queries_together_stay_within_the_bound() {
    model(|| {
        let admission = admission(1);
        let other = {
            let admission = Arc::clone(&admission);
            spawn(move || admission.query(1))
        };
        let here = admission.query(1);
        let there = other.join().unwrap();
        assert!(here.is_none() || there.is_none());
        drop((here, there));
        assert!(admission.query(1).is_some());
    });
}
