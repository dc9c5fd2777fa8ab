//! The data folder: who holds it, and for how many shards it was made.
//!
//! Two files stand at its top. `LOCK` is locked for as long as the server lives, so that two servers never share a
//! folder. It names who holds it, and nobody once the server has ended in order. On one machine the kernel lets go of a
//! lock with its process, so only the lock counts. On a file system that other machines reach too, a lock may not reach
//! them; there a folder that names another machine is refused until somebody who knows better removes `LOCK`.
//!
//! `FORMAT` says, in text, which version of the layout this is and how many shards the series are spread over; it is
//! written once, under another name first, and changes only with the shards themselves ([`swap`], for `tidewire
//! reshard`).

pub mod swap;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tidewire_storage::disk::owner::follow_folder;

/// Version of the layout of the whole folder. Files inside carry versions of their own.
pub const FORMAT_VERSION: u32 = 1;

/// Name of the file that says for how many shards the folder is.
const FORMAT: &str = "FORMAT";

/// Most shards a folder can have.
pub const SHARDS_MAX: usize = 1024;

/// An open data folder. The lock is let go when this is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    shards: usize,
    was_made: bool,
    lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub enum DataDirError {
    /// The operating system refused.
    Io {
        /// Verb phrase.
        operation: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process holds the folder.
    Locked(PathBuf),
    /// A server on another machine has not given the folder back, and the file system is one that it may reach.
    HeldElsewhere(PathBuf, String),
    /// The folder is for another version or another number of shards, or its `FORMAT` cannot be read.
    Incompatible(PathBuf, String),
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}", path.display())?;
                match source.kind() {
                    io::ErrorKind::ReadOnlyFilesystem => f.write_str(" (the server needs a folder it may write to)"),
                    io::ErrorKind::PermissionDenied => f.write_str(" (check the owner of the data folder)"),
                    _ => Ok(()),
                }
            }
            Self::Locked(path) => write!(f, "data folder {} is in use by another server", path.display()),
            Self::HeldElsewhere(path, holder) => write!(
                f,
                "data folder {} was not given back by the server on {holder}, and lies on a file system that machines \
                 share: make sure that no server runs there, then remove {}",
                path.display(),
                path.join("LOCK").display()
            ),
            Self::Incompatible(path, reason) => write!(f, "data folder {}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for DataDirError {}

fn failed<'p>(operation: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> DataDirError + use<'p> {
    move |source| DataDirError::Io { operation, path: path.to_owned(), source }
}

/// The folder of one shard in the data folder `root`.
pub fn shard_folder(root: &Path, shard: usize) -> PathBuf {
    root.join(format!("shard-{shard:03}"))
}

impl DataDir {
    /// Opens the folder, making it if it is missing. `shards` is the number asked for: a new folder gets
    /// `shards_default` if that is 0, an old one must have been made for that number unless it is 0.
    pub fn open(root: &Path, shards: usize, shards_default: usize) -> Result<Self, DataDirError> {
        fs::create_dir_all(root).map_err(failed("make data folder", root))?;
        let root = fs::canonicalize(root).map_err(failed("find data folder", root))?;
        let lock = Self::lock(&root)?;
        swap::settle(&root)?;
        let path = root.join(FORMAT);
        let (shards, was_made) = match fs::read_to_string(&path) {
            Ok(text) => (Self::check(&root, &text, shards)?, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::refuse_foreign(&root)?;
                let shards = if shards == 0 { shards_default } else { shards }.clamp(1, SHARDS_MAX);
                Self::write_format(&root, shards)?;
                (shards, true)
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        Ok(Self { root, shards, was_made, lock })
    }

    /// For how many shards the folder `root` was made, for tools that only read: nothing is made, nothing is locked.
    pub fn shards_of(root: &Path) -> Result<usize, DataDirError> {
        if swap::is_under_way(root) {
            let reason = "a change of its shards was cut short; start the server on it once, which finishes that";
            return Err(DataDirError::Incompatible(root.to_owned(), reason.to_owned()));
        }
        let path = root.join(FORMAT);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        Self::check(root, &text, 0)
    }

    /// The folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many shards it holds.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Whether it was made by this start.
    pub fn was_made(&self) -> bool {
        self.was_made
    }

    /// The folder of one shard.
    pub fn shard_folder(&self, shard: usize) -> PathBuf {
        shard_folder(&self.root, shard)
    }

    /// Looks into a folder that no server uses, or a backup, without changing anything in it: the number of its shards,
    /// and a guard that keeps servers out for as long as it lives. A folder without a `LOCK` was never served, and
    /// needs none.
    pub fn look(root: &Path) -> Result<(usize, Option<File>), DataDirError> {
        let path = root.join("LOCK");
        let lock = match File::open(&path) {
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock) => return Err(DataDirError::Locked(root.to_owned())),
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("open", &path)(error)),
        };
        Ok((Self::shards_of(root)?, lock))
    }

    fn lock(root: &Path) -> Result<File, DataDirError> {
        let path = root.join("LOCK");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(failed("open", &path))?;
        follow_folder(&path).map_err(failed("give away", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        let mut before = String::new();
        // What cannot be read names nobody; the lock itself is had.
        let _ = file.read_to_string(&mut before);
        let own = Holder::here();
        if let Some(other) = Holder::parse(&before).filter(|holder| holder.machine != own.machine) {
            let kind = rustix::fs::fstatfs(&file).map_err(|error| failed("look at", &path)(error.into()))?.f_type;
            if is_shared_between_machines(kind) {
                return Err(DataDirError::HeldElsewhere(root.to_owned(), other.host));
            }
            log::warn!("data folder {} was last held by a server on {}", root.display(), other.host);
        }
        let named = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(own.text().as_bytes()));
        match named {
            // For people; a full disk is no reason not to read.
            Err(error) if error.kind() != io::ErrorKind::StorageFull => return Err(failed("write", &path)(error)),
            _ => {}
        }
        Ok(file)
    }

    /// A folder with someone else's files is a typing mistake, not a place for ours.
    fn refuse_foreign(root: &Path) -> Result<(), DataDirError> {
        for entry in fs::read_dir(root).map_err(failed("list data folder", root))? {
            let name = entry.map_err(failed("list data folder", root))?.file_name();
            let ours = ["LOCK", "FORMAT.new", "tuning.toml", "lost+found"];
            if !ours.iter().any(|known| name == *known) {
                let reason = format!("it holds {} but no FORMAT, so it was not made by Tidewire", name.display());
                return Err(DataDirError::Incompatible(root.to_owned(), reason));
            }
        }
        Ok(())
    }

    /// Writes `FORMAT`: from then on `root` is a data folder of `shards` shards.
    pub fn write_format(root: &Path, shards: usize) -> Result<(), DataDirError> {
        let path = root.join(FORMAT);
        let new = root.join("FORMAT.new");
        let written = (|| {
            let mut file = File::create(&new)?;
            follow_folder(&new)?;
            write!(file, "tidewire data folder\nversion = {FORMAT_VERSION}\nshards = {shards}\n")?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(root)?.sync_all()
        })();
        written.map_err(failed("write", &path))
    }

    fn check(root: &Path, text: &str, wanted: usize) -> Result<usize, DataDirError> {
        let incompatible = |reason: String| Err(DataDirError::Incompatible(root.to_owned(), reason));
        let number = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line?.parse().ok()
        };
        let (Some(version), Some(shards)) = (number("version"), number("shards")) else {
            return incompatible("its FORMAT cannot be read".to_owned());
        };
        if version != u64::from(FORMAT_VERSION) {
            return incompatible(format!("it has version {version} and this server reads version {FORMAT_VERSION}"));
        }
        match usize::try_from(shards) {
            Ok(shards) if !(1..=SHARDS_MAX).contains(&shards) => {
                incompatible(format!("its FORMAT says {shards} shards, which is not between 1 and {SHARDS_MAX}"))
            }
            Ok(shards) if wanted != 0 && wanted != shards => incompatible(format!(
                "it was made for {shards} shards and `shards` asks for {wanted}; leave `shards` at 0"
            )),
            Ok(shards) => Ok(shards),
            Err(_) => incompatible(format!("its FORMAT says {shards} shards")),
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Nobody holds it any more. Where this fails, the next start on this machine does not mind.
        let _ = self.lock.set_len(0);
        // Not left to closing: a child that another thread starts right now has the file open too, until it executes.
        let _ = self.lock.unlock();
    }
}

/// Who holds a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    /// Process id.
    pid: u32,
    /// Name of the host, for people.
    host: String,
    /// What sets machines apart: the id that systemd and others give each installation, or the host's name.
    machine: String,
}

impl Holder {
    /// This process.
    fn here() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let id = fs::read_to_string("/etc/machine-id").map(|id| id.trim().to_owned()).unwrap_or_default();
        let machine = if id.is_empty() { host.clone() } else { id };
        Self { pid: std::process::id(), host, machine }
    }

    fn text(&self) -> String {
        format!("pid = {}\nhost = {}\nmachine = {}\n", self.pid, self.host, self.machine)
    }

    /// `None` where nobody is named, or in the form of an earlier version, which named no machine.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        Some(Self { pid: field("pid")?.parse().ok()?, host: field("host")?.into(), machine: field("machine")?.into() })
    }
}

/// Whether a file system of this kind (as in `statfs`, linux/magic.h) may be mounted on several machines at once.
fn is_shared_between_machines(kind: rustix::fs::FsWord) -> bool {
    const NFS: rustix::fs::FsWord = 0x6969;
    const SMB2: rustix::fs::FsWord = 0xFE53_4D42;
    const CIFS: rustix::fs::FsWord = 0xFF53_4D42;
    const CEPH: rustix::fs::FsWord = 0x00C3_6400;
    const NINE_P: rustix::fs::FsWord = 0x0102_1997;
    const FUSE: rustix::fs::FsWord = 0x6573_5546;
    const OCFS2: rustix::fs::FsWord = 0x7461_636F;
    const GFS2: rustix::fs::FsWord = 0x0116_1970;
    const LUSTRE: rustix::fs::FsWord = 0x0BD0_0BD0;
    [NFS, SMB2, CIFS, CEPH, NINE_P, FUSE, OCFS2, GFS2, LUSTRE].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tidewire-datadir-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn made_once_and_opened_again() {
        let folder = Folder::new("again");
        let first = DataDir::open(&folder.0, 0, 3).unwrap();
        assert!(first.was_made());
        assert_eq!(first.shards(), 3);
        let second = DataDir::open(&folder.0, 0, 3).unwrap_err();
        assert!(second.to_string().contains("in use by another server"));
        drop(first);
        let again = DataDir::open(&folder.0, 0, 8).unwrap();
        assert_eq!((again.was_made(), again.shards()), (false, 3));
        drop(again);
        let other = DataDir::open(&folder.0, 2, 8).unwrap_err().to_string();
        assert!(other.contains("made for 3 shards") && other.contains("asks for 2"), "{other}");
    }

    #[test]
    fn the_lock_names_its_holder_until_the_end() {
        let folder = Folder::new("holder");
        let open = DataDir::open(&folder.0, 0, 1).unwrap();
        let text = fs::read_to_string(folder.0.join("LOCK")).unwrap();
        let holder = Holder::parse(&text).unwrap();
        assert_eq!((holder.pid, &holder), (std::process::id(), &Holder::here()));
        drop(open);
        assert_eq!(fs::read_to_string(folder.0.join("LOCK")).unwrap(), "");
        // An earlier version, a crash, and a disk that came from elsewhere: the lock is free, and that counts here.
        let elsewhere = Holder { host: "other".to_owned(), machine: "0123".to_owned(), ..holder };
        for text in ["1234\n".to_owned(), "\u{0}\u{1}".to_owned(), elsewhere.text()] {
            fs::write(folder.0.join("LOCK"), text).unwrap();
            DataDir::open(&folder.0, 0, 1).unwrap();
        }
        let reason = DataDirError::HeldElsewhere(PathBuf::from("/d"), "other".to_owned()).to_string();
        assert!(reason.contains("server on other") && reason.ends_with("then remove /d/LOCK"), "{reason}");
    }

    #[test]
    fn strange_folders_are_refused() {
        let folder = Folder::new("strange");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.0.join("thesis.txt"), "").unwrap();
        let foreign = DataDir::open(&folder.0, 0, 1).unwrap_err().to_string();
        assert!(foreign.contains("thesis.txt"), "{foreign}");
        fs::remove_file(folder.0.join("thesis.txt")).unwrap();

        for (text, reason) in [
            ("version = 9\nshards = 1\n", "version 9"),
            ("version = 1\nshards = 0\n", "0 shards"),
            ("version = 1\nshards = 99999999\n", "99999999 shards"),
            ("version = x", "cannot be read"),
        ] {
            fs::write(folder.0.join("FORMAT"), text).unwrap();
            let error = DataDir::open(&folder.0, 0, 1).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
