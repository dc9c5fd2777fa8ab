//! A segment's file that no manifest names: what it says of itself.

use std::path::Path;

use super::SegmentMeta;
use super::format::{HEADER_BYTES, Header};
use super::reader::{read_footer, read_range};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};

/// The header of a file; `None` where it is damaged, or the file ends before it does.
pub(crate) async fn read_header<D: Disk>(disk: &D, path: &Path) -> Result<Option<Header>> {
    let file = disk.open(path, OpenMode::Read).await?;
    let header = header::<D>(&file, path).await;
    file.close().await?;
    header
}

/// The header of a file, and what a manifest would say of the segment. Blocks are not looked at.
pub(crate) async fn read_meta<D: Disk>(disk: &D, path: &Path) -> Result<(Header, SegmentMeta)> {
    let file = disk.open(path, OpenMode::Read).await?;
    let length = file.length().await?;
    let header = header::<D>(&file, path).await?;
    let header = header.ok_or_else(|| Error::corrupt(path, 0, "header is not that of a segment"))?;
    let (footer, offset) = read_footer::<D>(&file, path, length).await?;
    file.close().await?;
    if (footer.table, footer.partition_start) != (header.table, header.partition_start) {
        return Err(Error::corrupt(path, offset, "footer is not of the header's table and partition"));
    }
    let groups = &footer.groups;
    let meta = SegmentMeta {
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        rows: footer.rows,
        bytes: length,
        time_min: groups.iter().map(|group| group.time_min).min().unwrap_or(0),
        time_max: groups.iter().map(|group| group.time_max).max().unwrap_or(0),
        series_min: groups.first().map_or(0, |group| group.series_min),
        series_max: groups.last().map_or(0, |group| group.series_max),
        version: header.version,
        lsn: header.origin.map_or(0, |origin| origin.lsn),
        hard: false,
    };
    Ok((header, meta))
}

async fn header<D: Disk>(file: &D::File, path: &Path) -> Result<Option<Header>> {
    match read_range::<D>(file, path, 0, HEADER_BYTES as u64).await {
        Ok(bytes) => Ok(Header::decode(&bytes)),
        Err(Error::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
