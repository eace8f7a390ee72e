"""Owns: a run: generate, run on both sides, compare, shrink, report."""

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from . import generate
from .compare import Difference, difference
from .shrink import shrink
from .sides import FORMS, LOST, Side
from .tree import Expr, Select, SetOperation, Table, Text, features, nodes, sql

ZONES = ("Etc/UTC", "Etc/UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
# Settings of the lake's side, and how often each is chosen.
VARIANTS = (
    ({}, 80),
    ({"duckdb.enable_pushdown": "off"}, 6),
    ({"duckdb.pushdown_float_aggregates": "off"}, 6),
    ({"duckdb.ship_rows": "0"}, 8),
)
# Other plans over the same rows in another order: what differs there is not determined.
OTHER_PLANS = {"enable_hashagg": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "work_mem": "64kB"}
# After so many shrunk failures that look the same, more of them are only counted.
ENOUGH = 2


@dataclass
class Failure:
    seed: int
    number: int
    tree: object
    shrunk: object
    difference: Difference
    settings: dict
    count: int = 1

    @property
    def constructs(self):
        return frozenset(features(self.shrunk))


@dataclass
class Statistics:
    queries: int = 0
    valid: int = 0
    heap_errors: Counter = field(default_factory=Counter)
    error_only: Counter = field(default_factory=Counter)
    examples: dict = field(default_factory=dict)
    timeouts: int = 0
    slow: int = 0
    undetermined: int = 0
    rows: int = 0
    pushed: Counter = field(default_factory=Counter)
    kept: Counter = field(default_factory=Counter)
    constructs: dict = field(default_factory=dict)
    failures: int = 0

    def note_plan(self, found, how, kept):
        self.pushed[how] += 1
        for name in found:
            self.constructs.setdefault(name, Counter())[how] += 1
        for name in kept:
            self.kept[name] += 1


class Run:
    """`connect()` makes a connection; `lake` is the schema that is compared with `heap`."""

    def __init__(
        self,
        connect,
        *,
        seed,
        lake="lake",
        without=(),
        say=print,
        explain=True,
        variants=True,
        shrink_seconds=25,
        verbose=False,
        micro_share=0.3,
        settings=(),
    ):
        self.seed = seed
        self.verbose = verbose
        self.micro_share = micro_share
        self.without = without
        self.say = say
        self.explain = explain
        self.shrink_seconds = shrink_seconds
        self.heap = Side(connect, "heap")
        self.shuffled = Side(connect, "shuffled", OTHER_PLANS)
        self.lake = Side(connect, lake, {"statement_timeout": "10s", **dict(settings)})
        self.statistics = Statistics()
        self.failures = []
        self.variants = self._known_variants(connect) if variants else [({}, 1)]

    @staticmethod
    def _known_variants(connect):
        with connect() as conn:
            conn.execute("SELECT duckdb.version()")
            known = {name for (name,) in conn.execute("SELECT name FROM pg_settings WHERE name LIKE 'duckdb.%'")}
        return [variant for variant in VARIANTS if variant[0].keys() <= known]

    def close(self):
        for side in (self.heap, self.shuffled, self.lake):
            side.close()

    # ---- one query

    def circumstances(self, number):
        """Settings for both sides, settings of the lake's side, the form in which the query is run."""
        rng = random.Random(f"{self.seed}/{number}/circumstances")
        both = {"timezone": rng.choice(ZONES)}
        settings, weights = zip(*self.variants)
        return both, rng.choices(settings, weights)[0], rng.choices(list(FORMS), FORMS.values())[0]

    def outcomes(self, tree, both, lake_settings, form):
        text = Text(tree)
        neutral = {name: value for settings, _ in self.variants for name, value in self.defaults(settings).items()}
        heap = self.heap.run(text.sql, text.values, form=form, settings=both)
        if heap.sqlstate == LOST:
            heap = self.heap.run(text.sql, text.values, form=form, settings=both)
        lake = self.lake.run(text.sql, text.values, form=form, settings={**neutral, **both, **lake_settings})
        return heap, lake

    @staticmethod
    def defaults(settings):
        known = {"duckdb.enable_pushdown": "on", "duckdb.pushdown_float_aggregates": "on", "duckdb.ship_rows": "100000"}
        return {name: known[name] for name in settings}

    def compare(self, tree, circumstances):
        """(difference, heap's outcome, lake's outcome)."""
        heap, lake = self.outcomes(tree, *circumstances)
        order = () if circumstances[2] in ("view", "table") else order_columns(tree)
        return difference(heap, lake, order, chooses(tree)), heap, lake

    def is_determined(self, tree, circumstances, heap):
        """Whether another plan over the same rows in another order answers the same."""
        both, _, form = circumstances
        text = Text(tree)
        other = self.shuffled.run(text.sql, text.values, form=form, settings=both)
        if not other.ok:
            return other.timed_out
        return difference(heap, other, order_columns(tree), chooses(tree)) is None

    def fails_like(self, wanted, circumstances):
        def fails(tree):
            found, heap, _ = self.compare(tree, circumstances)
            if not wanted.same_cause(found):
                return False
            return found.kind in ("crash", "internal", "timeout") or self.is_determined(tree, circumstances, heap)

        return fails

    def step(self, number):
        """Runs query `number`; the failure if there is a new one."""
        statistics = self.statistics
        tree = generate.query(self.seed, number, without=self.without, micro_share=self.micro_share)
        circumstances = self.circumstances(number)
        found, heap, lake = self.compare(tree, circumstances)
        statistics.queries += 1
        if heap.timed_out:
            statistics.timeouts += 1
        elif heap.ok:
            statistics.valid += 1
            statistics.rows += len(heap.rows)
        else:
            statistics.heap_errors[f"{heap.sqlstate} {heap.message.splitlines()[0][:100]}"] += 1
            if self.verbose:
                self.say(f"query {number}: {heap.sqlstate} {heap.message}\n  {sql(tree)}")
        if self.explain and lake.ok:
            self.note_plan(tree, circumstances)
        if found is None:
            return None
        if not found.is_failure:
            message = found.detail.splitlines()[0]
            statistics.error_only[message] += 1
            statistics.examples.setdefault(message, number)
            return None
        if found.kind not in ("crash", "internal", "timeout") and not self.is_determined(tree, circumstances, heap):
            statistics.undetermined += 1
            return None
        if found.kind == "timeout":
            statistics.slow += 1
            if statistics.slow > 2 or circumstances[1].get("duckdb.enable_pushdown") == "off":
                return None
        # Once more, to keep out what happens only sometimes; a crash may need the same history.
        again, _, _ = self.compare(tree, circumstances)
        statistics.failures += 1
        constructs = features(tree)
        alike = [
            failure
            for failure in self.failures
            if failure.difference.same_cause(found)
            and (found.kind in ("internal", "error") or failure.constructs and failure.constructs <= constructs)
        ]
        for failure in alike:
            if failure.count >= ENOUGH:
                failure.count += 1
                return None
        shrunk = tree
        if found.kind == "timeout":
            pass  # Shrinking would take as long for each candidate.
        elif again is not None and found.same_cause(again):
            shrunk = shrink(tree, self.fails_like(found, circumstances), seconds=self.shrink_seconds)
        else:
            self.say(f"query {number}: not the same when run again: {found.kind}: {found.detail}")
        failure = Failure(self.seed, number, tree, shrunk, found, circumstances)
        for other in self.failures:
            if other.difference.same_cause(found) and other.constructs == failure.constructs:
                other.count += 1
                if len(sql(shrunk)) < len(sql(other.shrunk)):
                    other.shrunk, other.settings = shrunk, circumstances
                return None
        self.failures.append(failure)
        return failure

    # ---- plans

    def note_plan(self, tree, circumstances):
        if not any(isinstance(node, Table) and not node.name.startswith(("side_", "w")) for node in nodes(tree)):
            return
        both, lake_settings, _ = circumstances
        text = Text(tree)
        plan = self.lake.explain(text.sql, text.values, settings={**both, **lake_settings})
        if plan is not None:
            how, kept = pushed(json.loads(plan)[0]["Plan"])
            self.statistics.note_plan(
                features(tree), how if lake_settings.get("duckdb.enable_pushdown") != "off" else "switched off", kept
            )

    # ---- the whole

    def go(self, seconds=None, count=None, first=0):
        """Runs queries until time or number is up; returns the failures."""
        deadline = time.monotonic() + seconds if seconds else None
        number = first
        while (count is None or number < first + count) and (deadline is None or time.monotonic() < deadline):
            failure = self.step(number)
            if failure:
                self.say(self.describe(failure))
            number += 1
        return self.failures

    def describe(self, failure):
        """The report of a failure, with both results and the plan as they are now."""
        found, heap, lake = self.compare(failure.shrunk, failure.settings)
        found = found or failure.difference
        both, lake_settings, form = failure.settings
        text = Text(failure.shrunk)
        lines = [
            f"FAILURE {found.kind}" + (f", seen {failure.count} times" if failure.count > 1 else ""),
            f"  reproduce: scripts/fuzz --seed {failure.seed} --only {failure.number}"
            + (f" --small {self.micro_share}" if self.micro_share != 0.3 else "")
            + (f" --without {','.join(sorted(self.without))}" if self.without else ""),
            f"  query:     {text.sql}",
        ]
        if text.values:
            lines.append(f"  values:    {text.values}")
        lines.append(
            f"  settings:  {form}, " + ", ".join(f"{name} = {value}" for name, value in {**both, **lake_settings}.items())
        )
        lines.append(f"  {found.detail}")
        for name, outcome in (("heap", heap), ("lake", lake)):
            lines.append(f"  {name}: " + shown(outcome))
        plan = self.lake.explain(text.sql, text.values, settings={**both, **lake_settings}, form="VERBOSE, COSTS OFF")
        if plan:
            lines += [
                "  plan of the lake's side:",
                *("    " + line for line in plan.splitlines() if not line.strip().startswith("DuckDB Plan")),
            ]
        if (
            lake_settings == {}
            and found.kind not in ("crash",)
            and any("enable_pushdown" in name for settings, _ in self.variants for name in settings)
        ):
            off, _, _ = self.compare(failure.shrunk, (both, {"duckdb.enable_pushdown": "off"}, form))
            lines.append(
                f"  with duckdb.enable_pushdown off: {'the same' if found.same_cause(off) else 'no difference' if off is None else off.kind}"
            )
        return "\n".join(lines)


def shown(outcome):
    if not outcome.ok:
        return "connection lost" if outcome.sqlstate == LOST else f"error {outcome.sqlstate}: {outcome.message}"
    rows = [" | ".join("NULL" if value is None else value.decode(errors="replace") for value in row) for row in outcome.rows[:12]]
    return f"{len(outcome.rows)} rows" + "".join("\n    " + row for row in rows) + ("\n    …" if len(outcome.rows) > 12 else "")


def chooses(tree):
    """Whether the query chooses between equal values, of which it may show either."""
    for node in nodes(tree):
        if isinstance(node, Select) and (node.keys or node.distinct or node.limit is not None):
            return True
        if isinstance(node, SetOperation) and (node.operator != "UNION ALL" or node.limit is not None):
            return True
        if isinstance(node, Expr) and node.feature.startswith(
            ("min", "max", "first_value", "last_value", "nth_value", "lag", "lead")
        ):
            return True
    return False


def order_columns(tree):
    """Indexes of the output columns by which the query is ordered."""
    if not isinstance(tree, (Select, SetOperation)) or not tree.order or any(order.expr is not None for order in tree.order):
        return ()
    first = tree
    while isinstance(first, SetOperation):
        first = first.left
    names = [item.name for item in first.items]
    return tuple(names.index(order.name) for order in tree.order)


def pushed(plan):
    """(whole, part or none, constructs that kept something in PostgreSQL) of a plan in JSON."""
    found, stack = [], [plan]
    while stack:
        node = stack.pop()
        found.append(node)
        stack += node.get("Plans", [])
    scans = [node for node in found if "DuckDB SQL" in node]
    others = [node for node in found if "DuckDB SQL" not in node]
    kept = {str(node["Kept in PostgreSQL"]) for node in found if node.get("Kept in PostgreSQL")}
    if (
        len(scans) == 1
        and all(node["Node Type"] in ("Result", "Subquery Scan") and "Filter" not in node for node in others)
        and "Filter" not in scans[0]
    ):
        return "whole", kept
    # A scan of one table alone has its quals in it at the most.
    if any(is_more_than_a_scan(node["DuckDB SQL"]) for node in scans):
        return "part", kept
    return "none", kept


def is_more_than_a_scan(text):
    words = text.upper()
    return any(
        word in words
        for word in (
            " JOIN ",
            "GROUP BY",
            "ORDER BY",
            "DISTINCT ",
            " UNION ",
            "COUNT(",
            "SUM(",
            "MIN(",
            "MAX(",
            " OVER ",
            "EXISTS",
            "EXCEPT",
            "INTERSECT",
        )
    )
