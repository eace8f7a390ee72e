"""Many sessions at once and many one after the other: nothing leaks, nobody waits for another."""

import os
import pathlib
import threading
import time

import pytest

from conftest import create_server, map_user
from support import Background, eventually, is_gone, note_latency, spill_folders, sqlstate_of


@pytest.fixture(scope="module")
def lake(su, sandbox, lake_writer):
    lake_writer.execute("COPY (SELECT i, i % 7 AS k FROM range(200000) t(i)) TO 's3://lake/many/data.parquet'")
    create_server(su, sandbox, "lake", "s3://lake/many/")
    map_user(su, "postgres", "lake", sandbox.all)


def backends(su):
    return su.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()").fetchone()[0]


def test_twenty_sessions_at_once(connect, su, lake):
    conns = [connect() for _ in range(20)]
    started = time.monotonic()
    running = [
        Background(conn, "SELECT k, count(*), sum(i) FROM duckdb.query($$FROM 's3://lake/many/data.parquet'$$) GROUP BY k ORDER BY k")
        for conn in conns
    ]
    expected = [(k, len(range(k, 200000, 7)), sum(range(k, 200000, 7))) for k in range(7)]
    for one in running:
        assert one.result(60) == expected
    note_latency("20 sessions at once, each opening its instance", time.monotonic() - started)
    # Again, now with everything open, in four rounds.
    for _ in range(4):
        running = [Background(conn, "SELECT count(*) FROM duckdb.query($$FROM 's3://lake/many/data.parquet'$$)") for conn in conns]
        assert [one.result(60) for one in running] == [[(200000,)]] * 20


def test_a_long_query_holds_up_nobody(connect, lake):
    long = Background(connect(), "SELECT * FROM duckdb.query('SELECT sum(range) AS s FROM range(100000000000)')")
    time.sleep(0.2)
    started = time.monotonic()
    assert connect().execute("SELECT count(*) FROM duckdb.query($$FROM 's3://lake/many/data.parquet'$$)").fetchone() == (200000,)
    assert time.monotonic() - started < 5
    assert long.is_running()
    long.conn.cancel()
    long.join()


def test_two_hundred_short_sessions_leave_nothing_behind(connect, role, su, sandbox, lake):
    # Without a server, its sessions need no httpfs, whose LOAD would take most of the time.
    plain = role()
    su.execute(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {plain}")
    postmaster = int((sandbox.data_directory / "postmaster.pid").read_text().split()[0])
    descriptors = lambda: len(os.listdir(f"/proc/{postmaster}/fd"))
    before = descriptors(), backends(su)
    pids = []
    started = time.monotonic()
    for number in range(200):
        with_s3 = number % 20 == 0
        with connect("postgres" if with_s3 else plain) as conn:
            pids.append(conn.info.backend_pid)
            text = "SELECT count(*) AS n FROM 's3://lake/many/data.parquet'" if with_s3 else f"SELECT {number} AS n"
            assert conn.execute(f"SELECT n FROM duckdb.query($${text}$$)").fetchone() == (200000 if with_s3 else number,)
    note_latency("a short session, on average of 200", (time.monotonic() - started) / 200)
    eventually(lambda: all(is_gone(pid) for pid in pids))
    assert descriptors() <= before[0] and backends(su) <= before[1]
    assert not [folder for folder in spill_folders(sandbox.data_directory) if folder.name.split(".")[1] in map(str, pids)]


def test_a_session_of_many_queries_leaks_nothing(connect, lake):
    conn = connect()
    pid = conn.info.backend_pid
    descriptors = lambda: len(os.listdir(f"/proc/{pid}/fd"))
    threads = lambda: len(os.listdir(f"/proc/{pid}/task"))
    resident = lambda: int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4

    def some(count):
        for number in range(count):
            assert conn.execute(f"SELECT a, b FROM duckdb.query('SELECT {number} AS a, ''x'' AS b')").fetchone() == (number, "x")
            if number % 10 == 0:
                conn.execute("SELECT count(*) FROM duckdb.query($$FROM 's3://lake/many/data.parquet'$$) WHERE i < 5")
            assert sqlstate_of(conn, "SELECT * FROM duckdb.query('FROM nosuch')") == "42P01"

    some(150)
    before = descriptors(), threads()
    resident_before = resident()
    some(300)
    assert descriptors() <= before[0] + 2
    # A driver thread that is still busy with an end gets company, which stays; 300 queries do not
    # make 300 threads.
    assert threads() <= before[1] + 12
    assert resident() < resident_before + 20 * 1024


def test_replacing_the_instance_many_times_leaks_nothing(connect, lake):
    conn = connect()
    pid = conn.info.backend_pid
    descriptors = lambda: len(os.listdir(f"/proc/{pid}/fd"))
    threads = lambda: len(os.listdir(f"/proc/{pid}/task"))
    resident = lambda: int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4

    def some(count):
        for number in range(count):
            conn.execute(f"SET duckdb.memory_limit = '{100 + number % 2}MB'")
            assert conn.execute("SELECT count(*) FROM duckdb.query($$FROM 's3://lake/many/data.parquet'$$)").fetchone() == (200000,)

    some(20)
    before = descriptors(), threads(), resident()
    some(40)
    assert descriptors() <= before[0] + 2 and threads() <= before[1] + 2
    assert resident() < before[2] + 60 * 1024


def test_ddl_in_other_sessions_while_sessions_query(connect, su, sandbox, lake):
    """Servers and mappings come and go while others query: no error, no stale instance."""
    stop = threading.Event()
    conns = [connect() for _ in range(4)]

    def work(conn):
        count = 0
        while not stop.is_set():
            assert conn.execute("SELECT count(*) FROM duckdb.query($$FROM 's3://lake/many/data.parquet'$$)").fetchone() == (200000,)
            count += 1
        return count

    running = [Background(conn, run=work) for conn in conns]
    for number in range(30):
        create_server(su, sandbox, f"other_{number}", f"s3://lake/other{number}/")
        map_user(su, "postgres", f"other_{number}", sandbox.all)
        su.execute(f"DROP SERVER other_{number} CASCADE")
    stop.set()
    assert all(one.result(60) > 0 for one in running)
