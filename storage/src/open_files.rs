//! Open files of segments: a bounded number of them, however many segments there are.
//!
//! A segment is a file, and a shard with many partitions has more of them than a process may have descriptors. So a
//! segment opens its file when it reads, and this closes the files that have not been read from for longest (by CLOCK,
//! as in the [`cache`](crate::cache)) beyond the bound. A file whose name is about to go while somebody still reads the
//! segment is *held* open until the segment is dropped: its space comes back with the last reader.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use crate::disk::{Disk, OpenMode};
use crate::error::Result;

/// What is closed when others are to be open.
trait Closable {
    /// Whether it was used since this was asked last.
    fn take_used(&self) -> bool;
    /// Closes it.
    fn close(&self);
}

/// The open files of a shard's segments.
pub(crate) struct OpenFiles {
    count_max: Cell<usize>,
    count: Cell<usize>,
    /// In the order of the clock; files that were closed or dropped since may be among them.
    clock: RefCell<VecDeque<Weak<dyn Closable>>>,
}

/// A file that is open while it is used.
pub(crate) struct PooledFile<D: Disk> {
    disk: D,
    path: PathBuf,
    pool: Rc<OpenFiles>,
    file: RefCell<Option<Rc<D::File>>>,
    used: Cell<bool>,
}

impl std::fmt::Debug for OpenFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFiles").field("count", &self.count).field("count_max", &self.count_max).finish()
    }
}

impl OpenFiles {
    /// Keeps at most `count_max` files open, those not counted that are being read from.
    pub(crate) fn new(count_max: usize) -> Rc<Self> {
        Rc::new(Self { count_max: Cell::new(count_max), count: Cell::new(0), clock: RefCell::default() })
    }

    /// Files open now.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Closes half of the files for one that is to be written: the process has no descriptors left. The last one stays
    /// open: whose descriptor it would be next is anybody's guess, and a reader would miss it.
    pub(crate) fn make_room_to_write(&self) {
        self.close_beyond(self.count.get().div_ceil(2));
    }

    /// Closes half of the files, or the last one, for one that is to be read; `false` if none is open.
    fn make_room_to_read(&self) -> bool {
        let count = self.count.get();
        self.close_beyond(count / 2);
        self.count.get() < count
    }

    fn opened(&self, file: Weak<dyn Closable>) {
        self.count.set(self.count.get() + 1);
        let mut clock = self.clock.borrow_mut();
        if clock.len() > 2 * self.count.get() + 64 {
            clock.retain(|file| file.strong_count() > 0);
        }
        clock.push_back(file);
        drop(clock);
        self.close_beyond(self.count_max.get());
    }

    fn close_beyond(&self, count_max: usize) {
        // Twice round: the first time takes the marks away.
        let mut looks = 2 * self.clock.borrow().len();
        while self.count.get() > count_max && looks > 0 {
            looks -= 1;
            let Some(next) = self.clock.borrow_mut().pop_front() else { return };
            match next.upgrade() {
                None => {}
                Some(file) if file.take_used() => self.clock.borrow_mut().push_back(next),
                Some(file) => file.close(),
            }
        }
    }
}

impl<D: Disk> PooledFile<D> {
    /// The file at `path`, not yet open.
    pub(crate) fn new(disk: &D, path: &Path, pool: &Rc<OpenFiles>) -> Rc<Self> {
        Rc::new(Self {
            disk: disk.clone(),
            path: path.to_owned(),
            pool: pool.clone(),
            file: RefCell::default(),
            used: Cell::default(),
        })
    }

    /// The open file.
    pub(crate) async fn get(self: &Rc<Self>) -> Result<Rc<D::File>> {
        let open = self.file.borrow().clone();
        if let Some(file) = open {
            self.used.set(true);
            return Ok(file);
        }
        let opened = loop {
            match self.disk.open(&self.path, OpenMode::Read).await {
                // Another thread may take what was closed here, so again as long as there is something to close.
                Err(error) if error.is_too_many_files() && self.pool.make_room_to_read() => {}
                opened => break opened?,
            }
        };
        let file = Rc::new(opened);
        let other = self.file.borrow().clone();
        if let Some(other) = other {
            // Somebody else was faster.
            return Ok(other);
        }
        *self.file.borrow_mut() = Some(file.clone());
        let weak: Weak<Self> = Rc::downgrade(self);
        self.pool.opened(weak);
        Ok(file)
    }
}

impl<D: Disk> Closable for PooledFile<D> {
    fn take_used(&self) -> bool {
        self.used.replace(false)
    }

    fn close(&self) {
        if self.file.borrow_mut().take().is_some() {
            self.pool.count.set(self.pool.count.get().saturating_sub(1));
        }
    }
}

impl<D: Disk> Drop for PooledFile<D> {
    fn drop(&mut self) {
        Closable::close(self);
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn no_more_files_are_open_than_may_be_and_those_in_use_least_often_go() {
        let disk = SimDisk::new(1);
        let names: Vec<PathBuf> = (0..40).map(|number| Path::new("/data").join(number.to_string())).collect();
        names.iter().for_each(|path| disk.import(path, vec![0; 4096]));
        let pool = OpenFiles::new(8);
        let files: Vec<_> = names.iter().map(|path| PooledFile::new(&disk, path, &pool)).collect();
        assert_eq!(disk.open_files(), 0);
        for file in &files {
            block_on(files[0].get()).unwrap();
            block_on(file.get()).unwrap();
            assert!(pool.count() <= 8 && disk.open_files() <= 8);
        }
        assert!(files[0].file.borrow().is_some(), "it was used all the while");
        drop(files);
        assert_eq!((pool.count(), disk.open_files()), (0, 0));
    }

    #[test]
    fn where_the_process_has_no_descriptors_left_others_are_closed() {
        let disk = SimDisk::new(1);
        let names: Vec<PathBuf> = (0..40).map(|number| Path::new("/data").join(number.to_string())).collect();
        names.iter().for_each(|path| disk.import(path, vec![0; 4096]));
        let pool = OpenFiles::new(100);
        let files: Vec<_> = names.iter().map(|path| PooledFile::new(&disk, path, &pool)).collect();
        disk.set_open_files_max(Some(10));
        for _ in 0..2 {
            files.iter().for_each(|file| drop(block_on(file.get()).unwrap()));
        }
        assert!(disk.open_files() <= 10);
    }

    #[test]
    fn what_is_to_be_written_leaves_the_last_file_to_its_readers() {
        let disk = SimDisk::new(1);
        let names: Vec<PathBuf> = (0..5).map(|number| Path::new("/data").join(number.to_string())).collect();
        names.iter().for_each(|path| disk.import(path, vec![0; 4096]));
        let pool = OpenFiles::new(100);
        let files: Vec<_> = names.iter().map(|path| PooledFile::new(&disk, path, &pool)).collect();
        files.iter().for_each(|file| drop(block_on(file.get()).unwrap()));
        let counts = [3, 2, 1, 1].map(|_| {
            pool.make_room_to_write();
            pool.count()
        });
        assert_eq!(counts, [3, 2, 1, 1]);
        // A reader of another file takes the descriptor of the last.
        disk.set_open_files_max(Some(1));
        for file in &files {
            block_on(file.get()).unwrap();
            assert_eq!(pool.count(), 1);
        }
        disk.set_open_files_max(Some(0));
        files[4].close();
        assert!(block_on(files[4].get()).unwrap_err().is_too_many_files());
    }
}
