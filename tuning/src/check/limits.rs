//! Resource limits of this login. A service gets its own from its unit file.

use super::Finding;
use crate::host::Host;

/// Each core registers up to 8 MiB with its ring, all of them three quarters of the limit at most: enough for six.
const MEMLOCK_BYTES_MIN: u64 = 64 << 20;
/// A socket per client and some files per partition.
const FILES_MIN: u64 = 65_536;

pub(super) fn check(host: &Host) -> Vec<Finding> {
    let limits = host.read("proc/self/limits").unwrap_or_default();
    vec![
        limit(
            "memlock (hard limit)",
            hard(&limits, "Max locked memory"),
            MEMLOCK_BYTES_MIN,
            "registered buffers are locked memory; without them every I/O pins its pages anew",
            "ulimit -l unlimited, or install tuning/limits.d/tidewire.conf and log in again",
        ),
        limit(
            "nofile (hard limit)",
            hard(&limits, "Max open files"),
            FILES_MIN,
            "every connection and every open segment is a file; the server raises its soft limit to the hard one",
            "ulimit -Hn 1048576, or install tuning/limits.d/tidewire.conf and log in again",
        ),
    ]
}

/// The hard limit; `u64::MAX` for unlimited.
fn hard(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_ascii_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn limit(setting: &str, value: Option<u64>, least: u64, why: &'static str, remedy: &str) -> Finding {
    match value {
        None => Finding::unknown(setting, why),
        Some(u64::MAX) => Finding::judge(setting, "unlimited", true, why, ""),
        Some(value) => Finding::judge(setting, value.to_string(), value >= least, why, remedy),
    }
}
