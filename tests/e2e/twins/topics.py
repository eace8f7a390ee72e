"""All topics: their cases by the topic's name, and the tables that they use."""

import pytest

from . import aggregates, areas, areas_more, clauses, collations, data, dates, every_type, hard, joins, mathematics, operators, overflow, risky, shipping, subqueries, text, windows


def cases_of(*modules):
    return {module.__name__.rpartition(".")[2]: module.CASES for module in modules}


CASES = cases_of(every_type, operators, text, mathematics, dates, aggregates, windows, joins, subqueries, clauses, hard, overflow, risky, shipping)
TABLES = [*every_type.TABLES, *data.SHARED, *overflow.TABLES, *risky.TABLES]

AREA_CASES = cases_of(areas, areas_more)
AREA_TABLES = areas.TABLES

COLLATION_CASES = cases_of(collations)


def parameters(topics):
    """A parameter for pytest from each case, with a readable name."""
    return [
        pytest.param(case, id=f"{topic}-{number}: {case.name}")
        for topic, cases in topics.items()
        for number, case in enumerate(cases, 1)
    ]
