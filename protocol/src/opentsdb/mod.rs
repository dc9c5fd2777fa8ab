//! OpenTSDB's data points: a metric is a table, its tags are tags, its value is the field `value`, always a float.
//!
//! `text.rs` reads lines, as the telnet protocol has them behind `put`; `json.rs` reads what clients send to
//! `/api/put`. Both take a body as it arrives, and take points by their text alone where it was seen (`known.rs`).

mod json;
mod known;
mod text;

pub use json::JsonPoints;
pub use text::TextPoints;

/// The one field.
const VALUE: &str = "value";
