//! A TCP proxy between a client and Postgres without encryption: loses the answer to a COMMIT,
//! takes clauses out of the SQL that is sent, or gives each transaction another server session,
//! as a pooler does.

#![expect(clippy::expect_used, reason = "a test without a port is to stop")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy does to what it carries.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Lose the answer to the COMMIT of the n-th transaction in which this text is sent: the
    /// server carries it out, the client's connection breaks.
    pub lose_commit_of: Option<(String, u32)>,
    /// Overwrite this text with blanks wherever it is sent: SQL with a clause deleted.
    pub blank: Option<String>,
    /// How many server sessions a client has, a transaction on each in turn; 0 is 1. The login
    /// must need no password.
    pub sessions: usize,
}

/// A proxy on a port of its own; it ends with the process.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    rules: Rules,
    seen: AtomicU32,
    lost: AtomicU32,
}

impl Proxy {
    /// Starts one in front of the server with this URL.
    ///
    /// # Panics
    /// If no port can be had.
    pub async fn start(url: &str, rules: Rules) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { rules, seen: AtomicU32::new(0), lost: AtomicU32::new(0) });
        let (server, carried) = (address(url).to_owned(), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, shared) = (server.clone(), Arc::clone(&carried));
                tokio::spawn(async move { carry(client, &server, &shared).await });
            }
        });
        Self { port, shared }
    }

    /// The same URL, by way of the proxy.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        url.replacen(address(url), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// How many answers were lost.
    #[must_use]
    pub fn answers_lost(&self) -> u32 {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

/// The `host:port` of a URL.
fn address(url: &str) -> &str {
    let rest = url.split_once('@').map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

async fn carry(client: TcpStream, server: &str, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let startup = packet(&mut from_client, 0).await?;
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for index in 0..shared.rules.sessions.max(1) {
        let (mut reader, writer) = session(server, &startup).await?;
        if index > 0 {
            while packet(&mut reader, 1).await?[0] != b'Z' {}
        }
        readers.push(reader);
        writers.push(writer);
    }
    let (current, losing) = (AtomicUsize::new(0), AtomicBool::new(false));
    let requests = requests(&mut from_client, &mut writers, &current, &losing, shared);
    let answers = answers(&mut to_client, &mut readers, &current, &losing, shared);
    tokio::select! { ended = requests => ended, ended = answers => ended }
}

async fn session(server: &str, startup: &[u8]) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let (reader, mut writer) = server.into_split();
    writer.write_all(startup).await?;
    Ok((reader, writer))
}

async fn requests(
    client: &mut OwnedReadHalf,
    servers: &mut [OwnedWriteHalf],
    current: &AtomicUsize,
    losing: &AtomicBool,
    shared: &Shared,
) -> io::Result<()> {
    let mut marked = false;
    loop {
        let mut sent = packet(client, 1).await?;
        if let Some(text) = &shared.rules.blank {
            blank(&mut sent, text.as_bytes());
        }
        let lose = shared.rules.lose_commit_of.as_ref();
        marked |= lose.is_some_and(|(text, _)| find(&sent, text.as_bytes()).is_some());
        if marked && sent[0] == b'Q' && find(&sent, b"COMMIT\0").is_some() {
            marked = false;
            let nth = shared.seen.fetch_add(1, Ordering::SeqCst) + 1;
            losing.store(lose.is_some_and(|(_, wanted)| *wanted == nth), Ordering::SeqCst);
        }
        servers[current.load(Ordering::SeqCst)].write_all(&sent).await?;
    }
}

async fn answers(
    client: &mut OwnedWriteHalf,
    servers: &mut [OwnedReadHalf],
    current: &AtomicUsize,
    losing: &AtomicBool,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let place = current.load(Ordering::SeqCst);
        let answer = packet(&mut servers[place], 1).await?;
        if losing.load(Ordering::SeqCst) && answer[0] == b'C' {
            shared.lost.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        // Ready for the next query, and in no transaction: the next may go elsewhere.
        if answer[0] == b'Z' && answer.last() == Some(&b'I') {
            current.store((place + 1) % servers.len(), Ordering::SeqCst);
        }
        client.write_all(&answer).await?;
    }
}

/// One message, header included; `kind` bytes come before its length.
async fn packet(from: &mut OwnedReadHalf, kind: usize) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; kind + 4];
    from.read_exact(&mut packet).await?;
    let length =
        u32::from_be_bytes([packet[kind], packet[kind + 1], packet[kind + 2], packet[kind + 3]]);
    let length = usize::try_from(length).map_err(io::Error::other)?.max(4);
    packet.resize(kind + length, 0);
    from.read_exact(&mut packet[kind + 4..]).await?;
    Ok(packet)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn blank(packet: &mut [u8], text: &[u8]) {
    while let Some(at) = find(packet, text) {
        packet[at..at + text.len()].fill(b' ');
    }
}
