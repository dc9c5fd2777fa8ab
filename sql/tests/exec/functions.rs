//! Functions against the values that the reference gives for them, and over columns in each of their forms.

use crate::data::{Cell, Rows};
use crate::{engine, seeds};

/// The one cell of a query, as text.
fn answer(text: &str, rows: &Rows) -> String {
    let query = engine::bound(text);
    let found = engine::run(&query.plan, rows, 2, 1).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(found.len(), 1, "{text}");
    let cells: Vec<String> = found[0].iter().map(shown).collect();
    cells.join("|")
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::UInt(value) => format!("{value}u"),
        Cell::Float(value) => format!("{value:?}"),
        Cell::Str(text) => text.clone(),
        Cell::Time(value, unit) => format!("{value}{unit:?}"),
        Cell::Interval(months, days, ns) => format!("{months}mo {days}d {ns}ns"),
    }
}

/// The words of the error that a query ends with, whether it is bound or run.
fn refusal(text: &str, rows: &Rows) -> String {
    let session = tidewire_sql::Session {
        tenant: "cnosdb".into(),
        database: "public".into(),
        user: "root".into(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 1_000_000_000,
    };
    match tidewire_sql::prepare(text, &crate::data::catalog(), &session) {
        Ok(tidewire_sql::Statement::Query(query)) => match engine::run(&query.plan, rows, 1, 1) {
            Ok(found) => panic!("{text} gives {found:?}"),
            Err(error) => error.to_string(),
        },
        Ok(other) => panic!("{text}: {other:?}"),
        Err(error) => error.to_string(),
    }
}

/// Calls with what they come to.
const VALUES: &[(&str, &str)] = &[
    ("initcap('hello world')", "Hello World"),
    ("initcap('  !@# xYZ 9a-b')", "  !@# Xyz 9a-B"),
    ("reverse('añb')", "bña"),
    ("ascii('x'), ascii('é'), ascii('')", "120|233|0"),
    ("bit_length('é'), octet_length('é'), char_length('é')", "16|2|1"),
    ("chr(955)", "λ"),
    ("concat('a', NULL, 1, true, 2.5)", "a1true2.5"),
    ("concat_ws('-', 'a', NULL, 'b'), concat_ws(NULL, 'a')", "a-b|NULL"),
    ("repeat('ab', 3), repeat('ab', -1), repeat('', 9223372036854775807)", "ababab||"),
    ("lpad('Hello', 10, 'xy'), lpad('Hello', 3), lpad('世界', 5, '你好')", "xyxyxHello|Hel|你好你世界"),
    ("rpad('Hello', 10, 'xy'), rpad('111', 9), rpad('Hello', 10, '')", "Helloxyxyx|111      |Hello"),
    ("rpad('Hello', 0, ' '), rpad('Hello', -1, ' '), rpad('世界', 5, '🌟')", "||世界🌟🌟🌟"),
    ("rpad(NULL, 5, ' '), rpad('Hello', 10, NULL)", "NULL|NULL"),
    ("left('hello', 2), left('hello', -2), left('hello', 99)", "he|hel|hello"),
    ("right('hello', 2), right('hello', -2), right('hello', 0)", "lo|llo|"),
    ("substr('hello world', 7, 5), substr('hello', 2), substr('hello', -1, 0)", "world|ello|"),
    ("substring('hello world' FROM 7 FOR 5), substring('hello', 2, 1)", "world|e"),
    ("split_part('apple,banana,cherry', ',', 2), split_part('a,b', ',', 10), split_part('a,b', '', 1)", "banana||"),
    ("trim('  a '), btrim('xxaxx', 'x'), ltrim('  a '), rtrim('aba', 'ab'), trim(BOTH 'x' FROM 'xax')", "a|a|a ||a"),
    ("starts_with('hello world', ''), starts_with(123, '12'), starts_with(12.34, 12.34)", "true|true|true"),
    ("starts_with(DATE '2024-08-07', '2024'), starts_with('example', TRUE)", "true|false"),
    ("strpos('añb', 'b'), strpos('abc', 'x'), position('b' IN 'ab')", "3|0|2"),
    ("replace('saadhas', 's', 'dd'), replace('abc', '', '-'), replace('sfs', 's', 1)", "ddaadhadd|-a-b-c-|1f1"),
    ("translate('example', 'exa', '12'), translate('example', 'e', '123'), translate('a', '', '')", "12mpl1|1xampl1|a"),
    ("translate('test', 'test', 'abcd')", "dbcd"),
    ("to_hex(255), to_hex(-1)", "ff|ffffffffffffffff"),
    ("md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
    ("md5(''), digest('a', 'MD5')", "d41d8cd98f00b204e9800998ecf8427e|0cc175b9c0f1b6a831c399e269772661"),
    ("sha224('abc')", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    ("sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("left(sha384('abc'), 16), length(sha384('abc'))", "cb00753f45a35e8b|96"),
    ("left(sha512('abc'), 16), length(sha512('abc'))", "ddaf35a193617aba|128"),
    (
        "regexp_like('foobar', 'o+b'), regexp_like('foobar', 'O+B'), regexp_like('foobar', 'O+B', 'i')",
        "true|false|true",
    ),
    (r"regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g'), regexp_replace('aa', 'a', 'b')", "fooXarYXazY|ba"),
    ("abs(-9 % 5), abs(-1.0 / 3)", "4.0|0.3333333333333333"),
    ("round(acosh(2), 10), round(asinh(-2), 10), round(atanh(0.5), 10)", "1.3169578969|-1.4436354752|0.5493061443"),
    ("round(acosh(-1), 10), round(atan(1), 10), round(cosh(-1), 10)", "NaN|0.7853981634|1.5430806348"),
    ("cbrt(0.000000000001), cbrt(-1), atan2(0, 0)", "0.0001|-1.0|0.0"),
    ("cos(pi()), round(degrees(pi()), 10), round(radians(-1), 10)", "-1.0|180.0|-0.0174532925"),
    ("log10(-1), log10(0.000000000001), log(100), log(2, 8), ln(0)", "NaN|-12.0|2.0|3.0|-inf"),
    ("exp(0), signum(-2.5), signum(0), sqrt(30.25)", "1.0|-1.0|0.0|5.5"),
    (
        "round(sinh(1), 10), round(tanh(1), 10), round(tan(1), 10), round(asin(1), 10)",
        "1.1752011936|0.761594156|1.5574077247|1.5707963268",
    ),
    ("trunc(-2.7), trunc(1234.567, 2), trunc(1299, -2)", "-2.0|1234.56|1200.0"),
    ("factorial(0), factorial(20)", "1|2432902008176640000"),
    ("gcd(12, -18), gcd(0, 0), lcm(2, 4), lcm(0, 1), lcm(-4, 6)", "6|0|4|0|12"),
    ("5 & 3, 5 | 3, 5 ^ 3, NULL & 1", "1|7|6|NULL"),
    ("coalesce(NULL, 2), nullif(1, 1), greatest(1, 3, NULL, 2), least('b', 'a')", "2|NULL|3|a"),
    ("greatest(NULL, NULL), greatest(1, 2.5)", "NULL|2.5"),
    ("to_timestamp('2023-01-31T14:26:56.123456789')", "1675175216123456789Nanosecond"),
    ("to_timestamp_micros('2023-01-31T14:26:56.123456789')", "1675175216123456Microsecond"),
    ("to_timestamp_millis(1), to_timestamp_micros(-9223372038)", "1Millisecond|-9223372038Microsecond"),
    ("CAST(to_timestamp_seconds('2023-01-31T14:26:56.9') AS BIGINT), CAST(from_unixtime(7) AS BIGINT)", "1675175216|7"),
    ("DATE '2024-08-07'", "1722988800000000000Nanosecond"),
    ("TRY_CAST('x' AS BIGINT), TRY_CAST('7' AS BIGINT), TRY_CAST(1e300 AS BIGINT)", "NULL|7|NULL"),
    ("CAST('cat   ' AS CHAR(6)), CAST(1.9 AS INT), CAST('1' AS VARCHAR(3))", "cat   |1|1"),
    ("arrow_typeof(1), arrow_typeof('a'), arrow_typeof(now())", "Int64|Utf8|Timestamp(Nanosecond, None)"),
    ("arrow_cast('7', 'Int64') + 1, arrow_cast(5, 'Timestamp(Millisecond, None)')", "8|5Millisecond"),
];

#[test]
fn calls_of_constants_give_the_values_of_the_reference() {
    let rows = Rows::random(1, 1);
    for (call, expected) in VALUES {
        assert_eq!(answer(&format!("SELECT {call}"), &rows).replace(" UTC", ""), *expected, "{call}");
    }
}

/// What constants come to, a column comes to as well.
#[test]
fn calls_of_columns_give_what_calls_of_constants_do() {
    let rows = Rows::random(1, 1);
    for (call, expected) in VALUES {
        // A literal that no rule can see through; typed constants stay what they are.
        if call.contains("DATE ") || call.contains("arrow_cast") || call.contains("FROM") || call.contains("NULL") {
            continue;
        }
        let mut made = String::new();
        for (at, part) in call.split('\'').enumerate() {
            match at % 2 {
                0 => made.push_str(part),
                _ => made.push_str(&format!("(left(coalesce(host, 'x'), 0) || '{part}')")),
            }
        }
        assert_eq!(answer(&format!("SELECT {made} FROM m LIMIT 1"), &rows), *expected, "{made}");
    }
}

/// A tag is a dictionary, and is computed once a value.
#[test]
fn a_tag_comes_to_what_its_text_does() {
    for seed in seeds() {
        let rows = Rows::random(seed, 300);
        for call in [
            "starts_with(TAG, 'h1')",
            "rpad(TAG, 7, 'é')",
            "replace(TAG, 'h', 'xyz')",
            "split_part(TAG, 'h', 2)",
            "concat(TAG, '-', i)",
            "concat_ws(TAG, 'a', s, rack)",
            "md5(TAG)",
            "regexp_replace(TAG, '[0-9]', '<\\0>', 'g')",
            "translate(TAG, 'h0123456789', 'x')",
            "greatest(TAG, s)",
            "strpos(TAG, '1')",
            "initcap(TAG)",
            "substr(TAG, 2)",
        ] {
            let of = |tag: &str| {
                let text =
                    format!("SELECT {} AS x, time, i, f FROM m ORDER BY time, x, i, f", call.replace("TAG", tag));
                engine::run(&engine::bound(&text).plan, &rows, 2, seed).unwrap()
            };
            for tag in ["host", "rack"] {
                assert_eq!(of(tag), of(&format!("({tag} || '')")), "{call} of {tag}, TIDEWIRE_SEED={seed}");
            }
        }
    }
}

#[test]
fn what_a_function_does_not_take_is_an_error_that_names_it() {
    let rows = Rows::random(1, 1);
    for (call, words) in [
        ("initcap(1)", "initcap"),
        ("initcap()", "initcap"),
        ("substr('a')", "substr"),
        ("rpad('a')", "rpad"),
        ("translate(132132432, 1, 9)", "translate"),
        ("to_hex('a')", "to_hex"),
        ("to_hex(1.5)", "to_hex"),
        ("lcm(0, 'a')", "lcm"),
        ("chr(0)", "chr"),
        ("split_part('a', 'b', 0)", "split_part"),
        ("substr('a', 1, -1)", "substr"),
        ("factorial(21)", "factorial"),
        ("lcm(9223372036854775807, 2)", "lcm"),
        ("digest('a', 'crc')", "crc"),
        ("regexp_replace('a', '(', 'b')", "regexp_replace"),
        ("repeat('abc', 9223372036854775807)", "text of more than 2 GiB"),
        ("rpad('a', 9000000000, 'b')", "text of more than 2 GiB"),
        ("greatest(1, true)", "GREATEST"),
        ("arrow_cast(1, 'List(Int64)')", "arrow_cast"),
        ("delta(1)", "delta"),
        ("lower('a' ORDER BY 1)", "ORDER BY"),
        ("'a' & 1", "&"),
    ] {
        let refused = refusal(&format!("SELECT {call}"), &rows);
        assert!(refused.contains(words), "{call}: {refused}");
    }
}

#[test]
fn random_differs_from_row_to_row_and_stays_what_it_was() {
    let rows = Rows::random(1, 200);
    let text = "SELECT count(DISTINCT r) > 150, min(r) >= 0, max(r) < 1, sum(d) FROM (SELECT r, r - r AS d FROM (SELECT \
                random() AS r, time FROM m) WHERE r >= 0)";
    assert_eq!(answer(text, &rows), "true|true|true|0.0");
}

/// Aggregates of a few known values, over shards.
#[test]
fn aggregates_give_the_values_of_the_reference() {
    let rows = Rows::random(1, 1);
    let of = |call: &str| {
        let values = "(SELECT 1 AS i, 2.0 AS f, 'a' AS s UNION ALL SELECT 4, 4.5, 'b' UNION ALL SELECT 2, 1.0, 'a' UNION ALL \
                      SELECT NULL AS i, NULL AS f, NULL AS s UNION ALL SELECT 2, 8.0, 'c')";
        answer(&format!("SELECT {call} FROM {values} t"), &rows)
    };
    for (call, expected) in [
        ("median(i), median(f)", "2|3.25"),
        ("mode(i), mode(s)", "2|a"),
        ("round(stddev(f), 10), round(stddev_pop(f), 10)", "3.119161212|2.7012728481"),
        ("round(stddev_samp(f), 10)", "3.119161212"),
        ("var(i), var_pop(i)", "1.5833333333333333|1.1875"),
        (
            "round(covar(i, f), 10), round(covar_pop(i, f), 10), round(corr(i, f), 10)",
            "1.0416666667|0.78125|0.2654023524",
        ),
        ("corr(1, 2), var(1), stddev_samp(1)", "0.0|0.0|0.0"),
        ("bit_and(i), bit_or(i), bit_xor(i), bit_xor(DISTINCT i)", "0|7|5|7"),
        ("bool_and(f > 0), bool_or(f > 5)", "true|true"),
        ("bool_and(f > 1) FILTER (WHERE i > 1), bool_or(f > 50)", "false|false"),
        ("approx_distinct(i), approx_distinct(s)", "3u|3u"),
        ("approx_median(i), approx_median(f), approx_percentile_cont(f, 1)", "2|3.0|8.0"),
        ("approx_percentile_cont(f, 0), approx_percentile_cont_with_weight(f, i, 0.5)", "1.0|4.125"),
    ] {
        assert_eq!(of(call), expected, "{call}");
    }
    let none = "SELECT median(i), mode(s), stddev(f), var_pop(f), corr(i, f), bit_or(i), bool_and(b), approx_distinct(s), \
                approx_median(f), increase(time, i), delta(gauge_agg(time, f)) FROM m WHERE i > 9223372036854775806";
    assert_eq!(answer(none, &rows), "NULL|NULL|NULL|NULL|NULL|NULL|NULL|0u|NULL|NULL|NULL");
}

/// A gauge and a counter, by time whatever the order of rows.
#[test]
fn gauges_and_counters_are_taken_in_the_order_of_time() {
    let rows = Rows::random(1, 1);
    let of = |call: &str| {
        let row = |ms: i64, x: &str| format!("SELECT to_timestamp_millis({ms}) AS t, {x} AS x");
        let values =
            [row(30, "5.0"), row(10, "1.0"), row(40, "2.5"), row(20, "4.0"), row(15, "NULL")].join(" UNION ALL ");
        answer(&format!("SELECT {call} FROM ({values}) v"), &rows)
    };
    for (call, expected) in [
        (
            "delta(gauge_agg(t, x)), idelta_left(gauge_agg(t, x)), idelta_right(gauge_agg(t, x ORDER BY t))",
            "1.5|3.0|-2.5",
        ),
        ("first_val(gauge_agg(t, x)), last_val(gauge_agg(t, x))", "1.0|2.5"),
        ("first_time(gauge_agg(t, x)), last_time(gauge_agg(t, x))", "10Millisecond|40Millisecond"),
        ("time_delta(gauge_agg(t, x)), rate(gauge_agg(t, x))", "0mo 0d 30000000ns|5e-8"),
        ("increase(t, x ORDER BY t)", "6.5"),
        ("increase(t, CAST(x AS BIGINT))", "6"),
    ] {
        assert_eq!(of(call), expected, "{call}");
    }
}

/// A timeline of states, by time whatever the order of rows.
#[test]
fn states_last_until_the_next() {
    let rows = Rows::random(1, 1);
    let of = |call: &str| {
        let row = |ms: i64, x: &str| format!("SELECT to_timestamp_millis({ms}) AS t, {x} AS x");
        let values = [
            row(60, "'stop'"),
            row(10, "'start'"),
            row(40, "'start'"),
            row(20, "'run'"),
            row(25, "NULL"),
            row(30, "'run'"),
            row(45, "'run'"),
        ];
        answer(&format!("SELECT {call} FROM ({}) v", values.join(" UNION ALL ")), &rows)
    };
    for (call, expected) in [
        // From 20 to 40 and from 45 to 60.
        ("duration_in(state_agg(t, x), 'run'), duration_in(compact_state_agg(t, x), 'run')", [35, 35].as_slice()),
        ("duration_in(state_agg(t, x), 'start'), duration_in(state_agg(t, x), 'stop')", &[15, 0]),
        ("duration_in(compact_state_agg(t, x), 'never'), duration_in(state_agg(t, x), 'never')", &[0, 0]),
        ("duration_in(state_agg(t, x), 'run', to_timestamp_millis(30))", &[25]),
        ("duration_in(state_agg(t, x), 'run', to_timestamp_millis(30), INTERVAL '20 milliseconds')", &[15]),
        ("duration_in(state_agg(t, x), 'run', to_timestamp_millis(5), INTERVAL '1 millisecond')", &[0]),
        ("duration_in(state_agg(t, x), 'never', to_timestamp_millis(0))", &[0]),
        (
            "duration_in(state_agg(t, length(x)), 5), duration_in(compact_state_agg(t, t), to_timestamp_millis(45))",
            &[15, 15],
        ),
    ] {
        let expected: Vec<String> = expected.iter().map(|ms| format!("0mo 0d {}ns", ms * 1_000_000)).collect();
        assert_eq!(of(call), expected.join("|"), "{call}");
    }
    let at = |ms: i64| of(&format!("state_at(state_agg(t, x), to_timestamp_millis({ms}))"));
    let found: Vec<String> = [9, 10, 19, 20, 39, 40, 44, 45, 59, 60, 99].into_iter().map(at).collect();
    let (start, run, stop) = ("start", "run", "stop");
    assert_eq!(found, ["NULL", start, start, run, run, start, start, run, run, stop, stop]);
    let none = "SELECT duration_in(state_agg(time, s), 'a'), duration_in(compact_state_agg(time, i), 1), \
                state_at(state_agg(time, b), time_of) FROM (SELECT *, now() AS time_of FROM m) x \
                WHERE i > 9223372036854775806 GROUP BY time_of";
    assert!(engine::run(&engine::bound(none).plan, &rows, 2, 1).unwrap().is_empty());
    assert_eq!(
        answer("SELECT duration_in(state_agg(time, s), 'a') FROM m WHERE i > 9223372036854775806", &rows),
        "NULL"
    );
    for wrong in [
        "SELECT state_agg(time) FROM m",
        "SELECT compact_state_agg(i, time) FROM m",
        "SELECT duration_in(i, 1) FROM m",
        "SELECT state_at(compact_state_agg(time, i), now()) FROM m",
    ] {
        assert!(refusal(wrong, &rows).contains("Arguments"), "{wrong}: {}", refusal(wrong, &rows));
    }
    let members = "SELECT v.x.state_duration, v.x.state_periods FROM (SELECT state_agg(time, s) AS x FROM m) v";
    let types: Vec<String> =
        engine::bound(members).schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    assert!(types.iter().all(|data_type| data_type.starts_with("List(Struct(")), "{types:?}");
    let compact = refusal("SELECT duration_in(compact_state_agg(time, i), 1, now()) FROM m", &rows);
    assert!(compact.contains("CompactStates"), "{compact}");
}
