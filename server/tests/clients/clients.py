#!/usr/bin/env python3
"""Real clients against a running server: what each writes is what a query gives.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python clients.py http://127.0.0.1:8902 [client ...]

It writes into the database `public` of a server that is there to be written to, and into databases of its own. A client
that is not installed (those of PyPI are in requirements.txt; prometheus, vmagent, vmctl, influx, node, rsyslogd and
collectd are binaries in the path, and node finds the packages influx, pino and pino-loki by NODE_PATH) is passed over, and
the output says so; the exit status counts those that fail. With --all those that are passed over count, too.
TIDEWIRE_TELNET is the address of the server's opentsdb.telnet_listen, for those that put line by line.
"""

import gzip
import http.server
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import doors
from helpers import TOKEN, expect, post, sql


def in_terminal(command, typed=()):
    """What a program that wants a terminal shows in one while lines are typed, each when it waits for one; and its status."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "dumb"})
    os.close(slave)
    shown, waiting, end = b"", list(typed), time.monotonic() + 120
    while time.monotonic() < end:
        try:
            part = os.read(master, 1 << 16) if select.select([master], [], [], 1)[0] else None
        except OSError:  # the program has ended
            break
        shown += part or b""
        if waiting and shown.rstrip(b"\x00").endswith(b"> "):
            os.write(master, waiting.pop(0).encode() + b"\n")
            shown += b"\n"
    status = process.wait(timeout=10)
    os.close(master)
    return shown.decode().replace("\r", ""), status


def influxdb_client_1(url):
    """The Python client of InfluxDB 1.x: MessagePack replies, bound parameters, policies, continuous queries."""
    from urllib.parse import urlsplit

    from influxdb import InfluxDBClient

    address = urlsplit(url)
    database = "v1_" + TOKEN
    client = InfluxDBClient(address.hostname, address.port, database=database)
    client.ping()
    client.create_database(database)
    points = [
        {"measurement": "cpu", "tags": {"host": host}, "time": at * 10**9, "fields": {"v": float(at), "n": at, "s": "x,y"}}
        for host in ("a", "b c")
        for at in range(100)
    ]
    client.write_points(points, batch_size=70)
    rows = list(client.query("SELECT * FROM cpu", epoch="s").get_points())
    expect((len(rows), rows[-1]), (200, {"time": 99, "host": "b c", "n": 99, "s": "x,y", "v": 99.0}))
    found = client.query("SELECT v FROM cpu LIMIT 1")
    expect(list(found.get_points()), [{"time": "1970-01-01T00:00:00Z", "v": 0.0}])
    found = client.query("SELECT max(v) FROM cpu WHERE host = $h", bind_params={"h": "b c"}, epoch="s")
    expect(list(found.get_points()), [{"time": 99, "max": 99.0}])
    grouped = client.query("SELECT count(n) FROM cpu GROUP BY host")
    expect(sorted(tags["host"] for (_, tags), _ in grouped.items()), ["a", "b c"])
    expect(client.get_list_measurements(), [{"name": "cpu"}])
    expect(len(client.get_list_series()), 2)
    client.create_retention_policy("short", "2h", 1, database)
    expect([policy["name"] for policy in client.get_list_retention_policies()], ["autogen", "short"])
    client.create_continuous_query("cq", "SELECT mean(v) INTO cpu_mean FROM cpu GROUP BY time(1m)", database)
    expect(len([found for found in client.get_list_continuous_queries() if found.get(database)]), 1)
    client.drop_continuous_query("cq", database)
    client.delete_series(tags={"host": "a"})
    expect(len(client.get_list_series()), 1)
    client.drop_database(database)


def influxdb_client_2(url):
    """The Python client of InfluxDB 2, which writes."""
    from influxdb_client import InfluxDBClient, Point
    from influxdb_client.client.write_api import SYNCHRONOUS
    from influxdb_client.rest import ApiException

    database = "v2_" + TOKEN
    post(url, "/query?q=CREATE+DATABASE+" + database, "")
    with InfluxDBClient(url=url, token="user:password", org="-") as client:
        if not client.ping():
            raise AssertionError("no ping")
        writer = client.write_api(write_options=SYNCHRONOUS)
        writer.write(database + "/autogen", "-", [Point("m").tag("t", "x").field("v", at).time(at) for at in range(500)])
        try:
            writer.write("no_" + TOKEN, "-", "m v=1")
            raise AssertionError("a bucket that is not there")
        except ApiException as error:
            expect(error.status, 404)
    expect(sql(url, "SELECT count(v), sum(v) FROM m", database), [f"500,{sum(range(500))}"])


def influx_shell(url):
    """Debian's `influx`: statements, formats, and an import."""
    from urllib.parse import urlsplit

    shell = shutil.which("influx")
    if shell is None:
        raise ModuleNotFoundError("influx")
    address, database = urlsplit(url), "shell_" + TOKEN

    def run(*arguments):
        command = [shell, "-host", address.hostname, "-port", str(address.port), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"# DDL\nCREATE DATABASE {database}\n# DML\n# CONTEXT-DATABASE: {database}\n")
        file.write("".join(f"m,t=x v={at}i {at}\n" for at in range(1, 2001)))
        file.flush()
        run("-import", "-path", file.name, "-precision", "s")
    found = run("-database", database, "-precision", "s", "-format", "csv", "-execute", "SELECT sum(v), count(v) FROM m")
    expect(found, f"name,time,sum,count\nm,0,{sum(range(2001))},2000\n")
    found = run("-database", database, "-format", "column", "-execute", "SHOW TAG VALUES WITH KEY = t")
    expect(found.split(), ["name:", "m", "key", "value", "---", "-----", "t", "x"])


    # Interactive: what a person types, and the shell's own commands.
    typed = [f"use {database}", "precision s", "format csv", "insert m,t=y v=7i 5000", "select last(v) from m",
             "show databases", "exit"]
    session, status = in_terminal([shell, "-host", address.hostname, "-port", str(address.port)], typed)
    expect(status, 0)
    for line in ["m,5000,7", f"databases,{database}"]:
        if line not in session.splitlines():
            raise AssertionError(f"no {line!r} in {session!r}")


NODE = """
const { InfluxDB, FieldType } = require('influx');
const [host, port, database] = process.argv.slice(1);
(async () => {
  const schema = [{ measurement: 'm', fields: { v: FieldType.FLOAT, n: FieldType.INTEGER, s: FieldType.STRING, b: FieldType.BOOLEAN }, tags: ['t'] }];
  const influx = new InfluxDB({ host, port: Number(port), database, schema });
  const pings = await influx.ping(5000);
  await influx.createDatabase(database);
  const points = [...Array(100).keys()].map((at) => ({
    measurement: 'm', tags: { t: at % 2 ? 'x y' : 'z' }, fields: { v: at + 0.5, n: at, s: 'q"\\\\', b: at > 50 }, timestamp: new Date(at * 1000),
  }));
  await influx.writePoints(points);
  const rows = await influx.query('SELECT * FROM m ORDER BY time DESC LIMIT 1');
  const groups = (await influx.query('SELECT count(n) FROM m GROUP BY t')).groups();
  await influx.createRetentionPolicy('short', { duration: '2h', replication: 1, database });
  await influx.createContinuousQuery('cq', 'SELECT mean(v) INTO m2 FROM m GROUP BY time(1m)', database);
  let refused = '';
  try { await influx.query('SELECT'); } catch (error) { refused = error.message; }
  console.log(JSON.stringify({
    online: pings.every((ping) => ping.online), version: pings[0].version,
    last: { time: rows[0].time.getTime(), v: rows[0].v, n: rows[0].n, s: rows[0].s, b: rows[0].b, t: rows[0].t },
    groups: groups.map((group) => [group.tags.t, group.rows[0].count]),
    measurements: await influx.getMeasurements(), series: await influx.getSeries(),
    policies: (await influx.showRetentionPolicies(database)).map((policy) => policy.name),
    queries: (await influx.showContinousQueries(database)).map((query) => query.name), refused,
  }));
  await influx.dropDatabase(database);
})().catch((error) => { console.error(error); process.exit(1); });
"""


def node_influx(url):
    """The client of npm."""
    from urllib.parse import urlsplit

    node, address, database = shutil.which("node"), urlsplit(url), "node_" + TOKEN
    found = node and subprocess.run([node, "-e", "require('influx')"], capture_output=True)
    if not found or found.returncode:
        raise ModuleNotFoundError("node with the package influx")
    command = [node, "-e", NODE, address.hostname, str(address.port), database]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)
    found = json.loads(done.stdout)
    if not found.pop("version"):
        raise AssertionError("no version")
    expect(found.pop("refused").startswith("A 400 Bad Request error occurred: {\"error\":\"error parsing query: found EOF"), True)
    expect(found, {
        "online": True, "last": {"time": 99000, "v": 99.5, "n": 99, "s": 'q"\\', "b": True, "t": "x y"},
        "groups": [["x y", 50], ["z", 50]], "measurements": ["m"], "series": ["m,t=x\\ y", "m,t=z"],
        "policies": ["autogen", "short"], "queries": ["cq"],
    })


def vmctl_influx(url):
    """Debian's vmctl, which exports from an InfluxDB; what it would import is taken here."""
    binary, database = shutil.which("vmctl"), "vmctl_" + TOKEN
    if binary is None:
        raise ModuleNotFoundError("vmctl")
    taken = {}

    class Importer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            self.answer(200)

        def do_POST(self):
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while (size := int(self.rfile.readline(), 16)) > 0:
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            for line in body.splitlines():
                series = json.loads(line)
                values = taken.setdefault(tuple(sorted(series["metric"].items())), {})
                values.update(zip(series["timestamps"], series["values"]))
            self.answer(204)

        def log_message(self, *_):
            pass

    post(url, "/query?q=CREATE+DATABASE+" + database, "")
    lines = "".join(f"cpu,host=h{at % 3} user={at},idle={at / 2} {at}\n" for at in range(300))
    expect(post(url, f"/write?db={database}&precision=s", lines)[0], 204)
    importer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Importer)
    threading.Thread(target=importer.serve_forever, daemon=True).start()
    port = importer.server_address[1]
    command = [binary, "influx", "-s", "--influx-addr", url, "--influx-database", database, "--influx-chunk-size", "7",
               "--vm-addr", f"http://127.0.0.1:{port}", "--vm-disable-progress-bar"]
    shown, status = in_terminal(command)
    importer.shutdown()
    if status:
        raise AssertionError(shown)
    expected = {}
    for at in range(300):
        for field, value in (("user", at), ("idle", at / 2)):
            labels = (("__name__", f"cpu_{field}"), ("db", database), ("host", f"h{at % 3}"))
            expected.setdefault(labels, {})[at * 1000] = value
    expect(taken, expected)


def grafana_influxql(url):
    """Requests of Grafana's InfluxDB data source, as recorded: GET and POST, `epoch=ms`."""
    database, now_ms = "grafana_" + TOKEN, 1_700_003_600_000
    post(url, "/query?q=CREATE+DATABASE+" + database, "")
    lines = "".join(
        f"m,host={host},dc={dc} v={at} {now_ms - 3_600_000 + at * 10_000}\n"
        for host, dc in (("a", "x"), ("b", "x"), ("c", "y")) for at in range(360)
    )
    expect(post(url, f"/write?db={database}&precision=ms", lines)[0], 204)

    def ask(q, form):
        parameters = urllib.parse.urlencode({"db": database, "epoch": "ms", **({} if form else {"q": q})})
        body = urllib.parse.urlencode({"q": q}).encode() if form else None
        request = urllib.request.Request(f"{url}/query?{parameters}", data=body)
        with urllib.request.urlopen(request) as reply:
            answer = json.loads(reply.read())
        for result in answer["results"]:
            if "error" in result:
                raise AssertionError(f"{q}: {result['error']}")
        return [result.get("series", []) for result in answer["results"]]

    def both(q):
        got = ask(q, False)
        expect(ask(q, True), got)
        return got

    measurements = both("SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)M/ LIMIT 100")
    expect(measurements, [[{"name": "measurements", "columns": ["name"], "values": [["m"]]}]])
    expect(both("SHOW MEASUREMENTS LIMIT 100"), measurements)
    policies = both(f'SHOW RETENTION POLICIES on "{database}"')
    expect(policies[0][0]["values"], [["autogen", "0s", "168h0m0s", 1, True]])
    expect(both('SHOW FIELD KEYS FROM "autogen"."m"')[0][0]["values"], [["v", "float"]])
    expect(both('SHOW TAG KEYS FROM "m"')[0][0]["values"], [["dc"], ["host"]])
    values = both('SHOW TAG VALUES FROM "m" WITH KEY = "host" WHERE "dc"::tag = \'x\' AND time > 1700000000000ms')
    expect(values[0][0]["values"], [["host", "a"], ["host", "b"]])
    window = "time >= 1700000000000ms and time <= 1700003600000ms"
    panel = both(
        'SELECT mean("v") FROM "m" WHERE ("host"::tag =~ /^a$/ AND "dc"::tag = \'x\') AND ' + window +
        ' GROUP BY time(10s), "host"::tag fill(null) ORDER BY time ASC limit 5 slimit 3 tz(\'Europe/Paris\')'
    )
    expect(panel, [[{"name": "m", "tags": {"host": "a"}, "columns": ["time", "mean"],
                     "values": [[1_700_000_000_000 + at * 10_000, at] for at in range(5)]}]])
    two = both(f'SELECT max("v") FROM "m" WHERE {window} GROUP BY "dc"::tag;SELECT last("v") FROM "m" WHERE {window}')
    expect([len(series) for series in two], [2, 1])
    annotations = both(f'SELECT "v", "host" FROM "m" WHERE "v" = 359 AND {window} ORDER BY time ASC LIMIT 100')
    expect(annotations[0][0]["values"], [[now_ms - 10_000, 359, host] for host in "abc"])
    expect(both('SELECT v FROM "m" LIMIT 0')[0][0]["columns"], ["time", "v"])


def columnar_readers(url):
    """Results as an Arrow stream and as a Parquet file: pyarrow, pandas, polars and DuckDB read what was written."""
    import io

    import duckdb
    import pandas
    import polars
    import pyarrow
    import pyarrow.parquet

    lines = [f'columnar,host={"ab"[n % 2]} n={n}i,v={n / 4},s="text {n}",b={"tf"[n % 2]} {n}' for n in range(50_000)]
    lines += ["columnar n=7i 50000"]
    post(url, "/api/v1/write?db=public", "\n".join(lines))

    def fetched(text, kind):
        request = urllib.request.Request(f"{url}/api/v1/sql?db=public", data=text.encode(), headers={"Accept": kind})
        with urllib.request.urlopen(request) as reply:
            expect(reply.headers["Content-Type"], kind)
            return reply.read()

    stream, file = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
    text = "SELECT time, host, n, v, s, b FROM columnar ORDER BY time"
    arrow = pyarrow.ipc.open_stream(fetched(text, stream)).read_all()
    parquet = pyarrow.parquet.read_table(io.BytesIO(fetched(text, file)))
    expect(arrow.equals(parquet.cast(arrow.schema)), True)
    expect((arrow.num_rows, [str(field.type) for field in arrow.schema]),
           (50_001, ["timestamp[ns]", "string", "int64", "double", "string", "bool"]))
    expect(list(arrow.slice(3, 1).to_pylist()[0].values())[1:], ["b", 3, 0.75, "text 3", False])
    expect(list(arrow.slice(50_000, 1).to_pylist()[0].values())[1:], [None, 7, None, None, None])
    frame = pandas.read_parquet(io.BytesIO(fetched(text, file)))
    expect((len(frame), frame.n.sum(), frame.v.count()), (50_001, 50_000 * 49_999 // 2 + 7, 50_000))
    for polar in (polars.read_ipc_stream(io.BytesIO(fetched(text, stream))), polars.read_parquet(fetched(text, file))):
        expect((polar.height, polar["n"].sum(), polar["host"].n_unique()), (50_001, 50_000 * 49_999 // 2 + 7, 3))
    with tempfile.NamedTemporaryFile(suffix=".parquet") as kept:
        kept.write(fetched(text, file))
        kept.flush()
        found = duckdb.sql(f"SELECT host, count(*), sum(n) FROM '{kept.name}' GROUP BY host ORDER BY host").fetchall()
    expect(found, [("a", 25_000, 624_975_000), ("b", 25_000, 625_000_000), (None, 1, 7)])
    found = duckdb.sql("SELECT max(v), count(b) FROM arrow").fetchall()
    expect(found, [(49_999 / 4, 50_000)])
    empty = "SELECT host, n FROM columnar WHERE n < 0"
    expect(pyarrow.ipc.open_stream(fetched(empty, stream)).read_all().num_rows, 0)
    expect(pyarrow.parquet.read_table(io.BytesIO(fetched(empty, file))).column_names, ["host", "n"])


def glances_influxdb(url):
    """glances, which watches a machine, with both of its exporters: by the client of 1.x, and by that of 2.x."""
    binary = shutil.which("glances") or shutil.which("glances", path=os.path.dirname(sys.executable))
    if binary is None:
        raise ModuleNotFoundError("glances")
    server = urllib.parse.urlparse(url)
    for exporter, extra in [("influxdb", "user=root\npassword=root"), ("influxdb2", "org=any\ntoken=root:root\ninterval=1")]:
        database = f"glances_{exporter}_{TOKEN}"
        where = f"host={server.hostname}\nport={server.port}\nprotocol={server.scheme}\nprefix=seen\ntags=place:here"
        post(url, "/query", urllib.parse.urlencode({"q": f'CREATE DATABASE "{database}"'}),
             {"Content-Type": "application/x-www-form-urlencoded"})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "glances.conf")
            with open(path, "w") as conf:
                name = "db" if exporter == "influxdb" else "bucket"
                conf.write(f"[{exporter}]\n{where}\n{name}={database}\n{extra}\n")
            command = [binary, "-C", path, "--export", exporter, "--time", "1", "--stop-after", "4", "--quiet",
                       "--disable-plugin", "all", "--enable-plugin", "cpu,load,mem,fs", "--disable-check-update"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": folder})
        expect((done.returncode, done.stdout + done.stderr), (0, ""))
        count, loads = sql(url, 'SELECT count(total), count(DISTINCT place) FROM "seen.cpu"', database)[0].split(",")
        if int(count) < 1 or loads != "1":
            raise AssertionError(f"{exporter}: {count} rows of cpu, tags {loads}: {done.stdout}{done.stderr}")
        # What it writes of the memory adds up.
        total, parts = sql(url, 'SELECT max(total) > 0, max(percent) BETWEEN 0 AND 100 FROM "seen.mem"', database)[0].split(",")
        expect((total, parts), ("true", "true"))


CLIENTS = [influxdb_client_1, influxdb_client_2, influx_shell, node_influx, vmctl_influx, glances_influxdb, grafana_influxql,
           columnar_readers, *doors.CLIENTS]


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    url, wanted, failed = arguments[0], arguments[1:], 0
    for client in CLIENTS:
        if wanted and client.__name__ not in wanted:
            continue
        try:
            client(url)
            print(f"{client.__name__}: well")
        except ImportError as error:
            failed += "--all" in sys.argv
            print(f"{client.__name__}: passed over: {error}")
        except Exception as error:  # whatever a client throws is the finding
            failed += 1
            print(f"{client.__name__}: {type(error).__name__}: {error}")
    # Libraries in C++ that are loaded together (pyarrow, DuckDB) now and then abort while the interpreter takes itself
    # apart, when all has been said.
    sys.stdout.flush()
    os._exit(failed)


if __name__ == "__main__":
    main()
