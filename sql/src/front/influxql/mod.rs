//! InfluxQL front end: text to statements.
//!
//! Known are the statements that set up and clear databases: CREATE and DROP DATABASE, retention policies, DELETE, DROP
//! SERIES, DROP MEASUREMENT, SHOW DATABASES, SHOW RETENTION POLICIES and the counts of SHOW … CARDINALITY, several
//! separated by `;`. Anything else is refused by name, never answered wrongly.
//!
//! [`lexer`] splits the text into tokens with their position, over which a [`cursor`] moves; [`parse`] reads a
//! [`statement`]; [`bind`] says what a statement that deletes means for one table, once the table is known. An
//! [`error`] names the token and its place.

mod bind;
mod cursor;
mod duration;
mod error;
mod lexer;
mod parse;
mod statement;

pub use duration::format_duration;
pub use error::{DeleteError, DurationError, OperandKind, ParseError, ParseErrorKind};
pub use parse::parse;
pub use statement::{Cardinality, Condition, Counted, Delete, Operand, Statement};
