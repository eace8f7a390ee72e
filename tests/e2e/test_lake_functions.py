"""The functions on lakes: what makes a lake, tells about it, follows its schema, looks after it and
reads its past. Each for its answer, and for who may call it with what."""

import datetime
import itertools
import json
import subprocess

import psycopg
import pytest
from psycopg import sql

from conftest import create_server, map_user, unique
from support import failure, sqlstate_of

_numbers = itertools.count(1)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


class Lake:
    """A lake called `lk` with its storage `store`, in the module's database."""

    def __init__(self, su, sandbox, catalog, owner):
        self.su, self.sandbox, self.catalog, self.owner = su, sandbox, catalog, owner
        self.path = f"s3://lake/{unique('lf')}/"

    def create_server(self, name, schema, **options):
        options = {
            "host": "127.0.0.1",
            "port": str(self.sandbox.port),
            "dbname": self.catalog,
            "metadata_schema": schema,
            "data_path": f"{self.path}{name}/",
            "storage": "store",
            "data_inlining_row_limit": "0",
            **options,
        }
        listed = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(k), sql.Literal(v)) for k, v in options.items())
        create = sql.SQL("CREATE SERVER {} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({})")
        self.su.execute(create.format(sql.Identifier(name), listed))
        self.map_user("postgres", name)

    def map_user(self, role, server="lk"):
        self.su.execute(
            sql.SQL("CREATE USER MAPPING FOR {} SERVER {} OPTIONS (user {}, password {})").format(
                sql.Identifier(role), sql.Identifier(server), sql.Literal(self.owner), sql.Literal(self.owner)
            )
        )
        if role != "postgres":
            # The sandbox's server trusts everybody, so it does not ask for the password.
            self.su.execute(
                sql.SQL("ALTER USER MAPPING FOR {} SERVER {} OPTIONS (ADD password_required 'false')").format(
                    sql.Identifier(role), sql.Identifier(server)
                )
            )

    def execute(self, statement):
        (rows,) = self.su.execute("SELECT duckdb.execute(%s)", (statement,)).fetchone()
        return rows

    def execute_unfenced(self, statement):
        """What no fenced statement may do, a superuser's in a lake included."""
        self.su.execute("SET duckdb.superuser_sandbox = off")
        try:
            return self.execute(statement)
        finally:
            self.su.execute("RESET duckdb.superuser_sandbox")

    def snapshot(self):
        (number,) = self.su.execute("SELECT max(snapshot_id) FROM duckdb.snapshots('lk')").fetchone()
        return number

    def table(self, columns="i AS id, 'n' || i AS name", rows=10):
        """A new table of the lake."""
        name = f"t{next(_numbers)}"
        self.execute(f"CREATE TABLE lk.main.{name} AS SELECT {columns} FROM range({rows}) r(i)")
        return name

    def imported(self, **options):
        """A new table of the lake as a foreign table of schema `s`."""
        name = self.table(**options)
        self.su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({name}) FROM SERVER lk INTO s")
        return name


@pytest.fixture(scope="module")
def lake(su, sandbox, cluster):
    catalog, owner = unique("pond_catalog"), unique("pond_lake_owner")
    cluster.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(owner), sql.Literal(owner)))
    cluster.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(catalog), sql.Identifier(owner)))
    try:
        create_server(su, sandbox, "store", "s3://lake/", writable="true")
        map_user(su, "postgres", "store", sandbox.all)
        lake = Lake(su, sandbox, catalog, owner)
        lake.create_server("lk", "lk")
        assert su.execute("SELECT duckdb.create_lake('lk')").fetchone() == (True,)
        su.execute("CREATE SCHEMA s")
        yield lake
    finally:
        cluster.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(catalog)))
        cluster.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))


@pytest.fixture
def user(lake, role, su, sandbox, connect):
    """user(*grants): a role with mappings for the lake and its storage, and a connection of it."""

    def make(*grants, usage=True, mapped=True):
        name = role()
        if mapped:
            lake.map_user(name)
            su.execute(
                sql.SQL("CREATE USER MAPPING FOR {} SERVER store OPTIONS (key_id {}, secret {})").format(
                    sql.Identifier(name), sql.Literal(sandbox.all.key_id), sql.Literal(sandbox.all.secret)
                )
            )
        usages = ("USAGE ON FOREIGN SERVER lk",) if usage else ()
        for grant in (*usages, "USAGE ON SCHEMA s", *grants):
            su.execute(sql.SQL("GRANT " + grant + " TO {}").format(sql.Identifier(name)))
        return connect(name)

    return make


MAINTENANCE = {
    "merge_adjacent_files": "duckdb.merge_adjacent_files({})",
    "rewrite_data_files": "duckdb.rewrite_data_files({})",
    "flush_inlined_data": "duckdb.flush_inlined_data({})",
    "expire_snapshots": "duckdb.expire_snapshots({}, older_than => '2000-01-01')",
    "cleanup_old_files": "duckdb.cleanup_old_files({}, older_than => '2000-01-01')",
    "delete_orphaned_files": "duckdb.delete_orphaned_files({}, older_than => '2000-01-01')",
    "checkpoint": "duckdb.checkpoint({})",
    "add_data_files": "duckdb.add_data_files({}, 'nosuch', '{{}}')",
    "set_option": "duckdb.set_option({}, 'parquet_compression', 'zstd')",
}
INFORMATION = {"snapshots": "duckdb.snapshots({})", "table_info": "duckdb.table_info({})"}
OF_SERVERS = {**MAINTENANCE, **INFORMATION, "refresh": "duckdb.refresh_foreign_schema({}, 'main', 's')"}


def call(name, server="'lk'"):
    return "SELECT * FROM " + OF_SERVERS[name].format(server)


# ---- who may call what


@pytest.mark.parametrize("name", OF_SERVERS)
def test_a_server_must_be_a_lake_that_exists(lake, su, name):
    assert sqlstate_of(su, call(name, "'nosuch'")) == "42704"
    assert sqlstate_of(su, call(name, "'store'")) == "42809"


@pytest.mark.parametrize("name", OF_SERVERS)
def test_usage_and_a_mapping_are_needed(lake, user, name):
    execute = f"EXECUTE ON FUNCTION duckdb.{name}" if name in MAINTENANCE else "USAGE ON SCHEMA s"
    error = failure(user(execute, usage=False), call(name))
    assert (error.sqlstate, error.diag.message_primary) == ("42501", "permission denied for foreign server lk")
    error = failure(user(execute, mapped=False), call(name))
    assert error.sqlstate == "42704"
    assert "user mapping not found" in error.diag.message_primary


@pytest.mark.parametrize("name", MAINTENANCE)
def test_maintenance_is_granted(lake, user, name):
    error = failure(user(), call(name))
    assert (error.sqlstate, error.diag.message_primary) == ("42501", f"permission denied for function {name}")
    granted = user(f"EXECUTE ON FUNCTION duckdb.{name}")
    assert sqlstate_of(granted, call(name)) is None


@pytest.mark.parametrize("name", MAINTENANCE)
def test_maintenance_of_no_server_is_an_error(lake, su, name):
    assert sqlstate_of(su, call(name, "NULL")) == "22004"


@pytest.mark.parametrize("name", INFORMATION)
def test_no_server_has_no_information(lake, su, name):
    assert su.execute(call(name, "NULL")).fetchall() == []


@pytest.mark.parametrize("name", MAINTENANCE)
def test_maintenance_writes(lake, su, name):
    if name == "add_data_files":
        pytest.skip("no files, nothing to write")
    with su.transaction(force_rollback=True):
        su.execute("SET TRANSACTION READ ONLY")
        assert sqlstate_of(su, call(name)) == "25006"


def test_a_superuser_leaves_the_lakes_of_others_alone(lake, su, role):
    name = role()
    lake.create_server("others", "others")
    su.execute("SELECT duckdb.create_lake('others')")
    su.execute(sql.SQL("GRANT USAGE ON FOREIGN DATA WRAPPER duckdb TO {}").format(sql.Identifier(name)))
    su.execute(sql.SQL("GRANT USAGE ON FOREIGN SERVER store TO {}").format(sql.Identifier(name)))
    su.execute(sql.SQL("ALTER SERVER others OWNER TO {}").format(sql.Identifier(name)))
    for statement in ("SELECT * FROM duckdb.snapshots('others')", "SELECT duckdb.checkpoint('others')", "SELECT duckdb.create_lake('others')"):
        error = failure(su, statement)
        assert error.sqlstate == "42501"
        assert error.diag.message_detail == "A superuser uses only lakes that superusers own."
    su.execute("DROP SERVER others CASCADE")


# ---- create_lake


def test_a_lake_is_made_once(lake, su):
    lake.create_server("fresh", "fresh")
    assert sqlstate_of(su, "SELECT * FROM duckdb.snapshots('fresh')") == "HV00Q"
    assert su.execute("SELECT duckdb.create_lake('fresh'), duckdb.create_lake('fresh'), duckdb.create_lake(NULL)").fetchone() == (True, False, None)
    assert su.execute("SELECT snapshot_id FROM duckdb.snapshots('fresh')").fetchall() == [(0,)]


def test_a_lake_that_attaching_makes_is_still_said_to_be_made(lake, su):
    lake.create_server("eager", "eager", create_if_not_exists="true")
    assert su.execute("SELECT duckdb.create_lake('eager')").fetchone() == (True,)
    assert su.execute("SELECT duckdb.create_lake('eager')").fetchone() == (False,)


def test_only_the_owner_makes_a_lake(lake, su, user):
    error = failure(user(), "SELECT duckdb.create_lake('lk')")
    assert (error.sqlstate, error.diag.message_primary) == ("42501", "must be owner of foreign server lk")
    assert sqlstate_of(su, "SELECT duckdb.create_lake('nosuch')") == "42704"
    assert sqlstate_of(su, "SELECT duckdb.create_lake('store')") == "42809"
    with su.transaction(force_rollback=True):
        su.execute("SET TRANSACTION READ ONLY")
        assert sqlstate_of(su, "SELECT duckdb.create_lake('lk')") == "25006"


def test_a_read_only_lake_is_neither_made_nor_maintained(lake, su):
    lake.create_server("ro", "lk", read_only="true", data_path=f"{lake.path}lk/")
    for statement in ("SELECT duckdb.create_lake('ro')", "SELECT * FROM duckdb.merge_adjacent_files('ro')", "SELECT duckdb.checkpoint('ro')"):
        assert sqlstate_of(su, statement) == "55000"
    assert su.execute("SELECT count(*) > 0 FROM duckdb.snapshots('ro')").fetchone() == (True,)


# ---- information


def test_snapshots_say_who_changed_what(lake, su):
    before = lake.snapshot()
    su.execute("SET duckdb.commit_message = 'the tenth'")
    name = lake.table()
    su.execute("RESET duckdb.commit_message")
    rows = su.execute("SELECT * FROM duckdb.snapshots('lk') WHERE snapshot_id > %s", (before,)).fetchall()
    ((number, moment, version, changes, author, message, extra),) = rows
    assert number == before + 1
    assert abs(datetime.datetime.now(datetime.UTC) - moment) < datetime.timedelta(minutes=5)
    assert version > 0
    assert changes["tables_created"] == [f"main.{name}"]
    assert (author, message, extra) == ("postgres", "the tenth", None)


def test_snapshots_in_another_time_zone_are_the_same(lake, su):
    rows = su.execute("SELECT snapshot_time FROM duckdb.snapshots('lk')").fetchall()
    su.execute("SET timezone = 'Asia/Kolkata'")
    su.execute("SET datestyle = 'SQL, DMY'")
    elsewhere = su.execute("SELECT extract(epoch FROM snapshot_time)::float8 FROM duckdb.snapshots('lk')").fetchall()
    su.execute("RESET timezone")
    su.execute("RESET datestyle")
    assert [moment.timestamp() for (moment,) in rows] == pytest.approx([epoch for (epoch,) in elsewhere])


def test_table_info_counts_files(lake, su):
    lake.execute("CREATE SCHEMA IF NOT EXISTS lk.other")
    name = lake.table()
    lake.execute(f"INSERT INTO lk.main.{name} SELECT i, 'm' FROM range(5) r(i)")
    lake.execute(f"DELETE FROM lk.main.{name} WHERE id = 3 AND name = 'n3'")
    lake.execute(f"CREATE TABLE lk.other.{name} (a int)")
    rows = su.execute(
        "SELECT schema_name, file_count, file_size_bytes > 100, delete_file_count, delete_file_size_bytes > 100, table_uuid IS NOT NULL "
        "FROM duckdb.table_info('lk') WHERE table_name = %s ORDER BY 1",
        (name,),
    ).fetchall()
    assert rows == [("main", 2, True, 1, True, True), ("other", 0, None, 0, None, True)] or rows == [
        ("main", 2, True, 1, True, True),
        ("other", 0, False, 0, False, True),
    ]


def test_list_files_is_for_those_who_may_select(lake, su, user):
    name = lake.imported()
    lake.execute(f"INSERT INTO lk.main.{name} SELECT i, 'm' FROM range(5) r(i)")
    statement = f"SELECT * FROM duckdb.list_files('s.{name}')"
    rows = su.execute(statement).fetchall()
    assert len(rows) == 2
    assert all(path.startswith(f"{lake.path}lk/main/{name}/") and size > 100 for path, size, _, _ in rows)
    reader = user(usage=False)
    error = failure(reader, statement)
    assert (error.sqlstate, error.diag.message_primary) == ("42501", f"permission denied for foreign table s.{name}")
    su.execute(sql.SQL(f"GRANT SELECT (id) ON s.{name} TO {{}}").format(sql.Identifier(reader.info.user)))
    assert sqlstate_of(reader, statement) == "42501"
    su.execute(sql.SQL(f"GRANT SELECT (name) ON s.{name} TO {{}}").format(sql.Identifier(reader.info.user)))
    assert reader.execute(statement).fetchall() == rows


def test_list_files_of_a_fixed_snapshot(lake, su):
    name = lake.imported()
    version = lake.snapshot()
    lake.execute(f"INSERT INTO lk.main.{name} SELECT i, 'm' FROM range(5) r(i)")
    su.execute(f"CREATE FOREIGN TABLE s.{name}_then () SERVER lk OPTIONS (table_name '{name}', version '{version}')")
    assert su.execute(f"SELECT count(*) FROM duckdb.list_files('s.{name}_then')").fetchone() == (1,)
    assert su.execute("SELECT * FROM duckdb.list_files(NULL)").fetchall() == []


def test_list_files_takes_tables_of_lakes_only(lake, su):
    lake.execute("COPY (SELECT 1 AS a) TO 's3://lake/lf_plain.parquet'")
    su.execute("CREATE FOREIGN TABLE s.plain () SERVER store OPTIONS (path 's3://lake/lf_plain.parquet')")
    assert sqlstate_of(su, "SELECT * FROM duckdb.list_files('s.plain')") == "42809"
    assert sqlstate_of(su, "SELECT * FROM duckdb.list_files('pg_class')") == "42809"
    assert sqlstate_of(su, "SELECT * FROM duckdb.list_files(1)") == "42809"
    su.execute("DROP FOREIGN TABLE s.plain")


# ---- create_lake_table


def test_a_table_is_made_of_a_query(lake, su):
    name = f'odd "table" {next(_numbers)}'
    quoted = '"' + name.replace('"', '""') + '"'
    rows = su.execute("SELECT duckdb.create_lake_table(%s, %s)", (f"lk.main.{quoted}", "SELECT i AS a, 1 AS a FROM range(7) t(i) -- all\n;")).fetchone()
    assert rows == (7,)
    assert su.execute(f"SELECT * FROM duckdb.query($$SELECT sum(a) FROM lk.main.{quoted}$$) q").fetchone() == (21,)
    assert sqlstate_of(su, "SELECT duckdb.create_lake_table(%s, 'SELECT 1 AS a')", (f"lk.main.{quoted}",)) == "42P07"
    assert su.execute("SELECT duckdb.create_lake_table(NULL, 'SELECT 1'), duckdb.create_lake_table('lk.main.x', NULL)").fetchone() == (None, None)


@pytest.mark.parametrize(
    ("name", "query", "sqlstate"),
    [
        ("x", "SELECT 1", "42602"),
        ("lk.x", "SELECT 1", "42602"),
        ("nosuch.main.x", "SELECT 1", "42704"),
        ("store.main.x", "SELECT 1", "42809"),
        ("lk.nosuch.x", "SELECT 1 AS a", "3F000"),
        ("lk.main.x", "SELEC 1", "42601"),
        ("lk.main.x", "SELECT 1); DROP TABLE y; SELECT (1", "42601"),
    ],
)
def test_what_no_table_is_made_of(lake, su, name, query, sqlstate):
    assert sqlstate_of(su, "SELECT duckdb.create_lake_table(%s, %s)", (name, query)) == sqlstate


def test_a_role_makes_tables_of_what_it_may_read(lake, su, user):
    writer = user("EXECUTE ON FUNCTION duckdb.create_lake_table")
    name = lake.table()
    made = f"lk.main.made_{name}"
    assert writer.execute("SELECT duckdb.create_lake_table(%s, %s)", (made, f"SELECT id FROM lk.main.{name} WHERE id < 4")).fetchone() == (4,)
    for query in ("FROM read_csv('/etc/passwd')", "FROM read_parquet('s3://vault/x.parquet')", "FROM duckdb_secrets()"):
        assert sqlstate_of(writer, "SELECT duckdb.create_lake_table('lk.main.stolen', %s)", (query,)) == "42501"
    assert sqlstate_of(user(), "SELECT duckdb.create_lake_table('lk.main.z', 'SELECT 1 AS a')") == "42501"


def test_a_table_goes_with_the_transaction(lake, su):
    before = lake.snapshot()
    with su.transaction(force_rollback=True):
        su.execute("SELECT duckdb.create_lake_table('lk.main.rolled_back', 'SELECT 1 AS a')")
    assert lake.snapshot() == before


# ---- IMPORT FOREIGN SCHEMA

TYPES = """
    NULL AS nothing, 1::UTINYINT AS u, 1::HUGEINT AS h, 1::UHUGEINT AS uh, 1.5::DECIMAL(38,10) AS d,
    'a'::ENUM('a', 'it''s', 'x"y') AS e, {'a b': 1, 'select': [{'q"uote': 'x'}]} AS s, MAP {'k': [1.5]} AS m,
    [1, 2, 3]::INT[3] AS a, '101'::BIT AS b, INTERVAL 1 DAY AS i, TIMETZ '12:00:00+01' AS tz, now() AS ts,
    TIMESTAMP_NS '2026-01-01' AS ns, uuid() AS id, union_value(num := 2) AS un, 'x' COLLATE NOCASE AS coll,
    '{"a": 1}'::JSON AS j, 'a'::BLOB AS bytes, [[1]] AS nested, 1 AS "A", 2 AS "sel""ect", 1 = 1 AS yes
"""


@pytest.fixture
def odd(lake, su):
    """Schema `odd` of the lake, and the empty local schema `o`."""
    lake.execute("CREATE SCHEMA lk.odd")
    su.execute("CREATE SCHEMA o")
    yield
    su.execute("DROP SCHEMA o CASCADE")
    lake.execute("DROP SCHEMA lk.odd CASCADE")


def test_import_knows_the_types_of_a_query(lake, su, odd):
    lake.execute(f"CREATE VIEW lk.odd.v AS SELECT {TYPES}")
    lake.execute_unfenced("CREATE TABLE lk.odd.t (g GEOMETRY, v VARIANT, d DECIMAL(9,2)[], s STRUCT(a INT, \"B c\" MAP(INT, TIMESTAMPTZ)))")
    su.execute("IMPORT FOREIGN SCHEMA odd FROM SERVER lk INTO o")
    for name in ("v", "t"):
        described = su.execute(f"SELECT name, postgres_type FROM duckdb.describe('FROM lk.odd.{name}')").fetchall()
        assert [column[:2] for column in columns_of(su, f"o.{name}")] == described
        su.execute(f"SELECT * FROM o.{name}").fetchall()


def test_import_leaves_out_what_cannot_be_read(lake, su, odd):
    for number in range(120):
        lake.execute(f"CREATE TABLE lk.odd.t{number} (a INT)")
    lake.execute_unfenced("CREATE VIEW lk.odd.file AS FROM read_csv('/etc/passwd')")
    lake.execute("CREATE VIEW lk.odd.broken AS SELECT a FROM lk.odd.t7")
    lake.execute("CREATE VIEW lk.odd.good AS SELECT a FROM lk.odd.t8")
    lake.execute("DROP TABLE lk.odd.t7")
    said = []
    su.add_notice_handler(note := lambda diagnostic: said.append(diagnostic.message_primary))
    try:
        su.execute("IMPORT FOREIGN SCHEMA odd FROM SERVER lk INTO o")
    finally:
        su.remove_notice_handler(note)
    assert sorted(line.split(":")[0] for line in said) == [f'"{name}" of lake "lk" is left out' for name in ("broken", "file")], said
    made = su.execute("SELECT count(*), count(*) FILTER (WHERE relname = 'good') FROM pg_class WHERE relnamespace = 'o'::regnamespace").fetchone()
    assert made == (120, 1)


# ---- refresh_foreign_schema


def refreshed(su, schema="r"):
    return su.execute("SELECT * FROM duckdb.refresh_foreign_schema('lk', 'ref', %s)", (schema,)).fetchall()


@pytest.fixture
def followed(lake, su):
    """Schema `ref` of the lake with a table and a view, and the empty local schema `r`."""
    lake.execute("CREATE SCHEMA lk.ref")
    lake.execute("CREATE TABLE lk.ref.orders (id bigint NOT NULL, total decimal(8,2), gone varchar)")
    lake.execute("COMMENT ON TABLE lk.ref.orders IS 'all of them'")
    lake.execute("COMMENT ON COLUMN lk.ref.orders.total IS 'in francs'")
    lake.execute("CREATE VIEW lk.ref.big AS SELECT id FROM lk.ref.orders WHERE total > 100")
    su.execute("CREATE SCHEMA r")
    yield
    su.execute("DROP SCHEMA r CASCADE")
    lake.execute("DROP SCHEMA lk.ref CASCADE")


def columns_of(su, table):
    return su.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (table,),
    ).fetchall()


def test_refresh_makes_what_is_missing(lake, su, followed):
    assert refreshed(su) == [("created", "r.big", None), ("created", "r.orders", None)]
    assert columns_of(su, "r.orders") == [
        ("id", "bigint", True, None),
        ("total", "numeric(8,2)", False, "in francs"),
        ("gone", "text", False, None),
    ]
    assert su.execute("SELECT obj_description('r.orders'::regclass)").fetchone() == ("all of them",)
    assert refreshed(su) == []


def test_refresh_is_as_good_as_an_import(lake, su, followed):
    su.execute("IMPORT FOREIGN SCHEMA ref FROM SERVER lk INTO r")
    assert refreshed(su) == []


def test_refresh_follows_changes(lake, su, followed):
    refreshed(su)
    lake.execute("INSERT INTO lk.ref.orders VALUES (1, 2.5, 'x')")
    su.execute("ALTER FOREIGN TABLE r.orders RENAME TO renamed")
    for change in (
        "ALTER TABLE lk.ref.orders ADD COLUMN \"Day of\" date",
        "ALTER TABLE lk.ref.orders DROP COLUMN gone",
        "ALTER TABLE lk.ref.orders ALTER COLUMN total SET NOT NULL",
        "ALTER TABLE lk.ref.orders ALTER COLUMN id DROP NOT NULL",
        "COMMENT ON TABLE lk.ref.orders IS 'others'",
        "COMMENT ON COLUMN lk.ref.orders.id IS 'number'",
        "CREATE TABLE lk.ref.small (a smallint)",
        "DROP VIEW lk.ref.big",
    ):
        lake.execute(change)
    assert refreshed(su) == [
        ("altered", "r.renamed", "DROP COLUMN gone"),
        ("altered", "r.renamed", "ALTER COLUMN id DROP NOT NULL"),
        ("commented", "r.renamed.id", None),
        ("altered", "r.renamed", "ALTER COLUMN total SET NOT NULL"),
        ("altered", "r.renamed", 'ADD COLUMN "Day of" date'),
        ("commented", "r.renamed", None),
        ("created", "r.small", None),
        ("dropped", "r.big", None),
    ]
    assert refreshed(su) == []
    lake.execute("ALTER TABLE lk.ref.small ALTER COLUMN a SET DATA TYPE bigint")
    assert refreshed(su) == [("altered", "r.small", "ALTER COLUMN a TYPE bigint")]
    assert columns_of(su, "r.renamed") == [
        ("id", "bigint", False, "number"),
        ("total", "numeric(8,2)", True, "in francs"),
        ("Day of", "date", False, None),
    ]
    assert su.execute("SELECT id, \"Day of\" FROM r.renamed").fetchall() == [(1, None)]


def test_refresh_keeps_what_others_depend_on(lake, su, followed):
    refreshed(su)
    su.execute("CREATE VIEW r.v AS SELECT gone FROM r.orders")
    su.execute("CREATE VIEW r.w AS SELECT * FROM r.big")
    lake.execute("ALTER TABLE lk.ref.orders DROP COLUMN gone")
    lake.execute("DROP VIEW lk.ref.big")
    kept = [
        ("kept", "r.orders", "DROP COLUMN gone is to be done, but rule _RETURN on view r.v depends on it"),
        ("kept", "r.big", "the lake has it no more, but rule _RETURN on view r.w depends on it"),
    ]
    assert refreshed(su) == kept
    assert refreshed(su) == kept
    su.execute("DROP VIEW r.v, r.w")
    assert [action for action, _, _ in refreshed(su)] == ["altered", "dropped"]
    assert refreshed(su) == []


def test_refresh_leaves_other_tables_alone(lake, su, followed):
    version = lake.snapshot()
    refreshed(su)
    su.execute(f"CREATE FOREIGN TABLE r.frozen (id bigint) SERVER lk OPTIONS (schema_name 'ref', table_name 'orders', version '{version}')")
    su.execute(f"CREATE FOREIGN TABLE r.elsewhere (id bigint) SERVER lk OPTIONS (table_name '{lake.table()}')")
    su.execute("CREATE TABLE r.late (a int)")
    lake.execute("CREATE TABLE lk.ref.late (a int)")
    lake.execute("ALTER TABLE lk.ref.orders DROP COLUMN id")
    assert refreshed(su) == [
        ("kept", "r.late", "another relation has the name"),
        ("altered", "r.orders", "DROP COLUMN id"),
    ]


def test_refresh_goes_with_the_transaction(lake, su, followed):
    with su.transaction(force_rollback=True):
        assert len(refreshed(su)) == 2
    with su.transaction(force_rollback=True):
        lake.execute("CREATE TABLE lk.ref.mine (a int)")
        assert sqlstate_of(su, "SELECT * FROM duckdb.refresh_foreign_schema('lk', 'ref', 'r')") == "0A000"
    assert len(refreshed(su)) == 2


def test_refresh_needs_the_rights_of_what_it_does(lake, su, user, followed):
    follower = user("USAGE ON SCHEMA r")
    assert sqlstate_of(follower, "SELECT * FROM duckdb.refresh_foreign_schema('lk', 'ref', 'r')") == "42501"
    su.execute(sql.SQL("GRANT CREATE ON SCHEMA r TO {}").format(sql.Identifier(follower.info.user)))
    assert len(refreshed(follower)) == 2
    lake.execute("ALTER TABLE lk.ref.orders DROP COLUMN gone")
    other = user("USAGE ON SCHEMA r")
    error = failure(other, "SELECT * FROM duckdb.refresh_foreign_schema('lk', 'ref', 'r')")
    assert (error.sqlstate, error.diag.message_primary) == ("42501", "must be owner of foreign table orders")
    assert refreshed(follower) == [("altered", "r.orders", "DROP COLUMN gone")]


def test_refresh_needs_both_schemas(lake, su):
    assert sqlstate_of(su, "SELECT * FROM duckdb.refresh_foreign_schema('lk', 'nosuch', 's')") == "HV00Q"
    assert sqlstate_of(su, "SELECT * FROM duckdb.refresh_foreign_schema('lk', 'main', 'nosuch')") == "3F000"
    assert su.execute("SELECT * FROM duckdb.refresh_foreign_schema(NULL, 'main', 's')").fetchall() == []


# ---- maintenance


def files_of(su, name):
    (count,) = su.execute("SELECT file_count FROM duckdb.table_info('lk') WHERE table_name = %s", (name,)).fetchone()
    return count


def test_small_files_are_merged(lake, su):
    name = lake.table()
    for part in range(3):
        lake.execute(f"INSERT INTO lk.main.{name} SELECT i, '{part}' FROM range(5) r(i)")
    assert files_of(su, name) == 4
    assert su.execute("SELECT * FROM duckdb.merge_adjacent_files('lk', %s, max_compacted_files => 10)", (name,)).fetchall() == [("main", name, 4, 1)]
    assert su.execute("SELECT * FROM duckdb.merge_adjacent_files('lk', %s, 'main')", (name,)).fetchall() == []
    assert files_of(su, name) == 1


def test_files_with_many_deleted_rows_are_rewritten(lake, su):
    name = lake.table(rows=1000)
    lake.execute(f"DELETE FROM lk.main.{name} WHERE id < 600")
    assert su.execute("SELECT * FROM duckdb.rewrite_data_files('lk', %s, delete_threshold => 0.99)", (name,)).fetchall() == []
    assert su.execute("SELECT * FROM duckdb.rewrite_data_files('lk', %s, delete_threshold => 0.5)", (name,)).fetchall() == [("main", name, 1, 1)]
    assert sqlstate_of(su, "SELECT * FROM duckdb.rewrite_data_files('lk', delete_threshold => 2)") == "22023"


def test_inlined_rows_are_flushed(lake, su):
    su.execute("SELECT duckdb.set_option('lk', 'data_inlining_row_limit', '20')")
    su.execute("ALTER SERVER lk OPTIONS (DROP data_inlining_row_limit)")
    try:
        name = lake.table()
        assert su.execute("SELECT * FROM duckdb.flush_inlined_data('lk', %s)", (name,)).fetchall() == [("main", name, 10)]
        assert su.execute("SELECT * FROM duckdb.flush_inlined_data('lk', table_name => %s, schema_name => 'main')", (name,)).fetchall() == []
    finally:
        su.execute("ALTER SERVER lk OPTIONS (ADD data_inlining_row_limit '0')")
        su.execute("SELECT duckdb.set_option('lk', 'data_inlining_row_limit', '0')")


def test_snapshots_are_expired_and_their_files_deleted(lake, su):
    name = lake.table()
    first = lake.snapshot()
    lake.execute(f"DELETE FROM lk.main.{name}")
    paths = su.execute(f"SELECT * FROM duckdb.query($$ FROM ducklake_list_files('lk', '{name}', snapshot_version => {first}) $$) q").fetchall()
    path = paths[0][0]
    would = su.execute("SELECT snapshot_id FROM duckdb.expire_snapshots('lk', dry_run => true, versions => ARRAY[%s])", (first,)).fetchall()
    assert would == [(first,)]
    expired = su.execute("SELECT snapshot_id, author FROM duckdb.expire_snapshots('lk', versions => ARRAY[%s])", (first,)).fetchall()
    assert expired == [(first, "postgres")]
    assert su.execute("SELECT count(*) FROM duckdb.snapshots('lk') WHERE snapshot_id = %s", (first,)).fetchone() == (0,)
    assert (path,) in su.execute("SELECT * FROM duckdb.cleanup_old_files('lk', dry_run => true, cleanup_all => true)").fetchall()
    assert su.execute("SELECT * FROM duckdb.cleanup_old_files('lk', older_than => now() - interval '1 day')").fetchall() == []
    assert (path,) in su.execute("SELECT * FROM duckdb.cleanup_old_files('lk', cleanup_all => true)").fetchall()
    assert su.execute("SELECT * FROM duckdb.cleanup_old_files('lk', cleanup_all => true)").fetchall() == []


def test_no_versions_expire_nothing(lake, su):
    assert su.execute("SELECT * FROM duckdb.expire_snapshots('lk', versions => '{}')").fetchall() == []


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("duckdb.expire_snapshots('lk')", "22004"),
        ("duckdb.expire_snapshots('lk', versions => '{-1}')", "22023"),
        ("duckdb.expire_snapshots('lk', older_than => 'infinity')", "22008"),
        ("duckdb.cleanup_old_files('lk')", "22023"),
        ("duckdb.cleanup_old_files('lk', cleanup_all => true, older_than => now())", "22023"),
        ("duckdb.delete_orphaned_files('lk')", "22004"),
        ("duckdb.delete_orphaned_files('lk', older_than => now() - interval '59 minutes')", "22023"),
        ("duckdb.delete_orphaned_files('lk', older_than => 'infinity')", "22008"),
        ("duckdb.delete_orphaned_files('lk', older_than => '-infinity')", "22008"),
        ("duckdb.merge_adjacent_files('lk', schema_name => 'main')", "22023"),
        ("duckdb.merge_adjacent_files('lk', 'nosuch')", "42P01"),
        ("duckdb.merge_adjacent_files('lk', max_compacted_files => -1)", "22023"),
        ("duckdb.set_option('lk', 'nosuch', '1')", "0A000"),
        ("duckdb.set_option('lk', NULL, '1')", "22004"),
        ("duckdb.add_data_files('lk', NULL, '{x}')", "22004"),
        ("duckdb.add_data_files('lk', 'x', NULL)", "22004"),
    ],
)
def test_arguments_that_maintenance_refuses(lake, su, statement, sqlstate):
    assert sqlstate_of(su, "SELECT * FROM " + statement) == sqlstate


def test_orphans_are_shown_and_the_young_ones_kept(lake, su, lake_writer):
    path = f"{lake.path}lk/main/stray/ducklake-stray.parquet"
    lake_writer.execute(f"COPY (SELECT 1 AS a) TO '{path}'")
    assert (path,) in su.execute("SELECT * FROM duckdb.delete_orphaned_files('lk', dry_run => true)").fetchall()
    assert su.execute("SELECT * FROM duckdb.delete_orphaned_files('lk', older_than => now() - interval '1 hour')").fetchall() == []
    assert lake_writer.execute(f"SELECT a FROM '{path}'").fetchall() == [(1,)]


def test_options_are_set_for_the_lake_and_for_a_table(lake, su):
    name = lake.table()
    su.execute("SELECT duckdb.set_option('lk', 'parquet_compression', 'zstd')")
    su.execute("SELECT duckdb.set_option('lk', 'target_file_size', '10MB', table_name => %s)", (name,))
    options = su.execute("SELECT option_name, value, scope, scope_entry FROM duckdb.query($$FROM ducklake_options('lk')$$) q").fetchall()
    assert ("parquet_compression", "zstd") in [option[:2] for option in options]
    assert any(option[0] == "target_file_size" and option[2] == "TABLE" for option in options)


def test_files_become_rows(lake, su, user):
    name = lake.imported()
    path = f"{lake.path}lk/added.parquet"
    lake.execute(f"COPY (SELECT 77::bigint AS id, 'added' AS name, 1 AS further) TO '{path}'")
    assert sqlstate_of(su, f"SELECT duckdb.add_data_files('lk', '{name}', ARRAY['{path}'])") == "22023"
    su.execute(f"SELECT duckdb.add_data_files('lk', '{name}', ARRAY['{path}'], ignore_extra_columns => true)")
    assert su.execute(f"SELECT name FROM s.{name} WHERE id = 77").fetchall() == [("added",)]
    adder = user("EXECUTE ON FUNCTION duckdb.add_data_files")
    for path in ("/etc/passwd", "s3://vault/x.parquet", f"{lake.path}../x.parquet"):
        assert sqlstate_of(adder, f"SELECT duckdb.add_data_files('lk', '{name}', ARRAY['{path}'])") == "42501"


def test_a_checkpoint_does_what_is_to_be_done(lake, su):
    name = lake.table()
    lake.execute(f"INSERT INTO lk.main.{name} SELECT i, 'm' FROM range(5) r(i)")
    su.execute("SELECT duckdb.checkpoint('lk')")
    assert files_of(su, name) == 1


@pytest.mark.parametrize("name", ["merge_adjacent_files", "rewrite_data_files", "cleanup_old_files", "delete_orphaned_files", "checkpoint"])
def test_what_does_not_go_with_changes(lake, su, name):
    table = lake.table()
    with su.transaction(force_rollback=True):
        lake.execute(f"INSERT INTO lk.main.{table} SELECT 1, 'x'")
        error = failure(su, call(name))
        assert error.sqlstate == "0A000"
        assert error.diag.message_hint == "Commit first."


def test_after_a_merge_nothing_is_changed(lake, su):
    table = lake.table()
    with su.transaction(force_rollback=True):
        su.execute(call("merge_adjacent_files"))
        su.execute(call("rewrite_data_files"))
        assert sqlstate_of(su, "SELECT duckdb.execute(%s)", (f"INSERT INTO lk.main.{table} SELECT 1, 'x'",)) == "0A000"


def test_two_merges_commit_together(lake, su):
    tables = [lake.table(), lake.table()]
    for table in tables:
        lake.execute(f"INSERT INTO lk.main.{table} SELECT 1, 'x'")
    with su.transaction():
        for table in tables:
            assert len(su.execute("SELECT * FROM duckdb.merge_adjacent_files('lk', %s)", (table,)).fetchall()) == 1
    assert [files_of(su, table) for table in tables] == [1, 1]


def test_a_merge_is_rolled_back(lake, su):
    table = lake.table()
    lake.execute(f"INSERT INTO lk.main.{table} SELECT 1, 'x'")
    with su.transaction(force_rollback=True):
        assert len(su.execute("SELECT * FROM duckdb.merge_adjacent_files('lk', %s)", (table,)).fetchall()) == 1
    assert files_of(su, table) == 2


# ---- the past


@pytest.fixture(scope="module")
def history(lake, su):
    """Foreign table `s.hist`, and the numbers of its snapshots by what they did."""
    lake.execute("CREATE TABLE lk.main.hist AS SELECT i AS id, 'n' || i AS name FROM range(10) r(i)")
    numbers = {"made": lake.snapshot()}
    for what, statement in {
        "widened": "ALTER TABLE lk.main.hist ADD COLUMN day date",
        "updated": "UPDATE lk.main.hist SET name = 'upd', day = '2020-01-01' WHERE id = 9",
        "deleted": "DELETE FROM lk.main.hist WHERE id < 5",
    }.items():
        lake.execute(statement)
        numbers[what] = lake.snapshot()
    su.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (hist) FROM SERVER lk INTO s")
    su.execute("CREATE SCHEMA IF NOT EXISTS narrow")
    su.execute("CREATE FOREIGN TABLE narrow.hist (who text OPTIONS (column_name 'name')) SERVER lk")
    return numbers


def test_a_version_has_the_columns_of_its_time(lake, su, history):
    cursor = su.execute(f"SELECT * FROM duckdb.at('s.hist', version => {history['made']}) ORDER BY id")
    assert [column.name for column in cursor.description] == ["id", "name"]
    assert cursor.fetchall() == [(i, f"n{i}") for i in range(10)]
    cursor = su.execute(f"SELECT * FROM duckdb.at('s.hist', {history['updated']}) WHERE id >= 8 ORDER BY id")
    assert cursor.fetchall() == [(8, "n8", None), (9, "upd", datetime.date(2020, 1, 1))]


def test_a_timestamp_is_that_of_the_session(lake, su, history):
    (moment,) = su.execute("SELECT snapshot_time + interval '1 ms' FROM duckdb.snapshots('lk') WHERE snapshot_id = %s", (history["made"],)).fetchone()
    for zone in ("UTC", "America/New_York"):
        su.execute("SELECT set_config('timezone', %s, false)", (zone,))
        (text,) = su.execute("SELECT to_char(%s::timestamptz, 'YYYY-MM-DD HH24:MI:SS.US')", (moment,)).fetchone()
        statement = "SELECT count(*) FROM duckdb.at('s.hist', \"timestamp\" => " + literal(text) + ")"
        assert su.execute(statement).fetchone() == (10,)
    su.execute("RESET timezone")


def test_changes_between_versions(lake, su, history):
    rows = su.execute(
        f"SELECT snapshot_id, change_type, id, name FROM duckdb.table_changes('s.hist', {history['updated']}, {history['deleted']}) c "
        "ORDER BY snapshot_id, change_type, id"
    ).fetchall()
    updated, deleted = history["updated"], history["deleted"]
    assert rows == [
        (updated, "update_postimage", 9, "upd"),
        (updated, "update_preimage", 9, "n9"),
        *((deleted, "delete", i, f"n{i}") for i in range(5)),
    ]


def test_only_the_columns_of_the_foreign_table_are_seen(lake, su, history):
    assert su.execute(f"SELECT * FROM duckdb.at('narrow.hist', {history['made']}) LIMIT 1").fetchone() == ("n0",)
    cursor = su.execute(f"SELECT * FROM duckdb.table_changes('narrow.hist', {history['deleted']}, {history['deleted']})")
    assert [column.name for column in cursor.description] == ["snapshot_id", "rowid", "change_type", "who"]
    assert sqlstate_of(su, f"SELECT * FROM duckdb.query_at('narrow.hist', {history['made']}) AS t(id bigint)") == "42703"
    assert sqlstate_of(su, f"SELECT * FROM duckdb.query_at('narrow.hist', {history['made']}) AS t(name text)") == "42703"


def test_conditions_columns_and_limits_go_to_duckdb(lake, su, history):
    ((plan,),) = su.execute(
        f"EXPLAIN (FORMAT json, COSTS off) SELECT name FROM duckdb.at('s.hist', {history['made']}) WHERE id = 3 LIMIT 1"
    ).fetchall()
    text = json.dumps(plan)
    assert f"AT (VERSION => {history['made']})" in text
    assert "SELECT \\\"name\\\" FROM" in text
    assert "WHERE" in text
    assert "DuckDB Limit" in text


def test_select_is_the_right_to_the_past(lake, su, user, history):
    statements = [
        f"SELECT count(*) FROM duckdb.at('s.hist', {history['made']})",
        f"SELECT count(*) FROM duckdb.table_changes('s.hist', {history['made']}, {history['made']})",
        f"SELECT count(*) FROM duckdb.query_at('s.hist', {history['made']}) AS t(id bigint)",
        f"SELECT (SELECT count(*) FROM duckdb.query_at('s.hist', n) AS t(id bigint)) FROM (VALUES ({history['made']}::bigint)) v(n)",
    ]
    reader = user(usage=False)
    for statement in statements:
        error = failure(reader, statement)
        assert (error.sqlstate, error.diag.message_primary) == ("42501", "permission denied for foreign table s.hist")
    su.execute(sql.SQL("GRANT SELECT (id) ON s.hist TO {}").format(sql.Identifier(reader.info.user)))
    assert sqlstate_of(reader, statements[0]) == "42501"
    su.execute(sql.SQL("GRANT SELECT ON s.hist TO {}").format(sql.Identifier(reader.info.user)))
    for statement in statements:
        assert reader.execute(statement).fetchone() == (10,)
    reader.execute(f"PREPARE past AS {statements[0]}")
    for _ in range(7):
        assert reader.execute("EXECUTE past").fetchone() == (10,)
    su.execute(sql.SQL("REVOKE SELECT ON s.hist FROM {}").format(sql.Identifier(reader.info.user)))
    assert sqlstate_of(reader, "EXECUTE past") == "42501"


def test_a_table_of_one_snapshot_shows_no_other(lake, su, history):
    su.execute(f"CREATE FOREIGN TABLE s.hist_made (id bigint) SERVER lk OPTIONS (table_name 'hist', version '{history['made']}')")
    assert sqlstate_of(su, f"SELECT * FROM duckdb.at('s.hist_made', {history['updated']})") == "0A000"
    assert sqlstate_of(su, f"SELECT * FROM duckdb.table_changes('s.hist_made', 1, {history['updated']})") == "0A000"
    su.execute("DROP FOREIGN TABLE s.hist_made")


@pytest.mark.parametrize(
    ("item", "sqlstate"),
    [
        ("duckdb.at('s.hist')", "22023"),
        ("duckdb.at('s.hist', NULL)", "22023"),
        ("duckdb.at('s.hist', 1, '2020-01-01')", "22023"),
        ("duckdb.at('s.hist', version => 1000000)", "22023"),
        ("duckdb.at('s.hist', version => 0)", "42P01"),
        ("duckdb.at('s.hist', version => (SELECT 1))", "22023"),
        ("duckdb.at('s.hist', \"timestamp\" => '1999-01-01')", "22023"),
        ("duckdb.at('s.hist', \"timestamp\" => 'infinity')", "22008"),
        ("duckdb.at('s.hist', \"timestamp\" => 'nonsense')", "22007"),
        ("duckdb.at('s.nosuch', version => 1)", "42P01"),
        ("duckdb.at('pg_class', version => 1)", "42809"),
        ("duckdb.at(NULL, version => 1)", "22004"),
        ("duckdb.at('s.' || 'hist', version => 1)", "42P18"),
        ("duckdb.table_changes('s.hist', NULL, 1)", "22004"),
        ("duckdb.table_changes('s.hist', 1, 1000000)", "22023"),
    ],
)
def test_what_is_no_past(lake, su, history, item, sqlstate):
    assert sqlstate_of(su, "SELECT * FROM " + item) == sqlstate


def test_the_past_is_not_read_after_a_write(lake, su, history):
    statements = [
        f"SELECT * FROM duckdb.at('s.hist', {history['made']})",
        f"SELECT * FROM duckdb.table_changes('s.hist', {history['made']}, {history['updated']})",
        f"SELECT * FROM duckdb.query('FROM lk.main.hist AT (VERSION => {history['made']})') q",
        "SELECT * FROM s.hist_fixed",
        "SELECT * FROM s.hist_view",
        "SELECT * FROM duckdb.query('FROM lk.main.hist_view') q",
        "SELECT * FROM duckdb.query('FROM lk.main.hist_changes') q",
        f"SELECT * FROM duckdb.query('FROM lk.main.hist AT/**/(VERSION => {history['made']})') q",
        "SELECT duckdb.execute('INSERT INTO lk.main.{other} SELECT id, ''x'' FROM lk.main.hist_view')",
        f"SELECT duckdb.execute('INSERT INTO lk.main.{{other}} SELECT id, ''x'' FROM lk.main.hist AT/**/(VERSION => {history['made']})')",
    ]
    lake.execute(f"CREATE VIEW lk.main.hist_then AS FROM lk.main.hist AT (VERSION => {history['made']})")
    lake.execute("CREATE VIEW lk.main.hist_view AS SELECT id FROM lk.main.hist_then")
    lake.execute(f"CREATE VIEW lk.main.hist_changes AS FROM ducklake_table_changes('lk', 'main', 'hist', {history['made']}, {history['updated']})")
    su.execute("CREATE FOREIGN TABLE s.hist_view (id bigint) SERVER lk")
    su.execute(f"CREATE FOREIGN TABLE s.hist_fixed (id bigint) SERVER lk OPTIONS (table_name 'hist', version '{history['made']}')")
    other = lake.table()
    for statement in (statement.replace("{other}", other) for statement in statements):
        with su.transaction(force_rollback=True):
            su.execute(statement)
            lake.execute(f"INSERT INTO lk.main.{other} SELECT 1, 'x'")
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="past of a lake"), su.transaction():
                su.execute(statement)
    with su.transaction():
        for _ in range(2):
            lake.execute(f"INSERT INTO lk.main.{other} SELECT 1, 'x'")
    for statement in statements[:-2]:
        su.execute(statement)
    su.execute("DROP FOREIGN TABLE s.hist_fixed, s.hist_view")
    lake.execute("DROP VIEW lk.main.hist_changes")
    lake.execute("DROP VIEW lk.main.hist_view")
    lake.execute("DROP VIEW lk.main.hist_then")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT duckdb.execute('INSERT INTO lk.main.{t} FROM lk.main.{t} AT (VERSION => {v})')",
        "SELECT duckdb.execute('MERGE INTO lk.main.{t} AS t USING (FROM lk.main.{t} AT (VERSION => {v})) AS o ON (o.id = t.id) WHEN NOT MATCHED THEN INSERT')",
        "INSERT INTO s.{t} SELECT * FROM duckdb.at('s.{t}', version => {v})",
        "INSERT INTO s.{t} SELECT id, name || lower('') FROM duckdb.at('s.{t}', version => {v})",
        "INSERT INTO s.{t} SELECT * FROM s.{t}_then",
        "INSERT INTO s.{t} SELECT t.* FROM s.{t}_then t JOIN pg_class c ON c.relname = 'pg_class'",
        "INSERT INTO s.{t} SELECT * FROM s.{t}_view",
        "INSERT INTO s.{t} SELECT * FROM duckdb.query('FROM lk.main.{t} AT (VERSION => {v})') q",
        "SELECT duckdb.create_lake_table('lk.main.{t}', 'FROM lk.main.{t}_view')",
        "SELECT duckdb.execute('CREATE TABLE lk.main.{t} AS FROM lk.main.{t} AT (VERSION => {v})')",
    ],
)
def test_one_statement_brings_back_what_was(lake, su, statement):
    """The first statement that writes may read the past: there are no changes yet that it could be mixed with."""
    name = lake.imported()
    version = lake.snapshot()
    lake.execute(f"CREATE VIEW lk.main.{name}_view AS FROM lk.main.{name} AT (VERSION => {version})")
    su.execute(f"CREATE FOREIGN TABLE s.{name}_view (id bigint, name text) SERVER lk")
    su.execute(f"CREATE FOREIGN TABLE s.{name}_then (id bigint, name text) SERVER lk OPTIONS (table_name '{name}', version '{version}')")
    rows = f"SELECT * FROM s.{name} ORDER BY id"
    before = su.execute(rows).fetchall()
    lake.execute(f"DELETE FROM lk.main.{name} WHERE id % 3 > 0" if "MERGE" in statement else f"TRUNCATE lk.main.{name}")
    if "lk.main.{t}'," in statement or "CREATE TABLE" in statement:
        lake.execute(f"DROP TABLE lk.main.{name}")
    for undone in (True, False):
        with su.transaction(force_rollback=undone):
            su.execute(statement.format(t=name, v=version))
            assert su.execute(rows).fetchall() == before
            for past in (f"s.{name}_then", f"s.{name}_view"):
                with pytest.raises(psycopg.errors.FeatureNotSupported, match="past of a lake"), su.transaction():
                    su.execute(f"SELECT * FROM {past}")
    assert su.execute(rows).fetchall() == before
    su.execute(f"DROP FOREIGN TABLE s.{name}, s.{name}_then, s.{name}_view")


def test_the_past_stands_in_stored_queries(lake, su, history):
    version = history["made"]
    su.execute(f"CREATE VIEW s.then AS SELECT * FROM duckdb.at('s.hist', {version}) WHERE id < 3")
    su.execute(f"CREATE FUNCTION s.then_f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM duckdb.at('s.hist', version => {version}); END")
    su.execute(f"CREATE MATERIALIZED VIEW s.then_m AS SELECT change_type FROM duckdb.table_changes('s.hist', {version}, {version})")
    assert su.execute("SELECT name FROM s.then ORDER BY 1").fetchall() == [("n0",), ("n1",), ("n2",)]
    assert su.execute("SELECT s.then_f()").fetchone() == (10,)
    assert su.execute("SELECT DISTINCT change_type, count(*) OVER () FROM s.then_m").fetchall() == [("insert", 10)]
    assert sqlstate_of(su, "DROP FOREIGN TABLE s.hist") == "2BP01"
    su.execute("DROP VIEW s.then")
    su.execute("DROP MATERIALIZED VIEW s.then_m")
    su.execute("DROP FUNCTION s.then_f")


def test_dump_and_restore_keep_views_of_the_past(lake, su, sandbox, database, cluster, history, tmp_path):
    su.execute("CREATE SCHEMA kept")
    su.execute("IMPORT FOREIGN SCHEMA main LIMIT TO (hist) FROM SERVER lk INTO kept")
    su.execute(f"CREATE VIEW kept.a AS SELECT name FROM duckdb.at('kept.hist', {history['made']})")
    su.execute("CREATE VIEW kept.b AS SELECT * FROM duckdb.at('kept.hist', \"timestamp\" => '2099-01-01 00:00+00')")
    su.execute(f"CREATE VIEW kept.c AS SELECT * FROM duckdb.table_changes('kept.hist', {history['made']}, {history['deleted']})")
    target, dump = unique("pond_restored"), tmp_path / "dump.sql"
    server = ["-h", sandbox.socket_dir, "-p", str(sandbox.port), "-U", "postgres"]
    subprocess.run([sandbox.bindir / "pg_dump", *server, "-f", dump, "-n", "kept", database], check=True)
    cluster.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(target)))
    try:
        with psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=target, autocommit=True) as conn:
            conn.execute("CREATE EXTENSION pg_pond")
            create_server(conn, sandbox, "store", "s3://lake/", writable="true")
            map_user(conn, "postgres", "store", sandbox.all)
            restored = Lake(conn, sandbox, lake.catalog, lake.owner)
            restored.create_server("lk", "lk", data_path=f"{lake.path}lk/")
            subprocess.run([sandbox.bindir / "psql", *server, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-d", target, "-f", dump], check=True)
            assert conn.execute("SELECT count(*) FROM kept.a").fetchone() == (10,)
            assert conn.execute("SELECT count(*) FROM kept.b").fetchone() == (5,)
            assert conn.execute("SELECT count(*) FROM kept.c").fetchone() == (17,)
    finally:
        cluster.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(target)))
        su.execute("DROP SCHEMA kept CASCADE")
