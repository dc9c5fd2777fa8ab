//! SHOW DIAGNOSTICS: what the server is and where it runs.

use std::env::consts::{ARCH, OS};

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::types::timestamp::format_timestamp;

use super::answer::Answer;
use super::headers::VERSION;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::message::ReadMetrics;
use crate::metrics::registry::{Snapshot, total};

/// When the process started, in nanoseconds since 1970.
pub(super) fn started_ns(snapshots: &[Snapshot]) -> i64 {
    (total(snapshots, "process_start_time_seconds", &[]) * 1e9) as i64
}

/// A time with all its digits.
pub(super) fn shown(ns: i64) -> String {
    format!("{}Z", format_timestamp(ns, arrow_schema::TimeUnit::Nanosecond))
}

/// Shows all of it, or one module.
pub(super) async fn show(
    context: &RequestContext<'_>,
    module: Option<&str>,
    answer: &mut Answer<'_>,
) -> Result<(), Fault> {
    let snapshots = context.core.peers.ask_all(ReadMetrics).await;
    let started_ns = started_ns(&snapshots);
    let seconds = (context.now_ns - started_ns).max(0) / 1_000_000_000;
    let uptime = format!("{}h{}m{}s", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let (now, started) = (shown(context.now_ns), shown(started_ns));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let cores = snapshots.len() as i64;
    let package = concat!("tidewire ", env!("CARGO_PKG_VERSION"));
    let text = Value::Text;
    let modules: [(&str, &[&str], Vec<Value<'_>>); 4] = [
        (
            "build",
            &["Branch", "Build Time", "Commit", "Version"],
            vec![text(package), text(""), text(""), text(VERSION)],
        ),
        ("network", &["hostname"], vec![text(host.trim())]),
        (
            "runtime",
            &["GOARCH", "GOMAXPROCS", "GOOS", "version"],
            vec![text(ARCH), Value::Int(cores), text(OS), text(package)],
        ),
        (
            "system",
            &["PID", "currentTime", "started", "uptime"],
            vec![Value::Int(std::process::id().into()), text(&now), text(&started), text(&uptime)],
        ),
    ];
    for (name, columns, row) in modules {
        if module.is_none_or(|module| module == name) {
            answer.whole_series(name, columns, [row])?;
        }
    }
    Ok(())
}
