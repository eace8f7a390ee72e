"""The 22 queries of TPC-H at scale factor 0.1: on foreign tables over Parquet files the same rows as on
heap tables, and each pushed whole. Data and texts come from DuckDB's extension tpch when the test runs."""

import pytest

from twins import cases, harness

SCALE = 0.1
KEYS = {
    "region": "r_regionkey",
    "nation": "n_nationkey",
    "supplier": "s_suppkey",
    "customer": "c_custkey",
    "part": "p_partkey",
    "partsupp": "ps_partkey, ps_suppkey",
    "orders": "o_orderkey",
    "lineitem": "l_orderkey, l_linenumber",
}
INDEXES = {"lineitem": ["l_partkey, l_suppkey"], "orders": ["o_custkey"], "partsupp": ["ps_suppkey"]}


@pytest.fixture(scope="module")
def client(lake_writer):
    lake_writer.execute("LOAD tpch")
    yield lake_writer


@pytest.fixture(scope="module")
def twins(sandbox, database, su, servers, client, tmp_path_factory):
    folder, directory = f"s3://lake/tpch/{database}", tmp_path_factory.mktemp("tpch")
    client.execute("CREATE SCHEMA tpch")
    client.execute(f"CALL dbgen(sf = {SCALE}, schema = 'tpch')")
    su.execute("CREATE SCHEMA heap; CREATE SCHEMA lake")
    for table, key in KEYS.items():
        client.execute(f"COPY tpch.{table} TO '{folder}/{table}.parquet' (FORMAT parquet)")
        su.execute(f"CREATE FOREIGN TABLE lake.{table} () SERVER lake OPTIONS (path '{folder}/{table}.parquet')")
        su.execute(f"CREATE TABLE heap.{table} (LIKE lake.{table})")
        csv = directory / f"{table}.csv"
        client.execute(f"COPY tpch.{table} TO '{csv}' (FORMAT csv, HEADER false)")
        with open(csv, "rb") as file, su.cursor().copy(f"COPY heap.{table} FROM STDIN (FORMAT csv)") as into:
            while block := file.read(1 << 20):
                into.write(block)
        csv.unlink()
        su.execute(f"ALTER TABLE heap.{table} ADD PRIMARY KEY ({key})")
        for columns in INDEXES.get(table, ()):
            su.execute(f"CREATE INDEX ON heap.{table} ({columns})")
        su.execute(f"ANALYZE heap.{table}")
    client.execute("DROP SCHEMA tpch CASCADE")
    made = harness.Twins(harness.connector(sandbox, database), timeout="60s")
    yield made
    made.close()


@pytest.mark.parametrize("number", range(1, 23))
def test_query(twins, client, number):
    (text,) = client.execute("SELECT query FROM tpch_queries() WHERE query_nr = ?", [number]).fetchone()
    twins.check(cases.whole(text.strip().rstrip(";"), ordered=True))


def test_the_rows_are_all_there(twins, su):
    for table in KEYS:
        counts = [su.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone() for schema in ("heap", "lake")]
        assert counts[0] == counts[1] and counts[0][0] > 0
