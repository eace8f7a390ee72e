"""Parameters whose types the client leaves open, as node-pg, pgx and psycopg send them: DuckDB's binding gives
them their types, and text is what is left."""

import pytest

from support import failure


def prepared(conn, statement, values):
    """The rows of a statement of the extended protocol with untyped parameters, and their types."""
    result = conn.pgconn.prepare(b"s", statement.encode(), None)
    if result.status != 1:
        raise AssertionError(result.error_message.decode())
    try:
        types = conn.pgconn.describe_prepared(b"s")
        oids = [types.param_type(number) for number in range(types.nparams)]
        result = conn.pgconn.exec_prepared(b"s", [str(value).encode() if value is not None else None for value in values])
        if result.status != 2:
            raise AssertionError(result.error_message.decode())
        rows = [tuple((result.get_value(row, column) or b"NULL").decode() for column in range(result.nfields)) for row in range(result.ntuples)]
        return rows, oids
    finally:
        conn.execute("DEALLOCATE s", prepare=False)


INT4, INT8, TEXT, DATE = 23, 20, 25, 1082
CASES = [
    ("SELECT * FROM duckdb.query('select $1 AS a', $1) q", ["x"], [("x",)], [TEXT]),
    ("SELECT * FROM duckdb.query('select $1 AS a, $2 AS b', $1, $2) q", ["x", None], [("x", "NULL")], [TEXT, TEXT]),
    ("SELECT * FROM duckdb.query('select i FROM range(10) t(i) WHERE i > $1 ORDER BY i', $1) q", [7], [("8",), ("9",)], [INT8]),
    ("SELECT * FROM duckdb.query('select i FROM range(10) t(i) ORDER BY i LIMIT $1', $1) q", [2], [("0",), ("1",)], [INT8]),
    ("SELECT * FROM duckdb.query('select CAST($1 AS DATE) + 1 AS d', $1) q", ["2026-01-31"], [("2026-02-01 00:00:00",)], None),
    ("SELECT * FROM duckdb.query('select $1 || ''!'' AS a', $1) q", ["x"], [("x!",)], [TEXT]),
    ("SELECT * FROM duckdb.query('select $1 AS a', $1::int) q WHERE a = $2", [5, 5], [("5",)], [INT4, INT4]),
    ("WITH q AS (SELECT * FROM duckdb.query('select $1 AS a, $2 AS b', $1, $2) q) SELECT b FROM q", ["x", "y"], [("y",)], [TEXT, TEXT]),
]


@pytest.mark.parametrize("statement, values, rows, types", CASES)
def test_untyped_parameter_gets_a_type(su, statement, values, rows, types):
    found, oids = prepared(su, statement, values)
    if types:
        assert (found, oids) == (rows, types)
    else:
        assert [row[0][:10] for row in found] == [row[0][:10] for row in rows]


def test_drivers_that_prepare_with_no_types(su):
    """psycopg leaves the types of text open."""
    assert su.execute("SELECT * FROM duckdb.query('select $1 AS a', %s) q", ("x",)).fetchone() == ("x",)
    assert su.execute("SELECT * FROM duckdb.query('select $1 AS a', %s) q", (None,)).fetchone() == (None,)


def test_a_text_that_is_a_parameter_stays_an_error(su):
    assert failure(su, "SELECT * FROM duckdb.query(%s) q", ("SELECT 1",)).sqlstate == "42P18"
