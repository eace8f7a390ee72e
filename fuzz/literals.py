"""Owns: constants of each kind."""

import math

from .schema import TYPES, quoted
from .tree import Literal

_NUMBERS = {
    "i2": ["0", "1", "2", "-3", "7", "60"],
    "i4": ["0", "1", "2", "3", "-1", "5", "10", "100", "-2000"],
    "i8": ["0", "1", "-2", "3", "9", "1000", "-100000"],
    "num": ["0", "1", "-1", "0.5", "2.50", "-3.75", "100", "0.000001", "9999.99"],
    "f4": ["0", "1", "-0.5", "2.25", "100"],
    "f8": ["0", "1", "-0.5", "2.125", "100", "-1000"],
}
_OTHERS = {
    "text": ["", "a", "A", "b", "ab", "cat", "dog", "ä", "日本", "🦆", "it's", "%", "12", "a%b", "z", " ", "\x03", "\x030:1\x03", "\x030:2\x03", "\x041259\x04", "\x01\x7f", "{SNAPSHOT_ID}", "$1", "--", "/*", "\\", "'; SELECT 1 --"],
    "bpchar": ["a", "ab", "", "é", "abc"],
    "bool": ["true", "false"],
    "date": ["2020-01-01", "2020-02-29", "2019-12-31", "2021-06-15", "2020-12-31"],
    "ts": ["2020-01-01 00:00:00", "2020-02-29 12:30:00", "2021-01-01 23:59:59.999999", "2020-06-15 15:00:00.5"],
    "tstz": ["2020-01-01 00:00:00+00", "2020-07-01 12:00:00+02", "2021-03-28 01:30:00+00"],
    "time": ["00:00:00", "12:00:00", "15:30:59.5"],
    "iv": ["1 day", "1 mon", "30 days", "00:00:00", "2 days 03:00:00", "-1 mon"],
    "uuid": [
        "00000000-0000-0000-0000-000000000000",
        "80000000-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000-000000000003",
    ],
    "bytea": ["\\x", "\\x00ff", "\\x6162", "\\xff"],
    "ai": ["{}", "{1,2}", "{1,NULL}", "{7}"],
    "at": ["{}", "{a,b}", '{"",NULL}', "{é}"],
    "json": ['{"a":1}', "[]", "null"],
}
_EDGES = {
    "i2": ["32767", "-32768"],
    "i4": ["2147483647", "-2147483648"],
    "i8": ["9223372036854775807", "-9223372036854775808", "9007199254740993"],
    "num": ["12345678901234567890.5", "-0.0000000001", "1e20"],
    "f4": ["NaN", "Infinity", "-0"],
    "f8": ["NaN", "Infinity", "-Infinity", "1e300", "-0"],
    "date": ["infinity", "-infinity", "0044-03-15 BC"],
    "ts": ["infinity", "-infinity", "0044-03-15 12:00:00 BC"],
    "tstz": ["infinity"],
    "time": ["24:00:00"],
}


def constant(kind, value, bound, parameter=False):
    """The constant of the text `value`, None for NULL."""
    cast = TYPES[kind]
    if value is None:
        parts = (f"NULL::{cast}",)
    elif kind == "bool":
        parts = (value,)
    elif kind == "i4" and value != "-2147483648":
        parts = (value if value[0] != "-" else f"({value})",)
    elif kind == "num" and "." in value:
        parts = (value if value[0] != "-" else f"({value})",)
    else:
        parts = (f"{quoted(value)}::{cast}",)
    return Literal(kind, parts, bound, "", value, cast, parameter)


def literal(rng, kind, *, edge, parameter=False):
    """A constant of the kind; one at the edges of its type, or NULL, only if `edge`."""
    chance = rng.random()
    if edge and chance < 0.04:
        return constant(kind, None, 0, parameter)
    if edge and chance < 0.12 and kind in _EDGES:
        return constant(kind, rng.choice(_EDGES[kind]), math.inf, parameter)
    if kind in _NUMBERS:
        value = rng.choice(_NUMBERS[kind])
        return constant(kind, value, abs(float(value)), parameter)
    return constant(kind, rng.choice(_OTHERS[kind]), 0, parameter)


def simplest(kind):
    """What shrinking puts in place of an expression: constants without any trouble, and NULL."""
    first = (_NUMBERS.get(kind) or _OTHERS.get(kind))[:2]
    return [constant(kind, value, 0) for value in (*first, None)]
