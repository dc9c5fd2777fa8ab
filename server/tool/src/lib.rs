//! The operator's tools: subcommands of `tidewire` that work on the files of a data folder, without a server's help. A
//! package of its own: the server needs nothing of it, nor what only it imports (Parquet, an HTTP client, progress
//! bars).
//!
//! Each gives a sentence where it refuses or fails, and the process then exits with 1. [`inspect`], [`backup`] and
//! [`restore`] need of the formats what [`tidewire_storage::inspect`] gives, which only reads: [`folder`] finds what a
//! tool works on, [`verify`] reads all of it, [`generation`] says what a backup is. [`reshard`] and [`export`] read
//! rows through [`source`]; [`import`] sends them to a server, with the retention policies that [`terms`] says and
//! the tables that [`tables`] says.
//! [`repair`] puts a damaged shard in order.

pub mod backup;
mod batches;
pub mod export;
pub mod folder;
pub mod generation;
pub mod import;
pub mod inspect;
mod lines;
pub mod progress;
pub mod repair;
pub mod reshard;
pub mod restore;
pub mod source;
pub mod tables;
pub mod tally;
pub mod terms;
pub mod text;
pub mod verify;

/// Name of the column of times in a Parquet file; no tag or field can have it.
const TIME: &str = "time";

/// In a Parquet file's metadata: the database.
const DATABASE_KEY: &str = "tidewire.database";

/// In a Parquet file's metadata: the retention policy, if it is not the default one.
const POLICY_KEY: &str = "tidewire.policy";

/// In a Parquet file's metadata: the statements that make the database with its policies.
const DDL_KEY: &str = "tidewire.ddl";

/// In a Parquet file's metadata: the table.
const TABLE_KEY: &str = "tidewire.table";

/// In a Parquet file's metadata: which columns are tags, as a JSON array of names.
const TAGS_KEY: &str = "tidewire.tags";

/// In a Parquet file's metadata: the table's columns, as JSON.
const COLUMNS_KEY: &str = "tidewire.columns";
