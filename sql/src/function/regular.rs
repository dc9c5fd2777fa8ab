//! Regular expressions: RE2's syntax, as the operators `~` take it. A pattern is compiled anew where it changes from
//! one row to the next; its size is bounded ([`Pattern`]), and so is the number of rows that are looked at together
//! where it is not constant ([`Work`](crate::expr::extent::Work)).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, StringArray};

use super::definition::Parameter::Text;
use super::definition::{Documentation, Function, Signature};
use super::rows::{length_at, rows_of, text_at, text_rows, texts};
use crate::error::execution::{ExecError, Result};
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};
use crate::expr::pattern::{PATTERNS_KEPT, Pattern};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::of(
        Documentation::new(
            "regexp_like",
            "regexp_like(text, pattern[, flags])",
            "Whether some part of the text matches the regular expression, BOOLEAN. The flag `i` ignores case.",
        ),
        Signature::at_least(2, &[Text, Text, Text]),
        ScalarFunction::new("regexp_like", Returns::Boolean, Kernel::Columns(like)).failing().compiling(1),
    ),
    Function::of(
        Documentation::new(
            "regexp_replace",
            "regexp_replace(text, pattern, to[, flags])",
            "The text with the first part that matches the regular expression as `to`, where `\\1` stands for what its \
             first group matched and `\\0` for all of the part. The flag `g` replaces every such part, `i` ignores case.",
        ),
        Signature::at_least(3, &[Text, Text, Text, Text]),
        ScalarFunction::new("regexp_replace", Returns::Text, Kernel::Columns(replace))
            .failing()
            .making(replaced_bytes)
            .compiling(1),
    ),
];

/// The flags that a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flags {
    case_insensitive: bool,
    every: bool,
}

fn flags(name: &str, text: &str, allowed: &str) -> Result<Flags> {
    match text.chars().find(|flag| !allowed.contains(*flag)) {
        Some(flag) => {
            Err(ExecError::Execution(format!("{name}: the flag {flag:?} is not known; there are {allowed:?}")))
        }
        None => Ok(Flags { case_insensitive: text.contains('i'), every: text.contains('g') }),
    }
}

/// The pattern of the last row, for as long as it is the same.
#[derive(Default)]
struct Compiled(Option<Arc<Pattern>>);

thread_local! {
    /// Patterns of the batches before, the last one first: they are constant as a rule.
    static KEPT: RefCell<VecDeque<Arc<Pattern>>> = const { RefCell::new(VecDeque::new()) };
}

impl Compiled {
    fn of(&mut self, name: &str, text: &str, case_insensitive: bool) -> Result<&Pattern> {
        let is_same = |known: &Arc<Pattern>| known.is(text, case_insensitive);
        if !self.0.as_ref().is_some_and(is_same) {
            self.0 = Some(KEPT.with_borrow_mut(|kept| {
                let pattern = match kept.iter().position(is_same).and_then(|at| kept.remove(at)) {
                    Some(pattern) => pattern,
                    None => Arc::new(Pattern::of_row(text, case_insensitive).map_err(|reason| {
                        ExecError::Execution(format!("{name}: the pattern {text:?} is not valid: {reason}"))
                    })?),
                };
                kept.truncate(PATTERNS_KEPT - 1);
                kept.push_front(Arc::clone(&pattern));
                Ok::<_, ExecError>(pattern)
            })?);
        }
        match &self.0 {
            Some(pattern) => Ok(pattern),
            None => Err(ExecError::Internal("a pattern that was not compiled".into())),
        }
    }
}

/// The flags of a row; none where there is no such argument, `None` where it is null.
fn flags_at(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.map_or(Some(""), |column| text_at(column, row))
}

fn like(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, patterns) = (texts(args, 0)?, texts(args, 1)?);
    let flag_texts = (args.len() > 2).then(|| texts(args, 2)).transpose()?;
    let mut compiled = Compiled::default();
    let matched = (0..rows_of(args)).map(|row| {
        let flag_text = flags_at(flag_texts.as_ref(), row);
        let (Some(text), Some(pattern), Some(flag_text)) = (text_at(&columns, row), text_at(&patterns, row), flag_text)
        else {
            return Ok(None);
        };
        let flags = flags("regexp_like", flag_text, "i")?;
        Ok(Some(compiled.of("regexp_like", pattern, flags.case_insensitive)?.is_match(text)))
    });
    Ok(Arc::new(matched.collect::<Result<BooleanArray>>()?))
}

/// Each part that matches becomes `to`, with the part itself as often as `to` refers to groups of it.
fn replaced_bytes(args: &[ArrayRef]) -> usize {
    let of = |row| {
        let (text, to) = (length_at(args, 0, row), length_at(args, 2, row));
        let every = length_at(args, 3, row) > 0;
        let times = if every { text.saturating_add(1) } else { 1 };
        // A reference takes two bytes at least.
        text.saturating_mul(1 + to / 2).saturating_add(times.saturating_mul(to))
    };
    (0..rows_of(args)).map(of).fold(0, usize::saturating_add)
}

fn replace(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, patterns, to) = (texts(args, 0)?, texts(args, 1)?, texts(args, 2)?);
    let flag_texts = (args.len() > 3).then(|| texts(args, 3)).transpose()?;
    let mut compiled = Compiled::default();
    text_rows(rows_of(args), |row, made| {
        let flag_text = flags_at(flag_texts.as_ref(), row);
        let (Some(text), Some(pattern), Some(to), Some(flag_text)) =
            (text_at(&columns, row), text_at(&patterns, row), text_at(&to, row), flag_text)
        else {
            return Ok(None);
        };
        let flags = flags("regexp_replace", flag_text, "gi")?;
        let pattern = compiled.of("regexp_replace", pattern, flags.case_insensitive)?;
        let mut done = 0;
        for groups in pattern.captures(text).take(if flags.every { usize::MAX } else { 1 }) {
            let Some(part) = groups.get(0) else { continue };
            made.push_str(&text[done..part.start()]);
            expand(to, &groups, made);
            done = part.end();
        }
        made.push_str(&text[done..]);
        Ok(Some(()))
    })
}

/// Appends `to` with what groups matched in place of references to them.
fn expand(to: &str, groups: &regex::Captures<'_>, made: &mut String) {
    let mut rest = to;
    while let Some(at) = rest.find('\\') {
        made.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        match after.next() {
            Some(digit) if digit.is_ascii_digit() => {
                let group = digit.to_digit(10).and_then(|group| groups.get(group as usize));
                made.push_str(group.map_or("", |group| group.as_str()));
            }
            Some(other) => made.push(other),
            None => made.push('\\'),
        }
        rest = after.as_str();
    }
    made.push_str(rest);
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;

    use super::*;

    fn replaced(args: &[&str]) -> Result<String> {
        let args: Vec<ArrayRef> =
            args.iter().map(|text| Arc::new(StringArray::from(vec![*text])) as ArrayRef).collect();
        let made = replace(&args)?;
        let text = made.as_string::<i32>().value(0).to_owned();
        assert!(text.len() <= replaced_bytes(&args), "{text}");
        Ok(text)
    }

    #[test]
    fn groups_stand_in_the_replacement() {
        assert_eq!(replaced(&["foobarbaz", "b(..)", r"X\1Y"]).unwrap(), "fooXarYbaz");
        assert_eq!(replaced(&["foobarbaz", "b(..)", r"X\1Y", "g"]).unwrap(), "fooXarYXazY");
        assert_eq!(replaced(&["foobarbaz", "B(..)", r"\\X\0\7\", "gi"]).unwrap(), r"foo\Xbar\\Xbaz\");
        assert_eq!(replaced(&["abc", "", "-", "g"]).unwrap(), "-a-b-c-");
        assert_eq!(replaced(&["abc", "x", "-"]).unwrap(), "abc");
    }

    #[test]
    fn a_pattern_and_flags_that_are_none_are_errors() {
        assert!(replaced(&["a", "(", "b"]).unwrap_err().to_string().contains("regexp_replace"));
        assert!(replaced(&["a", "a", "b", "x"]).unwrap_err().to_string().contains("'x'"));
        assert!(replaced(&["a", r"\w{1000}{1000}", "b"]).is_err());
    }
}
