//! Well-known text: shapes in the plane, as `POINT (30 10)` or `POLYGON ((30 10, 40 40, 20 40, 30 10))`.
//!
//! A text is checked, and kept as it was written. It begins with the name of a kind, in any case; what follows is EMPTY
//! or a list in brackets, and what the list holds the kind says. Points are two numbers; those of a MULTIPOINT may
//! stand in brackets of their own.

use tidewire_storage::schema::Geometry;

/// Collections inside of collections.
const DEPTH_MAX: usize = 16;

/// The kind of the shape that a text is; `None` of what is none.
pub(crate) fn kind_of(text: &str) -> Option<Geometry> {
    let mut reader = Reader { rest: text };
    let kind = reader.shape(DEPTH_MAX)?;
    reader.rest.trim_start().is_empty().then_some(kind)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    /// Takes a character, blanks before it left out.
    fn takes(&mut self, wanted: char) -> bool {
        match self.rest.trim_start().strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word of letters.
    fn word(&mut self) -> &str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    fn shape(&mut self, depth_left: usize) -> Option<Geometry> {
        let kind = Geometry::of_name(self.word())?;
        let before = self.rest;
        if self.word().eq_ignore_ascii_case("EMPTY") {
            return Some(kind);
        }
        self.rest = before;
        let is_whole = match kind {
            Geometry::Point => self.takes('(') && self.point() && self.takes(')'),
            Geometry::LineString => self.line(),
            Geometry::Polygon | Geometry::MultiLineString => self.list(Self::line),
            Geometry::MultiPoint => self.list(|reader| match reader.takes('(') {
                true => reader.point() && reader.takes(')'),
                false => reader.point(),
            }),
            Geometry::MultiPolygon => self.list(|reader| reader.list(Self::line)),
            Geometry::GeometryCollection => match depth_left.checked_sub(1) {
                Some(depth_left) => self.list(|reader| reader.shape(depth_left).is_some()),
                None => false,
            },
        };
        is_whole.then_some(kind)
    }

    fn line(&mut self) -> bool {
        self.list(Self::point)
    }

    /// Items with commas between them, in brackets.
    fn list(&mut self, item: impl Fn(&mut Self) -> bool) -> bool {
        if !self.takes('(') {
            return false;
        }
        loop {
            if !item(self) {
                return false;
            }
            if !self.takes(',') {
                return self.takes(')');
            }
        }
    }

    fn point(&mut self) -> bool {
        self.number() && self.rest.starts_with(char::is_whitespace) && self.number()
    }

    fn number(&mut self) -> bool {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let (number, rest) = rest.split_at(end);
        self.rest = rest;
        number.parse::<f64>().is_ok_and(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read() {
        for (text, kind) in [
            ("POINT(0 0)", Geometry::Point),
            (" point ( -1.5 2e3 ) ", Geometry::Point),
            ("LINESTRING (30 10, 10 30, 40 40)", Geometry::LineString),
            ("POLYGON ((35 10, 45 45, 15 40, 10 20, 35 10),(20 30, 35 35, 30 20, 20 30))", Geometry::Polygon),
            ("MULTIPOINT ((10 40), (40 30))", Geometry::MultiPoint),
            ("MULTIPOINT (10 40, 40 30)", Geometry::MultiPoint),
            ("MULTILINESTRING ((10 10, 20 20),(40 40, 30 30))", Geometry::MultiLineString),
            ("MULTIPOLYGON (((30 20, 45 40, 10 40, 30 20)),((15 5, 40 10, 15 5)))", Geometry::MultiPolygon),
            ("GEOMETRYCOLLECTION (POINT (40 10),LINESTRING (10 10, 20 20))", Geometry::GeometryCollection),
            ("GEOMETRYCOLLECTION EMPTY", Geometry::GeometryCollection),
        ] {
            assert_eq!(kind_of(text), Some(kind), "{text}");
        }
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        let deep = format!("{}POINT(0 0){}", "GEOMETRYCOLLECTION(".repeat(100_000), ")".repeat(100_000));
        for text in [
            "",
            "POINT",
            "POINT()",
            "POINT(0)",
            "POINT(0, 0)",
            "POINT(0 0",
            "POINT(0 0) x",
            "POINT(0 0 0)",
            "POINT(1 nan)",
            "POINT(1 1e999)",
            "CIRCLE(0 0)",
            "LINESTRING(0 0,)",
            "POLYGON(0 0, 1 1)",
            "(0 0)",
            &deep,
        ] {
            assert_eq!(kind_of(text), None, "{}", &text[..text.len().min(40)]);
        }
    }
}
