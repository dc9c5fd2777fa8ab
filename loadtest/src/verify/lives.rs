//! Tables that are dropped and made again while they are written: pure bookkeeping, no I/O.
//!
//! Every value says its table, host and column in itself, and its number: `t2 h5 c1 v1234` where the column holds
//! text, `1234` where it holds numbers. Clients note when they sent what and when they heard of it, on one clock. A
//! value that a check finds must be where it says, of a request that was not refused, and not of one that had ended
//! before something was asked for that takes it away, and that was done. One that was acknowledged must be there unless
//! something that may have taken it away was not over when it was sent.

use super::ledger::Verdict;

/// Tables, hosts and fields.
pub(super) const TABLES: usize = 4;
pub(super) const HOSTS: usize = 6;
pub(super) const COLUMNS: usize = 4;

/// Where a value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) table: usize,
    pub(super) host: usize,
    pub(super) column: usize,
    /// No two rows have the same.
    pub(super) time_ns: i64,
}

/// What somebody takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The database.
    All,
    /// A table, or all its rows.
    Table(usize),
    /// A field of a table.
    Column(usize, usize),
}

impl Scope {
    fn covers(self, place: &Place) -> bool {
        match self {
            Self::All => true,
            Self::Table(table) => table == place.table,
            Self::Column(table, column) => (table, column) == (place.table, place.column),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Nothing: the server was killed before.
    Nothing,
    Done,
    Refused,
}

#[derive(Debug)]
struct Request {
    sent_at: u64,
    ended_at: Option<u64>,
    heard: Heard,
}

#[derive(Debug)]
struct Value {
    place: Place,
    request: usize,
    /// What was in flight is as the first check has found it, from then on.
    settled: Option<(bool, u64)>,
}

#[derive(Debug)]
struct Taking {
    scope: Scope,
    asked_at: u64,
    ended_at: Option<u64>,
    is_done: bool,
}

/// What became of something that takes values away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it.
    All,
    /// Nothing: it was refused.
    Nothing,
    /// A part.
    Perhaps,
}

/// All that was sent.
#[derive(Debug, Default)]
pub(super) struct Lives {
    clock: u64,
    last_time_ns: i64,
    requests: Vec<Request>,
    values: Vec<Value>,
    takings: Vec<Taking>,
}

impl Lives {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A request is about to be sent.
    pub(super) fn begin(&mut self) -> usize {
        let sent_at = self.tick();
        self.requests.push(Request { sent_at, ended_at: None, heard: Heard::Nothing });
        self.requests.len() - 1
    }

    /// A value of it; gives its number.
    pub(super) fn send(&mut self, request: usize, place: Place) -> usize {
        self.values.push(Value { place, request, settled: None });
        self.values.len() - 1
    }

    /// Its reply has come.
    pub(super) fn end(&mut self, request: usize, is_done: bool) {
        let now = self.tick();
        if let Some(request) = self.requests.get_mut(request) {
            request.ended_at = Some(now);
            request.heard = if is_done { Heard::Done } else { Heard::Refused };
        }
    }

    /// Something that takes values away is about to be asked for.
    pub(super) fn begin_taking(&mut self, scope: Scope) -> usize {
        let asked_at = self.tick();
        self.takings.push(Taking { scope, asked_at, ended_at: None, is_done: false });
        self.takings.len() - 1
    }

    /// Its reply has come.
    pub(super) fn end_taking(&mut self, taking: usize, taken: Taken) {
        let now = self.tick();
        if let Some(taking) = self.takings.get_mut(taking) {
            taking.ended_at = Some(if taken == Taken::Nothing { 0 } else { now });
            taking.is_done = taken == Taken::All;
        }
    }

    /// A time that no other row has, `oldest_ns` or later.
    pub(super) fn time_ns(&mut self, oldest_ns: i64) -> i64 {
        self.last_time_ns = oldest_ns.max(self.last_time_ns + 1_000);
        self.last_time_ns
    }

    /// The server is dead: what is not over never will be.
    pub(super) fn die(&mut self) {
        let now = self.tick();
        self.requests.iter_mut().for_each(|request| request.ended_at = request.ended_at.or(Some(now)));
        self.takings.iter_mut().for_each(|taking| taking.ended_at = taking.ended_at.or(Some(now)));
    }

    /// Acknowledged requests, and changes that were done and take something away.
    pub(super) fn counts(&self) -> (u64, u64) {
        let requests = self.requests.iter().filter(|request| request.heard == Heard::Done).count();
        (requests as u64, self.takings.iter().filter(|taking| taking.is_done).count() as u64)
    }

    /// Compares with what a check has found, values by number. What was in flight becomes settled.
    pub(super) fn check(&mut self, found: &[(usize, Place)], verdict: &mut Verdict) {
        let now = self.tick();
        let mut is_there = vec![false; self.values.len()];
        for (number, place) in found {
            let Some(value) = self.values.get(*number) else {
                verdict.wrong_batches += 1;
                verdict.find(format!("value {number} at {place:?} was never written"));
                continue;
            };
            let request = &self.requests[value.request];
            let ended_at = value.settled.map_or(request.ended_at.unwrap_or(now), |(_, at)| at);
            let took = |taking: &&Taking| taking.is_done && taking.asked_at > ended_at && taking.scope.covers(place);
            let wrong = if value.place != *place {
                Some(format!("belongs to {:?}", value.place))
            } else if request.heard == Heard::Refused {
                Some("was refused".to_owned())
            } else if value.settled.is_some_and(|(was_there, _)| !was_there) {
                Some("was not there before".to_owned())
            } else {
                self.takings.iter().find(took).map(|taking| format!("was taken away by {taking:?}"))
            };
            if let Some(wrong) = wrong {
                verdict.wrong_batches += 1;
                verdict.find(format!("value {number} at {place:?} {wrong}"));
            }
            if std::mem::replace(&mut is_there[*number], true) {
                verdict.duplicated_rows += 1;
                verdict.find(format!("value {number} at {place:?} is there twice"));
            }
        }
        for (number, is_there) in is_there.into_iter().enumerate() {
            let value = &self.values[number];
            let request = &self.requests[value.request];
            let (must_stay, since) = match value.settled {
                Some((was_there, at)) => (was_there, at),
                None => (request.heard == Heard::Done, request.sent_at),
            };
            let may_have = |taking: &Taking| taking.ended_at.is_none_or(|at| at > since);
            let is_excused = || self.takings.iter().any(|taking| may_have(taking) && taking.scope.covers(&value.place));
            if must_stay && !is_there && !is_excused() {
                verdict.lost_rows += 1;
                verdict.find(format!("value {number} at {:?} was acknowledged and is lost", value.place));
            }
            if request.heard != Heard::Refused && request.ended_at.is_some() {
                self.values[number].settled = Some((is_there, now));
            }
        }
    }
}

/// A value as it is written into a column of text.
pub(super) fn text(place: &Place, number: usize) -> String {
    format!("t{} h{} c{} v{number}", place.table, place.host, place.column)
}

/// The number of a value that a check has read; `None` where it does not belong to the table, host and column.
pub(super) fn number(cell: &str, place: &Place) -> Option<usize> {
    match cell.rsplit_once(" v") {
        None => cell.parse().ok(),
        Some((_, number)) => number.parse().ok().filter(|number| text(place, *number) == cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { table: 1, host: 2, column: 3, time_ns: 7 };

    /// A value of a request, and what became of that.
    fn sent(lives: &mut Lives, heard: Option<bool>) -> usize {
        let request = lives.begin();
        let number = lives.send(request, PLACE);
        if let Some(is_done) = heard {
            lives.end(request, is_done);
        }
        number
    }

    fn judge(lives: &mut Lives, found: &[(usize, Place)]) -> Verdict {
        let mut verdict = Verdict::default();
        lives.check(found, &mut verdict);
        verdict
    }

    #[test]
    fn values_are_where_they_say_and_stay_there() {
        let mut lives = Lives::default();
        let (done, refused, open) =
            (sent(&mut lives, Some(true)), sent(&mut lives, Some(false)), sent(&mut lives, None));
        lives.die();
        assert_eq!(judge(&mut lives, &[]).lost_rows, 1);
        assert!(!judge(&mut lives, &[(done, Place { host: 1, ..PLACE })]).is_good());
        assert!(!judge(&mut lives, &[(done, PLACE), (refused, PLACE)]).is_good());
        assert!(!judge(&mut lives, &[(done, PLACE), (open, PLACE)]).is_good(), "it was not there before");
        assert!(!judge(&mut lives, &[(done, PLACE), (99, PLACE)]).is_good());
        assert_eq!(judge(&mut lives, &[(done, PLACE), (done, PLACE)]).duplicated_rows, 1);
    }

    #[test]
    fn what_may_have_been_taken_away_is_excused_and_what_was_does_not_come_back() {
        let mut lives = Lives::default();
        let before = sent(&mut lives, Some(true));
        let refused = lives.begin_taking(Scope::Table(1));
        lives.end_taking(refused, Taken::Nothing);
        assert_eq!(judge(&mut lives, &[]).lost_rows, 1);

        for is_there in [true, false] {
            let mut lives = Lives::default();
            let request = lives.begin();
            let beside = lives.send(request, PLACE);
            let taking = lives.begin_taking(Scope::Column(1, 3));
            lives.end(request, true);
            lives.end_taking(taking, Taken::All);
            let after = sent(&mut lives, Some(true));
            let mut found = vec![(after, PLACE)];
            found.extend(is_there.then_some((beside, PLACE)));
            assert!(judge(&mut lives, &found).is_good());
            assert_eq!(judge(&mut lives, &[]).lost_rows, found.len() as u64, "what was there stays");
            let taking = lives.begin_taking(Scope::All);
            lives.end_taking(taking, Taken::All);
            assert!(judge(&mut lives, &[]).is_good());
            assert!(!judge(&mut lives, &[(after, PLACE)]).is_good());
        }
        assert_eq!(before, 0);
    }

    #[test]
    fn a_value_says_where_it_belongs() {
        assert_eq!(number(&text(&PLACE, 17), &PLACE), Some(17));
        assert_eq!(number(&text(&PLACE, 17), &Place { column: 0, ..PLACE }), None);
        assert_eq!((number("17", &PLACE), number("x", &PLACE)), (Some(17), None));
    }
}
