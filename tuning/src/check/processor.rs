//! Clock speed of the cores and who else runs on them.

use super::Finding;
use crate::host::{Host, cores_of};

/// On fewer cores than this there is none to spare for others, and isolation is no question.
const ISOLATION_CORES_MIN: usize = 8;

pub(super) fn check(host: &Host) -> Vec<Finding> {
    vec![governor(host), isolated(host)]
}

fn governor(host: &Host) -> Finding {
    const WHY: &str = "a core that sleeps between requests answers the next one at its lowest clock";
    const FOLDER: &str = "sys/devices/system/cpu";
    let cores = host.list(FOLDER).into_iter().filter(|name| {
        name.strip_prefix("cpu").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    let governors: Vec<String> =
        cores.filter_map(|core| host.read(&format!("{FOLDER}/{core}/cpufreq/scaling_governor"))).collect();
    let mut kinds = governors.clone();
    kinds.sort();
    kinds.dedup();
    if governors.is_empty() {
        return Finding::judge("CPU governor", "none (the hypervisor sets the clock)", true, WHY, "");
    }
    let good = kinds == ["performance"];
    let remedy = "cpupower frequency-set -g performance";
    Finding::judge("CPU governor", kinds.join(", "), good, WHY, remedy)
}

fn isolated(host: &Host) -> Finding {
    const WHY: &str = "a shard owns its core: any other program there delays every request of the shard";
    let list = host.read("sys/devices/system/cpu/isolated").unwrap_or_default();
    let cores = host.cores();
    if cores < ISOLATION_CORES_MIN {
        let value = if list.is_empty() { format!("none of {cores}") } else { list };
        return Finding::judge("isolated cores", value, true, WHY, "");
    }
    let value = if list.is_empty() { format!("none of {cores}") } else { format!("{list} of {cores}") };
    let remedy = format!(
        "add isolcpus=2-{last} nohz_full=2-{last} to the kernel's command line and start with --cores 2-{last}",
        last = cores - 1
    );
    Finding::judge("isolated cores", value, !cores_of(&list).is_empty(), WHY, remedy)
}
