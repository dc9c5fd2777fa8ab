//! `tidewire-tuning check`: one file per area, each a function from a host to findings.

mod disk;
mod kernel;
mod limits;
mod memory;
mod network;
mod processor;

use crate::host::Host;

/// How a setting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// As the server wants it.
    Pass,
    /// It costs speed or durability, or the server will not start.
    Warn,
    /// The host does not say.
    Unknown,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) setting: String,
    pub(crate) value: String,
    pub(crate) level: Level,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// What mends it; empty when nothing is to be done.
    pub(crate) remedy: String,
}

impl Finding {
    /// Passes or warns; the remedy shows only with a warning.
    fn judge(
        setting: &str,
        value: impl Into<String>,
        good: bool,
        why: &'static str,
        remedy: impl Into<String>,
    ) -> Self {
        let level = if good { Level::Pass } else { Level::Warn };
        let remedy = if good { String::new() } else { remedy.into() };
        Self { setting: setting.to_owned(), value: value.into(), level, why, remedy }
    }

    fn unknown(setting: &str, why: &'static str) -> Self {
        Self {
            setting: setting.to_owned(),
            value: "not shown by this host".to_owned(),
            level: Level::Unknown,
            why,
            remedy: String::new(),
        }
    }
}

/// Everything there is to say about a host.
pub(crate) fn all(host: &Host) -> Vec<Finding> {
    let areas: [fn(&Host) -> Vec<Finding>; 6] =
        [kernel::check, limits::check, processor::check, memory::check, disk::check, network::check];
    areas.iter().flat_map(|area| area(host)).collect()
}

/// The table, then what to do about each warning.
pub(crate) fn report(findings: &[Finding]) -> String {
    let width = |column: fn(&Finding) -> &str| {
        findings.iter().map(|finding| column(finding).chars().count()).max().unwrap_or(0)
    };
    let setting_width = width(|finding| &finding.setting);
    let value_width = width(|finding| &finding.value);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Pass => "pass",
            Level::Warn => "WARN",
            Level::Unknown => "  ? ",
        };
        text.push_str(&format!(
            "{mark}  {:setting_width$}  {:value_width$}  {}\n",
            finding.setting, finding.value, finding.why
        ));
    }
    let warnings: Vec<&Finding> = findings.iter().filter(|finding| finding.level == Level::Warn).collect();
    if warnings.is_empty() {
        text.push_str("\nNothing to mend.\n");
    } else {
        text.push_str("\nTo mend (as root; tuning/README.md says how to make it last):\n");
        for finding in warnings {
            text.push_str(&format!("\n  {} is {}\n    {}\n", finding.setting, finding.value, finding.remedy));
        }
    }
    text
}

#[cfg(test)]
mod tests;
