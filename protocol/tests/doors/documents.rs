//! Documents line by line, and Elasticsearch's bulk.

use tidewire_protocol::document::{Bulk, DocumentRule, JsonLines, Numbers};
use tidewire_protocol::row::{Apart, TimeScale};

use crate::random::{damaged, generator};
use crate::recorder::told_in_pieces;

pub(crate) fn rule(numbers: Numbers) -> DocumentRule {
    DocumentRule {
        time_column: None,
        tag_columns: vec!["host".to_owned(), "o.k".to_owned()],
        numbers,
        scale: TimeScale::Digits,
        now_ns: 1000,
        apart: Apart::default(),
    }
}

fn lines(body: &[u8], piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut lines = JsonLines::new("t".to_owned(), rule(Numbers::Typed));
    told_in_pieces(body, piece_bytes, |text, last, rows| lines.read(text, last, rows))
}

/// What a recorder has of a bulk, and the items.
fn bulk(body: &[u8], table: Option<&str>, piece_bytes: impl FnMut() -> usize) -> (Vec<String>, Vec<String>) {
    let mut bulk = Bulk::new(table.map(str::to_owned), rule(Numbers::Floats));
    let told = told_in_pieces(body, piece_bytes, |text, last, rows| bulk.read(text, last, rows));
    let items = bulk
        .items()
        .iter()
        .map(|item| format!("{} {} {:?} {}", item.action.name(), bulk.table(item), bulk.id(item), item.is_taken));
    let items = items.collect();
    (told, items)
}

fn line(document: &str) -> String {
    lines(document.as_bytes(), || usize::MAX / 2).join("; ")
}

#[test]
fn what_is_nested_has_names_with_dots() {
    let document = r#"{"a":{"b":1,"c":[true,"x",{"d":null}]},"host":"h","o":{"k":1.5},"e":{},"l":[],"n":null,"s":"ü"}"#;
    assert_eq!(line(document), "t,host=h,o.k=1.5 a.b=1i,a.c.0=true,a.c.1=\"x\",s=\"ü\" 1000");
    assert_eq!(
        line(r#"{"host":true,"v":-1,"v":2,"u":18446744073709551615,"f":1e3}"#),
        "t,host=true v=2i,u=18446744073709551615u,f=1000.0 1000"
    );
}

#[test]
fn documents_may_stand_in_one_array() {
    let body = br#" [{"v":1,"time":1}, {"v":"]","time":2},
        3, {"v":2,"time":3}] "#;
    assert_eq!(
        lines(body, || 7),
        [
            "t v=1i 1000000000",
            "t v=\"]\" 2000000000",
            "item 3: a document is an integer, not an object",
            "t v=2i 3000000000",
        ]
    );
    assert_eq!(lines(b"[]", || 1), [""; 0]);
    assert_eq!(lines(b"[{\"v\":1}", || 100), ["t v=1i 1000", "body: not JSON: the array does not end"]);
    // An array is one document's mistake where lines have begun.
    assert_eq!(lines(b"{\"v\":1}\n[]", || 100), ["t v=1i 1000", "line 2: a document is an array, not an object"]);
}

#[test]
fn documents_of_one_time_are_kept_apart() {
    let body = br#"{"time":1,"v":1}
{"time":1,"v":2}
{"time":1,"v":3,"host":"a"}
{"time":2,"v":4}"#;
    let expected = ["t v=1i 1000000000", "t v=2i 1000000001", "t,host=a v=3i 1000000000", "t v=4i 2000000000"];
    assert_eq!(lines(body, || 1000), expected);
}

#[test]
fn times_are_dates_or_numbers() {
    for (document, expected) in [
        (r#"{"time":"2024-03-27T02:51:11.687Z","v":1}"#, "t v=1i 1711507871687000000"),
        (r#"{"v":1,"@timestamp":1711507871687}"#, "t v=1i 1711507871687000000"),
        (r#"{"@timestamp":5,"v":1,"time":1711507871}"#, "t v=1i 1711507871000000000"),
        (r#"{"time":null,"v":1}"#, "t v=1i 1000"),
        (r#"{"time":"soon","v":1}"#, "line 1: the time cannot be read: \"soon\""),
        (r#"{"time":1.5,"v":1}"#, "t v=1i 1500000000"),
        (r#"{"time":1e300,"v":1}"#, "line 1: the time is out of range"),
        (r#"{"time":true,"v":1}"#, "line 1: the time cannot be read: \"true\""),
        (r#"{"time":18446744073709551615,"v":1}"#, "line 1: the time is out of range"),
    ] {
        assert_eq!(line(document), expected, "{document}");
    }
    // Each without a time has one of its own; what is refused takes none.
    assert_eq!(line("{\"v\":1}\n{}\n{\"v\":2}"), "t v=1i 1000; line 2: there is no field; t v=2i 1001");
}

#[test]
fn a_named_time_is_the_only_one() {
    let mut rule = rule(Numbers::Typed);
    rule.time_column = Some("a.when".to_owned());
    let mut lines = JsonLines::new("t".to_owned(), rule);
    let body = b"{\"a\":{\"when\":\"1970-01-01T00:00:01Z\"},\"@timestamp\":\"x\",\"v\":1}";
    let told = told_in_pieces(body, || usize::MAX / 2, |text, last, rows| lines.read(text, last, rows));
    assert_eq!(told, ["t @timestamp=\"x\",v=1i 1000000000"]);
}

#[test]
fn what_is_no_document_is_named_by_its_line() {
    for (document, expected) in [
        ("[1]", "item 1: a document is an integer, not an object"),
        ("17", "line 1: a document is an integer, not an object"),
        ("{\"host\":\"h\"}", "line 1: there is no field"),
        ("{\"\":1}", "line 1: a field's name is missing"),
    ] {
        assert_eq!(line(document), expected, "{document}");
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    assert!(line(&deep).starts_with("line 1: not JSON: "), "{}", line(&deep));
    let told = lines(b"\n{\"v\":\xff}\n", || usize::MAX / 2);
    assert!(told[0].starts_with("line 2: not JSON: "), "{told:?}");
}

#[test]
fn actions_are_answered_one_by_one() {
    let body = br#"{"index":{"_index":"a","_id":"one"}}
{"v":1}
{"delete":{"_index":"b","_id":"two"}}

{"update":{"_index":"a"}}
{"doc":{}}
{"create":{"_index":"b","extra":[1]}}
nonsense"#;
    let (told, items) = bulk(body, None, || usize::MAX / 2);
    assert_eq!(told[..3], ["a v=1.0 1000", "item 2: delete is not supported", "item 3: update is not supported"]);
    assert!(told[3].starts_with("item 4: not JSON: "), "{told:?}");
    let expected =
        ["index a Some(\"one\") true", "delete b Some(\"two\") false", "update a None false", "create b None false"];
    assert_eq!(items, expected);
    let (told, items) = bulk(b"{\"index\":{\"_index\":\"a\"}}\n{\"v\":1}\n", Some("t"), || usize::MAX / 2);
    assert_eq!(
        (told.as_slice(), items.as_slice()),
        (&["t v=1.0 1000".to_owned()][..], &["index t None true".to_owned()][..])
    );
}

#[test]
fn a_body_whose_lines_have_no_meaning_is_refused() {
    for (body, expected) in [
        ("", "body: an action is missing"),
        ("\n \n", "body: an action is missing"),
        ("{\"index\":{}}\n", "body: the document of the last action is missing"),
        ("{\"drop\":{}}\n{}", "body: an action cannot be read: \"drop\""),
        ("{}\n{}", "body: an action is missing"),
        ("[]\n{}", "body: an action is missing"),
    ] {
        assert_eq!(bulk(body.as_bytes(), Some("t"), || 3).0, [expected], "{body}");
    }
    let told = bulk(b"{\"index\":{}}\n{\"v\":1}\n", None, || 100).0;
    assert_eq!(told, ["body: the table: neither the request nor an action names one is missing"]);
}

#[test]
fn a_body_names_a_bounded_number_of_tables() {
    let body: Vec<String> =
        (0..2000).map(|at| format!("{{\"index\":{{\"_index\":\"t{at}\"}}}}\n{{\"v\":1}}\n")).collect();
    let (told, items) = bulk(body.concat().as_bytes(), None, || usize::MAX / 2);
    assert_eq!(told.last().map(String::as_str), Some("body: there are more than 1024 tables"));
    assert_eq!(items.len(), 1024);
}

#[test]
fn names_that_repeat_what_they_are_nested_in_are_bounded() {
    let fields: Vec<String> = (0..4000).map(|at| format!("\"f{at}\":1")).collect();
    let document = format!("{{\"{}\":{{{}}}}}", "n".repeat(60_000), fields.join(","));
    assert!(line(&document).starts_with("line 1: there are more than 4096 fields, or their names"), "not refused");
}

#[test]
fn any_bytes_in_any_pieces_give_the_same_rows_or_errors() {
    let good: [&[u8]; 4] = [
        b"\n [{\"time\":1.25,\"v\":\"]\"},{\"host\":\"a\",\"v\":[1,{\"k\":2}]} , 3]\n",
        br#"{"time":"2024-03-27T02:51:11.687+02:00","host":"a","v":1,"o":{"k":[1,2.5e3,null]}}
{"@timestamp":1711507871687,"s":"\u00e9\ud83d\ude00\"","b":false}"#,
        b"{\"create\":{}}\n{\"v\":1}\r\n{\"index\":{\"_index\":\"a\",\"_id\":\"x\"}}\n{\"v\":\"y\",\"host\":\"h\"}\n",
        b"{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{}}\n{\"doc\":{}}\n{\"index\":{}}\n{\"a\":{\"b\":{\"c\":[[[1]]]}}}",
    ];
    let mut rng = generator();
    for round in 0..20_000 {
        let body = damaged(&mut rng, &good);
        let whole = (lines(&body, || usize::MAX / 2), bulk(&body, Some("t"), || usize::MAX / 2));
        let pieces = (lines(&body, || rng.usize(..20)), bulk(&body, Some("t"), || rng.usize(..20)));
        assert_eq!(pieces, whole, "round {round}: {}", body.escape_ascii());
    }
}
