//! Content codings: their names, and the choice of one for a reply.

use super::head::Head;

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// No coding.
    Identity,
    /// gzip
    Gzip,
    /// deflate. Written in the zlib format, as RFC 9110 defines it; read with or without that wrapper.
    Deflate,
    /// br
    Brotli,
    /// zstd
    Zstd,
    /// snappy, in the framing format. Not registered with IANA, but CnosDB speaks it.
    Snappy,
}

/// A content coding that the server does not know, or several on top of each other; 415.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no content encoding {token:?}")]
pub struct UnknownEncoding {
    /// What the client said.
    pub token: String,
}

impl Encoding {
    /// The name in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
            Encoding::Snappy => "snappy",
        }
    }

    /// From a name in any case.
    pub fn from_token(token: &str) -> Option<Encoding> {
        const ALL: [Encoding; 6] =
            [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd, Encoding::Snappy];
        if token.eq_ignore_ascii_case("x-gzip") {
            // RFC 9110 section 8.4.1.3 asks to treat it so.
            return Some(Encoding::Gzip);
        }
        ALL.into_iter().find(|encoding| token.eq_ignore_ascii_case(encoding.token()))
    }

    /// From the value of a `Content-Encoding` header: one coding, besides which `identity` may stand.
    pub fn from_content_encoding(value: &str) -> Result<Encoding, UnknownEncoding> {
        let mut encoding = Encoding::Identity;
        for token in value.split(',').map(|token| token.trim_matches([' ', '\t'])).filter(|token| !token.is_empty()) {
            let found = Encoding::from_token(token);
            match found {
                Some(Encoding::Identity) => {}
                Some(found) if encoding == Encoding::Identity => encoding = found,
                _ => return Err(UnknownEncoding { token: value.to_owned() }),
            }
        }
        Ok(encoding)
    }
}

impl Head<'_> {
    /// The coding of the request body, from all `Content-Encoding` lines.
    pub fn content_encoding(&self) -> Result<Encoding, UnknownEncoding> {
        if self.header("content-encoding").is_none() {
            return Ok(Encoding::Identity);
        }
        let values: Vec<&str> = self
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"))
            .map(|(_, value)| value)
            .collect();
        Encoding::from_content_encoding(&values.join(", "))
    }
}

/// Weight of a coding in thousandths.
const FULL_WEIGHT: u16 = 1000;

/// Chooses the coding of a reply from the value of `Accept-Encoding` (RFC 9110 section 12.5.3).
///
/// The highest weight wins, and of equal weights the one that the client names first. `*` stands for gzip where gzip
/// is not named, since everything reads that. Identity is acceptable unless excluded, as the last resort. `None`: the
/// client accepts nothing that the server can send (406). Members that do not parse are passed over.
pub fn negotiate(accept_encoding: &str) -> Option<Encoding> {
    let mut best: Option<(u16, Encoding)> = None;
    let mut named = Vec::new();
    let mut wildcard = None;
    let mut consider = |weight: u16, encoding| {
        if weight > 0 && best.is_none_or(|(best, _)| weight > best) {
            best = Some((weight, encoding));
        }
    };
    for member in accept_encoding.split(',') {
        let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
        let token = parts.next().unwrap_or("");
        let Some(weight) = parts.try_fold(FULL_WEIGHT, |_, part| weight(part)) else { continue };
        if token == "*" {
            wildcard = Some(weight);
        } else if let Some(encoding) = Encoding::from_token(token) {
            named.push(encoding);
            consider(weight, encoding);
        }
    }
    if let Some(weight) = wildcard.filter(|_| !named.contains(&Encoding::Gzip)) {
        consider(weight, Encoding::Gzip);
    }
    let identity_excluded = wildcard == Some(0) || named.contains(&Encoding::Identity);
    best.map(|(_, encoding)| encoding).or((!identity_excluded).then_some(Encoding::Identity))
}

/// `q=0.5` in thousandths: at most one digit before the point and three after it, at most 1.
fn weight(parameter: &str) -> Option<u16> {
    let text = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL_WEIGHT),
        _ => None,
    }
}
