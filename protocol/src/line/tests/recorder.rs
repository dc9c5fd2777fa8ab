//! A sink that writes down what it receives, by content and not by slot, so that two parsers can be compared although
//! one of them asks more often.

use std::collections::HashMap;

use crate::line::{LineError, LineReason, LineSink};
use crate::row::{FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, SeriesRef, SeriesSlot};

/// One thing the sink was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Row { series: String, fields: Vec<(String, String)>, time: i64, text: Vec<u8> },
    Error { line: u64, offset: u64, column: usize, reason: LineReason },
    Refused { position: Position, reason: String },
}

#[derive(Default)]
pub(super) struct Recorder {
    pub(super) events: Vec<Event>,
    pub(super) series_asked: usize,
    pub(super) layouts_asked: usize,
    pub(super) siblings_asked: usize,
    /// Every n-th call of `series` or `layout` asks for a pause; 0 is never.
    pub(super) pause_every: usize,
    /// Refuses tables of this name.
    pub(super) refused_table: Option<&'static str>,
    /// Refuses rows of this time.
    pub(super) refused_time: Option<i64>,
    /// Stops at the first line that gives no row.
    pub(super) stop: bool,
    asked: usize,
    series: HashMap<String, u32>,
    series_names: Vec<(String, String)>,
    /// By slot.
    tag_keys: Vec<Vec<String>>,
    layouts: HashMap<(String, Vec<(String, FieldKind)>), u32>,
    layout_fields: Vec<(String, Vec<(String, FieldKind)>)>,
}

impl Recorder {
    fn pause(&mut self) -> Result<(), Halt<String>> {
        self.asked += 1;
        if self.pause_every > 0 && self.asked.is_multiple_of(self.pause_every) { Err(Halt::Pause) } else { Ok(()) }
    }
}

impl Recorder {
    fn next(&self) -> Next {
        if self.stop { Next::Stop } else { Next::Continue }
    }
}

impl RowSink for Recorder {
    type Refusal = String;

    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<String>> {
        self.series_asked += 1;
        self.pause()?;
        if self.refused_table == Some(series.table) {
            return Err(Halt::Refuse(format!("no table {}", series.table)));
        }
        assert!(series.tags.is_sorted_by(|left, right| left.0 < right.0), "{series:?}");
        let name = format!("{:?} {:?}", series.table, series.tags);
        let next = self.series_names.len() as u32;
        let slot = *self.series.entry(name.clone()).or_insert(next);
        if slot == next {
            self.series_names.push((series.table.to_owned(), name));
            self.tag_keys.push(series.tags.iter().map(|tag| tag.0.to_owned()).collect());
        }
        Ok(SeriesSlot(slot))
    }

    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<String>> {
        self.layouts_asked += 1;
        self.pause()?;
        assert!(!fields.is_empty());
        let table = self.series_names[series.0 as usize].0.clone();
        let fields: Vec<_> = fields.iter().map(|&(name, kind)| (name.to_owned(), kind)).collect();
        let mut names: Vec<_> = fields.iter().map(|field| &field.0).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name twice: {fields:?}");
        let next = self.layout_fields.len() as u32;
        let slot = *self.layouts.entry((table.clone(), fields.clone())).or_insert(next);
        if slot == next {
            self.layout_fields.push((table, fields));
        }
        Ok(LayoutSlot(slot))
    }

    fn row(
        &mut self,
        series: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), String> {
        if self.refused_time == Some(time) {
            return Err(format!("not at {time}"));
        }
        let (measurement, series) = &self.series_names[series.0 as usize];
        let (table, fields) = &self.layout_fields[layout.0 as usize];
        assert_eq!(measurement, table, "a layout of another table");
        assert_eq!(fields.len(), values.len());
        let show = |(&(ref name, kind), value): (&(String, FieldKind), &RawValue)| {
            let value = match kind {
                FieldKind::Int => format!("{}i", value.int()),
                FieldKind::UInt => format!("{}u", value.uint()),
                FieldKind::Float => format!("{:?}", value.float()),
                FieldKind::Bool => format!("{}", value.bool()),
                FieldKind::String => format!("{:?}", std::str::from_utf8(value.string(text)).expect("UTF-8")),
            };
            (name.clone(), value)
        };
        let fields = fields.iter().zip(values).map(show).collect();
        self.events.push(Event::Row { series: series.clone(), fields, time, text: text.to_vec() });
        Ok(())
    }

    fn refuse(&mut self, position: Position, reason: String) -> Next {
        self.events.push(Event::Refused { position, reason });
        self.next()
    }
}

impl LineSink for Recorder {
    fn sibling(&mut self, like: SeriesSlot, values: &[&[u8]]) -> Option<SeriesSlot> {
        self.siblings_asked += 1;
        // Every seventh is to be asked for by its text.
        if self.siblings_asked.is_multiple_of(7) {
            return None;
        }
        let keys = self.tag_keys[like.0 as usize].clone();
        assert_eq!(keys.len(), values.len());
        let values = values.iter().map(|value| std::str::from_utf8(value).expect("UTF-8"));
        let tags: Vec<(&str, &str)> = keys.iter().map(String::as_str).zip(values).collect();
        let table = self.series_names[like.0 as usize].0.clone();
        let pause_every = std::mem::take(&mut self.pause_every);
        let slot = self.series(SeriesRef { table: &table, tags: &tags });
        self.pause_every = pause_every;
        slot.ok()
    }

    fn fault(&mut self, error: &LineError<'_>) -> Next {
        assert!(error.column >= 1 && error.column <= error.text.len() + 1, "{error:?}");
        self.events.push(Event::Error {
            line: error.line,
            offset: error.offset,
            column: error.column,
            reason: error.reason.clone(),
        });
        self.next()
    }
}
