//! A TCP proxy between a client and Postgres without encryption: puts an error in the place of an
//! answer, takes clauses out of the SQL that is sent, or gives each transaction another server
//! session, as a pooler does. What breaks connections is in [`wire`](crate::wire).

#![expect(clippy::expect_used, reason = "a test without a port is to stop")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::frames::find;

/// What the proxy does to what it carries.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Overwrite this text with blanks wherever it is sent: SQL with a clause deleted.
    pub blank: Option<String>,
    /// How many server sessions a client has, a transaction on each in turn; 0 is 1. The login
    /// must need no password.
    pub sessions: usize,
    /// Answer with an error.
    pub refuse: Option<Refusal>,
}

/// An error that the server seems to send.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Where.
    pub at: Place,
    /// The occurrence that it strikes, counted from 1 over all connections; 0 strikes none.
    pub nth: u32,
    /// The SQLSTATE.
    pub code: String,
    /// Whether the session ends with it.
    pub fatal: bool,
}

/// Where a [`Refusal`] strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The start of a session.
    Login,
    /// A message that holds this text.
    Text(String),
    /// The end of the data of a COPY.
    CopyEnd,
    /// The COMMIT of a transaction in which this text is sent; it does not reach the server.
    Commit(String),
    /// The same, after the server carried it out.
    Committed(String),
}

/// A proxy on a port of its own; it ends with the process.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    rules: Rules,
    /// How often the place of the refusal was reached.
    reached: AtomicU32,
}

impl Proxy {
    /// Starts one in front of the server with this URL.
    ///
    /// # Panics
    /// If no port can be had.
    pub async fn start(url: &str, rules: Rules) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { rules, reached: AtomicU32::new(0) });
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

    /// How often the place of the refusal was reached.
    #[must_use]
    pub fn reached(&self) -> u32 {
        self.shared.reached.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Whether an error is to come in the place of the answer to this message, the last one of
    /// what this transaction sent.
    fn refuses(&self, sent: &[u8], transaction: &[u8]) -> bool {
        let Some(Refusal { at, nth, .. }) = &self.rules.refuse else { return false };
        let here = match at {
            Place::Login => sent.is_empty(),
            Place::Text(text) => find(sent, text.as_bytes()).is_some(),
            Place::CopyEnd => sent.first() == Some(&b'c'),
            Place::Commit(text) | Place::Committed(text) => {
                is_commit(sent) && find(transaction, text.as_bytes()).is_some()
            }
        };
        here && self.reached.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    }

    fn refuses_after(&self) -> bool {
        let at = self.rules.refuse.as_ref().map(|refusal| &refusal.at);
        matches!(at, Some(Place::Committed(_)))
    }

    /// Sends the error; after a fatal one nothing more comes, after another nothing but the word
    /// that the session waits.
    async fn refuse(&self, client: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let Some(Refusal { code, fatal, .. }) = &self.rules.refuse else { return Ok(()) };
        let severity = if *fatal { "FATAL" } else { "ERROR" };
        let fields = format!("S{severity}\0V{severity}\0C{code}\0Mset by a test\0\0");
        let length = u32::try_from(fields.len() + 4).map_err(io::Error::other)?;
        let mut answer = vec![b'E'];
        answer.extend_from_slice(&length.to_be_bytes());
        answer.extend_from_slice(fields.as_bytes());
        if !fatal {
            answer.extend_from_slice(&[b'Z', 0, 0, 0, 5, b'E']);
        }
        to.write_all(&answer).await?;
        while !fatal && client.read(&mut [0; 4096]).await? > 0 {}
        Ok(())
    }
}

/// The `host:port` of a URL.
#[must_use]
pub fn address(url: &str) -> &str {
    let rest = url.split_once('@').map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

async fn carry(client: TcpStream, server: &str, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let startup = packet(&mut from_client, 0).await?;
    if shared.refuses(&[], &[]) {
        return shared.refuse(&mut from_client, &mut to_client).await;
    }
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for index in 0..shared.rules.sessions.max(1) {
        let (mut reader, writer) = session(server, &startup).await?;
        if index > 0 {
            while packet(&mut reader, 1).await?[0] != b'Z' {}
        }
        readers.push(reader);
        writers.push(writer);
    }
    let (current, refusing) = (AtomicUsize::new(0), AtomicBool::new(false));
    let on = On { current: &current, refusing: &refusing, shared };
    let requests = requests(&mut from_client, &mut writers, on);
    let answers = answers(&mut to_client, &mut readers, on);
    let ended = tokio::select! { ended = requests => ended, ended = answers => ended };
    if refusing.load(Ordering::SeqCst) {
        return shared.refuse(&mut from_client, &mut to_client).await;
    }
    ended
}

/// What both directions of a connection know.
#[derive(Clone, Copy)]
struct On<'a> {
    /// The server session at work.
    current: &'a AtomicUsize,
    refusing: &'a AtomicBool,
    shared: &'a Shared,
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
    On { current, refusing, shared }: On<'_>,
) -> io::Result<()> {
    // The SQL of the transaction at work.
    let mut transaction = Vec::new();
    loop {
        let mut sent = packet(client, 1).await?;
        if let Some(text) = &shared.rules.blank {
            blank(&mut sent, text.as_bytes());
        }
        if matches!(sent[0], b'P' | b'Q') {
            transaction.extend_from_slice(&sent);
        }
        if shared.refuses(&sent, &transaction) {
            refusing.store(true, Ordering::SeqCst);
            if !shared.refuses_after() {
                return Ok(());
            }
        }
        if is_commit(&sent) {
            transaction.clear();
        }
        servers[current.load(Ordering::SeqCst)].write_all(&sent).await?;
    }
}

async fn answers(
    client: &mut OwnedWriteHalf,
    servers: &mut [OwnedReadHalf],
    On { current, refusing, .. }: On<'_>,
) -> io::Result<()> {
    loop {
        let place = current.load(Ordering::SeqCst);
        let answer = packet(&mut servers[place], 1).await?;
        if refusing.load(Ordering::SeqCst) && answer[0] == b'C' {
            return Ok(());
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

fn is_commit(message: &[u8]) -> bool {
    message.first() == Some(&b'Q') && find(message, b"COMMIT\0").is_some()
}

fn blank(packet: &mut [u8], text: &[u8]) {
    while let Some(at) = find(packet, text) {
        packet[at..at + text.len()].fill(b' ');
    }
}
