//! Reply heads and chunks, byte for byte.

use std::time::{Duration, UNIX_EPOCH};

use tidewire_protocol::http::{DateCache, Framing, ResponseHead, reason_phrase, write_chunk, write_last_chunk};

#[test]
fn a_reply_with_length() {
    let mut out = b"earlier".to_vec();
    let mut dates = DateCache::default();
    let now = UNIX_EPOCH + Duration::from_millis(1_665_212_378_900);
    ResponseHead::new(&mut out, 200).content_type("text/csv").date(&mut dates, now).finish(Framing::Length(11));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "earlierHTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nDate: Sat, 08 Oct 2022 06:59:38 GMT\r\nContent-Length: 11\r\n\r\n"
    );
}

#[test]
fn framings() {
    for (status, framing, expected) in [
        (
            422,
            Framing::Chunked,
            "HTTP/1.1 422 Unprocessable Entity\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (200, Framing::UntilClose, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
        (200, Framing::Length(0), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (204, Framing::Length(0), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        (304, Framing::Chunked, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"),
    ] {
        let mut out = Vec::new();
        ResponseHead::new(&mut out, status).close().finish(framing);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_value_cannot_start_a_header() {
    let mut out = Vec::new();
    ResponseHead::new(&mut out, 400)
        .header("X-Influxdb-Error", "bad\r\nSet-Cookie: a\0\u{7f}é")
        .finish(Framing::Length(0));
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\r\nX-Influxdb-Error: bad  Set-Cookie: a  é\r\nContent-Length: 0\r\n\r\n"), "{text:?}");
}

#[test]
fn chunks() {
    let mut out = Vec::new();
    write_chunk(&mut out, b"hello");
    write_chunk(&mut out, b"");
    write_chunk(&mut out, &[b'x'; 0x1af]);
    write_last_chunk(&mut out);
    let expected = [b"5\r\nhello\r\n1af\r\n".to_vec(), vec![b'x'; 0x1af], b"\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(out, expected);
}

#[test]
fn dates_follow_the_second() {
    let mut dates = DateCache::default();
    assert_eq!(dates.text(UNIX_EPOCH), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(dates.text(UNIX_EPOCH + Duration::from_secs(951_782_400)), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(dates.text(UNIX_EPOCH + Duration::from_millis(951_782_401_999)), "Tue, 29 Feb 2000 00:00:01 GMT");
    assert_eq!(dates.text(UNIX_EPOCH - Duration::from_secs(5)), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(dates.text(UNIX_EPOCH + Duration::from_secs(1 << 40)), "Fri, 31 Dec 9999 23:59:59 GMT");
}

#[test]
fn every_status_the_server_sends_has_a_phrase() {
    for status in [200, 204, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 422, 429, 431, 500, 501, 503, 505] {
        assert!(!reason_phrase(status).is_empty(), "{status}");
    }
    assert_eq!(reason_phrase(299), "");
}
