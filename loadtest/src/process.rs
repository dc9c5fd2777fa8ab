//! What a server process costs, read from outside: CPU time, memory and disk space.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Context, Error, Result};

/// A process looked at through `/proc`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pid: u32,
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: u64,
    /// The most it ever had since it started.
    pub(crate) resident_bytes_max: u64,
}

impl Process {
    /// The process must exist.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let process = Self { pid };
        process.cpu_seconds()?;
        Ok(process)
    }

    /// This process.
    pub(crate) fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// User and system time of all its threads, ended ones included.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.pid);
        let text = fs::read_to_string(&path).context(|| format!("read {path}"))?;
        let ticks = parse_stat(&text).ok_or_else(|| Error::Reply(format!("{path} has an unknown form")))?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let path = format!("/proc/{}/status", self.pid);
        let text = fs::read_to_string(&path).context(|| format!("read {path}"))?;
        Ok(parse_status(&text))
    }

    /// Waits until the process has used almost no CPU for `quiet` (its background work is done), at most `limit`.
    /// Returns the CPU seconds at the moment the quiet began and whether it was reached.
    pub(crate) fn settle(&self, quiet: Duration, limit: Duration) -> Result<(f64, bool)> {
        /// Two clock ticks in half a second are what timers and metrics of an idle server cost.
        const IDLE_CPU_S: f64 = 0.02;
        const STEP: Duration = Duration::from_millis(500);
        let started = Instant::now();
        let mut at_rest = self.cpu_seconds()?;
        let mut previous = at_rest;
        let mut rest_began = Instant::now();
        loop {
            std::thread::sleep(STEP);
            let now = self.cpu_seconds()?;
            if now - previous > IDLE_CPU_S {
                rest_began = Instant::now();
                at_rest = now;
            }
            previous = now;
            if rest_began.elapsed() >= quiet {
                return Ok((at_rest, true));
            }
            if started.elapsed() >= limit {
                return Ok((now, false));
            }
        }
    }
}

/// `utime + stime` in clock ticks. The second field, the command, may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_status(text: &str) -> Memory {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_ascii_whitespace().next())
            .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
            .map_or(0, |kilobytes| kilobytes * 1024)
    };
    Memory { resident_bytes: field("VmRSS:"), resident_bytes_max: field("VmHWM:") }
}

/// Space a data folder takes, split by what the names of its folders and files say.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct DiskUse {
    /// Sum of file lengths.
    pub(crate) apparent_bytes: u64,
    /// Sum of allocated blocks.
    pub(crate) allocated_bytes: u64,
    /// Below a folder or file whose name holds `wal`: a log that is preallocated and recycled. Like `data_bytes` it
    /// counts of each file the lesser of length and allocated blocks, so that holes in sparse files do not count.
    pub(crate) wal_bytes: u64,
    /// Everything else.
    pub(crate) data_bytes: u64,
}

impl DiskUse {
    /// Walks the folder, after a sync: a file system that allocates late would show too few blocks. Files that vanish
    /// while it looks (a server deletes what it merged) are left out.
    pub(crate) fn measure(folder: &Path) -> Result<Self> {
        let opened = fs::File::open(folder).context(|| format!("look into {}", folder.display()))?;
        rustix::fs::syncfs(&opened).context(|| format!("sync {}", folder.display()))?;
        Ok(Self::glance(folder))
    }

    /// The same without the sync, which would disturb a server that is being measured.
    pub(crate) fn glance(folder: &Path) -> Self {
        let mut used = Self::default();
        used.add(folder, false);
        used
    }

    fn add(&mut self, folder: &Path, wal: bool) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            let wal = wal || entry.file_name().to_string_lossy().to_ascii_lowercase().contains("wal");
            if metadata.is_dir() {
                self.add(&entry.path(), wal);
            } else if metadata.is_file() {
                self.apparent_bytes += metadata.len();
                let allocated = metadata.blocks() * 512;
                self.allocated_bytes += allocated;
                *(if wal { &mut self.wal_bytes } else { &mut self.data_bytes }) += metadata.len().min(allocated);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_hostile_name() {
        let text = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(parse_stat(text), Some(200));
        assert_eq!(parse_stat("42 (x"), None);
    }

    #[test]
    fn status_in_bytes() {
        let memory = parse_status("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n");
        assert_eq!((memory.resident_bytes, memory.resident_bytes_max), (1 << 20, 2 << 20));
    }

    #[test]
    fn own_process_and_a_folder() {
        let own = Process::own();
        assert!(own.memory().unwrap().resident_bytes > 0);
        assert!(Process::new(u32::MAX).is_err());
        let folder = std::env::temp_dir().join(format!("tidewire-disk-use-{}", std::process::id()));
        fs::create_dir_all(folder.join("shard-0/wal")).unwrap();
        fs::write(folder.join("shard-0/wal/0.log"), [0; 100]).unwrap();
        fs::write(folder.join("shard-0/1.seg"), [0; 7]).unwrap();
        fs::File::create(folder.join("shard-0/sparse")).unwrap().set_len(1 << 20).unwrap();
        let used = DiskUse::measure(&folder).unwrap();
        assert_eq!((used.apparent_bytes, used.wal_bytes, used.data_bytes), ((1 << 20) + 107, 100, 7));
        fs::remove_dir_all(&folder).unwrap();
    }
}
