//! Operands of different types: what a comparison becomes.

use tidewire_sql::Statement;
use tidewire_sql::plan::Plan;

use crate::prepared;

/// How a table's only filter is printed, or the time range where the comparison became one.
fn filter(table: &str, predicate: &str) -> String {
    let text = format!("select time from {table} where {predicate}");
    match prepared(&text) {
        Ok(Statement::Query(query)) => match &query.plan {
            Plan::Scan(_) => scan_text(&query.plan),
            Plan::Project { input, .. } => scan_text(input),
            other => other.to_string(),
        },
        other => panic!("{text}: {other:?}"),
    }
}

fn scan_text(scan: &Plan) -> String {
    let text = scan.to_string();
    if text.starts_with("Values: 0 rows") {
        return "nothing".to_owned();
    }
    text.split_once(']').map(|(_, rest)| rest.trim_start_matches(", ").to_owned()).unwrap_or(text)
}

#[test]
fn numbers() {
    const INT_MAX: &str = "9223372036854775807";
    const UINT_MAX: &str = "18446744073709551615";
    for (predicate, expected) in [
        ("i > 90.0", "i > 90".to_owned()),
        ("i > 90.5", "i > 90".to_owned()),
        ("i >= 90.5", "i > 90".to_owned()),
        ("i < 90.5", "i <= 90".to_owned()),
        ("i <= -90.5", "i <= -91".to_owned()),
        ("90.5 < i", "i > 90".to_owned()),
        ("i = 1.5", format!("i > {INT_MAX}")),
        ("i <> 1.5", format!("i <= {INT_MAX}")),
        ("i < 1e18", "i < 1000000000000000000".to_owned()),
        ("i < 1e19", format!("i <= {INT_MAX}")),
        ("i > 1e300", "CAST(i AS Float64) > 1e300".to_owned()),
        (&format!("i < {UINT_MAX}"), format!("i <= {INT_MAX}")),
        ("n = 5", "n = 5".to_owned()),
        ("n > -1", format!("n <= {UINT_MAX}")),
        ("n <= -1", format!("n > {UINT_MAX}")),
        (&format!("n = {UINT_MAX}"), format!("n = {UINT_MAX}")),
        ("n < 2.5", "n <= 2".to_owned()),
        ("n > i", "CAST(n AS Decimal128(20, 0)) > CAST(i AS Decimal128(20, 0))".to_owned()),
        ("f > 1", "f > 1.0".to_owned()),
        ("f > i", "f > CAST(i AS Float64)".to_owned()),
        ("i = null", "nothing".to_owned()),
        ("i = '7'", "i = 7".to_owned()),
        ("i > '7.5'", "CAST(i AS Float64) > 7.5".to_owned()),
        ("f = '7'", "f = 7.0".to_owned()),
        ("b = 'true'", "b = true".to_owned()),
        ("s = 5", "s = '5'".to_owned()),
        ("s = i", "s = CAST(i AS Utf8)".to_owned()),
        ("i in (1, 2)", "i IN (1, 2)".to_owned()),
        ("i in (1, 2.5)", "CAST(i AS Float64) IN (1.0, 2.5)".to_owned()),
        ("n in (1, -1)", format!("n = 1 OR n > {UINT_MAX}")),
        ("i in ('1', '2')", "i IN (1, 2)".to_owned()),
    ] {
        let found = filter("m", predicate);
        let found = found.strip_prefix("filter: ").unwrap_or(&found);
        assert_eq!(found, expected, "{predicate}");
    }
}

#[test]
fn times() {
    for (table, predicate, expected) in [
        ("m", "time >= '2022-11-03T06:20:11Z'", "time>=2022-11-03T06:20:11"),
        ("m", "time < '2022-11-03 14:20:11+08:00'", "time<=2022-11-03T06:20:10.999999999"),
        ("m", "'2022-11-03' < time", "time>=2022-11-03T00:00:00.000000001"),
        ("m", "time = 5", "time>=1970-01-01T00:00:00.000000005, time<=1970-01-01T00:00:00.000000005"),
        ("m", "time > '9999-01-01'", "nothing"),
        ("m", "time > '0001-01-01'", ""),
        ("m", "time >= now() - interval '1 day'", "time>=2022-11-02T06:20:11"),
        ("m", "time + interval '1 hour' > now()", "filter: time + 1h > 2022-11-03T06:20:11"),
        (
            "m",
            "not (time < '2022-01-01' or time >= '2023-01-01')",
            "time>=2022-01-01T00:00:00, time<=2022-12-31T23:59:59.999999999",
        ),
        ("m", "time <> 5", "filter: time != 1970-01-01T00:00:00.000000005"),
        ("m", "time between '2022-01-02' and '2022-01-01'", "nothing"),
        ("m", "time > '2022-01-01' and false", "nothing"),
        // A database in milliseconds: constants between two of them move outwards or inwards as the operator asks.
        ("slow.p", "time = 1667456411123", "time>=2022-11-03T06:20:11.123, time<=2022-11-03T06:20:11.123"),
        ("slow.p", "time >= '1970-01-01T00:00:00.0005'", "time>=1970-01-01T00:00:00.001"),
        ("slow.p", "time > '1970-01-01T00:00:00.0005'", "time>=1970-01-01T00:00:00.001"),
        ("slow.p", "time <= '1970-01-01T00:00:00.0005'", "time<=1970-01-01T00:00:00"),
        ("slow.p", "time < '1970-01-01T00:00:00.0005'", "time<=1970-01-01T00:00:00"),
        ("slow.p", "time = '1970-01-01T00:00:00.0005'", "nothing"),
        ("slow.p", "time > '9999-01-01'", "time>=9999-01-01T00:00:00.001"),
        ("slow.p", "time >= now()", "time>=2022-11-03T06:20:11"),
    ] {
        assert_eq!(filter(table, predicate), expected, "{table}: {predicate}");
    }
}
