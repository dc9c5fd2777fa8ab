//! DELETE, drops, TTL and retention policies over both APIs, and what of them survives a crash.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{Response, Server, fresh_folder};

const MINUTE_NS: i64 = 60_000_000_000;
const HOUR_NS: i64 = 60 * MINUTE_NS;
const DAY_NS: i64 = 24 * HOUR_NS;

pub(crate) fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

fn write(server: &Server, database: &str, lines: &str) {
    let response = server.request("POST", &format!("/api/v1/write?db={database}"), &[], lines.as_bytes());
    assert_eq!(response.status(), 200, "{}", response.text());
}

/// Runs a statement that answers with nothing.
fn done(server: &Server, database: &str, text: &str) {
    let response = server.sql(database, text);
    assert_eq!((response.status(), response.text().as_str()), (200, ""), "{text}");
}

fn refused(server: &Server, database: &str, text: &str) -> String {
    let response = server.sql(database, text);
    assert_eq!(response.status(), 422, "{text}: {}", response.text());
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("an error is JSON");
    let text = |key: &str| body[key].as_str().expect("an error has code and message").to_owned();
    format!("{} {}", text("error_code"), text("error_message"))
}

/// Percent-encodes a parameter.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// An InfluxQL statement as a client posts it: the reply's body without its newline.
pub(crate) fn influx(server: &Server, database: &str, text: &str) -> String {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("q={}", encoded(text));
    let response = server.request("POST", &format!("/query?db={database}"), &form, body.as_bytes());
    response.text().trim_end().to_owned()
}

pub(crate) const DONE: &str = r#"{"results":[{"statement_id":0}]}"#;

fn influx_write(server: &Server, target: &str, lines: &str) -> Response {
    server.request("POST", &format!("/write?{target}"), &[], lines.as_bytes())
}

fn count(server: &Server, database: &str, table: &str) -> String {
    server
        .sql(database, &format!("SELECT count(*) AS n FROM {table}"))
        .text()
        .trim_start_matches("n\n")
        .trim()
        .to_owned()
}

#[test]
fn deletes_are_seen_at_once_and_survive_a_kill() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let lines: String = (0..700).map(|i| format!("m,host=h{},dc=d{} v={i}i {i}\n", i % 7, i % 2)).collect();
    write(&server, "public", &lines);
    done(&server, "public", "DELETE FROM m WHERE host = 'h3'");
    assert_eq!(count(&server, "public", "m"), "600");
    done(&server, "public", "delete from m where (time < 70 or time >= 630) and dc = 'd1'");
    // Of 140 rows at those times 70 are of d1, and 10 of these are of h3.
    assert_eq!(count(&server, "public", "m"), "540");
    done(&server, "public", "delete from m where time = 71");
    done(&server, "public", "delete from m where host in ('nobody') and time > 0");
    // What is written after a delete lives, at the same place too.
    write(&server, "public", "m,host=h3,dc=d1 v=1i 3\nm,host=h0,dc=d0 v=5i 0");
    let expected = "n,s\n540,";
    let before = server.sql("public", "SELECT count(v) AS n, sum(v) AS s FROM m").text();
    assert!(before.starts_with(expected), "{before}");
    server.kill();

    let server = Server::start_in(&folder, false, &[]);
    assert_eq!(server.sql("public", "SELECT count(v) AS n, sum(v) AS s FROM m").text(), before, "after a kill");
    done(&server, "public", "delete from m");
    assert_eq!(count(&server, "public", "m"), "0");
    server.kill();
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(count(&server, "public", "m"), "0");
    assert!(server.sql("public", "DESCRIBE TABLE m").text().contains("host,STRING,TAG"), "the table stays");
    for (text, expected) in [
        (
            "delete from m where v = 1",
            "010005 This feature is not implemented: Filtering on the field column on the tskv table in delete statement",
        ),
        ("delete from nosuch", "030019 Table not found: \"cnosdb.public.nosuch\""),
        (
            "delete from m where host = 'a' or time > 5",
            "010001 Datafusion: This feature is not implemented: operator OR in delete statement",
        ),
    ] {
        assert_eq!(refused(&server, "public", text), expected);
    }
}

#[test]
fn influxql_deletes_and_drops() {
    let server = Server::start();
    assert_eq!(influx(&server, "", "CREATE DATABASE d"), DONE);
    let fill = |server: &Server| {
        let lines: String = (0..60)
            .map(|i| format!("cpu,host=h{} v={i}i {i}000000000\nmem{},host=h{} v=1 {i}\n", i % 3, i % 2, i % 3))
            .chain(["cpu v=1i 7".to_owned()])
            .collect();
        assert_eq!(influx_write(server, "db=d", &lines).status(), 204);
    };
    fill(&server);
    assert_eq!(count(&server, "d", "cpu"), "61");
    assert_eq!(influx(&server, "d", "DELETE FROM cpu WHERE time < 10s AND time > 0"), DONE);
    assert_eq!(count(&server, "d", "cpu"), "51");
    assert_eq!(
        influx(&server, "d", "delete from cpu where host =~ /^h[12]$/ and time >= '1970-01-01T00:00:50Z'"),
        DONE
    );
    assert_eq!(count(&server, "d", "cpu"), "44");
    // A tag that a series lacks is the empty text.
    write(&server, "d", "cpu v=1i 8");
    assert_eq!(influx(&server, "d", "DELETE FROM cpu WHERE host = ''"), DONE);
    assert_eq!(count(&server, "d", "cpu"), "44");
    assert_eq!(influx(&server, "d", "DELETE FROM /^mem/ WHERE host != 'h0'"), DONE);
    assert_eq!((count(&server, "d", "mem0"), count(&server, "d", "mem1")), ("10".to_owned(), "10".to_owned()));
    assert_eq!(influx(&server, "d", "DROP SERIES FROM cpu WHERE host = 'h0'"), DONE);
    assert_eq!(server.sql("d", "SELECT DISTINCT host FROM cpu ORDER BY host").text(), "host\nh1\nh2\n");
    assert_eq!(influx(&server, "d", "DELETE WHERE time <= now()"), DONE);
    assert_eq!((count(&server, "d", "cpu"), count(&server, "d", "mem1")), ("0".to_owned(), "0".to_owned()));

    fill(&server);
    assert_eq!(influx(&server, "d", "DROP MEASUREMENT mem0"), DONE);
    assert_eq!(server.sql("d", "SHOW TABLES").text(), "table_name\ncpu\nmem1\n");
    assert_eq!(influx(&server, "d", "DROP MEASUREMENT mem0"), DONE, "a missing one is no error");
    // The id and the columns are new.
    assert_eq!(influx_write(&server, "db=d", "mem0 v=\"text\" 1").status(), 204);
    assert_eq!(server.sql("d", "SELECT * FROM mem0").text(), "time,v\n1970-01-01T00:00:00.000000001,text\n");
    assert_eq!(influx(&server, "d", "DROP DATABASE d"), DONE);
    for (text, error) in [
        ("DELETE FROM cpu", r#"{"results":[{"statement_id":0,"error":"database not found: d"}]}"#),
        ("DROP MEASUREMENT cpu", r#"{"results":[{"statement_id":0,"error":"database not found: d"}]}"#),
    ] {
        assert_eq!(influx(&server, "d", text), error);
    }
}

#[test]
fn influxql_refuses_what_it_cannot_delete_exactly() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE d");
    assert_eq!(influx_write(&server, "db=d", "cpu,host=a v=1 1\nmem,host=a w=1 1").status(), 204);
    let failed = |error: &str| format!(r#"{{"results":[{{"statement_id":0,"error":"{error}"}}]}}"#);
    let unparsed = |error: &str| format!(r#"{{"error":"error parsing query: {error}"}}"#);
    let no_field = failed("shard 1: fields not supported in WHERE clause during deletion");
    for (text, expected) in [
        ("delete from cpu where v > 3", no_field.clone()),
        ("delete from cpu where nope = 1", no_field.clone()),
        // One measurement refuses: none loses a row.
        ("delete from cpu, mem where w = 'x' or host = 'a'", no_field.clone()),
        ("drop series from cpu where v = 1", no_field),
        ("drop series from cpu where time > 1s", failed("DROP SERIES doesn't support time in WHERE clause")),
        ("delete from cpu where time != 1", failed("invalid time comparison operator: !=")),
        ("delete from cpu where time > '2000-13-01'", failed("invalid timestamp string")),
        ("delete", unparsed("found EOF, expected FROM, WHERE at line 1, char 8")),
        ("delete from", unparsed("found EOF, expected identifier at line 1, char 13")),
        ("drop series", unparsed("found EOF, expected FROM, WHERE at line 1, char 13")),
        ("delete from d..cpu", unparsed("database not supported at line 1, char 1")),
        ("delete from autogen.cpu", unparsed("retention policy not supported at line 1, char 1")),
        ("delete from \\\"cpu\\\" limit 1", unparsed("found LIMIT, expected ; at line 1, char 19")),
        ("drop measurement /m/", unparsed("found /, expected identifier at line 1, char 18")),
        ("drop measurement d..m", unparsed("found ., expected ; at line 1, char 19")),
    ] {
        assert_eq!(influx(&server, "d", &text.replace("\\\"", "\"")), expected, "{text}");
    }
    for text in [
        "delete from nope",
        "delete from cpu where nope = '1'",
        "drop series from /x/",
        "delete from cpu where time = 20s or host='b'",
    ] {
        assert_eq!(influx(&server, "d", text), DONE, "{text}");
    }
    assert_eq!((count(&server, "d", "cpu"), count(&server, "d", "mem")), ("1".to_owned(), "1".to_owned()));
}

#[test]
fn retention_policies_have_tables_and_terms_of_their_own() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    influx(&server, "", "CREATE DATABASE d WITH DURATION 48h REPLICATION 1 SHARD DURATION 1h NAME two_days");
    let create = "CREATE RETENTION POLICY long ON d DURATION INF REPLICATION 1";
    assert_eq!(influx(&server, "", create), DONE);
    assert_eq!(influx(&server, "", create), DONE, "the same again");
    let policies = |server: &Server| influx(server, "d", "SHOW RETENTION POLICIES");
    let shown = concat!(
        r#"{"results":[{"statement_id":0,"series":[{"columns":["name","duration","shardGroupDuration","replicaN","#,
        r#""default"],"values":[["two_days","48h0m0s","1h0m0s",1,true],["long","0s","168h0m0s",1,false]]}]}]}"#
    );
    assert_eq!(policies(&server), shown);
    let old = now_ns() - 3 * DAY_NS;
    // The same series and time under both policies, with fields of different types.
    let refusal =
        influx_write(&server, "db=d", &format!("m,host=a v=1i {}\nm,host=a v=2i {old}\nm,host=b v=3i 5", now_ns()));
    assert_eq!(refusal.status(), 400);
    assert_eq!(refusal.text(), "{\"error\":\"partial write: points beyond retention policy dropped=2\"}\n");
    assert_eq!(influx_write(&server, "db=d&rp=long", &format!("m,host=a v=\"x\" {old}")).status(), 204);
    let unknown = influx_write(&server, "db=d&rp=nope", "m v=1");
    assert_eq!(
        (unknown.status(), unknown.text().as_str()),
        (500, "{\"error\":\"retention policy not found: nope\"}\n")
    );
    assert_eq!(server.sql("d", "SELECT v FROM m").text(), "v\n1\n");
    assert!(server.sql("d", "DESCRIBE DATABASE d").text().contains("2days,1,1h,1,NS"), "one truth for both APIs");

    let alter = |text: &str| influx(&server, "d", &format!("ALTER RETENTION POLICY {text}"));
    assert_eq!(alter("long ON d DEFAULT"), DONE);
    assert_eq!(server.sql("d", "SELECT v FROM m").text(), "v\nx\n", "plain names mean the default policy");
    let failed = |error: &str| format!(r#"{{"results":[{{"statement_id":0,"error":"{error}"}}]}}"#);
    assert_eq!(alter("nope ON d DURATION 2h"), failed("retention policy not found: nope"));
    assert_eq!(alter("two_days ON d DURATION 1m"), failed("retention policy duration must be at least 1h0m0s"));
    assert_eq!(alter("two_days ON nope DEFAULT"), failed("database not found: nope"));
    // DELETE reaches all policies.
    assert_eq!(influx(&server, "d", "DELETE FROM m WHERE host = 'a'"), DONE);
    assert_eq!(count(&server, "d", "m"), "0");
    assert_eq!(alter("two_days ON d DEFAULT"), DONE);
    assert_eq!(count(&server, "d", "m"), "0");
    assert_eq!(influx_write(&server, "db=d", "m,host=a v=7i").status(), 204);
    server.kill();

    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(policies(&server), shown);
    assert_eq!(count(&server, "d", "m"), "1");
    assert_eq!(influx(&server, "d", "DROP RETENTION POLICY two_days ON d"), DONE);
    let gone = influx_write(&server, "db=d", "m v=1i");
    assert_eq!((gone.status(), gone.text().as_str()), (500, "{\"error\":\"retention policy not found: two_days\"}\n"));
    assert_eq!(server.sql("d", "SHOW TABLES").text(), "table_name\n");
    assert_eq!(influx_write(&server, "db=d&rp=long", "m v=\"y\"").status(), 204);
}

#[test]
fn what_is_older_than_the_ttl_is_neither_seen_nor_taken() {
    let server = Server::start();
    for (unit, precision) in [(1, "ns"), (1_000, "us"), (1_000_000, "ms")] {
        let database = format!("ttl_{precision}");
        done(&server, "public", &format!("CREATE DATABASE {database} WITH PRECISION '{precision}'"));
        let at = |age_ns: i64| (now_ns() - age_ns) / unit;
        let lines = format!("m,h=a v=1 {}\nm,h=a v=2 {}\nm,h=b v=4 {}", at(2 * HOUR_NS), at(30 * MINUTE_NS), at(0));
        let target = format!("/api/v1/write?db={database}&precision={precision}");
        assert_eq!(server.request("POST", &target, &[], lines.as_bytes()).status(), 200);
        assert_eq!(count(&server, &database, "m"), "3", "{precision}");
        // All in one partition: no file goes, the rows do.
        done(&server, "public", &format!("ALTER DATABASE {database} SET TTL '1h'"));
        assert_eq!(count(&server, &database, "m"), "2", "{precision}");
        let sums = server.sql(&database, "SELECT sum(v) AS s, count(v) AS n, min(v) AS m FROM m").text();
        assert_eq!(sums, "s,n,m\n6.0,2,2.0\n", "{precision}");
        assert_eq!(
            server.sql(&database, "SELECT h, last(time, v) AS v FROM m GROUP BY h ORDER BY h").text(),
            "h,v\na,2.0\nb,4.0\n"
        );
        let late = server.request("POST", &target, &[], format!("m,h=a v=9 {}", at(2 * HOUR_NS)).as_bytes());
        assert_eq!(late.status(), 422);
        let words = r#"{"error_code":"030034","error_message":"Operation not support: create expired bucket"}"#;
        assert_eq!(late.text(), words);
        let insert = format!("INSERT m(time, h, v) VALUES ({}, 'a', 1)", at(2 * HOUR_NS));
        assert_eq!(server.sql(&database, &insert).text(), words);
        let insert = format!("INSERT m(time, h, v) VALUES ({}, 'c', 8)", at(10 * MINUTE_NS));
        assert_eq!(server.sql(&database, &insert).text(), "rows\n1\n");
        assert!(server.sql(&database, &format!("DESCRIBE DATABASE {database}")).text().contains("\n1h,"));
        // A literal of time is in the database's unit, text is UTC.
        done(&server, &database, &format!("DELETE FROM m WHERE time > {}", at(20 * MINUTE_NS)));
        assert_eq!(server.sql(&database, "SELECT v FROM m").text(), "v\n2.0\n", "{precision}");
        // With a longer TTL what was only hidden is seen again.
        done(&server, "public", &format!("ALTER DATABASE {database} SET TTL 'INF'"));
        assert_eq!(count(&server, &database, "m"), "2", "{precision}");
        done(&server, &database, "DELETE FROM m WHERE time < now() - INTERVAL '1 hour'");
        assert_eq!(server.sql(&database, "SELECT v FROM m").text(), "v\n2.0\n", "{precision}");
        assert_eq!(influx(&server, &database, "DELETE FROM m WHERE time >= now() - 1h"), DONE);
        assert_eq!(count(&server, &database, "m"), "0", "{precision}");
    }
}

#[test]
fn columns_come_and_go() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    done(&server, "public", "CREATE TABLE t (f0 BIGINT, TAGS(t0))");
    write(&server, "public", "t,t0=a f0=1i 1");
    done(&server, "public", "ALTER TABLE t ADD TAG t1");
    done(&server, "public", "ALTER TABLE t ADD FIELD f1 BIGINT UNSIGNED CODEC(DELTA)");
    write(&server, "public", "t,t0=a,t1=b f0=2i,f1=3u 2");
    done(&server, "public", "ALTER TABLE t DROP f0");
    assert_eq!(
        server.sql("public", "SELECT * FROM t ORDER BY time").text(),
        "time,t0,t1,f1\n1970-01-01T00:00:00.000000001,a,,\n1970-01-01T00:00:00.000000002,a,b,3\n"
    );
    let missing = refused(&server, "public", "SELECT f0 FROM t");
    assert!(missing.contains("No field named f0"), "{missing}");
    // The same line again makes the column anew, as another one.
    write(&server, "public", "t,t0=a f0=\"text\" 3");
    let again = server.sql("public", "SELECT time, f0 FROM t WHERE f0 IS NOT NULL").text();
    assert_eq!(again, "time,f0\n1970-01-01T00:00:00.000000003,text\n");
    server.kill();
    let server = Server::start_in(&folder, false, &[]);
    assert_eq!(server.sql("public", "SELECT count(f0) AS n, count(f1) AS m FROM t").text(), "n,m\n1,1\n");
    let described = server.sql("public", "DESCRIBE TABLE t").text();
    assert!(
        described.ends_with(
            "t0,STRING,TAG,DEFAULT\nt1,STRING,TAG,DEFAULT\nf1,BIGINT UNSIGNED,FIELD,DELTA\nf0,STRING,FIELD,DEFAULT\n"
        ),
        "{described}"
    );
    for (text, expected) in [
        ("ALTER TABLE t DROP t0", "010030 Semantic error: Can't drop tag column t0."),
        ("ALTER TABLE t DROP time", "010033 Semantic error: There must be at least one tag column. "),
        ("ALTER TABLE t ADD TAG f1", "010028 Semantic error:  column f1 already exists in table t"),
        ("ALTER TABLE nosuch ADD TAG x", "030019 Table not found: \"cnosdb.public.nosuch\""),
        ("ALTER DATABASE nosuch SET TTL '1d'", "030017 Database not found: \"nosuch\""),
        ("DROP TABLE nosuch", "030019 Table not found: \"nosuch\""),
        (
            "ALTER DATABASE public SET TTL '0'",
            "010009 sql parser error: ttl 0 is less than a minute (INF keeps all rows)",
        ),
        (
            "CREATE DATABASE short WITH TTL '59s'",
            "010009 sql parser error: ttl 59s is less than a minute (INF keeps all rows)",
        ),
        (
            "ALTER DATABASE public SET PRECISION 'ms'",
            "010009 sql parser error: database config is unmodifiable, only can modify database option: TTL, SHARD, VNODE_DURATION, REPLICA",
        ),
    ] {
        assert_eq!(refused(&server, "public", text), expected);
    }
    let named = "ALTER TABLE t RENAME COLUMN";
    for (text, expected) in [
        (format!("{named} time TO x"), "010033 Semantic error: The column time cannot be renamed."),
        (format!("{named} x TO y"), "010029 Semantic error:  column x not exists in table t"),
        (format!("{named} f0 TO t0"), "010028 Semantic error:  column t0 already exists in table t"),
        (format!("{named} f0 TO time"), "010028 Semantic error:  column time already exists in table t"),
    ] {
        assert_eq!(refused(&server, "public", &text), expected);
    }
    // Rows stay, in memory and in segments; a line that is known by its old names makes columns of these.
    done(&server, "public", &format!("{named} t0 TO place"));
    done(&server, "public", &format!("{named} f1 TO level"));
    let rows = "SELECT time, place, level, t1 FROM t WHERE place = 'a' AND level IS NOT NULL";
    let expected = "time,place,level,t1\n1970-01-01T00:00:00.000000002,a,3,b\n";
    assert_eq!(server.sql("public", rows).text(), expected);
    write(&server, "public", "t,t0=a,t1=b f0=\"x\",f1=3u 4");
    let old = server.sql("public", "SELECT time, t0, f1, place, level FROM t WHERE f1 IS NOT NULL").text();
    assert_eq!(old, "time,t0,f1,place,level\n1970-01-01T00:00:00.000000004,a,3,,\n");
    server.kill();
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(server.sql("public", rows).text(), expected);
    done(&server, "public", "ALTER TABLE t DROP level");
    done(&server, "public", "ALTER TABLE t DROP f1");
    let last = refused(&server, "public", "ALTER TABLE t DROP f0");
    assert_eq!(last, "010032 Semantic error: There must be at least one field column.");
}

/// The value of a metric of all shards together.
fn metric(server: &Server, name: &str) -> f64 {
    let text = server.request("GET", "/metrics", &[], b"").text();
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until a metric is as wanted.
fn until(server: &Server, name: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let started = Instant::now();
    loop {
        let value = metric(server, name);
        if wanted(value) {
            return value;
        }
        assert!(started.elapsed() < Duration::from_secs(50), "{name} stays at {value}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn space_of_what_is_deleted_and_dropped_comes_back() {
    let server = Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")]);
    let lines = |table: &str| -> String {
        (0..20_000_u64)
            .map(|i| format!("{table},host=h{} v={}i {i}\n", i % 20, i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40))
            .collect()
    };
    write(&server, "public", &lines("deleted"));
    write(&server, "public", &lines("dropped"));
    let full = until(&server, "tidewire_segment_rows", |rows| rows == 40_000.0);
    assert_eq!(full, 40_000.0);
    let bytes = metric(&server, "tidewire_segment_bytes");
    done(&server, "public", "DROP TABLE dropped");
    let half = metric(&server, "tidewire_segment_bytes");
    assert!(half < bytes * 0.6, "{half} of {bytes}");
    done(&server, "public", "DELETE FROM deleted WHERE host <> 'h0'");
    until(&server, "tidewire_segment_rows", |rows| rows == 1_000.0);
    let left = metric(&server, "tidewire_segment_bytes");
    assert!(left < half * 0.5, "{left} of {half}");
    assert_eq!(count(&server, "public", "deleted"), "1000");
}
