//! Functions of SQL that only a window gives a meaning, as data. Aggregates can stand over a window too.

use crate::function::Documentation;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverWindow {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
}

const fn entry(
    function: OverWindow,
    heading: &'static str,
    name: &'static str,
    usage: &'static str,
    text: &'static str,
) -> (OverWindow, Documentation) {
    (function, Documentation::new(name, usage, text).heading(heading))
}

/// All of them.
static FUNCTIONS: [(OverWindow, Documentation); 11] = [
    entry(
        OverWindow::RowNumber,
        "ROW_NUMBER",
        "row_number",
        "row_number()",
        "Number of the row in its partition, from 1, BIGINT UNSIGNED.",
    ),
    entry(
        OverWindow::Rank,
        "RANK",
        "rank",
        "rank()",
        "Number of the first row that is equal in order, BIGINT UNSIGNED.",
    ),
    entry(
        OverWindow::DenseRank,
        "DENSE_RANK",
        "dense_rank",
        "dense_rank()",
        "The same where rows that are equal in order count once.",
    ),
    entry(
        OverWindow::PercentRank,
        "PERCENT_RANK",
        "percent_rank",
        "percent_rank()",
        "`rank - 1` by the number of rows less one, DOUBLE; 0 of one row.",
    ),
    entry(
        OverWindow::CumeDist,
        "CUME_DIST",
        "cume_dist",
        "cume_dist()",
        "Share of the partition's rows that come before the row or are equal to it in order, DOUBLE.",
    ),
    entry(
        OverWindow::Ntile,
        "NTILE",
        "ntile",
        "ntile(n)",
        "Number of the row's bucket, of `n` that differ by one row at most, BIGINT UNSIGNED.",
    ),
    entry(
        OverWindow::Lag,
        "LAG",
        "lag",
        "lag(x[, n[, default]])",
        "`x` of the row that is `n` (1 without) before, or the default, null without.",
    ),
    entry(OverWindow::Lead, "LEAD", "lead", "lead(x[, n[, default]])", "The same of the row that is `n` behind."),
    entry(OverWindow::FirstValue, "FIRST_VALUE", "first_value", "first_value(x)", "`x` of the first row of the frame."),
    entry(OverWindow::LastValue, "LAST_VALUE", "last_value", "last_value(x)", "`x` of the last row of the frame."),
    entry(
        OverWindow::NthValue,
        "NTH_VALUE",
        "nth_value",
        "nth_value(x, n)",
        "`x` of row `n` of the frame, from 1; null where there is none.",
    ),
];

/// The function called `name`, in lower case.
pub(crate) fn find_over_window(name: &str) -> Option<(OverWindow, &'static Documentation)> {
    FUNCTIONS.iter().find(|(_, documentation)| documentation.name == name).map(|(function, text)| (*function, text))
}

/// What is said of all of them.
pub fn over_windows() -> impl Iterator<Item = &'static Documentation> {
    FUNCTIONS.iter().map(|(_, documentation)| documentation)
}
