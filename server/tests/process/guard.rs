//! Who may do what: every endpoint and every kind of statement, with each kind of credentials. The tables of
//! docs/security.md are what this finds.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tidewire_protocol::http::Method;
use tidewire_server::api::endpoint::{DatabaseParameter, Endpoint, Handler, Privilege};
use tidewire_server::api::table::ENDPOINTS;
use tidewire_sql::influxql;
use tidewire_storage::schema::{Access, Need};

use crate::common::{Response, Server, fresh_folder};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const GUARDED: [(&str, &str); 2] = [("TIDEWIRE_AUTH_ENABLED", "true"), ("TIDEWIRE_AUTH_JWT_SECRET", SECRET)];

/// Users: an administrator, an owner of the tenant, one without grants, and some with rights in `d` and `public`.
const ADMIN: &str = "root:pass";

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn ask(server: &Server, user: Option<&str>, target: &str, body: &str) -> Response {
    let value = user.map(basic);
    let headers: Vec<(&str, &str)> = value.iter().map(|value| ("Authorization", value.as_str())).collect();
    server.request("POST", target, &headers, body.as_bytes())
}

fn query(server: &Server, user: Option<&str>, statement: &str) -> Response {
    let encoded: String = statement.bytes().map(|byte| format!("%{byte:02x}")).collect();
    ask(server, user, &format!("/query?db=d&q={encoded}"), "")
}

fn done(server: &Server, statement: &str) {
    let reply = query(server, Some(ADMIN), statement);
    assert!(reply.status() == 200 && !reply.text().contains("error"), "{statement}: {}", reply.text());
}

/// A guarded server with users, and the databases `d` and `e`.
fn guarded() -> Server {
    let server = Server::start_in(&fresh_folder(), true, &GUARDED);
    let first = query(&server, None, "CREATE USER root WITH PASSWORD 'pass' WITH ALL PRIVILEGES");
    assert_eq!(first.status(), 200, "{}", first.text());
    for statement in [
        "CREATE DATABASE d",
        "CREATE DATABASE e",
        "CREATE USER nobody WITH PASSWORD 'pass'",
        "CREATE USER reader WITH PASSWORD 'pass'",
        "CREATE USER writer WITH PASSWORD 'pass'",
        "CREATE USER owner WITH PASSWORD 'pass'",
        "GRANT READ ON d TO reader",
        "GRANT WRITE ON d TO writer",
        "GRANT ALL ON d TO owner",
        "GRANT ALL ON public TO owner",
        "CREATE USER chief WITH PASSWORD 'pass'",
    ] {
        done(&server, statement);
    }
    let member = ask(&server, Some(ADMIN), "/api/v1/sql", "ALTER TENANT cnosdb ADD USER chief AS owner");
    assert_eq!(member.status(), 200, "{}", member.text());
    server
}

/// A request for an endpoint that does something: what follows the path, headers, body.
fn request_of(endpoint: &Endpoint) -> (&'static str, Vec<(&'static str, &'static str)>, &'static [u8]) {
    let json = || vec![("Content-Type", "application/json")];
    match endpoint.handler {
        Handler::CnosWrite => ("", vec![], b"m,t=a v=1 1"),
        Handler::CnosSql => ("", vec![], b"SHOW TABLES"),
        Handler::InfluxWrite => ("?db=public", vec![], b"m,t=a v=1 1"),
        Handler::InfluxWriteBucket => ("?bucket=public/autogen", vec![], b"m,t=a v=1 1"),
        Handler::InfluxQuery => ("?db=public&q=SHOW%20MEASUREMENTS", vec![], b""),
        Handler::OpenTsdbWrite => ("", vec![], b"m 1 1 t=a"),
        Handler::OpenTsdbPutCnos | Handler::OpenTsdbPut => {
            ("", vec![], br#"{"metric":"m","timestamp":1,"value":1,"tags":{"t":"a"}}"#)
        }
        Handler::ElasticBulk => ("?table=t1", vec![], b"{\"create\":{}}\n{\"a\":1}\n"),
        Handler::Ndjson => ("?table=t2", vec![], b"{\"a\":1}\n"),
        Handler::LokiPush => ("", json(), b"{\"streams\":[]}"),
        Handler::PrometheusWrite | Handler::PrometheusRead => ("", vec![], b"\0"),
        Handler::OtlpTracesCnos => ("?table=spans", json(), b"{}"),
        // The header says where rows go, not the parameter.
        Handler::OtlpTraces | Handler::OtlpLogs | Handler::OtlpMetrics => {
            ("?db=nowhere", vec![("Content-Type", "application/json"), ("db", "public")], b"{}")
        }
        Handler::JaegerOperations => ("?service=s", vec![], b""),
        Handler::JaegerSearch => ("?traceID=1", vec![], b""),
        Handler::InfluxRequests => ("?seconds=0", vec![], b""),
        Handler::CnosPing
        | Handler::InfluxPing
        | Handler::InfluxVars
        | Handler::InfluxProfiles
        | Handler::InfluxProfile
        | Handler::OpenTsdbVersion
        | Handler::ElasticHello
        | Handler::ElasticLicense
        | Handler::ElasticNothing
        | Handler::ElasticIndex
        | Handler::JaegerServices
        | Handler::JaegerOperationsOf
        | Handler::JaegerTrace
        | Handler::Metrics
        | Handler::Health
        | Handler::Ready => ("", vec![], b""),
    }
}

/// The status of a request for an endpoint.
fn status(server: &Server, endpoint: &Endpoint, method: Method, user: Option<&str>) -> u16 {
    let (parameters, mut headers, body) = request_of(endpoint);
    let path = endpoint.pattern.replace("{index}", "i").replace("{kind}", "k").replace("{name}", "n");
    let path = path.replace("{profile}", "mutex").replace("{service}", "s").replace("{id}", "1");
    let value = user.map(basic);
    headers.extend(value.iter().map(|value| ("Authorization", value.as_str())));
    let length = body.len().to_string();
    if method == Method::Put {
        headers.push(("Content-Length", &length));
    }
    let reply = server.request(method.token(), &format!("{path}{parameters}"), &headers, body);
    let challenged = reply.header("www-authenticate").is_some();
    assert_eq!(challenged, reply.status() == 401, "{path}: {}", reply.text());
    reply.status()
}

/// What an endpoint's privilege is in words.
fn privilege(endpoint: &Endpoint) -> String {
    match (endpoint.privilege, endpoint.database) {
        (Privilege::Ping, _) => "none".to_owned(),
        (Privilege::Monitor, _) => "`auth.monitor`".to_owned(),
        (Privilege::Statements, _) => "what its statements need".to_owned(),
        (Privilege::Read, DatabaseParameter::Header(_)) => "READ on `db` (header or parameter)".to_owned(),
        (Privilege::Read, _) => "READ on `db`".to_owned(),
        (Privilege::Write, DatabaseParameter::Bucket) => "WRITE on the bucket's database".to_owned(),
        (Privilege::Write, DatabaseParameter::Header(_)) => "WRITE on `db` (header or parameter)".to_owned(),
        (Privilege::Write, _) => "WRITE on `db`".to_owned(),
    }
}

/// The table between two marks of docs/security.md.
fn documented(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let (_, behind) = page.split_once(&format!("<!-- {name} -->\n")).expect("the mark is there");
    behind.split_once("<!-- end -->").expect("the end is there").0.to_owned()
}

fn assert_documented(name: &str, found: &str) {
    assert!(documented(name) == found, "docs/security.md says other than this of {name}:\n{found}");
}

#[test]
fn every_endpoint_asks_who_it_is() {
    let (open, guarded) = (Server::start(), guarded());
    let mut table = "| Endpoint | Needs | auth off | no credentials | wrong | insufficient | right |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    for endpoint in &ENDPOINTS {
        for &method in endpoint.methods.iter().filter(|method| **method != Method::Options) {
            let name = format!("{} {}", method.token(), endpoint.pattern);
            let off = [None, Some("root:"), Some("who:ever")].map(|user| status(&open, endpoint, method, user));
            assert!(off.iter().all(|found| *found == off[0]), "{name}: {off:?}");
            let right = if endpoint.privilege == Privilege::Monitor { ADMIN } else { "owner:pass" };
            let users = [None, Some("owner:wrong"), Some("nobody:pass"), Some(right)];
            let [none, wrong, insufficient, right] = users.map(|user| status(&guarded, endpoint, method, user));
            assert_eq!(right, off[0], "{name}: the right credentials are as good as none are without auth");
            match endpoint.privilege {
                Privilege::Ping => assert_eq!([none, wrong, insufficient], [right; 3], "{name}"),
                _ => {
                    assert_eq!((none, wrong), (401, 401), "{name}");
                    assert!(matches!(insufficient, 403 | 422), "{name}: {insufficient}");
                    let unknown = status(&guarded, endpoint, method, Some("eve:pass"));
                    assert_eq!(unknown, 401, "{name}");
                }
            }
            let needs = privilege(endpoint);
            let off = off[0];
            writeln!(table, "| `{name}` | {needs} | {off} | {none} | {wrong} | {insufficient} | {right} |")
                .expect("text");
        }
    }
    for path in ["/write", "/query"] {
        let options = guarded.request("OPTIONS", path, &[], b"");
        assert_eq!(options.status(), 200, "browsers ask before they have credentials");
    }
    // Nothing of what was refused was done, and what was allowed was.
    let tables = ask(&guarded, Some(ADMIN), "/api/v1/sql?db=d", "SHOW TABLES");
    assert_eq!(tables.text(), "table_name\n");
    assert_documented("endpoints", &table);
}

/// A statement of each kind of InfluxQL, in a request for the database `d`.
const INFLUXQL: &[&str] = &[
    "SELECT v FROM m",
    "SELECT v FROM e..m",
    "SELECT v FROM /.*/",
    "SELECT v FROM e../.*/",
    "SELECT v FROM m, e..m",
    "SELECT v FROM (SELECT v FROM (SELECT v FROM e..m))",
    "SELECT v INTO n FROM m",
    "SELECT v INTO e..n FROM m",
    "SELECT v INTO n FROM e..m",
    "EXPLAIN SELECT v FROM m",
    "EXPLAIN ANALYZE SELECT v FROM e..m",
    "SHOW DATABASES",
    "SHOW RETENTION POLICIES ON d",
    "SHOW MEASUREMENTS",
    "SHOW SERIES ON e",
    "SHOW TAG KEYS",
    "SHOW TAG VALUES FROM e..m WITH KEY = k",
    "SHOW FIELD KEYS",
    "SHOW SERIES CARDINALITY",
    "SHOW MEASUREMENT EXACT CARDINALITY ON e",
    "SHOW CONTINUOUS QUERIES",
    "SHOW QUERIES",
    "SHOW SUBSCRIPTIONS",
    "SHOW USERS",
    "SHOW GRANTS FOR nobody",
    "SHOW SHARDS",
    "SHOW SHARD GROUPS",
    "SHOW STATS",
    "SHOW DIAGNOSTICS",
    "DELETE FROM m",
    "DROP SERIES FROM m",
    "DROP MEASUREMENT m",
    "DROP SHARD 7",
    "CREATE DATABASE x",
    "DROP DATABASE x",
    "CREATE RETENTION POLICY p ON d DURATION 1h REPLICATION 1",
    "ALTER RETENTION POLICY p ON d DURATION 2h",
    "DROP RETENTION POLICY p ON d",
    "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO n FROM m GROUP BY time(1h) END",
    "CREATE CONTINUOUS QUERY c2 ON d BEGIN SELECT mean(v) INTO n FROM e..m GROUP BY time(1h) END",
    "DROP CONTINUOUS QUERY c ON d",
    "CREATE SUBSCRIPTION s ON d.autogen DESTINATIONS ALL 'udp://h:1'",
    "DROP SUBSCRIPTION s ON d.autogen",
    "KILL QUERY 1000000",
    "CREATE USER u WITH PASSWORD 'x'",
    "SET PASSWORD FOR u = 'y'",
    "GRANT READ ON d TO u",
    "GRANT ALL TO u",
    "REVOKE READ ON d FROM u",
    "DROP USER u",
];

/// A statement of each kind of SQL, in a request for the database `d`, and what it needs.
const SQL: &[(&str, &str)] = &[
    ("SELECT 1", ""),
    ("SELECT * FROM m", "Read on d"),
    ("SELECT * FROM e.m", "Read on e"),
    ("SELECT * FROM m JOIN e.m AS o ON m.time = o.time", "Read on d, Read on e"),
    ("SELECT * FROM (SELECT * FROM e.m) AS x", "Read on e"),
    ("WITH x AS (SELECT * FROM e.m) SELECT * FROM x", "Read on e"),
    ("SELECT v FROM m UNION ALL SELECT v FROM e.m", "Read on d, Read on e"),
    ("SELECT * FROM m WHERE v IN (SELECT v FROM e.m)", "Read on d, Read on e"),
    ("SELECT (SELECT max(v) FROM e.m) AS x FROM m", "Read on d, Read on e"),
    ("SELECT row_number() OVER (ORDER BY time) FROM e.m", "Read on e"),
    ("SELECT v FROM e.m WHERE 1 = 2", "Read on e"),
    ("SELECT v FROM e.nowhere", "Read on e"),
    ("SELECT v FROM nowhere.nothing", "Read on nowhere"),
    ("EXPLAIN SELECT * FROM e.m", "Read on e"),
    ("EXPLAIN ANALYZE SELECT * FROM m", "Read on d"),
    ("SHOW DATABASES", ""),
    ("SHOW QUERIES", ""),
    ("SELECT * FROM information_schema.members", ""),
    ("SELECT * FROM cluster_schema.tenants", ""),
    ("SELECT * FROM usage_schema.http_queries", ""),
    ("SHOW TABLES", "Read on d"),
    ("SHOW TABLES ON e", "Read on e"),
    ("SHOW SERIES FROM m", "Read on d"),
    ("SHOW SERIES ON e FROM m", "Read on e"),
    ("SHOW TAG VALUES ON e FROM m WITH KEY = k", "Read on e"),
    ("DESCRIBE TABLE m", "Read on d"),
    ("DESCRIBE TABLE e.m", "Read on e"),
    ("DESCRIBE DATABASE e", "Read on e"),
    ("INSERT INTO m (time, v) VALUES (1, 1)", "Write on d"),
    ("INSERT INTO e.m (time, v) VALUES (1, 1)", "Write on e"),
    ("INSERT INTO m (time, v) SELECT time, v FROM e.m", "Write on d, Read on e"),
    ("UPDATE m SET v = 2 WHERE v = 99", "Write on d, Read on d"),
    ("UPDATE e.m SET k = 'b' WHERE k = 'z'", "Write on e, Read on e"),
    ("CREATE USER nu WITH password = 'x'", "admin"),
    ("ALTER USER nu SET comment = 'c'", "admin"),
    ("DROP USER IF EXISTS nu", "admin"),
    ("CREATE EXTERNAL TABLE x (a INT) STORED AS CSV LOCATION '/x.csv'", "admin"),
    ("COPY INTO '/x/' FROM m", "admin"),
    ("COPY INTO m FROM '/x.csv'", "admin"),
    ("COMPACT DATABASE e", "Full on e"),
    ("DELETE FROM m WHERE time < 1", "Write on d"),
    ("DELETE FROM e.m", "Write on e"),
    ("CREATE TABLE n (v DOUBLE, TAGS(t))", "Full on d"),
    ("CREATE TABLE e.n (v DOUBLE, TAGS(t))", "Full on e"),
    ("ALTER TABLE n ADD FIELD w DOUBLE", "Full on d"),
    ("ALTER TABLE n ALTER v SET CODEC(QUANTILE)", "Full on d"),
    ("DROP TABLE n", "Full on d"),
    ("DROP TABLE IF EXISTS e.n", "Full on e"),
    ("ALTER DATABASE d SET TTL '30d'", "Full on d"),
    ("ALTER DATABASE e SET TTL '30d'", "Full on e"),
    ("CREATE DATABASE x", "databases"),
    ("CREATE ROLE nr INHERIT member", "roles"),
    ("GRANT WRITE ON DATABASE x TO ROLE nr", "roles"),
    ("REVOKE WRITE ON DATABASE x FROM nr", "roles"),
    ("DROP ROLE nr", "roles"),
    ("CREATE TENANT nt WITH comment = 'c', drop_after = '1d'", "admin"),
    ("ALTER TENANT nt SET object_config max_databases = 3", "admin"),
    ("ALTER TENANT nt UNSET comment", "admin"),
    ("ALTER TENANT cnosdb ADD USER reader AS member", "members"),
    ("ALTER TENANT cnosdb SET USER reader AS member", "members"),
    ("ALTER TENANT cnosdb REMOVE USER reader", "members"),
    ("DROP TENANT nt AFTER '1h'", "admin"),
    ("RECOVER TENANT nt", "admin"),
    ("DROP TENANT IF EXISTS nt", "admin"),
    ("DROP DATABASE x", "Full on x"),
];

const USERS: [&str; 6] = ["nobody", "reader", "writer", "owner", "chief", "root"];

/// What the users may do in `d`; in `e` and elsewhere only the administrator and the tenant's owner may do anything.
fn has(user: &str, database: &str, access: Access) -> bool {
    let granted = match (user, database) {
        ("root" | "chief", _) => Access::ALL,
        ("reader", "d") => Access::READ,
        ("writer", "d") => Access::WRITE,
        ("owner", "d" | "public") => Access::ALL,
        _ => Access::NONE,
    };
    granted.has(access)
}

#[test]
fn every_statement_of_influxql_asks_what_its_user_may() {
    let server = guarded();
    for database in ["d", "e"] {
        let written = ask(&server, Some(ADMIN), &format!("/write?db={database}"), "m,k=a v=1 1");
        assert_eq!(written.status(), 204);
    }
    let mut table = "| Statement, with `db=d` | Needs |\n|---|---|\n".to_owned();
    for text in INFLUXQL {
        let statement = &influxql::parse(text).expect("it is InfluxQL")[0];
        let needs = statement.needs("d");
        for user in USERS {
            let is_allowed = needs.iter().all(|need| match need {
                Need::Admin | Need::Tenant { .. } => user == "root",
                Need::Database { name, access } => has(user, name, *access),
            });
            // Those who may come last, so that the others cannot have it refused for want of what is dropped.
            let reply = query(&server, Some(&format!("{user}:pass")), text);
            assert_eq!(reply.status() == 200, is_allowed, "{user}: {text}: {}", reply.text());
            if !is_allowed {
                let words = format!("{user} not authorized to execute statement '{statement}', requires ");
                assert!(
                    reply.status() == 403 && reply.text().contains("error authorizing query: "),
                    "{}",
                    reply.text()
                );
                let told: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
                assert!(told["error"].as_str().expect("text").contains(&words), "{}", reply.text());
                assert!(reply.header("x-influxdb-error").is_some() && reply.header("www-authenticate").is_none());
                // Nothing of a request is run of which a part is not allowed.
                let both = query(&server, Some(&format!("{user}:pass")), &format!("SHOW DATABASES; {text}"));
                assert_eq!(both.status(), 403, "{user}: {text}");
            }
        }
        let words = |need: &Need| match need {
            Need::Admin | Need::Tenant { .. } => "an administrator".to_owned(),
            Need::Database { name, access } if access.has(Access::WRITE) => format!("WRITE on {name}"),
            Need::Database { name, .. } => format!("READ on {name}"),
        };
        let mut shown: Vec<String> = needs.iter().map(words).collect();
        shown.dedup();
        let shown = if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") };
        writeln!(table, "| `{text}` | {shown} |").expect("text");
    }
    assert_documented("influxql", &table);
}

#[test]
fn every_statement_of_sql_asks_what_its_user_may() {
    let server = guarded();
    for database in ["d", "e"] {
        let written = ask(&server, Some(ADMIN), &format!("/write?db={database}"), "m,k=a v=1 1");
        assert_eq!(written.status(), 204);
    }
    let mut table = "| Statement, with `db=d` | Needs |\n|---|---|\n".to_owned();
    for (text, needs) in SQL {
        for user in USERS {
            let all: Vec<&str> = needs.split(", ").filter(|need| !need.is_empty()).collect();
            let lacks = all.iter().find(|need| match need.split_once(" on ") {
                Some(("Read", database)) => !has(user, database, Access::READ),
                Some(("Write", database)) => !has(user, database, Access::WRITE),
                Some((_, database)) => !has(user, database, Access::DEFINE),
                None if ***need == *"admin" => user != "root",
                None => user != "root" && user != "chief",
            });
            let reply = ask(&server, Some(&format!("{user}:pass")), "/api/v1/sql?db=d", text);
            match lacks {
                None => assert!(!reply.text().contains("010004"), "{user}: {text}: {}", reply.text()),
                Some(need) => {
                    let tenant = " of tenant 78322384368497284380257291774744000001";
                    let expected = match need.split_once(" on ") {
                        Some((access, database)) => format!("{access} on database {database}{tenant}"),
                        None if **need == *"admin" => "maintainer for system".to_owned(),
                        None if **need == *"databases" => format!("Write on all databases{tenant}"),
                        None => format!("maintainer for all {need}{tenant}"),
                    };
                    let body = format!(
                        "{{\"error_code\":\"010004\",\"error_message\":\"Insufficient privileges, expected [{expected}]\"}}"
                    );
                    assert_eq!((reply.status(), reply.text()), (422, body), "{user}: {text}");
                }
            }
        }
        let shown = match *needs {
            "" => "nothing",
            "admin" => "an administrator",
            "databases" | "members" | "roles" => "an owner of the tenant",
            other => other,
        };
        writeln!(table, "| `{text}` | {shown} |").expect("text");
    }
    assert_documented("sql", &table);
}

#[test]
fn lists_show_what_the_user_may_see() {
    let server = guarded();
    let influx = |user: &str| query(&server, Some(user), "SHOW DATABASES").text();
    let sql = |user: &str| ask(&server, Some(user), "/api/v1/sql", "SHOW DATABASES").text();
    assert!(influx(ADMIN).contains(r#""values":[["d"],["e"],["public"]]"#), "{}", influx(ADMIN));
    assert!(influx("reader:pass").contains(r#""values":[["d"]]"#), "{}", influx("reader:pass"));
    assert!(!influx("nobody:pass").contains("values"), "{}", influx("nobody:pass"));
    assert_eq!(sql("owner:pass"), "database_name\nd\npublic\n");
    assert_eq!(sql("nobody:pass"), "database_name\n");
    let found = |user: &str, text: &str| ask(&server, Some(user), "/api/v1/sql?db=d", text).text();
    let databases = "SELECT database_name FROM information_schema.databases ORDER BY database_name";
    assert_eq!(found(ADMIN, databases), "database_name\nd\ne\npublic\n");
    assert_eq!(found("reader:pass", databases), "database_name\nd\n");
    assert_eq!(found("writer:pass", databases), "database_name\n", "who may write need not know what there is");
    for database in ["d", "e"] {
        let written = ask(&server, Some(ADMIN), &format!("/write?db={database}"), "m,k=a v=1 1");
        assert_eq!(written.status(), 204);
    }
    let tables =
        "SELECT table_database, table_name, table_engine FROM information_schema.TABLES ORDER BY table_database";
    assert_eq!(found("reader:pass", tables), "table_database,table_name,table_engine\nd,m,TSKV\n");
    assert_eq!(found(ADMIN, tables).lines().count(), 3);
    let columns = "SELECT column_name, column_type, ordinal_position AS n, data_type FROM information_schema.columns \
                   WHERE database_name = 'd' ORDER BY n";
    let described =
        "column_name,column_type,n,data_type\ntime,TIME,0,TIMESTAMP(NANOSECOND)\nk,TAG,1,STRING\nv,FIELD,2,DOUBLE\n";
    assert_eq!(found("reader:pass", columns), described);
    let users = "SELECT user_name, is_admin, user_options FROM cluster_schema.users ORDER BY user_name LIMIT 2";
    assert_eq!(found("owner:pass", users), "user_name,is_admin,user_options\n");
    let all = found(ADMIN, users);
    assert!(all.starts_with("user_name,is_admin,user_options\nchief,false,") && !all.contains("argon"), "{all}");
    done(&server, "CREATE CONTINUOUS QUERY c ON e BEGIN SELECT mean(v) INTO n FROM m GROUP BY time(1h) END");
    let queries = query(&server, Some("reader:pass"), "SHOW CONTINUOUS QUERIES").text();
    assert!(queries.contains("\"d\"") && !queries.contains("\"e\""), "{queries}");
    let running = query(&server, Some("reader:pass"), "SHOW QUERIES").text();
    assert!(running.contains("SHOW QUERIES"), "its own: {running}");
    let me = ask(&server, Some("reader:pass"), "/api/v1/sql", "SELECT current_user() AS u").text();
    assert_eq!(me, "u\nreader\n");
    let me = ask(&Server::start(), Some("ann:"), "/api/v1/sql", "SELECT current_user() AS u").text();
    assert_eq!(me, "u\nann\n", "a name counts although nobody asks for it");
}

#[test]
fn the_first_administrator_is_made_by_the_first_client() {
    let server = Server::start_in(&fresh_folder(), true, &GUARDED);
    let refused = "{\"error\":\"error authorizing query: create admin user first or disable authentication\"}\n";
    for statement in ["SHOW DATABASES", "CREATE USER u WITH PASSWORD 'p'", "CREATE DATABASE x"] {
        for user in [None, Some("root:")] {
            let reply = query(&server, user, statement);
            assert_eq!((reply.status(), reply.text().as_str()), (403, refused), "{statement}");
        }
    }
    assert_eq!(ask(&server, None, "/write?db=public", "m v=1").status(), 403);
    assert_eq!(ask(&server, Some("root:"), "/api/v1/sql", "SELECT 1").status(), 401);
    let made = query(&server, None, "CREATE USER a WITH PASSWORD 'p' WITH ALL PRIVILEGES; CREATE DATABASE x");
    assert_eq!(made.text(), "{\"results\":[{\"statement_id\":0},{\"statement_id\":1}]}\n");
    assert_eq!(query(&server, None, "CREATE USER b WITH PASSWORD 'p' WITH ALL PRIVILEGES").status(), 401);
    assert_eq!(query(&server, Some("a:p"), "SHOW DATABASES").status(), 200);
}

#[test]
fn wrong_credentials_are_told_in_the_words_of_each_api() {
    let server = guarded();
    let influx = |header: Option<&str>, parameters: &str| {
        let headers: Vec<(&str, &str)> = header.iter().map(|value| ("Authorization", *value)).collect();
        server.request("POST", &format!("/query?q=SHOW%20DATABASES{parameters}"), &headers, b"")
    };
    let error = |text: &str| format!("{{\"error\":\"{text}\"}}\n");
    let (right, wrong) = (basic(ADMIN), basic("root:no"));
    for (header, parameters, status, text) in [
        (Some(wrong.as_str()), "", 401, error("authorization failed")),
        (None, "&u=root&p=no", 401, error("authorization failed")),
        (None, "&u=eve&p=pass", 401, error("authorization failed")),
        (None, "", 401, error("unable to parse authentication credentials")),
        (Some("Basic !"), "", 401, error("unable to parse authentication credentials")),
        (Some("Token :x"), "", 401, error("username required")),
        (Some("Bearer a.b"), "", 401, error("token contains an invalid number of segments")),
    ] {
        let reply = influx(header, parameters);
        assert_eq!((reply.status(), reply.text()), (status, text), "{header:?} {parameters}");
        assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"InfluxDB\""));
        assert_eq!((reply.header("content-type"), reply.header("x-influxdb-error")), (Some("application/json"), None));
        assert!(reply.header("request-id").is_some() && reply.header("x-influxdb-version").is_some());
    }
    for (header, parameters) in [
        (Some(right.as_str()), ""),
        (None, "&u=root&p=pass"),
        (Some(wrong.as_str()), "&u=root&p=pass"),
        (Some("Token root:pass"), ""),
        (Some("token root:pass"), ""),
    ] {
        assert_eq!(influx(header, parameters).status(), 200, "{header:?} {parameters}");
    }
    let cnos = |user: Option<&str>| ask(&server, user, "/api/v1/write?db=d", "m v=1");
    let reply = cnos(Some("u:p"));
    let words = "Auth error: Access denied for user 'u' (using xxx) username or password invalid";
    let body = format!("{{\"error_code\":\"010016\",\"error_message\":\"{words}\"}}");
    assert_eq!((reply.status(), reply.text()), (401, body));
    assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"Tidewire\""));
    let missing = "{\"error_code\":\"000000\",\"error_message\":\"Missing request header \\\"authorization\\\"\"}";
    assert_eq!(cnos(None).text(), missing);
    assert_eq!(ask(&server, None, "/api/v1/write?db=d&u=root&p=pass", "m v=1").status(), 401, "not in CnosDB's URLs");
    assert_eq!(cnos(Some("writer:pass")).status(), 200);
    let reply = ask(&server, Some("reader:pass"), "/write?db=d", "m v=1");
    let words = error("\\\"reader\\\" user is not authorized to write to database \\\"d\\\"");
    assert_eq!((reply.status(), reply.text()), (403, words));
}

#[test]
fn databases_are_where_each_api_names_them() {
    let server = guarded();
    let status = |target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let value = basic("writer:pass");
        let all = [headers, &[("Authorization", value.as_str())]].concat();
        server.request("POST", target, &all, body).status()
    };
    let line = b"m v=1 1";
    for (target, expected) in [
        ("/write?db=d", 204),
        ("/write?db=e", 403),
        ("/write?db=nowhere", 403),
        ("/write", 400),
        ("/api/v2/write?bucket=d", 204),
        ("/api/v2/write?bucket=d%2Fautogen", 204),
        ("/api/v2/write?bucket=e/autogen", 403),
        ("/api/v2/write?bucket=e&db=d", 403),
        ("/api/v2/write?bucket=%2Fd", 404),
        ("/api/v1/write?db=d", 200),
        ("/api/v1/write", 422),
        ("/api/v1/write?db=e&db=d", 422),
        ("/api/v1/write?%64b=e", 422),
    ] {
        assert_eq!(status(target, &[], line), expected, "{target}");
    }
    let json = ("Content-Type", "application/json");
    assert_eq!(status("/v1/logs?db=e", &[json, ("db", "d")], b"{}"), 200);
    assert_eq!(status("/v1/logs?db=d", &[json, ("db", "e")], b"{}"), 403);
    assert_eq!(status("/v1/logs", &[json], b"{}"), 403, "public");
}

#[test]
fn what_was_let_in_is_not_any_more_when_the_password_changes() {
    let server = guarded();
    // Connections of their own, so that they are of both cores.
    let statuses = |pair: &str| -> Vec<u16> {
        (0..6).map(|_| ask(&server, Some(pair), "/write?db=d", "m v=1 1").status()).collect()
    };
    assert_eq!(statuses("writer:pass"), [204; 6]);
    done(&server, "SET PASSWORD FOR writer = 'other'");
    assert_eq!(statuses("writer:pass"), [401; 6]);
    assert_eq!(statuses("writer:other"), [204; 6]);
    done(&server, "REVOKE ALL ON d FROM writer");
    assert_eq!(statuses("writer:other"), [403; 6]);
    done(&server, "GRANT WRITE ON d TO writer");
    assert_eq!(statuses("writer:other"), [204; 6]);
    done(&server, "DROP USER writer");
    assert_eq!(statuses("writer:other"), [401; 6]);
    done(&server, "CREATE USER writer WITH PASSWORD 'pass'");
    assert_eq!(statuses("writer:pass"), [403; 6], "the grants are gone with the user");
}

fn token(header: &str, claims: &str, secret: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(signed.as_bytes());
    format!("Bearer {signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn bearer_tokens_name_their_user() {
    let server = guarded();
    let write = |token: &str| server.request("POST", "/write?db=d", &[("Authorization", token)], b"m v=1 1");
    let (hs256, late) = (r#"{"alg":"HS256","typ":"JWT"}"#, 4_102_444_800_u64);
    let claims = |user: &str, exp: u64| format!("{{\"username\":\"{user}\",\"exp\":{exp}}}");
    assert_eq!(write(&token(hs256, &claims("writer", late), SECRET)).status(), 204);
    assert_eq!(write(&token(hs256, &claims("reader", late), SECRET)).status(), 403);
    let none = token(r#"{"alg":"none"}"#, &claims("root", late), SECRET);
    let unsigned = format!("{}.", none.rsplit_once('.').expect("parts").0);
    for (token, words) in [
        (token(hs256, &claims("eve", late), SECRET), "user not found"),
        (token(hs256, &claims("root", 1_000), SECRET), "Token is expired"),
        (token(hs256, &claims("root", late), "another secret"), "signature is invalid"),
        (token(hs256, "{\"username\":\"root\"}", SECRET), "token expiration required"),
        (token(r#"{"alg":"RS256"}"#, &claims("root", late), SECRET), "unexpected signing method: RS256"),
        (none, "unexpected signing method: none"),
        (unsigned, "unexpected signing method: none"),
    ] {
        let reply = write(&token);
        assert_eq!((reply.status(), reply.text()), (401, format!("{{\"error\":\"{words}\"}}\n")), "{token}");
    }
    let open = [("TIDEWIRE_AUTH_ENABLED", "true")];
    let server = Server::start_in(&fresh_folder(), true, &open);
    query(&server, None, "CREATE USER root WITH PASSWORD 'pass' WITH ALL PRIVILEGES");
    let bearer = token(hs256, &claims("root", late), "");
    let reply = server.request("POST", "/write?db=d", &[("Authorization", &bearer)], b"m v=1 1");
    assert_eq!((reply.status(), reply.text().as_str()), (401, "{\"error\":\"bearer auth disabled\"}\n"));
}

#[test]
fn guessing_is_slow_and_keeps_nobody_out() {
    let server = guarded();
    let ask = |pair: &str| ask(&server, Some(pair), "/write?db=d", "m v=1 1");
    // On both cores each.
    let refused = (0..40).map(|n| ask(&format!("writer:{n}"))).find(|reply| reply.status() != 401);
    let refused = refused.expect("it ends");
    assert_eq!(refused.status(), 429, "{}", refused.text());
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!(wait <= 11, "{wait}");
    assert!(refused.text().contains("too many wrong passwords"), "{}", refused.text());
    assert_eq!(ask("reader:pass").status(), 403, "another user is not kept waiting");
    server.wait_until("the right password is taken", |_| ask("writer:pass").status() == 204);
}

#[test]
fn a_guarded_server_shows_itself_to_those_it_was_told_to() {
    let monitor = |who: &'static str| {
        let server = Server::start_in(&fresh_folder(), true, &[GUARDED[0], ("TIDEWIRE_AUTH_MONITOR", who)]);
        query(&server, None, "CREATE USER root WITH PASSWORD 'pass' WITH ALL PRIVILEGES");
        done(&server, "CREATE USER nobody WITH PASSWORD 'pass'");
        [None, Some("nobody:pass"), Some(ADMIN)].map(|user| {
            let value = user.map(basic);
            let headers: Vec<(&str, &str)> = value.iter().map(|value| ("Authorization", value.as_str())).collect();
            server.request("GET", "/metrics", &headers, b"").status()
        })
    };
    assert_eq!(monitor("admins"), [401, 403, 200]);
    assert_eq!(monitor("users"), [401, 200, 200]);
    assert_eq!(monitor("anyone"), [200, 200, 200]);
}

#[test]
fn no_password_is_in_the_log() {
    let folder = fresh_folder();
    let log = folder.with_extension("log");
    for access in ["off", "all"] {
        let variables = [GUARDED[0], GUARDED[1], ("TIDEWIRE_LOG_ACCESS", access), ("TIDEWIRE_LOG_SLOW_QUERY_MS", "1")];
        let server = Server::start_logged(&log, &fresh_folder(), true, &variables);
        query(&server, None, "CREATE USER root WITH PASSWORD 'pass' WITH ALL PRIVILEGES");
        for statement in [
            "CREATE USER u WITH PASSWORD zirkon",
            "SET PASSWORD FOR u = zirkon",
            "CREATE USER u WITH PASSWORD \"zirkon\"",
            "CREATE USER u WITH PASSWORD 'zirkon' AND zirkon",
        ] {
            let reply = query(&server, Some(ADMIN), statement);
            assert_eq!(reply.status(), 400, "{}", reply.text());
            // Of what fails a line a second is logged.
            std::thread::sleep(std::time::Duration::from_millis(1_050));
        }
        query(&server, Some("root:zirkon"), "SHOW DATABASES");
        ask(&server, None, "/write?db=d&u=root&p=zirkon", "m v=1");
        ask(&server, Some(ADMIN), "/api/v1/sql", "CREATE USER u WITH PASSWORD='zirkon'; SELECT 1");
        std::thread::sleep(std::time::Duration::from_millis(1_050));
        server.request("POST", "/query?q=x", &[("Authorization", "Basic zirkon")], b"");
        server.terminate();
    }
    let said = std::fs::read_to_string(&log).expect("the log is there");
    let _ = std::fs::remove_file(&log);
    assert!(said.contains("a text with a password is no statement"), "{said}");
    assert!(!said.contains("zirkon") && !said.contains(SECRET), "{said}");
    assert!(said.contains("auth.jwt_secret = [REDACTED]"), "{said}");
}
