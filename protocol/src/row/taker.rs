//! Where doors put rows that they have by name.

use super::{Next, Position, RowDraft, RowError};

/// Takes the rows of a request one by one, by name. Behind it stands a [`super::SlotCache`] and a [`super::RowSink`]:
/// pauses of the sink are over when a call returns, so a door need not know of them.
pub trait RowTaker {
    /// The row in `draft`, which stands at `position`. It is refused where the result is an error, which says what
    /// follows.
    fn take(&mut self, position: Position, draft: &mut RowDraft) -> Result<(), Next>;

    /// What stands at `position` is no row.
    fn fault(&mut self, position: Position, error: RowError) -> Next;

    /// Lets others have their turn if it is time. Doors whose documents nest call it after each item, and say with the
    /// result what follows: a list may have millions.
    fn turn(&mut self) -> impl Future<Output = Next>;
}
