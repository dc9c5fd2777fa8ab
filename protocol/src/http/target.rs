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
        let Some((scheme, rest)) = target.split_once("://") else {
            return refuse(400, "bad request target");
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return refuse(400, "bad request target");
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() || !authority.bytes().all(is_authority) {
            return refuse(400, "bad authority in the request target");
        }
        (Some(authority), rest)
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // `http://host?x` names the root, as `http://host/?x` does.
    Ok(Target { path: if path.is_empty() { "/" } else { path }, query, authority })
}

/// Bytes of `host[:port]`: unreserved, sub-delims, percent escapes, brackets of an IP literal, and the port's colon.
/// No `@`: credentials in an http authority are a phishing device (RFC 9110 section 4.2.4).
pub(super) fn is_authority(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b':' | b'[' | b']'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
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
            let path = whole[authority..].iter().position(|byte| *byte == b'/')?;
            &whole[authority + path..]
        }
    };
    let path_end = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).or(is_whole.then_some(rest.len()))?;
    std::str::from_utf8(&rest[..path_end]).ok()
}
