//! A cursor over the tokens of a text, with the parameters that stand for some, and the refusals of what stands at it.

use std::collections::HashMap;

use super::lexer::{Kind, Lexer, Token, is_keyword};
use crate::deletion::TagMatch;
use crate::front::influxql::ast::{Literal, Regex};
use crate::front::influxql::error::{ParseError, ParseErrorKind};

/// What a request binds a name to.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// A constant.
    Literal(Literal),
    /// A name.
    Name(String),
    /// A regular expression.
    Regex(String),
}

/// Parameters by name.
pub type Parameters = HashMap<String, Parameter>;

/// Where the reader stands in a text.
pub(in crate::front::influxql) struct Cursor<'a> {
    /// Behind the next token.
    lexer: Lexer<'a>,
    /// Before the next token.
    before: Lexer<'a>,
    next: Token,
    parameters: &'a Parameters,
    /// The next token is what a parameter is bound to.
    is_bound: bool,
    /// Brackets, calls and subqueries that are open.
    pub(in crate::front::influxql) depth: usize,
    /// Memory of the regular expressions so far.
    pub(in crate::front::influxql) patterns_bytes: usize,
}

/// Memory of the regular expressions of one text: more than two hundred simple ones.
const PATTERNS_BYTES_MAX: usize = 32 << 20;

impl<'a> Cursor<'a> {
    /// The beginning of `text`.
    pub(in crate::front::influxql) fn new(text: &'a str, parameters: &'a Parameters) -> Self {
        let before = Lexer::new(text);
        let mut lexer = before.clone();
        let next = lexer.next();
        let mut cursor = Self { lexer, before, next, parameters, is_bound: false, depth: 0, patterns_bytes: 0 };
        cursor.bind();
        cursor
    }

    /// Puts what a parameter is bound to in its place; one that is not bound stays.
    fn bind(&mut self) {
        self.is_bound = false;
        let Kind::Parameter(name) = &self.next.kind else { return };
        self.next.kind = match self.parameters.get(name) {
            Some(Parameter::Literal(literal)) => match literal {
                Literal::Text(text) => Kind::Text(text.clone()),
                Literal::Integer(value) => Kind::Integer(value.to_string()),
                Literal::Unsigned(value) => Kind::Integer(value.to_string()),
                Literal::Number(value) => Kind::Number(value.to_string()),
                Literal::Bool(value) => Kind::Word(value.to_string()),
                Literal::Duration(ns) => Kind::Duration(format!("{ns}ns")),
            },
            Some(Parameter::Name(name)) => Kind::Quoted(name.clone()),
            Some(Parameter::Regex(_)) | None => return,
        };
        self.is_bound = true;
    }

    /// The next token; the end repeats.
    pub(in crate::front::influxql) fn peek(&self) -> &Token {
        &self.next
    }

    /// Passes the next token over.
    pub(in crate::front::influxql) fn skip(&mut self) {
        self.before = self.lexer.clone();
        self.next = self.lexer.next();
        self.bind();
    }

    /// Whether `c` follows the next token without blanks.
    pub(in crate::front::influxql) fn is_followed_by(&self, c: char) -> bool {
        self.lexer.is_at(c)
    }

    /// Whether a blank follows the next token.
    pub(in crate::front::influxql) fn is_followed_by_blank(&self) -> bool {
        self.lexer.is_at_blank()
    }

    /// Takes the regular expression that begins here, if one does.
    pub(in crate::front::influxql) fn regex(&mut self) -> Result<Option<Regex>, ParseError> {
        let first = self.next.clone();
        if let Kind::Parameter(name) = &first.kind
            && let Some(Parameter::Regex(text)) = self.parameters.get(name)
        {
            let matches = self.matches(text, &first)?;
            let regex = Regex { text: text.clone(), matches };
            self.skip();
            return Ok(Some(regex));
        }
        if first.kind != Kind::Symbol('/') {
            return Ok(None);
        }
        let mut lexer = self.before.clone();
        let Some(text) = lexer.regex() else { return Ok(None) };
        // Placed as a string is.
        let text = text.map_err(|token| ParseError {
            character: token.character.saturating_sub(1),
            ..refused(ParseErrorKind::BrokenRegex, &token)
        })?;
        let matches = self.matches(&text, &first)?;
        self.lexer = lexer;
        self.skip();
        Ok(Some(Regex { text, matches }))
    }

    /// Compiles the regular expression that begins at `first`.
    fn matches(&mut self, text: &str, first: &Token) -> Result<TagMatch, ParseError> {
        let compiled = TagMatch::pattern(text);
        let (matches, bytes) = compiled.map_err(|why| refused(ParseErrorKind::Pattern(why), first))?;
        self.patterns_bytes += bytes;
        if self.patterns_bytes > PATTERNS_BYTES_MAX {
            let why = format!("those of one request may take {PATTERNS_BYTES_MAX} bytes together");
            return Err(refused(ParseErrorKind::Pattern(why), first));
        }
        Ok(matches)
    }

    /// Passes the keyword `word` over, if it is next.
    pub(in crate::front::influxql) fn accept(&mut self, word: &str) -> bool {
        let found = self.next.is(word);
        if found {
            self.skip();
        }
        found
    }

    /// Passes `symbol` over, if it is next.
    pub(in crate::front::influxql) fn accept_symbol(&mut self, symbol: char) -> bool {
        let found = self.next.kind == Kind::Symbol(symbol);
        if found {
            self.skip();
        }
        found
    }

    /// The refusal of the next token where `expected` could stand.
    pub(in crate::front::influxql) fn unexpected(&self, expected: &'static str) -> ParseError {
        let mut error = refused(ParseErrorKind::Unexpected { found: self.next.shown(), expected }, &self.next);
        // InfluxDB's scanner places a string at the character before its quote.
        if matches!(self.next.kind, Kind::Text(_)) && !self.is_bound {
            error.character = error.character.saturating_sub(1).max(1);
        }
        error
    }

    /// A name: a bare word that is no keyword, or any text in double quotes.
    pub(in crate::front::influxql) fn identifier(&mut self) -> Result<String, ParseError> {
        match self.next.kind.clone() {
            Kind::Quoted(name) => {
                self.skip();
                Ok(name)
            }
            Kind::Word(name) if !is_keyword(&name) => {
                self.skip();
                Ok(name)
            }
            _ => Err(self.unexpected("identifier")),
        }
    }

    /// Whether a name is next.
    pub(in crate::front::influxql) fn is_identifier(&self) -> bool {
        match &self.next.kind {
            Kind::Quoted(_) => true,
            Kind::Word(word) => !is_keyword(word),
            _ => false,
        }
    }

    /// Text in single quotes.
    pub(in crate::front::influxql) fn string(&mut self) -> Result<String, ParseError> {
        let Kind::Text(text) = self.next.kind.clone() else { return Err(self.unexpected("string")) };
        self.skip();
        Ok(text)
    }

    /// A whole number; one that is too large is the largest.
    pub(in crate::front::influxql) fn integer(&mut self) -> Result<u64, ParseError> {
        let Kind::Integer(text) = &self.next.kind else { return Err(self.unexpected("integer")) };
        let value = text.parse().unwrap_or(u64::MAX);
        self.skip();
        Ok(value)
    }

    /// Passes a keyword over that has to be there.
    pub(in crate::front::influxql) fn expect(&mut self, word: &'static str) -> Result<(), ParseError> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    /// Passes a symbol over that has to be there; `expected` is its spelling.
    pub(in crate::front::influxql) fn expect_symbol(
        &mut self,
        symbol: char,
        expected: &'static str,
    ) -> Result<(), ParseError> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }
}

/// The refusal of `token` for what it says.
pub(in crate::front::influxql) fn refused(kind: impl Into<ParseErrorKind>, token: &Token) -> ParseError {
    ParseError { kind: kind.into(), line: token.line, character: token.character }
}

/// A refusal that names no place, as InfluxDB has some.
pub(in crate::front::influxql) fn nowhere(kind: impl Into<ParseErrorKind>) -> ParseError {
    ParseError { kind: kind.into(), line: 0, character: 0 }
}
