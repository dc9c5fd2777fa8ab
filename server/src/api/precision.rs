//! The unit of times that a request's parameter `precision` names.

use tidewire_protocol::row::TimeScale;

use super::context::RequestContext;
use super::fault::Fault;
use crate::ingest::write::Precision;

/// The unit that a request names, if it names one.
pub(super) fn unit(context: &RequestContext<'_>) -> Result<Option<Precision>, Fault> {
    let Some(text) = context.parameter("precision")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "s" => Ok(Some(Precision::Second)),
        "ms" => Ok(Some(Precision::Millisecond)),
        "us" => Ok(Some(Precision::Microsecond)),
        "ns" => Ok(Some(Precision::Nanosecond)),
        _ => Err(Fault::ParameterValue { name: "precision", value: text.into_owned() }),
    }
}

/// What the times of a request count: `default` where it does not say.
pub(super) fn time_scale(context: &RequestContext<'_>, default: TimeScale) -> Result<TimeScale, Fault> {
    Ok(unit(context)?.map_or(default, |unit| TimeScale::Unit(unit.nanoseconds())))
}
