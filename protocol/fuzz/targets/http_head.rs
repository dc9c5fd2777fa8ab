//! Heads of requests: one that is accepted has no other reading when it comes in parts, and can be walked.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use tidewire_protocol::http::{Limits, negotiate, parse_head, path_of_refused};

shared::entry::target!(|data| {
    let limits = Limits { head_bytes_max: 4 << 10, headers_max: 16 };
    let whole = parse_head(data, &limits);
    let path = path_of_refused(data);
    for end in 0..data.len() {
        match (parse_head(&data[..end], &limits), &whole) {
            // What is complete does not change by what comes behind it.
            (Ok(Some(part)), Ok(Some(head))) => assert_eq!((part.length, part.body), (head.length, head.body)),
            (Ok(Some(_)), _) => panic!("a head that is complete at {end} is none with more bytes behind it"),
            (Ok(None), _) => {}
            // What is refused is not forgiven.
            (Err(_), Ok(_)) => panic!("a head that is refused at {end} is accepted later"),
            (Err(_), Err(_)) => {}
        }
    }
    let Ok(Some(head)) = whole else { return };
    assert!(head.length <= limits.head_bytes_max && head.length <= data.len());
    assert!(data[..head.length].ends_with(b"\r\n\r\n"));
    assert!(head.path.starts_with('/') || head.path == "*");
    // Where both can tell the path, they tell the same.
    if head.path != "*" && !head.path.is_empty() {
        assert!(path.is_none_or(|path| path == head.path), "{path:?} and {:?}", head.path);
    }
    assert!(head.headers().count() <= limits.headers_max);
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']));
        assert!(head.header(name).is_some());
    }
    let _ = head.content_encoding();
    let _ = negotiate(head.header("accept-encoding").unwrap_or_default());
});
