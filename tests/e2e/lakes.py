"""What the tests of lakes share: lakes with a catalog of their own, in pg_pond and in DuckDB's own
client."""

import contextlib
import itertools
import os

import duckdb
import psycopg
from psycopg import sql

from conftest import create_server, map_user, unique
from support import open_directory

_numbers = itertools.count(1)


def fresh_name(request):
    """A name for a table of a test's own."""
    return f"{request.node.originalname.removeprefix('test_')[:40]}_{next(_numbers)}"


def literal(text):
    return "'" + str(text).replace("'", "''") + "'"


def execute(conn, statement):
    """duckdb.execute of a statement."""
    conn.execute(f"SELECT duckdb.execute({literal(statement)})")


def query(conn, statement):
    """The rows of duckdb.query."""
    return conn.execute(f"SELECT * FROM duckdb.query({literal(statement)}) q").fetchall()


class Client:
    """DuckDB outside PostgreSQL, with the lake attached under the name it has in pg_pond."""

    def __init__(self, lake, threads=1):
        self.lake = lake
        self._conn = duckdb.connect(config={"extension_directory": str(lake.sandbox.extension_dir), "threads": threads})
        self.execute("SET autoinstall_known_extensions = false")
        for extension in ("httpfs", "ducklake", *lake.extensions):
            self.execute(f"LOAD {extension}")
        key = lake.sandbox.all
        self.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key.key_id}', SECRET '{key.secret}', ENDPOINT '{lake.sandbox.s3_endpoint}', "
            f"REGION '{lake.sandbox.s3_region}', URL_STYLE 'path', USE_SSL false)"
        )
        self.execute(lake.attach())

    def execute(self, statement, parameters=None):
        return self._conn.execute(statement, parameters)

    def rows(self, statement, parameters=None):
        return self.execute(statement, parameters).fetchall()

    def one(self, statement):
        (value,) = self.execute(statement).fetchone()
        return value

    def close(self):
        self._conn.close()


class Lake:
    """A lake, which a server of its name stands for in the database of `su`."""

    def __init__(self, sandbox, su, name, *, data_path, catalog="postgres", place=None, role=None, options=None):
        self.sandbox, self.su, self.name, self.data_path = sandbox, su, name, data_path
        self.catalog, self.place, self.role, self.options = catalog, place or {}, role, options or {}
        self.extensions = {"postgres": ["postgres_scanner"], "sqlite": ["sqlite_scanner"], "duckdb": []}[catalog]
        self._clients = []

    def create_server(self, conn=None, **options):
        """CREATE SERVER, with a mapping for the superuser."""
        conn = conn or self.su
        options = {"catalog": self.catalog, **self.place, "data_path": self.data_path, "create_if_not_exists": "true", **self.options, **options}
        if self.data_path.startswith("s3:"):
            options["storage"] = "store"
        listed = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
        conn.execute(f"CREATE SERVER {self.name} TYPE 'ducklake' FOREIGN DATA WRAPPER duckdb OPTIONS ({listed})")
        self.map_user("postgres", conn)

    def map_user(self, role, conn=None):
        user = f"OPTIONS (user {literal(self.role)}, password {literal(self.role)})" if self.role else ""
        (conn or self.su).execute(f"CREATE USER MAPPING FOR {role} SERVER {self.name} {user}")

    def attach(self):
        if self.catalog == "postgres":
            place = "postgres:" + " ".join(f"{name}={value}" for name, value in self.place.items() if name != "metadata_schema")
            place += f" user={self.role} password={self.role}"
            schema = f", METADATA_SCHEMA '{self.place['metadata_schema']}'"
        else:
            place, schema = ("sqlite:" if self.catalog == "sqlite" else "") + self.place["path"], ""
        encrypted = ", ENCRYPTED true" if self.options.get("encrypted") == "true" else ""
        limit = self.options.get("data_inlining_row_limit")
        limit = f", DATA_INLINING_ROW_LIMIT {limit}" if limit else ""
        return f"ATTACH 'ducklake:{place}' AS {self.name} (DATA_PATH '{self.data_path}'{schema}{encrypted}{limit})"

    def client(self):
        """Another client of the lake; closed with the lake."""
        client = Client(self)
        self._clients.append(client)
        return client

    def import_into(self, schema, conn=None):
        """Its tables as foreign tables in a schema, made anew."""
        conn = conn or self.su
        conn.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        conn.execute(f"CREATE SCHEMA {schema}")
        conn.execute(f"IMPORT FOREIGN SCHEMA main FROM SERVER {self.name} INTO {schema}")

    def snapshots(self, conn=None):
        """(id, author, message) of each snapshot, the newest last."""
        return query(conn or self.su, f"SELECT snapshot_id, author, commit_message FROM ducklake_snapshots('{self.name}') ORDER BY 1")

    def close(self):
        for client in self._clients:
            client.close()


@contextlib.contextmanager
def lake_of(cluster, sandbox, name, place=None, role="postgres", **options):
    """A lake in database postgres of a private cluster, with its catalog there or at `place`."""
    number = next(_numbers)
    place = place or {"host": cluster.directory, "port": 5432, "dbname": "postgres"}
    with cluster.connect() as conn:
        create_server(conn, sandbox, "store", "s3://lake/", writable="true")
        map_user(conn, "postgres", "store", sandbox.all)
        data_path = f"s3://lake/ducklake/{os.getpid()}-{number}/"
        lake = Lake(sandbox, conn, name, data_path=data_path, place={**place, "metadata_schema": f"meta{number}"}, role=role, options=options)
        lake.create_server()
    try:
        yield lake
    finally:
        lake.close()


class Lakes:
    """Makes lakes in one database of pg_pond's, over one catalog database in the sandbox's cluster."""

    def __init__(self, sandbox, cluster, su):
        self.sandbox, self.cluster, self.su = sandbox, cluster, su
        self.role, self.database = unique("lake_owner"), unique("lake_catalog")
        self._made = []
        self._undo = contextlib.ExitStack()

    def __enter__(self):
        name, role = sql.Identifier(self.database), sql.Identifier(self.role)
        self.cluster.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(self.role)))
        self._undo.callback(self.cluster.execute, sql.SQL("DROP ROLE {}").format(role))
        self.cluster.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(name, role))
        self._undo.callback(self.cluster.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        create_server(self.su, self.sandbox, "store", "s3://lake/", writable="true")
        map_user(self.su, "postgres", "store", self.sandbox.all)
        return self

    def __exit__(self, *_):
        for lake in self._made:
            lake.close()
            self.su.execute(f"DROP SERVER IF EXISTS {lake.name} CASCADE")
        self._undo.close()

    def folder(self):
        """A folder that the server's user may write to; gone with the lakes."""
        path = self._undo.enter_context(open_directory())
        if os.getuid() == 0:
            owner = self.sandbox.data_directory.stat()
            os.chown(path, owner.st_uid, owner.st_gid)
        return path

    def make(self, name, *, catalog="postgres", local=False, **options):
        """A new lake and its server, with further options of that."""
        number = next(_numbers)
        folder = self.folder() if local or catalog != "postgres" else None
        data_path = f"{folder}/data/" if local else f"s3://lake/ducklake/{os.getpid()}-{number}/"
        if catalog == "postgres":
            place = {"host": "127.0.0.1", "port": self.sandbox.port, "dbname": self.database, "metadata_schema": f"meta{number}"}
        else:
            place = {"path": f"{folder}/catalog.{catalog}"}
        lake = Lake(
            self.sandbox, self.su, name, data_path=data_path, catalog=catalog, place=place,
            role=self.role if catalog == "postgres" else None, options=options,
        )
        lake.create_server()
        self._made.append(lake)
        return lake

    def catalog_connection(self):
        """A superuser's connection to the catalogs' database."""
        return psycopg.connect(host=self.sandbox.socket_dir, port=self.sandbox.port, user="postgres", dbname=self.database, autocommit=True)
