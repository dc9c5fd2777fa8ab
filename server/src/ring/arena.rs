//! Aligned memory for transfers of files.
//!
//! [`RingBuffer`] is what a [`RingDisk`](super::RingDisk) writes from and reads into. Buffers for writes come from the
//! core's [`Arena`], which is registered with the ring once, so that the kernel need not pin their pages for every
//! write; when it is full, and for reads, whose buffers may live long in a cache, they come from the heap.
#![expect(unsafe_code, reason = "aligned memory that the kernel reads and writes by address")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use tidewire_storage::disk::DISK_ALIGN;

use super::reactor::Reactor;

/// Owned memory at an address that direct I/O takes.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

impl Block {
    fn new(length: usize, is_zeroed: bool) -> Self {
        let Ok(layout) = Layout::from_size_align(length, DISK_ALIGN) else {
            unreachable!("invariant: {length} bytes are far from the end of the address space")
        };
        assert!(length > 0, "invariant: a buffer has a length");
        // SAFETY: the layout is not of size zero.
        let start = unsafe { if is_zeroed { alloc_zeroed(layout) } else { alloc(layout) } };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, layout }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and not given away.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Memory of one core that is registered with its ring.
pub(super) struct Arena {
    /// Dropped before the memory: fields are dropped in their order.
    _reactor: Rc<Reactor>,
    /// `None` where nothing could be registered.
    block: Option<Block>,
    /// Whether each page is lent.
    pages: RefCell<Vec<bool>>,
    /// Where to look first: behind what was lent last.
    next: Cell<usize>,
}

impl Arena {
    /// Registers `length` bytes, if the host allows it.
    pub(super) fn new(length: usize, reactor: &Rc<Reactor>) -> Rc<Self> {
        let pages = length / DISK_ALIGN;
        let block = (pages > 0).then(|| Block::new(pages * DISK_ALIGN, true));
        // SAFETY: the arena keeps the memory and lets go of the reactor first; every other holder of the reactor is a
        // part of the core, which drops its arena last or, after a panic, never.
        let block = block.filter(|block| unsafe { reactor.register(block.start.as_ptr(), block.layout.size()) });
        let pages = RefCell::new(vec![false; if block.is_some() { pages } else { 0 }]);
        Rc::new(Self { block, pages, next: Cell::new(0), _reactor: Rc::clone(reactor) })
    }

    /// Bytes that are registered.
    pub(super) fn bytes(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.layout.size())
    }

    /// `count` pages in a row, if there are any.
    fn take(&self, count: usize) -> Option<usize> {
        let mut pages = self.pages.borrow_mut();
        let from = self.next.get();
        let page = find(&pages, from, count).or_else(|| find(&pages, 0, count))?;
        pages[page..page + count].fill(true);
        self.next.set(page + count);
        Some(page)
    }
}

/// The first `count` free pages in a row at `from` or behind.
fn find(pages: &[bool], from: usize, count: usize) -> Option<usize> {
    let mut start = from;
    while start + count <= pages.len() {
        match pages[start..start + count].iter().rposition(|is_lent| *is_lent) {
            None => return Some(start),
            Some(lent) => start += lent + 1,
        }
    }
    None
}

/// Aligned memory of a transfer.
pub struct RingBuffer {
    start: NonNull<u8>,
    /// Bytes that are initialised and shown.
    length: usize,
    home: Home,
}

enum Home {
    Heap(#[expect(dead_code, reason = "kept to be freed with the buffer")] Block),
    Arena { arena: Rc<Arena>, page: usize, count: usize },
}

impl RingBuffer {
    /// Zeroed memory to fill and write.
    pub(super) fn for_write(arena: &Rc<Arena>, length: usize) -> Self {
        let count = length.div_ceil(DISK_ALIGN);
        let Some((page, block)) = arena.block.as_ref().and_then(|block| Some((arena.take(count)?, block))) else {
            let block = Block::new(length, true);
            return Self { start: block.start, length, home: Home::Heap(block) };
        };
        // SAFETY: the pages lie in the block, and are lent to nobody else; the arena was zeroed when made, so
        // they are initialised.
        let start = unsafe { block.start.add(page * DISK_ALIGN) };
        let home = Home::Arena { arena: Rc::clone(arena), page, count };
        let mut buffer = Self { start, length, home };
        buffer.as_mut().fill(0);
        buffer
    }

    /// Memory to read into; shows nothing until [`Self::set_filled`].
    pub(super) fn for_read(length: usize) -> Self {
        let block = Block::new(length, false);
        Self { start: block.start, length: 0, home: Home::Heap(block) }
    }

    /// Where it lies.
    pub(super) fn address(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Whether it lies in the registered memory.
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.home, Home::Arena { .. })
    }

    /// Shows the first `length` bytes.
    ///
    /// # Safety
    ///
    /// They must have been written since the buffer was made, within what it was made for.
    pub(super) unsafe fn set_filled(&mut self, length: usize) {
        self.length = length;
    }
}

impl AsRef<[u8]> for RingBuffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes are initialised and belong to this buffer.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsMut<[u8]> for RingBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_ref`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for RingBuffer {
    fn drop(&mut self) {
        if let Home::Arena { arena, page, count } = &self.home {
            arena.pages.borrow_mut()[*page..*page + *count].fill(false);
        }
    }
}

impl fmt::Debug for RingBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingBuffer").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::RingFeatures;
    use super::*;

    fn arena(pages: usize) -> Rc<Arena> {
        let reactor = Rc::new(Reactor::new(8, RingFeatures::default()).unwrap());
        Arena::new(pages * DISK_ALIGN, &reactor)
    }

    #[test]
    fn buffers_do_not_overlap_and_come_back() {
        let arena = arena(16);
        assert_eq!(arena.bytes(), 16 * DISK_ALIGN);
        let mut rng = fastrand::Rng::with_seed(7);
        let mut held: Vec<(u8, RingBuffer)> = Vec::new();
        for round in 0..2000_u32 {
            if rng.bool() {
                let length = rng.usize(1..=4) * DISK_ALIGN;
                let mut buffer = RingBuffer::for_write(&arena, length);
                assert!(buffer.as_ref().iter().all(|byte| *byte == 0));
                assert_eq!(buffer.address() as usize % DISK_ALIGN, 0);
                let mark = (round % 255) as u8;
                buffer.as_mut().fill(mark);
                held.push((mark, buffer));
            } else if !held.is_empty() {
                let (mark, buffer) = held.swap_remove(rng.usize(..held.len()));
                assert!(buffer.as_ref().iter().all(|byte| *byte == mark));
            }
        }
        drop(held);
        assert!(arena.pages.borrow().iter().all(|is_lent| !is_lent));
        assert!(RingBuffer::for_write(&arena, 16 * DISK_ALIGN).is_registered());
    }

    #[test]
    fn a_full_arena_leaves_the_heap() {
        let arena = arena(2);
        let first = RingBuffer::for_write(&arena, 2 * DISK_ALIGN);
        let second = RingBuffer::for_write(&arena, DISK_ALIGN);
        assert!(first.is_registered() && !second.is_registered());
        assert_eq!(second.as_ref(), [0; DISK_ALIGN]);
        assert_eq!(RingBuffer::for_read(DISK_ALIGN).as_ref(), b"");
    }

    #[test]
    fn a_row_of_free_pages_is_found() {
        let pages = [false, true, false, false, true, false, false, false];
        assert_eq!(find(&pages, 0, 1), Some(0));
        assert_eq!(find(&pages, 0, 2), Some(2));
        assert_eq!(find(&pages, 0, 3), Some(5));
        assert_eq!(find(&pages, 0, 4), None);
        assert_eq!(find(&pages, 6, 3), None);
    }
}
