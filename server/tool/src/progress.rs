//! Progress of a tool: a bar on a terminal, one line at the end anywhere else. All of it goes to standard error, so
//! that standard output holds the answer alone.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// How often a bar is drawn when nothing else moves it.
const TICK: Duration = Duration::from_millis(100);

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Anything that is counted one by one, with its name in the plural.
    Count(&'static str),
}

/// One stretch of work.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    doing: &'static str,
    unit: Unit,
    began: Instant,
}

impl Progress {
    /// Starts a bar for `total` units; 0 where nobody knows. `doing` is what is done: `verifying`.
    pub fn new(doing: &'static str, unit: Unit, total: u64) -> Self {
        let bar = match (std::io::stderr().is_terminal(), total) {
            (false, _) => ProgressBar::hidden(),
            (true, 0) => ProgressBar::new_spinner(),
            (true, total) => ProgressBar::new(total),
        };
        let counts = match (unit, total) {
            (Unit::Bytes, 0) => "{bytes} {binary_bytes_per_sec}",
            (Unit::Bytes, _) => "{bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            (Unit::Count(_), 0) => "{human_pos} {per_sec}",
            (Unit::Count(_), _) => "{human_pos}/{human_len} {per_sec} {eta}",
        };
        let shape = if total == 0 { "{spinner}" } else { "[{bar:32}]" };
        // The template is ours and valid; without it the bar just looks plainer.
        if let Ok(style) = ProgressStyle::with_template(&format!("{{prefix}} {shape} {counts} {{wide_msg}}")) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(doing);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self { bar, doing, unit, began: Instant::now() }
    }

    /// More is done.
    pub fn add(&self, units: u64) {
        self.bar.inc(units);
    }

    /// There is more to do than was thought.
    pub fn add_total(&self, units: u64) {
        self.bar.inc_length(units);
    }

    /// What is done now, beside the bar.
    pub fn at(&self, what: impl Into<String>) {
        if !self.bar.is_hidden() {
            self.bar.set_message(what.into());
        }
    }

    /// Says something while the bar goes on.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// Ends the bar, and says how much was done in what time.
    pub fn finish(self) {
        self.bar.finish_and_clear();
        let (done, seconds) = (self.bar.position(), self.began.elapsed().as_secs_f64());
        let amount = match self.unit {
            Unit::Bytes => HumanBytes(done).to_string(),
            Unit::Count(what) => format!("{} {what}", HumanCount(done)),
        };
        say(&format!("{}: {amount} in {seconds:.1} s", self.doing));
    }
}

/// A line on standard error; that nobody listens is no failure.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
