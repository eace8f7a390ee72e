"""The extension beside other modules, preloaded and not; progress; dump and restore; a standby."""

import json
import os
import re
import subprocess

import psycopg
import pytest
from psycopg import sql

from conftest import create_server, map_user
from support import Background, Proxy, crash_lines, eventually, failure, private_cluster, spill_folders, sqlstate_of

SLOW = "SELECT * FROM duckdb.query('SELECT sum(hash(range)::HUGEINT) AS s FROM range(3000000000)')"


def contrib(sandbox, name):
    if not list(sandbox.bindir.parent.rglob(f"{name}.so")):
        pytest.skip(f"this PostgreSQL comes without {name}")


def plan(conn, statement):
    return "\n".join(line for (line,) in conn.execute("EXPLAIN (COSTS OFF) " + statement))


# ---- preloaded


@pytest.fixture(scope="module")
def preloaded(sandbox):
    with private_cluster(sandbox, shared_preload_libraries="pg_pond") as cluster:
        yield cluster
        assert crash_lines(cluster.log.read_text()) == []


def test_a_stored_view_streams_when_preloaded(preloaded):
    with preloaded.connect() as conn:
        conn.execute("CREATE VIEW stored AS SELECT * FROM duckdb.query('SELECT i FROM range(100) t(i)')")
    with preloaded.connect() as conn:
        assert "Custom Scan (DuckDB Scan)" in plan(conn, "SELECT * FROM stored")
        assert conn.execute("SELECT sum(i) FROM stored").fetchone() == (4950,)


def progress(conn):
    return {pid: (role, percentage) for pid, role, percentage in conn.execute("SELECT pid, role, percentage FROM duckdb.progress()")}


def test_progress_without_preload_says_what_it_needs(connect):
    error = failure(connect(), "SELECT * FROM duckdb.progress()")
    assert error.sqlstate == "55000"
    assert "shared_preload_libraries" in str(error)


def test_progress_is_seen_from_another_session(preloaded):
    with preloaded.connect() as conn, preloaded.connect() as watcher:
        assert progress(watcher) == {}
        # DuckDB knows how far it is in a table, not in range().
        conn.execute("SELECT duckdb.execute('CREATE TABLE big AS SELECT range AS i FROM range(30000000)')")
        running = Background(conn, "SELECT * FROM duckdb.query('SELECT max(sha256(sha256(i::VARCHAR))) AS s FROM big')")
        seen = []

        def look():
            found = progress(watcher).get(running.pid)
            if found and found[1] is not None:
                assert found[0] == "postgres"
                seen.append(found[1])
            return len(seen) > 3 and seen[-1] > seen[0]

        eventually(look, timeout=20, interval=0.05)
        assert all(0 <= percentage <= 100 for percentage in seen)
        assert seen == sorted(seen)
        conn.cancel()
        running.join()
        assert running.error.sqlstate == "57014"
        eventually(lambda: progress(watcher) == {}, timeout=3)


@pytest.mark.parametrize("statement", [
    "CREATE TABLE progress_{n} AS SELECT * FROM duckdb.query('FROM range(100000000000)')",
    "SELECT duckdb.execute('CREATE TABLE t AS SELECT max(hash(range)) FROM range(100000000000)')",
    "DO $$ BEGIN PERFORM * FROM duckdb.query('SELECT max(hash(range)) FROM range(100000000000)'); END $$",
])
def test_progress_shows_every_kind_of_statement_and_forgets_it(preloaded, statement):
    with preloaded.connect() as conn, preloaded.connect() as watcher:
        running = Background(conn, statement.replace("{n}", str(conn.info.backend_pid)))
        eventually(lambda: running.pid in progress(watcher))
        conn.cancel()
        running.join()
        eventually(lambda: progress(watcher) == {}, timeout=3)


def test_progress_of_a_backend_that_ended_is_forgotten(preloaded):
    with preloaded.connect() as watcher:
        for end in ("pg_terminate_backend", "finish"):
            conn = preloaded.connect()
            if end == "finish":
                conn.execute("SELECT * FROM duckdb.query('SELECT max(hash(range)) AS m FROM range(30000000)')")
                assert progress(watcher) == {}
            else:
                running = Background(conn, SLOW)
                eventually(lambda: running.pid in progress(watcher))
                watcher.execute("SELECT pg_terminate_backend(%s)", (running.pid,))
                running.join()
            eventually(lambda: progress(watcher) == {}, timeout=3)


def test_progress_shows_ordinary_roles_their_own_queries(preloaded):
    with preloaded.connect() as conn:
        conn.execute("CREATE ROLE one LOGIN; CREATE ROLE two LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats")
        conn.execute("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO one")
    with preloaded.connect("one") as one, preloaded.connect("one") as again, preloaded.connect("two") as two, preloaded.connect("watcher") as watcher:
        running = Background(one, SLOW)
        eventually(lambda: running.pid in progress(watcher))
        assert progress(watcher)[running.pid][0] == "one"
        assert running.pid in progress(again)
        assert progress(two) == {}
        one.cancel()
        running.join()


# ---- other modules


@pytest.mark.parametrize("libraries", ["auto_explain,pg_stat_statements,pg_pond", "pg_pond,pg_stat_statements,auto_explain", "auto_explain,pg_stat_statements"])
def test_beside_auto_explain_and_pg_stat_statements(sandbox, libraries):
    contrib(sandbox, "auto_explain")
    contrib(sandbox, "pg_stat_statements")
    settings = {
        "shared_preload_libraries": libraries,
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_analyze": "on",
        "auto_explain.log_verbose": "on",
        "auto_explain.log_nested_statements": "on",
        "pg_stat_statements.track": "all",
        "compute_query_id": "on",
    }
    with private_cluster(sandbox, **settings) as cluster, cluster.connect() as conn:
        conn.execute("CREATE EXTENSION pg_stat_statements")
        for _ in range(3):
            assert conn.execute("SELECT count(*) FROM duckdb.query('SELECT i FROM range(10) t(i)') WHERE i > 3").fetchone() == (6,)
        conn.execute("CREATE TABLE copied AS SELECT * FROM duckdb.query('SELECT i FROM range(10) t(i)')")
        conn.execute("CREATE MATERIALIZED VIEW seen AS SELECT * FROM duckdb.query('SELECT i FROM range(5) t(i)')")
        conn.execute("REFRESH MATERIALIZED VIEW seen")
        conn.execute("DO $$ BEGIN PERFORM * FROM duckdb.query('SELECT 1 AS a'); END $$")
        conn.execute("PREPARE p(int) AS SELECT * FROM duckdb.query('SELECT $1 AS a', $1)")
        for number in range(7):
            assert conn.execute(f"EXECUTE p({number})").fetchone() == (number,)
        assert sqlstate_of(conn, "SELECT * FROM duckdb.query('FROM nosuch')") == "42P01"
        calls, rows = conn.execute("SELECT calls, rows FROM pg_stat_statements WHERE query LIKE 'SELECT count(*) FROM duckdb.query(%'").fetchone()
        assert (calls, rows) == (3, 3)
        assert conn.execute("SELECT rows FROM pg_stat_statements WHERE query LIKE 'CREATE TABLE copied%'").fetchone() == (10,)
        log = cluster.log.read_text()
        assert "Custom Scan (DuckDB Scan)" in log and "DuckDB Rows: 6" in log
        assert crash_lines(log) == []


def test_beside_auto_explain_loaded_in_the_session(connect, sandbox):
    contrib(sandbox, "auto_explain")
    for first in (True, False):
        conn = connect()
        if not first:
            conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')")
        conn.execute("LOAD 'auto_explain'")
        conn.execute("SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_level = notice")
        notices = []
        conn.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        assert conn.execute("SELECT count(*) FROM duckdb.query('SELECT i FROM range(10) t(i)')").fetchone() == (10,)
        assert any("DuckDB Scan" in notice for notice in notices)


# ---- dump and restore


def tool(sandbox, name, *arguments, check=True, text=None):
    env = {**os.environ, "PGHOST": sandbox.socket_dir, "PGPORT": str(sandbox.port), "PGUSER": "postgres"}
    done = subprocess.run([sandbox.bindir / name, *map(str, arguments)], capture_output=True, text=True, env=env, input=text)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture
def source(cluster, sandbox, lake_writer):
    """A database with everything that holds a DuckDB query, and the proxy before its lake."""
    proxy = Proxy(sandbox.s3_endpoint)
    lake_writer.execute("COPY (SELECT i, 't' || i AS t FROM range(100) t(i)) TO 's3://lake/dump/data.parquet'")
    name = f"pond_dump_{os.getpid()}"
    for database in (name, name + "_restored"):
        cluster.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        cluster.execute(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'")
    with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=name, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION pg_pond")
        create_server(conn, sandbox, "lake", "s3://lake/dump/", endpoint=proxy.address)
        map_user(conn, "postgres", "lake", sandbox.all)
        query = "duckdb.query($q$FROM 's3://lake/dump/data.parquet'$q$)"
        for statement in (
            f"CREATE VIEW v AS SELECT * FROM {query}",
            f"CREATE VIEW w AS SELECT q.t, count(*) AS n FROM {query} q JOIN v USING (i) WHERE q.i > 5 GROUP BY q.t",
            "CREATE VIEW x AS SELECT * FROM duckdb.read_parquet('s3://lake/dump/*.parquet', filename => true)",
            "CREATE VIEW y AS SELECT a FROM duckdb.query('SELECT $1 + 1 AS a', 41)",
            f"CREATE MATERIALIZED VIEW m AS SELECT * FROM {query} WITH NO DATA",
            f"CREATE TABLE t AS SELECT * FROM {query}",
            f"CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $f$ SELECT count(*) FROM {query} $f$",
            f"CREATE FUNCTION g() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM {query}; END",
            f"CREATE FUNCTION h() RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN RETURN (SELECT count(*) FROM {query}); END $f$",
            f"CREATE RULE r AS ON DELETE TO t DO ALSO SELECT count(*) FROM {query}",
        ):
            conn.execute(statement)
    yield name, proxy
    for database in (name, name + "_restored"):
        cluster.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    proxy.close()


@pytest.mark.parametrize("form", ["plain", "custom"])
def test_dump_and_restore_with_no_lake_at_hand(source, sandbox, form, tmp_path):
    name, proxy = source
    dump = tmp_path / "dump"
    # Nothing answers: neither the dump nor the restore may ask.
    proxy.stall.set()
    tool(sandbox, "pg_dump", "-F", form[0], "-f", dump, name)
    target = name + "_restored"
    if form == "plain":
        tool(sandbox, "psql", "-X", "-v", "ON_ERROR_STOP=1", "-1", "-d", target, "-f", dump)
    else:
        tool(sandbox, "pg_restore", "--exit-on-error", "-d", target, dump)
    definitions = (
        "SELECT array_agg(pg_get_viewdef(c.oid) ORDER BY relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('v', 'm') AND nspname = 'public'"
    )
    connect = lambda database: psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=database, autocommit=True)
    with connect(name) as before, connect(target) as after:
        assert before.execute(definitions).fetchone() == after.execute(definitions).fetchone()
        assert after.execute("SELECT count(*) FROM t").fetchone() == (100,)
        proxy.stall.clear()
        assert after.execute("SELECT count(*), max(i) FROM v").fetchone() == (100, 99)
        assert after.execute("SELECT count(*) FROM w").fetchone() == (94,)
        assert after.execute("SELECT count(*) FROM x WHERE filename LIKE 's3://lake/dump/%'").fetchone() == (100,)
        assert after.execute("SELECT a FROM y").fetchone() == (42,)
        after.execute("REFRESH MATERIALIZED VIEW m")
        assert [after.execute(f"SELECT {call}").fetchone() for call in ("(SELECT count(*) FROM m)", "f()", "g()", "h()")] == [(100,)] * 4
        # A dump of the restored database is the same again.
        again = tmp_path / "again"
        tool(sandbox, "pg_dump", "-F", "plain", "--schema-only", "-f", again, target)
        tool(sandbox, "pg_dump", "-F", "plain", "--schema-only", "-f", dump, name)
        same = lambda path: re.sub(r"^\\(un)?restrict .*$", "", path.read_text(), flags=re.M).replace(target, name)
        assert same(again) == same(dump)


def test_create_and_drop_again(cluster, sandbox):
    name = f"pond_drop_{os.getpid()}"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=name, autocommit=True) as conn:
            for _ in range(3):
                conn.execute("CREATE EXTENSION pg_pond")
                assert sqlstate_of(conn, "CREATE EXTENSION pg_pond") == "42710"
                conn.execute("CREATE VIEW v AS SELECT * FROM duckdb.query('SELECT 1 AS a')")
                assert conn.execute("SELECT * FROM v").fetchone() == (1,)
                assert sqlstate_of(conn, "DROP EXTENSION pg_pond") == "2BP01"
                conn.execute("DROP EXTENSION pg_pond CASCADE")
                assert sqlstate_of(conn, "SELECT * FROM duckdb.query('SELECT 1 AS a')") in ("3F000", "42883")
                assert conn.execute("SELECT 1").fetchone() == (1,)
            conn.execute("CREATE EXTENSION pg_pond")
            assert conn.execute("SELECT * FROM duckdb.query('SELECT 1 AS a')").fetchone() == (1,)
    finally:
        cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


# ---- a standby


def test_a_standby_queries(sandbox, lake_writer):
    lake_writer.execute("COPY (SELECT i FROM range(100) t(i)) TO 's3://lake/standby/data.parquet'")
    with private_cluster(sandbox, max_wal_senders="4", hot_standby="on") as primary, private_cluster(sandbox, initialise=False) as standby:
        with primary.connect() as conn:
            create_server(conn, sandbox, "lake", "s3://lake/standby/", writable="true")
            map_user(conn, "postgres", "lake", sandbox.all)
            conn.execute("CREATE VIEW v AS SELECT * FROM duckdb.query($$FROM 's3://lake/standby/data.parquet'$$)")
            # Spilled files are no part of a base backup.
            conn.execute("SET duckdb.memory_limit = '64MB'")
            spilling = Background(conn, "SELECT * FROM duckdb.query('SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS n FROM range(1000000000) t(i))')")
            eventually(lambda: [path for folder in spill_folders(primary.data) for path in folder.glob("*")])
            standby.program("pg_basebackup", "-h", primary.directory, "-p", "5432", "-U", "postgres", "-D", standby.data, "-R", "-c", "fast", "-X", "stream")
            assert spill_folders(standby.data) == []
            conn.cancel()
            spilling.join()
            standby.configure().start()
            with standby.connect() as replica:
                assert replica.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
                assert replica.execute("SELECT count(*), sum(i) FROM v").fetchone() == (100, 4950)
                assert replica.execute("SELECT * FROM duckdb.query('SELECT 6 * 7 AS a')").fetchone() == (42,)
                assert "DuckDB Scan" in plan(replica, "SELECT * FROM v")
                # As PostgreSQL's own COPY.
                replica.execute("SELECT duckdb.execute($$COPY (SELECT 1) TO 's3://lake/standby/x.parquet'$$)")
                assert sqlstate_of(replica, "SELECT duckdb.execute($$CREATE TABLE t AS SELECT 1 AS a$$)") == "25006"
                replica.execute("SET duckdb.memory_limit = '64MB'")
                assert replica.execute("SELECT * FROM duckdb.query('SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS n FROM range(4000000) t(i))')").fetchone() == (4000000,)
                # Rights that change on the primary count on the standby.
                conn.execute("DROP USER MAPPING FOR postgres SERVER lake")
                eventually(lambda: sqlstate_of(replica, "SELECT count(*) FROM v") is not None)
        assert crash_lines(primary.log.read_text() + standby.log.read_text()) == []


def test_explain_as_json_is_json(connect):
    conn = connect()
    for options in ("FORMAT JSON", "FORMAT JSON, VERBOSE", "FORMAT JSON, ANALYZE", "FORMAT JSON, ANALYZE, VERBOSE"):
        (found,) = conn.execute(f"EXPLAIN ({options}) SELECT * FROM duckdb.query('SELECT i, ''\"'' AS q FROM range(3) t(i)') WHERE i > 0").fetchone()
        found = found if isinstance(found, list) else json.loads(found)
        assert found[0]["Plan"]["Custom Plan Provider"] == "DuckDB Scan"
    assert failure(conn, "SELECT 1/0").sqlstate == "22012"
