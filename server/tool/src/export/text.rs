//! Where text goes: a file that gets its name when it is whole, or standard output, compressed or not.

use std::fs::File;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use tidewire_base::cli::Compression;

/// Written at once: as much as a disk or pipe likes.
const BUFFER_BYTES: usize = 1 << 20;

/// What zstd itself takes as its default: most of what more effort would gain, at the speed of the rest of an export.
pub(super) const ZSTD_LEVEL: i32 = 3;

/// A text being written.
pub(super) struct TextFile {
    out: Packed,
    /// The name that it gets in the end; `None` for standard output.
    path: Option<PathBuf>,
}

enum Packed {
    Plain(Plain),
    Gzip(flate2::write::GzEncoder<Plain>),
    Zstd(zstd::Encoder<'static, Plain>),
}

enum Plain {
    File(BufWriter<File>),
    Stdout(BufWriter<StdoutLock<'static>>),
}

/// The name that a file has until it is whole.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

impl TextFile {
    /// Begins a file at `path`, which must not be there, or standard output for `-`.
    pub(super) fn new(path: &Path, compression: Compression) -> Result<Self, String> {
        let (plain, path) = if path == Path::new("-") {
            (Plain::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())), None)
        } else {
            if path.symlink_metadata().is_ok() {
                return Err(format!("{} is there already", path.display()));
            }
            let part = part_of(path);
            let file = File::create(&part).map_err(|error| format!("cannot create {}: {error}", part.display()))?;
            (Plain::File(BufWriter::with_capacity(BUFFER_BYTES, file)), Some(path.to_owned()))
        };
        let out = match compression {
            Compression::None => Packed::Plain(plain),
            Compression::Gzip => Packed::Gzip(flate2::write::GzEncoder::new(plain, flate2::Compression::default())),
            Compression::Zstd => {
                let encoder = zstd::Encoder::new(plain, ZSTD_LEVEL);
                Packed::Zstd(encoder.map_err(|error| format!("cannot compress: {error}"))?)
            }
        };
        Ok(Self { out, path })
    }

    /// Appends text.
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), String> {
        let written = match &mut self.out {
            Packed::Plain(out) => out.write_all(text),
            Packed::Gzip(out) => out.write_all(text),
            Packed::Zstd(out) => out.write_all(text),
        };
        written.map_err(|error| failed(self.path.as_deref(), &error))
    }

    /// Ends the text, makes it durable and gives it its name.
    pub(super) fn finish(self) -> Result<(), String> {
        let Self { out, path } = self;
        let finished = match out {
            Packed::Plain(out) => Ok(out),
            Packed::Gzip(out) => out.finish(),
            Packed::Zstd(out) => out.finish(),
        };
        let done = finished.and_then(|out| match out {
            Plain::Stdout(mut out) => out.flush(),
            Plain::File(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all(),
        });
        let named = done.and_then(|()| match &path {
            Some(path) => std::fs::rename(part_of(path), path),
            None => Ok(()),
        });
        named.map_err(|error| failed(path.as_deref(), &error))
    }
}

fn failed(path: Option<&Path>, error: &io::Error) -> String {
    match path {
        Some(path) => format!("cannot write {}: {error}", part_of(path).display()),
        None => format!("cannot write to standard output: {error}"),
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(out) => out.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(out) => out.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}
