"""Every type × comparison, order, grouping, conditional expression, parameter; values at the edges.

Each type has a table of its own, `t_<name>`, with the columns id, x (each value once, and NULL) and y
(the same values in another order).
"""

import dataclasses

from .cases import ANY, PART, WHOLE, either, make
from .tables import Table


@dataclasses.dataclass(frozen=True)
class Type:
    """values: literals without quotes; the first three are ordinary ones, used as constants.

    equal, order: what is expected where the type is compared for equality and for order.
    constants: more literals to compare with; among them those that equal a value without being it,
    which in a table would leave open which of the two a group shows.
    sets: what is expected of set operations and extremes, if not what holds for equality and order.
    """

    name: str
    sql: str
    values: tuple
    equal: str = WHOLE
    order: str = WHOLE
    inferred: bool = True
    constants: tuple = ()
    sets: str | None = None

    @property
    def table(self):
        return f"t_{self.name}"

    def literal(self, value):
        return "'" + value.replace("'", "''") + f"'::{self.sql}"

    def rows(self):
        quoted = ["'" + value.replace("'", "''") + "'" for value in self.values]
        count = len(quoted)
        # y is x turned round by three; both have NULLs, one row has two, one value comes twice.
        pairs = [(quoted[n], quoted[(n + 3) % count]) for n in range(count)]
        pairs += [("NULL", quoted[0]), (quoted[1], "NULL"), ("NULL", "NULL"), (quoted[2], quoted[2])]
        return ", ".join(f"({n}, {x}, {y})" for n, (x, y) in enumerate(pairs, 1))


UUIDS = [f"{head}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}" for head in ("12345678", "7fffffff", "80000000", "00000000", "ffffffff")]

TYPES = [
    Type("bool", "boolean", ("true", "false", "true")),
    Type("int2", "smallint", ("5", "-5", "17", "0", "1", "-1", "32767", "-32768")),
    Type("int4", "integer", ("5", "-5", "17", "0", "1", "-1", "2147483647", "-2147483648")),
    Type("int8", "bigint", ("5", "-5", "17", "0", "1", "-1", "9223372036854775807", "-9223372036854775808", "2147483648")),
    Type("dec4", "numeric(4,2)", ("5.25", "-0.05", "17.00", "0", "99.99", "-99.99", "0.01")),
    Type("dec18", "numeric(18,4)", ("5.25", "-0.0005", "17", "0", "99999999999999.9999", "-99999999999999.9999", "0.0001")),
    Type("dec38", "numeric(38,10)", ("5.25", "-0.5", "17", "0", "9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0.0000000001")),
    Type("int38", "numeric(38,0)", ("5", "-5", "17", "0", "99999999999999999999999999999999999999", "-99999999999999999999999999999999999999", "18446744073709551616")),
    Type("numeric", "numeric", ("5.2500000000", "-0.5000000000", "17.0000000000", "0.0000000000", "123456789012345678.0123456789"), inferred=False, sets=ANY),
    Type("float4", "real", ("5.25", "-0.5", "17", "0", "1e-38", "3.4e38", "-3.4e38", "0.1", "16777216", "NaN", "Infinity", "-Infinity"), constants=("-0",)),
    Type("float8", "double precision", ("5.25", "-0.5", "17", "0", "5e-324", "1.7976931348623157e308", "-1.7976931348623157e308", "0.1", "9007199254740993", "NaN", "Infinity", "-Infinity"), constants=("-0",)),
    Type("text", "text", ("abc", "ABC", "ab", "", " ", "abc ", "Äpfel", "äpfel", "ß", "🦆", "z", "a\tb", "a'b", "\u00e9", "e\u0301", "日本語", "a%b_c\\d", "\uffff", "0")),
    Type("varchar", "varchar(12)", ("abc", "ABC", "ab", "", "abc ", "ä", "🦆🦆", "Z"), inferred=False),
    Type("bpchar", "char(6)", ("abc", "ABC", "ab", "", "ä", "🦆", "a b"), ANY, ANY, inferred=False, constants=("abc  ", "      ")),
    Type("date", "date", ("2024-02-29", "1999-12-31", "2000-01-01", "1970-01-01", "0001-01-01", "0044-03-15 BC", "4714-11-24 BC", "5874897-12-31", "infinity", "-infinity", "1582-10-10")),
    Type("timestamp", "timestamp", ("2024-02-29 12:34:56.789012", "1999-12-31 23:59:59.999999", "2000-01-01", "1970-01-01", "1969-12-31 23:59:59.5", "0044-03-15 10:00:00 BC", "4714-11-24 00:00:00 BC", "294246-12-31 23:59:59.999999", "infinity", "-infinity")),
    Type("timestamptz", "timestamptz", ("2024-02-29 12:34:56.789012+00", "2024-03-31 01:00:00+00", "2000-01-01 00:00:00+00", "1970-01-01 00:00:00+00", "2024-10-27 01:30:00+00", "0044-03-15 10:00:00+00 BC", "294246-12-31 23:59:59+00", "infinity", "-infinity")),
    Type("time", "time", ("12:34:56.789", "00:00:00", "23:59:59.999999", "24:00:00", "06:00:00"), ANY, ANY),
    Type("interval", "interval", ("1 day", "23:59:59", "1 month", "0", "1 year 2 months 3 days 04:05:06.789", "00:00:01.5", "29 days"), ANY, ANY, constants=("24:00:00", "30 days", "720:00:00", "-1 day", "426 days")),
    Type("uuid", "uuid", tuple(UUIDS), WHOLE, ANY),
    Type("bytea", "bytea", ("\\x616263", "\\x00ff00", "\\x", "\\x00", "\\xff", "\\x6162"), ANY, ANY),
]

TABLES = [Table(kind.table, {"id": "integer", "x": kind.sql, "y": kind.sql}, kind.rows(), kind.inferred) for kind in TYPES]

# With {t} the table, {a}, {b}, {c} three constants of the type.
SETS = [
    "SELECT x FROM {t} UNION SELECT y FROM {t}",
    "SELECT x FROM {t} INTERSECT SELECT y FROM {t} WHERE id < 5",
    "SELECT x FROM {t} EXCEPT ALL SELECT y FROM {t} WHERE id < 5",
]
# Numerics without a typmod may have different scales on the two sides: PostgreSQL compares them.
IN_SUBQUERY = "SELECT id FROM {t} WHERE x IN (SELECT y FROM {t} WHERE y IS NOT NULL)"
ON_EQUALITY = [
    "SELECT id, x, y FROM {t}",
    "SELECT id FROM {t} WHERE x = {a}",
    "SELECT id FROM {t} WHERE {a} <> x",
    "SELECT id FROM {t} WHERE NOT (x = {a} OR y = {b})",
    "SELECT id FROM {t} WHERE x IN ({a}, {b})",
    "SELECT id FROM {t} WHERE x NOT IN ({a}, {b})",
    "SELECT id FROM {t} WHERE x IN ({a}, NULL)",
    "SELECT id FROM {t} WHERE x NOT IN ({a}, NULL)",
    "SELECT id FROM {t} WHERE x = ANY (ARRAY[{a}, {c}])",
    "SELECT id FROM {t} WHERE x <> ALL (ARRAY[{a}, {c}])",
    "SELECT id, x IS NULL AS isnull, x IS NOT NULL AS nonnull FROM {t} WHERE x IS NULL OR y IS NOT NULL",
    "SELECT id, x = y AS eq, x <> y AS ne, x IS DISTINCT FROM y AS d, x IS NOT DISTINCT FROM {a} AS n FROM {t}",
    "SELECT id, COALESCE(x, y, {a}) AS c, NULLIF(x, {b}) AS n, CASE WHEN x = y THEN x WHEN x IS NULL THEN y END AS w, "
    "CASE x WHEN {a} THEN 'a' WHEN {b} THEN 'b' ELSE 'other' END AS s FROM {t}",
    "SELECT x, count(*) AS n FROM {t} GROUP BY x",
    "SELECT DISTINCT x FROM {t}",
    "SELECT count(x) AS n, count(DISTINCT x) AS d FROM {t}",
    "SELECT a.id, b.id AS other FROM {t} a JOIN {t} b ON a.x = b.y",
    "SELECT a.id, b.id AS other FROM {t} a LEFT JOIN {t} b ON a.x = b.y AND b.id > 2",
    IN_SUBQUERY,
    "SELECT id FROM {t} a WHERE NOT EXISTS (SELECT FROM {t} b WHERE b.y = a.x AND b.id > 3)",
]
ON_ORDER = [
    "SELECT a.id, b.id AS other, a.x < b.x AS lt, a.x <= b.x AS le, a.x > b.x AS gt, a.x >= b.x AS ge FROM {t} a, {t} b",
    "SELECT id FROM {t} WHERE x < {a} OR x >= {c}",
    "SELECT id FROM {t} WHERE x BETWEEN {b} AND {a}",
    "SELECT id FROM {t} WHERE x NOT BETWEEN SYMMETRIC {a} AND {b}",
    "SELECT id, GREATEST(x, y, {a}) AS g, LEAST(x, {b}, y) AS l FROM {t}",
    "SELECT id, x FROM {t} ORDER BY x, id",
    "SELECT id, x FROM {t} ORDER BY x DESC, id",
    "SELECT id, x FROM {t} ORDER BY x NULLS FIRST, id DESC LIMIT 5",
    "SELECT id, x, y FROM {t} ORDER BY x DESC NULLS LAST, y NULLS FIRST, id OFFSET 2",
    "SELECT a.id, b.id AS other FROM {t} a JOIN {t} b ON a.x > b.y",
    "SELECT id, rank() OVER (ORDER BY x) AS r, dense_rank() OVER (ORDER BY x DESC NULLS LAST) AS d FROM {t}",
    "SELECT id FROM {t} WHERE (x, id) < ({a}, 3)",
]
EXTREMES = ["SELECT min(x) AS lo, max(x) AS hi, min(y) FILTER (WHERE id > 3) AS f FROM {t}", "SELECT y, min(x) AS lo, max(x) AS hi FROM {t} GROUP BY y"]
WITHOUT_EXTREMES = {"bool", "uuid", "bytea"}


def constants(kind):
    a, b, c = (kind.literal(value) for value in kind.values[:3])
    return {"t": kind.table, "a": a, "b": b, "c": c}


def of_type(kind):
    """The cases of one type."""
    with_constants = constants(kind)
    for query in ON_EQUALITY:
        push = PART if query is IN_SUBQUERY and kind.name == "numeric" else kind.equal
        yield make(push, query.format(**with_constants))
    for query in SETS:
        yield make(kind.sets or kind.equal, query.format(**with_constants))
    for query in EXTREMES if kind.name not in WITHOUT_EXTREMES else ():
        yield make(kind.sets or kind.order, query.format(**with_constants))
    for query in ON_ORDER:
        yield make(kind.order, query.format(**with_constants), ordered=" ORDER BY x" in query and "OVER" not in query)
    # Each value as a constant, on either side.
    compared = ", ".join(
        f"x = {v} AS eq{n}, x <> {v} AS ne{n}, x < {v} AS lt{n}, {v} <= x AS le{n}, x > {v} AS gt{n}, {v} >= x AS ge{n}"
        for n, v in enumerate(kind.literal(value) for value in dict.fromkeys(kind.values + kind.constants))
    )
    yield make(kind.order, f"SELECT id, {compared} FROM {kind.table}")
    first = with_constants["a"]
    yield make(kind.equal, f"SELECT id FROM {kind.table} WHERE x = $1", (kind.sql, first))
    yield make(kind.equal, f"SELECT id, x FROM {kind.table} WHERE x = $1", (kind.sql, "NULL"))
    yield make(kind.order, f"SELECT id, COALESCE(x, $1) AS c FROM {kind.table} WHERE x >= $1 OR x IS NULL", (kind.sql, with_constants["b"]))
    for value in kind.values[3:]:
        yield make(kind.equal, f"SELECT id, $1 AS p FROM {kind.table} WHERE x = $1", (kind.sql, kind.literal(value)))
    yield either(f"SELECT id FROM {kind.table} WHERE x = ANY ($1)", (f"{kind.sql}[]", f"ARRAY[{first}, NULL]"))


CASES = [case for kind in TYPES for case in of_type(kind)]
