//! A tag's column of each chunk: keys into the values that a fragment can meet, which all its batches share.
//!
//! Where the values are more text than one array can count, or than the query has memory for, each chunk has a
//! dictionary of its own, of the values that stand in it.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use hashbrown::HashMap;
use roaring::RoaringBitmap;
use tidewire_storage::scan::ScanChunk;
use tidewire_storage::schema::ColumnId;

use super::reader::{NO_TAG, TagIndex};
use crate::error::execution::Result;
use crate::exec::context::{QueryContext, Reservation};

/// Hashing for small integer keys that come from ids the shard itself gave out.
pub(crate) type IdState = rapidhash::fast::RandomState;

/// Text of one array, whose offsets are 32 bits.
const SHARED_BYTES_MAX: usize = i32::MAX as usize;

/// The values of a tag that a fragment can meet.
pub(super) enum TagDictionary {
    /// One array for all batches.
    Shared {
        values: ArrayRef,
        /// Position of each code in `values`; `None` where a code is its own position.
        positions: Option<HashMap<u32, u32, IdState>>,
        /// What `values` takes.
        _held: Reservation,
    },
    /// One for each chunk.
    OfChunk,
}

impl TagDictionary {
    /// The values that the wanted series have. For few of many series only theirs, else all of the tag's.
    pub(super) fn new<I: TagIndex>(
        index: &I,
        column: ColumnId,
        wanted: Option<&RoaringBitmap>,
        context: &QueryContext,
    ) -> Self {
        Self::within(index, column, wanted, context, SHARED_BYTES_MAX)
    }

    fn within<I: TagIndex>(
        index: &I,
        column: ColumnId,
        wanted: Option<&RoaringBitmap>,
        context: &QueryContext,
        bytes_max: usize,
    ) -> Self {
        let count = index.value_count(column);
        let (codes, positions) = match wanted {
            Some(wanted) if wanted.len() < u64::from(count) => {
                let all = index.codes(column);
                let mut positions = HashMap::with_hasher(IdState::default());
                let mut codes = Vec::new();
                for series in wanted {
                    let code = all.get(series as usize).copied().unwrap_or(NO_TAG);
                    if code != NO_TAG {
                        positions.entry(code).or_insert_with(|| {
                            codes.push(code);
                            codes.len() as u32 - 1
                        });
                    }
                }
                (codes, Some(positions))
            }
            _ => ((0..count).collect(), None),
        };
        let values = codes.iter().map(|code| index.value(column, *code));
        let text = values.clone().map(str::len).fold(0, usize::saturating_add);
        let mut held = context.reservation();
        if text > bytes_max || held.resize(text.saturating_add(codes.len() * size_of::<i32>())).is_err() {
            return Self::OfChunk;
        }
        Self::Shared { values: Arc::new(StringArray::from_iter_values(values)), positions, _held: held }
    }

    /// The column of a chunk: one key a row.
    pub(super) fn column<I: TagIndex>(&self, index: &I, column: ColumnId, chunk: &ScanChunk) -> Result<ArrayRef> {
        let codes = index.codes(column);
        let mut own = OwnValues::default();
        let mut keys = Vec::with_capacity(chunk.rows());
        let mut nulls = NullBufferBuilder::new(chunk.rows());
        for run in &chunk.runs {
            let code = codes.get(run.series.0 as usize).copied().unwrap_or(NO_TAG);
            let len = run.len as usize;
            let position = match self {
                Self::Shared { values, positions: None, .. } => {
                    // A code beyond the values came after the scan began, so no row of it can have it.
                    (code < values.len() as u32).then_some(code)
                }
                Self::Shared { positions: Some(positions), .. } => positions.get(&code).copied(),
                Self::OfChunk => (code != NO_TAG).then(|| own.position(code)),
            };
            keys.resize(keys.len() + len, position.unwrap_or(0));
            match position {
                Some(_) => nulls.append_n_non_nulls(len),
                None => nulls.append_n_nulls(len),
            }
        }
        let keys = PrimitiveArray::<UInt32Type>::new(ScalarBuffer::from(keys), nulls.finish());
        let values = match self {
            Self::Shared { values, .. } => Arc::clone(values),
            Self::OfChunk => {
                Arc::new(StringArray::from_iter_values(own.codes.iter().map(|code| index.value(column, *code))))
            }
        };
        Ok(Arc::new(DictionaryArray::try_new(keys, values)?))
    }
}

/// The codes that stand in a chunk.
#[derive(Default)]
struct OwnValues {
    codes: Vec<u32>,
    positions: HashMap<u32, u32, IdState>,
}

impl OwnValues {
    fn position(&mut self, code: u32) -> u32 {
        let Self { codes, positions } = self;
        *positions.entry(code).or_insert_with(|| {
            codes.push(code);
            codes.len() as u32 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use tidewire_storage::scan::Run;
    use tidewire_storage::schema::SeriesId;

    use super::*;

    /// An index of one tag: of each series its code.
    struct Tags(Vec<u32>);

    const VALUES: [&str; 4] = ["a", "bb", "", "cccc"];

    impl TagIndex for Tags {
        fn series_count(&self) -> u32 {
            self.0.len() as u32
        }

        fn codes(&self, _: ColumnId) -> &[u32] {
            &self.0
        }

        fn value_count(&self, _: ColumnId) -> u32 {
            VALUES.len() as u32
        }

        fn value(&self, _: ColumnId, code: u32) -> &str {
            VALUES[code as usize]
        }

        fn code(&self, _: ColumnId, value: &str) -> Option<u32> {
            VALUES.iter().position(|known| *known == value).map(|at| at as u32)
        }

        fn add_postings(&self, _: ColumnId, _: u32, _: &mut RoaringBitmap) {}
    }

    #[test]
    fn a_dictionary_of_each_chunk_says_what_a_shared_one_says() {
        let (index, column) = (Tags(vec![3, 0, NO_TAG, 1, 0, 2]), ColumnId(0));
        let context = QueryContext::new(1 << 10, None);
        let poor = QueryContext::new(4, None);
        let runs = [(0, 2), (1, 1), (2, 2), (4, 1), (5, 3)];
        let mut start = 0;
        let runs = runs.map(|(series, len)| {
            start += len;
            Run { series: SeriesId(series), start: start - len, len }
        });
        let chunk = ScanChunk { runs: runs.to_vec(), time: vec![0_i64; start as usize].into(), columns: Vec::new() };
        let expected = ["cccc", "cccc", "a", "-", "-", "a", "", "", ""];
        let some: RoaringBitmap = [0, 1, 2, 4, 5].into_iter().collect();
        let few: RoaringBitmap = [0, 1].into_iter().collect();
        for (of, context, bytes_max, is_shared) in [
            (None, &context, 7, true),
            (None, &context, 6, false),
            (None, &poor, 7, false),
            (Some(&some), &context, 7, true),
            (Some(&few), &context, 4, false),
        ] {
            let dictionary = TagDictionary::within(&index, column, of, context, bytes_max);
            assert_eq!(matches!(dictionary, TagDictionary::Shared { .. }), is_shared);
            let array = dictionary.column(&index, column, &chunk).unwrap();
            let texts = array.as_dictionary::<UInt32Type>().downcast_dict::<StringArray>().unwrap();
            let found: Vec<&str> = texts.into_iter().map(|text| text.unwrap_or("-")).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(context.memory_used() + poor.memory_used(), 0);
    }
}
