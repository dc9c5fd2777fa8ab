//! What files become, and what becomes files.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use tidewire_sql::plan::ExternalScan;
use tidewire_storage::schema::{ExternalColumn, ExternalTable, ExternalType, FileFormat, TimeUnit};

use crate::text::testing::Scratch;
use crate::{Folders, Reading, Step, Writing, columns};

const ROOM: usize = 64 << 20;

fn column(name: &str, kind: ExternalType) -> ExternalColumn {
    ExternalColumn { name: name.into(), kind, not_null: false }
}

fn scan(location: &str, format: FileFormat, columns: Vec<ExternalColumn>) -> Arc<ExternalScan> {
    let (name, location) = ("t".into(), location.into());
    Arc::new(ExternalScan::all(Arc::new(ExternalTable { name, columns, format, location })))
}

fn read(folders: &Folders, scan: &Arc<ExternalScan>, room: usize) -> Result<Vec<RecordBatch>, String> {
    let mut reading = Reading::new(folders, Arc::clone(scan)).map_err(|error| error.to_string())?;
    let mut batches = Vec::new();
    let mut room = room;
    loop {
        match reading.next(room).map_err(|error| error.to_string())? {
            Step::Rows(rows) => batches.push(rows),
            Step::Wants(bytes) => {
                assert!(bytes > room, "it wants {bytes} and has {room}");
                room = bytes;
            }
            Step::End => return Ok(batches),
        }
    }
}

fn inferred(folders: &Folders, location: &str, format: FileFormat) -> Result<Vec<String>, String> {
    let found = columns(folders, location, format, ROOM).map_err(|error| error.to_string())?;
    Ok(found.unwrap().iter().map(|column| format!("{} {}", column.name, column.kind)).collect())
}

fn ints(batches: &[RecordBatch], at: usize) -> Vec<Option<i64>> {
    batches.iter().flat_map(|batch| batch.column(at).as_primitive::<Int64Type>().iter().collect::<Vec<_>>()).collect()
}

fn texts(batches: &[RecordBatch], at: usize) -> Vec<Option<String>> {
    let of = |batch: &RecordBatch| -> Vec<Option<String>> {
        batch.column(at).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    };
    batches.iter().flat_map(of).collect()
}

#[test]
fn csv_is_read_by_names_or_places_and_wrong_rows_are_named() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    let csv = FileFormat::CSV;
    scratch.write("a.csv", "b,a\n\"x,\"\"y\",1\n,2\nz,\n");
    let both = || vec![column("a", ExternalType::Int), column("b", ExternalType::String)];
    let found = read(&folders, &scan("a.csv", csv, both()), ROOM).unwrap();
    assert_eq!(ints(&found, 0), [Some(1), Some(2), None], "by name");
    assert_eq!(texts(&found, 1), [Some("x,\"y".to_owned()), None, Some("z".to_owned())]);
    let renamed = vec![column("c", ExternalType::String), column("d", ExternalType::Int)];
    assert_eq!(ints(&read(&folders, &scan("a.csv", csv, renamed), ROOM).unwrap(), 1), [Some(1), Some(2), None]);
    let told = |text: &str, columns: Vec<ExternalColumn>| {
        scratch.write("w.csv", text);
        read(&folders, &scan("w.csv", csv, columns), ROOM).unwrap_err()
    };
    let half = told("a,x\n1,2\n", both());
    assert!(half.ends_with("w.csv: the first line has no column b"), "{half}");
    let word = told("a,b\n1,x\nseven,y\n", both());
    assert!(word.ends_with("w.csv, row 2: column a: \"seven\" is no Int64"), "{word}");
    let short = told("a,b\n1,x\n1\n", both());
    assert!(short.ends_with("w.csv, row 2: it has 1 values, and there are 2 columns"), "{short}");
    let needed = vec![ExternalColumn { not_null: true, ..column("a", ExternalType::Int) }];
    let missing = told("a\n1\n\"\"\n", needed);
    assert!(missing.ends_with("row 2: column a has no value and is NOT NULL"), "{missing}");
    scratch.write("bad.csv", b"a,b\n1,\xff\n");
    let bytes = read(&folders, &scan("bad.csv", csv, both()), ROOM).unwrap_err();
    assert!(bytes.ends_with("bad.csv, row 1: value 2 is not UTF-8"), "{bytes}");
    scratch.write("empty.csv", "");
    assert!(read(&folders, &scan("empty.csv", csv, both()), ROOM).unwrap().is_empty());
}

#[test]
fn values_are_read_as_they_are_declared() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    scratch.write("v.csv", "1.5,true,2022-01-01T00:00:01,1998-09-02,18446744073709551615\n2e3,FALSE,7,,0\n");
    let columns = vec![
        column("d", ExternalType::Decimal(10, 2)),
        column("b", ExternalType::Bool),
        column("t", ExternalType::Time(TimeUnit::Nanosecond)),
        column("day", ExternalType::Date),
        column("u", ExternalType::UInt),
    ];
    let format = FileFormat::Csv { header: false, delimiter: b',' };
    let found = read(&folders, &scan("v.csv", format, columns), ROOM).unwrap();
    let [rows] = found.as_slice() else { panic!("one batch") };
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().values(), &[1.5, 2000.0]);
    assert!(rows.column(1).as_boolean().value(0) && !rows.column(1).as_boolean().value(1));
    let times = rows.column(2).as_primitive::<TimestampNanosecondType>();
    assert_eq!(times.values(), &[1_640_995_201_000_000_000, 7]);
    let days = rows.column(3).as_primitive::<TimestampNanosecondType>();
    assert_eq!((days.value(0), days.is_null(1)), (904_694_400_000_000_000, true));
}

#[test]
fn json_is_read_by_names() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    scratch.write("j.json", "{\"a\": 1, \"b\": [1, \"x\"], \"c\": 9}\n\n{\"b\": null, \"a\": \"2\"}\n{}");
    let columns = || vec![column("b", ExternalType::String), column("a", ExternalType::Int)];
    let found = read(&folders, &scan("j.json", FileFormat::Json, columns()), ROOM).unwrap();
    assert_eq!(ints(&found, 1), [Some(1), Some(2), None]);
    assert_eq!(texts(&found, 0)[0].as_deref(), Some("[1,\"x\"]"));
    for (text, reason) in [
        ("{\"a\": 1}\n{\"a\": 1.5}", "row 2: column a: \"1.5\" is no Int64"),
        ("[1]", "row 1: it is no JSON object; each line is to be one"),
        ("{\"a\": 1}\n{\"a\"", "row 2: it is no JSON: "),
    ] {
        scratch.write("w.json", text);
        let told = read(&folders, &scan("w.json", FileFormat::Json, columns()), ROOM).unwrap_err();
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn columns_are_inferred_from_what_there_is() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    scratch.write("i.csv", "i,f,b,t,s,n,m\n1,1,true,2022-01-01,x,,1\n2,1.5,false,2022-01-01T00:00:00Z,1,,x\n");
    let expected = ["i Int64", "f Float64", "b Boolean", "t Timestamp(Nanosecond, None)", "s Utf8", "n Utf8", "m Utf8"];
    assert_eq!(inferred(&folders, "i.csv", FileFormat::CSV).unwrap(), expected);
    let bare = FileFormat::Csv { header: false, delimiter: b',' };
    assert_eq!(inferred(&folders, "i.csv", bare).unwrap()[0], "column_1 Utf8");
    scratch.write("i.json", "{\"z\": 1, \"a\": \"2022-01-01\"}\n{\"z\": 1.5, \"b\": true, \"c\": {}}\n");
    let found = inferred(&folders, "i.json", FileFormat::Json).unwrap();
    assert_eq!(found, ["a Utf8", "b Boolean", "c Utf8", "z Float64"], "by name");
    scratch.write("twice.csv", "a,a\n1,2\n");
    assert!(inferred(&folders, "twice.csv", FileFormat::CSV).unwrap_err().contains("two columns a"));
    scratch.write("none.csv", "");
    assert!(inferred(&folders, "none.csv", FileFormat::CSV).unwrap_err().contains("no columns"));
    scratch.write("no.parquet", "PAR1xxxxPAR1");
    for location in ["no.parquet", "none.csv"] {
        let told = inferred(&folders, location, FileFormat::Parquet).unwrap_err();
        assert!(told.contains("it is no Parquet file"), "{told}");
    }
}

/// A row as long as several megabytes is read once there is the memory for it, and one without end is not.
#[test]
fn long_rows_want_memory_first() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    let long = "x".repeat(3 << 20);
    scratch.write("l.csv", format!("a\n{long}\n"));
    scratch.write("l.json", format!("{{\"a\": \"{long}\"}}\n"));
    let columns = || vec![column("a", ExternalType::String)];
    for (location, format) in [("l.csv", FileFormat::CSV), ("l.json", FileFormat::Json)] {
        let scan = scan(location, format, columns());
        let mut reading = Reading::new(&folders, Arc::clone(&scan)).unwrap();
        let Step::Wants(bytes) = reading.next(Reading::BYTES).unwrap() else { panic!("it wants memory") };
        assert!(bytes > Reading::BYTES);
        let found = read(&folders, &scan, Reading::BYTES).unwrap();
        assert_eq!(texts(&found, 0), [Some(long.clone())]);
    }
    let endless = "x".repeat(17 << 20);
    scratch.write("e.csv", format!("a\n{endless}\n"));
    let told = read(&folders, &scan("e.csv", FileFormat::CSV, columns()), ROOM).unwrap_err();
    assert!(told.contains("e.csv, row 1: it is longer than"), "{told}");
}

/// What is written in a format is read back as it was, many batches of it.
#[test]
fn files_are_read_back_as_they_were_written() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    let rows: String = (0..10_000).map(|row| format!("{row},\"t {}\",{}.5\n", row % 7, row)).collect();
    scratch.write("in.csv", format!("i,s,f\n{rows}"));
    let columns =
        || vec![column("i", ExternalType::Int), column("s", ExternalType::String), column("f", ExternalType::Float)];
    let source = scan("in.csv", FileFormat::CSV, columns());
    let batches = read(&folders, &source, ROOM).unwrap();
    assert!(batches.len() > 1, "several batches");
    for format in [FileFormat::CSV, FileFormat::Json, FileFormat::Parquet] {
        let folder = format!("out/{}/", format.name());
        for part in 0..2 {
            let mut writing = Writing::new(&folders, &folder, format, &source.schema, 7).unwrap();
            for batch in &batches {
                assert!(writing.bytes_for(batch) > 0);
                writing.write(batch).unwrap();
            }
            let files = || std::fs::read_dir(scratch.path(&folder)).unwrap().count();
            assert_eq!(files(), part + 1, "the file is made, under a name that is not read");
            writing.finish().unwrap();
            assert_eq!(files(), part + 1);
        }
        let found = read(&folders, &scan(&folder, format, columns()), ROOM).unwrap();
        let twice: Vec<RecordBatch> = batches.iter().chain(&batches).cloned().collect();
        assert_eq!((ints(&found, 0), texts(&found, 1)), (ints(&twice, 0), texts(&twice, 1)), "{}", format.name());
    }
    // Only some columns, in another order; and none.
    let table = ExternalTable {
        name: "t".into(),
        columns: vec![column("f", ExternalType::Float), column("i", ExternalType::Int)],
        format: FileFormat::Parquet,
        location: "out/PARQUET".into(),
    };
    let all = ExternalScan::all(Arc::new(table));
    let none = ExternalScan { columns: Vec::new(), schema: Arc::new(arrow_schema::Schema::empty()), ..all.clone() };
    let found = read(&folders, &Arc::new(all), ROOM).unwrap();
    assert_eq!(ints(&found, 1)[..3], [Some(0), Some(1), Some(2)]);
    let counted: usize = read(&folders, &Arc::new(none), ROOM).unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(counted, 20_000);
}

#[test]
fn a_file_that_is_not_finished_is_taken_away_and_none_is_replaced() {
    let scratch = Scratch::new();
    let folders = Folders::new(&[scratch.path("")]);
    let source = scan("x.csv", FileFormat::CSV, vec![column("i", ExternalType::Int)]);
    let new = || Writing::new(&folders, "x.csv", FileFormat::CSV, &source.schema, 1);
    let count = || std::fs::read_dir(scratch.path("")).unwrap().count();
    let writing = new().unwrap();
    assert_eq!(count(), 1);
    drop(writing);
    assert_eq!(count(), 0);
    new().unwrap().finish().unwrap();
    assert!(new().err().unwrap().to_string().contains("is there already"));
    assert_eq!(std::fs::read_to_string(scratch.path("x.csv")).unwrap(), "i\n");
}
