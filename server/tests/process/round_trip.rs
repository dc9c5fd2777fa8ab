//! What the tools write they read later: whatever a server took comes back from an export that is imported, whole
//! folders of it, hours later, with a byte-order mark or without.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::common::{Client, Server, fresh_folder};
use crate::deletes::{encoded, influx, now_ns};
use crate::reshard::{stderr, tidewire};

const MARK: &[u8] = b"\xef\xbb\xbf";

fn run(arguments: &[&str]) -> String {
    let output = tidewire(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

fn import(server: &Server, files: &[&str]) -> String {
    let url = format!("http://{}", server.address);
    run(&[&["import", "--url", &url], files].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn answer(server: &Server, database: &str, sql: &str) -> String {
    let reply = server.sql(&encoded(database), sql);
    assert_eq!(reply.status(), 200, "{sql}: {}", reply.text());
    reply.text()
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = fresh_folder();
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Rows every minute from three hours ago on, of a policy that keeps two: 60 of 180 have expired, and stand anywhere.
fn minutes(now_ns: i64, shuffle: &mut Rng) -> String {
    let mut lines: Vec<String> = (0..180_i64)
        .map(|minute| {
            format!("m,h=h{} v={minute}i {}", minute % 5, now_ns - 3 * 3_600_000_000_000 + minute * 60_000_000_000)
        })
        .collect();
    shuffle.shuffle(&mut lines);
    lines.join("\n") + "\n"
}

#[test]
fn rows_that_have_expired_since_the_export_are_left_out_and_counted() {
    let (server, folder) = (Server::start(), Folder::new());
    let seed = 11;
    eprintln!("seed {seed}");
    let lines = minutes(now_ns(), &mut Rng::with_seed(seed));
    for (place, (dialect, policy)) in
        [("cnosdb", "autogen"), ("influxdb", "autogen"), ("influxdb", "short")].into_iter().enumerate()
    {
        let database = format!("d{place}");
        let file = folder.0.join(format!("{place}.lp"));
        let heading = format!(
            "# DDL\nCREATE DATABASE \"{database}\" WITH DURATION 2h REPLICATION 1 SHARD DURATION 1h NAME \"autogen\"\n\
             CREATE RETENTION POLICY \"short\" ON \"{database}\" DURATION 2h REPLICATION 1 SHARD DURATION 1h\n\
             # DML\n# CONTEXT-DATABASE:{database}\n# CONTEXT-RETENTION-POLICY:{policy}\n# CONTEXT-PRECISION:ns\n\
             # CONTEXT-DIALECT:{dialect}\n"
        );
        std::fs::write(&file, heading + &lines).expect("a file");
        let told = import(&server, &[text(&file)]);
        // A minute may pass meanwhile, and then another row has expired.
        assert!(
            ["60", "61"].iter().any(|rows| told.contains(&format!("left out: {rows} rows that are older than"))),
            "{dialect}: {told}"
        );
        assert!(told.contains("written: 120 rows") || told.contains("written: 119 rows"), "{dialect}: {told}");
        if policy == "autogen" {
            let count = answer(&server, &database, "SELECT count(v) AS n FROM m");
            assert!(count == "n\n120\n" || count == "n\n119\n", "{dialect}: {count}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_text() {
    let (server, folder) = (Server::start(), Folder::new());
    let lines = b"m,h=a v=1i 1\nm,h=b v=2i 2\n";
    for (count, target) in [(1, "/write?db=public"), (2, "/api/v1/write?db=public")] {
        let marked = [MARK, lines].concat();
        let written = server.request("POST", target, &[], &marked);
        assert!(written.status() < 300, "{count}: {}", written.text());
    }
    // In pieces, each of which the server sees alone.
    for cut in 1..4 {
        let mut client = Client::connect(&server.address);
        let marked = [MARK, lines].concat();
        client.send_in_pieces("/write?db=public", &[&marked[..cut], &marked[cut..cut + 1], &marked[cut + 1..]]);
        assert_eq!(client.read(false).status(), 204, "cut at {cut}");
    }
    let marked = [MARK, b"SELECT count(v) AS n FROM m"].concat();
    let reply = server.request("POST", "/api/v1/sql?db=public", &[("Accept", "application/csv")], &marked);
    assert_eq!((reply.status(), reply.text().as_str()), (200, "n\n2\n"));

    let plain = folder.0.join("plain.lp");
    std::fs::write(&plain, [MARK, b"# a comment\n", lines].concat()).expect("a file");
    let packed = folder.0.join("packed.lp.gz");
    let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packing.write_all(&[MARK, lines].concat()).expect("packed");
    std::fs::write(&packed, packing.finish().expect("packed")).expect("a file");
    import(&server, &["--database", "imported", text(&plain), text(&packed)]);
    assert_eq!(answer(&server, "imported", "SELECT count(v) AS n FROM m"), "n\n2\n");
    assert_eq!(answer(&server, "imported", "SHOW TABLES"), "table_name\nm\n");
}

/// Names that file systems, shells, SQL, InfluxQL and line protocol have trouble with.
const NAMES: [&str; 9] = [
    "plain",
    "a \"quoted\" 'name'",
    "with/slash\\and back",
    "北京市海淀区西土城路十号温度传感器数据采集系统第一组测点",
    ".hidden",
    "tilde~%41",
    "comma, equals= and space",
    "two\nlines",
    "ends\\",
];

/// A table as SQL makes and fills it.
struct Table {
    name: String,
    tags: Vec<String>,
    fields: Vec<(String, &'static str)>,
    rows: Vec<String>,
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

fn value(random: &mut Rng, kind: &str) -> String {
    match kind {
        "BIGINT" => {
            [i64::MIN + 1, -1, 0, 1, i64::MAX, random.i64(..).max(i64::MIN + 1)][random.usize(0..6)].to_string()
        }
        "BIGINT UNSIGNED" => [0, u64::MAX, random.u64(..)][random.usize(0..3)].to_string(),
        "BOOLEAN" => random.bool().to_string(),
        "STRING" => {
            let texts = ["", "plain", "q \" ' \\ b", "two\nlines", "ünï 温度", " blank ", "\\", "{\"a\":1}"];
            literal(texts[random.usize(0..texts.len())])
        }
        _ => {
            let numbers = ["0.0", "-0.0", "1e300", "5e-324", "-1.5", "CAST('NaN' AS DOUBLE)", "CAST('inf' AS DOUBLE)"];
            numbers[random.usize(0..numbers.len())].to_owned()
        }
    }
}

/// A random table; with `is_plain` one that line protocol can say.
fn table(random: &mut Rng, name: &str, is_plain: bool) -> Table {
    let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.push("x".repeat(300));
    if is_plain {
        names.retain(|name| !name.contains(['\n', '\\']));
    }
    random.shuffle(&mut names);
    let tags: Vec<String> = names.drain(..random.usize(0..3)).collect();
    let kinds = ["BIGINT", "BIGINT UNSIGNED", "BOOLEAN", "STRING", "DOUBLE"];
    // The first table has all kinds of values.
    let is_full = name == NAMES[0];
    let count = if is_full { kinds.len() } else { random.usize(1..4) };
    let fields: Vec<_> = names
        .drain(..count)
        .enumerate()
        .map(|(place, name)| (name, kinds[if is_full { place } else { random.usize(0..kinds.len()) }]))
        .collect();
    // Some tables stay without rows.
    let count = if is_full { 200 } else { [0, 1, 40][random.usize(0..3)] };
    let times = [-9_223_372_036_854_775_000_i64, -1, 0, 1, 1_700_000_000_123_456_789, 9_223_372_036_854_775_000];
    let mut rows = BTreeMap::new();
    for row in 0..count {
        let time = if row < times.len() as i64 { times[row as usize] } else { random.i64(0..1_000_000) };
        let mut key = String::new();
        for _ in &tags {
            let texts = ["a", "b c", "d,e=f", "温度", "two\nlines", "ends\\", "\"q\""];
            let usable = if is_plain { 4 } else { texts.len() };
            match random.u8(0..4) {
                0 => key.push_str(",NULL"),
                _ => key.push_str(&format!(",{}", literal(texts[random.usize(0..usable)]))),
            }
        }
        let mut values: Vec<String> = Vec::new();
        for (place, (_, kind)) in fields.iter().enumerate() {
            let mut said = value(random, kind);
            while is_plain && said.starts_with("CAST") {
                said = value(random, kind);
            }
            values.push(if place > 0 && random.u8(0..4) == 0 { "NULL".to_owned() } else { said });
        }
        rows.insert((time, key.clone()), format!("({time}{key},{})", values.join(",")));
    }
    Table { name: name.to_owned(), tags, fields, rows: rows.into_values().collect() }
}

impl Table {
    fn make(&self, server: &Server, database: &str) {
        let mut columns: Vec<String> =
            self.fields.iter().map(|(name, kind)| format!("{} {kind}", identifier(name))).collect();
        let tags: Vec<String> = self.tags.iter().map(|tag| identifier(tag)).collect();
        if !tags.is_empty() {
            columns.push(format!("TAGS({})", tags.join(",")));
        }
        answer(server, database, &format!("CREATE TABLE {} ({})", identifier(&self.name), columns.join(",")));
        if self.rows.is_empty() {
            return;
        }
        let fields = self.fields.iter().map(|(name, _)| identifier(name));
        let names: Vec<String> = std::iter::once("time".to_owned()).chain(tags).chain(fields).collect();
        let rows = self.rows.join(",");
        answer(
            server,
            database,
            &format!("INSERT INTO {} ({}) VALUES {rows}", identifier(&self.name), names.join(",")),
        );
    }
}

/// All that a server says of databases: their options, tables, columns and rows.
fn all_of(server: &Server, databases: &[&str]) -> String {
    let mut all = String::new();
    for database in databases {
        let _ = writeln!(
            all,
            "== {database}\n{}",
            answer(server, database, &format!("DESCRIBE DATABASE {}", identifier(database)))
        );
        let tables = influx(server, &encoded(database), "SHOW MEASUREMENTS");
        let _ = writeln!(all, "{tables}");
    }
    all
}

fn columns_and_rows(server: &Server, database: &str, tables: &[Table]) -> String {
    let mut all = String::new();
    for table in tables {
        let name = identifier(&table.name);
        let mut columns: Vec<String> =
            answer(server, database, &format!("DESCRIBE TABLE {name}")).lines().map(str::to_owned).collect();
        columns.sort();
        let fields = table.tags.iter().chain(table.fields.iter().map(|(name, _)| name)).map(|name| identifier(name));
        let fields: Vec<String> = fields.collect();
        let order: Vec<String> =
            std::iter::once("time".to_owned()).chain(table.tags.iter().map(|tag| identifier(tag))).collect();
        let rows = answer(
            server,
            database,
            &format!("SELECT time, {} FROM {name} ORDER BY {}", fields.join(","), order.join(",")),
        );
        let _ = writeln!(all, "== {name}\n{}\n{rows}", columns.join("\n"));
    }
    all
}

#[test]
fn every_table_comes_back_from_an_export() {
    let seed = std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4);
    eprintln!("seed {seed}");
    for format in ["parquet", "lp"] {
        let mut random = Rng::with_seed(seed);
        let is_plain = format == "lp";
        let (folder, data) = (Folder::new(), fresh_folder());
        let first = Server::start_in(&data, false, &[]);
        let databases = if is_plain { ["base one", "ß"] } else { ["base \"one\"/", "ß\\"] };
        answer(
            &first,
            "public",
            &format!("CREATE DATABASE {} WITH PRECISION 'ns' TTL 'INF'", identifier(databases[0])),
        );
        answer(&first, "public", &format!("CREATE DATABASE {} WITH PRECISION 'ns'", identifier(databases[1])));
        let mut made = Vec::new();
        for database in databases {
            let usable = NAMES.iter().filter(|name| !is_plain || !name.contains(['\n', '\\']));
            let tables: Vec<Table> = usable.map(|name| table(&mut random, name, is_plain)).collect();
            tables.iter().for_each(|table| table.make(&first, database));
            made.push((database, tables));
        }
        let say = |server: &Server| {
            let rows = made.iter().map(|(database, tables)| columns_and_rows(server, database, tables));
            all_of(server, &databases) + &rows.collect::<String>()
        };
        let expected = say(&first);
        for wanted in if is_plain { ["e300", "-0.0", "温度"] } else { ["NaN", "inf", "two\nlines"] } {
            assert!(expected.contains(wanted), "no {wanted:?} in what is compared, seed {seed}");
        }
        let out = folder.0.join("out");
        std::fs::create_dir(&out).expect("a folder");
        let target = if is_plain { out.join("all.lp") } else { out.clone() };
        first.terminate();
        run(&["export", "--data-dir", text(&data), "--format", format, text(&target)]);
        let second = Server::start();
        import(&second, &[text(&out)]);
        let found = say(&second);
        for (one, two) in expected.lines().zip(found.lines()) {
            assert_eq!(one, two, "seed {seed}, {format}");
        }
        assert_eq!(expected, found, "seed {seed}, {format}");
        let _ = std::fs::remove_dir_all(&data);
    }
}
