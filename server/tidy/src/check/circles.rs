//! Circles of files within a crate: what two files need of each other belongs into a third, below both.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::imports;
use crate::module::Crate;
use crate::workspace::Workspace;

/// Every group of modules of which each leads to each.
pub fn circles(workspace: &Workspace, crates: &[Crate]) -> Vec<String> {
    let mut findings = Vec::new();
    for krate in crates {
        for circle in strongly_connected(&imports(workspace, krate)) {
            findings.push(format!("{}: a circle of files: {}", krate.root.display(), circle.join(", ")));
        }
    }
    findings
}

/// The strongly connected components with more than one member: all that a member reaches and that reaches it.
fn strongly_connected(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|from| (from.as_str(), reach(edges, from))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (module, reaches) in &reached {
        let circle: Vec<&str> = reaches.iter().copied().filter(|other| reached[other].contains(module)).collect();
        if circle.len() > 1 && circle.iter().all(|member| !seen.contains(member)) {
            seen.extend(circle.iter().copied());
            circles.push(circle);
        }
    }
    circles
}

fn reach<'a>(edges: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = edges.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(module) = left.pop() {
        if reached.insert(module) {
            left.extend(edges.get(module).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_named_once() {
        let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|t| (*t).to_owned()).collect());
        let edges = BTreeMap::from([
            edge("a", &["b"]),
            edge("b", &["c"]),
            edge("c", &["a", "d"]),
            edge("d", &["e"]),
            edge("e", &[]),
        ]);
        assert_eq!(strongly_connected(&edges), [["a", "b", "c"]]);
    }
}
