//! Tables of many columns. A statement about one takes long to bind, however short it is, so that it is bound beside
//! the core; one that names none of them need not wait behind those that do.

use std::cell::RefCell;
use std::collections::BTreeSet;

use memchr::memmem;
use tidewire_sql::influxql::{MeasurementName, Select, Source};
use tidewire_storage::schema::TableSchema;

/// Columns that a table has if it is wide: a statement about more takes a millisecond to bind.
const COLUMNS_MIN: usize = 512;

/// Names that are looked for in a statement, each in some hundred nanoseconds. Of more tables any may be meant.
const NAMES_MAX: usize = 64;

/// The wide tables that there have been, of all databases.
#[derive(Debug, Default)]
pub(super) struct WideTables {
    /// In lower case.
    names: RefCell<BTreeSet<String>>,
}

impl WideTables {
    /// Of these tables.
    pub(super) fn of<'t>(tables: impl IntoIterator<Item = &'t TableSchema>) -> Self {
        let wide = Self::default();
        wide.note(tables);
        wide
    }

    /// Takes note of tables that have changed.
    pub(super) fn note<'t>(&self, tables: impl IntoIterator<Item = &'t TableSchema>) {
        for table in tables.into_iter().filter(|table| table.columns.len() > COLUMNS_MIN) {
            let mut names = self.names.borrow_mut();
            if names.len() <= NAMES_MAX {
                names.insert(table.name.to_ascii_lowercase());
            }
        }
    }

    /// Whether a text of SQL may name one.
    pub(super) fn may_be_named(&self, text: &[u8]) -> bool {
        self.may_be(|names| {
            let text = text.to_ascii_lowercase();
            names.iter().any(|name| memmem::find(&text, plain(name)).is_some())
        })
    }

    /// Whether a SELECT of InfluxQL may read one.
    pub(super) fn may_be_read(&self, select: &Select) -> bool {
        self.may_be(|names| {
            select.sources.iter().any(|source| match source {
                Source::Subquery(select) => self.may_be_read(select),
                Source::Measurement(measurement) => match &measurement.name {
                    MeasurementName::Name(name) => names.contains(&name.to_ascii_lowercase()),
                    MeasurementName::Regex(_) => true,
                },
            })
        })
    }

    /// What `meant` says of the names, if there are some and not too many.
    fn may_be(&self, meant: impl FnOnce(&BTreeSet<String>) -> bool) -> bool {
        let names = self.names.borrow();
        !names.is_empty() && (names.len() > NAMES_MAX || meant(&names))
    }
}

/// The longest part of a name that stands in a text as it is: what is quoted may be doubled or escaped.
fn plain(name: &str) -> &[u8] {
    let parts = name.split(|letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_');
    parts.max_by_key(|part| part.len()).unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewire_sql::influxql::{Statement, parse};
    use tidewire_storage::schema::{Catalog, Database, DatabaseOptions};

    use super::*;
    use tidewire_base::catalog::{SchemaChange, preview};

    fn tables(names: &[(&str, usize)]) -> Catalog {
        use tidewire_storage::schema::{ColumnKind, FieldType};
        let database = Arc::new(Database::new("public", &DatabaseOptions::default(), []));
        let policy = database.default_policy.to_string();
        let catalog = Catalog {
            version: 1,
            databases: [(database.name.clone(), database)].into_iter().collect(),
            next_table: 1,
            ..Catalog::default()
        };
        let columns = |count| (0..count).map(|at| (format!("f{at}"), ColumnKind::Field(FieldType::Int))).collect();
        let tables = names.iter().map(|(name, count)| ((*name).to_owned(), columns(*count))).collect();
        preview(&catalog, &SchemaChange::Ensure { database: "public".to_owned(), policy, tables }).unwrap()
    }

    fn wide(names: &[(&str, usize)]) -> WideTables {
        let catalog = tables(names);
        WideTables::of(catalog.databases.values().flat_map(|database| database.all_tables()).map(|table| &**table))
    }

    #[test]
    fn a_statement_is_wide_that_may_name_a_wide_table() {
        let wide = wide(&[("Wide", 600), ("a \"b\"", 513), ("narrow", 500)]);
        for (text, is_named) in [
            ("SELECT * FROM wide", true),
            ("select v from \"Wide\"", true),
            ("SELECT * FROM \"a \"\"b\"\"\"", true),
            ("SELECT v FROM xs", false),
            ("SELECT x FROM m", false),
        ] {
            assert_eq!(wide.may_be_named(text.as_bytes()), is_named, "{text}");
        }
        for (text, is_read) in [
            ("SELECT * FROM narrow, \"Wide\"", true),
            ("SELECT max(v) FROM (SELECT * FROM (SELECT * FROM \"Wide\"))", true),
            ("SELECT * FROM /x/", true),
            ("SELECT wide FROM narrow", false),
        ] {
            let statements = parse(text).unwrap();
            let [Statement::Select(select)] = statements.as_slice() else { panic!("{text}") };
            assert_eq!(wide.may_be_read(select), is_read, "{text}");
        }
    }

    #[test]
    fn of_no_wide_table_none_is_named_and_of_many_any_may_be() {
        assert!(!wide(&[("m", 512)]).may_be_named(b"SELECT * FROM m"));
        let names: Vec<String> = (0..=NAMES_MAX).map(|at| format!("w{at}")).collect();
        let many: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 513)).collect();
        assert!(wide(&many).may_be_named(b"SELECT 1"));
    }
}
