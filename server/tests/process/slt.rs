//! The files of `sql/tests/slt`: SQL with its answers, in sqllogictest's format. Each runs in a database of its own on
//! servers of one and of several shards, with its rows in memory, in segments, and compacted, and answers are the same.
//!
//! Of the format they have what is read here, so that any of its runners takes them too. The crate of that name brings
//! some fifty others, and with them another build of arrow, for these few lines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::{Server, fresh_folder};

/// Where the rows of a file are while it asks for them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Memory,
    Segments,
    Compacted,
}

/// A server as a file sees it.
struct Connection<'s> {
    server: &'s Server,
    database: String,
    place: Place,
    /// Whether rows may have been written that are not in their place.
    has_written: bool,
}

impl Connection<'_> {
    /// The rows of a reply, without their header; an error is its text.
    fn ask(&self, text: &str) -> Result<Vec<String>, String> {
        let reply = self.server.sql(&self.database, text);
        match reply.status() {
            200 => Ok(csv_rows(&reply.text()).into_iter().skip(1).map(|row| row.join(" ")).collect()),
            _ => Err(reply.text()),
        }
    }

    /// Brings rows where they are wanted.
    fn settle(&self) -> Result<(), String> {
        match self.place {
            Place::Memory => {}
            Place::Compacted => drop(self.ask(&format!("COMPACT DATABASE {}", self.database))?),
            Place::Segments => {
                let rows = |server: &Server| server.metric("tidewire_memtable_rows", "shard=");
                self.server.wait_until("all rows are in segments", |server| rows(server) == 0.0);
            }
        }
        Ok(())
    }

    fn run(&mut self, text: &str) -> Result<Vec<String>, String> {
        let first = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let reads = ["select", "with", "explain"].contains(&first.as_str());
        if reads && std::mem::take(&mut self.has_written) {
            self.settle()?;
        }
        self.has_written |= ["insert", "update", "delete"].contains(&first.as_str());
        self.ask(text)
    }

    /// Runs a record; what is wrong where its answer is another.
    fn check(&mut self, record: &Record<'_>) -> Result<(), String> {
        let Record { head, text, expected } = record;
        let found = self.run(text);
        match (head.as_slice(), found) {
            (["statement", "ok"], Ok(_)) => Ok(()),
            (["statement", "error", code], Err(told)) if told.contains(&format!("\"{code}\"")) => Ok(()),
            (["query", types, order], Ok(rows)) => {
                // A value may have several lines.
                let mut rows: Vec<&str> = rows.iter().flat_map(|row| row.lines()).collect();
                let mut expected: Vec<&str> = expected.clone();
                match *order {
                    "nosort" => {}
                    "rowsort" => {
                        rows.sort_unstable();
                        expected.sort_unstable();
                    }
                    other => return Err(format!("an order called {other}")),
                }
                assert!(!types.is_empty(), "{text}");
                if rows == expected { Ok(()) } else { Err(format!("found\n{}", rows.join("\n"))) }
            }
            (_, found) => Err(format!("found {found:?}")),
        }
    }
}

/// A statement of a file, with its answer.
struct Record<'f> {
    /// `statement ok`, `statement error CODE`, or `query TYPES ORDER`: `nosort`, or `rowsort` where rows come in any.
    head: Vec<&'f str>,
    text: String,
    /// Rows; values have a space between them.
    expected: Vec<&'f str>,
}

/// Reads a file: records with an empty line between them, `#` before what is said of them.
fn records(file: &str) -> Vec<(usize, Record<'_>)> {
    let mut records = Vec::new();
    let mut lines = file.lines().zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let head = line.split_whitespace().collect();
        let mut of_record = Vec::new();
        while let Some((line, _)) = lines.next_if(|(line, _)| !line.is_empty()) {
            of_record.push(line);
        }
        let answer = of_record.iter().position(|line| *line == "----").unwrap_or(of_record.len());
        let expected = of_record.get(answer + 1..).unwrap_or_default().to_vec();
        records.push((number, Record { head, text: of_record[..answer].join("\n"), expected }));
    }
    records
}

/// The rows of a CSV text. What is empty is NULL, which CSV does not tell from a text without letters.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut value, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    let shown = |value: &mut String| match std::mem::take(value) {
        empty if empty.is_empty() => "NULL".to_owned(),
        other => other,
    };
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => value.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(shown(&mut value)),
            '\n' if !quoted => {
                row.push(shown(&mut value));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            other => value.push(other),
        }
    }
    rows
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/tests/slt");
    let mut folders = vec![folder];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "slt") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "there are no files");
    files
}

fn run_all(shards: &str, place: Place) {
    let idle = if place == Place::Segments { "1" } else { "86400" };
    let variables = [("TIDEWIRE_SHARDS", shards), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", idle)];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    for path in files() {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let database = format!("slt_{name}");
        let created = server.sql("public", &format!("CREATE DATABASE {database}"));
        assert_eq!(created.status(), 200, "{}", created.text());
        let mut connection = Connection { server: &server, database: database.clone(), place, has_written: false };
        let text = std::fs::read_to_string(&path).expect("a file");
        for (line, record) in records(&text) {
            if let Err(wrong) = connection.check(&record) {
                panic!("{}:{line}\n{}\n{wrong}", path.display(), record.text);
            }
        }
        server.sql("public", &format!("DROP DATABASE {database}"));
    }
    server.terminate();
}

#[test]
fn answers_from_memory_of_one_shard() {
    run_all("1", Place::Memory);
}

#[test]
fn answers_from_memory_of_several_shards() {
    run_all("3", Place::Memory);
}

#[test]
fn answers_from_segments_of_several_shards() {
    run_all("3", Place::Segments);
}

#[test]
fn answers_from_compacted_segments_of_one_shard_and_of_several() {
    run_all("1", Place::Compacted);
    run_all("3", Place::Compacted);
}

/// The first words of statements that the files must have.
const STATEMENTS: &[&str] = &[
    "alter database",
    "alter table",
    "compact database",
    "create database",
    "create table",
    "delete from",
    "describe database",
    "describe table",
    "drop database",
    "drop table",
    "explain",
    "insert",
    "select",
    "show databases",
    "show series",
    "show tables",
    "show tag values",
    "update",
    "values",
    "with",
];

#[test]
fn statements_of_every_kind_and_functions_of_every_list_are_asked() {
    let text: String = files().iter().map(|path| std::fs::read_to_string(path).expect("a file")).collect();
    let text = text.to_ascii_lowercase();
    for wanted in STATEMENTS {
        assert!(text.lines().any(|line| line.starts_with(wanted)), "no file has {wanted}");
    }
    // Items of docs/sql.md, which a test compares with the registry, by the mark of their list.
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    let docs = std::fs::read_to_string(docs).expect("the page");
    let (mut list, mut missing, mut known) = ("", BTreeSet::new(), 0);
    for line in docs.lines() {
        if let Some(mark) = line.strip_prefix("<!-- ") {
            list = mark.trim_end_matches(" -->");
        }
        let Some(item) = line.strip_prefix("- `").filter(|_| !list.is_empty()) else { continue };
        let Some((name, _)) = item.split_once('(') else { continue };
        known += 1;
        let is_called = |at: usize| !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if !text.match_indices(&format!("{name}(")).any(|(at, _)| is_called(at)) {
            missing.insert(format!("{name} of {list}"));
        }
    }
    assert!(known > 100, "the lists of the page are not read");
    assert!(missing.is_empty(), "no file calls {missing:#?}");
}
