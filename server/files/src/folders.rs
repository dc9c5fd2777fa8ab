//! The folders below which files may lie, and everything that opens, makes or lists something there.
//!
//! 1. A location is taken apart by its text: a path below one of the folders, without a step upwards. A path that does
//!    not begin with `/` is below the first one.
//! 2. The kernel walks it from the folder downwards with `openat2` and RESOLVE_BENEATH: a link that leads out of the
//!    folder, at whatever moment it is put there, is refused by it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use tidewire_storage::schema::FileFormat;

use crate::error::FileError;

/// Files that one table is read from at most: their names are held.
const FILES_MAX: usize = 10_000;

/// What a path is walked by.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The folders below which files may lie.
#[derive(Debug, Default)]
pub struct Folders {
    roots: Vec<PathBuf>,
}

/// A place below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    /// Below the root; empty for the root itself.
    path: PathBuf,
    /// It was written with a slash at its end.
    is_folder: bool,
}

impl Place {
    /// A place in this folder.
    pub(crate) fn child(&self, name: impl AsRef<Path>) -> Self {
        Self { root: self.root.clone(), path: self.path.join(name), is_folder: false }
    }

    /// A place beside it, whose name is made of its own.
    pub(crate) fn sibling(&self, name: impl FnOnce(&str) -> String) -> Result<Self, FileError> {
        let own = self.path.file_name().and_then(|name| name.to_str());
        let own = own.ok_or_else(|| FileError::NoFile(self.shown()))?;
        Ok(Self { root: self.root.clone(), path: self.path.with_file_name(name(own)), is_folder: false })
    }

    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        self.root.join(&self.path).display().to_string()
    }

    fn failed(&self, operation: &'static str) -> impl FnOnce(Errno) -> FileError + '_ {
        move |errno| match errno {
            // The walk left the folder.
            Errno::XDEV => FileError::Outside(self.shown()),
            _ => FileError::Io { operation, location: self.shown(), source: io::Error::from(errno) },
        }
    }

    fn root(&self) -> Result<OwnedFd, FileError> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::open(&self.root, flags, Mode::empty()).map_err(self.failed("open"))
    }

    fn open_as(&self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let root_flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.root, root_flags, Mode::empty())?;
        let path = if self.path.as_os_str().is_empty() { Path::new(".") } else { &self.path };
        rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, BENEATH)
    }

    /// Opens the file that is there. What is no file (a pipe, a device) is not waited for.
    pub(crate) fn open(&self) -> Result<File, FileError> {
        let fd = self.open_as(OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map_err(self.failed("open"))?;
        match self.kind(&fd)? {
            FileType::RegularFile => Ok(File::from(fd)),
            _ => Err(FileError::NoFile(self.shown())),
        }
    }

    fn kind(&self, fd: &OwnedFd) -> Result<FileType, FileError> {
        let found = rustix::fs::fstat(fd).map_err(self.failed("look at"))?;
        Ok(FileType::from_raw_mode(found.st_mode))
    }

    /// Whether there is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder || self.open_as(OFlags::DIRECTORY | OFlags::PATH, Mode::empty()).is_ok()
    }

    /// The files of the format that are meant: the file itself, or those of the folder in the order of their names.
    pub(crate) fn files(&self, format: FileFormat) -> Result<Vec<Self>, FileError> {
        let fd = self.open_as(OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).map_err(self.failed("open"))?;
        match self.kind(&fd)? {
            FileType::RegularFile if !self.is_folder => return Ok(vec![self.clone()]),
            FileType::Directory => {}
            _ => return Err(FileError::NoFile(self.shown())),
        }
        let is_meant = |name: &str| !name.starts_with('.') && format.endings().iter().any(|end| name.ends_with(end));
        let mut names = Vec::new();
        for entry in Dir::new(fd).map_err(self.failed("list"))? {
            let entry = entry.map_err(self.failed("list"))?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_meant(name)) else { continue };
            if names.len() == FILES_MAX {
                return Err(FileError::TooMany { location: self.shown(), files_max: FILES_MAX });
            }
            names.push(name.to_owned());
        }
        if names.is_empty() {
            return Err(FileError::NoneOfFormat { location: self.shown(), endings: format.endings().join(" or ") });
        }
        names.sort_unstable();
        Ok(names.iter().map(|name| self.child(name)).collect())
    }

    /// Makes the folder, and those above it, where they are missing.
    pub(crate) fn make_folders(&self) -> Result<(), FileError> {
        let mut made = Self { root: self.root.clone(), path: PathBuf::new(), is_folder: true };
        for part in &self.path {
            let within = made.open_as(OFlags::DIRECTORY | OFlags::PATH, Mode::empty()).map_err(made.failed("open"))?;
            made.path.push(part);
            match rustix::fs::mkdirat(within, part, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(made.failed("make")(errno)),
            }
        }
        Ok(())
    }

    /// Makes a file that was not there; the folder around it is.
    pub(crate) fn create(&self) -> Result<File, FileError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        match self.open_as(flags, Mode::from_raw_mode(0o666)) {
            Ok(fd) => Ok(File::from(fd)),
            Err(Errno::EXIST) => Err(FileError::Exists(self.shown())),
            Err(errno) => Err(self.failed("make")(errno)),
        }
    }

    /// The folder around it, opened, and its name in there.
    fn parent(&self) -> Result<(OwnedFd, PathBuf), FileError> {
        let name = self.path.file_name().ok_or_else(|| FileError::NoFile(self.shown()))?;
        let path = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let around = Self { root: self.root.clone(), path, is_folder: true };
        let fd = around.open_as(OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).map_err(around.failed("open"))?;
        Ok((fd, PathBuf::from(name)))
    }

    /// Gives the file another name in its folder, which nothing has, durably.
    pub(crate) fn rename(&self, to: &Self) -> Result<(), FileError> {
        let (folder, name) = self.parent()?;
        let new_name = to.path.file_name().ok_or_else(|| FileError::NoFile(to.shown()))?;
        match rustix::fs::renameat_with(&folder, &name, &folder, Path::new(new_name), RenameFlags::NOREPLACE) {
            Ok(()) => rustix::fs::fsync(&folder).map_err(to.failed("sync the folder of")),
            Err(Errno::EXIST) => Err(FileError::Exists(to.shown())),
            Err(errno) => Err(to.failed("name")(errno)),
        }
    }

    /// Takes the file away.
    pub(crate) fn remove(&self) -> Result<(), FileError> {
        let (folder, name) = self.parent()?;
        rustix::fs::unlinkat(folder, name, AtFlags::empty()).map_err(self.failed("remove"))
    }
}

impl Folders {
    /// These; none means that there are no files.
    pub fn new(roots: &[PathBuf]) -> Self {
        Self { roots: roots.to_vec() }
    }

    /// The place that a location means. Nothing is looked at.
    pub fn place(&self, location: &str) -> Result<Place, FileError> {
        let first = self.roots.first().ok_or(FileError::Off)?;
        let outside = || FileError::Outside(location.to_owned());
        let path = match location.strip_prefix("file://") {
            // Behind the second slash stands a host; ours has no name there.
            Some(path) if path.starts_with('/') => path,
            Some(_) => return Err(FileError::Scheme(location.to_owned())),
            None if location.contains("://") => return Err(FileError::Scheme(location.to_owned())),
            None => location,
        };
        if path.is_empty() || path.contains('\0') || path.split('/').any(|part| part == "..") {
            return Err(outside());
        }
        let is_folder = path.ends_with('/');
        let path = Path::new(path);
        let (root, below) = match path.is_absolute() {
            false => (first, path),
            true => {
                let below = |root: &PathBuf| path.strip_prefix(root).ok().map(|below| (root.clone(), below));
                let found = self.roots.iter().filter_map(below).min_by_key(|(_, below)| below.components().count());
                let (root, below) = found.ok_or_else(outside)?;
                return Ok(Place { root, path: plain(below), is_folder });
            }
        };
        Ok(Place { root: root.clone(), path: plain(below), is_folder })
    }

    /// Refuses a location that is not below one of the folders; whether there is something is not looked at.
    pub fn check(&self, location: &str) -> Result<(), FileError> {
        self.place(location).and_then(|place| place.root().map(drop))
    }
}

/// The path without steps to where it is.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::text::testing::Scratch;

    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn shown(error: FileError) -> String {
        error.to_string()
    }

    #[test]
    fn locations_are_below_a_folder_or_refused() {
        let folders = Folders::new(&["/a/b".into(), "/c".into()]);
        let path = |location: &str| folders.place(location).map(|place| place.shown()).map_err(shown);
        assert_eq!(path("x/./y.csv").unwrap(), "/a/b/x/y.csv");
        assert_eq!(path("/c//d/").unwrap(), "/c/d");
        assert_eq!(path("file:///a/b/z").unwrap(), "/a/b/z");
        assert!(folders.place("/c/d/").unwrap().is_folder && !folders.place("/c/d").unwrap().is_folder);
        for location in ["/a/bc", "/", "/a", "../x", "x/../../y", "file:///etc/passwd", "/c/../etc", "", "a\0b"] {
            assert!(path(location).unwrap_err().contains("is not below a folder"), "{location:?}");
        }
        for location in ["s3://bucket/x", "file://host/c/x", "http://h/x"] {
            assert!(path(location).unwrap_err().contains("is no place for files"), "{location:?}");
        }
        assert!(shown(Folders::default().place("x").unwrap_err()).contains("names no folder"));
    }

    #[test]
    fn links_that_leave_the_folder_are_refused_and_others_followed() {
        let (scratch, outside) = (Scratch::new(), Scratch::new());
        outside.write("secret.csv", "a\n1\n");
        scratch.write("in/real.csv", "a\n1\n");
        symlink(outside.path("secret.csv"), scratch.path("link.csv")).unwrap();
        symlink("../..", scratch.path("in/up")).unwrap();
        symlink(outside.path(""), scratch.path("away")).unwrap();
        symlink("in/real.csv", scratch.path("fine.csv")).unwrap();
        symlink("/proc/self/fd/0", scratch.path("magic.csv")).unwrap();
        let folders = Folders::new(&[scratch.path("")]);
        let open = |location: &str| folders.place(location).and_then(|place| place.open()).map_err(shown);
        assert!(open("fine.csv").is_ok() && open("in/real.csv").is_ok());
        for location in ["link.csv", "in/up/x", "away/secret.csv", "magic.csv"] {
            let told = open(location).unwrap_err();
            assert!(told.contains("is not below a folder"), "{location}: {told}");
        }
        assert!(open("in").unwrap_err().contains("neither"));
        let out = folders.place("away/new.csv").unwrap();
        assert!(shown(out.create().unwrap_err()).contains("is not below a folder"));
        let made = folders.place("away/x/y/").unwrap();
        assert!(shown(made.make_folders().unwrap_err()).contains("is not below a folder"));
        assert!(!outside.path("x").exists());
    }

    #[test]
    fn a_folder_means_its_files_of_the_format_in_order() {
        let scratch = Scratch::new();
        for name in ["d/b.csv", "d/a.csv", "d/c.json", "d/.hidden.csv", "d/e.ndjson"] {
            scratch.write(name, "");
        }
        let folders = Folders::new(&[scratch.path("")]);
        let files = |location: &str, format| -> Result<Vec<String>, String> {
            let place = folders.place(location).map_err(shown)?;
            let files = place.files(format).map_err(shown)?;
            Ok(files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
        };
        assert_eq!(files("d", FileFormat::CSV).unwrap(), ["a.csv", "b.csv"]);
        assert_eq!(files("d/", FileFormat::Json).unwrap(), ["c.json", "e.ndjson"]);
        assert_eq!(files("d/c.json", FileFormat::CSV).unwrap(), ["c.json"], "a file that is named is meant");
        assert!(files("d", FileFormat::Parquet).unwrap_err().contains("no file whose name ends with .parquet"));
        assert!(files("d/a.csv/", FileFormat::CSV).is_err() && files("nosuch", FileFormat::CSV).is_err());
    }

    #[test]
    fn files_are_made_once_and_named_when_they_are_whole() {
        let scratch = Scratch::new();
        let folders = Folders::new(&[scratch.path("")]);
        let folder = folders.place("x/y/").unwrap();
        folder.make_folders().unwrap();
        folder.make_folders().unwrap();
        let (part, whole) = (folder.child("a.part"), folder.child("a.csv"));
        drop(part.create().unwrap());
        assert!(matches!(part.create(), Err(FileError::Exists(_))));
        part.rename(&whole).unwrap();
        assert!(scratch.path("x/y/a.csv").exists() && !scratch.path("x/y/a.part").exists());
        drop(part.create().unwrap());
        assert!(matches!(part.rename(&whole), Err(FileError::Exists(_))));
        part.remove().unwrap();
        assert!(!scratch.path("x/y/a.part").exists());
    }
}
