//! A start and the tools as root, on a folder of another user: all files are left that user's, with the folder's
//! permissions. Where the test does not run as root, there is nothing to give away.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::common::{Server, files, flip, fresh_folder};
use crate::reshard::{stderr, tidewire};

/// A user that nothing else here is.
const USER: u32 = 61_234;
const GROUP: u32 = 61_235;

fn run(arguments: &[&str]) {
    let output = tidewire(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
}

/// Everything below a folder, and the folder.
fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for path in files(folder) {
        match path.is_dir() {
            true => all.extend(all_below(&path)),
            false => all.push(path),
        }
    }
    all
}

fn check(folder: &Path, when: &str) {
    let all = all_below(folder);
    assert!(all.len() > 5, "{when}: {all:?}");
    for path in all {
        let of = std::fs::metadata(&path).expect("it is there");
        assert_eq!((of.uid(), of.gid()), (USER, GROUP), "{when}: {}", path.display());
        let mode = if of.is_dir() { 0o750 } else { 0o640 };
        assert_eq!(of.permissions().mode() & 0o777, mode, "{when}: {}", path.display());
    }
}

fn given_away(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o750)).expect("it is ours");
    chown(folder, Some(USER), Some(GROUP)).expect("root may");
}

#[test]
fn what_root_makes_in_a_folder_of_another_user_is_that_user_s() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root makes files for others");
        return;
    }
    let root = fresh_folder();
    std::fs::create_dir_all(&root).expect("a folder");
    let path = |name: &str| root.join(name).to_str().expect("text").to_owned();
    let (data, backup) = (root.join("data"), root.join("backup"));
    [&data, &backup].into_iter().for_each(|folder| given_away(folder));
    let variables = [("TIDEWIRE_SHARDS", "1"), ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1")];
    let server = Server::start_in(&data, false, &variables);
    assert_eq!(server.request("POST", "/write?db=public", &[], b"m,h=a v=1i 1\nm,h=b v=2i 2").status(), 204);
    server.wait_until("flushed", |server| server.metric("tidewire_memtable_rows", "") == 0.0);
    server.terminate();
    check(&data, "after a start");

    run(&["backup", &path("backup"), "--data-dir", &path("data")]);
    check(&backup, "after a backup");
    given_away(&root.join("restored"));
    for (target, when) in [("restored", "into a folder that is there"), ("new", "into a new folder")] {
        run(&["restore", &path("backup"), "--data-dir", &path(target)]);
        check(&root.join(target), when);
    }
    run(&["reshard", "--shards", "3", "--keep-old", &path("old"), "--data-dir", &path("data")]);
    check(&data, "after a reshard");
    check(&root.join("old"), "what a reshard keeps");

    let restored = root.join("restored");
    for name in ["MANIFEST", "MANIFEST.copy"] {
        let file = restored.join("shard-000").join(name);
        if file.exists() {
            flip(&file, 50);
        }
    }
    run(&[
        "repair",
        "--shard",
        "0",
        "--from-backup",
        &path("backup"),
        "--accept-loss",
        "--data-dir",
        &path("restored"),
    ]);
    check(&restored, "after a repair");
    let segment = files(&restored.join("shard-000/segments")).pop().expect("a segment");
    flip(&segment, std::fs::metadata(&segment).expect("it is there").len() - 1);
    let name = segment.file_name().expect("a name").to_str().expect("text");
    run(&["repair", "--shard", "0", "--segment", name, "--accept-loss", "--data-dir", &path("restored")]);
    check(&restored, "after a segment was given up");
    Server::start_in(&restored, false, &variables).terminate();
    check(&restored, "after a start on it");
    let _ = std::fs::remove_dir_all(&root);
}
