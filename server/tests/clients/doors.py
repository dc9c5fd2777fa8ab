"""Clients of the doors beside InfluxDB's: each writes, and what a query gives is what it wrote."""

import base64
import json
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from helpers import TOKEN, expect, post, sql


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(found, wanted, seconds=30):
    """What `found` gives once it is `wanted`; the last of it when it never is."""
    end = time.monotonic() + seconds
    while (last := found()) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    expect(last, wanted)


def rows_of(url, text):
    """Rows of a table that may not be there yet."""
    try:
        return sql(url, text)
    except urllib.error.HTTPError as error:
        if error.code != 422:
            raise
        return []


def needed(binary):
    path = shutil.which(binary) or shutil.which(binary, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise ModuleNotFoundError(binary)
    return path


def telnet_address():
    """Where commands are taken line by line: the server's, as `run` passes it on."""
    address = os.environ.get("TIDEWIRE_TELNET")
    if not address:
        raise ModuleNotFoundError("a server with opentsdb.telnet_listen, named by TIDEWIRE_TELNET")
    host, port = address.rsplit(":", 1)
    return host, int(port)


def potsdb_telnet(url):
    """potsdb, which puts line by line."""
    import potsdb

    host, port = telnet_address()
    metric = "potsdb." + TOKEN
    client = potsdb.Client(host, port=port, host_tag="here")
    for at in range(500):
        client.send(metric, at / 2, part=f"p{at % 5}", timestamp=1_700_000_000 + at)
    client.wait()
    wanted = [f"500,{sum(range(500)) / 2},5,here"]
    wait_for(lambda: rows_of(url, f'SELECT count(*), sum(value), count(DISTINCT part), min(host) FROM "{metric}"'), wanted)
    expect(sql(url, f"SELECT value, part FROM \"{metric}\" WHERE time = '2023-11-14T22:13:27'"), ["3.5,p2"])


def opentsdb_py(url):
    """opentsdb-py by both of its ways: HTTP with gzip, and telnet."""
    from opentsdb import TSDBClient, TSDBConnectProtocols

    address = urllib.parse.urlsplit(url)
    host, port = telnet_address()
    ways = [(TSDBConnectProtocols.HTTP, address.hostname, address.port), (TSDBConnectProtocols.TELNET, host, port)]
    for way, to, at_port in ways:
        metric = f"py.{way.lower()}.{TOKEN}"
        client = TSDBClient(to, port=at_port, protocol=way, host_tag=False)
        if not client.is_alive():
            raise AssertionError("it is not there")
        for at in range(200):
            client.send(metric, at + 0.25, part=f"p{at % 4}", timestamp=1_700_000_000 + at)
        client.close()
        client.wait()
        wanted = [f"200,{sum(range(200)) + 50.0},4"]
        wait_for(lambda: rows_of(url, f'SELECT count(*), sum(value), count(DISTINCT part) FROM "{metric}"'), wanted)
        if way == TSDBConnectProtocols.HTTP:
            expect((client.statuses["success"], client.statuses["failed"]), (200, 0))


PINO = """
const pino = require('pino');
const [host, endpoint] = process.argv.slice(1);
const transport = pino.transport({
  target: require.resolve('pino-loki'),
  options: { host, endpoint, labels: { app: 'pino' }, batching: { interval: 1 } },
});
const logger = pino(transport);
for (let at = 0; at < 50; at++) { (at % 2 ? logger.warn : logger.info).call(logger, { at }, `line ${at}`); }
setTimeout(() => transport.end(), 2500);
"""


def pino_loki(url):
    """pino with its transport to Loki."""
    node = needed("node")
    if subprocess.run([node, "-e", "require('pino-loki')"], capture_output=True).returncode:
        raise ModuleNotFoundError("node with the packages pino and pino-loki")
    table = "pino_" + TOKEN
    command = [node, "-e", PINO, url, f"/loki/api/v1/push?table={table}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    expect((done.returncode, done.stderr), (0, ""))
    wait_for(lambda: rows_of(url, f"SELECT count(*), count(DISTINCT msg), min(app) FROM {table}"), ["50,50,pino"])
    levels = sql(url, f"SELECT level, count(*) FROM {table} GROUP BY level ORDER BY level")
    expect(levels, ["info,25", "warning,25"])
    found = sorted(json.loads(row[1:-1].replace('""', '"'))["at"] for row in sql(url, f"SELECT msg FROM {table}"))
    expect(found, list(range(50)))


RSYSLOG = """
module(load="imfile")
module(load="omelasticsearch")
global(workDirectory="{folder}")
template(name="document" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timegenerated" dateFormat="rfc3339" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
  property(outname="tag" name="syslogtag" format="jsonf")
}}
input(type="imfile" File="{folder}/in.log" Tag="seen")
action(type="omelasticsearch" server="{server}" serverport="{port}" template="document"
       searchIndex="{table}" searchType="" bulkmode="on" writeoperation="create" bulkid="one" errorFile="{folder}/errors.json"
       queue.type="linkedList" queue.dequeueBatchSize="300" queue.minDequeueBatchSize="300"
       queue.minDequeueBatchSize.timeout="5000")
"""


def rsyslog_elasticsearch(url):
    """rsyslog with its output to Elasticsearch, in one request: lines of one microsecond in two of them are one row."""
    binary, table = needed("rsyslogd"), "rsyslog_" + TOKEN
    address = urllib.parse.urlsplit(url)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "in.log"), "w") as file:
            file.write("".join(f'line {at} with "quotes" and \\\\\n' for at in range(300)))
        conf = os.path.join(folder, "rsyslog.conf")
        with open(conf, "w") as file:
            server = f"http://{address.hostname}:{address.port}/api/v1/es"
            file.write(RSYSLOG.format(folder=folder, server=server, port=address.port, table=table))
        command = [binary, "-n", "-f", conf, "-i", os.path.join(folder, "pid")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_for(lambda: rows_of(url, f"SELECT count(*), count(DISTINCT text), min(tag) FROM {table}"), ["300,300,seen"])
        except AssertionError as error:
            process.terminate()
            errors = os.path.join(folder, "errors.json")
            told = open(errors).read()[:2000] if os.path.exists(errors) else ""
            raise AssertionError(f"{error}: {process.communicate()[0]}{told}") from None
        finally:
            process.terminate()
            process.wait()
    text = 'line 7 with "quotes" and \\\\'
    expect(sql(url, f"SELECT count(*) FROM {table} WHERE text = '{text}'"), ["1"])


COLLECTD = """
BaseDir "{folder}"
PIDFile "{folder}/pid"
Hostname "here"
Interval 1
LoadPlugin load
LoadPlugin cpu
LoadPlugin write_http
LoadPlugin write_tsdb
LoadPlugin csv
<Plugin csv>
  DataDir "{folder}/csv"
</Plugin>
<Plugin write_http>
  <Node "tidewire">
    URL "{url}/api/v1/ndjson?table={table}&tag_columns=host,plugin,plugin_instance,type,type_instance"
    Format "JSON"
    BufferSize 4096
  </Node>
</Plugin>
<Plugin write_tsdb>
  <Node>
    Host "{host}"
    Port "{port}"
    HostTags "run={token}"
  </Node>
</Plugin>
"""


def collectd(url):
    """collectd with its outputs to HTTP and to OpenTSDB; what its own files have is what is here."""
    binary, (host, port), table = needed("collectd"), telnet_address(), "collectd_" + TOKEN
    with tempfile.TemporaryDirectory() as folder:
        conf = os.path.join(folder, "collectd.conf")
        with open(conf, "w") as file:
            file.write(COLLECTD.format(folder=folder, url=url, table=table, host=host, port=port, token=TOKEN))
        process = subprocess.Popen([binary, "-f", "-C", conf], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(6)
        process.terminate()
        told = process.communicate(timeout=30)[0]
        # Each line is `epoch,short,mid,long`.
        lines = []
        loads = os.path.join(folder, "csv", "here", "load")
        for name in sorted(os.listdir(loads)):
            with open(os.path.join(loads, name)) as file:
                lines += [line.split(",") for line in file.read().split("\n")[1:] if line]
    if len(lines) < 3:
        raise AssertionError(f"{len(lines)} lines: {told}")
    wanted = [[float(value) for value in line[1:]] for line in lines]
    # Its own files have six decimals.
    shown = lambda row: [round(float(value), 6) for value in row.split(",")]
    query = f"SELECT \"values.0\", \"values.1\", \"values.2\" FROM {table} WHERE plugin = 'load' ORDER BY time"
    wait_for(lambda: [shown(row) for row in rows_of(url, query)], wanted)
    seconds = [float(line[0]) for line in lines]
    times = [float(row) / 1e9 for row in sql(url, f"SELECT CAST(time AS BIGINT) FROM {table} WHERE plugin = 'load' ORDER BY time")]
    if any(abs(found - second) > 0.001 for found, second in zip(times, seconds)):
        raise AssertionError(f"{times} are not {seconds}")
    # By its other output a value is a metric of its own, at whole seconds.
    for place, name in enumerate(["shortterm", "midterm", "longterm"]):
        query = f"SELECT value FROM \"load.load.{name}\" WHERE run = '{TOKEN}' ORDER BY time"
        wait_for(lambda: [round(float(row), 6) for row in rows_of(url, query)], [line[place] for line in wanted])


def scraping(url, name, port, sides):
    """The configuration of a scraper of itself."""
    return (
        "global: { scrape_interval: 1s }\nscrape_configs:\n"
        f"  - {{ job_name: {name}_{TOKEN}, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n"
        + "".join(f"{side}\n" for side in sides)
    )


def refused_samples(url):
    with urllib.request.urlopen(url + "/metrics") as reply:
        lines = reply.read().decode().splitlines()
    kept = [line for line in lines if line.startswith("tidewire_door_rows_refused_total{") and '"prometheus"' in line]
    return sum(float(line.split()[-1]) for line in kept)


class Prometheus:
    """A prometheus that runs."""

    def __init__(self, config):
        self.folder, self.port = tempfile.TemporaryDirectory(), free_port()
        path = os.path.join(self.folder.name, "config.yml")
        with open(path, "w") as file:
            file.write(config(self.port))
        command = [needed("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={self.folder.name}/data",
                   f"--web.listen-address=127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, cwd=self.folder.name, stderr=subprocess.PIPE, text=True)

    def ask(self, query, at):
        """The series of an instant query: by their labels, their samples."""
        form = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}"})
        end = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{form}") as reply:
                    found = json.load(reply)["data"]["result"]
                return {json.dumps(series["metric"], sort_keys=True): series["values"] for series in found}
            except (urllib.error.URLError, ConnectionError) as error:
                if isinstance(error, urllib.error.HTTPError) and error.code != 503:
                    raise AssertionError(error.read().decode()) from None
                if time.monotonic() > end:
                    raise
                time.sleep(0.3)

    def end(self):
        self.process.terminate()
        log = self.process.communicate(timeout=60)[1]
        self.folder.cleanup()
        return log


def prometheus(url):
    """Debian's prometheus: it scrapes itself and writes here; another that knows nothing reads the same back from here."""
    needed("prometheus")
    refused = refused_samples(url)
    write = f"remote_write: [{{ url: '{url}/api/v1/prom/write' }}]"
    read = f"remote_read: [{{ url: '{url}/api/v1/prom/read', read_recent: true }}]"
    writer = Prometheus(lambda port: scraping(url, "prometheus", port, [write]))
    try:
        job = f'job="prometheus_{TOKEN}"'
        wait_for(lambda: [len(values) > 4 for values in writer.ask(f"up{{{job}}}[1h]", time.time()).values()], [True], 60)
        at = time.time() - 1
        queries = [f"{{{job}}}[1h]", f'up{{{job},instance!=""}}[1h]', f'{{__name__=~"go_memstats_.+",{job},none=""}}[1h]',
                   f'prometheus_http_requests_total{{{job},code!~"5..",handler=~"/api/.*|/metrics"}}[1h]']
        wanted = [writer.ask(query, at) for query in queries]
    finally:
        writer.end()
    counts = [sum(map(len, series.values())) for series in wanted]
    if counts[0] < 1000 or not all(counts[1:3]):
        raise AssertionError(f"too few samples: {counts}")
    reader = Prometheus(lambda _: "global: {}\n" + read + "\n")
    try:
        for query, series in zip(queries, wanted):
            found = reader.ask(query, at)
            if found != series:
                lost = [labels for labels, values in series.items() if found.get(labels) != values][:3]
                detail = [(labels, series[labels][-3:], found.get(labels, [])[-3:]) for labels in lost]
                raise AssertionError(f"{query}: {len(found)} series, wanted {len(series)}: {detail}")
    finally:
        reader.end()
    found = sql(url, f"SELECT count(*) > 3, min(value) FROM up WHERE job = 'prometheus_{TOKEN}'")
    expect((found, refused_samples(url) - refused), (["true,1.0"], 0.0))


def vmagent(url):
    """vmagent of Debian's victoria-metrics."""
    binary, refused, port = needed("vmagent"), refused_samples(url), free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.yml")
        with open(path, "w") as file:
            file.write(scraping(url, "vmagent", port, []))
        command = [binary, f"-promscrape.config={path}", f"-remoteWrite.url={url}/api/v1/prom/write",
                   f"-remoteWrite.tmpDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}"]
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        count = f"SELECT count(*) > 3, min(value) FROM up WHERE job = 'vmagent_{TOKEN}'"
        try:
            wait_for(lambda: rows_of(url, count), ["true,1.0"])
        finally:
            process.terminate()
            process.wait()
    expect(refused_samples(url) - refused, 0.0)


def elasticsearch_bulk(url):
    """The bulk helper of the Elasticsearch client: indexes by action, ids, and a document that is refused."""
    from elasticsearch import Elasticsearch, helpers

    client = Elasticsearch(url + "/api/v1/es")
    client.info()
    table = "es_" + TOKEN
    documents = [
        {"_index": table, "_id": str(at), "@timestamp": 1_700_000_000_000 + at, "n": at, "o": {"text": f"t{at}"}}
        for at in range(1500)
    ]
    taken, refused = helpers.bulk(client, documents, refresh=True)
    expect((taken, refused), (1500, []))
    expect(sql(url, f'SELECT count(*), sum(n), count(DISTINCT "o.text") FROM {table}'), [f"1500,{sum(range(1500))}.0,1500"])
    documents = [{"_index": table, "n": 1}, {"_index": table, "n": "text"}]
    taken, refused = helpers.bulk(client, documents, raise_on_error=False)
    expect((taken, len(refused), refused[0]["index"]["status"]), (1, 1, 400))


def otlp_traces(url):
    """Seed 002's program, with another table and spans that end."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    table = "spans_" + TOKEN
    provider = TracerProvider(resource=Resource(attributes={SERVICE_NAME: "test_service"}))
    credentials = base64.b64encode(b"root:").decode()
    headers = {"Authorization": f"Basic {credentials}", "tenant": "cnosdb", "db": "public", "table": table}
    exporter = OTLPSpanExporter(endpoint=url + "/api/v1/traces", headers=headers)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    for at in range(10):
        tracer = trace.get_tracer(f"test_trace_{at}")
        with tracer.start_as_current_span(f"trace_{at}_parent_span"):
            with tracer.start_as_current_span("child_span_1"):
                with tracer.start_as_current_span("child_span_2") as span:
                    span.add_event("event", {"a": 1})
                    # As in the document: a manager that is not entered makes no span.
                    tracer.start_as_current_span("child_span_3")
    provider.shutdown()
    service, name = "ResourceSpans/Resource/attributes/service.name", "ResourceSpans/ScopeSpans/Span/name"
    event = "ResourceSpans/ScopeSpans/Span/Event_0/name"
    expect(sql(url, f'SELECT count(*), count(DISTINCT "{name}"), min("{service}") FROM {table}'), ["30,12,test_service"])
    expect(sql(url, f"SELECT count(*) FROM {table} WHERE \"{event}\" = 'event'"), ["10"])


def otlp_metrics_and_logs(url):
    """The metric and log exporters of OpenTelemetry."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=url + "/v1/metrics"))])
    meter = meters.get_meter("client")
    meter.create_counter(f"counter_{TOKEN}").add(3, {"k": "v"})
    meter.create_histogram(f"histogram_{TOKEN}").record(7.5)
    meters.shutdown()
    expect(sql(url, f"SELECT value, k FROM counter_{TOKEN}"), ["3.0,v"])
    expect(sql(url, f"SELECT count, sum, \"le_10\" FROM histogram_{TOKEN}"), ["1.0,7.5,1.0"])
    loggers = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=url + "/v1/logs", headers={"table": f"logs_{TOKEN}"})
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = logging.getLogger("otlp")
    logger.addHandler(LoggingHandler(logger_provider=loggers))
    logger.propagate = False
    for at in range(10):
        logger.warning("record %s", at)
    loggers.shutdown()
    expect(sql(url, f"SELECT count(DISTINCT body), min(severity_text) FROM logs_{TOKEN}"), ["10,WARN"])


def loki_handler(url):
    """The handler of python-logging-loki."""
    import logging_loki

    handler = logging_loki.LokiHandler(url=url + f"/loki/api/v1/push?table=loki_{TOKEN}", tags={"app": "a"}, version="1")
    logger = logging.getLogger("client")
    logger.addHandler(handler)
    for at in range(20):
        logger.error("line %s", at)
    expect(sql(url, f"SELECT count(DISTINCT msg), min(app), min(severity) FROM loki_{TOKEN}"), ["20,a,error"])


def opentsdb_put(url):
    """What OpenTSDB's clients send, as curl would: points as JSON and as text."""
    points = ",".join(
        f'{{"metric":"tsdb_{TOKEN}","timestamp":{1_700_000_000 + at},"value":{at},"tags":{{"h":"a"}}}}' for at in range(50)
    )
    expect(post(url, "/api/put?summary", f"[{points}]"), (200, '{"failed":0,"success":50}'))
    line = f"tsdb_{TOKEN} 1700000050 50.5 h=a\n"
    expect(post(url, "/api/v1/opentsdb/write", line)[0], 200)
    expect(sql(url, f"SELECT count(*), max(value) FROM tsdb_{TOKEN}"), ["51,50.5"])


CLIENTS = [elasticsearch_bulk, otlp_traces, otlp_metrics_and_logs, loki_handler, pino_loki, opentsdb_put, potsdb_telnet,
           opentsdb_py, rsyslog_elasticsearch, collectd, prometheus, vmagent]
