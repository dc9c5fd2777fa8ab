//! CnosDB's words and codes for what is wrong with a statement of SQL, and for what can stop a query. They are those of
//! DataFusion 27 where that finds it. Clients match both.

use tidewire_sql::error::{GeometryError, Position, RootFault, SqlError, SqlErrorKind, TenancyError, WindowError};
use tidewire_sql::exec::ExecError;
use tidewire_sql::types::error::{ConversionError, IntervalError, TimestampError, TimestampPart};

use super::forbidden::forbidden;
use super::functions::{Unknown, unknown};

/// Code and text of an error.
pub(super) fn words(error: &SqlError) -> (&'static str, String) {
    let SqlError { kind, position } = error;
    match kind.as_ref() {
        SqlErrorKind::Lexical(text) => parser(text),
        // The parser that these words are of had no colon there.
        SqlErrorKind::Syntax(text) => parser(text.replacen("Expected: ", "Expected ", 1)),
        SqlErrorKind::Expected { what, found } => {
            let place = position.map(|Position { line, column }| format!(" at Line: {line}, Column: {column}"));
            parser(format!("Expected {what}, found: {found}{}", place.unwrap_or_default()))
        }
        SqlErrorKind::TooDeep { brackets_max, operators_max } => parser(format!(
            "the statement is nested too deeply (at most {brackets_max} levels of brackets and {operators_max} \
             operators in a row; IN (…) takes a list of any length)"
        )),
        SqlErrorKind::Stopped => parser("the statement was stopped while it was made ready".to_owned()),
        SqlErrorKind::ExpressionTooDeep { levels_max } => {
            parser(format!("the expression is nested too deeply (at most {levels_max} levels)"))
        }
        SqlErrorKind::ManyStatements { count, text } => {
            ("010013", format!("Multi-statement not allow, found num:{count}, sql:{text}"))
        }
        SqlErrorKind::Number(digits) => parser(format!("Could not parse '{digits}' as a number")),

        SqlErrorKind::Unsupported(feature) => unsupported(feature),
        SqlErrorKind::DeleteByField => {
            unsupported("Filtering on the field column on the tskv table in delete statement")
        }
        SqlErrorKind::DeleteNotExact(what) => {
            ("010001", format!("Datafusion: This feature is not implemented: {what} in delete statement"))
        }

        SqlErrorKind::Tenancy(error) => parser(match error {
            TenancyError::OptionUnknown(name) => format!("Unknown tenant option: {name}"),
            TenancyError::ManyOptions => {
                "Cannot set multiple options (comment, drop_after, _limiter) at the same time".to_owned()
            }
            TenancyError::LimitUnknown(name) => format!("limiter format error: unknown limit {name}"),
            TenancyError::LimitsMissing(names) => {
                format!("limiter format error:{} can't be empty", names.join(","))
            }
        }),
        SqlErrorKind::RootFixed(RootFault::Drop) => {
            ("010074", "User 'root' is prohibited from being dropped".to_owned())
        }
        SqlErrorKind::RootFixed(RootFault::Admin) => {
            ("010024", "Invalid parameter : The root user does not support changing granted_admin".to_owned())
        }
        SqlErrorKind::OptionFixed => parser(
            "database config is unmodifiable, only can modify database option: TTL, SHARD, VNODE_DURATION, REPLICA",
        ),
        SqlErrorKind::OptionUnknown(name) => parser(format!(
            "Expected a database option (TTL, SHARD, VNODE_DURATION, REPLICA, PRECISION, …), found: {name}"
        )),
        SqlErrorKind::OptionZero(name) => parser(format!("{name} number should be greater than 0")),
        SqlErrorKind::Duration(text) => parser(format!("{text} is not a valid duration or duration overflow")),
        SqlErrorKind::TtlTooShort(text) => parser(format!("ttl {text} is less than a minute (INF keeps all rows)")),
        SqlErrorKind::PartitionTooShort(text) => parser(format!("vnode_duration {text} is less than a minute")),
        SqlErrorKind::PartitionInfinite => parser("vnode_duration must be finite"),
        SqlErrorKind::Precision(text) => parser(format!("{text} is not a valid precision, use like 'ms', 'us', 'ns'")),
        SqlErrorKind::CodecUnknown(name) => parser(format!("{name} is not a valid codec")),
        SqlErrorKind::CodecUnsuited { codec, data_type } => {
            semantic("010042", format!("Unsupported encoding type {codec} for {data_type}"))
        }

        SqlErrorKind::Geometry { column, data_type, error } => {
            let reason = match error {
                GeometryError::Arguments => "format: GEOMETRY(<sub_type>, <srid>)",
                GeometryError::Kind => {
                    "sub_type must be POINT, LINESTRING, POLYGON, MULTIPOINT, MULTILINESTRING, MULTIPOLYGON, \
                     GEOMETRYCOLLECTION"
                }
                GeometryError::System => "currently only supports 0, Cartesian coordinate system",
            };
            semantic("010041", format!("Unexpected data type {data_type} of {column}, {reason}"))
        }

        SqlErrorKind::Forbidden(need) => forbidden(need),
        SqlErrorKind::DatabaseNotFound(name) => ("030017", format!("Database not found: {name:?}")),
        SqlErrorKind::DatabaseExists(name) => ("030018", format!("Database {name:?} already exists")),
        SqlErrorKind::DatabaseKept(name) => ("010065", format!("Database {name:?} forbid drop")),
        SqlErrorKind::TableNotFound { tenant, database, table } => {
            ("030019", format!("Table not found: {:?}", format!("{tenant}.{database}.{table}")))
        }
        SqlErrorKind::ExternalTable(name) => unsupported(&format!("writing to the external table {name}")),
        SqlErrorKind::TableNameTooLong(name) => {
            planning(format!("Database object names must have at most two parts, but found: '{name}'"))
        }
        SqlErrorKind::ColumnExists { column, table } => {
            semantic("010028", format!(" column {column} already exists in table {table}"))
        }
        SqlErrorKind::ColumnMissing { column, table } => {
            semantic("010029", format!(" column {column} not exists in table {table}"))
        }
        SqlErrorKind::ColumnUnknown { name, known } if known.is_empty() => schema(format!("No field named {name}.")),
        SqlErrorKind::ColumnUnknown { name, known } => {
            schema(format!("No field named {name}. Valid fields are {}.", known.join(", ")))
        }
        SqlErrorKind::ColumnAmbiguous(name) => schema(format!("Ambiguous reference to unqualified field {name}")),
        SqlErrorKind::Qualifier(table) => planning(format!("Invalid qualifier {table}")),
        SqlErrorKind::StarWithoutFrom => planning("SELECT * with no tables specified is not valid"),
        SqlErrorKind::OutputTwice { words: [first, second], at: [first_at, second_at] } => planning(format!(
            "Projections require unique expression names but the expression \"{first}\" at position {first_at} and \
             \"{second}\" at position {second_at} have the same name. Consider aliasing (\"AS\") one of them."
        )),

        SqlErrorKind::WindowAsValue => planning("a time_window is a struct here; name its start or its end"),
        SqlErrorKind::NoMember { member, data_type } => {
            planning(format!("The expression has no member {member}: it is {data_type}"))
        }
        SqlErrorKind::WindowMember(member) => {
            planning(format!("A time window has a start and an end, but no {member}"))
        }
        SqlErrorKind::NotBoolean { place, found } => planning(format!("{place} needs BOOLEAN, not {found}")),
        SqlErrorKind::Comparison(left, op, right) => {
            planning(format!("Cannot infer common argument type for comparison operation {left} {op} {right}"))
        }
        SqlErrorKind::Arithmetic(left, op, right) => {
            planning(format!("Cannot coerce arithmetic expression {left} {op} {right} to valid types"))
        }
        SqlErrorKind::Branches { of, types: [first, second] } => {
            planning(format!("{of}: types {first} and {second} have no common type"))
        }
        SqlErrorKind::UnionWidth { first, number, found } => planning(format!(
            "The queries of a UNION must have the same number of columns: the first has {first}, number {number} has \
             {found}"
        )),
        SqlErrorKind::UnionTypes { column, number, types: [first, second] } => {
            planning(format!("UNION, column {number} ({column}): types {first} and {second} have no common type"))
        }
        SqlErrorKind::ValuesWidth { first, number, found } => planning(format!(
            "Inconsistent data length across values list: got {found} values in row {number} but expected {first}"
        )),
        SqlErrorKind::AliasWidth { table, names, columns } => planning(format!(
            "Source table contains {columns} columns but {names} names given as column alias of {table}"
        )),
        SqlErrorKind::NameTwice(name) => planning(format!("WITH query name \"{name}\" specified more than once")),
        SqlErrorKind::TooMany { what, max } => planning(format!("the statement has more than {max} {what}")),
        SqlErrorKind::Negation(data_type) => {
            planning(format!("Negation only supports numeric and interval types, not {data_type}"))
        }
        SqlErrorKind::Like(left, right) => {
            planning(format!("There isn't a common type to coerce {left} and {right} in LIKE expression"))
        }
        SqlErrorKind::Matches(left, right) => {
            planning(format!("Cannot infer common argument type for regex operation {left} and {right}"))
        }
        SqlErrorKind::Cast { from, to } => planning(format!("Unsupported CAST from {from} to {to}")),
        SqlErrorKind::Constant(error) => (
            "010001",
            format!(
                "Datafusion: Optimizer rule 'simplify_expressions' failed\ncaused by\nArrow error: {}",
                conversion(error)
            ),
        ),
        SqlErrorKind::Pattern { text, reason } => {
            planning(format!("the regular expression {text:?} is not valid: {reason}"))
        }

        SqlErrorKind::CompactStates { with_interval } => {
            let interval = if *with_interval { ", interval" } else { "" };
            let of = format!("duration_in(state_agg, state, start_time{interval}) doesn't support compact_agg");
            ("010010", format!("Failed to do analyze. err: {of}"))
        }
        SqlErrorKind::FunctionUnknown(name) => match unknown(name) {
            Unknown::Known => unsupported(&format!("the function {name}")),
            Unknown::Similar(closest) => planning(format!("Invalid function '{name}'.\nDid you mean '{closest}'?")),
        },
        SqlErrorKind::Arguments { name, types } => {
            let types: Vec<_> = types.iter().map(ToString::to_string).collect();
            planning(format!("No function matches the given name and argument types '{name}({})'", types.join(", ")))
        }
        SqlErrorKind::AggregateArgument { heading, data_type } => {
            planning(format!("The function {heading} does not support inputs of type {data_type}."))
        }
        SqlErrorKind::AggregateMisplaced { name, clause } => {
            planning(format!("Aggregate function '{name}' is not allowed in {clause}"))
        }
        SqlErrorKind::WindowMisplaced { name, clause } => {
            planning(format!("Window function '{name}' is not allowed in {clause}"))
        }
        SqlErrorKind::SelectionArguments { greatest } => {
            let name = if *greatest { "TOPK" } else { "BOTTOM" };
            planning(format!("{name} takes a value and a constant number from 1 to 255"))
        }
        SqlErrorKind::SelectionBeside(what) => planning(format!("a selection function cannot stand beside {what}")),
        SqlErrorKind::RepairArgument(reason) => ("010001", format!("Datafusion: Execution error: {reason}")),
        SqlErrorKind::SubqueryWidth(count) => {
            planning(format!("Scalar subquery should only return one column, but found {count}"))
        }
        SqlErrorKind::WindowUnknown(name) => planning(format!("The window {name} is not defined!")),
        SqlErrorKind::FrameInvalid(why) => planning(format!("Invalid window frame: {why}")),
        SqlErrorKind::FilterOfScalar(name) => planning(format!("FILTER on {name}, which is no aggregate")),
        SqlErrorKind::PartNotConstant { function } => {
            planning(format!("First argument of `{}` must be non-null scalar Utf8", function.to_ascii_uppercase()))
        }
        SqlErrorKind::GranularityUnknown(part) => planning(format!("Unsupported date_trunc granularity: {part}")),
        SqlErrorKind::PartUnknown(part) => planning(format!("Date part '{part}' not supported")),
        SqlErrorKind::BucketWidth { function } => {
            planning(format!("{function}: the width of a bucket must be positive"))
        }
        SqlErrorKind::BucketUnit { function, unit } => {
            planning(format!("{function}: the width is no whole number of the time's unit, {unit:?}"))
        }
        SqlErrorKind::BucketOrigin { function } => planning(format!("{function}: the origin is out of range")),
        SqlErrorKind::IntervalArgument(error) => planning(interval(error)),
        SqlErrorKind::IntervalLiteral(error) => planning(format!("Arrow error: Parser error: {}", interval(error))),
        SqlErrorKind::IntervalValue => planning("INTERVAL needs text or a number"),
        SqlErrorKind::TimeWindow(error) => ("010058", format!("Invalid TimeWindow parameter : {}", window(error))),

        SqlErrorKind::NotGrouped { column, available } => planning(format!(
            "Projection references non-aggregate values: Expression {column} could not be resolved from available \
             columns: {}",
            available.join(", ")
        )),
        SqlErrorKind::GroupPosition(at) => planning(format!("Cannot find column with position {at} in SELECT clause.")),
        SqlErrorKind::SortPosition { at, count } => {
            planning(format!("Order by column out of bounds, specified: {at}, max: {count}"))
        }
        SqlErrorKind::SortUnderDistinct => {
            planning("For SELECT DISTINCT, ORDER BY expressions must appear in select list")
        }
        SqlErrorKind::GapFill(why) => planning(format!("Gaps in time cannot be filled: {why}")),
        SqlErrorKind::DistinctOnOrder => {
            planning("SELECT DISTINCT ON expressions must match initial ORDER BY expressions")
        }
        SqlErrorKind::GroupingArguments { max } => planning(format!("grouping takes from 1 to {max} keys of GROUP BY")),
        SqlErrorKind::GroupingKey(call) => planning(format!("Argument in {call} is not a key of GROUP BY")),
        SqlErrorKind::LimitExpression { clause } => planning(format!("Unexpected expression in {clause} clause")),
        SqlErrorKind::LimitNegative => planning("LIMIT must not be negative"),
        SqlErrorKind::OffsetNegative(value) => planning(format!("OFFSET must be >=0, '{value}' was provided.")),

        SqlErrorKind::InsertColumn { column, known } => semantic(
            "010044",
            format!("Insert column '{column}' does not exist in target table, expect {}", known.join(",")),
        ),
        SqlErrorKind::InsertColumnTwice(name) => {
            schema(format!("Schema contains duplicate unqualified field name {name}"))
        }
        SqlErrorKind::InsertWidth => semantic("010045", "Insert columns and Source columns not match"),
        SqlErrorKind::InsertNoField => ("050034", "Fields can't be empty".to_owned()),
        SqlErrorKind::InsertTimeOutside => ("050014", "timestamp overflow".to_owned()),
        SqlErrorKind::InsertExpired => ("030034", "Operation not support: create expired bucket".to_owned()),
        SqlErrorKind::InsertGeometry { column, kind, text } => {
            ("010073", format!("Invalid geometry type, error: expect {} in {column}, got {text:?}", kind.name()))
        }
        SqlErrorKind::ValuesTypes { row, column } => {
            planning(format!("Inconsistent data type across values list at row {row} column {column}"))
        }
        SqlErrorKind::UpdateWithoutWhere => analyze("Update statement must have a where clause"),
        SqlErrorKind::UpdateMixed => {
            analyze("Update the time/tag/field columns at the same statement is not supported")
        }
        SqlErrorKind::UpdateWhere(name) => {
            analyze(format!("Where clause cannot contain field/time column, but found: {name}"))
        }
        SqlErrorKind::UpdateNull => analyze("a field cannot be set to NULL"),
        SqlErrorKind::UpdateSeriesExists => {
            ("010001", "Datafusion: Index: series 'new series keys' already exists".to_owned())
        }
        SqlErrorKind::UpdateSeriesWritten => {
            ("010001", "Datafusion: rows of these series were written while they moved: run it again".to_owned())
        }
        SqlErrorKind::ShowByField { statement, column } => {
            semantic("010046", format!("{statement} does not support where clause contains field {column}"))
        }
        SqlErrorKind::InsertValue(error) => ("010002", format!("Arrow: {}", conversion(error))),
    }
}

/// Code and text of a query that failed while it ran.
pub(super) fn execution_words(error: &ExecError) -> (&'static str, String) {
    match error {
        ExecError::Arrow(error) => ("010001", format!("Arrow error: {error}")),
        ExecError::Overflow { of, values } => {
            let what = values.as_ref().map_or("Overflow happened on:".to_owned(), |values| format!("{values} in"));
            ("010001", format!("Arrow error: Arithmetic overflow: {what} {of}"))
        }
        ExecError::Memory { .. } | ExecError::ServerMemory { .. } | ExecError::TextTooLong { .. } => {
            ("010001", format!("Resources exhausted: {error}"))
        }
        ExecError::Storage(_)
        | ExecError::Timeout { .. }
        | ExecError::TooManySeries { .. }
        | ExecError::TooManyRows { .. }
        | ExecError::Cancelled => ("010001", error.to_string()),
        ExecError::Execution(reason) => ("010001", format!("Execution error: {reason}")),
        ExecError::NotImplemented(what) => unsupported(what),
        ExecError::Internal(reason) => ("010001", format!("Internal error: {reason}")),
    }
}

/// The text is no statement.
fn parser(message: impl std::fmt::Display) -> (&'static str, String) {
    ("010009", format!("sql parser error: {message}"))
}

/// A statement that is known and not run.
fn unsupported(what: &str) -> (&'static str, String) {
    ("010005", format!("This feature is not implemented: {what}"))
}

/// The statement's parts do not fit together.
fn planning(message: impl std::fmt::Display) -> (&'static str, String) {
    ("010001", format!("Datafusion: Error during planning: {message}"))
}

/// A statement that cannot be analyzed.
fn analyze(message: impl std::fmt::Display) -> (&'static str, String) {
    ("010010", format!("Failed to do analyze. err: {message}"))
}

/// A name that no column has, or too many have.
fn schema(message: impl std::fmt::Display) -> (&'static str, String) {
    ("010001", format!("Datafusion: Schema error: {message}"))
}

/// A rule of the data model is broken.
fn semantic(code: &'static str, message: impl std::fmt::Display) -> (&'static str, String) {
    (code, format!("Semantic error: {message}"))
}

/// A constant that does not convert, as arrow says it.
fn conversion(error: &ConversionError) -> String {
    match error {
        ConversionError::OutOfRange { value, to } => format!("Cast error: Can't cast value {value} to type {to}"),
        ConversionError::Text { text, to } => format!("Cast error: Cannot cast string '{text}' to value of {to} type"),
        ConversionError::Timestamp(error) => format!("Parser error: {}", timestamp(error)),
        ConversionError::TimeOutOfRange { text, literal: false } => format!("Cast error: {text} is out of range"),
        ConversionError::TimeOutOfRange { text, literal: true } => {
            format!("Cast error: {text} is out of the range of nanoseconds")
        }
        ConversionError::Interval(error) => interval(error),
        ConversionError::Unsupported { from, to } => format!("Cast error: Casting from {from} to {to} not supported"),
    }
}

fn timestamp(TimestampError { text, part }: &TimestampError) -> String {
    let reason = match part {
        TimestampPart::Length => "timestamp must contain at least 10 characters",
        TimestampPart::Date => "error parsing date",
        TimestampPart::Separator => "invalid timestamp separator",
        TimestampPart::Clock => "error parsing time",
        TimestampPart::Zone => "error parsing timezone",
    };
    format!("Error parsing timestamp from '{text}': {reason}")
}

fn interval(error: &IntervalError) -> String {
    match error {
        IntervalError::Invalid(text) => format!("Invalid input syntax for type interval: {text:?}"),
        IntervalError::OutOfRange(text) => format!("Interval {text:?} is out of range"),
    }
}

fn window(error: &WindowError) -> String {
    match error {
        WindowError::Arguments => "time_window takes a time, a width, a slide and a start".to_owned(),
        WindowError::NotConstant => "a constant interval is needed".to_owned(),
        WindowError::Interval(error) => interval(error),
        WindowError::Calendar => "months and years are not supported".to_owned(),
        WindowError::Width => "a window is from 1 ms to 365 days wide".to_owned(),
    }
}

#[cfg(test)]
mod tests;
