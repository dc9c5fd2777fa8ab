//! Names on both sides: metrics and tables, labels and columns.

use std::borrow::Cow;

/// The label with the name of the metric.
pub const NAME: &str = "__name__";

/// The table of series without one.
pub const UNNAMED: &str = "prom_metric_not_specified";

/// The field of a sample.
pub const VALUE: &str = "value";

/// The field of a stale marker, which has no value. Prometheus keeps names that begin so for itself.
pub const STALE: &str = "__stale__";

/// The bits of a NaN by which Prometheus says that a series has ended.
pub const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// Labels that have the names of other columns, and the tags that they are. No label has a dot in its name.
const RENAMED: [(&str, &str); 2] = [(VALUE, "label.value"), ("time", "label.time")];

/// The tag that a label is.
pub fn tag_name(label: &str) -> &str {
    RENAMED.iter().find(|(name, _)| *name == label).map_or(label, |(_, tag)| tag)
}

/// The label that a tag is. Whatever a label's name may not have is `_`, as where Prometheus takes in OpenTelemetry's.
pub fn label_name(tag: &str) -> Cow<'_, str> {
    match RENAMED.iter().find(|(_, renamed)| *renamed == tag) {
        Some((label, _)) => Cow::Borrowed(label),
        None => plain(tag, false),
    }
}

/// The name of the metric whose samples a table has; empty for those that have none.
pub fn metric_name(table: &str) -> Cow<'_, str> {
    if table == UNNAMED { Cow::Borrowed("") } else { plain(table, true) }
}

/// `name` with letters, digits and `_` alone (and `:`, if that `has_colons`), and no digit before them.
fn plain(name: &str, has_colons: bool) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || has_colons && c == ':';
    let begins_with_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if name.chars().all(is_plain) && !begins_with_digit {
        return Cow::Borrowed(name);
    }
    let before = if begins_with_digit { "_" } else { "" };
    Cow::Owned(before.chars().chain(name.chars().map(|c| if is_plain(c) { c } else { '_' })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_tags_and_back() {
        for label in ["job", "value", "time", "__name__", "a1"] {
            assert_eq!(label_name(tag_name(label)), label);
        }
        assert_eq!((tag_name("value"), tag_name("time"), tag_name("le")), ("label.value", "label.time", "le"));
        assert_eq!(label_name("service.name"), "service_name");
        assert_eq!((label_name("1é:"), metric_name("1é:")), ("_1__".into(), "_1_:".into()));
        assert_eq!((metric_name("sys.if"), metric_name(UNNAMED)), ("sys_if".into(), "".into()));
    }
}
