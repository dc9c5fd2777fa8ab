//! `/query`: statements of InfluxQL, one after the other, and their results in one reply.

use std::borrow::Cow;

use futures_lite::future::or;
use tidewire_protocol::encode::influx::{Epoch, Options, write_error};
use tidewire_protocol::http::{Head, Method};
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{self, BindError, Parameters, Statement};
use tidewire_storage::schema::DEFAULT_TENANT;

use super::answer::{Answer, Manner};
use super::form::Form;
use super::headers::{headers, send};
use super::scope::Scope;
use super::{accept, error, parameters, statements};
use crate::api::audit::is_influx_administration;
use crate::api::body_length;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::guard::admit_statements;
use crate::api::queries::gone;
use crate::core::tally::Work;
use crate::net::{Body, Reply, Request};
use crate::query::prepare;
use crate::ring::{Queue, within, yield_if_needed};

/// What reading a form or a parameter takes for each byte of it, measured: `benches`, test `statement_memory`.
const BYTES_PER_FORM_BYTE: u64 = 128;

/// Memory of regular expressions that is not reserved: a simple one, which most panels have.
const FREE_PATTERNS_BYTES: usize = 256 << 10;

/// Rows of a document of a chunked reply, unless the request says it otherwise.
const CHUNK_ROWS: usize = 10_000;

/// Runs the statements.
pub async fn query(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    context.core.tally.note(context.principal.user(), request.peer.map(|peer| peer.ip()), Work::Query);
    let content_type = form_type(request.head);
    if content_type.is_some() {
        body_length::require(request.head, reply)?;
    }
    let form = match content_type {
        Some(_) => request.body.read_all(context.body_bytes_max()).await?,
        None => Vec::new(),
    };
    let wanted = Wanted {
        format: accept::format(request.head.header("accept").unwrap_or("")),
        gzip: request.head.header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip")),
        pretty: context.parameter("pretty")?.as_deref() == Some("true"),
        reads: request.head.method == Method::Get,
    };
    let form = (content_type.unwrap_or("").to_owned(), form);
    let outcome = within(Queue::Query, run_statements(context, request.body, form, wanted, reply)).await;
    match outcome {
        // In the form that the client reads.
        Err(fault) if !reply.is_begun() && error::status(&fault) == 400 && wanted.is_special() => {
            send_error(context, &error::message(&fault), wanted, reply);
            Ok(())
        }
        outcome => outcome,
    }
}

/// What the head of the request says of the reply.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    format: accept::Accepted,
    gzip: bool,
    pretty: bool,
    /// The client means to change nothing.
    reads: bool,
}

impl Wanted {
    fn options(self, epoch: Option<Epoch>) -> Options {
        Options { format: self.format.format, pretty: self.pretty, epoch }
    }

    /// Whether errors look different than everywhere else.
    fn is_special(self) -> bool {
        self.pretty || self.format != accept::Accepted::default()
    }
}

fn send_error(context: &RequestContext<'_>, message: &str, wanted: Wanted, reply: &mut Reply) {
    let mut body = Vec::new();
    write_error(&mut body, message, None, wanted.options(None));
    let header = error::error_header(message);
    reply.send(
        400,
        |head| {
            let head = headers(head, Some(&context.id)).header("X-Influxdb-Error", &header);
            head.content_type(wanted.format.content_type)
        },
        &body,
    );
}

async fn run_statements(
    context: &RequestContext<'_>,
    body: &mut Body,
    (content_type, form): (String, Vec<u8>),
    wanted: Wanted,
    reply: &mut Reply,
) -> Result<(), Fault> {
    let of_url = OfUrl {
        text: context.parameter("q").map(|text| text.map(Cow::into_owned)),
        database: context.database().map(Cow::into_owned),
        policy: context.parameter("rp").map(|policy| policy.map(Cow::into_owned)),
        parameters: context.parameter("params").map(|text| text.map(Cow::into_owned)),
        epoch: context.parameter("epoch").map(|unit| unit.and_then(|unit| Epoch::from_parameter(&unit))),
        chunked: context.parameter("chunked").map(|chunked| chunked.map(Cow::into_owned)),
        chunk_size: context.parameter("chunk_size").map(|size| size.map(Cow::into_owned)),
        is_async: context.parameter("async").map(|value| value.map(Cow::into_owned)),
    };
    let of_head = of_url.text.as_ref().ok().and_then(Option::as_ref).map_or("", String::as_str);
    let bound = of_url.parameters.as_ref().ok().and_then(Option::as_ref).map_or("", String::as_str);
    let is_quick = prepare::is_quick(&[&form, of_head.as_bytes(), bound.as_bytes()]);
    let bytes = (form.len() + of_head.len() + bound.len()) as u64 * BYTES_PER_FORM_BYTE;
    let read = move |form: &[u8]| of_url.with_form(&Form::new(&content_type, form)?);
    let (read, _held) = prepare::read(context.core, form, is_quick, bytes, read).await?;
    let Asked { text, statements, patterns_bytes, scope, epoch, chunk_rows, is_async } = read?;
    let _patterns = match patterns_bytes > FREE_PATTERNS_BYTES {
        true => Some(prepare::reserve(context.core.memory.shared().queries().clone(), patterns_bytes as u64)?),
        false => None,
    };
    context.note_statement(text.as_bytes());
    if let Err(fault) = admit_statements(context, &statements, &scope.database) {
        for statement in statements.iter().filter(|statement| is_influx_administration(statement)) {
            context.audit(&statement.to_string(), Some(&fault));
        }
        return Err(fault);
    }
    let manner = Manner {
        options: wanted.options(epoch),
        content_type: wanted.format.content_type,
        gzip: wanted.gzip && !is_async,
        chunk_rows,
        rows_max: Some(context.core.config.influxql.rows_max).filter(|rows_max| *rows_max > 0),
        is_detached: is_async,
    };
    if is_async {
        // The statements are this connection's until they are done, so that it cannot serve another request.
        reply.close();
        send(context, 204, b"", reply);
        reply.flush().await.map_err(|_| Fault::Query(ExecError::Cancelled))?;
    }
    let user = context.principal.user().unwrap_or_default();
    let registered = context.core.running.register(&text, DEFAULT_TENANT, &scope.database, user);
    let mut answer = Answer::new(context, reply, manner, registered)?;
    for (id, statement) in statements.iter().enumerate() {
        answer.begin_result(id);
        yield_if_needed().await;
        let run = statements::run(context, statement, &scope, &mut answer);
        let outcome = match statement {
            // A client that leaves ends its query: dropping it cancels what the shards run.
            Statement::Select(select) if select.into.is_none() && !is_async => or(run, gone(body)).await,
            _ => run.await,
        };
        let outcome = match outcome {
            Err(Fault::Query(ExecError::Cancelled)) if answer.registered().is_killed() => {
                Err(BindError::Interrupted.into())
            }
            outcome => outcome,
        };
        // With statements to come after a failed one, InfluxDB's reply shows them as not executed and hides the error.
        let error = match &outcome {
            Ok(()) => None,
            Err(Fault::Rows(_)) if !answer.is_begun() => return outcome,
            Err(Fault::UnshownValue(value)) if !answer.is_begun() => return answer.end_with(&value.to_string()).await,
            Err(fault) => {
                let message = error::message(fault);
                let left = statements.len() - id - 1;
                match chunk_rows {
                    _ if left == 0 => Some(message),
                    None => Some("not executed".to_owned()),
                    Some(_) => {
                        answer.end_result(&[], Some(&message)).await?;
                        for _ in 1..left {
                            answer.begin_result(id);
                            answer.end_result(&[], Some("not executed")).await?;
                        }
                        answer.begin_result(id);
                        Some("not executed".to_owned())
                    }
                }
            }
        };
        let warning =
            (wanted.reads && outcome.is_ok()).then(|| statements::deprecation(context, statement, &scope)).flatten();
        let warnings: Vec<&str> = warning.iter().map(String::as_str).collect();
        answer.end_result(&warnings, error.as_deref()).await?;
        if outcome.is_err() || answer.is_full() {
            break;
        }
    }
    answer.end().await
}

/// What the URL says, or what is wrong with it.
struct OfUrl {
    text: Result<Option<String>, Fault>,
    database: Result<String, Fault>,
    policy: Result<Option<String>, Fault>,
    parameters: Result<Option<String>, Fault>,
    epoch: Result<Option<Epoch>, Fault>,
    chunked: Result<Option<String>, Fault>,
    chunk_size: Result<Option<String>, Fault>,
    is_async: Result<Option<String>, Fault>,
}

/// What a request asks for.
struct Asked {
    text: String,
    statements: Vec<Statement>,
    /// Memory of their regular expressions.
    patterns_bytes: usize,
    scope: Scope,
    epoch: Option<Epoch>,
    /// Rows of a document of a chunked reply.
    chunk_rows: Option<usize>,
    /// The client does not wait for the statements.
    is_async: bool,
}

impl OfUrl {
    /// With what a form says, which wins over the URL.
    fn with_form(self, form: &Form<'_>) -> Result<Asked, Fault> {
        let of_form = |name: &'static str| form.parameter(name);
        let text = match of_form("q")? {
            Some(text) => Some(text),
            None => self.text?,
        };
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Err(Fault::StatementMissing);
        };
        let database = match of_form("db")? {
            Some(name) => name,
            None => self.database?,
        };
        let policy = of_form("rp")?.or(self.policy?).unwrap_or_default();
        let parameters = match of_form("params")?.or(self.parameters?) {
            Some(text) => parameters::read(&text)?,
            None => Parameters::new(),
        };
        let epoch = of_form("epoch")?.and_then(|unit| Epoch::from_parameter(&unit)).or(self.epoch?);
        let read = influxql::parse_counted(text.trim(), &parameters);
        let (statements, patterns_bytes) = read.map_err(|error| Fault::unread_influxql(error, &text))?;
        // A number is a size of chunks too: the API of InfluxDB's cloud service has it so.
        let chunked = of_form("chunked")?.or(self.chunked?).unwrap_or_default();
        let size = of_form("chunk_size")?.or(self.chunk_size?).or_else(|| Some(chunked.clone()));
        let size = size.and_then(|size| size.parse().ok()).filter(|size| *size > 0);
        let is_chunked = chunked == "true" || chunked.parse().is_ok_and(|size: usize| size > 0);
        let chunk_rows = is_chunked.then(|| size.unwrap_or(CHUNK_ROWS));
        let is_async = of_form("async")?.or(self.is_async?).is_some_and(|value| value == "true");
        let scope = Scope { database, policy, is_long: text.len() > prepare::HERE_BYTES_MAX };
        Ok(Asked { text, statements, patterns_bytes, scope, epoch, chunk_rows, is_async })
    }
}

/// The type of a body that holds parameters. Bodies of other types are not looked at.
fn form_type<'h>(head: &Head<'h>) -> Option<&'h str> {
    let content_type = head.header("content-type").filter(|_| head.method == Method::Post)?;
    ["application/x-www-form-urlencoded", "multipart/form-data"]
        .into_iter()
        .any(|known| content_type.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known)))
        .then_some(content_type)
}
