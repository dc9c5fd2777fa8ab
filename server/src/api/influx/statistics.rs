//! What the server counts, under InfluxDB's names: `SHOW STATS` and `/debug/vars`.
//!
//! The numbers are those of [`registry`](crate::metrics::registry), summed over all cores; fields that InfluxDB has and
//! nothing here corresponds to are left out.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_protocol::encode::influx::Value;
use tidewire_storage::schema::DEFAULT_TENANT;

use super::answer::Answer;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::message::ReadMetrics;
use crate::metrics::registry::{Snapshot, total};

/// Numbers about one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statistic {
    /// What kind of thing it is.
    pub(super) name: &'static str,
    /// Which one of the kind, by one tag at most.
    pub(super) tag: Option<(&'static str, String)>,
    /// By name.
    pub(super) values: BTreeMap<&'static str, u64>,
}

impl Statistic {
    /// Its name among all statistics.
    pub(super) fn key(&self) -> String {
        match &self.tag {
            Some((_, value)) => format!("{}:{value}", self.name),
            None => self.name.to_owned(),
        }
    }
}

const REQUESTS: &str = "tidewire_requests_total";
const DURATIONS: &str = "tidewire_request_duration_seconds";
const ENDED: &str = "tidewire_queries_total";

/// Sums over all cores.
struct Totals<'s>(&'s [Snapshot]);

impl Totals<'_> {
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        total(self.0, name, labels) as u64
    }

    fn seconds_as_ns(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        (total(self.0, name, labels) * 1e9) as u64
    }
}

/// All statistics, by key.
pub(super) async fn statistics(context: &RequestContext<'_>) -> (Vec<Snapshot>, Vec<Statistic>) {
    let snapshots = context.core.peers.ask_all(ReadMetrics).await;
    let totals = Totals(&snapshots);
    let mut all = vec![httpd(context, &totals), queries(&totals), runtime(&totals), writes(&totals)];
    for database in context.core.catalog().databases_of(DEFAULT_TENANT) {
        let names: BTreeSet<&str> = database.all_tables().map(|table| &*table.name).collect();
        let series = totals.of("tidewire_database_series", &[("database", &database.name), ("tenant", DEFAULT_TENANT)]);
        all.push(Statistic {
            name: "database",
            tag: Some(("database", database.name.to_string())),
            values: [("numMeasurements", names.len() as u64), ("numSeries", series)].into(),
        });
    }
    all.sort_by_key(Statistic::key);
    (snapshots, all)
}

fn httpd(context: &RequestContext<'_>, totals: &Totals<'_>) -> Statistic {
    let requests = |route| totals.of(REQUESTS, &[("route", route)]);
    let duration = |route| totals.seconds_as_ns(DURATIONS, &[("route", route)]);
    let dropped = totals.of("tidewire_rows_rejected_total", &[]);
    let bind = context.core.config.listen.first().map(ToString::to_string);
    Statistic {
        name: "httpd",
        tag: bind.map(|bind| ("bind", bind)),
        values: [
            ("clientError", totals.of(REQUESTS, &[("status", "4xx")])),
            ("pingReq", requests("/ping")),
            ("pointsWrittenDropped", dropped),
            ("pointsWrittenOK", totals.of("tidewire_rows_written_total", &[])),
            ("queryReq", requests("/query")),
            ("queryReqDurationNs", duration("/query")),
            ("recoveredPanics", totals.of("tidewire_panics_total", &[])),
            ("req", totals.of("tidewire_http_requests_total", &[])),
            ("reqDurationNs", totals.seconds_as_ns(DURATIONS, &[])),
            ("respBytes", totals.of("tidewire_http_sent_bytes_total", &[])),
            ("serverError", totals.of(REQUESTS, &[("status", "5xx")])),
            ("writeReq", requests("/write")),
            ("writeReqDurationNs", duration("/write")),
        ]
        .into(),
    }
}

fn queries(totals: &Totals<'_>) -> Statistic {
    let active = totals.of("tidewire_queries_running", &[]);
    let finished = totals.of(ENDED, &[]);
    Statistic {
        name: "queryExecutor",
        tag: None,
        values: [
            ("queriesActive", active),
            ("queriesExecuted", active + finished),
            ("queriesFinished", finished),
            ("queryDurationNs", totals.seconds_as_ns(DURATIONS, &[("route", "/query")])),
        ]
        .into(),
    }
}

fn runtime(totals: &Totals<'_>) -> Statistic {
    Statistic {
        name: "runtime",
        tag: None,
        values: [
            ("Alloc", totals.of("tidewire_memory_bytes", &[])),
            ("HeapInUse", totals.of("process_resident_memory_bytes", &[])),
            ("Sys", totals.of("process_virtual_memory_bytes", &[])),
        ]
        .into(),
    }
}

fn writes(totals: &Totals<'_>) -> Statistic {
    let route = ("route", "/write");
    let written = totals.of("tidewire_rows_written_total", &[]);
    Statistic {
        name: "write",
        tag: None,
        values: [
            ("pointReq", written),
            ("pointReqLocal", written),
            ("req", totals.of(REQUESTS, &[route])),
            ("writeDrop", totals.of("tidewire_rows_rejected_total", &[])),
            ("writeError", totals.of("tidewire_writes_refused_total", &[])),
            ("writeOk", totals.of(REQUESTS, &[route, ("status", "2xx")])),
        ]
        .into(),
    }
}

/// SHOW STATS.
pub(super) async fn show(
    context: &RequestContext<'_>,
    module: Option<&str>,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let (_, all) = statistics(context).await;
    for statistic in all.iter().filter(|statistic| module.is_none_or(|module| module == statistic.name)) {
        let tags: Vec<(&str, &str)> = statistic.tag.iter().map(|(tag, value)| (*tag, value.as_str())).collect();
        let columns: Vec<&str> = statistic.values.keys().copied().collect();
        // InfluxDB's are of 64 bits with a sign.
        let value = |value: &u64| Value::Int(i64::try_from(*value).unwrap_or(i64::MAX));
        let row = statistic.values.values().map(value).collect();
        answer.whole_series_of(statistic.name, &tags, &columns, [row])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::registry::Registry;

    #[test]
    fn statistics_are_sums_over_cores() {
        let core = |requests, ns| {
            let registry = Registry::new();
            let labels = [("route", "/write"), ("status", "2xx")];
            registry.counter(REQUESTS, "", &labels).add(requests);
            registry.counter(REQUESTS, "", &[("route", "/write"), ("status", "4xx")]).add(1);
            let unit = crate::metrics::registry::Unit::Nanoseconds;
            registry.histogram(DURATIONS, "", &[("route", "/query")], unit).record(ns);
            registry.snapshot()
        };
        let snapshots = [core(3, 1_000), core(4, 2_500)];
        let totals = Totals(&snapshots);
        let writes = writes(&totals);
        assert_eq!((writes.values["req"], writes.values["writeOk"], writes.values["pointReq"]), (9, 7, 0));
        assert_eq!(queries(&totals).values["queryDurationNs"], 3_500);
        let tagged = Statistic { name: "database", tag: Some(("database", "d".to_owned())), values: BTreeMap::new() };
        assert_eq!((writes.key(), tagged.key()), ("write".to_owned(), "database:d".to_owned()));
    }
}
