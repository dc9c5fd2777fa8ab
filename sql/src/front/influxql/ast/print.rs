//! Statements in the one form that InfluxDB shows them in: upper-case keywords, one blank around operators, names in
//! quotes only where they need them, passwords never.

use std::fmt::{self, Display, Formatter};

use super::expr::{ColumnSet, Expr, Literal, Regex};
use super::select::{Fill, Into, Measurement, MeasurementName, Select, Source};
use super::statement::{
    Access, Cardinality, ContinuousQuery, Counted, Delete, ShowKind, ShowSchema, Statement, TagKeys,
};
use crate::front::influxql::text::duration::{duration_text, format_duration};
use crate::front::influxql::text::lexer::is_plain_name;
use crate::statement::PolicyOptions;

/// A name as it must be written.
pub fn quoted_name(name: &str) -> String {
    match is_plain_name(name) {
        true => name.to_owned(),
        false => format!("\"{}\"", escaped(name, '"')),
    }
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", escaped(text, '\''))
}

fn escaped(text: &str, quote: char) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\\' => escaped.push_str("\\\\"),
            c if c == quote => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Things with `, ` between them.
fn list<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard(ColumnSet::All) => f.write_str("*"),
            Self::Wildcard(ColumnSet::Fields) => f.write_str("*::field"),
            Self::Wildcard(ColumnSet::Tags) => f.write_str("*::tag"),
            Self::Regex(regex) => regex.fmt(f),
            Self::Distinct(name) => write!(f, "DISTINCT {}", quoted_name(name)),
            Self::Call { name, args } => {
                write!(f, "{name}(")?;
                list(f, args)?;
                f.write_str(")")
            }
            Self::Name { name, cast } => {
                f.write_str(&quoted_name(name))?;
                cast.map_or(Ok(()), |cast| write!(f, "::{}", cast.word()))
            }
            Self::Literal(literal) => literal.fmt(f),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Chain { first, rest } => {
                first.fmt(f)?;
                rest.iter().try_for_each(|(op, operand)| write!(f, " {} {operand}", op.symbol()))
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted_text(text)),
            Self::Integer(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Number(value) => write!(f, "{value:.3}"),
            Self::Bool(value) => value.fmt(f),
            Self::Duration(ns) => f.write_str(&duration_text(*ns)),
        }
    }
}

impl Display for Regex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text.replace('/', "\\/"))
    }
}

/// `database.policy.` as far as they are named.
fn prefix(f: &mut Formatter<'_>, database: Option<&str>, policy: Option<&str>) -> fmt::Result {
    if let Some(database) = database {
        write!(f, "{}.", quoted_name(database))?;
    }
    match policy {
        Some(policy) => write!(f, "{}.", quoted_name(policy)),
        None if database.is_some() => f.write_str("."),
        None => Ok(()),
    }
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        prefix(f, self.database.as_deref(), self.policy.as_deref())?;
        match &self.name {
            MeasurementName::Name(name) => f.write_str(&quoted_name(name)),
            MeasurementName::Regex(regex) => regex.fmt(f),
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measurement(measurement) => measurement.fmt(f),
            Self::Subquery(select) => write!(f, "({select})"),
        }
    }
}

impl Display for Into {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        prefix(f, self.database.as_deref(), self.policy.as_deref())?;
        match &self.name {
            Some(name) => f.write_str(&quoted_name(name)),
            None => f.write_str(":MEASUREMENT"),
        }
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        for (at, field) in self.fields.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, field.expr)?;
            if let Some(alias) = &field.alias {
                write!(f, " AS {}", quoted_name(alias))?;
            }
        }
        if let Some(into) = &self.into {
            write!(f, " INTO {into}")?;
        }
        f.write_str(" FROM ")?;
        list(f, &self.sources)?;
        clause(f, self.condition.as_ref())?;
        if !self.dimensions.is_empty() {
            f.write_str(" GROUP BY ")?;
            list(f, self.dimensions.iter().map(|dimension| &dimension.0))?;
        }
        match self.fill {
            None | Some(Fill::Null) => {}
            Some(Fill::None) => f.write_str(" fill(none)")?,
            Some(Fill::Previous) => f.write_str(" fill(previous)")?,
            Some(Fill::Linear) => f.write_str(" fill(linear)")?,
            Some(Fill::Number(value)) => write!(f, " fill({value:.3})")?,
            Some(Fill::Integer(value)) => write!(f, " fill({value})")?,
        }
        match self.descending {
            None => {}
            Some(true) => f.write_str(" ORDER BY time DESC")?,
            Some(false) => f.write_str(" ORDER BY time ASC")?,
        }
        counts(f, self.limit, self.offset)?;
        for (word, count) in [("SLIMIT", self.series_limit), ("SOFFSET", self.series_offset)] {
            if count > 0 {
                write!(f, " {word} {count}")?;
            }
        }
        match &self.zone {
            Some(zone) => write!(f, " TZ({})", quoted_text(zone)),
            None => Ok(()),
        }
    }
}

fn clause(f: &mut Formatter<'_>, condition: Option<&Expr>) -> fmt::Result {
    condition.map_or(Ok(()), |condition| write!(f, " WHERE {condition}"))
}

fn counts(f: &mut Formatter<'_>, limit: u64, offset: u64) -> fmt::Result {
    for (word, count) in [("LIMIT", limit), ("OFFSET", offset)] {
        if count > 0 {
            write!(f, " {word} {count}")?;
        }
    }
    Ok(())
}

fn on(f: &mut Formatter<'_>, database: Option<&str>) -> fmt::Result {
    database.map_or(Ok(()), |database| write!(f, " ON {}", quoted_name(database)))
}

fn from(f: &mut Formatter<'_>, sources: &[Measurement]) -> fmt::Result {
    if sources.is_empty() {
        return Ok(());
    }
    f.write_str(" FROM ")?;
    list(f, sources)
}

impl Display for TagKeys {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(" WITH KEY ")?;
        match self {
            Self::In(names) => match names.as_slice() {
                [name] => write!(f, "= {}", quoted_name(name)),
                names => {
                    f.write_str("IN (")?;
                    list(f, names.iter().map(|name| quoted_name(name)))?;
                    f.write_str(")")
                }
            },
            Self::NotEq(name) => write!(f, "!= {}", quoted_name(name)),
            Self::Matches(regex) => write!(f, "=~ {regex}"),
            Self::NotMatches(regex) => write!(f, "!~ {regex}"),
        }
    }
}

impl Display for ShowSchema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ShowKind::Measurements => "SHOW MEASUREMENTS",
            ShowKind::Series => "SHOW SERIES",
            ShowKind::TagKeys => "SHOW TAG KEYS",
            ShowKind::TagValues(_) => "SHOW TAG VALUES",
            ShowKind::FieldKeys => "SHOW FIELD KEYS",
        })?;
        on(f, self.database.as_deref())?;
        match (&self.kind, self.from.first()) {
            (ShowKind::Measurements, Some(measurement)) => {
                let op = if matches!(measurement.name, MeasurementName::Regex(_)) { "=~" } else { "=" };
                write!(f, " WITH MEASUREMENT {op} {measurement}")?;
            }
            _ => from(f, &self.from)?,
        }
        if let ShowKind::TagValues(keys) = &self.kind {
            keys.fmt(f)?;
        }
        clause(f, self.condition.as_ref())?;
        counts(f, self.limit, self.offset)
    }
}

impl Display for Cardinality {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            Counted::Series => "SERIES",
            Counted::Measurements => "MEASUREMENT",
            Counted::TagKeys => "TAG KEY",
            Counted::TagValues => "TAG VALUES",
            Counted::FieldKeys => "FIELD KEY",
        };
        write!(f, "SHOW {of} {}CARDINALITY", if self.exact { "EXACT " } else { "" })?;
        on(f, self.database.as_deref())?;
        from(f, &self.from)?;
        self.keys.as_ref().map_or(Ok(()), |keys| keys.fmt(f))?;
        clause(f, self.condition.as_ref())?;
        if !self.dimensions.is_empty() {
            f.write_str(" GROUP BY ")?;
            list(f, &self.dimensions)?;
        }
        counts(f, self.limit, self.offset)
    }
}

impl Display for Delete {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.series { "DROP SERIES" } else { "DELETE" })?;
        from(f, &self.sources)?;
        clause(f, self.condition.as_ref())
    }
}

impl Display for ContinuousQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE CONTINUOUS QUERY {} ON {}", quoted_name(&self.name), quoted_name(&self.database))?;
        let resample = [("EVERY", self.every_ns), ("FOR", self.for_ns), ("LATE", self.late_ns)];
        if resample.iter().any(|(_, ns)| ns.is_some()) {
            f.write_str(" RESAMPLE")?;
        }
        for (word, ns) in resample {
            if let Some(ns) = ns {
                write!(f, " {word} {}", duration_text(ns))?;
            }
        }
        write!(f, " BEGIN {} END", self.select)
    }
}

fn policy_options(f: &mut Formatter<'_>, options: &PolicyOptions) -> fmt::Result {
    if let Some(ns) = options.duration_ns {
        write!(f, " DURATION {}", format_duration(ns))?;
    }
    if let Some(copies) = options.replication {
        write!(f, " REPLICATION {copies}")?;
    }
    if let Some(ns) = options.shard_duration_ns {
        write!(f, " SHARD DURATION {}", format_duration(ns))?;
    }
    f.write_str(if options.make_default { " DEFAULT" } else { "" })
}

fn access(f: &mut Formatter<'_>, verb: &str, access: Access, database: Option<&str>) -> fmt::Result {
    let word = match access {
        Access::Read => "READ",
        Access::Write => "WRITE",
        Access::All => "ALL PRIVILEGES",
    };
    write!(f, "{verb} {word}")?;
    on(f, database)
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let q = quoted_name;
        let module = |f: &mut Formatter<'_>, word: &str, module: Option<&String>| {
            f.write_str(word)?;
            module.map_or(Ok(()), |module| write!(f, " FOR {}", quoted_text(module)))
        };
        match self {
            Self::Select(select) => select.fmt(f),
            Self::Explain { select, analyze } => {
                write!(f, "EXPLAIN {}{select}", if *analyze { "ANALYZE " } else { "" })
            }
            Self::CreateDatabase { name, policy } => {
                write!(f, "CREATE DATABASE {}", q(name))?;
                let Some((policy, options)) = policy else { return Ok(()) };
                f.write_str(" WITH")?;
                policy_options(f, options)?;
                write!(f, " NAME {}", q(policy))
            }
            Self::DropDatabase { name } => write!(f, "DROP DATABASE {}", q(name)),
            Self::ShowDatabases => f.write_str("SHOW DATABASES"),
            Self::CreatePolicy { name, database, options } => {
                write!(f, "CREATE RETENTION POLICY {} ON {}", q(name), q(database))?;
                policy_options(f, options)
            }
            Self::AlterPolicy { name, database, options } => {
                write!(f, "ALTER RETENTION POLICY {} ON {}", q(name), q(database))?;
                policy_options(f, options)
            }
            Self::DropPolicy { name, database } => write!(f, "DROP RETENTION POLICY {} ON {}", q(name), q(database)),
            Self::ShowPolicies { database } => {
                f.write_str("SHOW RETENTION POLICIES")?;
                on(f, database.as_deref())
            }
            Self::ShowCardinality(cardinality) => cardinality.fmt(f),
            Self::ShowSchema(show) => show.fmt(f),
            Self::DropMeasurement { name } => write!(f, "DROP MEASUREMENT {}", q(name)),
            Self::Delete(delete) => delete.fmt(f),
            Self::DropShard { id } => write!(f, "DROP SHARD {id}"),
            Self::CreateUser { name, admin, .. } => {
                let all = if *admin { " WITH ALL PRIVILEGES" } else { "" };
                write!(f, "CREATE USER {} WITH PASSWORD [REDACTED]{all}", q(name))
            }
            Self::DropUser { name } => write!(f, "DROP USER {}", q(name)),
            Self::SetPassword { name, .. } => write!(f, "SET PASSWORD FOR {} = [REDACTED]", q(name)),
            Self::Grant { access: what, database, user } => {
                access(f, "GRANT", *what, database.as_deref())?;
                write!(f, " TO {}", q(user))
            }
            Self::Revoke { access: what, database, user } => {
                access(f, "REVOKE", *what, database.as_deref())?;
                write!(f, " FROM {}", q(user))
            }
            Self::ShowUsers => f.write_str("SHOW USERS"),
            Self::ShowGrants { user } => write!(f, "SHOW GRANTS FOR {}", q(user)),
            Self::CreateContinuousQuery(query) => query.fmt(f),
            Self::DropContinuousQuery { name, database } => {
                write!(f, "DROP CONTINUOUS QUERY {} ON {}", q(name), q(database))
            }
            Self::ShowContinuousQueries => f.write_str("SHOW CONTINUOUS QUERIES"),
            Self::CreateSubscription { name, database, policy, any, destinations } => {
                let mode = if *any { "ANY" } else { "ALL" };
                write!(f, "CREATE SUBSCRIPTION {} ON {}.{} DESTINATIONS {mode} ", q(name), q(database), q(policy))?;
                list(f, destinations.iter().map(|url| quoted_text(url)))
            }
            Self::DropSubscription { name, database, policy } => {
                write!(f, "DROP SUBSCRIPTION {} ON {}.{}", q(name), q(database), q(policy))
            }
            Self::ShowSubscriptions => f.write_str("SHOW SUBSCRIPTIONS"),
            Self::ShowQueries => f.write_str("SHOW QUERIES"),
            Self::KillQuery { id, host } => {
                write!(f, "KILL QUERY {id}")?;
                host.as_ref().map_or(Ok(()), |host| write!(f, " ON {}", q(host)))
            }
            Self::ShowShards => f.write_str("SHOW SHARDS"),
            Self::ShowShardGroups => f.write_str("SHOW SHARD GROUPS"),
            Self::ShowStats { module: of } => module(f, "SHOW STATS", of.as_ref()),
            Self::ShowDiagnostics { module: of } => module(f, "SHOW DIAGNOSTICS", of.as_ref()),
        }
    }
}
