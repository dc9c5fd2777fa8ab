#!/usr/bin/env python3
"""Says how many bytes a value takes as Parquet with zstd, for the rows that a load generator sends.

Listens like a server, runs the command after `--` with `{url}` replaced by its address, keeps every line written,
then writes one Parquet file a table (sorted by tags and time, one row group a million rows) and prints sizes. A value
is a field's: tags and times are in the files, and are not counted, as the harness counts for servers.

    pip install pyarrow
    python3 loadtest/parquet_size.py -- target/release/loadtest write --workload iot --hosts 1000 --rows 1000000 \
        --url {url} --db p

Rows are kept in memory: about 1 GB for a million rows of ten fields.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow
import pyarrow.parquet

# What ends at the first unescaped separator, and a quoted string with escapes.
KEY = re.compile(r"((?:\\.|[^,\\ ])+)((?:,(?:\\.|[^\\ ])*)?) ")
TAG = re.compile(r",((?:\\.|[^\\=])+)=((?:\\.|[^,\\])+)")
FIELD = re.compile(r'((?:\\.|[^=\\])+)=("(?:\\.|[^"\\])*"|[^, ]+)(,|(?: |$))')


def unescape(text):
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def value(text):
    if text[0] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if text[-1] == "i" or text[-1] == "u":
        return int(text[:-1])
    if text[0] in "tTfF":
        return text[0] in "tT"
    return float(text)


class Tables:
    """Columns of all tables, row by row."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tables = {}

    def add(self, body):
        rows = [self.row(line) for line in body.split("\n") if line and line[0] != "#"]
        with self.lock:
            for table, row in rows:
                self.tables.setdefault(table, []).append(row)

    def row(self, line):
        head = KEY.match(line)
        if head is None:
            sys.exit(f"not line protocol: {line!r}")
        tags = {unescape(k): unescape(v) for k, v in TAG.findall(head.group(2))}
        fields, at, last = {}, head.end(), False
        while not last:
            found = FIELD.match(line, at)
            if found is None:
                sys.exit(f"not line protocol at {at}: {line!r}")
            fields[unescape(found.group(1))] = value(found.group(2))
            at, last = found.end(), found.group(3) != ","
        return unescape(head.group(1)), (tags, int(line[at:]), fields)


def columns(rows):
    """The rows as arrow, by tags and time; the newest of equal ones wins field by field, as in the servers."""
    tag_names = sorted({name for tags, _, _ in rows for name in tags})
    merged = {}
    for tags, time, fields in rows:
        key = (*(tags.get(name) or "" for name in tag_names), time)
        merged.setdefault(key, {}).update(fields)
    field_names = sorted({name for fields in merged.values() for name in fields})
    keys = sorted(merged)
    data = {name: pyarrow.array([key[i] or None for key in keys]) for i, name in enumerate(tag_names)}
    data["time"] = pyarrow.array([key[-1] for key in keys], type=pyarrow.int64()).cast(pyarrow.timestamp("ns"))
    for name in field_names:
        data[name] = pyarrow.array([merged[key].get(name) for key in keys])
    values = sum(len(data[name]) - data[name].null_count for name in field_names)
    return pyarrow.table(data), values


def handler(tables):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if self.path.split("?")[0].endswith("/write"):
                tables.add(body.decode())
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    return Handler


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--level", type=int, default=3, help="of zstd")
    arguments.add_argument("command", nargs="+", help="what sends rows to {url}")
    options = arguments.parse_args()
    tables = Tables()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(tables))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    subprocess.run([part.replace("{url}", url) for part in options.command], check=True)
    server.shutdown()
    bytes_all = values_all = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in sorted(tables.tables.items()):
            table, values = columns(rows)
            path = pathlib.Path(folder) / "table.parquet"
            pyarrow.parquet.write_table(
                table, path, compression="zstd", compression_level=options.level, row_group_size=1_000_000
            )
            size = path.stat().st_size
            print(f"{name}: {table.num_rows} rows, {values} values, {size} bytes, {size / values:.3f} bytes/value")
            bytes_all, values_all = bytes_all + size, values_all + values
    if values_all == 0:
        sys.exit("no rows came")
    print(f"all: {values_all} values, {bytes_all / values_all:.3f} bytes/value (pyarrow {pyarrow.__version__})")


if __name__ == "__main__":
    main()
