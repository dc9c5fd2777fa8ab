//! SHOW QUERIES.

use std::time::Duration;

use tidewire_protocol::encode::influx::Value;
use tidewire_sql::influxql::{self, Parameters};

use super::answer::Answer;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::redact::without_password;

/// Lists what runs of the user, this statement too; for an administrator all.
pub(super) fn show(context: &RequestContext<'_>, answer: &mut Answer<'_>) -> Result<(), Fault> {
    // A text may name what its reader may not see: of others' only an administrator sees any.
    let user = context.principal.user().unwrap_or_default();
    let mut running = context.core.running.list();
    running.retain(|query| context.principal.is_admin() || query.user == user);
    let texts: Vec<(String, String)> =
        running.iter().map(|query| (as_printed(&query.text), shown(query.started.elapsed()))).collect();
    let rows = running.iter().zip(&texts).map(|(query, (text, duration))| {
        vec![
            Value::UInt(query.id),
            Value::Text(text),
            Value::Text(&query.database),
            Value::Text(duration),
            Value::Text(if query.is_killed() { "killed" } else { "running" }),
        ]
    });
    answer.whole_series("", &["qid", "query", "database", "duration", "status"], rows)
}

/// The statements of a text as they are printed, without passwords; the text where it is cut or needs parameters.
fn as_printed(text: &str) -> String {
    match influxql::parse_with(text.trim(), &Parameters::new()) {
        Ok(statements) => statements.iter().map(ToString::to_string).collect::<Vec<_>>().join(";\n"),
        Err(_) => without_password(text).into_owned(),
    }
}

/// A duration in its largest unit of those below a second, or in whole seconds.
fn shown(elapsed: Duration) -> String {
    match elapsed.as_nanos() {
        ns @ 0..1_000 => format!("{ns}ns"),
        ns @ 1_000..1_000_000 => format!("{}µs", ns / 1_000),
        ns @ 1_000_000..1_000_000_000 => format!("{}ms", ns / 1_000_000),
        _ => {
            let seconds = elapsed.as_secs();
            match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
                (0, 0, seconds) => format!("{seconds}s"),
                (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
                (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_as_go_does() {
        for (ns, text) in [(7, "7ns"), (53_116, "53µs"), (12_000_000, "12ms"), (61_500_000_000, "1m1s")] {
            assert_eq!(shown(Duration::from_nanos(ns)), text);
        }
        assert_eq!(shown(Duration::from_secs(7_200)), "2h0m0s");
    }

    #[test]
    fn statements_are_shown_as_they_are_printed() {
        assert_eq!(as_printed("show  databases; select v from m"), "SHOW DATABASES;\nSELECT v FROM m");
        assert_eq!(as_printed("select v from m where h = $h"), "select v from m where h = $h");
        assert_eq!(as_printed("create user u with password 's3'"), "CREATE USER u WITH PASSWORD [REDACTED]");
        assert_eq!(as_printed("set password for u = 's3'; select $h from m"), "set password …");
    }
}
