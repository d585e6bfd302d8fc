//! A connection as a stream: how it ends, in both roles. How its bytes flow is in `flowing`, how it is let go in `leaving`.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
};

use actix::{Addr, Handler};
use exeunt::{
    Adopt, Books, Connection, Phase, Reason, Role, Stop, StreamError, Streamed, SupervisedStream, Supervisor,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::*;

pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// A stream of ours and a bare peer that may misbehave.
pub struct Play {
    pub supervisor: Addr<Supervisor>,
    pub books: Books,
    pub stream: SupervisedStream,
    pub peer: RawPeer,
}

impl Play {
    pub async fn open(role: Role) -> Self {
        Play::open_with(role, Streamed::new(), |adopt| adopt).await
    }

    pub async fn open_with(
        role: Role,
        streamed: Streamed,
        change: impl FnOnce(Adopt<Streamed>) -> Adopt<Streamed>,
    ) -> Self {
        let (supervisor, books) = supervise(Supervisor::new());
        let (stream, peer) = meet_stream(&supervisor, role, streamed, change).await;
        Play { supervisor, books, stream, peer }
    }

    /// The stream is dropped, everybody leaves, and the one `Lost` is the ledger's.
    pub async fn end(self) -> std::sync::Arc<exeunt::Ledger> {
        drop(self.stream);
        exeunt(self.supervisor, self.books).await
    }
}

pub async fn meet_stream(
    supervisor: &Addr<Supervisor>,
    role: Role,
    streamed: Streamed,
    change: impl FnOnce(Adopt<Streamed>) -> Adopt<Streamed>,
) -> (SupervisedStream, RawPeer) {
    let (ours, theirs) = pipe(PIPE);
    let (stream, peer) = match role {
        Role::Client => {
            let adopt = change(Adopt::client(ours, "localhost", &client_tls(), streamed));
            tokio::join!(adopt.open(supervisor), RawPeer::accept(theirs))
        }
        Role::Server => {
            let adopt = change(Adopt::server(ours, "a client", &server_tls(), streamed));
            tokio::join!(adopt.open(supervisor), RawPeer::connect(theirs))
        }
    };
    (stream.unwrap(), peer)
}

/// One poll, for nobody.
pub fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}

/// What is inside an error of ours.
pub fn inner(error: &io::Error) -> &StreamError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).expect("a typed error")
}

/// Reads to the end: what came, and how it ended.
async fn read_out(stream: &mut SupervisedStream) -> (Vec<u8>, io::Result<usize>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (bytes, end)
}

/// Laws 2 and 5: the peer's close_notify is the one end that reads as an end, after everything that came before it; and we may still write.
#[actix::test]
async fn only_a_close_notify_reads_as_an_end() {
    for role in ROLES {
        let mut play = Play::open(role).await;
        play.peer.write(b"the whole of it").await;
        play.peer.close_notify().await;
        let (bytes, end) = read_out(&mut play.stream).await;
        assert_eq!((bytes.as_slice(), end.unwrap()), (&b"the whole of it"[..], 15));
        assert_eq!(play.stream.read(&mut [0; 1]).await.unwrap(), 0, "it stays the end");
        play.stream.write_all(b"thanks").await.unwrap();
        let closed = play.stream.closed();
        drop(play.stream);
        assert_eq!(play.peer.read_to_close_notify().await.unwrap(), b"thanks");
        assert_eq!(closed.await.reason, Reason::ClosedByPeer);
        exeunt(play.supervisor, play.books).await;
    }
}

/// Law 5: a bare FIN is an error that says so, after what came before it; its `Lost` is told by the next one.
#[actix::test]
async fn a_truncation_is_an_unexpected_end() {
    for role in ROLES {
        let mut play = Play::open(role).await;
        play.peer.write(b"half of").await;
        play.peer.fin().await;
        let (bytes, end) = read_out(&mut play.stream).await;
        let error = end.unwrap_err();
        assert_eq!((bytes.as_slice(), error.kind()), (&b"half of"[..], ErrorKind::UnexpectedEof));
        assert_eq!(inner(&error).reason(), Some(&Reason::Truncated));
        let lost = play.stream.closed().await;
        let error = play.stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(inner(&error), &StreamError::Lost(Box::new(lost)));
        play.end().await;
    }
}

/// Law 1: bytes that are not TLS.
#[actix::test]
async fn a_tls_error_is_invalid_data() {
    for role in ROLES {
        let mut play = Play::open(role).await;
        play.peer.write_raw(b"\x17\x03\x03\x00\x20not a record of this connection.").await;
        let error = play.stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(matches!(inner(&error).lost().unwrap().reason, Reason::Tls(_)), "{error}");
        play.end().await;
    }
}

/// Law 1: a reset, on a real socket.
#[actix::test]
async fn a_reset_is_told_as_one() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let mut stream = Adopt::plain(ours, "the peer", Role::Client, Streamed::new()).open(&supervisor).await.unwrap();
    socket2::SockRef::from(&theirs).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(theirs);
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!((error.kind(), inner(&error).reason()), (ErrorKind::ConnectionReset, Some(&Reason::Reset)));
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(stream);
    exeunt(supervisor, books).await;
}

/// Without TLS the FIN is the end, and there is none better.
#[actix::test]
async fn a_fin_is_the_end_of_a_plain_stream() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, mut theirs) = pipe(PIPE);
    let mut stream = Adopt::plain(ours, "the peer", Role::Client, Streamed::new()).open(&supervisor).await.unwrap();
    theirs.write_all(b"ping").await.unwrap();
    theirs.shutdown().await.unwrap();
    let (bytes, end) = read_out(&mut stream).await;
    assert_eq!((bytes.as_slice(), end.unwrap()), (&b"ping"[..], 4));
    stream.write_all(b"pong").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    theirs.read_to_end(&mut reply).await.unwrap();
    assert_eq!((reply.as_slice(), stream.closed().await.reason), (&b"pong"[..], Reason::ClosedByPeer));
    drop(stream);
    exeunt(supervisor, books).await;
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Burst;

impl Handler<Burst> for Connection<Streamed> {
    type Result = ();
    fn handle(&mut self, _: Burst, _: &mut Self::Context) {
        panic!("the handler went off");
    }
}

/// Law 1: an abort, a kill and a panic end every wait of the stream's, with the `Lost` inside.
#[actix::test]
async fn an_end_from_outside_is_told_to_every_wait() {
    for role in ROLES {
        for end in ["abort", "kill", "panic"] {
            let Play { supervisor, books, stream, peer: _peer } =
                Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(8 << 20, 0)).await;
            let (handle, closed, draining) = (stream.handle().clone(), stream.closed(), stream.draining());
            let (mut reader, mut writer) = tokio::io::split(stream);
            let bytes = vec![1; 1 << 20];
            writer.write_all(&bytes).await.unwrap();
            let ending = async {
                match end {
                    "abort" => drop(handle.abort().await),
                    "kill" => drop(supervisor.send(Stop::now()).await),
                    _ => handle.downcast_ref::<Streamed>().unwrap().do_send(Burst),
                }
            };
            let mut byte = [0];
            let (read, flushed, lost, until, ()) =
                tokio::join!(reader.read(&mut byte), writer.flush(), closed, draining, ending);
            let expected = match end {
                "abort" => (Reason::Aborted, ErrorKind::ConnectionAborted),
                "kill" => (Reason::Killed, ErrorKind::ConnectionAborted),
                _ => (Reason::Panicked("the handler went off".into()), ErrorKind::Other),
            };
            let (read, flushed) = (read.unwrap_err(), flushed.unwrap_err());
            assert_eq!((lost.reason.clone(), read.kind()), expected);
            assert_eq!((inner(&read).lost(), inner(&flushed).lost()), (Some(&lost), Some(&lost)));
            assert_eq!((until, lost.bytes_out + lost.bytes_unsent), (None, 1 << 20));
            exeunt(supervisor, books).await;
        }
    }
}

/// Law 1: the idle timeout closes gracefully, and says so.
#[actix::test]
async fn an_idle_timeout_is_timed_out() {
    tokio::time::pause();
    let mut play = Play::open_with(Role::Client, Streamed::new(), |adopt| adopt.idle_timeout(SECOND)).await;
    let error = play.stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!((error.kind(), inner(&error).reason()), (ErrorKind::TimedOut, Some(&Reason::TimedOut(Phase::Open))));
    let error = play.stream.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    play.peer.read_to_close_notify().await.unwrap();
    play.end().await;
}
