//! Whether the server can have its rings. monoio makes them here: it is safe, and in the house already.

use std::fs::File as StdFile;
use std::time::{Duration, Instant};

use monoio::fs::File;
use monoio::{IoUringDriver, RuntimeBuilder};

/// Depths that are tried, deepest first. More than the first would only grow the locked memory.
const DEPTHS: [u32; 4] = [1_024, 512, 256, 128];
/// Trips that are timed.
const TRIPS: usize = 2_000;

/// What a ring does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RingFigures {
    /// The deepest ring that could be made.
    pub(crate) depth: u32,
    /// One read of 4 KiB from memory, submitted and completed: median.
    pub(crate) round_trip_us: f64,
}

/// The error is the kernel's reason why there can be no ring.
pub(super) fn measure() -> Result<RingFigures, String> {
    let mut reason = String::new();
    for depth in DEPTHS {
        let mut runtime = match RuntimeBuilder::<IoUringDriver>::new().with_entries(depth).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                reason = error.to_string();
                continue;
            }
        };
        let mut times = runtime.block_on(trips()).map_err(|error| error.to_string())?;
        times.sort();
        let round_trip_us = times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6);
        return Ok(RingFigures { depth, round_trip_us });
    }
    Err(reason)
}

async fn trips() -> std::io::Result<Vec<Duration>> {
    let file = File::from_std(StdFile::open("/dev/zero")?)?;
    let mut buffer = vec![0; 4_096];
    let mut times = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let begun = Instant::now();
        let (result, back) = file.read_at(buffer, 0).await;
        result?;
        times.push(begun.elapsed());
        buffer = back;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_rings() {
        let figures = measure().unwrap();
        assert!(DEPTHS.contains(&figures.depth));
        assert!(figures.round_trip_us > 0.0);
    }
}
