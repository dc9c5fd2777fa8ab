//! A part of a task's work in another queue.
//!
//! A connection belongs to the queue of writes, and so does most of what it does. What a statement costs is a query's
//! work: for that part the connection's task moves to the queue of queries, where it gets the core in the queue's share
//! and slice by slice, and moves back when the part is over. It keeps what it has borrowed and is woken as ever;
//! nothing is spawned, copied or sent. See `docs/decisions/0006`.

use std::sync::Arc;

use futures_lite::future::yield_now;

use super::current::current;
use super::queue::Queue;
use super::wake::Handle;

/// Moves a task back where it was.
struct Home {
    task: Arc<Handle>,
    queue: Queue,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.task.set_queue(self.queue);
    }
}

/// Runs `future` in `queue`: the task that awaits this moves there, and back when `future` has ended or is dropped. The
/// first poll of `future` is in `queue` already; what follows it goes on in the same turn.
pub async fn within<T>(queue: Queue, future: impl Future<Output = T>) -> T {
    let task = current().running();
    let _home = task.map(|task| {
        let home = Home { queue: task.queue(), task };
        home.task.set_queue(queue);
        home
    });
    yield_now().await;
    future.await
}
