//! The columns that names can mean at one place of a statement.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

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
    /// USING has made one column of this and another: its name alone means that one, and so does `*`.
    pub(crate) is_merged: bool,
}

/// All columns of the input, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) columns: Vec<ScopeColumn>,
    /// Their places by name, once many were looked for: a statement may name all columns of a table that has thousands.
    places: OnceCell<HashMap<String, Vec<usize>>>,
    /// Columns that were passed on the way to others.
    passed: Cell<usize>,
}

/// Passing this many columns takes about as long as noting the places of some dozens, which most statements never need.
const COLUMNS_PASSED_MAX: usize = 2048;

/// An identifier as it must be written: in double quotes unless it folds to itself.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl ScopeColumn {
    /// A column of no table.
    pub(crate) fn new(name: String, data_type: DataType) -> Self {
        Self { qualifier: None, name, data_type, window_ns: None, is_merged: false }
    }

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
            [name] => self.name == *name && !self.is_merged,
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
    /// Of these columns.
    pub(crate) fn new(columns: Vec<ScopeColumn>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// The places of the columns with this name.
    fn places(&self, name: Option<&String>) -> &[usize] {
        let places = self.places.get_or_init(|| {
            let mut places: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, column) in self.columns.iter().enumerate() {
                places.entry(column.name.clone()).or_default().push(at);
            }
            places
        });
        name.and_then(|name| places.get(name)).map_or(&[], Vec::as_slice)
    }

    /// Position of the column that `parts` (name, table.name or database.table.name) means; `None` where none does.
    pub(crate) fn find(&self, parts: &[String]) -> Result<Option<usize>, SqlError> {
        let answers = |at: &usize| self.columns[*at].answers_to(parts);
        let (first, second) = if self.passed.get() < COLUMNS_PASSED_MAX {
            self.passed.set(self.passed.get() + self.columns.len());
            let mut found = (0..self.columns.len()).filter(answers);
            (found.next(), found.next())
        } else {
            let mut found = self.places(parts.last()).iter().copied().filter(answers);
            (found.next(), found.next())
        };
        match second {
            Some(_) => Err(SqlErrorKind::ColumnAmbiguous(parts.join(".")).into()),
            None => Ok(first),
        }
    }

    /// The error for a name that no column has.
    pub(crate) fn no_field(&self, parts: &[String]) -> SqlError {
        let name: Vec<_> = parts.iter().map(|part| quoted(part)).collect();
        let known = self.columns.iter().map(ScopeColumn::quoted_name).collect();
        SqlErrorKind::ColumnUnknown { name: name.join("."), known }.into()
    }
}
