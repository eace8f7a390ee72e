"""A run of mutation fuzzing over files, functions and a lake's catalog: 20 seconds in the suite, longer by
`make fuzz-security`, which sets POND_FUZZ_SECONDS, POND_FUZZ_SEED and POND_FUZZ_ONLY."""

import os
import time

import pytest

from fuzz.attack import mutate
from fuzz.attack.run import Run

SECONDS = float(os.environ.get("POND_FUZZ_SECONDS", "20"))


@pytest.mark.timeout(SECONDS * 2 + 120)
def test_nothing_crashes_or_leaks(world):
    seed = int(os.environ.get("POND_FUZZ_SEED") or ("1" if SECONDS <= 60 else str(int(time.time()))))
    only = os.environ.get("POND_FUZZ_ONLY")
    run = Run(world, seed, say=lambda text: print(text, flush=True))
    world.su(f"ALTER DATABASE {world.database} SET statement_timeout = '5s'")
    for role in ("querier", "reader", "postgres"):
        world.session(role).fresh()
    try:
        run.go(count=1, first=int(only)) if only else run.go(seconds=SECONDS)
    finally:
        world.su(f"ALTER DATABASE {world.database} SET statement_timeout = '60s'")
        for role in ("querier", "reader", "postgres"):
            world.session(role).fresh()
        print(run.summary(), flush=True)
    assert not run.findings, "\n".join(map(str, run.findings))


def test_a_number_makes_the_same_case_again():
    import random

    for number in range(20):
        one, two = (mutate.bytes_of(random.Random(f"1 {number}"), bytes(1000)) for _ in range(2))
        assert one == two
        one, two = (mutate.call(random.Random(f"1 {number}"), ["abs", "len"], ["+"]) for _ in range(2))
        assert one == two
