//! Version 1: `WriteRequest 1 timeseries*`, `TimeSeries 1 labels* 2 samples* 4 histograms*`, `Label 1 name 2 value`.

use super::RemoteWrite;
use super::sample::LABELS_MAX;
use crate::protobuf::{Fields, read_pair};
use crate::row::{Next, RowError, RowTaker};

/// Number of the field with the histograms of a series.
const HISTOGRAMS: u32 = 4;

impl RemoteWrite {
    /// Reads fields of a message. The error is one of the whole body.
    pub async fn read_first(&mut self, fields: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut labels = Vec::new();
        let mut fields = Fields::of(fields);
        while let Some(field) = fields.next_field()? {
            if field.number == 1 && self.first_series(field.value.bytes()?, &mut labels, rows).await? == Next::Stop {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
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
        self.values(message, HISTOGRAMS, rows).await
    }
}
