#!/usr/bin/env python3
"""Asks Tidewire over HTTP and DuckDB in this process the same random queries over the same random tables.

    differential.py --url http://127.0.0.1:PORT [--url ...] [--seconds N] [--seed N] [--query ROUND.PHASE.NUMBER]

Each round makes tables; its phases ask while the rows are in memory, in segments, in both with later writes and
deletes over older rows, and merged. Every server gets every query, and all must agree with DuckDB: in the rows as they
come where the query orders them, otherwise in the rows that there are; DOUBLE to a relative 1e-9. A seed says all of a
run but how long it is; with --query one query of it is asked again, behind the same writes. The exit status is that of
whether all agreed.
"""

import argparse
import collections
import concurrent.futures
import math
import random
import sys
import time

import pyarrow

from queries import Queries
from tables import DuckDb, Refused, Table, Tidewire

PHASES = ["in memory", "in segments", "in both, with deletes", "merged"]
QUERIES_A_PHASE = 60
TOLERANCE = 1e-9
# What DuckDB says where a number is beyond its type, and Tidewire's word for it.
OVERFLOW_THEIRS = ("Out of Range", "Overflow", "out of range", "Conversion Error")
OVERFLOW_OURS = ("verflow",)


def plain(table):
    """Rows of an Arrow table as tuples of Python's values, times as nanoseconds."""
    columns = []
    for column in table.columns:
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pyarrow.types.is_timestamp(column.type):
            scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
            values = [None if at is None else at * scale for at in column.cast(pyarrow.int64()).to_pylist()]
        else:
            values = column.to_pylist()
        columns.append(values)
    return list(zip(*columns)) if columns else []


def kinds(table):
    """What each column is, in a word that both share."""
    found = []
    for field in table.schema:
        type = field.type.value_type if pyarrow.types.is_dictionary(field.type) else field.type
        for name in ("boolean", "timestamp", "floating", "null"):
            if getattr(pyarrow.types, "is_" + name)(type):
                found.append(name)
                break
        else:
            text = pyarrow.types.is_string(type) or pyarrow.types.is_large_string(type)
            found.append("text" if text else "integer" if pyarrow.types.is_integer(type) else str(type))
    return found


def order(value):
    """A key by which values of one column sort: nulls first, NaN last."""
    if value is None:
        return (0, 0)
    if isinstance(value, float) and math.isnan(value):
        return (2, 0)
    return (1, value)


def close(a, b):
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def alike(ours, theirs):
    return all(close(a, b) for a, b in zip(ours, theirs))


def rounded(row):
    """For sorting alone: what may differ in the last digits must not decide."""
    exact = tuple(map(order, row))
    return tuple((kind, float(f"{value:.7g}") if isinstance(value, float) else value) for kind, value in exact), exact


def differ(ours, theirs, query):
    """What is wrong with our answer, or None."""
    if kinds(ours) != kinds(theirs):
        return f"types {kinds(ours)}, there {kinds(theirs)}"
    ours, theirs = plain(ours), plain(theirs)
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, there {len(theirs)}"
    if query.ordered:
        for row in range(1, len(ours)):
            if not in_order(ours[row - 1], ours[row], query.ordered):
                return f"row {row} is out of order: {ours[row - 1]} before {ours[row]}"
        keys = [at for at, _, _ in query.ordered]
        for row, (a, b) in enumerate(zip(ours, theirs)):
            if not alike([a[at] for at in keys], [b[at] for at in keys]):
                return f"row {row} in order: {a}, there {b}"
    if query.in_sequence:
        for row, (a, b) in enumerate(zip(ours, theirs)):
            if not alike(a, b):
                return f"row {row} in order: {a}, there {b}"
        return None
    return unmatched(ours, theirs)


def unmatched(ours, theirs):
    """The first row that only one side has. Rows are sorted, so that their neighbours alone need a look."""
    theirs = collections.deque(sorted(theirs, key=rounded))
    passed = []
    for row in sorted(ours, key=rounded):
        for at, other in enumerate(passed):
            if alike(row, other):
                del passed[at]
                break
        else:
            while theirs and not alike(row, theirs[0]):
                passed.append(theirs.popleft())
                if len(passed) > 500:
                    return f"a row {row}, there {passed[0]}"
            if not theirs:
                return f"a row {row} that is not there, where there is {passed[0]}"
            theirs.popleft()
    return None


def in_order(first, second, ordered):
    for at, descending, nulls_first in ordered:
        a, b = first[at], second[at]
        if a is None or b is None:
            if a is None and b is None:
                continue
            return (a is None) == nulls_first
        a, b = order(a), order(b)
        if a != b:
            return (a > b) == descending
    return True


class Run:
    def __init__(self, options):
        self.options = options
        self.servers = [Tidewire(url) for url in options.url]
        self.duck = DuckDb()
        self.pool = concurrent.futures.ThreadPoolExecutor(len(self.servers))
        self.failed = None
        self.counts = collections.Counter()

    def report(self, at, query, problem):
        if self.failed == at:
            print(f"-- and {problem}"[:300])
            return
        self.failed = at
        self.counts["mismatches"] += 1
        print(f"\n-- {problem}\n-- again: --seed {self.options.seed} --query {at}")
        print(f"{query.text.ours}\n-- there\n{query.text.theirs}", flush=True)

    def of_theirs(self, query):
        """DuckDB's rows, or its refusal."""
        try:
            return self.duck.connection.sql(query.text.theirs).to_arrow_table(), None
        except Exception as error:
            return None, str(error)

    def of_ours(self, server, query):
        try:
            return pyarrow.ipc.open_stream(server.sql(query.text.ours)).read_all(), None
        except Refused as error:
            return None, str(error)

    def ask(self, at, query):
        asked = [self.pool.submit(self.of_ours, server, query) for server in self.servers]
        theirs, refused = self.of_theirs(query)
        self.counts["queries"] += 1
        for found, url in zip(asked, self.options.url):
            ours, error = found.result()
            if error is None and refused is None:
                self.counts["rows"] += ours.num_rows
                problem = differ(ours, theirs, query)
                if problem:
                    self.report(at, query, f"{url}: {problem}")
            elif error is None:
                self.report(at, query, f"{url} answers it, there: {refused}")
            elif refused is None:
                self.report(at, query, f"{url} refuses it: {error}")
            elif any(word in error for word in OVERFLOW_OURS) and any(word in refused for word in OVERFLOW_THEIRS):
                self.counts["refused by both"] += 1
            else:
                self.report(at, query, f"{url} refuses it: {error}; there: {refused}")

    def phase(self, rng, phase, tables):
        """Brings the servers into a phase, and DuckDB's tables to the same rows."""
        writes = []
        for table in tables:
            if phase == 0:
                writes += [(table, table.draw(rng, count)) for count in [rng.choice([0, 3, 30, 200]) for _ in range(2)]]
            elif phase == 2:
                writes.append((table, table.draw(rng, rng.choice([0, 5, 60]))))
        as_text = [rng.random() < 0.5 for _ in writes]
        deletes = [table.delete(rng) for table in tables if phase == 2 and rng.random() < 0.5]
        more = [(table, table.draw(rng, 10)) for table in tables if phase == 2 and rng.random() < 0.5]
        for server in self.servers:
            for (table, rows), text in zip(writes, as_text):
                server.write(table, rows, text)
            for statement in deletes:
                server.sql(statement)
            for table, rows in more:
                server.write(table, rows, False)
            if phase in (1, 3):
                server.sql(f"COMPACT DATABASE {server.database}")
        self.duck.load(tables)

    def round(self, number, until, only):
        rng = random.Random(f"{self.options.seed}.{number}")
        tables = [Table(rng, f"t{at}") for at in range(rng.randint(2, 3))]
        for server in self.servers:
            server.create(f"d{self.options.seed}_{number}_{time.time_ns()}", tables)
        for phase in range(len(PHASES)):
            self.phase(rng, phase, tables)
            for query_number in range(QUERIES_A_PHASE):
                at = f"{number}.{phase}.{query_number}"
                if only is not None and at != only:
                    continue
                self.ask(at, Queries(random.Random(f"{self.options.seed}.{at}"), tables).whole())
                if only is None and (time.monotonic() > until or self.counts["mismatches"] >= self.options.mismatches):
                    return
        for server in self.servers:
            server.sql(f"DROP DATABASE {server.database}")


def main():
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--url", action="append", required=True)
    reader.add_argument("--seconds", type=float, default=75)
    reader.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    reader.add_argument("--query", help="ROUND.PHASE.NUMBER of one query of the seed")
    reader.add_argument("--mismatches", type=int, default=20, help="how many end the run")
    options = reader.parse_args()
    print(f"seed {options.seed}", flush=True)
    run, number = Run(options), 0
    until = time.monotonic() + options.seconds
    if options.query:
        run.round(int(options.query.split(".")[0]), until, options.query)
    while not options.query and time.monotonic() < until and run.counts["mismatches"] < options.mismatches:
        run.round(number, until, None)
        number += 1
    print(", ".join(f"{name} {count}" for name, count in run.counts.items()))
    sys.exit(1 if run.counts["mismatches"] else 0)


if __name__ == "__main__":
    main()
