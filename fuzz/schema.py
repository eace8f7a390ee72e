"""Owns: the twin tables: their columns, their rows, and how these get into PostgreSQL and into Parquet.

Schemas: `heap` holds the tables, `shuffled` the same rows in another order (what differs there has no
determined answer), `lake` the foreign tables over the same rows, `side` heap tables that queries
join with either. Every table has `id`, unique and not null, and `k`, a small number with NULLs.
"""

import math
import random
import re
from dataclasses import dataclass

from .values import VALUES

EDGE = math.inf


@dataclass(frozen=True)
class Column:
    """`kind` is a short name of a type (see TYPES); `bound` as in tree.Expr."""

    name: str
    kind: str
    bound: float = 0
    declared: str = ""
    nulls: float = 0.15
    values: str = ""

    @property
    def sql_type(self):
        return self.declared or TYPES[self.kind]


# PostgreSQL's name of each kind.
TYPES = {
    "i2": "smallint", "i4": "integer", "i8": "bigint", "num": "numeric", "f4": "real", "f8": "double precision",
    "text": "text", "bpchar": "char(6)", "bool": "boolean", "date": "date", "ts": "timestamp", "tstz": "timestamptz",
    "time": "time", "iv": "interval", "uuid": "uuid", "bytea": "bytea", "ai": "integer[]", "at": "text[]", "json": "json",
}  # fmt: skip

DUCKDB_TYPES = {
    "i2": "SMALLINT", "i4": "INTEGER", "i8": "BIGINT", "f4": "FLOAT", "f8": "DOUBLE", "text": "VARCHAR", "bpchar": "VARCHAR",
    "bool": "BOOLEAN", "date": "DATE", "ts": "TIMESTAMP", "tstz": "TIMESTAMPTZ", "time": "TIME", "iv": "INTERVAL",
    "uuid": "UUID", "bytea": "BLOB", "ai": "INTEGER[]", "at": "VARCHAR[]", "json": "JSON",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    name: str
    rows: int
    columns: tuple
    files: int = 1
    explicit: bool = False  # columns written out in CREATE FOREIGN TABLE, else inferred


ID = Column("id", "i4", 10_000, nulls=0)
K = Column("k", "i4", 9, values="small", nulls=0.1)

NUMBERS = (
    Column("i2", "i2", 60, values="small2"),
    Column("i4", "i4", 2000),
    Column("i8", "i8", 100_000),
    Column("n", "num", 10_000, "numeric(9,2)"),
    Column("m", "num", 1000, "numeric(20,6)", values="fine"),
    Column("f4", "f4", 100),
    Column("f8", "f8", 1000),
    Column("b", "bool"),
)

TABLES = (
    Table("nums", 60, (ID, K, *NUMBERS)),
    Table(
        "edges",
        24,
        (
            ID,
            K,
            Column("e2", "i2", EDGE, values="edge"),
            Column("e4", "i4", EDGE, values="edge"),
            Column("e8", "i8", EDGE, values="edge"),
            Column("en", "num", EDGE, "numeric(38,10)", values="edge"),
            Column("ef4", "f4", EDGE, values="edge"),
            Column("ef8", "f8", EDGE, values="edge"),
            Column("ed", "date", EDGE, values="edge"),
            Column("ets", "ts", EDGE, values="edge"),
            Column("etz", "tstz", EDGE, values="edge"),
            Column("tm", "time", EDGE, values="edge"),
            Column("z", "f8", 1, values="zero"),
        ),
    ),
    Table(
        "texts",
        50,
        (
            ID,
            K,
            Column("t", "text"),
            Column("word", "text", values="ascii", nulls=0),
            Column("v", "text", declared="varchar(20)", values="ascii"),
            Column("c", "bpchar"),
            Column("digits", "text", values="digits"),
        ),
        explicit=True,
    ),
    Table(
        "times",
        50,
        (
            ID,
            K,
            Column("d", "date"),
            Column("ts", "ts"),
            Column("tz", "tstz"),
            Column("tm", "time"),
            Column("iv", "iv"),
            Column("d0", "date", nulls=0),
        ),
    ),
    Table(
        "misc",
        40,
        (
            ID,
            K,
            Column("u", "uuid"),
            Column("ba", "bytea"),
            Column("ai", "ai"),
            Column("ta", "at"),
            Column("j", "json"),
            Column("b", "bool"),
            Column("MiXed", "text", values="ascii"),
            Column("select", "i4", 2000),
        ),
    ),
    Table(
        "odd",
        70,
        (
            ID,
            K,
            Column("t", "text", values="odd", nulls=0.02),
            Column("a'b", "text", values="odd"),
            Column('q"q', "i4", 2000),
            Column("\x030:1\x03", "text", values="ascii"),
            Column("{DATA_PATH} --", "i8", 100_000),
            Column("$1", "date"),
        ),
    ),
    Table("nothing", 0, (ID, K, *NUMBERS, Column("t", "text"), Column("d", "date"))),
    Table(
        "big",
        5000,
        (
            ID,
            K,
            Column("g", "i4", 300, values="group", nulls=0.02),
            Column("i8", "i8", 100_000),
            Column("n", "num", 10_000, "numeric(12,2)"),
            Column("f8", "f8", 1000),
            Column("t", "text", values="ascii"),
            Column("d", "date", nulls=0.05),
            Column("ts", "ts", nulls=0.05),
        ),
        files=3,
    ),
)

# Heap tables on both sides.
SIDE = (
    Table(
        "side_dim",
        12,
        (
            ID,
            K,
            Column("name", "text", values="ascii", nulls=0.1),
            Column("i8", "i8", 100_000),
            Column("d", "date"),
            Column("n", "num", 10_000, "numeric"),
            Column("b", "bool"),
        ),
    ),
    Table("side_nothing", 0, (ID, K, Column("t", "text"), Column("f8", "f8", 1000))),
)

BY_NAME = {table.name: table for table in TABLES + SIDE}


def rows_of(table):
    """The table's rows, as texts that PostgreSQL reads; None for NULL, lists for arrays. Always the same."""
    rng = random.Random(f"rows of {table.name}")
    rows = []
    for number in range(table.rows):
        row = []
        for column in table.columns:
            if column.name == "id":
                row.append(str(number + 1))
            elif rng.random() < column.nulls:
                row.append(None)
            else:
                make = VALUES[column.kind, column.values]
                row.append(make(rng, number))
        rows.append(row)
    rng.shuffle(rows)
    return rows


# ---- PostgreSQL


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def always_quoted(name):
    return '"' + name.replace('"', '""') + '"'


def postgres_literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, list):
        elements = ("NULL" if v is None else '"%s"' % v.replace("\\", "\\\\").replace('"', '\\"') for v in value)
        return quoted("{%s}" % ",".join(elements))
    return quoted(value)


def column_list(table):
    return ", ".join(f"{always_quoted(column.name)} {column.sql_type}" for column in table.columns)


def fill(conn, schema, table, rows):
    conn.execute(f"CREATE TABLE {schema}.{table.name} ({column_list(table)})")
    for start in range(0, len(rows), 1000):
        texts = ("(" + ", ".join(map(postgres_literal, row)) + ")" for row in rows[start : start + 1000])
        conn.execute(f"INSERT INTO {schema}.{table.name} VALUES {', '.join(texts)}")
    conn.execute(f"ANALYZE {schema}.{table.name}")


def make_heap(conn):
    """Schemas heap, shuffled and side, with their tables."""
    conn.execute("SET timezone = 'Etc/UTC'")
    for schema in ("heap", "shuffled", "side"):
        conn.execute(f"CREATE SCHEMA {schema}")
    for table in TABLES:
        rows = rows_of(table)
        fill(conn, "heap", table, rows)
        fill(conn, "shuffled", table, rows[::-1])
    for table in SIDE:
        fill(conn, "side", table, rows_of(table))


# ---- Parquet


def duckdb_type(column):
    return column.declared.replace("numeric", "DECIMAL") if column.kind == "num" else DUCKDB_TYPES[column.kind]


def duckdb_literal(column, value):
    if value is None:
        return "NULL"
    if column.kind == "bytea":
        return f"unhex('{value.removeprefix(chr(92) + 'x')}')"
    if isinstance(value, list):
        return "[" + ", ".join("NULL" if v is None else quoted(v) for v in value) + "]::" + duckdb_type(column)
    if column.kind in ("date", "ts", "tstz"):
        value = re.sub(r"^(\S+)(.*) BC$", r"\1 (BC)\2", value)
    return quoted(value)


def write_parquet(duck, folder):
    """Writes every table below `folder`, a URL or a directory; `duck` is DuckDB's own connection."""
    duck.execute("SET TimeZone = 'Etc/UTC'")
    for table in TABLES:
        columns = ", ".join(f"{always_quoted(column.name)} {duckdb_type(column)}" for column in table.columns)
        duck.execute(f"CREATE OR REPLACE TEMP TABLE written ({columns})")
        rows = rows_of(table)
        for start in range(0, len(rows), 500):
            texts = (
                "(" + ", ".join(duckdb_literal(column, value) for column, value in zip(table.columns, row)) + ")"
                for row in rows[start : start + 500]
            )
            duck.execute(f"INSERT INTO written VALUES {', '.join(texts)}")
        share = math.ceil(table.rows / table.files) or 1
        for number in range(table.files):
            duck.execute(
                f"COPY (SELECT * FROM written LIMIT {share} OFFSET {share * number}) "
                f"TO '{folder}/{table.name}/{number}.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
            )
    duck.execute("DROP TABLE written")


def make_lake(conn, server, folder):
    """Schema lake, with a foreign table over each table's files."""
    conn.execute("CREATE SCHEMA lake")
    for table in TABLES:
        columns = column_list(table) if table.explicit else ""
        conn.execute(
            f"CREATE FOREIGN TABLE lake.{table.name} ({columns}) SERVER {server} OPTIONS (path '{folder}/{table.name}/*.parquet')"
        )


def make_wrong_twins(conn, changes):
    """Schema wrong: views over heap, of which some compute a column wrongly: {(table, column): expression}."""
    conn.execute("CREATE SCHEMA wrong")
    for table in TABLES:
        columns = ", ".join(
            f"{changes[table.name, column.name]} AS {always_quoted(column.name)}"
            if (table.name, column.name) in changes
            else always_quoted(column.name)
            for column in table.columns
        )
        conn.execute(f"CREATE VIEW wrong.{table.name} AS SELECT {columns} FROM heap.{table.name}")


def column_differences(conn, schema):
    """What the columns of `schema` have otherwise than those of `heap`: (table, column, type here, type there)."""
    texts = """SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'f', 'v') ORDER BY c.relname, a.attnum"""
    heap, other = (dict(conn.execute(texts, (name,)).fetchall()) for name in ("heap", schema))
    return [
        (name, heap.get(name), other.get(name))
        for name in sorted(heap.keys() | other.keys())
        if heap.get(name) != other.get(name)
    ]


# Wrongs as a bad translation would make them; the self-test of the generator.
WRONG = {
    ("nums", "i2"): "coalesce(i2, 0::smallint)",
    ("nums", "f8"): "f8 + CASE WHEN f8 > 900 THEN 1 ELSE 0 END",
    ("texts", "t"): "btrim(t)",
    ("times", "ts"): "date_trunc('milliseconds', ts)",
    ("big", "n"): "n::numeric",
}
