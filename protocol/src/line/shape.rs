//! The shape of a table's series: measurement and tag keys, with the values left out.
//!
//! Where series come that nobody has met, most of them differ from the last one that was met in the values of their
//! tags alone. Such a sibling is read by comparing the fixed pieces and finding the ends of the values, and its sink is
//! asked by the values, without any name. Only plain text has a shape: what holds escapes or bytes outside ASCII, lacks
//! a tag's value or has more than [`TAGS_MAX`] tags goes to the scalar parser, always.

use std::borrow::Cow;

use crate::row::SeriesSlot;

/// Tags of a series with a shape: the values found lie on the stack.
pub(super) const TAGS_MAX: usize = 32;

/// Bytes of a key with a shape.
const KEY_BYTES_MAX: usize = 4096;

/// Values of tags, in the order of their keys' bytes; the first `count` of them are in use.
pub(super) type TagValues<'t> = [&'t [u8]; TAGS_MAX];

/// Bytes that end a plain tag value, or make it one that is not plain.
const NOT_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x80;
    while byte < 256 {
        table[byte] = true;
        byte += 1;
    }
    table[b',' as usize] = true;
    table[b'=' as usize] = true;
    table[b' ' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'\n' as usize] = true;
    table
};

/// See the module.
#[derive(Debug)]
pub(super) struct Shape {
    /// `measurement,key=`, `,key=`, …: what stands before each value.
    pieces: Box<[Box<[u8]>]>,
    /// Where each value goes in the order of the keys.
    order: Box<[u8]>,
    /// A series of this shape.
    pub(super) like: SeriesSlot,
    /// Its table.
    pub(super) table: u32,
    /// The layout that the last line of one had, if it is known.
    pub(super) layout: Option<u32>,
}

impl Shape {
    /// The shape of the series `raw`, whose tags are `tags`, sorted; `None` where it has none.
    pub(super) fn of(raw: &[u8], tags: &[(Cow<'_, str>, Cow<'_, str>)], like: SeriesSlot, table: u32) -> Option<Self> {
        if tags.is_empty() || tags.len() > TAGS_MAX || raw.len() > KEY_BYTES_MAX || !raw.is_ascii() {
            return None;
        }
        let mut pieces = Vec::with_capacity(tags.len());
        let mut order = Vec::with_capacity(tags.len());
        let mut at = 0;
        while at < raw.len() {
            let equals = at + memchr::memchr2(b'=', b'\\', raw.get(at..)?)?;
            let (piece, rest) = (raw.get(at..=equals)?, raw.get(equals + 1..)?);
            let name_start = piece.iter().rposition(|&byte| byte == b',')? + 1;
            let name = piece.get(name_start..piece.len() - 1)?;
            order.push(tags.iter().position(|tag| tag.0.as_bytes() == name)? as u8);
            pieces.push(Box::from(piece));
            at = equals + 1 + plain_bytes(rest);
        }
        let shape = Self { pieces: pieces.into(), order: order.into(), like, table, layout: None };
        // The reading that siblings get must give what the scalar parser gave.
        let mut values = [&[][..]; TAGS_MAX];
        let count = shape.read(raw, &mut values)?;
        let same = values.iter().zip(tags).all(|(value, tag)| *value == tag.1.as_bytes());
        (count == tags.len() && same).then_some(shape)
    }

    /// The tag values of `raw`, sorted by key, if it is of this shape; and how many there are.
    #[inline]
    pub(super) fn read<'t>(&self, raw: &'t [u8], values: &mut TagValues<'t>) -> Option<usize> {
        let mut rest = raw;
        for (piece, &place) in self.pieces.iter().zip(&*self.order) {
            rest = rest.strip_prefix(&**piece)?;
            let (value, behind) = rest.split_at_checked(plain_bytes(rest))?;
            if value.is_empty() {
                return None;
            }
            *values.get_mut(usize::from(place))? = value;
            rest = behind;
        }
        rest.is_empty().then_some(self.pieces.len())
    }

    /// Memory that it holds.
    pub(super) fn heap_bytes(&self) -> usize {
        let pieces = self.pieces.iter().map(|piece| size_of::<Box<[u8]>>() + piece.len());
        pieces.sum::<usize>() + self.order.len()
    }
}

/// Bytes of `text` up to the first that no plain value has.
#[inline(always)]
fn plain_bytes(text: &[u8]) -> usize {
    text.iter().position(|&byte| NOT_PLAIN[usize::from(byte)]).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(raw: &str, tags: &[(&str, &str)]) -> Option<Shape> {
        let tags: Vec<_> = tags.iter().map(|&(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect();
        Shape::of(raw.as_bytes(), &tags, SeriesSlot(7), 3)
    }

    fn read<'t>(shape: &Shape, raw: &'t str) -> Option<Vec<&'t str>> {
        let mut values = [&[][..]; TAGS_MAX];
        let count = shape.read(raw.as_bytes(), &mut values)?;
        Some(values[..count].iter().map(|value| std::str::from_utf8(value).unwrap()).collect())
    }

    #[test]
    fn siblings_give_their_values_in_the_order_of_the_keys() {
        let shape = shape("cpu,host=a,dc=eu,rack=7", &[("dc", "eu"), ("host", "a"), ("rack", "7")]).unwrap();
        assert_eq!(read(&shape, "cpu,host=bb,dc=us,rack=19"), Some(vec!["us", "bb", "19"]));
        for other in [
            "cpu,host=bb,dc=us",
            "cpu,host=bb,dc=us,rack=",
            "cpu,host=bb,dc=us,rack=1,more=2",
            "cpu,dc=us,host=bb,rack=1",
            "cpu,host=b=b,dc=us,rack=1",
            "cpu,host=b\\,b,dc=us,rack=1",
            "cpu,host=é,dc=us,rack=1",
            "mem,host=bb,dc=us,rack=1",
            "",
        ] {
            assert_eq!(read(&shape, other), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_plain_has_no_shape() {
        assert!(shape("cpu", &[]).is_none());
        assert!(shape("cpu,a\\ b=1", &[("a b", "1")]).is_none());
        assert!(shape("cpu,a=\\ 1", &[("a", " 1")]).is_none());
        assert!(shape("cpü,a=1", &[("a", "1")]).is_none());
        // Of a tag that comes twice one counts; one without a value is none.
        assert!(shape("cpu,a=1,a=2", &[("a", "1")]).is_none());
        assert!(shape("cpu,a=1,b=", &[("a", "1")]).is_none());
    }
}
