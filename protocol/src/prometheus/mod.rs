//! Prometheus' remote write and remote read: a metric is a table, every label a tag (`__name__` among them), a sample a
//! row with the field `value`.
//!
//! Of writes, `first.rs` reads messages of version 1, `second.rs` those of version 2, in which texts stand once, in a
//! list of symbols. A stale marker is no value: its row has the field `__stale__` alone. Native histograms are refused,
//! series by series.
//!
//! Of reads, `request.rs` has the question and `answer.rs` both forms of the answer; meanwhile a series is its labels
//! (`labels.rs`) and its samples (`series.rs`), encoded as Prometheus does (`xor.rs`).

mod answer;
mod first;
mod labels;
mod names;
mod request;
mod sample;
mod second;
mod series;
mod xor;

pub use answer::{CHUNKS_TYPE, SAMPLES_TYPE, frame_chunks, push_frame, push_sample, series_bytes};
pub use labels::LabelKey;
pub use names::{NAME, STALE, STALE_MARKER, UNNAMED, VALUE, label_name, metric_name, tag_name};
pub use request::{Comparison, Matcher, ReadForm, ReadQuery, ReadRequest};
pub use sample::{RemoteWrite, Samples};
pub use second::{symbols, symbols_bytes};
pub use series::SampleSeries;
pub use xor::{XorChunk, XorSamples, XorWriter};
