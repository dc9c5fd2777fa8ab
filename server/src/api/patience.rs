//! What a query holds while its client does not read.
//!
//! A reply streams as fast as the client takes it. The time that it takes is not the query's: it does not count towards
//! the query's deadline, and a client that lets it wait for longer than a moment keeps nobody else from running.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{or, poll_once};
use tidewire_sql::exec::QueryContext;

use crate::admission::{Admission, QueryPlace};
use crate::ring::sleep;

/// A client that takes rows again within this time keeps its query's place.
const PLACE_KEPT: Duration = Duration::from_millis(50);

/// A running query, as far as waiting for its client concerns it.
#[derive(Debug)]
pub struct Patience {
    context: QueryContext,
    admission: Arc<Admission>,
    /// `None` while the client is slow.
    place: Option<QueryPlace>,
}

impl Patience {
    /// For a query that was let in.
    pub fn new(context: QueryContext, admission: Arc<Admission>, place: QueryPlace) -> Self {
        Self { context, admission, place: Some(place) }
    }

    /// Waits for what sends rows to the client.
    pub async fn during<T>(&mut self, sending: impl Future<Output = T>) -> T {
        let mut sending = pin!(sending);
        if let Some(sent) = poll_once(&mut sending).await {
            return sent;
        }
        let _wait = self.context.wait_for_client();
        let soon = or(async { Some(sending.as_mut().await) }, async {
            sleep(PLACE_KEPT).await;
            None
        });
        if let Some(sent) = soon.await {
            return sent;
        }
        self.place = None;
        let sent = sending.await;
        self.place = Some(self.admission.query_again());
        sent
    }
}
