//! Text to syntax tree. sqlparser reads queries; what is CnosDB's own (DDL with TAGS, CODEC and WITH options, SHOW,
//! DESCRIBE, INSERT without INTO) is read here on the same token stream, so that positions and quoting are the same.
//!
//! Guarantees: one statement or none; nothing that recurses over the tree later can overflow the stack, because the
//! depth of the tree is bounded from its tokens before it is built ([`depth`]).

mod alter;
mod codec;
mod ddl;
mod delete;
mod depth;
mod dialect;

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};
use tidewire_storage::schema::{ColumnKind, DatabaseOptions};

use crate::error::{Position, SqlError};
use crate::statement::DatabaseChange;
pub(crate) use dialect::CnosDialect;

/// Nested expressions and subqueries that sqlparser may descend into; each level costs it several stack frames.
const RECURSION_MAX: usize = 64;

/// A statement as written, names not yet looked up.
#[derive(Debug)]
pub(crate) enum Parsed {
    Empty,
    Query(Box<ast::Query>),
    Explain { query: Box<ast::Query>, analyze: bool, verbose: bool },
    CreateDatabase { name: Ident, if_not_exists: bool, options: DatabaseOptions },
    DropDatabase { name: Ident, if_exists: bool },
    CreateTable { name: ObjectName, if_not_exists: bool, columns: Vec<ColumnDefinition>, tags: Vec<Ident> },
    DropTable { name: ObjectName, if_exists: bool },
    AlterDatabase { name: Ident, change: DatabaseChange },
    AlterTable { name: ObjectName, alteration: TableAlteration },
    SetCodec { table: ObjectName, column: Ident, codec: Ident },
    Delete { table: ObjectName, alias: Option<Ident>, predicate: Option<Box<ast::Expr>> },
    DescribeTable(ObjectName),
    DescribeDatabase(Ident),
    ShowDatabases,
    ShowTables { database: Option<Ident> },
    Insert { table: ObjectName, columns: Vec<Ident>, source: Box<ast::Query> },
}

/// What ALTER TABLE does.
#[derive(Debug)]
pub(crate) enum TableAlteration {
    Add(ColumnDefinition),
    Drop(Ident),
}

/// A column of CREATE TABLE.
#[derive(Debug)]
pub(crate) struct ColumnDefinition {
    pub(crate) name: Ident,
    pub(crate) kind: ColumnType,
    /// CODEC(…), as written.
    pub(crate) codec: Option<Ident>,
}

/// A column's type: one that can be stored, or the words of one that cannot.
#[derive(Debug)]
pub(crate) enum ColumnType {
    Stored(ColumnKind),
    Timestamp,
    Other(String),
}

/// Reads `text` as one statement.
pub(crate) fn parse(text: &str) -> Result<Parsed, SqlError> {
    let dialect = CnosDialect;
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|e| at_location(SqlError::parser(&e), e.location))?;
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
        count => {
            Err(SqlError::new("010013", format!("Multi-statement not allow, found num:{count}, sql:{}", text.trim())))
        }
    }
}

/// The name an identifier stands for: folded to lower case unless it is quoted.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// Where an identifier stands, if sqlparser kept it.
pub(crate) fn position_of(ident: &Ident) -> Option<Position> {
    position_at(ident.span.start)
}

pub(crate) fn position_at(location: sqlparser::tokenizer::Location) -> Option<Position> {
    (location.line > 0).then_some(Position { line: location.line, column: location.column })
}

fn at_location(error: SqlError, location: sqlparser::tokenizer::Location) -> SqlError {
    match position_at(location) {
        Some(position) => error.at(position),
        None => error,
    }
}

/// sqlparser's error in the reference's words (it had no colon after `Expected`), with the position it prints.
fn parser_error(error: &ParserError) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => return depth::too_deep(),
    };
    let words = text.replacen("Expected: ", "Expected ", 1);
    let position = text.rsplit_once(" at Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    let error = SqlError::parser(words);
    match position {
        Some(position) => error.at(position),
        None => error,
    }
}

/// sqlparser's cursor over the tokens.
struct Reader<'a> {
    parser: Parser<'a>,
}

impl Reader<'_> {
    fn expected(&self, what: &str) -> SqlError {
        let found = self.parser.peek_token_ref();
        at_location(
            SqlError::parser(format!("Expected {what}, found: {}{}", found.token, found.span.start)),
            found.span.start,
        )
    }

    /// Consumes the next word if it is `word`, in any case.
    fn word(&mut self, word: &str) -> bool {
        let found = matches!(&self.parser.peek_token_ref().token,
            Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
        if found {
            self.parser.next_token();
        }
        found
    }

    /// Consumes the next words if they are `words`, all of them or none.
    fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().take_while(|word| self.word(word)).count();
        if found == words.len() {
            return true;
        }
        for _ in 0..found {
            self.parser.prev_token();
        }
        false
    }

    fn identifier(&mut self) -> Result<Ident, SqlError> {
        self.parser.parse_identifier().map_err(|e| parser_error(&e))
    }

    fn object_name(&mut self) -> Result<ObjectName, SqlError> {
        self.parser.parse_object_name(false).map_err(|e| parser_error(&e))
    }

    fn query(&mut self) -> Result<Box<ast::Query>, SqlError> {
        self.parser.parse_query().map_err(|e| parser_error(&e))
    }

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
                    return Err(SqlError::not_implemented("EXPLAIN of a statement that is no query"));
                }
                Ok(Parsed::Explain { query: self.query()?, analyze, verbose })
            }
            // The reference's own statements, which sqlparser would misread.
            "CHECKSUM" | "COMPACT" | "COPY" | "GRANT" | "KILL" | "MOVE" | "RECOVER" | "REPLICA" | "REVOKE"
            | "UPDATE" => Err(SqlError::not_implemented(first)),
            _ => self.foreign(),
        }
    }

    /// A statement that only sqlparser knows: real SQL that is not run here, or no SQL at all.
    fn foreign(&mut self) -> Result<Parsed, SqlError> {
        let statement = self.parser.parse_statement().map_err(|e| parser_error(&e))?;
        let what = match statement {
            ast::Statement::StartTransaction { .. } => "START TRANSACTION".to_owned(),
            other => other.to_string(),
        };
        Err(SqlError::not_implemented(what))
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
                    Err(SqlError::not_implemented(format!("SHOW {what}")))
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

    /// `(a, b, …)`
    fn identifier_list(&mut self) -> Result<Vec<Ident>, SqlError> {
        self.token(&Token::LParen)?;
        let mut names = vec![self.identifier()?];
        while self.parser.consume_token(&Token::Comma) {
            names.push(self.identifier()?);
        }
        self.token(&Token::RParen)?;
        Ok(names)
    }

    fn token(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.parser.consume_token(token) { Ok(()) } else { Err(self.expected(&token.to_string())) }
    }
}
