//! What each signal means.
//!
//! ```text
//!   SIGTERM SIGINT SIGQUIT SIGPWR   the first ends the server in order, the second cuts what is under way, the third
//!                                   ends the process
//!   SIGHUP                          reloads what can be reloaded; never ends the server
//!   SIGUSR1 SIGUSR2 SIGALRM SIGVTALRM SIGPROF SIGIO     nothing; logged
//!   SIGXFSZ SIGXCPU                 nothing; the call that met the limit fails, and says so
//! ```
//!
//! SIGPIPE is ignored by the standard library from the start of the process. All others are as the system has them.

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};

/// Power is about to fail; also what ends a system container.
const SIGPWR: i32 = libc::SIGPWR;

/// The signals that are waited for.
pub(super) const WATCHED: [i32; 13] =
    [SIGTERM, SIGINT, SIGQUIT, SIGPWR, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ, SIGXCPU];

/// What is done about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Ends in order: what is under way finishes.
    Stop,
    /// Ends in order, without waiting for what is under way.
    Hurry,
    /// Ends the process where it is.
    Exit,
    /// Reads the configuration again.
    Reload,
    /// Only logs it.
    Note,
}

/// What a signal means after `ends` that have asked for the end.
pub(super) fn meaning(signal: i32, ends: u32) -> Action {
    match (signal, ends) {
        (SIGTERM | SIGINT | SIGQUIT | SIGPWR, 0) => Action::Stop,
        (SIGTERM | SIGINT | SIGQUIT | SIGPWR, 1) => Action::Hurry,
        (SIGTERM | SIGINT | SIGQUIT | SIGPWR, _) => Action::Exit,
        (SIGHUP, _) => Action::Reload,
        _ => Action::Note,
    }
}

/// A signal as operators write it.
pub(super) fn name(signal: i32) -> &'static str {
    match signal {
        SIGPWR => "SIGPWR",
        _ => signal_hook::low_level::signal_name(signal).unwrap_or("a signal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_comes_in_three_steps_and_nothing_else_ends_the_server() {
        for signal in WATCHED {
            let steps = [0, 1, 2, 9].map(|ends| meaning(signal, ends));
            let expected = match name(signal) {
                "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGPWR" => {
                    [Action::Stop, Action::Hurry, Action::Exit, Action::Exit]
                }
                "SIGHUP" => [Action::Reload; 4],
                _ => [Action::Note; 4],
            };
            assert_eq!(steps, expected, "{}", name(signal));
            assert!(name(signal).starts_with("SIG"));
        }
    }
}
