//! The stage: one runtime for a whole process, sockets that do what the input says, and the laws that are asserted after every play.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use actix::{Actor, Addr};
use actix_rt::{System, SystemRunner};
use arbitrary::Arbitrary;
use bytes::BytesMut;
use exeunt::{
    tls::{SelfSigned, TlsVersion},
    Books, ClientTls, CloseProof, EndOfStream, Io, Ledger, Lost, Phase, Protocol, ProtocolError, Reason, ServerTls,
    Stop, StopPlan, Supervisor,
};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    time::Instant,
};
use tokio_openssl::SslStream;

use crate::quiet::Quiet;

pub const SECOND: Duration = Duration::from_secs(1);

/// No play may last longer, on the paused clock: the longest deadline of a connection is 30 s, and there are few in a row.
const WITHIN: Duration = Duration::from_secs(3600);

/// Plays one scene on the process's one runtime, whose clock is paused: it goes on only when everything waits.
pub fn play(scene: impl Future<Output = ()>) {
    thread_local! {
        static RUNNER: RefCell<SystemRunner> = RefCell::new(System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
        }));
    }
    RUNNER.with_borrow_mut(|runner| {
        runner.block_on(async {
            tokio::time::timeout(WITHIN, scene).await.expect("the play hangs");
            // What has ended is taken away before the next play begins.
            settle().await;
        });
    });
}

/// Returns when everybody else waits: the paused clock goes on for no other reason.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub fn signed() -> &'static SelfSigned {
    static SIGNED: OnceLock<SelfSigned> = OnceLock::new();
    SIGNED.get_or_init(|| exeunt::tls::self_signed(&["localhost"]).unwrap())
}

/// Without resumption: one play must not change the next.
pub fn client_tls() -> &'static ClientTls {
    static TLS: OnceLock<ClientTls> = OnceLock::new();
    TLS.get_or_init(|| ClientTls::builder().trust_pem(&signed().ca_pem).resumption(false).build().unwrap())
}

pub fn server_tls() -> &'static ServerTls {
    static TLS: OnceLock<ServerTls> = OnceLock::new();
    TLS.get_or_init(|| ServerTls::builder().identity_pem(&signed().certificate_pem, &signed().key_pem).build().unwrap())
}

/// Which side of the handshake the connection under test is.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// The version that the peer speaks.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

impl From<Version> for TlsVersion {
    fn from(version: Version) -> TlsVersion {
        match version {
            Version::Tls12 => TlsVersion::Tls12,
            Version::Tls13 => TlsVersion::Tls13,
        }
    }
}

/// What a witness does with data.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Sink,
    Echo,
    /// Consumes half of what it is shown, and leaves the rest.
    Half,
}

/// What a connection has shown its protocol.
#[derive(Debug, Default)]
pub struct Seen {
    pub connected: bool,
    pub received: Vec<u8>,
    /// Bytes that were shown and not consumed: they are shown again.
    left: usize,
    pub end: Option<EndOfStream>,
    pub pressed: bool,
    pub echoed: u64,
    pub lost: Option<Lost>,
}

/// A protocol that holds what it sees against law 2.
pub struct Witness {
    seen: Arc<Mutex<Seen>>,
    manner: Manner,
}

impl Witness {
    pub fn new(manner: Manner) -> (Witness, Arc<Mutex<Seen>>) {
        let seen = Arc::<Mutex<Seen>>::default();
        (Witness { seen: seen.clone(), manner }, seen)
    }
}

impl Protocol for Witness {
    fn connected(&mut self, _: &mut Io<'_, Self>) {
        let mut seen = self.seen.lock().unwrap();
        assert!(!seen.connected && seen.lost.is_none(), "connected comes once, and first");
        seen.connected = true;
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.connected && seen.lost.is_none(), "data comes between connected and lost");
        assert!(data.len() >= seen.left, "what was left is shown again");
        assert!(seen.end.is_none(), "no data comes after the end of the stream");
        let before = seen.received.len() - seen.left;
        assert!(seen.received[before..] == data[..seen.left], "what was left is shown again as it was");
        let left = seen.left;
        seen.received.extend_from_slice(&data[left..]);
        match self.manner {
            Manner::Sink => data.clear(),
            Manner::Echo => {
                let bytes = data.split().freeze();
                let n = bytes.len() as u64;
                if io.write_bytes(bytes) {
                    seen.echoed += n;
                }
            }
            Manner::Half => {
                let _ = data.split_to(data.len().div_ceil(2));
            }
        }
        seen.left = data.len();
        Ok(())
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.connected && seen.end.is_none() && seen.lost.is_none(), "one end of stream at most, before lost");
        seen.end = Some(end);
        io.close();
    }

    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.pressed != on && seen.lost.is_none(), "pressure alternates");
        seen.pressed = on;
        io.hold_reading(on);
    }

    fn lost(&mut self, lost: &Lost) {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.lost.is_none(), "a second Lost");
        seen.lost = Some(lost.clone());
    }
}

/// What holds of every end, whatever happened before.
pub fn assert_end(seen: &Seen) -> Lost {
    let lost = seen.lost.clone().expect("no Lost came");
    assert_ne!(lost.phase, Phase::Lost, "{lost:?}");
    assert_eq!(lost.bytes_in, seen.received.len() as u64, "{lost:?}");
    assert_eq!(seen.connected, !matches!(lost.phase, Phase::Dialing | Phase::Handshaking), "{lost:?}");
    assert!(!lost.to_string().is_empty());
    let proof = lost.proof;
    match &lost.reason {
        Reason::Closed => {
            assert!(proof.close_notify_sent && proof.close_notify_received, "{lost:?}");
            assert_eq!(lost.bytes_unsent, 0, "{lost:?}");
        }
        Reason::Unanswered => {
            assert!(proof.close_notify_sent && !proof.close_notify_received, "{lost:?}");
            assert_eq!(lost.bytes_unsent, 0, "{lost:?}");
        }
        Reason::ClosedByPeer => {
            assert!(proof.close_notify_received, "{lost:?}");
            // Law 4: when bytes were not sent, the reason is what kept them.
            assert_eq!(lost.bytes_unsent, 0, "{lost:?}");
        }
        Reason::Truncated => assert!(proof.fin_seen && !proof.close_notify_received, "{lost:?}"),
        Reason::HandshakeFailed(_) => assert_eq!((proof.close_notify_sent, seen.connected), (false, false), "{lost:?}"),
        Reason::Panicked(_) | Reason::Abandoned => panic!("{lost:?}"),
        _ => {}
    }
    if !seen.connected {
        assert_eq!((lost.bytes_in, lost.bytes_out), (0, 0), "{lost:?}");
        assert_eq!(proof, CloseProof { fin_seen: proof.fin_seen, ..CloseProof::default() }, "{lost:?}");
    }
    if proof.close_notify_sent {
        assert_eq!(lost.bytes_unsent, 0, "close_notify says that nothing is missing: {lost:?}");
    }
    match seen.end {
        Some(EndOfStream::Fin) => panic!("there is TLS: {lost:?}"),
        Some(EndOfStream::CloseNotify) => assert!(proof.close_notify_received, "{lost:?}"),
        Some(EndOfStream::Truncated) => assert!(proof.fin_seen && !proof.close_notify_received, "{lost:?}"),
        None => {}
    }
    lost
}

/// A supervisor and its books.
pub fn supervise() -> (Addr<Supervisor>, Books) {
    let supervisor = Supervisor::new();
    let books = supervisor.books();
    (supervisor.start(), books)
}

/// The last scene of every play: everybody leaves, in time, the ledger adds up, and nothing remains.
pub async fn exeunt(supervisor: Addr<Supervisor>, books: Books) -> Arc<Ledger> {
    exeunt_by(supervisor, books, StopPlan::new().drain(SECOND * 2).linger(SECOND * 2)).await
}

pub async fn exeunt_by(supervisor: Addr<Supervisor>, books: Books, plan: StopPlan) -> Arc<Ledger> {
    let began = Instant::now();
    let ledger = supervisor.send(Stop::by(plan)).await.unwrap();
    // Half a second for tokio's timers, which are a millisecond coarse. A stop that came before may have made it shorter.
    let elapsed = began.elapsed();
    assert!(elapsed <= plan.budget() + SECOND / 2, "the stop took {elapsed:?}");
    assert_eq!(books.outstanding(), 0, "a ticket is left");
    let totals = &ledger.totals;
    assert_eq!(totals.admitted, totals.lost);
    assert_eq!(totals.lost, totals.by_reason.values().sum::<u64>());
    assert!(ledger.rows.windows(2).all(|rows| rows[0].lost.id < rows[1].lost.id), "a connection has two rows");
    assert!(!ledger.to_string().is_empty());
    ledger
}

/// How a fed socket ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Fin,
    Reset,
    Silence,
}

/// A socket that is read from an input and takes so many bytes.
pub struct Feed {
    pub chunks: VecDeque<Vec<u8>>,
    pub end: End,
    /// When these are written the socket is full, for ever.
    pub takes: usize,
    /// Between two chunks a reader has to wait.
    pub waits: bool,
}

impl AsyncRead for Feed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.waits) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.chunks.pop_front() {
            Some(mut chunk) => {
                if chunk.len() > buf.remaining() {
                    let rest = chunk.split_off(buf.remaining());
                    self.chunks.push_front(rest);
                } else {
                    self.waits = true;
                }
                buf.put_slice(&chunk);
                Poll::Ready(Ok(()))
            }
            None => match self.end {
                End::Fin => Poll::Ready(Ok(())),
                End::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                End::Silence => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Feed {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match buf.len().min(self.takes) {
            0 if !buf.is_empty() => Poll::Pending,
            n => {
                self.takes -= n;
                Poll::Ready(Ok(n))
            }
        }
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The other end: a bare TLS stream that can misbehave.
pub struct RawPeer {
    stream: Pin<Box<SslStream<Quiet<DuplexStream>>>>,
}

/// How long the peer waits for the pipe before it gives a step up: nobody reads it any more.
const PATIENCE: Duration = Duration::from_millis(10);

impl RawPeer {
    /// The peer of a connection that is `side`, before the handshake.
    pub fn new(side: Side, version: Version, pipe: DuplexStream) -> RawPeer {
        let mut ssl = Ssl::new(peer_context(side)).unwrap();
        let version = match version {
            Version::Tls12 => SslVersion::TLS1_2,
            Version::Tls13 => SslVersion::TLS1_3,
        };
        ssl.set_max_proto_version(Some(version)).unwrap();
        match side {
            Side::Client => ssl.set_accept_state(),
            Side::Server => ssl.set_connect_state(),
        }
        RawPeer { stream: Box::pin(SslStream::new(ssl, Quiet(pipe)).unwrap()) }
    }

    pub async fn shake_hands(&mut self) {
        self.stream.as_mut().do_handshake().await.unwrap();
    }

    /// Writes plaintext; whether all of it went.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Reads what is there, without waiting. `Ok(None)`: nothing. `Ok(Some(0))`: close_notify.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match tokio::time::timeout(PATIENCE, self.stream.read(buffer)).await {
            Ok(read) => read.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// close_notify alone: no FIN behind it.
    pub async fn close_notify(&mut self) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.stream.shutdown()).await, Ok(Ok(())))
    }

    /// FIN alone.
    pub async fn fin(&mut self) {
        let _ = self.stream.get_mut().0.shutdown().await;
    }

    /// Bytes below TLS.
    pub async fn write_raw(&mut self, bytes: &[u8]) {
        let _ = tokio::time::timeout(PATIENCE, self.stream.get_mut().0.write_all(bytes)).await;
    }
}

fn peer_context(side: Side) -> &'static SslContext {
    static SERVER: OnceLock<SslContext> = OnceLock::new();
    static CLIENT: OnceLock<SslContext> = OnceLock::new();
    match side {
        Side::Client => SERVER.get_or_init(|| {
            let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
            let certificate = openssl::x509::X509::from_pem(signed().certificate_pem.as_bytes()).unwrap();
            let key = openssl::pkey::PKey::private_key_from_pem(signed().key_pem.as_bytes()).unwrap();
            builder.set_certificate(&certificate).unwrap();
            builder.set_private_key(&key).unwrap();
            builder.build()
        }),
        Side::Server => CLIENT.get_or_init(|| {
            let mut builder = SslContext::builder(SslMethod::tls_client()).unwrap();
            builder.set_verify(SslVerifyMode::NONE);
            builder.build()
        }),
    }
}
