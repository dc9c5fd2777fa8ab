#!/usr/bin/env python3
"""Asks Tidewire over HTTP, and DuckDB in this process, the general set of queries over the same rows, and prints the
median time of each, their ratio, and the geometric mean of all ratios.

The set has the shapes of ClickBench's 43 queries and of TPC-H's 22 over tables of our own, and a dozen over series
(`queries.py`); the rows come from a seed (`tables.py`). All answers are compared before a time counts: the columns and
rows, numbers to a relative 1e-9. Both give their rows as Arrow, are asked in turn, and use all cores of the machine;
Tidewire's time is that of the whole reply over one connection. DuckDB holds its tables in a database file, in the order
of time. DuckDB has 4 GB; the server should run with `memory.bytes_max = "4GiB"` and let one query have half of it
(`query.memory_bytes_max`).

    pip install duckdb pyarrow
    python3 loadtest/general/general.py --url http://127.0.0.1:8902 --rows 1000000
"""

import argparse
import http.client
import json
import math
import os
import statistics
import tempfile
import time
import urllib.parse

import duckdb
import pyarrow.ipc

from queries import QUERIES
from tables import START_NS, made

KINDS = {"int64": "BIGINT", "double": "DOUBLE", "string": "STRING"}
LINES_A_REQUEST = 20_000


def instant(hours):
    seconds = START_NS // 1_000_000_000 + hours * 3600
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


class Tidewire:
    name = "tidewire"
    words = {
        **{unit: f"date_bin(interval '1 {unit}', time)" for unit in ("minute", "hour", "day")},
        **{f"hour_{at}": f"'{instant(at)}'" for at in (1, 20)},
        "year": "shipped / 365",
    }

    def __init__(self, url, db):
        self.db = db
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=600)

    def post(self, path, body):
        headers = {"Accept": "application/vnd.apache.arrow.stream", "Authorization": "Basic cm9vdDo="}
        self.connection.request("POST", f"{path}?db={self.db}", body, headers)
        reply = self.connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            raise RuntimeError(answer.decode(errors="replace")[:500])
        return answer

    def load(self, tables):
        db, self.db = self.db, "public"
        self.post("/api/v1/sql", f"DROP DATABASE IF EXISTS {db}")
        self.post("/api/v1/sql", f"CREATE DATABASE {db}")
        self.db = db
        for name, (rows, tags) in tables.items():
            fields = [field for field in rows.schema if field.name not in ("time", *tags)]
            columns = ", ".join(f"{field.name} {KINDS[str(field.type)]}" for field in fields)
            self.post("/api/v1/sql", f"CREATE TABLE {name} ({columns}, TAGS({', '.join(tags)}))")
            marks = {"int64": "{}i", "double": "{!r}", "string": '"{}"'}
            text = ",".join([name] + [f"{tag}={{}}" for tag in tags])
            text += " " + ",".join(f"{field.name}={marks[str(field.type)]}" for field in fields) + " {}"
            shown = [[tag.replace(" ", "\\ ") for tag in rows[name].to_pylist()] for name in tags]
            shown += [rows[field.name].to_pylist() for field in fields]
            shown.append(rows["time"].cast("int64").to_pylist())
            lines = list(map(text.format, *shown))
            for start in range(0, len(lines), LINES_A_REQUEST):
                self.post("/api/v1/write", "\n".join(lines[start : start + LINES_A_REQUEST]).encode())
        self.post("/api/v1/sql", f"COMPACT DATABASE {db}")

    def ask(self, text):
        body = self.post("/api/v1/sql", text)
        return lambda: pyarrow.ipc.open_stream(body).read_all()


class DuckDb:
    name = "duckdb"
    words = {
        **{unit: f"time_bucket(INTERVAL 1 {unit}, time)" for unit in ("minute", "hour", "day")},
        **{f"hour_{at}": f"TIMESTAMP_NS '{instant(at)}'" for at in (1, 20)},
        "year": "shipped // 365",
    }

    def __init__(self, folder, cores):
        config = {"threads": cores, "memory_limit": "4GB"}
        self.connection = duckdb.connect(os.path.join(folder, "duckdb.db"), config=config)

    def load(self, tables):
        for name, (rows, _) in tables.items():
            self.connection.register("rows", rows)
            self.connection.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
            self.connection.unregister("rows")
        self.connection.execute("CHECKPOINT")

    def ask(self, text):
        table = self.connection.sql(text).to_arrow_table()
        return lambda: table


def answer(table):
    """Rows with numbers as DOUBLE and times as nanoseconds, sorted: their order is not the point here."""
    columns = []
    for column in table.columns:
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pyarrow.types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("ns")).cast("int64")
        values = column.to_pylist()
        is_text = all(value is None or isinstance(value, str) for value in values)
        columns.append(values if is_text else [None if value is None else float(value) for value in values])
    key = lambda row: [(value is None, f"{value:.9e}" if isinstance(value, float) else value or "") for value in row]
    return sorted(zip(*columns), key=key)


def differ(ours, theirs):
    ours, theirs = answer(ours), answer(theirs)
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, there {len(theirs)}"
    for a, b in zip(ours, theirs):
        for x, y in zip(a, b):
            same = (
                math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9)
                if isinstance(x, float) and isinstance(y, float)
                else x == y
            )
            if not same:
                return f"{a}, there {b}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8902")
    parser.add_argument("--db", default="general")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the log; the star's orders are 15 in 100 of it")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="only this query; may be repeated")
    parser.add_argument("--loaded", action="store_true", help="the server holds the rows of an earlier run")
    parser.add_argument("--json", help="also write all times, in seconds, to this file")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    failed, times = [], {}
    with tempfile.TemporaryDirectory() as folder:
        server, duck = Tidewire(args.url, args.db), DuckDb(folder, cores)
        tables = made(args.rows, args.seed)
        duck.load(tables)
        if not args.loaded:
            server.load(tables)
        held = sum(rows.num_rows for rows, _ in tables.values())
        del tables
        for name in args.only or QUERIES:
            of_case = {server.name: [], duck.name: []}
            for run in range(-2, args.runs):
                answers = []
                try:
                    for db in (server, duck):
                        text = QUERIES[name].format_map(db.words)
                        begun = time.perf_counter()
                        given = db.ask(text)
                        taken = time.perf_counter() - begun
                        answers.append(given())
                        # The first two warm caches up.
                        if run >= 0:
                            of_case[db.name].append(taken)
                except RuntimeError as error:
                    failed.append(f"{name}: {error}")
                    break
                problem = differ(*answers) if run == -2 else None
                if problem:
                    failed.append(f"{name}: {problem}")
                    break
            else:
                times[name] = of_case
    print(f"{held} rows, {cores} cores, medians of {args.runs} runs, ms")
    print(f"{'query':28}{'tidewire':>10}{'duckdb':>10}{'tidewire / duckdb':>20}")
    ratios = []
    for name, of_case in times.items():
        ours, theirs = (statistics.median(of_case[db]) * 1000 for db in ("tidewire", "duckdb"))
        ratios.append(ours / theirs)
        print(f"{name:28}{ours:10.2f}{theirs:10.2f}{ratios[-1]:20.2f}")
    if ratios:
        print(f"geometric mean of {len(ratios)}: {math.exp(statistics.fmean(map(math.log, ratios))):.2f}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(times, file)
    for problem in failed:
        print("FAILED", problem)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
