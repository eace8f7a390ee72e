"""The first statement of a session, which loads the library: it means the same as any other, and what a
client sends by itself is pushed whole at once."""

import contextlib

import psycopg
import pytest
from psycopg import sql

import parts
from parts import nodes
from support import private_cluster, sqlstate_of

QUERY = "SELECT k, count(*), sum(amount) FROM facts WHERE id < 500 GROUP BY k ORDER BY k"
SETUP = """
CREATE TABLE dim (k int, label text);
INSERT INTO dim SELECT i, 'label ' || i FROM generate_series(0, 4) i;
ALTER TABLE dim ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON dim USING (k < 2);
CREATE VIEW grouped AS SELECT k, count(*), sum(amount) FROM facts WHERE id < 500 GROUP BY k;
CREATE VIEW lent AS SELECT f.id, d.label FROM facts f JOIN dim d USING (k);
CREATE FUNCTION by_sql(int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM facts WHERE id < $1';
CREATE FUNCTION by_plpgsql(int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM facts WHERE id < $1); END $$;
CREATE FUNCTION rows_by_sql() RETURNS TABLE (k int, n bigint) LANGUAGE sql AS 'SELECT k, count(*) FROM facts GROUP BY k ORDER BY k';
"""


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer, sandbox):
    folder = f"s3://lake/first/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute(SETUP)
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS ({})".format(
        f"key_id '{sandbox.lake_reader.key_id}', secret '{sandbox.lake_reader.secret}'"))
    su.execute("ANALYZE dim")


@pytest.fixture(scope="module")
def expected(su):
    return su.execute(QUERY).fetchall()


def all_results(cursor):
    found = []
    while True:
        if cursor.description:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            return found


def test_simple(connect, expected):
    assert connect().execute(QUERY).fetchall() == expected
    assert connect().execute(f"/* a; b */ -- SELECT 1;\n ( {QUERY} ) ;; ").fetchall() == expected
    assert len(connect().execute("TABLE facts").fetchall()) == parts.ROWS


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_with_parameters(connect, binary, prepare):
    statement = "SELECT count(*), %s::text FROM facts WHERE id < %s AND name <> %s AND day > %s"
    cursor = connect().cursor(binary=binary)
    for top in (500, 7, None):
        wanted = [(top or 0, "x")]
        assert cursor.execute(statement, ("x", top, "none", "2000-01-01"), prepare=prepare).fetchall() == wanted
    assert connect().cursor(binary=binary).execute(statement, (None, 3, "n1", "2000-01-01")).fetchall() == [(2, None)]
    assert connect().execute("SELECT count(*) FROM facts WHERE amount = %s", (psycopg.types.numeric.Decimal("0.50"),)).fetchall() == [(1,)]


def test_pipeline(connect):
    conn = connect()
    with conn.pipeline():
        cursors = [conn.execute("SELECT count(*) FROM facts WHERE id < %s", (top,)) for top in (10, 20, 30)]
        plain = conn.execute("SELECT 1")
    assert [cursor.fetchone() for cursor in cursors] == [(10,), (20,), (30,)] and plain.fetchone() == (1,)


def test_pipeline_with_an_error(connect):
    conn = connect()
    with pytest.raises(psycopg.errors.DivisionByZero), conn.pipeline():
        conn.execute("SELECT 1 / (id - 5) FROM facts")
        conn.execute("SELECT 1")
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (parts.ROWS,)


def test_streamed(connect):
    assert [row for row in connect().cursor().stream("SELECT id FROM facts ORDER BY id")] == [(i,) for i in range(parts.ROWS)]


@pytest.mark.parametrize("statement", [QUERY, f"CREATE TABLE made AS {QUERY}", "SELECT * FROM grouped ORDER BY k"])
@pytest.mark.parametrize("analyze", [False, True])
def test_explained(connect, statement, analyze):
    conn = connect(autocommit=False)
    assert [node["Node Type"] for node in nodes(conn, statement, analyze=analyze)] == ["Custom Scan"]
    conn.rollback()


def test_tables_made_of_it(connect, expected):
    for statement in (f"CREATE TEMP TABLE made AS {QUERY}", f"SELECT * INTO TEMP made FROM ({QUERY}) s", f"CREATE TEMP TABLE made AS SELECT * FROM ({QUERY}) s WITH DATA"):
        conn = connect()
        conn.execute(statement)
        assert conn.execute("SELECT * FROM made ORDER BY k").fetchall() == expected
    conn = connect()
    conn.execute(f"CREATE TEMP TABLE made AS {QUERY} WITH NO DATA")
    assert conn.execute("SELECT count(*) FROM made").fetchone() == (0,)
    conn = connect()
    conn.execute(f"CREATE MATERIALIZED VIEW kept AS {QUERY}")
    other = connect()
    other.execute("REFRESH MATERIALIZED VIEW kept")
    assert other.execute("SELECT * FROM kept ORDER BY k").fetchall() == expected
    other.execute("DROP MATERIALIZED VIEW kept")


@pytest.mark.parametrize("options", ["CURSOR", "SCROLL CURSOR", "NO SCROLL CURSOR", "BINARY CURSOR", "CURSOR WITH HOLD", "SCROLL CURSOR WITH HOLD"])
def test_cursors(connect, options, expected):
    conn = connect(autocommit=False)
    conn.execute(f"DECLARE c {options} FOR {QUERY}")
    if "HOLD" in options:
        conn.commit()
    assert conn.execute("FETCH 3 FROM c").fetchall() == expected[:3]
    if options.startswith("SCROLL"):
        assert conn.execute("FETCH PRIOR FROM c").fetchall() == expected[1:2]
        assert conn.execute("FETCH LAST FROM c").fetchall() == expected[-1:]
        assert conn.execute("FETCH BACKWARD ALL FROM c").fetchall() == expected[-2::-1]
    else:
        assert conn.execute("FETCH ALL FROM c").fetchall() == expected[3:]
    conn.execute("CLOSE c")
    conn.rollback()


def test_cursors_of_the_driver(connect):
    conn = connect(autocommit=False)
    with conn.cursor("named", scrollable=True) as cursor:
        cursor.execute("SELECT id FROM facts WHERE id > %s ORDER BY id", (5,))
        assert cursor.fetchmany(3) == [(6,), (7,), (8,)]
        cursor.scroll(-2)
        assert cursor.fetchone() == (7,)
    conn.rollback()


def test_copied(connect):
    with connect().cursor().copy(f"COPY ({QUERY}) TO STDOUT") as copy:
        assert len(list(copy.rows())) == 10


def test_in_functions(connect):
    assert connect().execute("SELECT by_plpgsql(5), by_plpgsql(6), by_sql(7)").fetchall() == [(5, 6, 7)]
    assert connect().execute("SELECT by_sql(5), by_plpgsql(6)").fetchall() == [(5, 6)]
    assert len(connect().execute("SELECT * FROM rows_by_sql()").fetchall()) == 10
    assert connect().execute("SELECT count(*) FROM rows_by_sql() r JOIN facts USING (k)").fetchall() == [(parts.ROWS,)]
    conn = connect()
    conn.execute("DO $$ BEGIN FOR i IN 1..6 LOOP IF by_plpgsql(i) <> i OR by_sql(i) <> i THEN RAISE 'wrong'; END IF; END LOOP; END $$")
    conn = connect()
    conn.execute("DO $$ BEGIN BEGIN PERFORM 1 / (id - 5) FROM facts; RAISE 'not reached'; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$")
    assert conn.execute("SELECT by_sql(3)").fetchone() == (3,)


def test_prepared(connect):
    conn = connect()
    conn.execute("PREPARE p (int) AS SELECT count(*) FROM facts WHERE id < $1")
    assert [conn.execute(f"EXECUTE p ({top})").fetchone()[0] for top in range(8)] == list(range(8))
    assert [node["Node Type"] for node in nodes(conn, "EXECUTE p (3)")] == ["Custom Scan"]
    cursor = connect().execute("PREPARE p (int) AS SELECT count(*) FROM facts WHERE id < $1; EXECUTE p (4); EXECUTE p (5)")
    assert all_results(cursor) == [[(4,)], [(5,)]]
    conn = connect()
    conn.execute("PREPARE p AS SELECT 1")
    conn.execute("PREPARE q AS SELECT count(*) FROM facts")
    assert conn.execute("EXECUTE p").fetchone() == (1,) and conn.execute("EXECUTE q").fetchone() == (parts.ROWS,)
    conn = connect()
    conn.execute("PREPARE q (int) AS SELECT id FROM facts WHERE id < $1 ORDER BY id")
    conn.execute("CREATE TEMP TABLE made AS EXECUTE q (3)")
    assert conn.execute("SELECT count(*) FROM made").fetchone() == (3,)


def test_several_statements_in_one_string(connect):
    cursor = connect().execute("SELECT 1; SELECT count(*) FROM facts WHERE id < 7; SELECT count(*) FROM facts WHERE id < 8; SELECT 'a;b'")
    assert all_results(cursor) == [[(1,)], [(7,)], [(8,)], [("a;b",)]]
    cursor = connect().execute("SELECT count(*) FROM facts WHERE id < 7; SELECT count(*) FROM facts WHERE id < 7;SELECT 2")
    assert all_results(cursor) == [[(7,)], [(7,)], [(2,)]]


def test_names_mean_what_they_meant(connect):
    cursor = connect().execute(
        "CREATE TEMP TABLE facts AS SELECT 1 AS id FROM public.facts LIMIT 3; SELECT count(*) FROM facts; "
        "SELECT count(*) FROM public.facts; DROP TABLE pg_temp.facts; SELECT count(*) FROM facts"
    )
    assert all_results(cursor) == [[(3,)], [(parts.ROWS,)], [(parts.ROWS,)]]
    cursor = connect().execute("SET LOCAL search_path = pg_catalog; SELECT count(*) FROM public.facts; SET LOCAL search_path = public; SELECT count(*) FROM facts")
    assert all_results(cursor) == [[(parts.ROWS,)]] * 2
    conn = connect()
    conn.execute("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.facts (id int)")
    conn = connect(options="-c search_path=elsewhere,public")
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (0,)
    assert conn.execute("SELECT count(*) FROM public.facts").fetchone() == (parts.ROWS,)
    conn.execute("DROP SCHEMA elsewhere CASCADE")
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (parts.ROWS,)


@pytest.mark.parametrize("kind", ["READ ONLY", "ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"])
def test_transactions(connect, kind):
    conn = connect()
    conn.execute(f"BEGIN {kind}")
    assert conn.execute("SELECT count(*) FROM facts JOIN dim USING (k)").fetchone() == (500,)
    conn.execute("COMMIT")


def test_statements_that_write(connect, su):
    su.execute("CREATE TABLE written (i bigint)")
    assert connect().execute("INSERT INTO written SELECT k FROM facts").rowcount == parts.ROWS
    statement = "WITH new AS (INSERT INTO written SELECT count(*) FROM facts RETURNING i) SELECT new.i, count(*) FROM new, facts GROUP BY 1"
    assert connect().execute(statement).fetchall() == [(parts.ROWS, parts.ROWS)]
    assert su.execute("SELECT count(*) FROM written").fetchone() == (parts.ROWS + 1,)
    assert connect().execute("DELETE FROM written WHERE i IN (SELECT k FROM facts WHERE id < 5)").rowcount == 500
    assert connect().execute("UPDATE written w SET i = -1 FROM facts f WHERE f.id = w.i AND f.id = 7").rowcount == 100
    assert len(connect().execute("SELECT d.k FROM dim d JOIN facts f ON f.id = d.k FOR UPDATE OF d").fetchall()) == 5
    su.execute("DROP TABLE written")


def test_errors(connect):
    conn = connect()
    assert sqlstate_of(conn, "SELECT 1 / (id - 5) FROM facts") == "22012"
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (parts.ROWS,)
    conn = connect(options="-c statement_timeout=300ms")
    assert sqlstate_of(conn, "SELECT count(*) FROM facts a, facts b, facts c WHERE a.id + b.id + c.id = -1") == "57014"
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (parts.ROWS,)


def test_rights(connect, role, su):
    name = role()
    identifier = sql.Identifier(name)
    assert sqlstate_of(connect(name), "SELECT count(*) FROM facts") == "42501"
    su.execute(sql.SQL("GRANT SELECT ON lent TO {}").format(identifier))
    assert connect(name).execute("SELECT count(*) FROM lent").fetchone() == (500,)
    assert sqlstate_of(connect(name), "SELECT count(*) FROM facts") == "42501"
    su.execute(sql.SQL("GRANT SELECT ON facts, dim TO {}").format(identifier))
    assert connect(name).execute("SELECT count(*) FROM facts JOIN dim USING (k)").fetchone() == (200,)
    with contextlib.closing(connect(autocommit=False)) as conn:
        conn.execute(sql.SQL("SET LOCAL ROLE {}").format(identifier))
        assert conn.execute("SELECT count(*) FROM facts JOIN dim USING (k)").fetchone() == (200,)
        conn.rollback()
        assert conn.execute("SELECT count(*) FROM facts JOIN dim USING (k)").fetchone() == (500,)
        conn.rollback()


def test_encodings_and_time_zones(connect):
    conn = connect(client_encoding="latin1", options="-c timezone=Asia/Tokyo")
    assert conn.execute("SELECT count(*), 'ä', current_setting('TimeZone') FROM facts WHERE name <> 'ö'").fetchall() == [(parts.ROWS, "ä", "Asia/Tokyo")]


def test_beside_pg_stat_statements(sandbox, lake_writer, database):
    with contextlib.ExitStack() as stack:
        try:
            cluster = stack.enter_context(private_cluster(sandbox, shared_preload_libraries="pg_stat_statements"))
        except AssertionError as error:
            if "could not access file" in str(error):
                pytest.skip("no pg_stat_statements")
            raise
        with cluster.connect() as conn:
            conn.execute("CREATE EXTENSION pg_stat_statements; SET pg_stat_statements.track_planning = on")
            conn.execute(
                "CREATE SERVER lake TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/', "
                f"endpoint '{sandbox.s3_endpoint}', region '{sandbox.s3_region}', url_style 'path', use_ssl 'false')"
            )
            conn.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS (key_id '{sandbox.all.key_id}', secret '{sandbox.all.secret}')")
            conn.execute(f"CREATE FOREIGN TABLE facts () SERVER lake OPTIONS (path 's3://lake/first/{database}/facts.parquet')")
        for _ in range(3):
            with cluster.connect() as conn:
                assert conn.execute("SELECT k, count(*) FROM facts WHERE id < 50 GROUP BY k ORDER BY k").fetchall() == [(k, 5) for k in range(10)]
        with cluster.connect() as conn:
            query = "SELECT calls, rows FROM pg_stat_statements WHERE query LIKE 'SELECT k, count(%'"
            assert conn.execute(query).fetchall() == [(3, 30)]
