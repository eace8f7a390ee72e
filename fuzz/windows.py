"""Owns: making window calls whose answers are determined."""

from .catalog import ORDERED
from .expressions import Expressions
from .scope import Scope
from .tree import Expr


class Windows(Expressions):
    def window(self, kind, scope, depth):
        if "window" in self.without:
            return None
        inside = Scope(scope.sources, scope.outer, None, scope.rows)
        key = self.row_key(scope)
        saved, self.subqueries = self.subqueries, 0
        try:
            parts = []
            if self.chance(0.6):
                parts += ["PARTITION BY ", self.sort_key(inside)]
                if self.chance(0.2):
                    parts += [", ", self.sort_key(inside)]
            frame = self.frame(inside, key)
            choices = []
            if key:
                choices += {"i8": [("row_number()", 3)], "i4": [(f"ntile({self.rng.randint(1, 5)})", 0.7)]}.get(kind, [])
                choices += [(name, 1) for name in ("lag", "lead", "first_value", "last_value", "nth_value")]
            choices += {
                "i8": [("rank()", 1.5), ("dense_rank()", 1.5)],
                "f8": [("percent_rank()", 0.5), ("cume_dist()", 0.5)],
            }.get(kind, [])
            if kind in self.AGGREGATES or kind in self.EXTREMES:
                choices.append(("aggregate", 3))
            if not choices:
                return None
            name = self.rng.choices([name for name, _ in choices], [weight for _, weight in choices])[0]
            if name.split("(")[0] in self.without:
                return None
            needs_total = name in ("row_number()", "lag", "lead", "first_value", "last_value", "nth_value") or name.startswith(
                "ntile"
            )
            if name == "aggregate":
                order, frame_text = frame
                return self.aggregate(kind, scope, depth, window=tuple(parts + ([" "] if parts else []) + order + [frame_text]))
            order = [" ORDER BY "] if parts else ["ORDER BY "]
            wanted = [self.sort_key(inside)] if self.chance(0.7) or not needs_total else []
            for index, expr in enumerate(wanted + (key if needs_total else [])):
                order += [", " if index else "", expr, self.direction()]
            whole = (
                " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
                if name in ("last_value", "nth_value", "first_value") and self.chance(0.6)
                else ""
            )
            feature = name.split("(")[0] + " OVER"
            if name.endswith(")"):
                bound = 1e6
                call = (name,)
            else:
                operand = self.expr(kind, inside, 1)
                bound = operand.bound
                call = (name + "(", operand)
                if name == "nth_value":
                    call += (f", {self.rng.randint(1, 3)}",)
                elif name in ("lag", "lead") and self.chance(0.4):
                    call += (f", {self.rng.randint(0, 2)}",)
                    if self.chance(0.4):
                        call += (", ", self.literal(kind, edge=False))
                call += (")",)
            return Expr(kind, (*call, " OVER (", *parts, *order, whole, ")"), bound, feature)
        finally:
            self.subqueries = saved

    def grouped_window(self, kind, scope):
        """A window over groups; all keys together tell these apart."""
        if kind == "i8":
            order = ["ORDER BY ", self.expr(self.rng.choice(("i8", "num")), scope, 1), self.direction()]
            if self.chance(0.5):
                return Expr("i8", ("rank() OVER (", *order, ")"), 1e6, "rank OVER groups")
            for key in scope.keys:
                order += [", ", key, self.direction()]
            return Expr("i8", ("row_number() OVER (", *order, ")"), 1e6, "row_number OVER groups")
        made = self.aggregate(kind, scope, 1)
        if made is None or kind not in self.EXTREMES:
            return None
        return Expr(
            kind,
            (self.rng.choice(("min(", "max(")), made, ") OVER (PARTITION BY ", self.rng.choice(scope.keys), ")"),
            made.bound,
            "min OVER groups",
        )

    def direction(self):
        return self.rng.choice(("", "", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC NULLS LAST"))

    def sort_key(self, scope):
        kind = self.some_kinds(scope, 1, ORDERED)[0]
        return self.column(kind, scope) or self.expr(kind, scope, 1)

    def frame(self, inside, key):
        """([ORDER BY parts], frame): one that the answer is determined for."""
        if self.chance(0.25):
            return [], ""
        kind = self.rng.choices(("default", "ROWS", "RANGE", "RANGE offset", "GROUPS"), (4, 3 if key else 0, 1.5, 1.2, 1))[0]
        exclude = self.rng.choice((" EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES")) if self.chance(0.08) else ""
        ends = ("UNBOUNDED PRECEDING", "1 PRECEDING", "2 PRECEDING", "CURRENT ROW", "1 FOLLOWING", "UNBOUNDED FOLLOWING")
        first = self.rng.randint(0, 3)
        last = self.rng.randint(max(first, 2), 5)
        start, end = ends[first], ends[last]
        if kind == "ROWS":
            order = [self.sort_key(inside), self.direction()] if self.chance(0.6) else []
            for expr in key:
                order += [", " if order else "", expr, self.direction()]
            return ["ORDER BY ", *order], f" ROWS BETWEEN {start} AND {end}{exclude}"
        if exclude.endswith("ROW"):
            exclude = ""
        if kind == "RANGE offset":
            name = self.rng.choice(("i4", "i8", "num", "date", "f8", "ts"))
            operand = self.column(name, inside, calm=True)
            if operand is None:
                return [], ""
            step = {"date": "interval '10 days'", "ts": "interval '1 month'", "num": "2.5", "f8": "100"}.get(name, "3")
            start = self.rng.choice(("UNBOUNDED PRECEDING", f"{step} PRECEDING", "CURRENT ROW"))
            end = self.rng.choice(("CURRENT ROW", f"{step} FOLLOWING", "UNBOUNDED FOLLOWING"))
            return ["ORDER BY ", operand, self.rng.choice(("", " DESC"))], f" RANGE BETWEEN {start} AND {end}{exclude}"
        order = ["ORDER BY ", self.sort_key(inside), self.direction()]
        if kind == "default":
            return order, ""
        if kind == "GROUPS":
            return order, f" GROUPS BETWEEN {start} AND {end}{exclude}"
        start, end = self.rng.choice(
            (
                ("UNBOUNDED PRECEDING", "CURRENT ROW"),
                ("CURRENT ROW", "UNBOUNDED FOLLOWING"),
                ("CURRENT ROW", "CURRENT ROW"),
                ("UNBOUNDED PRECEDING", "UNBOUNDED FOLLOWING"),
            )
        )
        return order, f" RANGE BETWEEN {start} AND {end}{exclude}"
