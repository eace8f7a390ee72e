"""Twin tests of collations that are not by bytes; see `twins/collations.py`."""

import pytest

from twins import collations, harness, topics


@pytest.fixture(scope="module")
def twins(sandbox, database, su, servers, lake_writer, tmp_path_factory):
    if su.execute("SELECT count(*) FROM pg_collation WHERE collname = 'de-x-icu'").fetchone() == (0,):
        pytest.skip("this PostgreSQL has no ICU")
    directory = tmp_path_factory.mktemp("twins")
    yield from harness.twins_in(sandbox, database, su, lake_writer, directory, collations.TABLES, collations.BEFORE)


@pytest.mark.parametrize("case", topics.parameters(topics.COLLATION_CASES))
def test_collation(twins, case):
    twins.check(case)
