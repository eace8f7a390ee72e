"""Owns: what is in scope where an expression or a query is made, and the common base of the makers."""

import math
from dataclasses import dataclass, field

from .catalog import ALL
from .literals import literal
from .tree import Expr, identifier

INF = math.inf
ODD_NAMES = ("select", "Mixed Case", "pivot", "qualify", "order", "C1", 'a"b', "$1", "lambda", "é", "end", "\x030:1\x03", "\x04", "\x01'", "{DATA_PATH}", "--", "/*")
COMMON_KINDS = ("i4", "i8", "num", "text", "date", "bool", "f8", "ts", "i4", "num", "text", "date")


@dataclass(frozen=True)
class Known:
    """A column in scope."""

    name: str
    kind: str
    bound: float


@dataclass
class Source:
    """A FROM item in scope; `key` are columns that tell its rows apart, None where these cannot be ordered."""

    alias: str
    columns: list
    rows: int
    key: list | None


@dataclass
class Scope:
    sources: list = field(default_factory=list)
    outer: "Scope | None" = None
    keys: list | None = None  # set once the query is grouped
    rows: int = 1  # estimated
    windows: bool = False
    aggregates: bool = False

    def pairs(self):
        """How often a sub-query here may run, in the worst case."""
        return max(self.rows, 1) * (self.outer.pairs() if self.outer else 1)


class Maker:
    """One random generator and what one query may still use up. `without` are features not to use."""

    def __init__(self, rng, *, without=(), parameters=False, plain=False):
        self.rng = rng
        self.plain = plain
        self.wild = False  # computes with everything, whatever comes
        self.without = frozenset(without)
        self.parameters = parameters
        self.names = 0
        self.ctes = {}
        self.subqueries = 4
        self.tables = 7

    def chance(self, probability):
        return self.rng.random() < probability

    def fresh(self, prefix):
        self.names += 1
        if self.chance(0.015):
            return f"{self.rng.choice(ODD_NAMES)} {self.names}"
        return f"{prefix}{self.names}"

    def literal(self, kind, edge):
        return literal(self.rng, kind, edge=edge, parameter=self.parameters and self.chance(0.4))

    def kinds(self, scope):
        """The kinds of the columns in scope."""
        if scope.keys is not None:
            found = {key.type for key in scope.keys}
            return found | {"i8", "num"} if scope.aggregates else found
        return {column.kind for source in scope.sources for column in source.columns}

    def some_kinds(self, scope, count, pool=ALL):
        """Kinds for a select list: mostly those of columns that are there."""
        there = [column.kind for source in scope.sources for column in source.columns if column.kind in pool]
        return [
            self.rng.choice(there) if there and self.chance(0.85) else self.rng.choice([k for k in COMMON_KINDS if k in pool])
            for _ in range(count)
        ]

    def column(self, kind, scope, calm=False):
        """A column of the kind that is in scope, or None."""
        if scope.keys is not None:
            found = [key for key in scope.keys if key.type == kind and not (calm and key.bound == INF)]
            return self.rng.choice(found) if found else None
        found = [
            (source, column)
            for source in scope.sources
            for column in source.columns
            if column.kind == kind and not (calm and column.bound == INF)
        ]
        if not found:
            return None
        source, column = self.rng.choice(found)
        return self.reference(source, column)

    def reference(self, source, column):
        name = identifier(column.name)
        return Expr(column.kind, (f"{identifier(source.alias)}.{name}" if source.alias else name,), column.bound)

    def outer_column(self, kind, scope, calm):
        """A column of an enclosing query: of a grouped one only its keys that are plain columns."""
        if scope.keys is None:
            return self.column(kind, scope, calm)
        found = [key for key in scope.keys if key.type == kind and len(key.parts) == 1 and not (calm and key.bound == INF)]
        return self.rng.choice(found) if found else None

    def row_key(self, scope):
        """Columns that tell the rows of FROM apart; None if there are none that can be ordered."""
        key = []
        for source in scope.sources:
            if source.key is None:
                return None
            key += [self.reference(source, column) for column in source.columns if column.name in source.key]
        return key

    def item_name(self):
        self.names += 1
        if self.chance(0.01):
            return f"{self.rng.choice(ODD_NAMES)} {self.names}"
        return f"c{self.names}"
