//! The queue: order, room, and who drops what.

use loom::model;
use loom::sync::Arc;
use loom::thread::{spawn, yield_now};

use super::model_bounded;
use crate::mesh::queue::{Producer, queue};

fn push_all(producer: &Producer<Box<u32>>, values: std::ops::Range<u32>) {
    for value in values {
        let mut value = Box::new(value);
        while let Err(back) = producer.push(value) {
            value = back;
            yield_now();
        }
    }
}

/// Three values through two slots: the queue is found full, found empty, and wraps.
#[test]
fn values_come_out_once_each_and_in_order() {
    model_bounded(|| {
        let (producer, consumer) = queue(2);
        let sender = spawn(move || push_all(&producer, 0..3));
        let mut next = 0;
        while next < 3 {
            assert!(consumer.len() <= 2);
            match consumer.pop() {
                Some(value) => {
                    assert_eq!(*value, next);
                    next += 1;
                }
                None => yield_now(),
            }
        }
        sender.join().unwrap();
        assert!(consumer.pop().is_none());
    });
}

/// A full queue takes one value more exactly when one was taken out.
#[test]
fn a_slot_is_filled_again_only_when_it_is_empty() {
    model(|| {
        let (producer, consumer) = queue(1);
        assert!(producer.push(Box::new(1)).is_ok());
        let sender = spawn(move || producer.push(Box::new(2)).is_ok());
        let first = consumer.pop();
        let second_went_in = sender.join().unwrap();
        assert_eq!(first.as_deref(), Some(&1));
        assert_eq!(consumer.pop().is_some(), second_went_in);
    });
}

/// Loom fails a model that leaks one of its `Arc`s.
#[test]
fn what_nobody_took_is_dropped_once() {
    model(|| {
        let (producer, consumer) = queue(2);
        let sender = spawn(move || {
            assert!(producer.push(Arc::new(())).is_ok());
            assert!(producer.push(Arc::new(())).is_ok());
        });
        drop(consumer.pop());
        drop(consumer);
        sender.join().unwrap();
    });
}
