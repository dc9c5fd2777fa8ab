//! Version 2: `Request 4 symbols* 5 timeseries*`, `TimeSeries 1 labels (pairs of symbols) 2 samples* 3 histograms*`.

use super::RemoteWrite;
use super::sample::LABELS_MAX;
use crate::protobuf::{Fields, packed_varints};
use crate::row::{Next, RowError, RowTaker};

/// Number of the field with the histograms of a series.
const HISTOGRAMS: u32 = 3;

/// Memory that the symbols of a message take, beside the message.
pub fn symbols_bytes(message: &[u8]) -> Result<usize, RowError> {
    let mut count = 0;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        count += usize::from(field.number == 4);
    }
    // The list doubles as it grows.
    Ok(2 * count * size_of::<&str>())
}

/// The symbols of a message: the texts that its labels name by number.
pub fn symbols(message: &[u8]) -> Result<Vec<&str>, RowError> {
    let mut symbols = Vec::new();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        if field.number == 4 {
            symbols.push(field.value.text()?);
        }
    }
    Ok(symbols)
}

impl RemoteWrite {
    /// Reads fields of a message with these symbols. The error is one of the whole body.
    pub async fn read_second(
        &mut self,
        fields: &[u8],
        symbols: &[&str],
        rows: &mut impl RowTaker,
    ) -> Result<Next, RowError> {
        let mut labels = Vec::new();
        let mut fields = Fields::of(fields);
        while let Some(field) = fields.next_field()? {
            if field.number == 5
                && self.second_series(field.value.bytes()?, symbols, &mut labels, rows).await? == Next::Stop
            {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
    }

    async fn second_series<'b>(
        &mut self,
        message: &[u8],
        symbols: &[&'b str],
        labels: &mut Vec<&'b str>,
        rows: &mut impl RowTaker,
    ) -> Result<Next, RowError> {
        labels.clear();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next_field()? {
            if field.number == 1 {
                packed_varints(field.value, |symbol| {
                    if labels.len() >= 2 * LABELS_MAX {
                        return Err(RowError::TooMany { what: "labels of a series", count_max: LABELS_MAX });
                    }
                    let symbol = usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol));
                    labels.push(*symbol.ok_or(RowError::Missing("a symbol of a label"))?);
                    Ok(())
                })?;
            }
        }
        if !labels.len().is_multiple_of(2) {
            return Err(RowError::Missing("the value of the last label"));
        }
        self.begin(labels.chunks_exact(2).map(|label| (label[0], label[1])));
        self.values(message, None, HISTOGRAMS, rows).await
    }
}
