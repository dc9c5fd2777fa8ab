//! The parameters in a body of `/query`: a form as browsers send it, or one in parts, of which one may be a file.

use std::borrow::Cow;

use tidewire_protocol::http::Query;

use crate::api::context::parameter;
use crate::api::fault::Fault;

/// Bytes of a boundary between parts, as RFC 2046 has it.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Parameters.
pub(super) enum Form<'b> {
    /// `name=value&…`
    Pairs(Query<'b>),
    /// Names and values.
    Parts(Vec<(String, Cow<'b, str>)>),
}

impl<'b> Form<'b> {
    /// The parameters of a body of a type.
    pub(super) fn new(content_type: &str, body: &'b [u8]) -> Result<Self, Fault> {
        let begins =
            |known: &str| content_type.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known));
        if !begins("multipart/form-data") {
            return Ok(Self::Pairs(Query::new(body)));
        }
        let boundary = attribute(content_type, "boundary")
            .filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()))
            .ok_or_else(|| Fault::QueryParameters("no multipart boundary param in Content-Type".to_owned()))?;
        Ok(Self::Parts(parts(body, boundary)))
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &'static str) -> Result<Option<String>, Fault> {
        match self {
            Self::Pairs(pairs) => Ok(parameter(pairs, name)?.map(Cow::into_owned)),
            Self::Parts(parts) => {
                let found = parts.iter().find(|(known, _)| known == name);
                Ok(found.map(|(_, value)| value.clone().into_owned()))
            }
        }
    }
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

/// The parts that have a name.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<(String, Cow<'b, str>)> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let Some(mut at) = find(body, mark.as_bytes()) else { return found };
    loop {
        let begin = at + mark.len();
        let rest = body.get(begin..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return found;
        }
        // A mark stands at the beginning of a line.
        let next = format!("\n{mark}");
        let Some(length) = find(rest, next.as_bytes()) else { return found };
        let part = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        found.extend(part_of(part));
        at = begin + length + 1;
    }
}

/// Name and value of a part: lines of headers, an empty line, the value.
fn part_of(part: &[u8]) -> Option<(String, Cow<'_, str>)> {
    let (headers, value) = match find(part, b"\r\n\r\n") {
        Some(end) => (&part[..end], &part[end + 4..]),
        None => find(part, b"\n\n").map(|end| (&part[..end], &part[end + 2..]))?,
    };
    let headers = String::from_utf8_lossy(headers);
    let disposition = headers.lines().find(|line| {
        line.get(.."content-disposition:".len()).is_some_and(|key| key.eq_ignore_ascii_case("content-disposition:"))
    })?;
    Some((attribute(disposition, "name")?.to_owned(), String::from_utf8_lossy(value)))
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text[at..].starts_with(word) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--x-1\r\nContent-Disposition: form-data; name=\"db\"\r\n\r\nd\r\n--x-1\r\n\
                        content-disposition: form-data; name=q; filename=\"a;b.txt\"\r\n\
                        Content-Type: text/plain\r\n\r\nSHOW DATABASES;\r\n--x\r\n\r\n--x-1--\r\n";

    #[test]
    fn parts_have_names_and_values_and_a_file_is_one() {
        let form = Form::new("multipart/form-data; boundary=\"x-1\"", BODY.as_bytes()).unwrap();
        assert_eq!(form.parameter("db").unwrap().unwrap(), "d");
        assert_eq!(form.parameter("q").unwrap().unwrap(), "SHOW DATABASES;\r\n--x\r\n");
        assert_eq!(form.parameter("rp").unwrap(), None);
    }

    #[test]
    fn a_body_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
        for end in 0..BODY.len() {
            let form = Form::new("multipart/form-data; boundary=x-1", &BODY.as_bytes()[..end]).unwrap();
            assert!(form.parameter("rp").unwrap().is_none(), "{end}");
        }
        assert!(Form::new("multipart/form-data", b"").is_err());
    }

    #[test]
    fn pairs_are_those_of_a_url() {
        let form = Form::new("application/x-www-form-urlencoded; charset=utf-8", b"q=a+b%2B&db=").unwrap();
        assert_eq!(form.parameter("q").unwrap().unwrap(), "a b+");
    }
}
