//! Each deadline ends what it bounds, and says which it was. And the hooks, which tell when what happened.

use std::{io, net::SocketAddr, time::Duration};

use exeunt::{
    ConnectionId, Lost, Phase, Reason, Resolver,
    http::{BodyEnd, Deadline, Error, ErrorKind, Hooks, Limits, Moment},
};
use futures_util::{FutureExt, future::BoxFuture};

use super::*;
use crate::peer::Server;

const BRIEF: Duration = Duration::from_millis(30);

/// A resolver that never answers.
struct Silent;

impl Resolver for Silent {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        std::future::pending().boxed()
    }
}

fn which(error: &Error) -> Deadline {
    match error.kind() {
        ErrorKind::TimedOut { what, .. } => *what,
        other => panic!("{other:?}"),
    }
}

#[actix::test]
async fn a_dial_and_a_handshake_have_their_own_deadlines() {
    let scene = Scene::with(|session| session.resolver(Silent));
    let error = scene.session.get("https://nowhere.example/").dial_timeout(BRIEF).send().await.unwrap_err();
    assert_eq!(error.lost().unwrap().reason, Reason::TimedOut(Phase::Dialing));
    scene.exeunt().await;
    // A server that accepts, and says nothing to our hello.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::new();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let error = scene.session.get(&url).handshake_timeout(BRIEF).send().await.unwrap_err();
    assert_eq!(error.lost().unwrap().reason, Reason::TimedOut(Phase::Handshaking));
    assert_eq!(error.attempts(), 0);
    scene.exeunt().await;
}

#[actix::test]
async fn the_wait_for_a_connection_has_one() {
    let server = Server::tls(|mut peer, _| async move {
        peer.head().await;
        peer.silence().await;
    })
    .await;
    let limits = Limits { total: 1, ..Limits::default() };
    let scene = Scene::with(|session| session.limits(limits));
    let url = server.https("/");
    let mut holding = Box::pin(scene.session.get(&url).send());
    while scene.session.pool().busy == 0 {
        assert!(holding.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let error = scene.session.get(&url).pool_timeout(BRIEF).send().await.unwrap_err();
    assert_eq!((which(&error), error.was_sent()), (Deadline::Pool, false));
    drop(holding);
    scene.exeunt().await;
}

#[actix::test]
async fn the_first_byte_and_all_of_it_have_theirs() {
    let server = Server::tls(|mut peer, _| async move {
        peer.head().await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    let error = scene.session.get(&server.https("/")).first_byte_timeout(BRIEF).send().await.unwrap_err();
    assert_eq!((which(&error), error.was_sent()), (Deadline::FirstByte, true));
    let error = scene.session.get(&server.https("/")).timeout(BRIEF).send().await.unwrap_err();
    assert_eq!(which(&error), Deadline::Total);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 2);
}

/// The total bounds the body, too.
#[actix::test]
async fn all_of_it_includes_the_body() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    let response = scene.session.get(&server.https("/")).timeout(Duration::from_millis(300)).send().await.unwrap();
    let error = response.bytes().await.unwrap_err();
    assert!(error.to_string().contains("total timeout"), "{error}");
    scene.exeunt().await;
}

/// Writes down what it is told.
struct Told(Notes);

impl Hooks for Told {
    fn queued(&self, moment: Moment<'_>) {
        self.0.add(format!("{} queued", moment.request));
    }
    fn reused(&self, moment: Moment<'_>) {
        self.0.add(format!("{} reused {}", moment.request, moment.connection.unwrap()));
    }
    fn resolved(&self, connection: ConnectionId, _: &str, _: tokio::time::Instant) {
        self.0.add(format!("connection {connection} resolved"));
    }
    fn dialled(&self, connection: ConnectionId, _: &str, _: tokio::time::Instant) {
        self.0.add(format!("connection {connection} dialled"));
    }
    fn handshaken(&self, connection: ConnectionId, _: &str, _: tokio::time::Instant) {
        self.0.add(format!("connection {connection} handshaken"));
    }
    fn sent(&self, moment: Moment<'_>) {
        self.0.add(format!("{} sent {}", moment.request, moment.uri.path()));
    }
    fn first_byte(&self, moment: Moment<'_>, status: http::StatusCode) {
        self.0.add(format!("{} first byte {}", moment.request, status.as_u16()));
    }
    fn body_end(&self, moment: Moment<'_>, end: &BodyEnd) {
        self.0.add(format!("{} body end {}", moment.request, end.received()));
    }
    fn redirect(&self, moment: Moment<'_>, _: http::StatusCode, to: &http::Uri) {
        self.0.add(format!("{} redirect {}", moment.request, to.path()));
    }
    fn retry(&self, moment: Moment<'_>, _: &Error) {
        self.0.add(format!("{} retry", moment.request));
    }
    fn failed(&self, moment: Moment<'_>, _: &Error) {
        self.0.add(format!("{} failed", moment.request));
    }
    fn lost(&self, lost: &Lost) {
        self.0.add(format!("connection {} lost", lost.id));
    }
}

#[actix::test]
async fn the_hooks_are_told_what_happens_in_its_order() {
    let server = Server::tls(|mut peer, number| async move {
        if number == 0 {
            peer.answer("HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n").await;
            peer.answer(ok("there")).await;
            // The next is lost without a byte, and comes again.
            peer.head().await;
            peer.end(crate::peer::End::CloseNotify).await;
        } else {
            peer.answer(ok("again")).await;
            peer.silence().await;
        }
    })
    .await;
    let notes = Notes::default();
    let scene = Scene::with(|session| session.hooks(Told(notes.clone())));
    scene.session.get(&server.https("/here")).send().await.unwrap().bytes().await.unwrap();
    scene.session.get(&server.https("/again")).send().await.unwrap().bytes().await.unwrap();
    scene.session.get("https://localhost:1/").send().await.unwrap_err();
    scene.exeunt().await;
    let mut told = notes.all();
    // When a closed connection is gone, and that of the refused dial, depends on their peers.
    told.retain(|note| !note.ends_with("lost"));
    assert_eq!(
        told,
        [
            "1 queued",
            "connection 1 resolved",
            "connection 1 dialled",
            "connection 1 handshaken",
            "1 sent /here",
            "1 first byte 302",
            "1 redirect /there",
            "1 queued",
            "1 reused 1",
            "1 sent /there",
            "1 first byte 200",
            "1 body end 5",
            "2 queued",
            "2 reused 1",
            "2 sent /again",
            "2 retry",
            "2 queued",
            "connection 2 resolved",
            "connection 2 dialled",
            "connection 2 handshaken",
            "2 sent /again",
            "2 first byte 200",
            "2 body end 5",
            "3 queued",
            "3 failed",
        ]
    );
    assert_eq!(notes.all().iter().filter(|note| note.ends_with("lost")).count(), 3);
}
