//! Line protocol: in any pieces, and with warm caches, the same rows and the same faults.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, sizes};
use tidewire_protocol::line::{Dialect, LineError, LineParser, LineSink, State, TimeRule};
use tidewire_protocol::row::{FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, SeriesRef, SeriesSlot};

/// Writes down what it gets, by content and not by slot.
#[derive(Default)]
struct Sink {
    series: Vec<String>,
    layouts: Vec<Vec<(String, FieldKind)>>,
    told: Vec<String>,
}

impl RowSink for Sink {
    type Refusal = String;

    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<String>> {
        self.series.push(format!("{series:?}"));
        Ok(SeriesSlot(self.series.len() as u32 - 1))
    }

    fn layout(&mut self, _: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<String>> {
        self.layouts.push(fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect());
        Ok(LayoutSlot(self.layouts.len() as u32 - 1))
    }

    fn row(
        &mut self,
        series: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), String> {
        let fields = &self.layouts[layout.0 as usize];
        assert_eq!(fields.len(), values.len());
        let show = |((name, kind), value): (&(String, FieldKind), &RawValue)| match kind {
            FieldKind::Int => format!("{name}={}i", value.int()),
            FieldKind::UInt => format!("{name}={}u", value.uint()),
            FieldKind::Float => format!("{name}={:?}", value.float()),
            FieldKind::Bool => format!("{name}={}", value.bool()),
            FieldKind::String => format!("{name}={:?}", value.string(text).escape_ascii().to_string()),
        };
        let fields: Vec<String> = fields.iter().zip(values).map(show).collect();
        self.told.push(format!("{} {fields:?} {time}", self.series[series.0 as usize]));
        Ok(())
    }

    fn refuse(&mut self, position: Position, reason: String) -> Next {
        panic!("this sink refuses nothing: {position}: {reason}");
    }
}

impl LineSink for Sink {
    fn fault(&mut self, error: &LineError<'_>) -> Next {
        self.told.push(format!("{error:?}"));
        Next::Continue
    }
}

fn told(
    parser: &mut LineParser,
    sink: &mut Sink,
    rule: &TimeRule,
    body: &[u8],
    mut piece_bytes: impl FnMut() -> usize,
) -> Vec<String> {
    parser.begin();
    let (mut start, mut end) = (0, 0);
    loop {
        end = body.len().min(end + piece_bytes());
        let last = end == body.len();
        loop {
            let progress = parser.parse(&body[start..end], last, rule, sink);
            start += progress.consumed;
            assert!(start <= end);
            if !matches!(progress.state, State::Yielded | State::Paused) {
                break;
            }
        }
        if last {
            return std::mem::take(&mut sink.told);
        }
    }
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let dialect = [Dialect::Influx, Dialect::Cnos][usize::from(choices.number(2))];
    let (multiply, divide) = [(1, 1), (1_000, 1), (1_000_000_000, 1), (1, 1_000)][usize::from(choices.number(4))];
    let seed = choices.number(u8::MAX);
    let body = choices.rest();
    let rule = TimeRule { multiply, divide, now: 7 };
    let (mut parser, mut sink) = (LineParser::new(dialect), Sink::default());
    let cold = told(&mut parser, &mut sink, &rule, body, || usize::MAX / 2);
    let warm = told(&mut parser, &mut sink, &rule, body, || usize::MAX / 2);
    assert_eq!(cold, warm);
    let pieces = told(&mut LineParser::new(dialect), &mut Sink::default(), &rule, body, sizes(seed));
    // How an error shows the end of a line that is cut is its own affair; that there is one is not.
    assert_eq!(cold, pieces);
});
