//! `tidewire export` and `tidewire import`: a second server gives the answers of the first.

use std::path::{Path, PathBuf};

use crate::common::{Server, fresh_folder};
use crate::deletes::{DONE, influx, now_ns};
use crate::reshard::{stderr, tidewire};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = fresh_folder();
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> String {
    let output = tidewire(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

fn refusal(arguments: &[&str]) -> String {
    let output = tidewire(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    stderr(&output)
}

/// Arguments of an export as line protocol.
fn export<'a>(root: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["export", "--data-dir", root, "--format", "lp"], more].concat()
}

const STATEMENTS: [(&str, &str); 4] = [
    ("plain", "SELECT time, host, a, f, u, flag, s FROM cpu ORDER BY time, host"),
    ("plain", "SELECT time, \"a tag\", \"a= field\", f FROM \"odd, table\" ORDER BY time"),
    ("milli", "SELECT * FROM m ORDER BY time, t"),
    ("plain", "SELECT count(a), sum(a), min(f), max(f) FROM cpu"),
];

fn answers(server: &Server) -> Vec<String> {
    let answer = |(database, sql): (&str, &str)| {
        let response = server.sql(database, sql);
        assert_eq!(response.status(), 200, "{sql}: {}", response.text());
        response.text()
    };
    STATEMENTS.map(answer).to_vec()
}

/// Compares line by line, so that a failure is one line.
fn same(one: &[String], two: &[String]) {
    for (one, two) in one.iter().zip(two) {
        assert_eq!(one.lines().count(), two.lines().count());
        one.lines().zip(two.lines()).for_each(|(one, two)| assert_eq!(one, two));
    }
}

/// Rows of all types, gaps, overwrites and odd text in two databases; some in segments, some in the log alone.
fn fill(folder: &Path, odd_tag: &str) {
    let server = Server::start_in(folder, false, &[]);
    for sql in ["CREATE DATABASE plain", "CREATE DATABASE milli WITH PRECISION 'ms'"] {
        assert_eq!(server.sql("public", sql).status(), 200);
    }
    let write = |server: &Server, target: &str, lines: &str| {
        let response = server.request("POST", target, &[], lines.as_bytes());
        assert!(response.status() < 300, "{}", response.text());
    };
    let lines = |round: i64| -> String {
        let line = |row: i64| {
            let day = 86_400_000_000_000;
            let mut line = format!("cpu,host=h{} a={}i", row % 7, row - 100 * round);
            if row % 2 == 0 {
                line.push_str(&format!(",f={:?},u={}u", (row as f64).powi(9) / 7.0, row));
            }
            if row % 3 == 0 {
                line.push_str(&format!(",flag={},s=\"q \\\" b \\\\ {row}\nsecond, line=1\"", row % 2 == 0));
            }
            line + &format!(" {}\n", row * day / 9 - 3)
        };
        (0..300).map(line).collect()
    };
    write(&server, "/api/v1/write?db=plain", &lines(0));
    write(&server, "/api/v1/write?db=milli&precision=ms", "m,t=a x=1i 1700000000123\nm,t=b x=2i 1700000000124\n");
    server.terminate();
    let server = Server::start_in(folder, false, &[]);
    write(&server, "/api/v1/write?db=plain", &lines(1));
    let odd = "odd\\,\\ table,a\\ tag=v\\=\\,1 a\\=\\ field=\"\",f=-0.0 -5\n";
    write(&server, "/api/v1/write?db=plain", odd);
    write(&server, "/write?db=plain", odd_tag);
    server.kill();
}

#[test]
fn line_protocol_comes_back_in_each_packing() {
    let (data, out) = (Folder::new(), Folder::new());
    fill(&data.0, "");
    let first = Server::start_in(&data.0, false, &[]);
    let expected = answers(&first);
    let lp = out.path("all.lp");
    let root = data.0.to_str().expect("text");
    let used = refusal(&export(root, &[&lp]));
    assert!(used.contains("in use by another server"), "{used}");
    first.kill();

    let before = listing(&data.0);
    run(&export(root, &[&lp]));
    assert_eq!(listing(&data.0), before, "nothing in the folder is changed");
    let there = refusal(&export(root, &[&lp]));
    assert!(there.contains("is there already"), "{there}");
    let text = std::fs::read_to_string(&lp).expect("the export");
    assert!(
        text.contains(
            "# DDL\nCREATE DATABASE \"milli\" WITH DURATION INF REPLICATION 1 SHARD DURATION 24h NAME \"autogen\"\n"
        ) && text.contains("# CONTEXT-PRECISION:ms"),
        "{text}"
    );
    assert!(text.contains("# CONTEXT-DATABASE:plain\n") && text.contains("# CONTEXT-DIALECT:cnosdb"), "{text}");

    for (name, compress) in [("all.lp", None), ("all.gz", Some("gzip")), ("all.zst", Some("zstd"))] {
        let path = out.path(name);
        if let Some(compress) = compress {
            run(&export(root, &["--compress", compress, &path]));
        }
        let second = Server::start();
        let url = format!("http://{}", second.address);
        // Small batches, so that there are several, cut between lines with newlines in them.
        let said = run(&["import", "--url", &url, "--batch-bytes", "1000", "--user", "root:", &path]);
        assert!(said.contains("written: 303 rows"), "{said}");
        same(&answers(&second), &expected);
    }

    let part = out.path("part.lp");
    run(&export(
        root,
        &["--database", "milli", "--from", "2023-11-14T22:13:20.124Z", "--to", "1700000001000000000", &part],
    ));
    let text = std::fs::read_to_string(&part).expect("the export");
    assert!(text.ends_with("\nm,t=b x=2i 1700000000124\n") && text.matches("m,t=").count() == 1, "{text}");
    // The newest backup of it holds the same.
    let backups = Folder::new();
    let folder = backups.0.to_str().expect("text");
    run(&["backup", folder, "--data-dir", root]);
    let again = out.path("again.lp");
    run(&export(folder, &[&again]));
    assert_eq!(std::fs::read(&again).expect("the export"), std::fs::read(&lp).expect("the export"));

    let missing = refusal(&export(folder, &["--table", "nothing", &part]));
    assert!(missing.contains("no table \"nothing\""), "{missing}");
}

/// Names, lengths and times of all files.
fn listing(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let of = entry.metadata().expect("what it is");
        if of.is_dir() {
            names.extend(listing(&entry.path()));
        } else {
            let modified = of.modified().expect("a time");
            names.push(format!("{} {} {modified:?}", entry.path().display(), of.len()));
        }
    }
    names.sort();
    names
}

#[test]
fn names_that_one_dialect_cannot_say_are_written_in_the_other() {
    let (data, out) = (Folder::new(), Folder::new());
    fill(&data.0, "win,path=C:\\temp v=1 1\n");
    let (lp, root) = (out.path("win.lp"), data.0.to_str().expect("text"));
    run(&["export", "--data-dir", root, "--format", "lp", "--table", "win", &lp]);
    let text = std::fs::read_to_string(&lp).expect("the export");
    assert!(text.contains("# CONTEXT-DIALECT:influxdb") && text.ends_with("win,path=C:\\temp v=1.0 1\n"), "{text}");
    let second = Server::start();
    let url = format!("http://{}", second.address);
    // Another database than the file's.
    run(&["import", "--url", &url, "--database", "other one", &lp]);
    let answer = second.sql("other one".replace(' ', "%20").as_str(), "SELECT path, v FROM win").text();
    assert_eq!(answer, "path,v\nC:\\temp,1.0\n");
}

#[test]
fn parquet_comes_back() {
    let (data, out) = (Folder::new(), Folder::new());
    fill(&data.0, "win,path=C:\\temp v=1 1\n");
    let first = Server::start_in(&data.0, false, &[]);
    let expected = answers(&first);
    first.kill();
    let (root, folder) = (data.0.to_str().expect("text"), out.path("parquet"));
    run(&["export", "--data-dir", root, "--format", "parquet", &folder]);
    let files: Vec<String> = ["plain/cpu", "plain/odd, table", "plain/win", "milli/m"]
        .map(|name| format!("{folder}/{name}.parquet"))
        .to_vec();
    let second = Server::start();
    let url = format!("http://{}", second.address);
    let mut import = vec!["import", "--url", &url];
    import.extend(files.iter().map(String::as_str));
    run(&import);
    same(&answers(&second), &expected);
    assert_eq!(second.sql("plain", "SELECT path, v FROM win").text(), "path,v\nC:\\temp,1.0\n");

    // Without what the metadata says: other tags, another table, another database.
    run(&["import", "--url", &url, "--database", "d2", "--table", "m2", "--tags", "t", files[3].as_str()]);
    assert_eq!(second.sql("d2", "SELECT t, x FROM m2 ORDER BY t").text(), "t,x\na,1\nb,2\n");
    let wrong = refusal(&["import", "--url", &url, "--tags", "nothing", files[3].as_str()]);
    assert!(wrong.contains("no column \"nothing\""), "{wrong}");
}

/// Two databases, one with three policies of which the default one is not the first.
fn fill_policies(folder: &Path) {
    let server = Server::start_in(folder, false, &[]);
    assert_eq!(server.sql("public", "CREATE DATABASE milli WITH PRECISION 'ms' TTL '36500d'").status(), 200);
    for statement in [
        "CREATE DATABASE d",
        "CREATE RETENTION POLICY fortnight ON d DURATION 14d REPLICATION 1 SHARD DURATION 2h DEFAULT",
        "CREATE RETENTION POLICY \"for ever\" ON d DURATION INF REPLICATION 2",
    ] {
        assert_eq!(influx(&server, "", statement), DONE, "{statement}");
    }
    let now = now_ns();
    let lines = |values: &str| -> String {
        (0..40).map(|i| format!("m,host=h{} {values},n={i}i {}\n", i % 7, now - i * 60_000_000_000)).collect()
    };
    // The same table by name, series and times in each, with fields of other types.
    for (target, values) in [
        ("/write?db=d", "v=1u,s=\"x\\\"y\""),
        ("/write?db=d&rp=for%20ever", "v=\"two\nlines\",u=7u"),
        ("/write?db=d&rp=autogen", "v=true"),
    ] {
        let response = server.request("POST", target, &[], lines(values).as_bytes());
        assert_eq!(response.status(), 204, "{}", response.text());
    }
    let line = format!("m,t=a x=1.5 {}", now / 1_000_000);
    assert_eq!(server.request("POST", "/api/v1/write?db=milli&precision=ms", &[], line.as_bytes()).status(), 200);
    server.kill();
}

/// What a folder holds as line protocol: its statements, and each context with its lines in order.
fn held(folder: &Path) -> Vec<Vec<String>> {
    let out = Folder::new();
    let path = out.path("held.lp");
    run(&export(folder.to_str().expect("text"), &[&path]));
    let text = std::fs::read_to_string(&path).expect("the export");
    let contexts = text.split("# CONTEXT-DATABASE:").map(|part| {
        let mut lines: Vec<String> = part.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    contexts.collect()
}

#[test]
fn retention_policies_come_back() {
    let (data, out) = (Folder::new(), Folder::new());
    fill_policies(&data.0);
    let expected = held(&data.0);
    let (root, lp, parquet) = (data.0.to_str().expect("text"), out.path("all.lp"), out.path("parquet"));
    run(&export(root, &[&lp]));
    let text = std::fs::read_to_string(&lp).expect("the export");
    for part in [
        "CREATE DATABASE \"d\" WITH DURATION 336h REPLICATION 1 SHARD DURATION 2h NAME \"fortnight\"\n",
        "CREATE RETENTION POLICY \"for ever\" ON \"d\" DURATION INF REPLICATION 2 SHARD DURATION 168h\n",
        "CREATE RETENTION POLICY \"autogen\" ON \"d\" DURATION INF REPLICATION 1 SHARD DURATION 168h\n",
        "CREATE DATABASE \"milli\" WITH DURATION 876000h REPLICATION 1 SHARD DURATION 24h NAME \"autogen\"\n",
        "# CONTEXT-DATABASE:d\n# CONTEXT-RETENTION-POLICY:fortnight\n# CONTEXT-PRECISION:ns\n# CONTEXT-DIALECT:cnosdb\n",
        "# CONTEXT-DATABASE:d\n# CONTEXT-RETENTION-POLICY:for ever\n# CONTEXT-PRECISION:ns\n# CONTEXT-DIALECT:influxdb\n",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    run(&["export", "--data-dir", root, "--format", "parquet", &parquet]);
    let files: Vec<String> =
        ["d/m", "d/for ever/m", "d/autogen/m", "milli/m"].map(|name| format!("{parquet}/{name}.parquet")).to_vec();

    for files in [std::slice::from_ref(&lp), &files] {
        let folder = Folder::new();
        let server = Server::start_in(&folder.0, false, &[]);
        let url = format!("http://{}", server.address);
        let import = |more: &[&str]| {
            let mut arguments = vec!["import", "--url", &url];
            arguments.extend(more.iter().copied().chain(files.iter().map(String::as_str)));
            tidewire(&arguments)
        };
        // What is there already is no error, and the same rows change nothing.
        for _ in 0..2 {
            let output = import(&[]);
            assert!(output.status.success(), "{}", stderr(&output));
        }
        // Under another name the policies are those of that database.
        let renamed = run(&["import", "--url", &url, "--database", "e", &files[0]]);
        assert!(renamed.contains("written"), "{renamed}");
        let policies = influx(&server, "e", "SHOW RETENTION POLICIES");
        assert!(policies.contains("[\"for ever\",\"0s\",\"168h0m0s\",2,false]"), "{policies}");
        assert!(policies.contains("[\"fortnight\",\"336h0m0s\",\"2h0m0s\",1,true]"), "{policies}");
        assert_eq!(influx(&server, "", "DROP DATABASE e"), DONE);
        server.kill();
        let found = held(&folder.0);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }

        // Other terms than those that are wanted are a refusal, before a row is sent.
        let server = Server::start_in(&folder.0, false, &[]);
        let url = format!("http://{}", server.address);
        assert_eq!(influx(&server, "", "ALTER RETENTION POLICY \"for ever\" ON d DURATION 9999d"), DONE);
        let said = refusal(&["import", "--url", &url, &files[0]]);
        assert!(said.contains("CREATE RETENTION POLICY \"for ever\"") && said.contains("already exists"), "{said}");
        assert!(said.contains("written: 0 rows"), "{said}");
    }
    let server = Server::start();
    let url = format!("http://{}", server.address);
    let said = refusal(&["import", "--url", &url, "--dialect", "cnosdb", &lp]);
    assert!(said.contains("lines of retention policy \"autogen\" can only be sent with --dialect influxdb"), "{said}");

    // A file of InfluxDB's own: a policy of which nothing is said but the name.
    let path = out.path("influx.lp");
    let text = "# DDL\nCREATE DATABASE w WITH NAME one\n# DML\n# CONTEXT-DATABASE:w\n# CONTEXT-RETENTION-POLICY:one\nm v=1i 1\n# CONTEXT-DATABASE:w\n# CONTEXT-RETENTION-POLICY:two\nm v=2i 1\n";
    std::fs::write(&path, text).expect("a file");
    run(&["import", "--url", &url, &path]);
    assert_eq!(influx(&server, "", "ALTER RETENTION POLICY one ON w DURATION 99999d"), DONE);
    run(&["import", "--url", &url, &path]);
    assert_eq!(server.sql("w", "SELECT v FROM m").text(), "v\n1\n");
    assert_eq!(influx(&server, "", "ALTER RETENTION POLICY two ON w DEFAULT"), DONE);
    assert_eq!(server.sql("w", "SELECT v FROM m").text(), "v\n2\n");
}

/// The value of a metric that has no labels.
fn metric(server: &Server, name: &str) -> u64 {
    let text = server.request("GET", "/metrics", &[], b"").text();
    let samples = text.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn an_import_comes_again_when_the_server_is_busy() {
    const ROWS: usize = 400;
    let out = Folder::new();
    let path = out.path("much.lp");
    // Text that does not pack, several times what memory may hold while the disk is slow, from more senders than the
    // bounds let in at once.
    let mut random = fastrand::Rng::with_seed(7);
    let mut line = |row: usize| {
        let text: String = std::iter::repeat_with(|| random.alphanumeric()).take(8 << 10).collect();
        format!("m,host=h{} n={row}i,text=\"{text}\" {row}\n", row % 16)
    };
    std::fs::write(&path, (0..ROWS).map(&mut line).collect::<String>()).expect("a file");
    let bounds = [
        ("TIDEWIRE_DISK_WRITE_BYTES_PER_S_MAX", "4MiB"),
        ("TIDEWIRE_SHARDS", "1"),
        ("TIDEWIRE_ADMISSION_BYTES_MAX", "1MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "1MiB"),
        ("TIDEWIRE_MEMTABLE_BYTES_MAX", "2MiB"),
        ("TIDEWIRE_WAL_FILE_BYTES", "1MiB"),
    ];
    let server = Server::start_in(&fresh_folder(), true, &bounds);
    let url = format!("http://{}", server.address);
    let said =
        run(&["import", "--url", &url, "--database", "public", "--parallel", "16", "--batch-bytes", "131072", &path]);
    assert!(said.contains(&format!("written: {ROWS} rows")), "{said}");
    assert!(metric(&server, "tidewire_requests_overloaded_total") > 0, "nothing was refused");
    let answer = server.sql("public", "SELECT count(n), sum(n) FROM m").text();
    assert_eq!(answer.lines().last(), Some(format!("{ROWS},{}", ROWS * (ROWS - 1) / 2).as_str()), "{answer}");
}

#[test]
fn an_import_stops_at_the_line_that_is_refused() {
    let out = Folder::new();
    let server = Server::start();
    let url = format!("http://{}", server.address);
    let path = out.path("bad.lp");
    let mut text = "# a comment\n".to_owned();
    (0..100).for_each(|row| text.push_str(&format!("t,h=a v=1i,s=\"two\nlines\" {row}\n")));
    text.push_str("t,h=a v=\"text\" 1\n");
    text.push_str("t,h=a v=5i 2000\n");
    std::fs::write(&path, &text).expect("a file");
    let said = refusal(&["import", "--url", &url, "--database", "d", &path]);
    assert!(said.contains("bad.lp, line 202: the server says 422"), "{said}");
    let missing = refusal(&["import", "--url", &url, &path]);
    assert!(missing.contains("bad.lp, line 2: no --database is given"), "{missing}");
    let tls = refusal(&["import", "--url", "https://localhost", "--database", "d", &path]);
    assert!(tls.contains("TLS is not spoken"), "{tls}");
    let gone = refusal(&["import", "--url", &url, "--database", "d", &out.path("gone.lp")]);
    assert!(gone.contains("cannot read") && gone.contains("gone.lp"), "{gone}");
    // What was good is written, and the rest after it was mended.
    std::fs::write(&path, text.replace("v=\"text\"", "v=7i")).expect("a file");
    run(&["import", "--url", &url, "--database", "d", "--parallel", "1", &path]);
    assert_eq!(server.sql("d", "SELECT count(v), max(v) FROM t").text().lines().last(), Some("101,7"));
}
