//! What was sent, what became of it, and what may have taken it away again.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidewire_storage::schema::{ColumnId, TableId};

/// Where a value belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) table: String,
    /// `h=a,k=b`.
    pub(super) tags: String,
    pub(super) column: String,
    pub(super) time_ns: i64,
}

#[derive(Debug)]
struct Value {
    place: Place,
    shard: u32,
    request: usize,
    /// When its row was given to the parser, or its request was admitted, no earlier: what had been taken away before
    /// takes nothing of it.
    read_at: u64,
    /// The last moment at which somebody may have taken it away.
    taken_at: u64,
    fate: Fate,
}

/// What starts have found of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// None has looked for it.
    Open,
    /// It was there, and stays from then on.
    Kept,
    /// It was not, and never comes back.
    Gone,
}

/// What a client heard of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet, or nothing at all.
    Nothing,
    /// All its rows are written.
    Done,
    /// None is.
    Refused,
    /// Some are, perhaps.
    Partly,
}

#[derive(Debug)]
struct Request {
    heard: Heard,
    ended_at: Option<u64>,
    /// Rows that are bad are left out.
    keeps_others: bool,
}

/// What somebody takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    Database(String),
    Policy(String, String),
    /// Of all policies of a database.
    Measurement(String, String),
    /// Of the default policy.
    Table(String, String),
    Column(String, String, String),
    Rows(TableId, Place),
    /// Of a policy, by a clock that is believed: rows before this time.
    Expired(String, String, i64),
}

/// A change that takes something away.
#[derive(Debug)]
struct Taking {
    scope: Scope,
    is_over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    /// For messages.
    pub(super) seed: u64,
    clock: u64,
    values: Vec<Value>,
    requests: Vec<Request>,
    takings: Vec<Taking>,
    /// Milliseconds that rows have.
    times: HashSet<i64>,
    /// When ids came to be, no earlier.
    tables: HashMap<TableId, u64>,
    columns: HashMap<(TableId, ColumnId), u64>,
}

/// A value as somebody has read it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) value: usize,
    pub(super) place: Place,
    pub(super) shard: u32,
    pub(super) table: TableId,
    pub(super) column: ColumnId,
}

impl Scope {
    fn covers(&self, place: &Place) -> bool {
        let in_default = place.policy == "autogen";
        match self {
            Self::Database(database) => *database == place.database,
            Self::Policy(database, policy) => *database == place.database && *policy == place.policy,
            Self::Measurement(database, table) => *database == place.database && *table == place.table,
            Self::Table(database, table) => in_default && *database == place.database && *table == place.table,
            Self::Column(database, table, column) => {
                in_default && *database == place.database && *table == place.table && *column == place.column
            }
            Self::Rows(_, of) => {
                (&of.database, &of.policy, &of.table) == (&place.database, &place.policy, &place.table)
            }
            Self::Expired(database, policy, oldest_ns) => {
                *database == place.database && *policy == place.policy && place.time_ns < *oldest_ns
            }
        }
    }
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A time of whole milliseconds that no other row has, so that nothing is written over.
    pub(super) fn time_ns(&mut self, near_ns: i64) -> i64 {
        let mut time_ms = near_ns / 1_000_000;
        while !self.times.insert(time_ms) {
            time_ms += 1;
        }
        time_ms * 1_000_000
    }

    pub(super) fn begin_request(&mut self) -> usize {
        self.requests.push(Request { heard: Heard::Nothing, ended_at: None, keeps_others: false });
        self.requests.len() - 1
    }

    /// Rows of a request that are bad will be left out.
    pub(super) fn keep_others(&mut self, request: usize) {
        self.requests[request].keeps_others = true;
    }

    /// A value of a request; its number is what is written.
    pub(super) fn send(&mut self, request: usize, place: Place, shard: u32) -> usize {
        self.values.push(Value { place, shard, request, read_at: self.clock, taken_at: 0, fate: Fate::Open });
        self.values.len() - 1
    }

    /// The values from `from` to `to` are read now at the earliest.
    pub(super) fn read(&mut self, values: std::ops::Range<usize>) {
        let now = self.tick();
        self.values[values].iter_mut().for_each(|value| value.read_at = now);
    }

    /// A request has been read and asks for admission.
    pub(super) fn admit(&mut self, request: usize) {
        let now = self.tick();
        let own = self.values.iter_mut().filter(|value| value.request == request);
        own.for_each(|value| value.read_at = now);
    }

    pub(super) fn values(&self) -> usize {
        self.values.len()
    }

    pub(super) fn end_request(&mut self, request: usize, heard: Heard) {
        let now = self.tick();
        let request = &mut self.requests[request];
        (request.heard, request.ended_at) = (heard, Some(now));
    }

    pub(super) fn begin_taking(&mut self, scope: Scope) -> usize {
        self.takings.push(Taking { scope, is_over: false });
        self.takings.len() - 1
    }

    /// It has happened now at the latest, perhaps in part, or never will.
    pub(super) fn end_taking(&mut self, taking: usize, has_happened: bool) {
        let now = self.tick();
        let Taking { scope, is_over } = &mut self.takings[taking];
        *is_over = true;
        if has_happened {
            let covered = self.values.iter_mut().filter(|value| scope.covers(&value.place));
            covered.for_each(|value| value.taken_at = now);
        }
    }

    /// Values that somebody is taking away.
    pub(super) fn under_way(&self) -> HashSet<usize> {
        let takings: Vec<&Taking> = self.takings.iter().filter(|taking| !taking.is_over).collect();
        let is_covered = |value: &Value| takings.iter().any(|taking| taking.scope.covers(&value.place));
        self.values.iter().enumerate().filter(|(_, value)| is_covered(value)).map(|(number, _)| number).collect()
    }

    /// A process has died: nothing that was under way happens any more.
    pub(super) fn die(&mut self) -> u64 {
        let now = self.tick();
        for taking in 0..self.takings.len() {
            if !self.takings[taking].is_over {
                self.end_taking(taking, true);
            }
        }
        self.takings.clear();
        let unheard = self.requests.iter_mut().filter(|request| request.ended_at.is_none());
        unheard.map(|request| request.ended_at = Some(now)).count() as u64
    }

    pub(super) fn born(&mut self, table: TableId, columns: impl Iterator<Item = ColumnId>) {
        let now = self.clock;
        self.tables.entry(table).or_insert(now);
        for column in columns {
            self.columns.entry((table, column)).or_insert(now);
        }
    }

    /// Whether somebody may have taken a value away.
    fn is_certain(&self, value: &Value) -> bool {
        let under_way = self.takings.iter().filter(|taking| !taking.is_over);
        value.taken_at <= value.read_at && !under_way.into_iter().any(|taking| taking.scope.covers(&value.place))
    }

    /// What a start has found stays, and what it has not found does not come back.
    pub(super) fn settle(&mut self, found: &[Found]) {
        let now = self.tick();
        let all: HashSet<usize> = found.iter().map(|one| one.value).collect();
        for (number, value) in self.values.iter_mut().enumerate() {
            match all.contains(&number) {
                true => (value.fate, value.read_at) = (Fate::Kept, now),
                false => value.fate = Fate::Gone,
            }
        }
    }

    /// Checks what a look has found. Where it was at all tables of some shards at one moment, `seen_at`, nothing may be
    /// missing there.
    pub(super) fn check(&self, found: &[Found], shards: &[u32], seen_at: u64) {
        let seed = self.seed;
        let mut by_request: BTreeMap<usize, HashSet<usize>> = BTreeMap::new();
        let mut all = HashSet::new();
        for one in found {
            let Some(value) = self.values.get(one.value) else { panic!("seed {seed}: nobody wrote {one:?}") };
            assert_eq!(one.place, value.place, "seed {seed}: value {} is under another name", one.value);
            assert_eq!(one.shard, value.shard, "seed {seed}: value {} is in another shard", one.value);
            assert!(all.insert(one.value), "seed {seed}: value {} is there twice", one.value);
            assert_ne!(value.fate, Fate::Gone, "seed {seed}: {one:?} is back");
            let request = &self.requests[value.request];
            assert_ne!(request.heard, Heard::Refused, "seed {seed}: {one:?} of a request that was refused");
            let born = self.tables[&one.table].max(self.columns[&(one.table, one.column)]);
            let ended = request.ended_at.unwrap_or(u64::MAX);
            assert!(
                born <= ended,
                "seed {seed}: {one:?} is in a life that began at {born}, its request ended at {ended}"
            );
            by_request.entry(value.request).or_default().insert(one.value);
        }
        for (number, value) in self.values.iter().enumerate().filter(|(_, value)| shards.contains(&value.shard)) {
            if all.contains(&number) || value.fate == Fate::Gone || !self.is_certain(value) {
                continue;
            }
            let request = &self.requests[value.request];
            let is_lost = request.heard == Heard::Done && request.ended_at.is_some_and(|at| at < seen_at);
            assert!(!is_lost, "seed {seed}: value {number} was acknowledged and is missing: {value:?}");
            let is_kept = value.fate == Fate::Kept;
            assert!(!is_kept, "seed {seed}: value {number} was there at a start and is missing: {value:?}");
            // A request is seen whole on a shard or not at all.
            let others = by_request.get(&value.request).into_iter().flatten();
            let beside = others.copied().find(|other| self.values[*other].shard == value.shard);
            let may_be_partial = match request.heard {
                Heard::Nothing => request.ended_at.is_some() || request.keeps_others,
                heard => heard == Heard::Partly,
            };
            assert!(
                beside.is_none() || may_be_partial,
                "seed {seed}: {value:?} is missing beside {:?}",
                beside.map(|other| &self.values[other])
            );
        }
    }

    /// Acknowledged values that are gone.
    pub(super) fn dropped(&self, found: &[Found]) -> u64 {
        let all: HashSet<usize> = found.iter().map(|one| one.value).collect();
        let is_done = |value: &Value| self.requests[value.request].heard == Heard::Done;
        self.values.iter().enumerate().filter(|(number, value)| is_done(value) && !all.contains(number)).count() as u64
    }
}
