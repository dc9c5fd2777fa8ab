//! What `Accept` asks for: the first of its types that there is, by weight; JSON where there is none.

use tidewire_protocol::encode::influx::Format;

/// A format, and the type that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) format: Format,
    pub(super) content_type: &'static str,
}

/// Types of replies, those first that are meant where several are.
const TYPES: [Accepted; 4] = [
    Accepted { format: Format::Json, content_type: "application/json" },
    Accepted { format: Format::Csv, content_type: "application/csv" },
    Accepted { format: Format::Csv, content_type: "text/csv" },
    Accepted { format: Format::MessagePack, content_type: "application/x-msgpack" },
];

impl Default for Accepted {
    fn default() -> Self {
        TYPES[0]
    }
}

/// The format that `accept` asks for.
pub(super) fn format(accept: &str) -> Accepted {
    let mut best: Option<(f32, Accepted)> = None;
    for member in accept.split(',') {
        let mut parts = member.split(';').map(str::trim);
        let wanted = parts.next().unwrap_or("").to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        let means = |known: &&Accepted| match wanted.split_once('/') {
            Some(("*", "*")) => true,
            Some((kind, "*")) => known.content_type.split('/').next() == Some(kind),
            _ => known.content_type == wanted,
        };
        if let Some(found) = TYPES.iter().find(means)
            && weight > 0.0
            && best.is_none_or(|(known, _)| weight > known)
        {
            best = Some((weight, *found));
        }
    }
    best.map_or_else(Accepted::default, |(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_type_of_the_greatest_weight_is_meant() {
        for (accept, content_type) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/html", "application/json"),
            ("text/csv", "text/csv"),
            ("Application/CSV", "application/csv"),
            ("text/*", "text/csv"),
            ("application/x-msgpack", "application/x-msgpack"),
            ("text/html, application/csv;q=0.5, application/x-msgpack;q=0.9", "application/x-msgpack"),
            ("application/csv;q=0, */*;q=0.1", "application/json"),
            ("application/csv, text/csv", "application/csv"),
        ] {
            assert_eq!(format(accept).content_type, content_type, "{accept:?}");
        }
    }
}
