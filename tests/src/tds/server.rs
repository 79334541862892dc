//! Starting and steering a server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::Duration;

use tokio::sync::Notify;

use super::engine::catalog::Catalog;
use super::engine::state::{Engine, State};
use super::faults::{Counters, Fault, Faults};
use super::net::connection::{Shared, serve};
use super::net::tls::{self, Identity};
use super::types::Coll;

/// What the server does about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// It has no certificate.
    NotSupported,
    /// Clients may encrypt everything, the login only, or nothing.
    #[default]
    Supported,
    /// Everything is encrypted, or the client is turned away.
    Required,
}

/// How to start a server. The default listens on a free port of 127.0.0.1, keeps nothing, and has
/// the login `sa` with [`Options::sa_password`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Password of `sa`.
    pub sa_password: String,
    /// File that keeps every commit, replayed at start; `None` keeps them in memory.
    pub data: Option<PathBuf>,
    /// TLS.
    pub encryption: Encryption,
    /// Certificate chain and key, PEM; `None` makes a self-signed certificate.
    pub identity: Option<(String, String)>,
    /// Names in the self-signed certificate.
    pub names: Vec<String>,
    /// Collation of the server, so of `master`, `tempdb` and temporary tables.
    pub server_collation: String,
    /// Collation of databases created without one. It differs from the server's on purpose: on
    /// servers where it does, comparing an uncollated `#temp` column with a table's is error 468.
    pub database_collation: String,
    /// Databases that exist from the start.
    pub databases: Vec<String>,
    /// Whether those read committed versions instead of waiting (READ_COMMITTED_SNAPSHOT).
    pub read_committed_snapshot: bool,
    /// The largest packet that is granted.
    pub max_packet: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            sa_password: "Str0ng!Passw0rd".to_owned(),
            data: None,
            encryption: Encryption::Supported,
            identity: None,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            server_collation: "Latin1_General_CI_AS".to_owned(),
            database_collation: "SQL_Latin1_General_CP1_CI_AS".to_owned(),
            databases: vec!["test".to_owned()],
            read_committed_snapshot: false,
            max_packet: 32_767,
        }
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server on threads of its own, so it works under any runtime.
    ///
    /// # Errors
    /// The address is taken, the data file cannot be read, a collation or certificate is wrong.
    pub fn start(options: Options) -> io::Result<Handle> {
        let state = state(&options)?;
        let identity = match (&options.identity, options.encryption) {
            (_, Encryption::NotSupported) => None,
            (Some((certificate, key)), _) => {
                Some(Identity { certificate: certificate.clone(), key: key.clone() })
            }
            (None, _) => Some(tls::self_signed(&options.names)?),
        };
        let shared = Arc::new(Shared {
            engine: Arc::new(Engine::new(state)),
            faults: Arc::new(Faults::default()),
            tls: identity.as_ref().map(tls::acceptor).transpose()?,
            encryption: options.encryption,
            max_packet: options.max_packet.clamp(512, 32_767),
            next_session: AtomicI32::new(51),
            closing: Notify::new(),
            threads: std::sync::Mutex::default(),
        });
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("tds-double")
            .enable_all()
            .build()?;
        let accepting = shared.clone();
        runtime.spawn(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(accepting.clone(), tcp));
            }
        });
        Ok(Handle {
            addr,
            sa_password: options.sa_password,
            certificate: identity.map(|i| i.certificate),
            database: options.databases.first().cloned().unwrap_or_else(|| "master".to_owned()),
            shared,
            runtime: Some(runtime),
        })
    }
}

fn state(options: &Options) -> io::Result<State> {
    let coll = |name: &str| {
        Coll::parse(name).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.message))
    };
    let (server, database) = (coll(&options.server_collation)?, coll(&options.database_collation)?);
    let mut catalog = Catalog::new(&options.sa_password, server, database);
    for name in &options.databases {
        catalog.add_database(name, database, 1);
        if let Some(d) = catalog.databases.last_mut() {
            d.read_committed_snapshot = options.read_committed_snapshot;
        }
    }
    let mut state = State::new(catalog);
    if let Some(path) = &options.data {
        state = state.open(path)?;
        // The password that was asked for now holds, whatever the file says.
        let mut catalog = (*state.catalog).clone();
        for l in catalog.logins.iter_mut().filter(|l| l.id == 1) {
            l.password.clone_from(&options.sa_password);
        }
        state.catalog = Arc::new(catalog);
    }
    Ok(state)
}

/// A running server. Dropping it stops it: connections are cut, batches that run go on to their end.
pub struct Handle {
    /// Where it listens.
    pub addr: SocketAddr,
    sa_password: String,
    certificate: Option<String>,
    database: String,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Handle {
    /// `mssql://sa:password@127.0.0.1:port/database`, percent-encoded.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_for("sa", &self.sa_password, &self.database)
    }

    /// The same for another login and database.
    #[must_use]
    pub fn url_for(&self, user: &str, password: &str, database: &str) -> String {
        format!("mssql://{}:{}@{}/{}", encode(user), encode(password), self.addr, encode(database))
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The password of `sa`.
    #[must_use]
    pub fn sa_password(&self) -> &str {
        &self.sa_password
    }

    /// The server's certificate, PEM; `None` without TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Sets a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.set(fault);
    }

    /// Removes all faults and lets go of whatever is held.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Lets what is held under this name go on.
    pub fn release(&self, name: &str) {
        self.shared.faults.release(name);
    }

    /// Waits until something is held under this name; false when the time is over.
    #[must_use]
    pub fn wait_held(&self, name: &str, limit: Duration) -> bool {
        self.shared.faults.wait_held(name, limit)
    }

    /// Sets the server's clock so many milliseconds ahead of this machine's, or behind it.
    pub fn set_clock_ahead(&self, millis: i64) {
        self.shared.engine.lock().clock_ahead = millis;
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.faults.counters()
    }

    /// The text of every batch and procedure call received, in order.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        self.shared.faults.statements()
    }

    /// Forgets the statements received.
    pub fn clear_statements(&self) {
        self.shared.faults.clear_statements();
    }

    /// Waits until no session is open; false when the time is over.
    #[must_use]
    pub fn wait_idle(&self, limit: Duration) -> bool {
        let end = std::time::Instant::now() + limit;
        while self.counters().open_sessions > 0 {
            if std::time::Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Stops the server and waits for batches that run.
    pub fn shutdown(mut self) {
        self.stop();
        let threads =
            self.shared.threads.lock().map(|mut t| std::mem::take(&mut *t)).unwrap_or_default();
        for t in threads {
            // A session's thread that panicked has nothing left to wait for.
            let _ended = t.join();
        }
    }

    fn stop(&mut self) {
        self.shared.faults.close();
        self.shared.closing.notify_waiters();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.shared.engine.changed.notify_all();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
