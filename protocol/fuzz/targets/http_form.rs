//! Parameters of URLs and forms, and forms in parts.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use tidewire_protocol::http::{Query, multipart};

shared::entry::target!(|data| {
    let query = Query::new(data);
    let pairs: Result<Vec<_>, _> = query.pairs().collect();
    if let Ok(pairs) = &pairs {
        for (name, value) in pairs {
            let first = pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            let found = query.get(name).expect("all pairs can be read");
            assert_eq!(found.as_deref(), first.map(|value| &**value), "{name}={value}");
        }
    }
    // A line that says what the boundary is, and the body.
    let (content_type, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let Ok(content_type) = std::str::from_utf8(content_type) else { return };
    let Some(boundary) = multipart::boundary(content_type) else { return };
    let bytes: usize = multipart::parts(body, boundary).iter().map(|(name, _)| name.len()).sum();
    // Each replaced byte takes three.
    assert!(bytes <= 3 * body.len());
});
