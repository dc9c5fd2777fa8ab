//! A cursor over the tokens of a text, and the refusals of what stands at it.

use super::error::{ParseError, ParseErrorKind};
use super::lexer::{Kind, Token, is_keyword};

/// Where the reader stands among the tokens.
pub(super) struct Cursor<'a> {
    tokens: &'a [Token],
    /// Position of the next token.
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// The first of `tokens`, whose last is the end.
    pub(super) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, at: 0 }
    }

    /// The next token; the end repeats.
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    /// Passes the keyword `word` over, if it is next.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is(word);
        self.at += usize::from(found);
        found
    }

    /// The refusal of the next token where `expected` could stand.
    pub(super) fn unexpected(&self, expected: &'static str) -> ParseError {
        let token = self.peek();
        refused(ParseErrorKind::Unexpected { found: token.shown(), expected }, token)
    }

    /// A name: a bare word that is no keyword, or any text in double quotes.
    pub(super) fn identifier(&mut self) -> Result<String, ParseError> {
        self.named("identifier")
    }

    /// A name where `expected` could stand.
    pub(super) fn named(&mut self, expected: &'static str) -> Result<String, ParseError> {
        match self.peek().kind.clone() {
            Kind::Quoted(name) => {
                self.at += 1;
                Ok(name)
            }
            Kind::Word(name) if !is_keyword(&name) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Passes the next token over.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// Passes a keyword over that has to be there.
    pub(super) fn expect(&mut self, word: &'static str) -> Result<(), ParseError> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }
}

/// The refusal of `token` for what it says.
pub(super) fn refused(kind: impl Into<ParseErrorKind>, token: &Token) -> ParseError {
    ParseError { kind: kind.into(), line: token.line, character: token.character }
}

/// The refusal of a statement that begins at `first`.
pub(super) fn unsupported(statement: impl Into<String>, first: &Token) -> ParseError {
    refused(ParseErrorKind::Unsupported { statement: statement.into() }, first)
}
