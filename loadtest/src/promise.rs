//! What a command says must hold, what was measured, and whether it does. A broken promise makes the exit status 1.

use std::fmt::Display;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::output;

/// One promise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Promise {
    pub(crate) name: String,
    pub(crate) measured: String,
    pub(crate) bound: String,
    pub(crate) kept: bool,
}

/// All promises of a run, in the order of their checks.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Promises(Vec<Promise>);

impl Promises {
    pub(crate) fn check(&mut self, name: &str, measured: &dyn Display, bound: &dyn Display, kept: bool) {
        let (measured, bound) = (measured.to_string(), bound.to_string());
        self.0.push(Promise { name: name.to_owned(), measured, bound, kept });
    }

    /// A share of two figures, in percent; one that cannot be formed is broken.
    pub(crate) fn share_at_least(&mut self, name: &str, part: f64, whole: f64, percent_min: f64) {
        let percent = 100.0 * part / whole;
        let (measured, bound) = (format!("{percent:.1} %"), format!("at least {percent_min} %"));
        self.check(name, &measured, &bound, percent >= percent_min);
    }

    /// Nothing of this kind may have happened.
    pub(crate) fn none(&mut self, name: &str, count: u64) {
        self.check(name, &count, &"none", count == 0);
    }

    /// Something of this kind must have happened, or the run has shown nothing.
    pub(crate) fn some(&mut self, name: &str, count: u64) {
        self.check(name, &count, &"some", count > 0);
    }

    pub(crate) fn table(&self) -> String {
        let mut rows = vec![["promise", "measured", "bound", ""].map(str::to_owned).to_vec()];
        for Promise { name, measured, bound, kept } in &self.0 {
            let word = if *kept { "ok" } else { "BROKEN" }.to_owned();
            rows.push(vec![name.clone(), measured.clone(), bound.clone(), word]);
        }
        output::table(&rows)
    }

    /// An error that names the broken ones.
    pub(crate) fn verdict(&self) -> Result<()> {
        let broken: Vec<String> = self
            .0
            .iter()
            .filter(|promise| !promise.kept)
            .map(|promise| format!("{}: {}, not {}", promise.name, promise.measured, promise.bound))
            .collect();
        if broken.is_empty() { Ok(()) } else { Err(Error::Failed(format!("broken:\n  {}", broken.join("\n  ")))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_promises_fail_by_name() {
        let mut promises = Promises::default();
        promises.share_at_least("rate", 95.0, 100.0, 90.0);
        promises.none("errors", 0);
        promises.some("merges", 3);
        promises.verdict().unwrap();
        promises.share_at_least("steady", 50.0, 100.0, 60.0);
        promises.share_at_least("nothing measured", 0.0, 0.0, 60.0);
        promises.none("lost rows", 2);
        promises.some("flushes", 0);
        let text = promises.verdict().unwrap_err().to_string();
        for name in ["steady: 50.0 %, not at least 60 %", "nothing measured", "lost rows: 2, not none", "flushes: 0"] {
            assert!(text.contains(name), "{text}");
        }
        assert!(!text.contains("merges"), "{text}");
        assert_eq!(promises.table().matches("BROKEN").count(), 4);
    }
}
