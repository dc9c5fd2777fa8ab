//! InfluxDB's words for what is wrong with a statement of InfluxQL. Clients match them.

use tidewire_sql::influxql::{DeleteError, DurationError, OperandKind, ParseError, ParseErrorKind};

/// Why a text is refused, with its place.
pub(super) fn parse_words(error: &ParseError) -> String {
    let ParseError { kind, line, character } = error;
    let place = format!("at line {line}, char {character}");
    let reason = match kind {
        ParseErrorKind::Unexpected { found, expected } => format!("found {found}, expected {expected}"),
        ParseErrorKind::Unsupported { statement } => return format!("{statement} is not supported yet, {place}"),
        ParseErrorKind::DuplicateOption(option) => format!("found duplicate {option} option"),
        ParseErrorKind::Duration(DurationError::Invalid) => "invalid duration".to_owned(),
        ParseErrorKind::Duration(DurationError::Overflow(text)) => {
            format!("overflowed duration {text}: choose a smaller duration or INF")
        }
        ParseErrorKind::InfiniteShardDuration => "invalid duration INF for shard duration".to_owned(),
        ParseErrorKind::Replication { text, copies_max } => {
            format!("invalid value {text}: must be 1 <= n <= {copies_max}")
        }
        ParseErrorKind::Number { integer: true } => "unable to parse integer".to_owned(),
        ParseErrorKind::Number { integer: false } => "unable to parse number".to_owned(),
        ParseErrorKind::Pattern(reason) => format!("error parsing regexp: {reason}"),
        ParseErrorKind::TooDeep { brackets_max } => format!("more than {brackets_max} brackets inside of each other"),
        ParseErrorKind::NoComparison => "invalid condition: a comparison is wanted".to_owned(),
        ParseErrorKind::PatternOperator => {
            "a regular expression is compared by =~ and !~, and they compare nothing else".to_owned()
        }
        ParseErrorKind::FunctionInCondition(name) => format!("invalid function call in condition: {name}"),
        ParseErrorKind::PolicyInDelete => "retention policy not supported".to_owned(),
        ParseErrorKind::DatabaseInDelete => "database not supported".to_owned(),
    };
    format!("{reason} {place}")
}

/// Why a statement that deletes is not carried out.
pub(super) fn delete_words(error: &DeleteError) -> String {
    match error {
        DeleteError::TimeInDropSeries => "DROP SERIES doesn't support time in WHERE clause".to_owned(),
        DeleteError::FieldInCondition => "shard 1: fields not supported in WHERE clause during deletion".to_owned(),
        DeleteError::NoTime(kind) => {
            let literal = match kind {
                OperandKind::Text => "StringLiteral",
                OperandKind::Name => "VarRef",
                OperandKind::Pattern => "RegexLiteral",
                OperandKind::Bool => "BooleanLiteral",
            };
            format!("invalid operation: time and *influxql.{literal} are not compatible")
        }
        DeleteError::InvalidTimestamp => "invalid timestamp string".to_owned(),
        DeleteError::TimeOverflow(ns) => format!("time {ns} overflows time literal"),
        DeleteError::TimeUnderflow(ns) => format!("time {ns} underflows time literal"),
        DeleteError::TimeOperator(operator) => format!("invalid time comparison operator: {operator}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewire_sql::influxql::{Statement, parse};
    use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableId, TableSchema, TimeUnit};

    use super::*;

    fn refusal(text: &str) -> String {
        parse_words(&parse(text).unwrap_err())
    }

    #[test]
    fn errors_name_the_token_and_the_place() {
        assert_eq!(refusal("CREATE DATABASE"), "found EOF, expected identifier at line 1, char 17");
        assert_eq!(refusal("SHOW DATABASES\nfoo"), "found foo, expected ; at line 2, char 1");
        assert!(refusal("bogus").starts_with("found bogus, expected SELECT, DELETE"));
        assert_eq!(refusal("CREATE DATABASE \"a"), "found bad string, expected identifier at line 1, char 17");
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        assert_eq!(refusal("SELECT * FROM cpu"), "SELECT is not supported yet, at line 1, char 1");
        assert_eq!(refusal("SHOW MEASUREMENTS"), "SHOW MEASUREMENTS is not supported yet, at line 1, char 1");
        assert_eq!(refusal("DROP SHARD 1"), "DROP SHARD is not supported yet, at line 1, char 1");
    }

    #[test]
    fn a_cardinality_that_is_none_is_refused() {
        assert!(refusal("SHOW SERIES EXACT").starts_with("found EOF, expected CARDINALITY"));
        assert!(refusal("SHOW MEASUREMENT x").starts_with("found x, expected EXACT, CARDINALITY"));
        assert!(refusal("SHOW SERIES CARDINALITY FROM 1").starts_with("found 1, expected identifier"));
        assert!(refusal("SHOW SERIES CARDINALITY WHERE a = 'b'").contains("not supported yet"));
        assert!(refusal("SERIES CARDINALITY").starts_with("found SERIES, expected SELECT"));
    }

    #[test]
    fn what_is_missing_or_wrong_with_a_policy_is_reported_with_its_place() {
        for (text, expected) in [
            ("SHOW RETENTION", "found EOF, expected POLICIES at line 1, char 16"),
            ("CREATE RETENTION POLICY p ON d", "found EOF, expected DURATION at line 1, char 32"),
            (
                "CREATE RETENTION POLICY p ON d DURATION 1h REPLICATION 3.14",
                "found 3.14, expected integer at line 1, char 56",
            ),
            (
                "CREATE RETENTION POLICY p ON d DURATION 1h REPLICATION 0",
                "invalid value 0: must be 1 <= n <= 2147483647 at line 1, char 56",
            ),
            (
                "ALTER RETENTION POLICY p ON d",
                "found EOF, expected DURATION, REPLICATION, SHARD, DEFAULT at line 1, char 31",
            ),
            (
                "ALTER RETENTION POLICY p ON d DURATION 1h DURATION 2h",
                "found duplicate DURATION option at line 1, char 43",
            ),
            (
                "ALTER RETENTION POLICY p ON d DURATION 15251w",
                "overflowed duration 15251w: choose a smaller duration or INF at line 1, char 40",
            ),
            (
                "ALTER RETENTION POLICY p ON d SHARD DURATION INF",
                "invalid duration INF for shard duration at line 1, char 46",
            ),
            ("CREATE DATABASE \"d\" WITH", "found EOF, expected DURATION, NAME, REPLICATION, SHARD at line 1, char 26"),
            ("DROP RETENTION POLICY p", "found EOF, expected ON at line 1, char 25"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    /// The refusal of a DELETE from a table of one tag and one field, at its parsing or its binding.
    fn delete_refusal(condition: &str) -> String {
        let statements = match parse(&format!("DELETE FROM cpu WHERE {condition}")) {
            Ok(statements) => statements,
            Err(error) => return parse_words(&error),
        };
        let [Statement::Delete(delete)] = statements.as_slice() else { panic!("{statements:?}") };
        let column =
            |id: u16, name: &str, kind| ColumnSchema { id: ColumnId(id), name: name.into(), kind, codec: None };
        let table = Arc::new(TableSchema {
            id: TableId(1),
            name: "cpu".into(),
            columns: vec![column(0, "host", ColumnKind::Tag), column(1, "v", ColumnKind::Field(FieldType::Float))],
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 2,
        });
        delete_words(&delete.bind(&table, 1_000_000_000_000).unwrap_err())
    }

    #[test]
    fn a_condition_on_what_is_neither_tag_nor_time_is_refused() {
        let no_field = "shard 1: fields not supported in WHERE clause during deletion";
        for (condition, error) in [
            ("v > 1", no_field),
            ("v = 'a'", no_field),
            ("nope = 1", no_field),
            ("host > 'a'", no_field),
            ("1 = 1", no_field),
            ("time = true", "invalid operation: time and *influxql.BooleanLiteral are not compatible"),
            ("time = host", "invalid operation: time and *influxql.VarRef are not compatible"),
            ("time > '1970-01-01T00:00:20'", "invalid timestamp string"),
            ("time > 9223372036854775807 + 1", "time 9223372036854775808 overflows time literal"),
        ] {
            assert_eq!(delete_refusal(condition), error, "{condition}");
        }
        for (condition, error) in [
            ("host =~ 'a'", "a regular expression is compared by =~ and !~, and they compare nothing else"),
            ("host =~ /(/", "error parsing regexp"),
            ("host = mean(v)", "invalid function call in condition: mean"),
            ("(host = 'a'", "found EOF, expected )"),
            ("host", "invalid condition: a comparison is wanted"),
        ] {
            let refusal = delete_refusal(condition);
            assert!(refusal.starts_with(error) && refusal.contains(" at line 1, char "), "{condition}: {refusal}");
        }
        let deep = format!("{}host = 'a'{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(delete_refusal(&deep).contains("brackets inside of each other"));
    }
}
