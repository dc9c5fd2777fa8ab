//! CREATE and DROP of databases and tables.

use sqlparser::tokenizer::Token;
use tidewire_storage::schema::{ColumnKind, DatabaseOptions, FieldType, Geometry, TimeUnit};

use super::parsed::{ColumnDefinition, ColumnType, Parsed};
use super::reader::Reader;
use crate::error::{GeometryError, SqlError, SqlErrorKind};
use crate::types::duration::parse_duration;
use crate::types::error::DurationError;

/// Object types of the reference that this server does not have yet.
const OBJECTS_LATER: [&str; 7] = ["EXTERNAL", "UNBOUNDED", "STREAM", "TENANT", "USER", "ROLE", "FUNCTION"];

impl Reader<'_> {
    pub(super) fn create(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASE") {
            self.create_database()
        } else if self.word("TABLE") {
            self.create_table()
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

    pub(super) fn database_option(&mut self, name: &str, options: &mut DatabaseOptions) -> Result<(), SqlError> {
        match name {
            "TTL" => {
                let (text, ttl_ns) = duration(self.text_value()?)?;
                if ttl_ns.is_some_and(|ns| ns < crate::types::unit::MINUTE_NS) {
                    return Err(SqlErrorKind::TtlTooShort(text).into());
                }
                options.ttl_ns = ttl_ns;
            }
            "VNODE_DURATION" => {
                let (text, duration) = duration(self.text_value()?)?;
                // A partition is some whole number of every unit of time, and long enough not to flood the disk with
                // one segment a write.
                const PARTITION_NS_MIN: i64 = crate::types::unit::MINUTE_NS;
                options.partition_ns = match duration {
                    Some(ns) if ns >= PARTITION_NS_MIN => ns - ns % COARSEST_UNIT_NS,
                    Some(_) => return Err(SqlErrorKind::PartitionTooShort(text).into()),
                    None => return Err(SqlErrorKind::PartitionInfinite.into()),
                };
            }
            "PRECISION" => {
                let text = self.text_value()?;
                options.precision = match text.to_ascii_lowercase().as_str() {
                    "ms" => TimeUnit::Millisecond,
                    "us" => TimeUnit::Microsecond,
                    "ns" => TimeUnit::Nanosecond,
                    _ => return Err(SqlErrorKind::Precision(text).into()),
                };
            }
            "SHARD" | "REPLICA" => {
                let text = self.text_value()?;
                let count: u64 = text.parse().map_err(|_| self.expected("a number"))?;
                if count == 0 {
                    return Err(SqlErrorKind::OptionZero(name.to_ascii_lowercase()).into());
                }
                check_fixed(name, &text)?;
            }
            "MAX_MEMCACHE_SIZE"
            | "MEMCACHE_PARTITIONS"
            | "WAL_MAX_FILE_SIZE"
            | "WAL_SYNC"
            | "STRICT_WRITE"
            | "MAX_CACHE_READERS" => {
                let text = self.text_value()?;
                check_fixed(name, &text)?;
            }
            _ => return Err(SqlErrorKind::OptionUnknown(name.to_owned()).into()),
        }
        Ok(())
    }

    /// A value given as text, number or bare word.
    fn text_value(&mut self) -> Result<String, SqlError> {
        let value = match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(text) | Token::Number(text, _) => text.clone(),
            Token::Word(word) => word.value.clone(),
            _ => return Err(self.expected("a value")),
        };
        self.parser.next_token();
        Ok(value)
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

/// Options of the reference that cannot be chosen here, with the one value that each is taken with: what DESCRIBE
/// DATABASE shows, so that a script which was written by either server runs on this one. Any other value is refused,
/// for it would have no effect: one node keeps one copy, its shards are the data folder's, and what tunes storage is in
/// the server's configuration.
const FIXED: [(&str, &str, &str); 8] = [
    ("SHARD", "1", "the data folder has its shards, which all databases share (`tidewire reshard`)"),
    ("REPLICA", "1", "one node keeps one copy"),
    ("MAX_MEMCACHE_SIZE", "128MiB", "`memtable.bytes_max` of the configuration is for all databases"),
    ("MEMCACHE_PARTITIONS", "16", "rows in memory are divided by shard"),
    ("WAL_MAX_FILE_SIZE", "128MiB", "`wal.file_bytes` of the configuration is for all databases"),
    ("WAL_SYNC", "false", "`wal.sync` of the configuration is for all databases"),
    ("STRICT_WRITE", "false", "writes may make tables and columns"),
    ("MAX_CACHE_READERS", "32", "`cache.bytes_max` of the configuration is for all databases"),
];

/// Refuses what an option cannot be set to.
fn check_fixed(name: &str, text: &str) -> Result<(), SqlError> {
    // `128 MiB`, `128M` and `128MB` are the same to the reference.
    let plain = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        text.trim_end_matches('b').trim_end_matches('i').to_owned()
    };
    let fixed = FIXED.iter().find(|(known, ..)| *known == name);
    match fixed.filter(|(_, value, _)| plain(value) != plain(text)) {
        Some((_, value, reason)) => {
            Err(SqlError::unsupported(format!("{name} other than {value}, found {text}: {reason}")))
        }
        None => Ok(()),
    }
}

/// A millisecond: the coarsest unit that times of a database have.
const COARSEST_UNIT_NS: i64 = 1_000_000;

/// A duration with its text; `None` for one without end.
fn duration(text: String) -> Result<(String, Option<i64>), SqlError> {
    match parse_duration(&text) {
        Ok(ns) => Ok((text, ns)),
        Err(DurationError) => Err(SqlErrorKind::Duration(text).into()),
    }
}
