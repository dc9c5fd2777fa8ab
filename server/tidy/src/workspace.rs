//! Every source and page of the workspace, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// Folders that hold no text of ours.
const FOREIGN: [&str; 3] = ["target", ".git", ".mirror"];

/// A package of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Its name, as `tidewire-storage`.
    pub name: String,
    /// Its folder, relative to the root.
    pub folder: PathBuf,
    /// Packages of ours in its `[dependencies]`.
    pub dependencies: Vec<String>,
}

/// The workspace as text. Paths are relative to its root.
#[derive(Debug)]
pub struct Workspace {
    /// The root.
    pub root: PathBuf,
    /// Packages, deepest folder first, so that the first one whose folder holds a file is the file's.
    pub packages: Vec<Package>,
    /// Rust sources, as they are and taken apart.
    pub sources: BTreeMap<PathBuf, (String, Source)>,
    /// Markdown pages.
    pub pages: BTreeMap<PathBuf, String>,
}

impl Workspace {
    /// Reads the workspace that this package belongs to.
    pub fn read() -> Result<Self, String> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.ancestors().nth(2).ok_or("this package lies two folders below the root")?;
        let mut workspace =
            Self { root: root.to_owned(), packages: Vec::new(), sources: BTreeMap::new(), pages: BTreeMap::new() };
        workspace.read_folder(Path::new(""))?;
        workspace.packages.sort_by_key(|package| std::cmp::Reverse(package.folder.components().count()));
        Ok(workspace)
    }

    fn read_folder(&mut self, folder: &Path) -> Result<(), String> {
        let full = self.root.join(folder);
        let failed = |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
        for entry in std::fs::read_dir(&full).map_err(|error| failed(&full, error))? {
            let entry = entry.map_err(|error| failed(&full, error))?;
            let name = entry.file_name();
            let path = folder.join(&name);
            let kind = entry.file_type().map_err(|error| failed(&path, error))?;
            if kind.is_dir() {
                if !FOREIGN.iter().any(|foreign| name == *foreign) {
                    self.read_folder(&path)?;
                }
                continue;
            }
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
            let is_manifest = name == "Cargo.toml" && folder != Path::new("");
            if !is_manifest && ending != "rs" && ending != "md" {
                continue;
            }
            let text = std::fs::read_to_string(self.root.join(&path)).map_err(|error| failed(&path, error))?;
            match ending {
                "rs" => {
                    let source = Source::new(&text);
                    self.sources.insert(path, (text, source));
                }
                "md" => {
                    self.pages.insert(path, text);
                }
                _ => self.packages.push(package(folder, &text)),
            }
        }
        Ok(())
    }

    /// The package that a file belongs to.
    pub fn package_of(&self, path: &Path) -> Option<&Package> {
        self.packages.iter().find(|package| path.starts_with(&package.folder))
    }
}

/// A package as its manifest describes it.
fn package(folder: &Path, manifest: &str) -> Package {
    let (mut section, mut name, mut dependencies) = ("", String::new(), Vec::new());
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let (true, Some(value)) = (section == "[package]", line.strip_prefix("name = ")) {
            name = value.trim_matches('"').to_owned();
        } else if section == "[dependencies]" && line.starts_with("tidewire-") {
            dependencies.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    Package { name, folder: folder.to_owned(), dependencies }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_gives_name_and_dependencies_of_ours() {
        let manifest = "[package]\nname = \"tidewire-a\"\n[dependencies]\ntidewire-b.workspace = true\nlog = \"1\"\n\
                        tidewire-c = { path = \"c\" }\n[dev-dependencies]\ntidewire-d.workspace = true\n";
        let package = package(Path::new("a"), manifest);
        assert_eq!(
            (package.name.as_str(), package.dependencies),
            ("tidewire-a", vec!["tidewire-b".to_owned(), "tidewire-c".to_owned()])
        );
    }
}
