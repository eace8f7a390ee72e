"""Twin tests on a table of 10,000 rows and a few small ones, by the areas of SQL; see `twins/areas.py`."""

import pytest

from twins import harness, topics


@pytest.fixture(scope="module")
def twins(sandbox, database, su, servers, lake_writer, tmp_path_factory):
    yield from harness.twins_in(sandbox, database, su, lake_writer, tmp_path_factory.mktemp("areas"), topics.AREA_TABLES)


@pytest.mark.parametrize("case", topics.parameters(topics.AREA_CASES))
def test_area(twins, case):
    twins.check(case)
