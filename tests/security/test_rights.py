"""Each function, type and object of the extension by roles that were not granted it, and what a grant does
not include."""

import pytest

from worlds import DENIED, FUNCTIONS, identifier, literal, query, rows_query

# What everybody may call: it shows nothing of others and reads nothing, or checks the caller's rights itself.
OPEN = {"version", "recycle", "progress", "query_by_name", "sql_out", "path_out", "sql_in", "path_in", "not_a_literal", "path_not_a_literal",
        "query_rows_support", "fdw_validator"}  # fmt: skip
ARGUMENTS = {
    "text": "'SELECT 1 AS a'", "bigint": "1", "integer": "1", "boolean": "true", "regclass": "'private.vault'::regclass", "timestamp with time zone": "now()",
    "text[]": "ARRAY['x']", "bigint[]": "ARRAY[1]", "interval": "'1 day'", "double precision": "0.5", "oid": "1259", "cstring": "'x'", "internal": "NULL",
    "regnamespace": "'private'::regnamespace", "duckdb.sql": "'SELECT 1 AS a'", "duckdb.path": "'s3://vault/x.parquet'", '"any"': "1", "name": "'x'",
    "jsonb": "'{}'", "json": "'{}'", "numeric": "1", "anyelement": "1", "regproc": "'now'::regproc", "regrole": "'postgres'::regrole",
}  # fmt: skip


@pytest.fixture(scope="module")
def functions(world):
    """(name, signature, argument types, kind of result) of all functions of the schema."""
    return world.su(
        "SELECT p.proname, p.oid::regprocedure::text, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) t), p.prorettype::regtype::text, "
        "p.proretset FROM pg_proc p WHERE p.pronamespace = 'duckdb'::regnamespace ORDER BY 2"
    ).fetchall()


def test_there_are_functions_to_probe(functions):
    assert len(functions) > 40


@pytest.mark.parametrize("role", ["stranger", "viewer", "reader", "maker"])
def test_functions_are_closed_to_those_without_execute(world, functions, role):
    """Whatever an upgrade adds: no EXECUTE for PUBLIC, but where the function checks rights itself."""
    session = world.session(role)
    for name, signature, types, result, _ in functions:
        granted = session.rows("SELECT has_function_privilege(%s::regprocedure, 'EXECUTE')", (signature,)) == [(True,)]
        if name in OPEN or result in ("event_trigger", "internal", "fdw_handler") or "internal" in types or "cstring" in types:
            continue
        call = f"SELECT * FROM duckdb.{name}({', '.join(ARGUMENTS.get(kind, f'NULL::{kind}') for kind in types)})"
        if result == "record" and name in ("query_rows", "query_by_name", "pushed", "query_at", "query_changes"):
            call += " AS t(a text)"
        outcome = session.run(call)
        assert not outcome.lost, (call, outcome)
        assert outcome.error is not None, f"{role} called {call}: {outcome}"
        if not granted:
            # The form of the readers' options is looked at before rights to them are.
            assert outcome.state in (*DENIED, "22023"), (call, outcome)
        else:
            assert outcome.state not in ("XX000", "58P01", "08001", "08006", "28P01"), (call, outcome)


def test_what_public_may_execute_is_known(world):
    """A new function is seen here: it is on the list below because it checks the caller's rights."""
    rows = world.su(
        "SELECT DISTINCT proname FROM pg_proc p WHERE pronamespace = 'duckdb'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE') ORDER BY 1"
    ).fetchall()
    assert {name for (name,) in rows} <= OPEN | {
        "create_lake", "snapshots", "table_info", "list_files", "refresh_foreign_schema", "at", "table_changes", "query_at", "query_changes",
    }  # fmt: skip


def test_types_are_closed(world):
    for kind in ("duckdb.sql", "duckdb.path", 'duckdb."row"'):
        session = world.session("stranger")
        session.refused(f"CREATE TABLE pg_temp.t (a {kind})")
        session.refused(f"CREATE FUNCTION pg_temp.f({kind}) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        session.refused(f"CREATE DOMAIN pg_temp.d AS {kind}", "42501", "42809")


CLOSED_CATALOG = [
    "SELECT umoptions FROM pg_user_mapping",
    "SELECT rolpassword FROM pg_authid",
    "SELECT * FROM private.canary",
    "SELECT * FROM private.vault",
    "ALTER SERVER open OPTIONS (SET endpoint '{http}')",
    "ALTER SERVER open OWNER TO CURRENT_USER",
    "DROP SERVER open CASCADE",
    "ALTER USER MAPPING FOR PUBLIC SERVER open OPTIONS (SET secret 'x')",
    "CREATE USER MAPPING FOR postgres SERVER open",
    "DROP USER MAPPING FOR PUBLIC SERVER open",
    "ALTER FOREIGN DATA WRAPPER duckdb OPTIONS (ADD a 'b')",
    "ALTER FOREIGN DATA WRAPPER duckdb NO VALIDATOR",
    "ALTER FOREIGN TABLE people OPTIONS (SET path '{vault}canary.parquet')",
    "ALTER FOREIGN TABLE people ALTER COLUMN name OPTIONS (ADD column_name 'x')",
    "DROP EVENT TRIGGER pg_pond_complete_import",
    "ALTER EVENT TRIGGER pg_pond_complete_foreign_table DISABLE",
    "ALTER EXTENSION pg_pond DROP FUNCTION duckdb.version()",
    "DROP EXTENSION pg_pond CASCADE",
    "CREATE FUNCTION duckdb.version(text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "CREATE TABLE duckdb.t (a int)",
    "ALTER FUNCTION duckdb.query(duckdb.sql) SECURITY DEFINER",
    "GRANT EXECUTE ON FUNCTION duckdb.execute(text) TO CURRENT_USER",
    "CREATE FUNCTION pg_temp.f(text) RETURNS bigint LANGUAGE c AS 'pg_pond', 'duckdb_execute'",
    "CREATE FUNCTION pg_temp.f(bigint) RETURNS SETOF record LANGUAGE c AS 'pg_pond', 'duckdb_pushed'",
    "CREATE FOREIGN DATA WRAPPER w HANDLER duckdb.fdw_handler",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION duckdb.complete_foreign_table()",
    "CREATE SERVER s TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://vault/')",
    "CREATE FOREIGN TABLE pg_temp.t () SERVER open OPTIONS (path '{base}open/people.parquet')",
    "CREATE FOREIGN TABLE pg_temp.t (a text) SERVER papers OPTIONS (path '{base}papers/papers.parquet')",
    "IMPORT FOREIGN SCHEMA \".\" FROM SERVER papers INTO pg_temp",
    "IMPORT FOREIGN SCHEMA main FROM SERVER lk1 INTO pg_temp",
    "COPY people TO '{secret}/out.csv'",
    "COPY people TO PROGRAM 'true'",
    "SELECT pg_read_file('{secret}/canary.csv')",
    "SET duckdb.temp_directory = '{secret}'",
    "SET duckdb.memory_limit = '100GB'",
    "SET duckdb.threads = 512",
    "SET duckdb.max_temp_directory_size = -1",
    "SET duckdb.log_sql = on",
    "SET duckdb.enable_file_cache = on",
    "ALTER SYSTEM SET duckdb.threads = 1",
    "LOAD '$libdir/pg_pond/../pg_pond'",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "INSERT INTO people VALUES (1)",
    "TRUNCATE people",
    "ANALYZE private.vault",
]


@pytest.mark.parametrize("statement", CLOSED_CATALOG, ids=lambda s: s[:50])
@pytest.mark.parametrize("role", ["stranger", "reader"])
def test_what_takes_rights_takes_them(world, role, statement):
    session = world.session(role)
    outcome = session.run(world.filled(statement))
    if statement.startswith("ANALYZE"):
        # A warning, and nothing is read.
        assert outcome.error is None or outcome.state == "42501", outcome
        assert world.store.requests == []
        return
    states = ("42501", "42809", "42883", "3F000", "55000", "42704", "0A000", "42P13", "42P17", "42602")
    assert outcome.error is not None and outcome.state in states, outcome
    assert world.store.requests == [], world.store.requests


READERS = ["query", "query_rows", "read_parquet", "read_csv", "read_json", "read_text", "read_blob", "iceberg_scan", "delta_scan", "describe", "execute"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("role", ["parquet", "inserter", "viewer", "maker"])
def test_one_function_is_not_another(world, role, reader):
    path = f"{world.base}open/people.parquet"
    session = world.session(role)
    if role == "parquet" and reader == "read_parquet":
        assert len(session.rows(f"SELECT * FROM duckdb.read_parquet('{path}')")) == 20
        return
    call = {
        "query": query(f"FROM '{path}'"), "query_rows": rows_query(f"SELECT name FROM '{path}'"), "describe": f"SELECT * FROM duckdb.describe('FROM ''{path}''')",
        "execute": "SELECT duckdb.execute('CREATE TABLE t AS SELECT 1 AS a')",
    }.get(reader, f"SELECT * FROM duckdb.{reader}('{path}')")  # fmt: skip
    session.refused(call)
    assert world.store.requests == []


@pytest.mark.parametrize("wrapped", ["prepare", "cursor", "do", "function", "view", "explain", "create table as", "copy"])
def test_no_wrapping_gives_execute(world, wrapped):
    """EXECUTE is asked for wherever the call stands."""
    session = world.session("viewer")
    call = query("SELECT 1 AS a")
    statements = {
        "prepare": f"PREPARE p AS {call}",
        "cursor": f"BEGIN; DECLARE c CURSOR FOR {call}; FETCH 1 FROM c",
        "do": f"DO $$ BEGIN PERFORM a FROM ({call}) s; END $$",
        "function": f"CREATE FUNCTION pg_temp.g() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN (SELECT a FROM ({call}) s); END $f$; SELECT pg_temp.g()",
        "view": f"CREATE TEMP VIEW v AS {call}; SELECT * FROM v",
        "explain": f"EXPLAIN ANALYZE {call}",
        "create table as": f"CREATE TEMP TABLE t1 AS {call}",
        "copy": f"COPY ({call}) TO STDOUT",
    }
    try:
        if wrapped == "prepare":
            outcome = session.run(statements[wrapped])
            assert outcome.state == "42501" or session.run("EXECUTE p").state == "42501"
        else:
            session.refused(statements[wrapped])
    finally:
        session.run("ROLLBACK")


def test_columns_that_were_not_granted(world):
    session = world.session("reader")
    assert session.rows("SELECT i, name FROM papers ORDER BY i LIMIT 1") == [(0, "x0")]
    for statement in (
        "SELECT secret FROM papers", "SELECT * FROM papers", "SELECT p FROM papers p", "SELECT p.*::text FROM papers p", "SELECT to_jsonb(p) FROM papers p",
        "SELECT i FROM papers WHERE secret > 'a'", "SELECT i FROM papers ORDER BY secret", "SELECT count(secret) FROM papers", "TABLE papers",
        "SELECT i FROM papers GROUP BY i, secret", "SELECT a.i FROM papers a JOIN papers b USING (secret)", "COPY papers TO STDOUT",
        "SELECT row_number() OVER (ORDER BY secret) FROM papers", "SELECT i FROM papers NATURAL JOIN (SELECT 1 AS i, 'x' AS secret) s",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT secret FROM papers", "PREPARE p1 AS SELECT secret FROM papers", "SELECT i FROM papers TABLESAMPLE SYSTEM (100) WHERE secret IS NOT NULL",
    ):  # fmt: skip
        outcome = session.run(statement)
        assert outcome.state in ("42501", "0A000", "42809") or (statement.startswith("PREPARE") and session.run("EXECUTE p1").state == "42501"), (statement, outcome)
    assert session.rows("SELECT count(*) FROM papers") == [(10,)]


@pytest.mark.parametrize("kind", ["most_common_vals", "histogram_bounds"])
def test_statistics_show_no_column_that_was_not_granted(world, kind):
    world.su("ANALYZE papers")
    for role in ("reader", "viewer", "stranger"):
        rows = world.session(role).rows(f"SELECT attname, {kind}::text FROM pg_stats WHERE tablename = 'papers'")
        assert "secret" not in dict(rows)
    for role in ("viewer", "stranger"):
        assert world.session(role).rows("SELECT * FROM pg_stats WHERE tablename IN ('papers', 'vault')") == []


LEAKS = ["i::text = ANY (ARRAY[pg_temp.leak(secret)])", "pg_temp.leak(secret) IS NOT NULL", "(i / (CASE WHEN secret LIKE 'canary%' THEN 0 ELSE 1 END)) > 0"]


@pytest.mark.parametrize("condition", ["pg_temp.leak(name) IS NOT NULL", "name OPERATOR(pg_catalog.||) 'x' > pg_temp.leak(name)", "pg_temp.leak(i::text) IS NOT NULL"])
def test_security_barriers_hold_back_leaky_functions(world, condition):
    """The view's own condition refuses all rows; no function of the caller's sees one."""
    world.su("CREATE OR REPLACE VIEW barred WITH (security_barrier) AS SELECT i, name FROM papers WHERE part = 1 AND i > 100")
    world.su(f"GRANT SELECT ON barred TO {world.role('viewer')}")
    with world.new_session("viewer") as session:
        session.rows("CREATE FUNCTION pg_temp.leak(text) RETURNS text COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1; END $$")
        outcome = session.run(f"SELECT * FROM barred WHERE {condition}")
        assert outcome.rows == [] and session.notices == [], outcome
        # Errors of DuckDB's own arithmetic are a channel as well.
        for error in ("1 / (i - 1) > 0", "CAST(name AS int) > 0", "sqrt((-i)::float8) > 0", "substr(name, 1, (-i)::int) > ''", "repeat(name, 1000000000) > ''"):
            outcome = session.run(f"SELECT * FROM barred WHERE {error}")
            assert outcome.rows == [], (error, outcome)


def test_row_level_security_of_a_parent_holds(world):
    world.su(
        f"""CREATE TABLE parted (i bigint, name text, part bigint) PARTITION BY LIST (part);
        CREATE FOREIGN TABLE parted_0 PARTITION OF parted FOR VALUES IN (0) SERVER papers OPTIONS (path '{world.base}papers/papers.parquet');
        ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
        CREATE POLICY small ON parted USING (i < 3);
        GRANT SELECT ON parted TO {world.role('viewer')}"""
    )
    try:
        with world.new_session("viewer") as session:
            session.rows("CREATE FUNCTION pg_temp.leak(text) RETURNS text COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1; END $$")
            session.rows("SELECT i FROM parted WHERE pg_temp.leak(name) IS NOT NULL")
            assert {notice.split("saw ")[1].strip() for notice in session.notices} <= {"x0", "x1", "x2"}
            assert {i for (i,) in session.rows("SELECT i FROM parted")} <= {0, 1, 2}
            assert session.rows("SELECT max(i) FROM parted") in ([(2,)], [(1,)])
            session.refused("SELECT * FROM parted_0")
            session.refused("SET row_security = off; SELECT * FROM parted")
    finally:
        world.su("DROP TABLE parted")


def test_definers_and_roles(world):
    """What a definer may, the caller may through it alone; SET ROLE takes nothing along."""
    reader, querier = world.role("reader"), world.role("querier")
    world.su(
        f"""CREATE FUNCTION papers_total() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT count(secret) FROM public.papers';
        GRANT {reader}, {querier} TO {world.role('stranger')}"""
    )
    try:
        with world.new_session("stranger") as session:
            assert session.rows("SELECT papers_total()") == [(10,)]
            session.rows(f"SET ROLE {querier}")
            assert len(session.rows(query(f"FROM '{world.base}open/people.parquet'"))) == 20
            session.rows("PREPARE p AS SELECT count(*) FROM duckdb.query_rows('SELECT 1 AS a') AS t(a int)")
            assert session.rows("EXECUTE p") == [(1,)]
            session.rows("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT count(*) FROM people")
            session.rows("COMMIT")
            session.rows(f"SET ROLE {reader}")
            session.refused("EXECUTE p")
            session.refused(query("SELECT 1 AS a"))
            session.refused("SELECT secret FROM papers")
            assert session.rows("SELECT i, name FROM papers ORDER BY i LIMIT 1") == [(0, "x0")]
            session.rows("RESET ROLE; SET SESSION AUTHORIZATION DEFAULT")
            session.refused("SET ROLE postgres")
    finally:
        world.su(f"REVOKE {reader}, {querier} FROM {world.role('stranger')}; DROP FUNCTION papers_total()")


def test_prepared_plans_of_one_role_are_checked_for_the_next(world):
    world.su(f"GRANT {world.role('reader')}, {world.role('viewer')} TO {world.role('stranger')}")
    try:
        with world.new_session("stranger") as session:
            session.rows(f"SET ROLE {world.role('reader')}")
            session.rows("PREPARE p(text) AS SELECT count(*) FROM people WHERE name <> $1")
            for _ in range(7):
                assert session.rows("EXECUTE p('x')") == [(20,)]
            session.rows(f"SET ROLE {world.role('viewer')}")
            session.refused("EXECUTE p('x')")
            session.refused("EXPLAIN EXECUTE p('x')")
    finally:
        world.su(f"REVOKE {world.role('reader')}, {world.role('viewer')} FROM {world.role('stranger')}")


@pytest.mark.parametrize("what", ["usage on the server", "the mapping", "select", "execute", "the storage of a lake", "usage on a lake"])
def test_revoke_counts_at_the_next_statement(world, what):
    """Also for whoever owns the lake that is kept in the storage."""
    executor, path = world.role("executor"), f"{world.base}open/people.parquet"
    undo = []
    with world.new_session("executor") as session:
        try:
            if what == "usage on the server":
                assert len(session.rows(query(f"FROM '{path}'"))) == 20
                undo = [f"GRANT USAGE ON FOREIGN SERVER open TO {executor}"]
                world.su(f"REVOKE USAGE ON FOREIGN SERVER open FROM {executor}")
                session.refused(query(f"FROM '{path}'"))
                session.refused(f"SELECT * FROM duckdb.read_parquet('{path}')")
            elif what == "the mapping":
                assert session.rows("SELECT count(*) FROM people") == [(20,)]
                (options,) = world.su("SELECT umoptions FROM pg_user_mappings WHERE srvname = 'open' AND usename = 'public'").fetchone()
                listed = ", ".join("{} {}".format(*(o.split("=", 1)[0], literal(o.split("=", 1)[1]))) for o in options)
                undo = [f"CREATE USER MAPPING FOR PUBLIC SERVER open OPTIONS ({listed})"]
                world.su("DROP USER MAPPING FOR PUBLIC SERVER open")
                session.refused("SELECT count(*) FROM people", "42704", "42501")
                session.refused(query(f"FROM '{path}'"), "42704", "42501")
            elif what == "select":
                session.rows("SELECT count(*) FROM people")
                undo = [f"GRANT SELECT ON people TO {executor}"]
                world.su(f"REVOKE SELECT ON people FROM {executor}")
                session.refused("SELECT count(*) FROM people")
            elif what == "execute":
                session.rows(query("SELECT 1 AS a"))
                # EXECUTE on any of them is the right to queries.
                undo = [f"GRANT EXECUTE ON FUNCTION {FUNCTIONS['query']} TO {executor}"]
                world.su(f"REVOKE EXECUTE ON FUNCTION {FUNCTIONS['query']} FROM {executor}")
                session.refused(query("SELECT 1 AS a"))
            elif what == "usage on a lake":
                name = world.orders.name
                assert session.rows(query(f"SELECT count(*) AS n FROM {name}.main.orders"))
                undo = [f"GRANT USAGE ON FOREIGN SERVER {name} TO {executor}"]
                world.su(f"REVOKE USAGE ON FOREIGN SERVER {name} FROM {executor}")
                session.refused(query(f"SELECT count(*) AS n FROM {name}.main.orders"), "42501", "42P01")
            else:
                maker = world.role("maker")
                lake = world.orders
                world.su(f"GRANT USAGE ON FOREIGN SERVER store TO {maker}; GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {maker}")
                undo = ["DROP SERVER IF EXISTS makers_lake CASCADE", f"REVOKE EXECUTE ON FUNCTION duckdb.query(duckdb.sql) FROM {maker}", f"REVOKE USAGE ON FOREIGN SERVER store FROM {maker}"]
                with world.new_session("maker") as owner:
                    owner.rows(
                        f"CREATE SERVER makers_lake TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS (host '127.0.0.1', port '{world.sandbox.port}', "
                        f"dbname '{world.catalogs}', metadata_schema '{lake.schema}', data_path '{lake.data_path}', storage 'store')"
                    )
                    owner.rows(f"CREATE USER MAPPING FOR CURRENT_USER SERVER makers_lake OPTIONS (user '{world.holder}', password '{world.password}')")
                    count = query("SELECT count(*) AS n FROM makers_lake.main.orders")
                    assert owner.rows(count)
                    world.su(f"REVOKE USAGE ON FOREIGN SERVER store FROM {maker}")
                    owner.refused(count, "42501", "42P01")
                    with world.new_session("maker") as again:
                        again.refused(query("SELECT id FROM makers_lake.main.orders"), "42501", "42P01")
        finally:
            for statement in undo:
                world.su(statement)


def test_a_server_whose_name_differs_in_case_stops_nobody(world):
    maker = world.session("maker")
    names = ("OPEN", "Open", "FOLDER", world.orders.name.upper())
    made = []
    try:
        for name in names:
            outcome = maker.run(
                f"CREATE SERVER {identifier(name)} TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://nowhere-{name.lower()}/', endpoint '{world.listener.address}', use_ssl 'false')"
            )
            if outcome.error is None:
                made.append(name)
                maker.rows(f"CREATE USER MAPPING FOR PUBLIC SERVER {identifier(name)} OPTIONS (key_id 'a', secret 'b')")
                maker.rows(f"GRANT USAGE ON FOREIGN SERVER {identifier(name)} TO PUBLIC")
            else:
                assert outcome.state in ("42710", "HV024", "42501"), outcome
        for role in ("querier", "executor", "postgres"):
            with world.new_session(role) as session:
                assert len(session.rows(query(f"FROM '{world.base}open/people.parquet'"))) == 20
                assert session.rows("SELECT count(*) FROM people") == [(20,)]
        with world.new_session("reader") as session:
            assert session.rows("SELECT count(*) FROM people") == [(20,)]
    finally:
        for name in made:
            world.su(f"DROP SERVER {identifier(name)} CASCADE")
