//! What a SQL Server answers in a run of a pipeline, recorded; and a server that says it again with one
//! answer changed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The answers to one connection's requests, in order: whole packets.
pub(crate) type Answers = Vec<Vec<u8>>;

/// A server between a client and the true one. It notes what the latter answers.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    connections: Arc<Mutex<Vec<Answers>>>,
}

impl Recorder {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let place = {
                    let mut noted = noted.lock().unwrap();
                    noted.push(Answers::new());
                    noted.len() - 1
                };
                let noted = Arc::clone(&noted);
                // It ends when one of the two hangs up.
                thread::spawn(move || drop(record(client, server, &noted, place)));
            }
        });
        Self { port, connections }
    }

    /// What was said so far, by connection.
    pub(crate) fn said(&self) -> Vec<Answers> {
        self.connections.lock().unwrap().clone()
    }
}

fn record(
    mut client: TcpStream,
    server: u16,
    noted: &Mutex<Vec<Answers>>,
    place: usize,
) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    loop {
        server.write_all(&message(&mut client)?)?;
        let answer = message(&mut server)?;
        client.write_all(&answer)?;
        noted.lock().unwrap()[place].push(answer);
    }
}

/// The packets of one message, to the one that says it is the last.
fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut header = [0; 8];
        from.read_exact(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut body = vec![0; length.checked_sub(8).ok_or(ErrorKind::InvalidData)?];
        from.read_exact(&mut body)?;
        all.extend(header);
        all.extend(body);
        if header[1] & 1 == 1 {
            return Ok(all);
        }
    }
}

/// What to say in place of an answer.
pub(crate) struct Lie {
    pub(crate) connection: usize,
    pub(crate) answer: usize,
    pub(crate) bytes: Vec<u8>,
    pub(crate) then: Then,
}

/// What comes after a lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The connection is closed.
    Close,
    /// The other answers, as recorded; unless the client still waits for the rest of the lie.
    GoOn,
    /// Nothing, and the connection stays.
    Silence,
}

/// A client that has understood an answer asks on within this time.
const SOON: Duration = Duration::from_millis(20);

/// Says what was recorded until the lie, for a while, on a port of its own.
pub(crate) struct Liar {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes whoever waits for a client.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Liar {
    pub(crate) fn start(recorded: Arc<Vec<Answers>>, lie: Option<Lie>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lie = lie.map(Arc::new);
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        thread::spawn(move || {
            for (place, client) in listener.incoming().map_while(Result::ok).enumerate() {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                // Beyond what was recorded there is no server any more.
                let Some(answers) = recorded.get(place).cloned() else { return };
                let lie = lie.clone().filter(|lie| lie.connection == place);
                thread::spawn(move || drop(say(client, &answers, lie.as_deref())));
            }
        });
        Self { port, over }
    }
}

fn say(mut client: TcpStream, answers: &Answers, lie: Option<&Lie>) -> io::Result<()> {
    client.set_nodelay(true)?;
    for (place, answer) in answers.iter().enumerate() {
        message(&mut client)?;
        let Some(lie) = lie.filter(|lie| lie.answer == place) else {
            client.write_all(answer)?;
            continue;
        };
        client.write_all(&lie.bytes)?;
        match lie.then {
            Then::Close => return Ok(()),
            Then::GoOn => client.set_read_timeout(Some(SOON))?,
            Then::Silence => {
                // Until the client has enough of it.
                return message(&mut client).map(drop);
            }
        }
    }
    // The client hangs up.
    message(&mut client).map(drop)
}
