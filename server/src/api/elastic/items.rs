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
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(item.action.name().as_bytes());
        out.extend_from_slice(b"\":{");
        if let Some(id) = bulk.id(item) {
            out.extend_from_slice(b"\"_id\":");
            push_text(out, id);
            out.push(b',');
        }
        out.extend_from_slice(b"\"_index\":");
        push_text(out, bulk.table(item));
        match item.is_taken {
            true => out.extend_from_slice(b",\"result\":\"created\",\"status\":201}}"),
            false => {
                let number = place as u64 + 1;
                let found = written.bad_rows.kept.iter().find(|row| row.position.number() == number);
                let (kind, reason) = match found {
                    Some(row) => (reason_type(row), row.to_string()),
                    None => (
                        "illegal_argument_exception",
                        "refused; the reply has the reasons of the first items that are".to_owned(),
                    ),
                };
                let error = json!({ "type": kind, "reason": reason });
                out.extend_from_slice(format!(",\"error\":{error},\"status\":400}}}}").as_bytes());
            }
        }
    }
}

/// Appends a string of JSON.
fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}
