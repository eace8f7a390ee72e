"""What a lake cannot keep as it is is refused before anything is written, naming the column."""

import pytest

from lakes import execute, fresh_name, literal, query
from support import failure, sqlstate_of, words


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("ex", local=True)


@pytest.fixture
def table(request):
    return fresh_name(request)[-50:]


def refused(conn, statement, column):
    error = failure(conn, statement)
    assert error.sqlstate == "0A000", (statement, error)
    assert f'"{column}"' in error.diag.message_primary, error.diag.message_primary


def text(statement):
    return f"SELECT duckdb.execute({literal(statement)})"


@pytest.mark.parametrize("kind", ["HUGEINT", "UHUGEINT", "TIME WITH TIME ZONE", "STRUCT(a HUGEINT)", "TIME WITH TIME ZONE[]", "MAP(VARCHAR, UHUGEINT)"])
def test_types_that_files_change_are_refused(lake, su, table, kind):
    name = f"ex.main.{table}"
    refused(su, text(f"CREATE TABLE {name} (a INTEGER, odd {kind})"), "odd")
    assert sqlstate_of(su, text(f"CREATE OR REPLACE TABLE {name} AS SELECT 1 AS a, CAST(NULL AS {kind}) AS odd")) == "0A000"
    refused(su, f"SELECT duckdb.create_lake_table({literal(name)}, 'SELECT 1 AS a, CAST(NULL AS {kind}) AS odd')", "odd")
    execute(su, f"CREATE TABLE {name} (a INTEGER)")
    refused(su, text(f"ALTER TABLE {name} ADD COLUMN odd {kind}"), "odd")
    assert query(su, f"FROM {name}") == []
    lake.client().execute(f"ALTER TABLE {name} ADD COLUMN odd {kind}")
    for statement in (f"INSERT INTO {name} (a) VALUES (1)", f"UPDATE {name} SET a = 2"):
        refused(su, text(statement), "odd")
    assert query(su, f"SELECT a FROM {name}") == []


def test_sums_are_cast_before_they_are_kept(lake, su, table):
    name = f"ex.main.{table}"
    refused(su, text(f"CREATE TABLE {name} AS SELECT sum(i) AS total FROM range(10) r(i)"), "total")
    execute(su, f"CREATE TABLE {name} AS SELECT sum(i)::DECIMAL(38,0) AS total FROM range(10) r(i)")
    assert query(su, f"FROM {name}") == [(45,)]


@pytest.mark.parametrize("kind, column, value", [("HUGEINT", "numeric", "9007199254740993"), ("TIME WITH TIME ZONE", "timetz", "'12:00:00+05:30'")])
def test_foreign_tables_of_such_types_are_read_only(lake, su, table, kind, column, value):
    lake.client().execute(f"CREATE TABLE ex.main.{table} (a INTEGER, odd {kind})")
    su.execute(f"CREATE FOREIGN TABLE {table} (a int, odd {column}) SERVER ex")
    for statement in (f"INSERT INTO {table} VALUES (1, {value})", f"INSERT INTO {table} SELECT g, {value} FROM generate_series(1, 3) g"):
        refused(su, statement, "odd")
    assert su.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_negative_intervals(lake, su, table):
    execute(su, f"CREATE TABLE ex.main.{table} (a INTEGER, odd INTERVAL)")
    su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({table}) FROM SERVER ex INTO public")
    for value in ("-1 day", "-1 month", "-1 ms"):
        refused(su, f"INSERT INTO {table} VALUES (1, '{value}')", "odd")
    assert sqlstate_of(su, text(f"INSERT INTO ex.main.{table} SELECT i, INTERVAL (-1) DAY FROM range(100) r(i)")) == "0A000"
    su.execute(f"INSERT INTO {table} VALUES (1, '1 mon 2 days 00:00:03.004')")
    assert su.execute(f"SELECT odd::text FROM {table}").fetchall() == [("1 mon 2 days 00:00:03.004",)]


def test_a_column_that_was_added_while_rows_were_not_inlined(lake, su, table):
    name = f"ex.main.{table}"
    execute(su, f"CREATE TABLE {name} (a INTEGER)")
    execute(su, f"INSERT INTO {name} VALUES (1)")
    option = f"SELECT duckdb.set_option('ex', 'data_inlining_row_limit', '{{}}', table_name => '{table}')"
    su.execute(option.format(0))
    execute(su, f"ALTER TABLE {name} ADD COLUMN b INTEGER")
    su.execute(option.format(10))
    error = failure(su, text(f"INSERT INTO {name} VALUES (2, 2)"))
    assert (error.sqlstate, "data_inlining_row_limit" in (error.diag.message_hint or "")) == ("55000", True), words(error)
    su.execute(option.format(0))
    execute(su, f"INSERT INTO {name} VALUES (2, 2)")
    assert query(su, f"FROM {name} ORDER BY a") == [(1, None), (2, 2)]


def test_buckets_are_not_changed(lake, su, table):
    name = f"ex.main.{table}"
    execute(su, f"CREATE TABLE {name} (a INTEGER)")
    execute(su, f"ALTER TABLE {name} SET PARTITIONED BY (bucket(8, a))")
    execute(su, f"INSERT INTO {name} FROM range(40)")
    refused(su, text(f"ALTER TABLE {name} SET PARTITIONED BY (bucket(4, a))"), table)
    with su.transaction():
        execute(su, f"INSERT INTO {name} FROM range(40, 80)")
        for i in range(0, 80, 7):
            assert query(su, f"SELECT a FROM {name} WHERE a = {i}") == [(i,)]


def test_a_default_is_used_in_the_transaction_that_adds_it(lake, su, table):
    name = f"ex.main.{table}"
    execute(su, f"CREATE TABLE {name} (a INTEGER)")
    execute(su, f"INSERT INTO {name} VALUES (1), (2), (3)")
    counts = f"SELECT count(*), count(b), sum(b)::INTEGER, count(DISTINCT b) FROM {name}"
    with su.transaction():
        execute(su, f"ALTER TABLE {name} ADD COLUMN b INTEGER DEFAULT 5")
        execute(su, f"INSERT INTO {name} VALUES (4, 6), (5, NULL)")
        assert query(su, counts) == [(5, 4, 21, 2)]
        assert query(su, f"SELECT DISTINCT b FROM {name} ORDER BY b") == [(5,), (6,), (None,)]
    assert query(su, counts) == [(5, 4, 21, 2)]
