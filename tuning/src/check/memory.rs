//! Huge pages and swap.

use super::Finding;
use crate::host::Host;

/// The kernel should drop page cache long before it swaps out the server.
const SWAPPINESS_MAX: u64 = 10;

pub(super) fn check(host: &Host) -> Vec<Finding> {
    vec![huge_pages(host), swap(host)]
}

fn huge_pages(host: &Host) -> Finding {
    const WHY: &str = "with `always` the kernel stalls threads to make huge pages and memory grows beyond its bound";
    let setting = "transparent huge pages";
    match host.read("sys/kernel/mm/transparent_hugepage/enabled") {
        None => Finding::unknown(setting, WHY),
        Some(text) => {
            let chosen = chosen(&text);
            let remedy = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
            Finding::judge(setting, chosen, chosen != "always", WHY, remedy)
        }
    }
}

fn swap(host: &Host) -> Finding {
    const WHY: &str = "a memtable that is swapped out turns microseconds into milliseconds";
    let setting = "vm.swappiness";
    let has_swap = host.read("proc/swaps").is_some_and(|text| text.lines().count() > 1);
    match host.number("proc/sys/vm/swappiness") {
        None => Finding::unknown(setting, WHY),
        Some(value) if !has_swap => Finding::judge(setting, format!("{value} (no swap)"), true, WHY, ""),
        Some(value) => {
            let remedy = "sysctl -w vm.swappiness=1, or swapoff -a";
            Finding::judge(setting, value.to_string(), value <= SWAPPINESS_MAX, WHY, remedy)
        }
    }
}

/// The word in brackets of `always [madvise] never`.
pub(super) fn chosen(text: &str) -> &str {
    text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(text, |(word, _)| word)
}
