"""Random tables, and the two servers and DuckDB that hold them.

A model in memory says what the rows are: a row that is written again at the same time and tags keeps the fields that
the second write does not name, as Tidewire has it. DuckDB gets the model's rows; Tidewire gets the writes."""

import http.client
import math
import urllib.parse

from dialect import NAMES_OURS, NAMES_THEIRS, PLAIN, SMALL, SPECIAL, WILD, literal, moment, text

WORDS = [
    "",
    "a",
    "b",
    "A",
    "ab",
    "aB",
    "abc",
    "b a",
    "%",
    "_",
    "é",
    "É",
    "Zürich",
    "zürich",
    "日本",
    "🦆",
    "a🦆b",
    "0",
    "12",
    "-7",
    "x,y",
    'q"q',
    "it's",
    "aaaa",
    "ba",
    "true",
    " a",
    "a ",
]
HOSTS = ["a", "b", "c", "h 1", "ü", "日"]
I_MAX, U_MAX = 2**63 - 1, 2**64 - 1
WILD_INTEGERS = [I_MAX, I_MAX - 1, -I_MAX - 1, -I_MAX, 0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**32, 2**31, 255]
WILD_UNSIGNED = [U_MAX, U_MAX - 1, 2**63, I_MAX, 0, 1, 2**53 + 1, 2**32]
WILD_FLOATS = [
    1.7976931348623157e308,
    -1.7976931348623157e308,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    9007199254740993.0,
    9.223372036854775807e18,
    -9.223372036854775808e18,
    1.8446744073709552e19,
    0.1,
    0.2,
    0.30000000000000004,
    math.inf,
    -math.inf,
    math.nan,
    -0.0,
    0.0,
    1e10,
    1e-5,
]
SPECIAL_FLOATS = [math.nan, math.inf, -math.inf, -0.0, 0.0]

# Columns of every table but time: name, type, kind.
TAGS = [("host", "s", PLAIN), ("rack", "s", PLAIN)]
FIELDS = [
    ("id", "i", SMALL),  # another in each row that is there
    ("i", "i", SMALL),
    ("j", "i", WILD),
    ("u", "u", SMALL),
    ("v", "u", WILD),
    ("f", "f", SMALL),
    ("g", "f", SPECIAL),
    ("h", "f", WILD),
    ("b", "b", PLAIN),
    ("s", "s", PLAIN),
]
COLUMNS = [("time", "t", PLAIN)] + TAGS + FIELDS
# The first is before 1970, the second a day without sub-second digits.
STARTS_US = [-86_400_000_000 * 3 - 1, 1_700_000_000_000_000, 951_782_399_000_000]


class Table:
    def __init__(self, rng, name):
        self.name = name
        self.rows = {}
        self.next_id = 0
        self.start = rng.choice(STARTS_US)
        self.step = rng.choice([1, 1_000_000, 61_000_000, 3_600_000_000, 86_400_000_000])
        self.width = rng.choice([6, 40, 300])
        self.null_share = rng.choice([0.0, 0.1, 0.5])
        self.hosts = HOSTS[: rng.randint(1, len(HOSTS))]

    def value(self, rng, type, kind):
        if type == "i":
            return rng.choice(WILD_INTEGERS) if kind == WILD else rng.randint(-9, 9)
        if type == "u":
            return rng.choice(WILD_UNSIGNED) if kind == WILD else rng.randint(0, 12)
        if type == "f":
            if kind == WILD:
                return rng.choice(WILD_FLOATS)
            if kind == SPECIAL and rng.random() < 0.3:
                return rng.choice(SPECIAL_FLOATS)
            return rng.randint(-40, 40) / 4
        if type == "b":
            return rng.random() < 0.5
        return rng.choice(WORDS)

    def draw(self, rng, count):
        """Rows of one write, which go into the model, too: (time, host, rack, fields)."""
        written = []
        for _ in range(count):
            at = self.start + self.step * rng.randrange(self.width)
            host = None if rng.random() < 0.1 else rng.choice(self.hosts)
            rack = rng.choice([None, "r1", "r2", "r3"])
            fields = {}
            for name, type, kind in FIELDS[1:]:
                if rng.random() >= self.null_share:
                    fields[name] = self.value(rng, type, kind)
            fields["id"], self.next_id = self.next_id, self.next_id + 1
            self.rows.setdefault((at, host, rack), {}).update(fields)
            written.append((at, host, rack, fields))
        return written

    def delete(self, rng):
        """A condition, whose rows go from the model."""
        host = rng.choice(self.hosts)
        until = self.start + self.step * rng.randrange(self.width)
        self.rows = {key: row for key, row in self.rows.items() if not (key[1] == host and key[0] < until)}
        return f"DELETE FROM {self.name} WHERE host = {text(host)} AND time < {text(moment(until))}"


def as_insert(table, rows):
    names = ["time"] + [name for name, _, _ in TAGS + FIELDS]
    listed = []
    for at, host, rack, fields in rows:
        values = [text(moment(at)), *("NULL" if tag is None else text(tag) for tag in (host, rack))]
        for name, type, _ in FIELDS:
            value = fields.get(name)
            values.append("NULL" if value is None else literal(type, value).ours)
        listed.append("(" + ", ".join(values) + ")")
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join(listed)}"


def escaped(value, what):
    for one in what:
        value = value.replace(one, "\\" + one)
    return value


def as_lines(table, rows):
    lines = []
    for at, host, rack, fields in rows:
        head = table.name
        for name, value in (("host", host), ("rack", rack)):
            if value is not None:
                head += f",{name}=" + escaped(value, "\\, =")
        shown = []
        for name, type, _ in FIELDS:
            value = fields.get(name)
            if value is None:
                continue
            if type == "i":
                shown.append(f"{name}={value}i")
            elif type == "u":
                shown.append(f"{name}={value}u")
            elif type == "f":
                shown.append(f"{name}={value!r}")
            elif type == "b":
                shown.append(f"{name}={'true' if value else 'false'}")
            else:
                shown.append(f'{name}="' + escaped(value, '\\"') + '"')
        lines.append(f"{head} {','.join(shown)} {at * 1000}")
    return "\n".join(lines)


def finite(row):
    return all(not isinstance(value, float) or math.isfinite(value) for value in row[3].values())


class Refused(Exception):
    """A statement that failed, with its code and words."""


class Tidewire:
    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=300)
        self.database = "public"

    def post(self, path, body, accept="application/vnd.apache.arrow.stream"):
        address = f"{path}?db={self.database}"
        self.connection.request("POST", address, body.encode(), {"Accept": accept, "Authorization": "Basic cm9vdDo="})
        reply = self.connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            raise Refused(answer.decode(errors="replace"))
        return answer

    def sql(self, statement):
        return self.post("/api/v1/sql", statement)

    def create(self, database, tables):
        self.database = "public"
        self.sql(f"CREATE DATABASE {database}")
        self.database = database
        fields = ", ".join(f"{name} {NAMES_OURS[type]}" for name, type, _ in FIELDS)
        for table in tables:
            self.sql(f"CREATE TABLE {table.name} ({fields}, TAGS({', '.join(name for name, _, _ in TAGS)}))")

    def write(self, table, rows, as_text):
        """Line protocol has no NaN and no infinities: such rows are always INSERTed."""
        lined = [] if as_text else [row for row in rows if finite(row)]
        if lined and len(lined) == len(rows):
            self.post("/api/v1/write", as_lines(table, lined))
        elif rows:
            self.sql(as_insert(table, rows))


class DuckDb:
    def __init__(self):
        import duckdb

        self.connection = duckdb.connect(config={"threads": 1})
        # Tidewire's numbers are those of IEEE 754, and its integers are never divided to a fraction.
        self.connection.execute("SET ieee_floating_point_ops = true")

    def load(self, tables):
        columns = ", ".join(f"{name} {NAMES_THEIRS[type]}" for name, type, _ in COLUMNS)
        for table in tables:
            self.connection.execute(f"CREATE OR REPLACE TABLE {table.name} ({columns})")
            rows = []
            for (at, host, rack), fields in table.rows.items():
                values = [f"make_timestamp({at})", *("NULL" if tag is None else text(tag) for tag in (host, rack))]
                for name, type, _ in FIELDS:
                    value = fields.get(name)
                    values.append("NULL" if value is None else literal(type, value).theirs)
                rows.append("(" + ", ".join(values) + ")")
            if rows:
                self.connection.execute(f"INSERT INTO {table.name} VALUES {', '.join(rows)}")
