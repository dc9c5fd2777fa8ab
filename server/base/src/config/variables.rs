//! Which variables of the environment are settings.
//!
//! The prefix `TIDEWIRE_` is not ours alone: Kubernetes gives a pod variables for every service of its namespace, and
//! Docker gave a container those of its links, named after the service, which is likely to be called `tidewire`. A
//! server that refused them would not start, for a reason that nothing in its own configuration shows. So:
//!
//! 1. A variable that names a key is a setting.
//! 2. One of a shape that platforms set is passed over without a word.
//! 3. One that is a key but for a letter or two is refused: it was meant to be the key.
//! 4. Any other is passed over with a warning.

use super::keys;

/// What a variable means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It sets a key.
    Key,
    /// It is another's affair.
    Others,
    /// It was to set this key.
    Misspelled(String),
    /// Nobody knows.
    Unknown,
}

/// Names shorter than this are a key but for one letter, longer ones for two.
const LONG_NAME: usize = 8;

/// What the variable `short` (without its prefix) with the value `text` means.
pub(super) fn meaning(short: &str, text: &str) -> Meaning {
    // The path of the config file; seeds of random tests.
    if matches!(short, "CONFIG" | "SEED") || is_of_platform(short, text) {
        return Meaning::Others;
    }
    if keys::names().any(|key| as_variable(key).eq_ignore_ascii_case(short)) {
        return Meaning::Key;
    }
    let mistakes_max = if short.len() < LONG_NAME { 1 } else { 2 };
    let written = short.to_ascii_uppercase();
    let nearest = keys::names().map(|key| (keys::distance(&as_variable(key), &written), key)).min();
    match nearest {
        Some((mistakes, key)) if mistakes <= mistakes_max => Meaning::Misspelled(key.to_owned()),
        _ => Meaning::Unknown,
    }
}

/// The variable that sets `key`.
pub(super) fn name_of(key: &str) -> String {
    format!("{}{}", keys::VARIABLE_PREFIX, as_variable(key))
}

fn as_variable(key: &str) -> String {
    key.replace('.', "_").to_ascii_uppercase()
}

/// Whether Kubernetes or Docker sets a variable of this shape for a service or a link. The name may go on behind ours:
/// a service `tidewire-query` has `TIDEWIRE_QUERY_SERVICE_HOST`.
fn is_of_platform(short: &str, text: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = |text: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let words: Vec<&str> = short.split('_').collect();
    let has = |pair: &[&str]| words.windows(pair.len()).any(|window| window == pair);
    // NAME_SERVICE_HOST, NAME_SERVICE_PORT, NAME_SERVICE_PORT_HTTP
    has(&["SERVICE", "HOST"])
        || has(&["SERVICE", "PORT"])
        // NAME_PORT=tcp://…, NAME_PORT_8902_TCP=tcp://…, …_ADDR, …_PORT, …_PROTO
        || (words.last() == Some(&"PORT") && is_address(text))
        || words.windows(3).any(|window| {
            window[0] == "PORT" && is_port(window[1]) && matches!(window[2], "TCP" | "UDP" | "SCTP")
        })
        // ALIAS_NAME=/container/alias, ALIAS_ENV_ANYTHING
        || (words.last() == Some(&"NAME") && text.starts_with('/'))
        || words.windows(2).any(|window| window[0] == "ENV")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_platforms_set_is_passed_over() {
        let set = [
            ("SERVICE_HOST", "10.0.0.7"),
            ("SERVICE_PORT", "8902"),
            ("SERVICE_PORT_HTTP", "8902"),
            ("PORT", "tcp://10.0.0.7:8902"),
            ("PORT_8902_TCP", "tcp://10.0.0.7:8902"),
            ("PORT_8902_TCP_ADDR", "10.0.0.7"),
            ("PORT_8902_TCP_PORT", "8902"),
            ("PORT_8902_TCP_PROTO", "tcp"),
            ("PORT_53_UDP_PROTO", "udp"),
            ("QUERY_SERVICE_HOST", "10.0.0.8"),
            ("WAL_PORT", "udp://10.0.0.8:9"),
            ("NAME", "/app/tidewire"),
            ("ENV_PATH", "/usr/bin"),
            ("CONFIG", "/etc/tidewire.toml"),
        ];
        for (short, text) in set {
            assert_eq!(meaning(short, text), Meaning::Others, "{short}={text}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_refused_and_what_nobody_knows_is_not() {
        let misspelled = |short: &str| match meaning(short, "1") {
            Meaning::Misspelled(key) => name_of(&key),
            other => panic!("{short}: {other:?}"),
        };
        assert_eq!(misspelled("SHARD"), "TIDEWIRE_SHARDS");
        assert_eq!(misspelled("DATADIR"), "TIDEWIRE_DATA_DIR");
        assert_eq!(misspelled("WAL_SINK"), "TIDEWIRE_WAL_SYNC");
        assert_eq!(misspelled("LOGLEVEL"), "TIDEWIRE_LOG_LEVEL");
        for short in ["VERSION", "HOME", "HOST", "PORTS", "IMAGE_TAG", "", "PORT", "NAME"] {
            assert_eq!(meaning(short, "1"), Meaning::Unknown, "{short}");
        }
        assert_eq!(meaning("wal_sync", "off"), Meaning::Key);
        assert_eq!(meaning("WAL_SYNC", "off"), Meaning::Key);
    }
}
