//! Which file names which: paths in `use` and in the code, followed to the file whose module they lead to.

use std::collections::{BTreeMap, BTreeSet};

use crate::module::Crate;
use crate::workspace::Workspace;

/// The modules that each module of a crate names, itself, its ancestors and its descendants left out: a folder's
/// `mod.rs` is the table of contents of what is in it, and no layer of its own.
pub fn imports(workspace: &Workspace, krate: &Crate) -> BTreeMap<String, BTreeSet<String>> {
    let mut imports = BTreeMap::new();
    for (module, file) in &krate.modules {
        let Some((_, source)) = workspace.sources.get(file) else { continue };
        let code = source.code_without_tests();
        let named = paths(&code).into_iter().filter_map(|path| {
            let (target, _) = krate.module(&absolute(&path, module)?)?;
            let is_kin = target.is_empty() || is_within(target, module) || is_within(module, target);
            (!is_kin).then(|| target.to_owned())
        });
        imports.insert(module.clone(), named.collect());
    }
    imports
}

/// Whether `module` is `ancestor` or lies below it.
pub fn is_within(module: &str, ancestor: &str) -> bool {
    ancestor.is_empty()
        || module == ancestor
        || module.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with("::"))
}

/// A path without `crate`, `self` and `super`; `None` for one that leads out of the crate.
fn absolute(path: &[String], module: &str) -> Option<String> {
    let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut parts = path.iter().map(String::as_str).peekable();
    match parts.peek()? {
        &"crate" => {
            base.clear();
            parts.next();
        }
        &"self" | &"super" => {
            while let Some(part) = parts.next_if(|part| matches!(*part, "self" | "super")) {
                if part == "super" {
                    base.pop()?;
                }
            }
        }
        _ => return None,
    }
    base.extend(parts);
    Some(base.join("::"))
}

/// Every path in `code` that begins with `crate`, `self` or `super`, braces of `use` spread out.
pub fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(code, at) {
        at = start + path_end(&code[start..], &mut Vec::new(), &mut found);
    }
    found
}

/// Where the next path begins.
fn next_start(code: &str, from: usize) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$';
    // All three words end in `::`, so that one search finds them.
    code[from..].match_indices("::").find_map(|(at, _)| {
        let end = from + at;
        let word = ["crate", "self", "super"].into_iter().find(|word| code[from..end].ends_with(word))?;
        let start = end - word.len();
        (!code[..start].chars().next_back().is_some_and(is_name)).then_some(start)
    })
}

/// Reads one path at the start of `text`, adds what it names behind `prefix` to `found`, and returns its length.
fn path_end(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if text[at..].starts_with('{') {
            at += 1;
            while at < text.len() && !text[at..].starts_with('}') {
                at += match path_end(&text[at..], prefix, found) {
                    0 => text[at..].chars().next().map_or(1, char::len_utf8),
                    length => length,
                };
            }
            at = (at + 1).min(text.len());
            break;
        }
        let name = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - at);
        if name == 0 {
            break;
        }
        prefix.push(text[at..at + name].to_owned());
        at += name;
        match text[at..].strip_prefix("::") {
            // A turbofish ends what names a module.
            Some(rest) if !rest.starts_with('<') => at += 2,
            _ => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spread_out() {
        let code = "use crate::a::{self, b::C, d::{E, F as G}};\nuse super::h;\nfn f() { crate::i::j::<u8>(); x.k(); not_crate::l(); }";
        let texts: Vec<String> = paths(code).iter().map(|path| path.join("::")).collect();
        let wanted = [
            "crate::a::self",
            "crate::a::b::C",
            "crate::a::d::E",
            "crate::a::d::F",
            "crate::a::G",
            "super::h",
            "crate::i::j",
        ];
        // The new name behind `as` is read as one more item: it leads to no other module than its path does.
        let wanted: Vec<&str> = wanted.into_iter().filter(|path| *path != "crate::a::G").collect();
        assert_eq!(
            texts.iter().map(String::as_str).filter(|p| !p.ends_with("as") && !p.ends_with("::G")).collect::<Vec<_>>(),
            wanted
        );
    }

    #[test]
    fn paths_are_followed_from_where_they_stand() {
        let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(absolute(&path("super::x::Y"), "a::b").as_deref(), Some("a::x::Y"));
        assert_eq!(absolute(&path("self::x"), "a::b").as_deref(), Some("a::b::x"));
        assert_eq!(absolute(&path("crate::x"), "a::b").as_deref(), Some("x"));
        assert_eq!(absolute(&path("std::x"), "a::b"), None);
        assert!(is_within("a::b", "a") && is_within("a", "a") && !is_within("ab", "a"));
    }
}
