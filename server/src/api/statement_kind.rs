//! What kind of statement a text is, for the log: its first word.

/// Longer words begin no statement.
const WORD_BYTES_MAX: usize = 16;

/// The first word of a statement in capitals, behind blanks, comments and brackets; empty where there is none.
pub(super) fn statement_kind(text: &[u8]) -> String {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let behind = if rest.starts_with(b"--") {
            memchr::memchr(b'\n', rest).map(|end| end + 1)
        } else if rest.starts_with(b"/*") {
            memchr::memmem::find(rest, b"*/").map(|end| end + 2)
        } else if rest.starts_with(b"(") || rest.starts_with(b";") {
            Some(1)
        } else {
            break;
        };
        match behind {
            Some(behind) => rest = &rest[behind..],
            None => return String::new(),
        }
    }
    let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len());
    match end {
        1..=WORD_BYTES_MAX => String::from_utf8_lossy(&rest[..end]).to_ascii_uppercase(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_kind() {
        for (text, kind) in [
            ("SELECT 1", "SELECT"),
            (" -- a comment\n /* another */ (select 1)", "SELECT"),
            ("create user u with password 'x'", "CREATE"),
            ("show", "SHOW"),
            ("", ""),
            ("-- no end", ""),
            ("/* no end", ""),
            ("'x'", ""),
            ("aVeryLongWordThatIsNoStatement", ""),
        ] {
            assert_eq!(statement_kind(text.as_bytes()), kind, "{text}");
        }
    }
}
