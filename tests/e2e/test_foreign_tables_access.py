"""Foreign tables under PostgreSQL's rights: who reads with whose key. Which key signed a request is
read off the requests."""

import contextlib

import psycopg
import pytest
from psycopg import sql

from conftest import Key, create_server, map_user, unique
from support import Proxy, failure, sqlstate_of, words

BUCKET = "s3://lake/fta/"
QUERY_FUNCTIONS = 'duckdb.query(duckdb.sql), duckdb.query(duckdb.sql, "any"), duckdb.query_rows(text)'


def name_of(identifier):
    return '"' + identifier.replace('"', '""') + '"'


@pytest.fixture(scope="module")
def store(sandbox, lake_writer):
    """The object store behind a proxy that sees who signs the requests."""
    for part in (0, 1):
        lake_writer.execute(
            f"COPY (SELECT i, {part} AS part, 'n' || i AS name, 'pii' AS secret FROM range({part * 5}, {part * 5 + 5}) t(i)) "
            f"TO '{BUCKET}people/{part}.parquet'"
        )
    lake_writer.execute(f"COPY (SELECT 'rest' AS of_the_bucket) TO '{BUCKET}rest.parquet'")
    proxy = Proxy(sandbox.s3_endpoint)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def tables(su, sandbox, store):
    """Server `lake` of the superuser, and its foreign tables."""
    create_server(su, sandbox, "lake", BUCKET, endpoint=store.address)
    map_user(su, "postgres", "lake", sandbox.all)
    su.execute(f"CREATE FOREIGN TABLE people () SERVER lake OPTIONS (path '{BUCKET}people/*.parquet')")
    su.execute("CREATE VIEW names AS SELECT i, name FROM people")
    su.execute("CREATE VIEW invoked WITH (security_invoker) AS SELECT i, name FROM people")
    su.execute("CREATE VIEW fenced WITH (security_barrier) AS SELECT i, name FROM people WHERE i < 3")
    su.execute(
        "CREATE FUNCTION definer() RETURNS bigint SECURITY DEFINER SET search_path = public LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN (SELECT count(*) FROM people); END $$"
    )
    su.execute("CREATE FUNCTION invoker() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM people); END $$")


@pytest.fixture(autouse=True)
def all_there(tables):
    pass


@pytest.fixture
def reader(role, su):
    """reader(key, "GRANT …"): a role with a mapping for server lake (none without a key) and these grants, but no USAGE."""

    def make(key=None, *grants):
        name = role()
        if key:
            su.execute(
                sql.SQL("CREATE USER MAPPING FOR {} SERVER lake OPTIONS (key_id {}, secret {})").format(
                    sql.Identifier(name), sql.Literal(key.key_id), sql.Literal(key.secret)
                )
            )
        for grant in grants:
            su.execute(f"GRANT {grant} TO {name_of(name)}")
        return name

    return make


@contextlib.contextmanager
def signed_by(store, *keys):
    """Within, requests are signed by all of these keys and by no other."""
    store.forget()
    yield
    assert set(store.keys) == {key.key_id for key in keys}


# ---- tables


def test_select_and_a_mapping_are_enough(connect, reader, sandbox, store):
    conn = connect(reader(sandbox.lake_reader, "SELECT ON people"))
    with signed_by(store, sandbox.lake_reader):
        assert conn.execute("SELECT count(*), sum(i) FROM people").fetchone() == (10, 45)


def test_without_select_nothing_is_read(connect, reader, sandbox, store):
    conn = connect(reader(sandbox.lake_reader))
    assert sqlstate_of(conn, "SELECT count(*) FROM people") == "42501"
    assert sqlstate_of(conn, "EXPLAIN ANALYZE SELECT i FROM people") == "42501"
    assert sqlstate_of(conn, "COPY (SELECT * FROM people) TO STDOUT") == "42501"


def test_without_a_mapping_nothing_is_read(connect, reader, store):
    name = reader(None, "SELECT ON people")
    conn = connect(name)
    store.forget()
    error = failure(conn, "SELECT count(*) FROM people")
    assert (error.sqlstate, f'user mapping not found for role "{name}" and server "lake"' in str(error)) == ("42704", True)
    assert store.requests == []


def test_columns_are_granted_one_by_one(connect, reader, sandbox):
    conn = connect(reader(sandbox.lake_reader, "SELECT (i, name) ON people"))
    assert conn.execute("SELECT name FROM people WHERE i = 7").fetchall() == [("n7",)]
    assert sqlstate_of(conn, "SELECT secret FROM people") == "42501"
    assert sqlstate_of(conn, "SELECT count(*) FROM people WHERE secret = 'pii'") == "42501"
    assert sqlstate_of(conn, "SELECT people FROM people") == "42501"
    assert sqlstate_of(conn, "SELECT i FROM people ORDER BY secret") == "42501"


def test_select_opens_nothing_else_of_the_bucket(connect, reader, sandbox, su):
    name = reader(sandbox.lake_reader, "SELECT ON people", f"EXECUTE ON FUNCTION {QUERY_FUNCTIONS}")
    conn = connect(name)
    assert conn.execute("SELECT count(*) FROM people").fetchone() == (10,)
    for path in ("rest.parquet", "people/0.parquet"):
        error = failure(conn, f"SELECT * FROM duckdb.query($$ FROM '{BUCKET}{path}' $$)")
        assert error.sqlstate == "42501", words(error)
    assert sqlstate_of(conn, f"SELECT * FROM duckdb.query($$ FROM glob('{BUCKET}**') $$)") == "42501"
    assert sqlstate_of(conn, f"CREATE FOREIGN TABLE mine () SERVER lake OPTIONS (path '{BUCKET}rest.parquet')") == "42501"
    assert sqlstate_of(conn, "IMPORT FOREIGN SCHEMA \".\" FROM SERVER lake INTO public") == "42501"
    assert conn.execute("SELECT count(*) FROM people").fetchone() == (10,)


def test_wrong_keys_are_refused(connect, reader):
    conn = connect(reader(Key("GK000000000000000000000bad", "0" * 64), "SELECT ON people"))
    assert sqlstate_of(conn, "SELECT count(*) FROM people") == "28P01"


def test_a_mapping_that_is_dropped_or_changed_counts_at_once(connect, reader, sandbox, su, store):
    name = reader(sandbox.lake_reader, "SELECT ON people")
    conn = connect(name)
    conn.execute("PREPARE p AS SELECT count(*) FROM people")
    assert conn.execute("EXECUTE p").fetchone() == (10,)
    su.execute(f"DROP USER MAPPING FOR {name_of(name)} SERVER lake")
    assert sqlstate_of(conn, "EXECUTE p") == "42704"
    su.execute(f"CREATE USER MAPPING FOR {name_of(name)} SERVER lake OPTIONS (key_id 'GKnobody', secret 'x')")
    assert sqlstate_of(conn, "EXECUTE p") == "28P01"
    su.execute(f"ALTER USER MAPPING FOR {name_of(name)} SERVER lake OPTIONS (SET key_id '{sandbox.all.key_id}', SET secret '{sandbox.all.secret}')")
    with signed_by(store, sandbox.all):
        assert conn.execute("EXECUTE p").fetchone() == (10,)
    su.execute(f"REVOKE SELECT ON people FROM {name_of(name)}")
    assert sqlstate_of(conn, "EXECUTE p") == "42501"


def test_the_mapping_of_public_serves_whoever_has_none(connect, reader, sandbox, su, store):
    mapped, unmapped = reader(sandbox.lake_reader, "SELECT ON people"), reader(None, "SELECT ON people")
    su.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS (key_id '{sandbox.all.key_id}', secret '{sandbox.all.secret}')")
    try:
        with signed_by(store, sandbox.all):
            assert connect(unmapped).execute("SELECT count(*) FROM people").fetchone() == (10,)
        with signed_by(store, sandbox.lake_reader):
            assert connect(mapped).execute("SELECT count(*) FROM people").fetchone() == (10,)
    finally:
        su.execute("DROP USER MAPPING FOR PUBLIC SERVER lake")


def test_set_role_changes_the_key_within_a_session(connect, role, reader, sandbox, su, store):
    one, two = reader(sandbox.lake_reader, "SELECT ON people"), reader(sandbox.all, "SELECT ON people")
    login = role()
    su.execute(f"GRANT {name_of(one)}, {name_of(two)} TO {name_of(login)}")
    conn = connect(login)
    for name, key in ((one, sandbox.lake_reader), (two, sandbox.all), (one, sandbox.lake_reader)):
        conn.execute(f"SET ROLE {name_of(name)}")
        with signed_by(store, key):
            assert conn.execute("SELECT count(*) FROM people").fetchone() == (10,)
    conn.execute("RESET ROLE")
    # Membership gives SELECT, not the mapping.
    assert sqlstate_of(conn, "SELECT count(*) FROM people") == "42704"


def test_two_sessions_read_side_by_side(connect, reader, sandbox):
    one, two = connect(reader(sandbox.lake_reader, "SELECT ON people")), connect(reader(None, "SELECT ON people"))
    with one.transaction(), one.cursor(name="c") as cursor:
        cursor.itersize = 3
        cursor.execute("SELECT i FROM people ORDER BY i")
        seen = [cursor.fetchone()[0]]
        assert sqlstate_of(two, "SELECT i FROM people") == "42704"
        seen += [row[0] for row in cursor.fetchall()]
    assert seen == list(range(10))


# ---- views and functions


def test_a_view_reads_with_its_owners_key(connect, reader, store, sandbox, su):
    conn = connect(reader(None, "SELECT ON names"))
    with signed_by(store, sandbox.all):
        assert conn.execute("SELECT max(name), count(*) FROM names").fetchone() == ("n9", 10)
    assert sqlstate_of(conn, "SELECT i FROM people") == "42501"
    assert conn.execute("SELECT v.name FROM names v JOIN names w USING (i) WHERE i = 3").fetchall() == [("n3",)]


def test_a_view_whose_owner_may_not_read_is_no_way_in(connect, reader, su, sandbox):
    owner = reader(sandbox.lake_reader, "SELECT ON people")
    su.execute(f"CREATE VIEW of_owner AS SELECT i FROM people; ALTER VIEW of_owner OWNER TO {name_of(owner)}; GRANT SELECT ON of_owner TO PUBLIC")
    try:
        conn = connect(reader())
        assert conn.execute("SELECT count(*) FROM of_owner").fetchone() == (10,)
        su.execute(f"REVOKE SELECT ON people FROM {name_of(owner)}")
        assert sqlstate_of(conn, "SELECT count(*) FROM of_owner") == "42501"
        su.execute(f"GRANT SELECT ON people TO {name_of(owner)}")
        su.execute(f"DROP USER MAPPING FOR {name_of(owner)} SERVER lake")
        assert sqlstate_of(conn, "SELECT count(*) FROM of_owner") == "42704"
    finally:
        su.execute("DROP VIEW of_owner")


def test_an_invokers_view_reads_with_the_callers_key(connect, reader, store, sandbox):
    assert sqlstate_of(connect(reader(None, "SELECT ON invoked")), "SELECT i FROM invoked") == "42501"
    assert sqlstate_of(connect(reader(None, "SELECT ON invoked, people")), "SELECT i FROM invoked") == "42704"
    conn = connect(reader(sandbox.lake_reader, "SELECT ON invoked, people"))
    with signed_by(store, sandbox.lake_reader):
        assert conn.execute("SELECT count(*) FROM invoked").fetchone() == (10,)


def test_what_two_roles_read_is_read_with_two_keys(connect, reader, store, sandbox, su):
    """A join of a view, read as its owner, with the table itself, read as the caller."""
    conn = connect(reader(sandbox.lake_reader, "SELECT ON names, people"))
    for statement in (
        "SELECT count(*) FROM people p JOIN names n USING (i)",
        "SELECT count(*) FROM people p WHERE EXISTS (SELECT 1 FROM names n WHERE n.i = p.i)",
        "SELECT sum(c) FROM (SELECT count(*) AS c FROM names WHERE i < 5 UNION ALL SELECT count(*) FROM people WHERE i >= 5) u",
    ):
        with signed_by(store, sandbox.lake_reader, sandbox.all):
            assert conn.execute(statement).fetchone() == (10,), statement
    # The owner's rights help with what the view shows only.
    conn = connect(reader(None, "SELECT ON names, people"))
    assert sqlstate_of(conn, "SELECT count(*) FROM people p JOIN names n USING (i)") == "42704"
    conn = connect(reader(sandbox.lake_reader, "SELECT ON names"))
    assert sqlstate_of(conn, "SELECT count(*) FROM people p JOIN names n USING (i)") == "42501"


def test_a_barrier_view_shows_no_row_to_a_leaky_function(connect, reader, su):
    name = reader(None, "SELECT ON fenced")
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(name)}")
    conn = connect(name)
    conn.execute(
        "CREATE FUNCTION leak(text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$"
    )
    seen = []
    conn.add_notice_handler(lambda notice: seen.append(notice.message_primary))
    assert conn.execute("SELECT i FROM fenced WHERE leak(name) ORDER BY i").fetchall() == [(0,), (1,), (2,)]
    assert sorted(seen) == ["saw n0", "saw n1", "saw n2"]
    assert conn.execute("SELECT count(*) FROM fenced WHERE i > 1").fetchone() == (1,)


def test_functions_read_as_their_definer_or_caller(connect, reader, store, sandbox):
    conn = connect(reader())
    with signed_by(store, sandbox.all):
        assert conn.execute("SELECT definer()").fetchone() == (10,)
    assert sqlstate_of(conn, "SELECT invoker()") == "42501"
    conn = connect(reader(sandbox.lake_reader, "SELECT ON people"))
    with signed_by(store, sandbox.lake_reader):
        assert conn.execute("SELECT invoker()").fetchone() == (10,)
    with signed_by(store, sandbox.all):
        assert conn.execute("SELECT definer()").fetchone() == (10,)


def test_policies_on_a_partitioned_parent_hold(connect, reader, su, sandbox):
    su.execute(
        f"""CREATE TABLE split (i bigint, part int, name text, secret text) PARTITION BY LIST (part);
        CREATE FOREIGN TABLE split_0 PARTITION OF split FOR VALUES IN (0) SERVER lake OPTIONS (path '{BUCKET}people/0.parquet');
        CREATE FOREIGN TABLE split_1 PARTITION OF split FOR VALUES IN (1) SERVER lake OPTIONS (path '{BUCKET}people/1.parquet');
        ALTER TABLE split ENABLE ROW LEVEL SECURITY;
        CREATE POLICY odd ON split USING (i % 2 = 1)"""
    )
    try:
        conn = connect(reader(sandbox.lake_reader, "SELECT ON split"))
        assert conn.execute("SELECT i FROM split ORDER BY i").fetchall() == [(1,), (3,), (5,), (7,), (9,)]
        assert conn.execute("SELECT count(*) FROM split WHERE part = 1").fetchone() == (3,)
        assert conn.execute("SELECT sum(i), max(name) FROM split").fetchone() == (25, "n9")
        assert sqlstate_of(conn, "SELECT * FROM split_0") == "42501"
        assert su.execute("SELECT count(*) FROM split").fetchone() == (10,)
    finally:
        su.execute("DROP TABLE split")


# ---- owners and servers


def test_usage_is_for_making_tables(connect, role, su, sandbox):
    owner = role()
    map_user(su, owner, "lake", sandbox.lake_reader)
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(owner)}")
    conn, table = connect(owner), name_of(unique("owned"))
    conn.execute(f"CREATE FOREIGN TABLE {table} () SERVER lake OPTIONS (path '{BUCKET}people/0.parquet')")
    conn.execute(f"ALTER FOREIGN TABLE {table} OPTIONS (SET path '{BUCKET}people/1.parquet')")
    assert conn.execute(f"SELECT min(i) FROM {table}").fetchone() == (5,)
    conn.execute(f"ANALYZE {table}")
    su.execute(f"REVOKE USAGE ON FOREIGN SERVER lake FROM {name_of(owner)}")
    # What there is may be read, as PostgreSQL has it; nothing new is opened.
    assert conn.execute(f"SELECT min(i) FROM {table}").fetchone() == (5,)
    assert sqlstate_of(conn, f"ALTER FOREIGN TABLE {table} OPTIONS (SET path '{BUCKET}rest.parquet')") == "42501"
    assert sqlstate_of(conn, f"CREATE FOREIGN TABLE another () SERVER lake OPTIONS (path '{BUCKET}rest.parquet')") == "42501"
    assert sqlstate_of(conn, f"CREATE FOREIGN TABLE another (a text) SERVER lake OPTIONS (path '{BUCKET}rest.parquet')") == "42501"
    su.execute(f"DROP USER MAPPING FOR {name_of(owner)} SERVER lake")
    assert sqlstate_of(conn, f"SELECT min(i) FROM {table}") == "42704"
    assert sqlstate_of(conn, f"ANALYZE {table}") == "42704"


def test_only_its_owner_alters_or_drops_a_table(connect, reader, sandbox):
    conn = connect(reader(sandbox.lake_reader, "SELECT ON people"))
    for statement in (
        f"ALTER FOREIGN TABLE people OPTIONS (SET path '{BUCKET}rest.parquet')",
        "ALTER FOREIGN TABLE people ADD COLUMN x int",
        "DROP FOREIGN TABLE people",
        "COMMENT ON FOREIGN TABLE people IS 'x'",
        "ALTER SERVER lake OPTIONS (SET location 's3://lake/')",
    ):
        assert sqlstate_of(conn, statement) == "42501", statement
    assert conn.execute("SELECT count(*) FROM people").fetchone() == (10,)


def test_analyze_reads_with_the_owners_key(connect, reader, su, sandbox, store):
    su.execute("ANALYZE people")
    with signed_by(store, sandbox.all):
        su.execute("ANALYZE people")
    # Before version 17 only the owner may; others are told so and nothing is read.
    conn = connect(reader(sandbox.lake_reader, "SELECT ON people"))
    store.forget()
    conn.execute("ANALYZE people")
    assert store.keys == []


def test_a_strangers_longer_location_gets_no_requests(connect, reader, role, su, sandbox, store):
    """Whoever may use the wrapper can make a server below another one's location, and a mapping for everybody."""
    trap = Proxy(sandbox.s3_endpoint)
    stranger = role()
    su.execute(f"GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {name_of(stranger)}")
    evil = connect(stranger)
    try:
        create_server(evil, sandbox, "trap", f"{BUCKET}people/", endpoint=trap.address)
        evil.execute("CREATE USER MAPPING FOR PUBLIC SERVER trap OPTIONS (key_id 'GKtrap', secret 'x')")
        evil.execute("GRANT USAGE ON FOREIGN SERVER trap TO PUBLIC")
        plain = reader(sandbox.lake_reader, "SELECT ON people")
        user = reader(sandbox.lake_reader, "SELECT ON people", "USAGE ON FOREIGN SERVER lake", f"EXECUTE ON FUNCTION {QUERY_FUNCTIONS}")
        viewer = reader(None, "SELECT ON names")
        with signed_by(store, sandbox.lake_reader, sandbox.all):
            for name, table in ((plain, "people"), (user, "people"), (viewer, "names"), ("postgres", "people")):
                assert connect(name).execute(f"SELECT count(*) FROM {table}").fetchone() == (10,)
        with signed_by(store, sandbox.lake_reader):
            conn = connect(user)
            assert conn.execute(f"SELECT count(*) FROM duckdb.query($$ FROM '{BUCKET}people/*.parquet' $$)").fetchone() == (10,)
        assert trap.requests == []
    finally:
        evil.execute("DROP SERVER IF EXISTS trap CASCADE")
        trap.close()
        su.execute(f"REVOKE USAGE ON FOREIGN DATA WRAPPER duckdb FROM {name_of(stranger)}")


def test_tables_of_servers_that_overlap_are_joined(connect, reader, su, sandbox, store):
    """Each is read with its own server's keys, in one query, by a role that may use neither server by itself."""
    create_server(su, sandbox, "wider", "s3://lake/", endpoint=store.address)
    try:
        su.execute(f"CREATE FOREIGN TABLE wide (i bigint) SERVER wider OPTIONS (path '{BUCKET}people/0.parquet')")
        name = reader(sandbox.lake_reader, "SELECT ON people")
        su.execute(f"CREATE USER MAPPING FOR {name_of(name)} SERVER wider OPTIONS (key_id '{sandbox.all.key_id}', secret '{sandbox.all.secret}')")
        su.execute(f"GRANT SELECT ON wide TO {name_of(name)}")
        conn = connect(name)
        with signed_by(store, sandbox.lake_reader, sandbox.all):
            assert conn.execute("SELECT count(*), max(name) FROM people JOIN wide USING (i)").fetchone() == (5, "n4")
    finally:
        su.execute("DROP SERVER wider CASCADE")


def test_secrets_stay_out_of_sight(connect, reader, sandbox, su):
    name = reader(sandbox.lake_reader, "SELECT ON people")
    conn = connect(name)
    shown = "\n".join(row[0] for row in conn.execute("EXPLAIN (ANALYZE, VERBOSE) SELECT i, name FROM people").fetchall())
    assert "people" in shown and sandbox.lake_reader.secret not in shown and sandbox.lake_reader.key_id not in shown
    error = failure(connect(reader(Key("GKwrongwrong", "very-secret"), "SELECT ON people")), "SELECT * FROM people")
    assert "very-secret" not in words(error)


# ---- local files


def test_files_take_pg_read_server_files_to_make_not_to_read(connect, role, reader, su, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ft")
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(0o755)
    (folder / "x.csv").write_text("a,b\n1,2\n")
    (folder / "y.csv").write_text("a,b\n3,4\n")
    server = unique("files")
    su.execute(f"CREATE SERVER {server} TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{folder}')")
    su.execute(f"CREATE USER MAPPING FOR PUBLIC SERVER {server}; GRANT USAGE ON FOREIGN SERVER {server} TO PUBLIC")
    maker = role()
    su.execute(f"GRANT CREATE ON SCHEMA public TO {name_of(maker)}")
    conn, table = connect(maker), name_of(unique("local"))
    create = f"CREATE FOREIGN TABLE {table} () SERVER {server} OPTIONS (path '{folder}/x.csv')"
    assert sqlstate_of(conn, create) == "42501"
    assert sqlstate_of(conn, create.replace("()", "(a int)")) == "42501"
    assert sqlstate_of(conn, f"IMPORT FOREIGN SCHEMA \".\" FROM SERVER {server} INTO public") == "42501"
    su.execute(f"GRANT pg_read_server_files TO {name_of(maker)}")
    conn.execute(create)
    assert conn.execute(f"SELECT * FROM {table}").fetchall() == [(1, 2)]
    conn.execute(f"GRANT SELECT ON {table} TO PUBLIC")
    other = connect(reader())
    assert other.execute(f"SELECT * FROM {table}").fetchall() == [(1, 2)]
    su.execute(f"REVOKE pg_read_server_files FROM {name_of(maker)}")
    assert sqlstate_of(conn, f"ALTER FOREIGN TABLE {table} OPTIONS (SET path '{folder}/y.csv')") == "42501"
    assert conn.execute(f"SELECT * FROM {table}").fetchall() == [(1, 2)]
    su.execute(f"DROP SERVER {server} CASCADE")
