//! Labels of a series as one run of bytes, which sorts as Prometheus sorts labels: by names and values one after the
//! other, and a series before those that have its labels and more.
//!
//! A name and a value each end with a zero byte. So that they have none themselves, and keep their order, 0 in them is
//! written as 1 1, and 1 as 1 2.

use crate::protobuf::{push_header, varint_bytes};

const END: u8 = 0;
const ESCAPE: u8 = 1;

/// The labels of a series.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelKey(Vec<u8>);

impl LabelKey {
    /// No labels.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a label, whose name comes after those before. One without a value is none.
    pub fn push(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.push_text(name);
            self.push_text(value);
        }
    }

    fn push_text(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            match byte {
                END | ESCAPE => self.0.extend([ESCAPE, byte + 1]),
                _ => self.0.push(byte),
            }
        }
        self.0.push(END);
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.0.capacity()
    }

    /// The labels as fields of a message: `1 (1 name 2 value)*`.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(2 * self.0.len());
        let mut texts = self.0.split(|byte| *byte == END).map(unescaped);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            let bytes = |text: &[u8]| 1 + varint_bytes(text.len() as u64) + text.len();
            push_header(&mut message, 1, bytes(&name) + bytes(&value));
            push_header(&mut message, 1, name.len());
            message.extend_from_slice(&name);
            push_header(&mut message, 2, value.len());
            message.extend_from_slice(&value);
        }
        message
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            ESCAPE => out.extend(bytes.next().map(|byte| byte - 1)),
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{Fields, read_pair};

    fn key(labels: &[(&str, &str)]) -> LabelKey {
        let mut key = LabelKey::default();
        labels.iter().for_each(|(name, value)| key.push(name, value));
        key
    }

    fn labels(key: &LabelKey) -> Vec<(String, String)> {
        let message = key.message();
        let mut fields = Fields::of(&message);
        let mut labels = Vec::new();
        while let Some(field) = fields.next_field().unwrap() {
            let (name, value) = read_pair(field.value.bytes().unwrap()).unwrap();
            labels.push((name.to_owned(), value.to_owned()));
        }
        labels
    }

    #[test]
    fn keys_sort_as_labels_do_and_give_them_back() {
        let sorted: [&[(&str, &str)]; 9] = [
            &[],
            &[("a", "\0")],
            &[("a", "\u{1}")],
            &[("a", "\u{2}")],
            &[("a", "1")],
            &[("a", "1"), ("b", "1")],
            &[("a", "1"), ("c", "")],
            &[("a", "10")],
            &[("ab", "0"), ("é", "ü")],
        ];
        let keys: Vec<LabelKey> = sorted.iter().map(|labels| key(labels)).collect();
        // The seventh has a label without a value: it is the fifth.
        assert_eq!(keys[6], keys[4]);
        let distinct: Vec<&LabelKey> = keys.iter().enumerate().filter(|(at, _)| *at != 6).map(|(_, key)| key).collect();
        assert!(distinct.is_sorted_by(|one, other| one < other));
        for (given, key) in sorted.iter().zip(&keys) {
            let given = given.iter().filter(|(_, value)| !value.is_empty());
            let given: Vec<_> = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(labels(key), given);
        }
    }
}
