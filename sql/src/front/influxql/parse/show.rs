//! SHOW of what is in databases, and of how much of it.

use crate::front::influxql::ast::{Cardinality, Counted, Op, ShowKind, ShowSchema, Statement, TagKeys};
use crate::front::influxql::error::ParseError;
use crate::front::influxql::text::cursor::Cursor;
use crate::front::influxql::text::lexer::Kind;

impl Cursor<'_> {
    /// What follows SHOW.
    pub(super) fn show(&mut self) -> Result<Statement, ParseError> {
        const SHOWN: &str = "CONTINUOUS, DATABASES, DIAGNOSTICS, FIELD, GRANTS, MEASUREMENT, MEASUREMENTS, QUERIES, \
                             RETENTION, SERIES, SHARD, SHARDS, STATS, SUBSCRIPTIONS, TAG, USERS";
        Ok(match () {
            () if self.accept("CONTINUOUS") => {
                self.expect("QUERIES")?;
                Statement::ShowContinuousQueries
            }
            () if self.accept("DATABASES") => Statement::ShowDatabases,
            () if self.accept("DIAGNOSTICS") => Statement::ShowDiagnostics { module: self.module()? },
            () if self.accept("FIELD") => match () {
                () if self.accept("KEYS") => self.schema(ShowKind::FieldKeys)?,
                () if self.accept("KEY") => self.cardinality(Counted::FieldKeys, "EXACT, CARDINALITY")?,
                () => return Err(self.unexpected("KEY, KEYS")),
            },
            () if self.accept("GRANTS") => {
                self.expect("FOR")?;
                Statement::ShowGrants { user: self.identifier()? }
            }
            () if self.accept("MEASUREMENT") => self.cardinality(Counted::Measurements, "EXACT, CARDINALITY")?,
            () if self.accept("MEASUREMENTS") => self.schema(ShowKind::Measurements)?,
            () if self.accept("QUERIES") => Statement::ShowQueries,
            () if self.accept("RETENTION") => self.show_policies()?,
            () if self.accept("SERIES") => match () {
                () if self.peek().is("EXACT") || self.peek().is("CARDINALITY") => {
                    self.cardinality(Counted::Series, "EXACT, CARDINALITY")?
                }
                () => self.schema(ShowKind::Series)?,
            },
            () if self.accept("SHARD") => {
                self.expect("GROUPS")?;
                Statement::ShowShardGroups
            }
            () if self.accept("SHARDS") => Statement::ShowShards,
            () if self.accept("STATS") => Statement::ShowStats { module: self.module()? },
            () if self.accept("SUBSCRIPTIONS") => Statement::ShowSubscriptions,
            () if self.accept("TAG") => match () {
                () if self.accept("KEYS") => self.schema(ShowKind::TagKeys)?,
                () if self.accept("KEY") => self.cardinality(Counted::TagKeys, "EXACT, CARDINALITY")?,
                () if self.accept("VALUES") => match () {
                    () if self.peek().is("EXACT") || self.peek().is("CARDINALITY") => {
                        self.cardinality(Counted::TagValues, "EXACT, CARDINALITY")?
                    }
                    () => self.tag_values()?,
                },
                () => return Err(self.unexpected("KEY, KEYS, VALUES")),
            },
            () if self.accept("USERS") => Statement::ShowUsers,
            () => return Err(self.unexpected(SHOWN)),
        })
    }

    /// `FOR 'module'`, if it is next.
    fn module(&mut self) -> Result<Option<String>, ParseError> {
        if self.accept("FOR") { self.string().map(Some) } else { Ok(None) }
    }

    /// `ON database`, if it is next.
    pub(super) fn on(&mut self) -> Result<Option<String>, ParseError> {
        if self.accept("ON") { self.identifier().map(Some) } else { Ok(None) }
    }

    fn tag_values(&mut self) -> Result<Statement, ParseError> {
        let database = self.on()?;
        let from = if self.accept("FROM") { self.measurements()? } else { Vec::new() };
        let keys = self.tag_keys()?;
        self.schema_tail(ShowSchema {
            kind: ShowKind::TagValues(keys),
            database,
            from,
            condition: None,
            limit: 0,
            offset: 0,
        })
    }

    /// `WITH KEY …`
    fn tag_keys(&mut self) -> Result<TagKeys, ParseError> {
        self.expect("WITH")?;
        self.expect("KEY")?;
        if self.accept("IN") {
            self.expect_symbol('(', "(")?;
            let mut names = vec![self.identifier()?];
            while self.accept_symbol(',') {
                names.push(self.identifier()?);
            }
            self.expect_symbol(')', ")")?;
            return Ok(TagKeys::In(names));
        }
        let Kind::Operator(op @ (Op::Eq | Op::NotEq | Op::Matches | Op::NotMatches)) = self.peek().kind else {
            return Err(self.unexpected("IN, =, =~"));
        };
        self.skip();
        if matches!(op, Op::Eq | Op::NotEq) {
            let name = self.identifier()?;
            return Ok(if op == Op::Eq { TagKeys::In(vec![name]) } else { TagKeys::NotEq(name) });
        }
        let Some(regex) = self.regex()? else { return Err(self.unexpected("regex")) };
        Ok(if op == Op::Matches { TagKeys::Matches(regex) } else { TagKeys::NotMatches(regex) })
    }

    fn schema(&mut self, kind: ShowKind) -> Result<Statement, ParseError> {
        let database = self.on()?;
        let mut from = Vec::new();
        if kind == ShowKind::Measurements {
            if self.accept("WITH") {
                self.expect("MEASUREMENT")?;
                from.push(match self.peek().kind {
                    Kind::Operator(Op::Eq) => {
                        self.skip();
                        self.measurement()?
                    }
                    Kind::Operator(Op::Matches) => {
                        self.skip();
                        if self.peek().kind != Kind::Symbol('/') {
                            return Err(self.unexpected("regex"));
                        }
                        self.measurement()?
                    }
                    _ => return Err(self.unexpected("=, =~")),
                });
            }
        } else if self.accept("FROM") {
            from = self.measurements()?;
        }
        self.schema_tail(ShowSchema { kind, database, from, condition: None, limit: 0, offset: 0 })
    }

    fn schema_tail(&mut self, mut show: ShowSchema) -> Result<Statement, ParseError> {
        if show.kind != ShowKind::FieldKeys {
            show.condition = self.condition()?;
        }
        self.order()?;
        show.limit = self.count_after("LIMIT")?;
        show.offset = self.count_after("OFFSET")?;
        if show.kind == ShowKind::TagKeys {
            // InfluxDB reads these and does nothing with them.
            self.count_after("SLIMIT")?;
            self.count_after("SOFFSET")?;
        }
        Ok(Statement::ShowSchema(show))
    }

    /// `[EXACT] CARDINALITY …`
    fn cardinality(&mut self, of: Counted, expected: &'static str) -> Result<Statement, ParseError> {
        let exact = self.accept("EXACT");
        if !self.accept("CARDINALITY") {
            return Err(self.unexpected(if exact { "CARDINALITY" } else { expected }));
        }
        let database = self.on()?;
        let from = if self.accept("FROM") { self.measurements()? } else { Vec::new() };
        let keys = if of == Counted::TagValues { Some(self.tag_keys()?) } else { None };
        let condition = self.condition()?;
        let dimensions = self.dimensions()?;
        let limit = self.count_after("LIMIT")?;
        let offset = self.count_after("OFFSET")?;
        let counted = Cardinality { of, exact, database, from, keys, condition, dimensions, limit, offset };
        Ok(Statement::ShowCardinality(counted))
    }
}
