//! One attack, from connecting to the last answer. Clients of this kind block: a thread has one at a time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::corpus::{Attack, Post};
use crate::http::{Framing, ReplyHead, Target};

/// A request without an answer for so long has none.
const ANSWER_MAX: Duration = Duration::from_secs(150);
/// How long stalled connections are held, and a slow reader reads.
const HOLD: Duration = Duration::from_secs(8);
/// A large request is sent in parts: a server that refuses it may answer before it has read all of it.
const PART_BYTES: usize = 64 << 10;
const LOOK: Duration = Duration::from_millis(1);

/// What came of an attack.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Statuses of its answers.
    pub(super) statuses: Vec<u16>,
    /// Answers that were due and did not come, with what came instead.
    pub(super) missing: Option<String>,
}

/// Carries out an attack.
pub(super) fn attack(target: &Target, attack: Attack) -> Outcome {
    match attack {
        Attack::Ask(post) => ask(target, &request(target, &post), 1, false),
        Attack::HalfClosed(post) => ask(target, &request(target, &post), 1, true),
        Attack::Raw { bytes, answers } => ask(target, &bytes, answers, false),
        Attack::Leave(post) => leave(target, &request(target, &post)),
        Attack::ReadSlowly(post) => read_slowly(target, &request(target, &post)),
        Attack::Stall { connections, bytes } => stall(target, connections, &bytes),
    }
}

fn request(target: &Target, Post { path, headers, body }: &Post) -> Vec<u8> {
    let (host, length) = (&target.host, body.len());
    let mut bytes =
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target.address)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// Sends and reads all answers that are due. A connection may close after any of them, when the answer says so.
fn ask(target: &Target, bytes: &[u8], answers: usize, half_closed: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let result = connect(target).and_then(|stream| {
        let mut replies = Replies::of(stream);
        let sent = replies.send(bytes);
        if half_closed {
            replies.stream.shutdown(Shutdown::Write)?;
        }
        while outcome.statuses.len() < answers {
            match replies.next() {
                Ok((status, is_last)) => {
                    outcome.statuses.push(status);
                    if is_last {
                        return Ok(());
                    }
                }
                // What kept the request from being sent says more.
                Err(error) => return sent.and(Err(error)),
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        outcome.missing = Some(format!("{} of {answers} answers, then: {error}", outcome.statuses.len()));
    }
    outcome
}

fn leave(target: &Target, bytes: &[u8]) -> Outcome {
    let left = connect(target).and_then(|mut stream| {
        stream.write_all(bytes)?;
        stream.write_all(&b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n".repeat(300))?;
        thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    // Nothing is due to a client that does not wait.
    drop(left);
    Outcome::default()
}

fn read_slowly(target: &Target, bytes: &[u8]) -> Outcome {
    let read = connect(target).and_then(|mut stream| {
        stream.write_all(bytes)?;
        let mut some = [0; 1024];
        let begun = Instant::now();
        while begun.elapsed() < HOLD {
            thread::sleep(Duration::from_millis(100));
            if stream.read(&mut some)? == 0 {
                break;
            }
        }
        Ok(())
    });
    drop(read);
    Outcome::default()
}

fn stall(target: &Target, connections: usize, bytes: &[u8]) -> Outcome {
    let open = || {
        let mut stream = connect(target).ok()?;
        stream.write_all(bytes).ok()?;
        Some(stream)
    };
    let held: Vec<TcpStream> = std::iter::repeat_with(open).take(connections).flatten().collect();
    thread::sleep(HOLD);
    drop(held);
    Outcome::default()
}

/// The answers on one connection.
struct Replies {
    stream: TcpStream,
    pending: Vec<u8>,
}

impl Replies {
    fn of(stream: TcpStream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// Sends a request, or as much of it as is wanted.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(PART_BYTES) {
            self.stream.write_all(part)?;
            if bytes.len() > PART_BYTES {
                // Answers may come before all is sent, and must be taken for more to be.
                self.stream.set_read_timeout(Some(LOOK))?;
                match self.fill() {
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    filled => filled?,
                }
            }
        }
        Ok(())
    }

    /// Reads one answer to its end; its status, and whether it is the last of the connection.
    fn next(&mut self) -> io::Result<(u16, bool)> {
        self.stream.set_read_timeout(Some(ANSWER_MAX))?;
        loop {
            let head = loop {
                match ReplyHead::parse(&self.pending)? {
                    Some(head) => break head,
                    None => self.fill()?,
                }
            };
            self.pending.drain(..head.bytes);
            match head.body {
                Framing::None => {}
                Framing::Length(length) => self.skip(length)?,
                Framing::Chunked => while self.chunk()? > 0 {},
                Framing::UntilClose => loop {
                    self.pending.clear();
                    match self.fill() {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                        Err(error) => return Err(error),
                    }
                },
            }
            if head.status >= 200 {
                return Ok((head.status, head.close));
            }
        }
    }

    /// Reads over a chunk; its length.
    fn chunk(&mut self) -> io::Result<usize> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, format!("a chunk of size {digits:?}"));
        let length = usize::from_str_radix(digits, 16).map_err(invalid)?;
        if length > 0 {
            self.skip(length + 2)?;
        } else {
            while !self.line()?.is_empty() {}
        }
        Ok(length)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.pending[..end]).trim_end().to_owned();
                self.pending.drain(..=end);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn skip(&mut self, mut bytes: usize) -> io::Result<()> {
        loop {
            let here = bytes.min(self.pending.len());
            self.pending.drain(..here);
            bytes -= here;
            if bytes == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let start = self.pending.len();
        self.pending.resize(start + PART_BYTES, 0);
        let read = self.stream.read(&mut self.pending[start..]);
        self.pending.truncate(start + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server of one connection, which answers anything with `answer` and closes.
    fn answering(answer: &'static [u8]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::local(listener.local_addr().unwrap().port());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut some = [0; 4096];
            let _ = stream.read(&mut some).unwrap();
            stream.write_all(answer).unwrap();
        });
        target
    }

    fn outcome(answers: usize, answer: &'static [u8]) -> Outcome {
        ask(&answering(answer), b"GET / HTTP/1.1\r\n\r\n", answers, false)
    }

    #[test]
    fn whole_answers_count_and_parts_do_not() {
        let two = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(outcome(2, two), Outcome { statuses: vec![200, 204], missing: None });
        let chunked =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        assert_eq!(outcome(1, chunked), Outcome { statuses: vec![429], missing: None });
        let closing = b"HTTP/1.1 400 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(outcome(5, closing), Outcome { statuses: vec![400], missing: None }, "no more is due");
        for broken in [&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"[..], b"HTTP/1.1 200", b""] {
            let outcome = outcome(1, broken);
            assert!(outcome.missing.is_some() && outcome.statuses.is_empty(), "{outcome:?}");
        }
    }
}
