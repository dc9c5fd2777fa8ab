//! `/debug/pprof`: profiles are messages of pprof's format, read here field by field, and say what is true of the
//! server.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use tidewire_protocol::protobuf::{Fields, Value, packed_varints};

use crate::common::{Client, Response, Server, fresh_folder};
use crate::deletes::influx;

/// A profile as its readers see it.
#[derive(Debug, Default)]
struct Profile {
    /// Kind and unit of each value.
    value_types: Vec<(String, String)>,
    samples: Vec<Sample>,
    comments: Vec<String>,
    period: u64,
    duration_ns: u64,
}

#[derive(Debug)]
struct Sample {
    /// Names of functions, from the innermost on.
    functions: Vec<String>,
    values: Vec<u64>,
    labels: BTreeMap<String, String>,
}

fn fields(bytes: &[u8]) -> Vec<(u32, Value<'_>)> {
    let mut fields = Fields::of(bytes);
    let mut found = Vec::new();
    while let Some(field) = fields.next_field().expect("a message") {
        found.push((field.number, field.value));
    }
    found
}

fn bytes<'a>(value: &Value<'a>) -> &'a [u8] {
    let Value::Bytes(bytes) = value else { panic!("{value:?}") };
    bytes
}

/// The numbers of a message, by field.
fn numbers(message: &[u8]) -> BTreeMap<u32, u64> {
    let number = |(number, value): (u32, Value<'_>)| match value {
        Value::Varint(value) => Some((number, value)),
        _ => None,
    };
    fields(message).into_iter().filter_map(number).collect()
}

fn varints(value: Value<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    let seen = packed_varints(value, |number| {
        found.push(number);
        Ok(())
    });
    seen.expect("numbers");
    found
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(body).read_to_end(&mut bytes).expect("gzip");
    bytes
}

/// Reads a profile; every number that it refers to must be there.
fn decode(body: &[u8]) -> Profile {
    let message = unzipped(body);
    let all = fields(&message);
    let of = |number: u32| all.iter().filter(move |(found, _)| *found == number).map(|(_, value)| value);
    let strings: Vec<String> = of(6).map(|text| String::from_utf8(bytes(text).to_vec()).expect("text")).collect();
    assert_eq!(strings[0], "");
    let string = |number: u64| strings[number as usize].clone();
    let functions: BTreeMap<u64, String> =
        of(5).map(|function| numbers(bytes(function))).map(|function| (function[&1], string(function[&2]))).collect();
    let mut locations: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for location in of(4) {
        let lines = fields(bytes(location)).into_iter().filter(|(number, _)| *number == 4);
        let lines = lines.map(|(_, line)| functions[&numbers(bytes(&line))[&1]].clone()).collect();
        locations.insert(numbers(bytes(location))[&1], lines);
    }
    let mut profile = Profile::default();
    for of_type in of(1).map(|of_type| numbers(bytes(of_type))) {
        profile.value_types.push((string(of_type[&1]), string(of_type[&2])));
    }
    for sample in of(2) {
        let mut found = Sample { functions: Vec::new(), values: Vec::new(), labels: BTreeMap::new() };
        for (number, value) in fields(bytes(sample)) {
            match number {
                1 => found.functions = varints(value).iter().flat_map(|at| locations[at].clone()).collect(),
                2 => found.values = varints(value),
                3 => {
                    let label = numbers(bytes(&value));
                    found.labels.insert(string(label[&1]), string(label[&2]));
                }
                other => panic!("field {other} of a sample"),
            }
        }
        assert_eq!(found.values.len(), profile.value_types.len());
        profile.samples.push(found);
    }
    profile.comments = of(13).flat_map(|comments| varints(*comments)).map(string).collect();
    let numbers = numbers(&message);
    profile.period = numbers.get(&12).copied().unwrap_or(0);
    profile.duration_ns = numbers.get(&10).copied().unwrap_or(0);
    assert!(numbers[&9] > 1_600_000_000_000_000_000, "a time: {numbers:?}");
    profile
}

fn get(server: &Server, target: &str) -> Response {
    server.request("GET", &format!("/debug/pprof{target}"), &[], b"")
}

fn profile(server: &Server, name: &str) -> Profile {
    let reply = get(server, &format!("/{name}"));
    assert_eq!((reply.status(), reply.header("content-type")), (200, Some("application/octet-stream")), "{name}");
    let file = name.split('?').next().expect("a name");
    let disposition = format!("attachment; filename=\"{file}\"");
    assert_eq!(reply.header("content-disposition"), Some(disposition.as_str()));
    decode(&reply.body)
}

fn kinds(profile: &Profile) -> Vec<(&str, &str)> {
    profile.value_types.iter().map(|(kind, unit)| (kind.as_str(), unit.as_str())).collect()
}

#[test]
fn the_page_lists_the_profiles_and_each_says_what_is_true() {
    let server = Server::start();
    for target in ["", "/"] {
        let page = get(&server, target);
        assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.header("x-influxdb-version").is_some());
        for name in ["allocs", "block", "goroutine", "heap", "mutex", "threadcreate"] {
            assert!(page.text().contains(&format!("href=\"/debug/pprof/{name}?debug=1\"")), "{name}");
            let text = get(&server, &format!("/{name}?debug=1"));
            assert_eq!((text.status(), text.header("content-type")), (200, Some("text/plain; charset=utf-8")));
            assert!(text.text().starts_with(&format!("{name} profile: ")), "{}", text.text());
        }
    }

    let tasks = profile(&server, "goroutine");
    assert_eq!(kinds(&tasks), [("goroutine", "count")]);
    assert_eq!(tasks.comments, ["core 0 has the shards 0", "core 1 has the shards 1"]);
    let asking = tasks.samples.iter().find(|sample| sample.functions[0] == "/debug/pprof/{profile}");
    let asking = asking.unwrap_or_else(|| panic!("the request itself: {tasks:?}"));
    assert_eq!((&asking.values[..], asking.functions[1].as_str()), (&[1][..], "queue ingest"));
    let messages = |core: &str| {
        let of = |sample: &&Sample| sample.labels["core"] == core;
        tasks.samples.iter().filter(of).any(|sample| sample.functions[0] == "messages of other cores")
    };
    assert!(messages("0") && messages("1"), "{tasks:?}");

    let heap = profile(&server, "heap");
    assert_eq!(kinds(&heap), [("inuse_space", "bytes")]);
    assert!(heap.comments[0].contains("_RJEM_MALLOC_CONF=prof:true"), "{heap:?}");
    let all: u64 = heap.samples.iter().map(|sample| sample.values[0]).sum();
    assert!(all > 0 && heap.samples.iter().any(|sample| sample.functions == ["memtables", "counted"]), "{heap:?}");

    let threads = profile(&server, "threadcreate");
    assert!(threads.samples.iter().any(|sample| sample.functions == ["tidewire"]), "{threads:?}");

    let mutex = profile(&server, "mutex");
    assert_eq!((kinds(&mutex), mutex.samples.len()), (vec![("contentions", "count"), ("delay", "nanoseconds")], 0));
    assert_eq!(kinds(&profile(&server, "block")), kinds(&mutex));

    let command = get(&server, "/cmdline").text();
    assert!(command.split('\0').any(|part| part == "--data-dir"), "{command:?}");
    for unknown in ["trace", "symbol", "x"] {
        let reply = get(&server, &format!("/{unknown}"));
        assert_eq!((reply.status(), reply.text().as_str()), (404, "Unknown profile\n"));
    }
    let long = get(&server, "/profile?seconds=601");
    assert_eq!((long.status(), long.text().as_str()), (400, "exceeded maximum profile time: 601s > 600s\n"));
    server.terminate();
}

/// Keeps the server busy until `is_done`.
fn work(server: &Server, is_done: impl Fn() -> bool) {
    let mut client = Client::connect(&server.address);
    let begun = Instant::now();
    let mut at = 0;
    while !is_done() {
        assert!(begun.elapsed() < Duration::from_secs(300), "the profile never comes");
        let lines: String = (0..2000).map(|row| format!("m,host=h{} v={row} {at}{row:04}\n", row % 50)).collect();
        client.send("POST", "/write?db=db", &[], lines.as_bytes());
        assert_eq!(client.read(false).status(), 204);
        at += 1;
    }
}

#[test]
fn the_processor_is_sampled_while_the_server_works() {
    let server = Server::start();
    influx(&server, "", "CREATE DATABASE db");
    let body = std::thread::scope(|scope| {
        let asked = scope.spawn(|| get(&server, "/profile?seconds=2"));
        work(&server, || asked.is_finished());
        asked.join().expect("no panic")
    });
    assert_eq!(body.status(), 200, "{}", body.text());
    let found = decode(&body.body);
    assert_eq!(kinds(&found), [("samples", "count"), ("cpu", "nanoseconds")]);
    assert_eq!((found.period, found.duration_ns), (10_000_000, 2_000_000_000));
    assert!(found.samples.len() > 3, "{found:?}");
    for sample in &found.samples {
        assert_eq!(sample.values[1], sample.values[0] * found.period);
    }
    let is_of_core = |sample: &&Sample| sample.labels["thread"].starts_with("tidewire-");
    assert!(found.samples.iter().any(|sample| is_of_core(&sample)), "{found:?}");
    let is_ours = |name: &String| name.contains("server::ring::");
    let is_whole = |sample: &Sample| sample.functions.iter().any(is_ours) && sample.functions.len() > 10;
    assert!(found.samples.iter().any(is_whole), "whole stacks with names of ours: {found:?}");
    // There is one at a time, and it ends when its client leaves.
    let busy = "Could not enable CPU profiling: cpu profiling already in use\n";
    let long = || {
        let mut client = Client::connect(&server.address);
        client.send("GET", "/debug/pprof/profile?seconds=600", &[], b"");
        // Which of two is begun first nobody knows; where it is not the long one, that is tried again.
        (get(&server, "/profile?seconds=1").text() == busy).then_some(client)
    };
    let client = (0..60).find_map(|_| long()).expect("one that goes on");
    drop(client);
    server.wait_until("it has ended", |server| get(server, "/profile?seconds=1").status() == 200);
    server.terminate();
}

#[test]
fn allocations_are_sampled_where_the_server_was_started_for_it() {
    let server = Server::start_in(&fresh_folder(), true, &[("_RJEM_MALLOC_CONF", "prof:true,lg_prof_sample:12")]);
    influx(&server, "", "CREATE DATABASE db");
    for _ in 0..2 {
        let heap = profile(&server, "heap");
        assert_eq!(kinds(&heap), [("inuse_objects", "count"), ("inuse_space", "bytes")]);
        assert_eq!((heap.period, &heap.comments[..]), (4096, &[][..]));
        let is_ours = |sample: &Sample| sample.functions.iter().any(|name| name.contains("server::"));
        assert!(heap.samples.iter().any(is_ours), "{heap:?}");
        assert!(heap.samples.iter().all(|sample| sample.values[0] > 0 && sample.values[1] > 0));
    }
    server.terminate();
}

/// Name and text of each file of a tar.
fn unpacked(mut archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    while let Some((head, rest)) = archive.split_at_checked(512).filter(|(head, _)| head[0] != 0) {
        let text = |from: usize, to: usize| {
            let field = head[from..to].split(|byte| *byte == 0).next().expect("a field");
            String::from_utf8(field.to_vec()).expect("text")
        };
        assert_eq!(&head[257..262], b"ustar");
        let length = usize::from_str_radix(&text(124, 136), 8).expect("a length");
        files.insert(text(0, 100), rest[..length].to_vec());
        archive = &rest[length.next_multiple_of(512)..];
    }
    assert_eq!(archive, [0; 1024]);
    files
}

#[test]
fn all_profiles_come_in_one_archive() {
    let server = Server::start();
    for (target, cpu) in [("/all", false), ("/all?cpu=false", false), ("/all?cpu=true&seconds=1", true)] {
        let reply = get(&server, target);
        assert_eq!((reply.status(), reply.header("content-type")), (200, Some("application/gzip")));
        assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"profiles.tar.gz\""));
        let files = unpacked(&unzipped(&reply.body));
        let mut names: Vec<&str> = files.keys().map(String::as_str).collect();
        if cpu {
            assert_eq!(names.remove(1), "cpu.pb.gz");
            assert_eq!(kinds(&decode(&files["cpu.pb.gz"])), [("samples", "count"), ("cpu", "nanoseconds")]);
        }
        assert_eq!(names, ["block.txt", "goroutine.txt", "heap.txt", "mutex.txt", "threadcreate.txt", "vars.txt"]);
        assert!(files["heap.txt"].starts_with(b"heap profile: ") && files["vars.txt"].starts_with(b"{\n\"system\""));
    }
    server.terminate();
}
