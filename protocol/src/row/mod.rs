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
//!
//! A door that does not predict, as `line` does, has its rows by name. It fills a [`RowDraft`] (`draft.rs`) and gives
//! it to a [`RowTaker`] (`taker.rs`), which has the slots of names in a [`SlotCache`] (`slots.rs`); what it finds wrong
//! is a [`RowError`] (`error.rs`). A row that is one number can also be taken by the text around it, unread, where that
//! was seen before ([`SeriesText`], `texts.rs`). [`Apart`] (`apart.rs`) keeps entries of logs apart that name one time.

mod apart;
mod date;
mod draft;
mod error;
mod hash;
mod position;
mod sink;
mod slots;
mod taker;
mod texts;
mod time;
mod value;

pub use apart::Apart;
pub use date::parse_date;
pub use draft::{DraftMark, FIELD_NAMES_BYTES_MAX, FIELDS_MAX, NAME_BYTES_MAX, RowDraft};
pub use error::RowError;
pub use position::Position;
pub use sink::{BadRows, Halt, LayoutSlot, Next, RowSink, SeriesRef, SeriesSlot};
pub use slots::SlotCache;
pub use taker::RowTaker;
pub use texts::{SeriesText, TextForm};
pub use time::{TimeScale, parse_time};
pub use value::{FieldKind, RawValue, RowValues, TextTooLong};
