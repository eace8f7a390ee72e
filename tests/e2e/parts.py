"""What the tests of parts of queries that DuckDB runs share: looking at plans, and comparing with
PostgreSQL's own answer."""

import contextlib

import psycopg
from psycopg.types.string import TextLoader

ROWS = 1000


def write_facts(lake_writer, folder):
    """facts.parquet: rows 0 … 999, ten of each hundred with k = 0 … 9; odd.parquet: values that DuckDB
    computes with less well than PostgreSQL does."""
    lake_writer.execute(
        f"COPY (SELECT i::INTEGER AS id, (i % 10)::INTEGER AS k, (i * 0.5)::DECIMAL(12,2) AS amount, 'n' || i AS name, "
        f"DATE '2024-01-01' + (i % 400)::INTEGER AS day, i * 1.5::DOUBLE AS f FROM range({ROWS}) t(i)) TO '{folder}/facts.parquet'"
    )
    lake_writer.execute(
        "COPY (SELECT * FROM (VALUES (1, DATE 'infinity', 9e37::DECIMAL(38,0)), (2, DATE '2024-05-05', 9e37::DECIMAL(38,0)), "
        f"(3, DATE '-infinity', 9e37::DECIMAL(38,0))) v(id, day, big)) TO '{folder}/odd.parquet'"
    )


def make_tables(su, folder):
    for name in ("facts", "odd"):
        su.execute(f"CREATE FOREIGN TABLE {name} () SERVER lake OPTIONS (path '{folder}/{name}.parquet')")


def nodes(conn, statement, parameters=None, *, analyze=False, verbose=False):
    """The nodes of a statement's plan, outer ones first."""
    options = f"FORMAT json, ANALYZE {analyze}, VERBOSE {verbose}"
    (found,) = conn.execute(f"EXPLAIN ({options}) {statement}", parameters).fetchone()
    opened, made = [found[0]["Plan"]], []
    while opened:
        node = opened.pop(0)
        made.append(node)
        opened = node.get("Plans", []) + opened
    return made


def scans(conn, statement, parameters=None, **options):
    """The nodes of a plan that DuckDB runs."""
    return [node for node in nodes(conn, statement, parameters, **options) if node.get("Custom Plan Provider") == "DuckDB Scan"]


def is_whole(conn, statement, parameters=None):
    """Whether DuckDB runs the statement by one scan, with nothing above it."""
    found = [node["Node Type"] for node in nodes(conn, statement, parameters)]
    return [kind for kind in found if kind not in ("Result", "Subquery Scan")] == ["Custom Scan"]


def shipped(conn, statement, parameters=None):
    """What PostgreSQL hands over, over all scans of the plan."""
    return [name for node in scans(conn, statement, parameters) for name in names(node)]


def names(scan):
    """The relations, without their schemas, whose rows a scan gets."""
    return [name.rpartition(".")[2] for name in scan.get("Shipped Relations", "").split(", ") if name]


def reasons(conn, statement, parameters=None):
    """Why PostgreSQL answered itself."""
    found = scans(conn, statement, parameters, analyze=True)
    return [node["Answered by PostgreSQL"] for node in found if "Answered by PostgreSQL" in node]


def read_as_text(conn, *types):
    """Values that Python has not, or that do not equal themselves, as PostgreSQL writes them."""
    for name in types:
        conn.adapters.register_loader(name, TextLoader)


@contextlib.contextmanager
def setting(conn, name, value):
    (before,) = conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
    conn.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
    try:
        yield
    finally:
        conn.execute("SELECT set_config(%s, %s, false)", (name, before))


def outcome(conn, statement, parameters=None):
    """The rows of a statement, or the SQLSTATE with which it fails."""
    try:
        return conn.execute(statement, parameters).fetchall()
    except psycopg.Error as error:
        return error.sqlstate


def check_same(conn, statement, parameters=None):
    """DuckDB's part in a statement changes nothing; returns what comes out."""
    ours = outcome(conn, statement, parameters)
    with setting(conn, "duckdb.enable_pushdown", "off"):
        theirs = outcome(conn, statement, parameters)
    assert ours == theirs, f"DuckDB: {ours}, PostgreSQL: {theirs}"
    return ours
