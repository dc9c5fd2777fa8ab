//! Phrases that a native reader stumbles over: word-for-word translations, and words with a better name here.

use crate::workspace::Workspace;

/// What is not to be said, and what to say instead. Matched as whole words apart from case: in comments and pages, and
/// in the strings of what ships (a test may quote what it likes).
const PHRASES: [(&str, &str); 8] = [
    ("is told", "is reported, is logged, learns"),
    ("are told", "are reported, are logged, learn"),
    ("for ever", "forever, without end, until X"),
    ("so many", "this many, N, at most N"),
    ("whoever", "the caller, the client, the operator"),
    ("gone on with", "continued, resumed"),
    ("the wish", "the request"),
    ("of this floor", "of this version, here"),
];

/// Every place where such a phrase stands.
pub fn phrases(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, (_, source)) in &workspace.sources {
        // The list itself is no finding.
        if path.ends_with("check/phrases.rs") {
            continue;
        }
        let is_test = path.iter().any(|part| part == "tests");
        let strings = source.strings.iter().filter(|_| !is_test);
        for piece in source.comments.iter().chain(strings) {
            for (at, line) in piece.text.lines().enumerate() {
                for (phrase, instead) in found_in(line) {
                    findings.push(format!("{}:{}: {phrase:?}: say {instead}", path.display(), piece.line + at));
                }
            }
        }
    }
    for (path, text) in &workspace.pages {
        for (at, line) in text.lines().enumerate() {
            for (phrase, instead) in found_in(line) {
                findings.push(format!("{}:{}: {phrase:?}: say {instead}", path.display(), at + 1));
            }
        }
    }
    findings
}

fn found_in(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let line = line.to_lowercase();
    PHRASES.into_iter().filter(move |(phrase, _)| {
        line.match_indices(phrase).any(|(at, _)| {
            let is_letter = |c: char| c.is_alphanumeric();
            !line[..at].chars().next_back().is_some_and(is_letter)
                && !line[at + phrase.len()..].chars().next().is_some_and(is_letter)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_whole_words() {
        assert_eq!(found_in("// What Is Told here").map(|(phrase, _)| phrase).collect::<Vec<_>>(), ["is told"]);
        assert_eq!(found_in("// this toldest of wishes").count(), 0);
    }
}
