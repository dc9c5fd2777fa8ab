//! What requests of tenants use: counted for `usage_schema`, and held to the tenants' limits.
//!
//! Each core counts for itself, behind a lock that only it takes but for who reads the counts. Limits are one for all
//! cores; only requests of tenants that have some look at them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidewire_sql::facts::Usage;
use tidewire_storage::schema::{Bucket, RequestKind, Tenant, tenant_and_database};

/// Names that a core counts by, few enough to be listed in a millisecond; what comes with more of them is counted
/// under none. A user and a database are counted only if they are there, so that clients cannot make names.
const NAMES_MAX: usize = 1_000;

/// What is counted of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// It was to run statements.
    pub queries: u64,
    /// It was to write rows.
    pub writes: u64,
    /// Bytes of its body, decompressed.
    pub bytes_in: u64,
    /// Bytes of its reply.
    pub bytes_out: u64,
}

/// Whose request it was.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'r> {
    /// The endpoint's pattern.
    pub api: &'static str,
    /// The tenant.
    pub tenant: &'r str,
    /// The catalog's name of the database, if there is one.
    pub database: &'r str,
    /// Who asked.
    pub user: &'r str,
}

#[derive(Debug)]
struct Counted {
    api: &'static str,
    tenant: Arc<str>,
    database: Arc<str>,
    user: Arc<str>,
    used: Used,
}

/// The counts of a core.
#[derive(Debug, Default)]
struct Counts {
    all: Vec<Counted>,
    /// Places in `all`.
    by_name: HashMap<String, usize>,
    /// Kept so that a request whose names are known makes nothing.
    name: String,
    /// The place that was counted last: the next request is often of the same names.
    last: usize,
}

impl Counted {
    fn is_of(&self, whose: Whose<'_>) -> bool {
        let Whose { api, tenant, database, user } = whose;
        self.api == api
            && *self.user == *user
            && *self.tenant == *tenant
            && *self.database == *tenant_and_database(database).1
    }
}

/// What one core counts.
#[derive(Debug, Clone)]
pub struct CoreUsage {
    own: Arc<Mutex<Counts>>,
    all: Arc<UsageOfAll>,
}

/// The counts of all cores, and what tenants may use still.
#[derive(Debug, Default)]
pub struct UsageOfAll {
    cores: Mutex<Vec<Arc<Mutex<Counts>>>>,
    tokens: Mutex<HashMap<(Arc<str>, RequestKind), Tokens>>,
}

/// What is left of a limit.
#[derive(Debug, Clone, PartialEq)]
struct Tokens {
    /// The limit that it is left of; another one begins anew.
    bucket: Bucket,
    /// Below zero, where more was used than there was.
    left: i64,
    /// When the last interval began.
    since_ns: i64,
}

impl Tokens {
    /// What there is at first: as if an interval had just passed, so that a limit does not refuse the first request.
    fn new(bucket: Bucket, now_ns: i64) -> Self {
        let initial = bucket.remote_initial.saturating_add(bucket.local_initial).saturating_add(bucket.remote_refill);
        Self { bucket, left: whole(initial.min(bucket.remote_max)), since_ns: now_ns }
    }

    /// Takes in what intervals have brought.
    fn refill(&mut self, now_ns: i64) {
        let interval_ns = whole(self.bucket.remote_interval.max(1)).saturating_mul(1_000_000);
        let passed = now_ns.saturating_sub(self.since_ns).max(0) / interval_ns;
        if passed > 0 {
            let more = whole(self.bucket.remote_refill).saturating_mul(passed);
            self.left = self.left.saturating_add(more).min(whole(self.bucket.remote_max));
            self.since_ns = self.since_ns.saturating_add(passed.saturating_mul(interval_ns));
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UsageOfAll {
    /// The place of one more core.
    pub fn core(self: &Arc<Self>) -> CoreUsage {
        let own = Arc::new(Mutex::new(Counts::default()));
        lock(&self.cores).push(own.clone());
        CoreUsage { own, all: self.clone() }
    }
}

impl CoreUsage {
    /// Counts a request.
    pub fn count(&self, whose: Whose<'_>, used: Used) {
        let counts = &mut *lock(&self.own);
        if let Some(last) = counts.all.get_mut(counts.last).filter(|last| last.is_of(whose)) {
            last.used.add(used);
            return;
        }
        let fill = |name: &mut String, whose: Whose<'_>| {
            name.clear();
            let Whose { api, tenant, database, user } = whose;
            // The separators cannot be part of a pattern or of a tenant's name.
            let _ = write!(name, "{api}\0{tenant}\0{database}\0{user}");
        };
        fill(&mut counts.name, whose);
        if let Some(known) = counts.by_name.get(&counts.name) {
            counts.last = *known;
            counts.all[*known].used.add(used);
            return;
        }
        let whose = match counts.all.len() < NAMES_MAX {
            true => whose,
            false => Whose { database: "", user: "", ..whose },
        };
        fill(&mut counts.name, whose);
        let Whose { api, tenant, database, user } = whose;
        let Counts { all, by_name, name, .. } = counts;
        let place = *by_name.entry(name.clone()).or_insert_with(|| {
            let database = tenant_and_database(database).1.into();
            all.push(Counted { api, tenant: tenant.into(), database, user: user.into(), used: Used::default() });
            all.len() - 1
        });
        all[place].used.add(used);
    }

    /// What was counted on all cores, as rows of `usage_schema`.
    pub fn list(&self) -> Vec<Usage> {
        let mut rows: Vec<Usage> = Vec::new();
        let cores = lock(&self.all.cores).clone();
        for core in cores {
            for counted in &lock(&core).all {
                for (kind, value) in counted.used.by_kind().into_iter().filter(|(_, value)| *value > 0) {
                    let is_of_requests = kind.name().starts_with("http_");
                    let row = Usage {
                        meter: kind.name(),
                        api: if is_of_requests { counted.api } else { "" },
                        tenant: counted.tenant.to_string(),
                        database: counted.database.to_string(),
                        user: if is_of_requests { counted.user.to_string() } else { String::new() },
                        value,
                    };
                    rows.push(row);
                }
            }
        }
        rows.sort_by(|one, other| named(one).cmp(&named(other)));
        rows.dedup_by(|later, first| {
            let is_same = named(later) == named(first);
            first.value += if is_same { later.value } else { 0 };
            is_same
        });
        rows
    }

    /// Takes what a request begins with from what its tenant may use: a query or a write, where `used` says so, and
    /// bytes if some are left. Says which limit is reached, and takes nothing then.
    pub fn admit(&self, tenant: &Tenant, used: Used, now_ns: i64) -> Result<(), RequestKind> {
        let Some(limits) = tenant.options.request_limits() else { return Ok(()) };
        let mut tokens = lock(&self.all.tokens);
        let asked = used.by_kind();
        for (kind, count) in asked {
            let Some(bucket) = limits.get(&kind) else { continue };
            let left = of_limit(&mut tokens, tenant, kind, *bucket, now_ns).left;
            // How many bytes there will be is not known: some must be left.
            let least = if kind.is_of_bytes() { 1 } else { whole(count) };
            if left < least {
                return Err(kind);
            }
        }
        for (kind, count) in asked {
            if let Some(bucket) = limits.get(&kind) {
                of_limit(&mut tokens, tenant, kind, *bucket, now_ns).left -= whole(count);
            }
        }
        Ok(())
    }

    /// Takes what a request came to, which is known only at its end: the tenant may be below nothing afterwards.
    pub fn take(&self, tenant: &Tenant, used: Used, now_ns: i64) {
        let Some(limits) = tenant.options.request_limits() else { return };
        let mut tokens = lock(&self.all.tokens);
        for (kind, count) in used.by_kind() {
            if let Some(bucket) = limits.get(&kind) {
                let tokens = of_limit(&mut tokens, tenant, kind, *bucket, now_ns);
                tokens.left = tokens.left.saturating_sub(whole(count));
            }
        }
    }
}

fn named(usage: &Usage) -> (&str, &str, &str, &str, &str) {
    (usage.meter, &usage.tenant, &usage.database, usage.api, &usage.user)
}

/// What is left of a limit now.
fn of_limit<'t>(
    tokens: &'t mut HashMap<(Arc<str>, RequestKind), Tokens>,
    tenant: &Tenant,
    kind: RequestKind,
    bucket: Bucket,
    now_ns: i64,
) -> &'t mut Tokens {
    let left = tokens.entry((tenant.name.clone(), kind)).or_insert_with(|| Tokens::new(bucket, now_ns));
    if left.bucket != bucket {
        *left = Tokens::new(bucket, now_ns);
    }
    left.refill(now_ns);
    left
}

impl Used {
    fn add(&mut self, more: Self) {
        self.queries += more.queries;
        self.writes += more.writes;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
    }

    /// By the reference's meters. Behind the HTTP door there is one node: what the one family counts the other does.
    fn by_kind(self) -> [(RequestKind, u64); 8] {
        [
            (RequestKind::CoordDataIn, self.bytes_in),
            (RequestKind::CoordDataOut, self.bytes_out),
            (RequestKind::CoordQueries, self.queries),
            (RequestKind::CoordWrites, self.writes),
            (RequestKind::HttpDataIn, self.bytes_in),
            (RequestKind::HttpDataOut, self.bytes_out),
            (RequestKind::HttpQueries, self.queries),
            (RequestKind::HttpWrites, self.writes),
        ]
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::Limiter;

    use super::*;

    const QUERY: Used = Used { queries: 1, writes: 0, bytes_in: 0, bytes_out: 0 };
    const MS_NS: i64 = 1_000_000;

    fn limited(kind: RequestKind, max: u64, refill: u64) -> Tenant {
        let bucket = Bucket {
            remote_max: max,
            remote_initial: 0,
            remote_refill: refill,
            remote_interval: 100,
            local_max: max,
            local_initial: 0,
        };
        let mut tenant = Tenant::new("t");
        tenant.options.limiter = Some(Limiter { objects: None, requests: [(kind, bucket)].into() });
        tenant
    }

    #[test]
    fn counts_of_all_cores_are_added_by_name() {
        let all = Arc::new(UsageOfAll::default());
        let (one, other) = (all.core(), all.core());
        let whose = |tenant, database, user| Whose { api: "/api/v1/sql", tenant, database, user };
        one.count(whose("cnosdb", "d", "u"), QUERY);
        other.count(whose("cnosdb", "d", "u"), Used { bytes_in: 7, ..QUERY });
        other.count(whose("t", "t\u{1f}d", "u"), QUERY);
        other.count(whose("cnosdb", "d", "w"), QUERY);
        let of = |meter: &str| -> Vec<(String, String, String, u64)> {
            let rows = one.list().into_iter().filter(|row| row.meter == meter);
            rows.map(|row| (row.tenant, row.database, row.user, row.value)).collect()
        };
        let row = |tenant: &str, user: &str, value| (tenant.to_owned(), "d".to_owned(), user.to_owned(), value);
        assert_eq!(of("http_queries"), [row("cnosdb", "u", 2), row("cnosdb", "w", 1), row("t", "u", 1)]);
        assert_eq!(of("coord_queries"), [row("cnosdb", "", 3), row("t", "", 1)]);
        assert_eq!(of("http_data_in"), [row("cnosdb", "u", 7)]);
        assert!(of("http_writes").is_empty());
    }

    #[test]
    fn too_many_names_are_counted_under_none() {
        let usage = Arc::new(UsageOfAll::default()).core();
        for number in 0..NAMES_MAX + 5 {
            let user = format!("u{number}");
            usage.count(Whose { api: "/api/v1/sql", tenant: "cnosdb", database: "d", user: &user }, QUERY);
        }
        let rows = usage.list();
        let others = rows.iter().find(|row| row.meter == "http_queries" && row.user.is_empty());
        assert_eq!(others.map(|row| (row.database.as_str(), row.value)), Some(("", 5)));
    }

    #[test]
    fn limits_are_reached_and_filled_again() {
        let usage = Arc::new(UsageOfAll::default()).core();
        let tenant = limited(RequestKind::HttpQueries, 3, 2);
        let ask = |used, ms: i64| usage.admit(&tenant, used, ms * MS_NS);
        assert_eq!((ask(QUERY, 0), ask(QUERY, 0)), (Ok(()), Ok(())));
        assert_eq!(ask(QUERY, 99), Err(RequestKind::HttpQueries));
        // What is not counted is not refused.
        let write = Used { writes: 1, ..Used::default() };
        assert_eq!(ask(write, 99), Ok(()));
        assert_eq!((ask(QUERY, 100), ask(QUERY, 100)), (Ok(()), Ok(())));
        // No more comes together than the limit holds.
        let many = (0..5).map(|_| ask(QUERY, 10_000).is_ok()).collect::<Vec<_>>();
        assert_eq!(many, [true, true, true, false, false]);
        // Another limit counts from its own beginning, on all cores.
        let wider = limited(RequestKind::HttpQueries, 9, 9);
        assert_eq!(usage.all.core().admit(&wider, QUERY, 10_000 * MS_NS), Ok(()));
        assert_eq!(usage.admit(&Tenant::new("t"), QUERY, 10_000 * MS_NS), Ok(()));
    }

    #[test]
    fn bytes_are_taken_when_they_are_known_and_waited_for_afterwards() {
        let usage = Arc::new(UsageOfAll::default()).core();
        let tenant = limited(RequestKind::HttpDataIn, 100, 100);
        let ask = |ms: i64| usage.admit(&tenant, QUERY, ms * MS_NS);
        assert_eq!(ask(0), Ok(()));
        usage.take(&tenant, Used { bytes_in: 250, ..Used::default() }, 0);
        assert_eq!((ask(0), ask(100)), (Err(RequestKind::HttpDataIn), Err(RequestKind::HttpDataIn)));
        assert_eq!(ask(200), Ok(()));
    }
}
