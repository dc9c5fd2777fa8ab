//! Reply bodies into a content coding, as a stream.
//!
//! A reply is compressed once and read once, and the core that compresses it is the one that answers queries: every
//! coding runs at the level where it still is fast.

use std::io::Write;

use super::encoding::Encoding;

/// zlib level 3 of 9: half the time of the default 6 for some 5% more bytes.
const DEFLATE_LEVEL: flate2::Compression = flate2::Compression::new(3);

/// zstd's fastest regular level.
const ZSTD_LEVEL: i32 = 1;

/// Brotli quality of 11; above it, block splitting begins to cost more than it saves on tables of numbers.
const BROTLI_QUALITY: u32 = 3;

/// Brotli window of 1 MiB: memory per reply, and rows repeat within far less.
const BROTLI_WINDOW_LOG: u32 = 20;

/// Brotli's buffer between the encoder and our vector.
const BROTLI_BUFFER_BYTES: usize = 8 * 1024;

/// Compresses one reply body. Everything is written to memory, so the errors are those of the codecs themselves and
/// never of a device.
pub struct ContentEncoder {
    encoding: Encoding,
    stream: Stream,
}

enum Stream {
    Identity(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Snappy(Box<snap::write::FrameEncoder<Vec<u8>>>),
}

impl std::fmt::Debug for ContentEncoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ContentEncoder").field("encoding", &self.encoding).finish_non_exhaustive()
    }
}

impl ContentEncoder {
    /// An encoder for one body.
    pub fn new(encoding: Encoding) -> std::io::Result<Self> {
        let stream = match encoding {
            Encoding::Identity => Stream::Identity(Vec::new()),
            Encoding::Gzip => Stream::Gzip(flate2::write::GzEncoder::new(Vec::new(), DEFLATE_LEVEL)),
            Encoding::Deflate => Stream::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), DEFLATE_LEVEL)),
            Encoding::Brotli => Stream::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_LOG,
            ))),
            Encoding::Zstd => Stream::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
            Encoding::Snappy => Stream::Snappy(Box::new(snap::write::FrameEncoder::new(Vec::new()))),
        };
        Ok(ContentEncoder { encoding, stream })
    }

    /// The coding, for the `Content-Encoding` header.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Compresses `data` and appends what has come out so far.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        if let Stream::Identity(_) = self.stream {
            out.extend_from_slice(data);
            return Ok(());
        }
        self.writer().write_all(data)?;
        self.drain(out);
        Ok(())
    }

    /// Appends all that the encoder still holds, so that the client can decode what was pushed. Costs some ratio.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> std::io::Result<()> {
        self.writer().flush()?;
        self.drain(out);
        Ok(())
    }

    /// Ends the body.
    pub fn finish(self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let mut rest = match self.stream {
            Stream::Identity(rest) => rest,
            Stream::Gzip(stream) => stream.finish()?,
            Stream::Deflate(stream) => stream.finish()?,
            Stream::Brotli(stream) => stream.into_inner(),
            Stream::Zstd(stream) => stream.finish()?,
            Stream::Snappy(stream) => stream.into_inner().map_err(snap::write::IntoInnerError::into_error)?,
        };
        out.append(&mut rest);
        Ok(())
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.stream {
            Stream::Identity(stream) => stream,
            Stream::Gzip(stream) => stream,
            Stream::Deflate(stream) => stream,
            Stream::Brotli(stream) => stream,
            Stream::Zstd(stream) => stream,
            Stream::Snappy(stream) => stream,
        }
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        out.append(match &mut self.stream {
            Stream::Identity(stream) => stream,
            Stream::Gzip(stream) => stream.get_mut(),
            Stream::Deflate(stream) => stream.get_mut(),
            Stream::Brotli(stream) => stream.get_mut(),
            Stream::Zstd(stream) => stream.get_mut(),
            Stream::Snappy(stream) => stream.get_mut(),
        });
    }
}
