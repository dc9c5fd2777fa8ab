//! Network cards: queues and the cores their interrupts go to.

use std::collections::BTreeSet;

use super::Finding;
use crate::host::{Host, cores_of};

pub(super) fn check(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for card in host.list("sys/class/net") {
        // Only real cards have a device; loopback, bridges and tunnels do not.
        if host.exists(&format!("sys/class/net/{card}/device")) {
            findings.push(queues(host, &card));
        }
    }
    findings.push(interrupts(host));
    findings
}

fn queues(host: &Host, card: &str) -> Finding {
    const WHY: &str = "packets of one receive queue are handled by one core; with fewer queues than cores some wait";
    let setting = format!("{card} receive queues");
    let queues: Vec<String> =
        host.list(&format!("sys/class/net/{card}/queues")).into_iter().filter(|name| name.starts_with("rx-")).collect();
    let cores = host.cores();
    let steered = queues.iter().any(|queue| {
        // A mask of hexadecimal digits; anything but zeros spreads packets in software.
        let mask = host.read(&format!("sys/class/net/{card}/queues/{queue}/rps_cpus"));
        mask.is_some_and(|mask| mask.chars().any(|digit| digit != '0' && digit != ','))
    });
    let value = format!("{} for {cores} cores{}", queues.len(), if steered { ", spread by RPS" } else { "" });
    // 64 bits hold the mask of any host whose card has too few queues.
    let mask = u64::MAX >> (64 - cores.clamp(1, 64));
    let remedy = format!(
        "ethtool -L {card} combined {cores}; if the card has no more: echo {mask:x} > /sys/class/net/{card}/queues/rx-0/rps_cpus"
    );
    Finding::judge(&setting, value, queues.len() >= cores || steered, WHY, remedy)
}

/// Where the interrupts of cards and disks arrive. Named in `/proc/interrupts` by driver and queue.
fn interrupts(host: &Host) -> Finding {
    const WHY: &str = "interrupts that all arrive on one core slow the shard that owns it";
    const QUEUE_NAMES: [&str; 8] = ["input", "output", "rx", "tx", "TxRx", "comp", "nvme", "req"];
    let table = host.read("proc/interrupts").unwrap_or_default();
    let mut lines = 0;
    let mut cores = BTreeSet::new();
    for line in table.lines() {
        let Some((number, rest)) = line.split_once(':') else { continue };
        let name = rest.split_ascii_whitespace().next_back().unwrap_or_default();
        let number = number.trim();
        let is_queue = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty();
        if !is_queue || !QUEUE_NAMES.iter().any(|part| name.contains(part)) {
            continue;
        }
        let effective = host.read(&format!("proc/irq/{number}/effective_affinity_list"));
        let list = effective.or_else(|| host.read(&format!("proc/irq/{number}/smp_affinity_list")));
        if let Some(list) = list {
            lines += 1;
            cores.extend(cores_of(&list));
        }
    }
    let setting = "IRQ affinity";
    if lines == 0 {
        return Finding::unknown(setting, WHY);
    }
    let value = format!("{lines} device queues on {} of {} cores", cores.len(), host.cores());
    let good = cores.len() > 1 || lines == 1 || host.cores() == 1;
    let remedy = "run irqbalance, or write a core per queue: echo 1 > /proc/irq/NUMBER/smp_affinity_list";
    Finding::judge(setting, value, good, WHY, remedy)
}
