//! Sizes: of a file, of a line of prose; and files that nothing compiles.

use crate::module::{Crate, undeclared};
use crate::workspace::Workspace;

/// Past about 600 lines a file holds a second concept; this is where it is no longer a matter of taste.
const FILE_LINES_MAX: usize = 700;

/// As wide as rustfmt lets code be, so that comments and code fit the same window.
const COLUMNS_MAX: usize = 120;

/// Sources that are too long.
pub fn file_lines(workspace: &Workspace) -> Vec<String> {
    let counted = workspace.sources.iter().map(|(path, (text, _))| (path, text.lines().count()));
    counted
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines, {FILE_LINES_MAX} at most", path.display()))
        .collect()
}

/// Comments in sources, and lines of pages, that are too wide. Tables, listings and lines that a long link makes wide
/// cannot be broken and are left out.
pub fn line_columns(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    let mut found = |path: &std::path::Path, line: usize, columns: usize| {
        findings.push(format!("{}:{line}: {columns} columns, {COLUMNS_MAX} at most", path.display()));
    };
    for (path, (text, source)) in &workspace.sources {
        let lines: Vec<&str> = text.lines().collect();
        for comment in &source.comments {
            for (at, _) in comment.text.lines().enumerate() {
                let line = comment.line + at;
                let columns = lines.get(line - 1).map_or(0, |line| line.chars().count());
                if columns > COLUMNS_MAX {
                    found(path, line, columns);
                }
            }
        }
    }
    for (path, text) in &workspace.pages {
        let mut in_listing = false;
        for (at, line) in text.lines().enumerate() {
            in_listing ^= line.trim_start().starts_with("```");
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !in_listing && !line.starts_with('|') && !line.contains("](") {
                found(path, at + 1, columns);
            }
        }
    }
    findings
}

/// Sources that no crate declares.
pub fn undeclared_modules(workspace: &Workspace, crates: &[Crate]) -> Vec<String> {
    undeclared(workspace, crates)
        .iter()
        .map(|path| format!("{}: no crate declares this file", path.display()))
        .collect()
}
