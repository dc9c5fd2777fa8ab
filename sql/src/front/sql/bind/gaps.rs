//! What is met of gaps in time while a SELECT is bound (`gap_fill.rs`), and where it stands until there are groups.

use super::subqueries::OUTER_AT;
use crate::expr::{Expr, Typed};
use crate::plan::series::FillWith;

/// Where calls of `locf` and `interpolate` stand for columns while a statement is bound.
pub(super) const FILLED_AT: usize = 1 << 44;

/// Where calls of `grouping` stand.
pub(super) const GROUPING_AT: usize = 1 << 45;

const _: () = assert!(FILLED_AT < GROUPING_AT && GROUPING_AT < OUTER_AT);

/// What a SELECT says of gaps.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The bucket of time, and the time, that a call of `time_window_gapfill` names.
    pub(super) key: Option<(Expr, Expr)>,
    /// What is filled, how, and the call in words.
    pub(super) filled: Vec<(Typed, FillWith, String)>,
}

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.key.is_none() && self.filled.is_empty()
    }

    /// One of the calls, in words.
    pub(super) fn words(&self) -> Option<String> {
        let key = self.key.as_ref().map(|_| "time_window_gapfill".to_owned());
        key.or_else(|| self.filled.first().map(|(.., words)| words.clone()))
    }
}
