//! Data folders that a server cannot use: each is reported in one sentence, with a non-zero exit.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Server, fresh_folder};

/// What a server says that does not start; panics if it does.
pub(crate) fn refused(folder: &Path, more: &[&str]) -> String {
    told(Command::new(env!("CARGO_BIN_EXE_tidewire")).args(more), folder)
}

/// The same with variables of the environment.
pub(crate) fn refused_with(variables: &[(&str, &str)], folder: &Path) -> String {
    told(Command::new(env!("CARGO_BIN_EXE_tidewire")).envs(variables.iter().copied()), folder)
}

fn told(command: &mut Command, folder: &Path) -> String {
    let ended = command
        .args(["--listen", "127.0.0.1:0", "--cores", "1", "--data-dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    let last = told.trim_end().lines().last().unwrap_or_default();
    assert!(last.starts_with("tidewire: ") && !told.contains("panicked"), "{told}");
    last.to_owned()
}

#[test]
fn a_file_in_the_place_of_the_folder() {
    let path = fresh_folder();
    fs::write(&path, "").expect("a file can be made");
    let reason = refused(&path, &[]);
    let below = refused(&path.join("data"), &[]);
    let _ = fs::remove_file(&path);
    assert!(reason.contains("cannot make data folder") && reason.contains(&path.display().to_string()), "{reason}");
    assert!(below.contains("Not a directory"), "{below}");
}

#[test]
fn a_folder_of_another_version_of_another_shape_or_of_others() {
    let folder = fresh_folder();
    Server::start_in(&folder, false, &[]).terminate();
    let format = fs::read_to_string(folder.join("FORMAT")).expect("FORMAT is text");
    fs::write(folder.join("FORMAT"), format.replace("version = 1", "version = 2")).expect("FORMAT can be written");
    let version = refused(&folder, &[]);
    assert!(version.contains("it has version 2 and this server reads version 1"), "{version}");
    fs::write(folder.join("FORMAT"), "nonsense").expect("FORMAT can be written");
    assert!(refused(&folder, &[]).contains("its FORMAT cannot be read"));
    fs::write(folder.join("FORMAT"), &format).expect("FORMAT can be written");
    let variables = [("TIDEWIRE_SHARDS", "3")];
    let shards = told(Command::new(env!("CARGO_BIN_EXE_tidewire")).envs(variables), &folder);
    assert!(shards.contains("made for 2 shards and `shards` asks for 3"), "{shards}");
    fs::remove_file(folder.join("FORMAT")).expect("FORMAT is there");
    let foreign = refused(&folder, &[]);
    assert!(foreign.contains("no FORMAT, so it was not made by Tidewire"), "{foreign}");
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn too_few_open_files() {
    let folder = fresh_folder();
    // Who may raise the limit beyond its bound does so at the start; without that right it is what it is.
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource", "--"]);
    let can_give_up = Command::new("setpriv")
        .args(["--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource", "--", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !can_give_up {
        command = Command::new("env");
    }
    let limited = format!("ulimit -n 40 && exec {} \"$@\"", env!("CARGO_BIN_EXE_tidewire"));
    let reason = told(command.args(["sh", "-c", &limited, "sh"]), &folder);
    let _ = fs::remove_dir_all(&folder);
    assert!(reason.contains("the limit of open files is 40") && reason.contains("ulimit -n"), "{reason}");
}

#[test]
fn other_hosts_are_not_served_by_mistake() {
    let folder = fresh_folder();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
        command.args(["--cores", "1", "--listen", "0.0.0.0:0", "--data-dir"]).arg(&folder).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the server starts")
    };
    let refused = start(&[]).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("0.0.0.0:0") && said.contains("--insecure"), "{said}");
    assert!(!folder.exists(), "nothing is touched");
    let mut server = start(&["--insecure"]);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().expect("piped")), &mut line)
        .expect("it serves");
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM)
        .expect("it runs");
    let ended = server.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("INSECURE: on 0.0.0.0:0"), "{said}");
    let _ = fs::remove_dir_all(&folder);
}
