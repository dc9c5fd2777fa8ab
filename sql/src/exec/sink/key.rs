//! The keys of ORDER BY as numbers and bytes that compare as the keys do.
//!
//! 1. The first key makes the head of a row: a 64-bit number whole, a text by its first eight bytes, anything else by
//!    the first eight bytes of step 2. Descending order inverts the bits.
//! 2. Where heads tie and there is more to compare, rows are compared by bytes of arrow's row format: of the keys after
//!    the first where the first is in the head whole, else of all.
//! 3. Where these are tags, the rows of a series share them ([`super::shared`]), and places are compared, not bytes.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, UInt32Array};
use arrow_row::{Row, RowConverter, Rows, SortField};
use arrow_schema::{DataType, SortOptions};
use arrow_select::take::take;

use super::shared::{SharedTies, beginning};
use super::words::words;
use crate::error::execution::Result;
use crate::exec::batch::OUTPUT_ROWS;
use crate::exec::context::QueryContext;
use crate::exec::eval::{Input, Room, evaluate_array};
use crate::expr::Expr;
use crate::plan::SortKey;
use crate::types::array::cast_to;
use crate::types::float;

/// Class and prefix of a row: see [`super::entry::Entry`].
pub(crate) type Head = (bool, u64);

/// How the first key is in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// Whole: a signed number or time.
    Int,
    /// Whole.
    UInt,
    /// Whole.
    Float,
    /// The first bytes of a text.
    Text,
    /// The first bytes of the row format.
    Bytes,
}

/// A text's last block, of up to 32 bytes, is filled up; room for the marks of a key is in this too.
const TEXT_BEGUN_BYTES: usize = 48;

/// What decides between rows of one head, by row of a batch.
pub(super) enum Ties {
    /// Numbers of bytes that rows share.
    Shared(Vec<u32>),
    /// Bytes of each.
    Own(Rows),
}

impl Ties {
    /// Memory held.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Shared(numbers) => numbers.capacity() * size_of::<u32>(),
            Self::Own(rows) => rows.size(),
        }
    }
}

/// Makes heads and bytes.
pub(crate) struct KeyEncoder {
    keys: Vec<SortKey>,
    shared: SharedTies,
    /// Whether rows of the batches so far had ties that were equal, and how many rows that were.
    may_share: bool,
    rows_shared: usize,
    /// Known from the first batch on.
    known: Option<Known>,
}

struct Known {
    first: First,
    /// For ties; `None` where heads decide all.
    converter: Option<RowConverter>,
    /// The first key's type.
    first_type: DataType,
    /// Types of the keys that the converter takes.
    types: Vec<DataType>,
}

impl KeyEncoder {
    /// For these keys over the columns of batches.
    pub(crate) fn new(keys: Vec<SortKey>) -> Self {
        Self { keys, shared: SharedTies::default(), may_share: true, rows_shared: 0, known: None }
    }

    /// Learns the types of the keys, from any batch. To be called before all else.
    pub(crate) fn prepare(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.known.is_none() {
            self.known = Some(Known::of(&self.keys, batch)?);
        }
        Ok(())
    }

    /// Whether rows of one head are equal in the first key.
    pub(crate) fn is_whole(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.skipped() > 0)
    }

    /// The heads of all rows.
    pub(crate) fn heads(&self, batch: &RecordBatch) -> Result<Vec<Head>> {
        let (Some(key), Some(known)) = (self.keys.first(), &self.known) else {
            return Ok(vec![(false, 0); batch.num_rows()]);
        };
        if known.first == First::Bytes {
            let head = |row: Row<'_>| (false, prefix_of(row.as_ref()));
            let columns = self.after_head().map(|key| evaluate(key, batch)).collect::<Result<Vec<_>>>()?;
            return Ok(self.encoded(&columns)?.map_or_else(Vec::new, |rows| rows.iter().map(head).collect()));
        }
        let mut column = evaluate(key, batch)?;
        if known.first != First::Text {
            column = cast_to(&column, &known.first_type)?;
        }
        // Nulls have a class of their own, before or after all values.
        let flip = if key.descending { u64::MAX } else { 0 };
        let value = |prefix: u64| (key.nulls_first, prefix ^ flip);
        let null = (!key.nulls_first, 0);
        let heads = |prefixes: &mut dyn Iterator<Item = u64>| match column.logical_nulls() {
            Some(nulls) if nulls.null_count() > 0 => {
                prefixes.zip(nulls.iter()).map(|(prefix, valid)| if valid { value(prefix) } else { null }).collect()
            }
            _ => prefixes.map(value).collect(),
        };
        const SIGN: u64 = 1 << 63;
        Ok(match known.first {
            First::Int => heads(&mut words(&column).iter().map(|word| word ^ SIGN)),
            First::UInt => heads(&mut words(&column).iter().copied()),
            // Negative floats order by their inverted bits, the others after them.
            First::Float => {
                heads(&mut words(&column).iter().map(|&word| if word & SIGN != 0 { !word } else { word ^ SIGN }))
            }
            First::Text | First::Bytes => match column.as_dictionary_opt::<UInt32Type>() {
                Some(texts) => {
                    let values = texts.values().as_string::<i32>();
                    let prefix = |key: Option<u32>| key.map_or(0, |at| prefix_of(values.value(at as usize).as_bytes()));
                    heads(&mut texts.keys().iter().map(prefix))
                }
                None => {
                    let texts = column.as_string::<i32>();
                    heads(&mut texts.iter().map(|text| prefix_of(text.unwrap_or_default().as_bytes())))
                }
            },
        })
    }

    /// What decides between rows of one head; `None` where nothing is left to compare.
    pub(super) fn ties(&mut self, batch: &RecordBatch) -> Result<Option<Ties>> {
        if !self.has_ties() {
            return Ok(None);
        }
        let columns = self.after_head().map(|key| evaluate(key, batch)).collect::<Result<Vec<_>>>()?;
        if self.may_share && columns.iter().all(is_coded) {
            let mut numbers = Vec::new();
            let fresh = self.shared.numbers(&columns, batch.num_rows(), &mut numbers)?;
            self.rows_shared += batch.num_rows();
            let count_max = (self.rows_shared / 2).clamp(SHARED_MIN, SHARED_MAX);
            self.may_share = self.shared.len() + fresh.len() <= count_max;
            if !fresh.is_empty() {
                let fresh = UInt32Array::from(fresh);
                let columns =
                    columns.iter().map(|column| Ok(take(column, &fresh, None)?)).collect::<Result<Vec<_>>>()?;
                if let Some(rows) = self.encoded(&columns)? {
                    self.shared.add(rows);
                }
            }
            return Ok(Some(Ties::Shared(numbers)));
        }
        Ok(self.encoded(&columns)?.map(Ties::Own))
    }

    /// The order of two rows of one head.
    pub(super) fn tie_order(&self, ties: &Ties, row: usize, other: &Ties, other_row: usize) -> Ordering {
        match (ties, other) {
            (Ties::Shared(numbers), Ties::Shared(others)) => {
                self.shared.place(numbers[row]).cmp(&self.shared.place(others[other_row]))
            }
            _ => self.tie_bytes(ties, row).cmp(self.tie_bytes(other, other_row)),
        }
    }

    /// A number that orders as the ties do, among those of one batch and as far as it goes.
    pub(super) fn tie_prefix(&self, ties: &Ties, row: usize) -> u128 {
        match ties {
            Ties::Shared(numbers) => u128::from(self.shared.place(numbers[row])),
            Ties::Own(_) => beginning(self.tie_bytes(ties, row)),
        }
    }

    fn tie_bytes<'a>(&'a self, ties: &'a Ties, row: usize) -> &'a [u8] {
        match ties {
            Ties::Shared(numbers) => self.shared.bytes_of(numbers[row]),
            Ties::Own(rows) => rows.row(row).data(),
        }
    }

    /// Memory held for what rows share.
    pub(super) fn size(&self) -> usize {
        self.shared.size()
    }

    /// The bytes of the keys `columns` that heads do not hold whole.
    fn encoded(&self, columns: &[ArrayRef]) -> Result<Option<Rows>> {
        let Some(Known { converter: Some(converter), types, .. }) = &self.known else { return Ok(None) };
        let columns = columns.iter().zip(types).map(|(column, to)| cast_to(column, to)).collect::<Result<Vec<_>>>()?;
        Ok(Some(converter.convert_columns(&columns)?))
    }

    fn has_ties(&self) -> bool {
        matches!(&self.known, Some(Known { converter: Some(_), .. }))
    }

    /// At most what [`Self::ties`] takes for a batch.
    pub(super) fn bytes_max(&self, batch: &RecordBatch) -> Result<usize> {
        if !self.has_ties() {
            return Ok(0);
        }
        // A row and a key have a byte or block begun beside what they hold, and a row its offset. To find rows that are
        // equal takes a number for each and a word for each key. These are kept, with room to grow, where they are new,
        // and so are the places.
        let rows = batch.num_rows();
        let mut bytes = rows * (size_of::<usize>() + 12 * size_of::<u32>());
        for key in self.after_head() {
            let column = evaluate(key, batch)?;
            let held = match column.as_dictionary_opt::<UInt32Type>() {
                Some(texts) => {
                    let values = texts.values().as_string::<i32>();
                    bytes += values.len().min(SHARED_VALUES_MAX) * size_of::<u64>();
                    texts.keys().iter().flatten().map(|at| values.value(at as usize).len()).sum()
                }
                None => column.to_data().get_slice_memory_size()?,
            };
            // Each block of a text, eight bytes or more, is followed by one that says whether another follows.
            bytes += held / 8 * 9 + rows * (TEXT_BEGUN_BYTES + 5 * size_of::<u64>());
        }
        Ok(bytes)
    }

    /// The keys that heads do not hold whole.
    fn after_head(&self) -> impl Iterator<Item = &SortKey> {
        self.keys.iter().skip(self.known.as_ref().map_or(0, Known::skipped))
    }
}

impl Known {
    fn of(keys: &[SortKey], batch: &RecordBatch) -> Result<Self> {
        let types = keys.iter().map(|key| Ok(plain(evaluate(key, batch)?.data_type()))).collect::<Result<Vec<_>>>()?;
        let first = match types.first() {
            Some(DataType::Int64 | DataType::Timestamp(..) | DataType::Duration(_)) => First::Int,
            Some(DataType::UInt64) => First::UInt,
            Some(DataType::Float64) => First::Float,
            Some(DataType::Utf8) => First::Text,
            _ => First::Bytes,
        };
        let first_type = types.first().cloned().unwrap_or(DataType::Null);
        let mut known = Self { first, converter: None, first_type, types };
        let skipped = known.skipped();
        known.types.drain(..skipped);
        if !known.types.is_empty() {
            let fields = keys[skipped..].iter().zip(&known.types).map(|(key, data_type)| {
                let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
                SortField::new_with_options(data_type.clone(), options)
            });
            known.converter = Some(RowConverter::new(fields.collect())?);
        }
        Ok(known)
    }

    /// Keys that the head holds whole.
    fn skipped(&self) -> usize {
        usize::from(matches!(self.first, First::Int | First::UInt | First::Float))
    }
}

/// Ties that are kept once for all rows that have them: a batch with new ones costs a walk over their places.
const SHARED_MAX: usize = 4 * OUTPUT_ROWS;

/// As many are kept even if hardly a row shares them: the first rows of a sort say little.
const SHARED_MIN: usize = 1_024;

/// Text that a key may make of a batch where it is no column.
const KEY_BYTES_MAX: u64 = 64 << 20;

/// A key of all rows. Text is plain, or a dictionary of plain text by 32-bit keys; equal floats have equal bits.
fn evaluate(key: &SortKey, batch: &RecordBatch) -> Result<ArrayRef> {
    let column = match &key.expr {
        // As the front ends have them.
        Expr::Column(at) if *at < batch.num_columns() => Arc::clone(batch.column(*at)),
        expr => evaluate_array(expr, Input::of(batch, &Room::new(&QueryContext::new(KEY_BYTES_MAX, None))))?,
    };
    match column.data_type() {
        DataType::Dictionary(keys, values) if **keys != DataType::UInt32 || **values != DataType::Utf8 => {
            cast_to(&column, values)
        }
        DataType::Float64 => {
            let floats: Float64Array = column.as_primitive::<Float64Type>().unary(float::canonical);
            Ok(Arc::new(floats))
        }
        _ => Ok(column),
    }
}

/// Values of a dictionary up to which rows that share their ties are looked for: each value costs something a batch.
const SHARED_VALUES_MAX: usize = 4 * OUTPUT_ROWS;

/// Whether a column has few values, as tags and booleans have.
fn is_coded(column: &ArrayRef) -> bool {
    match column.as_any_dictionary_opt() {
        Some(texts) => texts.values().len() <= SHARED_VALUES_MAX,
        None => *column.data_type() == DataType::Boolean,
    }
}

/// The type of a column's values.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => (**value).clone(),
        other => other.clone(),
    }
}

/// Up to eight bytes as a number that orders as they do.
fn prefix_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(padded)
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{BooleanArray, DictionaryArray, Int64Array, StringArray, UInt64Array};
    use arrow_ord::sort::{LexicographicalComparator, SortColumn};
    use arrow_schema::{Field, Schema};
    use arrow_select::concat::concat_batches;

    use super::*;
    use crate::exec::sink::entry::Entry;

    /// What tables have room for from the start.
    const BYTES_BEGUN: usize = 4_096;

    /// Columns of all forms with ties, nulls and the ends of their types.
    fn batch(random: &mut fastrand::Rng, rows: usize) -> RecordBatch {
        let mut some = |of: &dyn Fn(&mut fastrand::Rng) -> usize| {
            (0..rows).map(|_| (random.u8(0..5) > 0).then(|| of(random))).collect::<Vec<Option<usize>>>()
        };
        let pick = |random: &mut fastrand::Rng| random.usize(0..7);
        let ints = [i64::MIN, -1, 0, 1, 5, i64::MAX - 1, i64::MAX];
        let uints = [0, 1, 2, 1 << 63, u64::MAX - 1, u64::MAX, 7];
        let floats = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, f64::INFINITY, f64::NAN, -f64::NAN];
        let texts = ["", "a", "ab", "abcdefgh", "abcdefghi", "abcdefgh\0", "é"];
        let text = some(&pick);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(some(&pick).into_iter().map(|at| at.map(|at| ints[at])).collect::<Int64Array>()),
            Arc::new(some(&pick).into_iter().map(|at| at.map(|at| uints[at])).collect::<UInt64Array>()),
            Arc::new(some(&pick).into_iter().map(|at| at.map(|at| floats[at])).collect::<Float64Array>()),
            Arc::new(text.iter().map(|at| at.map(|at| texts[at])).collect::<StringArray>()),
            Arc::new(text.iter().map(|at| at.map(|at| texts[at])).collect::<DictionaryArray<UInt32Type>>()),
            Arc::new(some(&pick).into_iter().map(|at| at.map(|at| at > 3)).collect::<BooleanArray>()),
        ];
        let fields = columns.iter().map(|c| Field::new("", c.data_type().clone(), true)).collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn encoded_keys_order_as_arrows_comparison_does() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shared = 0;
        for _ in 0..60 {
            let batches = [batch(&mut random, 60), batch(&mut random, 40)];
            let keys: Vec<SortKey> = (0..random.usize(1..4))
                .map(|_| SortKey {
                    expr: Expr::Column(random.usize(0..batches[0].num_columns())),
                    descending: random.bool(),
                    nulls_first: random.bool(),
                })
                .collect();
            let all = concat_batches(batches[0].schema_ref(), &batches).unwrap();
            let columns: Vec<SortColumn> = keys
                .iter()
                .map(|key| SortColumn {
                    values: evaluate(key, &all).unwrap(),
                    options: Some(SortOptions { descending: key.descending, nulls_first: key.nulls_first }),
                })
                .collect();
            let expected = LexicographicalComparator::try_new(&columns).unwrap();
            let mut encoder = KeyEncoder::new(keys.clone());
            encoder.prepare(&batches[0]).unwrap();
            let (mut all_ties, mut entries, mut bytes_max) = (Vec::new(), Vec::new(), BYTES_BEGUN);
            for (number, batch) in (0..).zip(&batches) {
                // The bytes of the second are kept row by row now and then.
                encoder.may_share &= number == 0 || random.bool();
                bytes_max += encoder.bytes_max(batch).unwrap();
                let ties = encoder.ties(batch).unwrap();
                let heads = encoder.heads(batch).unwrap();
                entries.extend((0..).zip(heads).map(|(row, head)| Entry::new(head, number, row)));
                shared += usize::from(matches!(ties, Some(Ties::Shared(_))));
                all_ties.push(ties);
            }
            let bytes = all_ties.iter().flatten().map(Ties::size).sum::<usize>() + encoder.size();
            assert!(bytes <= bytes_max, "{bytes} bytes, {bytes_max} reserved");
            for (a, b) in (0..entries.len()).flat_map(|a| (0..entries.len()).map(move |b| (a, b))) {
                let found = entries[a].order(&entries[b], |a, b| match (&all_ties[a.batch()], &all_ties[b.batch()]) {
                    (Some(ties), Some(other)) => encoder.tie_order(ties, a.row(), other, b.row()),
                    _ => Ordering::Equal,
                });
                assert_eq!(found, expected.compare(a, b), "{keys:?}, rows {a} and {b}, TIDEWIRE_SEED={seed}");
            }
        }
        assert!(shared > 0, "no rows had equal ties, TIDEWIRE_SEED={seed}");
    }
}
