//! Statements from tokens.

use super::lexer::{Kind, Token, is_keyword, tokens};
use super::statement::Statement;

/// Why a query is not InfluxQL that this floor knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A token that cannot stand there.
    #[error("found {found}, expected {expected} at line {line}, char {character}")]
    Unexpected {
        /// The token.
        found: String,
        /// What could stand there.
        expected: String,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        character: usize,
    },
    /// A token that could stand there, with a value that cannot.
    #[error("{message} at line {line}, char {character}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        character: usize,
    },
    /// A statement that InfluxQL has and this server does not, yet.
    #[error("{statement} is not supported yet, at line {line}, char {character}")]
    Unsupported {
        /// How the statement begins.
        statement: String,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        character: usize,
    },
}

/// First words of statements that InfluxQL has and this floor has not.
const LATER: [&str; 6] = ["SELECT", "EXPLAIN", "GRANT", "REVOKE", "SET", "KILL"];

/// Reads all statements of `text`; none for blanks, comments and lone semicolons.
pub fn parse(text: &str) -> Result<Vec<Statement>, ParseError> {
    let tokens = tokens(text);
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let mut statements = Vec::new();
    loop {
        while parser.peek().kind == Kind::Symbol(';') {
            parser.at += 1;
        }
        if parser.peek().kind == Kind::End {
            return Ok(statements);
        }
        statements.push(parser.statement()?);
        if !matches!(parser.peek().kind, Kind::End | Kind::Symbol(';')) {
            return Err(parser.unexpected(";"));
        }
    }
}

/// A cursor over the tokens.
pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    pub(super) at: usize,
}

impl Parser<'_> {
    /// The next token; the end repeats.
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn unexpected(&self, expected: &str) -> ParseError {
        let token = self.peek();
        ParseError::Unexpected {
            found: token.shown(),
            expected: expected.to_owned(),
            line: token.line,
            character: token.character,
        }
    }

    pub(super) fn unsupported(&self, statement: &str, token: &Token) -> ParseError {
        ParseError::Unsupported { statement: statement.to_owned(), line: token.line, character: token.character }
    }

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
            Some(word) => Err(self.unsupported(word, &first)),
            None => {
                Err(self.unexpected("SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL"))
            }
        }
    }

    /// The refusal of what follows CREATE, DROP or SHOW: a kind of thing for later, or no InfluxQL at all.
    fn later(&self, verb: &str, first: &Token, kinds: &str) -> ParseError {
        match kinds.split(", ").find(|kind| self.peek().is(kind)) {
            Some(kind) => self.unsupported(&format!("{verb} {kind}"), first),
            None => self.unexpected(kinds),
        }
    }

    /// A name: a bare word that is no keyword, or any text in double quotes.
    pub(super) fn identifier(&mut self) -> Result<String, ParseError> {
        self.named("identifier")
    }

    /// A name where `expected` could stand.
    pub(super) fn named(&mut self, expected: &str) -> Result<String, ParseError> {
        match self.peek().kind.clone() {
            Kind::Quoted(name) => {
                self.at += 1;
                Ok(name)
            }
            Kind::Word(name) if !is_keyword(&name) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Passes the next token over.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// Passes a keyword over that has to be there.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), ParseError> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    /// The refusal of `token` for what it says.
    pub(super) fn invalid(message: impl Into<String>, token: &Token) -> ParseError {
        ParseError::Invalid { message: message.into(), line: token.line, character: token.character }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn statements_of_this_floor() {
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
    fn errors_name_the_token_and_the_place() {
        assert_eq!(refusal("CREATE DATABASE"), "found EOF, expected identifier at line 1, char 17");
        assert_eq!(refusal("SHOW DATABASES\nfoo"), "found foo, expected ; at line 2, char 1");
        assert!(refusal("bogus").starts_with("found bogus, expected SELECT, DELETE"));
        assert_eq!(refusal("CREATE DATABASE \"a"), "found bad string, expected identifier at line 1, char 17");
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        assert_eq!(refusal("SELECT * FROM cpu"), "SELECT is not supported yet, at line 1, char 1");
        assert_eq!(refusal("SHOW MEASUREMENTS"), "SHOW MEASUREMENTS is not supported yet, at line 1, char 1");
        assert_eq!(refusal("DROP SHARD 1"), "DROP SHARD is not supported yet, at line 1, char 1");
    }

    #[test]
    fn any_text_is_answered() {
        let mut rng = fastrand::Rng::with_seed(7);
        let letters: Vec<char> = "CREATE DB;'\"\\/*-\n é1".chars().collect();
        for _ in 0..2_000 {
            let text: String = (0..rng.usize(..40)).map(|_| letters[rng.usize(..letters.len())]).collect();
            match parse(&text) {
                Ok(statements) => assert!(statements.len() <= text.len(), "{text:?}"),
                Err(error) => assert!(error.to_string().contains("at line "), "{text:?}: {error}"),
            }
        }
    }
}
