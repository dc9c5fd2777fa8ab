//! A door that is no line parser: rows that come as data points and as spans are given to a sink by hand, with handles
//! asked for once, pauses, and refusals named by position.

use std::collections::HashMap;

use tidewire_protocol::row::{
    BadRows, FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, RowValues, SeriesRef, SeriesSlot,
};

/// Why the recorder takes no row: its own terms, not those of any door.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    NoSuchTable(String),
    TooOld(i64),
}

/// Writes down what it is given.
#[derive(Debug)]
struct Recorder {
    bad_rows: BadRows,
    /// The tables that exist; for any other it asks for a pause once, and takes it when it is there then.
    tables: Vec<&'static str>,
    wanted: Option<String>,
    time_min: i64,
    series: Vec<String>,
    layouts: Vec<Vec<(String, FieldKind)>>,
    rows: Vec<String>,
    refused: Vec<(Position, Refusal)>,
}

impl Recorder {
    fn new(bad_rows: BadRows) -> Self {
        Self {
            bad_rows,
            tables: vec!["cpu", "spans"],
            wanted: None,
            time_min: 0,
            series: Vec::new(),
            layouts: Vec::new(),
            rows: Vec::new(),
            refused: Vec::new(),
        }
    }
}

impl RowSink for Recorder {
    type Refusal = Refusal;

    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Refusal>> {
        if !self.tables.contains(&series.table) {
            let table = series.table.to_owned();
            if self.wanted.as_ref() == Some(&table) {
                return Err(Halt::Refuse(Refusal::NoSuchTable(table)));
            }
            self.wanted = Some(table);
            return Err(Halt::Pause);
        }
        let tags: Vec<String> = series.tags.iter().map(|(name, value)| format!(",{name}={value}")).collect();
        self.series.push(format!("{}{}", series.table, tags.concat()));
        Ok(SeriesSlot(self.series.len() as u32 - 1))
    }

    fn layout(&mut self, _: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Refusal>> {
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
    ) -> Result<(), Refusal> {
        if time < self.time_min {
            return Err(Refusal::TooOld(time));
        }
        let fields = self.layouts[layout.0 as usize].iter().zip(values).map(|((name, kind), value)| match kind {
            FieldKind::Int => format!("{name}={}i", value.int()),
            FieldKind::UInt => format!("{name}={}u", value.uint()),
            FieldKind::Float => format!("{name}={:?}", value.float()),
            FieldKind::Bool => format!("{name}={}", value.bool()),
            FieldKind::String => format!("{name}={:?}", String::from_utf8_lossy(value.string(text))),
        });
        let fields: Vec<String> = fields.collect();
        self.rows.push(format!("{} {} {time}", self.series[series.0 as usize], fields.join(",")));
        Ok(())
    }

    fn refuse(&mut self, position: Position, refusal: Refusal) -> Next {
        self.refused.push((position, refusal));
        match self.bad_rows {
            BadRows::RefuseAll => Next::Stop,
            BadRows::KeepOthers => Next::Continue,
        }
    }
}

/// A data point as a JSON reader hands it over: everything borrowed.
struct Point<'a> {
    metric: &'a str,
    /// Sorted.
    tags: &'a [(&'a str, &'a str)],
    time: i64,
    value: f64,
    note: &'a str,
}

const LAYOUT: [(&str, FieldKind); 2] = [("value", FieldKind::Float), ("note", FieldKind::String)];

/// What such a door keeps between requests: the handles by what they stand for.
#[derive(Default)]
struct PointDoor {
    series: HashMap<String, SeriesSlot>,
    layouts: HashMap<String, LayoutSlot>,
    values: RowValues,
}

impl PointDoor {
    /// Gives points from `from` on to the sink; gives back where it stopped, and whether that is for a pause.
    fn write<S: RowSink>(&mut self, points: &[Point<'_>], from: usize, sink: &mut S) -> (usize, bool) {
        for (at, point) in points.iter().enumerate().skip(from) {
            let outcome = match self.write_one(point, sink) {
                Ok(()) => Next::Continue,
                Err(Halt::Pause) => return (at, true),
                Err(Halt::Refuse(refusal)) => sink.refuse(Position::Item(at as u64 + 1), refusal),
            };
            if outcome == Next::Stop {
                return (at + 1, false);
            }
        }
        (points.len(), false)
    }

    fn write_one<S: RowSink>(&mut self, point: &Point<'_>, sink: &mut S) -> Result<(), Halt<S::Refusal>> {
        let key = format!("{} {:?}", point.metric, point.tags);
        let series = match self.series.get(&key) {
            Some(slot) => *slot,
            None => {
                *self.series.entry(key).or_insert(sink.series(SeriesRef { table: point.metric, tags: point.tags })?)
            }
        };
        let layout = match self.layouts.get(point.metric) {
            Some(slot) => *slot,
            None => *self.layouts.entry(point.metric.to_owned()).or_insert(sink.layout(series, &LAYOUT)?),
        };
        self.values.clear();
        self.values.push(RawValue::from_float(point.value));
        self.values.push_string(point.note).unwrap_or_else(|error| panic!("{error}"));
        sink.row(series, layout, point.time, self.values.values(), self.values.text()).map_err(Halt::Refuse)
    }
}

fn point<'a>(metric: &'a str, tags: &'a [(&'a str, &'a str)], time: i64, note: &'a str) -> Point<'a> {
    Point { metric, tags, time, value: time as f64 / 2.0, note }
}

#[test]
fn slots_are_asked_for_once_and_rows_are_what_was_sent() {
    let (mut door, mut sink) = (PointDoor::default(), Recorder::new(BadRows::RefuseAll));
    let (a, b) = ([("dc", "eu"), ("host", "a")], [("dc", "eu"), ("host", "b")]);
    for time in 1..=3 {
        let points = [point("cpu", &a, time, "x\"\\"), point("cpu", &b, time, "")];
        assert_eq!(door.write(&points, 0, &mut sink), (2, false));
    }
    assert_eq!((sink.series.len(), sink.layouts.len(), sink.rows.len()), (2, 1, 6));
    assert_eq!(sink.rows[0], r#"cpu,dc=eu,host=a value=0.5,note="x\"\\" 1"#);
    assert_eq!(sink.rows[5], r#"cpu,dc=eu,host=b value=1.5,note="" 3"#);
    assert_eq!(sink.refused, []);
}

#[test]
fn a_refused_item_is_named_and_the_door_says_what_it_means_for_the_others() {
    let points =
        [point("cpu", &[], 5, ""), point("cpu", &[], -1, ""), point("cpu", &[], 6, ""), point("cpu", &[], -2, "")];
    let mut sink = Recorder::new(BadRows::KeepOthers);
    assert_eq!(PointDoor::default().write(&points, 0, &mut sink), (4, false));
    assert_eq!(sink.rows.len(), 2);
    let old = |item, time| (Position::Item(item), Refusal::TooOld(time));
    assert_eq!(sink.refused, [old(2, -1), old(4, -2)]);

    let mut sink = Recorder::new(BadRows::RefuseAll);
    assert_eq!(PointDoor::default().write(&points, 0, &mut sink), (2, false));
    assert_eq!(sink.refused, [old(2, -1)]);
    assert_eq!(sink.refused[0].0.to_string(), "item 2");
}

#[test]
fn a_pause_stops_before_its_item_which_comes_again() {
    let points = [point("cpu", &[], 1, ""), point("mem", &[], 2, ""), point("disk", &[], 3, "")];
    let (mut door, mut sink) = (PointDoor::default(), Recorder::new(BadRows::KeepOthers));
    assert_eq!(door.write(&points, 0, &mut sink), (1, true));
    sink.tables.push("mem");
    assert_eq!(door.write(&points, 1, &mut sink), (2, true));
    // What was waited for was refused: now the row is.
    assert_eq!(door.write(&points, 2, &mut sink), (3, false));
    assert_eq!(sink.rows.len(), 2);
    assert_eq!(sink.refused, [(Position::Item(3), Refusal::NoSuchTable("disk".to_owned()))]);
}

/// Protobuf: strings stand in the message as they are, so the message is the rows' text and nothing is copied.
#[test]
fn strings_can_stay_where_they_are() {
    let message = b"\x0a\x05login\x12\x06h\xc3\xa4user\x0a\x06logout";
    let mut sink = Recorder::new(BadRows::RefuseAll);
    let fields = [("name", FieldKind::String), ("duration", FieldKind::UInt), ("ok", FieldKind::Bool)];
    let series = sink.series(SeriesRef { table: "spans", tags: &[] }).expect("a table that exists");
    let layout = sink.layout(series, &fields).expect("a layout");
    for (number, (start, len)) in [(2, 5), (9, 7), (18, 6)].into_iter().enumerate() {
        let values = [
            RawValue::from_string_at(start, len),
            RawValue::from_uint(u64::MAX - number as u64),
            RawValue::from_bool(number == 0),
        ];
        let time = if number == 1 { -1 } else { number as i64 };
        if let Err(refusal) = sink.row(series, layout, time, &values, message) {
            assert_eq!(sink.refuse(Position::Span(number as u64 + 1), refusal), Next::Stop);
        }
    }
    assert_eq!(
        sink.rows,
        [
            r#"spans name="login",duration=18446744073709551615u,ok=true 0"#,
            r#"spans name="logout",duration=18446744073709551613u,ok=false 2"#
        ]
    );
    assert_eq!(sink.refused, [(Position::Span(2), Refusal::TooOld(-1))]);
}
