"""Conditions find their rows whatever the lake's statistics say: of files, and of whole tables. All is
compared with a heap table, one value to a file."""

import pytest

from lakes import execute, literal, query

TYPES = {
    "real": ["1.2345e20", "3.4028235e38", "-3.4028235e38", "1.17549435e-38", "1e-45", "inf", "-inf", "NaN", "0.1", "8.123456e-5", "16777216"],
    "float8": ["1.2345e20", "0.30000000000000004", "1.7976931348623157e308", "5e-324", "inf", "-inf", "NaN", "123456789.12345679"],
    "numeric(38,10)": ["9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0.0000000001"],
    "numeric(4,2)": ["99.99", "-99.99", "0"],
    "smallint": ["-32768", "32767"],
    "int": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "text": ["", "a", "é", "\U0001f600", "z" * 300, "\U0010ffff" * 100, "B", "it's"],
    "bytea": ["\\x00", "\\xff" + "ff" * 40, "\\xe4", "\\x616263", "\\x"],
    "date": ["1969-12-31", "0001-01-01", "0044-03-15 BC", "9999-12-31", "infinity", "-infinity"],
    "timestamp": ["1969-12-31 23:59:59.999999", "0001-01-01", "1677-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", "infinity", "-infinity"],
    "timestamptz": ["1969-12-31 23:59:59.999999+00", "2020-01-01 00:00:00+05:30", "infinity", "-infinity", "9999-12-31 23:59:59.999999+00"],
    "time": ["00:00:00", "23:59:59.999999", "12:00:00.5"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000000"],
    "boolean": ["true", "false"],
}
IN_LAKE = {
    "real": "FLOAT", "float8": "DOUBLE", "numeric(38,10)": "DECIMAL(38,10)", "numeric(4,2)": "DECIMAL(4,2)", "int": "INTEGER",
    "text": "VARCHAR", "bytea": "BLOB", "timestamptz": "TIMESTAMP WITH TIME ZONE",
}


@pytest.fixture(scope="module", params=["postgres", "sqlite"])
def lake(lakes, request):
    return lakes.make(f"st_{request.param}", catalog=request.param, local=True, data_inlining_row_limit="0")


def twins(lake, name, kind, values):
    """A table of the lake and a heap table, with these values and their numbers."""
    table = f"{lake.name}_{name}"
    execute(lake.su, f"CREATE TABLE {lake.name}.main.{table} (k INTEGER, v {IN_LAKE.get(kind, kind)})")
    lake.su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({table}) FROM SERVER {lake.name} INTO public")
    lake.su.execute(f"CREATE TABLE {table}_heap (k int, v {kind})")
    for number, value in enumerate(values):
        for each in (table, f"{table}_heap"):
            lake.su.execute(f"INSERT INTO {each} VALUES (%s, {'NULL' if value is None else literal(value)})", (number,))
    return table


def conditions(kind, values):
    for value in values:
        if value is not None:
            one = f"{literal(value)}::{kind}"
            for condition in ("v = {}", "v >= {}", "v <= {}", "v > {}", "v < {}", "v <> {}", "v IN ({}, NULL)", "v BETWEEN {0} AND {0}"):
                yield condition.format(one)


@pytest.mark.parametrize("kind", TYPES)
def test_conditions_find_their_rows(lake, su, kind):
    values = TYPES[kind]
    table = twins(lake, kind.translate(str.maketrans("(,)", "___")), kind, values)
    differ = {}
    for condition in conditions(kind, values):
        found = [su.execute(f"SELECT k FROM {t} WHERE {condition} ORDER BY k").fetchall() for t in (table, f"{table}_heap")]
        if found[0] != found[1]:
            differ[condition] = found
    assert differ == {}
    for value in values:
        for t in (table, f"{table}_heap"):
            su.execute(f"UPDATE {t} SET k = k + 100 WHERE v = {literal(value)}::{kind}")
    assert su.execute(f"SELECT k FROM {table} ORDER BY k").fetchall() == su.execute(f"SELECT k FROM {table}_heap ORDER BY k").fetchall()


@pytest.mark.parametrize(
    "kind, values",
    [("text", ["a", "\U0010ffff" * 100, "b"]), ("int", ["1", None, "5"]), ("real", ["1", "NaN", "5"]), ("timestamp", ["2020-01-01", "infinity", "2021-01-01"])],
    ids=["text", "nulls", "nan", "infinity"],
)
def test_a_file_without_statistics_hides_no_other(lake, su, kind, values):
    table = twins(lake, f"hole_{kind}", kind, values)
    for sql in [f"SELECT k FROM {{}} WHERE {c} ORDER BY k" for c in conditions(kind, values)] + ["SELECT min(v)::text, max(v)::text, count(v) FROM {}"]:
        assert su.execute(sql.format(table)).fetchall() == su.execute(sql.format(f"{table}_heap")).fetchall(), sql
    for value in values:
        if value is not None:
            assert query(su, f"SELECT k FROM {lake.name}.main.{table} WHERE v = CAST({literal(value)} AS {IN_LAKE.get(kind, kind)})") == [(values.index(value),)]


def test_a_float_that_was_widened(lake, su):
    table = twins(lake, "widened", "real", ["1.2345e20", "0.1", "3e38"])
    execute(su, f"ALTER TABLE {lake.name}.main.{table} ALTER v SET DATA TYPE DOUBLE")
    su.execute(f"DROP FOREIGN TABLE {table}")
    su.execute(f"IMPORT FOREIGN SCHEMA main LIMIT TO ({table}) FROM SERVER {lake.name} INTO public")
    su.execute(f"ALTER TABLE {table}_heap ALTER v TYPE float8")
    for value in ("1.2345e20", "0.1", "3e38"):
        sql = f"SELECT k FROM {{}} WHERE v = {literal(value)}::real::float8"
        assert su.execute(sql.format(table)).fetchall() == su.execute(sql.format(f"{table}_heap")).fetchall() != []


def test_the_greatest_floats_come_first(lake, su):
    values = [f"1.{i:02}45e20" for i in range(20)]
    table = twins(lake, "top", "real", values)
    for sql in ("SELECT k FROM {} ORDER BY v DESC LIMIT 3", "SELECT k FROM {} ORDER BY v LIMIT 3"):
        assert su.execute(sql.format(table)).fetchall() == su.execute(sql.format(f"{table}_heap")).fetchall()
