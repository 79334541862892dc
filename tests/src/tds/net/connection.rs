//! One client connection: two tasks move packets, a thread runs the session.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc as channel};
use tokio_rustls::TlsAcceptor;

use super::login::{self, Login7};
use super::packet::{
    self, ATTENTION, BATCH, BULK, HEADER, LOGIN7, PRELOGIN, RESPONSE, RPC, TRANSACTION,
};
use super::prelogin::{self, Encrypt};
use super::request::{self, Request};
use super::stream::HandshakeStream;
use super::tokens::Tokens;
use crate::tds::engine::state::{Engine, SessionInfo};
use crate::tds::error::{Reach, Result, SqlError};
use crate::tds::faults::{Action, Faults, Point, errors_of};
use crate::tds::parse::ast::Isolation;
use crate::tds::server::Encryption;
use crate::tds::session::{Runner, Session};
use crate::tds::types::datetime;

/// What every connection of a server shares.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) encryption: Encryption,
    pub(crate) max_packet: usize,
    pub(crate) next_session: std::sync::atomic::AtomicI32,
    pub(crate) closing: Notify,
    pub(crate) threads: std::sync::Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// Either side of the socket, encrypted or not.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What the session's thread tells the writing task.
enum Out {
    Message(Vec<u8>),
    Close,
}

/// Cuts the connection from any task.
#[derive(Default)]
struct Cut {
    done: AtomicBool,
    notify: Notify,
}

impl Cut {
    fn now(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    async fn wait(&self) {
        let waiting = self.notify.notified();
        if !self.done.load(Ordering::SeqCst) {
            waiting.await;
        }
    }
}

pub(crate) async fn serve(shared: Arc<Shared>, tcp: TcpStream) {
    // A client that goes away early is no news.
    let _ended = connection(shared, tcp).await;
}

async fn connection(shared: Arc<Shared>, mut tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let Some((kind, hello)) = message(&shared, &mut tcp).await? else { return Ok(()) };
    if kind != PRELOGIN {
        return Ok(());
    }
    let wish = prelogin::client(&hello).ok_or(io::ErrorKind::InvalidData)?;
    let agreed = agree(&shared, wish);
    send(&shared, &mut tcp, RESPONSE, &prelogin::answer(agreed), 4096, 0).await?;
    if agreed == Encrypt::Required && wish == Encrypt::NotSupported {
        return Ok(());
    }
    let tls = match (&shared.tls, agreed) {
        (Some(tls), Encrypt::Off | Encrypt::On | Encrypt::Required) => tls.clone(),
        _ => return login(shared, Box::new(tcp)).await,
    };
    let mut stream = tls.accept(HandshakeStream::new(tcp)).await?;
    stream.get_mut().0.finish();
    if agreed != Encrypt::Off {
        return login(shared, Box::new(stream)).await;
    }
    // Only the login is encrypted.
    let Some((kind, text)) = message(&shared, &mut stream).await? else { return Ok(()) };
    let tcp = stream.into_inner().0.into_inner();
    logged_in(shared, Box::new(tcp), kind, &text).await
}

fn agree(shared: &Shared, wish: Encrypt) -> Encrypt {
    if shared.tls.is_none() {
        return Encrypt::NotSupported;
    }
    match (shared.encryption, wish) {
        (Encryption::Required, _) => match wish {
            Encrypt::Off | Encrypt::NotSupported => Encrypt::Required,
            _ => Encrypt::On,
        },
        (Encryption::Supported, Encrypt::Off) => Encrypt::Off,
        (Encryption::Supported, Encrypt::NotSupported) => Encrypt::NotSupported,
        (Encryption::Supported, _) => Encrypt::On,
        (Encryption::NotSupported, _) => Encrypt::NotSupported,
    }
}

/// Counts a packet and lets faults strike; true means cut.
async fn passing(shared: &Shared, point: &Point) -> bool {
    shared.faults.count(|c| match point {
        Point::PacketIn => c.packets_in += 1,
        _ => c.packets_out += 1,
    });
    match shared.faults.strike(point, "") {
        Some(Action::Delay(ms) | Action::DelayAnswer(ms)) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            false
        }
        Some(Action::Hold(name) | Action::HoldAnswer(name)) => {
            let faults = shared.faults.clone();
            // A join error would mean the waiting thread died, which ends the hold as well.
            let _held = tokio::task::spawn_blocking(move || faults.hold(&name)).await;
            false
        }
        Some(Action::Cut | Action::DropAnswer | Action::Error { .. } | Action::Errors(_)) => true,
        None => false,
    }
}

/// A whole message; `None` at the end of the connection.
async fn message(
    shared: &Shared,
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut all = Vec::new();
    loop {
        let Some(p) = packet::read(stream).await? else { return Ok(None) };
        if passing(shared, &Point::PacketIn).await {
            return Ok(None);
        }
        all.extend_from_slice(&p.payload);
        if p.last {
            return Ok(Some((p.kind, all)));
        }
    }
}

async fn send(
    shared: &Shared,
    stream: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    message: &[u8],
    size: usize,
    spid: i32,
) -> io::Result<()> {
    for frame in packet::frames(kind, message, size, spid) {
        if passing(shared, &Point::PacketOut).await {
            // What was sent before the cut has left.
            stream.flush().await?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        stream.write_all(&frame).await?;
    }
    stream.flush().await
}

async fn login(shared: Arc<Shared>, mut stream: Box<dyn Duplex>) -> io::Result<()> {
    let Some((kind, text)) = message(&shared, &mut stream).await? else { return Ok(()) };
    logged_in(shared, stream, kind, &text).await
}

async fn logged_in(
    shared: Arc<Shared>,
    mut stream: Box<dyn Duplex>,
    kind: u8,
    text: &[u8],
) -> io::Result<()> {
    if kind != LOGIN7 {
        return Ok(());
    }
    let l = login::parse(text).ok_or(io::ErrorKind::InvalidData)?;
    let (mut tokens, size, runner) = admit(&shared, &l);
    let Some(runner) = runner else {
        tokens.finish_batch();
        return send(&shared, &mut stream, RESPONSE, &tokens.buf, 4096, 0).await;
    };
    let spid = runner.sess.id;
    tokens.finish_batch();
    if let Err(e) = send(&shared, &mut stream, RESPONSE, &tokens.buf, 4096, spid).await {
        end(&shared, spid);
        return Err(e);
    }
    run_session(shared, stream, runner, size).await
}

/// Lets a client in, or says why not.
fn admit(shared: &Arc<Shared>, l: &Login7) -> (Tokens, usize, Option<Runner>) {
    let mut state = shared.engine.lock();
    let catalog = state.catalog.clone();
    let mut tokens = Tokens::new(catalog.server_collation);
    let admitted = login::authenticate(&catalog, l).map_err(|e| vec![e]).and_then(|ok| {
        let Some(action) = shared.faults.strike(&Point::Login, "") else { return Ok(ok) };
        let errors = errors_of(&action);
        let lost = || vec![SqlError::new(233, 20, "fault").reach(Reach::Connection)];
        Err(if errors.is_empty() { lost() } else { errors })
    });
    let (login, db) = match admitted {
        Ok(ok) => ok,
        Err(errors) => {
            for e in &errors {
                if e.class <= 10 { tokens.info(e) } else { tokens.error(e) }
            }
            return (tokens, 4096, None);
        }
    };
    let id = shared.next_session.fetch_add(1, Ordering::SeqCst);
    let mut sess = Session::new(id, login.id, &login.name, db);
    sess.host.clone_from(&l.host);
    sess.program.clone_from(&l.program);
    state.sessions.insert(
        id,
        SessionInfo {
            login: login.name,
            host: l.host.clone(),
            program: l.program.clone(),
            database: db,
            since: datetime::now(),
            deadlock_priority: 0,
        },
    );
    drop(state);
    shared.faults.count(|c| {
        c.sessions += 1;
        c.open_sessions += 1;
    });
    let wanted = usize::try_from(l.packet_size).unwrap_or(4096);
    let size = if wanted == 0 { 4096 } else { wanted.clamp(512, shared.max_packet) };
    let database = catalog.databases.iter().find(|d| d.id == db);
    let (name, coll) =
        database.map_or(("master", catalog.server_collation), |d| (d.name.as_str(), d.collation));
    tokens.database(name, "master");
    tokens.info(&SqlError::new(5701, 0, format!("Changed database context to '{name}'.")).state(2));
    tokens.collation(coll);
    tokens.login_ack();
    tokens.packet_size(size, 4096);
    let runner = Runner::new(shared.engine.clone(), shared.faults.clone(), sess, Tokens::new(coll));
    (tokens, size, Some(runner))
}

fn end(shared: &Shared, session: i32) {
    shared.engine.lock().end_session(session);
    shared.engine.changed.notify_all();
    shared.faults.count(|c| c.open_sessions -= 1);
}

async fn run_session(
    shared: Arc<Shared>,
    stream: Box<dyn Duplex>,
    mut runner: Runner,
    size: usize,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (to_session, requests) = mpsc::channel::<Incoming>();
    let (answers, mut out) = channel::unbounded_channel::<Out>();
    let cancel = runner.sess.cancel.clone();
    let spid = runner.sess.id;
    let cut = Arc::new(Cut::default());
    let thread = {
        let (shared, cut) = (shared.clone(), cut.clone());
        std::thread::Builder::new()
            .name(format!("tds-double session {spid}"))
            .stack_size(16 << 20)
            .spawn(move || {
                while let Ok(incoming) = requests.recv() {
                    if !handle(&mut runner, incoming, &answers, &cut) {
                        break;
                    }
                }
                end(&shared, runner.sess.id);
            })?
    };
    if let Ok(mut threads) = shared.threads.lock() {
        threads.retain(|t| !t.is_finished());
        threads.push(thread);
    }
    let reading = async {
        let mut message = Vec::new();
        loop {
            let Some(p) = packet::read(&mut reader).await? else { return Ok(()) };
            if passing(&shared, &Point::PacketIn).await {
                return Ok::<(), io::Error>(());
            }
            if p.kind == ATTENTION {
                cancel.store(true, Ordering::SeqCst);
                shared.engine.changed.notify_all();
                if to_session.send(Incoming::Attention).is_err() {
                    return Ok(());
                }
                continue;
            }
            if p.payload.len() + HEADER > size.max(4096) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            message.extend_from_slice(&p.payload);
            if p.last {
                let whole = std::mem::take(&mut message);
                if !p.ignore && to_session.send(Incoming::Message(p.kind, whole)).is_err() {
                    return Ok(());
                }
            }
        }
    };
    let writing = async {
        while let Some(o) = out.recv().await {
            match o {
                Out::Message(m) => send(&shared, &mut writer, RESPONSE, &m, size, spid).await?,
                Out::Close => break,
            }
        }
        Ok::<(), io::Error>(())
    };
    // Whichever ends first ends the connection; the session's thread finishes what it runs.
    tokio::select! {
        r = reading => r?,
        r = writing => {
            r?;
            shutdown(&mut writer).await;
        }
        () = cut.wait() => {}
        () = shared.closing.notified() => {}
    }
    Ok(())
}

async fn shutdown(writer: &mut (impl AsyncWrite + Unpin)) {
    // The client may be gone already.
    let _gone = writer.shutdown().await;
    let mut nothing = tokio::io::empty();
    let _none = nothing.read_u8().await;
}

enum Incoming {
    Message(u8, Vec<u8>),
    Attention,
}

/// Runs one request; false when the connection is to end.
fn handle(
    runner: &mut Runner,
    incoming: Incoming,
    answers: &channel::UnboundedSender<Out>,
    cut: &Cut,
) -> bool {
    match incoming {
        Incoming::Attention => {
            if std::mem::take(&mut runner.attention_answered) {
                return true;
            }
            // Nothing runs: only acknowledge.
            runner.sess.cancel.store(false, Ordering::SeqCst);
            runner.tokens.attention();
        }
        Incoming::Message(kind, message) => {
            let request = match kind {
                BATCH => request::batch(&message),
                RPC => request::call(&message),
                TRANSACTION => request::transaction(&message),
                BULK => Ok(Request::Bulk(message)),
                other => Err(SqlError::new(
                    4002,
                    16,
                    format!("The packet type {other} is not supported."),
                )
                .reach(Reach::Connection)),
            };
            match request {
                Ok(r) => perform(runner, r),
                Err(e) => {
                    runner.answer.close |= e.reach == Reach::Connection;
                    runner.report(&e);
                    runner.tokens.finish_batch();
                }
            }
        }
    }
    if !runner.attention_answered && runner.sess.cancel.swap(false, Ordering::SeqCst) {
        // The request was cancelled while it ran: its answer acknowledges that.
        runner.attention_answered = true;
        runner.tokens.attention();
    }
    let answer = std::mem::take(&mut runner.answer);
    let message = std::mem::take(&mut runner.tokens.buf);
    if !answer.delay.is_zero() {
        std::thread::sleep(answer.delay);
    }
    if let Some(name) = &answer.hold {
        runner.faults.hold(name);
    }
    if answer.drop {
        cut.now();
        return false;
    }
    // The client may be gone; its transaction is rolled back when the thread ends.
    if answers.send(Out::Message(message)).is_err() {
        return false;
    }
    if answer.close {
        let _closed = answers.send(Out::Close);
        return false;
    }
    true
}

fn perform(runner: &mut Runner, request: Request) {
    match request {
        Request::Batch { text, descriptor } => match same_transaction(runner, descriptor) {
            Ok(()) => runner.batch(&text),
            Err(e) => refuse(runner, &e),
        },
        Request::Call { name, params, descriptor } => match same_transaction(runner, descriptor) {
            Ok(()) => runner.call(&name, params),
            Err(e) => refuse(runner, &e),
        },
        Request::Bulk(message) => runner.bulk_load(&message),
        Request::Begin { isolation } => manage(runner, |r| {
            r.sess.options.isolation = match isolation {
                0 => r.sess.options.isolation,
                1 => Isolation::ReadUncommitted,
                2 => Isolation::ReadCommitted,
                3 => Isolation::RepeatableRead,
                4 => Isolation::Serializable,
                _ => Isolation::Snapshot,
            };
            r.begin(None);
            Ok(())
        }),
        Request::Commit => manage(runner, Runner::commit),
        Request::Rollback { name } => {
            manage(runner, |r| r.rollback((!name.is_empty()).then_some(name.as_str())));
        }
        Request::Save { name } => manage(runner, |r| r.save(&name)),
    }
}

fn refuse(runner: &mut Runner, e: &SqlError) {
    runner.report(e);
    runner.tokens.finish_batch();
}

fn manage(runner: &mut Runner, f: impl FnOnce(&mut Runner) -> Result<()>) {
    runner.bulk = None;
    runner.start();
    if let Err(e) = f(runner) {
        if e.number == crate::tds::session::CANCELLED {
            // Cut here: the transaction of a COMMIT that was not reached ends with the session.
            return;
        }
        runner.report(&e);
    }
    runner.tokens.finish_batch();
}

/// A request names the transaction it belongs to.
fn same_transaction(runner: &Runner, descriptor: u64) -> Result<()> {
    let open = runner.descriptor();
    if descriptor == open || descriptor == 0 {
        return Ok(());
    }
    Err(SqlError::new(
        3971,
        16,
        format!("The server failed to resume the transaction. Desc:{descriptor:x}."),
    )
    .reach(Reach::Batch))
}
