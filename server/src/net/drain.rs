//! The end of a core's connections, after the shutdown was requested and no more are accepted.
//!
//! ```text
//!   requested   what comes on open connections gets 503; the reply to the last that is here says `Connection: close`
//!   Closing     half a second later: connections that wait for a request are closed; half a head gets 503
//!   Cutting     `http.drain_timeout_s` after the request: what still runs gets 503, a reply that has begun breaks off
//!   Leaving     a little later: the same for what was held
//! ```
//!
//! The pause before the first closing is for clients that send one request after the other: each of them finds its
//! connection open once more, and learns from the reply that it closes. A connection that is closed while a request is
//! on its way to it loses the request without a word.
//!
//! What has begun to hand a write to its shards holds its task ([`ring::hold`]): it is not cut between two of them, but
//! for the last stage, when shards have not answered for long.
//!
//! How: the task of each connection is registered and woken at each stage; between the stages this costs nothing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::ring;
use crate::ring::deadline::Deadlines;
use crate::runtime::shutdown::Shutdown;

/// How long a connection that waits for a request is left open.
const QUIET_TIME: Duration = Duration::from_millis(500);

/// How long what is held may still take, then clients to take a last reply, and then connections to close.
const HELD_TIME: Duration = Duration::from_millis(1500);
const REPLY_TIME: Duration = Duration::from_secs(1);
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// How often an ending core looks whether connections are open.
const LOOK: Duration = Duration::from_millis(2);

/// How far the end of a core's connections has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Stage {
    #[default]
    Open,
    Closing,
    Cutting,
    Leaving,
}

/// The stage, and the tasks that are woken at the next.
#[derive(Debug, Default)]
pub(super) struct Drain {
    stage: Cell<Stage>,
    tasks: RefCell<Slab<Waker>>,
}

/// The registration of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainKey(usize);

impl Drain {
    /// Has the calling task woken at each stage.
    pub(super) async fn register(&self) -> DrainKey {
        poll_fn(|context| Poll::Ready(DrainKey(self.tasks.borrow_mut().insert(context.waker().clone())))).await
    }

    pub(super) fn forget(&self, key: DrainKey) {
        self.tasks.borrow_mut().remove(key.0);
    }

    /// What `future` gives; `None` where the stage comes first. The calling task must be registered.
    pub(super) async fn before<T>(&self, stage: Stage, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut is_last_look = false;
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.stage.get() < stage => Poll::Pending,
            // It is asked again when it goes on.
            Poll::Pending if ring::is_held() && self.stage.get() < Stage::Leaving => Poll::Pending,
            Poll::Pending if is_last_look => Poll::Ready(None),
            Poll::Pending => {
                // It may have done no more than to yield.
                is_last_look = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await
    }

    fn advance(&self, stage: Stage) {
        self.stage.set(stage);
        // A waker may run anything but a task.
        let tasks: Vec<Waker> = self.tasks.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        tasks.into_iter().for_each(Waker::wake);
    }

    /// Goes through all stages: `is_over` when no connection is open. What is under way, `in_flight`, has `time_max` to
    /// finish. Returns how much of it was cut.
    pub(super) async fn run(
        &self,
        is_over: impl Fn() -> bool,
        in_flight: impl Fn() -> usize,
        deadlines: &Deadlines,
        time_max: Duration,
        shutdown: &Shutdown,
    ) -> usize {
        let start = Instant::now();
        wait(QUIET_TIME.min(time_max), || is_over() || shutdown.is_urgent()).await;
        self.advance(Stage::Closing);
        wait(time_max.saturating_sub(start.elapsed()), || is_over() || shutdown.is_urgent()).await;
        let cut = in_flight();
        self.advance(Stage::Cutting);
        wait(HELD_TIME, &is_over).await;
        self.advance(Stage::Leaving);
        wait(REPLY_TIME, &is_over).await;
        deadlines.expire_all();
        wait(CLOSE_TIME, &is_over).await;
        cut
    }
}

/// Waits until `is_met`, but not longer than `time_max`.
async fn wait(time_max: Duration, is_met: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_met() && start.elapsed() < time_max {
        ring::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_lite::future::{block_on, poll_once, yield_now};

    use super::*;
    use crate::ring::testing::on_a_core;

    #[test]
    fn what_is_ready_wins_and_what_only_yields_is_asked_once_more() {
        block_on(async {
            let drain = Drain::default();
            let key = drain.register().await;
            assert_eq!(drain.before(Stage::Closing, ready(1)).await, Some(1));
            drain.advance(Stage::Closing);
            assert_eq!(drain.before(Stage::Closing, ready(2)).await, Some(2));
            let yielding = async {
                yield_now().await;
                3
            };
            assert_eq!(drain.before(Stage::Closing, yielding).await, Some(3));
            assert_eq!(drain.before(Stage::Closing, pending::<u8>()).await, None);
            drain.forget(key);
            assert!(drain.tasks.borrow().is_empty());
        });
    }

    #[test]
    fn what_is_held_is_not_cut() {
        on_a_core(async || {
            let drain = Drain::default();
            drain.advance(Stage::Cutting);
            let handing_over = async {
                let held = ring::hold();
                for _ in 0..5 {
                    yield_now().await;
                }
                drop(held);
                pending::<()>().await;
            };
            let mut steps = 0;
            let mut cut = pin!(drain.before(Stage::Cutting, handing_over));
            while poll_once(cut.as_mut()).await.is_none() {
                steps += 1;
                yield_now().await;
            }
            assert!(steps >= 5, "{steps}");
            drain.advance(Stage::Leaving);
            let held = async {
                let _held = ring::hold();
                pending::<()>().await;
            };
            assert_eq!(drain.before(Stage::Cutting, held).await, None);
        });
    }

    #[test]
    fn a_stage_wakes_what_waits_for_it_and_not_what_waits_for_the_next() {
        let drain = Drain::default();
        let (mut closing, mut cutting) = (
            pin!(async {
                drain.register().await;
                drain.before(Stage::Closing, pending::<()>()).await
            }),
            pin!(async {
                drain.register().await;
                drain.before(Stage::Cutting, pending::<()>()).await
            }),
        );
        let poll = |future: std::pin::Pin<&mut dyn Future<Output = Option<()>>>| {
            let mut context = std::task::Context::from_waker(Waker::noop());
            future.poll(&mut context).is_ready()
        };
        assert!(!poll(closing.as_mut()) && !poll(cutting.as_mut()));
        drain.advance(Stage::Closing);
        assert!(!poll(closing.as_mut()), "one more look");
        assert!(poll(closing.as_mut()) && !poll(cutting.as_mut()));
        drain.advance(Stage::Cutting);
        assert!(!poll(cutting.as_mut()));
        assert!(poll(cutting.as_mut()));
    }
}
