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
    fn starts_query(&self) -> bool {
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
            "ALTER" => self.alter(),
            "EXPLAIN" => {
                self.parser.next_token();
                let analyze = self.word("ANALYZE");
                let verbose = self.word("VERBOSE");
                if !self.starts_query() {
                    return Err(SqlError::unsupported("EXPLAIN of a statement that is no query"));
                }
                Ok(Parsed::Explain { query: self.query()?, analyze, verbose })
            }
            // The reference's own statements, which sqlparser would misread.
            "CHECKSUM" | "COMPACT" | "COPY" | "GRANT" | "KILL" | "MOVE" | "RECOVER" | "REPLICA" | "REVOKE"
            | "UPDATE" => Err(SqlError::unsupported(first)),
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

    fn describe(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("TABLE") {
            Ok(Parsed::DescribeTable(self.object_name()?))
        } else if self.word("DATABASE") {
            Ok(Parsed::DescribeDatabase(self.identifier()?))
        } else {
            Err(self.expected("table/database"))
        }
    }

    fn show(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASES") {
            Ok(Parsed::ShowDatabases)
        } else if self.word("TABLES") {
            let database = if self.word("ON") { Some(self.identifier()?) } else { None };
            Ok(Parsed::ShowTables { database })
        } else {
            let what = self.parser.peek_token_ref().token.to_string().to_ascii_uppercase();
            match what.as_str() {
                "SERIES" | "TAG" | "QUERIES" | "STREAMS" | "REPLICAS" => {
                    Err(SqlError::unsupported(format!("SHOW {what}")))
                }
                _ => Err(self.expected("DATABASES or TABLES")),
            }
        }
    }

    fn insert(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        let _ = self.word("INTO");
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
}
