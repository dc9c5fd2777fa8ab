//! The file system of the data folder as metrics.

use std::path::Path;
use std::rc::Rc;

use super::registry::{Gauge, Registry};

/// What core 0 shows of the file system.
#[derive(Debug)]
pub(crate) struct FileSystemMetrics {
    free: Rc<Gauge>,
    size: Rc<Gauge>,
}

impl FileSystemMetrics {
    /// In `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let gauge = |name, help| registry.gauge(name, help, &[]);
        Self {
            free: gauge(
                "tidewire_filesystem_free_bytes",
                "Bytes that the server may still use of the data folder's file system.",
            ),
            size: gauge("tidewire_filesystem_size_bytes", "Size of the data folder's file system."),
        }
    }

    /// Fills in the values of this moment; they stay as they were where the file system does not say them.
    pub(crate) fn update(&self, data_dir: &Path) {
        let Ok(said) = rustix::fs::statvfs(data_dir) else { return };
        let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(said.f_frsize)).unwrap_or(i64::MAX);
        self.free.set(bytes(said.f_bavail));
        self.size.set(bytes(said.f_blocks));
    }
}
