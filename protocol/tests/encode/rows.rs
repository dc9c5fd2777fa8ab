//! Literal results.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::types::{IntervalMonthDayNano, UInt32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, DurationNanosecondArray,
    Float32Array, Float64Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, IntervalUnit, Schema};
use tidewire_protocol::encode::{EncodeError, Encoder, Format};

use super::{FORMATS, batch, encode, encode_one};

const TIME: i64 = 1_667_456_411_000_000_000;

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

fn tags(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<DictionaryArray<UInt32Type>>())
}

fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// The rows of fact 6 of the observed server.
fn stations() -> RecordBatch {
    batch(vec![
        ("time", Arc::new(TimestampNanosecondArray::from(vec![TIME, TIME + 7]))),
        ("station", tags(&[Some("a1"), Some("a1")])),
        ("temperature", Arc::new(Float64Array::from(vec![Some(21.5), None]))),
        ("n", Arc::new(Int64Array::from(vec![3, 9]))),
        ("note", text(&[Some("say \"hi\", ok"), None])),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None]))),
    ])
}

#[test]
fn stations_in_every_format() {
    let batch = stations();
    assert_eq!(
        encode_one(Format::Csv, &batch),
        "time,station,temperature,n,note,ok\n\
         2022-11-03T06:20:11.000000000,a1,21.5,3,\"say \"\"hi\"\", ok\",true\n\
         2022-11-03T06:20:11.000000007,a1,,9,,\n"
    );
    assert_eq!(
        encode_one(Format::Tsv, &batch),
        "time\tstation\ttemperature\tn\tnote\tok\n\
         2022-11-03T06:20:11.000000000\ta1\t21.5\t3\t\"say \"\"hi\"\", ok\"\ttrue\n\
         2022-11-03T06:20:11.000000007\ta1\t\t9\t\t\n"
    );
    let first =
        r#"{"n":3,"note":"say \"hi\", ok","ok":true,"station":"a1","temperature":21.5,"time":"2022-11-03T06:20:11"}"#;
    let second = r#"{"n":9,"station":"a1","time":"2022-11-03T06:20:11.000000007"}"#;
    assert_eq!(encode_one(Format::Json, &batch), format!("[{first},{second}]"));
    assert_eq!(encode_one(Format::NdJson, &batch), format!("{first}\n{second}\n"));
    assert_eq!(
        encode_one(Format::Table, &batch),
        "+-------------------------------+---------+-------------+---+--------------+------+\n\
         | time                          | station | temperature | n | note         | ok   |\n\
         +-------------------------------+---------+-------------+---+--------------+------+\n\
         | 2022-11-03T06:20:11           | a1      | 21.5        | 3 | say \"hi\", ok | true |\n\
         | 2022-11-03T06:20:11.000000007 | a1      |             | 9 |              |      |\n\
         +-------------------------------+---------+-------------+---+--------------+------+"
    );
}

#[test]
fn no_rows() {
    let schema = stations().schema();
    let expected = [
        "time,station,temperature,n,note,ok\n",
        "time\tstation\ttemperature\tn\tnote\tok\n",
        "",
        "",
        "+------+---------+-------------+---+------+----+\n\
         | time | station | temperature | n | note | ok |\n\
         +------+---------+-------------+---+------+----+\n\
         +------+---------+-------------+---+------+----+",
    ];
    let empty = RecordBatch::new_empty(Arc::clone(&schema));
    for (format, expected) in FORMATS.into_iter().zip(expected) {
        assert_eq!(encode(format, Arc::clone(&schema), &[]).unwrap(), expected, "{format:?} without batches");
        assert_eq!(
            encode(format, Arc::clone(&schema), &[empty.clone(), empty.clone()]).unwrap(),
            expected,
            "{format:?} with empty batches"
        );
    }
}

#[test]
fn several_batches_make_one_result() {
    let batches = [batch(vec![("a", ints(&[1]))]), batch(vec![("a", ints(&[]))]), batch(vec![("a", ints(&[2, 3]))])];
    let expected = [
        "a\n1\n2\n3\n",
        "a\n1\n2\n3\n",
        r#"[{"a":1},{"a":2},{"a":3}]"#,
        "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n",
        "+---+\n| a |\n+---+\n| 1 |\n| 2 |\n| 3 |\n+---+",
    ];
    for (format, expected) in FORMATS.into_iter().zip(expected) {
        assert_eq!(encode(format, batches[0].schema(), &batches).unwrap(), expected, "{format:?}");
    }

    let mut encoder = Encoder::new(Format::Json, batches[0].schema()).unwrap().array_per_batch();
    let mut out = Vec::new();
    for batch in &batches {
        encoder.batch(batch, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), r#"[{"a":1}][{"a":2},{"a":3}]"#);
}

#[test]
fn lone_empty_cells_are_quoted() {
    assert_eq!(encode_one(Format::Csv, &batch(vec![("a", Arc::new(NullArray::new(1)))])), "a\n\"\"\n");
    assert_eq!(encode_one(Format::Csv, &batch(vec![("a", text(&[Some(""), None, Some("x")]))])), "a\n\"\"\n\"\"\nx\n");
    let several = batch(vec![("a", text(&[Some("")])), ("b", Arc::new(NullArray::new(1))), ("c", text(&[Some("x")]))]);
    assert_eq!(encode_one(Format::Csv, &several), "a,b,c\n,,x\n");
    let nulls = batch(vec![("a", Arc::new(NullArray::new(1))), ("b", Arc::new(NullArray::new(1)))]);
    assert_eq!(encode_one(Format::Csv, &nulls), "a,b\n,\n");
    assert_eq!(encode_one(Format::Json, &nulls), "[{}]");
    assert_eq!(encode_one(Format::NdJson, &nulls), "{}\n");
}

#[test]
fn quoting_depends_on_the_separator() {
    let row = batch(vec![
        ("q", text(&[Some("a'b")])),
        ("t,u", text(&[Some("tab\tx")])),
        ("n", text(&[Some("new\nline")])),
        ("r", tags(&[Some("cr\rx,y")])),
        ("d", text(&[Some("\"q\"q")])),
    ]);
    assert_eq!(encode_one(Format::Csv, &row), "q,\"t,u\",n,r,d\na'b,tab\tx,\"new\nline\",\"cr\rx,y\",\"\"\"q\"\"q\"\n");
    assert_eq!(
        encode_one(Format::Tsv, &row),
        "q\tt,u\tn\tr\td\na'b\t\"tab\tx\"\t\"new\nline\"\t\"cr\rx,y\"\t\"\"\"q\"\"q\"\n"
    );
}

#[test]
fn json_text_is_escaped() {
    let row = batch(vec![
        ("plain", text(&[Some("é€\u{7f}/<>&")])),
        ("quo\"te", tags(&[Some("back\\slash \"q\"")])),
        ("control", text(&[Some("\u{8}\u{c}\n\r\t\0\u{1f} and after it a long tail without anything")])),
    ]);
    assert_eq!(
        encode_one(Format::Json, &row),
        "[{\"control\":\"\\b\\f\\n\\r\\t\\u0000\\u001f and after it a long tail without anything\",\
         \"plain\":\"é€\u{7f}/<>&\",\"quo\\\"te\":\"back\\\\slash \\\"q\\\"\"}]"
    );
}

#[test]
fn floats() {
    let names = ["nan", "inf", "big", "one", "small", "e10", "m5", "t10", "x", "d9", "m4"];
    let values =
        [f64::NAN, f64::INFINITY, 1e16, 1.0, 0.000001, 35000000000.0, 1e-5, 1e10, 12345678901.5, 123456789.5, 0.0001];
    let columns: Vec<(&str, ArrayRef)> = names
        .into_iter()
        .zip(values)
        .map(|(name, value)| (name, Arc::new(Float64Array::from(vec![value])) as ArrayRef))
        .collect();
    let row = batch(columns);
    assert_eq!(
        encode_one(Format::Csv, &row),
        "nan,inf,big,one,small,e10,m5,t10,x,d9,m4\n\
         NaN,inf,1.0e16,1.0,1.0e-6,3.5e10,0.00001,1.0e10,1.23456789015e10,123456789.5,0.0001\n"
    );
    assert_eq!(
        encode_one(Format::Json, &row),
        "[{\"big\":1e16,\"d9\":123456789.5,\"e10\":35000000000.0,\"m4\":0.0001,\"m5\":0.00001,\"one\":1.0,\
         \"small\":1e-6,\"t10\":10000000000.0,\"x\":12345678901.5}]"
    );
    let row = batch(vec![("m7", Arc::new(Float64Array::from(vec![1e-7])))]);
    assert_eq!(encode_one(Format::Table, &row), "+--------+\n| m7     |\n+--------+\n| 1.0e-7 |\n+--------+");
}

#[test]
fn other_numbers() {
    let row = batch(vec![
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("i", Arc::new(Int64Array::from(vec![i64::MIN]))),
        ("s", Arc::new(Int32Array::from(vec![-12_345_678]))),
        ("f", Arc::new(Float32Array::from(vec![0.1]))),
    ]);
    assert_eq!(encode_one(Format::Csv, &row), "u,i,s,f\n18446744073709551615,-9223372036854775808,-12345678,0.1\n");
    assert_eq!(
        encode_one(Format::Json, &row),
        r#"[{"f":0.1,"i":-9223372036854775808,"s":-12345678,"u":18446744073709551615}]"#
    );
}

#[test]
fn times_of_other_units() {
    let row = batch(vec![
        ("us", Arc::new(TimestampMicrosecondArray::from(vec![TIME / 1_000 + 1]))),
        ("ms", Arc::new(TimestampMillisecondArray::from(vec![TIME / 1_000_000 + 123]))),
        ("s", Arc::new(TimestampSecondArray::from(vec![-1]))),
    ]);
    assert_eq!(
        encode_one(Format::Csv, &row),
        "us,ms,s\n2022-11-03T06:20:11.000001000,2022-11-03T06:20:11.123000000,1969-12-31T23:59:59.000000000\n"
    );
    assert_eq!(
        encode_one(Format::Json, &row),
        r#"[{"ms":"2022-11-03T06:20:11.123","s":"1969-12-31T23:59:59","us":"2022-11-03T06:20:11.000001"}]"#
    );
}

#[test]
fn the_farthest_times_have_a_text() {
    let row = batch(vec![("t", Arc::new(TimestampMillisecondArray::from(vec![None, Some(i64::MAX)])))]);
    let cell = "+292278994-08-17T07:12:55.807";
    assert_eq!(encode_one(Format::Csv, &row), format!("t\n\"\"\n{cell}000000\n"));
    assert_eq!(encode_one(Format::Json, &row), format!("[{{}},{{\"t\":\"{cell}\"}}]"));
    assert!(encode_one(Format::Table, &row).contains(&format!("| {cell} |")));
}

#[test]
fn intervals_and_durations() {
    let interval = IntervalMonthDayNano::new(0, 1, 0);
    let row = batch(vec![("iv", Arc::new(IntervalMonthDayNanoArray::from(vec![interval])))]);
    assert_eq!(encode_one(Format::Csv, &row), "iv\n0 years 0 mons 1 days 0 hours 0 mins 0.000000000 secs\n");
    assert_eq!(
        encode(Format::Json, row.schema(), &[]),
        Err(EncodeError::JsonType(DataType::Interval(IntervalUnit::MonthDayNano)))
    );
    assert_eq!(
        encode_one(Format::Table, &row),
        "+-------------------------------------------------------+\n\
         | iv                                                    |\n\
         +-------------------------------------------------------+\n\
         | 0 years 0 mons 1 days 0 hours 0 mins 0.000000000 secs |\n\
         +-------------------------------------------------------+"
    );
    let row = batch(vec![("d", Arc::new(DurationNanosecondArray::from(vec![Some(1_500_000_000), None])))]);
    assert_eq!(encode_one(Format::Csv, &row), "d\nPT1.5S\n\"\"\n");
    assert_eq!(encode_one(Format::NdJson, &row), "{\"d\":\"PT1.5S\"}\n{}\n");
}

#[test]
fn dates_decimals_and_binary() {
    let date = batch(vec![("d", Arc::new(Date32Array::from(vec![18_994])))]);
    assert_eq!(encode_one(Format::Csv, &date), "d\n2022-01-02\n");
    assert_eq!(encode_one(Format::Json, &date), r#"[{"d":"2022-01-02"}]"#);

    let decimal = Decimal128Array::from(vec![125]).with_precision_and_scale(10, 2).unwrap();
    let decimal = batch(vec![("e", Arc::new(decimal))]);
    assert_eq!(encode_one(Format::Csv, &decimal), "e\n1.25\n");
    assert_eq!(encode(Format::Json, decimal.schema(), &[]), Err(EncodeError::JsonType(DataType::Decimal128(10, 2))));

    let binary = batch(vec![("b", Arc::new(BinaryArray::from(vec![&b"ab"[..]])))]);
    assert_eq!(encode(Format::Csv, binary.schema(), &[]), Err(EncodeError::CsvType(DataType::Binary)));
    assert_eq!(encode(Format::NdJson, binary.schema(), &[]), Err(EncodeError::JsonType(DataType::Binary)));
    assert_eq!(encode_one(Format::Table, &binary), "+------+\n| b    |\n+------+\n| 6162 |\n+------+");
}

#[test]
fn lists_and_structs() {
    let mut list = ListBuilder::new(Int64Builder::new());
    list.append_value([Some(1), None, Some(2)]);
    list.append_value([]);
    list.append_null();
    let list = batch(vec![("l", Arc::new(list.finish()))]);
    assert_eq!(encode_one(Format::Json, &list), r#"[{"l":[1,null,2]},{"l":[]},{}]"#);
    assert_eq!(
        encode_one(Format::Table, &list),
        "+----------+\n| l        |\n+----------+\n| [1, , 2] |\n| []       |\n|          |\n+----------+"
    );
    assert!(matches!(encode(Format::Csv, list.schema(), &[]), Err(EncodeError::CsvNested(_))));

    let window = StructArray::from(vec![
        (
            Arc::new(Field::new("start", DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, None), true)),
            Arc::new(TimestampNanosecondArray::from(vec![TIME - 1_211_000_000_000])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("end", DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, None), true)),
            Arc::new(TimestampNanosecondArray::from(vec![TIME - 1_211_000_000_000 + 3_600_000_000_000])) as ArrayRef,
        ),
    ]);
    let window = batch(vec![("w", Arc::new(window))]);
    assert_eq!(
        encode_one(Format::Json, &window),
        r#"[{"w":{"end":"2022-11-03T07:00:00","start":"2022-11-03T06:00:00"}}]"#
    );
    assert!(encode_one(Format::Table, &window).contains("| {start: 2022-11-03T06:00:00, end: 2022-11-03T07:00:00} |"));
}

#[test]
fn equal_names_collapse_in_json_only() {
    let row = batch(vec![("v", ints(&[1])), ("a", ints(&[0])), ("v", ints(&[2]))]);
    assert_eq!(encode_one(Format::Csv, &row), "v,a,v\n1,0,2\n");
    assert_eq!(encode_one(Format::Json, &row), r#"[{"a":0,"v":2}]"#);
}

#[test]
fn long_names_and_values_span_blocks() {
    for length in [1, 28, 29, 30, 31, 32, 33, 63, 64, 65, 200] {
        let name = "n".repeat(length);
        let value = "v".repeat(length);
        let row = batch(vec![(&name, tags(&[Some(&value), Some(&value), Some("w")]))]);
        assert_eq!(
            encode_one(Format::NdJson, &row),
            format!("{{\"{name}\":\"{value}\"}}\n{{\"{name}\":\"{value}\"}}\n{{\"{name}\":\"w\"}}\n")
        );
        assert_eq!(encode_one(Format::Csv, &row), format!("{name}\n{value}\n{value}\nw\n"));
    }
}

#[test]
fn a_table_counts_terminal_columns_and_lines() {
    let row = batch(vec![("s", text(&[Some("é"), Some("日本"), Some("two\nlines")]))]);
    assert_eq!(
        encode_one(Format::Table, &row),
        "+-------+\n| s     |\n+-------+\n| é     |\n| 日本  |\n| two   |\n| lines |\n+-------+"
    );
}

#[test]
fn no_columns() {
    let schema = Arc::new(Schema::empty());
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
    assert_eq!(encode(Format::Json, Arc::clone(&schema), std::slice::from_ref(&rows)).unwrap(), "[{},{}]");
    assert_eq!(encode(Format::Table, schema, std::slice::from_ref(&rows)).unwrap(), "++\n++");
}

#[test]
fn batches_that_do_not_fit_the_schema_are_refused_whole() {
    let schema = batch(vec![("a", ints(&[1])), ("b", ints(&[1]))]).schema();
    for (wrong, expected) in [
        (batch(vec![("a", ints(&[1]))]), "result batch has 1 columns, expected at least 2"),
        (batch(vec![("a", ints(&[1])), ("b", text(&[None]))]), "result column b is Utf8, expected Int64"),
    ] {
        for format in FORMATS {
            let mut encoder = Encoder::new(format, Arc::clone(&schema)).unwrap();
            let mut out = Vec::new();
            assert_eq!(encoder.batch(&wrong, &mut out).unwrap_err().to_string(), expected, "{format:?}");
            assert!(out.is_empty(), "{format:?}");
        }
    }
}

#[test]
fn names_and_types_of_formats() {
    for (name, format) in [
        ("csv", Some(Format::Csv)),
        ("CSV", Some(Format::Csv)),
        ("tsv", Some(Format::Tsv)),
        ("json", Some(Format::Json)),
        ("Nd-Json", Some(Format::NdJson)),
        ("table", Some(Format::Table)),
        ("", None),
        ("ndjson", None),
        ("csv ", None),
    ] {
        assert_eq!(Format::from_name(name), format, "{name:?}");
    }
    let types: Vec<_> = FORMATS.map(Format::content_type).into();
    assert_eq!(types, ["text/csv", "text/tsv", "application/json", "application/nd-json", "text/table"]);
}
