//! The order of imports: between packages, and between the rooms of the server.

use std::path::Path;

use crate::import::{imports, is_within};
use crate::module::Crate;
use crate::workspace::Workspace;

/// What each package may import of ours, in code and in its manifest. Tests and benches of a package may import more.
const PACKAGES: [(&str, &[&str]); 14] = [
    ("tidewire-protocol", &[]),
    ("tidewire-storage", &[]),
    ("tidewire-sql", &["tidewire-storage"]),
    ("tidewire-base", &["tidewire-storage", "tidewire-sql"]),
    ("tidewire-files", &["tidewire-protocol", "tidewire-storage", "tidewire-sql"]),
    ("tidewire-tool", &["tidewire-base", "tidewire-protocol", "tidewire-storage", "tidewire-sql"]),
    (
        "tidewire-server",
        &["tidewire-base", "tidewire-files", "tidewire-tool", "tidewire-protocol", "tidewire-storage", "tidewire-sql"],
    ),
    ("tidewire-loom", &[]),
    ("tidewire-tidy", &[]),
    (
        "tidewire-benches",
        &["tidewire-base", "tidewire-protocol", "tidewire-storage", "tidewire-sql", "tidewire-server"],
    ),
    ("tidewire-protocol-fuzz", &["tidewire-protocol"]),
    ("tidewire-sql-fuzz", &["tidewire-storage", "tidewire-sql"]),
    ("tidewire-loadtest", &[]),
    ("tidewire-tuning", &[]),
];

/// The rooms of the server from the lowest up: a room imports those before it in this list, never those behind it. A
/// file's room is the longest prefix that fits. Some folders are on two floors: what every core is started with knows
/// neither rows nor queries, and what a request needs of a core lies below the request.
const ROOMS: [&str; 36] = [
    "journal",
    "runtime::clock",
    "runtime::shutdown",
    "ring",
    "runtime::disk_rate",
    "metrics::registry",
    "memory",
    "metrics::memory",
    "mesh",
    "net",
    "admission",
    "runtime",
    "core::offline",
    "metrics::shard",
    "metrics",
    "core::watch",
    "core::wide",
    "core::late",
    "forward",
    "core::message",
    "core::peers",
    "core::shards",
    "core::recycled",
    "core::running",
    "core::usage",
    "auth",
    "core::tally",
    "ingest::pending",
    "ingest::cache",
    "ingest::caches",
    "core::state",
    "query",
    "core",
    "ingest",
    "api",
    "app",
];

/// Imports against the order.
pub fn order(workspace: &Workspace, crates: &[Crate]) -> Vec<String> {
    let mut findings = packages(workspace);
    for krate in crates.iter().filter(|krate| krate.root == Path::new("server/src/lib.rs")) {
        findings.extend(rooms(workspace, krate));
    }
    findings
}

fn packages(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let Some((_, allowed)) = PACKAGES.iter().find(|(name, _)| *name == package.name) else {
            findings.push(format!(
                "{}: the order of packages does not name {}",
                package.folder.display(),
                package.name
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|name| !allowed.contains(&name.as_str())) {
            findings.push(format!("{}: {} may not import {dependency}", package.folder.display(), package.name));
        }
    }
    findings
}

fn rooms(workspace: &Workspace, krate: &Crate) -> Vec<String> {
    let mut findings = Vec::new();
    let rank = |module: &str| {
        let fits = ROOMS.iter().enumerate().filter(|(_, room)| is_within(module, room));
        fits.max_by_key(|(_, room)| room.len()).map(|(rank, _)| rank)
    };
    for (module, named) in imports(workspace, krate) {
        if module.is_empty() {
            continue;
        }
        let Some(own) = rank(&module) else {
            findings.push(format!("server/src: the order of rooms does not name {module}"));
            continue;
        };
        for target in named.iter().filter(|target| rank(target).is_some_and(|rank| rank > own)) {
            findings.push(format!("server/src: {module} may not import {target}, which lies above it"));
        }
    }
    findings
}
