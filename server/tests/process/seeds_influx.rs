//! The examples of InfluxDB's REST document for `/query`, `/write` and `/ping` that need no user, as curl sends them:
//! status line, headers and body are compared with what the document shows. Where it shows the names of columns in the
//! place of null cells of CSV, a server of 1.6.7 shows nothing, and so do we. The document of a hosted InfluxDB (seed
//! 004) has the same examples with a user's name and password in each URL, which a server that asks for none passes
//! over: each example is sent both ways.

use crate::common::{Response, Server};

/// What curl says of a body given with `--data-urlencode` or `--data-binary`.
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const CURL: [(&str, &str); 2] = [("User-Agent", "curl/7.88.1"), ("Accept", "*/*")];

/// What the two documents put behind the other parameters.
const CREDENTIALS: [&str; 2] = ["", "u=myusername&p=mypassword"];

const ROWS: &str = "mymeas myfield=33.1 1488327378\nmymeas,mytag1=12,mytag2=14 myfield=12.4 1488327438\n";
const FIRST: &str = r#"["2017-03-01T00:16:18Z",33.1,null,null]"#;
const SECOND: &str = r#"["2017-03-01T00:17:18Z",12.4,"12","14"]"#;

fn urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends a request with each document's parameters; both are answered alike, and one of the answers is given. A chunk's
/// or a request's id is its own.
fn both(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    let answers = CREDENTIALS.map(|credentials| {
        let path = if credentials.is_empty() { path.to_owned() } else { format!("{path}{separator}{credentials}") };
        server.request(method, &path, headers, body)
    });
    let [one, other] = answers;
    assert_eq!((&one.status_line, one.text()), (&other.status_line, other.text()), "{method} {path}");
    let names = |response: &Response| response.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other), "{method} {path}");
    one
}

/// `curl -G … --data-urlencode q=… [--data-urlencode params=…]`
fn get(server: &Server, parameters: &str, statements: &str, params: Option<&str>) -> Response {
    let params = params.map_or(String::new(), |params| format!("&params={}", urlencoded(params)));
    both(server, "GET", &format!("/query?{parameters}&q={}{params}", urlencoded(statements)), &CURL, b"")
}

/// `curl -XPOST … --data-urlencode q=…`
fn post(server: &Server, path: &str, statements: &str) -> Response {
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

fn example() -> Server {
    let server = Server::start();
    ok(&post(&server, "/query", "CREATE DATABASE \"mydb\""), r#"{"statement_id":0}"#);
    let written = server.request("POST", "/write?db=mydb&precision=s", &[CURL[0], CURL[1], FORM], ROWS.as_bytes());
    check(&written, "HTTP/1.1 204 No Content", "");
    server
}

#[test]
fn queries_of_seed_003() {
    let server = example();
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
    server.terminate();
}

#[test]
fn parameters_of_seed_003() {
    let server = example();
    for (condition, params, row) in [
        ("\"mytag1\" = $tag_value", r#"{"tag_value":"12"}"#, SECOND),
        ("\"myfield\" > $field_value", r#"{"field_value":30}"#, FIRST),
        ("\"mytag1\" = $tag_value AND  \"myfield\" < $field_value", r#"{"tag_value":"12","field_value":30}"#, SECOND),
    ] {
        let text = format!("SELECT * FROM \"mymeas\" WHERE {condition}");
        ok(&get(&server, "db=mydb", &text, Some(params)), &mymeas(row));
    }
    server.terminate();
}

#[test]
fn formats_and_files_of_seed_003() {
    let server = example();
    let path = format!("/query?db=mydb&q={}", urlencoded("SELECT * FROM \"mymeas\""));
    let csv = both(&server, "GET", &path, &[CURL[0], ("Accept", "application/csv")], b"");
    let expected = "name,tags,time,myfield,mytag1,mytag2\nmymeas,,1488327378000000000,33.1,,\n\
                    mymeas,,1488327438000000000,12.4,12,14\n";
    assert_eq!(
        (csv.status(), csv.header("content-type"), csv.text().as_str()),
        (200, Some("application/csv"), expected)
    );
    // curl -F "q=@queries.txt" -F "async=true"
    let part = |head: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
    let queries = "CREATE DATABASE mydb;\nCREATE RETENTION POLICY four_weeks ON mydb DURATION 4w REPLICATION 1;\n";
    let file = part("name=\"q\"; filename=\"queries.txt\"\r\nContent-Type: text/plain", queries);
    let body = format!("{file}{}--x--\r\n", part("name=\"async\"", "true"));
    let headers = [CURL[0], CURL[1], ("Content-Type", "multipart/form-data; boundary=x")];
    check(&both(&server, "POST", "/query", &headers, body.as_bytes()), "HTTP/1.1 204 No Content", "");
    server.wait_until("the policy is there", |server| {
        get(server, "db=mydb", "SHOW RETENTION POLICIES", None).text().contains("[\"four_weeks\",\"672h0m0s\",")
    });
    server.terminate();
}

/// Seed 004 lets `chunked` be the number of rows of a chunk.
#[test]
fn chunks_of_seed_004() {
    let server = example();
    let all = "SELECT * FROM \"mymeas\"";
    for (parameters, chunks) in [("db=mydb&chunked=1", 2), ("db=mydb&chunked=2", 1), ("db=mydb&chunked=true", 1)] {
        let reply = get(&server, parameters, all, None);
        assert_eq!(reply.status_line, "HTTP/1.1 200 OK");
        let text = reply.text();
        assert_eq!(text.lines().count(), chunks, "{text}");
        assert!(text.contains(FIRST) && text.contains(SECOND), "{text}");
    }
    server.terminate();
}

#[test]
fn replies_of_seed_003() {
    let server = example();
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
    server.terminate();
}

#[test]
fn writes_of_seed_003() {
    let server = example();
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
    server.terminate();
}
