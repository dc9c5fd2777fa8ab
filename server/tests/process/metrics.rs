//! `/metrics` is Prometheus text, by the rules that `promtool check metrics` and Prometheus' own parser hold to.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_server::api::table::ENDPOINTS;

use crate::common::{Server, fresh_folder};

/// A family of samples as the text tells it.
#[derive(Debug, Default)]
struct Family {
    help: Option<String>,
    kind: Option<String>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    /// The labels without `le`, which tells the buckets of one histogram apart.
    fn series(&self) -> String {
        format!("{:?}", self.labels.iter().filter(|(name, _)| name != "le").collect::<Vec<_>>())
    }
}

fn is_name(text: &str) -> bool {
    let first_fits = text.starts_with(|c: char| c.is_ascii_lowercase());
    first_fits && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Result<Sample, String> {
    let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').ok_or("labels do not end")?),
        None => (series, ""),
    };
    let mut found = Vec::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        let mut end = None;
        let mut escaped = false;
        for (at, c) in after.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or("a label's value does not end")?;
        if !is_name(label) || found.iter().any(|(known, _)| known == label) {
            return Err(format!("label {label:?}"));
        }
        found.push((label.to_owned(), after[..end].to_owned()));
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let value = value.parse().map_err(|_| format!("{value:?} is no number"))?;
    Ok(Sample { name: name.to_owned(), labels: found, value })
}

/// The families of a text; refuses what Prometheus would not parse.
fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    if !text.ends_with('\n') {
        return Err("the text does not end with a line's end".to_owned());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| format!("no help: {line}"))?;
            if families.contains_key(name) {
                return Err(format!("a second HELP, or samples before it: {line}"));
            }
            current = name.to_owned();
            families.insert(current.clone(), Family { help: Some(help.to_owned()), ..Family::default() });
            continue;
        }
        let family = families.get_mut(&current).ok_or_else(|| format!("before any HELP: {line}"))?;
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| format!("no type: {line}"))?;
            if name != current || family.kind.is_some() || !family.samples.is_empty() {
                return Err(format!("a second TYPE, or one away from its HELP and samples: {line}"));
            }
            family.kind = Some(kind.to_owned());
            continue;
        }
        let sample = sample(line).map_err(|reason| format!("{reason}: {line}"))?;
        let part = sample.name.strip_prefix(current.as_str()).ok_or_else(|| format!("in another family: {line}"))?;
        let parts: &[&str] = match family.kind.as_deref() {
            Some("histogram") => &["_bucket", "_sum", "_count"],
            Some("counter" | "gauge") => &[""],
            other => return Err(format!("type {other:?}: {line}")),
        };
        if !parts.contains(&part) {
            return Err(format!("no part of a {:?}: {line}", family.kind));
        }
        if family.samples.iter().any(|other| other.name == sample.name && other.labels == sample.labels) {
            return Err(format!("the same series twice: {line}"));
        }
        family.samples.push(sample);
    }
    Ok(families)
}

/// What the conventions forbid in a family.
fn faults(name: &str, family: &Family) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |told: &str| faults.push(format!("{name}: {told}"));
    let kind = family.kind.as_deref().unwrap_or("");
    if !is_name(name) {
        fault("not a name of lower case letters, digits and underscores");
    }
    if family.help.as_deref().is_none_or(|help| help.trim().is_empty()) {
        fault("no help");
    }
    if name.ends_with("_total") != (kind == "counter") {
        fault("counters end in _total and nothing else does");
    }
    if ["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)) {
        fault("a reserved end");
    }
    if name.ends_with("_info") && (kind != "gauge" || family.samples.iter().any(|sample| sample.value != 1.0)) {
        fault("what tells labels alone is a gauge of 1");
    }
    let not_base = [
        "ms",
        "us",
        "ns",
        "s",
        "sec",
        "m",
        "min",
        "h",
        "d",
        "b",
        "kb",
        "mb",
        "gb",
        "tb",
        "kib",
        "mib",
        "gib",
        "nanoseconds",
        "microseconds",
        "milliseconds",
        "minutes",
        "hours",
        "days",
        "weeks",
        "kilobytes",
        "megabytes",
        "gigabytes",
        "bits",
        "kibibytes",
        "mebibytes",
        "gibibytes",
        "percent",
        "kelvin",
        "calories",
    ];
    if name.split('_').skip(1).any(|word| not_base.contains(&word)) {
        fault("not a base unit, or an abbreviated one");
    }
    if family.samples.iter().any(|sample| sample.labels.iter().any(|(label, _)| label == "le" && kind != "histogram")) {
        fault("a label that only histograms have");
    }
    if name.split('_').any(|word| ["counter", "gauge", "histogram"].contains(&word)) {
        fault("the type is in the name");
    }
    if family.samples.is_empty() {
        fault("no samples");
    }
    if kind != "gauge" && family.samples.iter().any(|sample| sample.value < 0.0) {
        fault("below zero");
    }
    if kind == "histogram" {
        histogram_faults(&family.samples).into_iter().for_each(|told| fault(&told));
    }
    faults
}

fn histogram_faults(samples: &[Sample]) -> Vec<String> {
    let mut by_series: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_series.entry(sample.series()).or_default().push(sample);
    }
    let mut faults = Vec::new();
    for (series, samples) in by_series {
        let one = |end: &str| {
            let mut found = samples.iter().filter(|sample| sample.name.ends_with(end));
            let first = found.next().map(|sample| sample.value);
            first.filter(|_| found.next().is_none())
        };
        let bucket = |sample: &&&Sample| sample.name.ends_with("_bucket");
        let bound = |sample: &&Sample| {
            let (_, bound) = sample.labels.iter().find(|(label, _)| label == "le")?;
            bound.parse::<f64>().ok().map(|bound| (bound, sample.value))
        };
        let Some(buckets) = samples.iter().filter(bucket).map(bound).collect::<Option<Vec<_>>>() else {
            faults.push(format!("a bucket without a bound: {series}"));
            continue;
        };
        if !buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1) {
            faults.push(format!("buckets are not cumulative: {series}"));
        }
        let all = buckets.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| *count);
        if all.is_none() || all != one("_count") || one("_sum").is_none() {
            faults.push(format!("+Inf, _count and _sum do not agree: {series}"));
        }
    }
    faults
}

fn scrape(server: &Server) -> BTreeMap<String, Family> {
    let response = server.request("GET", "/metrics", &[], b"");
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    parse(&response.text()).expect("Prometheus text")
}

/// Values that a histogram has seen.
fn count(families: &BTreeMap<String, Family>, name: &str) -> f64 {
    let counts = families[name].samples.iter().filter(|sample| sample.name.ends_with("_count"));
    counts.map(|sample| sample.value).sum()
}

fn sum(families: &BTreeMap<String, Family>, name: &str) -> f64 {
    families.get(name).expect(name).samples.iter().map(|sample| sample.value).sum()
}

#[test]
fn the_text_keeps_to_the_conventions_and_tells_what_happened() {
    let server = Server::start();
    let lines: String = (0..1_000).map(|i| format!("m,host=h{} v={i}i {}\n", i % 50, i + 1)).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    assert_eq!(server.request("POST", "/api/v1/write", &[], b"m v=").status(), 422);
    assert_eq!(server.sql("public", "SELECT count(v) FROM m").status(), 200);

    let families = scrape(&server);
    let faults: Vec<_> = families.iter().flat_map(|(name, family)| faults(name, family)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(sum(&families, "tidewire_rows_written_total"), 1_000.0);
    assert_eq!(sum(&families, "tidewire_shard_rows_appended_total"), 1_000.0);
    assert_eq!(sum(&families, "tidewire_series"), 50.0);
    assert_eq!(sum(&families, "tidewire_memtable_rows"), 1_000.0);
    assert!(sum(&families, "tidewire_wal_syncs_total") >= 1.0);
    assert_eq!(sum(&families, "tidewire_wal_failed"), 0.0);
    assert_eq!(sum(&families, "tidewire_rows_rejected_total"), 1.0);
    assert_eq!(sum(&families, "tidewire_writes_refused_total"), 1.0);
    assert_eq!(sum(&families, "tidewire_queries_total"), 1.0);
    assert_eq!(sum(&families, "tidewire_queries_running"), 0.0);
    assert!(count(&families, "tidewire_wal_sync_duration_seconds") >= 1.0);
    // Of the process, as every client of Prometheus says them.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let age = now - sum(&families, "process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "{age}");
    assert!(sum(&families, "process_cpu_seconds_total") > 0.0);
    let (open, most) = (sum(&families, "process_open_fds"), sum(&families, "process_max_fds"));
    assert!(open > 10.0 && open < most, "{open} of {most}");
    let (resident, mapped) =
        (sum(&families, "process_resident_memory_bytes"), sum(&families, "process_virtual_memory_bytes"));
    assert!(resident > 1e6 && resident < mapped, "{resident} of {mapped}");
    let build = &families["tidewire_build_info"].samples;
    let version = ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    assert!(build.len() == 1 && build[0].labels.contains(&version), "{build:?}");
    assert!(sum(&families, "tidewire_filesystem_free_bytes") <= sum(&families, "tidewire_filesystem_size_bytes"));
    // Of each database.
    let public = |name: &str| {
        let is_public =
            |sample: &&Sample| sample.labels.iter().any(|(label, value)| label == "database" && value == "public");
        families[name].samples.iter().filter(is_public).map(|sample| sample.value).sum::<f64>()
    };
    assert_eq!((public("tidewire_database_rows"), public("tidewire_database_series")), (1_000.0, 50.0));

    // Counters do not go back, and a scrape counts itself.
    let later = scrape(&server);
    assert_eq!(families.keys().collect::<Vec<_>>(), later.keys().collect::<Vec<_>>());
    for (name, family) in families.iter().filter(|(_, family)| family.kind.as_deref() == Some("counter")) {
        assert!(sum(&later, name) >= family.samples.iter().map(|sample| sample.value).sum(), "{name}");
    }
    assert_eq!(sum(&later, "tidewire_http_requests_total"), sum(&families, "tidewire_http_requests_total") + 1.0);
}

#[test]
fn the_check_sees_what_it_is_for() {
    let refused = |text: &str| parse(text).unwrap_err();
    assert!(refused("# HELP a A.\n# TYPE a gauge\na 1").starts_with("the text does not end"));
    assert!(refused("# HELP a A.\n# TYPE a gauge\na 1\n# HELP a A.\n").starts_with("a second HELP"));
    assert!(refused("# HELP a A.\n# TYPE a gauge\n# TYPE a gauge\n").starts_with("a second TYPE"));
    assert!(refused("# HELP a A.\n# TYPE a gauge\nb 1\n").starts_with("in another family"));
    assert!(refused("# HELP a A.\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n").starts_with("the same series"));
    assert!(refused("# HELP a A.\n# TYPE a gauge\na{x=\"1} 1\n").starts_with("a label's value"));
    let told = |text: &str| {
        let families = parse(text).unwrap();
        families.iter().flat_map(|(name, family)| faults(name, family)).collect::<Vec<_>>()
    };
    assert_eq!(told("# HELP a A.\n# TYPE a gauge\na{x=\"\\\"}\"} -1\n"), Vec::<String>::new());
    assert_eq!(told("# HELP a A.\n# TYPE a counter\na 1\n"), ["a: counters end in _total and nothing else does"]);
    assert_eq!(told("# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n"), ["a_ms: not a base unit, or an abbreviated one"]);
    let info = ["a_info: what tells labels alone is a gauge of 1"];
    assert_eq!(told("# HELP a_info A.\n# TYPE a_info gauge\na_info 2\n"), info);
    let histogram = |buckets: &str| told(&format!("# HELP h H.\n# TYPE h histogram\n{buckets}h_sum 3\nh_count 2\n"));
    assert!(histogram("h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n").is_empty());
    assert_eq!(histogram("h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\n"), ["h: buckets are not cumulative: []"]);
    assert_eq!(histogram("h_bucket{le=\"1\"} 2\n"), ["h: +Inf, _count and _sum do not agree: []"]);
}

#[test]
fn a_start_tells_what_it_has_replayed() {
    let folder = fresh_folder();
    let unflushed = [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "86400")];
    let server = Server::start_in(&folder, false, &unflushed);
    let recovered = |server: &Server| {
        let families = scrape(server);
        ["records", "rows", "log_bytes"].map(|what| sum(&families, &format!("tidewire_recovery_{what}")))
    };
    assert_eq!(recovered(&server), [0.0; 3]);
    let lines: String = (0..1_000).map(|i| format!("m,host=h{} v={i}i {}\n", i % 50, i + 1)).collect();
    assert_eq!(server.request("POST", "/api/v1/write", &[], lines.as_bytes()).status(), 200);
    server.kill();

    let server = Server::start_in(&folder, true, &unflushed);
    let [records, rows, log_bytes] = recovered(&server);
    assert_eq!(rows, 1_000.0);
    assert!(records >= 1.0 && log_bytes > 1_000.0, "{records} records, {log_bytes} bytes");
    let families = scrape(&server);
    let durations = families.get("tidewire_recovery_duration_seconds").expect("a family");
    let shards = families["tidewire_recovery_rows"].samples.len();
    let seconds: Vec<f64> = durations.samples.iter().filter(|s| s.name.ends_with("_sum")).map(|s| s.value).collect();
    assert!(seconds.len() == shards && seconds.iter().all(|s| *s > 0.0), "{seconds:?}");
}

#[test]
fn the_labels_of_requests_are_the_endpoints_whatever_clients_ask_for() {
    let server = Server::start();
    for path in ["/nothing", "/write/x", "/api/v1/\"quoted\"", "/metrics/", "/{index}/_bulk"] {
        assert_eq!(server.request("GET", path, &[], b"").status(), 404, "{path}");
    }
    assert_eq!(server.request("DELETE", "/ping?x=/y", &[], b"").status(), 405);
    let families = scrape(&server);
    let endpoints: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.pattern).collect();
    for name in ["tidewire_requests_total", "tidewire_request_duration_seconds", "tidewire_requests_overloaded_total"] {
        let labels = families[name].samples.iter().flat_map(|sample| &sample.labels);
        let routes: BTreeSet<&str> =
            labels.filter(|(name, _)| name == "route").map(|(_, path)| path.as_str()).collect();
        assert_eq!(routes, endpoints, "{name}");
    }
    let is_refused = |sample: &&Sample| {
        let has = |name: &str, value: &str| sample.labels.iter().any(|(n, v)| n == name && v == value);
        has("route", "/ping") && has("status", "4xx")
    };
    let refused = families["tidewire_requests_total"].samples.iter().filter(is_refused);
    assert_eq!(refused.map(|sample| sample.value).sum::<f64>(), 1.0);
}
