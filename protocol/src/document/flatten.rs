//! A document as a row.
//!
//! `{"a":{"b":1,"c":[true,"x"]}}` has the fields `a.b`, `a.c.0` and `a.c.1`. Which of the names are tags and which is
//! the time the request says.

use crate::json::{JsonValue, Scalar};
use crate::row::{Apart, FieldKind, RawValue, RowDraft, RowError, TimeScale, parse_date};

/// The name of the time where a request names none, and what many shippers of logs call it.
const TIME: &str = "time";
const TIMESTAMP: &str = "@timestamp";

/// How documents become rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRule {
    /// Which field is the time; by default `time`, or else `@timestamp`.
    pub time_column: Option<String>,
    /// Which fields are tags.
    pub tag_columns: Vec<String>,
    /// What numbers become.
    pub numbers: Numbers,
    /// What numbers in the place of the time count.
    pub scale: TimeScale,
    /// The time of the first document without one, in nanoseconds. The next has the nanosecond behind it, and so on:
    /// rows of one series and one time would be one row.
    pub now_ns: i64,
    /// Keeps documents apart that name one time.
    pub apart: Apart,
}

/// What numbers become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// All are floats.
    Floats,
    /// Those without point and exponent are integers.
    Typed,
}

/// A row that is being filled.
pub(super) struct Flattening<'d> {
    rule: &'d DocumentRule,
    draft: &'d mut RowDraft,
    /// The name of the value at hand.
    path: String,
    time: Option<i64>,
    /// The time that counts where no other is there.
    timestamp: Option<i64>,
}

/// Makes `document` a row of `table`.
pub(super) fn flatten(
    document: JsonValue<'_, '_>,
    table: &str,
    rule: &mut DocumentRule,
    draft: &mut RowDraft,
) -> Result<(), RowError> {
    let wrong = || RowError::Type { part: "a document", found: document.kind(), wanted: "an object" };
    let entries = document.object().ok_or_else(wrong)?;
    draft.begin(table);
    let mut row = Flattening { rule, draft, path: String::new(), time: None, timestamp: None };
    for (name, value) in entries {
        row.path.clear();
        row.path.push_str(name);
        row.value(value)?;
    }
    let time = row.time.or(row.timestamp);
    draft.check()?;
    draft.time = match time {
        Some(time) => rule.apart.time(time, draft.series(), None),
        None => {
            rule.now_ns = rule.now_ns.saturating_add(1);
            rule.now_ns - 1
        }
    };
    Ok(())
}

impl Flattening<'_> {
    /// The value at the path. Depth is bounded by the reader of the document.
    fn value(&mut self, value: JsonValue<'_, '_>) -> Result<(), RowError> {
        let Some(scalar) = value.scalar() else {
            let length = self.path.len();
            for (name, value) in value.object().into_iter().flatten() {
                self.path.push('.');
                self.path.push_str(name);
                self.value(value)?;
                self.path.truncate(length);
            }
            for (at, value) in value.array().into_iter().flatten().enumerate() {
                self.path.push('.');
                self.path.push_str(itoa::Buffer::new().format(at));
                self.value(value)?;
                self.path.truncate(length);
            }
            return Ok(());
        };
        match &self.rule.time_column {
            Some(name) if *name == self.path => self.time = self.read_time(scalar, self.time)?,
            None if self.path == TIME => self.time = self.read_time(scalar, self.time)?,
            None if self.path == TIMESTAMP => self.timestamp = self.read_time(scalar, self.timestamp)?,
            _ if self.rule.tag_columns.contains(&self.path) => self.tag(scalar),
            _ => self.field(scalar),
        }
        Ok(())
    }

    /// The time in a value; `before` where it is absent.
    fn read_time(&self, scalar: Scalar<'_>, before: Option<i64>) -> Result<Option<i64>, RowError> {
        match scalar {
            Scalar::Null => Ok(before),
            Scalar::Int(time) => self.rule.scale.nanoseconds(time).map(Some),
            Scalar::UInt(_) => Err(RowError::TimeOutOfRange),
            Scalar::Text(text) => parse_date(text).map(Some),
            Scalar::Float(value) => self.rule.scale.nanoseconds_of_float(value).map(Some),
            Scalar::Bool(value) => Err(RowError::invalid("the time", value)),
        }
    }

    fn tag(&mut self, scalar: Scalar<'_>) {
        let Self { draft, path, .. } = self;
        match scalar {
            Scalar::Null => {}
            Scalar::Bool(value) => draft.tag(path, if value { "true" } else { "false" }),
            Scalar::Int(value) => draft.tag(path, itoa::Buffer::new().format(value)),
            Scalar::UInt(value) => draft.tag(path, itoa::Buffer::new().format(value)),
            Scalar::Float(value) => draft.tag(path, &value.to_string()),
            Scalar::Text(text) => draft.tag(path, text),
        }
    }

    fn field(&mut self, scalar: Scalar<'_>) {
        let Self { draft, path, rule, .. } = self;
        let is_typed = rule.numbers == Numbers::Typed;
        let mut float = |value| draft.field(path, FieldKind::Float, RawValue::from_float(value));
        match scalar {
            Scalar::Null => {}
            Scalar::Float(value) => float(value),
            Scalar::Int(value) if !is_typed => float(value as f64),
            Scalar::UInt(value) if !is_typed => float(value as f64),
            Scalar::Int(value) => draft.field(path, FieldKind::Int, RawValue::from_int(value)),
            Scalar::UInt(value) => draft.field(path, FieldKind::UInt, RawValue::from_uint(value)),
            Scalar::Bool(value) => draft.field(path, FieldKind::Bool, RawValue::from_bool(value)),
            Scalar::Text(text) => draft.string(path, text),
        }
    }
}
