//! Shapes in the plane, as they are written: from well-known text, and from and to well-known binary.
//!
//! What is read is kept: rings that are not closed stay so. Numbers in a text or a binary say how much follows; none is
//! believed, memory is only ever taken for what has been read.

use std::fmt::{self, Write as _};

/// Collections inside of collections.
const DEPTH_MAX: usize = 16;

/// A point.
pub(crate) type Place = [f64; 2];

/// A shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// `None`: POINT EMPTY.
    Point(Option<Place>),
    Line(Vec<Place>),
    /// The outer ring, then the inner ones.
    Polygon(Vec<Vec<Place>>),
    Points(Vec<Place>),
    Lines(Vec<Vec<Place>>),
    Polygons(Vec<Vec<Vec<Place>>>),
    Collection(Vec<Shape>),
}

impl Shape {
    /// The shape that a text is; `None` of what is none.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let mut reader = TextReader { rest: text };
        let shape = reader.shape(DEPTH_MAX)?;
        reader.rest.trim_start().is_empty().then_some(shape)
    }

    /// The shape that a binary is.
    pub(crate) fn of_binary(bytes: &[u8]) -> Option<Self> {
        let mut reader = BinaryReader { rest: bytes };
        let shape = reader.shape(DEPTH_MAX)?;
        reader.rest.is_empty().then_some(shape)
    }

    /// The shape as a binary, little end first, in hexadecimal digits.
    pub(crate) fn write_binary(&self, out: &mut String) {
        match self {
            Self::Point(place) => {
                begin(out, 1);
                write_place(out, &place.unwrap_or([f64::NAN; 2]));
            }
            Self::Line(line) => {
                begin(out, 2);
                write_places(out, line);
            }
            Self::Polygon(rings) => {
                begin(out, 3);
                write_count(out, rings.len());
                rings.iter().for_each(|ring| write_places(out, ring));
            }
            Self::Points(places) => {
                begin(out, 4);
                write_count(out, places.len());
                places.iter().for_each(|place| Self::Point(Some(*place)).write_binary(out));
            }
            Self::Lines(lines) => {
                begin(out, 5);
                write_count(out, lines.len());
                lines.iter().for_each(|line| {
                    begin(out, 2);
                    write_places(out, line);
                });
            }
            Self::Polygons(polygons) => {
                begin(out, 6);
                write_count(out, polygons.len());
                polygons.iter().for_each(|rings| {
                    begin(out, 3);
                    write_count(out, rings.len());
                    rings.iter().for_each(|ring| write_places(out, ring));
                });
            }
            Self::Collection(shapes) => {
                begin(out, 7);
                write_count(out, shapes.len());
                shapes.iter().for_each(|shape| shape.write_binary(out));
            }
        }
    }
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
}

fn begin(out: &mut String, kind: u32) {
    out.push_str("01");
    write_bytes(out, &kind.to_le_bytes());
}

fn write_count(out: &mut String, count: usize) {
    write_bytes(out, &u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_place(out: &mut String, place: &Place) {
    place.iter().for_each(|number| write_bytes(out, &number.to_le_bytes()));
}

fn write_places(out: &mut String, places: &[Place]) {
    write_count(out, places.len());
    places.iter().for_each(|place| write_place(out, place));
}

/// As text, without blanks but between the two numbers of a point.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>, [x, y]: &Place| write!(f, "{x} {y}");
        let line = |f: &mut fmt::Formatter<'_>, places: &Vec<Place>| list(f, places, place);
        let rings = |f: &mut fmt::Formatter<'_>, rings: &Vec<Vec<Place>>| list(f, rings, line);
        match self {
            Self::Point(None) => f.write_str("POINT EMPTY"),
            Self::Point(Some(at)) => {
                f.write_str("POINT(")?;
                place(f, at)?;
                f.write_str(")")
            }
            Self::Line(places) => {
                f.write_str("LINESTRING")?;
                line(f, places)
            }
            Self::Polygon(of) => {
                f.write_str("POLYGON")?;
                rings(f, of)
            }
            Self::Points(places) => {
                f.write_str("MULTIPOINT")?;
                list(f, places, |f, [x, y]| write!(f, "({x} {y})"))
            }
            Self::Lines(lines) => {
                f.write_str("MULTILINESTRING")?;
                list(f, lines, line)
            }
            Self::Polygons(polygons) => {
                f.write_str("MULTIPOLYGON")?;
                list(f, polygons, rings)
            }
            Self::Collection(shapes) => {
                f.write_str("GEOMETRYCOLLECTION")?;
                list(f, shapes, |f, shape| write!(f, "{shape}"))
            }
        }
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return f.write_str(" EMPTY");
    }
    f.write_str("(")?;
    for (at, one) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        item(f, one)?;
    }
    f.write_str(")")
}

struct TextReader<'t> {
    rest: &'t str,
}

impl TextReader<'_> {
    /// Takes a character, blanks before it left out.
    fn takes(&mut self, wanted: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a word of letters.
    fn word(&mut self) -> &str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn shape(&mut self, depth_left: usize) -> Option<Shape> {
        let kind = self.word().to_ascii_uppercase();
        let before = self.rest;
        let is_empty = self.word().eq_ignore_ascii_case("EMPTY");
        if !is_empty {
            self.rest = before;
        }
        Some(match (kind.as_str(), is_empty) {
            ("POINT", true) => Shape::Point(None),
            ("LINESTRING", true) => Shape::Line(Vec::new()),
            ("POLYGON", true) => Shape::Polygon(Vec::new()),
            ("MULTIPOINT", true) => Shape::Points(Vec::new()),
            ("MULTILINESTRING", true) => Shape::Lines(Vec::new()),
            ("MULTIPOLYGON", true) => Shape::Polygons(Vec::new()),
            ("GEOMETRYCOLLECTION", true) => Shape::Collection(Vec::new()),
            ("POINT", false) => Shape::Point(Some(self.bracketed()?)),
            ("LINESTRING", false) => Shape::Line(self.line()?),
            ("POLYGON", false) => Shape::Polygon(self.list(Self::line)?),
            ("MULTIPOINT", false) => {
                let point = |reader: &mut Self| match reader.rest.trim_start().starts_with('(') {
                    true => reader.bracketed(),
                    false => reader.place(),
                };
                Shape::Points(self.list(point)?)
            }
            ("MULTILINESTRING", false) => Shape::Lines(self.list(Self::line)?),
            ("MULTIPOLYGON", false) => Shape::Polygons(self.list(|reader| reader.list(Self::line))?),
            ("GEOMETRYCOLLECTION", false) => {
                let depth_left = depth_left.checked_sub(1)?;
                Shape::Collection(self.list(|reader| reader.shape(depth_left))?)
            }
            _ => return None,
        })
    }

    fn line(&mut self) -> Option<Vec<Place>> {
        self.list(Self::place)
    }

    /// Items with commas between them, in brackets.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        if !self.takes('(') {
            return None;
        }
        let mut items = Vec::new();
        loop {
            items.push(item(self)?);
            if !self.takes(',') {
                return self.takes(')').then_some(items);
            }
        }
    }

    fn bracketed(&mut self) -> Option<Place> {
        if !self.takes('(') {
            return None;
        }
        let place = self.place()?;
        self.takes(')').then_some(place)
    }

    fn place(&mut self) -> Option<Place> {
        let x = self.number()?;
        if !self.rest.starts_with(char::is_whitespace) {
            return None;
        }
        Some([x, self.number()?])
    }

    fn number(&mut self) -> Option<f64> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let (number, rest) = rest.split_at(end);
        self.rest = rest;
        number.parse::<f64>().ok().filter(|number| number.is_finite())
    }
}

struct BinaryReader<'b> {
    rest: &'b [u8],
}

/// Whether the little end of a number comes first.
type Little = bool;

impl BinaryReader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn word(&mut self, little: Little) -> Option<u32> {
        let bytes = self.bytes()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn number(&mut self, little: Little) -> Option<f64> {
        let bytes = self.bytes()?;
        Some(if little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }

    fn head(&mut self) -> Option<(Little, u32)> {
        let [order] = self.bytes()?;
        let little = match order {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some((little, self.word(little)?))
    }

    fn place(&mut self, little: Little) -> Option<Place> {
        let place = [self.number(little)?, self.number(little)?];
        place.iter().all(|number| number.is_finite()).then_some(place)
    }

    fn list<T>(&mut self, little: Little, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.word(little)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn line(&mut self, little: Little) -> Option<Vec<Place>> {
        self.list(little, |reader| reader.place(little))
    }

    fn rings(&mut self, little: Little) -> Option<Vec<Vec<Place>>> {
        self.list(little, |reader| reader.line(little))
    }

    /// One of a list of shapes of a kind, each with a head of its own.
    fn one<T>(&mut self, kind: u32, read: impl Fn(&mut Self, Little) -> Option<T>) -> Option<T> {
        let (little, found) = self.head()?;
        if found == kind { read(self, little) } else { None }
    }

    fn shape(&mut self, depth_left: usize) -> Option<Shape> {
        let (little, kind) = self.head()?;
        Some(match kind {
            1 => {
                let (x, y) = (self.number(little)?, self.number(little)?);
                match (x.is_finite() && y.is_finite(), x.is_nan() && y.is_nan()) {
                    (true, _) => Shape::Point(Some([x, y])),
                    (false, true) => Shape::Point(None),
                    (false, false) => return None,
                }
            }
            2 => Shape::Line(self.line(little)?),
            3 => Shape::Polygon(self.rings(little)?),
            4 => Shape::Points(self.list(little, |reader| reader.one(1, Self::place))?),
            5 => Shape::Lines(self.list(little, |reader| reader.one(2, Self::line))?),
            6 => Shape::Polygons(self.list(little, |reader| reader.one(3, Self::rings))?),
            7 => {
                let depth_left = depth_left.checked_sub(1)?;
                Shape::Collection(self.list(little, |reader| reader.shape(depth_left))?)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn texts_and_binaries_are_read_back() {
        for text in [
            "POINT(0 1)",
            "POINT(-1.5 2000)",
            "LINESTRING(30 10,10 30,40 40)",
            "POLYGON((35 10,45 45,15 40,10 20,35 10),(20 30,35 35,30 20,20 30))",
            "MULTIPOINT((10 40),(40 30))",
            "MULTILINESTRING((10 10,20 20),(40 40,30 30))",
            "MULTIPOLYGON(((30 20,45 40,10 40)),((15 5,40 10,15 5)))",
            "GEOMETRYCOLLECTION(POINT(40 10),LINESTRING(10 10,20 20))",
            "GEOMETRYCOLLECTION EMPTY",
            "POINT EMPTY",
        ] {
            let shape = Shape::of_text(text).unwrap();
            assert_eq!(shape.to_string(), text);
            let mut binary = String::new();
            shape.write_binary(&mut binary);
            assert_eq!(Shape::of_binary(&bytes(&binary)), Some(shape), "{text}: {binary}");
            // None of its beginnings is a shape.
            let whole = bytes(&binary);
            assert!((0..whole.len()).all(|end| Shape::of_binary(&whole[..end]).is_none()), "{text}");
        }
        let big = [&[0, 0, 0, 0, 1][..], &1.0_f64.to_be_bytes(), &2.0_f64.to_be_bytes()].concat();
        assert_eq!(Shape::of_binary(&big), Some(Shape::Point(Some([1.0, 2.0]))));
        // A count is not believed.
        assert_eq!(Shape::of_binary(&[1, 2, 0, 0, 0, 255, 255, 255, 255]), None);
        let deep = format!("{}POINT(0 0){}", "GEOMETRYCOLLECTION(".repeat(10_000), ")".repeat(10_000));
        for text in ["", "POINT(0, 0)", "POINT(0 0) x", "CIRCLE(0 0)", "POINT(1 nan)", &deep] {
            assert_eq!(Shape::of_text(text), None);
        }
    }
}
