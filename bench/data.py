"""Owns: the data. The tables of TPC-H at scale factor 1 (lineitem: 6,001,215 rows, 16 columns) as Parquet,
made by DuckDB's tpch extension once and kept in the cache; lineitem as heap tables; the queries."""

import os
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg

import cluster

COLUMNS = {
    "varchar": "l_returnflag, l_linestatus, l_shipinstruct, l_shipmode, l_comment",
    "decimal": "l_quantity, l_extendedprice, l_discount, l_tax",
    "bigint": "l_orderkey, l_partkey, l_suppkey, l_linenumber::bigint AS l_linenumber",
}


TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")


@dataclass
class Files:
    """Paths that the server can read."""

    million: Path
    tables: dict[str, Path]

    @property
    def all(self) -> Path:
        return self.tables["lineitem"]


def extension_client() -> duckdb.DuckDBPyConnection:
    """DuckDB itself, which finds its extensions where the sandbox's were taken from."""
    return duckdb.connect(config={"extension_directory": os.environ["DUCKDB_EXTENSION_DIR"]})


def make_files() -> Files:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pg_pond" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    tables = {table: cache / f"{table}-sf1-{duckdb.__version__}.parquet" for table in TABLES}
    million = cache / f"lineitem-1m-{duckdb.__version__}.parquet"
    if not all(path.exists() for path in (million, *tables.values())):
        print("  making the tables of TPC-H", flush=True)
        client = extension_client()
        client.execute("LOAD tpch")
        client.execute("CALL dbgen(sf = 1)")
        for path, source in ((million, "lineitem LIMIT 1000000"), *((path, table) for table, path in tables.items())):
            partial = path.with_suffix(".partial")
            client.execute(f"COPY (FROM {source}) TO '{partial}' (FORMAT parquet)")
            partial.rename(path)
    return Files(cluster.share(million), {table: cluster.share(path) for table, path in tables.items()})


def queries(client: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """The 22 queries, as DuckDB's extension has them."""
    client.execute("LOAD tpch")
    found = client.execute("SELECT query_nr, query FROM tpch_queries() ORDER BY query_nr").fetchall()
    return {number: text.strip().rstrip(";") for number, text in found}


def make_foreign_tables(connection: psycopg.Connection, files: Files) -> None:
    """Schema tpch: the eight files as foreign tables of a server of the type file."""
    connection.execute("DROP SERVER IF EXISTS bench_files CASCADE")
    connection.execute("DROP SCHEMA IF EXISTS tpch CASCADE")
    connection.execute(
        f"CREATE SERVER bench_files TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{cluster.DATA}')"
    )
    connection.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER bench_files")
    connection.execute("CREATE SCHEMA tpch")
    for table, path in files.tables.items():
        connection.execute(f"CREATE FOREIGN TABLE tpch.{table} () SERVER bench_files OPTIONS (path '{path}')")


def load_heap(connection: psycopg.Connection, files: Files) -> None:
    """Heap copies, logged, frozen, with all hint bits set, so that reading them writes nothing."""
    for table, path in (("lineitem", files.all), ("lineitem_1m", files.million)):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(
            f"CREATE TABLE {table} WITH (autovacuum_enabled = off) AS "
            f"SELECT * FROM duckdb.query($$ FROM read_parquet('{path}') $$)"
        )
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}")


def use_store(client: duckdb.DuckDBPyConnection) -> None:
    """Lets the client read and write the S3 bucket."""
    client.execute("LOAD httpfs")
    client.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{os.environ['S3_KEY_ID']}', SECRET '{os.environ['S3_SECRET']}', "
        f"ENDPOINT '{os.environ['S3_ENDPOINT']}', REGION '{os.environ['S3_REGION']}', URL_STYLE 'path', USE_SSL false)"
    )


def put_into_store(file: Path) -> str:
    """A copy of the file in the S3 bucket."""
    url = f"s3://lake/bench/{file.name}"
    with extension_client() as client:
        use_store(client)
        client.execute(f"COPY (FROM '{file}') TO '{url}'")
    return url
