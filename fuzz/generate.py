"""Owns: making a random query: SELECT, grouping, set operations, CTEs, order and limit.

Answers are determined: LIMIT only under an order by all output columns, windows that depend on the
order of rows are ordered by keys of all tables of the query, aggregates that depend on it by their
argument.
"""

import random

from . import micro
from .catalog import ALL, COMPARED, NUMBERS, ORDERED
from .literals import constant
from .scope import Known, Scope
from .sources import Sources
from .tree import Cte, Expr, Item, Literal, Order, Select, SetOperation, identifier

MOST_PAIRS = 1_500_000
# Aggregates whose last bits depend on the order of rows; nothing is sorted by them.
FUZZY = ("stddev", "stddev_pop", "variance", "var_pop", "corr", "covar_pop", "covar_samp", "regr_slope")


class Generator(Sources):
    def query(self, kinds, outer=None, root=False, most_rows=10_000):
        """(query, columns, estimated rows), of the given kinds, or that many; perhaps a set operation, perhaps with CTEs."""
        ctes = ()
        saved = self.ctes
        if root and self.chance(0.18) and "CTE" not in self.without:
            ctes = self.common_tables()
        if self.chance(0.14 if root else 0.08) and "UNION" not in self.without:
            query, columns, rows = self.set_operation(kinds, outer, most_rows, root)
        else:
            query, columns = self.select(kinds, outer, root=root, most_rows=most_rows)
            rows = self.last_rows
        self.ctes = saved
        if ctes:
            query = type(query)(**{**{name: getattr(query, name) for name in query.__dataclass_fields__}, "ctes": ctes})
        return query, columns, rows

    def common_tables(self):
        made = []
        self.ctes = {}
        if self.chance(0.06):
            self.names += 1
            name, most = f"w{self.names}", self.rng.randint(1, 9)
            body = Expr("i4", (f"VALUES (1) UNION ALL SELECT n + 1 FROM {name} WHERE n < {most}",), most)
            self.ctes[name] = ([Known("n", "i4", most)], most, ["n"])
            return (Cte(f"{name}(n)", "", body, True),)
        for _ in range(self.rng.choice((1, 1, 2))):
            query, columns, rows = self.query(self.rng.randint(1, 4), None, most_rows=5000)
            self.names += 1
            name = f"w{self.names}"
            made.append(Cte(name, self.rng.choice(("", "", "MATERIALIZED", "NOT MATERIALIZED")), query))
            orderable = all(column.kind in COMPARED for column in columns)
            self.ctes[name] = (columns, rows, [column.name for column in columns] if orderable else None)
        return tuple(made)

    def set_operation(self, kinds, outer, most_rows, root):
        operator = self.rng.choices(
            ("UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"), (3, 4, 1.5, 0.5, 1.5, 0.5)
        )[0]
        left, columns = self.select(kinds, outer, most_rows=most_rows, pool=COMPARED)
        rows = self.last_rows
        kinds = [column.kind for column in columns]
        if self.chance(0.12):
            kinds = [self.rng.choice(NUMBERS) if kind in NUMBERS else kind for kind in kinds]
        if self.chance(0.2) and self.tables > 1:
            right, others, more = self.set_operation(kinds, outer, most_rows, False)
        else:
            right, others = self.select(kinds, outer, most_rows=most_rows, pool=COMPARED)
            more = self.last_rows
        columns = [
            Known(a.name, max(a.kind, b.kind, key=NUMBERS.index) if a.kind in NUMBERS else a.kind, max(a.bound, b.bound))
            for a, b in zip(columns, others)
        ]
        rows += more
        order, limit, offset = self.tail(columns, 0.4 if root else 0.1)
        return SetOperation(operator, left, right, (), order, limit, offset), columns, rows

    def select(self, kinds, outer, *, root=False, nested=False, single=False, correlate=True, most_rows=10_000, pool=ALL):
        """A SELECT of columns of these kinds, or of that many. `single`: of at most one row. `nested`: as a sub-query in an expression."""
        scope = Scope(outer=outer if correlate else None)
        if nested and outer is not None:
            most_rows = 5000 if not correlate else max(100, min(5000, MOST_PAIRS // outer.pairs()))
        count = self.rng.choices((1, 2, 3, 4), (5, 4, 2, 0.7) if root else (6, 2, 0.4, 0))[0]
        if nested and correlate:
            count = min(count, 2 if most_rows > 2000 else 1)
        tree = None
        if not (self.chance(0.02) and not nested):
            tree = self.sources(scope, max(1, min(count, self.tables)), nested, most_rows)
        if isinstance(kinds, int):
            kinds = self.some_kinds(scope, kinds, pool)
        where = []
        if tree and nested and correlate and outer is not None and self.chance(0.75):
            where += self.correlation(scope)
        if tree:
            for _ in range(self.rng.choices((0, 1, 2, 3), (3, 4, 2, 1))[0]):
                where.append(self.expr("bool", scope, 3 if root and not self.plain else 2))
        grouped = bool(tree) and self.chance(0.85 if single else 0.38) and ("GROUP BY" not in self.without)
        if single and not (kinds[0] in self.EXTREMES or kinds[0] in self.AGGREGATES):
            grouped = False
        keys, grouping, having = [], "", []
        if grouped:
            if not single:
                keys, grouping = self.keys(scope)
            scope.keys, scope.aggregates = keys, True
            if self.chance(0.3):
                having.append(self.expr("bool", scope, 2))
        else:
            scope.windows = bool(tree) and not nested and scope.rows <= 8000 and self.chance(0.4)
        items = [Item(self.item(kind, scope, root, nested, single, grouping), self.item_name()) for kind in kinds]
        if grouped and root:
            items += [Item(key, self.item_name()) for key in keys if self.chance(0.6)]
        columns = [
            Known(item.name, kind, item.expr.bound)
            for item, kind in zip(items, [*kinds, *(item.expr.type for item in items[len(kinds) :])])
        ]
        distinct, order, limit, offset, ties = "", (), None, None, False
        fuzzy = any(item.expr.feature in FUZZY for item in items)
        if single and not grouped:
            order, limit = (self.direction_of(columns[0]),), 1
        elif not single and not fuzzy and all(column.kind in COMPARED for column in columns):
            distinct, order, limit, offset, ties = self.ordering(scope, columns, 0.5 if root else 0.06 if nested else 0.12, root)
        rows = scope.rows if not grouped else (1 if not keys else max(1, min(scope.rows, 300)))
        if limit is not None:
            rows = min(rows, limit if isinstance(limit, int) else int(limit.value))
        self.last_rows = max(rows, 1)
        parts = (tuple(items), tree, tuple(where), tuple(keys), grouping, tuple(having), distinct, (), order, limit, offset, ties)
        return Select(*parts), columns

    def item(self, kind, scope, root, nested, single, grouping):
        """An expression for the select list."""
        grouped, made = scope.keys is not None, None
        if root and grouped and kind == "f8" and self.chance(0.3):
            made = self.fuzzy_aggregate(scope)
        if made is None and grouping and kind == "i4" and self.chance(0.5):
            made = self.grouping_call(scope.keys)
        if made is None and grouped and not grouping and scope.keys and root and self.chance(0.06):
            made = self.grouped_window(kind, scope)
        if made is None and not single and kind == "text" and self.chance(0.015):
            made = Expr("text", (self.rng.choice(("NULL", "'untyped'")),), 0, "unknown literal")
        if made is None and grouped and (single or self.chance(0.45)):
            made = self.aggregate(kind, scope, 3)
        if made is None and scope.windows and self.chance(0.5):
            made = self.window(kind, scope, 2)
        if made is None:
            made = self.expr(kind, scope, self.rng.choice((0, 1, 1) if nested else (0, 1, 2, 3)))
        return made

    def grouping_call(self, keys):
        parts = ["GROUPING("]
        for position, key in enumerate(self.rng.sample(keys, self.rng.randint(1, len(keys)))):
            parts += [", " if position else "", key]
        return Expr("i4", (*parts, ")"), 8, "GROUPING")

    def ordering(self, scope, columns, probability, root):
        """DISTINCT, ORDER BY, LIMIT, OFFSET, WITH TIES of a SELECT of columns that can all be ordered."""
        distinct = "DISTINCT" if self.chance(0.12) and "DISTINCT" not in self.without else ""
        order, limit, offset = self.tail(columns, probability)
        if order and not distinct and self.chance(0.2):
            hidden = self.sort_key(scope)
            # A bare number would be a position.
            if not isinstance(hidden, Literal):
                order = (Order("", self.chance(0.4), self.rng.choice(("", "", "FIRST", "LAST")), hidden), *order)
        if limit is None or not order or order[0].expr:
            return distinct, order, limit, offset, False
        ties = self.chance(0.05)
        if not distinct and root and self.chance(0.06):
            distinct = f"DISTINCT ON ({identifier(order[0].name)})"
        return distinct, order, limit, offset, ties

    def direction_of(self, column):
        return Order(column.name, self.chance(0.4), self.rng.choice(("", "", "FIRST", "LAST")))

    def correlation(self, scope):
        """An equality, or a comparison, of a column here with one of the enclosing query."""
        if scope.outer.keys is not None:
            outer = [key for key in scope.outer.keys if len(key.parts) == 1]
        else:
            outer = [self.reference(source, column) for source in scope.outer.sources for column in source.columns]
        pairs = [
            (source, column, theirs)
            for source in scope.sources
            for column in source.columns
            for theirs in outer
            if column.kind == theirs.type and column.kind in COMPARED
        ]
        if not pairs:
            return []
        weights = [
            8 if column.name in ("k", "id") and theirs.parts[0].endswith((".k", ".id")) else 1 for _, column, theirs in pairs
        ]
        source, column, theirs = self.rng.choices(pairs, weights)[0]
        operator = " = " if self.chance(0.8) or column.kind not in ORDERED else self.rng.choice((" < ", " <> ", " >= "))
        return [
            Expr(
                "bool",
                (self.reference(source, column), operator, theirs),
                0,
                "correlation" if operator == " = " else "correlation by inequality",
            )
        ]

    def keys(self, scope):
        """GROUP BY keys (each with a column in it: a bare number would be a position) and the form of grouping."""
        keys = []
        for _ in range(self.rng.choices((0, 1, 2, 3), (1, 5, 3, 1))[0]):
            kind = self.some_kinds(scope, 1, COMPARED)[0]
            key = self.column(kind, scope)
            if key is not None and self.chance(0.3):
                saved, self.subqueries = self.subqueries, 0
                made = self.expr(kind, Scope(scope.sources, None, None, scope.rows), 2)
                self.subqueries = saved
                if has_column(made):
                    key = made
            if key is not None:
                keys.append(key)
        if not keys or not self.chance(0.2):
            return keys, ""
        form = self.rng.choice(("ROLLUP", "CUBE", "sets"))
        if form in self.without or (form == "sets" and "GROUPING SETS" in self.without):
            return keys, ""
        if form == "sets":
            everything = range(len(keys))
            sets = [
                tuple(sorted(self.rng.sample(everything, self.rng.randint(0, len(keys))))) for _ in range(self.rng.randint(1, 2))
            ]
            return keys, (tuple(everything), *sets)
        return keys, form

    def tail(self, columns, probability):
        """ORDER BY, LIMIT, OFFSET; a limit only where the order is by all columns."""
        if not self.chance(probability):
            return (), None, None
        chosen = list(columns)
        self.rng.shuffle(chosen)
        limited = self.chance(0.5) and "LIMIT" not in self.without
        if not limited:
            chosen = chosen[: self.rng.randint(1, len(chosen))]
        order = tuple(map(self.direction_of, chosen))
        if not limited:
            return order, None, None
        limit = self.rng.choice((0, 1, 3, 10, 100)) if not self.chance(0.1) else None
        if limit is not None and self.parameters and self.chance(0.5):
            limit = constant("i8", str(limit), limit, True)
        return order, limit, self.rng.choice((None, None, 0, 1, 5))


def has_column(expr):
    """Whether a column is referred to, in a plain way."""
    if any(isinstance(part, Expr) and has_column(part) for part in expr.parts):
        return True
    return (
        not expr.feature
        and len(expr.parts) == 1
        and isinstance(expr.parts[0], str)
        and ("." in expr.parts[0] or expr.parts[0] == "k")
        and expr.parts[0][0] not in "'0123456789(-"
    )


def query(seed, number, *, without=(), micro_share=0.3):
    """Query `number` of a run. `micro_share` of all are small ones about one entry of the catalog."""
    rng = random.Random(f"{seed}/{number}")
    if rng.random() < micro_share:
        return micro.query(Generator(rng, without=without, parameters=rng.random() < 0.3))
    generator = Generator(rng, without=without, parameters=rng.random() < 0.12, plain=rng.random() < 0.6)
    if generator.plain:
        generator.subqueries, generator.tables = 2, 4
    return generator.query(rng.choices((1, 2, 3, 4, 5), (2, 4, 4, 2, 1))[0], root=True)[0]
