"""Errors, cancels and ends of sessions while rows are read, shipped and scanned: prompt, and the session,
if there is one, goes on as if nothing had been."""

import time

import pytest

import parts
from support import PROMPT_S, Background, activity, cut_off, eventually, failure, is_gone, note_latency, sqlstate_of

GOOD = "SELECT count(*) FROM facts JOIN dim USING (k)"
# Where a statement spends its time: reading its own rows, handing many over (more than the memory holds), in
# DuckDB, or in PostgreSQL after DuckDB has given up.
SLOW = {
    "reading": "SELECT count(*) FROM facts WHERE k IN (SELECT slow(k) FROM dim)",
    "shipping": "SELECT count(*) FROM facts JOIN (SELECT generate_series(1, 200000000) AS k) s USING (k)",
    "answering itself": "SELECT count(*) FROM odd o, facts a, facts b, facts c WHERE extract(year FROM o.day) > 0 AND a.id + b.id + c.id = -1",
    "scanning": "SELECT count(*) FROM facts a, facts b, facts c, dim d WHERE a.id + b.id + c.id + d.k = -1",
}
SETUP = """
CREATE TABLE dim (k int, label text);
INSERT INTO dim SELECT i, 'label ' || i FROM generate_series(0, 4) i;
CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(20); RETURN $1; END $$;
CREATE FUNCTION fails(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN IF $1 = 3 THEN RAISE 'no' USING ERRCODE = 'P0042'; END IF; RETURN $1; END $$;
"""


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer):
    folder = f"s3://lake/ship/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute(SETUP)
    su.execute("ANALYZE dim")


@pytest.fixture(autouse=True)
def quiet(sandbox):
    """Nothing is left for the end of a transaction to complain about."""
    start = sandbox.log.stat().st_size
    yield
    with open(sandbox.log, errors="replace") as log:
        log.seek(start)
        assert [line for line in log if "leak" in line or "still active" in line or "not closed" in line] == []


@pytest.fixture
def conn(connect):
    conn = connect()
    conn.execute("LOAD 'pg_pond'; SET duckdb.ship_rows = 1000000000; SET duckdb.memory_limit = '64MB'")
    return conn


def check_usable(conn):
    assert conn.execute(GOOD).fetchone() == (500,)


def is_busy(su, pid, where):
    """Whether the backend is where it shall be: it waits for pg_sleep, or runs."""
    state, event = activity(su, pid)
    return event == "PgSleep" if where == "reading" else state == "active"


def start(su, conn, where):
    running = Background(conn, SLOW[where])
    eventually(lambda: is_busy(su, running.pid, where))
    time.sleep(0.5)
    assert running.is_running()
    return running


@pytest.mark.parametrize("where", SLOW)
def test_cancel(su, conn, where):
    check_usable(conn)
    running = start(su, conn, where)
    began = time.monotonic()
    su.execute("SELECT pg_cancel_backend(%s)", (running.pid,))
    running.join()
    note_latency(f"cancel while {where}", running.ended - began)
    assert running.error.sqlstate == "57014" and running.ended - began < PROMPT_S
    check_usable(conn)


@pytest.mark.parametrize("where", SLOW)
def test_cancel_in_a_transaction(su, connect, where):
    conn = connect(autocommit=False)
    conn.execute("SET duckdb.ship_rows = 1000000000; CREATE TEMP TABLE kept (i int)")
    conn.execute("SAVEPOINT s")
    running = start(su, conn, where)
    su.execute("SELECT pg_cancel_backend(%s)", (running.pid,))
    running.join()
    assert running.error.sqlstate == "57014"
    assert sqlstate_of(conn, "SELECT 1") == "25P02"
    conn.execute("ROLLBACK TO s")
    check_usable(conn)
    conn.execute("INSERT INTO kept SELECT k FROM facts JOIN dim USING (k)")
    assert conn.execute("SELECT count(*) FROM kept").fetchone() == (500,)
    conn.rollback()


@pytest.mark.parametrize("where", SLOW)
def test_statement_timeout(conn, where):
    conn.execute("SET statement_timeout = '700ms'")
    began = time.monotonic()
    assert sqlstate_of(conn, SLOW[where]) == "57014"
    assert time.monotonic() - began < 0.7 + PROMPT_S
    conn.execute("SET statement_timeout = 0")
    check_usable(conn)


@pytest.mark.parametrize("where", SLOW)
def test_terminate(su, conn, where):
    running = start(su, conn, where)
    began = time.monotonic()
    su.execute("SELECT pg_terminate_backend(%s)", (running.pid,))
    eventually(lambda: is_gone(running.pid), timeout=PROMPT_S)
    note_latency(f"terminate while {where}", time.monotonic() - began)
    running.join()


@pytest.mark.parametrize("where", ["shipping", "scanning"])
def test_a_client_that_is_gone(su, conn, where):
    conn.execute("SET client_connection_check_interval = '100ms'")
    running = start(su, conn, where)
    cut_off(conn)
    eventually(lambda: is_gone(running.pid), timeout=PROMPT_S)


def test_errors_of_the_rows_that_are_read(conn):
    statement = "SELECT count(*) FROM facts WHERE k IN (SELECT fails(k) FROM dim)"
    for _ in range(3):
        error = failure(conn, statement)
        assert error.sqlstate == "P0042" and "PL/pgSQL function fails(integer) line 1 at RAISE" in error.diag.context
        check_usable(conn)
    conn.execute(
        "CREATE FUNCTION pg_temp.catch() RETURNS int LANGUAGE plpgsql AS $$ DECLARE caught int := 0; BEGIN FOR i IN 1..5 LOOP "
        "BEGIN PERFORM count(*) FROM facts WHERE k IN (SELECT fails(k) FROM dim); EXCEPTION WHEN SQLSTATE 'P0042' THEN caught := caught + 1; END; "
        f"PERFORM * FROM ({GOOD}) s; END LOOP; RETURN caught; END $$"
    )
    assert conn.execute("SELECT pg_temp.catch()").fetchone() == (5,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM facts WHERE k = fails(3)",
        "SELECT * FROM facts ORDER BY id LIMIT (SELECT fails(3))",
        "SELECT * FROM duckdb.query('SELECT $1 AS a', fails(3))",
        "SELECT (SELECT count(*) FROM facts f WHERE f.k = fails(d.k)) FROM dim d",
    ],
)
def test_errors_of_the_values_that_are_given(conn, statement):
    for _ in range(2):
        error = failure(conn, statement)
        assert error.sqlstate == "P0042" and "PL/pgSQL function fails(integer) line 1 at RAISE" in error.diag.context
        check_usable(conn)


def test_functions_that_catch_errors_while_rows_are_read(conn):
    conn.execute(
        "CREATE FUNCTION pg_temp.catching(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN "
        "BEGIN PERFORM 1 / (k - $1) FROM facts WHERE k < 5; EXCEPTION WHEN division_by_zero THEN RETURN $1; END; RETURN -1; END $$"
    )
    statement = "SELECT count(*) FROM facts WHERE k IN (SELECT pg_temp.catching(k) FROM dim)"
    assert conn.execute(statement).fetchone() == (500,)
    conn.execute("CREATE TEMP TABLE kept AS SELECT 1")
    assert conn.execute(statement).fetchone() == (500,)


def test_functions_that_use_duckdb_while_rows_are_read(conn):
    """Parts within parts, and what takes the instance away meanwhile."""
    bodies = {
        "nested": "RETURN (SELECT count(*) FROM facts WHERE id < $1)",
        "nested_too": "RETURN (SELECT count(*) FROM facts JOIN dim USING (k) WHERE id < $1)",
        "recycles": "PERFORM duckdb.recycle(); RETURN $1",
        "sets": "PERFORM set_config('duckdb.memory_limit', (200 + $1) || 'MB', true); PERFORM count(*) FROM facts; RETURN $1",
        "deep": "IF $1 <= 0 THEN RETURN 0; END IF; RETURN (SELECT count(*) FROM facts JOIN (SELECT pg_temp.deep($1 - 1) AS n) s ON n > id)",
    }
    for name, body in bodies.items():
        conn.execute(f"CREATE FUNCTION pg_temp.{name}(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN {body}; END $$")
    for name in bodies:
        rows = conn.execute(f"SELECT count(*) FROM facts WHERE k IN (SELECT pg_temp.{name}(k) FROM dim)").fetchone()
        assert rows == (100 if name == "deep" else 500,), name
        check_usable(conn)
    assert conn.execute("SELECT pg_temp.deep(20)").fetchone() == (0,)


@pytest.mark.parametrize("change", ["DROP TABLE mine", "TRUNCATE mine", "ALTER TABLE mine DROP COLUMN label", "ALTER TABLE mine ALTER label TYPE int USING 1"])
def test_what_a_cursor_will_read_is_kept(conn, change):
    conn.execute("CREATE TEMP TABLE mine AS SELECT * FROM dim; BEGIN")
    conn.execute("DECLARE c CURSOR FOR SELECT f.id, label FROM facts f JOIN mine USING (k) ORDER BY 1")
    assert sqlstate_of(conn, change) == "55006"
    conn.execute("ROLLBACK")


def test_what_a_cursor_reads_again_is_kept(conn):
    conn.execute("CREATE TEMP TABLE mine AS SELECT * FROM dim; BEGIN; SET LOCAL enable_material = off")
    conn.execute("DECLARE c CURSOR FOR SELECT g, rows FROM (SELECT n + (random() * 0)::int AS g FROM generate_series(1, 5) n OFFSET 0) s LEFT JOIN (SELECT count(*) AS rows FROM facts f JOIN mine USING (k) OFFSET 0) t ON g >= 0")
    assert conn.execute("FETCH 1 FROM c").fetchone() == (1, 500)
    conn.execute("SAVEPOINT s")
    assert sqlstate_of(conn, "DROP TABLE mine") == "55006"
    conn.execute("ROLLBACK TO s")
    assert conn.execute("FETCH ALL FROM c").fetchall() == [(n, 500) for n in range(2, 6)]
    conn.execute("ROLLBACK")


def test_a_cursor_outlives_the_instance(conn):
    conn.execute("BEGIN")
    conn.execute("DECLARE c CURSOR FOR SELECT f.id FROM facts f JOIN dim USING (k) ORDER BY 1")
    conn.execute("DECLARE d CURSOR FOR SELECT f.id FROM facts f JOIN dim USING (k) ORDER BY 1")
    assert conn.execute("FETCH 1 FROM c").fetchone() == (0,)
    conn.execute("SELECT duckdb.recycle()")
    assert conn.execute("FETCH 1 FROM c").fetchone() == (1,)
    assert conn.execute("FETCH 1 FROM d").fetchone() == (0,)
    conn.execute("ROLLBACK")


def test_a_loop_that_commits(conn):
    conn.execute("CREATE TABLE written (id int)")
    conn.execute(
        "CREATE PROCEDURE looping() LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT f.id FROM facts f JOIN dim USING (k) ORDER BY 1 LOOP "
        "INSERT INTO written VALUES (r.id); IF r.id % 100 = 4 THEN COMMIT; END IF; END LOOP; END $$"
    )
    conn.execute("CALL looping()")
    assert conn.execute("SELECT count(*), count(DISTINCT id) FROM written").fetchone() == (500, 500)
    conn.execute("DROP TABLE written; DROP PROCEDURE looping")


def test_errors_between_fetches(connect):
    conn = connect(autocommit=False)
    conn.execute("LOAD 'pg_pond'")
    conn.execute("DECLARE c CURSOR FOR SELECT f.id FROM facts f JOIN dim USING (k) ORDER BY 1")
    assert conn.execute("FETCH 1 FROM c").fetchone() == (0,)
    conn.execute("SAVEPOINT s")
    conn.execute("DECLARE d CURSOR FOR SELECT f.id FROM facts f JOIN dim USING (k) ORDER BY 1")
    assert conn.execute("FETCH 2 FROM d").fetchall() == [(0,), (1,)]
    assert sqlstate_of(conn, "SELECT count(*) FROM facts WHERE k IN (SELECT 1 / (k - 3) FROM dim)") == "22012"
    conn.execute("ROLLBACK TO s")
    assert conn.execute("FETCH 2 FROM c").fetchall() == [(1,), (2,)]
    assert sqlstate_of(conn, "FETCH 1 FROM d") == "34000"
    conn.rollback()
    check_usable(conn)
    conn.rollback()


def test_rows_that_are_not_read_to_the_end(conn):
    for _ in range(3):
        assert conn.execute("SELECT f.id FROM facts f JOIN dim USING (k), generate_series(1, 1000) LIMIT 1").fetchone()
    with conn.transaction():
        conn.execute("DECLARE c CURSOR FOR SELECT f.id FROM facts f JOIN dim USING (k), generate_series(1, 1000)")
        conn.execute("FETCH 1 FROM c")
        conn.execute("CLOSE c")
        conn.execute("DECLARE c CURSOR FOR SELECT f.id FROM facts f JOIN dim USING (k), generate_series(1, 1000)")
    assert conn.execute("SELECT EXISTS (SELECT FROM facts JOIN dim USING (k)) FROM generate_series(1, 3)").fetchall() == [(True,)] * 3
    check_usable(conn)


def test_many_statements_at_once_in_one_session(conn):
    with conn.transaction():
        for number in range(20):
            conn.execute(f"DECLARE c{number} CURSOR FOR SELECT f.id + {number} FROM facts f JOIN dim USING (k) ORDER BY 1")
            assert conn.execute(f"FETCH 1 FROM c{number}").fetchone() == (number,)
        for number in range(20):
            assert conn.execute(f"FETCH 1 FROM c{number}").fetchone() == (number + 1,)
    check_usable(conn)


def test_a_relation_of_another_session_that_is_locked(connect, conn, su):
    other = connect(autocommit=False)
    other.execute("LOCK TABLE dim IN ACCESS EXCLUSIVE MODE")
    conn.execute("SET lock_timeout = '300ms'")
    assert sqlstate_of(conn, GOOD) == "55P03"
    conn.execute("SET lock_timeout = 0")
    running = Background(conn, GOOD)
    eventually(lambda: su.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (running.pid,)).fetchone() == ("Lock",))
    other.execute("ALTER TABLE dim RENAME COLUMN label TO title")
    other.execute("INSERT INTO dim VALUES (5, 'new')")
    other.commit()
    assert running.result() == [(600,)]
    su.execute("ALTER TABLE dim RENAME COLUMN title TO label; DELETE FROM dim WHERE k = 5")


def test_nothing_runs_between_statements(conn, su):
    """An idle session neither computes nor holds a transaction."""
    check_usable(conn)
    pid = conn.info.backend_pid
    ticks = lambda: sum(map(int, open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[11:13]))
    before = ticks()
    time.sleep(1.5)
    assert ticks() - before <= 3
    assert su.execute("SELECT state, backend_xmin FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() == ("idle", None)
    assert su.execute("SELECT count(*) FROM pg_locks WHERE pid = %s", (pid,)).fetchone() == (0,)


def test_read_only_and_serializable(conn):
    with conn.transaction():
        conn.execute("SET TRANSACTION READ ONLY")
        check_usable(conn)
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        check_usable(conn)


def test_broken_files_beside_shipped_rows(conn, lake_writer, database):
    path = f"s3://lake/ship/{database}/later.parquet"
    lake_writer.execute(f"COPY (SELECT 1 AS k) TO '{path}'")
    conn.execute(f"CREATE FOREIGN TABLE later () SERVER lake OPTIONS (path '{path}')")
    statement = "SELECT count(*) FROM later JOIN dim USING (k)"
    assert conn.execute(statement).fetchone() == (1,)
    lake_writer.execute(f"COPY (SELECT 'text' AS k) TO '{path}'")
    assert isinstance(sqlstate_of(conn, statement), str)
    check_usable(conn)
    assert isinstance(sqlstate_of(conn, "SELECT count(*) FROM later JOIN dim USING (k) WHERE 1 / (dim.k - 1) = 0"), str)
    conn.execute("DROP FOREIGN TABLE later")
    check_usable(conn)
