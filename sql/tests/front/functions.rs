//! docs/sql.md and docs/influxql.md list the functions that there are, as they describe themselves.

use tidewire_sql::function::influxql::{FUNCTIONS, Kind};
use tidewire_sql::function::{Documentation, aggregates, over_windows, scalars};

/// Columns of the page's lines.
const COLUMNS_MAX: usize = 120;

/// An item of a list, wrapped.
fn item(Documentation { aliases, usage, text, .. }: &Documentation) -> String {
    let also: String = aliases.iter().map(|alias| format!(", `{alias}`")).collect();
    let mut lines = vec![format!("- `{usage}`{also}:")];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_page_lists_the_functions_that_there_are() {
    let page = include_str!("../../../docs/sql.md");
    let scalars: String = scalars().map(|function| item(&function.documentation)).collect();
    let aggregates: String = aggregates().map(|aggregate| item(&aggregate.documentation)).collect();
    let windows: String = over_windows().map(item).collect();
    for (mark, expected) in [("scalars", scalars), ("aggregates", aggregates), ("windows", windows)] {
        let (_, rest) = page.split_once(&format!("<!-- {mark} -->\n")).unwrap_or_default();
        let (listed, _) = rest.split_once("<!-- end -->").unwrap_or_default();
        assert!(listed == expected, "docs/sql.md must list after <!-- {mark} -->:\n{expected}<!-- end -->");
    }
}

#[test]
fn the_page_of_influxql_has_a_table_of_its_functions() {
    let page = include_str!("../../../docs/influxql.md");
    let kind = |kind: &Kind| match kind {
        Kind::Aggregate(_) | Kind::Distinct | Kind::Integral => "aggregation",
        Kind::Selector(_) | Kind::Rows(_) => "selector",
        Kind::Transformation(_) => "transformation",
        Kind::Forecast { .. } => "prediction",
        Kind::Math { .. } => "mathematics",
    };
    let row = |function: &tidewire_sql::function::influxql::InfluxFunction| {
        format!("| `{}` | {} | {} |\n", function.usage, kind(&function.kind), function.text)
    };
    let expected: String = FUNCTIONS.iter().map(row).collect();
    let (_, rest) = page.split_once("<!-- functions -->\n").unwrap_or_default();
    let (listed, _) = rest.split_once("<!-- end -->").unwrap_or_default();
    let head = "| Function | Kind | What it gives |\n|---|---|---|\n";
    assert!(listed == format!("{head}{expected}"), "docs/influxql.md must have:\n{head}{expected}<!-- end -->");
}
