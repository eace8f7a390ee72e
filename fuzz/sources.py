"""Owns: making FROM: tables, sub-queries, VALUES, joins and their conditions, and how many rows come out."""

from .catalog import COMPARED, LOCAL_KINDS, NUMBERS
from .schema import BY_NAME, SIDE, TABLES
from .scope import Known, Scope, Source
from .tree import Derived, Expr, Join, Table
from .windows import Windows

MOST_ROWS = 30_000


class Sources(Windows):
    def source(self, outer, nested, most_rows):
        """A FROM item and what it brings into scope."""
        self.tables -= 1
        chance = self.rng.random()
        if self.ctes and chance < 0.3:
            name = self.rng.choice(list(self.ctes))
            columns, rows, key = self.ctes[name]
            if rows <= most_rows:
                alias = self.fresh("r")
                return Table(name, alias), Source(alias, columns, rows, key)
        if chance > 0.85 and self.tables > 1 and self.subqueries > 0 and "derived table" not in self.without:
            self.subqueries -= 1
            return self.derived(None, most_rows)
        if 0.82 < chance < 0.85 and "VALUES" not in self.without:
            return self.values()
        if 0.81 < chance < 0.82 and "generate_series" not in self.without:
            alias = self.fresh("g")
            return (
                Derived((f"generate_series(1, {self.rng.randint(0, 6)})",), alias, ("n",)),
                Source(alias, [Known("n", "i4", 6)], 6, ["n"]),
            )
        pool = [table for table in TABLES if table.rows <= most_rows] or [TABLES[0]]
        weights = [{"nothing": 0.4, "big": 1.4, "nums": 2, "edges": 1}.get(table.name, 1.3) for table in pool]
        if "heap table" not in self.without:
            pool = pool + list(SIDE)
            weights += [0.9, 0.1]
        table = self.rng.choices(pool, weights)[0]
        alias = self.fresh("r")
        columns = [Known(column.name, column.kind, column.bound) for column in table.columns]
        if self.plain:
            columns = [column for column in columns if column.kind not in LOCAL_KINDS]
        return Table(table.name, alias), Source(alias, columns, table.rows, ["id"])

    def derived(self, outer, most_rows, lateral=False):
        alias = self.fresh("s")
        query, columns, rows = self.query(self.rng.randint(1, 4), outer, most_rows=most_rows)
        orderable = all(column.kind in COMPARED for column in columns)
        return Derived((query,), alias, (), lateral), Source(
            alias, columns, rows, [column.name for column in columns] if orderable else None
        )

    def values(self):
        alias = self.fresh("v")
        kinds = self.rng.choices(("i4", "text", "date", "num", "bool", "i8"), k=self.rng.randint(1, 3))
        names = tuple(f"x{index}" for index in range(len(kinds)))
        rows = self.rng.randint(1, 4)
        body = ["(VALUES "]
        bounds = [0.0] * len(kinds)
        for number in range(rows):
            body.append("(" if number == 0 else ", (")
            for index, kind in enumerate(kinds):
                made = self.literal(kind, edge=True)
                bounds[index] = max(bounds[index], made.bound)
                body += [", " if index else "", made]
            body.append(")")
        body.append(")")
        columns = [Known(*column) for column in zip(names, kinds, bounds)]
        return Derived(tuple(body), alias, names), Source(alias, columns, rows, list(names))

    def sources(self, scope, count, nested, most_rows):
        tree, source = self.source(scope.outer, nested, most_rows)
        scope.sources.append(source)
        scope.rows = source.rows
        for _ in range(count - 1):
            if self.tables <= 0:
                break
            tree = self.join(tree, scope, most_rows)
        if isinstance(tree, Join) and tree.using and len(scope.sources) == 2 and self.chance(0.6):
            # The merged column, which has no alias before it.
            scope.sources.append(Source("", [Known("k", "i4", 9)], 1, []))
        return tree

    def join(self, tree, scope, most_rows):
        if self.subqueries > 0 and self.chance(0.12) and scope.rows <= 200 and "LATERAL" not in self.without:
            self.subqueries -= 1
            lateral_outer = Scope(scope.sources, scope.outer, None, scope.rows)
            right, source = self.derived(lateral_outer, 100, lateral=True)
            kind = self.rng.choice(("JOIN", "LEFT JOIN", "CROSS JOIN"))
            scope.sources.append(source)
            scope.rows = max(scope.rows, scope.rows * min(source.rows, 20))
            return Join(kind, tree, right)
        if self.chance(0.03) and isinstance(tree, Table) and "NATURAL JOIN" not in self.without:
            right, source = self.source(scope.outer, False, most_rows)
            scope.sources.append(source)
            if isinstance(right, Table) and right.name in BY_NAME and tree.name in BY_NAME:
                scope.rows = max(scope.rows, source.rows)
                return Join(self.rng.choice(("NATURAL JOIN", "NATURAL LEFT JOIN")), tree, right)
            scope.sources.pop()
        else:
            right, source = self.source(scope.outer, False, most_rows)
        more = []
        if self.chance(0.06) and self.tables > 0:
            inner = Scope([source], scope.outer, None, source.rows)
            right = self.join(right, inner, min(most_rows, 500))
            source, more = inner.sources[0], inner.sources[1:]
            source = Source(source.alias, source.columns, max(source.rows, inner.rows), source.key)
        scope_sources = scope.sources
        tree = self.joined(tree, right, source, scope, most_rows)
        scope_sources += more
        return tree

    def joined(self, tree, right, source, scope, most_rows):
        """A join of what is there with `right`, which has `source`."""
        kind = self.rng.choices(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"), (6, 4, 1.5, 1.5, 1))[0]
        if kind in self.without:
            kind = "JOIN"
        if kind == "CROSS JOIN" and scope.rows * source.rows <= 5000:
            scope.sources.append(source)
            scope.rows *= source.rows
            return Join(kind, tree, right)
        if kind == "CROSS JOIN":
            kind = "JOIN"
        on, rows = self.condition(scope, source)
        if rows > MOST_ROWS or (not on and scope.rows * source.rows > 3000):
            # Only the keys keep it small; a table without `id` is small itself.
            left = next((other for other in scope.sources if any(c.name == "id" and c.kind == "i4" for c in other.columns)), None)
            if left is None or not any(c.name == "id" for c in source.columns):
                # Too large, or without anything in common: a join with nothing.
                on, rows = [Expr("bool", ("false",), 0)], scope.rows
                kind = "LEFT JOIN"
            else:
                on, rows = (
                    [
                        Expr(
                            "bool",
                            (self.reference(left, Known("id", "i4", 1e4)), " = ", self.reference(source, Known("id", "i4", 1e4))),
                            0,
                            "join on id",
                        )
                    ],
                    max(scope.rows, source.rows),
                )
        using = ""
        if (
            len(scope.sources) == 1
            and not isinstance(right, Join)
            and all(any(c.name == "k" for c in other.columns) for other in (scope.sources[0], source))
            and self.chance(0.15)
            and scope.rows * source.rows / 8 < MOST_ROWS
        ):
            using, on, rows = "k", [], scope.rows * source.rows // 8
        if kind == "FULL JOIN":
            on = [expr for expr in on if expr.feature.startswith("join on")]
            if not on and not using:
                kind = "LEFT JOIN"
        if self.chance(0.2) and not using and kind != "FULL JOIN":
            both = Scope([*scope.sources, source], scope.outer, None, rows)
            saved, self.subqueries = self.subqueries, 0
            on.append(self.expr("bool", both, 2))
            self.subqueries = saved
        if not on and not using:
            on = [Expr("bool", ("true",), 0)]
        scope.sources.append(source)
        scope.rows = max(
            1,
            int(rows),
            scope.rows if kind in ("LEFT JOIN", "FULL JOIN") else 0,
            source.rows if kind in ("RIGHT JOIN", "FULL JOIN") else 0,
        )
        return Join(kind, tree, right, tuple(on), using)

    def condition(self, scope, source):
        """An equality between the new source and one that is there, and how many rows remain."""
        pairs = [
            (left, mine, theirs)
            for left in scope.sources
            for mine in left.columns
            for theirs in source.columns
            if mine.kind == theirs.kind and mine.kind in COMPARED or mine.kind in NUMBERS[:4] and theirs.kind in NUMBERS[:4]
        ]
        if not pairs:
            return [], scope.rows * source.rows
        weights = [
            12
            if mine.name == theirs.name == "k"
            else 8
            if mine.name == theirs.name == "id"
            else 6
            if "k" in (mine.name, theirs.name) and mine.kind == theirs.kind
            else 1
            if mine.kind == theirs.kind
            else 0.3
            for _, mine, theirs in pairs
        ]
        left, mine, theirs = self.rng.choices(pairs, weights)[0]
        operator = " IS NOT DISTINCT FROM " if self.chance(0.04) else " = "
        feature = "join on equality" if operator == " = " else "IS NOT DISTINCT FROM in join"
        made = Expr("bool", (self.reference(left, mine), operator, self.reference(source, theirs)), 0, feature)
        total = scope.rows * source.rows
        if "id" in (mine.name, theirs.name):
            rows = max(scope.rows, source.rows) if mine.name == theirs.name else total // 20
        elif mine.kind == "bool":
            rows = total // 2
        else:
            rows = total // 6
        return [made], rows
