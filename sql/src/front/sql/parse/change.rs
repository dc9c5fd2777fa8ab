//! INSERT and UPDATE.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::parsed::Parsed;
use super::reader::Reader;
use crate::error::SqlError;

impl Reader<'_> {
    /// `INSERT [INTO] [TABLE] t [(columns)] query`
    pub(super) fn insert(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        let _ = self.word("INTO");
        // A table may be called so.
        if matches!(self.parser.peek_nth_token_ref(1).token, Token::Word(_)) {
            let _ = self.word("TABLE");
        }
        let table = self.object_name()?;
        let is_list = self.parser.peek_token_ref().token == Token::LParen
            && match &self.parser.peek_nth_token_ref(1).token {
                Token::LParen => false,
                Token::Word(w) => !matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES),
                _ => true,
            };
        let columns = if is_list { self.identifier_list()? } else { Vec::new() };
        if !self.starts_query() {
            return Err(self.expected("VALUES or SELECT"));
        }
        Ok(Parsed::Insert { table, columns, source: self.query()? })
    }

    /// `UPDATE t SET column = value, … [WHERE predicate]`
    pub(super) fn update(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        let table = self.object_name()?;
        if !self.word("SET") {
            return Err(self.expected("SET"));
        }
        let mut assignments = Vec::new();
        loop {
            let column = self.identifier()?;
            self.token(&Token::Eq)?;
            let value = self.parser.parse_expr().map_err(|e| self.refused(&e))?;
            assignments.push((column, value));
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        let predicate = self.predicate()?;
        Ok(Parsed::Update { table, assignments, predicate })
    }
}
