//! Putting other shards in the place of those of a data folder, so that a crash at any moment leaves a folder that is
//! whole.
//!
//! 1. The new shards are built in `reshard.new/`, beside the old ones, which nothing touches. Until step 2 a crash
//!    leaves the old folder; what was built is removed at the next start.
//! 2. The file `RESHARD` is put in place: the decision. From now on the new shards count.
//! 3. Shard by shard, the old folder goes to `reshard.old/` and the new one takes its name; then `FORMAT` says the new
//!    number. What is where says which of these renames are done, so that [`settle`], which every start
//!    calls, goes on where a crash has stopped.
//! 4. Where the old shards are to be kept, `reshard.old/` becomes a data folder and takes the name asked for. `RESHARD`
//!    is removed, then what is left over.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tidewire_storage::disk::owner::{create_folders, follow_folder};

use super::{DataDir, DataDirError, SHARDS_MAX, failed, shard_folder};
use crate::catalog::read::CATALOG_FOLDER;

/// Where new shards are built.
const NEW: &str = "reshard.new";

/// Where old shards go.
const OLD: &str = "reshard.old";

/// The decision.
const JOURNAL: &str = "RESHARD";

/// First line of the decision.
const TITLE: &str = "tidewire reshard 1";

/// A decided change of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Shards before.
    pub from: usize,
    /// Shards after.
    pub to: usize,
    /// The name that the old data folder gets; it is removed if there is none. On the same file system.
    pub keep: Option<PathBuf>,
}

/// One act of a change, each whole or not done, and harmless when done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a folder.
    Make(PathBuf),
    /// Gives a file or folder another name.
    Rename(PathBuf, PathBuf),
    /// Writes a data folder's `FORMAT`.
    Format(PathBuf, usize),
    /// Copies a folder of small files.
    Copy(PathBuf, PathBuf),
    /// Makes the names in a folder durable.
    Sync(PathBuf),
    /// Removes a file.
    Remove(PathBuf),
    /// Removes a folder with all that is in it.
    Clear(PathBuf),
}

/// An empty folder for the new shards; what an earlier build has left is removed.
pub fn new_folder(root: &Path) -> Result<PathBuf, DataDirError> {
    let folder = root.join(NEW);
    Step::Clear(folder.clone()).run()?;
    Step::Make(folder.clone()).run()?;
    Ok(folder)
}

/// Makes a change the folder's: the new shards must lie in [`new_folder`], durable.
pub fn decide(root: &Path, swap: &Swap) -> Result<(), DataDirError> {
    let path = root.join(JOURNAL);
    let text = swap.encode().map_err(failed("write", &path))?;
    let new = root.join("RESHARD.new");
    let written = File::create(&new).and_then(|mut file| {
        follow_folder(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(root)?.sync_all()
    });
    written.map_err(failed("write", &path))
}

/// Whether a change is decided and not finished.
pub fn is_under_way(root: &Path) -> bool {
    root.join(JOURNAL).exists()
}

/// Finishes a change that is decided, and removes what is left of one that is not. To be called under the folder's
/// lock.
pub fn settle(root: &Path) -> Result<(), DataDirError> {
    let steps = steps(root)?;
    if steps.is_empty() {
        return Ok(());
    }
    log::info!("data folder {}: a change of its shards is finished or undone", root.display());
    steps.iter().try_for_each(Step::run)
}

/// What is still to be done, from what is where.
pub fn steps(root: &Path) -> Result<Vec<Step>, DataDirError> {
    let (new, old, journal) = (root.join(NEW), root.join(OLD), root.join(JOURNAL));
    let mut steps = Vec::new();
    match fs::read_to_string(&journal) {
        Ok(text) => {
            let swap = Swap::decode(&text).ok_or_else(|| {
                DataDirError::Incompatible(root.to_owned(), format!("its {JOURNAL} cannot be read: {text:?}"))
            })?;
            exchange(root, &swap, &mut steps);
            steps.push(Step::Sync(root.to_owned()));
            steps.push(Step::Remove(journal));
            steps.push(Step::Sync(root.to_owned()));
            steps.push(Step::Clear(old));
            steps.push(Step::Clear(new));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            steps.extend([new, old].into_iter().filter(|folder| folder.exists()).map(Step::Clear));
        }
        Err(error) => return Err(failed("read", &journal)(error)),
    }
    Ok(steps)
}

/// The renames of a decided change, and the making of a data folder from the old shards.
fn exchange(root: &Path, swap: &Swap, steps: &mut Vec<Step>) {
    let (new, old) = (root.join(NEW), root.join(OLD));
    // When the old shards have left under their own name, all of them had been exchanged.
    let kept = swap.keep.as_ref().is_some_and(|keep| keep.exists()) && !old.exists();
    if !kept {
        steps.push(Step::Make(old.clone()));
        for shard in 0..swap.from.max(swap.to) {
            let (here, there) = (shard_folder(root, shard), shard_folder(&new, shard));
            // A new shard that is not where it was built stands in its place already.
            if shard < swap.to && !there.exists() {
                continue;
            }
            if here.exists() {
                steps.push(Step::Rename(here.clone(), shard_folder(&old, shard)));
            }
            if shard < swap.to {
                steps.push(Step::Rename(there, here));
            }
        }
        steps.push(Step::Sync(old.clone()));
        steps.push(Step::Sync(root.to_owned()));
    }
    steps.push(Step::Format(root.to_owned(), swap.to));
    if let Some(keep) = swap.keep.as_ref().filter(|_| !kept) {
        steps.push(Step::Copy(root.join(CATALOG_FOLDER), old.join(CATALOG_FOLDER)));
        steps.push(Step::Format(old.clone(), swap.from));
        steps.push(Step::Rename(old, keep.clone()));
        steps.extend(keep.parent().map(|parent| Step::Sync(parent.to_owned())));
    }
}

impl Swap {
    /// The journal: a line a value, the path last.
    fn encode(&self) -> io::Result<String> {
        let keep = match &self.keep {
            None => String::new(),
            Some(path) => {
                let text = path.to_str().filter(|text| !text.contains('\n'));
                let text =
                    text.ok_or_else(|| io::Error::other("the path to keep the old folder at is not plain text"))?;
                format!("keep = {text}\n")
            }
        };
        Ok(format!("{TITLE}\nfrom = {}\nto = {}\n{keep}end\n", self.from, self.to))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == TITLE).then_some(())?;
        let shards = |line: Option<&str>, name: &str| {
            let number = line?.strip_prefix(name)?.parse::<usize>().ok()?;
            (1..=SHARDS_MAX).contains(&number).then_some(number)
        };
        let (from, to) = (shards(lines.next(), "from = ")?, shards(lines.next(), "to = ")?);
        let last = lines.next()?;
        let keep = last.strip_prefix("keep = ").map(PathBuf::from);
        let end = if keep.is_some() { lines.next()? } else { last };
        (end == "end").then_some(Self { from, to, keep })
    }
}

impl Step {
    /// Does it.
    pub fn run(&self) -> Result<(), DataDirError> {
        match self {
            Self::Make(folder) => create_folders(folder).map_err(failed("make folder", folder)),
            Self::Rename(from, to) => fs::rename(from, to).map_err(failed("rename", from)),
            Self::Format(root, shards) => DataDir::write_format(root, *shards),
            Self::Copy(from, to) => copy(from, to).map_err(failed("copy", from)),
            Self::Sync(folder) => {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync folder", folder))
            }
            Self::Remove(file) => match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", file)(error)),
                _ => Ok(()),
            },
            Self::Clear(folder) => match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder)(error)),
                _ => Ok(()),
            },
        }
    }
}

/// Copies the files of a folder, durably; a folder that is not there has none.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    create_folders(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let target = to.join(entry.file_name());
            fs::copy(entry.path(), &target)?;
            follow_folder(&target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data folder of empty shards, each with a file that says whose it is.
    fn folder(name: &str, from: usize, to: usize) -> PathBuf {
        // In memory where there is such a place: the test takes many steps, each of which syncs.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let root = parent.join(format!("tidewire-swap-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join(CATALOG_FOLDER)).unwrap();
        fs::write(root.join("meta/catalog.json"), "{}").unwrap();
        DataDir::write_format(&root, from).unwrap();
        let new = new_folder(&root).unwrap();
        for (root, shards, text) in [(&root, from, "old"), (&new, to, "new")] {
            for shard in 0..shards {
                let folder = shard_folder(root, shard);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join("MANIFEST"), text).unwrap();
            }
        }
        root
    }

    fn whose(root: &Path) -> Vec<String> {
        (0..)
            .map(|shard| fs::read_to_string(shard_folder(root, shard).join("MANIFEST")))
            .map_while(Result::ok)
            .collect()
    }

    #[test]
    fn what_is_not_decided_is_undone() {
        let root = folder("undone", 2, 3);
        assert_eq!(DataDir::open(&root, 0, 1).unwrap().shards(), 2);
        assert_eq!((whose(&root), root.join(NEW).exists()), (vec!["old".to_owned(); 2], false));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_stop_after_any_step_is_finished_by_the_next_start() {
        for (from, to) in [(1, 3), (3, 2), (2, 2), (4, 1)] {
            for keeps in [false, true] {
                let mut done = 0;
                loop {
                    let root = folder("steps", from, to);
                    let keep = keeps.then(|| root.with_extension("kept"));
                    if let Some(keep) = &keep {
                        let _ = fs::remove_dir_all(keep);
                    }
                    decide(&root, &Swap { from, to, keep: keep.clone() }).unwrap();
                    let steps = steps(&root).unwrap();
                    steps[..done].iter().try_for_each(Step::run).unwrap();

                    let decided = is_under_way(&root);
                    assert_eq!(DataDir::look(&root).is_err(), decided, "a reader has to wait");
                    let opened = DataDir::open(&root, 0, 1).unwrap();
                    assert_eq!(opened.shards(), to, "{from} to {to} after {done} steps");
                    assert_eq!(whose(&root), vec!["new"; to], "{from} to {to} after {done} steps");
                    assert!(!is_under_way(&root) && !root.join(NEW).exists() && !root.join(OLD).exists());
                    if let Some(keep) = &keep {
                        assert_eq!(whose(keep), vec!["old"; from], "{from} to {to} after {done} steps");
                        assert_eq!(DataDir::look(keep).unwrap().0, from);
                        assert!(keep.join("meta/catalog.json").exists());
                        fs::remove_dir_all(keep).unwrap();
                    }
                    drop(opened);
                    fs::remove_dir_all(&root).unwrap();
                    done += 1;
                    if done > steps.len() {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_journal_that_cannot_be_read_stops_the_start() {
        let root = folder("journal", 1, 2);
        let swap = Swap { from: 1, to: 2, keep: Some("/somewhere else".into()) };
        assert_eq!(Swap::decode(&swap.encode().unwrap()), Some(swap.clone()));
        for text in ["", "tidewire reshard 2\nfrom = 1\nto = 2\nend\n", "tidewire reshard 1\nfrom = 1\nto = 0\nend\n"] {
            fs::write(root.join(JOURNAL), text).unwrap();
            let error = DataDir::open(&root, 0, 1).unwrap_err().to_string();
            assert!(error.contains("RESHARD cannot be read"), "{error}");
        }
        assert_eq!(whose(&root), ["old"]);
        fs::remove_dir_all(&root).unwrap();
    }
}
