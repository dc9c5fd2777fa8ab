//! The server that rows are sent to, over HTTP.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tidewire_protocol::line::Dialect;
use tidewire_sql::PolicyOptions;
use tidewire_storage::schema::{DEFAULT_TENANT, DatabaseOptions, RetentionPolicy};

use super::Target;
use crate::tables::TableTerms;
use crate::terms::create_policy;
use tidewire_base::cli::ImportPrecision;

/// A reply that takes longer is not waited for: the server answers within seconds, or says that it is busy.
const REPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a server that is busy and does not say for how long is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// More of what a server asks for is not granted: an import must not hang.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What lines and SQL are sent as.
const TEXT: &str = "text/plain";

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
    /// What follows `db=…` in the path of a request; empty for the default tenant.
    tenant: String,
}

/// Why rows are not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server is busy, or does not answer: to be tried again after a pause.
    Busy(Duration, String),
    /// The rows are wrong, or too many at once.
    Rows(String),
    /// Rows are older than the retention policy keeps rows: `Some` number of them, and the others are written; `None`
    /// where none is.
    Expired(Option<u64>, String),
    /// Nothing that has to do with these rows.
    Server(String),
}

impl Server {
    /// The server at `url`, as `name` or `name:password`, for databases of `tenant`.
    pub(super) fn new(url: &str, user: Option<&str>, tenant: &str) -> Result<Self, String> {
        let url = url.trim_end_matches('/');
        if !url.starts_with("http://") {
            return Err(format!("--url {url}: wanted is http://HOST:PORT; TLS is not spoken"));
        }
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(REPLY_TIMEOUT));
        let authorization = user.map(|user| {
            let pair = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
            format!("Basic {}", STANDARD.encode(pair))
        });
        let tenant = match tenant == DEFAULT_TENANT {
            true => String::new(),
            false => format!("&tenant={}", utf8_percent_encode(tenant, NON_ALPHANUMERIC)),
        };
        Ok(Self { agent: config.build().into(), url: url.to_owned(), authorization, tenant })
    }

    /// Makes the database of a target with its precision, and retention policies: those that were declared, and the
    /// target's. What is there already stays; a policy that is there on other terms than declared is refused.
    pub(super) fn prepare(&self, target: &Target, declared: &[(String, PolicyOptions)]) -> Result<(), Refusal> {
        let options_of = |wanted: &str| declared.iter().find(|(name, _)| name == wanted).map(|(_, options)| options);
        // A database begins with this policy, so that its terms are the database's.
        self.create_database(target, options_of(RetentionPolicy::FIRST))?;
        if !self.tenant.is_empty() {
            return Self::without_policies(target, declared);
        }
        let create =
            |name: &str, options: &PolicyOptions| self.query(&create_policy(&target.database, name, options)).map(drop);
        let known = self.policies(&target.database)?;
        for (name, options) in declared.iter().filter(|(name, _)| name != RetentionPolicy::FIRST) {
            // InfluxDB's exports say the name alone: any that is there will do.
            if options.duration_ns.is_some() || !known.contains(name) {
                create(name, options)?;
            }
        }
        match &target.policy {
            Some(policy) if !known.contains(policy) => {
                create(policy, options_of(policy).unwrap_or(&PolicyOptions::default()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what only InfluxDB's API can say, which knows the default tenant alone.
    fn without_policies(target: &Target, declared: &[(String, PolicyOptions)]) -> Result<(), Refusal> {
        let refuse = |what: &str| Err(Refusal::Server(format!("--tenant: {what}, which tenants do not have")));
        match declared.iter().find(|(name, _)| name != RetentionPolicy::FIRST) {
            Some((policy, _)) => refuse(&format!("the file makes a retention policy {policy:?}")),
            None if target.policy.as_deref().is_some_and(|policy| policy != RetentionPolicy::FIRST) => {
                refuse("the file has rows of a retention policy beside the first")
            }
            None if target.insert.is_none() && target.dialect == Dialect::Influx => {
                refuse("lines of InfluxDB's dialect go to /write")
            }
            None => Ok(()),
        }
    }

    fn create_database(&self, target: &Target, first: Option<&PolicyOptions>) -> Result<(), Refusal> {
        let name = target.database.replace('"', "\"\"");
        let unit = match target.precision {
            ImportPrecision::Ms => "ms",
            ImportPrecision::Us => "us",
            ImportPrecision::Ns => "ns",
        };
        let mut sql = format!("CREATE DATABASE IF NOT EXISTS \"{name}\" WITH PRECISION '{unit}'");
        let term = |of: fn(&PolicyOptions) -> Option<i64>| first.and_then(of).filter(|ns| *ns > 0);
        if let Some(ns) = term(|options| options.duration_ns) {
            sql.push_str(&format!(" TTL '{ns}ns'"));
        }
        // What a database has without asking is not asked for.
        if let Some(ns) = term(|options| options.shard_duration_ns).filter(|ns| *ns != DatabaseOptions::PARTITION_NS) {
            sql.push_str(&format!(" VNODE_DURATION '{ns}ns'"));
        }
        self.post(&format!("/api/v1/sql?db=public{}", self.tenant), TEXT, sql.as_bytes()).map(drop)
    }

    /// Names of a database's retention policies.
    fn policies(&self, database: &str) -> Result<Vec<String>, Refusal> {
        let name = database.replace('\\', "\\\\").replace('"', "\\\"");
        let reply = self.query(&format!("SHOW RETENTION POLICIES ON \"{name}\""))?;
        let rows = reply.pointer("/results/0/series/0/values").and_then(serde_json::Value::as_array);
        let names = rows.into_iter().flatten().filter_map(|row| Some(row.get(0)?.as_str()?.to_owned()));
        Ok(names.collect())
    }

    /// Runs a statement of InfluxQL.
    fn query(&self, statement: &str) -> Result<serde_json::Value, Refusal> {
        let form = format!("q={}", utf8_percent_encode(statement, NON_ALPHANUMERIC));
        let text = self.post("/query", "application/x-www-form-urlencoded", form.as_bytes())?;
        let reply: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| Refusal::Server(format!("the server's answer to {statement} is no JSON: {error}")))?;
        match reply.pointer("/results/0/error").and_then(serde_json::Value::as_str) {
            Some(reason) => Err(Refusal::Server(format!("the server refuses {statement}: {reason}"))),
            None => Ok(reply),
        }
    }

    /// Makes a table of a target's database, unless it is there.
    pub(super) fn create_table(&self, target: &Target, terms: &TableTerms) -> Result<(), Refusal> {
        let database = utf8_percent_encode(&target.database, NON_ALPHANUMERIC);
        self.post(&format!("/api/v1/sql?db={database}{}", self.tenant), TEXT, terms.create().as_bytes()).map(drop)
    }

    /// Writes lines, or values of SQL, each with a comma behind it.
    pub(super) fn write(&self, target: &Target, lines: &[u8]) -> Result<(), Refusal> {
        let database = utf8_percent_encode(&target.database, NON_ALPHANUMERIC);
        if let Some(insert) = &target.insert {
            let values = lines.trim_ascii_end().strip_suffix(b",").unwrap_or(lines);
            let statement = [insert.as_bytes(), values].concat();
            return self.post(&format!("/api/v1/sql?db={database}{}", self.tenant), TEXT, &statement).map(drop);
        }
        let (path, unit) = match (target.dialect, target.precision) {
            (Dialect::Cnos, ImportPrecision::Ms) => ("/api/v1/write", "ms"),
            (Dialect::Cnos, ImportPrecision::Us) => ("/api/v1/write", "us"),
            (Dialect::Cnos, ImportPrecision::Ns) => ("/api/v1/write", "ns"),
            (Dialect::Influx, ImportPrecision::Ms) => ("/write", "ms"),
            (Dialect::Influx, ImportPrecision::Us) => ("/write", "u"),
            (Dialect::Influx, ImportPrecision::Ns) => ("/write", "n"),
        };
        let policy = target.policy.as_deref().map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC));
        let policy = policy.map_or_else(String::new, |name| format!("&rp={name}"));
        let tenant = &self.tenant;
        self.post(&format!("{path}?db={database}{tenant}{policy}&precision={unit}"), TEXT, lines).map(drop)
    }

    /// Sends a request; gives the body of a reply that is none of a refusal.
    fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<String, Refusal> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).content_type(content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            // The server may be starting anew; what it has written already it may write again.
            Err(error) => return Err(Refusal::Busy(PAUSE, format!("{}: {error}", self.url))),
        };
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        match refusal(status, after, &text) {
            Some(refusal) => Err(refusal),
            None => Ok(text),
        }
    }
}

/// What a reply means.
fn refusal(status: u16, retry_after_s: Option<u64>, text: &str) -> Option<Refusal> {
    let said = format!("the server says {status}: {}", text.trim());
    match status {
        200..=299 => None,
        429 | 503 => Some(Refusal::Busy(retry_after_s.map_or(PAUSE, Duration::from_secs).min(PAUSE_MAX), said)),
        422 if text.contains("create expired bucket") => Some(Refusal::Expired(None, said)),
        400 if text.contains("points beyond retention policy dropped=") => {
            let dropped = text.rsplit("dropped=").next().unwrap_or_default();
            let digits = dropped.find(|c: char| !c.is_ascii_digit()).map_or(dropped, |end| &dropped[..end]);
            Some(digits.parse().map_or(Refusal::Rows(said.clone()), |dropped| Refusal::Expired(Some(dropped), said)))
        }
        400 | 413 | 422 => Some(Refusal::Rows(said)),
        _ => Some(Refusal::Server(said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        let busy = |seconds| Some(Refusal::Busy(Duration::from_secs(seconds), "the server says 429: x".to_owned()));
        assert_eq!(refusal(204, None, ""), None);
        assert_eq!(refusal(429, Some(7), "x\n"), busy(7));
        assert_eq!(refusal(429, None, "x"), busy(1));
        assert_eq!(refusal(429, Some(4000), "x"), busy(60));
        assert!(matches!(refusal(413, None, ""), Some(Refusal::Rows(_))));
        let beyond = "{\"error\":\"partial write: points beyond retention policy dropped=12\"}";
        assert!(matches!(refusal(400, None, beyond), Some(Refusal::Expired(Some(12), _))));
        let expired = "{\"error_message\":\"Operation not support: create expired bucket\"}";
        assert!(matches!(refusal(422, None, expired), Some(Refusal::Expired(None, _))));
        assert!(matches!(refusal(422, None, "another"), Some(Refusal::Rows(_))));
        assert!(matches!(refusal(401, None, ""), Some(Refusal::Server(_))));
        assert!(Server::new("https://x", None, DEFAULT_TENANT).unwrap_err().contains("http://"));
    }
}
