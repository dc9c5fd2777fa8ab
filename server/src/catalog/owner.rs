//! The one place where the catalog changes: a queue of changes on the owning core.
//!
//! 1. [`CatalogOwner::change`] queues a change and waits for its outcome.
//! 2. One task takes everything queued, applies it in order to the newest catalog, saves the result once, publishes it
//!    (the `publish` hook sends it to the other cores and drops the data of dropped tables), and answers all.
//! 3. If saving fails, none of those changes happened and each waiter is told.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_storage::schema::{Catalog, TableId};

use super::apply::apply;
use super::change::SchemaChange;
use super::error::CatalogError;
use crate::ring::oneshot::{Sender, oneshot};

/// A catalog that has become durable.
#[derive(Debug, Clone)]
pub struct Published {
    /// The newest catalog.
    pub catalog: Arc<Catalog>,
    /// Tables whose data must go.
    pub dropped: Vec<TableId>,
    /// Tables that have lost a column.
    pub narrowed: Vec<TableId>,
}

/// What the owner needs of the core it lives on.
pub trait CatalogHost {
    /// Saves the catalog durably, away from the executor.
    fn save(&self, catalog: Arc<Catalog>) -> impl Future<Output = Result<(), String>>;
    /// Makes the catalog visible on every core and drops the data of dropped tables; returns when all have done so.
    fn publish(&self, published: Published) -> impl Future<Output = ()>;
}

/// The outcome of a change: the catalog that holds it.
pub type Outcome = Result<Arc<Catalog>, CatalogError>;

/// Owner of the catalog.
#[derive(Debug)]
pub struct CatalogOwner {
    current: RefCell<Arc<Catalog>>,
    queue: RefCell<Vec<(SchemaChange, Sender<Outcome>)>>,
    running: Cell<bool>,
}

impl CatalogOwner {
    /// An owner that starts from the loaded catalog.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { current: RefCell::new(catalog), queue: RefCell::default(), running: Cell::new(false) }
    }

    /// The newest catalog.
    pub fn current(&self) -> Arc<Catalog> {
        self.current.borrow().clone()
    }

    /// Queues `change`; resolves when it is durable and visible, or refused. The caller must see to it that
    /// [`Self::run`] is called (spawned) afterwards, on this core.
    pub fn change(&self, change: SchemaChange) -> impl Future<Output = Outcome> + use<> {
        let (sender, receiver) = oneshot();
        self.queue.borrow_mut().push((change, sender));
        async move { receiver.await.unwrap_or_else(|| Err(CatalogError::NotSaved("the server is stopping".to_owned()))) }
    }

    /// Works off the queue; returns at once when another call is at it.
    pub async fn run<H: CatalogHost>(self: Rc<Self>, host: H) {
        if self.running.replace(true) {
            return;
        }
        loop {
            let taken = std::mem::take(&mut *self.queue.borrow_mut());
            if taken.is_empty() {
                break;
            }
            self.work_off(taken, &host).await;
        }
        self.running.set(false);
    }

    async fn work_off<H: CatalogHost>(&self, changes: Vec<(SchemaChange, Sender<Outcome>)>, host: &H) {
        let before = self.current();
        let mut newest = before.clone();
        let (mut dropped, mut narrowed) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::with_capacity(changes.len());
        for (change, sender) in changes {
            match apply(&newest, &change) {
                Ok(applied) => {
                    if let Some(catalog) = applied.catalog {
                        newest = Arc::new(catalog);
                    }
                    dropped.extend(applied.dropped);
                    narrowed.extend(applied.narrowed);
                    outcomes.push((sender, Ok(())));
                }
                Err(refusal) => outcomes.push((sender, Err(refusal))),
            }
        }
        let mut saved = Ok(());
        if !Arc::ptr_eq(&before, &newest) {
            saved = host.save(newest.clone()).await;
            if saved.is_ok() {
                *self.current.borrow_mut() = newest.clone();
                host.publish(Published { catalog: newest.clone(), dropped, narrowed }).await;
            }
        }
        for (sender, outcome) in outcomes {
            sender.send(match (&saved, outcome) {
                (_, Err(refusal)) => Err(refusal),
                (Err(reason), Ok(())) => Err(CatalogError::NotSaved(reason.clone())),
                (Ok(()), Ok(())) => Ok(newest.clone()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::initial::initial;
    use futures_lite::future::{block_on, zip};
    use tidewire_sql::Definition;
    use tidewire_storage::schema::DatabaseOptions;

    struct Host {
        fails: bool,
        saves: Rc<Cell<u32>>,
    }

    impl CatalogHost for Host {
        async fn save(&self, _: Arc<Catalog>) -> Result<(), String> {
            self.saves.set(self.saves.get() + 1);
            futures_lite::future::yield_now().await;
            if self.fails { Err("disk full".to_owned()) } else { Ok(()) }
        }

        async fn publish(&self, _: Published) {}
    }

    fn create(name: &str) -> SchemaChange {
        SchemaChange::Define(Definition::CreateDatabase {
            name: name.to_owned(),
            if_not_exists: false,
            options: DatabaseOptions::default(),
        })
    }

    #[test]
    fn changes_queued_together_are_saved_once_and_answered_one_by_one() {
        let owner = Rc::new(CatalogOwner::new(Arc::new(initial())));
        let saves = Rc::new(Cell::new(0));
        let (a, b, again) = (owner.change(create("a")), owner.change(create("b")), owner.change(create("a")));
        let host = Host { fails: false, saves: saves.clone() };
        let (((a, b), again), ()) = block_on(zip(zip(zip(a, b), again), owner.clone().run(host)));
        assert!(a.unwrap().databases.contains_key("b"), "both are in the catalog that was saved");
        assert!(b.is_ok());
        assert_eq!(again.unwrap_err(), CatalogError::DatabaseExists("a".to_owned()));
        assert_eq!(saves.get(), 1);
    }

    #[test]
    fn a_catalog_that_cannot_be_saved_does_not_change() {
        let owner = Rc::new(CatalogOwner::new(Arc::new(initial())));
        let host = Host { fails: true, saves: Rc::default() };
        let (outcome, ()) = block_on(zip(owner.change(create("a")), owner.clone().run(host)));
        assert_eq!(outcome.unwrap_err(), CatalogError::NotSaved("disk full".to_owned()));
        assert!(!owner.current().databases.contains_key("a"));
    }
}
