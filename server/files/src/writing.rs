//! A file while it is written: it has a name that nothing reads until it is whole and on the medium.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tidewire_protocol::encode::{EncodeError, Encoder, Format};
use tidewire_sql::exec::batch_bytes;
use tidewire_storage::schema::FileFormat;

use crate::error::FileError;
use crate::folders::{Folders, Place};

/// Bytes of a row group while it is made; then it is packed and leaves memory.
const GROUP_BYTES: usize = 8 << 20;

/// What text is encoded into, by the size of its rows in memory: a number of eight bytes has up to 24 characters.
const TEXT_FACTOR: usize = 4;

/// Files of one name that are tried.
const NAMES_MAX: u32 = 1_000;

/// A file that is written.
pub struct Writing {
    part: Place,
    whole: Place,
    schema: SchemaRef,
    out: Option<Out>,
}

enum Out {
    Text { file: File, format: Format, encoder: Option<Encoder>, buffer: Vec<u8> },
    Parquet(Box<ArrowWriter<File>>),
}

impl Writing {
    /// Makes a file for rows of `schema`: that of the location, or in the folder that it is one of a name made of
    /// `stamp`.
    pub fn new(
        folders: &Folders,
        location: &str,
        format: FileFormat,
        schema: &SchemaRef,
        stamp: u64,
    ) -> Result<Self, FileError> {
        let place = folders.place(location)?;
        let (part, whole, file) = match place.is_folder() {
            true => {
                place.make_folders()?;
                named(&place, format, stamp)?
            }
            false => {
                if place.open().is_ok() {
                    return Err(FileError::Exists(place.shown()));
                }
                let part = place.sibling(|name| format!(".{name}.part"))?;
                let file = part.create()?;
                (part, place, file)
            }
        };
        let refused = |reason: String| FileError::Content { location: whole.shown(), reason };
        let out = match format {
            FileFormat::Csv { header, delimiter } => {
                if delimiter != b',' || !header {
                    let _ = part.remove();
                    let reason = "CSV is written with a header and commas only".to_owned();
                    return Err(refused(reason));
                }
                text(file, Format::Csv, schema)
            }
            FileFormat::Json => text(file, Format::NdJson, schema),
            FileFormat::Parquet => parquet(file, schema),
        };
        match out {
            Ok(out) => Ok(Self { part, whole, schema: Arc::clone(schema), out: Some(out) }),
            Err(reason) => {
                let _ = part.remove();
                Err(refused(reason))
            }
        }
    }

    /// Memory that it takes to write a batch.
    pub fn bytes_for(&self, batch: &RecordBatch) -> usize {
        let rows = plain_bytes(batch);
        match &self.out {
            Some(Out::Text { buffer, .. }) => buffer.capacity().max(rows.saturating_mul(TEXT_FACTOR)),
            Some(Out::Parquet(writer)) => writer.memory_size().saturating_add(rows.saturating_mul(2)),
            None => 0,
        }
    }

    /// Writes rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), FileError> {
        let written = match &mut self.out {
            Some(Out::Text { file, format, encoder, buffer }) => {
                text_rows(*format, encoder, &self.schema, rows, buffer).and_then(|()| flush(file, buffer))
            }
            Some(Out::Parquet(writer)) => parquet_rows(writer, &self.schema, rows),
            None => Ok(()),
        };
        written.map_err(|failed| self.failed(failed))
    }

    /// Ends the file and gives it its name.
    pub fn finish(mut self) -> Result<(), FileError> {
        let file = match self.out.take() {
            Some(Out::Text { mut file, format, encoder, mut buffer }) => {
                let encoder = encoder.map_or_else(|| encoder_of(format, &self.schema), Ok);
                let content = |error: EncodeError| Failed::Content(error.to_string());
                let ended = encoder.and_then(|mut encoder| encoder.finish(&mut buffer).map_err(content));
                ended.and_then(|()| flush(&mut file, &mut buffer)).map(|()| file)
            }
            Some(Out::Parquet(writer)) => writer.into_inner().map_err(|error| Failed::Content(error.to_string())),
            None => return Ok(()),
        };
        let synced = file.and_then(|file| file.sync_all().map_err(Failed::Io));
        let named = synced.map_err(|failed| self.failed(failed)).and_then(|()| self.part.rename(&self.whole));
        if named.is_err() {
            let _ = self.part.remove();
        }
        named
    }

    fn failed(&self, failed: Failed) -> FileError {
        let location = self.whole.shown();
        match failed {
            Failed::Io(source) => FileError::Io { operation: "write", location, source },
            Failed::Content(reason) => FileError::Content { location, reason },
        }
    }
}

impl Drop for Writing {
    /// A file that is not whole goes.
    fn drop(&mut self) {
        if self.out.take().is_some() {
            let _ = self.part.remove();
        }
    }
}

enum Failed {
    Io(io::Error),
    Content(String),
}

/// A new file of a folder, under a name that none of it has.
fn named(folder: &Place, format: FileFormat, stamp: u64) -> Result<(Place, Place, File), FileError> {
    let ending = format.endings().first().copied().unwrap_or_default();
    for number in 0..NAMES_MAX {
        let name = format!("part-{stamp:016x}-{number}{ending}");
        let (part, whole) = (folder.child(format!(".{name}.part")), folder.child(&name));
        if whole.open().is_ok() {
            continue;
        }
        match part.create() {
            Err(FileError::Exists(_)) => {}
            created => return created.map(|file| (part, whole, file)),
        }
    }
    Err(FileError::Exists(folder.shown()))
}

fn text(file: File, format: Format, schema: &SchemaRef) -> Result<Out, String> {
    // What the format has no form for is known before a row is there.
    Encoder::new(format, Arc::clone(schema)).map_err(|error| error.to_string())?;
    Ok(Out::Text { file, format, encoder: None, buffer: Vec::new() })
}

fn encoder_of(format: Format, schema: &SchemaRef) -> Result<Encoder, Failed> {
    Encoder::new(format, Arc::clone(schema)).map_err(|error| Failed::Content(error.to_string()))
}

/// Encodes rows. Text may come as a dictionary, in all batches or in none.
fn text_rows(
    format: Format,
    encoder: &mut Option<Encoder>,
    schema: &SchemaRef,
    rows: &RecordBatch,
    buffer: &mut Vec<u8>,
) -> Result<(), Failed> {
    let encoder = match encoder {
        Some(encoder) => encoder,
        None => {
            let columns = schema.fields().iter().zip(rows.columns());
            let fields = columns.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            encoder.insert(encoder_of(format, &schema)?)
        }
    };
    encoder.batch(rows, buffer).map_err(|error| Failed::Content(error.to_string()))
}

/// Memory of a batch once its dictionaries are plain text.
fn plain_bytes(rows: &RecordBatch) -> usize {
    let of_dictionary = |column: &ArrayRef| {
        let values = column.as_any_dictionary_opt()?.values();
        let bytes = values.to_data().get_slice_memory_size().unwrap_or_else(|_| values.get_array_memory_size());
        Some(bytes.div_ceil(values.len().max(1)).saturating_mul(column.len()))
    };
    rows.columns().iter().filter_map(of_dictionary).fold(batch_bytes(rows), usize::saturating_add)
}

fn parquet(file: File, schema: &SchemaRef) -> Result<Out, String> {
    let zstd = ZstdLevel::try_new(1).map_err(|error| error.to_string())?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(zstd))
        .set_created_by(format!("tidewire {}", env!("CARGO_PKG_VERSION")))
        .build();
    let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(|error| error.to_string())?;
    Ok(Out::Parquet(Box::new(writer)))
}

fn flush(file: &mut File, buffer: &mut Vec<u8>) -> Result<(), Failed> {
    file.write_all(buffer).map_err(Failed::Io)?;
    buffer.clear();
    Ok(())
}

fn parquet_rows(writer: &mut ArrowWriter<File>, schema: &SchemaRef, rows: &RecordBatch) -> Result<(), Failed> {
    let content = |error: String| Failed::Content(error);
    // A dictionary of text is text in the file.
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| content(error.to_string()))?;
    let rows = RecordBatch::try_new(Arc::clone(schema), columns).map_err(|error| content(error.to_string()))?;
    writer.write(&rows).map_err(|error| content(error.to_string()))?;
    if writer.in_progress_size() >= GROUP_BYTES {
        writer.flush().map_err(|error| content(error.to_string()))?;
    }
    Ok(())
}
