"""A lake after crashes: what was answered is there, and nothing is there by halves.

The lake commits last before PostgreSQL does, so one thing is left open: who dies between the two
commits leaves a transaction of which the lake has its part and PostgreSQL has not. Never the other
way round.
"""

import contextlib
import itertools
import os
import pathlib
import random
import signal
import threading
import time

import psycopg
import pytest

from lakes import execute, lake_of, query
from support import Background, activity, crash_lines, eventually, is_gone, private_cluster

MOMENTS = 10
# Of a transaction: few rows go into the catalog, many into a file.
FEW, MANY = 3, 30


def rows_of(n):
    return FEW if n % 2 else MANY


@contextlib.contextmanager
def crashing(sandbox, lakes, elsewhere, **settings):
    """A cluster of its own with a lake and a heap table; the catalog is there too, or in the sandbox's cluster."""
    place = {"host": "127.0.0.1", "port": sandbox.port, "dbname": lakes.database} if elsewhere else None
    with private_cluster(sandbox, restart_after_crash="on", **settings) as cluster:
        with lake_of(cluster, sandbox, "lake", place=place, role=lakes.role if elsewhere else "postgres") as lake:
            with cluster.connect() as conn:
                execute(conn, "CREATE TABLE lake.main.t (n BIGINT, part BIGINT)")
                conn.execute("CREATE TABLE heap (n bigint PRIMARY KEY)")
                conn.execute("CREATE FOREIGN TABLE far (n bigint, part bigint) SERVER lake OPTIONS (table_name 't')")
            yield cluster, lake


class Writer:
    """Writes transactions to the lake and to the heap until its session ends."""

    def __init__(self, cluster, numbers, go):
        self.conn, self.numbers, self.go = cluster.connect(), numbers, go
        self.pid = self.conn.info.backend_pid
        self.begun, self.answered, self.error = set(), set(), None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with self.conn:
                while True:
                    self.write(self.conn, next(self.numbers))
        except psycopg.OperationalError:
            pass
        except Exception as error:
            self.error = error

    def write(self, conn, n):
        self.begun.add(n)
        conn.execute(f"BEGIN; INSERT INTO heap VALUES ({n})")
        if n % 3:
            execute(conn, f"INSERT INTO lake.main.t SELECT {n}, i FROM range({rows_of(n)}) r(i)")
        else:
            conn.execute(f"INSERT INTO far SELECT {n}, g - 1 FROM generate_series(1, {rows_of(n)}) g")
        execute(conn, f"INSERT INTO lake.main.t VALUES ({n}, -1)")
        try:
            conn.execute("COMMIT")
        except psycopg.errors.SerializationFailure:
            return
        self.answered.add(n)
        self.go.set()


def children_of(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]


def kill_cluster(cluster):
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    pids = [postmaster, *children_of(postmaster)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(is_gone(pid) for pid in pids))
    # A process that is dead and not yet reaped counts as a running one for its successor.
    for left in (cluster.data / "postmaster.pid", cluster.directory / ".s.PGSQL.5432.lock"):
        left.unlink(missing_ok=True)


def kill_backend(cluster, pid):
    """Kills the backend and returns once the cluster has restarted for it.

    A server that has not noticed yet takes connections, only to drop them: a session of our own tells when
    it has.
    """
    with contextlib.closing(cluster.connect()) as witness:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: is_dropped(witness))
    eventually(cluster.is_ready, timeout=30)


def is_dropped(conn):
    try:
        conn.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def state(conn):
    """What the lake and the heap have: {n: number of rows}, {n}."""
    found = dict(query(conn, "SELECT n, count(*) FROM lake.main.t GROUP BY n"))
    assert query(conn, "SELECT count(*) FROM (FROM lake.main.t GROUP BY n, part HAVING count(*) > 1)") == [(0,)]
    return found, {n for (n,) in conn.execute("SELECT n FROM heap")}


def orphans(client, lake):
    """Files that no snapshot has, by looking; and as DuckLake finds them."""
    there = {name for (name,) in client.rows(f"SELECT file FROM glob('{lake.data_path}**')")}
    known = {name for (name,) in client.rows("SELECT data_file FROM ducklake_list_files('lake', 't')")}
    found = {name for (name,) in client.rows("CALL ducklake_delete_orphaned_files('lake', dry_run => true, older_than => now() + INTERVAL 1 DAY)")}
    return there - known, found


@pytest.mark.parametrize("victim, elsewhere", [("backend", False), ("backend", True), ("cluster", False)],
                         ids=["backend", "backend, catalog elsewhere", "cluster"])
def test_kills_during_a_writing_load(sandbox, lakes, victim, elsewhere):
    moments = random.Random(f"{victim} {elsewhere}")
    numbers = itertools.count(1)
    begun, answered, between = set(), set(), set()
    with crashing(sandbox, lakes, elsewhere) as (cluster, lake):
        for _ in range(MOMENTS):
            go = threading.Event()
            writers = [Writer(cluster, numbers, go) for _ in range(2)]
            assert go.wait(30), [writer.error for writer in writers]
            time.sleep(moments.uniform(0, 0.3))
            if victim == "backend":
                kill_backend(cluster, writers[0].pid)
            else:
                kill_cluster(cluster)
            for writer in writers:
                writer.thread.join(20)
                assert not writer.thread.is_alive() and writer.error is None, writer.error
                begun |= writer.begun
                answered |= writer.answered
            if victim == "cluster":
                cluster.start()
            with cluster.connect() as conn:
                in_lake, in_heap = state(conn)
            assert answered <= in_heap <= set(in_lake) <= begun
            assert all(count == rows_of(n) + 1 for n, count in in_lake.items())
            between |= set(in_lake) - in_heap
        # The one whose answer got lost may be missing in PostgreSQL: at most one of each writer.
        assert len(between) <= 2 * MOMENTS
        assert len(answered) > MOMENTS
        client = lake.client()
        assert dict(client.rows("SELECT n, count(*) FROM lake.t GROUP BY n")) == in_lake
        left, found = orphans(client, lake)
        assert left == found
        client.execute("INSERT INTO lake.t VALUES (0, 0)")
        # Nothing but what we did ourselves: no backend ended by a signal other than 9.
        lines = [line for line in crash_lines(cluster.log.read_text()) if "terminated by signal 9" not in line and "because of crash" not in line]
        assert lines == []


def test_a_kill_before_commit_leaves_orphans_that_are_found(sandbox, lakes):
    with crashing(sandbox, lakes, False) as (cluster, lake):
        client = lake.client()
        conn = cluster.connect()
        conn.execute("BEGIN")
        execute(conn, "INSERT INTO lake.main.t SELECT 1, i FROM range(5000) r(i)")
        assert client.one("SELECT count(*) FROM lake.t") == 0
        kill_backend(cluster, conn.info.backend_pid)
        client = lake.client()
        left, found = orphans(client, lake)
        assert left == found and len(found) == 1
        assert client.one("SELECT count(*) FROM lake.t") == 0
        # Looking did not delete it; deleting does.
        client.execute("CALL ducklake_delete_orphaned_files('lake', older_than => now() + INTERVAL 1 DAY)")
        assert orphans(client, lake) == (set(), set())


@pytest.fixture
def between(sandbox, lakes):
    """A transaction whose lake has committed and whose PostgreSQL has not; (cluster, lake, watcher, keeper, Background).

    PostgreSQL's commit takes a lock for NOTIFY after the lake's commit. Somebody else keeps it, who waits in a
    commit of his own for a standby that does not exist.
    """
    settings = {"synchronous_standby_names": "nobody", "synchronous_commit": "local"}
    with crashing(sandbox, lakes, False, **settings) as (cluster, lake), contextlib.ExitStack() as connections:
        keeper, writer, watcher = (connections.enter_context(contextlib.closing(cluster.connect())) for _ in range(3))
        keeper.execute("SET synchronous_commit = on")
        keeping = Background(keeper, run=lambda conn: conn.execute("BEGIN; INSERT INTO heap VALUES (0); NOTIFY n; COMMIT"))
        eventually(lambda: activity(watcher, keeping.pid)[1] == "SyncRep")
        writer.execute("BEGIN; INSERT INTO heap VALUES (7); NOTIFY n")
        execute(writer, "INSERT INTO lake.main.t VALUES (7, 1)")
        committing = Background(writer, "COMMIT")
        eventually(lambda: activity(watcher, committing.pid)[1] == "object")
        assert lake.client().rows("FROM lake.t") == [(7, 1)]
        assert watcher.execute("SELECT count(*) FROM heap WHERE n = 7").fetchone() == (0,)
        yield cluster, lake, watcher, keeping, committing


def test_a_kill_between_the_two_commits(between):
    cluster, lake, _, _, committing = between
    kill_backend(cluster, committing.pid)
    committing.join()
    assert committing.error is not None
    # This is what is left: the lake's part.
    with cluster.connect() as conn:
        assert conn.execute("SELECT count(*) FROM heap WHERE n = 7").fetchone() == (0,)
        assert query(conn, "FROM lake.main.t") == [(7, 1)] == lake.client().rows("FROM lake.t")
        execute(conn, "DELETE FROM lake.main.t")


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_no_cancel_gets_between_the_two_commits(between, end):
    cluster, lake, watcher, keeping, committing = between
    watcher.execute(f"SELECT {end}(%s)", (committing.pid,))
    time.sleep(0.3)
    assert committing.is_running()
    # The keeper gives up waiting; he has committed here.
    watcher.execute("SELECT pg_cancel_backend(%s)", (keeping.pid,))
    committing.join()
    if end == "pg_terminate_backend":
        eventually(lambda: is_gone(committing.pid))
    assert watcher.execute("SELECT count(*) FROM heap WHERE n = 7").fetchone() == (1,)
    assert query(watcher, "FROM lake.main.t") == [(7, 1)] == lake.client().rows("FROM lake.t")
