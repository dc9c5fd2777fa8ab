//! Statements from tokens.

use super::lexer::{Kind, Token, tokens};

/// A statement of this floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE DATABASE name`
    CreateDatabase {
        /// Name.
        name: String,
    },
    /// `DROP DATABASE name`
    DropDatabase {
        /// Name.
        name: String,
    },
    /// `SHOW DATABASES`
    ShowDatabases,
}

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
const LATER: [&str; 9] = ["SELECT", "DELETE", "EXPLAIN", "GRANT", "REVOKE", "ALTER", "SET", "KILL", "SHOW"];

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
            return Err(parser.unexpected("; or EOF"));
        }
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    /// The next token; the end repeats.
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is(word);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let token = self.peek();
        ParseError::Unexpected {
            found: token.shown(),
            expected: expected.to_owned(),
            line: token.line,
            character: token.character,
        }
    }

    fn unsupported(&self, statement: &str, token: &Token) -> ParseError {
        ParseError::Unsupported { statement: statement.to_owned(), line: token.line, character: token.character }
    }

    fn statement(&mut self) -> Result<Statement, ParseError> {
        let first = self.peek().clone();
        if self.accept("CREATE") {
            if !self.accept("DATABASE") {
                return Err(self.later("CREATE", &first, "CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION"));
            }
            let name = self.identifier()?;
            if self.peek().is("WITH") {
                return Err(self.unsupported("CREATE DATABASE … WITH", &first));
            }
            return Ok(Statement::CreateDatabase { name });
        }
        if self.accept("DROP") {
            if !self.accept("DATABASE") {
                return Err(self.later(
                    "DROP",
                    &first,
                    "CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER",
                ));
            }
            return Ok(Statement::DropDatabase { name: self.identifier()? });
        }
        if self.accept("SHOW") && self.accept("DATABASES") {
            return Ok(Statement::ShowDatabases);
        }
        match LATER.iter().find(|word| first.is(word)) {
            Some(word) => Err(self.unsupported(word, &first)),
            None => {
                Err(self.unexpected("SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL"))
            }
        }
    }

    /// The refusal of what follows CREATE or DROP: a kind of thing for later, or no InfluxQL at all.
    fn later(&self, verb: &str, first: &Token, kinds: &str) -> ParseError {
        match kinds.split(", ").find(|kind| self.peek().is(kind)) {
            Some(kind) => self.unsupported(&format!("{verb} {kind}"), first),
            None => self.unexpected(kinds),
        }
    }

    fn identifier(&mut self) -> Result<String, ParseError> {
        let (Kind::Word(name) | Kind::Quoted(name)) = self.peek().kind.clone() else {
            return Err(self.unexpected("identifier"));
        };
        self.at += 1;
        Ok(name)
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
        let create = |name: &str| Statement::CreateDatabase { name: name.to_owned() };
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
        assert_eq!(refusal("CREATE DATABASE"), "found EOF, expected identifier at line 1, char 16");
        assert_eq!(refusal("SHOW DATABASES\nfoo"), "found foo, expected ; or EOF at line 2, char 1");
        assert!(refusal("bogus").starts_with("found bogus, expected SELECT, DELETE"));
        assert_eq!(refusal("CREATE DATABASE \"a"), "found bad string, expected identifier at line 1, char 17");
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        assert_eq!(refusal("SELECT * FROM cpu"), "SELECT is not supported yet, at line 1, char 1");
        assert_eq!(refusal("SHOW MEASUREMENTS"), "SHOW is not supported yet, at line 1, char 1");
        assert_eq!(refusal("DROP MEASUREMENT m"), "DROP MEASUREMENT is not supported yet, at line 1, char 1");
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
