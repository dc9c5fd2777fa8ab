//! Functions of shapes in the plane, which are well-known text. What is no shape is null, and so is an answer about it.
//!
//! How shapes lie to each other is computed by the `geo` crate. Rings count as closed.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array};
use geo::algorithm::{Area, Distance, Euclidean, Intersects, Relate};
use geo::{Geometry, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};

use super::definition::Parameter::{AnyText, Text};
use super::definition::{Documentation, Function, Signature};
use super::rows::{rows_of, text_at, text_rows, texts};
use crate::error::execution::Result;
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};
use crate::types::shape::{Place, Shape};

macro_rules! relation {
    ($name:literal, $usage:literal, $text:literal, $holds:expr) => {
        Function::of(
            Documentation::new($name, $usage, $text),
            Signature::of(&[Text, Text]),
            ScalarFunction::new($name, Returns::Boolean, Kernel::Columns(|args| relation(args, $holds))),
        )
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function::of(
        Documentation::new(
            "st_asbinary",
            "st_asbinary(shape)",
            "Well-known binary of the shape, as text in hexadecimal digits.",
        ),
        Signature::of(&[AnyText]),
        ScalarFunction::new("st_asbinary", Returns::Text, Kernel::Columns(as_binary)).making(binary_bytes),
    ),
    Function::of(
        Documentation::new(
            "st_geomfromwkb",
            "st_geomfromwkb(digits)",
            "The shape that well-known binary in hexadecimal digits is, as well-known text.",
        ),
        Signature::of(&[AnyText]),
        ScalarFunction::new("st_geomfromwkb", Returns::Text, Kernel::Columns(from_binary)).making(text_bytes),
    ),
    Function::of(
        Documentation::new("st_area", "st_area(shape)", "Area of the shape without sign, DOUBLE."),
        Signature::of(&[Text]),
        ScalarFunction::new("st_area", Returns::Double, Kernel::Columns(area)),
    ),
    Function::of(
        Documentation::new("st_distance", "st_distance(shape, shape)", "Least distance of the two shapes, DOUBLE."),
        Signature::of(&[Text, Text]),
        ScalarFunction::new("st_distance", Returns::Double, Kernel::Columns(distance)),
    ),
    relation!(
        "st_contains",
        "st_contains(a, b)",
        "Whether no point of `b` lies outside of `a`, and one inside of both, BOOLEAN.",
        |a, b| a.relate(b).is_contains()
    ),
    relation!("st_within", "st_within(a, b)", "Whether `b` contains `a`, BOOLEAN.", |a, b| a.relate(b).is_within()),
    relation!(
        "st_equals",
        "st_equals(a, b)",
        "Whether the two have the same points, however they are written, BOOLEAN.",
        |a, b| a.relate(b).is_equal_topo()
    ),
    relation!(
        "st_intersects",
        "st_intersects(a, b)",
        "Whether the two have a point in common, BOOLEAN.",
        Geometry::intersects
    ),
    relation!("st_disjoint", "st_disjoint(a, b)", "Whether the two have no point in common, BOOLEAN.", |a, b| !a
        .intersects(b)),
];

/// Bytes of binary for a byte of text, twice as many digits: a number of one digit and a blank become eight bytes.
const BINARY_TEXT_BYTES: usize = 16;

fn binary_bytes(args: &[ArrayRef]) -> usize {
    let texts: usize = args.iter().map(crate::exec::eval::text_bytes).fold(0, usize::saturating_add);
    texts.saturating_mul(BINARY_TEXT_BYTES)
}

/// A number of eight bytes has up to some three hundred digits before its point, and as many behind it.
fn text_bytes(args: &[ArrayRef]) -> usize {
    const TEXT_BINARY_BYTES: usize = 48;
    let texts: usize = args.iter().map(crate::exec::eval::text_bytes).fold(0, usize::saturating_add);
    texts.saturating_mul(TEXT_BINARY_BYTES)
}

fn as_binary(args: &[ArrayRef]) -> Result<ArrayRef> {
    let columns = texts(args, 0)?;
    text_rows(rows_of(args), |row, made| {
        Ok(text_at(&columns, row).and_then(Shape::of_text).map(|shape| shape.write_binary(made)))
    })
}

fn from_binary(args: &[ArrayRef]) -> Result<ArrayRef> {
    let columns = texts(args, 0)?;
    text_rows(rows_of(args), |row, made| {
        let shape = text_at(&columns, row).and_then(bytes_of).and_then(|bytes| Shape::of_binary(&bytes));
        Ok(shape.map(|shape| made.push_str(&shape.to_string())))
    })
}

/// The bytes that hexadecimal digits are.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    });
    pairs.collect()
}

fn area(args: &[ArrayRef]) -> Result<ArrayRef> {
    let columns = texts(args, 0)?;
    let area = |row: usize| Some(geometry(&Shape::of_text(text_at(&columns, row)?)?)?.unsigned_area());
    Ok(Arc::new((0..rows_of(args)).map(area).collect::<Float64Array>()))
}

fn distance(args: &[ArrayRef]) -> Result<ArrayRef> {
    let columns = [texts(args, 0)?, texts(args, 1)?];
    let distance = |row: usize| {
        let [a, b] = columns.each_ref().map(|texts| geometry(&Shape::of_text(text_at(texts, row)?)?));
        Some(Euclidean.distance(&a?, &b?))
    };
    Ok(Arc::new((0..rows_of(args)).map(distance).collect::<Float64Array>()))
}

fn relation(args: &[ArrayRef], holds: fn(&Geometry, &Geometry) -> bool) -> Result<ArrayRef> {
    let columns = [texts(args, 0)?, texts(args, 1)?];
    let relation = |row: usize| {
        let [a, b] = columns.each_ref().map(|texts| geometry(&Shape::of_text(text_at(texts, row)?)?));
        Some(holds(&a?, &b?))
    };
    Ok(Arc::new((0..rows_of(args)).map(relation).collect::<BooleanArray>()))
}

/// A shape as the crate has it; `None` of a point that is none.
fn geometry(shape: &Shape) -> Option<Geometry> {
    let line = |places: &Vec<Place>| LineString::from_iter(places.iter().map(|place| (place[0], place[1])));
    let polygon = |rings: &Vec<Vec<Place>>| {
        let mut rings = rings.iter().map(line);
        Polygon::new(rings.next().unwrap_or_else(|| LineString::new(Vec::new())), rings.collect())
    };
    Some(match shape {
        Shape::Point(place) => Geometry::Point(place.map(|[x, y]| Point::new(x, y))?),
        Shape::Line(places) => Geometry::LineString(line(places)),
        Shape::Polygon(rings) => Geometry::Polygon(polygon(rings)),
        Shape::Points(places) => {
            Geometry::MultiPoint(MultiPoint::from_iter(places.iter().map(|place| Point::new(place[0], place[1]))))
        }
        Shape::Lines(lines) => Geometry::MultiLineString(MultiLineString::new(lines.iter().map(line).collect())),
        Shape::Polygons(polygons) => Geometry::MultiPolygon(MultiPolygon::new(polygons.iter().map(polygon).collect())),
        Shape::Collection(shapes) => {
            let shapes = shapes.iter().map(geometry).collect::<Option<Vec<_>>>()?;
            Geometry::GeometryCollection(GeometryCollection::from(shapes))
        }
    })
}
