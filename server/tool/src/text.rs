//! Numbers and tables as people read them.

use tidewire_storage::schema::TimeUnit;

/// Bytes with a unit: `1.4 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    // 1023.95 would be written as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A count in groups of three digits: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 segment`, `1,200 segments`.
pub fn counted(number: u64, noun: &str) -> String {
    match (number, noun) {
        (1, noun) => format!("1 {noun}"),
        (number, "series") => format!("{} series", count(number)),
        (number, noun) => format!("{} {noun}s", count(number)),
    }
}

/// Bytes over values with three digits, `-` where there is no value.
pub fn bytes_per_value(bytes: u64, values: u64) -> String {
    match values {
        0 => "-".to_owned(),
        values => format!("{:.3}", bytes as f64 / values as f64),
    }
}

/// A timestamp of a table in UTC; the ends of time as the numbers that they are.
pub fn time(time: i64, unit: TimeUnit) -> String {
    match time {
        i64::MIN | i64::MAX => time.to_string(),
        time => {
            let unit = match unit {
                TimeUnit::Millisecond => arrow_schema::TimeUnit::Millisecond,
                TimeUnit::Microsecond => arrow_schema::TimeUnit::Microsecond,
                TimeUnit::Nanosecond => arrow_schema::TimeUnit::Nanosecond,
            };
            tidewire_sql::types::timestamp::format_timestamp(time, unit)
        }
    }
}

/// Lines up cells in columns: those of `left` to the left, others to the right. The first row is the heading.
pub fn table(rows: &[Vec<String>], left: &[usize], indent: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - length(cell));
            let gap = if column == 0 { "" } else { "  " };
            match left.contains(&column) {
                true => line.push_str(&format!("{gap}{cell}{pad}")),
                false => line.push_str(&format!("{gap}{pad}{cell}")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 1023, 1024, 1 << 20, 1_500_000_000].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.4 GiB"]
        );
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(count), ["0", "12", "123", "1,234", "1,234,567"]);
        assert_eq!((counted(1, "segment"), counted(1200, "series")), ("1 segment".into(), "1,200 series".into()));
        assert_eq!((bytes_per_value(10, 4), bytes_per_value(1, 0)), ("2.500".into(), "-".into()));
        assert_eq!(time(0, TimeUnit::Millisecond), "1970-01-01T00:00:00");
        assert_eq!(time(i64::MAX, TimeUnit::Millisecond), i64::MAX.to_string());
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "µs".to_owned()], vec!["long".to_owned(), "100".to_owned()]];
        assert_eq!(table(&rows, &[0], 1), " a      µs\n long  100\n");
    }
}
