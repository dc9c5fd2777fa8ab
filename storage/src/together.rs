//! Many tasks of one caller side by side, without a thread or an executor of their own.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Runs `tasks` side by side, at most `at_once` of them, and gives what they gave in their order.
pub(crate) async fn together<T, F: Future<Output = T>>(tasks: impl Iterator<Item = F>, at_once: usize) -> Vec<T> {
    let mut tasks = tasks.enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut done: Vec<(usize, T)> = Vec::new();
    poll_fn(|context| {
        loop {
            running.extend(tasks.by_ref().take(at_once - running.len()).map(|(number, task)| (number, Box::pin(task))));
            let done_before = done.len();
            running.retain_mut(|(number, task)| match task.as_mut().poll(context) {
                Poll::Ready(value) => {
                    done.push((*number, value));
                    false
                }
                Poll::Pending => true,
            });
            // Those that take the places are to be polled too.
            if done.len() == done_before {
                break;
            }
        }
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, value)| value).collect()
}
