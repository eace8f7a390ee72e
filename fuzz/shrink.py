"""Owns: making a failing query smaller while it keeps failing."""

import dataclasses
import re
import time

from .literals import simplest
from .tree import Cte, Derived, Expr, Item, Join, Literal, Select, SetOperation, Table, identifier, nodes, replaced, sql

QUERY = (Select, SetOperation)


def shrink(tree, fails, *, seconds=60, tests=600):
    """The smallest tree found for which `fails(tree)` is still true."""
    deadline = time.monotonic() + seconds
    tried = {sql(tree)}
    size = measure(tree)
    progress = True
    while progress and tests > 0:
        progress = False
        for candidate in candidates(tree):
            if tests <= 0 or time.monotonic() > deadline:
                return tree
            smaller = measure(candidate)
            if smaller >= size:
                continue
            text = sql(candidate)
            if text in tried:
                continue
            tried.add(text)
            tests -= 1
            if fails(candidate):
                tree, size, progress = candidate, smaller, True
                break
    return tree


def measure(tree):
    """What shrinking makes smaller: first the number of nodes, where a parameter counts as one more."""
    found = nodes(tree)
    weight = sum(2 if isinstance(node, Literal) and node.parameter else 1 for node in found)
    return weight, len(sql(tree))


def candidates(tree):
    """Trees with one simplification, the coarsest first."""
    found = nodes(tree)
    for node in found[1:]:
        if isinstance(node, QUERY):
            yield node
    fixed = row_keys(found)
    for node in found:
        for variant in () if id(node) in fixed else variants(node):
            yield replaced(tree, node, variant)
        if isinstance(node, QUERY):
            yield from (replaced(tree, node, other) for other in inlined(node))


def row_keys(found):
    """Columns in windows, which tell rows apart there: without them the answer may not be determined."""
    fixed = set()
    for node in found:
        if isinstance(node, Expr) and node.feature.endswith(" OVER"):
            start = next(index for index, part in enumerate(node.parts) if isinstance(part, str) and part.endswith(" OVER ("))
            for part in node.parts[start:]:
                if isinstance(part, Expr) and not part.feature:
                    fixed.add(id(part))
    return fixed


def variants(node):
    if isinstance(node, Select):
        yield from select_variants(node)
    elif isinstance(node, SetOperation):
        yield node.left
        yield node.right
        yield from tail_variants(node)
        yield from without_ctes(node)
        if node.operator.endswith(" ALL") is False:
            yield dataclasses.replace(node, operator="UNION ALL")
        yield from narrower(node)
    elif isinstance(node, Join):
        yield node.left
        yield node.right
        for index in range(len(node.on)):
            if len(node.on) > 1:
                yield dataclasses.replace(node, on=dropped(node.on, index))
        if node.kind not in ("JOIN", "CROSS JOIN"):
            yield dataclasses.replace(node, kind="JOIN")
        if node.on or node.using:
            yield dataclasses.replace(node, kind="CROSS JOIN", on=(), using="")
    elif isinstance(node, Literal):
        if node.parameter:
            yield dataclasses.replace(node, parameter=False)
        yield from simplest(node.type)
    elif isinstance(node, Expr):
        inside = [other for other in nodes(node)[1:] if isinstance(other, Expr) and other.type == node.type]
        yield from inside[:10]
        yield from simplest(node.type)
        yield from without_filter(node)
    elif isinstance(node, Cte) and node.modifier:
        yield dataclasses.replace(node, modifier="")


def dropped(elements, index):
    return elements[:index] + elements[index + 1 :]


def without_ctes(query):
    for index in range(len(query.ctes)):
        yield dataclasses.replace(query, ctes=dropped(query.ctes, index))


def tail_variants(query):
    if query.limit is not None or query.offset is not None:
        without = dataclasses.replace(query, limit=None, offset=None)
        yield dataclasses.replace(without, ties=False) if isinstance(query, Select) else without
        if query.offset is not None:
            yield dataclasses.replace(query, offset=None)
    elif query.order:
        yield dataclasses.replace(query, order=())
        for index in range(len(query.order)):
            if len(query.order) > 1:
                yield dataclasses.replace(query, order=dropped(query.order, index))
    for order in query.order:
        if order.expr is not None and len(query.order) > 1:
            yield dataclasses.replace(query, order=tuple(other for other in query.order if other is not order))
        if order.descending or order.nulls:
            yield replaced(query, order, dataclasses.replace(order, descending=False, nulls=""))


def without_item(select, index):
    name = select.items[index].name
    return dataclasses.replace(
        select, items=dropped(select.items, index), order=tuple(order for order in select.order if order.name != name)
    )


def narrower(operation):
    """A set operation with a column less on both sides."""
    selects = [node for node in leaves(operation)]
    count = len(selects[0].items)
    for index in range(count if count > 1 else 0):
        tree, name = operation, selects[0].items[index].name
        for select in selects:
            tree = replaced(tree, select, dataclasses.replace(without_item(select, index), order=(), limit=None, offset=None))
        yield dataclasses.replace(tree, order=tuple(order for order in operation.order if order.name != name))


def leaves(query):
    if isinstance(query, Select):
        return [query]
    return leaves(query.left) + leaves(query.right)


def select_variants(select):
    yield from without_ctes(select)
    if len(select.items) > 1:
        for index in range(len(select.items)):
            one = select.items[index]
            yield dataclasses.replace(
                select, items=(one,), order=tuple(order for order in select.order if order.name == one.name)
            )
    if select.where:
        yield dataclasses.replace(select, where=())
    if select.having:
        yield dataclasses.replace(select, having=())
    if select.distinct:
        yield dataclasses.replace(select, distinct="")
    yield from tail_variants(select)
    if len(select.items) > 1:
        for index in range(len(select.items)):
            yield without_item(select, index)
    for index in range(len(select.where)):
        yield dataclasses.replace(select, where=dropped(select.where, index))
    for index in range(len(select.having)):
        yield dataclasses.replace(select, having=dropped(select.having, index))
    if select.grouping:
        yield dataclasses.replace(select, grouping="")
    for index in range(len(select.keys)):
        grouping = "" if not isinstance(select.grouping, str) else select.grouping if len(select.keys) > 1 else ""
        yield dataclasses.replace(select, keys=dropped(select.keys, index), grouping=grouping)


def without_filter(expr):
    if " FILTER (WHERE " in expr.parts:
        index = expr.parts.index(" FILTER (WHERE ")
        yield dataclasses.replace(
            expr, parts=expr.parts[:index] + expr.parts[index + 3 :], feature=expr.feature.replace(" FILTER", "")
        )
    for index, part in enumerate(expr.parts):
        if isinstance(part, str) and re.search(r"\(DISTINCT $", part):
            yield dataclasses.replace(
                expr,
                parts=(*expr.parts[:index], part.replace("DISTINCT ", ""), *expr.parts[index + 1 :]),
                feature=expr.feature.replace(" DISTINCT", ""),
            )


def inlined(query):
    """CTEs that are used once put in place; sub-queries in FROM dissolved into their query."""
    for index, cte in enumerate(query.ctes):
        uses = [node for node in nodes(query) if isinstance(node, Table) and node.name == cte.name]
        if len(uses) == 1:
            tree = dataclasses.replace(query, ctes=dropped(query.ctes, index))
            yield replaced(tree, uses[0], Derived((cte.query,), uses[0].alias))
    if not isinstance(query, Select) or query.source is None:
        return
    for node in nodes(query.source):
        if not (isinstance(node, Derived) and len(node.body) == 1 and isinstance(node.body[0], Select)):
            continue
        inner = node.body[0]
        if (
            inner.keys
            or inner.distinct
            or inner.limit is not None
            or inner.offset is not None
            or inner.having
            or inner.ctes
            or not inner.source
            or inner.grouping
        ):
            continue
        tree = replaced(query, node, inner.source)
        tree = dataclasses.replace(tree, where=tree.where + inner.where)
        by_text = {f"{identifier(node.alias)}.{identifier(item.name)}": item.expr for item in inner.items}
        for expr in nodes(tree):
            if isinstance(expr, Expr) and len(expr.parts) == 1 and isinstance(expr.parts[0], str) and expr.parts[0] in by_text:
                tree = replaced(tree, expr, by_text[expr.parts[0]])
        yield tree


__all__ = ["shrink", "Item"]
