//! `/query`: statements of InfluxQL, one after the other, and their results in one reply.

use std::borrow::Cow;

use futures_lite::future::or;
use tidewire_protocol::encode::influx::{Epoch, Options};
use tidewire_protocol::http::{Head, Method, Query};
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{self, Parameters, Statement};

use super::answer::Answer;
use super::scope::Scope;
use super::{error, parameters, statements};
use crate::api::body_length;
use crate::api::context::{RequestContext, parameter};
use crate::api::fault::Fault;
use crate::net::{Body, Reply, Request};
use crate::query::prepare;
use crate::ring::{Queue, within, yield_if_needed};

/// What reading a form takes for each byte of it, measured: `benches`, test `statement_memory`.
const BYTES_PER_FORM_BYTE: u64 = 128;

/// The head of statements, of which the log may show a part.
const SHOWN_BYTES_MAX: usize = 4 << 10;

/// Rows of a document of a chunked reply, unless the request says it otherwise.
const CHUNK_ROWS: usize = 10_000;

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
    within(Queue::Query, run_statements(context, request.body, form, reply)).await
}

async fn run_statements(
    context: &RequestContext<'_>,
    body: &mut Body,
    form: Vec<u8>,
    reply: &mut Reply,
) -> Result<(), Fault> {
    let of_url = OfUrl {
        text: context.parameter("q").map(|text| text.map(Cow::into_owned)),
        database: context.database().map(Cow::into_owned),
        policy: context.parameter("rp").map(|policy| policy.map(Cow::into_owned)),
        parameters: context.parameter("params").map(|text| text.map(Cow::into_owned)),
        epoch: context.parameter("epoch").map(|unit| unit.and_then(|unit| Epoch::from_parameter(&unit))),
        chunked: context.parameter("chunked").map(|chunked| chunked.as_deref() == Some("true")),
        chunk_size: context.parameter("chunk_size").map(|size| size.map(Cow::into_owned)),
        pretty: context.parameter("pretty").map(|pretty| pretty.as_deref() == Some("true")),
    };
    let bytes = form.len() as u64 * BYTES_PER_FORM_BYTE;
    let (read, _held) = prepare::read(context.core, form, bytes, |form| of_url.with_form(form)).await?;
    let Asked { shown, statements, scope, epoch, pretty, chunk_rows } = read?;
    context.note_statement(&shown);
    let mut answer = Answer::new(context, reply, Options { pretty, epoch }, chunk_rows);
    for (id, statement) in statements.iter().enumerate() {
        answer.begin_result(id);
        yield_if_needed().await;
        let run = statements::run(context, statement, &scope, &mut answer);
        let outcome = match statement {
            // A client that leaves ends its query: dropping it cancels what the shards run.
            Statement::Select(select) if select.into.is_none() => or(run, gone(body)).await,
            _ => run.await,
        };
        // With statements to come after a failed one, InfluxDB's reply shows them as not executed and hides the error.
        let error = match &outcome {
            Ok(()) => None,
            Err(Fault::Rows(_)) if !answer.is_begun() => return outcome,
            Err(_) if id + 1 < statements.len() => Some("not executed".to_owned()),
            Err(fault) => Some(error::message(fault)),
        };
        answer.end_result(error.as_deref()).await?;
        if outcome.is_err() {
            break;
        }
    }
    answer.end().await
}

/// What a query ends with when its client leaves.
async fn gone(body: &mut Body) -> Result<(), Fault> {
    body.peer_gone().await;
    Err(Fault::Query(ExecError::Cancelled))
}

/// What the URL says, or what is wrong with it.
struct OfUrl {
    text: Result<Option<String>, Fault>,
    database: Result<String, Fault>,
    policy: Result<Option<String>, Fault>,
    parameters: Result<Option<String>, Fault>,
    epoch: Result<Option<Epoch>, Fault>,
    chunked: Result<bool, Fault>,
    chunk_size: Result<Option<String>, Fault>,
    pretty: Result<bool, Fault>,
}

/// What a request asks for.
struct Asked {
    /// The head of their text.
    shown: String,
    statements: Vec<Statement>,
    scope: Scope,
    epoch: Option<Epoch>,
    pretty: bool,
    /// Rows of a document of a chunked reply.
    chunk_rows: Option<usize>,
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
        let of_form = |name: &'static str| parameter(&form, name).map(|value| value.map(Cow::into_owned));
        let policy = of_form("rp")?.or(self.policy?).unwrap_or_default();
        let parameters = match of_form("params")?.or(self.parameters?) {
            Some(text) => parameters::read(&text)?,
            None => Parameters::new(),
        };
        let epoch = of_form("epoch")?.and_then(|unit| Epoch::from_parameter(&unit)).or(self.epoch?);
        let statements = influxql::parse_with(text.trim(), &parameters)?;
        let chunked = of_form("chunked")?.map_or(self.chunked?, |chunked| chunked == "true");
        let size = of_form("chunk_size")?.or(self.chunk_size?).and_then(|size| size.parse().ok());
        let chunk_rows = chunked.then(|| size.filter(|size| *size > 0).unwrap_or(CHUNK_ROWS));
        let scope = Scope { database, policy, is_long: text.len() > prepare::HERE_BYTES_MAX };
        let shown = text[..text.floor_char_boundary(SHOWN_BYTES_MAX)].to_owned();
        Ok(Asked { shown, statements, scope, epoch, pretty: self.pretty?, chunk_rows })
    }
}

/// Whether the body holds parameters. Bodies of other types are not looked at.
fn is_form(head: &Head<'_>) -> bool {
    let content_type = head.header("content-type").unwrap_or("");
    head.method == Method::Post && content_type.starts_with("application/x-www-form-urlencoded")
}
