"""ROLLBACK TO after writes to a lake, and the rows of single INSERTs, which are gathered: as on a heap
table, whatever the order of things."""

import itertools
import random
import time

import psycopg
import pytest

from lakes import execute, literal, query
from support import failure, sqlstate_of, words

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("sp", local=True)


class Twin:
    """Two tables of the lake as foreign tables, and heap tables of the same rows."""

    def __init__(self, lake, conn):
        self.conn, self.lake = conn, lake
        number = next(_numbers)
        self.tables = [f"sp{number}_{each}" for each in "ab"]
        for table in self.tables:
            execute(lake.su, f"CREATE TABLE sp.main.{table} (id BIGINT, t VARCHAR NOT NULL, n DECIMAL(10,2))")
            lake.su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({table}) FROM SERVER sp INTO public")
            lake.su.execute(f"CREATE TABLE {table}_heap (id bigint, t text NOT NULL, n numeric(10,2))")

    def run(self, statement, table=0):
        """The same on a table and its heap; both must change as many rows."""
        counts = []
        for name in (f"{self.tables[table]}_heap", self.tables[table]):
            counts.append(self.conn.execute(statement.format(name)).rowcount)
        assert counts[0] == counts[1], statement

    def check(self, conn=None, where=""):
        for table in self.tables:
            heap, rows = ((conn or self.conn).execute(f"SELECT id, t, n FROM {t} ORDER BY 1, 2, 3").fetchall() for t in (f"{table}_heap", table))
            assert rows == heap, (where, table)


@pytest.fixture
def twin(lake, connect):
    return Twin(lake, connect())


WRITES = [
    "INSERT INTO {} VALUES ({i}, 'one', 1.5)",
    "INSERT INTO {} VALUES ({i}, 'two', NULL), ({i} + 1, 'two', 2)",
    "INSERT INTO {} (t, id) VALUES ('some', {i})",
    "INSERT INTO {} SELECT {i} + g, 'many', g FROM generate_series(1, 150) g",
    "UPDATE {} SET t = t || 'u' WHERE id % 3 = 0",
    "DELETE FROM {} WHERE id % 7 = {i} % 7",
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threads", [1, 2])
def test_any_order_of_writes_and_savepoints(lake, twin, connect, seed, threads):
    chance, conn = random.Random(seed), twin.conn
    conn.execute(f"SET duckdb.threads = {threads}")
    for _ in range(3):
        conn.execute("BEGIN")
        steps, open_ = [], []
        for i in range(14):
            step = chance.choice(["write", "write", "write", "read", "save", "back", "release", "fail"])
            if step == "write":
                statement = chance.choice(WRITES).replace("{i}", str(i * 1000))
                twin.run(statement, chance.randrange(2))
                step = statement
            elif step == "read":
                twin.check(where=steps)
            elif step == "save":
                open_.append(f"s{len(open_)}")
                conn.execute(f"SAVEPOINT {open_[-1]}")
            elif step == "fail":
                conn.execute("SAVEPOINT f")
                lost = chance.choice([f"SELECT * FROM duckdb.query('SELECT error(t) FROM sp.main.{twin.tables[0]}')", "SELECT 1/0", f"INSERT INTO {twin.tables[1]} VALUES (1, NULL, 1)"])
                sqlstate_of(conn, lost)
                conn.execute("ROLLBACK TO f")
            elif open_:
                at = chance.randrange(len(open_))
                conn.execute(f"{'ROLLBACK TO' if step == 'back' else 'RELEASE'} {open_[at]}")
                del open_[at + (step == "back"):]
            steps.append(step)
        conn.execute(chance.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
        twin.check(where=steps)
        twin.check(connect(), steps)


def test_single_inserts_are_gathered(lake, twin, connect):
    conn = twin.conn
    twin.run("INSERT INTO {} VALUES (0, 'first', 0)")
    before = len(lake.snapshots())
    conn.execute("BEGIN")
    started = time.monotonic()
    for i in range(1000):
        assert conn.execute(f"INSERT INTO {twin.tables[i % 2]} VALUES (%s, %s, 1)", (i, f"row {i}")).rowcount == 1
    took = time.monotonic() - started
    for i in range(1000):
        conn.execute(f"INSERT INTO {twin.tables[i % 2]}_heap VALUES (%s, %s, 1)", (i, f"row {i}"))
    twin.check()
    conn.execute("COMMIT")
    twin.check(connect())
    assert len(lake.snapshots()) == before + 1
    # A quarter of a second; 20 to 40 s where each is sent by itself.
    assert took < 5


def test_errors_belong_to_their_insert(twin):
    conn, (table, _) = twin.conn, twin.tables
    conn.execute("BEGIN")
    twin.run("INSERT INTO {} VALUES (1, 'a', 1)")
    twin.run("INSERT INTO {} VALUES (2, 'b', 1)")
    for values, state in (("3, NULL, 1", "23502"), ("'x', 'c', 1", "22P02"), ("3, 'c', 1e9", "22003")):
        conn.execute("SAVEPOINT a")
        assert sqlstate_of(conn, f"INSERT INTO {table} VALUES ({values})") == state
        conn.execute("ROLLBACK TO a")
    twin.run("INSERT INTO {} VALUES (4, 'd', 1)")
    conn.execute("COMMIT")
    twin.check()


def test_gathered_rows_go_with_the_transaction(twin, connect):
    conn = twin.conn
    for end in ("ROLLBACK", "COMMIT"):
        conn.execute("BEGIN")
        for i in range(5):
            twin.run(f"INSERT INTO {{}} VALUES ({i}, '{end}', 1)")
        assert connect().execute(f"SELECT count(*) FROM {twin.tables[0]}").fetchone() == (0,)
        conn.execute(end)
        twin.check(connect())


@pytest.mark.parametrize("reads", [False, True], ids=["inserts only", "after a look"])
def test_another_transaction_has_committed_meanwhile(lake, twin, connect, reads):
    """Rows that are only inserted need no snapshot; anything else must be written again on the same one."""
    conn, (table, other) = twin.conn, twin.tables
    conn.execute("BEGIN")
    if reads:
        twin.check()
    twin.run("INSERT INTO {} VALUES (1, 'kept', 1)")
    conn.execute("SAVEPOINT a")
    conn.execute(f"INSERT INTO {table} SELECT g, 'undone', 1 FROM generate_series(1, 200) g")
    execute(connect(), f"INSERT INTO sp.main.{other} VALUES (5, 'other', 5)")
    conn.execute("ROLLBACK TO a")
    error = sqlstate_of(conn, "COMMIT")
    assert error == ("40001" if reads else None)
    found = connect().execute(f"SELECT t FROM {table}").fetchall()
    assert found == ([] if reads else [("kept",)])


@pytest.mark.parametrize("before", ["large", "varies", "by row"])
def test_beyond_the_bounds_the_transaction_cannot_commit(lake, twin, before):
    conn, (table, _) = twin.conn, twin.tables
    conn.execute(f"INSERT INTO {table} VALUES (1, 'old', 1)")
    statement = {
        "large": f"INSERT INTO {table} SELECT g, repeat('x', 1000), 1 FROM generate_series(1, 40000) g",
        "varies": f"SELECT duckdb.execute('INSERT INTO sp.main.{table} SELECT i, uuid(), 1 FROM range(3) r(i)')",
        "by row": f"UPDATE {table} SET t = 'new' WHERE pg_backend_pid() > 0 RETURNING id",
    }[before]
    conn.execute("BEGIN")
    conn.execute(statement)
    conn.execute("SAVEPOINT a")
    conn.execute(f"INSERT INTO {table} VALUES (7, 'undone', 1)")
    conn.execute(f"SELECT count(*) FROM {table}")
    conn.execute("ROLLBACK TO a")
    error = failure(conn, "COMMIT")
    assert error.sqlstate == "40000", words(error)
    assert "savepoint" in words(error)
    assert conn.execute(f"SELECT t FROM {table}").fetchall() == [("old",)]


@pytest.mark.parametrize("statement", [
    "INSERT INTO {} SELECT g, 'x', 1 / (3000 - g) FROM generate_series(1, 10000) g",
    "UPDATE {} SET n = 1 / (id - 2) WHERE pg_backend_pid() > 0",
    "INSERT INTO {} SELECT g, repeat('x', 100), 1 FROM generate_series(1, 10000000) g",
], ids=["insert", "update", "timeout"])
def test_a_statement_that_ends_in_the_middle_goes_with_its_savepoint(twin, connect, statement):
    conn = twin.conn
    conn.execute("BEGIN")
    twin.run("INSERT INTO {} SELECT g, 'before', 1 FROM generate_series(1, 5) g")
    conn.execute("SAVEPOINT a; SET LOCAL statement_timeout = '2s'")
    assert sqlstate_of(conn, statement.format(twin.tables[0])) in ("22012", "57014")
    conn.execute("ROLLBACK TO a")
    twin.run("INSERT INTO {} VALUES (6, 'after', 1)")
    twin.check()
    conn.execute("COMMIT")
    twin.check(connect())


def test_a_savepoint_for_each_row(twin, connect):
    """As psql's ON_ERROR_ROLLBACK, JDBC's autosave and nested blocks of ORMs do it."""
    conn, (table, _) = twin.conn, twin.tables
    conn.execute("BEGIN")
    for i in range(60):
        conn.execute("SAVEPOINT each")
        twin.run(f"INSERT INTO {{}} VALUES ({i}, 'row', 1)")
        if i % 3 == 0:
            assert sqlstate_of(conn, f"INSERT INTO {table} VALUES ({i}, NULL, 1)") == "23502"
            conn.execute("ROLLBACK TO each")
        conn.execute("RELEASE each")
    conn.execute("COMMIT")
    twin.check(connect())
