//! What `/query` takes and gives beside JSON: formats, codings, bodies in parts, replies that nobody waits for, bounds,
//! and statements about what runs.

use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{Response, Server, fresh_folder};

const LINES: &str = "m,host=a f=1,s=\"x, y\" 1000000000\nm,host=a f=2 2000000000\nm,host=b f=3 2000000000\n";

fn started(variables: &[(&str, &str)]) -> Server {
    let server = Server::start_in(&fresh_folder(), true, variables);
    assert_eq!(get(&server, "", "CREATE DATABASE db", &[]).status(), 200);
    assert_eq!(server.request("POST", "/write?db=db", &[], LINES.as_bytes()).status(), 204);
    server
}

fn get(server: &Server, parameters: &str, statements: &str, headers: &[(&str, &str)]) -> Response {
    let q: String = statements.bytes().map(|byte| format!("%{byte:02x}")).collect();
    server.request("GET", &format!("/query?db=db&epoch=s{parameters}&q={q}"), headers, b"")
}

#[test]
fn a_reply_has_the_format_and_the_coding_that_are_asked_for() {
    let server = started(&[]);
    let csv = get(&server, "", "SELECT f FROM m GROUP BY host; SELECT s FROM m", &[("Accept", "text/csv")]);
    assert_eq!(csv.header("content-type"), Some("text/csv"));
    let expected = "name,tags,time,f\nm,host=a,1,1\nm,host=a,2,2\nm,host=b,2,3\n\nname,tags,time,s\nm,,1,\"x, y\"\n";
    assert_eq!(csv.text(), expected);
    let wrong = get(&server, "", "SELECT", &[("Accept", "application/csv")]);
    assert_eq!((wrong.status(), wrong.header("content-type")), (400, Some("application/csv")));
    assert!(wrong.text().starts_with("error\n\"error parsing query: found EOF, expected"), "{}", wrong.text());
    let packed = get(&server, "", "SELECT f FROM m WHERE host = 'b'", &[("Accept", "application/x-msgpack")]);
    assert_eq!(packed.header("content-type"), Some("application/x-msgpack"));
    let expected =
        b"\x81\xa7results\x91\x82\xacstatement_id\x00\xa6series\x91\x83\xa4name\xa1m\xa7columns\x92\xa4time\xa1f\
                     \xa6values\x91\x92\x02\xcb\x40\x08\0\0\0\0\0\0";
    assert_eq!(packed.body, expected);
    let zipped = get(&server, "", "SELECT f FROM m", &[("Accept-Encoding", "deflate, gzip")]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, get(&server, "", "SELECT f FROM m", &[]).text());
    let pretty = get(&server, "&pretty=true", "SELECT", &[]).text();
    assert!(pretty.starts_with("{\n    \"error\": "), "{pretty}");
    server.terminate();
}

#[test]
fn a_body_in_parts_may_have_the_statements_as_a_file() {
    let server = started(&[]);
    let body = "--b\r\nContent-Disposition: form-data; name=\"q\"; filename=\"q.txt\"\r\n\r\nSELECT f FROM m LIMIT 1;\
                \r\n--b--\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=b")];
    let reply = server.request("POST", "/query?db=db&epoch=s", &headers, body.as_bytes());
    assert!(reply.text().contains("\"values\":[[1,1]]"), "{}", reply.text());
    server.terminate();
}

#[test]
fn statements_that_nobody_waits_for_run() {
    let server = started(&[]);
    let reply = get(&server, "&async=true", "SELECT f INTO n FROM m; SELECT x FROM nodb..m", &[]);
    assert_eq!((reply.status(), reply.text()), (204, String::new()));
    assert_eq!(get(&server, "&async=true", "SELECT", &[]).status(), 400);
    server.wait_until("the rows are there", |server| get(server, "", "SELECT f FROM n", &[]).text().contains("[2,3]"));
    server.terminate();
}

#[test]
fn a_reply_may_have_so_many_rows_and_a_statement_so_many_windows() {
    let server = started(&[("TIDEWIRE_INFLUXQL_ROWS_MAX", "2"), ("TIDEWIRE_INFLUXQL_WINDOWS_MAX", "10")]);
    let text = |statements: &str| get(&server, "", statements, &[]).text();
    let one = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"f\"],\"values\":";
    assert_eq!(text("SELECT f FROM m WHERE host = 'a'; SHOW DATABASES"), format!("{one}[[1,1],[2,2]]}}]}}]}}\n"));
    let cut = text("SELECT f FROM m; SELECT f FROM m");
    assert!(cut.starts_with(one) && cut.ends_with("],\"partial\":true}]}]}\n"), "{cut}");
    let chunked = get(&server, "&chunked=true", "SELECT f FROM m", &[]).text();
    assert_eq!(chunked.matches("[2,").count(), 2, "{chunked}");
    let windows = text("SELECT count(f) FROM m WHERE time >= 0 AND time < 11s GROUP BY time(1s)");
    assert!(windows.contains("\"error\":\"max-select-buckets limit exceeded: (11/10)\""), "{windows}");
    server.terminate();
}

#[test]
fn a_statement_may_read_so_many_series_and_so_many_rows() {
    let one = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"f\"],\"values\":";
    let of_a = format!("{one}[[1,1],[2,2]]}}]}}]}}\n");
    let refused = |words: &str| format!("{{\"results\":[{{\"statement_id\":0,\"error\":\"{words}\"}}]}}\n");
    for (key, value, words) in [
        ("TIDEWIRE_INFLUXQL_SERIES_MAX", "1", "max-select-series limit exceeded: (2/1)"),
        ("TIDEWIRE_INFLUXQL_POINTS_MAX", "2", "max-select-point limit exceeed: (3/2)"),
    ] {
        let server = started(&[(key, value)]);
        let text = |statements: &str| get(&server, "", statements, &[]).text();
        assert_eq!(text("SELECT f FROM m WHERE host = 'a'"), of_a);
        assert_eq!(text("SELECT f FROM m"), refused(words));
        assert_eq!(text("SELECT f INTO n FROM m"), refused(words));
        // Of one statement each: the next begins anew.
        assert_eq!(text("SELECT f FROM m WHERE host = 'a'"), of_a);
        let sql = server.sql("db", "SELECT count(f), count(DISTINCT f) FROM m");
        assert_eq!(sql.text().lines().nth(1), Some("3,3"), "SQL has no such bound");
        server.terminate();
    }
}

#[test]
fn what_a_reply_cannot_say_is_an_error_of_its_own() {
    let server = started(&[]);
    let infinite = get(&server, "", "SELECT pow(f, 9999) FROM m WHERE f > 1", &[]);
    assert_eq!((infinite.status(), infinite.text().as_str()), (200, "{\"error\":\"json: unsupported value: +Inf\"}\n"));
    let csv = get(&server, "", "SELECT pow(f, 9999) FROM m WHERE f = 3", &[("Accept", "text/csv")]);
    assert_eq!(csv.text(), "name,tags,time,pow\nm,,2,+Inf\n");
    let chunked = get(&server, "&chunked=true", "SELECT x FROM nodb..m; SELECT f FROM m; SELECT f FROM m", &[]).text();
    let line = |error: &str| format!("{{\"results\":[{{\"statement_id\":0,\"error\":\"{error}\"}}]}}\n");
    let (first, rest) = (line("database not found: nodb"), line("not executed"));
    assert_eq!(chunked, format!("{first}{rest}{rest}"));
    server.terminate();
}

#[test]
fn a_statement_that_changes_things_is_warned_about_in_a_get() {
    let server = started(&[]);
    let text = get(&server, "", "select f into n from m; delete from n", &[]).text();
    let warning = "deprecated use of 'SELECT f INTO db.autogen.n FROM db.autogen.m' in a read only context, please use a \
                   POST request instead";
    let messages = format!("\"messages\":[{{\"level\":\"warning\",\"text\":\"{warning}\"}}]}},{{\"statement_id\":1}}");
    assert!(text.contains(&messages), "{text}");
    server.terminate();
}

#[test]
fn a_bucket_is_a_database_and_perhaps_a_policy() {
    let server = started(&[]);
    let write =
        |parameters: &str| server.request("POST", &format!("/api/v2/write?{parameters}"), &[], b"m,host=c f=9 3");
    assert_eq!(write("org=any&bucket=db&precision=s").status(), 204);
    assert_eq!(write("org=any&bucket=db/autogen&precision=ms").status(), 204);
    let found = get(&server, "", "SELECT f FROM m WHERE host = 'c'", &[]).text();
    assert!(found.contains("\"values\":[[0,9],[3,9]]"), "{found}");
    for (parameters, status, words) in [
        ("org=any", 404, "bucket name \\\"\\\" is missing a slash; not in \\\"database/retention-policy\\\" format"),
        ("bucket=/p", 404, "bucket name \\\"/p\\\" is in db/rp form but has an empty database"),
        ("bucket=nodb", 404, "database not found: \\\"nodb\\\""),
        ("bucket=db&precision=h", 400, "invalid precision \\\"h\\\" (use ns, us, ms or s)"),
    ] {
        let refused = write(parameters);
        assert_eq!(refused.status(), status, "{parameters}");
        assert!(refused.text().contains(words), "{parameters}: {}", refused.text());
    }
    assert_eq!(server.request("GET", "/api/v2/ping", &[], b"").status(), 204);
    server.terminate();
}

#[test]
fn what_runs_is_listed_and_killed() {
    let server = started(&[]);
    let listed = get(&server, "", "show queries", &[]).text();
    let begin = "\"columns\":[\"qid\",\"query\",\"database\",\"duration\",\"status\"],\"values\":[[";
    assert!(listed.contains(begin) && listed.contains(",\"SHOW QUERIES\",\"db\",\""), "{listed}");
    assert!(listed.contains(",\"running\"]]"), "{listed}");
    let explained = get(&server, "", "EXPLAIN ANALYZE SELECT f FROM m", &[]).text();
    assert!(
        explained.contains("\"columns\":[\"EXPLAIN ANALYZE\"]") && explained.contains("[\"rows=3, elapsed="),
        "{explained}"
    );
    assert!(explained.contains("[\"shard 1: rows_scanned="), "{explained}");
    let none = get(&server, "", "KILL QUERY 99999", &[]).text();
    assert!(none.contains("\"error\":\"no such query id: 99999\""), "{none}");
    server.terminate();
}

#[test]
fn continuous_queries_run_and_are_there_after_a_restart() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let text =
        "CREATE CONTINUOUS QUERY c ON db RESAMPLE FOR 1h BEGIN SELECT sum(f) INTO n FROM m GROUP BY time(1s), * END";
    get(&server, "", "CREATE DATABASE db", &[]);
    assert!(!get(&server, "", text, &[]).text().contains("error"));
    let other = text.replace("sum", "max");
    assert!(get(&server, "", &other, &[]).text().contains("\"error\":\"continuous query already exists\""));
    server.terminate();
    let server = Server::start_in(&folder, true, &[]);
    let kept = "CREATE CONTINUOUS QUERY c ON db RESAMPLE FOR 1h BEGIN SELECT sum(f) INTO db.autogen.n FROM db.autogen.m \
                GROUP BY time(1s), * END";
    let shown = get(&server, "", "SHOW CONTINUOUS QUERIES", &[]).text();
    assert!(shown.contains(&format!("[\"c\",\"{kept}\"]")), "{shown}");
    let written = server.request("POST", "/write?db=db&precision=s", &[], b"m,host=a f=1\nm,host=b f=2\n");
    assert_eq!(written.status(), 204);
    server.wait_until("the query has run", |server| {
        let found = get(server, "", "SELECT sum FROM n GROUP BY host", &[]).text();
        found.contains(",1]") && found.contains(",2]")
    });
    get(&server, "", "DROP CONTINUOUS QUERY c ON db", &[]);
    assert!(!get(&server, "", "SHOW CONTINUOUS QUERIES", &[]).text().contains("CREATE"));
    server.terminate();
}

#[test]
fn windows_that_rows_came_late_for_are_computed_again_also_after_a_restart() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let ask = |server: &Server, text: &str| {
        let reply = get(server, "", text, &[]).text();
        assert!(!reply.contains("error"), "{reply}");
        reply
    };
    ask(&server, "CREATE DATABASE db");
    let write = |server: &Server, seconds_ago: u64, field: &str| {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        // Whole minutes, so that no window ends between two rows of it.
        let line = format!("m,host=a {field} {}\n", (now_s - seconds_ago) / 60 * 60);
        let written = server.request("POST", "/write?db=db&precision=s", &[], line.as_bytes());
        assert_eq!(written.status(), 204, "{}", written.text());
    };
    write(&server, 3_600, "f=1");
    let resampled = "CREATE CONTINUOUS QUERY late ON db RESAMPLE EVERY 1s LATE 6h BEGIN SELECT sum(f) INTO n FROM m \
                     GROUP BY time(10s), * END";
    ask(&server, resampled);
    ask(&server, &resampled.replace("late ON", "plain ON").replace(" LATE 6h", "").replace("INTO n", "INTO o"));
    assert!(ask(&server, "SHOW CONTINUOUS QUERIES").contains("RESAMPLE EVERY 1s LATE 6h BEGIN"));
    let sums = |server: &Server, target: &str| ask(server, &format!("SELECT sum FROM {target} GROUP BY host"));
    // It runs, so that it watches: what was there before it is nothing that came late.
    write(&server, 0, "w=1");
    server.wait_until("a row of now is summed", |server| {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos();
        let line = format!("m,host=a f=100 {now_ns}\n");
        assert_eq!(server.request("POST", "/write?db=db", &[], line.as_bytes()).status(), 204);
        sums(server, "n").contains("00]") && sums(server, "o").contains("00]")
    });
    assert!(!sums(&server, "n").contains(",1]"), "what was there before the query");
    // Late for the second hour, and too late for the eighth.
    write(&server, 7_200, "f=2");
    write(&server, 28_800, "f=3");
    server.wait_until("the late row is summed", |server| sums(server, "n").contains(",2]"));
    // The same point again.
    write(&server, 7_200, "f=20");
    server.wait_until("the later row is summed", |server| sums(server, "n").contains(",20]"));
    assert!(!sums(&server, "n").contains(",3]") && !sums(&server, "n").contains(",1]"));
    assert!(!sums(&server, "o").contains(",20]"), "without LATE nothing is computed again");
    ask(&server, "DROP SERIES FROM n");
    server.terminate();

    // What came late before is not known after a start: all that LATE reaches is computed again.
    let server = Server::start_in(&folder, true, &[]);
    server.wait_until("all within reach is summed", |server| {
        sums(server, "n").contains(",1]") && sums(server, "n").contains(",20]")
    });
    assert!(!sums(&server, "n").contains(",3]"));
    write(&server, 10_800, "f=5");
    server.wait_until("the late row is summed", |server| sums(server, "n").contains(",5]"));
    server.terminate();
}
