//! The runtime as its users see it: tasks, wake-ups, timers, what is left in flight.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::{or, poll_once, yield_now};

use super::current::{LONG_POLL, current};
use super::deadline::Deadlines;
use super::event::event;
use super::executor::yield_if_needed;
use super::features::RingFeatures;
use super::socket::Socket;
use super::testing::{self, on_a_core_in_slices, on_a_core_with};
use super::{
    CoreOptions, LongPoll, Queue, Queues, RingDisk, blocking, calculate, name_task, sleep, start_core, start_core_with,
    within,
};
use tidewire_storage::disk::{DISK_ALIGN, Disk, DiskFile, OpenMode};

const SLICE: Duration = Duration::from_millis(1);

/// Sets a flag when dropped.
struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn tasks_end_in_any_order_and_give_their_values() {
    let sum = on_a_core_in_slices(SLICE, async || {
        let tasks: Vec<_> = (0..1000_u64)
            .map(|number| {
                Queues::new().spawn(Queue::ALL[number as usize % 3], "test", async move {
                    for _ in 0..number % 7 {
                        yield_now().await;
                    }
                    number
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    });
    assert_eq!(sum, 999 * 1000 / 2);
}

#[test]
fn a_cancelled_task_is_gone_at_once_and_its_place_is_used_again() {
    on_a_core_in_slices(SLICE, async || {
        let is_dropped = Rc::new(Cell::new(false));
        let flag = Flag(Rc::clone(&is_dropped));
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let task = {
            let waker = Rc::clone(&waker);
            Queues::new().spawn(Queue::Query, "test", async move {
                let _flag = flag;
                poll_fn(|context| {
                    *waker.borrow_mut() = Some(context.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            })
        };
        yield_now().await;
        while waker.borrow().is_none() {
            yield_now().await;
        }
        task.cancel();
        assert!(is_dropped.get());
        let next = Queues::new().spawn(Queue::Query, "test", async {
            yield_now().await;
            7
        });
        // The waker of a task that is gone reaches nobody.
        waker.borrow_mut().take().unwrap().wake();
        assert_eq!(next.await, 7);
    });
}

#[test]
fn what_is_left_is_dropped_at_the_end_with_its_operations() {
    let (dropped, hears) = mpsc::channel();
    on_a_core_in_slices(SLICE, async move || {
        struct OnDrop(mpsc::Sender<()>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (signal, listener) = event().unwrap();
        let on_drop = OnDrop(dropped);
        let waiting = async move {
            let _on_drop = on_drop;
            let waiter = listener.listen();
            loop {
                waiter.wait().await;
            }
        };
        Queues::new().spawn(Queue::Ingest, "test", waiting).detach();
        Queues::new().spawn(Queue::Ingest, "test", async { sleep(Duration::from_secs(1000)).await }).detach();
        yield_now().await;
        signal.raise();
    });
    assert_eq!(hears.recv(), Ok(()));
}

#[test]
fn a_sleeping_core_is_woken_from_other_threads_every_time() {
    on_a_core_in_slices(SLICE, async || {
        for round in 0..2000_u32 {
            assert_eq!(blocking(move || Ok(round)).await.unwrap(), round);
        }
        let failed = blocking(|| -> std::io::Result<()> { Err(std::io::Error::other("no")) }).await;
        assert_eq!(failed.unwrap_err().to_string(), "no");
        let panicked = blocking(|| -> std::io::Result<()> { panic!("told to panic") }).await;
        assert_eq!(panicked.unwrap_err().to_string(), "a call on the helper thread panicked");
    });
}

#[test]
fn events_raised_before_and_while_waiting_are_heard() {
    on_a_core_in_slices(SLICE, async || {
        let (signal, listener) = event().unwrap();
        let waiter = listener.listen();
        // The first wait may end without a signal.
        or(waiter.wait(), yield_now()).await;
        for _ in 0..1000 {
            signal.raise();
            signal.raise();
            waiter.wait().await;
        }
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            signal.raise();
            signal
        });
        waiter.wait().await;
        drop(thread.join().unwrap());
    });
}

#[test]
fn timers_fire_in_order_and_never_early() {
    on_a_core_in_slices(SLICE, async || {
        let order = Rc::new(RefCell::new(Vec::new()));
        let start = Instant::now();
        let tasks: Vec<_> = [30_u64, 10, 20, 10]
            .into_iter()
            .map(|ms| {
                let order = Rc::clone(&order);
                Queues::new().spawn(Queue::Ingest, "test", async move {
                    sleep(Duration::from_millis(ms)).await;
                    assert!(start.elapsed() >= Duration::from_millis(ms));
                    order.borrow_mut().push(ms);
                })
            })
            .collect();
        // A timer that is given up leaves nothing behind.
        assert!(or(async { poll_once(sleep(Duration::from_secs(1000))).await.is_none() }, pending()).await);
        for task in tasks {
            task.await;
        }
        assert_eq!(*order.borrow(), [10, 10, 20, 30]);
    });
}

#[test]
fn a_task_that_works_on_lets_others_in_when_its_slice_is_over() {
    on_a_core_in_slices(Duration::ZERO, async || {
        let is_done = Rc::new(Cell::new(false));
        let seen = Rc::clone(&is_done);
        Queues::new().spawn(Queue::Maintenance, "test", async move { seen.set(true) }).detach();
        while !is_done.get() {
            yield_if_needed().await;
        }
    });
    on_a_core_in_slices(Duration::from_secs(1000), async || {
        // The slice lasts, so nobody else runs and the call returns at once.
        let other = Rc::new(Cell::new(false));
        let seen = Rc::clone(&other);
        Queues::new().spawn(Queue::Ingest, "test", async move { seen.set(true) }).detach();
        yield_if_needed().await;
        assert!(!other.get());
    });
}

#[test]
fn busy_queues_share_the_core_by_their_shares() {
    let (ingest, maintenance) = on_a_core_in_slices(Duration::from_micros(100), async || {
        let is_over = Rc::new(Cell::new(false));
        for queue in Queue::ALL {
            let is_over = Rc::clone(&is_over);
            let work = async move {
                while !is_over.get() {
                    yield_if_needed().await;
                }
            };
            Queues::new().spawn(queue, "work", work).detach();
        }
        // A slice that the machine has cut off takes longer to make up for than the others; in the end the accounts
        // agree (`run_queues` has the proportions exactly).
        let runtimes = || (Queues::new().runtime(Queue::Ingest), Queues::new().runtime(Queue::Maintenance));
        let has_settled = || {
            let (ingest, maintenance) = runtimes();
            ingest >= Duration::from_millis(60) && ingest > maintenance * 2
        };
        while !has_settled() && runtimes().0 < Duration::from_secs(10) {
            yield_now().await;
        }
        is_over.set(true);
        runtimes()
    });
    let is_shared = !maintenance.is_zero() && ingest > maintenance * 2;
    assert!(is_shared, "ingest {ingest:?}, maintenance {maintenance:?}");
}

#[test]
fn a_poll_that_holds_the_core_is_reported_with_what_ran() {
    let reports = on_a_core_in_slices(SLICE, async || {
        let reports = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&reports);
        Queues::new().on_long_poll(move |poll| seen.borrow_mut().push(poll));
        let hold = |time: Duration| {
            let start = Instant::now();
            while start.elapsed() < time {}
        };
        let long = async move {
            hold(LONG_POLL);
            yield_now().await;
            name_task("what follows");
            hold(LONG_POLL);
        };
        Queues::new().spawn(Queue::Compaction, "what is first", long).await;
        let reports = reports.borrow();
        reports.iter().filter(|poll| poll.queue == Queue::Compaction).copied().collect::<Vec<LongPoll>>()
    });
    assert_eq!(reports.iter().map(|poll| poll.what).collect::<Vec<_>>(), ["what is first", "what follows"]);
    assert!(reports.iter().all(|poll| poll.time >= LONG_POLL));
}

#[test]
fn a_part_of_a_tasks_work_runs_in_another_queue() {
    on_a_core_in_slices(Duration::ZERO, async || {
        let runtime = || Queues::new().runtime(Queue::Query);
        let busy = async || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(2) {
                yield_if_needed().await;
            }
        };
        busy().await;
        assert_eq!(runtime(), Duration::ZERO);
        within(Queue::Query, busy()).await;
        let had = runtime();
        assert!(had > Duration::ZERO);
        // Its first turn back belongs to the queue that it was in.
        yield_now().await;
        let had = runtime().max(had);
        busy().await;
        assert_eq!(runtime(), had);
        // A part that is given up leaves the task where it was.
        assert!(poll_once(within(Queue::Query, pending::<()>())).await.is_none());
        yield_now().await;
        let had = runtime();
        busy().await;
        assert_eq!(runtime(), had);
    });
}

#[test]
fn a_task_that_is_woken_before_it_moves_runs_where_it_has_moved_to() {
    on_a_core_in_slices(Duration::ZERO, async || {
        let polled = Rc::new(Cell::new(0));
        let seen = Rc::clone(&polled);
        // Woken in this queue by what it polls beside, and moved in the same turn.
        let task = Queues::new().spawn(Queue::Ingest, "test", async move {
            let part = within(Queue::Query, async { seen.set(seen.get() + 1) });
            or(
                async {
                    yield_now().await;
                    pending::<()>().await;
                },
                part,
            )
            .await;
        });
        task.await;
        assert_eq!(polled.get(), 1);
    });
}

#[test]
fn calculations_run_beside_the_core_and_may_panic() {
    on_a_core_in_slices(SLICE, async || {
        let here = std::thread::current().id();
        let there = calculate(|| std::thread::current().id()).await.unwrap();
        assert_ne!(here, there);
        let panicked = calculate(|| assert!(std::thread::current().name().is_none(), "told to panic")).await;
        assert!(panicked.unwrap_err().to_string().contains("panicked"));
        // The next one finds a thread again.
        let answer = loop {
            if let Ok(answer) = calculate(|| 42).await {
                break answer;
            }
        };
        assert_eq!(answer, 42);
    });
}

#[test]
fn a_calculation_that_nobody_waits_for_is_not_begun() {
    on_a_core_in_slices(SLICE, async || {
        let (release, blocked) = mpsc::channel::<()>();
        let first = Queues::new().spawn(Queue::Ingest, "test", calculate(move || blocked.recv().is_ok()));
        let has_run = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = std::sync::Arc::clone(&has_run);
        yield_now().await;
        let given_up = calculate(move || seen.store(true, std::sync::atomic::Ordering::Relaxed));
        assert!(poll_once(given_up).await.is_none());
        release.send(()).unwrap();
        assert!(first.await.unwrap());
        calculate(|| ()).await.unwrap();
        assert!(!has_run.load(std::sync::atomic::Ordering::Relaxed));
    });
}

#[test]
fn a_panic_on_the_core_is_an_error_of_its_handle() {
    let options = CoreOptions { name: "panic-test".to_owned(), preempt: SLICE, ..testing::options() };
    let core = start_core(options, || async {
        // A poll in flight must not outlive the panic as a danger.
        let (_signal, listener) = event().unwrap();
        let _waiter = listener.listen();
        assert!(poll_once(sleep(Duration::from_secs(1000))).await.is_some(), "told to panic");
    });
    assert_eq!(core.unwrap().join().unwrap_err().to_string(), "the core panicked");
}

#[test]
fn what_hangs_on_a_core_is_dropped_when_a_task_of_it_panics() {
    let (told, hears) = mpsc::channel::<()>();
    let options = CoreOptions { name: "panic-test".to_owned(), preempt: SLICE, ..testing::options() };
    let core = start_core_with(options, told, || async {
        current().set_on_long_poll(Box::new(|_| panic!("told to panic")));
        Queues::new().spawn(Queue::Query, "test", async { std::thread::sleep(LONG_POLL + SLICE) }).detach();
        pending::<()>().await;
    });
    assert!(hears.recv().is_err(), "the end of the channel");
    assert_eq!(core.unwrap().join().unwrap_err().to_string(), "the core panicked");
}

#[test]
fn more_operations_than_the_ring_has_entries_all_end() {
    on_a_core_in_slices(SLICE, async || {
        let reads: Vec<_> = (0..200)
            .map(|_| {
                Queues::new().spawn(Queue::Ingest, "test", async {
                    let file = Rc::new(std::fs::File::open("/dev/zero").unwrap());
                    let descriptor = Rc::new(std::os::fd::OwnedFd::from(file.try_clone().unwrap()));
                    current().reactor.writable(&descriptor).await
                })
            })
            .collect();
        for read in reads {
            read.await.unwrap();
        }
    });
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn a_socket_carries_more_than_fits_into_it_and_sees_the_end() {
    const LENGTH: usize = 32 << 20;
    let (mut client, server) = sockets();
    let peer = std::thread::spawn(move || {
        let mut received = vec![0; LENGTH];
        client.read_exact(&mut received).unwrap();
        client.write_all(&received).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        rest
    });
    on_a_core_in_slices(SLICE, async move || {
        let deadlines = Deadlines::new(Duration::from_millis(10));
        let clock = Queues::new().spawn(Queue::Ingest, "test", Rc::clone(&deadlines).run());
        let socket = Socket::adopt(server.into(), &deadlines);
        let sent: Vec<u8> = (0..LENGTH).map(|at| (at / 1000) as u8).collect();
        socket.write_all(&sent, Duration::from_secs(60)).await.unwrap();
        let (mut received, mut buffer) = (Vec::new(), vec![0; 100_000]);
        loop {
            match socket.read(&mut buffer).await.unwrap() {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(received == sent);
        socket.write_all(b"bye", Duration::from_secs(60)).await.unwrap();
        drop(socket);
        clock.cancel();
    });
    assert_eq!(peer.join().unwrap(), b"bye");
}

#[test]
fn a_deadline_ends_a_read_that_waits() {
    let (client, server) = sockets();
    on_a_core_in_slices(SLICE, async move || {
        let deadlines = Deadlines::new(Duration::from_millis(5));
        let clock = Queues::new().spawn(Queue::Ingest, "test", Rc::clone(&deadlines).run());
        let socket = Socket::adopt(server.into(), &deadlines);
        socket.set_deadline(Duration::from_millis(20));
        let failed = socket.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(failed.kind(), std::io::ErrorKind::TimedOut);
        clock.cancel();
    });
    drop(client);
}

#[test]
fn data_that_comes_with_the_end_is_read_before_it() {
    for _ in 0..50 {
        let (mut client, server) = sockets();
        let peer = std::thread::spawn(move || {
            client.write_all(b"abc").unwrap();
            client.write_all(b"def").unwrap();
        });
        on_a_core_in_slices(SLICE, async move || {
            let deadlines = Deadlines::new(Duration::from_secs(10));
            let socket = Socket::adopt(server.into(), &deadlines);
            let (mut all, mut buffer) = (Vec::new(), [0; 64]);
            loop {
                match socket.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => all.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(all, b"abcdef");
        });
        peer.join().unwrap();
    }
}

/// Runs a test on a core with each set of features that a kernel may have.
fn with_each_set_of_features(test: impl AsyncFnOnce() + Copy + Send + 'static) {
    for features in RingFeatures::SETS {
        on_a_core_with(CoreOptions { features, ..testing::options() }, async move || test().await);
    }
}

#[test]
fn files_sockets_timers_and_wakers_work_on_older_kernels_too() {
    with_each_set_of_features(async || {
        for round in 0..200_u32 {
            assert_eq!(blocking(move || Ok(round)).await.unwrap(), round);
        }
        let start = Instant::now();
        sleep(Duration::from_millis(3)).await;
        assert!(start.elapsed() >= Duration::from_millis(3));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            let mut echoed = vec![0; 8 << 20];
            client.write_all(b"more, please").unwrap();
            client.read_exact(&mut echoed).unwrap();
            echoed.iter().all(|byte| *byte == 7)
        });
        let socket = Socket::adopt(listener.accept().unwrap().0.into(), &Deadlines::new(Duration::from_secs(1)));
        let mut request = [0; 12];
        let mut got = 0;
        while got < request.len() {
            got += socket.read(&mut request[got..]).await.unwrap();
        }
        // More than a socket takes at once, so that the ring is asked when it takes more.
        socket.write_all(&vec![7; 8 << 20], Duration::from_secs(60)).await.unwrap();
        assert!(client.join().unwrap());

        let folder = std::env::temp_dir().join(format!("tidewire-features-{}", std::process::id()));
        let disk = RingDisk::new();
        disk.create_dir(&folder).await.unwrap();
        let file = disk.open(&folder.join("file"), OpenMode::Create).await.unwrap();
        for block in 0..16_u8 {
            let mut buffer = disk.buffer(DISK_ALIGN);
            buffer.as_mut().fill(block);
            file.write_durable(u64::from(block) * DISK_ALIGN as u64, buffer).await.unwrap();
        }
        let read = file.read(15 * DISK_ALIGN as u64, DISK_ALIGN).await.unwrap();
        assert_eq!(read.as_ref(), [15; DISK_ALIGN]);
        file.close().await.unwrap();
        disk.remove(&folder.join("file")).await.unwrap();
        std::fs::remove_dir(&folder).unwrap();
    });
}

#[test]
fn a_core_ends_with_operations_in_flight_on_older_kernels_too() {
    with_each_set_of_features(async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::adopt(listener.accept().unwrap().0.into(), &Deadlines::new(Duration::from_secs(1)));
        let writing = async move {
            let _client = client;
            // The peer reads nothing: the wait for room has no end of its own.
            socket.write_all(&vec![0; 64 << 20], Duration::from_secs(1000)).await
        };
        Queues::new().spawn(Queue::Ingest, "test", async move { drop(writing.await) }).detach();
        for _ in 0..10 {
            yield_now().await;
        }
    });
}

#[test]
fn a_poll_that_the_kernel_ends_is_armed_again() {
    const SOURCES: usize = 64;
    with_each_set_of_features(async || {
        // A ring of 8 entries has room for 64 completions: with more than that at once the kernel ends polls.
        let ends: Vec<_> = (0..SOURCES * 8).map(|_| event().unwrap()).collect();
        let (signals, waiters): (Vec<_>, Vec<_>) =
            ends.into_iter().map(|(signal, listener)| (signal, listener.listen())).unzip();
        // The first wait may end without a signal.
        for waiter in &waiters {
            or(waiter.wait(), yield_now()).await;
        }
        for round in 0..5 {
            signals.iter().for_each(super::event::Signal::raise);
            for (number, waiter) in waiters.iter().enumerate() {
                let heard = async {
                    waiter.wait().await;
                    true
                };
                let deaf = async {
                    sleep(Duration::from_secs(20)).await;
                    false
                };
                assert!(or(heard, deaf).await, "round {round}: source {number} is deaf");
            }
        }
    });
}
