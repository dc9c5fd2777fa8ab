//! Plans as text.

use crate::plan;

/// Compares the plan of `query` with `expected`, whose common indentation is that of the test.
fn check(query: &str, expected: &str) {
    let expected: Vec<_> = expected.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    assert_eq!(plan(query), expected.join("\n").trim(), "{query}");
}

#[test]
fn windows_of_a_derived_table_are_grouped_by_their_start() {
    let query = "select window.start as s, count(*) as c from \
                 (select time_window(time, interval '1 hour') as window from m) t group by window";
    assert!(plan(query).contains("group=[window]"), "{}", plan(query));
    check("select 1", "Project: 1 AS Int64(1)\n  Values: 1 rows of []");
}
