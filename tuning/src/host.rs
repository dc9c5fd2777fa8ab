//! Reading `/proc` and `/sys` below a root folder, so that tests can lay out a host of their own.

use std::fs;
use std::path::PathBuf;

/// A host to look at.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The trimmed text of a file; `None` if it is missing or unreadable. `path` has no leading slash.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one number.
    pub(crate) fn number(&self, path: &str) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    /// Names in a folder, sorted; empty if it is missing.
    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Processors that are online.
    pub(crate) fn cores(&self) -> usize {
        self.read("sys/devices/system/cpu/online").map_or(1, |list| cores_of(&list).len().max(1))
    }
}

/// A kernel list of processors such as `0,2-3`.
pub(crate) fn cores_of(list: &str) -> Vec<u32> {
    /// More than any kernel is built for; a nonsense range must not fill the memory.
    const CORES_MAX: u32 = 8_192;
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            cores.extend(first..=last.min(CORES_MAX));
        }
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_lists() {
        assert_eq!(cores_of("0,2-3\n"), [0, 2, 3]);
        assert_eq!(cores_of(""), [] as [u32; 0]);
        assert_eq!(cores_of("x,1"), [1]);
    }
}
