//! InfluxDB's statements and endpoints about the server itself: shards, statistics, diagnostics, `/debug`; and a tag
//! and a field of one name, over both languages and a restart.

use serde_json::{Value, json};

use crate::common::{Server, fresh_folder};
use crate::deletes::{DONE, encoded, influx};

/// The series of the first result.
fn series(server: &Server, text: &str) -> Vec<Value> {
    let reply: Value = serde_json::from_str(&influx(server, "db", text)).expect("JSON");
    assert_eq!(reply["results"][0].get("error"), None, "{text}: {reply}");
    reply["results"][0]["series"].as_array().cloned().unwrap_or_default()
}

fn write(server: &Server, target: &str, lines: &str) {
    let response = server.request("POST", &format!("/write?{target}"), &[], lines.as_bytes());
    assert_eq!(response.status(), 204, "{}", response.text());
}

#[test]
fn shards_are_partitions_of_a_policy_and_can_be_dropped() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE db WITH SHARD DURATION 1d");
    influx(&server, "", "CREATE RETENTION POLICY week ON db DURATION 7d REPLICATION 1 SHARD DURATION 1d");
    let lines: String = (0..40).map(|host| format!("m,host=h{host} v=1 3600\nm,host=h{host} v=2 90000\n")).collect();
    write(&server, "db=db&precision=s", &(lines + "n v=1 3600\n"));
    let shards = |server: &Server| {
        let all = series(server, "SHOW SHARDS");
        let of_db = all.into_iter().find(|series| series["name"] == "db").expect("a series for each database");
        of_db["values"].as_array().cloned().unwrap_or_default()
    };
    let all = shards(&server);
    let row = |shard: &Value| {
        let texts: Vec<&str> = shard.as_array().expect("a row").iter().skip(1).filter_map(Value::as_str).collect();
        texts.join(" ")
    };
    let expected = [
        "db autogen 1970-01-01T00:00:00Z 1970-01-02T00:00:00Z 1970-01-02T00:00:00Z ",
        "db autogen 1970-01-02T00:00:00Z 1970-01-03T00:00:00Z 1970-01-03T00:00:00Z ",
    ];
    assert_eq!(all.iter().map(row).collect::<Vec<_>>(), expected);
    let groups = &series(&server, "SHOW SHARD GROUPS")[0];
    assert_eq!((&groups["name"], &groups["values"][0][0]), (&json!("shard groups"), &all[0][0]));
    assert_eq!(shards(&server), all, "numbers stay");

    assert_eq!(influx(&server, "", "DROP SHARD 12345"), DONE, "there need not be one");
    assert_eq!(influx(&server, "", &format!("DROP SHARD {}", all[0][0])), DONE);
    assert_eq!(shards(&server), all[1..]);
    let count = |text: &str| series(&server, text).first().map(|series| series["values"][0][1].clone());
    assert_eq!(count("SELECT count(v) FROM m"), Some(json!(40)));
    assert_eq!(count("SELECT count(v) FROM n"), None);
    assert_eq!(series(&server, "SHOW MEASUREMENTS")[0]["values"], json!([["m"]]), "n has no rows left");
    assert_eq!(influx(&server, "", "SHOW SUBSCRIPTIONS"), DONE);
    server.terminate();
}

#[test]
fn statistics_and_diagnostics_are_shown_by_module() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE db");
    write(&server, "db=db", "m,host=a v=1 1\nm,host=b v=1 1\nn v=1 1");
    let all = series(&server, "SHOW STATS");
    let names: Vec<&str> = all.iter().filter_map(|series| series["name"].as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let of = |name: &str, tag: Option<&str>| {
        let found =
            all.iter().find(|series| series["name"] == name && tag.is_none_or(|tag| series["tags"]["database"] == tag));
        let series = found.unwrap_or_else(|| panic!("{name} of {names:?}"));
        let columns = series["columns"].as_array().cloned().unwrap_or_default();
        let row = series["values"][0].as_array().cloned().unwrap_or_default();
        assert_eq!(columns.len(), row.len());
        columns.into_iter().map(|column| column.as_str().unwrap_or_default().to_owned()).zip(row).collect::<Vec<_>>()
    };
    let has = |name: &str, tag, column: &str, value: u64| {
        let found = of(name, tag).into_iter().find(|(known, _)| known == column).map(|(_, value)| value);
        assert_eq!(found, Some(json!(value)), "{name} {column}");
    };
    has("database", Some("db"), "numMeasurements", 2);
    has("database", Some("db"), "numSeries", 3);
    has("write", None, "pointReq", 3);
    has("httpd", None, "writeReq", 1);
    let one = series(&server, "SHOW STATS FOR 'write'");
    assert_eq!((one.len(), &one[0]["name"]), (1, &json!("write")));
    assert!(series(&server, "SHOW STATS FOR 'nothing'").is_empty());

    let diagnostics = series(&server, "SHOW DIAGNOSTICS");
    let names: Vec<&str> = diagnostics.iter().filter_map(|series| series["name"].as_str()).collect();
    assert_eq!(names, ["build", "network", "runtime", "system"]);
    let build = series(&server, "SHOW DIAGNOSTICS FOR 'build'");
    assert_eq!(build[0]["columns"], json!(["Branch", "Build Time", "Commit", "Version"]));
    let system = series(&server, "SHOW DIAGNOSTICS FOR 'system'");
    assert_eq!(system[0]["values"][0][0], json!(server.pid().as_raw_nonzero().get()));
    server.terminate();
}

#[test]
fn variables_are_what_telegraf_reads() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE db");
    write(&server, "db=db", "m,host=a v=1 1");
    let reply = server.request("GET", "/debug/vars", &[], b"");
    let status_line = "HTTP/1.1 200 OK";
    assert_eq!(
        (reply.status_line.as_str(), reply.header("content-type")),
        (status_line, Some("application/json; charset=utf-8"))
    );
    let text = reply.text();
    assert!(text.starts_with("{\n\"system\": {") && text.ends_with("}\n}\n"), "{text}");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert!(document["system"]["started"].as_str().is_some_and(|time| time.ends_with('Z')), "{text}");
    assert!(document["cmdline"].as_array().is_some_and(|parts| parts.len() > 1));
    assert!(document["memstats"]["Sys"].as_u64().is_some_and(|bytes| bytes > 0));
    let database = &document["database:db"];
    let expected = json!({
        "name": "database", "tags": { "database": "db" }, "values": { "numMeasurements": 1, "numSeries": 1 }
    });
    assert_eq!(*database, expected);
    // As its plugin does: every member with a name, tags and values is a point.
    for (key, member) in document.as_object().expect("an object") {
        if let Some(name) = member["name"].as_str() {
            assert!(key.starts_with(name) && member["tags"].is_object() && member["values"].is_object(), "{key}");
        }
    }
    server.terminate();
}

#[test]
fn requests_are_counted_by_client_while_one_waits() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE db");
    let counted = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.request("GET", "/debug/requests?seconds=2", &[], b""));
        // Until it is done: when it began nobody sees from here.
        while !waiting.is_finished() {
            write(&server, "db=db", "m v=1 1");
            influx(&server, "db", "SELECT v FROM m");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        waiting.join().expect("no panic")
    });
    assert_eq!(counted.status_line, "HTTP/1.1 200 OK");
    let text = counted.text();
    assert!(text.starts_with("{\n\"127.0.0.1\": {\"writes\":") && text.ends_with("}\n}\n"), "{text}");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let client = &document["127.0.0.1"];
    assert!(client["writes"].as_u64() > Some(0) && client["queries"].as_u64() > Some(0), "{text}");

    let none = server.request("GET", "/debug/requests?seconds=0", &[], b"");
    assert_eq!((none.status(), none.text().as_str()), (200, "{\n\n}\n"));
    for (seconds, reason) in [
        ("x", "strconv.ParseInt: parsing \\\"x\\\": invalid syntax"),
        ("100000", "exceeded maximum interval time: 100000s \\u003e 6h"),
    ] {
        let wrong = server.request("GET", &format!("/debug/requests?seconds={seconds}"), &[], b"");
        assert_eq!((wrong.status(), wrong.text()), (400, format!("{{\"error\":\"{reason}\"}}")));
    }
    server.terminate();
}

/// Series with their tags, columns and rows.
fn shown(all: &[Value]) -> String {
    let one = |series: &Value| {
        let tags = series.get("tags").map_or(String::new(), |tags| format!("{tags} "));
        format!("{tags}{} {}", series["columns"], series["values"])
    };
    all.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// What both languages say of a measurement with the tag `day` and the field `day`.
fn check_shared_name(server: &Server) {
    for (statement, expected) in [
        ("SELECT * FROM m", r#"["time","day","day_1","v"] [[1,3,"mon",1],[2,2,"tue",2],[3,null,"mon",3]]"#),
        ("SELECT day FROM m", r#"["time","day"] [[1,3],[2,2]]"#),
        ("SELECT day::field, day::tag FROM m", r#"["time","day","day_1"] [[1,3,"mon"],[2,2,"tue"]]"#),
        ("SELECT v FROM m WHERE day::tag = 'mon'", r#"["time","v"] [[1,1],[3,3]]"#),
        ("SELECT v FROM m WHERE day = 2", r#"["time","v"] [[2,2]]"#),
        ("SELECT v FROM m WHERE day::field > 2 AND day::tag = 'mon'", r#"["time","v"] [[1,1]]"#),
        (
            "SELECT sum(day) FROM m GROUP BY day",
            r#"{"day":"mon"} ["time","sum"] [[0,3]] | {"day":"tue"} ["time","sum"] [[0,2]]"#,
        ),
        (
            "SELECT * FROM m GROUP BY * LIMIT 1",
            concat!(
                r#"{"day":"mon"} ["time","day","v"] [[1,3,1]] | "#,
                r#"{"day":"tue"} ["time","day","v"] [[2,2,2]]"#
            ),
        ),
        ("SHOW TAG VALUES FROM m WITH KEY = day", r#"["key","value"] [["day","mon"],["day","tue"]]"#),
        ("SHOW FIELD KEYS FROM m", r#"["fieldKey","fieldType"] [["day","integer"],["v","float"]]"#),
        ("SHOW SERIES FROM m WHERE day = 'tue'", r#"["key"] [["m,day=tue"]]"#),
    ] {
        let text = format!("/query?db=db&epoch=ns&q={}", encoded(statement));
        let reply = server.request("GET", &text, &[], b"").text();
        let reply: Value = serde_json::from_str(&reply).expect("JSON");
        let shown = shown(reply["results"][0]["series"].as_array().map_or(&[], Vec::as_slice));
        assert_eq!(shown, expected, "{statement}: {reply}");
    }
    assert_eq!(shown(&series(server, "SHOW TAG KEYS FROM m")), r#"["tagKey"] [["day"]]"#);
    // SQL has the field under the name, and the tag under a longer one.
    let sql = |text: &str| {
        let json = [("Accept", "application/json")];
        let reply = server.request("POST", "/api/v1/sql?db=db", &json, text.as_bytes());
        assert_eq!(reply.status(), 200, "{text}: {}", reply.text());
        serde_json::from_slice::<Value>(&reply.body).expect("JSON")
    };
    assert_eq!(sql("SELECT sum(day) AS s FROM m"), json!([{ "s": 5 }]));
    assert_eq!(
        sql("SELECT \"day::tag\" AS t, count(*) AS n FROM m GROUP BY \"day::tag\" ORDER BY t"),
        json!([{ "t": "mon", "n": 2 }, { "t": "tue", "n": 1 }])
    );
    assert_eq!(sql("SELECT day, v FROM m WHERE \"day::tag\" = 'tue'"), json!([{ "day": 2, "v": 2.0 }]));
    let described = sql("DESCRIBE TABLE m");
    let columns: Vec<(&str, &str)> = described
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["column_name"].as_str().unwrap_or(""), row["column_type"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(columns[1..], [("day::tag", "TAG"), ("day", "FIELD"), ("v", "FIELD")]);
    let all = sql("SELECT * FROM m WHERE day = 3");
    assert_eq!((&all[0]["day"], &all[0]["day::tag"]), (&json!(3), &json!("mon")));
}

#[test]
fn a_tag_and_a_field_of_one_name_are_two_columns() {
    let folder = fresh_folder();
    let flush = [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")];
    let server = Server::start_in(&folder, false, &[("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "86400")]);
    influx(&server, "", "CREATE DATABASE db");
    // Both in the row that makes the table, and one after the other.
    write(&server, "db=db", "m,day=mon day=3i,v=1 1\nm,day=tue day=2i,v=2 2\nm,day=mon v=3 3");
    write(&server, "db=db", "later,day=mon v=1 1");
    write(&server, "db=db", "later day=1i 1");
    write(&server, "db=db", "later,day=mon day=2i 2");
    write(&server, "db=db", "other day=1i 1");
    write(&server, "db=db", "other,day=mon v=1 1");
    check_shared_name(&server);
    let refused = server.request("POST", "/write?db=db", &[], b"m,day=mon day=1.5 9");
    assert_eq!(refused.status(), 400, "a field has one type all the same");
    assert!(
        refused.text().contains("input field \\\"day\\\" on measurement \\\"m\\\" is type float"),
        "{}",
        refused.text()
    );
    // CnosDB has no such tables, but writes into one that is there.
    let refused = server.request("POST", "/api/v1/write?db=db", &[], b"cnos,x=1 x=1i 1");
    assert_eq!(refused.status(), 422, "{}", refused.text());
    let taken = server.request("POST", "/api/v1/write?db=db", &[], b"other,day=tue day=7i 5");
    assert_eq!(taken.status(), 200, "{}", taken.text());
    let inserted = server.sql("db", "INSERT INTO other (time, \"day::tag\", day) VALUES (6, 'wed', 8)");
    assert_eq!(inserted.status(), 200, "{}", inserted.text());
    let other = series(&server, "SELECT day, day::tag FROM other");
    let rows: Vec<String> =
        other[0]["values"].as_array().expect("rows").iter().map(|row| format!("{},{}", row[1], row[2])).collect();
    assert_eq!(rows, ["1,null", "7,\"tue\"", "8,\"wed\""]);
    server.kill();
    let server = Server::start_in(&folder, true, &flush);
    check_shared_name(&server);
    server.wait_until("all is flushed", |server| server.metric("tidewire_memtable_rows", "") == 0.0);
    check_shared_name(&server);
    assert_eq!(influx(&server, "db", "DELETE FROM m WHERE day = 'mon'"), DONE, "a condition of DELETE means the tag");
    assert_eq!(series(&server, "SELECT v FROM m")[0]["values"].as_array().map(Vec::len), Some(1));
    server.terminate();
}
