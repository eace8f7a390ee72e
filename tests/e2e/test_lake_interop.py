"""pg_pond and DuckDB's own client on one lake at the same time."""

import random
import threading
import time

import duckdb
import psycopg
import pytest

from lakes import execute, fresh_name, query
from support import failure, sqlstate_of, words


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("shared", data_inlining_row_limit="10")


@pytest.fixture(scope="module")
def client(lake):
    return lake.client()


@pytest.fixture
def table(lake, client, request):
    """A new table of the client's with rows 0 … 99 in a file and 100 … 104 in the catalog, and its foreign table."""
    name = fresh_name(request)
    client.execute(f"CREATE TABLE shared.{name} (id INTEGER, t VARCHAR, x DECIMAL(9,2))")
    client.execute(f"INSERT INTO shared.{name} SELECT i, 't' || i, i / 4 FROM range(100) r(i)")
    client.execute(f"INSERT INTO shared.{name} SELECT i, 't' || i, i / 4 FROM range(100, 105) r(i)")
    reimport(lake, name)
    return name


def reimport(lake, name):
    lake.su.execute(f"DROP FOREIGN TABLE IF EXISTS {name}")
    lake.su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({name}) FROM SERVER shared INTO public")


def sums(conn, name):
    return conn.execute(f"SELECT count(*), sum(id), sum(x) FROM {name}").fetchone()


def same(conn, client, name):
    """Both sides see the same; returns what."""
    seen = sums(conn, name)
    assert seen == client.execute(f"SELECT count(*), sum(id), sum(x) FROM shared.{name}").fetchone()
    # The whole rows as well.
    rows = conn.execute(f"SELECT id, t, x FROM {name} ORDER BY id, t").fetchall()
    assert rows == client.rows(f"SELECT id, t, x FROM shared.{name} ORDER BY id, t")
    return seen[0]


# ---- rows


def test_each_sees_what_the_other_commits(connect, client, table):
    conn = connect()
    assert same(conn, client, table) == 105
    execute(conn, f"INSERT INTO shared.main.{table} VALUES (1000, 'here', 0.5)")
    assert same(conn, client, table) == 106
    client.execute(f"INSERT INTO shared.{table} SELECT i, 'there', NULL FROM range(2000, 2050) r(i)")
    assert same(conn, client, table) == 156
    execute(conn, f"UPDATE shared.main.{table} SET t = t || '!' WHERE id IN (1, 101, 1000, 2001)")
    assert same(conn, client, table) == 156
    client.execute(f"UPDATE shared.{table} SET x = x + 1 WHERE id IN (1, 101, 1000, 2001)")
    assert same(conn, client, table) == 156
    execute(conn, f"DELETE FROM shared.main.{table} WHERE id IN (2, 102, 2002)")
    assert same(conn, client, table) == 153
    client.execute(f"DELETE FROM shared.{table} WHERE id IN (1, 101, 1000, 2001, 3)")
    assert same(conn, client, table) == 148
    client.execute(f"BEGIN; DELETE FROM shared.{table}")
    assert sums(conn, table)[0] == 148
    client.execute("ROLLBACK")
    client.execute(f"TRUNCATE shared.{table}")
    assert same(conn, client, table) == 0


def test_inlined_rows_and_their_flush(connect, client, table):
    conn = connect()

    def files():
        return client.one(f"SELECT count(*) FROM ducklake_list_files('shared', '{table}')")

    before = files()
    execute(conn, f"INSERT INTO shared.main.{table} VALUES (200, 'inlined', 1)")
    execute(conn, f"DELETE FROM shared.main.{table} WHERE id = 100")
    assert files() == before
    assert same(conn, client, table) == 105
    conn.execute(f"PREPARE p AS SELECT count(*), sum(id) FROM {table}")
    expected = conn.execute("EXECUTE p").fetchone()
    # One side flushes, then the other.
    client.execute(f"CALL ducklake_flush_inlined_data('shared', table_name => '{table}')")
    assert files() == before + 1
    assert same(conn, client, table) == 105
    assert conn.execute("EXECUTE p").fetchone() == expected
    client.execute(f"INSERT INTO shared.{table} VALUES (201, 'inlined', 1), (202, 'inlined', 1)")
    assert same(conn, client, table) == 107
    conn.execute(f"SELECT * FROM duckdb.flush_inlined_data('shared', '{table}')")
    assert files() == before + 2
    assert same(conn, client, table) == 107
    execute(conn, f"UPDATE shared.main.{table} SET x = 9 WHERE id >= 200")
    assert same(conn, client, table) == 107


def test_maintenance_of_the_client_under_an_open_session(connect, client, table):
    conn = connect()
    conn.execute(f"PREPARE p AS SELECT count(*), sum(id) FROM {table}")
    expected = conn.execute("EXECUTE p").fetchone()
    conn.execute("BEGIN")
    conn.execute(f"DECLARE c CURSOR FOR SELECT id FROM {table}")
    assert len(conn.execute("FETCH 1 FROM c").fetchall()) == 1
    for _ in range(3):
        client.execute(f"INSERT INTO shared.{table} SELECT 1000 + i, 'x', 0 FROM range(20) r(i)")
        client.execute(f"DELETE FROM shared.{table} WHERE id >= 1000")
    client.execute("CALL ducklake_merge_adjacent_files('shared')")
    client.execute(f"CALL ducklake_rewrite_data_files('shared', '{table}', delete_threshold => 0)")
    assert len(conn.execute("FETCH ALL FROM c").fetchall()) == 104
    assert conn.execute("EXECUTE p").fetchone() == expected
    conn.execute("COMMIT")
    assert conn.execute("EXECUTE p").fetchone() == expected
    # The snapshots that open transactions may read are gone; a new transaction reads the newest one.
    client.execute("CALL ducklake_expire_snapshots('shared', older_than => now())")
    client.execute("CALL ducklake_cleanup_old_files('shared', cleanup_all => true)")
    assert conn.execute("EXECUTE p").fetchone() == expected
    assert same(conn, client, table) == 105


def test_a_transaction_whose_files_are_removed(connect, client, table):
    conn = connect()
    conn.execute("BEGIN")
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (105,)
    client.execute(f"DELETE FROM shared.{table} WHERE id >= 50")
    client.execute(f"CALL ducklake_rewrite_data_files('shared', '{table}', delete_threshold => 0)")
    client.execute("CALL ducklake_expire_snapshots('shared', older_than => now())")
    client.execute("CALL ducklake_cleanup_old_files('shared', cleanup_all => true)")
    # The rows of the transaction's snapshot, if they are still at hand, or an error; never less.
    try:
        assert conn.execute(f"SELECT count(t), max(t) FROM {table}").fetchone() == (105, "t99")
    except psycopg.Error as error:
        assert error.sqlstate == "58P01" and table in words(error), words(error)
    conn.execute("ROLLBACK")
    assert conn.execute(f"SELECT count(*), max(t) FROM {table}").fetchone() == (50, "t9")


# ---- definitions


@pytest.fixture
def session(connect, table):
    """A session with a view and a prepared statement on the table, which it has already run."""
    conn = connect()
    conn.execute(f"CREATE VIEW v_{table} AS SELECT id, t, x FROM {table}")
    conn.execute(f"PREPARE by_table AS SELECT count(*), max(t) FROM {table}")
    conn.execute(f"PREPARE by_view AS SELECT count(*), sum(x) FROM v_{table}")
    conn.execute(f"PREPARE by_query AS SELECT * FROM duckdb.query('SELECT count(*) AS n, max(t) AS t FROM shared.main.{table}')")
    conn.execute(f"PREPARE all_columns AS SELECT * FROM duckdb.query('FROM shared.main.{table} WHERE id = 1')")
    for statement in ("by_table", "by_view", "by_query"):
        assert conn.execute(f"EXECUTE {statement}").fetchone()[0] == 105
    assert conn.execute("EXECUTE all_columns").fetchone()[:2] == (1, "t1")
    yield conn
    conn.execute(f"DROP VIEW v_{table}")


def test_add_column(session, client, table, lake):
    client.execute(f"ALTER TABLE shared.{table} ADD COLUMN extra INTEGER DEFAULT 7")
    client.execute(f"INSERT INTO shared.{table} VALUES (500, 'zz', 1, 8)")
    for statement in ("by_table", "by_view", "by_query"):
        assert session.execute(f"EXECUTE {statement}").fetchone()[0] == 106
    assert session.execute(f"SELECT * FROM {table} WHERE id = 1").fetchone()[:2] == (1, "t1")
    assert sqlstate_of(session, f"SELECT extra FROM {table}") == "42703"
    assert query(session, f"SELECT sum(extra) FROM shared.main.{table}") == [(105 * 7 + 8,)]
    # A query for all columns has other ones now, which a prepared statement must not show unannounced.
    assert sqlstate_of(session, "EXECUTE all_columns") in (None, "0A000", "42804")
    session.execute(f"ALTER FOREIGN TABLE {table} ADD COLUMN extra integer")
    assert session.execute(f"SELECT sum(extra) FROM {table}").fetchone() == (105 * 7 + 8,)


def test_drop_column(session, client, table):
    client.execute(f"ALTER TABLE shared.{table} DROP COLUMN t")
    for statement in ("EXECUTE by_table", f"SELECT t FROM {table}"):
        error = failure(session, statement)
        assert error.sqlstate == "42703" and table in str(error) and '"t"' in str(error), words(error)
    assert sqlstate_of(session, "EXECUTE by_query") == "42703"
    # What does not need the column goes on; DuckDB may need it for a view that has it.
    assert session.execute(f"SELECT count(*), sum(id) FROM {table}").fetchone()[0] == 105
    assert sqlstate_of(session, "EXECUTE by_view") in (None, "42703")
    # A column of that name that comes later is another one.
    client.execute(f"ALTER TABLE shared.{table} ADD COLUMN t VARCHAR")
    assert session.execute("EXECUTE by_table").fetchone() == (105, None)


def test_rename_column(session, client, table, lake):
    client.execute(f"ALTER TABLE shared.{table} RENAME COLUMN t TO title")
    for statement in ("EXECUTE by_table", f"SELECT * FROM {table}", f"SELECT t FROM v_{table}"):
        error = failure(session, statement)
        assert error.sqlstate == "42703" and table in str(error) and '"t"' in str(error), words(error)
    session.execute(f"ALTER FOREIGN TABLE {table} ALTER COLUMN t OPTIONS (ADD column_name 'title')")
    assert session.execute("EXECUTE by_table").fetchone() == (105, "t99")
    assert session.execute(f"SELECT t FROM v_{table} WHERE id = 3").fetchone() == ("t3",)


def test_widen_column(session, connect, client, table, lake):
    session.execute(f"SELECT sum(id) FROM {table} WHERE id > 5")
    client.execute(f"ALTER TABLE shared.{table} ALTER COLUMN id SET DATA TYPE BIGINT")
    # DuckDB 1.5.5 may end with an internal error where statistics of before are still at hand. It costs the
    # session its instance, and no more.
    sqlstate_of(session, f"SELECT * FROM {table} WHERE id > 5 LIMIT 2")
    assert session.execute(f"SELECT id FROM {table} WHERE id > 5 ORDER BY id LIMIT 2").fetchall() == [(6,), (7,)]
    client.execute(f"INSERT INTO shared.{table} VALUES (5000000000, 'big', 0)")
    # The foreign table's integers do not hold it.
    assert sqlstate_of(session, f"SELECT max(id) FROM {table}") in ("22003", "22023", "42804")
    assert session.execute("EXECUTE by_table").fetchone()[0] == 106
    session.execute(f"DROP VIEW v_{table}")
    reimport(lake, table)
    session.execute(f"CREATE VIEW v_{table} AS SELECT id, t, x FROM {table}")
    assert session.execute(f"SELECT max(id) FROM {table}").fetchone() == (5000000000,)
    assert session.execute("EXECUTE by_table").fetchone()[0] == 106
    assert same(session, client, table) == 106


@pytest.mark.parametrize("change", ["RENAME", "DROP"])
def test_a_table_that_goes_away(session, client, table, change):
    client.execute(f"ALTER TABLE shared.{table} RENAME TO away_{table}" if change == "RENAME" else f"DROP TABLE shared.{table}")
    for statement in ("EXECUTE by_table", "EXECUTE by_view", f"SELECT * FROM {table}", "EXECUTE by_query"):
        error = failure(session, statement)
        assert error.sqlstate == "42P01" and table in words(error), words(error)
        assert "__ducklake" not in words(error)
    if change == "RENAME":
        session.execute(f"ALTER FOREIGN TABLE {table} OPTIONS (SET table_name 'away_{table}')")
    else:
        client.execute(f"CREATE TABLE shared.{table} AS SELECT i AS id, 't' || i AS t, 1.5::DECIMAL(9,2) AS x FROM range(105) r(i)")
    assert session.execute("EXECUTE by_table").fetchone() == (105, "t99")
    assert session.execute("EXECUTE by_view").fetchone()[0] == 105


def test_a_table_that_is_made_here_and_there(session, client, table, lake):
    execute(session, f"CREATE TABLE shared.main.made_{table} AS SELECT * FROM shared.main.{table}")
    assert client.one(f"SELECT count(*) FROM shared.made_{table}") == 105
    client.execute(f"CREATE TABLE shared.also_{table} (a INTEGER[], s STRUCT(x INTEGER, y VARCHAR), d DATE NOT NULL)")
    client.execute(f"INSERT INTO shared.also_{table} VALUES ([1, NULL, 3], {{x: 1, y: 'y'}}, '2026-02-28')")
    reimport(lake, f"also_{table}")
    assert session.execute(f"SELECT a, d::text, s ->> 'y' FROM also_{table}").fetchone() == ([1, None, 3], "2026-02-28", "y")
    execute(session, f"DROP TABLE shared.main.made_{table}")
    with pytest.raises(duckdb.CatalogException):
        client.rows(f"FROM shared.made_{table}")


def test_views(session, client, table, lake):
    view = f"few_{table}"
    client.execute(f"CREATE VIEW shared.{view} AS SELECT id, t FROM shared.{table} WHERE id < 5")
    assert query(session, f"SELECT count(*) FROM shared.main.{view}") == [(5,)]
    reimport(lake, view)
    session.execute(f"PREPARE viewed AS SELECT count(*) FROM {view}")
    assert session.execute("EXECUTE viewed").fetchone() == (5,)
    client.execute(f"CREATE OR REPLACE VIEW shared.{view} AS SELECT id, t FROM shared.{table} WHERE id < 8")
    assert session.execute("EXECUTE viewed").fetchone() == (8,)
    execute(session, f"CREATE OR REPLACE VIEW shared.main.{view} AS SELECT id, t FROM shared.main.{table} WHERE id < 3")
    assert session.execute("EXECUTE viewed").fetchone() == (3,)
    assert client.one(f"SELECT count(*) FROM shared.{view}") == 3
    client.execute(f"ALTER TABLE shared.{table} DROP COLUMN t")
    assert sqlstate_of(session, f"SELECT * FROM {view}") in ("42703", "42P01", "42000")
    client.execute(f"DROP VIEW shared.{view}")
    error = failure(session, "EXECUTE viewed")
    assert error.sqlstate == "42P01" and view in words(error)


def test_a_cursor_does_not_notice_any_of_it(session, client, table):
    session.execute(f"BEGIN; DECLARE c CURSOR FOR SELECT id, t, x FROM {table} ORDER BY id")
    rows = session.execute("FETCH 10 FROM c").fetchall()
    client.execute(f"ALTER TABLE shared.{table} RENAME COLUMN t TO title")
    client.execute(f"DELETE FROM shared.{table} WHERE id > 50")
    rows += session.execute("FETCH 20 FROM c").fetchall()
    # Nor do other statements of the transaction.
    assert session.execute("EXECUTE by_table").fetchone() == (105, "t99")
    client.execute(f"DROP TABLE shared.{table}")
    rows += session.execute("FETCH ALL FROM c").fetchall()
    assert [(i, t) for i, t, _ in rows] == [(i, f"t{i}") for i in range(105)]
    session.execute("COMMIT")
    assert sqlstate_of(session, "EXECUTE by_table") == "42P01"


def test_frozen_tables_do_not_notice_any_of_it(session, client, table, lake):
    version = client.one("SELECT max(snapshot_id) FROM ducklake_snapshots('shared')")
    session.execute(f"CREATE FOREIGN TABLE frozen_{table} (id integer, t text, x numeric(9,2)) SERVER shared OPTIONS (table_name '{table}', version '{version}')")
    client.execute(f"ALTER TABLE shared.{table} RENAME COLUMN t TO title")
    client.execute(f"DELETE FROM shared.{table} WHERE id > 50")
    client.execute(f"ALTER TABLE shared.{table} RENAME TO away_{table}")
    assert session.execute(f"SELECT count(*), max(t) FROM frozen_{table}").fetchone() == (105, "t99")


# ---- other catalogs


def test_a_catalog_in_sqlite(lakes, connect):
    lake = lakes.make("in_sqlite", catalog="sqlite", local=True)
    conn = connect()
    execute(conn, "CREATE TABLE in_sqlite.main.t AS SELECT i AS id FROM range(1000) r(i)")
    lake.import_into("in_sqlite")
    client = lake.client()
    for number in range(3):
        client.execute(f"INSERT INTO in_sqlite.t VALUES ({number})")
        execute(conn, f"INSERT INTO in_sqlite.main.t VALUES ({number})")
        expected = 1000 + 2 * (number + 1)
        assert client.one("SELECT count(*) FROM in_sqlite.t") == expected
        assert conn.execute("SELECT count(*) FROM in_sqlite.t").fetchone() == (expected,)


def test_a_catalog_in_a_file_of_duckdbs(lakes, connect):
    # Only one process at a time can have it open.
    lake = lakes.make("in_duckdb", catalog="duckdb", local=True)
    first = connect()
    execute(first, "CREATE TABLE in_duckdb.main.t AS SELECT i AS id FROM range(1000) r(i)")
    with pytest.raises(duckdb.IOException, match="lock"):
        lake.client()
    second = connect()
    error = failure(second, "SELECT * FROM duckdb.query('FROM in_duckdb.main.t')")
    assert error.sqlstate in ("55006", "55P03", "58030"), words(error)
    first.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            client = lake.client()
            break
        except duckdb.IOException:
            assert time.monotonic() < deadline
    client.execute("INSERT INTO in_duckdb.t VALUES (5000)")
    client.close()
    assert query(second, "SELECT count(*), max(id) FROM in_duckdb.main.t") == [(1001, 5000)]


# ---- writers at once

WRITERS, TRANSACTIONS, COUNTERS = 4, 50, 5


def test_eight_writers(connect, lake, client):
    client.execute("CREATE TABLE shared.events (writer VARCHAR, n INTEGER, amount INTEGER)")
    client.execute("CREATE TABLE shared.counters (id INTEGER, n INTEGER)")
    client.execute(f"INSERT INTO shared.counters SELECT i, 0 FROM range({COUNTERS}) r(i)")
    client.execute("CALL ducklake_flush_inlined_data('shared')")
    lake.import_into("together")
    retries, faults = {"here": 0, "there": 0}, []

    def statements(writer, n):
        yield f"INSERT INTO shared.main.events VALUES ('{writer}', {n}, {n * 3})"
        if n % 10 == 0:
            yield f"UPDATE shared.main.counters SET n = n + 1 WHERE id = {n // 10 % COUNTERS}"

    def write(writer, side, run, conflict):
        pause = random.Random(writer)
        try:
            for n in range(TRANSACTIONS):
                while True:
                    try:
                        run("BEGIN")
                        for statement in statements(writer, n):
                            run(statement)
                        run("COMMIT")
                        break
                    except Exception as error:
                        if not conflict(error):
                            raise
                        retries[side] += 1
                        time.sleep(pause.uniform(0, 0.1))
        except Exception as error:
            faults.append((writer, repr(error), words(error) if isinstance(error, psycopg.Error) else ""))

    def here(writer):
        conn = connect()

        def run(statement):
            if statement in ("BEGIN", "COMMIT") or writer in ("here0", "here1"):
                conn.execute(statement.replace("shared.main.", "together."))
            else:
                execute(conn, statement)

        def conflict(error):
            conn.execute("ROLLBACK")
            return isinstance(error, psycopg.Error) and error.sqlstate == "40001"

        return lambda: write(writer, "here", run, conflict)

    def there(writer):
        other = lake.client()
        # A conflict ends the transaction.
        return lambda: write(writer, "there", other.execute, lambda error: "conflict" in str(error) or "maximum retry count" in str(error))

    jobs = [here(f"here{i}") for i in range(WRITERS)] + [there(f"there{i}") for i in range(WRITERS)]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    each = TRANSACTIONS * (TRANSACTIONS - 1) // 2 * 3
    writers = client.rows("SELECT writer, count(*), count(DISTINCT n), sum(amount) FROM shared.events GROUP BY 1 ORDER BY 1")
    assert [found for _, *found in writers] == [[TRANSACTIONS, TRANSACTIONS, each]] * (2 * WRITERS)
    assert client.rows("SELECT id, n FROM shared.counters ORDER BY 1") == [(i, 2 * WRITERS * TRANSACTIONS // 10 // COUNTERS) for i in range(COUNTERS)]
    conn = connect()
    assert query(conn, "SELECT count(*), sum(amount) FROM shared.main.events") == [(2 * WRITERS * TRANSACTIONS, 2 * WRITERS * each)]
    # They did meet.
    assert retries["here"] + retries["there"] > 0
