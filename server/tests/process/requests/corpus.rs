//! Reads the corpus of requests: the `.txt` files beside this one.
//!
//! ```text
//!   == What is sent                          a case begins; its name
//!   rfc 9112 6.1                             what decides about it
//!   > POST /ping HTTP/1.1\r\n                bytes to send. Lines that follow each other are sent together
//!   ! end                                    the client closes its sending side
//!   < 400 close two lengths                  an answer that must come: its status, what becomes of the connection, and
//!                                            words of it, if any matter
//!   why A sentence.                          why that is the right answer
//! ```
//!
//! Bytes are written as they are, but for `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`, and `\{N*BYTES}` for N times the same.
//! `open` means that the next request on the connection is answered; `close` that the connection ends behind the answer
//! without another byte. An answer without either is followed by more steps. `no-body` stands before them where an
//! answer to HEAD has none. `< nothing` is a connection that ends without an answer. What begins with `#` is a comment.

use std::fs;
use std::path::Path;

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// More steps follow.
    Steps,
    /// The next request is answered.
    Open,
    /// It ends.
    Close,
}

/// An answer that must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) status: u16,
    pub(super) has_body: bool,
    pub(super) then: Then,
    pub(super) words: String,
}

/// A step of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// The sending side is closed.
    End,
    Answer(Expected),
    /// The connection ends without an answer.
    Nothing,
}

/// A case.
#[derive(Debug, Clone, Default)]
pub(super) struct Case {
    /// Its name behind that of its file.
    pub(super) name: String,
    pub(super) rfc: String,
    pub(super) why: String,
    pub(super) steps: Vec<Step>,
}

/// All cases of the files of a folder, by name.
pub(super) fn read(folder: &Path) -> Vec<Case> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the corpus is there").map(|e| e.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files.iter().flat_map(|path| parse(path, &fs::read_to_string(path).expect("the corpus is text"))).collect()
}

fn parse(path: &Path, text: &str) -> Vec<Case> {
    let file = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad = |what: &str| -> ! { panic!("{}:{}: {what}: {line}", path.display(), number + 1) };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "==" {
            cases.push(Case { name: format!("{file}: {rest}"), ..Case::default() });
            continue;
        }
        let Some(case) = cases.last_mut() else { bad("no case has begun") };
        match (mark, case.steps.last_mut()) {
            ("rfc", _) => rest.clone_into(&mut case.rfc),
            ("why", _) => rest.clone_into(&mut case.why),
            (">", Some(Step::Send(bytes))) => unescape(rest, bytes).unwrap_or_else(|what| bad(what)),
            (">", _) => {
                let mut bytes = Vec::new();
                unescape(rest, &mut bytes).unwrap_or_else(|what| bad(what));
                case.steps.push(Step::Send(bytes));
            }
            ("!", _) if rest == "end" => case.steps.push(Step::End),
            ("<", _) if rest == "nothing" => case.steps.push(Step::Nothing),
            ("<", _) => case.steps.push(Step::Answer(expected(rest).unwrap_or_else(|| bad("no answer")))),
            _ => bad("not a line of the corpus"),
        }
    }
    cases
}

fn expected(text: &str) -> Option<Expected> {
    let (status, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let status = status.parse().ok()?;
    let has_body = match rest.strip_prefix("no-body") {
        Some(others) => {
            rest = others.trim_start();
            false
        }
        None => status >= 200 && status != 204,
    };
    let (word, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let then = match word {
        "" => Then::Steps,
        "open" => Then::Open,
        "close" => Then::Close,
        _ => return None,
    };
    Some(Expected { status, has_body, then, words: words.to_owned() })
}

/// Appends the bytes that a text stands for.
fn unescape(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let kind = escape.chars().next().ok_or("an escape is cut")?;
        rest = &escape[kind.len_utf8()..];
        match kind {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).ok_or("an escape is cut")?;
                out.push(u8::from_str_radix(digits, 16).map_err(|_| "not a byte in hex")?);
                rest = &rest[2..];
            }
            '{' => {
                let (inner, behind) = rest.split_once('}').ok_or("a repetition has no end")?;
                let (times, bytes) = inner.split_once('*').ok_or("a repetition has no number")?;
                let mut once = Vec::new();
                unescape(bytes, &mut once)?;
                out.extend(once.repeat(times.parse().map_err(|_| "not a number of times")?));
                rest = behind;
            }
            _ => return Err("an unknown escape"),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

#[test]
fn cases_are_read_as_they_are_written() {
    let text = "# a comment\n== a case\nrfc 9112 6\n> a\\r\\n\n> \\x00\\{3*b\\t}\\\\\n! end\n< 100\n< 404 no-body open x y\n\
                why Because.\n\n== other\n< nothing\n";
    let cases = parse(Path::new("/x/file.txt"), text);
    assert_eq!(cases.len(), 2);
    assert_eq!((cases[0].name.as_str(), cases[0].rfc.as_str()), ("file: a case", "9112 6"));
    assert_eq!((cases[1].name.as_str(), cases[0].why.as_str()), ("file: other", "Because."));
    let found = Expected { status: 404, has_body: false, then: Then::Open, words: "x y".to_owned() };
    let interim = Expected { status: 100, has_body: false, then: Then::Steps, words: String::new() };
    let sent = Step::Send(b"a\r\n\0b\tb\tb\t\\".to_vec());
    assert_eq!(cases[0].steps, [sent, Step::End, Step::Answer(interim), Step::Answer(found)]);
    assert_eq!(cases[1].steps, [Step::Nothing]);
}
