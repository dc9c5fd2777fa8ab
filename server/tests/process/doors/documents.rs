//! Elasticsearch's bulk, and documents line by line.

use serde_json::json;

use super::{json, post, rows};
use crate::common::Server;

const BULK: &str = "/api/v1/es/_bulk?table=t1&time_column=date&tag_columns=node_id,operator_system";
const TYPE: (&str, &str) = ("Content-Type", "application/x-ndjson");

#[test]
fn the_documents_example_is_written() {
    let server = Server::start();
    let body = r#"{"create":{}}
{"date":"2024-03-27T02:51:11.687Z", "node_id":"1001", "operator_system":"linux", "msg":"test"}
{"index":{}}
{"date":"2024-03-28T02:51:11.688Z", "node_id":"2001", "operator_system":"linux", "msg":"test", "n": 5, "o":{"a":1,"b":[true,"x"]}}"#;
    let told = post(&server, BULK, &[TYPE], body.as_bytes(), 200);
    assert_eq!(told.header("x-elastic-product"), Some("Elasticsearch"));
    let told = json(&told);
    assert_eq!((&told["errors"], told["items"].as_array().map(Vec::len)), (&json!(false), Some(2)));
    assert_eq!(told["items"][0], json!({"create":{"_index":"t1","result":"created","status":201}}));
    assert_eq!(
        rows(&server, "SELECT * FROM t1 ORDER BY time"),
        "time,node_id,operator_system,msg,n,o.a,o.b.0,o.b.1\n\
         2024-03-27T02:51:11.687000000,1001,linux,test,,,,\n\
         2024-03-28T02:51:11.688000000,2001,linux,test,5.0,1.0,true,x\n"
    );
}

#[test]
fn a_document_is_refused_alone() {
    let server = Server::start();
    let body = r#"{"index":{"_index":"a","_id":"one"}}
{"@timestamp":"2024-03-27T02:51:11Z","v":1,"s":null,"e":{},"l":[]}
{"delete":{"_index":"a","_id":"two"}}
{"index":{"_index":"b"}}
{"v":
{"update":{"_index":"b"}}
{"doc":{"v":1}}

{"create":{"_index":"a"}}
{"@timestamp":"2024-03-27T02:51:12Z","v":"text"}
{"create":{"_index":"b"}}
{"@timestamp":1711507871687,"v":true}
{"create":{"_index":"b"}}
{"@timestamp":"yesterday","v":true}
{"create":{"_index":"b"}}
{}
"#;
    let told = json(&post(&server, "/api/v1/es/_bulk?refresh=true&filter_path=items", &[TYPE], body.as_bytes(), 200));
    let items = told["items"].as_array().expect("items");
    let item = |at: usize| items[at].as_object().and_then(|item| item.iter().next()).expect("an action");
    let statuses: Vec<_> = (0..items.len()).map(|at| (item(at).0.as_str(), item(at).1["status"].as_u64())).collect();
    let expected = [
        ("index", 201),
        ("delete", 400),
        ("index", 400),
        ("update", 400),
        ("create", 400),
        ("create", 201),
        ("create", 400),
        ("create", 400),
    ];
    assert_eq!(statuses, expected.map(|(name, status)| (name, Some(status))));
    assert_eq!((&told["errors"], &item(0).1["_id"], &item(5).1["_index"]), (&json!(true), &json!("one"), &json!("b")));
    for (at, kind, words) in [
        (1, "mapper_parsing_exception", "item 2: delete is not supported"),
        (2, "mapper_parsing_exception", "item 3: not JSON"),
        (4, "mapper_parsing_exception", "item 5: column \"v\" of table \"a\""),
        (6, "mapper_parsing_exception", "item 7: the time cannot be read: \"yesterday\""),
        (7, "mapper_parsing_exception", "item 8: there is no field"),
    ] {
        let error = &item(at).1["error"];
        assert_eq!(error["type"], kind, "{error}");
        assert!(error["reason"].as_str().is_some_and(|reason| reason.starts_with(words)), "{error}");
    }
    assert_eq!(rows(&server, "SELECT * FROM a"), "time,v\n2024-03-27T02:51:11.000000000,1.0\n");
    assert_eq!(rows(&server, "SELECT * FROM b"), "time,v\n2024-03-27T02:51:11.687000000,true\n");
    assert_eq!(server.metric("tidewire_door_rows_refused_total", "elasticsearch"), 6.0);
    assert_eq!(server.metric("tidewire_door_rows_total", "elasticsearch"), 2.0);
}

#[test]
fn bodies_that_are_no_bulk_are_refused_whole() {
    let server = Server::start();
    let good = "{\"create\":{}}\n{\"v\":1}\n";
    for (target, body, status, code) in [
        ("/api/v1/es/_bulk", good.to_owned(), 422, "040016"),
        ("/api/v1/es/_bulk?table=t", format!("{good}{{\"create\":{{}}}}\n"), 422, "040016"),
        ("/api/v1/es/_bulk?table=t", format!("{good}{{\"v\":1}}\n"), 422, "040016"),
        ("/api/v1/es/_bulk?table=t", String::new(), 422, "040016"),
        ("/api/v1/es/_bulk?table=t", "[]".to_owned(), 422, "040016"),
        ("/api/v1/es/_bulk?table=t&log_type=zzz", good.to_owned(), 400, "040016"),
        ("/api/v1/es/_bulk?log_type=ndjson", good.to_owned(), 400, "040016"),
        ("/api/v1/es/_bulk?tabel=t", good.to_owned(), 400, "040005"),
        ("/api/v1/es/_bulk?table=t&db=missing", good.to_owned(), 422, "030017"),
        ("/api/v1/ndjson", "{\"v\":1}".to_owned(), 400, "040016"),
    ] {
        let told = post(&server, target, &[TYPE], body.as_bytes(), status);
        assert_eq!(told.header("x-elastic-product"), Some("Elasticsearch"));
        let told = json(&told);
        assert_eq!((&told["error_code"], &told["status"]), (&json!(code), &json!(status)), "{target}: {told}");
        assert_eq!(told["error"]["reason"], told["error_message"]);
    }
    assert_eq!(rows(&server, "SHOW TABLES"), "table_name\n");
}

#[test]
fn documents_without_a_time_are_as_many_rows() {
    let server = Server::start();
    let body = "{\"index\":{}}\n{\"message\":\"no time\"}\n".repeat(5000);
    let told = json(&post(&server, "/api/v1/es/logs/_bulk", &[TYPE], body.as_bytes(), 200));
    assert_eq!(told["items"].as_array().map(Vec::len), Some(5000));
    assert_eq!(rows(&server, "SELECT count(*) AS n FROM logs"), "n\n5000\n");
}

#[test]
fn lines_keep_the_types_of_numbers() {
    let server = Server::start();
    let body = "{\"time\":\"2024-03-27T02:51:11Z\",\"h\":\"a\",\"i\":9007199254740993,\"u\":18446744073709551615,\
                \"f\":1.5,\"n\":null,\"b\":false}\r\n\n{\"time\":1711507872,\"h\":7,\"i\":1,\"f\":2}";
    let target = "/api/v1/ndjson?table=t&tag_columns=h";
    assert!(post(&server, target, &[], body.as_bytes(), 200).body.is_empty());
    assert_eq!(
        rows(&server, "SELECT * FROM t ORDER BY time"),
        "time,h,b,f,i,u\n2024-03-27T02:51:11.000000000,a,false,1.5,9007199254740993,18446744073709551615\n\
         2024-03-27T02:51:12.000000000,7,,2.0,1,\n"
    );
    let refused = json(&post(&server, target, &[], b"{\"i\":1}\n{\"i\":1.5}\n", 422));
    assert!(refused["error_message"].as_str().is_some_and(|text| text.contains("at line 2")), "{refused}");
    let refused = json(&post(&server, target, &[], b"{\"i\":1}\n\nnonsense\n", 422));
    assert_eq!(refused["error_code"], "040016");
    assert!(refused["error_message"].as_str().is_some_and(|text| text.contains("line 3: not JSON")), "{refused}");
    let seed = r#"{"date":"2024-03-27T02:51:11.687Z", "node_id":"1001", "operator_system":"linux", "msg":"test"}
{"date":"2024-03-28T02:51:11.688Z", "node_id":"2001", "operator_system":"linux", "msg":"test"}"#;
    let target = "/api/v1/es/_bulk?table=s&log_type=ndjson&time_column=date&tag_columns=node_id,operator_system";
    assert!(post(&server, target, &[], seed.as_bytes(), 200).body.is_empty());
    assert_eq!(
        rows(&server, "SELECT * FROM s ORDER BY time"),
        "time,node_id,operator_system,msg\n2024-03-27T02:51:11.687000000,1001,linux,test\n\
         2024-03-28T02:51:11.688000000,2001,linux,test\n"
    );
}

#[test]
fn clients_are_told_what_they_ask_first() {
    let server = Server::start();
    let get = |target: &str| server.request("GET", target, &[], b"");
    for target in ["/api/v1/es", "/api/v1/es/"] {
        let hello = get(target);
        assert_eq!(hello.header("x-elastic-product"), Some("Elasticsearch"));
        assert_eq!(json(&hello)["version"]["number"], "8.4.0");
        assert_eq!(server.request("HEAD", target, &[], b"").status(), 200);
    }
    assert_eq!(json(&get("/api/v1/es/_license"))["license"]["status"], "active");
    for target in [
        "_cluster/health",
        "_nodes/http",
        "_ilm/policy/filebeat",
        "_index_template/filebeat-8",
        "_template/x",
        "_ingest/pipeline/x",
    ] {
        assert_eq!(get(&format!("/api/v1/es/{target}")).status(), 200, "{target}");
    }
    assert_eq!(get("/api/v1/es/_bulk").status(), 405);
}
