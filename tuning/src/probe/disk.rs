//! Latency and throughput of a disk under direct I/O.
//!
//! Depth is made with threads, one blocking request each: for requests of this size the cost of a thread does not show.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, Mode, OFlags};

use super::ProbeError;

/// Alignment that every device accepts for direct I/O.
const ALIGN: usize = 4_096;
/// Size of a large request: what the server uses for segments, well below any device's limit.
const REQUEST_BYTES: usize = 512 << 10;
/// Requests in flight that are tried.
const DEPTHS: [usize; 5] = [1, 2, 4, 8, 16];
/// Passes at each depth; the fastest counts, for other work on the host can only slow one down.
const PASSES: usize = 3;
/// Durable writes that are timed.
const SYNCS: usize = 200;
/// A depth is deep enough when it reaches this share of the best throughput.
const ENOUGH: f64 = 0.93;

/// What a disk does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DiskFigures {
    /// 4 KiB write and fdatasync: median and 99th percentile.
    pub(crate) write_sync_us: f64,
    pub(crate) write_sync_p99_us: f64,
    /// Bytes per second at each depth.
    pub(crate) write: Vec<(usize, f64)>,
    pub(crate) read: Vec<(usize, f64)>,
}

impl DiskFigures {
    /// Throughput at the best depth.
    pub(crate) fn best(measured: &[(usize, f64)]) -> f64 {
        measured.iter().map(|&(_, bytes_per_s)| bytes_per_s).fold(0.0, f64::max)
    }

    /// The least depth that is nearly as fast as the best.
    pub(crate) fn depth(measured: &[(usize, f64)]) -> usize {
        let enough = Self::best(measured) * ENOUGH;
        measured.iter().find(|(_, bytes_per_s)| *bytes_per_s >= enough).map_or(1, |&(depth, _)| depth)
    }
}

/// A file that goes away with the value.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) fn measure(folder: &Path, bytes: u64) -> Result<DiskFigures, ProbeError> {
    let path = folder.join(format!("tuning-probe-{}", std::process::id()));
    let failed = |action: &'static str| {
        let path = path.display().to_string();
        move |error| ProbeError::new(format!("{action} {path}"), error)
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(failed("open with O_DIRECT"))?;
    let scratch = Scratch { path: path.clone(), file: File::from(file) };
    rustix::fs::fallocate(&scratch.file, FallocateFlags::empty(), 0, bytes).map_err(failed("allocate"))?;
    // The first pass turns allocated into written blocks; only then are times those of a recycled log.
    throughput(&scratch.file, bytes, 4, true).map_err(failed("write"))?;
    rustix::fs::fsync(&scratch.file).map_err(failed("sync"))?;
    let syncs = durable_writes(&scratch.file, bytes).map_err(failed("write and sync"))?;
    let mut write = Vec::new();
    let mut read = Vec::new();
    for depth in DEPTHS {
        write.push((depth, fastest(&scratch.file, bytes, depth, true).map_err(failed("write"))?));
    }
    for depth in DEPTHS {
        read.push((depth, fastest(&scratch.file, bytes, depth, false).map_err(failed("read"))?));
    }
    let us = |index: usize| syncs.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    Ok(DiskFigures { write_sync_us: us(syncs.len() / 2), write_sync_p99_us: us(syncs.len() * 99 / 100), write, read })
}

/// An aligned window of a buffer: direct I/O refuses others.
fn aligned(buffer: &mut [u8], bytes: usize) -> &mut [u8] {
    let start = buffer.as_ptr().align_offset(ALIGN);
    &mut buffer[start..start + bytes]
}

fn buffer(bytes: usize) -> Vec<u8> {
    // Zeros could be compressed away by the device.
    let mut random = fastrand::Rng::with_seed(1);
    let mut buffer = vec![0; bytes + ALIGN];
    random.fill(&mut buffer);
    buffer
}

/// Times of durable 4 KiB writes, sorted.
fn durable_writes(file: &File, bytes: u64) -> rustix::io::Result<Vec<Duration>> {
    let mut buffer = buffer(ALIGN);
    let block = aligned(&mut buffer, ALIGN);
    let mut times = Vec::with_capacity(SYNCS);
    for index in 0..SYNCS as u64 {
        let begun = Instant::now();
        rustix::io::pwrite(file, block, index * ALIGN as u64 % bytes)?;
        rustix::fs::fdatasync(file)?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times)
}

fn fastest(file: &File, bytes: u64, depth: usize, write: bool) -> rustix::io::Result<f64> {
    let mut best = 0.0;
    for _ in 0..PASSES {
        best = f64::max(best, throughput(file, bytes, depth, write)?);
    }
    Ok(best)
}

/// Bytes per second of one pass over the file with `depth` requests in flight.
fn throughput(file: &File, bytes: u64, depth: usize, write: bool) -> rustix::io::Result<f64> {
    let requests = bytes / REQUEST_BYTES as u64;
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    let results: Vec<rustix::io::Result<()>> = thread::scope(|scope| {
        let work = || {
            let mut buffer = buffer(REQUEST_BYTES);
            let block = aligned(&mut buffer, REQUEST_BYTES);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(());
                }
                let offset = number * REQUEST_BYTES as u64;
                if write {
                    rustix::io::pwrite(file, block, offset)?;
                } else {
                    rustix::io::pread(file, &mut *block, offset)?;
                }
            }
        };
        let threads: Vec<_> = (0..depth).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err(rustix::io::Errno::IO))).collect()
    });
    results.into_iter().collect::<rustix::io::Result<Vec<()>>>()?;
    if write {
        rustix::fs::fdatasync(file)?;
    }
    Ok((requests * REQUEST_BYTES as u64) as f64 / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_depth_that_is_fast_enough() {
        assert_eq!(DiskFigures::depth(&[(1, 100.0), (2, 190.0), (4, 200.0), (8, 201.0)]), 2);
        assert_eq!(DiskFigures::depth(&[(1, 100.0), (2, 101.0)]), 1);
        assert_eq!(DiskFigures::depth(&[(1, 10.0), (16, 101.0)]), 16);
        assert_eq!(DiskFigures::depth(&[]), 1);
    }

    #[test]
    fn windows_are_aligned() {
        let mut buffer = buffer(ALIGN);
        let window = aligned(&mut buffer, ALIGN);
        assert_eq!((window.as_ptr().addr() % ALIGN, window.len()), (0, ALIGN));
    }

    #[test]
    fn measures_and_cleans_up() {
        // The test's own folder lies on the disk of the build, which has direct I/O; /tmp may be memory.
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/probe-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let figures = measure(&folder, 16 << 20).unwrap();
        assert!(figures.write_sync_us > 0.0 && figures.write_sync_p99_us >= figures.write_sync_us);
        assert_eq!(figures.write.len(), DEPTHS.len());
        assert!(figures.read.iter().all(|&(_, bytes_per_s)| bytes_per_s > 0.0));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
