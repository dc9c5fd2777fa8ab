//! Codecs: known ones, of types that take them.

use sqlparser::ast::{Ident, ObjectName};
use tidewire_storage::schema::{Access, Codec, ColumnKind, FieldType};

use super::binder::Binder;
use super::show::sql_name;
use crate::error::{SqlError, SqlErrorKind};
use crate::front::sql::parse::fold;
use crate::statement::Definition;

impl Binder<'_> {
    pub(super) fn set_codec(&self, name: &ObjectName, column: &Ident, codec: &Ident) -> Result<Definition, SqlError> {
        let (database, table) = self.target(name)?;
        let (_, schema, _) = self.table(name, Access::DEFINE)?;
        let column = fold(column);
        if column == "time" {
            return Err(SqlError::unsupported("a codec of time"));
        }
        let codec = match schema.column(&column).map(|column| column.kind) {
            Some(ColumnKind::Field(field)) => codec_of(codec, field)?,
            Some(ColumnKind::Tag) => return Err(unsupported(&codec.value, "TAG")),
            None => {
                return Err(SqlErrorKind::ColumnMissing { column, table }.into());
            }
        };
        Ok(Definition::SetCodec { database, table, column, codec })
    }
}

pub(super) fn unsupported(codec: &str, data_type: &str) -> SqlError {
    SqlErrorKind::CodecUnsuited { codec: codec.to_owned(), data_type: data_type.to_owned() }.into()
}

/// The codec that a name means for a field; `None` for the default.
pub(super) fn codec_of(name: &Ident, field: FieldType) -> Result<Option<Codec>, SqlError> {
    match Codec::of_name(&name.value) {
        Some(codec) if codec.suits(field) => Ok(Some(codec)),
        Some(codec) => Err(unsupported(codec.name(), sql_name(field))),
        None if name.value.eq_ignore_ascii_case("default") => Ok(None),
        None => Err(SqlErrorKind::CodecUnknown(name.value.clone()).into()),
    }
}
