//! A log record that says that rows are deleted: those of some series and times that were logged before it.

use rkyv::rancor::Error as RkyvError;
use rkyv::{Archive, Deserialize, Serialize};
use roaring::RoaringBitmap;

use crate::schema::TableId;

/// What is deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// The table.
    pub table: TableId,
    /// First time, inclusive.
    pub time_min: i64,
    /// Last time, inclusive.
    pub time_max: i64,
    /// The series; `None` for all.
    pub series: Option<RoaringBitmap>,
}

/// The archive of a [`Delete`].
#[derive(Debug, Archive, Serialize, Deserialize)]
pub(crate) struct DeleteRecord {
    table: u32,
    time_min: i64,
    time_max: i64,
    /// A bitmap, as roaring writes it.
    series: Option<Vec<u8>>,
}

impl Delete {
    /// Appends the archive to `out`, whose length must be a multiple of 16. On an error, `out` holds what it held.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let record = DeleteRecord {
            table: self.table.0,
            time_min: self.time_min,
            time_max: self.time_max,
            series: self.series.as_ref().map(bitmap_bytes).transpose()?,
        };
        let archive = rkyv::to_bytes::<RkyvError>(&record)
            .map_err(|error| format!("cannot archive a delete for the log: {error}"))?;
        out.extend_from_slice(&archive);
        Ok(())
    }

    /// Reads an archive, which must lie at an address that is a multiple of 16. Says what does not hold.
    pub(crate) fn decode(archive: &[u8]) -> Result<Self, String> {
        let record = rkyv::access::<ArchivedDeleteRecord, RkyvError>(archive)
            .map_err(|error| format!("a delete in the log is no archive: {error}"))?;
        Ok(Self {
            table: TableId(record.table.to_native()),
            time_min: record.time_min.to_native(),
            time_max: record.time_max.to_native(),
            series: record.series.as_ref().map(|bytes| bitmap_of(bytes)).transpose()?,
        })
    }
}

/// A set of series as bytes.
pub(crate) fn bitmap_bytes(series: &RoaringBitmap) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(series.serialized_size());
    series.serialize_into(&mut bytes).map_err(|error| format!("cannot lay out a set of series: {error}"))?;
    Ok(bytes)
}

/// The set of series that [`bitmap_bytes`] has laid out.
pub(crate) fn bitmap_of(bytes: &[u8]) -> Result<RoaringBitmap, String> {
    RoaringBitmap::deserialize_from(bytes).map_err(|error| format!("a set of series is none: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_come_back_and_damage_is_told() {
        for series in [None, Some(RoaringBitmap::new()), Some((0..5000).map(|id| id * 3).collect())] {
            let delete = Delete { table: TableId(7), time_min: i64::MIN, time_max: 12, series };
            let mut out = vec![0; 16];
            delete.encode(&mut out).unwrap();
            let mut archive = rkyv::util::AlignedVec::<16>::new();
            archive.extend_from_slice(&out[16..]);
            assert_eq!(Delete::decode(&archive).unwrap(), delete);
            for length in 0..archive.len().min(100) {
                assert!(Delete::decode(&archive[..length]).is_err(), "{length}");
            }
        }
        assert!(bitmap_of(&[1, 2, 3]).is_err());
    }
}
