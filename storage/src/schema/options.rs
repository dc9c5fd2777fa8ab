//! Options of a database, as `CREATE DATABASE … WITH` takes them: those that say how it works, and those that are kept
//! for who asks.

use serde::{Deserialize, Serialize};

use super::TimeUnit;

const MIB: u64 = 1 << 20;

/// Options of a database as CnosDB's `CREATE DATABASE … WITH` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseOptions {
    /// Unit of its timestamps.
    pub precision: TimeUnit,
    /// Age after which data may go, in nanoseconds; `None` keeps everything.
    pub ttl_ns: Option<i64>,
    /// Length of a time partition, in nanoseconds.
    pub partition_ns: i64,
    /// What is kept for who asks.
    #[serde(default)]
    pub stored: StoredOptions,
}

impl DatabaseOptions {
    /// Length of a time partition where none is asked for, in nanoseconds.
    ///
    /// One day: 8,640 rows a series at TSBS's 10 s interval, enough to fill a block; small enough that dropping whole
    /// partitions follows a retention of days.
    pub const PARTITION_NS: i64 = 86_400 * 1_000_000_000;
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            precision: TimeUnit::Nanosecond,
            ttl_ns: None,
            partition_ns: Self::PARTITION_NS,
            stored: StoredOptions::default(),
        }
    }
}

/// Options of the reference that change nothing here: all databases share the data folder's shards, its memory and its
/// log, which the server's configuration is about. They are kept and shown, so that who reads back what he has set
/// finds it. The defaults are the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredOptions {
    /// VNODE_DURATION as it was asked for, in nanoseconds; `None` where nothing was. The policy's partitions follow it.
    pub vnode_ns: Option<i64>,
    /// SHARD.
    pub shard: u64,
    /// REPLICA.
    pub replica: u64,
    /// MAX_MEMCACHE_SIZE, in bytes.
    pub memcache_bytes_max: u64,
    /// MEMCACHE_PARTITIONS.
    pub memcache_partitions: u64,
    /// WAL_MAX_FILE_SIZE, in bytes.
    pub wal_file_bytes_max: u64,
    /// WAL_SYNC.
    pub wal_sync: bool,
    /// STRICT_WRITE.
    pub strict_write: bool,
    /// MAX_CACHE_READERS.
    pub cache_readers_max: u64,
}

impl StoredOptions {
    /// Whether nothing was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for StoredOptions {
    fn default() -> Self {
        Self {
            vnode_ns: None,
            shard: 1,
            replica: 1,
            memcache_bytes_max: 128 * MIB,
            memcache_partitions: 16,
            wal_file_bytes_max: 128 * MIB,
            wal_sync: false,
            strict_write: false,
            cache_readers_max: 32,
        }
    }
}
