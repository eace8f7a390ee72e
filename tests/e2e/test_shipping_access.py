"""Shipped relations under PostgreSQL's rights: grants, policies, views, and what functions may see."""

import pytest
from psycopg import sql

import parts
from parts import check_same, shipped
from support import failure, sqlstate_of

SETUP = """
CREATE TABLE dim (k int, label text, secret text);
INSERT INTO dim SELECT i, 'label ' || i, 'pii' FROM generate_series(0, 4) i;
CREATE TABLE zero (k int, owner text, v int);
INSERT INTO zero SELECT i, CASE WHEN i % 2 = 0 THEN 'mine' ELSE 'theirs' END, CASE WHEN i % 2 = 0 THEN 1 ELSE 0 END FROM generate_series(0, 9) i;
ALTER TABLE zero ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON zero USING (owner = 'mine');
CREATE TABLE members (name text, k int);
CREATE TABLE rooms (k int, label text);
INSERT INTO rooms SELECT i, 'room ' || i FROM generate_series(0, 4) i;
ALTER TABLE rooms ENABLE ROW LEVEL SECURITY;
CREATE POLICY member ON rooms USING (EXISTS (SELECT 1 FROM members m WHERE m.k = rooms.k AND m.name = current_user));
CREATE VIEW dims AS SELECT k, label FROM dim;
CREATE VIEW invoked WITH (security_invoker) AS SELECT k, label FROM dim;
CREATE VIEW odd_rows WITH (security_barrier) AS SELECT k, owner, v FROM zero WHERE k % 4 = 0;
CREATE VIEW all_rooms AS SELECT * FROM rooms;
CREATE VIEW joined AS SELECT f.id, d.label FROM facts f JOIN dim d USING (k);
CREATE VIEW my_rooms WITH (security_invoker) AS SELECT f.id, r.label FROM facts f JOIN rooms r USING (k);
CREATE FUNCTION tell(int) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
CREATE FUNCTION definer() RETURNS bigint SECURITY DEFINER LANGUAGE plpgsql SET search_path = public
  AS $$ BEGIN RETURN (SELECT count(*) FROM facts JOIN rooms USING (k)); END $$;
CREATE FUNCTION definer_sql() RETURNS bigint SECURITY DEFINER LANGUAGE sql SET search_path = public
  AS 'SELECT count(*) FROM facts JOIN dim USING (k)';
"""
COUNT_ROOMS = "SELECT r.label, count(*) FROM facts f JOIN rooms r USING (k) GROUP BY 1 ORDER BY 1"


@pytest.fixture(scope="module", autouse=True)
def tables(su, servers, database, lake_writer, sandbox):
    folder = f"s3://lake/ship/{database}"
    parts.write_facts(lake_writer, folder)
    parts.make_tables(su, folder)
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS ({})".format(
        f"key_id '{sandbox.lake_reader.key_id}', secret '{sandbox.lake_reader.secret}'"))
    su.execute(SETUP)
    su.execute("ANALYZE dim, zero, rooms")
    su.execute("GRANT SELECT ON facts TO PUBLIC")


@pytest.fixture
def as_role(connect, role, su):
    """as_role("SELECT ON dim", …): a connection of a fresh role with these grants and SELECT on the lake."""

    def make(*grants, attributes=()):
        name = role(*attributes)
        for grant in grants:
            su.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(grant), sql.Identifier(name)))
        conn = connect(name)
        conn.execute("SELECT count(*) FROM facts")
        conn.name = name
        return conn

    return make


def notices(conn, statement):
    """What a statement returns, and the notices that it raises."""
    heard = []
    hear = lambda diag: heard.append(diag.message_primary)
    conn.add_notice_handler(hear)
    try:
        return conn.execute(statement).fetchall(), heard
    finally:
        conn.remove_notice_handler(hear)


# ---- grants


def test_select_is_needed(as_role):
    conn = as_role()
    for statement in (
        "SELECT count(*) FROM facts JOIN dim USING (k)",
        "SELECT count(*) FROM facts WHERE k IN (SELECT k FROM dim)",
        "SELECT (SELECT max(k) FROM dim), count(*) FROM facts",
        "SELECT count(*) FROM facts WHERE EXISTS (SELECT FROM dim WHERE dim.k = facts.k)",
        "SELECT count(*) FROM facts, dim",
        "WITH d AS (SELECT * FROM dim) SELECT count(*) FROM facts JOIN d USING (k)",
    ):
        assert sqlstate_of(conn, statement) == "42501", statement
        assert sqlstate_of(conn, "EXPLAIN ANALYZE " + statement) == "42501", statement
        assert sqlstate_of(conn, f"COPY ({statement}) TO STDOUT") == "42501", statement
        assert sqlstate_of(conn, f"CREATE TEMP TABLE t AS {statement}") == "42501", statement


def test_columns_are_granted_one_by_one(as_role):
    conn = as_role("SELECT (k, label) ON dim")
    statement = "SELECT d.label, count(*) FROM facts f JOIN dim d USING (k) GROUP BY 1 ORDER BY 1"
    assert len(check_same(conn, statement)) == 5 and shipped(conn, statement) == ["dim"]
    for refused in (
        "SELECT d.secret FROM facts f JOIN dim d USING (k)",
        "SELECT count(*) FROM facts f JOIN dim d USING (k) WHERE d.secret = 'pii'",
        "SELECT count(*) FROM facts f WHERE k IN (SELECT k FROM dim WHERE secret <> '')",
        "SELECT d FROM facts f JOIN dim d USING (k)",
        "SELECT count(*) FROM facts f JOIN dim d USING (k) ORDER BY max(d.secret)",
        "SELECT count(*) FROM facts f JOIN dim d ON d.k = f.k AND d.secret = f.name",
    ):
        assert sqlstate_of(conn, refused) == "42501", refused


def test_rights_that_go_while_a_plan_is_kept(as_role, su):
    conn = as_role("SELECT ON dim")
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute("PREPARE p AS SELECT count(*) FROM facts JOIN dim USING (k)")
    assert conn.execute("EXECUTE p").fetchone() == (500,)
    su.execute(sql.SQL("REVOKE SELECT ON dim FROM {}").format(sql.Identifier(conn.name)))
    assert sqlstate_of(conn, "EXECUTE p") == "42501"
    su.execute(sql.SQL("GRANT SELECT (label) ON dim TO {}").format(sql.Identifier(conn.name)))
    assert sqlstate_of(conn, "EXECUTE p") == "42501"
    su.execute(sql.SQL("GRANT SELECT (k) ON dim TO {}").format(sql.Identifier(conn.name)))
    assert conn.execute("EXECUTE p").fetchone() == (500,)


# ---- policies


def test_policies_hide_rows(as_role):
    conn = as_role("SELECT ON zero")
    statement = "SELECT z.k, z.owner, count(*) FROM facts f JOIN zero z USING (k) GROUP BY 1, 2 ORDER BY 1"
    assert check_same(conn, statement) == [(k, "mine", 100) for k in (0, 2, 4, 6, 8)]
    assert shipped(conn, statement) == ["zero"]
    assert check_same(conn, "SELECT count(*) FROM facts WHERE k NOT IN (SELECT k FROM zero)") == [(500,)]
    assert check_same(conn, "SELECT f.k FROM facts f LEFT JOIN zero z USING (k) WHERE z.k IS NULL AND f.id < 4 ORDER BY 1") == [(1,), (3,)]


def test_functions_do_not_see_hidden_rows(as_role):
    conn = as_role("SELECT ON zero", "SELECT ON odd_rows")
    for relation, seen in (("zero", [0, 2, 4, 6, 8]), ("odd_rows", [0, 4, 8])):
        for statement in (
            f"SELECT DISTINCT z.k FROM facts f JOIN {relation} z USING (k) WHERE tell(z.k) ORDER BY 1",
            f"SELECT DISTINCT z.k FROM facts f JOIN {relation} z ON z.k = f.k AND tell(z.k) ORDER BY 1",
            f"SELECT DISTINCT k FROM facts WHERE k IN (SELECT k FROM {relation} WHERE tell(k)) ORDER BY 1",
        ):
            rows, heard = notices(conn, statement)
            assert [k for (k,) in rows] == seen, statement
            assert set(heard) <= {f"saw {k}" for k in seen}, statement


@pytest.mark.parametrize("relation, seen", [("zero", [0, 2, 4, 6, 8]), ("odd_rows", [0, 4, 8])])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT DISTINCT z.k FROM facts f JOIN {} z USING (k) WHERE 1 / z.v = 1 ORDER BY 1",
        "SELECT DISTINCT z.k FROM facts f JOIN {} z ON z.k = f.k AND 1 / z.v = 1 ORDER BY 1",
        "SELECT DISTINCT k FROM (SELECT z.k, 1 / z.v AS q FROM facts f JOIN {} z USING (k)) s WHERE q = 1 ORDER BY 1",
        "SELECT k FROM (SELECT k, 1 / v AS q FROM {}) z WHERE q = 1 AND EXISTS (SELECT FROM facts f WHERE f.k = z.k) ORDER BY 1",
        "SELECT DISTINCT z.k FROM facts f JOIN {} z USING (k) WHERE f.id / z.v >= 0 ORDER BY 1",
        "SELECT DISTINCT z.k FROM facts f JOIN {} z USING (k) WHERE z.v + 2147483646 > 0 ORDER BY 1",
        "SELECT DISTINCT z.k FROM facts f JOIN {} z USING (k) WHERE z.owner::text::int > 0 OR true ORDER BY 1",
    ],
)
def test_errors_do_not_tell_of_hidden_rows(as_role, relation, seen, statement):
    conn = as_role("SELECT ON zero", "SELECT ON odd_rows")
    assert check_same(conn, statement.format(relation)) == [(k,) for k in seen]


def test_barriers_over_the_lake(as_role, su):
    su.execute("CREATE OR REPLACE VIEW fenced WITH (security_barrier) AS SELECT f.* FROM facts f JOIN dim d USING (k) WHERE d.k <> 3 AND f.id <> 500")
    conn = as_role("SELECT ON fenced")
    for statement in (
        "SELECT count(*) FROM fenced WHERE 10 / (id - 500) <= 1000",
        "SELECT count(*) FROM (SELECT 10 / (id - 500) AS q FROM fenced) s WHERE q <= 1000",
        "SELECT count(*) FROM (SELECT 10 / (k - 3) AS q FROM fenced) s WHERE q <= 1000",
        "SELECT count(*) FROM (SELECT (CASE WHEN id = 500 THEN 2147483647 ELSE 1 END) + 1 AS q FROM fenced) s WHERE q <= 1000",
        "SELECT count(*) FROM (SELECT (CASE WHEN k = 3 THEN 2147483647 ELSE 1 END) + 1 AS q FROM fenced) s WHERE q <= 1000",
        "SELECT count(*) FROM fenced a JOIN facts b ON b.id = a.id AND 10 / (a.k - 3) <= 1000",
        "SELECT sum(10 / (k - 3)) FROM fenced",
        "SELECT count(*) FILTER (WHERE 10 / (k - 3) <= 1000) FROM fenced",
        "SELECT max(q) FROM (SELECT DISTINCT 10 / (k - 3) AS q FROM fenced) s",
        "SELECT count(*) FROM fenced a WHERE EXISTS (SELECT FROM facts b WHERE b.id = a.id AND b.k / (a.k - 3) < 100)",
    ):
        assert isinstance(check_same(conn, statement), list), statement
    rows, heard = notices(conn, "SELECT count(*) FROM fenced WHERE tell(k) AND id < 20")
    assert rows == [(8,)] and set(heard) == {"saw 0", "saw 1", "saw 2", "saw 4"}


def test_permissive_and_restrictive(as_role, su):
    su.execute("CREATE POLICY all_of_it ON dim USING (true); CREATE POLICY low ON dim AS RESTRICTIVE USING (k < 3); ALTER TABLE dim ENABLE ROW LEVEL SECURITY")
    try:
        conn = as_role("SELECT ON dim")
        assert check_same(conn, "SELECT count(*) FROM facts JOIN dim USING (k)") == [(300,)]
        su.execute("DROP POLICY all_of_it ON dim")
        assert check_same(conn, "SELECT count(*) FROM facts JOIN dim USING (k)") == [(0,)]
        assert su.execute("SELECT count(*) FROM facts JOIN dim USING (k)").fetchone() == (500,)
    finally:
        su.execute("ALTER TABLE dim DISABLE ROW LEVEL SECURITY; DROP POLICY low ON dim; DROP POLICY IF EXISTS all_of_it ON dim")


def test_policies_with_sub_queries(as_role, su):
    conn, other = as_role("SELECT ON rooms, members"), as_role("SELECT ON rooms, members")
    su.execute("TRUNCATE members")
    su.execute("INSERT INTO members VALUES (%s, 1), (%s, 2), (%s, 3)", (conn.name, conn.name, other.name))
    assert check_same(conn, COUNT_ROOMS) == [("room 1", 100), ("room 2", 100)]
    assert check_same(other, COUNT_ROOMS) == [("room 3", 100)]
    assert check_same(conn, "SELECT count(*) FROM facts WHERE k IN (SELECT k FROM rooms)") == [(200,)]
    # Who may not read the other table reads nothing, as in PostgreSQL.
    assert check_same(as_role("SELECT ON rooms"), COUNT_ROOMS) == "42501"
    assert check_same(as_role("SELECT ON rooms", attributes=["BYPASSRLS"]), COUNT_ROOMS) == [(f"room {k}", 100) for k in range(5)]


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_prepared_plans_follow_the_role(connect, role, su, mode):
    one, two = role(), role()
    for name in (one, two):
        su.execute(sql.SQL("GRANT SELECT ON rooms, members TO {}").format(sql.Identifier(name)))
    su.execute("TRUNCATE members")
    su.execute("INSERT INTO members VALUES (%s, 1), (%s, 3)", (one, two))
    conn = connect()
    conn.execute("SELECT set_config('plan_cache_mode', %s, false)", (mode,))
    conn.execute(f"PREPARE p AS {COUNT_ROOMS}")
    assert len(conn.execute("EXECUTE p").fetchall()) == 5
    for name, room in ((one, 1), (two, 3), (one, 1)):
        conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
        assert conn.execute("EXECUTE p").fetchall() == [(f"room {room}", 100)]
    conn.execute("RESET ROLE")
    assert len(conn.execute("EXECUTE p").fetchall()) == 5
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(one)))
    conn.execute("SET row_security = off")
    assert sqlstate_of(conn, "EXECUTE p") == "42501"


def test_functions_plans_follow_the_role(connect, role, su):
    one, two = role(), role()
    for name in (one, two):
        su.execute(sql.SQL("GRANT SELECT ON rooms, members TO {}").format(sql.Identifier(name)))
    su.execute("TRUNCATE members")
    su.execute("INSERT INTO members VALUES (%s, 1), (%s, 2), (%s, 3)", (one, one, two))
    su.execute(
        "CREATE FUNCTION count_rooms() RETURNS bigint[] LANGUAGE plpgsql AS $$ DECLARE a bigint; b bigint; c bigint; BEGIN "
        "SELECT count(*) INTO a FROM facts WHERE k IN (SELECT k FROM rooms); "
        "SELECT count(*) INTO b FROM facts f WHERE EXISTS (SELECT FROM rooms r WHERE r.k = f.k); "
        "WITH r AS (SELECT k FROM rooms WHERE label <> '') SELECT count(*) INTO c FROM facts JOIN r USING (k); RETURN ARRAY[a, b, c]; END $$"
    )
    conn = connect()
    for _ in range(3):
        for name, rows in ((None, 500), (one, 200), (two, 100), (one, 200)):
            conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name) if name else sql.SQL("NONE")))
            for _ in range(3):
                assert conn.execute("SELECT count_rooms()").fetchone() == ([rows] * 3,)


def test_policies_that_go_while_a_plan_is_kept(as_role, su):
    conn = as_role("SELECT ON zero")
    conn.execute("SET plan_cache_mode = force_generic_plan")
    conn.execute("PREPARE p AS SELECT count(DISTINCT z.k) FROM facts JOIN zero z USING (k)")
    assert conn.execute("EXECUTE p").fetchone() == (5,)
    try:
        su.execute("ALTER POLICY mine ON zero USING (owner = 'mine' AND k > 2)")
        assert conn.execute("EXECUTE p").fetchone() == (3,)
        su.execute("DROP POLICY mine ON zero")
        assert conn.execute("EXECUTE p").fetchone() == (0,)
        su.execute("ALTER TABLE zero DISABLE ROW LEVEL SECURITY")
        assert conn.execute("EXECUTE p").fetchone() == (10,)
    finally:
        su.execute("DROP POLICY IF EXISTS mine ON zero; CREATE POLICY mine ON zero USING (owner = 'mine'); ALTER TABLE zero ENABLE ROW LEVEL SECURITY")
    assert conn.execute("EXECUTE p").fetchone() == (5,)


def test_forced_on_the_owner(su, connect, role):
    name = role()
    su.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(name)))
    conn = connect(name)
    conn.execute("CREATE TABLE own (k int); INSERT INTO own VALUES (1), (2); ALTER TABLE own ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON own USING (k = 1)")
    assert check_same(conn, "SELECT count(*) FROM facts JOIN own USING (k)") == [(200,)]
    conn.execute("ALTER TABLE own FORCE ROW LEVEL SECURITY")
    assert check_same(conn, "SELECT count(*) FROM facts JOIN own USING (k)") == [(100,)]
    conn.execute("DROP TABLE own")


# ---- views and functions of others


def test_views_read_with_their_owners_rights(as_role, su):
    conn = as_role("SELECT ON dims", "SELECT ON invoked", "SELECT ON joined", "SELECT ON all_rooms")
    statement = "SELECT d.label, count(*) FROM facts f JOIN dims d USING (k) GROUP BY 1 ORDER BY 1"
    assert len(check_same(conn, statement)) == 5
    assert check_same(conn, statement.replace("dims", "invoked")) == "42501"
    assert check_same(conn, statement.replace("dims", "dim")) == "42501"
    assert check_same(conn, "SELECT count(*) FROM joined") == [(500,)]
    # The owner is a superuser, whom no policy binds.
    assert check_same(conn, COUNT_ROOMS.replace("rooms", "all_rooms")) == [(f"room {k}", 100) for k in range(5)]
    assert check_same(conn, "SELECT count(*) FROM joined JOIN dim ON dim.label = joined.label") == "42501"


def test_views_that_read_with_the_readers_rights(as_role, su):
    conn = as_role("SELECT ON my_rooms, rooms, members")
    su.execute("TRUNCATE members")
    su.execute("INSERT INTO members VALUES (%s, 4)", (conn.name,))
    assert check_same(conn, "SELECT label, count(*) FROM my_rooms GROUP BY 1") == [("room 4", 100)]


def test_a_view_of_a_role_that_a_policy_binds(su, connect, role, as_role):
    owner = role()
    su.execute(sql.SQL("GRANT SELECT ON rooms, members TO {0}; GRANT CREATE ON SCHEMA public TO {0}").format(sql.Identifier(owner)))
    su.execute("TRUNCATE members")
    su.execute("INSERT INTO members VALUES (%s, 2)", (owner,))
    connect(owner).execute("CREATE VIEW lent AS SELECT r.k, r.label FROM rooms r; GRANT SELECT ON lent TO PUBLIC")
    # current_user in a policy is the reader, the policy's other rights are the view owner's.
    reader = as_role()
    assert check_same(reader, "SELECT count(*) FROM facts JOIN lent USING (k)") == [(0,)]
    su.execute("INSERT INTO members VALUES (%s, 3)", (reader.name,))
    assert check_same(reader, "SELECT l.label, count(*) FROM facts JOIN lent l USING (k) GROUP BY 1") == [("room 3", 100)]
    su.execute(sql.SQL("REVOKE SELECT ON rooms FROM {}").format(sql.Identifier(owner)))
    assert check_same(reader, "SELECT count(*) FROM facts JOIN lent USING (k)") == "42501"
    su.execute("DROP VIEW lent")


def test_security_definer(as_role, su):
    conn = as_role()
    assert check_same(conn, "SELECT definer(), definer_sql()") == [(500, 500)]
    assert sqlstate_of(conn, "SELECT count(*) FROM facts JOIN rooms USING (k)") == "42501"
    assert check_same(conn, "SELECT definer()") == [(500,)]


def test_nobody_names_the_shipped_table(as_role):
    conn = as_role("SELECT ON zero")
    for name in ("pond_shipped_0", "pg_temp.pond_shipped_0", "temp.pond_shipped_0"):
        error = failure(conn, f"SELECT count(*) FROM facts JOIN zero USING (k) JOIN {name} s ON true")
        assert error.sqlstate == "42P01"


def test_a_cursor_of_one_role_read_by_another(connect, role, su):
    name = role()
    su.execute(sql.SQL("GRANT SELECT ON zero TO {}").format(sql.Identifier(name)))
    conn = connect(autocommit=False)
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
    conn.execute("DECLARE c CURSOR FOR SELECT DISTINCT z.k FROM facts JOIN zero z USING (k) ORDER BY 1")
    conn.execute("RESET ROLE")
    assert conn.execute("FETCH ALL FROM c").fetchall() == [(k,) for k in (0, 2, 4, 6, 8)]
    conn.execute("DECLARE d CURSOR FOR SELECT count(DISTINCT z.k) FROM facts JOIN zero z USING (k)")
    conn.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
    assert conn.execute("FETCH ALL FROM d").fetchall() == [(10,)]
    conn.rollback()


def test_a_cursor_that_a_definer_opened(as_role, su):
    su.execute(
        "CREATE FUNCTION opens() RETURNS refcursor SECURITY DEFINER LANGUAGE plpgsql SET search_path = public AS $$ DECLARE c refcursor := 'c'; "
        "BEGIN OPEN c FOR SELECT f.id FROM facts f JOIN dim USING (k) ORDER BY 1; RETURN c; END $$"
    )
    conn = as_role()
    assert sqlstate_of(conn, "SELECT count(*) FROM dim") == "42501"
    with conn.transaction():
        conn.execute("SELECT opens()")
        assert conn.execute("FETCH 2 FROM c").fetchall() == [(0,), (1,)]


def test_a_cursor_that_a_definer_opened_and_that_ships_often(as_role, su):
    su.execute(
        "CREATE FUNCTION opens_often() RETURNS refcursor SECURITY DEFINER LANGUAGE plpgsql SET search_path = public SET enable_material = off AS $$ DECLARE c refcursor := 'c'; "
        "BEGIN OPEN c FOR SELECT g, rows FROM (SELECT n + (random() * 0)::int AS g FROM generate_series(1, 5) n OFFSET 0) s LEFT JOIN (SELECT count(*) AS rows FROM facts f JOIN dim USING (k) OFFSET 0) t ON g >= 0; RETURN c; END $$"
    )
    conn = as_role()
    with conn.transaction():
        conn.execute("SELECT opens_often()")
        assert [conn.execute("FETCH 1 FROM c").fetchone() for _ in range(5)] == [(n, 500) for n in range(1, 6)]


def test_what_a_view_hides_stays_hidden(as_role, su):
    """A view whose own column keeps it from being shipped whole: its relations are shipped one by one."""
    su.execute("TRUNCATE members; CREATE VIEW mine AS SELECT d.k, d.label, NULL::jsonb AS j FROM dim d JOIN members m ON m.k = d.k AND m.name = current_user")
    conn = as_role("SELECT ON mine")
    su.execute("INSERT INTO members VALUES (%s, 2)", (conn.name,))
    for statement in (
        "SELECT m.label, count(*) FROM facts f JOIN mine m USING (k) GROUP BY 1",
        "SELECT m.label, count(*) FROM facts f JOIN mine m USING (k) WHERE m.label IS NOT NULL GROUP BY 1",
        "SELECT DISTINCT m.label, 100::bigint FROM facts f LEFT JOIN mine m USING (k) WHERE m.k IS NOT NULL",
    ):
        assert check_same(conn, statement) == [("label 2", 100)]
    rows, heard = notices(conn, "SELECT DISTINCT m.k FROM facts f JOIN mine m USING (k) WHERE tell(m.k)")
    assert rows == [(2,)]
