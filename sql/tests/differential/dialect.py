"""Text for both at once: what Tidewire is asked and what DuckDB is asked for the same thing."""

from typing import NamedTuple

# Types of the values, by a letter: i BIGINT, u BIGINT UNSIGNED, f DOUBLE, b BOOLEAN, s STRING, t TIMESTAMP.
#
# Kinds say what may be done with a value so that both must agree to the last bit:
#   small    integers, and multiples of a quarter, small enough that no arithmetic rounds or overflows
#   special  the same with NaN, the infinities and -0.0 among them
#   wild     extremes of the type: they are compared, sorted and grouped, and nothing is computed of them
#   rough    DOUBLE that depends on the order of rows or on the mathematical library: shown, and nothing else
#   plain    everything that is no number
SMALL, SPECIAL, WILD, ROUGH, PLAIN = "small", "special", "wild", "rough", "plain"


class Both(NamedTuple):
    """One thing in the two dialects."""

    ours: str
    theirs: str
    type: str = ""
    kind: str = PLAIN


def same(pattern, *parts, type="", kind=PLAIN):
    """`pattern` with the parts in its braces, the same in both dialects."""
    return apart(pattern, pattern, *parts, type=type, kind=kind)


def apart(ours, theirs, *parts, type="", kind=PLAIN):
    """A pattern for each dialect, with the same parts in their braces."""
    parts = [part if isinstance(part, Both) else Both(str(part), str(part)) for part in parts]
    return Both(
        ours.format(*(part.ours for part in parts)), theirs.format(*(part.theirs for part in parts)), type, kind
    )


def joined(separator, parts):
    return Both(separator.join(part.ours for part in parts), separator.join(part.theirs for part in parts))


NAMES_OURS = {"i": "BIGINT", "u": "BIGINT UNSIGNED", "f": "DOUBLE", "b": "BOOLEAN", "s": "STRING", "t": "TIMESTAMP"}
NAMES_THEIRS = {"i": "BIGINT", "u": "UBIGINT", "f": "DOUBLE", "b": "BOOLEAN", "s": "VARCHAR", "t": "TIMESTAMP"}


def text(value):
    return "'" + value.replace("'", "''") + "'"


def literal(type, value, kind=PLAIN):
    """A constant. DuckDB takes 5 as 32 bits and 1.5 as DECIMAL, so it is told the type."""
    if value is None:
        return apart(
            "CAST(NULL AS {0})", "CAST(NULL AS {1})", NAMES_OURS[type], NAMES_THEIRS[type], type=type, kind=kind
        )
    if type == "i":
        return apart("{0}" if value >= 0 else "({0})", "CAST('{0}' AS BIGINT)", value, type=type, kind=kind)
    if type == "u":
        return apart("CAST('{0}' AS BIGINT UNSIGNED)", "CAST('{0}' AS UBIGINT)", value, type=type, kind=kind)
    if type == "f":
        ours = "({0})" if abs(value) < 1e6 and repr(value) != "-0.0" else "CAST('{0}' AS DOUBLE)"
        return apart(ours, "CAST('{0}' AS DOUBLE)", repr(value), type=type, kind=kind)
    if type == "b":
        return same("TRUE" if value else "FALSE", type=type)
    if type == "s":
        return Both(text(value), text(value), type)
    if type == "t":
        shown = text(moment(value))
        return Both("TIMESTAMP " + shown, "TIMESTAMP " + shown, type)
    raise AssertionError(type)


def moment(us):
    """Microseconds since 1970 as a text that both read."""
    import datetime

    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)
    return at.isoformat(sep=" ", timespec="microseconds")
