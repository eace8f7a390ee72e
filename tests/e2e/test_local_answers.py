"""What DuckDB cannot compute, PostgreSQL answers itself, provided that DuckDB has given no row yet: with
PostgreSQL's rows, errors and rights, wherever in the statement the part stands."""

import pytest
from psycopg import sql

import parts
from parts import check_same, reasons, setting
from support import sqlstate_of

SETUP = """
CREATE TABLE dim (k int, label text, price numeric(10,2));
INSERT INTO dim SELECT i, 'label ' || i, i + 0.25 FROM generate_series(0, 4) i;
CREATE TABLE guarded (id int, who text);
INSERT INTO guarded VALUES (1, 'mine'), (2, 'theirs'), (3, 'mine');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON guarded USING (who = 'mine');
CREATE VIEW years AS SELECT id, extract(year FROM day) AS year FROM odd;
CREATE VIEW fenced WITH (security_barrier) AS SELECT * FROM odd WHERE id <> 2;
CREATE FUNCTION years_of(int) RETURNS SETOF numeric LANGUAGE sql STABLE AS 'SELECT extract(year FROM day) FROM odd WHERE id >= $1 ORDER BY id';
"""
YEAR = "extract(year FROM o.day)"


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer, sandbox):
    folder = f"s3://lake/local/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    lake_writer.execute(
        "COPY (SELECT i::INTEGER AS id, CASE WHEN i = 299999 THEN DATE 'infinity' ELSE DATE '2024-01-01' END AS day "
        f"FROM range(300000) t(i)) TO '{folder}/late.parquet'"
    )
    su.execute(f"CREATE FOREIGN TABLE late () SERVER lake OPTIONS (path '{folder}/late.parquet')")
    su.execute(SETUP)
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS ({})".format(
        f"key_id '{sandbox.lake_reader.key_id}', secret '{sandbox.lake_reader.secret}'"))
    su.execute("ANALYZE dim, guarded")


@pytest.fixture
def conn(connect):
    conn = connect()
    conn.execute("LOAD 'pg_pond'")
    return conn


# Statements of which PostgreSQL has to answer a part.
LOCAL = {
    "select list": f"SELECT o.id, {YEAR} FROM odd o ORDER BY o.id",
    "order": f"SELECT o.id FROM odd o ORDER BY {YEAR}, o.id DESC",
    "condition": f"SELECT o.id FROM odd o WHERE {YEAR} > 2000 ORDER BY 1",
    "sum": "SELECT sum(big) FROM odd",
    "sum of groups": "SELECT k, sum(big) FROM odd o JOIN facts f ON f.k = o.id GROUP BY k ORDER BY k",
    "groups": f"SELECT {YEAR}, count(*) FROM odd o GROUP BY 1 ORDER BY 1",
    "distinct": f"SELECT DISTINCT {YEAR} FROM odd o, facts ORDER BY 1",
    "distinct on": f"SELECT DISTINCT ON ({YEAR}) {YEAR}, f.id FROM odd o JOIN facts f ON f.k = o.id ORDER BY 1, 2 DESC",
    "limit": f"SELECT {YEAR}, f.id FROM odd o JOIN facts f ON f.k = o.id ORDER BY f.id LIMIT 3 OFFSET 2",
    "window": f"SELECT f.id, rank() OVER (ORDER BY {YEAR}, f.id) FROM odd o JOIN facts f ON f.k = o.id WHERE f.id < 30 ORDER BY 1",
    "join": f"SELECT f.id, {YEAR} FROM odd o JOIN facts f ON f.k = o.id WHERE f.id < 20 ORDER BY 1",
    "left join": f"SELECT f.id, {YEAR} FROM facts f LEFT JOIN odd o ON f.k = o.id AND {YEAR} > 0 WHERE f.id < 20 ORDER BY 1",
    "shipped": f"SELECT d.label, {YEAR} FROM odd o JOIN dim d ON d.k = o.id ORDER BY 1",
    "union": f"SELECT {YEAR} FROM odd o UNION ALL SELECT extract(year FROM day) FROM facts WHERE id < 2 ORDER BY 1",
    "except": f"SELECT {YEAR} FROM odd o EXCEPT SELECT extract(year FROM day) FROM facts ORDER BY 1",
    "CTE": f"WITH y AS (SELECT o.id, {YEAR} AS y FROM odd o) SELECT a.id, b.y FROM y a JOIN y b USING (id) ORDER BY 1",
    "sub-query": f"SELECT f.id, (SELECT max({YEAR}) FROM odd o WHERE o.id = f.k) FROM facts f WHERE f.id < 5 ORDER BY 1",
    "exists": f"SELECT f.id FROM facts f WHERE f.id < 5 AND EXISTS (SELECT FROM odd o WHERE o.id = f.k AND {YEAR} > 0) ORDER BY 1",
    "in": f"SELECT f.id FROM facts f WHERE f.id < 5 AND (f.id + 2022) IN (SELECT {YEAR} FROM odd o) ORDER BY 1",
    "grouping sets": f"SELECT {YEAR}, f.k, count(*) FROM odd o JOIN facts f ON f.k = o.id GROUP BY CUBE (1, 2) ORDER BY 1, 2",
    "having": f"SELECT f.k, count(*) FROM odd o JOIN facts f ON f.k = o.id GROUP BY 1 HAVING max({YEAR}) > 3000",
    "view": "SELECT * FROM years ORDER BY id",
    "barrier": f"SELECT o.id, {YEAR} FROM fenced o ORDER BY 1",
    "function": "SELECT * FROM years_of(2)",
    # Beside what PostgreSQL does anyway.
    "above a join": f"SELECT to_char({YEAR}, 'FM9999'), f.id FROM odd o JOIN facts f ON f.k = o.id WHERE f.id < 20 ORDER BY 2",
    "below a grouping": "SELECT f.k, count(*), min(extract(year FROM o.day)), max(array_length(string_to_array(f.name, '1'), 1)) FROM odd o JOIN facts f ON f.k = o.id GROUP BY f.k ORDER BY f.k",
    "below an aggregate": f"SELECT count(*), max({YEAR}), max(array_length(string_to_array(f.name, '1'), 1)) FROM odd o JOIN facts f ON f.k = o.id",
    "below a having": f"SELECT f.k, max({YEAR}) FROM odd o JOIN facts f ON f.k = o.id GROUP BY 1 HAVING max(array_length(string_to_array(f.name, '1'), 1)) > 3 ORDER BY 1",
    "below an offset": f"SELECT {YEAR}, count(*), to_char(sum(o.id), 'FM000') FROM odd o GROUP BY 1 ORDER BY to_char(sum(o.id), 'FM000') DESC LIMIT 2 OFFSET 1",
    "below a limit": f"SELECT {YEAR}, f.id FROM odd o JOIN facts f ON f.k = o.id ORDER BY to_char(f.id, 'FM0000') DESC LIMIT 3 OFFSET 1",
    "below a distinct": f"SELECT DISTINCT {YEAR}, to_char(f.k, 'FM0') FROM odd o JOIN facts f ON f.k = o.id ORDER BY 1, 2",
    "below a window": f"SELECT f.id, row_number() OVER (ORDER BY to_char(f.id, 'FM0000') DESC), {YEAR} FROM odd o JOIN facts f ON f.k = o.id WHERE f.id < 30 ORDER BY 1 LIMIT 5 OFFSET 2",
    "below a window over groups": f"SELECT f.k, sum(count(*)) OVER (ORDER BY to_char(f.k, 'FM0')), max({YEAR}) FROM odd o JOIN facts f ON f.k = o.id GROUP BY f.k ORDER BY 1",
    "below a condition": f"SELECT f.id, {YEAR} FROM odd o JOIN facts f ON f.k = o.id WHERE to_char(f.id, 'FM000') LIKE '01%' ORDER BY 1",
    "below grouping sets": "SELECT f.k, max(extract(year FROM o.day)), max(to_char(f.id, 'FM000')) FROM odd o JOIN facts f ON f.k = o.id GROUP BY ROLLUP (f.k) ORDER BY 1",
    "rescan": f"SELECT d.k, s.y FROM dim d, LATERAL (SELECT max({YEAR}) AS y, max(to_char(o.id, 'FM0')) FROM odd o WHERE o.id >= d.k) s ORDER BY 1",
    "sub-plan": f"SELECT d.k, (SELECT max({YEAR}) FROM odd o WHERE to_char(o.id, 'FM0') >= d.k::text) FROM dim d ORDER BY 1",
    "set-returning": f"SELECT {YEAR}, generate_series(1, 2) FROM odd o JOIN facts f ON f.id = o.id ORDER BY 1, 2",
}


@pytest.mark.parametrize("name", LOCAL)
def test_rows_are_postgresqls(conn, name):
    check_same(conn, LOCAL[name])
    assert isinstance(check_same(conn, f"SELECT count(*) FROM ({LOCAL[name]}) s"), list)


def test_it_says_so(conn):
    for name in ("select list", "sum", "join", "limit", "union", "barrier", "above a join"):
        assert reasons(conn, LOCAL[name]), name
    with setting(conn, "duckdb.enable_pushdown", "off"):
        assert reasons(conn, LOCAL["select list"]) == []
    assert reasons(conn, "SELECT count(*) FROM facts") == []


def test_parameters(conn):
    for value in ("NaN", "Infinity", "-Infinity", "1e40", "0.000000000000000000000000000000000000000000001", "12.5"):
        for operator in ("<", ">", "=", "<>"):
            check_same(conn, f"SELECT count(*) FROM facts WHERE amount {operator} %s::numeric", (value,))
    for mode in ("force_generic_plan", "force_custom_plan"):
        conn.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
        conn.execute("PREPARE p (numeric, int) AS SELECT count(*), sum(id) FROM facts WHERE amount < $1 AND id < $2")
        for value in ("'NaN'", "10", "'Infinity'", "NULL", "1e50"):
            check_same(conn, f"EXECUTE p ({value}, 30)")
        conn.execute("DEALLOCATE p")


def test_errors_are_postgresqls(conn):
    for statement in (
        "SELECT (SELECT id FROM facts) FROM facts",
        "SELECT id FROM facts WHERE k = (SELECT k FROM facts WHERE id < 3)",
        "SELECT id + 2147483647 FROM facts",
        "SELECT 1 / k FROM facts",
        "SELECT count(*) FROM facts WHERE 1 / k = 1",
        "SELECT name::int FROM facts",
        "SELECT day + 2147483647 FROM odd",
        "SELECT f.id FROM facts f JOIN dim d USING (k) WHERE 1 / d.k = 0",
        "SELECT big * big * big FROM odd",
        "SELECT sqrt(f - 10) FROM facts",
        "SELECT ln(f) FROM facts",
        "SELECT substr(name, 1, -1) FROM facts",
    ):
        check_same(conn, statement)


def test_in_exception_blocks(conn):
    conn.execute(
        "CREATE FUNCTION pg_temp.years() RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR i IN 1..3 LOOP "
        f"BEGIN FOR r IN SELECT o.id, {YEAR} AS y FROM odd o ORDER BY 1 LOOP RETURN NEXT r.id || ':' || r.y; END LOOP; "
        "PERFORM 1 / k FROM facts; EXCEPTION WHEN division_by_zero THEN RETURN NEXT 'caught'; END; END LOOP; END $$"
    )
    assert [row for (row,) in conn.execute("SELECT pg_temp.years()")] == ["1:Infinity", "2:2024", "3:-Infinity", "caught"] * 3


def test_in_cursors(connect):
    conn = connect(autocommit=False)
    conn.execute(f"DECLARE c SCROLL CURSOR FOR {LOCAL['select list']}")
    rows = [(1, "Infinity"), (2, "2024"), (3, "-Infinity")]
    fetch = lambda what: [(at, str(year)) for at, year in conn.execute(f"FETCH {what} FROM c")]
    assert fetch("2") == rows[:2] and fetch("PRIOR") == rows[:1] and fetch("ALL") == rows[1:] and fetch("FIRST") == rows[:1]
    conn.execute(f"DECLARE h CURSOR WITH HOLD FOR {LOCAL['join']}")
    conn.commit()
    assert len(conn.execute("FETCH ALL FROM h").fetchall()) == 6
    conn.rollback()


def test_in_statements_that_write(conn):
    conn.execute(f"CREATE TEMP TABLE made AS {LOCAL['join']}")
    assert conn.execute("SELECT count(*) FROM made").fetchone() == (6,)
    conn.execute(f"INSERT INTO made {LOCAL['join']}")
    assert conn.execute("SELECT count(*) FROM made").fetchone() == (12,)
    with conn.cursor().copy(f"COPY ({LOCAL['select list']}) TO STDOUT") as copy:
        assert list(copy.rows()) == [("1", "Infinity"), ("2", "2024"), ("3", "-Infinity")]
    conn.execute(f"CREATE MATERIALIZED VIEW kept AS {LOCAL['groups']}")
    conn.execute("REFRESH MATERIALIZED VIEW kept")
    assert conn.execute("SELECT count(*) FROM kept").fetchone() == (3,)
    conn.execute("DROP MATERIALIZED VIEW kept")


def test_in_statements_that_want_whole_rows(conn):
    conn.execute("CREATE TEMP TABLE made AS SELECT id, 0::numeric AS y FROM facts WHERE id < 20")
    joined = f"(SELECT f.id, {YEAR} AS y FROM odd o JOIN facts f ON f.k = o.id)"
    conn.execute(f"UPDATE made m SET y = s.y FROM {joined} s WHERE s.id = m.id")
    assert conn.execute("SELECT count(*) FROM made WHERE y <> 0").fetchone() == (6,)
    conn.execute(f"DELETE FROM made WHERE y IN (SELECT {YEAR} FROM odd o WHERE o.id = 3)")
    conn.execute(f"DELETE FROM made m USING {joined} s WHERE s.id = m.id AND s.y > 3000")
    assert conn.execute("SELECT count(*) FROM made WHERE y <> 0").fetchone() == (2,)
    assert len(conn.execute(f"SELECT m.id, s.y FROM made m JOIN {joined} s USING (id) FOR UPDATE OF m").fetchall()) == 2


def test_own_rows_in_the_same_transaction(connect):
    conn = connect(autocommit=False)
    conn.execute("CREATE TEMP TABLE mine (id int); INSERT INTO mine VALUES (1)")
    statement = f"SELECT {YEAR}::text FROM odd o JOIN mine USING (id) ORDER BY 1"
    assert conn.execute(statement).fetchall() == [("Infinity",)]
    conn.execute("INSERT INTO mine VALUES (2)")
    assert conn.execute(statement).fetchall() == [("2024",), ("Infinity",)]
    conn.execute("CREATE TEMP TABLE into_itself (id int, y numeric); INSERT INTO into_itself VALUES (1, 0)")
    conn.execute(f"INSERT INTO into_itself SELECT o.id + 1, {YEAR} FROM odd o JOIN into_itself USING (id)")
    assert conn.execute("SELECT count(*) FROM into_itself").fetchone() == (2,)
    conn.rollback()


@pytest.mark.parametrize("column, code", [("extract(year FROM day)", "0A000"), ("1 / (id - 299999)", "22012")])
def test_after_the_first_row_an_error_stays_one(connect, column, code):
    conn = connect(autocommit=False)
    conn.execute(f"DECLARE c CURSOR FOR SELECT id, {column} FROM late")
    assert len(conn.execute("FETCH 10 FROM c").fetchall()) == 10
    assert sqlstate_of(conn, "FETCH ALL FROM c") == code
    conn.rollback()
    assert conn.execute("SELECT count(*) FROM facts").fetchone() == (parts.ROWS,)


# ---- rights


@pytest.fixture
def reader(connect, role, su):
    def make(*grants):
        name = role()
        for grant in grants:
            su.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(grant), sql.Identifier(name)))
        return connect(name)

    return make


def test_rights_are_checked(reader):
    conn = reader("SELECT ON years, fenced")
    assert len(check_same(conn, LOCAL["view"])) == 3
    assert [at for at, _ in check_same(conn, LOCAL["barrier"])] == [1, 3]
    for name in ("select list", "sum", "join", "shipped", "CTE", "below a grouping"):
        assert sqlstate_of(conn, LOCAL[name]) == "42501"
    conn = reader("SELECT (id) ON odd", "SELECT ON facts")
    assert check_same(conn, "SELECT count(id) FROM odd") == [(3,)]
    assert sqlstate_of(conn, LOCAL["select list"]) == "42501"


def test_policies_hold(reader):
    conn = reader("SELECT ON odd, guarded")
    assert [at for at, _ in check_same(conn, f"SELECT o.id, {YEAR} FROM odd o JOIN guarded USING (id) ORDER BY 1")] == [1, 3]
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute(f"PREPARE p AS SELECT o.id, {YEAR}::text FROM odd o JOIN guarded USING (id) ORDER BY 1")
    assert conn.execute("EXECUTE p").fetchall() == [(1, "Infinity"), (3, "-Infinity")]


def test_kept_plans_follow_changes(conn):
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute("CREATE TEMP TABLE mine (id int, label text); INSERT INTO mine VALUES (1, 'a')")
    conn.execute(f"PREPARE p (int) AS SELECT m.label, {YEAR}::text FROM odd o JOIN mine m USING (id) WHERE o.id >= $1")
    assert conn.execute("EXECUTE p (1)").fetchall() == [("a", "Infinity")]
    conn.execute("ALTER TABLE mine ADD COLUMN more int; INSERT INTO mine VALUES (2, 'b')")
    assert conn.execute("EXECUTE p (2)").fetchall() == [("b", "2024")]
    conn.execute("CREATE INDEX ON mine (id); ANALYZE mine; DROP INDEX pg_temp.mine_id_idx")
    assert conn.execute("EXECUTE p (2)").fetchall() == [("b", "2024")]
    conn.execute("DROP TABLE mine")
    assert sqlstate_of(conn, "EXECUTE p (1)") == "42P01"
