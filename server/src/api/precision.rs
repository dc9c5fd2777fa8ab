//! The unit of times that a request's parameter `precision` names.

use tidewire_protocol::row::TimeScale;

use super::context::RequestContext;
use super::fault::Fault;
use crate::ingest::write::Precision;

/// What the times of a request count: `default` where it does not say.
pub(super) fn time_scale(context: &RequestContext<'_>, default: TimeScale) -> Result<TimeScale, Fault> {
    let Some(text) = context.parameter("precision")?.filter(|text| !text.is_empty()) else { return Ok(default) };
    let unit = match text.to_ascii_lowercase().as_str() {
        "s" => Precision::Second,
        "ms" => Precision::Millisecond,
        "us" => Precision::Microsecond,
        "ns" => Precision::Nanosecond,
        _ => return Err(Fault::ParameterValue { name: "precision", value: text.into_owned() }),
    };
    Ok(TimeScale::Unit(unit.nanoseconds()))
}
