//! Line protocol, cut into batches. Lines are passed on as they stand; only comments are read.
//!
//! `# CONTEXT-DATABASE`, and our `# CONTEXT-PRECISION` and `# CONTEXT-DIALECT`, hold for the lines behind them; what
//! the command line says goes before. A context without a dialect was written by InfluxDB. Statements between `# DDL` and
//! `# DML` are passed over: the databases that lines go to are made.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use tidewire_protocol::line::{Dialect, TextLine, next_line};

use super::send::{Batch, Sender};
use super::{READ_BYTES, Target};
use crate::config::cli::{ImportArguments, ImportPrecision};

/// What the comments so far say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Context {
    database: Option<String>,
    precision: Option<ImportPrecision>,
    dialect: Option<Dialect>,
    ddl: bool,
}

impl Context {
    /// Takes a comment in.
    fn read(&mut self, comment: &str) -> Result<(), String> {
        let comment = comment.trim_start_matches('#').trim();
        if let Some(name) = comment.strip_prefix("CONTEXT-DATABASE:") {
            // What ours says beside the database comes behind it.
            *self = Self { database: Some(name.trim().to_owned()), dialect: Some(Dialect::Influx), ..Self::default() };
        } else if let Some(unit) = comment.strip_prefix("CONTEXT-PRECISION:") {
            self.precision = Some(match unit.trim() {
                "ms" => ImportPrecision::Ms,
                "us" => ImportPrecision::Us,
                "ns" => ImportPrecision::Ns,
                other => return Err(format!("a precision of {other:?} is not known")),
            });
        } else if let Some(dialect) = comment.strip_prefix("CONTEXT-DIALECT:") {
            self.dialect = Some(match dialect.trim() {
                "cnosdb" => Dialect::Cnos,
                "influxdb" => Dialect::Influx,
                other => return Err(format!("a dialect {other:?} is not known")),
            });
        } else {
            self.ddl = match comment {
                "DDL" => true,
                "DML" => false,
                _ => self.ddl,
            };
        }
        Ok(())
    }

    fn dialect(&self, arguments: &ImportArguments) -> Dialect {
        arguments.dialect.map(Dialect::from).or(self.dialect).unwrap_or(Dialect::Cnos)
    }

    fn target(&self, arguments: &ImportArguments) -> Result<Target, String> {
        let database = arguments.database.clone().or_else(|| self.database.clone());
        Ok(Target {
            database: database.ok_or("no --database is given, and the file does not name one")?,
            precision: arguments.precision.or(self.precision).unwrap_or(ImportPrecision::Ns),
            dialect: self.dialect(arguments),
        })
    }
}

pub(super) fn import(
    mut input: impl Read,
    file: &Arc<str>,
    arguments: &ImportArguments,
    sender: &Sender<'_>,
) -> Result<(), String> {
    let mut context = Context::default();
    let mut made: BTreeSet<String> = BTreeSet::new();
    let mut batch: Option<Batch> = None;
    let mut text: Vec<u8> = Vec::new();
    let (mut at, mut line_number, mut last) = (0, 1_u64, false);
    loop {
        let Some((line, next)) = next_line(context.dialect(arguments), &text, at, last) else {
            if last {
                break;
            }
            text.drain(..at);
            at = 0;
            // Twice as much each time, so that a line that is long is not read over and over.
            let wanted = text.len().max(READ_BYTES) as u64;
            let read = input.by_ref().take(wanted).read_to_end(&mut text);
            last = read.map_err(|error| format!("cannot read {file}: {error}"))? == 0;
            continue;
        };
        let wrong = |reason: String| format!("{file}, line {line_number}: {reason}");
        match line {
            TextLine::Blank => {}
            TextLine::Comment(range) => {
                let before = context.clone();
                context.read(&String::from_utf8_lossy(&text[range])).map_err(wrong)?;
                if context != before
                    && let Some(full) = batch.take()
                {
                    sender.send(full)?;
                }
            }
            TextLine::Row(_) if context.ddl => {}
            TextLine::Row(range) => {
                if batch.is_none() {
                    let target = context.target(arguments).map_err(wrong)?;
                    if made.insert(target.database.clone()) {
                        sender.create_database(&target)?;
                    }
                    batch = Some(Batch::new(&Arc::new(target), file, "line"));
                }
                if let Some(filling) = &mut batch {
                    filling.text.extend_from_slice(&text[range]);
                    filling.text.push(b'\n');
                    filling.end_row(line_number);
                }
                if let Some(full) = batch.take_if(|batch| batch.text.len() >= arguments.batch_bytes) {
                    sender.send(full)?;
                }
            }
        }
        line_number += memchr::memchr_iter(b'\n', &text[at..next]).count() as u64;
        at = next;
    }
    match batch {
        Some(rest) => sender.send(rest),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_where_lines_belong() {
        let mut context = Context::default();
        for comment in ["# INFLUXDB EXPORT: x", "# DDL"] {
            context.read(comment).unwrap();
        }
        assert!(context.ddl);
        for comment in ["# DML", "# CONTEXT-DATABASE:a b", "# CONTEXT-RETENTION-POLICY:autogen", "# writing tsm data"] {
            context.read(comment).unwrap();
        }
        let influx = Context { database: Some("a b".into()), dialect: Some(Dialect::Influx), ..Context::default() };
        assert_eq!(context, influx);
        for comment in ["# CONTEXT-PRECISION:ms", "# CONTEXT-DIALECT:cnosdb"] {
            context.read(comment).unwrap();
        }
        assert_eq!(context.precision, Some(ImportPrecision::Ms));
        assert_eq!(context.dialect, Some(Dialect::Cnos));
        assert!(context.read("# CONTEXT-PRECISION:weeks").is_err());
        assert!(context.read("# CONTEXT-DIALECT:klingon").is_err());
    }
}
