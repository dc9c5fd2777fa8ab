//! docs/sql.md lists the functions that there are, as they describe themselves.

use std::fmt::Write as _;

use tidewire_sql::function::{Documentation, aggregates, scalars};

/// The table that the page must hold.
fn table() -> String {
    let mut text = "| Function | Other names | What it gives |\n|---|---|---|\n".to_owned();
    let mut rows = |kind: &str, functions: &mut dyn Iterator<Item = &Documentation>| {
        let _ = writeln!(text, "| **{kind}** | | |");
        for Documentation { aliases, usage, text: description, .. } in functions {
            let usage = usage.replace('|', "\\|");
            let _ = writeln!(text, "| `{usage}` | {} | {description} |", aliases.join(", "));
        }
    };
    rows("Scalars", &mut scalars().map(|function| &function.documentation));
    rows("Aggregates", &mut aggregates().map(|aggregate| &aggregate.documentation));
    text
}

#[test]
fn the_page_lists_the_functions_that_there_are() {
    let page = include_str!("../../../docs/sql.md");
    let (_, rest) = page.split_once("<!-- functions -->\n").unwrap_or_default();
    let (listed, _) = rest.split_once("<!-- /functions -->").unwrap_or_default();
    assert!(listed == table(), "docs/sql.md must list between its marks:\n{}", table());
}
