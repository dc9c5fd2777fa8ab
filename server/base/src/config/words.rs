//! Values that are one of some words.

use std::fmt;
use std::str::FromStr;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WalSync {
    /// After it is on the medium: survives power loss.
    #[default]
    Always,
    /// After it is handed to the kernel; synced every `wal.interval_ms`.
    Interval,
    /// Once it is in memory; synced when files are full.
    Off,
}

impl FromStr for WalSync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self::Always),
            "interval" => Ok(Self::Interval),
            "off" => Ok(Self::Off),
            _ => Err(format!("`{text}` is none of always, interval, off")),
        }
    }
}

impl fmt::Display for WalSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Interval => "interval",
            Self::Off => "off",
        })
    }
}

/// Who may watch the server at work while authentication is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MonitorAccess {
    /// Administrators.
    #[default]
    Admins,
    /// Every user.
    Users,
    /// Everybody, without credentials.
    Anyone,
}

impl FromStr for MonitorAccess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "admins" => Ok(Self::Admins),
            "users" => Ok(Self::Users),
            "anyone" => Ok(Self::Anyone),
            _ => Err(format!("`{text}` is none of admins, users, anyone")),
        }
    }
}

impl fmt::Display for MonitorAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admins => "admins",
            Self::Users => "users",
            Self::Anyone => "anyone",
        })
    }
}

/// Which requests have a line of their own in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// None; of those that fail, one a second.
    #[default]
    Off,
    /// Those that fail.
    Errors,
    /// All.
    All,
}

impl FromStr for AccessLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "errors" => Ok(Self::Errors),
            "all" => Ok(Self::All),
            _ => Err(format!("`{text}` is none of off, errors, all")),
        }
    }
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Errors => "errors",
            Self::All => "all",
        })
    }
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is none of text, json")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
