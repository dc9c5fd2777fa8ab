//! Line protocol, cut into batches. Lines are passed on as they stand; only comments are read.
//!
//! `# CONTEXT-DATABASE` and `# CONTEXT-RETENTION-POLICY`, and our `# CONTEXT-PRECISION` and `# CONTEXT-DIALECT`, hold
//! for the lines behind them; a `# CONTEXT-TABLE` is made where it stands; what the command line says goes before. A
//! context without a dialect was written by InfluxDB. The databases and policies that lines go to are made, as the
//! statements between `# DDL` and `# DML` say, or plainly.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use tidewire_protocol::line::{Dialect, TextLine, next_line};
use tidewire_sql::PolicyOptions;

use super::send::{Batch, Sender};
use super::{READ_BYTES, Target};
use crate::tables::TableTerms;
use crate::terms::Declared;
use tidewire_base::cli::{ImportArguments, ImportPrecision};

/// What the comments so far say.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Context {
    database: Option<String>,
    policy: Option<String>,
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
        } else if let Some(name) = comment.strip_prefix("CONTEXT-RETENTION-POLICY:") {
            self.policy = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
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
        arguments.dialect.map(super::rules).or(self.dialect).unwrap_or(Dialect::Cnos)
    }

    /// What the file's statements say of its database.
    fn declared<'d>(&self, declared: &'d Declared) -> &'d [(String, PolicyOptions)] {
        self.database.as_deref().map_or(&[], |name| declared.policies(name))
    }

    fn target(&self, arguments: &ImportArguments, declared: &Declared) -> Result<Target, String> {
        let database = arguments.database.clone().or_else(|| self.database.clone());
        let dialect = self.dialect(arguments);
        let policy = match (dialect, &self.policy) {
            (Dialect::Influx, policy) => policy.clone(),
            // Such lines always go to the default policy, whatever its name is in the server.
            (Dialect::Cnos, Some(policy))
                if self.declared(declared).iter().any(|(name, options)| name == policy && !options.make_default) =>
            {
                return Err(format!("lines of retention policy {policy:?} can only be sent with --dialect influxdb"));
            }
            (Dialect::Cnos, _) => None,
        };
        Ok(Target {
            database: database.ok_or("no --database is given, and the file does not name one")?,
            insert: None,
            precision: arguments.precision.or(self.precision).unwrap_or(ImportPrecision::Ns),
            dialect,
            policy,
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
    let mut declared = Declared::default();
    let mut made: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let mut batch: Option<Batch> = None;
    let mut text: Vec<u8> = Vec::new();
    let (mut at, mut line_number, mut last) = (0, 1_u64, false);
    loop {
        let found = match context.ddl {
            true => next_statement(&text, at, last),
            false => next_line(context.dialect(arguments), &text, at, last),
        };
        let Some((line, next)) = found else {
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
                let comment = String::from_utf8_lossy(&text[range]);
                if let Some(terms) = comment.trim_start_matches('#').trim().strip_prefix("CONTEXT-TABLE:") {
                    let terms = TableTerms::decode(terms).map_err(wrong)?;
                    let target = context.target(arguments, &declared).map_err(wrong)?;
                    if made.insert((target.database.clone(), target.policy.clone())) {
                        sender.prepare(&target, context.declared(&declared)).map_err(wrong)?;
                    }
                    sender.create_table(&target, &terms).map_err(wrong)?;
                }
                context.read(&comment).map_err(wrong)?;
                if context != before
                    && let Some(full) = batch.take()
                {
                    sender.send(full)?;
                }
            }
            TextLine::Row(range) if context.ddl => {
                declared.read(&String::from_utf8_lossy(&text[range])).map_err(wrong)?;
            }
            TextLine::Row(range) => {
                if batch.is_none() {
                    let target = context.target(arguments, &declared).map_err(wrong)?;
                    if made.insert((target.database.clone(), target.policy.clone())) {
                        sender.prepare(&target, context.declared(&declared)).map_err(wrong)?;
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

/// Cuts one line of statements; `None` where it is not yet whole.
fn next_statement(text: &[u8], at: usize, last: bool) -> Option<(TextLine, usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    let (length, next) = match memchr::memchr(b'\n', rest) {
        Some(length) => (length, at + length + 1),
        None if last => (rest.len(), text.len()),
        None => return None,
    };
    let line = match rest[..length].trim_ascii() {
        [] => TextLine::Blank,
        [b'#', ..] => TextLine::Comment(at..at + length),
        _ => TextLine::Row(at..at + length),
    };
    Some((line, next))
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
        let influx = Context {
            database: Some("a b".into()),
            policy: Some("autogen".into()),
            dialect: Some(Dialect::Influx),
            ..Context::default()
        };
        assert_eq!(context, influx);
        for comment in ["# CONTEXT-PRECISION:ms", "# CONTEXT-DIALECT:cnosdb"] {
            context.read(comment).unwrap();
        }
        assert_eq!(context.precision, Some(ImportPrecision::Ms));
        assert_eq!(context.dialect, Some(Dialect::Cnos));
        context.read("# CONTEXT-DATABASE:b").unwrap();
        assert_eq!((context.policy, context.precision), (None, None));
        let mut context = Context::default();
        assert!(context.read("# CONTEXT-PRECISION:weeks").is_err());
        assert!(context.read("# CONTEXT-DIALECT:klingon").is_err());
    }

    #[test]
    fn statements_are_cut_at_the_ends_of_lines() {
        let text = b"CREATE DATABASE \"a\\\"\"\n\n # DML\nrest";
        let row = |text, at, last| next_statement(text, at, last).map(|(line, next)| (format!("{line:?}"), next));
        assert_eq!(row(text, 0, false), Some(("Row(0..21)".into(), 22)));
        assert_eq!(row(text, 22, false), Some(("Blank".into(), 23)));
        assert_eq!(row(text, 23, false), Some(("Comment(23..29)".into(), 30)));
        assert_eq!(row(text, 30, false), None);
        assert_eq!(row(text, 30, true), Some(("Row(30..34)".into(), 34)));
        assert_eq!(row(text, 34, true), None);
    }
}
