//! Regular expressions as SQL's `~` takes them: bound once, shared by all shards.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// Longest pattern. A pattern is written by hand, or joins a few hundred names with `|`.
const PATTERN_BYTES_MAX: usize = 16 << 10;

/// Memory of a compiled pattern, and of what its matcher keeps while it works: a few characters (`\w{1000}{1000}`) must
/// not ask for more than the query they stand in.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// A regular expression of the crate `regex`: RE2's syntax, unanchored, time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    case_insensitive: bool,
    regex: Regex,
}

impl Pattern {
    /// Compiles `text`; says in one line what is wrong with it.
    pub fn new(text: &str, case_insensitive: bool) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        let regex = RegexBuilder::new(text)
            .case_insensitive(case_insensitive)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(bytes) => format!("compiled it takes more than {bytes} bytes"),
            // The last line says what is wrong, those before show where.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })?;
        Ok(Self { text: text.into(), case_insensitive, regex })
    }

    /// Whether some part of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The parts of `text` that match, one after the other, with what the groups of the pattern matched in each.
    pub fn captures<'t>(&self, text: &'t str) -> impl Iterator<Item = regex::Captures<'t>> {
        self.regex.captures_iter(text)
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The operator that it was written with.
    pub fn operator(&self, negated: bool) -> &'static str {
        match (negated, self.case_insensitive) {
            (false, false) => "~",
            (true, false) => "!~",
            (false, true) => "~*",
            (true, true) => "!~*",
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.case_insensitive) == (&other.text, other.case_insensitive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_unanchored_and_bounded() {
        assert!(Pattern::new("b+", false).unwrap().is_match("abbc"));
        assert!(!Pattern::new("^b", false).unwrap().is_match("abbc"));
        assert!(Pattern::new("^É", true).unwrap().is_match("été"));
        let refusal = |text: &str| Pattern::new(text, false).unwrap_err();
        assert_eq!(refusal("a("), "unclosed group");
        assert!(refusal(r"(\w{1000}){1000}").contains("more than"), "{}", refusal(r"(\w{1000}){1000}"));
        assert!(refusal(&"a".repeat(PATTERN_BYTES_MAX + 1)).contains("longer"));
        assert!(refusal(&"(".repeat(10_000)).len() < 200);
    }
}
