"""A catalog that stopped answering: who waits for it can be ended, a COMMIT too, and learns whether the
lake has committed."""

import contextlib
import os
import select
import signal
import threading
import time

import psycopg
import pytest

from lakes import Lake, execute, query
from support import PROMPT_S, Background, Proxy, cut_off, eventually, is_gone, note_latency, private_cluster, sqlstate_of, words


@contextlib.contextmanager
def stopped(catalog, database):
    """The sessions that pg_pond has in a catalog, stopped: their sockets live, nobody answers."""
    found = catalog.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_pond' AND datname = %s", (database,)
    ).fetchall()
    pids = [pid for (pid,) in found]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.fixture(params=["tcp", "unix socket"])
def lake(request, sandbox, su, lakes):
    """A lake with a table, and a superuser's connection to its catalog."""
    if request.param == "tcp":
        made = lakes.make("overtcp")
        with lakes.catalog_connection() as catalog:
            execute(su, "CREATE TABLE overtcp.t (id BIGINT)")
            yield made, catalog, lakes.database
        su.execute("DROP SERVER overtcp CASCADE")
        return
    with private_cluster(sandbox) as cluster, cluster.connect() as catalog:
        place = {"host": cluster.directory, "port": 5432, "dbname": "postgres", "metadata_schema": "meta"}
        made = Lake(sandbox, su, "oversocket", data_path=f"{lakes.folder()}/data/", place=place, role="postgres")
        made.create_server()
        execute(su, "CREATE TABLE oversocket.t (id BIGINT)")
        yield made, catalog, "postgres"
        su.execute("DROP SERVER oversocket CASCADE")


@pytest.mark.parametrize("end", ["cancel", "terminate", "statement_timeout", "the client goes away"])
def test_the_end_of_a_commit_whose_catalog_does_not_answer(lake, connect, su, end):
    made, catalog, database = lake
    table = f"{made.name}.t"
    writer = connect()
    writer.execute("CREATE TEMP TABLE heap (a int)")
    writer.execute("BEGIN; INSERT INTO heap VALUES (1)")
    execute(writer, f"INSERT INTO {table} VALUES (1)")
    if end == "statement_timeout":
        writer.execute("SET LOCAL statement_timeout = '500ms'")
    with stopped(catalog, database):
        committing = Background(writer, "COMMIT")
        time.sleep(0.5)
        assert committing.is_running()
        started = time.monotonic()
        if end == "cancel":
            su.execute("SELECT pg_cancel_backend(%s)", (committing.pid,))
        elif end == "terminate":
            su.execute("SELECT pg_terminate_backend(%s)", (committing.pid,))
        elif end == "the client goes away":
            cut_off(writer)
        committing.join(20)
        if end in ("terminate", "the client goes away"):
            eventually(lambda: is_gone(committing.pid))
        note_latency(f"{end} while COMMIT waits for a stopped catalog", time.monotonic() - started)
        assert time.monotonic() - started < 2 + PROMPT_S
        assert isinstance(committing.error, psycopg.Error)
        # DuckDB has a transaction for its own look at the catalog beside the lake's, whose COMMIT may be the
        # one that got no answer.
        allowed = {"cancel": ("57014", "08007"), "terminate": ("57P01", "08007"), "statement_timeout": ("57014", "08007")}
        assert committing.error.sqlstate in allowed.get(end, (None, "08007")), words(committing.error)
        if end in ("cancel", "statement_timeout"):
            assert writer.execute("SELECT count(*) FROM heap").fetchone() == (0,)
    # Nothing of it is there, and the session goes on.
    again = writer if end in ("cancel", "statement_timeout") else connect()
    assert sqlstate_of(again, f"SELECT * FROM duckdb.query('FROM {table}') q") in (None, "08006")
    assert query(again, f"SELECT count(*) FROM {table}") == [(0,)]
    execute(again, f"INSERT INTO {table} VALUES (2)")
    assert query(again, f"FROM {table}") == [(2,)]


class Withholding(Proxy):
    """Before a catalog: lets a COMMIT of changes through and keeps the answer back, once `withhold` is set."""

    def __init__(self, upstream):
        super().__init__(upstream)
        self.withhold = threading.Event()

    def _pump(self, client, server):
        wrote = held = False
        while True:
            for source in select.select([client, server], [], [], 60)[0]:
                data = source.recv(65536)
                if not data:
                    return
                wrote = wrote or source is client and self.withhold.is_set() and b"INSERT INTO" in data
                held = held or source is client and wrote and data.endswith(b"COMMIT\0")
                if source is server and held:
                    self.stalled.set()
                    continue
                (server if source is client else client).sendall(data)


@pytest.mark.parametrize("end", ["cancel", "the connection breaks"])
def test_a_commit_without_an_answer_says_that_nobody_knows(sandbox, connect, su, lakes, end):
    proxy = Withholding(f"127.0.0.1:{sandbox.port}")
    place = {"host": "127.0.0.1", "port": proxy.port, "dbname": lakes.database, "metadata_schema": f"withheld_{len(end)}"}
    made = Lake(sandbox, su, "withheld", data_path=f"{lakes.folder()}/data/", place=place, role=lakes.role)
    made.create_server()
    try:
        execute(su, "CREATE TABLE withheld.t (id BIGINT)")
        writer = connect()
        writer.execute("CREATE TEMP TABLE heap (a int)")
        writer.execute("BEGIN; INSERT INTO heap VALUES (1)")
        execute(writer, "INSERT INTO withheld.t VALUES (1)")
        proxy.withhold.set()
        committing = Background(writer, "COMMIT")
        assert proxy.stalled.wait(10)
        proxy.withhold.clear()
        if end == "cancel":
            su.execute("SELECT pg_cancel_backend(%s)", (committing.pid,))
        else:
            with lakes.catalog_connection() as catalog:
                catalog.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_pond' AND datname = %s",
                    (lakes.database,),
                )
        committing.join(10)
        assert committing.error.sqlstate == "08007", words(committing.error)
        assert 'whether lake "withheld" has committed' in words(committing.error)
        assert writer.execute("SELECT count(*) FROM heap").fetchone() == (0,)
        # The catalog did get it.
        fresh = connect()
        assert query(fresh, "FROM withheld.t") == [(1,)]
    finally:
        su.execute("DROP SERVER withheld CASCADE")
        proxy.close()


def test_a_catalogs_statement_timeout_is_an_option(connect, su, lakes):
    lakes.make("patient", statement_timeout="300")
    execute(su, "CREATE TABLE patient.t (id BIGINT)")
    with lakes.catalog_connection() as catalog:
        (setting,) = catalog.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_pond'").fetchone()
        assert setting > 0
        schema = lakes._made[-1].place["metadata_schema"]
        catalog.execute(f"BEGIN; LOCK TABLE {schema}.ducklake_snapshot IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        assert sqlstate_of(connect(), "SELECT * FROM duckdb.query('FROM patient.t') q") is not None
        assert time.monotonic() - started < PROMPT_S
        catalog.execute("ROLLBACK")


def test_instances_that_an_error_has_broken_leave_no_session_in_the_catalog(connect, su, role, lakes):
    """DuckLake breaks its instance at a table of inlined rows that the catalog's user may not read."""
    made = lakes.make("breaking", local=True)
    meta, reader = made.place["metadata_schema"], role("SUPERUSER")
    account = f"{reader}_account"
    execute(su, "CREATE TABLE breaking.old AS SELECT 1::BIGINT AS id")
    with lakes.catalog_connection() as catalog:
        catalog.execute(
            f"CREATE ROLE {account} LOGIN PASSWORD '{account}'; GRANT USAGE ON SCHEMA {meta} TO {account}; "
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {meta} TO {account}"
        )
        su.execute(f"CREATE USER MAPPING FOR {reader} SERVER breaking OPTIONS (user '{account}', password '{account}')")
        execute(su, "CREATE TABLE breaking.newer AS SELECT 2::BIGINT AS id")
        conn = connect(reader)

        def sessions():
            return [state for (state,) in catalog.execute("SELECT state FROM pg_stat_activity WHERE usename = %s", (account,))]

        for begin in ("SELECT 1", "BEGIN", "SELECT 1", "BEGIN", "SELECT 1"):
            conn.execute(begin)
            assert sqlstate_of(conn, "SELECT * FROM duckdb.query('FROM breaking.newer') q") == "42501"
            conn.execute("ROLLBACK")
            eventually(lambda: sessions() == [])
        assert query(conn, "FROM breaking.old") == [(1,)]
        eventually(lambda: not any(state.startswith("idle in transaction") for state in sessions()))
        assert len(sessions()) < 5
        conn.close()
        catalog.execute(f"DROP OWNED BY {account}; DROP ROLE {account}")
