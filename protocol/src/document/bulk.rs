//! Elasticsearch's bulk format: an action a line, and behind `create` and `index` its document.
//!
//! `create` and `index` are the same here: a row is written. What is refused is refused alone, as an item with its
//! reason; only where it is not clear which lines are documents the whole body is refused.

use super::DocumentRule;
use super::flatten::Documents;
use super::lines::next_line;
use crate::json::JsonValue;
use crate::row::{Next, Position, RowError, RowTaker};

/// Tables that the actions of a body may name.
const TABLES_MAX: usize = 1024;

/// A line with an action that is longer is not kept.
const ACTION_BYTES_MAX: usize = 4 << 10;

/// What is asked to be done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `create`
    Create,
    /// `index`
    Index,
    /// `update`, which is refused.
    Update,
    /// `delete`, which is refused.
    Delete,
}

impl Action {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkItem {
    /// What was asked for.
    pub action: Action,
    /// Whether it was taken.
    pub is_taken: bool,
    /// Where the document's id stands among the ids, if it has one.
    id: Option<(u32, u32)>,
    /// Which of the tables.
    table: u32,
}

/// How far a body has been read.
#[derive(Debug)]
pub struct Bulk {
    /// The table that the request names.
    table: Option<String>,
    documents: Documents,
    /// Lines read.
    lines: u64,
    /// The action whose document comes next.
    open: Option<BulkItem>,
    /// The last line with an action that names no id, and what it says: clients send the same again and again.
    before: (Vec<u8>, Option<BulkItem>),
    items: Vec<BulkItem>,
    /// Tables that items name; mostly all the same.
    tables: Vec<String>,
    ids: String,
}

impl Bulk {
    /// Of a body whose documents are rows of `table`, or else of the table that their actions name.
    pub fn new(table: Option<String>, rule: DocumentRule) -> Self {
        Self {
            tables: table.iter().cloned().collect(),
            table,
            documents: Documents::new(rule),
            lines: 0,
            open: None,
            before: (Vec::new(), None),
            items: Vec::new(),
            ids: String::new(),
        }
    }

    /// Reads every line with the parser, as if it were like none before: what the others are compared with.
    #[must_use]
    pub fn by_the_book(mut self) -> Self {
        self.documents.by_the_book();
        self
    }

    /// The actions met, in their order.
    pub fn items(&self) -> &[BulkItem] {
        &self.items
    }

    /// The table of an item.
    pub fn table(&self, item: &BulkItem) -> &str {
        self.tables.get(item.table as usize).map_or("", String::as_str)
    }

    /// The id that an item brought.
    pub fn id(&self, item: &BulkItem) -> Option<&str> {
        let (start, end) = item.id?;
        self.ids.get(start as usize..end as usize)
    }

    /// Memory that the items hold.
    pub fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<BulkItem>() + self.ids.capacity()
    }

    /// Reads the lines of `text`, and what is behind them if nothing comes after it. Returns the bytes consumed; the
    /// others must stand at the start of the next piece. The error is one of the whole body.
    pub fn read(&mut self, text: &[u8], last: bool, rows: &mut impl RowTaker) -> Result<usize, RowError> {
        let mut consumed = 0;
        while let Some((line, length)) = next_line(text.get(consumed..).unwrap_or_default(), last) {
            consumed += length;
            self.lines += 1;
            if line.is_empty() {
                continue;
            }
            let next = match self.open.take() {
                None => self.action(line, rows)?,
                Some(item) => self.document(item, line, rows),
            };
            if next == Next::Stop {
                return Ok(text.len());
            }
        }
        match self.open {
            Some(_) if last => Err(RowError::Missing("the document of the last action")),
            None if last && self.items.is_empty() => Err(RowError::Missing("an action")),
            _ => Ok(consumed),
        }
    }

    /// A line with an action.
    fn action(&mut self, line: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let Self { documents, tables, ids, table, before, .. } = self;
        let item = match before {
            (text, Some(item)) if text == line => *item,
            (text, said) => {
                let item =
                    documents.reader().read(line, |value| read_action(value, table.is_some(), tables, ids))??;
                if item.id.is_none() && line.len() <= ACTION_BYTES_MAX {
                    text.clear();
                    text.extend_from_slice(line);
                    *said = Some(item);
                }
                item
            }
        };
        match item.action {
            Action::Delete => Ok(self.refuse(item, "delete", rows)),
            _ => {
                self.open = Some(item);
                Ok(Next::Continue)
            }
        }
    }

    /// The document of an action.
    fn document(&mut self, mut item: BulkItem, line: &[u8], rows: &mut impl RowTaker) -> Next {
        if item.action == Action::Update {
            return self.refuse(item, "update", rows);
        }
        let position = Position::Item(self.items.len() as u64 + 1);
        let table = self.tables.get(item.table as usize).map_or("", String::as_str);
        let taken = match self.documents.read(line, table) {
            Ok(()) => rows.take(position, &mut self.documents.draft),
            Err(error) => Err(rows.fault(position, error)),
        };
        item.is_taken = taken.is_ok();
        self.items.push(item);
        taken.err().unwrap_or(Next::Continue)
    }

    fn refuse(&mut self, item: BulkItem, action: &'static str, rows: &mut impl RowTaker) -> Next {
        let position = Position::Item(self.items.len() as u64 + 1);
        self.items.push(item);
        rows.fault(position, RowError::NotSupported(action))
    }
}

/// An action with the table and the id that it names.
fn read_action(
    line: JsonValue<'_, '_>,
    has_table: bool,
    tables: &mut Vec<String>,
    ids: &mut String,
) -> Result<BulkItem, RowError> {
    let (name, about) = line.object().and_then(|mut entries| entries.next()).ok_or(RowError::Missing("an action"))?;
    let action = match name {
        "create" => Action::Create,
        "index" => Action::Index,
        "update" => Action::Update,
        "delete" => Action::Delete,
        other => return Err(RowError::invalid("an action", other)),
    };
    let text = |name| about.get(name).and_then(JsonValue::text);
    let table = match text("_index") {
        _ if has_table => 0,
        None => return Err(RowError::Missing("the table: neither the request nor an action names one")),
        Some(index) => match tables.iter().rposition(|known| known == index) {
            Some(at) => at as u32,
            None if tables.len() >= TABLES_MAX => {
                return Err(RowError::TooMany { what: "tables", count_max: TABLES_MAX });
            }
            None => {
                tables.push(index.to_owned());
                tables.len() as u32 - 1
            }
        },
    };
    let id = text("_id").map(|id| {
        let start = ids.len() as u32;
        ids.push_str(id);
        (start, ids.len() as u32)
    });
    Ok(BulkItem { action, is_taken: false, id, table })
}
