//! Bad rows in CnosDB's codes and words. CnosDB refuses a request for its first bad row.

use tidewire_protocol::line::{LINE_BYTES_MAX, LineReason};

use super::catalog_error::{self, conflict, kind_name};
use crate::ingest::fault::{BadRow, FAULT_BYTES_KEPT_MAX, LineFault, RowFault};

/// Bytes of the words about a line, for they may quote much of it.
const WORDS_BYTES_MAX: usize = FAULT_BYTES_KEPT_MAX;

/// The `error_code` and the `error_message`.
pub(super) fn words(row: &BadRow) -> (&'static str, String) {
    let at_line = |text: String| ("050014", format!("{text} at {}", row.position));
    match &row.fault {
        RowFault::Line(fault) => {
            let (code, mut text) = line_words(fault);
            text.truncate(text.floor_char_boundary(WORDS_BYTES_MAX));
            (code, text)
        }
        RowFault::Unread(error) => ("040004", format!("Error parsing message: {error} at {}", row.position)),
        RowFault::ColumnConflict { table, column, wanted, found } => {
            at_line(format!("{} in table '{table}'", conflict(column, *wanted, *found)))
        }
        RowFault::ReservedTime { kind, .. } => {
            at_line(format!("line to batch error: Expected i64 type as time column, found {}", kind_name(*kind)))
        }
        RowFault::Catalog(refusal) => at_line(catalog_error::message(refusal)),
        RowFault::TimeOutside { .. } => ("050014", "timestamp overflow".to_owned()),
        RowFault::Expired => ("030034", "Operation not support: create expired bucket".to_owned()),
    }
}

/// A line that is no row. Offsets count from the start of the body.
fn line_words(fault: &LineFault) -> (&'static str, String) {
    let in_body = |at: usize| fault.offset.saturating_add(at as u64);
    let reason = match &fault.reason {
        LineReason::InvalidUtf8 => {
            return ("040015", "Invalid utf-8 sequence: invalid utf-8 sequence".to_owned());
        }
        LineReason::EmptyValue => {
            return ("050014", "Apply engine failed: Field column not found in flatbuffer columns".to_owned());
        }
        LineReason::TimestampOverflow => return ("050014", "timestamp overflow".to_owned()),
        LineReason::LineTooLong => format!("line longer than {LINE_BYTES_MAX} bytes"),
        LineReason::UnexpectedToken { token, at } => format!("unexpect token '{token}' at {}", in_body(*at)),
        LineReason::UnexpectedEnd { at } => format!("unexpect end line start at '{}'", in_body(*at)),
        LineReason::InvalidSyntax => "invalid line protocol syntax".to_owned(),
        LineReason::InvalidValue(text) => format!("invalid field value: '{text}'"),
        LineReason::TagTwice(name) => {
            format!("tag '{name}' has two values at {}", in_body(fault.column.saturating_sub(1)))
        }
        LineReason::FieldTwice(name) => {
            format!("field '{name}' has two values at {}", in_body(fault.column.saturating_sub(1)))
        }
        LineReason::InvalidTimestamp { at } => format!("fail to parse timestamp at {}", in_body(*at)),
        // A rule of the other dialect, for which CnosDB has no words.
        other => format!("{other:?}"),
    };
    ("040004", format!("Error parsing message: {reason}"))
}

#[cfg(test)]
mod tests {
    use tidewire_protocol::line::Dialect;
    use tidewire_protocol::row::Position;
    use tidewire_storage::schema::{ColumnKind, FieldType};

    use super::*;
    use crate::ingest::testing::first_bad_line;

    /// What is answered to a body with one bad line.
    fn told(body: &[u8]) -> String {
        let (code, message) = words(&first_bad_line(Dialect::Cnos, body));
        format!("{code} {message}")
    }

    #[test]
    fn lines_that_are_no_rows() {
        for text in ["nan", "9223372036854775808i", "x", "1e400", "-inf", "+-1i", "1.5i", "tr", ".5"] {
            let body = format!("m f={text} 1");
            assert_eq!(told(body.as_bytes()), format!("040004 Error parsing message: invalid field value: '{text}'"));
        }
        for (body, expected) in [
            (r#"m f="a\nb" 1"#, "040004 Error parsing message: unexpect token 'n' at 7"),
            (r#"m f="a 1"#, "040004 Error parsing message: unexpect end line start at '4'"),
            (r#"m f="a"b 1"#, r#"040004 Error parsing message: invalid field value: '"a"b'"#),
            (r"m,t=x\n f=1 1", "040004 Error parsing message: unexpect token 'n' at 6"),
            (r"m,t=a\,b=c f=1 1", "040004 Error parsing message: invalid line protocol syntax"),
            ("m f=1 1\nm f=1,g=3,f=2 1", "040004 Error parsing message: field 'f' has two values at 18"),
            ("m,a=b,c=d,a=e f=1 1", "040004 Error parsing message: tag 'a' has two values at 13"),
            ("t1 v=", "050014 Apply engine failed: Field column not found in flatbuffer columns"),
            ("lp1", "040004 Error parsing message: unexpect end line start at '0'"),
            ("lp1 ", "040004 Error parsing message: unexpect end line start at '0'"),
            ("t1,foo=a", "040004 Error parsing message: unexpect end line start at '3'"),
            ("test,t2=t22,f2=2 1642176000000000000", "040004 Error parsing message: unexpect end line start at '17'"),
            ("t1 v=1 abc", "040004 Error parsing message: fail to parse timestamp at 7"),
            ("lp1 v=1 9223372036854775808", "040004 Error parsing message: fail to parse timestamp at 8"),
            ("t v=1 1\nt v=1 abc\n", "040004 Error parsing message: fail to parse timestamp at 17"),
        ] {
            assert_eq!(told(body.as_bytes()), expected, "{body:?}");
        }
        for body in [&b"m\xff f=1 1\n"[..], b"m,t=\xc3\x28 f=1 1\n", b"m f\xff=1 1\n", b"m f=\"\xe2\x82\" 1\n"] {
            assert_eq!(told(body), "040015 Invalid utf-8 sequence: invalid utf-8 sequence");
        }
    }

    #[test]
    fn times_that_overflow_and_lines_that_are_too_long() {
        let mut row = first_bad_line(Dialect::Cnos, b"m");
        for (reason, expected) in [
            (LineReason::TimestampOverflow, ("050014", "timestamp overflow")),
            (LineReason::LineTooLong, ("040004", "Error parsing message: line longer than 2147483647 bytes")),
        ] {
            let RowFault::Line(fault) = &mut row.fault else { panic!("{row:?}") };
            fault.reason = reason;
            assert_eq!(words(&row), (expected.0, expected.1.to_owned()));
        }
    }

    #[test]
    fn a_long_quotation_is_cut_where_the_whole_message_was() {
        let value = format!("x{}", "é".repeat(WORDS_BYTES_MAX));
        let mut whole = format!("Error parsing message: invalid field value: '{value}'");
        whole.truncate(whole.floor_char_boundary(WORDS_BYTES_MAX));
        assert!(words(&first_bad_line(Dialect::Cnos, format!("m f={value} 1").as_bytes())).1 == whole);
    }

    #[test]
    fn rows_that_do_not_fit_are_named_by_their_line() {
        let words = |fault| words(&BadRow { position: Position::Line(3), fault });
        let (int, float) = (ColumnKind::Field(FieldType::Int), ColumnKind::Field(FieldType::Float));
        let conflict =
            RowFault::ColumnConflict { table: "cpu".to_owned(), column: "v".to_owned(), wanted: int, found: float };
        assert_eq!(
            words(conflict),
            (
                "050014",
                "Apply engine failed: DataSchemaError: Column 'v' type error, found I64 expected F64 in table 'cpu' \
                 at line 3"
                    .to_owned()
            )
        );
        let reserved = RowFault::ReservedTime { table: "cpu".to_owned(), kind: ColumnKind::Tag };
        assert_eq!(
            words(reserved),
            ("050014", "line to batch error: Expected i64 type as time column, found TAG at line 3".to_owned())
        );
        let outside = RowFault::TimeOutside { first: 0, last: 1 };
        assert_eq!(words(outside), ("050014", "timestamp overflow".to_owned()));
        assert_eq!(words(RowFault::Expired), ("030034", "Operation not support: create expired bucket".to_owned()));
    }
}
