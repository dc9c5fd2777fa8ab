//! Where in time more than one source has rows of a series. Pure.

/// A stretch of time that one source has rows in, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) time_min: i64,
    pub(super) time_max: i64,
}

/// The times that at least two of `stretches` cover, ascending and apart; `stretches` gets sorted.
///
/// Sweeping by start: a stretch that starts within reach of those before overlaps the furthest-reaching of them from
/// its start to the nearer of both ends.
pub(super) fn zones(stretches: &mut [Stretch], out: &mut Vec<Stretch>) {
    out.clear();
    stretches.sort_unstable_by_key(|stretch| stretch.time_min);
    let mut reach: Option<i64> = None;
    for stretch in stretches.iter() {
        if let Some(reach) = reach
            && stretch.time_min <= reach
        {
            let zone = Stretch { time_min: stretch.time_min, time_max: stretch.time_max.min(reach) };
            match out.last_mut() {
                Some(last) if zone.time_min <= last.time_max => last.time_max = last.time_max.max(zone.time_max),
                _ => out.push(zone),
            }
        }
        reach = reach.max(Some(stretch.time_max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_the_times_covered_twice() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for _ in 0..2000 {
                let mut stretches: Vec<Stretch> = (0..rng.usize(0..6))
                    .map(|_| {
                        let time_min = rng.i64(0..40);
                        Stretch { time_min, time_max: time_min + rng.i64(0..12) }
                    })
                    .collect();
                let mut found = Vec::new();
                zones(&mut stretches, &mut found);
                assert!(found.windows(2).all(|w| w[0].time_max < w[1].time_min), "seed {seed}");
                for time in 0..60 {
                    let within = |s: &&Stretch| (s.time_min..=s.time_max).contains(&time);
                    let covered = stretches.iter().filter(within).count();
                    let in_zone = found.iter().filter(within).count();
                    assert_eq!(in_zone, usize::from(covered > 1), "seed {seed} time {time} {stretches:?} {found:?}");
                }
            }
        }
    }
}
