"""The functions that look after a lake, beside sessions that write to it: no row is lost, none comes
back. All rows are compared with a heap table that has seen the same."""

import itertools
import threading
import time

import psycopg
import pytest

from lakes import execute, query
from support import eventually, failure, sqlstate_of

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("dl")


class Twin:
    """A table of the lake as a foreign table, and a heap table with the same rows."""

    def __init__(self, lake, name):
        self.lake, self.name, self.heap = lake, name, f"{name}_heap"
        execute(lake.su, f"CREATE TABLE {lake.name}.main.{name} (id BIGINT, t VARCHAR)")
        lake.su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({name}) FROM SERVER {lake.name} INTO public")
        lake.su.execute(f"CREATE TABLE {self.heap} (id bigint, t text)")

    def run(self, conn, statement):
        """The same on both tables, in one transaction."""
        with conn.transaction():
            conn.execute(statement.format(self.heap))
            conn.execute(statement.format(self.name))

    def check(self, conn, where=""):
        """Counted by the catalog, by the files, by key, and all rows."""
        heap = conn.execute(f"SELECT id, t FROM {self.heap} ORDER BY 1, 2").fetchall()
        rows = conn.execute(f"SELECT id, t FROM {self.name} ORDER BY 1, 2").fetchall()
        assert rows == heap, (where, len(rows), len(heap))
        lake = f"{self.lake.name}.main.{self.name}"
        assert query(conn, f"SELECT count(*) FROM {lake}") == [(len(heap),)], where
        assert query(conn, f"SELECT count(t) FROM {lake}") == [(len(heap),)], where


    def check_between(self, connect):
        """In the middle of it: what is counted is what is there."""
        lake = f"{self.lake.name}.main.{self.name}"
        conn = connect()
        counted = query(conn, f"SELECT (SELECT count(*) FROM {lake}) - (SELECT count(t) FROM {lake})")
        keys = query(conn, f"SELECT id FROM {lake} GROUP BY id HAVING count(*) > 1")
        conn.close()
        assert (counted, keys) == ([(0,)], [])


@pytest.fixture
def twin():
    return lambda lake: Twin(lake, f"twin{next(_numbers)}")


def fresh_table(lake):
    """A table that nothing is compared with."""
    name = f"{lake.name}.main.other{next(_numbers)}"
    execute(lake.su, f"CREATE TABLE {name} (id BIGINT, t VARCHAR)")
    return name


class Beside:
    """Other sessions, each of which runs a statement again and again."""

    def __init__(self, *loops):
        self.stop, self.errors, self.turns = threading.Event(), [], [0] * len(loops)
        self.threads = [threading.Thread(target=self._run, args=(at, loop)) for at, loop in enumerate(loops)]

    def _run(self, at, loop):
        try:
            while not self.stop.is_set():
                loop()
                self.turns[at] += 1
        except BaseException as error:  # noqa: BLE001 -- told in the main thread
            self.errors.append(error)

    def wait(self):
        """Until each has done something."""
        eventually(lambda: self.errors or all(self.turns))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.errors == []
        assert all(self.turns), self.turns


def inserts(conn, table):
    return lambda: execute(conn, f"INSERT INTO {table} VALUES ({next(_numbers)}, 'beside')")


def foreign(client, table):
    """One that takes no turns with pg_pond's sessions, with short pauses."""

    def insert():
        client.execute(f"INSERT INTO {table} VALUES (1, 'x')")
        time.sleep(0.06)

    return insert


FLUSHES = {
    "function": "SELECT * FROM duckdb.flush_inlined_data('{lake}', '{table}')",
    "checkpoint": "SELECT duckdb.checkpoint('{lake}')",
}


@pytest.mark.parametrize("flush", FLUSHES)
@pytest.mark.parametrize("beside", ["own", "foreign"])
def test_deletions_in_the_catalog_are_flushed_beside_a_writer(lake, twin, connect, su, flush, beside):
    """The deletions of rows in files, and those of rows in the catalog."""
    other = fresh_table(lake)
    conn, client = connect(), lake.client()
    loop = inserts(connect(), other) if beside == "own" else foreign(client, other)
    for turn in range(3):
        t = twin(lake)
        t.run(conn, "INSERT INTO {} SELECT i, 't' || i FROM generate_series(1, 30) i")
        t.run(conn, "INSERT INTO {} SELECT i, 't' || i FROM generate_series(31, 33) i")
        t.run(conn, "DELETE FROM {} WHERE id % 8 = 0")
        t.check(conn, "before")
        with Beside(loop) as others:
            others.wait()
            state = sqlstate_of(conn, FLUSHES[flush].format(lake=lake.name, table=t.name))
        assert state in ([None] if beside == "own" else [None, "40001"])
        t.check(conn, (turn, state))




def test_deletions_and_maintenance_in_one_transaction(lake, twin, connect):
    """A flush of the transaction's own rows cannot be tried again: all of it is committed, or nothing."""
    conn, other, t = connect(), connect(), twin(lake)
    t.run(conn, "INSERT INTO {} SELECT i, 't' || i FROM generate_series(1, 30) i")
    t.run(conn, "DELETE FROM {} WHERE id % 2 = 0")
    for faster in (False, True):
        conn.execute("BEGIN")
        conn.execute(f"INSERT INTO {t.name} VALUES (100, 'own')")
        execute(other, f"INSERT INTO {fresh_table(lake)} VALUES (1, 'faster')") if faster else None
        conn.execute(f"SELECT * FROM duckdb.flush_inlined_data('{lake.name}', '{t.name}')")
        assert sqlstate_of(conn, "COMMIT") == ("40001" if faster else None)
        conn.execute("ROLLBACK")
        if not faster:
            conn.execute(f"INSERT INTO {t.heap} VALUES (100, 'own')")
        t.check(conn, faster)


def test_an_option_is_not_lost_when_another_session_commits_first(lake, twin, connect, su):
    """It is sent to the catalog before the commit, and not again when DuckLake tries that again."""
    conn, other, t = connect(), connect(), twin(lake)
    conn.execute("BEGIN")
    conn.execute(f"INSERT INTO {t.name} VALUES (1, 'own')")
    conn.execute(f"SELECT duckdb.set_option('{lake.name}', 'parquet_compression', 'zstd', table_name => '{t.name}')")
    execute(other, f"INSERT INTO {fresh_table(lake)} VALUES (1, 'faster')")
    state = sqlstate_of(conn, "COMMIT")
    conn.execute("ROLLBACK")
    scope = "SELECT count(*) FROM ducklake_options('{}') WHERE option_name = 'parquet_compression' AND scope_entry LIKE '%{}'"
    assert (state, query(su, scope.format(lake.name, t.name))) in [("40001", [(0,)]), (None, [(1,)])]


def test_a_checkpoint_by_its_statement_names_the_function(lake, su):
    error = failure(su, "SELECT duckdb.execute('CHECKPOINT dl')")
    assert (error.sqlstate, error.diag.message_hint) == ("0A000", "Use: SELECT duckdb.checkpoint('dl')")


EVERYTHING = [
    "SELECT * FROM duckdb.flush_inlined_data('{lake}')",
    "SELECT * FROM duckdb.flush_inlined_data('{lake}', '{table}')",
    "SELECT * FROM duckdb.merge_adjacent_files('{lake}')",
    "SELECT * FROM duckdb.rewrite_data_files('{lake}', delete_threshold => 0.01)",
    "SELECT * FROM duckdb.expire_snapshots('{lake}', older_than => now() - interval '2 s')",
    "SELECT * FROM duckdb.cleanup_old_files('{lake}', older_than => now() - interval '10 s')",
    "SELECT * FROM duckdb.delete_orphaned_files('{lake}', older_than => now() - interval '1 day')",
    "SELECT duckdb.set_option('{lake}', 'parquet_compression', 'zstd')",
    "SELECT duckdb.checkpoint('{lake}')",
]


@pytest.mark.parametrize("threads", [1, 2])
def test_all_maintenance_beside_many_writers(lake, twin, connect, threads):
    """Sessions that insert, update and delete, each its own rows; what conflicts is tried again, as an
    application does."""
    t = twin(lake)

    def writer(number):
        conn = connect()
        conn.execute(f"SET duckdb.threads = {threads}")
        steps = itertools.cycle(
            [
                "INSERT INTO {} SELECT i, 'a' || i FROM generate_series({b} + 1, {b} + 3) i",
                "INSERT INTO {} SELECT i, 'b' || i FROM generate_series({b} + 4, {b} + 40) i",
                "DELETE FROM {} WHERE id BETWEEN {b} + 1 AND {b} + 2",
                "UPDATE {} SET t = t || 'u' WHERE id BETWEEN {b} + 3 AND {b} + 9",
                "DELETE FROM {} WHERE id BETWEEN {b} + 20 AND {b} + 29",
            ]
        )
        turn = itertools.count()

        def step():
            base = number * 1_000_000 + next(turn) // 5 * 100
            statement = next(steps).replace("{b}", str(base))
            for _ in range(60):
                try:
                    t.run(conn, statement)
                    return
                except psycopg.errors.SerializationFailure:
                    time.sleep(0.01)
            raise AssertionError(f"{statement} conflicts for ever")

        return step

    keeper, states = connect(), []
    with Beside(*(writer(number) for number in range(3))):
        for statement in EVERYTHING * 2:
            states.append(sqlstate_of(keeper, statement.format(lake=lake.name, table=t.name)))
            t.check_between(connect)
    assert set(states) <= {None, "40001"}, states
    # A flush and a checkpoint wait for their turn; only merging may lose against a writer every time.
    assert [state for statement, state in zip(EVERYTHING * 2, states) if "flush" in statement and state] == []
    t.check(keeper, states)
