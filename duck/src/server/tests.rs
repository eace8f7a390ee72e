use super::*;

const KEYS: &[(&str, &str)] = &[("key_id", "GKabc"), ("secret", "hunter2")];

fn s3(options: &[(&str, &str)], mapping: &[(&str, &str)]) -> Result<ServerSpec, OptionError> {
    let mut all = vec![("location", "s3://acme/sales")];
    all.extend(options);
    ServerSpec::new("sales", Some("s3"), &all, mapping)
}

#[test]
fn unknown_option_names_the_valid_ones() {
    let error = validate(Catalog::Server, &[("locatoin", "s3://b/")]).unwrap_err();
    assert!(matches!(error, OptionError::UnknownName { .. }));
    assert_eq!(error.message(), "invalid option \"locatoin\" for a server");
    assert!(error.hint().unwrap().starts_with("Valid options for a server are: location, "));
    assert!(!error.hint().unwrap().contains("secret"));
    let error = validate(Catalog::Wrapper, &[("x", "y")]).unwrap_err();
    assert_eq!(error.hint(), Some("There are no valid options for a foreign-data wrapper."));
}

#[test]
fn sensitive_option_on_the_server_belongs_in_the_mapping() {
    for name in ["key_id", "secret", "session_token", "bearer_token", "password"] {
        let error = validate(Catalog::Server, &[("location", "s3://b/"), (name, "hunter2")]);
        let error = error.unwrap_err();
        assert!(matches!(error, OptionError::UnknownName { .. }), "{error:?}");
        assert_eq!(error.message(), format!("option \"{name}\" belongs in the user mapping"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn server_option_in_a_mapping_is_refused() {
    let error = validate(Catalog::UserMapping, &[("endpoint", "h")]).unwrap_err();
    assert!(matches!(error, OptionError::UnknownName { .. }));
    assert!(error.hint().unwrap().contains("key_id, secret, session_token"));
}

#[test]
fn bad_values_are_refused() {
    for (name, value) in [
        ("use_ssl", "maybe"),
        ("url_style", "virtual"),
        ("provider", "env"),
        ("endpoint", "http://127.0.0.1:3900"),
        ("endpoint", "h:99999"),
        ("endpoint", "h/p"),
        ("endpoint", "a@h"),
        ("endpoint", ""),
        ("region", "a b"),
        ("region", "a',x"),
        ("chain", "sts;nosuch"),
        ("ca_cert_file", "relative.pem"),
        ("ca_cert_file", "/etc/../x.pem"),
        ("kms_key_id", "a\nb"),
        ("location", "ftp://b/"),
    ] {
        let error = validate(Catalog::Server, &[(name, value)]).unwrap_err();
        assert!(matches!(error, OptionError::InvalidValue { .. }), "{name} {value}: {error:?}");
    }
    let error = validate(Catalog::UserMapping, &[("extra_http_headers", "hunter2")]).unwrap_err();
    assert!(matches!(error, OptionError::InvalidValue { .. }));
    assert!(!format!("{error:?}").contains("hunter2"));
    let injected = r#"{"X": "a\r\nY: hunter2"}"#;
    assert!(validate(Catalog::UserMapping, &[("extra_http_headers", injected)]).is_err());
}

#[test]
fn good_values_pass() {
    validate(
        Catalog::Server,
        &[
            ("location", "s3://acme/sales"),
            ("endpoint", "127.0.0.1:3900"),
            ("endpoint", "[::1]:3900"),
            ("endpoint", "s3.example.com"),
            ("region", "eu-central-1"),
            ("url_style", "path"),
            ("use_ssl", "off"),
        ],
    )
    .unwrap();
    validate(Catalog::UserMapping, KEYS).unwrap();
    validate(Catalog::UserMapping, &[("extra_http_headers", r#"{"X-A": "b"}"#)]).unwrap();
}

#[test]
fn missing_location_is_named() {
    let error = ServerSpec::new("s", Some("s3"), &[], &[]).unwrap_err();
    assert_eq!(error, missing_option(Catalog::Server, "location"));
    assert_eq!(error.message(), "option \"location\" of the server is missing");
}

#[test]
fn unknown_type_lists_the_valid_ones() {
    let error = ServerSpec::new("s", Some("ftp"), &[], &[]).unwrap_err();
    assert_eq!(error.message(), "server type \"ftp\" does not exist");
    assert_eq!(error.hint(), Some("Valid server types are: s3, gcs, r2, http, file, ducklake."));
    let error = ServerSpec::new("s", None, &[], &[]).unwrap_err();
    assert_eq!(error.message(), "a duckdb server needs a type");
}

#[test]
fn location_is_normalised_and_fits_the_type() {
    let location = |server_type, value| {
        ServerSpec::new("s", Some(server_type), &[("location", value)], &[])
            .map(|spec| spec.location().to_owned())
    };
    for (server_type, value, normal) in [
        ("s3", "s3://acme", "s3://acme/"),
        ("s3", "s3://acme/sales", "s3://acme/sales/"),
        ("s3", "s3://acme/sales/", "s3://acme/sales/"),
        ("gcs", "gs://b/x", "gs://b/x/"),
        ("gcs", "gcs://b/x", "gcs://b/x/"),
        ("r2", "r2://b", "r2://b/"),
        ("http", "https://h:8443/a", "https://h:8443/a/"),
        ("http", "http://h", "http://h/"),
        ("file", "/data/lake", "/data/lake/"),
        ("file", "/", "/"),
    ] {
        assert_eq!(location(server_type, value).unwrap(), normal);
    }
    for (server_type, value) in [
        ("s3", "gs://acme/"),
        ("s3", "S3://acme/"),
        ("s3", "s3://"),
        ("s3", "s3:///x"),
        ("s3", "s3://acme//x"),
        ("s3", "s3://acme/../x"),
        ("s3", "s3://acme/%2e%2e/x"),
        ("s3", "s3://acme/*/x"),
        ("s3", "s3://ac me/"),
        ("s3", "s3://acme/x?s3_endpoint=e"),
        ("s3", "/acme"),
        ("http", "http://u:p@h/"),
        ("http", "https:///x"),
        ("http", "ftp://h/"),
        ("file", "data"),
        ("file", "/data/../etc"),
        ("file", "//etc"),
        ("file", "file:///data"),
    ] {
        let error = location(server_type, value).unwrap_err();
        assert!(matches!(error, OptionError::InvalidValue { .. }), "{value}");
    }
}

#[test]
fn options_of_another_type_are_refused() {
    for (server_type, location, option) in [
        ("file", "/data", ("endpoint", "h")),
        ("http", "http://h/", ("region", "x")),
        ("http", "http://h/", ("writable", "true")),
        ("s3", "s3://b/", ("account_id", "x")),
    ] {
        let options = [("location", location), option];
        let error = ServerSpec::new("s", Some(server_type), &options, &[]).unwrap_err();
        assert!(matches!(error, OptionError::UnknownName { .. }), "{error:?}");
        assert!(error.message().ends_with(&format!("of type \"{server_type}\"")), "{error:?}");
    }
    let error = ServerSpec::new("s", Some("file"), &[("location", "/d")], KEYS).unwrap_err();
    assert!(matches!(error, OptionError::UnknownName { .. }));
}

#[test]
fn contradicting_credentials_are_refused() {
    assert!(s3(&[], &[("key_id", "a")]).is_err());
    assert!(s3(&[], &[("secret", "a")]).is_err());
    assert!(s3(&[], &[("session_token", "a")]).is_err());
    assert!(s3(&[("provider", "credential_chain")], KEYS).is_err());
    assert!(s3(&[("chain", "env")], &[]).is_err());
    let http = |mapping: &[(&str, &str)]| {
        ServerSpec::new("h", Some("http"), &[("location", "http://h/")], mapping)
    };
    assert!(http(&[("password", "x")]).is_err());
    assert!(http(&[("username", "u"), ("bearer_token", "x")]).is_err());
    assert!(http(&[("username", "u"), ("password", "x")]).is_ok());
}

#[test]
fn superuser_options_are_named() {
    let server = Catalog::Server;
    assert_eq!(needs_superuser(server, &[("provider", "credential_chain")]), Some("provider"));
    assert_eq!(needs_superuser(server, &[("provider", "config")]), None);
    assert_eq!(needs_superuser(server, &[("ca_cert_file", "/x")]), Some("ca_cert_file"));
    assert_eq!(needs_superuser(server, &[("location", "s3://b/"), ("endpoint", "h")]), None);
}

#[test]
fn local_files_need_the_predefined_roles() {
    let file = |writable| {
        let options = [("location", "/data"), ("writable", writable)];
        ServerSpec::new("f", Some("file"), &options, &[]).unwrap().required_roles()
    };
    assert_eq!(file("false"), ["pg_read_server_files"]);
    assert_eq!(file("true"), ["pg_read_server_files", "pg_write_server_files"]);
    assert!(s3(&[], KEYS).unwrap().required_roles().is_empty());
}

#[test]
fn debug_shows_no_secret() {
    let spec = s3(&[("endpoint", "h")], &[("key_id", "a"), ("secret", "hunter2")]).unwrap();
    assert!(!format!("{spec:?}").contains("hunter2"));
    assert!(!format!("{:?}", spec.create_secret("server a")).contains("hunter2"));
}

#[test]
fn odd_names_and_secrets_are_quoted() {
    let options = [("location", "s3://b/"), ("use_ssl", "off"), ("endpoint", "h:1")];
    let mapping = [("key_id", "k'); DROP"), ("secret", "it's")];
    let spec = ServerSpec::new("a\"; DROP", Some("s3"), &options, &mapping).unwrap();
    assert_eq!(
        spec.create_secret("server a\"; DROP").unwrap().expose(),
        "CREATE TEMPORARY SECRET \"server a\"\"; DROP\" (TYPE s3, SCOPE 's3://b/', use_ssl false, \
         endpoint 'h:1', key_id 'k''); DROP', secret 'it''s')"
    );
}

fn lake(options: &[(&str, &str)], mapping: &[(&str, &str)]) -> Result<LakeSpec, OptionError> {
    LakeSpec::new("lake", options, mapping)
}

#[test]
fn a_lake_is_attached_without_its_secrets() {
    let options = [
        ("host", "db.acme"),
        ("port", "5433"),
        ("dbname", "it's"),
        ("metadata_schema", "m"),
        ("data_path", "s3://b/l"),
        ("sslmode", "require"),
    ];
    let mut lake = lake(&options, &[("user", "u"), ("password", "hunter2")]).unwrap();
    lake.check_password().unwrap();
    let sql = lake.attach(20_001);
    assert!(!sql.contains("hunter2") && !format!("{lake:?}").contains("hunter2"), "{sql}");
    for part in [
        "sslmode=''require''",
        "require_auth=''password,md5,scram-sha-256''",
        "lock_timeout=10000",
        "tcp_user_timeout=''20001''",
        "keepalives_idle=",
        "DATA_PATH 's3://b/l/'",
        "CREATE_IF_NOT_EXISTS false",
        "METADATA_SCHEMA 'm'",
    ] {
        assert!(sql.contains(part), "{sql}");
    }
    let secrets = lake.create_secrets();
    assert_eq!(secrets.len(), 1);
    assert!(secrets[0].expose().contains("password 'hunter2'"));
    assert!(secrets[0].expose().contains("database 'it''s'"));
}

#[test]
fn a_catalog_needs_a_password_unless_somebody_says_otherwise() {
    let options = [("data_path", "s3://b/l")];
    assert!(lake(&options, &[("user", "u")]).unwrap().check_password().is_err());
    let trusting = [("user", "u"), ("password_required", "false")];
    lake(&options, &trusting).unwrap().check_password().unwrap();
    assert_eq!(needs_superuser(Catalog::UserMapping, &trusting), Some("password_required"));
    assert_eq!(needs_superuser(Catalog::UserMapping, &[("password_required", "true")]), None);
}

#[test]
fn what_a_lake_cannot_be_is_refused() {
    let data = ("data_path", "s3://b/l");
    for options in [
        &[][..],
        &[data, ("catalog", "mysql")],
        &[data, ("catalog", "sqlite")],
        &[data, ("path", "/a")],
        &[data, ("catalog", "duckdb"), ("path", "/a"), ("host", "h")],
        &[data, ("port", "x")],
        &[data, ("location", "s3://b/")],
        &[("data_path", "/local"), ("storage", "s")],
    ] {
        assert!(lake(options, &[]).is_err(), "{options:?}");
    }
    for name in ["memory", "TEMP", "__ducklake_metadata_x"] {
        assert!(LakeSpec::new(name, &[data], &[]).is_err(), "{name}");
    }
    let store = ServerSpec::new("s", Some("s3"), &[("location", "s3://other")], &[]).unwrap();
    assert!(lake(&[data], &[]).unwrap().stored_in(store).is_err());
}
