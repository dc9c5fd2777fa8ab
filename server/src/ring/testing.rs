//! A core for tests.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use super::{CoreOptions, RingFeatures, start_core};

/// A core that is pinned nowhere, with a small ring.
pub(crate) fn options() -> CoreOptions {
    CoreOptions {
        name: "test-core".to_owned(),
        cpu: None,
        io_memory_bytes: 64 << 10,
        ring_depth: 8,
        preempt: Duration::from_millis(1),
        features: RingFeatures::default(),
    }
}

/// Runs `test` on a core of its own.
pub(crate) fn on_a_core<T: Send + 'static>(test: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    on_a_core_in_slices(Duration::from_millis(1), test)
}

/// The same with slices of this length.
pub(crate) fn on_a_core_in_slices<T: Send + 'static>(
    preempt: Duration,
    test: impl AsyncFnOnce() -> T + Send + 'static,
) -> T {
    on_a_core_with(CoreOptions { preempt, ..options() }, test)
}

/// The same on a core with these options.
pub(crate) fn on_a_core_with<T: Send + 'static>(
    options: CoreOptions,
    test: impl AsyncFnOnce() -> T + Send + 'static,
) -> T {
    start_core(options, move || async move { test().await }).unwrap().join().unwrap()
}
