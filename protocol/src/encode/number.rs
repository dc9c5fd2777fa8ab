//! Numbers as text: integers by table and by packed decimal, floats in the two spellings that the formats use.

use super::sink::Sink;

/// 0 to 999 as text, left-aligned; the last byte is the number of digits. Most measured integers are this small, and
/// a load and a store do not depend on how many digits there are.
static SMALL: [[u8; 4]; 1000] = {
    let mut table = [[0; 4]; 1000];
    let mut number = 0;
    while number < 1000 {
        let digits = [b'0' + (number / 100) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
        let count = if number >= 100 {
            3
        } else if number >= 10 {
            2
        } else {
            1
        };
        let mut place = 0;
        while place < count {
            table[number][place] = digits[3 - count + place];
            place += 1;
        }
        table[number][3] = count as u8;
        number += 1;
    }
    table
};

const ZEROS: u64 = 0x3030_3030_3030_3030;
const TEN_8: u64 = 100_000_000;

/// Eight decimal digits of a number below 10^8, one a byte, the first in the lowest byte, not yet ASCII.
///
/// Halves, then pairs, then digits are split side by side in one register; the divisions are multiplications by
/// scaled reciprocals that are exact in these ranges (10486 / 2^20 below 10^4, 103 / 2^10 below 100).
#[inline]
fn digits_8(number: u64) -> u64 {
    let (high, low) = (number / 10_000, number % 10_000);
    let halves = high | (low << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - 10 * tens) << 8)
}

/// Eight digits with leading zeros, as ASCII.
#[inline]
pub(super) fn ascii_8(number: u64) -> [u8; 8] {
    (digits_8(number) | ZEROS).to_le_bytes()
}

/// Writes an unsigned integer.
#[inline(always)]
pub(super) fn write_u64(sink: &mut Sink<'_>, number: u64) {
    if let Some(text) = usize::try_from(number).ok().and_then(|number| SMALL.get(number)) {
        sink.block(text, usize::from(text[3]));
    } else {
        write_large(sink, number);
    }
}

#[inline(never)]
fn write_large(sink: &mut Sink<'_>, number: u64) {
    if number < TEN_8 {
        write_leading(sink, number);
        return;
    }
    let (rest, last) = (number / TEN_8, number % TEN_8);
    if rest < TEN_8 {
        write_leading(sink, rest);
    } else {
        write_leading(sink, rest / TEN_8);
        sink.block(&ascii_8(rest % TEN_8), 8);
    }
    sink.block(&ascii_8(last), 8);
}

/// The first one to eight digits of a number above zero.
#[inline]
fn write_leading(sink: &mut Sink<'_>, number: u64) {
    let digits = digits_8(number);
    let zeros = digits.trailing_zeros() & !7;
    sink.block(&((digits | ZEROS) >> (zeros & 63)).to_le_bytes(), 8 - (zeros / 8) as usize);
}

/// Writes a signed integer.
#[inline(always)]
pub(super) fn write_i64(sink: &mut Sink<'_>, number: i64) {
    if number < 0 {
        sink.byte(b'-');
    }
    write_u64(sink, number.unsigned_abs());
}

/// Writes a finite float as JSON has it: `1.0`, `0.00001`, `1e-6`, `35000000000.0`, `1e16`.
#[inline]
pub(super) fn write_json_f64(sink: &mut Sink<'_>, number: f64) {
    if !write_short(sink, number) {
        write_json_long(sink, number);
    }
}

/// Writes a float as CSV and table have it: plain from 1e-5 up to 1e10, else `1.0e-6`, `3.5e10`; `NaN`, `inf`, `-inf`.
#[inline]
pub(super) fn write_csv_f64(sink: &mut Sink<'_>, number: f64) {
    if !write_short(sink, number) {
        write_csv_long(sink, number);
    }
}

/// Numbers below this have an exact fast path; scaled by 1000 they have at most 12 digits.
const SHORT_MAX: f64 = 1e9;

/// Writes the number if it has at most three decimals, as most measured values do, and tells whether it did.
///
/// Scaled, rounded and divided back: if that gives the same float, the decimal names this float, and since any two
/// decimals of up to 15 digits name different floats it is the shortest that does.
#[inline(always)]
fn write_short(sink: &mut Sink<'_>, number: f64) -> bool {
    let magnitude = number.abs();
    if magnitude >= SHORT_MAX || magnitude.is_nan() {
        return false;
    }
    let scaled = (magnitude * 1000.0 + 0.5) as i64;
    if scaled as f64 / 1000.0 != magnitude {
        return false;
    }
    let scaled = scaled.unsigned_abs();
    if number.is_sign_negative() {
        sink.byte(b'-');
    }
    write_u64(sink, scaled / 1000);
    let text = &FRACTION[(scaled % 1000) as usize];
    sink.block(text, usize::from(text[4] - b'0'));
    true
}

/// `.0` to `.999` without trailing zeros but the first, then the length as an ASCII digit, padded to a word.
static FRACTION: [[u8; 8]; 1000] = {
    let mut table = [[0; 8]; 1000];
    let mut number = 0;
    while number < 1000 {
        let count = if number % 10 != 0 {
            3
        } else if number % 100 != 0 {
            2
        } else {
            1
        };
        table[number] = [
            b'.',
            b'0' + (number / 100) as u8,
            b'0' + (number / 10 % 10) as u8,
            b'0' + (number % 10) as u8,
            b'0' + 1 + count,
            0,
            0,
            0,
        ];
        number += 1;
    }
    table
};

#[inline(never)]
fn write_json_long(sink: &mut Sink<'_>, number: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    match text.split_once('+') {
        // The formatter writes `1e+16`.
        Some((mantissa, exponent)) if number.abs() >= 1.0 => {
            sink.bytes(mantissa.as_bytes());
            sink.bytes(exponent.as_bytes());
        }
        _ => sink.bytes(text.as_bytes()),
    }
}

#[inline(never)]
fn write_csv_long(sink: &mut Sink<'_>, number: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(number);
    if !number.is_finite() {
        sink.bytes(text.as_bytes());
        return;
    }
    if let Some((mantissa, exponent)) = text.split_once('e') {
        sink.bytes(mantissa.as_bytes());
        if !mantissa.contains('.') {
            sink.bytes(b".0");
        }
        sink.byte(b'e');
        sink.bytes(exponent.trim_start_matches('+').as_bytes());
        return;
    }
    if number.abs() < 1e10 {
        sink.bytes(text.as_bytes());
        return;
    }
    // Eleven digits or more before the point: move the point behind the first digit.
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (first, more) = whole.split_at(1);
    sink.bytes(sign.as_bytes());
    sink.bytes(first.as_bytes());
    sink.byte(b'.');
    let fraction = if fraction == "0" { "" } else { fraction };
    let more = if fraction.is_empty() { more.trim_end_matches('0') } else { more };
    if more.is_empty() && fraction.is_empty() {
        sink.byte(b'0');
    }
    sink.bytes(more.as_bytes());
    sink.bytes(fraction.as_bytes());
    sink.byte(b'e');
    write_u64(sink, whole.len() as u64 - 1);
}

/// Floats of which the formatter and Go write the digits in one way, but for `.0`.
const PLAIN: std::ops::Range<f64> = 1e-3..1e15;

/// Writes a finite float as Go's `encoding/json` does: no point for whole numbers, an exponent below 1e-6 and from
/// 1e21, written `1e-7` and `3e+21`.
pub(super) fn write_go_f64(sink: &mut Sink<'_>, number: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(number);
    if PLAIN.contains(&number.abs()) {
        debug_assert!(!text.contains('e'), "{text} is not plain");
        return sink.bytes(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    }
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    sink.bytes(sign.as_bytes());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        // The shortest text has one digit before the point here already.
        sink.bytes(whole.as_bytes());
        if !fraction.is_empty() {
            sink.byte(b'.');
            sink.bytes(fraction.as_bytes());
        }
        sink.bytes(if exponent < 0 { b"e-" } else { b"e+" });
        write_u64(sink, u64::from(exponent.unsigned_abs()));
        return;
    }
    // Plain decimal: the digits, with the point moved by the exponent.
    let point = whole.len() as i32 + exponent;
    let digits = || whole.bytes().chain(fraction.bytes());
    let count = (whole.len() + fraction.len()) as i32;
    if point <= 0 {
        sink.bytes(b"0.");
        (point..0).for_each(|_| sink.byte(b'0'));
        digits().for_each(|digit| sink.byte(digit));
        return;
    }
    for (place, digit) in (0..).zip(digits()) {
        if place == point {
            sink.byte(b'.');
        }
        sink.byte(digit);
    }
    (count..point).for_each(|_| sink.byte(b'0'));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Sink<'_>)) -> String {
        let mut out = b"x".to_vec();
        let mut sink = Sink::new(&mut out);
        write(&mut sink);
        sink.finish();
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn integers_equal_the_standard_library() {
        let mut numbers: Vec<u64> = (0..20_000).collect();
        for power in 0..20 {
            let ten = 10u64.pow(power);
            numbers.extend([ten - 1, ten, ten + 1, ten.wrapping_mul(7)]);
        }
        numbers.push(u64::MAX);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            numbers.push(random.u64(..) >> random.u32(0..64));
        }
        for number in numbers {
            assert_eq!(text(|sink| write_u64(sink, number)), number.to_string());
            let signed = number as i64;
            assert_eq!(text(|sink| write_i64(sink, signed)), signed.to_string());
        }
        assert_eq!(text(|sink| write_i64(sink, i64::MIN)), i64::MIN.to_string());
    }

    #[test]
    fn floats_as_observed() {
        for (number, json, csv) in [
            (1.0, "1.0", "1.0"),
            (0.0, "0.0", "0.0"),
            (-0.0, "-0.0", "-0.0"),
            (21.5, "21.5", "21.5"),
            (-1234.125, "-1234.125", "-1234.125"),
            (1e16, "1e16", "1.0e16"),
            (1e-6, "1e-6", "1.0e-6"),
            (1e-7, "1e-7", "1.0e-7"),
            (1.5e-7, "1.5e-7", "1.5e-7"),
            (1e-5, "0.00001", "0.00001"),
            (1.25e-5, "0.0000125", "0.0000125"),
            (0.0001, "0.0001", "0.0001"),
            (3.5e10, "35000000000.0", "3.5e10"),
            (1e10, "10000000000.0", "1.0e10"),
            (9_999_999_999.5, "9999999999.5", "9999999999.5"),
            (12_345_678_901.5, "12345678901.5", "1.23456789015e10"),
            (-10_000_000_000.25, "-10000000000.25", "-1.000000000025e10"),
            (123_456_789.5, "123456789.5", "123456789.5"),
            (1.2345e300, "1.2345e300", "1.2345e300"),
            (f64::MAX, "1.7976931348623157e308", "1.7976931348623157e308"),
            (5e-324, "5e-324", "5.0e-324"),
        ] {
            assert_eq!(text(|sink| write_json_f64(sink, number)), json, "{number:e}");
            assert_eq!(text(|sink| write_csv_f64(sink, number)), csv, "{number:e}");
        }
        for (number, csv) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            assert_eq!(text(|sink| write_csv_f64(sink, number)), csv);
        }
    }

    #[test]
    fn floats_as_go_writes_them() {
        for (number, expected) in [
            (3.0, "3"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.64, "0.64"),
            (-21.5, "-21.5"),
            (1e-6, "0.000001"),
            (1.25e-6, "0.00000125"),
            (1e-7, "1e-7"),
            (9.99e-7, "9.99e-7"),
            (0.00001, "0.00001"),
            (1e16, "10000000000000000"),
            (1.5e20, "150000000000000000000"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (-3.25e21, "-3.25e+21"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (35_000_000_000.0, "35000000000"),
        ] {
            assert_eq!(text(|sink| write_go_f64(sink, number)), expected, "{number:e}");
        }
        // Plain decimals, which Rust shows with as many digits; of two that are as near either may be the last.
        let as_rust_does = |number: f64| {
            let written = text(|sink| write_go_f64(sink, number));
            assert_eq!(written.parse::<f64>().map(f64::to_bits), Ok(number.to_bits()), "{written}");
            assert_eq!(written.len(), number.to_string().len(), "{written} is {number}");
        };
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let bits = random.u32(1..54);
            let digits = random.i64(-(1 << bits)..1 << bits) as f64;
            let number = digits * 10_f64.powi(random.i32(-18..5));
            if number == 0.0 || (1e-6..1e21).contains(&number.abs()) {
                as_rust_does(number);
            }
        }
        for number in [PLAIN.start, PLAIN.start.next_down(), PLAIN.end, PLAIN.end.next_down()] {
            as_rust_does(number);
        }
    }

    #[test]
    fn the_short_path_gives_the_shortest_text() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..100_000 {
            let decimals = [1.0, 10.0, 100.0, 1000.0, 10_000.0][random.usize(0..5)];
            let number = (random.i64(..) >> random.u32(20..64)) as f64 / decimals;
            let expected = zmij::Buffer::new().format_finite(number).replace('+', "");
            assert_eq!(text(|sink| write_json_f64(sink, number)), expected);
            assert_eq!(text(|sink| write_csv_f64(sink, number)).parse::<f64>().unwrap(), number, "{expected}");
        }
    }
}
