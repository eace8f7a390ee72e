"""Odd moments and odd company: ends while an instance opens, shutdowns, parallel workers, nested
scans, failing sub-transactions, objects that vanish under an open session."""

import os
import random
import time

import psycopg
import pytest
from psycopg import sql

from conftest import create_server, map_user
from support import PROMPT_S, Background, BlackHole, crash_lines, cut_off, eventually, failure, is_gone, note_latency, private_cluster, sqlstate_of

ENDLESS = "SELECT * FROM duckdb.query('SELECT sum(range) AS s FROM range(100000000000)')"


def test_sessions_that_end_at_any_moment(connect, su, sandbox, lake_writer):
    """Hits the opening of instances, LOAD, describing, running, and the end of a result."""
    lake_writer.execute("COPY (SELECT i FROM range(100000) t(i)) TO 's3://lake/moments/data.parquet'")
    create_server(su, sandbox, "moments", "s3://lake/moments/")
    map_user(su, "postgres", "moments", sandbox.all)
    moments = random.Random(7)
    pids = []
    for number in range(80):
        conn = connect()
        pid = conn.info.backend_pid
        pids.append(pid)
        statement = ENDLESS if number % 3 == 0 else "SELECT count(*), sum(i) FROM duckdb.query($$FROM 's3://lake/moments/data.parquet'$$)"
        conn.pgconn.send_query(statement.encode())
        conn.pgconn.flush()
        time.sleep(moments.uniform(0, 0.12))
        if number % 2:
            cut_off(conn)
        else:
            su.execute("SELECT pg_terminate_backend(%s)", (pid,))
    eventually(lambda: all(is_gone(pid) for pid in pids), timeout=10)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_shutdown_does_not_wait_for_duckdb(sandbox, mode):
    hole = BlackHole()
    with private_cluster(sandbox) as cluster:
        with cluster.connect() as conn:
            create_server(conn, sandbox, "hole", "s3://hole/", endpoint=hole.address)
            map_user(conn, "postgres", "hole", sandbox.all)
        running = [
            Background(cluster.connect(), ENDLESS),
            Background(cluster.connect(), "SELECT * FROM duckdb.query($$FROM 's3://hole/x.parquet'$$)"),
            Background(cluster.connect(), "CREATE TABLE t AS SELECT * FROM duckdb.query('FROM range(100000000000)')"),
        ]
        eventually(lambda: hole.accepted)
        time.sleep(0.3)
        started = time.monotonic()
        cluster.stop(mode)
        note_latency(f"shutdown, mode {mode}", time.monotonic() - started)
        assert time.monotonic() - started < PROMPT_S + 2
        for one in running:
            one.join()
            assert isinstance(one.error, psycopg.OperationalError)
            assert is_gone(one.pid)
        assert [line for line in crash_lines(cluster.log.read_text()) if mode == "fast"] == []
    hole.close()


def test_in_parallel_plans(connect, su, sandbox):
    conn = connect()
    conn.execute("SET %s = on" % ("force_parallel_mode" if sandbox.major < 16 else "debug_parallel_query"))
    conn.execute("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0")
    conn.execute("CREATE TABLE heap AS SELECT i FROM generate_series(1, 20000) i; ANALYZE heap")
    assert conn.execute("SELECT count(*) FROM heap JOIN duckdb.query('SELECT range AS i FROM range(1000)') q USING (i)").fetchone() == (999,)
    assert conn.execute("SELECT count(*), sum(i) FROM duckdb.query('SELECT i FROM range(1000) t(i)')").fetchone() == (1000, 499500)
    # Functions that are parallel safe run in the worker, which loads the library.
    assert conn.execute("SELECT DISTINCT duckdb.version() FROM heap").fetchone() == ("v1.5.5",)
    assert conn.execute("SELECT count(*) FROM heap WHERE i IN (SELECT range FROM duckdb.query('FROM range(100)'))").fetchone() == (99,)
    assert "DuckDB Scan" in str(conn.execute("EXPLAIN SELECT count(*) FROM duckdb.query('SELECT i FROM range(10) t(i)')").fetchall())
    conn.execute("CREATE FUNCTION pg_temp.claims_safety() RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN RETURN (SELECT count(*) FROM duckdb.query('FROM range(10)')); END $$")
    try:
        assert conn.execute("SELECT max(pg_temp.claims_safety()) FROM heap WHERE i < 5").fetchone() == (10,)
    except psycopg.Error as error:
        # PostgreSQL's workers refuse temporary functions or what is restricted; anything but a crash.
        assert error.sqlstate is not None
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_scans_within_scans(connect):
    conn = connect()
    conn.execute(
        "CREATE FUNCTION pg_temp.is_even(n bigint) RETURNS boolean LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN (SELECT e FROM duckdb.query('SELECT $1 % 2 = 0 AS e', n)); END $$"
    )
    assert conn.execute("SELECT count(*) FROM duckdb.query('SELECT i FROM range(200) t(i)') WHERE pg_temp.is_even(i)").fetchone() == (100,)
    assert conn.execute(
        "SELECT count(*) FROM duckdb.query('SELECT i FROM range(20) t(i)') a, LATERAL duckdb.query('SELECT j FROM range($1) t(j)', a.i) b, LATERAL duckdb.query_rows('FROM range($1)', b.j) AS c(k bigint)"
    ).fetchone() == (sum(j for i in range(20) for j in range(i)),)


def test_failing_subtransactions_leave_nothing_behind(connect):
    conn = connect()
    pid = conn.info.backend_pid
    threads = lambda: len(os.listdir(f"/proc/{pid}/task"))
    block = (
        "DO $do$ DECLARE caught int := 0; BEGIN FOR n IN 1..{n} LOOP BEGIN "
        "PERFORM i FROM duckdb.query('SELECT i FROM range(100000) t(i)') WHERE 1 / (i - 5000)::int IS NOT NULL; "
        "EXCEPTION WHEN division_by_zero THEN caught := caught + 1; END; END LOOP; "
        "IF caught <> {n} THEN RAISE EXCEPTION 'caught %', caught; END IF; END $do$"
    )
    conn.execute(block.format(n=50))
    before = threads()
    conn.execute(block.format(n=300))
    assert threads() <= before + 12
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchone() == (1,)


def test_cursors_and_savepoints(connect):
    conn = connect(autocommit=False)
    conn.execute("DECLARE outer_one CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(100000) t(i)')")
    assert conn.execute("FETCH FROM outer_one").fetchone() == (0,)
    conn.execute("SAVEPOINT s")
    conn.execute("DECLARE inner_one CURSOR FOR SELECT * FROM duckdb.query('SELECT i FROM range(100000) t(i)')")
    conn.execute("FETCH FROM inner_one")
    assert conn.execute("FETCH FROM outer_one").fetchone() == (1,)
    with pytest.raises(psycopg.errors.UndefinedTable):
        conn.execute("SELECT * FROM duckdb.query('FROM nosuch')")
    conn.execute("ROLLBACK TO s")
    assert conn.execute("FETCH FROM outer_one").fetchone() == (2,)
    with pytest.raises(psycopg.errors.InvalidCursorName):
        conn.execute("FETCH FROM inner_one")
    conn.rollback()
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchone() == (1,)


def test_a_role_that_is_dropped_under_its_session(cluster, connect, su, database):
    name = f"pond_vanishing_{os.getpid()}"
    cluster.execute(f"CREATE ROLE {name} LOGIN")
    su.execute(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {name}")
    conn = connect(name)
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchone() == (1,)
    su.execute(f"DROP OWNED BY {name}")
    cluster.execute(f"DROP ROLE {name}")
    for _ in range(2):
        error = failure(conn, "SELECT * FROM duckdb.query('SELECT 1 AS a')")
        assert error.sqlstate in ("42501", "42704"), error


def test_an_extension_that_is_made_anew_under_an_open_session(cluster, sandbox):
    name = f"pond_anew_{os.getpid()}"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    open_one = lambda: psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=name, autocommit=True)
    try:
        with open_one() as other, open_one() as conn:
            other.execute("CREATE EXTENSION pg_pond")
            conn.execute("PREPARE p AS SELECT * FROM duckdb.query('SELECT 1 AS a')")
            assert conn.execute("EXECUTE p").fetchone() == (1,)
            other.execute("DROP EXTENSION pg_pond")
            assert sqlstate_of(conn, "EXECUTE p") is not None
            assert sqlstate_of(conn, "SELECT * FROM duckdb.query('SELECT 1 AS a')") in ("3F000", "42883")
            other.execute("CREATE EXTENSION pg_pond")
            assert conn.execute("SELECT * FROM duckdb.query('SELECT 2 AS a')").fetchone() == (2,)
            sqlstate_of(conn, "EXECUTE p")
            assert conn.execute("SELECT * FROM duckdb.query('SELECT 3 AS a')").fetchone() == (3,)
    finally:
        cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_transaction_timeout(connect, sandbox):
    if sandbox.major < 17:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    conn = connect()
    conn.execute("SET transaction_timeout = '400ms'")
    started = time.monotonic()
    error = failure(conn, ENDLESS)
    assert error.sqlstate == "25P04"
    assert time.monotonic() - started < 0.4 + PROMPT_S


def test_a_security_barrier_keeps_hidden_rows_from_leaky_functions(role, connect, su):
    name = role()
    su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {}").format(sql.Identifier(name)))
    su.execute("CREATE VIEW barred WITH (security_barrier) AS SELECT * FROM duckdb.query('SELECT i, CASE WHEN i < 5 THEN ''open'' ELSE ''hidden'' END AS t FROM range(10) t(i)') WHERE i < 5")
    su.execute(sql.SQL("GRANT SELECT ON barred TO {}; GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(name), sql.Identifier(name)))
    conn = connect(name)
    seen = []
    conn.add_notice_handler(lambda notice: seen.append(notice.message_primary))
    conn.execute("CREATE FUNCTION public.leaks(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', t; RETURN true; END $$")
    for condition in ("leaks(t)", "leaks(t) AND i >= 0", "i >= 0 AND leaks(t)", "leaks(t) OR i = 7"):
        for pushdown in ("on", "off"):
            conn.execute(f"SET duckdb.enable_pushdown = {pushdown}")
            assert conn.execute(f"SELECT count(*) FROM barred WHERE {condition}").fetchone() == (5,), condition
    assert set(seen) == {"open"}
    # Nor by an error that a hidden row's value makes in DuckDB: 1 / (i - 7) is division by zero there.
    assert conn.execute("SELECT count(*) FROM barred WHERE 1 / (i - 7) < 5").fetchone() == (5,)
    conn.execute("DROP FUNCTION public.leaks")
    su.execute("DROP VIEW barred")
