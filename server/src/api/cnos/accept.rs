//! What `Accept` and `Accept-Encoding` of CnosDB's clients ask for.

use tidewire_protocol::encode::Format;
use tidewire_protocol::http::{Encoding, Head, negotiate};

use crate::api::fault::Fault;

/// The format that `Accept` asks for; csv without one.
///
/// The kind (`application/`, `text/`) is compared as it stands and the format in any case; lists and q-values are
/// refused, as CnosDB does.
pub(super) fn format(head: &Head<'_>) -> Result<Format, Fault> {
    of_accept(head.header("accept").unwrap_or(""))
}

fn of_accept(accept: &str) -> Result<Format, Fault> {
    let accept = accept.trim_matches([' ', '\t']);
    if matches!(accept, "" | "*/*" | "application/*") {
        return Ok(Format::Csv);
    }
    match accept.strip_prefix("application/").or_else(|| accept.strip_prefix("text/")) {
        Some(name) => Format::from_name(name).ok_or_else(|| Fault::AcceptFormat(name.to_owned())),
        None => Err(Fault::AcceptType(accept.to_owned())),
    }
}

/// The coding of the reply that `Accept-Encoding` leaves; `None` where it asks for none.
pub(super) fn encoding(head: &Head<'_>) -> Result<Option<Encoding>, Fault> {
    match head.header("accept-encoding") {
        None => Ok(None),
        Some(accepted) => match negotiate(accepted) {
            Some(encoding) => Ok(Some(encoding)),
            None => Err(Fault::AcceptEncoding(accepted.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::error;
    use super::*;

    #[test]
    fn a_format_is_asked_for_by_one_type() {
        for (accept, format) in [
            ("", Format::Csv),
            ("*/*", Format::Csv),
            ("application/*", Format::Csv),
            ("application/csv", Format::Csv),
            (" text/csv ", Format::Csv),
            ("text/CSV", Format::Csv),
            ("text/tsv", Format::Tsv),
            ("application/json", Format::Json),
            ("text/json", Format::Json),
            ("application/Nd-Json", Format::NdJson),
            ("text/table", Format::Table),
            ("application/vnd.apache.arrow.stream", Format::Arrow),
            ("application/vnd.apache.parquet", Format::Parquet),
        ] {
            assert_eq!(of_accept(accept).ok(), Some(format), "{accept:?}");
        }
        for (accept, message) in [
            ("TEXT/CSV", "accept type not support: TEXT/CSV"),
            ("text/html", "invalid variant: html"),
            ("*", "accept type not support: *"),
            ("application/xml", "invalid variant: xml"),
            ("image/png", "accept type not support: image/png"),
            ("text/csv, application/json", "invalid variant: csv, application/json"),
            ("application/json;q=0.9", "invalid variant: json;q=0.9"),
            ("text/*", "invalid variant: *"),
            ("*/*;q=0.1", "accept type not support: */*;q=0.1"),
        ] {
            let told = error::reply(&of_accept(accept).unwrap_err());
            let message = format!("Invalid header: Invalid header: {message}");
            let body = serde_json::json!({ "error_code": "040005", "error_message": message }).to_string();
            assert_eq!((told.status, String::from_utf8(told.body).unwrap()), (400, body));
        }
    }
}
