//! Ordinary roles' statements on lakes. The lake is a database in memory, and so is its catalog.

use super::*;
use crate::placeholder::{self, guarded_once};
use crate::server::LakeSpec;
use crate::statement::Column;
use crate::{LogicalType, stored};

const CATALOG: &str = "
    ATTACH ':memory:' AS lk; ATTACH ':memory:' AS ro; ATTACH ':memory:' AS __ducklake_metadata_lk;
    CREATE SCHEMA lk.s; CREATE TABLE lk.main.t (a INTEGER, b VARCHAR); CREATE TABLE lk.s.u (a INTEGER);
    ATTACH ':memory:' AS __ducklake_metadata_ro;
    CREATE TABLE __ducklake_metadata_lk.ducklake_table (table_id BIGINT, table_name VARCHAR, path VARCHAR, path_is_relative BOOLEAN);
    CREATE TABLE __ducklake_metadata_lk.ducklake_schema (path VARCHAR, path_is_relative BOOLEAN);
    CREATE TABLE __ducklake_metadata_lk.ducklake_data_file (table_id BIGINT, path VARCHAR, path_is_relative BOOLEAN);
    CREATE TABLE __ducklake_metadata_lk.ducklake_delete_file (table_id BIGINT, path VARCHAR, path_is_relative BOOLEAN);
    CREATE TABLE __ducklake_metadata_lk.ducklake_files_scheduled_for_deletion (path VARCHAR, path_is_relative BOOLEAN);
    CREATE TABLE __ducklake_metadata_lk.ducklake_metadata (key VARCHAR, value VARCHAR, scope VARCHAR);
    CREATE TABLE __ducklake_metadata_lk.ducklake_inlined_data_tables (table_id BIGINT, table_name VARCHAR, schema_version BIGINT);
    CREATE TABLE __ducklake_metadata_lk.ducklake_schema_versions (begin_snapshot BIGINT, schema_version BIGINT, table_id BIGINT);
    CREATE TABLE __ducklake_metadata_lk.ducklake_column (column_id BIGINT, table_id BIGINT, column_name VARCHAR, column_type VARCHAR, parent_column BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT);
    CREATE TABLE __ducklake_metadata_lk.ducklake_snapshot (snapshot_id BIGINT, next_catalog_id BIGINT, next_file_id BIGINT);
    INSERT INTO __ducklake_metadata_lk.ducklake_snapshot VALUES (0, 1, 0), (1, 2, 0);
    INSERT INTO __ducklake_metadata_lk.ducklake_metadata VALUES ('version', '1.0', NULL);
    CREATE TABLE __ducklake_metadata_lk.ducklake_sort_info (sort_id BIGINT, end_snapshot BIGINT);
    CREATE TABLE __ducklake_metadata_lk.ducklake_sort_expression (sort_id BIGINT, table_id BIGINT, expression VARCHAR);
    CREATE TABLE __ducklake_metadata_lk.ducklake_view (view_name VARCHAR, sql VARCHAR);
    CREATE MACRO memory.main.ducklake_current_snapshot(lake) AS TABLE SELECT 5 AS id;
    INSERT INTO __ducklake_metadata_lk.ducklake_table VALUES (1, 't', 't/', true), (2, 'u', 'u/', true);
    COPY FROM DATABASE __ducklake_metadata_lk TO __ducklake_metadata_ro;
";

fn spec() -> OpenSpec {
    let lake = |name, options: &[(&str, &str)]| {
        let place = [("catalog", "duckdb"), ("path", "/c"), ("data_path", "/d/")];
        LakeSpec::new(name, &[&place, options].concat(), &[]).unwrap()
    };
    OpenSpec {
        sandboxed: true,
        lakes: vec![lake("lk", &[]), lake("ro", &[("read_only", "true")])],
        ..OpenSpec::default()
    }
}

struct Fixture {
    connection: Connection,
    policy: Policy,
}

impl Fixture {
    fn new() -> Self {
        let connection = Connection::new(&Instance::open(&[("threads", "1")]).unwrap()).unwrap();
        placeholder::register(&connection).unwrap();
        connection.execute_batch(CATALOG).unwrap();
        Self { connection, policy: Policy::new(&spec()) }
    }

    fn execute(&self, sql: &str) -> Result<String> {
        check_execute(&self.connection, &self.policy, sql, &[])
    }

    fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn text(&self, sql: &str) -> String {
        self.connection.query_text(sql, &[]).unwrap().unwrap_or_default()
    }

    fn refused(&self, sql: &str, part: &str) {
        let error = self.execute(sql).expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{sql}: {error}");
        assert!(error.message().contains(part), "{sql}: {error}");
    }
}

#[test]
fn a_catalog_is_looked_through_before_its_lake_is_used() {
    let fixture = Fixture::new();
    let read = || {
        fixture.policy.catalogs.lock().clear();
        let verdict = check_query(&fixture.connection, &fixture.policy, "FROM lk.t", &[]).unwrap();
        admit(&fixture.connection, &fixture.policy, &verdict, "").map(drop)
    };
    let catalog = "__ducklake_metadata_lk";
    read().unwrap();
    fixture.run(&format!(
        "CREATE TABLE {catalog}.ducklake_inlined_data_1_2 (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, b VARCHAR);
         INSERT INTO {catalog}.ducklake_inlined_data_tables VALUES (1, 'ducklake_inlined_data_1_2', 2);
         INSERT INTO {catalog}.ducklake_column VALUES (1, 1, 'b', 'varchar', NULL, 1, NULL), (2, 1, 'n', 'list', NULL, 1, NULL), (3, 1, 'element', 'int32', 2, 1, NULL);
         INSERT INTO {catalog}.ducklake_data_file VALUES (1, 'a.parquet', true), (1, '/d/b.parquet', false), (2, '/e/other.parquet', false)"
    ));
    read().unwrap();
    for (change, undo, kind, words) in [
        (
            "UPDATE {}.ducklake_metadata SET value = '1.1'",
            "UPDATE {}.ducklake_metadata SET value = '1.0'",
            ErrorKind::NotSupported,
            "lake \"lk\" has format 1.1, not 1.0 of DuckLake",
        ),
        (
            "UPDATE {}.ducklake_snapshot SET snapshot_id = snapshot_id - 2",
            "UPDATE {}.ducklake_snapshot SET snapshot_id = snapshot_id + 2",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_snapshot\"",
        ),
        (
            "UPDATE {}.ducklake_snapshot SET next_file_id = -1 WHERE snapshot_id = 1",
            "UPDATE {}.ducklake_snapshot SET next_file_id = 0",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_snapshot\"",
        ),
        (
            "UPDATE {}.ducklake_column SET column_type = 'STRUCT' WHERE column_name = 'b'",
            "UPDATE {}.ducklake_column SET column_type = 'varchar' WHERE column_name = 'b'",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_column\"",
        ),
        (
            "INSERT INTO {}.ducklake_inlined_data_tables VALUES (7, 'ducklake_metadata', 1)",
            "DELETE FROM {}.ducklake_inlined_data_tables WHERE table_id = 7",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_metadata\"",
        ),
        (
            "INSERT INTO {}.ducklake_inlined_data_tables VALUES (7, 'ducklake_inlined_data_1_2', 1)",
            "DELETE FROM {}.ducklake_inlined_data_tables WHERE table_id = 7",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_inlined_data_1_2\"",
        ),
        (
            "ALTER TABLE {}.ducklake_inlined_data_1_2 ALTER b TYPE INTEGER",
            "ALTER TABLE {}.ducklake_inlined_data_1_2 ALTER b TYPE VARCHAR",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_inlined_data_1_2\"",
        ),
        (
            "ALTER TABLE {}.ducklake_inlined_data_1_2 ALTER row_id TYPE VARCHAR",
            "ALTER TABLE {}.ducklake_inlined_data_1_2 ALTER row_id TYPE BIGINT",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_inlined_data_1_2\"",
        ),
        (
            "CREATE VIEW {}.ducklake_inlined_delete_1 AS SELECT 1",
            "DROP VIEW {}.ducklake_inlined_delete_1",
            ErrorKind::InvalidInput,
            "pg_pond 42P17 table \"ducklake_inlined_delete_1\"",
        ),
        (
            "INSERT INTO {}.ducklake_data_file VALUES (1, '/e/x.parquet', false)",
            "DELETE FROM {}.ducklake_data_file WHERE path = '/e/x.parquet'",
            ErrorKind::NotAllowed,
            "lake \"lk\" names \"/e/x.parquet\", which lies outside of its data_path",
        ),
        (
            "INSERT INTO {}.ducklake_delete_file VALUES (1, 'a/../../x', true)",
            "DELETE FROM {}.ducklake_delete_file",
            ErrorKind::NotAllowed,
            "a/../../x",
        ),
        (
            "UPDATE {}.ducklake_table SET path_is_relative = false WHERE table_id = 1",
            "UPDATE {}.ducklake_table SET path_is_relative = true",
            ErrorKind::NotAllowed,
            "\"t/\"",
        ),
        (
            "INSERT INTO {}.ducklake_schema VALUES ('s3://other/', false)",
            "DELETE FROM {}.ducklake_schema",
            ErrorKind::NotAllowed,
            "s3://other/",
        ),
    ] {
        fixture.run(&change.replace("{}", catalog));
        let error = read().expect_err(change);
        assert_eq!(error.kind(), kind, "{change}: {error}");
        assert!(error.message().contains(words), "{change}: {error}");
        fixture.policy.catalogs.lock().clear();
        let error = fixture.execute("INSERT INTO lk.t VALUES (1, 'x')").expect_err(change);
        assert_eq!(error.kind(), kind, "{change}: {error}");
        fixture.run(&undo.replace("{}", catalog));
        read().unwrap();
    }
}

/// A statement's text without the line breaks that end comments.
fn flat(sql: &str) -> String {
    sql.replace('\n', "")
}

/// The rows of a query with these columns as they are written to a lake.
fn stored_rows(query: &str, columns: &[(&str, LogicalType)]) -> String {
    let columns = columns.iter().map(|(name, logical_type)| Column {
        name: (*name).to_owned(),
        logical_type: logical_type.clone(),
    });
    flat(&stored::rows(query, &columns.collect::<Vec<_>>()).unwrap())
}

#[test]
fn changes_of_lakes_are_rebuilt_from_checked_parts() {
    let fixture = Fixture::new();
    let (integer, text) = (LogicalType::Integer, LogicalType::Varchar);
    for (sql, rebuilt) in [
        (
            "INSERT INTO lk.t VALUES (1, 'x')",
            format!(
                r#"INSERT INTO "lk"."main"."t" {}"#,
                stored_rows(
                    "VALUES (1, 'x')",
                    &[("col0", integer.clone()), ("col1", text.clone())]
                )
            ),
        ),
        (
            "INSERT INTO lk.main.t BY NAME SELECT 1 AS a",
            format!(
                r#"INSERT INTO "lk"."main"."t" BY NAME {}"#,
                stored_rows("SELECT 1 AS a", &[("a", integer.clone())])
            ),
        ),
        (
            "INSERT INTO lk.s.u (a) FROM lk.s.u",
            format!(
                r#"INSERT INTO "lk"."s"."u" ("a") {}"#,
                stored_rows("FROM lk.s.u", &[("a", integer.clone())])
            ),
        ),
        (
            "UPDATE lk.t AS x SET a = a + 1, b = DEFAULT FROM lk.s.u y, (SELECT 1 AS i) AS z WHERE x.a = y.a -- c",
            format!(
                r#"UPDATE "lk"."main"."t" AS "x" SET "a" = {}, "b" = DEFAULT FROM "lk"."s"."u" AS "y", (SELECT 1 AS i) AS "z" WHERE (x.a = y.a)"#,
                guarded_once("(a + 1)", "a")
            ),
        ),
        (
            "UPDATE lk.t SET a = CASE WHEN a IS DISTINCT FROM 3 THEN [1, 2][1] ELSE {'x': 1}.x END",
            format!(
                r#"UPDATE "lk"."main"."t" SET "a" = {}"#,
                guarded_once(
                    "(CASE WHEN a IS DISTINCT FROM 3 THEN [1, 2][1] ELSE {'x': 1}.x END)",
                    "a"
                )
            ),
        ),
        (
            "MERGE INTO lk.t x USING (FROM lk.s.u) y ON x.a = y.a WHEN MATCHED AND y.a > 1 THEN UPDATE SET b = \
             CASE WHEN true THEN 'q' END WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (a) VALUES (y.a)",
            format!(
                r#"MERGE INTO "lk"."main"."t" AS "x" USING (FROM lk.s.u) AS "y" ON (x.a = y.a) WHEN MATCHED AND (y.a > 1) THEN UPDATE SET "b" = {} WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT ("a") VALUES ({})"#,
                guarded_once("(CASE WHEN true THEN 'q' END)", "b"),
                guarded_once("(y.a)", "")
            ),
        ),
        (
            "MERGE INTO lk.t USING lk.main.t AS y ON t.a = y.a WHEN NOT MATCHED THEN INSERT BY NAME",
            format!(
                r#"MERGE INTO "lk"."main"."t" USING ({}) AS "y" ON (t.a = y.a) WHEN NOT MATCHED THEN INSERT BY NAME"#,
                stored_rows(r#"FROM "lk"."main"."t""#, &[("a", integer.clone()), ("b", text)])
            ),
        ),
        (
            "CREATE TABLE IF NOT EXISTS lk.s.n AS FROM lk.s.u",
            format!(
                r#"CREATE TABLE IF NOT EXISTS "lk"."s"."n" AS {}"#,
                stored_rows("FROM lk.s.u", &[("a", integer)])
            ),
        ),
    ] {
        assert_eq!(flat(&fixture.execute(sql).unwrap()), rebuilt, "{sql}");
    }
    for (sql, rebuilt) in [
        (
            "insert into lk.t values (1, DEFAULT);",
            r#"INSERT INTO "lk"."main"."t" values (1, DEFAULT)"#,
        ),
        ("INSERT INTO LK.t DEFAULT VALUES", r#"INSERT INTO "lk"."main"."t" DEFAULT VALUES"#),
        ("DELETE FROM lk.t", r#"DELETE FROM "lk"."main"."t""#),
        (
            "DELETE FROM lk.t USING lk.s.u WHERE t.a IN (SELECT 1)",
            r#"DELETE FROM "lk"."main"."t" USING "lk"."s"."u" WHERE (t.a IN (SELECT 1))"#,
        ),
        ("TRUNCATE TABLE lk.t", r#"TRUNCATE "lk"."main"."t""#),
        (
            "CREATE OR REPLACE TABLE lk.n (a int NOT NULL DEFAULT 1 + 1 NOT NULL, b DECIMAL(10,2)[], c STRUCT(\"x y\" INT))",
            r#"CREATE OR REPLACE TABLE "lk"."main"."n" ("a" int NOT NULL DEFAULT (1 + 1) NOT NULL, "b" DECIMAL ( 10 , 2 ) [ ], "c" STRUCT ( "x y" INT ))"#,
        ),
        ("CREATE SCHEMA lk.n", r#"CREATE SCHEMA "lk"."n""#),
        (
            "CREATE OR REPLACE VIEW lk.v (x) AS SELECT a FROM lk.t",
            r#"CREATE OR REPLACE VIEW "lk"."main"."v" ("x") AS (SELECT a FROM lk.t)"#,
        ),
        ("DROP TABLE IF EXISTS lk.n CASCADE", r#"DROP TABLE IF EXISTS "lk"."main"."n" CASCADE"#),
        ("DROP VIEW lk.s.v", r#"DROP VIEW "lk"."s"."v""#),
        ("DROP SCHEMA lk.n", r#"DROP SCHEMA "lk"."n""#),
        (
            "ALTER TABLE lk.t ADD c TIMESTAMP WITH TIME ZONE DEFAULT NULL",
            r#"ALTER TABLE "lk"."main"."t" ADD COLUMN "c" TIMESTAMP WITH TIME ZONE DEFAULT NULL"#,
        ),
        (
            "ALTER TABLE lk.t DROP COLUMN IF EXISTS c.x",
            r#"ALTER TABLE "lk"."main"."t" DROP COLUMN IF EXISTS "c"."x""#,
        ),
        ("ALTER TABLE lk.t RENAME TO n", r#"ALTER TABLE "lk"."main"."t" RENAME TO "n""#),
        (
            "ALTER TABLE lk.t RENAME a TO n",
            r#"ALTER TABLE "lk"."main"."t" RENAME COLUMN "a" TO "n""#,
        ),
        (
            "ALTER TABLE lk.t ALTER a SET DATA TYPE bigint",
            r#"ALTER TABLE "lk"."main"."t" ALTER COLUMN "a" SET DATA TYPE bigint"#,
        ),
        (
            "ALTER TABLE lk.t ALTER a SET DEFAULT 'x'",
            r#"ALTER TABLE "lk"."main"."t" ALTER COLUMN "a" SET DEFAULT ('x')"#,
        ),
        (
            "ALTER TABLE lk.t SET PARTITIONED BY (a, year(b), bucket(4, a))",
            r#"ALTER TABLE "lk"."main"."t" SET PARTITIONED BY ("a", year("b"), bucket(4, "a"))"#,
        ),
        (
            "ALTER TABLE lk.t SET SORTED BY (a DESC NULLS LAST, lower(b))",
            r#"ALTER TABLE "lk"."main"."t" SET SORTED BY ((a) DESC NULLS LAST, (lower(b)))"#,
        ),
        ("ALTER TABLE lk.t RESET SORTED BY", r#"ALTER TABLE "lk"."main"."t" RESET SORTED BY"#),
        (
            "COMMENT ON COLUMN lk.main.t.a IS 'it''s'",
            r#"COMMENT ON COLUMN "lk"."main"."t"."a" IS 'it''s'"#,
        ),
        ("COMMENT ON TABLE lk.t IS NULL", r#"COMMENT ON TABLE "lk"."main"."t" IS NULL"#),
        (
            "CALL lk.set_commit_message('a', $1, extra_info => 'x')",
            r#"CALL "lk"."set_commit_message"('a', $1, extra_info => 'x')"#,
        ),
        (
            "CALL lk.set_option('target_file_size', '10MB', table_name => 't')",
            r#"CALL "lk"."set_option"('target_file_size', '10MB', table_name => 't')"#,
        ),
        ("COPY lk.t TO '/x'", ""),
    ] {
        match fixture.execute(sql) {
            Ok(got) => assert_eq!(flat(&got), rebuilt, "{sql}"),
            Err(error) if rebuilt.is_empty() => assert_eq!(error.kind(), ErrorKind::NotAllowed),
            Err(error) => panic!("{sql}: {error}"),
        }
    }
}

#[test]
fn rebuilt_changes_of_lakes_run() {
    let fixture = Fixture::new();
    for sql in [
        "INSERT INTO lk.t VALUES (1, 'x'), (2, DEFAULT)",
        "UPDATE lk.t SET a = a + 10, b = DEFAULT WHERE a = 1",
        "DELETE FROM lk.t x USING (SELECT 2 AS i) y WHERE x.a = y.i",
        "MERGE INTO lk.t x USING (SELECT 7 AS i) y ON x.a = y.i WHEN NOT MATCHED THEN INSERT (a, b) VALUES (y.i, 'm')",
        "CREATE TABLE lk.n (a int NOT NULL DEFAULT (1 + 1), b text)",
        "INSERT INTO lk.n DEFAULT VALUES",
        "CREATE VIEW lk.v AS SELECT a FROM lk.t",
        "ALTER TABLE lk.n RENAME COLUMN b TO c",
        "COMMENT ON TABLE lk.n IS 'x'",
        "TRUNCATE lk.n",
        "DROP TABLE lk.n CASCADE",
        "DROP VIEW lk.v",
    ] {
        let rebuilt = fixture.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        fixture.run(&rebuilt);
    }
    assert_eq!(
        fixture.text("SELECT string_agg(a || coalesce(b, ''), ' ' ORDER BY a) FROM lk.t"),
        "7m 11"
    );
}

#[test]
fn other_changes_are_refused() {
    let fixture = Fixture::new();
    for sql in [
        "INSERT INTO lk.t SELECT 1, content FROM read_text('/etc/passwd')",
        "INSERT INTO lk.t VALUES (1, (SELECT content FROM read_text('/etc/passwd')))",
        "INSERT INTO lk.t SELECT * FROM postgres_query('__ducklake_metadata_lk', 'SELECT 1')",
        "INSERT INTO __ducklake_metadata_lk.main.ducklake_table VALUES (1)",
        "INSERT INTO lk.t FROM __ducklake_metadata_lk.ducklake_table",
        "UPDATE __ducklake_metadata_lk.ducklake_table SET table_id = 1",
        "DELETE FROM __ducklake_metadata_lk.main.ducklake_table",
        "UPDATE lk.t SET a = (SELECT 1 FROM read_text('/etc/passwd'))",
        "UPDATE lk.t SET a = getenv('HOME')",
        "UPDATE lk.t SET a = current_setting('s3_region')",
        "UPDATE lk.t SET a = 1 FROM read_text('/etc/passwd')",
        "UPDATE lk.t SET a = 1 FROM (FROM read_text('/etc/passwd')) x",
        "UPDATE lk.t SET a = 1 FROM \"/etc/passwd.csv\"",
        "UPDATE lk.t SET a = 1 FROM duckdb_secrets",
        "UPDATE lk.t SET a = 1 FROM __ducklake_metadata_lk.main.ducklake_table",
        "UPDATE lk.t SET a = 1 WHERE write_log('x')",
        "UPDATE t SET a = 1",
        "UPDATE memory.main.t SET a = 1",
        "DELETE FROM lk.t WHERE EXISTS (FROM glob('/**'))",
        "DELETE FROM lk.t USING lk.t, (FROM glob('/**')) x",
        "DELETE FROM t",
        "TRUNCATE t",
        "TRUNCATE lk.t, lk.s.u",
        "MERGE INTO lk.t USING (FROM glob('/**')) x ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO lk.t USING lk.s.u x ON write_log('x') WHEN MATCHED THEN DELETE",
        "MERGE INTO lk.t USING lk.s.u x ON true WHEN MATCHED AND write_log('x') THEN DELETE",
        "MERGE INTO lk.t USING lk.s.u x ON true WHEN NOT MATCHED THEN INSERT VALUES (write_log('x'))",
        "MERGE INTO lk.t USING lk.s.u x ON true WHEN MATCHED THEN UPDATE SET a = write_log('x')",
        "MERGE INTO t USING lk.s.u x ON true WHEN MATCHED THEN DELETE",
        "CREATE TABLE lk.n (a INTEGER DEFAULT write_log('x'))",
        "CREATE TABLE lk.n (a INTEGER, b VARIANT)",
        "CREATE TABLE lk.n (a INTEGER) WITH (x = 1)",
        "CREATE TABLE lk.\"../n\" (a INTEGER)",
        "CREATE TABLE lk.\"n?s3_endpoint=x\" AS SELECT 1",
        "CREATE TEMP TABLE lk.n AS SELECT 1",
        "CREATE TABLE lk.n AS FROM read_text('/etc/passwd')",
        "CREATE VIEW v AS SELECT 1",
        "CREATE VIEW lk.v AS FROM read_text('/etc/passwd')",
        "CREATE VIEW lk.v AS FROM postgres_query('__ducklake_metadata_lk', 'x')",
        "CREATE VIEW __ducklake_metadata_lk.main.v AS SELECT 1",
        "CREATE TEMP VIEW lk.v AS SELECT 1",
        "CREATE SCHEMA n",
        "CREATE SCHEMA memory.n",
        "CREATE SCHEMA __ducklake_metadata_lk.n",
        "CREATE MACRO lk.main.upper(x) AS 1",
        "CREATE OR REPLACE MACRO lk.main.upper(x) AS 1",
        "DROP SCHEMA main CASCADE",
        "DROP SCHEMA __ducklake_metadata_lk.main CASCADE",
        "DROP TABLE __ducklake_metadata_lk.main.ducklake_table",
        "DROP VIEW v",
        "DROP MACRO lk.main.x",
        "ALTER TABLE t ADD COLUMN x INT",
        "ALTER TABLE lk.t ADD COLUMN x INT DEFAULT write_log('x')",
        "ALTER TABLE lk.t ALTER a SET DEFAULT write_log('x')",
        "ALTER TABLE lk.t ALTER a SET DATA TYPE INT USING write_log('x')",
        "ALTER TABLE lk.t SET PARTITIONED BY (write_log(a))",
        "ALTER TABLE lk.t SET SORTED BY (write_log(a))",
        "ALTER TABLE lk.t SET SORTED BY ((SELECT 1 FROM glob('/**')))",
        "ALTER TABLE lk.t RENAME TO \"a/b\"",
        "ALTER TABLE lk.t SET SCHEMA x",
        "ALTER VIEW lk.v RENAME TO w",
        "COMMENT ON TABLE t IS 'x'",
        "COMMENT ON COLUMN t.a IS 'x'",
        "COMMENT ON TABLE __ducklake_metadata_lk.main.ducklake_table IS 'x'",
        "COMMENT ON DATABASE lk IS 'x'",
        "CALL lk.set_option('hive_file_pattern', false)",
        "CALL lk.set_option('data_path', '/etc')",
        "CALL lk.set_option('encrypted', true)",
        "CALL lk.set_option($1, true)",
        "CALL lk.set_option('target_file_size', (SELECT 1))",
        "CALL lk.merge_adjacent_files()",
        "CALL lk.main.set_option('target_file_size', 1)",
        "CALL ducklake_expire_snapshots('lk')",
        "CALL postgres_execute('__ducklake_metadata_lk', 'DROP SCHEMA public CASCADE')",
        "CALL enable_logging()",
        "ATTACH 'x' AS y",
        "USE lk",
        "SET threads = 1",
        "PRAGMA version",
        "CREATE SECRET (TYPE s3)",
        "COPY FROM DATABASE lk TO memory",
        "COPY lk.t FROM '/etc/passwd'",
        "CHECKPOINT lk",
        "VACUUM lk.t",
        "BEGIN",
        "COMMIT",
    ] {
        fixture.refused(sql, "");
    }
    for sql in [
        "UPDATE lk.t SET a = 1) , b = (2",
        "UPDATE lk.t SET a = 1 WHERE true) OR (true",
        "UPDATE lk.t SET a = 1; DROP TABLE lk.t",
        "UPDATE lk.t SET a = 1 RETURNING a",
        "UPDATE lk.t SET a = 1 WHERE $$ ) $$ ) OR ( true",
        "UPDATE lk.t SET a = 1 FROM lk.s.u JOIN lk.t ON true",
        "UPDATE lk.t SET a = SELECT 1",
        "UPDATE lk.t SET a = 1 AS x",
        "UPDATE lk.t SET a = ",
        "DELETE FROM lk.t WHERE a = 1 ORDER BY 1",
        "INSERT INTO lk.t VALUES (1) ON CONFLICT DO NOTHING",
        "INSERT INTO lk.t VALUES (1) RETURNING a",
        "INSERT INTO lk.t VALUES (1); DROP TABLE lk.t",
        "CREATE TABLE lk.n (a INTEGER DEFAULT 1 CHECK (a > 1))",
        "CREATE TABLE lk.n (a INTEGER CHECK (a > 1))",
        "CREATE TABLE lk.n (a INTEGER PRIMARY KEY)",
    ] {
        fixture.execute(sql).expect_err(sql);
    }
}

#[test]
fn a_read_only_lake_is_not_changed() {
    let fixture = Fixture::new();
    for sql in [
        "INSERT INTO ro.t VALUES (1)",
        "UPDATE RO.t SET a = 1",
        "CREATE SCHEMA ro.x",
        "CREATE TABLE ro.t AS SELECT 1 AS a",
        "DROP TABLE ro.t",
        "CALL ro.set_option('target_file_size', 1)",
        "COMMENT ON TABLE ro.t IS 'x'",
    ] {
        let error = fixture.execute(sql).expect_err(sql);
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::ReadOnly, "server \"ro\" is read-only"),
            "{sql}"
        );
    }
    fixture.run("CREATE TABLE ro.t AS FROM lk.t");
    fixture.execute("INSERT INTO lk.t FROM ro.t").unwrap();
}

#[test]
fn what_others_have_stored_with_a_table_is_checked_before_rows_are_written() {
    let fixture = Fixture::new();
    let insert = "INSERT INTO lk.t VALUES (1, 'x')";
    fixture.run("ALTER TABLE lk.main.t ALTER b SET DEFAULT lower('X')");
    fixture.execute(insert).unwrap();
    fixture.run("CREATE MACRO lk.main.lower(x) AS 'evil'");
    for sql in [
        insert,
        "UPDATE lk.t SET a = 1",
        "MERGE INTO lk.t USING lk.s.u ON true WHEN MATCHED THEN DELETE",
    ] {
        fixture.refused(sql, "its macro \"lower\" takes the place of DuckDB's function");
    }
    fixture.execute("INSERT INTO lk.s.u VALUES (1)").unwrap();
    fixture.execute("DELETE FROM lk.t").unwrap();
    fixture.run("DROP MACRO lk.main.lower; ALTER TABLE lk.main.t ALTER b SET DEFAULT current_setting('memory_limit')");
    fixture.refused(
        insert,
        "table \"t\" of lake \"lk\" cannot be written to: permission denied to read",
    );
    fixture.run(
        "ALTER TABLE lk.main.t ALTER b DROP DEFAULT;
         INSERT INTO __ducklake_metadata_lk.ducklake_sort_info VALUES (1, NULL);
         INSERT INTO __ducklake_metadata_lk.ducklake_sort_expression VALUES (1, 1, 'error(b)'), (1, 1, 'lower(b)')",
    );
    fixture.execute(insert).unwrap();
    let insert_evil = "INSERT INTO __ducklake_metadata_lk.ducklake_sort_expression VALUES (1, 1, \
                       '(SELECT max(x) FROM read_csv(''http://h/''))')";
    fixture.run(insert_evil);
    fixture.refused(insert, "table \"t\" of lake \"lk\" cannot be written to: path");
    fixture.execute("INSERT INTO lk.s.u VALUES (1)").unwrap();
    // Ended before the snapshot that is read, or only after it.
    fixture.run("UPDATE __ducklake_metadata_lk.ducklake_sort_info SET end_snapshot = 6");
    fixture.refused(insert, "cannot be written to");
    fixture.run("UPDATE __ducklake_metadata_lk.ducklake_sort_info SET end_snapshot = 5");
    fixture.execute(insert).unwrap();
    // Whoever has no sandbox is warned as well.
    let open = Policy::new(&OpenSpec { sandboxed: false, ..spec() });
    assert_eq!(check_execute(&fixture.connection, &open, insert, &[]).unwrap(), insert);
    fixture.run("UPDATE __ducklake_metadata_lk.ducklake_sort_info SET end_snapshot = NULL");
    for sql in [insert, "CALL ducklake_merge_adjacent_files('lk')", "CHECKPOINT lk"] {
        assert!(check_execute(&fixture.connection, &open, sql, &[]).is_err(), "{sql}");
    }
}

#[test]
fn views_are_read_only_if_their_functions_are_duckdbs() {
    let fixture = Fixture::new();
    fixture.run(
        "CREATE VIEW lk.main.v AS SELECT a + 1 AS x, [a][1] AS y, b || 'z' AS z FROM lk.main.t",
    );
    let read = || {
        let verdict = check_query(&fixture.connection, &fixture.policy, "FROM lk.v", &[]).unwrap();
        admit(&fixture.connection, &fixture.policy, &verdict, "").map(drop)
    };
    read().unwrap();
    fixture.run("CREATE MACRO lk.main.mine(x) AS 1");
    read().unwrap();
    for name in [
        "\"+\"",
        "\"||\"",
        "list_value",
        "array_extract",
        "LOWER",
        "range",
        "read_text",
        "pg_sleep",
        "\"é\"",
    ] {
        fixture.run(&format!("CREATE MACRO lk.s.{name}(x, y) AS 1"));
        let error = read().expect_err(name);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{name}");
        assert!(error.message().contains("takes the place of DuckDB's function"), "{error}");
        fixture.refused("CREATE VIEW lk.w AS SELECT 1 AS a", "takes the place");
        fixture.run(&format!("DROP MACRO lk.s.{name}"));
    }
    fixture.run("CREATE OR REPLACE VIEW lk.main.v AS SELECT lk.main.mine(a) AS a FROM lk.main.t");
    assert!(read().is_err());
}

#[test]
fn what_may_call_functions_is_known() {
    let fixture = Fixture::new();
    let calls = |sql| check_query(&fixture.connection, &fixture.policy, sql, &[]).unwrap().calls;
    for sql in [
        "SELECT a, b AS c FROM lk.t WHERE (a > 1 AND b IS NOT NULL) OR NOT a BETWEEN 1 AND 2 ORDER BY a LIMIT 3",
        "SELECT * EXCLUDE (a), CAST(a AS DOUBLE), CASE WHEN a = 1 THEN 'x' END FROM lk.t JOIN lk.s.u USING (a)",
        "WITH x AS (FROM lk.t) SELECT a FROM x UNION ALL SELECT 1",
    ] {
        assert!(!calls(sql), "{sql}");
    }
    for sql in [
        "SELECT a + 1 FROM lk.t",
        "SELECT -a FROM lk.t",
        "SELECT a || b FROM lk.t",
        "SELECT a LIKE b FROM lk.t",
        "SELECT a[1] FROM lk.t",
        "SELECT t.a FROM lk.t",
        "SELECT [a] FROM lk.t",
        "SELECT {'x': a} FROM lk.t",
        "SELECT a IN (1, 2) FROM lk.t",
        "SELECT a IN b FROM lk.t",
        "SELECT count(*) FROM lk.t",
        "SELECT row_number() OVER () FROM lk.t",
        "SELECT a AT TIME ZONE 'UTC' FROM lk.t",
        "SELECT extract(year FROM a) FROM lk.t",
        "SELECT a COLLATE NOCASE FROM lk.t",
        "SELECT current_date FROM lk.t",
        "SELECT CURRENT_TIMESTAMP FROM lk.t",
        "SELECT localtime FROM lk.t",
        "SELECT user FROM lk.t",
        "SELECT a FROM lk.t WHERE session_user = b",
        "SELECT INTERVAL (a) DAY FROM lk.t",
        "SELECT COLUMNS('a') FROM lk.t",
        "SELECT COLUMNS(*) FROM lk.t",
        "SELECT *COLUMNS(*) FROM lk.t",
        "SELECT * LIKE 'a%' FROM lk.t",
        "SELECT * SIMILAR TO 'a' FROM lk.t",
        "SELECT (SELECT 1) FROM lk.t",
        "SELECT (a, b) = (1, 2) FROM lk.t",
        "SELECT a FROM lk.t ORDER BY a + 1",
        "SELECT a FROM lk.t LIMIT (SELECT 1)",
        "SELECT a FROM lk.t GROUP BY a HAVING a + 1 > 1",
        "SELECT a FROM lk.t QUALIFY sum(a) OVER () > 1",
        "SELECT DISTINCT ON (a + 1) a FROM lk.t",
        "FROM range(3)",
        "SELECT * FROM lk.t JOIN lk.s.u ON upper(b) = 'x'",
        "PIVOT lk.t ON a IN (1, 2) USING count(*)",
        "SUMMARIZE lk.t",
        "DESCRIBE FROM lk.t",
        "SELECT a FROM (VALUES (1 + 1)) x(a)",
        "WITH x AS (SELECT a + 1 AS a FROM lk.t) FROM x",
        "SELECT a FROM lk.t UNION ALL SELECT a + 1 FROM lk.t",
        "SELECT unnest(a) FROM lk.t",
        "SELECT [x + 1 FOR x IN a] FROM lk.t",
        "SELECT a->'x' FROM lk.t",
        "SELECT coalesce(a, 1) FROM lk.t",
    ] {
        let verdict = check_query(&fixture.connection, &fixture.policy, sql, &[]);
        assert!(verdict.is_err() || calls(sql), "{sql}");
    }
}

#[test]
fn views_of_other_lakes_within_views_are_checked() {
    let fixture = Fixture::new();
    fixture.run(
        "CREATE VIEW ro.main.w AS SELECT * FROM range(3); CREATE VIEW lk.main.v AS FROM ro.main.w",
    );
    let read = || {
        let verdict = check_query(&fixture.connection, &fixture.policy, "FROM lk.v", &[]).unwrap();
        admit(&fixture.connection, &fixture.policy, &verdict, "").map(drop)
    };
    read().unwrap();
    fixture.run("CREATE OR REPLACE VIEW ro.main.w AS SELECT * FROM glob('/*')");
    let error = read().unwrap_err();
    assert!(
        error.message().starts_with("view \"w\" of lake \"ro\" cannot be read: path"),
        "{error}"
    );
}

#[test]
fn views_as_they_were_are_checked() {
    let fixture = Fixture::new();
    fixture.run("CREATE VIEW lk.main.v AS SELECT 1 AS a");
    let read = |sql| {
        let verdict = check_query(&fixture.connection, &fixture.policy, sql, &[]).unwrap();
        admit(&fixture.connection, &fixture.policy, &verdict, "").map(drop)
    };
    let past = "FROM lk.v AT (VERSION => 3)";
    let add = "INSERT INTO __ducklake_metadata_lk.ducklake_view VALUES";
    read(past).unwrap();
    fixture.run(&format!("{add} ('V', 'SELECT a + 1 FROM {{DUCKLAKE_CATALOG}}.main.t')"));
    read(past).unwrap();
    fixture.run(&format!("{add} ('v', 'SELECT * FROM read_text(''/etc/passwd'')')"));
    read("FROM lk.v").unwrap();
    assert!(read(past).is_err());
    assert!(read("FROM lk.t AT (TIMESTAMP => now())").is_ok());
}
