//! The table of keys.

use toml::{Table, Value};

use super::Config;
use super::value::{Addresses, Bytes, FilePath, Folders, Hidden, Number, Setting, Switch, Text, Word};

pub(super) const VARIABLE_PREFIX: &str = "TIDEWIRE_";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// One key: its name, what it means, and its field.
struct Key {
    name: &'static str,
    meaning: &'static str,
    setting: fn(&mut Config) -> Box<dyn Setting + '_>,
}

macro_rules! number {
    ($name:literal, $($field:ident).+, $bounds:expr, $unit:literal, $meaning:literal) => {
        Key {
            name: $name,
            meaning: $meaning,
            setting: |config| Box::new(Number { target: &mut config.$($field).+, bounds: $bounds, unit: $unit }),
        }
    };
}

macro_rules! bytes {
    ($name:literal, $($field:ident).+, $bounds:expr, $meaning:literal) => {
        Key {
            name: $name,
            meaning: $meaning,
            setting: |config| {
                Box::new(Bytes { target: &mut config.$($field).+, bounds: $bounds, is_derivable: false })
            },
        }
    };
}

/// A number of bytes that follows from `memory.bytes_max` when it is 0.
macro_rules! derived {
    ($name:literal, $($field:ident).+, $bounds:expr, $meaning:literal) => {
        Key {
            name: $name,
            meaning: $meaning,
            setting: |config| {
                Box::new(Bytes { target: &mut config.$($field).+, bounds: $bounds, is_derivable: true })
            },
        }
    };
}

macro_rules! switch {
    ($name:literal, $($field:ident).+, $meaning:literal) => {
        Key { name: $name, meaning: $meaning, setting: |config| Box::new(Switch(&mut config.$($field).+)) }
    };
}

macro_rules! word {
    ($name:literal, $($field:ident).+, $choices:literal, $meaning:literal) => {
        Key {
            name: $name,
            meaning: $meaning,
            setting: |config| Box::new(Word { target: &mut config.$($field).+, choices: $choices }),
        }
    };
}

const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        meaning: "Folder that holds all data. Made if it is missing.",
        setting: |config| Box::new(FilePath(&mut config.data_dir)),
    },
    Key {
        name: "listen",
        meaning: "Addresses to serve HTTP on; every route on each.",
        setting: |config| Box::new(Addresses(&mut config.listen)),
    },
    word!(
        "cores",
        cores,
        "\"all\", a count, or a list such as \"0,2-3\"",
        "Processors to use, one pinned thread each."
    ),
    number!(
        "shards",
        shards,
        0..=1024,
        "shards",
        "Shards of a new data folder; fixed once it is made. 0: as many as cores."
    ),
    Key {
        name: "tuning_file",
        meaning: "What `tidewire-tuning probe` measured. Empty: `tuning.toml` in the data folder, if there is one.",
        setting: |config| Box::new(FilePath(&mut config.tuning_file)),
    },
    derived!(
        "memory.bytes_max",
        memory.bytes_max,
        64 * MIB..=(64 << 10) * GIB,
        "Memory that the server may hold, all parts together. 0: 60 % of what the machine or the control group has. Keys \
         below that are 0 are derived from it; those that are set must fit into it. Short of it the server first sheds \
         caches, then answers queries, then writes with 429."
    ),
    word!(
        "wal.sync",
        wal.sync,
        "\"always\", \"interval\" or \"off\"",
        "When a write is acknowledged: always = on the medium, survives power loss; interval = handed to the kernel, the last interval can be lost with the machine; off = in memory, unsynced writes can be lost with the process."
    ),
    number!(
        "wal.interval_ms",
        wal.interval_ms,
        1..=60_000,
        "milliseconds",
        "Time between syncs with wal.sync = \"interval\"."
    ),
    bytes!("wal.file_bytes", wal.file_bytes, MIB..=GIB, "Size of one log file; files are preallocated and used again."),
    derived!(
        "memtable.flush_bytes",
        memtable.flush_bytes,
        MIB..=16 * GIB,
        "Rows in memory, per shard, before they are written as segments. 0: a third of memtable.bytes_max, at most 64MiB."
    ),
    derived!(
        "memtable.bytes_max",
        memtable.bytes_max,
        2 * MIB..=64 * GIB,
        "Rows in memory, per shard, above which writes get 429. At least twice memtable.flush_bytes. 0: a share of memory.bytes_max, at most 192MiB."
    ),
    number!(
        "memtable.flush_idle_s",
        memtable.flush_idle_s,
        1..=86_400,
        "seconds",
        "Rows are written as segments even if they are few when their shard has taken none for so long, and in any case when the oldest of them has waited four times as long."
    ),
    bytes!(
        "memtable.flush_log_bytes",
        memtable.flush_log_bytes,
        MIB..=64 * GIB,
        "Log of a shard for which its rows in memory are written as segments even if they are few. A start reads it."
    ),
    derived!(
        "cache.bytes_max",
        cache.bytes_max,
        MIB..=1024 * GIB,
        "Cached blocks of segments, per shard. 0: a share of memory.bytes_max, at most 128MiB."
    ),
    bytes!(
        "compaction.bytes_per_s_max",
        compaction.bytes_per_s_max,
        MIB..=1024 * GIB,
        "Bytes that merges of segments may read and write together in a second, per shard."
    ),
    bytes!(
        "compaction.segment_bytes_max",
        compaction.segment_bytes_max,
        16 * MIB..=64 * GIB,
        "About the largest segment that a merge writes. Larger ones cost memory for what they hold, smaller ones time to open."
    ),
    number!(
        "compaction.cold_after_s",
        compaction.cold_after_s,
        60..=31_536_000,
        "seconds",
        "A time partition that was not written to for so long becomes one segment, packed harder."
    ),
    number!(
        "retention.clock_settle_s",
        retention.clock_settle_s,
        0..=86_400,
        "seconds",
        "Nothing expires before the clock has been consistent for so long, at the start and after each jump."
    ),
    Key {
        name: "retention.clock_offset_file",
        meaning: "For tests alone: a file with nanoseconds that are added to the host's clock, read all the while. Empty: none.",
        setting: |config| Box::new(FilePath(&mut config.retention.clock_offset_file)),
    },
    derived!(
        "admission.bytes_max",
        admission.bytes_max,
        MIB..=16 * GIB,
        "Rows on their way into a shard; above it writes get 429. 0: a sixth of memtable.bytes_max, at most 32MiB."
    ),
    number!(
        "admission.retry_after_s",
        admission.retry_after_s,
        1..=3600,
        "seconds",
        "What Retry-After says with a 429."
    ),
    bytes!(
        "http.head_bytes_max",
        http.head_bytes_max,
        KIB..=MIB,
        "Request line and headers together; above it 431, or 414 in the request line. What is longer than 16KiB is received while there is memory to spare."
    ),
    number!("http.headers_max", http.headers_max, 8..=65_536, "headers", "Headers of one request; above it 431."),
    bytes!(
        "http.body_bytes_max_write",
        http.body_bytes_max_write,
        KIB..=2 * GIB,
        "Body of a write, as sent and as decompressed; above it 413."
    ),
    bytes!(
        "http.body_bytes_max_sql",
        http.body_bytes_max_sql,
        KIB..=GIB,
        "Body of a query, as sent and as decompressed; above it 413."
    ),
    number!(
        "http.head_timeout_ms",
        http.head_timeout_ms,
        10..=600_000,
        "milliseconds",
        "Time for the whole head of a request to arrive; above it 408."
    ),
    number!(
        "http.idle_timeout_ms",
        http.idle_timeout_ms,
        10..=86_400_000,
        "milliseconds",
        "An idle connection is closed after this."
    ),
    number!(
        "http.body_timeout_ms",
        http.body_timeout_ms,
        10..=3_600_000,
        "milliseconds",
        "Longest pause between two pieces of a body; above it 408."
    ),
    number!(
        "http.send_timeout_ms",
        http.send_timeout_ms,
        10..=3_600_000,
        "milliseconds",
        "Longest pause of a client in taking its reply; above it the connection is cut."
    ),
    number!(
        "http.connections_max",
        http.connections_max,
        1..=1_000_000,
        "connections",
        "Open connections; more get 503 at once."
    ),
    number!(
        "http.drain_timeout_s",
        http.drain_timeout_s,
        1..=3600,
        "seconds",
        "Time for requests under way to finish after SIGTERM; then they are answered 503, or cut where the reply has \
         begun."
    ),
    Key {
        name: "tls.listen",
        meaning: "Addresses to serve HTTPS on (TLS 1.2 and 1.3); every route on each.",
        setting: |config| Box::new(Addresses(&mut config.tls.listen)),
    },
    Key {
        name: "tls.certificate_file",
        meaning: "The server's certificate in PEM, with those between it and its root behind it. It and the key are read \
                  again when they change, and on SIGHUP.",
        setting: |config| Box::new(FilePath(&mut config.tls.certificate_file)),
    },
    Key {
        name: "tls.key_file",
        meaning: "Its private key in PEM (PKCS #8, PKCS #1 or SEC 1).",
        setting: |config| Box::new(FilePath(&mut config.tls.key_file)),
    },
    Key {
        name: "tls.client_ca_file",
        meaning: "Roots in PEM: clients must show a certificate of one of them. Empty: they need none.",
        setting: |config| Box::new(FilePath(&mut config.tls.client_ca_file)),
    },
    switch!(
        "auth.enabled",
        auth.enabled,
        "Whether a request must prove who it comes from, and may do what its user was granted alone. See docs/security.md."
    ),
    switch!(
        "auth.insecure",
        auth.insecure,
        "Listen also where other hosts reach the server although auth.enabled is false: everybody who reaches it may do everything."
    ),
    word!(
        "auth.monitor",
        auth.monitor,
        "\"admins\", \"users\" or \"anyone\"",
        "Who may read /metrics and /debug while auth.enabled is true: administrators, every user, or everybody without \
         credentials."
    ),
    Key {
        name: "auth.jwt_secret",
        meaning: "What bearer tokens (JWT, HS256) are signed with: 32 random bytes or more, as text. Empty: no such token \
                  is taken. It is better set by TIDEWIRE_AUTH_JWT_SECRET than in a file that others read.",
        setting: |config| Box::new(Hidden(&mut config.auth.jwt_secret)),
    },
    derived!(
        "query.memory_bytes_max",
        query.memory_bytes_max,
        MIB..=1024 * GIB,
        "Memory of one query; above it the query fails. 0: a share of memory.bytes_max, at least 256MiB where it has them."
    ),
    number!(
        "query.timeout_s",
        query.timeout_s,
        1..=86_400,
        "seconds",
        "Run time of one query; above it the query fails."
    ),
    number!(
        "query.concurrent_max",
        query.concurrent_max,
        1..=10_000,
        "queries",
        "Queries that run at once; more get 429."
    ),
    Key {
        name: "files.folders",
        meaning: "Folders below which administrators may read and write files with SQL: CREATE EXTERNAL TABLE, COPY INTO. None: nowhere.",
        setting: |config| Box::new(Folders(&mut config.files.folders)),
    },
    number!(
        "influxql.rows_max",
        influxql.rows_max,
        0..=1_000_000_000_000,
        "rows",
        "Rows of a reply of /query that is not chunked; those beyond are left out (max-row-limit). 0: no bound."
    ),
    number!(
        "influxql.windows_max",
        influxql.windows_max,
        0..=1_000_000_000_000,
        "windows",
        "Windows of GROUP BY time() that a SELECT may span; above it it fails (max-select-buckets). 0: no bound."
    ),
    number!(
        "influxql.series_max",
        influxql.series_max,
        0..=1_000_000_000_000,
        "series",
        "Series that a SELECT may read; above it it fails (max-select-series). 0: no bound."
    ),
    number!(
        "influxql.points_max",
        influxql.points_max,
        0..=1_000_000_000_000,
        "rows",
        "Rows that a SELECT may read; above it it fails (max-select-point). What is answered from summaries of rows \
         counts for nothing. 0: no bound."
    ),
    bytes!(
        "subscriptions.queue_bytes_max",
        subscriptions.queue_bytes_max,
        MIB..=1024 * GIB,
        "Rows that wait to be sent to destinations of subscriptions, all together; what finds no room is not sent."
    ),
    number!(
        "subscriptions.timeout_s",
        subscriptions.timeout_s,
        1..=3_600,
        "seconds",
        "Time that a destination of a subscription has to take rows; then they count as failed."
    ),
    Key {
        name: "subscriptions.ca_file",
        meaning: "Roots in PEM: destinations of subscriptions with https:// must show a certificate of one of them. Empty: \
                  the roots of the system.",
        setting: |config| Box::new(FilePath(&mut config.subscriptions.ca_file)),
    },
    Key {
        name: "opentsdb.telnet_listen",
        meaning: "Addresses to take OpenTSDB's commands on line by line: put, version. None: nowhere. What goes there is \
                  not encrypted.",
        setting: |config| Box::new(Addresses(&mut config.opentsdb.telnet_listen)),
    },
    Key {
        name: "opentsdb.telnet_database",
        meaning: "The database that put writes to, which must exist.",
        setting: |config| Box::new(Text(&mut config.opentsdb.telnet_database)),
    },
    number!("ring.depth", ring.depth, 64..=4096, "entries per ring", "Entries of each io_uring of a core."),
    number!(
        "ring.preempt_us",
        ring.preempt_us,
        100..=100_000,
        "microseconds",
        "Longest run of one kind of work (writes, queries, maintenance) while another waits."
    ),
    bytes!(
        "disk.write_bytes_per_s_max",
        disk.write_bytes_per_s_max,
        0..=1024 * GIB,
        "Bytes written to the disk in a second, log and segments of all shards together, for a disk that others need \
         too; split evenly over the cores. Writes that come faster wait, then get 429. 0: no bound."
    ),
    word!(
        "log.level",
        log.level,
        "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        "What is logged. Libraries have their say up to \"warn\" alone."
    ),
    word!(
        "log.format",
        log.format,
        "\"text\" or \"json\"",
        "How lines look: in plain text, or an object of JSON each. So do those of the files below."
    ),
    word!(
        "log.access",
        log.access,
        "\"off\", \"errors\" or \"all\"",
        "Requests that have a line of their own, with id, user, tenant, address, route, kind of statement, status, time \
         and rows: at level \"info\". With \"off\", of those that are refused or fail one line a second says what the \
         last one was told."
    ),
    Key {
        name: "log.access_file",
        meaning: "File that these lines go to, opened anew on SIGHUP. Empty: the server's log.",
        setting: |config| Box::new(FilePath(&mut config.log.access_file)),
    },
    Key {
        name: "log.audit_file",
        meaning: "The same for statements of administration, which have a line each, whatever the level.",
        setting: |config| Box::new(FilePath(&mut config.log.audit_file)),
    },
    number!(
        "log.slow_query_ms",
        log.slow_query_ms,
        0..=86_400_000,
        "milliseconds",
        "Statements that take longer to answer are logged at level \"warn\", with their text. 0: none."
    ),
    Key {
        name: "log.slow_query_file",
        meaning: "The same for these lines.",
        setting: |config| Box::new(FilePath(&mut config.log.slow_query_file)),
    },
];

/// Sets what `table` says, for keys that `belongs` lets in.
pub(super) fn merge(config: &mut Config, table: &Table, belongs: fn(&str) -> bool) -> Result<(), String> {
    merge_below(config, "", table, belongs)
}

fn merge_below(config: &mut Config, prefix: &str, table: &Table, belongs: fn(&str) -> bool) -> Result<(), String> {
    for (part, value) in table {
        let name = format!("{prefix}{part}");
        let is_section = KEYS.iter().any(|key| key.name.starts_with(&format!("{name}.")));
        match (value, KEYS.iter().find(|key| key.name == name)) {
            (Value::Table(below), None) if is_section => merge_below(config, &format!("{name}."), below, belongs)?,
            (_, None) if is_section => return Err(format!("`{name}` is a table of keys, not a value")),
            (_, None) => return Err(unknown(&name)),
            (_, Some(key)) if !belongs(key.name) => return Err(format!("`{name}` has no place in this file")),
            (value, Some(key)) => {
                (key.setting)(config).set(value).map_err(|reason| format!("`{name}`: {reason}"))?;
            }
        }
    }
    Ok(())
}

/// Sets one key from text.
pub(super) fn set_text(config: &mut Config, name: &str, text: &str) -> Result<(), String> {
    let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| unknown(name))?;
    (key.setting)(config).set_text(text).map_err(|reason| format!("`{name}`: {reason}"))
}

/// The names of all keys.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

/// Sets the key that a variable (without its prefix) stands for.
pub(super) fn set_variable(config: &mut Config, short: &str, text: &str) -> Result<(), String> {
    let key = KEYS.iter().find(|key| key.name.replace('.', "_").eq_ignore_ascii_case(short));
    let key = key.ok_or_else(|| unknown(&short.to_lowercase()))?;
    (key.setting)(config).set_text(text).map_err(|reason| format!("`{}`: {reason}", key.name))
}

/// The keys in which two configurations differ.
pub(super) fn differences(left: &mut Config, right: &mut Config) -> Vec<&'static str> {
    let differs = |key: &&Key| (key.setting)(left).show() != (key.setting)(right).show();
    KEYS.iter().filter(differs).map(|key| key.name).collect()
}

fn unknown(name: &str) -> String {
    let nearest = KEYS.iter().map(|key| (distance(key.name, name), key.name)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 3 => format!("unknown key `{name}`; did you mean `{nearest}`?"),
        _ => format!("unknown key `{name}`"),
    }
}

/// Edits (insert, remove, replace) between two short words.
pub(super) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The keys whose values are not those of `default`, as `key = value`.
pub(super) fn settings(config: &mut Config, default: &mut Config) -> Vec<String> {
    let mut show = |key: &Key| {
        let setting = (key.setting)(config);
        (setting.show() != (key.setting)(default).show()).then(|| format!("{} = {}", key.name, setting.told()))
    };
    KEYS.iter().filter_map(&mut show).collect()
}

/// The example file.
pub(super) fn example(config: &mut Config) -> String {
    let mut text = String::from(
        "# Every key of Tidewire with its default. `tidewire check-config FILE` checks a file.\n\
         # Flags and TIDEWIRE_* variables win over the file: `wal.interval_ms` is TIDEWIRE_WAL_INTERVAL_MS.\n\
         # Sizes are bytes, or text with KiB, MiB, GiB.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != section {
            section = of;
            text.push_str(&format!("\n[{section}]\n"));
        } else {
            text.push('\n');
        }
        let setting = (key.setting)(config);
        let bound = setting.bound();
        for line in wrap(key.meaning, 110) {
            text.push_str(&format!("# {line}\n"));
        }
        if !bound.is_empty() {
            text.push_str(&format!("# Bound: {bound}{}.\n", unit_of(name)));
        }
        text.push_str(&format!("{name} = {}\n", setting.show()));
    }
    text
}

/// The unit that the end of a key's name stands for.
fn unit_of(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("ms") => " milliseconds",
        Some("us") => " microseconds",
        Some("s") => " seconds",
        _ => "",
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
