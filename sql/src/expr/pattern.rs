//! Regular expressions as SQL's `~` takes them: bound once, shared by all shards.
//!
//! A few characters (`\w{50}`) come to megabytes and tens of milliseconds, and thousands of patterns fit into one
//! statement. So each has a bound, and says what it takes ([`Pattern::bytes`]), which the statement answers for.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// Longest pattern. A pattern is written by hand, or joins a few hundred names with `|`.
const PATTERN_BYTES_MAX: usize = 16 << 10;

/// Memory of a compiled pattern of a statement. What comes near takes some ten milliseconds to compile.
pub(crate) const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Memory of a compiled pattern that a row may bring, some milliseconds.
const ROW_COMPILED_BYTES_MAX: usize = 256 << 10;

/// Patterns that each thread keeps compiled from one batch of rows to the next.
pub(crate) const PATTERNS_KEPT: usize = 32;

/// Bounds that are tried one after the other, since the crate does not say what a pattern takes. The first holds what
/// is written by hand.
const STEP_BYTES: [usize; 4] = [16 << 10, 64 << 10, ROW_COMPILED_BYTES_MAX, COMPILED_BYTES_MAX];

/// What a matcher may keep of the states that it has met, forwards and backwards. With less, patterns that meet many
/// states are matched by slower means.
const STATES_BYTES_MAX: usize = 256 << 10;

/// Compiles `text` into at most `bytes_max`; gives what it takes beside it. The error says in one line what is wrong.
pub(crate) fn compiled(text: &str, case_insensitive: bool, bytes_max: usize) -> Result<(Regex, usize), String> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(format!("it is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    for step in STEP_BYTES.into_iter().filter(|step| *step <= bytes_max) {
        let states = STATES_BYTES_MAX.min(4 * step);
        let mut builder = RegexBuilder::new(text);
        let built = builder.case_insensitive(case_insensitive).size_limit(step).dfa_size_limit(states).build();
        match built {
            Ok(regex) => return Ok((regex, step + 2 * states)),
            Err(regex::Error::CompiledTooBig(_)) => {}
            // The last line says what is wrong, those before show where.
            Err(other) => {
                let words = other.to_string();
                return Err(words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned());
            }
        }
    }
    Err(format!("compiled it takes more than {bytes_max} bytes"))
}

/// A regular expression of the crate `regex`: RE2's syntax, unanchored, time linear in the text.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    case_insensitive: bool,
    regex: Regex,
    bytes: usize,
}

/// About what a pattern takes that was compiled elsewhere: as much as one may, where a part of it is repeated or is a
/// class of characters.
pub(crate) fn about_bytes(text: &str) -> usize {
    let is_large = text.contains(['{', '\\']);
    if is_large { COMPILED_BYTES_MAX + 2 * STATES_BYTES_MAX } else { 9 * STEP_BYTES[0] }
}

impl Pattern {
    /// Compiles `text`; says in one line what is wrong with it.
    pub fn new(text: &str, case_insensitive: bool) -> Result<Self, String> {
        Self::within(text, case_insensitive, COMPILED_BYTES_MAX)
    }

    /// The same of a pattern that a row brings.
    pub(crate) fn of_row(text: &str, case_insensitive: bool) -> Result<Self, String> {
        Self::within(text, case_insensitive, ROW_COMPILED_BYTES_MAX)
    }

    /// One that is compiled already, with regard to case.
    pub(crate) fn of(text: &str, regex: Regex) -> Self {
        Self { text: text.into(), case_insensitive: false, regex, bytes: 0 }
    }

    fn within(text: &str, case_insensitive: bool, bytes_max: usize) -> Result<Self, String> {
        let (regex, bytes) = compiled(text, case_insensitive, bytes_max)?;
        Ok(Self { text: text.into(), case_insensitive, regex, bytes })
    }

    /// Memory that it takes at most, beyond what it shares with one that was compiled before.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// About how large it is compiled: how long a text takes to be matched grows with that where it meets many states.
    pub(crate) fn weight(&self) -> usize {
        if self.bytes > 0 { self.bytes } else { about_bytes(&self.text) }
    }

    /// Whether some part of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The parts of `text` that match, one after the other, with what the groups of the pattern matched in each.
    pub fn captures<'t>(&self, text: &'t str) -> impl Iterator<Item = regex::Captures<'t>> {
        self.regex.captures_iter(text)
    }

    /// Whether it was made of these.
    pub(crate) fn is(&self, text: &str, case_insensitive: bool) -> bool {
        *self.text == *text && self.case_insensitive == case_insensitive
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

    #[test]
    fn what_takes_more_says_so_and_a_row_may_bring_less() {
        let bytes = |text: &str| Pattern::new(text, false).unwrap().bytes();
        assert!(bytes("^a$") < bytes(r"\w\w") && bytes(r"\w\w") < bytes(r"\w{15}"));
        assert!(Pattern::of_row(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2} \w+$", false).is_ok());
        assert!(Pattern::of_row(r"\w{15}", false).unwrap_err().contains("more than 262144 bytes"));
    }
}
