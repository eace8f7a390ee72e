"""What a case of the twin tests is, and short ways to write lists of them."""

import dataclasses

WHOLE, PART, ANY = "whole", "part", "any"


@dataclasses.dataclass(frozen=True)
class Case:
    """A query, and what is expected of its plan on the lake tables.

    push: `whole`, DuckDB answers all of it; `part`, DuckDB scans and PostgreSQL finishes; `any`.
    ordered: the rows are compared in their order; otherwise as a multiset.
    kept: a word that EXPLAIN's "Kept in PostgreSQL" has to hold.
    args: (type, literal) of each parameter; the query is then prepared, and runs with a custom and
    with a generic plan.
    settings: SET for the time of the case, on both sides.
    generic: what is expected of the generic plan, if not what holds for the custom one.
    digits: floats are compared to this many significant digits; exactly where it is None.
    """

    query: str
    push: str = ANY
    ordered: bool = False
    kept: str | None = None
    args: tuple = ()
    settings: tuple = ()
    digits: int | None = None
    generic: str | None = None

    @property
    def name(self):
        tail = "".join(f" {name}={value}" for name, value in self.settings)
        values = ", ".join(literal for _, literal in self.args)
        return " ".join(self.query.split())[:90] + (f" ({values})" if values else "") + tail


def make(push, query, *args, settings=None, **rest):
    return Case(query, push, args=args, settings=tuple((settings or {}).items()), **rest)


def whole(query, *args, **rest):
    return make(WHOLE, query, *args, **rest)


def part(query, *args, **rest):
    return make(PART, query, *args, **rest)


def either(query, *args, **rest):
    return make(ANY, query, *args, **rest)


def select(table, push, expressions, **rest):
    """For each expression a case that computes it for every row of the table."""
    return [make(push, f"SELECT id, {expression} AS r FROM {table}", **rest) for expression in expressions]


def where(table, push, conditions, **rest):
    """For each condition a case that finds the rows for which it holds."""
    return [make(push, f"SELECT id FROM {table} WHERE {condition}", **rest) for condition in conditions]


def lines(text):
    """The lines of a text, without blank ones: a table of queries or expressions."""
    return [line.strip() for line in text.splitlines() if line.strip()]
