//! Many tasks of one caller side by side, without a thread or an executor of their own.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Runs `tasks` side by side, at most `at_once` of them, and gives what they gave in their order.
pub(crate) async fn together<T, F: Future<Output = T>>(tasks: impl Iterator<Item = F>, at_once: usize) -> Vec<T> {
    let mut tasks = tasks.enumerate();
    let mut running: Vec<Running<F>> = Vec::new();
    let mut done: Vec<(usize, T)> = Vec::new();
    let caller = Arc::new(Mutex::new(Waker::noop().clone()));
    std::future::poll_fn(|context| {
        caller.lock().unwrap_or_else(PoisonError::into_inner).clone_from(context.waker());
        loop {
            let free = at_once.max(1) - running.len();
            running.extend(tasks.by_ref().take(free).map(|(number, task)| Running::new(number, task, &caller)));
            let done_before = done.len();
            running.retain_mut(|task| match task.poll_if_woken() {
                Some(value) => {
                    done.push((task.number, value));
                    false
                }
                None => true,
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

/// A task with a waker of its own: the others are not polled for what it has waited for.
struct Running<F> {
    number: usize,
    task: Pin<Box<F>>,
    woken: Arc<Woken>,
}

/// Whether a task is to be polled.
struct Woken {
    is_woken: AtomicBool,
    /// Of the task that runs all of them, as it was polled last.
    caller: Arc<Mutex<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            let caller = self.caller.lock().unwrap_or_else(PoisonError::into_inner).clone();
            caller.wake();
        }
    }
}

impl<F: Future> Running<F> {
    fn new(number: usize, task: F, caller: &Arc<Mutex<Waker>>) -> Self {
        let woken = Woken { is_woken: AtomicBool::new(true), caller: caller.clone() };
        Self { number, task: Box::pin(task), woken: Arc::new(woken) }
    }

    fn poll_if_woken(&mut self) -> Option<F::Output> {
        if !self.woken.is_woken.swap(false, Ordering::AcqRel) {
            return None;
        }
        let waker = Waker::from(self.woken.clone());
        match self.task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_lite::future::{block_on, poll_fn, yield_now, zip};

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks_and_few_run_at_once() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let task = async |number: usize| {
            now.set(now.get() + 1);
            most.set(now.get().max(most.get()));
            for _ in 0..(number * 7) % 5 {
                yield_now().await;
            }
            now.set(now.get() - 1);
            number
        };
        let done = block_on(together((0..50).map(task), 4));
        assert_eq!((done, most.get()), ((0..50).collect(), 4));
        assert!(block_on(together(std::iter::empty::<std::future::Ready<()>>(), 4)).is_empty());
    }

    #[test]
    fn a_task_is_polled_when_it_was_woken_and_not_for_others() {
        let wakers: RefCell<Vec<Option<Waker>>> = RefCell::new(vec![None; 8]);
        let (polls, open) = (Cell::new(0), RefCell::new([false; 8]));
        let task = |number: usize| {
            poll_fn({
                let (wakers, polls, open) = (&wakers, &polls, &open);
                move |context| {
                    polls.set(polls.get() + 1);
                    if open.borrow()[number] {
                        return Poll::Ready(number);
                    }
                    wakers.borrow_mut()[number] = Some(context.waker().clone());
                    Poll::Pending
                }
            })
        };
        let waking = async {
            for number in (0..8).rev() {
                yield_now().await;
                open.borrow_mut()[number] = true;
                let waker = wakers.borrow_mut()[number].take();
                waker.unwrap().wake();
            }
        };
        let (done, ()) = block_on(zip(together((0..8).map(task), 8), waking));
        assert_eq!((done, polls.get()), ((0..8).collect(), 16));
    }
}
