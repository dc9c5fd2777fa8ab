//! Bad rows in InfluxDB's words. InfluxDB writes the others and answers with what it left out.

use tidewire_protocol::line::{LINE_BYTES_MAX, LineReason};
use tidewire_storage::schema::{ColumnKind, FieldType};

use super::catalog_error;
use crate::ingest::fault::{BadRow, FAULT_BYTES_KEPT_MAX, FAULTS_KEPT_MAX, LineFault, RowFault};
use crate::ingest::session::Written;

/// Lines whose refusal a client gets word for word; the rest are counted. The reply stays small however many lines
/// are bad.
const LINES_TOLD_MAX: usize = 100;

/// Bytes of these, for lines may be as long as a body. A line that ends beyond is cut, and is the last one quoted.
const BYTES_TOLD_MAX: usize = 256 << 10;

// What a reply quotes must have been kept.
const _: () = assert!(LINES_TOLD_MAX <= FAULTS_KEPT_MAX && BYTES_TOLD_MAX <= FAULT_BYTES_KEPT_MAX);

/// What to tell a client some of whose rows were not written.
pub(super) fn message(written: &Written) -> String {
    let rows = &written.bad_rows;
    if let Some(row) = rows.first_dropped() {
        return format!("partial write: {} dropped={}", reason(row), rows.dropped);
    }
    let mut told: Vec<String> = Vec::new();
    let mut room = BYTES_TOLD_MAX;
    for fault in rows.lines().take(LINES_TOLD_MAX) {
        if room == 0 {
            break;
        }
        let mut text = line_reason(fault);
        text.truncate(text.floor_char_boundary(room));
        room -= text.len();
        told.push(text);
    }
    let mut text = told.join("\n");
    let untold = rows.unparsed - told.len() as u64;
    if untold > 0 {
        text.push_str(&format!("\n{untold} more lines"));
    }
    if written.rows == 0 { text } else { format!("partial write: {text} dropped=0") }
}

/// The line of the body that the message is about, where it is about one.
pub(super) fn line(written: &Written) -> Option<u64> {
    let row = written.bad_rows.first_dropped()?;
    (row.fault != RowFault::Expired).then(|| row.position.number())
}

/// What is wrong with a row.
pub(super) fn reason(row: &BadRow) -> String {
    match &row.fault {
        RowFault::Line(fault) => line_reason(fault),
        // No door of this API has rows of this kind.
        RowFault::Unread(error) => error.to_string(),
        RowFault::ColumnConflict { table, column, wanted: wanted @ ColumnKind::Field(_), found } => format!(
            "field type conflict: input field \"{column}\" on measurement \"{table}\" is type {}, already exists as type {}",
            kind_name(*wanted),
            kind_name(*found)
        ),
        RowFault::ColumnConflict { table, column, wanted: ColumnKind::Tag, found } => format!(
            "invalid tag key: input tag \"{column}\" on measurement \"{table}\" already exists as a field of type {}",
            kind_name(*found)
        ),
        RowFault::ReservedTime { table, kind: ColumnKind::Tag } => {
            format!("invalid tag key: input tag \"time\" on measurement \"{table}\" is invalid")
        }
        RowFault::ReservedTime { table, kind: ColumnKind::Field(_) } => {
            format!("invalid field name: input field \"time\" on measurement \"{table}\" is invalid")
        }
        RowFault::Catalog(refusal) => catalog_error::message(refusal),
        RowFault::TimeOutside { first, last } => format!("time outside range {first} - {last}"),
        RowFault::Expired => "points beyond retention policy".to_owned(),
    }
}

/// InfluxDB's names of column types.
fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Tag => "tag",
        ColumnKind::Field(FieldType::Int) => "integer",
        ColumnKind::Field(FieldType::UInt) => "unsigned",
        ColumnKind::Field(FieldType::Float) => "float",
        ColumnKind::Field(FieldType::Bool) => "boolean",
        ColumnKind::Field(FieldType::String) => "string",
    }
}

/// `unable to parse '<line>': <reason>`.
fn line_reason(fault: &LineFault) -> String {
    let out_of_range = |text: &str| format!("strconv.ParseInt: parsing \"{text}\": value out of range");
    let reason = match &fault.reason {
        LineReason::MissingMeasurement => "missing measurement".to_owned(),
        LineReason::MissingTagKey => "missing tag key".to_owned(),
        LineReason::MissingTagValue => "missing tag value".to_owned(),
        LineReason::InvalidTagFormat => "invalid tag format".to_owned(),
        LineReason::DuplicateTags => "duplicate tags".to_owned(),
        LineReason::FieldTwice(name) => {
            format!("field {name:?} has two values, the second at column {}", fault.column)
        }
        LineReason::MissingFields => "missing fields".to_owned(),
        LineReason::InvalidFieldFormat => "invalid field format".to_owned(),
        LineReason::MissingFieldKey => "missing field key".to_owned(),
        LineReason::MissingFieldValue => "missing field value".to_owned(),
        LineReason::InvalidNumber => "invalid number".to_owned(),
        LineReason::InvalidFloat => "invalid float".to_owned(),
        LineReason::IntegerRange(text) => format!("unable to parse integer {text}: {}", out_of_range(text)),
        LineReason::UnsignedRange(text) => {
            format!("unable to parse unsigned {text}: strconv.ParseUint: parsing \"{text}\": value out of range")
        }
        LineReason::InvalidBoolean => "invalid boolean".to_owned(),
        LineReason::UnbalancedQuotes => "unbalanced quotes".to_owned(),
        LineReason::BadTimestamp => "bad timestamp".to_owned(),
        LineReason::TimestampRange(text) => out_of_range(text),
        LineReason::TimestampSign => "strconv.ParseInt: parsing \"-\": invalid syntax".to_owned(),
        LineReason::TimeOutsideRange => "time outside range -9223372036854775806 - 9223372036854775806".to_owned(),
        LineReason::InvalidPoint => "point is invalid".to_owned(),
        LineReason::KeyTooLong { bytes, bytes_max } => format!("max key length exceeded: {bytes} > {bytes_max}"),
        LineReason::LineTooLong => format!("line longer than {LINE_BYTES_MAX} bytes"),
        LineReason::InvalidUtf8 => "invalid utf-8 sequence".to_owned(),
        // A rule of the other dialect, for which InfluxDB has no words.
        other => format!("{other:?}"),
    };
    format!("unable to parse '{}': {reason}", String::from_utf8_lossy(&fault.text))
}

#[cfg(test)]
mod tests {
    use tidewire_protocol::line::{Dialect, LineError};
    use tidewire_protocol::row::Position;

    use super::*;
    use crate::ingest::fault::BadRowLog;
    use crate::ingest::testing::first_bad_line;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let told = reason(&first_bad_line(Dialect::Influx, line.as_bytes()));
        assert_eq!(told, format!("unable to parse '{line}': {expected}"));
    }

    #[test]
    fn lines_that_are_no_rows() {
        for text in ["1i0", "1ii", "-i", "1.0i", "1e5i", "-1u", "1_0", "0x1", "NaN", "nan", "-", ".", "-.", "1.1.1"] {
            check(&format!("m f={text} 1"), "invalid number");
        }
        for text in ["1e", "1e+", "1e400", "-1e400", "1e5e5"] {
            check(&format!("m f={text} 1"), "invalid float");
        }
        for text in ["+1", "Inf", "'x'", "i", "tRUE", "truee", "y", "f1"] {
            check(&format!("m f={text} 1"), "invalid boolean");
        }
        for (line, expected) in [
            (
                "m f=9223372036854775808i",
                "unable to parse integer 9223372036854775808: strconv.ParseInt: parsing \"9223372036854775808\": \
                 value out of range",
            ),
            (
                "m f=18446744073709551616u",
                "unable to parse unsigned 18446744073709551616: strconv.ParseUint: parsing \"18446744073709551616\": \
                 value out of range",
            ),
            (r#"m f="a 1"#, "unbalanced quotes"),
            (r"m,t=x\\ y=1 f=1 1", "invalid tag format"),
            ("m,t= f=1", "missing tag value"),
            ("m, f=1", "missing tag key"),
            ("m,t=a=b f=1", "invalid tag format"),
            ("m,t=a,t=b f=1", "duplicate tags"),
            ("m,t=a f=1,f=2", "field \"f\" has two values, the second at column 11"),
            (",t=a f=1", "missing measurement"),
            ("m", "missing fields"),
            ("m f=1,", "invalid field format"),
            ("m =1", "missing field key"),
            ("m f=", "missing field value"),
            ("m f=1 x", "bad timestamp"),
            ("m f=1 1 2", "point is invalid"),
            ("m f=1 -", "strconv.ParseInt: parsing \"-\": invalid syntax"),
            ("m f=1 9223372036854775808", "strconv.ParseInt: parsing \"9223372036854775808\": value out of range"),
            ("m f=1 9223372036854775807", "time outside range -9223372036854775806 - 9223372036854775806"),
            ("m f=1 1\r", "bad timestamp"),
        ] {
            check(line, expected);
        }
        let name = "x".repeat(65_536);
        check(&format!("{name} f=1"), "max key length exceeded: 65536 > 65535");
        let told = reason(&first_bad_line(Dialect::Influx, b"m\xff f=1"));
        assert_eq!(told, "unable to parse 'm\u{fffd} f=1': invalid utf-8 sequence");
    }

    #[test]
    fn rows_that_do_not_fit() {
        let reason = |fault| reason(&BadRow { position: Position::Line(3), fault });
        let kinds = [FieldType::Int, FieldType::UInt, FieldType::Float, FieldType::Bool, FieldType::String];
        let names = ["integer", "unsigned", "float", "boolean", "string"];
        for (kind, name) in kinds.into_iter().zip(names) {
            let conflict = |wanted, found| RowFault::ColumnConflict {
                table: "cpu".to_owned(),
                column: "v".to_owned(),
                wanted,
                found,
            };
            assert_eq!(
                reason(conflict(ColumnKind::Field(kind), ColumnKind::Tag)),
                format!(
                    "field type conflict: input field \"v\" on measurement \"cpu\" is type {name}, already exists as \
                     type tag"
                )
            );
            assert_eq!(
                reason(conflict(ColumnKind::Tag, ColumnKind::Field(kind))),
                format!(
                    "invalid tag key: input tag \"v\" on measurement \"cpu\" already exists as a field of type {name}"
                )
            );
        }
        let reserved = |kind| RowFault::ReservedTime { table: "cpu".to_owned(), kind };
        assert_eq!(
            reason(reserved(ColumnKind::Tag)),
            "invalid tag key: input tag \"time\" on measurement \"cpu\" is invalid"
        );
        assert_eq!(
            reason(reserved(ColumnKind::Field(FieldType::Int))),
            "invalid field name: input field \"time\" on measurement \"cpu\" is invalid"
        );
    }

    fn written(rows: u64, lines: &[&str], dropped: u64) -> Written {
        let mut bad_rows = BadRowLog::default();
        for (number, text) in (1..).zip(lines) {
            let text = text.as_bytes();
            bad_rows.unparsed(&LineError {
                line: number,
                offset: 0,
                text,
                column: 1,
                reason: LineReason::MissingFields,
            });
        }
        for number in 0..dropped {
            bad_rows.dropped(BadRow { position: Position::Line(7 + number), fault: RowFault::Expired });
        }
        Written { rows, bad_rows }
    }

    #[test]
    fn a_message_tells_of_rows_that_do_not_fit_before_those_that_are_none() {
        assert!(written(2, &[], 0).bad_rows.is_empty());
        let some = written(1, &["x"], 0);
        let expected = "partial write: unable to parse 'x': missing fields dropped=0";
        assert_eq!((message(&some).as_str(), line(&some)), (expected, None));
        let none = written(0, &["x"], 0);
        assert_eq!(message(&none), "unable to parse 'x': missing fields");
        // No line is named for a row's age.
        let mut both = written(1, &["x"], 4);
        let expected = "partial write: points beyond retention policy dropped=4";
        assert_eq!((message(&both).as_str(), line(&both)), (expected, None));
        both.bad_rows = BadRowLog::default();
        both.bad_rows.dropped(BadRow {
            position: Position::Line(9),
            fault: RowFault::ReservedTime { table: "m".to_owned(), kind: ColumnKind::Tag },
        });
        assert_eq!(line(&both), Some(9));
    }

    #[test]
    fn many_lines_and_long_ones_are_counted_and_cut() {
        let many = written(0, &["x"; 250], 0);
        let one = "unable to parse 'x': missing fields\n";
        assert_eq!(message(&many), format!("{}150 more lines", one.repeat(100)));
        // The words of lines that together pass the bound, cut where it is, in the middle of a character or not.
        for len in [BYTES_TOLD_MAX / 3, BYTES_TOLD_MAX / 3 + 1, BYTES_TOLD_MAX / 4, BYTES_TOLD_MAX] {
            for first in ["", "x"] {
                let text = format!("{first}{}", "é".repeat(len));
                let words = format!("unable to parse '{text}': missing fields");
                let mut expected: Vec<&str> = Vec::new();
                for _ in 0..5 {
                    let room = BYTES_TOLD_MAX - expected.iter().map(|words| words.len()).sum::<usize>();
                    if room > 0 {
                        expected.push(&words[..words.floor_char_boundary(room)]);
                    }
                }
                let untold = 5 - expected.len();
                let rest = if untold > 0 { format!("\n{untold} more lines") } else { String::new() };
                let told = message(&written(0, &[text.as_str(); 5], 0));
                assert!(told == format!("{}{rest}", expected.join("\n")), "{len} {first}");
            }
        }
    }
}
