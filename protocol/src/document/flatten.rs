//! A document as a row.
//!
//! `{"a":{"b":1,"c":[true,"x"]}}` has the fields `a.b`, `a.c.0` and `a.c.1`. Which of the names are tags and which is
//! the time the request says. Documents that are like one before are read by its shape (`known.rs`).

use super::known::{DocumentShapes, Role};
use super::rule::{DocumentRule, Numbers, Times};
use crate::json::{JsonReader, JsonValue, Scalar};
use crate::row::{FieldKind, RawValue, RowDraft, RowError, parse_date};

/// The name of the time where a request names none, and what many shippers of logs call it.
const TIME: &str = "time";
const TIMESTAMP: &str = "@timestamp";

/// Reads documents, one after the other, as rows.
#[derive(Debug)]
pub(super) struct Documents {
    rule: DocumentRule,
    reader: JsonReader,
    pub(super) draft: RowDraft,
    shapes: DocumentShapes,
    /// What became of the values of the last document that was read by the book.
    roles: Vec<Role>,
    /// Whether documents may be taken by their shapes.
    knows_shapes: bool,
}

impl Documents {
    pub(super) fn new(rule: DocumentRule) -> Self {
        let (reader, draft, shapes, roles) = Default::default();
        Self { rule, reader, draft, shapes, roles, knows_shapes: true }
    }

    /// Reads all documents with the parser.
    pub(super) fn by_the_book(&mut self) {
        self.knows_shapes = false;
    }

    /// Whether the last document fitted the shape of one before.
    #[cfg(test)]
    pub(super) fn fits(&self) -> bool {
        self.roles.is_empty()
    }

    /// Reads what is no row.
    pub(super) fn reader(&mut self) -> &mut JsonReader {
        &mut self.reader
    }

    /// Makes a row of `table` of a document.
    pub(super) fn read(&mut self, document: &[u8], table: &str) -> Result<(), RowError> {
        let Self { rule, reader, draft, shapes, roles, .. } = self;
        let known = match self.knows_shapes {
            true => shapes.fill(document, table, rule, draft).filter(|_| draft.check().is_ok()),
            false => None,
        };
        let times = match known {
            Some(times) => {
                roles.clear();
                times
            }
            None => {
                let times = reader.read(document, |document| flatten(document, table, rule, draft, roles))??;
                draft.check()?;
                if self.knows_shapes {
                    shapes.learn(document, roles, draft);
                }
                times
            }
        };
        draft.time = match times.time.or(times.timestamp) {
            Some(time) => rule.apart.time(time, draft.series(), None),
            None => {
                rule.now_ns = rule.now_ns.saturating_add(1);
                rule.now_ns - 1
            }
        };
        Ok(())
    }
}

/// A row that is being filled.
struct Flattening<'d> {
    rule: &'d DocumentRule,
    draft: &'d mut RowDraft,
    /// What becomes of the values.
    roles: &'d mut Vec<Role>,
    /// The name of the value at hand.
    path: String,
    times: Times,
}

/// Makes `document` a row of `table`, but for its time.
fn flatten(
    document: JsonValue<'_, '_>,
    table: &str,
    rule: &DocumentRule,
    draft: &mut RowDraft,
    roles: &mut Vec<Role>,
) -> Result<Times, RowError> {
    let wrong = || RowError::Type { part: "a document", found: document.kind(), wanted: "an object" };
    let entries = document.object().ok_or_else(wrong)?;
    draft.begin(table);
    roles.clear();
    let mut row = Flattening { rule, draft, roles, path: String::new(), times: Times::default() };
    for (name, value) in entries {
        row.path.clear();
        row.path.push_str(name);
        row.value(value)?;
    }
    Ok(row.times)
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
        let tag = || self.rule.tag_columns.iter().position(|tag| *tag == self.path);
        let role = match (&self.rule.time_column, scalar) {
            (_, Scalar::Null) => Role::Null,
            (Some(name), _) if *name == self.path => Role::Time,
            (None, _) if self.path == TIME => Role::Time,
            (None, _) if self.path == TIMESTAMP => Role::Timestamp,
            _ => tag().map_or_else(|| Role::Field(self.kind(scalar)), Role::Tag),
        };
        self.roles.push(role);
        match role {
            Role::Null => {}
            Role::Time => self.times.time = Some(self.read_time(scalar)?),
            Role::Timestamp => self.times.timestamp = Some(self.read_time(scalar)?),
            Role::Tag(_) => self.tag(scalar),
            Role::Field(kind) => self.field(kind, scalar),
        }
        Ok(())
    }

    /// The time in a value.
    fn read_time(&self, scalar: Scalar<'_>) -> Result<i64, RowError> {
        match scalar {
            Scalar::Int(time) => self.rule.scale.nanoseconds(time),
            Scalar::UInt(_) => Err(RowError::TimeOutOfRange),
            Scalar::Text(text) => parse_date(text),
            Scalar::Float(value) => self.rule.scale.nanoseconds_of_float(value),
            Scalar::Bool(value) => Err(RowError::invalid("the time", value)),
            Scalar::Null => Err(RowError::Missing("the time")),
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

    /// The type of the field that a value becomes.
    fn kind(&self, scalar: Scalar<'_>) -> FieldKind {
        let is_typed = self.rule.numbers == Numbers::Typed;
        match scalar {
            Scalar::Int(_) if is_typed => FieldKind::Int,
            Scalar::UInt(_) if is_typed => FieldKind::UInt,
            Scalar::Int(_) | Scalar::UInt(_) | Scalar::Float(_) => FieldKind::Float,
            Scalar::Bool(_) => FieldKind::Bool,
            Scalar::Text(_) | Scalar::Null => FieldKind::String,
        }
    }

    fn field(&mut self, kind: FieldKind, scalar: Scalar<'_>) {
        let Self { draft, path, .. } = self;
        let value = match scalar {
            Scalar::Null => return,
            Scalar::Text(text) => return draft.string(path, text),
            Scalar::Bool(value) => RawValue::from_bool(value),
            Scalar::Int(value) if kind == FieldKind::Int => RawValue::from_int(value),
            Scalar::UInt(value) if kind == FieldKind::UInt => RawValue::from_uint(value),
            Scalar::Int(value) => RawValue::from_float(value as f64),
            Scalar::UInt(value) => RawValue::from_float(value as f64),
            Scalar::Float(value) => RawValue::from_float(value),
        };
        draft.field(path, kind, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Apart, TimeScale};

    /// Reads documents one after the other, and says which of them fit the shape of one before.
    fn fits(documents: &[&str], numbers: Numbers) -> Vec<bool> {
        let mut known = Documents::new(DocumentRule {
            time_column: None,
            tag_columns: vec!["host".to_owned()],
            numbers,
            scale: TimeScale::Digits,
            now_ns: 0,
            apart: Apart::default(),
        });
        let mut fits = |document: &&str| {
            known.read(document.as_bytes(), "t").unwrap();
            known.fits()
        };
        documents.iter().map(&mut fits).collect()
    }

    #[test]
    fn documents_fit_the_shape_of_one_before() {
        let documents = [
            r#"{"time":1667456411,"host":"a","load":0.5,"o":{"x":[true,"y"],"n":null}}"#,
            r#"{"time":1667456412,"host":"","load":-17.25,"o":{"x":[false,"é"],"n":null}}"#,
            // An escape, an integer, another name.
            r#"{"time":1667456412,"host":"\n","load":1.5,"o":{"x":[false,""],"n":null}}"#,
            r#"{"time":1667456412,"host":"a","load":2,"o":{"x":[false,""],"n":null}}"#,
            r#"{"time":1667456412,"host":"a","pace":1.5,"o":{"x":[false,""],"n":null}}"#,
            r#"{"time":1667456413,"host":"b","load":1.5,"o":{"x":[true,""],"n":null}}"#,
        ];
        assert_eq!(fits(&documents, Numbers::Typed), [false, true, false, false, false, true]);
        assert_eq!(fits(&documents, Numbers::Floats), [false, true, false, true, false, true]);
        // A tag that is a number leaves no shape.
        assert_eq!(fits(&[r#"{"host":1,"x":2}"#; 2], Numbers::Typed), [false, false]);
    }

    #[test]
    fn shapes_are_bounded_and_give_way() {
        let documents: Vec<String> = (0..200).map(|at| format!("{{\"f{at}\":1}}")).collect();
        let last = [r#"{"f0":2}"#, r#"{"f1":2}"#, r#"{"f191":2}"#];
        let documents: Vec<&str> = documents.iter().map(String::as_str).chain(last).collect();
        // Those of the first eight were kept, and of the 64th, 128th and 192nd miss in the place of the second to
        // fourth of them.
        let fits = fits(&documents, Numbers::Typed);
        assert!(fits[..200].iter().all(|fits| !fits));
        assert_eq!(fits[200..], [true, false, true]);
    }
}
