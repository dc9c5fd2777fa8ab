//! The report as aligned text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use tidewire_storage::schema::{Catalog, TimeUnit};

use super::report::{ColumnReport, Report, SegmentReport, ShardReport, TableReport, Totals};
use crate::text::{bytes, bytes_per_value, count, counted, table, time};

pub(super) fn render(report: &Report, catalog: &Catalog) -> String {
    let units: BTreeMap<u32, TimeUnit> = catalog
        .databases
        .values()
        .flat_map(|database| database.all_tables())
        .map(|table| (table.id.0, table.time_unit))
        .collect();
    let mut out = String::new();
    let tables = catalog.databases.values().map(|database| database.all_tables().count() as u64).sum();
    let _ = writeln!(
        out,
        "{}: {}, {}, {} in the catalog (version {})",
        report.root.display(),
        counted(report.shards_total as u64, "shard"),
        counted(catalog.databases.len() as u64, "database"),
        counted(tables, "table"),
        report.catalog_version
    );
    if let Some(backup) = &report.backup {
        let _ = writeln!(
            out,
            "backup of {} on {}, begun {}, complete {}, by Tidewire {}",
            backup.source, backup.host, backup.began, backup.ended, backup.tidewire
        );
    }
    if report.shards.len() > 1 {
        let mut sum = Totals::default();
        report.shards.iter().for_each(|shard| sum.add(&shard.totals));
        let _ = writeln!(out, "all shards: {}", totals(&sum));
    }
    for shard in &report.shards {
        render_shard(&mut out, shard, &units);
    }
    if !report.problems.is_empty() {
        let _ = writeln!(out, "\nproblems");
        for problem in &report.problems {
            let _ = writeln!(out, "  {problem}");
        }
    }
    if let Some(checked) = &report.verified {
        let _ = writeln!(
            out,
            "\nverified {} with {}: {} of {} in segments, {}, {} with {} in the log",
            counted(checked.files, "file"),
            bytes(checked.bytes),
            counted(checked.blocks, "block"),
            counted(checked.segment_rows, "row"),
            counted(checked.series, "series"),
            counted(checked.log_records, "record"),
            counted(checked.log_rows, "row"),
        );
        match checked.damage.len() {
            0 => out.push_str("nothing is damaged\n"),
            places => {
                let _ = writeln!(out, "damaged in {}", counted(places as u64, "place"));
            }
        }
        for damage in &checked.damage {
            let _ = writeln!(out, "  {damage}");
        }
    }
    out
}

fn totals(totals: &Totals) -> String {
    format!(
        "{}, {}, {}, {} bytes a value",
        counted(totals.segments, "segment"),
        counted(totals.rows, "row"),
        bytes(totals.bytes),
        bytes_per_value(totals.bytes, totals.values)
    )
}

fn render_shard(out: &mut String, shard: &ShardReport, units: &BTreeMap<u32, TimeUnit>) {
    let _ = writeln!(out, "\nshard {}: {}", shard.shard, totals(&shard.totals));
    let files = shard.series_files.iter().map(|file| file.bytes).sum();
    let _ = writeln!(
        out,
        "  series     {} in {}, {}",
        series(shard.series, shard.series_hidden),
        counted(shard.series_files.len() as u64, "file"),
        bytes(files)
    );
    if let Some(log) = &shard.log {
        let size = log.files.iter().map(|file| file.bytes).sum();
        let end = match &log.torn {
            None => "ends whole".to_owned(),
            Some((path, offset)) => format!("a commit cut short in {} at offset {offset}", path.display()),
        };
        let _ = writeln!(
            out,
            "  log        {}, {}; flushed up to record {}, then {} ({}, {}, {}); {end}",
            counted(log.files.len() as u64, "file"),
            bytes(size),
            count(shard.flushed_lsn),
            counted(log.records, "record"),
            counted(log.rows, "row"),
            counted(log.deletes, "delete"),
            bytes(log.bytes)
        );
    }
    for tombstone in &shard.tombstones {
        let unit = units.get(&tombstone.table).copied().unwrap_or_default();
        let series = tombstone.series.map_or_else(|| "all series".to_owned(), |series| counted(series, "series"));
        let _ = writeln!(
            out,
            "  deleted    {series} of {} from {} to {} (record {}), yet to be merged away",
            named(tombstone.name.as_deref(), tombstone.table),
            time(tombstone.time_min, unit),
            time(tombstone.time_max, unit),
            count(tombstone.lsn)
        );
    }
    for dropped in &shard.dropped_tables {
        let _ = writeln!(out, "  dropped    table {dropped}, which log records may be about");
    }
    if !shard.strays.is_empty() {
        let size = shard.strays.iter().map(|file| file.bytes).sum();
        let _ = writeln!(
            out,
            "  unnamed    {}, {}: a flush or a merge under way, or cut short",
            counted(shard.strays.len() as u64, "file"),
            bytes(size)
        );
    }
    for found in &shard.detached {
        let what = found.segment.as_ref().map_or_else(String::new, |segment| {
            let unit = units.get(&segment.table).copied().unwrap_or_default();
            format!(
                ": {} of {} from {} to {}",
                counted(segment.rows, "row"),
                named(segment.name.as_deref(), segment.table),
                time(segment.time_min, unit),
                time(segment.time_max, unit)
            )
        });
        let _ = writeln!(out, "  detached   {}, {}{what}", found.file, bytes(found.bytes));
    }
    let mut rows = vec![
        ["table", "partition from", "first row", "last row", "segments", "rows", "size", "bytes/value"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for found in &shard.tables {
        render_partitions(found, units.get(&found.table).copied().unwrap_or_default(), &mut rows);
    }
    if rows.len() > 1 {
        out.push('\n');
        out.push_str(&table(&rows, &[0, 1, 2, 3], 2));
    }
    for found in &shard.tables {
        let unit = units.get(&found.table).copied().unwrap_or_default();
        for segment in found.partitions.iter().flat_map(|partition| &partition.segments) {
            render_segment(out, found, segment, unit);
        }
    }
}

/// How many series count, and how many do not for lack of rows.
fn series(live: u64, hidden: u64) -> String {
    let live = counted(live, "series");
    match hidden {
        0 => live,
        hidden => format!("{live} and {} hidden", count(hidden)),
    }
}

fn named(name: Option<&str>, table: u32) -> String {
    match name {
        Some(name) => format!("{name} (table {table})"),
        None => format!("table {table} (not in the catalog)"),
    }
}

fn render_partitions(found: &TableReport, unit: TimeUnit, rows: &mut Vec<Vec<String>>) {
    let sums = |totals: &Totals| {
        [count(totals.segments), count(totals.rows), bytes(totals.bytes), bytes_per_value(totals.bytes, totals.values)]
    };
    let about = series(found.series, found.series_hidden);
    let mut line = vec![named(found.name.as_deref(), found.table), about, String::new(), String::new()];
    line.extend(sums(&found.totals));
    rows.push(line);
    for partition in &found.partitions {
        let times = [partition.start, partition.time_min, partition.time_max].map(|at| time(at, unit));
        let mut line = vec![String::new()];
        line.extend(times);
        line.extend(sums(&partition.totals));
        rows.push(line);
    }
}

fn render_segment(out: &mut String, found: &TableReport, segment: &SegmentReport, unit: TimeUnit) {
    let _ = writeln!(
        out,
        "\n  {} of {}: {}, {}, {}, series {} to {}, {} to {}, up to record {}{}, format {}",
        segment.file,
        named(found.name.as_deref(), found.table),
        counted(segment.rows, "row"),
        bytes(segment.bytes),
        counted(segment.groups, "group"),
        segment.series_min,
        segment.series_max,
        time(segment.time_min, unit),
        time(segment.time_max, unit),
        count(segment.lsn),
        if segment.hard { ", packed hard" } else { "" },
        segment.version
    );
    let is_coded = segment.columns.iter().any(|column| column.codings.is_some());
    let mut heading: Vec<_> =
        ["field", "type", "blocks", "size", "values", "nulls", "bytes/value", "least", "greatest"]
            .map(str::to_owned)
            .to_vec();
    if is_coded {
        heading.push("coding (vectors)".to_owned());
    }
    let mut rows = vec![heading];
    for (name, size) in [("(series)", segment.index_bytes), ("time", segment.time_bytes)] {
        let per_row = bytes_per_value(size, segment.rows);
        let cells = [name, "", &count(segment.groups), &bytes(size), &count(segment.rows), "0", &per_row, "", ""];
        rows.push(cells.map(str::to_owned).to_vec());
    }
    rows.extend(segment.columns.iter().map(column_line));
    out.push_str(&table(&rows, &[0, 1, 9], 4));
    for column in segment.columns.iter().filter(|column| !column.blocks.is_empty()) {
        render_blocks(out, column, unit);
    }
}

fn field_name(column: &ColumnReport) -> String {
    column.name.clone().unwrap_or_else(|| format!("column {} (not in the catalog)", column.column))
}

fn column_line(column: &ColumnReport) -> Vec<String> {
    let mut line = vec![
        field_name(column),
        column.kind.to_owned(),
        count(column.blocks_total),
        bytes(column.bytes),
        count(column.values),
        count(column.nulls),
        bytes_per_value(column.bytes, column.values),
        shown(&column.min),
        shown(&column.max),
    ];
    line.extend(column.codings.clone());
    line
}

fn render_blocks(out: &mut String, column: &ColumnReport, unit: TimeUnit) {
    let _ = writeln!(out, "\n    blocks of {}", field_name(column));
    let heading = [
        "group",
        "offset",
        "bytes",
        "rows",
        "nulls",
        "series",
        "first row",
        "last row",
        "least",
        "greatest",
        "sum",
        "coding (vectors)",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for block in &column.blocks {
        rows.push(vec![
            block.group.to_string(),
            block.offset.to_string(),
            block.bytes.to_string(),
            block.rows.to_string(),
            block.nulls.to_string(),
            format!("{}-{}", block.series_min, block.series_max),
            time(block.time_min, unit),
            time(block.time_max, unit),
            shown(&block.min),
            shown(&block.max),
            shown(&block.sum),
            block.codings.clone(),
        ]);
    }
    out.push_str(&table(&rows, &[6, 7, 11], 6));
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    }
}
