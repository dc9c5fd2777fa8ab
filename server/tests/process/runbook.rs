//! The sections of docs/operations.md on damage: each command of the page is executed, and what it promises is checked.
//!
//! A block of commands is found by its section and its place there. `systemctl` starts and stops the test's server; a
//! comment behind a command says with which exit code it ends, if not with 0.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Server, files, flip, fresh_folder};

/// Hours of one day of data: enough rows that a segment has blocks of its own for its values.
const ROWS_A_DAY: u64 = 600;
const DAY_NS: u64 = 86_400_000_000_000;
const DAY_0_NS: u64 = 1_700_006_400_000_000_000;

/// The blocks of commands of a section, each a list of lines.
fn blocks(section: &str) -> Vec<Vec<String>> {
    let page = include_str!("../../../docs/operations.md");
    let (_, text) = page.split_once(&format!("\n{section}\n")).unwrap_or_else(|| panic!("no section {section:?}"));
    let end = text.find("\n#").unwrap_or(text.len());
    let fenced = text[..end].split("```sh\n").skip(1);
    fenced.map(|block| block.split("```").next().expect("an end").lines().map(str::to_owned).collect()).collect()
}

/// A data folder with its backups and its server, where the page has them in /var/lib, /backup and systemd.
struct Host {
    root: PathBuf,
    server: Option<Server>,
}

impl Host {
    /// Three days in three segments, `00000000.seg` to `00000002.seg`, and a backup of them.
    fn new() -> Self {
        Self::at(fresh_folder())
    }

    fn at(root: PathBuf) -> Self {
        let mut host = Self { root, server: None };
        host.start();
        for day in 0..3 {
            host.write("cpu", "h", day);
        }
        host.flushed();
        let names: Vec<_> = files(&host.shard().join("segments"));
        assert_eq!(names.len(), 3, "{names:?}");
        host.run("tidewire backup /backup/tidewire --data-dir /var/lib/tidewire");
        host
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn shard(&self) -> PathBuf {
        self.data().join("shard-000")
    }

    fn second_segment(&self) -> PathBuf {
        self.shard().join("segments/00000001.seg")
    }

    fn start(&mut self) {
        let variables =
            [("TIDEWIRE_SHARDS", "1"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1"), ("TIDEWIRE_WAL_FILE_BYTES", "1MiB")];
        self.server = Some(Server::start_in(&self.data(), false, &variables));
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.terminate();
        }
    }

    fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs")
    }

    fn write(&self, table: &str, host: &str, day: u64) {
        let lines: String = (0..ROWS_A_DAY)
            .map(|row| {
                let time = DAY_0_NS + day * DAY_NS + row;
                format!("{table},host={host}{} v={row}i,w={}.5 {time}\n", row % 4, row * 7919 % 1000)
            })
            .collect();
        let written = self.server().request("POST", "/write?db=public", &[], lines.as_bytes());
        assert_eq!(written.status(), 204, "{}", written.text());
    }

    fn flushed(&self) {
        self.server().wait_until("flushed", |server| server.metric("tidewire_memtable_rows", "") == 0.0);
    }

    /// The rows of a table, whose values are all read.
    fn count(&self, table: &str) -> Result<u64, String> {
        let reply = self.server().sql("public", &format!("SELECT v, w FROM {table}"));
        match reply.status() {
            200 => Ok(reply.text().lines().count() as u64 - 1),
            _ => Err(reply.text()),
        }
    }

    /// Executes a line of the page; gives all that it says.
    fn run(&mut self, text: &str) -> String {
        let (command, comment) = text.split_once(" # ").unwrap_or((text, ""));
        match command.trim() {
            "systemctl start tidewire" => {
                self.start();
                return String::new();
            }
            "systemctl stop tidewire" => {
                self.stop();
                return String::new();
            }
            _ => {}
        }
        let code = comment.strip_prefix("exit code ").map_or("0", |rest| &rest[..1]);
        let here = |path: &str| self.root.join(path).display().to_string();
        let url = self.server.as_ref().map_or_else(String::new, |server| server.address.clone());
        let command = command
            .replace("/tmp/", &here(""))
            .replace("/var/lib/tidewire", &here("data"))
            .replace("/var/lib/ballast", &here("ballast"))
            .replace("/backup/tidewire", &here("backup"))
            .replace("127.0.0.1:8902", &url);
        let tools = Path::new(env!("CARGO_BIN_EXE_tidewire")).parent().expect("a folder");
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
        let ended = Command::new("bash").args(["-c", &command]).env("PATH", path).output().expect("bash runs");
        let told = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let found = ended.status.code().map(|code| code.to_string());
        assert_eq!(found.as_deref(), Some(code), "{command}\n{told}");
        told
    }

    /// Executes a block of a section; gives what each line says.
    fn follow(&mut self, section: &str, block: usize) -> Vec<String> {
        let lines = blocks(section).get(block).cloned().unwrap_or_else(|| panic!("no block {block} in {section}"));
        lines.iter().map(|line| self.run(line)).collect()
    }

    /// Everything works that damage keeps from working: a backup, an export, another number of shards.
    fn check_in_order(mut self) {
        assert_eq!(self.server().metric("tidewire_segments_quarantined", ""), 0.0);
        self.stop();
        for line in [
            "tidewire inspect --verify --data-dir /var/lib/tidewire",
            "tidewire backup /backup/tidewire --data-dir /var/lib/tidewire",
            "tidewire export --format lp --data-dir /var/lib/tidewire /tmp/all.lp",
            "tidewire reshard --shards 2 --keep-old /tmp/old --data-dir /var/lib/tidewire",
        ] {
            self.run(line);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Changes a bit in a file, where in a segment the values of a field lie. A backup that has the file under a second
/// name keeps it as it was, as one on another disk would.
fn damage(path: &Path) {
    let copy = path.with_extension("copied");
    std::fs::copy(path, &copy).expect("the file is there");
    std::fs::rename(&copy, path).expect("the copy is there");
    let length = std::fs::metadata(path).expect("the file is there").len();
    flip(path, length / 4);
}

#[test]
fn every_section_and_block_of_the_page_is_executed_by_a_test_here() {
    let page = include_str!("../../../docs/operations.md");
    let (_, part) = page.split_once("\n## When something is damaged\n").expect("the section");
    let part = &part[..part.find("\n## ").unwrap_or(part.len())];
    let sections: Vec<&str> = part.lines().filter(|line| line.starts_with("### ")).collect();
    let this = include_str!("runbook.rs");
    for section in sections {
        for block in 0..blocks(section).len() {
            let call = format!("follow(\"{section}\", {block})");
            assert!(this.contains(&call), "no test has {call}");
        }
    }
    assert_eq!(blocks("## When something is damaged").len(), 1);
}

const ALL: u64 = 3 * ROWS_A_DAY;
const WITHOUT_ONE: u64 = 2 * ROWS_A_DAY;

#[test]
fn a_missing_segment_is_put_back_while_the_server_runs() {
    let mut host = Host::new();
    host.stop();
    std::fs::remove_file(host.second_segment()).expect("the segment is there");
    host.start();
    let line = blocks("## When something is damaged").concat().concat();
    let told = host.run(&line.replace("# exit code 1 if", "# exit code 1: if"));
    assert!(told.contains("00000001.seg") && told.contains("the file is missing"), "{told}");
    assert!(host.count("cpu").expect_err("rows are missing").contains("00000001.seg"));
    host.follow("### A segment is missing", 0);
    host.server().wait_until("noticed", |server| server.metric("tidewire_segments_quarantined", "") == 0.0);
    assert_eq!(host.count("cpu"), Ok(ALL));
    host.check_in_order();
}

#[test]
fn a_missing_segment_without_a_copy_is_given_up() {
    let mut host = Host::new();
    host.stop();
    std::fs::remove_file(host.second_segment()).expect("the segment is there");
    for backup in files(&host.root.join("backup/00000001/shard-000/segments")) {
        std::fs::remove_file(backup).expect("a file of the backup");
    }
    host.start();
    let told = host.follow("### A segment is missing", 1);
    let cost = "00000001.seg is missing.\nIt holds 600 rows of public.cpu from 2023-11-16T00:00:00 to";
    assert!(told[1].contains(cost) && told[1].contains("--segment 00000001.seg --accept-loss"), "{}", told[1]);
    assert!(told[2].contains(cost) && told[2].contains("Nothing was changed."), "{}", told[2]);
    assert_eq!(host.count("cpu"), Ok(WITHOUT_ONE));
    host.check_in_order();
}

#[test]
fn a_damaged_segment_is_replaced_while_the_server_runs() {
    let mut host = Host::new();
    host.stop();
    damage(&host.second_segment());
    host.start();
    assert!(host.count("cpu").expect_err("a block is damaged").contains("00000001.seg"));
    assert_eq!(host.server().metric("tidewire_segments_quarantined", ""), 1.0);
    host.follow("### A segment is damaged", 0);
    host.server().wait_until("noticed", |server| server.metric("tidewire_segments_quarantined", "") == 0.0);
    assert_eq!(host.count("cpu"), Ok(ALL));
    host.check_in_order();
}

#[test]
fn what_can_be_read_of_a_damaged_segment_is_saved() {
    let mut host = Host::new();
    host.stop();
    damage(&host.second_segment());
    let told = host.follow("### A segment is damaged", 1);
    assert!(
        told[1].contains("left out, cannot be read: ") && told[1].contains("00000001.seg is damaged"),
        "{}",
        told[1]
    );
    let count = host.count("cpu").expect("all can be read");
    assert!((WITHOUT_ONE..ALL).contains(&count), "{count}");
    host.check_in_order();
}

/// Damages the manifest and its copy.
fn damage_manifest(host: &Host) {
    for name in ["MANIFEST", "MANIFEST.copy"] {
        flip(&host.shard().join(name), 50);
    }
}

#[test]
fn a_damaged_manifest_comes_with_its_shard_from_a_backup_and_newer_segments_are_attached() {
    let mut host = Host::new();
    host.write("cpu", "new", 3);
    host.flushed();
    assert_eq!(host.count("cpu"), Ok(ALL + ROWS_A_DAY));
    host.stop();
    damage_manifest(&host);
    let told = host.follow("### The manifest is damaged", 0);
    assert!(told[1].contains("MANIFEST is damaged at offset") && told[1].contains("--from-backup DIR"), "{}", told[1]);
    assert!(told[2].contains("1,800 rows in segments") && told[2].contains("Nothing was changed."), "{}", told[2]);
    assert!(told[3].contains("detached: 00000004.seg") && told[3].contains("shard 0 opens"), "{}", told[3]);
    assert!(told[4].contains("detached   00000004.seg") && told[4].contains("600 rows of public.cpu"), "{}", told[4]);
    assert!(told[5].contains("attached: 00000004.seg, 600 rows of public.cpu"), "{}", told[5]);
    assert_eq!(host.count("cpu"), Ok(ALL + ROWS_A_DAY));
    assert_eq!(host.server().metric("tidewire_detached_files", ""), 0.0);
    host.check_in_order();
}

#[test]
fn a_shard_whose_manifest_is_lost_without_a_backup_begins_anew() {
    let mut host = Host::new();
    host.stop();
    damage_manifest(&host);
    let told = host.follow("### The manifest is damaged", 1);
    assert!(
        told[1].contains("All rows of shard 0 would be lost") && told[1].contains("Nothing was changed."),
        "{}",
        told[1]
    );
    assert!(told[2].contains("shard-000.replaced"), "{}", told[2]);
    assert_eq!(host.count("cpu"), Ok(0));
    assert_eq!(files(&host.data().join("shard-000.replaced/segments")).len(), 3);
    host.write("cpu", "h", 0);
    host.check_in_order();
}

#[test]
fn a_damaged_log_is_ended_where_the_damage_begins() {
    let mut host = Host::new();
    host.write("cpu", "h", 5);
    host.write("cpu", "h", 6);
    host.write("cpu", "h", 7);
    host.kill();
    // The first record after those that are in segments, if a flush has not taken it: then there is nothing to damage.
    let logs = files(&host.shard().join("wal"));
    let bytes = |path: &PathBuf| std::fs::read(path).expect("a log file");
    let frames = |path: &PathBuf| -> Vec<u64> {
        let bytes = bytes(path);
        let at = (4096..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"TWFR"));
        at.map(|at| at as u64).collect()
    };
    let (log, frames) =
        logs.iter().map(|log| (log, frames(log))).max_by_key(|(_, frames)| frames.len()).expect("a log");
    let second_last = frames[frames.len() - 2];
    flip(log, second_last + 100);
    let told = host.follow("### The log is damaged before its end", 0);
    assert!(
        told[1].contains("The log would be ended there.") && told[1].contains("600 rows of public.cpu"),
        "{}",
        told[1]
    );
    assert!(told[2].contains("The log was ended there.") && told[2].contains("opens again"), "{}", told[2]);
    assert_eq!(host.count("cpu"), Ok(ALL + ROWS_A_DAY));
    host.check_in_order();
}

/// Damages the catalog's header, so that nothing of it can be read.
fn damage_catalog(host: &Host) {
    let catalog = files(&host.data().join("meta")).pop().expect("a catalog");
    flip(&catalog, 16);
}

#[test]
fn a_damaged_catalog_comes_from_a_backup() {
    let mut host = Host::new();
    host.stop();
    damage_catalog(&host);
    let told = host.run("tidewire repair --catalog --data-dir /var/lib/tidewire # exit code 1");
    assert!(told.contains("nothing before the damage is a catalog") && told.contains("of a backup"), "{told}");
    host.follow("### The catalog is damaged", 0);
    assert_eq!(host.count("cpu"), Ok(ALL));
    host.check_in_order();
}

#[test]
fn a_catalog_that_is_older_than_a_shard_is_refused_and_nothing_is_removed() {
    let mut host = Host::new();
    host.write("newer", "h", 0);
    host.flushed();
    host.stop();
    let before = files(&host.shard().join("segments"));
    damage_catalog(&host);
    // All but the start, which is refused.
    let lines = blocks("### The catalog is damaged")[0].clone();
    lines[..lines.len() - 1].iter().for_each(|line| drop(host.run(line)));
    let told = crate::starts::refused(&host.data(), &[]);
    assert!(told.contains("is older than the shard, which has rows of table 2"), "{told}");
    assert!(told.contains("--from-backup DIR"), "{told}");
    assert_eq!(files(&host.shard().join("segments")), before, "nothing is gone");
    host.follow("### The catalog is damaged", 1);
    assert_eq!(host.count("cpu"), Ok(ALL));
    assert!(host.shard().join("detached/00000004.seg").exists(), "what the backup does not have is kept");
}

/// The ids of columns that an older catalog lacks would be given to others.
#[test]
fn a_catalog_that_lacks_a_column_of_a_shard_is_refused() {
    for flushed in [true, false] {
        let mut host = Host::new();
        let lines = b"cpu,host=h0 v=1i,later=1.5 1";
        assert_eq!(host.server().request("POST", "/write?db=public", &[], lines).status(), 204);
        if flushed {
            host.flushed();
        }
        host.kill();
        damage_catalog(&host);
        let lines = blocks("### The catalog is damaged")[0].clone();
        lines[..lines.len() - 1].iter().for_each(|line| drop(host.run(line)));
        let told = crate::starts::refused(&host.data(), &[]);
        assert!(told.contains("is older than the shard, which has values of column 3 of table 1"), "{flushed}: {told}");
    }
}

#[test]
fn a_damaged_catalog_without_a_backup_is_ended() {
    let mut host = Host::new();
    for table in ["second", "third", "fourth"] {
        host.write(table, "h", 0);
    }
    host.kill();
    let catalog = files(&host.data().join("meta")).pop().expect("a catalog");
    let bytes = std::fs::read(&catalog).expect("the catalog");
    let text = |name: &[u8]| bytes.windows(name.len()).position(|window| window == name).expect("the name is there");
    // The change that makes the last table but one is followed by others, which say that it was durable.
    flip(&catalog, text(b"third") as u64);
    let told = crate::starts::refused(&host.data(), &[]);
    assert!(told.contains("is damaged at offset"), "{told}");
    let lines = blocks("### The catalog is damaged")[2].clone();
    let told: Vec<String> = lines[..3].iter().map(|line| host.run(line)).collect();
    assert!(told[1].contains("would be ended there, with 1 database and 2 tables"), "{}", told[1]);
    assert!(told[2].contains("was ended there") && told[2].contains(".log.damaged"), "{}", told[2]);
    // Rows of the third and the fourth table are in the log.
    let refused = crate::starts::refused(&host.data(), &[]);
    assert!(refused.contains("is older than the shard"), "{refused}");
}

#[test]
fn a_catalog_whose_last_changes_made_no_table_is_ended_and_all_rows_are_there() {
    let mut host = Host::new();
    for name in ["one", "two", "three"] {
        let made = host.server().sql("public", &format!("CREATE DATABASE {name}"));
        assert_eq!(made.status(), 200, "{}", made.text());
    }
    host.kill();
    let catalog = files(&host.data().join("meta")).pop().expect("a catalog");
    let bytes = std::fs::read(&catalog).expect("the catalog");
    let two = bytes.windows(3).rposition(|window| window == b"two").expect("the name is there");
    flip(&catalog, two as u64);
    host.follow("### The catalog is damaged", 2);
    assert_eq!(host.count("cpu"), Ok(ALL));
    let left = host.server().sql("public", "SHOW DATABASES").text();
    assert!(left.contains("one") && !left.contains("two") && !left.contains("three"), "{left}");
    host.check_in_order();
}

#[test]
fn a_lost_folder_comes_from_a_backup_or_begins_anew() {
    let mut host = Host::new();
    host.stop();
    std::fs::remove_dir_all(host.shard()).expect("the folder is there");
    let told = host.follow("### The folder of a shard is lost", 0);
    assert!(told[1].contains("shard-000 is missing.") && told[1].contains("--from-backup DIR"), "{}", told[1]);
    assert_eq!(host.count("cpu"), Ok(ALL));

    host.stop();
    std::fs::remove_dir_all(host.shard()).expect("the folder is there");
    host.follow("### The folder of a shard is lost", 1);
    assert_eq!(host.count("cpu"), Ok(0));
    host.write("cpu", "h", 0);
    assert_eq!(host.count("cpu"), Ok(ROWS_A_DAY));
    host.check_in_order();
}

#[test]
fn a_full_disk_during_a_repair_costs_nothing() {
    crate::full::run_apart("runbook::a_repair_on_a_full_disk_is_repeated", "tmpfs");
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by the test above"]
fn a_repair_on_a_full_disk_is_repeated() {
    let mounted = crate::full::mounted();
    let mut host = Host::at(mounted.join("host"));
    host.stop();
    damage_manifest(&host);
    let ballast = host.root.join("ballast");
    let full = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", ballast.display())).output();
    assert!(!full.expect("dd runs").status.success(), "until there is no space left");
    let told = host.follow("### The disk is full meanwhile", 0);
    assert!(told[0].contains("No space left on device") && told[0].contains("shard-000.new"), "{}", told[0]);
    // Nothing had changed: it is the shard as it was before that is kept.
    assert_eq!(files(&host.data().join("shard-000.replaced/segments")).len(), 3);
    assert_eq!(host.count("cpu"), Ok(ALL));
}
