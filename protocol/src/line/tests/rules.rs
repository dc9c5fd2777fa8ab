//! The rules, one by one, as `../shared/reference` gives them.

use super::{Event, fast_events, scalar_events};
use crate::line::{Dialect, LineReason, TimeRule};

/// The time of lines without one.
const NOW: i64 = 77;

/// One line of an expectation: `series | field=value,… | time`, or the reason of the fault.
fn show(event: &Event) -> String {
    match event {
        Event::Row { series, fields, time, .. } => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{series} | {} | {time}", fields.join(","))
        }
        Event::Error { reason, .. } => format!("{reason:?}"),
        Event::Refused { .. } => panic!("a sink that refuses nothing: {event:?}"),
    }
}

/// Both parsers, cold and warm, must answer `body` with `expected`.
#[track_caller]
fn check(dialect: Dialect, body: &str, expected: &[&str]) {
    let rule = TimeRule::identity(NOW);
    let events = scalar_events(dialect, body.as_bytes(), &rule);
    let shown: Vec<String> = events.iter().map(show).collect();
    assert_eq!(shown, expected, "{dialect:?} {body:?}");
    for round in fast_events(dialect, body.as_bytes(), &rule, 3) {
        assert_eq!(round, events, "{dialect:?} {body:?}");
    }
}

#[track_caller]
fn influx(body: &str, expected: &[&str]) {
    check(Dialect::Influx, body, expected);
}

/// A single line that InfluxDB refuses with `reason`.
#[track_caller]
fn influx_fault(line: &str, reason: &LineReason) {
    check(Dialect::Influx, line, &[&format!("{reason:?}")]);
}

#[track_caller]
fn cnos(body: &str, expected: &[&str]) {
    check(Dialect::Cnos, body, expected);
}

#[track_caller]
fn both(body: &str, expected: &[&str]) {
    influx(body, expected);
    cnos(body, expected);
}

#[test]
fn plain_lines() {
    both("m f=1 5", &[r#""m" [] | f=1.0 | 5"#]);
    both("m f=1", &[r#""m" [] | f=1.0 | 77"#]);
    both("m,b=2,a=1 f=1i,g=t -5\n", &[r#""m" [("a", "1"), ("b", "2")] | f=1i,g=true | -5"#]);
    both("  m  f=1   5  \n", &[r#""m" [] | f=1.0 | 5"#]);
    both("m f=1 \n", &[r#""m" [] | f=1.0 | 77"#]);
    both("mé,t=ü f=\"ß\" 1", &[r#""mé" [("t", "ü")] | f="ß" | 1"#]);
}

#[test]
fn nothing_to_parse() {
    for body in ["", "\n", "\n\n\n", "# a comment", "#\n", "  # blanks before\n\n \t \n", "# f=\"not a string\n\n"] {
        both(body, &[]);
    }
    both("# one\nm f=1 1\n\n# two\nm f=2 2", &[r#""m" [] | f=1.0 | 1"#, r#""m" [] | f=2.0 | 2"#]);
    influx("\\#m f=1 1", &[r##""\\#m" [] | f=1.0 | 1"##]);
}

#[test]
fn numbers() {
    for (text, value) in [
        ("1", "1.0"),
        ("1.", "1.0"),
        ("1e5", "100000.0"),
        ("1.e5", "100000.0"),
        ("1E+5", "100000.0"),
        ("-1.5E3", "-1500.0"),
        ("-1.5e-3", "-0.0015"),
        ("007.5", "7.5"),
        ("-0", "-0.0"),
        ("0.1", "0.1"),
        ("1.7976931348623157e308", "1.7976931348623157e308"),
        ("9007199254740993", "9007199254740992.0"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("123456789012345678901234567890", "1.2345678901234568e29"),
        ("1e-400", "0.0"),
        ("1i", "1i"),
        ("-0i", "0i"),
        ("007i", "7i"),
        ("9223372036854775807i", "9223372036854775807i"),
        ("-9223372036854775808i", "-9223372036854775808i"),
        ("0u", "0u"),
        ("18446744073709551615u", "18446744073709551615u"),
    ] {
        both(&format!("m f={text} 1"), &[&format!(r#""m" [] | f={value} | 1"#)]);
    }
    influx("m f=.5 1", &[r#""m" [] | f=0.5 | 1"#]);
    influx("m f=-.5 1", &[r#""m" [] | f=-0.5 | 1"#]);
    cnos("m f=+1 1", &[r#""m" [] | f=1.0 | 1"#]);
    for text in ["1i0", "1ii", "-i", "1.0i", "1e5i", "-1u", "1_0", "0x1", "NaN", "nan", "-", ".", "-.", "1.1.1", "1-2"]
    {
        influx_fault(&format!("m f={text} 1"), &LineReason::InvalidNumber);
    }
    for text in ["1e", "1e+", "1e400", "-1e400", "1e5e5", "1.e.5"] {
        let reason = if text == "1.e.5" { LineReason::InvalidNumber } else { LineReason::InvalidFloat };
        influx_fault(&format!("m f={text} 1"), &reason);
    }
    for text in ["+1", "Inf", "'x'", "i"] {
        influx_fault(&format!("m f={text} 1"), &LineReason::InvalidBoolean);
    }
    influx_fault("m f=9223372036854775808i", &LineReason::IntegerRange("9223372036854775808".to_owned()));
    influx_fault("m f=18446744073709551616u", &LineReason::UnsignedRange("18446744073709551616".to_owned()));
    for text in ["nan", "9223372036854775808i", "x", "1e400", "-inf", "+-1i", "1.5i", "tr", ".5"] {
        cnos(&format!("m f={text} 1"), &[&format!("InvalidValue({text:?})")]);
    }
}

#[test]
fn booleans() {
    for text in ["t", "T", "true", "True", "TRUE"] {
        both(&format!("m f={text} 1"), &[r#""m" [] | f=true | 1"#]);
    }
    for text in ["f", "F", "false", "False", "FALSE"] {
        both(&format!("m f={text} 1"), &[r#""m" [] | f=false | 1"#]);
    }
    for text in ["tRUE", "truee", "y", "f1"] {
        influx_fault(&format!("m f={text} 1"), &LineReason::InvalidBoolean);
    }
}

#[test]
fn strings() {
    both(r#"m f="" 1"#, &[r#""m" [] | f="" | 1"#]);
    both(r#"m f="a, b=c",g="x" 1"#, &[r#""m" [] | f="a, b=c",g="x" | 1"#]);
    both(r#"m f="a\"b\\c" 7"#, &[r#""m" [] | f="a\"b\\c" | 7"#]);
    both("m f=\"a\nb\r\nc\" 1\nm g=1 2", &[r#""m" [] | f="a\nb\r\nc" | 1"#, r#""m" [] | g=1.0 | 2"#]);
    influx(r#"m f="a\nb" 1"#, &[r#""m" [] | f="a\\nb" | 1"#]);
    // Quotes within a string are part of it; what stands behind the last one would be lost.
    influx(r#"m f="a""b",g="a"b"c",h="""" 1"#, &[r#""m" [] | f="a\"\"b",g="a\"b\"c",h="\"\"" | 1"#]);
    influx(r#"m f="{"k":"v","n":1}" 5"#, &[r#""m" [] | f="{\"k\":\"v\",\"n\":1}" | 5"#]);
    influx(r#"m f="a\"b"c\\"d" 5"#, &[r#""m" [] | f="a\"b\"c\\\"d" | 5"#]);
    for line in [r#"m f="a"b 1"#, r#"m f="a"\" 1"#, "m f=\"a\"\r", r#"m g=1,f="a""b"c,h=2 1"#, r#"m f="a"b"#] {
        influx_fault(line, &LineReason::InvalidFieldFormat);
    }
    influx_fault(r#"m f="a"b" 1"#, &LineReason::UnbalancedQuotes);
    influx_fault(r#"m f="a 1"#, &LineReason::UnbalancedQuotes);
    influx_fault(r#"m f="a\" 1"#, &LineReason::UnbalancedQuotes);
    cnos(r#"m f="a\nb" 1"#, &["UnexpectedToken { token: 'n', at: 7 }"]);
    cnos(r#"m f="a 1"#, &["UnexpectedEnd { at: 4 }"]);
    cnos(r#"m f="a"b 1"#, &[r#"InvalidValue("\"a\"b")"#]);
}

#[test]
fn escapes() {
    both(r"m\,1\ x,t\ g\==x\,y\=z f\ \,\==1 8", &[r#""m,1 x" [("t g=", "x,y=z")] | f ,==1.0 | 8"#]);
    influx(r"m\n\= f\n=1 1", &[r#""m\\n\\=" [] | f\n=1.0 | 1"#]);
    // InfluxDB: a backslash cannot be escaped before a separator.
    influx(r"m,t=x\\ y=1 f=1 1", &["InvalidTagFormat"]);
    influx_fault(r"m,t=x\ f=1", &LineReason::InvalidTagFormat);
    influx("m\\\nx f=1 1\nn f=2 2", &["\"m\\\\\\nx\" [] | f=1.0 | 1", r#""n" [] | f=2.0 | 2"#]);
    influx(r#""m",t="a" "f"=1 1"#, &[r#""\"m\"" [("t", "\"a\"")] | "f"=1.0 | 1"#]);
    cnos(r"m,t=x\\ f=1 1", &[r#""m" [("t", "x\\\\")] | f=1.0 | 1"#]);
    cnos(r"m,t=x\n f=1 1", &["UnexpectedToken { token: 'n', at: 6 }"]);
    cnos(r"m,t=a\,b=c f=1 1", &["InvalidSyntax"]);
    cnos(r"m,t=b=c f=1 1", &[r#""m" [("t", "b=c")] | f=1.0 | 1"#]);
}

#[test]
fn tags() {
    influx_fault("m,t= f=1", &LineReason::MissingTagValue);
    influx_fault("m,t=,u=1 f=1", &LineReason::MissingTagValue);
    influx_fault("m,t f=1", &LineReason::MissingTagValue);
    influx_fault("m, f=1", &LineReason::MissingTagKey);
    influx_fault("m,=a f=1", &LineReason::MissingTagKey);
    influx_fault("m,t=a=b f=1", &LineReason::InvalidTagFormat);
    influx_fault("m,t=a,t=b f=1", &LineReason::DuplicateTags);
    influx_fault("m,t=a,s=b,t=c f=1", &LineReason::DuplicateTags);
    influx_fault(",t=a f=1", &LineReason::MissingMeasurement);
    influx("m,a==b f=1 1", &[r#""m" [("a", "=b")] | f=1.0 | 1"#]);
    cnos("m,a= v=1 3", &[r#""m" [] | v=1.0 | 3"#]);
    cnos("m,a=b,c=d,a=b v=1 4", &[r#""m" [("a", "b"), ("c", "d")] | v=1.0 | 4"#]);
    cnos("m,a=b,a=c v=1 4", &[r#"TagTwice("a")"#]);
    cnos("m,a=b,a= v=1 4", &[r#"TagTwice("a")"#]);
}

#[test]
fn fields() {
    influx_fault("m", &LineReason::MissingFields);
    influx_fault("m,t=a", &LineReason::MissingFields);
    influx_fault("m,t=a f", &LineReason::InvalidFieldFormat);
    influx_fault("m f=1,g", &LineReason::InvalidFieldFormat);
    influx_fault("m f=1,", &LineReason::InvalidFieldFormat);
    influx_fault("m =1", &LineReason::MissingFieldKey);
    influx_fault("m f=1,=2", &LineReason::MissingFieldKey);
    influx_fault("m f=", &LineReason::MissingFieldValue);
    influx_fault("m f=,g=1", &LineReason::MissingFieldValue);
    influx_fault("m f=1\t", &LineReason::InvalidNumber);
    cnos("t1 v=", &["EmptyValue"]);
    cnos("lp1", &["UnexpectedEnd { at: 0 }"]);
    cnos("lp1 ", &["UnexpectedEnd { at: 0 }"]);
    cnos("t1,foo=a", &["UnexpectedEnd { at: 3 }"]);
    cnos("test,t2=t22,f2=2 1642176000000000000", &["UnexpectedEnd { at: 17 }"]);
}

/// A value that is accepted is not dropped for another one without a word.
#[test]
fn a_field_that_comes_twice() {
    both("m f=1,g=2,f=1 1", &[r#""m" [] | f=1.0,g=2.0 | 1"#]);
    both("m f=0,f=-0,f=0.0 1", &[r#""m" [] | f=0.0 | 1"#]);
    both(r#"m f="x",f="x",g=t,g=true 1"#, &[r#""m" [] | f="x",g=true | 1"#]);
    both(r#"m f="a\"b",f="a\"b" 1"#, &[r#""m" [] | f="a\"b" | 1"#]);
    influx(r#"m f="a"b"c",f="a\"b\"c" 1"#, &[r#""m" [] | f="a\"b\"c" | 1"#]);
    for line in
        ["m f=1,f=2 1", "m f=1,f=1i 1", "m f=1i,f=1u 1", r#"m f="a",f="b" 1"#, "m f=t,g=1,f=f 1", r"m f\==1,f\==2"]
    {
        let name = if line.contains('\\') { "f=" } else { "f" };
        both(line, &[&format!("FieldTwice({name:?})")]);
    }
    // Where comparing all pairs would be slow.
    let many: Vec<String> = (0..100).map(|at| format!("f{at}={at}i")).collect();
    let line = format!("m {},f7=7i 1", many.join(","));
    both(&line, &[&format!(r#""m" [] | {} | 1"#, many.join(","))]);
    both(&format!("m {},f7=8i 1", many.join(",")), &[r#"FieldTwice("f7")"#]);
    // The place is that of the later one.
    for dialect in [Dialect::Influx, Dialect::Cnos] {
        let events = scalar_events(dialect, b"m f=1\nm f=1,g=1,f=2\n", &TimeRule::identity(NOW));
        let Event::Error { line: 2, offset: 6, column, .. } = &events[1] else { panic!("{events:?}") };
        assert_eq!(*column, 11, "{dialect:?}");
    }
}

#[test]
fn timestamps() {
    influx_fault("m f=1 x", &LineReason::BadTimestamp);
    influx_fault("m f=1 1.5", &LineReason::BadTimestamp);
    influx_fault("m f=1 1 2", &LineReason::InvalidPoint);
    influx_fault("m f=1 -", &LineReason::TimestampSign);
    influx_fault("m f=1 9223372036854775808", &LineReason::TimestampRange("9223372036854775808".to_owned()));
    influx_fault("m f=1 9223372036854775807", &LineReason::TimeOutsideRange);
    influx_fault("m f=1 -9223372036854775807", &LineReason::TimeOutsideRange);
    influx("m f=1 9223372036854775806", &[r#""m" [] | f=1.0 | 9223372036854775806"#]);
    cnos("m f=1 9223372036854775807", &[r#""m" [] | f=1.0 | 9223372036854775807"#]);
    cnos("t1 v=1 abc", &["InvalidTimestamp { at: 7 }"]);
    cnos("lp1 v=1 9223372036854775808", &["InvalidTimestamp { at: 8 }"]);
    cnos("t v=1 1\nt v=1 abc\n", &[r#""t" [] | v=1.0 | 1"#, "InvalidTimestamp { at: 9 }"]);
}

#[test]
fn carriage_returns() {
    influx_fault("m f=1 1\r", &LineReason::BadTimestamp);
    influx_fault("m f=1\r", &LineReason::InvalidNumber);
    influx_fault("m f=t\r", &LineReason::InvalidBoolean);
    cnos(
        "m f=1 1\r\nm f=2\r\n\r\nm f=\"x\" 3\r",
        &[r#""m" [] | f=1.0 | 1"#, r#""m" [] | f=2.0 | 77"#, r#""m" [] | f="x" | 3"#],
    );
}

#[test]
fn scaled_times() {
    let case = |dialect, multiply, divide, text: &str| {
        let rule = TimeRule { multiply, divide, now: NOW };
        let body = format!("m f=1 {text}\n");
        let events = scalar_events(dialect, body.as_bytes(), &rule);
        for round in fast_events(dialect, body.as_bytes(), &rule, 3) {
            assert_eq!(round, events);
        }
        match &events[0] {
            Event::Row { time, .. } => Ok(*time),
            Event::Error { reason, .. } => Err(reason.clone()),
            Event::Refused { .. } => panic!("{events:?}"),
        }
    };
    assert_eq!(case(Dialect::Influx, 1_000_000_000, 1, "1667456411"), Ok(1_667_456_411_000_000_000));
    assert_eq!(case(Dialect::Cnos, 1, 1_000_000, "1667456411123456789"), Ok(1_667_456_411_123));
    // Before 1970 too, the coarser time is the one before.
    for dialect in [Dialect::Influx, Dialect::Cnos] {
        for (divide, text, expected) in [
            (1_000_000, "-1999999", -2),
            (1_000_000, "-1", -1),
            (1_000_000, "-1000000", -1),
            (1_000_000, "999999", 0),
            (1_000, "-9223372036854775806", -9_223_372_036_854_776),
            (1_000, "-1", -1),
        ] {
            assert_eq!(case(dialect, 1, divide, text), Ok(expected), "{dialect:?} {text}");
        }
    }
    assert_eq!(case(Dialect::Cnos, 1_000, 1, "9223372036854775807"), Err(LineReason::TimestampOverflow));
    assert!(case(Dialect::Influx, 1_000, 1, "-9223372036854775").is_ok());
    assert!(case(Dialect::Influx, 3_600_000_000_000, 1, "2562048").is_err());
}

#[test]
fn long_keys() {
    let name = "x".repeat(65_535);
    influx(&format!("{name} f=1"), &["KeyTooLong { bytes: 65540, bytes_max: 65535 }"]);
    let name = "x".repeat(65_536);
    influx(&format!("{name} f=1"), &["KeyTooLong { bytes: 65536, bytes_max: 65535 }"]);
    cnos(&format!("{name} f=1"), &[&format!("\"{name}\" [] | f=1.0 | 77")]);
}

#[test]
fn places() {
    let body = "m f=1 1\n\n  m f=x 2\n# c\nm,t f=1\n";
    let events = scalar_events(Dialect::Influx, body.as_bytes(), &TimeRule::identity(NOW));
    let places: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Error { line, offset, column, .. } => Some((*line, *offset, *column)),
            Event::Row { .. } | Event::Refused { .. } => None,
        })
        .collect();
    assert_eq!(places, [(3, 11, 5), (5, 23, 4)]);
}

#[test]
fn invalid_utf8() {
    for body in [&b"m\xff f=1 1\n"[..], b"m,t=\xc3\x28 f=1 1\n", b"m f\xff=1 1\n", b"m f=\"\xe2\x82\" 1\n"] {
        for dialect in [Dialect::Influx, Dialect::Cnos] {
            let rule = TimeRule::identity(NOW);
            let events = scalar_events(dialect, body, &rule);
            let [Event::Error { reason, .. }] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!(*reason, LineReason::InvalidUtf8);
            for round in fast_events(dialect, body, &rule, 3) {
                assert_eq!(round, events);
            }
        }
    }
}
