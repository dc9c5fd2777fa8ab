#!/usr/bin/env python3
"""Asks Tidewire over HTTP, and DuckDB and ClickHouse (chDB) in this process, the query set of TSBS cpu-only over the
same rows, and prints the median time of each query.

The rows are those of `loadtest write --workload devops`, read out of the server as Parquet. DuckDB holds them in a
database file in the order of host and time, ClickHouse in a MergeTree ordered by host and time; both use all cores of
the machine. Each query has new parameters in each run, the same for all; they are asked in turn, and must agree in the
number of rows. All give their rows as Arrow, which is the quickest form of each: the server's time is that of the whole
reply over one connection, a peer's that of all rows fetched.

    pip install duckdb chdb pyarrow
    target/release/loadtest write --workload devops --hosts 4000 --rows 20000000 --memory-mib 8192 --db peers --url $URL
    python3 loadtest/peers.py --url $URL --db peers --hosts 4000 --rows 20000000
"""

import argparse
import http.client
import json
import os
import random
import statistics
import tempfile
import time
import urllib.parse

import chdb.session
import duckdb
import pyarrow.ipc
import pyarrow.parquet

FIELDS = [
    "usage_" + name
    for name in "user system idle nice iowait irq softirq steal guest guest_nice".split()
]
TICK_S = 10
HOUR_S = 3600
START_S = 1451606400
# Rows of one Parquet reply: some hundred MB in memory.
SLICE_ROWS = 2_000_000


class Tidewire:
    name = "tidewire"

    def __init__(self, url, db):
        self.db = db
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)

    def bucket(self, unit):
        return f"date_bin(interval '1 {unit}', time)"

    def instant(self, at_ns):
        return "'" + rfc3339(at_ns) + "'"

    def last(self, field):
        return f"last(time, {field})"

    def post(self, text, accept):
        path = "/api/v1/sql?db=" + urllib.parse.quote(self.db)
        self.connection.request("POST", path, text, {"Accept": accept})
        reply = self.connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise SystemExit(f"{text}: {reply.status} {body[:500]}")
        return body

    def ask(self, text):
        body = self.post(text, "application/vnd.apache.arrow.stream")
        return lambda: pyarrow.ipc.open_stream(body).read_all().num_rows


class DuckDb:
    name = "duckdb"

    def __init__(self, folder, files, cores):
        self.connection = duckdb.connect(os.path.join(folder, "duckdb.db"), config={"threads": cores})
        listed = ", ".join(f"'{file}'" for file in files)
        self.connection.execute(
            f"CREATE TABLE cpu AS SELECT * FROM read_parquet([{listed}]) ORDER BY hostname, time"
        )
        self.connection.execute("CHECKPOINT")

    def bucket(self, unit):
        return f"time_bucket(INTERVAL 1 {unit}, time)"

    def instant(self, at_ns):
        return f"TIMESTAMP_NS '{rfc3339(at_ns)[:-1].replace('T', ' ')}'"

    def last(self, field):
        return f"arg_max({field}, time)"

    def ask(self, text):
        table = self.connection.sql(text).to_arrow_table()
        return lambda: table.num_rows


class ClickHouse:
    name = "clickhouse"

    def __init__(self, folder, files, cores):
        self.session = chdb.session.Session(os.path.join(folder, "chdb"))
        self.session.query(f"SET max_threads = {cores}")
        columns = pyarrow.parquet.read_schema(files[0])
        kinds = []
        for column in columns:
            kind = "Int64" if column.name in FIELDS else "LowCardinality(String)"
            kinds.append(f"{column.name} " + ("DateTime64(9, 'UTC')" if column.name == "time" else kind))
        self.session.query("CREATE DATABASE IF NOT EXISTS p")
        self.session.query("USE p")
        self.session.query(f"CREATE TABLE cpu ({', '.join(kinds)}) ENGINE = MergeTree ORDER BY (hostname, time)")
        for file in files:
            self.session.query(f"INSERT INTO cpu SELECT * FROM file('{file}', Parquet)")
        self.session.query("OPTIMIZE TABLE cpu FINAL")

    def bucket(self, unit):
        return f"toStartOfInterval(time, INTERVAL 1 {unit})"

    def instant(self, at_ns):
        return f"toDateTime64('{rfc3339(at_ns)[:-1].replace('T', ' ')}', 9, 'UTC')"

    def last(self, field):
        return f"argMax({field}, time)"

    def ask(self, text):
        table = self.session.query(text, "Arrow")
        return lambda: pyarrow.ipc.open_file(table.bytes()).read_all().num_rows


def rfc3339(at_ns):
    seconds, ns = divmod(at_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ns:09d}Z"


class Draw:
    """Parameters as TSBS draws them."""

    def __init__(self, hosts, rows, seed):
        self.hosts = hosts
        self.start = START_S * 1_000_000_000
        self.end = self.start + -(-rows // hosts) * TICK_S * 1_000_000_000
        self.random = random.Random(seed)

    def window(self, hours):
        length = hours * HOUR_S * 1_000_000_000
        room = self.end - self.start - length
        first = self.start + self.random.randrange(room) if room > 0 else self.start
        return first, min(first + length, self.end)

    def some_hosts(self, count):
        return [f"host_{at}" for at in self.random.sample(range(self.hosts), min(count, self.hosts))]


def within(window):
    return lambda db: f"time >= {db.instant(window[0])} AND time < {db.instant(window[1])}"


def among(hosts):
    return "hostname IN (" + ", ".join(f"'{host}'" for host in hosts) + ")"


def aggregates(function, fields):
    return ", ".join(f"{function}({field}) AS {function}_{field}" for field in fields)


def grouped(draw, fields, hosts, hours, unit):
    window, hosts = within(draw.window(hours)), among(draw.some_hosts(hosts))
    return lambda db: (
        f"SELECT {db.bucket(unit)} AS t, {aggregates('max', fields)} FROM cpu WHERE {hosts} AND {window(db)} "
        "GROUP BY t ORDER BY t"
    )


def double(draw, fields):
    window = within(draw.window(12))
    return lambda db: (
        f"SELECT {db.bucket('hour')} AS t, hostname, {aggregates('avg', fields)} FROM cpu WHERE {window(db)} "
        "GROUP BY t, hostname ORDER BY t, hostname"
    )


def high(draw, hosts):
    window = within(draw.window(12))
    more = f" AND {among(draw.some_hosts(hosts))}" if hosts else ""
    return lambda db: f"SELECT * FROM cpu WHERE usage_user > 90.0 AND {window(db)}{more}"


def last_point(_):
    def text(db):
        fields = ", ".join(f"{db.last(field)} AS {field}" for field in FIELDS)
        return f"SELECT hostname, {fields} FROM cpu GROUP BY hostname"

    return text


def order_by_limit(draw):
    end = draw.window(1)[1]
    return lambda db: (
        f"SELECT {db.bucket('minute')} AS t, max(usage_user) AS m FROM cpu WHERE time < {db.instant(end)} "
        "GROUP BY t ORDER BY t DESC LIMIT 5"
    )


CASES = {
    "single-groupby-1-1-1": lambda d: grouped(d, FIELDS[:1], 1, 1, "minute"),
    "single-groupby-1-1-12": lambda d: grouped(d, FIELDS[:1], 1, 12, "minute"),
    "single-groupby-1-8-1": lambda d: grouped(d, FIELDS[:1], 8, 1, "minute"),
    "single-groupby-5-1-1": lambda d: grouped(d, FIELDS[:5], 1, 1, "minute"),
    "single-groupby-5-1-12": lambda d: grouped(d, FIELDS[:5], 1, 12, "minute"),
    "single-groupby-5-8-1": lambda d: grouped(d, FIELDS[:5], 8, 1, "minute"),
    "cpu-max-all-1": lambda d: grouped(d, FIELDS, 1, 8, "hour"),
    "cpu-max-all-8": lambda d: grouped(d, FIELDS, 8, 8, "hour"),
    "double-groupby-1": lambda d: double(d, FIELDS[:1]),
    "double-groupby-5": lambda d: double(d, FIELDS[:5]),
    "double-groupby-all": lambda d: double(d, FIELDS),
    "high-cpu-1": lambda d: high(d, 1),
    "high-cpu-all": lambda d: high(d, 0),
    "lastpoint": last_point,
    "groupby-orderby-limit": order_by_limit,
}


def exported(server, folder, draw):
    """The rows as Parquet files, a slice of time each."""
    step = SLICE_ROWS // draw.hosts * TICK_S * 1_000_000_000
    files, at = [], draw.start
    while at < draw.end:
        text = f"SELECT * FROM cpu WHERE time >= {server.instant(at)} AND time < {server.instant(at + step)}"
        files.append(os.path.join(folder, f"{len(files)}.parquet"))
        with open(files[-1], "wb") as file:
            file.write(server.post(text, "application/vnd.apache.parquet"))
        at += step
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8902")
    parser.add_argument("--db", default="peers")
    parser.add_argument("--hosts", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="only this query; may be repeated")
    parser.add_argument("--json", help="also write all times, in seconds, to this file")
    args = parser.parse_args()
    draw = Draw(args.hosts, args.rows, args.seed)
    server = Tidewire(args.url, args.db)
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        files = exported(server, folder, draw)
        held = sum(pyarrow.parquet.read_metadata(file).num_rows for file in files)
        if held != args.rows:
            raise SystemExit(f"the server holds {held} rows, not {args.rows}")
        contenders = [server, DuckDb(folder, files, cores), ClickHouse(folder, files, cores)]
        times = {name: {db.name: [] for db in contenders} for name in args.only or CASES}
        for name, of_case in times.items():
            for run in range(-2, args.runs):
                query = CASES[name](draw)
                rows = []
                for db in contenders:
                    text = query(db)
                    begun = time.perf_counter()
                    count = db.ask(text)
                    taken = time.perf_counter() - begun
                    rows.append(count())
                    # The first two warm caches up.
                    if run >= 0:
                        of_case[db.name].append(taken)
                if len(set(rows)) != 1:
                    raise SystemExit(f"{name}: {dict(zip([db.name for db in contenders], rows))}\n{query(server)}")
    print(f"{args.rows} rows of {args.hosts} hosts, {cores} cores, medians of {args.runs} runs, ms")
    print(f"{'query':24}{'tidewire':>10}{'duckdb':>10}{'clickhouse':>12}{'better peer / tidewire':>24}")
    for name, of_case in times.items():
        ours, duck, click = (statistics.median(of_case[db]) * 1000 for db in ("tidewire", "duckdb", "clickhouse"))
        print(f"{name:24}{ours:10.2f}{duck:10.2f}{click:12.2f}{min(duck, click) / ours:24.2f}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(times, file)


if __name__ == "__main__":
    main()
