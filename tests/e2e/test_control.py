"""Cancel, statement_timeout, terminate and a client that goes away act at once in every phase, with
PostgreSQL's own SQLSTATE; the session lives on after the first two, and nothing is left behind."""

import dataclasses
import os
import pathlib
import re
import signal
import threading
import time

import psycopg
import pytest

from conftest import create_server, map_user
from support import (
    PROMPT_S,
    Background,
    BlackHole,
    Proxy,
    activity,
    cut_off,
    eventually,
    is_gone,
    note_latency,
    spill_folders,
)

ENDLESS = "range(100000000000)"
# 2048 rows in one chunk, each some 50 ms of a function that DuckDB does not interrupt.
KERNEL = "SELECT sum(levenshtein(repeat('ab', 3000) || i, repeat('ba', 3000) || i)) AS s FROM range(2048) t(i)"
SORT = "SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS n FROM range(1000000000) t(i))"


def query(sql):
    return "duckdb.query($q$%s$q$)" % sql


@dataclasses.dataclass(frozen=True)
class Phase:
    """What a backend is doing when it is stopped."""

    name: str
    statement: str = ""
    setup: tuple = ()
    run: object = None
    # Tells that the phase has begun; a moment after the statement's start where there is no sign.
    reached: object = None
    timeout_ms: int = 500


def slow_client(conn):
    """Reads a stream, a little at a time."""
    with conn.cursor() as cursor:
        for number, _ in enumerate(cursor.stream("SELECT * FROM " + query(f"SELECT i, repeat('x', 100) AS x FROM {ENDLESS} t(i)"))):
            if number % 500 == 0:
                time.sleep(0.05)


def copy_out(conn):
    with conn.cursor() as cursor, cursor.copy("COPY (SELECT * FROM " + query(f"FROM {ENDLESS}") + ") TO STDOUT") as copy:
        for _ in copy:
            pass


def has_spilled(stage, pid):
    folders = [path for path in spill_folders(stage.data_directory) if path.name.split(".")[1] == str(pid)]
    return any(file.stat().st_size > 0 for folder in folders for file in folder.glob("*"))


PHASES = [
    Phase(
        "describing a file of a stalled store",
        "SELECT * FROM " + query("FROM 's3://hole/x.parquet'"),
        reached=lambda stage, pid: len(stage.hole.accepted) > stage.accepted,
    ),
    Phase(
        "duckdb.describe at a stalled store",
        "SELECT * FROM duckdb.describe($$FROM 's3://hole/x.parquet'$$)",
        reached=lambda stage, pid: len(stage.hole.accepted) > stage.accepted,
    ),
    Phase(
        "reading a file of a stalled store",
        "EXECUTE stalling",
        setup=(
            "PREPARE stalling AS SELECT count(x), sum(i) FROM " + query("FROM 's3://lake/control/big.parquet'"),
            "SELECT duckdb.recycle()",
            "stall",
        ),
        reached=lambda stage, pid: stage.proxy.stalled.is_set(),
    ),
    Phase("aggregating in DuckDB", "SELECT * FROM " + query(f"SELECT sum(range) AS s FROM {ENDLESS}")),
    Phase("aggregating in PostgreSQL", "SELECT count(range), max(range) FROM " + query(f"FROM {ENDLESS}")),
    Phase("filtering in PostgreSQL", "SELECT * FROM " + query(f"FROM {ENDLESS}") + " WHERE range::text = 'x'"),
    Phase("streaming to a slow client", run=slow_client),
    Phase("CREATE TABLE AS", "CREATE TABLE control_ctas AS SELECT * FROM " + query(f"FROM {ENDLESS}")),
    Phase(
        "INSERT",
        "INSERT INTO control_insert SELECT * FROM " + query(f"FROM {ENDLESS}"),
        setup=("CREATE TEMP TABLE control_insert (i bigint)",),
    ),
    Phase("sorting", "SELECT * FROM " + query(SORT)),
    Phase(
        "spilling",
        "SELECT * FROM " + query(SORT),
        setup=("SET duckdb.memory_limit = '100MB'",),
        reached=has_spilled,
        timeout_ms=2500,
    ),
    Phase("one long kernel", "SELECT * FROM " + query(KERNEL)),
    Phase("COPY by duckdb.execute", f"SELECT duckdb.execute($$COPY (FROM {ENDLESS}) TO 's3://lake/control/out.csv'$$)"),
    Phase("EXPLAIN ANALYZE", "EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM " + query(f"FROM {ENDLESS}")),
    Phase(
        "FETCH of a cursor",
        "FETCH ALL FROM control_cursor",
        setup=(
            "BEGIN",
            "DECLARE control_cursor CURSOR FOR SELECT * FROM " + query(f"FROM {ENDLESS}") + " WHERE range::text = 'x' OR range < 5",
            "FETCH 5 FROM control_cursor",
        ),
    ),
    Phase(
        "a loop of PL/pgSQL",
        "DO $do$ DECLARE r record; n bigint := 0; BEGIN FOR r IN SELECT * FROM " + query(f"FROM {ENDLESS}") + " LOOP n := n + r.range; END LOOP; END $do$",
    ),
    Phase(
        "a PL/pgSQL block that catches all others",
        "DO $do$ BEGIN PERFORM count(*) FROM " + query(SORT) + "; EXCEPTION WHEN others THEN RAISE NOTICE 'caught'; END $do$",
    ),
    Phase(
        "REFRESH MATERIALIZED VIEW",
        "REFRESH MATERIALIZED VIEW control_view",
        setup=("CREATE MATERIALIZED VIEW IF NOT EXISTS control_view AS SELECT * FROM " + query(f"FROM {ENDLESS}") + " WITH NO DATA",),
    ),
    Phase(
        "a function call that fills a tuplestore",
        f"SELECT * FROM ROWS FROM (duckdb.query_rows('FROM {ENDLESS}') AS (i bigint)) WITH ORDINALITY",
    ),
    Phase(
        "rescans of a nested loop",
        "SELECT count(*) FROM generate_series(1, 1000000) g, LATERAL duckdb.query_rows('FROM range($1)', g) AS q(i bigint)",
    ),
    Phase("COPY TO STDOUT", run=copy_out),
]


class Stage:
    """The stores of a module's phases."""

    def __init__(self, sandbox):
        self.data_directory = sandbox.data_directory
        self.hole = BlackHole()
        self.proxy = Proxy(sandbox.s3_endpoint)
        self.accepted = 0

    def prepare(self):
        self.accepted = len(self.hole.accepted)
        self.proxy.stall.clear()
        self.proxy.stalled.clear()


@pytest.fixture(scope="module")
def stage(su, sandbox, lake_writer):
    stage = Stage(sandbox)
    lake_writer.execute("COPY (SELECT i, hash(i)::VARCHAR AS x FROM range(300000) t(i)) TO 's3://lake/control/big.parquet'")
    create_server(su, sandbox, "hole", "s3://hole/", endpoint=stage.hole.address)
    create_server(su, sandbox, "lake", "s3://lake/", endpoint=stage.proxy.address, writable="true")
    for name in ("hole", "lake"):
        map_user(su, "postgres", name, sandbox.all)
    yield stage
    stage.proxy.close()
    stage.hole.close()


def begin(stage, conn, phase, *, timeout_ms=None):
    """Starts the phase's statement, and returns once the phase is reached or the statement over."""
    stage.prepare()
    for statement in phase.setup:
        if statement == "stall":
            stage.proxy.stall.set()
        else:
            conn.execute(statement)
    if timeout_ms is not None:
        conn.execute(f"SET statement_timeout = {timeout_ms}")
    running = Background(conn, phase.statement, phase.run)
    if timeout_ms is not None:
        return running
    if phase.reached:
        eventually(lambda: phase.reached(stage, running.pid) or not running.is_running())
        time.sleep(0.05)
    else:
        time.sleep(0.4)
    assert running.is_running(), f"over too early: {running.error}"
    return running


def assert_usable(conn, stage):
    stage.proxy.stall.clear()
    started = time.monotonic()
    conn.rollback()
    conn.execute("RESET statement_timeout")
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 40 + 2 AS a')").fetchall() == [(42,)]
    took = time.monotonic() - started
    note_latency("the next query after a cancel", took)
    assert took < PROMPT_S


def phases(*without):
    return pytest.mark.parametrize("phase", [phase for phase in PHASES if phase.name not in without], ids=lambda phase: phase.name)


@phases()
def test_cancel_ends_the_statement_and_the_session_lives(phase, connect, su, stage):
    conn = connect()
    running = begin(stage, conn, phase)
    sent = time.monotonic()
    assert su.execute("SELECT pg_cancel_backend(%s)", (running.pid,)).fetchone() == (True,)
    running.join()
    note_latency(f"cancel: {phase.name}", running.ended - sent)
    assert running.error.sqlstate == "57014"
    assert "canceling statement due to user request" in str(running.error)
    assert running.ended - sent < PROMPT_S
    assert_usable(conn, stage)


@phases()
def test_statement_timeout_ends_the_statement_and_the_session_lives(phase, connect, stage):
    conn = connect()
    running = begin(stage, conn, phase, timeout_ms=phase.timeout_ms)
    started = time.monotonic()
    running.join()
    over = running.ended - started - phase.timeout_ms / 1000
    note_latency(f"statement_timeout: {phase.name}", over)
    assert running.error.sqlstate == "57014"
    assert "canceling statement due to statement timeout" in str(running.error)
    assert over < PROMPT_S
    assert_usable(conn, stage)


@phases()
def test_terminate_ends_the_backend(phase, connect, su, stage):
    running = begin(stage, connect(), phase)
    sent = time.monotonic()
    assert su.execute("SELECT pg_terminate_backend(%s)", (running.pid,)).fetchone() == (True,)
    eventually(lambda: is_gone(running.pid))
    took = time.monotonic() - sent
    note_latency(f"terminate: {phase.name}", took)
    stage.proxy.stall.clear()
    running.join()
    # A client that is behind finds the connection closed before it comes to the error.
    assert isinstance(running.error, psycopg.OperationalError)
    assert running.error.sqlstate == "57P01" or (running.error.sqlstate is None and phase.run)
    assert took < PROMPT_S
    assert not has_spilled(stage, running.pid)


@phases()
def test_a_client_that_goes_away_ends_the_backend(phase, connect, stage):
    conn = connect()
    running = begin(stage, conn, phase)
    sent = time.monotonic()
    cut_off(conn)
    eventually(lambda: is_gone(running.pid))
    took = time.monotonic() - sent
    note_latency(f"client gone: {phase.name}", took)
    stage.proxy.stall.clear()
    running.join()
    assert isinstance(running.error, psycopg.OperationalError)
    assert took < PROMPT_S
    assert not has_spilled(stage, running.pid)


def blocked_writer(connect, su):
    """A connection whose client has stopped reading, while the backend writes."""
    conn = connect()
    pid = conn.info.backend_pid
    conn.pgconn.send_query(("SELECT * FROM " + query(f"SELECT i, repeat('x', 100) AS x FROM {ENDLESS} t(i)")).encode())
    conn.pgconn.flush()
    eventually(lambda: activity(su, pid) == ("active", "ClientWrite"))
    return conn, pid


def test_terminate_ends_a_backend_whose_client_does_not_read(connect, su):
    _conn, pid = blocked_writer(connect, su)
    sent = time.monotonic()
    su.execute("SELECT pg_terminate_backend(%s)", (pid,))
    eventually(lambda: is_gone(pid))
    assert time.monotonic() - sent < PROMPT_S


def test_a_vanished_client_that_did_not_read_ends_the_backend(connect, su):
    conn, pid = blocked_writer(connect, su)
    sent = time.monotonic()
    cut_off(conn)
    eventually(lambda: is_gone(pid))
    assert time.monotonic() - sent < PROMPT_S


def test_a_client_over_tcp_that_goes_away_ends_the_backend(connect, stage):
    conn = connect(tcp=True)
    running = begin(stage, conn, next(phase for phase in PHASES if phase.name == "aggregating in DuckDB"))
    sent = time.monotonic()
    cut_off(conn)
    eventually(lambda: is_gone(running.pid))
    note_latency("client gone over TCP", time.monotonic() - sent)
    assert time.monotonic() - sent < PROMPT_S


def test_a_backend_ends_while_a_driver_thread_is_stuck_in_a_socket(connect, su, stage):
    conn = connect()
    running = begin(stage, conn, PHASES[0])
    su.execute("SELECT pg_cancel_backend(%s)", (running.pid,))
    running.join()
    assert running.error.sqlstate == "57014"
    # The thread waits for the store still; an ordinary end of the session does not wait for it.
    started = time.monotonic()
    conn.close()
    eventually(lambda: is_gone(running.pid))
    note_latency("exit with a stuck driver thread", time.monotonic() - started)
    assert time.monotonic() - started < PROMPT_S


def test_twenty_cancelled_statements_leave_no_thread_behind(connect, su):
    conn = connect()
    pid = conn.info.backend_pid
    conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')")
    threads = lambda: len(os.listdir(f"/proc/{pid}/task"))
    before = threads()
    for number in range(20):
        running = Background(conn, "SELECT * FROM " + query(f"SELECT sum(range) + {number} AS s FROM {ENDLESS}"))
        time.sleep(0.03)
        su.execute("SELECT pg_cancel_backend(%s)", (pid,))
        running.join()
        assert running.error is None or running.error.sqlstate == "57014"
        if running.error is None:
            pytest.fail("an endless statement ended by itself")
    # A cancelled statement's thread may end a moment later, and one further driver may idle.
    eventually(lambda: threads() <= before + 2, timeout=5)
    assert conn.execute("SELECT * FROM duckdb.query('SELECT 7 AS a')").fetchall() == [(7,)]


def test_cancel_at_any_moment_of_short_statements(connect, su):
    """Cancels that hit opening, describing, starting, streaming and ending."""
    conn = connect()
    pid = conn.info.backend_pid
    stop = threading.Event()

    def shoot():
        # A rhythm of its own, so that every phase is hit sooner or later.
        while not stop.is_set():
            os.kill(pid, signal.SIGINT)
            time.sleep(0.0037)

    gun = threading.Thread(target=shoot, daemon=True)
    gun.start()
    outcomes = {"ok": 0, "57014": 0}
    try:
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            try:
                rows = conn.execute("SELECT count(*), sum(i) FROM duckdb.query('SELECT i FROM range(20000) t(i)')").fetchall()
                assert rows == [(20000, 199990000)]
                outcomes["ok"] += 1
                conn.execute("SELECT duckdb.recycle()")
            except psycopg.errors.QueryCanceled:
                outcomes["57014"] += 1
    finally:
        stop.set()
        gun.join()
    assert outcomes["57014"] > 20, outcomes
    eventually(lambda: try_select(conn))


def try_select(conn):
    try:
        return conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchall() == [(1,)]
    except psycopg.errors.QueryCanceled:
        return False


def test_a_storm_of_signals_does_no_harm(connect, su):
    conn = connect()
    pid = conn.info.backend_pid
    conn.execute("LISTEN storm")
    expected = sum(range(30_000_000))
    running = Background(conn, "SELECT count(range), sum(range) FROM " + query("FROM range(30000000) t(range)"))
    sent = 0
    while running.is_running():
        su.execute("NOTIFY storm")
        su.execute("SELECT pg_log_backend_memory_contexts(%s)", (pid,))
        for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGURG, signal.SIGHUP, signal.SIGCHLD):
            os.kill(pid, number)
        sent += 7
        time.sleep(0.001)
    assert sent > 300
    assert running.result() == [(30_000_000, expected)]


SIGNALS_OF_POSTGRES = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGURG, signal.SIGCHLD, signal.SIGQUIT)


def test_only_the_main_thread_takes_signals(connect, servers_of_stage):
    conn = connect()
    pid = conn.info.backend_pid
    # S3 brings in httpfs and its threads, a sort DuckDB's workers.
    assert conn.execute("SELECT count(*) FROM " + query("FROM 's3://lake/control/big.parquet'")).fetchone() == (300000,)
    conn.execute("SELECT * FROM " + query("SELECT max(i) FROM (SELECT i FROM range(300000) t(i) ORDER BY hash(i))"))

    def open_to(task):
        status = pathlib.Path(f"/proc/{pid}/task/{task}/status").read_text()
        blocked = int(re.search(r"^SigBlk:\s+(\w+)", status, re.M).group(1), 16)
        return {number.name for number in SIGNALS_OF_POSTGRES if not blocked >> (number - 1) & 1}

    assert {"SIGUSR1", "SIGTERM", "SIGINT", "SIGALRM"} <= open_to(pid)
    others = [task for task in os.listdir(f"/proc/{pid}/task") if int(task) != pid]
    assert len(others) >= 2
    for task in others:
        assert open_to(task) == set()


@pytest.fixture
def servers_of_stage(stage):
    stage.prepare()
    return stage


def test_lock_timeout_and_idle_timeout_keep_their_meaning(connect, su):
    conn = connect()
    conn.execute("SET lock_timeout = '300ms'")
    conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')")
    su.execute("CREATE TABLE IF NOT EXISTS control_locked (i bigint)")
    with connect(autocommit=False) as holder:
        holder.execute("LOCK control_locked")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("INSERT INTO control_locked SELECT * FROM duckdb.query('FROM range(10)')")
    # A lock timeout is about locks, not about a long query.
    conn.execute("SET lock_timeout = '50ms'")
    assert conn.execute("SELECT count(*) FROM duckdb.query('SELECT sum(range) AS s FROM range(100000000)')").fetchone() == (1,)
    conn.execute("SET idle_in_transaction_session_timeout = '200ms'")
    conn.execute("BEGIN")
    conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')")
    pid = conn.info.backend_pid
    eventually(lambda: is_gone(pid), timeout=5)
