//! Tables whose rows are files outside the data folder. The catalog keeps what they are called and how they are read;
//! the files are somebody else's, and are looked at when a query reads them.

use std::fmt;
use std::sync::Arc;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use super::TimeUnit;

/// A table over files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalTable {
    /// Name as written, case kept.
    pub name: Arc<str>,
    /// Columns in the order of the files, or as declared.
    pub columns: Vec<ExternalColumn>,
    /// How the files are read.
    pub format: FileFormat,
    /// A file, or a folder all of whose files of the format are meant; as written.
    pub location: Arc<str>,
}

/// A column of an [`ExternalTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalColumn {
    /// Name as written, case kept.
    pub name: Arc<str>,
    /// What its values are.
    pub kind: ExternalType,
    /// NOT NULL: a row without a value is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_null: bool,
}

/// Type of the values in a column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExternalType {
    /// Whole numbers with a sign, of any width; BIGINT.
    Int,
    /// Whole numbers without a sign; BIGINT UNSIGNED.
    UInt,
    /// DOUBLE.
    Float,
    /// BOOLEAN.
    Bool,
    /// STRING.
    String,
    /// Numbers: how many digits they have, and how many of these behind the point. They are computed as DOUBLE.
    Decimal(u8, i8),
    /// Days, which are times at which days begin.
    Date,
    /// Times.
    Time(TimeUnit),
}

impl ExternalType {
    /// Arrow's type of the values in memory.
    pub const fn data_type(self) -> DataType {
        use arrow_schema::TimeUnit::{Microsecond, Millisecond, Nanosecond};
        match self {
            Self::Int => DataType::Int64,
            Self::UInt => DataType::UInt64,
            Self::Float | Self::Decimal(..) => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::String => DataType::Utf8,
            Self::Date | Self::Time(TimeUnit::Nanosecond) => DataType::Timestamp(Nanosecond, None),
            Self::Time(TimeUnit::Microsecond) => DataType::Timestamp(Microsecond, None),
            Self::Time(TimeUnit::Millisecond) => DataType::Timestamp(Millisecond, None),
        }
    }
}

/// As DESCRIBE shows it: arrow's name of what was declared.
impl fmt::Display for ExternalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(precision, scale) => write!(f, "Decimal128({precision}, {scale})"),
            Self::Date => f.write_str("Date32"),
            Self::Time(unit) => write!(f, "Timestamp({unit:?}, None)"),
            other => write!(f, "{:?}", other.data_type()),
        }
    }
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileFormat {
    /// Text with a separator between values and a line for each row.
    Csv {
        /// The first line has the names of the columns.
        header: bool,
        /// Between two values.
        delimiter: u8,
    },
    /// A JSON object on each line.
    Json,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    /// CSV as it is read and written where nothing else is said.
    pub const CSV: Self = Self::Csv { header: true, delimiter: b',' };

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv { .. } => "CSV",
            Self::Json => "JSON",
            Self::Parquet => "PARQUET",
        }
    }

    /// Ends of the names of its files; the first is that of those that are written.
    pub const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Csv { .. } => &[".csv"],
            Self::Json => &[".json", ".ndjson", ".jsonl"],
            Self::Parquet => &[".parquet"],
        }
    }
}
