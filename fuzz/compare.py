"""Owns: whether two outcomes are the same."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from .sides import LOST

FLOAT4, FLOAT8, NUMERIC, INTERVAL = 700, 701, 1700, 1186
TOLERANCE = {FLOAT4: 1e-6, FLOAT8: 1e-9}


@dataclass(frozen=True)
class Difference:
    """`kind`: crash, internal, error, timeout, columns, rows, order, display; `error-only` is no failure."""

    kind: str
    detail: str
    sqlstate: str = ""

    @property
    def is_failure(self):
        return self.kind != "error-only"

    def same_cause(self, other):
        """As far as it can be told without looking at the query."""
        return other is not None and self.cause == other.cause

    @property
    def cause(self):
        """The kind; of errors also the message, without its names and numbers."""
        lines = [] if self.kind in ("rows", "order", "columns", "display", "crash") else self.detail.splitlines()[:2]
        return self.kind, self.sqlstate, *(re.sub(r"\"[^\"]*\"|'[^']*'|\d+", "", line)[:80] for line in lines)


def difference(heap, lake, order=(), chosen=False):
    """What the lake has otherwise than the heap, or None. `order`: indexes of the columns of ORDER BY.

    `chosen`: the query chooses between equal values (GROUP BY, DISTINCT, min …), of which some have
    several texts (numeric, interval).
    """
    if lake.sqlstate == LOST:
        return Difference("crash", lake.message)
    if lake.sqlstate and lake.sqlstate.startswith("XX"):
        return Difference("internal", lake.message, lake.sqlstate)
    if not heap.ok:
        return (
            None
            if not lake.ok or heap.timed_out
            else Difference("error-only", f"heap: {heap.sqlstate} {heap.message}", heap.sqlstate)
        )
    if lake.timed_out:
        return Difference("timeout", f"lake: more than {lake.seconds:.0f} s; heap: {heap.seconds:.2f} s", lake.sqlstate)
    if not lake.ok:
        return Difference("error", f"lake: {lake.sqlstate} {lake.message}", lake.sqlstate)
    if heap.columns != lake.columns:
        return Difference("columns", f"heap: {_columns(heap)}; lake: {_columns(lake)}")
    types = [column[1] for column in heap.columns]
    kind, missing, extra = _multisets(heap.rows, lake.rows, types)
    if kind and not (kind == "display" and chosen):
        return Difference(
            kind,
            f"{len(heap.rows)} rows in heap, {len(lake.rows)} in lake; only in heap: {_some(missing)}; only in lake: {_some(extra)}",
        )
    for number, (mine, theirs) in enumerate(zip(heap.rows, lake.rows)):
        if not all(_alike(mine[index], theirs[index], types[index]) for index in order):
            return Difference("order", f"row {number + 1}: heap {_row(mine)}, lake {_row(theirs)}")
    return None


def _columns(outcome):
    return ", ".join(f"{name} {oid}/{typmod}" for name, oid, typmod in outcome.columns)


def _row(row):
    return "(" + ", ".join("NULL" if value is None else value.decode(errors="replace") for value in row) + ")"


def _some(rows):
    return " ".join(map(_row, rows[:5])) + (" …" if len(rows) > 5 else "") or "none"


def _multisets(heap, lake, types):
    """(kind, only in heap, only in lake): None, `rows`, or `display` where values are equal and texts are not."""
    mine, theirs = Counter(heap), Counter(lake)
    if mine == theirs:
        return None, [], []
    missing, extra = list((mine - theirs).elements()), list((theirs - mine).elements())
    missing, extra = _unmatched(missing, extra, lambda a, b: _row_alike(a, b, types, exact=True), types)
    if not missing and not extra:
        return None, [], []
    if any(oid in (NUMERIC, INTERVAL) for oid in types):
        rest = _unmatched(missing, extra, lambda a, b: _row_alike(a, b, types, exact=False), types)
        if not any(rest):
            return "display", missing, extra
    return "rows", missing, extra


def _unmatched(left, right, alike, types):
    """What remains when rows that are alike are taken away in pairs."""
    if len(left) != len(right) or len(left) > 20_000:
        return left, right
    # Rows can only be alike where the values agree that are compared as they are.
    fixed = [index for index, oid in enumerate(types) if oid not in (FLOAT4, FLOAT8, NUMERIC, INTERVAL)]
    groups = {}
    for row in right:
        groups.setdefault(tuple(row[index] for index in fixed), []).append(row)
    missing = []
    for row in left:
        group = groups.get(tuple(row[index] for index in fixed), [])
        if len(group) > 300:
            group = sorted(group, key=repr)
        found = next((index for index, other in enumerate(group[:300]) if alike(row, other)), None)
        if found is None:
            missing.append(row)
        else:
            del group[found]
            groups[tuple(row[index] for index in fixed)] = group
    return missing, [row for group in groups.values() for row in group]


def _row_alike(a, b, types, exact):
    return all(_alike(x, y, oid, exact) for x, y, oid in zip(a, b, types))


def _alike(a, b, oid, exact=False):
    if a == b:
        return True
    if a is None or b is None:
        return False
    if oid in TOLERANCE:
        x, y = float(a), float(b)
        if math.isnan(x) or math.isnan(y) or math.isinf(x) or math.isinf(y):
            return repr(x) == repr(y)
        return math.isclose(x, y, rel_tol=TOLERANCE[oid], abs_tol=1e-12)
    if oid == NUMERIC and not exact:
        try:
            return Decimal(a.decode()) == Decimal(b.decode())
        except InvalidOperation:
            return False
    if oid == INTERVAL and not exact:
        return _microseconds(a.decode()) == _microseconds(b.decode())
    return False


def _microseconds(interval):
    """What PostgreSQL compares: months of 30 days, days of 24 hours."""
    total = 0
    for number, unit in re.findall(r"([-+]?\d+) (year|mon|day)", interval):
        total += int(number) * {"year": 360, "mon": 30, "day": 1}[unit] * 86_400_000_000
    clock = re.search(r"([-+]?)(\d+):(\d+):(\d+)(\.\d+)?", interval)
    if clock:
        sign, hours, minutes, seconds, fraction = clock.groups()
        part = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + round(float(fraction or 0) * 1_000_000)
        total += -part if sign == "-" else part
    return total
