//! CREATE EXTERNAL TABLE and COPY INTO.

use sqlparser::ast::{DataType, ExactNumberInfo, Ident, ObjectNamePart, TimezoneInfo};
use sqlparser::tokenizer::Token;
use tidewire_storage::schema::{ExternalColumn, ExternalType, FileFormat, TimeUnit};

use super::name::fold;
use super::parsed::{CopySource, Parsed};
use super::reader::Reader;
use crate::error::{SqlError, SqlErrorKind};

/// Digits of a DECIMAL without arguments, and those of them behind the point, as the reference has them.
const DECIMAL_DEFAULT: (u8, i8) = (38, 10);

impl Reader<'_> {
    /// What follows `CREATE EXTERNAL TABLE`: `[IF NOT EXISTS] t [(columns)] STORED AS … LOCATION '…'`
    pub(super) fn create_external(&mut self) -> Result<Parsed, SqlError> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.object_name()?;
        for part in name.0.iter().filter_map(ObjectNamePart::as_ident) {
            check_name(part)?;
        }
        let columns = if self.parser.consume_token(&Token::LParen) { self.external_columns()? } else { Vec::new() };
        if !self.words(&["STORED", "AS"]) {
            return Err(self.expected("STORED AS"));
        }
        let mut format = self.file_type()?;
        loop {
            if self.words(&["WITH", "HEADER", "ROW"]) {
                self.csv(&mut format, |header, _| *header = true)?;
            } else if self.word("DELIMITER") {
                let byte = self.delimiter()?;
                self.csv(&mut format, |_, delimiter| *delimiter = byte)?;
            } else if self.word("LOCATION") {
                break;
            } else {
                return Err(self.external_clause());
            }
        }
        let location = self.quoted()?;
        Ok(Parsed::CreateExternal { name, if_not_exists, columns, format, location })
    }

    /// What stands where a clause of CREATE EXTERNAL TABLE is expected.
    fn external_clause(&self) -> SqlError {
        let found = self.parser.peek_token_ref().token.to_string().to_ascii_uppercase();
        match found.as_str() {
            "COMPRESSION" | "PARTITIONED" | "OPTIONS" | "WITH" => {
                SqlError::unsupported(format!("{found} of an external table"))
            }
            _ => self.expected("LOCATION"),
        }
    }

    /// `c type [[NOT] NULL], …)`, perhaps with a comma at its end.
    fn external_columns(&mut self) -> Result<Vec<ExternalColumn>, SqlError> {
        let mut columns: Vec<ExternalColumn> = Vec::new();
        while !self.parser.consume_token(&Token::RParen) {
            if !columns.is_empty() {
                self.token(&Token::Comma)?;
                if self.parser.consume_token(&Token::RParen) {
                    break;
                }
            }
            let name = fold(&self.identifier()?);
            let kind = self.external_type()?;
            let not_null = self.words(&["NOT", "NULL"]);
            if !not_null {
                let _ = self.word("NULL");
            }
            if columns.iter().any(|known| *known.name == *name) {
                return Err(SqlErrorKind::InsertColumnTwice(name).into());
            }
            columns.push(ExternalColumn { name: name.into(), kind, not_null });
        }
        Ok(columns)
    }

    fn external_type(&mut self) -> Result<ExternalType, SqlError> {
        let written = self.parser.parse_data_type().map_err(|e| self.refused(&e))?;
        external_type(&written)
            .ok_or_else(|| SqlError::unsupported(format!("the type {written} of a column of an external table")))
    }

    fn file_type(&mut self) -> Result<FileFormat, SqlError> {
        let expected = self.expected("CSV, JSON, NDJSON or PARQUET");
        let name = self.text_value()?.to_ascii_uppercase();
        match name.as_str() {
            "CSV" => Ok(FileFormat::Csv { header: false, delimiter: b',' }),
            "JSON" | "NDJSON" => Ok(FileFormat::Json),
            "PARQUET" => Ok(FileFormat::Parquet),
            "AVRO" => Err(SqlError::unsupported("files of the format AVRO")),
            _ => Err(expected),
        }
    }

    /// Changes what only CSV has.
    fn csv(&self, format: &mut FileFormat, change: impl FnOnce(&mut bool, &mut u8)) -> Result<(), SqlError> {
        let name = format.name();
        match format {
            FileFormat::Csv { header, delimiter } => {
                change(header, delimiter);
                Ok(())
            }
            FileFormat::Json | FileFormat::Parquet => {
                Err(SqlError::unsupported(format!("a header or a delimiter of files of the format {name}")))
            }
        }
    }

    /// One character of ASCII that is no quote and no line end.
    fn delimiter(&mut self) -> Result<u8, SqlError> {
        let expected = self.expected("a delimiter of one character of ASCII");
        match self.quoted()?.as_bytes() {
            b"\\t" => Ok(b'\t'),
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) => Ok(*byte),
            _ => Err(expected),
        }
    }

    /// `COPY INTO 'file' FROM t | (query) …` or `COPY INTO t [(columns)] FROM 'file' …`
    pub(super) fn copy(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if !self.word("INTO") {
            return Err(self.expected("INTO"));
        }
        if matches!(self.parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
            let location = self.quoted()?;
            self.from()?;
            let source = if self.parser.consume_token(&Token::LParen) {
                let query = self.query()?;
                self.token(&Token::RParen)?;
                CopySource::Query(query)
            } else {
                CopySource::Table(self.object_name()?)
            };
            return Ok(Parsed::CopyOut { location, source, format: self.copy_options()? });
        }
        let table = self.object_name()?;
        let columns =
            if self.parser.peek_token_ref().token == Token::LParen { self.identifier_list()? } else { Vec::new() };
        self.from()?;
        let location = self.quoted()?;
        Ok(Parsed::CopyIn { table, columns, location, format: self.copy_options()? })
    }

    fn from(&mut self) -> Result<(), SqlError> {
        if self.word("FROM") { Ok(()) } else { Err(self.expected("FROM")) }
    }

    /// `FILE_FORMAT = (…)` and `COPY_OPTIONS = (…)` in any order. Without a format it is CSV.
    fn copy_options(&mut self) -> Result<FileFormat, SqlError> {
        let mut format = FileFormat::CSV;
        loop {
            if self.word("FILE_FORMAT") {
                self.options_begin()?;
                format = self.file_format()?;
            } else if self.word("COPY_OPTIONS") {
                self.options_begin()?;
                while self.next_option()? {
                    let expected = self.expected("auto_infer_schema");
                    if !self.text_value()?.eq_ignore_ascii_case("auto_infer_schema") {
                        return Err(expected);
                    }
                    self.token(&Token::Eq)?;
                    // Columns go by their names, and values are what the table's columns are: nothing is inferred.
                    let _ = self.switch()?;
                }
            } else if self.word("CONNECTION") {
                return Err(SqlError::unsupported("CONNECTION: files are below folders of the server"));
            } else {
                return Ok(format);
            }
        }
    }

    fn options_begin(&mut self) -> Result<(), SqlError> {
        let _ = self.parser.consume_token(&Token::Eq);
        self.token(&Token::LParen)
    }

    /// Whether another option stands here, rather than the end of the list.
    fn next_option(&mut self) -> Result<bool, SqlError> {
        while self.parser.consume_token(&Token::Comma) {}
        Ok(!self.parser.consume_token(&Token::RParen))
    }

    /// `TYPE = '…', DELIMITER = '…', WITH_HEADER = true`, TYPE first.
    fn file_format(&mut self) -> Result<FileFormat, SqlError> {
        let mut format = FileFormat::CSV;
        while self.next_option()? {
            if self.word("TYPE") {
                self.token(&Token::Eq)?;
                format = match self.file_type()? {
                    FileFormat::Csv { .. } => FileFormat::CSV,
                    other => other,
                };
            } else if self.word("DELIMITER") {
                self.token(&Token::Eq)?;
                let byte = self.delimiter()?;
                self.csv(&mut format, |_, delimiter| *delimiter = byte)?;
            } else if self.word("WITH_HEADER") {
                self.token(&Token::Eq)?;
                let is_there = self.switch()?;
                self.csv(&mut format, |header, _| *header = is_there)?;
            } else {
                return Err(self.expected("TYPE, DELIMITER or WITH_HEADER"));
            }
        }
        Ok(format)
    }
}

/// Refuses names that the reference refuses, in its words.
fn check_name(name: &Ident) -> Result<(), SqlError> {
    let words = match name.value.as_str() {
        blank if blank.trim().is_empty() => "Name cannot be empty or contain only spaces".to_owned(),
        slash if slash.contains('/') => format!("not supported keyword contains '/': {slash}"),
        _ => return Ok(()),
    };
    Err(SqlErrorKind::Syntax(words).into())
}

/// What a declared type is read as.
fn external_type(written: &DataType) -> Option<ExternalType> {
    Some(match written {
        DataType::TinyInt(_)
        | DataType::SmallInt(_)
        | DataType::MediumInt(_)
        | DataType::Int(_)
        | DataType::Integer(_)
        | DataType::BigInt(_) => ExternalType::Int,
        DataType::TinyIntUnsigned(_)
        | DataType::SmallIntUnsigned(_)
        | DataType::MediumIntUnsigned(_)
        | DataType::IntUnsigned(_)
        | DataType::IntegerUnsigned(_)
        | DataType::BigIntUnsigned(_) => ExternalType::UInt,
        DataType::Float(_) | DataType::Real | DataType::Double(_) | DataType::DoublePrecision => ExternalType::Float,
        DataType::Boolean | DataType::Bool => ExternalType::Bool,
        DataType::Char(_) | DataType::Varchar(_) | DataType::CharVarying(_) | DataType::Text | DataType::String(_) => {
            ExternalType::String
        }
        DataType::Decimal(digits) | DataType::Numeric(digits) | DataType::Dec(digits) => {
            let (precision, scale) = match digits {
                ExactNumberInfo::None => DECIMAL_DEFAULT,
                ExactNumberInfo::Precision(precision) => (u8::try_from(*precision).ok()?, 0),
                ExactNumberInfo::PrecisionAndScale(precision, scale) => {
                    (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?)
                }
            };
            let is_one = (1..=DECIMAL_DEFAULT.0).contains(&precision) && (0..=precision as i8).contains(&scale);
            is_one.then_some(ExternalType::Decimal(precision, scale))?
        }
        DataType::Date => ExternalType::Date,
        DataType::Timestamp(digits, TimezoneInfo::None) => ExternalType::Time(match digits {
            None | Some(9) => TimeUnit::Nanosecond,
            Some(6) => TimeUnit::Microsecond,
            Some(3) => TimeUnit::Millisecond,
            Some(_) => return None,
        }),
        _ => return None,
    })
}
