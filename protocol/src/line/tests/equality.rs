//! The parser that predicts must equal the plain one: on generated, damaged and random texts, cold and warm, whole and
//! cut in two anywhere, with a sink that asks for pauses, with caches that overflow and with keys that all collide.

use super::recorder::{Event, Recorder};
use super::{fast_events, scalar_events};
use crate::line::{Dialect, LineParser, State, TimeRule, scalar};
use crate::row::Position;

const DIALECTS: [Dialect; 2] = [Dialect::Influx, Dialect::Cnos];
const RULES: [TimeRule; 3] = [
    TimeRule { multiply: 1, divide: 1, now: 77 },
    TimeRule { multiply: 1_000_000, divide: 1, now: 77 },
    TimeRule { multiply: 1, divide: 1_000, now: 77 },
];

/// Seeds of the random tests: `TIDEWIRE_SEED`, or a few fixed ones.
fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1, 2, 3],
    }
}

fn pick<'a>(rng: &mut fastrand::Rng, choices: &[&'a str]) -> &'a str {
    choices[rng.usize(..choices.len())]
}

/// Texts as clients send them: a few series and layouts in a repeating order, with the odd variation.
fn client_text(rng: &mut fastrand::Rng) -> Vec<u8> {
    let series: Vec<String> = (0..rng.usize(1..6))
        .map(|host| {
            let measurement =
                pick(rng, &["cpu", "m", "mé", r"disk\ io", r"a\,b", "a_rather_long_measurement_name_here"]);
            let tags = pick(
                rng,
                &["", ",host=h{}", ",b=2,a={}", r",path=/x\ y,n={}", r",k\==v\,{}", ",region=eu-west-1,host=host_{}"],
            );
            format!("{measurement}{}", tags.replace("{}", &host.to_string()))
        })
        .collect();
    let layouts: Vec<Vec<(&str, usize)>> = (0..rng.usize(1..4))
        .map(|_| {
            let names = [
                "f",
                "g",
                "value",
                "usage_user",
                "usage_guest_nice",
                "seven__",
                "exactly_sixteen_",
                "a_key_of_about_thirty_bytes_x",
                "a_key_of_about_thirty_bytes_xyz",
                "a_key_that_is_longer_than_any_window_of_text_that_is_looked_at_together",
                r"sp\ ace",
                r"eq\=",
            ];
            (0..rng.usize(1..7)).map(|_| (names[rng.usize(..names.len())], rng.usize(..5))).collect()
        })
        .collect();
    let mut text = String::new();
    for index in 0..rng.usize(1..30) {
        let series = &series[if rng.u8(..8) == 0 { rng.usize(..series.len()) } else { index % series.len() }];
        let layout = &layouts[if rng.u8(..8) == 0 { rng.usize(..layouts.len()) } else { index % layouts.len() }];
        text.push_str(series);
        for (place, &(name, kind)) in layout.iter().enumerate() {
            text.push(if place == 0 { ' ' } else { ',' });
            text.push_str(name);
            text.push('=');
            let kind = if rng.u8(..40) == 0 { rng.usize(..5) } else { kind };
            text.push_str(&value(rng, kind));
        }
        if rng.u8(..8) != 0 {
            let digits = rng.u32(1..=19);
            let time = rng.u64(..10u64.pow(digits - 1).saturating_mul(10).min(i64::MAX as u64));
            text.push_str(if rng.u8(..10) == 0 { " -" } else { " " });
            text.push_str(&time.to_string());
        }
        text.push_str(match rng.u8(..30) {
            0 => "\r\n",
            1 => "\n\n",
            2 => "\n# comment = \"x\n",
            3 => " \n",
            4 => "\n  ",
            _ => "\n",
        });
    }
    if rng.bool() {
        text.truncate(text.trim_end_matches('\n').len());
    }
    text.into_bytes()
}

fn value(rng: &mut fastrand::Rng, kind: usize) -> String {
    let bits = rng.u32(0..=63);
    let sign = if rng.u8(..5) == 0 { "-" } else { "" };
    match kind {
        0 => format!("{sign}{}i", rng.u64(..) >> bits),
        1 => format!("{}u", rng.u64(..) >> bits),
        2 => match rng.u8(..8) {
            0 => format!("{sign}{}", rng.u32(..)),
            1 => format!("{sign}{}.{:02}", rng.u16(..1000), rng.u8(..100)),
            2 => format!("{sign}{}", rng.f64() * 100.0),
            3 => format!("{sign}{:e}", rng.f64()),
            4 => format!("{sign}{}", f64::from_bits(rng.u64(..)).abs().min(f64::MAX)),
            5 => format!("{sign}{}.{}", rng.u64(..) >> bits, rng.u64(..)),
            6 => format!("{sign}{}.", rng.u8(..)),
            _ => format!("{sign}0.{:020}", rng.u64(..)),
        },
        3 => pick(rng, &["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"]).to_owned(),
        _ => {
            let text = pick(
                rng,
                &["", "x", "a, b=c", r#"say \"hi\""#, r"c:\\temp", r"a\nb", "two\nlines", "ß", "\r\n", r"\\\\"],
            );
            format!("\"{text}\"")
        }
    }
}

/// Changes a few bytes to ones that mean something.
fn damage(rng: &mut fastrand::Rng, text: &mut Vec<u8>) {
    const BYTES: &[u8] = b",= \"\\\n\r\t#-+.eEiutfTF019x\0\xc3\xff";
    for _ in 0..rng.usize(1..4) {
        if text.is_empty() {
            return;
        }
        let at = rng.usize(..text.len());
        match rng.u8(..3) {
            0 => text[at] = BYTES[rng.usize(..BYTES.len())],
            1 => text.insert(at, BYTES[rng.usize(..BYTES.len())]),
            _ => {
                text.remove(at);
            }
        }
    }
}

fn random_text(rng: &mut fastrand::Rng) -> Vec<u8> {
    let alphabet: &[u8] = b"mma,,==  ff11i\"\"\\\\\n\n\r\t#-.eutT0\xc3\xa9";
    (0..rng.usize(..60)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect()
}

fn random_case(rng: &mut fastrand::Rng) -> Vec<u8> {
    match rng.u8(..4) {
        0 => random_text(rng),
        1 => client_text(rng),
        _ => {
            let mut text = client_text(rng);
            damage(rng, &mut text);
            text
        }
    }
}

#[test]
fn whole_texts() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for case in 0..1_500 {
            let text = random_case(&mut rng);
            let rule = RULES[rng.usize(..RULES.len())];
            for dialect in DIALECTS {
                let expected = scalar_events(dialect, &text, &rule);
                for round in fast_events(dialect, &text, &rule, 3) {
                    assert_eq!(round, expected, "seed {seed}, case {case}, {dialect:?}: {}", text.escape_ascii());
                }
            }
        }
    }
}

/// Caches that have seen other texts must not matter.
#[test]
fn one_parser_for_many_texts() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for dialect in DIALECTS {
            let mut parser = LineParser::new(dialect);
            let mut sink = Recorder::default();
            for case in 0..500 {
                let text = random_case(&mut rng);
                feed(&mut parser, &[&text], &mut sink);
                let events = std::mem::take(&mut sink.events);
                let expected = scalar_events(dialect, &text, &RULES[0]);
                assert_eq!(events, expected, "seed {seed}, case {case}, {dialect:?}: {}", text.escape_ascii());
            }
        }
    }
}

/// Feeds `text` in pieces, keeping what is not consumed, as the ingest room does.
fn feed(parser: &mut LineParser, pieces: &[&[u8]], sink: &mut Recorder) {
    parser.begin();
    let mut kept = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        kept.extend_from_slice(piece);
        let last = index + 1 == pieces.len();
        loop {
            let progress = parser.parse(&kept, last, &RULES[0], sink);
            kept.drain(..progress.consumed);
            match progress.state {
                State::Paused | State::Yielded => {}
                State::NeedMore => {
                    assert!(!last && !kept.is_empty());
                    break;
                }
                State::Done => {
                    assert!(kept.is_empty());
                    break;
                }
                State::Stopped => return,
            }
        }
    }
}

/// A few bytes that are decompressed can be millions of lines, none of which is worth a word.
#[test]
fn a_call_ends_after_some_lines_that_are_no_rows() {
    for (dialect, line) in [
        (Dialect::Cnos, "\n"),
        (Dialect::Influx, " \r\n"),
        (Dialect::Cnos, "# a comment\n"),
        (Dialect::Influx, "x\n"),
        (Dialect::Cnos, "m v=1 x\n"),
    ] {
        let text = line.repeat(50_000);
        let mut parser = LineParser::new(dialect);
        let mut sink = Recorder::default();
        let (mut consumed, mut lines, mut calls) = (0, 0, 0);
        loop {
            let progress = parser.parse(&text.as_bytes()[consumed..], true, &RULES[0], &mut sink);
            assert!(progress.lines <= 256 && progress.lines > 0, "{line:?}: {} lines at once", progress.lines);
            (consumed, lines, calls) = (consumed + progress.consumed, lines + progress.lines, calls + 1);
            match progress.state {
                State::Yielded => assert!(consumed < text.len(), "{line:?}: nothing is left"),
                State::Done => break,
                other => panic!("{line:?}: {other:?}"),
            }
        }
        assert_eq!((consumed, lines), (text.len(), 50_000), "{line:?} in {calls} calls");
    }
}

#[test]
fn every_cut_in_two() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for case in 0..30 {
            let text = random_case(&mut rng);
            for dialect in DIALECTS {
                let expected = scalar_events(dialect, &text, &RULES[0]);
                let mut parser = LineParser::new(dialect);
                let mut sink = Recorder::default();
                // Short texts at every place, long ones here and there.
                let step = 1 + text.len() / 200;
                for cut in (rng.usize(..step)..=text.len()).step_by(step) {
                    let (left, right) = text.split_at(cut);
                    feed(&mut parser, &[left, right], &mut sink);
                    let events = std::mem::take(&mut sink.events);
                    assert_eq!(
                        events,
                        expected,
                        "seed {seed}, case {case}, cut {cut}, {dialect:?}: {}",
                        text.escape_ascii()
                    );
                }
            }
        }
    }
}

#[test]
fn byte_by_byte() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for case in 0..40 {
            let text = random_case(&mut rng);
            for dialect in DIALECTS {
                let expected = scalar_events(dialect, &text, &RULES[0]);
                let mut plain = scalar::Parser::new(dialect);
                let mut plain_sink = Recorder::default();
                let mut kept = Vec::new();
                for (index, &byte) in text.iter().enumerate() {
                    kept.push(byte);
                    let progress = plain.parse(&kept, index + 1 == text.len(), &RULES[0], &mut plain_sink);
                    kept.drain(..progress.consumed);
                }
                assert_eq!(
                    plain_sink.events,
                    expected,
                    "seed {seed}, case {case}, plain, {dialect:?}: {}",
                    text.escape_ascii()
                );
                let mut parser = LineParser::new(dialect);
                let mut sink = Recorder::default();
                let pieces: Vec<&[u8]> = text.chunks(1).collect();
                for _ in 0..2 {
                    feed(&mut parser, &pieces, &mut sink);
                    let events = std::mem::take(&mut sink.events);
                    assert_eq!(events, expected, "seed {seed}, case {case}, {dialect:?}: {}", text.escape_ascii());
                }
            }
        }
    }
}

#[test]
fn pauses_lose_and_repeat_nothing() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for case in 0..300 {
            let text = random_case(&mut rng);
            for dialect in DIALECTS {
                let expected = scalar_events(dialect, &text, &RULES[0]);
                for pause_every in [2, 3, 5] {
                    let mut parser = LineParser::new(dialect);
                    let mut sink = Recorder::default();
                    sink.pause_every = pause_every;
                    for _ in 0..2 {
                        feed(&mut parser, &[&text], &mut sink);
                        let events = std::mem::take(&mut sink.events);
                        assert_eq!(events, expected, "seed {seed}, case {case}, {dialect:?}: {}", text.escape_ascii());
                    }
                }
            }
        }
    }
}

#[test]
fn a_pause_stops_before_its_line() {
    let mut parser = LineParser::new(Dialect::Influx);
    let mut sink = Recorder::default();
    sink.pause_every = 2;
    let text = b"# c\nm f=1 1\nm f=2 2\n";
    let progress = parser.parse(text, true, &RULES[0], &mut sink);
    assert_eq!((progress.consumed, progress.lines, progress.rows, progress.state), (4, 1, 0, State::Paused));
    assert_eq!(sink.events, []);
    let progress = parser.parse(&text[4..], true, &RULES[0], &mut sink);
    assert_eq!((progress.consumed, progress.lines, progress.rows, progress.state), (16, 2, 2, State::Done));
    assert_eq!(sink.events.len(), 2);
}

#[test]
fn a_refusing_sink_and_a_stop() {
    let text = b"m f=1 1\nbad f=2 2\nm f=3 3\nx\nm f=4 4";
    let mut parser = LineParser::new(Dialect::Influx);
    let mut sink = Recorder::default();
    sink.refused_table = Some("bad");
    for _ in 0..3 {
        parser.begin();
        let progress = parser.parse(text, true, &RULES[0], &mut sink);
        assert_eq!((progress.lines, progress.rows, progress.state), (5, 3, State::Done));
        let errors: Vec<_> = std::mem::take(&mut sink.events)
            .into_iter()
            .filter_map(|event| match event {
                Event::Error { line, reason, .. } => Some((Position::Line(line), format!("{reason:?}"))),
                Event::Refused { position, reason } => Some((position, reason)),
                Event::Row { .. } => None,
            })
            .collect();
        let expected = [(2, "no table bad"), (4, "MissingFields")];
        assert_eq!(errors, expected.map(|(line, text)| (Position::Line(line), text.to_owned())));
    }
    sink.stop = true;
    parser.begin();
    let progress = parser.parse(text, true, &RULES[0], &mut sink);
    assert_eq!((progress.consumed, progress.lines, progress.rows, progress.state), (18, 2, 1, State::Stopped));
    let progress = parser.parse(&text[18..], true, &RULES[0], &mut sink);
    assert_eq!((progress.consumed, progress.lines, progress.rows, progress.state), (10, 2, 1, State::Stopped));
    let Some(Event::Error { line, offset, .. }) = sink.events.last() else { panic!("{:?}", sink.events) };
    assert_eq!((*line, *offset), (4, 26));
}

/// A row that the sink refuses when it gets it, in each of the ways that rows come: predicted, of a new series, odd,
/// and the last of a text.
#[test]
fn a_row_that_is_refused_is_named_by_its_line() {
    let text = b"# c\nm,t=a f=1 1\nm,t=b f=1 9\nm,t=a f=1 9\n\nm,t=a f=\"\" 9\nm,t=a f=1 2\nm,t=c f=1 9";
    let expected: Vec<_> = [3, 4, 6, 8].map(Position::Line).to_vec();
    let refused = |sink: &mut Recorder| -> Vec<Position> {
        let refused = |event| match event {
            Event::Refused { position, reason } => {
                assert_eq!(reason, "not at 9");
                Some(position)
            }
            _ => None,
        };
        std::mem::take(&mut sink.events).into_iter().filter_map(refused).collect()
    };
    for dialect in DIALECTS {
        let mut sink = Recorder::default();
        sink.refused_time = Some(9);
        let progress = scalar::Parser::new(dialect).parse(text, true, &RULES[0], &mut sink);
        assert_eq!((progress.rows, refused(&mut sink)), (2, expected.clone()));
        let mut parser = LineParser::new(dialect);
        for _ in 0..3 {
            parser.begin();
            let progress = parser.parse(text, true, &RULES[0], &mut sink);
            assert_eq!((progress.lines, progress.rows, progress.state), (8, 2, State::Done));
            assert_eq!(refused(&mut sink), expected);
        }
        // The sink that stops is asked again from the line behind the refused one.
        sink.stop = true;
        for _ in 0..3 {
            parser.begin();
            let (mut at, mut rows) = (0, 0);
            for _ in 0..4 {
                let progress = parser.parse(&text[at..], true, &RULES[0], &mut sink);
                assert_eq!(progress.state, State::Stopped);
                (at, rows) = (at + progress.consumed, rows + progress.rows);
            }
            assert_eq!((at, rows, refused(&mut sink)), (text.len(), 2, expected.clone()));
        }
    }
}

#[test]
fn colliding_keys() {
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for dialect in DIALECTS {
            let mut parser = LineParser::new(dialect);
            parser.collide_keys();
            let mut sink = Recorder::default();
            for case in 0..100 {
                let text = random_case(&mut rng);
                let expected = scalar_events(dialect, &text, &RULES[0]);
                for _ in 0..2 {
                    parser.begin();
                    parser.parse(&text, true, &RULES[0], &mut sink);
                    let events = std::mem::take(&mut sink.events);
                    assert_eq!(events, expected, "seed {seed}, case {case}, {dialect:?}: {}", text.escape_ascii());
                }
            }
        }
    }
}

/// A bound below what the texts need: the caches forget again and again, stay under it, and nothing else shows.
#[test]
fn caches_that_forget() {
    const BYTES_MAX: usize = 16 << 10;
    for seed in seeds() {
        let mut rng = fastrand::Rng::with_seed(seed);
        for dialect in DIALECTS {
            let mut parser = LineParser::with_cache_bytes(dialect, BYTES_MAX);
            let mut sink = Recorder::default();
            for case in 0..300 {
                let mut text = random_case(&mut rng);
                for host in 0..rng.usize(..80) {
                    text.extend_from_slice(format!("\nhosts,host={host},case={case} f{case}=1i {host}").as_bytes());
                }
                let expected = scalar_events(dialect, &text, &RULES[0]);
                parser.begin();
                parser.parse(&text, true, &RULES[0], &mut sink);
                let events = std::mem::take(&mut sink.events);
                assert_eq!(events, expected, "seed {seed}, case {case}, {dialect:?}: {}", text.escape_ascii());
                assert!(parser.cache_bytes() <= BYTES_MAX, "{} bytes", parser.cache_bytes());
            }
        }
    }
}

/// Once warm, the sink is not asked again; after `forget` it is.
#[test]
fn slots_are_asked_for_once() {
    let text = b"a,t=1 f=1,g=2i 1\nb,t=1 f=1,g=2i 1\na,t=2 f=1,g=2i 1\na,t=1 f=1 2\n".repeat(3);
    let mut parser = LineParser::new(Dialect::Influx);
    let mut sink = Recorder::default();
    for _ in 0..4 {
        parser.begin();
        assert_eq!(parser.parse(&text, true, &RULES[0], &mut sink).rows, 12);
    }
    assert_eq!((sink.series_asked, sink.layouts_asked), (3, 3));
    parser.forget();
    assert_eq!(parser.cache_bytes(), 0);
    parser.begin();
    parser.parse(&text, true, &RULES[0], &mut sink);
    assert_eq!((sink.series_asked, sink.layouts_asked), (6, 6));
}

/// The texts in `corpus/line`, each through everything.
#[test]
fn corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/line");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect(folder) {
        let path = entry.expect(folder).path();
        let text = std::fs::read(&path).expect(folder);
        count += 1;
        for dialect in DIALECTS {
            for rule in RULES {
                let expected = scalar_events(dialect, &text, &rule);
                for round in fast_events(dialect, &text, &rule, 3) {
                    assert_eq!(round, expected, "{}", path.display());
                }
            }
            let expected = scalar_events(dialect, &text, &RULES[0]);
            let mut parser = LineParser::new(dialect);
            let mut sink = Recorder::default();
            for cut in 0..=text.len().min(600) {
                let (left, right) = text.split_at(cut);
                feed(&mut parser, &[left, right], &mut sink);
                assert_eq!(std::mem::take(&mut sink.events), expected, "{} cut at {cut}", path.display());
            }
        }
    }
    assert!(count >= 12, "{count} files in {folder}");
}
