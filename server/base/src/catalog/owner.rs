//! The one place where the catalog changes: a queue of changes on the owning core.
//!
//! 1. [`CatalogOwner::change`] queues a change and waits for its outcome.
//! 2. One task takes everything queued, decides in order what each change comes to, makes all of it durable at once,
//!    publishes the catalog with it (the `publish` hook sends it to the other cores and drops the data of dropped
//!    tables), and answers all.
//! 3. If saving fails, none of those changes happened, and each waiter gets that answer.
//! 4. If it is open whether they happened ([`CatalogLog::is_in_doubt`]), changes are refused until that is settled, and
//!    what only one of the two catalogs has is hidden meanwhile ([`fence`](super::fence)): nothing is acknowledged that
//!    the next start could lack. When it is settled, what was hidden is back.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_storage::disk::Disk;
use tidewire_storage::schema::Catalog;

use super::change::SchemaChange;
use super::decide::decide;
use super::edit::{Effects, replay};
use super::error::CatalogError;
use super::fence::common;
use super::log::CatalogLog;
use crate::oneshot::{Sender, oneshot};

/// How long to wait before what failed is tried again: a disk that failed once may be well at once, one that goes on
/// failing is not kept busy.
const SETTLE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A catalog to be used from now on.
#[derive(Debug)]
pub struct Published {
    /// The newest catalog.
    pub catalog: Arc<Catalog>,
    /// What has changed in it that cores keep more of than its names.
    pub effects: Effects,
}

/// What the owner needs of the core it lives on.
pub trait CatalogHost {
    /// Makes the catalog visible on every core and drops the data of dropped tables; returns when all have done so.
    fn publish(&self, published: Arc<Published>) -> impl Future<Output = ()>;
    /// Waits.
    fn pause(&self, time: Duration) -> impl Future<Output = ()>;
}

/// The outcome of a change: the catalog that holds it.
pub type Outcome = Result<Arc<Catalog>, CatalogError>;

/// Owner of the catalog.
pub struct CatalogOwner<D: Disk> {
    /// What is acknowledged, and durable.
    current: RefCell<Arc<Catalog>>,
    queue: RefCell<Vec<(SchemaChange, Sender<Outcome>)>>,
    /// Taken by the task that works.
    log: Cell<Option<CatalogLog<D>>>,
    in_doubt: Cell<bool>,
}

impl<D: Disk> CatalogOwner<D> {
    /// An owner that goes on where the log does, which has `catalog`.
    pub fn new(catalog: Arc<Catalog>, log: CatalogLog<D>) -> Self {
        Self {
            current: RefCell::new(catalog),
            queue: RefCell::default(),
            log: Cell::new(Some(log)),
            in_doubt: Cell::new(false),
        }
    }

    /// The newest catalog.
    pub fn current(&self) -> Arc<Catalog> {
        self.current.borrow().clone()
    }

    /// Whether changes are refused until it is known what is on disk.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt.get()
    }

    /// Queues `change`; resolves when it is durable and visible, or refused. The caller must see to it that
    /// [`Self::run`] is called (spawned) afterwards, on this core.
    pub fn change(&self, change: SchemaChange) -> impl Future<Output = Outcome> + use<D> {
        let (sender, receiver) = oneshot();
        self.queue.borrow_mut().push((change, sender));
        async move { receiver.await.unwrap_or_else(|| Err(CatalogError::NotSaved("the server is stopping".to_owned()))) }
    }

    /// Works off the queue; returns at once when another call is at it.
    pub async fn run<H: CatalogHost>(self: Rc<Self>, host: H) {
        let Some(mut log) = self.log.take() else { return };
        loop {
            let taken = std::mem::take(&mut *self.queue.borrow_mut());
            if taken.is_empty() {
                break;
            }
            let doubted = self.work_off(&mut log, taken, &host).await;
            if log.is_in_doubt() {
                self.settle(&mut log, doubted, &host).await;
            }
        }
        self.log.set(Some(log));
    }

    /// Makes what is queued durable, publishes and answers it. Gives the catalog that is perhaps on disk instead of the
    /// current one, where that is open.
    async fn work_off<H: CatalogHost>(
        &self,
        log: &mut CatalogLog<D>,
        changes: Vec<(SchemaChange, Sender<Outcome>)>,
        host: &H,
    ) -> Arc<Catalog> {
        let before = self.current();
        let mut next = Catalog { version: before.version + 1, ..Catalog::clone(&before) };
        let (mut edits, mut effects) = (Vec::new(), Effects::default());
        let mut outcomes = Vec::with_capacity(changes.len());
        for (change, sender) in changes {
            let decided = decide(&next, &change);
            let holds_anyway = edits.is_empty();
            outcomes.push((sender, decided.as_ref().map(drop).map_err(CatalogError::clone), holds_anyway));
            for edit in decided.into_iter().flatten() {
                if let Err(reason) = replay(&mut next, &edit, &mut effects) {
                    unreachable!("BUG: an edit does not fit the catalog that it was made for: {reason}");
                }
                edits.push(edit);
            }
        }
        let (saved, newest) = match edits.is_empty() {
            true => (Ok(()), before),
            false => {
                let next = Arc::new(next);
                match log.append(&before, &edits, next.version).await {
                    Ok(()) => {
                        *self.current.borrow_mut() = next.clone();
                        host.publish(Arc::new(Published { catalog: next.clone(), effects })).await;
                        (Ok(()), next)
                    }
                    Err(error) if log.is_in_doubt() => {
                        self.hide(&next, host).await;
                        let reason = format!("{error}; it is not known yet whether the change is on disk");
                        (Err(unsaved(&error, reason)), next)
                    }
                    Err(error) => (Err(unsaved(&error, error.to_string())), before),
                }
            }
        };
        for (sender, outcome, holds_anyway) in outcomes {
            sender.send(match (&saved, outcome) {
                // It may be refused for a change before it that did not happen.
                (Err(unsaved), outcome) if outcome.is_ok() || !holds_anyway => Err(unsaved.clone()),
                (_, Err(refusal)) => Err(refusal),
                (_, Ok(())) => Ok(newest.clone()),
            });
        }
        if saved.is_ok() && !edits.is_empty() {
            // Nobody waits for this; changes that arrive meanwhile do, and share the next commit.
            log.seal().await;
            log.rotate_if_grown(&newest).await;
        }
        newest
    }

    /// Shows no more than what the current catalog has in common with the one that is perhaps on disk.
    async fn hide<H: CatalogHost>(&self, doubted: &Catalog, host: &H) {
        let current = self.current();
        let shown = Catalog { version: doubted.version, ..common(&current, doubted) };
        let stale = current.databases.keys().filter(|name| current.databases.get(name) != shown.databases.get(name));
        let effects = Effects { stale: stale.cloned().collect(), ..Effects::default() };
        host.publish(Arc::new(Published { catalog: Arc::new(shown), effects })).await;
    }

    /// Waits until a start would find the current catalog for certain, and refuses changes meanwhile.
    async fn settle<H: CatalogHost>(&self, log: &mut CatalogLog<D>, doubted: Arc<Catalog>, host: &H) {
        log::error!("the catalog takes no changes until it is known what is on disk");
        self.in_doubt.set(true);
        let current = self.current();
        let mut pause = SETTLE_PAUSE.0;
        let mut tried = Duration::ZERO;
        loop {
            // Short waits, so that nobody is kept waiting for a refusal.
            host.pause(SETTLE_PAUSE.0).await;
            tried += SETTLE_PAUSE.0;
            for (_, sender) in std::mem::take(&mut *self.queue.borrow_mut()) {
                let reason = "it is not known what is on disk of an earlier change; try again later";
                sender.send(Err(CatalogError::NotSaved(reason.to_owned())));
            }
            if tried < pause {
                continue;
            }
            match log.settle(&current).await {
                Ok(()) => break,
                Err(error) => log::error!("the catalog takes no changes still: {error}"),
            }
            (pause, tried) = ((pause * 2).min(SETTLE_PAUSE.1), Duration::ZERO);
        }
        log::warn!("the catalog takes changes again");
        self.in_doubt.set(false);
        if !Arc::ptr_eq(&current, &doubted) {
            // Newer than what was shown meanwhile.
            let shown = Arc::new(Catalog { version: doubted.version + 1, ..Catalog::clone(&current) });
            *self.current.borrow_mut() = shown.clone();
            host.publish(Arc::new(Published { catalog: shown, effects: Effects::default() })).await;
        }
    }
}

/// What a change ends with that the log has not taken.
fn unsaved(error: &tidewire_storage::Error, reason: String) -> CatalogError {
    match error.is_no_space() {
        true => CatalogError::NoSpace(reason),
        false => CatalogError::NotSaved(reason),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_lite::future::{block_on, yield_now, zip};
    use tidewire_sql::Definition;
    use tidewire_storage::disk::sim::{Fault, FaultKind, Operation, SimDisk};
    use tidewire_storage::schema::DatabaseOptions;

    use super::*;

    /// What the cores see.
    #[derive(Clone, Default)]
    struct Host(Rc<RefCell<Vec<Arc<Published>>>>);

    impl CatalogHost for Host {
        async fn publish(&self, published: Arc<Published>) {
            self.0.borrow_mut().push(published);
        }

        async fn pause(&self, _: Duration) {
            yield_now().await;
        }
    }

    fn owner(disk: &SimDisk) -> Rc<CatalogOwner<SimDisk>> {
        let (log, catalog) = block_on(CatalogLog::open(disk.clone(), Path::new("/meta"))).unwrap();
        Rc::new(CatalogOwner::new(Arc::new(catalog), log))
    }

    fn create(name: &str) -> SchemaChange {
        SchemaChange::Define(Definition::CreateDatabase {
            name: name.to_owned(),
            if_not_exists: false,
            options: DatabaseOptions::default(),
        })
    }

    fn drop_of(name: &str) -> SchemaChange {
        SchemaChange::Define(Definition::DropDatabase { name: name.to_owned(), if_exists: false })
    }

    #[test]
    fn changes_queued_together_are_saved_once_and_answered_one_by_one() {
        let disk = SimDisk::new(1);
        let owner = owner(&disk);
        let first = block_on(zip(owner.change(create("x")), owner.clone().run(Host::default()))).0;
        assert!(first.is_ok());
        let syncs = disk.counts().syncs;
        let (a, b, again) = (owner.change(create("a")), owner.change(create("b")), owner.change(create("a")));
        let host = Host::default();
        let (((a, b), again), ()) = block_on(zip(zip(zip(a, b), again), owner.clone().run(host.clone())));
        assert!(a.unwrap().databases.contains_key("b"), "both are in the catalog that was saved");
        assert!(b.is_ok());
        assert_eq!(again.unwrap_err(), CatalogError::DatabaseExists("a".to_owned()));
        assert_eq!((disk.counts().syncs - syncs, host.0.borrow().len()), (1, 1));
    }

    #[test]
    fn a_catalog_that_cannot_be_saved_does_not_change() {
        let disk = SimDisk::new(1);
        let owner_of = owner(&disk);
        let run = |change| block_on(zip(owner_of.change(change), owner_of.clone().run(Host::default()))).0;
        run(create("x")).unwrap();
        for kind in [FaultKind::Io, FaultKind::NoSpace] {
            for operation in [Operation::Write, Operation::Sync] {
                disk.inject(Fault::next(operation, "meta", kind));
                let refusal = run(create("a")).unwrap_err();
                assert_eq!(matches!(refusal, CatalogError::NoSpace(_)), kind == FaultKind::NoSpace, "{refusal}");
                assert!(matches!(refusal, CatalogError::NotSaved(_) | CatalogError::NoSpace(_)), "{refusal}");
                assert!(!owner_of.is_in_doubt() && !owner_of.current().databases.contains_key("a"));
                run(create("b")).unwrap();
                run(drop_of("b")).unwrap();
            }
        }
        disk.crash();
        let found = owner(&disk).current();
        assert_eq!(found.databases.keys().map(|name| &**name).collect::<Vec<_>>(), ["public", "x"]);
    }

    #[test]
    fn what_may_be_gone_is_hidden_until_that_is_known() {
        let disk = SimDisk::new(1);
        let owner = owner(&disk);
        block_on(zip(owner.change(create("x")), owner.clone().run(Host::default()))).0.unwrap();
        disk.inject(Fault::lasting(Operation::Sync, "meta", FaultKind::Io));
        let host = Host::default();
        let asking = async {
            let refused = owner.change(drop_of("x")).await.unwrap_err().to_string();
            assert!(refused.contains("it is not known yet whether the change is on disk"), "{refused}");
            let shown = host.0.borrow().last().unwrap().clone();
            assert!(!shown.catalog.databases.contains_key("x"));
            assert_eq!((shown.effects.dropped.len(), shown.effects.stale.len()), (0, 1));
            let refused = owner.change(create("y")).await.unwrap_err().to_string();
            assert!(refused.contains("of an earlier change"), "{refused}");
            assert!(owner.is_in_doubt());
            disk.heal();
        };
        block_on(zip(asking, owner.clone().run(host.clone())));
        assert!(!owner.is_in_doubt());
        let shown = host.0.borrow().last().unwrap().catalog.clone();
        assert!(shown.databases.contains_key("x"), "it is back");
        block_on(zip(owner.change(create("y")), owner.clone().run(host))).0.unwrap();
        disk.crash();
        let (_, found) = block_on(CatalogLog::open(disk, Path::new("/meta"))).unwrap();
        assert_eq!(found.databases.keys().map(|name| &**name).collect::<Vec<_>>(), ["public", "x", "y"]);
    }
}
