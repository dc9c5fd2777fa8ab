//! Doors beside line protocol: what is written through one is what a query gives.

mod documents;
mod jaeger;
mod opentsdb;
mod otlp;
mod packed;
mod remote_read;
mod telnet;

use crate::common::{Response, Server};

/// Sends a body and wants this status.
fn post(server: &Server, target: &str, headers: &[(&str, &str)], body: &[u8], status: u16) -> Response {
    let response = server.request("POST", target, headers, body);
    assert_eq!(response.status(), status, "{target}: {}", response.text());
    response
}

/// The rows of a statement in the database `public`, as CSV.
fn rows(server: &Server, sql: &str) -> String {
    let response = server.sql("public", sql);
    assert_eq!(response.status(), 200, "{sql}: {}", response.text());
    response.text()
}

/// The reply as JSON.
fn json(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}
