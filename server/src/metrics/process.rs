//! The process as metrics, under the names that every Prometheus client uses; and which build it is.

use std::fs;
use std::rc::Rc;

use rustix::process::{Resource, getrlimit};

use super::registry::{Counter, Gauge, Registry};

/// What core 0 shows of the process.
#[derive(Debug)]
pub(crate) struct ProcessMetrics {
    cpu: Rc<Counter>,
    virtual_memory: Rc<Gauge>,
    open_fds: Rc<Gauge>,
    max_fds: Rc<Gauge>,
}

impl ProcessMetrics {
    /// In `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let help = "1; its labels say which build of the server this is.";
        registry.gauge("tidewire_build_info", help, &[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let help = "When the process started, in seconds since 1970.";
        let start = registry.seconds_gauge("process_start_time_seconds", help);
        start.set(start_ns().and_then(|ns| i64::try_from(ns).ok()).unwrap_or(0));
        let gauge = |name, help| registry.gauge(name, help, &[]);
        Self {
            cpu: registry.seconds_counter("process_cpu_seconds_total", "Processor time of the process."),
            virtual_memory: gauge("process_virtual_memory_bytes", "Addresses that the process has mapped."),
            open_fds: gauge("process_open_fds", "Open file descriptors."),
            max_fds: gauge("process_max_fds", "Most file descriptors that may be open."),
        }
    }

    /// Fills in the values of this moment. What `/proc` does not say stays as it was.
    pub(crate) fn update(&self) {
        let set = |gauge: &Gauge, value: Option<u64>| {
            if let Some(value) = value {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        };
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text)) {
            self.cpu.advance_to(ns_of_ticks(stat.cpu_ticks));
            set(&self.virtual_memory, Some(stat.virtual_bytes));
        }
        set(&self.open_fds, open_fds());
        // Without a limit there is no number for it.
        set(&self.max_fds, getrlimit(Resource::Nofile).current);
    }
}

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    /// After the boot of the machine.
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name of the program, in brackets, may have any characters.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
        // Numbered from 3 (the state), see proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)?, virtual_bytes: field(23)? })
    }
}

fn ns_of_ticks(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// When the process started, after 1970.
fn start_ns() -> Option<u64> {
    let stat = Stat::read(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    boot.checked_mul(1_000_000_000)?.checked_add(ns_of_ticks(stat.start_ticks))
}

/// Kernels from 6.2 on say it as the folder's size; before, they are counted.
fn open_fds() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // The one that reads the folder is not the server's.
        0 => Some((fs::read_dir(FOLDER).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let text = "71 (a) b (c) S 1 71 71 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 12345 9437184 700 184467 1 1\n";
        assert_eq!(Stat::read(text), Some(Stat { cpu_ticks: 300, start_ticks: 12_345, virtual_bytes: 9_437_184 }));
        assert_eq!(Stat::read("71 (x) S 1"), None);
        assert_eq!(Stat::read(""), None);
    }

    #[test]
    fn this_process_has_started_and_has_files_open() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let start = start_ns().unwrap();
        assert!(start < now && now - start < 3_600_000_000_000, "{start} {now}");
        assert!((3..100_000).contains(&open_fds().unwrap()));
    }
}
