//! Tokens of InfluxQL with their positions, one at a time.
//!
//! Whether a `/` divides or begins a regular expression only the parser knows, so that it asks for the one or the
//! other ([`Lexer::next`], [`Lexer::regex`]). A lexer is a place in the text: to go back is to keep a copy of it.

use crate::front::influxql::ast::Op;

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::front::influxql) struct Token {
    pub(in crate::front::influxql) kind: Kind,
    /// Line, from 1.
    pub(in crate::front::influxql) line: usize,
    /// Character in the line, from 1.
    pub(in crate::front::influxql) character: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::front::influxql) enum Kind {
    /// A bare word: keyword or identifier.
    Word(String),
    /// A double-quoted identifier.
    Quoted(String),
    /// A single-quoted string.
    Text(String),
    /// Digits.
    Integer(String),
    /// Digits with a point.
    Number(String),
    /// Digits with letters directly behind them (`168h`).
    Duration(String),
    /// `$name`, without its mark.
    Parameter(String),
    /// A comparison.
    Operator(Op),
    /// `::`
    Cast,
    /// Any other single character.
    Symbol(char),
    /// A quoted string or identifier that does not end, or a bad escape in one.
    Broken(&'static str),
    /// The end.
    End,
}

impl Token {
    /// The token as an error message shows it.
    pub(in crate::front::influxql) fn shown(&self) -> String {
        match &self.kind {
            // Keywords are shown as InfluxDB shows them.
            Kind::Word(text) if is_keyword(text) => text.to_ascii_uppercase(),
            Kind::Word(text) | Kind::Quoted(text) | Kind::Text(text) => text.clone(),
            Kind::Integer(text) | Kind::Number(text) | Kind::Duration(text) => text.clone(),
            Kind::Parameter(name) => format!("${name}"),
            Kind::Cast => "::".to_owned(),
            Kind::Operator(operator) => operator.symbol().to_owned(),
            Kind::Symbol(symbol) => symbol.to_string(),
            Kind::Broken(what) => (*what).to_owned(),
            Kind::End => "EOF".to_owned(),
        }
    }

    /// Whether the token is the keyword `word` (given in upper case).
    pub(in crate::front::influxql) fn is(&self, word: &str) -> bool {
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
pub(in crate::front::influxql) fn is_keyword(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    KEYWORDS.binary_search(&upper.as_str()).is_ok()
}

/// A place in a text.
#[derive(Debug, Clone)]
pub(in crate::front::influxql) struct Lexer<'a> {
    rest: std::str::Chars<'a>,
    line: usize,
    character: usize,
    /// The token before was a bare word.
    after_word: bool,
}

impl<'a> Lexer<'a> {
    /// The beginning of `text`.
    pub(in crate::front::influxql) fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), line: 1, character: 1, after_word: false }
    }

    /// The next token; blanks and comments (`-- …`, `/* … */`) are passed over. The end repeats.
    pub(in crate::front::influxql) fn next(&mut self) -> Token {
        let blanks = self.skip_blanks_and_comments();
        let (line, mut character) = (self.line, self.character);
        let kind = self.token();
        // InfluxDB's scanner has met the end once already when it ended a word or blanks.
        if kind == Kind::End && (blanks || self.after_word) {
            character += 1;
        }
        self.after_word = matches!(kind, Kind::Word(_));
        Token { kind, line, character }
    }

    /// The regular expression that begins here, between its slashes and with `\/` as `/`; `None` where none begins.
    pub(in crate::front::influxql) fn regex(&mut self) -> Option<Result<String, Token>> {
        let mut ahead = self.clone();
        ahead.skip_blanks_and_comments();
        let (line, character) = (ahead.line, ahead.character);
        if ahead.peek() != Some('/') {
            return None;
        }
        let text = ahead.regex_text().map_err(|what| Token { kind: Kind::Broken(what), line, character });
        ahead.after_word = false;
        *self = ahead;
        Some(text)
    }

    /// Whether the text goes on with `c` here, without blanks.
    pub(in crate::front::influxql) fn is_at(&self, c: char) -> bool {
        self.peek() == Some(c)
    }

    /// Whether the text goes on with a blank.
    pub(in crate::front::influxql) fn is_at_blank(&self) -> bool {
        self.peek().is_some_and(is_blank)
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn take(&mut self) -> Option<char> {
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
        while let Some(c) = self.peek() {
            if is_blank(c) {
                blanks = true;
                self.take();
                continue;
            }
            if c == '-' && self.second() == Some('-') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.take();
                }
            } else if c == '/' && self.second() == Some('*') {
                self.take();
                self.take();
                let mut before = ' ';
                while let Some(c) = self.take() {
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

    fn token(&mut self) -> Kind {
        let Some(first) = self.peek() else { return Kind::End };
        match first {
            '"' => self.quoted('"').map_or_else(Kind::Broken, Kind::Quoted),
            '\'' => self.quoted('\'').map_or_else(Kind::Broken, Kind::Text),
            '=' | '!' | '<' | '>' => self.operator(first),
            '$' => self.parameter(),
            ':' if self.second() == Some(':') => {
                self.take();
                self.take();
                Kind::Cast
            }
            c if c.is_ascii_digit() => self.number(),
            '.' if self.second().is_some_and(|c| c.is_ascii_digit()) => self.number(),
            c if is_word_begin(c) => Kind::Word(self.run(is_word)),
            _ => {
                self.take();
                Kind::Symbol(first)
            }
        }
    }

    /// A whole number, one with a point, or a duration.
    fn number(&mut self) -> Kind {
        let mut text = self.run(|c| c.is_ascii_digit());
        if self.peek() == Some('.') {
            text.push('.');
            self.take();
            text.push_str(&self.run(|c| c.is_ascii_digit()));
            return Kind::Number(text);
        }
        let in_duration = |c: char| c.is_ascii_alphanumeric() || c == 'µ';
        if self.peek().is_some_and(|c| in_duration(c) && !c.is_ascii_digit()) {
            text.push_str(&self.run(in_duration));
            return Kind::Duration(text);
        }
        Kind::Integer(text)
    }

    fn parameter(&mut self) -> Kind {
        self.take();
        match self.peek() {
            Some('"') => self.quoted('"').map_or_else(Kind::Broken, Kind::Parameter),
            _ => Kind::Parameter(self.run(is_word)),
        }
    }

    /// A comparison; `!` alone is a symbol.
    fn operator(&mut self, first: char) -> Kind {
        self.take();
        let (kind, taken) = match (first, self.peek()) {
            ('=', Some('~')) => (Kind::Operator(Op::Matches), true),
            ('=', _) => (Kind::Operator(Op::Eq), false),
            ('!', Some('=')) | ('<', Some('>')) => (Kind::Operator(Op::NotEq), true),
            ('!', Some('~')) => (Kind::Operator(Op::NotMatches), true),
            ('<', Some('=')) => (Kind::Operator(Op::LtEq), true),
            ('<', _) => (Kind::Operator(Op::Lt), false),
            ('>', Some('=')) => (Kind::Operator(Op::GtEq), true),
            ('>', _) => (Kind::Operator(Op::Gt), false),
            (other, _) => (Kind::Symbol(other), false),
        };
        if taken {
            self.take();
        }
        kind
    }

    fn regex_text(&mut self) -> Result<String, &'static str> {
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                None | Some('\n') => return Err("bad regex"),
                Some('/') => return Ok(text),
                Some('\\') if self.peek() == Some('/') => {
                    self.take();
                    text.push('/');
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| belongs(*c)) {
            text.push(c);
            self.take();
        }
        text
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                None | Some('\n') => return Err("bad string"),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.take() {
                    Some('n') => text.push('\n'),
                    Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                    _ => return Err("bad escape"),
                },
                Some(c) => text.push(c),
            }
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_word_begin(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a name need not be quoted.
pub(in crate::front::influxql) fn is_plain_name(name: &str) -> bool {
    name.starts_with(is_word_begin) && name.chars().all(is_word) && !is_keyword(name)
}
