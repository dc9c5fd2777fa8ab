//! The rows of a read as series, in the order of their labels.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use tidewire_protocol::prometheus::{LabelKey, NAME, STALE_MARKER, SampleSeries};
use tidewire_sql::exec::{ExecError, Reservation};

use super::wanted::Selected;
use crate::query::run::RowsOut;
use crate::ring::yield_if_needed;

/// Rows that are taken before others get the core: some 50 µs.
const ROWS_STEP: usize = 512;

/// What a series takes beside its labels and samples: its places in the map and the list.
const SERIES_BYTES: usize = size_of::<SampleSeries>() + 2 * size_of::<(LabelKey, usize)>();

/// Series by their labels.
pub(super) struct Found {
    by_labels: BTreeMap<LabelKey, usize>,
    series: Vec<SampleSeries>,
    /// Bytes of all of it.
    bytes: usize,
    held: Reservation,
    /// Rows taken.
    pub(super) rows: u64,
}

impl Found {
    /// Nothing yet; what is found is of the query that `held` is of.
    pub(super) fn new(held: Reservation) -> Self {
        Self { by_labels: BTreeMap::new(), series: Vec::new(), bytes: 0, held, rows: 0 }
    }

    /// Takes rows of a statement.
    pub(super) fn rows_of<'f>(&'f mut self, selected: &'f Selected) -> FoundRows<'f> {
        FoundRows { found: self, selected, key: LabelKey::default() }
    }

    /// The series of these labels.
    fn place(&mut self, key: &LabelKey) -> usize {
        if let Some(place) = self.by_labels.get(key) {
            return *place;
        }
        let place = self.series.len();
        self.bytes += SERIES_BYTES + key.bytes();
        self.by_labels.insert(key.clone(), place);
        self.series.push(SampleSeries::default());
        place
    }

    /// No more rows come: puts the samples of each series in order.
    pub(super) async fn end(&mut self) -> Result<(), ExecError> {
        for series in &mut self.series {
            let before = series.bytes();
            self.held.resize(self.bytes + series.bytes_to_end())?;
            series.end();
            self.bytes = (self.bytes + series.bytes()).saturating_sub(before);
            yield_if_needed().await;
        }
        self.held.resize(self.bytes)
    }

    /// The series in the order of their labels.
    pub(super) fn series(&self) -> impl Iterator<Item = (&LabelKey, &SampleSeries)> {
        self.by_labels.iter().filter_map(|(labels, place)| Some((labels, self.series.get(*place)?)))
    }
}

/// The rows of one statement.
pub(super) struct FoundRows<'f> {
    found: &'f mut Found,
    selected: &'f Selected,
    key: LabelKey,
}

impl RowsOut for FoundRows<'_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        let (Some(times), Some(values)) = (batch.columns().first(), batch.columns().get(1)) else { return Ok(()) };
        let (times, values) = (Times::of(times)?, Values::of(values)?);
        let is_value_null = batch.columns().get(1).and_then(|values| values.nulls());
        let first_tag = if self.selected.has_stale { 3 } else { 2 };
        let tags: Vec<Tags<'_>> = batch.columns().iter().skip(first_tag).map(Tags::of).collect::<Result<_, _>>()?;
        let mut place = None;
        for row in 0..batch.num_rows() {
            let known = place.filter(|_| row > 0 && tags.iter().all(|tag| tag.is_same(row - 1, row)));
            let at = match known {
                Some(at) => at,
                None => {
                    self.name_series(&tags, row);
                    self.found.place(&self.key)
                }
            };
            place = Some(at);
            let before = self.found.series[at].bytes();
            // The statement gives no row without a value but for stale markers.
            let is_stale = is_value_null.is_some_and(|nulls| nulls.is_null(row));
            let bits = if is_stale { STALE_MARKER } else { values.bits(row) };
            self.found.series[at].push(times.milliseconds(row), bits);
            self.found.bytes = (self.found.bytes + self.found.series[at].bytes()).saturating_sub(before);
            if row % ROWS_STEP == ROWS_STEP - 1 {
                self.found.held.resize(self.found.bytes)?;
                yield_if_needed().await;
            }
        }
        self.found.rows += batch.num_rows() as u64;
        self.found.held.resize(self.found.bytes)
    }
}

impl FoundRows<'_> {
    /// Puts the labels of a row together.
    fn name_series(&mut self, tags: &[Tags<'_>], row: usize) {
        self.key.clear();
        let mut tags = tags.iter();
        for label in &self.selected.labels {
            let value = match label == NAME {
                true => Some(self.selected.name.as_str()),
                false => tags.next().and_then(|tag| tag.value(row)),
            };
            self.key.push(label, value.unwrap_or_default());
        }
    }
}

fn unknown(what: &str, data_type: &DataType) -> ExecError {
    ExecError::Internal(format!("{what} of samples are of type {data_type}"))
}

/// Times of rows.
struct Times<'a> {
    values: &'a [i64],
    /// How many are a millisecond.
    of_a_millisecond: i64,
}

impl<'a> Times<'a> {
    fn of(column: &'a dyn Array) -> Result<Self, ExecError> {
        let (values, of_a_millisecond) = match column.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                (column.as_primitive::<TimestampNanosecondType>().values(), 1_000_000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                (column.as_primitive::<TimestampMicrosecondType>().values(), 1_000)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                (column.as_primitive::<TimestampMillisecondType>().values(), 1)
            }
            other => return Err(unknown("times", other)),
        };
        Ok(Self { values, of_a_millisecond })
    }

    fn milliseconds(&self, row: usize) -> i64 {
        self.values[row].div_euclid(self.of_a_millisecond)
    }
}

/// Values of rows.
enum Values<'a> {
    Float(&'a [f64]),
    Int(&'a [i64]),
    UInt(&'a [u64]),
}

impl<'a> Values<'a> {
    fn of(column: &'a dyn Array) -> Result<Self, ExecError> {
        match column.data_type() {
            DataType::Float64 => Ok(Self::Float(column.as_primitive::<Float64Type>().values())),
            DataType::Int64 => Ok(Self::Int(column.as_primitive::<Int64Type>().values())),
            DataType::UInt64 => Ok(Self::UInt(column.as_primitive::<UInt64Type>().values())),
            other => Err(unknown("values", other)),
        }
    }

    fn bits(&self, row: usize) -> u64 {
        match self {
            Self::Float(values) => values[row],
            Self::Int(values) => values[row] as f64,
            Self::UInt(values) => values[row] as f64,
        }
        .to_bits()
    }
}

/// A tag of rows.
struct Tags<'a> {
    /// Places of the texts; `None` where each row has its own.
    keys: Option<&'a [u32]>,
    texts: &'a StringArray,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Tags<'a> {
    fn of(column: &'a std::sync::Arc<dyn Array>) -> Result<Self, ExecError> {
        if let Some(texts) = column.as_string_opt::<i32>() {
            return Ok(Self { keys: None, texts, nulls: column.nulls() });
        }
        let tags = column.as_dictionary_opt::<UInt32Type>();
        let texts = tags.and_then(|tags| tags.values().as_string_opt::<i32>());
        match (tags, texts) {
            (Some(tags), Some(texts)) => Ok(Self { keys: Some(tags.keys().values()), texts, nulls: column.nulls() }),
            _ => Err(unknown("tags", column.data_type())),
        }
    }

    fn value(&self, row: usize) -> Option<&'a str> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(self.texts.value(self.keys.map_or(row, |keys| keys[row] as usize)))
    }

    fn is_same(&self, one: usize, other: usize) -> bool {
        match self.keys {
            Some(keys) if self.nulls.is_none() => keys[one] == keys[other],
            _ => self.value(one) == self.value(other),
        }
    }
}
