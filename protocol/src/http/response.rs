//! Writing replies: status line, headers, `Date`, the end of the head, chunks.
//!
//! [`ResponseHead`] appends to the connection's send buffer line by line, so a reply costs no allocation of its
//! own. A head ends with [`ResponseHead::finish`], which states how long the body is; there is no way to leave that
//! out. Text that came from a client can stand in a header value: control characters in it become spaces, so it
//! cannot start a header of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The interim reply to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How the receiver finds the end of the reply's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The body has this many bytes.
    Length(u64),
    /// The body is sent with [`write_chunk`] and ends with [`write_last_chunk`].
    Chunked,
    /// The body ends with the connection: for a streamed reply to HTTP/1.0, which knows no chunks.
    UntilClose,
}

/// A reply's head under construction in a send buffer.
#[must_use = "a head ends with finish()"]
pub struct ResponseHead<'o> {
    out: &'o mut Vec<u8>,
    status: u16,
}

impl<'o> ResponseHead<'o> {
    /// Appends the status line.
    pub fn new(out: &'o mut Vec<u8>, status: u16) -> Self {
        out.reserve(256);
        if status == 200 {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        } else {
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
            out.push(b' ');
            out.extend_from_slice(reason_phrase(status).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        ResponseHead { out, status }
    }

    /// Appends one header. Control characters in `value` become spaces.
    pub fn header(self, name: &str, value: &str) -> Self {
        debug_assert!(name.bytes().all(super::scan::is_token) && !name.is_empty(), "header name {name:?}");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        self.out.extend_from_slice(value.as_bytes());
        for byte in &mut self.out[start..] {
            if *byte < 0x20 || *byte == 0x7f {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends `Content-Type`.
    pub fn content_type(self, value: &str) -> Self {
        self.header("Content-Type", value)
    }

    /// Appends `Date` for the present second.
    pub fn date(self, dates: &mut DateCache, now: SystemTime) -> Self {
        self.out.extend_from_slice(b"Date: ");
        self.out.extend_from_slice(dates.text(now).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends `Connection: close`.
    pub fn close(self) -> Self {
        self.out.extend_from_slice(b"Connection: close\r\n");
        self
    }

    /// Ends the head. Replies that have no body by definition (1xx, 204, 304) get no length (RFC 9110 section 8.6).
    pub fn finish(self, framing: Framing) {
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        match framing {
            _ if bodiless => {}
            Framing::Length(length) => {
                self.out.extend_from_slice(b"Content-Length: ");
                self.out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::UntilClose => {}
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends one chunk. Nothing for empty data: an empty chunk would end the body.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    // Sixteen hex digits hold any length; the leading zeros are skipped.
    let mut digits = [0; 16];
    let mut first = digits.len();
    let mut rest = data.len();
    while rest > 0 {
        first -= 1;
        digits[first] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.reserve(data.len() + digits.len() + 4);
    out.extend_from_slice(&digits[first..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body.
pub fn write_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// The text of the `Date` header, made once a second.
#[derive(Debug, Default)]
pub struct DateCache {
    second: u64,
    text: String,
}

impl DateCache {
    /// `now` as an IMF-fixdate, `Sat, 08 Oct 2022 06:59:38 GMT`.
    pub fn text(&mut self, now: SystemTime) -> &str {
        // A clock set before 1970 or past 9999 must not take the server down: httpdate would panic beyond it.
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(SECOND_MAX);
        if self.second != second || self.text.is_empty() {
            self.text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            self.second = second;
        }
        &self.text
    }
}

/// The last second of the year 9999, the last that the `Date` format can say.
const SECOND_MAX: u64 = 253_402_300_799;

/// The reason phrase of a status code; empty for one that is not registered.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Entity",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}
