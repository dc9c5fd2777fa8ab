//! OpenTSDB's points, as text and as JSON.

use tidewire_protocol::opentsdb::{JsonPoints, TextPoints};
use tidewire_protocol::row::{Next, TimeScale};

use crate::random::{damaged, generator};
use crate::recorder::{Recorder, told_in_pieces};

const MS: TimeScale = TimeScale::Unit(1_000_000);

fn text(body: &[u8], scale: TimeScale, piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut points = TextPoints::new(scale);
    told_in_pieces(body, piece_bytes, |text, last, rows| Ok(points.read(text, last, rows)))
}

fn json(body: &[u8], takes_text: bool, piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut points = JsonPoints::new(TimeScale::Digits, takes_text);
    told_in_pieces(body, piece_bytes, |text, last, rows| points.read(text, last, rows))
}

#[test]
fn lines_are_points() {
    let body = "sys.if.bytes.out 1666165200290401000 1 host=web01 interface=eth0\n\r\n\
                put a 1667456411 -1.5e3 k=v,l=w\r\n\tput  1667456411001   .5 k=v";
    assert_eq!(
        text(body.as_bytes(), TimeScale::Digits, || 1000),
        [
            "sys.if.bytes.out,host=web01,interface=eth0 value=1.0 1666165200290401000",
            "a,k=v,l=w value=-1500.0 1667456411000000000",
            "put,k=v value=0.5 1667456411001000000",
        ]
    );
    assert_eq!(text(b"m 7 1 a=b", MS, || 1), ["m,a=b value=1.0 7000000"]);
}

fn puts(body: &[u8], piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut points = TextPoints::of_puts(TimeScale::Digits);
    told_in_pieces(body, piece_bytes, |text, last, rows| Ok(points.read(text, last, rows)))
}

#[test]
fn puts_all_begin_with_the_word() {
    let body = b"put put 1 2 a=b\nput m 1 2 a=b\r\n\nput\nput m\nput 1 2 3 a=b\n";
    assert_eq!(
        puts(body, || 7),
        [
            "put,a=b value=2.0 1000000000",
            "m,a=b value=2.0 1000000000",
            "line 4: the metric is missing",
            "line 5: the timestamp is missing",
            "1,a=b value=3.0 2000000000",
        ]
    );
}

#[test]
fn lines_that_are_no_points_are_named() {
    let cases: [(&str, &str); 11] = [
        ("m", "line 1: the timestamp is missing"),
        ("m 1", "line 1: the value is missing"),
        ("m 1 2", "line 1: a tag is missing"),
        ("m x 2 a=b", "line 1: the timestamp cannot be read: \"x\""),
        ("m 1 nan a=b", "line 1: the value cannot be read: \"nan\""),
        ("m 1 1e999 a=b", "line 1: the value cannot be read: \"1e999\""),
        ("m 1 2 a", "line 1: a tag cannot be read: \"a\""),
        ("m 1 2 a=", "line 1: a tag cannot be read: \"a=\""),
        ("m 1 2 =b", "line 1: a tag cannot be read: \"=b\""),
        ("m 9223372036854775807 2 a=b", "line 1: the time is out of range"),
        ("ok 1 2 a=b\n\nbad\n", "line 3: the timestamp is missing"),
    ];
    for (body, expected) in cases {
        let told = text(body.as_bytes(), MS, || 1000);
        assert_eq!(told.last().map(String::as_str), Some(expected), "{body:?}: {told:?}");
    }
    assert_eq!(text(b"m 1 2 a=\xff", MS, || 1000), ["line 1: the text is not UTF-8"]);
}

#[test]
fn a_refusal_of_all_stops_at_the_first_line() {
    let mut rows = Recorder { next: Next::Stop, ..Recorder::default() };
    let body = b"bad\nm 1 2 a=b\n";
    assert_eq!(TextPoints::new(MS).read(body, true, &mut rows), body.len());
    assert_eq!(rows.told, ["line 1: the timestamp is missing"]);
}

#[test]
fn json_has_one_point_or_many() {
    let one = r#"{"metric":"m","timestamp":1667456411,"value":18,"tags":{"host":"web01","dc":"lga"}}"#;
    let row = "m,dc=lga,host=web01 value=18.0 1667456411000000000";
    assert_eq!(json(one.as_bytes(), false, || 1000), [row]);
    let many = format!(" [ {one},\n{} ]\n", one.replace("18", "1.5"));
    assert_eq!(json(many.as_bytes(), false, || 1000), [row, "m,dc=lga,host=web01 value=1.5 1667456411000000000"]);
    assert_eq!(json(b"[]", false, || 1000), [""; 0]);
    let quoted = one.replace("18", "\"18\"").replace("1667456411", "\"1667456411\"");
    assert_eq!(json(quoted.as_bytes(), true, || 1000), [row]);
    assert_eq!(json(quoted.as_bytes(), false, || 1000), ["item 1: timestamp is a string, not an integer"]);
}

#[test]
fn json_that_is_no_point_is_named() {
    let cases: [(&str, &str); 10] = [
        (r#"{"timestamp":1,"value":1,"tags":{"a":"b"}}"#, "item 1: metric is missing"),
        (r#"{"metric":1,"timestamp":1,"value":1,"tags":{"a":"b"}}"#, "item 1: metric is an integer, not a string"),
        (r#"{"metric":"m","value":1,"tags":{"a":"b"}}"#, "item 1: timestamp is missing"),
        (
            r#"{"metric":"m","timestamp":1.5,"value":1,"tags":{"a":"b"}}"#,
            "item 1: timestamp is a float, not an integer",
        ),
        (r#"{"metric":"m","timestamp":1,"value":"1","tags":{"a":"b"}}"#, "item 1: value is a string, not a number"),
        (r#"{"metric":"m","timestamp":1,"value":1}"#, "item 1: tags is missing"),
        (r#"{"metric":"m","timestamp":1,"value":1,"tags":{}}"#, "item 1: a tag is missing"),
        (
            r#"{"metric":"m","timestamp":1,"value":1,"tags":{"a":1}}"#,
            "item 1: the value of a tag is an integer, not a string",
        ),
        ("[17]", "item 1: a point is an integer, not an object"),
        ("", "body: not JSON: the body is empty"),
    ];
    for (body, expected) in cases {
        assert_eq!(json(body.as_bytes(), false, || 1000), [expected], "{body}");
    }
    let told = json(b"[{\"metric\":}, {}", false, || 1000);
    assert!(told[0].starts_with("item 1: not JSON: "), "{told:?}");
    assert_eq!(told[1..], ["item 2: metric is missing", "body: not JSON: the array does not end"]);
}

#[test]
fn any_bytes_in_any_pieces_give_the_same_rows_or_errors() {
    let good: [&[u8]; 4] = [
        b"sys.if.bytes.out 1666165200290401000 1 host=web01 interface=eth0\nput a 1667456411.25 -1.5e3 k=v,l=w\r\n",
        "m\u{e9} 1 2 a=\u{fc}\n\n\nb 2 .5 c=d".as_bytes(),
        br#"[{"metric":"a\u00e9","timestamp":1,"value":1e3,"tags":{"a":"b\"]"}},{"metric":"m"},[{}],"x",1]"#,
        br#"{"metric":"m","timestamp":"17","value":"1.5","tags":{"a":"b","a":"c"}}"#,
    ];
    let mut rng = generator();
    for round in 0..20_000 {
        let body = damaged(&mut rng, &good);
        let whole = (text(&body, TimeScale::Digits, || usize::MAX / 2), json(&body, true, || usize::MAX / 2));
        let pieces = (text(&body, TimeScale::Digits, || rng.usize(..20)), json(&body, true, || rng.usize(..20)));
        assert_eq!(pieces, whole, "round {round}: {}", body.escape_ascii());
        assert_eq!(puts(&body, || rng.usize(..20)), puts(&body, || usize::MAX / 2), "{}", body.escape_ascii());
    }
}
