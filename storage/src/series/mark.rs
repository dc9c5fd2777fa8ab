//! A mark of which series a table's first ones are: a segment's rows name series by number, and the mark tells whether
//! the numbers mean the same where it is put back.

use super::SeriesIndex;

/// Bytes of keys that are taken in at once: some 10 µs.
const STEP_BYTES: usize = 128 << 10;

/// The first series of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SeriesMark {
    /// How many.
    pub(crate) count: u32,
    /// Checksum of their keys, end to end.
    pub(crate) crc: u32,
}

impl SeriesMark {
    /// That of the first `count` series of an index.
    pub(crate) fn of(index: &SeriesIndex, count: u32) -> Self {
        let mut mark = Self::default();
        while mark.advance(index, count) {}
        mark
    }

    /// Takes in some of the next series, up to the first `count`; false when there is nothing left to do.
    pub(crate) fn advance(&mut self, index: &SeriesIndex, count: u32) -> bool {
        let left = count.min(index.len() as u32).saturating_sub(self.count);
        if left == 0 {
            return false;
        }
        let (keys, lengths) = index.keys_from(self.count);
        let mut end = 0;
        for length in lengths.take(left as usize) {
            end += length as usize;
            self.count += 1;
            if end >= STEP_BYTES {
                break;
            }
        }
        self.crc = crc32c::crc32c_append(self.crc, keys.get(..end).unwrap_or_default());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::NewSeries;
    use crate::schema::ColumnId;

    #[test]
    fn a_mark_is_the_same_however_it_came_about_and_another_for_other_series() {
        let index_of = |hosts: &[String]| {
            let (mut keys, mut index) = (NewSeries::default(), SeriesIndex::default());
            for host in hosts {
                keys.push([(ColumnId(1), host.as_bytes())]);
            }
            index.insert_all(&keys);
            index
        };
        let hosts: Vec<String> = (0..10).map(|i| format!("{i}{}", "x".repeat(STEP_BYTES / 3))).collect();
        let (all, first) = (index_of(&hosts), index_of(&hosts[..4]));
        assert_eq!(SeriesMark::of(&all, 4), SeriesMark::of(&first, 9));
        let mut mark = SeriesMark::of(&first, 4);
        while mark.advance(&all, 10) {}
        assert_eq!((mark, mark.count), (SeriesMark::of(&all, 10), 10));
        let mut others = hosts.clone();
        others.swap(0, 1);
        assert_ne!(SeriesMark::of(&index_of(&others), 4).crc, SeriesMark::of(&all, 4).crc);
    }
}
