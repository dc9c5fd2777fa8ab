//! What can be wrong with a location, a file, or a row of it.

use std::io;

/// Why rows cannot be read from files, or written to them.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The configuration names no folder.
    #[error("files are not read or written: `files.folders` of the configuration names no folder")]
    Off,
    /// A location of some other kind.
    #[error("{0:?} is no place for files: only paths and file:// are")]
    Scheme(String),
    /// The location is not below a folder of the configuration, or a link on the way leads out of it.
    #[error("{0:?} is not below a folder that `files.folders` of the configuration names")]
    Outside(String),
    /// A file that is written is there already.
    #[error("{0:?} is there already")]
    Exists(String),
    /// The system refused.
    #[error("cannot {operation} {location:?}: {source}")]
    Io {
        /// What was done.
        operation: &'static str,
        /// Where.
        location: String,
        /// Why not.
        source: io::Error,
    },
    /// It is neither a file nor a folder.
    #[error("{0:?} is neither a file nor a folder")]
    NoFile(String),
    /// A folder without a file of the format.
    #[error("{location:?} has no file whose name ends with {endings}")]
    NoneOfFormat {
        /// Where.
        location: String,
        /// The ends of names that are looked for.
        endings: String,
    },
    /// More files than one table is read from.
    #[error("{location:?} has more than {files_max} files")]
    TooMany {
        /// Where.
        location: String,
        /// The bound.
        files_max: usize,
    },
    /// A file is not what it is taken for.
    #[error("{location}: {reason}")]
    Content {
        /// Which file.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// A row is not what the columns are.
    #[error("{location}, row {row}: {reason}")]
    Row {
        /// Which file.
        location: String,
        /// The row's number in the file, from 1, a header not counted.
        row: u64,
        /// What is wrong.
        reason: String,
    },
}
