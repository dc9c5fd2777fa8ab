//! What lines ask of a sink beyond [`RowSink`].

use super::LineError;
use crate::row::{Next, RowSink, SeriesSlot};

/// Where the rows of lines go. The parser asks for slots only for a line that is valid as a whole, and only when its
/// own caches do not know them.
pub trait LineSink: RowSink {
    /// The slot of a series that differs from `like` in the values of its tags alone: `values` are theirs, in the order
    /// in which [`RowSink::series`] got those of `like`, each plain ASCII without separators and not empty. `None`: the
    /// sink wants to be asked by [`RowSink::series`]. A slot that is given is followed by a row of it at once.
    fn sibling(&mut self, like: SeriesSlot, values: &[&[u8]]) -> Option<SeriesSlot> {
        let _ = (like, values);
        None
    }

    /// A line is no row.
    fn fault(&mut self, error: &LineError<'_>) -> Next;
}
