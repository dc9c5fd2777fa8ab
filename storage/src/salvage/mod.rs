//! Getting a damaged shard into order, at a price that is named before it is paid.
//!
//! No process may have the shard open, and nothing is removed but detached files that are named. [`shard`] gets one to
//! open that damage keeps closed; [`segments`] finds damaged segments and accepts the loss of those that are named;
//! [`attach`] puts detached files back.

mod attach;
mod segments;
mod shard;

pub use attach::{Attached, attach, remove_detached};
pub use segments::{Loss, accept_losses, damaged_segments, lost_segments};
pub use shard::{Salvage, salvage};
