//! What stands around all replies: `{"data":[…],"total":N,"limit":0,"offset":0,"errors":null}`.

use tidewire_sql::exec::ExecError;

use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::net::Reply;
use crate::ring::yield_if_needed;

/// A reply up to this long says how long it is.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// What is sent at one time of a longer one.
const PIECE_BYTES: usize = 64 << 10;

/// A reply under way.
pub(super) struct Envelope<'r> {
    reply: &'r mut Reply,
    patience: Patience,
    /// Not sent yet.
    pending: Vec<u8>,
    items: usize,
}

impl<'r> Envelope<'r> {
    /// Begins a reply.
    pub(super) fn new(reply: &'r mut Reply, patience: Patience) -> Self {
        Self { reply, patience, pending: b"{\"data\":[".to_vec(), items: 0 }
    }

    /// An item begins; its text follows.
    pub(super) fn begin_item(&mut self) {
        if self.items > 0 {
            self.pending.push(b',');
        }
        self.items += 1;
    }

    /// Adds some text of an item, piece by piece.
    pub(super) async fn text(&mut self, text: &str) -> Result<(), Fault> {
        for piece in text.as_bytes().chunks(PIECE_BYTES) {
            self.pending.extend_from_slice(piece);
            let is_due = match self.reply.is_begun() {
                true => self.pending.len() >= PIECE_BYTES,
                false => self.pending.len() > WHOLE_BYTES_MAX,
            };
            if is_due {
                self.flush().await?;
            }
            yield_if_needed().await;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        if !self.reply.is_begun() {
            self.reply.stream(200, |head| head.content_type("application/json"));
        }
        let sent = self.patience.during(self.reply.write(&self.pending)).await;
        self.pending.clear();
        sent.map_err(|_| Fault::Query(ExecError::Cancelled))
    }

    /// How many items there are so far.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// Ends the reply, which says that there are `total` items.
    pub(super) async fn end(mut self, total: usize) -> Result<(), Fault> {
        let end = format!("],\"total\":{total},\"limit\":0,\"offset\":0,\"errors\":null}}");
        self.pending.extend_from_slice(end.as_bytes());
        if self.reply.is_begun() {
            self.flush().await?;
            self.reply.finish();
            return Ok(());
        }
        if !self.reply.has_room(self.pending.len()) {
            let (used_bytes, limit_bytes) = self.reply.memory();
            return Err(ExecError::ServerMemory { used_bytes, limit_bytes }.into());
        }
        self.reply.send(200, |head| head.content_type("application/json"), &self.pending);
        Ok(())
    }
}
