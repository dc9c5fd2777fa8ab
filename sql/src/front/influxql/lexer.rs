//! Tokens of InfluxQL with their positions.

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Line, from 1.
    pub(super) line: usize,
    /// Character in the line, from 1.
    pub(super) character: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: keyword or identifier.
    Word(String),
    /// A double-quoted identifier.
    Quoted(String),
    /// A single-quoted string.
    Text(String),
    /// Digits with what follows them directly (`168h`, `3`).
    Number(String),
    /// `/…/` where a regular expression can stand, `\/` unescaped.
    Regex(String),
    /// A comparison: `=`, `!=`, `<>` (as `!=`), `=~`, `!~`, `<`, `<=`, `>`, `>=`.
    Operator(&'static str),
    /// Any other single character.
    Symbol(char),
    /// A quoted string or identifier that does not end, or a bad escape in one.
    Broken(&'static str),
    /// The end.
    End,
}

impl Token {
    /// The token as an error message shows it.
    pub(super) fn shown(&self) -> String {
        match &self.kind {
            // Keywords are shown as InfluxDB shows them.
            Kind::Word(text) if is_keyword(text) => text.to_ascii_uppercase(),
            Kind::Word(text) | Kind::Quoted(text) | Kind::Text(text) | Kind::Number(text) => text.clone(),
            Kind::Regex(text) => text.clone(),
            Kind::Operator(operator) => (*operator).to_owned(),
            Kind::Symbol(symbol) => symbol.to_string(),
            Kind::Broken(what) => (*what).to_owned(),
            Kind::End => "EOF".to_owned(),
        }
    }

    /// Whether the token is the keyword `word` (given in upper case).
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

/// Words that name nothing unless they are quoted, in order.
const KEYWORDS: [&str; 80] = [
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BY",
    "CARDINALITY",
    "CONTINUOUS",
    "CREATE",
    "DATABASE",
    "DATABASES",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DESTINATIONS",
    "DIAGNOSTICS",
    "DISTINCT",
    "DROP",
    "DURATION",
    "END",
    "EVERY",
    "EXACT",
    "EXPLAIN",
    "FALSE",
    "FIELD",
    "FOR",
    "FROM",
    "GRANT",
    "GRANTS",
    "GROUP",
    "GROUPS",
    "IN",
    "INF",
    "INSERT",
    "INTO",
    "KEY",
    "KEYS",
    "KILL",
    "LIMIT",
    "MEASUREMENT",
    "MEASUREMENTS",
    "NAME",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "PASSWORD",
    "POLICIES",
    "POLICY",
    "PRIVILEGES",
    "QUERIES",
    "QUERY",
    "READ",
    "REPLICATION",
    "RESAMPLE",
    "RETENTION",
    "REVOKE",
    "SELECT",
    "SERIES",
    "SET",
    "SHARD",
    "SHARDS",
    "SHOW",
    "SLIMIT",
    "SOFFSET",
    "STATS",
    "SUBSCRIPTION",
    "SUBSCRIPTIONS",
    "TAG",
    "TO",
    "TRUE",
    "USER",
    "USERS",
    "VALUES",
    "WHERE",
    "WITH",
    "WRITE",
];

/// Whether a bare word is a keyword, in any case.
pub(super) fn is_keyword(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    KEYWORDS.binary_search(&upper.as_str()).is_ok()
}

/// Splits `text` into tokens; comments (`-- …`, `/* … */`) and blanks are left out. The last token is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { rest: text.chars().peekable(), line: 1, character: 1 };
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        let blanks = scanner.skip_blanks_and_comments();
        let (line, mut character) = (scanner.line, scanner.character);
        let before = tokens.last().map(|token| &token.kind);
        let kind = scanner.token(before.is_some_and(takes_regex));
        let end = kind == Kind::End;
        // InfluxDB's scanner has met the end once already when it ended a word or blanks.
        if end && (blanks || matches!(before, Some(Kind::Word(_)))) {
            character += 1;
        }
        tokens.push(Token { kind, line, character });
        if end {
            return tokens;
        }
    }
}

/// Whether a `/` after such a token begins a regular expression.
fn takes_regex(before: &Kind) -> bool {
    match before {
        Kind::Word(word) => word.eq_ignore_ascii_case("FROM"),
        Kind::Operator(operator) => matches!(*operator, "=~" | "!~"),
        Kind::Symbol(symbol) => *symbol == ',',
        _ => false,
    }
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    character: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
            self.character = 1;
        } else {
            self.character += 1;
        }
        Some(c)
    }

    fn second(&self) -> Option<char> {
        self.rest.clone().nth(1)
    }

    /// Whether there were blanks at the end of what was skipped.
    fn skip_blanks_and_comments(&mut self) -> bool {
        let mut blanks = false;
        while let Some(&c) = self.rest.peek() {
            if c.is_whitespace() {
                blanks = true;
                self.next();
                continue;
            }
            if c == '-' && self.second() == Some('-') {
                while self.rest.peek().is_some_and(|c| *c != '\n') {
                    self.next();
                }
            } else if c == '/' && self.second() == Some('*') {
                self.next();
                self.next();
                let mut before = ' ';
                while let Some(c) = self.next() {
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
            } else {
                break;
            }
            blanks = false;
        }
        blanks
    }

    fn token(&mut self, takes_regex: bool) -> Kind {
        let Some(&first) = self.rest.peek() else { return Kind::End };
        match first {
            '"' => self.quoted('"').map_or_else(Kind::Broken, Kind::Quoted),
            '\'' => self.quoted('\'').map_or_else(Kind::Broken, Kind::Text),
            '/' if takes_regex => self.regex().map_or_else(Kind::Broken, Kind::Regex),
            '=' | '!' | '<' | '>' => self.operator(first),
            c if c.is_ascii_digit() => Kind::Number(self.run(|c| c.is_alphanumeric() || c == '.')),
            c if c.is_alphabetic() || c == '_' => Kind::Word(self.run(|c| c.is_alphanumeric() || c == '_')),
            _ => {
                self.next();
                Kind::Symbol(first)
            }
        }
    }

    /// A comparison; `!` alone is a symbol.
    fn operator(&mut self, first: char) -> Kind {
        self.next();
        let (kind, taken) = match (first, self.rest.peek()) {
            ('=', Some('~')) => (Kind::Operator("=~"), true),
            ('=', _) => (Kind::Operator("="), false),
            ('!', Some('=')) | ('<', Some('>')) => (Kind::Operator("!="), true),
            ('!', Some('~')) => (Kind::Operator("!~"), true),
            ('<', Some('=')) => (Kind::Operator("<="), true),
            ('<', _) => (Kind::Operator("<"), false),
            ('>', Some('=')) => (Kind::Operator(">="), true),
            ('>', _) => (Kind::Operator(">"), false),
            (other, _) => (Kind::Symbol(other), false),
        };
        if taken {
            self.next();
        }
        kind
    }

    fn regex(&mut self) -> Result<String, &'static str> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err("bad regex"),
                Some('/') => return Ok(text),
                Some('\\') if self.rest.peek() == Some(&'/') => {
                    self.next();
                    text.push('/');
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.peek().copied().filter(|c| belongs(*c)) {
            text.push(c);
            self.next();
        }
        text
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err("bad string"),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                    _ => return Err("bad escape"),
                },
                Some(c) => text.push(c),
            }
        }
    }
}
