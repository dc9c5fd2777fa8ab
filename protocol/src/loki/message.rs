//! A push as protobuf.
//!
//! ```text
//!   PushRequest   1 streams*          Stream  1 labels  2 entries*
//!   Entry         1 timestamp  2 line  3 metadata*
//!   Timestamp     1 seconds  2 nanos  Pair    1 name  2 value
//! ```

use super::LokiPush;
use super::entry::METADATA_MAX;
use super::labels::Labels;
use crate::protobuf::{Fields, read_pair, signed};
use crate::row::{Next, RowError, RowTaker};

impl LokiPush {
    /// Reads fields of a push. The error is one of the whole body.
    pub async fn read_message(&mut self, fields: &[u8], rows: &mut impl RowTaker) -> Result<Next, RowError> {
        let mut labels = Labels::default();
        let mut streams = Fields::of(fields);
        while let Some(stream) = streams.next_field()? {
            if stream.number == 1 && self.message_stream(stream.value.bytes()?, &mut labels, rows).await? == Next::Stop
            {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Continue)
    }

    async fn message_stream(
        &mut self,
        stream: &[u8],
        labels: &mut Labels,
        rows: &mut impl RowTaker,
    ) -> Result<Next, RowError> {
        // The labels may stand behind the entries.
        let mut text = "{}";
        let mut fields = Fields::of(stream);
        while let Some(field) = fields.next_field()? {
            if field.number == 1 {
                text = field.value.text()?;
            }
        }
        labels.read(text)?;
        let mut fields = Fields::of(stream);
        while let Some(field) = fields.next_field()? {
            if field.number == 2 {
                let mut metadata = Vec::new();
                let entry = read_entry(field.value.bytes()?, &mut metadata);
                if self.entry(labels, entry, &metadata, rows).await == Next::Stop {
                    return Ok(Next::Stop);
                }
            }
        }
        Ok(Next::Continue)
    }
}

fn read_entry<'b>(entry: &'b [u8], metadata: &mut Vec<(&'b str, &'b str)>) -> Result<(i64, &'b str), RowError> {
    let (mut time, mut line) = (0, "");
    let mut fields = Fields::of(entry);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => time = read_time(field.value.bytes()?)?,
            2 => line = field.value.text()?,
            3 if metadata.len() >= METADATA_MAX => {
                return Err(RowError::TooMany { what: "metadata of an entry", count_max: METADATA_MAX });
            }
            3 => metadata.push(read_pair(field.value.bytes()?)?),
            _ => {}
        }
    }
    Ok((time, line))
}

/// Nanoseconds.
fn read_time(time: &[u8]) -> Result<i64, RowError> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::of(time);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => seconds = signed(field.value.varint()?),
            2 => nanos = signed(field.value.varint()?),
            _ => {}
        }
    }
    seconds.checked_mul(1_000_000_000).and_then(|time: i64| time.checked_add(nanos)).ok_or(RowError::TimeOutOfRange)
}
