//! Which statement a text is; those without a file of their own are read here.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::depth::{self, RECURSION_MAX};
use super::dialect::CnosDialect;
use super::name::position_at;
use super::parsed::Parsed;
use super::reader::Reader;
use crate::error::{SqlError, SqlErrorKind};

/// Reads `text` as one statement.
pub(crate) fn parse(text: &str) -> Result<Parsed, SqlError> {
    let dialect = CnosDialect;
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|e| SqlError::new(SqlErrorKind::Lexical(e.to_string())).at(position_at(e.location)))?;
    depth::check(&tokens)?;
    let parser = Parser::new(&dialect).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
    let mut reader = Reader { parser };
    let mut statements = Vec::new();
    loop {
        while reader.parser.consume_token(&Token::SemiColon) {}
        if reader.parser.peek_token_ref().token == Token::EOF {
            break;
        }
        statements.push(reader.statement()?);
        let next = reader.parser.peek_token_ref();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return Err(reader.expected("end of statement"));
        }
    }
    match statements.len() {
        0 => Ok(Parsed::Empty),
        1 => Ok(statements.remove(0)),
        count => Err(SqlErrorKind::ManyStatements { count, text: text.trim().to_owned() }.into()),
    }
}

impl Reader<'_> {
    /// Whether a query begins here.
    pub(super) fn starts_query(&self) -> bool {
        match &self.parser.peek_token_ref().token {
            Token::LParen => true,
            Token::Word(w) => matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE),
            _ => false,
        }
    }

    fn statement(&mut self) -> Result<Parsed, SqlError> {
        if self.starts_query() {
            return Ok(Parsed::Query(self.query()?));
        }
        let first = match &self.parser.peek_token_ref().token {
            Token::Word(w) if w.quote_style.is_none() => w.value.to_ascii_uppercase(),
            _ => String::new(),
        };
        match first.as_str() {
            "CREATE" => self.create(),
            "DROP" => self.drop(),
            "DESCRIBE" | "DESC" => self.describe(),
            "SHOW" => self.show(),
            "INSERT" => self.insert(),
            "DELETE" => self.delete(),
            "UPDATE" => self.update(),
            "COMPACT" => self.compact(),
            "ALTER" => self.alter(),
            "COPY" => self.copy(),
            "EXPLAIN" => {
                self.parser.next_token();
                let analyze = self.word("ANALYZE");
                let verbose = self.word("VERBOSE");
                if !self.starts_query() {
                    return Err(SqlError::unsupported("EXPLAIN of a statement that is no query"));
                }
                Ok(Parsed::Explain { query: self.query()?, analyze, verbose })
            }
            "GRANT" => self.grant(),
            "REVOKE" => self.revoke(),
            "RECOVER" => self.recover(),
            // The reference's own statements, which sqlparser would misread.
            "CHECKSUM" | "KILL" | "MOVE" | "REPLICA" => Err(SqlError::unsupported(first)),
            _ => self.foreign(),
        }
    }

    /// A statement that only sqlparser knows: real SQL that is not run here, or no SQL at all.
    fn foreign(&mut self) -> Result<Parsed, SqlError> {
        let statement = self.parser.parse_statement().map_err(|e| self.refused(&e))?;
        let what = match statement {
            ast::Statement::StartTransaction { .. } => "START TRANSACTION".to_owned(),
            other => other.to_string(),
        };
        Err(SqlError::unsupported(what))
    }

    /// `COMPACT DATABASE d`
    fn compact(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASE") {
            return Ok(Parsed::Compact { database: self.identifier()? });
        }
        match self.parser.peek_token_ref().token.to_string().to_ascii_uppercase().as_str() {
            "VNODE" => Err(SqlError::unsupported("COMPACT VNODE")),
            _ => Err(self.expected("DATABASE")),
        }
    }
}
