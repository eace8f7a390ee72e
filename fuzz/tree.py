"""Owns: the trees that queries are made of, their SQL text, and how to walk and rebuild them.

Nodes never change. One node may stand at several places (a GROUP BY key and its uses); `replaced`
replaces it at all of them.
"""

import dataclasses
import re
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Node:
    """Fields hold nodes, plain values, or (nested) tuples of both."""

    def children(self):
        found = []
        for field in dataclasses.fields(self):
            _collect(getattr(self, field.name), found)
        return found


def _collect(value, found):
    if isinstance(value, Node):
        found.append(value)
    elif isinstance(value, tuple):
        for element in value:
            _collect(element, found)


@dataclass(frozen=True, eq=False)
class Expr(Node):
    """Parts are texts and nodes, in order. `bound` is how large the absolute value can be: infinite for
    values at the edges of their type, of non-numeric types too, with which computing may fail."""

    type: str
    parts: tuple
    bound: float = 0
    feature: str = ""


@dataclass(frozen=True, eq=False)
class Literal(Expr):
    """A constant; as a parameter when `parameter` is set."""

    value: str | None = None
    cast: str = ""
    parameter: bool = False


@dataclass(frozen=True, eq=False)
class Table(Node):
    name: str
    alias: str


@dataclass(frozen=True, eq=False)
class Derived(Node):
    """A sub-query, VALUES or a function in FROM."""

    body: tuple
    alias: str
    columns: tuple = ()
    lateral: bool = False


@dataclass(frozen=True, eq=False)
class Join(Node):
    kind: str
    left: Node
    right: Node
    on: tuple = ()
    using: str = ""


@dataclass(frozen=True, eq=False)
class Order(Node):
    """`name` is an output column; '' with an `expr` that is none."""

    name: str
    descending: bool
    nulls: str
    expr: Expr | None = None


@dataclass(frozen=True, eq=False)
class Item(Node):
    expr: Expr
    name: str


@dataclass(frozen=True, eq=False)
class Cte(Node):
    name: str
    modifier: str
    query: Node
    recursive: bool = False


@dataclass(frozen=True, eq=False)
class Select(Node):
    """`grouping` is '', ROLLUP, CUBE, or the grouping sets as tuples of indexes into `keys`."""

    items: tuple
    source: Node | None = None
    where: tuple = ()
    keys: tuple = ()
    grouping: object = ""
    having: tuple = ()
    distinct: str = ""
    ctes: tuple = ()
    order: tuple = ()
    limit: object = None  # a number, or a literal
    offset: int | None = None
    ties: bool = False


@dataclass(frozen=True, eq=False)
class SetOperation(Node):
    operator: str
    left: Node
    right: Node
    ctes: tuple = ()
    order: tuple = ()
    limit: object = None
    offset: int | None = None


def nodes(node):
    """The node and all below it, parents first; a shared one once."""
    seen, stack = {}, [node]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            stack.extend(reversed(node.children()))
    return list(seen.values())


def replaced(node, old, new):
    """The tree with `new` in every place of `old`."""
    if node is old:
        return new
    changed = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        other = _replaced_value(value, old, new)
        if other is not value:
            changed[field.name] = other
    return dataclasses.replace(node, **changed) if changed else node


def _replaced_value(value, old, new):
    if isinstance(value, Node):
        return replaced(value, old, new)
    if isinstance(value, tuple):
        others = tuple(_replaced_value(element, old, new) for element in value)
        return others if any(a is not b for a, b in zip(value, others)) else value
    return value


# ---- SQL


def identifier(name):
    """Quoted where it has to be."""
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else '"%s"' % name.replace('"', '""')


class Text:
    """The SQL text of a tree, and the values of its parameters."""

    def __init__(self, node):
        self.values = []
        self._numbers = {}
        self.sql = self._node(node)

    def _node(self, node):
        return getattr(self, "_" + type(node).__name__.lower())(node)

    def _parts(self, parts):
        return "".join(part if isinstance(part, str) else self._operand(part) for part in parts)

    def _operand(self, node):
        text = self._node(node)
        return f"({text})" if isinstance(node, (Select, SetOperation)) else text

    def _expr(self, expr):
        return self._parts(expr.parts)

    def _literal(self, literal):
        if not literal.parameter:
            return self._parts(literal.parts)
        if id(literal) not in self._numbers:
            self.values.append(literal.value)
            self._numbers[id(literal)] = len(self.values)
        return f"${self._numbers[id(literal)]}::{literal.cast}"

    def _table(self, table):
        return table.name if table.alias == table.name else f"{table.name} AS {identifier(table.alias)}"

    def _derived(self, derived):
        columns = f"({', '.join(map(identifier, derived.columns))})" if derived.columns else ""
        return f"{'LATERAL ' if derived.lateral else ''}{self._parts(derived.body)} AS {identifier(derived.alias)}{columns}"

    def _join(self, join):
        right = self._node(join.right)
        if isinstance(join.right, Join):
            right = f"({right})"
        text = f"{self._node(join.left)} {join.kind} {right}"
        if join.using:
            return f"{text} USING ({join.using})"
        if join.kind.startswith(("CROSS", "NATURAL")):
            return text
        return f"{text} ON {' AND '.join(map(self._node, join.on)) or 'true'}"

    def _order(self, order):
        key = identifier(order.name) if order.expr is None else self._operand(order.expr)
        return key + (" DESC" if order.descending else "") + (f" NULLS {order.nulls}" if order.nulls else "")

    def _item(self, item):
        return f"{self._operand(item.expr)} AS {identifier(item.name)}"

    def _cte(self, cte):
        return f"{cte.name} AS {cte.modifier}{' ' if cte.modifier else ''}({self._node(cte.query)})"

    def _with(self, query):
        if not query.ctes:
            return ""
        recursive = "RECURSIVE " if any(cte.recursive for cte in query.ctes) else ""
        return f"WITH {recursive}{', '.join(map(self._node, query.ctes))} "

    def _tail(self, query):
        text = ""
        if query.order:
            text += " ORDER BY " + ", ".join(map(self._node, query.order))
        if query.offset is not None:
            text += f" OFFSET {query.offset}"
        if query.limit is not None:
            limit = self._node(query.limit) if isinstance(query.limit, Node) else query.limit
            text += f" FETCH FIRST ({limit}) ROWS WITH TIES" if getattr(query, "ties", False) else f" LIMIT {limit}"
        return text

    def _select(self, select):
        text = self._with(select) + "SELECT " + (select.distinct + " " if select.distinct else "")
        text += ", ".join(map(self._node, select.items))
        if select.source:
            text += " FROM " + self._node(select.source)
        if select.where:
            text += " WHERE " + " AND ".join(map(self._node, select.where))
        if select.keys or select.grouping:
            text += " GROUP BY " + self._grouping(select)
        if select.having:
            text += " HAVING " + " AND ".join(map(self._node, select.having))
        return text + self._tail(select)

    def _grouping(self, select):
        keys = [self._node(key) for key in select.keys]
        if not select.grouping:
            return ", ".join(keys)
        if isinstance(select.grouping, str):
            return f"{select.grouping} ({', '.join(keys)})"
        sets = ["(" + ", ".join(keys[index] for index in chosen if index < len(keys)) + ")" for chosen in select.grouping]
        return f"GROUPING SETS ({', '.join(sets)})"

    def _setoperation(self, query):
        sides = [f"({self._node(side)})" for side in (query.left, query.right)]
        return self._with(query) + f" {query.operator} ".join(sides) + self._tail(query)


def sql(node):
    """The text alone, parameters as $n."""
    return Text(node).sql


def features(tree):
    """Names of the constructs in the tree."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, Literal):
            if node.parameter:
                found.add("parameter")
        elif isinstance(node, Expr):
            if node.feature:
                found.add(node.feature)
        elif isinstance(node, Join):
            found.add(node.kind)
            if node.using:
                found.add("USING")
        elif isinstance(node, Derived):
            found.add("LATERAL" if node.lateral else "derived table")
        elif isinstance(node, SetOperation):
            found.add(node.operator)
        elif isinstance(node, Table) and node.name.startswith("side_"):
            found.add("heap table")
        if isinstance(node, Select):
            found |= {
                name
                for name, there in (
                    ("DISTINCT", node.distinct),
                    ("GROUP BY", node.keys),
                    ("HAVING", node.having),
                    ("WHERE", node.where),
                )
                if there
            }
            if node.distinct.startswith("DISTINCT ON"):
                found.add("DISTINCT ON")
            if node.ties:
                found.add("WITH TIES")
            if any(order.expr is not None for order in node.order):
                found.add("ORDER BY expression")
            if node.grouping:
                found.add(node.grouping if isinstance(node.grouping, str) else "GROUPING SETS")
        if isinstance(node, (Select, SetOperation)):
            found |= {
                name
                for name, there in (
                    ("ORDER BY", node.order),
                    ("LIMIT", node.limit is not None),
                    ("OFFSET", node.offset is not None),
                )
                if there
            }
            found |= {
                "recursive CTE" if cte.recursive else "CTE" + (" " + cte.modifier if cte.modifier else "") for cte in node.ctes
            }
    return found
