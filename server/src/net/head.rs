//! The head of a request, copied aside so that the body can use the buffer it came in; counted as its connection's.

use std::rc::Rc;

use super::core::NetCore;
use crate::memory::Part;

/// A copy that grew beyond this is not kept for the next request: connections that idle are many.
const KEEP_BYTES_MAX: usize = 4 << 10;

/// The copy of a head.
pub(super) struct HeadCopy {
    core: Rc<NetCore>,
    bytes: Vec<u8>,
    /// Bytes held, as they were counted last.
    counted: u64,
}

impl HeadCopy {
    /// Of no head yet.
    pub(super) fn new(core: Rc<NetCore>) -> Self {
        Self { core, bytes: Vec::new(), counted: 0 }
    }

    /// Forgets the head, and gives back what an unusually long one took.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > KEEP_BYTES_MAX {
            self.bytes = Vec::new();
        }
        self.count();
    }

    /// Copies a head.
    pub(super) fn fill(&mut self, head: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        self.count();
    }

    /// The head.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn count(&mut self) {
        let bytes = self.bytes.capacity() as u64;
        self.core.memory.change(Part::Connections, std::mem::replace(&mut self.counted, bytes), bytes);
    }
}

impl Drop for HeadCopy {
    fn drop(&mut self) {
        self.core.memory.change(Part::Connections, self.counted, 0);
    }
}
