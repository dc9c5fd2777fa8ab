//! The proleptic Gregorian calendar over whole days since 1970-01-01, by arithmetic on 400-year cycles.
//!
//! Years count from 1 March, so that the leap day is the last of its year and month lengths follow one linear rule:
//! month m (0 = March) begins on day (153 m + 2) / 5 of its year.
//!
//! The one calendar of this crate. `protocol` prints times with one of its own: neither crate may import the other, and
//! what both import has no need of it.

/// Days in 400 Gregorian years.
const CYCLE_DAYS: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// Year, month 1 to 12, day 1 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

/// The date that begins `days` days after 1970-01-01. Exact for every day an i64 of seconds can reach.
pub(crate) fn date_of(days: i64) -> Date {
    let days = days + EPOCH_DAYS;
    let cycle = days.div_euclid(CYCLE_DAYS);
    let of_cycle = days.rem_euclid(CYCLE_DAYS);
    let year_of_cycle = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    Date { year, month, day }
}

/// Days from 1970-01-01 to `date`, whose day may be any, and whose month may be the 13th.
pub(crate) fn days_of(date: Date) -> i64 {
    let year = if date.month <= 2 { date.year - 1 } else { date.year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let march_month = (date.month + 9) % 12;
    let of_year = (153 * march_month + 2) / 5 + date.day - 1;
    cycle * CYCLE_DAYS + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + of_year - EPOCH_DAYS
}

/// Days of a month.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    days_of(Date { year, month: month + 1, day: 1 }) - days_of(Date { year, month, day: 1 })
}

/// Months since January 1970 of the month that holds day `days`.
pub(crate) fn month_of(days: i64) -> i64 {
    let date = date_of(days);
    (date.year - 1970) * 12 + date.month - 1
}

/// First day of a month counted from January 1970.
pub(crate) fn first_day_of_month(month: i64) -> i64 {
    days_of(Date { year: 1970 + month.div_euclid(12), month: month.rem_euclid(12) + 1, day: 1 })
}

/// Day of the week, 0 = Monday.
pub(crate) fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// Day of the year, from 1.
pub(crate) fn day_of_year(days: i64) -> i64 {
    let date = date_of(days);
    days - days_of(Date { year: date.year, month: 1, day: 1 }) + 1
}

/// ISO 8601 week, 1 to 53: the week of a day is that of its Thursday.
pub(crate) fn iso_week(days: i64) -> i64 {
    let thursday = days - weekday(days) + 3;
    (day_of_year(thursday) - 1) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_jiff_over_twelve_thousand_years() {
        let epoch = jiff::civil::date(1970, 1, 1);
        for step in -1_400_i64..2_900 {
            let days = step * 1_001;
            let date = epoch.checked_add(jiff::Span::new().days(days)).unwrap();
            let ours = date_of(days);
            assert_eq!(
                (ours.year, ours.month, ours.day),
                (i64::from(date.year()), i64::from(date.month()), i64::from(date.day())),
                "day {days}"
            );
            assert_eq!(days_of(ours), days);
            assert_eq!(day_of_year(days), i64::from(date.day_of_year()), "day {days}");
            assert_eq!(weekday(days), i64::from(date.weekday().to_monday_zero_offset()), "day {days}");
            assert_eq!(iso_week(days), i64::from(date.iso_week_date().week()), "day {days}");
            assert_eq!(first_day_of_month(month_of(days)), days - ours.day + 1, "day {days}");
        }
    }

    #[test]
    fn days_run_both_ways() {
        assert_eq!(date_of(0), Date { year: 1970, month: 1, day: 1 });
        for days in (-800_000..3_000_000).step_by(97) {
            assert_eq!(days_of(date_of(days)), days);
        }
    }

    #[test]
    fn months_have_their_lengths() {
        assert_eq!(days_in_month(2024, 2), 29);
        assert_eq!(days_in_month(1900, 2), 28);
        assert_eq!(days_in_month(2023, 12), 31);
    }
}
