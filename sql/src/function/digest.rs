//! Digests of text, as text in hexadecimal: MD5 and the SHA-2 family.

use std::fmt::Write as _;

use arrow_array::ArrayRef;
use md5::Md5;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::definition::Parameter::Text;
use super::definition::{Documentation, Function, Signature};
use super::rows::{rows_of, text_at, text_rows, texts};
use crate::error::execution::{ExecError, Result};
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};

/// Digits of the longest digest.
const DIGITS_MAX: usize = 2 * 64;

const fn text(name: &'static str, kernel: fn(&[ArrayRef]) -> Result<ArrayRef>) -> ScalarFunction {
    ScalarFunction::new(name, Returns::Text, Kernel::Columns(kernel)).making(|args| rows_of(args) * DIGITS_MAX)
}

macro_rules! digest {
    ($name:literal, $usage:literal, $text:literal, $of:ty) => {
        Function::of(
            Documentation::new($name, $usage, $text),
            Signature::of(&[Text]),
            text($name, |args| {
                let columns = texts(args, 0)?;
                text_rows(rows_of(args), |row, made| Ok(text_at(&columns, row).map(|text| append::<$of>(text, made))))
            }),
        )
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    digest!("md5", "md5(text)", "MD5 of the text's bytes, 32 hexadecimal digits.", Md5),
    digest!("sha224", "sha224(text)", "SHA-224 of the text's bytes, 56 hexadecimal digits.", Sha224),
    digest!("sha256", "sha256(text)", "SHA-256 of the text's bytes, 64 hexadecimal digits.", Sha256),
    digest!("sha384", "sha384(text)", "SHA-384 of the text's bytes, 96 hexadecimal digits.", Sha384),
    digest!("sha512", "sha512(text)", "SHA-512 of the text's bytes, 128 hexadecimal digits.", Sha512),
    Function::of(
        Documentation::new(
            "digest",
            "digest(text, method)",
            "The digest of that name, `md5`, `sha224`, `sha256`, `sha384` or `sha512`, in hexadecimal digits.",
        ),
        Signature::of(&[Text, Text]),
        text("digest", of_method).failing(),
    ),
];

/// Appends the digest of `text`.
fn append<D: Digest>(text: &str, made: &mut String) {
    for byte in D::digest(text.as_bytes()) {
        // Writing to a string does not fail.
        let _ = write!(made, "{byte:02x}");
    }
}

fn of_method(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (columns, methods) = (texts(args, 0)?, texts(args, 1)?);
    text_rows(rows_of(args), |row, made| {
        let (Some(text), Some(method)) = (text_at(&columns, row), text_at(&methods, row)) else { return Ok(None) };
        match method.to_ascii_lowercase().as_str() {
            "md5" => append::<Md5>(text, made),
            "sha224" => append::<Sha224>(text, made),
            "sha256" => append::<Sha256>(text, made),
            "sha384" => append::<Sha384>(text, made),
            "sha512" => append::<Sha512>(text, made),
            _ => {
                return Err(ExecError::Execution(format!(
                    "digest: the method {method:?} is not known; there are md5, sha224, sha256, sha384 and sha512"
                )));
            }
        }
        Ok(Some(()))
    })
}
