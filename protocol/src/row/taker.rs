//! Where doors put rows that they have by name.

use super::{Next, Position, RawValue, RowDraft, RowError, SeriesText};

/// Takes the rows of a request one by one, by name. Behind it stands a [`super::SlotCache`] and a [`super::RowSink`]:
/// pauses of the sink are over when a call returns, so a door need not know of them.
pub trait RowTaker {
    /// The row in `draft`, which stands at `position`. It is refused where the result is an error, which says what
    /// follows.
    fn take(&mut self, position: Position, draft: &mut RowDraft) -> Result<(), Next>;

    /// The same of a draft with one field, a float, that was read from `text`: rows with this text are of its series.
    fn take_as(&mut self, position: Position, text: SeriesText<'_>, draft: &mut RowDraft) -> Result<(), Next>;

    /// Gives `is_it` the text of the series whose row is expected next, if one is.
    fn expects<T>(&mut self, is_it: impl FnOnce(SeriesText<'_>) -> Option<T>) -> Option<T>;

    /// Expects a row with this text next; `false` where [`Self::take_as`] has not seen it.
    fn expect(&mut self, text: SeriesText<'_>) -> bool;

    /// Takes rows of the series that is expected, which all stand at `position`: times in nanoseconds, and values. To
    /// be called in the same turn as what said that they are of this series.
    fn take_expected(&mut self, position: Position, rows: &mut [(i64, RawValue)]) -> Result<(), Next>;

    /// What stands at `position` is no row.
    fn fault(&mut self, position: Position, error: RowError) -> Next;

    /// Lets others have their turn if it is time. Doors whose documents nest call it after each item, and say with the
    /// result what follows: a list may have millions.
    fn turn(&mut self) -> impl Future<Output = Next>;
}
