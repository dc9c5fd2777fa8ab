//! sqlparser's cursor over the tokens, and what is read with it everywhere.

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::depth;
use super::name::position_at;
use crate::error::{Position, SqlError, SqlErrorKind};

/// sqlparser's cursor over the tokens.
pub(super) struct Reader<'a> {
    pub(super) parser: Parser<'a>,
}

impl Reader<'_> {
    pub(super) fn expected(&self, what: &str) -> SqlError {
        let found = self.parser.peek_token_ref();
        let kind = SqlErrorKind::Expected { what: what.to_owned(), found: found.token.to_string() };
        SqlError::new(kind).at(position_at(found.span.start))
    }

    /// sqlparser's error at the next token.
    pub(super) fn refused(&self, error: &ParserError) -> SqlError {
        let position = position_at(self.parser.peek_token_ref().span.start);
        let error = parser_error(error);
        if error.position.is_none() { error.at(position) } else { error }
    }

    /// Consumes the next word if it is `word`, in any case.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(&self.parser.peek_token_ref().token,
            Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
        if found {
            self.parser.next_token();
        }
        found
    }

    /// Consumes the next words if they are `words`, all of them or none.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().take_while(|word| self.word(word)).count();
        if found == words.len() {
            return true;
        }
        for _ in 0..found {
            self.parser.prev_token();
        }
        false
    }

    pub(super) fn identifier(&mut self) -> Result<Ident, SqlError> {
        self.parser.parse_identifier().map_err(|e| self.refused(&e))
    }

    pub(super) fn object_name(&mut self) -> Result<ObjectName, SqlError> {
        self.parser.parse_object_name(false).map_err(|e| self.refused(&e))
    }

    pub(super) fn query(&mut self) -> Result<Box<ast::Query>, SqlError> {
        self.parser.parse_query().map_err(|e| self.refused(&e))
    }

    /// WHERE and its condition, if they stand here.
    pub(super) fn predicate(&mut self) -> Result<Option<Box<ast::Expr>>, SqlError> {
        if !self.word("WHERE") {
            return Ok(None);
        }
        self.parser.parse_expr().map(|predicate| Some(Box::new(predicate))).map_err(|e| self.refused(&e))
    }

    /// `(a, b, …)`
    pub(super) fn identifier_list(&mut self) -> Result<Vec<Ident>, SqlError> {
        self.token(&Token::LParen)?;
        let mut names = vec![self.identifier()?];
        while self.parser.consume_token(&Token::Comma) {
            names.push(self.identifier()?);
        }
        self.token(&Token::RParen)?;
        Ok(names)
    }

    pub(super) fn token(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.parser.consume_token(token) { Ok(()) } else { Err(self.expected(&token.to_string())) }
    }
}

/// sqlparser's error, with the position that it prints.
pub(super) fn parser_error(error: &ParserError) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => return depth::too_deep(),
    };
    let position = text.rsplit_once(" at Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    SqlError::new(SqlErrorKind::Syntax(text.clone())).at(position)
}
