"""Encrypted lakes, lakes of many tables and many files, a lake read by a standby."""

import time

import pytest

from lakes import execute, lake_of, literal, query
from support import crash_lines, eventually, failure, note_latency, private_cluster, sqlstate_of, words


# ---- encrypted


def test_an_encrypted_lake(lakes, connect, lake_writer):
    lake = lakes.make("vault_lake", encrypted="true", data_inlining_row_limit="0")
    conn = connect()
    execute(conn, "CREATE TABLE vault_lake.main.t AS SELECT i AS id, 'secret' || i AS t FROM range(1000) r(i)")
    client = lake.client()
    client.execute("INSERT INTO vault_lake.t VALUES (1000, 'theirs')")
    execute(conn, "DELETE FROM vault_lake.main.t WHERE id < 10")
    execute(conn, "UPDATE vault_lake.main.t SET t = 'changed' WHERE id = 20")
    lake.import_into("encrypted")
    assert conn.execute("SELECT count(*), min(t), max(t) FROM encrypted.t").fetchone() == (991, "changed", "theirs")
    assert client.execute("SELECT count(*), min(t), max(t) FROM vault_lake.t").fetchone() == (991, "changed", "theirs")
    files = [name for (name,) in lake_writer.execute(f"SELECT file FROM glob('{lake.data_path}**')").fetchall()]
    assert len(files) >= 3
    for name in files:
        content = lake_writer.execute(f"SELECT content FROM read_blob('{name}')").fetchone()[0]
        # The magic of a Parquet file whose footer is encrypted; none of the texts.
        assert content[:4] == content[-4:] == b"PARE"
        assert b"secret" not in content and b"theirs" not in content
        with pytest.raises(Exception, match="(?i)encrypt"):
            lake_writer.execute(f"SELECT count(t) FROM read_parquet('{name}')").fetchall()
        error = failure(conn, f"SELECT * FROM duckdb.query('FROM read_parquet(''{name}'')')")
        assert error.sqlstate != "XX000", words(error)


# ---- many


def timed(what, conn, statement):
    started = time.monotonic()
    rows = conn.execute(statement).fetchall()
    note_latency(what, time.monotonic() - started)
    return rows


def test_a_thousand_tables(lakes, connect):
    lake = lakes.make("wide")
    client = lake.client()
    client.execute("BEGIN")
    for number in range(1000):
        client.execute(f"CREATE TABLE wide.t{number} (id BIGINT NOT NULL, a VARCHAR, b DECIMAL(9,2), c DATE, d DOUBLE)")
    client.execute("INSERT INTO wide.t7 VALUES (7, 'seven', 7.7, '2026-07-07', 0.7)")
    client.execute("COMMIT")
    conn = connect()
    for turn in ("first", "again"):
        conn.execute("DROP SCHEMA IF EXISTS two CASCADE; CREATE SCHEMA two")
        started = time.monotonic()
        conn.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (t7, t8) FROM SERVER wide INTO two")
        note_latency(f"1,000 tables: import of two, {turn}", time.monotonic() - started)
    assert timed("1,000 tables: first query of one", conn, "SELECT * FROM two.t7")[0][:2] == (7, "seven")
    timed("1,000 tables: EXPLAIN of one, warm", conn, "EXPLAIN SELECT * FROM two.t7")
    timed("1,000 tables: query of one, warm", conn, "SELECT * FROM two.t7")
    execute(conn, "INSERT INTO wide.main.t8 SELECT * FROM wide.main.t7")
    execute(conn, "ALTER TABLE wide.main.t9 ADD COLUMN e INT")
    timed("1,000 tables: query after a change of one", conn, "SELECT * FROM two.t8")
    assert timed("1,000 tables: query of one in a new session", connect(), "SELECT count(*) FROM two.t8") == [(1,)]
    started = time.monotonic()
    lake.import_into("everything", conn)
    note_latency("1,000 tables: import of all", time.monotonic() - started)
    assert conn.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'everything'::regnamespace").fetchone() == (1000,)
    assert conn.execute("SELECT id FROM everything.t8").fetchall() == [(7,)]


def test_a_thousand_files(lakes, connect):
    lake = lakes.make("many", data_inlining_row_limit="0")
    client = lake.client()
    client.execute("CREATE TABLE many.t (id BIGINT, t VARCHAR)")
    client.execute("BEGIN")
    for number in range(1000):
        client.execute(f"INSERT INTO many.t SELECT {number} * 10 + i, 'x' || {number} FROM range(10) r(i)")
    client.execute("COMMIT")
    assert client.one("SELECT count(*) FROM ducklake_list_files('many', 't')") == 1000
    lake.import_into("files")
    conn = connect()
    statement = "SELECT count(*), sum(id) FROM files.t"
    for turn in ("first", "warm"):
        timed(f"1,000 files: EXPLAIN, {turn}", conn, "EXPLAIN " + statement)
        assert timed(f"1,000 files: aggregate, {turn}", conn, statement) == [(10_000, sum(range(10_000)))]
        timed(f"1,000 files: EXPLAIN of a point query, {turn}", conn, "EXPLAIN SELECT t FROM files.t WHERE id = 5005")
        assert timed(f"1,000 files: point query, {turn}", conn, "SELECT t FROM files.t WHERE id = 5005") == [("x500",)]
    started = time.monotonic()
    client.rows("SELECT t FROM many.t WHERE id = 5005")
    note_latency("1,000 files: point query of the client, warm", time.monotonic() - started)
    execute(conn, "DELETE FROM many.main.t WHERE id % 10 = 3")
    assert conn.execute(statement).fetchone() == (9000, sum(i for i in range(10_000) if i % 10 != 3))
    assert client.one("SELECT count(*) FROM many.t") == 9000


# ---- a standby


def test_a_standby_reads_the_lake(sandbox, lakes):
    place = {"host": "127.0.0.1", "port": sandbox.port, "dbname": lakes.database}
    with (
        private_cluster(sandbox, max_wal_senders="4", hot_standby="on") as primary,
        private_cluster(sandbox, initialise=False) as standby,
        lake_of(primary, sandbox, "lake", place=place, role=lakes.role) as lake,
        primary.connect() as conn,
    ):
        execute(conn, "CREATE TABLE lake.main.t AS SELECT i AS id FROM range(1000) r(i)")
        lake.import_into("s", conn)
        standby.program("pg_basebackup", "-h", primary.directory, "-p", "5432", "-U", "postgres", "-D", standby.data, "-R", "-c", "fast", "-X", "stream")
        standby.configure().start()
        with standby.connect() as replica:
            assert replica.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            assert replica.execute("SELECT count(*), sum(id) FROM s.t").fetchone() == (1000, 499500)
            # What the primary and others write to the lake is there at once: it does not come by WAL.
            execute(conn, "INSERT INTO lake.main.t VALUES (1000)")
            lake.client().execute("INSERT INTO lake.t VALUES (1001)")
            assert replica.execute("SELECT count(*) FROM s.t").fetchone() == (1002,)
            assert query(replica, "SELECT max(id) FROM lake.main.t") == [(1001,)]
            replica.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM s.t")
            execute(conn, "DELETE FROM lake.main.t WHERE id >= 1000")
            assert replica.execute("SELECT count(*) FROM s.t").fetchone() == (1002,)
            replica.execute("COMMIT")
            assert replica.execute("SELECT count(*) FROM s.t").fetchone() == (1000,)
            for statement in ("INSERT INTO lake.main.t VALUES (1)", "DELETE FROM lake.main.t", "CREATE TABLE lake.main.u (i INT)"):
                assert sqlstate_of(replica, f"SELECT duckdb.execute({literal(statement)})") == "25006"
            assert conn.execute("SELECT count(*) FROM s.t").fetchone() == (1000,)
            # A definition that comes by WAL.
            conn.execute("CREATE FOREIGN TABLE s.also (id bigint) SERVER lake OPTIONS (table_name 't')")
            eventually(lambda: sqlstate_of(replica, "SELECT count(*) FROM s.also") is None)
        assert crash_lines(primary.log.read_text() + standby.log.read_text()) == []
