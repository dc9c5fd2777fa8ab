//! OpenTSDB's commands line by line, on connections of their own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::rows;
use crate::common::{Server, fresh_folder};

const LISTEN: (&str, &str) = ("TIDEWIRE_OPENTSDB_TELNET_LISTEN", "127.0.0.1:0");

fn start(variables: &[(&str, &str)]) -> Server {
    Server::start_in(&fresh_folder(), true, &[&[LISTEN], variables].concat())
}

fn connect(server: &Server) -> TcpStream {
    let address = server.telnet_address.as_ref().expect("it takes commands");
    let socket = TcpStream::connect(address).expect("it accepts");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    socket
}

fn send(mut socket: &TcpStream, text: impl AsRef<[u8]>) {
    socket.write_all(text.as_ref()).expect("it takes lines");
}

/// What is said up to the end of a line.
fn line(mut socket: &TcpStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        if socket.read(&mut byte).expect("it answers") == 0 {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("UTF-8")
}

/// All that is said up to the end of the connection.
fn rest(mut socket: &TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("it ends the connection");
    text
}

/// Sends lines and ends; what was said to them. Everything is done by then.
fn said(server: &Server, text: impl AsRef<[u8]>) -> String {
    let socket = connect(server);
    send(&socket, text);
    send(&socket, "exit\n");
    rest(&socket)
}

#[test]
fn nobody_listens_unless_told() {
    assert_eq!(Server::start().telnet_address, None);
}

#[test]
fn puts_are_rows_and_say_nothing() {
    let server = start(&[]);
    let socket = connect(&server);
    send(&socket, "put sys.if 1667456411 1 host=web01\r\nput sys.if 16674564");
    send(&socket, "12001 2.5 host=web01 if=eth0\nversion\n");
    assert!(line(&socket).starts_with("Tidewire "));
    // The answer comes behind what was sent before it, which is durable by then.
    assert_eq!(
        rows(&server, "SELECT * FROM \"sys.if\" ORDER BY time"),
        "time,host,if,value\n2022-11-03T06:20:11.000000000,web01,,1.0\n2022-11-03T06:20:12.001000000,web01,eth0,2.5\n"
    );
    assert_eq!(server.metric("tidewire_door_rows_total", "opentsdb"), 2.0);
    send(&socket, "help\nquit\n");
    assert!(rest(&socket).contains("put version"));
}

#[test]
fn errors_are_text_and_other_lines_are_taken() {
    let server = start(&[]);
    let said = said(
        &server,
        b"put m x 1 a=b\nput m 1 y a=b\nput m 1 1\nput m\nput\nput m 1 1 a=\xff\nput m 7 7 a=b\nnosuch thing\n\xff\n\n",
    );
    assert_eq!(
        said,
        "put: invalid timestamp: x\nput: invalid value: y\nput: illegal argument: a tag is missing\n\
         put: illegal argument: the timestamp is missing\nput: illegal argument: the metric is missing\n\
         put: illegal argument: the text is not UTF-8\nunknown command: nosuch.  Try `help'.\n\
         unknown command: \u{fffd}.  Try `help'.\n"
    );
    assert_eq!(rows(&server, "SELECT value FROM m"), "value\n7.0\n");
    // A point that does not fit its table.
    assert_eq!(server.request("POST", "/api/v1/write", &[], b"n value=\"x\" 1\n").status(), 200);
    let refused = self::said(&server, "put n 1 1 a=b\nput m 8 8 a=b\n");
    assert!(refused.starts_with("put: illegal argument: column \"value\" of table \"n\" is"), "{refused}");
    assert_eq!(refused.lines().count(), 1);
    let many = self::said(&server, "put m x 1 a=b\n".repeat(300));
    assert!(many.ends_with("put: 200 more points are not taken\n"), "{many}");
    assert_eq!(rows(&server, "SELECT count(*) FROM m"), "COUNT(UInt8(1))\n2\n");
    assert_eq!(server.metric("tidewire_door_rows_refused_total", "opentsdb"), 307.0);
}

#[test]
fn the_database_is_the_one_that_is_set() {
    let server = start(&[("TIDEWIRE_OPENTSDB_TELNET_DATABASE", "metrics")]);
    assert_eq!(said(&server, "put m 1 1 a=b\n"), "put: database not found: \"metrics\"\n");
    assert_eq!(server.sql("public", "CREATE DATABASE metrics").status(), 200);
    assert_eq!(said(&server, "put m 1 1 a=b\n"), "");
    let found = server.sql("metrics", "SELECT value FROM m").text();
    assert_eq!(found, "value\n1.0\n");
}

#[test]
fn many_points_come_in_pieces_of_any_length() {
    let server = start(&[]);
    let text: String =
        (0..30_000).map(|at| format!("put many {} {at} host=h{}\n", 1_667_456_411 + at, at % 50)).collect();
    let socket = connect(&server);
    let mut rng = fastrand::Rng::with_seed(3);
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let (piece, behind) = left.split_at(left.len().min(rng.usize(1..40_000)));
        send(&socket, piece);
        left = behind;
    }
    send(&socket, "exit\n");
    assert_eq!(rest(&socket), "");
    let found = rows(&server, "SELECT count(*), sum(value), count(DISTINCT host) FROM many");
    assert_eq!(found.lines().nth(1), Some("30000,449985000.0,50"));
}

#[test]
fn a_line_without_an_end_is_no_line() {
    let server = start(&[]);
    let socket = connect(&server);
    send(&socket, "put m 1 1 a=b\nput m 2 12");
    socket.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&socket), "");
    // One that never ends is refused.
    let socket = connect(&server);
    send(&socket, "put m 3 3 a=b\n");
    send(&socket, vec![b'x'; 16 << 10]);
    assert_eq!(rest(&socket), "error: the line is too long\n");
    assert_eq!(rows(&server, "SELECT value FROM m ORDER BY time"), "value\n1.0\n3.0\n");
    server.wait_until("all connections are gone", |server| server.metric("tidewire_connections", "") <= 1.0);
    // What speaks something else gets so much of an answer and no more.
    let socket = connect(&server);
    let mut writing = socket.try_clone().expect("a handle");
    let writer = std::thread::spawn(move || while writing.write_all(&b"GET / HTTP/1.1\n".repeat(1000)).is_ok() {});
    let mut text = Vec::new();
    // The end may be a reset, since more was sent than is read.
    let _ = (&socket).take(1 << 20).read_to_end(&mut text);
    assert!(text.len() < 1 << 20 && text.starts_with(b"unknown command: GET.  Try `help'.\n"), "{} bytes", text.len());
    drop(socket);
    writer.join().expect("it ends");
}

#[test]
fn a_full_shard_is_told_in_text() {
    let variables = [
        ("TIDEWIRE_ADMISSION_BYTES_MAX", "1048576"),
        ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "1048576"),
        ("TIDEWIRE_MEMTABLE_BYTES_MAX", "2097152"),
    ];
    let server = start(&variables);
    // One batch with more rows than a shard may ever be granted.
    let tags: String = (0..20).map(|at| format!(" tag{at}={}", "v".repeat(500))).collect();
    let text: String = (0..400).map(|at| format!("put full {} 1 host=h{at}{tags}\n", 1_667_456_411 + at)).collect();
    let said = said(&server, text);
    assert!(said.lines().all(|line| line.starts_with("put: ")), "{said}");
    // Whatever was refused, the connection went on; what was taken is there.
    let rows = server.sql("public", "SELECT count(*) FROM full").status();
    assert!(matches!(rows, 200 | 422), "{rows}");
}

#[test]
fn connections_are_bounded_together_with_the_others() {
    let server = start(&[("TIDEWIRE_HTTP_CONNECTIONS_MAX", "2")]);
    let (one, other) = (connect(&server), connect(&server));
    for socket in [&one, &other] {
        send(socket, "version\n");
        assert!(line(socket).starts_with("Tidewire "));
    }
    assert_eq!(rest(&connect(&server)), "error: too many connections\n");
    drop((one, other));
    server.wait_until("there is room again", |server| {
        let socket = connect(server);
        send(&socket, "version\n");
        line(&socket).starts_with("Tidewire ")
    });
}

#[test]
fn idle_connections_end() {
    let server = start(&[("TIDEWIRE_HTTP_IDLE_TIMEOUT_MS", "200"), ("TIDEWIRE_HTTP_BODY_TIMEOUT_MS", "200")]);
    assert_eq!(rest(&connect(&server)), "");
    let socket = connect(&server);
    send(&socket, "put m 1 1 a");
    assert_eq!(rest(&socket), "");
    assert_eq!(said(&server, "put m 1 1 a=b\n"), "");
}

#[test]
fn with_users_a_connection_says_first_who_it_is() {
    let server = start(&[("TIDEWIRE_AUTH_ENABLED", "true")]);
    let first = "/query?q=CREATE%20USER%20root%20WITH%20PASSWORD%20'pass'%20WITH%20ALL%20PRIVILEGES";
    assert_eq!(server.request("POST", first, &[], b"").status(), 200);
    let query = |text: &str| {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let reply = server.request("POST", &format!("/query?u=root&p=pass&q={encoded}"), &[], b"").text();
        assert!(!reply.contains("error"), "{reply}");
    };
    query("CREATE USER writer WITH PASSWORD 'two words'");
    query("CREATE USER reader WITH PASSWORD 'pass'");
    query("GRANT WRITE ON public TO writer");
    query("GRANT READ ON public TO reader");

    let put = "put m 1 1 a=b\n";
    let unknown = "put: authentication is required: auth basic USER PASSWORD\n";
    assert_eq!(said(&server, put), unknown);
    assert!(said(&server, "version\n").starts_with("Tidewire "));
    for wrong in ["auth\n", "auth basic\n", "auth basic writer\n", "auth basic writer wrong\n", "auth token x y\n"] {
        assert_eq!(said(&server, format!("{wrong}{put}")), format!("AUTH_FAIL\r\n{unknown}"), "{wrong}");
    }
    let may_not = "AUTH_SUCCESS\r\nput: the user may not write into the database\n";
    assert_eq!(said(&server, format!("auth basic reader pass\n{put}")), may_not);
    let socket = connect(&server);
    send(&socket, format!("auth basic writer two words\n{put}version\n"));
    assert_eq!(line(&socket), "AUTH_SUCCESS\r\n");
    assert!(line(&socket).starts_with("Tidewire "));
    // What is taken from the user is taken from its connections.
    query("REVOKE WRITE ON public FROM writer");
    send(&socket, put);
    assert_eq!(line(&socket), "put: the user may not write into the database\n");
    query("SET PASSWORD FOR writer = 'other'");
    send(&socket, put);
    assert_eq!(line(&socket), "put: authentication is required: the user has changed\n");
    // A failed login ends the one before.
    let ended = said(&server, format!("auth basic root pass\nauth basic root wrong\n{put}"));
    assert_eq!(ended, format!("AUTH_SUCCESS\r\nAUTH_FAIL\r\n{unknown}"));
    let header = [("Authorization", "Basic cm9vdDpwYXNz")];
    let found = server.request("POST", "/api/v1/sql", &header, b"SELECT value FROM m").text();
    assert_eq!(found, "value\n1.0\n");
}

#[test]
fn what_has_arrived_before_the_end_is_written() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[LISTEN]);
    let (busy, idle) = (connect(&server), connect(&server));
    let text: String = (0..20_000).map(|at| format!("put last {} {at} host=h\n", 1_667_456_411 + at)).collect();
    send(&busy, &text);
    send(&busy, "put last 1 1 host=half");
    server.terminate();
    assert_eq!((rest(&busy), rest(&idle)), (String::new(), String::new()));
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(rows(&server, "SELECT count(*) FROM last"), "COUNT(UInt8(1))\n20000\n");
}
