//! Statements from tokens.

use crate::front::influxql::ast::Statement;
use crate::front::influxql::error::ParseError;
use crate::front::influxql::text::cursor::{Cursor, Parameters};
use crate::front::influxql::text::lexer::Kind;

/// Reads all statements of `text`; none for blanks, comments and lone semicolons.
pub fn parse(text: &str) -> Result<Vec<Statement>, ParseError> {
    parse_with(text, &Parameters::new())
}

/// Reads all statements of `text`, in which `$name` stands for what `parameters` bind.
pub fn parse_with(text: &str, parameters: &Parameters) -> Result<Vec<Statement>, ParseError> {
    parse_counted(text, parameters).map(|(statements, _)| statements)
}

/// The same with the memory that the regular expressions take.
pub fn parse_counted(text: &str, parameters: &Parameters) -> Result<(Vec<Statement>, usize), ParseError> {
    let mut cursor = Cursor::new(text, parameters);
    let mut statements = Vec::new();
    loop {
        while cursor.accept_symbol(';') {}
        if cursor.peek().kind == Kind::End {
            return Ok((statements, cursor.patterns_bytes));
        }
        statements.push(cursor.statement()?);
        if !matches!(cursor.peek().kind, Kind::End | Kind::Symbol(';')) {
            return Err(cursor.unexpected(";"));
        }
    }
}

impl Cursor<'_> {
    fn statement(&mut self) -> Result<Statement, ParseError> {
        const FIRST: &str = "SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL";
        match () {
            () if self.accept("SELECT") => Ok(Statement::Select(Box::new(self.select()?))),
            () if self.accept("DELETE") => self.delete(false),
            () if self.accept("SHOW") => self.show(),
            () if self.accept("CREATE") => self.create(),
            () if self.accept("DROP") => self.drop_statement(),
            () if self.accept("EXPLAIN") => {
                let analyze = self.accept("ANALYZE");
                self.expect("SELECT")?;
                Ok(Statement::Explain { select: Box::new(self.select()?), analyze })
            }
            () if self.accept("GRANT") => {
                let (access, database, user) = self.access("TO", "ON, TO")?;
                Ok(Statement::Grant { access, database, user })
            }
            () if self.accept("REVOKE") => {
                let (access, database, user) = self.access("FROM", "ON, FROM")?;
                Ok(Statement::Revoke { access, database, user })
            }
            () if self.accept("ALTER") => {
                self.expect("RETENTION")?;
                self.alter_policy()
            }
            () if self.accept("SET") => self.set_password(),
            () if self.accept("KILL") => {
                self.expect("QUERY")?;
                let id = self.integer()?;
                let host = if self.accept("ON") { Some(self.host()?) } else { None };
                Ok(Statement::KillQuery { id, host })
            }
            () => Err(self.unexpected(FIRST)),
        }
    }

    fn host(&mut self) -> Result<String, ParseError> {
        match &self.peek().kind {
            Kind::Text(_) => self.string(),
            _ => self.identifier(),
        }
    }

    fn create(&mut self) -> Result<Statement, ParseError> {
        match () {
            () if self.accept("CONTINUOUS") => self.create_continuous(),
            () if self.accept("DATABASE") => self.create_database(),
            () if self.accept("USER") => self.create_user(),
            () if self.accept("RETENTION") => self.create_policy(),
            () if self.accept("SUBSCRIPTION") => self.create_subscription(),
            () => Err(self.unexpected("CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION")),
        }
    }

    fn drop_statement(&mut self) -> Result<Statement, ParseError> {
        const DROPPED: &str = "CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER";
        match () {
            () if self.accept("CONTINUOUS") => self.drop_continuous(),
            () if self.accept("DATABASE") => Ok(Statement::DropDatabase { name: self.identifier()? }),
            () if self.accept("MEASUREMENT") => Ok(Statement::DropMeasurement { name: self.identifier()? }),
            () if self.accept("RETENTION") => self.drop_policy(),
            () if self.accept("SERIES") => self.delete(true),
            () if self.accept("SHARD") => Ok(Statement::DropShard { id: self.integer()? }),
            () if self.accept("SUBSCRIPTION") => self.drop_subscription(),
            () if self.accept("USER") => Ok(Statement::DropUser { name: self.identifier()? }),
            () => Err(self.unexpected(DROPPED)),
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
    fn any_text_is_answered_and_what_is_read_is_printed_as_it_is_read() {
        const WORDS: [&str; 60] = [
            "SELECT",
            "FROM",
            "WHERE",
            "GROUP",
            "BY",
            "time(",
            "(",
            ")",
            "10s",
            "1h30m",
            ",",
            "*",
            "/",
            "+",
            "-",
            "%",
            "&",
            "|",
            "^",
            "=",
            "!=",
            "=~",
            "!~",
            "<",
            ">=",
            "AND",
            "OR",
            "mean(",
            "max(",
            "count(",
            "distinct",
            "DISTINCT",
            "v",
            "\"a b\"",
            "'x'",
            "/re/",
            "1",
            "2.5",
            ".5",
            "18446744073709551615",
            "fill",
            "null",
            "ORDER",
            "DESC",
            "LIMIT",
            "SLIMIT",
            "tz",
            "'UTC'",
            "INTO",
            "SHOW",
            "TAG",
            "VALUES",
            "WITH",
            "KEY",
            "IN",
            "SERIES",
            "::",
            "field",
            ".",
            ";",
        ];
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut read, mut text) = (0, String::new());
        for round in 0..10_000 {
            // Every other text is one that can be read, with a word changed.
            text.clear();
            if round % 2 == 0 {
                text.push_str(
                    "SELECT mean( v ) , max( v ) FROM m WHERE a = 'x' AND time > 10s GROUP BY time( 10s ) , a LIMIT 1",
                );
                let at = random.usize(0..text.split(' ').count());
                let changed: Vec<&str> = (text.split(' ').enumerate())
                    .map(|(word, known)| if word == at { WORDS[random.usize(0..WORDS.len())] } else { known })
                    .collect();
                text = changed.join(" ");
            } else {
                let words = (0..random.usize(0..30)).map(|_| WORDS[random.usize(0..WORDS.len())]);
                text = words.collect::<Vec<_>>().join(if random.bool() { " " } else { "" });
            }
            match parse(&text) {
                Ok(statements) => {
                    read += statements.len();
                    for statement in statements {
                        let printed = statement.to_string();
                        let again = parse(&printed);
                        let again = again.unwrap_or_else(|error| panic!("{printed}: {error}, TIDEWIRE_SEED={seed}"));
                        assert_eq!(again.len(), 1, "{printed}, TIDEWIRE_SEED={seed}");
                        assert_eq!(again[0].to_string(), printed, "TIDEWIRE_SEED={seed}");
                    }
                }
                Err(error) => assert!(!error.to_string().is_empty(), "{text:?}, TIDEWIRE_SEED={seed}"),
            }
        }
        assert!(read > 200, "only {read} statements, TIDEWIRE_SEED={seed}");
    }

    #[test]
    fn brackets_are_bounded_and_long_texts_are_not_deep() {
        for (open, close) in [("(", ")"), ("abs(", ")"), ("- (", ")")] {
            let deep = format!("SELECT {}v{} FROM m", open.repeat(5_000), close.repeat(5_000));
            assert!(parse(&deep).unwrap_err().to_string().contains("brackets inside of each other"), "{open}");
        }
        let nested = format!("SELECT v FROM {}m{}", "(SELECT v FROM ".repeat(5_000), ")".repeat(5_000));
        assert!(parse(&nested).is_err());
        let long =
            format!("SELECT {} FROM m WHERE {}", vec!["v"; 50_000].join(" + "), vec!["a = 'x'"; 50_000].join(" OR "));
        let statements = parse(&long).unwrap();
        assert_eq!(parse(&statements[0].to_string()).unwrap(), statements);
        assert!(parse(&format!("SELECT {}v FROM m", "- ".repeat(50_000))).is_ok());
    }

    #[test]
    fn errors_name_the_token_and_the_place() {
        let refusal = |text: &str| parse(text).unwrap_err().to_string();
        for (text, expected) in [
            ("CREATE DATABASE", "found EOF, expected identifier at line 1, char 17"),
            ("SHOW DATABASES\nfoo", "found foo, expected ; at line 2, char 1"),
            ("CREATE DATABASE \"a", "found bad string, expected identifier at line 1, char 17"),
            ("SHOW RETENTION", "found EOF, expected POLICIES at line 1, char 16"),
            (
                "ALTER RETENTION POLICY p ON d DURATION 1h DURATION 2h",
                "found duplicate DURATION option at line 1, char 43",
            ),
            (
                "ALTER RETENTION POLICY p ON d SHARD DURATION INF",
                "invalid duration INF for shard duration at line 1, char 46",
            ),
            (
                "SELECT v > 1 FROM m",
                "invalid operator > in SELECT clause at line 1, char 8; operator is intended for WHERE clause",
            ),
            ("SELECT v FROM m GROUP BY time(10s) fill(x)", "expected number argument in fill()"),
            ("SELECT v FROM m WHERE a =~ 'x'", "found x, expected regex at line 1, char 27"),
            (
                "SELECT v::foo FROM m",
                "found foo, expected float, integer, unsigned, string, boolean, field, tag at line 1, char 11",
            ),
            ("SELECT 1e3 FROM m", "invalid duration"),
            ("SELECT v FROM a.b.c.d", "too many segments in \"a\".\"b\".\"c\".d at line 1, char 1"),
            ("DELETE FROM p.m", "retention policy not supported at line 1, char 1"),
            ("GRANT ALL ON d FROM u", "found FROM, expected TO at line 1, char 16"),
            ("SELECT v FROM m tz('Nowhere')", "unable to find time zone Nowhere"),
            ("SELECT v FROM m WHERE a = $b", "missing parameter: b"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        assert!(refusal("bogus").starts_with("found bogus, expected SELECT, DELETE"));
    }
}
