//! Statements from tokens.

use crate::front::influxql::cursor::{Cursor, unsupported};
use crate::front::influxql::error::ParseError;
use crate::front::influxql::lexer::{Kind, Token, tokens};
use crate::front::influxql::statement::Statement;

/// First words of statements that InfluxQL has and this server does not.
const LATER: [&str; 6] = ["SELECT", "EXPLAIN", "GRANT", "REVOKE", "SET", "KILL"];

/// Reads all statements of `text`; none for blanks, comments and lone semicolons.
pub fn parse(text: &str) -> Result<Vec<Statement>, ParseError> {
    let tokens = tokens(text);
    let mut cursor = Cursor::new(&tokens);
    let mut statements = Vec::new();
    loop {
        while cursor.peek().kind == Kind::Symbol(';') {
            cursor.at += 1;
        }
        if cursor.peek().kind == Kind::End {
            return Ok(statements);
        }
        statements.push(cursor.statement()?);
        if !matches!(cursor.peek().kind, Kind::End | Kind::Symbol(';')) {
            return Err(cursor.unexpected(";"));
        }
    }
}

impl Cursor<'_> {
    fn statement(&mut self) -> Result<Statement, ParseError> {
        const CREATED: &str = "CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION";
        const DROPPED: &str = "CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER";
        const SHOWN: &str = "CONTINUOUS, DATABASES, DIAGNOSTICS, FIELD, GRANTS, MEASUREMENT, MEASUREMENTS, QUERIES, \
                             RETENTION, SERIES, SHARD, SHARDS, STATS, SUBSCRIPTIONS, TAG, USERS";
        let first = self.peek().clone();
        if self.accept("CREATE") {
            return match () {
                () if self.accept("DATABASE") => self.create_database(),
                () if self.accept("RETENTION") => self.create_policy(),
                () => Err(self.later("CREATE", &first, CREATED)),
            };
        }
        if self.accept("ALTER") {
            return if self.accept("RETENTION") { self.alter_policy() } else { Err(self.unexpected("RETENTION")) };
        }
        if self.accept("DROP") {
            return match () {
                () if self.accept("DATABASE") => Ok(Statement::DropDatabase { name: self.identifier()? }),
                () if self.accept("MEASUREMENT") => Ok(Statement::DropMeasurement { name: self.identifier()? }),
                () if self.accept("RETENTION") => self.drop_policy(),
                () if self.accept("SERIES") => self.delete(true, &first),
                () => Err(self.later("DROP", &first, DROPPED)),
            };
        }
        if self.accept("DELETE") {
            return self.delete(false, &first);
        }
        if let Some(counted) = self.show_cardinality()? {
            return Ok(Statement::ShowCardinality(counted));
        }
        if self.accept("SHOW") {
            return match () {
                () if self.accept("DATABASES") => Ok(Statement::ShowDatabases),
                () if self.accept("RETENTION") => self.show_policies(),
                () => Err(self.later("SHOW", &first, SHOWN)),
            };
        }
        match LATER.iter().find(|word| first.is(word)) {
            Some(word) => Err(unsupported(*word, &first)),
            None => {
                Err(self.unexpected("SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL"))
            }
        }
    }

    /// The refusal of what follows CREATE, DROP or SHOW: a kind of thing for later, or no InfluxQL at all.
    fn later(&self, verb: &str, first: &Token, kinds: &'static str) -> ParseError {
        match kinds.split(", ").find(|kind| self.peek().is(kind)) {
            Some(kind) => unsupported(format!("{verb} {kind}"), first),
            None => self.unexpected(kinds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_need_no_more_than_a_name() {
        let create = |name: &str| Statement::CreateDatabase { name: name.to_owned(), policy: None };
        assert_eq!(parse("CREATE DATABASE mydb").unwrap(), [create("mydb")]);
        assert_eq!(parse(" create database \"my db\\\"\" ; ").unwrap(), [create("my db\"")]);
        assert_eq!(
            parse("-- set up\nDROP DATABASE a; /* then */ CREATE DATABASE a;SHOW DATABASES").unwrap(),
            [Statement::DropDatabase { name: "a".to_owned() }, create("a"), Statement::ShowDatabases]
        );
        assert_eq!(parse(" ;; -- nothing").unwrap(), []);
    }

    #[test]
    fn any_text_is_answered() {
        let mut rng = fastrand::Rng::with_seed(7);
        let letters: Vec<char> = "CREATE DB;'\"\\/*-\n é1".chars().collect();
        for _ in 0..2_000 {
            let text: String = (0..rng.usize(..40)).map(|_| letters[rng.usize(..letters.len())]).collect();
            match parse(&text) {
                Ok(statements) => assert!(statements.len() <= text.len(), "{text:?}"),
                Err(error) => assert!(error.line > 0 && error.character > 0, "{text:?}: {error}"),
            }
        }
    }
}
