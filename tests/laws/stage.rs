//! The stage: certificates, pipes, a raw peer, a recording owner, and the assertion that nothing remains.

use std::{pin::Pin, sync::OnceLock, time::Duration};

use actix::{Actor, Addr, Context, Handler};
use bytes::{Bytes, BytesMut};
use exeunt::{
    Adopt, Books, ClientTls, Connected, Connection, Data, Draining, Eof, Events, Handle, Io, Ledger, Lost, Owner,
    Protocol, ProtocolError, Secured, ServerTls, Socket, Stop, StopPlan, Supervisor, sim::Quiet, tls::SelfSigned,
};
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslVerifyMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};
use tokio_openssl::SslStream;

use crate::acceptor::acceptor;

pub fn signed() -> &'static SelfSigned {
    static SIGNED: OnceLock<SelfSigned> = OnceLock::new();
    SIGNED.get_or_init(|| exeunt::tls::self_signed(&["localhost", "127.0.0.1"]).unwrap())
}

pub fn client_tls() -> ClientTls {
    static TLS: OnceLock<ClientTls> = OnceLock::new();
    TLS.get_or_init(|| ClientTls::builder().trust_pem(&signed().ca_pem).build().unwrap()).clone()
}

pub fn server_tls() -> ServerTls {
    static TLS: OnceLock<ServerTls> = OnceLock::new();
    TLS.get_or_init(|| ServerTls::builder().identity_pem(&signed().certificate_pem, &signed().key_pem).build().unwrap())
        .clone()
}

/// Two ends of a pipe that holds so many bytes.
pub fn pipe(size: usize) -> (Socket, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(size);
    (Socket::boxed(ours), theirs)
}

pub const PIPE: usize = 64 * 1024;

/// A supervisor, its books, and nothing else.
pub fn supervise(supervisor: Supervisor) -> (Addr<Supervisor>, Books) {
    let books = supervisor.books();
    (supervisor.start(), books)
}

pub const SECOND: Duration = Duration::from_secs(1);

/// The last scene of every play: everybody leaves, the ledger adds up, and nothing remains.
pub async fn exeunt(supervisor: Addr<Supervisor>, books: Books) -> std::sync::Arc<Ledger> {
    exeunt_by(supervisor, books, StopPlan::new().drain(SECOND * 2).linger(SECOND * 2)).await
}

pub async fn exeunt_by(supervisor: Addr<Supervisor>, books: Books, plan: StopPlan) -> std::sync::Arc<Ledger> {
    let ledger = supervisor.send(Stop::by(plan)).await.unwrap();
    assert_adds_up(&ledger, &books);
    ledger
}

/// Laws 1, 6 and 9: whoever was admitted is lost, once, and is counted under a reason.
pub fn assert_adds_up(ledger: &Ledger, books: &Books) {
    assert_eq!(books.outstanding(), 0, "a ticket is left");
    assert_eq!(ledger.totals.admitted, ledger.totals.lost);
    assert_eq!(ledger.totals.lost, ledger.totals.by_reason.values().sum::<u64>());
    let mut ids: Vec<_> = ledger.rows.iter().map(|row| row.lost.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), ledger.rows.len(), "a connection has two rows");
}

/// The other end, which does what it is told, and nothing by itself.
pub struct RawPeer {
    stream: Pin<Box<SslStream<Quiet<DuplexStream>>>>,
}

impl RawPeer {
    /// A server that has shaken hands.
    pub async fn accept(pipe: DuplexStream) -> Self {
        RawPeer::try_accept(pipe).await.unwrap()
    }

    pub async fn try_accept(pipe: DuplexStream) -> Result<Self, openssl::ssl::Error> {
        let mut peer = RawPeer { stream: Box::pin(SslStream::new(server_ssl(), Quiet(pipe)).unwrap()) };
        peer.stream.as_mut().accept().await?;
        Ok(peer)
    }

    /// A client that has shaken hands.
    pub async fn connect(pipe: DuplexStream) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        builder.set_verify(SslVerifyMode::NONE);
        let ssl = builder.build().configure().unwrap().into_ssl("localhost").unwrap();
        let mut peer = RawPeer { stream: Box::pin(SslStream::new(ssl, Quiet(pipe)).unwrap()) };
        peer.stream.as_mut().connect().await.unwrap();
        peer
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn read_exactly(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Everything up to close_notify. A bare FIN is an error.
    pub async fn read_to_close_notify(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// close_notify alone: no FIN behind it.
    pub async fn close_notify(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// FIN alone.
    pub async fn fin(&mut self) {
        self.stream.get_mut().0.shutdown().await.unwrap();
    }

    /// close_notify, and FIN behind it.
    pub async fn close(&mut self) {
        self.close_notify().await;
        self.fin().await;
    }

    /// So many bytes below TLS.
    pub async fn read_raw(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.stream.get_mut().0.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Bytes below TLS.
    pub async fn write_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().0.write_all(bytes).await.unwrap();
    }
}

fn server_ssl() -> Ssl {
    Ssl::new(acceptor(signed()).build().context()).unwrap()
}

/// A client connection of ours to a raw peer, with this protocol.
pub async fn meet<P: Protocol>(supervisor: &Addr<Supervisor>, protocol: P) -> (Handle<P>, RawPeer) {
    meet_with(supervisor, protocol, |adopt| adopt).await
}

pub async fn meet_with<P: Protocol>(
    supervisor: &Addr<Supervisor>,
    protocol: P,
    change: impl FnOnce(Adopt<P>) -> Adopt<P>,
) -> (Handle<P>, RawPeer) {
    let (ours, theirs) = pipe(PIPE);
    let adopt = change(Adopt::client(ours, "localhost", &client_tls(), protocol));
    let (connection, peer) = tokio::join!(supervisor.send(adopt), RawPeer::accept(theirs));
    (connection.unwrap().unwrap(), peer)
}

/// What an owner has seen.
#[derive(Debug)]
pub enum Seen {
    Connected(Connected),
    Data(Bytes),
    Eof { clean: bool },
    Draining,
    Secured(Secured),
    Lost(Lost),
}

/// An owner that tells a test what it sees, and keeps no handle.
pub struct Recorder(mpsc::UnboundedSender<Seen>);

impl Recorder {
    pub fn start_new() -> (Addr<Recorder>, Script) {
        let (sender, seen) = mpsc::unbounded_channel();
        (Recorder(sender).start(), Script(seen))
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;
}

macro_rules! record {
    ($($message:ident => |$m:ident| $seen:expr),*) => {$(
        impl Handler<$message> for Recorder {
            type Result = ();
            fn handle(&mut self, $m: $message, _: &mut Context<Self>) {
                let _ = self.0.send($seen);
            }
        }
    )*};
}
record!(
    Connected => |m| Seen::Connected(m),
    Data => |m| Seen::Data(m.bytes),
    Eof => |m| Seen::Eof { clean: m.clean },
    Draining => |_m| Seen::Draining,
    Secured => |m| Seen::Secured(m),
    Lost => |m| Seen::Lost(m)
);

/// What was recorded, to be read in order.
pub struct Script(mpsc::UnboundedReceiver<Seen>);

impl Script {
    pub async fn next(&mut self) -> Seen {
        self.0.recv().await.expect("the owner saw nothing more")
    }

    pub async fn connected(&mut self) -> Connected {
        match self.next().await {
            Seen::Connected(connected) => connected,
            other => panic!("Connected was to come, not {other:?}"),
        }
    }

    /// Data until so many bytes have come.
    pub async fn data(&mut self, n: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < n {
            match self.next().await {
                Seen::Data(bytes) => all.extend_from_slice(&bytes),
                other => panic!("Data was to come, not {other:?}"),
            }
        }
        all
    }

    /// The end, and that nothing follows it.
    pub async fn lost(&mut self) -> Lost {
        match self.next().await {
            Seen::Lost(lost) => lost,
            other => panic!("Lost was to come, not {other:?}"),
        }
    }

    pub fn assert_nothing_more(&mut self) {
        if let Ok(seen) = self.0.try_recv() {
            panic!("nothing was to follow, but {seen:?} came");
        }
    }
}

/// A connection of ours to a raw peer, owned by a recorder that keeps it alive here.
pub struct Scene {
    pub supervisor: Addr<Supervisor>,
    pub books: Books,
    pub connection: Handle<Events>,
    pub script: Script,
    pub peer: RawPeer,
    /// Held, so that the owner lives as long as the scene.
    pub _owner: Addr<Recorder>,
}

impl Scene {
    pub async fn open() -> Self {
        Scene::open_with(|adopt| adopt).await
    }

    pub async fn open_with(change: impl FnOnce(Adopt<Events>) -> Adopt<Events>) -> Self {
        let (supervisor, books) = supervise(Supervisor::new());
        let (owner, mut script) = Recorder::start_new();
        let (connection, peer) = meet_with(&supervisor, Events::new(&Owner::new(owner.clone())), change).await;
        script.connected().await;
        Scene { supervisor, books, connection, script, peer, _owner: owner }
    }

    /// The stop, and that the one `Lost` was the last that the owner saw.
    pub async fn end(mut self) {
        drop(self.connection);
        exeunt(self.supervisor, self.books).await;
        tokio::task::yield_now().await;
        self.script.assert_nothing_more();
    }
}

/// Sends everything back, and reads no more than it can send.
pub struct Echo;

impl Protocol for Echo {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        io.write_bytes(data.split().freeze());
        Ok(())
    }

    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
        io.hold_reading(on);
    }
}

/// Takes everything and does nothing.
pub struct Sink;

impl Protocol for Sink {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}

/// Panics at the message `Panic`, or at any data.
pub struct Bomb;

impl Protocol for Bomb {
    fn data(&mut self, _: &mut Io<'_, Self>, _: &mut BytesMut) -> Result<(), ProtocolError> {
        panic!("the protocol went off");
    }
}

#[derive(actix::Message)]
#[rtype(result = "()")]
pub struct Explode;

impl Handler<Explode> for Connection<Bomb> {
    type Result = ();
    fn handle(&mut self, _: Explode, _: &mut Self::Context) {
        panic!("the handler went off");
    }
}

/// Whether a time under the paused clock is this one: tokio's timers are a millisecond coarse, and a deadline is never early.
pub fn is_about(age: Duration, expected: Duration) -> bool {
    age >= expected && age < expected + Duration::from_millis(20)
}

/// Waits for the end without asking for it.
pub async fn end_of<P: Protocol>(connection: &Handle<P>) -> Lost {
    loop {
        match connection.lost() {
            Some(lost) => return lost,
            None => tokio::task::yield_now().await,
        }
    }
}
