//! The session over HTTP/2, against nginx, Node's http2 and nghttp2's `nghttpd`.

use exeunt::http::{BodyError, ErrorKind, Versions};
use http::Version;

use super::*;

impl Server {
    async fn nghttpd(secure: bool) -> Self {
        let directory = Directory::new();
        directory.write("large.bin", vec![b'a'; 8 << 20]);
        let port = free_port();
        let (root, key, cert) = (directory.path(""), directory.path("key.pem"), directory.path("cert.pem"));
        let number = port.to_string();
        let mut arguments = vec!["--address=127.0.0.1", "--htdocs", &root, "--echo-upload", "--trailer=x-sum: 42"];
        if !secure {
            arguments.push("--no-tls");
        }
        arguments.push(&number);
        if secure {
            arguments.extend([&*key, &*cert]);
        }
        let process = Process::start("nghttpd", arguments);
        // What it says it says too late.
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Server { _process: process, directory, port }
    }

    async fn nginx_http2() -> Self {
        Server::nginx_with(|config| config.replace(" ssl;", " ssl http2;")).await
    }

    async fn node_http2() -> Self {
        Server::script("node", "http2.js").await
    }
}

#[actix::test]
async fn nginx_serves_over_http2() {
    let server = Server::nginx_http2().await;
    let scene = Scene::new();
    let get = async |path: &str| scene.session.get(&server.url(path)).send().await.unwrap();
    let hello = get("/hello").await;
    assert_eq!((hello.version(), hello.text().await.unwrap().as_str()), (Version::HTTP_2, "hello from nginx"));
    assert_eq!(get("/large.bin").await.bytes().await.unwrap().len(), 8 << 20);
    let redirected = get("/redirect").await;
    assert_eq!((redirected.uri().path(), redirected.history().len()), ("/hello", 1));
    redirected.bytes().await.unwrap();
    let posted = scene.session.post(&server.url("/post")).form([("a", "b")]).send().await.unwrap();
    assert_eq!(posted.text().await.unwrap(), "POST application/x-www-form-urlencoded");
    // Too large for it: it answers before it has read the body, and wants no more of it.
    let large = scene.session.put(&server.url("/post")).body(vec![b'x'; 4 << 20]).send().await.unwrap();
    assert_eq!(large.status(), 413);
    drop(large);
    assert_eq!(scene.exeunt().await.totals.admitted, 1);
}

/// It says GOAWAY with every fifth request, and none is lost by that.
#[actix::test]
async fn connections_that_nginx_ends_by_goaway_are_replaced() {
    let server = Server::nginx_with(|config| {
        config.replace(" ssl;", " ssl http2;").replace("keepalive_requests 1000000", "keepalive_requests 5")
    });
    let server = server.await;
    let scene = Scene::new();
    let url = server.url("/post");
    for _ in 0..10 {
        let ask = async |_| scene.session.post(&url).body("once").send().await.unwrap().bytes().await.unwrap();
        join_all((0..4).map(ask)).await;
    }
    let ledger = scene.exeunt().await;
    assert!(ledger.totals.lost >= 8, "{ledger}");
}

#[actix::test]
async fn many_requests_at_a_time_over_http2() {
    for server in [Server::nginx_http2().await, Server::node_http2().await, Server::nghttpd(true).await] {
        let scene = Scene::new();
        let url = server.url("/hello");
        let work = async || {
            for _ in 0..50 {
                scene.session.get(&url).send().await.unwrap().bytes().await.unwrap();
            }
        };
        join_all((0..32).map(|_| work())).await;
        let ledger = scene.exeunt().await;
        assert_eq!((ledger.totals.admitted, ledger.verdict()), (1, exeunt::Verdict::Clean), "{ledger}");
    }
}

#[actix::test]
async fn node_serves_over_http2() {
    let server = Server::node_http2().await;
    let scene = Scene::new();
    let url = |path: &str| server.url(path);
    let hello = scene.session.get(&url("/hello")).send().await.unwrap();
    assert_eq!((hello.version(), hello.text().await.unwrap().as_str()), (Version::HTTP_2, "hello from node"));
    let echoed = scene.session.put(&url("/echo")).body(upload()).send().await.unwrap();
    assert_eq!(echoed.bytes().await.unwrap().len(), 64 * 64 * 1024);
    let mut trailers = scene.session.get(&url("/trailers")).send().await.unwrap();
    while trailers.chunk().await.unwrap().is_some() {}
    assert_eq!(trailers.trailers().unwrap()["x-sum"], "42");
    // It answers without reading the body, and then resets with NO_ERROR, which takes nothing from the answer.
    let early = scene.session.put(&url("/early")).body(upload()).send().await.unwrap();
    assert_eq!(early.text().await.unwrap(), "not wanted");
    let error = scene.session.get(&url("/reset")).send().await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(&error, BodyError::Reset { name, .. } if name == "INTERNAL_ERROR"), "{error:?}");
    let error = scene.session.get(&url("/refused")).send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotProcessed(_)), "{error:?}");
    let brief = std::time::Duration::from_millis(50);
    assert!(scene.session.get(&url("/never")).timeout(brief).send().await.unwrap_err().is_timeout());
    assert_eq!(scene.session.get(&url("/goaway")).send().await.unwrap().text().await.unwrap(), "the last");
    assert_eq!(scene.session.get(&url("/hello")).send().await.unwrap().text().await.unwrap(), "hello from node");
    let cut = scene.session.get(&url("/destroyed")).send().await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(cut, BodyError::Truncated { .. } | BodyError::Reset { .. }), "{cut:?}");
    scene.exeunt().await;
}

/// With TLS, and without it by prior knowledge.
#[actix::test]
async fn nghttpd_serves_over_http2() {
    for secure in [true, false] {
        let server = Server::nghttpd(secure).await;
        let versions = if secure { Versions::Auto } else { Versions::Http2 };
        let scene = Scene::with(|session| session.versions(versions));
        let url = |path: &str| if secure { server.url(path) } else { server.url(path).replace("https", "http") };
        let mut large = scene.session.get(&url("/large.bin")).send().await.unwrap();
        assert_eq!(large.version(), Version::HTTP_2);
        let mut length = 0;
        while let Some(chunk) = large.chunk().await.unwrap() {
            length += chunk.len();
        }
        assert_eq!((length, &large.trailers().unwrap()["x-sum"]), (8 << 20, &"42".parse().unwrap()));
        let echoed = scene.session.post(&url("/echo")).body(upload()).send().await.unwrap();
        assert_eq!(echoed.bytes().await.unwrap().len(), 64 * 64 * 1024);
        assert_eq!(scene.session.get(&url("/nothing")).send().await.unwrap().status(), 404);
        let ledger = scene.exeunt().await;
        assert_eq!(ledger.verdict(), exeunt::Verdict::Clean, "{ledger}");
    }
}
