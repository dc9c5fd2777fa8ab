//! Links in pages: to files of ours, and to headings in them.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::workspace::Workspace;

/// Links that lead nowhere.
pub fn links(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (page, text) in &workspace.pages {
        for (line, target) in targets(text) {
            if let Err(reason) = check(workspace, page, target) {
                findings.push(format!("{}:{line}: the link {target}: {reason}", page.display()));
            }
        }
    }
    findings
}

/// The targets of the links in a page, with their lines; what stands in listings and code is no link.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_listing = false;
    for (at, line) in text.lines().enumerate() {
        in_listing ^= line.trim_start().starts_with("```");
        if in_listing {
            continue;
        }
        for (start, _) in line.match_indices("](") {
            let is_code = line[..start].matches('`').count() % 2 == 1;
            if let (false, Some(length)) = (is_code, line[start + 2..].find(')')) {
                found.push((at + 1, &line[start + 2..start + 2 + length]));
            }
        }
    }
    found
}

fn check(workspace: &Workspace, page: &Path, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let place = match path {
        "" => page.to_owned(),
        path => resolve(page, path).ok_or("leads out of the repository")?,
    };
    if !workspace.root.join(&place).exists() {
        return Err(format!("there is no {}", place.display()));
    }
    match (heading, workspace.pages.get(&place)) {
        (Some(heading), Some(text)) if !headings(text).contains(heading) => {
            Err(format!("{} has no heading {heading}", place.display()))
        }
        _ => Ok(()),
    }
}

fn resolve(page: &Path, path: &str) -> Option<PathBuf> {
    let mut place = page.parent()?.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir if !place.pop() => return None,
            Component::Normal(part) => place.push(part),
            _ => {}
        }
    }
    Some(place)
}

/// The headings of a page as links name them: lower case, blanks as hyphens, other marks left out.
fn headings(text: &str) -> BTreeSet<String> {
    let mut in_listing = false;
    let lines = text.lines().filter(|line| {
        in_listing ^= line.trim_start().starts_with("```");
        !in_listing && line.starts_with('#')
    });
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    lines.map(anchor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_and_headings_made_anchors() {
        let page = "# A title, here\n[a](b.md) and [c](../d.rs#e)\n```\n[no](x)\n```\n`[no](y)`\n## Two `words`\n";
        assert_eq!(targets(page), [(2, "b.md"), (2, "../d.rs#e")]);
        let anchors = headings(page);
        assert!(anchors.contains("a-title-here") && anchors.contains("two-words"), "{anchors:?}");
        assert_eq!(resolve(Path::new("docs/a.md"), "../x/y.rs"), Some("x/y.rs".into()));
        assert_eq!(resolve(Path::new("a.md"), "../x"), None);
    }
}
