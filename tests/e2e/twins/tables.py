"""The tables of the twin tests: their columns, their rows in PostgreSQL's words, and how the same
rows get into a heap table and into a Parquet file with a foreign table over it.

The rows go from PostgreSQL to DuckDB as CSV, each type in a form that both read exactly: nothing of
pg_pond takes part.
"""

import dataclasses

from psycopg import sql

# type → (PostgreSQL's expression for the CSV field, DuckDB's expression for the value); {0} is the
# column. Types that are not listed have the same name and the same text on both sides.
MICROSECONDS = "CASE WHEN isfinite({0}) THEN (extract(epoch FROM {0}) * 1000000)::bigint::text ELSE {0}::text END"
TRANSPORT = {
    "bytea": ("encode({0}, 'hex')", "unhex({0})"),
    "char": ("rtrim({0})", "{0}"),
    "date": ("replace({0}::text, ' BC', ' (BC)')", "CAST({0} AS DATE)"),
    "int[]": ("to_json({0})", "CAST(CAST({0} AS JSON) AS INTEGER[])"),
    "text[]": ("to_json({0})", "CAST(CAST({0} AS JSON) AS VARCHAR[])"),
    "jsonb": ("{0}", "CAST({0} AS JSON)"),
    "numeric": ("{0}", "CAST({0} AS DECIMAL(38, 10))"),
    "timestamp": (
        MICROSECONDS,
        "CASE WHEN {0} LIKE '%inf%' THEN CAST({0} AS TIMESTAMP) ELSE make_timestamp(CAST({0} AS BIGINT)) END",
    ),
    "timestamptz": (
        MICROSECONDS,
        "CASE WHEN {0} LIKE '%inf%' THEN CAST({0} AS TIMESTAMPTZ) ELSE make_timestamptz(CAST({0} AS BIGINT)) END",
    ),
    # Parquet's intervals have milliseconds.
    "interval": (
        "(extract(year FROM {0}) * 12 + extract(month FROM {0}))::int || ' ' || extract(day FROM {0})::int || ' ' || "
        "((extract(hour FROM {0}) * 3600 + extract(minute FROM {0}) * 60 + extract(second FROM {0})) * 1000000)::bigint",
        "to_months(CAST(split_part({0}, ' ', 1) AS INTEGER)) + to_days(CAST(split_part({0}, ' ', 2) AS INTEGER)) + "
        "to_microseconds(CAST(split_part({0}, ' ', 3) AS BIGINT))",
    ),
}


@dataclasses.dataclass(frozen=True)
class Table:
    """columns: name → type. rows: a query, or the tuples of a VALUES list.

    inferred: the foreign table takes its columns from the file; otherwise they are listed. A table of
    type numeric without a scale has the values with ten decimals in both twins.
    """

    name: str
    columns: dict
    rows: str
    inferred: bool = True
    index: str | None = None
    row_group_rows: int = 122880

    @property
    def definition(self):
        return ", ".join(f"{quoted(name)} {kind}" for name, kind in self.columns.items())

    def transport(self, place):
        """(column, expression) for the way out of PostgreSQL, `export`, or into DuckDB, `load`."""
        for name, kind in self.columns.items():
            plain = kind.split(" COLLATE")[0]
            export, load = TRANSPORT.get("char" if plain.startswith("char") else plain, ("{0}", f"CAST({{0}} AS {plain})"))
            yield name, (export if place == "export" else load).format(quoted(name))


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def make_heap(conn, schema, table):
    target = sql.Identifier(schema, table.name)
    source = table.rows if table.rows.lstrip().upper().startswith(("SELECT", "WITH")) else f"VALUES {table.rows}"
    # Through a VALUES list of untyped literals, so that each takes the type of its column.
    conn.execute(sql.SQL("CREATE TABLE {} ({})").format(target, sql.SQL(table.definition)))
    conn.execute(sql.SQL("INSERT INTO {} {}").format(target, sql.SQL(source)))
    if table.index:
        conn.execute(sql.SQL("CREATE INDEX ON {} ({})").format(target, sql.SQL(table.index)))
    conn.execute(sql.SQL("ANALYZE {}").format(target))


def write_parquet(conn, writer, schema, table, url, directory):
    """Copies a heap table into a Parquet file, through a CSV file in the directory."""
    exports = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in table.transport("export"))
    path = directory / f"{table.name}.csv"
    copy = f'COPY (SELECT {exports} FROM {schema}.{quoted(table.name)}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)'
    with open(path, "wb") as file, conn.cursor().copy(copy) as out:
        for block in out:
            file.write(block)
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in table.columns)
    loads = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in table.transport("load"))
    writer.execute(
        f"COPY (SELECT {loads} FROM read_csv('{path}', columns = {{{columns}}}, header = false, auto_detect = false, "
        f"delim = ',', quote = '\"', escape = '\"', allow_quoted_nulls = false, nullstr = '')) TO '{url}' (FORMAT parquet, ROW_GROUP_SIZE {table.row_group_rows})"
    )
    path.unlink()


def make_foreign(conn, schema, table, url):
    columns = "" if table.inferred else table.definition
    conn.execute(
        sql.SQL("CREATE FOREIGN TABLE {} ({}) SERVER lake OPTIONS (path {})").format(
            sql.Identifier(schema, table.name), sql.SQL(columns), sql.Literal(url)
        )
    )


def make_twins(conn, writer, tables, folder, directory, make_foreign=make_foreign):
    """Makes each table in the schemas `heap` and `lake`; the files lie in a folder of bucket lake."""
    conn.execute("CREATE SCHEMA IF NOT EXISTS heap; CREATE SCHEMA IF NOT EXISTS lake; SET timezone = 'UTC'; SET datestyle = 'ISO'")
    for table in tables:
        url = f"s3://lake/{folder}/{table.name}.parquet"
        make_heap(conn, "heap", table)
        write_parquet(conn, writer, "heap", table, url, directory)
        make_foreign(conn, "lake", table, url)
