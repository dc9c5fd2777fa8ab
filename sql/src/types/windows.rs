//! Windows of time as InfluxQL cuts them: of one width, aligned with the epoch, or with the clocks of a time zone, so
//! that a day begins at midnight whether it has 23 hours or 25.

use super::zone::Zone;

/// Windows that tile the time line. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Width of a window; more than 0.
    pub width_ns: i64,
    /// Where a window begins, less than a width after the epoch or before it.
    pub offset_ns: i64,
    /// The zone whose clocks windows are aligned with.
    pub zone: Option<Zone>,
}

impl Windows {
    /// First time of the window that holds `time`, and of the next.
    pub fn window(&self, time: i64) -> (i64, i64) {
        let (width, offset) = (self.width_ns, self.offset_ns);
        let shifted = time.saturating_sub(offset);
        let ahead = self.zone.as_ref().map_or(0, |zone| zone.offset_ns(shifted));
        let into = (i128::from(shifted) + i128::from(ahead)).rem_euclid(i128::from(width)) as i64;
        let (mut start, mut end) = (shifted.saturating_sub(into), shifted.saturating_add(width - into));
        if let Some(zone) = &self.zone {
            // Clocks may have been put forward or back between the time and either end of its window. A change of a
            // window's width or more moves no end: such windows follow the epoch.
            let back = ahead - zone.offset_ns(start);
            if back.abs() < width {
                start = start.saturating_add(back);
            }
            let end_ahead = zone.offset_ns(end);
            let back = ahead - end_ahead;
            // Time that is added belongs to the window before the change. Time that is skipped comes after it, so the
            // end moves only if the change lies within the window.
            if back.abs() < width && (back > 0 || zone.offset_ns(end.saturating_add(back)) == end_ahead) {
                end = end.saturating_add(back);
            }
        }
        (start.saturating_add(offset), end.saturating_add(offset))
    }

    /// First time of the window that holds `time`.
    pub fn start(&self, time: i64) -> i64 {
        self.window(time).0
    }

    /// First time of the window after the one that holds `time`.
    pub fn next(&self, time: i64) -> i64 {
        self.window(time).1
    }

    /// First time of the window before the one that begins at `start`.
    pub fn previous(&self, start: i64) -> i64 {
        self.start(start.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::unit::{DAY_NS, HOUR_NS, SECOND_NS};

    #[test]
    fn windows_floor_on_both_sides_of_the_epoch() {
        let windows = Windows { width_ns: 10, offset_ns: 3, zone: None };
        for (time, start) in [(0, -7), (2, -7), (3, 3), (12, 3), (13, 13), (-8, -17)] {
            assert_eq!(windows.window(time), (start, start + 10), "{time}");
        }
        let (start, end) = Windows { width_ns: 10, offset_ns: 0, zone: None }.window(i64::MAX);
        assert!(start < end && end == i64::MAX);
    }

    #[test]
    fn a_day_of_a_zone_has_23_24_or_25_hours_and_days_tile_the_year() {
        let windows = Windows { width_ns: DAY_NS, offset_ns: 0, zone: Zone::named("America/Los_Angeles") };
        // 2023-01-01T08:00:00Z is midnight there.
        let (mut at, mut lengths) = (1_672_560_000 * SECOND_NS, Vec::new());
        for _ in 0..365 {
            let (start, end) = windows.window(at);
            assert_eq!(start, at);
            assert_eq!(windows.window(end - 1), (start, end));
            assert_eq!(windows.previous(end), start);
            lengths.push((end - start) / HOUR_NS);
            at = end;
        }
        assert_eq!(lengths.iter().filter(|&&hours| hours == 23).count(), 1);
        assert_eq!(lengths.iter().filter(|&&hours| hours == 25).count(), 1);
        assert_eq!(lengths.iter().sum::<i64>(), 365 * 24);
    }
}
