//! How a block is coded, in words for people: nothing is decoded but headers.

use std::collections::BTreeMap;
use std::fmt;

use super::{Cursor, Decoded, VECTOR, bitmap, column, float, integer, runs, text};

/// The codings of a block's vectors, and how many vectors have each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codings(pub BTreeMap<String, u32>);

impl Codings {
    /// Adds those of another block.
    pub fn add(&mut self, other: &Self) {
        for (name, vectors) in &other.0 {
            *self.0.entry(name.clone()).or_default() += vectors;
        }
    }

    fn count(&mut self, name: String) {
        *self.0.entry(name).or_default() += 1;
    }
}

impl fmt::Display for Codings {
    /// The most frequent first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(_, vectors)| std::cmp::Reverse(**vectors));
        for (number, (name, vectors)) in all.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            match all.len() {
                1 => write!(f, "{name}")?,
                _ => write!(f, "{separator}{name} {vectors}")?,
            }
        }
        Ok(())
    }
}

/// The codings of a field's block of `rows` rows, as far as its headers can be read.
pub fn codings(block: &[u8], rows: usize) -> Codings {
    let mut found = Codings::default();
    // What cannot be read is for the decoder to tell.
    let _ = walk(&mut Cursor::new(block), rows, &mut found);
    found
}

fn walk(cursor: &mut Cursor<'_>, rows: usize, found: &mut Codings) -> Decoded<()> {
    let [stored, with_validity, ..] = cursor.array::<8>()?;
    if stored == column::NOTHING {
        found.count("null".to_owned());
        return Ok(());
    }
    if with_validity != 0 {
        bitmap::decode(cursor, rows)?;
    }
    match stored {
        column::BITS => found.count(bits(cursor)?.to_owned()),
        column::TEXT => found.count(strings(cursor)?),
        column::FLOATS => vectors(rows, |values| {
            let [exponent, ..] = cursor.array::<4>()?;
            let exceptions = cursor.u32()? as usize;
            let digits = integers(cursor, values)?;
            if exponent == float::BITS {
                found.count(format!("bits {digits}"));
                return Ok(());
            }
            found.count(format!("decimal {digits}"));
            cursor.take((exceptions * 2).next_multiple_of(8)).and_then(|_| cursor.take(exceptions * 8)).map(|_| ())
        })?,
        column::WORDS => vectors(rows, |values| {
            found.count(integers(cursor, values)?.to_owned());
            Ok(())
        })?,
        other => found.count(format!("kind {other}")),
    }
    Ok(())
}

/// Calls `each` with the length of every vector of a block.
fn vectors(rows: usize, mut each: impl FnMut(usize) -> Decoded<()>) -> Decoded<()> {
    (0..rows).step_by(VECTOR).try_for_each(|start| each(VECTOR.min(rows - start)))
}

/// How one vector of integers is coded; the cursor moves past it.
fn integers(cursor: &mut Cursor<'_>, values: usize) -> Decoded<&'static str> {
    let mut header = *cursor;
    let [order, width, _, _, exceptions @ ..] = header.array::<8>()?;
    let (_first, base) = (header.u64()?, header.u64()?);
    integer::skip_vector(cursor, values)?;
    Ok(match (order, width, u32::from_le_bytes(exceptions)) {
        (0, 0, 0) => "constant",
        (0, 64, 0) => "stored",
        // The difference of the first value, which is 0, stands apart from all others.
        (1, 0, 1) if base != 0 => "linear",
        (0, ..) => "packed",
        (1, ..) => "delta",
        (runs::ORDER, ..) => "runs",
        _ => "delta of delta",
    })
}

fn bits(cursor: &mut Cursor<'_>) -> Decoded<&'static str> {
    let [kind, ..] = cursor.array::<8>()?;
    Ok(match kind {
        bitmap::NONE | bitmap::ALL => "constant",
        bitmap::TOGGLES => "runs",
        _ => "bitmap",
    })
}

fn strings(cursor: &mut Cursor<'_>) -> Decoded<String> {
    let [kind, compressed, ..] = cursor.array::<4>()?;
    let layout = match kind {
        text::PLAIN => "plain".to_owned(),
        text::DICTIONARY => "dictionary".to_owned(),
        other => format!("kind {other}"),
    };
    Ok(if compressed == 0 { layout } else { format!("{layout} zstd") })
}

#[cfg(test)]
mod tests {
    use super::super::column::Encoder;
    use super::super::{CodecPreference, Effort};
    use super::*;
    use crate::batch::{Strings, Values};
    use crate::schema::Codec;

    fn told(values: &Values, validity: Option<&[u64]>) -> String {
        told_with(CodecPreference::default(), values, validity)
    }

    fn told_with(preference: CodecPreference, values: &Values, validity: Option<&[u64]>) -> String {
        let mut block = Vec::new();
        let mut encoder = Encoder::new(Effort::Fast);
        encoder.set_preference(preference);
        encoder.encode(values, validity, &mut block);
        let whole = codings(&block, values.len()).to_string();
        for length in 0..block.len() {
            // A block cut short is described as far as it goes.
            codings(&block[..length], values.len());
        }
        whole
    }

    fn texts(count: usize, text: impl Fn(usize) -> String) -> Values {
        let mut strings = Strings::default();
        for row in 0..count {
            strings.bytes.extend_from_slice(text(row).as_bytes());
            strings.ends.push(strings.bytes.len() as u32);
        }
        Values::String(strings)
    }

    #[test]
    fn each_coding_has_its_name() {
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(told(&Values::Int(vec![7; 3000]), None), "constant");
        assert_eq!(told(&Values::Int((0..1000).map(|i| i * 5).collect()), None), "linear");
        assert_eq!(told(&Values::Int((0..1000).map(|i| i / 500).collect()), None), "delta", "one step");
        assert_eq!(told(&Values::Int((0..1000).map(|i| i / 20 * 7919 % 100).collect()), None), "runs");
        assert_eq!(told(&Values::Int((0..1000).map(|_| random.i64(0..100)).collect()), None), "packed");
        let mut walk = 0;
        let steps = (0..2000).map(|_| {
            walk += random.i64(0..8);
            walk
        });
        assert_eq!(told(&Values::UInt(steps.map(|v| v as u64).collect()), None), "delta");
        let mixed = (0..3072).map(|i| if i < 2048 { 3 } else { random.i64(0..100) }).collect();
        assert_eq!(told(&Values::Int(mixed), None), "constant 2, packed 1");
        let tenths = Values::Float((0..500).map(|_| random.i64(0..1000) as f64 / 10.0).collect());
        assert_eq!(told(&tenths, None), "decimal packed");
        assert_eq!(told(&Values::Float((0..500).map(|_| random.f64()).collect()), None), "bits packed");
        assert_eq!(told(&Values::Bool(vec![1; 100]), None), "constant");
        assert_eq!(told(&Values::Bool((0..100).map(|_| random.u8(0..2)).collect()), None), "bitmap");
        assert_eq!(told(&texts(100, |row| format!("{}", row % 3)), None), "dictionary");
        assert_eq!(told(&texts(100, |row| format!("line {row} of a log that repeats itself")), None), "plain zstd");
        assert_eq!(told(&Values::Int(vec![1; 64]), Some(&[0])), "null");
        assert_eq!(told(&Values::Int(vec![1; 64]), Some(&[5])), "constant");
    }

    #[test]
    fn what_was_asked_for_has_its_name() {
        let integers = || Values::Int((0..100).map(|i| i * i % 7).collect());
        let floats = || Values::Float((0..100).map(|i| f64::from(i) / 10.0).collect());
        let told = |codec: Codec, values: &Values| told_with(codec.into(), values, None);
        assert_eq!(told(Codec::Null, &integers()), "stored");
        assert_eq!(told(Codec::Delta, &integers()), "delta");
        assert_eq!(told(Codec::DeltaTs, &integers()), "delta of delta");
        assert_eq!(told(Codec::Null, &floats()), "bits stored");
        assert!(told(Codec::Gorilla, &floats()).starts_with("bits "), "{}", told(Codec::Gorilla, &floats()));
        assert_eq!(told(Codec::BitPack, &Values::Bool(vec![1; 100])), "bitmap");
        assert_eq!(told(Codec::Null, &texts(100, |row| format!("{}", row % 3))), "plain");
    }
}
