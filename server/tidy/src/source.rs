//! A Rust text with its comments and strings told apart from its code.

/// A piece of text that is a comment or a string, with the line where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Line, from 1.
    pub line: usize,
    /// The text: of a comment with its slashes, of a string without its quotes.
    pub text: String,
}

/// A Rust text in its parts.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The text with comments and the insides of strings blanked; newlines stay, so lines keep their numbers.
    pub code: String,
    /// Comments: a `//` comment a piece, a block comment a piece.
    pub comments: Vec<Piece>,
    /// String literals.
    pub strings: Vec<Piece>,
}

impl Source {
    /// Takes `text` apart.
    pub fn new(text: &str) -> Self {
        Splitter { text, at: 0, line: 1, out: Self::default() }.run()
    }

    /// The code without items under `#[cfg(test)]` and its like: what a release is made of.
    pub fn code_without_tests(&self) -> String {
        let (mut kept, mut rest) = (String::with_capacity(self.code.len()), self.code.as_str());
        while let Some((start, end)) = test_item(rest) {
            kept.push_str(&rest[..start]);
            kept.extend(rest[start..end].chars().filter(|c| *c == '\n'));
            rest = &rest[end..];
        }
        kept + rest
    }

    /// The string literals of what a release is made of.
    pub fn strings_without_tests(&self) -> impl Iterator<Item = &Piece> {
        let (mut at, mut line, mut tests) = (0, 1, Vec::new());
        while let Some((start, end)) = test_item(&self.code[at..]) {
            let first = line + newlines(&self.code[at..at + start]);
            line = first + newlines(&self.code[at + start..at + end]);
            tests.push(first..=line);
            at += end;
        }
        self.strings.iter().filter(move |piece| !tests.iter().any(|lines| lines.contains(&piece.line)))
    }
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

/// Where the first item under an attribute that asks for tests begins and ends.
fn test_item(code: &str) -> Option<(usize, usize)> {
    test_attribute(code).map(|start| (start, item_end(code, start)))
}

/// Where the first attribute stands that names `test` in a `cfg`.
fn test_attribute(code: &str) -> Option<usize> {
    code.match_indices("#[cfg(").map(|(at, _)| at).find(|at| {
        let end = code[*at..].find(']').map_or(code.len(), |length| at + length);
        let words = code[*at..end].split(|c: char| !c.is_alphanumeric() && c != '_');
        words.clone().any(|word| word == "test") && !code[*at..end].contains("not(test")
    })
}

/// The end of the item that follows the attribute at `start`: its `;`, or the brace that closes its first one.
fn item_end(code: &str, start: usize) -> usize {
    let attribute = code[start..].find(']').map_or(code.len(), |length| start + length + 1);
    let mut depth = 0_usize;
    for (at, c) in code[attribute..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return attribute + at + 1;
                }
            }
            ';' if depth == 0 => return attribute + at + 1,
            _ => {}
        }
    }
    code.len()
}

struct Splitter<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    out: Source,
}

impl Splitter<'_> {
    fn run(mut self) -> Source {
        while let Some(c) = self.text[self.at..].chars().next() {
            let rest = &self.text[self.at..];
            if rest.starts_with("//") {
                let length = rest.find('\n').unwrap_or(rest.len());
                self.comment(length);
            } else if rest.starts_with("/*") {
                let length = block_comment_length(rest);
                self.comment(length);
            } else if let Some((prefix, length)) = string_length(rest, self.before()) {
                self.string(prefix, length);
            } else if c == '\'' {
                let length = char_length(rest);
                self.blank(length);
            } else {
                self.code(c);
            }
        }
        self.out
    }

    /// The character before the cursor: a letter makes `r"` and `b"` the end of a name instead of a prefix.
    fn before(&self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    fn code(&mut self, c: char) {
        self.line += usize::from(c == '\n');
        self.out.code.push(c);
        self.at += c.len_utf8();
    }

    fn blank(&mut self, length: usize) {
        for c in self.text[self.at..self.at + length].chars() {
            self.line += usize::from(c == '\n');
            self.out.code.push(if c == '\n' { '\n' } else { ' ' });
        }
        self.at += length;
    }

    fn comment(&mut self, length: usize) {
        let text = self.text[self.at..self.at + length].to_owned();
        self.out.comments.push(Piece { line: self.line, text });
        self.blank(length);
    }

    fn string(&mut self, prefix: usize, length: usize) {
        let whole = &self.text[self.at..self.at + length];
        let inner = whole[prefix..].trim_end_matches('#');
        let text = inner.strip_suffix('"').unwrap_or(inner).to_owned();
        self.out.strings.push(Piece { line: self.line, text });
        // Quotes stay, so that what stands beside a string does not run together.
        self.out.code.push('"');
        self.at += 1;
        self.blank(length - 1);
    }
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Bytes before the text of the string that begins here, and of the whole literal.
fn string_length(rest: &str, before: Option<char>) -> Option<(usize, usize)> {
    let letters = rest.len() - rest.trim_start_matches(['b', 'c']).len();
    let (letters, raw) = match rest[letters..].strip_prefix('r') {
        Some(_) => (letters + 1, true),
        None => (letters, false),
    };
    if letters > 2 || (letters > 0 && before.is_some_and(|c| c.is_alphanumeric() || c == '_')) {
        return None;
    }
    let hashes = if raw { rest[letters..].len() - rest[letters..].trim_start_matches('#').len() } else { 0 };
    let prefix = letters + hashes + 1;
    if !rest[letters + hashes..].starts_with('"') {
        return None;
    }
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        let length = rest[prefix..].find(&end).map_or(rest.len(), |at| prefix + at + end.len());
        return Some((prefix, length));
    }
    let mut escaped = false;
    for (at, c) in rest[prefix..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((prefix, prefix + at + 1)),
            _ => {}
        }
    }
    Some((prefix, rest.len()))
}

/// Length of a character literal; 1 for the quote of a lifetime.
fn char_length(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3.min(rest.len())..].find('\'').map_or(1, |at| 3 + at + 1),
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_leave_the_code() {
        // The quote of a lifetime is blanked like one of a character.
        let source = Source::new(
            "let a = \"x // y\"; // tail\n/* b\n/* c */ */ let d = r#\"e \" f\"#;\nlet g = '\"'; let h: &'a str = b\"i\";",
        );
        let code: String = source.code.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(code, "let a = \" ; let d = \" ; let g = ; let h: & a str = \" ;");
        let texts = |pieces: &[Piece]| pieces.iter().map(|p| (p.line, p.text.clone())).collect::<Vec<_>>();
        let own = |line: usize, text: &str| (line, text.to_owned());
        assert_eq!(texts(&source.comments), [own(1, "// tail"), own(2, "/* b\n/* c */ */")]);
        assert_eq!(texts(&source.strings), [own(1, "x // y"), own(3, "e \" f"), own(4, "i")]);
    }

    #[test]
    fn items_under_cfg_test_are_no_code_of_a_release() {
        let source = Source::new(
            "use a;\n#[cfg(test)]\nmod tests { fn f() { let x = [1; 2]; } }\n#[cfg(all(test, not(loom)))]\nmod more;\n#[cfg(not(test))]\nuse b;\n",
        );
        let code = source.code_without_tests();
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), "use a; #[cfg(not(test))] use b;");
        assert_eq!(code.lines().count(), source.code.lines().count());
        let source = Source::new("f(\"a\");\n#[cfg(test)]\nmod tests {\n    g(\"b\");\n}\nh(\"c\");\n");
        let kept: Vec<&str> = source.strings_without_tests().map(|piece| piece.text.as_str()).collect();
        assert_eq!(kept, ["a", "c"]);
    }
}
