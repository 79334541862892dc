//! A TCP proxy between a client and a TDS server without encryption: takes clauses out of the
//! T-SQL that is sent, and loses or alters answers.

#![expect(clippy::expect_used, reason = "a test without a port is to stop")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy does to what it carries.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Lose the answer to the n-th request that holds this text: the server carries it out, the
    /// client's connection breaks.
    pub lose_answer_to: Option<(String, u32)>,
    /// Overwrite this text with blanks wherever it is sent: T-SQL with a clause deleted.
    pub blank: Option<String>,
    /// Overwrite these UTF-16 units in answers, by as many others.
    pub answer: Option<(Vec<u16>, Vec<u16>)>,
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
    /// Starts one in front of `server`, a `host:port`.
    ///
    /// # Panics
    /// If no port can be had.
    pub async fn start(server: &str, rules: Rules) -> Self {
        Self::start_at(0, server, rules).await
    }

    /// Starts one on a port, 0 for a free one.
    ///
    /// # Panics
    /// If the port cannot be had.
    pub async fn start_at(port: u16, server: &str, rules: Rules) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { rules, seen: AtomicU32::new(0), lost: AtomicU32::new(0) });
        let (server, carried) = (server.to_owned(), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, shared) = (server.clone(), Arc::clone(&carried));
                tokio::spawn(async move { carry(client, &server, &shared).await });
            }
        });
        Self { port, shared }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many answers were lost.
    #[must_use]
    pub fn answers_lost(&self) -> u32 {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, server: &str, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let losing = AtomicBool::new(false);
    let requests = async {
        // A request may take several packets; its text is looked at as a whole.
        let mut request = Vec::new();
        loop {
            let mut packet = read_packet(&mut from_client).await?;
            let last = packet[1] & 1 == 1;
            if let Some(text) = &shared.rules.blank {
                overwrite(&mut packet, &utf16(text), &utf16(&" ".repeat(text.len())));
            }
            request.extend_from_slice(&packet[8..]);
            if last && shared.is_to_be_lost(&request) {
                losing.store(true, Ordering::SeqCst);
            }
            if last {
                request.clear();
            }
            to_server.write_all(&packet).await?;
        }
    };
    let answers = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = from_server.read(&mut buffer).await?;
            if count == 0 || losing.load(Ordering::SeqCst) {
                // The first byte of an answer means that the batch was carried out.
                shared.lost.fetch_add(u32::from(count > 0), Ordering::SeqCst);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if let Some((was, is)) = &shared.rules.answer {
                let bytes = |units: &[u16]| {
                    units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>()
                };
                overwrite(&mut buffer[..count], &bytes(was), &bytes(is));
            }
            to_client.write_all(&buffer[..count]).await?;
        }
    };
    let ended: io::Result<()> = tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    };
    ended
}

impl Shared {
    fn is_to_be_lost(&self, request: &[u8]) -> bool {
        let Some((text, nth)) = &self.rules.lose_answer_to else { return false };
        find(request, &utf16(text)).is_some()
            && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    }
}

/// One TDS packet, header included.
async fn read_packet(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 8];
    from.read_exact(&mut packet).await?;
    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]])).max(8);
    packet.resize(length, 0);
    from.read_exact(&mut packet[8..]).await?;
    Ok(packet)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn overwrite(packet: &mut [u8], was: &[u8], is: &[u8]) {
    while let Some(at) = find(packet, was) {
        packet[at..at + was.len()].copy_from_slice(&is[..was.len()]);
    }
}
