//! awc's client on supervised connections, against hyper's own server on real sockets: what a stop does to its pool, and what a `Lost` can know.

#[path = "common/gated.rs"]
mod gated;

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr};
use awc::{Client, error::SendRequestError};
use bytes::Bytes;
use exeunt::{
    ConnectError, Ledger, Phase, Progress, Reason, Refusal, Roll, Stage, Stop, StopPlan, Subscribe, Supervisor,
    Verdict,
    awc::{Connector, connect_error},
};
use futures_util::{StreamExt, future::join_all};
use gated::Gated;
use openssl::{
    ssl::{SslConnector, SslMethod},
    x509::X509,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// No stop of these tests may need its drain.
const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    supervisor: Addr<Supervisor>,
    server: Gated,
}

impl Scene {
    async fn new() -> Self {
        Scene { supervisor: Supervisor::new().start(), server: Gated::start().await }
    }

    /// A client of awc's, whose TLS trusts the server and offers these.
    fn client(&self, alpn: &[u8]) -> Client {
        let supervised = Connector::new(&self.supervisor);
        let connector = awc::Connector::new().connector(supervised.clone()).openssl(self.tls(alpn));
        Client::builder().disable_timeout().connector(connector).wrap(supervised).finish()
    }

    fn tls(&self, alpn: &[u8]) -> SslConnector {
        let mut tls = SslConnector::builder(SslMethod::tls()).unwrap();
        tls.cert_store_mut().add_cert(X509::from_pem(self.server.signed.ca_pem.as_bytes()).unwrap()).unwrap();
        tls.set_alpn_protos(alpn).unwrap();
        tls.build()
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.server.address.port())
    }

    /// Law 6: so many are left when the idle ones have gone.
    async fn wait_for_alive(&self, n: usize) {
        while self.supervisor.send(Roll).await.unwrap().len() > n {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(&self, drain: Duration) -> Arc<Ledger> {
        stop(&self.supervisor, drain).await
    }
}

const HTTP1: &[u8] = b"\x08http/1.1";
const HTTP2: &[u8] = b"\x02h2\x08http/1.1";

async fn stop(supervisor: &Addr<Supervisor>, drain: Duration) -> Arc<Ledger> {
    let stop = supervisor.send(Stop::by(StopPlan::new().drain(drain).linger(Duration::from_secs(10))));
    // Not a measure but a watchdog: a minute is neither the drain nor anything else here.
    tokio::time::timeout(Duration::from_secs(60), stop).await.expect("the drain is not waited for").unwrap()
}

async fn whole(client: &Client, url: String) -> Result<Bytes, SendRequestError> {
    Ok(client.get(url).send().await?.body().await.unwrap())
}

fn assert_stopping(error: &SendRequestError) {
    assert!(matches!(connect_error(error), Some(ConnectError::Refused(Refusal::Stopping))), "{error:?}");
}

/// What can be known of a connection whose TLS is somebody else's.
fn assert_clean(ledger: &Ledger, rows: usize) {
    assert_eq!((ledger.verdict(), ledger.rows.len()), (Verdict::Clean, rows), "{ledger}");
    for row in &ledger.rows {
        assert_eq!((row.phase_at_stop, row.lost.bytes_unsent), (Phase::Open, 0), "{ledger}");
        assert!(matches!(row.lost.reason, Reason::Closed | Reason::ClosedByPeer), "{ledger}");
        let proof = row.lost.proof;
        assert!(!row.lost.secure && !proof.close_notify_sent && !proof.close_notify_received, "{ledger}");
    }
}

/// Laws 1, 6 and 9: requests one after the other share a connection, which a stop closes at once, and which has its row.
#[actix::test]
async fn an_idle_pool_goes_at_once() {
    for scheme in ["https", "http"] {
        let scene = Scene::new().await;
        let client = scene.client(HTTP1);
        for _ in 0..5 {
            assert_eq!(whole(&client, scene.url(scheme, "/")).await.unwrap(), "first, second");
        }
        assert_eq!(scene.supervisor.send(Roll).await.unwrap().len(), 1);
        // Three at a time, so that there are three connections.
        let bodies = (0..3).map(|_| whole(&client, scene.url(scheme, "/body")));
        let opened = async { scene.server.gate.add_permits(3) };
        let (bodies, ()) = tokio::join!(join_all(bodies), opened);
        assert!(bodies.into_iter().all(|body| body.unwrap() == "first, second"));
        let alive = scene.supervisor.send(Roll).await.unwrap().len();
        assert_clean(&*scene.stop(HOUR).await, alive);
        assert_stopping(&whole(&client, scene.url(scheme, "/")).await.unwrap_err());
    }
}

/// Laws 4 and 6: a stop closes the idle connection at once, waits for the two that are busy, and then closes those.
#[actix::test]
async fn busy_connections_finish_first() {
    for scheme in ["https", "http"] {
        let scene = Rc::new(Scene::new().await);
        let client = scene.client(HTTP1);
        let mut body = client.get(scene.url(scheme, "/body")).send().await.unwrap();
        let head = actix::spawn({
            let (client, url) = (client.clone(), scene.url(scheme, "/head"));
            async move { whole(&client, url).await.unwrap() }
        });
        whole(&client, scene.url(scheme, "/")).await.unwrap();
        // A stop would cancel the one that is not open yet.
        while scene.supervisor.send(Roll).await.unwrap().iter().filter(|entry| entry.phase == Phase::Open).count() < 3 {
            tokio::task::yield_now().await;
        }
        let stopping = actix::spawn({
            let scene = scene.clone();
            async move { scene.stop(HOUR).await }
        });
        scene.wait_for_alive(2).await;
        // Nothing of what is asked for now waits for the drain.
        assert_stopping(&whole(&client, scene.url(scheme, "/")).await.unwrap_err());
        scene.server.gate.add_permits(2);
        assert_eq!(body.body().await.unwrap(), "first, second");
        assert_eq!(head.await.unwrap(), "first, second");
        assert_clean(&stopping.await.unwrap(), 3);
    }
}

/// Over HTTP/2 requests share the connection, and it is busy as long as one of them is.
#[actix::test]
async fn http2_is_drained_too() {
    let scene = Rc::new(Scene::new().await);
    let client = scene.client(HTTP2);
    whole(&client, scene.url("https", "/")).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let response = client.get(scene.url("https", "/body")).send().await.unwrap();
        assert_eq!(response.version(), awc::http::Version::HTTP_2);
        bodies.push(response);
    }
    let alive = scene.supervisor.send(Roll).await.unwrap().len();
    let stopping = actix::spawn({
        let scene = scene.clone();
        async move { scene.stop(HOUR).await }
    });
    scene.server.gate.add_permits(3);
    for mut body in bodies {
        assert_eq!(body.body().await.unwrap(), "first, second");
    }
    assert_clean(&stopping.await.unwrap(), alive);
}

/// Law 6: what is not done at the end of the drain fails, and the stop does not wait for it.
#[actix::test]
async fn at_the_end_of_the_drain_a_request_fails() {
    let scene = Scene::new().await;
    let client = scene.client(HTTP1);
    let mut body = client.get(scene.url("https", "/body")).send().await.unwrap();
    let (ledger, failed) = tokio::join!(scene.stop(Duration::ZERO), async {
        let failed = body.body().await;
        scene.server.gate.add_permits(1);
        failed
    });
    assert!(failed.is_err());
    assert_eq!(ledger.rows.len(), 1, "{ledger}");
    assert_eq!(ledger.rows[0].lost.reason, Reason::Closed, "{ledger}");
}

/// Without the middleware nobody knows what is under way: an idle connection is closed at the end of the drain, and not before.
#[actix::test]
async fn without_the_middleware_the_drain_is_waited_for() {
    let scene = Scene::new().await;
    let connector = awc::Connector::new().connector(Connector::new(&scene.supervisor));
    let client = Client::builder().connector(connector).finish();
    whole(&client, scene.url("http", "/")).await.unwrap();
    let mut progress = scene.supervisor.send(Subscribe).await.unwrap();
    let ledger = scene.stop(Duration::from_millis(100)).await;
    assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{ledger}");
    let mut stages = Vec::new();
    while let Some(progress) = progress.next().await {
        match progress {
            Ok(Progress::Stopping(now)) => stages.push(format!("{:?}", now.stage)),
            Ok(Progress::Lost(_)) => stages.push("Lost".into()),
            _ => {}
        }
    }
    let at = |what: &str| stages.iter().position(|stage| stage.contains(what));
    assert!(at("Drain") < at("Linger") && at("Linger") < at("Lost"), "{stages:?}");
}

/// Law 1: a peer's reset, in the middle of a response and in the pool; and awc does not use what has ended.
#[actix::test]
async fn a_reset_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let supervisor = Supervisor::new().start();
    let client = Connector::new(&supervisor).client();
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let reset = |socket: TcpStream| socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    for answer in
        ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfull"]
    {
        let (body, ()) = tokio::join!(async { client.get(&url).send().await.unwrap().body().await }, async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 1024]).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            // What was said must be there before the reset, which would take it away.
            tokio::task::yield_now().await;
            while supervisor.send(Roll).await.unwrap().is_empty() {}
            reset(socket);
        });
        let lost = loop {
            if let Some(Ok(Progress::Lost(lost))) = progress.next().await {
                break lost;
            }
        };
        assert_eq!(lost.reason, Reason::Reset, "{lost}");
        assert_eq!(body.is_ok(), answer.ends_with("full"), "{body:?}");
    }
    let ledger = stop(&supervisor, HOUR).await;
    assert_eq!((ledger.rows.len(), ledger.totals.lost), (0, 2), "{ledger}");
}

/// Dropping the client closes its pool, TLS as awc does it; a dial that is refused is in the ledger, and said.
#[actix::test]
async fn every_end_is_told() {
    let scene = Scene::new().await;
    let client = scene.client(HTTP1);
    whole(&client, scene.url("https", "/")).await.unwrap();
    drop(client);
    scene.wait_for_alive(0).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = scene.client(HTTP1);
    let error = whole(&client, format!("https://127.0.0.1:{port}/")).await.unwrap_err();
    let lost = connect_error(&error).and_then(ConnectError::lost).expect("it was admitted");
    assert_eq!(lost.reason.code(), "dial_failed");
    // A handshake that fails is awc's: the connection was open, and awc has closed it.
    let untrusting = Connector::new(&scene.supervisor);
    let tls = SslConnector::builder(SslMethod::tls()).unwrap().build();
    let connector = awc::Connector::new().connector(untrusting.clone()).openssl(tls);
    let untrusting = Client::builder().connector(connector).wrap(untrusting).finish();
    let error = whole(&untrusting, scene.url("https", "/")).await.unwrap_err();
    assert!(connect_error(&error).is_none(), "{error:?}");
    scene.wait_for_alive(0).await;
    let ledger = scene.stop(HOUR).await;
    assert_eq!((ledger.rows.len(), ledger.totals.lost, ledger.totals.by_reason["dial_failed"]), (0, 3, 1), "{ledger}");
}

/// A WebSocket of awc's is under way until it is dropped.
#[actix::test]
async fn a_websocket_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let supervisor = Supervisor::new().start();
    let client = Connector::new(&supervisor).client();
    let accept = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(socket.read_buf(&mut head).await.unwrap() > 0);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.split("\r\n").find(|line| line.to_lowercase().starts_with("sec-websocket-key"));
        let key = key.unwrap().split_once(": ").unwrap().1;
        // RFC 6455, section 4.2.2.
        let accept = openssl::sha::sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
        let accept = openssl::base64::encode_block(&accept);
        let head = format!("upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}");
        socket.write_all(format!("HTTP/1.1 101 Yes\r\n{head}\r\n\r\n").as_bytes()).await.unwrap();
        socket
    };
    let (connected, mut socket) = tokio::join!(client.ws(&url).connect(), accept);
    let (_, mut websocket) = connected.unwrap();
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let stopping = actix::spawn({
        let supervisor = supervisor.clone();
        async move { stop(&supervisor, HOUR).await }
    });
    while !matches!(progress.next().await.unwrap().unwrap(), Progress::Stopping(now) if now.stage == Stage::Drain) {}
    // In the drain it goes on.
    socket.write_all(b"\x81\x05hello").await.unwrap();
    let frame = websocket.next().await.unwrap().unwrap();
    assert!(matches!(&frame, awc::ws::Frame::Text(text) if text == "hello"), "{frame:?}");
    assert!(!stopping.is_finished());
    drop(websocket);
    assert_eq!(socket.read(&mut [0; 16]).await.unwrap(), 0);
    drop(socket);
    assert_clean(&stopping.await.unwrap(), 1);
}
