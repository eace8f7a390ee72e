use super::*;
use crate::instance::Instance;
use crate::logical_type::LogicalType;
use crate::server::ServerSpec;

fn spec(sandboxed: bool) -> OpenSpec {
    let server = |name, server_type, options: &[(&str, &str)]| {
        ServerSpec::new(name, Some(server_type), options, &[]).unwrap()
    };
    OpenSpec {
        sandboxed,
        servers: vec![
            server("sales", "s3", &[("location", "s3://acme/sales")]),
            server("out", "s3", &[("location", "s3://acme/out"), ("writable", "true")]),
            server("web", "http", &[("location", "https://h/data")]),
            server("disk", "file", &[("location", "/srv/lake")]),
        ],
        ..OpenSpec::default()
    }
}

struct Fixture {
    connection: Connection,
    policy: Policy,
    /// The same without the fence: what is refused must pass here, or its test proves nothing.
    open: Policy,
}

impl Fixture {
    fn new(sandboxed: bool) -> Self {
        let instance = Instance::open(&[
            ("threads", "1"),
            ("autoinstall_known_extensions", "false"),
            ("autoload_known_extensions", "false"),
        ]);
        let connection = Connection::new(&instance.unwrap()).unwrap();
        let policy = Policy::new(&spec(sandboxed));
        Self { connection, policy, open: Policy::new(&spec(false)) }
    }

    fn query(&self, sql: &str) -> Result<Verdict> {
        check_query(&self.connection, &self.policy, sql, &[])
    }

    fn query_with(&self, sql: &str, parameters: &[Value]) -> Result<Verdict> {
        check_query(&self.connection, &self.policy, sql, parameters)
    }

    fn execute(&self, sql: &str) -> Result<String> {
        check_execute(&self.connection, &self.policy, sql, &[])
    }

    fn assert_refused(&self, sql: &str, part: &str) {
        let error = self.query(sql).expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{sql}: {error}");
        assert!(error.message().contains(part), "{sql}: {error}");
        check_query(&self.connection, &self.open, sql, &[]).expect(sql);
    }

    fn assert_allowed(&self, sql: &str) {
        let verdict = self.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(verdict.kind, VerdictKind::Select, "{sql}");
    }
}

#[test]
fn honest_queries_pass() {
    let fixture = Fixture::new(true);
    for sql in [
        "SELECT 1",
        "FROM 's3://acme/sales/*.parquet'",
        "FROM 's3://acme/sales/**/x.csv.gz' WHERE a > 1 GROUP BY ALL ORDER BY ALL LIMIT 10",
        "FROM read_parquet(['s3://acme/sales/a.parquet', 's3://acme/out/b'], hive_partitioning => true)",
        "FROM read_csv('/srv/lake/a.csv', columns = {'a': 'INT'}, header := true, delim = ';')",
        "FROM 'https://h/data/x.json?token=abc'",
        "SELECT x.a, sum(b) OVER (ORDER BY c) FROM glob('s3://acme/sales/*') x JOIN range(3) ON true",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t",
        "DESCRIBE FROM 's3://acme/sales/x.parquet'",
        "SUMMARIZE 's3://acme/sales/x.parquet'",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "VALUES (1), (2)",
        "SELECT list_transform([1, 2], lambda x: x + 1), [y FOR y IN [1] IF y > 0], {'a': 1}.a",
        "SELECT current_date, current_setting('TimeZone'), date_trunc('day', now()), 'a' || 1",
        "PIVOT (FROM range(3) t(a)) ON a IN (1, 2) USING count(*)",
        "UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b INTO NAME n VALUE v",
        "FROM information_schema.tables",
        "FROM duckdb_tables()",
        "FROM mine AS m, main.other, temp.third",
        "FROM lake.sales.orders AT (VERSION => 3)",
        "SELECT ARRAY(SELECT unnest([1, 2])), (SELECT 1), EXISTS (SELECT 1), 1 IN (SELECT 1)",
        "FROM test_all_types()",
        "SELECT NULL::STRUCT(a INTEGER, b DECIMAL(3, 2)[]), TIMESTAMPTZ '2020-01-01', x'00'::BLOB",
        "FROM range(10) USING SAMPLE 10%",
        "SELECT count(*) FILTER (WHERE range > 1), max(range) FROM range(3) QUALIFY row_number() OVER () = 1",
        "FROM range(3) t ASOF JOIN range(3) u ON t.range >= u.range",
        "SELECT a LIKE 'x' ESCAPE '!', a SIMILAR TO 'b', -a, NOT a, a[1:2], a->'$.b', a ^ 2 FROM t",
    ] {
        fixture.assert_allowed(sql);
    }
}

#[test]
fn statements_other_than_select_are_refused() {
    let fixture = Fixture::new(true);
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO t VALUES (1)",
        "COPY (SELECT 1) TO 's3://acme/out/x'",
        "ATTACH 's3://acme/sales/x.db'",
        "ATTACH ':memory:' AS m",
        "DETACH memory",
        "USE memory",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "RESET threads",
        "SET VARIABLE x = 1",
        "PRAGMA version",
        "PRAGMA disable_optimizer",
        "CALL enable_logging(storage = 'file')",
        "CALL pragma_version()",
        "CREATE SECRET (TYPE s3)",
        "CREATE OR REPLACE TEMPORARY SECRET \"server sales\" (TYPE s3, ENDPOINT 'evil')",
        "DROP SECRET \"server sales\"",
        "CREATE MACRO m() AS 1",
        "CREATE VIEW v AS SELECT 1",
        "EXPORT DATABASE '/tmp/x'",
        "IMPORT DATABASE '/tmp/x'",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "PIVOT (FROM range(3) t(a)) ON a USING count(*)",
    ] {
        fixture.assert_refused(sql, "only SELECT statements");
    }
}

#[test]
fn exactly_one_statement_is_needed() {
    let fixture = Fixture::new(true);
    for (sql, part) in [
        ("", "there is no statement"),
        (" -- nothing", "there is no statement"),
        (";", "there is no statement"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT 1;;SELECT 2;", "2 statements"),
    ] {
        let error = fixture.query(sql).expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::StatementCount, "{sql}: {error}");
        assert!(error.message().contains(part), "{sql}: {error}");
    }
    fixture.assert_refused("SELECT 1; DROP TABLE x", "only SELECT");
    fixture.assert_allowed("SELECT 1;");
}

#[test]
fn parser_errors_keep_duckdbs_words_and_place() {
    let fixture = Fixture::new(true);
    let error = fixture.query("SELECT 1,\n  é FROM WHERE").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parser);
    assert_eq!(
        error.message(),
        "syntax error at or near \"WHERE\"\n\nLINE 2:   é FROM WHERE\n                 ^"
    );
}

#[test]
fn paths_outside_the_locations_are_refused() {
    let fixture = Fixture::new(true);
    for path in [
        "s3://acme/vault/x.parquet",
        "s3://acme/sales2/x.parquet",
        "s3://acme/salesx.parquet",
        "s3://acme/*/x.parquet",
        "s3://acme/sale[s]/x.parquet",
        "s3://other/sales/x.parquet",
        "s3a://acme/sales/x.parquet",
        "s3n://acme/sales/x.parquet",
        "S3://acme/sales/x.parquet",
        "gcs://acme/sales/x.parquet",
        "r2://acme/sales/x.parquet",
        "https://acme.s3.amazonaws.com/sales/x.parquet",
        "http://h/data/x.parquet",
        "https://h.evil/data/x.parquet",
        "https://h:81/data/x.parquet",
        "https://evil/?https://h/data/x.parquet",
        "hf://datasets/x.parquet",
        "file:///etc/passwd.csv",
        "file:/srv/lake/x.csv",
        "/etc/passwd.csv",
        "x.parquet",
        "~/x.parquet",
        "./x.csv",
        "az://c/x.parquet",
        "zip:///srv/lake/x.zip/y.csv",
    ] {
        fixture.assert_refused(&format!("FROM '{path}'"), "path \"");
        fixture.assert_refused(&format!("FROM read_parquet('{path}')"), "path \"");
        fixture.assert_refused(
            &format!("FROM read_csv(['s3://acme/sales/a.csv', '{path}'])"),
            "path \"",
        );
        fixture.assert_refused(&format!("SELECT (SELECT count(*) FROM glob('{path}'))"), "path \"");
        let parameter = [Value::Varchar(path.into())];
        let error = fixture.query_with("FROM read_text($1)", &parameter).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{path}");
        let list = [Value::List(LogicalType::Varchar, parameter.to_vec())];
        let error = fixture.query_with("FROM read_blob($1)", &list).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{path}");
    }
}

#[test]
fn tricks_within_a_path_are_refused() {
    let fixture = Fixture::new(true);
    for (path, part) in [
        ("s3://acme/sales/../vault/x.parquet", "\"..\" segment"),
        ("s3://acme/sales/./x.parquet", "\"..\" segment"),
        ("s3://acme/sales/%2e%2e/vault/x.parquet", "\"..\" segment"),
        ("https://h/data/%2E%2E/x.parquet", "\"..\" segment"),
        ("https://h/data/..%2fx.parquet", "\"..\" segment"),
        ("s3://acme/sales/..\\vault.parquet", "backslash"),
        ("s3://acme/sales/x.parquet?s3_endpoint=evil:80&s3_use_ssl=false", "URL parameters"),
        ("s3://acme/sales/x.parquet?s3_access_key_id=a", "URL parameters"),
        ("s3://acme/sales/x\n.parquet", "control character"),
        ("/srv/lake/../../etc/passwd.csv", "\"..\" segment"),
    ] {
        fixture.assert_refused(&format!("FROM '{path}'"), part);
        fixture.assert_refused(&format!("FROM read_parquet('{path}')"), part);
    }
    // URL parameters may hold keys: no message shows them.
    let error = fixture.query("FROM 's3://evil/x.parquet?s3_secret_access_key=hunter2'");
    assert!(!error.unwrap_err().message().contains("hunter2"));
}

#[test]
fn qualified_names_cannot_spell_a_path() {
    let fixture = Fixture::new(true);
    for sql in [
        "FROM \"/etc/passwd\".csv",
        "FROM \"s3://acme/vault/x\".parquet",
        "FROM \"s3://acme\".\"x/y\".parquet",
        "FROM passwd.csv",
        "FROM a.b.parquet",
        "FROM \"my.json\"",
        "WITH \"/etc/passwd.csv\" AS (SELECT 1) FROM \"/etc/passwd.csv\"",
    ] {
        fixture.assert_refused(sql, "lies outside");
    }
    fixture.assert_allowed("FROM \"s3://acme/sales/x\".parquet");
}

#[test]
fn paths_must_be_constant() {
    let fixture = Fixture::new(true);
    for sql in [
        "FROM read_text('s3://acme/sales/' || 'x')",
        "FROM read_text((SELECT 's3://acme/vault/x'))",
        "FROM read_text(getvariable('p'))",
        "FROM read_text(['s3://acme/sales/x', upper('y')])",
        "FROM read_text([['s3://acme/sales/x']])",
        "FROM read_text('s3://acme/sales/x'::VARCHAR)",
        "FROM range(1) t(p), read_text(p)",
        "FROM read_text(NULL)",
        "FROM read_text(1)",
        "FROM read_parquet(path => 's3://acme/sales/x')",
    ] {
        let error = fixture.query(sql).expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{sql}");
    }
    fixture.assert_refused("FROM read_text('a' || 'b')", "must be a string constant, a parameter");
}

#[test]
fn path_parameters_are_checked_each_time() {
    let fixture = Fixture::new(true);
    let sql = "FROM read_parquet([$2, 's3://acme/sales/b.parquet']) WHERE a = $1";
    let values = |path: &str| [Value::Integer(1), Value::Varchar(path.into())];
    let error = fixture.query(sql).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ParameterNotResolved);
    fixture.query_with(sql, &values("s3://acme/sales/a.parquet")).unwrap();
    let error = fixture.query_with(sql, &values("s3://acme/vault/a.parquet")).unwrap_err();
    assert_eq!(
        error.message(),
        "path \"s3://acme/vault/a.parquet\" lies outside the locations of the role's servers"
    );
    let error = fixture.query_with("FROM read_text($1)", &[Value::Integer(1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAllowed);
    let error = fixture.query_with("FROM read_text($path)", &values("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ParameterNotResolved);
}

#[test]
fn functions_that_are_not_listed_are_refused() {
    let fixture = Fixture::new(true);
    for name in [
        "query",
        "query_table",
        "postgres_scan",
        "postgres_query",
        "postgres_execute",
        "postgres_attach",
        "sqlite_scan",
        "sqlite_query",
        "sqlite_attach",
        "duckdb_secrets",
        "duckdb_settings",
        "duckdb_logs",
        "duckdb_extensions",
        "duckdb_databases",
        "duckdb_external_file_cache",
        "duckdb_temporary_files",
        "duckdb_variables",
        "duckdb_prepared_statements",
        "enable_logging",
        "enable_profiling",
        "disable_logging",
        "json_execute_serialized_sql",
        "from_substrait",
        "which_secret",
        "pragma_table_info",
        "pragma_show",
        "pragma_storage_info",
        "pragma_database_size",
        "read_duckdb",
        "arrow_scan",
        "pandas_scan",
        "python_map_function",
        "seq_scan",
        "checkpoint",
        "force_checkpoint",
        "load_aws_credentials",
        "copy_dir",
        "iceberg_to_ducklake",
        "ducklake_expire_snapshots",
        "ducklake_cleanup_old_files",
        "read_postgres_binary",
        "histogram",
        "duckdb_logs_parsed",
        "nosuch_scan",
    ] {
        fixture.assert_refused(
            &format!("SELECT * FROM {name}('x')"),
            &format!("permission denied for table function \"{name}\""),
        );
        fixture.assert_refused(&format!("FROM \"{}\"()", name.to_uppercase()), "table function");
        fixture.assert_refused(&format!("FROM system.main.{name}('x')"), "table function");
    }
    for call in [
        "write_log('x')",
        "write_blob('/tmp/x', 'y'::BLOB)",
        "json_serialize_plan('SELECT 1')",
        "current_setting('s3_secret_access_key')",
        "current_setting('temp' || '_directory')",
        "nextval('s')",
        "sleep_ms(10)",
        "pg_sleep(1)",
        "finalize(x)",
        "nosuch(1)",
        "lake.main.abs(1)",
        "other.abs(1)",
        "sum(x) EXPORT_STATE",
        "nosuch(1) OVER ()",
        "variant_bytes_to_variant(x)",
        "CAST('[1]'::JSON AS VARIANT)",
        "TRY_CAST('[1]'::JSON AS STRUCT(a VARIANT[]))",
        "json_structure('[1]')",
        "json_contains('[1]', '1')",
    ] {
        fixture.assert_refused(&format!("SELECT {call} FROM t"), "");
    }
}

#[test]
fn reader_arguments_that_write_or_name_files_are_refused() {
    let fixture = Fixture::new(true);
    for sql in [
        "FROM read_csv('s3://acme/sales/x.csv', store_rejects => true)",
        "FROM read_csv('s3://acme/sales/x.csv', store_rejects = true)",
        "FROM read_csv('s3://acme/sales/x.csv', REJECTS_TABLE := 'r')",
        "FROM delta_scan('s3://acme/sales/x', log_tail => [])",
        "FROM iceberg_scan('s3://acme/sales/t', version => '../../vault/v1')",
        "FROM iceberg_scan('s3://acme/sales/t', version_name_format => '../%s%s')",
        "FROM iceberg_scan('s3://acme/sales/t', metadata_compression_codec => '/x')",
        "FROM read_parquet('s3://acme/sales/x', nosuch => 1)",
    ] {
        fixture.assert_refused(sql, "argument \"");
    }
    fixture.assert_allowed("FROM iceberg_scan('s3://acme/sales/t', version => 'v3')");
    fixture.assert_allowed("FROM iceberg_scan('s3://acme/sales/t', version => '?')");
    fixture.assert_allowed("FROM delta_scan('s3://acme/sales/t', version => 3)");
    // What is looked at beforehand must be known, whoever asks.
    for sandboxed in [true, false] {
        let fixture = Fixture::new(sandboxed);
        for sql in [
            "FROM iceberg_scan('s3://acme/sales/t', version => 'a' || 'b')",
            "FROM delta_scan('s3://acme/sales/' || 't')",
        ] {
            assert_eq!(fixture.query(sql).unwrap_err().kind(), ErrorKind::NotAllowed, "{sql}");
        }
    }
}

#[test]
fn system_views_are_refused() {
    let fixture = Fixture::new(true);
    for sql in [
        "FROM pg_settings",
        "FROM pg_catalog.pg_settings",
        "FROM memory.pg_catalog.pg_settings",
        "FROM duckdb_databases",
        "FROM \"DUCKDB_LOGS\"",
        "FROM sqlite_master",
        "FROM pragma_database_list",
        "FROM __ducklake_metadata_lake.public.ducklake_table",
        "FROM __ducklake_metadata_lake.ducklake_table",
        "DESCRIBE pg_settings",
    ] {
        fixture.assert_refused(sql, "permission denied for relation");
    }
    fixture.assert_refused("SHOW DATABASES", "permission denied to show");
    fixture.assert_refused("SHOW VARIABLES", "");
}

/// A forbidden call or table in every place of a SELECT where one fits: the walk must come by.
#[test]
fn no_place_of_a_statement_is_overlooked() {
    let fixture = Fixture::new(true);
    let places = include_str!("places.txt");
    let mut checked = 0;
    for place in places.lines().filter(|line| !line.is_empty()) {
        let honest = place.replace("{e}", "abs(1)").replace("{t}", "mine");
        fixture.assert_allowed(&honest);
        if place.contains("{e}") {
            let sql = place.replace("{e}", "write_log('x')").replace("{t}", "mine");
            fixture.assert_refused(&sql, "permission denied for function \"write_log\"");
            let sql = place.replace("{e}", "(SELECT a FROM read_text('/etc/passwd'))");
            fixture.assert_refused(&sql.replace("{t}", "mine"), "/etc/passwd");
        } else {
            for table in ["'/etc/passwd.csv'", "\"s3://acme/vault/x.parquet\""] {
                fixture.assert_refused(&place.replace("{t}", table), "lies outside");
            }
        }
        checked += 1;
    }
    assert!(checked > 90, "{checked}");
}

#[test]
fn deep_nesting_is_refused_before_duckdb_binds_it() {
    let fixture = Fixture::new(true);
    let nested = |open: &str, core: &str, close: &str, depth: usize| {
        format!("{}{core}{}", open.repeat(depth), close.repeat(depth))
    };
    for sql in [
        nested("WITH a AS (", "SELECT 1", ") FROM a", 300),
        nested("SELECT (", "SELECT 1", ")", 20),
        nested("SELECT ARRAY(", "SELECT 1", ")", 20),
        format!("SELECT {}", nested("list_transform([1], x -> ", "1", ")", 20)),
        nested("FROM (", "SELECT 1", ")", 150),
    ] {
        let error = fixture.query(&sql).expect_err(&sql);
        assert_eq!(error.kind(), ErrorKind::NotSupported, "{error}");
    }
    fixture.assert_allowed(&nested("WITH a AS (", "SELECT 1", ") FROM a", 30));
    fixture.assert_allowed(&nested("SELECT (", "SELECT 1", ")", 8));
    fixture.assert_allowed(&format!("{}SELECT 1", "SELECT 1 UNION ALL ".repeat(500)));
    fixture.assert_allowed(&format!("SELECT {}1", "1 + ".repeat(900)));
    let long = format!("SELECT '{}'", "x".repeat(2 << 20));
    assert_eq!(fixture.query(&long).unwrap_err().kind(), ErrorKind::NotSupported);
}

#[test]
fn readers_are_reported() {
    let fixture = Fixture::new(true);
    let verdict = fixture
        .query("FROM 's3://acme/sales/a.parquet', READ_CSV('/srv/lake/x'), iceberg_scan('s3://acme/out/t')")
        .unwrap();
    assert_eq!(verdict.readers, ["iceberg_scan", "read_csv", "read_parquet"]);
    assert_eq!(verdict.extensions, [Extension::Iceberg]);
    assert_eq!(verdict.bare_reader, None);
}

#[test]
fn a_bare_reader_is_nothing_but_a_reader() {
    let fixture = Fixture::new(true);
    for (sql, reader) in [
        ("SELECT * FROM read_parquet('s3://acme/sales/x')", Some("read_parquet")),
        (
            "FROM READ_CSV(['/srv/lake/x'], header => true, columns => {'a': 'INT'});",
            Some("read_csv"),
        ),
        ("SELECT * FROM read_text('/srv/lake/x') t", None),
        ("SELECT * FROM read_text('/srv/lake/x') WHERE true", None),
        ("SELECT * FROM read_text('/srv/lake/x') LIMIT 1", None),
        ("SELECT *, 1 FROM read_text('/srv/lake/x')", None),
        ("SELECT * EXCLUDE (size) FROM read_text('/srv/lake/x')", None),
        ("SELECT DISTINCT * FROM read_text('/srv/lake/x')", None),
        ("SELECT t.* FROM read_text('/srv/lake/x') t", None),
        ("WITH a AS (SELECT 1) SELECT * FROM read_text('/srv/lake/x')", None),
        ("SELECT * FROM read_csv('/srv/lake/x', skip => 1 + 1)", None),
        ("SELECT * FROM read_text('/srv/lake/x') WITH ORDINALITY", None),
        ("SELECT * FROM read_text('/srv/lake/x') USING SAMPLE 1%", None),
        ("SELECT * FROM range(3)", None),
        ("SELECT * FROM '/srv/lake/x.csv'", None),
        ("SELECT COLUMNS(*) FROM read_text('/srv/lake/x')", None),
    ] {
        assert_eq!(fixture.query(sql).unwrap().bare_reader.as_deref(), reader, "{sql}");
    }
}

#[test]
fn roles_without_the_sandbox_run_anything() {
    let fixture = Fixture::new(false);
    for sql in ["FROM '/etc/passwd.csv'", "FROM duckdb_secrets()", "SELECT write_log('x')"] {
        assert_eq!(fixture.query(sql).unwrap().kind, VerdictKind::Select);
    }
    let verdict = fixture.query("SELECT * FROM read_text('/etc/passwd')").unwrap();
    assert_eq!(verdict.bare_reader.as_deref(), Some("read_text"));
    assert_eq!(fixture.query("PRAGMA version").unwrap().kind, VerdictKind::Other);
    assert_eq!(fixture.query("SELECT 1; SELECT 2").unwrap_err().kind(), ErrorKind::StatementCount);
    assert_eq!(fixture.query("SELECT FROM WHERE").unwrap_err().kind(), ErrorKind::Parser);
    assert_eq!(fixture.execute("CREATE VIEW v AS SELECT 1").unwrap(), "CREATE VIEW v AS SELECT 1");
}

#[test]
fn verdicts_are_kept_but_not_those_of_path_parameters() {
    let fixture = Fixture::new(true);
    for _ in 0..2 {
        fixture.assert_allowed("SELECT 1");
        fixture.query_with("FROM read_text($1)", &[Value::Varchar("/srv/lake/x".into())]).unwrap();
    }
    assert_eq!(fixture.policy.verdicts.lock().len(), 1);
    for i in 0..1000 {
        fixture.assert_allowed(&format!("SELECT {i}"));
    }
    assert!(fixture.policy.verdicts.lock().len() <= CACHED_VERDICTS);
}

#[test]
fn allowed_statements_are_rebuilt_from_checked_parts() {
    let fixture = Fixture::new(true);
    for (sql, rebuilt) in [
        (
            "copy (SELECT 1 -- x\n) to 's3://acme/out/x' (FORMAT parquet, compression 'zstd', ROW_GROUP_SIZE 1000);",
            "COPY (SELECT 1 -- x\n) TO 's3://acme/out/x' (format parquet, compression 'zstd', row_group_size 1000)",
        ),
        (
            "COPY t TO 's3://acme/out/x' WITH (partition_by (a, \"b\"), OVERWRITE)",
            "COPY (SELECT * FROM \"t\"\n) TO 's3://acme/out/x' (partition_by (\"a\", \"b\"), overwrite)",
        ),
        (
            "COPY t TO 's3://acme/out/x' (FORMAT csv, HEADER TRUE, FORCE_QUOTE *, NULL '', PREFIX a, \
             SUFFIX 'b''', PARQUET_VERSION V2, ROW_GROUP_SIZE_BYTES '1MB', COMPRESSION_LEVEL -5, \
             FILENAME_PATTERN 'part-{i}_{uuid}.x', FILE_EXTENSION csv, \
             KV_METADATA {a: 'x''', \"b\": [1, -2.5], c: {d: true}}, FIELD_IDS auto)",
            "COPY (SELECT * FROM \"t\"\n) TO 's3://acme/out/x' (format csv, header true, \
             force_quote *, null '', prefix 'a', suffix 'b''', parquet_version 'V2', \
             row_group_size_bytes '1MB', compression_level -5, filename_pattern \
             'part-{i}_{uuid}.x', file_extension 'csv', \
             kv_metadata {'a': 'x''', 'b': [1, -2.5], 'c': {'d': true}}, field_ids 'auto')",
        ),
        (
            "COPY t (a) TO 's3://acme/out/it''s'",
            "COPY (SELECT \"a\" FROM \"t\"\n) TO 's3://acme/out/it''s'",
        ),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE \"t\" AS (SELECT 1\n)"),
        (
            "create or replace temp table main.t as FROM 's3://acme/sales/x.parquet' -- end",
            "CREATE OR REPLACE TABLE \"main\".\"t\" AS (FROM 's3://acme/sales/x.parquet'\n)",
        ),
        (
            "CREATE TABLE IF NOT EXISTS t AS (SELECT 1)",
            "CREATE TABLE IF NOT EXISTS \"t\" AS ((SELECT 1)\n)",
        ),
        (
            "INSERT INTO t (a, b) VALUES (1, 2)",
            "INSERT INTO \"t\" (\"a\", \"b\") (VALUES (1, 2)\n)",
        ),
        ("INSERT INTO t (SELECT 1)", "INSERT INTO \"t\" ((SELECT 1)\n)"),
        ("DROP TABLE IF EXISTS \"a\"\"b\"", "DROP TABLE IF EXISTS \"a\"\"b\""),
    ] {
        let got = fixture.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        // Comments within the SELECT end at its newline.
        let got = got.replace("-- x\n\n)", "-- x\n)");
        assert_eq!(got, rebuilt, "{sql}");
    }
}

#[test]
fn rebuilt_statements_run() {
    let fixture = Fixture::new(true);
    for sql in [
        "CREATE TABLE t AS SELECT 1 AS a, 'x' AS b -- c",
        "INSERT INTO t (b, a) SELECT 'y', 2",
        "INSERT INTO t VALUES (3, 'z')",
        "CREATE TEMP TABLE u AS WITH c AS (FROM t) FROM c",
        "DROP TABLE u",
    ] {
        fixture.connection.execute(&fixture.execute(sql).unwrap()).unwrap();
    }
    let count = fixture.connection.query_text("SELECT count(*)::VARCHAR FROM t", &[]).unwrap();
    assert_eq!(count.as_deref(), Some("3"));
}

#[test]
fn a_reader_that_is_switched_off_is_refused_for_everybody() {
    for sandboxed in [true, false] {
        let disabled = ["read_csv", "iceberg_scan", "read_duckdb"].map(str::to_owned).to_vec();
        let policy = Policy::new(&OpenSpec { disabled_readers: disabled, ..spec(sandboxed) });
        let fixture = Fixture { policy, ..Fixture::new(sandboxed) };
        for sql in [
            "FROM read_csv('/srv/lake/x')",
            "FROM main.READ_CSV_AUTO('/srv/lake/x')",
            "FROM sniff_csv('/srv/lake/x')",
            "FROM '/srv/lake/x.tsv.gz'",
            "SELECT (SELECT count(*) FROM '/srv/lake/x.csv')",
            "FROM iceberg_snapshots('/srv/lake/x')",
        ] {
            let error = fixture.query(sql).expect_err(sql);
            assert_eq!(error.kind(), ErrorKind::NotAllowed, "{sql}");
            assert!(error.message().contains("duckdb.disabled_readers"), "{sql}: {error}");
        }
        fixture.assert_allowed("FROM read_text('/srv/lake/x')");
        let error = fixture.query("FROM '/srv/lake/x.duckdb'").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed);
        fixture.execute("CREATE TABLE t AS FROM read_csv('/srv/lake/x')").unwrap_err();
    }
}

#[test]
fn a_path_without_a_known_reader_is_refused() {
    let fixture = Fixture::new(true);
    for path in [
        "/srv/lake/x.duckdb",
        "/srv/lake/x.DB",
        "/srv/lake/x.ddb",
        "/srv/lake/*.duckdb",
        "/srv/lake/x.csv?.duckdb",
        "/srv/lake/x.duckdb?.csv",
        "s3://acme/sales/x.duckdb",
        "https://h/data/x.db",
        "https://h/data/x.db?y=z.csv",
        "/srv/lake/x.duckdb.gz",
        "/srv/lake/x.shp",
        "/srv/lake/x",
    ] {
        for sql in ["FROM '{}'", "DESCRIBE FROM '{}'", "SUMMARIZE '{}'", "SELECT (FROM '{}')"] {
            fixture.assert_refused(&sql.replace("{}", path), "call a reader");
        }
        let copy = format!("COPY (FROM '{path}') TO 's3://acme/out/x.csv'");
        assert_eq!(fixture.execute(&copy).unwrap_err().kind(), ErrorKind::NotAllowed, "{copy}");
    }
}

#[test]
fn everything_else_is_refused_for_execution() {
    let fixture = Fixture::new(true);
    for sql in [
        "SELECT 1",
        "COPY (SELECT 1) TO 's3://acme/sales/x'",
        "COPY (SELECT 1) TO '/srv/lake/x'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "COPY (SELECT 1) TO 's3://acme/out/../x'",
        "COPY (SELECT 1) TO 's3://acme/out/*'",
        "COPY (SELECT 1) TO 's3://acme/out/x?s3_endpoint=evil'",
        "COPY (SELECT 1) TO $1",
        "COPY (SELECT 1) TO E's3://acme/out/x'",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FORMAT postgres_binary)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FORMAT gdal)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN '../x')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILE_EXTENSION '/../../x')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN concat('x', chr(47), 'y'))",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN 'a' || 'b')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN ('x'))",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN '{i}{x}')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN '')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN 1)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILENAME_PATTERN '%2e%2e')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILE_EXTENSION concat('csv', chr(63), 's3_endpoint=evil'))",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FILE_EXTENSION 'csv?s3_endpoint=evil')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (KV_METADATA {a: current_setting('s3_endpoint')})",
        "COPY (SELECT 1) TO 's3://acme/out/x' (KV_METADATA {a: [version()]})",
        "COPY (SELECT 1) TO 's3://acme/out/x' (KV_METADATA {a: b.c})",
        "COPY (SELECT 1) TO 's3://acme/out/x' (KV_METADATA {a: (SELECT 1)})",
        "COPY (SELECT 1) TO 's3://acme/out/x' (NULL getenv('HOME'))",
        "COPY (SELECT 1) TO 's3://acme/out/x' (NULL 'x' 'y')",
        "COPY (SELECT 1) TO 's3://acme/out/x' (HEADER version())",
        "COPY (SELECT 1) TO 's3://acme/out/x' (HEADER 2)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (PARTITION_BY (version()))",
        "COPY (SELECT 1) TO 's3://acme/out/x' (ROW_GROUP_SIZE 1 + 1)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (ROW_GROUP_SIZE x)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (HIVE_FILE_PATTERN false)",
        "COPY (SELECT 1) TO 's3://acme/out/x' (ENCRYPTION_CONFIG {footer_key: 'k'})",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FORMAT csv); DROP TABLE t",
        "COPY (SELECT 1) TO 's3://acme/out/x' (FORMAT csv) garbage",
        "COPY (SELECT 1) TO 's3://acme/out/x' (HEADER (SELECT 1)",
        "COPY (SELECT write_log('x')) TO 's3://acme/out/x'",
        "COPY (FROM '/etc/passwd.csv') TO 's3://acme/out/x'",
        "COPY \"/etc/passwd.csv\" TO 's3://acme/out/x'",
        "COPY duckdb_secrets() TO 's3://acme/out/x'",
        "COPY pg_settings TO 's3://acme/out/x'",
        "COPY t FROM 's3://acme/sales/x.parquet'",
        "COPY FROM DATABASE memory TO other",
        "CREATE TABLE t (a INTEGER)",
        "CREATE TABLE t AS FROM '/etc/passwd.csv'",
        "CREATE TABLE lake.main.t AS SELECT 1",
        "CREATE TABLE lake.t AS SELECT 1",
        "CREATE TABLE \"x.parquet\" AS SELECT 1",
        "CREATE TABLE duckdb_tables AS SELECT 1; DROP TABLE x",
        "CREATE VIEW v AS SELECT 1",
        "CREATE MACRO m() AS 1",
        "CREATE MACRO m() AS TABLE FROM read_text('/etc/passwd')",
        "CREATE SECRET (TYPE s3)",
        "CREATE TYPE t AS ENUM ('a')",
        "CREATE SEQUENCE s",
        "INSERT INTO t SELECT * FROM read_text('/etc/passwd')",
        "INSERT INTO lake.t SELECT 1",
        "INSERT OR REPLACE INTO t SELECT 1",
        "DROP TABLE a.b.c",
        "DROP VIEW v",
        "DROP TABLE t CASCADE",
        "DROP SECRET s",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "ATTACH 'x'",
        "SET threads = 1",
        "CALL enable_logging()",
        "PRAGMA version",
        "LOAD httpfs",
        "EXPORT DATABASE 's3://acme/out/'",
        "WITH a AS (SELECT 1) INSERT INTO t FROM a",
        "\"copy\" (SELECT 1) TO 's3://acme/out/x'",
    ] {
        let error = fixture.execute(sql).expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{sql}: {error}");
    }
    for sql in [
        "CREATE TABLE t AS SELECT 1; DROP TABLE t",
        "INSERT INTO t VALUES (1); SELECT 1",
        "COPY (SELECT 1; SELECT 2) TO 's3://acme/out/x'",
        "COPY (SELECT 1) UNION (SELECT 2) TO 's3://acme/out/x'",
        "CREATE TABLE t AS SELECT 1 WITH NO DATA",
        "INSERT INTO t VALUES (1) RETURNING a",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "CREATE TABLE t AS SELECT 1) TO 'x'",
        "",
    ] {
        fixture.execute(sql).expect_err(sql);
    }
    let error = fixture.execute("CREATE VIEW v AS SELECT 1").unwrap_err();
    assert!(error.message().contains("ordinary roles may run COPY"), "{error}");
}

/// Every function of DuckDB is classified: a new one fails here until somebody has read what it
/// does.
#[test]
fn every_function_of_duckdb_is_classified() {
    let fixture = Fixture::new(true);
    let names = |types: &str| {
        let sql = format!(
            "SELECT string_agg(DISTINCT lower(function_name), ' ') FROM duckdb_functions() \
             WHERE function_type IN ({types})"
        );
        let text = fixture.connection.query_text(&sql, &[]).unwrap().unwrap();
        text.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let closed = include_str!("closed_functions.txt").split_ascii_whitespace();
    let closed: std::collections::HashSet<_> = closed.collect();
    let internal =
        |name: &String| name.starts_with("__internal_") || name.starts_with("icu_collate_");
    let wrong: Vec<_> = names("'scalar', 'aggregate', 'macro'")
        .into_iter()
        .filter(|name| {
            let closed = closed.contains(name.as_str()) || internal(name);
            closed == functions::is_allowed_scalar(name)
        })
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    let open = |name: &String| functions::table_function(name).is_some();
    let wrong: Vec<_> = names("'table', 'table_macro'")
        .into_iter()
        // The aggregate of this name is open, the table macro runs a query of its own.
        .filter(|name| (closed.contains(name.as_str()) || name == "histogram") == open(name))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn shipped_tables_are_for_the_statements_of_their_connection() {
    let fixture = Fixture::new(true);
    let sql = "SELECT * FROM range(3) t(i) JOIN temp.pond_shipped_1 s ON s.c0 = t.i";
    let forms = [
        sql,
        "FROM pond_shipped_1",
        "FROM temp.main.\"pond_shipped_1\"",
        "SELECT (SELECT max(c0) FROM pond_shipped_1)",
        "WITH x AS (FROM pond_shipped_1) FROM x",
        "SUMMARIZE FROM pond_shipped_1",
        "PIVOT pond_shipped_1 ON c0 IN (1, 2) USING count(*)",
    ];
    for sql in forms {
        fixture.assert_refused(sql, "permission denied for relation");
    }
    let types = [LogicalType::Integer].into();
    crate::appender::TempTable::new(1, types).create(&fixture.connection).unwrap();
    let instance = fixture.connection.instance();
    for sql in forms {
        fixture.assert_allowed(sql);
        // Allowed once is not allowed everywhere.
        let other = Connection::new(instance).unwrap();
        for outcome in [
            check_query(&other, &fixture.policy, sql, &[]),
            check_user_text(instance, &fixture.policy, sql, &[]),
        ] {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotAllowed, "{sql}");
        }
    }
    for sql in ["FROM Pond_Shipped_1", "FROM pond_shipped_2", "FROM pond_shipped"] {
        fixture.assert_refused(sql, "permission denied for relation");
    }
    fixture.connection.execute("SELECT * FROM pond_shipped_1").unwrap();
}

#[test]
fn a_database_is_named_where_one_may_stand() {
    for sql in [
        "SELECT * FROM lk.main.t",
        "INSERT INTO \"LK\".main.t SELECT 1",
        "CHECKPOINT lk",
        "USE lk;",
        "COPY FROM DATABASE lk TO memory",
        "FROM ducklake_snapshots('lk')",
        "SELECT * FROM duckdb_tables() WHERE database_name = 'lk'",
        "SELECT $$ lk $$",
        "FROM 'no end",
    ] {
        assert!(names_database(sql, "lk"), "{sql}");
    }
    for sql in [
        "FROM '/data/lk/x.csv'",
        "SELECT lk FROM t",
        "SELECT 1 AS lk, lk + 1",
        "FROM t -- lk.main.t",
    ] {
        assert!(!names_database(sql, "lk"), "{sql}");
    }
}
