"""Runs a case on both twins, compares what they give, and looks at the plan of the lake's."""

import contextlib
import json
import re
import time

import psycopg
from psycopg.pq import ExecStatus

from .cases import ANY, PART, WHOLE
from .tables import make_twins

# Nodes that may stand above the one scan of a query that is pushed whole, if they filter nothing.
PROJECTIONS = {"Result", "Subquery Scan"}
FIRST_OWN_OID = 16384
FILTERS = {"Filter", "One-Time Filter", "Join Filter"}


class Mismatch(AssertionError):
    """The twins disagree, or the plan is not what the case says."""


class Outcome:
    """What a query gave: columns as (name, type, typmod), rows of raw text, or an error's SQLSTATE."""

    def __init__(self, columns=(), rows=(), sqlstate=None, message=""):
        self.columns = columns
        self.rows = rows
        self.sqlstate = sqlstate
        self.message = message


class Side:
    """A connection that sees the tables of one schema, and that comes back after a crash."""

    def __init__(self, connect, schema, timeout):
        self._connect = connect
        self._settings = f"SET search_path = {schema}, public; SET statement_timeout = '{timeout}'"
        self._conn = None

    def connection(self):
        if self._conn is None or self._conn.closed or self._conn.broken:
            deadline = time.monotonic() + 20
            while True:
                try:
                    self._conn = self._connect()
                    break
                except psycopg.OperationalError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
            self._conn.execute(self._settings)
        return self._conn

    def close(self):
        if self._conn is not None:
            self._conn.close()

    def command(self, statement):
        self.connection().execute(statement)

    def run(self, query):
        """The outcome of a query, as text exactly as the server sends it."""
        result = self.connection().pgconn.exec_(query.encode())
        if result.status == ExecStatus.TUPLES_OK:
            count = range(result.nfields)
            columns = [(result.fname(n).decode(), self._type(result.ftype(n)), result.fmod(n)) for n in count]
            return Outcome(columns, [tuple(result.get_value(row, n) for n in count) for row in range(result.ntuples)])
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY):
            return Outcome()
        state = (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
        return Outcome(sqlstate=state or "(connection lost)", message=result.get_error_message())

    def _type(self, oid):
        """A type by its oid; one that was made here by its name, for each twin has its own row type."""
        if oid < FIRST_OWN_OID:
            return oid
        return self.connection().execute("SELECT typname FROM pg_type WHERE oid = %s", (oid,)).fetchone()[0]

    @contextlib.contextmanager
    def prepared(self, case, name="twin"):
        """The statements (EXPLAIN prefix apart) that run the case: itself, or EXECUTE in both plan modes."""
        for setting, value in case.settings:
            self.command(f"SET {setting} = {value}")
        try:
            if case.args:
                types = ", ".join(kind for kind, _ in case.args)
                values = ", ".join(literal for _, literal in case.args)
                self.command(f"PREPARE {name} ({types}) AS {case.query}")
                yield f"EXECUTE {name} ({values})"
            else:
                yield case.query
        finally:
            conn = self.connection()
            for setting, _ in case.settings:
                conn.execute(f"RESET {setting}")
            conn.execute("DEALLOCATE ALL; RESET plan_cache_mode")


class Plan:
    """A plan as EXPLAIN (VERBOSE, FORMAT JSON) shows it."""

    def __init__(self, rows):
        self.root = json.loads(rows[0][0])[0]["Plan"]
        self.nodes = list(self._walk(self.root))

    def _walk(self, node):
        yield node
        for child in node.get("Plans", ()):
            yield from self._walk(child)

    @staticmethod
    def is_scan(node):
        return node.get("Custom Plan Provider") == "DuckDB Scan"

    @property
    def scans(self):
        return [node for node in self.nodes if self.is_scan(node)]

    @property
    def kept(self):
        return [str(node["Kept in PostgreSQL"]) for node in self.nodes if "Kept in PostgreSQL" in node]

    @property
    def is_whole(self):
        others = [node for node in self.nodes if not self.is_scan(node)]
        return (
            len(self.scans) == 1
            and all(node["Node Type"] in PROJECTIONS for node in others)
            and not any(FILTERS & node.keys() for node in self.nodes)
        )

    def text(self):
        return "\n".join(self._lines(self.root))

    def _lines(self, node, depth=0):
        yield "  " * depth + node.get("Custom Plan Provider", node["Node Type"])
        for name in ("Output", "Filter", "One-Time Filter", "Join Filter", "DuckDB SQL", "Kept in PostgreSQL", "Shipped Relations"):
            if name in node:
                yield "  " * depth + f"    {name}: {node[name]}"
        for child in node.get("Plans", ()):
            yield from self._lines(child, depth + 1)


class Twins:
    """The two sides, and the comparison."""

    def __init__(self, connect, check_plans=True, timeout="20s"):
        self.heap = Side(connect, "heap", timeout)
        self.lake = Side(connect, "lake", timeout)
        self.check_plans = check_plans

    def check(self, case):
        with self.heap.prepared(case) as statement:
            expected = self.heap.run(statement)
        with self.lake.prepared(case) as statement:
            for mode in ("force_custom_plan", "force_generic_plan") if case.args else ("auto",):
                self.lake.command(f"SET plan_cache_mode = {mode}")
                got = self.lake.run(statement)
                try:
                    compare(case, expected, got)
                    # PostgreSQL's planner computes constants; where that fails there is no plan.
                    push = case.generic if case.generic and mode == "force_generic_plan" else case.push
                    if self.check_plans and push != ANY and not expected.sqlstate:
                        check_plan(case, push, self._plan(statement, verbose=push == PART))
                except Mismatch as mismatch:
                    plan = self._plan(statement, verbose=True)
                    told = f"{statement}\n-- {mode}; {case.query}\n{plan.text() if plan else 'no plan'}"
                    raise Mismatch(f"{mismatch}\n{told[:6000]}") from None

    def _plan(self, statement, verbose):
        """The plan on the lake's side; with more words where DuckDB is to be asked for them."""
        options = "VERBOSE, COSTS OFF, FORMAT JSON" if verbose else "COSTS OFF, FORMAT JSON"
        rows = self.lake.run(f"EXPLAIN ({options}) {statement}").rows
        return Plan(rows) if rows else None

    def reconnect(self):
        """Gives both sides a session of their own that nothing has happened in."""
        self.close()

    def close(self):
        self.heap.close()
        self.lake.close()


def compare(case, expected, got):
    """Raises Mismatch unless the lake gave what the heap did."""
    # A name or a type that is not there: such a case would show nothing.
    if (expected.sqlstate or "").startswith("42"):
        raise Mismatch(f"the case itself is wrong: {expected.message.strip()}")
    if expected.sqlstate or got.sqlstate:
        if expected.sqlstate != got.sqlstate:
            raise Mismatch(
                f"SQLSTATE {got.sqlstate} ({got.message.strip()}) in place of {expected.sqlstate} ({expected.message.strip()})"
            )
        return
    if expected.columns != got.columns:
        raise Mismatch(f"columns {got.columns} in place of {expected.columns}")
    wanted, found = expected.rows, got.rows
    if case.digits:
        wanted, found = rounded(wanted, case.digits), rounded(found, case.digits)
    if not case.ordered:
        wanted, found = sorted(wanted, key=sort_key), sorted(found, key=sort_key)
    if wanted != found:
        raise Mismatch(difference(wanted, found))


def check_plan(case, push, plan):
    """Raises Mismatch unless the plan is what is expected."""
    if plan is None:
        raise Mismatch("no plan")
    if push == WHOLE and not plan.is_whole:
        raise Mismatch("not pushed whole")
    if push == PART and not plan.scans:
        raise Mismatch("no DuckDB Scan")
    if push == PART and plan.is_whole and not plan.kept:
        raise Mismatch("pushed whole")
    if case.kept and not any(case.kept.lower() in kept.lower() for kept in plan.kept):
        raise Mismatch(f"EXPLAIN names {plan.kept}, not {case.kept!r}")


def connector(sandbox, database):
    """What makes the connections of the sides."""
    return lambda: psycopg.connect(host=sandbox.socket_dir, port=sandbox.port, user="postgres", dbname=database, autocommit=True)


def twins_in(sandbox, database, conn, writer, directory, tables, before="", views=""):
    """The body of a fixture: makes what comes before the tables, these, and the views over them, and yields the Twins."""
    conn.execute(before)
    make_twins(conn, writer, tables, f"twins/{database}", directory)
    for schema in ("heap", "lake"):
        conn.execute(f"SET search_path = {schema}, public")
        conn.execute(views)
    conn.execute("RESET search_path")
    twins = Twins(connector(sandbox, database))
    yield twins
    twins.close()


def sort_key(row):
    return tuple((value is None, value or b"") for value in row)


FLOAT = re.compile(rb"-?\d+(\.\d+)?(e[+-]?\d+)?$")


def rounded(rows, digits):
    def one(value):
        return b"%.*g" % (digits, float(value)) if value is not None and FLOAT.match(value) else value

    return [tuple(one(value) for value in row) for row in rows]


def difference(wanted, found, limit=6):
    """The first places in which two lists of rows differ."""
    lines = [f"{len(found)} rows in place of {len(wanted)}"] if len(wanted) != len(found) else []
    pairs = [(n, w, f) for n, (w, f) in enumerate(zip(wanted, found)) if w != f]
    if len(wanted) != len(found):
        missing, extra = set(wanted) - set(found), set(found) - set(wanted)
        lines += [f"missing: {sorted(missing, key=sort_key)[:limit]}", f"extra: {sorted(extra, key=sort_key)[:limit]}"]
    else:
        lines.append(f"{len(pairs)} of {len(wanted)} rows differ")
        lines += [f"row {n}: {show(f)} in place of {show(w)}" for n, w, f in pairs[:limit]]
    return "\n".join(lines)


def show(row):
    return "(" + ", ".join("NULL" if value is None else value.decode(errors="replace") for value in row) + ")"
