"""Owns: small queries about one entry of the catalog, with columns and constants at the edges of their types."""

from .catalog import COMPARED, ENTRIES, INTEGERS, NUMBERS, ORDERED
from .schema import TABLES
from .scope import INF, Known, Scope, Source
from .tree import Expr, Item, Join, Order, Select, SetOperation, Table

EVERYTHING = [entry for entries in ENTRIES.values() for entry in entries]
FILLED = [table for table in TABLES if table.rows]


def query(generator):
    """A query about an entry chosen without regard to its weight."""
    rng = generator.rng
    generator.subqueries = 0
    generator.wild = True
    while True:
        entry = rng.choice(EVERYTHING)
        if entry.feature in generator.without:
            continue
        scope, tree = source(generator, entry)
        expr = generator.from_entry(entry, scope, 0.5)
        if expr is not None:
            return rng.choice(SHAPES)(generator, scope, tree, expr)


def source(generator, entry):
    """FROM with columns of the entry's kinds, as far as one or two tables have them; (scope, tree)."""
    rng = generator.rng

    def missing(tables):
        return len(entry.kinds - {column.kind for table in tables for column in table.columns})

    tables = [
        min(
            rng.sample(FILLED, len(FILLED)),
            key=lambda table: missing([table]) + rng.random() * 0.5 - 0.2 * (table.name == "edges"),
        )
    ]
    if missing(tables):
        other = min(rng.sample(FILLED, len(FILLED)), key=lambda table: missing([*tables, table]))
        if missing([*tables, other]) < missing(tables):
            tables.append(other)
    scope, tree = Scope(), None
    for table in tables:
        alias = generator.fresh("r")
        columns = [Known(column.name, column.kind, column.bound) for column in table.columns]
        made = Source(alias, columns, table.rows, ["id"])
        if tree is None:
            tree = Table(table.name, alias)
        else:
            on = Expr(
                "bool", (identifier_of(generator, scope.sources[0]), " = ", identifier_of(generator, made)), 0, "join on id"
            )
            tree = Join("JOIN", tree, Table(table.name, alias), (on,))
        scope.sources.append(made)
        scope.rows = max(scope.rows, table.rows)
    return scope, tree


def identifier_of(generator, made):
    return generator.reference(made, Known("id", "i4", 1e4))


def select(items, tree, **clauses):
    return Select(tuple(Item(expr, f"c{index}") for index, expr in enumerate(items)), tree, **clauses)


def shown(generator, scope, tree, expr):
    return select([expr, identifier_of(generator, scope.sources[0])], tree, order=(Order("c1", False, ""),))


def filtered(generator, scope, tree, expr):
    other = generator.leaf(expr.type, scope, False, 0)
    if expr.type == "bool":
        condition = expr
    elif expr.type in ORDERED and generator.chance(0.8):
        operator = generator.rng.choice((" = ", " <> ", " < ", " <= ", " > ", " >= ", " IS DISTINCT FROM "))
        condition = Expr("bool", ("(", expr, operator, other, ")"), 0, "comparison")
    else:
        condition = Expr("bool", ("(", expr, " IS NOT NULL)"), 0, "IS NULL")
    return select([identifier_of(generator, scope.sources[0])], tree, where=(condition,))


def grouped(generator, scope, tree, expr):
    count = Expr("i8", ("count(*)",), INF, "count")
    if expr.type not in COMPARED or not any(
        isinstance(part, Expr) and not part.feature and "." in str(part.parts[0]) for part in expr.parts
    ):
        return shown(generator, scope, tree, expr)
    return select([expr, count], tree, keys=(expr,))


def distinct(generator, scope, tree, expr):
    if expr.type not in ORDERED:
        return shown(generator, scope, tree, expr)
    order = Order("c0", generator.chance(0.5), generator.rng.choice(("", "FIRST", "LAST")))
    limit = generator.rng.choice((None, None, 3))
    return select([expr], tree, distinct=generator.rng.choice(("", "DISTINCT")), order=(order,), limit=limit)


def aggregated(generator, scope, tree, expr):
    names = ["count"]
    if expr.type in generator.EXTREMES:
        names += ["min", "max"]
    if expr.type in INTEGERS:
        names += ["sum", "avg"]
    if expr.type == "bool":
        names += ["bool_and", "bool_or"]
    name = generator.rng.choice(names)
    call = Expr("i8", (f"{name}({'DISTINCT ' if expr.type in COMPARED and generator.chance(0.3) else ''}", expr, ")"), INF, name)
    keys = (generator.column("i4", scope),) if generator.chance(0.5) else ()
    return select([call, *keys], tree, keys=keys)


def windowed(generator, scope, tree, expr):
    key = identifier_of(generator, scope.sources[0])
    if expr.type not in ORDERED:
        return shown(generator, scope, tree, expr)
    call = Expr("i8", ("row_number() OVER (ORDER BY ", expr, generator.direction(), ", ", key, ")"), INF, "row_number OVER")
    return select([call, key], tree)


def joined(generator, scope, tree, expr):
    if expr.type not in COMPARED:
        return shown(generator, scope, tree, expr)
    table = generator.rng.choice(
        [table for table in FILLED if any(column.kind == expr.type for column in table.columns)] or FILLED
    )
    alias = generator.fresh("r")
    made = Source(alias, [Known(column.name, column.kind, column.bound) for column in table.columns], table.rows, ["id"])
    column = generator.column(expr.type, Scope([made]))
    if column is None or table.rows > 100 and scope.rows > 100:
        return shown(generator, scope, tree, expr)
    keys = [identifier_of(generator, scope.sources[0]), identifier_of(generator, made)]
    right = Table(table.name, alias)
    if generator.chance(0.5):
        if expr.type in NUMBERS and generator.chance(0.5):
            column = generator.expr(generator.rng.choice(NUMBERS), Scope([made]), 1)
        inner = select([column], right)
        where = Expr("bool", ("(", expr, generator.rng.choice((" IN ", " NOT IN ")), inner, ")"), 0, "IN (sub-query)")
        return select(keys[:1], tree, where=(where,))
    on = Expr("bool", (expr, generator.rng.choice((" = ", " = ", " IS NOT DISTINCT FROM ")), column), 0, "join on equality")
    return select(
        keys,
        Join(
            generator.rng.choice(("JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN")) if on.parts[1] == " = " else "JOIN",
            tree,
            right,
            (on,),
        ),
    )


def united(generator, scope, tree, expr):
    if expr.type not in COMPARED:
        return shown(generator, scope, tree, expr)
    other = select([generator.literal(expr.type, edge=True)], None)
    return SetOperation(generator.rng.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT")), select([expr], tree), other)


SHAPES = (shown, shown, filtered, filtered, grouped, distinct, aggregated, windowed, joined, united)
