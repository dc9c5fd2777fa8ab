//! Passwords: made into hashes and compared with them.
//!
//! Argon2id with the parameters that the crate takes from OWASP's recommendations (19 MiB, two passes, one lane), a
//! salt of its own for each hash, and all of that in the hash's text, so that later builds may choose others. Either
//! way takes some 20 ms of a processor, which is what makes guessing dear; so both run on the core's thread for
//! calculations, one after the other, and never hold a core.

use std::io;

use argon2::Argon2;
use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tidewire_storage::schema::PasswordHash;

use crate::ring::calculate;

/// The hash of a password, with a new salt.
///
/// # Errors
///
/// When there is no thread, memory or chance to be had for it.
pub async fn hash(password: String) -> io::Result<PasswordHash> {
    calculate(move || hash_here(&password)).await?
}

/// Whether `password` is the one that `hash` was made of.
///
/// # Errors
///
/// When there is no thread to be had for it, or the hash is none.
pub async fn is_of(password: String, hash: PasswordHash) -> io::Result<bool> {
    calculate(move || is_of_here(&password, &hash)).await?
}

fn hash_here(password: &str) -> io::Result<PasswordHash> {
    let made: phc::PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(failed)?;
    Ok(PasswordHash::new(made.to_string()))
}

fn is_of_here(password: &str, hash: &PasswordHash) -> io::Result<bool> {
    let known = phc::PasswordHash::new(hash.reveal()).map_err(|error| io::Error::other(error.to_string()))?;
    match Argon2::default().verify_password(password.as_bytes(), &known) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: argon2::password_hash::Error) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_is_that_of_its_hash_and_no_two_hashes_are_the_same() {
        let (one, other) = (hash_here("pass wörd").unwrap(), hash_here("pass wörd").unwrap());
        assert_ne!(one.reveal(), other.reveal(), "each has a salt of its own");
        assert!(one.reveal().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.reveal());
        assert!(is_of_here("pass wörd", &one).unwrap() && is_of_here("pass wörd", &other).unwrap());
        for wrong in ["", "pass word", "pass wörd ", "Pass wörd"] {
            assert!(!is_of_here(wrong, &one).unwrap(), "{wrong:?}");
        }
        assert!(is_of_here("x", &PasswordHash::new("x")).is_err(), "what is no hash is no refusal");
    }

    #[test]
    fn a_hash_of_other_parameters_is_understood() {
        let made: phc::PasswordHash = Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            argon2::Params::new(64, 1, 1, None).unwrap(),
        )
        .hash_password(b"p")
        .unwrap();
        let hash = PasswordHash::new(made.to_string());
        assert!(is_of_here("p", &hash).unwrap() && !is_of_here("q", &hash).unwrap());
    }
}
