"""Relations of PostgreSQL's own that a part of a query needs: their rows are handed to DuckDB. What comes
out is what PostgreSQL alone gives."""

import psycopg
import pytest

import parts
from parts import check_same, is_whole, scans, setting, shipped
from support import sqlstate_of

SETUP = """
CREATE TABLE dim (k int PRIMARY KEY, label text, price numeric(10,2));
INSERT INTO dim SELECT i, 'label ' || i, i + 0.25 FROM generate_series(0, 4) i;
CREATE TABLE nulls (k int, label text);
INSERT INTO nulls VALUES (1, NULL), (NULL, 'no k'), (NULL, NULL), (2, '');
CREATE TABLE empty (k int, label text);
CREATE TABLE several (k int, part text) PARTITION BY LIST (part);
CREATE TABLE several_a PARTITION OF several FOR VALUES IN ('a');
CREATE TABLE several_b PARTITION OF several FOR VALUES IN ('b');
INSERT INTO several SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(0, 9) i;
CREATE TABLE parent (k int, label text);
CREATE TABLE child (extra int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', 0);
CREATE MATERIALIZED VIEW stored AS SELECT k, label FROM dim WHERE k < 3;
CREATE VIEW seen AS SELECT k, upper(label) AS label FROM dim WHERE k > 1;
CREATE VIEW fenced WITH (security_barrier) AS SELECT k, label FROM dim WHERE k <> 3;
CREATE VIEW mixed AS SELECT f.id, d.label FROM facts f JOIN dim d USING (k);
CREATE FUNCTION numbers(int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT generate_series(0, $1)';
CREATE FUNCTION pairs(int) RETURNS TABLE (k int, label text) LANGUAGE plpgsql STABLE AS
  $$ BEGIN RETURN QUERY SELECT i, 'pair ' || i FROM generate_series(0, $1) i; END $$;
CREATE TABLE dropped (gone int, k int, gone_too text, label text);
INSERT INTO dropped SELECT 0, i, '', 'd' || i FROM generate_series(0, 3) i;
ALTER TABLE dropped DROP COLUMN gone, DROP COLUMN gone_too, ADD COLUMN later text DEFAULT 'later';
CREATE TABLE "Odd Names" ("K" int, "select" text);
INSERT INTO "Odd Names" VALUES (3, 'three');
CREATE TABLE pond_shipped_0 (k int, label text);
INSERT INTO pond_shipped_0 VALUES (4, 'not the temporary one');
"""


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer):
    folder = f"s3://lake/ship/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute(SETUP)
    su.execute("ANALYZE dim, nulls, several, dropped, stored")


@pytest.fixture
def conn(connect, tables):
    conn = connect()
    conn.execute("LOAD 'pg_pond'")
    parts.read_as_text(conn, "date", "time", "timestamp", "timestamptz", "float4", "float8")
    return conn


# ---- what is shipped

WHOLE = {
    "table": ("SELECT d.label, count(*), sum(f.amount) FROM facts f JOIN dim d USING (k) GROUP BY d.label ORDER BY 1", ["dim"]),
    "table twice": ("SELECT a.label, b.label, count(*) FROM facts f JOIN dim a USING (k) JOIN dim b ON b.k = f.k GROUP BY 1, 2 ORDER BY 1", ["dim"] * 2),
    "left join": ("SELECT f.k, d.label, count(*) FROM facts f LEFT JOIN dim d USING (k) GROUP BY 1, 2 ORDER BY 1", ["dim"]),
    "right join": ("SELECT d.k, count(f.id) FROM facts f RIGHT JOIN dim d ON d.k = f.k AND f.id < 3 GROUP BY 1 ORDER BY 1", ["dim"]),
    "full join": ("SELECT f.k, d.k, count(*) FROM facts f FULL JOIN nulls d USING (k) GROUP BY 1, 2 ORDER BY 1, 2", ["nulls"]),
    "condition above a left join": ("SELECT f.id FROM facts f LEFT JOIN dim d USING (k) WHERE d.label IS NULL AND f.id < 20 ORDER BY 1", ["dim"]),
    "condition of a left join": ("SELECT f.id, d.label FROM facts f LEFT JOIN dim d ON d.k = f.k AND d.label = 'label 1' WHERE f.id < 5 ORDER BY 1", ["dim"]),
    "empty": ("SELECT f.id, e.label FROM facts f LEFT JOIN empty e USING (k) WHERE f.id < 3 ORDER BY 1", ["empty"]),
    "only empty": ("SELECT count(*), max(e.label) FROM facts f JOIN empty e USING (k)", ["empty"]),
    "no column": ("SELECT count(*) FROM facts f, dim", ["dim"]),
    "materialized view": ("SELECT s.label, count(*) FROM facts JOIN stored s USING (k) GROUP BY 1 ORDER BY 1", ["stored"]),
    "partitions": ("SELECT s.part, count(*) FROM facts JOIN several s USING (k) WHERE s.part = 'b' GROUP BY 1", ["several"]),
    "inheritance": ("SELECT p.label, count(*) FROM facts JOIN parent p USING (k) GROUP BY 1 ORDER BY 1", ["parent"]),
    "only the parent": ("SELECT p.label, count(*) FROM facts JOIN ONLY parent p USING (k) GROUP BY 1 ORDER BY 1", ["parent"]),
    "dropped columns": ("SELECT d.k, d.label, d.later, count(*) FROM facts JOIN dropped d USING (k) GROUP BY 1, 2, 3 ORDER BY 1", ["dropped"]),
    "names": ('SELECT o."select", count(*) FROM facts f JOIN "Odd Names" o ON o."K" = f.k GROUP BY 1', ['"Odd Names"']),
    "the same name": ("SELECT p.label, count(*) FROM facts JOIN pond_shipped_0 p USING (k) GROUP BY 1", ["pond_shipped_0"]),
    "semi-join": ("SELECT count(*) FROM facts WHERE k IN (SELECT k FROM dim WHERE price > 2)", None),
    "anti-join": ("SELECT count(*) FROM facts f WHERE NOT EXISTS (SELECT 1 FROM dim d WHERE d.k = f.k)", ["dim"]),
    "not in with NULL": ("SELECT count(*) FROM facts WHERE k NOT IN (SELECT k FROM nulls)", None),
    "scalar": ("SELECT count(*) FROM facts WHERE k < (SELECT max(k) FROM dim)", None),
    "correlated": ("SELECT f.id, (SELECT d.label FROM dim d WHERE d.k = f.k) FROM facts f WHERE f.id < 7 ORDER BY 1", ["dim"]),
    "view": ("SELECT s.k, count(*) FROM facts JOIN seen s USING (k) GROUP BY 1 ORDER BY 1", None),
    "barrier": ("SELECT s.label, count(*) FROM facts JOIN fenced s USING (k) GROUP BY 1 ORDER BY 1", None),
    "view of both": ("SELECT label, count(*) FROM mixed GROUP BY 1 ORDER BY 1", ["dim"]),
    "CTE": ("WITH d AS (SELECT k, label FROM dim WHERE k < 2) SELECT d.label, count(*) FROM facts JOIN d USING (k) GROUP BY 1 ORDER BY 1", None),
    "CTE twice": ("WITH d AS MATERIALIZED (SELECT k FROM dim) SELECT count(*) FROM facts f JOIN d USING (k) JOIN d AS e ON e.k = f.k", None),
    "sub-query with a limit": ("SELECT count(*) FROM facts JOIN (SELECT k FROM dim ORDER BY price DESC LIMIT 2) d USING (k)", None),
    "sub-query that groups": ("SELECT d.n, count(*) FROM facts f JOIN (SELECT k, count(*) AS n FROM several GROUP BY k) d USING (k) GROUP BY 1", None),
    "set operation": ("SELECT count(*) FROM facts JOIN (SELECT k FROM dim UNION SELECT k FROM several) d USING (k)", None),
    "union with the lake": ("SELECT k, count(*) FROM (SELECT k FROM facts UNION ALL SELECT k FROM dim) u GROUP BY 1 ORDER BY 1", None),
    "function": ("SELECT n, count(*) FROM facts JOIN numbers(3) n ON n = k GROUP BY 1 ORDER BY 1", None),
    "generate_series": ("SELECT n, count(f.id) FROM generate_series(8, 12) n LEFT JOIN facts f ON n = k GROUP BY 1 ORDER BY 1", None),
    "values": ("SELECT v.a, count(*) FROM facts JOIN (VALUES (1, 'x'), (2, NULL)) v(k, a) USING (k) GROUP BY 1 ORDER BY 1", None),
}


@pytest.mark.parametrize("name", WHOLE)
def test_joined_with_the_lake(conn, name):
    statement, expected = WHOLE[name]
    assert check_same(conn, statement)
    assert is_whole(conn, statement)
    if expected is not None:
        assert shipped(conn, statement) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT p.label, count(*) FROM facts JOIN pairs(3) p USING (k) GROUP BY 1 ORDER BY 1",
        "SELECT f.id, n.* FROM facts f, LATERAL generate_series(1, f.k) n WHERE f.id < 5 ORDER BY 1, 2",
        "SELECT f.id, n.n, n.at FROM facts f JOIN generate_series(0, 3) WITH ORDINALITY n(n, at) ON n.n = f.k WHERE f.id < 15 ORDER BY 1",
        "SELECT f.id, a, b FROM facts f JOIN ROWS FROM (generate_series(0, 3), generate_series(5, 6)) r(a, b) ON a = k WHERE f.id < 15 ORDER BY 1",
        "SELECT f.id, d FROM facts f JOIN dim d USING (k) WHERE f.id < 12 ORDER BY 1",
        "SELECT f.id, d.ctid FROM facts f JOIN dim d USING (k) WHERE f.id < 12 ORDER BY 1",
        "SELECT f.id, d.tableoid::regclass FROM facts f JOIN several d USING (k) WHERE f.id < 12 ORDER BY 1",
        "SELECT count(*) FROM facts JOIN dim TABLESAMPLE SYSTEM (100) USING (k)",
        "SELECT f.id, d.label FROM facts f JOIN dim d USING (k) WHERE f.id < 12 ORDER BY 1 FOR UPDATE OF d",
        "SELECT f.id, d.label FROM facts f JOIN dim d USING (k) WHERE f.id < 12 AND random() >= 0 ORDER BY 1",
        "WITH RECURSIVE r(k) AS (SELECT 1 UNION ALL SELECT r.k + 1 FROM r JOIN dim d ON d.k = r.k) SELECT count(*) FROM facts JOIN r USING (k)",
        "WITH d AS (SELECT k FROM dim) SELECT count(*) FROM facts f WHERE k IN (SELECT k FROM d) AND EXISTS (SELECT 1 FROM d WHERE d.k = f.k)",
        "SELECT d.label, s.n FROM dim d CROSS JOIN LATERAL (SELECT count(*) AS n FROM facts f WHERE f.k = d.k) s ORDER BY 1",
        "SELECT d.label, (SELECT sum(amount) FROM facts f WHERE f.k = d.k AND f.id < 50) FROM dim d ORDER BY 1",
        "SELECT d.label FROM dim d WHERE d.k = ANY (SELECT k FROM facts WHERE id < 3) ORDER BY 1",
        "SELECT d.label, f.id FROM dim d LEFT JOIN LATERAL (SELECT id FROM facts f WHERE f.k = d.k ORDER BY id DESC LIMIT 1) f ON true ORDER BY 1",
        "SELECT f.id, d.label || '!' FROM facts f JOIN dim d USING (k) ORDER BY d.price DESC, f.id LIMIT 3 OFFSET 1",
        "SELECT DISTINCT ON (d.k) d.k, f.id FROM facts f JOIN dim d USING (k) ORDER BY d.k, f.id DESC",
        "SELECT d.k, row_number() OVER (PARTITION BY d.k ORDER BY f.id) FROM facts f JOIN dim d USING (k) WHERE f.id < 30 ORDER BY d.k, 2",
        "SELECT d.label, grouping(d.label), count(*) FROM facts f JOIN dim d USING (k) GROUP BY ROLLUP (d.label) ORDER BY 1, 2",
        "SELECT d.label, array_agg(f.id ORDER BY f.id) FILTER (WHERE f.id < 15) FROM facts f JOIN dim d USING (k) GROUP BY 1 ORDER BY 1",
        "SELECT count(*) FROM facts f JOIN dim d ON d.k = f.k AND to_char(d.price, '999.99') <> '' WHERE to_char(f.day, 'MM') = '01'",
        "SELECT d.*, f.* FROM facts f JOIN dim d USING (k) WHERE f.id IN (3, 13)  ORDER BY f.id",
        "SELECT (SELECT count(*) FROM dim), (SELECT max(label) FROM dim WHERE k < 2), count(*) FROM facts",
        "SELECT count(*) FROM facts f JOIN dim d USING (k) HAVING count(*) > (SELECT count(*) FROM nulls)",
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM empty) THEN 1 ELSE 2 END, count(*) FROM facts",
        "SELECT a.id FROM facts a JOIN facts b ON a.id = b.id JOIN dim d ON d.k = a.k LEFT JOIN nulls n ON n.k = d.k WHERE a.id < 12 ORDER BY 1",
        "SELECT count(*) FROM facts f JOIN dim d ON (d.k, d.label) = (f.k, 'label ' || f.k)",
        "SELECT count(*) FROM facts f WHERE (f.k, 'label 2') IN (SELECT k, label FROM dim)",
        "SELECT count(*) FROM facts f WHERE f.k = ANY (ARRAY(SELECT k FROM dim))",
        "SELECT ARRAY(SELECT label FROM dim ORDER BY k), count(*) FROM facts",
        "SELECT count(*) FROM facts f NATURAL JOIN (SELECT k FROM dim) s",
        "SELECT count(*) FROM facts f JOIN (SELECT DISTINCT ON (label) k FROM dim ORDER BY label, k) s USING (k)",
        "SELECT count(*) FROM facts f JOIN (SELECT k, row_number() OVER (ORDER BY label DESC) AS at FROM dim) s USING (k) WHERE s.at < 3",
        "SELECT count(*) FROM facts f JOIN dim d ON d.k = f.k WHERE d.k = ANY (SELECT k FROM nulls) OR d.k = 4",
        "SELECT count(*) FROM facts f JOIN dim d ON d.k = f.k WHERE (SELECT max(n.k) FROM nulls n WHERE n.k < d.k) = 2",
        "SELECT count(*) FROM facts f, LATERAL (SELECT d.k FROM dim d WHERE d.k = f.k LIMIT 1) s",
        "SELECT count(*) FROM facts f, LATERAL (SELECT sum(d.k) AS s FROM dim d WHERE d.k <= f.k) s WHERE s.s = 10",
        "SELECT count(*) FROM (SELECT f.k FROM facts f INTERSECT SELECT k FROM dim) s",
        "SELECT count(*) FROM (SELECT k FROM several EXCEPT ALL SELECT f.k FROM facts f WHERE id < 3) s",
        "SELECT count(*) FROM facts f LEFT JOIN nulls n ON n.k = f.k AND n.k > 1 WHERE coalesce(n.k, 9) = 9",
        "SELECT count(*) FROM nulls n LEFT JOIN facts f ON n.k = f.id AND n.label = '' WHERE n.k < 3 AND f.id IS NULL",
        "SELECT count(*) FROM facts f JOIN information_schema.tables t ON t.table_name = f.name",
        "SELECT count(*) FROM facts f, pg_settings s WHERE s.name = 'work_mem' AND f.id < 3",
        "SELECT count(*) FROM facts f JOIN unnest(ARRAY[1, 2, NULL]) u ON u = f.k",
        "SELECT count(*) FROM facts f JOIN json_to_recordset('[{\"a\": 1}, {\"a\": 2}]') AS x(a int) ON x.a = f.k",
        "SELECT count(*) FROM facts f JOIN regexp_split_to_table('n1,n2', ',') u ON u = f.name",
        "SELECT count(*) FROM facts f CROSS JOIN LATERAL (VALUES (f.k), (1)) v(x) WHERE v.x = 1",
        "SELECT count(*) FROM facts f JOIN now() n ON n > f.day",
        "SELECT count(*) FROM facts f JOIN generate_series('2024-01-01'::timestamp, '2024-01-03', '1 day') g ON g = f.day",
        "SELECT count(*) FROM facts JOIN dim USING (k) WHERE dim.k < extract(hour FROM now()) + 100 AND dim.k <> pg_backend_pid()",
        "SELECT 1 / (d.k - 2) FROM facts f JOIN dim d USING (k)",
        "SELECT (d.label)::int FROM facts f JOIN dim d USING (k)",
        "SELECT count(*) FROM facts f JOIN dim d USING (k) WHERE 1 / (d.k - 2) > 0",
        "SELECT (SELECT label FROM dim), count(*) FROM facts",
    ],
)
def test_nothing_changes(conn, statement):
    check_same(conn, statement)


# ---- types

TYPES = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "real": ("'NaN'", "'Infinity'", "1.17549435e-38"),
    "double precision": ("'NaN'", "'-Infinity'", "2.2250738585072014e-308", "5e-324"),
    "numeric(38,0)": ("99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"),
    "numeric(38,37)": ("9.9999999999999999999999999999999999999", "0"),
    "numeric(38,38)": ("0.99999999999999999999999999999999999999", "0", "-0.5"),
    "numeric(4,1)": ("999.9", "-0.1", "0.0"),
    "text": ("''", "'ä\U0001f600'", "repeat('x', 100000)", "E'a\\nb'"),
    "varchar(5)": ("'abc'", "'abc  '", "''"),
    "char(5)": ("'abc'", "''", "'abcde'", "' a'"),
    "char(5) ": ("'ä'", "'\U0001f600 b'"),
    "date": ("'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'2024-02-29'"),
    "timestamp": ("'4713-01-01 BC'", "'infinity'", "'-infinity'", "'2024-02-29 23:59:59.999999'"),
    "timestamp with time zone": ("'infinity'", "'-infinity'", "'2024-03-31 02:30:00.000001+00'"),
    "time": ("'00:00'", "'24:00:00'", "'23:59:59.999999'"),
    "uuid": ("'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    "bytea": ("''", "'\\x00ff'"),
}


@pytest.mark.parametrize("declared", TYPES)
def test_values_come_back_as_they_are(conn, declared):
    values = ", ".join(f"({at}, CAST({value} AS {declared}))" for at, value in enumerate(TYPES[declared]))
    conn.execute(f"CREATE TEMP TABLE typed (at int, v {declared}); INSERT INTO typed VALUES {values}, (100, NULL)")
    statement = "SELECT t.at, t.v, f.id FROM typed t LEFT JOIN facts f ON f.id = t.at ORDER BY t.at"
    assert is_whole(conn, statement) and shipped(conn, statement) == ["typed"]
    assert len(check_same(conn, statement)) == len(TYPES[declared]) + 1
    check_same(conn, "SELECT t.at, t.v::text, f.id FROM typed t LEFT JOIN facts f ON f.id = t.at ORDER BY t.at")
    check_same(conn, "SELECT t.v, count(*) FROM typed t LEFT JOIN facts f ON f.id = t.at GROUP BY 1 ORDER BY 1")
    check_same(conn, "SELECT count(*) FROM typed t JOIN typed u ON t.v = u.v LEFT JOIN facts f ON f.id = t.at")
    check_same(conn, "SELECT count(*), min(t.v), max(t.v), count(DISTINCT t.v) FROM typed t LEFT JOIN facts f ON f.id = t.at")


@pytest.mark.parametrize(
    "declared, value",
    [
        ("numeric", "1.5"),
        ("numeric(40,2)", "1.5"),
        ("mood", "'happy'"),
        ("json", "'{}'"),
        ("jsonb", "'{\"a\": 1}'"),
        ("positive", "1"),
        ("int[]", "'{1,NULL}'"),
        ("pair", "'(1,x)'"),
        ("inet", "'::1'"),
        ("bit(3)", "'101'"),
        ("char", "'a'"),
        ("\"char\"", "'a'"),
        ("name", "'a'"),
        ("oid", "1"),
        ("money", "1"),
        ("time with time zone", "'10:00+02'"),
        ("int4range", "'[1,2)'"),
        ("xid", "'1'"),
        ("interval", "'1 mon 30 days'"),
        ("regclass", "'pg_class'"),
        ("bpchar", "'a '"),
    ],
)
def test_types_that_stay(conn, declared, value):
    conn.execute("CREATE TYPE pg_temp.mood AS ENUM ('sad', 'happy'); CREATE DOMAIN pg_temp.positive AS int CHECK (VALUE > 0)")
    conn.execute("CREATE TYPE pg_temp.pair AS (a int, b text)")
    declared = f"pg_temp.{declared}" if declared in ("mood", "positive", "pair") else declared
    conn.execute(f"CREATE TEMP TABLE typed (at int, v {declared}); INSERT INTO typed VALUES (0, {value}), (1, NULL)")
    check_same(conn, "SELECT t.at, t.v, f.id FROM typed t LEFT JOIN facts f ON f.id = t.at ORDER BY t.at")
    check_same(conn, "SELECT count(t.v), count(*) FROM typed t LEFT JOIN facts f ON f.id = t.at WHERE t.v IS NOT NULL")
    # Other columns of such a table go.
    statement = "SELECT t.at, f.id FROM typed t JOIN facts f ON f.id = t.at ORDER BY 1"
    assert check_same(conn, statement) == [(0, 0), (1, 1)]
    assert is_whole(conn, statement)


def test_text_of_a_fraction(conn):
    conn.execute("CREATE TEMP TABLE fractions (at int, v numeric(3,3)); INSERT INTO fractions VALUES (1, 0.999), (2, 0)")
    assert check_same(conn, "SELECT t.v::text FROM fractions t JOIN facts f ON f.id = t.at ORDER BY t.at") == [("0.999",), ("0.000",)]


# ---- how many rows


def test_at_most_so_many_rows_by_estimate(conn):
    statement = "SELECT count(*) FROM facts JOIN dim USING (k)"
    with setting(conn, "duckdb.ship_rows", 5):
        assert shipped(conn, statement) == ["dim"]
    with setting(conn, "duckdb.ship_rows", 4):
        assert shipped(conn, statement) == [] and not is_whole(conn, statement)
        assert check_same(conn, statement) == [(500,)]
        # The condition counts in the estimate.
        assert shipped(conn, statement + " WHERE dim.k = 1") == ["dim"]
    with setting(conn, "duckdb.ship_rows", 0):
        for name in WHOLE:
            text = WHOLE[name][0]
            assert shipped(conn, text) == []
            check_same(conn, text)


def test_an_estimate_that_is_too_low(conn):
    conn.execute("CREATE TEMP TABLE grown (k int) WITH (autovacuum_enabled = off)")
    conn.execute("INSERT INTO grown SELECT 1; ANALYZE grown")
    conn.execute("INSERT INTO grown SELECT i % 10 FROM generate_series(1, 30000) i")
    with setting(conn, "duckdb.ship_rows", 2000):
        statement = "SELECT g.k, count(*) FROM facts f JOIN grown g ON g.k = f.id WHERE g.k * 2 = 4 GROUP BY 1"
        assert shipped(conn, statement) == ["grown"]
        assert check_same(conn, statement) == [(2, 3000)]


def test_many_rows_in_little_memory(conn):
    conn.execute("CREATE TEMP TABLE many AS SELECT i AS id, i % 10 AS k, repeat(md5(i::text), 8) AS pad FROM generate_series(1, 300000) i")
    conn.execute("ANALYZE many")
    statement = "SELECT count(*), sum(length(m.pad)), max(m.pad) FROM many m LEFT JOIN facts f ON f.id = m.id"
    with setting(conn, "duckdb.ship_rows", 1000000), setting(conn, "duckdb.memory_limit", "64MB"):
        assert shipped(conn, statement) == ["many"]
        assert check_same(conn, statement)[0][:2] == (300000, 300000 * 256)


# ---- what a snapshot shows


def counts(conn):
    return conn.execute("SELECT count(*) FROM facts JOIN work USING (k)").fetchone()[0]


@pytest.fixture
def work(su):
    su.execute("CREATE TABLE work (k int); INSERT INTO work VALUES (1); ANALYZE work")
    yield
    su.execute("DROP TABLE work")


def test_own_rows_are_seen_and_those_of_others_when_committed(connect, conn, work):
    other = connect(autocommit=False)
    other.execute("INSERT INTO work VALUES (2)")
    assert counts(other) == 200 and counts(conn) == 100
    assert other.execute("SELECT count(*) FROM facts WHERE k IN (SELECT k FROM work)").fetchone() == (200,)
    other.execute("SAVEPOINT s")
    other.execute("DELETE FROM work")
    assert counts(other) == 0
    other.execute("ROLLBACK TO s")
    assert counts(other) == 200
    other.commit()
    assert counts(conn) == 200


def test_repeatable_read_sees_what_it_saw(connect, conn, work):
    other = connect(autocommit=False)
    other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    assert counts(other) == 100
    conn.execute("INSERT INTO work VALUES (2)")
    assert counts(conn) == 200 and counts(other) == 100
    other.rollback()
    assert counts(other) == 200
    other.rollback()


def test_a_command_does_not_see_its_own_rows(conn, work):
    conn.execute("INSERT INTO work SELECT work.k + 1 FROM facts JOIN work USING (k) WHERE facts.id < 100")
    assert conn.execute("SELECT k, count(*) FROM work GROUP BY 1 ORDER BY 1").fetchall() == [(1, 1), (2, 10)]
    conn.execute("DELETE FROM work WHERE k IN (SELECT w.k + 1 FROM facts JOIN work w USING (k) WHERE w.k = 1)")
    assert conn.execute("SELECT k, count(*) FROM work GROUP BY 1 ORDER BY 1").fetchall() == [(1, 1)]
    conn.execute("UPDATE work SET k = s.k FROM (SELECT max(f.id) AS k FROM facts f JOIN work USING (k)) s")
    assert conn.execute("SELECT k FROM work").fetchall() == [(991,)]
    with_new = "WITH new AS (INSERT INTO work VALUES (3) RETURNING k) SELECT count(*), (SELECT count(*) FROM facts JOIN work USING (k)) FROM facts JOIN new USING (k)"
    assert conn.execute(with_new).fetchall() == [(100, 0)]
    assert counts(conn) == 100


def test_a_cursor_keeps_its_snapshot(connect, work):
    conn = connect(autocommit=False)
    conn.execute("DECLARE c CURSOR FOR SELECT f.id FROM facts f JOIN work USING (k) ORDER BY 1")
    conn.execute("INSERT INTO work VALUES (0)")
    assert conn.execute("FETCH 2 FROM c").fetchall() == [(1,), (11,)]
    conn.execute("DELETE FROM work")
    assert conn.execute("FETCH 1 FROM c").fetchall() == [(21,)]
    conn.rollback()


def test_cursors_go_back_and_outlive_their_transaction(connect, work):
    conn = connect(autocommit=False)
    conn.execute("DECLARE c SCROLL CURSOR FOR SELECT f.id FROM facts f JOIN work USING (k) ORDER BY 1")
    assert conn.execute("FETCH 3 FROM c").fetchall() == [(1,), (11,), (21,)]
    assert conn.execute("FETCH PRIOR FROM c").fetchall() == [(11,)]
    assert conn.execute("FETCH ABSOLUTE 1 FROM c").fetchall() == [(1,)]
    assert conn.execute("FETCH LAST FROM c").fetchall() == [(991,)]
    conn.execute("DECLARE h CURSOR WITH HOLD FOR SELECT f.id FROM facts f JOIN work USING (k) ORDER BY 1")
    conn.commit()
    assert conn.execute("FETCH 2 FROM h").fetchall() == [(1,), (11,)]
    conn.rollback()


# ---- plans that are kept


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_prepared_with_parameters(conn, mode):
    conn.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
    conn.execute("PREPARE p (int, text) AS SELECT d.label, count(*) FROM facts f JOIN dim d USING (k) WHERE d.k >= $1 AND d.label <> $2 AND f.id < $1 * 100 GROUP BY 1 ORDER BY 1")
    for low, label in ((1, "label 2"), (3, "label 3"), (0, "x"), (4, "")):
        expected = [(f"label {k}", low * 10) for k in range(low, 5) if f"label {k}" != label and low]
        assert conn.execute(f"EXECUTE p ({low}, '{label}')").fetchall() == expected
    assert conn.execute("EXECUTE p (NULL, NULL)").fetchall() == []
    conn.execute("PREPARE s (int) AS SELECT count(*) FROM facts WHERE k IN (SELECT k FROM dim WHERE k < $1)")
    assert [conn.execute(f"EXECUTE s ({n})").fetchone()[0] for n in (0, 1, 3, 9)] == [0, 100, 300, 500]
    conn.execute("PREPARE n (int) AS SELECT count(*) FROM facts JOIN generate_series(1, $1) n ON n = k")
    assert [conn.execute(f"EXECUTE n ({n})").fetchone()[0] for n in (0, 1, 3, 20)] == [0, 100, 300, 900]


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_plans_follow_changes(conn, mode):
    conn.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
    conn.execute("CREATE TEMP TABLE t (k int, label text); INSERT INTO t VALUES (1, 'one')")
    conn.execute("CREATE FUNCTION pg_temp.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'")
    conn.execute("PREPARE p AS SELECT t.label, count(*) FROM facts f JOIN t USING (k) GROUP BY 1")
    conn.execute("PREPARE q AS SELECT count(*) FROM facts WHERE k IN (SELECT pg_temp.twice(k) FROM t)")
    conn.execute("PREPARE r AS SELECT count(*) FROM facts f JOIN t ON f.id = pg_temp.twice(t.k)")
    assert conn.execute("EXECUTE p").fetchall() == [("one", 100)]
    assert conn.execute("EXECUTE q").fetchall() == [(100,)]
    assert conn.execute("EXECUTE r").fetchall() == [(1,)]
    conn.execute("ALTER TABLE t ALTER label TYPE varchar(2) USING left(label, 2)")
    assert sqlstate_of(conn, "EXECUTE p") in (None, "0A000")
    conn.execute("ALTER TABLE t ALTER k TYPE bigint")

    conn.execute("ALTER TABLE t ALTER k TYPE int")
    conn.execute("CREATE OR REPLACE FUNCTION pg_temp.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2000'")
    assert conn.execute("EXECUTE q").fetchall() == [(0,)]
    assert conn.execute("EXECUTE r").fetchall() == [(0,)]
    conn.execute("ALTER TABLE t DROP COLUMN label")
    assert sqlstate_of(conn, "EXECUTE p") == "42703"
    conn.execute("ALTER TABLE t ADD COLUMN label text DEFAULT 'new'")
    conn.execute("DROP TABLE t")
    assert sqlstate_of(conn, "EXECUTE p") == "42P01"
    conn.execute("CREATE TEMP TABLE t (label text, k int); INSERT INTO t VALUES ('again', 2)")
    assert conn.execute("EXECUTE p").fetchall() == [("again", 100)]


def test_plans_see_new_rows_and_partitions(conn):
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute("CREATE TEMP TABLE p (k int) PARTITION BY LIST (k); CREATE TEMP TABLE p1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1)")
    conn.execute("PREPARE q AS SELECT count(*) FROM facts JOIN p USING (k)")
    assert conn.execute("EXECUTE q").fetchone() == (100,)
    conn.execute("CREATE TEMP TABLE p2 PARTITION OF p FOR VALUES IN (2); INSERT INTO p VALUES (2)")
    assert conn.execute("EXECUTE q").fetchone() == (200,)
    conn.execute("ALTER TABLE p DETACH PARTITION p1")
    assert conn.execute("EXECUTE q").fetchone() == (100,)


def test_in_functions(conn):
    conn.execute(
        "CREATE FUNCTION pg_temp.count_for(wanted text) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; r record; BEGIN "
        "SELECT count(*) INTO n FROM facts JOIN dim d USING (k) WHERE d.label = wanted; "
        "FOR r IN SELECT f.id FROM facts f JOIN dim d USING (k) WHERE d.label = wanted ORDER BY 1 LIMIT 3 LOOP n := n + r.id; END LOOP; "
        "RETURN n; END $$"
    )
    for _ in range(7):
        assert conn.execute("SELECT pg_temp.count_for('label 2')").fetchone() == (100 + 2 + 12 + 22,)
    assert conn.execute("SELECT k, pg_temp.count_for(label) FROM dim ORDER BY 1").fetchall() == [(k, 100 + 3 * k + 30) for k in range(5)]


def test_transition_tables(conn):
    conn.execute("CREATE TEMP TABLE t (k int); CREATE TEMP TABLE seen_by_trigger (n bigint)")
    conn.execute(
        "CREATE FUNCTION pg_temp.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO seen_by_trigger SELECT count(*) FROM facts JOIN new_rows USING (k); RETURN NULL; END $$"
    )
    conn.execute("CREATE TRIGGER note AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION pg_temp.note()")
    conn.execute("INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (3)")
    assert conn.execute("SELECT n FROM seen_by_trigger").fetchall() == [(200,), (100,)]


def test_in_statements_that_write(conn):
    conn.execute("CREATE TEMP TABLE target (k int PRIMARY KEY, label text); INSERT INTO target SELECT k, label FROM dim")
    statements = [
        "INSERT INTO target SELECT max(k) + 100, 'new' FROM facts f JOIN target USING (k)",
        "INSERT INTO target SELECT 104, 'again' FROM facts f JOIN target USING (k) LIMIT 1 ON CONFLICT (k) DO UPDATE "
        "SET label = (SELECT max(name) FROM facts JOIN target t USING (k)) RETURNING k, label, (SELECT count(*) FROM facts JOIN target t USING (k))",
        "DELETE FROM target WHERE k > 50 RETURNING k, (SELECT count(*) FROM facts f JOIN target USING (k))",
        "MERGE INTO target t USING (SELECT f.k, count(*) AS n FROM facts f JOIN several USING (k) GROUP BY f.k) s ON s.k = t.k "
        "WHEN MATCHED AND s.k = 0 THEN UPDATE SET label = 'm' || s.n WHEN NOT MATCHED THEN INSERT VALUES (s.k, 'merged')",
        "UPDATE target t SET label = s.n || d.label FROM (SELECT k, count(*) AS n FROM facts GROUP BY k) s JOIN dim d USING (k) WHERE d.k = t.k AND t.k > 2",
    ]

    def run():
        found = []
        with conn.transaction(force_rollback=True):
            for statement in statements:
                cursor = conn.execute(statement)
                found.append(cursor.fetchall() if cursor.description else cursor.rowcount)
            found.append(conn.execute("SELECT * FROM target ORDER BY k").fetchall())
        return found

    ours = run()
    with setting(conn, "duckdb.enable_pushdown", "off"):
        assert ours == run()
    assert len(ours[-1]) == 10


def test_explain_says_what_is_shipped(conn):
    statement = "SELECT count(*) FROM facts JOIN dim USING (k)"
    (scan,) = scans(conn, statement, analyze=True)
    assert parts.names(scan) == ["dim"] and scan["Shipped Rows"] == 5
    assert "pond_shipped_0" in scan["DuckDB SQL"]
    # EXPLAIN reads nothing.
    conn.execute("CREATE FUNCTION pg_temp.bang(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE 'read'; END $$")
    statement = "SELECT count(*) FROM facts WHERE k IN (SELECT pg_temp.bang(k) FROM dim)"
    scans(conn, statement)
    assert sqlstate_of(conn, statement) == "P0001"


# ---- tables that are partly in the lake


@pytest.fixture(scope="module")
def mixed(su, tables, lake_writer, database):
    path = f"s3://lake/ship/{database}/some.parquet"
    lake_writer.execute(f"COPY (SELECT i::INTEGER AS id, 2::INTEGER AS k FROM range(10, 20) t(i)) TO '{path}'")
    su.execute("CREATE TABLE divided (id int, k int) PARTITION BY LIST (k); CREATE TABLE divided_heap PARTITION OF divided FOR VALUES IN (1)")
    su.execute(f"CREATE FOREIGN TABLE divided_lake PARTITION OF divided FOR VALUES IN (2) SERVER lake OPTIONS (path '{path}')")
    su.execute("CREATE TABLE above (id int, k int); INSERT INTO above VALUES (7, 7), (8, 2)")
    su.execute(f"CREATE FOREIGN TABLE below () INHERITS (above) SERVER lake OPTIONS (path '{path}')")
    su.execute("INSERT INTO divided VALUES (5, 1), (6, 1)")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id, k FROM divided ORDER BY 1",
        "SELECT count(*), sum(d.id) FROM divided d JOIN facts USING (id)",
        "SELECT count(*) FROM divided d JOIN facts USING (id) WHERE d.k = 2",
        "SELECT count(*) FROM divided d JOIN facts f ON f.k = d.k WHERE d.id IN (SELECT id FROM above)",
        "SELECT count(*), sum(a.id) FROM above a JOIN facts USING (id)",
        "SELECT count(*), sum(a.id) FROM ONLY above a JOIN facts USING (id)",
        "SELECT count(*) FROM facts WHERE id IN (SELECT id FROM above) AND id NOT IN (SELECT id FROM divided)",
        "SELECT tableoid::regclass, count(*) FROM above GROUP BY 1 ORDER BY 2",
    ],
)
def test_tables_that_are_partly_in_the_lake(conn, mixed, statement):
    assert isinstance(check_same(conn, statement), list)


# ---- scans that start again


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT d.k, s.n FROM dim d JOIN LATERAL (SELECT count(*) AS n, max(to_char(f.k, '9')) FROM facts f JOIN several USING (k) WHERE f.id > d.k) s ON true ORDER BY 1",
        "SELECT d.k, (SELECT count(*) FROM facts f JOIN several s USING (k) WHERE f.id < d.k * 10 AND to_char(s.k, '9') <> '') FROM dim d ORDER BY 1",
        "SELECT d.k, s.n FROM (VALUES (1), (2), (random()::int * 0 + 3)) d(k) JOIN (SELECT f.k, count(*) AS n, max(to_char(f.k, '9')) FROM facts f JOIN dim USING (k) GROUP BY f.k) s ON s.k = d.k ORDER BY 1",
        "SELECT count(*) FROM (SELECT f.k FROM facts f WHERE to_char(id, '9') <> '' ORDER BY f.k OFFSET 0) a JOIN "
        "(SELECT f.k FROM facts f JOIN dim USING (k) WHERE to_char(id, '9') <> '' ORDER BY f.k OFFSET 0) b ON a.k = b.k",
        "SELECT d.k, f.id FROM dim d LEFT JOIN (SELECT f.id, f.k, to_char(f.id, '9') AS t FROM facts f JOIN dim USING (k) WHERE f.id < 20) f ON f.k = d.k ORDER BY 1, 2",
    ],
)
@pytest.mark.parametrize("only", ["nestloop", "hashjoin", "mergejoin"])
def test_scans_that_start_again(conn, statement, only):
    for method in ("nestloop", "hashjoin", "mergejoin"):
        conn.execute(f"SET enable_{method} = {'on' if method == only else 'off'}")
    conn.execute("SET enable_material = off")
    assert isinstance(check_same(conn, statement), list)
