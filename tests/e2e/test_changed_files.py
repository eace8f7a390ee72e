"""Prepared statements whose file has other columns than when they were prepared."""

import duckdb
import pytest

from support import open_directory, sqlstate_of


@pytest.fixture
def file():
    """write(query): a Parquet file of the query's rows, always the same path."""
    with open_directory() as folder:
        path = folder / "changing.parquet"

        def write(query):
            duckdb.sql(f"COPY ({query}) TO '{path}'")
            path.chmod(0o644)
            return path

        yield write


OLD, NEW = "SELECT 1::INT AS a, 'x' AS b", "SELECT 2.5::DOUBLE AS a, 'y' AS b"
CALLS = ["duckdb.query('FROM ''{}''')", "duckdb.read_parquet('{}')"]


@pytest.mark.parametrize("call", CALLS, ids=["query", "reader"])
@pytest.mark.parametrize("pushdown", ["on", "off"])
def test_a_prepared_statement_with_the_same_result_works_again(connect, file, call, pushdown):
    conn = connect()
    conn.execute(f"SET duckdb.enable_pushdown = {pushdown}")
    item = call.format(file(OLD))
    conn.execute(f"PREPARE counted AS SELECT count(*), max(a)::float8, min(b) FROM {item} q")
    for _ in range(7):
        assert conn.execute("EXECUTE counted").fetchone() == (1, 1.0, "x")
    file(NEW)
    # Once, since nobody asks the file before.
    assert sqlstate_of(conn, "EXECUTE counted") in (None, "42804")
    for _ in range(3):
        assert conn.execute("EXECUTE counted").fetchone() == (1, 2.5, "y")


@pytest.mark.parametrize("call", CALLS, ids=["query", "reader"])
def test_another_result_type_is_postgresqls_own_error(connect, file, call):
    conn = connect()
    item = call.format(file(OLD))
    conn.execute(f"PREPARE whole AS SELECT * FROM {item} q")
    assert conn.execute("EXECUTE whole").fetchone() == (1, "x")
    file(NEW)
    assert sqlstate_of(conn, "EXECUTE whole") == "42804"
    error = sqlstate_of(conn, "EXECUTE whole")
    assert error == "0A000"
    conn.execute(f"DEALLOCATE whole; PREPARE whole AS SELECT * FROM {item} q")
    assert conn.execute("EXECUTE whole").fetchone() == (2.5, "y")


def test_drivers_that_prepare_by_themselves_go_on(connect, file):
    conn = connect()
    conn.prepare_threshold = 0
    statement = f"SELECT count(*) FROM duckdb.query('FROM ''{file(OLD)}''') q WHERE a > %s"
    assert conn.execute(statement, (0,)).fetchone() == (1,)
    file("SELECT 'text' AS a")
    states = []
    for _ in range(3):
        states.append(sqlstate_of(conn, statement, (0,)))
    # Text and a number do not compare: the statement's own error, not one about the plan.
    assert states[0] in ("22P02", "42804") and states[-1] == "42883", states
    file(NEW)
    for _ in range(2):
        sqlstate_of(conn, statement, (0,))
    assert conn.execute(statement, (0,)).fetchone() == (1,)


def test_functions_go_on(connect, file):
    conn = connect()
    path = file(OLD)
    conn.execute(f"CREATE OR REPLACE FUNCTION summed() RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
                 f"RETURN (SELECT sum(a)::text FROM duckdb.query('FROM ''{path}''') q); END $$")
    assert conn.execute("SELECT summed()").fetchone() == ("1",)
    file(NEW)
    assert sqlstate_of(conn, "SELECT summed()") in (None, "42804")
    assert conn.execute("SELECT summed()").fetchone() == ("2.5",)
