//! `tidewire backup`, `restore` and `inspect` as an operator runs them: beside a server that takes writes, and on
//! damage.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::common::{Server, fresh_folder, with_copies};

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(fresh_folder())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tool(arguments: &[&str], folders: &[&Path], data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.args(arguments).args(folders).arg("--data-dir").arg(data);
    command.output().expect("the binary runs")
}

/// What a tool that succeeds has printed.
fn done(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The sentence of a tool that refuses or fails.
fn refused(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("tidewire: ") && !told.contains("panicked"), "{told}");
    told
}

fn write(server: &Server, rows: std::ops::Range<u32>) {
    write_with(server, rows, "");
}

/// Rows of 50 series whose `v` is their number.
fn write_with(server: &Server, rows: std::ops::Range<u32>, text: &str) {
    let line = |i: u32| format!("m,host=h{} v={i}i,text=\"row {i} {text}\" {}\n", i % 50, u64::from(i) + 1);
    let lines: String = rows.map(line).collect();
    let response = server.request("POST", "/api/v1/write?db=public", &[], lines.as_bytes());
    assert_eq!(response.status(), 200, "{}", response.text());
}

/// All values of `v`, sorted.
fn values(server: &Server) -> Vec<u32> {
    let text = server.sql("public", "SELECT v FROM m").text();
    let mut values: Vec<u32> = text.lines().skip(1).map(|line| line.parse().expect("a number")).collect();
    values.sort_unstable();
    values
}

fn restored_values(backup: &Path) -> Vec<u32> {
    let target = fresh_folder();
    let told = done(&tool(&["restore"], &[backup], &target));
    assert!(told.starts_with("restored: backup of "), "{told}");
    let server = Server::start_in(&target, true, &[]);
    values(&server)
}

/// Small memtables and log files, so that flushes and merges go on all the time and log files are used again.
const BUSY: [(&str, &str); 2] = [("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "1MiB"), ("TIDEWIRE_WAL_FILE_BYTES", "1MiB")];

/// Ends the other side of a test when this side ends, by a failure, too.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_backup_beside_writes_holds_all_that_was_acknowledged_before_it() {
    const ROWS: u32 = 60;
    // So that few rows fill a memtable.
    let text = "x".repeat(2_000);
    let (data, backup) = (Folder::new(), Folder::new());
    let server = Server::start_in(&data.0, false, &BUSY);
    write_with(&server, 0..ROWS, &text);
    let (acknowledged, sent, stop) = (AtomicU32::new(ROWS), AtomicU32::new(ROWS), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _stops = Stops(&stop);
            while !stop.load(Ordering::Relaxed) {
                let from = acknowledged.load(Ordering::Relaxed);
                sent.store(from + ROWS, Ordering::SeqCst);
                write_with(&server, from..from + ROWS, &text);
                acknowledged.store(from + ROWS, Ordering::SeqCst);
            }
        });
        let _stops = Stops(&stop);
        for _ in 0..3 {
            let before = acknowledged.load(Ordering::SeqCst);
            while acknowledged.load(Ordering::SeqCst) < before + 20 * ROWS {
                assert!(!stop.load(Ordering::SeqCst), "the writer goes on");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let before = acknowledged.load(Ordering::SeqCst);
            done(&tool(&["backup"], &[&backup.0], &data.0));
            let after = sent.load(Ordering::SeqCst);
            done(&tool(&["inspect", "--verify"], &[], &backup.0));
            // The folder of the live server, too.
            done(&tool(&["inspect", "--verify"], &[], &data.0));
            let found = restored_values(&backup.0);
            let missing: Vec<u32> = (0..before).filter(|row| found.binary_search(row).is_err()).collect();
            assert!(missing.is_empty(), "acknowledged before the backup, and not in it: {missing:?}");
            assert!(found.last().is_some_and(|last| *last < after), "nobody sent {:?}", found.last());
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "each row once");
        }
    });
    let folders = std::fs::read_dir(&backup.0).expect("a folder").count();
    assert_eq!(folders, 2, "one backup and the lock");
    server.terminate();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Small log files, and rows in segments as soon as nobody writes.
pub(crate) const IDLE: [(&str, &str); 2] =
    [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1"), ("TIDEWIRE_WAL_FILE_BYTES", "1MiB")];

/// Writes rows and waits until they are in segments, then ends the server.
fn write_segments(data: &Path, rows: std::ops::Range<u32>) {
    let server = Server::start_in(data, false, &IDLE);
    write(&server, rows);
    until_flushed(data);
    server.terminate();
}

/// Waits until all rows are in segments, of a server that flushes when nobody writes.
pub(crate) fn until_flushed(data: &Path) {
    while log_rows(data) > 0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Rows that are in logs only.
fn log_rows(data: &Path) -> u64 {
    let json = done(&tool(&["inspect", "--json"], &[], data));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let shards = json["shards"].as_array().expect("shards");
    shards.iter().map(|shard| shard.pointer("/log/rows").and_then(serde_json::Value::as_u64).expect("a log")).sum()
}

/// A stopped data folder with segments, series, a log and a catalog, and a backup of it.
fn backed_up() -> (Folder, Folder) {
    let (data, backup) = (Folder::new(), Folder::new());
    write_segments(&data.0, 0..2_000);
    let server = Server::start_in(&data.0, false, &IDLE[1..]);
    write(&server, 2_000..2_400);
    server.kill();
    done(&tool(&["backup"], &[&backup.0], &data.0));
    (data, backup)
}

#[test]
fn a_second_backup_has_what_is_new_and_older_ones_go() {
    use std::os::unix::fs::MetadataExt;
    let (data, backup) = backed_up();
    let segments = |number: &str| -> Vec<PathBuf> {
        let files = files_below(&backup.0.join(number));
        files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "seg")).collect()
    };
    let inode = |path: &Path| std::fs::metadata(path).expect("a file").ino();
    let first: Vec<u64> = segments("00000001").iter().map(|path| inode(path)).collect();
    assert!(first.len() >= 2, "each shard has a segment");
    for path in segments("00000001") {
        let source = data.0.join(path.strip_prefix(backup.0.join("00000001")).expect("in the backup"));
        assert_eq!(inode(&path), inode(&source), "linked, not copied");
    }

    let told = done(&tool(&["backup", "--keep", "2"], &[&backup.0], &data.0));
    assert!(told.contains("new: 0 files (0 B) linked, 0 files (0 B) copied; "), "{told}");
    let second: Vec<u64> = segments("00000002").iter().map(|path| inode(path)).collect();
    assert_eq!(first, second);

    write_segments(&data.0, 2_400..2_500);
    // A backup that was cut short: it is continued, and what does not belong to it goes.
    let begun = backup.0.join("00000003/shard-000/segments");
    std::fs::create_dir_all(&begun).expect("a folder");
    std::fs::write(begun.join("99999999.seg"), "half").expect("a file");
    let told = done(&tool(&["backup"], &[&backup.0], &data.0));
    assert!(told.contains("removed: 2 older backups") && !told.contains("new: 0 files (0 B) linked"), "{told}");
    assert!(!begun.join("99999999.seg").exists() && !backup.0.join("00000001").exists());
    assert_eq!(restored_values(&backup.0), (0..2_500).collect::<Vec<_>>());

    // A segment that is lost is still in the backup, and stays in the next.
    let lost = segments("00000003").remove(0);
    let name = lost.strip_prefix(backup.0.join("00000003")).expect("in the backup").to_owned();
    std::fs::remove_file(data.0.join(&name)).expect("a file");
    let told = done(&tool(&["backup"], &[&backup.0], &data.0));
    assert!(told.contains(&format!("{}: missing or damaged", name.display())), "{told}");
    assert_eq!(restored_values(&backup.0), (0..2_500).collect::<Vec<_>>());
    let fresh = Folder::new();
    let told = refused(&tool(&["backup"], &[&fresh.0], &data.0));
    assert!(told.contains(&name.display().to_string()) && told.contains("is missing"), "{told}");
}

/// Flips a bit of a byte that is not zero, from `from` on, and gives the offset.
fn flip(path: &Path, from: usize) -> usize {
    let mut bytes = std::fs::read(path).expect("a file");
    let at = (from..bytes.len()).find(|at| bytes[*at] != 0).expect("a byte that is not zero");
    bytes[at] ^= 4;
    std::fs::write(path, bytes).expect("a file");
    at
}

#[test]
fn damage_of_each_kind_of_file_is_found_told_and_not_restored() {
    let (data, backup) = backed_up();
    let generation = backup.0.join("00000001");
    done(&tool(&["inspect", "--verify"], &[], &data.0));
    done(&tool(&["restore", "--verify"], &[&backup.0], &data.0));
    let files = files_below(&data.0);
    // A copy of keys is left out of a backup.
    let is_copy = |file: &Path| file.to_string_lossy().contains(".copy.");
    let kind = |extension: &str| {
        files
            .iter()
            .filter(|file| !is_copy(file))
            .find(|file| file.extension().is_some_and(|found| found == extension))
            .expect("one of each kind")
    };
    let segment_bytes = std::fs::metadata(kind("seg")).expect("a file").len() as usize;
    let targets = [
        (kind("seg").clone(), 70),
        (kind("seg").clone(), segment_bytes - 30),
        (kind("keys").clone(), 40),
        (data.0.join("shard-000/MANIFEST"), 40),
        (data.0.join("meta/catalog-00000001.log"), 60),
    ];
    for (target, from) in targets {
        let bytes = std::fs::read(&target).expect("a file");
        flip(&target, from);
        let output = tool(&["inspect", "--verify"], &[], &data.0);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(&format!("{} is damaged", target.display())), "{}: {told}", target.display());
        assert!(refused(&output).contains("is damaged in"));
        let json = tool(&["inspect", "--json"], &[], &data.0);
        serde_json::from_slice::<serde_json::Value>(&json.stdout).expect("JSON, damage or not");
        // The backup has the same file, or one of its own.
        let name = target.strip_prefix(&data.0).expect("in the folder");
        let stored = generation.join(name);
        let own = std::fs::read(&stored).expect("a file");
        std::fs::remove_file(&stored).expect("a file");
        std::fs::write(&stored, &own).expect("a file");
        // A copy of the catalog leaves out the space behind it.
        if own == bytes || own.len() < bytes.len() {
            flip(&stored, from);
        }
        let fresh = Folder::new();
        let told = refused(&tool(&["restore"], &[&backup.0], &fresh.0));
        assert!(told.contains(&format!("{} is damaged at offset ", stored.display())), "{told}");
        assert!(!fresh.0.join("FORMAT").exists(), "half a restore is no data folder");
        assert!(refused(&tool(&["restore", "--verify"], &[&backup.0], &fresh.0)).contains("is damaged at offset"));
        std::fs::write(&target, &bytes).expect("a file");
        std::fs::remove_file(&stored).expect("a file");
        std::fs::write(&stored, &bytes).expect("a file");
    }
    // The log: a record with others after it.
    let log = generation.join("shard-000/wal/00000001.wal");
    let bytes = std::fs::read(&log).expect("a file");
    flip(&log, 4096 + 80);
    let told = refused(&tool(&["restore", "--verify"], &[&backup.0], &data.0));
    assert!(told.contains(&format!("{} is damaged at offset ", log.display())), "{told}");
    std::fs::write(&log, &bytes).expect("a file");
    let description = generation.join("BACKUP");
    flip(&description, 200);
    assert!(refused(&tool(&["restore", "--verify"], &[&backup.0], &data.0)).contains("BACKUP is damaged"));
    done(&tool(&["inspect", "--verify"], &[], &data.0));
}

#[test]
fn a_restored_folder_has_copies_after_its_first_start() {
    let (data, backup) = backed_up();
    let target = Folder::new();
    done(&tool(&["restore"], &[&backup.0], &target.0));
    let is_copy = |path: &PathBuf| path.to_string_lossy().contains(".copy");
    assert!(!files_below(&target.0).iter().any(is_copy), "a backup has none");
    Server::start_in(&target.0, false, &[]).kill();
    assert!(with_copies(&target.0) >= 2, "a series file in each shard");
    done(&tool(&["inspect", "--verify"], &[], &target.0));

    // Whatever the copies are of may now be damaged.
    let is_kept_twice = |path: &&PathBuf| {
        !is_copy(path) && (path.ends_with("MANIFEST") || path.extension().is_some_and(|found| found == "keys"))
    };
    let kept_twice: Vec<PathBuf> = files_below(&target.0).iter().filter(is_kept_twice).cloned().collect();
    for path in &kept_twice {
        flip(path, 40);
    }
    refused(&tool(&["inspect", "--verify"], &[], &target.0));
    let server = Server::start_in(&target.0, false, &[]);
    assert_eq!(values(&server), (0..2_400).collect::<Vec<_>>());
    server.kill();
    assert_eq!(with_copies(&target.0) + 2, kept_twice.len(), "all is mended");
    done(&tool(&["inspect", "--verify"], &[], &target.0));

    // A copy that is damaged is reported; without it, it is made anew.
    let copies: Vec<PathBuf> = files_below(&data.0).into_iter().filter(is_copy).collect();
    assert!(copies.len() >= 4, "{copies:?}");
    for copy in &copies {
        flip(copy, 40);
        let output = tool(&["inspect", "--verify"], &[], &data.0);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(&format!("{} is damaged", copy.display())), "{}: {told}", copy.display());
        assert!(!told.contains("unnamed"), "copies are files of the shard: {told}");
        refused(&output);
        std::fs::remove_file(copy).expect("a file");
    }
    Server::start_in(&data.0, false, &[]).kill();
    with_copies(&data.0);
}

#[test]
fn tools_refuse_nonsense_with_a_sentence() {
    let (data, backup) = backed_up();
    let nowhere = Path::new("/nonexistent/tidewire");
    let empty = Folder::new();
    std::fs::create_dir_all(&empty.0).expect("a folder");
    let foreign = Folder::new();
    std::fs::create_dir_all(&foreign.0).expect("a folder");
    std::fs::write(foreign.0.join("thesis.txt"), "").expect("a file");
    for (output, reason) in [
        (tool(&["inspect"], &[], nowhere), "there is no folder"),
        (tool(&["inspect"], &[], &foreign.0), "is no data folder"),
        (tool(&["inspect", "--shard", "9"], &[], &data.0), "has shards 0 to 1, not 9"),
        (tool(&["inspect", "--table", "nope"], &[], &data.0), "there is no table nope"),
        (tool(&["backup"], &[&empty.0], nowhere), "cannot find data folder"),
        (tool(&["backup"], &[&foreign.0], &data.0), "holds thesis.txt"),
        (tool(&["backup"], &[&data.0], &data.0), "needs a folder of its own"),
        (tool(&["backup"], &[&data.0.join("shard-000/x")], &data.0), "needs a folder of its own"),
        (tool(&["restore"], &[&empty.0], &foreign.0), "neither FORMAT nor BACKUP"),
        (tool(&["restore"], &[&data.0], &empty.0), "is a data folder, not a backup"),
        (tool(&["restore"], &[&backup.0], &foreign.0), "holds thesis.txt"),
        (tool(&["restore"], &[&backup.0], &data.0), "new or empty folder"),
    ] {
        let told = refused(&output);
        assert!(told.contains(reason), "{told}");
    }
    // A backup is no data folder for a server.
    let started = Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(backup.0.join("00000001"))
        .output()
        .expect("the binary runs");
    assert!(refused(&started).contains("but no FORMAT"));
}

#[test]
fn inspect_tells_names_sizes_and_codings() {
    let (data, _backup) = backed_up();
    let told = done(&tool(&["inspect", "--blocks", "--table", "m"], &[], &data.0));
    for part in ["2 shards", "public.m (table 1)", "1970-01-01T00:00:00", "BIGINT", "STRING", "zstd", "blocks of v"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let json = done(&tool(&["inspect", "--json", "--segments"], &[], &data.0));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let sum = |key: &str| {
        json["shards"].as_array().map(|shards| shards.iter().map(|s| s[key].as_u64().unwrap_or(0)).sum::<u64>())
    };
    assert_eq!(sum("series"), Some(50));
    let shards = json["shards"].as_array().expect("shards");
    let rows = |pointer: &str| shards.iter().filter_map(|shard| shard.pointer(pointer)?.as_u64()).sum::<u64>();
    assert_eq!((rows("/totals/rows"), rows("/log/rows")), (2_000, 400));
    assert_eq!(shards[0]["tables"][0]["partitions"][0]["segments"][0]["columns"][0]["name"], "text");
}

#[test]
fn hidden_series_are_told_apart_backed_up_and_left_behind_by_reshard() {
    let (data, backup, restored) = (Folder::new(), Folder::new(), Folder::new());
    let server = Server::start_in(&data.0, false, &IDLE);
    write(&server, 0..500);
    let deleted = server.sql("public", "DELETE FROM m WHERE host IN ('h1', 'h2', 'h3')");
    assert_eq!((deleted.status(), deleted.text().as_str()), (200, ""));
    until_flushed(&data.0);
    server.terminate();
    // Live, hidden.
    let series = |folder: &Path| {
        let json = done(&tool(&["inspect", "--json", "--verify"], &[], folder));
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["verified"]["damage"], serde_json::json!([]));
        let shards = json["shards"].as_array().expect("shards");
        let of = |key: &str| shards.iter().map(|shard| shard[key].as_u64().expect("a count")).sum::<u64>();
        let of_tables = |key: &str| {
            let tables = shards.iter().flat_map(|shard| shard["tables"].as_array().expect("tables"));
            tables.map(|table| table[key].as_u64().expect("a count")).sum::<u64>()
        };
        assert_eq!((of("series"), of("series_hidden")), (of_tables("series"), of_tables("series_hidden")));
        (of("series"), of("series_hidden"))
    };
    assert_eq!(series(&data.0), (47, 3));
    let told = done(&tool(&["inspect"], &[], &data.0));
    assert!(told.contains(" series and ") && told.contains(" hidden in 1 file"), "{told}");

    done(&tool(&["backup"], &[&backup.0], &data.0));
    done(&tool(&["restore"], &[&backup.0], &restored.0));
    assert_eq!(series(&restored.0), (47, 3));
    let server = Server::start_in(&restored.0, false, &[]);
    server.wait_until("47 series count", |server| server.metric("tidewire_series", "") == 47.0);
    server.terminate();

    done(&tool(&["reshard", "--shards", "3"], &[], &data.0));
    assert_eq!(series(&data.0), (47, 0));
}
