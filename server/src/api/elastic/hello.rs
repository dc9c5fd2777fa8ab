//! What clients of Elasticsearch ask before they send: who is there, by what license, and whether templates, pipelines
//! and policies that they bring are there.

use serde_json::json;

use super::error::headers;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::net::Reply;

/// The version that CnosDB says it is; clients of 7 and 8 take it.
const VERSION: &str = "8.4.0";

/// Says that Elasticsearch is here.
pub fn hello(reply: &mut Reply) {
    let body = json!({
        "name": "tidewire",
        "cluster_name": "tidewire",
        "cluster_uuid": "tidewire",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_snapshot": false,
            "lucene_version": "9.3.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    });
    send(reply, &body);
}

/// Says that the license is a free one.
pub fn license(reply: &mut Reply) {
    let license = json!({
        "uid": "tidewire",
        "type": "basic",
        "license_type": "oss",
        "status": "active",
        "expiry_date_in_millis": 4_000_000_000_000_u64,
    });
    send(reply, &json!({ "license": license }));
}

/// Says yes: there is nothing to set up, and what is asked for is there.
pub fn nothing(reply: &mut Reply) {
    send(reply, &json!({ "acknowledged": true, "status": "green" }));
}

/// Says yes to who asks for an index, or makes one. What begins with `_` is none: it asks for something that is not
/// done here.
pub fn index(context: &RequestContext<'_>, reply: &mut Reply) -> Result<(), Fault> {
    if context.segments.get("index").starts_with('_') {
        return Err(Fault::PathUnknown);
    }
    nothing(reply);
    Ok(())
}

fn send(reply: &mut Reply, body: &serde_json::Value) {
    reply.send(200, |head| headers(head).content_type("application/json"), body.to_string().as_bytes());
}
