//! `/write` and `/api/v2/write`: line protocol; good lines are written although others are bad.

use tidewire_protocol::line::Dialect;
use tidewire_protocol::row::BadRows;

use super::bucket::database_and_policy;
use super::headers::send;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::tally::Work;
use crate::ingest::session::Target;
use crate::ingest::sink::{RowRules, SharedNames, TimeField};
use crate::ingest::write::{Precision, WriteRequest, write_lines};
use crate::net::{Reply, Request};

/// Writes the lines of the body.
pub async fn write(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let database = context.database()?;
    let precision = match context.parameter("precision")?.as_deref() {
        Some("u" | "us" | "µ") => Precision::Microsecond,
        Some("ms") => Precision::Millisecond,
        Some("s") => Precision::Second,
        Some("m") => Precision::Minute,
        Some("h") => Precision::Hour,
        None | Some("" | "n" | "ns") => Precision::Nanosecond,
        Some(other) => return Err(Fault::Precision(other.to_owned())),
    };
    if let Some(level) = context.parameter("consistency")?
        && !matches!(&*level, "" | "any" | "one" | "quorum" | "all")
    {
        return Err(Fault::Consistency(level.into_owned()));
    }
    let policy = context.parameter("rp")?.filter(|name| !name.is_empty());
    write_to(context, (&database, policy.as_deref()), precision, request, reply).await
}

/// Writes the lines of the body into a bucket. The organisation is not looked at.
pub async fn write_bucket(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let database = context.database()?;
    let bucket = context.parameter("bucket")?.unwrap_or_default();
    let policy = database_and_policy(&bucket).ok().and_then(|(_, policy)| policy);
    let precision = match context.parameter("precision")?.as_deref() {
        None | Some("" | "ns") => Precision::Nanosecond,
        Some("us") => Precision::Microsecond,
        Some("ms") => Precision::Millisecond,
        Some("s") => Precision::Second,
        Some(other) => {
            let words = format!("invalid precision {other:?} (use ns, us, ms or s)");
            return Err(Fault::QueryParameters(words));
        }
    };
    write_to(context, (&database, policy), precision, request, reply).await
}

/// Writes the lines of the body into a database and policy.
async fn write_to(
    context: &RequestContext<'_>,
    (database, policy): (&str, Option<&str>),
    precision: Precision,
    request: Request<'_>,
    reply: &mut Reply,
) -> Result<(), Fault> {
    context.core.tally.note(context.principal.user(), request.peer.map(|peer| peer.ip()), Work::Write);
    request.body.limit(context.body_bytes_max())?;
    let target = Target {
        database,
        policy,
        dialect: Dialect::Influx,
        rules: RowRules {
            bad_rows: BadRows::KeepOthers,
            time_field: TimeField::LeftOut,
            shared_names: SharedNames::Taken,
        },
        now_ns: context.now_ns,
    };
    let lines = WriteRequest { target, precision };
    let written = write_lines(context.core, lines, request.body).await?;
    context.count_written(written.rows);
    context.rows.count_rejected(&written.bad_rows);
    if !written.bad_rows.is_empty() {
        return Err(Fault::Partial(Box::new(written)));
    }
    send(context, 204, b"", reply);
    Ok(())
}
