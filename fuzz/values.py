"""Owns: the values in the tables' rows, by kind of column; texts that PostgreSQL reads."""

import datetime

WORDS = "ant bee cat dog eel fox gnu hen ibis jay Ant BEE Cat dOG".split()
TEXTS = [
    "", " ", "a", "A", "b", "ab", "aB", "abc", "a%b", "a_b", "100%", "_", "%", "\\", "a\\b", "it's", '"q"', "ä", "Ä", "äb", "é",
    "e\u0301", "ß", "ss", "日本", "日本語", "🦆", "a🦆b", "trail ", " lead", "a\tb", "line\nbreak", "0", "12", "-7", "1e3", "NULL",
    "null", "true", "zz", "z", "Z", "a b c", "aXbXc", "x,y,,z", "\u0130", "ÿ", "éa", "x" * 60,
]  # fmt: skip

# What a translator, DuckDB or a lake might take for a mark, a placeholder, a parameter or the end of a text.
ODD_TEXTS = [
    *map(chr, range(1, 0x20)), "\x7f", "\x030:0\x03", "\x030:1\x03", "\x031:1\x03", "\x041259\x04", "\x01\x02", "{SNAPSHOT_ID}", "{DATA_PATH}", "{COMMIT_MESSAGE}", "{}", "{", "}", "$1", "$$", "%s", "'", "''", '""', "\\'",
    "--", "/*", "*/", ";", "' || 'x", "'; SELECT 1 --", "\u2028", "\u202e", "\ufeff",
]  # fmt: skip

EDGES = {
    "i2": ["-32768", "32767", "0", "-1", "1"],
    "i4": ["-2147483648", "2147483647", "0", "-1", "1"],
    "i8": ["-9223372036854775808", "9223372036854775807", "0", "-1", "9007199254740993", "4294967296"],
    "num": [
        "9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0", "0.0000000001",
        "-0.0000000001", "-0.05", "12345678901234567890.5", "1.1",
    ],
    "f4": ["NaN", "Infinity", "-Infinity", "-0", "0", "1.17549435e-38", "3.4028235e38", "1e-45", "0.1", "16777216"],
    "f8": ["NaN", "Infinity", "-Infinity", "-0", "0", "2.2250738585072014e-308", "1.7976931348623157e308", "5e-324", "0.1", "9007199254740993", "1e15", "1e-7"],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "0001-01-01", "1900-02-28", "2000-02-29", "9999-12-31", "1969-12-31", "2024-12-30", "1582-10-10"],
    "ts": [
        "infinity", "-infinity", "0044-03-15 12:00:00 BC", "0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999",
        "2000-02-29 12:30:00.5", "1900-01-01 00:00:00",
    ],
    "tstz": [
        "infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "1969-12-31 23:59:59.999999+00", "2026-03-29 00:59:59+00", "2026-03-29 01:00:00+00",
        "2026-10-25 00:30:00+00", "2026-10-25 01:30:00+00", "1900-01-01 00:00:00+00", "9999-12-31 23:00:00+00",
    ],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00", "12:00:00", "00:00:00.000001"],
}  # fmt: skip


def _edge(kind):
    pool = EDGES[kind]
    return lambda rng, number: pool[number % len(pool)] if number < 2 * len(pool) else rng.choice(pool)


def _scaled(low, high, scale):
    def make(rng, number):
        whole = rng.randint(low * 10**scale, high * 10**scale)
        sign, whole = ("-" if whole < 0 else ""), abs(whole)
        return f"{sign}{whole // 10**scale}" + (f".{whole % 10**scale:0{scale}d}" if scale else "")

    return make


def _day(rng, number):
    return str(datetime.date(2019, 12, 20) + datetime.timedelta(days=rng.randint(0, 800)))


def _moment(rng, number):
    text = f"{_day(rng, number)} {rng.randint(0, 23):02d}:{rng.choice((0, 0, 15, 30, 59)):02d}:{rng.choice((0, 0, 1, 59)):02d}"
    return text + rng.choice(("", "", "", ".5", ".123456", ".000001"))


def _interval(rng, number):
    """To the millisecond and not negative: Parquet's intervals hold no more."""
    return rng.choice(
        ("0", "1 day", "24:00:00", "1 mon", "30 days", "1 year 2 mons 3 days 04:05:06.5", "00:00:00.001",
         "100:00:00", "12 mons", "1 year", f"{rng.randint(0, 40)} days", f"{rng.randint(0, 50)}:{rng.randint(0, 59):02d}:00")
    )  # fmt: skip


def _uuid(rng, number):
    digits = rng.choice(
        ("0" * 32, "f" * 32, "8" + "0" * 31, "7" + "f" * 31, f"{rng.getrandbits(128):032x}", f"{number % 7:032x}")
    )
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _json(rng, number):
    return rng.choice(
        ('{"a":1}', '{"a": "x", "b": [1, 2, null]}', "[]", "[1,2.50,3]", "null", "true", '"text"', "12", "-1.50e2", '{"a":null}', '{}',
         '{"a":{"b":"deep"},"a":2}', '{"ä":"ü"}')
    )  # fmt: skip


def _list(pool):
    return lambda rng, number: [rng.choice(pool) for _ in range(rng.choice((0, 1, 2, 3)))]


# (kind, variant) -> function(rng, row number)
VALUES = {
    ("i2", "small2"): lambda rng, number: str(rng.randint(-30, 60)),
    ("i4", ""): lambda rng, number: str(rng.choice((rng.randint(-2000, 2000), rng.randint(-5, 5)))),
    ("i4", "small"): lambda rng, number: str(rng.randint(0, 7)),
    ("i4", "group"): lambda rng, number: str(rng.randint(0, 300)),
    ("i8", ""): lambda rng, number: str(rng.choice((rng.randint(-100_000, 100_000), rng.randint(-9, 9)))),
    ("num", ""): lambda rng, number: rng.choice((_scaled(-9999, 9999, 2), _scaled(-3, 3, 2)))(rng, number),
    ("num", "fine"): lambda rng, number: rng.choice(
        (_scaled(-999, 999, 6), _scaled(-3, 3, 3), _scaled(-3, 3, 2), _scaled(-9, 9, 0))
    )(rng, number),
    ("f4", ""): lambda rng, number: str(rng.randint(-400, 400) / 4),
    ("f8", ""): lambda rng, number: str(rng.randint(-8000, 8000) / 8),
    # Not with 0: DuckDB writes both as the one that came first.
    ("f8", "zero"): lambda rng, number: rng.choice(("-0", "1", "-1", "-0")),
    ("text", ""): lambda rng, number: TEXTS[number] if number < len(TEXTS) else rng.choice(TEXTS),
    ("text", "odd"): lambda rng, number: ODD_TEXTS[number] if number < len(ODD_TEXTS) else rng.choice(ODD_TEXTS),
    ("text", "ascii"): lambda rng, number: rng.choice(WORDS),
    ("text", "digits"): lambda rng, number: str(rng.randint(-99, 99)),
    ("bpchar", ""): lambda rng, number: rng.choice(("a", "a ", "ab", "abc   ", "", "é", "abcdef", "B")),
    ("bool", ""): lambda rng, number: rng.choice(("t", "f")),
    ("date", ""): _day,
    ("ts", ""): _moment,
    ("tstz", ""): lambda rng, number: _moment(rng, number) + "+00",
    ("time", ""): lambda rng, number: _moment(rng, number).split()[1],
    ("iv", ""): _interval,
    ("uuid", ""): _uuid,
    ("bytea", ""): lambda rng, number: "\\x" + rng.choice(("", "00", "ff", "00ff", "6162", "c3a4", "0a0d00", "5c")),
    ("ai", ""): _list(["1", "2", "3", "-5", "7", None]),
    ("at", ""): _list(["a", "b", "", "é", "x y", 'q"', None]),
    ("json", ""): _json,
    **{(kind, "edge"): _edge(kind) for kind in EDGES},
}
