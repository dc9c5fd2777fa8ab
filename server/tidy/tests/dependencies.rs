//! What others' packages the house is built from: their licences, where they come from, and those that it does without.
//! Decision 0010 says why this is no tool of its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than that they are named.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    // Of libFuzzer, which no program that is given to anybody has in it.
    "NCSA",
    "Unicode-3.0",
    "Zlib",
];

/// Where packages of others come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Packages that have no place here, and why.
const BANNED: [(&str, &str); 12] = [
    ("async-std", "a second runtime beside the cores"),
    ("atty", "unmaintained, and reads what it must not"),
    ("aws-lc-sys", "needs CMake and builds three times as long as ring"),
    ("failure", "unmaintained"),
    ("git2", "C where nothing needs it"),
    ("native-tls", "TLS is that of rustls alone"),
    ("openssl-sys", "TLS is that of rustls alone"),
    ("reqwest", "a second runtime beside the cores"),
    ("serde_yaml", "unmaintained"),
    ("time", "times are those of jiff"),
    ("tokio", "a second runtime beside the cores"),
    ("webpki-roots", "roots are those that the operator names"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// The packages that cargo knows of the workspace.
#[expect(clippy::unwrap_used, reason = "a workspace that cannot be read fails the test")]
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline"]).current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    // A reader that found nothing would find nothing wrong either.
    assert!(packages.len() > 200, "{} packages", packages.len());
    packages
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// Whether an expression of SPDX can be met with licences that are allowed. `a/b` is what `a OR b` was once.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let allowed = any(&words, &mut at);
    allowed && at == words.len()
}

/// `all OR all OR …`
fn any(words: &[&str], at: &mut usize) -> bool {
    let mut found = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        found |= all(words, at);
    }
    found
}

/// `one AND one AND …`
fn all(words: &[&str], at: &mut usize) -> bool {
    let mut found = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        found &= one(words, at);
    }
    found
}

/// A licence, with its exception if it has one, or an expression in brackets.
fn one(words: &[&str], at: &mut usize) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let inner = any(words, at);
        let is_closed = words.get(*at) == Some(&")");
        *at += 1;
        return inner && is_closed;
    }
    match (words.get(*at), words.get(*at + 1)) {
        (Some(&"WITH"), Some(exception)) => {
            *at += 2;
            LICENCES.contains(&format!("{word} WITH {exception}").as_str())
        }
        _ => LICENCES.contains(&word),
    }
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let licence = |package: &Value| package["license"].as_str().unwrap_or_default().to_owned();
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !is_allowed(&licence(package)))
        .map(|package| format!("{}: {:?}", name(package), licence(package)))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_package_is_ours_or_of_the_registry() {
    let is_ours = |package: &Value| {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        package["source"].is_null() && Path::new(manifest).starts_with(root())
    };
    let others: Vec<String> = packages()
        .iter()
        .filter(|package| !is_ours(package) && package["source"].as_str() != Some(REGISTRY))
        .map(|package| format!("{}: {}", name(package), package["source"]))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn no_package_is_one_that_has_no_place_here() {
    let found: Vec<String> = packages()
        .iter()
        .filter_map(|package| BANNED.iter().find(|(banned, _)| *banned == name(package)))
        .map(|(banned, why)| format!("{banned}: {why}"))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn expressions_are_met_or_not() {
    for allowed in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR X) AND Unicode-3.0", "MIT AND (ISC)"] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR X"));
    for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT)", "MIT MIT", "MIT WITH X", "X OR Y", "OR"] {
        assert!(!is_allowed(refused), "{refused}");
    }
}
