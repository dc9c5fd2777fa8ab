//! The `/query` document, byte for byte.

use tidewire_protocol::encode::influx::{Epoch, Format, Options, QueryWriter, Tail, Value, write_error};

fn document(options: Options, write: impl FnOnce(&mut QueryWriter, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    let mut writer = QueryWriter::new(options);
    write(&mut writer, &mut out);
    writer.end(&mut out);
    String::from_utf8(out).unwrap()
}

const PRETTY: Options = Options { format: Format::Json, pretty: true, epoch: None };

#[test]
fn create_database() {
    let write = |writer: &mut QueryWriter, out: &mut Vec<u8>| {
        writer.result(out, 0);
        writer.end_result(out, Tail::default());
    };
    assert_eq!(document(Options::default(), write), "{\"results\":[{\"statement_id\":0}]}\n");
    assert_eq!(
        document(PRETTY, write),
        "{\n    \"results\": [\n        {\n            \"statement_id\": 0\n        }\n    ]\n}\n"
    );
}

#[test]
fn show_databases() {
    let write = |writer: &mut QueryWriter, out: &mut Vec<u8>| {
        writer.result(out, 0);
        writer.series(out, "databases", std::iter::empty(), &["name"]);
        for name in ["_internal", "mydb"] {
            writer.row(out, [Value::Text(name)]).unwrap();
        }
        writer.end_series(out, false);
        writer.end_result(out, Tail::default());
    };
    assert_eq!(
        document(Options::default(), write),
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":[\"name\"],\
         \"values\":[[\"_internal\"],[\"mydb\"]]}]}]}\n"
    );
    assert_eq!(
        document(PRETTY, write),
        r#"{
    "results": [
        {
            "statement_id": 0,
            "series": [
                {
                    "name": "databases",
                    "columns": [
                        "name"
                    ],
                    "values": [
                        [
                            "_internal"
                        ],
                        [
                            "mydb"
                        ]
                    ]
                }
            ]
        }
    ]
}
"#
    );
}

#[test]
fn select_with_tags_and_all_kinds_of_values() {
    let time = 1_667_456_411_000_000_007;
    let write = |writer: &mut QueryWriter, out: &mut Vec<u8>| {
        writer.result(out, 0);
        for host in ["a", "b"] {
            writer.series(
                out,
                "cpu",
                [("host", host), ("region", "")].into_iter(),
                &["time", "v", "n", "s", "b", "u", "z"],
            );
            writer
                .row(
                    out,
                    [
                        Value::Time(time),
                        Value::Float(3.0),
                        Value::Int(-4),
                        Value::Text("<a&b> \"q\" \\ \u{1}\u{2028}é\n"),
                        Value::Bool(true),
                        Value::UInt(u64::MAX),
                        Value::Null,
                    ],
                )
                .unwrap();
            writer.end_series(out, host == "b");
        }
        writer.end_result(out, Tail { warnings: &["deprecated use"], partial: true, error: None });
        writer.result(out, 1);
        writer.end_result(out, Tail { error: Some("not executed"), ..Tail::default() });
    };
    let row = |time: &str| {
        format!(
            "{time},3,-4,\"\\u003ca\\u0026b\\u003e \\\"q\\\" \\\\ \\u0001\\u2028é\\n\",true,18446744073709551615,null"
        )
    };
    let series = |host: &str, time: &str, partial: &str| {
        format!(
            "{{\"name\":\"cpu\",\"tags\":{{\"host\":\"{host}\",\"region\":\"\"}},\
             \"columns\":[\"time\",\"v\",\"n\",\"s\",\"b\",\"u\",\"z\"],\"values\":[[{}]]{partial}}}",
            row(time)
        )
    };
    for (epoch, time) in [
        (None, "\"2022-11-03T06:20:11.000000007Z\""),
        (Some(Epoch::Nanoseconds), "1667456411000000007"),
        (Some(Epoch::Microseconds), "1667456411000000"),
        (Some(Epoch::Milliseconds), "1667456411000"),
        (Some(Epoch::Seconds), "1667456411"),
        (Some(Epoch::Minutes), "27790940"),
        (Some(Epoch::Hours), "463182"),
    ] {
        assert_eq!(
            document(Options { epoch, ..Options::default() }, write),
            format!(
                "{{\"results\":[{{\"statement_id\":0,\"series\":[{},{}],\
                 \"messages\":[{{\"level\":\"warning\",\"text\":\"deprecated use\"}}],\"partial\":true}},\
                 {{\"statement_id\":1,\"error\":\"not executed\"}}]}}\n",
                series("a", time, ""),
                series("b", time, ",\"partial\":true")
            )
        );
    }
}

#[test]
fn times_lose_their_trailing_zeros() {
    for (time, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (1_667_456_411_000_000_000, "2022-11-03T06:20:11Z"),
        (1_667_456_411_120_000_000, "2022-11-03T06:20:11.12Z"),
        (1_667_456_411_000_001_000, "2022-11-03T06:20:11.000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
    ] {
        let text = document(Options::default(), |writer, out| {
            writer.result(out, 0);
            writer.series(out, "", std::iter::empty(), &["time"]);
            writer.row(out, [Value::Time(time)]).unwrap();
            writer.end_series(out, false);
            writer.end_result(out, Tail::default());
        });
        assert_eq!(
            text,
            format!(
                "{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"columns\":[\"time\"],\"values\":[[\"{expected}\"]]}}]}}]}}\n"
            )
        );
    }
}

#[test]
fn a_series_without_rows_keeps_its_columns() {
    let text = document(Options::default(), |writer, out| {
        writer.result(out, 0);
        writer.series(out, "", std::iter::empty(), &["user", "admin"]);
        writer.end_series(out, false);
        writer.end_result(out, Tail::default());
    });
    assert_eq!(text, "{\"results\":[{\"statement_id\":0,\"series\":[{\"columns\":[\"user\",\"admin\"]}]}]}\n");
}

#[test]
fn documents_follow_each_other() {
    let mut out = Vec::new();
    let mut writer = QueryWriter::new(Options::default());
    writer.end(&mut out);
    for id in 0..2 {
        writer.result(&mut out, id);
        writer.end_result(&mut out, Tail::default());
        writer.end(&mut out);
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{}\n{\"results\":[{\"statement_id\":0}]}\n{\"results\":[{\"statement_id\":1}]}\n"
    );
}

#[test]
fn numbers_that_json_lacks() {
    let mut out = Vec::new();
    let mut writer = QueryWriter::new(Options::default());
    writer.result(&mut out, 0);
    writer.series(&mut out, "m", std::iter::empty(), &["v"]);
    assert!(writer.row(&mut out, [Value::Float(f64::NAN)]).is_ok());
    assert!(out.ends_with(b"[[null]"));
    let error = writer.row(&mut out, [Value::Float(f64::INFINITY)]).unwrap_err();
    assert_eq!(error.to_string(), "json: unsupported value: +Inf");
    let error = writer.row(&mut out, [Value::Float(f64::NEG_INFINITY)]).unwrap_err();
    assert_eq!(error.to_string(), "json: unsupported value: -Inf");
}

#[test]
fn errors_and_epochs() {
    let mut out = Vec::new();
    write_error(&mut out, "error parsing query: found <EOF>", None, Options::default());
    assert_eq!(String::from_utf8(out).unwrap(), "{\"error\":\"error parsing query: found \\u003cEOF\\u003e\"}\n");
    let mut out = Vec::new();
    write_error(&mut out, "x", Some(7), PRETTY);
    assert_eq!(String::from_utf8(out).unwrap(), "{\n    \"error\": \"x\",\n    \"line\": 7\n}\n");
    let mut out = Vec::new();
    write_error(&mut out, "x", Some(7), Options::default());
    assert_eq!(String::from_utf8(out).unwrap(), "{\"error\":\"x\",\"line\":7}\n");

    assert_eq!(Epoch::from_parameter(""), None);
    assert_eq!(Epoch::from_parameter("u"), Some(Epoch::Microseconds));
    assert_eq!(Epoch::from_parameter("us"), Some(Epoch::Nanoseconds));
    assert_eq!(Epoch::from_parameter("h"), Some(Epoch::Hours));
}

/// Two statements, the first of two series, and an error.
fn two_statements(writer: &mut QueryWriter, out: &mut Vec<u8>) {
    writer.result(out, 0);
    for (host, value) in [("", Value::Float(1e21)), ("a b", Value::Int(-33))] {
        writer.series(out, "m", [("host", host), ("x", "1")].into_iter(), &["time", "v"]);
        writer.row(out, [Value::Time(-1), value]).unwrap();
        writer.end_series(out, host.is_empty());
    }
    writer.end_result(out, Tail::default());
    writer.result(out, 1);
    writer.series(out, "n", std::iter::empty(), &["s", "t"]);
    writer.row(out, [Value::Text(" say \"hi\""), Value::Null]).unwrap();
    writer.end_series(out, false);
    writer.end_result(out, Tail::default());
    writer.result(out, 2);
    writer.end_result(out, Tail { error: Some("no"), ..Tail::default() });
}

#[test]
fn comma_separated_values_have_a_header_for_each_statement() {
    let options = Options { format: Format::Csv, ..Options::default() };
    let expected = "name,tags,time,v\nm,x=1,-1,1000000000000000000000\nm,\"host=a\\ b,x=1\",-1,-33\n\n\
                    name,tags,s,t\nn,,\" say \"\"hi\"\"\",\n";
    assert_eq!(document(options, two_statements), expected);
    let mut out = Vec::new();
    write_error(&mut out, "a, b", None, options);
    assert_eq!(String::from_utf8(out).unwrap(), "error\n\"a, b\"\n");
}

#[test]
fn columns_that_change_have_a_header_of_their_own() {
    let options = Options { format: Format::Csv, ..Options::default() };
    let text = document(options, |writer, out| {
        writer.result(out, 0);
        for column in ["a", "b"] {
            writer.series(out, "m", std::iter::empty(), &[column]);
            writer.row(out, [Value::Float(f64::INFINITY)]).unwrap();
            writer.end_series(out, false);
        }
        writer.end_result(out, Tail::default());
    });
    assert_eq!(text, "name,tags,a\nm,,+Inf\n\nname,tags,b\nm,,+Inf\n");
}

#[test]
fn message_pack_says_how_many_there_are() {
    let mut out = Vec::new();
    let mut writer = QueryWriter::new(Options { format: Format::MessagePack, ..Options::default() });
    two_statements(&mut writer, &mut out);
    assert!(out.is_empty() && writer.kept_bytes() > 0);
    writer.end(&mut out);
    let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = |text: &str| -> String {
        let bytes: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{:02x}{bytes}", 0xa0 + text.len())
    };
    let [name, tags, columns, values] = ["name", "tags", "columns", "values"].map(text);
    let (id, series, time) = (text("statement_id"), text("series"), "c70c05ffffffffffffffff3b9ac9ff");
    let head = |host: &str| {
        let tag = format!("82{}{}{}{}", text("host"), text(host), text("x"), text("1"));
        format!("{name}{}{tags}{tag}{columns}92{}{}{values}91", text("m"), text("time"), text("v"))
    };
    let first = format!("85{}92{time}cb444b1ae4d6e2ef50{}c3", head(""), text("partial"));
    let second = format!("84{}92{time}d0df", head("a b"));
    let third =
        format!("83{name}{}{columns}92{}{}{values}9192{}c0", text("n"), text("s"), text("t"), text(" say \"hi\""));
    let expected = format!(
        "81{}9382{id}00{series}92{first}{second}82{id}01{series}91{third}81{}{}",
        text("results"),
        text("error"),
        text("no")
    );
    assert_eq!(hex, expected);
    assert_eq!(writer.kept_bytes(), 0);
}

#[test]
fn series_keep_their_own_heading_whatever_came_before() {
    let texts = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
    let headings: [(&str, &[&str], &[&str]); 7] = [
        ("m", &["h"], &["time", "v"]),
        ("m", &["h", "i"], &["time", "v"]),
        ("m", &["h"], &["time"]),
        ("n", &["h"], &["time"]),
        ("n", &["i"], &["time"]),
        ("n", &[], &["time"]),
        ("", &[], &["time"]),
    ];
    for order in (0..headings.len().pow(3)).map(|n| [n % 7, n / 7 % 7, n / 49]) {
        let mut expected = Vec::new();
        let found = document(Options::default(), |writer, out| {
            writer.result(out, 0);
            for (value, (name, tags, columns)) in (0..).zip(order.map(|at| headings[at])) {
                let value = format!("<{value}");
                writer.series(out, name, tags.iter().map(|tag| (*tag, value.as_str())), columns);
                writer.end_series(out, false);
                let pairs: Vec<_> = tags.iter().map(|tag| format!("\"{tag}\":\"\\u003c{}\"", &value[1..])).collect();
                let name = if name.is_empty() { String::new() } else { format!("\"name\":\"{name}\",") };
                let tags = if tags.is_empty() { String::new() } else { format!("\"tags\":{{{}}},", pairs.join(",")) };
                expected.push(format!("{{{name}{tags}\"columns\":[{}]}}", texts(columns)));
            }
            writer.end_result(out, Tail::default());
        });
        let series = expected.join(",");
        assert_eq!(found, format!("{{\"results\":[{{\"statement_id\":0,\"series\":[{series}]}}]}}\n"));
    }
}
