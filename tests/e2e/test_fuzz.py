"""Random queries give the same on lake tables as on heap tables: a short run of `make fuzz` with a fixed seed."""

import pathlib
import sys
import time

import psycopg
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from fuzz import schema
from fuzz.report import summary
from fuzz.run import Run
from fuzz.tree import sql


@pytest.fixture(scope="module")
def twins(su, servers, lake_writer, database):
    """The twin tables, in the module's database."""
    folder = f"s3://lake/{database}"
    schema.make_heap(su)
    schema.write_parquet(lake_writer, folder)
    schema.make_lake(su, "lake", folder)
    schema.make_wrong_twins(su, schema.WRONG)


@pytest.fixture
def run(sandbox, database, twins):
    """run(lake schema, **options): a run, closed after the test."""
    made = []

    def make(lake, **options):
        def connect():
            return psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=database, autocommit=True)

        made.append(Run(connect, lake=lake, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_foreign_tables_have_the_columns_of_their_twins(su, twins):
    assert schema.column_differences(su, "lake") == []


def test_random_queries_give_the_same_on_lake_and_heap(run):
    fuzz = run("lake", seed=1, shrink_seconds=15)
    start = time.monotonic()
    fuzz.go(count=200, seconds=60)
    print(summary(fuzz, time.monotonic() - start))
    # How long a query may take is not the matter here.
    assert [fuzz.describe(failure) for failure in fuzz.failures if failure.difference.kind != "timeout"] == []
    assert fuzz.statistics.valid > 0.9 * fuzz.statistics.queries
    assert fuzz.statistics.queries > 20
    assert fuzz.statistics.pushed["whole"] > 0.3 * fuzz.statistics.queries


def test_wrong_twins_are_found_and_shrunk(run):
    fuzz = run("wrong", seed=1, explain=False, variants=False, say=lambda text: None, shrink_seconds=5)
    fuzz.go(count=150)
    shrunk = [sql(failure.shrunk) for failure in fuzz.failures]
    # Several columns are wrong; a bare one of them is the whole of the shortest query.
    assert len(shrunk) >= 3
    assert len(min(shrunk, key=len)) < 50, shrunk


def test_the_order_of_rows_makes_no_difference(run):
    fuzz = run("shuffled", seed=1, explain=False, variants=False)
    fuzz.go(count=300)
    assert fuzz.failures == []
    assert fuzz.statistics.undetermined == 0
