//! A write request from its body to its acknowledgement.
//!
//! 1. Body pieces are parsed as they arrive; a line cut by a piece's end is kept and completed by the next.
//! 2. Where the catalog lacks a table or column, parsing goes on at that line with a catalog and with caches of the
//!    request's own, in which what it lacks is there (`provisional`).
//! 3. When the whole body is parsed, credits are taken from all owner shards.
//! 4. What the rows need of the catalog is made, with one change.
//! 5. Rows go to all shards. When every one has made its rows durable the request is acknowledged.
//!
//! Where a table or column of its rows is dropped before step 5, nothing is written. A body that came in one piece is
//! then parsed wholly anew; of a longer one the beginning is there no longer, and it is refused.

use super::admit::check_memory;
use super::error::WriteError;
pub use super::request::{Precision, WriteRequest, Written};
use super::writing::Writing;
use crate::admission::BuildShare;
use crate::core::state::CoreState;
use crate::memory::Part;
use crate::net::Body;

/// Times that a body is parsed, each time after a table or column of its rows was dropped. A client that drops tables
/// as fast as another one writes them is not to keep the core busy.
const TRIES_MAX: u32 = 4;

/// Reads, parses and writes a request.
pub async fn write_lines(core: &CoreState, request: WriteRequest<'_>, body: &mut Body) -> Result<Written, WriteError> {
    check_memory(core)?;
    let mut writing = Writing::new(core, request)?;
    let mut share = core.building.share();
    let mut is_first = true;
    while let Some(piece) = body.chunk().await? {
        if is_first && piece.is_last {
            let written = write_whole(core, writing, request, piece.bytes, share).await?;
            // Consumes the piece.
            body.chunk().await?;
            return Ok(written);
        }
        is_first = false;
        let left = take(core, &mut writing, &mut share, piece.bytes, piece.is_last)?;
        body.keep(left);
    }
    writing.commit().await
}

/// Writes a request whose body is `text`.
async fn write_whole(
    core: &CoreState,
    mut writing: Writing<'_, CoreState>,
    request: WriteRequest<'_>,
    text: &[u8],
    mut share: BuildShare,
) -> Result<Written, WriteError> {
    for _ in 1..TRIES_MAX {
        match write_once(core, writing, text, &mut share).await {
            Err(WriteError::TableChanged) => writing = Writing::new(core, request)?,
            outcome => return outcome,
        }
    }
    write_once(core, writing, text, &mut share).await
}

async fn write_once(
    core: &CoreState,
    mut writing: Writing<'_, CoreState>,
    text: &[u8],
    share: &mut BuildShare,
) -> Result<Written, WriteError> {
    take(core, &mut writing, share, text, true)?;
    writing.commit().await
}

/// Takes a piece of a body; returns how many of its bytes belong to a line that is not there yet.
fn take(
    core: &CoreState,
    writing: &mut Writing<'_, CoreState>,
    share: &mut BuildShare,
    text: &[u8],
    last: bool,
) -> Result<usize, WriteError> {
    let left = text.len() - writing.parse(text, last)?;
    let bytes = (writing.bytes() + left) as u64;
    let bytes_max = core.row_bytes_max();
    if bytes > bytes_max {
        return Err(WriteError::TooLarge { bytes, bytes_max });
    }
    let may_go_on = share.set(bytes);
    core.memory.set(Part::Requests, core.building.used());
    if !may_go_on {
        return Err(WriteError::TooMuchInFlight);
    }
    check_memory(core)?;
    Ok(left)
}
