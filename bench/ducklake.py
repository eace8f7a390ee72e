"""Owns: what is measured of lakes: reading and writing their foreign tables, against DuckDB's own client
on the same lake. The lake's catalog is a database of the bench's own PostgreSQL, reached over 127.0.0.1
with a password; its data is in the S3 store. Each function returns rows of the table, as those of cases.py."""

import contextlib
import os
import secrets
import statistics
from collections.abc import Callable, Iterator

import duckdb
import psycopg

import cluster
import data
from cases import settings, timed
from lake import planning_ms, same, scans
from measure import Row, absolute, in_turn, ratio, seconds

READ = "Reading a lake, 1 M rows × 16 columns, warm, base: DuckDB itself on the same lake"
PLANNING = "Where the time of reading a lake goes"
INSERT = "INSERT of 1 M rows × 16 columns into a lake, base: DuckDB's own INSERT … FROM read_parquet of the same rows"
CHANGE = "Changing 1 M rows of a lake in place, base: DuckDB's own"
SESSION = "A session's first look at a lake"

NAME = "bench_lake"
FILES = (1, 100, 1000)
QUERIES = {
    "one order by its key": "SELECT * FROM {} WHERE l_orderkey = {key} ORDER BY l_linenumber",
    "sums of all rows in groups": "SELECT l_returnflag, l_linestatus, count(*), sum(l_quantity), "
    "min(l_extendedprice), max(l_shipdate) FROM {} GROUP BY 1, 2 ORDER BY 1, 2",
}


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Lake:
    """A new lake, which a session of PostgreSQL's and DuckDB's own client have open."""

    def __init__(self, connection: psycopg.Connection, client: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.client = client

    def attach(self) -> None:
        password = secrets.token_hex(16)
        path = f"s3://lake/bench-{secrets.token_hex(4)}/"
        run = self.connection.execute
        if run(f"SELECT 1 FROM pg_roles WHERE rolname = '{NAME}'").fetchone():
            run(f"ALTER ROLE {NAME} PASSWORD '{password}'")
        else:
            run(f"CREATE ROLE {NAME} LOGIN PASSWORD '{password}'")
        run(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        run(f"CREATE DATABASE {NAME} OWNER {NAME}")
        run(
            f"CREATE SERVER {NAME}_store TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS "
            f"(location 's3://lake/', endpoint '{os.environ['S3_ENDPOINT']}', region '{os.environ['S3_REGION']}', "
            "url_style 'path', use_ssl 'false', writable 'true')"
        )
        run(
            f"CREATE USER MAPPING FOR CURRENT_USER SERVER {NAME}_store OPTIONS "
            f"(key_id '{os.environ['S3_KEY_ID']}', secret '{os.environ['S3_SECRET']}')"
        )
        place = f"host '127.0.0.1', port '{os.environ['PGPORT']}', dbname '{NAME}'"
        run(
            f"CREATE SERVER {NAME} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS (catalog 'postgres', {place}, "
            f"data_path '{path}', storage '{NAME}_store', data_inlining_row_limit '0')"
        )
        run(f"CREATE USER MAPPING FOR CURRENT_USER SERVER {NAME} OPTIONS (user '{NAME}', password '{password}')")
        run(f"CREATE SCHEMA {NAME}")

        for extension in ("postgres_scanner", "ducklake"):
            self.client.execute(f"LOAD {extension}")
        data.use_store(self.client)
        place = f"host=127.0.0.1 port={os.environ['PGPORT']} dbname={NAME} user={NAME} password={password}"
        self.client.execute(
            f"ATTACH {literal(f'ducklake:postgres:{place}')} AS {NAME} "
            f"(DATA_PATH '{path}', DATA_INLINING_ROW_LIMIT 0)"
        )

    def create(self, table: str, source: str) -> None:
        """An empty table for the rows of `source`, which the client can read."""
        self.client.execute(f"CREATE TABLE {NAME}.{table} AS FROM {source} LIMIT 0")

    def import_tables(self) -> None:
        self.connection.execute(f"DROP SCHEMA {NAME} CASCADE; CREATE SCHEMA {NAME}")
        self.connection.execute(f"IMPORT FOREIGN SCHEMA main FROM SERVER {NAME} INTO {NAME}")


@contextlib.contextmanager
def opened() -> Iterator[Lake]:
    def drop(connection: psycopg.Connection) -> None:
        connection.execute(f"DROP SERVER IF EXISTS {NAME} CASCADE")
        connection.execute(f"DROP SERVER IF EXISTS {NAME}_store CASCADE")
        connection.execute(f"DROP SCHEMA IF EXISTS {NAME} CASCADE")

    with cluster.connect() as connection:
        drop(connection)
    # The sessions end before what they use is dropped.
    try:
        with cluster.connect() as connection, data.extension_client() as client:
            lake = Lake(connection, client)
            lake.attach()
            yield lake
    finally:
        with cluster.connect() as connection:
            drop(connection)
            connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
            connection.execute(f"DROP ROLE {NAME}")


def split(lake: Lake, files: data.Files) -> None:
    """Tables read1, read100 and read1000 with the same rows in the same order, in so many files."""
    client = lake.client
    client.execute(f"CREATE TABLE million AS FROM read_parquet('{files.million}')")
    rows = 1_000_000
    for count in FILES:
        table = f"read{count}"
        lake.create(table, "million")
        client.execute("BEGIN")
        each = rows // count
        for first in range(0, rows, each):
            client.execute(
                f"INSERT INTO {NAME}.{table} FROM million WHERE rowid BETWEEN {first} AND {first + each - 1}"
            )
        client.execute("COMMIT")
        found = client.execute(f"SELECT count(*) FROM ducklake_list_files('{NAME}', '{table}')").fetchone()
        assert found == (count,)
    client.execute("DROP TABLE million")


def read(lake: Lake, files: data.Files, runs: int) -> list[Row]:
    split(lake, files)
    lake.import_tables()
    settings(lake.connection, lake.client)
    median = lake.client.execute(f"SELECT quantile_disc(l_orderkey, 0.5) FROM {NAME}.read1").fetchone()
    assert median is not None
    rows: list[Row] = []
    planning: list[Row] = []
    for what, query in QUERIES.items():
        for count in FILES:
            text = query.format(f"{NAME}.read{count}", key=median[0])
            kinds, own = scans(lake.connection, text)
            whole = len(own) == 1 and set(kinds) == {"Custom Scan"}
            equal = same(lake.connection.execute(text).fetchall(), lake.client.execute(text).fetchall())
            pairs = in_turn(
                lambda text=text: seconds(lambda: lake.connection.execute(text).fetchall()),
                lambda text=text: seconds(lambda: lake.client.execute(text).fetchall()),
                runs,
            )
            name = f"{what}, {count:,} file{'s' if count > 1 else ''}"
            row = ratio(READ, name, pairs, 1.2)
            more = statistics.median(ours - base for ours, base in pairs) * 1e3
            row.forgiven = more <= 5
            row.comment = f"{more:+.1f} ms"
            row.comment += "" if whole else f"; {len(own)} scans, not whole"
            row.comment += "" if equal else "; **other rows**"
            rows.append(row)
            times = [planning_ms(lake.connection, text) for _ in range(runs)]
            planning.append(absolute(PLANNING, f"planning: {name}", times, None, "ms"))
    return rows + planning


def first_look(runs: int) -> list[Row]:
    """In fresh sessions: the attaching counts."""
    query = QUERIES["one order by its key"]
    text = query.format(f"{NAME}.read1", key=1)
    first, second = [], []
    for turn in range(runs + 1):
        with cluster.connect() as connection:
            connection.execute("SELECT * FROM duckdb.query('SELECT 42 AS a')")
            times = [timed(connection, text)() * 1e3 for _ in range(2)]
        if turn:
            first.append(times[0])
            second.append(times[1])
    return [
        absolute(SESSION, "one order by its key, 1 file, first", first, None, "ms"),
        absolute(SESSION, "the same again", second, None, "ms"),
    ]


def alternate(
    lake: Lake, ours: Callable[[int], str], base: Callable[[int], str], runs: int, *, truncate: bool
) -> list[tuple[float, float]]:
    """The statements change as they are repeated. `truncate` empties the tables before each, which does
    not count."""

    def side(table: str, run: Callable[[str], object], text: Callable[[int], str]) -> Callable[[], float]:
        turn = iter(range(runs + 1))

        def one() -> float:
            sql = text(next(turn))
            if truncate:
                lake.client.execute(f"TRUNCATE {NAME}.{table}")
            return seconds(lambda: run(sql))

        return one

    return in_turn(
        side("ours", lake.connection.execute, ours),
        side("base", lambda sql: lake.client.execute(sql).fetchall(), base),
        runs,
    )


def equal_tables(lake: Lake) -> bool:
    def rest(one: str, other: str) -> object:
        sql = f"SELECT count(*) FROM (FROM {NAME}.{one} EXCEPT ALL FROM {NAME}.{other})"
        return lake.client.execute(sql).fetchone()

    return rest("ours", "base") == rest("base", "ours") == (0,)


def write(lake: Lake, files: data.Files, runs: int) -> list[Row]:
    """Our statements write one table, DuckDB's another of the same kind."""
    million = f"read_parquet('{files.million}')"
    for table in ("ours", "base"):
        lake.create(table, million)
    lake.import_tables()
    settings(lake.connection, lake.client)

    def row(section: str, what: str, target: float | None, pairs: list[tuple[float, float]]) -> Row:
        found = ratio(section, what, pairs, target)
        found.comment = "" if equal_tables(lake) else "**other rows**"
        return found

    rows = [
        row(
            INSERT,
            "INSERT … SELECT * FROM a heap table",
            1.5,
            alternate(
                lake,
                lambda _: f"INSERT INTO {NAME}.ours SELECT * FROM lineitem_1m",
                lambda _: f"INSERT INTO {NAME}.base FROM {million}",
                runs,
                truncate=True,
            ),
        )
    ]
    # Both now hold one million rows in the same files. Every run meets other rows.
    for what, change in (
        (
            "UPDATE of 1 % of the rows",
            "UPDATE {} SET l_tax = l_tax + 0.01, l_comment = 'new' WHERE l_partkey % 100 = {}",
        ),
        ("DELETE of 1 % of the rows", "DELETE FROM {} WHERE l_partkey % 100 = {}"),
    ):
        pairs = alternate(
            lake,
            lambda turn, change=change: change.format(f"{NAME}.ours", turn),
            lambda turn, change=change: change.format(f"{NAME}.base", turn),
            runs,
            truncate=False,
        )
        rows.append(row(CHANGE, what, None, pairs))
    csv = cluster.DATA / "lineitem-100k.csv"
    lake.client.execute(f"COPY (FROM {million} LIMIT 100000) TO '{csv}' (FORMAT csv, HEADER false)")
    csv.chmod(0o644)
    pairs = alternate(
        lake,
        lambda _: f"COPY {NAME}.ours FROM '{csv}' (FORMAT csv)",
        lambda _: f"COPY {NAME}.base FROM '{csv}' (FORMAT csv, HEADER false)",
        runs,
        truncate=True,
    )
    rows.append(row(CHANGE, "COPY FROM of 100,000 rows of CSV into an empty table", None, pairs))
    return rows


def ducklake(files: data.Files, runs: int) -> list[Row]:
    with opened() as lake:
        return read(lake, files, 3 * runs) + first_look(runs) + write(lake, files, runs)
