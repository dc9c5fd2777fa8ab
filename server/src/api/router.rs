//! One core's handler of requests: from a path to a handler, and from a fault to a reply.

use std::rc::Rc;
use std::time::Instant;

use tidewire_protocol::http::{Head, Method, Query};
use tidewire_sql::exec::ExecError;

use super::context::{Principal, RequestContext};
use super::counters::{EndpointCounters, RowCounters};
use super::endpoint::{BodyLimit, Family, Handler};
use super::fault::{Fault, FaultReply};
use super::request_id::{RequestId, RequestIds};
use super::routes::Routes;
use super::table::ENDPOINTS;
use super::{body_length, cnos, elastic, influx, loki, opentsdb, operations, otlp, plain, prometheus};
use crate::core::peers::CATALOG_CORE;
use crate::core::state::CoreState;
use crate::metrics::registry::Registry;
use crate::net::{Reply, Request, Service};
use crate::ring::{Queue, name_task};
use crate::runtime::clock::now_ns;

/// One core's handler of requests.
pub struct Router {
    core: Rc<CoreState>,
    routes: Routes,
    /// As the endpoints stand in the table.
    counters: Vec<EndpointCounters>,
    rows: RowCounters,
    ids: RequestIds,
}

impl Router {
    /// A handler that counts in `registry`. On one core it also runs what databases want to be run.
    pub fn new(core: Rc<CoreState>, registry: &Registry) -> Self {
        let rows = RowCounters::new(registry);
        if core.number == CATALOG_CORE {
            let work = influx::run_continuous(core.clone(), rows.written.clone());
            core.queues.spawn(Queue::Query, "continuous queries", work).detach();
        }
        Self {
            core,
            routes: Routes::new(&ENDPOINTS),
            counters: ENDPOINTS.iter().map(|endpoint| EndpointCounters::new(endpoint, registry)).collect(),
            rows,
            ids: RequestIds::new(),
        }
    }

    /// Sends a fault. `id` is that of a request for an endpoint.
    fn send_fault(&self, family: Family, id: Option<&RequestId<'_>>, fault: &Fault, reply: &mut Reply) {
        let told = word(family, fault);
        let retry_after = told.is_for_now().then(|| self.core.config.admission.retry_after_s.to_string());
        reply.send(
            told.status,
            |mut head| {
                if family == Family::Influx {
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
        let head = request.head;
        let Some((index, segments)) = self.routes.find(head.path) else {
            self.send_fault(Family::of_unknown(head.path), None, &Fault::PathUnknown, reply);
            return;
        };
        name_task(ENDPOINTS[index].pattern);
        let now_ns = now_ns();
        let context = RequestContext {
            core: &self.core,
            rows: &self.rows,
            endpoint: &ENDPOINTS[index],
            segments,
            query: Query::new(head.query),
            principal: Principal::Anybody,
            id: self.ids.of(head, now_ns),
            now_ns,
        };
        let status = match answer(&context, request, reply).await {
            Ok(()) => reply.status(),
            Err(fault) if reply.is_begun() => {
                self.counters[index].broken_off();
                let has_left = matches!(fault, Fault::Query(ExecError::Cancelled));
                let level = if has_left { log::Level::Info } else { log::Level::Warn };
                log::log!(level, "the reply of {} broke off: {fault}", context.endpoint.pattern);
                // Not that of the head, which was sent when all was well.
                word(context.endpoint.family, &fault).status
            }
            Err(fault) => {
                self.send_fault(context.endpoint.family, Some(&context.id), &fault, reply);
                reply.status()
            }
        };
        self.counters[index].count(status, started.elapsed());
    }

    fn refuse(&self, head: Option<&Head<'_>>, status: u16, reason: &str, reply: &mut Reply) {
        let fault = Fault::Refused { status, reason: reason.to_owned() };
        let found = head.and_then(|head| Some((head, self.routes.find(head.path)?.0)));
        match found {
            Some((head, index)) => {
                self.send_fault(ENDPOINTS[index].family, Some(&self.ids.of(head, now_ns())), &fault, reply);
            }
            None => self.send_fault(Family::Cnos, None, &fault, reply),
        }
    }
}

/// Lets the endpoint's handler answer.
async fn answer(context: &RequestContext<'_>, request: Request<'_>, reply: &mut Reply) -> Result<(), Fault> {
    let (endpoint, method) = (context.endpoint, request.head.method);
    if !endpoint.methods.contains(&method) {
        return Err(Fault::MethodUnknown { allowed: endpoint.methods });
    }
    if method == Method::Options {
        influx::options(context, reply);
        return Ok(());
    }
    if endpoint.body == BodyLimit::Rows {
        body_length::require(request.head, reply)?;
    }
    match endpoint.handler {
        Handler::CnosWrite => cnos::write(context, request, reply).await,
        Handler::CnosSql => cnos::sql(context, request, reply).await,
        Handler::CnosPing => {
            cnos::ping(reply);
            Ok(())
        }
        Handler::InfluxWrite => influx::write(context, request, reply).await,
        Handler::InfluxWriteBucket => influx::write_bucket(context, request, reply).await,
        Handler::InfluxQuery => influx::query(context, request, reply).await,
        Handler::InfluxPing => influx::ping(context, reply),
        Handler::OpenTsdbWrite => opentsdb::write(context, request, reply).await,
        Handler::OpenTsdbPutCnos => opentsdb::put(context, request, opentsdb::Manner::Cnos, reply).await,
        Handler::OpenTsdbPut => opentsdb::put(context, request, opentsdb::Manner::OpenTsdb, reply).await,
        Handler::ElasticBulk => elastic::bulk(context, request, reply).await,
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
        Handler::Ndjson => elastic::ndjson(context, request, reply).await,
        Handler::LokiPush => loki::push(context, request, reply).await,
        Handler::OtlpTracesCnos => otlp::export(context, request, otlp::Signal::NamedTraces, reply).await,
        Handler::OtlpTraces => otlp::export(context, request, otlp::Signal::Traces, reply).await,
        Handler::OtlpLogs => otlp::export(context, request, otlp::Signal::Logs, reply).await,
        Handler::OtlpMetrics => otlp::export(context, request, otlp::Signal::Metrics, reply).await,
        Handler::PrometheusWrite => prometheus::write(context, request, reply).await,
        Handler::Metrics => {
            operations::metrics(context, reply).await;
            Ok(())
        }
    }
}

/// A fault in the words of a family.
fn word(family: Family, fault: &Fault) -> FaultReply {
    match family {
        Family::Cnos => cnos::error::reply(fault),
        Family::Influx => influx::error::reply(fault),
        Family::OpenTsdb => opentsdb::error::reply(fault),
        Family::Elastic => elastic::error::reply(fault),
        Family::Loki | Family::Prometheus => plain::reply(fault),
        Family::Otlp => otlp::error::reply(fault),
        Family::Operations => operations::error::reply(fault),
    }
}
