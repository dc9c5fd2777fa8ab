//! The lines of the server's log, on standard error.

use std::io::Write as _;
use std::time::SystemTime;

use env_logger::Builder;
use log::LevelFilter;
use tidewire_base::config::LogFormat;

use super::record::{push_quoted, timestamp};
use super::text::push_visible;

/// Lines of this target are JSON already.
pub(super) const WHOLE_LINE: &str = "tidewire::journal::whole";

/// Starts the log. What libraries say of their insides is nobody's affair, whatever the level; that can change while
/// the server runs, so it is kept by `log` alone.
pub fn start_log(level: LevelFilter, format: LogFormat) {
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Warn).filter_module("tidewire", LevelFilter::Trace);
    // It warns of what peers get wrong, and each of them could write as many lines as it likes.
    builder.filter_module("rustls", LevelFilter::Off);
    builder.format(move |out, record| {
        let message = record.args().to_string();
        writeln!(out, "{}", line(format, SystemTime::now(), record.level(), record.target(), &message))
    });
    builder.init();
    log::set_max_level(level);
}

/// A line. Nothing in a message ends it, or looks like another: the lines of one that has several are indented.
fn line(format: LogFormat, time: SystemTime, level: log::Level, target: &str, message: &str) -> String {
    if target == WHOLE_LINE {
        return message.to_owned();
    }
    let time = timestamp(time);
    match format {
        LogFormat::Text => {
            let mut out = format!("[{time} {level:<5}] ");
            for c in message.chars() {
                match c {
                    '\n' => out.push_str("\n    "),
                    '\t' => out.push('\t'),
                    c => push_visible(c, &mut out),
                }
            }
            out
        }
        LogFormat::Json => {
            let mut out = format!("{{\"time\":\"{time}\",\"log\":\"server\",\"level\":\"{level}\",\"message\":");
            push_quoted(message, &mut out);
            out.push('}');
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use log::Level;

    use super::*;

    #[test]
    fn no_message_looks_like_two() {
        let text = |format, message: &str| line(format, UNIX_EPOCH, Level::Warn, "tidewire", message);
        let forged = "a\n[1970-01-01T00:00:00.000Z ERROR] b\u{1b}[2J\rc";
        let shown = "[1970-01-01T00:00:00.000Z WARN ] a\n    [1970-01-01T00:00:00.000Z ERROR] b\\u{1b}[2J\\u{d}c";
        assert_eq!(text(LogFormat::Text, forged), shown);
        let json = text(LogFormat::Json, forged);
        assert!(!json.contains('\n'));
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&read["level"], &read["message"]), (&"WARN".into(), &forged.into()));
        assert_eq!(line(LogFormat::Json, UNIX_EPOCH, Level::Info, WHOLE_LINE, "{}"), "{}");
    }
}
