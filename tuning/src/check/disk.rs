//! Block devices: scheduler, write cache, largest request.

use super::Finding;
use super::memory::chosen;
use crate::host::Host;

/// The server reads and writes at most this much at once.
const REQUEST_KIB_MIN: u64 = 1_024;

pub(super) fn check(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for device in host.list("sys/block") {
        // Loop devices, memory disks and optical drives hold no data folder; partitions and dm volumes sit on others.
        let is_disk = !["loop", "ram", "zram", "sr", "fd", "dm-", "md"].iter().any(|prefix| device.starts_with(prefix));
        if is_disk && host.number(&format!("sys/block/{device}/size")) != Some(0) {
            findings.extend([scheduler(host, &device), cache(host, &device), request(host, &device)]);
        }
    }
    if findings.is_empty() {
        findings.push(Finding::unknown("disk", "no block device is listed under /sys/block"));
    }
    findings
}

fn scheduler(host: &Host, device: &str) -> Finding {
    const WHY: &str = "the server orders its own I/O; a scheduler adds a queue, a lock and CPU time to each request";
    let setting = format!("{device} scheduler");
    let path = format!("sys/block/{device}/queue/scheduler");
    match host.read(&path) {
        None => Finding::unknown(&setting, WHY),
        Some(text) => {
            let word = chosen(&text);
            Finding::judge(&setting, word, word == "none", WHY, format!("echo none > /{path}"))
        }
    }
}

fn cache(host: &Host, device: &str) -> Finding {
    const WHY: &str = "a volatile cache must be flushed for each group commit; with FUA only the log's blocks are";
    let setting = format!("{device} write cache");
    let queue = format!("sys/block/{device}/queue");
    let Some(cache) = host.read(&format!("{queue}/write_cache")) else { return Finding::unknown(&setting, WHY) };
    let fua = host.number(&format!("{queue}/fua")) == Some(1);
    let value = if fua { format!("{cache}, FUA") } else { format!("{cache}, no FUA") };
    let remedy = "use a drive with power-loss protection (it reports write through), or let the hypervisor pass FUA; \
                  never report write through for a cache that forgets: acknowledged rows would be lost";
    Finding::judge(&setting, value, cache == "write through" || fua, WHY, remedy)
}

fn request(host: &Host, device: &str) -> Finding {
    const WHY: &str = "the server's largest request is 1 MiB; a smaller limit of the device splits it";
    let setting = format!("{device} largest request");
    let path = format!("sys/block/{device}/queue/max_sectors_kb");
    match host.number(&path) {
        None => Finding::unknown(&setting, WHY),
        Some(kib) => Finding::judge(
            &setting,
            format!("{kib} KiB"),
            kib >= REQUEST_KIB_MIN,
            WHY,
            format!("echo {REQUEST_KIB_MIN} > /{path} (at most what max_hw_sectors_kb says)"),
        ),
    }
}
