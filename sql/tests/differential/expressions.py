"""Random expressions over the columns of a scope, each in both dialects.

What is left out, because the two differ there on purpose (docs/sql.md says what is right here):
- division by zero, which is an error of integers in both, but not always in the same rows once conditions are moved
- integers and unsigned integers in one operation: BIGINT here, 128 bits there
- arithmetic that overflows: both refuse it, but DuckDB sums in 128 bits in between
- upper() of ß and the like: full case mapping here, simple there; reverse() of what is several code points
- substr() with a start below 1, which counts from the end there
- extremes of BIGINT beside DOUBLE, which are compared exactly here and as DOUBLE there
- CAST of DOUBLE to text, whose digits are CnosDB's here; of a fraction in a text to BIGINT, which is rounded there
"""

from dialect import NAMES_OURS, NAMES_THEIRS, PLAIN, ROUGH, SMALL, SPECIAL, WILD, Both, apart, joined, literal, same
from tables import HOSTS, SPECIAL_FLOATS, STARTS_US, WILD_FLOATS, WILD_INTEGERS, WILD_UNSIGNED, WORDS

COMPARISONS = ["=", "<>", "<", "<=", ">", ">="]
PATTERNS = ["%", "_", "a%", "%b", "%a%", "a_", "_b%", "", "%é%", "A%", "__", "%z_rich", "日%", "%🦆_", "a%b%"]
EXPRESSIONS = ["a", "^a", "b$", "a.b", "[ab]+", "^$", "é|É", "^.$", "a{2}", "\\d+"]
UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
PARTS = ["year", "quarter", "month", "week", "day", "doy", "dow", "hour", "minute"]


class Expressions:
    """Draws expressions. `columns` are what they may read: Both with type and kind."""

    def __init__(self, rng, columns, subqueries=None):
        self.rng = rng
        self.columns = columns
        self.subqueries = subqueries

    def pick(self, type, kinds):
        found = [column for column in self.columns if column.type == type and column.kind in kinds]
        return self.rng.choice(found) if found else None

    def chance(self, share):
        return self.rng.random() < share

    def any(self, depth, types="iufbst", wild=True):
        """Any type. Its kind is SMALL, SPECIAL, WILD or PLAIN: never rough."""
        type = self.rng.choice(types)
        if wild and type in "iuf" and self.chance(0.3):
            return self.wild(type)
        return self.of(type, depth)

    def wild(self, type):
        """What may be compared alone."""
        column = self.pick(type, (WILD, SPECIAL, SMALL))
        if type == "i" and self.chance(0.1):
            return apart("CAST({0} AS BIGINT)", "epoch_ns({0})", self.time(0), type=type, kind=WILD)
        if column and self.chance(0.8):
            return column
        values = {"i": WILD_INTEGERS, "u": WILD_UNSIGNED, "f": WILD_FLOATS}[type]
        return literal(type, self.rng.choice(values), WILD)

    def of(self, type, depth):
        return {
            "i": self.integer,
            "u": self.unsigned,
            "f": self.double,
            "b": self.boolean,
            "s": self.string,
            "t": self.time,
        }[type](depth)

    def leaf(self, type, kinds, value):
        column = self.pick(type, kinds)
        if column and self.chance(0.8):
            return column
        return literal(type, value(), kinds[0])

    def branches(self, type, depth, draw):
        """CASE, coalesce, nullif, greatest, least of a type."""
        kind = self.rng.randrange(5)
        parts = [draw(depth - 1) for _ in range(3)]
        result = max((part.kind for part in parts), key=[SMALL, PLAIN, SPECIAL, WILD, ROUGH].index)
        made = {"type": type, "kind": result}
        if kind == 0:
            whens = joined(" ", [same("WHEN {0} THEN {1}", self.boolean(depth - 1), part) for part in parts[1:]])
            return same("CASE {0} ELSE {1} END" if self.chance(0.7) else "CASE {0} END", whens, parts[0], **made)
        if kind == 1:
            over = self.any(depth - 1, "is", wild=False)
            other = self.of(over.type, 0)
            return same("CASE {0} WHEN {1} THEN {2} ELSE {3} END", over, other, *parts[:2], **made)
        if kind == 2:
            return same("coalesce({0}, {1}, {2})", *parts, **made)
        if kind == 3:
            return same("nullif({0}, {1})", *parts[:2], type=type, kind=parts[0].kind)
        if type == "f" and result != SMALL:
            return parts[0]  # greatest of NaN: see docs/sql.md
        return same("greatest({0}, {1}, {2})" if self.chance(0.5) else "least({0}, {1}, {2})", *parts, **made)

    def integer(self, depth):
        def leaf():
            return self.leaf("i", (SMALL,), lambda: self.rng.choice([None, 0, 1, -1, 3, self.rng.randint(-50, 50)]))

        if depth <= 0:
            return leaf()
        made = {"type": "i", "kind": SMALL}
        kind = self.rng.randrange(13)
        if kind <= 2:
            operator = self.rng.choice(["+", "-", "*"])
            return same(f"({{0}} {operator} {{1}})", self.integer(depth - 1), self.integer(depth - 1), **made)
        if kind == 3:
            divisor = literal("i", self.rng.choice([1, 2, 3, 7, -2, -5]))
            return apart("({0} / {1})", "({0} // {1})", self.integer(depth - 1), divisor, **made)
        if kind == 4:
            divisor = same("coalesce(nullif({0}, {1}), {2})", self.integer(0), literal("i", 0), literal("i", 4))
            return same("({0} % {1})", self.integer(depth - 1), divisor, **made)
        if kind == 5:
            return same("(- {0})", self.integer(depth - 1), **made)
        if kind == 6:
            return self.branches("i", depth, self.integer)
        if kind == 7:
            name = self.rng.choice(["length", "octet_length", "ascii"])
            theirs = {"octet_length": "strlen"}.get(name, name)
            return apart(f"{name}({{0}})", f"CAST({theirs}({{0}}) AS BIGINT)", self.string(depth - 1), **made)
        if kind == 8:
            parts = (self.string(depth - 1), self.string(0))
            return apart("strpos({0}, {1})", "CAST(strpos({0}, {1}) AS BIGINT)", *parts, **made)
        if kind == 9:
            # A fraction is cut off here and rounded there.
            return apart("CAST({0} AS BIGINT)", "CAST(trunc({0}) AS BIGINT)", self.double(depth - 1), **made)
        if kind == 10:
            return same("CAST({0} AS BIGINT)", self.boolean(depth - 1), **made)
        if kind == 11:
            pair = (self.integer(depth - 1), self.integer(depth - 1))
            ours = self.rng.choice(["({0} & {1})", "({0} | {1})", "({0} ^ {1})"])
            return apart(ours, "xor({0}, {1})" if "^" in ours else ours, *pair, **made)
        return apart("TRY_CAST({0} AS BIGINT)", "TRY_CAST({0} AS BIGINT)", self.leaf_text(), **made)

    def leaf_text(self):
        return literal("s", self.rng.choice(["12", "-7", "x", "", "0", "9223372036854775808", "1e3x"]))

    def unsigned(self, depth):
        def leaf(_):
            return self.leaf("u", (SMALL,), lambda: self.rng.randint(0, 20))

        if depth <= 0:
            return leaf(0)
        made = {"type": "u", "kind": SMALL}
        kind = self.rng.randrange(4)
        if kind == 0:
            return same("({0} + {1})", self.unsigned(depth - 1), self.unsigned(depth - 1), **made)
        if kind == 1:
            return same("({0} * {1})", leaf(0), self.unsigned(depth - 1), **made)
        if kind == 2:
            return self.branches("u", depth, self.unsigned)
        return leaf(0)

    def double(self, depth):
        """Of kind SMALL."""

        def leaf(_=0):
            return self.leaf("f", (SMALL,), lambda: self.rng.choice([None, self.rng.randint(-40, 40) / 4]))

        if depth <= 0:
            return leaf()
        made = {"type": "f", "kind": SMALL}
        kind = self.rng.randrange(9)
        if kind <= 2:
            operator = self.rng.choice(["+", "-", "*"])
            first, second = leaf(), self.rng.choice([leaf, self.integer])(depth - 2)
            return same(f"({{0}} {operator} {{1}})", first, second, **made)
        if kind == 3:
            return same("({0} / {1})", self.double(depth - 1), literal("f", self.rng.choice([2.0, -4.0, 0.5])), **made)
        if kind == 4:
            return self.branches("f", depth, leaf)
        if kind == 5:
            return same("CAST({0} AS DOUBLE)", self.integer(depth - 1), **made)
        if kind == 6:
            name = self.rng.choice(["abs", "ceil", "floor", "round", "trunc"])
            return same(f"{name}({{0}})", self.double(depth - 1), **made)
        if kind == 7:
            return same("(- {0})", self.double(depth - 1), **made)
        part = self.rng.choice(PARTS)
        return apart(f"date_part('{part}', {{0}})", f"CAST(date_part('{part}', {{0}}) AS DOUBLE)", self.time(0), **made)

    def special(self):
        """DOUBLE with NaN, the infinities and -0.0."""
        return self.leaf("f", (SPECIAL,), lambda: self.rng.choice(SPECIAL_FLOATS))

    def rough(self, depth):
        name = self.rng.choice(["sqrt", "exp", "cbrt", "sin", "cos", "atan", "degrees", "radians", "sinh", "tanh"])
        inner = self.double(depth - 1)
        if name == "sqrt":  # of a negative number an error there
            inner = same("abs({0})", inner)
        if name in ("exp", "sinh"):
            inner = same("({0} % {1})", inner, literal("f", 8.0))
        return same(f"{name}({{0}})", inner, type="f", kind=ROUGH)

    def string(self, depth):
        def leaf(_=0):
            return self.leaf("s", (PLAIN,), lambda: self.rng.choice(WORDS + [None]))

        if depth <= 0:
            return leaf()
        made = {"type": "s", "kind": PLAIN}
        small = literal("i", self.rng.randint(0, 4))
        kind = self.rng.randrange(13)
        if kind == 0:
            return same("({0} || {1})", self.string(depth - 1), leaf(), **made)
        if kind == 1:
            return self.branches("s", depth, leaf)
        if kind == 2:
            name = self.rng.choice(["upper", "lower", "trim", "ltrim", "rtrim"])
            if name.endswith("trim") and self.chance(0.5):
                return same(f"{name}({{0}}, 'a b')", self.string(depth - 1), **made)
            return same(f"{name}({{0}})", self.string(depth - 1), **made)
        if kind == 3:
            start = literal("i", self.rng.randint(1, 3))
            return same("substr({0}, {1}, {2})", self.string(depth - 1), start, small, **made)
        if kind == 4:
            return same(
                "replace({0}, {1}, {2})",
                self.string(depth - 1),
                literal("s", self.rng.choice(["a", "ab", "é"])),
                leaf(),
                **made,
            )
        if kind == 5:
            name = self.rng.choice(["left", "right"])
            return same(f"{name}({{0}}, {{1}})", self.string(depth - 1), small, **made)
        if kind == 6:
            return same("concat({0}, {1}, {2})", leaf(), self.string(depth - 1), leaf(), **made)
        if kind == 7:
            name = self.rng.choice(["lpad", "rpad"])
            return apart(
                f"{name}({{0}}, {{1}}, 'xy')", f"{name}({{0}}, CAST({{1}} AS INTEGER), 'xy')", leaf(), small, **made
            )
        if kind == 8:
            return apart("CAST({0} AS STRING)", "CAST({0} AS VARCHAR)", self.any(depth - 1, "iub", wild=False), **made)
        if kind == 9:
            return same("repeat({0}, {1})", leaf(), small, **made)
        if kind == 10:
            part = literal("i", self.rng.randint(1, 3))
            return same(
                "split_part({0}, {1}, {2})", self.string(depth - 1), literal("s", self.rng.choice("ab ,")), part, **made
            )
        if kind == 11:
            return same("md5({0})", self.string(depth - 1), **made)
        return same("reverse({0})", leaf(), **made)

    def time(self, depth):
        def leaf():
            start = self.rng.choice([-86_400_000_000, 951_782_400_000_000, 1_700_000_000_000_000])
            return self.leaf("t", (PLAIN,), lambda: start + self.rng.randrange(10**9))

        if depth <= 0:
            return leaf()
        made = {"type": "t", "kind": PLAIN}
        kind = self.rng.randrange(5)
        if kind == 0:
            unit = self.rng.choice(UNITS)
            return same(f"date_trunc('{unit}', {{0}})", leaf(), **made)
        if kind == 1:
            count, unit = self.rng.randint(1, 40), self.rng.choice(["second", "minute", "hour", "day"])
            return self.bucket(count, unit, leaf())
        if kind == 2:
            count, unit = self.rng.randint(1, 40), self.rng.choice(["second", "minute", "hour", "day", "month", "year"])
            operator = self.rng.choice("+-")
            return same(f"({{0}} {operator} INTERVAL '{count} {unit}')", leaf(), **made)
        if kind == 3:
            return self.branches("t", depth, lambda _: leaf())
        return leaf()

    def bucket(self, count, unit, time):
        # A bucket of DuckDB's begins on a Monday of 2000 unless an origin is given.
        return apart(
            f"date_bin(INTERVAL '{count} {unit}', {{0}})",
            f"time_bucket(INTERVAL '{count} {unit}', {{0}}, TIMESTAMP '1970-01-01 00:00:00')",
            time,
            type="t",
            kind=PLAIN,
        )

    def of_tag(self, tag):
        """A condition on a tag alone."""
        values = HOSTS + ["r1", "r2", "r3", ""]
        kind = self.rng.randrange(5)
        if kind == 0:
            return same("({0} IN ({1}))", tag, joined(", ", [literal("s", self.rng.choice(values)) for _ in range(3)]))
        if kind == 1:
            return same(
                "({0} " + self.rng.choice(["LIKE", "NOT LIKE"]) + " {1})", tag, literal("s", self.rng.choice(PATTERNS))
            )
        if kind == 2:
            return same("({0} IS " + self.rng.choice(["", "NOT "]) + "NULL)", tag)
        return same("({0} " + self.rng.choice(COMPARISONS) + " {1})", tag, literal("s", self.rng.choice(values)))

    def of_time(self, time):
        """A range of time, as a text or a TIMESTAMP; near the rows of some table."""

        def instant():
            start = self.rng.choice(STARTS_US) + self.rng.randrange(300) * self.rng.choice(
                [1, 10**6, 61 * 10**6, 3600 * 10**6]
            )
            shown = literal("t", start)
            return apart("{0}", "TIMESTAMP {0}", shown.ours.removeprefix("TIMESTAMP ")) if self.chance(0.5) else shown

        if self.chance(0.3):
            return same("({0} >= {1} AND {0} < {2})", time, instant(), instant())
        if self.chance(0.2):
            return same("({0} BETWEEN {1} AND {2})", time, instant(), instant())
        return same("({0} " + self.rng.choice(COMPARISONS) + " {1})", time, instant())

    def comparable(self, depth):
        """Two of one type that may be compared."""
        type = self.rng.choice("iiufffbsst")
        if type in "iuf" and self.chance(0.4):
            return self.wild(type), self.wild(type)
        if type == "f" and self.chance(0.4):
            return self.special(), self.special() if self.chance(0.5) else self.double(depth - 1)
        if type in "if" and self.chance(0.3):
            return self.integer(depth - 1), self.double(depth - 1)
        return self.of(type, depth - 1), self.of(type, depth - 1)

    def boolean(self, depth):
        made = {"type": "b", "kind": PLAIN}
        if depth <= 0:
            column = self.pick("b", (PLAIN,))
            if column and self.chance(0.4):
                return column
            first, second = self.comparable(0)
            return same(f"({{0}} {self.rng.choice(COMPARISONS)} {{1}})", first, second, **made)
        kind = self.rng.randrange(16)
        if kind <= 2:
            word = self.rng.choice(["AND", "OR"])
            return same(f"({{0}} {word} {{1}})", self.boolean(depth - 1), self.boolean(depth - 1), **made)
        if kind == 3:
            return same("(NOT {0})", self.boolean(depth - 1), **made)
        if kind <= 6:
            first, second = self.comparable(depth)
            return same(f"({{0}} {self.rng.choice(COMPARISONS)} {{1}})", first, second, **made)
        negated = self.rng.choice(["", "NOT "])
        if kind == 7:
            tested = self.any(depth - 1)
            return same("({0} IS " + negated + "NULL)", tested, **made)
        if kind == 8:
            first, second = self.comparable(depth)
            return same("({0} IS " + negated + "DISTINCT FROM {1})", first, second, **made)
        if kind == 9:
            tested = self.any(depth - 1, "iufbst")
            draw = (lambda: self.wild(tested.type)) if tested.kind == WILD else (lambda: self.of(tested.type, 0))
            listed = joined(", ", [draw() for _ in range(self.rng.randint(1, 5))])
            return same("({0} " + negated + "IN ({1}))", tested, listed, **made)
        if kind == 10:
            first, low = self.comparable(depth)
            high = self.wild(low.type) if low.kind == WILD else self.of(low.type, 0)
            return same("({0} " + negated + "BETWEEN {1} AND {2})", first, low, high, **made)
        if kind == 11:
            word = self.rng.choice(["LIKE", "LIKE", "ILIKE"])
            pattern = literal("s", self.rng.choice(PATTERNS))
            return same("({0} " + negated + word + " {1})", self.string(depth - 1), pattern, **made)
        if kind == 12:
            pattern = literal("s", self.rng.choice(EXPRESSIONS))
            sign = "!~" if negated else "~"
            return apart(
                f"({{0}} {sign} {{1}})",
                f"({negated}regexp_matches({{0}}, {{1}}))",
                self.string(depth - 1),
                pattern,
                **made,
            )
        if kind == 13:
            word = self.rng.choice(["TRUE", "FALSE", "UNKNOWN"])
            theirs = "NULL" if word == "UNKNOWN" else word  # DuckDB has no IS UNKNOWN
            return apart(
                f"({{0}} IS {negated}{word})", f"({{0}} IS {negated}{theirs})", self.boolean(depth - 1), **made
            )
        if kind == 14:
            return same("starts_with({0}, {1})", self.string(depth - 1), self.string(0), **made)
        if self.subqueries and self.chance(0.7):
            return self.subqueries.condition(self)
        return self.branches("b", depth, self.boolean)
