//! What tests of several rooms need of this one.

use std::convert::Infallible;

use tidewire_protocol::line::{Dialect, LineError, LineParser, LineSink, TimeRule};
use tidewire_protocol::row::{FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, SeriesRef, SeriesSlot};

use super::fault::{BadRow, LineFault, RowFault};

/// Takes every row and keeps the first line that is none.
struct FirstBadLine(Option<BadRow>);

impl RowSink for FirstBadLine {
    type Refusal = Infallible;

    fn series(&mut self, _: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Infallible>> {
        Ok(SeriesSlot(0))
    }

    fn layout(&mut self, _: SeriesSlot, _: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
        Ok(LayoutSlot(0))
    }

    fn row(&mut self, _: SeriesSlot, _: LayoutSlot, _: i64, _: &[RawValue], _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn refuse(&mut self, _: Position, refusal: Infallible) -> Next {
        match refusal {}
    }
}

impl LineSink for FirstBadLine {
    fn fault(&mut self, error: &LineError<'_>) -> Next {
        self.0 = Some(BadRow { position: Position::Line(error.line), fault: RowFault::Line(LineFault::of(error)) });
        Next::Stop
    }
}

/// The first line of `body` that is no row.
///
/// # Panics
///
/// If all lines are rows.
pub fn first_bad_line(dialect: Dialect, body: &[u8]) -> BadRow {
    let mut sink = FirstBadLine(None);
    LineParser::new(dialect).parse(body, true, &TimeRule::identity(0), &mut sink);
    sink.0.unwrap_or_else(|| panic!("no bad line: {}", body.escape_ascii()))
}
