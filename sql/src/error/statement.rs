//! What can be wrong with a statement of SQL: a kind with what it is about, and the place in the text.
//!
//! Nothing here is worded for a client: the API that a client speaks has its own sentences and codes. `Display` is for
//! logs and tests.

use std::fmt;

use arrow_schema::{DataType, TimeUnit};
use tidewire_storage::schema::{Geometry, Need};

use crate::expr::BinaryOp;
use crate::types::error::{ConversionError, IntervalError};

/// A place in the statement's text, counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// A statement that cannot be run, for a reason its author can mend.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlError {
    /// What is wrong.
    pub kind: Box<SqlErrorKind>,
    /// Where in the text, when known.
    pub position: Option<Position>,
}

/// What is wrong with what is said of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenancyError {
    /// No option of a tenant.
    OptionUnknown(String),
    /// ALTER TENANT sets options of more than one kind.
    ManyOptions,
    /// No limit.
    LimitUnknown(String),
    /// Limits that a bucket cannot be without.
    LimitsMissing(Vec<&'static str>),
}

/// What is not done to `root`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootFault {
    /// DROP USER.
    Drop,
    /// ALTER USER … SET granted_admin.
    Admin,
}

/// What is wrong with a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlErrorKind {
    /// The text does not fall into tokens; sqlparser's words.
    Lexical(String),
    /// The tokens are no statement; sqlparser's words.
    Syntax(String),
    /// A token that cannot stand there.
    Expected {
        /// What could stand there.
        what: String,
        /// The token.
        found: String,
    },
    /// Brackets or operators deeper than the bounds.
    TooDeep {
        /// Brackets inside of each other.
        brackets_max: usize,
        /// Operators in a row.
        operators_max: usize,
    },
    /// An expression of more levels than the bound.
    ExpressionTooDeep {
        /// The bound.
        levels_max: usize,
    },
    /// The statement took more memory or time than it may while it was made ready. Never seen outside of this crate:
    /// what stopped it stands in its place.
    Stopped,
    /// More than one statement.
    ManyStatements {
        /// How many.
        count: usize,
        /// The text.
        text: String,
    },
    /// A number that cannot be read.
    Number(String),

    /// What is well formed and not run here; the feature by name.
    Unsupported(String),
    /// DELETE by a condition on a field.
    DeleteByField,
    /// A condition of DELETE that has no exact form as series and times; its operator, where it has one.
    DeleteNotExact(String),

    /// What is said of a tenant cannot be said of it.
    Tenancy(TenancyError),
    /// The user that is always there is neither dropped nor made a lesser one.
    RootFixed(RootFault),
    /// An option of a database that cannot be changed.
    OptionFixed,
    /// No option of a database.
    OptionUnknown(String),
    /// An option that is a number above zero.
    OptionZero(String),
    /// No duration, or one that cannot be counted.
    Duration(String),
    /// A time-to-live of less than a minute: rows would be gone before anybody could read them.
    TtlTooShort(String),
    /// A partition of less than a minute.
    PartitionTooShort(String),
    /// A partition without end.
    PartitionInfinite,
    /// No precision of time.
    Precision(String),
    /// No codec.
    CodecUnknown(String),
    /// A codec for a column whose type does not take it.
    CodecUnsuited {
        /// The codec, as written.
        codec: String,
        /// The column's type.
        data_type: String,
    },

    /// A column of GEOMETRY that is none.
    Geometry {
        /// The column.
        column: String,
        /// Its type, as written.
        data_type: String,
        /// What is wrong with it.
        error: GeometryError,
    },

    /// Who asks may not do what the statement does, whether or not what it names is there.
    Forbidden(Need),

    /// No such database.
    DatabaseNotFound(String),
    /// The name of a database is taken.
    DatabaseExists(String),
    /// A database that is not dropped.
    DatabaseKept(String),
    /// Rows of a table over files are what the files say.
    ExternalTable(String),
    /// No such table.
    TableNotFound {
        /// Tenant.
        tenant: String,
        /// Database.
        database: String,
        /// Name.
        table: String,
    },
    /// A name of more than database and table.
    TableNameTooLong(String),
    /// A table has the column already, or the statement names it twice.
    ColumnExists {
        /// The column.
        column: String,
        /// The table, as the statement at hand names it.
        table: String,
    },
    /// A table that lacks a column.
    ColumnMissing {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// A name that no column of the input has.
    ColumnUnknown {
        /// The name, quoted where it must be.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A name that several columns have.
    ColumnAmbiguous(String),
    /// A qualifier of `*` that no table has.
    Qualifier(String),
    /// `*` without FROM.
    StarWithoutFrom,
    /// Two output columns of one name.
    OutputTwice {
        /// Both in words.
        words: [String; 2],
        /// Their positions, from 0.
        at: [usize; 2],
    },

    /// A struct of a window's start and end where a value must stand.
    WindowAsValue,
    /// A member of what has none.
    NoMember {
        /// The member.
        member: String,
        /// Type of the value.
        data_type: DataType,
    },
    /// No member of a window.
    WindowMember(String),
    /// No BOOLEAN where one is wanted.
    NotBoolean {
        /// The clause or operator that wants it.
        place: &'static str,
        /// What is there.
        found: DataType,
    },
    /// Types that a comparison does not bring together.
    Comparison(DataType, BinaryOp, DataType),
    /// Types that an operator of arithmetic does not bring together.
    Arithmetic(DataType, BinaryOp, DataType),
    /// Values that stand for each other and have no common type.
    Branches {
        /// What holds them.
        of: &'static str,
        /// The type so far, and the one that does not fit it.
        types: [DataType; 2],
    },
    /// Minus of what has no sign.
    Negation(DataType),
    /// LIKE of other than text.
    Like(DataType, DataType),
    /// `~` of other than text.
    Matches(DataType, DataType),
    /// A CAST that converts nothing.
    Cast {
        /// From.
        from: DataType,
        /// To.
        to: DataType,
    },
    /// A constant that cannot be converted.
    Constant(ConversionError),
    /// A pattern that is no regular expression.
    Pattern {
        /// The pattern.
        text: String,
        /// Why.
        reason: String,
    },

    /// A compact timeline does not know when a state was.
    CompactStates {
        /// The time is asked for with its length.
        with_interval: bool,
    },
    /// No function of this server; perhaps one of another.
    FunctionUnknown(String),
    /// Arguments that the function does not take.
    Arguments {
        /// The function, as written.
        name: String,
        /// Types of the arguments in question.
        types: Vec<DataType>,
    },
    /// An argument that the aggregate does not take.
    AggregateArgument {
        /// The aggregate, as its heading has it.
        heading: &'static str,
        /// Type of the argument.
        data_type: DataType,
    },
    /// Queries of a union with different numbers of columns.
    UnionWidth {
        /// Columns of the first.
        first: usize,
        /// The one that differs, from 1.
        number: usize,
        /// Its columns.
        found: usize,
    },
    /// A column of a union whose queries have no common type for it.
    UnionTypes {
        /// The column.
        column: String,
        /// Its position, from 1.
        number: usize,
        /// The type so far, and the one that does not fit it.
        types: [DataType; 2],
    },
    /// A row of VALUES of another number of values than the first.
    ValuesWidth {
        /// Values of the first.
        first: usize,
        /// The row, from 1.
        number: usize,
        /// Its values.
        found: usize,
    },
    /// An alias with names of more columns than there are.
    AliasWidth {
        /// The alias.
        table: String,
        /// Names.
        names: usize,
        /// Columns.
        columns: usize,
    },
    /// A name that WITH gives twice.
    NameTwice(String),
    /// More of something than one statement may have.
    TooMany {
        /// What.
        what: &'static str,
        /// The most there may be.
        max: usize,
    },
    /// An aggregate where none may stand.
    AggregateMisplaced {
        /// The aggregate, as written.
        name: String,
        /// The clause.
        clause: &'static str,
    },
    /// A call over a window where none may stand.
    WindowMisplaced {
        /// The function, as written.
        name: String,
        /// The clause.
        clause: &'static str,
    },
    /// A window that has not been named.
    WindowUnknown(String),
    /// A window that none can be, and why.
    FrameInvalid(&'static str),
    /// `topk` or `bottom` of other arguments than a value and a small number.
    SelectionArguments {
        /// `topk`.
        greatest: bool,
    },
    /// `topk` or `bottom` beside what it cannot stand beside.
    SelectionBeside(&'static str),
    /// A parameter of a repair that is none, in words.
    RepairArgument(String),
    /// A query that stands for a value, of N columns.
    SubqueryWidth(usize),
    /// FILTER of what is no aggregate.
    FilterOfScalar(String),
    /// The part of a time, which must be a constant text.
    PartNotConstant {
        /// The function.
        function: &'static str,
    },
    /// No part of a time that begins a bucket.
    GranularityUnknown(String),
    /// No part of a time.
    PartUnknown(String),
    /// A bucket without width.
    BucketWidth {
        /// The function.
        function: &'static str,
    },
    /// A width that is no whole number of the time's unit.
    BucketUnit {
        /// The function.
        function: &'static str,
        /// The unit.
        unit: TimeUnit,
    },
    /// An origin that the time's unit cannot count.
    BucketOrigin {
        /// The function.
        function: &'static str,
    },
    /// An argument that is no interval.
    IntervalArgument(IntervalError),
    /// A literal that is no interval.
    IntervalLiteral(IntervalError),
    /// An interval's literal of neither text nor number.
    IntervalValue,
    /// Arguments of `time_window` that make none.
    TimeWindow(WindowError),

    /// A column neither grouped nor aggregated.
    NotGrouped {
        /// The column.
        column: String,
        /// What there is above the groups.
        available: Vec<String>,
    },
    /// A position in GROUP BY that no output has.
    GroupPosition(usize),
    /// A position in ORDER BY that no output has.
    SortPosition {
        /// The position, from 1.
        at: usize,
        /// Outputs.
        count: usize,
    },
    /// A hidden sort key under DISTINCT.
    SortUnderDistinct,
    /// Gaps that cannot be filled; why.
    GapFill(&'static str),
    /// ORDER BY that does not begin with what DISTINCT ON names.
    DistinctOnOrder,
    /// `grouping` with other arguments than keys.
    GroupingArguments {
        /// The most that it takes.
        max: usize,
    },
    /// A call of `grouping`, in words, about what is no key.
    GroupingKey(String),
    /// LIMIT or OFFSET of what is no constant number.
    LimitExpression {
        /// Which.
        clause: &'static str,
    },
    /// A negative LIMIT.
    LimitNegative,
    /// A negative OFFSET.
    OffsetNegative(i64),

    /// INSERT into a column that the table lacks.
    InsertColumn {
        /// The column.
        column: String,
        /// The table's columns.
        known: Vec<String>,
    },
    /// INSERT names a column twice.
    InsertColumnTwice(String),
    /// A row of more or fewer values than columns.
    InsertWidth,
    /// A row without a field.
    InsertNoField,
    /// A row older than the database keeps.
    InsertExpired,
    /// A row whose time is none that the table's unit has.
    InsertTimeOutside,
    /// VALUES of INSERT with constants of different types in one column.
    ValuesTypes {
        /// The first row of another type than those before, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
    },
    /// UPDATE without WHERE.
    UpdateWithoutWhere,
    /// UPDATE of tags and fields together, or of the time.
    UpdateMixed,
    /// UPDATE of tags by a condition on this column, which is no tag.
    UpdateWhere(String),
    /// UPDATE of a field to null.
    UpdateNull,
    /// UPDATE of tags to those of a series that there is, or of several series to those of one.
    UpdateSeriesExists,
    /// UPDATE of tags while others write to the same rows, or add columns: what was copied is not all.
    UpdateSeriesWritten,
    /// A condition of SHOW SERIES or SHOW TAG VALUES on a field.
    ShowByField {
        /// SHOW SERIES or SHOW TAG VALUES.
        statement: &'static str,
        /// The field.
        column: String,
    },
    /// A value of INSERT that cannot be converted.
    InsertValue(ConversionError),
    /// A value of INSERT that is no shape of the column's kind.
    InsertGeometry {
        /// The column.
        column: String,
        /// The kind of shapes that it holds.
        kind: Geometry,
        /// The text.
        text: String,
    },
}

/// What is wrong with a column's type GEOMETRY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeometryError {
    /// It has not two arguments.
    Arguments,
    /// No kind of shapes.
    Kind,
    /// A system of reference other than 0.
    System,
}

/// Why arguments make no time window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowError {
    /// Too few or too many arguments.
    Arguments,
    /// A length that is no constant interval.
    NotConstant,
    /// A length that cannot be read.
    Interval(IntervalError),
    /// A length of months or years.
    Calendar,
    /// A length out of bounds.
    Width,
}

impl SqlError {
    /// An error whose place is not known.
    pub fn new(kind: SqlErrorKind) -> Self {
        Self { kind: Box::new(kind), position: None }
    }

    /// A feature that is not run here.
    pub(crate) fn unsupported(feature: impl fmt::Display) -> Self {
        Self::new(SqlErrorKind::Unsupported(feature.to_string()))
    }

    /// The same error with its place in the text.
    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.position = position.or(self.position);
        self
    }
}

impl From<SqlErrorKind> for SqlError {
    fn from(kind: SqlErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for SqlError {}
