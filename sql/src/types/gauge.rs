//! The type of a gauge: a struct of four points, each a time and a value, and a count.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// Names of the points of a gauge, by time.
pub(crate) const POINTS: [&str; 4] = ["first", "second", "penultimate", "last"];

/// Members of a point.
pub(crate) fn point_fields(unit: TimeUnit) -> Fields {
    [("ts", DataType::Timestamp(unit, None)), ("val", DataType::Float64)]
        .map(|(name, data_type)| Arc::new(Field::new(name, data_type, true)))
        .into_iter()
        .collect()
}

/// Members of a gauge.
pub(crate) fn gauge_fields(unit: TimeUnit) -> Fields {
    let point = |name: &str| Arc::new(Field::new(name, DataType::Struct(point_fields(unit)), true));
    let count = Arc::new(Field::new("num_elements", DataType::UInt64, true));
    POINTS.into_iter().map(point).chain([count]).collect()
}

/// The unit of a gauge's times; `None` of what is no gauge.
pub(crate) fn gauge_unit(data_type: &DataType) -> Option<TimeUnit> {
    let DataType::Struct(fields) = data_type else { return None };
    let units = [TimeUnit::Nanosecond, TimeUnit::Microsecond, TimeUnit::Millisecond, TimeUnit::Second];
    units.into_iter().find(|unit| *fields == gauge_fields(*unit))
}
