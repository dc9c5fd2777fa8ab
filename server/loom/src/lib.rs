//! Models of what the cores of the server share, checked by loom.
//!
//! The sources are the server's own, taken in by path: under `cfg(loom)`, which this package's build script sets, they
//! use loom's atomics and cells, and [`loom::model`] runs each closure under every order of steps and every value a
//! load may see. What is modelled is all the atomics of the data path: the queue between two cores, the bell of a
//! sleeping core, and the credits of the shards.
#![cfg(test)]

#[path = "../../src/admission.rs"]
pub mod admission;
/// The part of the mesh that two threads touch.
#[path = "../../src/mesh"]
pub mod mesh {
    #[path = "bell/armed.rs"]
    pub(crate) mod armed;
    pub mod queue;
    mod sync;
}

mod models {
    mod admission;
    mod bell;
    mod queue;

    /// As [`loom::model`], but a thread is interrupted at most thrice in one run (waits do not count): faults of a few
    /// threads show with fewer, and without a bound three threads take hours.
    fn model_bounded(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }
}
