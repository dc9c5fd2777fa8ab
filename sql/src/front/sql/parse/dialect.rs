//! The lexical and grammatical switches of CnosDB's SQL, which is DataFusion's over sqlparser's generic dialect.

use sqlparser::dialect::Dialect;

/// CnosDB's dialect: double quotes (or backticks) around identifiers, single quotes around text, FILTER on
/// aggregates. Extensions of other systems stay off, so that they are errors rather than surprises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CnosDialect;

impl Dialect for CnosDialect {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_' || ch == '@'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '@' || ch == '$'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        false
    }
}
