//! Tenants: their databases are separate by every way in and out, roles say what members may do, limits hold, and all
//! of it outlives a restart.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::common::{Response, Server, fresh_folder};
use crate::reshard::{stderr, tidewire};

const GUARDED: [(&str, &str); 1] = [("TIDEWIRE_AUTH_ENABLED", "true")];

fn ask(server: &Server, user: &str, target: &str, body: &str) -> Response {
    let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:pass")));
    server.request("POST", target, &[("Authorization", &value), ("Accept", "application/csv")], body.as_bytes())
}

/// Runs SQL in the database `d` of a tenant.
fn sql(server: &Server, user: &str, tenant: &str, text: &str) -> Response {
    ask(server, user, &format!("/api/v1/sql?db=d&tenant={tenant}"), text)
}

fn done(server: &Server, user: &str, tenant: &str, text: &str) -> String {
    let reply = sql(server, user, tenant, text);
    assert_eq!(reply.status(), 200, "{user}@{tenant}: {text}: {}", reply.text());
    reply.text()
}

/// Code and text of a refusal.
fn refused(server: &Server, user: &str, tenant: &str, text: &str) -> (u16, String) {
    let reply = sql(server, user, tenant, text);
    (reply.status(), reply.text())
}

fn error(code: &str, message: &str) -> (u16, String) {
    (422, format!("{{\"error_code\":\"{code}\",\"error_message\":\"{message}\"}}"))
}

/// A guarded server with the tenants `t` and `u`, which have a database `d` each as the default one has.
fn with_tenants(folder: &std::path::Path) -> Server {
    let server = Server::start_in(folder, false, &GUARDED);
    let first = server.request(
        "POST",
        "/query?q=CREATE%20USER%20root%20WITH%20PASSWORD%20'pass'%20WITH%20ALL%20PRIVILEGES",
        &[],
        b"",
    );
    assert_eq!(first.status(), 200, "{}", first.text());
    for text in [
        "CREATE DATABASE d",
        "CREATE TENANT t WITH comment = 'the first'",
        "CREATE TENANT u",
        "CREATE USER ann WITH password = 'pass'",
        "CREATE USER bob WITH password = 'pass'",
        "CREATE USER cid WITH password = 'pass'",
        "ALTER TENANT t ADD USER ann AS owner",
        "ALTER TENANT u ADD USER bob AS owner",
    ] {
        done(&server, "root", "cnosdb", text);
    }
    done(&server, "ann", "t", "CREATE DATABASE d");
    done(&server, "bob", "u", "CREATE DATABASE d");
    server
}

#[test]
fn databases_of_one_name_never_meet() {
    let folder = fresh_folder();
    let server = with_tenants(&folder);
    // By every door, into the table that it makes, as many rows as the tenant's number.
    let doors = [
        ("/api/v1/write?", "text/plain", "lines,k=a v=1 N"),
        ("/api/v1/opentsdb/write?", "text/plain", "telnet N 1 k=a"),
        ("/api/v1/opentsdb/put?", "application/json", r#"{"metric":"put","timestamp":N,"value":1,"tags":{"k":"a"}}"#),
        ("/api/v1/es/_bulk?table=bulk&", "application/json", "{\"create\":{}}\n{\"time\":N,\"a\":1}\n"),
        ("/api/v1/ndjson?table=documents&", "application/json", "{\"time\":N,\"a\":1}\n"),
        (
            "/loki/api/v1/push?table=entries&",
            "application/json",
            r#"{"streams":[{"stream":{"job":"x"},"values":[["N","line"]]}]}"#,
        ),
        (
            "/v1/logs?table=records&",
            "application/json",
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"N","body":{"stringValue":"x"}}]}]}]}"#,
        ),
    ];
    let tenants = [("root", "cnosdb", 1), ("ann", "t", 2), ("bob", "u", 3)];
    for (user, tenant, count) in tenants {
        for (path, content_type, body) in doors {
            for number in 1..=count {
                let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:pass")));
                let headers = [("Authorization", value.as_str()), ("Content-Type", content_type)];
                let body = body.replace('N', &format!("160000000000000000{number}"));
                let reply = server.request("POST", &format!("{path}db=d&tenant={tenant}"), &headers, body.as_bytes());
                assert!(reply.status() < 300, "{path} of {tenant}: {} {}", reply.status(), reply.text());
            }
        }
        done(&server, user, tenant, "CREATE TABLE own (v BIGINT, TAGS(k))");
        for number in 1..=count {
            done(&server, user, tenant, &format!("INSERT INTO d.own (time, k, v) VALUES ({number}, 'a', {count})"));
        }
    }
    let tables = ["lines", "telnet", "put", "bulk", "documents", "entries", "records", "own"];
    let check = |server: &Server| {
        for (user, tenant, count) in tenants {
            let shown = done(server, user, tenant, "SHOW TABLES");
            for table in tables {
                let rows = done(server, user, tenant, &format!("SELECT count(time) AS n FROM {table}"));
                assert_eq!(rows, format!("n\n{count}\n"), "{table} of {tenant}");
                assert!(shown.contains(&format!("{table}\n")), "{shown}");
            }
            let listed =
                "SELECT tenant_name, database_name FROM information_schema.databases WHERE database_name = 'd'";
            assert_eq!(done(server, user, tenant, listed), format!("tenant_name,database_name\n{tenant},d\n"));
            let tables = "SELECT table_tenant, count(table_name) AS n FROM information_schema.tables \
                          WHERE table_database = 'd' GROUP BY table_tenant";
            assert_eq!(done(server, user, tenant, tables), format!("table_tenant,n\n{tenant},8\n"));
            assert_eq!(done(server, user, tenant, "SELECT current_tenant() AS t"), format!("t\n{tenant}\n"));
            // Nobody gets into another tenant by the name that the catalog has for its database.
            for other in ["t", "u"].into_iter().filter(|other| *other != tenant) {
                let smuggled = format!("SELECT * FROM \"{other}\u{1f}d\".own");
                let reply = sql(server, user, tenant, &smuggled);
                assert!(reply.status() == 422 && reply.text().contains("030019"), "{}", reply.text());
            }
        }
        assert_eq!(done(server, "ann", "t", "SHOW DATABASES"), "database_name\nd\n");
        assert_eq!(done(server, "root", "cnosdb", "SHOW DATABASES"), "database_name\nd\npublic\n");
        let influxql = ask(server, "root", "/query?q=SHOW%20DATABASES", "").text();
        assert_eq!(influxql, "name,tags,name\ndatabases,,d\ndatabases,,public\n");
    };
    check(&server);
    server.kill();
    let server = Server::start_in(&folder, false, &GUARDED);
    check(&server);
    // What is changed in one is not changed in the others.
    done(&server, "ann", "t", "ALTER DATABASE d SET TTL '36500d'");
    done(&server, "ann", "t", "DROP TABLE own");
    done(&server, "bob", "u", "DELETE FROM lines");
    assert_eq!(done(&server, "bob", "u", "SELECT count(time) AS n FROM own"), "n\n3\n");
    assert_eq!(done(&server, "ann", "t", "SELECT count(time) AS n FROM lines"), "n\n2\n");
    let ttl = "SELECT ttl FROM information_schema.databases WHERE database_name = 'd'";
    assert_ne!(done(&server, "ann", "t", ttl), done(&server, "root", "cnosdb", ttl));
    done(&server, "root", "cnosdb", "DROP TENANT t");
    assert_eq!(refused(&server, "ann", "t", "SELECT 1"), error("010016", "Auth error: The tenant t not found"));
    assert_eq!(done(&server, "root", "cnosdb", "SELECT count(time) AS n FROM own"), "n\n1\n");
    let missing = refused(&server, "bob", "u", "SELECT * FROM nowhere");
    assert_eq!(missing, error("030019", "Table not found: \\\"u.d.nowhere\\\""));
    let value = format!("Basic {}", BASE64_STANDARD.encode("root:pass"));
    let metrics = server.request("GET", "/metrics", &[("Authorization", &value)], b"").text();
    assert!(metrics.contains("database=\"d\",tenant=\"u\""), "{metrics}");
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn roles_say_what_members_may_do() {
    let folder = fresh_folder();
    let server = with_tenants(&folder);
    let stranger = error("010016", "Auth error: The member cid of tenant t not found");
    assert_eq!(refused(&server, "cid", "t", "SELECT 1"), stranger);
    assert_eq!(
        refused(&server, "ann", "u", "SELECT 1"),
        error("010016", "Auth error: The member ann of tenant u not found")
    );
    let line = ask(&server, "cid", "/api/v1/write?db=d&tenant=t", "m v=1 1");
    assert_eq!((line.status(), line.text()), stranger);
    // An administrator is at home everywhere; a tenant that is not there is nobody's.
    done(&server, "root", "t", "CREATE TABLE m (v BIGINT, TAGS(k))");
    assert_eq!(refused(&server, "root", "x", "SELECT 1"), error("010016", "Auth error: The tenant x not found"));
    for text in [
        "CREATE ROLE looker",
        "CREATE ROLE keeper INHERIT member",
        "GRANT READ ON DATABASE d TO ROLE looker",
        "GRANT WRITE ON DATABASE d TO keeper",
        "ALTER TENANT t ADD USER cid AS looker",
        "CREATE DATABASE e",
        "CREATE TABLE e.m (v BIGINT)",
    ] {
        done(&server, "ann", "t", text);
    }
    let lacks = |what: &str| error("010004", &format!("Insufficient privileges, expected [{what}]"));
    let insert = "INSERT INTO m (time, k, v) VALUES (1, 'a', 1)";
    done(&server, "cid", "t", "SELECT * FROM m");
    assert_eq!(refused(&server, "cid", "t", insert), lacks("Write on database d of tenant t"));
    assert_eq!(refused(&server, "cid", "t", "SELECT * FROM e.m"), lacks("Read on database e of tenant t"));
    assert_eq!(refused(&server, "cid", "t", "CREATE DATABASE f"), lacks("Write on all databases of tenant t"));
    assert_eq!(refused(&server, "cid", "t", "DROP ROLE keeper"), lacks("maintainer for all roles of tenant t"));
    assert_eq!(done(&server, "cid", "t", "SHOW DATABASES"), "database_name\nd\n");
    assert_eq!(done(&server, "cid", "t", "SELECT current_role() AS r"), "r\nlooker\n");
    assert_eq!(done(&server, "cid", "t", "SELECT * FROM information_schema.enabled_roles"), "role_name\nlooker\n");
    assert_eq!(
        done(&server, "cid", "t", "SELECT * FROM information_schema.roles"),
        "role_name,role_type,inherit_role\n"
    );
    let members = "user_name,role_name\nann,owner\ncid,looker\n";
    assert_eq!(done(&server, "cid", "t", "SELECT * FROM information_schema.members"), members);
    let privileges = "tenant_name,database_name,privilege_type,role_name\n";
    let all = "SELECT * FROM information_schema.database_privileges ORDER BY role_name";
    assert_eq!(done(&server, "cid", "t", all), format!("{privileges}t,d,Read,looker\n"));
    assert_eq!(done(&server, "ann", "t", all), format!("{privileges}t,d,Write,keeper\nt,d,Read,looker\n"));
    // A role of one tenant is none of another's, nor is what it may do.
    assert_eq!(
        refused(&server, "cid", "cnosdb", "SELECT * FROM own"),
        lacks("Read on database d of tenant 78322384368497284380257291774744000001")
    );
    done(&server, "ann", "t", "ALTER TENANT t SET USER cid AS keeper");
    done(&server, "cid", "t", insert);
    done(&server, "cid", "t", "SELECT * FROM e.m");
    assert_eq!(refused(&server, "cid", "t", "DROP TABLE m"), lacks("Full on database d of tenant t"));
    server.kill();
    let server = Server::start_in(&folder, false, &GUARDED);
    done(&server, "cid", "t", insert);
    done(&server, "ann", "t", "REVOKE WRITE ON DATABASE d FROM ROLE keeper");
    assert_eq!(refused(&server, "cid", "t", insert), lacks("Write on database d of tenant t"));
    done(&server, "ann", "t", "ALTER TENANT t REMOVE USER cid");
    assert_eq!(refused(&server, "cid", "t", "SELECT 1"), stranger);
    // Owners make no tenants and no users, and are nobody elsewhere.
    let system = lacks("maintainer for system");
    assert_eq!(refused(&server, "ann", "t", "CREATE TENANT v"), system);
    assert_eq!(refused(&server, "ann", "t", "ALTER TENANT t UNSET _limiter"), system);
    assert_eq!(
        refused(&server, "ann", "t", "ALTER TENANT u ADD USER cid AS owner"),
        lacks("maintainer for all members of tenant u")
    );
    assert_eq!(
        done(&server, "root", "cnosdb", "SELECT tenant_name FROM cluster_schema.tenants ORDER BY tenant_name"),
        "tenant_name\ncnosdb\nt\nu\n"
    );
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn usage_is_counted_and_limits_hold() {
    let folder = fresh_folder();
    let server = with_tenants(&folder);
    done(&server, "ann", "t", "CREATE TABLE m (v BIGINT)");
    let written = ask(&server, "bob", "/api/v1/write?db=d&tenant=u", "m v=1 1");
    assert_eq!(written.status(), 200, "{}", written.text());
    let usage = |user: &str, tenant: &str, meter: &str| {
        done(
            &server,
            user,
            tenant,
            &format!("SELECT api, database, tenant, \"user\", value FROM usage_schema.{meter} ORDER BY tenant"),
        )
    };
    let head = "api,database,tenant,user,value\n";
    assert_eq!(usage("bob", "u", "http_writes"), format!("{head}/api/v1/write,d,u,bob,1\n"));
    assert_eq!(usage("ann", "t", "http_writes"), head);
    assert_eq!(usage("root", "cnosdb", "http_writes"), format!("{head}/api/v1/write,d,u,bob,1\n"));
    let bytes = usage("bob", "u", "http_data_in");
    assert!(bytes.contains("/api/v1/write,d,u,bob,7\n"), "{bytes}");
    let queries = done(
        &server,
        "ann",
        "t",
        "SELECT query_text, user_name, tenant_name, database_name FROM information_schema.queries",
    );
    assert!(
        queries.ends_with("information_schema.queries\",ann,t,d\n")
            || queries.ends_with("information_schema.queries,ann,t,d\n"),
        "{queries}"
    );
    // An interval that does not pass here: what there is at first is all.
    let bucket = |max: u64| {
        format!(
            "remote_max = {max} remote_initial = {max} remote_refill = 0 remote_interval = 1000 local_max = 0 \
             local_initial = 0"
        )
    };
    done(
        &server,
        "root",
        "cnosdb",
        &format!("ALTER TENANT t SET http_writes {}, http_queries {}", bucket(2), bucket(1)),
    );
    let write =
        |tenant: &str, user: &str| ask(&server, user, &format!("/api/v1/write?db=d&tenant={tenant}"), "w v=1 1");
    assert_eq!([write("t", "ann").status(), write("t", "ann").status()], [200, 200]);
    let over = write("t", "ann");
    assert_eq!((over.status(), over.header("retry-after").is_some()), (429, true), "{}", over.text());
    assert!(over.text().contains("030024") && over.text().contains("http_writes"), "{}", over.text());
    assert_eq!(write("u", "bob").status(), 200, "another tenant does not pay for it");
    done(&server, "ann", "t", "SELECT 1");
    assert_eq!(refused(&server, "ann", "t", "SELECT 1").0, 429);
    let push = "{\"streams\":[]}";
    let value = format!("Basic {}", BASE64_STANDARD.encode("ann:pass"));
    let headers = [("Authorization", value.as_str()), ("Content-Type", "application/json")];
    let loki = server.request("POST", "/loki/api/v1/push?db=d&tenant=t", &headers, push.as_bytes());
    assert_eq!(loki.status(), 429, "{}", loki.text());
    done(&server, "root", "cnosdb", "ALTER TENANT t UNSET _limiter");
    assert_eq!(write("t", "ann").status(), 200);
    let full = "ALTER TENANT t SET object_config max_databases = 1";
    done(&server, "root", "cnosdb", full);
    let refusal = refused(&server, "ann", "t", "CREATE DATABASE e");
    assert!(refusal.0 == 422 && refusal.1.contains("030024"), "{refusal:?}");
    let default = refused(&server, "root", "cnosdb", "ALTER TENANT cnosdb SET object_config max_databases = 1");
    assert!(default.0 == 422 && default.1.contains("010075"), "{default:?}");
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn what_was_dropped_for_later_comes_back_and_goes() {
    let folder = fresh_folder();
    let server = with_tenants(&folder);
    done(&server, "ann", "t", "CREATE TABLE m (v BIGINT)");
    done(&server, "ann", "t", "INSERT INTO m (time, v) VALUES (1, 1)");
    done(&server, "root", "cnosdb", "DROP TENANT t AFTER '1h'");
    assert_eq!(refused(&server, "ann", "t", "SELECT * FROM m"), error("010016", "Auth error: The tenant t not found"));
    let known = done(&server, "root", "cnosdb", "SELECT tenant_name FROM cluster_schema.tenants ORDER BY tenant_name");
    assert_eq!(known, "tenant_name\ncnosdb\nu\n");
    server.kill();
    let server = Server::start_in(&folder, false, &GUARDED);
    done(&server, "root", "cnosdb", "RECOVER TENANT t");
    assert_eq!(done(&server, "ann", "t", "SELECT v FROM m"), "v\n1\n");
    assert_eq!(refused(&server, "root", "cnosdb", "RECOVER TENANT x"), error("030010", "The tenant x not found"));
    done(&server, "root", "cnosdb", "DROP TENANT t AFTER '1ms'");
    // Its time is over before the next statement about tenants is carried out.
    std::thread::sleep(std::time::Duration::from_millis(2));
    done(&server, "root", "cnosdb", "CREATE TENANT t");
    assert_eq!(
        refused(&server, "root", "t", "CREATE TABLE m (v BIGINT)"),
        error("030017", "Database not found: \\\"d\\\"")
    );
    drop(server);
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn while_nobody_is_asked_a_name_that_is_a_members_counts() {
    let server = Server::start();
    let run = |user: &str, tenant: &str, text: &str| sql(&server, user, tenant, text);
    for text in ["CREATE TENANT t", "CREATE USER ann", "CREATE USER bob", "ALTER TENANT t ADD USER ann AS member"] {
        assert_eq!(run("root", "cnosdb", text).status(), 200, "{text}");
    }
    assert_eq!(run("root", "t", "CREATE DATABASE d").status(), 200);
    assert_eq!(run("ann", "t", "SHOW TABLES").status(), 200);
    assert!(run("ann", "t", "CREATE TABLE m (v BIGINT)").text().contains("010004"));
    assert!(run("bob", "t", "SHOW TABLES").text().contains("The member bob of tenant t not found"));
    // One who is a member of nothing is anybody where anybody may do everything.
    assert_eq!(run("bob", "cnosdb", "CREATE DATABASE e").status(), 200);
    assert_eq!(run("whoever", "t", "CREATE TABLE m (v BIGINT)").status(), 200);
    let influx = server.request("POST", "/query?q=SHOW%20DATABASES", &[], b"").text();
    assert!(influx.contains(r#""values":[["e"],["public"]]"#), "{influx}");
}

#[test]
fn a_tenants_rows_are_exported_and_imported_into_another() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let run = |server: &Server, tenant: &str, text: &str| {
        let reply = sql(server, "root", tenant, text);
        assert_eq!(reply.status(), 200, "{tenant}: {text}: {}", reply.text());
        reply.text()
    };
    run(&server, "cnosdb", "CREATE TENANT t");
    for (tenant, rows) in [("cnosdb", "m,k=a v=1i 1"), ("t", "m,k=a v=2i 1\nm,k=b v=3i 2\nother w=\"x y\" 3")] {
        run(&server, tenant, "CREATE DATABASE d WITH TTL '36500d'");
        let written = ask(&server, "root", &format!("/api/v1/write?db=d&tenant={tenant}"), rows);
        assert_eq!(written.status(), 200, "{}", written.text());
    }
    run(&server, "t", "CREATE TABLE empty (v DOUBLE, TAGS(k))");
    server.terminate();
    let data = folder.to_str().expect("text").to_owned();
    let tool = |arguments: &[&str]| {
        let output = tidewire(arguments);
        (output.status.success(), stderr(&output))
    };
    for format in ["lp", "parquet"] {
        let out = fresh_folder();
        let out_text = out.to_str().expect("text");
        let target = if format == "lp" { format!("{out_text}.lp") } else { out_text.to_owned() };
        let (done, said) = tool(&["export", "--data-dir", &data, "--tenant", "t", "--format", format, &target]);
        assert!(done && said.contains("not exported: databases of other tenants (cnosdb)"), "{said}");
        let server = Server::start();
        run(&server, "cnosdb", "CREATE TENANT u");
        let url = format!("http://{}", server.address);
        let (done, said) = tool(&["import", "--url", &url, "--tenant", "u", &target]);
        assert!(done && said.contains("written: 3 rows"), "{format}: {said}");
        assert_eq!(run(&server, "u", "SELECT k, v FROM m ORDER BY v"), "k,v\na,2\nb,3\n");
        assert_eq!(run(&server, "u", "SELECT w FROM other"), "w\nx y\n");
        assert_eq!(run(&server, "cnosdb", "SHOW DATABASES"), "database_name\npublic\n");
        if format == "lp" {
            assert_eq!(run(&server, "u", "SHOW TABLES"), "table_name\nempty\nm\nother\n");
            // A tenant that is not there is none to write to, and what only InfluxDB's API can say is refused.
            let (done, said) = tool(&["import", "--url", &url, "--tenant", "nosuch", &target]);
            assert!(!done && said.contains("nosuch"), "{said}");
            let (done, said) = tool(&["import", "--url", &url, "--tenant", "u", "--dialect", "influxdb", &target]);
            assert!(!done && said.contains("--tenant: lines of InfluxDB's dialect go to /write"), "{said}");
        }
        let _ = std::fs::remove_dir_all(&out);
        let _ = std::fs::remove_file(&target);
    }
    let _ = std::fs::remove_dir_all(&folder);
}
