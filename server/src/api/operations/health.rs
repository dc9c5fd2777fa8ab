//! `/health` and `/ready`: whether the server does all that it is there for, and if not, why.
//!
//! It does not where a shard is offline, or takes no writes for want of space or because its log has failed, or where a
//! core does not answer. Both routes say the same: `/health` in the shape that InfluxDB has from 1.8 on, `/ready` as a
//! list.

use std::time::Duration;

use futures_lite::future::or;
use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::influx;
use crate::core::message::ReadHealth;
use crate::core::state::CoreState;
use crate::net::Reply;
use crate::ring::sleep;

/// A core that does not answer within this time is one of the reasons.
const PATIENCE: Duration = Duration::from_secs(2);

/// A part that does not do what it is there for.
struct Trouble {
    part: String,
    reason: String,
}

/// Answers in InfluxDB's shape.
pub async fn health(context: &RequestContext<'_>, reply: &mut Reply) {
    let troubles = troubles(context.core).await;
    let (status, body) = health_body(&troubles);
    send(context, status, &body, reply);
}

/// Answers with a list.
pub async fn ready(context: &RequestContext<'_>, reply: &mut Reply) {
    let troubles = troubles(context.core).await;
    let (status, body) = ready_body(&troubles);
    send(context, status, &body, reply);
}

fn health_body(troubles: &[Trouble]) -> (u16, Value) {
    let checks: Vec<Value> = troubles
        .iter()
        .map(|trouble| json!({ "message": trouble.reason, "name": trouble.part, "status": "fail" }))
        .collect();
    let (status, outcome, message) = match troubles {
        [] => (200, "pass", "ready for queries and writes".to_owned()),
        _ => (503, "fail", reasons(troubles).join("; ")),
    };
    let version = influx::VERSION;
    let body =
        json!({ "checks": checks, "message": message, "name": "influxdb", "status": outcome, "version": version });
    (status, body)
}

fn ready_body(troubles: &[Trouble]) -> (u16, Value) {
    let (status, outcome) = if troubles.is_empty() { (200, "ready") } else { (503, "not ready") };
    (status, json!({ "reasons": reasons(troubles), "status": outcome }))
}

fn reasons(troubles: &[Trouble]) -> Vec<&str> {
    troubles.iter().map(|trouble| &*trouble.reason).collect()
}

fn send(context: &RequestContext<'_>, status: u16, body: &Value, reply: &mut Reply) {
    let retry_after = (status == 503).then(|| context.core.config.admission.retry_after_s.to_string());
    reply.send(
        status,
        |head| {
            let head = influx::headers(head, Some(&context.id)).content_type("application/json");
            match &retry_after {
                Some(seconds) => head.header("Retry-After", seconds),
                None => head,
            }
        },
        body.to_string().as_bytes(),
    );
}

/// What does not do what it is there for, by shard.
async fn troubles(core: &CoreState) -> Vec<Trouble> {
    let mut found = Vec::new();
    for shard in 0..core.peers.shard_count() {
        if let Err(error) = core.offline.check(shard) {
            found.push((shard, Trouble { part: format!("shard {shard}"), reason: error.to_string() }));
        }
    }
    let answers = or(async { Some(core.peers.ask_all(ReadHealth).await) }, async {
        sleep(PATIENCE).await;
        None
    });
    match answers.await {
        Some(answers) => found.extend(answers.into_iter().flatten().map(|trouble| {
            let part = format!("shard {}", trouble.shard);
            (trouble.shard, Trouble { part, reason: trouble.reason })
        })),
        None => {
            let reason = format!("a core has not answered for {} s", PATIENCE.as_secs());
            found.push((u32::MAX, Trouble { part: "cores".to_owned(), reason }));
        }
    }
    found.sort_by_key(|(shard, _)| *shard);
    found.into_iter().map(|(_, trouble)| trouble).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_server_says_what_influxdb_says() {
        let (status, body) = health_body(&[]);
        let text =
            r#"{"checks":[],"message":"ready for queries and writes","name":"influxdb","status":"pass","version":"#;
        assert_eq!((status, body.to_string()), (200, format!("{text}\"{}\"}}", influx::VERSION)));
        assert_eq!(ready_body(&[]).1.to_string(), r#"{"reasons":[],"status":"ready"}"#);
    }

    #[test]
    fn every_reason_is_said() {
        let trouble = |shard: u32| Trouble { part: format!("shard {shard}"), reason: format!("shard {shard} is x") };
        let troubles = [trouble(0), trouble(3)];
        let (status, body) = health_body(&troubles);
        assert_eq!(
            (status, &body["status"], &body["message"]),
            (503, &json!("fail"), &json!("shard 0 is x; shard 3 is x"))
        );
        assert_eq!(body["checks"][1], json!({ "name": "shard 3", "status": "fail", "message": "shard 3 is x" }));
        let (status, body) = ready_body(&troubles);
        assert_eq!(
            (status, body),
            (503, json!({ "status": "not ready", "reasons": ["shard 0 is x", "shard 3 is x"] }))
        );
    }
}
