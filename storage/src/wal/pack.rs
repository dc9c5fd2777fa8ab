//! Columns of a log record, narrowed so that a row of small numbers costs a byte or two a value.
//!
//! A column of 64-bit values is stored as differences from its first value, in the least of 0, 1, 2, 4 or 8 bytes
//! that holds every one of them with its sign (0: all are equal). Timestamps first try to be run lengths (many series
//! reported at once) and to be divided by a power of a thousand (whole seconds in nanoseconds).
//!
//! This is not a codec that competes with a segment's: one pass to find the width and one to store, both of which
//! LLVM turns into the plainest SIMD. Differences come from the first value and not from the least, because finding
//! the least of 64-bit values is a slow loop on baseline x86-64 and an OR of zigzag codes is not.

use rkyv::{Archive, Deserialize, Serialize};

/// Most rows of one record. Bounds what replay allocates for a record, whatever its bytes say: values that are all
/// equal take no bytes.
pub const RECORD_ROWS_MAX: usize = 1 << 20;

/// How a run of values lies in a record's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct Packed {
    /// Added, wrapping, to each stored difference.
    pub(crate) base: u64,
    /// First byte in the record's data.
    pub(crate) offset: u32,
    /// Values.
    pub(crate) count: u32,
    /// Bytes a value: 0, 1, 2, 4 or 8.
    pub(crate) width: u8,
}

/// How timestamps lie in a record's data: `base + divisor * value`, each value `run` times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct PackedTime {
    pub(crate) base: i64,
    pub(crate) divisor: i64,
    pub(crate) values: Packed,
    /// Run lengths; `None` where each value stands for one row.
    pub(crate) runs: Option<Packed>,
}

/// Vectors that packing works in, kept between records.
#[derive(Debug, Default)]
pub(crate) struct PackScratch {
    values: Vec<i64>,
    runs: Vec<i64>,
}

/// Divisors that timestamps are tried with, greatest first: whole seconds, milliseconds, microseconds of nanoseconds.
const TIME_DIVISORS: [i64; 3] = [1_000_000_000, 1_000_000, 1_000];

/// Run lengths must save this many times the rows, since a run costs a value and a length.
const ROWS_PER_RUN_MIN: usize = 4;

/// Stores signed values.
pub(crate) fn pack_i64(values: &[i64], data: &mut Vec<u8>) -> Packed {
    let base = values.first().copied().unwrap_or(0);
    let mut spread = 0;
    for &value in values {
        let difference = value.wrapping_sub(base);
        spread |= (difference << 1) ^ (difference >> 63);
    }
    let width = width_of(spread as u64);
    let packed = Packed { base: base as u64, offset: data.len() as u32, count: values.len() as u32, width };
    store(values, width, data, |value| value.wrapping_sub(base) as u64);
    packed
}

/// Stores unsigned values.
pub(crate) fn pack_u64(values: &[u64], data: &mut Vec<u8>) -> Packed {
    let base = values.first().copied().unwrap_or(0);
    let mut spread = 0;
    for &value in values {
        let difference = value.wrapping_sub(base) as i64;
        spread |= (difference << 1) ^ (difference >> 63);
    }
    let width = width_of(spread as u64);
    let packed = Packed { base, offset: data.len() as u32, count: values.len() as u32, width };
    store(values, width, data, |value| value.wrapping_sub(base));
    packed
}

/// Stores ids, as differences from the middle of the least range 0..2^8, 2^16, … that holds them all: ids are dense
/// and a batch draws on all of them.
pub(crate) fn pack_ids(ids: &[u32], data: &mut Vec<u8>) -> Packed {
    let width = width_of(u64::from(ids.iter().fold(0, |spread, &id| spread | id)));
    let base = if width == 0 { 0 } else { 1_u64 << (u32::from(width) * 8 - 1) };
    let packed = Packed { base, offset: data.len() as u32, count: ids.len() as u32, width };
    store(ids, width, data, |id| u64::from(id).wrapping_sub(base));
    packed
}

/// Stores floats as they are: their differences as integers are not small.
pub(crate) fn pack_f64(values: &[f64], data: &mut Vec<u8>) -> Packed {
    let same = values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
    let (base, width) = if same { (values.first().map_or(0, |v| v.to_bits()), 0) } else { (0, 8) };
    let packed = Packed { base, offset: data.len() as u32, count: values.len() as u32, width };
    store(values, width, data, f64::to_bits);
    packed
}

/// Stores timestamps.
pub(crate) fn pack_time(time: &[i64], scratch: &mut PackScratch, data: &mut Vec<u8>) -> PackedTime {
    let base = time.first().copied().unwrap_or(0);
    let PackScratch { values, runs } = scratch;
    values.clear();
    runs.clear();

    let changes = time.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let in_runs = time.len() > changes.saturating_mul(ROWS_PER_RUN_MIN) && changes + 1 < time.len();
    if in_runs {
        let mut start = 0;
        for end in 1..=time.len() {
            if end == time.len() || time[end] != time[start] {
                values.push(time[start].wrapping_sub(base));
                runs.push((end - start) as i64);
                start = end;
            }
        }
    } else {
        values.extend(time.iter().map(|t| t.wrapping_sub(base)));
    }

    let divisor = TIME_DIVISORS.into_iter().find(|&divisor| divide(values, divisor)).unwrap_or(1);
    PackedTime { base, divisor, values: pack_i64(values, data), runs: in_runs.then(|| pack_i64(runs, data)) }
}

/// Divides all values, if all are multiples.
fn divide(values: &mut [i64], divisor: i64) -> bool {
    // A look at a few values spares the long loop in nearly all cases where it would be in vain.
    const PROBES: usize = 16;
    if values.iter().take(PROBES).any(|value| value % divisor != 0) || values.iter().any(|value| value % divisor != 0) {
        return false;
    }
    values.iter_mut().for_each(|value| *value /= divisor);
    true
}

/// Bytes that hold a zigzag code and all below it.
fn width_of(zigzag: u64) -> u8 {
    match zigzag {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Appends the low `width` bytes of each value, least significant first.
fn store<T: Copy>(values: &[T], width: u8, data: &mut Vec<u8>, bits: impl Fn(T) -> u64) {
    let start = data.len();
    data.resize(start + values.len() * width as usize, 0);
    let out = &mut data[start..];
    match width {
        1 => out.iter_mut().zip(values).for_each(|(out, &value)| *out = bits(value) as u8),
        2 => store_as(values, out, |value| (bits(value) as u16).to_le_bytes()),
        4 => store_as(values, out, |value| (bits(value) as u32).to_le_bytes()),
        8 => store_as(values, out, |value| bits(value).to_le_bytes()),
        _ => {}
    }
}

fn store_as<T: Copy, const N: usize>(values: &[T], out: &mut [u8], bytes: impl Fn(T) -> [u8; N]) {
    let (out, _) = out.as_chunks_mut::<N>();
    for (out, &value) in out.iter_mut().zip(values) {
        *out = bytes(value);
    }
}

impl ArchivedPacked {
    /// Number of values.
    pub(crate) fn count(&self) -> usize {
        self.count.to_native() as usize
    }

    /// The values as 64 bits each through `value`, or `None` where the record's data is too short for them.
    pub(crate) fn unpack<T>(&self, data: &[u8], out: &mut Vec<T>, value: impl Fn(u64) -> T) -> Option<()> {
        let (base, count, start) = (self.base.to_native(), self.count(), self.offset.to_native() as usize);
        if count > RECORD_ROWS_MAX {
            return None;
        }
        let stored = data.get(start..)?.get(..count.checked_mul(self.width as usize)?)?;
        match self.width {
            0 => out.extend(std::iter::repeat_with(|| value(base)).take(count)),
            1 => out.extend(stored.iter().map(|&b| value(base.wrapping_add_signed(i64::from(b as i8))))),
            2 => out.extend(
                stored.as_chunks().0.iter().map(|&b| value(base.wrapping_add_signed(i64::from(i16::from_le_bytes(b))))),
            ),
            4 => out.extend(
                stored.as_chunks().0.iter().map(|&b| value(base.wrapping_add_signed(i64::from(i32::from_le_bytes(b))))),
            ),
            8 => out.extend(stored.as_chunks().0.iter().map(|&b| value(base.wrapping_add(u64::from_le_bytes(b))))),
            _ => return None,
        }
        Some(())
    }
}

impl ArchivedPackedTime {
    /// The timestamps of `rows` rows, or `None` where the record does not hold them.
    pub(crate) fn unpack(&self, data: &[u8], rows: usize) -> Option<Vec<i64>> {
        let (base, divisor) = (self.base.to_native(), self.divisor.to_native());
        let time = |value: u64| base.wrapping_add((value as i64).wrapping_mul(divisor));
        let mut values = Vec::new();
        self.values.unpack(data, &mut values, time)?;
        let Some(runs) = self.runs.as_ref() else {
            return (values.len() == rows).then_some(values);
        };
        let mut lengths = Vec::new();
        runs.unpack(data, &mut lengths, |length| length)?;
        let mut all = Vec::with_capacity(rows);
        if lengths.len() != values.len() {
            return None;
        }
        for (value, length) in values.into_iter().zip(lengths) {
            let length = usize::try_from(length).ok().filter(|length| *length <= rows - all.len())?;
            all.resize(all.len() + length, value);
        }
        (all.len() == rows).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use rkyv::rancor::Error;
    use rkyv::{access, to_bytes};

    use super::*;

    fn round_i64(values: &[i64]) -> (usize, Vec<i64>) {
        let mut data = Vec::new();
        let archive = to_bytes::<Error>(&pack_i64(values, &mut data)).unwrap();
        let mut back = Vec::new();
        access::<ArchivedPacked, Error>(&archive).unwrap().unpack(&data, &mut back, |bits| bits as i64).unwrap();
        (data.len(), back)
    }

    fn round_time(time: &[i64]) -> (usize, Vec<i64>) {
        let mut data = Vec::new();
        let archive = to_bytes::<Error>(&pack_time(time, &mut PackScratch::default(), &mut data)).unwrap();
        let back = access::<ArchivedPackedTime, Error>(&archive).unwrap().unpack(&data, time.len()).unwrap();
        (data.len(), back)
    }

    #[test]
    fn widths_are_the_least_that_hold_the_differences() {
        for (values, bytes) in [
            (vec![], 0),
            (vec![i64::MIN], 0),
            (vec![5; 100], 0),
            (vec![1_000_000_000_000, 1_000_000_000_127, 999_999_999_872], 3),
            (vec![0, 128], 4),
            (vec![0, -32_768, 32_767], 6),
            (vec![0, 32_768], 8),
            (vec![0, i64::from(i32::MIN)], 8),
            (vec![0, 1 << 31], 16),
            (vec![i64::MIN, i64::MAX], 2),
            (vec![i64::MIN, 0, i64::MAX], 24),
        ] {
            assert_eq!(round_i64(&values), (bytes, values));
        }
    }

    #[test]
    fn timestamps_shrink_by_runs_and_by_whole_seconds() {
        let second = 1_000_000_000;
        let start = 1_700_000_000 * second;
        let scrape: Vec<i64> = (0..10_000).map(|row| start + row / 4000 * 10 * second).collect();
        assert_eq!(round_time(&scrape), (9, scrape.clone()));
        let ticks: Vec<i64> = (0..1000).map(|row| start + row % 100 * second).collect();
        assert_eq!(round_time(&ticks), (1000, ticks.clone()));
        let odd = vec![i64::MIN, 0, i64::MAX, 17];
        assert_eq!(round_time(&odd), (32, odd.clone()));
        assert_eq!(round_time(&[]), (0, vec![]));
        assert_eq!(round_time(&[i64::MAX]), (0, vec![i64::MAX]));
    }

    #[test]
    fn random_columns_come_back() {
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let shift = random.u32(0..64);
            let length = random.usize(0..300);
            let values: Vec<i64> = (0..length).map(|_| random.i64(..) >> shift).collect();
            assert_eq!(round_i64(&values).1, values, "seed {seed}");
            assert_eq!(round_time(&values).1, values, "seed {seed}");

            let mut data = vec![0; 3];
            let ids: Vec<u32> = values.iter().map(|&v| v as u32 >> (shift % 32)).collect();
            let floats: Vec<f64> = values.iter().map(|&v| f64::from_bits(v as u64)).collect();
            let unsigned: Vec<u64> = values.iter().map(|&v| v as u64).collect();
            let packed = (pack_ids(&ids, &mut data), pack_f64(&floats, &mut data), pack_u64(&unsigned, &mut data));
            let archive = to_bytes::<Error>(&packed).unwrap();
            let archived =
                access::<rkyv::tuple::ArchivedTuple3<ArchivedPacked, ArchivedPacked, ArchivedPacked>, Error>(&archive)
                    .unwrap();
            let (mut ids_back, mut floats_back, mut unsigned_back) = (Vec::new(), Vec::new(), Vec::new());
            archived.0.unpack(&data, &mut ids_back, |bits| bits as u32).unwrap();
            archived.1.unpack(&data, &mut floats_back, |bits| bits).unwrap();
            archived.2.unpack(&data, &mut unsigned_back, |bits| bits).unwrap();
            assert_eq!(ids_back, ids, "seed {seed}");
            assert_eq!(floats_back, floats.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), "seed {seed}");
            assert_eq!(unsigned_back, unsigned, "seed {seed}");
        }
    }

    #[test]
    fn a_record_that_is_too_short_is_told() {
        let mut data = Vec::new();
        let archive = to_bytes::<Error>(&pack_i64(&[1, 2, 3], &mut data)).unwrap();
        data.pop();
        let archived = access::<ArchivedPacked, Error>(&archive).unwrap();
        assert!(archived.unpack(&data, &mut Vec::new(), |bits| bits).is_none());
    }
}
