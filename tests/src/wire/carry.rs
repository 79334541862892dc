//! One client and its server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::frames::{Frame, Frames, Protocol, find};
use super::{Kind, Moment, Shared, Way};

/// How a connection ends.
enum End {
    /// One side went away.
    Gone,
    Reset,
    InOrder,
    Silent,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// What both directions of a connection know.
struct Link<'a> {
    shared: &'a Shared,
    /// Whether nothing goes back to the client any more.
    mute: AtomicBool,
    /// Whether the connection breaks with the next answer.
    losing: AtomicBool,
}

pub(super) async fn carry(client: TcpStream, server: &str, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let asked = Arc::new(AtomicBool::new(false));
    let mut requests = Frames::new(from_client, shared.protocol, Way::ToServer, Arc::clone(&asked));
    let mut answers = Frames::new(from_server, shared.protocol, Way::ToClient, asked);
    let link = Link { shared, mute: AtomicBool::new(false), losing: AtomicBool::new(false) };
    let end = tokio::select! {
        end = link.requests(&mut requests, &mut to_server) => end,
        end = link.answers(&mut answers, &mut to_client) => end,
    };
    match end {
        End::Gone => Ok(()),
        End::Reset => {
            to_client.as_ref().set_zero_linger()?;
            to_server.as_ref().set_zero_linger()
        }
        End::InOrder => {
            to_client.shutdown().await?;
            to_server.shutdown().await?;
            // A socket that is closed with unread bytes is reset; so they are read.
            drain(&mut requests.into_inner()).await;
            Ok(())
        }
        // Until the proxy is dropped.
        End::Silent => std::future::pending().await,
    }
}

async fn drain(from: &mut OwnedReadHalf) {
    let mut buffer = vec![0; 1 << 12];
    while from.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

impl Link<'_> {
    async fn requests(&self, from: &mut Frames<OwnedReadHalf>, to: &mut OwnedWriteHalf) -> End {
        let mut commit = Commit::default();
        loop {
            let mut frame = match from.next().await {
                Ok(frame) => frame,
                Err(error) => return error.into(),
            };
            self.rewrite(&mut frame);
            let cut = if commit.ends_with(&frame, self.shared) { self.shared.cut() } else { None };
            match cut {
                Some(Moment::Before) => return End::Reset,
                Some(Moment::After) => self.losing.store(true, Ordering::SeqCst),
                Some(Moment::During) | None => {}
            }
            if let Err(end) = self.give(frame, Way::ToServer, to).await {
                return end;
            }
            if cut == Some(Moment::During) {
                return End::Reset;
            }
        }
    }

    async fn answers(&self, from: &mut Frames<OwnedReadHalf>, to: &mut OwnedWriteHalf) -> End {
        loop {
            let mut frame = match from.next().await {
                Ok(frame) => frame,
                Err(error) => return error.into(),
            };
            // The first frame of the answer means that it was carried out.
            if self.losing.load(Ordering::SeqCst) {
                return End::Reset;
            }
            if self.mute.load(Ordering::SeqCst) {
                continue;
            }
            if let Some((from, to)) = &self.shared.rules.answers {
                overwrite(&mut frame.bytes, from, to);
            }
            if let Err(end) = self.give(frame, Way::ToClient, to).await {
                return end;
            }
        }
    }

    /// Carries a frame, or does to it what is due.
    async fn give(&self, mut frame: Frame, way: Way, to: &mut OwnedWriteHalf) -> Result<(), End> {
        match self.shared.strike(way) {
            None => {}
            Some(Kind::Reset) => return Err(End::Reset),
            Some(Kind::End) => return Err(End::InOrder),
            Some(Kind::Stall) => return Err(End::Silent),
            Some(Kind::DropReply) => {
                self.mute.store(true, Ordering::SeqCst);
                if way == Way::ToClient {
                    return Ok(());
                }
            }
            Some(Kind::Slice) => {
                for byte in &frame.bytes {
                    to.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
                return Ok(());
            }
            Some(Kind::Delay) => tokio::time::sleep(self.shared.late).await,
            Some(Kind::Flip) => flip(&mut frame, self.shared.counts().frames[way as usize]),
        }
        to.write_all(&frame.bytes).await?;
        Ok(())
    }

    fn rewrite(&self, frame: &mut Frame) {
        let protocol = self.shared.protocol;
        for rewrite in &self.shared.rules.rewrites {
            let (from, mut to) = (protocol.encode(&rewrite.from), protocol.encode(&rewrite.to));
            let blank = protocol.encode(" ");
            while to.len() < from.len() {
                to.extend_from_slice(&blank);
            }
            self.shared.counts().rewritten += overwrite(&mut frame.bytes, &from, &to);
        }
    }
}

/// Puts `to` wherever `from` stands; how often it did.
fn overwrite(bytes: &mut [u8], from: &[u8], to: &[u8]) -> u64 {
    assert_eq!(from.len(), to.len(), "a frame keeps its length");
    let mut count = 0;
    while let Some(at) = find(bytes, from) {
        bytes[at..at + to.len()].copy_from_slice(to);
        count += 1;
    }
    count
}

/// Turns one bit, another one for each number.
fn flip(frame: &mut Frame, number: u64) {
    let bytes = if frame.encrypted { frame.bytes.len() } else { frame.header };
    // Steps of a prime reach every bit in the end.
    let bit = usize::try_from(number).unwrap_or(0) * 11 % (bytes * 8);
    frame.bytes[bit / 8] ^= 1 << (bit % 8);
}

/// Finds the commits that count in what is sent.
#[derive(Default)]
struct Commit {
    /// The request so far; it may take several packets of TDS.
    request: Vec<u8>,
    marked: bool,
}

impl Commit {
    /// Whether this frame is the last of a request that commits.
    fn ends_with(&mut self, frame: &Frame, shared: &Shared) -> bool {
        let Some(cuts) = &shared.rules.cuts else { return false };
        let mark = shared.protocol.encode(&cuts.mark);
        match shared.protocol {
            Protocol::Tds => {
                self.request.extend_from_slice(frame.bytes.get(frame.header..).unwrap_or_default());
                let last = frame.bytes[1] & 1 == 1;
                let commits = last && find(&self.request, &mark).is_some();
                if last {
                    self.request.clear();
                }
                commits
            }
            Protocol::Postgres => {
                self.marked |= find(&frame.bytes, &mark).is_some();
                let commits = frame.bytes[0] == b'Q' && find(&frame.bytes, b"COMMIT\0").is_some();
                self.marked && commits && std::mem::take(&mut self.marked)
            }
        }
    }
}
