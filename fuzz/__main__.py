"""Owns: the command line; scripts/fuzz calls it with the sandbox's environment."""

import argparse
import contextlib
import os
import signal
import sys
import time

import psycopg

from . import generate, schema
from .report import summary
from .run import Run
from .tree import Text

DATABASE = f"pond_fuzz_{os.getpid()}"


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description="Compares random queries on heap tables and on their twins in a lake."
    )
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=None, help="default: by the time")
    parser.add_argument("--count", type=int, default=None, help="how many queries, whatever the time")
    parser.add_argument("--only", type=int, default=None, metavar="N", help="query N of the seed alone, with its report")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with query N")
    parser.add_argument("--without", default="", metavar="A,B", help="constructs not to use, by their names in the statistics")
    parser.add_argument("--print", action="store_true", dest="print_only", help="print the queries, run nothing")
    parser.add_argument("--small", type=float, default=0.3, metavar="SHARE", help="share of small queries about one expression")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the lake's side")
    parser.add_argument("--verbose", action="store_true", help="show the queries that fail in heap")
    parser.add_argument(
        "--against",
        default="lake",
        choices=("lake", "wrong", "shuffled"),
        help="what to compare with: views that are wrong on purpose, or the rows in another order, test the generator itself",
    )
    return parser.parse_args()


def duckdb_connection():
    """DuckDB outside PostgreSQL, which writes the files."""
    import duckdb

    env = os.environ
    conn = duckdb.connect(config={"extension_directory": env["DUCKDB_EXTENSION_DIR"]})
    conn.execute("SET autoinstall_known_extensions = false")
    conn.execute("LOAD httpfs")
    conn.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{env['S3_KEY_ID']}', SECRET '{env['S3_SECRET']}', "
        f"ENDPOINT '{env['S3_ENDPOINT']}', REGION '{env['S3_REGION']}', URL_STYLE 'path', USE_SSL false)"
    )
    return conn


def connect(database=DATABASE):
    return psycopg.connect(dbname=database, autocommit=True)


def make_server(conn):
    env = os.environ
    conn.execute(
        "CREATE SERVER lake TYPE 's3' FOREIGN DATA WRAPPER duckdb OPTIONS (location 's3://lake/', "
        f"endpoint '{env['S3_ENDPOINT']}', region '{env['S3_REGION']}', url_style 'path', use_ssl 'false')"
    )
    conn.execute(
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (key_id '{env['S3_KEY_ID']}', secret '{env['S3_SECRET']}')"
    )


@contextlib.contextmanager
def database(against):
    with connect("postgres") as conn:
        conn.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        with connect() as conn:
            conn.execute("CREATE EXTENSION pg_pond")
            schema.make_heap(conn)
            if against == "wrong":
                schema.make_wrong_twins(conn, schema.WRONG)
            elif against == "lake":
                make_server(conn)
                folder = f"s3://lake/{DATABASE}"
                schema.write_parquet(duckdb_connection(), folder)
                schema.make_lake(conn, "lake", folder)
                for name, mine, theirs in schema.column_differences(conn, "lake"):
                    print(f"column {name}: {mine} in heap, {theirs} in lake")
        yield
    finally:
        with connect("postgres") as conn:
            conn.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def main():
    options = arguments()
    # Ends as by the keyboard: with the statistics, and without leaving the database behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = options.seed if options.seed is not None else int(time.time())
    without = tuple(filter(None, options.without.split(",")))
    if options.print_only:
        for number in range(options.first, options.first + (options.count or 10)):
            print(Text(generate.query(seed, number, without=without, micro_share=options.small)).sql + ";")
        return 0
    with database(options.against):
        run = Run(
            connect,
            seed=seed,
            lake=options.against,
            micro_share=options.small,
            verbose=options.verbose,
            settings=dict(text.split("=", 1) for text in options.set),
            without=without,
            say=lambda text: print(text, flush=True),
        )
        start = time.monotonic()
        try:
            if options.only is not None:
                run.go(count=1, first=options.only)
            elif options.count is not None:
                run.go(count=options.count, first=options.first)
            else:
                run.go(seconds=options.seconds, first=options.first)
        except KeyboardInterrupt:
            pass
        finally:
            print(summary(run, time.monotonic() - start), flush=True)
            run.close()
    return 1 if run.failures else 0


sys.exit(main())
