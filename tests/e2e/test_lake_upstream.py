"""Faults of DuckDB and DuckLake that pg_pond works around, each by its shortest reproduction in DuckDB's
own client. A test that fails says that the fault is mended: see docs/upstream.md for what can go then."""

import duckdb
import pytest

from lakes import fresh_name


@pytest.fixture(scope="module")
def lake(lakes):
    return lakes.make("up", local=True)


@pytest.fixture(scope="module")
def client(lake):
    return lake.client()


@pytest.fixture(scope="module")
def other(lake):
    return lake.client()


@pytest.fixture
def table(request):
    return f"up.main.{fresh_name(request)}"


def rows_and_count(client, table):
    return len(client.rows(f"SELECT id FROM {table}")), client.one(f"SELECT count(*) FROM {table}")


def test_upstream_a_flush_that_is_committed_again_loses_deletions(client, other, table):
    client.execute(f"CREATE TABLE {table} (id BIGINT)")
    client.execute(f"CREATE TABLE {table}_other (id BIGINT)")
    client.execute(f"INSERT INTO {table} FROM range(30)")
    client.execute(f"DELETE FROM {table} WHERE id < 4")
    assert rows_and_count(client, table) == (26, 26)
    client.execute("BEGIN")
    client.execute(f"CALL ducklake_flush_inlined_data('up', table_name => '{table.split('.')[-1]}')")
    other.execute(f"INSERT INTO {table}_other VALUES (1)")
    client.execute("COMMIT")
    assert rows_and_count(client, table) != (26, 26)


def test_upstream_a_merge_beside_an_update_is_no_conflict(client, other, table):
    client.execute(f"CREATE TABLE {table} (id BIGINT, v BIGINT)")
    for first in (0, 20):
        client.execute(f"INSERT INTO {table} SELECT i, 0 FROM range({first}, {first + 20}) r(i)")
    client.execute("BEGIN")
    client.execute(f"UPDATE {table} SET v = 1 WHERE id = 1")
    other.execute(f"CALL ducklake_merge_adjacent_files('up', '{table.split('.')[-1]}')")
    client.execute("COMMIT")
    assert client.rows(f"SELECT v FROM {table} WHERE id = 1 ORDER BY v") == [(0,), (1,)]


def test_upstream_statistics_of_a_float_are_rounded(client, table):
    client.execute(f"CREATE TABLE {table} (v FLOAT)")
    client.execute("CALL up.set_option('data_inlining_row_limit', 0)")
    client.execute(f"INSERT INTO {table} VALUES (1.2345e20)")
    assert client.rows(f"FROM {table} WHERE v = 1.2345e20::FLOAT") == []


def test_upstream_a_file_without_statistics_makes_the_tables_forget_theirs(client, table):
    client.execute(f"CREATE TABLE {table} (v VARCHAR)")
    client.execute("CALL up.set_option('data_inlining_row_limit', 0)")
    for value in ("'a'", "repeat(chr(1114111), 100)", "'b'"):
        client.execute(f"INSERT INTO {table} SELECT {value}")
    assert client.rows(f"FROM {table} WHERE v = 'a'") == []


def test_upstream_huge_integers_are_rounded_in_files(client, table):
    client.execute("CALL up.set_option('data_inlining_row_limit', 0)")
    client.execute(f"CREATE TABLE {table} AS SELECT 9007199254740993::HUGEINT AS v, TIMETZ '12:00:00+05:30' AS z")
    assert client.rows(f"SELECT v, z::VARCHAR FROM {table}") == [(9007199254740992, "06:30:00+00")]


def test_upstream_buckets_that_are_changed_hide_rows(client, table):
    client.execute("CALL up.set_option('data_inlining_row_limit', 0)")
    client.execute(f"CREATE TABLE {table} (a INTEGER)")
    for buckets in (8, 4):
        client.execute(f"ALTER TABLE {table} SET PARTITIONED BY (bucket({buckets}, a))")
        client.execute(f"INSERT INTO {table} FROM range(40)")
    assert sum(client.one(f"SELECT count(*) FROM {table} WHERE a = {i}") for i in range(40)) < 80


def test_upstream_a_column_that_is_added_without_inlining_has_no_inlined_table(client, table):
    client.execute("CALL up.set_option('data_inlining_row_limit', 10)")
    client.execute(f"CREATE TABLE {table} (a INTEGER)")
    client.execute(f"INSERT INTO {table} VALUES (1)")
    client.execute("CALL up.set_option('data_inlining_row_limit', 0)")
    client.execute(f"ALTER TABLE {table} ADD COLUMN b INTEGER")
    client.execute("CALL up.set_option('data_inlining_row_limit', 10)")
    with pytest.raises(duckdb.Error, match="INSERT has more expressions than target columns"):
        client.execute(f"INSERT INTO {table} VALUES (2, 2)")
