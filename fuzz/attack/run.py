"""Owns: a run of mutation fuzzing: makes a case of a number, runs it as a role that may read one folder and one
lake, and notes what crashed the backend, was an internal error, or showed what it may not.

A case is a file (or a table of files) with something spoiled, a query of allowed functions with odd arguments,
or a lake whose catalog was changed. After a crash the run goes on as soon as the server is back.
"""

import collections
import json
import pathlib
import random
import shutil
import time

from . import formats, mutate

FUNCTIONS = pathlib.Path(__file__).parents[2] / "duck/src/policy/functions.txt"
TABLE_FUNCTIONS = ["range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary", "test_all_types", "pg_timezone_names", "icu_calendar_names", "duckdb_functions", "duckdb_types", "test_vector_types", "generate_subscripts", "pragma_version"]  # fmt: skip
# Only to make time pass, or to fill it.
LEFT_OUT = {"repeat", "error"}
KINDS = ("file", "file", "file", "function", "function", "catalog")
FORMATS = ("parquet", "parquet", "csv", "json", "avro", "xlsx", "iceberg", "iceberg", "delta", "delta")
SCANS = {"iceberg": "iceberg_scan", "delta": "delta_scan"}


class Finding:
    def __init__(self, number, what, statement, outcome):
        self.number, self.what, self.statement, self.outcome = number, what, statement, outcome

    def __str__(self):
        return f"case {self.number}: {self.what}: {self.statement[:1500]}\n    {str(self.outcome)[:600]}"


class Run:
    """`world` is the attacker's suite's: sessions, a folder, a lake."""

    def __init__(self, world, seed, say=print, kinds=KINDS):
        self.world, self.seed, self.say, self.kinds = world, seed, say, kinds
        self.folder = world.directory / "folder" / "scratch" / "fuzz"
        self.findings, self.counts, self.states = [], collections.Counter(), collections.Counter()
        names = FUNCTIONS.read_text().split()
        self.operators = [name for name in names if not name[0].isalpha() and name not in ("!__postfix",)]
        self.names = [name for name in names if name[0].isalpha() and name not in LEFT_OUT and not name.startswith("pg_pond_")]
        self._bases = self._make_bases()
        self._lake = None

    def _make_bases(self):
        writer, directory = self.world.writer, self.world.directory
        types = (
            "SELECT i AS id, 'n' || i AS name, [i, NULL] AS l, {'a': i, 'b': 'x'} AS s, DATE '2026-01-01' + i::INT AS d, i / 7 AS f, (i * 3)::DECIMAL(18, 3) AS n, i % 2 = 0 AS b, TIMESTAMP '2026-01-01' AS t, 'x'::BLOB AS r, "
            "MAP {'k': i} AS m FROM range({rows}) t(i)"
        )
        parquet = [formats.parquet(writer, directory, types.replace("{rows}", "50"), options) for options in ("", "COMPRESSION gzip", "COMPRESSION uncompressed", "PARQUET_VERSION v2, COMPRESSION zstd", "ROW_GROUP_SIZE 10, WRITE_BLOOM_FILTER true")]
        parquet.append(formats.parquet(writer, directory, "SELECT range AS id, (range % 3)::VARCHAR AS name FROM range(5000)", "COMPRESSION snappy"))
        small = formats.parquet(writer, directory)
        excel = self.world.duckdb("excel")
        excel.execute(f"COPY (SELECT i AS id, 'n' || i AS name, DATE '2026-01-01' AS d FROM range(5) t(i)) TO '{directory}/made.xlsx' (FORMAT xlsx)")
        excel.close()
        xlsx = (directory / "made.xlsx").read_bytes()
        (directory / "made.xlsx").unlink()
        schema = formats.avro_record("r", ("id", "long", 1), ("name", "string", 2), ("x", ["null", "long"], 3))
        return {
            "parquet": parquet, "small": small, "xlsx": [xlsx],
            "csv": [b"id,name,x\n1,a,2.5\n2,\"b,c\",\n3,'d',2026-01-01\n", b"id;name\n1;x\n", b"1\t2\n3\t4\n" * 50, "id,näme\n1,é\n".encode("utf-16")],
            "json": [b'{"id": 1, "name": "a", "x": {"y": [1, null, "z"]}}\n{"id": 2, "name": null}\n', b'[{"id": 1}, {"id": "x", "deep": [[[]]]}]', b'{"id": 18446744073709551615, "name": "2026-01-01"}\n'],
            "avro": [formats.avro(schema, [{"id": n, "name": f"n{n}", "x": n} for n in range(20)])],
        }  # fmt: skip

    # ---- cases

    def go(self, *, seconds=None, count=None, first=0):
        start = time.monotonic()
        number = first
        while (seconds is None or time.monotonic() - start < seconds) and (count is None or number < first + count):
            self.case(number)
            number += 1
        self.close()
        return self.findings

    def case(self, number):
        rng = random.Random(f"{self.seed} {number}")
        kind = rng.choice(self.kinds)
        self.counts[kind] += 1
        {"file": self.file, "function": self.function, "catalog": self.catalog}[kind](rng, number)

    def run(self, number, role, statement, what):
        session = self.world.session(role)
        outcome = session.run_unchecked(statement)
        self.states["lost" if outcome.lost else outcome.state or "rows"] += 1
        shown = [name for word, name in self.world.forbidden.items() if word in outcome.told]
        problem = "the backend was lost" if outcome.lost else "an internal error" if outcome.state == "XX000" else f"was shown {shown[0]}" if shown else None
        if problem:
            finding = Finding(number, f"{what}, {role}: {problem}", statement, outcome)
            self.findings.append(finding)
            self.say(f"FINDING {finding}\n    again: make fuzz-security SEED={self.seed} ONLY={number}")
        return outcome

    def file(self, rng, number):
        kind = rng.choice(FORMATS)
        files = self.spoiled(rng, kind)
        shutil.rmtree(self.folder, ignore_errors=True)
        formats.put(self.folder, files)
        path = str(self.folder) if kind in ("iceberg", "delta") else str(self.folder / f"x.{kind}")
        if kind == "iceberg" and rng.random() < 0.2:
            path += "/metadata/v1.metadata.json"
        scan = SCANS.get(kind, f"read_{kind}")
        texts = [f"SELECT * FROM {scan}({mutate.quoted(path)})", f"SELECT count(*) AS n FROM {scan}({mutate.quoted(path)})"]
        more = {
            "parquet": ["parquet_metadata", "parquet_schema", "parquet_file_metadata", "parquet_kv_metadata", "parquet_full_metadata"], "csv": ["sniff_csv"], "json": ["read_json_objects", "read_ndjson_objects"],
            "iceberg": ["iceberg_metadata", "iceberg_snapshots", "iceberg_column_stats"], "delta": [], "avro": [], "xlsx": [],
        }[kind]  # fmt: skip
        if more:
            texts.append(f"SELECT * FROM {rng.choice(more)}({mutate.quoted(path)})")
        if kind == "csv" and rng.random() < 0.5:
            option = rng.choice(("delim", "quote", "escape", "nullstr", "comment", "encoding", "dateformat", "thousands", "skip", "sample_size", "new_line", "ignore_errors", "null_padding", "all_varchar", "max_line_size", "buffer_size", "parallel", "strict_mode"))
            texts.append(f"SELECT * FROM read_csv({mutate.quoted(path)}, {option} = {mutate.argument(rng)})")
        for text in texts:
            self.run(number, "querier", f"SELECT * FROM duckdb.query({mutate.quoted(text)}) q", kind)
        if kind in ("parquet", "csv", "json", "iceberg", "delta") and rng.random() < 0.4:
            world = self.world
            world.su(f"DROP FOREIGN TABLE IF EXISTS fuzzed; CREATE FOREIGN TABLE fuzzed (id bigint, name text) SERVER folder OPTIONS (path {mutate.quoted(path)}, format '{kind}')")
            world.su(f"GRANT SELECT ON fuzzed TO {world.role('reader')}")
            for statement in ("SELECT * FROM fuzzed", "SELECT max(name), count(*) FROM fuzzed WHERE id > 0"):
                self.run(number, "reader", statement, kind)
            self.run(number, "postgres", rng.choice(("EXPLAIN SELECT * FROM fuzzed", "ANALYZE fuzzed", "SELECT count(*) FROM fuzzed")), kind)

    def spoiled(self, rng, kind):
        bases = self._bases
        if kind in ("parquet", "avro", "xlsx"):
            return {f"x.{kind}": mutate.bytes_of(rng, rng.choice(bases[kind]), bases[kind])}
        if kind in ("csv", "json"):
            data = rng.choice(bases[kind])
            if kind == "json" and rng.random() < 0.5:
                return {"x.json": mutate.json_lines(rng, data)}
            return {f"x.{kind}": rng.choice((mutate.text_of, mutate.bytes_of))(rng, data)}
        if kind == "iceberg":
            files = formats.iceberg(self.folder, bases["small"])
            metadata = "metadata/v1.metadata.json"
            name = rng.choice((metadata, metadata, "metadata/m0.avro", "metadata/m0.avro", "metadata/snap-7.avro", "data/0.parquet", "metadata/version-hint.text"))
            if name == metadata and rng.random() < 0.8:
                files[name] = json.dumps(mutate.json_of(rng, json.loads(files[name]))).encode()
            else:
                files[name] = mutate.bytes_of(rng, files[name])
            if rng.random() < 0.1:
                files.pop(rng.choice(list(files)))
            return files
        vector = {"deletionVector": {"storageType": rng.choice("uipx"), "pathOrInlineDv": rng.choice(mutate.ODD_TEXTS), "offset": rng.choice(mutate.INTERESTING), "sizeInBytes": rng.choice(mutate.INTERESTING), "cardinality": 1}}
        files = formats.delta(bases["small"], **({"add": vector, "protocol": formats.DELETION_VECTORS} if rng.random() < 0.3 else {}))
        log = "_delta_log/00000000000000000000.json"
        way = rng.randrange(4)
        if way < 2:
            files[log] = mutate.json_lines(rng, files[log])
        elif way == 2:
            files[log] = rng.choice((mutate.bytes_of, mutate.text_of))(rng, files[log])
        else:
            files[rng.choice(("_delta_log/_last_checkpoint", "_delta_log/00000000000000000001.json", "_delta_log/00000000000000000001.checkpoint.parquet", "part-0.parquet"))] = mutate.bytes_of(rng, rng.choice((files[log], bases["small"], b'{"version":1,"size":1}')))
        return files

    def function(self, rng, number):
        for _ in range(5):
            if rng.random() < 0.15:
                name = rng.choice(TABLE_FUNCTIONS)
                text = f"SELECT * FROM {name}({', '.join(mutate.argument(rng) for _ in range(rng.randrange(5)))}) LIMIT 20"
            else:
                text = mutate.call(rng, self.names, self.operators)
            self.run(number, "querier", f"SELECT * FROM duckdb.query({mutate.quoted(text)}) q", "function")

    # ---- a lake's catalog

    def catalog(self, rng, number):
        lake = self._lake = self._lake or self._make_lake()
        tables = {}
        for table, column, kind in lake.columns:
            tables.setdefault(table, []).append((column, kind))
        world = self.world
        for _ in range(rng.choice((1, 1, 2))):
            table = rng.choice([name for name in lake.filled])
            column, kind = rng.choice(tables[table])
            if kind in ("bigint", "integer"):
                value = rng.choice([*mutate.INTERESTING[:12], 2**63 - 1, 2, 3, 5])
            elif kind == "boolean":
                value = rng.choice((True, False, None))
            elif kind == "timestamp with time zone":
                value = rng.choice(("infinity", "-infinity", "4000-01-01 BC", "1970-01-01"))
            elif kind == "uuid":
                value = "00000000-0000-0000-0000-000000000000"
            else:
                others = lake.fetch(f'SELECT "{column}"::text FROM {table} WHERE "{column}" IS NOT NULL LIMIT 5')
                value = rng.choice([*mutate.ODD_TEXTS, "varchar", "int8", "struct", "list", "decimal(9,2)", "ducklake_table", "pg_authid", *(text for (text,) in others)])
            where = rng.choice(("", "", f' WHERE ctid = (SELECT ctid FROM {table} ORDER BY random() LIMIT 1)'))
            try:
                if rng.random() < 0.06:
                    lake.tamper(f"DELETE FROM {table}{where}")
                elif rng.random() < 0.06 and kind == "character varying":
                    lake.tamper(f'ALTER TABLE {table} ALTER COLUMN "{column}" TYPE {rng.choice(("bigint USING 1", "boolean USING true", "bytea USING NULL", "text[] USING NULL"))}')
                else:
                    lake.tamper(f'UPDATE {table} SET "{column}" = %s{where}', (value,))
            except Exception:
                pass
        # Sessions of their own: DuckLake remembers what it has read.
        for role in ("reader", "postgres"):
            world.session(role).fresh()
        name = lake.name
        statements = [("reader", f"SELECT * FROM {name}_fil ORDER BY a LIMIT 5"), ("reader", f"SELECT max(b), count(*) FROM {name}_inl"), ("postgres", f"SELECT count(*) FROM {name}_fil WHERE a = 5")]
        statements.append(("postgres", rng.choice((f"INSERT INTO {name}_inl VALUES (1, 'x')", f"DELETE FROM {name}_fil WHERE a = 3", f"UPDATE {name}_inl SET b = 'y'", f"SELECT count(*) FROM duckdb.flush_inlined_data('{name}') t", f"SELECT count(*) FROM duckdb.merge_adjacent_files('{name}') t", f"SELECT count(*) FROM duckdb.snapshots('{name}') t", f"SELECT count(*) FROM duckdb.table_info('{name}') t"))))  # fmt: skip
        for role, statement in statements:
            self.run(number, role, statement, "catalog")
        lake.restore()

    def _make_lake(self):
        lake = self.world.lake()
        for table in ("inl", "fil"):
            lake.client.execute(f"CREATE TABLE {table} (a BIGINT, b VARCHAR)")
            lake.client.execute(f"INSERT INTO {table} SELECT i, 'v' || i FROM range({3 if table == 'inl' else 1000}) t(i)")
        lake.client.execute("DELETE FROM fil WHERE a BETWEEN 10 AND 400")
        lake.client.execute("CREATE VIEW vw AS SELECT a FROM fil")
        lake.client.execute("COMMENT ON TABLE fil IS 'about it'")
        lake.serve()
        for table in ("inl", "fil"):
            lake.table(table, "a bigint, b text", f"GRANT SELECT ON {{table}} TO {self.world.role('reader')}")
        lake.columns = lake.fetch("SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, ordinal_position")
        names = sorted({table for table, _, _ in lake.columns})
        lake.filled = [name for name in names if lake.fetch(f"SELECT count(*) FROM {name}") != [(0,)]]
        lake.tamper(f"CREATE SCHEMA {lake.schema}_kept")
        for name in names:
            lake.tamper(f"CREATE TABLE {lake.schema}_kept.{name} AS SELECT * FROM {name}")

        def restore():
            """The catalog as it was; tables whose columns were changed are made anew."""
            now = {name for (name,) in lake.fetch("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")}
            for name in now - set(names):
                lake.tamper(f'DROP TABLE "{name}" CASCADE')
            for name in names:
                lake.tamper(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} AS SELECT * FROM {lake.schema}_kept.{name}")

        lake.restore = restore
        restore()
        return lake

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.world.su("DROP FOREIGN TABLE IF EXISTS fuzzed")
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def summary(self):
        cases = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        states = ", ".join(f"{state} {count}" for state, count in self.states.most_common(14))
        return f"seed {self.seed}: {sum(self.counts.values())} cases ({cases}); {len(self.findings)} findings; outcomes: {states}"
