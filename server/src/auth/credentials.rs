//! What a request brings to say who asks.
//!
//! The first that is there counts: the parameters `u` and `p` (where the API has them, and neither is empty), then the
//! header `Authorization`, as `Bearer token`, `Token user:password` or `Basic base64(user:password)`. The word before
//! the first blank is matched in any case, as RFC 9110 has it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tidewire_protocol::http::{Head, Query};

use super::denial::Denial;

/// Bytes of a user and a password together that are looked at; what is longer is nobody's.
const PASSWORD_BYTES_MAX: usize = 1 << 10;

/// Bytes of base64 that these are.
const BASIC_BYTES_MAX: usize = PASSWORD_BYTES_MAX.div_ceil(3) * 4;

/// Padding or none: clients do both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request brings.
pub enum Credentials<'r> {
    /// A name and a password.
    Password(Cow<'r, str>, Cow<'r, str>),
    /// `user:password`, still in base64.
    Basic(&'r str),
    /// A bearer token.
    Token(&'r str),
}

/// What `Basic` decodes to.
pub struct Decoded {
    bytes: [u8; PASSWORD_BYTES_MAX + 3],
    length: usize,
}

impl Decoded {
    /// User and password of base64 text.
    pub fn new(text: &str) -> Result<Self, Denial> {
        if text.len() > BASIC_BYTES_MAX {
            return Err(Denial::Unreadable);
        }
        let mut bytes = [0; PASSWORD_BYTES_MAX + 3];
        let length = BASE64.decode_slice(text, &mut bytes).map_err(|_| Denial::Unreadable)?;
        Ok(Self { bytes, length })
    }

    /// What it says. A password may have colons, a name has none.
    pub fn pair(&self) -> Result<(&str, &str), Denial> {
        let text = std::str::from_utf8(&self.bytes[..self.length]).map_err(|_| Denial::Unreadable)?;
        text.split_once(':').ok_or(Denial::Unreadable)
    }
}

/// What a request brings. `in_url`: its API has credentials in the URL.
pub fn credentials<'r>(head: &Head<'r>, query: &Query<'r>, in_url: bool) -> Result<Credentials<'r>, Denial> {
    if in_url {
        let parameter = |name| query.get(name).map_err(|_| Denial::Unreadable);
        if let (Some(user), Some(password)) = (parameter("u")?, parameter("p")?)
            && !user.is_empty()
            && !password.is_empty()
        {
            return Ok(Credentials::Password(user, password));
        }
    }
    let header = head.header("authorization").filter(|value| !value.is_empty()).ok_or(Denial::Missing)?;
    let (scheme, value) = header.split_once(' ').ok_or(Denial::Unreadable)?;
    let (value, is) = (value.trim_start(), |known: &str| scheme.eq_ignore_ascii_case(known));
    if is("basic") {
        Ok(Credentials::Basic(value))
    } else if is("bearer") {
        Ok(Credentials::Token(value))
    } else if is("token") {
        let (user, password) = value.split_once(':').ok_or(Denial::Unreadable)?;
        Ok(Credentials::Password(Cow::Borrowed(user), Cow::Borrowed(password)))
    } else {
        Err(Denial::Unreadable)
    }
}

/// The name that a request gives although nobody asks for one.
pub fn claimed_user(head: &Head<'_>) -> Option<String> {
    match credentials(head, &Query::new(""), false).ok()? {
        Credentials::Password(user, _) => Some(user.into_owned()),
        Credentials::Basic(text) => Some(Decoded::new(text).ok()?.pair().ok()?.0.to_owned()),
        Credentials::Token(_) => None,
    }
    .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use tidewire_protocol::http::{Limits, parse_head};

    use super::*;

    fn shown(header: &str, query: &str, in_url: bool) -> String {
        let text = format!("GET /?{query} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        let head = parse_head(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let found = credentials(&head, &Query::new(head.query), in_url);
        match found {
            Ok(Credentials::Password(user, password)) => format!("{user}/{password}"),
            Ok(Credentials::Token(token)) => format!("bearer {token}"),
            Ok(Credentials::Basic(text)) => match Decoded::new(text).as_ref().map(Decoded::pair) {
                Ok(Ok((user, password))) => format!("{user}/{password}"),
                Ok(Err(denial)) => denial.to_string(),
                Err(denial) => denial.to_string(),
            },
            Err(denial) => denial.to_string(),
        }
    }

    #[test]
    fn the_first_that_is_there_counts() {
        let (unread, missing) = ("the credentials cannot be read", "credentials are missing");
        let basic = "Authorization: Basic dTpwOnE=\r\n";
        for (header, query, expected) in [
            (basic, "", "u/p:q"),
            (basic, "u=a&p=b", "a/b"),
            (basic, "u=a&p=", "u/p:q"),
            (basic, "u=a", "u/p:q"),
            ("authorization: bAsIc dTpwOnE\r\n", "", "u/p:q"),
            ("Authorization: Token u:p:q\r\n", "", "u/p:q"),
            ("Authorization: Bearer a.b.c\r\n", "", "bearer a.b.c"),
            ("Authorization: Basic dQ==\r\n", "", unread),
            ("Authorization: Basic !\r\n", "", unread),
            ("Authorization: Basic /w==\r\n", "", unread),
            ("Authorization: Basic\r\n", "", unread),
            ("Authorization: Digest x\r\n", "", unread),
            ("Authorization: Token u\r\n", "", unread),
            ("Authorization:\r\n", "", missing),
            ("", "", missing),
            ("", "u=%41&p=%20", "A/ "),
            ("", "u=%4&p=x", unread),
        ] {
            assert_eq!(shown(header, query, true), expected, "{header:?} {query:?}");
        }
        assert_eq!(shown("", "u=a&p=b", false), missing);
        let long = format!("Authorization: Basic {}\r\n", "QUFB".repeat(400));
        assert_eq!(shown(&long, "", false), unread);
    }

    #[test]
    fn a_name_is_known_although_nobody_asks() {
        let claimed = |header: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{header}\r\n");
            claimed_user(&parse_head(text.as_bytes(), &Limits::default()).unwrap().unwrap())
        };
        assert_eq!(claimed("Authorization: Basic cm9vdDo=\r\n").as_deref(), Some("root"));
        assert_eq!(claimed("Authorization: Token a:b\r\n").as_deref(), Some("a"));
        for nobody in ["", "Authorization: Basic Og==\r\n", "Authorization: Bearer x\r\n", "Authorization: x\r\n"] {
            assert_eq!(claimed(nobody), None, "{nobody:?}");
        }
    }
}
