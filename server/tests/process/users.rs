//! Users over `/query`: made, granted and dropped, kept over a restart, and no password of theirs is anywhere.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

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

/// The same users by SQL.
#[test]
fn users_of_sql_are_those_of_influxql() {
    let folder = fresh_folder();
    let log = folder.with_extension("log");
    let guarded = [("TIDEWIRE_AUTH_ENABLED", "true"), ("TIDEWIRE_LOG_ACCESS", "all")];
    let server = Server::start_logged(&log, &folder, false, &guarded);
    let [first, second, third] = SECRETS;
    query(&server, &format!("CREATE USER root WITH PASSWORD '{first}' WITH ALL PRIVILEGES"));
    let ask = |server: &Server, user: &str, secret: &str, text: &str| {
        let credentials = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{secret}")));
        server.request("POST", "/api/v1/sql", &[("Authorization", &credentials)], text.as_bytes())
    };
    let done = |text: &str| {
        let reply = ask(&server, "root", first, text);
        assert_eq!(reply.status(), 200, "{text}: {}", reply.text());
        reply.text()
    };
    let refused = |text: &str| {
        let reply = ask(&server, "root", first, text);
        assert_eq!(reply.status(), 422, "{text}: {}", reply.text());
        reply.text()
    };
    done(&format!("CREATE USER ann WITH password = '{second}', comment = 'of \"ours\"' must_change_password = true"));
    done("CREATE USER IF NOT EXISTS ann WITH granted_admin = true");
    done("CREATE USER bob");
    assert!(refused("CREATE USER bob").contains("030007"));
    assert!(refused("ALTER USER carl SET comment = 'x'").contains("030008"));
    assert!(refused("DROP USER carl").contains("030008"));
    for wrong in
        ["CREATE USER x WITH colour = 'red'", "ALTER USER ann SET granted_admin = 7", "ALTER USER ann", "CREATE USER"]
    {
        assert!(refused(wrong).contains("010009"), "{wrong}");
    }
    done("DROP USER IF EXISTS carl");
    let shown = "SELECT is_admin, user_options FROM cluster_schema.users WHERE user_name = 'ann'";
    let options = |text: &str| format!("is_admin,user_options\nfalse,\"{}\"\n", text.replace('"', "\"\""));
    let made = r#"{"hash_password":"*****","must_change_password":true,"comment":"of \"ours\""}"#;
    assert_eq!(done(shown), options(made));
    done("ALTER USER ann SET comment = 'c'");
    done("ALTER USER ann SET must_change_password = false");
    let changed = r#"{"hash_password":"*****","must_change_password":false,"comment":"c"}"#;
    assert_eq!(done(shown), options(changed));
    // Who may log in, and with what.
    let status = |user: &str, secret: &str| ask(&server, user, secret, "SELECT 1").status();
    assert_eq!(
        [status("ann", second), status("ann", third), status("bob", ""), status("bob", second)],
        [200, 401, 401, 401]
    );
    done(&format!("ALTER USER ann SET password = '{third}'"));
    assert_eq!([status("ann", second), status("ann", third)], [401, 200]);
    assert_eq!(ask(&server, "ann", third, "DROP USER bob").status(), 422);
    done("ALTER USER ann RENAME TO eve");
    done("ALTER USER eve SET granted_admin = true");
    done("ALTER USER bob SET password = ''");
    assert_eq!([status("ann", third), status("eve", third)], [401, 200]);
    assert_eq!(ask(&server, "eve", third, "DROP USER bob").status(), 200);
    server.terminate();
    let again = Server::start_in(&folder, false, &guarded);
    let found = ask(&again, "eve", third, "SELECT user_name, is_admin FROM cluster_schema.users ORDER BY user_name");
    assert_eq!(found.text(), "user_name,is_admin\neve,true\nroot,true\n");
    again.terminate();
    assert_no_secret_in(&folder.join("meta"));
    let bytes = std::fs::read(&log).expect("the log");
    for secret in SECRETS {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in the log");
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}
