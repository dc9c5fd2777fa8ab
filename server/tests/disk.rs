//! The running server's disk against the contract of `storage::disk`, on a real folder and on tmpfs.
#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidewire_server::ring::disk::Access;
use tidewire_server::ring::{CoreOptions, RingDisk, RingFeatures, host, start_core};
use tidewire_storage::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};

struct Folder(PathBuf);

impl Folder {
    fn new(below: &Path, name: &str) -> Self {
        let path = below.join(format!("tidewire-disk-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn on_a_core<T: Send + 'static>(test: impl AsyncFnOnce(RingDisk) -> T + Send + 'static) -> T {
    let limits = host::raise_limits();
    let options = CoreOptions {
        name: "disk-test".to_owned(),
        cpu: None,
        io_memory_bytes: host::io_memory_bytes(limits.locked_bytes, 4),
        ring_depth: 128,
        preempt: Duration::from_millis(1),
        features: RingFeatures::default(),
    };
    start_core(options, move || async move { test(RingDisk::new()).await }).unwrap().join().unwrap()
}

async fn exercise(disk: RingDisk, root: PathBuf) -> Access {
    let folder = root.join("a/b");
    disk.create_dir(&folder).await.unwrap();
    let path = folder.join("file");
    let file = disk.open(&path, OpenMode::Create).await.unwrap();
    assert_eq!(file.length().await.unwrap(), 0);
    assert_eq!(file.read(0, DISK_ALIGN).await.unwrap().as_ref(), b"");
    assert!(disk.open(&path, OpenMode::Create).await.unwrap_err().to_string().starts_with("cannot create "));

    file.allocate(4 << 20).await.unwrap();
    assert_eq!(file.length().await.unwrap(), 4 << 20);
    for (at, length) in [(0, DISK_ALIGN), (1 << 20, IO_BYTES_MAX), (3 << 20, 8 * DISK_ALIGN)] {
        let mut buffer = disk.buffer(length);
        assert!(buffer.as_ref().iter().all(|byte| *byte == 0));
        buffer.as_mut().fill(u8::try_from(at >> 20).unwrap() + 1);
        file.write(at, buffer).await.unwrap();
    }
    file.sync().await.unwrap();
    disk.sync_dir(&folder).await.unwrap();

    // Renaming must not confuse an open file.
    let moved = folder.join("moved");
    disk.rename(&path, &moved).await.unwrap();
    assert_eq!(file.length().await.unwrap(), 4 << 20);
    file.truncate((3 << 20) + 100).await.unwrap();
    file.close().await.unwrap();
    assert_eq!(disk.list(&folder).await.unwrap(), ["moved"]);
    assert_eq!(disk.list(&root.join("none")).await.unwrap(), Vec::<String>::new());

    let file = disk.open(&moved, OpenMode::Read).await.unwrap();
    assert!(file.read(0, DISK_ALIGN).await.unwrap().as_ref().iter().all(|byte| *byte == 1));
    let middle = file.read(1 << 20, IO_BYTES_MAX).await.unwrap();
    assert_eq!(middle.as_ref().len(), IO_BYTES_MAX);
    assert!(middle.as_ref().iter().all(|byte| *byte == 2));
    let end = file.read(3 << 20, IO_BYTES_MAX).await.unwrap();
    assert_eq!(end.as_ref(), [4; 100]);
    assert!(file.read(8 << 20, DISK_ALIGN).await.unwrap().as_ref().is_empty());
    assert!(file.write(0, disk.buffer(DISK_ALIGN)).await.unwrap_err().to_string().contains("write 4096 bytes"));
    file.close().await.unwrap();

    disk.remove(&moved).await.unwrap();
    let missing = disk.open(&moved, OpenMode::Read).await.unwrap_err();
    assert!(missing.to_string().starts_with(&format!("cannot open {}: ", moved.display())), "{missing}");
    assert!(disk.open(&root.join("none/file"), OpenMode::Create).await.is_err());
    assert_eq!(disk.list(&root).await.unwrap(), ["a"], "no probe file is left");
    disk.report(&root).await.unwrap()
}

#[test]
fn contract_on_the_folder_for_temporary_files() {
    let folder = Folder::new(&std::env::temp_dir(), "tmp");
    let root = folder.0.clone();
    on_a_core(async move |disk| exercise(disk, root).await);
}

#[test]
fn contract_in_memory() {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        return;
    }
    let folder = Folder::new(memory, "shm");
    let root = folder.0.clone();
    on_a_core(async move |disk| exercise(disk, root).await);
}

#[test]
fn many_transfers_at_once() {
    let folder = Folder::new(&std::env::temp_dir(), "many");
    let root = folder.0.clone();
    on_a_core(async move |disk| {
        let file = disk.open(&root.join("file"), OpenMode::Create).await.unwrap();
        file.allocate(16 << 20).await.unwrap();
        let writes = (0..16_u8).map(|part| {
            let mut buffer = disk.buffer(IO_BYTES_MAX);
            buffer.as_mut().fill(part);
            file.write(u64::from(part) << 20, buffer)
        });
        join_all(writes).await.into_iter().for_each(|written| written.unwrap());
        file.sync().await.unwrap();
        let reads = join_all((0..16).map(|part| file.read(part << 20, IO_BYTES_MAX))).await;
        for (part, read) in reads.into_iter().enumerate() {
            assert!(read.unwrap().as_ref().iter().all(|byte| usize::from(*byte) == part));
        }
        file.close().await.unwrap();
    });
}

async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(value) => *output = Some(value),
                std::task::Poll::Pending => is_done = false,
            }
        }
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
