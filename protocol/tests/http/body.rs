//! Body framing: payload and ends, hostile chunks, pipelined requests in every split.

use tidewire_protocol::http::{BodyError, BodyFramer, BodyLength, Limits, parse_head};

/// Feeds `input` in pieces of `step` bytes; returns the payload and how much of the input was used.
fn read(length: BodyLength, max: u64, input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut framer = BodyFramer::new(length, max)?;
    let (mut payload, mut used, mut seen) = (Vec::new(), 0, 0);
    while !framer.is_done() {
        if used == seen {
            if seen == input.len() {
                return Ok((payload, used, false));
            }
            seen = (seen + step).min(input.len());
        }
        let framed = framer.next(&input[used..seen])?;
        payload.extend_from_slice(framed.data);
        used += framed.consumed;
        assert_eq!(framed.done, framer.is_done());
    }
    Ok((payload, used, true))
}

fn chunked(input: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let whole = read(BodyLength::Chunked, 1000, input, input.len().max(1));
    for step in 1..input.len() {
        assert_eq!(
            read(BodyLength::Chunked, 1000, input, step),
            whole,
            "step {step} of {:?}",
            input.escape_ascii().to_string()
        );
    }
    whole
}

#[test]
fn content_length() {
    for step in 1..8 {
        assert_eq!(read(BodyLength::Length(5), 5, b"helloGET /", step), Ok((b"hello".to_vec(), 5, true)));
    }
    assert_eq!(read(BodyLength::Length(5), 9, b"hel", 2), Ok((b"hel".to_vec(), 3, false)));
    assert_eq!(read(BodyLength::None, 5, b"GET /", 5), Ok((Vec::new(), 0, true)));
    assert_eq!(read(BodyLength::Length(0), 5, b"GET /", 5), Ok((Vec::new(), 0, true)));
    assert_eq!(BodyFramer::new(BodyLength::Length(6), 5).unwrap_err().status, 413);
    assert_eq!(BodyFramer::new(BodyLength::Length(u64::MAX), u64::MAX - 1).unwrap_err().status, 413);
}

#[test]
fn chunks() {
    for (input, payload) in [
        (&b"0\r\n\r\n"[..], &b""[..]),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"5;name=value\r\nhello\r\n0;last\r\n\r\n", b"hello"),
        (b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (b"1\r\nx\r\n0\r\nChecksum: abc\r\nX-Other:\r\n\r\n", b"x"),
    ] {
        let mut followed = input.to_vec();
        followed.extend_from_slice(b"GET / HTTP/1.1\r\n");
        assert_eq!(
            chunked(&followed),
            Ok((payload.to_vec(), input.len(), true)),
            "{:?}",
            input.escape_ascii().to_string()
        );
    }
}

#[test]
fn hostile_chunks_are_refused() {
    for input in [
        &b"\r\nhello"[..],
        b";a\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhelloo\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"5g\r\n",
        b"g\r\n",
        b"00000000000000005\r\nhello\r\n",
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a\r\r\nhello\r\n",
        b"5;a\0\r\nhello\r\n",
        b"0\r\n\n",
        b"0\r\n\rX",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"0\r\nX : x\r\n\r\n",
        b"0\r\nX: a\nY: b\r\n\r\n",
        b"0\r\nX: a\rY: b\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let result = chunked(input);
        assert_eq!(result.map_err(|error| error.status), Err(400), "{:?}", input.escape_ascii().to_string());
    }
}

#[test]
fn bounds() {
    let too_large = |input: &[u8], max| read(BodyLength::Chunked, max, input, 7).unwrap_err().status;
    assert_eq!(read(BodyLength::Chunked, 10, b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", 3).unwrap().0, b"helloworld");
    assert_eq!(too_large(b"5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n", 10), 413);
    assert_eq!(too_large(b"ffffffffffffffff\r\n", u64::MAX - 1), 413);

    let many_extensions = [b"1;".to_vec(), vec![b'a'; 1000], b"\r\nx\r\n".to_vec()].concat().repeat(5);
    assert_eq!(too_large(&many_extensions, 1000), 400);
    let long_trailer = [b"0\r\nX: ".to_vec(), vec![b'a'; 10_000]].concat();
    assert_eq!(too_large(&long_trailer, 1000), 431);
    let many_trailers = [b"0\r\n".to_vec(), b"X: a\r\n".repeat(2_000)].concat();
    assert_eq!(too_large(&many_trailers, 1000), 431);
}

/// What a connection loop does, with the stream arriving in pieces cut at `cuts`.
fn serve(stream: &[u8], cuts: &[usize]) -> Vec<(String, Vec<u8>)> {
    let limits = Limits::default();
    let mut ends = cuts.iter().copied().chain([stream.len()]);
    let mut received = 0;
    let mut at = 0;
    let mut requests = Vec::new();
    'requests: loop {
        let head = loop {
            match parse_head(&stream[at..received], &limits).expect("valid stream") {
                Some(head) => break head,
                None => match ends.next() {
                    Some(end) => received = end,
                    None => break 'requests,
                },
            }
        };
        let mut framer = BodyFramer::new(head.body, 1 << 20).expect("within the bound");
        let target = head.path.to_owned();
        at += head.length;
        let mut body = Vec::new();
        while !framer.is_done() {
            let framed = framer.next(&stream[at..received]).expect("valid body");
            body.extend_from_slice(framed.data);
            at += framed.consumed;
            if !framed.done && at == received {
                match ends.next() {
                    Some(end) => received = end,
                    None => break 'requests,
                }
            }
        }
        requests.push((target, body));
    }
    assert_eq!(at, stream.len(), "left over");
    requests
}

#[test]
fn pipelined_requests_in_every_split() {
    let stream = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: h\r\n\r\n\
        POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n4\r\ndefg\r\n0\r\nT: u\r\n\r\n\r\nHEAD /d HTTP/1.1\r\nHost: h\r\n\r\n";
    let expected = [("/a", "hello"), ("/b", ""), ("/c", "abcdefg"), ("/d", "")]
        .map(|(path, body)| (path.to_owned(), body.as_bytes().to_vec()));
    assert_eq!(serve(stream, &[]), expected);
    for cut in 0..stream.len() {
        assert_eq!(serve(stream, &[cut]), expected, "cut at {cut}");
    }
    for cut in 0..stream.len() {
        for other in (cut..stream.len()).step_by(7) {
            assert_eq!(serve(stream, &[cut, other]), expected, "cuts at {cut} and {other}");
        }
    }
    let bytes: Vec<usize> = (1..stream.len()).collect();
    assert_eq!(serve(stream, &bytes), expected, "byte by byte");
}

#[test]
fn random_framing_never_panics_and_does_not_depend_on_the_split() {
    let pieces: &[&[u8]] = &[
        b"0",
        b"5",
        b"f",
        b"\r\n",
        b"\r",
        b"\n",
        b";",
        b"hello",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"X: y\r\n",
        b"\0",
        b" ",
    ];
    for seed in super::seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..5_000 {
            let mut input = Vec::new();
            for _ in 0..random.usize(1..12) {
                input.extend_from_slice(random.choice(pieces).expect("not empty"));
            }
            let whole = read(BodyLength::Chunked, 20, &input, input.len());
            let step = random.usize(1..=input.len());
            let split = read(BodyLength::Chunked, 20, &input, step);
            assert_eq!(split, whole, "seed {seed} round {round} step {step}: {:?}", input.escape_ascii().to_string());
        }
    }
}
