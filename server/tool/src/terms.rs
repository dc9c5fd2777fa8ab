//! Databases and retention policies as statements of InfluxQL: exports hold them, imports run them, and so does
//! `influx -import`.
//!
//! A database is `CREATE DATABASE … WITH` the terms and the name of its default policy, and one
//! `CREATE RETENTION POLICY` for each other one.

use std::collections::BTreeMap;

use tidewire_sql::PolicyOptions;
use tidewire_sql::influxql::{self, Statement};
use tidewire_storage::schema::{Database, RetentionPolicy};

/// The statements that make a database with its policies, a line each.
pub fn statements(database: &Database) -> Vec<String> {
    let name = quoted(&database.name);
    let options = |policy: &RetentionPolicy| PolicyOptions {
        duration_ns: Some(policy.ttl_ns.unwrap_or(0)),
        replication: Some(policy.replication),
        shard_duration_ns: Some(policy.partition_ns),
        make_default: false,
    };
    let first = match database.main_policy() {
        Some(policy) => {
            format!("CREATE DATABASE {name} WITH {} NAME {}", terms(&options(policy)), quoted(&policy.name))
        }
        None => format!("CREATE DATABASE {name}"),
    };
    let others = database.policies.iter().filter(|policy| policy.name != database.default_policy);
    let others = others.map(|policy| create_policy(&database.name, &policy.name, &options(policy)));
    std::iter::once(first).chain(others).collect()
}

/// The statement that makes a policy.
pub fn create_policy(database: &str, name: &str, options: &PolicyOptions) -> String {
    let default = if options.make_default { " DEFAULT" } else { "" };
    format!("CREATE RETENTION POLICY {} ON {} {}{default}", quoted(name), quoted(database), terms(options))
}

fn terms(options: &PolicyOptions) -> String {
    let duration = duration(options.duration_ns.unwrap_or(0));
    let mut text = format!("DURATION {duration} REPLICATION {}", options.replication.unwrap_or(1));
    if let Some(ns) = options.shard_duration_ns.filter(|ns| *ns > 0) {
        text.push_str(&format!(" SHARD DURATION {}", self::duration(ns)));
    }
    text
}

/// A duration in the largest unit that says it as a whole number; `INF` for 0.
fn duration(ns: i64) -> String {
    const UNITS: [(&str, i64); 5] =
        [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("u", 1_000)];
    if ns == 0 {
        return "INF".to_owned();
    }
    let (unit, unit_ns) = UNITS.into_iter().find(|(_, unit_ns)| ns % unit_ns == 0).unwrap_or(("ns", 1));
    format!("{}{unit}", ns / unit_ns)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// What statements say of databases.
#[derive(Debug, Default)]
pub struct Declared(BTreeMap<String, Vec<(String, PolicyOptions)>>);

impl Declared {
    /// Takes statements in; the error says what is wrong, or is none that an import runs.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        for statement in influxql::parse(text).map_err(|error| error.to_string())? {
            let (database, name, options) = match statement {
                Statement::CreateDatabase { name, policy: None } => {
                    self.0.entry(name).or_default();
                    continue;
                }
                Statement::CreateDatabase { name: database, policy: Some((name, options)) } => {
                    (database, name, PolicyOptions { make_default: true, ..options })
                }
                Statement::CreatePolicy { name, database, options } => (database, name, options),
                _ => return Err("an import runs CREATE DATABASE and CREATE RETENTION POLICY only".to_owned()),
            };
            let policies = self.0.entry(database).or_default();
            policies.retain(|(known, _)| *known != name);
            policies.push((name, options));
        }
        Ok(())
    }

    /// The policies of a database.
    pub fn policies(&self, database: &str) -> &[(String, PolicyOptions)] {
        self.0.get(database).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_storage::names::NameMap;
    use tidewire_storage::schema::DatabaseOptions;

    #[test]
    fn what_is_said_is_read_back() {
        const MINUTE_NS: i64 = 60_000_000_000;
        let options = DatabaseOptions { ttl_ns: Some(90 * MINUTE_NS), ..DatabaseOptions::default() };
        let mut database = Database::new("a \"b\\\n", &options, []);
        database.policies.push(RetentionPolicy {
            name: "p 2".into(),
            ttl_ns: None,
            partition_ns: 168 * 60 * MINUTE_NS,
            replication: 3,
            tables: NameMap::new(),
        });
        let said = statements(&database);
        assert_eq!(
            said,
            [
                r#"CREATE DATABASE "a \"b\\\n" WITH DURATION 90m REPLICATION 1 SHARD DURATION 24h NAME "autogen""#,
                r#"CREATE RETENTION POLICY "p 2" ON "a \"b\\\n" DURATION INF REPLICATION 3 SHARD DURATION 168h"#,
            ]
        );
        let mut declared = Declared::default();
        said.iter().for_each(|line| declared.read(line).unwrap());
        let [first, second] = declared.policies("a \"b\\\n") else { panic!("two policies") };
        assert_eq!((first.0.as_str(), first.1.duration_ns, first.1.make_default), ("autogen", options.ttl_ns, true));
        assert_eq!(first.1.shard_duration_ns, Some(options.partition_ns));
        assert_eq!((second.0.as_str(), second.1.duration_ns, second.1.replication), ("p 2", Some(0), Some(3)));
        assert!(!second.1.make_default);

        database.default_policy = "gone".into();
        assert_eq!(statements(&database)[0], r#"CREATE DATABASE "a \"b\\\n""#);
        assert_eq!((duration(1), duration(7_000), duration(90 * MINUTE_NS)), ("1ns".into(), "7u".into(), "90m".into()));
    }

    #[test]
    fn only_statements_that_make_something_are_taken() {
        let mut declared = Declared::default();
        declared.read("CREATE DATABASE d WITH NAME autogen; CREATE DATABASE e").unwrap();
        assert_eq!(declared.policies("d").len(), 1);
        assert!(declared.policies("e").is_empty() && declared.policies("f").is_empty());
        assert!(declared.read("DROP DATABASE d").unwrap_err().contains("only"));
        assert!(declared.read("CREATE DATABASE").unwrap_err().contains("expected identifier"));
    }
}
