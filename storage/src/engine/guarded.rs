//! What a shard's parts change together, and that nobody looks at it once a panic has left it half changed.
//!
//! As a lock is poisoned: a change that ends by a panic breaks the value, and what borrows it afterwards panics too,
//! before it acts on what is not true. Those who catch panics ask [`Guarded::is_broken`] first.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::ops::{Deref, DerefMut};

/// A value that a panic breaks while it is changed.
#[derive(Debug)]
pub(super) struct Guarded<T> {
    value: RefCell<T>,
    is_broken: Cell<bool>,
}

/// The right to change a guarded value.
pub(super) struct Change<'a, T> {
    value: RefMut<'a, T>,
    is_broken: &'a Cell<bool>,
    /// What runs while a panic unwinds, and does not panic itself, breaks nothing.
    was_panicking: bool,
}

impl<T> Guarded<T> {
    /// A value that is whole.
    pub(super) fn new(value: T) -> Self {
        Self { value: RefCell::new(value), is_broken: Cell::default() }
    }

    /// To look at.
    ///
    /// # Panics
    ///
    /// When the value is broken, or is being changed.
    pub(super) fn borrow(&self) -> Ref<'_, T> {
        self.check();
        self.value.borrow()
    }

    /// To change.
    ///
    /// # Panics
    ///
    /// When the value is broken, or somebody looks at it.
    pub(super) fn borrow_mut(&self) -> Change<'_, T> {
        self.check();
        self.change(self.value.borrow_mut())
    }

    /// To change, if nobody looks at it and it is whole.
    pub(super) fn try_borrow_mut(&self) -> Option<Change<'_, T>> {
        let value = self.value.try_borrow_mut().ok().filter(|_| !self.is_broken.get())?;
        Some(self.change(value))
    }

    /// Whether a change has ended by a panic.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.get()
    }

    fn change<'a>(&'a self, value: RefMut<'a, T>) -> Change<'a, T> {
        Change { value, is_broken: &self.is_broken, was_panicking: std::thread::panicking() }
    }

    fn check(&self) {
        assert!(!self.is_broken.get(), "BUG: an earlier panic has left the shard half changed");
    }
}

impl<T> Deref for Change<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Change<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Change<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            self.is_broken.set(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn panics(call: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(call)).is_err()
    }

    #[test]
    fn a_panic_in_a_change_breaks_the_value_and_one_beside_it_does_not() {
        let guarded = Guarded::new(1);
        *guarded.borrow_mut() += 1;
        assert!(panics(|| panic!("{}", guarded.borrow())));
        assert!(!guarded.is_broken() && *guarded.borrow() == 2);
        assert!(panics(|| {
            *guarded.borrow_mut() += 1;
            panic!("the change is over")
        }));
        assert!(!guarded.is_broken() && *guarded.borrow() == 3);
        assert!(panics(|| {
            let mut value = guarded.borrow_mut();
            *value += 1;
            panic!("in the middle")
        }));
        assert!(guarded.is_broken() && guarded.try_borrow_mut().is_none());
        assert!(panics(|| drop(guarded.borrow())) && panics(|| drop(guarded.borrow_mut())));
    }

    #[test]
    fn a_whole_change_while_a_panic_unwinds_breaks_nothing() {
        struct Last<'a>(&'a Guarded<i32>);
        impl Drop for Last<'_> {
            fn drop(&mut self) {
                *self.0.borrow_mut() += 1;
            }
        }
        let guarded = Guarded::new(1);
        assert!(panics(|| {
            let _last = Last(&guarded);
            panic!("elsewhere")
        }));
        assert!(!guarded.is_broken() && *guarded.borrow() == 2);
    }
}
