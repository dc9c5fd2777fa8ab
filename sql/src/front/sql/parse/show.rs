//! SHOW and DESCRIBE.

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::parsed::{Parsed, ShowOfTable, TagNames};
use super::reader::Reader;
use crate::error::SqlError;

impl Reader<'_> {
    pub(super) fn describe(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("TABLE") {
            Ok(Parsed::DescribeTable(self.object_name()?))
        } else if self.word("DATABASE") {
            Ok(Parsed::DescribeDatabase(self.identifier()?))
        } else {
            Err(self.expected("table/database"))
        }
    }

    pub(super) fn show(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASES") {
            Ok(Parsed::ShowDatabases)
        } else if self.word("TABLES") {
            let database = if self.word("ON") { Some(self.identifier()?) } else { None };
            Ok(Parsed::ShowTables { database })
        } else if self.word("QUERIES") {
            Ok(Parsed::ShowQueries)
        } else if self.word("SERIES") {
            self.show_of_table(false)
        } else if self.words(&["TAG", "VALUES"]) {
            self.show_of_table(true)
        } else {
            let what = self.parser.peek_token_ref().token.to_string().to_ascii_uppercase();
            match what.as_str() {
                "STREAMS" | "REPLICAS" => Err(SqlError::unsupported(format!("SHOW {what}"))),
                _ => Err(self.expected("DATABASES or TABLES")),
            }
        }
    }

    /// `[ON d] FROM t [WITH KEY …] [WHERE …] [ORDER BY …] [LIMIT n] [OFFSET n]`
    fn show_of_table(&mut self, with_key: bool) -> Result<Parsed, SqlError> {
        let database = if self.word("ON") { Some(self.identifier()?) } else { None };
        if !self.word("FROM") {
            return Err(self.expected("FROM"));
        }
        // ON has named the database.
        let table = match database {
            Some(_) => ast::ObjectName(vec![ast::ObjectNamePart::Identifier(self.identifier()?)]),
            None => self.object_name()?,
        };
        let tags = if with_key { Some(self.tag_names()?) } else { None };
        let predicate = self.predicate()?;
        let order_by = self.parser.parse_optional_order_by().map_err(|e| self.refused(&e))?;
        let limit = match self.word("LIMIT") {
            true => self.parser.parse_limit().map_err(|e| self.refused(&e))?,
            false => None,
        };
        let offset = match self.word("OFFSET") {
            true => {
                let value = self.parser.parse_expr().map_err(|e| self.refused(&e))?;
                Some(ast::Offset { value, rows: ast::OffsetRows::None })
            }
            false => None,
        };
        let limit = match (limit, offset) {
            (None, None) => None,
            (limit, offset) => Some(ast::LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() }),
        };
        let show = ShowOfTable { database, table, predicate, order_by, limit };
        Ok(match tags {
            Some(tags) => Parsed::ShowTagValues { show: Box::new(show), tags },
            None => Parsed::ShowSeries(Box::new(show)),
        })
    }

    /// `WITH KEY = a | != a | [NOT] IN (a, …)`
    fn tag_names(&mut self) -> Result<TagNames, SqlError> {
        if !self.words(&["WITH", "KEY"]) {
            return Err(self.expected("WITH KEY"));
        }
        if self.parser.consume_token(&Token::Eq) {
            return Ok(TagNames { names: vec![self.identifier()?], negated: false });
        }
        if self.parser.consume_token(&Token::Neq) {
            return Ok(TagNames { names: vec![self.identifier()?], negated: true });
        }
        let negated = self.word("NOT");
        if !self.word("IN") {
            return Err(self.expected("=, !=, IN or NOT IN"));
        }
        Ok(TagNames { names: self.identifier_list()?, negated })
    }
}
