//! The queue between cores: values a second through one queue, in one thread and between two. Each run checks that
//! every value arrives once and in order.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewire_server::mesh::queue::queue;

const BATCH: u64 = 1000;

fn one_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mesh");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("queue, one thread", |bencher| {
        let (producer, consumer) = queue::<u64>(1024);
        bencher.iter(|| {
            for value in 0..BATCH {
                assert!(producer.push(value).is_ok());
            }
            for value in 0..BATCH {
                assert_eq!(consumer.pop(), Some(value));
            }
        });
    });
    group.finish();
}

fn two_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mesh");
    group.throughput(Throughput::Elements(1));
    group.bench_function("queue, two threads", |bencher| bencher.iter_custom(through_two_threads));
    group.finish();
}

fn through_two_threads(count: u64) -> Duration {
    let (producer, consumer) = queue::<u64>(1024);
    let sender = std::thread::spawn(move || {
        for value in 0..count {
            while producer.push(value).is_err() {
                std::thread::yield_now();
            }
        }
    });
    let start = Instant::now();
    let mut next = 0;
    while next < count {
        match consumer.pop() {
            Some(value) => {
                assert_eq!(value, next);
                next += 1;
            }
            None => std::thread::yield_now(),
        }
    }
    let elapsed = start.elapsed();
    assert!(sender.join().is_ok());
    elapsed
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
