//! Against proxies that we did not write: tinyproxy, stunnel in front of it for TLS to the proxy, and microsocks.

use exeunt::{ClientTls, Phase, ProxyFailure, Reason, StopPlan, fate::DialFailure, http::Session};
use futures_util::future::join_all;

use super::*;
use crate::{
    peer::{End, IDENTITY, client_tls},
    process::Process,
    servers::Directory,
    session::{Scene, ok},
    soon,
};

/// A proxy that runs for as long as this lives.
struct Running {
    _process: Process,
    _directory: Directory,
    port: u16,
}

impl Running {
    /// As a proxy with this scheme and, before an `@`, this user.
    fn proxy(&self, scheme: &str, user: &str) -> Proxy {
        format!("{scheme}://{user}localhost:{}", self.port).parse().unwrap()
    }
}

/// None of them says which port it was given, so each is given one that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn tinyproxy() -> Running {
    let (directory, port) = (Directory::new(), free_port());
    let config = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 300\nLogLevel Info\nAllow 127.0.0.1\nBasicAuth user secret\n"
    );
    directory.write("tinyproxy.conf", config);
    let mut process = Process::start("tinyproxy", ["-d", "-c", &directory.path("tinyproxy.conf")]);
    process.says("Accepting connections").await;
    Running { _process: process, _directory: directory, port }
}

/// TLS in front of that port.
async fn stunnel(behind: u16) -> Running {
    let (directory, port) = (Directory::new(), free_port());
    let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
    let config = format!(
        "foreground = yes\npid =\n[proxy]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{behind}\ncert = {cert}\nkey = {key}\n"
    );
    directory.write("stunnel.conf", config);
    let mut process = Process::start("stunnel", [directory.path("stunnel.conf")]);
    process.says("Configuration successful").await;
    accepting(port).await;
    Running { _process: process, _directory: directory, port }
}

#[cfg(feature = "socks")]
async fn microsocks() -> Running {
    let port = free_port();
    let arguments = ["-i", "127.0.0.1", "-p", &port.to_string(), "-u", "user", "-P", "secret"];
    let process = Process::start("microsocks", arguments);
    accepting(port).await;
    Running { _process: process, _directory: Directory::new(), port }
}

/// It does not say when it listens.
async fn accepting(port: u16) {
    let connected = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(connected).await.expect("nobody listens");
}

/// Answers every request with its first line, and closes as it should.
async fn echo(mut peer: Peer) {
    while let head = peer.head().await
        && !head.is_empty()
    {
        peer.write(ok(head.lines().next().unwrap())).await;
    }
    peer.end(End::CloseNotify).await;
}

async fn get(session: &Session, url: &str) -> (String, bool) {
    let response = session.get(url).send().await.unwrap();
    let reused = response.reused();
    (response.text().await.unwrap(), reused)
}

/// Requests by this proxy, with TLS and without, kept alive, many at a time; and a stop that is clean.
async fn common(proxy: &Proxy) {
    let (secure, plain) = (Server::tls(|peer, _| echo(peer)).await, Server::plain(|peer, _| echo(peer)).await);
    let scene = Scene::with(|session| session.proxy(proxy));
    for again in [false, true] {
        assert_eq!(get(&scene.session, &secure.https("/tls")).await, ("GET /tls HTTP/1.1".into(), again));
    }
    // What a forwarding proxy makes of a connection is its own affair.
    for _ in 0..3 {
        assert!(get(&scene.session, &plain.http("/plain")).await.0.starts_with("GET /plain HTTP/1."));
    }
    let many = (0..32).map(|n| {
        let url = secure.https(&format!("/{n}"));
        let session = &scene.session;
        async move { get(session, &url).await.0 == format!("GET /{n} HTTP/1.1") }
    });
    assert!(join_all(many).await.into_iter().all(|right| right));
    let ledger = scene.session.close().await;
    assert_eq!(ledger.verdict(), exeunt::Verdict::Clean, "{ledger}");
    // A dial that no request needed any more may have been under way.
    let secured = ledger.rows.iter().filter(|row| row.lost.secure && row.phase_at_stop == Phase::Open);
    for row in secured {
        assert!(row.lost.proof.close_notify_sent && row.lost.proof.close_notify_received, "{ledger}");
    }
    scene.exeunt().await;
}

/// What the proxy says when it is not shown who asks, and when it cannot reach the peer.
async fn refusals(stranger: &Proxy, known: &Proxy, unauthorized: Option<u16>) {
    for (proxy, expected) in [(stranger, unauthorized), (known, unauthorized.map(|_| 500))] {
        let scene = Scene::with(|session| session.proxy(proxy));
        let error = scene.session.get(&format!("https://localhost:{}/", free_port())).send().await.unwrap_err();
        match error.lost().map(|lost| &lost.reason) {
            Some(Reason::DialFailed(DialFailure::Proxy { failure: ProxyFailure::Refused { status, .. }, .. })) => {
                assert_eq!(*status, expected, "{error}");
            }
            other => panic!("{error}: {other:?}"),
        }
        scene.exeunt().await;
    }
}

#[actix::test]
async fn tinyproxy_tunnels_and_forwards() {
    let tinyproxy = tinyproxy().await;
    common(&tinyproxy.proxy("http", "user:secret@")).await;
    refusals(&tinyproxy.proxy("http", ""), &tinyproxy.proxy("http", "user:secret@"), Some(407)).await;
    // Without a tunnel the refusal is a response.
    let scene = Scene::with(|session| session.proxy(&tinyproxy.proxy("http", "user:wrong@")));
    let response = scene.session.get("http://localhost:1/").send().await.unwrap();
    assert!([401, 407].contains(&response.status().as_u16()), "{}", response.status());
    response.bytes().await.unwrap();
    scene.exeunt().await;
}

/// TLS to the proxy, and the peer's inside it.
#[actix::test]
async fn tls_inside_tls_by_stunnel_and_tinyproxy() {
    let tinyproxy = tinyproxy().await;
    let stunnel = stunnel(tinyproxy.port).await;
    let proxy = stunnel.proxy("https", "user:secret@").tls(&client_tls());
    common(&proxy).await;
    refusals(&stunnel.proxy("https", "").tls(&client_tls()), &proxy, Some(407)).await;

    // A proxy that is not who it should be is told as such, and is asked for nothing.
    let other = exeunt::tls::self_signed(&["localhost"]).unwrap();
    assert_ne!(other.ca_pem, IDENTITY.ca_pem);
    let stranger = ClientTls::builder().trust_pem(&other.ca_pem).build().unwrap();
    for url in ["https://localhost:1/", "http://localhost:1/"] {
        let scene = Scene::with(|session| session.proxy(&proxy.clone().tls(&stranger)));
        let error = scene.session.get(url).send().await.unwrap_err();
        match error.lost().map(|lost| &lost.reason) {
            Some(Reason::DialFailed(DialFailure::Proxy { failure: ProxyFailure::Handshake(_), .. })) => {}
            // What is forwarded is a connection to the proxy itself.
            Some(Reason::HandshakeFailed(_)) if url.starts_with("http:") => {}
            other => panic!("{error}: {other:?}"),
        }
        scene.exeunt().await;
    }
}

#[cfg(feature = "socks")]
#[actix::test]
async fn microsocks_tunnels() {
    let microsocks = microsocks().await;
    common(&microsocks.proxy("socks5", "user:secret@")).await;
    common(&microsocks.proxy("socks5h", "user:secret@")).await;
    refusals(&microsocks.proxy("socks5", ""), &microsocks.proxy("socks5", "user:secret@"), None).await;
}

/// A hundred connections through a real proxy, alive when the stop comes: half of them idle, half in the middle of a response.
#[actix::test]
async fn a_stop_with_a_hundred_tunnels_alive() {
    const HALF: usize = 20_000;
    let tinyproxy = tinyproxy().await;
    let server = Server::tls(|mut peer, _| async move {
        while let head = peer.head().await
            && !head.is_empty()
        {
            // More than a connection takes before it is asked for, so that it stays in use until somebody reads.
            peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 * HALF)).await;
            peer.write([b'x'; HALF]).await;
            peer.write([b'x'; HALF]).await;
        }
        peer.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::with(|session| session.proxy(&tinyproxy.proxy("http", "user:secret@")));
    let url = server.https("/");
    let responses = join_all((0..100).map(|_| scene.session.get(&url).send())).await;
    let mut responses: Vec<_> = responses.into_iter().map(Result::unwrap).collect();
    let used = responses.split_off(50);
    for response in responses {
        response.bytes().await.unwrap();
    }
    while scene.session.pool().idle < 50 {
        tokio::task::yield_now().await;
    }
    let stop = scene.supervisor.send(exeunt::Stop::by(StopPlan::new()));
    let stop = actix_rt::spawn(async move { stop.await.unwrap() });
    for response in used {
        assert_eq!(response.bytes().await.unwrap().len(), 2 * HALF);
    }
    let ledger = stop.await.unwrap();
    assert_eq!((ledger.rows.len(), ledger.verdict()), (100, exeunt::Verdict::Clean), "{ledger}");
    assert_eq!(ledger.totals.by_reason.keys().collect::<Vec<_>>(), [&"closed"], "{ledger}");
}
