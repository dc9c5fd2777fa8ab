//! From a path to its handler.
//!
//! `cnos` holds CnosDB's routes, `influx` InfluxDB's with the statements in `influxql`, `metrics` what operators scrape;
//! `fault` decides status and body of every error. All routes are served on every listener. [`Router`] is one core's
//! handler.

mod cnos;
pub mod fault;
mod influx;
mod metrics;
pub mod reply;

use std::rc::Rc;
use std::time::Instant;

use tidewire_protocol::http::Method;

use crate::core::state::CoreState;
use crate::metrics::registry::{Counter, Histogram, Registry, Unit};
use crate::net::{Reply, Request, Service};
use fault::Failure;

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    CnosWrite,
    CnosSql,
    CnosPing,
    InfluxWrite,
    InfluxQuery,
    InfluxPing,
    Metrics,
}

/// Paths with their methods, as `Allow` lists them.
const ROUTES: [(&str, Route, &str); 7] = [
    ("/api/v1/write", Route::CnosWrite, "POST"),
    ("/api/v1/sql", Route::CnosSql, "POST"),
    ("/api/v1/ping", Route::CnosPing, "GET, HEAD"),
    ("/write", Route::InfluxWrite, "POST, OPTIONS"),
    ("/query", Route::InfluxQuery, "GET, POST, OPTIONS"),
    ("/ping", Route::InfluxPing, "GET, HEAD"),
    ("/metrics", Route::Metrics, "GET, HEAD"),
];

impl Route {
    fn is_influx(self) -> bool {
        matches!(self, Self::InfluxWrite | Self::InfluxQuery | Self::InfluxPing)
    }
}

/// Counters of one route.
struct RouteMetrics {
    latency: Rc<Histogram>,
    by_class: [Rc<Counter>; 5],
    overloaded: Rc<Counter>,
}

/// One core's handler of requests.
pub struct Router {
    core: Rc<CoreState>,
    metrics: Vec<RouteMetrics>,
    rows_written: Rc<Counter>,
    rows_read: Rc<Counter>,
}

impl Router {
    /// A handler that counts in `registry`.
    pub fn new(core: Rc<CoreState>, registry: &Registry) -> Self {
        let metrics = ROUTES
            .iter()
            .map(|(path, ..)| RouteMetrics {
                latency: registry.histogram(
                    "tidewire_request_duration_seconds",
                    "Time from a request's head to the end of its reply.",
                    &[("route", path)],
                    Unit::Nanoseconds,
                ),
                by_class: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| {
                    let labels = [("route", *path), ("status", class)];
                    registry.counter("tidewire_requests_total", "Requests answered, by class of status.", &labels)
                }),
                overloaded: registry.counter(
                    "tidewire_requests_overloaded_total",
                    "Requests answered with 429.",
                    &[("route", path)],
                ),
            })
            .collect();
        Self {
            core,
            metrics,
            rows_written: registry.counter("tidewire_rows_written_total", "Rows acknowledged.", &[]),
            rows_read: registry.counter("tidewire_rows_read_total", "Rows sent in replies.", &[]),
        }
    }
}

impl Service for Router {
    async fn call(&self, request: Request<'_>, reply: &mut Reply) {
        let started = Instant::now();
        let path = request.head.path;
        let Some(index) = ROUTES.iter().position(|(known, ..)| *known == path) else {
            not_found(path, reply);
            return;
        };
        let (_, route, allow) = ROUTES[index];
        let outcome = match (route, request.head.method) {
            (Route::CnosWrite, Method::Post) => cnos::write(self, request, reply).await,
            (Route::CnosSql, Method::Post) => cnos::sql(self, request, reply).await,
            (Route::CnosPing, Method::Get | Method::Head) => cnos::ping(reply),
            (Route::InfluxWrite, Method::Post) => influx::write(self, request, reply).await,
            (Route::InfluxQuery, Method::Get | Method::Post) => influx::query(self, request, reply).await,
            (Route::InfluxWrite | Route::InfluxQuery, Method::Options) => influx::options(&request, reply),
            (Route::InfluxPing, Method::Get | Method::Head) => influx::ping(&request, reply),
            (Route::Metrics, Method::Get | Method::Head) => metrics::send(&self.core, reply).await,
            _ => {
                method_not_allowed(route, allow, reply);
                Ok(())
            }
        };
        if let Err(failure) = outcome {
            self.send_failure(route, &failure, reply);
        }
        let metrics = &self.metrics[index];
        metrics.latency.record(started.elapsed().as_nanos() as u64);
        let status = reply.status();
        if let Some(counter) = metrics.by_class.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.increment();
        }
        if status == 429 {
            metrics.overloaded.increment();
        }
    }

    fn refuse(&self, path: &str, status: u16, reason: &str, reply: &mut Reply) {
        let influx = ROUTES.iter().any(|(known, route, _)| *known == path && route.is_influx());
        let failure = if influx { fault::influx(status, reason) } else { fault::cnos(status, "040005", reason) };
        let route = if influx { Route::InfluxWrite } else { Route::CnosWrite };
        self.send_failure(route, &failure, reply);
    }
}

fn not_found(path: &str, reply: &mut Reply) {
    // CnosDB answers nothing, InfluxDB Go's words; a path of neither is as likely a client of one as of the other.
    if path.starts_with("/api/v1/") {
        reply.send(404, |head| head, b"");
    } else {
        reply.send(
            404,
            |head| influx::version_headers(head).content_type("text/plain; charset=utf-8"),
            b"404 page not found\n",
        );
    }
}

fn method_not_allowed(route: Route, allow: &str, reply: &mut Reply) {
    if route.is_influx() {
        reply.send(
            405,
            |head| influx::version_headers(head).header("Allow", allow).content_type("text/plain; charset=utf-8"),
            b"Method Not Allowed\n",
        );
    } else {
        reply.send(405, |head| head.header("Allow", allow), b"");
    }
}

impl Router {
    fn send_failure(&self, route: Route, failure: &Failure, reply: &mut Reply) {
        if reply.is_begun() {
            return;
        }
        let retry_after = failure.retry.then(|| self.core.config.admission.retry_after_s.to_string());
        reply.send(
            failure.status,
            |mut head| {
                if route.is_influx() {
                    head = influx::version_headers(head)
                        .header("X-Influxdb-Error", &influx::error_header(&failure.influx_error));
                }
                if let Some(seconds) = &retry_after {
                    head = head.header("Retry-After", seconds);
                }
                head.content_type("application/json")
            },
            failure.body.as_bytes(),
        );
    }
}
