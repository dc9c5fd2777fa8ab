//! Prometheus' remote write, `/api/v1/prom/write`.

mod write;

pub use write::write;
