"""Owns: how bytes, texts, arguments and catalog rows are spoiled. Everything is drawn from the generator that
is passed in, so that a number makes the same case again."""

import json
import struct

INTERESTING = [0, 1, -1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63)]
ODD_TEXTS = [
    "", " ", "'", '"', "\\", "\x01", "\x03", "\x030:1\x03", "\x7f", "{DATA_PATH}", "{SNAPSHOT_ID}", "{COMMIT_MESSAGE}", "'; SELECT 1; --", "../../x", "/etc/passwd", "%00", "%2e%2e/", "é\u202e\U0001f986", "a" * 5000, "-1", "99999999999999999999",
    "NaN", "null", "[]", "{}", "[[[[", "*", "**", "?", "$1", "1e400", "0x10", "infinity", "1970-01-01", "9999999-12-31", "P1Y", "\ufeffx", "\n", "\r\n", ",,,", ";", "\t", "true",
]  # fmt: skip


def bytes_of(rng, data, others=(b"",)):
    """A spoiled copy of a file's bytes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        way = rng.randrange(11)
        # Footers and headers hold the structure: most of the spoiling happens there.
        size = len(data)
        if size == 0:
            data = bytearray(rng.randbytes(rng.randrange(1, 64)))
            continue
        near = rng.choice((0, size, rng.randrange(size)))
        at = max(0, min(size - 1, near + rng.randint(-200, 200)))
        if way == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0x15, rng.randrange(256)))
        elif way == 2:
            del data[at:]
        elif way == 3:
            del data[at : at + rng.randrange(1, 64)]
        elif way == 4:
            data[at:at] = rng.randbytes(rng.randrange(1, 32))
        elif way == 5:
            length = rng.choice((4, 8))
            number = rng.choice(INTERESTING) & (256**length - 1)
            data[at : at + length] = number.to_bytes(length, rng.choice(("little", "big")))
        elif way == 6:
            data[at : at + rng.randrange(1, 200)] = bytes(rng.randrange(1, 200))
        elif way == 7:
            start = rng.randrange(size)
            data[at:at] = data[start : start + rng.randrange(1, 300)]
        elif way == 8:
            # A number of variable length with every bit set.
            data[at : at + 10] = b"\xff" * 9 + b"\x01"
        elif way == 9:
            other = rng.choice(others)
            data[at:] = other[at:]
        else:
            data[at : at + 8] = struct.pack("<d", rng.choice((float("nan"), float("inf"), 1e308, -0.0)))
    return bytes(data)


def text_of(rng, data):
    """A spoiled copy of a text file: whole tokens, not only bytes."""
    text = data.decode(errors="replace")
    for _ in range(rng.choice((1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        way = rng.randrange(5)
        if way == 0:
            text = text[:at] + rng.choice(ODD_TEXTS) + text[at:]
        elif way == 1:
            text = text[:at]
        elif way == 2:
            text = text[:at] + rng.choice(("[", '{"a":', "(", '"')) * rng.choice((10, 1000, 30000)) + text[at:]
        elif way == 3:
            text = text[: at // 2] + text[at:]
        else:
            text = text * 2
    return text.encode(errors="surrogatepass")


def json_of(rng, value, depth=0):
    """A spoiled copy of a JSON value: keys gone, doubled or of another type."""
    if rng.random() < 0.06:
        return rng.choice((None, True, [], {}, "", 0, -1, 2**63, -(2**70), 1e300, rng.choice(ODD_TEXTS), [value] * 3, {"a": value}))
    if isinstance(value, dict):
        made = {key: json_of(rng, inner, depth + 1) for key, inner in value.items() if rng.random() > 0.03}
        if rng.random() < 0.03:
            made[rng.choice(ODD_TEXTS)] = rng.choice(INTERESTING)
        return made
    if isinstance(value, list):
        return [json_of(rng, inner, depth + 1) for inner in value if rng.random() > 0.05] * rng.choice((1,) * 30 + (0, 2))
    if isinstance(value, int) and rng.random() < 0.1:
        return rng.choice(INTERESTING)
    if isinstance(value, str) and rng.random() < 0.06:
        return rng.choice(ODD_TEXTS)
    return value


def json_lines(rng, data):
    """The same for a file of JSON values, one a line."""
    lines = [line for line in data.decode().split("\n") if line]
    made = []
    for line in lines:
        try:
            made.append(json.dumps(json_of(rng, json.loads(line))))
        except ValueError:
            made.append(line)
    if rng.random() < 0.2:
        rng.shuffle(made)
    return "\n".join(made).encode() + b"\n"


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def argument(rng, depth=0):
    """An argument for a function of DuckDB's, as SQL."""
    way = rng.randrange(20)
    if way == 0:
        return "NULL"
    if way == 1:
        return rng.choice(("true", "false"))
    if way in (2, 3):
        return str(rng.choice(INTERESTING + [2, 3, 10, 1000, 100000]))
    if way == 4:
        return rng.choice(("1e308", "-1e308", "'nan'::DOUBLE", "'inf'::FLOAT", "0.1", "1e-320", "12345678901234567890123456789012345678"))
    if way in (5, 6, 7):
        return quoted(rng.choice(ODD_TEXTS))
    if way == 8:
        return rng.choice(("DATE '1970-01-01'", "DATE '5877642-06-25 (BC)'", "'infinity'::TIMESTAMP", "TIMESTAMP '294247-01-10 04:00:54'", "INTERVAL '99999999 years'", "INTERVAL '-1 day'", "TIME '24:00:00'", "TIMESTAMPTZ '1970-01-01 00:00:00+15:59'", "'12:00:00+15:59:59'::TIMETZ"))
    if way == 9:
        return rng.choice(("'\\xFF\\x00'::BLOB", "''::BLOB", "'101'::BIT", "uuid()", "'{\"a\": [1, null]}'::JSON", "'99999999999999999999999999'::HUGEINT", "'x'::VARCHAR COLLATE NOCASE", "123456789012345678901234567890::BIGNUM"))
    if way == 10 and depth < 3:
        return "[" + ", ".join(argument(rng, depth + 1) for _ in range(rng.randrange(4))) + "]"
    if way == 11 and depth < 3:
        return "{" + ", ".join(f"'{name}': {argument(rng, depth + 1)}" for name in ("a", "b", "c")[: rng.randrange(1, 4)]) + "}"
    if way == 12 and depth < 3:
        return f"MAP {{{argument(rng, depth + 1)}: {argument(rng, depth + 1)}}}"
    if way == 13:
        return rng.choice(("x -> x", "(x, y) -> x + y", "lambda x: x", "lambda x, y: x || y", "lambda x: [x]"))
    if way == 14:
        return rng.choice(("repeat('a', 100000)", "range(10000)", "repeat('[', 999)", "chr(1114111)", "list_value(NULL, NULL)", "[]", "[[[]]]", "repeat('é', 70000)", "array_value(1, 2, 3)", "union_value(k := 1)", "'x'::ENUM('x', 'y')", "row(1, NULL)"))
    if way == 15:
        return rng.choice(("'%s%n%d'", "'%Y-%m-%d %H:%M:%S.%g %z %Z %j'", "'{:d}{}'", "'(?:(a+)+)+b'", "'[[:alpha:]]{1000}'", "'$.a[*].b'", "'/a/0'", "'$..a'", "'year'", "'x'::JSON"))
    if way == 16:
        return f"{rng.choice(('a', 'b', 'x', 'format', 'name', 'encoding'))} := {argument(rng, depth + 1)}"
    if way == 17:
        return f"({argument(rng, depth + 1)})::{rng.choice(('VARCHAR', 'INT', 'DOUBLE', 'BLOB', 'DATE', 'JSON', 'TIMESTAMP', 'DECIMAL(38, 37)', 'VARCHAR[]', 'INT[3]', 'UHUGEINT', 'TIMESTAMP_NS', 'BIT', 'UUID', 'INTERVAL', 'STRUCT(a INT)'))}"
    return rng.choice(("v", "i", "l", "s", "d", "b"))


SOURCES = [
    "(VALUES (1, 'a', [1, 2], {'a': 1}, DATE '2026-01-01', 'x'::BLOB), (NULL, NULL, NULL, NULL, NULL, NULL), (-5, '\\x01é', [NULL], {'a': NULL}, DATE '0001-01-01', ''::BLOB)) t(i, v, l, s, d, b)",
    "(SELECT i, repeat('é', (i % 50)::INT) AS v, range(i % 9) AS l, {'a': i} AS s, DATE '2026-01-01' + i::INT AS d, i::VARCHAR::BLOB AS b FROM range(3000) r(i)) t",
    "(SELECT NULL::INT AS i, ''::VARCHAR AS v, []::INT[] AS l, {'a': 1} AS s, NULL::DATE AS d, NULL::BLOB AS b WHERE false) t",
]  # fmt: skip


def call(rng, names, operators):
    """A query with a few calls of allowed functions."""
    calls = []
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(names)
        arguments = [argument(rng) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 5)))]
        if rng.random() < 0.15:
            inner = rng.choice(names)
            arguments[:1] = [f"{inner}({', '.join(argument(rng) for _ in range(rng.randrange(3)))})"]
        made = f"{name}({rng.choice(('', '', '', '', 'DISTINCT ')) if arguments else ''}{', '.join(arguments)})"
        if rng.random() < 0.12:
            made += rng.choice((" OVER ()", " OVER (ORDER BY i)", " OVER (PARTITION BY v ORDER BY i ROWS BETWEEN 1 PRECEDING AND 5 FOLLOWING)", " FILTER (i > 0)", " WITHIN GROUP (ORDER BY i)"))
        calls.append(made)
    if rng.random() < 0.1:
        calls.append(f"{argument(rng)} {rng.choice(operators)} {argument(rng)}")
    where = f" WHERE {calls[0]} IS NOT NULL" if rng.random() < 0.15 else ""
    group = " GROUP BY i" if rng.random() < 0.1 else ""
    return f"SELECT {', '.join(f'({made})::VARCHAR AS c{n}' for n, made in enumerate(calls))} FROM {rng.choice(SOURCES)}{where}{group} LIMIT 50"
