//! One core's handler of requests: from a path to a handler, and from a fault to a reply.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_protocol::http::{Method, Query};
use tidewire_sql::exec::ExecError;
use tidewire_storage::schema::Rights;

use super::context::RequestContext;
use super::counters::{EndpointCounters, RowCounters};
use super::endpoint::{BodyLimit, Family, Handler};
use super::fault::{Fault, FaultReply};
use super::guard;
use super::query_counters::QueryCounters;
use super::request_id::{RequestId, RequestIds};
use super::request_log::{Answered, RequestLog};
use super::routes::Routes;
use super::table::ENDPOINTS;
use super::{body_length, cnos, elastic, influx, jaeger, loki, opentsdb, operations, otlp, plain, prometheus};
use crate::auth::logins::Logins;
use crate::auth::principal::Principal;
use crate::core::peers::CATALOG_CORE;
use crate::core::state::CoreState;
use crate::metrics::registry::Registry;
use crate::net::{Goes, LineSession, Refusal, Reply, Request, Service};
use crate::ring::{Queue, name_task};
use crate::runtime::clock::now_ns;

/// The path of `OPTIONS *`, which no other method has: whether the server is there (RFC 9110 section 9.3.7).
const SERVER_ITSELF: &str = "*";

/// One core's handler of requests.
pub struct Router {
    core: Rc<CoreState>,
    logins: Logins,
    routes: Routes,
    /// As the endpoints stand in the table.
    counters: Vec<EndpointCounters>,
    rows: RowCounters,
    queries: QueryCounters,
    log: RequestLog,
    ids: RequestIds,
}

impl Router {
    /// A handler that counts in `registry`. On one core it also runs what databases want to be run.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn new(core: Rc<CoreState>, registry: &Registry) -> io::Result<Self> {
        let rows = RowCounters::new(registry);
        if core.number == CATALOG_CORE && core.config.auth.enabled && core.catalog().users.is_empty() {
            log::warn!("there is no user yet: the first client to create an administrator on /query is one");
        }
        if core.number == CATALOG_CORE {
            let work = influx::run_continuous(core.clone(), rows.written.clone());
            core.queues.spawn(Queue::Query, "continuous queries", work).detach();
            core.queues.spawn(Queue::Maintenance, "dropped tenants", cnos::run_purge(core.clone())).detach();
        }
        Ok(Self {
            log: RequestLog::new(&core.config.log, registry),
            logins: Logins::new(core.config.auth.jwt_secret.clone(), core.queues, registry)?,
            core,
            routes: Routes::new(&ENDPOINTS),
            counters: ENDPOINTS.iter().map(|endpoint| EndpointCounters::new(endpoint, registry)).collect(),
            rows,
            queries: QueryCounters::new(registry),
            ids: RequestIds::new(),
        })
    }

    /// Sends a fault in the words of a family, or in plain ones where nobody knows which API was asked. `id` is that of
    /// a request for an endpoint.
    fn send_fault(&self, family: Option<Family>, id: Option<&RequestId<'_>>, fault: &Fault, reply: &mut Reply) {
        let told = word(family, fault);
        let retry_after = told.is_for_now().then(|| self.core.config.admission.retry_after_s.to_string());
        reply.send(
            told.status,
            |mut head| {
                if family == Some(Family::Influx) {
                    head = influx::headers(head, id);
                }
                for (name, value) in &told.headers {
                    head = head.header(name, value);
                }
                if let Some(seconds) = &retry_after {
                    head = head.header("Retry-After", seconds);
                }
                match told.content_type {
                    Some(content_type) => head.content_type(content_type),
                    None => head,
                }
            },
            &told.body,
        );
    }
}

impl Service for Router {
    async fn call(&self, request: Request<'_>, reply: &mut Reply) {
        let started = Instant::now();
        let (head, peer) = (request.head, request.peer);
        let (method, path) = (head.method_text, head.path);
        let Some((index, segments)) = self.routes.find(path) else {
            let is_server = path == SERVER_ITSELF;
            if is_server {
                reply.send(200, |head| head, b"");
            } else {
                self.send_fault(Some(Family::of_unknown(path)), None, &Fault::PathUnknown, reply);
            }
            let (status, elapsed) = (reply.status(), started.elapsed());
            let reason = (!is_server).then_some(&Fault::PathUnknown as &dyn Display);
            self.log.note(&Answered { peer, method, path, status, elapsed, reason, context: None }, Instant::now());
            return;
        };
        name_task(ENDPOINTS[index].pattern);
        let now_ns = now_ns();
        let mut context = RequestContext {
            core: &self.core,
            rows: &self.rows,
            queries: &self.queries,
            endpoint: &ENDPOINTS[index],
            segments,
            head,
            query: Query::new(head.query),
            peer,
            principal: Principal::Guest,
            rights: Rights::None,
            tenant: None,
            is_admitted: false,
            id: self.ids.of(head, now_ns),
            now_ns,
            statement: self.log.wants_statements().then(RefCell::default),
            moved: Cell::new(0),
        };
        let Request { body, .. } = request;
        let outcome = answer(&mut context, &self.logins, Request { peer, head, body: &mut *body }, reply).await;
        if context.is_admitted {
            guard::count_use(&context, body.given(), reply.body_bytes());
        }
        if let Err(Fault::Write(error)) = &outcome {
            self.rows.count_refused(error);
        }
        let status = match &outcome {
            Ok(()) => reply.status(),
            Err(fault) if reply.is_begun() => {
                self.counters[index].broken_off();
                let has_left = matches!(fault, Fault::Query(ExecError::Cancelled));
                let level = if has_left { log::Level::Info } else { log::Level::Warn };
                log::log!(level, "the reply of {} broke off: {fault}", context.endpoint.pattern);
                // Not that of the head, which was sent when all was well.
                word(Some(context.endpoint.family), fault).status
            }
            Err(fault) => {
                self.send_fault(Some(context.endpoint.family), Some(&context.id), fault, reply);
                reply.status()
            }
        };
        let elapsed = started.elapsed();
        self.counters[index].count(status, elapsed);
        let reason = outcome.as_ref().err().map(|fault| fault as &dyn Display);
        let answered = Answered { peer, method, path, status, elapsed, reason, context: Some(&context) };
        self.log.note(&answered, started + elapsed);
    }

    async fn lines(&self, session: &mut LineSession, lines: &[u8], reply: &mut Vec<u8>) -> Goes {
        opentsdb::Telnet { core: &self.core, logins: &self.logins, rows: &self.rows }.lines(session, lines, reply).await
    }

    fn refuse(&self, refusal: Refusal<'_>, reply: &mut Reply) {
        let Refusal { peer, path, head, status, reason } = refusal;
        let fault = Fault::Refused { status, reason: reason.to_owned() };
        let id = match head {
            Some(head) => self.ids.of(head, now_ns()),
            None => self.ids.made(now_ns()),
        };
        let family = path.map(|path| match self.routes.find(path) {
            Some((index, _)) => ENDPOINTS[index].family,
            None => Family::of_unknown(path),
        });
        self.send_fault(family, Some(&id), &fault, reply);
        let (method, path) = (head.map_or("", |head| head.method_text), path.unwrap_or(""));
        let answered =
            Answered { peer, method, path, status, elapsed: Duration::ZERO, reason: Some(&fault), context: None };
        self.log.note(&answered, Instant::now());
    }
}

/// Lets the endpoint's handler answer those who may ask it.
async fn answer(
    context: &mut RequestContext<'_>,
    logins: &Logins,
    request: Request<'_>,
    reply: &mut Reply,
) -> Result<(), Fault> {
    let (endpoint, method) = (context.endpoint, request.head.method);
    if !endpoint.methods.contains(&method) {
        return Err(Fault::MethodUnknown { allowed: endpoint.methods });
    }
    if method == Method::Options {
        influx::options(context, reply);
        return Ok(());
    }
    let address = request.peer.map(|peer| peer.ip());
    context.principal = guard::principal(context.core, logins, endpoint, request.head, address).await?;
    guard::enter_tenant(context)?;
    guard::admit(context)?;
    guard::admit_use(context)?;
    context.is_admitted = true;
    let context = &*context;
    if endpoint.body == BodyLimit::Rows {
        body_length::require(request.head, reply)?;
    }
    // Only what writes lines has its place in the connection's task, which is as large as the largest of them: the
    // others take longer than a box costs.
    match endpoint.handler {
        Handler::CnosWrite => cnos::write(context, request, reply).await,
        Handler::CnosSql => Box::pin(cnos::sql(context, request, reply)).await,
        Handler::CnosPing => {
            cnos::ping(reply);
            Ok(())
        }
        Handler::InfluxWrite => influx::write(context, request, reply).await,
        Handler::InfluxWriteBucket => Box::pin(influx::write_bucket(context, request, reply)).await,
        Handler::InfluxQuery => Box::pin(influx::query(context, request, reply)).await,
        Handler::InfluxPing => influx::ping(context, reply),
        Handler::InfluxVars => {
            Box::pin(influx::vars(context, reply)).await;
            Ok(())
        }
        Handler::InfluxRequests => Box::pin(influx::requests(context, reply)).await,
        Handler::InfluxProfiles => {
            influx::pprof::index(context, reply);
            Ok(())
        }
        Handler::InfluxProfile => Box::pin(influx::pprof::profile(context, request, reply)).await,
        Handler::OpenTsdbWrite => Box::pin(opentsdb::write(context, request, reply)).await,
        Handler::OpenTsdbPutCnos => Box::pin(opentsdb::put(context, request, opentsdb::Manner::Cnos, reply)).await,
        Handler::OpenTsdbPut => Box::pin(opentsdb::put(context, request, opentsdb::Manner::OpenTsdb, reply)).await,
        Handler::OpenTsdbVersion => {
            opentsdb::version(reply);
            Ok(())
        }
        Handler::ElasticBulk => Box::pin(elastic::bulk(context, request, reply)).await,
        Handler::ElasticHello => {
            elastic::hello(reply);
            Ok(())
        }
        Handler::ElasticLicense => {
            elastic::license(reply);
            Ok(())
        }
        Handler::ElasticNothing => {
            elastic::nothing(reply);
            Ok(())
        }
        Handler::ElasticIndex => elastic::index(context, reply),
        Handler::Ndjson => Box::pin(elastic::ndjson(context, request, reply)).await,
        Handler::LokiPush => Box::pin(loki::push(context, request, reply)).await,
        Handler::OtlpTracesCnos => Box::pin(otlp::export(context, request, otlp::Signal::NamedTraces, reply)).await,
        Handler::OtlpTraces => Box::pin(otlp::export(context, request, otlp::Signal::Traces, reply)).await,
        Handler::OtlpLogs => Box::pin(otlp::export(context, request, otlp::Signal::Logs, reply)).await,
        Handler::OtlpMetrics => Box::pin(otlp::export(context, request, otlp::Signal::Metrics, reply)).await,
        Handler::PrometheusWrite => Box::pin(prometheus::write(context, request, reply)).await,
        Handler::PrometheusRead => Box::pin(prometheus::read(context, request, reply)).await,
        Handler::JaegerServices => Box::pin(jaeger::services(context, request, reply)).await,
        Handler::JaegerOperationsOf => Box::pin(jaeger::operations_of(context, request, reply)).await,
        Handler::JaegerOperations => Box::pin(jaeger::operations(context, request, reply)).await,
        Handler::JaegerSearch => Box::pin(jaeger::search(context, request, reply)).await,
        Handler::JaegerTrace => Box::pin(jaeger::trace(context, request, reply)).await,
        Handler::Metrics => {
            Box::pin(operations::metrics(context, reply)).await;
            Ok(())
        }
        Handler::Health => {
            Box::pin(operations::health(context, reply)).await;
            Ok(())
        }
        Handler::Ready => {
            Box::pin(operations::ready(context, reply)).await;
            Ok(())
        }
    }
}

/// A fault in the words of a family; in plain ones where that is not known.
fn word(family: Option<Family>, fault: &Fault) -> FaultReply {
    let Some(family) = family else { return plain::reply(fault) };
    match family {
        Family::Cnos => cnos::error::reply(fault),
        Family::Influx => influx::error::reply(fault),
        Family::OpenTsdb => opentsdb::error::reply(fault),
        Family::Elastic => elastic::error::reply(fault),
        Family::Loki | Family::Prometheus => plain::reply(fault),
        Family::Otlp => otlp::error::reply(fault),
        Family::Jaeger => jaeger::error::reply(fault),
        Family::Operations => operations::error::reply(fault),
    }
}
