//! Damaged files under a running server and at its start: what fails, what is reported, and what keeps working.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Server, files, flip, fresh_folder};

/// The value of a metric of one shard.
fn metric(server: &Server, name: &str, shard: u32) -> f64 {
    let text = server.request("GET", "/metrics", &[], b"").text();
    let (start, label) = (format!("{name}{{"), format!("shard=\"{shard}\""));
    let mut lines = text.lines().filter(|line| line.starts_with(&start) && line.contains(&label));
    let line = lines.next().unwrap_or_else(|| panic!("no {name} of shard {shard}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// Waits until all rows of a shard are in segments.
fn wait_for_flush(server: &Server, shard: u32) {
    let started = Instant::now();
    while metric(server, "tidewire_memtable_rows", shard) > 0.0 {
        assert!(started.elapsed() < Duration::from_secs(30), "an idle memtable is flushed");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A start that must fail; gives what it says.
fn failing_start(folder: &Path) -> String {
    failing_start_with(folder, &[])
}

/// What a server says that does not start with these variables.
pub(crate) fn failing_start_with(folder: &Path, variables: &[(&str, &str)]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .envs(variables.iter().copied())
        .args(["--listen", "127.0.0.1:0", "--cores", "2", "--data-dir"])
        .arg(folder)
        .output()
        .expect("the binary runs");
    assert!(!ended.status.success());
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
fn a_broken_block_fails_the_queries_that_need_it_and_no_others() {
    let folder = fresh_folder();
    let variables = [("TIDEWIRE_SHARDS", "1"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")];
    let server = Server::start_in(&folder, true, &variables);
    // Text that hardly compresses is most of the segment, so that its middle lies in a block of it.
    let mut state = 1_u64;
    let mut text = || {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + 2 + (state >> 33) as u8 % 56)
        };
        (0..200).map(|_| letter()).collect::<String>()
    };
    let lines: String = (1..=500).map(|i| format!("m,host=a text=\"{}\",v={i}i {i}\n", text())).collect();
    assert_eq!(server.request("POST", "/write?db=public", &[], lines.as_bytes()).status(), 204);
    assert_eq!(server.request("POST", "/write?db=public", &[], b"other v=1i 1").status(), 204);
    wait_for_flush(&server, 0);

    let segments = files(&folder.join("shard-000/segments"));
    let size = |path: &Path| File::open(path).and_then(|file| file.metadata()).expect("the size").len();
    let segment = segments.iter().max_by_key(|path| size(path)).expect("a segment");
    let offset = size(segment) / 2;
    flip(segment, offset);
    for attempt in 0..2 {
        let broken = server.sql("public", "SELECT text FROM m");
        assert_eq!(broken.status(), 500, "attempt {attempt}");
        let told = broken.text();
        let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(told.contains(&name) && told.contains("is damaged at offset "), "{told}");
        assert!(told.contains("block does not match its checksum"), "{told}");
    }
    for (name, value) in [("tidewire_segments_quarantined", 1.0), ("tidewire_corrupt_blocks", 1.0)] {
        assert_eq!(metric(&server, name, 0), value, "{name}");
    }
    // Another column of the same rows, another table, and writes to the same table.
    assert_eq!(server.sql("public", "SELECT count(v) AS n, sum(v) AS s FROM m").text(), "n,s\n500,125250\n");
    assert_eq!(server.sql("public", "SELECT v FROM other").text(), "v\n1\n");
    assert_eq!(server.request("POST", "/write?db=public", &[], b"m,host=a v=1000i 1000").status(), 204);
    assert_eq!(server.sql("public", "SELECT count(v) AS n FROM m").text(), "n\n501\n");
    // Putting the right byte back needs no restart.
    flip(segment, offset);
    let mended = server.sql("public", "SELECT text FROM m");
    assert_eq!((mended.status(), mended.text().lines().count()), (200, 1 + 501));
    assert_eq!(metric(&server, "tidewire_segments_quarantined", 0), 0.0);
}

/// Writes to both shards; the last record of each log is not the first.
fn fill(folder: &Path) {
    let server = Server::start_in(folder, false, &[]);
    for round in 0..3 {
        let lines: String = (0..100).map(|i| format!("m,host=h{i} v={round}i {}\n", round + 1)).collect();
        assert_eq!(server.request("POST", "/write?db=public", &[], lines.as_bytes()).status(), 204);
    }
    assert_eq!(server.sql("public", "SELECT count(v) AS n FROM m").text(), "n\n300\n");
    server.kill();
}

/// The log file of a shard that holds frames, and the offset of the first one's first record.
fn first_record(folder: &Path, shard: u32) -> (PathBuf, u64) {
    let logs = files(&folder.join(format!("shard-{shard:03}/wal")));
    let has_frame = |path: &&PathBuf| std::fs::read(path).expect("a log file")[4096..].starts_with(b"TWFR");
    (logs.iter().find(has_frame).expect("a log file with a frame").clone(), 4096 + 70)
}

#[test]
fn a_shard_that_damage_keeps_closed_does_not_keep_the_others_closed() {
    let folder = fresh_folder();
    fill(&folder);
    let (log, offset) = first_record(&folder, 1);
    flip(&log, offset);

    let server = Server::start_in(&folder, false, &[]);
    assert_eq!(metric(&server, "tidewire_shard_offline", 0), 0.0);
    assert_eq!(metric(&server, "tidewire_shard_offline", 1), 1.0);
    let told = server.sql("public", "SELECT count(v) AS n FROM m");
    assert_eq!(told.status(), 503, "never the rows of the other shard alone: {}", told.text());
    let name = log.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(told.text().contains("shard 1 is offline: "), "{}", told.text());
    assert!(told.text().contains(&name) && told.text().contains(" is damaged at offset 4096"), "{}", told.text());

    // A request with rows for both is refused as a whole, on either route.
    let lines: String = (0..100).map(|i| format!("m,host=h{i} v=9i 9\n")).collect();
    for route in ["/write?db=public", "/api/v1/write?db=public"] {
        let refused = server.request("POST", route, &[], lines.as_bytes());
        assert_eq!(refused.status(), 503, "{}", refused.text());
        assert!(refused.text().contains("shard 1 is offline"), "{}", refused.text());
    }
    // What belongs to the other is taken.
    let mut taken = 0;
    for host in 0..100 {
        let line = format!("m,host=h{host} v=7i 7");
        match server.request("POST", "/write?db=public", &[], line.as_bytes()).status() {
            204 => taken += 1,
            status => assert_eq!(status, 503),
        }
    }
    assert!((20..=80).contains(&taken), "{taken} of 100 series belong to shard 0");
    assert_eq!(server.sql("public", "SELECT 1 AS a").text(), "a\n1\n");
    assert_eq!(server.request("GET", "/ping", &[], b"").status(), 204);
    server.terminate();

    flip(&log, offset);
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(metric(&server, "tidewire_shard_offline", 1), 0.0);
    let all = server.sql("public", "SELECT count(v) AS n FROM m");
    assert_eq!(all.text(), format!("n\n{}\n", 300 + taken), "nothing of what was refused is there");
}

#[test]
fn a_start_fails_where_no_shard_is_left_or_the_catalog_is_gone() {
    let folder = fresh_folder();
    fill(&folder);
    for shard in 0..2 {
        let (log, offset) = first_record(&folder, shard);
        flip(&log, offset);
    }
    let told = failing_start(&folder);
    assert!(told.contains("cannot be opened: ") && told.contains(" is damaged at offset 4096"), "{told}");
    for shard in 0..2 {
        let (log, offset) = first_record(&folder, shard);
        flip(&log, offset);
    }
    // A whole folder that is gone is damage like any other, and not an empty shard.
    let (shard, away) = (folder.join("shard-001"), folder.join("away"));
    std::fs::rename(&shard, &away).expect("the folder can be moved");
    let server = Server::start_in(&folder, false, &[("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")]);
    assert_eq!(metric(&server, "tidewire_shard_offline", 1), 1.0);
    let refused = server.sql("public", "SELECT count(v) AS n FROM m");
    assert!(refused.text().contains("the folder is missing"), "{}", refused.text());
    wait_for_flush(&server, 0);
    server.terminate();
    assert!(!shard.exists(), "nothing takes its place");
    std::fs::rename(&away, &shard).expect("the folder can be moved back");

    // Without a catalog every table would count as dropped.
    let (catalog, away) = (folder.join("meta/catalog-00000001.log"), folder.join("meta/away"));
    std::fs::rename(&catalog, &away).expect("the catalog can be moved");
    let told = failing_start(&folder);
    assert!(told.contains("there is no catalog in ") && told.contains("/meta, but shard 0 has data"), "{told}");
    std::fs::rename(&away, &catalog).expect("the catalog can be moved back");
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(server.sql("public", "SELECT count(v) AS n FROM m").text(), "n\n300\n");
}

/// Runs `tidewire repair` on shard 1; gives whether it succeeded, and all it says.
fn repair(folder: &Path, more: &[&str]) -> (bool, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["repair", "--shard", "1", "--data-dir"])
        .arg(folder)
        .args(more)
        .output()
        .expect("the binary runs");
    let told = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (ended.status.success(), told)
}

#[test]
fn a_repair_says_what_is_lost_and_does_it_only_when_that_is_accepted() {
    let folder = fresh_folder();
    fill(&folder);
    let (log, _) = first_record(&folder, 1);
    // The second of three commits.
    flip(&log, 8192 + 70);
    let before = std::fs::read(&log).expect("the log");
    let (done, told) = repair(&folder, &[]);
    assert!(!done && std::fs::read(&log).expect("the log") == before, "{told}");
    for part in [
        "is damaged at offset 8192: ",
        "The log would be ended there. Lost are its records from 2 to 3, and later ones if there were any.",
        "Of these 1 can be read, with ",
        " rows of public.m.",
        "Nothing was changed.",
        "shard 1 is not repaired; --accept-loss does it at that price",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    let server = Server::start_in(&folder, false, &[]);
    assert_eq!(metric(&server, "tidewire_shard_offline", 1), 1.0);
    let (done, locked) = repair(&folder, &["--accept-loss"]);
    assert!(!done && locked.contains("is in use by another server"), "{locked}");
    server.terminate();

    let (done, told) = repair(&folder, &["--accept-loss"]);
    assert!(done && told.contains("The log was ended there.") && told.contains("shard 1 opens again"), "{told}");
    let server = Server::start_in(&folder, true, &[]);
    let left = server.sql("public", "SELECT count(v) AS n FROM m WHERE v = 0").text();
    assert_eq!(left, "n\n100\n", "the first commit of both shards");
    let all: u32 = server.sql("public", "SELECT count(v) AS n FROM m").text()[2..].trim().parse().expect("a number");
    assert!((140..=260).contains(&all), "{all}: three commits of shard 0, one of shard 1");
    assert_eq!(server.request("POST", "/write?db=public", &[], b"m,host=h1 v=5i 5\nm,host=h2 v=5i 5").status(), 204);
    let (done, told) = repair(&fresh_folder(), &[]);
    assert!(!done && told.contains("is no data folder"), "{told}");
}

#[test]
fn an_export_leaves_out_what_cannot_be_read_only_when_asked_and_says_what() {
    let folder = fresh_folder();
    fill(&folder);
    let (log, offset) = first_record(&folder, 1);
    flip(&log, offset);
    let export = |more: &[&str], out: &str| {
        let ended = Command::new(env!("CARGO_BIN_EXE_tidewire"))
            .args(["export", "--format", "lp", "--data-dir"])
            .arg(&folder)
            .args(more)
            .arg(folder.join(out))
            .output()
            .expect("the binary runs");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let (code, told) = export(&[], "whole.lp");
    assert!(code == Some(1) && told.contains("shard 1 cannot be opened") && told.contains("is damaged"), "{told}");
    assert!(!folder.join("whole.lp").exists());
    let (code, told) = export(&["--skip-unreadable"], "rest.lp");
    assert_eq!(code, Some(3), "{told}");
    let name = log.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(told.contains("left out, cannot be read: all of shard 1: ") && told.contains(&name), "{told}");
    let rest = std::fs::read_to_string(folder.join("rest.lp")).expect("the export");
    let rows = rest.lines().filter(|line| line.starts_with("m,host=h")).count();
    // Three rounds of the hosts that belong to the other shard.
    assert!(rows % 3 == 0 && (60..=240).contains(&rows), "{rows} of 300");
    flip(&log, offset);
    let (code, told) = export(&["--skip-unreadable"], "all.lp");
    assert_eq!(code, Some(0), "{told}");
    let all = std::fs::read_to_string(folder.join("all.lp")).expect("the export");
    assert_eq!(all.lines().filter(|line| line.starts_with("m,host=h")).count(), 300);
    let _ = std::fs::remove_dir_all(&folder);
}

/// A damaged block takes the rows with it that it may hold, of all segments, and no other.
#[test]
fn an_export_beside_a_damaged_block_has_every_row_that_the_block_does_not_touch() {
    let folder = fresh_folder();
    let variables = [("TIDEWIRE_SHARDS", "1"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")];
    let server = Server::start_in(&folder, false, &variables);
    // Hosts with rows enough for groups of their own.
    let lines: String =
        (0..40_000_u64).map(|row| format!("m,host=h{} v={}i {row}\n", row % 8, row * 7919 % 10_007)).collect();
    assert_eq!(server.request("POST", "/write?db=public", &[], lines.as_bytes()).status(), 204);
    wait_for_flush(&server, 0);
    server.terminate();
    let segment = files(&folder.join("shard-000/segments")).pop().expect("a segment");
    flip(&segment, std::fs::metadata(&segment).expect("the size").len() / 2);
    for (format, out) in [("lp", "rest.lp"), ("parquet", "rest")] {
        let ended = Command::new(env!("CARGO_BIN_EXE_tidewire"))
            .args(["export", "--skip-unreadable", "--format", format, "--data-dir"])
            .arg(&folder)
            .arg(folder.join(out))
            .output()
            .expect("the binary runs");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(3), "{told}");
        assert_eq!(told.matches("left out, cannot be read: ").count(), 1, "{told}");
    }
    let wanted: std::collections::BTreeSet<String> = lines.lines().map(str::to_owned).collect();
    let rest = std::fs::read_to_string(folder.join("rest.lp")).expect("the export");
    let found: std::collections::BTreeSet<String> =
        rest.lines().filter(|line| line.starts_with("m,")).map(str::to_owned).collect();
    assert!(found.is_subset(&wanted) && found.len() < wanted.len(), "{} rows", found.len());
    let lost: std::collections::BTreeSet<&str> =
        wanted.difference(&found).filter_map(|line| line.split(' ').next()).collect();
    assert!((1..=4).contains(&lost.len()), "rows of {lost:?} are lost by one block");
    let _ = std::fs::remove_dir_all(&folder);
}
