"""Owns: making expressions: from the catalog, sub-queries, aggregates."""

import math

from .catalog import COMPARED, ENTRIES, INTEGERS, LIMITS, NUMBERS, ORDERED
from .scope import INF, Maker, Scope
from .tree import Expr, identifier

DIVIDED = (*INTEGERS, "num", "f8")


class Expressions(Maker):
    def expr(self, kind, scope, depth, calm=False):
        """An expression of the kind; `calm`: one that can be computed with."""
        if self.chance(0.9 ** (4 - depth) * 0.25) or depth <= 0:
            return self.leaf(kind, scope, calm, depth)
        for _ in range(4):
            made = self._special(kind, scope, depth) if self.chance(0.14) else self._entry(kind, scope, depth)
            if made is None or made.bound > LIMITS.get(kind, INF) and made.bound != INF:
                continue
            if calm and made.bound == INF:
                continue
            return made
        return self.leaf(kind, scope, calm, depth)

    def _entry(self, kind, scope, depth):
        """From the catalog: mostly what can be made of columns that are there; plain things only if `plain`."""
        entries = ENTRIES[kind]
        there = self.kinds(scope)
        if scope.outer and scope.outer.sources:
            there = there | self.kinds(scope.outer)
        weights = [
            (0 if self.plain and entry.rare else entry.weight)
            * (1 if entry.kinds <= there else 0.1 if entry.kinds & there else 0.02)
            for entry in entries
        ]
        if not any(weights):
            return None
        entry = self.rng.choices(entries, weights)[0]
        return None if entry.feature in self.without else self.from_entry(entry, scope, depth)

    def from_entry(self, entry, scope, depth):
        parts, bounds = [], []
        for piece in entry.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            what, argument = piece
            if what == "range":
                number = self.rng.randint(*argument)
                parts.append(str(number))
                bounds.append(abs(number))
            elif what == "choice":
                parts.append(self.rng.choice(argument))
            else:
                if what == "literal":
                    operand = self.literal(argument, edge=entry.result == "bool")
                elif what == "column":
                    operand = self.column(argument, scope) or self.leaf(argument, scope, False, 0)
                else:
                    operand = self.expr(
                        argument,
                        scope,
                        depth - 1,
                        calm=what == "calm" and not self.wild and not self.chance(0.01 if self.plain else 0.08),
                    )
                parts.append(operand)
                bounds.append(operand.bound)
        if self.wild:
            return Expr(entry.result, tuple(parts), INF, entry.feature)
        bound = entry.bound
        if bound is None:
            bound = max(bounds, default=0)
        elif callable(bound):
            bound = bound(*bounds)
            if math.isnan(bound):
                return None
        if bound > LIMITS.get(entry.result, INF):
            return None if bound != INF else Expr(entry.result, tuple(parts), INF, entry.feature)
        return Expr(entry.result, tuple(parts), bound, entry.feature)

    def leaf(self, kind, scope, calm, depth):
        if scope.outer and self.chance(0.25):
            found = self.outer_column(kind, scope.outer, calm)
            if found:
                return found
        if scope.keys is not None and scope.aggregates and self.chance(0.5):
            found = self.aggregate(kind, scope, max(depth, 1))
            if found and not (calm and found.bound == INF):
                return found
        if self.chance(0.9):
            found = self.column(kind, scope, calm)
            if found:
                return found
            if scope.keys is not None and scope.aggregates:
                found = self.aggregate(kind, scope, 1)
                if found and not (calm and found.bound == INF):
                    return found
            if depth > -2 and self.chance(0.6):
                for _ in range(3):
                    made = self._entry(kind, scope, min(depth, 0) - 0.5) if kind != "bool" or depth > -1 else None
                    if made and not (calm and made.bound == INF) and made.bound <= LIMITS.get(kind, INF):
                        return made
        return self.literal(kind, edge=not calm)

    def _special(self, kind, scope, depth):
        """Sub-queries, aggregates, windows."""
        if scope.keys is not None and scope.aggregates and self.chance(0.6):
            return self.aggregate(kind, scope, depth)
        if scope.windows and scope.keys is None and self.chance(0.5):
            return self.window(kind, scope, depth)
        if kind in DIVIDED and self.chance(0.25):
            return self.guarded_division(kind, scope, depth)
        if self.subqueries > 0 and depth >= 2:
            return self.subquery(kind, scope)
        return None

    def guarded_division(self, kind, scope, depth):
        """A division that CASE protects from the zeros there are."""
        divisor = self.column(kind, scope, calm=True)
        if divisor is None or "guarded division" in self.without:
            return None
        value = self.expr(kind, scope, depth - 1, calm=True)
        operator = self.rng.choice((" / ", " % ") if kind in INTEGERS else (" / ",))
        parts = ("CASE WHEN ", divisor, " <> 0 THEN ", value, operator, divisor, " END")
        return Expr(kind, parts, value.bound if kind in INTEGERS else INF, "guarded division")

    def subquery(self, kind, scope):
        self.subqueries -= 1
        inner_outer = scope
        if kind == "bool" and self.chance(0.85):
            form = self.rng.choices(("EXISTS", "NOT EXISTS", "IN", "NOT IN", "ANY", "ALL"), (3, 2.5, 3, 2, 0.7, 0.7))[0]
            feature = {
                "ANY": "ANY(sub-query)",
                "ALL": "ALL(sub-query)",
                "IN": "IN (sub-query)",
                "NOT IN": "NOT IN (sub-query)",
            }.get(form, form)
            if feature in self.without:
                return None
            if form.endswith("EXISTS"):
                query, _ = self.select(1, inner_outer, nested=True, correlate=self.chance(0.85))
                return Expr("bool", (form + " ", query), 0, feature)
            wanted = self.rng.choice([kind for kind in COMPARED if kind in self.kinds(scope)] or ["i4"])
            left = self.expr(wanted, scope, 1)
            if form.endswith("IN") and self.chance(0.12):
                second = self.rng.choice([kind for kind in COMPARED if kind in self.kinds(scope)] or ["i4"])
                query, _ = self.select([wanted, second], inner_outer, nested=True, correlate=self.chance(0.4))
                return Expr(
                    "bool", ("((", left, ", ", self.expr(second, scope, 1), f") {form} ", query, ")"), 0, "row " + feature
                )
            if self.chance(0.25):
                alike = next((kinds for kinds in (NUMBERS, ("date", "ts", "tstz")) if wanted in kinds), (wanted,))
                wanted = self.rng.choice(alike)
            query, _ = self.select([wanted], inner_outer, nested=True, correlate=self.chance(0.4))
            operator = {"ANY": "= ANY", "ALL": self.rng.choice(("<> ALL", "< ALL", ">= ALL"))}.get(form, form)
            return Expr("bool", ("(", left, f" {operator} ", query, ")"), 0, feature)
        if kind == "json" or "scalar sub-query" in self.without:
            return None
        query, columns = self.select([kind], inner_outer, nested=True, correlate=self.chance(0.5), single=True)
        return Expr(kind, (query,), columns[0].bound, "scalar sub-query")

    # ---- aggregates

    AGGREGATES = {
        "i8": [("count(*)", None, 4), ("count", "any", 3), ("sum", "integer", 4), ("whole row", None, 0.15)],
        "num": [("sum", "wide", 4), ("avg", "exact", 3)],
        "f8": [("sum", "f8", 2), ("avg", "float", 2)],
        "f4": [("sum", "f4", 1)],
        "bool": [("bool_and", "bool", 1), ("bool_or", "bool", 1), ("every", "bool", 0.3)],
        "i4": [("bit_and", "i4", 0.3), ("bit_or", "i4", 0.3), ("bit_xor", "i4", 0.2)],
        "text": [("string_agg", "text", 1.5)],
        "ai": [("array_agg", "i4", 1)],
        "at": [("array_agg", "text", 1)],
    }
    EXTREMES = tuple(kind for kind in ORDERED if kind not in ("bool", "uuid", "bytea"))

    def aggregate(self, kind, scope, depth, window=None):
        """An aggregate call; its operands are over the rows that are grouped. `window` makes it one over a window."""
        choices = list(self.AGGREGATES.get(kind, ()))
        if kind in self.EXTREMES:
            choices += [("min", kind, 3), ("max", kind, 3)]
        if not choices:
            return None
        name, over, _ = self.rng.choices(choices, [weight for *_, weight in choices])[0]
        if name in self.without:
            return None
        # Without the outer query: an aggregate of its columns alone would be one of that query.
        inside = Scope(scope.sources, None, None, scope.rows)
        saved, self.subqueries = self.subqueries, 0
        try:
            return self._aggregate(name, over, kind, inside, depth, window)
        finally:
            self.subqueries = saved

    def _aggregate(self, name, over, kind, inside, depth, window):
        bound = INF
        distinct = order = ""
        if name == "whole row":
            return None if window else Expr("i8", (f"count({identifier(inside.sources[0].alias)})",), 1e6, "count(whole row)")
        if over is None:
            operands = ("*",)
            bound = 1e6
            name = "count"
        else:
            wanted = {
                "any": COMPARED, "integer": ("i2", "i4"), "wide": ("i8", "num"), "exact": (*INTEGERS, "num"), "float": ("f4", "f8"),
            }.get(over, over)  # fmt: skip
            if isinstance(wanted, tuple):
                there = self.kinds(inside)
                wanted = self.rng.choice([kind for kind in wanted if kind in there] or wanted)
            calm = name in ("sum", "avg") and (wanted in ("f4", "f8") or not self.chance(0.15))
            operand = self.expr(wanted, inside, min(depth - 1, 2), calm)
            if wanted in ("f4", "f8") and name in ("sum", "avg") and operand.bound > 1e5:
                return None
            if name == "count":
                bound = 1e6
            elif name == "sum":
                bound = operand.bound * 1e5
            elif name in ("min", "max", "bit_and", "bit_or", "bit_xor") or kind in ("bool", "text", "at"):
                bound = operand.bound
            elif kind == "ai":
                bound = 0
            if wanted == "f4" and name == "sum":
                bound = min(bound, 1e6)
            if (
                not window
                and wanted != "json"
                and self.chance({"count": 0.4, "string_agg": 0.15, "array_agg": 0.15}.get(name, 0.12))
            ):
                distinct = "DISTINCT "
            operands = (operand,)
            if name in ("string_agg", "array_agg"):
                if name == "string_agg":
                    operands += (", " + self.rng.choice(("','", "''", "'; '")) + "::text",)
                order = " ORDER BY "
                if window:
                    return None
        parts = [f"{name}({distinct}", *operands]
        if order:
            parts += [order, operands[0], self.rng.choice(("", " DESC", " NULLS FIRST"))]
            if name == "string_agg" and distinct:
                parts[-1] = ""
        parts.append(")")
        feature = f"{name} DISTINCT" if distinct else name
        if self.chance(0.15) and "FILTER" not in self.without:
            parts += [" FILTER (WHERE ", self.expr("bool", inside, 1), ")"]
            feature += " FILTER"
        if window:
            parts += [" OVER (", *window, ")"]
            feature += " OVER"
        return Expr(kind, tuple(parts), bound, feature)

    def fuzzy_aggregate(self, scope):
        """An aggregate whose last bits depend on the order of rows: only for the outermost select list."""
        inside = Scope(scope.sources, scope.outer, None, scope.rows)
        name = self.rng.choice(
            (
                "stddev",
                "stddev_pop",
                "variance",
                "var_pop",
                "corr",
                "covar_pop",
                "covar_samp",
                "regr_slope",
                "regr_count",
                "percentile_cont",
                "percentile_disc",
            )
        )
        if name in self.without:
            return None
        operand = self.column("f8", inside, calm=True) or self.expr("f8", inside, 1, calm=True)
        if operand.bound > 1e5:
            return None
        if name.startswith(("corr", "covar", "regr")):
            other = self.column("f8", inside, calm=True) or operand
            return Expr("f8", (f"{name}(", operand, ", ", other, ")"), INF, name)
        if name.startswith("percentile"):
            return Expr(
                "f8", (f"{name}({self.rng.choice(('0.5', '0.25', '1'))}) WITHIN GROUP (ORDER BY ", operand, ")"), INF, name
            )
        return Expr("f8", (f"{name}(", operand, ")"), INF, name)
