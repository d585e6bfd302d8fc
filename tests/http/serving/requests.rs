//! Requests that are answered: hyper's part lightly, ours (the count of what is under way, the extensions, errors) in earnest.

use std::sync::Arc;

use exeunt::{
    ConnectionId, Peer, Reason,
    http::{Body, BodyError, RequestBody},
    tls::TlsInfo,
};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};

use super::{mirror, server};
use crate::{
    over_both,
    stage::{Over, Scene, settled},
};

over_both!(
    requests_follow_each_other
    pipelined_requests_are_answered_in_order
    an_old_client_reads_to_the_end
    a_client_that_asks_to_close_is_closed
    a_handler_knows_who_asks
    a_body_is_asked_for_when_it_is_read
    trailers_come_and_go
    an_error_of_the_handlers_is_a_500
);

/// Law 2: as many requests as one likes, then the client's end, once.
async fn requests_follow_each_other(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    let client = &mut scene.client;
    client.ask("GET /one").await;
    assert_eq!(client.answer().await.text(), "GET /one ");
    client.say("POST /two HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody").await;
    assert_eq!(client.answer().await.text(), "POST /two body");
    client
        .say("PUT /three HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), "PUT /three chunks");
    client.ask("HEAD /four").await;
    let head = client.head().await;
    assert!(head.contains("content-length: 11\r\n"), "{head}");
    // A head that comes byte by byte.
    for byte in b"GET /five HTTP/1.1\r\nhost: h\r\n\r\n" {
        client.say([*byte]).await;
        settled().await;
    }
    assert_eq!(client.answer().await.text(), "GET /five ");
    client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

async fn pipelined_requests_are_answered_in_order(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    let requests: String =
        (0..20).map(|n| format!("POST /{n} HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{n:02}")).collect();
    scene.client.say(requests).await;
    for n in 0..20 {
        assert_eq!(scene.client.answer().await.text(), format!("POST /{n} {n:02}"));
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// HTTP/1.0: no chunks and no keep-alive. The end of the connection is the end of the response, and with TLS it is a close_notify.
async fn an_old_client_reads_to_the_end(over: Over) {
    let chunks = async |_| Response::new(Body::stream(futures_util::stream::iter(["a", "b"].map(Ok::<_, BodyError>))));
    let mut scene = Scene::open(over, server(chunks)).await;
    scene.client.say("GET / HTTP/1.0\r\n\r\n").await;
    assert!(scene.client.head().await.starts_with("HTTP/1.0 200 OK\r\n"));
    assert_eq!(scene.client.until_end().await.unwrap(), b"ab");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_client_that_asks_to_close_is_closed(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert_eq!(scene.client.answer().await.header("connection"), Some("close"));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_handler_knows_who_asks(over: Over) {
    let handler = async |request: Request<RequestBody>| {
        let known = request.extensions();
        let tls = known.get::<Arc<TlsInfo>>().map(|tls| tls.version);
        let (peer, id) = (known.get::<Peer>().unwrap(), known.get::<ConnectionId>().unwrap());
        Response::new(Body::from(format!("{} {id} {tls:?}", peer.name)))
    };
    let mut scene = Scene::open(over, server(handler)).await;
    for _ in 0..2 {
        scene.client.ask("GET /").await;
        let tls = if over == Over::Tls { r#"Some("TLSv1.3")"# } else { "None" };
        assert_eq!(scene.client.answer().await.text(), format!("the client 1 {tls}"));
    }
    scene.client.close().await;
    scene.lost().await;
    scene.end().await;
}

/// `Expect: 100-continue`: the body is asked for by reading it, and a refusal needs none.
async fn a_body_is_asked_for_when_it_is_read(over: Over) {
    let handler = async |request: Request<RequestBody>| match request.uri().path() {
        "/refused" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
            Ok(response)
        }
        _ => mirror(request).await,
    };
    let mut scene = Scene::open(over, server(handler)).await;
    let head = "HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    scene.client.say(format!("POST /wanted {head}")).await;
    assert_eq!(scene.client.answer().await.status, 100);
    scene.client.say("body").await;
    assert_eq!(scene.client.answer().await.text(), "POST /wanted body");
    scene.client.say(format!("POST /refused {head}")).await;
    assert_eq!(scene.client.answer().await.status, 413);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn trailers_come_and_go(over: Over) {
    let handler = async |request: Request<RequestBody>| {
        let body = request.into_body().collect().await?;
        let mut trailers = body.trailers().cloned().unwrap();
        trailers.insert("x-back", http::HeaderValue::from_static("yes"));
        let frames = [http_body::Frame::data(body.to_bytes()), http_body::Frame::trailers(trailers)];
        let mut response =
            Response::new(Body::wrap(StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, BodyError>)))));
        response.headers_mut().insert("trailer", http::HeaderValue::from_static("x-sum, x-back"));
        Ok::<_, BodyError>(response)
    };
    let mut scene = Scene::open(over, server(handler)).await;
    let head = "POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
    scene.client.say(format!("{head}2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    scene.client.head().await;
    assert_eq!(scene.client.chunk().await, b"hi");
    let rest = String::from_utf8(scene.client.until_end().await.unwrap()).unwrap();
    assert!(rest.contains("x-sum: 7\r\n") && rest.contains("x-back: yes\r\n"), "{rest:?}");
    scene.client.close().await;
    scene.lost().await;
    scene.end().await;
}

/// The handler failed, and not the connection.
async fn an_error_of_the_handlers_is_a_500(over: Over) {
    let handler = async |request: Request<RequestBody>| match request.uri().path() {
        "/fails" => Err("it does not work"),
        _ => Ok(Response::new(Body::from("works"))),
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /fails").await;
    let answer = scene.client.answer().await;
    assert_eq!((answer.status, answer.text()), (500, ""), "nothing of the error is shown to the client");
    scene.client.ask("GET /").await;
    assert_eq!(scene.client.answer().await.text(), "works");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}
