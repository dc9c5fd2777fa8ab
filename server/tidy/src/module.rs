//! Which file declares which: the module tree of each crate, from its root files down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::workspace::Workspace;

/// The modules of one crate (a library, a binary, a test or a bench).
#[derive(Debug)]
pub struct Crate {
    /// The file the compiler begins with.
    pub root: PathBuf,
    /// Files by module path; the root's is empty.
    pub modules: BTreeMap<String, PathBuf>,
}

impl Crate {
    /// The longest module that `path` (without `crate::`) leads to, and its file.
    pub fn module(&self, path: &str) -> Option<(&str, &Path)> {
        let mut path = path;
        loop {
            if let Some((module, file)) = self.modules.get_key_value(path) {
                return Some((module, file));
            }
            path = match path.rsplit_once("::") {
                Some((parent, _)) => parent,
                None if path.is_empty() => return None,
                None => "",
            };
        }
    }
}

/// All crates of the workspace.
pub fn crates(workspace: &Workspace) -> Vec<Crate> {
    let roots = workspace.sources.keys().filter(|path| is_root(path, workspace));
    roots.map(|root| tree(workspace, root)).collect()
}

/// Whether the compiler begins with `path`: `src/lib.rs`, `src/main.rs`, `src/bin/*.rs`, `build.rs`, what lies directly
/// in `tests`, `benches` and `examples` or is a `main.rs` there, and the `targets` of fuzzing.
fn is_root(path: &Path, workspace: &Workspace) -> bool {
    let Some(package) = workspace.package_of(path) else { return false };
    let Ok(inside) = path.strip_prefix(&package.folder) else { return false };
    let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] => true,
        ["tests" | "benches" | "examples" | "targets", file] => file.ends_with(".rs"),
        ["tests" | "benches" | "examples", _, "main.rs"] => true,
        _ => false,
    }
}

fn tree(workspace: &Workspace, root: &Path) -> Crate {
    let mut modules = BTreeMap::from([(String::new(), root.to_owned())]);
    let mut left = vec![(String::new(), root.to_owned())];
    while let Some((module, file)) = left.pop() {
        let Some((text, source)) = workspace.sources.get(&file) else { continue };
        for declared in declarations(&source.code) {
            let parts =
                module.split("::").filter(|part| !part.is_empty()).chain(declared.within.iter().map(String::as_str));
            let child = parts.chain([declared.name.as_str()]).collect::<Vec<_>>().join("::");
            let places = match path_attribute(text, declared.line) {
                Some(path) => vec![file.with_file_name("").join(path)],
                None => {
                    let folder =
                        declared.within.iter().fold(folder_of(&file, &module), |folder, name| folder.join(name));
                    vec![folder.join(format!("{}.rs", declared.name)), folder.join(&declared.name).join("mod.rs")]
                }
            };
            if let Some(place) = places.into_iter().map(|p| normal(&p)).find(|p| workspace.sources.contains_key(p)) {
                modules.insert(child.clone(), place.clone());
                left.push((child, place));
            }
        }
    }
    Crate { root: root.to_owned(), modules }
}

/// Where the files of a module's children lie.
fn folder_of(file: &Path, module: &str) -> PathBuf {
    let folder = file.with_file_name("");
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some(stem) if !module.is_empty() && stem != "mod" => folder.join(stem),
        _ => folder,
    }
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path {
        if part == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

struct Declared {
    /// The modules with braces around the declaration, from the outermost in.
    within: Vec<String>,
    name: String,
    line: usize,
}

/// The `mod name;` of a file, those within a `mod name { … }` included.
fn declarations(code: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    let (mut depth, mut within) = (0_usize, Vec::<(String, usize)>::new());
    for (at, line) in code.lines().enumerate() {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let named = if words.next() == Some("mod") { words.next() } else { None };
        match named.and_then(|name| name.strip_suffix(';')) {
            Some(name) if depth == within.len() => {
                let within = within.iter().map(|(name, _)| name.clone()).collect();
                found.push(Declared { within, name: name.to_owned(), line: at });
            }
            _ => {}
        }
        if let (Some(name), true) = (named, line.trim_end().ends_with('{')) {
            within.push((name.to_owned(), depth));
        }
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        within.retain(|(_, outside)| *outside < depth);
    }
    found
}

/// The path that an attribute in the line above names.
fn path_attribute(text: &str, line: usize) -> Option<&str> {
    let above = text.lines().nth(line.checked_sub(1)?)?;
    above.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]")
}

/// Sources that no crate declares: nothing compiles them.
pub fn undeclared(workspace: &Workspace, crates: &[Crate]) -> Vec<PathBuf> {
    let declared: BTreeSet<&PathBuf> = crates.iter().flat_map(|krate| krate.modules.values()).collect();
    workspace.sources.keys().filter(|path| !declared.contains(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::workspace::Package;

    fn workspace(files: &[(&str, &str)]) -> Workspace {
        Workspace {
            root: PathBuf::new(),
            packages: vec![Package { name: "p".to_owned(), folder: "p".into(), dependencies: Vec::new() }],
            sources: files.iter().map(|(p, t)| (p.into(), ((*t).to_owned(), Source::new(t)))).collect(),
            pages: BTreeMap::new(),
        }
    }

    #[test]
    fn modules_are_found_and_the_others_named() {
        let workspace = workspace(&[
            ("p/src/lib.rs", "mod a;\npub mod b;\n#[path = \"odd/c.rs\"]\nmod c;\n"),
            ("p/src/a.rs", "pub(crate) mod d;\n"),
            ("p/src/a/d.rs", ""),
            ("p/src/b/mod.rs", "mod e;\nmod i {\n    mod j;\n}\n"),
            ("p/src/b/i/j.rs", ""),
            ("p/src/b/e.rs", ""),
            ("p/src/odd/c.rs", ""),
            ("p/src/dead.rs", ""),
            ("p/tests/it/main.rs", "mod common;"),
            ("p/tests/it/common.rs", ""),
            ("p/tests/it/lost.rs", ""),
        ]);
        let crates = crates(&workspace);
        let library = crates.iter().find(|c| c.root.ends_with("lib.rs")).unwrap();
        assert_eq!(
            library.modules.keys().map(String::as_str).collect::<Vec<_>>(),
            ["", "a", "a::d", "b", "b::e", "b::i::j", "c"]
        );
        assert_eq!(library.module("a::d::Type::new").unwrap().0, "a::d");
        assert_eq!(library.module("b").unwrap().1, Path::new("p/src/b/mod.rs"));
        let dead: Vec<_> = undeclared(&workspace, &crates);
        assert_eq!(dead, [Path::new("p/src/dead.rs"), Path::new("p/tests/it/lost.rs")]);
    }
}
