//! A value of a document that was read, and what is in it.

use simd_json::{Node, StaticNode};

/// A value: its node, and behind it those of what it holds.
#[derive(Debug, Clone, Copy)]
pub struct JsonValue<'n, 't>(&'n [Node<'t>]);

/// A value that holds no others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'t> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without point and exponent that is an `i64`.
    Int(i64),
    /// One that is a `u64` only.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(&'t str),
}

impl<'n, 't> JsonValue<'n, 't> {
    pub(super) fn of(nodes: &'n [Node<'t>]) -> Self {
        Self(nodes)
    }

    /// What it is, if it holds no others.
    pub fn scalar(self) -> Option<Scalar<'t>> {
        Some(match *self.0.first()? {
            Node::String(text) => Scalar::Text(text),
            Node::Static(StaticNode::Null) => Scalar::Null,
            Node::Static(StaticNode::Bool(value)) => Scalar::Bool(value),
            Node::Static(StaticNode::I64(value)) => Scalar::Int(value),
            Node::Static(StaticNode::U64(value)) => i64::try_from(value).map_or(Scalar::UInt(value), Scalar::Int),
            Node::Static(StaticNode::F64(value)) => Scalar::Float(value),
            Node::Object { .. } | Node::Array { .. } => return None,
        })
    }

    /// The text, if it is a string.
    pub fn text(self) -> Option<&'t str> {
        match self.scalar()? {
            Scalar::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    pub fn object(self) -> Option<Entries<'n, 't>> {
        match self.0.split_first()? {
            (Node::Object { len, .. }, rest) => Some(Entries { rest, left: *len }),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn array(self) -> Option<Items<'n, 't>> {
        match self.0.split_first()? {
            (Node::Array { len, .. }, rest) => Some(Items { rest, left: *len }),
            _ => None,
        }
    }

    /// The value of an object's entry; of several the last.
    pub fn get(self, name: &str) -> Option<JsonValue<'n, 't>> {
        self.object()?.filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }

    /// What it is, for messages.
    pub fn kind(self) -> &'static str {
        match self.scalar() {
            Some(Scalar::Null) => "null",
            Some(Scalar::Bool(_)) => "a boolean",
            Some(Scalar::Int(_) | Scalar::UInt(_)) => "an integer",
            Some(Scalar::Float(_)) => "a float",
            Some(Scalar::Text(_)) => "a string",
            None if self.object().is_some() => "an object",
            None => "an array",
        }
    }
}

/// The value at the start of `nodes`, and the nodes behind it.
fn split<'n, 't>(nodes: &'n [Node<'t>]) -> Option<(JsonValue<'n, 't>, &'n [Node<'t>])> {
    let held = match nodes.first()? {
        Node::Object { count, .. } | Node::Array { count, .. } => *count,
        _ => 0,
    };
    let (value, rest) = nodes.split_at_checked(held + 1)?;
    Some((JsonValue(value), rest))
}

/// Iterator of [`JsonValue::object`]: names and values, in the order of the text.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'n, 't> {
    rest: &'n [Node<'t>],
    left: usize,
}

impl<'n, 't> Iterator for Entries<'n, 't> {
    type Item = (&'t str, JsonValue<'n, 't>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (Node::String(name), rest) = self.rest.split_first()? else { return None };
        let (value, rest) = split(rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Iterator of [`JsonValue::array`].
#[derive(Debug, Clone, Copy)]
pub struct Items<'n, 't> {
    rest: &'n [Node<'t>],
    left: usize,
}

impl<'n, 't> Iterator for Items<'n, 't> {
    type Item = JsonValue<'n, 't>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (value, rest) = split(self.rest)?;
        self.rest = rest;
        Some(value)
    }
}
