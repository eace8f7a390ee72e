"""pg_stat_statements and the texts of DuckDB queries."""

import pytest

from support import private_cluster


@pytest.mark.parametrize("preload", ["pg_stat_statements,pg_pond", "pg_stat_statements"])
def test_texts_of_duckdb_are_statements_not_values(sandbox, preload):
    if not list(sandbox.bindir.parent.rglob("pg_stat_statements.so")):
        pytest.skip("this PostgreSQL comes without pg_stat_statements")
    with private_cluster(sandbox, shared_preload_libraries=preload) as cluster, cluster.connect() as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements")
        conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a') q")
        conn.execute("SELECT pg_stat_statements_reset()")
        for number in (1, 2, 2, 3):
            conn.execute(f"SELECT * FROM duckdb.query('SELECT {number} AS a') q WHERE a < {number + 10}")
        for number in (1, 2, 3):
            conn.execute(f"SELECT a FROM generate_series(1, {number}) a")
        found = conn.execute(
            "SELECT query, calls FROM pg_stat_statements WHERE query LIKE 'SELECT%FROM duckdb%' OR query LIKE 'SELECT a%' ORDER BY query"
        ).fetchall()
        assert found == [
            ("SELECT * FROM duckdb.query('SELECT 1 AS a') q WHERE a < $1", 1),
            ("SELECT * FROM duckdb.query('SELECT 2 AS a') q WHERE a < $1", 2),
            ("SELECT * FROM duckdb.query('SELECT 3 AS a') q WHERE a < $1", 1),
            ("SELECT a FROM generate_series($1, $2) a", 3),
        ]
