"""PostgreSQL's transactions over lakes: all or nothing, one snapshot read, one snapshot written."""

import itertools
import time

import psycopg
import pytest

from lakes import Lake, execute, fresh_name, literal, query
from support import PROMPT_S, Background, activity, eventually, failure, is_gone, note_latency, private_cluster, sqlstate_of, words

_turns = itertools.count()

SLOW = "SELECT max(sha256(sha256(a.id::VARCHAR || b.id::VARCHAR || c.i::VARCHAR))) FROM {table} a, {table} b, range(10000) c(i)"


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("lk")


@pytest.fixture(scope="module")
def client(lake):
    return lake.client()


@pytest.fixture(scope="module")
def hasty(lakes):
    """A lake that waits for locks for two seconds only."""
    return lakes.make("hasty", local=True, lock_timeout="2000")


class Table:
    """A table of the lake with the columns id and t, and the foreign table of the same name."""

    def __init__(self, lake, client, name, rows):
        self.name, self.lake_name, self.client = name, f"{lake.name}.main.{name}", client
        client.execute(f"CREATE TABLE {self.lake_name} (id BIGINT, t VARCHAR)")
        client.execute(f"INSERT INTO {self.lake_name} SELECT i, 't' || i FROM range({rows}) r(i)")
        lake.su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({name}) FROM SERVER {lake.name} INTO public")

    def insert(self, conn, *ids):
        """By duckdb.execute or the foreign table, in turns."""
        rows = ", ".join(f"({i}, 'new')" for i in ids)
        if next(_turns) % 2:
            execute(conn, f"INSERT INTO {self.lake_name} VALUES {rows}")
        else:
            conn.execute(f"INSERT INTO {self.name} VALUES {rows}")

    def ids(self, conn):
        return [i for (i,) in conn.execute(f"SELECT id FROM {self.name} ORDER BY id")]

    def committed(self):
        """What another client sees."""
        return [i for (i,) in self.client.rows(f"SELECT id FROM {self.lake_name} ORDER BY id")]

    def count(self, conn):
        return conn.execute(f"SELECT count(*) FROM {self.name}").fetchone()[0]


@pytest.fixture
def table(lake, client, request):
    """table(rows=0, suffix=''): a table of the test's own."""
    base = fresh_name(request)
    return lambda rows=0, suffix="": Table(lake, client, base + suffix, rows)


@pytest.fixture
def conn(connect):
    """A session with explicit transactions by BEGIN."""
    return connect()


# ---- all or nothing


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_commit_and_rollback(conn, table, end):
    t = table(2)
    conn.execute("BEGIN")
    t.insert(conn, 10, 11)
    execute(conn, f"DELETE FROM {t.lake_name} WHERE id = 0")
    assert t.committed() == [0, 1]
    conn.execute(end)
    assert t.committed() == t.ids(conn) == ([1, 10, 11] if end == "COMMIT" else [0, 1])


def test_an_error_undoes_what_was_written(conn, table):
    t = table()
    conn.execute("BEGIN")
    t.insert(conn, 1)
    assert sqlstate_of(conn, "SELECT 1/0") == "22012"
    assert sqlstate_of(conn, f"SELECT * FROM {t.name}") == "25P02"
    conn.execute("COMMIT")
    assert t.committed() == t.ids(conn) == []


def test_a_heap_table_and_the_lake_commit_together(conn, table):
    t = table()
    conn.execute("CREATE TEMP TABLE heap (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    for ids, outcome in (((1, 2), None), ((3, 3), "23505")):
        conn.execute("BEGIN")
        conn.execute("INSERT INTO heap VALUES (%s), (%s)", ids)
        t.insert(conn, *ids)
        assert sqlstate_of(conn, "COMMIT") == outcome
    assert t.committed() == [1, 2]
    assert conn.execute("SELECT array_agg(id ORDER BY id) FROM heap").fetchone() == ([1, 2],)


def test_ddl_is_part_of_the_transaction(conn, table, client, lake):
    t = table(3)
    conn.execute("BEGIN")
    execute(conn, f"CREATE TABLE {t.lake_name}_copy AS FROM {t.lake_name}")
    execute(conn, f"ALTER TABLE {t.lake_name} RENAME TO {t.name}_away")
    assert query(conn, f"SELECT count(*) FROM {t.lake_name}_copy") == [(3,)]
    assert client.one(f"SELECT count(*) FROM {t.lake_name}") == 3
    conn.execute("ROLLBACK")
    assert t.ids(conn) == [0, 1, 2]
    assert failure(conn, f"SELECT * FROM duckdb.query('FROM {t.lake_name}_copy')").sqlstate == "42P01"


# ---- snapshots


def test_one_snapshot_for_all_reads(conn, table, client):
    t, u = table(3), table(0, "_u")
    conn.execute("BEGIN")
    assert t.count(conn) == 3
    client.execute(f"DELETE FROM {t.lake_name} WHERE id = 0")
    client.execute(f"INSERT INTO {u.lake_name} VALUES (1, 'x')")
    # Also of tables that were not read before, and by every way of reading.
    assert (t.count(conn), u.count(conn)) == (3, 0)
    assert query(conn, f"SELECT count(*) FROM {t.lake_name}") == [(3,)]
    assert conn.execute(f"SELECT count(*) FROM {t.name} JOIN generate_series(0, 9) g ON g = id WHERE random() >= 0").fetchone() == (3,)
    conn.execute("COMMIT")
    assert (t.count(conn), u.count(conn)) == (2, 1)


@pytest.mark.parametrize("fault", ["SELECT * FROM duckdb.query('SELECT error(t) AS e FROM {0}')", "SELECT * FROM duckdb.query('SELECT nosuch FROM {0}')", "SELECT 1/count(*) FROM {1} WHERE false"])
def test_one_snapshot_after_an_error_too(conn, table, client, fault):
    t = table(3)
    conn.execute("BEGIN")
    assert t.count(conn) == 3
    client.execute(f"DELETE FROM {t.lake_name} WHERE id = 0")
    conn.execute("SAVEPOINT a")
    assert sqlstate_of(conn, fault.format(t.lake_name, t.name)) is not None
    conn.execute("ROLLBACK TO a")
    # The snapshot of before, or an error that says that it is lost.
    try:
        assert t.count(conn) == 3
    except psycopg.Error as error:
        assert error.sqlstate[:2] == "40", words(error)
    conn.execute("ROLLBACK")
    assert t.count(conn) == 2


def test_the_snapshot_is_taken_at_the_first_look(conn, table, client):
    t = table()
    conn.execute("BEGIN")
    conn.execute("SELECT 1")
    client.execute(f"INSERT INTO {t.lake_name} VALUES (1, 'x')")
    assert t.count(conn) == 1
    conn.execute("COMMIT")


def test_reads_its_own_writes(conn, table):
    t = table(3)
    conn.execute("BEGIN")
    t.insert(conn, 10)
    assert t.ids(conn) == [0, 1, 2, 10]
    execute(conn, f"UPDATE {t.lake_name} SET id = id + 100 WHERE id < 2")
    assert t.ids(conn) == [2, 10, 100, 101]
    execute(conn, f"DELETE FROM {t.lake_name} WHERE id = 10")
    assert query(conn, f"SELECT sum(id) FROM {t.lake_name}") == [(203,)]
    conn.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM " + t.name)
    assert conn.execute("SELECT sum(id) FROM kept").fetchone() == (203,)
    assert t.committed() == [0, 1, 2]
    conn.execute("COMMIT")
    assert t.committed() == [2, 100, 101]


def test_several_statements_are_one_snapshot_with_author_and_message(connect, table, lake):
    conn = connect(application_name="nightly load")
    t = table()

    def added(*statements):
        before = len(lake.snapshots())
        conn.execute("BEGIN")
        for statement in statements:
            conn.execute(statement)
        conn.execute("COMMIT")
        return [(author, message) for _, author, message in lake.snapshots()[before:]]

    insert = "SELECT duckdb.execute(" + literal(f"INSERT INTO {t.lake_name} VALUES (1, 'x')") + ")"
    delete = "SELECT duckdb.execute(" + literal(f"DELETE FROM {t.lake_name}") + ")"
    assert added(insert, insert, delete, insert) == [("postgres", "nightly load")]
    assert added("SET LOCAL duckdb.commit_message = 'it''s done'", insert) == [("postgres", "it's done")]
    assert added(insert) == [("postgres", "nightly load")]
    assert added(f"SELECT * FROM {t.name}", f"SELECT * FROM {t.name}") == []
    conn.execute("SET application_name = ''")
    assert added(insert) in ([("postgres", "")], [("postgres", None)])
    # A statement outside of a transaction is one.
    before = len(lake.snapshots())
    conn.execute(insert)
    assert len(lake.snapshots()) == before + 1


# ---- savepoints

@pytest.mark.parametrize("steps", [
    "write; SAVEPOINT a; read; ROLLBACK TO a",
    "SAVEPOINT a; read; ROLLBACK TO a; write",
    "SAVEPOINT a; write; RELEASE a",
    "SAVEPOINT a; write; RELEASE a; SAVEPOINT b; read; ROLLBACK TO b",
    "write; SAVEPOINT a; fail; ROLLBACK TO a; write",
    "SAVEPOINT a; fail; ROLLBACK TO a; write",
    "SAVEPOINT a; write; SAVEPOINT b; read; ROLLBACK TO b; RELEASE a",
    "SAVEPOINT a; write; ROLLBACK TO a",
    "write; SAVEPOINT a; write; ROLLBACK TO a",
    "SAVEPOINT a; SAVEPOINT b; write; RELEASE b; ROLLBACK TO a",
    "SAVEPOINT a; write; SAVEPOINT b; write; ROLLBACK TO a",
    "SAVEPOINT a; write; fail; ROLLBACK TO a; RELEASE a",
    "SAVEPOINT a; read; SAVEPOINT b; write; ROLLBACK TO b; RELEASE a",
])
def test_savepoints(conn, table, steps):
    t = table(1)
    conn.execute("BEGIN")
    written, marks, numbers = [], {}, itertools.count(10)
    for step in steps.split("; "):
        if step == "write":
            written.append(next(numbers))
            t.insert(conn, written[-1])
        elif step == "read":
            assert t.ids(conn) == [0, *written]
        elif step == "fail":
            assert sqlstate_of(conn, "SELECT 1/0") == "22012"
        else:
            conn.execute(step)
            if step.startswith("SAVEPOINT"):
                marks[step[-1]] = list(written)
            elif step.startswith("ROLLBACK"):
                written = list(marks[step[-1]])
    assert t.ids(conn) == [0, *written]
    conn.execute("COMMIT")
    assert t.committed() == t.ids(conn) == [0, *written]
    t.insert(conn, 99)


@pytest.mark.parametrize("body, outcome", [
    ("BEGIN PERFORM duckdb.execute({insert}); EXCEPTION WHEN division_by_zero THEN NULL; END;", [7]),
    ("BEGIN PERFORM count(*) FROM {name}; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN PERFORM duckdb.execute({insert}); END;", [7]),
    ("PERFORM duckdb.execute({insert}); BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;", [7]),
    ("BEGIN PERFORM duckdb.execute({insert}); PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END;", []),
    ("FOR i IN 1..2 LOOP BEGIN PERFORM duckdb.execute({insert}); PERFORM 1/(i - 2); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP;", [7]),
])
def test_exception_blocks(conn, table, body, outcome):
    t = table()
    body = body.format(insert=literal(f"INSERT INTO {t.lake_name} VALUES (7, 'x')"), name=t.name)
    assert sqlstate_of(conn, f"DO $do$ DECLARE i int; BEGIN {body} END $do$") is None
    assert t.committed() == outcome


def test_a_procedure_that_commits(conn, table):
    t = table()
    insert = literal(f"INSERT INTO {t.lake_name} VALUES ({{}}, 'x')")
    conn.execute(
        f"CREATE PROCEDURE {t.name}_load() LANGUAGE plpgsql AS $p$ BEGIN FOR i IN 1..3 LOOP "
        f"PERFORM duckdb.execute(replace({insert}, '{{}}', i::text)); "
        "IF i = 2 THEN ROLLBACK; ELSE COMMIT; END IF; END LOOP; END $p$"
    )
    conn.execute(f"CALL {t.name}_load()")
    assert t.committed() == [1, 3]


# ---- what runs at commit


def test_deferred_triggers(conn, table, su):
    t = table()
    su.execute(f"CREATE TABLE {t.name}_heap (id int)")
    insert = f"INSERT INTO {t.lake_name} VALUES (%s, 'trigger')"
    su.execute(
        f"CREATE FUNCTION {t.name}_fire() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
        f"PERFORM duckdb.execute(format({literal(insert)}, NEW.id)); "
        "IF NEW.id = 13 THEN RAISE 'unlucky' USING ERRCODE = 'P0013'; END IF; RETURN NULL; END $f$"
    )
    su.execute(
        f"CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {t.name}_heap DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION {t.name}_fire()"
    )
    # Written only by the trigger, at COMMIT.
    conn.execute(f"BEGIN; INSERT INTO {t.name}_heap VALUES (1), (2)")
    assert t.ids(conn) == []
    conn.execute("COMMIT")
    assert t.committed() == [1, 2]
    # The lake is written to before the triggers, and they fail.
    conn.execute("BEGIN")
    t.insert(conn, 100)
    conn.execute(f"INSERT INTO {t.name}_heap VALUES (3), (13)")
    assert sqlstate_of(conn, "COMMIT") == "P0013"
    assert t.committed() == t.ids(conn) == [1, 2]
    assert conn.execute(f"SELECT count(*) FROM {t.name}_heap").fetchone() == (2,)


def test_a_serialization_failure_at_commit(connect, table, su):
    """PostgreSQL finds it after everything else; the lake must not be ahead."""
    t = table()
    su.execute(f"CREATE TABLE {t.name}_heap (name text PRIMARY KEY, n int); INSERT INTO {t.name}_heap VALUES ('a', 1), ('b', 1)")
    one, two = connect(), connect()
    for session, read, written in ((one, "a", "b"), (two, "b", "a")):
        session.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        session.execute(f"SELECT n FROM {t.name}_heap WHERE name = '{read}'")
        session.execute(f"UPDATE {t.name}_heap SET n = 2 WHERE name = '{written}'")
    t.insert(two, 1)
    one.execute("COMMIT")
    assert sqlstate_of(two, "COMMIT") == "40001"
    assert t.committed() == []


def test_prepare_transaction(conn, table, lake):
    t = table()
    conn.execute("BEGIN")
    t.insert(conn, 1)
    error = failure(conn, "PREPARE TRANSACTION 'p'")
    assert error.sqlstate == "0A000" and lake.name in str(error)
    assert t.committed() == []
    # After mere reading it is PostgreSQL that refuses: the cluster allows for no prepared transaction.
    conn.execute("ROLLBACK; BEGIN")
    assert t.ids(conn) == []
    assert sqlstate_of(conn, "PREPARE TRANSACTION 'p'") == "55000"


@pytest.mark.parametrize("begin", ["BEGIN READ ONLY", "BEGIN; SET TRANSACTION READ ONLY", "SET default_transaction_read_only = on; BEGIN"])
def test_read_only_transactions(conn, table, begin):
    t = table(1)
    for statement in ("INSERT INTO {0} VALUES (1, 'x')", "DELETE FROM {0}", "CREATE TABLE {0}_two (i INT)", "DROP TABLE {0}", "ALTER TABLE {0} ADD COLUMN c INT"):
        for part in begin.split("; "):
            conn.execute(part)
        assert t.ids(conn) == [0]
        assert sqlstate_of(conn, "SELECT duckdb.execute(" + literal(statement.format(t.lake_name)) + ")") == "25006"
        conn.execute("ROLLBACK")
    assert t.committed() == [0]


# ---- conflicts


def test_a_conflict(conn, table, client):
    t = table(1000)
    conn.execute("CREATE TEMP TABLE heap (i int)")
    conn.execute("BEGIN; INSERT INTO heap VALUES (1)")
    execute(conn, f"DELETE FROM {t.lake_name} WHERE id = 5")
    client.execute(f"DELETE FROM {t.lake_name} WHERE id = 5")
    error = failure(conn, "COMMIT")
    assert error.sqlstate == "40001", words(error)
    assert "another transaction has deleted from it" in error.diag.message_detail
    assert conn.execute("SELECT count(*) FROM heap").fetchone() == (0,)
    assert t.count(conn) == 999
    # Again, and it works.
    conn.execute("BEGIN")
    execute(conn, f"DELETE FROM {t.lake_name} WHERE id = 6")
    conn.execute("COMMIT")
    assert t.count(conn) == client.one(f"SELECT count(*) FROM {t.lake_name}") == 998


def test_a_conflict_over_ddl(conn, table, client):
    t = table(1)
    conn.execute("BEGIN")
    execute(conn, f"CREATE TABLE {t.lake_name}_two (i INT)")
    client.execute(f"CREATE TABLE {t.lake_name}_two (i INT)")
    error = failure(conn, "COMMIT")
    assert error.sqlstate == "40001" and "created by another transaction" in error.diag.message_detail, words(error)
    conn.execute("BEGIN")
    t.insert(conn, 1)
    client.execute(f"ALTER TABLE {t.lake_name} ADD COLUMN c INT")
    assert sqlstate_of(conn, "COMMIT") == "40001"
    assert t.ids(conn) == [0]


def test_two_sessions_that_only_insert_do_not_conflict(connect, table):
    t = table()
    sessions = [connect() for _ in range(3)]
    for number, session in enumerate(sessions):
        session.execute("BEGIN")
        t.insert(session, number)
    for session in sessions:
        session.execute("COMMIT")
    assert t.committed() == [0, 1, 2]


def test_two_lakes_in_one_transaction(conn, table, lakes, lake):
    other = lakes.make("other", local=True)
    execute(conn, f"CREATE TABLE {other.name}.main.o (id BIGINT, t VARCHAR)")
    execute(conn, f"INSERT INTO {other.name}.main.o VALUES (1, 'x')")
    t = table()
    conn.execute("BEGIN")
    t.insert(conn, 1)
    # Reading the other one is fine, writing is not.
    assert query(conn, f"FROM {other.name}.main.o") == [(1, "x")]
    error = failure(conn, f"SELECT duckdb.execute('DELETE FROM {other.name}.main.o')")
    assert error.sqlstate == "0A000" and lake.name in str(error) and other.name in str(error)
    conn.execute("ROLLBACK; BEGIN")
    execute(conn, f"INSERT INTO {t.lake_name} SELECT * FROM {other.name}.main.o")
    conn.execute("COMMIT")
    assert t.committed() == [1]
    assert query(conn, f"FROM {other.name}.main.o") == [(1, "x")]


def test_the_lake_is_not_guessed_from_the_text(conn, table, lakes, lake):
    beside = lakes.make("lk_beside", local=True)
    t = table()
    assert query(conn, f"SELECT count(*) FROM {t.lake_name}") == [(0,)]
    execute(conn, f"CREATE TABLE {beside.name}.main.o (id BIGINT)")
    execute(conn, f"/* not {lake.name} */ INSERT INTO {beside.name}.main.o VALUES (1)")
    # What begins with WITH is for instances without fence.
    conn.execute("SET duckdb.superuser_sandbox = off")
    try:
        execute(conn, f"WITH {lake.name} AS (SELECT 2 AS id) INSERT INTO {beside.name}.main.o SELECT id FROM {lake.name}")
        execute(conn, f"WITH {beside.name} AS (SELECT 2 AS id) INSERT INTO {t.lake_name} SELECT id, '' FROM {beside.name}")
    finally:
        conn.execute("RESET duckdb.superuser_sandbox")
    assert query(conn, f"SELECT sum(id) FROM {beside.name}.main.o") == [(3,)]
    assert t.committed() == [2]
    assert [author for _, author, _ in beside.snapshots()] == [None, *["postgres"] * 3]


def test_a_commit_that_keeps_losing(conn, lakes, hasty):
    """Somebody else is always faster: DuckLake gives up after some tries."""
    meta = hasty.place["metadata_schema"]
    execute(conn, "CREATE TABLE hasty.main.lost (id BIGINT)")
    with lakes.catalog_connection() as catalog:
        catalog.execute(
            f"CREATE FUNCTION {meta}.lose() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE unique_violation USING "
            "MESSAGE = 'duplicate key value violates unique constraint \"ducklake_snapshot_pkey\"'; END $f$"
        )
        catalog.execute(f"CREATE TRIGGER lose BEFORE INSERT ON {meta}.ducklake_snapshot FOR EACH ROW EXECUTE FUNCTION {meta}.lose()")
        try:
            error = failure(conn, "SELECT duckdb.execute('INSERT INTO hasty.main.lost VALUES (47110815)')")
        finally:
            catalog.execute(f"DROP TRIGGER lose ON {meta}.ducklake_snapshot")
    assert query(conn, "FROM hasty.main.lost") == []
    assert error.sqlstate == "40001", words(error)
    assert "47110815" not in words(error)


def test_rights_in_the_catalog(connect, su, role, lakes, hasty):
    """A role whose account in the catalog may read, but not write, and not what came later."""
    meta, reader = hasty.place["metadata_schema"], role("SUPERUSER")
    execute(su, "CREATE TABLE hasty.main.old AS SELECT 1::BIGINT AS id")
    su.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (old) FROM SERVER hasty INTO public")
    account = f"{reader}_account"
    with lakes.catalog_connection() as catalog:
        catalog.execute(f"CREATE ROLE {account} LOGIN PASSWORD '{account}'; GRANT USAGE ON SCHEMA {meta} TO {account}; GRANT SELECT ON ALL TABLES IN SCHEMA {meta} TO {account}")
        su.execute(f"CREATE USER MAPPING FOR {reader} SERVER hasty OPTIONS (user '{account}', password '{account}')")
        conn = connect(reader)
        assert conn.execute("SELECT * FROM old").fetchall() == [(1,)]
        execute(su, "CREATE TABLE hasty.main.newer AS SELECT 2::BIGINT AS id")
        su.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (newer) FROM SERVER hasty INTO public")
        errors = []
        for begin in ("SELECT 1", "BEGIN"):
            conn.execute(begin)
            errors.append(failure(conn, "SELECT * FROM newer"))
            conn.execute("ROLLBACK")
            assert conn.execute("SELECT * FROM old").fetchall() == [(1,)]
        errors.append(failure(conn, "SELECT duckdb.execute('INSERT INTO hasty.main.old VALUES (47110815)')"))
        assert conn.execute("SELECT * FROM old").fetchall() == [(1,)]
        conn.close()
        su.execute("DROP FOREIGN TABLE old, newer")
        catalog.execute(f"DROP OWNED BY {account}; DROP ROLE {account}")
    assert [error.sqlstate for error in errors] == ["42501"] * 3, words(errors[0])
    assert "47110815" not in words(errors[2])


# ---- cursors


def test_cursors_stay_right_while_other_statements_run(conn, table):
    t = table(20_000)
    conn.execute("BEGIN")
    conn.execute(f"DECLARE one CURSOR FOR SELECT id, t FROM {t.name}")
    conn.execute(f"DECLARE two CURSOR FOR SELECT * FROM duckdb.query('SELECT id FROM {t.lake_name} WHERE id % 2 = 0')")
    seen = {"one": [], "two": []}
    number = 0
    while rows := {name: conn.execute(f"FETCH 3000 FROM {name}").fetchall() for name in seen}:
        for name, found in rows.items():
            seen[name] += found
        if not any(rows.values()):
            break
        number += 1
        if number == 1:
            t.insert(conn, 50_000)
        elif number == 3:
            execute(conn, f"DELETE FROM {t.lake_name} WHERE id < 10000")
        else:
            assert t.count(conn) == (20_001 if number < 3 else 10_001)
    # Each cursor has the rows that were there when it was opened.
    assert sorted(seen["one"]) == [(i, f"t{i}") for i in range(20_000)]
    assert sorted(seen["two"]) == [(i,) for i in range(0, 20_000, 2)]
    conn.execute("COMMIT")
    assert t.count(conn) == 10_001


def test_a_loop_over_a_lake_that_reads_it_again(conn, table):
    t = table(3000)
    conn.execute(
        f"CREATE FUNCTION {t.name}_sum() RETURNS bigint LANGUAGE plpgsql AS $f$ DECLARE r record; n bigint := 0; m bigint; BEGIN "
        f"FOR r IN SELECT id FROM {t.name} ORDER BY id LOOP IF r.id % 100 = 0 THEN "
        f"SELECT count(*) INTO m FROM {t.name} WHERE id <= r.id; n := n + m; END IF; END LOOP; RETURN n; END $f$"
    )
    assert conn.execute(f"SELECT {t.name}_sum()").fetchone() == (sum(i + 1 for i in range(0, 3000, 100)),)


def test_cursors_with_hold(conn, table):
    t = table(5000)
    conn.execute("BEGIN")
    conn.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT id FROM {t.name}")
    conn.execute("FETCH 10 FROM held")
    execute(conn, f"DELETE FROM {t.lake_name} WHERE id >= 10")
    conn.execute("COMMIT")
    assert t.count(conn) == 10
    assert len(conn.execute("FETCH ALL FROM held").fetchall()) == 4990
    conn.execute("CLOSE held")


def test_a_cursor_that_is_open_at_the_end(conn, table):
    t = table(20_000)
    for end in ("COMMIT", "ROLLBACK"):
        conn.execute(f"BEGIN; DECLARE c CURSOR FOR SELECT * FROM {t.name}")
        assert len(conn.execute("FETCH 5 FROM c").fetchall()) == 5
        t.insert(conn, 20_000)
        conn.execute(end)
        assert t.count(conn) == 20_001


@pytest.mark.parametrize("end", ["RELEASE a", "ROLLBACK TO a"])
def test_cursors_and_savepoints(conn, table, end):
    t = table(10_000)
    conn.execute(f"BEGIN; DECLARE before CURSOR FOR SELECT id FROM {t.name}")
    assert len(conn.execute("FETCH 10 FROM before").fetchall()) == 10
    conn.execute(f"SAVEPOINT a; DECLARE within CURSOR FOR SELECT id FROM {t.name}")
    assert len(conn.execute("FETCH 10 FROM within").fetchall()) == 10
    assert len(conn.execute("FETCH 10 FROM before").fetchall()) == 10
    conn.execute(end)
    assert len(conn.execute("FETCH ALL FROM before").fetchall()) == 9980
    assert t.count(conn) == 10_000
    t.insert(conn, 1)
    conn.execute("COMMIT")
    assert t.count(conn) == 10_001


# ---- cancel and terminate


def start_slow(conn, t, writing):
    slow = SLOW.format(table=t.lake_name)
    if writing:
        return Background(conn, "SELECT duckdb.execute(" + literal(f"INSERT INTO {t.lake_name} SELECT 1, ({slow})") + ")")
    return Background(conn, f"SELECT * FROM duckdb.query({literal(slow)}) q")


@pytest.mark.parametrize("writing", [False, True], ids=["reading", "writing"])
@pytest.mark.parametrize("how", ["pg_cancel_backend", "statement_timeout"])
def test_cancel_and_go_on(conn, su, table, how, writing):
    t = table(1000)
    if how == "statement_timeout":
        conn.execute("SET statement_timeout = '500ms'")
    running = start_slow(conn, t, writing)
    if how == "pg_cancel_backend":
        eventually(lambda: activity(su, running.pid)[0] == "active")
        time.sleep(0.3)
        started = time.monotonic()
        su.execute("SELECT pg_cancel_backend(%s)", (running.pid,))
        running.join()
        note_latency("cancel of a statement on a lake", running.ended - started)
    running.join()
    assert running.ended - (started if how == "pg_cancel_backend" else running.ended) < PROMPT_S
    assert running.error.sqlstate == "57014", words(running.error)
    conn.execute("SET statement_timeout = 0")
    assert t.count(conn) == 1000
    t.insert(conn, 1000)
    assert len(t.committed()) == 1001


def test_cancel_within_a_savepoint(conn, table):
    t = table(1000)
    slow = f"SELECT * FROM duckdb.query({literal(SLOW.format(table=t.lake_name))}) q"
    # Nothing was written: the transaction goes on.
    conn.execute("BEGIN; SAVEPOINT a; SET LOCAL statement_timeout = '300ms'")
    assert sqlstate_of(conn, slow) == "57014"
    conn.execute("ROLLBACK TO a")
    assert t.count(conn) == 1000
    t.insert(conn, 1000)
    conn.execute("COMMIT")
    assert t.count(conn) == 1001
    # Something was written: it is written again.
    conn.execute("BEGIN")
    t.insert(conn, 1001)
    conn.execute("SAVEPOINT a; SET LOCAL statement_timeout = '300ms'")
    assert sqlstate_of(conn, slow) == "57014"
    conn.execute("ROLLBACK TO a")
    conn.execute("COMMIT")
    assert t.count(conn) == len(t.committed()) == 1002


def test_an_error_of_duckdbs_within_a_savepoint(conn, table):
    t = table(1)
    for first in (f"SELECT * FROM duckdb.query('SELECT nosuch FROM {t.lake_name}')", f"SELECT * FROM duckdb.query('SELECT error(t) AS e FROM {t.lake_name}')"):
        before = t.count(conn)
        conn.execute("BEGIN")
        t.insert(conn, 1)
        conn.execute("SAVEPOINT a")
        assert sqlstate_of(conn, first) is not None
        conn.execute("ROLLBACK TO a")
        conn.execute("COMMIT")
        assert t.count(conn) == len(t.committed()) == before + 1


@pytest.mark.parametrize("writing", [False, True], ids=["reading", "writing"])
def test_terminate(connect, su, table, writing):
    t = table(1000)
    conn = connect()
    conn.execute("BEGIN")
    t.insert(conn, 1000)
    running = start_slow(conn, t, writing)
    time.sleep(0.3)
    su.execute("SELECT pg_terminate_backend(%s)", (running.pid,))
    running.join()
    assert isinstance(running.error, psycopg.OperationalError)
    eventually(lambda: is_gone(running.pid))
    assert len(t.committed()) == 1000
    again = connect()
    t.insert(again, 1000)
    assert t.count(again) == 1001


# ---- the catalog goes away


def kill_catalog_sessions(lakes):
    with lakes.catalog_connection() as admin:
        killed = admin.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pg_pond' AND datname = %s",
            (lakes.database,),
        ).fetchone()[0]
        eventually(lambda: admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_pond' AND datname = %s", (lakes.database,)
        ).fetchone()[0] == 0)
    return killed


def test_the_catalogs_sessions_end_between_transactions(conn, table, lakes):
    t = table(2)
    for number in range(3):
        assert t.count(conn) == 2 + number
        assert kill_catalog_sessions(lakes) > 0
        # At most one statement fails, and says what it is.
        assert sqlstate_of(conn, f"SELECT count(*) FROM {t.name}") in (None, "08006", "08000", "08003")
        t.insert(conn, 10 + number)
        assert len(t.committed()) == 3 + number


@pytest.mark.parametrize("after", ["a read", "a write", "a large write"])
def test_the_catalogs_sessions_end_within_a_transaction(conn, table, lakes, after):
    t = table(2)
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS heap (i int)")
    conn.execute("BEGIN; INSERT INTO heap VALUES (1)")
    assert t.count(conn) == 2
    if after == "a write":
        t.insert(conn, 10)
    elif after == "a large write":
        execute(conn, f"INSERT INTO {t.lake_name} SELECT i + 10, 'x' FROM range(5000) r(i)")
    assert kill_catalog_sessions(lakes) > 0
    if after == "a read":
        error = failure(conn, f"SELECT duckdb.execute('INSERT INTO {t.lake_name} VALUES (10, ''x'')'); COMMIT")
    else:
        error = failure(conn, "COMMIT")
    assert error.sqlstate[:2] == "08", words(error)
    assert "sekret" not in words(error) and lakes.role + " password" not in words(error)
    conn.execute("ROLLBACK")
    assert conn.execute("SELECT count(*) FROM heap").fetchone() == (0,)
    assert t.committed() == t.ids(conn) == [0, 1]
    t.insert(conn, 11)
    assert t.committed() == t.ids(conn) == [0, 1, 11]


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend", "catalog", "lock_timeout"])
def test_the_end_of_a_commit_that_waits_for_the_catalog(connect, conn, su, lakes, hasty, end):
    execute(conn, "CREATE TABLE hasty.main.t (id BIGINT)")
    writer = connect()
    writer.execute("BEGIN")
    execute(writer, "INSERT INTO hasty.main.t VALUES (1)")
    with lakes.catalog_connection() as other:
        other.execute(f"BEGIN; LOCK TABLE {hasty.place['metadata_schema']}.ducklake_snapshot IN SHARE MODE")
        committing = Background(writer, "COMMIT")
        waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_pond' AND datname = %s AND wait_event_type = 'Lock'"
        eventually(lambda: other.execute(waiting, (lakes.database,)).fetchall())
        started = time.monotonic()
        if end == "catalog":
            other.execute(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) w", (lakes.database,))
        elif end != "lock_timeout":
            su.execute(f"SELECT {end}(%s)", (committing.pid,))
        committing.join(20)
        note_latency(f"{end} while COMMIT waits for the catalog", committing.ended - started)
        assert committing.error is not None
        # DuckDB does not hear of it while the catalog works; the lock's timeout bounds it.
        assert committing.ended - started < 2 + PROMPT_S
        other.execute("ROLLBACK")
    if end == "pg_terminate_backend":
        eventually(lambda: is_gone(committing.pid))
    assert query(conn, "SELECT count(*) FROM hasty.main.t") == [(0,)]
    execute(conn, "INSERT INTO hasty.main.t VALUES (2)")
    assert query(conn, "FROM hasty.main.t") == [(2,)]
    execute(conn, "DROP TABLE hasty.main.t")
    allowed = {"pg_cancel_backend": ("57014", "55P03"), "catalog": ("08006", "08003"), "lock_timeout": ("55P03",), "pg_terminate_backend": ("57P01", "55P03", None)}
    assert committing.error.sqlstate in allowed[end], words(committing.error)


class Restarting:
    """A lake whose catalog is in a cluster of its own."""

    def __init__(self, sandbox, su, lakes, name):
        self.name, self.su = name, su
        self._cluster = private_cluster(sandbox)
        self.catalog = self._cluster.__enter__()
        place = {"host": self.catalog.directory, "port": 5432, "dbname": "postgres", "metadata_schema": "meta"}
        self.lake = Lake(sandbox, su, name, data_path=f"{lakes.folder()}/data/", place=place, role="postgres", options={"connect_timeout": "2"})
        self.lake.create_server()

    def close(self):
        self.su.execute(f"DROP SERVER {self.name} CASCADE")
        self._cluster.__exit__(None, None, None)


@pytest.fixture
def restarting(sandbox, su, lakes, request):
    made = Restarting(sandbox, su, lakes, fresh_name(request))
    yield made
    made.close()


@pytest.mark.parametrize("moment", ["between", "within"])
def test_the_catalog_restarts(conn, restarting, moment):
    name = restarting.name
    execute(conn, f"CREATE TABLE {name}.main.t AS SELECT 1 AS id")
    restarting.lake.import_into(name)
    count = f"SELECT count(*) FROM {name}.t"
    assert conn.execute(count).fetchone() == (1,)
    if moment == "within":
        conn.execute("BEGIN")
        execute(conn, f"INSERT INTO {name}.main.t VALUES (2)")
    restarting.catalog.stop("immediate")
    if moment == "within":
        assert failure(conn, "COMMIT").sqlstate is not None
    error = failure(conn, count)
    assert error.sqlstate[:2] == "08", words(error)
    restarting.catalog.start()
    assert conn.execute(count).fetchone() == (1,)
    execute(conn, f"INSERT INTO {name}.main.t VALUES (3)")
    assert query(conn, f"SELECT sum(id) FROM {name}.main.t") == [(4,)]


@pytest.mark.parametrize("first", ["{t}", "duckdb.query('FROM {lake_t}')", "duckdb.list_files('{t}')"])
def test_a_lake_that_is_down_does_not_block_others(conn, restarting, table, first):
    execute(conn, f"CREATE TABLE {restarting.name}.main.t AS SELECT 1 AS id")
    t = table(1)
    assert t.ids(conn) == [0]
    restarting.catalog.stop("immediate")
    # DuckDB looks at the views of all lakes that are attached, however few are asked for.
    first = first.format(t=t.name, lake_t=t.lake_name)
    conn.execute(f"SELECT count(*) FROM {first}")
    assert t.ids(conn) == [0]
    # A change of servers: the instance is replaced.
    conn.execute("CREATE SERVER beside TYPE 'http' FOREIGN DATA WRAPPER duckdb OPTIONS (location 'http://127.0.0.1:9/')")
    conn.execute("CREATE USER MAPPING FOR postgres SERVER beside")
    try:
        assert t.ids(conn) == [0]
        t.insert(conn, 1)
        assert t.committed() == [0, 1]
    finally:
        conn.execute("DROP SERVER beside CASCADE")


def test_a_session_that_only_writes_gets_rid_of_a_lake_that_is_down(conn, restarting, table):
    execute(conn, f"CREATE TABLE {restarting.name}.main.t AS SELECT 1 AS id")
    t = table(1)
    assert t.ids(conn) == [0]
    restarting.catalog.stop("immediate")
    failed = [failure(conn, f"INSERT INTO {t.name} VALUES (1)").sqlstate]
    t.insert(conn, 1)
    t.insert(conn, 2)
    assert failed[0][:2] == "08" and t.committed() == [0, 1, 2]


# ---- a catalog in the same database


@pytest.fixture(scope="module")
def lake_within(lakes, su, database):
    """A lake whose catalog is in the database that uses it."""
    su.execute(f"GRANT CREATE ON DATABASE {database} TO {lakes.role}")
    lake = lakes.make("within_lake", local=True, dbname=database, metadata_schema="within", lock_timeout="1000")
    execute(su, "CREATE TABLE within_lake.main.t (id BIGINT)")
    execute(su, "INSERT INTO within_lake.main.t VALUES (1)")
    lake.import_into("within_tables")
    yield lake
    su.execute("DROP SCHEMA within CASCADE; DROP SCHEMA within_tables CASCADE")
    su.execute(f"REVOKE CREATE ON DATABASE {database} FROM {lakes.role}")


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM within_tables.t", "SELECT duckdb.execute('INSERT INTO within_lake.main.t VALUES (2)')"])
def test_a_transaction_that_locks_its_own_catalog_does_not_hang(conn, lake_within, statement):
    conn.execute("BEGIN; LOCK TABLE within.ducklake_snapshot, within.ducklake_data_file IN ACCESS EXCLUSIVE MODE")
    started = time.monotonic()
    error = failure(conn, statement)
    assert error.sqlstate == "55P03", words(error)
    assert 0.5 < time.monotonic() - started < 6
    conn.execute("ROLLBACK")
    assert conn.execute("SELECT count(*) FROM within_tables.t").fetchone() == (1,)


@pytest.mark.parametrize("locked", ["ducklake_snapshot", "ducklake_inlined_data%"])
def test_a_lock_that_only_the_commit_meets(conn, lake_within, locked):
    (locked,) = conn.execute(f"SELECT min(relname) FROM pg_class WHERE relname LIKE '{locked}' AND relkind = 'r' AND relnamespace = 'within'::regnamespace AND relname !~ 'tables'").fetchone()
    conn.execute("BEGIN")
    execute(conn, "INSERT INTO within_lake.main.t VALUES (47110815)")
    conn.execute(f"LOCK TABLE within.{locked} IN SHARE MODE")
    started = time.monotonic()
    error = failure(conn, "COMMIT")
    assert error.sqlstate == "55P03", words(error)
    # DuckLake's words quote the catalog's statements, with the rows.
    assert "INSERT INTO" not in words(error) and "47110815" not in words(error)
    assert time.monotonic() - started < 15
    assert conn.execute("SELECT count(*) FROM within_tables.t").fetchone() == (1,)
    execute(conn, "INSERT INTO within_lake.main.t VALUES (3)")
    execute(conn, "DELETE FROM within_lake.main.t WHERE id = 3")
