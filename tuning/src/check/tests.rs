use std::fs;
use std::path::PathBuf;

use super::*;

/// A host laid out in a temporary folder, removed when dropped.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("tidewire-tuning-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { root }
    }

    fn findings(&self) -> Vec<Finding> {
        all(&Host::new(self.root.clone()))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn level(findings: &[Finding], setting: &str) -> Level {
    findings.iter().find(|finding| finding.setting == setting).unwrap_or_else(|| panic!("no {setting}")).level
}

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 1048576              files
Max locked memory         8388608              unlimited            bytes
";

/// A well-tuned bare-metal host with two cores.
const GOOD: [(&str, &str); 20] = [
    ("proc/sys/kernel/osrelease", "6.12.21-generic\n"),
    ("proc/sys/kernel/io_uring_disabled", "0\n"),
    ("proc/sys/net/core/somaxconn", "4096\n"),
    ("proc/self/limits", LIMITS),
    ("proc/swaps", "Filename Type Size Used Priority\n"),
    ("proc/sys/vm/swappiness", "60\n"),
    (
        "proc/interrupts",
        "     CPU0 CPU1\n 30: 5 5 PCI-MSIX nvme0q1\n 31: 5 5 PCI-MSIX eth0-TxRx-1\nNMI: 0 0 Non-maskable\n",
    ),
    ("proc/irq/30/smp_affinity_list", "0\n"),
    ("proc/irq/31/effective_affinity_list", "1\n"),
    ("sys/devices/system/cpu/online", "0-1\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("sys/block/nvme0n1/queue/scheduler", "[none] mq-deadline\n"),
    ("sys/block/nvme0n1/queue/write_cache", "write back\n"),
    ("sys/block/nvme0n1/queue/fua", "1\n"),
    ("sys/block/nvme0n1/queue/max_sectors_kb", "1280\n"),
    ("sys/class/net/eth0/device/vendor", "0x8086\n"),
    ("sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n"),
    ("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n"),
];

#[test]
fn a_tuned_host_passes() {
    let tree = Tree::new("good", &GOOD);
    let findings = tree.findings();
    let not_passed: Vec<_> = findings.iter().filter(|finding| finding.level != Level::Pass).collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
    assert_eq!(findings.len(), 14);
    assert!(report(&findings).ends_with("Nothing to mend.\n"));
}

/// Each change of the good host must warn in its own line and nowhere else.
#[test]
fn each_bad_setting_warns_alone() {
    let cases = [
        ("kernel", "proc/sys/kernel/osrelease", "5.15.0-91-generic"),
        ("kernel.io_uring_disabled", "proc/sys/kernel/io_uring_disabled", "2"),
        ("net.core.somaxconn", "proc/sys/net/core/somaxconn", "128"),
        (
            "memlock (hard limit)",
            "proc/self/limits",
            "Max locked memory 8388608 8388608 bytes\nMax open files 1 1048576 f",
        ),
        (
            "nofile (hard limit)",
            "proc/self/limits",
            "Max locked memory 1 unlimited bytes\nMax open files 1024 20000 files",
        ),
        ("CPU governor", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
        ("transparent huge pages", "sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never"),
        ("vm.swappiness", "proc/swaps", "Filename Type\n/dev/sda2 partition"),
        ("nvme0n1 scheduler", "sys/block/nvme0n1/queue/scheduler", "none [mq-deadline]"),
        ("nvme0n1 write cache", "sys/block/nvme0n1/queue/fua", "0"),
        ("nvme0n1 largest request", "sys/block/nvme0n1/queue/max_sectors_kb", "512"),
        ("IRQ affinity", "proc/irq/30/smp_affinity_list", "1"),
    ];
    for (index, (setting, path, text)) in cases.into_iter().enumerate() {
        let tree = Tree::new(&format!("bad-{index}"), &GOOD);
        fs::write(tree.root.join(path), text).unwrap();
        let findings = tree.findings();
        let warned: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.level == Level::Warn)
            .map(|finding| finding.setting.as_str())
            .collect();
        assert_eq!(warned, [setting]);
        let warning = findings.iter().find(|finding| finding.level == Level::Warn).unwrap();
        assert!(!warning.remedy.is_empty() && report(&findings).contains(&warning.remedy));
    }
}

#[test]
fn a_big_host_should_isolate_cores_and_have_queues() {
    let tree = Tree::new("big", &GOOD);
    fs::write(tree.root.join("sys/devices/system/cpu/online"), "0-15").unwrap();
    let findings = tree.findings();
    assert_eq!(level(&findings, "isolated cores"), Level::Warn);
    assert_eq!(level(&findings, "eth0 receive queues"), Level::Warn);
    fs::write(tree.root.join("sys/devices/system/cpu/isolated"), "2-15").unwrap();
    fs::write(tree.root.join("sys/class/net/eth0/queues/rx-0/rps_cpus"), "0000,0000ffff").unwrap();
    let findings = tree.findings();
    assert_eq!(level(&findings, "isolated cores"), Level::Pass);
    assert_eq!(level(&findings, "eth0 receive queues"), Level::Pass);
}

#[test]
fn an_empty_host_is_unknown_not_wrong() {
    let tree = Tree::new("empty", &[]);
    let findings = tree.findings();
    assert!(findings.iter().all(|finding| finding.level != Level::Warn), "{findings:#?}");
    assert_eq!(level(&findings, "kernel"), Level::Unknown);
    assert_eq!(level(&findings, "disk"), Level::Unknown);
    // A kernel without the switch cannot forbid rings.
    assert_eq!(level(&findings, "kernel.io_uring_disabled"), Level::Pass);
}
