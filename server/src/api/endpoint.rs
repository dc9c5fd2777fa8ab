//! What an endpoint is: one row of the [table](super::table), column by column.

use tidewire_protocol::http::Method;

use tidewire_base::config;

/// An endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Its path. A segment `{name}` stands for any segment that is not empty.
    pub pattern: &'static str,
    /// Its methods, in the order in which `Allow` lists them. OPTIONS is there where the family answers browsers that
    /// ask before they send.
    pub methods: &'static [Method],
    /// Whose words its replies speak.
    pub family: Family,
    /// What a request must be allowed to do.
    pub privilege: Privilege,
    /// Where a request names the database that it is about.
    pub database: DatabaseParameter,
    /// How long its body may be.
    pub body: BodyLimit,
    /// Who answers.
    pub handler: Handler,
}

/// An API whose clients know its shapes and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// CnosDB's REST API.
    Cnos,
    /// InfluxDB's API of 1.x.
    Influx,
    /// OpenTSDB's, and CnosDB's paths for the same points.
    OpenTsdb,
    /// Elasticsearch's, and CnosDB's path for the same documents.
    Elastic,
    /// Loki's.
    Loki,
    /// Prometheus'.
    Prometheus,
    /// OpenTelemetry's.
    Otlp,
    /// Jaeger's, of queries.
    Jaeger,
    /// What operators and their tools ask.
    Operations,
}

impl Family {
    /// Whether requests of the family name a tenant; those of others are about the default one.
    pub fn has_tenants(self) -> bool {
        !matches!(self, Self::Influx | Self::Operations)
    }

    /// The family of the clients that ask for a path which is no endpoint. CnosDB's paths have a prefix of their own;
    /// any other path is as likely InfluxDB's as anybody's.
    pub fn of_unknown(path: &str) -> Self {
        if path.starts_with("/api/v1/") { Self::Cnos } else { Self::Influx }
    }
}

/// What a request must be allowed to do before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// To ask whether the server is there.
    Ping,
    /// To write into the database.
    Write,
    /// To read the database.
    Read,
    /// What each of its statements needs.
    Statements,
    /// To watch the server at work.
    Monitor,
}

/// Where a request names the database that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseParameter {
    /// Nowhere.
    None,
    /// In the parameter `db`; this one is meant where it is missing or empty.
    Default(&'static str),
    /// In the parameter `db`, which must be there.
    Required,
    /// In the parameter `db`, or in its statements.
    Optional,
    /// In the parameter `bucket`, as `database` or `database/policy`.
    Bucket,
    /// In the header `db`, or else in the parameter; this one is meant where both are missing or empty.
    Header(&'static str),
}

/// How long a request's body may be, as sent and as decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// Nobody reads it.
    Unread,
    /// As long as `http.body_bytes_max_write` says.
    Rows,
    /// As long as `http.body_bytes_max_sql` says.
    Statements,
}

impl BodyLimit {
    /// The bound in bytes.
    pub fn bytes_max(self, http: &config::Http) -> u64 {
        match self {
            Self::Unread => 0,
            Self::Rows => http.body_bytes_max_write,
            Self::Statements => http.body_bytes_max_sql,
        }
    }
}

/// Who answers the requests of an endpoint: the names that the [router](super::router) joins with functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// [`cnos::write`](super::cnos::write)
    CnosWrite,
    /// [`cnos::sql`](super::cnos::sql)
    CnosSql,
    /// [`cnos::ping`](super::cnos::ping)
    CnosPing,
    /// [`influx::write`](super::influx::write)
    InfluxWrite,
    /// [`influx::write_bucket`](super::influx::write_bucket)
    InfluxWriteBucket,
    /// [`influx::query`](super::influx::query)
    InfluxQuery,
    /// [`influx::ping`](super::influx::ping)
    InfluxPing,
    /// [`influx::vars`](super::influx::vars)
    InfluxVars,
    /// [`influx::requests`](super::influx::requests)
    InfluxRequests,
    /// [`influx::pprof::index`](super::influx::pprof::index)
    InfluxProfiles,
    /// [`influx::pprof::profile`](super::influx::pprof::profile)
    InfluxProfile,
    /// [`opentsdb::write`](super::opentsdb::write)
    OpenTsdbWrite,
    /// [`opentsdb::put`](super::opentsdb::put), in the manner of CnosDB
    OpenTsdbPutCnos,
    /// [`opentsdb::put`](super::opentsdb::put), in the manner of OpenTSDB
    OpenTsdbPut,
    /// [`opentsdb::version`](super::opentsdb::version)
    OpenTsdbVersion,
    /// [`elastic::bulk`](super::elastic::bulk)
    ElasticBulk,
    /// [`elastic::hello`](super::elastic::hello)
    ElasticHello,
    /// [`elastic::license`](super::elastic::license)
    ElasticLicense,
    /// [`elastic::nothing`](super::elastic::nothing)
    ElasticNothing,
    /// [`elastic::index`](super::elastic::index)
    ElasticIndex,
    /// [`elastic::ndjson`](super::elastic::ndjson)
    Ndjson,
    /// [`loki::push`](super::loki::push)
    LokiPush,
    /// [`prometheus::write`](super::prometheus::write)
    PrometheusWrite,
    /// [`prometheus::read`](super::prometheus::read)
    PrometheusRead,
    /// [`otlp::export`](super::otlp::export) of traces, in the manner of CnosDB
    OtlpTracesCnos,
    /// [`otlp::export`](super::otlp::export) of traces
    OtlpTraces,
    /// [`otlp::export`](super::otlp::export) of logs
    OtlpLogs,
    /// [`otlp::export`](super::otlp::export) of metrics
    OtlpMetrics,
    /// [`jaeger::services`](super::jaeger::services)
    JaegerServices,
    /// [`jaeger::operations_of`](super::jaeger::operations_of)
    JaegerOperationsOf,
    /// [`jaeger::operations`](super::jaeger::operations)
    JaegerOperations,
    /// [`jaeger::search`](super::jaeger::search)
    JaegerSearch,
    /// [`jaeger::trace`](super::jaeger::trace)
    JaegerTrace,
    /// [`operations::metrics`](super::operations::metrics)
    Metrics,
    /// [`operations::health`](super::operations::health)
    Health,
    /// [`operations::ready`](super::operations::ready)
    Ready,
}
