//! How rows reach their shards: letters to the core that owns one, which answers when they are durable.
//!
//! A letter that has been sent arrives, also when the request that sent it has been given up meanwhile.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::world::{Letter, World};
use crate::core::message::{Append, Appended, TableBatch};

type Waiting<'t> = Pin<Box<dyn Future<Output = ()> + 't>>;

/// The cores take their letters, and answer when the rows are durable.
pub(super) async fn serve(world: Rc<World<'_>>) {
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    poll_fn(|context| {
        context.waker().wake_by_ref();
        let core = world.random.borrow_mut().usize(0..world.cores.len());
        let letter = match world.chance(3) {
            true => world.mail.borrow_mut()[core].pop_front(),
            false => None,
        };
        if let Some(letter) = letter {
            waiting.extend(append(&world, letter));
        }
        waiting.retain_mut(|one| one.as_mut().poll(context).is_pending());
        Poll::<()>::Pending
    })
    .await;
}

/// As `core::shards` and `core::serve` do it.
fn append<'t>(
    world: &Rc<World<'t>>,
    Letter { rows: Append { shard, rows, .. }, answer }: Letter,
) -> Option<Waiting<'t>> {
    let open = world.shards[shard as usize].clone();
    let is_live = |part: &&TableBatch| !open.has_ended(part.table.id);
    let live: Vec<_> = rows.iter().filter(is_live).map(|part| (&part.batch, &*part.table)).collect();
    world.tally.borrow_mut().overtaken += (rows.len() - live.len()) as u64;
    let (lsn, ids) = match open.append_all(&live) {
        Ok(appended) => appended,
        Err(error) => {
            answer.send(Appended { rows, outcome: Err(error) });
            return None;
        }
    };
    let mut ids = ids.into_iter();
    let of_part = |part: &TableBatch| if is_live(&part) { ids.next().unwrap() } else { Vec::new() };
    let ids = rows.iter().map(of_part).collect();
    let world = world.clone();
    Some(Box::pin(async move {
        let outcome = open.durable(lsn).await.map(|()| ids);
        world.pause(2).await;
        answer.send(Appended { rows, outcome });
    }))
}
