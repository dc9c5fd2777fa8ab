//! Patience with a server that is busy or away: a request is sent again until it is done, within bounds, and the user
//! sees that the import waits, and for what.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::server::Refusal;
use crate::progress::Progress;

/// Waiting for a server ends here; the sum for one request.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How often waiting is reported, over all requests: each of many that wait would say the same.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What all senders of an import share.
pub(super) struct Patience<'a> {
    progress: &'a Progress,
    /// When waiting was reported last.
    said: Mutex<Option<Instant>>,
}

impl<'a> Patience<'a> {
    pub(super) fn new(progress: &'a Progress) -> Self {
        Self { progress, said: Mutex::default() }
    }

    /// Tries again as long as the server is busy, for a bounded time.
    pub(super) fn with<T>(&self, mut act: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut waited = Duration::ZERO;
        loop {
            match act() {
                Err(Refusal::Busy(pause, reason)) if waited < WAIT_MAX => {
                    if is_due(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner), Instant::now()) {
                        self.progress.say(&waiting(&reason, pause, waited));
                    }
                    std::thread::sleep(pause);
                    waited += pause.max(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }
}

/// Whether it is time to say something; it counts as said then.
fn is_due(said: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY);
    if is_due {
        *said = Some(now);
    }
    is_due
}

fn waiting(reason: &str, pause: Duration, waited: Duration) -> String {
    let left = WAIT_MAX.saturating_sub(waited).as_secs();
    format!("waiting: {reason}; tried again in {pause:?}, for {left} s at most")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Unit;

    #[test]
    fn a_busy_server_is_asked_again_and_other_refusals_are_passed_on() {
        let progress = Progress::new("test", Unit::Bytes, 0);
        let patience = Patience::new(&progress);
        let mut left = 3;
        let done = patience.with(|| {
            left -= 1;
            if left == 0 { Ok(7) } else { Err(Refusal::Busy(Duration::ZERO, "the server says 429: x".to_owned())) }
        });
        assert!(matches!(done, Ok(7)));
        let refused = patience.with(|| -> Result<(), _> { Err(Refusal::Server("no".to_owned())) });
        assert!(matches!(refused, Err(Refusal::Server(_))));
    }

    #[test]
    fn waiting_is_reported_at_once_and_then_now_and_then() {
        let start = Instant::now();
        let mut said = None;
        let due: Vec<bool> =
            [0, 1, 9, 10, 11, 20].map(|s| is_due(&mut said, start + Duration::from_secs(s))).into_iter().collect();
        assert_eq!(due, [true, false, false, true, false, true]);
        let told = waiting("the server says 429: x", Duration::from_secs(2), Duration::from_secs(30));
        assert_eq!(told, "waiting: the server says 429: x; tried again in 2s, for 570 s at most");
    }
}
