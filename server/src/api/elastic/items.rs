//! The reply to a bulk: an item for each action, in their order.

use serde_json::json;
use tidewire_protocol::document::{Bulk, BulkItem};

use super::error::{headers, reason_type};
use crate::api::context::RequestContext;
use crate::ingest::session::Written;
use crate::net::Reply;
use crate::ring::yield_if_needed;
use crate::runtime::clock::now_ns;

/// Items of a reply that is made in one go; a longer one streams.
const ITEMS_WHOLE_MAX: usize = 4096;

/// Sends the reply. A client that has gone is nobody's fault.
pub(super) async fn send_items(context: &RequestContext<'_>, bulk: &Bulk, written: &Written, reply: &mut Reply) {
    let took_ms = now_ns().saturating_sub(context.now_ns).max(0) / 1_000_000;
    let errors = !written.bad_rows.is_empty();
    let start = format!("{{\"took\":{took_ms},\"errors\":{errors},\"items\":[");
    if bulk.items().len() <= ITEMS_WHOLE_MAX {
        let mut body = start.into_bytes();
        write_items(bulk, written, 0, bulk.items(), &mut body);
        body.extend_from_slice(b"]}");
        reply.send(200, |head| headers(head).content_type("application/json"), &body);
        return;
    }
    reply.stream(200, |head| headers(head).content_type("application/json"));
    if reply.write(start.as_bytes()).await.is_err() {
        return;
    }
    for (part, items) in bulk.items().chunks(ITEMS_WHOLE_MAX / 8).enumerate() {
        let first = part * (ITEMS_WHOLE_MAX / 8);
        if reply.write_with(|out| write_items(bulk, written, first, items, out)).await.is_err() {
            return;
        }
        yield_if_needed().await;
    }
    if reply.write(b"]}").await.is_ok() {
        reply.finish();
    }
}

/// Writes items, the first of which is at the place `first` among all.
fn write_items(bulk: &Bulk, written: &Written, first: usize, items: &[BulkItem], out: &mut Vec<u8>) {
    for (place, item) in items.iter().enumerate().map(|(at, item)| (first + at, item)) {
        let mut about = json!({ "_index": bulk.table(item) });
        if let Some(id) = bulk.id(item) {
            about["_id"] = id.into();
        }
        if item.is_taken {
            about["result"] = "created".into();
            about["status"] = 201.into();
        } else {
            let number = place as u64 + 1;
            let kept = &written.bad_rows.kept;
            let found = kept.iter().find(|row| row.position.number() == number);
            let (kind, reason) = match found {
                Some(row) => (reason_type(row), row.to_string()),
                None => (
                    "illegal_argument_exception",
                    "refused; the reply has the reasons of the first items that are".to_owned(),
                ),
            };
            about["status"] = 400.into();
            about["error"] = json!({ "type": kind, "reason": reason });
        }
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(json!({ item.action.name(): about }).to_string().as_bytes());
    }
}
