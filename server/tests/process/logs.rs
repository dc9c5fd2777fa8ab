//! The log tells a story: what starts and with which settings, what recovery found, what is refused and why, which
//! statements are slow, and which requests there were, where that is wanted.

use std::path::{Path, PathBuf};

use crate::common::{Client, Server, fresh_folder};

/// A file for a log, beside the data folder.
fn log_of(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).expect("the log is there")
}

/// The lines with `what`.
fn lines<'l>(log: &'l str, what: &str) -> Vec<&'l str> {
    log.lines().filter(|line| line.contains(what)).collect()
}

#[test]
fn a_start_says_what_it_is_and_recovery_speaks_in_words() {
    let folder = fresh_folder();
    let log = log_of(&folder);
    let variables = [("TIDEWIRE_SHARDS", "2"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "86400"), ("TIDEWIRE_ROLE", "x")];
    let server = Server::start_logged(&log, &folder, false, &variables);
    let body: String = (0..100).map(|n| format!("m,host=h{n} v={n}i {n}\n")).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], body.as_bytes()).status(), 200);
    server.kill();
    let first = read(&log);
    assert_eq!(
        lines(&first, &format!("Tidewire {} starts; configuration: no file", env!("CARGO_PKG_VERSION"))).len(),
        1
    );
    assert_eq!(lines(&first, &format!("data folder {}; to listen on 127.0.0.1:0", folder.display())).len(), 1);
    let settings = lines(&first, "settings beside the defaults: ");
    assert!(settings.len() == 1 && settings[0].contains("memtable.flush_idle_s = 86400"), "{settings:?}");
    assert!(settings[0].contains("memory.bytes_max = "), "what was derived is there: {settings:?}");
    assert_eq!(lines(&first, "TIDEWIRE_ROLE is no setting and is passed over").len(), 1);
    assert_eq!(lines(&first, "; nothing of the log had to be replayed").len(), 2);

    let _ = std::fs::remove_file(&log);
    Server::start_logged(&log, &folder, true, &variables).terminate();
    let second = read(&log);
    let _ = std::fs::remove_file(&log);
    let replayed = lines(&second, " of the log were replayed");
    assert!(!replayed.is_empty() && replayed.iter().all(|line| line.contains(" is open after ")), "{replayed:?}");
    assert!(lines(&second, "Recovery {").is_empty(), "no insides");
}

#[test]
fn refused_requests_are_logged_with_their_reason_a_line_a_second() {
    let folder = fresh_folder();
    let log = log_of(&folder);
    let server = Server::start_logged(&log, &folder, true, &[("TIDEWIRE_CORES", "2")]);
    let mut client = Client::connect(&server.address);
    for _ in 0..500 {
        client.send("POST", "/write?db=%1b%5b2J%0aforged", &[], b"m v=1 1");
        assert_eq!(client.read(false).status(), 404);
    }
    assert_eq!(server.request("GET", "/ping", &[], b"").status(), 204);
    server.terminate();
    let log_text = read(&log);
    let _ = std::fs::remove_file(&log);
    let refused = lines(&log_text, "refused: 127.0.0.1:");
    // As many as seconds have passed, on the connection's one core.
    assert!(!refused.is_empty() && refused.len() < 100, "{}", refused.len());
    assert!(refused[0].contains(" POST /write 404 in ") && refused[0].contains("u{1b}[2J"), "{}", refused[0]);
    assert!(lines(&log_text, "/ping").is_empty());
}

#[test]
fn the_access_log_has_errors_or_all_and_slow_statements_their_text() {
    let folder = fresh_folder();
    let log = log_of(&folder);
    for access in ["errors", "all"] {
        let variables = [("TIDEWIRE_LOG_ACCESS", access), ("TIDEWIRE_LOG_SLOW_QUERY_MS", "1")];
        let server = Server::start_logged(&log, &folder, false, &variables);
        assert_eq!(server.request("GET", "/ping", &[], b"").status(), 204);
        for _ in 0..20 {
            assert_eq!(server.request("POST", "/write?db=nowhere", &[], b"m v=1 1").status(), 404);
        }
        // Several seconds of work, if nothing ends it: a statement that takes longer than a millisecond.
        let slow = "SELECT count(DISTINCT a.v) FROM (SELECT 1 AS v) a WHERE 'x' ~ '(x+x+)+y'";
        let _ = server.sql("public", slow);
        server.sql("public", "SELECT * FROM m1 WHERE password = 'secret'");
        server.terminate();
        let text = read(&log);
        let _ = std::fs::remove_file(&log);
        assert_eq!(lines(&text, " method=POST path=/write status=404 ms=").len(), 20, "{access}");
        assert_eq!(lines(&text, " method=GET path=/ping status=204 ms=").len(), usize::from(access == "all"));
        assert!(!text.contains("secret"), "{access}");
    }
    let variables = [("TIDEWIRE_LOG_SLOW_QUERY_MS", "1")];
    let server = Server::start_logged(&log, &folder, true, &variables);
    let body: String = (0..20_000).map(|n| format!("m,host=h{} v={n}i {n}\n", n % 100)).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], body.as_bytes()).status(), 200);
    assert_eq!(server.sql("public", "SELECT host, v\n  FROM m\n ORDER BY v").status(), 200);
    let target = "/query?db=public&q=SELECT%20v%20FROM%20m";
    assert_eq!(server.request("GET", target, &[], b"").status(), 200);
    server.terminate();
    let text = read(&log);
    let _ = std::fs::remove_file(&log);
    let slow = lines(&text, " slow id=");
    let has = |what: &str, more: &str| slow.iter().any(|line| line.contains(what) && line.contains(more));
    let (sql, influx) = ("path=/api/v1/sql kind=SELECT status=200 ms=", "path=/query kind=SELECT status=200 ms=");
    assert!(has(sql, " rows=20000 statement=\"SELECT host, v   FROM m  ORDER BY v\""), "{slow:?}");
    assert!(has(influx, " rows=20000 statement=\"SELECT v FROM m\""), "{slow:?}");
}

#[test]
fn at_level_trace_libraries_say_nothing_of_their_insides() {
    let folder = fresh_folder();
    let log = log_of(&folder);
    let server = Server::start_logged(&log, &folder, true, &[("TIDEWIRE_LOG_LEVEL", "trace")]);
    assert_eq!(server.sql("public", "SELECT 1 + 1 AS x WHERE 'a' ~ 'b'").status(), 200);
    server.terminate();
    let text = read(&log);
    let _ = std::fs::remove_file(&log);
    assert!(text.contains("starts; configuration"));
    // Of the SQL parser, for one, which says at debug level what it parses.
    for inside in ["sqlparser", "Parsing sql", "parsing expr", "prefix:", "infix"] {
        assert!(!text.contains(inside), "{inside}: {text}");
    }
}

#[test]
fn administration_is_logged_whatever_the_level_and_without_passwords() {
    let folder = fresh_folder();
    let log = log_of(&folder);
    let server = Server::start_logged(&log, &folder, true, &[("TIDEWIRE_LOG_LEVEL", "warn")]);
    let id = [("X-Request-Id", "change-7")];
    let sql = |text: &str| server.request("POST", "/api/v1/sql?db=public", &id, text.as_bytes()).status();
    assert_eq!(sql("CREATE USER u WITH PASSWORD = 'secret'"), 200);
    assert_eq!(sql("CREATE TABLE t (v DOUBLE)"), 200);
    assert_eq!(sql("INSERT INTO t (time, v) VALUES (1, 2)"), 200);
    assert_eq!(sql("DELETE FROM t WHERE time = 1"), 200);
    assert_eq!(sql("SELECT * FROM t"), 200);
    assert_eq!(sql("DROP TABLE nosuch"), 422);
    let query = |text: &str| {
        let form = [("Content-Type", "application/x-www-form-urlencoded"), id[0]];
        server.request("POST", "/query?db=public", &form, format!("q={text}").as_bytes()).status()
    };
    assert_eq!(query("CREATE USER a WITH PASSWORD 'secret'; SELECT v FROM t; DROP DATABASE nothing"), 200);
    assert_eq!(query("CREATE RETENTION POLICY p ON nosuch DURATION 1h REPLICATION 1"), 200);
    server.terminate();
    let text = read(&log);
    let _ = std::fs::remove_file(&log);
    let said: Vec<&str> =
        lines(&text, " audit id=").into_iter().filter_map(|line| line.split(" audit ").nth(1)).collect();
    let expected = [
        ("/api/v1/sql", "CREATE", "CREATE USER u WITH PASSWORD …", "done"),
        ("/api/v1/sql", "CREATE", "CREATE TABLE t (v DOUBLE)", "done"),
        ("/api/v1/sql", "DELETE", "DELETE FROM t WHERE time = 1", "done"),
        ("/api/v1/sql", "DROP", "DROP TABLE nosuch", "refused reason="),
        ("/query", "CREATE", "CREATE USER a WITH PASSWORD …", "done"),
        ("/query", "DROP", "DROP DATABASE nothing", "done"),
        ("/query", "CREATE", "CREATE RETENTION POLICY p ON nosuch DURATION 1h0m0s REPLICATION 1", "refused reason="),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, (path, kind, statement, outcome)) in said.iter().zip(expected) {
        let end = format!(" path={path} kind={kind} statement=\"{statement}\" outcome={outcome}");
        let is_whole =
            line.starts_with("id=change-7 user=root tenant=cnosdb address=127.0.0.1:") && line.contains(&end);
        assert!(is_whole, "{line:?} and not {end:?}");
    }
    assert!(!text.contains("secret"), "{text}");
}

/// The objects in a file of lines of JSON.
fn objects(file: &Path) -> Vec<serde_json::Value> {
    read(file)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn requests_administration_and_slow_statements_have_files_that_can_be_rotated() {
    let folder = fresh_folder();
    let logs = folder.with_extension("logs");
    std::fs::create_dir_all(&logs).expect("a folder");
    let path = |name: &str| logs.join(name);
    let [access, audit, slow, server_log] = ["access", "audit", "slow", "server"].map(path);
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (access_file, audit_file, slow_file) = (text(&access), text(&audit), text(&slow));
    let variables = [
        ("TIDEWIRE_LOG_FORMAT", "json"),
        ("TIDEWIRE_LOG_ACCESS", "all"),
        ("TIDEWIRE_LOG_SLOW_QUERY_MS", "1"),
        ("TIDEWIRE_LOG_ACCESS_FILE", access_file.as_str()),
        ("TIDEWIRE_LOG_AUDIT_FILE", &audit_file),
        ("TIDEWIRE_LOG_SLOW_QUERY_FILE", &slow_file),
    ];
    let server = Server::start_logged(&server_log, &folder, true, &variables);
    let id = [("X-Request-Id", "7\t\"8\"")];
    let rows: String = (0..20_000).map(|n| format!("m,host=h{} v={n}i {n}\n", n % 100)).collect();
    assert_eq!(server.request("POST", "/api/v1/write?db=public", &id, rows.as_bytes()).status(), 200);
    let select = "-- all\nSELECT host, v FROM m ORDER BY v";
    assert_eq!(server.request("POST", "/api/v1/sql?db=public", &id, select.as_bytes()).status(), 200);
    let create = "CREATE USER u WITH PASSWORD = 'secret'";
    assert_eq!(server.request("POST", "/api/v1/sql?db=public", &id, create.as_bytes()).status(), 200);
    assert_eq!(server.request("GET", "/query?db=nosuch&q=SELECT%20v%20FROM%20m", &[], b"").status(), 200);
    assert_eq!(server.request("GET", "/nowhere", &[], b"").status(), 404);

    // As logrotate does it: the files are moved away, then the server hears of it.
    let settled = |server: &Server, file: &Path, count: usize| {
        server.wait_until("the lines are written", |_| read(file).lines().count() >= count);
    };
    settled(&server, &access, 5);
    settled(&server, &audit, 1);
    settled(&server, &slow, 1);
    for file in [&access, &audit, &slow] {
        std::fs::rename(file, file.with_extension("1")).expect("a file can be moved");
    }
    server.signal(rustix::process::Signal::HUP);
    server.wait_until("the files are there anew", |_| [&access, &audit, &slow].iter().all(|file| file.exists()));
    assert_eq!(server.request("GET", "/ping", &[("X-Request-Id", "later")], b"").status(), 204);
    assert_eq!(server.sql("public", "DROP USER u").status(), 200);
    server.terminate();

    let of = |record: &serde_json::Value, names: &[&str]| -> Vec<String> {
        names
            .iter()
            .map(|name| record[*name].as_str().map_or_else(|| record[*name].to_string(), str::to_owned))
            .collect()
    };
    let whole = ["log", "id", "user", "tenant", "method", "path", "kind", "status", "rows"];
    let old = objects(&access.with_extension("1"));
    let found: Vec<Vec<String>> = old.iter().map(|record| of(record, &whole)).collect();
    // A tab is a blank.
    let (id, root, tenant) = ("7 \"8\"", "root", "cnosdb");
    assert_eq!(found[0], ["access", id, root, tenant, "POST", "/api/v1/write", "null", "200", "20000"]);
    assert_eq!(found[1], ["access", id, root, tenant, "POST", "/api/v1/sql", "SELECT", "200", "20000"]);
    assert_eq!(found[2], ["access", id, root, tenant, "POST", "/api/v1/sql", "CREATE", "200", "0"]);
    assert_eq!(found[3][4..], ["GET", "/query", "SELECT", "200", "0"]);
    assert_eq!(found[4][4..], ["GET", "/nowhere", "null", "404", "null"]);
    assert_eq!(old[4]["reason"], "no such path");
    assert!(old.iter().all(|record| record["ms"].is_number()), "{old:?}");
    assert!(
        old.iter().all(|record| record["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")))
    );
    let first = &objects(&audit.with_extension("1"))[0];
    assert_eq!(
        of(first, &["log", "id", "outcome", "statement"]),
        ["audit", id, "done", "CREATE USER u WITH PASSWORD …"]
    );
    let statement = &objects(&slow.with_extension("1"))[0];
    assert_eq!(
        of(statement, &["log", "kind", "statement"]),
        ["slow", "SELECT", "-- all SELECT host, v FROM m ORDER BY v"]
    );

    let new = objects(&access);
    assert_eq!(new[0]["id"], "later");
    assert_eq!(objects(&audit)[0]["statement"], "DROP USER u");
    // The server's own lines are objects, too, and none of these are among them.
    let own = objects(&server_log);
    assert!(own.iter().all(|record| record["log"] == "server" && record["level"].is_string()), "{own:?}");
    let _ = std::fs::remove_dir_all(&logs);
}

#[test]
fn a_file_of_the_log_that_cannot_be_opened_ends_the_start() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(fresh_folder())
        .env("TIDEWIRE_LOG_AUDIT_FILE", "/nosuch/folder/audit")
        .output()
        .expect("the server starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("cannot open /nosuch/folder/audit for the log"), "{told}");
}
