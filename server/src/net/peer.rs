//! Whether the client of a request under way is still there.
//!
//! A client that has closed its connection and one that only says that it sends nothing more (`shutdown`, `nc -N`) look
//! alike: what arrives has an end. The first wants no answer, the second waits for it. Only what is sent tells them
//! apart, for the kernel of a client that is gone answers with a reset. So while the reply has not begun, its first
//! bytes, which are those of every reply, are sent ahead, one by one and ever more seldom; a client that reads its
//! reply sees nothing of it.
//!
//! The same is done where a client has sent so much behind its request that there is no room to receive it: its end may
//! stand behind bytes that nobody reads.

use std::cell::Cell;
use std::time::Duration;

use super::transport::Transport;
use crate::ring::sleep;

/// What every reply begins with.
pub(super) const FIRST_BYTES: &[u8] = b"HTTP/1.1 ";

/// How often a connection is looked at. A query whose client is gone works on for about twice as long.
const LOOK: Duration = Duration::from_millis(100);

/// What the body and the reply of a connection know of each other.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// The body cannot be read over cheaply, so the connection must close after the reply.
    pub(super) is_body_open: Cell<bool>,
    /// More was here behind the request when it began: the next one, pipelined.
    pub(super) has_next: Cell<bool>,
    /// The head of the reply is made: from here on nothing is sent ahead of it.
    pub(super) is_reply_begun: Cell<bool>,
    /// Bytes of the reply that were sent ahead.
    pub(super) sent_ahead: Cell<usize>,
}

/// Waits until the connection is reset.
pub(super) async fn reset(socket: &Transport, state: &ConnectionState) {
    for look in 1_u64.. {
        sleep(LOOK).await;
        if socket.is_reset() {
            return;
        }
        if look.is_power_of_two() {
            send_ahead(socket, state);
        }
    }
}

/// Sends the next of the reply's first bytes, if there is one left that is not sent.
fn send_ahead(socket: &Transport, state: &ConnectionState) {
    let sent = state.sent_ahead.get();
    let next = FIRST_BYTES.get(sent..=sent).filter(|_| !state.is_reply_begun.get());
    if next.is_some_and(|byte| socket.try_write(byte)) {
        state.sent_ahead.set(sent + 1);
    }
}
