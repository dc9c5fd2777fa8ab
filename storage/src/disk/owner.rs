//! Who owns what root makes.
//!
//! A tool or a server that root starts makes files that the server's own user must be able to open later. So what this
//! process makes as root gets the owner and the group of the folder it lies in, where that is another user's, and that
//! folder's permissions, without the right to execute for a file. Processes of other users change nothing.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// What the owner of a file may do whatever the folder says: the server writes to all of its files.
const OWNER_MODE: u32 = 0o600;

/// Makes a file or folder, which this process has made just now, its folder's owner's.
pub fn follow_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    follow(path, folder)
}

/// Makes a file or folder, which this process has made just now, the owner's of another one, a folder.
pub fn follow(path: &Path, folder: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (like, own) = (fs::metadata(folder)?, fs::symlink_metadata(path)?);
    if (like.uid(), like.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    let rights = if own.is_dir() { 0o777 } else { 0o666 };
    fs::set_permissions(path, fs::Permissions::from_mode(like.mode() & rights | OWNER_MODE))?;
    lchown(path, Some(like.uid()), Some(like.gid()))
}

/// Makes a folder and those above it that are missing, each its folder's owner's.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_folders(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.and_then(|()| follow_folder(folder)),
    }
}
