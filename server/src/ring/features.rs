//! What a ring uses of its kernel: all that it has, and without what an older one lacks.
//!
//! Kernels from 5.15 on are served; `docs/decisions/0009` says what each lacks and costs. What a kernel has is found
//! out by asking for it: best first, then less. A mask leaves out what is there, so that tests run on a new kernel as
//! on an old one.

use std::fmt;
use std::io;

use io_uring::IoUring;

/// How the kernel hands over completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completions {
    /// They wait until the thread asks for them (Linux 6.1).
    Deferred,
    /// The thread is not interrupted for them; it gets them with its next system call (Linux 5.19).
    Cooperative,
    /// The thread is interrupted for each.
    Interrupting,
}

impl Completions {
    const ALL: [Self; 3] = [Self::Deferred, Self::Cooperative, Self::Interrupting];
}

impl fmt::Display for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deferred => "deferred",
            Self::Cooperative => "cooperative, as before Linux 6.1",
            Self::Interrupting => "interrupting, as before Linux 5.19",
        })
    }
}

/// What a ring may use where the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingFeatures {
    /// [`Completions::Deferred`].
    pub has_deferred: bool,
    /// [`Completions::Cooperative`].
    pub has_cooperative: bool,
    /// Memory that is registered with the ring, where the limit of locked memory allows it.
    pub has_registered_memory: bool,
}

impl Default for RingFeatures {
    fn default() -> Self {
        Self { has_deferred: true, has_cooperative: true, has_registered_memory: true }
    }
}

impl RingFeatures {
    /// As kernels have them, newest first, and at last one that locks no memory.
    #[cfg(test)]
    pub(super) const SETS: [Self; 4] = [
        Self { has_deferred: true, has_cooperative: true, has_registered_memory: true },
        Self { has_deferred: false, has_cooperative: true, has_registered_memory: true },
        Self { has_deferred: false, has_cooperative: false, has_registered_memory: true },
        Self { has_deferred: false, has_cooperative: false, has_registered_memory: false },
    ];

    /// How completions may be handed over, best first. The last one every kernel has.
    fn completions(self) -> impl Iterator<Item = Completions> {
        Completions::ALL.into_iter().filter(move |way| match way {
            Completions::Deferred => self.has_deferred,
            Completions::Cooperative => self.has_cooperative,
            Completions::Interrupting => true,
        })
    }
}

/// A ring of `depth` entries and `completions_max` completions, with the best that the kernel and the mask allow.
pub(super) fn build(depth: u32, completions_max: u32, features: RingFeatures) -> io::Result<(IoUring, Completions)> {
    let mut refused = None;
    for way in features.completions() {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(completions_max);
        match way {
            Completions::Deferred => builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag(),
            Completions::Cooperative => builder.setup_coop_taskrun().setup_taskrun_flag(),
            Completions::Interrupting => &mut builder,
        };
        match builder.build(depth) {
            Ok(ring) => return Ok((ring, way)),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_leaves_out_what_it_names_and_the_rest_is_tried_best_first() {
        let ways = RingFeatures::SETS.map(|set| set.completions().collect::<Vec<_>>());
        assert_eq!(ways[0], Completions::ALL);
        assert_eq!(ways[1], [Completions::Cooperative, Completions::Interrupting]);
        assert_eq!((&ways[2], &ways[3]), (&vec![Completions::Interrupting], &vec![Completions::Interrupting]));
        for set in RingFeatures::SETS {
            let best = set.completions().next();
            assert_eq!(build(8, 64, set).ok().map(|(_, way)| way), best, "this kernel has all of it");
        }
    }
}
