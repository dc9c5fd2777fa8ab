//! What of a table can be read beside damage.
//!
//! A table in a shard is a rectangle of series and times. It is read through once without writing anything; where that
//! meets a damaged block or segment, the series and times of it are cut out, and what is left of the rectangle is tried
//! again. So no row is given in a state that it never had: where one segment cannot be read, older values of the same
//! rows are left out with it.

use tidewire_storage::Error;
use tidewire_storage::engine::DamagedRows;
use tidewire_storage::schema::TableSchema;

use crate::source::{self, ReadShard, Region};
use crate::text;

/// Reads a table through; gives the regions that can be read, and says what is left out.
pub(super) async fn regions(
    shard: &ReadShard,
    table: &TableSchema,
    (min, max): (i64, i64),
    left_out: &mut Vec<String>,
) -> Result<Vec<Region>, String> {
    let mut tries = vec![Region { series: None, min, max }];
    let mut readable = Vec::new();
    while let Some(region) = tries.pop() {
        let Err(error) = read_through(shard, table, &region).await else {
            readable.push(region);
            continue;
        };
        let Some(rows) = shard.damaged_rows(table.id, &error) else {
            return Err(format!("table {}: {error}", table.name));
        };
        let (lost, rest) = without(&region, &rows);
        left_out.push(told(table, &lost, rows.rows, &error));
        tries.extend(rest);
    }
    Ok(readable)
}

async fn read_through(shard: &ReadShard, table: &TableSchema, region: &Region) -> Result<(), Error> {
    let mut scan = source::scan_region(shard, table, region)?;
    while scan.next().await?.is_some() {}
    Ok(())
}

fn told(table: &TableSchema, lost: &Region, rows_max: u64, error: &Error) -> String {
    let series = match lost.series {
        Some((first, last)) if first == last => "1 series".to_owned(),
        Some((first, last)) => format!("up to {}", text::counted(u64::from(last - first) + 1, "series")),
        None => "all series".to_owned(),
    };
    format!(
        "{} of table {} from {} to {}, {} at least in part: {error}",
        series,
        table.name,
        text::time(lost.min, table.time_unit),
        text::time(lost.max, table.time_unit),
        text::counted(rows_max, "row"),
    )
}

/// The part of a region that `rows` make unreadable, and the parts beside it.
fn without(region: &Region, rows: &DamagedRows) -> (Region, Vec<Region>) {
    let (first, last) = region.series.unwrap_or((0, u32::MAX));
    let (from, to) = (first.max(rows.series.0), last.min(rows.series.1));
    let (min, max) = (region.min.max(rows.time.0), region.max.min(rows.time.1));
    if from > to || min > max {
        // The damage lies beside it, and yet it cannot be read.
        return (region.clone(), Vec::new());
    }
    let lost = Region { series: Some((from, to)), min, max };
    let mut rest = Vec::new();
    if first < from {
        rest.push(Region { series: Some((first, from - 1)), ..region.clone() });
    }
    if to < last {
        rest.push(Region { series: Some((to + 1, last)), ..region.clone() });
    }
    if region.min < min {
        rest.push(Region { max: min - 1, min: region.min, ..lost.clone() });
    }
    if max < region.max {
        rest.push(Region { min: max + 1, max: region.max, ..lost.clone() });
    }
    (lost, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_divided_into_what_is_lost_and_all_beside_it() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut range = |max: i64| {
            let (one, other) = (random.i64(0..max), random.i64(0..max));
            (one.min(other), one.max(other))
        };
        for case in 0..2000 {
            let (series, (min, max)) = (range(6), range(6));
            let region = Region { series: Some((series.0 as u32, series.1 as u32)), min, max };
            let (damaged, time) = (range(6), range(6));
            let rows = DamagedRows { series: (damaged.0 as u32, damaged.1 as u32), time, rows: 1 };
            let (lost, rest) = without(&region, &rows);
            let holds = |of: &Region, series: u32, time: i64| {
                of.series.is_none_or(|(first, last)| (first..=last).contains(&series))
                    && (of.min..=of.max).contains(&time)
            };
            let all_of_it = lost == region;
            for (series, time) in (0..6).flat_map(|series| (0..6).map(move |time| (series, time))) {
                let parts = std::iter::once(&lost).chain(&rest).filter(|part| holds(part, series, time)).count();
                assert_eq!(parts, usize::from(holds(&region, series, time)), "case {case}: {series}, {time}");
                let is_damaged = (damaged.0..=damaged.1).contains(&i64::from(series))
                    && (time >= rows.time.0 && time <= rows.time.1);
                if holds(&region, series, time) && !all_of_it {
                    assert_eq!(holds(&lost, series, time), is_damaged, "case {case}: {series}, {time}");
                }
            }
        }
    }

    #[test]
    fn the_ends_of_time_and_of_the_series_are_no_borders() {
        let region = Region { series: None, min: i64::MIN, max: i64::MAX };
        let rows = DamagedRows { series: (0, 3), time: (i64::MIN, 9), rows: 1 };
        let (lost, rest) = without(&region, &rows);
        assert_eq!(lost, Region { series: Some((0, 3)), min: i64::MIN, max: 9 });
        let after = Region { series: Some((0, 3)), min: 10, max: i64::MAX };
        assert_eq!(rest, [Region { series: Some((4, u32::MAX)), ..region }, after]);
    }
}
