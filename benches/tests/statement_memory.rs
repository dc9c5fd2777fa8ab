//! What a text takes while it is prepared is not above what is reserved for it, for texts that people send.

use allocation_counter::measure;
use tidewire_benches::sensors;
use tidewire_sql::{Session, bytes_to_prepare, influxql, prepare};

/// Long enough that what does not grow with the text is nothing.
const TEXT_BYTES: usize = 100_000;

/// Of a form with statements of InfluxQL, as the server counts it.
const FORM_BYTES: u64 = 128;

fn repeated(head: &str, item: &str, tail: &str) -> String {
    let items = vec![item; TEXT_BYTES / (item.len() + 1)].join(",");
    format!("{head}{items}{tail}")
}

#[test]
fn what_is_reserved_for_a_statement_is_enough_and_not_much_more() {
    let catalog = sensors::catalog();
    let session = Session {
        tenant: "cnosdb".into(),
        database: "public".into(),
        user: "root".into(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 0,
    };
    let insert = "INSERT INTO sensor (time, id, site, count, level) VALUES ";
    let texts = [
        ("numbers", repeated("SELECT count(*) FROM sensor WHERE count IN (", "12345678", ")")),
        ("digits", repeated("SELECT count(*) FROM sensor WHERE count IN (", "1", ")")),
        ("texts", repeated("SELECT count(*) FROM sensor WHERE id IN (", "'host_17'", ")")),
        ("short rows", repeated(insert, "(1,'a','b',1,1.5)", "")),
        ("rows", repeated(insert, "(1700000000000000000, 'host_17', 'rack_4', 1234567, 12.345678)", "")),
        ("columns", repeated("SELECT ", "count", " FROM sensor")),
        ("sums", repeated("SELECT ", "sum(level)", " FROM sensor")),
        ("order", repeated("SELECT * FROM sensor ORDER BY ", "count", "")),
        ("statements", "SELECT 1;".repeat(TEXT_BYTES / 9)),
    ];
    for (name, text) in texts {
        let taken = measure(|| drop(prepare(&text, &catalog, &session))).bytes_max;
        let reserved = bytes_to_prepare(text.as_bytes());
        assert!(taken <= reserved, "{name}: {taken} bytes, {reserved} reserved");
        assert!(taken * 4 >= reserved, "{name}: {taken} bytes, {reserved} reserved");
    }
}

#[test]
fn what_is_reserved_for_a_form_is_enough() {
    let condition = vec!["host='a'"; TEXT_BYTES / 12].join(" OR ");
    let texts = [
        ("statements", "DROP DATABASE a;".repeat(TEXT_BYTES / 16)),
        ("conditions", format!("DELETE FROM cpu WHERE {condition}")),
        ("sums", format!("SELECT {} FROM m", vec!["v"; TEXT_BYTES / 2].join("+"))),
        ("fields", format!("SELECT {} FROM m", vec!["v"; TEXT_BYTES / 2].join(","))),
        ("calls", format!("SELECT {} FROM m", vec!["mean(v)"; TEXT_BYTES / 8].join(","))),
        ("sources", format!("SELECT v FROM {}", vec!["m"; TEXT_BYTES / 2].join(","))),
        ("spaces", format!("DROP DATABASE a{}", " ".repeat(TEXT_BYTES))),
    ];
    for (name, text) in texts {
        let taken = measure(|| drop(influxql::parse(&text))).bytes_max;
        let reserved = text.len() as u64 * FORM_BYTES;
        assert!(taken <= reserved, "{name}: {taken} bytes, {reserved} reserved");
    }
}
