//! How much memory a text takes while it is made into a statement, told from the text alone, so that it can be reserved
//! before anything is built.
//!
//! Nearly all of it is sqlparser's: a token takes some 90 bytes, twice that while their list grows, and an expression
//! of the tree some 300. The figures below are peaks of `prepare`, measured for texts of one kind repeated (`benches`,
//! test `statement_memory`), for each token: rows of INSERT 290 to 350 bytes, numbers and texts of IN 440 to 560. What
//! stands between commas outside of all brackets (columns of SELECT, keys of ORDER BY) and whole SELECTs take much
//! more, and are counted beside their tokens.
//!
//! The estimate is meant to be above the truth for what people send, and was at most half of it for what they do not:
//! long lists of arguments of one function.

/// For each token.
const TOKEN_BYTES: u64 = 640;
/// For each comma outside of all brackets.
const ITEM_BYTES: u64 = 4 << 10;
/// For each SELECT, and each semicolon that could end one.
const QUERY_BYTES: u64 = 12 << 10;

const INSERT: &[u8] = b"insert";

/// What preparing `text` takes at its peak, about.
pub fn bytes_to_prepare(text: &[u8]) -> u64 {
    let Counts { tokens, items, queries } = count(text);
    // Commas of INSERT stand between rows, which are no more than their tokens.
    let is_insert = text.trim_ascii_start().get(..INSERT.len()).is_some_and(|word| word.eq_ignore_ascii_case(INSERT));
    let items = if is_insert { 0 } else { items };
    // The text itself, once more where it is not UTF-8.
    2 * text.len() as u64 + tokens * TOKEN_BYTES + items * ITEM_BYTES + queries * QUERY_BYTES
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    tokens: u64,
    items: u64,
    queries: u64,
}

/// Counts tokens as sqlparser makes them, blanks included. What stands in quotes is one, and comments are taken for
/// what they would be otherwise.
fn count(text: &[u8]) -> Counts {
    let mut counts = Counts::default();
    let (mut at, mut depth) = (0, 0_u64);
    while let Some(&byte) = text.get(at) {
        counts.tokens += 1;
        let start = at;
        at += 1;
        match byte {
            b'\'' | b'"' | b'`' => {
                let quoted = text[at..].iter().position(|end| *end == byte);
                at = quoted.map_or(text.len(), |length| at + length + 1);
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => counts.items += 1,
            b';' => counts.queries += 1,
            _ if is_of_word(byte) => {
                at += text[at..].iter().take_while(|byte| is_of_word(**byte)).count();
                counts.queries += u64::from(text[start..at].eq_ignore_ascii_case(b"select"));
            }
            _ => {}
        }
    }
    counts
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_items_and_queries_are_counted() {
        let counted = |text: &str| {
            let Counts { tokens, items, queries } = count(text.as_bytes());
            (tokens, items, queries)
        };
        assert_eq!(counted(""), (0, 0, 0));
        assert_eq!(counted("SELECT a, b FROM t"), (10, 1, 1));
        assert_eq!(counted("select 1.5;"), (6, 0, 2));
        assert_eq!(counted("x IN (1,2,3)"), (11, 0, 0));
        assert_eq!(counted("'a b, c' \"d;\" `e"), (5, 0, 0));
        assert_eq!(counted(")),("), (4, 1, 0));
        assert_eq!(counted("größe"), (1, 0, 0));
    }

    #[test]
    fn a_long_list_takes_some_hundred_bytes_an_element() {
        let list = "12345678,".repeat(1_000);
        let bytes = bytes_to_prepare(format!("SELECT 1 FROM t WHERE x IN ({list}1)").as_bytes());
        assert!((1_250_000..1_350_000).contains(&bytes), "{bytes}");
        let rows = "(1,'a'),".repeat(1_000);
        let bytes = bytes_to_prepare(format!(" Insert into t VALUES {rows}(1,'b')").as_bytes());
        assert!((3_800_000..4_000_000).contains(&bytes), "{bytes}");
    }
}
