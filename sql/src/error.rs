//! What can be wrong with a statement, in the codes and words CnosDB's clients know.
//!
//! Every constructor stands for one family of codes; the text after the family's prefix is the caller's.

use std::fmt;

/// A place in the statement's text, counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// A statement that cannot be run, for a reason its author can mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// CnosDB's code, such as `010009`.
    pub code: &'static str,
    /// Text for the client, with its family's prefix.
    pub message: String,
    /// Where in the text, when known.
    pub position: Option<Position>,
}

impl SqlError {
    /// An error of any family.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), position: None }
    }

    /// 010009: the text is no statement.
    pub fn parser(message: impl fmt::Display) -> Self {
        Self::new("010009", format!("sql parser error: {message}"))
    }

    /// 010005: a statement we know and do not run (yet).
    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new("010005", format!("This feature is not implemented: {what}"))
    }

    /// 010001: the statement's parts do not fit together.
    pub fn planning(message: impl fmt::Display) -> Self {
        Self::new("010001", format!("Datafusion: Error during planning: {message}"))
    }

    /// 010001: a name that no column has, or too many have.
    pub fn schema(message: impl fmt::Display) -> Self {
        Self::new("010001", format!("Datafusion: Schema error: {message}"))
    }

    /// 010001: a constant that cannot be converted, found while rewriting the plan.
    pub fn constant(message: impl fmt::Display) -> Self {
        Self::new(
            "010001",
            format!("Datafusion: Optimizer rule 'simplify_expressions' failed\ncaused by\nArrow error: {message}"),
        )
    }

    /// 010002: a value of an INSERT that cannot be converted.
    pub fn arrow(message: impl fmt::Display) -> Self {
        Self::new("010002", format!("Arrow: {message}"))
    }

    /// One of 010003 and 010027 to 010046: a rule of the data model is broken.
    pub fn semantic(code: &'static str, message: impl fmt::Display) -> Self {
        Self::new(code, format!("Semantic error: {message}"))
    }

    /// 030017: no such database.
    pub fn database_not_found(name: &str) -> Self {
        Self::new("030017", format!("Database not found: {name:?}"))
    }

    /// 030018: the name is taken.
    pub fn database_exists(name: &str) -> Self {
        Self::new("030018", format!("Database {name:?} already exists"))
    }

    /// 030019: no such table; `name` as the statement at hand prints it.
    pub fn table_not_found(name: &str) -> Self {
        Self::new("030019", format!("Table not found: {name:?}"))
    }

    /// The same error with its place in the text.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }
}
