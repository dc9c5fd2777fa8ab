//! CODEC(…), of a column that is made or changed.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;

use super::parsed::Parsed;
use super::reader::Reader;
use crate::error::SqlError;

impl Reader<'_> {
    /// What follows `ALTER TABLE t ALTER`: `c SET CODEC(x)`.
    pub(super) fn set_codec(&mut self, table: ObjectName) -> Result<Parsed, SqlError> {
        let column = self.identifier()?;
        if !self.word("SET") {
            return Err(self.expected("SET CODEC"));
        }
        match self.codec()? {
            Some(codec) => Ok(Parsed::SetCodec { table, column, codec }),
            None => Err(self.expected("CODEC")),
        }
    }

    /// `CODEC(x)`, if it is next.
    pub(super) fn codec(&mut self) -> Result<Option<Ident>, SqlError> {
        if !self.word("CODEC") {
            return Ok(None);
        }
        self.token(&Token::LParen)?;
        let codec = self.identifier()?;
        self.token(&Token::RParen)?;
        Ok(Some(codec))
    }
}
