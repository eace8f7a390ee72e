//! Certificates: a server whose certificate nobody vouches for is refused, unless its own authority
//! is named or the check is switched off. Needs the `openssl` program and the extensions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use duck::open::{OpenSpec, open};
use duck::server::ServerSpec;
use duck::{Connection, Error};

struct TlsServer {
    directory: PathBuf,
    port: u16,
    child: Child,
}

fn openssl(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl TlsServer {
    fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("pg_pond_tls_{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let certificate = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ];
        assert!(openssl(&directory, &certificate).status().unwrap().success());
        // Free a moment ago; nobody else takes ports this fast.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let accept = format!("127.0.0.1:{port}");
        let serve =
            ["s_server", "-accept", &accept, "-cert", "cert.pem", "-key", "key.pem", "-www"];
        let child = openssl(&directory, &serve).spawn().unwrap();
        let started = Instant::now();
        while std::net::TcpStream::connect(&accept).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "openssl s_server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { directory, port, child }
    }

    /// What a role gets from it, with more options of the server.
    fn read(&self, more: &[(&str, &str)]) -> Result<(), Error> {
        let location = format!("https://127.0.0.1:{}/", self.port);
        let mut options = vec![("location", &*location)];
        options.extend(more);
        let spec = OpenSpec {
            extension_directory: std::env::var("DUCKDB_EXTENSION_DIR")
                .expect("DUCKDB_EXTENSION_DIR is not set: this test needs the extensions"),
            sandboxed: true,
            servers: vec![ServerSpec::new("web", Some("http"), &options, &[]).unwrap()],
            http_timeout_seconds: Some(1),
            http_retries: Some(0),
            ..OpenSpec::default()
        };
        let connection = Connection::new(&open(&spec)?)?;
        connection.execute_batch(&format!("FROM read_text('{location}x.txt')"))
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn certificates_are_verified_against_the_named_authority() {
    let server = TlsServer::start();
    let about_certificate = |result: Result<(), Error>| {
        result.err().is_some_and(|error| error.message().contains("SSL"))
    };
    assert!(about_certificate(server.read(&[])));
    let own = server.directory.join("cert.pem").display().to_string();
    assert!(!about_certificate(server.read(&[("ca_cert_file", &own)])));
    assert!(!about_certificate(server.read(&[("verify_ssl", "false")])));
    assert!(about_certificate(server.read(&[("ca_cert_file", "/nonexistent.pem")])));
}
