//! `/debug/requests`: how many writes and queries come from each client while one waits.

use std::time::Duration;

use tidewire_protocol::encode::influx::{Options, write_error};

use super::error::error_header;
use super::headers::headers;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::tally::Count;
use crate::net::Reply;
use crate::ring::sleep;

/// Unless the request says it otherwise.
const SECONDS: i64 = 10;

/// The longest wait.
const SECONDS_MAX: i64 = 6 * 3_600;

/// Waits, and sends what was counted.
pub async fn requests(context: &RequestContext<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let seconds = match seconds(context.parameter("seconds")?.as_deref()) {
        Ok(seconds) => seconds,
        Err(reason) => {
            let mut body = Vec::new();
            write_error(&mut body, &reason, None, Options::default());
            // As all of `/debug` has it.
            body.truncate(body.trim_ascii_end().len());
            let header = error_header(&reason);
            reply.send(
                400,
                |head| {
                    let head = headers(head, Some(&context.id)).header("X-Influxdb-Error", &header);
                    head.content_type("application/json")
                },
                &body,
            );
            return Ok(());
        }
    };
    let watch = context.core.tally.watch();
    sleep(Duration::from_secs(seconds)).await;
    let body = document(watch.counts());
    reply.send(
        200,
        |head| headers(head, Some(&context.id)).content_type("application/json; charset=utf-8"),
        body.as_bytes(),
    );
    Ok(())
}

/// How long to wait.
fn seconds(text: Option<&str>) -> Result<u64, String> {
    let seconds = match text.filter(|text| !text.is_empty()) {
        None => SECONDS,
        Some(text) => text.parse::<i64>().map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("strconv.ParseInt: parsing {text:?}: {why}")
        })?,
    };
    match seconds > SECONDS_MAX {
        true => Err(format!("exceeded maximum interval time: {seconds}s > {}h", SECONDS_MAX / 3_600)),
        false => Ok(u64::try_from(seconds).unwrap_or(0)),
    }
}

/// A client a line.
fn document(counts: impl IntoIterator<Item = (String, Count)>) -> String {
    let line = |(client, Count { writes, queries }): (String, Count)| {
        format!("{}: {{\"writes\":{writes},\"queries\":{queries}}}", serde_json::json!(client))
    };
    let lines: Vec<String> = counts.into_iter().map(line).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_as_go_does() {
        assert_eq!(
            [seconds(None), seconds(Some("")), seconds(Some("60")), seconds(Some("-1"))],
            [Ok(10), Ok(10), Ok(60), Ok(0)]
        );
        let wrong = [
            ("x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("99999999999999999999", "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"),
            ("100000", "exceeded maximum interval time: 100000s > 6h"),
        ];
        for (text, reason) in wrong {
            assert_eq!(seconds(Some(text)), Err(reason.to_owned()));
        }
    }

    #[test]
    fn clients_stand_a_line_each() {
        let count = |writes, queries| Count { writes, queries };
        let two = [("u:1.2.3.4".to_owned(), count(1, 0)), ("::1".to_owned(), count(0, 16))];
        let expected = "{\n\"u:1.2.3.4\": {\"writes\":1,\"queries\":0},\n\"::1\": {\"writes\":0,\"queries\":16}\n}\n";
        assert_eq!(document(two), expected);
        assert_eq!(document([]), "{\n\n}\n");
    }
}
