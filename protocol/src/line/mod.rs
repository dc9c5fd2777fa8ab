//! Line protocol: text in, rows out, at memory-scan speed.
//!
//! What it guarantees: [`LineParser`] gives its [`LineSink`] exactly the calls that the plain parser [`scalar`] would
//! give, except that it asks for a series or a layout once and not for every line. Whatever the text, nothing panics,
//! nothing is read outside it, and no line costs more than time linear in its length.
//!
//! How it is fast: it does not parse what it can predict.
//!
//! 1. *Series.* Clients send their series in the same order again and again. Each cached series knows which one came
//!    after it last time, so the guess is one comparison of some 200 bytes. Only when it fails are the bytes up to the
//!    first unescaped space hashed and looked up; a hit is always verified byte by byte.
//! 2. *Fields.* The series remembers its last layout: the field keys as text and the kinds of the values. Keys are
//!    compared in words, not parsed; values go to a reader for the kind that is expected.
//! 3. *New series.* They are expected to differ from the last one of their table in the values of their tags alone.
//! 4. *The rest.* A line that fits no guess goes to the scalar parser, whose answer feeds the caches.
//!
//! The rows go out through the neutral interface of [`crate::row`]; `sink.rs` is what lines ask beyond it, `error.rs`
//! what is wrong with a line, `rule.rs` what a line may be. `split.rs` finds line ends, `lines.rs` for others too,
//! `scalar/` is the specification, `cache.rs` and `shape.rs` hold what is predicted, `parser.rs` predicts, `value.rs`
//! reads what is expected and `escape.rs` takes the escapes out of strings. `write.rs` goes the other way.

mod cache;
mod decimal;
mod error;
mod escape;
mod key;
mod lines;
mod number;
mod parser;
mod progress;
mod rule;
pub mod scalar;
mod shape;
mod sink;
mod split;
#[cfg(test)]
mod tests;
mod value;
pub mod write;

pub use error::{LineError, LineReason};
pub use lines::{TextLine, next_line};
pub use parser::{BodyState, LineParser};
pub use progress::{Progress, State};
pub use rule::{Dialect, LINE_BYTES_MAX, TimeRule};
pub use sink::LineSink;
