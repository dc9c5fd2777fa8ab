//! Version 1: `WriteRequest 1 timeseries*`, `TimeSeries 1 labels* 2 samples* 4 histograms*`, `Label 1 name 2 value`.
//!
//! Clients send a series with the same labels, byte by byte, again and again, and mostly with one sample. Such a series
//! is known by these bytes; what is not just so is read by the book.

use super::RemoteWrite;
use super::sample::{KNOWN_SAMPLES_MAX, LABELS_MAX, read_row};
use crate::protobuf::{Fields, read_pair};
use crate::row::{Next, RawValue, RowError, RowTaker, SeriesText, TextForm};

/// Number of the field with the histograms of a series.
const HISTOGRAMS: u32 = 4;

impl RemoteWrite {
    /// Reads fields of a message. The error is one of the whole body.
    pub async fn read_first(&mut self, fields: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut labels = Vec::new();
        let mut fields = Fields::of(fields);
        while let Some(field) = fields.next_field()? {
            if field.number != 1 {
                continue;
            }
            let series = field.value.bytes()?;
            let next = match self.known_series(series, rows) {
                Some(Next::Continue) => rows.turn().await,
                Some(Next::Stop) => Next::Stop,
                None => self.first_series(series, &mut labels, rows).await?,
            };
            if next == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
    }

    /// Takes the samples of a series whose labels were seen before; `None` where they were not, or where there is more
    /// to the series than a few samples.
    fn known_series(&mut self, message: &[u8], rows: &mut impl RowTaker) -> Option<Next> {
        let begins = |text: SeriesText<'_>| {
            let [labels, ..] = text.parts;
            (text.form == TextForm::Labels && message.starts_with(labels)).then_some(labels.len())
        };
        let labels_len = match rows.expects(begins) {
            Some(len) => len,
            None => {
                let (len, _) = leading_labels(message);
                rows.expect(label_text(message, len)?).then_some(len)?
            }
        };
        let mut samples = [(0, RawValue::default()); KNOWN_SAMPLES_MAX];
        let mut count = 0;
        let mut fields = Fields::of(message.get(labels_len..)?);
        while let Some(field) = fields.next_field().ok()? {
            if field.number != 2 {
                return None;
            }
            *samples.get_mut(count)? = read_row(field.value.bytes().ok()?)?;
            count += 1;
        }
        self.count_known(count);
        let samples = samples.get_mut(..count).unwrap_or_default();
        Some(rows.take_expected(self.position(), samples).err().unwrap_or(Next::Continue))
    }

    async fn first_series<'b>(
        &mut self,
        message: &'b [u8],
        labels: &mut Vec<(&'b str, &'b str)>,
        rows: &mut impl RowTaker,
    ) -> Result<Next, RowError> {
        labels.clear();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next_field()? {
            if field.number == 1 {
                if labels.len() >= LABELS_MAX {
                    return Err(RowError::TooMany { what: "labels of a series", count_max: LABELS_MAX });
                }
                labels.push(read_pair(field.value.bytes()?)?);
            }
        }
        self.begin(labels.iter().copied());
        // Labels may stand behind samples, too.
        let (len, count) = leading_labels(message);
        let text = label_text(message, len).filter(|_| count == labels.len());
        self.values(message, text, HISTOGRAMS, rows).await
    }
}

/// The bytes and the number of the labels that a series begins with.
fn leading_labels(message: &[u8]) -> (usize, usize) {
    let (mut len, mut count) = (0, 0);
    let mut fields = Fields::of(message);
    while let Ok(Some(field)) = fields.next_field()
        && field.number == 1
    {
        (len, count) = (message.len() - fields.rest().len(), count + 1);
    }
    (len, count)
}

/// The first bytes of a series, its labels, as a text that names it.
fn label_text(message: &[u8], len: usize) -> Option<SeriesText<'_>> {
    let labels = message.get(..len).filter(|labels| !labels.is_empty())?;
    Some(SeriesText { form: TextForm::Labels, parts: [labels, &[], &[]] })
}
