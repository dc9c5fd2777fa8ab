//! What the host grants: io_uring at all, memory to lock, open files.
#![expect(unsafe_code, reason = "io_uring_setup is the only sure way to learn whether this process may use io_uring")]

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::io_uring::IoringFeatureFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files asked for: one descriptor per connection, and one for each segment that is read.
const OPEN_FILES_WANTED: u64 = 1 << 20;

/// Locked memory asked for where the hard limit allows it.
const LOCKED_BYTES_WANTED: u64 = 256 << 20;

/// Registered memory per core when locked memory is plentiful: 8 transfers of 1 MiB in flight.
const IO_MEMORY_BYTES_MAX: usize = 8 << 20;

/// Less is not worth registering: a commit of the log would seldom fit.
const IO_MEMORY_BYTES_MIN: usize = 256 << 10;

/// Limits of this process after [`raise_limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Locked memory in bytes; `None` is unlimited.
    pub locked_bytes: Option<u64>,
    /// Open files; `None` is unlimited.
    pub open_files: Option<u64>,
}

/// Raises the soft limits as far as the hard limits (and the kernel, for root) allow.
pub fn raise_limits() -> Limits {
    raise(Resource::Memlock, LOCKED_BYTES_WANTED);
    raise(Resource::Nofile, OPEN_FILES_WANTED);
    Limits { locked_bytes: getrlimit(Resource::Memlock).current, open_files: getrlimit(Resource::Nofile).current }
}

fn raise(resource: Resource, wanted: u64) {
    let now = getrlimit(resource);
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    // First beyond the hard limit, which only a privileged process may; then up to it, which anyone may.
    let beyond = Rlimit { current: Some(wanted), maximum: now.maximum.map(|maximum| maximum.max(wanted)) };
    if setrlimit(resource, beyond).is_err() {
        let within = Rlimit { current: now.maximum.map_or(Some(wanted), |maximum| Some(maximum.min(wanted))), ..now };
        if let Err(error) = setrlimit(resource, within) {
            log::warn!("cannot raise the limit {resource:?}: {error}");
        }
    }
}

/// Says in one sentence why the server does not start with so few open files.
pub fn check_open_files(open_files: Option<u64>, cores: usize) -> Result<(), String> {
    /// Listeners, log, catalog, and a handful of connections.
    const FILES_MIN: u64 = 32;
    /// Rings, bells and helpers of a core, and the log and first segments of its shards.
    const FILES_PER_CORE: u64 = 32;
    let needed = FILES_MIN + FILES_PER_CORE * cores as u64;
    match open_files {
        Some(limit) if limit < needed => Err(format!(
            "the limit of open files is {limit} and {cores} cores need {needed} at least, each connection one \
             more (ulimit -n, LimitNOFILE)"
        )),
        _ => Ok(()),
    }
}

/// Segment files that each of `shards` may have open: half of what the process may open is left for connections.
pub fn open_segments_max(open_files: Option<u64>, shards: usize) -> usize {
    /// A scan has that many at hand.
    const SEGMENTS_MIN: u64 = 8;
    let all = open_files.unwrap_or(OPEN_FILES_WANTED).min(OPEN_FILES_WANTED) / 2;
    (all / shards.max(1) as u64).max(SEGMENTS_MIN) as usize
}

/// What this process may open now.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Registered memory of one core such that all cores together stay within three quarters of what may be locked; 0
/// where that is too little to be worth it.
pub fn io_memory_bytes(locked_bytes: Option<u64>, cores: usize) -> usize {
    let Some(locked) = locked_bytes else { return IO_MEMORY_BYTES_MAX };
    let share = locked / 4 * 3 / cores.max(1) as u64;
    let share = usize::try_from(share).unwrap_or(IO_MEMORY_BYTES_MAX).min(IO_MEMORY_BYTES_MAX);
    if share < IO_MEMORY_BYTES_MIN { 0 } else { share & !(4096 - 1) }
}

/// Bytes the kernel has pinned for this process: registered memory of all cores. `None` where
/// `/proc` does not say.
pub fn pinned_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPin:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Version of the running kernel.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Asks the kernel for a ring, and says in one sentence why there is none.
pub fn check_io_uring() -> Result<(), String> {
    let mut params = rustix::io_uring::io_uring_params::default();
    // SAFETY: no flag is set, so no descriptor is read from `params`; the kernel only writes into it.
    let ring = unsafe { rustix::io_uring::io_uring_setup(1, &mut params) };
    match ring {
        Ok(_) => {}
        Err(error) => {
            return Err(format!("io_uring is not available: {}", why_no_ring(&error.into())));
        }
    }
    // Came with Linux 5.13, as did the polls that stay armed.
    if !params.features.contains(IoringFeatureFlags::RSRC_TAGS) {
        return Err(format!("the kernel is too old: {}, and 5.15 is needed (5.13 may do)", kernel()));
    }
    Ok(())
}

/// Says in one sentence why this process cannot have a ring, and what helps.
pub(super) fn why_no_ring(error: &io::Error) -> String {
    let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    let locked_bytes = getrlimit(Resource::Memlock).current;
    format!("{} ({error})", cause(error.raw_os_error(), setting.trim(), locked_bytes))
}

/// Why there is no ring: by the error, the setting `kernel.io_uring_disabled` and the limit of locked memory.
fn cause(errno: Option<i32>, disabled: &str, locked_bytes: Option<u64>) -> String {
    let errno = errno.map(Errno::from_raw_os_error);
    match (errno, disabled) {
        (Some(Errno::PERM), "1" | "2") => {
            format!("it is disabled by kernel.io_uring_disabled={disabled} (sysctl -w kernel.io_uring_disabled=0)")
        }
        (Some(Errno::NOSYS), _) => "the kernel is built without it, or a seccomp filter hides it (in a container: \
             --security-opt seccomp=tuning/seccomp/tidewire.json)"
            .to_owned(),
        (Some(Errno::PERM | Errno::ACCESS), _) => {
            "a seccomp filter refuses it, as that of containers does (run it with \
             --security-opt seccomp=tuning/seccomp/tidewire.json; in a systemd unit, allow @aio in SystemCallFilter)"
                .to_owned()
        }
        (Some(Errno::NOMEM), _) => {
            let limit = locked_bytes.map_or("unlimited".to_owned(), |bytes| format!("{bytes} bytes"));
            format!(
                "there is no memory for a ring: the limit of locked memory is {limit} (ulimit -l, LimitMEMLOCK in the \
                 unit), or the control group is full"
            )
        }
        (Some(Errno::MFILE | Errno::NFILE), _) => {
            "no descriptor is left for a ring (ulimit -n, LimitNOFILE in the unit)".to_owned()
        }
        _ => "no ring could be made".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_are_refused() {
        assert!(check_open_files(None, 64).is_ok() && check_open_files(Some(96), 2).is_ok());
        let reason = check_open_files(Some(95), 2).unwrap_err();
        assert!(reason.contains("limit of open files is 95") && reason.contains("need 96"), "{reason}");
    }

    #[test]
    fn segments_leave_half_of_the_descriptors_to_others() {
        assert_eq!(open_segments_max(Some(20_000), 2), 5000);
        assert_eq!([open_segments_max(None, 4), open_segments_max(Some(96), 16)], [1 << 17, 8]);
    }

    #[test]
    fn registered_memory_fits_into_what_may_be_locked() {
        for (locked, cores) in [(8 << 20, 1), (8 << 20, 2), (64 << 20, 2), (8 << 20, 16), (1 << 30, 4), (64 << 10, 1)] {
            let arena = io_memory_bytes(Some(locked), cores);
            assert_eq!(arena % 4096, 0);
            assert!((arena as u64) * cores as u64 <= locked);
        }
        assert_eq!(io_memory_bytes(Some(64 << 10), 1), 0);
        assert_eq!(io_memory_bytes(None, 8), IO_MEMORY_BYTES_MAX);
    }

    #[test]
    fn a_ring_that_is_refused_is_explained_with_what_helps() {
        let told = |errno: Errno, disabled| cause(Some(errno.raw_os_error()), disabled, Some(65536));
        for (errno, disabled, wanted) in [
            (Errno::PERM, "2", "kernel.io_uring_disabled=2"),
            (Errno::PERM, "0", "seccomp=tuning/seccomp/tidewire.json"),
            (Errno::ACCESS, "", "SystemCallFilter"),
            (Errno::NOSYS, "", "built without it"),
            (Errno::NOMEM, "0", "65536 bytes (ulimit -l, LimitMEMLOCK"),
            (Errno::MFILE, "0", "LimitNOFILE"),
            (Errno::INVAL, "0", "no ring could be made"),
        ] {
            let told = told(errno, disabled);
            assert!(told.contains(wanted), "{errno:?}: {told}");
        }
        assert!(cause(Some(Errno::NOMEM.raw_os_error()), "", None).contains("unlimited"));
    }

    #[test]
    fn this_machine_has_io_uring() {
        assert_eq!(check_io_uring(), Ok(()));
    }
}
