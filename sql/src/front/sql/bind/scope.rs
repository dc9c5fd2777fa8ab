//! The columns that names can mean at one place of a statement.

use arrow_schema::DataType;

use crate::error::{SqlError, SqlErrorKind};

/// The table, as written, that a column can be qualified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualifier {
    /// Database, where FROM names one.
    pub(crate) database: Option<String>,
    /// Table or alias.
    pub(crate) table: String,
}

/// A column of the input.
#[derive(Debug, Clone)]
pub(crate) struct ScopeColumn {
    pub(crate) qualifier: Option<Qualifier>,
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// Set where the column holds the start of a `time_window`: the window's width in nanoseconds. To the statement
    /// it is a struct of start and end.
    pub(crate) window_ns: Option<i64>,
}

/// All columns of the input, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) columns: Vec<ScopeColumn>,
}

/// An identifier as it must be written: in double quotes unless it folds to itself.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl ScopeColumn {
    /// Qualified name, for headings.
    pub(crate) fn flat_name(&self) -> String {
        self.joined(str::to_owned)
    }

    /// Qualified name with quotes where they are needed, for messages.
    pub(crate) fn quoted_name(&self) -> String {
        self.joined(quoted)
    }

    fn joined(&self, write: impl Fn(&str) -> String) -> String {
        let mut parts = Vec::new();
        if let Some(qualifier) = &self.qualifier {
            parts.extend(qualifier.database.as_deref().map(&write));
            parts.push(write(&qualifier.table));
        }
        parts.push(write(&self.name));
        parts.join(".")
    }

    fn answers_to(&self, parts: &[String]) -> bool {
        let qualifier = self.qualifier.as_ref();
        match parts {
            [name] => self.name == *name,
            [table, name] => self.name == *name && qualifier.is_some_and(|q| q.table == *table),
            [database, table, name] => {
                self.name == *name
                    && qualifier.is_some_and(|q| q.table == *table && q.database.as_ref().is_none_or(|d| d == database))
            }
            _ => false,
        }
    }
}

impl Scope {
    /// Position of the column that `parts` (name, table.name or database.table.name) means; `None` where none does.
    pub(crate) fn find(&self, parts: &[String]) -> Result<Option<usize>, SqlError> {
        let mut found = (0..self.columns.len()).filter(|&at| self.columns[at].answers_to(parts));
        let first = found.next();
        if found.next().is_some() {
            return Err(SqlErrorKind::ColumnAmbiguous(parts.join(".")).into());
        }
        Ok(first)
    }

    /// The error for a name that no column has.
    pub(crate) fn no_field(&self, parts: &[String]) -> SqlError {
        let name: Vec<_> = parts.iter().map(|part| quoted(part)).collect();
        let known = self.columns.iter().map(ScopeColumn::quoted_name).collect();
        SqlErrorKind::ColumnUnknown { name: name.join("."), known }.into()
    }
}
