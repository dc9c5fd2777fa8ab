//! Statements about what the server does by itself: continuous queries and subscriptions.

use crate::front::influxql::ast::{ContinuousQuery, Expr, Literal, Select, Statement};
use crate::front::influxql::error::{ParseError, ParseErrorKind};
use crate::front::influxql::text::cursor::{Cursor, nowhere};

impl Cursor<'_> {
    /// What follows CREATE CONTINUOUS.
    pub(super) fn create_continuous(&mut self) -> Result<Statement, ParseError> {
        self.expect("QUERY")?;
        let name = self.identifier()?;
        self.expect("ON")?;
        let database = self.identifier()?;
        let (mut every_ns, mut for_ns, mut late_ns) = (None, None, None);
        if self.accept("RESAMPLE") {
            if self.accept("EVERY") {
                every_ns = Some(self.duration()?);
            }
            if self.accept("FOR") {
                for_ns = Some(self.duration()?);
            }
            // Ours: InfluxDB does not know it, so its words do not name it.
            if self.accept("LATE") {
                late_ns = Some(self.duration()?);
            }
            if every_ns.is_none() && for_ns.is_none() && late_ns.is_none() {
                return Err(self.unexpected("EVERY, FOR"));
            }
        }
        self.expect("BEGIN")?;
        self.expect("SELECT")?;
        let select = self.select()?;
        if select.into.is_none() {
            return Err(self.unexpected("INTO"));
        }
        self.expect("END")?;
        check(&select, every_ns, for_ns)?;
        let query = ContinuousQuery { name, database, every_ns, for_ns, late_ns, select };
        Ok(Statement::CreateContinuousQuery(Box::new(query)))
    }

    /// What follows DROP CONTINUOUS.
    pub(super) fn drop_continuous(&mut self) -> Result<Statement, ParseError> {
        self.expect("QUERY")?;
        let name = self.identifier()?;
        self.expect("ON")?;
        Ok(Statement::DropContinuousQuery { name, database: self.identifier()? })
    }

    /// `name ON database.policy`
    fn subscription(&mut self) -> Result<(String, String, String), ParseError> {
        let name = self.identifier()?;
        self.expect("ON")?;
        let database = self.identifier()?;
        self.expect_symbol('.', ".")?;
        Ok((name, database, self.identifier()?))
    }

    /// What follows CREATE SUBSCRIPTION.
    pub(super) fn create_subscription(&mut self) -> Result<Statement, ParseError> {
        let (name, database, policy) = self.subscription()?;
        self.expect("DESTINATIONS")?;
        let any = self.accept("ANY");
        if !any && !self.accept("ALL") {
            return Err(self.unexpected("ALL, ANY"));
        }
        let mut destinations = vec![self.string()?];
        while self.accept_symbol(',') {
            destinations.push(self.string()?);
        }
        Ok(Statement::CreateSubscription { name, database, policy, any, destinations })
    }

    /// What follows DROP SUBSCRIPTION.
    pub(super) fn drop_subscription(&mut self) -> Result<Statement, ParseError> {
        let (name, database, policy) = self.subscription()?;
        Ok(Statement::DropSubscription { name, database, policy })
    }
}

/// Whether a continuous query covers the windows that it fills.
fn check(select: &Select, every_ns: Option<i64>, for_ns: Option<i64>) -> Result<(), ParseError> {
    let aggregates = select.fields.iter().any(|field| {
        let mut calls = false;
        field.expr.walk(&mut |expr| calls |= matches!(expr, Expr::Call { .. } | Expr::Distinct(_)));
        calls
    });
    let interval_ns = select.dimensions.iter().find_map(|dimension| match dimension.0.bare() {
        Expr::Call { name, args } if name == "time" => match args.first() {
            Some(Expr::Literal(Literal::Duration(ns))) => Some(*ns),
            _ => None,
        },
        _ => None,
    });
    match interval_ns {
        None if aggregates => Err(nowhere(ParseErrorKind::NoInterval)),
        Some(interval_ns) => {
            let min_ns = interval_ns.max(every_ns.unwrap_or(0));
            match for_ns {
                Some(got_ns) if got_ns < min_ns => Err(nowhere(ParseErrorKind::ForTooShort { min_ns, got_ns })),
                _ => Ok(()),
            }
        }
        None => Ok(()),
    }
}
