//! Names that users meet: config keys and metrics. Each stands in the page that explains it, and pages name none that
//! is gone.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source::Source;
use crate::workspace::Workspace;

const KEYS_FILE: &str = "server/base/src/config/keys.rs";
const EXAMPLE_FILE: &str = "tidewire.example.toml";
const METRICS_PAGE: &str = "docs/metrics.md";

/// Config keys that the example lacks, and keys of the example that are gone. Their meaning is in the example, which
/// the server prints from the same table.
pub fn config_keys(workspace: &Workspace) -> Result<Vec<String>, String> {
    let (_, source) = workspace.sources.get(Path::new(KEYS_FILE)).ok_or("the table of config keys has moved")?;
    let example = std::fs::read_to_string(workspace.root.join(EXAMPLE_FILE)).map_err(|error| error.to_string())?;
    let known: BTreeSet<String> =
        source.strings.iter().map(|piece| piece.text.clone()).filter(|text| is_key(text)).collect();
    let shown = example_keys(&example);
    let lacking = known.difference(&shown).map(|key| format!("{EXAMPLE_FILE}: lacks the key {key}"));
    let gone = shown.difference(&known).map(|key| format!("{EXAMPLE_FILE}: the server knows no key {key}"));
    Ok(lacking.chain(gone).collect())
}

/// A name with its section, as `wal.file_bytes`; and `listen`-like names of the top are not told apart from words.
fn is_key(text: &str) -> bool {
    let is_name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
    text.split_once('.').is_some_and(|(section, name)| is_name(section) && is_name(name))
}

/// The keys of the example, those that are commented out included, with their sections.
fn example_keys(example: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in example.lines().map(|line| line.trim_start_matches(['#', ' '])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once(" = ") {
            let key = format!("{section}.{name}");
            if is_key(&key) {
                keys.insert(key);
            }
        }
    }
    keys
}

/// Metrics that the page of metrics lacks, and metrics of the page that are gone.
pub fn metrics(workspace: &Workspace) -> Result<Vec<String>, String> {
    let page = workspace.pages.get(Path::new(METRICS_PAGE)).ok_or(format!("{METRICS_PAGE} is missing"))?;
    let server = Path::new("server/src");
    let sources = workspace.sources.iter().filter(|(path, _)| path.starts_with(server)).map(|(_, (_, source))| source);
    let known: BTreeSet<&str> = sources
        .flat_map(Source::strings_without_tests)
        .map(|piece| piece.text.as_str())
        .filter(|text| is_metric(text))
        .collect();
    let shown: BTreeSet<&str> = page.split('`').filter(|text| is_metric(text)).collect();
    let lacking = known.difference(&shown).map(|name| format!("{METRICS_PAGE}: lacks the metric {name}"));
    let gone = shown.difference(&known).map(|name| format!("{METRICS_PAGE}: the server has no metric {name}"));
    Ok(lacking.chain(gone).collect())
}

fn is_metric(text: &str) -> bool {
    let name = ["tidewire_", "process_"].into_iter().find_map(|prefix| text.strip_prefix(prefix));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        && !text.ends_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_example_have_their_sections() {
        let keys = example_keys("# Words.\n[wal]\n# file_bytes = 1\nsync = \"always\"\n[http]\n#listen = [\"x\"]\n");
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["http.listen", "wal.file_bytes", "wal.sync"]);
        assert!(is_key("a.b_max") && !is_key("A sentence. Another") && !is_key("a"));
        assert!(is_metric("tidewire_rows_total") && !is_metric("tidewire_") && !is_metric("tidewire-server"));
    }
}
