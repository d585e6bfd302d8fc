//! Requests by a proxy, one scene each.

use std::time::Duration;

use exeunt::{
    Connect, Lines, Phase, Proxies, ProxyFailure, ProxyLeg, Reason,
    fate::DialFailure,
    http::{Error, ErrorKind},
};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    peer::{End, client_tls},
    session::{Scene, ok},
};

/// The failure of a proxy, out of a request's error.
fn failure(error: &Error) -> (&ProxyFailure, &'static str) {
    match error.lost().map(|lost| (&lost.reason, lost.phase)) {
        Some((reason @ Reason::DialFailed(DialFailure::Proxy { failure, .. }), Phase::Dialing)) => {
            (failure, reason.code())
        }
        other => panic!("{error}: {other:?}"),
    }
}

/// One tunnel is one connection: kept alive, one ticket, one `Lost`, closed by close_notify both ways through the proxy (laws 1 and 4).
#[actix::test]
async fn requests_in_a_row_share_a_tunnel() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer(ok("one")).await;
        peer.answer(ok("two")).await;
        peer.end(End::CloseNotify).await;
    })
    .await;
    let notes = Notes::default();
    let proxy = obliging(&notes).await;
    let scene = Scene::with(|session| session.proxy(&http(&proxy).basic_auth("user", "secret").unwrap()));
    let first = scene.session.get(&server.https("/a")).send().await.unwrap();
    assert_eq!(first.peer(), Some(proxy.address), "the socket is connected to the proxy");
    assert_eq!(first.text().await.unwrap(), "one");
    let second = scene.session.get(&server.https("/b")).send().await.unwrap();
    assert!(second.reused());
    assert_eq!(second.text().await.unwrap(), "two");
    let asked = notes.all();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let authority = format!("localhost:{}", server.address.port());
    assert!(asked[0].starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")), "{asked:?}");
    assert!(asked[0].contains(&format!("host: {authority}")) && asked[0].contains("proxy-authorization: Basic "));
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 1, "{ledger}");
    assert_eq!((proxy.accepted(), server.accepted()), (1, 1));
}

/// What is said to the proxy is not said behind it.
#[actix::test]
async fn the_peer_behind_sees_nothing_of_the_proxy() {
    let server = Server::tls(|mut peer, _| async move {
        let head = peer.head().await;
        peer.write(ok(&head)).await;
        peer.silence().await;
    })
    .await;
    let proxy = obliging(&Notes::default()).await;
    let proxy = http(&proxy)
        .basic_auth("user", "secret")
        .unwrap()
        .header(http::HeaderName::from_static("x-own"), http::HeaderValue::from_static("for the proxy"));
    let scene = Scene::with(|session| session.proxy(&proxy));
    let seen = scene.session.get(&server.https("/path")).send().await.unwrap().text().await.unwrap().to_lowercase();
    assert!(seen.starts_with("get /path http/1.1\r\n"), "{seen}");
    assert!(!seen.contains("proxy") && !seen.contains("x-own"), "{seen}");
    scene.exeunt().await;
}

/// RFC 9112, section 3.2.2: without TLS there is no tunnel; the proxy is asked for the whole URL, and shown who asks.
#[actix::test]
async fn plain_requests_go_in_absolute_form() {
    let notes = Notes::default();
    let proxy = {
        let notes = notes.clone();
        Server::plain(move |mut peer, _| {
            let notes = notes.clone();
            async move {
                for _ in 0..2 {
                    notes.add(peer.answer(ok("by proxy")).await);
                }
                peer.silence().await;
            }
        })
        .await
    };
    let scene = Scene::with(|session| session.proxy(&http(&proxy).basic_auth("user", "secret").unwrap()));
    for url in ["http://a.example:8080/x?y#z", "http://user:pass@a.example:8080"] {
        let response = scene.session.get(url).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "by proxy");
    }
    let asked = notes.all();
    assert!(asked[0].starts_with("GET http://a.example:8080/x?y HTTP/1.1\r\n"), "{asked:?}");
    assert!(
        asked[0].contains("host: a.example:8080\r\n")
            && asked[0].contains("proxy-authorization: Basic dXNlcjpzZWNyZXQ=")
    );
    assert!(
        asked[1].starts_with("GET http://a.example:8080/ HTTP/1.1\r\n") && asked[1].contains("\r\nauthorization: ")
    );
    assert_eq!(proxy.accepted(), 1);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 1, "{ledger}");
}

/// What a proxy is told beside is checked as what a request brings: one `Host`, and no length but the body's.
#[actix::test]
async fn a_forwarding_proxys_own_headers_smuggle_nothing() {
    let proxy = showing().await;
    let mut told = http(&proxy);
    for (name, value) in [("x-own", "for the proxy"), ("host", "b.example"), ("content-length", "7")] {
        told = told.header(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
    }
    let scene = Scene::with(|session| session.proxy(&told));
    let seen = scene.session.get("http://a.example/").send().await.unwrap().text().await.unwrap();
    assert!(seen.starts_with("GET http://a.example/ HTTP/1.1\r\n") && seen.contains("x-own: for the proxy"), "{seen}");
    assert!(seen.matches("host: ").eq(["host: "]) && seen.contains("host: b.example"), "{seen}");
    assert!(!seen.contains("content-length"), "{seen}");
    scene.exeunt().await;
}

/// A request that is to leave HTTP has a tunnel although there is no TLS: a proxy does not pass `Upgrade` on.
#[actix::test]
async fn an_upgrade_goes_through_a_tunnel() {
    let server = showing().await;
    let notes = Notes::default();
    let proxy = obliging(&notes).await;
    let scene = Scene::with(|session| session.proxy(&http(&proxy)));
    let asked = scene.session.get(&server.http("/x")).header("connection", "upgrade").header("upgrade", "else");
    let seen = asked.send().await.unwrap().text().await.unwrap().to_lowercase();
    assert!(seen.starts_with("get /x http/1.1\r\n") && seen.contains("upgrade: else"), "{seen}");
    assert!(notes.last().starts_with("CONNECT localhost:"), "{:?}", notes.all());
    scene.exeunt().await;
}

/// The pool's key: the same host by other ways is another connection; a request may say its own way, and `no_proxy` decides for the rest.
#[actix::test]
async fn different_ways_share_nothing() {
    let server = Server::tls(|mut peer, _| async move { while !peer.answer(ok("x")).await.is_empty() {} }).await;
    let notes = [Notes::default(), Notes::default()];
    let (one, two) = (obliging(&notes[0]).await, obliging(&notes[1]).await);
    let scene = Scene::with(|session| session.proxies(Proxies::all(http(&one)).no_proxy("127.0.0.1")));
    let url = server.https("/");
    let ask = async |request: exeunt::http::RequestBuilder| {
        let response = request.send().await.unwrap();
        let reused = response.reused();
        response.bytes().await.unwrap();
        reused
    };
    for again in [false, true] {
        assert_eq!(ask(scene.session.get(&url)).await, again);
        assert_eq!(ask(scene.session.get(&url).proxy(&http(&two))).await, again);
        assert_eq!(ask(scene.session.get(&url).proxy(&http(&two).basic_auth("user", "x").unwrap())).await, again);
        assert_eq!(ask(scene.session.get(&url).directly()).await, again);
        assert_eq!(ask(scene.session.get(&format!("https://127.0.0.1:{}/", server.address.port()))).await, again);
    }
    assert_eq!((one.accepted(), two.accepted(), server.accepted()), (1, 2, 5));
    scene.exeunt().await;
}

#[actix::test]
async fn a_refusal_is_one_lost_that_says_what_to_do() {
    let proxy = Server::plain(|mut peer, _| async move {
        peer.answer(
            "HTTP/1.1 407 Who are you\r\nproxy-authenticate: Basic realm=\"x\"\r\ncontent-length: 5\r\n\r\nabout",
        )
        .await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::with(|session| session.proxy(&http(&proxy).basic_auth("user", "secret").unwrap()));
    let error = scene.session.get("https://behind.example/").send().await.unwrap_err();
    assert!(!error.was_sent());
    let words = error.to_string();
    assert!(words.contains(&format!("http://localhost:{}", proxy.address.port())), "{words}");
    assert!(words.contains("407") && words.contains("user:password@") && !words.contains("secret"), "{words}");
    match failure(&error) {
        (ProxyFailure::Refused { status: Some(407), .. }, "dial_failed") => {}
        other => panic!("{other:?}"),
    }
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["dial_failed"], 1, "{ledger}");
    assert!(!format!("{ledger:?}").contains("secret"));
}

/// The deadline of the dial bounds the whole way, and says where it passed.
#[actix::test]
async fn a_silent_proxy_is_a_dial_that_timed_out() {
    let proxy = Server::plain(|mut peer, _| async move {
        peer.head().await;
        peer.write("HTTP/1.1 200 OK\r\nx: y").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::with(|session| session.proxy(&http(&proxy)));
    let request = scene.session.get("https://behind.example/").dial_timeout(Duration::from_millis(50));
    let error = request.send().await.unwrap_err();
    assert_eq!(failure(&error), (&ProxyFailure::TimedOut(ProxyLeg::Tunnel), "dial_timeout"));
    scene.exeunt().await;
}

#[actix::test]
async fn a_proxy_that_is_not_there_is_told_with_its_address() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let scene = Scene::with(|session| session.proxy(&format!("127.0.0.1:{port}").parse().unwrap()));
    let error = scene.session.get("https://behind.example/").send().await.unwrap_err();
    match failure(&error) {
        (ProxyFailure::Dial(dial), "dial_failed") => assert!(matches!(**dial, DialFailure::Connect { .. }), "{dial:?}"),
        other => panic!("{other:?}"),
    }
    scene.exeunt().await;
}

/// Behind the tunnel the connection is the peer's, and so is its end: a bad certificate, a truncation (law 5), a reset.
#[actix::test]
async fn what_ends_behind_the_tunnel_is_told_as_the_peers() {
    let proxy = obliging(&Notes::default()).await;
    let other = exeunt::tls::self_signed(&["localhost"]).unwrap();
    let stranger = exeunt::ClientTls::builder().trust_pem(&other.ca_pem).build().unwrap();
    let server = Server::tls(|peer, _| peer.silence()).await;
    let scene = Scene::with(|session| session.proxy(&http(&proxy)).tls(&stranger));
    let error = scene.session.get(&server.https("/")).send().await.unwrap_err();
    assert!(matches!(error.lost().map(|lost| &lost.reason), Some(Reason::HandshakeFailed(_))), "{error}");
    scene.exeunt().await;

    for (end, code) in [(End::Fin, "truncated"), (End::CloseNotify, "closed_by_peer")] {
        let server = Server::tls(move |mut peer, _| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await;
            peer.end(end).await;
        })
        .await;
        let scene = Scene::with(|session| session.proxy(&http(&proxy)));
        let response = scene.session.get(&server.https("/")).send().await.unwrap();
        response.bytes().await.unwrap_err();
        let ledger = scene.exeunt().await;
        assert_eq!(ledger.totals.by_reason.keys().collect::<Vec<_>>(), [&code], "{ledger}");
    }
}

/// What asks gives up while the proxy has not answered: one `Lost`, `cancelled`, and the proxy sees the end of its connection.
#[actix::test]
async fn giving_up_in_mid_tunnel_cancels_it() {
    let notes = Notes::default();
    let proxy = {
        let notes = notes.clone();
        Server::plain(move |mut peer, _| {
            let notes = notes.clone();
            async move {
                notes.add(peer.head().await);
                peer.silence().await;
                notes.add("gone");
            }
        })
        .await
    };
    let scene = Scene::new();
    let connect = Connect::to("behind.example:443", Lines::default()).tls(&client_tls()).proxy(&http(&proxy));
    let asked = scene.supervisor.send(connect);
    let mut asked = Box::pin(asked);
    while notes.all().is_empty() {
        assert!((&mut asked).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(asked);
    while notes.all().len() < 2 {
        tokio::task::yield_now().await;
    }
    scene.session.close().await;
    let ledger = scene.supervisor.send(exeunt::Stop::new()).await.unwrap();
    assert_eq!(ledger.totals.by_reason.keys().collect::<Vec<_>>(), [&"cancelled"], "{ledger}");
}

/// `Connect` by itself: with TLS inside and without, and a peer that speaks first.
#[actix::test]
async fn a_connection_of_ones_own_by_a_proxy() {
    let notes = Notes::default();
    let proxy = obliging(&notes).await;
    let script = |mut peer: Peer, _| async move {
        peer.write("welcome\n").await;
        peer.read_to_end().await;
        peer.end(End::CloseNotify).await;
    };
    let (secure, plain) = (Server::tls(script).await, Server::plain(script).await);
    let scene = Scene::new();
    let to = |server: &Server| format!("localhost:{}", server.address.port());
    for (server, connect) in [
        (&secure, Connect::to(to(&secure), exeunt::Streamed::new()).tls(&client_tls())),
        (&plain, Connect::plain(to(&plain), exeunt::Streamed::new())),
    ] {
        let mut stream = connect.proxy(&http(&proxy)).open(&scene.supervisor).await.unwrap();
        let mut welcome = [0; 8];
        stream.read_exact(&mut welcome).await.unwrap();
        assert_eq!(&welcome, b"welcome\n");
        stream.shutdown().await.unwrap();
        let lost = stream.closed().await;
        assert_eq!((lost.reason.code(), &*lost.peer.name), ("closed", &*to(server)), "{lost}");
        assert_eq!(lost.peer.address, Some(proxy.address));
    }
    let wrong = scene.supervisor.send(Connect::to("no port", Lines::default()).proxy(&http(&proxy))).await.unwrap();
    assert!(matches!(wrong, Err(exeunt::ConnectError::Target(_))));
    assert_eq!(notes.all().len(), 2);
    let ledger = scene.supervisor.send(exeunt::Stop::new()).await.unwrap();
    assert_eq!(ledger.totals.lost, 2, "{ledger}");
}

/// What the environment says is read when asked, and what is wrong in it is told when the session starts.
#[actix::test]
async fn proxies_by_rule() {
    let proxy = Server::plain(|mut peer, _| async move {
        peer.answer(ok("by proxy")).await;
        peer.silence().await;
    })
    .await;
    let variables = [("http_proxy", proxy.http("")), ("no_proxy", ".direct.example".to_owned())];
    let proxies =
        Proxies::from_variables(|name| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone()));
    let resolver = exeunt::StaticResolver::new().pin("localhost", [proxy.address.ip()]);
    let scene = Scene::with(|session| session.proxies(proxies.unwrap()).resolver(resolver));
    let response = scene.session.get("http://a.example/").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "by proxy");
    let error = scene.session.get("http://a.direct.example/").send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connect(_)) && error.to_string().contains("a.direct.example"), "{error}");
    scene.exeunt().await;
}
