//! Content codings: there and back in every split, bombs, cuts, flipped bits, and the choice of a coding.

use tidewire_protocol::http::{
    ContentDecoder, ContentEncoder, DecodeError, Encoding, Limits, STEP_BYTES_MAX, UnknownEncoding, negotiate,
    parse_head,
};

const CODED: [Encoding; 5] = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd, Encoding::Snappy];
const ALL: [Encoding; 6] =
    [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd, Encoding::Snappy];

fn lines(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|row| {
            format!("cpu,host=host_{} usage_user={}i {}\n", row % 7, row * 31 % 101, row * 1_000).into_bytes()
        })
        .collect()
}

fn compress(encoding: Encoding, data: &[u8]) -> Vec<u8> {
    let mut encoder = ContentEncoder::new(encoding).unwrap();
    assert_eq!(encoder.encoding(), encoding);
    let mut out = Vec::new();
    for piece in data.chunks(10_000) {
        encoder.push(piece, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

/// No stream makes a decoder take more: a window of 16 MiB, and what stands beside it.
const MEMORY_BYTES_MAX: u64 = 20 << 20;

/// Feeds `input` in pieces of `step` bytes as a connection would.
fn decompress(encoding: Encoding, max: u64, input: &[u8], step: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = ContentDecoder::with_encoding(encoding, max);
    assert_eq!(decoder.is_identity(), encoding == Encoding::Identity);
    let mut out = Vec::new();
    let mut start = 0;
    let mut memory = 0;
    decoder.allow(memory);
    loop {
        let end = (start + step).min(input.len());
        let mut piece = &input[start..end];
        loop {
            let before = out.len();
            let pushed = decoder.push(piece, end == input.len(), &mut out)?;
            assert!(out.len() - before <= STEP_BYTES_MAX, "one step appended {}", out.len() - before);
            piece = &piece[pushed.consumed..];
            if let Some(bytes) = pushed.needs {
                assert!(bytes > memory && bytes <= MEMORY_BYTES_MAX, "{bytes} beyond {memory}");
                memory = bytes;
                decoder.allow(memory);
            } else if !pushed.more {
                break;
            }
        }
        assert!(piece.is_empty(), "input left without a reason");
        if end == input.len() {
            return Ok(out);
        }
        start = end;
    }
}

/// A body of a few bytes that stops there must not hold what it could ask for.
#[test]
fn a_decoder_takes_nothing_before_it_may() {
    let text = lines(40);
    for encoding in ALL.into_iter().filter(|encoding| *encoding != Encoding::Identity) {
        let coded = compress(encoding, &text);
        let mut decoder = ContentDecoder::with_encoding(encoding, 1 << 20);
        decoder.allow(0);
        let (mut out, mut consumed, mut memory) = (Vec::new(), 0, Vec::new());
        loop {
            let pushed = decoder.push(&coded[consumed..], true, &mut out).unwrap();
            consumed += pushed.consumed;
            match pushed.needs {
                Some(bytes) => {
                    assert_eq!(out.len(), 0, "{encoding:?}");
                    // Asked again without leave, it says the same.
                    let again = decoder.push(&coded[consumed..], true, &mut out).unwrap();
                    assert_eq!((again.needs, again.consumed), (Some(bytes), 0), "{encoding:?}");
                    memory.push(bytes);
                    decoder.allow(bytes);
                }
                None if pushed.more => {}
                None => break,
            }
        }
        assert_eq!((memory.len(), out == text), (1, true), "{encoding:?}: {memory:?}");
    }
    // A second frame may ask for more than the first.
    let frame = |window_log: u32, text: &[u8]| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        std::io::Write::write_all(&mut encoder, text).unwrap();
        encoder.finish().unwrap()
    };
    let coded = [frame(15, &text), frame(22, &text)].concat();
    for step in [1, 7, coded.len()] {
        assert_eq!(decompress(Encoding::Zstd, 1 << 20, &coded, step).unwrap(), text.repeat(2), "step {step}");
    }
}

#[test]
fn round_trips_in_every_split() {
    for encoding in ALL {
        for data in [Vec::new(), b"x".to_vec(), lines(40)] {
            let coded = compress(encoding, &data);
            for step in 1..=coded.len().max(1) {
                assert_eq!(decompress(encoding, 1 << 20, &coded, step), Ok(data.clone()), "{encoding:?} step {step}");
            }
        }
        let data = lines(60_000);
        let coded = compress(encoding, &data);
        for step in [1_000, 65_536, coded.len()] {
            assert!(decompress(encoding, data.len() as u64, &coded, step) == Ok(data.clone()), "{encoding:?} {step}");
        }
        if encoding != Encoding::Identity {
            assert!(coded.len() * 2 < data.len(), "{encoding:?} makes {} of {}", coded.len(), data.len());
        }
    }
}

#[test]
fn incompressible_data() {
    let mut random = fastrand::Rng::with_seed(5);
    let data: Vec<u8> = (0..300_000).map(|_| random.u8(..)).collect();
    for encoding in ALL {
        let coded = compress(encoding, &data);
        assert!(decompress(encoding, 1 << 20, &coded, 7_777) == Ok(data.clone()), "{encoding:?}");
    }
}

#[test]
fn flushed_data_can_be_decoded_before_the_end() {
    for encoding in ALL {
        let mut encoder = ContentEncoder::new(encoding).unwrap();
        let mut decoder = ContentDecoder::with_encoding(encoding, 1 << 20);
        let mut plain = Vec::new();
        let mut expected = Vec::new();
        for row in 0..20 {
            let data = lines(row);
            let mut coded = Vec::new();
            encoder.push(&data, &mut coded).unwrap();
            encoder.flush(&mut coded).unwrap();
            decoder.push(&coded, false, &mut plain).unwrap();
            expected.extend_from_slice(&data);
            assert_eq!(plain, expected, "{encoding:?} row {row}");
        }
        let mut coded = Vec::new();
        encoder.finish(&mut coded).unwrap();
        assert!(!decoder.push(&coded, true, &mut plain).unwrap().more);
        assert_eq!(plain, expected, "{encoding:?}");
    }
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![0; 16 << 20];
    for encoding in ALL {
        let coded = compress(encoding, &zeros);
        let mut decoder = ContentDecoder::with_encoding(encoding, 1 << 20);
        let mut out = Vec::new();
        let mut rest = &coded[..];
        let error = loop {
            let pushed = match decoder.push(rest, true, &mut out) {
                Ok(pushed) => pushed,
                Err(error) => break error,
            };
            assert!(pushed.more, "{encoding:?} passed");
            rest = &rest[pushed.consumed..];
        };
        assert_eq!((error.clone(), error.status()), (DecodeError::TooLarge, 413), "{encoding:?}");
        assert!(out.len() <= (1 << 20) + STEP_BYTES_MAX);
    }
    for encoding in ALL {
        let coded = compress(encoding, &[7; 5_000]);
        assert_eq!(decompress(encoding, 5_000, &coded, 999).map(|out| out.len()), Ok(5_000), "{encoding:?}");
        assert_eq!(decompress(encoding, 4_999, &coded, 999), Err(DecodeError::TooLarge), "{encoding:?}");
    }
}

#[test]
fn cut_streams_are_errors() {
    let data = lines(50);
    for encoding in CODED {
        let coded = compress(encoding, &data);
        for end in 0..coded.len() {
            for step in [end.max(1), 1 + end / 3] {
                match decompress(encoding, 1 << 20, &coded[..end], step) {
                    Err(error) => {
                        assert!(matches!(error, DecodeError::Truncated { .. }), "{encoding:?} cut at {end}: {error}");
                        assert_eq!(error.status(), 400);
                    }
                    // Any chunk of snappy may be the last, the identifier too, and nothing at all.
                    Ok(out) => assert!(encoding == Encoding::Snappy && out.is_empty(), "{encoding:?} cut at {end}"),
                }
            }
        }
    }
}

#[test]
fn flipped_bits_never_panic_and_never_pass_a_checksum() {
    let data = lines(50);
    for encoding in CODED {
        let coded = compress(encoding, &data);
        let mut refused = 0;
        for at in 0..coded.len() {
            let mut bad = coded.clone();
            bad[at] ^= 1 << (at % 8);
            match decompress(encoding, 1 << 20, &bad, 100) {
                Err(_) => refused += 1,
                // gzip has fields that do not matter to the content; bare brotli and zstd without a checksum let some
                // changes of the content through, which no decoder could notice.
                Ok(out) if matches!(encoding, Encoding::Gzip | Encoding::Deflate) => assert_eq!(out, data, "byte {at}"),
                Ok(_) => {}
            }
        }
        assert!(refused > 0, "{encoding:?}");
    }
}

#[test]
fn random_bytes_never_panic() {
    for seed in super::seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        for round in 0..2_000 {
            let encoding = *random.choice(&ALL).unwrap();
            let mut input = compress(encoding, b"some text to begin with");
            input.truncate(random.usize(0..=input.len()));
            input.extend((0..random.usize(0..60)).map(|_| random.u8(..)));
            let step = random.usize(1..=input.len().max(1));
            let whole = decompress(encoding, 1 << 16, &input, input.len().max(1));
            let split = decompress(encoding, 1 << 16, &input, step);
            assert_eq!(split.is_ok(), whole.is_ok(), "seed {seed} round {round}: {encoding:?} step {step}");
            if let (Ok(split), Ok(whole)) = (split, whole) {
                assert_eq!(split, whole, "seed {seed} round {round}: {encoding:?} step {step}");
            }
        }
    }
}

#[test]
fn streams_one_after_the_other() {
    for encoding in CODED {
        let one = compress(encoding, b"one ");
        let two = compress(encoding, b"two");
        let both = [one, two].concat();
        for step in 1..=both.len() {
            let result = decompress(encoding, 100, &both, step);
            match encoding {
                Encoding::Deflate | Encoding::Brotli => {
                    assert!(matches!(result, Err(DecodeError::Corrupt { .. })), "{encoding:?} {result:?}");
                }
                _ => assert_eq!(result, Ok(b"one two".to_vec()), "{encoding:?}"),
            }
        }
    }
    let many = compress(Encoding::Gzip, b"").repeat(5_000);
    assert!(matches!(decompress(Encoding::Gzip, 100, &many, 1_000), Err(DecodeError::Corrupt { .. })));
}

#[test]
fn deflate_with_and_without_wrapper() {
    // As the observed server sends `a\n1\n`, bare.
    let bare = [0x4b, 0xe4, 0x32, 0xe4, 0x02, 0x00];
    assert_eq!(decompress(Encoding::Deflate, 100, &bare, 1), Ok(b"a\n1\n".to_vec()));
    let wrapped = compress(Encoding::Deflate, b"a\n1\n");
    assert_eq!(wrapped[0] & 0x0f, 8, "zlib header");
    assert_eq!(decompress(Encoding::Deflate, 100, &wrapped, 1), Ok(b"a\n1\n".to_vec()));
}

#[test]
fn replies_of_the_observed_server_decode() {
    for (encoding, bytes) in [
        (
            Encoding::Gzip,
            &[
                0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0xff, 0x4b, 0xe4, 0x32, 0xe4, 0x02, 0, 0, 0x24, 0xc1, 0x89, 0x04,
                0, 0, 0,
            ][..],
        ),
        (Encoding::Brotli, &[0x8b, 0x01, 0x80, 0x61, 0x0a, 0x31, 0x0a, 0x03]),
        (Encoding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x21, 0, 0, 0x61, 0x0a, 0x31, 0x0a]),
        (
            Encoding::Snappy,
            &[
                0xff, 0x06, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59, 0x01, 0x08, 0, 0, 0xfa, 0x37, 0xb2, 0x6a, 0x61,
                0x0a, 0x31, 0x0a,
            ],
        ),
    ] {
        assert_eq!(decompress(encoding, 100, bytes, 3), Ok(b"a\n1\n".to_vec()), "{encoding:?}");
    }
}

#[test]
fn hostile_streams() {
    // A window of 2 GiB.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x21, 0, 0, 0x61, 0x0a, 0x31, 0x0a];
    assert!(matches!(decompress(Encoding::Zstd, 100, &zstd, 13), Err(DecodeError::Corrupt { .. })));

    let identifier = b"\xff\x06\0\0sNaPpY";
    for chunk in [
        // Kind, three bytes of length, content.
        &b"\x00\xff\xff\xff"[..],
        b"\x01\x05\x00\x01",
        b"\x01\x03\x00\x00abc",
        b"\x01\x05\x00\x00\0\0\0\0x",
        b"\x00\x09\x00\x00\0\0\0\0\xff\xff\xff\xff\x0f",
        b"\x02\x01\x00\x00x",
        b"\xff\x06\0\0sNaPpX",
        b"\xff\x07\0\0sNaPpYY",
    ] {
        let input = [&identifier[..], chunk].concat();
        let result = decompress(Encoding::Snappy, 1 << 20, &input, input.len());
        assert!(matches!(result, Err(DecodeError::Corrupt { .. })), "{chunk:?} {result:?}");
    }
    assert!(decompress(Encoding::Snappy, 100, b"\x01\x05\x00\x00\0\0\0\0x", 9).is_err(), "no identifier");
    let padded = [&identifier[..], b"\xfe\x03\0\0abc\x80\0\0\0", &compress(Encoding::Snappy, b"text")].concat();
    for step in 1..padded.len() {
        assert_eq!(decompress(Encoding::Snappy, 100, &padded, step), Ok(b"text".to_vec()));
    }
}

#[test]
fn content_encoding_headers() {
    for (value, encoding) in [
        ("", Encoding::Identity),
        ("identity", Encoding::Identity),
        ("GZIP", Encoding::Gzip),
        ("x-gzip", Encoding::Gzip),
        ("deflate", Encoding::Deflate),
        ("br", Encoding::Brotli),
        ("zstd", Encoding::Zstd),
        ("snappy", Encoding::Snappy),
        ("identity, gzip", Encoding::Gzip),
        (" zstd ,", Encoding::Zstd),
    ] {
        assert_eq!(Encoding::from_content_encoding(value), Ok(encoding), "{value:?}");
    }
    for value in ["foo", "gzip, gzip", "gzip, foo", "gzip;q=1"] {
        let error = ContentDecoder::new(value, 1).unwrap_err();
        assert_eq!(error, UnknownEncoding { token: value.to_owned() });
        assert_eq!(error.to_string(), format!("there is no content encoding {value:?}"));
    }
    let of = |headers: &str| {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        parse_head(request.as_bytes(), &Limits::default()).unwrap().unwrap().content_encoding()
    };
    assert_eq!(of(""), Ok(Encoding::Identity));
    assert_eq!(of("Content-Encoding: gzip\r\n"), Ok(Encoding::Gzip));
    assert_eq!(of("Content-Encoding: identity\r\nX: y\r\ncontent-encoding: br\r\n"), Ok(Encoding::Brotli));
    assert!(of("Content-Encoding: gzip\r\nContent-Encoding: br\r\n").is_err());
}

#[test]
fn negotiation() {
    use Encoding::{Brotli, Deflate, Gzip, Identity, Snappy, Zstd};
    for (accept, expected) in [
        ("", Some(Identity)),
        ("gzip", Some(Gzip)),
        ("GZIP", Some(Gzip)),
        ("gzip, deflate, br", Some(Gzip)),
        ("br, gzip", Some(Brotli)),
        ("foo, zstd", Some(Zstd)),
        ("snappy", Some(Snappy)),
        ("identity, gzip", Some(Identity)),
        ("gzip;q=0.5, br;q=0.8, deflate;q=0.7", Some(Brotli)),
        ("gzip;q=0.500, deflate;q=0.501", Some(Deflate)),
        ("gzip; q=1.0, identity; q=0.5", Some(Gzip)),
        ("gzip;q=0.5, identity", Some(Identity)),
        ("gzip;q=0", Some(Identity)),
        ("foo", Some(Identity)),
        ("*", Some(Gzip)),
        ("*;q=0.5, zstd;q=0.6", Some(Zstd)),
        ("*;q=0.6, zstd;q=0.5", Some(Gzip)),
        ("gzip;q=0, *", Some(Identity)),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("*;q=0, identity", Some(Identity)),
        ("*;q=0, gzip;q=0.1", Some(Gzip)),
        ("identity;q=0, gzip", Some(Gzip)),
        ("identity;q=0, foo", None),
        ("gzip;q=2, br;q=-1, zstd;q=0.1234, deflate;x=1", Some(Identity)),
        (",, gzip ,", Some(Gzip)),
    ] {
        assert_eq!(negotiate(accept), expected, "{accept:?}");
    }
    for encoding in ALL {
        assert_eq!(Encoding::from_token(encoding.token()), Some(encoding));
    }
}
