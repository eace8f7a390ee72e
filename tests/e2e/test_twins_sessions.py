"""Twin sessions: the same statements in the same order on heap and lake tables; see `twins/sessions.py`."""

import pytest

from twins import harness
from twins.cases import either
from twins.sessions import SCRIPTS, TABLES


@pytest.fixture(scope="module")
def twins(sandbox, database, su, servers, lake_writer, tmp_path_factory):
    yield from harness.twins_in(sandbox, database, su, lake_writer, tmp_path_factory.mktemp("twins"), TABLES)


@pytest.mark.parametrize("script", SCRIPTS)
def test_session(twins, script):
    twins.reconnect()
    for statement in ["DROP FUNCTION IF EXISTS f(bigint)", *SCRIPTS[script]]:
        expected, got = twins.heap.run(statement), twins.lake.run(statement)
        try:
            harness.compare(either(statement, ordered=True), expected, got)
        except harness.Mismatch as mismatch:
            raise harness.Mismatch(f"{mismatch}\n{statement}") from None


def test_two_columns_that_differ_in_case_only(su, twins, lake_writer, database):
    url = f"s3://lake/twins/{database}/cases.parquet"
    lake_writer.execute(f"COPY (SELECT 1 AS a, 2 AS b) TO '{url}' (FORMAT parquet)")
    su.execute(f"""CREATE FOREIGN TABLE lake.cases (a integer, "A" integer OPTIONS (column_name 'b')) SERVER lake OPTIONS (path '{url}')""")
    su.execute('CREATE TABLE heap.cases AS SELECT 1 AS a, 2 AS "A"')
    for query in ('SELECT * FROM cases', 'SELECT "A" + a AS s FROM cases', 'SELECT sum("A") AS s, sum(a) AS t FROM cases', 'SELECT x."A" FROM cases x JOIN cases y ON x.a = y.a', 'SELECT a AS "A", "A" AS a FROM cases WHERE "A" > a'):
        twins.check(either(query))


def test_many_columns(su, twins, lake_writer, database):
    url = f"s3://lake/twins/{database}/columns.parquet"
    names = [f"column_{n}" for n in range(1590)]
    lake_writer.execute(f"COPY (SELECT {', '.join(f'{n} AS {name}' for n, name in enumerate(names))}) TO '{url}' (FORMAT parquet)")
    su.execute(f"CREATE FOREIGN TABLE lake.columns () SERVER lake OPTIONS (path '{url}')")
    su.execute(f"CREATE TABLE heap.columns AS SELECT {', '.join(f'{n} AS {name}' for n, name in enumerate(names))}")
    for query in ("SELECT * FROM columns", "SELECT column_1589, column_0 FROM columns", "SELECT sum(column_700) AS s FROM columns"):
        twins.check(either(query))
