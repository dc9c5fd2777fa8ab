//! Replies in Arrow's and Parquet's form, and what a form that holds rows may hold. That other programs read them is
//! seen in `server/tests/clients`.

use crate::common::{Server, fresh_folder};

const ROWS: usize = 60_000;

fn filled(variables: &[(&str, &str)]) -> Server {
    let server = Server::start_in(&fresh_folder(), true, variables);
    let lines: String =
        (0..ROWS).map(|n| format!("m,host=h{} n={n}i,s=\"a text of some length, number {n}\" {n}\n", n % 7)).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    server
}

#[test]
fn rows_leave_as_arrow_and_as_parquet() {
    let server = filled(&[]);
    let ask = |kind: &str, text: &str| server.request("POST", "/api/v1/sql", &[("Accept", kind)], text.as_bytes());
    let whole = "SELECT * FROM m ORDER BY n";
    let arrow = ask("application/vnd.apache.arrow.stream", whole);
    assert_eq!((arrow.status(), arrow.header("Content-Type")), (200, Some("application/vnd.apache.arrow.stream")));
    // Messages begin with a mark, and the stream ends with an empty one.
    let mark: &[u8] = &[0xff; 4];
    assert!(arrow.body.starts_with(mark) && arrow.body.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
    assert!(arrow.body.len() > ROWS * (8 + 8 + 30), "{} bytes", arrow.body.len());
    let parquet = ask("application/vnd.apache.parquet", whole);
    assert_eq!((parquet.status(), parquet.header("Content-Type")), (200, Some("application/vnd.apache.parquet")));
    assert!(parquet.body.starts_with(b"PAR1") && parquet.body.ends_with(b"PAR1"));
    // A column that has no form is known before the reply begins.
    let refused = ask("application/vnd.apache.parquet", "SELECT INTERVAL '1 month' AS every FROM m LIMIT 1");
    assert_eq!(refused.status(), 422, "{}", refused.text());
    assert!(refused.text().contains("Parquet has no form for Interval(MonthDayNano)"), "{}", refused.text());
    let empty = ask("application/vnd.apache.parquet", "SELECT n FROM m WHERE n < 0");
    assert!(empty.status() == 200 && empty.body.starts_with(b"PAR1") && empty.body.ends_with(b"PAR1"));
}

/// A drawn table is held until its last row has come, since only then its widths are known.
#[test]
fn a_table_that_is_drawn_is_counted_as_memory_of_its_query() {
    let server = filled(&[("TIDEWIRE_QUERY_MEMORY_BYTES_MAX", "32MiB")]);
    let ask = |kind: &str, rows: usize| {
        let text = format!("SELECT n, s, s AS t, s || s || s || s || s || s || s || s AS u FROM m WHERE n < {rows}");
        server.request("POST", "/api/v1/sql", &[("Accept", kind)], text.as_bytes())
    };
    assert_eq!(ask("application/csv", ROWS).status(), 200);
    let few = ask("application/table", 1_000);
    assert!(few.status() == 200 && few.text().contains("| 999 | a text of some length, number 999 | a text"));
    let all = ask("application/table", ROWS);
    assert_eq!(all.status(), 422, "{}", &all.text()[..all.text().len().min(300)]);
    assert!(all.text().contains("33554432 bytes"), "{}", all.text());
    assert_eq!(ask("application/table", 1_000).status(), 200, "the memory is given back");
}
