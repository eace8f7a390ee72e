//! The second fence: what DuckDB's own lockdown stops when a statement gets past the policy. Each
//! case must succeed on an instance without the sandbox, or it would prove nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::sync::Arc;

use duck::appender::{Appender, TempTable};
use duck::open::{OpenSpec, open};
use duck::policy::{Policy, check_query};
use duck::server::ServerSpec;
use duck::{Connection, Error, ErrorKind, Instance, LogicalType, RowChunk};

/// A directory with an open part and a closed part.
struct Ground {
    root: PathBuf,
}

impl Ground {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("pg_pond_{name}_{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for directory in ["open", "closed", "spill"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("open/a.csv"), "x\n1\n2\n").unwrap();
        std::fs::write(root.join("closed/a.csv"), "x\n3\n").unwrap();
        std::fs::write(root.join("closed/a.json"), "[{\"x\": 3}]").unwrap();
        let instance = Instance::open(&[]).unwrap();
        let connection = Connection::new(&instance).unwrap();
        for directory in ["open", "closed"] {
            let file = root.join(directory).join("a.parquet");
            connection.execute(&format!("COPY (SELECT 1) TO '{}'", file.display())).unwrap();
        }
        let file = root.join("closed/a.db");
        connection.execute(&format!("ATTACH '{}' AS a", file.display())).unwrap();
        connection.execute("CREATE TABLE a.t AS SELECT 1").unwrap();
        connection.execute("DETACH a").unwrap();
        Self { root }
    }

    fn path(&self, file: &str) -> String {
        self.root.join(file).display().to_string()
    }

    fn spec(&self, sandboxed: bool) -> OpenSpec {
        let options = [("location", &*self.path("open")), ("writable", "true")];
        OpenSpec {
            extension_directory: "/nonexistent".into(),
            sandboxed,
            servers: vec![ServerSpec::new("open", Some("file"), &options, &[]).unwrap()],
            temp_directory: Some(self.path("spill")),
            memory_limit_bytes: Some(200 << 20),
            max_temp_directory_size_bytes: Some(1 << 30),
            threads: Some(2),
            time_zone: Some("Asia/Tokyo".into()),
            ..OpenSpec::default()
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn run(instance: &Arc<Instance>, sql: &str) -> Result<(), Error> {
    Connection::new(instance).unwrap().execute_batch(sql)
}

fn text(instance: &Arc<Instance>, sql: &str) -> String {
    Connection::new(instance).unwrap().query_text(sql, &[]).unwrap().unwrap()
}

#[test]
fn the_servers_location_can_be_read_and_written() {
    let ground = Ground::new("reads");
    let instance = open(&ground.spec(true)).unwrap();
    let sql = format!("SELECT sum(x)::VARCHAR FROM '{}'", ground.path("open/*.csv"));
    assert_eq!(text(&instance, &sql), "3");
    run(&instance, &format!("COPY (SELECT 7 AS y) TO '{}'", ground.path("open/out.parquet")))
        .unwrap();
    let sql = format!("SELECT y::VARCHAR FROM '{}'", ground.path("open/out.parquet"));
    assert_eq!(text(&instance, &sql), "7");
}

#[test]
fn the_lockdown_alone_stops_what_the_policy_would() {
    let ground = Ground::new("stops");
    let closed = |file: &str| ground.path(&format!("closed/{file}"));
    let climbing = ground.path("open/../closed/a.csv");
    let cases = [
        format!("SELECT * FROM '{}'", closed("a.csv")),
        format!("SELECT * FROM '{}'", closed("a.json")),
        format!("SELECT * FROM '{}'", closed("a.parquet")),
        format!("SELECT * FROM '{climbing}'"),
        format!("SELECT * FROM read_text('file://{}')", closed("a.csv")),
        format!("SELECT * FROM read_blob('{}')", closed("a.csv")),
        format!("SELECT * FROM read_csv('{}', store_rejects => true)", closed("a.csv")),
        format!("SELECT * FROM sniff_csv('{}')", closed("a.csv")),
        format!("SELECT * FROM parquet_metadata('{}')", closed("a.parquet")),
        format!("SELECT * FROM glob('{}')", closed("*")),
        format!("SELECT * FROM query('FROM ''{}''')", closed("a.csv")),
        format!("SELECT * FROM query_table('{}')", closed("a.csv")),
        format!("SELECT * FROM read_duckdb('{}', table_name => 't')", closed("a.db")),
        format!("COPY (SELECT 1) TO '{}'", closed("out.csv")),
        format!("CREATE TABLE c AS FROM '{}'", closed("a.csv")),
        format!("CREATE TABLE d (x INTEGER); COPY d FROM '{}'", closed("a.csv")),
        format!("ATTACH '{}' AS b", closed("a.db")),
        format!("ATTACH '{}' AS b (READ_ONLY)", closed("a.db")),
        format!("EXPORT DATABASE '{}'", closed("export")),
        format!("SET allowed_directories = ['{}']", closed("")),
        format!("SET temp_directory = '{}'", closed("spill")),
        format!("SET secret_directory = '{}'", closed("")),
        format!("SET log_query_path = '{}'", closed("log")),
        "SET enable_external_access = false".into(),
        "SET lock_configuration = false".into(),
        "SET threads = 1".into(),
        "SET GLOBAL memory_limit = '1GB'".into(),
        "RESET memory_limit".into(),
        "SET custom_extension_repository = 'http://127.0.0.1:1'".into(),
        "SET autoload_known_extensions = true".into(),
        "SET allowed_configs = ['threads']".into(),
        "SET default_secret_storage = 'local_file'".into(),
        "PRAGMA enable_profiling = 'json'".into(),
    ];
    let locked = open(&ground.spec(true)).unwrap();
    for sql in &cases {
        let error = run(&locked, sql).expect_err(sql);
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Permission | ErrorKind::InvalidInput | ErrorKind::Configuration
            ),
            "{sql}: {error:?}"
        );
        run(&open(&ground.spec(false)).unwrap(), sql)
            .unwrap_or_else(|error| panic!("proves nothing: {sql}: {error}"));
        let _ = std::fs::remove_dir_all(closed("export"));
    }
    assert!(!locked.is_broken());
    // This one reports the refusal in its result.
    let sql = format!("SELECT json_serialize_plan('FROM ''{}''')", closed("a.csv"));
    assert!(text(&locked, &sql).contains("Cannot access file"));
    assert!(!text(&open(&ground.spec(false)).unwrap(), &sql).contains("Cannot access file"));
}

#[test]
fn nothing_is_installed_loaded_or_attached() {
    let ground = Ground::new("loads");
    let instance = open(&ground.spec(true)).unwrap();
    for sql in [
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/nonexistent/httpfs.duckdb_extension'",
        "SET allow_community_extensions = true",
        "SET allow_unsigned_extensions = true",
    ] {
        let error = run(&instance, sql).expect_err(sql);
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Permission | ErrorKind::InvalidInput | ErrorKind::Configuration
            ),
            "{sql}: {error:?}"
        );
    }
    // Not even a superuser's instance takes unsigned extensions once it is open.
    let instance = open(&ground.spec(false)).unwrap();
    for sql in ["SET allow_unsigned_extensions = true", "SET allow_community_extensions = true"] {
        assert!(run(&instance, sql).is_err(), "{sql}");
    }
    // Nor does it fetch any by itself.
    let error = run(&instance, "SELECT * FROM 's3://bucket/x.parquet'").unwrap_err();
    assert!(error.message().contains("httpfs"), "{error}");
}

#[test]
fn no_secret_is_kept_on_disk() {
    let ground = Ground::new("secrets");
    for sandboxed in [true, false] {
        let instance = open(&ground.spec(sandboxed)).unwrap();
        let error = run(&instance, "CREATE PERSISTENT SECRET (TYPE http, BEARER_TOKEN 'x')");
        assert!(error.is_err());
        assert!(run(&instance, "FROM duckdb_secrets(redact => false)").is_err());
    }
}

#[test]
fn a_role_without_servers_computes_but_reads_nothing() {
    let ground = Ground::new("nothing");
    let spec = OpenSpec { servers: vec![], ..ground.spec(true) };
    let instance = open(&spec).unwrap();
    assert_eq!(text(&instance, "SELECT sum(range)::VARCHAR FROM range(4)"), "6");
    assert!(run(&instance, &format!("FROM '{}'", ground.path("open/a.csv"))).is_err());
    run(&instance, "CREATE TABLE t AS SELECT 1").unwrap();
}

#[test]
fn settings_are_as_wanted_and_the_time_zone_stays_settable() {
    let ground = Ground::new("settings");
    let instance = open(&ground.spec(true)).unwrap();
    let setting =
        |name: &str| text(&instance, &format!("SELECT current_setting('{name}')::VARCHAR"));
    assert_eq!(setting("TimeZone"), "Asia/Tokyo");
    assert_eq!(setting("threads"), "2");
    assert_eq!(setting("memory_limit"), "200.0 MiB");
    assert_eq!(setting("max_temp_directory_size"), "1.0 GiB");
    assert_eq!(setting("autoload_known_extensions"), "false");
    assert_eq!(setting("autoinstall_known_extensions"), "false");
    assert_eq!(setting("allow_unsigned_extensions"), "false");
    assert_eq!(setting("allow_community_extensions"), "false");
    assert_eq!(setting("allow_persistent_secrets"), "false");
    assert_eq!(setting("custom_user_agent"), "pg_pond");
    assert_eq!(setting("lock_configuration"), "true");
    let connection = Connection::new(&instance).unwrap();
    connection.execute("SET TimeZone = 'UTC'").unwrap();
    let now = connection.query_text("SELECT current_setting('TimeZone')", &[]).unwrap();
    assert_eq!(now.as_deref(), Some("UTC"));
    assert_eq!(setting("TimeZone"), "Asia/Tokyo");
    duck::open::measure_progress(&connection).unwrap();
}

#[test]
fn an_ordinary_role_spills_to_the_temporary_directory() {
    let ground = Ground::new("spills");
    let spec = OpenSpec { memory_limit_bytes: Some(60 << 20), ..ground.spec(true) };
    let instance = open(&spec).unwrap();
    let sql =
        "SELECT count(*)::VARCHAR FROM (SELECT DISTINCT range, hash(range) FROM range(5000000))";
    assert_eq!(text(&instance, sql), "5000000");
}

#[test]
fn rows_are_shipped_to_an_ordinary_roles_instance_and_spill() {
    let ground = Ground::new("shipped");
    let spec = OpenSpec { memory_limit_bytes: Some(100 << 20), ..ground.spec(true) };
    let instance = open(&spec).unwrap();
    let connection = Connection::new(&instance).unwrap();
    let types = [LogicalType::BigInt, LogicalType::Uuid, LogicalType::Uuid].into();
    let table = TempTable::new(1, types);
    table.create(&connection).unwrap();
    let mut appender = Appender::new(&connection, &table).unwrap();
    let mut random = 1_u128;
    for chunk in 0..2000 {
        let mut rows = RowChunk::new(table.types()).unwrap();
        for row in 0..2048 {
            let columns = rows.columns_mut();
            columns[0].push_i64(chunk * 2048 + row);
            for column in &mut columns[1..] {
                random = random.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645) + 1;
                column.push_uuid(random.to_be_bytes());
            }
            rows.end_row();
        }
        appender.append(&rows).unwrap();
    }
    appender.flush().unwrap();
    let spilled = std::fs::read_dir(ground.path("spill")).unwrap().count();
    assert!(spilled > 0, "160 MB fit into 100 MB");
    let sql = format!(
        "SELECT (count(*), sum(c0), (SELECT sum(x) FROM '{}'))::VARCHAR FROM temp.pond_shipped_1",
        ground.path("open/a.csv")
    );
    check_query(&connection, &Policy::new(&spec), &sql, &[]).unwrap();
    let found = connection.query_text(&sql, &[]).unwrap();
    assert_eq!(found.as_deref(), Some("(4096000, 8388605952000, 3)"));
    assert!(run(&instance, "FROM temp.pond_shipped_1").is_err());
}
