//! The mesh between real executors: a parked core is woken, order holds, calls come back.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_server::mesh::{CallId, Calls, Inbox, Mesh, Port, wire};
use tidewire_server::ring::{CoreHandle, CoreOptions, Queue, Queues, RingFeatures, host, start_core};

#[derive(Debug)]
enum Message {
    Ask { call: CallId, number: u64 },
    Answer { call: CallId, number: u64 },
    End,
}

/// A core that doubles numbers until told to end.
async fn double(mesh: Rc<Mesh<Message>>, mut inbox: Inbox<Message>) -> u64 {
    let mut answered = 0;
    loop {
        match inbox.next().await {
            (from, Message::Ask { call, number }) => {
                answered += 1;
                mesh.send(from, Message::Answer { call, number: number * 2 });
            }
            (_, Message::End) => return answered,
            (_, Message::Answer { .. }) => unreachable!("this core asks nothing"),
        }
    }
}

fn core<F, T>(number: usize, main: impl FnOnce() -> F + Send + 'static) -> CoreHandle<T>
where
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let limits = host::raise_limits();
    let options = CoreOptions {
        name: format!("mesh-test-{number}"),
        cpu: None,
        io_memory_bytes: host::io_memory_bytes(limits.locked_bytes, 8),
        ring_depth: 64,
        preempt: Duration::from_millis(1),
        features: RingFeatures::default(),
    };
    start_core(options, main).unwrap()
}

fn two_cores<T: Send + 'static>(
    asks: impl AsyncFnOnce(Rc<Mesh<Message>>, Rc<Calls<u64>>) -> T + Send + 'static,
) -> (T, u64) {
    let mut ports = wire::<Message>(2).unwrap();
    let (far, near): (Port<Message>, Port<Message>) = (ports.remove(1), ports.remove(0));
    let far = core(1, move || async move {
        let (mesh, inbox) = far.open();
        Queues::new().spawn(Queue::Ingest, "test", double(mesh, inbox)).await
    });
    let near = core(0, move || async move {
        let (mesh, mut inbox) = near.open();
        let calls = Calls::new();
        let delivering = {
            let calls = Rc::clone(&calls);
            Queues::new().spawn(Queue::Ingest, "test", async move {
                while let (_, Message::Answer { call, number }) = inbox.next().await {
                    calls.deliver(call, number, true);
                }
            })
        };
        let result = asks(Rc::clone(&mesh), calls).await;
        mesh.send(1, Message::End);
        delivering.cancel();
        result
    });
    (near.join().unwrap(), far.join().unwrap())
}

async fn ask(mesh: &Mesh<Message>, calls: &Rc<Calls<u64>>, number: u64) -> Option<u64> {
    let permit = mesh.credits(1).take(1).await;
    let mut call = calls.open(permit);
    mesh.send(1, Message::Ask { call: call.id(), number });
    call.next().await
}

#[test]
fn a_parked_core_is_woken_each_time() {
    let (times, answered) = two_cores(async |mesh, calls| {
        let mut times = Vec::new();
        for number in 0..2000 {
            let start = Instant::now();
            assert_eq!(ask(&mesh, &calls, number).await, Some(number * 2));
            times.push(start.elapsed());
        }
        times
    });
    assert_eq!((times.len(), answered), (2000, 2000));
    let mut times = times;
    times.sort_unstable();
    eprintln!("there and back, both cores parked: p50 {:?}, p99 {:?}", times[1000], times[1980]);
}

#[test]
fn more_calls_than_credits_wait_their_turn() {
    let (sum, answered) = two_cores(async |mesh, calls| {
        let asks = (0..5000).map(|number| {
            let (mesh, calls) = (Rc::clone(&mesh), Rc::clone(&calls));
            Queues::new().spawn(Queue::Ingest, "test", async move { ask(&mesh, &calls, number).await })
        });
        let mut sum = 0;
        for answer in asks.collect::<Vec<_>>() {
            sum += answer.await.unwrap();
        }
        assert_eq!(calls.open_count(), 0);
        sum
    });
    assert_eq!((sum, answered), ((0..5000).sum::<u64>() * 2, 5000));
}
