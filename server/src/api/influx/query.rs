//! `/query`: statements of InfluxQL, one after the other, and their results in one reply.

use tidewire_protocol::encode::influx::{Options, QueryWriter, Tail};
use tidewire_protocol::http::{Head, Method, Query};
use tidewire_sql::influxql;

use super::headers::send;
use super::{error, statements};
use crate::api::context::{RequestContext, parameter};
use crate::api::fault::Fault;
use crate::net::{Reply, Request};

/// Runs the statements.
pub async fn query(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let body = match is_form(request.head) {
        true => request.body.read_all(context.body_bytes_max()).await?,
        false => Vec::new(),
    };
    let form = Query::new(&body);
    // What the form says wins over the URL.
    let text = match parameter(&form, "q")? {
        Some(text) => Some(text),
        None => context.parameter("q")?,
    };
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Err(Fault::StatementMissing);
    };
    let database = match parameter(&form, "db")? {
        Some(name) => name,
        None => context.database()?,
    };
    let pretty = context.parameter("pretty")?.as_deref() == Some("true");
    let statements = influxql::parse(text.trim())?;
    let mut body = Vec::new();
    let mut writer = QueryWriter::new(Options { pretty, epoch: None });
    for (id, statement) in statements.iter().enumerate() {
        writer.result(&mut body, id);
        let outcome = statements::run(context, statement, &database, &mut writer, &mut body).await;
        // With statements to come after a failed one, InfluxDB's reply shows them as not executed and hides the error.
        let error = match &outcome {
            Ok(()) => None,
            Err(_) if id + 1 < statements.len() => Some("not executed".to_owned()),
            Err(fault) => Some(error::message(fault)),
        };
        writer.end_result(&mut body, Tail { error: error.as_deref(), ..Tail::default() });
        if outcome.is_err() {
            break;
        }
    }
    writer.end(&mut body);
    send(context, 200, &body, reply);
    Ok(())
}

/// Whether the body holds parameters. Bodies of other types are not looked at.
fn is_form(head: &Head<'_>) -> bool {
    let content_type = head.header("content-type").unwrap_or("");
    head.method == Method::Post && content_type.starts_with("application/x-www-form-urlencoded")
}
