//! CREATE and DROP of databases and tables.

use sqlparser::tokenizer::Token;
use tidewire_storage::schema::{ColumnKind, DatabaseOptions, FieldType, Geometry};

use super::parsed::{ColumnDefinition, ColumnType, Parsed};
use super::reader::Reader;
use crate::error::{GeometryError, SqlError};

/// Object types of the reference that this server does not have yet.
const OBJECTS_LATER: [&str; 3] = ["UNBOUNDED", "STREAM", "FUNCTION"];

impl Reader<'_> {
    pub(super) fn create(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASE") {
            self.create_database()
        } else if self.word("TABLE") {
            self.create_table()
        } else if self.word("USER") {
            self.create_user()
        } else if self.word("TENANT") {
            self.create_tenant()
        } else if self.word("ROLE") {
            self.create_role()
        } else if self.words(&["EXTERNAL", "TABLE"]) {
            self.create_external()
        } else {
            Err(self.no_such_object("CREATE"))
        }
    }

    pub(super) fn drop(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASE") {
            let if_exists = self.words(&["IF", "EXISTS"]);
            let name = self.identifier()?;
            if self.word("AFTER") {
                return Err(SqlError::unsupported("DROP DATABASE … AFTER"));
            }
            Ok(Parsed::DropDatabase { name, if_exists })
        } else if self.word("TABLE") {
            let if_exists = self.words(&["IF", "EXISTS"]);
            Ok(Parsed::DropTable { name: self.object_name()?, if_exists })
        } else if self.word("USER") {
            self.drop_user()
        } else if self.word("TENANT") {
            self.drop_tenant()
        } else if self.word("ROLE") {
            self.drop_role()
        } else {
            Err(self.no_such_object("DROP"))
        }
    }

    fn no_such_object(&self, verb: &str) -> SqlError {
        let found = self.parser.peek_token_ref().token.to_string().to_ascii_uppercase();
        if OBJECTS_LATER.contains(&found.as_str()) {
            SqlError::unsupported(format!("{verb} {found}"))
        } else {
            self.expected(&format!("an object type after {verb}"))
        }
    }

    fn create_database(&mut self) -> Result<Parsed, SqlError> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.identifier()?;
        let mut options = DatabaseOptions::default();
        if self.word("WITH") {
            let mut count = 0;
            while let Token::Word(word) = &self.parser.peek_token_ref().token {
                let option = word.value.to_ascii_uppercase();
                self.parser.next_token();
                let _ = self.parser.consume_token(&Token::Eq);
                self.database_option(&option, &mut options)?;
                let _ = self.parser.consume_token(&Token::Comma);
                count += 1;
            }
            if count == 0 {
                return Err(self.expected("a database option"));
            }
        }
        Ok(Parsed::CreateDatabase { name, if_not_exists, options })
    }

    fn create_table(&mut self) -> Result<Parsed, SqlError> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.object_name()?;
        self.token(&Token::LParen)?;
        let mut columns = Vec::new();
        let mut tags = Vec::new();
        loop {
            let tags_follow = !columns.is_empty() && self.parser.peek_nth_token_ref(1).token == Token::LParen;
            if tags_follow && self.word("TAGS") {
                tags = self.identifier_list()?;
                break;
            }
            columns.push(self.column_definition()?);
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.token(&Token::RParen)?;
        Ok(Parsed::CreateTable { name, if_not_exists, columns, tags })
    }

    pub(super) fn column_definition(&mut self) -> Result<ColumnDefinition, SqlError> {
        let name = self.identifier()?;
        let kind = self.column_type()?;
        let codec = self.codec()?;
        Ok(ColumnDefinition { name, kind, codec })
    }

    fn column_type(&mut self) -> Result<ColumnType, SqlError> {
        if !matches!(self.parser.peek_token_ref().token, Token::Word(_)) {
            return Err(self.expected("a data type name"));
        }
        let field = |field| Ok(ColumnType::Stored(ColumnKind::Field(field)));
        if self.word("BIGINT") {
            return field(if self.word("UNSIGNED") { FieldType::UInt } else { FieldType::Int });
        }
        if self.word("DOUBLE") {
            let _ = self.word("PRECISION");
            return field(FieldType::Float);
        }
        if self.word("BOOLEAN") {
            return field(FieldType::Bool);
        }
        if self.word("STRING") {
            return field(FieldType::String);
        }
        if self.word("TIMESTAMP") {
            return Ok(ColumnType::Timestamp);
        }
        if self.word("GEOMETRY") {
            return self.geometry();
        }
        let other = self.parser.parse_data_type().map_err(|e| self.refused(&e))?;
        Ok(ColumnType::Other(other.to_string()))
    }

    /// What follows GEOMETRY.
    fn geometry(&mut self) -> Result<ColumnType, SqlError> {
        let mut arguments = Vec::new();
        if self.parser.consume_token(&Token::LParen) {
            while !self.parser.consume_token(&Token::RParen) {
                if !arguments.is_empty() {
                    self.token(&Token::Comma)?;
                }
                arguments.push(self.text_value()?);
            }
        }
        let parts: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(match geometry_of(&parts) {
            Ok(kind) => ColumnType::Geometry(kind),
            Err(error) if parts.is_empty() => ColumnType::NoGeometry("geometry".to_owned(), error),
            Err(error) => ColumnType::NoGeometry(format!("geometry({})", parts.join(", ")), error),
        })
    }
}

/// The arguments of GEOMETRY: a kind of shapes and 0, the plane without a system of reference.
fn geometry_of(arguments: &[&str]) -> Result<Geometry, GeometryError> {
    let [kind, system] = arguments else { return Err(GeometryError::Arguments) };
    let kind = Geometry::of_name(kind).ok_or(GeometryError::Kind)?;
    if *system == "0" { Ok(kind) } else { Err(GeometryError::System) }
}
