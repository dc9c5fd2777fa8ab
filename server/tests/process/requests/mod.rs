//! Requests that are malformed, or that two readers may read in two ways: each gets the answer of the corpus (the text
//! files in this folder), nothing of it is taken for another request, and the next request is served, on the same
//! connection where that stays open and on another always.

mod corpus;
mod log_lines;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::common::{Server, fresh_folder};
use corpus::{Case, Expected, Step, Then};

/// Fewer are not a corpus.
const CASES_MIN: usize = 150;

/// Time that a head or body may take. Cases that are half a request wait so long, all at once.
const TIMEOUT_MS: &str = "2000";

/// An answer as it came.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// One connection, on which everything that is not as it should be is an error in words.
struct Conversation {
    stream: BufReader<TcpStream>,
}

type Told<T> = Result<T, String>;

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Conversation {
    fn begin(address: &str) -> Told<Self> {
        let stream = TcpStream::connect(address).map_err(told)?;
        // Only so that a fault ends the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(told)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn answer(&mut self, has_body: bool) -> Told<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).map_err(told)? == 0 {
                return Err(format!("the connection ends after {head:?}"));
            }
        }
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| format!("{head:?}"))?;
        let value = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let mut body = Vec::new();
        if has_body {
            let length = value("content-length").ok_or_else(|| format!("no length: {head:?}"))?;
            body.resize(length.parse().map_err(told)?, 0);
            self.stream.read_exact(&mut body).map_err(told)?;
        }
        Ok(Answer { status, head, body })
    }

    /// Asks for something simple; the answer must be that to this request and no other.
    fn ping(&mut self, id: &str) -> Told<()> {
        let request = format!("GET /ping HTTP/1.1\r\nHost: t\r\nX-Request-Id: {id}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).map_err(told)?;
        let answer = self.answer(false)?;
        match answer.status == 204 && answer.head.contains(&format!("X-Request-Id: {id}\r\n")) {
            true => Ok(()),
            false => Err(format!("and then {:?}", answer.head)),
        }
    }

    fn has_ended(&mut self) -> Told<()> {
        let mut rest = Vec::new();
        // A reset says as well that nothing more comes.
        let _ = self.stream.read_to_end(&mut rest);
        match rest.is_empty() {
            true => Ok(()),
            false => Err(format!("and then {:?}", String::from_utf8_lossy(&rest))),
        }
    }

    fn step(&mut self, step: &Step, id: &str) -> Told<()> {
        match step {
            Step::Send(bytes) => {
                // One that is refused in the middle may not be wanted to its end.
                let _ = self.stream.get_mut().write_all(bytes);
                Ok(())
            }
            Step::End => self.stream.get_ref().shutdown(Shutdown::Write).map_err(told),
            Step::Nothing => self.has_ended(),
            Step::Answer(Expected { status, has_body, then, words }) => {
                let answer = self.answer(*has_body)?;
                let text = String::from_utf8_lossy(&answer.body);
                if answer.status != *status || !text.contains(words) {
                    return Err(format!("{} {text:?}", answer.status));
                }
                match then {
                    Then::Steps => Ok(()),
                    Then::Open => self.ping(id),
                    Then::Close => self.has_ended(),
                }
            }
        }
    }
}

/// What is wrong with the answer to a case, or with what comes behind it.
fn judge(address: &str, case: &Case, id: &str) -> Told<()> {
    let mut conversation = Conversation::begin(address)?;
    for step in &case.steps {
        conversation.step(step, id).map_err(|found| format!("{step:?} was expected, found {found}"))?;
    }
    Conversation::begin(address)?.ping(id).map_err(|found| format!("the next client: {found}"))
}

#[test]
fn every_request_of_the_corpus_is_answered_as_it_says_and_the_next_one_too() {
    let cases = corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/requests"));
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    let folder = fresh_folder();
    let log = folder.with_extension("log");
    let variables = [
        ("TIDEWIRE_LOG_ACCESS", "all"),
        ("TIDEWIRE_LOG_LEVEL", "debug"),
        ("TIDEWIRE_HTTP_HEAD_TIMEOUT_MS", TIMEOUT_MS),
        ("TIDEWIRE_HTTP_BODY_TIMEOUT_MS", TIMEOUT_MS),
    ];
    let server = Server::start_logged(&log, &folder, true, &variables);
    let (mut halves, mut whole) = (Vec::new(), Vec::new());
    for (number, case) in cases.iter().enumerate() {
        assert!(!case.rfc.is_empty() && !case.why.is_empty(), "{}: by which rule, and why?", case.name);
        let is_end = |step: &Step| match step {
            Step::Answer(expected) => expected.then != Then::Steps,
            Step::Nothing => true,
            Step::Send(_) | Step::End => false,
        };
        assert!(case.steps.iter().position(is_end) == Some(case.steps.len() - 1), "{}: how does it end?", case.name);
        let waits = case.steps.iter().any(|step| matches!(step, Step::Answer(expected) if expected.status == 408));
        (if waits { &mut halves } else { &mut whole }).push((case, format!("after-{number}")));
    }
    let address = server.address.as_str();
    let judged = |(case, id): &(&Case, String)| {
        judge(address, case, id).err().map(|found| format!("{} (RFC {}): {found}", case.name, case.rfc))
    };
    let mut wrong: Vec<String> = whole.iter().filter_map(judged).collect();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = halves.iter().map(|half| scope.spawn(move || judged(half))).collect();
        wrong.extend(waiting.into_iter().filter_map(|half| half.join().expect("a case that does not panic")));
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    // What stands in bodies and behind refused heads is no request.
    let tables = server.sql("public", "SHOW TABLES").text();
    assert!(!tables.contains("smuggled"), "{tables}");
    assert_eq!(server.metric("tidewire_panics_total", ""), 0.0);
    server.terminate();
    log_lines::check(&log);
}
