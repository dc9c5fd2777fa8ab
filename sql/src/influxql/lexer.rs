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
            Kind::Word(text) | Kind::Quoted(text) | Kind::Text(text) | Kind::Number(text) => text.clone(),
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

/// Cuts `text` into tokens; comments (`-- …`, `/* … */`) and blanks are left out. The last token is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { rest: text.chars().peekable(), line: 1, character: 1 };
    let mut tokens = Vec::new();
    loop {
        scanner.skip_blanks_and_comments();
        let (line, character) = (scanner.line, scanner.character);
        let kind = scanner.token();
        let end = kind == Kind::End;
        tokens.push(Token { kind, line, character });
        if end {
            return tokens;
        }
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

    fn skip_blanks_and_comments(&mut self) {
        while let Some(&c) = self.rest.peek() {
            if c.is_whitespace() {
                self.next();
            } else if c == '-' && self.second() == Some('-') {
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
                return;
            }
        }
    }

    fn token(&mut self) -> Kind {
        let Some(&first) = self.rest.peek() else { return Kind::End };
        match first {
            '"' => self.quoted('"').map_or_else(Kind::Broken, Kind::Quoted),
            '\'' => self.quoted('\'').map_or_else(Kind::Broken, Kind::Text),
            c if c.is_ascii_digit() => Kind::Number(self.run(|c| c.is_alphanumeric() || c == '.')),
            c if c.is_alphabetic() || c == '_' => Kind::Word(self.run(|c| c.is_alphanumeric() || c == '_')),
            _ => {
                self.next();
                Kind::Symbol(first)
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
