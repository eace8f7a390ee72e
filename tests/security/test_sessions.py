"""What a session holds: the next client of a pooler, SET ROLE and RESET, temporary files, cursors, deadlines
of the catalog's connection."""

import socket
import threading
import time

import pytest

from support import eventually, is_gone
from worlds import execute, query

CLEANERS = ["DISCARD ALL", "DISCARD TEMP", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT"]
HELD = {
    "a table": (["CREATE TABLE held AS SELECT 'of the first client' AS a"], "FROM held"),
    "a temporary table": (["CREATE TEMP TABLE held AS SELECT 'of the first client' AS a"], "FROM held"),
    "a view's result": (["CREATE TABLE held AS SELECT 1 AS a", "INSERT INTO held SELECT 2"], "FROM memory.main.held"),
}  # fmt: skip


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("cleaner", ["DISCARD ALL", "DISCARD TEMP"])
@pytest.mark.parametrize("role", ["executor", "postgres"])
def test_discard_leaves_nothing(world, held, cleaner, role):
    made, asked = HELD[held]
    with world.new_session(role) as session:
        for statement in made:
            outcome = session.run(execute(statement))
            if outcome.error is not None:
                assert outcome.state == "42501"
                pytest.skip("may not be made")
        found = session.run(query(asked))
        if found.error is not None:
            # Temporary tables are those of one connection of DuckDB's.
            assert held == "a temporary table" and found.state == "42P01", found
            return
        session.rows(cleaner)
        session.refused(query(asked), "42P01", "42501")
        assert session.rows(query("SELECT 1 AS a")) == [(1,)]


@pytest.mark.parametrize("cleaner", CLEANERS)
def test_the_next_client_of_a_pooler_sees_nothing(world, cleaner):
    """A pooler logs in as a superuser and becomes each client's role."""
    executor, querier = world.role("executor"), world.role("querier")
    with world.new_session("postgres") as session:
        session.rows(f"SET SESSION AUTHORIZATION {executor}")
        session.rows(execute("CREATE TABLE held AS SELECT 'of the first client' AS a"))
        session.rows("PREPARE p AS SELECT 1; SET duckdb.commit_message = 'of the first client'")
        session.rows(cleaner)
        session.rows(f"SET SESSION AUTHORIZATION {querier}")
        session.refused(query("FROM held"), "42P01", "42501")
        session.rows("RESET SESSION AUTHORIZATION")
        if cleaner.startswith("DISCARD"):
            session.rows(f"SET SESSION AUTHORIZATION {executor}")
            session.refused(query("FROM held"), "42P01", "42501")
        if cleaner == "DISCARD ALL":
            assert session.rows("SHOW duckdb.commit_message") in ([("",)], [(None,)])


def test_roles_of_one_session_do_not_share_tables(world):
    with world.new_session("postgres") as session:
        session.rows(f"SET ROLE {world.role('executor')}")
        session.rows(execute("CREATE TABLE held AS SELECT 1 AS a"))
        session.rows(f"SET ROLE {world.role('querier')}")
        session.refused(query("FROM held"), "42P01", "42501")
        session.rows("RESET ROLE")
        session.refused(query("FROM held"), "42P01", "42501")
        with world.new_session("executor") as other:
            other.refused(query("FROM held"), "42P01", "42501")


def test_discard_in_a_transaction_with_open_scans(world):
    with world.new_session("executor") as session:
        session.rows("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT i FROM people ORDER BY i")
        session.rows("FETCH 2 FROM c")
        session.rows("DISCARD TEMP")
        session.run("FETCH 2 FROM c")
        session.run("ROLLBACK")
        session.rows("DISCARD ALL")
        assert session.rows("SELECT count(*) FROM people") == [(20,)]
        for _ in range(3):
            session.rows(execute("CREATE TABLE held AS SELECT 1 AS a"))
            session.rows("DISCARD ALL")


def test_a_lakes_writes_and_discard(world):
    with world.new_session("inserter") as session:
        session.rows("BEGIN; INSERT INTO orders VALUES (777, 'discarded', 'x')")
        outcome = session.run("DISCARD TEMP")
        session.run("ROLLBACK")
        assert not outcome.lost
        assert session.rows("SELECT count(*) FROM orders WHERE id = 777") == [(0,)]


@pytest.mark.parametrize("mode", ["folder", "files"])
def test_temporary_files_are_nobody_elses(world, mode):
    with world.new_session("querier") as session:
        session.rows(query("SELECT 1 AS a"))
        parent = world.sandbox.data_directory / "base" / "pgsql_tmp"
        for path in parent.glob("pgsql_tmp_duckdb*"):
            assert path.stat().st_mode & 0o077 == 0 or parent.stat().st_mode & 0o077 == 0
            for pattern in (f"{path}/*", f"{path}/x.csv", str(path)):
                session.refused(query(f"SELECT * FROM read_text('{pattern}')"))
                session.refused(query(f"FROM glob('{pattern}')"))


def test_spilled_files_are_gone_after_an_error(world):
    with world.new_session("querier") as session:
        pid = session.conn.info.backend_pid
        session.run(query("SELECT error('x') AS a FROM range(1000000) t(i) ORDER BY hash(i)"))
        session.conn.close()
        eventually(lambda: is_gone(pid), timeout=20)
        left = [path for path in (world.sandbox.data_directory / "base" / "pgsql_tmp").glob(f"pgsql_tmp_duckdb.{pid}.*")]
        assert left == []


class Stall:
    """A proxy before the catalog that stops answering."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.upstream, self.stalled = self.listener.getsockname()[1], port, threading.Event()
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            self.open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source, target):
        try:
            while data := source.recv(65536):
                while self.stalled.is_set():
                    time.sleep(0.05)
                target.sendall(data)
        except OSError:
            pass

    def close(self):
        self.stalled.clear()
        self.listener.close()
        for one in self.open:
            one.close()


@pytest.mark.parametrize("end", ["cancel", "terminate", "timeout"])
def test_a_commit_that_waits_for_the_catalog_ends(world, end):
    """The catalog stops answering within COMMIT; a deadline or a cancel ends it."""
    lake = world.lake()
    stall = Stall(world.sandbox.port)
    try:
        lake.client.execute("CREATE TABLE t (a BIGINT)")
        lake.serve(port=stall.port)
        lake.table("t", "a bigint", f"GRANT SELECT, INSERT ON {{table}} TO {world.role('inserter')}")
        with world.new_session("inserter") as session:
            if end == "timeout":
                session.rows("SET statement_timeout = '2s'")
            pid = session.conn.info.backend_pid
            session.rows(f"BEGIN; INSERT INTO {lake.name}_t VALUES (1)")
            stall.stalled.set()
            done = threading.Event()
            threading.Thread(target=lambda: (session.run("COMMIT"), done.set()), daemon=True).start()
            time.sleep(1)
            started = time.monotonic()
            if end == "cancel":
                world.su("SELECT pg_cancel_backend(%s)", (pid,))
            elif end == "terminate":
                world.su("SELECT pg_terminate_backend(%s)", (pid,))
            ended = done.wait(12)
            took = time.monotonic() - started
            stall.close()
            done.wait(15)
            assert ended, f"the COMMIT still waits {took:.0f} s after {end}"
    finally:
        stall.close()
        lake.close()
