"""What pg_pond asks of PostgreSQL's catalogs in SQL runs under a search path of its own: operators,
functions and types that somebody has put into the caller's path are not run."""

import pytest
from psycopg import sql

from lakes import execute

PAIRS = [
    ("oid", "integer"), ("oid", "oid"), ("name", "text"), ("name", "name"), ('"char"', '"char"'), ('"char"', "text"),
    ("smallint", "integer"), ("smallint", "smallint"), ("text", "text"), ("integer", "integer"), ("anynonarray", "anynonarray"),
]


@pytest.fixture(scope="module")
def traps(su):
    """Operators, functions and types that tell when somebody has used them."""
    su.execute("CREATE SCHEMA traps; GRANT USAGE ON SCHEMA traps TO PUBLIC")
    for number, (left, right) in enumerate(PAIRS):
        for name in ("=", ">", "<>"):
            function = f"sprung_{number}_{'eq' if name == '=' else 'gt' if name == '>' else 'ne'}"
            su.execute(
                f"CREATE FUNCTION traps.{function}({left}, {right}) RETURNS boolean LANGUAGE plpgsql "
                f"AS $$ BEGIN RAISE 'a trap was sprung: {left} {name} {right}'; END $$".replace('"char"', 'pg_catalog."char"')
            )
            su.execute(f"CREATE OPERATOR traps.{name} (FUNCTION = traps.{function}, LEFTARG = {left}, RIGHTARG = {right})")
    for name in ("obj_description(oid, text)", "obj_description(integer, text)", "col_description(oid, smallint)",
                 "pg_describe_object(oid, oid, integer)"):
        su.execute(f"CREATE FUNCTION traps.{name} RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'a trap was sprung'; END $$")
    for name in ("text", "numeric", "bytea", "date", "uuid", "jsonb", "regclass", "timestamp"):
        su.execute(f'CREATE DOMAIN traps."{name}" AS pg_catalog.int4')
    return "traps"


@pytest.mark.parametrize("path", ["pg_catalog, traps, public", "traps, pg_catalog, public"])
def test_traps_in_the_callers_path_are_not_sprung(connect, lakes, traps, path):
    number = 1 if path.startswith("pg_catalog") else 2
    conn = connect()
    lake = lakes.make(f"trapped{number}")
    execute(conn, f"CREATE TABLE {lake.name}.orders (id bigint NOT NULL, total decimal(8,2), gone varchar, day date)")
    execute(conn, f"CREATE TABLE {lake.name}.other (id uuid, raw blob, made timestamp)")
    execute(conn, f"COMMENT ON TABLE {lake.name}.orders IS 'all of them'")
    execute(conn, f"COMMENT ON COLUMN {lake.name}.orders.total IS 'in francs'")
    schema = sql.Identifier(f"trapped_{number}").as_string()
    conn.execute(f"CREATE SCHEMA {schema}")
    # What looks up temporary relations first would find these.
    for name in ("pg_class", "pg_namespace", "pg_depend", "pg_attribute", "pg_foreign_table", "pg_type"):
        conn.execute(f"CREATE TEMP TABLE {name} (oid int)")
    conn.execute(f"SET search_path = {path}")

    def steps():
        return conn.execute("SELECT * FROM duckdb.refresh_foreign_schema(%s, 'main', %s)", (lake.name, f"trapped_{number}")).fetchall()

    assert len(steps()) == 2
    execute(conn, f"ALTER TABLE {lake.name}.orders DROP COLUMN gone")
    execute(conn, f"ALTER TABLE {lake.name}.orders ALTER COLUMN total TYPE decimal(12,2)")
    execute(conn, f"ALTER TABLE {lake.name}.orders ADD COLUMN note varchar")
    execute(conn, f"COMMENT ON COLUMN {lake.name}.orders.id IS 'new'")
    execute(conn, f"DROP TABLE {lake.name}.other")
    done = steps()
    assert [detail for action, _, detail in done if action == "altered"] == [
        "DROP COLUMN gone", "ALTER COLUMN total TYPE numeric(12,2)", "ADD COLUMN note text"
    ]
    assert [action for action, _, _ in done if action != "altered"] == ["commented", "dropped"]
    conn.execute(f"DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}")
    conn.execute(f"IMPORT FOREIGN SCHEMA main FROM SERVER {lake.name} INTO {schema}")
    (path_now,) = conn.execute("SHOW search_path").fetchone()
    assert path_now == path
    conn.execute("RESET search_path")
    types = conn.execute(
        "SELECT string_agg(atttypid::regtype::text, ' ' ORDER BY attnum) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", (f"trapped_{number}.orders",)
    ).fetchone()
    assert types == ("bigint numeric date text",)
    comments = conn.execute("SELECT obj_description(%s::regclass, 'pg_class')", (f"trapped_{number}.orders",)).fetchone()
    assert comments == ("all of them",)


def test_the_path_comes_back_after_an_error(connect, lakes):
    conn = connect()
    lake = lakes.make("trapped3")
    execute(conn, f"CREATE TABLE {lake.name}.t (a int)")
    conn.execute("SET search_path = public")
    # The table's name is taken by a type of the local schema, which is PostgreSQL's own error.
    conn.execute("CREATE SCHEMA trapped_3; CREATE TYPE trapped_3.t AS ENUM ()")
    with pytest.raises(Exception, match="already exists"), conn.transaction():
        conn.execute("SELECT * FROM duckdb.refresh_foreign_schema('trapped3', 'main', 'trapped_3')")
    assert conn.execute("SHOW search_path").fetchone() == ("public",)
    with conn.transaction():
        with pytest.raises(Exception, match="already exists"), conn.transaction():
            conn.execute("SELECT * FROM duckdb.refresh_foreign_schema('trapped3', 'main', 'trapped_3')")
        assert conn.execute("SHOW search_path").fetchone() == ("public",)
    with pytest.raises(Exception, match="does not exist"):
        conn.execute("SELECT * FROM duckdb.refresh_foreign_schema('trapped3', 'main', 'nosuch')")
    assert conn.execute("SHOW search_path").fetchone() == ("public",)
