//! `/query`: statements of InfluxQL, one after the other, and their results in one reply.

use std::borrow::Cow;

use tidewire_protocol::encode::influx::{Options, QueryWriter, Tail};
use tidewire_protocol::http::{Head, Method, Query};
use tidewire_sql::influxql::{self, Statement};

use super::headers::send;
use super::{error, statements};
use crate::api::body_length;
use crate::api::context::{RequestContext, parameter};
use crate::api::fault::Fault;
use crate::net::{Reply, Request};
use crate::query::prepare;
use crate::ring::{Queue, within, yield_if_needed};

/// What reading a form takes for each byte of it, measured: `benches`, test `statement_memory`.
const BYTES_PER_FORM_BYTE: u64 = 64;

/// Runs the statements.
pub async fn query(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let is_form = is_form(request.head);
    if is_form {
        body_length::require(request.head, reply)?;
    }
    let form = match is_form {
        true => request.body.read_all(context.body_bytes_max()).await?,
        false => Vec::new(),
    };
    within(Queue::Query, run_statements(context, form, reply)).await
}

async fn run_statements(context: &RequestContext<'_>, form: Vec<u8>, reply: &mut Reply) -> Result<(), Fault> {
    let of_url = OfUrl {
        text: context.parameter("q").map(|text| text.map(Cow::into_owned)),
        database: context.database().map(Cow::into_owned),
        pretty: context.parameter("pretty").map(|pretty| pretty.as_deref() == Some("true")),
    };
    let bytes = form.len() as u64 * BYTES_PER_FORM_BYTE;
    let (read, _held) = prepare::read(context.core, form, bytes, |form| of_url.with_form(form)).await?;
    let Asked { statements, database, pretty } = read?;
    let mut body = Vec::new();
    let mut writer = QueryWriter::new(Options { pretty, epoch: None });
    for (id, statement) in statements.iter().enumerate() {
        writer.result(&mut body, id);
        yield_if_needed().await;
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

/// What the URL says, or what is wrong with it.
struct OfUrl {
    text: Result<Option<String>, Fault>,
    database: Result<String, Fault>,
    pretty: Result<bool, Fault>,
}

/// What a request asks for.
struct Asked {
    statements: Vec<Statement>,
    database: String,
    pretty: bool,
}

impl OfUrl {
    /// With what a form says, which wins over the URL.
    fn with_form(self, form: &[u8]) -> Result<Asked, Fault> {
        let form = Query::new(form);
        let text = match parameter(&form, "q")? {
            Some(text) => Some(text.into_owned()),
            None => self.text?,
        };
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Err(Fault::StatementMissing);
        };
        let database = match parameter(&form, "db")? {
            Some(name) => name.into_owned(),
            None => self.database?,
        };
        let pretty = self.pretty?;
        Ok(Asked { statements: influxql::parse(text.trim())?, database, pretty })
    }
}

/// Whether the body holds parameters. Bodies of other types are not looked at.
fn is_form(head: &Head<'_>) -> bool {
    let content_type = head.header("content-type").unwrap_or("");
    head.method == Method::Post && content_type.starts_with("application/x-www-form-urlencoded")
}
