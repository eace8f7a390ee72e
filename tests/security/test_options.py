"""Options of servers, mappings and tables by somebody who may use the wrapper: no value is a part of a
statement, none opens a file or asks a host that its owner may not, and nothing of it runs as a superuser."""

import itertools
import random

import pytest

from e2e_conftest import create_server
from texts import CONTROLS, PLACEHOLDERS, shown, standard
from worlds import execute, identifier, literal, query

ODD = [
    "'", '"', "''; ATTACH '/tmp/x' AS x; --", "x'; COPY (SELECT 1) TO '{secret}/out.csv'; --", 'x"; SELECT 1; --', "{DATA_PATH}", "{METADATA_CATALOG}", "a b", "a;b", "x/*", "--", "\\", "$$", "$1",
    "x\ny", "x\x01", "\x03", "\x7f", "host=127.0.0.1 user=postgres", "x' host='127.0.0.1", "é", "\u2019", "a" * 5000, " ", "%00", "${HOME}", "`id`", "(SELECT 1)", "{{x}}", "{", "}", "{COMMIT_MESSAGE}", "#", "?", "&a=b",
]  # fmt: skip
STATES = ("HV024", "HV00D", "HV00J", "42501", "22023", "42602", "22P02", "42601", "HV00B", "42704")


def options(**values):
    return ", ".join(f"{name} {literal(value)}" for name, value in values.items())


SERVER_OPTIONS = {
    "s3": ["location", "endpoint", "region", "url_style", "use_ssl", "verify_ssl", "ca_cert_file", "kms_key_id", "requester_pays", "http_proxy", "provider", "chain", "profile", "assume_role_arn", "external_id", "writable"],
    "r2": ["account_id"], "http": ["location", "http_proxy", "ca_cert_file"], "file": ["location"],
    "ducklake": ["data_path", "storage", "catalog", "host", "port", "dbname", "sslmode", "sslrootcert", "connect_timeout", "lock_timeout", "path", "metadata_schema", "read_only", "encrypted", "data_inlining_row_limit", "create_if_not_exists"],
}  # fmt: skip
BASE = {
    "s3": {"location": "s3://makers/x/", "endpoint": "127.0.0.1:9", "use_ssl": "false"}, "r2": {"location": "r2://makers/x/"}, "http": {"location": "http://127.0.0.1:9/"}, "file": {"location": "/nowhere/"},
    "ducklake": {"data_path": "s3://makers/x/lake/", "host": "127.0.0.1", "port": "9", "dbname": "x"},
}  # fmt: skip
PAIRS = [(kind, option) for kind, names in SERVER_OPTIONS.items() for option in names]


@pytest.mark.parametrize("kind,option", PAIRS)
def test_odd_values_of_server_options(world, kind, option):
    """Refused, or kept as they are: then a query over the server neither breaks nor obeys."""
    maker = world.session("maker")
    maker.rows("SELECT 1")
    world.su(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {world.role('maker')}")
    try:
        for value in random.Random(f"{kind} {option}").sample(ODD, 14):
            value = world.filled(value)
            made = maker.run(f"CREATE SERVER odd TYPE '{kind}' FOREIGN DATA WRAPPER duckdb OPTIONS ({options(**{**BASE[kind], option: value})})")
            if made.error is not None:
                assert made.state in STATES, made
                continue
            try:
                keys = "user 'a', password 'b'" if kind == "ducklake" else "" if kind in ("http", "file") else "key_id 'a', secret 'b'"
                maker.rows(f"CREATE USER MAPPING FOR CURRENT_USER SERVER odd {f'OPTIONS ({keys})' if keys else ''}")
                text = "FROM odd.main.t" if kind == "ducklake" else "SELECT 1 AS a"
                outcome = maker.run(query(text))
                assert not outcome.lost and outcome.state not in ("XX000", "42601", "42000"), (value, outcome)
                assert outcome.rows in (None, [(1,)])
            finally:
                maker.rows("DROP SERVER odd CASCADE")
    finally:
        world.su(f"REVOKE EXECUTE ON FUNCTION duckdb.query(duckdb.sql) FROM {world.role('maker')}")


@pytest.mark.parametrize("kind,option", [("s3", "key_id"), ("s3", "secret"), ("s3", "session_token"), ("s3", "extra_http_headers"), ("gcs", "bearer_token"), ("http", "username"), ("http", "password"), ("ducklake", "user"), ("ducklake", "password"), ("s3", "http_proxy_username")])
def test_odd_values_of_mappings_stay_values_and_secret(world, kind, option):
    maker = world.session("maker")
    world.su(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {world.role('maker')}")
    base = dict(BASE.get(kind, {"location": "gcs://makers/x/"}))
    try:
        maker.rows(f"CREATE SERVER odd TYPE '{kind}' FOREIGN DATA WRAPPER duckdb OPTIONS ({options(**base)})")
        for number, value in enumerate(random.Random(f"{kind} {option}").sample(ODD, 24)):
            value = world.filled(value) + f"secretvalue{number}"
            if option == "extra_http_headers":
                value = '{"X": ' + literal(value).replace("'", '"') + "}"
            pair = {"key_id": "a", "secret": "b"} if kind == "s3" else {"user": "a", "password": "b"} if kind == "ducklake" else {"username": "a", "password": "b"} if kind == "http" else {}
            made = maker.run(f"CREATE USER MAPPING FOR CURRENT_USER SERVER odd OPTIONS ({options(**{**pair, option: value})})")
            if made.error is not None:
                assert made.state in STATES, made
                continue
            text = "FROM odd.main.t" if kind == "ducklake" else "SELECT 1 AS a"
            outcome = maker.run(query(text))
            assert not outcome.lost and outcome.state not in ("XX000", "42601", "42000"), (value, outcome)
            # The user's name may stand in the catalog's answer.
            assert option in ("user", "key_id", "username") or f"secretvalue{number}" not in outcome.told, outcome
            maker.rows("DROP USER MAPPING FOR CURRENT_USER SERVER odd")
    finally:
        maker.run("DROP SERVER IF EXISTS odd CASCADE")
        world.su(f"REVOKE EXECUTE ON FUNCTION duckdb.query(duckdb.sql) FROM {world.role('maker')}")


FORBIDDEN = [
    ("s3", {"provider": "credential_chain"}), ("s3", {"ca_cert_file": "/etc/passwd"}), ("s3", {"profile": "x"}), ("s3", {"chain": "env"}), ("s3", {"assume_role_arn": "x"}), ("file", {"location": "/"}), ("file", {"location": "{secret}/"}),
    ("file", {"location": "/etc/"}), ("file", {"location": "/", "writable": "true"}), ("ducklake", {"catalog": "duckdb", "path": "{secret}/canary.duckdb"}), ("ducklake", {"catalog": "sqlite", "path": "{secret}/x.sqlite"}), ("ducklake", {"data_path": "{secret}/"}),
    ("ducklake", {"sslrootcert": "/etc/passwd"}), ("ducklake", {"storage": "store", "data_path": "{base}lakes/x/"}), ("ducklake", {"storage": "vault", "data_path": "{vault}x/"}),
]  # fmt: skip


@pytest.mark.parametrize("kind,more", FORBIDDEN, ids=lambda v: str(v)[:50])
def test_options_that_take_more_rights(world, kind, more):
    base = {**BASE[kind], **{name: world.filled(value) for name, value in more.items()}}
    if "path" in more:
        for name in ("host", "port", "dbname"):
            base.pop(name)
    outcome = world.session("maker").run(f"CREATE SERVER odd TYPE '{kind}' FOREIGN DATA WRAPPER duckdb OPTIONS ({options(**base)})")
    if outcome.error is None:
        world.su("DROP SERVER odd CASCADE")
    assert outcome.state in ("42501", "42704", "HV024"), outcome


def test_a_storage_that_comes_later_is_looked_at_when_it_is_used(world):
    """A lake may be made before its storage, as pg_dump may do; its owner needs USAGE on it all the same."""
    maker, count = world.role("maker"), query("SELECT count(*) AS n FROM odd.main.orders")
    lake = world.orders
    described = options(host="127.0.0.1", port=world.sandbox.port, dbname=world.catalogs, metadata_schema=lake.schema, data_path=lake.data_path, storage="later")
    world.su(f"GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {maker}")
    try:
        with world.new_session("maker") as session:
            session.rows(f"CREATE SERVER odd TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({described})")
            session.rows(f"CREATE USER MAPPING FOR CURRENT_USER SERVER odd OPTIONS (user '{world.holder}', password '{world.password}')")
            session.refused(count, "42704", "42501", "42P01")
            create_server(world.connection, world.sandbox, "later", f"{world.base}lakes/", endpoint=world.store.address)
            world.su(f"CREATE USER MAPPING FOR PUBLIC SERVER later OPTIONS (key_id '{world.sandbox.all.key_id}', secret '{world.sandbox.all.secret}')")
            session.refused(count, "42501", "42P01")
            session.fresh().refused(count, "42501", "42P01")
            world.su(f"GRANT USAGE ON FOREIGN SERVER later TO {maker}")
            assert session.rows(count)[0][0] >= 50
    finally:
        world.su("DROP SERVER IF EXISTS odd CASCADE")
        world.su("DROP SERVER IF EXISTS later CASCADE")
        world.su(f"REVOKE EXECUTE ON FUNCTION duckdb.query(duckdb.sql) FROM {maker}")


SCHEMAS = ["{DATA_PATH}", "{METADATA_CATALOG}", "x'; --", 'x"y', "a b", "x; DROP", "{COMMIT_MESSAGE}", "main\x03", "a.b", "$1", "x\\y", "''", "(SELECT 1)"]
PATHS = ["s3://makers/'; SELECT 1; --/", "s3://makers/a b/", "s3://makers/{DATA_PATH}/", "s3://makers/x;y/", "s3://makers/\"q\"/", "s3://makers/$1/", "s3://makers/a'b/", "s3://makers/(x)/", "s3://makers/é/"]


@pytest.mark.parametrize("schema,path", list(itertools.product(SCHEMAS, PATHS[:4])), ids=shown)
def test_a_lakes_options_run_nothing(world, schema, path):
    """Names hold names, places hold places; a superuser of the own lake included."""
    for session in (world.session("maker"), world.session("postgres")):
        outcome = session.run(
            f"CREATE SERVER odd TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({options(host='127.0.0.1', port=world.sandbox.port, dbname=world.catalogs, metadata_schema=schema, data_path=path, create_if_not_exists='true')})"
        )
        if outcome.error is not None:
            assert outcome.state in STATES, outcome
            continue
        try:
            session.rows(f"CREATE USER MAPPING FOR CURRENT_USER SERVER odd OPTIONS (user '{world.holder}', password '{world.password}')")
            if session.role == "maker":
                continue
            outcome = session.run(query("FROM odd.main.t"))
            assert outcome.error is not None and not outcome.lost and outcome.state not in ("42601", "42000", "XX000"), outcome
        finally:
            world.su("DROP SERVER odd CASCADE")
            with world.catalog() as conn:
                conn.execute(f"DROP SCHEMA IF EXISTS {identifier(schema)} CASCADE")


@pytest.mark.parametrize("text", [*standard(7), *CONTROLS[:6], *PLACEHOLDERS[:4]], ids=shown)
def test_odd_names_of_servers(world, text):
    """A server's name is a secret's, and a lake's database's."""
    text = text[:30]
    maker = world.session("maker")
    for kind in ("s3", "ducklake"):
        made = maker.run(f"CREATE SERVER {identifier(text)} TYPE '{kind}' FOREIGN DATA WRAPPER duckdb OPTIONS ({options(**BASE[kind])})")
        if made.error is not None:
            assert made.state in STATES, made
            continue
        try:
            maker.rows(f"CREATE USER MAPPING FOR PUBLIC SERVER {identifier(text)} OPTIONS ({'user' if kind == 'ducklake' else 'key_id'} 'a', {'password' if kind == 'ducklake' else 'secret'} 'b')")
            maker.rows(f"GRANT USAGE ON FOREIGN SERVER {identifier(text)} TO PUBLIC")
            for role in ("querier", "postgres"):
                session = world.session(role)
                assert session.rows(query("SELECT 7 AS a")) == [(7,)]
                outcome = session.run(query(f"FROM {identifier(text)}.main.t"))
                assert outcome.error is not None and not outcome.lost and outcome.state not in ("XX000", "42601"), outcome
        finally:
            world.su(f"DROP SERVER {identifier(text)} CASCADE")


TABLE_OPTIONS = {
    "parquet": ["binary_as_string", "filename", "hive_types", "union_by_name", "file_row_number", "hive_partitioning"],
    "csv": ["delim", "quote", "escape", "nullstr", "dateformat", "columns", "names", "types", "comment", "compression", "encoding", "auto_type_candidates", "thousands", "decimal_separator", "new_line", "skip", "sample_size", "timestampformat", "force_not_null", "hive_types"],
    "json": ["columns", "dateformat", "records", "json_format", "compression", "maximum_object_size", "timestampformat", "hive_types"],
    "iceberg": ["version", "version_name_format", "metadata_compression_codec", "snapshot_from_timestamp", "mode"],
    "delta": ["version", "filename"],
}  # fmt: skip
SQL_VALUES = ODD + ['{"a": "INTEGER); SELECT 1; --"}', '{"a": "VARCHAR DEFAULT (SELECT content FROM read_text(\'/etc/passwd\'))"}', '{"a": "ENUM (SELECT 1)"}', '{"a\' b": "INT"}', "{a,b'c}", '["x"]', "/etc/passwd", "../../../secret/canary", "%s%s%s", "../x"]


@pytest.mark.parametrize("kind,option", [(kind, option) for kind, names in TABLE_OPTIONS.items() for option in names])
def test_odd_values_of_table_options(world, kind, option):
    """Made by a superuser, read by one and by an ordinary role."""
    su = world.session("postgres")
    path = f"{world.base}open/people.{kind}" if kind in ("parquet", "csv", "json") else f"{world.base}open/nothing"
    # Each option gets a few of them, others than its neighbour.
    for value in random.Random(f"{kind} {option}").sample(SQL_VALUES, 7):
        value = world.filled(value)
        made = su.run(f"CREATE FOREIGN TABLE odd (i bigint, name text) SERVER open OPTIONS (path '{path}', format '{kind}', {identifier(option)} {literal(value)})")
        if made.error is not None:
            assert made.state in STATES, made
            continue
        try:
            world.su(f"GRANT SELECT ON odd TO {world.role('reader')}")
            for role in ("postgres", "reader"):
                outcome = world.session(role).run("SELECT i, name FROM odd ORDER BY i LIMIT 1")
                # DuckDB's own refusals have all kinds of classes; a syntax error would be one of our making.
                assert not outcome.lost and outcome.state != "XX000" and "syntax error" not in outcome.told, (value, outcome)
        finally:
            world.su("DROP FOREIGN TABLE odd")


# ---- search_path


EVIL = """CREATE SCHEMA evil; GRANT USAGE, CREATE ON SCHEMA evil TO PUBLIC;
CREATE TABLE evil.calls (who text); GRANT INSERT ON evil.calls TO PUBLIC;
CREATE FUNCTION evil.noted() RETURNS void LANGUAGE sql SECURITY INVOKER AS $$ INSERT INTO evil.calls VALUES (current_user) $$"""
TYPES = [("oid", "integer"), ("oid", "oid"), ("name", "text"), ("text", "text"), ("name", "name"), ("integer", "integer"), ("\"char\"", "\"char\""), ("bigint", "bigint"), ("int2", "int2"), ("oid", "bigint"), ("\"char\"", "text"), ("regclass", "oid"), ("oid", "regclass")]  # fmt: skip
OPERATORS = ["=", "<>", "<", ">", "||", "~~", "@>", "+", "-", "<=", ">="]
SHADOWED = [
    "format_type(oid, int)", "quote_ident(text)", "count(text)", "lower(text)", "coalesce2(text)", "array_agg2(text)", "has_table_privilege(text, text)", "pg_get_userbyid(int)", "format(text, text)", "current_setting2(text)",
    "unnest2(text[])", "length(name)", "starts_with(text, varchar)", "pg_get_expr(text, oid)", "string_agg2(text, text)", "col_description(int, int)", "obj_description(int, name)",
]  # fmt: skip


@pytest.fixture(scope="module")
def evil(world):
    """A schema in front of pg_catalog in a superuser's search_path, whose operators tell when they run."""
    world.su(EVIL)
    for operator in OPERATORS:
        for left, right in TYPES:
            result = "boolean" if operator in ("=", "<>", "<", ">", "~~", "@>", "<=", ">=") else left
            value = "true" if result == "boolean" else "$1"
            name = f"op_{OPERATORS.index(operator)}"
            world.su(f"CREATE FUNCTION evil.{name}({left}, {right}) RETURNS {result} LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.noted(); RETURN {value}; END $f$")
            world.su(f"CREATE OPERATOR evil.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = evil.{name})")
    for signature in SHADOWED:
        world.su(f"CREATE FUNCTION evil.{signature} RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.noted(); RETURN 'x'; END $f$")
    for table in ("pg_class", "pg_attribute", "pg_foreign_server", "pg_foreign_table", "pg_user_mapping", "pg_type", "pg_namespace", "pg_authid", "pg_roles", "pg_user_mappings", "pg_enum", "pg_proc", "pg_extension", "pg_description"):
        world.su(f"CREATE VIEW evil.{table} AS SELECT evil.noted()::text AS oid")
    yield
    world.su("DROP SCHEMA evil CASCADE")


PATHS_OF_SEARCH = ["evil, pg_catalog, public", "evil", "public, evil", "evil, public"]
ACTIONS = {
    "refresh": "SELECT * FROM duckdb.refresh_foreign_schema('{lake}', 'main', 'refreshed')",
    "import": "DROP SCHEMA IF EXISTS imported CASCADE; CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA main FROM SERVER {lake} INTO imported",
    "import of files": "DROP SCHEMA IF EXISTS imported CASCADE; CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA \".\" FROM SERVER open INTO imported",
    "create": "CREATE FOREIGN TABLE public.searched () SERVER open OPTIONS (path '{base}open/people.parquet'); DROP FOREIGN TABLE public.searched",
    "query": "SELECT count(*) FROM duckdb.query($$ FROM '{base}open/people.parquet' $$)",
    "select": "SELECT i, shop FROM public.people",
    "analyze": "ANALYZE public.people",
    "snapshots": "SELECT snapshot_id FROM duckdb.snapshots('{lake}')",
    "list_files": "SELECT data_file FROM duckdb.list_files('public.orders')",
    "at": "SELECT id FROM duckdb.at('public.orders', version => 2)",
    "insert": "INSERT INTO public.orders VALUES (9001, 'a', 'b'); DELETE FROM public.orders WHERE id OPERATOR(pg_catalog.=) 9001",
    "execute": "SELECT duckdb.execute('CREATE OR REPLACE TABLE x AS SELECT 1 AS a')",
    "maintenance": "SELECT * FROM duckdb.merge_adjacent_files('{lake}')",
    "set_option": "SELECT duckdb.set_option('{lake}', 'target_file_size', '64MB')",
    "progress": "SELECT pid FROM duckdb.progress()",
    "server": "CREATE SERVER searched TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://x/'); DROP SERVER searched",
    "create_lake_table": "SELECT duckdb.create_lake_table('{lake}.main.searched', 'SELECT 1 AS a'); SELECT duckdb.execute('DROP TABLE {lake}.main.searched')",
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("search_path", PATHS_OF_SEARCH[:2])
def test_no_operator_of_the_search_path_runs(world, evil, action, search_path):
    world.su("CREATE SCHEMA IF NOT EXISTS refreshed; TRUNCATE evil.calls")
    statement = world.filled(ACTIONS[action].replace("{lake}", world.orders.name))
    with world.new_session("postgres") as session:
        session.rows(f"SET search_path = {search_path}")
        outcome = session.run(statement)
        assert not outcome.lost, outcome
        assert session.rows("SHOW search_path") == [(search_path,)]
    assert world.su("SELECT * FROM evil.calls").fetchall() == []
    if action not in ("progress", "maintenance", "refresh"):
        assert outcome.error is None, outcome


def test_the_upgrade_scripts_look_nothing_up(world, evil):
    """CREATE EXTENSION and each upgrade by a superuser whose search_path begins with somebody's schema."""
    name = world.database + "_up"
    world._patient(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        conn = world.connect("postgres", dbname=name)
        with conn:
            conn.execute(EVIL)
            for number, operator in enumerate(OPERATORS):
                for left, right in TYPES:
                    result = "boolean" if operator in ("=", "<>", "<", ">", "~~", "@>", "<=", ">=") else left
                    conn.execute(f"CREATE FUNCTION evil.op_{number}({left}, {right}) RETURNS {result} LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.noted(); RETURN {'true' if result == 'boolean' else '$1'}; END $f$")
                    conn.execute(f"CREATE OPERATOR evil.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = evil.op_{number})")
            conn.execute("SET search_path = evil, pg_catalog, public")
            conn.execute("CREATE EXTENSION pg_pond VERSION '0.1.0'")
            for version in ("0.2.0", "0.3.0", "0.4.0"):
                conn.execute(f"ALTER EXTENSION pg_pond UPDATE TO '{version}'")
            assert conn.execute("SELECT * FROM evil.calls").fetchall() == []
    finally:
        world._patient(f"DROP DATABASE {name} WITH (FORCE)")


def test_creating_a_lake_through_execute_takes_rights(world):
    world.session("inserter").refused(execute("CREATE TABLE x AS SELECT 1 AS a"))
