"""Owns: how two things are timed against each other, and what a row of the table is.

The machine may be shared and its speed may drift, so that the two sides of a ratio always run in turn
(A B A B …) and the figure is the median of the pairs' ratios, never a ratio of two separate medians.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Row:
    """One line of the table. Without a base it is an absolute figure in `unit`."""

    section: str
    what: str
    ours: float
    base: float | None
    unit: str
    figure: float
    spread: tuple[float, float]
    # Of a ratio: our fastest run over the base's fastest, which a busy machine disturbs least.
    fastest: float | None
    target: float | None
    comment: str = ""
    # So short that a miss does not count.
    forgiven: bool = False

    @property
    def reached(self) -> bool | None:
        return None if self.target is None else self.figure <= self.target or self.forgiven


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turn(
    ours: Callable[[], float], base: Callable[[], float], runs: int, *, warm_up: bool = True
) -> list[tuple[float, float]]:
    """The two sides' own figures (each returns what it measured), pair by pair."""
    if warm_up:
        ours()
        base()
    return [(ours(), base()) for _ in range(runs)]


def ratio(section: str, what: str, pairs: list[tuple[float, float]], target: float | None, unit: str = "ms") -> Row:
    scale = {"ms": 1e3, "s": 1.0, "µs": 1e6}[unit]
    ratios = [ours / base for ours, base in pairs]
    return Row(
        section,
        what,
        statistics.median(ours for ours, _ in pairs) * scale,
        statistics.median(base for _, base in pairs) * scale,
        unit,
        statistics.median(ratios),
        (min(ratios), max(ratios)),
        min(ours for ours, _ in pairs) / min(base for _, base in pairs),
        target,
    )


def absolute(section: str, what: str, values: list[float], target: float | None, unit: str, comment: str = "") -> Row:
    middle = statistics.median(values)
    return Row(section, what, middle, None, unit, middle, (min(values), max(values)), None, target, comment)
