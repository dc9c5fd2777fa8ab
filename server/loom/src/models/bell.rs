//! The bell with the queues it guards: the owner sleeps for good in no order of steps.
//!
//! The sleep is loom's `Notify`, in place of the eventfd: what was raised before the wait ends it too. A wake-up that
//! is lost shows as a deadlock.

use loom::model;
use loom::sync::{Arc, Notify};
use loom::thread::spawn;

use super::model_bounded;
use crate::mesh::armed::Armed;
use crate::mesh::queue::{Consumer, queue};

struct Bell {
    armed: Armed,
    sleep: Notify,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { armed: Armed::new(), sleep: Notify::new() })
    }

    fn ring(&self) {
        if self.armed.ring() {
            self.sleep.notify();
        }
    }
}

/// The next value, as `Inbox::next` gets it.
fn next(bell: &Bell, queues: &[Consumer<u32>]) -> u32 {
    let look = || queues.iter().find_map(Consumer::pop);
    loop {
        if let Some(found) = look() {
            return found;
        }
        bell.armed.arm();
        if let Some(found) = look() {
            bell.armed.disarm();
            return found;
        }
        bell.sleep.wait();
    }
}

#[test]
fn a_sleeping_owner_gets_all_values_of_one_sender() {
    model(|| {
        let (producer, consumer) = queue(2);
        let bell = Bell::new();
        let sender = {
            let bell = Arc::clone(&bell);
            spawn(move || {
                for value in [1, 2] {
                    assert!(producer.push(value).is_ok());
                    bell.ring();
                }
            })
        };
        assert_eq!([next(&bell, &[consumer])], [1]);
        sender.join().unwrap();
    });
}

#[test]
fn a_sleeping_owner_hears_two_senders() {
    model_bounded(|| {
        let bell = Bell::new();
        let (here, from_here) = queue(1);
        let (there, from_there) = queue(1);
        let senders = [(here, 1), (there, 2)].map(|(producer, value)| {
            let bell = Arc::clone(&bell);
            spawn(move || {
                assert!(producer.push(value).is_ok());
                bell.ring();
            })
        });
        let queues = [from_here, from_there];
        assert_eq!(next(&bell, &queues) + next(&bell, &queues), 3);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn of_two_ringers_one_wakes() {
    model(|| {
        let armed = Arc::new(Armed::new());
        armed.arm();
        let other = {
            let armed = Arc::clone(&armed);
            spawn(move || armed.ring())
        };
        let here = armed.ring();
        assert!(here ^ other.join().unwrap());
        assert!(!armed.ring());
    });
}
