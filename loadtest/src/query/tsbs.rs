//! The query set of TSBS cpu-only, in CnosDB's SQL and in InfluxQL.
//!
//! Hosts and time windows are drawn as TSBS draws them: distinct hosts of the scale, a window of the query's length
//! anywhere in the data, to the nanosecond. A window longer than the data is the whole data.
//!
//! Because `loadtest write --workload devops` fills a dense grid (every host at every tick), the number of rows of most
//! answers follows from the window, and each answer is held against it.

use crate::workload::{CPU_FIELDS, CPU_TAGS, TICK_NS};

const MINUTE_NS: i64 = 60_000_000_000;
const HOUR_NS: i64 = 60 * MINUTE_NS;
/// TSBS: window of `cpu-max-all-*`.
const MAX_ALL_HOURS: i64 = 8;
/// TSBS: window of `double-groupby-*`.
const DOUBLE_GROUP_BY_HOURS: i64 = 12;
/// TSBS: window of `high-cpu-*`.
const HIGH_CPU_HOURS: i64 = 12;
/// TSBS: `groupby-orderby-limit` returns this many minutes.
const LIMIT: i64 = 5;
/// With at least this many rows in the window some value of a walk in 0..=100 lies above 90.
const ROWS_SURELY_HIGH: i64 = 10_000;

/// Language of the query text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// `POST /api/v1/sql`
    Sql,
    /// The same route, asked for what the answer in InfluxQL holds: its columns, in its order.
    SqlInFull,
    /// `GET /query`
    Influxql,
}

impl Language {
    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sql => "SQL",
            Self::SqlInFull => "SQL in full",
            Self::Influxql => "InfluxQL",
        }
    }

    /// Whether the texts are SQL, and with it which route takes them.
    pub(crate) const fn is_sql(self) -> bool {
        matches!(self, Self::Sql | Self::SqlInFull)
    }
}

/// One query of the set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    SingleGroupBy {
        metrics: usize,
        hosts: u64,
        hours: i64,
    },
    MaxAll {
        hosts: u64,
    },
    DoubleGroupBy {
        metrics: usize,
    },
    /// `None` looks at all hosts.
    HighCpu {
        hosts: Option<u64>,
    },
    LastPoint,
    GroupByOrderByLimit,
}

/// The set in TSBS' order.
pub(crate) const CASES: [Case; 15] = [
    single("single-groupby-1-1-1", 1, 1, 1),
    single("single-groupby-1-1-12", 1, 1, 12),
    single("single-groupby-1-8-1", 1, 8, 1),
    single("single-groupby-5-1-1", 5, 1, 1),
    single("single-groupby-5-1-12", 5, 1, 12),
    single("single-groupby-5-8-1", 5, 8, 1),
    Case { name: "cpu-max-all-1", kind: Kind::MaxAll { hosts: 1 } },
    Case { name: "cpu-max-all-8", kind: Kind::MaxAll { hosts: 8 } },
    Case { name: "double-groupby-1", kind: Kind::DoubleGroupBy { metrics: 1 } },
    Case { name: "double-groupby-5", kind: Kind::DoubleGroupBy { metrics: 5 } },
    Case { name: "double-groupby-all", kind: Kind::DoubleGroupBy { metrics: CPU_FIELDS.len() } },
    Case { name: "high-cpu-1", kind: Kind::HighCpu { hosts: Some(1) } },
    Case { name: "high-cpu-all", kind: Kind::HighCpu { hosts: None } },
    Case { name: "lastpoint", kind: Kind::LastPoint },
    Case { name: "groupby-orderby-limit", kind: Kind::GroupByOrderByLimit },
];

const fn single(name: &'static str, metrics: usize, hosts: u64, hours: i64) -> Case {
    Case { name, kind: Kind::SingleGroupBy { metrics, hosts, hours } }
}

/// What was loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) hosts: u64,
    pub(crate) start_ns: i64,
    /// Exclusive.
    pub(crate) end_ns: i64,
    /// Every host has a row at every tick, so row counts can be foretold.
    pub(crate) dense: bool,
}

/// How many rows an answer must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Rows(u64),
    NotEmpty,
    Any,
}

impl Expected {
    pub(crate) fn holds(self, rows: u64) -> bool {
        match self {
            Self::Rows(expected) => rows == expected,
            Self::NotEmpty => rows > 0,
            Self::Any => true,
        }
    }
}

/// A query with its parameters drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) expected: Expected,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start_ns: i64,
    end_ns: i64,
}

impl Data {
    fn window(&self, hours: i64, rng: &mut fastrand::Rng) -> Window {
        let length = hours * HOUR_NS;
        let room = self.end_ns - self.start_ns - length;
        if room <= 0 {
            return Window { start_ns: self.start_ns, end_ns: self.end_ns };
        }
        let start_ns = self.start_ns + rng.i64(0..room);
        Window { start_ns, end_ns: start_ns + length }
    }

    fn pick_hosts(&self, count: u64, rng: &mut fastrand::Rng) -> Vec<String> {
        let mut picked = Vec::new();
        while (picked.len() as u64) < count.min(self.hosts) {
            let host = format!("host_{}", rng.u64(..self.hosts));
            if !picked.contains(&host) {
                picked.push(host);
            }
        }
        picked
    }

    /// First and last tick inside the window, as times.
    fn ticks(&self, window: Window) -> Option<(i64, i64)> {
        let index = |time_ns: i64| (time_ns - self.start_ns + TICK_NS - 1).div_euclid(TICK_NS);
        let (first, end) = (index(window.start_ns).max(0), index(window.end_ns.min(self.end_ns)));
        (first < end).then(|| (self.start_ns + first * TICK_NS, self.start_ns + (end - 1) * TICK_NS))
    }

    /// Buckets of a width that hold data of the window.
    fn buckets(&self, window: Window, width_ns: i64) -> i64 {
        self.ticks(window).map_or(0, |(first, last)| last.div_euclid(width_ns) - first.div_euclid(width_ns) + 1)
    }
}

impl Case {
    pub(crate) fn find(name: &str) -> Option<Self> {
        CASES.into_iter().find(|case| case.name == name)
    }

    /// Rows that the condition selects, on average over the windows that may be drawn. Of `lastpoint`, which has no
    /// condition, the rows it returns.
    pub(crate) fn selected(&self, data: &Data) -> f64 {
        let all_ticks = (data.end_ns - data.start_ns) as f64 / TICK_NS as f64;
        let ticks = |hours: i64| ((hours * HOUR_NS / TICK_NS) as f64).min(all_ticks);
        let of = |hosts: u64| hosts.min(data.hosts) as f64;
        match self.kind {
            Kind::SingleGroupBy { hosts, hours, .. } => of(hosts) * ticks(hours),
            Kind::MaxAll { hosts } => of(hosts) * ticks(MAX_ALL_HOURS),
            Kind::DoubleGroupBy { .. } => of(data.hosts) * ticks(DOUBLE_GROUP_BY_HOURS),
            Kind::HighCpu { hosts } => of(hosts.unwrap_or(data.hosts)) * ticks(HIGH_CPU_HOURS),
            Kind::LastPoint => of(data.hosts),
            // From the start of the data to the end of a window of an hour somewhere in it.
            Kind::GroupByOrderByLimit => of(data.hosts) * f64::midpoint(ticks(1), all_ticks),
        }
    }

    /// Draws the parameters.
    pub(crate) fn draw(&self, data: &Data, language: Language, rng: &mut fastrand::Rng) -> Query {
        let (text, rows) = match self.kind {
            Kind::SingleGroupBy { metrics, hosts, hours } => {
                let window = data.window(hours, rng);
                let hosts = data.pick_hosts(hosts, rng);
                let text = grouped(language, "max", &CPU_FIELDS[..metrics], &hosts, window, "minute");
                (text, Some(data.buckets(window, MINUTE_NS)))
            }
            Kind::MaxAll { hosts } => {
                let window = data.window(MAX_ALL_HOURS, rng);
                let hosts = data.pick_hosts(hosts, rng);
                let text = grouped(language, "max", &CPU_FIELDS, &hosts, window, "hour");
                (text, Some(data.buckets(window, HOUR_NS)))
            }
            Kind::DoubleGroupBy { metrics } => {
                let window = data.window(DOUBLE_GROUP_BY_HOURS, rng);
                let text = double_group_by(language, &CPU_FIELDS[..metrics], window);
                (text, Some(data.buckets(window, HOUR_NS) * data.hosts as i64))
            }
            Kind::HighCpu { hosts } => {
                let window = data.window(HIGH_CPU_HOURS, rng);
                let filter = hosts.map(|count| format!(" AND {}", among(language, &data.pick_hosts(count, rng))));
                let text = format!(
                    "SELECT * FROM cpu WHERE usage_user > 90.0 AND {}{}{}",
                    within(window),
                    filter.unwrap_or_default(),
                    if language == Language::SqlInFull { series_order() } else { String::new() },
                );
                let rows = data.ticks(window).map_or(0, |(first, last)| (last - first) / TICK_NS + 1);
                let surely = hosts.is_none() && rows * data.hosts as i64 >= ROWS_SURELY_HIGH;
                return Query { text, expected: if surely { Expected::NotEmpty } else { Expected::Any } };
            }
            Kind::LastPoint => (last_point(language), Some(data.hosts as i64)),
            Kind::GroupByOrderByLimit => {
                let window = Window { start_ns: data.start_ns, end_ns: data.window(1, rng).end_ns };
                (group_by_order_by_limit(language, window.end_ns), Some(data.buckets(window, MINUTE_NS).min(LIMIT)))
            }
        };
        let expected = match rows {
            // InfluxQL also returns the empty buckets at the edges of a window.
            Some(rows) if rows > 0 && data.dense && language.is_sql() => Expected::Rows(rows as u64),
            Some(0) | None => Expected::Any,
            Some(_) => Expected::NotEmpty,
        };
        Query { text, expected }
    }
}

fn grouped(language: Language, function: &str, fields: &[&str], hosts: &[String], window: Window, by: &str) -> String {
    let filter = format!("{} AND {}", among(language, hosts), within(window));
    match language {
        Language::Sql | Language::SqlInFull => format!(
            "SELECT date_bin(interval '1 {by}', time) AS {by}, {} FROM cpu WHERE {filter} GROUP BY {by} ORDER BY {by}",
            aggregates(function, fields)
        ),
        Language::Influxql => {
            format!("SELECT {} FROM cpu WHERE {filter} GROUP BY time(1{})", aggregates(function, fields), &by[..1])
        }
    }
}

fn double_group_by(language: Language, fields: &[&str], window: Window) -> String {
    let filter = within(window);
    match language {
        Language::Sql | Language::SqlInFull => format!(
            "SELECT date_bin(interval '1 hour', time) AS hour, hostname, {} FROM cpu WHERE {filter} \
             GROUP BY hour, hostname ORDER BY hour, hostname",
            aggregates("avg", fields)
        ),
        Language::Influxql => {
            format!("SELECT {} FROM cpu WHERE {filter} GROUP BY time(1h), hostname", aggregates("mean", fields))
        }
    }
}

fn last_point(language: Language) -> String {
    let last = |columns: &[&str]| {
        let columns: Vec<String> = columns.iter().map(|name| format!("last(time, {name}) AS {name}")).collect();
        columns.join(", ")
    };
    match language {
        Language::Sql => format!("SELECT hostname, {} FROM cpu GROUP BY hostname", last(&CPU_FIELDS)),
        // `*` in InfluxQL is the time and the other tags too.
        Language::SqlInFull => format!(
            "SELECT hostname, max(time) AS time, {}, {} FROM cpu GROUP BY hostname ORDER BY hostname",
            last(&CPU_TAGS[1..]),
            last(&CPU_FIELDS)
        ),
        Language::Influxql => "SELECT * FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1".to_owned(),
    }
}

/// In InfluxQL rows come in the order of time, and those of one time in the order of their series' keys.
fn series_order() -> String {
    let mut tags = CPU_TAGS;
    tags.sort_unstable();
    format!(" ORDER BY time, {}", tags.join(", "))
}

fn group_by_order_by_limit(language: Language, end_ns: i64) -> String {
    let end = instant(end_ns);
    match language {
        Language::Sql | Language::SqlInFull => format!(
            "SELECT date_bin(interval '1 minute', time) AS minute, max(usage_user) AS max_usage_user FROM cpu \
             WHERE time < '{end}' GROUP BY minute ORDER BY minute DESC LIMIT {LIMIT}"
        ),
        Language::Influxql => format!(
            "SELECT max(usage_user) FROM cpu WHERE time < '{end}' GROUP BY time(1m) ORDER BY time DESC LIMIT {LIMIT}"
        ),
    }
}

fn aggregates(function: &str, fields: &[&str]) -> String {
    let all: Vec<String> = fields.iter().map(|field| format!("{function}({field}) AS {function}_{field}")).collect();
    all.join(", ")
}

fn among(language: Language, hosts: &[String]) -> String {
    match language {
        Language::Sql | Language::SqlInFull => {
            let hosts: Vec<String> = hosts.iter().map(|host| format!("'{host}'")).collect();
            format!("hostname IN ({})", hosts.join(", "))
        }
        Language::Influxql => {
            let hosts: Vec<String> = hosts.iter().map(|host| format!("hostname = '{host}'")).collect();
            format!("({})", hosts.join(" OR "))
        }
    }
}

fn within(window: Window) -> String {
    format!("time >= '{}' AND time < '{}'", instant(window.start_ns), instant(window.end_ns))
}

/// RFC 3339 with as many digits as needed.
fn instant(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns)).map_or_else(|_| time_ns.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::START_NS;
    use std::collections::BTreeSet;

    /// 4,000 hosts and 2 million rows: 500 ticks, 83 minutes.
    const DATA: Data = Data { hosts: 4_000, start_ns: START_NS, end_ns: START_NS + 500 * TICK_NS, dense: true };

    fn draw(name: &str, data: &Data, language: Language) -> Query {
        Case::find(name).unwrap().draw(data, language, &mut fastrand::Rng::with_seed(5))
    }

    #[test]
    fn same_seed_same_query() {
        for case in CASES {
            let (first, second) = (draw(case.name, &DATA, Language::Sql), draw(case.name, &DATA, Language::Sql));
            assert_eq!(first, second);
            let same_text = draw(case.name, &DATA, Language::Influxql).text == first.text;
            assert_eq!(same_text, case.name == "high-cpu-all", "{}", case.name);
        }
        assert_eq!(CASES.iter().map(|case| case.name).collect::<BTreeSet<_>>().len(), CASES.len());
    }

    #[test]
    fn texts() {
        let all = draw("double-groupby-1", &DATA, Language::Sql);
        assert_eq!(
            all.text,
            "SELECT date_bin(interval '1 hour', time) AS hour, hostname, avg(usage_user) AS avg_usage_user FROM cpu \
             WHERE time >= '2016-01-01T00:00:00Z' AND time < '2016-01-01T01:23:20Z' \
             GROUP BY hour, hostname ORDER BY hour, hostname"
        );
        assert_eq!(all.expected, Expected::Rows(8_000));
        assert_eq!(draw("cpu-max-all-8", &DATA, Language::Sql).expected, Expected::Rows(2));
        assert_eq!(draw("lastpoint", &DATA, Language::Sql).expected, Expected::Rows(4_000));
        assert_eq!(draw("groupby-orderby-limit", &DATA, Language::Sql).expected, Expected::Rows(5));
        assert_eq!(draw("high-cpu-all", &DATA, Language::Sql).expected, Expected::NotEmpty);
        assert_eq!(draw("lastpoint", &DATA, Language::Influxql).expected, Expected::NotEmpty);
        let full = draw("lastpoint", &DATA, Language::SqlInFull);
        assert_eq!((full.text.matches("last(time, ").count(), full.expected), (19, Expected::Rows(4_000)));
        assert!(draw("high-cpu-all", &DATA, Language::SqlInFull).text.contains(" ORDER BY time, arch, datacenter, h"));
        let eight = draw("single-groupby-5-8-1", &DATA, Language::Sql).text;
        assert_eq!(eight.matches("'host_").count(), 8);
        assert_eq!(eight.matches("max(usage_").count(), 5);
    }

    #[test]
    fn rows_selected_follow_the_window() {
        let large = Data { end_ns: START_NS + 5_000 * TICK_NS, ..DATA };
        for (name, small_rows, large_rows) in [
            ("single-groupby-1-8-1", 8.0 * 360.0, 8.0 * 360.0),
            ("single-groupby-5-1-12", 500.0, 4_320.0),
            ("cpu-max-all-8", 4_000.0, 8.0 * 2_880.0),
            ("double-groupby-all", 2e6, 4_000.0 * 4_320.0),
            ("high-cpu-1", 500.0, 4_320.0),
            ("lastpoint", 4_000.0, 4_000.0),
            ("groupby-orderby-limit", 4_000.0 * 430.0, 4_000.0 * 2_680.0),
        ] {
            let case = Case::find(name).unwrap();
            assert_eq!((case.selected(&DATA), case.selected(&large)), (small_rows, large_rows), "{name}");
        }
    }

    #[test]
    fn windows_stay_in_the_data_and_their_buckets_are_counted() {
        let seed = 11;
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let window = DATA.window(1, &mut rng);
            assert!(window.start_ns >= DATA.start_ns && window.end_ns <= DATA.end_ns, "seed {seed}");
            assert_eq!(window.end_ns - window.start_ns, HOUR_NS);
            let minutes: BTreeSet<i64> = (0..500)
                .map(|tick| START_NS + tick * TICK_NS)
                .filter(|time| (window.start_ns..window.end_ns).contains(time))
                .map(|time| time / MINUTE_NS)
                .collect();
            assert_eq!(DATA.buckets(window, MINUTE_NS), minutes.len() as i64, "seed {seed}");
        }
    }
}
