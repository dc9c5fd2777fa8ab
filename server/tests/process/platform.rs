//! What platforms put into a process's environment does not keep the server from starting, nor the tools from running.

use std::process::Command;

use crate::common::{Server, fresh_folder};
use crate::starts::refused_with;

/// For a service `tidewire`, by Kubernetes and by Docker's links, and what somebody else may set.
const SET: [(&str, &str); 10] = [
    ("TIDEWIRE_SERVICE_HOST", "10.0.0.7"),
    ("TIDEWIRE_SERVICE_PORT", "8902"),
    ("TIDEWIRE_SERVICE_PORT_HTTP", "8902"),
    ("TIDEWIRE_PORT", "tcp://10.0.0.7:8902"),
    ("TIDEWIRE_PORT_8902_TCP", "tcp://10.0.0.7:8902"),
    ("TIDEWIRE_PORT_8902_TCP_ADDR", "10.0.0.7"),
    ("TIDEWIRE_PORT_8902_TCP_PROTO", "tcp"),
    ("TIDEWIRE_NAME", "/app/tidewire"),
    ("TIDEWIRE_ENV_PATH", "/usr/bin"),
    ("TIDEWIRE_IMAGE_VERSION", "7"),
];

#[test]
fn links_to_a_service_of_our_name_are_passed_over() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, true, &SET);
    assert_eq!(server.request("GET", "/ping", &[], b"").status(), 204);
    let inspected = Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["inspect", "--data-dir"])
        .arg(&folder)
        .envs(SET)
        .output()
        .expect("the binary runs");
    assert!(inspected.status.success(), "{}", String::from_utf8_lossy(&inspected.stderr));
}

#[test]
fn a_setting_that_is_misspelled_is_refused() {
    let folder = fresh_folder();
    let told = refused_with(&[("TIDEWIRE_DATADIR", "/x")], &folder);
    assert_eq!(told, "tidewire: TIDEWIRE_DATADIR: unknown key; did you mean TIDEWIRE_DATA_DIR?");
    let _ = std::fs::remove_dir_all(&folder);
}
