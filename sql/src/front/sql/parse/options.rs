//! Options of a database.

use sqlparser::tokenizer::Token;
use tidewire_storage::schema::{DatabaseOptions, TimeUnit};

use super::reader::Reader;
use crate::error::{SqlError, SqlErrorKind};
use crate::types::duration::parse_duration;
use crate::types::error::DurationError;
use crate::types::unit::MINUTE_NS;

/// A millisecond: the coarsest unit that times of a database have.
const COARSEST_UNIT_NS: i64 = 1_000_000;

/// A partition is long enough not to flood the disk with one segment a write.
const PARTITION_NS_MIN: i64 = MINUTE_NS;

impl Reader<'_> {
    pub(super) fn database_option(&mut self, name: &str, options: &mut DatabaseOptions) -> Result<(), SqlError> {
        match name {
            "TTL" => {
                let (text, ttl_ns) = duration(self.text_value()?)?;
                if ttl_ns.is_some_and(|ns| ns < MINUTE_NS) {
                    return Err(SqlErrorKind::TtlTooShort(text).into());
                }
                options.ttl_ns = ttl_ns;
            }
            "VNODE_DURATION" => {
                let (text, duration) = duration(self.text_value()?)?;
                let ns = match duration {
                    Some(ns) if ns >= PARTITION_NS_MIN => ns,
                    Some(_) => return Err(SqlErrorKind::PartitionTooShort(text).into()),
                    None => return Err(SqlErrorKind::PartitionInfinite.into()),
                };
                // A partition is some whole number of every unit of time.
                options.partition_ns = ns - ns % COARSEST_UNIT_NS;
                options.stored.vnode_ns = Some(ns);
            }
            "PRECISION" => {
                let text = self.text_value()?;
                options.precision = match text.to_ascii_lowercase().as_str() {
                    "ms" => TimeUnit::Millisecond,
                    "us" => TimeUnit::Microsecond,
                    "ns" => TimeUnit::Nanosecond,
                    _ => return Err(SqlErrorKind::Precision(text).into()),
                };
            }
            "SHARD" => options.stored.shard = self.count(name)?,
            "REPLICA" => options.stored.replica = self.count(name)?,
            "MEMCACHE_PARTITIONS" => options.stored.memcache_partitions = self.count(name)?,
            "MAX_CACHE_READERS" => options.stored.cache_readers_max = self.count(name)?,
            "MAX_MEMCACHE_SIZE" => options.stored.memcache_bytes_max = self.bytes(name)?,
            "WAL_MAX_FILE_SIZE" => options.stored.wal_file_bytes_max = self.bytes(name)?,
            "WAL_SYNC" => options.stored.wal_sync = self.switch()?,
            "STRICT_WRITE" => options.stored.strict_write = self.switch()?,
            _ => return Err(SqlErrorKind::OptionUnknown(name.to_owned()).into()),
        }
        Ok(())
    }

    /// A value given as text, number or bare word.
    pub(super) fn text_value(&mut self) -> Result<String, SqlError> {
        let value = match &self.parser.peek_token_ref().token {
            Token::SingleQuotedString(text) | Token::Number(text, _) => text.clone(),
            Token::Word(word) => word.value.clone(),
            _ => return Err(self.expected("a value")),
        };
        self.parser.next_token();
        Ok(value)
    }

    /// A text in single quotes.
    pub(super) fn quoted(&mut self) -> Result<String, SqlError> {
        let Token::SingleQuotedString(text) = &self.parser.peek_token_ref().token else {
            return Err(self.expected("a text in single quotes"));
        };
        let text = text.clone();
        self.parser.next_token();
        Ok(text)
    }

    /// A number above zero.
    fn count(&mut self, name: &str) -> Result<u64, SqlError> {
        let expected = self.expected("a number");
        let count: u64 = self.text_value()?.parse().map_err(|_| expected)?;
        above_zero(name, count)
    }

    /// A size above zero.
    fn bytes(&mut self, name: &str) -> Result<u64, SqlError> {
        let expected = self.expected("a size such as 128MiB");
        above_zero(name, size(&self.text_value()?).ok_or(expected)?)
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self) -> Result<bool, SqlError> {
        let expected = self.expected("true or false");
        match self.text_value()?.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(expected),
        }
    }
}

fn above_zero(name: &str, value: u64) -> Result<u64, SqlError> {
    if value > 0 { Ok(value) } else { Err(SqlErrorKind::OptionZero(name.to_ascii_lowercase()).into()) }
}

/// A duration with its text; `None` for one without end.
fn duration(text: String) -> Result<(String, Option<i64>), SqlError> {
    match parse_duration(&text) {
        Ok(ns) => Ok((text, ns)),
        Err(DurationError) => Err(SqlErrorKind::Duration(text).into()),
    }
}

/// Bytes of a size: a whole number, alone or with a unit, of which those with `i` are powers of 1,024 and the others
/// powers of 1,000.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("128MiB", Some(128 << 20)),
            ("128 mib", Some(128 << 20)),
            ("300M", Some(300_000_000)),
            ("2GB", Some(2_000_000_000)),
            ("7b", Some(7)),
            ("", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("-1", None),
            ("99999999999999TiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
