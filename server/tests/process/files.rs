//! Tables over files, and COPY INTO from and to files, on one shard and on several.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::{Client, Server, fresh_folder};

/// A server with some shards that may work with files below `files`.
fn server(shards: &str, files: &Path) -> Server {
    let files = files.to_str().expect("a path");
    Server::start_in(&fresh_folder(), true, &[("TIDEWIRE_SHARDS", shards), ("TIDEWIRE_FILES_FOLDERS", files)])
}

/// A new folder for files.
fn new_folder() -> PathBuf {
    let folder = fresh_folder();
    std::fs::create_dir_all(&folder).expect("a folder is made");
    folder
}

fn answer(server: &Server, text: &str) -> String {
    let reply = server.sql("public", text);
    assert_eq!(reply.status(), 200, "{text}: {}", reply.text());
    reply.text()
}

fn refused(server: &Server, text: &str) -> String {
    let reply = server.sql("public", text);
    assert_eq!(reply.status(), 422, "{text}: {}", reply.text());
    reply.text()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file is written");
}

#[test]
fn tables_over_files_are_read_as_others_are() {
    for shards in ["1", "3"] {
        let folder = new_folder();
        let server = server(shards, &folder);
        write(&folder, "a.csv", "host,load,day\na,1.5,2022-01-01\nb,2.5,2022-01-02\nd,,2022-01-03\n");
        answer(&server, "CREATE EXTERNAL TABLE x STORED AS CSV WITH HEADER ROW LOCATION 'a.csv'");
        answer(&server, "CREATE EXTERNAL TABLE IF NOT EXISTS x STORED AS CSV LOCATION 'nosuch'");
        assert!(refused(&server, "CREATE EXTERNAL TABLE x (a INT) STORED AS CSV LOCATION 'a.csv'").contains("030020"));
        assert!(refused(&server, "CREATE TABLE x (a BIGINT)").contains("030020"));
        answer(&server, "CREATE TABLE m (v BIGINT, TAGS(host))");
        answer(&server, "INSERT INTO m (time, host, v) VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)");
        let described = "column_name,data_type,column_type,compression_codec\nhost,Utf8,FIELD,NULL\n\
                         load,Float64,FIELD,NULL\nday,\"Timestamp(Nanosecond, None)\",FIELD,NULL\n";
        for state in ["in memory", "flushed"] {
            assert_eq!(answer(&server, "DESCRIBE TABLE x"), described);
            assert_eq!(answer(&server, "SHOW TABLES"), "table_name\nm\nx\n");
            assert_eq!(answer(&server, "SELECT count(*) AS n, sum(load) AS s FROM x"), "n,s\n3,4.0\n", "{state}");
            assert_eq!(answer(&server, "SELECT host FROM x WHERE load IS NULL"), "host\nd\n");
            // Either side of a join may be the files.
            for from in ["m JOIN x ON m.host = x.host", "x JOIN m ON m.host = x.host"] {
                let joined = answer(&server, &format!("SELECT m.host AS h, v, load FROM {from} ORDER BY h"));
                assert_eq!(joined, "h,v,load\na,10,1.5\nb,20,2.5\n", "{shards} shards, {state}: {from}");
            }
            let outer = "SELECT x.host AS h, v FROM x LEFT JOIN m ON m.host = x.host LEFT JOIN x AS y ON y.host = m.host \
                         ORDER BY h LIMIT 5";
            assert_eq!(answer(&server, outer), "h,v\na,10\nb,20\nd,\n");
            let both = "SELECT host FROM m UNION ALL SELECT host FROM x ORDER BY host";
            assert_eq!(answer(&server, both), "host\na\na\nb\nb\nc\nd\n");
            assert_eq!(answer(&server, "SELECT host FROM x LIMIT 0"), "host\n");
            assert_eq!(answer(&server, "SELECT v FROM m WHERE host IN (SELECT host FROM x) ORDER BY v"), "v\n10\n20\n");
            answer(&server, "COMPACT DATABASE public");
        }
        assert!(answer(&server, "EXPLAIN SELECT host FROM x").contains("Files: a.csv"));
        for text in ["INSERT INTO x VALUES ('e', 1, 1)", "DELETE FROM x", "UPDATE x SET load = 1 WHERE host = 'a'"] {
            assert!(refused(&server, text).contains("external table x"), "{text}");
        }
        let line = server.request("POST", "/api/v1/write?db=public", &[], b"x,host=a load=1 1");
        assert!(line.status() == 422 && line.text().contains("external table"), "{}", line.text());
        // A file is what it is when it is read.
        write(&folder, "a.csv", "host,load,day\na,one,2022-01-01\n");
        let wrong = refused(&server, "SELECT * FROM x");
        assert!(wrong.contains("a.csv, row 1: column load: \\\"one\\\" is no Float64"), "{wrong}");
        std::fs::remove_file(folder.join("a.csv")).expect("the file goes");
        assert!(refused(&server, "SELECT * FROM x").contains("No such file"));
        answer(&server, "DROP TABLE x");
        assert!(refused(&server, "SELECT * FROM x").contains("030019"));
        assert_eq!(answer(&server, "SHOW TABLES"), "table_name\nm\n");
        server.terminate();
    }
}

#[test]
fn rows_are_copied_into_files_and_back() {
    for shards in ["1", "3"] {
        let folder = new_folder();
        let server = server(shards, &folder);
        answer(&server, "CREATE TABLE m (i BIGINT, f DOUBLE, s STRING, b BOOLEAN, TAGS(host))");
        let rows: Vec<String> =
            (0..500).map(|n| format!("({n}, 'h{}', {n}, {n}.25, 'a,\"b{n}', {})", n % 5, n % 2 == 0)).collect();
        answer(&server, &format!("INSERT INTO m (time, host, i, f, s, b) VALUES {}", rows.join(", ")));
        let of = |table: &str| answer(&server, &format!("SELECT time, host, i, f, s, b FROM {table} ORDER BY time"));
        let all = of("m");
        for (number, format) in ["CSV", "JSON", "PARQUET"].into_iter().enumerate() {
            if number == 1 {
                answer(&server, "COMPACT DATABASE public");
            }
            let out = format!("COPY INTO 'out/{format}/' FROM m FILE_FORMAT = (TYPE = '{format}')");
            assert_eq!(answer(&server, &out), "rows\n500\n");
            let header = if format == "CSV" { " WITH HEADER ROW" } else { "" };
            let make = format!("CREATE EXTERNAL TABLE x{format} STORED AS {format}{header} LOCATION 'out/{format}/'");
            answer(&server, &make);
            assert_eq!(
                answer(&server, &format!("SELECT count(*) AS n, sum(i) AS s FROM x{format}")),
                "n,s\n500,124750\n"
            );
            answer(&server, &format!("CREATE TABLE t{format} (i BIGINT, f DOUBLE, s STRING, b BOOLEAN, TAGS(host))"));
            let back = format!("COPY INTO t{format} FROM 'out/{format}' FILE_FORMAT = (TYPE = '{format}')");
            assert_eq!(answer(&server, &back), "rows\n500\n");
            assert_eq!(of(&format!("t{format}")), all, "{shards} shards: {format}");
            // A further file of the table over them.
            let more = format!("COPY INTO x{format} FROM 'out/{format}' FILE_FORMAT = (TYPE = '{format}')");
            assert_eq!(answer(&server, &more), "rows\n500\n");
            assert_eq!(answer(&server, &format!("SELECT count(*) AS n FROM x{format}")), "n\n1000\n");
        }
        let query = "COPY INTO 'one.csv' FROM (SELECT host, max(i) AS top FROM m GROUP BY host ORDER BY host)";
        assert_eq!(answer(&server, query), "rows\n5\n");
        let text = std::fs::read_to_string(folder.join("one.csv")).expect("the file is there");
        assert_eq!(text, "host,top\nh0,495\nh1,496\nh2,497\nh3,498\nh4,499\n");
        assert!(refused(&server, query).contains("is there already"));
        write(&folder, "bare.csv", "7;h9;1\n8;h9;2\n");
        let format = "FILE_FORMAT = (TYPE = 'CSV', DELIMITER = ';', WITH_HEADER = false)";
        assert_eq!(answer(&server, &format!("COPY INTO m (time, host, i) FROM 'bare.csv' {format}")), "rows\n2\n");
        assert_eq!(answer(&server, "SELECT i FROM m WHERE host = 'h9' ORDER BY i"), "i\n1\n2\n");
        for (text, reason) in [
            ("COPY INTO m FROM 'bare.csv' FILE_FORMAT = (TYPE = 'PARQUET')", "no Parquet file"),
            ("COPY INTO m FROM 'one.csv'", "top"),
            ("COPY INTO m (i) FROM 'bare.csv' FILE_FORMAT = (TYPE = 'CSV', WITH_HEADER = false)", "time"),
            (&format!("COPY INTO m (time, host, nosuch) FROM 'bare.csv' {format}"), "nosuch"),
            ("COPY INTO nosuch FROM 'bare.csv'", "030019"),
            ("COPY INTO m FROM 'nosuch.csv'", "No such file"),
        ] {
            assert!(refused(&server, text).contains(reason), "{text}: {}", refused(&server, text));
        }
        server.terminate();
    }
}

#[test]
fn nothing_is_reached_outside_of_the_folders() {
    let (folder, outside) = (new_folder(), new_folder());
    let server = server("1", &folder);
    write(&outside, "secret.csv", "a\n1\n");
    symlink(outside.join("secret.csv"), folder.join("link.csv")).expect("a link is made");
    symlink(&outside, folder.join("away")).expect("a link is made");
    let secret = outside.join("secret.csv");
    let secret = secret.to_str().expect("a path");
    let up = format!("../{}/secret.csv", outside.file_name().and_then(|name| name.to_str()).expect("a name"));
    let reason = "is not below a folder";
    for location in
        [secret, &format!("file://{secret}"), "link.csv", "away/secret.csv", &up, "x/../../y.csv", "/etc/passwd"]
    {
        let table = format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{location}'");
        assert!(refused(&server, &table).contains(reason), "{table}");
        let copy = format!("COPY INTO '{location}' FROM (SELECT 1 AS a)");
        // A link is no place for a new file, wherever it leads.
        let expected = if location == "link.csv" { "is there already" } else { reason };
        assert!(refused(&server, &copy).contains(expected), "{copy}: {}", refused(&server, &copy));
    }
    assert!(refused(&server, "COPY INTO 'away/new/' FROM (SELECT 1 AS a)").contains(reason));
    // What was fine when it was made is looked at again when it is read.
    write(&folder, "fine.csv", "a\n1\n");
    answer(&server, "CREATE EXTERNAL TABLE x STORED AS CSV WITH HEADER ROW LOCATION 'fine.csv'");
    std::fs::remove_file(folder.join("fine.csv")).expect("the file goes");
    symlink(outside.join("secret.csv"), folder.join("fine.csv")).expect("a link is made");
    assert!(refused(&server, "SELECT * FROM x").contains(reason));
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 1, "nothing was written there");
    server.terminate();

    let off = Server::start();
    for text in ["CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/x'", "COPY INTO '/x/' FROM (SELECT 1 AS a)"] {
        assert!(refused(&off, text).contains("`files.folders` of the configuration names no folder"), "{text}");
    }
    off.terminate();
}

/// Tables over files are part of the catalog, as options of databases are.
#[test]
fn tables_over_files_and_options_outlive_the_server() {
    let (folder, data) = (new_folder(), fresh_folder());
    let variables = [("TIDEWIRE_FILES_FOLDERS", folder.to_str().expect("a path"))];
    write(&folder, "a.json", "{\"v\": 1}\n{\"v\": 2}\n");
    let first = Server::start_in(&data, false, &variables);
    answer(&first, "CREATE DATABASE d WITH SHARD 6 VNODE_DURATION '2y1M' WAL_MAX_FILE_SIZE '300M' WAL_SYNC 'true'");
    answer(&first, "CREATE EXTERNAL TABLE d.x STORED AS NDJSON LOCATION 'a.json'");
    answer(&first, "ALTER DATABASE d SET REPLICA 3");
    let described = answer(&first, "DESCRIBE DATABASE d");
    let row = "INF,6,2years 1month,3,NS,128 MiB,16,286.102294921875 MiB,true,false,32";
    assert_eq!(described.lines().nth(1), Some(row));
    first.terminate();
    let second = Server::start_in(&data, true, &variables);
    assert_eq!(answer(&second, "DESCRIBE DATABASE d"), described);
    assert_eq!(answer(&second, "SELECT sum(v) AS s FROM d.x"), "s\n3\n");
    let plain = answer(&second, "DESCRIBE DATABASE public");
    assert_eq!(plain.lines().nth(1), Some("INF,1,1year,1,NS,128 MiB,16,128 MiB,false,false,32"));
    answer(&second, "ALTER DATABASE d SET VNODE_DURATION '1d'");
    assert!(answer(&second, "DESCRIBE DATABASE d").contains("INF,6,1day,3,"));
    answer(&second, "DROP DATABASE d");
    second.terminate();
}

/// A client that leaves ends what reads a file, and its memory is given back.
#[test]
fn a_client_that_leaves_ends_the_reading() {
    let folder = new_folder();
    let server = server("1", &folder);
    write(&folder, "big.csv", &format!("a\n{}", "1\n".repeat(1_000_000)));
    answer(&server, "CREATE EXTERNAL TABLE x STORED AS CSV WITH HEADER ROW LOCATION 'big.csv'");
    for _ in 0..3 {
        let mut client = Client::connect(&server.address);
        client.send("POST", "/api/v1/sql?db=public", &[], b"SELECT count(*) FROM x AS a JOIN x AS b ON a.a = b.a");
    }
    server.wait_until("queries to hold nothing", |server| {
        server.metric("tidewire_memory_bytes", "part=\"queries\"") == 0.0
    });
    assert_eq!(answer(&server, "SELECT count(*) AS n FROM x"), "n\n1000000\n");
    server.terminate();
}
