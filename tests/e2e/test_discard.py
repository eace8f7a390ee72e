"""What a session holds in DuckDB goes when the session changes hands, as poolers do it."""

import pytest

from lakes import execute, query
from support import failure, sqlstate_of

TABLE = "SELECT * FROM duckdb.query_rows('FROM left_behind') AS t(a text)"


def has_left(conn):
    state = sqlstate_of(conn, TABLE)
    assert state in (None, "42P01")
    return state is None


@pytest.fixture
def leaving(connect, su, role):
    """A role's session in which a client has left a table."""
    name = role()
    su.execute(f"GRANT USAGE ON SCHEMA duckdb TO {name}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA duckdb TO {name}")
    conn = connect(name)
    execute(conn, "CREATE TABLE left_behind AS SELECT 'sekret' AS a")
    assert has_left(conn)
    return conn


@pytest.mark.parametrize("reset", ["DISCARD ALL", "DISCARD TEMP", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT"])
def test_what_a_client_has_left_goes(leaving, reset):
    leaving.execute(reset)
    assert not has_left(leaving)
    execute(leaving, "CREATE TABLE left_behind AS SELECT 'mine' AS a")
    assert leaving.execute(TABLE).fetchall() == [("mine",)]


@pytest.mark.parametrize("other", ["DISCARD PLANS", "DISCARD SEQUENCES", "RESET ALL", "SET work_mem = '4MB'", "RESET ROLE"])
def test_other_statements_leave_it(leaving, other):
    leaving.execute(other)
    assert has_left(leaving)


def test_all_roles_of_the_session(connect, su, role):
    other = role()
    su.execute(f"GRANT USAGE ON SCHEMA duckdb TO {other}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA duckdb TO {other}")
    conn = connect()
    for user in ("postgres", other):
        conn.execute(f"SET ROLE {user}")
        execute(conn, "CREATE TABLE left_behind AS SELECT 'sekret' AS a")
    conn.execute("RESET ROLE")
    execute(conn, "SET GLOBAL default_order = 'desc'")
    conn.execute("DISCARD ALL")
    assert query(conn, "SELECT lower(current_setting('default_order'))")[0][0] in ("asc", "ascending")
    for user in ("postgres", other):
        conn.execute(f"SET ROLE {user}")
        assert not has_left(conn)


def test_session_authorization_hands_over(connect, su, role):
    names = [role(), role()]
    conn = connect()
    for name in names:
        su.execute(f"GRANT USAGE ON SCHEMA duckdb TO {name}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA duckdb TO {name}")
        conn.execute(f"SET SESSION AUTHORIZATION {name}")
        execute(conn, "CREATE TABLE left_behind AS SELECT 'sekret' AS a")
    conn.execute("RESET SESSION AUTHORIZATION")
    for name in names:
        conn.execute(f"SET SESSION AUTHORIZATION {name}")
        assert not has_left(conn)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_in_a_transaction_that_writes_to_a_lake(connect, lakes, end):
    name = f"discarded_{end.lower()}"
    lakes.make(name)
    conn = connect()
    execute(conn, f"CREATE TABLE {name}.t (a int)")
    execute(conn, "CREATE TABLE left_behind AS SELECT 'sekret' AS a")
    conn.execute("BEGIN")
    execute(conn, f"INSERT INTO {name}.t VALUES (1)")
    conn.execute("DISCARD TEMP")
    execute(conn, f"INSERT INTO {name}.t VALUES (2)")
    conn.execute(end)
    assert not has_left(conn)
    assert query(conn, f"SELECT count(*) FROM {name}.t") == [(2 if end == "COMMIT" else 0,)]
    with conn.transaction():
        assert query(conn, f"SELECT count(*) FROM {name}.t") == [(2 if end == "COMMIT" else 0,)]
        assert failure(conn, "DISCARD ALL").sqlstate == "25001"


def test_a_cursor_goes_on(connect, lakes):
    conn = connect()
    execute(conn, "CREATE TABLE left_behind AS SELECT i::text AS a FROM range(100000) r(i)")
    conn.execute("BEGIN; DECLARE c CURSOR FOR " + TABLE)
    assert conn.execute("FETCH 1 FROM c").fetchone() is not None
    conn.execute("DISCARD TEMP")
    assert len(conn.execute("FETCH ALL FROM c").fetchall()) == 99999
    conn.execute("COMMIT")
    assert not has_left(conn)
