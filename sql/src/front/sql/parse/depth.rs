//! A bound on how deep a syntax tree can become, computed from its tokens before the tree exists.
//!
//! sqlparser limits nesting, but builds `1 + 1 + 1 + …` in a loop: a flat text makes a tree as deep as it is long, and
//! merely dropping that tree recurses. So every token that can add a level (operators and key words; not names,
//! literals, commas or dots) counts one; a comma starts again; a bracket's depth counts as that of one operand. Set
//! operations chain whole queries, commas and all: no comma takes back their levels.
//!
//! ```text
//! depth(list)    = set operations + max over its items
//! depth(item)    = walk: token -> d + 1, group -> max(d, depth(group)) + 1
//! ```

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::name::position_at;
use crate::error::{SqlError, SqlErrorKind};

/// Nested expressions and subqueries that sqlparser may descend into; each level costs it several stack frames.
pub(super) const RECURSION_MAX: usize = 64;

/// Levels a tree may have. A level costs the deepest recursion over it (dropping, binding) a few hundred bytes of
/// stack; executor threads have 2 MiB. 1,000 terms of `a = 1 OR …` fit.
const DEPTH_MAX: usize = 2_048;

/// The error for a statement over the limit.
pub(super) fn too_deep() -> SqlError {
    SqlErrorKind::TooDeep { brackets_max: RECURSION_MAX, operators_max: DEPTH_MAX }.into()
}

/// Refuses tokens that could make too deep a tree.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    #[derive(Default)]
    struct Level {
        item: usize,
        list: usize,
        operations: usize,
    }
    let mut open: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push(std::mem::take(&mut level)),
            Token::RParen | Token::RBracket | Token::RBrace => {
                let depth = level.item.max(level.list) + level.operations;
                level = open.pop().unwrap_or_default();
                level.item = level.item.max(depth) + 1;
            }
            Token::Comma => {
                level.list = level.list.max(level.item);
                level.item = 0;
            }
            Token::SemiColon => level = Level::default(),
            Token::Word(word) if is_set_operation(word.keyword) => level.operations += 1,
            Token::Word(word) if word.keyword == Keyword::NoKeyword => {}
            Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period | Token::EOF => {}
            _ => level.item += 1,
        }
        if level.item + level.operations > DEPTH_MAX {
            return Err(too_deep().at(position_at(token.span.start)));
        }
    }
    Ok(())
}

fn is_set_operation(keyword: Keyword) -> bool {
    matches!(keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS)
}
