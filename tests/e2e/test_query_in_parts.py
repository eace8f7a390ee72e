"""duckdb.query(…) beside foreign tables in one part of a query: each text stays by itself, under the
rights that it needs alone."""

import pytest
from psycopg import sql

import parts
from parts import check_same, is_whole, scans
from support import failure, sqlstate_of, words

QUERY_FUNCTIONS = 'duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, "any"), duckdb.query_rows(text)'


@pytest.fixture(scope="module")
def folder(database):
    return f"s3://lake/mixed/{database}"


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, folder, lake_writer, sandbox):
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute("CREATE TABLE dim (k int, label text); INSERT INTO dim SELECT i, 'label ' || i FROM generate_series(0, 4) i; ANALYZE dim")
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS ({})".format(
        f"key_id '{sandbox.lake_reader.key_id}', secret '{sandbox.lake_reader.secret}'"))


@pytest.fixture
def conn(connect):
    conn = connect()
    conn.execute("LOAD 'pg_pond'")
    return conn


def joined(text, more=""):
    return f"SELECT q.n, count(*) FROM facts f JOIN duckdb.query($$ {text} $$) q ON q.n = f.k {more} GROUP BY 1 ORDER BY 1"


TEXTS = {
    "plain": ("SELECT 1 AS n", [1]),
    "semicolon": ("SELECT 1 AS n ; ", [1]),
    "comment": ("SELECT 1 AS n -- ; ) the end", [1]),
    "comments": ("/* a ) */ SELECT 1 AS n /* ; */ ; /* c */ -- d", [1]),
    "parentheses": ("(SELECT 1 AS n)", [1]),
    "from": ("FROM (VALUES (1), (2)) v(n)", [1, 2]),
    "own CTEs": ("WITH f AS (SELECT 1 AS k), facts AS (SELECT 2 AS k), query AS (SELECT 3 AS k), q AS (SELECT 4 AS k) "
                 "SELECT k AS n FROM f UNION FROM facts UNION FROM query UNION FROM q", [1, 2, 3, 4]),
    "recursive": ("WITH RECURSIVE query(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM query WHERE n < 3) SELECT n FROM query", [1, 2, 3]),
    "set operation": ("SELECT 1 AS n UNION SELECT 2", [1, 2]),
    "order and limit": ("SELECT * FROM (VALUES (3), (1), (2)) v(n) ORDER BY n LIMIT 2", [1, 2]),
    "quotes": ("SELECT 1 AS n, ')' AS \"a\"\"b)\", ';' AS \"select\"", [1]),
    "lambda": ("SELECT unnest(list_transform([0, 1], x -> x + 1))::INTEGER AS n", [1, 2]),
    "values": ("SELECT n FROM (VALUES (1), (NULL), (5)) v(n)", [1, 5]),
    "nothing": ("SELECT 1 AS n WHERE false", []),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(conn, name):
    text, found = TEXTS[name]
    statement = joined(text)
    # A superuser's text is free and the table is fenced, so each is read by itself.
    assert check_same(conn, statement) == [(n, 100) for n in found]
    assert not is_whole(conn, statement)
    # One instance reads both, as it does for ordinary roles.
    conn.execute("SET duckdb.superuser_sandbox = off")
    assert check_same(conn, statement) == [(n, 100) for n in found]
    assert is_whole(conn, statement)
    if name != "recursive":
        assert check_same(conn, joined(text, "JOIN dim d USING (k)")) == [(n, 100) for n in found if n < 5]
        assert check_same(conn, f"WITH c AS ({statement}) SELECT * FROM c a JOIN c b USING (n) ORDER BY 1") == [(n, 100, 100) for n in found]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1) AS x, (SELECT 2",
        "SELECT 1 AS n) SELECT 2 --",
        'SELECT 1 AS n), "more" AS (SELECT 2 AS n',
        "SELECT 1 AS n /* open",
        "SELECT 'open AS n",
        'SELECT 1 AS "n',
        "SELECT 1 AS n; SELECT 2 AS n",
        "SELECT 1 AS n; DROP TABLE facts",
        "INSTALL x",
        "",
        ";",
        "-- only a comment",
    ],
)
def test_broken_texts(conn, text):
    error = failure(conn, f"SELECT count(*) FROM facts f JOIN duckdb.query($$ {text} $$) q ON true")
    assert error.sqlstate[:2] in ("42", "0A"), words(error)
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (parts.ROWS,)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT k AS n FROM f",
        "SELECT k AS n FROM facts",
        "SELECT f.k AS n",
        "SELECT d.k AS n",
        "SELECT n FROM query",
        "SELECT n FROM q",
        "SELECT n FROM query_2",
        "SELECT n FROM r",
        "SELECT c0::INTEGER AS n FROM pond_shipped_0",
        "SELECT c0::INTEGER AS n FROM temp.pond_shipped_0",
        "SELECT c0::INTEGER AS n FROM temp.main.pond_shipped_0",
        "SELECT c0::INTEGER AS n FROM main.\"POND_SHIPPED_0\"",
        "SELECT c0::INTEGER AS n FROM (SELECT (SELECT c0 FROM pond_shipped_0 LIMIT 1) AS c0)",
        "SELECT 1 AS n FROM query_table('pond_shipped_0')",
        "SELECT 1 AS n FROM query('FROM pond_' || 'shipped_0')",
        "SELECT 1 AS n FROM pragma_storage_info('pond_shipped_0')",
        "SELECT * FROM pond_shipped_1",
    ],
)
def test_texts_see_nothing_around_them(conn, text):
    statement = (
        "SELECT count(*) FROM facts f JOIN dim d USING (k) JOIN duckdb.query($$ SELECT 1 AS n $$) r ON r.n = f.k "
        f"JOIN duckdb.query($$ {text} $$) q ON q.n = f.k"
    )
    assert failure(conn, statement).sqlstate in ("42000", "42P01", "42703", "42601", "42883")


@pytest.mark.parametrize("text", ["SELECT table_name AS n FROM duckdb_tables()", "SELECT table_name AS n FROM information_schema.tables"])
def test_texts_do_not_see_that_rows_are_shipped(conn, text):
    statement = f"SELECT DISTINCT q.n FROM facts f JOIN dim d USING (k) JOIN duckdb.query($$ {text} $$) q ON true WHERE q.n LIKE 'pond%'"
    assert conn.execute(statement).fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT r.l, r.d, r.s->>'a' FROM facts f JOIN duckdb.query($$ SELECT 1 AS n, [1, 2] AS l, 1.5::DECIMAL(4,2) AS d, {'a': 1}::JSON AS s $$) r ON r.n = f.id",
        "SELECT count(*) FROM facts f LEFT JOIN duckdb.query($$ SELECT 1 AS n, DATE '2024-01-01' AS d $$) r ON r.n = f.k WHERE r.d <= f.day",
        "SELECT f.id, (SELECT count(*) FROM duckdb.query($$ SELECT unnest([1, 1, 2]) AS n $$) r WHERE r.n = f.k) FROM facts f WHERE f.id < 4 ORDER BY 1",
        "SELECT count(*) FROM facts f WHERE f.k IN (SELECT n FROM duckdb.query($$ SELECT 1 AS n $$))",
        "SELECT count(*) FROM facts f, LATERAL (SELECT * FROM duckdb.query($$ SELECT 1 AS n $$) r WHERE r.n = f.k) s",
        "SELECT count(*) FROM facts f JOIN duckdb.query($$ SELECT 3 AS \"a\"\"b\" $$) r ON r.\"a\"\"b\" = f.k",
        "SELECT count(*), count(a), count(\"A_1\") FROM facts f JOIN duckdb.query($$ SELECT 1 AS a, 2 AS A $$) r ON true",
        "SELECT k, count(*) FROM (SELECT k FROM facts UNION ALL SELECT * FROM duckdb.query($$ SELECT 1 AS k $$)) s GROUP BY 1 ORDER BY 1",
        "SELECT count(*) FROM facts f JOIN duckdb.query($$ SELECT $1::INTEGER AS n $$, 4) r ON r.n = f.k",
        "SELECT q.at, count(*) FROM facts f JOIN duckdb.query($$ SELECT 1 AS n $$) WITH ORDINALITY q(n, at) ON q.n = f.k GROUP BY 1",
        "SELECT q FROM facts f JOIN duckdb.query($$ SELECT 1 AS n $$) q ON q.n = f.id",
    ],
)
def test_nothing_changes(conn, statement):
    assert isinstance(check_same(conn, statement), list)


def test_in_views_and_kept_plans(conn, su):
    su.execute("CREATE VIEW mixed AS SELECT f.id, r.n FROM facts f JOIN duckdb.query($$ SELECT 1 AS n $$) r ON r.n = f.k")
    assert check_same(conn, "SELECT count(*) FROM mixed") == [(100,)]
    assert check_same(conn, "SELECT count(*) FROM mixed a JOIN mixed b USING (id)") == [(100,)]
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute("PREPARE p (int) AS SELECT count(*) FROM facts f JOIN duckdb.query($$ SELECT unnest([1, 2, 3]) AS n $$) r ON r.n = f.k WHERE f.k >= $1")
    assert [conn.execute(f"EXECUTE p ({k})").fetchone()[0] for k in (0, 2, 3, 4)] == [300, 200, 100, 0]


# ---- rights


@pytest.fixture
def as_role(connect, role, su):
    def make(*grants):
        name = role()
        for grant in grants:
            su.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(grant), sql.Identifier(name)))
        return connect(name)

    return make


def test_rights_of_both(as_role, folder):
    statement = joined("SELECT 1 AS n")
    reading = joined(f"SELECT id::INTEGER AS n FROM '{folder}/odd.parquet' WHERE id = 1")
    select, execute, usage = "SELECT ON facts", f"EXECUTE ON FUNCTION {QUERY_FUNCTIONS}", "USAGE ON FOREIGN SERVER lake"
    conn = as_role(select, execute, usage)
    for text in (statement, reading):
        assert check_same(conn, text) == [(1, 100)]
    # The function's right is wanted.
    conn = as_role(select, usage)
    assert check_same(conn, statement) == "42501" and check_same(conn, reading) == "42501"
    # Without USAGE a table may still be read, and a text that reads nothing runs.
    conn = as_role(select, execute)
    assert check_same(conn, statement) == [(1, 100)]
    assert len(scans(conn, statement)) == 2
    assert check_same(conn, reading) == "42501"
    # And the table's right.
    conn = as_role(execute, usage)
    assert check_same(conn, statement) == "42501"
    assert sqlstate_of(conn, f"EXPLAIN ANALYZE {statement}") == "42501"


def test_rights_that_go_while_a_plan_is_kept(as_role, su):
    conn = as_role("SELECT ON facts", f"EXECUTE ON FUNCTION {QUERY_FUNCTIONS}", "USAGE ON FOREIGN SERVER lake")
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute(f"PREPARE p AS {joined('SELECT 1 AS n')}")
    assert conn.execute("EXECUTE p").fetchall() == [(1, 100)]
    name = sql.Identifier(conn.info.user)
    su.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM {}").format(sql.SQL(QUERY_FUNCTIONS), name))
    assert sqlstate_of(conn, "EXECUTE p") == "42501"
    su.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(QUERY_FUNCTIONS), name))
    assert conn.execute("EXECUTE p").fetchall() == [(1, 100)]
    su.execute(sql.SQL("REVOKE USAGE ON FOREIGN SERVER lake FROM {}").format(name))
    conn.execute("EXECUTE p")
    su.execute(sql.SQL("REVOKE SELECT ON facts FROM {}").format(name))
    assert sqlstate_of(conn, "EXECUTE p") == "42501"


def test_columns_that_change_below_a_kept_plan(conn, lake_writer, folder):
    path = f"{folder}/drift.parquet"
    lake_writer.execute(f"COPY (SELECT 1 AS n, 2 AS m) TO '{path}'")
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute(f"PREPARE p AS SELECT q.m, count(*) FROM facts f JOIN duckdb.query($$ FROM '{path}' $$) q ON q.n = f.k GROUP BY 1")
    assert conn.execute("EXECUTE p").fetchall() == [(2, 100)]
    for changed, code in (("SELECT 'x' AS m, 1 AS n", "42804"), ("SELECT 1 AS n", "42703"), ("SELECT 2 AS m, 5 AS extra, 1 AS n", None)):
        lake_writer.execute(f"COPY ({changed}) TO '{path}'")
        error = sqlstate_of(conn, "EXECUTE p")
        assert error == code or (code and error[:2] == "42"), (changed, error)
