//! Calls over the mesh: which task waits for which answer.
//!
//! A call is opened with its [`Permit`], its [`CallId`] travels in the request and comes back in each answer. The
//! permit is held until the last answer is in, also when the asking task has gone: the answers still on their way
//! need the room it guarantees. And no longer, also when nobody has taken the answer yet: so a task may open more calls
//! than a link has credits before it looks at the first answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::credit::Permit;

/// Names an open call of one core; meaningless on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    index: u32,
    /// Sets this call apart from earlier ones in the same place.
    generation: u32,
}

/// The open calls of one core, with answers of type `R`.
#[derive(Debug)]
pub struct Calls<R> {
    places: RefCell<Vec<Place<R>>>,
    free: RefCell<Vec<u32>>,
}

#[derive(Debug)]
struct Place<R> {
    generation: u32,
    open: Option<Open<R>>,
}

#[derive(Debug)]
struct Open<R> {
    /// Held for its drop, until the last answer is in.
    permit: Option<Permit>,
    answers: VecDeque<R>,
    is_complete: bool,
    is_abandoned: bool,
    waker: Option<Waker>,
}

/// The asking task's end of a call.
#[derive(Debug)]
pub struct Call<R> {
    calls: Rc<Calls<R>>,
    id: CallId,
}

impl<R> Calls<R> {
    /// No open calls.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { places: RefCell::default(), free: RefCell::default() })
    }

    /// Opens a call.
    pub fn open(self: &Rc<Self>, permit: Permit) -> Call<R> {
        let open = Open {
            permit: Some(permit),
            answers: VecDeque::new(),
            is_complete: false,
            is_abandoned: false,
            waker: None,
        };
        let mut places = self.places.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            places.push(Place { generation: 0, open: None });
            u32::try_from(places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        place.open = Some(open);
        Call { calls: Rc::clone(self), id: CallId { index, generation: place.generation } }
    }

    /// Hands an answer to its call. `last` closes the call. False if nobody wants the answer any more.
    pub fn deliver(&self, id: CallId, answer: R, last: bool) -> bool {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get_mut(id.index as usize).filter(|place| place.generation == id.generation) else {
            return false;
        };
        let Some(open) = place.open.as_mut() else { return false };
        let is_abandoned = open.is_abandoned;
        if !is_abandoned {
            open.answers.push_back(answer);
        }
        open.is_complete |= last;
        let permit = if last { open.permit.take() } else { None };
        let waker = open.waker.take();
        let freed = if last && is_abandoned { place.open.take() } else { None };
        drop(places);
        drop(permit);
        if let Some(open) = freed {
            self.free.borrow_mut().push(id.index);
            drop(open);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        !is_abandoned
    }

    /// Calls that are open or whose answers are still on their way.
    pub fn open_count(&self) -> usize {
        self.places.borrow().iter().filter(|place| place.open.is_some()).count()
    }
}

impl<R> Call<R> {
    /// The name to send along.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The next answer, or `None` after the last.
    pub async fn next(&mut self) -> Option<R> {
        std::future::poll_fn(|context| {
            let mut places = self.calls.places.borrow_mut();
            let Some(open) = places[self.id.index as usize].open.as_mut() else { return Poll::Ready(None) };
            match open.answers.pop_front() {
                Some(answer) => Poll::Ready(Some(answer)),
                None if open.is_complete => Poll::Ready(None),
                None => {
                    open.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The answer to a call that has one.
    pub async fn answer(mut self) -> R {
        match self.next().await {
            Some(answer) => answer,
            None => unreachable!("invariant: a call ends with an answer, and this one's was not taken before"),
        }
    }

    /// Whether the last answer has come (it may still wait to be taken). A call dropped before should be cancelled
    /// at the other core.
    pub fn is_complete(&self) -> bool {
        self.calls.places.borrow()[self.id.index as usize].open.as_ref().is_none_or(|open| open.is_complete)
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        let mut places = self.calls.places.borrow_mut();
        let place = &mut places[self.id.index as usize];
        let Some(open) = place.open.as_mut() else { return };
        if open.is_complete {
            let open = place.open.take();
            drop(places);
            self.calls.free.borrow_mut().push(self.id.index);
            drop(open);
        } else {
            open.is_abandoned = true;
            open.waker = None;
            let answers = std::mem::take(&mut open.answers);
            drop(places);
            drop(answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::super::credit::Credits;
    use super::*;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn answers_arrive_in_order_and_end() {
        let (calls, credits) = (Calls::new(), Credits::new(4));
        let mut call = calls.open(credits.try_take(2).unwrap());
        assert_eq!(poll(call.next()), Poll::Pending);
        assert!(calls.deliver(call.id(), "one", false));
        assert!(calls.deliver(call.id(), "two", true));
        assert_eq!(poll(call.next()), Poll::Ready(Some("one")));
        assert_eq!(poll(call.next()), Poll::Ready(Some("two")));
        assert_eq!(poll(call.next()), Poll::Ready(None));
        drop(call);
        assert_eq!((calls.open_count(), credits.free()), (0, 4));
    }

    #[test]
    fn an_abandoned_call_keeps_its_credits_until_the_last_answer() {
        let (calls, credits) = (Calls::new(), Credits::new(4));
        let call = calls.open(credits.try_take(3).unwrap());
        let id = call.id();
        drop(call);
        assert!(!calls.deliver(id, 1, false));
        assert_eq!(credits.free(), 1);
        assert!(!calls.deliver(id, 2, true));
        assert_eq!((calls.open_count(), credits.free()), (0, 4));

        let mut next = calls.open(credits.try_take(1).unwrap());
        assert!(!calls.deliver(id, 3, true), "an answer to the earlier call in the same place");
        assert_eq!(poll(next.next()), Poll::Pending);
    }

    #[test]
    fn a_task_may_open_more_calls_than_there_are_credits_before_it_takes_an_answer() {
        let credits = Credits::new(2);
        let calls = Calls::<u32>::new();
        let mut open = Vec::new();
        for number in 0..10 {
            let Poll::Ready(permit) = poll(credits.take(1)) else { panic!("call {number} finds no credit") };
            let call = calls.open(permit);
            assert!(calls.deliver(call.id(), number, true));
            open.push(call);
        }
        assert_eq!(credits.free(), 2);
        for (number, mut call) in (0..).zip(open) {
            assert_eq!(poll(call.next()), Poll::Ready(Some(number)));
            assert_eq!(poll(call.next()), Poll::Ready(None));
        }
        assert_eq!((calls.open_count(), credits.free()), (0, 2));
    }
}
