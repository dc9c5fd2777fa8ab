//! A DELETE: the same deletion on every shard, done when it is durable on all of them.
//!
//! Each shard decides by its own index which of its series are meant and takes one delete for each range of time, all
//! without waiting in between, so no write comes in the middle. Where a shard is offline, nothing is deleted anywhere.
//! When a shard fails, others may have deleted their part: the error says which have, and the statement can be sent
//! again, since what is gone stays gone.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_sql::Deletion;
use tidewire_sql::exec::{ExecError, selected_series};
use tidewire_storage::engine::SeriesSelection;

use crate::core::message::{Delete, DeleteFailure, DeleteWatched, WatchedDelete};
use crate::core::shards::CoreShard;
use crate::core::state::CoreState;
use crate::core::watch::Watch;

/// Why rows are not deleted, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// None is deleted.
    #[error(transparent)]
    Refused(ExecError),
    /// Some are, or may be.
    #[error(transparent)]
    Partly(Box<PartlyDone>),
}

/// A deletion that some shards have done and others not.
#[derive(Debug)]
pub struct PartlyDone {
    /// Measurements all of whose rows are deleted, of a statement about several.
    pub measurements: Vec<String>,
    /// Shards that have deleted their part.
    pub done: Vec<u32>,
    /// Shards that have not, and whether a part of their rows may be deleted all the same; none where nothing was begun
    /// of what is left.
    pub failed: Vec<(u32, bool)>,
    /// The first failure.
    pub cause: ExecError,
}

impl std::error::Error for PartlyDone {}

impl fmt::Display for PartlyDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not all rows are deleted: ")?;
        if !self.measurements.is_empty() {
            write!(f, "those of {} are; ", self.measurements.join(", "))?;
        }
        match self.done[..] {
            [] => {}
            [shard] => write!(f, "shard {shard} has deleted its part; ")?,
            _ => {
                let numbers: Vec<String> = self.done.iter().map(u32::to_string).collect();
                write!(f, "shards {} have deleted their parts; ", numbers.join(", "))?;
            }
        }
        for (shard, is_touched) in &self.failed {
            let how_much = if *is_touched { "may have deleted some of its part" } else { "has deleted nothing" };
            write!(f, "shard {shard} {how_much}; ")?;
        }
        write!(f, "{}; what is deleted stays so, and the statement can be sent again", self.cause)
    }
}

impl DeleteError {
    /// The first failure.
    pub fn cause(&self) -> &ExecError {
        match self {
            Self::Refused(error) => error,
            Self::Partly(partly) => &partly.cause,
        }
    }

    /// Whether there was no space for it on the disk.
    pub fn is_no_space(&self) -> bool {
        matches!(self.cause(), ExecError::Storage(error) if error.is_no_space())
    }

    /// The same after all rows of `measurements` were deleted.
    #[must_use]
    pub fn after(self, measurements: Vec<String>) -> Self {
        if measurements.is_empty() {
            return self;
        }
        let done = match self {
            Self::Refused(cause) => PartlyDone { measurements, done: Vec::new(), failed: Vec::new(), cause },
            Self::Partly(partly) => PartlyDone { measurements, ..*partly },
        };
        Self::Partly(Box::new(done))
    }
}

/// Deletes from every shard.
pub async fn delete(core: &CoreState, deletion: Deletion) -> Result<(), DeleteError> {
    if deletion.times.is_empty() {
        return Ok(());
    }
    core.offline.check_all().map_err(|error| DeleteError::Refused(error.into()))?;
    let deletion = Arc::new(deletion);
    let peers = &core.peers;
    judge(peers.ask_shards(|shard| Delete { shard, deletion: deletion.clone() }).await).map(drop)
}

/// The same for rows that were watched: says of each shard what it has done.
pub async fn delete_watched(
    core: &CoreState,
    deletion: Deletion,
    watch: &Arc<Watch>,
    round: u32,
) -> Result<Vec<WatchedDelete>, DeleteError> {
    core.offline.check_all().map_err(|error| DeleteError::Refused(error.into()))?;
    let deletion = Arc::new(deletion);
    let question = |shard| DeleteWatched { shard, deletion: deletion.clone(), watch: watch.clone(), round };
    judge(core.peers.ask_shards(question).await)
}

/// What the shards' outcomes, in their order, come to.
fn judge<T>(outcomes: Vec<Result<T, DeleteFailure>>) -> Result<Vec<T>, DeleteError> {
    let (mut all, mut done, mut failed, mut cause) = (Vec::new(), Vec::new(), Vec::new(), None);
    for (shard, outcome) in (0_u32..).zip(outcomes) {
        match outcome {
            Ok(outcome) => {
                all.push(outcome);
                done.push(shard);
            }
            Err(failure) => {
                let DeleteFailure { error, is_touched } = failure;
                failed.push((shard, is_touched));
                cause = cause.or(Some(error));
            }
        }
    }
    match cause {
        None => Ok(all),
        Some(cause) if done.is_empty() && failed.iter().all(|(_, is_touched)| !is_touched) => {
            Err(DeleteError::Refused(cause))
        }
        Some(cause) => {
            let partly = PartlyDone { measurements: Vec::new(), done, failed, cause };
            Err(DeleteError::Partly(Box::new(partly)))
        }
    }
}

/// Deletes from one shard of this core.
pub(crate) async fn delete_from(shard: &Rc<CoreShard>, deletion: &Deletion) -> Result<(), DeleteFailure> {
    delete_series(shard, deletion, &series_of(shard, deletion)?).await
}

/// The same unless `is_written` says of the series that others have written to them: then nothing is deleted. Nothing
/// is written between its answer and the delete.
pub(crate) async fn delete_unless(
    shard: &Rc<CoreShard>,
    deletion: &Deletion,
    is_written: impl FnOnce(&SeriesSelection) -> bool,
) -> Result<WatchedDelete, DeleteFailure> {
    let series = series_of(shard, deletion)?;
    if is_written(&series) {
        return Ok(WatchedDelete::Written);
    }
    delete_series(shard, deletion, &series).await.map(|()| WatchedDelete::Done)
}

fn series_of(shard: &Rc<CoreShard>, deletion: &Deletion) -> Result<SeriesSelection, DeleteFailure> {
    let series = selected_series(&deletion.series, shard, &deletion.table);
    series.map_err(|error| DeleteFailure { error, is_touched: false })
}

async fn delete_series(
    shard: &Rc<CoreShard>,
    deletion: &Deletion,
    series: &SeriesSelection,
) -> Result<(), DeleteFailure> {
    let mut last = None;
    for (from, to) in &deletion.times {
        match shard.delete(deletion.table.id, series, *from, *to) {
            Ok(lsn) => last = Some(lsn),
            Err(error) => return Err(DeleteFailure { error: error.into(), is_touched: last.is_some() }),
        }
    }
    // One over all times hides its series by itself.
    if last.is_some() && !deletion.times.contains(&(i64::MIN, i64::MAX)) {
        match shard.hide_emptied(deletion.table.id, series).await {
            Ok(hidden) => last = hidden.or(last),
            // The rows are gone all the same.
            Err(error) => {
                log::warn!("series of {} that have no rows left are still shown: {error}", deletion.table.name);
            }
        }
    }
    match last {
        // Until it is known to be durable a crash may undo it.
        Some(lsn) => shard.durable(lsn).await.map_err(|error| DeleteFailure { error: error.into(), is_touched: true }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::Error;

    use super::*;

    fn full(shard: u32, is_touched: bool) -> Result<(), DeleteFailure> {
        let error = Error::NoSpace { shard, reason: "x".to_owned() };
        Err(DeleteFailure { error: error.into(), is_touched })
    }

    #[test]
    fn what_is_true_is_said() {
        assert!(judge(vec![Ok(()), Ok(())]).is_ok());
        let cause = "shard 0 takes no writes for want of space: x";
        let refused = judge(vec![full(0, false), full(1, false)]).unwrap_err();
        assert!(matches!(refused, DeleteError::Refused(_)) && refused.is_no_space());
        assert_eq!(refused.to_string(), cause);
        let end = "what is deleted stays so, and the statement can be sent again";
        let partly = judge(vec![full(0, false), Ok(()), full(2, true), Ok(())]).unwrap_err();
        let words = format!(
            "not all rows are deleted: shards 1, 3 have deleted their parts; shard 0 has deleted nothing; shard 2 may \
             have deleted some of its part; {cause}; {end}"
        );
        assert_eq!(partly.to_string(), words);
        let touched = judge(vec![full(0, true)]).unwrap_err().to_string();
        assert_eq!(
            touched,
            format!("not all rows are deleted: shard 0 may have deleted some of its part; {cause}; {end}")
        );
        let later = refused.after(vec!["cpu".to_owned(), "mem".to_owned()]);
        assert!(later.is_no_space());
        assert_eq!(later.to_string(), format!("not all rows are deleted: those of cpu, mem are; {cause}; {end}"));
    }
}
