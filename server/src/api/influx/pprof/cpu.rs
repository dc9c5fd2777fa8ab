//! Where the processor's time goes.

use std::io;
use std::time::{Duration, Instant};

use tidewire_protocol::encode::pprof::{Frame, Profile, ValueType};

use super::names::Names;
use crate::ring::sampler::{GATHER_EVERY, SAMPLE_PERIOD, Sampler, Samples};
use crate::ring::{blocking, sleep};

const CPU: ValueType = ("cpu", "nanoseconds");

/// Samples all threads for some time. `None` where somebody does already. Samples end, too, when this is dropped.
pub(super) async fn sample(time: Duration) -> io::Result<Option<Samples>> {
    let Some(mut sampler) = blocking(Sampler::begin).await? else { return Ok(None) };
    let begun = Instant::now();
    loop {
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return blocking(move || Ok(Some(sampler.end()))).await;
        }
        sleep(left.min(GATHER_EVERY)).await;
        sampler = blocking(move || sampler.gather().map(|()| sampler)).await?;
    }
}

/// Samples as a profile. It takes seconds.
pub(super) fn profile(samples: Samples, time: Duration, now_ns: i64) -> Profile {
    let Samples { stacks, threads, lost } = samples;
    let mut profile = Profile::new(&[("samples", "count"), CPU], now_ns);
    let period_ns = as_i64(SAMPLE_PERIOD.as_nanos());
    profile.set_period(CPU, period_ns);
    profile.set_duration(as_i64(time.as_nanos()));
    if lost > 0 {
        profile.comment(format!("{lost} samples are missing: there was no room for them"));
    }
    let mut names = Names::default();
    for (stack, count) in stacks {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let thread = threads.get(&stack.thread).cloned().unwrap_or_else(|| stack.thread.to_string());
        // The innermost frame was interrupted, the others have called and are returned to.
        let is_innermost = |at| usize::from(at == 0);
        let frame = |(at, address): (usize, &usize)| names.frame(address.saturating_add(is_innermost(at)));
        let frames: Vec<Frame> = stack.frames.iter().enumerate().map(frame).collect();
        profile.add(frames, &[count, count.saturating_mul(period_ns)], [("thread", thread)]);
    }
    profile
}

fn as_i64(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::sampler::Stack;

    #[test]
    fn a_sample_stands_for_its_period_and_for_its_thread() {
        let stack = |thread| Stack { thread, frames: vec![1, 5] };
        let stacks = [(stack(7), 3)].into();
        let threads = [(7, "core-0".to_owned())].into();
        let text = profile(Samples { stacks, threads, lost: 2 }, Duration::from_secs(1), 0).text("cpu");
        let expected = "cpu profile: 3 count (samples), 30000000 nanoseconds (cpu)\n\
                        # 2 samples are missing: there was no room for them\n\n\
                        3 30000000 @ thread=\"core-0\"\n#\t0x2\t0x2\n#\t0x5\t0x5\n";
        assert_eq!(text, expected);
    }
}
