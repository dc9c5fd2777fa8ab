//! The connections of a round: they write and delete until the server is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::DATABASE;
use super::changer::{self, Shared};
use super::ledger::{Batch, State};
use super::lives::Lives;
use crate::csv;
use crate::error::{Context, Error, Result};
use crate::http::{self, Connection, Target};
use crate::write::Api;

/// Sizes of batches; small ones are frequent.
const BATCH_ROWS: [u64; 8] = [1, 1, 1, 2, 10, 100, 1_000, 5_000];

/// Keys of batches that were asked to be deleted, and whether the reply came.
pub(super) type Deleted = Vec<((u32, u64), bool)>;

/// Connections that write to tables which others drop and make again, and the others.
const LIVES_CONNECTIONS: (u32, u32) = (3, 2);

/// Runs all connections of a round until the server is gone. What they know of tables that are dropped and made again
/// comes back also where something was refused.
pub(super) fn load(
    writers: Vec<Writer>,
    deleter: Deleter,
    doomed: Vec<Batch>,
    (lives, mut rng): (Lives, fastrand::Rng),
) -> Result<(Vec<Batch>, Deleted, Lives)> {
    let mut runtime = http::runtime().context(|| "start the io_uring runtime")?;
    runtime.block_on(async {
        let shared = Shared::new(lives);
        let mut changing = Vec::new();
        for _ in 0..LIVES_CONNECTIONS.0 {
            changing.push(monoio::spawn(changer::write(deleter.target.clone(), shared.clone(), rng.fork())));
        }
        for _ in 0..LIVES_CONNECTIONS.1 {
            changing.push(monoio::spawn(changer::change(deleter.target.clone(), shared.clone(), rng.fork())));
        }
        let deleter = monoio::spawn(deleter.run(doomed));
        let tasks: Vec<_> = writers.into_iter().map(|writer| monoio::spawn(writer.run())).collect();
        let mut batches = Vec::new();
        let mut refused = None;
        for task in tasks {
            match task.await {
                Ok(part) => batches.extend(part),
                Err(error) => refused = Some(error),
            }
        }
        let deleted = deleter.await?;
        for task in changing {
            task.await?;
        }
        let mut lives = std::mem::take(&mut shared.borrow_mut().lives);
        lives.die();
        refused.map_or(Ok((batches, deleted, lives)), Err)
    })
}

/// The connection that deletes.
pub(super) struct Deleter {
    pub(super) target: Target,
    /// Between two deletes.
    pub(super) pause: Duration,
}

impl Deleter {
    /// Ends when the server is gone, or everything is deleted. A refused delete is an error.
    async fn run(self, doomed: Vec<Batch>) -> Result<Deleted> {
        let mut deleted = Deleted::new();
        let Ok(mut connection) = Connection::open(self.target.address).await else { return Ok(deleted) };
        for batch in doomed {
            let text = format!("DELETE FROM verify WHERE {}", batch.condition()?);
            let request = self.target.request(&csv::path(DATABASE), None, Some(text.as_bytes()));
            let reply = connection.exchange(request).await.0;
            if reply.as_ref().is_ok_and(|reply| reply.status == 429) {
                // Nothing was done, and the next round has other batches to delete.
                monoio::time::sleep(self.pause).await;
                continue;
            }
            deleted.push(((batch.connection, batch.id), reply.is_ok()));
            match reply {
                Ok(reply) if reply.is_success() => monoio::time::sleep(self.pause).await,
                Ok(reply) => return Err(Error::Reply(format!("{text}\n  was answered {}", reply.excerpt()))),
                Err(_) => break,
            }
        }
        Ok(deleted)
    }
}

/// One connection of a round.
pub(super) struct Writer {
    pub(super) target: Target,
    pub(super) seed: u64,
    pub(super) connection: u32,
    pub(super) next_id: u64,
    pub(super) next_row: u64,
    /// Rows left for the round, over all connections.
    pub(super) budget: Arc<AtomicU64>,
    pub(super) rng: fastrand::Rng,
}

impl Writer {
    /// Ends when the server is gone. A refused write is an error: nothing here is wrong with the rows.
    async fn run(mut self) -> Result<Vec<Batch>> {
        let path = Api::Cnos.write_path(DATABASE);
        let mut batches = Vec::new();
        // A kill may come before the connection stands.
        let Ok(mut connection) = Connection::open(self.target.address).await else { return Ok(batches) };
        let mut lines = Vec::new();
        loop {
            let rows = BATCH_ROWS[self.rng.usize(..BATCH_ROWS.len())];
            let left = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(rows));
            if left.is_err() {
                // Enough for this round: wait for the kill, which the connection shows as its end.
                wait_for_end(&mut connection, &self.target).await;
                return Ok(batches);
            }
            lines.clear();
            let batch = Batch::make(self.seed, self.connection, self.next_id, self.next_row, rows, &mut lines);
            self.next_id += 1;
            self.next_row += rows;
            batches.push(batch);
            let mut request = self.target.request(&path, None, Some(&lines));
            loop {
                let (reply, bytes) = connection.exchange(request).await;
                request = bytes;
                match reply {
                    Ok(reply) if reply.is_success() => {
                        if let Some(batch) = batches.last_mut() {
                            batch.state = State::Acknowledged;
                        }
                        break;
                    }
                    Ok(reply) if reply.status == 429 => {
                        monoio::time::sleep(Duration::from_secs(reply.retry_after_s.unwrap_or(1).min(1))).await;
                    }
                    Ok(reply) => return Err(Error::Reply(format!("a write was answered {}", reply.excerpt()))),
                    Err(_) => return Ok(batches),
                }
            }
        }
    }
}

async fn wait_for_end(connection: &mut Connection, target: &Target) {
    const ASK_EVERY: Duration = Duration::from_millis(20);
    while connection.exchange(target.request("/api/v1/ping", None, None)).await.0.is_ok() {
        monoio::time::sleep(ASK_EVERY).await;
    }
}
