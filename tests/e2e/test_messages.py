"""What errors say, and what they do not."""

import pytest

from support import failure, private_cluster, words


@pytest.mark.parametrize("preload", ["", "pg_pond"])
def test_no_backtrace_whatever_the_servers_environment(sandbox, preload):
    with private_cluster(sandbox, initialise=False) as cluster:
        cluster.environment = {"RUST_BACKTRACE": "full", "RUST_LIB_BACKTRACE": "1"}
        cluster.initialise().configure(shared_preload_libraries=preload).start()
        with cluster.connect() as conn:
            conn.execute("CREATE EXTENSION pg_pond")
            for statement in (
                "SELECT * FROM duckdb.query('SELECT nosuch') q",
                "SELECT * FROM duckdb.query_rows('SELECT 1/0::int FROM nosuch') AS t(a int)",
                "SELECT duckdb.execute('nonsense')",
                "CREATE SERVER s TYPE 'nosuch' FOREIGN DATA WRAPPER duckdb",
                "SELECT * FROM duckdb.snapshots('nosuch')",
                # PostgreSQL's own errors, which go through our frames.
                "SELECT * FROM duckdb.list_files('nosuch')",
                "SET statement_timeout = '50ms'; SELECT * FROM duckdb.query('SELECT sum(a.i * b.i) FROM range(1000000) a(i), range(1000000) b(i)') q",
            ):
                told = words(failure(conn, statement))
                assert "stack backtrace" not in told and ".rs:" not in told and "pgrx" not in told, told


@pytest.fixture
def asker(connect, su, role):
    """A role that may run queries."""
    name = role()
    su.execute(f"GRANT USAGE ON SCHEMA duckdb TO {name}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA duckdb TO {name}")
    return connect(name)


@pytest.mark.parametrize("table, state, hinted", [
    ("of_postgresql", "42P01", True),
    ("public.of_postgresql", "42P01", True),
    ("not_granted", "42P01", False),
    ("nowhere", "42P01", False),
    ("nowhere.nothing", "42P01", False),
    ("pg_stat_activity", "42P01", True),
    ("pg_roles", "42P01", True),
    ("pg_authid", "42P01", False),
    ("pg_nosuch", "42P01", False),
    ("pg_tables", "42501", False),
    ("duckdb_secrets", "42501", False),
])
def test_a_table_that_duckdb_does_not_have(asker, su, table, state, hinted):
    su.execute("CREATE TABLE IF NOT EXISTS of_postgresql (a int); CREATE TABLE IF NOT EXISTS not_granted (a int)")
    su.execute("GRANT SELECT ON of_postgresql TO PUBLIC")
    error = failure(asker, f"SELECT * FROM duckdb.query('FROM {table}') q")
    assert error.sqlstate == state, words(error)
    assert ("PostgreSQL has a table of that name" in words(error)) == hinted, words(error)
    assert "Did you mean" not in words(error)


def test_advice_that_can_be_followed(su):
    for path in ("s3://nosuch/x.parquet", "https://nosuch.invalid/x.csv"):
        told = words(failure(su, f"SELECT * FROM duckdb.query('FROM ''{path}''') q"))
        assert "INSTALL" not in told and "autoinstall" not in told, told
        assert "A server of type s3" in told
    told = words(failure(su, "SELECT * FROM duckdb.query('FROM st_read(''x'')') q"))
    assert "spatial" in told and "INSTALL" not in told
    # What a lake or the session has is worth naming.
    su.execute("SELECT duckdb.execute('CREATE TABLE orders AS SELECT 1 AS a')")
    assert 'Did you mean "orders"' in words(failure(su, "SELECT * FROM duckdb.query('FROM orderz') q"))
    assert "LINE" not in failure(su, "SELECT * FROM duckdb.query('FROM orderz') q").diag.message_detail


def test_one_line_in_an_error(su):
    error = failure(su, "SELECT * FROM duckdb.query('SELECT 1 AS one,\n two FROM range(3)') q")
    assert "LINE" not in error.diag.message_detail
    assert error.diag.message_detail.endswith("\nIt is at: two FROM range(3)"), words(error)
    # Where PostgreSQL points at nothing, DuckDB does.
    assert "LINE 1: nonsense" in failure(su, "SELECT duckdb.execute('nonsense')").diag.message_detail
