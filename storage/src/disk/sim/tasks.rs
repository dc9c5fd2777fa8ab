//! Tasks of one thread, run in an order that a seed decides.
//!
//! Each step polls one of the tasks that have been woken, and stops the run where the task [works](crate::work) for too
//! long in it. A run ends when the main future is done, after a given number of steps (a crash at any point), or when
//! nobody is awake: then a wake-up was lost or all wait for each other, which a real executor would show as a server
//! that hangs.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::random::Random;
use crate::work;

/// Tasks beside a main future. Dropping them stops them where they are, as the death of a process would.
pub struct SimTasks<'a> {
    random: Random,
    tasks: Vec<Task<'a>>,
    steps: u64,
}

struct Task<'a> {
    /// `None` when it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    awake: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimEnd<T> {
    /// The main future is done.
    Done(T),
    /// It is not, after all the steps it was given, or because it was to stop before.
    Steps,
    /// It is not, and no task will ever wake another.
    Stuck,
}

impl<'a> SimTasks<'a> {
    /// No tasks yet.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), tasks: Vec::new(), steps: 0 }
    }

    /// Adds a task.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) {
        self.tasks.push(Task { future: Some(Box::pin(future)), awake: Arc::new(Flag(AtomicBool::new(true))) });
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Runs `main` and the tasks for at most `steps_max` steps.
    pub fn run<T>(&mut self, main: impl Future<Output = T>, steps_max: u64) -> SimEnd<T> {
        self.run_until(main, steps_max, || false)
    }

    /// The same, no further than to the step after which `stop` holds.
    pub fn run_until<T>(
        &mut self,
        main: impl Future<Output = T>,
        steps_max: u64,
        stop: impl Fn() -> bool,
    ) -> SimEnd<T> {
        let mut main = pin!(main);
        let main_awake = Arc::new(Flag(AtomicBool::new(true)));
        let main_waker = Waker::from(Arc::clone(&main_awake));
        let mut ready = Vec::new();
        for _ in 0..steps_max {
            if stop() {
                break;
            }
            ready.clear();
            let is_awake = |task: &Task<'_>| task.future.is_some() && task.awake.0.load(Ordering::Relaxed);
            ready.extend((0..self.tasks.len()).filter(|number| is_awake(&self.tasks[*number])));
            if main_awake.0.load(Ordering::Relaxed) {
                ready.push(self.tasks.len());
            }
            if ready.is_empty() {
                return SimEnd::Stuck;
            }
            self.steps += 1;
            // What the caller did between is nobody's.
            work::take();
            let number = ready[self.random.below(ready.len() as u64) as usize];
            let Some(task) = self.tasks.get_mut(number) else {
                main_awake.0.store(false, Ordering::Relaxed);
                let polled = main.as_mut().poll(&mut Context::from_waker(&main_waker));
                work::end_stretch("the end of a poll");
                match polled {
                    Poll::Ready(done) => return SimEnd::Done(done),
                    Poll::Pending => continue,
                }
            };
            task.awake.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&task.awake));
            if let Some(future) = &mut task.future
                && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            {
                task.future = None;
            }
            work::end_stretch("the end of a poll");
        }
        SimEnd::Steps
    }
}

impl fmt::Debug for SimTasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.tasks.iter().filter(|task| task.future.is_some()).count();
        f.debug_struct("SimTasks").field("running", &running).field("steps", &self.steps).finish_non_exhaustive()
    }
}
