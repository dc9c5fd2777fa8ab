//! `/api/version`, which clients ask to see whether somebody is there.

use serde_json::json;

use crate::net::Reply;

/// The version of OpenTSDB whose puts these are.
const VERSION: &str = "2.4.0";

/// Says which version is here.
pub fn version(reply: &mut Reply) {
    let body = json!({
        "version": VERSION,
        "repo": concat!("tidewire ", env!("CARGO_PKG_VERSION")),
        "short_revision": "",
        "full_revision": "",
        "repo_status": "",
    });
    reply.send(200, |head| head.content_type("application/json"), body.to_string().as_bytes());
}
