//! Access to a real S3 store: the sandbox's store with its buckets `lake` and `vault`, whose
//! addresses and keys stand in the environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use duck::open::{Extension, OpenSpec, open};
use duck::policy::{Policy, check_execute, check_listing, check_query};
use duck::server::ServerSpec;
use duck::{Connection, Error, ErrorKind, Instance, Value};

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need the S3 store and the extensions of the sandbox")
    })
}

/// The keys of the sandbox: all rights, read-only on `lake`, read-only on `vault`.
#[derive(Clone, Copy)]
enum Key {
    All,
    Lake,
    Vault,
}

fn server(name: &str, location: &str, key: Key, more: &[(&str, &str)]) -> ServerSpec {
    let (endpoint, region) = (environment("S3_ENDPOINT"), environment("S3_REGION"));
    let prefix = match key {
        Key::All => "S3",
        Key::Lake => "S3_LAKE",
        Key::Vault => "S3_VAULT",
    };
    let key_id = environment(&format!("{prefix}_KEY_ID"));
    let secret = environment(&format!("{prefix}_SECRET"));
    let mut options = vec![
        ("location", location),
        ("endpoint", &endpoint),
        ("region", &region),
        ("url_style", "path"),
        ("use_ssl", "false"),
    ];
    options.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    options.extend(more);
    let mapping = [("key_id", &*key_id), ("secret", &*secret)];
    ServerSpec::new(name, Some("s3"), &options, &mapping).unwrap()
}

fn spec(sandboxed: bool, servers: Vec<ServerSpec>) -> OpenSpec {
    OpenSpec {
        extension_directory: environment("DUCKDB_EXTENSION_DIR"),
        sandboxed,
        servers,
        threads: Some(2),
        http_timeout_seconds: Some(5),
        http_retries: Some(0),
        ..OpenSpec::default()
    }
}

/// Objects of one test: `PREFIX/open/` and `PREFIX/closed/` in lake, `PREFIX/` in vault.
struct Store {
    prefix: String,
}

impl Store {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let store = Self { prefix: format!("duck_test_{}_{number}", std::process::id()) };
        let servers = ["s3://lake", "s3://vault"].map(|l| server(l, l, Key::All, &[]));
        let instance = open(&spec(false, servers.to_vec())).unwrap();
        for (path, value) in [
            (store.lake("open/a.parquet"), 1),
            (store.lake("open/b.parquet"), 2),
            (store.lake("open/c.csv"), 3),
            (store.lake("closed/a.parquet"), 4),
            (store.vault("a.parquet"), 5),
        ] {
            run(&instance, &format!("COPY (SELECT {value} AS x) TO '{path}'")).unwrap();
        }
        store
    }

    fn lake(&self, path: &str) -> String {
        format!("s3://lake/{}/{path}", self.prefix)
    }

    fn vault(&self, path: &str) -> String {
        format!("s3://vault/{}/{path}", self.prefix)
    }

    /// An ordinary role with a server over `open/`.
    fn reader(&self) -> OpenSpec {
        spec(true, vec![server("open", &self.lake("open"), Key::Lake, &[])])
    }
}

fn run(instance: &Arc<Instance>, sql: &str) -> Result<(), Error> {
    Connection::new(instance).unwrap().execute_batch(sql)
}

/// The sum of column x.
fn sum(instance: &Arc<Instance>, path: &str) -> Result<String, Error> {
    let sql = format!("SELECT sum(x)::VARCHAR FROM '{path}'");
    Connection::new(instance).unwrap().query_text(&sql, &[]).map(Option::unwrap)
}

fn check(instance: &Arc<Instance>, policy: &Policy, sql: &str) -> Result<(), Error> {
    check_query(&Connection::new(instance).unwrap(), policy, sql, &[]).map(drop)
}

#[test]
fn a_role_reads_its_prefix_with_globs() {
    let store = Store::new();
    let spec = store.reader();
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    for (path, total) in [("open/*.parquet", "3"), ("open/a.parquet", "1"), ("**/*.csv", "3")] {
        let path = store.lake(path).replace("/**/", "/open/**/");
        check(&instance, &policy, &format!("FROM '{path}'")).unwrap();
        assert_eq!(sum(&instance, &path).unwrap(), total, "{path}");
    }
    let connection = Connection::new(&instance).unwrap();
    let path = [Value::Varchar(store.lake("open/b.parquet"))];
    let sql = "SELECT x::VARCHAR FROM read_parquet($1)";
    check_query(&connection, &policy, sql, &path).unwrap();
    assert_eq!(connection.query_text(sql, &path).unwrap().as_deref(), Some("2"));
}

#[test]
fn other_prefixes_and_buckets_are_closed_twice() {
    let store = Store::new();
    // With keys that could read everything, so that only the fences stand between.
    let servers = vec![server("open", &store.lake("open"), Key::All, &[])];
    let spec = spec(true, servers);
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    assert_eq!(sum(&instance, &store.lake("open/a.parquet")).unwrap(), "1");
    for path in [
        store.lake("closed/a.parquet"),
        store.lake("*/a.parquet"),
        store.vault("a.parquet"),
        store.lake("open/a.parquet").replace("s3://", "s3a://"),
        store.lake("open/a.parquet").replace("s3://", "s3n://"),
        store.lake("open/a.parquet").replace("s3://", "gcs://"),
        store.lake("open/a.parquet").replace("s3://", "r2://"),
        format!("http://{}/lake/{}/open/a.parquet", environment("S3_ENDPOINT"), store.prefix),
    ] {
        let error = check(&instance, &policy, &format!("FROM '{path}'")).expect_err(&path);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{path}");
        let error = sum(&instance, &path).expect_err(&path);
        assert_eq!(error.kind(), ErrorKind::Permission, "{path}: {error}");
    }
}

#[test]
fn dot_segments_are_closed_by_the_policy() {
    let store = Store::new();
    let spec = spec(true, vec![server("open", &store.lake("open"), Key::All, &[])]);
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    for path in ["open/../closed/a.parquet", "open/%2e%2e/closed/a.parquet", "open/./a.parquet"] {
        let path = store.lake(path);
        let error = check(&instance, &policy, &format!("FROM '{path}'")).expect_err(&path);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{path}");
        // Whatever the store makes of it, the other object does not come.
        let got = sum(&instance, &path);
        assert_ne!(got.as_deref(), Ok("4"), "{path}");
    }
}

/// A server that answers nothing and tells what it was asked.
fn listener() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap_or(0);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            if sender.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                break;
            }
        }
    });
    (port, receiver)
}

/// DuckDB's lockdown does not stop this one: the policy alone does.
#[test]
fn url_parameters_cannot_redirect_a_signed_request() {
    let store = Store::new();
    let spec = store.reader();
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    let (port, asked) = listener();
    let path = format!("{}?s3_endpoint=127.0.0.1:{port}", store.lake("open/a.parquet"));
    for sql in [format!("FROM '{path}'"), format!("FROM read_parquet(['{path}'])")] {
        let error = check(&instance, &policy, &sql).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed);
    }
    let statement = format!("COPY (SELECT 1) TO '{path}'");
    let connection = Connection::new(&instance).unwrap();
    assert!(check_execute(&connection, &policy, &statement, &[]).is_err());
    assert!(asked.try_recv().is_err(), "the checks ask nobody");
    // Without the policy the signed request goes out: this is what the check is for.
    assert!(sum(&instance, &format!("{path}&x.parquet")).is_err());
    let _ = connection.execute_batch(&format!("FROM read_parquet('{path}')"));
    let request = asked.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(request.contains("AWS4-HMAC-SHA256"), "{request}");
}

/// Whoever may write below a location can make such a key; its readers must not follow it.
#[test]
fn a_key_with_url_parameters_is_refused_where_a_pattern_matches_it() {
    let store = Store::new();
    let (port, asked) = listener();
    let key = store.lake(&format!("open/odd/x.csv?s3_endpoint=127.0.0.1:{port}"));
    let writer = open(&spec(false, vec![server("w", "s3://lake", Key::All, &[])])).unwrap();
    let connection = Connection::new(&writer).unwrap();
    // With this setting the whole text is the key.
    connection.execute_batch("SET s3_url_compatibility_mode = true").unwrap();
    connection.execute_batch(&format!("COPY (SELECT 1 AS a) TO '{key}' (FORMAT csv)")).unwrap();
    let spec = store.reader();
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    let connection = Connection::new(&instance).unwrap();
    let pattern = store.lake("open/odd/*");
    let sql = format!("FROM read_csv('{pattern}')");
    let verdict = check_query(&connection, &policy, &sql, &[]).unwrap();
    assert_eq!(verdict.patterns, [pattern.as_str()]);
    let error = check_listing(&connection, &policy, &pattern).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAllowed);
    assert!(asked.try_recv().is_err(), "the check asks nobody else");
    // What it protects from.
    let _ = connection.execute_batch(&sql);
    let request = asked.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(request.contains("AWS4-HMAC-SHA256"), "{request}");
    check_listing(&connection, &policy, &store.lake("open/*.parquet")).unwrap();
}

#[test]
fn each_server_uses_its_own_keys() {
    let store = Store::new();
    let both = |lake, vault| {
        spec(
            true,
            vec![
                server("l", &store.lake(""), lake, &[]),
                server("v", &store.vault(""), vault, &[]),
            ],
        )
    };
    let instance = open(&both(Key::Lake, Key::Vault)).unwrap();
    assert_eq!(sum(&instance, &store.lake("open/a.parquet")).unwrap(), "1");
    assert_eq!(sum(&instance, &store.vault("a.parquet")).unwrap(), "5");
    let instance = open(&both(Key::Vault, Key::Lake)).unwrap();
    for path in [store.lake("open/a.parquet"), store.vault("a.parquet")] {
        let error = sum(&instance, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Http, "{error}");
        assert!(error.message().contains("403"), "{error}");
    }
}

#[test]
fn writing_needs_a_writable_server_and_keys_that_may() {
    let store = Store::new();
    let target = store.lake("open/new.parquet");
    let statement = format!("COPY (SELECT 9 AS x) TO '{target}' (FORMAT parquet)");
    let try_with = |key, writable| {
        let options = [("writable", writable)];
        let spec = spec(true, vec![server("open", &store.lake("open"), key, &options)]);
        let instance = open(&spec).unwrap();
        let connection = Connection::new(&instance).unwrap();
        let statement = check_execute(&connection, &Policy::new(&spec), &statement, &[])?;
        connection.execute(&statement)?;
        sum(&instance, &target)
    };
    assert_eq!(try_with(Key::All, "false").unwrap_err().kind(), ErrorKind::NotAllowed);
    let error = try_with(Key::Lake, "true").unwrap_err();
    assert!(error.message().contains("403"), "{error}");
    assert_eq!(try_with(Key::All, "true").unwrap(), "9");
}

#[test]
fn secrets_show_nowhere() {
    let store = Store::new();
    let secret = environment("S3_LAKE_SECRET");
    let spec = store.reader();
    let instance = open(&spec).unwrap();
    let connection = Connection::new(&instance).unwrap();
    for sql in [
        "SELECT string_agg(s::VARCHAR, ' ') FROM duckdb_secrets() s",
        "SELECT string_agg(s::VARCHAR, ' ') FROM duckdb_settings() s",
        "SELECT string_agg(s::VARCHAR, ' ') FROM which_secret('s3://lake/x', 's3') s",
        "SELECT current_setting('s3_secret_access_key')::VARCHAR",
        "SELECT string_agg(s::VARCHAR, ' ') FROM duckdb_logs() s",
    ] {
        let text = connection.query_text(sql, &[]).ok().flatten().unwrap_or_default();
        assert!(!text.contains(&secret), "{sql}");
    }
    assert!(connection.query_text("SELECT * FROM duckdb_secrets(redact => false)", &[]).is_err());
    assert!(!format!("{spec:?} {:?}", Policy::new(&spec).readable()).contains(&secret));
}

#[test]
fn errors_of_wrong_keys_and_missing_places_are_clear_and_hold_no_secret() {
    let store = Store::new();
    let with = |mapping: &[(&str, &str)], options: &[(&str, &str)]| {
        let endpoint = environment("S3_ENDPOINT");
        let location = store.lake("open");
        let mut all = vec![
            ("location", &*location),
            ("region", "garage"),
            ("url_style", "path"),
            ("use_ssl", "false"),
        ];
        if options.is_empty() {
            all.push(("endpoint", &endpoint));
        }
        all.extend(options);
        let server = ServerSpec::new("s", Some("s3"), &all, mapping).unwrap();
        sum(&open(&spec(true, vec![server])).unwrap(), &store.lake("open/a.parquet")).unwrap_err()
    };
    let key_id = environment("S3_LAKE_KEY_ID");
    for (mapping, part) in [
        (vec![("key_id", &*key_id), ("secret", "hunter2hunter2")], "403"),
        (vec![("key_id", "GK0"), ("secret", "hunter2hunter2")], "403"),
        (vec![], "403"),
    ] {
        let error = with(&mapping, &[]);
        assert_eq!(error.kind(), ErrorKind::Http, "{error}");
        assert!(error.message().contains(part), "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
    // Nobody listens there.
    let error = with(&[], &[("endpoint", "127.0.0.1:1")]);
    assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Http), "{error:?}");
    let instance = open(&store.reader()).unwrap();
    let error = sum(&instance, &store.lake("open/nosuch.parquet")).unwrap_err();
    assert!(error.message().contains("404"), "{error}");
    let error = sum(&instance, &store.lake("open/nosuch*.parquet")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

/// The lockdown leaves secrets open; the policy does not.
#[test]
fn secrets_cannot_be_made_or_replaced_through_the_policy() {
    let store = Store::new();
    let spec = store.reader();
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    let connection = Connection::new(&instance).unwrap();
    for sql in [
        "CREATE OR REPLACE TEMPORARY SECRET \"server open\" (TYPE s3, ENDPOINT 'evil', SCOPE 's3://lake/')",
        "DROP SECRET \"server open\"",
        "CREATE SECRET (TYPE s3, ENDPOINT 'evil')",
    ] {
        assert!(check_query(&connection, &policy, sql, &[]).is_err());
        assert!(check_execute(&connection, &policy, sql, &[]).is_err());
    }
}

#[test]
fn a_refused_secret_names_the_server_only() {
    // There is no such profile from which DuckDB could take keys.
    let options = [
        ("location", "s3://b"),
        ("provider", "credential_chain"),
        ("chain", "sso"),
        ("profile", "no-such-profile"),
    ];
    let refused = ServerSpec::new("refused", Some("s3"), &options, &[]).unwrap();
    let error = open(&spec(true, vec![refused])).err().unwrap();
    assert_eq!(error.message(), "DuckDB refuses the options of server \"refused\"");
}

#[test]
fn servers_whose_names_differ_in_case_have_secrets_of_their_own() {
    let store = Store::new();
    let one = |name, key| server(name, &store.lake("open"), key, &[]);
    open(&spec(true, vec![one("twice", Key::Lake), one("TWICE", Key::Lake)])).unwrap();
}

#[test]
fn the_other_remote_types_make_secrets_that_duckdb_takes() {
    let make = |server_type, options: &[(&str, &str)], mapping: &[(&str, &str)]| {
        let server = ServerSpec::new("x", Some(server_type), options, mapping).unwrap();
        open(&spec(true, vec![server])).unwrap_or_else(|e| panic!("{server_type}: {e}"));
    };
    let keys = [("key_id", "a'b"), ("secret", "c\"d"), ("session_token", "e")];
    let headers = ("extra_http_headers", r#"{"X-A": "it's", "X-B": "2"}"#);
    make(
        "s3",
        &[
            ("location", "s3://b"),
            ("endpoint", "h:1"),
            ("region", "eu-1"),
            ("url_style", "vhost"),
            ("use_ssl", "on"),
            ("verify_ssl", "no"),
            ("kms_key_id", "k"),
            ("requester_pays", "1"),
            ("http_proxy", "p:1"),
        ],
        &[&keys[..], &[headers, ("http_proxy_username", "u"), ("http_proxy_password", "p")]]
            .concat(),
    );
    make("gcs", &[("location", "gs://b")], &keys[..2]);
    make("gcs", &[("location", "gcs://b")], &[("bearer_token", "t")]);
    make("r2", &[("location", "r2://b"), ("account_id", "abc")], &keys[..2]);
    make(
        "http",
        &[("location", "https://h/x"), ("verify_ssl", "false")],
        &[("bearer_token", "t"), headers],
    );
    make("http", &[("location", "http://h")], &[("username", "u"), ("password", "p")]);
}

/// A server of HTTP files that answers one request and hands it over.
#[test]
fn http_servers_send_their_credentials_to_their_location_only() {
    let (port, asked) = listener();
    let location = format!("http://127.0.0.1:{port}/data");
    let options = [("location", &*location)];
    let mapping = [("username", "aladdin"), ("password", "opensesame")];
    let server = ServerSpec::new("web", Some("http"), &options, &mapping).unwrap();
    let instance = open(&spec(true, vec![server])).unwrap();
    assert!(run(&instance, &format!("FROM read_text('{location}/x.txt')")).is_err());
    let request = asked.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(request.contains("YWxhZGRpbjpvcGVuc2VzYW1l"), "{request}");
    while asked.try_recv().is_ok() {}
    let (other, silent) = listener();
    for place in
        [format!("http://127.0.0.1:{port}/x.txt"), format!("http://127.0.0.1:{other}/data/x")]
    {
        let error = run(&instance, &format!("FROM read_text('{place}')")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    }
    assert!(asked.try_recv().is_err() && silent.try_recv().is_err());
}

/// With every extension loaded, the functions that stay closed are really there.
#[test]
fn functions_of_extensions_are_closed_unless_listed() {
    let store = Store::new();
    use Extension::*;
    let all =
        vec![Aws, Azure, Avro, Iceberg, Delta, Excel, PostgresScanner, SqliteScanner, Ducklake];
    let spec = OpenSpec { extra_extensions: all, ..store.reader() };
    let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
    let connection = Connection::new(&instance).unwrap();
    let sql = "SELECT string_agg(DISTINCT function_name, ' ') FROM duckdb_functions() \
               WHERE function_type IN ('table', 'table_macro')";
    let names = connection.query_text(sql, &[]).unwrap().unwrap();
    for name in [
        "postgres_scan",
        "postgres_query",
        "postgres_execute",
        "postgres_attach",
        "sqlite_scan",
        "sqlite_query",
        "sqlite_attach",
        "load_aws_credentials",
        "iceberg_to_ducklake",
        "copy_dir",
        "ducklake_cleanup_old_files",
        "ducklake_add_data_files",
        "read_postgres_binary",
    ] {
        assert!(names.split(' ').any(|n| n == name), "{name} is gone: drop it from this list");
        let sql = format!("SELECT * FROM {name}('s3://lake/x')");
        let error = check_query(&connection, &policy, &sql, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{name}");
    }
    for name in ["iceberg_scan", "delta_scan", "read_xlsx", "read_avro"] {
        assert!(names.split(' ').any(|n| n == name), "{name}");
    }
}

/// Functions that DuckDB's lockdown does not stop. When one of these cases fails because DuckDB has
/// closed the hole, drop the case.
#[test]
fn holes_of_the_lockdown_are_closed_by_the_policy() {
    let store = Store::new();
    let directory = std::env::temp_dir().join(format!("pg_pond_holes_{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let place = |file: &str| directory.join(file).display().to_string();
    // An empty file is an empty SQLite database.
    std::fs::write(place("new.db"), "").unwrap();
    use Extension::*;
    for (extensions, sql) in [
        (vec![Delta], format!("SELECT write_blob('{}', 'x'::BLOB)", place("blob"))),
        (vec![SqliteScanner], format!("CALL sqlite_attach('{}')", place("new.db"))),
        (vec![Aws], "CALL load_aws_credentials()".into()),
        (vec![], "CREATE OR REPLACE SECRET \"server open\" (TYPE s3)".into()),
        (vec![], "ATTACH ':memory:' AS other".into()),
        (vec![], "CALL enable_logging(storage = 'stdout')".into()),
        (
            vec![],
            format!(
                "CALL enable_logging(storage = 'file', storage_config = {{'path': '{}'}})",
                place("log")
            ),
        ),
    ] {
        let spec = OpenSpec { extra_extensions: extensions, ..store.reader() };
        let (instance, policy) = (open(&spec).unwrap(), Policy::new(&spec));
        let connection = Connection::new(&instance).unwrap();
        let error = check_query(&connection, &policy, &sql, &[]).expect_err(&sql);
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{sql}");
        assert!(check_execute(&connection, &policy, &sql, &[]).is_err(), "{sql}");
        run(&instance, &sql).unwrap_or_else(|error| panic!("closed by DuckDB: {sql}: {error}"));
    }
    assert!(directory.join("blob").exists(), "write_blob writes no more");
    std::fs::remove_dir_all(&directory).unwrap();
}
