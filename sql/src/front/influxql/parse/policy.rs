//! Statements about databases and retention policies.

use crate::front::influxql::ast::Statement;
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::text::cursor::{Cursor, refused};
use crate::front::influxql::text::duration::parse_duration;
use crate::front::influxql::text::lexer::Kind;
use crate::statement::PolicyOptions;

/// Name of the policy of a database that was made without naming one.
const FIRST_POLICY: &str = "autogen";

impl Cursor<'_> {
    /// What follows CREATE DATABASE.
    pub(super) fn create_database(&mut self) -> Result<Statement, ParseError> {
        let name = self.identifier()?;
        if !self.accept("WITH") {
            return Ok(Statement::CreateDatabase { name, policy: None });
        }
        let (mut options, mut policy, mut given) = (PolicyOptions::default(), FIRST_POLICY.to_owned(), false);
        if self.accept("DURATION") {
            options.duration_ns = Some(self.duration()?);
            given = true;
        }
        if self.accept("REPLICATION") {
            options.replication = Some(self.replication()?);
            given = true;
        }
        if self.accept("SHARD") {
            options.shard_duration_ns = Some(self.shard_duration()?);
            given = true;
        }
        if self.accept("NAME") {
            policy = self.identifier()?;
            given = true;
        }
        if !given {
            return Err(self.unexpected("DURATION, NAME, REPLICATION, SHARD"));
        }
        Ok(Statement::CreateDatabase { name, policy: Some((policy, options)) })
    }

    /// What follows CREATE RETENTION.
    pub(super) fn create_policy(&mut self) -> Result<Statement, ParseError> {
        self.expect("POLICY")?;
        let name = self.identifier()?;
        self.expect("ON")?;
        let database = self.identifier()?;
        self.expect("DURATION")?;
        let duration_ns = Some(self.duration()?);
        self.expect("REPLICATION")?;
        let replication = Some(self.replication()?);
        let shard_duration_ns = if self.accept("SHARD") { Some(self.shard_duration()?) } else { None };
        let make_default = self.accept("DEFAULT");
        let options = PolicyOptions { duration_ns, replication, shard_duration_ns, make_default };
        Ok(Statement::CreatePolicy { name, database, options })
    }

    /// What follows ALTER RETENTION.
    pub(super) fn alter_policy(&mut self) -> Result<Statement, ParseError> {
        self.expect("POLICY")?;
        // The one keyword that is a name without quotes: older releases called the first policy so.
        let name = if self.accept("DEFAULT") { "default".to_owned() } else { self.identifier()? };
        self.expect("ON")?;
        let database = self.identifier()?;
        let mut options = PolicyOptions::default();
        loop {
            let token = self.peek().clone();
            let twice = |given: bool| {
                let duplicate = || refused(ParseErrorKind::DuplicateOption(token.shown()), &token);
                if given { Err(duplicate()) } else { Ok(()) }
            };
            if self.accept("DURATION") {
                twice(options.duration_ns.is_some())?;
                options.duration_ns = Some(self.duration()?);
            } else if self.accept("REPLICATION") {
                twice(options.replication.is_some())?;
                options.replication = Some(self.replication()?);
            } else if self.accept("SHARD") {
                twice(options.shard_duration_ns.is_some())?;
                options.shard_duration_ns = Some(self.shard_duration()?);
            } else if self.accept("DEFAULT") {
                twice(options.make_default)?;
                options.make_default = true;
            } else if options == PolicyOptions::default() {
                return Err(self.unexpected("DURATION, REPLICATION, SHARD, DEFAULT"));
            } else {
                return Ok(Statement::AlterPolicy { name, database, options });
            }
        }
    }

    /// What follows DROP RETENTION.
    pub(super) fn drop_policy(&mut self) -> Result<Statement, ParseError> {
        self.expect("POLICY")?;
        let name = self.identifier()?;
        self.expect("ON")?;
        Ok(Statement::DropPolicy { name, database: self.identifier()? })
    }

    /// What follows SHOW RETENTION.
    pub(super) fn show_policies(&mut self) -> Result<Statement, ParseError> {
        self.expect("POLICIES")?;
        let database = if self.accept("ON") { Some(self.identifier()?) } else { None };
        Ok(Statement::ShowPolicies { database })
    }

    /// A duration in nanoseconds; `INF` is 0.
    pub(super) fn duration(&mut self) -> Result<i64, ParseError> {
        if self.accept("INF") {
            return Ok(0);
        }
        let token = self.peek().clone();
        let Kind::Duration(text) = &token.kind else { return Err(self.unexpected("duration")) };
        let ns = parse_duration(text).map_err(|error| refused(error, &token))?;
        self.skip();
        Ok(ns)
    }

    /// What follows SHARD.
    fn shard_duration(&mut self) -> Result<i64, ParseError> {
        self.expect("DURATION")?;
        let token = self.peek().clone();
        if token.is("INF") {
            return Err(refused(ParseErrorKind::InfiniteShardDuration, &token));
        }
        self.duration()
    }

    fn replication(&mut self) -> Result<u32, ParseError> {
        /// InfluxDB's bound.
        const COPIES_MAX: u32 = i32::MAX as u32;
        let token = self.peek().clone();
        let Kind::Integer(text) = &token.kind else { return Err(self.unexpected("integer")) };
        match text.parse() {
            Ok(copies) if (1..=COPIES_MAX).contains(&copies) => {
                self.skip();
                Ok(copies)
            }
            _ => {
                let kind = ParseErrorKind::Replication { text: text.clone(), copies_max: COPIES_MAX };
                Err(refused(kind, &token))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::influxql::parse;

    const HOUR_NS: i64 = 3_600_000_000_000;

    #[test]
    fn policies_are_made_and_changed() {
        let options = PolicyOptions {
            duration_ns: Some(HOUR_NS),
            replication: Some(2),
            shard_duration_ns: Some(HOUR_NS / 2),
            make_default: true,
        };
        let text = "CREATE RETENTION POLICY p ON d DURATION 1h REPLICATION 2 SHARD DURATION 30m DEFAULT";
        let created = Statement::CreatePolicy { name: "p".into(), database: "d".into(), options: options.clone() };
        assert_eq!(parse(text).unwrap(), [created]);
        let text = "alter retention policy default on d default shard duration 30m replication 2 duration 60m";
        let altered = Statement::AlterPolicy { name: "default".into(), database: "d".into(), options };
        assert_eq!(parse(text).unwrap(), [altered]);
        let text = "CREATE DATABASE d WITH DURATION INF NAME \"x y\"; DROP RETENTION POLICY p ON d";
        let forever = PolicyOptions { duration_ns: Some(0), ..PolicyOptions::default() };
        assert_eq!(
            parse(text).unwrap(),
            [
                Statement::CreateDatabase { name: "d".into(), policy: Some(("x y".into(), forever)) },
                Statement::DropPolicy { name: "p".into(), database: "d".into() },
            ]
        );
        assert_eq!(
            parse("SHOW RETENTION POLICIES ON d").unwrap(),
            [Statement::ShowPolicies { database: Some("d".into()) }]
        );
    }
}
