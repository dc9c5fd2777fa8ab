//! The request head: request line and header fields, borrowed from the receive buffer.
//!
//! Guarantees: no allocation; the cost is one pass over the head; a head that is accepted has exactly one reading.
//! Method, target and the values of headers that the server reads in most requests are valid UTF-8, every header name
//! is a token, no value holds a control character except tab, and the body length follows from RFC 9112 section 6.3
//! without guessing. Other values may be opaque bytes (RFC 9110 section 5.5): their lines are passed over.
//!
//! How:
//! 1. skip at most [`LEADING_LINES_MAX`] empty lines (RFC 9112 section 2.2: left-overs of an earlier request);
//! 2. request line: method token, one space, target, one space, version, CRLF;
//! 3. header lines until the empty line. Names go through a byte table (they are short), values through a scan that
//!    looks at eight bytes at a time for control characters (they are long);
//! 4. the few headers that decide framing are judged while they pass, the few that every route asks for are
//!    remembered by offset, the rest can be found again by walking the lines, which are known to be well formed.
//!
//! A line that is not complete ends the parse with `Ok(None)`, or with 414/431 when the bound of the head is reached.

use super::error::{HeadError, refuse};
use super::scan::{find_below, is_token, line_end, parse_decimal};
use super::target::{is_host, split_target};

/// Empty lines tolerated before the request line; a client that sends more is not speaking HTTP.
const LEADING_LINES_MAX: usize = 4;

/// The longest method name read before giving up; the registered ones end at 17 bytes (UPDATEREDIRECTREF).
const METHOD_BYTES_MAX: usize = 32;

/// Bounds on one request head. Both protect memory and time per connection: a head is kept whole in the receive
/// buffer, and it is read again from its start when more bytes of it arrive.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes from the first byte of the request line to the empty line; above it 431 (414 in the request line).
    pub head_bytes_max: usize,
    /// Most header lines; above it 431.
    pub headers_max: usize,
}

impl Default for Limits {
    /// 1 MiB is what servers in Go take, InfluxDB among them: dashboards put statements of tens of kilobytes into URLs.
    /// More than 1024 lines would be many even behind a chain of proxies.
    fn default() -> Self {
        Limits { head_bytes_max: 1 << 20, headers_max: 1024 }
    }
}

/// Request methods that some route of the server answers; all others are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// A token that is none of the above; its spelling is in [`Head::method_text`].
    Other,
}

impl Method {
    /// The method as it is spelled; empty for one that is none of ours.
    pub fn token(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other => "",
        }
    }
}

/// Protocol version of the request. 1.2 and later minor versions read as 1.1, as RFC 9110 section 2.5 asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: closes after the reply unless the client asked for keep-alive, knows no chunked coding.
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How long the request body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Neither Content-Length nor Transfer-Encoding: the next byte belongs to the next request.
    None,
    /// Content-Length
    Length(u64),
    /// Transfer-Encoding: chunked
    Chunked,
}

/// Headers that the server looks at in most requests; the parser remembers where the first line of each stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Host,
    Accept,
    Expect,
    Connection,
    RequestId,
    ContentType,
    XRequestId,
    Authorization,
    ContentLength,
    AcceptEncoding,
    ContentEncoding,
    TransferEncoding,
}

const KNOWN_COUNT: usize = 12;
const _: () = assert!(Known::TransferEncoding as usize + 1 == KNOWN_COUNT);

impl Known {
    /// Length and first letter leave one candidate, so most names cost no comparison.
    #[inline]
    fn of(name: &[u8]) -> Option<Known> {
        let first = name.first()? | 0x20;
        let (known, spelling): (Known, &[u8]) = match (name.len(), first) {
            (4, b'h') => (Known::Host, b"host"),
            (6, b'a') => (Known::Accept, b"accept"),
            (6, b'e') => (Known::Expect, b"expect"),
            (10, b'c') => (Known::Connection, b"connection"),
            (10, b'r') => (Known::RequestId, b"request-id"),
            (12, b'c') => (Known::ContentType, b"content-type"),
            (12, b'x') => (Known::XRequestId, b"x-request-id"),
            (13, b'a') => (Known::Authorization, b"authorization"),
            (14, b'c') => (Known::ContentLength, b"content-length"),
            (15, b'a') => (Known::AcceptEncoding, b"accept-encoding"),
            (16, b'c') => (Known::ContentEncoding, b"content-encoding"),
            (17, b't') => (Known::TransferEncoding, b"transfer-encoding"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(spelling).then_some(known)
    }
}

/// Offsets into the head. `u32` because a head is bounded far below 4 GiB and the table stays in two cache lines.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// No header: a value can never begin at offset 0, where the method stands.
    const ABSENT: Span = Span { start: 0, end: 0 };

    fn new(start: usize, end: usize) -> Span {
        // `parse_head` never looks past `HEAD_BYTES_CAP`, which fits.
        Span { start: start as u32, end: end as u32 }
    }
}

/// No head may be longer than offsets can say, whatever the configured limit.
const HEAD_BYTES_CAP: usize = 1 << 24;

/// A complete request head.
#[derive(Clone, Debug)]
pub struct Head<'b> {
    /// The method.
    pub method: Method,
    /// The method as spelled by the client.
    pub method_text: &'b str,
    /// The path, percent-encoded as it came; begins with `/`, except `*` of `OPTIONS *`.
    pub path: &'b str,
    /// What follows the `?`, empty without one.
    pub query: &'b str,
    /// The authority of an absolute-form target, else the Host header; empty when neither is there (HTTP/1.0).
    pub host: &'b str,
    /// Protocol version.
    pub version: Version,
    /// Bytes of the head: the body begins here.
    pub length: usize,
    /// Length of the body.
    pub body: BodyLength,
    /// Whether the connection stays open after the reply.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    bytes: &'b [u8],
    headers_start: u32,
    known: [Span; KNOWN_COUNT],
}

impl<'b> Head<'b> {
    /// The first header line with this name (any case) whose value is text, without the blanks around it.
    pub fn header(&self, name: &str) -> Option<&'b str> {
        match Known::of(name.as_bytes()) {
            Some(known) => self.known(known),
            None => self.headers().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value),
        }
    }

    /// The header lines whose value is text, in the order they came.
    pub fn headers(&self) -> Headers<'b> {
        Headers { lines: self.lines() }
    }

    /// Whether a line of this name (any case) has a value that is not UTF-8, so that [`Self::header`] passes it over.
    pub fn has_opaque(&self, name: &str) -> bool {
        self.lines().any(|(header, value)| header.eq_ignore_ascii_case(name) && std::str::from_utf8(value).is_err())
    }

    fn lines(&self) -> Lines<'b> {
        Lines { rest: self.bytes.get(self.headers_start as usize..).unwrap_or(&[]) }
    }

    fn known(&self, known: Known) -> Option<&'b str> {
        let span = self.known.get(known as usize)?;
        let value = if span.start == 0 { None } else { self.bytes.get(span.start as usize..span.end as usize) };
        // The parser has let only text through.
        value.and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// Iterator over the header lines of a [`Head`] as (name, value); those whose value is not text are passed over.
#[derive(Clone, Debug)]
pub struct Headers<'b> {
    lines: Lines<'b>,
}

impl<'b> Iterator for Headers<'b> {
    type Item = (&'b str, &'b str);

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.find_map(|(name, value)| Some((name, std::str::from_utf8(value).ok()?)))
    }
}

/// Iterator over all header lines.
#[derive(Clone, Debug)]
struct Lines<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Lines<'b> {
    type Item = (&'b str, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // The parser has seen every line: a name, a colon, a value, CRLF, and an empty line at the end.
        let colon = memchr::memchr2(b':', b'\r', self.rest).filter(|at| self.rest[*at] == b':')?;
        let (name, value) = (std::str::from_utf8(&self.rest[..colon]).ok()?, &self.rest[colon + 1..]);
        let end = memchr::memchr(b'\r', value)?;
        self.rest = value.get(end + 2..).unwrap_or(&[]);
        Some((name, trim_blanks(&value[..end])))
    }
}

/// Without spaces and tabs at both ends.
fn trim_blanks(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Reads a request head from the start of `bytes`. `Ok(None)`: all right so far, more bytes are needed.
///
/// Mistakes are reported as soon as they are seen, also in a head that is not complete yet.
pub fn parse_head<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Option<Head<'b>>, HeadError> {
    let window_max = limits.head_bytes_max.min(HEAD_BYTES_CAP);
    let window = bytes.get(..window_max).unwrap_or(bytes);
    let mut stage = Stage::RequestLine;
    match Parser::new(window, limits.headers_max).run(&mut stage)? {
        Some(head) => Ok(Some(head)),
        None if window.len() < window_max => Ok(None),
        None => match stage {
            Stage::RequestLine => refuse(414, "request line too long"),
            Stage::Headers => refuse(431, "request head too large"),
        },
    }
}

/// Where the parse stood when the bytes ran out: tells 414 from 431.
enum Stage {
    RequestLine,
    Headers,
}

struct Parser<'b> {
    bytes: &'b [u8],
    headers_max: usize,
    known: [Span; KNOWN_COUNT],
    content_length: Option<u64>,
    transfer: Transfer,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
}

/// What the Transfer-Encoding lines said so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Absent,
    /// `chunked` was the last coding named; nothing may follow.
    Chunked {
        alone: bool,
    },
    /// Codings other than `chunked` so far.
    Other,
}

struct RequestLine<'b> {
    method: &'b [u8],
    target: &'b [u8],
    version: Version,
    end: usize,
}

impl<'b> Parser<'b> {
    fn new(bytes: &'b [u8], headers_max: usize) -> Self {
        Parser {
            bytes,
            headers_max,
            known: [Span::ABSENT; KNOWN_COUNT],
            content_length: None,
            transfer: Transfer::Absent,
            close: false,
            keep_alive: false,
            expect_continue: false,
        }
    }

    fn run(mut self, stage: &mut Stage) -> Result<Option<Head<'b>>, HeadError> {
        let Some(start) = self.leading_lines()? else { return Ok(None) };
        let Some(line) = self.request_line(start)? else { return Ok(None) };
        *stage = Stage::Headers;
        let headers_start = line.end;
        let Some(length) = self.header_lines(headers_start, line.version)? else { return Ok(None) };

        let Ok(method_text) = std::str::from_utf8(line.method) else { return refuse(400, "bad method") };
        let Ok(target) = std::str::from_utf8(line.target) else { return refuse(400, "request target is not UTF-8") };
        let target = split_target(target, method_text)?;
        let method = method_of(line.method);
        let mut head = Head {
            method,
            method_text,
            path: target.path,
            query: target.query,
            host: "",
            version: line.version,
            length,
            body: self.body_length(line.version)?,
            keep_alive: !self.close && (line.version == Version::Http11 || self.keep_alive),
            expect_continue: self.expect_continue,
            bytes: &self.bytes[..length],
            headers_start: headers_start as u32,
            known: self.known,
        };
        let host = head.known(Known::Host);
        if host.is_none() && line.version == Version::Http11 {
            return refuse(400, "missing Host header");
        }
        head.host = target.authority.or(host).unwrap_or("");
        Ok(Some(head))
    }

    /// Index of the first byte of the request line.
    fn leading_lines(&self) -> Result<Option<usize>, HeadError> {
        for line in 0..=LEADING_LINES_MAX {
            let at = line * 2;
            match (self.bytes.get(at), self.bytes.get(at + 1)) {
                (Some(b'\r'), Some(b'\n')) => {}
                (Some(b'\r'), Some(_)) => return refuse(400, "CR without LF"),
                (None, _) | (Some(b'\r'), None) => return Ok(None),
                (Some(_), _) => return Ok(Some(at)),
            }
        }
        refuse(400, "too many empty lines before the request")
    }

    fn request_line(&self, start: usize) -> Result<Option<RequestLine<'b>>, HeadError> {
        let bytes = self.bytes;
        let mut at = start;
        let method_end = loop {
            match bytes.get(at) {
                None => return Ok(None),
                Some(&byte) if is_token(byte) => at += 1,
                Some(b' ') if at > start => break at,
                Some(_) => return refuse(400, "bad method"),
            }
            if at - start > METHOD_BYTES_MAX {
                return refuse(501, "method too long");
            }
        };
        let target_start = method_end + 1;
        // A byte at or below space, or DEL, ends the target.
        let target_end = find_below::<0x21>(bytes, target_start);
        match bytes.get(target_end) {
            None => return Ok(None),
            Some(b' ') if target_end > target_start => {}
            Some(b'\r' | b'\n') => return refuse(400, "request line without version"),
            Some(_) => return refuse(400, "bad request target"),
        }
        let version_start = target_end + 1;
        let Some(end) = line_end(bytes, version_start)? else { return Ok(None) };
        let version = match &bytes[version_start..end] {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                if *major != b'1' {
                    return refuse(505, "HTTP version not supported");
                }
                Version::Http11
            }
            _ => return refuse(400, "bad HTTP version"),
        };
        Ok(Some(RequestLine {
            method: &bytes[start..method_end],
            target: &bytes[target_start..target_end],
            version,
            end: end + 2,
        }))
    }

    /// Reads the lines up to the empty one and returns the index after it.
    fn header_lines(&mut self, start: usize, version: Version) -> Result<Option<usize>, HeadError> {
        let bytes = self.bytes;
        let mut line_start = start;
        let mut count = 0;
        loop {
            let mut at = line_start;
            let name_end = loop {
                match bytes.get(at) {
                    None => return Ok(None),
                    Some(&byte) if is_token(byte) => at += 1,
                    Some(b':') if at > line_start => break at,
                    Some(b'\r') if at == line_start => {
                        return match bytes.get(at + 1) {
                            None => Ok(None),
                            Some(b'\n') => Ok(Some(at + 2)),
                            Some(_) => refuse(400, "CR without LF"),
                        };
                    }
                    Some(_) => return refuse(400, bad_name(bytes, line_start, at)),
                }
            };
            count += 1;
            if count > self.headers_max {
                return refuse(431, "too many header fields");
            }
            let mut value_start = name_end + 1;
            while let Some(b' ' | b'\t') = bytes.get(value_start) {
                value_start += 1;
            }
            let Some(end) = line_end(bytes, value_start)? else { return Ok(None) };
            let mut value_end = end;
            while value_end > value_start && matches!(bytes[value_end - 1], b' ' | b'\t') {
                value_end -= 1;
            }
            if let Some(known) = Known::of(&bytes[line_start..name_end]) {
                self.judge(known, Span::new(value_start, value_end), version)?;
            }
            line_start = end + 2;
        }
    }

    fn judge(&mut self, known: Known, span: Span, version: Version) -> Result<(), HeadError> {
        let value = &self.bytes[span.start as usize..span.end as usize];
        if std::str::from_utf8(value).is_err() {
            return refuse(400, "a header that is read is not UTF-8");
        }
        let first = self.known[known as usize].start == 0;
        match known {
            Known::ContentLength => self.content_length(value)?,
            Known::TransferEncoding => self.transfer_encoding(value)?,
            Known::Connection => {
                for token in list(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            // An HTTP/1.0 client cannot mean it (RFC 9110 section 10.1.1).
            Known::Expect if version == Version::Http10 => {}
            Known::Expect => {
                for token in list(value).filter(|token| !token.is_empty()) {
                    if !token.eq_ignore_ascii_case(b"100-continue") {
                        return refuse(417, "unknown expectation");
                    }
                    self.expect_continue = true;
                }
            }
            // Who asks, and how the body is to be read, must not depend on which of two lines somebody looks at.
            Known::Authorization if !first => return refuse(400, "more than one Authorization header"),
            Known::ContentType if !first => return refuse(400, "more than one Content-Type header"),
            Known::Host => {
                if !first {
                    return refuse(400, "more than one Host header");
                }
                if !is_host(value) {
                    return refuse(400, "bad Host header");
                }
            }
            _ => {}
        }
        if first {
            self.known[known as usize] = span;
        }
        Ok(())
    }

    /// RFC 9112 section 6.3 rule 5: a list of equal numbers is one number, anything else is an attack or a fault.
    fn content_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for text in value.split(|&byte| byte == b',') {
            let text = text.trim_ascii();
            let Some(length) = parse_decimal(text) else {
                return if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
                    refuse(413, "Content-Length too large")
                } else {
                    refuse(400, "bad Content-Length")
                };
            };
            if self.content_length.is_some_and(|earlier| earlier != length) {
                return refuse(400, "differing Content-Length headers");
            }
            self.content_length = Some(length);
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for token in list(value) {
            if token.is_empty() {
                return refuse(400, "bad Transfer-Encoding");
            }
            self.transfer = match self.transfer {
                Transfer::Chunked { .. } => return refuse(400, "chunked is not the last transfer coding"),
                before if token.eq_ignore_ascii_case(b"chunked") => {
                    Transfer::Chunked { alone: before == Transfer::Absent }
                }
                _ => Transfer::Other,
            };
        }
        Ok(())
    }

    fn body_length(&self, version: Version) -> Result<BodyLength, HeadError> {
        match (self.transfer, self.content_length) {
            (Transfer::Absent, None) => Ok(BodyLength::None),
            (Transfer::Absent, Some(length)) => Ok(BodyLength::Length(length)),
            (_, Some(_)) => refuse(400, "Content-Length together with Transfer-Encoding"),
            _ if version == Version::Http10 => refuse(400, "Transfer-Encoding in an HTTP/1.0 request"),
            (Transfer::Chunked { alone: true }, None) => Ok(BodyLength::Chunked),
            (Transfer::Chunked { alone: false }, None) => refuse(501, "transfer coding not supported"),
            (Transfer::Other, None) => refuse(400, "chunked is not the last transfer coding"),
        }
    }
}

/// The members of a comma-separated header value, without blanks.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// The reason to give when the byte at `at` cannot stand in the header name that began at `line_start`.
#[cold]
fn bad_name(bytes: &[u8], line_start: usize, at: usize) -> &'static str {
    match bytes.get(at) {
        Some(b' ' | b'\t') if at == line_start => "folded header line",
        Some(b' ' | b'\t') => "blank before the colon of a header",
        Some(b':') => "empty header name",
        Some(b'\n') => "LF without CR",
        _ => "bad header name",
    }
}

fn method_of(text: &[u8]) -> Method {
    match text {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        _ => Method::Other,
    }
}
