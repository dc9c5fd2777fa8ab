//! The workspace is tidy: every check over every file, findings listed together.

use std::sync::OnceLock;

use tidewire_tidy::check;
use tidewire_tidy::module::{Crate, crates};
use tidewire_tidy::workspace::Workspace;

#[expect(clippy::unwrap_used, reason = "a workspace that cannot be read fails the test")]
fn workspace() -> &'static (Workspace, Vec<Crate>) {
    static READ: OnceLock<(Workspace, Vec<Crate>)> = OnceLock::new();
    READ.get_or_init(|| {
        let workspace = Workspace::read().unwrap();
        let crates = crates(&workspace);
        // A reader that found nothing would find nothing wrong either.
        assert!(workspace.sources.len() > 300 && workspace.pages.len() > 10 && crates.len() > 10);
        (workspace, crates)
    })
}

#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn no_circle_of_files_within_a_crate() {
    let (workspace, crates) = workspace();
    none(&check::circles(workspace, crates));
}

#[test]
fn no_import_against_the_order() {
    let (workspace, crates) = workspace();
    none(&check::order(workspace, crates));
}

#[test]
fn no_file_too_long() {
    none(&check::file_lines(&workspace().0));
}

#[test]
fn no_prose_too_wide() {
    none(&check::line_columns(&workspace().0));
}

#[test]
fn no_module_that_nobody_declares() {
    let (workspace, crates) = workspace();
    none(&check::undeclared_modules(workspace, crates));
}

#[test]
fn no_broken_link() {
    none(&check::links(&workspace().0));
}

#[test]
fn no_config_key_without_its_line_in_the_example() {
    none(&check::config_keys(&workspace().0).unwrap());
}

#[test]
fn no_metric_without_its_line_in_the_docs() {
    none(&check::metrics(&workspace().0).unwrap());
}

#[test]
fn no_phrase_that_readers_stumble_over() {
    none(&check::phrases(&workspace().0));
}
