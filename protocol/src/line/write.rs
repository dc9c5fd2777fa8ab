//! Lines, written.
//!
//! Escaped is what both dialects want escaped: `,` and space in a measurement, also `=` in names and tag values, `"`
//! and `\` in strings. A backslash in a name stands as it is: InfluxDB reads it so, CnosDB takes it only before what it
//! lets one escape, and neither has a way to write every name.

/// Appends measurement and tags.
pub fn push_series<'a>(out: &mut Vec<u8>, table: &str, tags: impl IntoIterator<Item = (&'a str, &'a str)>) {
    push_escaped(out, table, b", ");
    for (name, value) in tags {
        out.push(b',');
        push_name(out, name);
        out.push(b'=');
        push_name(out, value);
    }
}

/// Appends a tag's name or value, or a field's name.
pub fn push_name(out: &mut Vec<u8>, name: &str) {
    push_escaped(out, name, b", =");
}

/// Appends a string with its quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text, b"\"\\");
    out.push(b'"');
}

/// Appends a finite float, in the fewest digits that read back as the same bits; false, and nothing, for any other.
pub fn push_float(out: &mut Vec<u8>, number: f64) -> bool {
    let finite = number.is_finite();
    if finite {
        out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
    }
    finite
}

/// Appends an integer with what tells its type.
pub fn push_int(out: &mut Vec<u8>, number: i64) {
    push_digits(out, number);
    out.push(b'i');
}

/// Appends an unsigned integer with what tells its type.
pub fn push_uint(out: &mut Vec<u8>, number: u64) {
    push_digits(out, number);
    out.push(b'u');
}

/// Appends a whole number.
pub fn push_digits(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a boolean.
pub fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn push_escaped(out: &mut Vec<u8>, text: &str, set: &[u8]) {
    for byte in text.bytes() {
        if set.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short_and_read_back() {
        let text = |number: f64| {
            let mut out = Vec::new();
            assert!(push_float(&mut out, number));
            String::from_utf8(out).unwrap()
        };
        let mut random = fastrand::Rng::with_seed(3);
        let special = [0.0, -0.0, 0.1, 1e21, 5e-324, f64::MAX, f64::MIN_POSITIVE, 1.0 / 3.0, -1e16];
        for number in special.into_iter().chain((0..2000).map(|_| f64::from_bits(random.u64(..)))) {
            if number.is_finite() {
                assert_eq!(text(number).parse::<f64>().unwrap().to_bits(), number.to_bits(), "{number:?}");
            }
        }
        assert_eq!((text(0.1).as_str(), text(1e21).as_str()), ("0.1", "1e+21"));
        let mut out = Vec::new();
        assert!(!push_float(&mut out, f64::NAN) && !push_float(&mut out, f64::INFINITY) && out.is_empty());
    }
}
