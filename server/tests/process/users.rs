//! Users over `/query`: made, granted and dropped, kept over a restart, and no password of theirs is anywhere.

use std::path::Path;

use crate::common::{Server, files, fresh_folder};

/// Passwords; none is a part of anything else here.
const SECRETS: [&str; 3] = ["zirkon-erste", "zirkon-zweite", "zirkon-dritte"];

/// The replies' results to a request of statements, as they come.
fn query(server: &Server, text: &str) -> String {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let reply = server.request("POST", "/query", &form, format!("q={encoded}").as_bytes());
    assert_eq!(reply.status(), 200, "{text}: {}", reply.text());
    reply.text().trim_end().to_owned()
}

fn error(text: &str) -> String {
    format!("{{\"results\":[{{\"statement_id\":0,\"error\":\"{text}\"}}]}}")
}

fn assert_no_secret_in(folder: &Path) {
    for file in files(folder) {
        let bytes = std::fs::read(&file).expect("it can be read");
        for secret in SECRETS {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} is in {}", file.display());
        }
    }
}

#[test]
fn users_are_made_granted_and_dropped_and_outlive_a_restart() {
    let folder = fresh_folder();
    let log = folder.with_extension("log");
    let variables = [("TIDEWIRE_LOG_ACCESS", "all"), ("TIDEWIRE_LOG_SLOW_QUERY_MS", "1")];
    let server = Server::start_logged(&log, &folder, false, &variables);
    let done = "{\"results\":[{\"statement_id\":0}]}";
    let users = |server: &Server| query(server, "SHOW USERS");
    let none = "{\"results\":[{\"statement_id\":0,\"series\":[{\"columns\":[\"user\",\"admin\"]}]}]}";
    assert_eq!(users(&server), none);
    let [first, second, third] = SECRETS;
    let create = format!("CREATE USER root WITH PASSWORD '{first}' WITH ALL PRIVILEGES");
    assert_eq!(query(&server, &create), done);
    assert_eq!(query(&server, &create), done, "the same again is no error");
    assert_eq!(query(&server, &format!("CREATE USER root WITH PASSWORD '{first}'")), error("user already exists"));
    let other = format!("CREATE USER root WITH PASSWORD '{second}' WITH ALL PRIVILEGES");
    assert_eq!(query(&server, &other), error("user already exists"));
    assert_eq!(query(&server, &format!("CREATE USER \"\" WITH PASSWORD '{first}'")), error("username required"));
    assert_eq!(query(&server, &format!("CREATE USER bob WITH PASSWORD '{second}'")), done);
    assert_eq!(query(&server, &format!("SET PASSWORD FOR bob = '{third}'")), done);
    assert_eq!(query(&server, &format!("CREATE USER bob WITH PASSWORD '{third}'")), done, "the new password holds");
    assert_eq!(query(&server, &format!("SET PASSWORD FOR eve = '{third}'")), error("user not found"));
    assert_eq!(query(&server, "CREATE DATABASE d"), done);
    for (statement, answer) in [
        ("GRANT READ ON d TO bob", done.to_owned()),
        ("GRANT WRITE ON public TO bob", done.to_owned()),
        ("GRANT READ ON d TO eve", error("user not found")),
        ("GRANT READ ON e TO bob", error("database not found: e")),
        ("REVOKE ALL ON public FROM bob", done.to_owned()),
        ("REVOKE READ ON d FROM eve", error("user not found")),
        ("SHOW GRANTS FOR eve", error("user not found")),
        ("DROP USER eve", error("user not found")),
        ("REVOKE ALL PRIVILEGES FROM root", done.to_owned()),
        ("GRANT ALL PRIVILEGES TO bob", done.to_owned()),
    ] {
        assert_eq!(query(&server, statement), answer, "{statement}");
    }
    let shown = |rows: &str| {
        format!(
            "{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"columns\":[\"database\",\"privilege\"],\
             \"values\":[{rows}]}}]}}]}}"
        )
    };
    let grants = "SHOW GRANTS FOR bob";
    assert_eq!(query(&server, grants), shown("[\"d\",\"READ\"],[\"public\",\"NO PRIVILEGES\"]"));
    // A list shows itself, too.
    let queries = query(&server, &format!("SHOW QUERIES; SET PASSWORD FOR eve = '{first}'"));
    assert!(queries.contains("[REDACTED]") && !queries.contains(first), "{queries}");
    server.kill();
    let server = Server::start_logged(&log, &folder, false, &variables);
    let both = "\"values\":[[\"bob\",true],[\"root\",false]]";
    assert!(users(&server).contains(both), "{}", users(&server));
    assert_eq!(query(&server, grants), shown("[\"d\",\"READ\"],[\"public\",\"NO PRIVILEGES\"]"));
    assert_eq!(query(&server, "DROP DATABASE d"), done);
    assert_eq!(query(&server, "CREATE DATABASE d"), done);
    assert_eq!(query(&server, grants), shown("[\"public\",\"NO PRIVILEGES\"]"), "grants go with their database");
    assert_eq!(query(&server, "DROP USER bob"), done);
    assert_eq!(query(&server, "DROP USER root"), done);
    assert_eq!(users(&server), none);
    server.terminate();
    assert_no_secret_in(&folder.join("meta"));
    let said = std::fs::read_to_string(&log).expect("the log is there");
    let _ = std::fs::remove_file(&log);
    assert!(said.contains("CREATE USER root WITH PASSWORD …"), "a hash takes long: {said}");
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
    let _ = std::fs::remove_dir_all(&folder);
}
