//! The files that are installed on a host, against what they promise.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the newest kernel that was looked at (6.18, 24 GiB of memory) sets by itself; a file may go above it.
const KERNEL_DEFAULTS: [(&str, &[u64]); 7] = [
    ("kernel.io_uring_disabled", &[0]),
    ("net.core.somaxconn", &[4096]),
    ("net.ipv4.tcp_max_syn_backlog", &[4096]),
    ("net.core.rmem_max", &[4 << 20]),
    ("net.core.wmem_max", &[4 << 20]),
    ("net.ipv4.tcp_rmem", &[4096, 131_072, 32 << 20]),
    ("net.ipv4.tcp_wmem", &[4096, 16_384, 4 << 20]),
];

/// Lowered on purpose.
const LOWERED: [&str; 1] = ["vm.swappiness"];

/// Where the binary is, in every file and on every page.
const BINARY: &str = "/usr/local/bin/tidewire";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `key=value` of a file with comments, in their order.
fn settings(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '['])).filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

#[test]
fn no_sysctl_is_below_what_a_kernel_sets_by_itself() {
    for (key, value) in settings(&read("tuning/sysctl.d/60-tidewire.conf")) {
        if LOWERED.contains(&key.as_str()) {
            continue;
        }
        let (_, defaults) = KERNEL_DEFAULTS
            .iter()
            .find(|(known, _)| *known == key)
            .unwrap_or_else(|| panic!("{key}: what kernels set by themselves is not known here"));
        let values: Vec<u64> = value.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert_eq!(values.len(), defaults.len(), "{key}");
        assert!(values.iter().zip(*defaults).all(|(value, default)| value >= default), "{key}: {values:?}");
    }
}

#[test]
fn the_unit_is_hardened_and_says_what_the_server_does() {
    let unit = settings(&read("tuning/systemd/tidewire.service"));
    let value = |key: &str| unit.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    for (key, wanted) in [
        ("Type", "notify"),
        ("UMask", "0077"),
        ("CapabilityBoundingSet", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("LimitMEMLOCK", "infinity"),
        ("TimeoutStartSec", "infinity"),
        ("SystemCallFilter", "@system-service"),
    ] {
        assert_eq!(value(key), Some(wanted), "{key}");
    }
    assert!(value("ExecStart").unwrap().starts_with(&format!("{BINARY} ")));
    // Systemd may kill the server only after it would have ended by itself.
    let stop_s: u64 = value("TimeoutStopSec").unwrap().parse().unwrap();
    let drain = settings(&read("tidewire.example.toml")).into_iter().find(|(key, _)| key == "drain_timeout_s");
    assert!(stop_s >= drain.unwrap().1.parse::<u64>().unwrap() + 5);
}

#[test]
fn the_binary_has_one_path() {
    let mut pages: Vec<PathBuf> =
        ["tuning/README.md", "tuning/systemd/tidewire.service", "README.md"].map(|path| root().join(path)).into();
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for page in pages.iter().filter(|path| path.is_file()) {
        let text = fs::read_to_string(page).unwrap();
        for (at, _) in text.match_indices("bin/tidewire") {
            let start = text[..at].rfind([' ', '`', '=', '(', '\n']).map_or(0, |space| space + 1);
            let path = &text[start..at + "bin/tidewire".len()];
            assert!(path == BINARY || !path.starts_with('/'), "{}: {path}", page.display());
        }
    }
}

#[test]
fn the_seccomp_profile_allows_rings_and_nothing_that_leads_out_of_a_container() {
    let profile: serde_json::Value = serde_json::from_str(&read("tuning/seccomp/tidewire.json")).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let groups = profile["syscalls"].as_array().unwrap();
    assert!(groups.iter().all(|group| group["action"] == "SCMP_ACT_ALLOW"));
    let names: Vec<&str> =
        groups.iter().flat_map(|group| group["names"].as_array().unwrap()).map(|name| name.as_str().unwrap()).collect();
    let allowed: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), allowed.len(), "a call is named twice");
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(allowed.contains(call), "{call}");
    }
    let dangerous = [
        "add_key",
        "bpf",
        "delete_module",
        "finit_module",
        "init_module",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "mount",
        "move_mount",
        "name_to_handle_at",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "reboot",
        "request_key",
        "setns",
        "settimeofday",
        "swapon",
        "umount2",
        "unshare",
        "userfaultfd",
    ];
    assert!(dangerous.iter().all(|call| !allowed.contains(call)));
}
