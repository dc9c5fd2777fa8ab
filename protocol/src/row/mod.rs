//! Rows on their way in, whatever text or message they came in.
//!
//! A *door* reads what a client sent (lines, JSON, protobuf) and knows no table; a [`RowSink`] knows tables and no
//! format. Between them a row is two handles, a time and one value a field, so nothing in it is looked up by name and
//! nothing is allocated for it:
//!
//! ```text
//!   door                                   sink
//!   table + sorted tags    ── series ──>   SeriesSlot      once a series, kept by the door
//!   ordered, typed fields  ── layout ──>   LayoutSlot      once a layout, kept by the door
//!   slots, time, values    ── row ─────>
//!                          <── Pause ───   something has to be waited for: stop before this row, come back with it
//!                          <── Refuse ──   this row is not taken, and why, in the sink's own terms
//!   Position + refusal     ── refuse ──>   Next            the sink notes it and says whether reading goes on
//! ```
//!
//! Only the door knows where in the request a row stands, so it is the door that gives a refusal its [`Position`]. What
//! a bad row means for the others of its request ([`BadRows`]) is the door's choice too, given to the sink as data.
//! What a door finds wrong by itself (a text that is no row) has a form of its own for each door, in a trait that
//! extends this one: `line::LineSink` is the first.
//!
//! `sink.rs` is the boundary, `value.rs` what a field holds, `position.rs` how a row is named.

mod position;
mod sink;
mod value;

pub use position::Position;
pub use sink::{BadRows, Halt, LayoutSlot, Next, RowSink, SeriesRef, SeriesSlot};
pub use value::{FieldKind, RawValue, RowValues, TextTooLong};
