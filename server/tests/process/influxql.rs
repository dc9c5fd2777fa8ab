//! SELECT and SHOW of InfluxQL over HTTP: one corpus of statements, whose answers are the same from memory, from
//! segments, from segments that have rows in common, and from what these were merged to, on one shard and on several.

use crate::common::{Server, fresh_folder};

/// Two hosts of which one lacks a tag, values of all types, and gaps.
const LINES: &str = "\
cpu,host=a,dc=x load=1,n=10i,up=true,note=\"one\" 0
cpu,host=a,dc=x load=3,n=30i,up=false 10000000000
cpu,host=a,dc=x load=2,n=20i 40000000000
cpu,host=b load=7,n=70i,note=\"two\" 10000000000
cpu,host=b load=5 25000000000
disk,host=a used=4i 5000000000
";

/// Statements with what they answer: the rows of each series behind its name and tags.
const CORPUS: &[(&str, &str)] = &[
    // Rows as they are.
    ("SELECT load, host FROM cpu", "cpu{} time,load,host: 0,1,\"a\"; 10,3,\"a\"; 10,7,\"b\"; 25,5,\"b\"; 40,2,\"a\""),
    (
        "SELECT load FROM cpu GROUP BY host",
        "cpu{host=a} time,load: 0,1; 10,3; 40,2 | cpu{host=b} time,load: 10,7; 25,5",
    ),
    ("SELECT load FROM cpu GROUP BY dc", "cpu{dc=} time,load: 10,7; 25,5 | cpu{dc=x} time,load: 0,1; 10,3; 40,2"),
    ("SELECT load FROM cpu ORDER BY time DESC LIMIT 2 OFFSET 1", "cpu{} time,load: 25,5; 10,7"),
    ("SELECT load FROM cpu OFFSET 3", "cpu{} time,load: 25,5"),
    ("SELECT load FROM cpu GROUP BY host OFFSET 1", "cpu{host=a} time,load: 10,3 | cpu{host=b} time,load: 25,5"),
    ("SELECT load FROM cpu GROUP BY host LIMIT 1", "cpu{host=a} time,load: 0,1 | cpu{host=b} time,load: 10,7"),
    ("SELECT load FROM cpu GROUP BY host SLIMIT 1 SOFFSET 1", "cpu{host=b} time,load: 10,7; 25,5"),
    ("SELECT *::field FROM cpu WHERE up = false", "cpu{} time,load,n,note,up: 10,3,30,null,false"),
    ("SELECT /^n/ FROM cpu LIMIT 1", "cpu{} time,n,note: 0,10,\"one\""),
    ("SELECT load + n, n / 4, n % 7, -load AS m FROM cpu LIMIT 1", "cpu{} time,load_n,n,n_1,m: 0,11,2.5,3,-1"),
    ("SELECT load::integer, n::float, note::integer FROM cpu LIMIT 1", "cpu{} time,load,n,note: 0,1,10,null"),
    ("SELECT used, load FROM disk, cpu LIMIT 1", "cpu{} time,used,load: 0,null,1 | disk{} time,used,load: 5,4,null"),
    ("SELECT used FROM /d.*/", "disk{} time,used: 5,4"),
    (
        "SELECT pow(load, 2), sqrt(n), abs(-n) FROM cpu WHERE time = 40s",
        "cpu{} time,pow,sqrt,abs: 40,4,4.47213595499958,20",
    ),
    // Conditions.
    ("SELECT load FROM cpu WHERE dc = ''", "cpu{} time,load: 10,7; 25,5"),
    ("SELECT load FROM cpu WHERE dc != 'y' AND load > 1 AND time < 30s", "cpu{} time,load: 10,3; 10,7; 25,5"),
    ("SELECT load FROM cpu WHERE host =~ /^b$/ OR n = 10", "cpu{} time,load: 0,1; 10,7; 25,5"),
    ("SELECT load FROM cpu WHERE n > load * 9", "cpu{} time,load: 0,1; 10,3; 10,7; 40,2"),
    ("SELECT load FROM cpu WHERE note !~ /w/", "cpu{} time,load: 0,1"),
    ("SELECT load FROM cpu WHERE time > 10s OR time < 5s", ""),
    // Aggregates and selectors.
    ("SELECT count(load), sum(n), mean(load), spread(n) FROM cpu", "cpu{} time,count,sum,mean,spread: 0,5,130,3.6,60"),
    ("SELECT median(load), mode(up), stddev(n) FROM cpu", "cpu{} time,median,mode,stddev: 0,3,true,26.299556396765833"),
    (
        "SELECT mean(load) FROM cpu WHERE time >= 5s GROUP BY host",
        "cpu{host=a} time,mean: 5,2.5 | cpu{host=b} time,mean: 5,6",
    ),
    ("SELECT max(load) FROM cpu", "cpu{} time,max: 10,7"),
    ("SELECT max(load), host, n FROM cpu", "cpu{} time,max,host,n: 10,7,\"b\",70"),
    ("SELECT last(load) FROM cpu GROUP BY *", "cpu{dc=,host=b} time,last: 25,5 | cpu{dc=x,host=a} time,last: 40,2"),
    ("SELECT first(note) FROM cpu WHERE host = 'b'", "cpu{} time,first: 10,\"two\""),
    ("SELECT percentile(load, 50) FROM cpu", "cpu{} time,percentile: 10,3"),
    ("SELECT count(distinct(up)), count(nope) FROM cpu", "cpu{} time,count,count_1: 0,2,null"),
    ("SELECT distinct(up) FROM cpu", "cpu{} time,distinct: 0,true; 0,false"),
    ("SELECT top(load, 2), host FROM cpu", "cpu{} time,top,host: 10,7,\"b\"; 25,5,\"b\""),
    ("SELECT bottom(load, host, 2) FROM cpu", "cpu{} time,bottom,host: 0,1,\"a\"; 25,5,\"b\""),
    ("SELECT mean(*) FROM cpu", "cpu{} time,mean_load,mean_n: 0,3.6,32.5"),
    ("SELECT mean(load) FROM cpu WHERE load > 100", ""),
    ("SELECT integral(*) FROM cpu WHERE host = 'a'", "cpu{} time,integral_load,integral_n: 0,95,950"),
    ("SELECT integral(load) / mean(n) FROM cpu WHERE host = 'a'", "cpu{} time,integral_mean: 0,4.75"),
    (
        "SELECT sample(*, 9) FROM cpu GROUP BY host",
        "cpu{host=a} time,sample_load,sample_n,sample_note,sample_up: 0,1,10,\"one\",true; 10,3,30,null,false; \
         40,2,20,null,null | cpu{host=b} time,sample_load,sample_n,sample_note,sample_up: 10,7,70,\"two\",null; \
         25,5,null,null,null",
    ),
    (
        "SELECT log10(load), pow(load, 3) FROM cpu LIMIT 2 OFFSET 3",
        "cpu{} time,log10,pow: \
      25,0.6989700043360187,125; 40,0.3010299956639812,8",
    ),
    // How many.
    (
        "SHOW SERIES EXACT CARDINALITY GROUP BY host",
        "cpu{host=a} count: 1 | cpu{host=b} count: 1 | disk{host=a} count: 1",
    ),
    ("SHOW TAG KEY CARDINALITY GROUP BY host", "cpu{host=a} count: 2 | cpu{host=b} count: 1 | disk{host=a} count: 1"),
    ("SHOW MEASUREMENT EXACT CARDINALITY GROUP BY host", "{host=a} count: 2 | {host=b} count: 1"),
    ("SHOW SERIES CARDINALITY FROM cpu GROUP BY nope", "cpu{nope=} count: 2"),
    // Windows.
    (
        "SELECT integral(load), count(n) FROM cpu WHERE host = 'a' AND time >= 0 AND time < 50s GROUP BY time(10s)",
        "cpu{} time,integral,count: 0,20,1; 10,28.33333333333333,1; 20,null,0; 30,null,0; 40,null,1",
    ),
    (
        "SELECT holt_winters(mean(load), 2, 0) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s)",
        "cpu{} time,holt_winters: 50,4.001130081335986; 60,4.001130081043229",
    ),
    (
        "SELECT holt_winters_with_fit(sum(*), 1, 0) FROM cpu WHERE time >= 0 AND time < 30s GROUP BY time(10s), host",
        "cpu{host=a} time,holt_winters_with_fit_load,holt_winters_with_fit_n: 0,1,10; \
         10,3.001166904225421,30.00289685405426; 20,6.320314425064524,63.86250320870639 | cpu{host=b} \
         time,holt_winters_with_fit_load,holt_winters_with_fit_n: 10,7,null; 20,4.998042856712902,null; \
         30,5.018647769172049,null",
    ),
    (
        "SELECT holt_winters(max(load), 1, 2) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s), host",
        "cpu{host=a} time,holt_winters: 50,3.149923826074992 | cpu{host=b} time,holt_winters: 30,5.348",
    ),
    (
        "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s)",
        "cpu{} time,mean: 0,1; 10,5; 20,5; 30,null; 40,2",
    ),
    (
        "SELECT count(load) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(20s, 5s), host",
        "cpu{host=a} time,count: -15,1; 5,1; 25,1; 45,0 | cpu{host=b} time,count: -15,0; 5,1; 25,1; 45,0",
    ),
    (
        "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s) OFFSET 2",
        "cpu{} time,mean: 20,5; 30,null; 40,2",
    ),
    (
        "SELECT sum(n) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s) fill(none)",
        "cpu{} time,sum: 0,10; 10,100; 40,20",
    ),
    (
        "SELECT sum(n) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s) fill(previous)",
        "cpu{} time,sum: 0,10; 10,100; 20,100; 30,100; 40,20",
    ),
    (
        "SELECT sum(n) FROM cpu WHERE time >= 0 AND time < 50s GROUP BY time(10s) fill(linear)",
        "cpu{} time,sum: 0,10; 10,100; 20,73; 30,46; 40,20",
    ),
    (
        "SELECT sum(n) FROM cpu WHERE time >= 0 AND time < 30s GROUP BY time(10s) fill(9) ORDER BY time DESC",
        "cpu{} time,sum: 20,9; 10,100; 0,10",
    ),
    (
        "SELECT max(load) FROM cpu WHERE time >= 0 AND time < 20s GROUP BY time(10s) LIMIT 1 OFFSET 1",
        "cpu{} time,max: 10,7",
    ),
    // Transformations.
    ("SELECT difference(load) FROM cpu WHERE host = 'a'", "cpu{} time,difference: 10,2; 40,-1"),
    ("SELECT derivative(n, 10s) FROM cpu WHERE host = 'a'", "cpu{} time,derivative: 10,20; 40,-3.3333333333333335"),
    (
        "SELECT cumulative_sum(n), elapsed(n, 1s) FROM cpu WHERE host = 'a'",
        "cpu{} time,cumulative_sum,elapsed: 0,10,null; 10,40,10; 40,60,30",
    ),
    (
        "SELECT moving_average(load, 2) FROM cpu GROUP BY host",
        "cpu{host=a} time,moving_average: 10,2; 40,2.5 | cpu{host=b} time,moving_average: 25,6",
    ),
    (
        "SELECT difference(mean(load)) FROM cpu WHERE time >= 10s AND time < 50s GROUP BY time(10s)",
        "cpu{} time,difference: 10,4; 20,0; 40,-3",
    ),
    (
        "SELECT integral(load) FROM cpu GROUP BY host",
        "cpu{host=a} time,integral: 0,95 | cpu{host=b} time,integral: 0,90",
    ),
    (
        "SELECT integral(load, 10s) FROM cpu WHERE host = 'a' AND time >= 0 AND time < 60s GROUP BY time(20s)",
        "cpu{} time,integral: 0,4.833333333333333",
    ),
    (
        "SELECT exponential_moving_average(load, 2) FROM cpu WHERE host = 'a'",
        "cpu{} time,exponential_moving_average: 10,2.333333333333333; 40,2.111111111111111",
    ),
    // Subqueries.
    ("SELECT mean(max) FROM (SELECT max(load) FROM cpu GROUP BY host)", "cpu{} time,mean: 0,5"),
    ("SELECT sum(x) FROM (SELECT load * 2 AS x, host FROM cpu) WHERE host = 'b'", "cpu{} time,sum: 0,24"),
    (
        "SELECT max FROM (SELECT max(load) FROM cpu GROUP BY host) GROUP BY host",
        "cpu{host=a} time,max: 10,3 | cpu{host=b} time,max: 10,7",
    ),
    (
        "SELECT count(m) FROM (SELECT mean(load) AS m FROM cpu GROUP BY time(10s)) WHERE time >= 0 AND time < 50s",
        "cpu{} time,count: 0,4",
    ),
    // What there is.
    ("SHOW MEASUREMENTS", "measurements{} name: \"cpu\"; \"disk\""),
    ("SHOW MEASUREMENTS WHERE dc = 'x'", "measurements{} name: \"cpu\""),
    ("SHOW SERIES FROM cpu", "{} key: \"cpu,dc=x,host=a\"; \"cpu,host=b\""),
    ("SHOW TAG KEYS", "cpu{} tagKey: \"dc\"; \"host\" | disk{} tagKey: \"host\""),
    ("SHOW TAG VALUES FROM cpu WITH KEY = host WHERE dc = ''", "cpu{} key,value: \"host\",\"b\""),
    (
        "SHOW TAG VALUES WITH KEY IN (host, dc) LIMIT 2",
        "cpu{} key,value: \"dc\",\"x\"; \"host\",\"a\" | disk{} key,value: \"host\",\"a\"",
    ),
    ("SHOW FIELD KEYS FROM disk", "disk{} fieldKey,fieldType: \"used\",\"integer\""),
    ("SHOW TAG VALUES CARDINALITY WITH KEY = host", "cpu{} count: 2 | disk{} count: 1"),
];

/// The series of the one result of a reply, as the corpus writes them.
fn shown(reply: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let none = Vec::new();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let series = reply["results"][0]["series"].as_array().unwrap_or(&none).iter().map(|series| {
        let tags = series["tags"].as_object().into_iter().flatten();
        let tags: Vec<_> = tags.map(|(tag, value)| format!("{tag}={}", text(value))).collect();
        let columns: Vec<_> = list(&series["columns"]).iter().map(text).collect();
        let rows = list(&series["values"]);
        let rows: Vec<_> =
            rows.iter().map(|row| list(row).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")).collect();
        format!("{}{{{}}} {}: {}", text(&series["name"]), tags.join(","), columns.join(","), rows.join("; "))
    });
    series.collect::<Vec<_>>().join(" | ")
}

fn query(server: &Server, text: &str) -> serde_json::Value {
    let form: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let response = server.request("POST", "/query?db=db&epoch=s", &headers, format!("q={form}").as_bytes());
    assert_eq!(response.status(), 200, "{text}: {}", response.text());
    serde_json::from_slice(&response.body).expect("JSON")
}

fn check(server: &Server, setting: &str) {
    for (statement, expected) in CORPUS {
        let reply = query(server, statement);
        assert_eq!(reply["results"][0].get("error"), None, "{setting}: {statement}");
        // Numbers are compared as JSON writes them; whole floats without their fraction.
        assert_eq!(shown(&reply).replace(".0,", ",").replace(".0;", ";"), *expected, "{setting}: {statement}");
    }
}

#[test]
fn answers_are_the_same_from_memory_from_segments_and_merged_on_any_number_of_shards() {
    for shards in ["1", "2", "5"] {
        let folder = fresh_folder();
        let idle = |seconds: &'static str| [("TIDEWIRE_SHARDS", shards), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", seconds)];
        let server = Server::start_in(&folder, false, &idle("86400"));
        query(&server, "CREATE DATABASE db");
        write(&server);
        check(&server, &format!("memory, {shards} shards"));
        server.terminate();
        let server = Server::start_in(&folder, true, &idle("1"));
        let flushed = |rows: f64| {
            server.wait_until("all is flushed", |server| {
                let of = |name| server.metric(name, "");
                of("tidewire_memtable_rows") == 0.0 && of("tidewire_flushed_rows_total") == rows
            });
        };
        flushed(6.0);
        let once = server.metric("tidewire_segments", "");
        check(&server, &format!("segments, {shards} shards"));
        // The same rows once more, beside what is flushed already.
        write(&server);
        check(&server, &format!("segments and memory, {shards} shards"));
        flushed(12.0);
        check(&server, &format!("segments with the same rows, {shards} shards"));
        let compacted = server.sql("db", "COMPACT DATABASE db");
        assert_eq!(compacted.status(), 200, "{}", compacted.text());
        assert_eq!((server.metric("tidewire_segments", ""), server.metric("tidewire_segment_rows", "")), (once, 6.0));
        check(&server, &format!("merged, {shards} shards"));
        server.terminate();
    }
}

fn write(server: &Server) {
    let written = server.request("POST", "/write?db=db", &[], LINES.as_bytes());
    assert_eq!(written.status(), 204, "{}", written.text());
}

#[test]
fn a_chunked_reply_is_a_document_for_each_part_of_a_series() {
    let server = Server::start();
    query(&server, "CREATE DATABASE db");
    assert_eq!(server.request("POST", "/write?db=db", &[], LINES.as_bytes()).status(), 204);
    let path = "/query?db=db&epoch=s&chunked=true&chunk_size=2&q=SELECT%20load%20FROM%20cpu%20GROUP%20BY%20host";
    let text = server.request("GET", path, &[], b"").text();
    let documents: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
    let parts: Vec<(usize, bool, bool)> = documents
        .iter()
        .map(|document| {
            let (result, series) = (&document["results"][0], &document["results"][0]["series"][0]);
            let rows = series["values"].as_array().map_or(0, Vec::len);
            (rows, series["partial"] == true, result["partial"] == true)
        })
        .collect();
    assert_eq!(parts, [(2, true, true), (1, false, true), (2, false, false)]);
    server.terminate();
}
