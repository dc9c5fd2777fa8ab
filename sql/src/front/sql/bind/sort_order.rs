//! How a key of ORDER BY is sorted, in a query and in a window alike.

use sqlparser::ast;

use crate::error::SqlError;

/// Whether the greatest value of a key comes first, and whether nulls do.
pub(super) fn sort_order(key: &ast::OrderByExpr) -> Result<(bool, bool), SqlError> {
    if key.with_fill.is_some() {
        return Err(SqlError::unsupported("WITH FILL"));
    }
    let descending = match &key.options.sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(_) => return Err(SqlError::unsupported("ORDER BY … USING")),
    };
    Ok((descending, key.options.nulls_first.unwrap_or(descending)))
}
