//! Time zones by their names in the IANA database, which is part of the program.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::unit::SECOND_NS;

/// A time zone.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    rules: TimeZone,
}

/// Whether a zone is called so.
pub(crate) fn is_zone(name: &str) -> bool {
    Zone::named(name).is_some()
}

impl Zone {
    /// The zone called `name`. The empty name and `Local` are UTC, which is the zone of a server.
    pub fn named(name: &str) -> Option<Self> {
        let rules = match name {
            "" | "Local" | "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).ok()?,
        };
        Some(Self { name: name.into(), rules })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds by which its clocks are ahead of UTC at a time.
    pub fn offset_s(&self, time_ns: i64) -> i32 {
        // Every i64 of nanoseconds lies within the years that the library knows.
        let time = Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
        self.rules.to_offset(time).seconds()
    }

    /// The same in nanoseconds.
    pub(crate) fn offset_ns(&self, time_ns: i64) -> i64 {
        i64::from(self.offset_s(time_ns)) * SECOND_NS
    }

    /// The time at which clocks of the zone show `local_ns`; of two such times the first.
    pub(crate) fn time_of_local(&self, local_ns: i128) -> i128 {
        let clamped = local_ns.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        let first = local_ns - i128::from(self.offset_ns(clamped));
        let again = first.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        local_ns - i128::from(self.offset_ns(again))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward_in_spring() {
        let zone = Zone::named("Europe/Paris").unwrap();
        // 2024-03-31T01:00:00Z
        let switch = 1_711_846_800 * SECOND_NS;
        assert_eq!((zone.offset_s(switch - 1), zone.offset_s(switch)), (3_600, 7_200));
        let noon = 1_711_886_400 * SECOND_NS;
        assert_eq!(zone.time_of_local(i128::from(noon) + 7_200 * i128::from(SECOND_NS)), i128::from(noon));
        assert!(Zone::named("Nowhere/Here").is_none());
        assert_eq!(Zone::named("").unwrap().offset_s(0), 0);
    }
}
