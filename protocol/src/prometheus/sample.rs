//! Samples as rows.

use super::names::{NAME, STALE, STALE_MARKER, UNNAMED, VALUE, tag_name};
use crate::protobuf::{Fields, signed};
use crate::row::{DraftMark, FieldKind, Next, Position, RawValue, RowDraft, RowError, RowTaker, SeriesText, TimeScale};

/// Labels of a series.
pub(super) const LABELS_MAX: usize = 1024;

/// Samples of a series that is known by its labels: clients send one, and after a pause some.
pub(super) const KNOWN_SAMPLES_MAX: usize = 8;

const MILLISECONDS: TimeScale = TimeScale::Unit(1_000_000);

/// What a message has brought beside its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Samples {
    /// Samples met, stale markers among them.
    pub samples: u64,
    /// Stale markers.
    pub stale: u64,
    /// Histograms, which are refused.
    pub histograms: u64,
}

/// How far a message has been read.
#[derive(Debug, Default)]
pub struct RemoteWrite {
    draft: RowDraft,
    /// What of it all samples of a series have.
    series_mark: Option<DraftMark>,
    /// Series met; a refusal names the series.
    series: u64,
    found: Samples,
}

impl RemoteWrite {
    /// What the message has brought so far.
    pub fn found(&self) -> Samples {
        self.found
    }

    /// A series with these labels begins.
    pub(super) fn begin<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)> + Clone) {
        self.series += 1;
        let name = labels.clone().find(|(name, _)| *name == NAME).map_or("", |(_, value)| value);
        self.draft.begin(if name.is_empty() { UNNAMED } else { name });
        for (name, value) in labels {
            self.draft.tag(tag_name(name), value);
        }
        self.series_mark = Some(self.draft.mark());
        self.draft.field(VALUE, FieldKind::Float, RawValue::from_float(0.0));
    }

    /// A series was known, with this number of samples.
    pub(super) fn count_known(&mut self, samples: usize) {
        self.series += 1;
        self.found.samples += samples as u64;
    }

    /// Names the series at hand.
    pub(super) fn position(&self) -> Position {
        Position::Item(self.series)
    }

    /// What the series `message` has beside its labels: `2 samples*`, and in the field `histograms` those. Where its
    /// labels alone name it, they are in `text`.
    pub(super) async fn values(
        &mut self,
        message: &[u8],
        text: Option<SeriesText<'_>>,
        histograms: u32,
        rows: &mut impl RowTaker,
    ) -> Result<Next, RowError> {
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next_field()? {
            let next = match field.number {
                2 => self.sample(field.value.bytes()?, text, rows)?,
                number if number == histograms => self.histogram(rows),
                _ => Next::Continue,
            };
            if next == Next::Stop || rows.turn().await == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
    }

    /// A sample of it.
    fn sample(
        &mut self,
        sample: &[u8],
        text: Option<SeriesText<'_>>,
        rows: &mut impl RowTaker,
    ) -> Result<Next, RowError> {
        let (time, bits) = read_sample(sample)?;
        self.found.samples += 1;
        if bits == STALE_MARKER {
            self.found.stale += 1;
            return Ok(self.stale(time, rows));
        }
        let position = self.position();
        let row = MILLISECONDS.nanoseconds(time).and_then(|time| self.draft.check().map(|()| time));
        Ok(match row {
            Ok(time) => {
                self.draft.time = time;
                self.draft.set_first(RawValue::from_float(f64::from_bits(bits)));
                let taken = match text {
                    Some(text) => rows.take_as(position, text, &mut self.draft),
                    None => rows.take(position, &mut self.draft),
                };
                taken.err().unwrap_or(Next::Continue)
            }
            Err(error) => rows.fault(position, error),
        })
    }

    /// The series ends at `time`.
    fn stale(&mut self, time: i64, rows: &mut impl RowTaker) -> Next {
        let Some(mark) = self.series_mark else { return Next::Continue };
        self.draft.back_to(mark);
        self.draft.field(STALE, FieldKind::Bool, RawValue::from_bool(true));
        let row = MILLISECONDS.nanoseconds(time).and_then(|time| self.draft.check().map(|()| time));
        let position = self.position();
        let next = match row {
            Ok(time) => {
                self.draft.time = time;
                rows.take(position, &mut self.draft).err().unwrap_or(Next::Continue)
            }
            Err(error) => rows.fault(position, error),
        };
        self.draft.back_to(mark);
        self.draft.field(VALUE, FieldKind::Float, RawValue::from_float(0.0));
        next
    }

    /// The series has a histogram.
    fn histogram(&mut self, rows: &mut impl RowTaker) -> Next {
        self.found.histograms += 1;
        rows.fault(self.position(), RowError::NotSupported("a native histogram"))
    }
}

/// Time and bits of the value of `1 value  2 timestamp in ms`.
#[inline]
fn read_sample(sample: &[u8]) -> Result<(i64, u64), RowError> {
    let (mut bits, mut time) = (0, 0);
    let mut fields = Fields::of(sample);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => bits = field.value.fixed64()?,
            2 => time = signed(field.value.varint()?),
            _ => {}
        }
    }
    Ok((time, bits))
}

/// Time in nanoseconds and value of a sample that is neither a stale marker nor out of any range.
#[inline]
pub(super) fn read_row(sample: &[u8]) -> Option<(i64, RawValue)> {
    let (time, bits) = read_sample(sample).ok().filter(|(_, bits)| *bits != STALE_MARKER)?;
    Some((MILLISECONDS.nanoseconds(time).ok()?, RawValue::from_float(f64::from_bits(bits))))
}
