//! The kernel and whether it lets the server have a ring.

use super::Finding;
use crate::host::Host;

/// Before 6.1 io_uring lacks deferred task work, and reads above the device's largest request can hang.
const RELEASE_MIN: (u32, u32) = (6, 1);

pub(super) fn check(host: &Host) -> Vec<Finding> {
    vec![release(host), ring(host), backlog(host)]
}

fn release(host: &Host) -> Finding {
    const WHY: &str = "io_uring is fast and free of known hangs from 6.1 on";
    let Some(release) = host.read("proc/sys/kernel/osrelease") else { return Finding::unknown("kernel", WHY) };
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    Finding::judge("kernel", release, version >= RELEASE_MIN, WHY, "install a kernel of 6.1 or later (uname -r)")
}

fn ring(host: &Host) -> Finding {
    const WHY: &str = "the server does all its I/O through io_uring and does not start without it";
    // The setting came with 6.6; before that nothing forbids a ring.
    let value = host.read("proc/sys/kernel/io_uring_disabled").unwrap_or_else(|| "0".to_owned());
    let remedy = "sysctl -w kernel.io_uring_disabled=0";
    Finding::judge("kernel.io_uring_disabled", value.clone(), value == "0", WHY, remedy)
}

fn backlog(host: &Host) -> Finding {
    const WHY: &str = "connections that arrive at once wait here; above it they are dropped";
    const SOMAXCONN_MIN: u64 = 4_096;
    let setting = "net.core.somaxconn";
    match host.number("proc/sys/net/core/somaxconn") {
        None => Finding::unknown(setting, WHY),
        Some(value) => Finding::judge(
            setting,
            value.to_string(),
            value >= SOMAXCONN_MIN,
            WHY,
            format!("sysctl -w net.core.somaxconn={SOMAXCONN_MIN}"),
        ),
    }
}
