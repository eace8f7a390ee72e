"""The same query on a heap table and on the lake's: the same rows, types and errors, and as much of it
pushed down as the case says. The cases are in `twins/`, one module a topic."""

import pytest

from twins import data, harness, shipping, topics


@pytest.fixture(scope="module")
def twins(sandbox, database, su, servers, lake_writer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("twins")
    yield from harness.twins_in(sandbox, database, su, lake_writer, directory, topics.TABLES, views=data.VIEWS + shipping.COPIES)


@pytest.mark.parametrize("case", topics.parameters(topics.CASES))
def test_twin(twins, case):
    twins.check(case)
