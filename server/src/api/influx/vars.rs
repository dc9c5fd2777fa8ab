//! `/debug/vars`: the process and all statistics as one document, in the shape that Telegraf reads.

use serde_json::{Value, json};

use super::diagnostics::{shown, started_ns};
use super::headers::headers;
use super::statistics::{Statistic, statistics};
use crate::api::context::RequestContext;
use crate::metrics::registry::total;
use crate::net::Reply;

/// Sends the document.
pub async fn vars(context: &RequestContext<'_>, reply: &mut Reply) {
    let document = document(context).await;
    reply.send(
        200,
        |head| headers(head, Some(&context.id)).content_type("application/json; charset=utf-8"),
        document.as_bytes(),
    );
}

/// The document.
pub(super) async fn document(context: &RequestContext<'_>) -> String {
    let (snapshots, all) = statistics(context).await;
    let started_ns = started_ns(&snapshots);
    let bytes = |name| total(&snapshots, name, &[]) as u64;
    let counted = bytes("tidewire_memory_bytes");
    let system = json!({
        "currentTime": shown(context.now_ns),
        "started": shown(started_ns),
        "uptime": (context.now_ns - started_ns).max(0) / 1_000_000_000,
    });
    let command: Vec<String> = std::env::args_os().map(|part| part.to_string_lossy().into_owned()).collect();
    // Of Go's memory statistics those that there is a number for.
    let memory = json!({
        "Alloc": counted,
        "HeapAlloc": counted,
        "HeapInuse": bytes("process_resident_memory_bytes"),
        "Sys": bytes("process_virtual_memory_bytes"),
    });
    let mut members = vec![("system".to_owned(), system), ("cmdline".to_owned(), json!(command))];
    members.push(("memstats".to_owned(), memory));
    members.extend(all.iter().map(|statistic| (statistic.key(), member(statistic))));
    lines(&members)
}

fn member(statistic: &Statistic) -> Value {
    let tags: serde_json::Map<String, Value> =
        statistic.tag.iter().map(|(tag, value)| ((*tag).to_owned(), json!(value))).collect();
    json!({ "name": statistic.name, "tags": tags, "values": statistic.values })
}

/// A member a line.
fn lines(members: &[(String, Value)]) -> String {
    let lines: Vec<String> = members.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_a_member_a_line() {
        let statistic = Statistic {
            name: "database",
            tag: Some(("database", "a\"b".to_owned())),
            values: [("numSeries", 3), ("numMeasurements", 1)].into(),
        };
        let text = lines(&[("system".to_owned(), json!({})), (statistic.key(), member(&statistic))]);
        let values = r#"{"numMeasurements":1,"numSeries":3}"#;
        let line = format!(r#""database:a\"b": {{"name":"database","tags":{{"database":"a\"b"}},"values":{values}}}"#);
        assert_eq!(text, format!("{{\n\"system\": {{}},\n{line}\n}}\n"));
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }
}
