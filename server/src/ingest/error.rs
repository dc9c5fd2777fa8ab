//! Why a request writes nothing.

use std::sync::Arc;

use super::fault::BadRow;
use crate::memory::account::Shortage;
use crate::net::BodyError;
use tidewire_base::catalog::CatalogError;

/// Names of the reasons for which a request writes nothing, for metrics.
pub const REFUSAL_KINDS: [&str; 10] =
    ["not_found", "bad_row", "body", "schema", "overloaded", "memory", "too_large", "no_space", "offline", "storage"];

/// Why a request has written nothing. (After [`WriteError::Storage`] a shard may hold rows that are
/// not acknowledged, except where a shard is offline, or a row is longer than a
/// log file.)
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No such database.
    #[error("database not found: {0:?}")]
    DatabaseNotFound(String),
    /// No such retention policy.
    #[error("retention policy not found: {0}")]
    PolicyNotFound(String),
    /// A row is bad, and the door keeps no others then.
    #[error("{0}")]
    BadRow(Box<BadRow>),
    /// The body could not be received.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A table was dropped or changed meanwhile; sent again it will pass.
    #[error("a table changed while it was being written; send the request again")]
    TableChanged,
    /// The catalog refused a table or column.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No credits now.
    #[error("shard {shard} holds as many rows as it may; try again later")]
    Overloaded {
        /// The first shard without credit.
        shard: u32,
    },
    /// This core parses as much as it may.
    #[error("too many rows are being received; try again later")]
    TooMuchInFlight,
    /// The server is short of memory.
    #[error("{0}; try again later")]
    ShortOfMemory(Shortage),
    /// Series that are not known yet, when no memory is left for more.
    #[error("{count} of the request's series are new and are not taken, others are: {shortage}")]
    SeriesRefused {
        /// How many.
        count: usize,
        /// Why.
        shortage: Shortage,
    },
    /// Larger than a shard's bound, or than that of all shards together.
    #[error("the request holds {bytes} bytes of rows or more, and {bytes_max} is what its shards can hold")]
    TooLarge {
        /// Bytes for one shard, or so far for all.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// Rows of a table that lie in more time partitions than one request may bring.
    #[error("rows of {table} lie in more than {partitions_max} time partitions; send them in several requests")]
    TooManyPartitions {
        /// The table.
        table: Arc<str>,
        /// The bound.
        partitions_max: usize,
    },
    /// A shard could not make its rows durable.
    #[error(transparent)]
    Storage(tidewire_storage::Error),
}

impl WriteError {
    /// What kind of reason it is, of [`REFUSAL_KINDS`].
    pub fn kind(&self) -> usize {
        use tidewire_storage::Error;
        match self {
            Self::DatabaseNotFound(_) | Self::PolicyNotFound(_) => 0,
            Self::BadRow(_) => 1,
            Self::Body(_) => 2,
            Self::Catalog(CatalogError::NoSpace(_)) => 7,
            Self::TableChanged | Self::Catalog(_) => 3,
            Self::Overloaded { .. } | Self::TooMuchInFlight => 4,
            Self::ShortOfMemory(_) | Self::SeriesRefused { .. } => 5,
            Self::TooLarge { .. } | Self::TooManyPartitions { .. } | Self::Storage(Error::RecordTooLarge { .. }) => 6,
            Self::Storage(error) if error.is_no_space() => 7,
            Self::Storage(Error::Overloaded { .. } | Error::Crowded { .. }) => 4,
            Self::Storage(Error::ShardOffline { .. }) => 8,
            Self::Storage(_) => 9,
        }
    }
}
