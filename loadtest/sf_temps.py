#!/usr/bin/env python3
"""Real input end to end: a year of hourly temperatures of San Francisco.

1. Installs the PyPI package vega-datasets into a temporary folder (only its data file sf-temps.csv is read).
2. Turns the file into line protocol, one row an hour, and writes it through POST /api/v1/write.
3. Asks for count, min, max and mean of each day through POST /api/v1/sql.
4. Computes the same from the file, in exact arithmetic, and compares.

Exit status 0 only if every day is equal: counts and extremes exactly, means to 12 digits (a sum of floats depends on
its order). Needs Python 3.9 and nothing else.

    python3 loadtest/sf_temps.py [--url http://127.0.0.1:8902] [--file sf-temps.csv]
"""

import argparse
import csv
import datetime
import fractions
import io
import math
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

PACKAGE = "vega-datasets"
DATABASE = "sf_temps"
UTC = datetime.timezone.utc


def read_rows(path):
    """(time, temperature as text) of each line; a time that stands twice keeps its last value, as the server does."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = {}
        for line in csv.DictReader(file):
            time = datetime.datetime.strptime(line["date"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
            rows[time] = line["temp"]
        return rows


def download(folder):
    """The data file out of a freshly installed package."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, PACKAGE]
    subprocess.run(command, check=True)
    return next(pathlib.Path(folder).rglob("sf-temps.csv"))


def post(url, path, body, accept=None):
    """The body of the reply; ends the script when the server refuses."""
    request = urllib.request.Request(url + path, data=body.encode(), method="POST")
    request.add_header("Authorization", "Basic cm9vdDo=")
    if accept:
        request.add_header("Accept", accept)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read().decode()
    except urllib.error.HTTPError as error:
        sys.exit(f"{path} was answered {error.code}: {error.read().decode(errors='replace')}\n  {body[:200]}")
    except OSError as error:
        sys.exit(f"cannot reach {url}: {error}")


def expected_days(rows):
    """day -> (count, min, max, mean)"""
    days = {}
    for time, text in rows.items():
        days.setdefault(time.date().isoformat(), []).append(text)
    result = {}
    for day, texts in days.items():
        values = [float(text) for text in texts]
        mean = sum(fractions.Fraction(text) for text in texts) / len(texts)
        result[day] = (len(values), min(values), max(values), float(mean))
    return result


def found_days(url):
    statement = (
        "SELECT date_bin(interval '1 day', time) AS day, count(temperature) AS n, min(temperature) AS low, "
        "max(temperature) AS high, avg(temperature) AS mean FROM sf_temps GROUP BY day ORDER BY day"
    )
    text = post(url, f"/api/v1/sql?db={DATABASE}", statement, "application/csv")
    days = {}
    for line in csv.DictReader(io.StringIO(text)):
        days[line["day"][:10]] = (int(line["n"]), float(line["low"]), float(line["high"]), float(line["mean"]))
    return days


def same(left, right):
    return left[:3] == right[:3] and math.isclose(left[3], right[3], rel_tol=1e-12)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8902")
    parser.add_argument("--file", help="sf-temps.csv, instead of installing the package")
    arguments = parser.parse_args()
    url = arguments.url.rstrip("/")

    with tempfile.TemporaryDirectory() as folder:
        rows = read_rows(arguments.file or download(folder))
    post(url, "/api/v1/sql", f"DROP DATABASE IF EXISTS {DATABASE}")
    post(url, "/api/v1/sql", f"CREATE DATABASE {DATABASE}")
    lines = [f"sf_temps,city=San\\ Francisco temperature={text} {int(time.timestamp())}000000000"
             for time, text in rows.items()]
    post(url, "/api/v1/write?" + urllib.parse.urlencode({"db": DATABASE, "precision": "ns"}), "\n".join(lines))

    expected, found = expected_days(rows), found_days(url)
    wrong = [day for day in sorted(expected | found)
             if day not in expected or day not in found or not same(expected[day], found[day])]
    for day in wrong[:10]:
        print(f"{day}: expected {expected.get(day)}, found {found.get(day)}")
    print(f"{len(rows)} rows, {len(expected)} days: {len(expected) - len(wrong)} equal, {len(wrong)} not")
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main())
