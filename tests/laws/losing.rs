//! How an open connection can be lost: each way has its own reason.

use std::time::Duration;

use actix::{Actor, ActorContext, Context, Handler};
use exeunt::{
    Adopt, ConnectError, Connected, Data, Draining, Eof, Events, HandshakeFailure, Lines, Lost, Owner, Phase, Reason,
    Role, Socket, Supervisor,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::*;

/// Laws 1 and 2: Connected, data, one end of stream, one Lost. Conformance: `connection_lost` after the peer's close_notify.
#[actix::test]
async fn the_peer_closes_with_close_notify() {
    let mut scene = Scene::open().await;
    scene.peer.write(b"adieu").await;
    scene.peer.close().await;
    assert_eq!(scene.script.data(5).await, b"adieu");
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: true }));
    let lost = scene.script.lost().await;
    assert_eq!(lost.reason, Reason::ClosedByPeer);
    assert!(lost.proof.close_notify_received && lost.proof.close_notify_sent);
    assert_eq!((lost.bytes_in, lost.bytes_out, lost.bytes_unsent, lost.role), (5, 0, 0, Role::Client));
    scene.end().await;
}

/// Law 5: an end of stream without close_notify is `Truncated`, never clean. asyncio cannot tell them apart.
#[actix::test]
async fn a_fin_without_close_notify_is_a_truncation() {
    let mut scene = Scene::open().await;
    scene.peer.write(b"half a sen").await;
    scene.peer.fin().await;
    assert_eq!(scene.script.data(10).await, b"half a sen");
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: false }));
    let lost = scene.script.lost().await;
    assert_eq!(lost.reason, Reason::Truncated);
    assert!(lost.proof.fin_seen && !lost.proof.close_notify_received);
    scene.end().await;
}

/// Conformance: corrupted record in mid-stream.
#[actix::test]
async fn a_corrupt_record_is_a_tls_error() {
    let mut scene = Scene::open().await;
    scene.peer.write_raw(b"\x17\x03\x03\x00\x20this is thirty-two bytes of junk").await;
    let lost = scene.script.lost().await;
    assert!(
        matches!(&lost.reason, Reason::Tls(words) if words.to_lowercase().replace('_', " ").contains("bad record mac")),
        "{:?}",
        lost.reason
    );
    assert_eq!(lost.phase, Phase::Open);
    scene.end().await;
}

/// Law 1: nothing moved for the idle timeout, so it closes gracefully and says why.
#[actix::test]
async fn an_idle_connection_closes_gracefully() {
    tokio::time::pause();
    let mut scene = Scene::open_with(|adopt| adopt.idle_timeout(SECOND * 60)).await;
    scene.peer.write(b"sign of life").await;
    scene.script.data(12).await;
    assert_eq!(scene.peer.read_to_close_notify().await.unwrap(), b"");
    scene.peer.close().await;
    let lost = scene.script.lost().await;
    assert_eq!(lost.reason, Reason::TimedOut(Phase::Open));
    assert!(lost.proof.close_notify_sent && lost.proof.close_notify_received);
    assert!(lost.age >= SECOND * 60 && lost.age < SECOND * 62, "{:?}", lost.age);
    scene.end().await;
}

/// Bytes that come keep the idle timeout away.
#[actix::test]
async fn traffic_keeps_a_connection_alive() {
    tokio::time::pause();
    let mut scene = Scene::open_with(|adopt| adopt.idle_timeout(SECOND * 10)).await;
    for _ in 0..5 {
        tokio::time::advance(SECOND * 8).await;
        scene.peer.write(b".").await;
        scene.script.data(1).await;
    }
    scene.connection.abort().await;
    assert_eq!(scene.script.lost().await.reason, Reason::Aborted);
    scene.end().await;
}

/// Law 1: a panic in the user's protocol ends that connection alone, with the panic's message.
#[actix::test]
async fn a_panic_in_the_protocol_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (bystander, mut other) = meet(&supervisor, Echo).await;
    let (bomb, mut peer) = meet(&supervisor, Bomb).await;
    peer.write(b"tick").await;
    let lost = end_of(&bomb).await;
    assert_eq!(lost.reason, Reason::Panicked("the protocol went off".into()));
    assert_eq!(lost.bytes_in, 4);
    other.write(b"still here").await;
    assert_eq!(other.read_exactly(10).await, b"still here");
    drop(bystander);
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["panicked"], 1);
}

/// Law 1: the same for a panic in a message handler of the user's.
#[actix::test]
async fn a_panic_in_a_handler_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (bomb, _peer) = meet(&supervisor, Bomb).await;
    let ended = bomb.send(Explode).await.unwrap_err();
    assert_eq!(ended.lost.unwrap().reason, Reason::Panicked("the handler went off".into()));
    exeunt(supervisor, books).await;
}

/// Law 1: dropping the last handle is a graceful close.
#[actix::test]
async fn the_last_handle_dropped_closes_gracefully() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Sink).await;
    drop(connection);
    assert_eq!(peer.read_to_close_notify().await.unwrap(), b"");
    peer.close().await;
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["closed"], 1);
}

/// An owner that goes away as soon as it has data.
struct Mortal;
impl Actor for Mortal {
    type Context = Context<Self>;
}
impl Handler<Connected> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Connected, _: &mut Context<Self>) {}
}
impl Handler<Data> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Data, context: &mut Context<Self>) {
        context.stop();
    }
}
impl Handler<Eof> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Eof, _: &mut Context<Self>) {}
}
impl Handler<Draining> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Draining, _: &mut Context<Self>) {}
}
impl Handler<Lost> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Lost, _: &mut Context<Self>) {}
}

/// Law 1: when the owner goes away, the connection closes gracefully, and the reason is that.
#[actix::test]
async fn an_owner_that_goes_away_closes_its_connection() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let owner = Mortal.start();
    let (connection, mut peer) = meet(&supervisor, Events::new(&Owner::new(owner))).await;
    peer.write(b"die").await;
    assert_eq!(peer.read_to_close_notify().await.unwrap(), b"");
    peer.close().await;
    let lost = connection.close().await;
    assert_eq!(lost.reason, Reason::OwnerGone);
    assert!(lost.proof.close_notify_sent && lost.proof.close_notify_received);
    exeunt(supervisor, books).await;
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Die;
impl Handler<Die> for Mortal {
    type Result = ();
    fn handle(&mut self, _: Die, context: &mut Context<Self>) {
        context.stop();
    }
}

/// Law 1: also an owner that kept no handle and had nothing under way is missed, within a look of the supervisor's.
#[actix::test]
async fn an_owner_that_goes_away_without_a_trace_is_missed() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let owner = Mortal.start();
    let (connection, mut peer) = meet(&supervisor, Events::new(&Owner::new(owner.clone()))).await;
    owner.send(Die).await.unwrap();
    assert_eq!(peer.read_to_close_notify().await.unwrap(), b"");
    peer.close().await;
    assert_eq!(connection.close().await.reason, Reason::OwnerGone);
    exeunt(supervisor, books).await;
}

/// Law 1: bytes that do not fit the protocol.
#[actix::test]
async fn a_frame_that_nobody_asked_for_is_a_protocol_error() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    peer.write(b"unasked\n").await;
    assert_eq!(peer.read_to_close_notify().await.unwrap(), b"", "it is closed gracefully");
    peer.close().await;
    let lost = connection.close().await;
    assert!(matches!(&lost.reason, Reason::Protocol(words) if words.contains("no call had asked for")), "{lost:?}");
    exeunt(supervisor, books).await;
}

/// Law 8: a peer that never ends its frame is no reason to grow for ever.
#[actix::test]
async fn a_frame_without_end_is_a_protocol_error() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    let endless = async {
        let chunk = [b'x'; 16 * 1024];
        for _ in 0..80 {
            peer.write(&chunk).await;
        }
        let _ = peer.read_to_close_notify().await;
        peer.close().await;
    };
    let ((), lost) = tokio::join!(endless, end_of(&connection));
    assert!(matches!(&lost.reason, Reason::Protocol(words) if words.contains("1048576 bytes")), "{lost:?}");
    exeunt(supervisor, books).await;
}

async fn handshake_fails(garble: impl AsyncFnOnce(tokio::io::DuplexStream)) -> Lost {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, theirs) = pipe(PIPE);
    let adopt = Adopt::client(ours, "localhost", &client_tls(), Sink).handshake_timeout(SECOND);
    let (answer, ()) = tokio::join!(supervisor.send(adopt), garble(theirs));
    let Err(ConnectError::Lost(lost)) = answer.unwrap() else { panic!("the handshake was to fail") };
    assert_eq!(lost.phase, Phase::Handshaking);
    exeunt(supervisor, books).await;
    *lost
}

/// Law 1: FIN in the handshake. In asyncio's `start_tls` it is told, but see the next ones.
#[actix::test]
async fn a_fin_in_the_handshake_is_told() {
    let lost = handshake_fails(async |mut theirs| {
        let _ = theirs.read(&mut [0; 16]).await;
    })
    .await;
    assert_eq!(lost.reason, Reason::HandshakeFailed(HandshakeFailure::Eof));
    assert!(lost.proof.fin_seen);
}

#[actix::test]
async fn garbage_in_the_handshake_is_told() {
    let lost = handshake_fails(async |mut theirs| {
        theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = theirs.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(lost.reason, Reason::HandshakeFailed(HandshakeFailure::Tls(_))), "{lost:?}");
}

/// Law 1: a silent peer in the handshake. asyncio's `start_tls` never says `connection_lost` here.
#[actix::test]
async fn a_timeout_in_the_handshake_is_told() {
    tokio::time::pause();
    let lost = handshake_fails(async |mut theirs| {
        let _ = theirs.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_eq!(lost.reason, Reason::TimedOut(Phase::Handshaking));
    assert!(is_about(lost.age, SECOND), "{:?}", lost.age);
}

/// A fatal alert instead of a ServerHello: handshake_failure, 40.
#[actix::test]
async fn an_alert_in_the_handshake_is_told_by_its_number() {
    let lost = handshake_fails(async |mut theirs| {
        theirs.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await.unwrap();
        let _ = theirs.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_eq!(lost.reason, Reason::HandshakeFailed(HandshakeFailure::Alert(exeunt::TlsAlert(40))));
}

/// Law 1: a certificate that we do not trust; the verify error is told.
#[actix::test]
async fn a_bad_certificate_is_told_with_its_verify_error() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, theirs) = pipe(PIPE);
    let other_ca = exeunt::tls::self_signed(&["localhost"]).unwrap();
    let tls = exeunt::ClientTls::builder().trust_pem(&other_ca.ca_pem).build().unwrap();
    let server = Adopt::server(Socket::boxed(theirs), "the client", &server_tls(), Sink);
    let (client, server) =
        tokio::join!(supervisor.send(Adopt::client(ours, "localhost", &tls, Sink)), supervisor.send(server));
    let Err(ConnectError::Lost(lost)) = client.unwrap() else { panic!("trusted") };
    assert!(
        matches!(&lost.reason, Reason::HandshakeFailed(HandshakeFailure::Certificate { code: 18..=21, .. })),
        "{lost:?}"
    );
    let Err(ConnectError::Lost(lost)) = server.unwrap() else { panic!("trusted") };
    assert!(matches!(&lost.reason, Reason::HandshakeFailed(HandshakeFailure::Alert(_))), "{lost:?}");
    exeunt(supervisor, books).await;
}

/// Reset while open, on a real socket.
#[actix::test]
async fn a_reset_is_a_reset() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (owner, mut script) = Recorder::start_new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let raw = socket2::SockRef::from(&theirs).try_clone().unwrap();
    let peer = supervisor.send(Adopt::server(theirs, "peer", &server_tls(), Sink));
    let client = supervisor.send(Adopt::client(ours, "localhost", &client_tls(), Events::new(&Owner::new(owner))));
    let (peer, client) = tokio::join!(peer, client);
    let (peer, _client) = (peer.unwrap().unwrap(), client.unwrap().unwrap());
    script.connected().await;
    raw.set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    assert_eq!(peer.abort().await.reason, Reason::Aborted);
    let lost = script.lost().await;
    assert_eq!((lost.reason, lost.phase), (Reason::Reset, Phase::Open));
    exeunt(supervisor, books).await;
}

/// Law 1: a handler of the user's that stops the actor aborts the connection; its runtime was not torn down.
#[actix::test]
async fn a_handler_that_stops_the_actor_aborts() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, _peer) = meet(&supervisor, Bomb).await;
    connection.do_send(StopTheActor);
    assert_eq!(end_of(&connection).await.reason, Reason::Aborted);
    exeunt(supervisor, books).await;
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct StopTheActor;
impl actix::Handler<StopTheActor> for exeunt::Connection<Bomb> {
    type Result = ();
    fn handle(&mut self, _: StopTheActor, context: &mut Self::Context) {
        actix::ActorContext::stop(context);
    }
}
