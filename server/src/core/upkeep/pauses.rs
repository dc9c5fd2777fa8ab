//! How long to wait before the next try of what has failed.

use std::time::Duration;

/// Each pause is twice as long as the one before, up to a bound.
pub(super) struct Pauses(Duration);

impl Pauses {
    /// A failure that is over at once costs little.
    const FIRST: Duration = Duration::from_secs(1);
    /// A disk that is replaced or emptied by hand is not kept waiting for long.
    const LONGEST: Duration = Duration::from_secs(30);

    /// Begins with the shortest.
    pub(super) fn new() -> Self {
        Self(Self::FIRST)
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound() {
        let mut pauses = Pauses::new();
        let seconds: Vec<u64> = (0..7).map(|_| pauses.next().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }
}
