"""Fixtures of the attacker's suite.

One world for the whole session: a database with servers, files, a lake, roles and canaries. Each role
has one session that all probes of it use; `world.py` says what there is. After each test the canaries
are looked at, and the server's log.
"""

import importlib.util
import pathlib
import sys

import pytest

E2E = pathlib.Path(__file__).parents[1] / "e2e"
sys.path[:0] = [str(E2E), str(pathlib.Path(__file__).parents[2])]


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_e2e = _load("e2e_conftest", E2E / "conftest.py")
# What the end-to-end tests' helpers and tests take from "conftest".
cluster, sandbox, lake_writer = _e2e.cluster, _e2e.sandbox, _e2e.lake_writer
pytest_collection_modifyitems = _e2e.pytest_collection_modifyitems
create_server, map_user, unique = _e2e.create_server, _e2e.map_user, _e2e.unique

import worlds  # noqa: E402


@pytest.fixture(scope="session")
def world(sandbox, cluster, lake_writer):
    with worlds.World(sandbox, cluster, lake_writer) as made:
        yield made


@pytest.fixture(autouse=True)
def watch(world):
    """Nothing that a test did reached a canary or hurt the server."""
    world.begin()
    yield
    world.check()
