"""What errors, plans, statistics and the server's views tell: no value of a row or column that was not
granted, no secret, no path that is none of the reader's business."""

import os
import pathlib
import subprocess

import pytest

from support import Cluster, failure, open_directory, words
from worlds import execute, query


@pytest.fixture(scope="module")
def lines(world):
    """CSV tables with lines that cannot be parsed and hold what is not granted; a view with a barrier over one."""
    world.writer.execute(f"COPY (SELECT unnest(['1,{world.column_canary}a,x', 'zqxv,{world.column_canary}b,y', '3,{world.column_canary}c,z']) AS l) TO '{world.base}papers/lines.csv' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '|')")
    world.writer.execute(f"COPY (SELECT unnest(['{{\"i\": 1, \"secret\": \"{world.column_canary}\"}}', '{{\"i\": \"zqxv\", \"secret\": \"{world.column_canary}\"}}']) AS l) TO '{world.base}papers/lines.json' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '|')")
    world.writer.execute(f"COPY (SELECT '{world.column_canary}' AS secret, 1 AS i) TO '{world.base}papers/labels.parquet'")
    tables = {
        "lines": f"i bigint, secret text, name text) SERVER papers OPTIONS (path '{world.base}papers/lines.csv', header 'false', names '{{i,secret,name}}'",
        "sniffed": f"i bigint, secret bigint, name text) SERVER papers OPTIONS (path '{world.base}papers/lines.csv', header 'false', names '{{i,secret,name}}'",
        "objects": f"i bigint, secret text) SERVER papers OPTIONS (path '{world.base}papers/lines.json'",
        "labels": f"i bigint, secret few_labels) SERVER papers OPTIONS (path '{world.base}papers/labels.parquet'",
    }
    world.su("CREATE TYPE few_labels AS ENUM ('one', 'two')")
    reader, viewer = world.role("reader"), world.role("viewer")
    for name, text in tables.items():
        world.su(f"CREATE FOREIGN TABLE {name} ({text})")
        world.su(f"GRANT SELECT (i) ON {name} TO {reader}")
        world.su(f"CREATE VIEW {name}_view WITH (security_barrier) AS SELECT i FROM {name} WHERE secret::text < 'a'; GRANT SELECT ON {name}_view TO {viewer}, {reader}")
    yield tables
    for name in tables:
        world.su(f"DROP FOREIGN TABLE {name} CASCADE")
    world.su("DROP TYPE few_labels")


@pytest.mark.parametrize("table", ["lines", "sniffed", "objects", "labels"])
@pytest.mark.parametrize("role,statement", [("reader", "SELECT i FROM {t}"), ("reader", "SELECT sum(i) FROM {t} WHERE i > 0"), ("viewer", "SELECT i FROM {t}_view"), ("viewer", "SELECT count(*) FROM {t}_view WHERE i < 5"), ("viewer", "EXPLAIN ANALYZE SELECT i FROM {t}_view"), ("reader", "SELECT i FROM {t} a JOIN people USING (i)"), ("reader", "SET client_min_messages = debug5; SELECT i FROM {t}; SET client_min_messages = notice")])
def test_errors_quote_no_data(world, lines, table, role, statement):
    """Session.run looks for the canary in whatever comes; the session is none the worse."""
    outcome = world.session(role).run(statement.replace("{t}", table))
    assert not outcome.lost
    world.session(role).run("RESET client_min_messages")
    # The value of a column that was granted may be told, but not of a row behind a barrier.
    assert role == "reader" or "zqxv" not in outcome.told, outcome


CASTS = ["CAST(name AS bigint)", "name::date", "to_date(name, 'YYYY')", "name::jsonb->>'a'", "name::uuid", "name::inet::text", "name::few_labels", "chr(length(name) - 10)", "name::bit(3)::text", "name::interval"]


@pytest.mark.parametrize("cast", CASTS)
def test_errors_behind_barriers_quote_no_rows(world, lines, cast):
    """A cast that fails for a row that the view's own condition keeps back tells nothing of it."""
    world.su("CREATE OR REPLACE VIEW shut WITH (security_barrier) AS SELECT i, secret AS name FROM papers WHERE i < 0")
    world.su(f"GRANT SELECT ON shut TO {world.role('viewer')}")
    for statement in (f"SELECT {cast} FROM shut", f"SELECT i FROM shut WHERE ({cast}) IS NOT NULL", f"SELECT max(i) FROM shut GROUP BY {cast}", f"SELECT count(*) FROM shut WHERE i = 1 OR ({cast}) IS NULL"):
        outcome = world.session("viewer").run(statement)
        assert outcome.error is None and outcome.rows in ([], [(0,)]) or outcome.state in ("42883", "42846"), outcome


def test_plans_show_no_values_of_others(world, lines):
    for role, statement in (("viewer", "EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT i FROM few"), ("reader", "EXPLAIN (ANALYZE, VERBOSE) SELECT i FROM papers"), ("viewer", "EXPLAIN (VERBOSE) SELECT i FROM fenced WHERE i < 2"), ("reader", "EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT count(*) FROM people")):
        outcome = world.session(role).run(statement)
        assert outcome.error is None, outcome
        assert "secret" not in outcome.told.lower() or "fenced" in statement or "papers" in statement


SECRETS = ["SELECT * FROM pg_user_mappings", "SELECT * FROM information_schema.user_mapping_options", "SELECT * FROM pg_stat_activity", "SELECT * FROM pg_foreign_server", "SELECT * FROM duckdb.progress()", "SHOW ALL", "SELECT * FROM pg_settings", "SELECT * FROM pg_file_settings", "SELECT * FROM pg_prepared_statements", "SELECT * FROM pg_stats", "SELECT current_setting('duckdb.temp_directory', true)", "SELECT * FROM duckdb.settings()", "SELECT * FROM duckdb.extensions()"]


@pytest.mark.parametrize("statement", SECRETS)
@pytest.mark.parametrize("role", ["reader", "querier", "stranger"])
def test_views_of_the_server_show_no_secret(world, statement, role):
    """PUBLIC's mappings hold the keys here; PostgreSQL shows them to their servers' owners only."""
    outcome = world.session(role).run(statement)
    assert not outcome.lost
    if "temp_directory" in statement and outcome.error is None:
        assert outcome.rows in ([(None,)], [("",)]), outcome


FAILING = {
    "a wrong key": ("ALTER USER MAPPING FOR PUBLIC SERVER papers OPTIONS (SET secret 'wrongsecretword')", "SELECT i FROM papers", "ALTER USER MAPPING FOR PUBLIC SERVER papers OPTIONS (SET secret '{secret_key}')"),
    "no such host": ("ALTER SERVER papers OPTIONS (SET endpoint '127.0.0.1:9')", "SELECT i FROM papers", "ALTER SERVER papers OPTIONS (SET endpoint '{endpoint}')"),
    "a lake's password": ("ALTER USER MAPPING FOR PUBLIC SERVER {lake} OPTIONS (SET password 'wrongsecretword')", "SELECT id FROM orders", "ALTER USER MAPPING FOR PUBLIC SERVER {lake} OPTIONS (SET password '{password}')"),
    "a lake's host": ("ALTER SERVER {lake} OPTIONS (SET port '9')", "SELECT id FROM orders", "ALTER SERVER {lake} OPTIONS (SET port '{port}')"),
    "a lake's schema": ("ALTER SERVER {lake} OPTIONS (SET metadata_schema 'nosuch')", "SELECT id FROM orders", "ALTER SERVER {lake} OPTIONS (SET metadata_schema '{schema}')"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("role", ["reader", "postgres"])
def test_errors_tell_no_secret(world, kind, role):
    values = {"secret_key": world.sandbox.all.secret, "endpoint": world.store.address, "lake": world.orders.name, "password": world.password, "port": str(world.sandbox.port), "schema": world.orders.schema}
    change, statement, back = FAILING[kind]
    for name, value in values.items():
        change, back = change.replace("{" + name + "}", value), back.replace("{" + name + "}", value)
    world.su(change)
    try:
        with world.new_session(role) as session:
            outcome = session.run(statement)
            assert outcome.error is not None and not outcome.lost, outcome
            for word in ("wrongsecretword", "/rust/", ".rs:", "backtrace", world.sandbox.all.secret, world.password, world.sandbox.all.key_id if role != "postgres" else world.password):
                assert word not in outcome.told, (word, outcome)
    finally:
        world.su(back)
    log = world.log()
    assert world.password not in "\n".join(line for line in log.splitlines() if "USER MAPPING" not in line)


ERRORS = [query("SELECT nosuch"), query("SELECT error('x')"), query("SELECT sqrt(-1) AS a"), query("FROM '{base}open/nosuch.parquet'"), query("SELECT 'x'::INT AS a"), "SELECT * FROM duckdb.read_csv('{base}open/people.parquet')", query("SELEC 1"), query("SELECT repeat('x', 1000000000000) AS a"), query("FROM read_parquet('{folder}/good.csv')"), execute("CREATE TABLE x AS SELECT error('y')")]


@pytest.mark.parametrize("statement", ERRORS, ids=lambda s: s[:60])
def test_errors_hold_no_backtrace_and_no_places_of_the_build(world, statement):
    """Also where the server's environment asks for backtraces."""
    outcome = world.session("executor").run(world.filled(statement))
    assert outcome.error is not None and not outcome.lost, outcome
    for word in ("backtrace", ".rs:", ".cpp:", "0x0", "/src/", "/root/", "pgrx", "libduckdb", "Stack Trace", str(world.sandbox.data_directory), str(world.sandbox.extension_dir)):
        assert word not in outcome.told, (word, outcome)


def test_no_backtrace_with_rust_backtrace_set(world):
    """A cluster whose environment asks Rust for backtraces."""
    with open_directory() as directory:
        cluster = Cluster(world.sandbox, directory).initialise().configure()
        command = [str(world.sandbox.bindir / "pg_ctl"), "-D", str(cluster.data), "-l", str(cluster.log), "-w", "-t", "60", "start"]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "RUST_BACKTRACE": "full", "RUST_LIB_BACKTRACE": "1"}
        try:
            with open(directory / "out", "w") as out:
                subprocess.run(command, stdout=out, stderr=out, check=True, cwd=directory, env=environment, **cluster._owner)
            with cluster.connect() as conn:
                conn.execute("CREATE EXTENSION pg_pond")
                for statement in (query("SELECT nosuch"), query("SELECT error('x') AS a"), "SELECT * FROM duckdb.read_csv('/nosuch.csv')", "SELECT * FROM duckdb.snapshots('nosuch')", "SELECT duckdb.execute('SELEC')"):
                    told = words(failure(conn, statement))
                    assert "backtrace" not in told and ".rs:" not in told and "   0: " not in told, told
        finally:
            cluster.stop("immediate")


@pytest.mark.parametrize("role", ["executor", "querier"])
@pytest.mark.parametrize("text,states", [("FROM nosuch", ("42P01",)), ("FROM nosuch.main.t", ("42P01", "3D000")), ("SELECT * FROM main.nosuch", ("42P01",)), ("FROM memory.main.nosuch", ("42P01",)), ("SELECT nosuch(1)", ("42883", "42501")), ("FROM nosuch()", ("42883", "42501"))])
def test_what_does_not_exist_is_not_denied(world, role, text, states):
    """And what is denied is told alike whether it exists or not."""
    outcome = world.session(role).run(query(text))
    assert outcome.state in states, outcome
    exists = world.session(role).run(query(world.filled("FROM '{secret}/canary.csv'")))
    missing = world.session(role).run(query(world.filled("FROM '{secret}/nosuchx.csv'")))
    assert exists.state == missing.state == "42501"
    assert exists.told.replace("canary.csv", "#") == missing.told.replace("nosuchx.csv", "#").replace("LINE 1", "LINE 1")


def test_cancelled_and_logged_statements_hold_no_secret(world):
    with world.new_session("postgres") as session:
        session.rows("SET duckdb.log_sql = on; SET client_min_messages = log")
        for statement in ("SELECT count(*) FROM people WHERE name = 'x'", "SELECT count(*) FROM orders", query(f"SELECT count(*) AS n FROM {world.orders.name}.main.orders")):
            session.run(statement)
        session.rows("RESET duckdb.log_sql; RESET client_min_messages")
    log = world.log()
    for word in (world.password, world.sandbox.all.secret):
        assert word not in log


@pytest.mark.parametrize("role", ["reader", "viewer", "stranger"])
def test_pg_stat_statements_and_activity(world, role):
    """What others run shows to those who may see it only."""
    outcome = world.session(role).run("SELECT query FROM pg_stat_activity WHERE usename <> current_user AND query NOT LIKE '<insufficient%'")
    assert outcome.rows == [], outcome
    assert world.session(role).run("SELECT count(*) FROM duckdb.progress() p WHERE p.role <> current_user").rows in ([(0,)], None)


def test_the_extensions_files_are_the_installers(world):
    for path in pathlib.Path(world.sandbox.extension_dir).rglob("*.duckdb_extension"):
        assert path.stat().st_mode & 0o022 == 0, path
