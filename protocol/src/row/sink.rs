//! The boundary between doors and tables; see the map in `mod.rs`.

use super::{FieldKind, Position, RawValue};

/// The sink's own handle of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesSlot(pub u32);

/// The sink's own handle of a table and an ordered list of its fields with their types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayoutSlot(pub u32);

/// A series by its names and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesRef<'a> {
    /// The table.
    pub table: &'a str,
    /// Tags, sorted by the bytes of their names. No name comes twice and no value is empty.
    pub tags: &'a [(&'a str, &'a str)],
}

/// Why a sink gives no slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt<R> {
    /// The sink must first do something that waits, a change of the schema for one. The door stops before this row and
    /// begins with it when it is called again.
    Pause,
    /// The row is refused, for this reason. The door tells [`RowSink::refuse`] which row it was.
    Refuse(R),
}

/// What follows a row that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next row.
    Continue,
    /// Nothing: the request is refused.
    Stop,
}

/// What a row that cannot be taken means for the other rows of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRows {
    /// Nothing of the request is written.
    RefuseAll,
    /// The others are written.
    KeepOthers,
}

/// Where rows go.
///
/// A door asks for slots when it meets a series or a layout and keeps them for as long as the sink keeps their meaning.
/// It asks only for rows that are valid as a whole by its own rules.
pub trait RowSink {
    /// Why this sink does not take a row.
    type Refusal;

    /// The slot of a series.
    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Self::Refusal>>;

    /// The slot of a list of fields of the table of `series`, in the order in which rows have them. No name comes
    /// twice.
    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Self::Refusal>>;

    /// The type of the field `name` of the table of `series`, where the sink knows that it has one.
    fn field_kind(&self, series: SeriesSlot, name: &str) -> Option<FieldKind> {
        let _ = (series, name);
        None
    }

    /// One row. `values` has one value a field of the layout, and strings are places in `text`, valid UTF-8 each. A
    /// refusal is of this row alone.
    fn row(
        &mut self,
        series: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), Self::Refusal>;

    /// The row at `position` was refused by this sink, for this reason.
    fn refuse(&mut self, position: Position, refusal: Self::Refusal) -> Next;
}
