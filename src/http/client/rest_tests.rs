//! Law 8: an idle connection of HTTP/1.1 holds nothing of hyper's, and is the same connection when it is used again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::{Actor, Addr};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{HttpClient, State, Watch};
use crate::{
    Abort, Adopt, Handle, Ledger, Lost, Protocol, Reason, Role, Socket, Stop, Supervisor,
    connection::{
        Milestones,
        idle_tests::{Look, secured, until_idle},
    },
    http::{Body, Exchange, ExchangeError},
    ticket::Entry,
};

async fn rests(connection: &Handle<HttpClient>) -> bool {
    connection.send(Look(|client: &HttpClient, _| matches!(client.state, State::Resting))).await.unwrap()
}

/// As much as a pool hears of a connection.
#[derive(Default)]
struct Ears {
    idle: AtomicUsize,
    leaving: AtomicUsize,
}

impl Watch for Ears {
    fn opened(&self, _: &Arc<Entry>, _: &Milestones) {}

    #[cfg(feature = "http2")]
    fn bears(&self, _: usize) {}

    fn idle(&self) {
        self.idle.fetch_add(1, Relaxed);
    }

    fn leaving(&self) {
        self.leaving.fetch_add(1, Relaxed);
    }

    fn lost(&self, _: &Lost) {}
}

/// Until nothing can happen by itself any more: the paused clock moves on only when everybody waits.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

const A_MINUTE: Duration = Duration::from_secs(60);

fn get() -> Exchange {
    Exchange(http::Request::get("/").body(Body::empty()).unwrap())
}

struct Scene {
    supervisor: Addr<Supervisor>,
    connection: Handle<HttpClient>,
    ears: Arc<Ears>,
    peer: DuplexStream,
}

impl Scene {
    /// A connection that has served once and has rested since.
    async fn resting() -> Self {
        tokio::time::pause();
        let supervisor = Supervisor::new().start();
        let ears = Arc::<Ears>::default();
        let (ours, peer) = tokio::io::duplex(16 * 1024);
        let client = HttpClient::new().watched_by(ears.clone());
        let adopt = Adopt::plain(Socket::boxed(ours), "localhost", Role::Client, client);
        let connection = supervisor.send(adopt).await.unwrap().unwrap();
        let mut scene = Scene { supervisor, connection, ears, peer };
        scene.exchange().await;
        assert!(!scene.rests().await, "it was used just now");
        until_idle().await;
        assert!(scene.rests().await, "an idle connection keeps hyper");
        scene
    }

    async fn rests(&self) -> bool {
        rests(&self.connection).await
    }

    /// Its reader is slow, and the pipe small: nobody but hyper may take what waits there.
    async fn exchange(&mut self) {
        let asked = self.connection.send(get());
        let read = async {
            let response = asked.await.unwrap().unwrap();
            a_moment().await;
            response.into_body().collect().await.unwrap().to_bytes()
        };
        let answered = async {
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                self.peer.read_exact(&mut byte).await.unwrap();
                request.push(byte[0]);
            }
            self.peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
            self.peer.write_all(&[b'x'; 100_000]).await.unwrap();
        };
        let (body, ()) = tokio::time::timeout(A_MINUTE, async { tokio::join!(read, answered) }).await.unwrap();
        assert_eq!(body.len(), 100_000);
    }

    async fn stop(self) -> Arc<Ledger> {
        let stop = self.supervisor.send(Stop::new());
        drop(self.peer);
        let ledger = stop.await.unwrap();
        assert_eq!((ledger.totals.admitted, ledger.totals.lost), (1, 1));
        assert_ne!(self.ears.leaving.load(Relaxed), 0);
        ledger
    }
}

async fn lost<P: Protocol>(connection: &Handle<P>) -> Reason {
    let lost = async {
        while connection.lost().is_none() {
            a_moment().await;
        }
    };
    tokio::time::timeout(A_MINUTE, lost).await.unwrap();
    connection.lost().unwrap().reason
}

#[actix::test]
async fn it_serves_again_and_rests_again() {
    let mut scene = Scene::resting().await;
    for served in 2..4 {
        assert_eq!(scene.ears.idle.load(Relaxed), served, "when it was opened, and after each exchange");
        scene.exchange().await;
        assert!(!scene.rests().await);
        until_idle().await;
        assert!(scene.rests().await);
    }
    scene.stop().await;
}

#[actix::test]
async fn it_hears_its_peer_close() {
    let mut scene = Scene::resting().await;
    scene.peer.shutdown().await.unwrap();
    assert_eq!(lost(&scene.connection).await, Reason::ClosedByPeer);
    scene.stop().await;
}

/// Law 5: what nobody has asked for is the answer to nothing.
#[actix::test]
async fn it_takes_no_answer_that_nobody_asked_for() {
    let mut scene = Scene::resting().await;
    scene.peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let reason = lost(&scene.connection).await;
    assert!(matches!(&reason, Reason::Protocol(words) if words.contains("nobody had asked for")), "{reason}");
    scene.stop().await;
}

/// The same, where the answer lies there already when the next request comes: that is not sent.
#[actix::test]
async fn a_request_does_not_get_the_answer_that_lay_there() {
    let mut scene = Scene::resting().await;
    // Neither has a turn of the connection in between.
    let asked = scene.connection.send(get());
    let written = scene.peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let (written, answer) = tokio::join!(written, asked);
    written.unwrap();
    let error = answer.unwrap().unwrap_err();
    assert!(matches!(error, ExchangeError::NotSent { .. }), "{error}");
    let reason = lost(&scene.connection).await;
    assert!(matches!(reason, Reason::Protocol(_)), "{reason}");
    scene.stop().await;
}

/// Law 6.
#[actix::test]
async fn a_stop_closes_it() {
    let scene = Scene::resting().await;
    let ledger = scene.stop().await;
    assert_eq!(ledger.rows.len(), 1, "it was there when the stop began");
    assert_eq!(ledger.verdict(), crate::Verdict::Clean, "{ledger}");
}

#[actix::test]
async fn it_goes_with_its_last_handle() {
    let Scene { supervisor, connection, mut peer, .. } = Scene::resting().await;
    drop(connection);
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    drop(peer);
    let ledger = supervisor.send(Stop::new()).await.unwrap();
    assert!(ledger.rows.is_empty(), "it had gone before the stop: {ledger}");
}

/// Law 5, with TLS: its peer's end without close_notify is no clean one, also where nothing was under way.
#[actix::test]
async fn it_tells_a_bare_end() {
    tokio::time::pause();
    let (supervisor, client, server) = secured(HttpClient::new()).await;
    until_idle().await;
    assert!(rests(&client).await, "it never bore an exchange, and rests");
    server.send(Abort).await.unwrap();
    assert_eq!(lost(&client).await, Reason::Truncated);
    supervisor.send(Stop::new()).await.unwrap();
}
