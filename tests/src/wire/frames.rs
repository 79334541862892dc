//! Where a frame ends: TDS packets, Postgres messages, TLS records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::Way;

/// What client and server speak before they encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SQL Server's.
    Tds,
    /// Postgres'.
    Postgres,
}

/// One frame, header included.
#[derive(Debug)]
pub struct Frame {
    /// All of it.
    pub bytes: Vec<u8>,
    /// How many of them are its header.
    pub header: usize,
    /// Whether it is a TLS record.
    pub encrypted: bool,
}

/// The TLS records' types. No packet of TDS and no message of Postgres begins like that.
const TLS: std::ops::RangeInclusive<u8> = 0x14..=0x17;
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// Cuts what one side sends into frames.
pub struct Frames<R> {
    reader: R,
    protocol: Protocol,
    way: Way,
    /// Whether a Postgres client is past the message without a type that it begins with.
    started: bool,
    /// Whether the client asked Postgres for TLS; the answer is one byte.
    asked: Arc<AtomicBool>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Of one side; both sides of a connection share `asked`.
    pub fn new(reader: R, protocol: Protocol, way: Way, asked: Arc<AtomicBool>) -> Self {
        Self { reader, protocol, way, started: false, asked }
    }

    /// What is left of the reader.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// The next frame.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end, and whatever the connection says.
    pub async fn next(&mut self) -> io::Result<Frame> {
        let first = self.reader.read_u8().await?;
        if TLS.contains(&first) {
            return self.rest(first, 5, |header| be16(header, 3) + 5, true).await;
        }
        match (self.protocol, self.way) {
            (Protocol::Tds, _) => self.rest(first, 8, |header| be16(header, 2), false).await,
            (Protocol::Postgres, Way::ToClient) => {
                if self.asked.swap(false, Ordering::SeqCst) {
                    return Ok(Frame { bytes: vec![first], header: 1, encrypted: false });
                }
                self.rest(first, 5, |header| be32(header, 1) + 1, false).await
            }
            (Protocol::Postgres, Way::ToServer) if self.started => {
                self.rest(first, 5, |header| be32(header, 1) + 1, false).await
            }
            (Protocol::Postgres, Way::ToServer) => {
                let frame = self.rest(first, 4, |header| be32(header, 0), false).await?;
                let asks = frame.bytes.get(4..8) == Some(&SSL_REQUEST[..]);
                self.asked.store(asks, Ordering::SeqCst);
                self.started = !asks;
                Ok(frame)
            }
        }
    }

    /// What follows the first byte; the header tells the length of the whole.
    async fn rest(
        &mut self,
        first: u8,
        header: usize,
        length: impl Fn(&[u8]) -> usize,
        encrypted: bool,
    ) -> io::Result<Frame> {
        let mut bytes = vec![first; header];
        self.reader.read_exact(&mut bytes[1..]).await?;
        let length = length(&bytes).max(header);
        bytes.resize(length, 0);
        self.reader.read_exact(&mut bytes[header..]).await?;
        Ok(Frame { bytes, header, encrypted })
    }
}

fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

fn be32(bytes: &[u8], at: usize) -> usize {
    be16(bytes, at) << 16 | be16(bytes, at + 2)
}

impl Protocol {
    /// A text as it is sent.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Tds => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Postgres => text.as_bytes().to_vec(),
        }
    }
}

/// Where `wanted` stands in `bytes`.
#[must_use]
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
