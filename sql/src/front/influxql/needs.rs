//! What a statement needs to be allowed, read off the statement before it is bound: each database that it names
//! anywhere, with what is done there. InfluxDB's rules, but that a continuous query needs what its SELECT needs.

use tidewire_storage::schema::{Access, Need};

use super::ast::{Cardinality, Measurement, Select, ShowSchema, Source, Statement};

impl Statement {
    /// What it needs in a request for `database`; nothing where everybody may run it.
    pub fn needs(&self, database: &str) -> Vec<Need> {
        let read = |named: Option<&String>| vec![Need::of(named_or(named, database), Access::READ)];
        let write = |database: &str| vec![Need::of(database, Access::WRITE)];
        match self {
            Self::Select(select) | Self::Explain { select, .. } => of_select(select, database),
            Self::CreateContinuousQuery(query) => {
                let mut needs = vec![Need::of(query.database.as_str(), Access::READ)];
                needs.extend(of_select(&query.select, &query.database));
                needs
            }
            Self::Delete(_) => write(database),
            Self::DropPolicy { database, .. } | Self::DropContinuousQuery { database, .. } => write(database),
            Self::ShowSchema(ShowSchema { database: named, from, .. })
            | Self::ShowCardinality(Cardinality { database: named, from, .. }) => {
                let mut needs = read(named.as_ref());
                needs.extend(from.iter().filter_map(|from| from.database.as_ref()).flat_map(|name| read(Some(name))));
                needs
            }
            Self::ShowPolicies { database: named } => read(named.as_ref()),
            Self::ShowContinuousQueries | Self::ShowQueries => read(None),
            Self::ShowDatabases => Vec::new(),
            Self::CreateDatabase { .. }
            | Self::DropDatabase { .. }
            | Self::CreatePolicy { .. }
            | Self::AlterPolicy { .. }
            | Self::DropMeasurement { .. }
            | Self::DropShard { .. }
            | Self::CreateUser { .. }
            | Self::DropUser { .. }
            | Self::SetPassword { .. }
            | Self::Grant { .. }
            | Self::Revoke { .. }
            | Self::ShowUsers
            | Self::ShowGrants { .. }
            | Self::CreateSubscription { .. }
            | Self::DropSubscription { .. }
            | Self::ShowSubscriptions
            | Self::KillQuery { .. }
            | Self::ShowShards
            | Self::ShowShardGroups
            | Self::ShowStats { .. }
            | Self::ShowDiagnostics { .. } => vec![Need::Admin],
        }
    }
}

/// To read each source, however deep it stands, and to write what INTO names.
fn of_select(select: &Select, database: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    for source in &select.sources {
        match source {
            Source::Measurement(Measurement { database: named, .. }) => {
                needs.push(Need::of(named_or(named.as_ref(), database), Access::READ));
            }
            Source::Subquery(inner) => needs.extend(of_select(inner, database)),
        }
    }
    if let Some(into) = &select.into {
        needs.push(Need::of(named_or(into.database.as_ref(), database), Access::WRITE));
    }
    needs
}

fn named_or<'a>(named: Option<&'a String>, database: &'a str) -> &'a str {
    named.map(String::as_str).filter(|name| !name.is_empty()).unwrap_or(database)
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// A statement of each kind, and what it needs in a request for `d`.
    const KINDS: &[(&str, &str)] = &[
        ("SELECT v FROM m", "R d"),
        ("SELECT v FROM e..m, /x/, e.p./y/", "R e, R d, R e"),
        ("SELECT v FROM (SELECT v FROM (SELECT v FROM e..m), f..n)", "R e, R f"),
        ("SELECT v INTO n FROM m", "R d, W d"),
        ("SELECT v INTO e..n FROM f..m", "R f, W e"),
        ("SELECT v INTO e.p.:MEASUREMENT FROM (SELECT v FROM f..m)", "R f, W e"),
        ("EXPLAIN SELECT v FROM e..m", "R e"),
        ("EXPLAIN ANALYZE SELECT v INTO e..n FROM m", "R d, W e"),
        ("CREATE DATABASE x", "admin"),
        ("DROP DATABASE x", "admin"),
        ("SHOW DATABASES", ""),
        ("CREATE RETENTION POLICY p ON d DURATION 1h REPLICATION 1", "admin"),
        ("ALTER RETENTION POLICY p ON d DURATION 2h", "admin"),
        ("DROP RETENTION POLICY p ON e", "W e"),
        ("SHOW RETENTION POLICIES", "R d"),
        ("SHOW RETENTION POLICIES ON e", "R e"),
        ("SHOW MEASUREMENTS", "R d"),
        ("SHOW MEASUREMENTS ON e WITH MEASUREMENT =~ /x/", "R e"),
        ("SHOW SERIES FROM e..m", "R d, R e"),
        ("SHOW TAG KEYS ON e FROM f..m", "R e, R f"),
        ("SHOW TAG VALUES WITH KEY = k", "R d"),
        ("SHOW FIELD KEYS ON e", "R e"),
        ("SHOW SERIES CARDINALITY ON e", "R e"),
        ("SHOW MEASUREMENT EXACT CARDINALITY", "R d"),
        ("DROP MEASUREMENT m", "admin"),
        ("DELETE FROM m", "W d"),
        ("DROP SERIES FROM m", "W d"),
        ("DROP SHARD 1", "admin"),
        ("CREATE USER u WITH PASSWORD 'p'", "admin"),
        ("DROP USER u", "admin"),
        ("SET PASSWORD FOR u = 'p'", "admin"),
        ("GRANT READ ON d TO u", "admin"),
        ("GRANT ALL TO u", "admin"),
        ("REVOKE READ ON d FROM u", "admin"),
        ("SHOW USERS", "admin"),
        ("SHOW GRANTS FOR u", "admin"),
        ("CREATE CONTINUOUS QUERY c ON e BEGIN SELECT mean(v) INTO n FROM m GROUP BY time(1m) END", "R e, R e, W e"),
        (
            "CREATE CONTINUOUS QUERY c ON e BEGIN SELECT mean(v) INTO f..n FROM g..m GROUP BY time(1m) END",
            "R e, R g, W f",
        ),
        ("DROP CONTINUOUS QUERY c ON e", "W e"),
        ("SHOW CONTINUOUS QUERIES", "R d"),
        ("CREATE SUBSCRIPTION s ON d.p DESTINATIONS ALL 'udp://h:1'", "admin"),
        ("DROP SUBSCRIPTION s ON d.p", "admin"),
        ("SHOW SUBSCRIPTIONS", "admin"),
        ("SHOW QUERIES", "R d"),
        ("KILL QUERY 5", "admin"),
        ("SHOW SHARDS", "admin"),
        ("SHOW SHARD GROUPS", "admin"),
        ("SHOW STATS", "admin"),
        ("SHOW DIAGNOSTICS", "admin"),
    ];

    fn shown(needs: &[Need]) -> String {
        let shown = |need: &Need| match need {
            Need::Admin | Need::Tenant { .. } => "admin".to_owned(),
            Need::Database { name, access } if *access == Access::READ => format!("R {name}"),
            Need::Database { name, .. } => format!("W {name}"),
        };
        needs.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_kind_of_statement_needs_what_it_touches() {
        let mut kinds = Vec::new();
        for (text, needs) in KINDS {
            let statements = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let [statement] = &statements[..] else { panic!("{text}: {statements:?}") };
            assert_eq!(shown(&statement.needs("d")), *needs, "{text}");
            let kind = std::mem::discriminant(statement);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        // One for each variant of `Statement`: a new one wants its lines here.
        assert_eq!(kinds.len(), 33);
    }
}
