//! Certificates made on the spot, and servers that show them to clients, or that meddle with the
//! encryption, while every byte that a client sends is kept.

#![expect(clippy::expect_used, reason = "a test without a port or a key is to stop")]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

/// A certificate and its key, PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Who signs certificates.
pub struct Authority {
    /// Its own certificate, PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Says {
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// A common name.
    pub common_name: Option<String>,
    /// The years in which it is valid.
    pub years: (i32, i32),
    /// Whether it may be a server's; else only a client's.
    pub server: bool,
}

impl Says {
    /// A server's certificate for these names, valid now.
    #[must_use]
    pub fn names(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(ToString::to_string).collect(),
            common_name: None,
            years: (2020, 2120),
            server: true,
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).expect("names");
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        params.extended_key_usages = vec![if self.server {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        }];
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params
    }

    /// Signed by nobody else.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn self_signed(&self) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = self.params().self_signed(&key).expect("a certificate").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("a CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a CA's certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate that says this.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn sign(&self, says: &Says) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let signed = says.params().signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: signed.pem(), key: key.serialize_pem() }
    }
}

/// What stands between a client and a server.
#[derive(Debug, Clone)]
pub enum Between {
    /// Nothing but somebody who listens.
    Listener,
    /// A Postgres whose TLS shows this certificate.
    Postgres(Identity),
    /// Somebody who answers for a Postgres that it has no TLS.
    PostgresWithout,
    /// Somebody who tells both sides of a TDS connection that the other cannot encrypt.
    TdsStripped,
    /// A Postgres that knows TLS 1.0 only.
    PostgresOld,
    /// A TDS server that knows TLS 1.0 only.
    TdsOld,
}

/// A port in front of a server, and what clients sent to it.
pub struct Wire {
    /// The port, on every address of this machine.
    pub port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    /// Opens one in front of `server`, a `host:port`.
    ///
    /// # Panics
    /// If no port can be had.
    pub async fn open(server: &str, between: Between) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (server, kept) = (server.to_owned(), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, between, kept) = (server.clone(), between.clone(), Arc::clone(&kept));
                tokio::spawn(async move { serve(client, &server, between, kept).await });
            }
        });
        Self { port, sent }
    }

    /// Every byte that clients sent, as it was on the wire.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Kept = Arc<Mutex<Vec<u8>>>;

async fn serve(client: TcpStream, server: &str, between: Between, kept: Kept) -> io::Result<()> {
    match between {
        // Behind somebody who listens, so that what was kept is as it was on the wire.
        Between::Postgres(identity) => {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let inner = TcpStream::connect(listener.local_addr()?).await?;
            let (outer, _) = listener.accept().await?;
            let ended = tokio::join!(
                relay(client, inner, kept, |_| {}, |_| {}),
                encrypted_postgres(outer, server, &identity),
            );
            ended.0.and(ended.1)
        }
        Between::Listener => {
            relay(client, TcpStream::connect(server).await?, kept, |_| {}, |_| {}).await
        }
        Between::TdsStripped => {
            let server = TcpStream::connect(server).await?;
            relay(client, server, kept, cannot_encrypt, cannot_encrypt).await
        }
        Between::PostgresWithout => {
            let (mut from, mut to) = client.into_split();
            hear(&mut from, &kept).await?;
            to.write_all(b"N").await?;
            let server = TcpStream::connect(server).await?;
            let client = from.reunite(to).map_err(io::Error::other)?;
            relay(client, server, kept, |_| {}, |_| {}).await
        }
        Between::PostgresOld => old(client, &kept, b"S", |hello| hello).await,
        Between::TdsOld => {
            old(client, &kept, &PRELOGIN, |hello| {
                let length = u16::try_from(hello.len() + 8).unwrap_or(0).to_be_bytes();
                [&[0x12, 1, length[0], length[1], 0, 0, 1, 0], hello.as_slice()].concat()
            })
            .await
        }
    }
}

async fn relay(
    client: TcpStream,
    server: TcpStream,
    kept: Kept,
    ask: fn(&mut [u8]),
    answer: fn(&mut [u8]),
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        loop {
            let mut sent = hear(&mut from_client, &kept).await?;
            ask(&mut sent);
            to_server.write_all(&sent).await?;
        }
    };
    let answers = pass(&mut from_server, &mut to_client, answer);
    let ended: io::Result<()> =
        tokio::select! { ended = requests => ended, ended = answers => ended };
    ended
}

async fn pass(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    change: fn(&mut [u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        change(&mut buffer[..count]);
        to.write_all(&buffer[..count]).await?;
    }
}

/// What a client says next.
async fn hear(from: &mut OwnedReadHalf, kept: &Kept) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1 << 16];
    let count = from.read(&mut buffer).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.truncate(count);
    kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer);
    Ok(buffer)
}

/// In a PRELOGIN message: encryption is not supported.
fn cannot_encrypt(packet: &mut [u8]) {
    const HEADER: usize = 8;
    // A client's PRELOGIN is a packet of its own type; a server's is an answer that begins with
    // the option VERSION.
    let prelogin = packet.len() > HEADER
        && (packet[0] == 0x12 || (packet[0] == 0x04 && packet[HEADER] == 0))
        && packet[HEADER] != 0x16;
    if !prelogin {
        return;
    }
    let mut at = HEADER;
    while at + 5 <= packet.len() && packet[at] != 0xff {
        if packet[at] == 1 {
            let place = HEADER + usize::from(u16::from_be_bytes([packet[at + 1], packet[at + 2]]));
            if let Some(encryption) = packet.get_mut(place) {
                *encryption = 2;
            }
        }
        at += 5;
    }
}

/// Ends the encryption in front of a real Postgres.
async fn encrypted_postgres(
    mut client: TcpStream,
    server: &str,
    identity: &Identity,
) -> io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    client.write_all(b"S").await?;
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(io::Error::other)?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
    let mut client = TlsAcceptor::from(Arc::new(config)).accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// An answer to PRELOGIN: version 15, encryption on.
const PRELOGIN: [u8; 26] =
    [0x04, 1, 0, 26, 0, 0, 1, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 15, 0, 0x11, 0x4e, 0, 0, 1];

/// Agrees to encrypt, and then answers as a server does that knows TLS 1.0 only.
async fn old(
    client: TcpStream,
    kept: &Kept,
    agree: &[u8],
    wrap: fn(Vec<u8>) -> Vec<u8>,
) -> io::Result<()> {
    let (mut from, mut to) = client.into_split();
    hear(&mut from, kept).await?;
    to.write_all(agree).await?;
    hear(&mut from, kept).await?;
    // ServerHello: version 3.1, a random of 32 bytes, no session, TLS_RSA_WITH_AES_128_CBC_SHA,
    // no compression.
    let mut hello = vec![0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0, 0x2f, 0]);
    to.write_all(&wrap(hello)).await?;
    loop {
        hear(&mut from, kept).await?;
    }
}
