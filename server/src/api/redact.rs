//! What may be shown of a statement that can hold a password.

use std::borrow::Cow;

use crate::journal::text::{STATEMENT_CHARS_MAX, plain};

/// Whether the text has the word PASSWORD.
pub(super) fn has_password(text: &str) -> bool {
    matches!(without_password(text), Cow::Owned(_))
}

/// The text up to the word PASSWORD, if it has that; what follows is left out.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    const WORD: &[u8] = b"password";
    let is_word = |window: &[u8]| window.eq_ignore_ascii_case(WORD);
    match text.as_bytes().windows(WORD.len()).position(is_word) {
        // The word is ASCII, so its end is one of a character.
        Some(at) => Cow::Owned(format!("{} …", &text[..at + WORD.len()])),
        None => Cow::Borrowed(text),
    }
}

/// What the log shows of a statement.
pub(super) fn shown_statement(text: &str) -> String {
    plain(&without_password(text), STATEMENT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_and_passwords_are_not_said() {
        assert_eq!(shown_statement("SELECT *\n FROM m"), "SELECT *  FROM m");
        assert_eq!(shown_statement("CREATE USER u WITH Password 'secret'"), "CREATE USER u WITH Password …");
        assert_eq!(shown_statement(&"é".repeat(5_000)), format!("{}…", "é".repeat(1_000)));
    }

    #[test]
    fn passwords_are_not_said() {
        for (text, shown) in [
            ("SELECT é FROM m", "SELECT é FROM m"),
            ("CREATE USER é WITH Password 'secret'", "CREATE USER é WITH Password …"),
            ("alter user u set password='x'; password", "alter user u set password …"),
            ("", ""),
        ] {
            assert_eq!(without_password(text), shown);
            assert_eq!(has_password(text), text != shown);
        }
    }
}
