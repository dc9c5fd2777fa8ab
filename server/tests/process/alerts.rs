//! The alert rules of docs/operations.md: each fires in the state that it is for, and none does before.
//!
//! The expressions are evaluated here, over two scrapes that stand for the ends of the rules' windows. What the page
//! uses of PromQL is what is known: selectors, `increase` over a window, `sum by`, `/`, a comparison with a number.

use std::collections::BTreeMap;
use std::fs;

use crate::common::{Server, flip, fresh_folder};

/// A scrape: values by name and labels, as the text has them.
pub(crate) type Scrape = BTreeMap<(String, Labels), f64>;

/// Labels but `core`, which the rules do not look at, with their values.
type Labels = BTreeMap<String, String>;

/// What `/metrics` says; samples that differ in their core alone are added up.
pub(crate) fn scrape(server: &Server) -> Scrape {
    let mut scrape = Scrape::new();
    let text = server.request("GET", "/metrics", &[], b"").text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').expect("labels");
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| {
            let (label, value) = pair.split_once("=\"")?;
            (label != "core").then(|| (label.to_owned(), value.trim_end_matches('"').to_owned()))
        });
        *scrape.entry((name.to_owned(), labels.collect())).or_default() += value.parse::<f64>().expect("a number");
    }
    scrape
}

/// The rules of the page, by name.
fn rules() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/operations.md");
    let lines = page.lines().map(str::trim);
    let names = lines.clone().filter_map(|line| line.strip_prefix("- alert: ").map(str::to_owned));
    let expressions = lines.filter_map(|line| line.strip_prefix("expr: ").map(str::to_owned));
    let rules: Vec<_> = names.zip(expressions).collect();
    assert_eq!(rules.len(), 5, "{rules:?}");
    rules
}

/// The rules that fire when their windows begin with one scrape and end with the other.
pub(crate) fn firing(before: &Scrape, now: &Scrape) -> Vec<String> {
    let fires = |expression: &str| !compared(expression, before, now).is_empty();
    rules().into_iter().filter(|(_, expression)| fires(expression)).map(|(name, _)| name).collect()
}

/// The same where the disk is not what the test is about: the one of this machine may be slow enough to fire.
fn firing_on_any_disk(before: &Scrape, now: &Scrape) -> Vec<String> {
    let mut names = firing(before, now);
    names.retain(|name| name != "TidewireLogSyncSlow");
    names
}

/// `vector == number` or `vector > number`: what is left of the vector.
fn compared(expression: &str, before: &Scrape, now: &Scrape) -> BTreeMap<Labels, f64> {
    let (left, is_over, right) = match (expression.split_once(" == "), expression.split_once(" > ")) {
        (Some((left, right)), None) => (left, false, right),
        (None, Some((left, right))) => (left, true, right),
        _ => panic!("not one comparison: {expression}"),
    };
    let bound: f64 = right.parse().unwrap_or_else(|_| panic!("not a number: {right}"));
    let mut vector = divided(left, before, now);
    vector.retain(|_, value| if is_over { *value > bound } else { *value == bound });
    vector
}

fn divided(expression: &str, before: &Scrape, now: &Scrape) -> BTreeMap<Labels, f64> {
    let Some((left, right)) = expression.split_once(" / ") else { return summed(expression, before, now) };
    let divisors = summed(right, before, now);
    let quotient = |(labels, value): (Labels, f64)| Some((labels.clone(), value / divisors.get(&labels)?));
    summed(left, before, now).into_iter().filter_map(quotient).collect()
}

/// `sum by (label) (vector)`
fn summed(expression: &str, before: &Scrape, now: &Scrape) -> BTreeMap<Labels, f64> {
    let Some(rest) = expression.strip_prefix("sum by (") else { return increased(expression, before, now) };
    let (label, vector) = rest.split_once(") (").expect("a label, then a vector");
    let mut sums = BTreeMap::new();
    for (labels, value) in increased(vector.strip_suffix(')').expect("an end"), before, now) {
        let kept = labels.into_iter().filter(|(name, _)| name == label).collect();
        *sums.entry(kept).or_default() += value;
    }
    sums
}

/// `increase(selector[5m])`
fn increased(expression: &str, before: &Scrape, now: &Scrape) -> BTreeMap<Labels, f64> {
    let Some(rest) = expression.strip_prefix("increase(") else { return selected(expression, now) };
    let selector = rest.strip_suffix("[5m])").unwrap_or_else(|| panic!("no window: {expression}"));
    let earlier = selected(selector, before);
    let growth = |(labels, value): (Labels, f64)| {
        let start = earlier.get(&labels).copied().unwrap_or(0.0);
        (labels, value - start)
    };
    selected(selector, now).into_iter().map(growth).collect()
}

/// `name` or `name{label="value"}`; the metric must be there.
fn selected(selector: &str, scrape: &Scrape) -> BTreeMap<Labels, f64> {
    let (name, wanted) = match selector.split_once('{') {
        Some((name, label)) => (name, label.strip_suffix("\"}").expect("an end").split_once("=\"")),
        None => (selector, None),
    };
    let family = scrape.iter().filter(|((known, _), _)| known == name);
    assert!(family.clone().next().is_some(), "the server has no {name}");
    let fits = |labels: &Labels| wanted.is_none_or(|(label, value)| labels.get(label).is_some_and(|v| v == value));
    family.filter(|((_, labels), _)| fits(labels)).map(|((_, labels), value)| (labels.clone(), *value)).collect()
}

/// Rows of many series, so that every shard has some.
fn lines(request: u64) -> String {
    (0..64).map(|n| format!("m,host=h{n} v={request}i,text=\"{}\" {request}\n", "x".repeat(2_000))).collect()
}

/// A metric's name, its labels and its value.
type Sample<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

#[test]
fn the_evaluator_knows_what_the_rules_say() {
    let scrape = |values: &[Sample<'_>]| -> Scrape {
        let labels = |labels: &[(&str, &str)]| labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        values.iter().map(|(name, pairs, value)| (((*name).to_owned(), labels(pairs)), *value)).collect()
    };
    let before = scrape(&[("a", &[("s", "1")], 2.0), ("b", &[("s", "1")], 1.0)]);
    let now = scrape(&[("a", &[("s", "1")], 8.0), ("a", &[("s", "2")], 1.0), ("b", &[("s", "1")], 3.0)]);
    let fires = |expression: &str| compared(expression, &before, &now).len();
    assert_eq!((fires("a == 1"), fires("a{s=\"1\"} == 1"), fires("a > 0")), (1, 0, 2));
    assert_eq!((fires("increase(a[5m]) > 5"), fires("increase(a[5m]) > 6")), (1, 0));
    assert_eq!(
        (fires("increase(a[5m]) / increase(b[5m]) > 2.9"), fires("increase(a[5m]) / increase(b[5m]) > 3")),
        (1, 0)
    );
    assert_eq!((fires("sum by (t) (increase(a[5m])) > 6"), fires("sum by (t) (increase(a[5m])) > 7")), (1, 0));
}

#[test]
fn a_shard_that_is_offline_fires() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[("TIDEWIRE_SHARDS", "2")]);
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines(1).as_bytes()).status(), 200);
    let healthy = scrape(&server);
    assert_eq!(firing(&healthy, &healthy), Vec::<String>::new());
    server.terminate();
    for name in ["MANIFEST", "MANIFEST.copy"] {
        flip(&folder.join("shard-001").join(name), 20);
    }
    let server = Server::start_in(&folder, true, &[]);
    let now = scrape(&server);
    assert_eq!(firing(&now, &now), ["TidewireShardOffline"]);
}

#[test]
fn a_log_that_waits_for_its_disk_fires() {
    // Two MiB a second for each of two cores, so that a commit of one MiB waits for half a second. Some records take
    // one write, some several and a sync.
    let variables = [
        ("TIDEWIRE_DISK_WRITE_BYTES_PER_S_MAX", "4MiB"),
        ("TIDEWIRE_SHARDS", "2"),
        ("TIDEWIRE_WAL_FILE_BYTES", "4MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "3600"),
    ];
    let server = Server::start_in(&fresh_folder(), true, &variables);
    let before = scrape(&server);
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..3 {
        let mut text = || std::iter::repeat_with(|| random.alphanumeric()).take(32_000).collect::<String>();
        let body: String = (0..64).map(|host| format!("m,host=h{host} v={n}i,text=\"{}\" {n}\n", text())).collect();
        assert_eq!(server.request("POST", "/api/v1/write", &[], body.as_bytes()).status(), 200);
    }
    assert_eq!(firing(&before, &scrape(&server)), ["TidewireLogSyncSlow"]);
}

#[test]
fn flushes_that_fail_fire_and_so_do_the_refusals_that_follow() {
    let folder = fresh_folder();
    let variables = [
        ("TIDEWIRE_SHARDS", "1"),
        ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "1MiB"),
        ("TIDEWIRE_MEMTABLE_BYTES_MAX", "2MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1"),
    ];
    let server = Server::start_in(&folder, true, &variables);
    // What is counted of the log is there from its first sync on.
    assert_eq!(server.request("POST", "/api/v1/write", &[], b"n v=1i 1").status(), 200);
    server
        .wait_until("a sync is counted", |server| server.metric("tidewire_wal_sync_duration_seconds_count", "") > 0.0);
    let before = scrape(&server);
    let (segments, away) = (folder.join("shard-000/segments"), folder.join("shard-000/away"));
    fs::rename(&segments, &away).expect("the folder can be moved");
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines(0).as_bytes()).status(), 200);
    server.wait_until("a flush fails", |server| server.metric("tidewire_flush_failures_total", "") > 0.0);
    assert_eq!(firing_on_any_disk(&before, &scrape(&server)), ["TidewireFlushFailing"]);
    let mut refused = 0;
    for request in 1.. {
        assert!(request < 10_000, "memtables never got full");
        let status = server.request("POST", "/api/v1/write", &[], lines(request).as_bytes()).status();
        assert!(matches!(status, 200 | 429), "{status}");
        refused += u32::from(status == 429);
        if refused > 20 {
            break;
        }
    }
    assert_eq!(firing_on_any_disk(&before, &scrape(&server)), ["TidewireFlushFailing", "TidewireRefusals"]);
    fs::rename(&away, &segments).expect("the folder can be moved back");
    let written = |server: &Server| server.request("POST", "/api/v1/write", &[], lines(1).as_bytes()).status() == 200;
    server.wait_until("writes are taken again", written);
    let now = scrape(&server);
    server.wait_until("flushes succeed again", |server| firing_on_any_disk(&now, &scrape(server)).is_empty());
}
