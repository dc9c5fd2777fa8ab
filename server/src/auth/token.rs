//! Bearer tokens: JSON Web Tokens (RFC 7519) with a signature by HMAC and SHA-256, `HS256`, and no other.
//!
//! 1. The header must name `HS256`: what a token says of its algorithm chooses nothing here. A header with `crit` asks
//!    for what is not understood, and is refused.
//! 2. The signature is compared in constant time. Nothing of the claims is read before.
//! 3. `exp`, a number, must be there and lie ahead; `nbf`, where it is there, must not. There is no leeway: hosts have
//!    clocks that agree.
//! 4. `username` is who asks.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

/// Longer tokens are none: each is decoded in memory.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Why a token proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It does not have three parts of base64 with JSON in the first two.
    #[error("it is no JSON web token")]
    Malformed,
    /// Another algorithm than the one that is taken.
    #[error("it is signed by {0:?}, not by HS256")]
    Algorithm(String),
    /// The signature is not that of the secret.
    #[error("its signature is not that of the secret")]
    Signature,
    /// It does not say when it ends.
    #[error("it says of no time when it ends")]
    NoExpiry,
    /// It has ended.
    #[error("it has expired")]
    Expired,
    /// It has not begun.
    #[error("it is not valid yet")]
    Early,
    /// It names nobody.
    #[error("it names no user")]
    Unnamed,
    /// The name is no text.
    #[error("its user is no text")]
    NoText,
    /// It names somebody who is not there.
    #[error("it names a user who is not there")]
    UserUnknown,
}

/// The user whom a token names, which was signed with `secret` and holds at `now_s` seconds since 1970.
pub fn user_of(token: &str, secret: &[u8], now_s: f64) -> Result<String, TokenFault> {
    use TokenFault::{Algorithm, Early, Expired, Malformed, NoExpiry, NoText, Signature, Unnamed};
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Malformed)?;
    let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(Malformed)?;
    let header = object(header)?;
    match header.get("alg").and_then(Value::as_str) {
        Some("HS256") if !header.contains_key("crit") => {}
        Some("HS256") | None => return Err(Malformed),
        Some(other) => return Err(Algorithm(other.to_owned())),
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Malformed)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Signature)?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| Signature)?;
    let claims = object(claims)?;
    let expiry = claims.get("exp").and_then(Value::as_f64).ok_or(NoExpiry)?;
    if now_s >= expiry {
        return Err(Expired);
    }
    match claims.get("nbf").map(Value::as_f64) {
        None => {}
        Some(Some(begin)) if begin <= now_s => {}
        Some(Some(_)) => return Err(Early),
        Some(None) => return Err(Malformed),
    }
    match claims.get("username") {
        None => Err(Unnamed),
        Some(Value::String(name)) if name.is_empty() => Err(Unnamed),
        Some(Value::String(name)) => Ok(name.clone()),
        Some(_) => Err(NoText),
    }
}

fn object(text: &str) -> Result<Map<String, Value>, TokenFault> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    fn claimed(claims: &str) -> Result<String, TokenFault> {
        user_of(&signed(HS256, claims, SECRET), SECRET, 1_000.0)
    }

    #[test]
    fn a_token_of_the_secret_names_its_user() {
        // Made by PyJWT 2.15: jwt.encode({"username": "ann", "exp": 4102444800}, SECRET, algorithm="HS256").
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6ImFubiIsImV4cCI6NDEwMjQ0NDgwMH0\
                     .RiDM_iEe4P7mVGyn-eYFp09lNPUKfAgF1YOJHS4lc-I";
        assert_eq!(signed(HS256, r#"{"username":"ann","exp":4102444800}"#, SECRET), token);
        assert_eq!(user_of(token, SECRET, 1_000.0).as_deref(), Ok("ann"));
        assert_eq!(claimed(r#"{"username":"ann","exp":1000.5,"nbf":1000,"iat":5000}"#).as_deref(), Ok("ann"));
    }

    #[test]
    fn what_is_forged_is_refused() {
        let claims = r#"{"username":"ann","exp":4102444800}"#;
        let good = signed(HS256, claims, SECRET);
        let check = |token: &str| user_of(token, SECRET, 1_000.0);
        assert_eq!(check(&signed(HS256, claims, b"another")), Err(TokenFault::Signature));
        for algorithm in ["none", "None", "RS256", "HS384", "HS512", "ES256", "hs256"] {
            let header = format!(r#"{{"alg":"{algorithm}"}}"#);
            let signed = signed(&header, claims, SECRET);
            let (text, _) = signed.rsplit_once('.').unwrap();
            let refused = Err(TokenFault::Algorithm(algorithm.to_owned()));
            assert_eq!(check(&signed), refused);
            assert_eq!(check(&format!("{text}.")), refused);
        }
        for header in ["{}", r#"{"alg":5}"#, r#"{"alg":"HS256","crit":["x"]}"#, "[]", "x"] {
            assert_eq!(check(&signed(header, claims, SECRET)), Err(TokenFault::Malformed), "{header}");
        }
        let (text, signature) = good.rsplit_once('.').unwrap();
        assert_eq!(check(&format!("{text}.")), Err(TokenFault::Signature));
        assert_eq!(check(&format!("{text}.{}", &signature[..20])), Err(TokenFault::Signature));
        // Any character of header, claims or signature that is another one.
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert!(check(&tampered).is_err(), "{at}");
        }
        for malformed in ["", ".", "..", "a.b", "a.b.c.d", &good.replace('.', "_")] {
            assert_eq!(check(malformed), Err(TokenFault::Malformed), "{malformed:?}");
        }
        assert_eq!(check(&"a".repeat(TOKEN_BYTES_MAX + 1)), Err(TokenFault::Malformed));
    }

    #[test]
    fn claims_must_say_who_and_until_when() {
        for (claims, fault) in [
            (r#"{"username":"ann"}"#, TokenFault::NoExpiry),
            (r#"{"username":"ann","exp":"4102444800"}"#, TokenFault::NoExpiry),
            (r#"{"username":"ann","exp":null}"#, TokenFault::NoExpiry),
            (r#"{"username":"ann","exp":1000}"#, TokenFault::Expired),
            (r#"{"username":"ann","exp":-5}"#, TokenFault::Expired),
            (r#"{"username":"ann","exp":2000,"nbf":1001}"#, TokenFault::Early),
            (r#"{"username":"ann","exp":2000,"nbf":"x"}"#, TokenFault::Malformed),
            (r#"{"exp":2000}"#, TokenFault::Unnamed),
            (r#"{"username":"","exp":2000}"#, TokenFault::Unnamed),
            (r#"{"username":5,"exp":2000}"#, TokenFault::NoText),
            ("[]", TokenFault::Malformed),
        ] {
            assert_eq!(claimed(claims), Err(fault), "{claims}");
        }
    }
}
