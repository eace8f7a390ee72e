"""No spelling of a path leads out of the servers' locations, through whatever reads: functions, table names,
foreign tables' options, patterns, parameters."""

import urllib.parse

import pytest

from worlds import execute, literal, query, rows_query

OUTSIDE = [
    "{secret}/canary.csv", "file://{secret}/canary.csv", "file:{secret}/canary.csv", "FILE://{secret}/canary.csv", "file://localhost{secret}/canary.csv",
    "/etc/passwd", "file:///etc/passwd", "/dev/stdin", "/dev/fd/0", "/proc/self/environ", "/proc/self/cmdline", "PG_VERSION", "global/pg_control", "~/x.csv",
    "{folder}/../secret/canary.csv", "{folder}/inner/../../secret/canary.csv", "{folder}/./../secret/canary.csv", "{folder}//../secret/canary.csv",
    "{folder}/%2e%2e/secret/canary.csv", "{folder}/..%2fsecret/canary.csv", "{folder}/%2e%2e%2fsecret%2fcanary.csv", "{folder}\\..\\secret\\canary.csv",
    "{folder}/link.csv", "{folder}/linked/canary.csv", "{folder}/passwd.csv", "{folder}/*.csv", "{folder}/**/*.csv", "{folder}/linked/*", "{folder}/*/canary.csv",
    "{folder}/l[i]nk.csv", "{folder}/link?csv", "{folder}x/../secret/canary.csv", "{folder}", "{dir}/f*/../secret/canary.csv",
    "http://{http}/x.csv", "HTTP://{http}/x.csv", "https://{http}/x.csv", "http://a@{http}/x.csv", "hf://datasets/x/y.csv",
    "s3://vault/x.csv", "{vault}canary.csv", "{base}other/canary.csv", "{base}papers/papers.csv", "{base}open/../other/canary.csv",
    "{base}open/%2e%2e/other/canary.csv", "{base}open/%2E%2E/other/canary.csv", "{base}open/..%2Fother/canary.csv", "{base}open/%252e%252e/other/canary.csv",
    "{base}open/\u002e\u002e/other/canary.csv", "{base}open/\uff0e\uff0e/other/canary.csv", "{base}open/\u2025/other/canary.csv", "{base}open\uff0f../other/canary.csv",
    "{base}open/x.csv?s3_endpoint={http}&s3_use_ssl=false", "{base}open/*.csv?s3_endpoint={http}&s3_use_ssl=false", "{base}open/x.csv#a?s3_endpoint={http}",
    "{base}open/x.csv%3Fs3_endpoint={http}", "{base}open/\x00x.csv", "{base}open/people.csv\x01", "{base}open/people.csv\n{secret}/canary.csv",
    "s3://lake@{http}/x.csv", "s3://lake:80@{http}/x.csv", "s3a://vault/x.csv", "S3://vault/x.csv", "gs://vault/x.csv", "gcs://vault/x.csv", "r2://vault/x.csv",
    "s3:/vault/x.csv", "s3:///vault/x.csv", "s3:vault/x.csv", " {secret}/canary.csv", "\t{secret}/canary.csv", "{secret}/canary.csv ", "'{secret}/canary.csv'",
    "azure://vault/x.csv", "az://x/y.csv", "abfss://x/y.csv", "sqlite:{secret}/canary.db", "duckdb:{secret}/canary.duckdb", "postgres:host=127.0.0.1", "ducklake:x",
    "md:x", "quack:x", "iceberg:x", "delta:x", "mysql:x", "zip://{secret}/canary.zip/x.csv", "{folder}/good.csv;{secret}/canary.csv", "pipe:cat /etc/passwd",
    "{base}open/people.csv::{secret}/canary.csv", "cache://{secret}/canary.csv", "memory://x", "jar:file:{secret}/canary.csv!/x", "data:text/csv,a", "ftp://{http}/x.csv",
]  # fmt: skip
SUFFIXES = [".duckdb", ".db", ".ddb", ".sqlite", ".sqlite3", ".vortex", ".lance", ".shp", ".gpkg", ".geojson", ".arrow", ".arrows", ".feather", ".orc", ".xlsx", ".xls", ".avro", ".txt", ".sas7bdat", ".dta", ".sav", ".kml", ".osm.pbf", ".wal", ".duckdb.wal", "", ".DUCKDB", ".Db", ".parquet.db", ".db.gz"]  # fmt: skip
REFUSED = ("42501",)
# Not a file of the kind that the path names, or not a path at all.
ALSO = ("42501", "22021", "42601", "42000", "58P01", "22023", "42P01", "0A000", "HV00Q", "54000")


def shown(text):
    return text.encode("unicode_escape").decode()[:48]


def without_nul(text):
    return text.replace("\x00", "%00")


READS = {
    "table name": lambda path: query(f"FROM {literal(path)}"),
    "quoted name": lambda path: query('FROM "' + path.replace('"', '""') + '"'),
    "read_text": lambda path: query(f"SELECT content AS a FROM read_text({literal(path)})"),
    "read_csv with options": lambda path: query(f"FROM read_csv({literal(path)}, header = false, all_varchar = true, filename = true)"),
    "list": lambda path: query(f"FROM read_csv(['{{folder}}/good.csv', {literal(path)}])"),
    "glob": lambda path: query(f"SELECT file AS a FROM glob({literal(path)})"),
    "sub-query": lambda path: query(f"SELECT (SELECT max(content) FROM read_blob({literal(path)})) AS a"),
    "rows": lambda path: rows_query(f"SELECT content AS a FROM read_text({literal(path)})"),
    "reader": lambda path: f"SELECT * FROM duckdb.read_csv({literal(path)})",
    "array": lambda path: "SELECT * FROM duckdb.read_text(" + literal('{"{folder}/good.csv","' + path.replace("\\", "\\\\").replace('"', '\\"') + '"}') + ")",
    "describe": lambda path: f"SELECT * FROM duckdb.describe({literal(f'FROM {literal(path)}')})",
    "summarize": lambda path: query(f"SUMMARIZE {literal(path)}"),
    "sniff": lambda path: query(f"FROM sniff_csv({literal(path)})"),
    "parquet_metadata": lambda path: query(f"FROM parquet_metadata({literal(path)})"),
    "parquet_kv_metadata": lambda path: query(f"FROM parquet_kv_metadata([{literal(path)}])"),
    "read_xlsx": lambda path: query(f"FROM read_xlsx({literal(path)})"),
    "read_avro": lambda path: query(f"FROM read_avro({literal(path)})"),
    "iceberg": lambda path: query(f"FROM iceberg_scan({literal(path)})"),
    "iceberg_metadata": lambda path: query(f"FROM iceberg_metadata({literal(path)})"),
    "delta": lambda path: query(f"FROM delta_scan({literal(path)})"),
    "join": lambda path: query(f"SELECT b.* FROM '{{folder}}/good.csv' a JOIN {literal(path)} b ON true"),
    "copy": lambda path: execute(f"COPY (SELECT content FROM read_text({literal(path)})) TO '{{outfolder}}/out.csv'"),
    "create": lambda path: execute(f"CREATE OR REPLACE TABLE stolen AS FROM {literal(path)}"),
    "at": lambda path: query(f"FROM {literal(path)} AT (VERSION => 1)"),
    "pivot": lambda path: query(f"SELECT * FROM (PIVOT {literal(path)} ON a IN ('x') USING max(b))"),
    "positional": lambda path: query(f"SELECT * FROM range(1) POSITIONAL JOIN {literal(path)}"),
    "cte": lambda path: query(f"WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT 2 FROM {literal(path)} WHERE false) FROM t"),
    "schema option": lambda path: query(f"FROM read_parquet('{{base}}open/people.parquet', encryption_config = {{footer_key: {literal(path)}}})"),
}  # fmt: skip


@pytest.mark.parametrize("way", READS)
@pytest.mark.parametrize("third", range(3))
def test_no_path_leads_out(world, way, third):
    session = world.session("executor")
    for path in OUTSIDE[third::3]:
        path = without_nul(path)
        statement = world.filled(READS[way](path))
        outcome = session.run(statement)
        assert not outcome.lost, (path, outcome)
        if outcome.error is None and (set("*?[;") & set(path)):
            # A pattern leaves links out, and finds what is inside only.
            assert "/secret/" not in outcome.told and "/linked/" not in outcome.told, (path, outcome)
            continue
        if outcome.rows == [(world.filled(path),)]:
            # In a store, a path without a pattern is its own listing.
            assert way == "glob" and path.startswith("{base}open/"), (path, outcome)
            continue
        assert outcome.error is not None, (path, outcome)
        assert outcome.state in (*ALSO, "58030", "XX001") if path.startswith("{folder}/") else ALSO, (path, outcome)
        # That there is something, or not, is not told.
        if path.startswith(("{secret}", "/etc", "{vault}", "http", "{base}other")):
            assert outcome.state in ("42501", "42601", "42000", "0A000"), (path, outcome)


@pytest.mark.parametrize("path", OUTSIDE, ids=shown)
def test_no_path_as_a_parameter_or_option_leads_out(world, path):
    path = world.filled(without_nul(path))
    session = world.session("executor")
    outcome = session.run("SELECT * FROM duckdb.query_rows('SELECT content FROM read_text($1)', %s::text) AS t(a text)", (path,))
    assert outcome.error is not None or set("*?[;") & set(path), outcome
    assert not outcome.lost and (outcome.error is None or outcome.state in ALSO), outcome
    maker = world.session("maker")
    for location in ("location", "data_path"):
        kind = "ducklake" if location == "data_path" else "file" if path.startswith("/") else "s3"
        made = maker.run(f"CREATE SERVER probed TYPE '{kind}' FOREIGN DATA WRAPPER duckdb OPTIONS ({location} {literal(path)})")
        if made.error is None:
            maker.rows("DROP SERVER probed")
        else:
            assert made.state in ("HV024", "42501", "HV00J", "HV00D"), made
    made = world.session("postgres").run(f"CREATE FOREIGN TABLE probed (a text) SERVER open OPTIONS (path {literal(path)}, format 'csv')")
    try:
        # A path outside of its server's location is no table's, whoever makes it.
        if made.error is None:
            assert path.startswith(world.base + "open/"), made
            for role in ("postgres", "reader"):
                world.su(f"GRANT SELECT ON probed TO {world.role('reader')}")
                outcome = world.session(role).run("SELECT * FROM probed")
                assert outcome.state in ALSO or outcome.rows is not None and "*" in path, (role, outcome)
        else:
            assert made.state in ("HV024", "22P02"), made
    finally:
        world.su("DROP FOREIGN TABLE IF EXISTS probed")


@pytest.mark.parametrize("suffix", SUFFIXES, ids=repr)
def test_no_suffix_finds_a_reader_that_is_not_known(world, suffix):
    """DuckDB chooses readers by the end of a path: database files, and whatever an extension brings."""
    executor, su = world.session("executor"), world.session("postgres")
    for place in ("{base}open/x", "{folder}/x"):
        path = world.filled(place + suffix)
        for statement in (query(f"FROM '{path}'"), query(f"SELECT * FROM '{path}' AS t"), query(f"SELECT * FROM \"{path}\""), execute(f"CREATE TABLE s1 AS FROM '{path}'")):
            outcome = executor.run(statement)
            assert not outcome.lost and outcome.state in ("42501", "42P01", "58P01", "0A000"), outcome
    made = su.run(world.filled(f"CREATE FOREIGN TABLE suffixed (a text) SERVER folder OPTIONS (path '{{folder}}/x{suffix}')"))
    assert made.state in ("HV024", "HV00J"), made


@pytest.mark.parametrize("suffix", [".duckdb", ".db", ".ddb"])
@pytest.mark.parametrize("role", ["querier", "executor"])
def test_damaged_database_files_hurt_nobody(world, suffix, role):
    good = (world.directory / "secret" / "canary.duckdb").read_bytes()
    folder = world.directory / "folder"
    target = folder / f"broken{suffix}"
    try:
        for data in (good[:4096], good[:8192] + b"\xff" * 4096 + good[12288:], b"\x00" * 16384, b"DUCK" * 5000, good[:12288] + bytes(range(256)) * 64 + good[28672:], good):
            target.write_bytes(data)
            target.chmod(0o644)
            for text in (f"FROM '{target}'", f"SELECT * FROM read_duckdb('{target}')", f"ATTACH '{target}' AS d (READ_ONLY)", f"FROM read_duckdb('{target}', table_name = 't')"):
                outcome = world.session(role).run(query(text))
                assert not outcome.lost and outcome.state in ("42501", "42P01", "0A000", "42883"), outcome
    finally:
        target.unlink(missing_ok=True)


LISTED = ["{folder}/*", "{folder}/*/*", "{folder}/**", "{folder}/*/*/*", "{folder}/l*/*", "{folder}/**/canary*", "{folder}/linked*/*", "{folder}/[l]inked/*", "{folder}/inner/../*"]


@pytest.mark.parametrize("pattern", LISTED)
@pytest.mark.parametrize("role", ["querier", "executor"])
def test_no_listing_goes_through_a_link(world, pattern, role):
    session, pattern = world.session(role), world.filled(pattern)
    for text in (f"FROM glob('{pattern}')", f"SELECT filename FROM read_text('{pattern}')", f"SELECT filename FROM read_blob('{pattern}')"):
        outcome = session.run(query(text))
        if outcome.error is None:
            names = [row[0] for row in outcome.rows]
            assert not any("linked/" in name or "canary" in name for name in names), names
        else:
            assert outcome.state in ("42501", "58P01"), outcome


@pytest.mark.parametrize("name", ["it's.csv", 'quo"te.csv', "{x}.csv", "$1.csv", "a;b.csv", "--.csv", "/*.csv", "\\.csv", "\x03.csv", "\x030:1\x03.csv", "ä\u202e.csv", "%41.csv", "a b.csv", "#x.csv", "x?.csv", "[a].csv", "{a,b}.csv", "~.csv", "-.csv", "a=b.csv", "...csv", "\n.csv", "\x7f.csv", "NUL.csv", "{COMMIT_MESSAGE}.csv"], ids=shown)
def test_odd_names_of_files_are_read_or_refused(world, name):
    """What is read is the file of that name and no other."""
    if "/" in name:
        pytest.skip("no name of a file")
    folder = world.directory / "folder" / "scratch"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    target = folder / name
    target.write_text("a,b\nodd,1\n")
    target.chmod(0o644)
    try:
        for role in ("querier", "postgres"):
            session = world.session(role)
            for statement in (
                query(f"SELECT a FROM {literal(str(target))}"),
                f"SELECT a FROM duckdb.read_csv({literal(str(target))})",
                query(f"SELECT a FROM read_csv('{folder}/*.csv')"),
                query(f"SELECT filename FROM read_csv('{folder}/*', filename = true)"),
            ):
                outcome = session.run(statement)
                assert outcome.rows in ([("odd",)], [(str(target),)]) or outcome.state in ("42501", "58P01", "22021", "22023", "58030"), (statement, outcome)
        made = world.session("postgres").run(f"CREATE FOREIGN TABLE oddly () SERVER folder OPTIONS (path {literal(str(target))})")
        if made.error is None:
            world.su(f"GRANT SELECT ON oddly TO {world.role('reader')}")
            for role in ("postgres", "reader"):
                outcome = world.session(role).run("SELECT a FROM oddly")
                assert outcome.rows == [("odd",)] or outcome.state in ("58P01", "42501", "22023"), outcome
        else:
            assert made.state in ("HV024", "58P01", "42501", "22P02", "22023"), made
    finally:
        target.unlink(missing_ok=True)
        world.su("DROP FOREIGN TABLE IF EXISTS oddly")


@pytest.mark.parametrize("key,value", [("year", "2026"), ("k'", "v"), ("k", "v'; DROP"), ("k", "\x030:1\x03"), ("\x03", "x"), ("k", "{COMMIT_MESSAGE}"), ("a b", "c d"), ("k", "__HIVE_DEFAULT_PARTITION__"), ("k", "%2e%2e"), ("k", "$1"), ('k"', "v"), ("k", "é\u202e"), ("k", "x\x7f"), ("SELECT", "FROM"), ("k", "' || (SELECT 1) || '")], ids=shown)
def test_odd_keys_and_values_of_folders(world, key, value):
    folder = world.directory / "folder" / "scratch" / f"{key}={value}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.csv").write_text("a\n1\n")
    for path in (folder.parent, folder, folder / "x.csv"):
        path.chmod(0o755)
    try:
        for role in ("querier", "postgres"):
            outcome = world.session(role).run(query(f"FROM read_csv('{folder.parent}/*/*.csv', hive_partitioning = true, hive_types_autocast = false)"))
            assert outcome.rows in ([(1, urllib.parse.unquote(value))], [(1, None)]) or outcome.state in ("42501", "58P01", "42601", "22021", "42602", "22023"), outcome
            if outcome.rows == [(1, None)]:
                assert value == "__HIVE_DEFAULT_PARTITION__"
        made = world.session("postgres").run(f"CREATE FOREIGN TABLE hived () SERVER folder OPTIONS (path '{folder.parent}/*/*.csv', hive_partitioning 'true')")
        if made.error is None:
            for statement in ("SELECT a FROM hived", "SELECT count(*) FROM hived a JOIN hived b USING (a)"):
                outcome = world.session("postgres").run(statement)
                assert outcome.rows == [(1,)] or outcome.state in ("42703", "58P01", "42501"), outcome
    finally:
        (folder / "x.csv").unlink()
        folder.rmdir()
        world.su("DROP FOREIGN TABLE IF EXISTS hived")
