"""Each query runs with exactly its role's rights and secrets, whatever leads to it, and a change of
rights counts from the next statement on. Which key signed a request is read off the requests."""

import contextlib

import psycopg
import pytest
from psycopg import sql

from conftest import Key, create_server, map_user
from support import Proxy, failure, sqlstate_of, words

LAKE = "FROM 's3://lake/access/a.parquet'"
VAULT = "FROM 's3://vault/access/v.parquet'"
QUERY_FUNCTIONS = (
    "duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, \"any\"), duckdb.query_rows(text), duckdb.query_rows(text, \"any\"), "
    "duckdb.query_by_name(text), duckdb.query_by_name(text, \"any\")"
)


def select(text):
    return "SELECT * FROM duckdb.query(%s)" % quoted(text)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def name_of(identifier):
    return '"' + identifier.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def store(sandbox, lake_writer):
    """The object store behind a proxy that sees who signs the requests."""
    lake_writer.execute("COPY (SELECT 'lake' AS b, i FROM range(3) t(i)) TO 's3://lake/access/a.parquet'")
    lake_writer.execute("COPY (SELECT 'other' AS b) TO 's3://lake/other/o.parquet'")
    lake_writer.execute("COPY (SELECT 'vault' AS b) TO 's3://vault/access/v.parquet'")
    proxy = Proxy(sandbox.s3_endpoint)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def lake_servers(su, sandbox, store):
    create_server(su, sandbox, "lake", "s3://lake/access/", endpoint=store.address)
    create_server(su, sandbox, "vault", "s3://vault/access/", endpoint=store.address)
    map_user(su, "postgres", "lake", sandbox.all)
    map_user(su, "postgres", "vault", sandbox.all)


@pytest.fixture
def analyst(role, su):
    """analyst(server=key, …): a role that may query and has these mappings."""

    def make(functions=QUERY_FUNCTIONS, **mappings):
        name = role()
        if functions:
            su.execute(f"GRANT EXECUTE ON FUNCTION {functions} TO {name_of(name)}")
        for server, key in mappings.items():
            map_user(su, name, server, key)
        return name

    return make


@contextlib.contextmanager
def signed_by(store, *keys):
    """Within, requests are signed by all of these keys and by no other."""
    store.forget()
    yield
    assert set(store.keys) == {key.key_id for key in keys}


@pytest.fixture(autouse=True)
def all_there(lake_servers):
    pass


# ---- what a role lacks


def test_without_execute(role, connect):
    conn = connect(role())
    for call, function in (
        (select("SELECT 1 AS a"), "query"),
        ("SELECT * FROM duckdb.query('SELECT $1::INTEGER AS a', 1)", "query"),
        ("SELECT * FROM duckdb.query_rows('SELECT 1') AS t(a int)", "query"),
        ("SELECT * FROM duckdb.query_by_name('SELECT 1 AS a') AS t(a int)", "query"),
        ("SELECT * FROM duckdb.read_parquet('s3://lake/access/a.parquet')", "read_parquet"),
        ("SELECT * FROM duckdb.read_csv('/etc/passwd')", "read_csv"),
        ("SELECT * FROM duckdb.read_text('/etc/passwd')", "read_text"),
        ("SELECT duckdb.execute('CREATE TABLE t AS SELECT 1 AS a')", "execute"),
        ("SELECT * FROM duckdb.describe('SELECT 1')", "describe"),
        ("SELECT * FROM duckdb.settings()", "settings"),
        ("SELECT * FROM duckdb.extensions()", "extensions"),
    ):
        error = failure(conn, call)
        assert error.sqlstate == "42501", call
        assert f"permission denied for function" in str(error) and function in str(error), call
    assert conn.execute("SELECT duckdb.version()").fetchone() == ("v1.5.5",)


def test_without_usage_on_the_server(analyst, connect, su, sandbox):
    name = analyst(lake=sandbox.lake_reader)
    su.execute(f"REVOKE USAGE ON FOREIGN SERVER lake FROM {name_of(name)}")
    error = failure(connect(name), select(LAKE))
    assert error.sqlstate == "42501"
    assert 'permission denied for foreign server lake' in words(error)


def test_without_a_mapping(analyst, connect, su):
    name = analyst()
    su.execute(f"GRANT USAGE ON FOREIGN SERVER lake TO {name_of(name)}")
    error = failure(connect(name), select(LAKE))
    assert error.sqlstate in ("42704", "42501")
    assert "user mapping" in words(error) and "lake" in words(error)


def test_without_any_server(analyst, connect):
    conn = connect(analyst())
    error = failure(conn, select("FROM 's3://elsewhere/a.parquet'"))
    assert error.sqlstate == "42501"
    assert "s3://elsewhere/a.parquet" in words(error)
    assert conn.execute(select("SELECT 1 AS a")).fetchall() == [(1,)]


# ---- whose secrets


def test_set_role_uses_each_roles_own_secrets(analyst, connect, store, sandbox):
    lake, vault = analyst(lake=sandbox.lake_reader), analyst(vault=sandbox.vault_reader)
    conn = connect()
    for _ in range(3):
        conn.execute(f"SET ROLE {name_of(lake)}")
        with signed_by(store, sandbox.lake_reader):
            assert conn.execute(select(LAKE + " WHERE i = 0")).fetchall() == [("lake", 0)]
        assert sqlstate_of(conn, select(VAULT)) == "42501"
        conn.execute(f"SET ROLE {name_of(vault)}")
        with signed_by(store, sandbox.vault_reader):
            assert conn.execute(select(VAULT)).fetchall() == [("vault",)]
        assert sqlstate_of(conn, select(LAKE)) == "42501"
        conn.execute("RESET ROLE")
        with signed_by(store, sandbox.all):
            assert conn.execute(select(VAULT)).fetchall() == [("vault",)]
            assert conn.execute(select("SELECT count(*) AS n " + LAKE)).fetchall() == [(3,)]
        conn.execute("SELECT duckdb.recycle()")


def test_many_roles_in_one_session_keep_apart(analyst, connect, store, sandbox):
    lakes = [analyst(lake=sandbox.lake_reader) for _ in range(4)]
    vaults = [analyst(vault=sandbox.vault_reader) for _ in range(4)]
    conn = connect()
    for _ in range(2):
        for lake, vault in zip(lakes, vaults):
            conn.execute(f"SET ROLE {name_of(lake)}")
            with signed_by(store, sandbox.lake_reader):
                conn.execute(select(LAKE))
            conn.execute(f"SET SESSION AUTHORIZATION {name_of(vault)}")
            with signed_by(store, sandbox.vault_reader):
                conn.execute(select(VAULT))
            assert sqlstate_of(conn, select(LAKE)) == "42501"
            conn.execute("RESET SESSION AUTHORIZATION")


def test_sessions_with_several_instances_end_in_peace(analyst, connect, sandbox):
    """The instances' ends must not meet the process's; the crash would be in the server's log."""
    roles = [analyst(lake=sandbox.lake_reader), analyst(vault=sandbox.vault_reader), analyst()]
    for _ in range(15):
        with connect() as conn:
            for name in roles:
                conn.execute(f"SET ROLE {name_of(name)}")
                sqlstate_of(conn, select(LAKE))
                sqlstate_of(conn, select(VAULT))
            conn.execute("RESET ROLE")
            assert len(conn.execute(select(LAKE)).fetchall()) == 3


def test_a_rolled_back_set_role_leaves_nothing_behind(analyst, connect, store, sandbox):
    vault = analyst(vault=sandbox.vault_reader)
    lake = analyst(lake=sandbox.lake_reader)
    conn = connect(autocommit=False)
    conn.execute(f"SET SESSION AUTHORIZATION {name_of(lake)}")
    conn.commit()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"SET ROLE {name_of(vault)}")
    conn.rollback()
    with signed_by(store, sandbox.lake_reader):
        conn.execute(select(LAKE))
    conn.rollback()
    conn.execute("RESET SESSION AUTHORIZATION")
    conn.commit()
    conn.execute(f"SET LOCAL ROLE {name_of(vault)}")
    with signed_by(store, sandbox.vault_reader):
        conn.execute(select(VAULT))
    conn.rollback()
    with signed_by(store, sandbox.all):
        conn.execute(select(VAULT))


@pytest.mark.parametrize("language", ["sql", "plpgsql"])
def test_a_security_definer_function_uses_its_owners_secrets(analyst, connect, su, store, sandbox, language):
    owner, caller = analyst(vault=sandbox.vault_reader), analyst(lake=sandbox.lake_reader)
    body = f"SELECT b FROM duckdb.query({quoted(VAULT)})"
    if language == "plpgsql":
        body = f"BEGIN RETURN ({body}); END"
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    owners = connect(owner)
    owners.execute(f"CREATE OR REPLACE FUNCTION public.definer_{language}() RETURNS text LANGUAGE {language} SECURITY DEFINER AS $f${body}$f$")
    conn = connect(caller)
    for _ in range(2):
        with signed_by(store, sandbox.vault_reader):
            assert conn.execute(f"SELECT public.definer_{language}()").fetchone() == ("vault",)
        # Nothing of the owner stays behind.
        assert sqlstate_of(conn, select(VAULT)) == "42501"
        with signed_by(store, sandbox.lake_reader):
            conn.execute(select(LAKE))
        conn.execute("SELECT duckdb.recycle()")
        owners.execute("SELECT duckdb.recycle()")
    owners.execute(f"DROP FUNCTION public.definer_{language}()")


def test_an_error_in_a_security_definer_function_leaves_the_caller_its_own(analyst, connect, su, store, sandbox):
    owner, caller = analyst(vault=sandbox.vault_reader), analyst(lake=sandbox.lake_reader)
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    connect(owner).execute(
        "CREATE FUNCTION public.failing() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS "
        f"$f$ BEGIN PERFORM * FROM duckdb.query({quoted(VAULT)}); PERFORM * FROM duckdb.query($$FROM 's3://vault/access/nosuch.parquet'$$); END $f$"
    )
    conn = connect(caller)
    assert sqlstate_of(conn, "SELECT public.failing()") == "58P01"
    assert sqlstate_of(conn, select(VAULT)) == "42501"
    with signed_by(store, sandbox.lake_reader):
        conn.execute(select(LAKE))


def test_a_view_uses_its_readers_secrets_like_any_function_in_a_view(analyst, connect, su, store, sandbox):
    owner = analyst(lake=sandbox.all, vault=sandbox.vault_reader)
    reader = analyst(lake=sandbox.lake_reader)
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    owners = connect(owner)
    for name, text in (("lake_view", LAKE), ("vault_view", VAULT)):
        owners.execute(f"CREATE VIEW public.{name} AS {select(text)}")
        owners.execute(f"GRANT SELECT ON public.{name} TO {name_of(reader)}")
    conn = connect(reader)
    with signed_by(store, sandbox.lake_reader):
        assert conn.execute("SELECT count(*) FROM lake_view").fetchone() == (3,)
    store.forget()
    assert sqlstate_of(conn, "SELECT * FROM vault_view") == "42501"
    assert store.keys == []
    without = analyst(functions=None, lake=sandbox.lake_reader)
    owners.execute(f"GRANT SELECT ON public.lake_view TO {name_of(without)}")
    assert sqlstate_of(connect(without), "SELECT * FROM lake_view") == "42501"
    owners.execute("DROP VIEW public.lake_view, public.vault_view")


def test_a_materialized_view_needs_no_secret_to_read(analyst, connect, su, store, sandbox):
    owner, reader = analyst(lake=sandbox.lake_reader), analyst(functions=None)
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    owners = connect(owner)
    owners.execute(f"CREATE MATERIALIZED VIEW public.lake_copy AS {select(LAKE)}")
    owners.execute(f"GRANT SELECT ON public.lake_copy TO {name_of(reader)}")
    with signed_by(store):
        assert connect(reader).execute("SELECT count(*) FROM lake_copy").fetchone() == (3,)
    # A refresh runs as the owner, whoever asks for it.
    with signed_by(store, sandbox.lake_reader):
        su.execute("REFRESH MATERIALIZED VIEW public.lake_copy")
    owners.execute("DROP MATERIALIZED VIEW public.lake_copy")


def test_a_prepared_plan_of_another_role_runs_with_the_current_roles_secrets(analyst, connect, store, sandbox):
    lake, other, vault = analyst(lake=sandbox.lake_reader), analyst(lake=sandbox.all), analyst(vault=sandbox.vault_reader)
    conn = connect()
    conn.execute(f"SET ROLE {name_of(lake)}")
    conn.execute("PREPARE p AS " + select(LAKE))
    for _ in range(7):
        conn.execute("EXECUTE p")
    conn.execute(f"SET ROLE {name_of(other)}")
    with signed_by(store, sandbox.all):
        assert len(conn.execute("EXECUTE p").fetchall()) == 3
    conn.execute(f"SET ROLE {name_of(vault)}")
    with signed_by(store):
        assert sqlstate_of(conn, "EXECUTE p") == "42501"


def test_a_cursor_belongs_to_the_role_that_opened_it(analyst, connect, store, sandbox):
    lake, vault = analyst(lake=sandbox.lake_reader), analyst(vault=sandbox.vault_reader)
    conn = connect(autocommit=False)
    conn.execute(f"SET LOCAL ROLE {name_of(lake)}")
    with signed_by(store, sandbox.lake_reader):
        conn.execute("DECLARE c CURSOR FOR SELECT * FROM duckdb.query_rows(%s) AS t(b text, i bigint)" % quoted(LAKE))
        conn.execute(f"SET LOCAL ROLE {name_of(vault)}")
        assert conn.execute("FETCH ALL FROM c").rowcount == 3


def test_a_definer_that_fetches_from_the_callers_cursor_lends_it_no_rights(analyst, connect, su, store, sandbox):
    """The caller's SQL must not run with the rights of whoever fetches."""
    owner, caller = analyst(vault=sandbox.vault_reader), analyst(lake=sandbox.lake_reader)
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    connect(owner).execute(
        "CREATE FUNCTION public.fetch_one(c refcursor) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS "
        "$f$ DECLARE r record; BEGIN FETCH c INTO r; RETURN r.b; END $f$"
    )
    conn = connect(caller, autocommit=False)
    with signed_by(store):
        conn.execute("DECLARE c CURSOR FOR SELECT * FROM duckdb.query_rows(%s) AS t(b text)" % quoted(VAULT))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT public.fetch_one('c')")


def test_own_mapping_beats_publics(analyst, connect, su, store, sandbox):
    create_server(su, sandbox, "common", "s3://lake/other/", endpoint=store.address)
    map_user(su, "PUBLIC", "common", sandbox.lake_reader)
    common = "FROM 's3://lake/other/o.parquet'"
    with signed_by(store, sandbox.lake_reader):
        assert connect(analyst()).execute(select(common)).fetchall() == [("other",)]
    with signed_by(store, sandbox.all):
        assert connect(analyst(common=sandbox.all)).execute(select(common)).fetchall() == [("other",)]
    su.execute("DROP SERVER common CASCADE")


def test_usage_through_a_group_and_no_mapping_through_it(analyst, role, connect, su, store, sandbox):
    group = analyst(lake=sandbox.lake_reader)
    member = role(f"IN ROLE {name_of(group)}")
    conn = connect(member)
    # EXECUTE and USAGE are inherited; a user mapping is a role's own.
    assert conn.execute(select("SELECT 1 AS a")).fetchall() == [(1,)]
    assert sqlstate_of(conn, select(LAKE)) in ("42501", "42704")
    map_user(su, member, "lake", sandbox.all)
    su.execute(f"REVOKE USAGE ON FOREIGN SERVER lake FROM {name_of(member)}")
    with signed_by(store, sandbox.all):
        conn.execute(select(LAKE))
    su.execute(f"REVOKE {name_of(group)} FROM {name_of(member)}")
    assert sqlstate_of(conn, select(LAKE)) == "42501"


# ---- changes of rights in an open session


CHANGES = {
    "REVOKE USAGE": "REVOKE USAGE ON FOREIGN SERVER lake FROM {role}",
    "DROP USER MAPPING": "DROP USER MAPPING FOR {role} SERVER lake",
    "REVOKE EXECUTE": f"REVOKE EXECUTE ON FUNCTION {QUERY_FUNCTIONS} FROM {{role}}",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("through", ["a statement", "a prepared statement", "a view", "a transaction", "a prepared statement in a transaction"])
def test_a_revoke_takes_effect_at_the_next_statement(change, through, analyst, connect, su, store, sandbox):
    name = analyst(lake=sandbox.lake_reader)
    conn = connect(name)
    statement = select(LAKE)
    if through.startswith("a prepared statement"):
        conn.execute("PREPARE p AS " + statement)
        statement = "EXECUTE p"
    elif through == "a view":
        conn.execute("CREATE TEMP VIEW v AS " + statement)
        statement = "SELECT * FROM v"
    if through.endswith("a transaction"):
        conn.execute("BEGIN")
    assert len(conn.execute(statement).fetchall()) == 3
    su.execute(CHANGES[change].format(role=name_of(name)))
    with signed_by(store):
        assert sqlstate_of(conn, statement) in ("42501", "42704")
    conn.rollback()
    with signed_by(store):
        assert sqlstate_of(conn, statement) in ("42501", "42704")


def test_a_new_key_counts_from_the_next_statement(analyst, connect, su, store, sandbox):
    name = analyst(lake=sandbox.lake_reader)
    conn = connect(name)
    with signed_by(store, sandbox.lake_reader):
        conn.execute(select(LAKE))
    su.execute(
        sql.SQL("ALTER USER MAPPING FOR {} SERVER lake OPTIONS (SET key_id {}, SET secret {})").format(
            sql.Identifier(name), sql.Literal(sandbox.all.key_id), sql.Literal(sandbox.all.secret)
        )
    )
    with signed_by(store, sandbox.all):
        conn.execute(select(LAKE))


def test_alter_server_counts_from_the_next_statement(analyst, connect, su, store, sandbox):
    create_server(su, sandbox, "moving", "s3://lake/access/", endpoint=store.address)
    name = analyst(moving=sandbox.lake_reader)
    conn = connect(name)
    assert len(conn.execute(select(LAKE)).fetchall()) == 3
    su.execute("ALTER SERVER moving OPTIONS (SET location 's3://lake/other/')")
    assert sqlstate_of(conn, select(LAKE)) == "42501"
    assert conn.execute(select("FROM 's3://lake/other/o.parquet'")).fetchall() == [("other",)]
    second = Proxy(sandbox.s3_endpoint)
    su.execute(f"ALTER SERVER moving OPTIONS (SET endpoint '{second.address}')")
    with signed_by(store):
        conn.execute(select("FROM 's3://lake/other/o.parquet'"))
    assert set(second.keys) == {sandbox.lake_reader.key_id}
    second.close()
    su.execute("DROP SERVER moving CASCADE")
    assert sqlstate_of(conn, select("FROM 's3://lake/other/o.parquet'")) == "42501"


def test_a_grant_counts_from_the_next_statement(analyst, connect, su, sandbox):
    name = analyst()
    conn = connect(name)
    assert sqlstate_of(conn, select(LAKE)) == "42501"
    map_user(su, name, "lake", sandbox.lake_reader)
    assert len(conn.execute(select(LAKE)).fetchall()) == 3


def test_a_superuser_that_is_none_any_more_is_locked_in_at_the_next_statement(role, connect, su, sandbox):
    name = role("SUPERUSER")
    conn = connect(name)
    assert conn.execute("SELECT count(*) > 0 FROM duckdb.read_text('/etc/passwd')").fetchone() == (True,)
    su.execute(f"GRANT EXECUTE ON FUNCTION {QUERY_FUNCTIONS} TO {name_of(name)}")
    su.execute(f"ALTER ROLE {name_of(name)} NOSUPERUSER")
    assert sqlstate_of(conn, select("FROM read_text('/etc/passwd')")) == "42501"


# ---- roles that may call one reader only


def test_a_readers_role_reads_its_files_and_runs_nothing_else(analyst, connect, su, store, sandbox):
    name = analyst(functions="duckdb.read_parquet", lake=sandbox.lake_reader)
    owner = analyst(lake=sandbox.lake_reader)
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    owners = connect(owner)
    owners.execute(f"CREATE VIEW public.any_sql AS {select('SELECT b, i + 1 AS j ' + LAKE)}")
    owners.execute("CREATE VIEW public.plain AS SELECT * FROM duckdb.read_parquet('s3://lake/access/a.parquet')")
    owners.execute(f"GRANT SELECT ON public.any_sql, public.plain TO {name_of(name)}")
    conn = connect(name)
    read = "SELECT count(*), sum(i) FROM duckdb.read_parquet('s3://lake/access/a.parquet')"
    assert conn.execute(read).fetchone() == (3, 3)
    assert conn.execute(read + " WHERE i > 0").fetchone() == (2, 3)
    assert conn.execute("SELECT count(*) FROM public.plain").fetchone() == (3,)
    # Projection, order, limit, aggregates and joins are PostgreSQL's own.
    assert conn.execute("SELECT i FROM duckdb.read_parquet('s3://lake/access/*.parquet', filename => true) ORDER BY i DESC LIMIT 1").fetchone() == (2,)
    for statement in (
        select("SELECT 1 AS a"),
        select(LAKE),
        select("FROM read_parquet('s3://lake/access/a.parquet')"),
        "SELECT * FROM public.any_sql",
        "SELECT * FROM duckdb.query_rows('SELECT 1') AS t(a int)",
        "SELECT * FROM duckdb.query_by_name('SELECT 1 AS a') AS t(a int)",
        "SELECT * FROM duckdb.query_by_name($$SELECT * FROM read_parquet('s3://lake/access/a.parquet') WHERE i = 1$$) AS t(i bigint)",
        "SELECT * FROM duckdb.query_by_name($$SELECT * FROM read_csv('s3://lake/access/a.parquet')$$) AS t(i bigint)",
        "SELECT * FROM duckdb.query_by_name($$SELECT * FROM read_parquet('s3://lake/access/a.parquet'), range(3)$$) AS t(i bigint)",
        "SELECT * FROM ROWS FROM (duckdb.query_rows('SELECT 1') AS (a int)) WITH ORDINALITY",
        "SELECT duckdb.query_rows('SELECT 1')",
        "PREPARE q AS SELECT * FROM duckdb.query_rows($1) AS t(a int)",
        "SELECT * FROM duckdb.read_csv('s3://lake/access/a.parquet')",
        "SELECT * FROM duckdb.read_text('s3://lake/access/a.parquet')",
        "SELECT * FROM duckdb.read_parquet('s3://lake/other/o.parquet')",
        "SELECT * FROM duckdb.read_parquet('/etc/passwd')",
        "SELECT * FROM duckdb.describe('SELECT 1')",
        "SELECT duckdb.execute('CREATE TABLE t AS SELECT 1 AS a')",
    ):
        if statement.startswith("PREPARE"):
            conn.execute(statement)
            statement = "EXECUTE q('SELECT 1')"
        store.forget()
        assert sqlstate_of(conn, statement) == "42501", statement
        assert store.keys == [], statement
    owners.execute("DROP VIEW public.any_sql, public.plain")


@pytest.mark.parametrize("functions", ["duckdb.read_parquet", "duckdb.query(duckdb.sql)"])
def test_with_ordinality_needs_no_further_right(functions, analyst, connect, sandbox):
    conn = connect(analyst(functions=functions, lake=sandbox.lake_reader))
    call = "duckdb.read_parquet('s3://lake/access/a.parquet')" if "read" in functions else f"duckdb.query({quoted(LAKE)})"
    assert conn.execute(f"SELECT i, n FROM {call} WITH ORDINALITY AS t(b, i, n) ORDER BY n").fetchall() == [(0, 1), (1, 2), (2, 3)]


def test_odd_reader_paths_stay_paths(analyst, connect, store, sandbox):
    conn = connect(analyst(functions="duckdb.read_parquet, duckdb.read_csv", lake=sandbox.lake_reader))
    for path in (
        "s3://lake/access/a.parquet') UNION ALL SELECT * FROM read_text('/etc/passwd",
        "s3://lake/access/a.parquet'), read_text('/etc/passwd",
        "s3://lake/access/\\'; SELECT 1; --",
        "{s3://lake/access/a.parquet,/etc/passwd}",
        "{/etc/passwd}",
        "s3://lake/access/x\"y$$z.parquet",
    ):
        error = failure(conn, sql.SQL("SELECT * FROM duckdb.read_parquet({})").format(sql.Literal(path)))
        assert error.sqlstate in ("42501", "58P01"), (path, words(error))
        assert "root:" not in words(error)


# ---- odd names


def test_odd_names_harm_nobody(role, connect, su, store, sandbox, cluster):
    odd = "we\"ird'; DROP TABLE t; $$ \\ é"
    create_server(su, sandbox, odd, "s3://lake/access/", endpoint=store.address)
    plain = role()
    name = plain + "\"; '$$"
    cluster.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(plain), sql.Identifier(name)))
    try:
        su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql), duckdb.execute(text) TO {}").format(sql.Identifier(name)))
        map_user(su, name, odd, sandbox.lake_reader)
        conn = connect(name)
        with signed_by(store, sandbox.lake_reader):
            assert len(conn.execute(select(LAKE)).fetchall()) == 3
        columns = ["a\"b", "c'd", "e;f", "$$", "SELECT", "é", "\\x", "x y"]
        listed = ", ".join(f"{number} AS {name_of(column)}" for number, column in enumerate(columns))
        cursor = conn.execute(select("SELECT " + listed))
        assert [column.name for column in cursor.description] == columns
        assert cursor.fetchall() == [tuple(range(len(columns)))]
        # Pushed-down conditions name the columns again.
        for number, column in enumerate(columns):
            found = conn.execute(sql.SQL("SELECT {0} FROM (" + select("SELECT " + listed) + ") q WHERE {0} = {1}").format(sql.Identifier(column), number))
            assert found.fetchall() == [(number,)]
        # A wrong key names the server, quoted, and nothing else happens.
        su.execute(sql.SQL("ALTER SERVER {} OPTIONS (SET region 'no-such-region')").format(sql.Identifier(odd)))
        assert sqlstate_of(conn, select(LAKE)) is not None
    finally:
        su.execute(sql.SQL("DROP SERVER {} CASCADE").format(sql.Identifier(odd)))
        cluster.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(plain)))


def test_odd_secrets_reach_the_store_unharmed(analyst, connect, su, store, sandbox):
    create_server(su, sandbox, "odd_keys", "s3://lake/other/", endpoint=store.address)
    for secret in ("a'b", "a;b", "$$", "a\\b", "a b", "x'); DROP SECRET \"server lake\"; --", "é" * 10):
        name = analyst(odd_keys=Key("GKodd'key", secret))
        error = failure(connect(name), select("FROM 's3://lake/other/o.parquet'"))
        # The store refuses it; DuckDB has understood the statement.
        assert error.sqlstate in ("28P01", "42501"), words(error)
        assert secret not in words(error) or len(secret) < 4, words(error)
    su.execute("DROP SERVER odd_keys CASCADE")


# ---- who may make what


@pytest.fixture
def owner(role, su, connect, database):
    """A connection of an ordinary role that may create servers."""
    name = role()
    su.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {name_of(name)}")
    return connect(name)


def test_file_servers_need_the_role_that_reads_server_files(owner, su, cluster):
    create = "CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '/tmp/'{})"
    assert sqlstate_of(owner, create.format("")) == "42501"
    cluster.execute(f"GRANT pg_read_server_files TO {name_of(owner.info.user)}")
    assert sqlstate_of(owner, create.format(", writable 'true'")) == "42501"
    owner.execute(create.format(""))
    assert sqlstate_of(owner, "ALTER SERVER files OPTIONS (ADD writable 'true')") == "42501"
    cluster.execute(f"GRANT pg_write_server_files TO {name_of(owner.info.user)}")
    owner.execute("ALTER SERVER files OPTIONS (ADD writable 'true')")
    cluster.execute(f"REVOKE pg_write_server_files, pg_read_server_files FROM {name_of(owner.info.user)}")
    assert sqlstate_of(owner, "ALTER SERVER files OPTIONS (SET location '/etc/')") == "42501"
    owner.execute("DROP SERVER files")


def test_what_uses_the_operating_systems_user_needs_a_superuser(owner):
    create = "CREATE SERVER chained TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/'{})"
    for options in (
        ", provider 'credential_chain'",
        ", provider 'credential_chain', chain 'env'",
        ", provider 'credential_chain', profile 'default'",
        ", provider 'credential_chain', assume_role_arn 'arn:aws:iam::1:role/x'",
        ", ca_cert_file '/etc/passwd'",
    ):
        error = failure(owner, create.format(options))
        assert error.sqlstate == "42501", options
        assert "only a superuser may set option" in str(error)
    owner.execute(create.format(""))
    assert sqlstate_of(owner, "ALTER SERVER chained OPTIONS (ADD provider 'credential_chain')") == "42501"
    owner.execute("ALTER SERVER chained OPTIONS (ADD provider 'config')")
    owner.execute("DROP SERVER chained")


def test_options_in_the_wrong_place_are_refused_with_the_valid_ones(owner):
    create = "CREATE SERVER wrong TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS ({})"
    error = failure(owner, create.format("location 's3://x/', secret 'hunter2'"))
    assert (error.sqlstate, "user mapping" in str(error), "hunter2" in words(error)) == ("HV00D", True, False)
    error = failure(owner, create.format("location 's3://x/', nosuch 'x'"))
    assert error.sqlstate == "HV00D" and "endpoint" in error.diag.message_hint
    error = failure(owner, create.format("region 'x'"))
    assert error.sqlstate == "HV00J"
    for options in ("location 'http://x/'", "location 's3://x/../y/'", "location 's3://x/', use_ssl 'maybe'", "location 's3://x/', endpoint 'http://x'"):
        assert sqlstate_of(owner, create.format(options)) == "HV024", options
    assert sqlstate_of(owner, "CREATE SERVER wrong TYPE 'ftp' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/')") == "HV024"
    assert sqlstate_of(owner, "CREATE SERVER wrong FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/')") == "HV024"
