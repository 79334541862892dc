//! A TCP proxy that knows where a frame of TDS, Postgres or TLS ends, and does one thing wrong:
//! at a frame with a given number, or at the commits of batches.
//!
//! A proxy lives as long as its value. What it carries is plain or encrypted; SQL is found and
//! rewritten only where it is plain.

#![expect(clippy::expect_used, reason = "a test without a port is to stop")]

mod carry;
pub mod frames;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use frames::Protocol;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Both connections are reset instead of carrying it.
    Reset,
    /// Both connections are ended in order instead of carrying it.
    End,
    /// From here on nothing is taken or given, in either direction, and nothing is closed.
    Stall,
    /// From here on nothing comes back from the server. What is sent still reaches it.
    DropReply,
    /// It is carried byte by byte.
    Slice,
    /// It is carried late.
    Delay,
    /// One bit of it is turned: of the whole frame if it is encrypted, else of its header.
    Flip,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Reset,
        Self::End,
        Self::Stall,
        Self::DropReply,
        Self::Slice,
        Self::Delay,
        Self::Flip,
    ];

    /// Whether a run notices it at all.
    #[must_use]
    pub fn breaks(self) -> bool {
        !matches!(self, Self::Slice | Self::Delay)
    }
}

/// One fault at one frame, counted over all connections of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// In this direction.
    pub way: Way,
    /// The frame's number, from 1.
    pub nth: u64,
    /// What happens.
    pub kind: Kind,
}

/// When a connection is cut around a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server got it: nothing was done.
    Before,
    /// As soon as it is on its way: nobody knows.
    During,
    /// When the server has answered; the answer is lost: it was done.
    After,
}

/// Which commits count, from 1 over all connections of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one.
    Nth(u64),
    /// Every so many-th.
    Every(u64),
}

impl Which {
    /// How many of the first `commits` it holds, if it holds the last of them.
    fn turn(self, commits: u64) -> Option<u64> {
        match self {
            Self::Nth(nth) => (commits == nth).then_some(1),
            Self::Every(every) => commits.is_multiple_of(every).then(|| commits / every),
        }
    }
}

/// Cuts of connections around commits.
#[derive(Debug, Clone)]
pub struct Cuts {
    /// A text that is sent in the transactions that count.
    pub mark: String,
    /// Which of their commits are cut.
    pub which: Which,
    /// When, in turn.
    pub moments: Vec<Moment>,
}

/// A text in what is sent, and another that takes its place: as long, or blanks follow.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// What the client sends.
    pub from: String,
    /// What the server gets.
    pub to: String,
}

impl Rewrite {
    /// A clause that is deleted.
    #[must_use]
    pub fn without(clause: &str) -> Self {
        Self { from: clause.to_owned(), to: String::new() }
    }

    /// A clause in place of another, which is at least as long.
    #[must_use]
    pub fn instead(from: &str, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned() }
    }
}

/// What the proxy does to what it carries.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// At one frame.
    pub fault: Option<Fault>,
    /// At commits.
    pub cuts: Option<Cuts>,
    /// To the text of what is sent.
    pub rewrites: Vec<Rewrite>,
    /// Bytes in answers, and as many others that take their place.
    pub answers: Option<(Vec<u8>, Vec<u8>)>,
}

/// How late a frame is with [`Kind::Delay`].
const LATE: Duration = Duration::from_millis(100);

/// A proxy on a port of its own.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of `server`, a `host:port`.
    ///
    /// # Panics
    /// If no port can be had.
    pub async fn start(protocol: Protocol, server: &str, rules: Rules) -> Self {
        Self::start_at(0, protocol, server, rules).await
    }

    /// Starts one on a port, 0 for a free one.
    ///
    /// # Panics
    /// If the port cannot be had.
    pub async fn start_at(port: u16, protocol: Protocol, server: &str, rules: Rules) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { protocol, rules, counts: Mutex::default(), late: LATE });
        let (server, carried) = (server.to_owned(), Arc::clone(&shared));
        let accepting = tokio::spawn(async move {
            // Dropped with the task, and the connections with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, shared) = (server.clone(), Arc::clone(&carried));
                connections.spawn(async move {
                    // A connection that cannot be had or breaks off is what its client sees.
                    carry::carry(client, &server, &shared).await.ok();
                });
            }
        });
        Self { port, shared, accepting }
    }

    /// Where clients connect to, `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port of that address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the fault at a frame has struck.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.shared.counts().struck
    }

    /// How many connections were cut at a commit, before, during and after it.
    #[must_use]
    pub fn cuts(&self) -> [u64; 3] {
        self.shared.counts().cuts
    }

    /// How many texts were rewritten.
    #[must_use]
    pub fn rewritten(&self) -> u64 {
        self.shared.counts().rewritten
    }

    /// How many frames were carried in a direction.
    #[must_use]
    pub fn frames(&self, way: Way) -> u64 {
        self.shared.counts().frames[way as usize]
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the connections of a proxy share.
struct Shared {
    protocol: Protocol,
    rules: Rules,
    counts: Mutex<Counts>,
    late: Duration,
}

#[derive(Default)]
struct Counts {
    frames: [u64; 2],
    struck: bool,
    commits: u64,
    cuts: [u64; 3],
    rewritten: u64,
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a frame; what is to happen to it.
    fn strike(&self, way: Way) -> Option<Kind> {
        let mut counts = self.counts();
        let count = &mut counts.frames[way as usize];
        *count += 1;
        let number = *count;
        let fault = self.rules.fault.filter(|fault| fault.way == way && fault.nth == number)?;
        counts.struck = true;
        Some(fault.kind)
    }

    /// Counts a commit; when its connection is to be cut.
    fn cut(&self) -> Option<Moment> {
        let cuts = self.rules.cuts.as_ref()?;
        let mut counts = self.counts();
        counts.commits += 1;
        let turn = usize::try_from(cuts.which.turn(counts.commits)? - 1).ok()?;
        let moment = *cuts.moments.get(turn % cuts.moments.len().max(1))?;
        counts.cuts[moment as usize] += 1;
        Some(moment)
    }
}
