"""What an adversary found: each of these once killed the server, read memory, or led a role astray."""

import pytest
from psycopg import sql

from conftest import create_server, map_user
from support import eventually, failure, is_gone, sqlstate_of


def query(text):
    return sql.SQL("SELECT * FROM duckdb.query({})").format(sql.Literal(text))


@pytest.fixture
def user(su, role, connect):
    name = role()
    su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION duckdb.query(duckdb.sql) TO {}").format(sql.Identifier(name)))
    return connect(name)


def test_functions_of_others_that_return_the_row_type_are_left_alone(connect):
    conn = connect()
    conn.execute("CREATE FUNCTION pg_temp.f(int) RETURNS SETOF duckdb.row LANGUAGE sql AS 'SELECT null::duckdb.row'")
    assert conn.execute("SELECT count(*) FROM pg_temp.f(5)").fetchone() == (1,)
    assert conn.execute(query("SELECT 1 AS a")).fetchone() == (1,)


def test_ordinary_roles_may_not_use_the_row_type(user):
    statement = "CREATE FUNCTION pg_temp.f(int) RETURNS SETOF duckdb.row LANGUAGE sql AS 'SELECT null::duckdb.row'"
    assert sqlstate_of(user, statement) == "42501"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "a." * 100_000 + "a FROM (SELECT {'a': 1} a)",
        "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
        "SELECT from_json('1', repeat('[', 100000) || '\"INT\"' || repeat(']', 100000))",
        "SELECT json_transform('1', '" + "[" * 100_000 + '"INT"' + "]" * 100_000 + "')",
        "SELECT (repeat('[', 100000) || repeat(']', 100000))::JSON::VARIANT",
        "SELECT json_structure(repeat('[', 1000000) || repeat(']', 1000000))",
        "SELECT list_sort(644189302905::VARIANT)",
    ],
    ids=["names", "brackets", "computed structure", "structure", "variant", "json_structure", "list_sort of a variant"],
)
def test_statements_that_overflow_duckdbs_stack_are_refused(user, text):
    assert sqlstate_of(user, query(text)) in ("0A000", "42501", "42601")
    assert user.execute(query("SELECT 1")).fetchone() == (1,)


def test_json_nested_a_million_deep_is_an_error_or_a_value(su, user, servers, lake_writer, sandbox):
    lake_writer.execute(
        "COPY (SELECT repeat('[', 1000000) || repeat(']', 1000000) AS x) TO 's3://lake/hardening/deep.json' "
        "(FORMAT csv, HEADER false, QUOTE '', DELIMITER '|')"
    )
    name = user.info.user
    map_user(su, name, "lake", sandbox.lake_reader)
    sqlstate_of(user, query("FROM read_json('s3://lake/hardening/deep.json')"))
    assert user.execute(query("SELECT 1")).fetchone() == (1,)


def test_memory_that_duckdb_does_not_count_is_an_error(connect):
    conn = connect()
    conn.execute("SET duckdb.memory_limit = '100MB'")
    error = failure(conn, query("SELECT len(range(200000000))"))
    assert error.sqlstate == "53200"


def test_a_cancelled_query_that_goes_on_eating_memory_ends_its_session(connect):
    conn = connect()
    pid = conn.info.backend_pid
    conn.execute("SET duckdb.memory_limit = '100MB'")
    failure(conn, query("SELECT len(list_transform(range(100000000), lambda x: x::VARCHAR))"))
    eventually(lambda: is_gone(pid), timeout=30)


def test_text_that_is_not_utf8_does_not_get_in(user):
    assert sqlstate_of(user, query("SELECT printf('%c', 200) AS v")) == "22021"
    assert sqlstate_of(user, query("SELECT regexp_extract_all('é🦆', '\\C') AS v")) == "22021"


def test_a_strangers_server_with_the_same_location_is_left_out(su, user, role, servers, lake_writer, sandbox, connect):
    lake_writer.execute("COPY (SELECT 1 AS a) TO 's3://lake/hardening/own.parquet'")
    name, stranger = user.info.user, role()
    map_user(su, name, "lake", sandbox.lake_reader)
    su.execute(sql.SQL("GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {}").format(sql.Identifier(stranger)))
    theirs = connect(stranger)
    theirs.execute(
        "CREATE SERVER hijack TYPE 's3' FOREIGN DATA WRAPPER duckdb "
        "OPTIONS (location 's3://lake/hardening/', endpoint '127.0.0.1:9', use_ssl 'false')"
    )
    theirs.execute("CREATE USER MAPPING FOR PUBLIC SERVER hijack OPTIONS (key_id 'x', secret 'y')")
    theirs.execute("GRANT USAGE ON FOREIGN SERVER hijack TO PUBLIC")
    try:
        for conn in (user, su):
            assert conn.execute(query("FROM 's3://lake/hardening/own.parquet'")).fetchone() == (1,)
    finally:
        theirs.execute("DROP SERVER hijack CASCADE")
        su.execute(sql.SQL("REVOKE USAGE ON FOREIGN DATA WRAPPER duckdb FROM {}").format(sql.Identifier(stranger)))
