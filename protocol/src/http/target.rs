//! The request target: what of it is host, path and query (RFC 9112 section 3.2).

use super::error::{HeadError, refuse};
use super::scan::{find_below, is_token};

/// A target taken apart.
pub(super) struct Target<'b> {
    pub(super) path: &'b str,
    pub(super) query: &'b str,
    /// Of the absolute form only.
    pub(super) authority: Option<&'b str>,
}

/// Splits origin-form, absolute-form and asterisk-form targets (RFC 9112 section 3.2).
pub(super) fn split_target<'b>(target: &'b str, method: &str) -> Result<Target<'b>, HeadError> {
    if target.contains('#') {
        return refuse(400, "fragment in the request target");
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target { path: target, query: "", authority: None });
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        if method == "CONNECT" && is_host(target.as_bytes()) {
            return refuse(501, "the server is no tunnel");
        }
        let Some((scheme, rest)) = target.split_once("://") else {
            return refuse(400, "bad request target");
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return refuse(400, "bad request target");
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // An http URI has a host (RFC 9110 section 4.2.1), where a Host header may be empty.
        if authority.is_empty() || authority.starts_with(':') || !is_host(authority.as_bytes()) {
            return refuse(400, "bad authority in the request target");
        }
        (Some(authority), rest)
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // `http://host?x` names the root, as `http://host/?x` does.
    Ok(Target { path: if path.is_empty() { "/" } else { path }, query, authority })
}

/// Whether this is `host[:port]` (RFC 3986 section 3.2): a name, which may be empty, or an IP literal in brackets, and
/// digits behind the colon. No `@`: credentials in an http authority are a phishing device (RFC 9110 section 4.2.4).
pub(super) fn is_host(text: &[u8]) -> bool {
    let (is_name, port) = match text {
        [b'[', literal @ ..] => {
            let Some(end) = memchr::memchr(b']', literal) else { return false };
            let (literal, port) = (&literal[..end], &literal[end + 1..]);
            let (address, zone) = literal.split_at(memchr::memchr(b'%', literal).unwrap_or(end));
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            // Clients write the zone of a link-local address with and without the escape of its percent sign.
            let is_zone = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'-' | b'.' | b'_' | b'~');
            (!address.is_empty() && address.iter().all(is_address) && zone.iter().all(is_zone), port)
        }
        _ => {
            let (name, port) = text.split_at(memchr::memchr(b':', text).unwrap_or(text.len()));
            (is_name(name), port)
        }
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_name && is_port
}

/// Unreserved bytes, sub-delimiters and percent escapes.
fn is_name(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => 1,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 1,
            b'%' if matches!(text.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit)) => 3,
            _ => return false,
        };
    }
    true
}

/// The path of a head that is refused or has not arrived whole: by it the refusal finds its words. `None` where the
/// path did not arrive to its end.
pub fn path_of_refused(bytes: &[u8]) -> Option<&str> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let method = bytes[start..].iter().position(|byte| !is_token(*byte)).filter(|length| *length > 0)?;
    if bytes.get(start + method) != Some(&b' ') {
        return None;
    }
    let target = &bytes[start + method + 1..];
    let end = find_below::<0x21>(target, 0);
    let (whole, is_whole) = (&target[..end], end < target.len());
    let rest = match whole.starts_with(b"/") {
        true => whole,
        false => {
            let authority = whole.windows(3).position(|window| window == b"://")? + 3;
            // A slash behind a question mark begins no path.
            let path = whole[authority..].iter().position(|byte| matches!(byte, b'/' | b'?'))?;
            whole[authority + path..].strip_prefix(b"?").is_none().then(|| &whole[authority + path..])?
        }
    };
    let path_end = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).or(is_whole.then_some(rest.len()))?;
    std::str::from_utf8(&rest[..path_end]).ok()
}
