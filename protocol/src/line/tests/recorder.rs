//! A sink that writes down what it is told, by content and not by slot, so that two parsers can be compared although
//! one of them asks more often.

use std::collections::HashMap;

use crate::line::{FieldKind, Flow, Halt, LayoutSlot, LineError, RawValue, RowSink, SeriesSlot, SeriesText};

/// One thing the sink was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Row { series: String, fields: Vec<(String, String)>, time: i64, text: Vec<u8> },
    Error { line: u64, offset: u64, column: usize, influx: String, cnos: (&'static str, String) },
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
    /// Stops at the first refused line.
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
    fn pause(&mut self) -> Result<(), Halt> {
        self.asked += 1;
        if self.pause_every > 0 && self.asked.is_multiple_of(self.pause_every) { Err(Halt::Pause) } else { Ok(()) }
    }
}

impl RowSink for Recorder {
    fn series(&mut self, series: &SeriesText<'_>) -> Result<SeriesSlot, Halt> {
        self.series_asked += 1;
        self.pause()?;
        if self.refused_table == Some(series.measurement.as_ref()) {
            return Err(Halt::Reject(format!("no table {}", series.measurement)));
        }
        assert!(series.tags.is_sorted_by(|left, right| left.0 < right.0), "{series:?}");
        let name = format!("{:?} {:?}", series.measurement, series.tags);
        let next = self.series_names.len() as u32;
        let slot = *self.series.entry(name.clone()).or_insert(next);
        if slot == next {
            self.series_names.push((series.measurement.to_string(), name));
            self.tag_keys.push(series.tags.iter().map(|tag| tag.0.to_string()).collect());
        }
        Ok(SeriesSlot(slot))
    }

    fn sibling(&mut self, like: SeriesSlot, values: &[&[u8]]) -> Option<SeriesSlot> {
        self.siblings_asked += 1;
        // Every seventh is to be asked for by its text.
        if self.siblings_asked.is_multiple_of(7) {
            return None;
        }
        let keys = self.tag_keys[like.0 as usize].clone();
        assert_eq!(keys.len(), values.len());
        let values = values.iter().map(|value| String::from_utf8(value.to_vec()).expect("UTF-8"));
        let tags: Vec<_> = keys.into_iter().zip(values).map(|(key, value)| (key.into(), value.into())).collect();
        let measurement = self.series_names[like.0 as usize].0.clone();
        let pause_every = std::mem::take(&mut self.pause_every);
        let slot = self.series(&SeriesText { raw: b"", measurement: measurement.into(), tags });
        self.pause_every = pause_every;
        slot.ok()
    }

    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt> {
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

    fn row(&mut self, series: SeriesSlot, layout: LayoutSlot, time: i64, values: &[RawValue], text: &[u8]) {
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
                FieldKind::String => {
                    assert!(std::str::from_utf8(&value.bytes(text)).is_ok());
                    format!("{:?}", value.text(text))
                }
            };
            (name.clone(), value)
        };
        let fields = fields.iter().zip(values).map(show).collect();
        self.events.push(Event::Row { series: series.clone(), fields, time, text: text.to_vec() });
    }

    fn reject(&mut self, error: &LineError<'_>) -> Flow {
        assert!(error.column >= 1 && error.column <= error.text.len() + 1, "{error:?}");
        self.events.push(Event::Error {
            line: error.line,
            offset: error.offset,
            column: error.column,
            influx: error.influx(),
            cnos: error.cnos(),
        });
        if self.stop { Flow::Stop } else { Flow::Continue }
    }
}
