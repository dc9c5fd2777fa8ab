//! Strings: a dictionary and codes where values repeat, else the strings themselves; the bytes by zstd where it pays.
//!
//! A block is
//!
//! ```text
//! kind u8 (0 plain, 1 dictionary) | compressed u8 | 0 u16 | entries u32 | bytes u32 | stored bytes u32
//! lengths of the entries (integers), their bytes as stored, padded to 8
//! for a dictionary: the code of each row (integers)
//! ```
//!
//! where the entries of a plain block are its rows. Guarantee: what decodes has the stated number of rows and offsets
//! within its bytes; that the bytes are UTF-8 is for the caller to check, who makes strings of them.

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::HashMap;

use super::integer::{self, Scratch};
use super::{Cursor, Damaged, Decoded, Effort};
use crate::batch::Strings;
use crate::work;

pub(super) const PLAIN: u8 = 0;
pub(super) const DICTIONARY: u8 = 1;

/// Most bytes of one block, so that offsets fit i32 with room to spare; the writer ends a block before.
pub const BYTES_MAX: usize = 1 << 30;

/// Fast to decode (1.5 GB/s and more).
const ZSTD_LEVEL_FAST: i32 = 1;

/// Decodes as fast as the fast level and encodes many times slower, which compaction of cold data can wait for.
const ZSTD_LEVEL_HARD: i32 = 12;

/// More bytes than these are squeezed in steps,
const STEPS_FROM: usize = 128 << 10;

/// each of at most this many: a millisecond or two at the hard level.
const STEP_BYTES: usize = 32 << 10;

/// Below this, zstd's own frame eats the gain.
const ZSTD_FROM: usize = 128;

/// Appends a block of the strings.
pub fn encode(strings: &Strings, effort: Effort, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let mut block = TextBlock::new(Cow::Borrowed(strings), Some(effort));
    while !block.step() {}
    block.put(scratch, out);
}

/// A block of strings in the making. To squeeze its bytes takes by far the longest, and is done in steps where they are
/// many.
pub(crate) struct TextBlock<'a> {
    kind: u8,
    lengths: Vec<u64>,
    bytes: Cow<'a, [u8]>,
    /// Of a dictionary.
    codes: Vec<u64>,
    squeeze: Squeeze,
}

/// How far the bytes are squeezed.
enum Squeeze {
    /// They are to be stored as they are.
    Stored,
    AtOnce(Effort),
    /// Behind a number of bytes.
    InSteps(Effort, usize, Box<zstd::stream::raw::Encoder<'static>>, Vec<u8>),
    Done(Vec<u8>),
}

impl<'a> TextBlock<'a> {
    /// Is to be a block of `strings`; as they are where no effort is wanted.
    pub(crate) fn new(strings: Cow<'a, Strings>, effort: Option<Effort>) -> Self {
        let found = effort.and_then(|_| dictionary(&strings));
        let (kind, lengths, bytes, codes) = match found {
            Some((lengths, bytes, codes)) => (DICTIONARY, lengths, Cow::Owned(bytes), codes),
            None => {
                let lengths = lengths_of(&strings);
                let bytes = match strings {
                    Cow::Borrowed(strings) => Cow::Borrowed(strings.bytes.as_slice()),
                    Cow::Owned(strings) => Cow::Owned(strings.bytes),
                };
                (PLAIN, lengths, bytes, Vec::new())
            }
        };
        let squeeze = match effort.filter(|_| bytes.len() >= ZSTD_FROM) {
            None => Squeeze::Stored,
            Some(effort) if bytes.len() <= STEPS_FROM => Squeeze::AtOnce(effort),
            Some(effort) => match in_steps(effort, bytes.len()) {
                Ok(encoder) => Squeeze::InSteps(effort, 0, Box::new(encoder), Vec::new()),
                Err(_) => Squeeze::Stored,
            },
        };
        Self { kind, lengths, bytes, codes, squeeze }
    }

    /// Works a while; whether the block can be put.
    pub(crate) fn step(&mut self) -> bool {
        match std::mem::replace(&mut self.squeeze, Squeeze::Stored) {
            Squeeze::Stored => true,
            Squeeze::AtOnce(effort) => {
                work::charge_each(self.bytes.len(), units_per_byte(effort));
                if let Ok(squeezed) = zstd::bulk::compress(&self.bytes, level(effort)) {
                    self.squeeze = Squeeze::Done(squeezed);
                }
                true
            }
            Squeeze::InSteps(effort, at, mut encoder, mut squeezed) => {
                let to = (at + STEP_BYTES).min(self.bytes.len());
                work::charge_each(to - at, units_per_byte(effort));
                // Where that fails, which nothing but a lack of memory makes it, the bytes are stored as they are.
                if squeeze_some(&mut encoder, &self.bytes[at..to], to == self.bytes.len(), &mut squeezed).is_none() {
                    return true;
                }
                let done = to == self.bytes.len();
                self.squeeze = match done {
                    true => Squeeze::Done(squeezed),
                    false => Squeeze::InSteps(effort, to, encoder, squeezed),
                };
                done
            }
            done @ Squeeze::Done(_) => {
                self.squeeze = done;
                true
            }
        }
    }

    /// Appends the block, after a step has said that it can be put.
    pub(crate) fn put(self, scratch: &mut Scratch, out: &mut Vec<u8>) {
        let squeezed = match self.squeeze {
            Squeeze::Done(squeezed) => Some(squeezed),
            _ => None,
        };
        // An eighth less is the least that repays decompression.
        let squeezed = squeezed.filter(|squeezed| squeezed.len() + squeezed.len() / 7 < self.bytes.len());
        put_entries(self.kind, &self.lengths, &self.bytes, squeezed.as_deref(), scratch, out);
        if self.kind == DICTIONARY {
            integer::encode(&self.codes, scratch, out);
        }
    }
}

/// Lengths and bytes of the different strings, and which of them each row has, where that pays.
fn dictionary(strings: &Strings) -> Option<(Vec<u64>, Vec<u8>, Vec<u64>)> {
    let rows = strings.ends.len();
    // Codes cost a byte or two: a dictionary pays only when values repeat.
    let entries_max = rows / 2;
    if entries_max == 0 {
        return None;
    }
    let mut codes: Vec<u64> = Vec::with_capacity(rows);
    let mut known: HashMap<&[u8], u32, rapidhash::fast::RandomState> = HashMap::default();
    let mut entries: Vec<&[u8]> = Vec::new();
    let mut start = 0;
    for end in &strings.ends {
        let text = &strings.bytes[start as usize..*end as usize];
        start = *end;
        let code = *known.entry(text).or_insert_with(|| {
            entries.push(text);
            entries.len() as u32 - 1
        });
        if entries.len() > entries_max {
            return None;
        }
        codes.push(u64::from(code));
    }
    Some((entries.iter().map(|entry| entry.len() as u64).collect(), entries.concat(), codes))
}

fn level(effort: Effort) -> i32 {
    match effort {
        Effort::Fast => ZSTD_LEVEL_FAST,
        Effort::Hard => ZSTD_LEVEL_HARD,
    }
}

/// Work to squeeze a byte.
fn units_per_byte(effort: Effort) -> u64 {
    match effort {
        Effort::Fast => 4,
        Effort::Hard => 40,
    }
}

/// Squeezes `length` bytes to what it would at once.
fn in_steps(effort: Effort, length: usize) -> std::io::Result<zstd::stream::raw::Encoder<'static>> {
    let mut encoder = zstd::stream::raw::Encoder::new(level(effort))?;
    encoder.set_pledged_src_size(Some(length as u64))?;
    Ok(encoder)
}

/// Squeezes some more bytes, the last ones if `is_end`; `None` where that cannot be done.
fn squeeze_some(
    encoder: &mut zstd::stream::raw::Encoder<'_>,
    mut bytes: &[u8],
    is_end: bool,
    out: &mut Vec<u8>,
) -> Option<()> {
    use zstd::stream::raw::{Operation, OutBuffer};
    /// Room for what comes out at once.
    const ROOM: usize = 64 << 10;
    let mut room = vec![0; ROOM];
    while !bytes.is_empty() {
        let status = encoder.run_on_buffers(bytes, &mut room).ok()?;
        out.extend_from_slice(&room[..status.bytes_written]);
        bytes = &bytes[status.bytes_read..];
    }
    loop {
        let mut output = OutBuffer::around(room.as_mut_slice());
        // Else bytes would be gathered, and four steps squeezed in one of them.
        let left = if is_end { encoder.finish(&mut output, true) } else { encoder.flush(&mut output) }.ok()?;
        let written = output.pos();
        out.extend_from_slice(&room[..written]);
        if left == 0 {
            return Some(());
        }
    }
}

fn lengths_of(strings: &Strings) -> Vec<u64> {
    let starts = std::iter::once(0).chain(strings.ends.iter().copied());
    strings.ends.iter().zip(starts).map(|(end, start)| u64::from(end - start)).collect()
}

fn put_entries(
    kind: u8,
    lengths: &[u64],
    bytes: &[u8],
    squeezed: Option<&[u8]>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let block = out.len();
    let stored = squeezed.unwrap_or(bytes);
    out.extend_from_slice(&[kind, u8::from(squeezed.is_some()), 0, 0]);
    for number in [lengths.len(), bytes.len(), stored.len()] {
        out.extend_from_slice(&(number as u32).to_le_bytes());
    }
    integer::encode(lengths, scratch, out);
    out.extend_from_slice(stored);
    super::pad(out, block);
}

/// Strings as arrow lays them out: `offsets` has one more element than there are rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Start of each row's bytes, and the end of the last.
    pub offsets: Vec<i32>,
    /// The bytes, not yet known to be UTF-8.
    pub bytes: Vec<u8>,
}

/// The strings `wanted` of a block of `total`.
pub(crate) fn decode(cursor: &mut Cursor<'_>, total: usize, wanted: Range<usize>) -> Decoded<Text> {
    let [kind, compressed, _, _] = cursor.array()?;
    let (entries, length, stored) = (cursor.u32()? as usize, cursor.u32()? as usize, cursor.u32()? as usize);
    if kind > DICTIONARY || compressed > 1 || entries > total || kind == PLAIN && entries != total || length > BYTES_MAX
    {
        return Err(Damaged("text block has an impossible header"));
    }
    let mut lengths = Vec::new();
    integer::decode(cursor, entries, 0..entries, &mut lengths)?;
    let mut ends = Vec::with_capacity(entries + 1);
    ends.push(0i32);
    let mut end = 0usize;
    for entry in lengths {
        end = usize::try_from(entry).ok().and_then(|entry| end.checked_add(entry)).unwrap_or(usize::MAX);
        if end > length {
            return Err(Damaged("text block has strings past its bytes"));
        }
        ends.push(end as i32);
    }
    if end != length {
        return Err(Damaged("text block has bytes past its strings"));
    }
    let stored = &cursor.take(stored.next_multiple_of(8))?[..stored];
    let inflated;
    let bytes = if compressed == 1 {
        inflated = inflate(stored, length)?;
        &inflated
    } else {
        stored
    };
    if bytes.len() != length {
        return Err(Damaged("text block has another number of bytes than it says"));
    }
    if kind == PLAIN {
        return plain(&ends, bytes, &wanted);
    }
    let mut codes = Vec::new();
    integer::decode(cursor, total, wanted, &mut codes)?;
    spread(&codes, &ends, bytes)
}

fn inflate(stored: &[u8], length: usize) -> Decoded<Vec<u8>> {
    use std::io::Read;
    const BROKEN: Damaged = Damaged("text block does not decompress");
    // Grows with what really comes out, so a lie about the length costs nothing.
    let mut bytes = Vec::new();
    let decoder = zstd::Decoder::with_buffer(stored).map_err(|_| BROKEN)?;
    decoder.take(length as u64 + 1).read_to_end(&mut bytes).map_err(|_| BROKEN)?;
    Ok(bytes)
}

fn plain(ends: &[i32], bytes: &[u8], wanted: &Range<usize>) -> Decoded<Text> {
    let offsets = ends.get(wanted.start..wanted.end + 1).ok_or(Damaged("strings wanted past the end of a block"))?;
    let from = offsets.first().copied().unwrap_or(0);
    let to = offsets.last().copied().unwrap_or(0);
    let bytes = bytes.get(from as usize..to as usize).ok_or(Damaged("text block has strings past its bytes"))?;
    Ok(Text { offsets: offsets.iter().map(|offset| offset - from).collect(), bytes: bytes.to_vec() })
}

fn spread(codes: &[u64], ends: &[i32], bytes: &[u8]) -> Decoded<Text> {
    let entry = |code: u64| -> Decoded<&[u8]> {
        let code = usize::try_from(code).unwrap_or(usize::MAX);
        let bounds = code.checked_add(2).and_then(|past| ends.get(code..past));
        let Some(&[from, to]) = bounds else { return Err(Damaged("text block has a code past its dictionary")) };
        bytes.get(from as usize..to as usize).ok_or(Damaged("text block has strings past its bytes"))
    };
    let mut length = 0;
    for code in codes {
        length += entry(*code)?.len();
        if length > BYTES_MAX {
            return Err(Damaged("text block holds more than a gigabyte"));
        }
    }
    let mut text = Text { offsets: Vec::with_capacity(codes.len() + 1), bytes: Vec::with_capacity(length) };
    text.offsets.push(0);
    for code in codes {
        text.bytes.extend_from_slice(entry(*code)?);
        text.offsets.push(text.bytes.len() as i32);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[String]) -> Strings {
        let mut strings = Strings::default();
        for text in texts {
            strings.bytes.extend_from_slice(text.as_bytes());
            strings.ends.push(strings.bytes.len() as u32);
        }
        strings
    }

    fn check(texts: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&strings(texts), Effort::Hard, &mut Scratch::default(), &mut bytes);
        let rows = texts.len();
        for wanted in [0..rows, 0..0, rows / 3..rows / 2, rows.saturating_sub(1)..rows] {
            let text = decode(&mut Cursor::new(&bytes), rows, wanted.clone()).unwrap();
            let back: Vec<&[u8]> = text.offsets.windows(2).map(|w| &text.bytes[w[0] as usize..w[1] as usize]).collect();
            let expected: Vec<&[u8]> = texts[wanted].iter().map(String::as_bytes).collect();
            assert_eq!(back, expected);
        }
        bytes
    }

    #[test]
    fn strings_round_trip_and_shrink() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            check(&[]);
            check(&[String::new()]);
            check(&["ä".repeat(5000)]);
            let few: Vec<String> = (0..4000).map(|_| format!("state-{}", rng.u32(0..5))).collect();
            assert!(check(&few).len() < 4000 / 2, "seed {seed}: three bits a code");
            let lines: Vec<String> =
                (0..2000).map(|i| format!("GET /api/v1/item/{i} took {} ms", rng.u32(..))).collect();
            let plain: usize = lines.iter().map(String::len).sum();
            assert!(check(&lines).len() < plain / 2, "seed {seed}: zstd");
            check(&(0..500).map(|_| (0..rng.usize(0..30)).map(|_| rng.char(..)).collect()).collect::<Vec<String>>());
        }
    }

    #[test]
    fn damage_is_an_error_or_other_bytes_never_a_panic() {
        let mut rng = fastrand::Rng::with_seed(3);
        let few: Vec<String> = (0..2000).map(|_| format!("state-{}", rng.u32(0..50))).collect();
        let many: Vec<String> = (0..2000).map(|i| format!("line {i} of a log")).collect();
        for texts in [few, many] {
            let bytes = check(&texts);
            for _ in 0..400 {
                let mut hurt = bytes.clone();
                let at = if rng.bool() { rng.usize(0..48) } else { rng.usize(0..hurt.len()) };
                hurt[at] ^= 1 << rng.u32(0..8);
                if let Ok(text) = decode(&mut Cursor::new(&hurt), 2000, 0..2000) {
                    assert_eq!(text.offsets.len(), 2001);
                }
                hurt.truncate(rng.usize(0..bytes.len() - 8));
                assert!(decode(&mut Cursor::new(&hurt), 2000, 0..2000).is_err());
            }
        }
    }

    #[test]
    fn long_strings_are_squeezed_in_steps_and_come_back() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for (effort, letters) in [(Effort::Fast, 4), (Effort::Hard, 4), (Effort::Hard, 200)] {
                let mut strings = Strings::default();
                for _ in 0..random.usize(1..5) {
                    let length = [0, 100, 200 << 10, 300_001][random.usize(0..4)];
                    strings.bytes.extend((0..length).map(|_| random.u8(0..letters)));
                    strings.ends.push(strings.bytes.len() as u32);
                }
                let mut block = TextBlock::new(Cow::Borrowed(&strings), Some(effort));
                let (mut steps, bytes) = (1, block.bytes.len());
                work::take();
                while !block.step() {
                    steps += 1;
                    assert!(work::take() <= work::UNITS_MAX / 2, "seed {seed}");
                }
                assert!(bytes <= STEPS_FROM || steps == bytes.div_ceil(STEP_BYTES), "seed {seed}");
                let (mut scratch, mut out) = (Scratch::default(), Vec::new());
                block.put(&mut scratch, &mut out);
                assert!(letters > 4 || strings.bytes.len() < 1000 || out.len() < strings.bytes.len() / 2);
                let rows = strings.ends.len();
                let found = decode(&mut Cursor::new(&out), rows, 0..rows).unwrap();
                let ends: Vec<u32> = found.offsets[1..].iter().map(|end| *end as u32).collect();
                assert_eq!((ends, found.bytes), (strings.ends, strings.bytes), "seed {seed}");
            }
        }
    }
}
