//! ALTER of databases and tables.

use tidewire_storage::schema::{ColumnKind, DatabaseOptions};

use super::parsed::{ColumnDefinition, ColumnType, Parsed, TableAlteration};
use super::reader::Reader;
use crate::error::{SqlError, SqlErrorKind};
use crate::statement::DatabaseChange;

impl Reader<'_> {
    pub(super) fn alter(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if self.word("DATABASE") {
            self.alter_database()
        } else if self.word("TABLE") {
            self.alter_table()
        } else if self.word("USER") {
            self.alter_user()
        } else if self.word("TENANT") {
            self.alter_tenant()
        } else {
            Err(self.expected("an object type after ALTER"))
        }
    }

    fn alter_database(&mut self) -> Result<Parsed, SqlError> {
        let name = self.identifier()?;
        if !self.word("SET") {
            return Err(self.expected("SET"));
        }
        let option = self.parser.peek_token_ref().token.to_string().to_ascii_uppercase();
        if !matches!(option.as_str(), "TTL" | "SHARD" | "VNODE_DURATION" | "REPLICA") {
            return Err(SqlErrorKind::OptionFixed.into());
        }
        self.parser.next_token();
        let _ = self.parser.consume_token(&sqlparser::tokenizer::Token::Eq);
        let mut options = DatabaseOptions::default();
        self.database_option(&option, &mut options)?;
        let change = match option.as_str() {
            "TTL" => DatabaseChange::Ttl(options.ttl_ns),
            "VNODE_DURATION" => DatabaseChange::PartitionLength {
                partition_ns: options.partition_ns,
                asked_ns: options.stored.vnode_ns.unwrap_or(options.partition_ns),
            },
            "SHARD" => DatabaseChange::Shard(options.stored.shard),
            _ => DatabaseChange::Replica(options.stored.replica),
        };
        Ok(Parsed::AlterDatabase { name, change })
    }

    fn alter_table(&mut self) -> Result<Parsed, SqlError> {
        let name = self.object_name()?;
        let alteration = if self.word("ADD") {
            if self.word("TAG") {
                let kind = ColumnType::Stored(ColumnKind::Tag);
                TableAlteration::Add(ColumnDefinition { name: self.identifier()?, kind, codec: None })
            } else if self.word("FIELD") {
                TableAlteration::Add(self.column_definition()?)
            } else {
                return Err(self.expected("FIELD or TAG"));
            }
        } else if self.word("DROP") {
            TableAlteration::Drop(self.identifier()?)
        } else if self.word("ALTER") {
            return self.set_codec(name);
        } else if self.word("RENAME") {
            if !self.word("COLUMN") {
                return Err(self.expected("COLUMN"));
            }
            let name = self.identifier()?;
            if !self.word("TO") {
                return Err(self.expected("TO"));
            }
            TableAlteration::Rename { name, to: self.identifier()? }
        } else {
            return Err(self.expected("ADD or ALTER or DROP or RENAME"));
        };
        Ok(Parsed::AlterTable { name, alteration })
    }
}
