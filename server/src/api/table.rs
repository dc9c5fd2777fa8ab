//! All endpoints of the server: the one list that routing, `Allow`, the labels of metrics and the tests of
//! docs/openapi.yaml and docs/api.md read. Every listener serves all of them.

use tidewire_protocol::http::Method::{Get, Head, Options, Post, Put};

use super::endpoint::{BodyLimit, DatabaseParameter, Endpoint, Family, Handler, Privilege};
use tidewire_base::catalog::initial::DEFAULT_DATABASE;

/// The endpoints.
pub static ENDPOINTS: [Endpoint; 52] = [
    Endpoint {
        pattern: "/api/v1/write",
        methods: &[Post],
        family: Family::Cnos,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::CnosWrite,
    },
    Endpoint {
        pattern: "/api/v1/sql",
        methods: &[Post],
        family: Family::Cnos,
        privilege: Privilege::Statements,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Statements,
        handler: Handler::CnosSql,
    },
    Endpoint {
        pattern: "/api/v1/ping",
        methods: &[Get, Head],
        family: Family::Cnos,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::CnosPing,
    },
    Endpoint {
        pattern: "/api/v1/opentsdb/write",
        methods: &[Post],
        family: Family::OpenTsdb,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OpenTsdbWrite,
    },
    Endpoint {
        pattern: "/api/v1/opentsdb/put",
        methods: &[Post],
        family: Family::OpenTsdb,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OpenTsdbPutCnos,
    },
    Endpoint {
        pattern: "/api/put",
        methods: &[Post],
        family: Family::OpenTsdb,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OpenTsdbPut,
    },
    Endpoint {
        pattern: "/api/version",
        methods: &[Get, Head],
        family: Family::OpenTsdb,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::OpenTsdbVersion,
    },
    Endpoint {
        pattern: "/api/v1/es/_bulk",
        methods: &[Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::ElasticBulk,
    },
    Endpoint {
        pattern: "/api/v1/es/{index}/_bulk",
        methods: &[Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::ElasticBulk,
    },
    Endpoint {
        pattern: "/api/v1/es",
        methods: &[Get, Head],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticHello,
    },
    Endpoint {
        pattern: "/api/v1/es/",
        methods: &[Get, Head],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticHello,
    },
    Endpoint {
        pattern: "/api/v1/es/_license",
        methods: &[Get, Head],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticLicense,
    },
    Endpoint {
        pattern: "/api/v1/es/_cluster/{kind}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_nodes/{kind}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_ilm/policy/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_index_template/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_template/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_ingest/{kind}/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_nodes",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_xpack",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_cat/{kind}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_ingest/{kind}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_data_stream/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_alias/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/_component_template/{name}",
        methods: &[Get, Head, Post, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticNothing,
    },
    Endpoint {
        pattern: "/api/v1/es/{index}",
        methods: &[Get, Head, Put],
        family: Family::Elastic,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::ElasticIndex,
    },
    Endpoint {
        pattern: "/api/v1/ndjson",
        methods: &[Post],
        family: Family::Elastic,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::Ndjson,
    },
    Endpoint {
        pattern: "/loki/api/v1/push",
        methods: &[Post],
        family: Family::Loki,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::LokiPush,
    },
    Endpoint {
        pattern: "/api/v1/prom/write",
        methods: &[Post],
        family: Family::Prometheus,
        privilege: Privilege::Write,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::PrometheusWrite,
    },
    Endpoint {
        pattern: "/api/v1/prom/read",
        methods: &[Post],
        family: Family::Prometheus,
        privilege: Privilege::Read,
        database: DatabaseParameter::Default(DEFAULT_DATABASE),
        body: BodyLimit::Statements,
        handler: Handler::PrometheusRead,
    },
    Endpoint {
        pattern: "/api/v1/traces",
        methods: &[Post],
        family: Family::Otlp,
        privilege: Privilege::Write,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OtlpTracesCnos,
    },
    Endpoint {
        pattern: "/v1/traces",
        methods: &[Post],
        family: Family::Otlp,
        privilege: Privilege::Write,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OtlpTraces,
    },
    Endpoint {
        pattern: "/v1/logs",
        methods: &[Post],
        family: Family::Otlp,
        privilege: Privilege::Write,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OtlpLogs,
    },
    Endpoint {
        pattern: "/v1/metrics",
        methods: &[Post],
        family: Family::Otlp,
        privilege: Privilege::Write,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Rows,
        handler: Handler::OtlpMetrics,
    },
    Endpoint {
        pattern: "/api/services",
        methods: &[Get, Head],
        family: Family::Jaeger,
        privilege: Privilege::Read,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Unread,
        handler: Handler::JaegerServices,
    },
    Endpoint {
        pattern: "/api/services/{service}/operations",
        methods: &[Get, Head],
        family: Family::Jaeger,
        privilege: Privilege::Read,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Unread,
        handler: Handler::JaegerOperationsOf,
    },
    Endpoint {
        pattern: "/api/operations",
        methods: &[Get, Head],
        family: Family::Jaeger,
        privilege: Privilege::Read,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Unread,
        handler: Handler::JaegerOperations,
    },
    Endpoint {
        pattern: "/api/traces",
        methods: &[Get, Head],
        family: Family::Jaeger,
        privilege: Privilege::Read,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Unread,
        handler: Handler::JaegerSearch,
    },
    Endpoint {
        pattern: "/api/traces/{id}",
        methods: &[Get, Head],
        family: Family::Jaeger,
        privilege: Privilege::Read,
        database: DatabaseParameter::Header(DEFAULT_DATABASE),
        body: BodyLimit::Unread,
        handler: Handler::JaegerTrace,
    },
    Endpoint {
        pattern: "/write",
        methods: &[Post, Options],
        family: Family::Influx,
        privilege: Privilege::Write,
        database: DatabaseParameter::Required,
        body: BodyLimit::Rows,
        handler: Handler::InfluxWrite,
    },
    Endpoint {
        pattern: "/api/v2/write",
        methods: &[Post, Options],
        family: Family::Influx,
        privilege: Privilege::Write,
        database: DatabaseParameter::Bucket,
        body: BodyLimit::Rows,
        handler: Handler::InfluxWriteBucket,
    },
    Endpoint {
        pattern: "/api/v2/ping",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxPing,
    },
    Endpoint {
        pattern: "/query",
        methods: &[Get, Post, Options],
        family: Family::Influx,
        privilege: Privilege::Statements,
        database: DatabaseParameter::Optional,
        body: BodyLimit::Statements,
        handler: Handler::InfluxQuery,
    },
    Endpoint {
        pattern: "/ping",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxPing,
    },
    Endpoint {
        pattern: "/debug/vars",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Monitor,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxVars,
    },
    Endpoint {
        pattern: "/debug/requests",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Monitor,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxRequests,
    },
    Endpoint {
        pattern: "/debug/pprof",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Monitor,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxProfiles,
    },
    Endpoint {
        pattern: "/debug/pprof/",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Monitor,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxProfiles,
    },
    Endpoint {
        pattern: "/debug/pprof/{profile}",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Monitor,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::InfluxProfile,
    },
    Endpoint {
        pattern: "/metrics",
        methods: &[Get, Head],
        family: Family::Operations,
        privilege: Privilege::Monitor,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::Metrics,
    },
    Endpoint {
        pattern: "/health",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::Health,
    },
    Endpoint {
        pattern: "/ready",
        methods: &[Get, Head],
        family: Family::Influx,
        privilege: Privilege::Ping,
        database: DatabaseParameter::None,
        body: BodyLimit::Unread,
        handler: Handler::Ready,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tidewire_protocol::http::Method;

    use super::*;

    fn document(name: &str) -> String {
        let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The methods of each path of an OpenAPI text: paths stand two columns in, below `paths:`, methods four.
    fn described(text: &str) -> BTreeMap<String, BTreeSet<String>> {
        const METHODS: [&str; 8] = ["get", "head", "post", "put", "delete", "options", "patch", "trace"];
        let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut path = None;
        let below = text.lines().skip_while(|line| *line != "paths:").skip(1);
        for line in below.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
            let Some((key, _)) = line.trim().split_once(':') else { continue };
            match line.len() - line.trim_start().len() {
                2 => path = Some(paths.entry(key.to_owned()).or_default()),
                4 if METHODS.contains(&key) => {
                    path.as_mut().expect("a path before its methods").insert(key.to_owned());
                }
                _ => {}
            }
        }
        paths
    }

    #[test]
    fn the_openapi_text_has_the_endpoints_and_no_others() {
        let table: BTreeMap<String, BTreeSet<String>> = ENDPOINTS
            .iter()
            .map(|endpoint| {
                let methods = endpoint.methods.iter().map(|method| method.token().to_lowercase());
                (endpoint.pattern.to_owned(), methods.collect())
            })
            .collect();
        assert_eq!(described(&document("openapi.yaml")), table);
    }

    #[test]
    fn the_openapi_text_is_read_as_it_is_written() {
        let text = "info:\n  /no:\n    get:\npaths:\n  /a:\n    get: &a\n      post: x\n    head: *a\n\n  # none\n  \
                    '/b/{c}':\n    summary: x\n    put:\ncomponents:\n  /no:\n    get:\n";
        let found = described(text);
        let methods = |path: &str| found[path].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["'/b/{c}'", "/a"]);
        assert_eq!((methods("/a"), methods("'/b/{c}'")), (vec!["get", "head"], vec!["put"]));
    }

    #[test]
    fn the_api_page_has_a_heading_for_each_endpoint() {
        let page = document("api.md");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("### ")).collect();
        for endpoint in &ENDPOINTS {
            let names = |heading: &&&str| heading.ends_with(&format!(" {}`", endpoint.pattern));
            let found: Vec<_> = headings.iter().filter(names).collect();
            let [heading] = found[..] else { panic!("{}: {found:?}", endpoint.pattern) };
            for method in endpoint.methods.iter().filter(|method| **method != Options) {
                assert!(heading.contains(method.token()), "{heading}: {method:?}");
            }
        }
        assert_eq!(headings.len(), ENDPOINTS.len());
    }

    #[test]
    fn columns_agree() {
        for endpoint in &ENDPOINTS {
            let pattern = endpoint.pattern;
            let methods = endpoint.methods;
            assert!(!methods.is_empty() && !methods.contains(&Method::Other), "{pattern}: {methods:?}");
            let is_once = |method: &Method| methods.iter().filter(|other| *other == method).count() == 1;
            assert!(methods.iter().all(is_once), "{pattern}: {methods:?}");
            assert!(!methods.contains(&Head) || methods.contains(&Get), "{pattern}: {methods:?}");
            // The router answers OPTIONS for one family.
            assert!(!methods.contains(&Options) || endpoint.family == Family::Influx, "{pattern}: {methods:?}");
            // Who writes, runs statements or reads rows says where, and but for reading by GET sends a body; who only
            // asks does neither.
            let has_rows = matches!(endpoint.privilege, Privilege::Write | Privilege::Read | Privilege::Statements);
            let reads_body = has_rows && (endpoint.privilege != Privilege::Read || methods.contains(&Post));
            assert_eq!(endpoint.body != BodyLimit::Unread, reads_body, "{pattern}");
            assert_eq!(endpoint.database != DatabaseParameter::None, has_rows, "{pattern}");
        }
    }
}
