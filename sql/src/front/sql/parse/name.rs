//! Names and their places.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Location;

use crate::error::Position;

/// The name an identifier stands for: folded to lower case unless it is quoted.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// Where an identifier stands, if sqlparser kept it.
pub(crate) fn position_of(ident: &Ident) -> Option<Position> {
    position_at(ident.span.start)
}

/// A place in the text, if sqlparser kept it.
pub(crate) fn position_at(location: Location) -> Option<Position> {
    (location.line > 0).then_some(Position { line: location.line, column: location.column })
}
