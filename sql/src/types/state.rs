//! The type of a timeline of states: for each state how long it was, and, unless it is compact, when.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit};

/// How long each state was.
pub(crate) const DURATIONS: &str = "state_duration";

/// When each state was; of a compact timeline there is none.
pub(crate) const PERIODS: &str = "state_periods";

/// The type of a duration.
pub(crate) const DURATION: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

fn fields<const N: usize>(members: [(&str, DataType); N]) -> Fields {
    members.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect()
}

/// A list of structs of these members.
pub(crate) fn list_of(members: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Struct(members), true)))
}

/// A state and how long it was.
pub(crate) fn duration_fields(state: &DataType) -> Fields {
    fields([("state", state.clone()), ("duration", DURATION)])
}

/// From when until when.
pub(crate) fn period_fields(unit: TimeUnit) -> Fields {
    let time = DataType::Timestamp(unit, None);
    fields([("start_time", time.clone()), ("end_time", time)])
}

/// A state and when it was.
pub(crate) fn periods_fields(state: &DataType, unit: TimeUnit) -> Fields {
    fields([("state", state.clone()), ("periods", list_of(period_fields(unit)))])
}

/// Members of a timeline.
pub(crate) fn timeline_fields(state: &DataType, unit: TimeUnit, is_compact: bool) -> Fields {
    let periods = if is_compact { DataType::Null } else { list_of(periods_fields(state, unit)) };
    fields([(DURATIONS, list_of(duration_fields(state))), (PERIODS, periods)])
}

/// What the states of a timeline are, and the unit of its times; that is `None` of a compact one. `None` of what is no
/// timeline.
pub(crate) fn timeline_parts(data_type: &DataType) -> Option<(DataType, Option<TimeUnit>)> {
    let member = |data_type: &DataType, name: &str| -> Option<DataType> {
        let DataType::Struct(fields) = data_type else { return None };
        Some(fields.find(name)?.1.data_type().clone())
    };
    let item = |list: &DataType| -> Option<DataType> {
        if let DataType::List(item) = list { Some(item.data_type().clone()) } else { None }
    };
    let state = member(&item(&member(data_type, DURATIONS)?)?, "state")?;
    let units = [TimeUnit::Nanosecond, TimeUnit::Microsecond, TimeUnit::Millisecond, TimeUnit::Second];
    let is = |unit, is_compact| *data_type == DataType::Struct(timeline_fields(&state, unit, is_compact));
    if is(TimeUnit::Nanosecond, true) {
        return Some((state, None));
    }
    units.into_iter().find(|unit| is(*unit, false)).map(|unit| (state.clone(), Some(unit)))
}
