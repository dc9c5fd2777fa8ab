//! Files that a start finds in a shard's folders and that the manifest does not name: which of them go, and where the
//! others are kept.
//!
//! Guarantee: a segment is removed only where each of its rows is proved to be elsewhere, or to be unwanted; else it
//! goes into the folder `detached`, which no shard reads. A file there comes back, or goes, only by name
//! ([`salvage`](crate::salvage)).
//!
//! How it is proved. The manifest may be an old one: somebody put a copy in place. Rows of a segment that it does not
//! name are elsewhere all the same where
//!
//! 1. every segment of the table that the manifest names can be opened: they hold what was written up to the flushed
//!    record; and
//! 2. the log was read without a gap from there up to the last record that the segment may hold rows of, which its
//!    header says.
//!
//! So a flush or merge that a crash cut short leaves nothing behind, and neither do inputs of a merge whose removal it
//! cut short. Rows of a table that the catalog has dropped are unwanted. A series file says whose rows those of the
//! segments are, and goes only where no segment is detached or unreadable; a file with a temporary name was never
//! whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::disk::whole::TEMPORARY_SUFFIX;
use crate::engine::folders::Folders;
use crate::error::Result;
use crate::schema::TableId;
use crate::segment::{Header, read_header};
use crate::wal::Lsn;

/// What a start knows of a shard when it comes to files that the manifest does not name.
pub(crate) struct Known<'a> {
    /// Tables that the catalog has.
    pub(crate) is_live: &'a dyn Fn(TableId) -> bool,
    /// Tables with a segment that cannot be opened.
    pub(crate) unreadable: BTreeSet<TableId>,
    /// Records up to this one are in the manifest's segments or were read from the log.
    pub(crate) last_lsn: Lsn,
}

/// What has become of the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) removed: u64,
    pub(crate) detached: u64,
}

/// Why a segment is not removed; `None` where its rows are proved to be elsewhere, or unwanted.
fn reason_to_keep(header: Option<Header>, known: &Known<'_>) -> Option<&'static str> {
    let Some(header) = header else { return Some("its header cannot be read") };
    let table = TableId(header.table);
    match header.origin {
        _ if !(known.is_live)(table) => None,
        None => Some("it does not say which records of the log its rows come from"),
        Some(origin) if Lsn(origin.lsn) > known.last_lsn => Some("it may hold rows of records that are not in the log"),
        Some(_) if known.unreadable.contains(&table) => Some("it may hold rows of a segment that cannot be read"),
        Some(_) => None,
    }
}

/// Removes or detaches `strays`, files of the shard's folders.
pub(crate) async fn settle<D: Disk>(
    disk: &D,
    folders: &Folders,
    shard: u32,
    strays: &[PathBuf],
    known: &Known<'_>,
) -> Result<Settled> {
    let mut settled = Settled::default();
    let mut keys_needed = !known.unreadable.is_empty();
    let is_segment = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "seg");
    let (segments, others): (Vec<_>, Vec<_>) = strays.iter().partition(is_segment);
    for path in segments {
        match reason_to_keep(read_header(disk, path).await?, known) {
            None => {
                disk.remove(path).await?;
                settled.removed += 1;
            }
            Some(reason) => {
                keys_needed = true;
                settled.detached += u64::from(detach_stray(disk, folders, shard, path, reason).await?);
            }
        }
    }
    for path in others {
        let is_temporary = path.as_os_str().to_string_lossy().ends_with(TEMPORARY_SUFFIX);
        if is_temporary || !keys_needed {
            disk.remove(path).await?;
            settled.removed += 1;
        } else {
            let reason = "segments may be of its series";
            settled.detached += u64::from(detach_stray(disk, folders, shard, path, reason).await?);
        }
    }
    Ok(settled)
}

/// Detaches a file; false where there is no space for that, and it stays where it is, unread.
async fn detach_stray<D: Disk>(disk: &D, folders: &Folders, shard: u32, path: &Path, reason: &str) -> Result<bool> {
    match detach(disk, folders, path).await {
        Ok(to) => {
            log::warn!(
                "shard {shard}: no manifest names {}, and {reason}: it is kept as {} and not read",
                path.display(),
                to.display()
            );
            Ok(true)
        }
        Err(error) if error.is_no_space() => {
            log::warn!("shard {shard}: no manifest names {}, and it stays there, not read: {error}", path.display());
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Moves a file into the folder of detached files; gives its path there.
pub(crate) async fn detach<D: Disk>(disk: &D, folders: &Folders, path: &Path) -> Result<PathBuf> {
    let taken: BTreeSet<String> = disk.list(&folders.detached).await?.into_iter().collect();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let numbered = (2..).map(|number: u64| format!("{name}.{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(name);
    let to = folders.detached.join(free);
    disk.create_dir(&folders.detached).await?;
    disk.sync_dir(&folders.root).await?;
    disk.rename(path, &to).await?;
    // First where it is now: a crash between the two may show it twice, never not at all.
    disk.sync_dir(&folders.detached).await?;
    if let Some(folder) = path.parent() {
        disk.sync_dir(folder).await?;
    }
    Ok(to)
}

/// The name that a detached file had: of those that had the same, all but the first have a number appended.
pub(crate) fn name_before(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((before, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => name,
    }
}

/// The number that files of a shard have at the beginning of their names.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.find(|c: char| !c.is_ascii_digit()).map(|end| &name[..end])?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Origin;

    #[test]
    fn a_segment_goes_only_where_its_rows_are_proved_to_be_elsewhere() {
        let known =
            Known { is_live: &|table| table != TableId(9), unreadable: BTreeSet::from([TableId(2)]), last_lsn: Lsn(7) };
        let origin = |lsn| Origin { lsn, ..Origin::default() };
        let header = |table: u32, lsn: Option<u64>| {
            Some(Header { version: 2, table, partition_start: 0, origin: lsn.map(origin) })
        };
        let kept = |header| reason_to_keep(header, &known).is_some();
        for (segment, expected) in [
            (header(1, Some(7)), false),
            (header(1, Some(8)), true),
            (header(1, None), true),
            (header(2, Some(1)), true),
            (header(9, Some(8)), false),
            (header(9, None), false),
            (None, true),
        ] {
            assert_eq!(kept(segment), expected, "{segment:?}");
        }
    }

    #[test]
    fn names_are_told_from_their_numbers() {
        assert_eq!(name_before("00000012.seg"), "00000012.seg");
        assert_eq!(name_before("00000012.seg.2"), "00000012.seg");
        assert_eq!(name_before("00000012.copy.keys.11"), "00000012.copy.keys");
        assert_eq!((number_of("00000012.seg"), number_of("x.seg"), number_of("12")), (Some(12), None, None));
    }
}
