//! Where memory is.
//!
//! The allocator samples one allocation for each half a mebibyte, with its stack, where the server was started with
//! `_RJEM_MALLOC_CONF=prof:true` in its environment: it cannot begin to later. Then the profile is its samples, scaled
//! to what they stand for. Otherwise the profile is what the server's parts have counted, and says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use tidewire_protocol::encode::pprof::{Frame, Profile, ValueType};

use super::names::Names;
use crate::api::context::RequestContext;
use crate::core::message::ReadMetrics;
use crate::memory::Part;
use crate::metrics::registry::total;
use crate::ring::apart;

const SPACE: ValueType = ("inuse_space", "bytes");

/// What the allocator's control calls the samples of now; it takes the name of a file.
const DUMP: &[u8] = b"prof.dump\0";

/// Where the allocator writes its samples: memory that looks like a file. Its name is needed for as long as the process
/// lives, so there is one.
static DUMP_FILE: Mutex<Option<(File, &'static [u8])>> = Mutex::new(None);

/// The profile.
pub(super) async fn profile(context: &RequestContext<'_>) -> io::Result<Profile> {
    let now_ns = context.now_ns;
    if tikv_jemalloc_ctl::profiling::prof::read().unwrap_or(false) {
        return apart("tidewire-names", move || sampled(&dump()?, now_ns)).await;
    }
    let snapshots = context.core.peers.ask_all(ReadMetrics).await;
    let bytes = |part| total(&snapshots, "tidewire_memory_bytes", &[("part", part)]) as i64;
    let mut profile = Profile::new(&[SPACE], now_ns);
    profile.comment("what the server's parts count; start it with _RJEM_MALLOC_CONF=prof:true for sampled allocations");
    for name in Part::ALL.iter().map(|(_, name)| *name).chain(["queries"]) {
        profile.add([Frame::named(name), Frame::named("counted")], &[bytes(name)], []);
    }
    let counted = total(&snapshots, "tidewire_memory_bytes", &[]) as i64;
    let resident = total(&snapshots, "process_resident_memory_bytes", &[]) as i64;
    profile.add([Frame::named("not counted")], &[(resident - counted).max(0)], []);
    Ok(profile)
}

/// The allocator's samples, as it writes them.
fn dump() -> io::Result<String> {
    let mut kept = DUMP_FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let (file, path) = match &mut *kept {
        Some(kept) => kept,
        none => {
            let file = File::from(memfd_create("tidewire-heap", MemfdFlags::CLOEXEC)?);
            let path = format!("/proc/self/fd/{}\0", file.as_raw_fd()).into_bytes().leak();
            none.insert((file, path))
        }
    };
    tikv_jemalloc_ctl::raw::write_str(DUMP, path).map_err(|error| io::Error::other(error.to_string()))?;
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    file.set_len(0)?;
    Ok(text)
}

/// Allocations of one stack that are in use.
#[derive(Debug, Clone, Default, PartialEq)]
struct InUse {
    objects: f64,
    bytes: f64,
}

/// Samples as a profile. It takes seconds.
fn sampled(text: &str, now_ns: i64) -> io::Result<Profile> {
    let (period, stacks) = read(text).ok_or_else(|| io::Error::other("the allocator's samples cannot be read"))?;
    let mut profile = Profile::new(&[("inuse_objects", "count"), SPACE], now_ns);
    profile.set_period(("space", "bytes"), period as i64);
    let mut names = Names::default();
    for (addresses, InUse { objects, bytes }) in stacks {
        let frames: Vec<Frame> = addresses.iter().map(|address| names.frame(*address)).collect();
        profile.add(frames, &[objects.round() as i64, bytes.round() as i64], []);
    }
    Ok(profile)
}

/// Reads samples, and scales them: an allocation of `size` bytes is sampled with the probability `1 - exp(-size /
/// period)`.
///
/// ```text
/// heap_v2/524288
///   t*: 12: 4096 [0: 0]          all threads: objects, their bytes
/// @ 0x55d0c0de 0x55d0c0ff        a stack
///   t*: 3: 1024 [0: 0]
///   t1: 3: 1024 [0: 0]           of one thread
///
/// MAPPED_LIBRARIES:
/// ```
fn read(text: &str) -> Option<(f64, BTreeMap<Vec<usize>, InUse>)> {
    let (samples, _) = text.split_once("\nMAPPED_LIBRARIES:").unwrap_or((text, ""));
    let mut lines = samples.lines();
    let period: f64 = lines.next()?.strip_prefix("heap_v2/")?.parse().ok()?;
    let mut stacks: BTreeMap<Vec<usize>, InUse> = BTreeMap::new();
    let mut stack: Option<Vec<usize>> = None;
    for line in lines {
        if let Some(addresses) = line.strip_prefix('@') {
            let address = |text: &str| usize::from_str_radix(text.strip_prefix("0x")?, 16).ok();
            stack = Some(addresses.split_whitespace().map(address).collect::<Option<_>>()?);
        } else if let (Some(numbers), Some(addresses)) = (line.trim_start().strip_prefix("t*:"), stack.take()) {
            let mut numbers = numbers.split([':', '[']).map(|number| number.trim().parse::<f64>().ok());
            let (objects, bytes) = (numbers.next()??, numbers.next()??);
            if objects > 0.0 {
                let scale = 1.0 / -f64::exp_m1(-(bytes / objects) / period);
                let in_use = stacks.entry(addresses).or_default();
                in_use.objects += objects * scale;
                in_use.bytes += bytes * scale;
            }
        }
    }
    Some((period, stacks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_scaled_to_what_they_stand_for() {
        let text = "heap_v2/1000\n  t*: 9: 999 [0: 0]\n  t0: 9: 999 [0: 0]\n@ 0x10 0x2f\n  t*: 2: 2000 [0: 0]\n  t0: 2: \
                    2000 [0: 0]\n@ 0x30\n  t*: 1: 1000000 [5: 6]\n@ 0x40\n  t*: 0: 0 [0: 0]\n\nMAPPED_LIBRARIES:\n@ x\n";
        let (period, stacks) = read(text).unwrap();
        let shown: Vec<_> = stacks.iter().map(|(stack, of)| (stack.clone(), of.objects, of.bytes)).collect();
        let scale = 1.0 / (1.0 - (-1.0_f64).exp());
        assert_eq!(period, 1000.0);
        let [(first, objects, bytes), second] = &shown[..] else { panic!("{shown:?}") };
        assert_eq!((&first[..], second), (&[0x10, 0x2f][..], &(vec![0x30], 1.0, 1_000_000.0)));
        assert!((objects - 2.0 * scale).abs() < 1e-9 && (bytes - 2000.0 * scale).abs() < 1e-6, "{shown:?}");
        let profile = sampled(text, 0).unwrap();
        assert!(
            profile.text("heap").starts_with("heap profile: 4 count (inuse_objects), 1003164 bytes (inuse_space)\n")
        );
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        for text in
            ["", "heap_v1/5\n", "heap_v2/x\n", "heap_v2/1\n@ 12\n  t*: 1: 1 [0: 0]\n", "heap_v2/1\n@ 0x1\n t*: x"]
        {
            assert_eq!(read(text), None, "{text:?}");
            assert!(sampled(text, 0).is_err());
        }
    }
}
