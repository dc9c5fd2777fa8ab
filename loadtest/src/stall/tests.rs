use super::*;
use crate::testing::{Mock, reply};

fn measured(case: &'static str, max_us: f64, statements: Runs) -> Measured {
    let latency = Latencies { max_us, ..Latencies::default() };
    Measured { cores: 2, case, writes: 9, failed_writes: 0, latency, statements }
}

fn answered(answered: u64) -> Runs {
    Runs { answered, longest_us: 5.0, ..Runs::default() }
}

#[test]
fn the_longest_write_is_held_against_the_longest_beside_nothing() {
    let verdict = |one: Measured| {
        let all = [measured("nothing", 4_000.0, Runs::default()), one];
        assert!(table(&all).contains("4.00 ms") || table(&all).contains("4.0 ms"), "{}", table(&all));
        let mut promises = Promises::default();
        judge(&all, 20.0, &mut promises);
        promises.verdict().map_err(|error| error.to_string())
    };
    verdict(measured("group by", 23_900.0, answered(1))).unwrap();
    let broken = |one: Measured, why: &str| {
        let text = verdict(one).unwrap_err();
        assert!(text.contains(why) && text.lines().count() == 2, "{text}");
    };
    broken(measured("group by", 24_100.0, answered(1)), "longest write beside group by: 24.1 ms");
    broken(measured("group by", 1.0, answered(0)), "statements answered beside group by: 0");
    broken(Measured { failed_writes: 3, ..measured("group by", 1.0, answered(1)) }, "failed writes beside group by: 3");
    let failed = Runs { failure: Some("500".to_owned()), ..answered(1) };
    broken(measured("group by", 1.0, failed), "failed statements beside group by");
}

#[test]
fn cores_are_judged_apart() {
    let of = |cores, case, max_us| Measured { cores, ..measured(case, max_us, answered(1)) };
    let all = [
        of(1, "nothing", 90_000.0),
        of(1, "order by", 100_000.0),
        of(2, "nothing", 1_000.0),
        of(2, "order by", 30_000.0),
    ];
    let mut promises = Promises::default();
    judge(&all, 20.0, &mut promises);
    let text = promises.verdict().unwrap_err().to_string();
    assert!(text.contains("--cores 2, longest write") && !text.contains("--cores 1"), "{text}");
}

#[test]
fn statements_and_rows_are_as_long_as_asked() {
    let text = long_statement(1_000, 40);
    assert!((980..=1_001).contains(&text.len()), "{}", text.len());
    assert!(text.contains("IN (0,20,21,") && text.ends_with(')'), "{text}");
    let names: Vec<_> = cases(40, 0.001).into_iter().map(|case| (case.name, case.gzip)).collect();
    let expected = [("nothing", false), ("order by", true), ("group by", false), ("long statement", false)];
    assert_eq!(names, expected);
    let lines = lines(100, 50, 240);
    assert_eq!(lines.lines().count(), 50);
    assert!(lines.contains("g=119i,") && lines.contains(",g=0i,s=\"row 120 of all\" 14516064001"), "{lines}");
}

#[test]
fn a_statement_is_asked_until_the_end_and_no_more_after_a_failure() {
    let mock = Mock::start(|number, asked| {
        assert_eq!((asked.path.as_str(), asked.accept.as_deref()), ("/q", Some("text/csv")));
        match number {
            0 => reply("429 Too Many Requests", "", ""),
            1..=3 => reply("200 OK", "", "abc"),
            _ => reply("500 Internal Server Error", "", "no"),
        }
    });
    let request = mock.target.compressed("/q", "text/csv", "gzip", b"SELECT");
    let head = String::from_utf8(request.clone()).unwrap();
    assert!(head.contains("\r\nAccept-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSELECT"), "{head}");
    let beside = Beside::start(&mock.target, Some(request), Duration::from_secs(600)).unwrap();
    while mock.asked().len() < 5 {
        thread::sleep(Duration::from_millis(1));
    }
    let runs = beside.end().unwrap();
    assert_eq!((runs.answered, runs.throttled, runs.reply_bytes), (3, 1, 9));
    assert_eq!(runs.failure.as_deref(), Some("500 no"));
    assert_eq!(Beside::start(&mock.target, None, Duration::ZERO).unwrap().end().unwrap(), Runs::default());
}
