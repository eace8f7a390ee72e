"""Files of one set in which a column has several types: conditions mean the values that are read, not
what each file holds, with and without pushdown, on foreign tables, readers, duckdb.query and lakes."""

import pytest

from conftest import unique
from support import failure


@pytest.fixture(scope="module")
def duck():
    import duckdb

    with duckdb.connect() as conn:
        yield conn


# Name: the two files' values, a declared type, and conditions with the rows that they find. The first file
# has the wider type.
SETS = {
    "double_int": (
        "SELECT unnest([1.1, 2.5])::DOUBLE",
        "SELECT unnest([1, 2])::INTEGER",
        "double precision",
        [("x < 1.1", [1.0]), ("x <= 1.6", [1.0, 1.1]), ("x = 1.2", []), ("x > 1.9", [2.0, 2.5]), ("x < 1.1 OR x > 2.4", [1.0, 2.5])]
        + [("x IN (1.2, 2.5)", [2.5]), ("x BETWEEN 1.2 AND 1.4", []), ("NOT x >= 1.1", [1.0]), ("x <> 1.1", [1.0, 2.0, 2.5])],
    ),
    "double_float": (
        "SELECT unnest([0.1])::DOUBLE",
        "SELECT unnest([0.1, 0.5])::FLOAT",
        "double precision",
        [("x > 0.1 AND x < 0.4", [0.10000000149011612]), ("x <= 0.1", [0.1]), ("x = 0.1", [0.1])],
    ),
    "decimal_int": (
        "SELECT unnest([1.10, 2.50])::DECIMAL(9,2)",
        "SELECT unnest([1, 2])::INTEGER",
        "numeric(9,2)",
        [("x < 1.1", ["1.00"]), ("x = 1.25", []), ("x >= 1.7", ["2.00", "2.50"]), ("x IN (1.2, 2.5)", ["2.50"])],
    ),
    "decimal_scales": (
        "SELECT unnest([1.111])::DECIMAL(9,3)",
        "SELECT unnest([1.1, 1.2])::DECIMAL(9,1)",
        "numeric(9,3)",
        [("x < 1.11", ["1.100"]), ("x = 1.149", []), ("x > 1.149", ["1.200"])],
    ),
    "timestamp_date": (
        "SELECT unnest([TIMESTAMP '2026-01-02 12:00:00'])",
        "SELECT unnest([DATE '2026-01-02', DATE '2026-01-03'])",
        "timestamp",
        [("x < '2026-01-02 00:00:01'", ["2026-01-02 00:00:00"]), ("x = '2026-01-03 05:00'", []), ("x >= '2026-01-02 00:00:01'", ["2026-01-02 12:00:00", "2026-01-03 00:00:00"])],
    ),
    "bigint_int": (
        "SELECT unnest([1, 5000000000])::BIGINT",
        "SELECT unnest([1, 2])::INTEGER",
        "bigint",
        [("x < 5000000000", [1, 1, 2]), ("x = 5000000000", [5000000000]), ("x IN (2, 5000000000)", [2, 5000000000])],
    ),
}
CASES = [pytest.param(name, condition, found, id=f"{name}-{condition}") for name, (_, _, _, cases) in SETS.items() for condition, found in cases]


@pytest.fixture(scope="module")
def sets(su, duck, tmp_path_factory):
    """A folder with the sets, with foreign tables of the same names, and one that takes columns by name."""
    path = tmp_path_factory.mktemp("types")
    for parent in [path, *path.parents][:3]:
        parent.chmod(0o755)
    su.execute(f"CREATE SERVER mixed TYPE 'file' FOREIGN DATA WRAPPER duckdb OPTIONS (location '{path}')")
    su.execute("CREATE USER MAPPING FOR PUBLIC SERVER mixed")
    for name, (wide, narrow, declared, _) in SETS.items():
        duck.execute(f"COPY (SELECT x FROM ({wide}) t(x)) TO '{path}/{name}-1.parquet'")
        duck.execute(f"COPY (SELECT x FROM ({narrow}) t(x)) TO '{path}/{name}-2.parquet'")
        files = f"{path}/{name}-*.parquet"
        su.execute(f"CREATE FOREIGN TABLE {name} (x {declared}) SERVER mixed OPTIONS (path '{files}')")
        su.execute(f"CREATE FOREIGN TABLE {name}_by_name () SERVER mixed OPTIONS (path '{files}', union_by_name 'true')")
        su.execute(f"CREATE VIEW {name}_view AS SELECT x FROM {name}")
    return path


def values(conn, statement):
    rows = [row[0] for row in conn.execute(statement).fetchall()]
    return [value if isinstance(value, (int, float)) else str(value) for value in rows]


@pytest.mark.parametrize("pushdown", ["on", "off"])
@pytest.mark.parametrize("name, condition, found", CASES)
def test_condition_on_a_mixed_column_finds_the_rows_that_are_read(su, sets, name, condition, found, pushdown):
    su.execute(f"SET duckdb.enable_pushdown = {pushdown}")
    try:
        files = f"{sets}/{name}-*.parquet"
        sources = [name, f"{name}_by_name", f"{name}_view", f"duckdb.read_parquet('{files}')", f"duckdb.query($$ FROM '{files}' $$)"]
        for source in sources:
            assert values(su, f"SELECT x FROM {source} q WHERE {condition} ORDER BY x") == found, source
            assert values(su, f"SELECT count(x) FROM {source} q WHERE {condition}") == [len(found)], source
    finally:
        su.execute("RESET duckdb.enable_pushdown")


def test_first_rows_of_a_mixed_column(su, sets, duck):
    """DuckDB hands the boundary of a top-N to the files that it opens later."""
    duck.execute(f"COPY (SELECT 1.1::DOUBLE + (i % 5) AS x FROM range(300000) t(i)) TO '{sets}/top-1.parquet'")
    for i in range(2, 9):
        duck.execute(f"COPY (SELECT (1 + i % 3)::INTEGER AS x FROM range(3) t(i)) TO '{sets}/top-{i}.parquet'")
    su.execute(f"CREATE FOREIGN TABLE top (x double precision) SERVER mixed OPTIONS (path '{sets}/top-*.parquet')")
    assert values(su, "SELECT x FROM top ORDER BY x LIMIT 9") == [1.0] * 7 + [1.1] * 2
    assert values(su, "SELECT x FROM (SELECT x FROM top) t ORDER BY x LIMIT 9") == [1.0] * 7 + [1.1] * 2


def test_condition_on_a_joined_mixed_column(su, sets):
    found = values(su, "SELECT a.x FROM double_int a JOIN double_int_by_name b ON a.x = b.x WHERE b.x < 1.1")
    assert found == [1.0]
    found = values(su, "SELECT a.x FROM double_int a LEFT JOIN double_int_by_name b ON a.x = b.x AND b.x < 1.1 WHERE b.x IS NULL ORDER BY 1")
    assert found == [1.1, 2.0, 2.5]


def test_group_of_a_mixed_column_chosen_by_having(su, sets):
    assert su.execute("SELECT x, count(*) FROM double_int GROUP BY x HAVING x < 1.1").fetchall() == [(1.0, 1)]


# Types before and after, values written before and after, conditions with the rows that they find.
WIDENED = {
    "float_double": ("FLOAT", "DOUBLE", "0.1, 0.5", "0.1", [("v = 0.1", [0.1]), ("v > 0.1", [0.10000000149011612, 0.5]), ("v < 0.3", [0.1, 0.10000000149011612])]),
    "int_bigint": ("INTEGER", "BIGINT", "1, 2", "5000000000", [("v < 5000000000", [1, 2]), ("v = 2", [2]), ("v > 2", [5000000000])]),
    "small_int": ("TINYINT", "INTEGER", "1, 2", "300", [("v < 300", [1, 2]), ("v >= 2", [2, 300])]),
}


@pytest.fixture(scope="module")
def widened(lakes):
    lake = lakes.make("widened", data_inlining_row_limit="0")
    client = lake.client()
    for name, (before, after, old, new, _) in WIDENED.items():
        client.execute(f"CREATE TABLE {lake.name}.{name} (v {before})")
        client.execute(f"INSERT INTO {lake.name}.{name} SELECT unnest([{old}])")
        client.execute(f"ALTER TABLE {lake.name}.{name} ALTER v TYPE {after}")
        client.execute(f"INSERT INTO {lake.name}.{name} SELECT unnest([{new}])")
    lake.import_into("widened")
    return lake


@pytest.mark.parametrize("pushdown", ["on", "off"])
@pytest.mark.parametrize("name", WIDENED)
def test_condition_on_a_widened_column_of_a_lake(su, widened, name, pushdown):
    su.execute(f"SET duckdb.enable_pushdown = {pushdown}")
    try:
        for condition, found in WIDENED[name][4]:
            for source in (f"widened.{name}", f"duckdb.query('FROM {widened.name}.{name}')"):
                assert values(su, f"SELECT v FROM {source} q WHERE {condition} ORDER BY v") == found, (source, condition)
    finally:
        su.execute("RESET duckdb.enable_pushdown")


@pytest.mark.parametrize("statement", ["DELETE FROM widened.{t} WHERE v < 1.1", "UPDATE widened.{t} SET k = 7 WHERE v < 1.1", "DELETE FROM widened.{t} WHERE v = 1.5"])
def test_statement_on_a_mixed_column_of_a_lake_changes_the_rows_that_are_read(su, widened, sets, duck, statement):
    """Files of another type come into a lake's table by ducklake_add_data_files too."""
    name = unique("changed")
    client = widened.client()
    client.execute(f"CREATE TABLE {widened.name}.{name} (v FLOAT, k INTEGER)")
    client.execute(f"INSERT INTO {widened.name}.{name} VALUES (1, 1), (2, 2), (0.1, 3)")
    client.execute(f"ALTER TABLE {widened.name}.{name} ALTER v TYPE DOUBLE")
    client.execute(f"INSERT INTO {widened.name}.{name} VALUES (1.1, 4), (0.1, 5)")
    su.execute(f"CREATE FOREIGN TABLE widened.{name} (v double precision, k int) SERVER {widened.name}")
    su.execute(f"CREATE TEMP TABLE twin_{name} AS SELECT * FROM widened.{name}")
    su.execute(statement.format(t=name))
    su.execute(statement.format(t=name).replace("widened.", "twin_"))
    su.execute(f"DELETE FROM widened.{name} WHERE v = 0.1")
    su.execute(f"DELETE FROM twin_{name} WHERE v = 0.1")
    found = su.execute(f"SELECT v, k FROM widened.{name} ORDER BY k, v").fetchall()
    assert found == su.execute(f"SELECT v, k FROM twin_{name} ORDER BY k, v").fetchall()


def test_duckdb_still_compares_in_the_type_of_each_file(duck, sets):
    """When this fails, DuckDB has mended it, and src/lake/mixed.rs can go."""
    assert duck.execute(f"SELECT x FROM '{sets}/double_int-*.parquet' WHERE x < 1.1::DOUBLE").fetchall() == []


@pytest.fixture(scope="module")
def wide(su, sets, duck):
    duck.execute(
        f"COPY (SELECT unnest([1, NULL]) AS id, 9007199254740992::BIGINT AS exact, 9007199254740993::BIGINT AS odd, 1.5::DOUBLE AS d, "
        f"1.005::DOUBLE AS third, 'nan'::DOUBLE AS nan, 12345::HUGEINT AS h) TO '{sets}/wide.parquet'"
    )
    return f"SERVER mixed OPTIONS (path '{sets}/wide.parquet')"


def test_wider_types_are_taken_where_values_are_exact(su, wide):
    su.execute(f"CREATE FOREIGN TABLE wide (id double precision, exact double precision, odd double precision, d numeric(9,2), third numeric(9,2), nan numeric(9,2), h double precision) {wide}")
    assert su.execute("SELECT id, exact, d::text, h FROM wide ORDER BY id").fetchall() == [(1.0, 9007199254740992.0, "1.50", 12345.0), (None, 9007199254740992.0, "1.50", 12345.0)]
    assert su.execute("SELECT count(*) FROM wide WHERE d = 1.5 AND exact > 9007199254740991").fetchone() == (2,)
    for column in ("odd", "third", "nan"):
        assert failure(su, f"SELECT {column} FROM wide").sqlstate == "22003"


MOMENTS = ["2026-01-02 03:04:05.678901", "2026-01-02 03:04:05.5", "1999-12-31 23:59:59.5", "1969-12-31 23:59:59.999999", "2026-12-31 23:59:59.95", "infinity", "-infinity"]


@pytest.mark.parametrize("digits", range(7))
def test_times_of_few_digits_are_rounded_as_postgresql_rounds_them(su, sets, duck, digits):
    su.execute("SET timezone = 'UTC'")
    listed = ", ".join(f"TIMESTAMP '{moment}'" for moment in MOMENTS)
    file = f"{sets}/digits-{digits}.parquet"
    duck.execute(f"SET timezone = 'UTC'; COPY (SELECT t, t::TIMESTAMPTZ AS z, CASE WHEN isfinite(t) THEN t::TIME END AS m FROM (SELECT unnest([{listed}]) AS t)) TO '{file}'")
    su.execute(f"CREATE FOREIGN TABLE digits_{digits} (t timestamp({digits}), z timestamptz({digits}), m time({digits})) SERVER mixed OPTIONS (path '{file}')")
    values = ", ".join(f"('{moment}')" for moment in MOMENTS)
    time = "CASE WHEN isfinite(t::timestamp) THEN t::timestamp::time"
    own = f"SELECT t::timestamp({digits})::text, (t || CASE WHEN t LIKE '%inf%' THEN '' ELSE '+00' END)::timestamptz({digits})::text, ({time} END)::time({digits})::text FROM (VALUES {values}) v(t)"
    found = su.execute(f"SELECT t::text, z::text, m::text FROM digits_{digits}").fetchall()
    assert sorted(found, key=str) == sorted(su.execute(own).fetchall(), key=str)
    assert su.execute(f"SELECT count(*) FROM digits_{digits} WHERE t = timestamp({digits}) '2026-01-02 03:04:05.678901'").fetchone() == (1 if digits else 2,)


def test_texts_of_times_of_few_digits(su, sets):
    (sets / "times.csv").write_text("t,z,m,n\n2026-01-02 03:04:05.678901,2026-01-02T03:04:05.678901Z,03:04:05.678,03:04:05.678+02\n")
    su.execute(f"CREATE FOREIGN TABLE times (t timestamp(1), z timestamptz(2), m time(0), n timetz(1)) SERVER mixed OPTIONS (path '{sets}/times.csv')")
    assert su.execute("SELECT t::text, z::text, m::text, n::text FROM times").fetchone() == ("2026-01-02 03:04:05.7", "2026-01-02 03:04:05.68+00", "03:04:06", "03:04:05.7+02")


def test_columns_called_like_system_columns(su, sets, duck, lakes):
    (sets / "system").mkdir(exist_ok=True)
    (sets / "system").chmod(0o755)
    boxes = "SELECT 1 AS xmin, 2 AS xmax, 3 AS \"xmin_1\", 4 AS ctid, 5 AS tableoid, 6 AS id"
    duck.execute(f"COPY ({boxes}) TO '{sets}/system/boxes.parquet'")
    notices = []
    su.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    su.execute(f"CREATE FOREIGN TABLE boxes () SERVER mixed OPTIONS (path '{sets}/system/boxes.parquet')")
    assert 'column "xmin" is called "xmin_2": PostgreSQL has a system column of that name' in notices
    names = [column.name for column in su.execute("SELECT * FROM boxes").description]
    assert names == ["xmin_2", "xmax_1", "xmin_1", "ctid_1", "tableoid_1", "id"]
    assert su.execute("SELECT * FROM boxes WHERE xmin_2 = 1 AND ctid_1 = 4").fetchall() == [(1, 2, 3, 4, 5, 6)]
    su.execute("CREATE SCHEMA system; IMPORT FOREIGN SCHEMA system FROM SERVER mixed INTO system")
    assert su.execute("SELECT xmax_1, id FROM system.boxes").fetchall() == [(2, 6)]
    lake = lakes.make("boxed", data_inlining_row_limit="0")
    lake.client().execute(f"CREATE TABLE {lake.name}.boxes AS {boxes}")
    lake.import_into("system_lake")
    assert su.execute("SELECT xmax_1, id FROM system_lake.boxes").fetchall() == [(2, 6)]
    assert su.execute("SELECT * FROM duckdb.query($$ SELECT 1 AS ctid $$) q").fetchall() == [(1,)]
