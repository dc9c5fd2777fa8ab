//! What SIGHUP changes: the configuration is read again, from the same file, variables and flags, and the keys that can
//! change while the server runs take effect. The others are named in the log.

use tidewire_base::config::Config;

/// Keys that take effect without a restart.
const RELOADABLE: &[&str] = &["log.level"];

/// What a new configuration changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Keys that take effect now.
    pub(super) now: Vec<&'static str>,
    /// Keys that take effect at the next start.
    pub(super) later: Vec<&'static str>,
}

/// Compares the configuration in use with a new one.
pub(super) fn changes(used: &Config, new: &Config) -> Changes {
    let (now, later) = used.differences(new).into_iter().partition(|key| RELOADABLE.contains(key));
    Changes { now, later }
}

/// Takes over what can change now, and says in the log what did.
pub(super) fn reload(used: &mut Config, read: &dyn Fn() -> Result<Config, String>) {
    let new = match read() {
        Ok(new) => new,
        Err(reason) => {
            log::error!("SIGHUP: nothing was reloaded, the configuration cannot be read: {reason}");
            return;
        }
    };
    let changes = changes(used, &new);
    used.log.level = new.log.level;
    log::set_max_level(used.log.level);
    match changes.now.is_empty() {
        true => log::info!("SIGHUP: the configuration was read again; of what can be reloaded nothing has changed"),
        false => log::info!("SIGHUP: reloaded {}; log.level is {}", changes.now.join(", "), used.log.level),
    }
    if !changes.later.is_empty() {
        log::warn!("SIGHUP: has changed and needs a restart: {}", changes.later.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_told_apart_by_when_it_takes_effect() {
        let used = Config::default();
        assert_eq!(changes(&used, &used.clone()), Changes::default());
        let mut new = used.clone();
        new.merge_toml("t", "log.level = 'debug'\nwal.interval_ms = 7\nshards = 3").unwrap();
        assert_eq!(changes(&used, &new), Changes { now: vec!["log.level"], later: vec!["shards", "wal.interval_ms"] });
    }

    #[test]
    fn a_configuration_that_cannot_be_read_changes_nothing() {
        let mut used = Config::default();
        reload(&mut used, &|| Err("no".to_owned()));
        assert_eq!(used, Config::default());
    }
}
