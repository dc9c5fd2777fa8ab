//! What is sent: statements and bodies that cost a server much more than their sender.
//!
//! A case is made anew each time, from a random number generator. What it asks for need not be granted; that it is
//! answered is all that is asked.

use std::fmt::Write;

use fastrand::Rng;

/// The table that statements ask.
pub(super) const TABLE: &str = "hostile";

/// A body, and where it goes.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) path: &'static str,
    /// Headers beside the length, each with its end.
    pub(super) headers: &'static str,
    pub(super) body: Vec<u8>,
}

/// How a case is carried out.
#[derive(Debug)]
pub(super) enum Attack {
    /// A whole request; an answer is due.
    Ask(Post),
    /// The same, and the sending side is closed behind it.
    HalfClosed(Post),
    /// The client leaves as soon as it has sent the request, with some bytes behind it.
    Leave(Post),
    /// The reply is read a little at a time.
    ReadSlowly(Post),
    /// Connections with part of a request each, which are held for a while.
    Stall { connections: usize, bytes: Vec<u8> },
    /// Requests of their own make, bytes and all; as many answers are due.
    Raw { bytes: Vec<u8>, answers: usize },
}

/// A kind of attack.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) make: fn(&mut Rng) -> Attack,
}

const SQL: &str = "/api/v1/sql?db=public";
const WRITE: &str = "/api/v1/write?db=public";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";

fn sql(text: String) -> Post {
    Post { path: SQL, headers: "", body: text.into_bytes() }
}

fn lines(text: String) -> Post {
    Post { path: WRITE, headers: "", body: text.into_bytes() }
}

fn post(path: &'static str, headers: &'static str, body: impl Into<Vec<u8>>) -> Post {
    Post { path, headers, body: body.into() }
}

/// `count` pieces, each made from its number.
fn many(count: usize, mut piece: impl FnMut(usize, &mut String)) -> String {
    let mut text = String::new();
    (0..count).for_each(|at| piece(at, &mut text));
    text
}

/// The same with something between them.
fn joined(count: usize, between: &str, piece: impl Fn(usize) -> String) -> String {
    many(count, |at, text| {
        let between = if at > 0 { between } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{between}{}", piece(at));
    })
}

fn any_bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    let count = rng.usize(0..most);
    std::iter::repeat_with(|| rng.u8(..)).take(count).collect()
}

fn nested(levels: usize, before: &str, core: &str, behind: &str) -> String {
    format!("{}{core}{}", before.repeat(levels), behind.repeat(levels))
}

/// A zstd frame of this many bytes of one kind, in a window of `1 << window_log`: 128 KiB take four bytes.
fn zstd_of(byte: u8, bytes: usize, window_log: u8) -> Vec<u8> {
    const BLOCK_BYTES: usize = 128 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    let blocks = bytes.div_ceil(BLOCK_BYTES).max(1);
    for block in 0..blocks {
        let is_last = u32::from(block + 1 == blocks);
        let header = (BLOCK_BYTES as u32) << 3 | 1 << 1 | is_last;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(byte);
    }
    frame
}

/// The head of a request whose body has `more` bytes than are sent with it.
fn begun(path: &str, headers: &str, body: &[u8], more: usize) -> Vec<u8> {
    let length = body.len() + more;
    let mut bytes =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// All kinds.
pub(super) const CASES: &[Case] = &[
    // Statements.
    Case {
        name: "sub-selects nested deep",
        make: |rng| {
            let levels = rng.usize(10..4_000);
            Attack::Ask(sql(nested(levels, "SELECT v FROM (", &format!("SELECT v FROM {TABLE}"), ")")))
        },
    },
    Case {
        name: "brackets nested deep",
        make: |rng| Attack::Ask(sql(format!("SELECT {}", nested(rng.usize(10..200_000), "(", "1", ")")))),
    },
    Case {
        name: "signs and NOTs in a row",
        make: |rng| {
            let sign = ["NOT ", "- ", "~ "][rng.usize(..3)];
            Attack::Ask(sql(format!("SELECT {} v FROM {TABLE}", sign.repeat(rng.usize(10..100_000)))))
        },
    },
    Case {
        name: "a long chain of set operations",
        make: |rng| {
            let link = [" UNION ALL ", " UNION ", " EXCEPT "][rng.usize(..3)];
            Attack::Ask(sql(joined(rng.usize(10..50_000), link, |at| format!("SELECT {at}"))))
        },
    },
    Case {
        name: "an expression that doubles by level",
        make: |rng| {
            let levels = rng.usize(5..40);
            let from = nested(levels, "(SELECT v+v AS v FROM ", TABLE, ")");
            Attack::Ask(sql(format!("SELECT v FROM {from} WHERE v < 0")))
        },
    },
    Case {
        name: "a string that doubles by level",
        make: |rng| {
            let levels = rng.usize(5..40);
            let from = nested(levels, "(SELECT s||s AS s FROM ", TABLE, ")");
            Attack::Ask(sql(format!("SELECT max(s) FROM {from}")))
        },
    },
    Case {
        name: "a long constant for every row",
        make: |rng| {
            let text = "x".repeat(rng.usize(1 << 10..1 << 20));
            Attack::Ask(sql(format!("SELECT '{text}' AS c, v FROM {TABLE} ORDER BY v LIMIT 10")))
        },
    },
    Case {
        name: "a list of many members",
        make: |rng| {
            let members = joined(rng.usize(1_000..1_000_000), ",", |at| at.to_string());
            Attack::Ask(sql(format!("SELECT count(*) FROM {TABLE} WHERE v IN ({members})")))
        },
    },
    Case {
        name: "a condition of many parts",
        make: |rng| {
            let parts = joined(rng.usize(100..20_000), " OR ", |at| format!("s = 'row {at}'"));
            Attack::Ask(sql(format!("SELECT count(*) FROM {TABLE} WHERE {parts}")))
        },
    },
    Case {
        name: "INSERT of many rows",
        make: |rng| {
            let rows = joined(rng.usize(1_000..200_000), ",", |at| format!("({at},'a',{at})"));
            Attack::Ask(sql(format!("INSERT INTO hostile_insert (time,h,v) VALUES {rows}")))
        },
    },
    Case {
        name: "all rows in order",
        make: |rng| {
            let order = ["v", "s", "s || s", "time DESC"][rng.usize(..4)];
            Attack::Ask(sql(format!("SELECT * FROM {TABLE} ORDER BY {order}")))
        },
    },
    Case {
        name: "as many groups as rows",
        make: |_| Attack::Ask(sql(format!("SELECT s, v, count(*) FROM {TABLE} GROUP BY s, v"))),
    },
    Case {
        name: "all rows with all rows",
        make: |_| Attack::Ask(sql(format!("SELECT count(*) FROM {TABLE} a JOIN {TABLE} b ON a.h = b.h"))),
    },
    Case {
        name: "hard patterns",
        make: |rng| {
            let parts = joined(rng.usize(1..40), " OR ", |at| format!("s ~ '(r|o|w)*.*{at}.*8.*{at}x'"));
            Attack::Ask(sql(format!("SELECT count(*) FROM {TABLE} WHERE {parts}")))
        },
    },
    Case {
        name: "patterns that are large when compiled",
        make: |rng| {
            let repeats = rng.usize(5..20);
            let parts = joined(rng.usize(1..200), " OR ", |at| format!("s ~ '\\w{{{repeats}}}{at}'"));
            Attack::Ask(sql(format!("SELECT count(*) FROM {TABLE} WHERE {parts}")))
        },
    },
    Case {
        name: "a pattern of its own for each row",
        make: |rng| {
            let pattern = ["s || '\\w{2}'", "'^' || v", "'\\d{4}' || v || '\\d{4}'"][rng.usize(..3)];
            let call = [format!("regexp_like(s, {pattern})"), format!("s LIKE '%' || {pattern} || '_%'")];
            Attack::Ask(sql(format!("SELECT count(*) FROM {TABLE} WHERE {}", call[rng.usize(..2)])))
        },
    },
    Case {
        name: "patterns in one form",
        make: |rng| {
            let repeats = rng.usize(1..20);
            let statements = joined(rng.usize(1..2_000), ";", |at| {
                format!("SELECT%20v%20FROM%20{TABLE}%20WHERE%20h=~/%5Cw%7B{repeats}%7D{at}/")
            });
            Attack::Ask(post("/query?db=public", FORM, format!("q={statements}")))
        },
    },
    Case {
        name: "many statements in one form",
        make: |rng| {
            let statements =
                joined(rng.usize(100..20_000), ";", |_| format!("SELECT%20v%20FROM%20{TABLE}%20LIMIT%201"));
            Attack::Ask(post("/query?db=public", FORM, format!("q={statements}")))
        },
    },
    Case {
        name: "a form of many parameters",
        make: |rng| {
            Attack::Ask(post("/query?db=public", FORM, joined(rng.usize(10..200_000), "&", |at| format!("p{at}=%41"))))
        },
    },
    Case {
        name: "bytes that are no statement",
        make: |rng| {
            let body = any_bytes(rng, 100_000);
            Attack::Ask(post(SQL, "", body))
        },
    },
    // Bodies.
    Case {
        name: "decompressed: blank lines",
        make: |rng| {
            let body = zstd_of(b'\n', rng.usize(1 << 20..96 << 20), 17);
            Attack::Ask(post(WRITE, "Content-Encoding: zstd\r\n", body))
        },
    },
    Case {
        name: "decompressed: one line without an end",
        make: |rng| {
            let body = zstd_of(b'x', rng.usize(1 << 20..96 << 20), 23);
            Attack::Ask(post("/write?db=public", "Content-Encoding: zstd\r\n", body))
        },
    },
    Case {
        name: "lines that are none",
        make: |rng| Attack::Ask(post("/write?db=public", "", "x\n".repeat(rng.usize(1_000..2_000_000)))),
    },
    Case {
        name: "lines of many tags",
        make: |rng| {
            let tags = many(rng.usize(1_000..20_000), |at, text| {
                let _ = write!(text, ",t{at}=a");
            });
            let rows = joined(rng.usize(1..4), "\n", |row| format!("hostile_tags,row=r{row}{tags} v=1 {row}"));
            Attack::Ask(lines(rows))
        },
    },
    Case {
        name: "lines of many fields, and short ones behind",
        make: |rng| {
            let fields = joined(rng.usize(1_000..16_000), ",", |at| format!("f{at}=1"));
            let short = "hostile_fields f1=1 2\n".repeat(rng.usize(0..50_000));
            Attack::Ask(lines(format!("hostile_fields {fields} 1\n{short}hostile_fields {fields} 3\n")))
        },
    },
    Case {
        name: "short lines, and one of many fields behind",
        make: |rng| {
            let fields = joined(rng.usize(1_000..16_000), ",", |at| format!("f{at}=1"));
            let short = "hostile_fields f1=1 2\n".repeat(rng.usize(0..100_000));
            Attack::Ask(lines(format!("{short}hostile_fields {fields} 1\n{short}")))
        },
    },
    Case {
        name: "many new tables",
        make: |rng| {
            let first = rng.usize(0..1_000_000);
            Attack::Ask(lines(many(rng.usize(10..1_000), |at, text| {
                let _ = writeln!(text, "hostile_table_{} v=1 1", (first + at) % 5_000);
            })))
        },
    },
    Case {
        name: "many new series",
        make: |rng| {
            let first = rng.u64(..);
            Attack::Ask(lines(many(rng.usize(10..50_000), |at, text| {
                let _ = writeln!(text, "hostile_series,h={} v=1 1", first.wrapping_add(at as u64));
            })))
        },
    },
    Case {
        name: "rows that lie far apart",
        make: |rng| {
            const DAY_NS: usize = 86_400_000_000_000;
            Attack::Ask(lines(many(rng.usize(10..5_000), |at, text| {
                let _ = writeln!(text, "hostile_days v=1 {}", at * DAY_NS);
            })))
        },
    },
    Case {
        name: "one long string",
        make: |rng| {
            let text = "y".repeat(rng.usize(1 << 20..15 << 20));
            Attack::Ask(lines(format!("hostile_string s=\"{text}\" 1")))
        },
    },
    Case {
        name: "JSON: a list of numbers",
        make: |rng| {
            let path = ["/api/v1/opentsdb/put?db=public", "/v1/traces?db=public", "/loki/api/v1/push?db=public"];
            let list = "0,".repeat(rng.usize(1_000..4_000_000));
            Attack::Ask(post(path[rng.usize(..3)], JSON, format!("[{list}0]")))
        },
    },
    Case {
        name: "JSON: nested deep",
        make: |rng| {
            let path = ["/api/v1/opentsdb/put?db=public", "/v1/logs?db=public", "/loki/api/v1/push?db=public"];
            let levels = rng.usize(10..500_000);
            Attack::Ask(post(path[rng.usize(..3)], JSON, nested(levels, "{\"a\":[", "0", "]}")))
        },
    },
    Case {
        name: "JSON: a document of many names",
        make: |rng| {
            let names = joined(rng.usize(100..20_000), ",", |at| format!("\"n{at}\":{at}"));
            let body = format!("{{\"create\":{{\"_index\":\"hostile_names\"}}}}\n{{\"time\":1,{names}}}\n");
            Attack::Ask(post("/api/v1/es/_bulk?db=public", JSON, body))
        },
    },
    Case {
        name: "JSON: many entries of a stream",
        make: |rng| {
            let entries = joined(rng.usize(1_000..100_000), ",", |at| format!("[\"{at}\",\"line\"]"));
            let body = format!("{{\"streams\":[{{\"stream\":{{\"h\":\"a\"}},\"values\":[{entries}]}}]}}");
            Attack::Ask(post("/loki/api/v1/push?db=public", JSON, body))
        },
    },
    Case {
        name: "protobuf: any bytes",
        make: |rng| {
            let path = ["/v1/metrics?db=public", "/v1/logs?db=public", "/api/v1/prom/write?db=public"][rng.usize(..3)];
            let body = any_bytes(rng, 100_000);
            Attack::Ask(post(path, PROTOBUF, body))
        },
    },
    Case {
        name: "protobuf: many empty items in one",
        make: |rng| {
            // ResourceSpans 1 { ScopeSpans 2 { Span 2 {} … } }
            let spans = b"\x12\x00".repeat(rng.usize(1_000..1_000_000));
            let message = |tag: u8, body: &[u8]| {
                let mut out = vec![tag];
                let mut length = body.len();
                while length > 0x7f {
                    out.push(length as u8 | 0x80);
                    length >>= 7;
                }
                out.push(length as u8);
                out.extend_from_slice(body);
                out
            };
            Attack::Ask(post("/v1/traces?db=public", PROTOBUF, message(0x0a, &message(0x12, &spans))))
        },
    },
    Case {
        name: "a snappy block that promises much",
        make: |_| Attack::Ask(post("/api/v1/prom/write?db=public", PROTOBUF, b"\xff\xff\xff\xff\x07\x00a".as_slice())),
    },
    // Clients.
    Case {
        name: "stalled: windows of 8 MiB",
        make: |rng| {
            let mut body = zstd_of(b'\n', 8 << 20, 23);
            body.truncate(body.len() - 1);
            let bytes = begun(WRITE, "Content-Encoding: zstd\r\n", &body, 1_000);
            Attack::Stall { connections: rng.usize(1..250), bytes }
        },
    },
    Case {
        name: "stalled: a brotli window of 16 MiB",
        make: |rng| Attack::Stall {
            connections: rng.usize(1..250),
            bytes: begun(WRITE, "Content-Encoding: br\r\n", b"\x0f\x00", 1_000),
        },
    },
    Case {
        name: "stalled: large bodies begun",
        make: |rng| {
            let body = "hostile_begun v=1 1\n".repeat(10_000);
            Attack::Stall { connections: rng.usize(1..100), bytes: begun(WRITE, "", body.as_bytes(), 10 << 20) }
        },
    },
    Case {
        name: "stalled: long lines begun",
        make: |rng| {
            let body = format!("hostile_begun s=\"{}", "z".repeat(rng.usize(1 << 10..2 << 20)));
            Attack::Stall { connections: rng.usize(1..50), bytes: begun(WRITE, "", body.as_bytes(), 10 << 20) }
        },
    },
    Case {
        name: "stalled: statements begun",
        make: |rng| {
            let body = "SELECT ".repeat(rng.usize(1_000..100_000));
            Attack::Stall { connections: rng.usize(1..50), bytes: begun(SQL, "", body.as_bytes(), 10 << 20) }
        },
    },
    Case {
        name: "stalled: heads",
        make: |rng| {
            let head = format!("GET /ping HTTP/1.1\r\nHost: h\r\nX-Long: {}", "h".repeat(rng.usize(10..12_000)));
            Attack::Stall { connections: rng.usize(1..250), bytes: head.into_bytes() }
        },
    },
    Case {
        name: "many requests at once on one connection",
        make: |rng| {
            let answers = rng.usize(1..5_000);
            Attack::Raw { bytes: b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n".repeat(answers), answers }
        },
    },
    Case {
        name: "a body in chunks of one byte",
        make: |rng| {
            let count = rng.usize(1..50_000);
            let mut bytes =
                format!("POST {WRITE} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
            bytes.extend_from_slice(&b"1\r\n\n\r\n".repeat(count));
            bytes.extend_from_slice(b"0\r\n\r\n");
            Attack::Raw { bytes, answers: 1 }
        },
    },
    Case {
        name: "no request at all",
        make: |rng| {
            let mut bytes = any_bytes(rng, 2_000);
            bytes.extend_from_slice(b"\r\n\r\n");
            Attack::Raw { bytes, answers: 1 }
        },
    },
    Case { name: "a client that reads slowly", make: |_| Attack::ReadSlowly(sql(format!("SELECT * FROM {TABLE}"))) },
    Case {
        name: "a client that leaves",
        make: |rng| {
            let parts = joined(rng.usize(1..20), " OR ", |at| format!("s ~ '(r|o|w)*.*{at}.*8.*{at}x'"));
            Attack::Leave(sql(format!("SELECT count(*) FROM {TABLE} WHERE {parts}")))
        },
    },
    Case {
        name: "a client that closes its sending side",
        make: |_| Attack::HalfClosed(sql(format!("SELECT count(*), max(s) FROM {TABLE}"))),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_made_of_a_seed_and_has_a_name_of_its_own() {
        for (at, case) in CASES.iter().enumerate() {
            let make = || format!("{:?}", (case.make)(&mut Rng::with_seed(at as u64)));
            assert_eq!(make(), make(), "{}", case.name);
            assert_eq!(CASES.iter().filter(|other| other.name == case.name).count(), 1, "{}", case.name);
        }
    }

    #[test]
    fn a_frame_is_four_bytes_for_128_kib() {
        assert_eq!(zstd_of(b'x', 1, 10), [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0x03, 0, 0x10, b'x']);
        assert_eq!(zstd_of(b'x', 1 << 20, 23).len(), 6 + 8 * 4);
    }
}
