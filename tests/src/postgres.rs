//! The Postgres that the tests run against: `ETL_TEST_PG_URL` when set, otherwise a cluster of
//! this process alone, thrown away when the process ends, however it ends.
//!
//! Of a server at `ETL_TEST_PG_URL` the tests want a superuser's URL,
//! passwords asked of every other role, `max_prepared_transactions` of at least 10; they make
//! databases and roles there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test without a server is to stop")]

pub mod container;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::skips::not_run;

/// A database of its own for one test.
#[derive(Debug, Clone)]
pub struct Database {
    server: String,
    /// Its name.
    pub name: String,
    /// A server of its own, which ends with it.
    _own: Option<Arc<Cluster>>,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Database {
    /// Makes one on the server of this test run.
    ///
    /// # Panics
    /// If there is no server and none can be started: without one no test of Postgres means
    /// anything.
    pub async fn new() -> Self {
        Self::on(tokio::task::spawn_blocking(server_url).await.expect("the test Postgres")).await
    }

    /// Makes one on a server of its own, where nobody else has transactions; `None` with
    /// `ETL_TEST_PG_URL`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn alone() -> Option<Self> {
        if given("its own server") {
            return None;
        }
        let cluster = tokio::task::spawn_blocking(Cluster::start).await;
        let cluster = cluster.expect("a Postgres of its own");
        let mut database = Self::on(cluster.url()).await;
        database._own = Some(Arc::new(cluster));
        Some(database)
    }

    /// Makes one on the server of this URL, a superuser's without a database.
    async fn on(server: String) -> Self {
        let name = unique("etl_test");
        let mut connection = open(&format!("{server}/postgres")).await;
        run(&mut connection, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Self { server, name, _own: None }
    }

    /// The URL with the superuser's login.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// The URL with another login.
    ///
    /// # Panics
    /// If the server's URL has no login.
    #[must_use]
    pub fn url_as(&self, login: &str) -> String {
        let (_, host) = self.server.split_once('@').expect("a URL with a login");
        format!("postgres://{login}@{host}/{}", self.name)
    }

    /// The `source:` section of a pipeline file, with the superuser's login.
    #[must_use]
    pub fn section(&self) -> Value {
        json!({ "type": "postgres", "url": self.url(), "tls": "disable" })
    }

    /// The `source:` section with another login, such as `user` or `user:password`.
    #[must_use]
    pub fn section_as(&self, login: &str) -> Value {
        json!({ "type": "postgres", "url": self.url_as(login), "tls": "disable" })
    }

    /// A superuser's connection.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn connect(&self) -> PgConnection {
        open(&self.url()).await
    }

    /// Runs statements as superuser.
    ///
    /// # Panics
    /// If one of them fails.
    pub async fn execute(&self, sql: &str) {
        run(&mut self.connect().await, sql).await;
    }

    /// Makes a role that may log in, with a name that nobody else has, and a password.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn role(&self, password: &str) -> String {
        let role = unique("etl_role");
        self.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'")).await;
        role
    }
}

/// A standby of this process' server, `postgres` database; `None` with `ETL_TEST_PG_URL`.
///
/// # Panics
/// If it cannot be started.
pub async fn standby() -> Option<Database> {
    static STANDBY: OnceLock<Cluster> = OnceLock::new();
    if given("a standby") {
        return None;
    }
    let server = tokio::task::spawn_blocking(|| STANDBY.get_or_init(|| cluster().standby()).url());
    let server = server.await.expect("a standby");
    Some(Database { server, name: "postgres".to_owned(), _own: None })
}

fn unique(prefix: &str) -> String {
    format!("{prefix}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs statements.
///
/// # Panics
/// If one of them fails.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    if let Err(error) = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await {
        panic!("{error} in: {sql}");
    }
}

async fn open(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("the test server's URL");
    options.disable_statement_logging().connect().await.expect("the test Postgres")
}

/// The URL of the server of this test run, without a database.
fn server_url() -> String {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| match std::env::var("ETL_TEST_PG_URL") {
        Ok(url) => url.trim_end_matches('/').trim_end_matches("/postgres").to_owned(),
        Err(_) => cluster().url(),
    })
    .clone()
}

/// The certificate of the CA that signed the server's, which is for `localhost`; `None` with
/// `ETL_TEST_PG_URL`.
///
/// # Panics
/// If no server can be started.
#[must_use]
pub fn ca_file() -> Option<PathBuf> {
    (!given("a server with its own CA")).then(|| cluster().folder.join("ca.pem"))
}

/// Whether the tests run on a server that was given to them, where the current one cannot have
/// what it needs.
fn given(needed: &str) -> bool {
    let given = std::env::var_os("ETL_TEST_PG_URL").is_some();
    if given {
        not_run(&format!("it needs {needed}, and ETL_TEST_PG_URL names one server"));
    }
    given
}

/// A running server.
#[derive(Debug)]
struct Cluster {
    folder: PathBuf,
    port: u16,
    /// Lives as long as this process: when its standard input ends, it stops the server.
    _keeper: Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    fn start() -> Self {
        let bin = binaries();
        let folder = std::env::temp_dir().join(unique("etl-postgres"));
        let user = unprivileged();
        certificates(&folder);
        own(user.as_deref(), &folder);
        let output = as_user(user.as_deref(), &bin.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "-D"])
            .arg(folder.join("data"))
            .output()
            .expect("initdb");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        // Roles made by the tests have passwords; the superuser needs none.
        let hba = "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n\
             host replication postgres 127.0.0.1/32 trust\n\
             host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n";
        std::fs::write(folder.join("data/pg_hba.conf"), hba).expect("pg_hba.conf");
        let port = free_port();
        let keeper = keeper(&bin, &folder, user.as_deref(), port);
        wait(&folder, port);
        Self { folder, port, _keeper: keeper }
    }
}

impl Cluster {
    /// The superuser's URL, without a database.
    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Another server that follows this one.
    fn standby(&self) -> Self {
        let bin = binaries();
        let folder = std::env::temp_dir().join(unique("etl-postgres"));
        let user = unprivileged();
        certificates(&folder);
        own(user.as_deref(), &folder);
        let output = as_user(user.as_deref(), &bin.join("pg_basebackup"))
            .args(["--host=127.0.0.1", "--username=postgres", "--write-recovery-conf"])
            .args(["--checkpoint=fast", "--no-sync", &format!("--port={}", self.port), "-D"])
            .arg(folder.join("data"))
            .output()
            .expect("pg_basebackup");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pg_basebackup: {error}");
        let port = free_port();
        let keeper = keeper(&bin, &folder, user.as_deref(), port);
        wait(&folder, port);
        Self { folder, port, _keeper: keeper }
    }
}

fn own(user: Option<&str>, folder: &Path) {
    if let Some(user) = user {
        let status = Command::new("chown").arg("-R").arg(user).arg(folder).status();
        assert!(status.is_ok_and(|status| status.success()), "chown {user}");
    }
}

fn binaries() -> PathBuf {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().expect(
        "no Postgres server was found in /usr/lib/postgresql/*/bin: install the package \
         postgresql, or set ETL_TEST_PG_URL to a superuser's URL of a server to test on",
    )
}

/// The user to run the server as, if this process is root, as which it refuses to run.
fn unprivileged() -> Option<String> {
    let id = Command::new("id").arg("-u").output().expect("id");
    if id.stdout.trim_ascii() != b"0" {
        return None;
    }
    let exists = |user: &&str| {
        Command::new("id").arg(user).output().is_ok_and(|output| output.status.success())
    };
    let user = ["postgres", "nobody"].into_iter().find(exists);
    Some(user.expect("a user postgres or nobody to run the test Postgres as").to_owned())
}

fn as_user(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={user}")).args(["--clear-groups", "--"]).arg(program);
    command
}

/// Starts the server under a shell that stops it and takes its files away once our end of its
/// standard input is closed, which the kernel does even after a SIGKILL.
fn keeper(bin: &Path, folder: &Path, user: Option<&str>, port: u16) -> Child {
    let settings = [
        format!("port={port}"),
        "listen_addresses=localhost,127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", folder.display()),
        "max_prepared_transactions=10".to_owned(),
        "max_connections=200".to_owned(),
        "fsync=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "shared_buffers=64MB".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", folder.join("server.pem").display()),
        format!("ssl_key_file={}", folder.join("server.key").display()),
    ];
    let mut server = as_user(user, &bin.join("postgres"));
    server.arg("-D").arg(folder.join("data"));
    for setting in settings {
        server.arg("-c").arg(setting);
    }
    let log = std::fs::File::create(folder.join("log")).expect("the test Postgres' log");
    Command::new("sh")
        .arg("-c")
        .arg("folder=$1; shift; \"$@\" & read -r _; kill -QUIT $!; wait $!; rm -rf \"$folder\"")
        .arg("keeper")
        .arg(folder)
        .arg(server.get_program())
        .args(server.get_args())
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("sh")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

fn wait(folder: &Path, port: u16) {
    let begun = Instant::now();
    let ready = || {
        std::fs::read_to_string(folder.join("data/postmaster.pid")).is_ok_and(|text| {
            text.lines().last().is_some_and(|line| ["ready", "standby"].contains(&line.trim()))
        })
    };
    while !ready() {
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        let late = begun.elapsed() > Duration::from_secs(60);
        assert!(!late, "the test Postgres on port {port} does not start: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A CA, and a certificate for `localhost` that it signed.
fn certificates(folder: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    std::fs::create_dir_all(folder).expect("a folder for the test Postgres");
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).expect("a certificate's file");
    };
    let key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("a CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&key).expect("a CA's certificate").pem());
    let issuer = Issuer::new(ca, key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("a server");
    write("server.pem", server.signed_by(&key, &issuer).expect("a server's certificate").pem());
    write("server.key", key.serialize_pem());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.join("server.key"), mode).expect("chmod");
}
