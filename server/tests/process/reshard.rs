//! `tidewire reshard`: the same answers from another number of shards, also after a stop at any step.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use futures_lite::future;
use tidewire_base::datadir::{DataDir, swap};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_tool::reshard::Plan;
use tidewire_tool::source::{self, Source};
use tidewire_tool::tally::Tally;

use crate::common::{Server, fresh_folder, with_copies};
use crate::deletes::{DONE, influx};
use crate::tools::{IDLE, until_flushed};

/// Runs the binary with arguments.
pub(crate) fn tidewire(arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_tidewire")).args(arguments).output();
    command.expect("the binary runs")
}

/// What it says on standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const DAY_NS: u64 = 86_400_000_000_000;

fn write(server: &Server, lines: &str) {
    let response = server.request("POST", "/api/v1/write?db=public", &[], lines.as_bytes());
    assert_eq!(response.status(), 200, "{}", response.text());
}

/// Tables with all types, gaps, several partitions, overwritten rows, series with and without tags.
fn fill(server: &Server) {
    let lines = |round: u64| -> String {
        let mut lines = String::new();
        for row in 0..600_u64 {
            let (host, time) = (row % 23, row * (DAY_NS / 200) + 1);
            lines.push_str(&format!("cpu,host=h{host},dc=d{} a={}i", host % 3, row + 1000 * round));
            if row % 3 != 0 {
                lines.push_str(&format!(",b={},c=\"text {row} \\\" round {round}\"", row as f64 / 7.0));
            }
            if row % 5 == 0 {
                lines.push_str(&format!(",d={},e={row}u", row % 2 == 0));
            }
            lines.push_str(&format!(" {time}\n"));
        }
        lines
    };
    write(server, &lines(0));
    write(server, &lines(1));
    write(
        server,
        "alone v=1 1\nalone v=2 2\nmem,host=x free=1i,used=2i 5\nmem,host=x used=3i 5\nmem,host=y free=7i 6\n",
    );
}

fn answers(server: &Server) -> Vec<String> {
    [
        "SELECT * FROM cpu ORDER BY time, host, dc",
        "SELECT host, count(a), sum(a), count(b), max(c), count(d), sum(e) FROM cpu GROUP BY host ORDER BY host",
        "SELECT * FROM alone ORDER BY time",
        "SELECT * FROM mem ORDER BY time",
    ]
    .map(|sql| {
        let response = server.sql("public", sql);
        assert_eq!(response.status(), 200, "{}", response.text());
        response.text()
    })
    .to_vec()
}

/// Deletes and expires in a folder that no server uses; the delete is in the log alone.
fn forget(root: &Path, shards: usize) {
    let catalog = source::load_catalog(root).expect("a catalog");
    let table = catalog.table("public", "cpu").expect("the table").id;
    for number in 0..shards {
        let folder = root.join(format!("shard-{number:03}"));
        let config = ShardConfig::new(number as u32);
        let opened = future::block_on(Shard::open(PlainDisk, &folder, config, &|_| true));
        let shard = opened.expect("the shard opens").0;
        let log = async { shard.run_wal().await.expect("the log is written") };
        let body = async {
            let day = DAY_NS as i64;
            shard.delete(table, &SeriesSelection::All, day, day + day / 2).expect("a delete");
            shard.expire(table, day).await.expect("an expiry");
            shard.close().await.expect("the shard closes");
        };
        future::block_on(future::zip(log, body));
    }
}

/// What a folder holds, by table, as a reader that changes nothing sees it.
fn tallies(root: &Path) -> Vec<Tally> {
    future::block_on(async {
        let source = Source::open(root).await.expect("the folder opens");
        let mut tallies = Vec::new();
        for table in source::tables(&source.catalog) {
            let mut tally = Tally::default();
            for shard in &source.shards {
                let mut scan = source::scan(shard, table, i64::MIN, i64::MAX).expect("a scan");
                while let Some(chunk) = scan.next().await.expect("rows") {
                    tally.add(&chunk, &source::fields(table), &shard.series(table.id).expect("series"));
                }
            }
            tallies.push(tally);
        }
        tallies
    })
}

#[test]
fn answers_stay_from_one_shard_to_three_to_two() {
    let folder = Folder(fresh_folder());
    let root = folder.0.to_str().expect("text").to_owned();
    let start = |shards: &str| Server::start_in(&folder.0, false, &[("TIDEWIRE_SHARDS", shards)]);
    let server = Server::start_in(&folder.0, false, &[[("TIDEWIRE_SHARDS", "1")].as_slice(), &IDLE].concat());
    fill(&server);
    // Half of it in segments, then more that only the log has.
    until_flushed(&folder.0);
    server.terminate();
    let server = start("1");
    fill(&server);
    server.kill();
    forget(&folder.0, 1);
    let server = start("0");
    let before = answers(&server);
    assert_eq!(before[0].lines().count(), 1 + 600 - 200 - 100, "a day has expired, half of one is deleted");

    let refused = tidewire(&["reshard", "--shards", "3", "--data-dir", &root]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("in use by another server"), "{}", stderr(&refused));
    server.kill();

    for (shards, keep) in [("3", None), ("2", Some(format!("{root}-kept")))] {
        let mut arguments = vec!["reshard", "--shards", shards, "--data-dir", &root];
        if let Some(keep) = &keep {
            arguments.extend(["--keep-old", keep]);
        }
        let done = tidewire(&arguments);
        assert!(done.status.success(), "{}", stderr(&done));
        assert!(stderr(&done).contains(&format!("has {shards} shards now")), "{}", stderr(&done));
        let again = tidewire(&["reshard", "--shards", shards, "--data-dir", &root]);
        assert!(again.status.success() && stderr(&again).contains("nothing is done"), "{}", stderr(&again));
        let server = start("0");
        assert_eq!(answers(&server), before);
        server.kill();
        let held = tallies(&folder.0);
        if let Some(keep) = keep {
            let kept = Folder(keep.into());
            assert_eq!(DataDir::look(&kept.0).expect("a data folder").0, 3);
            assert_eq!(tallies(&kept.0), held);
        }
    }

    // Ids go on where they were: new tables, columns and series find their place.
    let server = start("0");
    write(
        &server,
        "cpu,host=h1,dc=d1 fresh=1i 99999999999999999\ncpu,host=h1,dc=d1 fresh=2i 5\nfresh v=1 1\nmem,host=z free=1i 7\n",
    );
    for (sql, count) in [
        // What comes late for a day whose rows had expired once is kept like any other.
        ("SELECT count(fresh) FROM cpu", "2"),
        ("SELECT count(free) FROM mem", "3"),
        ("SELECT count(v) FROM fresh", "1"),
    ] {
        let answer = server.sql("public", sql).text();
        assert_eq!(answer.lines().last(), Some(count), "{sql}: {answer}");
    }
}

#[test]
fn blocks_of_new_shards_have_the_codecs_of_the_catalog() {
    let folder = Folder(fresh_folder());
    let root = folder.0.to_str().expect("text");
    let server = Server::start_in(&folder.0, false, &[("TIDEWIRE_SHARDS", "1")]);
    let created = server.sql("public", "CREATE TABLE c (v BIGINT CODEC(NULL), TAGS(host))");
    assert_eq!(created.status(), 200, "{}", created.text());
    write(&server, &(0..2_000).map(|row| format!("c,host=h{} v=7i {row}\n", row % 9)).collect::<String>());
    server.kill();
    let done = tidewire(&["reshard", "--shards", "2", "--data-dir", root]);
    assert!(done.status.success(), "{}", stderr(&done));
    let told = tidewire(&["inspect", "--blocks", "--data-dir", root]);
    assert!(told.status.success(), "{}", stderr(&told));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let blocks: Vec<&str> = told.lines().filter(|line| line.contains("stored")).collect();
    assert!(!blocks.is_empty(), "constants are stored as they are:\n{told}");
}

#[test]
fn tables_of_every_policy_and_of_the_log_alone_come_along() {
    let folder = Folder(fresh_folder());
    let root = folder.0.to_str().expect("text").to_owned();
    let server = Server::start_in(&folder.0, false, &IDLE);
    assert_eq!(influx(&server, "", "CREATE RETENTION POLICY long ON public DURATION INF REPLICATION 1"), DONE);
    let lines = |table: &str| -> String { (0..90).map(|i| format!("{table},host=h{} v={i}i {i}\n", i % 9)).collect() };
    write(&server, &lines("cpu"));
    // The same name, other types: another table.
    let text = lines("cpu").replace("i ", " ");
    assert_eq!(server.request("POST", "/write?db=public&rp=long", &[], text.as_bytes()).status(), 204);
    until_flushed(&folder.0);
    server.terminate();
    let server = Server::start_in(&folder.0, false, &[]);
    write(&server, &lines("late"));
    server.kill();
    let stored = |root: &Path| {
        let source = future::block_on(Source::open(root)).expect("the folder opens");
        let stats = source.shards.iter().map(|shard| shard.stats());
        stats.fold((0, 0), |sum, stats| (sum.0 + stats.segment_rows, sum.1 + stats.memtable_rows))
    };
    assert_eq!(stored(&folder.0), (180, 90), "one table is in the log alone");
    let before = tallies(&folder.0);
    assert_eq!(before.iter().map(|tally| tally.rows).collect::<Vec<_>>(), [90, 90, 90]);

    let done = tidewire(&["reshard", "--shards", "3", "--data-dir", &root]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(tallies(&folder.0), before);
    assert_eq!(stored(&folder.0), (270, 0));
    assert!(with_copies(&folder.0) >= 2, "new shards have copies like others");
    let server = Server::start_in(&folder.0, false, &[]);
    for table in ["cpu", "late"] {
        let answer = server.sql("public", &format!("SELECT count(v), sum(v) FROM {table}")).text();
        assert_eq!(answer.lines().last(), Some("90,4005"), "{answer}");
    }
    assert_eq!(influx(&server, "", "ALTER RETENTION POLICY long ON public DEFAULT"), DONE);
    let answer = server.sql("public", "SELECT count(v), sum(v) FROM cpu").text();
    assert_eq!(answer.lines().last(), Some("90,4005.0"), "{answer}");
}

#[test]
fn a_stop_at_any_moment_leaves_one_of_both() {
    let folder = Folder(fresh_folder());
    let server = Server::start_in(&folder.0, false, &[("TIDEWIRE_SHARDS", "2")]);
    write(&server, "cpu,host=a v=1i 1\ncpu,host=b v=2i 2\ncpu,host=c v=3i 3\ncpu,host=d v=4i 4\n");
    server.kill();
    let before = tallies(&folder.0);
    assert_eq!(before.iter().map(|tally| tally.rows).sum::<u64>(), 4);

    let build = || {
        let plan = Plan::new(&folder.0, 3, None).expect("it can be done").expect("it is to be done");
        plan.build().expect("it is built");
        plan
    };
    // Built and verified, not decided: the old shards count, and what was built goes.
    drop(build());
    assert_eq!(tallies(&folder.0), before);
    assert_eq!(DataDir::open(&folder.0, 0, 1).expect("a data folder").shards(), 2);
    assert!(!folder.0.join("reshard.new").exists());

    build().decide().expect("it is decided");
    let steps = swap::steps(&folder.0).expect("steps").len();
    assert!(steps > 8, "{steps}");
    for done in 0..=steps {
        let copy = Folder(fresh_folder());
        // As they were when it was decided, under another name, where the same steps are to be taken.
        copy_folder(&folder.0, &copy.0);
        let steps = swap::steps(&copy.0).expect("steps");
        steps[..done].iter().try_for_each(swap::Step::run).expect("the step is taken");
        let stopped = swap::is_under_way(&copy.0);
        let looked = future::block_on(Source::open(&copy.0)).err();
        assert_eq!(looked.is_some_and(|reason| reason.contains("start the server")), stopped);
        let opened = DataDir::open(&copy.0, 0, 1).expect("a data folder");
        assert_eq!(opened.shards(), 3, "after {done} steps");
        drop(opened);
        assert_eq!(tallies(&copy.0), before, "after {done} steps");
    }

    // And the server itself keeps working with it.
    let server = Server::start_in(&folder.0, false, &[]);
    let answer = server.sql("public", "SELECT count(v), sum(v) FROM cpu").text();
    assert_eq!(answer.lines().last(), Some("4,10"), "{answer}");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false if ["LOCK", "FORMAT", "RESHARD"].iter().any(|name| target.ends_with(name)) => {
                std::fs::copy(entry.path(), target).expect("a copy");
            }
            // Nothing is written into the files that a change of shards moves.
            false => std::fs::hard_link(entry.path(), target).expect("a link"),
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused_in_a_sentence() {
    let folder = Folder(fresh_folder());
    let root = folder.0.to_str().expect("text");
    let refusal = |arguments: &[&str]| {
        let output = tidewire(arguments);
        assert!(!output.status.success());
        stderr(&output)
    };
    let nothing = refusal(&["reshard", "--shards", "3", "--data-dir", root]);
    assert!(nothing.contains("is no data folder"), "{nothing}");
    drop(DataDir::open(&folder.0, 1, 1).expect("a data folder"));
    for shards in ["0", "1025", "x"] {
        let bad = refusal(&["reshard", "--shards", shards, "--data-dir", root]);
        assert!(bad.contains("--shards"), "{bad}");
    }
    let inside = format!("{root}/old");
    let kept = refusal(&["reshard", "--shards", "2", "--data-dir", root, "--keep-old", &inside]);
    assert!(kept.contains("lies in the data folder itself"), "{kept}");
    let kept = refusal(&["reshard", "--shards", "2", "--data-dir", root, "--keep-old", root]);
    assert!(kept.contains("is there already"), "{kept}");
    assert_eq!(DataDir::look(&folder.0).expect("a data folder").0, 1);
}
