//! Subscriptions: rows that are written come to a listener, too, in all their types, from every door; they are there
//! after a restart; a destination that does not take them holds nobody up.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{Server, fresh_folder};
use crate::damage::failing_start_with;
use crate::deletes::{DONE, encoded, influx};
use crate::tls::{Guarded, fixture};

/// A request that a listener got.
struct Got {
    target: String,
    body: String,
}

/// An HTTP server that answers every request with `status`.
fn listen(status: &'static str) -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream.expect("a connection"));
                while let Some(got) = read(&mut stream) {
                    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    let answered = stream.get_mut().write_all(reply.as_bytes());
                    if sender.send(got).is_err() || answered.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, receiver)
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut first = String::new();
    if stream.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a header");
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the body");
    let target = first.split(' ').nth(1).expect("a target").to_owned();
    Some(Got { target, body: String::from_utf8(body).expect("text") })
}

/// The next `count` lines that come, sorted.
fn lines(from: &Receiver<Got>, target: &str, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let got = from.recv_timeout(Duration::from_secs(60)).expect("rows come");
        assert_eq!(got.target, target);
        lines.extend(got.body.lines().map(str::to_owned));
    }
    lines.sort();
    lines
}

fn write(server: &Server, target: &str, lines: &str) {
    let response = server.request("POST", target, &[], lines.as_bytes());
    assert!(matches!(response.status(), 200 | 204), "{}", response.text());
}

fn sent(server: &Server) -> [f64; 3] {
    ["sent", "failed", "dropped"].map(|of| server.metric(&format!("tidewire_subscription_rows_{of}_total"), ""))
}

fn create(name: &str, policy: &str, mode: &str, urls: &[&str]) -> String {
    let urls: Vec<String> = urls.iter().map(|url| format!("'{url}'")).collect();
    format!("CREATE SUBSCRIPTION {name} ON \"d b\".{policy} DESTINATIONS {mode} {}", urls.join(", "))
}

const TARGET: &str = "/write?db=d%20b&rp=autogen&precision=ns";

#[test]
fn rows_of_every_door_come_to_all_destinations_also_after_a_restart() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[]);
    let (one, from_one) = listen("204 No Content");
    let (two, from_two) = listen("204 No Content");
    influx(&server, "", "CREATE DATABASE \"d b\"");
    influx(&server, "", "CREATE RETENTION POLICY week ON \"d b\" DURATION 7d REPLICATION 1");
    assert_eq!(influx(&server, "", &create("s", "autogen", "ALL", &[&one, &two])), DONE);

    // New series and known ones, each type, tags and names that want escaping; rows of another policy and database do
    // not come.
    influx(&server, "", "CREATE DATABASE other");
    write(&server, "/write?db=other", "m,h=1 v=1 2\n");
    write(&server, "/write?db=d+b&precision=s", "a\\ b,t=x\\,y f=1.5,i=-2i,s=\"q\\\"\\\\\",b=true 1\nm,h=1 v=1 2\n");
    let first = [r#"a\ b,t=x\,y f=1.5,i=-2i,s="q\"\\",b=true 1000000000"#, "m,h=1 v=1.0 2000000000"];
    for from in [&from_one, &from_two] {
        assert_eq!(lines(from, TARGET, 2), first);
    }
    write(&server, "/write?db=d+b&rp=week", &format!("m,h=1 v=7 {}\n", now_ns()));
    write(&server, "/write?db=d+b&precision=s", "m,h=1 v=3 4\nm,h=2 w=5i 6\n");
    let inserted = server.sql("d%20b", "INSERT INTO m (time, h, v) VALUES (7000000000, '1', 9)");
    assert_eq!(inserted.status(), 200, "{}", inserted.text());
    influx(&server, "d%20b", "SELECT v INTO n FROM m WHERE h = '1' AND time = 2s");
    let second = ["m,h=1 v=3.0 4000000000", "m,h=1 v=9.0 7000000000", "m,h=2 w=5i 6000000000", "n v=1.0 2000000000"];
    for from in [&from_one, &from_two] {
        assert_eq!(lines(from, TARGET, 4), second);
    }
    server.wait_until("all is counted", |server| sent(server) == [12.0, 0.0, 0.0]);
    assert_eq!(server.metric("tidewire_subscription_queue_bytes", ""), 0.0);
    server.terminate();

    let server = Server::start_in(&folder, true, &[]);
    let shown = format!(
        r#"{{"results":[{{"statement_id":0,"series":[{{"name":"d b","columns":["retention_policy","name","mode","destinations"],"values":[["autogen","s","ALL",["{one}","{two}"]]]}}]}}]}}"#
    );
    assert_eq!(influx(&server, "", "SHOW SUBSCRIPTIONS"), shown);
    let many: String = (0..5000).map(|row| format!("m,h={} v={row} {row}\n", row % 7)).collect();
    write(&server, "/write?db=d+b", &many);
    let mut expected: Vec<String> = (0..5000).map(|row| format!("m,h={} v={row}.0 {row}", row % 7)).collect();
    expected.sort();
    assert_eq!(lines(&from_one, TARGET, 5000), expected);
    assert_eq!(influx(&server, "", "DROP SUBSCRIPTION s ON \"d b\".autogen"), DONE);
    assert_eq!(influx(&server, "", "SHOW SUBSCRIPTIONS"), DONE);
    write(&server, "/write?db=d+b", "m v=1 1");
    server.terminate();
    assert_eq!(lines(&from_two, TARGET, 5000), expected);
    assert!(from_one.try_recv().is_err() && from_two.try_recv().is_err(), "nothing comes after the DROP");
}

fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos()
}

#[test]
fn one_of_any_gets_the_rows_and_the_next_where_it_does_not_take_them() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE \"d b\"");
    let (well, from_well) = listen("204 No Content");
    let (ill, from_ill) = listen("500 Internal Server Error");
    assert_eq!(influx(&server, "", &create("s", "autogen", "ANY", &[&ill, &well])), DONE);
    for row in 0..4 {
        write(&server, "/write?db=d+b", &format!("m v={row} {row}"));
        assert_eq!(lines(&from_well, TARGET, 1), [format!("m v={row}.0 {row}")]);
    }
    assert_eq!(lines(&from_ill, TARGET, 2), ["m v=0.0 0", "m v=2.0 2"], "every other is its turn");
    server.wait_until("all is counted", |server| sent(server) == [4.0, 0.0, 0.0]);

    assert_eq!(influx(&server, "", &create("t", "autogen", "ALL", &[&ill, &well])), DONE);
    write(&server, "/write?db=d+b", "m v=4 4");
    assert_eq!(lines(&from_well, TARGET, 2), ["m v=4.0 4", "m v=4.0 4"]);
    server.wait_until("all is counted", |server| sent(server) == [6.0, 1.0, 0.0]);
    server.terminate();
}

#[test]
fn datagrams_have_whole_lines() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE \"d b\"");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let url = format!("udp://{}", socket.local_addr().expect("an address"));
    assert_eq!(influx(&server, "", &create("s", "autogen", "ALL", &[&url])), DONE);
    let many: String = (0..200).map(|row| format!("m v={row}i {row}\n")).collect();
    write(&server, "/write?db=d+b", &many);
    let (mut found, mut datagram) = (String::new(), [0; 2000]);
    while found.lines().count() < 200 {
        let length = socket.recv(&mut datagram).expect("a datagram");
        assert!(length <= 1400 && datagram[length - 1] == b'\n');
        found.push_str(std::str::from_utf8(&datagram[..length]).expect("text"));
    }
    assert_eq!(found, many);
    server.terminate();
}

#[test]
fn rows_come_over_tls_to_a_destination_whose_certificate_is_trusted() {
    let destination = Guarded::start(&[]);
    influx(&destination.server, "", "CREATE DATABASE \"d b\"");
    let root = fixture("ca.pem");
    let trusting =
        Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_SUBSCRIPTIONS_CA_FILE", root.to_str().expect("text"))]);
    // The roots of the system have nothing to do with that of the tests.
    let other = Server::start();
    let address = destination.address();
    let port = address.rsplit(':').next().expect("a port");
    for (server, urls) in [
        (&trusting, vec![format!("https://{address}"), format!("https://localhost:{port}")]),
        (&other, vec![format!("https://{address}")]),
    ] {
        influx(server, "", "CREATE DATABASE \"d b\"");
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        assert_eq!(influx(server, "", &create("s", "autogen", "ALL", &urls)), DONE);
    }
    for row in 0..3 {
        write(&trusting, "/write?db=d+b", &format!("m v={row} {row}"));
    }
    write(&other, "/write?db=d+b", "m v=9 9");
    trusting.wait_until("all is taken", |server| sent(server) == [6.0, 0.0, 0.0]);
    other.wait_until("nothing is taken", |server| sent(server) == [0.0, 1.0, 0.0]);
    let found = destination.server.sql("d%20b", "SELECT v FROM m ORDER BY time").text();
    assert_eq!(found, "v\n0.0\n1.0\n2.0\n");
    trusting.terminate();
    other.terminate();
}

#[test]
fn a_start_fails_where_roots_cannot_be_read() {
    let certificate = fixture("one.key");
    let told =
        failing_start_with(&fresh_folder(), &[("TIDEWIRE_SUBSCRIPTIONS_CA_FILE", certificate.to_str().expect("text"))]);
    assert!(told.contains("`subscriptions.ca_file`: ") && told.contains("there is no certificate in it"), "{told}");
}

#[test]
fn a_destination_that_hangs_blocks_no_write_and_what_waits_is_bounded() {
    let variables = [("TIDEWIRE_SUBSCRIPTIONS_QUEUE_BYTES_MAX", "1MiB"), ("TIDEWIRE_SUBSCRIPTIONS_TIMEOUT_S", "3600")];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    influx(&server, "", "CREATE DATABASE \"d b\"");
    // It takes connections, in the kernel, and never reads.
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", hanging.local_addr().expect("an address"));
    let (well, from_well) = listen("204 No Content");
    assert_eq!(influx(&server, "", &create("s", "autogen", "ALL", &[&url])), DONE);
    assert_eq!(
        influx(&server, "", &create("t", "week", "ALL", &[&well])),
        r#"{"results":[{"statement_id":0,"error":"retention policy not found: week"}]}"#
    );
    influx(&server, "", "CREATE RETENTION POLICY week ON \"d b\" DURATION 7d REPLICATION 1");
    let text = |from: usize| -> String {
        (from..from + 1000).map(|row| format!("m s=\"{}\" {row}\n", "x".repeat(500))).collect()
    };
    let mut from = 0;
    let begun = Instant::now();
    while sent(&server)[2] == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "what waits is not bounded");
        write(&server, "/write?db=d+b", &text(from));
        from += 1000;
    }
    let held = server.metric("tidewire_subscription_queue_bytes", "");
    assert!(held > 0.0 && held <= 1024.0 * 1024.0, "{held}");
    let counted = server.sql("d%20b", "SELECT count(s) FROM m").text();
    assert_eq!(counted.lines().nth(1), Some(from.to_string().as_str()), "every row was written");
    // There is room again when the subscription is gone, with its thread's connection.
    assert_eq!(influx(&server, "", "DROP SUBSCRIPTION s ON \"d b\".autogen"), DONE);
    drop(hanging);
    server
        .wait_until("what waited is given up", |server| server.metric("tidewire_subscription_queue_bytes", "") == 0.0);
    assert_eq!(influx(&server, "", &create("t", "week", "ALL", &[&well])), DONE);
    let now_ns = now_ns();
    write(&server, "/write?db=d+b&rp=week", &format!("m v=1 {now_ns}"));
    assert_eq!(lines(&from_well, "/write?db=d%20b&rp=week&precision=ns", 1), [format!("m v=1.0 {now_ns}")]);
    server.terminate();
}

#[test]
fn statements_are_refused_in_the_words_of_influxdb() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE \"d b\"");
    let error = |text: &str| format!(r#"{{"results":[{{"statement_id":0,"error":"{text}"}}]}}"#);
    for url in ["h:1", "http://h", "ftp://h:1", "https://h"] {
        let found = influx(&server, "", &create("s", "autogen", "ANY", &["http://h:1", url]));
        assert_eq!(found, error(&format!("invalid subscription URL: {url}")));
    }
    let urls = ["http://127.0.0.1:1"];
    assert_eq!(influx(&server, "", &create("s", "nope", "ALL", &urls)), error("retention policy not found: nope"));
    let elsewhere = "CREATE SUBSCRIPTION s ON nope.autogen DESTINATIONS ALL 'http://127.0.0.1:1'";
    assert_eq!(influx(&server, "", elsewhere), error("database not found: nope"));
    assert_eq!(influx(&server, "", "DROP SUBSCRIPTION s ON \"d b\".autogen"), error("subscription not found"));
    assert_eq!(influx(&server, "", &create("s", "autogen", "ALL", &urls)), DONE);
    assert_eq!(influx(&server, "", &create("s", "autogen", "ALL", &urls)), error("subscription already exists"));
    // CSV has no form for a list of texts; InfluxDB shows the column's name.
    let path = format!("/query?q={}", encoded("SHOW SUBSCRIPTIONS"));
    let csv = server.request("GET", &path, &[("Accept", "application/csv")], b"").text();
    assert_eq!(csv, "name,tags,retention_policy,name,mode,destinations\nd b,,autogen,s,ALL,destinations\n");
    influx(&server, "", "DROP DATABASE \"d b\"");
    influx(&server, "", "CREATE DATABASE \"d b\"");
    assert_eq!(influx(&server, "", "SHOW SUBSCRIPTIONS"), DONE, "they went with their database");
    server.terminate();
}
