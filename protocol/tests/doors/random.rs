//! Bodies that nobody meant: good ones with damage, and noise. A random test prints the seed that replays it.

/// A generator whose seed is printed where the test fails.
pub(crate) fn generator() -> fastrand::Rng {
    let seed = std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x51DE_u64);
    eprintln!("TIDEWIRE_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Bytes that mean something to some format, and some that mean nothing to any.
const ODD: &[u8] = b"{}[]\",:=\n \\0-.e\x00\xff\xc3";

/// A body that is one of `good` with bytes changed, cut, doubled or taken out; or, seldom, noise.
pub(crate) fn damaged(rng: &mut fastrand::Rng, good: &[&[u8]]) -> Vec<u8> {
    if rng.u8(..) < 16 {
        return (0..rng.usize(..64)).map(|_| rng.u8(..)).collect();
    }
    let mut body = good[rng.usize(..good.len())].to_vec();
    for _ in 0..rng.usize(..4) {
        if body.is_empty() {
            break;
        }
        let at = rng.usize(..body.len());
        match rng.u8(..5) {
            0 => body[at] = rng.u8(..),
            1 => body.truncate(at),
            2 => {
                body.remove(at);
            }
            3 => body.insert(at, ODD[rng.usize(..ODD.len())]),
            _ => {
                let end = body.len().min(at + rng.usize(..32));
                let again = body[at..end].to_vec();
                body.splice(at..at, again);
            }
        }
    }
    body
}
