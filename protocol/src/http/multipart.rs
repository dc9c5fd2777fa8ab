//! Forms in parts (RFC 7578): names and values between lines that begin with a boundary.

use std::borrow::Cow;

use memchr::memmem;

/// Bytes of a boundary between parts, as RFC 2046 has it.
const BOUNDARY_BYTES_MAX: usize = 70;

/// The boundary that a Content-Type names, if that can be one.
pub fn boundary(content_type: &str) -> Option<&str> {
    attribute(content_type, "boundary").filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()))
}

/// `name=value` or `name="value"` among what follows a header's first word.
fn attribute<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(bare)
    })
}

/// The parts of a body that have a name, with their values. One that is cut is read as far as it goes.
pub fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<(String, Cow<'b, str>)> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let Some(mut at) = memmem::find(body, mark.as_bytes()) else { return found };
    loop {
        let begin = at + mark.len();
        let rest = body.get(begin..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return found;
        }
        // A mark stands at the beginning of a line.
        let next = format!("\n{mark}");
        let Some(length) = memmem::find(rest, next.as_bytes()) else { return found };
        let part = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        found.extend(part_of(part));
        at = begin + length + 1;
    }
}

/// Name and value of a part: lines of headers, an empty line, the value.
fn part_of(part: &[u8]) -> Option<(String, Cow<'_, str>)> {
    let (headers, value) = match memmem::find(part, b"\r\n\r\n") {
        Some(end) => (&part[..end], &part[end + 4..]),
        None => memmem::find(part, b"\n\n").map(|end| (&part[..end], &part[end + 2..]))?,
    };
    let headers = String::from_utf8_lossy(headers);
    let disposition = headers.lines().find(|line| {
        line.get(.."content-disposition:".len()).is_some_and(|key| key.eq_ignore_ascii_case("content-disposition:"))
    })?;
    Some((attribute(disposition, "name")?.to_owned(), String::from_utf8_lossy(value)))
}
