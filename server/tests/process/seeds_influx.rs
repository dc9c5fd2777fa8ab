//! The examples of InfluxDB's REST document for `/query`, `/write` and `/ping`, as curl sends them: status line,
//! headers and body are compared with what the document shows. Where it shows the names of columns in the place of null
//! cells of CSV, a server of 1.6.7 shows nothing, and so do we. The document of a hosted InfluxDB (seed 004) has the
//! same examples with a user's name and password in each URL: each example is sent both ways to a server that asks for
//! none, and with them to one that does. The examples of `/debug` are in `influx_operations.rs` and
//! `influx_profiles.rs`.

use std::ops::Deref;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::common::{Response, Server, fresh_folder};

/// What curl says of a body given with `--data-urlencode` or `--data-binary`.
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const CURL: [(&str, &str); 2] = [("User-Agent", "curl/7.88.1"), ("Accept", "*/*")];

/// What seed 004 puts behind the other parameters.
const CREDENTIALS: &str = "u=myusername&p=mypassword";

/// A server with the rows of the examples.
struct Example {
    server: Server,
    /// What may stand behind the other parameters.
    ways: &'static [&'static str],
}

impl Deref for Example {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

const ROWS: &str = "mymeas myfield=33.1 1488327378\nmymeas,mytag1=12,mytag2=14 myfield=12.4 1488327438\n";
const FIRST: &str = r#"["2017-03-01T00:16:18Z",33.1,null,null]"#;
const SECOND: &str = r#"["2017-03-01T00:17:18Z",12.4,"12","14"]"#;

fn urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends a request with the parameters of each document that the server takes; all are answered alike, and one of the
/// answers is given. A request's id is its own.
fn both(server: &Example, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    let answer = |credentials: &&str| {
        let path = if credentials.is_empty() { path.to_owned() } else { format!("{path}{separator}{credentials}") };
        server.request(method, &path, headers, body)
    };
    let mut answers: Vec<Response> = server.ways.iter().map(answer).collect();
    let one = answers.remove(0);
    let names = |response: &Response| response.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    for other in answers {
        assert_eq!((&one.status_line, one.text()), (&other.status_line, other.text()), "{method} {path}");
        assert_eq!(names(&one), names(&other), "{method} {path}");
    }
    one
}

/// `curl -G … --data-urlencode q=… [--data-urlencode params=…]`
fn get(server: &Example, parameters: &str, statements: &str, params: Option<&str>) -> Response {
    let params = params.map_or(String::new(), |params| format!("&params={}", urlencoded(params)));
    both(server, "GET", &format!("/query?{parameters}&q={}{params}", urlencoded(statements)), &CURL, b"")
}

/// `curl -XPOST … --data-urlencode q=…`
fn post(server: &Example, path: &str, statements: &str) -> Response {
    let headers = [CURL[0], CURL[1], FORM];
    both(server, "POST", path, &headers, format!("q={}", urlencoded(statements)).as_bytes())
}

fn check(response: &Response, status_line: &str, body: &str) {
    assert_eq!((response.status_line.as_str(), response.text().as_str()), (status_line, body));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("request-id"), response.header("x-request-id"));
    assert_eq!(response.header("request-id").map(str::len), Some(36));
    assert!(response.header("x-influxdb-version").is_some() && response.header("date").is_some());
}

fn ok(response: &Response, results: &str) {
    check(response, "HTTP/1.1 200 OK", &format!("{{\"results\":[{results}]}}\n"));
}

fn mymeas(rows: &str) -> String {
    let columns = r#"["time","myfield","mytag1","mytag2"]"#;
    format!(r#"{{"statement_id":0,"series":[{{"name":"mymeas","columns":{columns},"values":[{rows}]}}]}}"#)
}

/// A server that asks nobody for his name, and one that does.
fn examples() -> [Example; 2] {
    let open = Example { server: Server::start(), ways: &["", CREDENTIALS] };
    [open, guarded()].map(|server| {
        ok(&post(&server, "/query", "CREATE DATABASE \"mydb\""), r#"{"statement_id":0}"#);
        let written = both(&server, "POST", "/write?db=mydb&precision=s", &[CURL[0], CURL[1], FORM], ROWS.as_bytes());
        check(&written, "HTTP/1.1 204 No Content", "");
        server
    })
}

/// A server that lets users in alone, and has the user of the examples.
fn guarded() -> Example {
    let variables = [("TIDEWIRE_AUTH_ENABLED", "true")];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    let first = "CREATE USER myusername WITH PASSWORD 'mypassword' WITH ALL PRIVILEGES";
    let made = server.request("POST", "/query", &[FORM], format!("q={}", urlencoded(first)).as_bytes());
    assert_eq!(made.status(), 200, "{}", made.text());
    Example { server, ways: &[CREDENTIALS] }
}

#[test]
fn queries_of_seed_003() {
    for server in examples() {
        let all = "SELECT * FROM \"mymeas\"";
        ok(&get(&server, "db=mydb", all, None), &mymeas(&format!("{FIRST},{SECOND}")));
        let seconds = mymeas(r#"[1488327378,33.1,null,null],[1488327438,12.4,"12","14"]"#);
        ok(&get(&server, "db=mydb&epoch=s", all, None), &seconds);
        let mean = r#"{"statement_id":1,"series":[{"name":"mymeas","columns":["time","mean"],"values":[[0,22.75]]}]}"#;
        let two = "SELECT * FROM \"mymeas\";SELECT mean(\"myfield\") FROM \"mymeas\"";
        ok(&get(&server, "db=mydb&epoch=s", two, None), &format!("{seconds},{mean}"));
        let into = post(&server, "/query?db=mydb", "SELECT * INTO \"newmeas\" FROM \"mymeas\"");
        let written = r#"{"name":"result","columns":["time","written"],"values":[["1970-01-01T00:00:00Z",2]]}"#;
        ok(&into, &format!(r#"{{"statement_id":0,"series":[{written}]}}"#));
        let pretty = get(&server, "db=mydb&pretty=true", all, None).text();
        let compact: String = pretty.lines().map(str::trim_start).collect::<Vec<_>>().concat().replace("\": ", "\":");
        assert_eq!(compact, format!("{{\"results\":[{}]}}", mymeas(&format!("{FIRST},{SECOND}"))));
        assert!(pretty.starts_with("{\n    \"results\": [\n        {\n            \"statement_id\": 0,\n"), "{pretty}");
        server.server.terminate();
    }
}

#[test]
fn parameters_of_seed_003() {
    for server in examples() {
        for (condition, params, row) in [
            ("\"mytag1\" = $tag_value", r#"{"tag_value":"12"}"#, SECOND),
            ("\"myfield\" > $field_value", r#"{"field_value":30}"#, FIRST),
            (
                "\"mytag1\" = $tag_value AND  \"myfield\" < $field_value",
                r#"{"tag_value":"12","field_value":30}"#,
                SECOND,
            ),
        ] {
            let text = format!("SELECT * FROM \"mymeas\" WHERE {condition}");
            ok(&get(&server, "db=mydb", &text, Some(params)), &mymeas(row));
        }
        server.server.terminate();
    }
}

#[test]
fn formats_and_files_of_seed_003() {
    for server in examples() {
        let path = format!("/query?db=mydb&q={}", urlencoded("SELECT * FROM \"mymeas\""));
        let csv = both(&server, "GET", &path, &[CURL[0], ("Accept", "application/csv")], b"");
        let expected = "name,tags,time,myfield,mytag1,mytag2\nmymeas,,1488327378000000000,33.1,,\n\
                        mymeas,,1488327438000000000,12.4,12,14\n";
        assert_eq!(
            (csv.status(), csv.header("content-type"), csv.text().as_str()),
            (200, Some("application/csv"), expected)
        );
        // curl -F "q=@queries.txt" -F "async=true"
        let part =
            |head: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
        let queries = "CREATE DATABASE mydb;\nCREATE RETENTION POLICY four_weeks ON mydb DURATION 4w REPLICATION 1;\n";
        let file = part("name=\"q\"; filename=\"queries.txt\"\r\nContent-Type: text/plain", queries);
        let body = format!("{file}{}--x--\r\n", part("name=\"async\"", "true"));
        let headers = [CURL[0], CURL[1], ("Content-Type", "multipart/form-data; boundary=x")];
        check(&both(&server, "POST", "/query", &headers, body.as_bytes()), "HTTP/1.1 204 No Content", "");
        // Two answers may differ while the statements still run.
        let path = format!("/query?db=mydb&q={}&{}", urlencoded("SHOW RETENTION POLICIES"), server.ways[0]);
        server.wait_until("the policy is there", |server| {
            server.request("GET", &path, &CURL, b"").text().contains("[\"four_weeks\",\"672h0m0s\",")
        });
        server.server.terminate();
    }
}

/// Seed 004 lets `chunked` be the number of rows of a chunk.
#[test]
fn chunks_of_seed_004() {
    for server in examples() {
        let all = "SELECT * FROM \"mymeas\"";
        for (parameters, chunks) in [("db=mydb&chunked=1", 2), ("db=mydb&chunked=2", 1), ("db=mydb&chunked=true", 1)] {
            let reply = get(&server, parameters, all, None);
            assert_eq!(reply.status_line, "HTTP/1.1 200 OK");
            let text = reply.text();
            assert_eq!(text.lines().count(), chunks, "{text}");
            assert!(text.contains(FIRST) && text.contains(SECOND), "{text}");
        }
        server.server.terminate();
    }
}

#[test]
fn replies_of_seed_003() {
    for server in examples() {
        let unknown = r#"{"statement_id":0,"error":"database not found: mydb1"}"#;
        ok(&get(&server, "db=mydb1", "SELECT * FROM \"mymeas\"", None), unknown);
        let wrong = get(&server, "db=mydb", "SELECT *", None);
        let body = "{\"error\":\"error parsing query: found EOF, expected FROM at line 1, char 9\"}\n";
        check(&wrong, "HTTP/1.1 400 Bad Request", body);
        assert_eq!(wrong.header("content-length"), Some("76"));
        let ping = both(&server, "HEAD", "/ping", &CURL, b"");
        check(&ping, "HTTP/1.1 204 No Content", "");
        assert_eq!(ping.header("x-influxdb-build"), Some("OSS"));
        let version = ping.header("x-influxdb-version").expect("a version").to_owned();
        let verbose = both(&server, "GET", "/ping?verbose=true", &CURL, b"");
        check(&verbose, "HTTP/1.1 200 OK", &format!("{{\"version\":\"{version}\"}}"));
        server.server.terminate();
    }
}

#[test]
fn writes_of_seed_003() {
    for server in examples() {
        ok(
            &post(&server, "/query", "CREATE RETENTION POLICY myrp ON mydb DURATION 1d REPLICATION 1"),
            r#"{"statement_id":0}"#,
        );
        let write = |parameters: &str, lines: &str| {
            let headers = [CURL[0], CURL[1], FORM];
            both(&server, "POST", &format!("/write?db=mydb{parameters}"), &headers, lines.as_bytes())
        };
        for (parameters, lines) in [
            ("&precision=s", "mymeas,mytag=1 myfield=90 1463683075"),
            ("&rp=myrp", "mymeas,mytag=1 myfield=90"),
            ("", "mymeas,mytag=1 myfield=90 1463683075000000000"),
            ("", "mymeas,mytag=1 myfield=90"),
            ("", "mymeas,mytag=3 myfield=89 1463689152000000000\nmymeas,mytag=2 myfield=34 1463689152000000000"),
            (
                "",
                "mymeas,mytag1=1 value=21 1463689680000000000\nmymeas,mytag1=1 value=34 1463689690000000000\n\
                 mymeas,mytag2=8 value=78 1463689700000000000\nmymeas,mytag3=9 value=89 1463689710000000000\n",
            ),
        ] {
            check(&write(parameters, lines), "HTTP/1.1 204 No Content", "");
        }
        let counted = get(&server, "db=mydb&epoch=s", "SELECT count(*) FROM mymeas WHERE time < 1470000000s", None);
        assert!(
            counted.text().contains("[\"time\",\"count_myfield\",\"count_value\"],\"values\":[[0,3,4]]"),
            "{}",
            counted.text()
        );
        let wrong = write("", "mymeas,mytag=1 myfield=91 abc123");
        let body = "{\"error\":\"unable to parse 'mymeas,mytag=1 myfield=91 abc123': bad timestamp\"}\n";
        check(&wrong, "HTTP/1.1 400 Bad Request", body);
        server.server.terminate();
    }
}

/// `curl -u user:password`
fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// What the documents show of wrong credentials.
fn refused(response: &Response) {
    check(response, "HTTP/1.1 401 Unauthorized", "{\"error\":\"authorization failed\"}\n");
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"InfluxDB\""));
    assert_eq!((response.header("content-length"), response.header("x-influxdb-error")), (Some("33"), None));
}

#[test]
fn users_of_seeds_003_and_004() {
    let server = guarded();
    let form = [CURL[0], CURL[1], FORM];
    let with = |path: &str, pair: Option<&str>, body: &str| {
        let value = pair.map(basic);
        let mut headers = form.to_vec();
        headers.extend(value.iter().map(|value| ("Authorization", value.as_str())));
        server.request("POST", path, &headers, body.as_bytes())
    };
    let (right, wrong) = ("u=myusername&p=mypassword", "u=myusername&p=notmypassword");
    let create = format!("q={}", urlencoded("CREATE DATABASE \"mydb\""));
    ok(&with(&format!("/query?{right}"), None, &create), r#"{"statement_id":0}"#);
    refused(&with(&format!("/query?{wrong}"), None, &create));
    ok(&with("/query", Some("myusername:mypassword"), &create), r#"{"statement_id":0}"#);
    refused(&with("/query", Some("myusername:notmypassword"), &create));
    let line = "mymeas,mytag=1 myfield=91";
    check(&with(&format!("/write?db=mydb&{right}"), None, line), "HTTP/1.1 204 No Content", "");
    refused(&with(&format!("/write?db=mydb&{wrong}"), None, line));
    check(&with("/write?db=mydb", Some("myusername:mypassword"), line), "HTTP/1.1 204 No Content", "");
    refused(&with("/write?db=mydb", Some("myusername:notmypassword"), line));
    // A client that names nobody is asked for a name.
    let nobody = with("/write?db=mydb", None, line);
    let asked = "{\"error\":\"unable to parse authentication credentials\"}\n";
    check(&nobody, "HTTP/1.1 401 Unauthorized", asked);
    let counted = get(&server, "db=mydb", "SELECT count(myfield) FROM mymeas", None).text();
    assert!(counted.contains("[[\"1970-01-01T00:00:00Z\",2]]"), "{counted}");
    server.server.terminate();
}

/// The document's examples of writes that fail. Of one whose field has another type it shows the text of versions
/// before 1.3: ours is that of 1.7, with the type's name as users write it, and behind it the number of rows that are
/// missing.
#[test]
fn refused_writes_of_seed_003() {
    for server in examples() {
        let write = |path: &str, line: &str| {
            let headers = [CURL[0], CURL[1], FORM];
            both(&server, "POST", path, &headers, line.as_bytes())
        };
        let conflict = write("/write?db=mydb", "mymeas,mytag=1 myfield=91i");
        let words = "partial write: field type conflict: input field \\\"myfield\\\" on measurement \\\"mymeas\\\" is \
                     type integer, already exists as type float dropped=1";
        check(&conflict, "HTTP/1.1 400 Bad Request", &format!("{{\"error\":\"{words}\",\"line\":1}}\n"));
        let unknown = write("/write?db=mydb1", "mymeas,mytag=1 myfield=91");
        check(&unknown, "HTTP/1.1 404 Not Found", "{\"error\":\"database not found: \\\"mydb1\\\"\"}\n");
        let policy = write("/write?db=mydb&rp=myrp", "mymeas,mytag=1 myfield=91");
        let body = "{\"error\":\"retention policy not found: myrp\"}\n";
        check(&policy, "HTTP/1.1 500 Internal Server Error", body);
        server.server.terminate();
    }
}

#[test]
fn a_body_that_is_too_large_as_in_seed_003() {
    let variables = [("TIDEWIRE_HTTP_BODY_BYTES_MAX_WRITE", "64KiB")];
    let server = Example { server: Server::start_in(&fresh_folder(), true, &variables), ways: &["", CREDENTIALS] };
    ok(&post(&server, "/query", "CREATE DATABASE \"mydb\""), r#"{"statement_id":0}"#);
    let large = "mymeas myfield=1 1\n".repeat(4_000);
    let refused = both(&server, "POST", "/write?db=mydb", &[CURL[0], CURL[1], FORM], large.as_bytes());
    // The document shows the words that RFC 2616 has for 413; ours are those of RFC 7231.
    check(&refused, "HTTP/1.1 413 Payload Too Large", "{\"error\":\"Request Entity Too Large\"}\n");
    server.server.terminate();
}
