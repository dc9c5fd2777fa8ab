//! How much memory this process may have: what the machine has, or less where a control group says so.

use std::fs;
use std::path::Path;

/// The least of what the machine has and of what the control groups of this process allow; `None` where `/proc` does
/// not even say the first.
pub fn memory_bytes() -> Option<u64> {
    memory_bytes_below(Path::new("/"))
}

/// The same for a root of any name, so that tests can make one.
fn memory_bytes_below(root: &Path) -> Option<u64> {
    let total = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| mem_total(&text));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| group_limits(&root.join("sys/fs/cgroup"), line));
    limits.chain(total).min()
}

/// `MemTotal:       24684552 kB`
fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

/// The limits of a group, given by a line `id:controllers:path`, and of all groups above it. The second version has no
/// controllers in the line, and one tree for all.
fn group_limits(tree: &Path, line: &str) -> Vec<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (tree, file) = match controllers {
        "" => (tree.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            (tree.join("memory"), "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    // In a container the path may be the host's, and is not there; the root of what is mounted is the container's own.
    let group = tree.join(path.trim_start_matches('/'));
    let folders = group.ancestors().take_while(|folder| folder.starts_with(&tree));
    folders.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).collect()
}

/// Memory of this process that is in RAM; `None` where `/proc` does not say.
pub fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(name: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = std::env::temp_dir().join(format!("tidewire-machine-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let bytes = memory_bytes_below(&root);
        let _ = fs::remove_dir_all(&root);
        bytes
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       4096 kB\nMemFree:  1 kB\n");

    #[test]
    fn a_machine_without_groups_has_what_it_has() {
        assert_eq!(allowed("none", &[]), None);
        assert_eq!(allowed("plain", &[MEMINFO]), Some(4 << 20));
        assert_eq!(allowed("odd", &[("proc/meminfo", "MemTotal: many kB\n")]), None);
        let unlimited = ("sys/fs/cgroup/memory.max", "max\n");
        assert_eq!(allowed("max", &[MEMINFO, ("proc/self/cgroup", "0::/\n"), unlimited]), Some(4 << 20));
    }

    #[test]
    fn the_tightest_group_counts_in_both_versions() {
        let own = ("proc/self/cgroup", "0::/a/b\n");
        let above = ("sys/fs/cgroup/a/memory.max", "1048576\n");
        let below = ("sys/fs/cgroup/a/b/memory.max", "2097152\n");
        assert_eq!(allowed("v2", &[MEMINFO, own, above, below]), Some(1 << 20));
        let own = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x/y\n0::/\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limit = ("sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "3145728\n");
        assert_eq!(allowed("v1", &[MEMINFO, own, unlimited, limit]), Some(3 << 20));
        // The host's path, of which the container sees the root alone.
        let root = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2048\n");
        assert_eq!(allowed("container", &[MEMINFO, own, root]), Some(2048));
    }

    #[test]
    fn this_process_is_resident() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        assert!(memory_bytes().unwrap() > resident_bytes().unwrap());
    }
}
