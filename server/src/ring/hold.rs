//! Tasks that are not to be cut short just now.
//!
//! A task that is being dropped stops where it waits. Between two steps that belong together it holds on to its life:
//! where tasks are cut, as at the end of the server, those are left for a while ([`is_held`]).

use std::fmt;
use std::sync::Arc;

use super::current::core_here;
use super::wake::Handle;

/// The running task is held until this is dropped. Nothing off a core.
#[must_use = "the task is held no longer than this lives"]
pub struct Hold(Option<Arc<Handle>>);

/// Holds the running task.
pub fn hold() -> Hold {
    let core = core_here();
    let handle = core.as_ref().and_then(|core| core.running());
    if let (Some(core), Some(handle)) = (core, &handle) {
        core.change_holds(handle, 1);
    }
    Hold(handle)
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let (Some(core), Some(handle)) = (core_here(), &self.0) {
            core.change_holds(handle, -1);
        }
    }
}

/// Whether the running task is held.
pub fn is_held() -> bool {
    core_here().is_some_and(|core| core.is_running_held())
}

#[cfg(test)]
mod tests {
    use futures_lite::future::yield_now;

    use super::*;
    use crate::ring::testing::on_a_core;
    use crate::ring::{Queue, Queues};

    #[test]
    fn a_task_is_held_for_as_long_as_one_of_its_holds_lives_and_no_other_task_is() {
        on_a_core(async || {
            assert!(!is_held());
            let outer = hold();
            let other = Queues::new().spawn(Queue::Query, "test", async {
                let before = is_held();
                let _held = hold();
                yield_now().await;
                (before, is_held())
            });
            {
                let _inner = hold();
                yield_now().await;
                assert!(is_held());
            }
            assert!(is_held());
            drop(outer);
            assert!(!is_held());
            assert_eq!(other.await, (false, true));
        });
        assert!(!is_held());
        drop(hold());
    }
}
